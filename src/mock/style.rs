//! How a value is written in a request: the styles of parameters (OpenAPI 3.2, 4.12.3).

use std::borrow::Cow;
use std::collections::HashMap;

use http::{HeaderMap, HeaderValue};
use percent_encoding::percent_decode_str;

use super::form::Encoded;
use super::message::Request;
use super::sink::{Place, Seen, Sink, Value, json};
use crate::spec::document::{FormField, Location, Parameter, Style};

/// Parts of one value that are looked at.
const MOST: usize = 10_000;

/// Where and how a value is written.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Writing {
    pub name: Box<str>,
    pub location: Location,
    pub style: Style,
    pub explode: bool,
}

/// What kind of value is expected: the same text is one scalar, several items or several fields.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Shape {
    Scalar,
    Array,
    Object,
}

/// What a request has for a parameter; texts are decoded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Written<'r> {
    Nothing,
    Scalar(Cow<'r, str>),
    Items(Vec<Cow<'r, str>>),
    /// In the order of the request. With `explode` in a query they are all its pairs, since nothing there
    /// says whose they are.
    Fields(Vec<(Cow<'r, str>, Cow<'r, str>)>),
    /// It is there, and not in this style: why.
    Malformed(&'static str),
}

impl<'r> Written<'r> {
    /// What has a value of its own for each item, as a multipart form.
    pub fn several(shape: Shape, mut values: Vec<Cow<'r, str>>) -> Self {
        match (shape, values.len()) {
            (_, 0) => Written::Nothing,
            (Shape::Array, _) => Written::Items(values),
            (_, 1) => values.pop().map_or(Written::Nothing, Written::Scalar),
            _ => Written::Malformed("it is given more than once"),
        }
    }
}

/// What stands in one value.
enum Piece<'v, V> {
    Name(&'v str),
    Value(V),
}

impl<'v, V: Value<'v>> Piece<'v, V> {
    fn put(self, out: &mut impl Sink<V>) {
        let value = match self {
            Piece::Name(name) => return out.syntax(&Place::Component.literal(name)),
            Piece::Value(value) => value,
        };
        match value.seen() {
            Seen::Null => {}
            Seen::Items(_) | Seen::Fields(_) => json(value, Place::QuotedComponent, &mut Encoded(out)),
            seen => out.text(value, &seen.scalar().unwrap_or_default(), Place::Component),
        }
    }
}

impl From<&Parameter<'_>> for Writing {
    fn from(parameter: &Parameter<'_>) -> Self {
        let &Parameter { name, location, style, explode, .. } = parameter;
        Writing { name: name.into(), location, style, explode }
    }
}

/// A form is written as a query is.
impl From<&FormField<'_>> for Writing {
    fn from(field: &FormField<'_>) -> Self {
        let &FormField { name, style, explode, .. } = field;
        Writing { name: name.into(), location: Location::Query, style, explode }
    }
}

impl Writing {
    /// Writes a value as a query or a cookie has it: `name=value`, as often as its style asks for, and
    /// percent-encoded, whatever it is. Nulls are left out, and what is inside arrays and objects is JSON.
    pub fn put<'v, V: Value<'v>>(&self, value: V, out: &mut impl Sink<V>) {
        let between = if self.location == Location::Cookie { "; " } else { "&" };
        let delimiter = match self.style {
            Style::SpaceDelimited => "%20",
            Style::PipeDelimited => "%7C",
            _ => ",",
        };
        let name = Place::Component.literal(&self.name);
        let key = |key: &str| Place::Component.literal(key);
        let is_null = |value: &V| matches!(value.seen(), Seen::Null);
        let seen = match value.seen() {
            Seen::Null => return,
            Seen::Items(items) => Seen::Items(items.into_iter().filter(|item| !is_null(item)).collect()),
            Seen::Fields(fields) => {
                Seen::Fields(fields.into_iter().filter(|(_, value)| !is_null(value)).collect())
            }
            seen => seen,
        };
        let pairs: Vec<(String, Vec<Piece<'_, V>>)> = match seen {
            Seen::Items(items) if self.explode => {
                items.into_iter().map(|item| (name.clone(), vec![Piece::Value(item)])).collect()
            }
            Seen::Items(items) => vec![(name, items.into_iter().map(Piece::Value).collect())],
            Seen::Fields(fields) if self.style == Style::DeepObject => {
                let pair =
                    |(field, value)| (format!("{name}%5B{}%5D", key(field)), vec![Piece::Value(value)]);
                fields.into_iter().map(pair).collect()
            }
            Seen::Fields(fields) if self.explode => {
                fields.into_iter().map(|(field, value)| (key(field), vec![Piece::Value(value)])).collect()
            }
            Seen::Fields(fields) => {
                let pieces = |(field, value)| [Piece::Name(field), Piece::Value(value)];
                vec![(name, fields.into_iter().flat_map(pieces).collect())]
            }
            _ => vec![(name, vec![Piece::Value(value)])],
        };
        for (at, (name, pieces)) in pairs.into_iter().enumerate() {
            out.syntax(if at > 0 { between } else { "" });
            out.syntax(&name);
            out.syntax("=");
            for (at, piece) in pieces.into_iter().enumerate() {
                out.syntax(if at > 0 { delimiter } else { "" });
                piece.put(out);
            }
        }
    }

    /// The request's value.
    pub fn read<'r>(&self, shape: Shape, request: &Request<'r>) -> Written<'r> {
        match self.location {
            Location::Path => match request.param(&self.name) {
                None => Written::Nothing,
                // The route has taken the style's signs off, so that what is left is `simple`.
                Some(text) => self.simple(shape, text.into()),
            },
            Location::Query => self.query(shape, request.head.query.unwrap_or_default()),
            Location::Querystring => match request.head.query {
                None => Written::Nothing,
                Some(query) => Written::Scalar(decoded(query)),
            },
            Location::Header => self.header(shape, request.head.headers),
            Location::Cookie => self.cookie(shape, request),
        }
    }

    /// What a query, or a form that is written as one, has.
    pub fn query<'r>(&self, shape: Shape, query: &'r str) -> Written<'r> {
        match (self.style, shape) {
            (Style::DeepObject, _) => self.deep_object(query),
            (_, Shape::Object) if self.explode => {
                let all: Vec<_> = pairs(query).map(|(name, value)| (decode(name), decode(value))).collect();
                if all.is_empty() { Written::Nothing } else { Written::Fields(all) }
            }
            _ => {
                let own = pairs(query).filter(|(name, _)| decode(name) == *self.name);
                self.values(shape, own.map(|(_, value)| value))
            }
        }
    }

    /// What the values are that stand under its name in a query or a form, as they came.
    pub fn values<'r>(&self, shape: Shape, own: impl Iterator<Item = &'r str> + Clone) -> Written<'r> {
        let mut values = own.clone();
        match (shape, values.next(), values.next()) {
            (_, None, _) => Written::Nothing,
            (Shape::Array, Some(only), None) if !self.explode => self.delimited_raw(shape, only),
            (Shape::Array, ..) => Written::Items(own.map(decode).collect()),
            (Shape::Object, Some(only), None) => self.delimited_raw(shape, only),
            (Shape::Scalar, Some(only), None) => Written::Scalar(decode(only)),
            (_, Some(_), Some(_)) => Written::Malformed("it is given more than once"),
        }
    }

    /// `name[key]=value`. Deeper keys stay as they are: `a[b]`.
    fn deep_object<'r>(&self, query: &'r str) -> Written<'r> {
        let mut fields = Vec::new();
        for (name, value) in pairs(query) {
            let name = decode(name);
            let Some(key) = name.strip_prefix(&*self.name).and_then(|rest| rest.strip_prefix('[')) else {
                continue;
            };
            let Some((first, rest)) = key.split_once(']') else { continue };
            fields.push((Cow::Owned(format!("{first}{rest}")), decode(value)));
        }
        if fields.is_empty() { Written::Nothing } else { Written::Fields(fields) }
    }

    /// What a header section has.
    pub fn header<'r>(&self, shape: Shape, headers: &'r HeaderMap) -> Written<'r> {
        // RFC 9110, 5.5: also what is not ASCII may be sent.
        let text = |value: &'r HeaderValue| std::str::from_utf8(value.as_bytes());
        let mut values = headers.get_all(&*self.name).iter().map(text);
        let Some(first) = values.next() else { return Written::Nothing };
        let Ok(first) = first else { return Written::Malformed("it is no text") };
        let mut whole = Cow::Borrowed(first.trim());
        // RFC 9110, 5.3: several fields of one name are one list.
        for more in values.take(MOST).flatten() {
            whole = format!("{whole}, {}", more.trim()).into();
        }
        self.simple(shape, whole)
    }

    /// With `explode` items, and fields of an object, may be cookies of their own.
    fn cookie<'r>(&self, shape: Shape, request: &Request<'r>) -> Written<'r> {
        if shape == Shape::Object && self.explode {
            let all: Vec<_> = cookies(request).map(|(name, value)| (name.into(), decoded(value))).collect();
            return if all.is_empty() { Written::Nothing } else { Written::Fields(all) };
        }
        let mut own =
            cookies(request).filter(|(name, _)| *name == &*self.name).map(|(_, value)| decoded(value));
        match (own.next(), own.next()) {
            (None, _) => Written::Nothing,
            (Some(first), Some(second)) if shape == Shape::Array && self.explode => {
                Written::Items([first, second].into_iter().chain(own).collect())
            }
            (Some(first), _) => self.delimited(shape, first, ','),
        }
    }

    /// Parts between commas; with `explode` the fields of an object are `name=value`.
    fn simple<'r>(&self, shape: Shape, text: Cow<'r, str>) -> Written<'r> {
        if shape != Shape::Object || !self.explode {
            return self.delimited(shape, text, self.separator());
        }
        let field = |part: &str| part.trim().split_once('=').map(|(name, value)| (owned(name), owned(value)));
        let fields: Option<Vec<_>> = text.split(',').take(MOST).map(field).collect();
        fields.map_or(Written::Malformed("its parts are not `name=value`"), Written::Fields)
    }

    /// A value of a query whose separators may stand for themselves, or be encoded with all the rest.
    fn delimited_raw<'r>(&self, shape: Shape, raw: &'r str) -> Written<'r> {
        let separator = self.separator();
        let plain = separator != ' ' && raw.contains(separator);
        if !plain {
            return self.delimited(shape, decode(raw), separator);
        }
        // What is encoded within a part is part of it.
        let parts: Vec<_> = raw.split(separator).take(MOST).map(decode).collect();
        of_parts(shape, parts, || decode(raw))
    }

    /// What stands between parts of one text. Swagger 2.0 has these styles in paths and headers too.
    fn separator(&self) -> char {
        match self.style {
            Style::SpaceDelimited => ' ',
            Style::PipeDelimited => '|',
            _ => ',',
        }
    }

    fn delimited<'r>(&self, shape: Shape, text: Cow<'r, str>, separator: char) -> Written<'r> {
        let parts = text.split(separator).take(MOST).map(|part| owned(part.trim())).collect();
        of_parts(shape, parts, || text.clone())
    }
}

fn of_parts<'r>(shape: Shape, parts: Vec<Cow<'r, str>>, whole: impl FnOnce() -> Cow<'r, str>) -> Written<'r> {
    match shape {
        Shape::Scalar => Written::Scalar(whole()),
        // A list of nothing is written as nothing.
        Shape::Array if matches!(&*parts, [only] if only.is_empty()) => Written::Items(Vec::new()),
        Shape::Array => Written::Items(parts),
        Shape::Object if parts.len() % 2 == 1 => Written::Malformed("it has a name without a value"),
        Shape::Object => {
            let mut parts = parts.into_iter();
            let next = || Some((parts.next()?, parts.next()?));
            Written::Fields(std::iter::from_fn(next).collect())
        }
    }
}

fn owned(text: &str) -> Cow<'static, str> {
    Cow::Owned(text.to_owned())
}

/// The values of a query or a form by their decoded names, as they came.
pub fn by_name(query: &str) -> HashMap<Cow<'_, str>, Vec<&str>> {
    let mut found: HashMap<_, Vec<_>> = HashMap::new();
    for (name, value) in pairs(query) {
        found.entry(decode(name)).or_default().push(value);
    }
    found
}

/// The pairs of a query, as they came.
fn pairs(query: &str) -> impl Iterator<Item = (&str, &str)> + Clone {
    let pairs = query.split('&').filter(|pair| !pair.is_empty()).take(MOST);
    pairs.map(|pair| pair.split_once('=').unwrap_or((pair, "")))
}

/// RFC 6265, 4.2.1.
fn cookies<'r>(request: &Request<'r>) -> impl Iterator<Item = (&'r str, &'r str)> + use<'r> {
    let fields = request.head.headers.get_all(http::header::COOKIE).into_iter();
    let texts = fields.filter_map(|value| value.to_str().ok());
    let pairs = texts.flat_map(|text| text.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.map(|(name, value)| (name, value.trim_matches('"'))).take(MOST)
}

/// WHATWG URL, 5.1: `+` is a space.
fn decode(text: &str) -> Cow<'_, str> {
    match text.contains('+') {
        true => Cow::Owned(decoded(&text.replace('+', " ")).into_owned()),
        false => decoded(text),
    }
}

fn decoded(text: &str) -> Cow<'_, str> {
    percent_decode_str(text).decode_utf8_lossy()
}

#[cfg(test)]
mod tests {
    use http::Method;

    use super::*;
    use crate::mock::message::{Body, Head};

    /// `request` is a query, or for other places the value.
    #[track_caller]
    fn check(location: Location, style: Style, explode: bool, shape: Shape, request: &str, expected: &str) {
        let mut headers = HeaderMap::new();
        headers.insert("p", request.parse().unwrap());
        headers.insert("cookie", format!("a=1; p={request}").parse().unwrap());
        let params = [("p", Cow::Borrowed(request))];
        let body = Body::default();
        let query = Some(request);
        let method = &Method::GET;
        let head = Head { method, path: "/", query, headers: &headers, scheme: "http", authority: "" };
        let request = Request { head, base: 0, params: &params, body: &body };
        let writing = Writing { name: "p".into(), location, style, explode };
        let text = match writing.read(shape, &request) {
            Written::Nothing => "nothing".to_owned(),
            Written::Scalar(text) => format!("`{text}`"),
            Written::Items(items) => items.join("|"),
            Written::Fields(fields) => {
                fields.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("|")
            }
            Written::Malformed(why) => why.to_owned(),
        };
        assert_eq!(text, expected);
    }

    #[test]
    fn arrays_are_written_by_style() {
        let query = |style, explode, query, expected| {
            check(Location::Query, style, explode, Shape::Array, query, expected);
        };
        query(Style::Form, true, "p=a&q=x&p=b+c", "a|b c");
        query(Style::Form, true, "p=a%2Cb", "a,b");
        query(Style::Form, false, "p=a,b%2Cc", "a|b,c");
        query(Style::Form, false, "p=a%2Cb", "a|b");
        query(Style::Form, false, "p=", "");
        query(Style::SpaceDelimited, false, "p=a%20b+c", "a|b|c");
        query(Style::PipeDelimited, false, "p=a|b%7Cc", "a|b|c");
        query(Style::Form, true, "q=1", "nothing");
        check(Location::Path, Style::Simple, false, Shape::Array, "a,b", "a|b");
        check(Location::Header, Style::Simple, false, Shape::Array, "a, b", "a|b");
        check(Location::Cookie, Style::Form, false, Shape::Array, "a,b", "a|b");
        check(Location::Cookie, Style::Form, true, Shape::Array, "a,b", "a|b");
        check(Location::Cookie, Style::Cookie, true, Shape::Array, "a; p=b%20c", "a|b c");
        check(Location::Cookie, Style::Form, false, Shape::Array, "a; p=b", "a");
    }

    #[test]
    fn objects_are_written_by_style() {
        let query = |style, explode, query, expected| {
            check(Location::Query, style, explode, Shape::Object, query, expected);
        };
        query(Style::Form, true, "r=1&g=2", "r=1|g=2");
        query(Style::Form, false, "p=r,1,g,2", "r=1|g=2");
        query(Style::Form, false, "p=r,1,g", "it has a name without a value");
        query(Style::DeepObject, true, "p%5Br%5D=1&p[g]=2&q[x]=3&p[a][b]=4", "r=1|g=2|a[b]=4");
        check(Location::Path, Style::Matrix, true, Shape::Object, "r=1,g=2", "r=1|g=2");
        check(Location::Path, Style::Simple, true, Shape::Object, "r,1", "its parts are not `name=value`");
        check(Location::Header, Style::Simple, false, Shape::Object, "r,1,g,2", "r=1|g=2");
        check(Location::Cookie, Style::Cookie, true, Shape::Object, "1; g=2", "a=1|p=1|g=2");
        check(Location::Cookie, Style::Form, false, Shape::Object, "r,1,g,2", "r=1|g=2");
    }

    #[test]
    fn scalars_stand_as_they_are() {
        check(Location::Query, Style::Form, true, Shape::Scalar, "p=a,b", "`a,b`");
        check(Location::Query, Style::Form, true, Shape::Scalar, "p=a&p=b", "it is given more than once");
        check(Location::Query, Style::Form, true, Shape::Scalar, "p", "``");
        check(Location::Header, Style::Simple, false, Shape::Scalar, " a, b ", "`a, b`");
        check(Location::Querystring, Style::Form, false, Shape::Scalar, "%7B%7D", "`{}`");
    }
}
