//! Values of parameters and headers against their schemas.

use std::borrow::Cow;
use std::sync::Arc;

use http::HeaderName;
use http::header::COOKIE;
use serde_json::Value as Json;

use super::{tell, validator};
use crate::mock::media::{MediaType, Syntax};
use crate::mock::message::Request;
use crate::mock::schema::{Schemas, Validator};
use crate::mock::style::{Shape, Writing, Written};
use crate::mock::text::{Kinds, Taken, View};
use crate::mock::violation::{Place, Violation};
use crate::spec::document::{self, Location, Style};
use crate::spec::kept::{Schema, Texts};
use crate::spec::schema::Direction;

/// Unknown names of a query that are told.
const UNKNOWN: usize = 20;

#[derive(Debug)]
pub struct Parameter {
    writing: Writing,
    value: Value,
    /// Of its `content`.
    media: Option<Syntax>,
}

/// What is said of a value that is written as text.
#[derive(Debug)]
pub struct Value {
    pub schema: Option<Schema>,
    pub required: bool,
    /// Whether it may be there without a value.
    pub allow_empty: bool,
    /// Whether it is one that the journal must not keep, which has violations too.
    pub hidden: bool,
}

/// What is said of a hidden value.
const HIDDEN: &str = "it does not fit its schema; its value is not shown";

/// 3.0, 4.7.12.1: header parameters of these names are ignored.
pub fn is_ignored(parameter: &document::Parameter<'_>) -> bool {
    let ignored = ["accept", "content-type", "authorization"];
    parameter.location == Location::Header
        && ignored.iter().any(|name| parameter.name.eq_ignore_ascii_case(name))
}

impl Parameter {
    /// Whether a request can be at odds with it. A path that lacks its parameter is another path.
    pub fn says(parameter: &document::Parameter<'_>) -> bool {
        parameter.schema.is_some() || parameter.required && parameter.location != Location::Path
    }

    pub fn of(parameter: &document::Parameter<'_>, texts: &Arc<Texts>, redact: &[HeaderName]) -> Self {
        let field = match parameter.location {
            Location::Header => parameter.name,
            Location::Cookie => COOKIE.as_str(),
            _ => "",
        };
        let value = Value {
            schema: parameter.schema.map(|schema| texts.schema(schema)),
            required: parameter.required && parameter.location != Location::Path,
            allow_empty: parameter.allow_empty && parameter.location == Location::Query,
            hidden: is_hidden(field, redact),
        };
        let media = parameter
            .media
            .map(|media| MediaType::parse(media).map_or(Syntax::Other, |media| media.syntax()));
        Parameter { writing: parameter.into(), value, media }
    }

    pub fn check(
        &self,
        request: &Request<'_>,
        all: &[Arc<Parameter>],
        schemas: &Schemas,
        found: &mut Vec<Violation>,
    ) {
        let place = self.place();
        if let Some(syntax) = self.media {
            return self.check_media(syntax, request, schemas, found);
        }
        let read = |shape| self.writing.read(shape, request);
        if !self.spreads() {
            return self.value.check(place, &self.writing.name, read, schemas, found);
        }
        // Its fields stand among those of others.
        let validator = validator(self.value.schema.as_ref(), Direction::Request, schemas);
        let view = validator.as_ref().map(|validator| View::of(validator.bundle()));
        let others = |name: &str| all.iter().any(|other| other.is_called(self.writing.location, name));
        let own = |shape| match (read(shape), &view) {
            (Written::Fields(mut fields), Some(view)) => {
                let open = view.is_open();
                fields.retain(|(name, _)| {
                    let base = name.split_once('[').map_or(&**name, |(base, _)| base);
                    view.names(base) || view.names(name) || open && !others(name)
                });
                if fields.is_empty() { Written::Nothing } else { Written::Fields(fields) }
            }
            (written, _) => written,
        };
        self.value.check(place, &self.writing.name, own, schemas, found);
    }

    fn place(&self) -> Place {
        match self.writing.location {
            Location::Path => Place::Path,
            Location::Query | Location::Querystring => Place::Query,
            Location::Header => Place::Header,
            Location::Cookie => Place::Cookie,
        }
    }

    /// Whether the fields of an object stand beside other parameters, without its name.
    fn spreads(&self) -> bool {
        let Writing { location, style, explode, .. } = self.writing;
        explode && style != Style::DeepObject && matches!(location, Location::Query | Location::Cookie)
    }

    fn is_called(&self, location: Location, name: &str) -> bool {
        let Writing { name: own, location: place, style, .. } = &self.writing;
        let deep = || name.strip_prefix(&**own).is_some_and(|rest| rest.starts_with('['));
        *place == location && (**own == *name || *style == Style::DeepObject && deep())
    }

    /// Whether a name of the query is this parameter's, or one of its fields.
    fn takes(&self, name: &str, schemas: &Schemas) -> bool {
        match self.writing.location {
            Location::Querystring => true,
            Location::Query if self.is_called(Location::Query, name) => true,
            Location::Query if self.spreads() => {
                let validator = validator(self.value.schema.as_ref(), Direction::Request, schemas);
                let only_object = |validator: &&Arc<Validator>| validator.kinds().has(Kinds::OBJECT);
                validator.as_ref().filter(only_object).is_some_and(|validator| {
                    let view = View::of(validator.bundle());
                    view.names(name) || validator.kinds() == Kinds::OBJECT && view.is_open()
                })
            }
            _ => false,
        }
    }

    /// A value that is written as a media type has it.
    fn check_media(
        &self,
        syntax: Syntax,
        request: &Request<'_>,
        schemas: &Schemas,
        found: &mut Vec<Violation>,
    ) {
        let (place, name) = (self.place(), &*self.writing.name);
        let text = match self.writing.read(Shape::Scalar, request) {
            Written::Scalar(text) => text,
            Written::Malformed(why) => return found.push(Violation::new(place, name, "content", why)),
            _ => return self.value.missing(place, name, found),
        };
        let validator = validator(self.value.schema.as_ref(), Direction::Request, schemas);
        let json = match syntax {
            Syntax::Json => match serde_json::from_str::<Json>(&text) {
                Ok(json) => json,
                Err(error) => {
                    let message = format!("this is no JSON: {error}");
                    return found.push(Violation::new(place, name, "content", message));
                }
            },
            Syntax::Form => {
                let Some(validator) = &validator else { return };
                // The whole query, which must not be decoded before it is taken apart.
                let whole = match self.writing.location {
                    Location::Querystring => request.head.query.unwrap_or_default(),
                    _ => &*text,
                };
                let pairs = url::form_urlencoded::parse(whole.as_bytes()).take(10_000);
                View::of(validator.bundle()).fields(pairs, Taken::AsTyped)
            }
            _ => text.into_owned().into(),
        };
        if let Some(validator) = validator {
            self.value.tell(place, name, &validator, &json, found);
        }
    }
}

/// Whether the values of a field are not kept.
pub fn is_hidden(field: &str, redact: &[HeaderName]) -> bool {
    redact.iter().any(|name| name.as_str().eq_ignore_ascii_case(field))
}

impl Value {
    pub fn check<'r>(
        &self,
        place: Place,
        name: &str,
        read: impl Fn(Shape) -> Written<'r>,
        schemas: &Schemas,
        found: &mut Vec<Violation>,
    ) {
        self.check_in(Direction::Request, place, name, read, schemas, found);
    }

    /// Holds a value against its schema, in each form and as each type that it may be: that it fits as
    /// one of them is enough.
    pub fn check_in<'r>(
        &self,
        direction: Direction,
        place: Place,
        name: &str,
        read: impl Fn(Shape) -> Written<'r>,
        schemas: &Schemas,
        found: &mut Vec<Violation>,
    ) {
        let Some(validator) = validator(self.schema.as_ref(), direction, schemas) else {
            if matches!(read(Shape::Scalar), Written::Nothing) {
                self.missing(place, name, found);
            }
            return;
        };
        let mut malformed = None;
        let mut other: Option<Json> = None;
        for shape in validator.kinds().shapes() {
            let written = match read(shape) {
                Written::Nothing => continue,
                Written::Malformed(why) => {
                    malformed.get_or_insert(why);
                    continue;
                }
                written => written,
            };
            if self.allow_empty && is_empty(&written) {
                return;
            }
            let typed = of(&written, &validator, Taken::AsTyped);
            if validator.fits(&typed) {
                return;
            }
            let text = of(&written, &validator, Taken::AsText);
            if text != typed && validator.fits(&text) {
                return;
            }
            other.get_or_insert(typed);
        }
        match (other, malformed) {
            (Some(json), _) => self.tell(place, name, &validator, &json, found),
            (None, Some(why)) => found.push(Violation::new(place, name, "style", why)),
            (None, None) => self.missing(place, name, found),
        }
    }

    fn tell(&self, place: Place, name: &str, validator: &Validator, json: &Json, found: &mut Vec<Violation>) {
        let before = found.len();
        tell(place, name, validator, json, found);
        if self.hidden {
            found[before..].iter_mut().for_each(|violation| HIDDEN.clone_into(&mut violation.message));
        }
    }

    fn missing(&self, place: Place, name: &str, found: &mut Vec<Violation>) {
        if self.required {
            found.push(Violation::new(place, name, "required", "it is required, and not there"));
        }
    }
}

fn is_empty(written: &Written<'_>) -> bool {
    match written {
        Written::Scalar(text) => text.is_empty(),
        Written::Items(items) => items.iter().all(|item| item.is_empty()),
        _ => false,
    }
}

fn of(written: &Written<'_>, validator: &Validator, taken: Taken) -> Json {
    match written {
        Written::Scalar(text) => validator.kinds().read(text, taken),
        Written::Items(items) => {
            let texts = items.iter().map(|item| Cow::Borrowed(&**item));
            View::of(validator.bundle()).items(texts, taken)
        }
        Written::Fields(fields) => {
            let pairs = fields.iter().map(|(name, text)| (Cow::Borrowed(&**name), Cow::Borrowed(&**text)));
            View::of(validator.bundle()).fields(pairs, taken)
        }
        Written::Nothing | Written::Malformed(_) => Json::Null,
    }
}

/// Names of the query that the operation does not list, but for `known` ones and what asks Standin.
pub fn unknown(
    request: &Request<'_>,
    all: &[Arc<Parameter>],
    known: &[Box<str>],
    schemas: &Schemas,
    found: &mut Vec<Violation>,
) {
    let query = request.head.query.unwrap_or_default();
    let mut told: Vec<Cow<'_, str>> = Vec::new();
    for (name, _) in url::form_urlencoded::parse(query.as_bytes()).take(10_000) {
        let listed = || all.iter().any(|parameter| parameter.takes(&name, schemas));
        let expected = name.starts_with("__") || known.iter().any(|known| **known == *name);
        if expected || told.contains(&name) || listed() {
            continue;
        }
        if told.len() == UNKNOWN {
            return;
        }
        let message = "the operation lists no such parameter";
        found.push(Violation::new(Place::Query, crate::diagnostic::cut(&name), "unknown", message));
        told.push(name);
    }
}
