//! An example's value as the body that is sent.

use super::media::{MediaType, Syntax};
use super::reply::Content;
use super::template::{Builder, Form, Template};
use crate::diagnostic::{Code, Diagnostic, Report, Severity, cut};
use crate::spec::document::{Example, Shown};
use crate::tree::{Kind, Value};

const BAD_TEMPLATE: Code = Code("SI0201");
const ODD_VALUE: Code = Code("SI0202");

/// The body of an example in a media type. JSON values are compact, in document order; a string
/// under a JSON type stands as it is if it is JSON or has a template; other strings as they are. An
/// array under a sequential type is written item by item.
pub fn of(example: &Example<'_>, media: &MediaType, diagnostics: &mut Report) -> Content {
    match example.shown {
        Shown::Data(value) => data(value, media, diagnostics).into(),
        Shown::Text(text) => {
            let form = if media.is_json() { Form::Json } else { Form::Text };
            parse(text, form, example.at, diagnostics).into()
        }
        // A file is sent as it is, binary ones too.
        Shown::File(bytes) => Content::Bytes(bytes.clone()),
    }
}

fn data(value: Value<'_>, media: &MediaType, diagnostics: &mut Report) -> Template {
    match (media.is_json(), value.kind()) {
        (true, Kind::String(text)) if text.contains("{{") || is_json(text) => {
            parse(text, Form::Json, value, diagnostics)
        }
        (false, Kind::String(text)) => parse(text, Form::Text, value, diagnostics),
        (false, Kind::Sequence) if media.syntax().is_sequential() => {
            sequence(value, media.syntax(), diagnostics)
        }
        (false, Kind::Mapping | Kind::Sequence) if media.is_other_than_json() => {
            diagnostics.push(
                value
                    .problem(
                        Severity::Warning,
                        ODD_VALUE,
                        format!("an object shown as {media} is sent as JSON"),
                    )
                    .hint("write the text itself, as a block scalar (`value: |`)"),
            );
            json(value, diagnostics)
        }
        _ => json(value, diagnostics),
    }
}

/// OpenAPI 3.2, 4.14.3: the items of an array, in the form of a sequential media type.
fn sequence(value: Value<'_>, syntax: Syntax, diagnostics: &mut Report) -> Template {
    let mut out = Builder::new();
    for item in value.items() {
        match syntax {
            Syntax::Events => event(item, &mut out, diagnostics),
            Syntax::Records => {
                out.literal("\u{1e}");
                write(item, &mut out, diagnostics);
            }
            Syntax::Json | Syntax::Lines | Syntax::Form | Syntax::Other => write(item, &mut out, diagnostics),
        }
        out.literal("\n");
    }
    out.finish()
}

/// WHATWG HTML, 9.2.6: an event's fields, a line each. What has none of them is the `data` of one.
fn event(item: Value<'_>, out: &mut Builder, diagnostics: &mut Report) {
    const FIELDS: [&str; 5] = ["event", "data", "id", "retry", "comment"];
    if !FIELDS.iter().any(|field| item.get(field).is_some()) {
        return field("data", item, out, diagnostics);
    }
    for (key, value) in item.entries() {
        match key.text() {
            "comment" => field("", value, out, diagnostics),
            name if FIELDS.contains(&name) => field(name, value, out, diagnostics),
            other => {
                let message = format!("`{}` is no field of an event, and is not sent", cut(other));
                let there = format!("there are `{}`", FIELDS.join("`, `"));
                diagnostics.push(key.problem(Severity::Warning, ODD_VALUE, message).hint(there));
            }
        }
    }
}

/// A field of an event: text with a line for each of its own, anything else as JSON.
fn field(name: &str, value: Value<'_>, out: &mut Builder, diagnostics: &mut Report) {
    let Some(text) = value.as_str() else {
        out.literal(name);
        out.literal(": ");
        write(value, out, diagnostics);
        return out.literal("\n");
    };
    for line in text.replace("\r\n", "\n").split(['\n', '\r']) {
        out.literal(name);
        out.literal(": ");
        if let Err(error) = out.line(line) {
            diagnostics.push(bad_template(value, &error));
        }
        out.literal("\n");
    }
}

/// A header's value: scalars by their text, arrays joined by commas (OpenAPI's `simple` style).
pub fn header(example: &Example<'_>, diagnostics: &mut Report) -> Template {
    let text = match example.shown {
        Shown::Data(value) if value.is_sequence() => {
            let items: Vec<_> = value.items().filter_map(Value::text).collect();
            items.join(",").into()
        }
        Shown::Data(value) => value.text().unwrap_or_default(),
        Shown::Text(text) => text.into(),
        Shown::File(bytes) => String::from_utf8_lossy(bytes.trim_ascii()),
    };
    parse(&text, Form::Header, example.at, diagnostics)
}

fn parse(text: &str, form: Form, value: Value<'_>, diagnostics: &mut Report) -> Template {
    Template::parse(text, form).unwrap_or_else(|error| {
        diagnostics.push(bad_template(value, &error));
        let mut plain = Builder::new();
        plain.literal(text);
        plain.finish()
    })
}

fn bad_template(value: Value<'_>, error: &super::template::Error) -> Diagnostic {
    let place = value.place_within(error.offset);
    let problem = Diagnostic::new(Severity::Warning, BAD_TEMPLATE, error.message.clone()).at(place);
    match &error.hint {
        Some(hint) => problem.hint(hint.clone()),
        None => problem.hint("it is served as it stands"),
    }
}

fn json(value: Value<'_>, diagnostics: &mut Report) -> Template {
    let mut builder = Builder::new();
    write(value, &mut builder, diagnostics);
    builder.finish()
}

/// As deep as the tree, which the reader's limit bounds.
fn write(value: Value<'_>, out: &mut Builder, diagnostics: &mut Report) {
    match value.kind() {
        Kind::Null => out.literal("null"),
        Kind::Bool(true) => out.literal("true"),
        Kind::Bool(false) => out.literal("false"),
        Kind::Number(text) => out.literal(text),
        Kind::String(text) => {
            out.literal("\"");
            if let Err(error) = out.string(text) {
                diagnostics.push(bad_template(value, &error));
            }
            out.literal("\"");
        }
        Kind::Sequence => {
            out.literal("[");
            for (position, item) in value.items().enumerate() {
                if position > 0 {
                    out.literal(",");
                }
                write(item, out, diagnostics);
            }
            out.literal("]");
        }
        Kind::Mapping => {
            out.literal("{");
            for (position, (key, item)) in value.entries().enumerate() {
                out.literal(if position > 0 { ",\"" } else { "\"" });
                if let Err(error) = out.string(key.text()) {
                    diagnostics.push(bad_template(item, &error));
                }
                out.literal("\":");
                write(item, out, diagnostics);
            }
            out.literal("}");
        }
    }
}

fn is_json(text: &str) -> bool {
    serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok()
}
