//! The errors that Standin itself gives: `application/problem+json` (RFC 9457).

use std::collections::HashSet;

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use serde_json::json;

use super::violation::Violation;

/// One kind of error, by its code in `x-standin-error`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kind {
    pub code: &'static str,
    status: StatusCode,
    title: &'static str,
}

macro_rules! kinds {
    ($($name:ident = $status:ident $code:literal $title:literal;)*) => {
        $(pub const $name: Kind = Kind { code: $code, status: StatusCode::$status, title: $title };)*
    };
}

kinds! {
    BAD_REQUEST = BAD_REQUEST "bad-request" "The request can't be understood";
    AMBIGUOUS_PATH = BAD_REQUEST "ambiguous-path" "The path is spelled in a way that servers read differently";
    UNAUTHORIZED = UNAUTHORIZED "unauthorized" "The request has not got the credentials that the document asks for";
    NO_ROUTE = NOT_FOUND "no-route" "No document lists this path";
    NO_SUCH_EXAMPLE = NOT_FOUND "no-such-example" "The operation has not got the response or example that was asked for";
    NO_EXAMPLE_FITS = NOT_FOUND "no-example-fits" "No example of this operation fits the request";
    METHOD_NOT_ALLOWED = METHOD_NOT_ALLOWED "method-not-allowed" "The path does not have this method";
    NOT_ACCEPTABLE = NOT_ACCEPTABLE "not-acceptable" "The client accepts no media type that there is";
    BODY_TOO_LARGE = PAYLOAD_TOO_LARGE "body-too-large" "The body is larger than a mocked operation reads";
    UNSUPPORTED_MEDIA_TYPE = UNSUPPORTED_MEDIA_TYPE "unsupported-media-type" "The document does not list the body's media type";
    INVALID_REQUEST = UNPROCESSABLE_ENTITY "invalid-request" "The request is not as the document says";
    URI_TOO_LONG = URI_TOO_LONG "uri-too-long" "The request target is too long";
    HEADER_TOO_LARGE = REQUEST_HEADER_FIELDS_TOO_LARGE "header-too-large" "The header section is too large";
    INTERNAL = INTERNAL_SERVER_ERROR "internal" "Standin failed";
    CANNOT_GENERATE = INTERNAL_SERVER_ERROR "cannot-generate" "The document gives nothing to answer with";
    UPSTREAM_CONNECT = BAD_GATEWAY "upstream-connect" "The upstream can't be reached";
    UPSTREAM_PROTOCOL = BAD_GATEWAY "upstream-protocol" "The upstream's answer is broken";
    RESPONSE_VIOLATION = BAD_GATEWAY "response-violation" "The answer is not as the document says";
    OVERLOADED = SERVICE_UNAVAILABLE "overloaded" "Standin has no room for this connection";
    LOOP = LOOP_DETECTED "loop" "The request has been here before";
    UPSTREAM_TIMEOUT = GATEWAY_TIMEOUT "upstream-timeout" "The upstream took too long";
    REQUEST_TIMEOUT = REQUEST_TIMEOUT "request-timeout" "The request took too long to arrive";
}

const CONTENT: HeaderValue = HeaderValue::from_static("application/problem+json");

/// An error as it is sent.
#[derive(Debug)]
pub struct Problem {
    pub kind: Kind,
    pub detail: String,
    /// Fields that it has besides: `allow` of a 405, the challenges of a 401.
    pub fields: Vec<(HeaderName, HeaderValue)>,
    /// What of the message is not as the document says.
    pub violations: Vec<Violation>,
}

impl Problem {
    pub fn new(kind: Kind, detail: impl Into<String>) -> Self {
        Problem { kind, detail: detail.into(), fields: Vec::new(), violations: Vec::new() }
    }

    pub fn status(&self) -> StatusCode {
        self.kind.status
    }

    pub fn render(&self) -> (HeaderMap, Bytes) {
        let Kind { code, status, title } = self.kind;
        let mut body = json!({
            "type": format!("docs/errors.md#{code}"),
            "title": title,
            "status": status.as_u16(),
            "detail": self.detail,
        });
        if !self.violations.is_empty() {
            body["violations"] = self.violations.iter().map(Violation::to_json).collect();
        }
        let body = Bytes::from(body.to_string());
        let mut headers = HeaderMap::with_capacity(4);
        headers.insert(CONTENT_TYPE, CONTENT);
        headers.insert(CONTENT_LENGTH, body.len().into());
        headers.insert(HeaderName::from_static("x-standin-error"), HeaderValue::from_static(code));
        for (name, value) in &self.fields {
            headers.append(name.clone(), value.clone());
        }
        (headers, body)
    }
}

/// Texts of a document for a problem's detail: each once, and no more than anyone reads.
pub fn listed<'t>(texts: impl Iterator<Item = &'t str>) -> String {
    const MOST: usize = 20;
    const LONGEST: usize = 100;
    let mut seen = HashSet::new();
    let mut distinct = texts.filter(|text| seen.insert(*text));
    let shown: Vec<String> =
        distinct.by_ref().take(MOST).map(|text| text.chars().take(LONGEST).collect()).collect();
    match (shown.is_empty(), distinct.count()) {
        (true, _) => "none".to_owned(),
        (false, 0) => shown.join(", "),
        (false, more) => format!("{} and {more} more", shown.join(", ")),
    }
}
