//! How well an exchange fits a request.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use percent_encoding::percent_decode_str;

use super::Exchange;
use crate::mock::message::Request;
use crate::spec::document::Location;

/// A value that an exchange gives for a parameter.
#[derive(Debug)]
pub struct Wanted {
    pub name: Box<str>,
    pub location: Location,
    pub value: WantedValue,
}

#[derive(Debug, PartialEq, Eq)]
pub enum WantedValue {
    /// A scalar, by its text.
    One(Box<str>),
    /// An array, whatever the order.
    Set {
        /// Sorted, each once.
        items: Box<[Box<str>]>,
        /// What stands between the items of one text, where that is no comma.
        separator: Option<char>,
    },
    /// The whole query by its pairs, as [`pairs`] gives them.
    Pairs(Box<[Box<str>]>),
    /// The whole query as JSON.
    Json(serde_json::Value),
}

/// A body that an exchange gives for the request.
#[derive(Debug, Clone, PartialEq)]
pub enum WantedBody {
    Json(Arc<serde_json::Value>),
    Text(Arc<str>),
    /// A sequential media type's items.
    Sequence(Arc<[serde_json::Value]>),
    /// What is no text, byte for byte.
    Bytes(Bytes),
    /// Fields of an urlencoded form; others may stand beside them, as with parameters.
    Form(Arc<[(Box<str>, WantedValue)]>),
}

/// More is better: a body that fits, then the number of values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Fit {
    full: bool,
    values: usize,
}

/// A request's values, found once for all exchanges.
pub struct Values<'r, 'a> {
    request: &'a Request<'r>,
    found: Vec<(Location, &'a str, Vec<Cow<'r, str>>)>,
    form: Option<HashMap<Cow<'r, str>, Vec<Cow<'r, str>>>>,
}

impl Exchange {
    /// None if a parameter differs.
    pub(super) fn fit<'m>(&'m self, values: &mut Values<'_, 'm>) -> Option<Fit> {
        if !self.parameters_fit(values) {
            return None;
        }
        let full = self.bodies.is_empty() || self.bodies.iter().any(|body| body.fits(values));
        let given = self.parameters.len() + usize::from(!self.bodies.is_empty());
        Some(Fit { full, values: given })
    }

    /// Whether its parameters fit, whatever the body.
    pub(super) fn parameters_fit<'m>(&'m self, values: &mut Values<'_, 'm>) -> bool {
        self.parameters.iter().all(|wanted| wanted.fits(values))
    }
}

impl Fit {
    /// Whether the body fits as well as the parameters.
    pub fn is_full(self) -> bool {
        self.full
    }
}

impl Wanted {
    fn fits<'m>(&'m self, values: &mut Values<'_, 'm>) -> bool {
        if let WantedValue::Json(wanted) = &self.value {
            let query = percent_decode_str(values.request.head.query.unwrap_or_default());
            let found: Option<serde_json::Value> = serde_json::from_slice(&Cow::from(query)).ok();
            return found.is_some_and(|found| equal(wanted, &found));
        }
        self.value.fits(values.of(self.location, &self.name))
    }
}

impl WantedValue {
    fn fits(&self, found: &[Cow<'_, str>]) -> bool {
        match self {
            WantedValue::One(value) => matches!(found, [only] if **only == **value),
            WantedValue::Pairs(pairs) => found.iter().map(AsRef::as_ref).eq(pairs.iter().map(AsRef::as_ref)),
            // A whole query, which its parameter looks at.
            WantedValue::Json(_) => false,
            WantedValue::Set { items, separator } => match found {
                // `a=1&a=2` and `a=1,2` are two ways to write one array.
                [only] => separator
                    .iter()
                    .chain(&[','])
                    .any(|separator| is_set(only.split(*separator).map(str::trim), items)),
                many => is_set(many.iter().map(AsRef::as_ref), items),
            },
        }
    }
}

fn is_set<'v>(found: impl Iterator<Item = &'v str>, wanted: &[Box<str>]) -> bool {
    let mut found: Vec<&str> = found.collect();
    found.sort_unstable();
    found.dedup();
    found.iter().copied().eq(wanted.iter().map(AsRef::as_ref))
}

impl WantedBody {
    fn fits(&self, values: &mut Values<'_, '_>) -> bool {
        let body = values.request.body;
        match self {
            WantedBody::Json(wanted) => body.json().is_some_and(|body| equal(wanted, body)),
            WantedBody::Sequence(wanted) => body.sequence().is_some_and(|body| {
                body.len() == wanted.len()
                    && body.iter().zip(&**wanted).all(|(body, wanted)| equal(wanted, body))
            }),
            WantedBody::Bytes(wanted) => body.bytes() == wanted,
            WantedBody::Text(wanted) => body.text().is_some_and(|body| body.trim() == wanted.trim()),
            WantedBody::Form(fields) => {
                let form = values.form();
                let of = |name: &str| form.get(name).map_or(&[][..], Vec::as_slice);
                fields.iter().all(|(name, value)| value.fits(of(name)))
            }
        }
    }
}

impl<'r, 'a> Values<'r, 'a> {
    pub fn new(request: &'a Request<'r>) -> Self {
        Values { request, found: Vec::new(), form: None }
    }

    /// The body's fields, as if it were an urlencoded form.
    fn form(&mut self) -> &HashMap<Cow<'r, str>, Vec<Cow<'r, str>>> {
        let body = self.request.body;
        self.form.get_or_insert_with(|| {
            let mut fields: HashMap<_, Vec<_>> = HashMap::new();
            for (name, value) in url::form_urlencoded::parse(body.bytes()) {
                fields.entry(name).or_default().push(value);
            }
            fields
        })
    }

    fn of(&mut self, location: Location, name: &'a str) -> &[Cow<'r, str>] {
        let known = self.found.iter().position(|(place, known, _)| *place == location && *known == name);
        let at = known.unwrap_or_else(|| {
            let values = self.read(location, name);
            self.found.push((location, name, values));
            self.found.len() - 1
        });
        &self.found[at].2
    }

    fn read(&self, location: Location, name: &str) -> Vec<Cow<'r, str>> {
        let request = self.request;
        match location {
            Location::Path => request.param(name).map(Cow::Borrowed).into_iter().collect(),
            Location::Query => request.queries(name).collect(),
            Location::Header => {
                request.header(name).map(|value| Cow::Borrowed(value.trim())).into_iter().collect()
            }
            Location::Querystring => {
                pairs(request.head.query.unwrap_or_default()).into_iter().map(Cow::Owned).collect()
            }
            Location::Cookie => request.cookie(name).into_iter().collect(),
        }
    }
}

/// The pairs of a query as a set: written in one way, sorted, each once.
pub fn pairs(query: &str) -> Vec<String> {
    let mut pairs: Vec<String> = url::form_urlencoded::parse(query.as_bytes())
        .map(|(name, value)| {
            url::form_urlencoded::Serializer::new(String::new()).append_pair(&name, &value).finish()
        })
        .collect();
    pairs.sort_unstable();
    pairs.dedup();
    pairs
}

/// JSON equality, numbers by value: `1` is `1.0`.
fn equal(a: &serde_json::Value, b: &serde_json::Value) -> bool {
    use serde_json::Value::{Array, Number, Object};
    match (a, b) {
        // Two integers are equal or not; as floats large ones that differ would be.
        (Number(a), Number(b)) if a.is_f64() || b.is_f64() => a.as_f64() == b.as_f64(),
        (Array(a), Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| equal(a, b)),
        (Object(a), Object(b)) => {
            a.len() == b.len() && a.iter().all(|(key, a)| b.get(key).is_some_and(|b| equal(a, b)))
        }
        (a, b) => a == b,
    }
}
