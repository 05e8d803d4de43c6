//! What an example asks of a request, in the form that requests are compared with.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

use percent_encoding::percent_decode_str;
use serde_json::Value as Json;
use url::form_urlencoded;

use crate::mock::choose::{Wanted, WantedContent, WantedValue, pairs};
use crate::mock::form;
use crate::mock::media::{MediaType, Syntax};
use crate::mock::message::sequence;
use crate::mock::style::Writing;
use crate::spec::document::{Example, Location, Parameter, Shown, Style};
use crate::tree::{Kind, Value};

/// What a parameter's example asks for; none where it shows nothing to compare.
pub fn parameter(parameter: &Parameter<'_>, writing: &Writing, example: &Example<'_>) -> Option<WantedValue> {
    let media = parameter.media.and_then(MediaType::parse);
    let json = media.is_some_and(|media| media.is_json());
    match (parameter.location, json) {
        (Location::Querystring, false) => query(example),
        (_, true) => json_text(example).map(WantedValue::Json),
        _ => value(writing, example),
    }
}

/// The same of a parameter or a field that is written by its style.
pub fn value(writing: &Writing, example: &Example<'_>) -> Option<WantedValue> {
    match example.compared() {
        Shown::Data(value) => data(writing, value),
        Shown::Text(text) => Some(sent(writing, text)),
        Shown::File(bytes) => std::str::from_utf8(bytes).ok().map(|text| sent(writing, text.trim())),
    }
}

/// Null says nothing, as an object without fields does.
fn data(writing: &Writing, value: Value<'_>) -> Option<WantedValue> {
    match value.kind() {
        Kind::Sequence => Some(WantedValue::set(value.items().map(|item| text(item).into()))),
        Kind::Mapping => {
            let mut found = Vec::new();
            fields(writing.style, None, value, &mut found);
            (!found.is_empty()).then(|| WantedValue::Fields(found.into()))
        }
        _ => value.text().map(|text| WantedValue::One(text.as_ref().into())),
    }
}

/// An object's fields. In `deepObject` those of objects within are `outer[inner]`; as deep as the tree,
/// which the reader's limit bounds.
fn fields(style: Style, within: Option<&str>, value: Value<'_>, out: &mut Vec<(Box<str>, WantedValue)>) {
    for (key, value) in value.entries() {
        let name = within.map_or_else(|| key.text().to_owned(), |outer| format!("{outer}[{}]", key.text()));
        match value.kind() {
            Kind::Null => {}
            Kind::Mapping if style == Style::DeepObject => fields(style, Some(&name), value, out),
            _ => out.push((name.into(), field(value))),
        }
    }
}

/// A field's value: an array stands item by item, an object as JSON (OpenAPI 3.2, 4.15.1).
fn field(value: Value<'_>) -> WantedValue {
    match value.kind() {
        Kind::Sequence => WantedValue::set(value.items().map(|item| text(item).into())),
        Kind::Mapping => WantedValue::Json(value.to_json()),
        _ => WantedValue::One(text(value).into()),
    }
}

fn text(value: Value<'_>) -> String {
    value.text().map_or_else(|| value.to_json().to_string(), Cow::into_owned)
}

/// OpenAPI 3.2, 4.12.5: a parameter as it is sent, escaped, and in a query or a cookie with its name.
fn sent(writing: &Writing, text: &str) -> WantedValue {
    let decoded = |text: &str| WantedValue::One(percent_decode_str(text).decode_utf8_lossy().into());
    match writing.location {
        Location::Header | Location::Querystring => WantedValue::One(text.trim().into()),
        Location::Path => decoded(text),
        Location::Cookie => {
            let value = text.strip_prefix(&*writing.name).and_then(|rest| rest.strip_prefix('='));
            decoded(value.unwrap_or(text).trim_matches('"'))
        }
        Location::Query => {
            let text = text.strip_prefix('?').unwrap_or(text);
            let pairs: Vec<_> = form_urlencoded::parse(text.as_bytes()).collect();
            match &*pairs {
                [(name, value)] if **name == *writing.name => WantedValue::One(value.as_ref().into()),
                pairs if pairs.iter().all(|(name, _)| **name == *writing.name) => {
                    WantedValue::set(pairs.iter().map(|(_, value)| value.as_ref().into()))
                }
                _ => decoded(text),
            }
        }
    }
}

/// A parameter whose `content` is JSON. A string that is JSON shows the JSON inside it.
fn json_text(example: &Example<'_>) -> Option<Json> {
    let text = match example.compared() {
        Shown::Data(value) => match value.as_str() {
            Some(text) => return Some(json_within(text)),
            None => return Some(value.to_json()),
        },
        Shown::Text(text) => text,
        Shown::File(bytes) => std::str::from_utf8(bytes).ok()?.trim(),
    };
    let text = percent_decode_str(text.strip_prefix('?').unwrap_or(text)).decode_utf8().ok()?;
    serde_json::from_str(&text).ok()
}

fn json_within(text: &str) -> Json {
    serde_json::from_str(text).unwrap_or_else(|_| text.into())
}

/// OpenAPI 3.2, 4.12.1: the whole query as a form.
fn query(example: &Example<'_>) -> Option<WantedValue> {
    let text = match example.compared() {
        Shown::Data(value) if value.is_mapping() => Cow::Owned(pairs_of(value)),
        Shown::Data(value) => value.text()?,
        Shown::Text(text) => text.into(),
        Shown::File(bytes) => std::str::from_utf8(bytes).ok()?.trim().into(),
    };
    let text = text.strip_prefix('?').unwrap_or(&text);
    Some(WantedValue::Pairs(pairs(text).into_iter().map(Into::into).collect()))
}

/// OpenAPI 3.2, 4.15.1: an object as a form; a pair for each item of an array, objects as JSON.
fn pairs_of(value: Value<'_>) -> String {
    let mut form = form_urlencoded::Serializer::new(String::new());
    for (key, value) in value.entries() {
        match value.kind() {
            Kind::Sequence => value.items().for_each(|item| {
                form.append_pair(key.text(), &text(item));
            }),
            Kind::Null => {}
            _ => {
                form.append_pair(key.text(), &text(value));
            }
        }
    }
    form.finish()
}

/// The same as the fields that a request's form should have.
fn form_fields(value: Value<'_>) -> WantedContent {
    let given = value.entries().filter(|(_, value)| value.kind() != Kind::Null);
    let fields = given.map(|(key, value)| {
        let (location, style) = (Location::Query, Style::Form);
        let writing = Writing { name: key.text().into(), location, style, explode: true };
        Wanted { writing: Arc::new(writing), value: field(value) }
    });
    WantedContent::Form(fields.collect())
}

/// The same of a multipart form.
fn parts(value: Value<'_>) -> WantedContent {
    let given = value.entries().filter(|(_, value)| value.kind() != Kind::Null);
    WantedContent::Parts(given.map(|(key, value)| (key.text().into(), field(value))).collect())
}

/// A multipart form that is shown as it is sent; a request has a boundary of its own.
fn sent_parts(text: &str) -> Option<WantedContent> {
    let boundary = form::first_boundary(text.as_bytes())?;
    let content_type = format!("multipart/form-data; boundary=\"{boundary}\"");
    // Block scalars have line feeds alone.
    let lines = text.replace("\r\n", "\n").replace('\n', "\r\n");
    let mut by_name: HashMap<String, Vec<Box<str>>> = HashMap::new();
    for part in form::multipart(&lines.into(), &content_type)? {
        let text = std::str::from_utf8(&part.bytes).ok()?;
        by_name.entry(part.name?).or_default().push(text.into());
    }
    let fields = by_name.into_iter().map(|(name, mut texts)| match texts.pop() {
        Some(only) if texts.is_empty() => (name.into(), WantedValue::One(only)),
        last => (name.into(), WantedValue::set(texts.into_iter().chain(last))),
    });
    Some(WantedContent::Parts(fields.collect()))
}

pub fn body(example: &Example<'_>, syntax: Syntax) -> WantedContent {
    let in_sequence = matches!(syntax, Syntax::Lines | Syntax::Records);
    let text = match example.compared() {
        Shown::Data(value) => match value.as_str() {
            Some(text) => Cow::Borrowed(text),
            None if in_sequence && value.is_sequence() => {
                return WantedContent::Sequence(value.items().map(Value::to_json).collect());
            }
            None if syntax == Syntax::Form && value.is_mapping() => return form_fields(value),
            None if syntax == Syntax::Multipart && value.is_mapping() => return parts(value),
            None => return WantedContent::Json(Arc::new(value.to_json())),
        },
        Shown::Text(text) => Cow::Borrowed(text),
        Shown::File(bytes) => match std::str::from_utf8(bytes) {
            Ok(text) => text.trim_start_matches('\u{feff}').into(),
            Err(_) => return WantedContent::Bytes(bytes.clone()),
        },
    };
    if in_sequence && let Some(items) = sequence(&text) {
        return WantedContent::Sequence(items.into());
    }
    match syntax {
        Syntax::Multipart => sent_parts(&text).unwrap_or_else(|| WantedContent::Text(text.into())),
        Syntax::Json => WantedContent::Json(Arc::new(json_within(&text))),
        _ => WantedContent::Text(text.into()),
    }
}
