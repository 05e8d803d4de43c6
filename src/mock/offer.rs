//! What a response is answered with where no example does: an instance of its schema.

use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use http::StatusCode;

use super::media::MediaType;
use super::message::Moment;
use super::reply::{Content, Fields, Reply};
use super::schema::Schemas;
use crate::spec::kept::Schema;
use crate::spec::schema::Direction;

/// One media type of a response, with the schema that says what its bodies are like.
#[derive(Debug)]
pub struct Offer {
    pub media: Arc<MediaType>,
    /// None: nothing is said of the body.
    schema: Option<Schema>,
    fields: Arc<Fields>,
    /// Made when it is first asked for; the same every time.
    fixed: OnceLock<Result<Box<Reply>, Arc<str>>>,
}

/// What replies are made with.
#[derive(Clone, Copy)]
pub struct Making<'m> {
    pub status: StatusCode,
    /// The operation's label, where answers say where they come from.
    pub revealed: Option<&'m str>,
    pub schemas: &'m Schemas,
}

impl Offer {
    pub fn new(media: Arc<MediaType>, schema: Option<Schema>, fields: Arc<Fields>) -> Self {
        Offer { media, schema, fields, fixed: OnceLock::new() }
    }

    /// Whether anything is said of its bodies.
    pub fn has_schema(&self) -> bool {
        self.schema.is_some()
    }

    /// # Errors
    ///
    /// Why there is no instance.
    pub fn fixed(&self, making: &Making<'_>) -> Result<&Reply, Arc<str>> {
        let make = || self.make(making, None).map(Box::new);
        self.fixed.get_or_init(make).as_deref().map_err(Clone::clone)
    }

    /// A random instance.
    ///
    /// # Errors
    ///
    /// Why there is none.
    pub fn random(&self, making: &Making<'_>, moment: Moment) -> Result<Reply, Arc<str>> {
        self.make(making, Some(moment))
    }

    fn make(&self, making: &Making<'_>, _moment: Option<Moment>) -> Result<Reply, Arc<str>> {
        let Some(schema) = &self.schema else {
            // Nothing is said of it: the emptiest body that is one.
            let body = Bytes::from_static(if self.media.is_json() { b"{}" } else { b"" });
            return Ok(self.reply(making, Content::Bytes(body)));
        };
        let _validator = making.schemas.of(schema, Direction::Response).map_err(|error| error.to_string())?;
        let body = Bytes::from_static(b"{}");
        Ok(self.reply(making, Content::Bytes(body)))
    }

    fn reply(&self, making: &Making<'_>, body: Content) -> Reply {
        let mut reply = Reply::with(making.status, Some((*self.media).clone()), body, &self.fields);
        if let Some(label) = making.revealed {
            reply.reveal(label, None);
        }
        reply
    }
}
