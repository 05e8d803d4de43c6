//! Media types that a document lists, and which of them a message has.

use std::borrow::Cow;
use std::sync::Arc;

use bytes::Bytes;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue};
use serde_json::Value as Json;

use super::parameter::Value;
use super::{MOST, tell, told, validator};
use crate::diagnostic::cut;
use crate::mock::media::{ContentType, MediaType, Syntax};
use crate::mock::message;
use crate::mock::schema::Schemas;
use crate::mock::style::{Writing, Written};
use crate::mock::text::{Taken, View};
use crate::mock::violation::{Place, Violation};
use crate::mock::xml;
use crate::spec::document;
use crate::spec::kept::{Schema, Texts};
use crate::spec::schema::Direction;

/// Media types that a message names.
const LISTED: usize = 5;

/// Pairs of a form that are looked at.
const PAIRS: usize = 10_000;

/// One media type, and what is said of its bodies.
#[derive(Debug)]
pub struct Content {
    media: MediaType,
    schema: Option<Schema>,
    item_schema: Option<Schema>,
    /// Of a form in Swagger 2.0.
    fields: Box<[(Writing, Value)]>,
}

impl Content {
    /// None where its name is none.
    pub fn of(media: &document::Media<'_>, texts: &Arc<Texts>) -> Option<Content> {
        let field = |field: &document::FormField<'_>| {
            let schema = Some(texts.schema(field.at));
            let value = Value { schema, required: field.required, allow_empty: false, hidden: false };
            (Writing::from(field), value)
        };
        Some(Content {
            media: MediaType::parse(media.name)?,
            schema: media.schema.map(|schema| texts.schema(schema)),
            item_schema: media.item_schema.map(|schema| texts.schema(schema)),
            fields: media.fields.iter().map(field).collect(),
        })
    }

    /// The one that a message has.
    ///
    /// # Errors
    ///
    /// None of them; what is said of it.
    pub fn find<'c>(all: &'c [Content], headers: &HeaderMap) -> Result<&'c Content, Violation> {
        let sent = ContentType::of(headers);
        let close = all.iter().rev().filter_map(|content| Some((sent.closeness(&content.media)?, content)));
        let best = close.max_by_key(|(closeness, _)| *closeness);
        best.map(|(_, content)| content).ok_or_else(|| {
            let there = match headers.get(CONTENT_TYPE) {
                Some(value) => {
                    format!("`{}`", cut(&String::from_utf8_lossy(value.as_bytes())).replace('`', ""))
                }
                None => "a body without a content type".to_owned(),
            };
            let listed: Vec<_> = all.iter().take(LISTED).map(|content| content.media.as_str()).collect();
            let more = if all.len() > LISTED { ", ..." } else { "" };
            let message = format!("{there} is not listed; there are {}{more}", listed.join(", "));
            Violation::new(Place::ContentType, "", "content", message)
        })
    }

    /// The one that a body without a content type is taken for: JSON, else the first; none where the document
    /// names ranges only.
    pub fn usual(all: &[Content]) -> Option<&Content> {
        let mut types = all.iter().filter(|content| !content.media.is_range());
        types.clone().find(|content| content.media.is_json()).or_else(|| types.next())
    }

    /// Whether more is said of a body than its media type.
    pub fn looks(&self, headers: &HeaderMap) -> bool {
        let opaque = matches!(self.syntax(headers), Syntax::Events | Syntax::Binary | Syntax::Other);
        !is_encoded(headers) && !opaque
    }

    /// How a message's body is written, where the document means several by one name.
    fn syntax(&self, headers: &HeaderMap) -> Syntax {
        if !self.media.is_range() {
            return self.media.syntax();
        }
        let sent = headers.get(CONTENT_TYPE).and_then(|value| MediaType::parse(value.to_str().ok()?));
        sent.map_or(self.media.syntax(), |sent| sent.syntax())
    }

    /// Holds a body against its schema.
    pub fn check(
        &self,
        headers: &HeaderMap,
        body: &message::Body,
        direction: Direction,
        schemas: &Schemas,
        found: &mut Vec<Violation>,
    ) {
        if is_encoded(headers) {
            return;
        }
        match self.syntax(headers) {
            Syntax::Json => match body.json() {
                Some(json) => self.value(json, direction, schemas, found),
                None => found.extend(malformed(body.bytes())),
            },
            Syntax::Lines | Syntax::Records => match body.sequence() {
                Some(items) => self.sequence(items, direction, schemas, found),
                None => {
                    let message = "this is no sequence of JSON texts";
                    found.push(Violation::new(Place::Body, "", "content", message));
                }
            },
            Syntax::Form => self.form(body, direction, schemas, found),
            Syntax::Multipart => self.multipart(headers, body, direction, schemas, found),
            Syntax::Xml => self.xml(body, direction, schemas, found),
            Syntax::Text => self.text(body, direction, schemas, found),
            Syntax::Events | Syntax::Binary | Syntax::Other => {}
        }
    }

    fn value(&self, json: &Json, direction: Direction, schemas: &Schemas, found: &mut Vec<Violation>) {
        let Some(validator) = validator(self.schema.as_ref(), direction, schemas) else { return };
        tell(Place::Body, "", &validator, json, found);
    }

    fn sequence(&self, items: &[Json], direction: Direction, schemas: &Schemas, found: &mut Vec<Violation>) {
        if let Some(validator) = validator(self.item_schema.as_ref(), direction, schemas) {
            let misfits = validator.misfits_among(items, MOST.saturating_sub(found.len()));
            found
                .extend(misfits.into_iter().map(|(at, misfit)| told(Place::Body, &format!("/{at}"), misfit)));
        }
        if self.schema.is_some() {
            self.value(&Json::Array(items.to_vec()), direction, schemas, found);
        }
    }

    fn text(
        &self,
        body: &message::Body,
        direction: Direction,
        schemas: &Schemas,
        found: &mut Vec<Violation>,
    ) {
        let Some(validator) = validator(self.schema.as_ref(), direction, schemas) else { return };
        let Some(text) = body.text() else { return };
        let read = |taken| validator.kinds().read(text, taken);
        if !validator.fits(&read(Taken::AsText)) {
            tell(Place::Body, "", &validator, &read(Taken::AsTyped), found);
        }
    }

    fn form(
        &self,
        body: &message::Body,
        direction: Direction,
        schemas: &Schemas,
        found: &mut Vec<Violation>,
    ) {
        let Some(text) = body.text() else { return };
        for (writing, value) in &self.fields {
            let name = format!("/{}", writing.name.replace('~', "~0").replace('/', "~1"));
            let read = |shape| writing.query(shape, text);
            value.check(Place::Body, &name, read, schemas, found);
        }
        let pairs = || url::form_urlencoded::parse(text.as_bytes()).take(PAIRS);
        self.fields(pairs, direction, schemas, found);
    }

    /// RFC 7578: the parts of a form are its fields. What a file has inside is only compared as a text.
    fn multipart(
        &self,
        headers: &HeaderMap,
        body: &message::Body,
        direction: Direction,
        schemas: &Schemas,
        found: &mut Vec<Violation>,
    ) {
        let kind = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let Some(parts) = body.multipart(kind) else {
            let message = "this is no multipart body of its boundary";
            return found.push(Violation::new(Place::Body, "", "content", message));
        };
        let named = || parts.iter().filter_map(|part| Some((part.name.as_deref()?, part)));
        for (writing, value) in &self.fields {
            let name = format!("/{}", writing.name.replace('~', "~0").replace('/', "~1"));
            let own = || named().filter(|(name, _)| **name == *writing.name).map(|(_, part)| part.text());
            value.check(Place::Body, &name, |shape| Written::several(shape, own().collect()), schemas, found);
        }
        let pairs = || named().take(PAIRS).map(|(name, part)| (Cow::Borrowed(name), part.text()));
        self.fields(pairs, direction, schemas, found);
    }

    /// Fields as an object of the schema.
    fn fields<'r, I: Iterator<Item = (Cow<'r, str>, Cow<'r, str>)>>(
        &self,
        pairs: impl Fn() -> I,
        direction: Direction,
        schemas: &Schemas,
        found: &mut Vec<Violation>,
    ) {
        let Some(validator) = validator(self.schema.as_ref(), direction, schemas) else { return };
        let view = View::of(validator.bundle());
        let typed = view.fields(pairs(), Taken::AsTyped);
        if !validator.fits(&typed) && !validator.fits(&view.fields(pairs(), Taken::AsText)) {
            tell(Place::Body, "", &validator, &typed, found);
        }
    }

    /// By the `xml` keywords of the schema; without one only that it is XML.
    fn xml(&self, body: &message::Body, direction: Direction, schemas: &Schemas, found: &mut Vec<Violation>) {
        let Some(validator) = validator(self.schema.as_ref(), direction, schemas) else { return };
        // Of another encoding nothing is said.
        let Some(text) = body.text() else { return };
        match xml::read(text, validator.bundle()) {
            Some(instance) => tell(Place::Body, "", &validator, &instance, found),
            None if xml::is_malformed(text) => {
                found.push(Violation::new(Place::Body, "", "content", "this is no XML"));
            }
            None => {}
        }
    }
}

/// A body that is compressed is not looked into.
fn is_encoded(headers: &HeaderMap) -> bool {
    let is_plain = |coding: &HeaderValue| coding.as_bytes().eq_ignore_ascii_case(b"identity");
    !headers.get_all(CONTENT_ENCODING).iter().all(is_plain)
}

/// None of JSON that is nested deeper than is read, or has a number beyond those that are.
fn malformed(body: &Bytes) -> Option<Violation> {
    let message = match serde_json::from_slice::<serde::de::IgnoredAny>(body) {
        _ if body.is_empty() => "it is empty, which is no JSON".to_owned(),
        Err(error) => format!("this is no JSON: {error}"),
        Ok(_) => return None,
    };
    Some(Violation::new(Place::Body, "", "content", message))
}
