//! Bodies: forms, parts and XML, of any text, and of any value.

use bytes::Bytes;
use serde_json::{Value as Json, json};
use standin::mock::{form, xml};

/// Reading ends with a value or without one; what is written can be read.
pub fn holds(text: &str) {
    parts(text);
    for bundle in [json!({}), schema()] {
        // Whatever comes of it.
        let _ = xml::read(text, &bundle);
        if let Ok(value) = serde_json::from_str::<Json>(text) {
            let written = xml::write(&value, &bundle);
            assert!(is_deep(&value, 100) || xml::read(&written, &bundle).is_some(), "{written}");
        }
    }
    let string = json!({ "type": "string" });
    let kept: String = text.chars().filter(|char| is_xml(*char)).collect();
    assert_eq!(xml::read(&xml::write(&text.into(), &string), &string), Some(kept.into()));
    let pairs = form::pairs(form::write(&json!({ text: text })).as_bytes());
    assert_eq!(pairs, [(text.to_owned(), text.to_owned())]);
}

/// An instance of its schema is the same once it was written and read.
pub fn comes_back(instance: &Json, schema: &Json) {
    let written = xml::write(instance, schema);
    assert_eq!(xml::read(&written, schema).as_ref(), Some(instance), "{schema}: {written}");
}

fn parts(text: &str) {
    let body = Bytes::copy_from_slice(text.as_bytes());
    let own = form::first_boundary(&body).unwrap_or("B").to_owned();
    for boundary in [own.as_str(), "B", text] {
        let parts = form::multipart(&body, &format!("multipart/form-data; boundary=\"{boundary}\""));
        let size = parts.iter().flatten().map(|part| part.bytes.len()).sum::<usize>();
        assert!(size <= body.len());
    }
}

/// One with everything that can go wrong.
fn schema() -> Json {
    json!({
        "xml": { "prefix": "p", "namespace": "urn:p" },
        "properties": {
            "a": { "xml": { "attribute": true, "prefix": "p", "namespace": "urn:q" } },
            "b": { "xml": { "attribute": true, "name": "a" } },
            "c": { "xml": { "nodeType": "cdata" } },
            "d": { "xml": { "name": "xmlns:d", "attribute": true } },
            "e": { "type": "array", "xml": { "wrapped": true, "namespace": "" }, "items": { "xml": { "name": "p:e" } } },
            "xmlns": { "xml": { "attribute": true } },
        },
        "additionalProperties": { "$ref": "#" },
        "items": { "$ref": "#" },
    })
}

fn is_deep(value: &Json, left: usize) -> bool {
    let Some(left) = left.checked_sub(1) else { return true };
    match value {
        Json::Array(items) => items.iter().any(|item| is_deep(item, left)),
        Json::Object(fields) => fields.values().any(|field| is_deep(field, left)),
        _ => false,
    }
}

/// XML 1.0, 2.2.
pub fn is_xml(char: char) -> bool {
    !matches!(char, '\0'..='\u{8}' | '\u{b}' | '\u{c}' | '\u{e}'..='\u{1f}' | '\u{fffe}' | '\u{ffff}')
}
