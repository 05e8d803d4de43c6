//! What a response is answered with where no example does: an instance of its schema.

use std::ops::Deref;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use http::{HeaderName, StatusCode};
use serde_json::Value as Json;

use super::body::{self, Objects};
use super::generate;
use super::media::MediaType;
use super::message::Moment;
use super::reply::{Content, Fields, Reply};
use super::schema::{Schemas, Validator};
use super::text::Kinds;
use crate::spec::kept::Schema;
use crate::spec::schema::Direction;

/// Bytes of all bodies together that are kept once they are made.
const KEPT: usize = 64 << 20;

/// One media type of a response, with the schema that says what its bodies are like.
#[derive(Debug)]
pub struct Offer {
    pub media: Arc<MediaType>,
    said: Said,
    head: Arc<Head>,
    /// Made when it is first asked for; the same every time.
    fixed: OnceLock<Result<Box<Reply>, Arc<str>>>,
}

/// What a document says of bodies.
#[derive(Debug)]
pub enum Said {
    Nothing,
    Whole(Schema),
    /// Of each item of a sequential media type (OpenAPI 3.2, 4.14.3).
    Item(Schema),
}

/// What the answers of a response have besides their bodies.
#[derive(Debug, Default)]
pub struct Head {
    pub fields: Fields,
    /// Headers without an example, by their schemas.
    pub instances: Vec<(HeaderName, Objects, Schema)>,
}

/// What replies are made with.
#[derive(Clone, Copy)]
pub struct Making<'m> {
    pub status: StatusCode,
    /// The operation's label, where answers say where they come from.
    pub revealed: Option<&'m str>,
    pub schemas: &'m Schemas,
    pub room: &'m Room,
}

/// What may still be kept: bodies of thousands of operations are many bytes.
#[derive(Debug)]
pub struct Room(AtomicUsize);

/// A reply that is kept, or was made for this answer.
pub enum Given<'m> {
    Kept(&'m Reply),
    Made(Box<Reply>),
}

impl Offer {
    pub fn new(media: Arc<MediaType>, said: Said, head: Arc<Head>) -> Self {
        Offer { media, said, head, fixed: OnceLock::new() }
    }

    /// Whether anything is said of its bodies.
    pub fn has_schema(&self) -> bool {
        self.schema().is_some()
    }

    pub fn schema(&self) -> Option<&Schema> {
        match &self.said {
            Said::Nothing => None,
            Said::Whole(schema) | Said::Item(schema) => Some(schema),
        }
    }

    /// An instance, the same every time.
    ///
    /// # Errors
    ///
    /// Why there is none.
    pub fn fixed<'m>(&'m self, making: &Making<'m>) -> Result<Given<'m>, Arc<str>> {
        if let Some(known) = self.fixed.get() {
            return known.as_deref().map(Given::Kept).map_err(Clone::clone);
        }
        let made = self.make(making, None).map(Box::new);
        let size = made.as_ref().map_or(0, |reply| reply.size());
        if !making.room.take(size) {
            return made.map(Given::Made);
        }
        // Another thread may have been faster: what it made is the same.
        self.fixed.get_or_init(|| made).as_deref().map(Given::Kept).map_err(Clone::clone)
    }

    /// A random instance.
    ///
    /// # Errors
    ///
    /// Why there is none.
    pub fn random(&self, making: &Making<'_>, moment: Moment) -> Result<Given<'static>, Arc<str>> {
        self.make(making, Some(moment)).map(|reply| Given::Made(Box::new(reply)))
    }

    fn make(&self, making: &Making<'_>, moment: Option<Moment>) -> Result<Reply, Arc<str>> {
        let Some(schema) = self.schema() else {
            // Nothing is said of it: the emptiest body that is one.
            let empty = Bytes::from_static(if self.media.is_json() { b"{}" } else { b"" });
            return Ok(self.reply(making, Content::Bytes(empty), moment));
        };
        let (validator, instance) = instance(schema, making.schemas, moment)?;
        let instance = match self.said {
            Said::Item(_) => Json::Array(vec![instance]),
            Said::Whole(_) | Said::Nothing => instance,
        };
        let written = body::of_instance(&instance, &self.media, validator.bundle());
        let body = match written {
            // Anything is allowed, so that it is an object, which this media type has no form for.
            Err(_) if Kinds::of(validator.bundle()) == Kinds::ALL => Content::Bytes("string".into()),
            written => written?,
        };
        Ok(self.reply(making, body, moment))
    }

    fn reply(&self, making: &Making<'_>, body: Content, moment: Option<Moment>) -> Reply {
        let mut reply = Reply::with(making.status, Some((*self.media).clone()), body, &self.head.fields);
        for (name, objects, schema) in &self.head.instances {
            // An answer without a header is better than none.
            let Ok((_, instance)) = instance(schema, making.schemas, moment) else { continue };
            for value in body::header_values(name, *objects, &instance) {
                reply.field(name.clone(), value);
            }
        }
        if let Some(label) = making.revealed {
            reply.reveal(label, None);
        }
        reply
    }
}

/// An instance of a schema, and what holds it; `moment` is there for a random one.
fn instance(
    schema: &Schema,
    schemas: &Schemas,
    moment: Option<Moment>,
) -> Result<(Arc<Validator>, Json), Arc<str>> {
    let validator = schemas.of(schema, Direction::Response).map_err(|error| error.to_string())?;
    let instance = match moment {
        Some(moment) => generate::random(&validator, moment),
        None => generate::fixed(&validator),
    };
    let instance = instance.map_err(|impossible| impossible.to_string())?;
    Ok((validator, instance))
}

impl Default for Room {
    fn default() -> Self {
        Room(AtomicUsize::new(KEPT))
    }
}

impl Room {
    /// Whether there was room for so many bytes.
    pub fn take(&self, bytes: usize) -> bool {
        let less = |left: usize| left.checked_sub(bytes);
        self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less).is_ok()
    }
}

impl Deref for Given<'_> {
    type Target = Reply;

    fn deref(&self) -> &Reply {
        match self {
            Given::Kept(reply) => reply,
            Given::Made(reply) => reply,
        }
    }
}
