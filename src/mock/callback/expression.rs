//! URL keys of callbacks: runtime expressions of OpenAPI, and templates.
//!
//! A key is literal text with expressions in braces, `{$request.body#/url}/done`, or one
//! expression without braces, `$request.body#/url` (OpenAPI 3.2: Callback Object, Key Expression).
//! `{{ }}` of the template language works in it too.
//!
//! An expression that begins the key is taken as it is: it is where the client wants to be called.
//! Any later one is a component, percent-encoded, so that it cannot lead elsewhere; and one inside
//! host or port is never resolved, as no encoding would help there.

use std::borrow::Cow;

use http::HeaderName;
use http::header::CONTENT_TYPE;
use serde_json::Value as Json;

use super::Unresolved;
use crate::diagnostic::nearest;
use crate::mock::message::{Body, Context, Request};
use crate::mock::template::{self, Asked, Needs, Pointer, Value, shortened};

pub use crate::mock::template::Error;

/// Bytes of a URL. What is longer is refused where it is sent, and what follows is not looked at.
const LONGEST: usize = 8 * 1024;

/// A key, parsed at load.
#[derive(Debug, Clone)]
pub struct Url {
    parts: Box<[Part]>,
}

#[derive(Debug, Clone)]
enum Part {
    Literal(Box<str>),
    Expression {
        /// As it is written, without braces.
        source: Box<str>,
        kind: Kind,
    },
}

#[derive(Debug, Clone)]
enum Kind {
    Runtime(Runtime),
    Template(template::Expression),
}

/// OpenAPI 3.2, Link Object, Runtime Expressions: `expression`.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Runtime {
    Url,
    Method,
    StatusCode,
    RequestHeader(HeaderName),
    RequestQuery(Box<str>),
    RequestPath(Box<str>),
    RequestBody(Pointer),
    ResponseHeader(HeaderName),
    ResponseBody(Pointer),
}

const SOURCES: [&str; 4] = ["header", "query", "path", "body"];

impl Url {
    pub fn parse(key: &str) -> Result<Url, Error> {
        if key.is_empty() {
            return Err(Error::new(0, "the key is empty")
                .hint("write where the call goes, as `{$request.body#/url}`"));
        }
        if key.starts_with('$') {
            return Runtime::parse(key, 0)
                .map(|runtime| Url { parts: Box::new([Part::runtime(key, runtime)]) });
        }
        if !key.starts_with('{') {
            location(key)?;
        }
        let mut parts = Vec::new();
        let mut at = 0;
        while let Some(open) = key[at..].find(['{', '}']).map(|offset| at + offset) {
            prose(&key[at..open], at)?;
            if open > at {
                parts.push(Part::Literal(key[at..open].into()));
            }
            let (part, end) = Part::parse(key, open)?;
            parts.push(part);
            at = end;
        }
        prose(&key[at..], at)?;
        if at < key.len() {
            parts.push(Part::Literal(key[at..].into()));
        }
        Ok(Url { parts: parts.into() })
    }

    /// The key, as it can be parsed again.
    pub fn key(&self) -> String {
        let mut key = String::new();
        for part in &self.parts {
            match part {
                Part::Literal(text) => key.push_str(text),
                Part::Expression { source, kind: Kind::Runtime(_) } => key.extend(["{", source, "}"]),
                Part::Expression { kind: Kind::Template(expression), .. } => {
                    key.push_str(expression.source());
                }
            }
        }
        key
    }

    /// Where the call goes. It may be relative, and is not yet parsed as a URL.
    pub fn resolve(&self, context: &Context<'_>) -> Result<String, Unresolved> {
        let mut chance = fastrand::Rng::with_seed(context.moment.seed);
        let mut url = String::new();
        for part in &self.parts {
            let (source, kind) = match part {
                Part::Literal(text) => {
                    url.push_str(text);
                    continue;
                }
                Part::Expression { source, kind } => (source, kind),
            };
            let unresolved =
                |reason: &'static str| Unresolved { expression: source.to_string(), reason: reason.into() };
            if in_authority(&url) {
                return Err(unresolved("stands in the host or port, where nothing is resolved"));
            }
            let value = match kind {
                Kind::Runtime(runtime) => runtime.value(context),
                Kind::Template(expression) => text(expression.evaluate(context, &mut chance)),
            };
            match value.map_err(unresolved)? {
                value if value.is_empty() => return Err(unresolved("is empty")),
                value if url.is_empty() => url.push_str(&value),
                value => encode(&value, &mut url),
            }
            if url.len() > LONGEST {
                let beyond = (LONGEST + 1..).find(|end| url.is_char_boundary(*end));
                url.truncate(beyond.unwrap_or(LONGEST));
                break;
            }
        }
        Ok(url)
    }

    /// The expression that is never resolved, whatever the request, since it stands in host or port.
    pub fn never_resolved(&self) -> Option<&str> {
        let mut url = String::new();
        self.parts.iter().find_map(|part| match part {
            Part::Literal(text) => {
                url.push_str(text);
                None
            }
            Part::Expression { source, .. } if in_authority(&url) => Some(&**source),
            Part::Expression { .. } => {
                // Whatever it is, it is encoded and ends no host; where it comes first, it may.
                url.push_str(if url.is_empty() { "http://h/" } else { "x" });
                None
            }
        })
    }

    pub fn needs(&self) -> Needs {
        self.parts.iter().fold(Needs::default(), |needs, part| match part {
            Part::Literal(_) => needs,
            Part::Expression { kind: Kind::Runtime(runtime), .. } => needs | runtime.needs(),
            Part::Expression { kind: Kind::Template(expression), .. } => needs | expression.needs(),
        })
    }

    /// Everything that its expressions refer to, each with how it is written.
    pub(in crate::mock) fn asked(&self) -> Vec<(&str, Asked<'_>)> {
        let expressions = self.parts.iter().filter_map(|part| match part {
            Part::Expression { source, kind } => Some((&**source, kind)),
            Part::Literal(_) => None,
        });
        let asked = expressions.flat_map(|(source, kind)| {
            let asked: Vec<_> = match kind {
                Kind::Runtime(runtime) => runtime.asked().into_iter().collect(),
                Kind::Template(expression) => expression.asked().collect(),
            };
            asked.into_iter().map(move |asked| (source, asked))
        });
        asked.collect()
    }

    /// Whether it has a `{{ }}`, so that it must be rendered at the first send.
    pub fn is_dynamic(&self) -> bool {
        self.parts.iter().any(|part| matches!(part, Part::Expression { kind: Kind::Template(_), .. }))
    }
}

impl Part {
    /// Parses what the brace at `open` begins; with it comes where it ends.
    fn parse(key: &str, open: usize) -> Result<(Part, usize), Error> {
        let rest = &key[open..];
        if rest.starts_with('}') {
            return Err(Error::new(open, "`}` without `{`"));
        }
        if let Some(inside) = rest.strip_prefix("{{") {
            return Part::template(key, open, inside);
        }
        let Some((source, _)) = rest[1..].split_once('}') else {
            return Err(Error::new(open, "`{` without `}`").hint("end the expression with `}`"));
        };
        let runtime = Runtime::parse(source, open + 1)?;
        Ok((Part::runtime(source, runtime), open + 1 + source.len() + 1))
    }

    fn template(key: &str, open: usize, inside: &str) -> Result<(Part, usize), Error> {
        let source = inside.split_once('}').map_or(inside, |(source, _)| source).trim();
        if source.starts_with('$') && Runtime::parse(source, 0).is_ok() {
            return Err(Error::new(open, format!("`{source}` is a runtime expression and no template"))
                .hint(format!("write `{{{source}}}`, with single braces")));
        }
        let (expression, end) = template::Expression::parse(key, open)?;
        let source = key[open + 2..end - 2].trim().into();
        Ok((Part::Expression { source, kind: Kind::Template(expression) }, end))
    }

    fn runtime(source: &str, runtime: Runtime) -> Part {
        Part::Expression { source: source.into(), kind: Kind::Runtime(runtime) }
    }
}

impl Runtime {
    /// `at` is where the expression stands in the key.
    fn parse(source: &str, at: usize) -> Result<Runtime, Error> {
        let Some(name) = source.strip_prefix('$') else {
            return Err(no_expression(source, at));
        };
        match name {
            "url" => return Ok(Runtime::Url),
            "method" => return Ok(Runtime::Method),
            "statusCode" => return Ok(Runtime::StatusCode),
            _ => {}
        }
        if let Some(brace) = name.find(['{', '}']) {
            return Err(Error::new(at + 1 + brace, "an expression has no braces inside")
                .hint("put each expression of a key in braces of its own, as `{$request.body#/url}`"));
        }
        if let Some(from) = name.strip_prefix("request.") {
            return Runtime::request(from, at + "$request.".len());
        }
        if let Some(from) = name.strip_prefix("response.") {
            return Runtime::response(from, at + "$response.".len());
        }
        let source = shortened(source);
        let error = Error::new(at, format!("`{source}` is no runtime expression"));
        let known = ["url", "method", "statusCode", "request", "response"];
        let word = name.find(|c: char| !c.is_ascii_alphanumeric()).map_or(name, |end| &name[..end]);
        let word = &*shortened(word);
        Err(match nearest(word, known) {
            Some(near) if near == word && near.starts_with('r') => {
                error.hint(format!("write what of it, as `${near}.body#/name`"))
            }
            Some(near) if near == word => error.hint(format!("write `{{${near}}}` in braces of its own")),
            Some(near) => error.hint(format!("did you mean `${near}`?")),
            None => error.hint("there are `$url`, `$method`, `$statusCode`, `$request.` and `$response.`"),
        })
    }

    fn request(source: &str, at: usize) -> Result<Runtime, Error> {
        match source.split_once('.') {
            Some(("header", name)) => header(name, at + "header.".len()).map(Runtime::RequestHeader),
            Some(("query", name)) => parameter(name, at + "query.".len()).map(Runtime::RequestQuery),
            Some(("path", name)) => parameter(name, at + "path.".len()).map(Runtime::RequestPath),
            _ => body("$request.", source, at).map(Runtime::RequestBody),
        }
    }

    /// The grammar also has a query and a path of a response; a response has neither.
    fn response(source: &str, at: usize) -> Result<Runtime, Error> {
        match source.split_once('.') {
            Some(("header", name)) => header(name, at + "header.".len()).map(Runtime::ResponseHeader),
            Some((part @ ("query" | "path"), name)) => {
                Err(Error::new(at, format!("a response has no {part}; only the request has"))
                    .hint(format!("write `$request.{part}.{name}`")))
            }
            _ => body("$response.", source, at).map(Runtime::ResponseBody),
        }
    }

    /// The expression's text; else why it has none.
    fn value<'v>(&self, context: &Context<'v>) -> Result<Cow<'v, str>, &'static str> {
        const MISSING: &str = "has no value";
        let request = &context.request;
        let head = &request.head;
        let value = match self {
            Runtime::Url if head.authority.is_empty() => return Err("has no host, as the client named none"),
            Runtime::Url => {
                let mut url = format!("{}://{}{}", head.scheme, head.authority, head.path);
                if let Some(query) = head.query {
                    url.push('?');
                    url.push_str(query);
                }
                Some(Cow::Owned(url))
            }
            Runtime::Method => Some(Cow::Owned(head.method.as_str().to_owned())),
            Runtime::StatusCode => {
                context.response.map(|response| Cow::Owned(response.status.as_str().to_owned()))
            }
            Runtime::RequestHeader(name) => template::header(request, name.as_str()).map(Cow::Borrowed),
            Runtime::RequestQuery(name) => request.query(name),
            Runtime::RequestPath(name) => request.param(name).map(Cow::Borrowed),
            Runtime::RequestBody(pointer) => {
                return part_of(request.body, pointer).or_else(|why| field_of(request, pointer).ok_or(why));
            }
            Runtime::ResponseHeader(name) => {
                let value = context.response.and_then(|response| response.headers.get(name));
                value.and_then(|value| value.to_str().ok()).map(Cow::Borrowed)
            }
            Runtime::ResponseBody(pointer) => {
                return context.response.map_or(Err(MISSING), |response| part_of(response.body, pointer));
            }
        };
        value.ok_or(MISSING)
    }

    /// None for what every exchange has.
    fn asked(&self) -> Option<Asked<'_>> {
        Some(match self {
            Runtime::Url | Runtime::Method | Runtime::StatusCode => return None,
            Runtime::RequestHeader(name) => Asked::Header(name.as_str()),
            Runtime::RequestQuery(name) => Asked::Query(name),
            Runtime::RequestPath(name) => Asked::Path(name),
            Runtime::RequestBody(pointer) => Asked::Body(Some(pointer)),
            Runtime::ResponseHeader(name) => Asked::ResponseHeader(name.as_str()),
            Runtime::ResponseBody(_) => Asked::ResponseBody,
        })
    }

    fn needs(&self) -> Needs {
        Needs {
            request_body: matches!(self, Runtime::RequestBody(_)),
            // What a form is, its media type says.
            request_headers: matches!(self, Runtime::RequestHeader(_) | Runtime::RequestBody(_)),
            response: matches!(
                self,
                Runtime::StatusCode | Runtime::ResponseHeader(_) | Runtime::ResponseBody(_)
            ),
            now: false,
        }
    }
}

/// A header's name (RFC 9110, 5.6.2: `token`).
fn header(name: &str, at: usize) -> Result<HeaderName, Error> {
    HeaderName::from_bytes(name.as_bytes())
        .map_err(|_| Error::new(at, format!("`{}` is no header's name", shortened(name))))
}

/// A parameter's name: its case counts, and it may have dots.
fn parameter(name: &str, at: usize) -> Result<Box<str>, Error> {
    if name.is_empty() {
        return Err(Error::new(at, "a parameter's name is missing"));
    }
    Ok(name.into())
}

/// `body`, or `body#` with a JSON Pointer.
fn body(prefix: &str, source: &str, at: usize) -> Result<Pointer, Error> {
    let (name, pointer) = source.split_once('#').unwrap_or((source, ""));
    if name == "body" {
        let start = at + "body#".len();
        return Pointer::parse(pointer).map_err(|(offset, problem)| match offset {
            0 => Error::new(start, problem).hint(format!("write `{prefix}body#/{}`", shortened(pointer))),
            _ => Error::new(start + offset, problem),
        });
    }
    let error = Error::new(at, format!("`{prefix}{}` is no runtime expression", shortened(source)));
    if let Some(path) = name.strip_prefix("body").filter(|path| path.starts_with(['/', '.'])) {
        return Err(error.hint(format!("write `{prefix}body#/{}`", shortened(&path[1..]).replace('.', "/"))));
    }
    let word = name.find(['.', '/']).map_or(name, |end| &name[..end]);
    Err(match nearest(&shortened(word), SOURCES) {
        Some("body") => error.hint(format!("write `{prefix}body#/name`")),
        Some(near) => error.hint(format!("write `{prefix}{near}.name`")),
        None => error.hint(format!("there are `{prefix}{}`", SOURCES.join(&format!("`, `{prefix}")))),
    })
}

/// A body's value at a pointer as text; else why it has none. A body that is no JSON is text as a whole.
fn part_of<'v>(body: &'v Body, pointer: &Pointer) -> Result<Cow<'v, str>, &'static str> {
    let whole = Pointer::parse("").as_ref() == Ok(pointer);
    match body.json() {
        Some(json) => pointer.find(json).map_or(Err("has no value"), scalar),
        None if whole => body.text().map(Cow::Borrowed).ok_or("is not text"),
        None => Err("has no value, as the body is no JSON"),
    }
}

/// The field of a form that a pointer of one token names, as if the form were an object.
fn field_of<'v>(request: &Request<'v>, pointer: &Pointer) -> Option<Cow<'v, str>> {
    let mut tokens = pointer.tokens();
    let name = tokens.next().filter(|_| tokens.next().is_none())?;
    let kind = request.head.headers.get(CONTENT_TYPE)?.to_str().ok()?;
    let is =
        |name: &str| kind.split(';').next().is_some_and(|essence| essence.trim().eq_ignore_ascii_case(name));
    if is("application/x-www-form-urlencoded") {
        let mut pairs = request.body.form().iter();
        return pairs.find(|(key, _)| key == name).map(|(_, value)| Cow::Borrowed(value.as_str()));
    }
    if !is("multipart/form-data") {
        return None;
    }
    let part = request.body.multipart(kind)?.iter().find(|part| part.name.as_deref() == Some(name))?;
    std::str::from_utf8(&part.bytes).ok().map(Cow::Borrowed)
}

fn scalar(value: &Json) -> Result<Cow<'_, str>, &'static str> {
    match value {
        Json::String(text) => Ok(Cow::Borrowed(text)),
        Json::Bool(_) | Json::Number(_) => Ok(Cow::Owned(value.to_string())),
        Json::Null => Err("is null"),
        Json::Array(_) => Err("is an array"),
        Json::Object(_) => Err("is an object"),
    }
}

/// A template's value as text; else why it has none.
fn text(value: Value<'_>) -> Result<Cow<'_, str>, &'static str> {
    match value {
        Value::Missing => Err("has no value"),
        Value::Json(value) => scalar(value),
        Value::Body(body) => match body.json() {
            Some(json) => scalar(json),
            None => body.text().map(Cow::Borrowed).ok_or("is not text"),
        },
        Value::Text(text) | Value::String(text) => Ok(text),
        Value::Literal(text) => Ok(Cow::Borrowed(text)),
    }
}

/// Whether what is written next is read as a part of the host or port. It reads as browsers do
/// (WHATWG URL, 4.4), and where that differs from RFC 3986 finds an authority in either:
/// `\` is a `/`, tabs and line ends are not there, any number of slashes follows a scheme.
fn in_authority(written: &str) -> bool {
    let written = written.trim_start_matches(|c: char| c <= ' ');
    let (scheme, rest) = match written.find([':', '/', '\\', '?', '#']) {
        Some(colon) if written[colon..].starts_with(':') => (true, &written[colon + 1..]),
        _ => (false, written),
    };
    let rest = rest.trim_start_matches(['\t', '\n', '\r']);
    let authority = rest.trim_start_matches(['/', '\\', '\t', '\n', '\r']);
    let slashes = rest[..rest.len() - authority.len()].chars().filter(|c| matches!(c, '/' | '\\')).count();
    (scheme || slashes > 1) && !authority.contains(['/', '\\', '?', '#'])
}

/// RFC 3986, 2.3: all but unreserved characters is percent-encoded.
fn encode(text: &str, out: &mut String) {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            out.push(char::from(byte));
            continue;
        }
        out.push('%');
        out.push(char::from(DIGITS[usize::from(byte >> 4)]));
        out.push(char::from(DIGITS[usize::from(byte & 0xf)]));
    }
}

/// Literal text has no whitespace; a description has.
fn prose(text: &str, at: usize) -> Result<(), Error> {
    let Some(space) = text.find(|c: char| c.is_whitespace() || c.is_control()) else { return Ok(()) };
    Err(Error::new(at + space, "the key is prose, no URL and no runtime expression")
        .hint("write where the call goes, as `{$request.body#/callbackUrl}`"))
}

/// A key that begins with literal text is a URL: with a scheme, or relative to the request's.
/// A bare word is neither in practice: a relative path begins with `/` or `.`.
fn location(key: &str) -> Result<(), Error> {
    let literal = key.find('{').map_or(key, |open| &key[..open]);
    prose(literal, 0)?;
    if literal.contains("://") || literal.starts_with(['/', '?', '#', '.']) {
        return Ok(());
    }
    let short = shortened(key);
    let error = Error::new(0, format!("`{short}` is no URL and no runtime expression"));
    if key.starts_with("request.") || key.starts_with("response.") {
        return Err(error.hint(format!("write `{{${short}}}`")));
    }
    if key.contains(['.', '/', ':', '{']) {
        return Err(error.hint(format!("write `https://{short}` for a host, `/{short}` for a path")));
    }
    Err(error.hint(format!("write `{{$request.body#/{short}}}` if the request's body has it")))
}

/// What stands in braces and begins with no `$`.
fn no_expression(source: &str, at: usize) -> Error {
    let name = shortened(source.trim());
    let error = Error::new(at, format!("`{name}` is no runtime expression"));
    if ["request.", "response."].iter().any(|prefix| name.starts_with(prefix))
        || matches!(&*name, "url" | "method" | "statusCode")
    {
        return error.hint(format!("write `{{${name}}}`"));
    }
    if name.is_empty() || name.contains(char::is_whitespace) {
        return error.hint("write where the call goes, as `{$request.body#/callbackUrl}`");
    }
    let field = name.trim_start_matches(['#', '/']);
    error.hint(format!("write `{{$request.body#/{field}}}` if the request's body has it"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mock::template::sample::Sample;

    /// The exchange of OpenAPI 3.2, Callback Object, Key Expression.
    fn subscribe() -> Sample {
        Sample {
            path: "/subscribe/myevent".into(),
            query: Some("queryUrl=https://clientdomain.com/stillrunning".into()),
            params: vec![("eventType", "myevent".into())],
            ..Sample::request(
                r#"{"failedUrl": "https://clientdomain.com/failed", "id": "a/b&c=é", "n": 7, "ok": true, "empty": "", "null": null,
                    "successUrls": ["https://clientdomain.com/fast", "https://clientdomain.com/medium"], "a/b": {"m~n": [1]}}"#,
            )
        }
        .header("host", "example.org")
        .header("content-type", "application/json")
        .response(201, r#"{"status": "ok"}"#)
        .response_header("location", "https://example.org/subscription/1")
    }

    #[track_caller]
    fn check(key: &str, expected: &str) {
        check_in(&subscribe(), key, Ok(expected));
    }

    #[track_caller]
    fn check_unresolved(key: &str, expression: &str, reason: &'static str) {
        check_in(&subscribe(), key, Err((expression, reason)));
    }

    #[track_caller]
    fn check_in(sample: &Sample, key: &str, expected: Result<&str, (&str, &'static str)>) {
        let url = Url::parse(key).expect("the key is one");
        let params = sample.params();
        let context = sample.context(&params);
        let expected = expected.map(str::to_owned).map_err(|(expression, reason)| Unresolved {
            expression: expression.to_owned(),
            reason: reason.into(),
        });
        assert_eq!(url.resolve(&context), expected);
    }

    #[track_caller]
    fn check_error(key: &str, offset: usize, hint: &str) {
        let error = Url::parse(key).expect_err("the key is none");
        assert_eq!(
            (error.offset, error.hint.as_deref()),
            (offset, (!hint.is_empty()).then_some(hint)),
            "{error}"
        );
    }

    const AUTHORITY: &str = "stands in the host or port, where nothing is resolved";

    #[test]
    fn examples_of_the_specification() {
        check("$url", "https://example.org/subscribe/myevent?queryUrl=https://clientdomain.com/stillrunning");
        check("$method", "POST");
        check("$request.path.eventType", "myevent");
        check("$request.query.queryUrl", "https://clientdomain.com/stillrunning");
        check("$request.header.content-type", "application/json");
        check("$request.body#/failedUrl", "https://clientdomain.com/failed");
        check("$request.body#/successUrls/1", "https://clientdomain.com/medium");
        check("$response.header.Location", "https://example.org/subscription/1");
        check("$statusCode", "201");
        check("$response.body#/status", "ok");
        check("{$request.query.queryUrl}", "https://clientdomain.com/stillrunning");
        check(
            "http://notificationServer.com?transactionId={$request.body#/id}&email={$request.body#/failedUrl}",
            "http://notificationServer.com?transactionId=a%2Fb%26c%3D%C3%A9&email=https%3A%2F%2Fclientdomain.com%2Ffailed",
        );
    }

    #[test]
    fn an_expression_that_begins_the_key_is_taken_as_it_is() {
        check("{$request.query.queryUrl}/data", "https://clientdomain.com/stillrunning/data");
        check(
            "{$request.body#/failedUrl}?id={$request.body#/id}",
            "https://clientdomain.com/failed?id=a%2Fb%26c%3D%C3%A9",
        );
        check("{$request.body#/n}", "7");
    }

    #[test]
    fn a_later_expression_is_a_component() {
        check("/hooks/{$request.body#/id}", "/hooks/a%2Fb%26c%3D%C3%A9");
        check("/hooks/{$request.body#/n}{$request.body#/ok}", "/hooks/7true");
        check("https://example.com/{$request.path.eventType}/{$method}", "https://example.com/myevent/POST");
    }

    #[test]
    fn an_expression_in_the_authority_is_never_resolved() {
        check_unresolved("https://{$request.path.eventType}/x", "$request.path.eventType", AUTHORITY);
        check_unresolved(
            "https://{$request.path.eventType}.example.com",
            "$request.path.eventType",
            AUTHORITY,
        );
        check_unresolved("http://localhost:{$request.body#/n}/x", "$request.body#/n", AUTHORITY);
        check_unresolved("//{$request.body#/n}/x", "$request.body#/n", AUTHORITY);
        check_unresolved("https://me:{$request.body#/n}@example.com/", "$request.body#/n", AUTHORITY);
        check_unresolved("https://{{ uuid() }}.example.com/", "uuid()", AUTHORITY);
        let near = Sample { query: Some("u=http://h:80".into()), ..subscribe() };
        check_in(&near, "{$request.query.u}{$request.body#/n}", Err(("$request.body#/n", AUTHORITY)));
        check_in(&near, "{$request.query.u}80/{$request.body#/n}", Ok("http://h:8080/7"));
        check_in(&near, "{$request.query.u}?{$request.body#/n}", Ok("http://h:80?7"));
    }

    #[test]
    fn an_authority_is_found_however_it_is_written() {
        for written in [
            "http://",
            "http:",
            "http:/",
            "HTTP:\\\\h",
            "ht\ttp:/\t/h",
            "  http://h",
            "//",
            "/\\h",
            "/\t/h",
            "///h",
            "http://h:80",
            "a://u@",
        ] {
            assert!(in_authority(written), "{written:?}");
        }
        for written in [
            "",
            "/",
            "/a",
            "/a://b",
            "http://h/",
            "http://h?",
            "http://h#",
            "http:\\\\h\\",
            "a/b:c",
            "?u=http://",
            "/a//",
        ] {
            assert!(!in_authority(written), "{written:?}");
        }
    }

    #[test]
    fn an_expression_without_a_value_is_unresolved() {
        check_unresolved("{$request.query.nope}/x", "$request.query.nope", "has no value");
        check_unresolved("/{$request.path.nope}", "$request.path.nope", "has no value");
        check_unresolved("/{$request.header.nope}", "$request.header.nope", "has no value");
        check_unresolved("/{$request.body#/nope}", "$request.body#/nope", "has no value");
        check_unresolved("/{$request.body#/empty}", "$request.body#/empty", "is empty");
        check_unresolved("/{$request.body#/null}", "$request.body#/null", "is null");
        check_unresolved("/{$request.body#/successUrls}", "$request.body#/successUrls", "is an array");
        check_unresolved("/{$request.body}", "$request.body", "is an object");
        check_unresolved("/{{ request.body/nope }}", "request.body/nope", "has no value");
        check_unresolved("/{{ request.body/null }}", "request.body/null", "is null");
        check_unresolved("/{{ request.body }}", "request.body", "is an object");
        check_unresolved("/{{ request.body/successUrls }}", "request.body/successUrls", "is an array");
    }

    #[test]
    fn without_a_response_its_expressions_are_unresolved() {
        let bare = Sample::request("{}");
        check_in(&bare, "/{$statusCode}", Err(("$statusCode", "has no value")));
        check_in(&bare, "$response.body#/url", Err(("$response.body#/url", "has no value")));
        check_in(&bare, "$response.header.location", Err(("$response.header.location", "has no value")));
    }

    #[test]
    fn a_whole_body_is_a_scalar_or_text() {
        check_in(&Sample::request(r#""https://a.example/""#), "$request.body", Ok("https://a.example/"));
        check_in(&Sample::request("42"), "/{$request.body}", Ok("/42"));
        check_in(&Sample::request("https://a.example/x"), "$request.body", Ok("https://a.example/x"));
        check_in(&Sample::request("https://a.example/x"), "{{ request.body }}", Ok("https://a.example/x"));
        check_in(&Sample::request(r#""x""#), "/{$request.body#}", Ok("/x"));
        check_in(&Sample::request(""), "$request.body", Err(("$request.body", "is empty")));
        check_in(
            &Sample::request("text"),
            "$request.body#/a",
            Err(("$request.body#/a", "has no value, as the body is no JSON")),
        );
    }

    /// It is refused where it is sent, whatever its length; many callbacks may go there.
    #[test]
    fn a_url_is_cut_where_it_is_too_long() {
        let body = format!("http://{}", "é".repeat(1 << 19));
        let sample = Sample::request(&*body.leak());
        let url = Url::parse("{$request.body}/{$request.body}").unwrap();
        let params = sample.params();
        let resolved = url.resolve(&sample.context(&params)).unwrap();
        assert!(resolved.len() > LONGEST && resolved.len() < LONGEST + 4, "{}", resolved.len());
    }

    #[test]
    fn header_names_ignore_case_and_others_do_not() {
        check("/{$request.header.CONTENT-Type}", "/application%2Fjson");
        check_unresolved("/{$request.query.queryurl}", "$request.query.queryurl", "has no value");
        check_unresolved("/{$request.path.eventtype}", "$request.path.eventtype", "has no value");
    }

    #[test]
    fn names_may_have_dots_and_pointers_escapes() {
        let dotted = Sample { query: Some("a.b=1&c%5Bd%5D=x+y&a.b=2".into()), ..subscribe() };
        check_in(&dotted, "/{$request.query.a.b}", Ok("/1"));
        check_in(&dotted, "/{$request.query.c[d]}", Ok("/x%20y"));
        check("/{$request.body#/a~1b/m~0n/0}", "/1");
    }

    #[test]
    fn url_without_a_host_is_unresolved() {
        let nameless = Sample { authority: String::new(), ..subscribe() };
        check_in(&nameless, "$url", Err(("$url", "has no host, as the client named none")));
    }

    #[test]
    fn literal_urls_are_fine() {
        for key in ["https://example.com/hook", "http://localhost:8080", "/hook", "../hook", "?a=b"] {
            check(key, key);
        }
    }

    #[test]
    fn templates_work_in_a_key() {
        check("{{ request.body/failedUrl }}/x", "https://clientdomain.com/failed/x");
        check("/x?id={{ request.body/id }}", "/x?id=a%2Fb%26c%3D%C3%A9");
        check("/x/{{ request.body/nope || 'a b' }}", "/x/a%20b");
        check("/{{now(yyyy-MM-dd HH)}}/{$method}", "/2020-02-11%2013/POST");
        check("/{{ response.status }}", "/201");
    }

    #[test]
    fn what_an_expression_brings_in_is_no_template() {
        let hostile = Sample::request(r#"{"url": "http://a/{{ uuid() }}{$method}"}"#);
        check_in(&hostile, "$request.body#/url", Ok("http://a/{{ uuid() }}{$method}"));
        check_in(&hostile, "{{ request.body/url }}", Ok("http://a/{{ uuid() }}{$method}"));
    }

    #[test]
    fn needs_are_those_of_all_parts() {
        #[track_caller]
        fn check(key: &str, request_body: bool, response: bool, dynamic: bool) {
            let url = Url::parse(key).expect("the key is one");
            // What a form is, its media type says.
            let request_headers = key.contains("request.header") || key.contains("$request.body");
            let needs = Needs { request_body, request_headers, response, now: false };
            assert_eq!((url.needs(), url.is_dynamic()), (needs, dynamic));
        }
        check("/hook", false, false, false);
        check("{$request.query.url}/{$request.path.id}", false, false, false);
        check("{$request.body#/url}/{$statusCode}", true, true, false);
        check("/{$response.header.location}", false, true, false);
        check("/{{ response.body/a }}", false, true, true);
        check("/{{ uuid() }}", false, false, true);
    }

    #[test]
    fn an_expression_in_the_host_is_known_at_load() {
        for (key, expected) in [
            ("http://{$request.query.host}/x", Some("$request.query.host")),
            ("https://a.example:{$request.body#/port}", Some("$request.body#/port")),
            ("https://a.example/{$request.body#/id}", None),
            ("{$request.body#/url}.example/{$method}", None),
            ("/{$method}/{$url}", None),
        ] {
            let url = Url::parse(key).expect("the key is one");
            assert_eq!(url.never_resolved(), expected, "{key}");
        }
    }

    #[test]
    fn prose_is_no_key() {
        let hint = "write where the call goes, as `{$request.body#/callbackUrl}`";
        check_error("Provided URL in /webhook_subscriptions", 8, hint);
        check_error("/a b", 2, hint);
        check_error("{$request.body#/url} or so", 20, hint);
        check_error("", 0, "write where the call goes, as `{$request.body#/url}`");
    }

    #[test]
    fn an_expression_that_lacks_its_source_gets_a_hint() {
        check_error("{webhookURL}", 1, "write `{$request.body#/webhookURL}` if the request's body has it");
        check_error("/a/{ id }", 4, "write `{$request.body#/id}` if the request's body has it");
        check_error("webhookURL", 0, "write `{$request.body#/webhookURL}` if the request's body has it");
        check_error("{request.body#/url}", 1, "write `{$request.body#/url}`");
        check_error("request.query.url", 0, "write `{$request.query.url}`");
        check_error(
            "example.com/hook",
            0,
            "write `https://example.com/hook` for a host, `/example.com/hook` for a path",
        );
        check_error("{$request.body/url}", 10, "write `$request.body#/url`");
        check_error("$request.body.a.b", 9, "write `$request.body#/a/b`");
        check_error("{$request.body#url}", 15, "write `$request.body#/url`");
        check_error("{$request.headers.x}", 10, "write `$request.header.name`");
        check_error("{$requset.body#/x}", 1, "did you mean `$request`?");
        check_error("{$request}", 1, "write what of it, as `$request.body#/name`");
        check_error("{{$request.body#/url}}", 0, "write `{$request.body#/url}`, with single braces");
        check_error("$url?x=1", 0, "write `{$url}` in braces of its own");
        check_error("{$response.query.x}", 11, "write `$request.query.x`");
        check_error("{$zzz}", 1, "there are `$url`, `$method`, `$statusCode`, `$request.` and `$response.`");
    }

    #[test]
    fn bad_names_and_braces_are_said_where_they_stand() {
        let own = "put each expression of a key in braces of its own, as `{$request.body#/url}`";
        check_error("/{$request.header.a b}", 18, "");
        check_error("/{$request.header.}", 18, "");
        check_error("/{$request.query.}", 17, "");
        check_error("/{$request.body#/a~b}", 18, "");
        check_error("/a}", 2, "");
        check_error("/{$request.query.a", 1, "end the expression with `}`");
        check_error("/{$request.query.{a}}", 17, own);
        check_error("$request.body#/a{$method}", 16, own);
        check_error("/{{ uuid( }}", 8, "");
    }

    #[test]
    fn hostile_keys_end_soon() {
        let size = 1 << 18;
        for piece in [
            "{",
            "}",
            "{{",
            "{$",
            "{$url}",
            "{{ '",
            "/",
            "$request.body#/~1",
            "é",
            "{$request.query.a",
            "{{ uuid() }}",
        ] {
            let key = piece.repeat(size / piece.len());
            let _ = Url::parse(&key).map(|url| url.needs());
            let _ = Url::parse(&format!("/{key}")).map(|url| url.needs());
            let _ = Url::parse(&format!("{{{key}}}")).map(|url| url.needs());
        }
    }
}
