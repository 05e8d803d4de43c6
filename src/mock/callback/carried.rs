//! What calls carry besides their examples, parameters in their place and instances of schemas, and what
//! their receivers may answer.

use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use http::header::COOKIE;
use http::{HeaderMap, HeaderName, HeaderValue};

use super::Payload;
use crate::mock::body;
use crate::mock::generate;
use crate::mock::media::MediaType;
use crate::mock::offer::{Room, Said};
use crate::mock::reply::Content;
use crate::mock::schema::{Schemas, Validator};
use crate::mock::template::{Needs, Template};
use crate::mock::validate::Contract;
use crate::spec::kept::Schema;
use crate::spec::schema::Direction;

/// A parameter of the callback's operation.
#[derive(Debug)]
pub struct Carried {
    pub place: Place,
    /// By the name of their example. At least one.
    pub values: Box<[(Option<Box<str>>, Values)]>,
}

/// What an example of a parameter comes to; several for a header that stands several times.
pub type Values = Arc<[Template]>;

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    Header(HeaderName),
    /// As `name=value` pairs, encoded.
    Query,
    Cookie,
}

/// A body where no example shows one.
#[derive(Debug)]
pub struct Instance {
    media: Arc<MediaType>,
    said: Said,
    made: OnceLock<Option<Arc<Payload>>>,
    room: Arc<Room>,
}

/// What a receiver may answer.
#[derive(Debug)]
pub struct Receiver {
    pub contract: Arc<Contract>,
    pub schemas: Arc<Schemas>,
}

impl Carried {
    /// The value of the example of this name, else that of the first.
    pub fn of(&self, example: Option<&str>) -> &Values {
        let named = self.values.iter().find(|(name, _)| example.is_some() && name.as_deref() == example);
        &named.unwrap_or(&self.values[0]).1
    }

    pub fn needs(&self) -> Needs {
        let texts = self.values.iter().flat_map(|(_, texts)| texts.iter());
        texts.fold(Needs::default(), |needs, text| needs | text.needs())
    }
}

impl Instance {
    pub fn new(media: Arc<MediaType>, said: Said, room: Arc<Room>) -> Self {
        Instance { media, said, made: OnceLock::new(), room }
    }

    pub fn schema(&self) -> Option<&Schema> {
        match &self.said {
            Said::Nothing => None,
            Said::Whole(schema) | Said::Item(schema) => Some(schema),
        }
    }

    /// The same every time, of the properties that a request may have; none where there is none.
    pub fn payload(&self) -> Option<Arc<Payload>> {
        if let Some(made) = self.made.get() {
            return made.clone();
        }
        let bytes = self.make();
        let has_room = self.room.take(bytes.as_ref().map_or(0, Bytes::len));
        let of = |bytes| Payload { example: None, media: (*self.media).clone(), body: Content::Bytes(bytes) };
        let made = bytes.map(|bytes| Arc::new(of(bytes)));
        if has_room {
            // Another thread may have been faster: what it made is the same.
            let _ = self.made.set(made.clone());
        }
        made
    }

    fn make(&self) -> Option<Bytes> {
        let validator = Validator::new(self.schema()?.bundle(Direction::Request).json)?;
        let mut instance = generate::fixed(&validator).ok()?;
        if let Said::Item(_) = self.said {
            instance = serde_json::Value::Array(vec![instance]);
        }
        match body::of_instance(&instance, &self.media, validator.bundle()).ok()? {
            Content::Bytes(bytes) => Some(bytes),
            Content::Template(_) | Content::Unwritable(_) => None,
        }
    }
}

/// Puts rendered parameters where they go.
pub fn put(carried: Vec<(&Place, String)>, url: &mut String, headers: &mut HeaderMap) {
    let of = |wanted: &Place| {
        let texts = carried.iter().filter(|(place, text)| *place == wanted && !text.is_empty());
        texts.map(|(_, text)| text.as_str()).collect::<Vec<_>>()
    };
    let query = of(&Place::Query).join("&");
    // One field for all of them (RFC 6265, 5.4), also for those that are written as a header.
    let written = Place::Header(COOKIE);
    let cookies = [of(&written), of(&Place::Cookie)].concat().join("; ");
    if !query.is_empty() {
        let end = url.find('#').unwrap_or(url.len());
        let sign = match url[..end].split_once('?') {
            None => "?",
            Some((_, before)) if before.is_empty() || before.ends_with('&') => "",
            Some(_) => "&",
        };
        url.insert_str(end, &format!("{sign}{query}"));
    }
    // Neither a header's template nor a pair lets a control character pass.
    if let Ok(cookies) = HeaderValue::try_from(cookies)
        && !cookies.is_empty()
    {
        headers.insert(COOKIE, cookies);
    }
    for (place, text) in carried {
        if let Place::Header(name) = place
            && *place != written
        {
            headers.extend(HeaderValue::try_from(text).ok().map(|value| (name.clone(), value)));
        }
    }
}
