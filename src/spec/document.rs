//! The part of OpenAPI that Standin uses, whatever version it was written in.
//!
//! Everything borrows from the trees: a document is a view, made at load and dropped once the mocks
//! are compiled.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::Method;

use crate::config::{Delay, Missing, Mode, Unmatched};
use crate::tree::{Key, Spot, Value};

pub struct Document<'t> {
    pub source: Arc<str>,
    pub title: &'t str,
    /// `info.version`
    pub version: String,
    /// The version of OpenAPI, as the document gives it.
    pub openapi: String,
    pub format: Format,
    pub operations: Vec<Operation<'t>>,
}

/// The format that a document is written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Format {
    /// Swagger 2.0.
    V2,
    V30,
    V31,
    V32,
}

pub struct Operation<'t> {
    /// The method's key under the path: where diagnostics about the whole operation point.
    pub key: Key<'t>,
    pub path_key: Key<'t>,
    pub id: Option<&'t str>,
    pub method: Method,
    /// The path template, without its base path.
    pub path: &'t str,
    /// Every distinct path of the nearest `servers`, without a trailing slash; `""` where there is none.
    pub bases: Vec<String>,
    pub tags: Vec<&'t str>,
    pub parameters: Vec<Parameter<'t>>,
    pub bodies: Vec<Media<'t>>,
    /// Whether a request without a body is none.
    pub body_required: bool,
    pub responses: Vec<Response<'t>>,
    /// Of which responses nothing is known, since they can't be read.
    pub unread: Vec<StatusPattern>,
    pub callbacks: Vec<Callback<'t>>,
    /// Alternatives, of which a request needs one. None: it needs nothing.
    pub security: Arc<[Requirement<'t>]>,
    pub deprecated: bool,
    /// None for most.
    pub extension: Option<Box<Extension>>,
}

/// What an operation says of itself for Standin: `x-standin`, and Microcks' own.
#[derive(Default)]
pub struct Extension {
    pub mode: Option<Mode>,
    pub missing: Option<Missing>,
    pub unmatched: Option<Unmatched>,
    pub delay: Option<Delay>,
}

/// What a request needs together.
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct Requirement<'t> {
    pub credentials: Vec<Credential<'t>>,
}

#[derive(Debug, PartialEq, Eq, Hash)]
pub struct Credential<'t> {
    /// Its scheme, as the requirement calls it.
    pub name: &'t str,
    pub scheme: Scheme<'t>,
    pub scopes: Vec<&'t str>,
}

/// Where a credential is, and what it looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Scheme<'t> {
    /// In a header, in the query or in a cookie, by that name.
    ApiKey(Location, &'t str),
    /// A scheme of HTTP authentication.
    Http(&'t str),
    /// OAuth 2 and OpenID Connect: a bearer token.
    Token,
    /// A client's certificate.
    Mutual,
    /// What it is can't be known, which is told.
    Unknown,
}

#[derive(Clone)]
pub struct Parameter<'t> {
    /// Where it is described, references followed; in Swagger 2.0 its schema too.
    pub at: Value<'t>,
    pub name: &'t str,
    pub location: Location,
    pub style: Style,
    pub explode: bool,
    pub required: bool,
    /// `allowEmptyValue`: a query may have it without a value.
    pub allow_empty: bool,
    pub schema: Option<Value<'t>>,
    /// The one media type of its `content`, which it may have instead of a schema.
    pub media: Option<&'t str>,
    pub examples: Vec<Example<'t>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Location {
    Path,
    Query,
    /// The whole query as one value (3.2, 4.12.1).
    Querystring,
    Header,
    Cookie,
}

/// How a parameter's value is written (3.2, 4.12.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Style {
    Simple,
    /// `;name=value`, in paths.
    Matrix,
    /// `.value`, in paths.
    Label,
    Form,
    SpaceDelimited,
    PipeDelimited,
    DeepObject,
    /// As `form`, with `; ` between; since 3.2.
    Cookie,
}

/// One media type of a request or response.
#[derive(Clone)]
pub struct Media<'t> {
    pub name: &'t str,
    /// Where it is named.
    pub at: Spot<'t>,
    pub schema: Option<Value<'t>>,
    /// Of each item of a sequential media type; since 3.2.
    pub item_schema: Option<Value<'t>>,
    /// Of a form in Swagger 2.0, which has no schema for the whole.
    pub fields: Vec<FormField<'t>>,
    pub examples: Vec<Example<'t>>,
}

impl<'t> Media<'t> {
    /// A media type that nothing is said of.
    pub fn new(name: &'t str, at: Spot<'t>) -> Self {
        Media { name, at, schema: None, item_schema: None, fields: Vec::new(), examples: Vec::new() }
    }
}

/// A field of a form, `in: formData` (2.0, Parameter Object). It says its type itself.
#[derive(Clone)]
pub struct FormField<'t> {
    /// Where it is described, references followed.
    pub at: Value<'t>,
    pub name: &'t str,
    pub style: Style,
    pub explode: bool,
    pub required: bool,
    pub examples: Vec<Example<'t>>,
}

#[derive(Clone, Copy)]
pub struct Example<'t> {
    /// None for the singular `example`.
    pub name: Option<&'t str>,
    /// The value, or what leads to it.
    pub at: Value<'t>,
    pub shown: Shown<'t>,
    /// The same as data, where `shown` is the form that is sent.
    pub data: Option<Value<'t>>,
}

impl<'t> Example<'t> {
    /// What a request is compared with: data where there is any, since it may be written in many ways.
    pub fn compared(&self) -> Shown<'t> {
        self.data.map_or(self.shown, Shown::Data)
    }
}

/// What an example shows.
#[derive(Clone, Copy)]
pub enum Shown<'t> {
    /// `value`, `dataValue` or a bare `example`: data, to be written as its media type has it.
    Data(Value<'t>),
    /// `serializedValue`: what is sent, as it stands.
    Text(&'t str),
    /// `externalValue`: the file that is sent, as it stands.
    File(&'t Bytes),
}

pub struct Response<'t> {
    pub status: StatusPattern,
    pub key: Key<'t>,
    pub content: Vec<Media<'t>>,
    pub headers: Vec<Field<'t>>,
    /// `x-microcks-refs`: the names of the exchanges that end in this response, which has no content.
    pub refs: Vec<&'t str>,
}

/// A header of a response, with the example that gives its value.
pub struct Field<'t> {
    pub key: Key<'t>,
    pub name: &'t str,
    /// Where it is described, references followed.
    pub at: Value<'t>,
    pub required: bool,
    pub style: Style,
    pub explode: bool,
    pub schema: Option<Value<'t>>,
    /// The one media type of its `content`, which it may have instead of a schema.
    pub media: Option<&'t str>,
    pub examples: Vec<Example<'t>>,
}

/// OpenAPI 3.1, 4.8.16: a status code, a range of them, or everything else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StatusPattern {
    Code(u16),
    /// `2XX` is `Range(2)`.
    Range(u8),
    Default,
}

/// One request that a callback describes: a URL key and a method below it.
pub struct Callback<'t> {
    pub name: &'t str,
    pub url: Key<'t>,
    pub key: Key<'t>,
    pub method: Method,
    /// In place of the key, if the extension says.
    pub address: Option<Value<'t>>,
    pub order: Option<i64>,
    pub delay: Option<Delay>,
    /// Waits between attempts.
    pub retry: Option<Arc<[Duration]>>,
    pub when: Option<When<'t>>,
    pub repeat: Option<Repeat>,
    pub parameters: Vec<Parameter<'t>>,
    pub bodies: Vec<Media<'t>>,
    /// What the receiver may answer. Their `x-microcks-refs` are names for a callback whose request has no
    /// examples.
    pub responses: Vec<Response<'t>>,
    /// Of which responses nothing is known, since they can't be read.
    pub unread: Vec<StatusPattern>,
}

/// Which answers a callback goes with; of a list that is empty, all.
#[derive(Debug)]
pub struct When<'t> {
    pub at: Value<'t>,
    pub statuses: Vec<StatusPattern>,
    pub examples: Vec<&'t str>,
}

/// How often a callback goes out.
#[derive(Debug, Clone, Copy)]
pub struct Repeat {
    pub times: usize,
    /// Before each but the first; none: its delay.
    pub every: Option<Duration>,
}

impl<'t> Callback<'t> {
    /// What its receiver may answer.
    pub fn statuses(&self) -> impl Iterator<Item = StatusPattern> {
        self.responses.iter().map(|response| response.status).chain(self.unread.iter().copied())
    }

    /// Where it goes, as it is written, and where that stands.
    pub fn target(&self) -> (Cow<'t, str>, Spot<'t>) {
        match self.address {
            Some(value) => (value.text().unwrap_or_default(), Spot::Value(value)),
            None => (Cow::Borrowed(self.url.text()), Spot::Key(self.url)),
        }
    }
}

/// As documents write it.
impl fmt::Display for StatusPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StatusPattern::Code(code) => write!(f, "{code}"),
            StatusPattern::Range(class) => write!(f, "{class}XX"),
            StatusPattern::Default => f.write_str("default"),
        }
    }
}

impl StatusPattern {
    pub fn parse(key: &str) -> Option<Self> {
        if key == "default" {
            return Some(StatusPattern::Default);
        }
        let bytes = key.as_bytes();
        match bytes {
            [class @ b'1'..=b'5', b'X' | b'x', b'X' | b'x'] => Some(StatusPattern::Range(class - b'0')),
            [b'1'..=b'5', b'0'..=b'9', b'0'..=b'9'] => key.parse().ok().map(StatusPattern::Code),
            _ => None,
        }
    }

    pub fn covers(self, status: u16) -> bool {
        match self {
            StatusPattern::Code(code) => code == status,
            StatusPattern::Range(class) => u16::from(class) == status / 100,
            StatusPattern::Default => true,
        }
    }

    /// Whether there is a status that both cover.
    pub fn meets(self, other: StatusPattern) -> bool {
        match (self, other) {
            (StatusPattern::Code(code), pattern) | (pattern, StatusPattern::Code(code)) => {
                pattern.covers(code)
            }
            (StatusPattern::Range(one), StatusPattern::Range(other)) => one == other,
            (StatusPattern::Default, _) | (_, StatusPattern::Default) => true,
        }
    }

    /// The status that is sent for it: a range gives its first code, `default` is a success.
    pub fn status(self) -> http::StatusCode {
        let code = match self {
            StatusPattern::Code(code) => code,
            StatusPattern::Range(class) => u16::from(class) * 100,
            StatusPattern::Default => 200,
        };
        http::StatusCode::from_u16(code).unwrap_or(http::StatusCode::OK)
    }

    /// 1xx: sent before an answer, and never as one (RFC 9110, 15.2).
    pub fn is_informational(self) -> bool {
        matches!(self, StatusPattern::Code(100..=199) | StatusPattern::Range(1))
    }

    /// Orders the responses of an operation for an answer that nobody asked for in particular:
    /// the lowest 2xx, `2XX`, `default`, then the others as the document lists them.
    pub fn preference(self) -> u16 {
        match self {
            StatusPattern::Code(code @ 200..=299) => code,
            StatusPattern::Range(2) => 300,
            StatusPattern::Default => 301,
            _ => 302,
        }
    }
}
