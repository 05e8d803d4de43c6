//! A request's body against what is said of it.

use std::sync::Arc;

use http::header::CONTENT_TYPE;

use super::content::Content;
use crate::mock::message::Request;
use crate::mock::schema::Schemas;
use crate::mock::violation::{Place, Violation};
use crate::spec::document::Media;
use crate::spec::kept::Texts;
use crate::spec::schema::Direction;

#[derive(Debug)]
pub struct Body {
    required: bool,
    content: Box<[Content]>,
}

impl Body {
    pub fn of(content: &[Media<'_>], required: bool, texts: &Arc<Texts>) -> Self {
        Body { required, content: content.iter().filter_map(|media| Content::of(media, texts)).collect() }
    }

    pub fn check(&self, request: &Request<'_>, schemas: &Schemas, found: &mut Vec<Violation>) {
        let (headers, body) = (request.head.headers, request.body);
        if body.is_unread() {
            return;
        }
        if body.bytes().is_empty() {
            if self.required {
                found.push(Violation::new(
                    Place::Body,
                    "",
                    "required",
                    "a body is required, and there is none",
                ));
            }
            return;
        }
        if self.content.is_empty() {
            return;
        }
        // RFC 9110, 8.3: who gets no type may look at what is there.
        if !headers.contains_key(CONTENT_TYPE) {
            let content = Content::usual(&self.content);
            content
                .into_iter()
                .for_each(|content| content.check(headers, body, Direction::Request, schemas, found));
            return;
        }
        match Content::find(&self.content, headers) {
            Ok(content) => content.check(headers, body, Direction::Request, schemas, found),
            Err(violation) => found.push(violation),
        }
    }
}
