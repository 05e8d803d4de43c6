//! A path key of a document: segments, parameters, and what it says of the query or a header.
//!
//! OpenAPI knows `{name}` alone. Documents also have what their servers' routers and RFC 6570 write:
//! `{proxy+}`, `{+path}`, `{path*}`, `{path:.*}`, `{id:[0-9]+}`, `{;point}`, `{.format}`, `{?page}`;
//! and they tell operations of one path apart behind a `?` or `#`.

use std::collections::{HashMap, HashSet};

use percent_encoding::percent_decode_str;

use super::condition::{Condition, Place};
use super::path;
use super::pattern::{Pattern, Reach};
use crate::spec::document::{Location, Parameter, Style};
use crate::tree::Value;

/// A path key, read.
#[derive(Debug, Default)]
pub struct Template {
    pub segments: Vec<Segment>,
    /// What its parameters are called, from the left, as a route captures them.
    pub parameters: Vec<Captured>,
    /// Sorted, each once.
    pub conditions: Vec<Condition<'static>>,
    /// The first parameter whose pattern is not looked at, such as `{id:[0-9]+}`.
    pub unread: Option<String>,
}

#[derive(Debug)]
pub enum Segment {
    Literal(String),
    Templated(Pattern),
}

/// A parameter as it stands in a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Captured {
    pub name: Box<str>,
    form: Form,
}

/// How a value is written (RFC 6570, 3.2; OpenAPI 3.1, 4.8.12.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Simple,
    /// `;point=50`, `;id=3,4` or `;id=3;id=4`; the first `;` is not captured.
    Matrix,
    /// `.5` or `.3,4`; the `.` is not captured.
    Label,
    /// `.3.4`
    LabelExploded,
}

/// What one `{expression}` says.
struct Expression<'t> {
    name: &'t str,
    reach: Reach,
    form: Option<Form>,
    has_pattern: bool,
}

/// Conditions of one key that are looked at; no document has as many.
const MOST_CONDITIONS: usize = 32;

impl Template {
    /// Reads a base path and a path key below it. `parameters` are the operation's.
    pub fn parse(base: &str, key: &str, parameters: &[Parameter<'_>]) -> Template {
        let text = whole(base, key);
        let mut reader = Reader::new(parameters);
        let (path, mut rest) = text.split_at(bare(&text).len());
        reader.path(path);
        reader.end_segment();
        // The first of a path's segments is what comes before its `/`.
        let mut template = reader.template;
        if !template.segments.is_empty() {
            template.segments.remove(0);
        }
        let mut place = Place::Query;
        let mut left = MOST_CONDITIONS;
        while let Some(mark) = rest.chars().next() {
            let (part, after) = rest[1..].split_at(rest[1..].find(['?', '#']).unwrap_or(rest.len() - 1));
            if mark == '#' {
                place = Place::Header;
            }
            for condition in part.split('&').take(left) {
                left -= 1;
                template.conditions.extend(reader.declared.condition(condition, place));
            }
            rest = after;
        }
        template.conditions.sort_unstable();
        template.conditions.dedup();
        template
    }
}

/// The parameters of an operation by their name.
struct Declared<'a, 't> {
    path: HashMap<&'t str, &'a Parameter<'t>>,
    query: HashSet<&'t str>,
    /// In lower case.
    header: HashSet<String>,
}

struct Reader<'a, 't> {
    declared: Declared<'a, 't>,
    template: Template,
    /// The segment that is being read.
    first: String,
    then: Vec<(Reach, String)>,
}

impl<'a, 't> Reader<'a, 't> {
    fn new(parameters: &'a [Parameter<'t>]) -> Self {
        let at = |location| parameters.iter().filter(move |parameter| parameter.location == location);
        let declared = Declared {
            path: at(Location::Path).map(|parameter| (parameter.name, parameter)).collect(),
            query: at(Location::Query).map(|parameter| parameter.name).collect(),
            header: at(Location::Header).map(|parameter| parameter.name.to_ascii_lowercase()).collect(),
        };
        Reader { declared, template: Template::default(), first: String::new(), then: Vec::new() }
    }

    fn path(&mut self, text: &str) {
        let closed = closed(text);
        let (mut from, mut at) = (0, 0);
        while let Some(byte) = text.as_bytes().get(at) {
            let close = closed.get(&at);
            if *byte == b'/' || close.is_some() {
                self.literal(&path::canonical(&text[from..at]));
                match close {
                    Some(close) => self.expression(&text[at + 1..*close]),
                    None => self.end_segment(),
                }
                at = close.copied().unwrap_or(at);
                from = at + 1;
            }
            at += 1;
        }
        self.literal(&path::canonical(&text[from..]));
    }

    fn literal(&mut self, text: &str) {
        self.then.last_mut().map_or(&mut self.first, |(_, literal)| literal).push_str(text);
    }

    fn expression(&mut self, text: &str) {
        // RFC 6570, 3.2.8 and 3.2.9: a query that may be there, which is no part of the path.
        if text.starts_with(['?', '&', '#']) {
            return;
        }
        let read = Expression::read(text);
        let declared = self.declared.path.get(text).or_else(|| self.declared.path.get(read.name)).copied();
        let form = Form::of(declared, read.form);
        match form {
            Form::Simple => {}
            Form::Matrix => self.literal(";"),
            Form::Label | Form::LabelExploded => self.literal("."),
        }
        if read.has_pattern && self.template.unread.is_none() {
            self.template.unread = Some(text.chars().take(100).collect());
        }
        match self.then.last_mut() {
            // `{a}{b}` can't be told apart: the second takes nothing of its own.
            Some((reach, literal)) if literal.is_empty() => {
                if read.reach == Reach::Path {
                    *reach = Reach::Path;
                }
            }
            _ => {
                let name = declared.map_or(read.name, |parameter| parameter.name).into();
                self.template.parameters.push(Captured { name, form });
                self.then.push((read.reach, String::new()));
            }
        }
    }

    fn end_segment(&mut self) {
        let first = std::mem::take(&mut self.first);
        let then = std::mem::take(&mut self.then);
        self.template.segments.push(match then.is_empty() {
            true => Segment::Literal(first),
            false => Segment::Templated(Pattern::new(&first, then)),
        });
    }
}

impl<'t> Expression<'t> {
    fn read(text: &'t str) -> Self {
        let form = match text.as_bytes().first() {
            Some(b';') => Some(Form::Matrix),
            Some(b'.') => Some(Form::Label),
            _ => None,
        };
        let exploded = text.ends_with('*');
        let (name, pattern) = match text.split_once(':') {
            Some((name, pattern)) => (name, Some(pattern)),
            None => (text, None),
        };
        let greedy = text.starts_with(['+', '*'])
            || text.ends_with(['+', '*']) && pattern.is_none()
            || matches!(pattern, Some(".*" | ".+"));
        let form = match form {
            Some(Form::Label) if exploded => Some(Form::LabelExploded),
            form => form,
        };
        Expression {
            name: name.trim_matches(['+', '*', ';', '.', '?', '{', '}']),
            reach: if greedy && form.is_none() { Reach::Path } else { Reach::Segment },
            form,
            has_pattern: pattern.is_some_and(|pattern| !matches!(pattern, "" | ".*" | ".+")),
        }
    }
}

impl Form {
    /// What the document says comes before what the template looks like.
    fn of(declared: Option<&Parameter<'_>>, written: Option<Form>) -> Form {
        let Some(parameter) = declared else { return written.unwrap_or(Form::Simple) };
        let kind = parameter.schema.and_then(|schema| schema.get("type")).and_then(Value::as_str);
        let is_scalar = matches!(kind, Some("string" | "number" | "integer" | "boolean"));
        match parameter.style {
            Style::Matrix => Form::Matrix,
            Style::Label if parameter.explode && !is_scalar => Form::LabelExploded,
            Style::Label => Form::Label,
            _ if parameter.at.get("style").is_some() => Form::Simple,
            _ => written.unwrap_or(Form::Simple),
        }
    }
}

impl Captured {
    /// The value itself, decoded: a scalar's text, the items of an array or object between commas.
    pub fn decode(&self, captured: &str) -> String {
        let decode = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
        match self.form {
            Form::Simple | Form::Label => decode(captured),
            Form::LabelExploded => decode(&captured.replace('.', ",")),
            Form::Matrix => {
                let values = captured.split(';').map(|part| match part.split_once('=') {
                    Some((name, value)) if decode(name) == *self.name => decode(value),
                    None if decode(part) == *self.name => String::new(),
                    _ => decode(part),
                });
                values.collect::<Vec<_>>().join(",")
            }
        }
    }
}

impl Declared<'_, '_> {
    /// `name` or `name=value`, behind a `?` or, where the place is not the query, behind a `#`.
    fn condition(&self, text: &str, place: Place) -> Option<Condition<'static>> {
        let (name, value) = text.split_once('=').unwrap_or((text, ""));
        if name.is_empty() || name.contains('{') {
            return None;
        }
        let decode = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
        // In a query, and only there, `+` is a space.
        let decode_query = |text: &str| decode(&text.replace('+', " "));
        let value = Some(value).filter(|value| !value.is_empty() && !value.contains('{'));
        let (query, header) = (decode_query(name), decode(name).to_ascii_lowercase());
        let (place, name, value) = match place {
            Place::Header if self.query.contains(&*query) => (Place::Query, query, value.map(decode_query)),
            Place::Header if self.header.contains(&header) => (Place::Header, header, value.map(decode)),
            // A mere label.
            Place::Header => return None,
            Place::Query => (Place::Query, query, value.map(decode_query)),
        };
        Some(Condition { place, name: name.into(), value: value.map(Into::into) })
    }
}

/// A path key below its base path. Neither may say anything, but a request has a `/` at least.
pub fn whole(base: &str, key: &str) -> String {
    match format!("{base}{key}") {
        whole if whole.is_empty() => "/".to_owned(),
        whole => whole,
    }
}

/// A path key without its query and fragment, which begin outside of expressions.
pub fn bare(key: &str) -> &str {
    if !key.contains(['?', '#']) {
        return key;
    }
    let closed = closed(key);
    let mut at = 0;
    while let Some(byte) = key.as_bytes().get(at) {
        if matches!(byte, b'?' | b'#') {
            return &key[..at];
        }
        at = closed.get(&at).copied().unwrap_or(at) + 1;
    }
    key
}

/// For each `{` that is closed, where.
fn closed(text: &str) -> HashMap<usize, usize> {
    let mut open = Vec::new();
    let mut found = HashMap::new();
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            b'{' => open.push(at),
            b'}' => found.extend(open.pop().map(|from| (from, at))),
            _ => {}
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is expected: the names of the parameters, and the conditions.
    #[track_caller]
    fn check(key: &str, expected: &str) {
        let template = Template::parse("", key, &[]);
        let segments = template.segments.iter().map(|segment| match segment {
            Segment::Literal(text) => format!("/{text}"),
            Segment::Templated(pattern) if pattern.is_greedy() => "/**".to_owned(),
            Segment::Templated(_) => "/*".to_owned(),
        });
        let names = template.parameters.iter().map(|parameter| format!(" {}", parameter.name));
        let conditions = template.conditions.iter().map(|condition| match &condition.value {
            Some(value) => format!(" {}={value}", condition.name),
            None => format!(" {}?", condition.name),
        });
        assert_eq!(segments.chain(names).chain(conditions).collect::<String>(), expected);
    }

    #[test]
    fn names_follow_the_captures() {
        check("/c/{base}...{head}", "/c/* base head");
        check("/{x}{y}-{z}", "/* x z");
        check("/{{x}}", "/* x");
        check("/a b/{the id}.json", "/a%20b/* the id");
        check("/", "/");
        check("", "/");
    }

    #[test]
    fn other_routers_have_spellings_of_their_own() {
        for greedy in ["{p+}", "{+p}", "{p*}", "{*p}", "{p:.*}", "{p:.+}"] {
            check(&format!("/a/{greedy}"), "/a/** p");
        }
        check("/{id:[0-9]{2}[^/?#]+}/b", "/*/b id");
        check("/{id?}", "/* id");
        check("/map/{;point*}", "/map/* point");
        check("/report{.format}", "/* format");
        check("/find{?page,size}", "/find");
    }

    #[test]
    fn braces_that_are_not_closed_are_literal() {
        check("/a{b/{c}", "/a%7Bb/* c");
        check("/a}b", "/a%7Db");
    }

    #[test]
    fn a_query_is_conditions() {
        check("/a?b=c%20d&e={x}&{f}=1&g", "/a b=c d e? g?");
        check("/a?b=1#c=2&d", "/a b=1");
        check("/{x?}?b", "/* x b?");
    }

    #[test]
    fn hostile_keys_end_soon() {
        let long = 1 << 20;
        for part in ["{", "}", "/", "{a}", "?a", "#a", "&a", "{a:{", "%"] {
            let key = format!("/?{}{}", part.repeat(long / part.len()), "}".repeat(10));
            Template::parse("", &key, &[]);
            Template::parse("", &key.replacen('?', "", 1), &[]);
        }
    }
}
