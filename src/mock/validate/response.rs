//! A response against what is said of it.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, StatusCode};

use super::content::Content;
use super::parameter::{Value, is_hidden};
use crate::mock::message;
use crate::mock::schema::Schemas;
use crate::mock::style::Writing;
use crate::mock::violation::{Place, Violation};
use crate::spec::document::{self, Location, StatusPattern};
use crate::spec::kept::Texts;
use crate::spec::schema::Direction;

/// Responses that a message names.
const LISTED: usize = 20;

#[derive(Debug)]
pub struct Response {
    status: StatusPattern,
    headers: Box<[(Writing, Value)]>,
    content: Box<[Content]>,
}

impl Response {
    pub fn of_document(response: &document::Response<'_>, texts: &Arc<Texts>, redact: &[HeaderName]) -> Self {
        let content = response.content.iter().filter_map(|media| Content::of(media, texts));
        // 3.0, 4.7.17: `content-type` among them is ignored.
        let headers =
            response.headers.iter().filter(|field| !field.name.eq_ignore_ascii_case("content-type"));
        let header = |field: &document::Field<'_>| {
            let &document::Field { name, required, style, explode, .. } = field;
            // What is written under a media type is looked at for its presence.
            let schema = field.schema.filter(|_| field.media.is_none()).map(|schema| texts.schema(schema));
            let writing = Writing { name: name.into(), location: Location::Header, style, explode };
            let hidden = is_hidden(name, redact);
            (writing, Value { schema, required, allow_empty: false, hidden })
        };
        Response {
            status: response.status,
            headers: headers.map(header).collect(),
            content: content.collect(),
        }
    }

    /// One that nothing is known of but its status.
    pub fn unread(status: StatusPattern) -> Self {
        Response { status, headers: Box::default(), content: Box::default() }
    }

    /// The one of a status: its own, else its range's, else the default.
    pub fn of(all: &[Arc<Response>], status: StatusCode) -> Option<&Response> {
        let code = status.as_u16();
        let find =
            |wanted: fn(StatusPattern, u16) -> bool| all.iter().find(move |own| wanted(own.status, code));
        let found = find(|own, code| own == StatusPattern::Code(code))
            .or_else(|| {
                find(|own, code| matches!(own, StatusPattern::Range(class) if u16::from(class) == code / 100))
            })
            .or_else(|| find(|own, _| own == StatusPattern::Default));
        found.map(|own| &**own)
    }

    pub fn needs_body(&self, status: StatusCode, headers: &HeaderMap) -> bool {
        !is_bare(status) && Content::find(&self.content, headers).is_ok_and(|content| content.looks(headers))
    }

    pub fn check(
        &self,
        status: StatusCode,
        headers: &HeaderMap,
        body: Option<&Bytes>,
        schemas: &Schemas,
        found: &mut Vec<Violation>,
    ) {
        for (writing, value) in &self.headers {
            let read = |shape| writing.header(shape, headers);
            value.check_in(Direction::Response, Place::Header, &writing.name, read, schemas, found);
        }
        let says =
            headers.contains_key(http::header::CONTENT_TYPE) || body.is_some_and(|body| !body.is_empty());
        if self.content.is_empty() || is_bare(status) || body.is_none() && !says {
            return;
        }
        let content = match Content::find(&self.content, headers) {
            // What has neither a type nor a body lacks the body.
            Err(_) if !says => Content::usual(&self.content),
            Ok(content) => Some(content),
            Err(violation) => return found.push(violation),
        };
        if let (Some(content), Some(body)) = (content, body) {
            let body = message::Body::new(body.clone());
            content.check(headers, &body, Direction::Response, schemas, found);
        }
    }
}

/// RFC 9110, 6.4.1 and 15.3.6: whether no answer with this status has a body.
fn is_bare(status: StatusCode) -> bool {
    let bare = [StatusCode::NO_CONTENT, StatusCode::RESET_CONTENT, StatusCode::NOT_MODIFIED];
    status.is_informational() || bare.contains(&status)
}

pub fn undescribed(all: &[Arc<Response>], status: StatusCode) -> Violation {
    let there: Vec<_> = all.iter().take(LISTED).map(|own| own.status.to_string()).collect();
    let message = format!("{} is not described; there are {}", status.as_u16(), there.join(", "));
    Violation::new(Place::Status, "", "responses", message)
}

/// What tells statuses apart.
pub fn number(status: StatusPattern) -> u16 {
    match status {
        StatusPattern::Code(code) => code,
        StatusPattern::Range(class) => class.into(),
        StatusPattern::Default => 0,
    }
}
