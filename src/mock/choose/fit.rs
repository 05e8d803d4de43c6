//! How well an exchange fits a request.

use std::borrow::Cow;
use std::cell::OnceCell;
use std::collections::HashMap;
use std::mem::{Discriminant, discriminant};
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use serde_json::Value as Json;

use super::Exchange;
use crate::mock::media::{ContentType, MediaType};
use crate::mock::message::Request;
use crate::mock::style::{self, Shape, Writing, Written};
use crate::mock::xml;
use crate::spec::kept::Schema;
use crate::spec::schema::Direction;

/// A value that an exchange gives for a parameter, or for a field of a form.
#[derive(Debug, Clone)]
pub struct Wanted {
    pub writing: Arc<Writing>,
    pub value: WantedValue,
}

#[derive(Debug, Clone)]
pub enum WantedValue {
    /// A scalar, by its text.
    One(Box<str>),
    /// An array, whatever the order: sorted, each once.
    Set(Box<[Box<str>]>),
    /// Fields of an object; others may stand beside them.
    Fields(Box<[(Box<str>, WantedValue)]>),
    /// The whole query by its pairs, as [`pairs`] gives them.
    Pairs(Box<[Box<str>]>),
    /// What is written as JSON.
    Json(Json),
}

/// A body that an exchange gives for the request.
#[derive(Debug, Clone)]
pub struct WantedBody {
    /// None where the document names none that can be read.
    pub media: Option<Arc<MediaType>>,
    pub content: WantedContent,
}

#[derive(Debug, Clone)]
pub enum WantedContent {
    Json(Arc<Json>),
    Text(Arc<str>),
    /// A sequential media type's items.
    Sequence(Arc<[Json]>),
    /// What is no text, byte for byte.
    Bytes(Bytes),
    /// Fields of an urlencoded form; others may stand beside them, as with parameters.
    Form(Arc<[Wanted]>),
    /// The same of a multipart form.
    Parts(Arc<[(Box<str>, WantedValue)]>),
    /// What XML shows, and how that is read.
    Xml(Arc<Json>, Arc<Reading>),
}

/// How the XML of one media type is read: by its schema, which is put together when a body first comes.
#[derive(Debug)]
pub struct Reading {
    schema: Option<Schema>,
    bundle: OnceLock<Json>,
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
    sent: ContentType<'r>,
    found: Vec<(&'a Writing, Discriminant<WantedValue>, Found<'r>)>,
    form: OnceCell<HashMap<Cow<'r, str>, Vec<&'r str>>>,
    fields: HashMap<(&'a Writing, Discriminant<WantedValue>), Found<'r>>,
    parts: OnceCell<Option<HashMap<&'r str, Texts<'r>>>>,
    xml: Vec<(&'a Reading, Option<Json>)>,
}

/// What a request has where an exchange gives a value.
enum Found<'r> {
    Nothing,
    Malformed,
    Texts(Texts<'r>),
    Fields(HashMap<Cow<'r, str>, Texts<'r>>),
    Pairs(Vec<String>),
    Json(Cow<'r, str>, Option<Json>),
}

/// The texts under one name.
#[derive(Default)]
struct Texts<'r> {
    all: Vec<Cow<'r, str>>,
    /// Sorted, each once, for arrays; and what stands between commas, where it is one text.
    set: OnceCell<Box<[Box<str>]>>,
    parts: OnceCell<Box<[Box<str>]>>,
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
        self.parameters.iter().all(|wanted| wanted.value.fits(values.of(wanted)))
    }
}

impl Fit {
    /// Whether the body fits as well as the parameters.
    pub fn is_full(self) -> bool {
        self.full
    }
}

impl WantedValue {
    /// Sorted, each once. What is one empty text is written as an empty array is.
    pub fn set(items: impl Iterator<Item = Box<str>>) -> Self {
        let mut items: Vec<_> = items.collect();
        items.sort_unstable();
        items.dedup();
        if matches!(&*items, [only] if only.is_empty()) {
            items.clear();
        }
        WantedValue::Set(items.into())
    }

    fn fits(&self, found: &Found<'_>) -> bool {
        match (self, found) {
            (WantedValue::Fields(wanted), Found::Fields(found)) => wanted
                .iter()
                .all(|(name, value)| found.get(&**name).is_some_and(|texts| value.fits_texts(texts))),
            (WantedValue::Pairs(wanted), Found::Pairs(found)) => {
                found.iter().map(String::as_str).eq(wanted.iter().map(AsRef::as_ref))
            }
            (WantedValue::Json(wanted), Found::Json(text, found)) => {
                let same = found.as_ref().is_some_and(|found| equal(wanted, found));
                same || wanted.as_str() == Some(text)
            }
            // An empty array is not written at all.
            (WantedValue::Set(wanted), Found::Nothing) => wanted.is_empty(),
            (wanted, Found::Texts(texts)) => wanted.fits_texts(texts),
            _ => false,
        }
    }

    fn fits_texts(&self, texts: &Texts<'_>) -> bool {
        match self {
            WantedValue::One(wanted) => matches!(&*texts.all, [only] if **only == **wanted),
            WantedValue::Set(wanted) => texts.is_set(wanted),
            WantedValue::Json(wanted) => match &*texts.all {
                [only] => serde_json::from_str(only).is_ok_and(|found| equal(wanted, &found)),
                _ => false,
            },
            WantedValue::Fields(_) | WantedValue::Pairs(_) => false,
        }
    }
}

impl<'r> Texts<'r> {
    fn new(all: Vec<Cow<'r, str>>) -> Self {
        Texts { all, ..Texts::default() }
    }

    fn is_set(&self, wanted: &[Box<str>]) -> bool {
        let set = self.set.get_or_init(|| {
            distinct(
                self.all.iter().map(|text| &**text).filter(|text| self.all.len() > 1 || !text.is_empty()),
            )
        });
        // `a=1&a=2` and `a=1,2` are two ways to write one array.
        let parts = || match &*self.all {
            [only] => &**self.parts.get_or_init(|| distinct(only.split(',').map(str::trim))),
            _ => &[][..],
        };
        **set == *wanted || *parts() == *wanted
    }
}

/// Sorted, each once.
fn distinct<'t>(texts: impl Iterator<Item = &'t str>) -> Box<[Box<str>]> {
    let mut texts: Vec<Box<str>> = texts.map(Into::into).collect();
    texts.sort_unstable();
    texts.dedup();
    texts.into()
}

impl WantedBody {
    fn fits<'m>(&'m self, values: &mut Values<'_, 'm>) -> bool {
        self.is_described(values.sent) && self.content.fits(values)
    }

    /// Whether the request says that its body is of this media type, or says nothing. curl says of every
    /// body that it is a form, unless it is told otherwise.
    fn is_described(&self, sent: ContentType<'_>) -> bool {
        sent.is_form() || self.media.as_ref().is_none_or(|media| sent.fits(media))
    }
}

impl WantedContent {
    fn fits<'m>(&'m self, values: &mut Values<'_, 'm>) -> bool {
        let body = values.request.body;
        match self {
            WantedContent::Json(wanted) => body.json().is_some_and(|body| equal(wanted, body)),
            WantedContent::Sequence(wanted) => body.sequence().is_some_and(|body| {
                body.len() == wanted.len()
                    && body.iter().zip(&**wanted).all(|(body, wanted)| equal(wanted, body))
            }),
            WantedContent::Bytes(wanted) => body.bytes() == wanted,
            WantedContent::Text(wanted) => body.text().is_some_and(|body| body.trim() == wanted.trim()),
            WantedContent::Form(fields) => {
                fields.iter().all(|wanted| wanted.value.fits(values.field(wanted)))
            }
            WantedContent::Parts(fields) => values.parts().is_some_and(|parts| {
                let fits = |name: &str, value: &WantedValue| {
                    parts.get(name).is_some_and(|texts| value.fits_texts(texts))
                };
                fields.iter().all(|(name, value)| fits(name, value))
            }),
            WantedContent::Xml(wanted, reading) => {
                values.xml(reading).is_some_and(|found| same_texts(wanted, found))
            }
        }
    }
}

impl<'r, 'a> Values<'r, 'a> {
    pub fn new(request: &'a Request<'r>) -> Self {
        Values {
            request,
            sent: ContentType::of(request.head.headers),
            found: Vec::new(),
            form: OnceCell::new(),
            fields: HashMap::new(),
            parts: OnceCell::new(),
            xml: Vec::new(),
        }
    }

    /// What the request has for a parameter.
    fn of(&mut self, wanted: &'a Wanted) -> &Found<'r> {
        let (writing, value) = (&*wanted.writing, discriminant(&wanted.value));
        let known =
            self.found.iter().position(|(own, kind, _)| std::ptr::eq(*own, writing) && *kind == value);
        let at = known.unwrap_or_else(|| {
            let found = match wanted.value {
                // As it came, since a decoded `&` is no separator.
                WantedValue::Pairs(_) => Found::Pairs(pairs(self.request.head.query.unwrap_or_default())),
                _ => found(&wanted.value, |shape| writing.read(shape, self.request)),
            };
            self.found.push((writing, value, found));
            self.found.len() - 1
        });
        &self.found[at].2
    }

    /// What the body has for a field, as if it were an urlencoded form.
    fn field(&mut self, wanted: &'a Wanted) -> &Found<'r> {
        let (writing, body) = (&*wanted.writing, self.request.body.text().unwrap_or_default());
        let form = self.form.get_or_init(|| style::by_name(body));
        self.fields.entry((writing, discriminant(&wanted.value))).or_insert_with(|| {
            let own = form.get(&*writing.name).map_or(&[][..], Vec::as_slice);
            found(&wanted.value, |shape| match shape {
                Shape::Object => writing.query(shape, body),
                _ => writing.values(shape, own.iter().copied()),
            })
        })
    }

    /// The texts of a multipart form by their names; none where the body is no such form.
    fn parts(&self) -> Option<&HashMap<&'r str, Texts<'r>>> {
        let read = || {
            let parts = self.request.body.multipart(self.request.header("content-type")?)?;
            let mut found: HashMap<_, Texts<'_>> = HashMap::new();
            for part in parts {
                let Some(name) = &part.name else { continue };
                found.entry(&**name).or_default().all.push(String::from_utf8_lossy(&part.bytes));
            }
            Some(found)
        };
        self.parts.get_or_init(read).as_ref()
    }

    /// The body as XML.
    fn xml(&mut self, reading: &'a Reading) -> Option<&Json> {
        let known = self.xml.iter().position(|(own, _)| std::ptr::eq(*own, reading));
        let at = known.unwrap_or_else(|| {
            let found = self.request.body.text().and_then(|text| reading.read(text));
            self.xml.push((reading, found));
            self.xml.len() - 1
        });
        self.xml[at].1.as_ref()
    }
}

impl Reading {
    pub fn new(schema: Option<Schema>) -> Self {
        Reading { schema, bundle: OnceLock::new() }
    }

    fn read(&self, text: &str) -> Option<Json> {
        let bundle = || self.schema.as_ref().map(|schema| schema.bundle(Direction::Request).json);
        xml::read(text, self.bundle.get_or_init(|| bundle().unwrap_or(Json::Bool(true))))
    }
}

/// What a request has, to be compared with values such as `wanted`.
fn found<'r>(wanted: &WantedValue, read: impl FnOnce(Shape) -> Written<'r>) -> Found<'r> {
    let shape = match wanted {
        WantedValue::One(_) | WantedValue::Pairs(_) | WantedValue::Json(_) => Shape::Scalar,
        WantedValue::Set(_) => Shape::Array,
        WantedValue::Fields(_) => Shape::Object,
    };
    match (wanted, read(shape)) {
        (WantedValue::Json(_), Written::Scalar(text)) => {
            let json = serde_json::from_str(&text).ok();
            Found::Json(text, json)
        }
        (_, Written::Nothing) => Found::Nothing,
        (_, Written::Malformed(_)) => Found::Malformed,
        (_, Written::Scalar(text)) => Found::Texts(Texts::new(vec![text])),
        (_, Written::Items(items)) => Found::Texts(Texts::new(items)),
        (_, Written::Fields(fields)) => {
            let mut by_name: HashMap<_, Texts<'_>> = HashMap::new();
            for (name, value) in fields {
                by_name.entry(name).or_default().all.push(value);
            }
            Found::Fields(by_name)
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

/// Equality of what texts show: scalars by their text, null as nothing, and one item as what is no array,
/// since XML alone does not tell.
fn same_texts(a: &Json, b: &Json) -> bool {
    match (a, b) {
        (Json::Array(a), Json::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same_texts(a, b))
        }
        (Json::Array(items), one) | (one, Json::Array(items)) => {
            matches!(&**items, [item] if same_texts(item, one))
        }
        (Json::Object(a), Json::Object(b)) => {
            let beside = b.iter().filter(|(key, _)| !a.contains_key(*key));
            a.iter().all(|(key, a)| same_texts(a, b.get(key).unwrap_or(&Json::Null)))
                && beside.into_iter().all(|(_, b)| same_texts(&Json::Null, b))
        }
        (a, b) => equal(a, b) || text(a).zip(text(b)).is_some_and(|(a, b)| a == b),
    }
}

fn text(scalar: &Json) -> Option<Cow<'_, str>> {
    match scalar {
        Json::Null => Some("".into()),
        Json::String(text) => Some(text.into()),
        Json::Bool(_) | Json::Number(_) => Some(scalar.to_string().into()),
        Json::Array(_) | Json::Object(_) => None,
    }
}

/// JSON equality, numbers by value: `1` is `1.0`.
fn equal(a: &Json, b: &Json) -> bool {
    use Json::{Array, Number, Object};
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
