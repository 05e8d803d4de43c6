//! References: `request.body/a`, `request.path[1]`, `response.headers[location]`.

use std::borrow::Cow;
use std::fmt;

use super::{Error, Needs, Pointer, Value};
use crate::mock::message::{Body, Context, Request};

/// Where a value of the request or of the response is found.
#[derive(Debug, Clone)]
pub(super) enum Reference {
    /// `request.body`, `request.body/pointer`.
    Body(Message, Option<Pointer>),
    /// `request.headers[name]`; a name ignores case.
    Header(Message, Box<str>),
    /// `request.path`: all of it, decoded.
    Path,
    /// `request.path[1]`: a segment, decoded, counted from 0 after the operation's base path.
    Segment(usize),
    /// `request.params[name]`: a query parameter, else one of the path.
    Param(Box<str>),
    /// `response.status`.
    Status,
}

/// What an expression asks for, for whoever wants to know whether it can be there.
#[derive(Debug, Clone, Copy)]
pub(in crate::mock) enum Asked<'e> {
    /// Of the path, from 0.
    Segment(usize),
    /// A parameter of the query or of the path.
    Param(&'e str),
    Path(&'e str),
    Query(&'e str),
    Header(&'e str),
    Body(Option<&'e Pointer>),
    ResponseHeader(&'e str),
    ResponseBody,
    ResponseStatus,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Message {
    Request,
    Response,
}

/// What may follow a property's name.
pub(super) enum Suffix<'t> {
    Nothing,
    /// What is in the brackets.
    Index(&'t str),
    /// From its `/` on.
    Pointer(&'t str),
}

const REQUEST: [&str; 4] = ["body", "path", "params", "headers"];
const RESPONSE: [&str; 3] = ["body", "headers", "status"];

impl Reference {
    /// `at` is where the property's name stands, for errors; its suffix follows at once.
    pub fn parse(
        message: Message,
        property: &str,
        suffix: Suffix<'_>,
        at: usize,
    ) -> Result<Reference, Error> {
        let after = at + property.len();
        match (message, property, suffix) {
            (_, "body", Suffix::Nothing) => Ok(Reference::Body(message, None)),
            (_, "body", Suffix::Pointer(pointer)) => Pointer::parse(pointer)
                .map(|pointer| Reference::Body(message, Some(pointer)))
                .map_err(|(offset, problem)| Error::new(after + offset, problem)),
            (_, "headers", Suffix::Index(name)) => Ok(Reference::Header(message, name.into())),
            (Message::Request, "path", Suffix::Nothing) => Ok(Reference::Path),
            (Message::Request, "path", Suffix::Index(number)) => {
                number.parse().map(Reference::Segment).map_err(|_| {
                    Error::new(after, format!("`{number}` is no number of a segment; they count from 0"))
                })
            }
            (Message::Request, "params", Suffix::Index(name)) => Ok(Reference::Param(name.into())),
            (Message::Response, "status", Suffix::Nothing) => Ok(Reference::Status),
            (_, "body", Suffix::Index(name)) => Err(Error::new(after, "a body takes a JSON Pointer")
                .hint(format!("write `{}.body/{name}`", message.name()))),
            (_, "headers" | "params", _) => {
                Err(Error::new(after, format!("`{property}` takes a name in brackets"))
                    .hint(format!("write `{}.{property}[name]`", message.name())))
            }
            (_, "path" | "status", _) if message.properties().contains(&property) => {
                Err(Error::new(after, format!("`{}.{property}` takes no such suffix", message.name())))
            }
            _ => Err(message.unknown(property, at)),
        }
    }

    pub fn evaluate<'v>(&'v self, context: &Context<'v>) -> Value<'v> {
        let request = &context.request;
        let text = |text: Option<Cow<'v, str>>| text.map_or(Value::Missing, Value::Text);
        match self {
            Reference::Body(Message::Request, pointer) => body(request.body, pointer.as_ref()),
            Reference::Body(Message::Response, pointer) => {
                context.response.map_or(Value::Missing, |response| body(response.body, pointer.as_ref()))
            }
            Reference::Header(Message::Request, name) => text(header(request, name).map(Cow::Borrowed)),
            Reference::Header(Message::Response, name) => {
                let value = context.response.and_then(|response| response.headers.get(&**name));
                text(value.and_then(|value| value.to_str().ok()).map(Cow::Borrowed))
            }
            Reference::Path => Value::Text(decode(request.head.path)),
            Reference::Segment(number) => text(segment(request, *number).map(decode)),
            Reference::Param(name) => {
                text(request.query(name).or_else(|| request.param(name).map(Cow::Borrowed)))
            }
            Reference::Status => {
                text(context.response.map(|response| response.status.as_str().to_owned().into()))
            }
        }
    }

    /// None for what every request has.
    pub fn asked(&self) -> Option<Asked<'_>> {
        Some(match self {
            Reference::Body(Message::Request, pointer) => Asked::Body(pointer.as_ref()),
            Reference::Body(Message::Response, _) => Asked::ResponseBody,
            Reference::Header(Message::Request, name) => Asked::Header(name),
            Reference::Header(Message::Response, name) => Asked::ResponseHeader(name),
            Reference::Path => return None,
            Reference::Segment(number) => Asked::Segment(*number),
            Reference::Param(name) => Asked::Param(name),
            Reference::Status => Asked::ResponseStatus,
        })
    }

    pub fn needs(&self) -> Needs {
        match self {
            Reference::Body(Message::Request, _) => Needs { request_body: true, ..Needs::default() },
            Reference::Header(Message::Request, _) => Needs { request_headers: true, ..Needs::default() },
            Reference::Body(Message::Response, _)
            | Reference::Header(Message::Response, _)
            | Reference::Status => Needs { response: true, ..Needs::default() },
            _ => Needs::default(),
        }
    }
}

/// As a template has it.
impl fmt::Display for Asked<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Asked::Segment(number) => write!(f, "request.path[{number}]"),
            Asked::Param(name) | Asked::Path(name) | Asked::Query(name) => {
                write!(f, "request.params[{name}]")
            }
            Asked::Header(name) => write!(f, "request.headers[{name}]"),
            Asked::Body(None) => f.write_str("request.body"),
            Asked::Body(Some(pointer)) => {
                write!(f, "request.body/{}", pointer.tokens().collect::<Vec<_>>().join("/"))
            }
            Asked::ResponseHeader(name) => write!(f, "response.headers[{name}]"),
            Asked::ResponseBody => f.write_str("response.body"),
            Asked::ResponseStatus => f.write_str("response.status"),
        }
    }
}

impl Message {
    pub fn name(self) -> &'static str {
        match self {
            Message::Request => "request",
            Message::Response => "response",
        }
    }

    fn properties(self) -> &'static [&'static str] {
        match self {
            Message::Request => &REQUEST,
            Message::Response => &RESPONSE,
        }
    }

    fn unknown(self, property: &str, at: usize) -> Error {
        let name = self.name();
        let there = self.properties();
        let error = Error::new(at, format!("`{name}.{property}` is nothing that a template knows"));
        match crate::diagnostic::nearest(property, there.iter().copied()) {
            Some(near) => error.hint(format!("did you mean `{name}.{near}`?")),
            None => error.hint(format!("there are `{name}.{}`", there.join(&format!("`, `{name}.")))),
        }
    }
}

/// A header of the request; `host` is also what HTTP/2 calls the authority.
pub(in crate::mock) fn header<'r>(request: &Request<'r>, name: &str) -> Option<&'r str> {
    let authority =
        Some(request.head.authority).filter(|host| name.eq_ignore_ascii_case("host") && !host.is_empty());
    request.header(name).or(authority)
}

fn body<'v>(body: &'v Body, pointer: Option<&Pointer>) -> Value<'v> {
    let found = match pointer {
        None => (!body.bytes().is_empty()).then_some(Value::Body(body)),
        Some(pointer) => body.json().and_then(|json| pointer.find(json)).map(Value::Json),
    };
    found.unwrap_or(Value::Missing)
}

fn segment<'r>(request: &Request<'r>, number: usize) -> Option<&'r str> {
    let path = request.head.path.get(request.base..)?;
    path.strip_prefix('/').unwrap_or(path).split('/').nth(number)
}

/// A path's text without its percent-encoding. What is not UTF-8 becomes U+FFFD.
fn decode(text: &str) -> Cow<'_, str> {
    if !text.contains('%') {
        return Cow::Borrowed(text);
    }
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        let (byte, after) = escaped(rest).unwrap_or((*first, after));
        bytes.push(byte);
        rest = after;
    }
    Cow::Owned(String::from_utf8_lossy(&bytes).into_owned())
}

/// The byte that an escape at the beginning stands for, and what is after it.
fn escaped(bytes: &[u8]) -> Option<(u8, &[u8])> {
    let [b'%', high, low, after @ ..] = bytes else { return None };
    let digit = |byte: &u8| char::from(*byte).to_digit(16);
    let byte = u8::try_from(digit(high)? * 16 + digit(low)?).ok()?;
    Some((byte, after))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(path: &str, expected: &str) {
        assert_eq!(decode(path), expected);
    }

    #[test]
    fn a_path_is_percent_decoded() {
        check("/a", "/a");
        check("/a%20b/%C3%A9%c3%a9", "/a b/éé");
        check("/a+b", "/a+b");
    }

    #[test]
    fn what_is_no_escape_stays() {
        check("%", "%");
        check("%2", "%2");
        check("%zz%2", "%zz%2");
        check("%é", "%é");
        check("100%", "100%");
    }

    #[test]
    fn what_is_no_text_is_replaced() {
        check("%ff", "\u{fffd}");
    }
}
