//! Requests, answers and moments as plain data.

use std::borrow::Cow;
use std::sync::OnceLock;

use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode};

use super::form::{self, Part};

/// Time and chance of one request, given from outside so that every rule is a function.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    /// Milliseconds since the Unix epoch.
    pub now: i64,
    /// Seeds everything that is random in one answer or one call.
    pub seed: u64,
}

/// A request's line and header section, borrowed from wherever they live.
#[derive(Debug, Clone, Copy)]
pub struct Head<'r> {
    pub method: &'r Method,
    /// As it came, percent-encoded, without the query.
    pub path: &'r str,
    /// Without the `?`.
    pub query: Option<&'r str>,
    pub headers: &'r HeaderMap,
    /// `http` or `https`.
    pub scheme: &'r str,
    /// Host and port as the client named them; empty if it named none.
    pub authority: &'r str,
}

/// A request with its path's parameters and its body.
#[derive(Clone, Copy)]
pub struct Request<'r> {
    pub head: Head<'r>,
    /// Bytes of `head.path` that are the operation's base path.
    pub base: usize,
    /// Names and decoded values of the path's parameters.
    pub params: &'r [(&'r str, Cow<'r, str>)],
    pub body: &'r Body,
}

/// A body, read in each form at most once and only if something asks.
#[derive(Debug, Default)]
pub struct Body {
    bytes: Bytes,
    /// It was too large to be read, or nobody did.
    unread: bool,
    json: OnceLock<Option<serde_json::Value>>,
    sequence: OnceLock<Option<Vec<serde_json::Value>>>,
    form: OnceLock<Vec<(String, String)>>,
    parts: OnceLock<Option<Vec<Part>>>,
}

/// What was answered, as callbacks may refer to it.
#[derive(Clone, Copy)]
pub struct Response<'r> {
    pub status: StatusCode,
    pub headers: &'r HeaderMap,
    pub body: &'r Body,
}

/// What a template or a runtime expression may refer to.
#[derive(Clone, Copy)]
pub struct Context<'r> {
    pub request: Request<'r>,
    /// None while the response itself is being rendered.
    pub response: Option<Response<'r>>,
    pub moment: Moment,
}

impl Body {
    pub fn new(bytes: Bytes) -> Self {
        Body { bytes, ..Body::default() }
    }

    /// One of which nothing is known.
    pub fn unread() -> Self {
        Body { unread: true, ..Body::default() }
    }

    pub fn is_unread(&self) -> bool {
        self.unread
    }

    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// The body as text; none if it is not UTF-8.
    pub fn text(&self) -> Option<&str> {
        std::str::from_utf8(&self.bytes).ok()
    }

    /// The body as JSON (RFC 8259); none if it is not.
    pub fn json(&self) -> Option<&serde_json::Value> {
        self.json.get_or_init(|| serde_json::from_slice(&self.bytes).ok()).as_ref()
    }

    /// The body as JSON texts one after the other, by lines or by records; none if it is not.
    pub fn sequence(&self) -> Option<&[serde_json::Value]> {
        self.sequence.get_or_init(|| sequence(self.text()?)).as_deref()
    }

    /// The pairs of an urlencoded form, decoded, in their order.
    pub fn form(&self) -> &[(String, String)] {
        self.form.get_or_init(|| form::pairs(&self.bytes))
    }

    /// The parts of a multipart body; none if it is malformed. A message has one content type, so that of
    /// the first who asks counts.
    pub fn multipart(&self, content_type: &str) -> Option<&[Part]> {
        self.parts.get_or_init(|| form::multipart(&self.bytes, content_type)).as_deref()
    }
}

/// JSON texts one after the other: a line each (JSON Lines), or after record separators (RFC 7464).
pub fn sequence(text: &str) -> Option<Vec<serde_json::Value>> {
    let records = text.split('\u{1e}').map(serde_json::Deserializer::from_str);
    records.flat_map(serde_json::Deserializer::into_iter).collect::<Result<_, _>>().ok()
}

impl<'r> Request<'r> {
    /// The first value of a query parameter, decoded (`+` is a space).
    pub fn query(&self, name: &str) -> Option<Cow<'r, str>> {
        let query = self.head.query?;
        url::form_urlencoded::parse(query.as_bytes()).find(|(key, _)| key == name).map(|(_, value)| value)
    }

    /// All values of a query parameter, decoded.
    pub fn queries(&self, name: &str) -> impl Iterator<Item = Cow<'r, str>> {
        let query = self.head.query.unwrap_or("");
        url::form_urlencoded::parse(query.as_bytes())
            .filter(move |(key, _)| key == name)
            .map(|(_, value)| value)
    }

    /// A cookie of the request (RFC 6265, 5.4), percent-decoded where it is encoded.
    pub fn cookie(&self, name: &str) -> Option<Cow<'r, str>> {
        let fields = self
            .head
            .headers
            .get_all(http::header::COOKIE)
            .into_iter()
            .filter_map(|value| value.to_str().ok());
        let (_, value) = fields
            .flat_map(|field| field.split(';'))
            .filter_map(|pair| pair.trim().split_once('='))
            .find(|(key, _)| *key == name)?;
        Some(percent_encoding::percent_decode_str(value.trim_matches('"')).decode_utf8_lossy())
    }

    /// A parameter of the path, decoded.
    pub fn param(&self, name: &str) -> Option<&'r str> {
        self.params.iter().find(|(key, _)| *key == name).map(|(_, value)| value.as_ref())
    }

    /// The first header field of that name, if it is text.
    pub fn header(&self, name: &str) -> Option<&'r str> {
        self.head.headers.get(name).and_then(|value| value.to_str().ok())
    }
}
