//! Values that are written, and how their texts are escaped for where they stand.
//!
//! A body is written alike from an example of a document, whose texts may have templates, and from an
//! instance of a schema, whose texts have none: [`Value`] is either, and a [`Sink`] takes what it comes to.

use std::borrow::Cow;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;
use url::form_urlencoded::byte_serialize;

use crate::tree::{self, Kind, escape_json};

const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// A value to write.
pub trait Value<'v>: Copy {
    fn seen(self) -> Seen<'v, Self>;
}

/// A value, one level deep.
pub enum Seen<'v, V> {
    Null,
    Bool(bool),
    /// As it was written.
    Number(Cow<'v, str>),
    Text(&'v str),
    Items(Vec<V>),
    Fields(Vec<(&'v str, V)>),
}

impl<'v, V> Seen<'v, V> {
    /// The text of a scalar; none for null.
    pub fn scalar(&self) -> Option<Cow<'v, str>> {
        match self {
            Seen::Bool(true) => Some("true".into()),
            Seen::Bool(false) => Some("false".into()),
            Seen::Number(text) => Some(text.clone()),
            Seen::Text(text) => Some((*text).into()),
            Seen::Null | Seen::Items(_) | Seen::Fields(_) => None,
        }
    }
}

impl<'t> Value<'t> for tree::Value<'t> {
    fn seen(self) -> Seen<'t, Self> {
        match self.kind() {
            Kind::Null => Seen::Null,
            Kind::Bool(value) => Seen::Bool(value),
            Kind::Number(text) => Seen::Number(text.into()),
            Kind::String(text) => Seen::Text(text),
            Kind::Sequence => Seen::Items(self.items().collect()),
            Kind::Mapping => Seen::Fields(self.entries().map(|(key, value)| (key.text(), value)).collect()),
        }
    }
}

impl<'v> Value<'v> for &'v Json {
    fn seen(self) -> Seen<'v, Self> {
        match self {
            Json::Null => Seen::Null,
            Json::Bool(value) => Seen::Bool(*value),
            Json::Number(number) => Seen::Number(number.to_string().into()),
            Json::String(text) => Seen::Text(text),
            Json::Array(items) => Seen::Items(items.iter().collect()),
            Json::Object(fields) => {
                Seen::Fields(fields.iter().map(|(key, value)| (key.as_str(), value)).collect())
            }
        }
    }
}

/// Takes what a value is written as.
pub trait Sink<V> {
    /// Syntax, as it is.
    fn syntax(&mut self, text: &str);

    /// A text of the value `of`, to be escaped for its place.
    fn text(&mut self, of: V, text: &str, place: Place);

    /// Told that the field of that name of the value `of` can't be written, and what can.
    fn left_out(&mut self, _of: V, _name: &str, _instead: &str) {}
}

/// Texts as they are: no templates.
impl<V> Sink<V> for String {
    fn syntax(&mut self, text: &str) {
        self.push_str(text);
    }

    fn text(&mut self, _of: V, text: &str, place: Place) {
        self.push_str(&place.literal(text));
    }
}

/// What is around a text. Its words are also those of what is kept over a restart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Place {
    Text,
    Header,
    /// Inside a JSON string.
    Quoted,
    /// Where a JSON value may stand.
    Bare,
    /// Inside an XML element.
    Element,
    /// Inside an XML attribute's double quotes.
    Attribute,
    /// Inside an XML CDATA section.
    Cdata,
    /// A name or a value of an urlencoded form.
    Pair,
    /// Inside a JSON string in a value of an urlencoded form.
    QuotedPair,
    /// A part of a multipart body.
    Part,
    /// A name or a value in a query or a cookie.
    Component,
    /// Inside a JSON string in one.
    #[serde(rename = "quoted-component")]
    QuotedComponent,
    /// A query or a cookie that its author wrote out.
    Written,
}

impl Place {
    /// A text that the document's author wrote, as it stands in what is rendered.
    pub fn literal(self, text: &str) -> String {
        let mut out = String::with_capacity(text.len());
        match self {
            // The boundary was chosen so that it does not occur.
            Place::Part | Place::Written => out.push_str(text),
            place => place.write(text, &mut out),
        }
        out
    }

    /// A text that nobody knows beforehand, in any number of pieces.
    pub fn write(self, text: &str, out: &mut String) {
        match self {
            Place::Text | Place::Bare => out.push_str(text),
            Place::Header => out.extend(text.chars().filter(|c| !c.is_control())),
            Place::Quoted => escape_json(text, out),
            Place::Element => xml(text, out, |char| match char {
                '\r' => Some("&#13;"),
                _ => None,
            }),
            // XML 1.0, 3.3.3: white space in an attribute is read as spaces.
            Place::Attribute => xml(text, out, |char| match char {
                '\r' => Some("&#13;"),
                '\n' => Some("&#10;"),
                '\t' => Some("&#9;"),
                '"' => Some("&quot;"),
                _ => None,
            }),
            Place::Cdata => cdata(text, out),
            Place::Pair => out.extend(byte_serialize(text.as_bytes())),
            // RFC 3986, 2.3: all but what is unreserved.
            Place::Component | Place::Written => out.extend(utf8_percent_encode(text, RESERVED)),
            Place::QuotedComponent => {
                let mut quoted = String::new();
                escape_json(text, &mut quoted);
                Place::Component.write(&quoted, out);
            }
            Place::QuotedPair => {
                let mut quoted = String::new();
                escape_json(text, &mut quoted);
                Place::Pair.write(&quoted, out);
            }
            // RFC 2046, 5.1.1: a boundary follows a line break, so no text without one ends a part.
            Place::Part => out.extend(text.chars().filter(|c| *c != '\r')),
        }
    }
}

fn xml(text: &str, out: &mut String, more: impl Fn(char) -> Option<&'static str>) {
    for char in text.chars().filter(|char| is_xml(*char)) {
        match char {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            char => match more(char) {
                Some(escaped) => out.push_str(escaped),
                None => out.push(char),
            },
        }
    }
}

/// XML 1.0, 2.7: nothing is escaped inside, and `]]>` ends it; so what can't stand there stands outside.
/// The text comes in pieces: a `>` at the beginning of one may follow brackets.
fn cdata(text: &str, out: &mut String) {
    let mut before = ']';
    for char in text.chars().filter(|char| is_xml(*char)) {
        match char {
            '>' if before == ']' => out.push_str("]]>&gt;<![CDATA["),
            '\r' => out.push_str("]]>&#13;<![CDATA["),
            char => out.push(char),
        }
        before = char;
    }
}

/// XML 1.0, 2.2. Others can't be written at all, not even escaped.
fn is_xml(char: char) -> bool {
    matches!(char, '\t' | '\n' | '\r' | '\u{20}'..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..)
}

/// Compact JSON, in the order of the value; strings are written for the place `quoted`.
/// As deep as the value, which was read under a limit.
pub fn json<'v, V: Value<'v>>(value: V, quoted: Place, out: &mut impl Sink<V>) {
    match value.seen() {
        Seen::Null => out.syntax("null"),
        Seen::Bool(true) => out.syntax("true"),
        Seen::Bool(false) => out.syntax("false"),
        Seen::Number(text) => out.syntax(&text),
        Seen::Text(text) => {
            out.syntax("\"");
            out.text(value, text, quoted);
            out.syntax("\"");
        }
        Seen::Items(items) => {
            out.syntax("[");
            for (position, item) in items.into_iter().enumerate() {
                if position > 0 {
                    out.syntax(",");
                }
                json(item, quoted, out);
            }
            out.syntax("]");
        }
        Seen::Fields(fields) => {
            out.syntax("{");
            for (position, (name, field)) in fields.into_iter().enumerate() {
                out.syntax(if position > 0 { ",\"" } else { "\"" });
                out.text(field, name, quoted);
                out.syntax("\":");
                json(field, quoted, out);
            }
            out.syntax("}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(place: Place, text: &str, expected: &str) {
        let mut out = String::new();
        place.write(text, &mut out);
        assert_eq!(out, expected);
    }

    #[test]
    fn text_of_xml_is_escaped_for_its_place() {
        check(Place::Element, "a<b>&\"c\"\r\n\u{1}\u{ffff}", "a&lt;b&gt;&amp;\"c\"&#13;\n");
        check(Place::Attribute, "a<b>&\"c\"\r\n\t\u{0}", "a&lt;b&gt;&amp;&quot;c&quot;&#13;&#10;&#9;");
    }

    #[test]
    fn no_piece_of_a_text_ends_a_cdata_section() {
        check(Place::Cdata, "a<b>]]>", "a<b>]]]]>&gt;<![CDATA[");
        check(Place::Cdata, ">", "]]>&gt;<![CDATA[");
    }

    #[test]
    fn values_of_a_form_and_of_its_parts() {
        check(Place::Pair, "a b&c=ä", "a+b%26c%3D%C3%A4");
        check(Place::QuotedPair, "a\"b", "a%5C%22b");
        check(Place::Part, "a\r\n--b", "a\n--b");
        assert_eq!(Place::Part.literal("a\r\nb"), "a\r\nb");
    }

    #[test]
    fn json_is_compact_and_in_order() {
        let value = serde_json::json!({ "z": [1, 1.5, null, true], "a\"": "x\ny" });
        let mut out = String::new();
        json(&value, Place::Quoted, &mut out);
        assert_eq!(out, value.to_string());
    }
}
