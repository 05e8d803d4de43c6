//! An answer as it is known at load: plain ones as bytes, the others as templates.

use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};

use super::form;
use super::media::{MediaType, Syntax};
use super::message::Context;
use super::template::{Needs, Template};
use super::violation::Violation;

/// One example in one media type, ready to be sent.
#[derive(Debug)]
pub struct Reply {
    pub status: StatusCode,
    /// None where there is no content.
    pub media: Option<MediaType>,
    /// Everything that the document fixes, `content-length` of a plain body included.
    headers: HeaderMap,
    rendered: Box<[(HeaderName, Arc<Template>)]>,
    body: Content,
    /// What of it is not as its operation says, where every answer is the same.
    flaws: OnceLock<Box<[Violation]>>,
}

/// What a reply's or a call's body is made from. Cheap to clone: operations share their examples.
#[derive(Debug, Clone)]
pub enum Content {
    Bytes(Bytes),
    Template(Arc<Template>),
    /// The media type has no form for the value: why.
    Unwritable(Arc<str>),
}

impl From<Template> for Content {
    fn from(template: Template) -> Self {
        match template.as_literal() {
            Some(text) => Content::Bytes(Bytes::copy_from_slice(text.as_bytes())),
            None => Content::Template(template.into()),
        }
    }
}

impl Content {
    pub fn render(&self, context: &Context<'_>) -> Bytes {
        match self {
            Content::Bytes(bytes) => bytes.clone(),
            Content::Template(template) => template.text(context).into(),
            Content::Unwritable(_) => Bytes::new(),
        }
    }

    /// Why there is no body.
    pub fn unwritable(&self) -> Option<&str> {
        match self {
            Content::Unwritable(reason) => Some(reason),
            _ => None,
        }
    }

    /// What a message with this body has for its `content-type`. A multipart one names its boundary, which
    /// stands in the body's first line (RFC 2046, 5.1.1).
    pub fn content_type(&self, media: &MediaType) -> Option<HeaderValue> {
        let plain = || HeaderValue::from_str(media.as_str()).ok();
        if media.syntax() != Syntax::Multipart || media.parameter("boundary").is_some() {
            return plain();
        }
        let begins = match self {
            Content::Bytes(bytes) => bytes,
            Content::Template(template) => template.beginning().as_bytes(),
            Content::Unwritable(_) => &[],
        };
        let Some(boundary) = form::first_boundary(begins) else { return plain() };
        // Some of a boundary's characters are no token's (RFC 9110, 5.6.2).
        let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"'+_-.".contains(&byte);
        let quote = if boundary.bytes().all(is_token) { "" } else { "\"" };
        HeaderValue::try_from(format!("{media}; boundary={quote}{boundary}{quote}")).ok()
    }

    pub fn needs(&self) -> Needs {
        match self {
            Content::Bytes(_) | Content::Unwritable(_) => Needs::default(),
            Content::Template(template) => template.needs(),
        }
    }
}

/// What replies of a response have besides their bodies.
#[derive(Debug, Default)]
pub struct Fields {
    pub fixed: HeaderMap,
    pub rendered: Vec<(HeaderName, Arc<Template>)>,
}

impl Reply {
    /// A reply with the fields of its response.
    pub fn with(status: StatusCode, media: Option<MediaType>, body: Content, fields: &Fields) -> Self {
        let mut reply = Reply::new(status, media, body);
        reply.headers.extend(fields.fixed.clone());
        reply.rendered = fields.rendered.as_slice().into();
        reply
    }

    pub fn new(status: StatusCode, media: Option<MediaType>, body: Content) -> Self {
        let mut headers = HeaderMap::new();
        let typed = media.as_ref().filter(|_| has_content(status));
        if let Some(value) = typed.and_then(|media| body.content_type(media)) {
            headers.insert(CONTENT_TYPE, value);
        }
        let body = if has_content(status) { body } else { Content::Bytes(Bytes::new()) };
        if let Content::Bytes(bytes) = &body
            && has_length(status)
        {
            headers.insert(CONTENT_LENGTH, bytes.len().into());
        }
        Reply { status, media, headers, rendered: Box::default(), body, flaws: OnceLock::new() }
    }

    /// Adds a field whose value the document fixes.
    pub fn field(&mut self, name: HeaderName, value: HeaderValue) {
        self.headers.append(name, value);
    }

    /// Says where the answer comes from.
    pub fn reveal(&mut self, label: &str, example: Option<&str>) {
        let example = example.map(|name| ("x-standin-example", name));
        let revealed = [("x-standin-source", "mock"), ("x-standin-operation", label)];
        for (header, text) in revealed.into_iter().chain(example) {
            if let Ok(value) = HeaderValue::from_bytes(text.as_bytes()) {
                self.field(HeaderName::from_static(header), value);
            }
        }
    }

    /// Adds fields whose values are rendered for each answer.
    pub fn fields(&mut self, rendered: Vec<(HeaderName, Arc<Template>)>) {
        self.rendered = rendered.into();
    }

    /// Why there is no such answer; none if there is.
    pub fn unwritable(&self) -> Option<&str> {
        self.body.unwritable()
    }

    /// Bytes of the body, if it is known.
    pub fn size(&self) -> usize {
        match &self.body {
            Content::Bytes(bytes) => bytes.len(),
            Content::Template(_) | Content::Unwritable(_) => 0,
        }
    }

    pub fn needs(&self) -> Needs {
        let headers = self.rendered.iter().map(|(_, template)| template.needs());
        headers.fold(self.body.needs(), |all, needs| all | needs)
    }

    /// What `look` finds in an answer made of it. If all are the same, one look is enough.
    pub fn flaws(&self, look: impl FnOnce() -> Vec<Violation>) -> Vec<Violation> {
        if matches!(self.body, Content::Template(_)) || !self.rendered.is_empty() {
            return look();
        }
        self.flaws.get_or_init(|| look().into()).to_vec()
    }

    /// `status` is its own, but for a range or `default` that was asked for as another.
    pub fn render(&self, status: StatusCode, context: &Context<'_>) -> (HeaderMap, Bytes) {
        let mut headers = self.headers.clone();
        let body = if has_content(status) { self.body.render(context) } else { Bytes::new() };
        if !has_content(status) {
            headers.remove(CONTENT_TYPE);
        }
        if !has_length(status) {
            headers.remove(CONTENT_LENGTH);
        } else if status != self.status || matches!(self.body, Content::Template(_)) {
            headers.insert(CONTENT_LENGTH, body.len().into());
        }
        for (name, template) in &self.rendered {
            let text = template.text(context);
            // A header template lets no control character pass, so only its length could be wrong.
            if let Ok(value) = HeaderValue::try_from(text) {
                headers.append(name.clone(), value);
            }
        }
        (headers, body)
    }
}

/// RFC 9110, 6.4.1: these never have content.
fn has_content(status: StatusCode) -> bool {
    !matches!(status, StatusCode::NO_CONTENT | StatusCode::RESET_CONTENT | StatusCode::NOT_MODIFIED)
}

/// RFC 9110, 8.6.
fn has_length(status: StatusCode) -> bool {
    !matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED)
}
