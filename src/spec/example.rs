//! Examples: what stands under `example` and `examples`, and what schemas show of themselves.

use super::document::{Example, Format, Media, Shown};
use super::keyword::{EXAMPLE, beside_reference, given, keywords, near_misses, wrong_type};
use super::resolve::Resolver;
use crate::diagnostic::{Code, Severity, cut};
use crate::tree::{Key, Kind, Value};

const NO_VALUE: Code = Code("SI0105");

/// The `examples` and the singular `example` of a parameter, a header or a media type.
pub fn examples<'t>(resolver: &mut Resolver<'t>, value: Value<'t>) -> Vec<Example<'t>> {
    let mut found = Vec::new();
    if let Some(named) = given(resolver, value.get("examples")) {
        if !named.is_mapping() && !named.is_sequence() {
            resolver.report(wrong_type(named, "`examples`", "a mapping of names to examples"));
        }
        found.extend(named.entries().filter_map(|(key, item)| example(resolver, key, item)));
        found.extend(named.items().map(|item| data(None, item)));
    }
    found.extend(value.get("example").map(|value| data(None, value)));
    found
}

/// An example that is data, from an `example` or a schema.
pub fn data<'t>(name: Option<&'t str>, value: Value<'t>) -> Example<'t> {
    Example { name, at: value, shown: Shown::Data(value), data: None }
}

/// One of the `examples`; none, with a diagnostic, where nothing shows a value.
fn example<'t>(resolver: &mut Resolver<'t>, key: Key<'t>, item: Value<'t>) -> Option<Example<'t>> {
    let example = resolver.follow(item)?;
    beside_reference(resolver, item);
    let data = example.get("value").or_else(|| example.get("dataValue"));
    let sent = match example.get("serializedValue") {
        Some(value) => serialized(resolver, value),
        None => example.get("externalValue").and_then(|value| external(resolver, key, value)),
    };
    let found = match (sent, data) {
        (Some((at, shown)), data) => Example { name: Some(key.text()), at, shown, data },
        (None, Some(value)) => self::data(Some(key.text()), value),
        (None, None) => {
            no_value(resolver, key, example);
            return None;
        }
    };
    keywords(resolver, example, &EXAMPLE);
    Some(found)
}

/// 3.2, 4.19: what is sent, with the escaping of the media type or the style done.
fn serialized<'t>(resolver: &mut Resolver<'t>, value: Value<'t>) -> Option<(Value<'t>, Shown<'t>)> {
    match value.kind() {
        Kind::String(text) | Kind::Number(text) => Some((value, Shown::Text(text))),
        Kind::Bool(true) => Some((value, Shown::Text("true"))),
        Kind::Bool(false) => Some((value, Shown::Text("false"))),
        Kind::Null | Kind::Sequence | Kind::Mapping => {
            resolver.report(wrong_type(value, "`serializedValue`", "the text that is sent"));
            None
        }
    }
}

fn external<'t>(
    resolver: &mut Resolver<'t>,
    key: Key<'t>,
    value: Value<'t>,
) -> Option<(Value<'t>, Shown<'t>)> {
    if value.as_str().is_none() {
        resolver.report(wrong_type(value, "`externalValue`", "the name of a file"));
        return None;
    }
    match resolver.file(value) {
        Ok(bytes) => Some((value, Shown::File(bytes))),
        Err(reason) => {
            let message = format!("the file of example `{}` can't be had: {reason}", cut(key.text()));
            resolver.report(
                value
                    .problem(Severity::Warning, NO_VALUE, message)
                    .hint("put the file beside the document, or write what it shows under `value:`"),
            );
            None
        }
    }
}

fn no_value<'t>(resolver: &mut Resolver<'t>, key: Key<'t>, example: Value<'t>) {
    // Those that are there have been found wanting already.
    if ["serializedValue", "externalValue"].iter().any(|keyword| example.get(keyword).is_some()) {
        return;
    }
    near_misses(resolver, example, &EXAMPLE);
    let message = format!("example `{}` has no `value`", cut(key.text()));
    resolver.report(
        key.problem(Severity::Warning, NO_VALUE, message)
            .hint("an example is a mapping: put what it shows under `value:`"),
    );
}

/// The schema of a media type, a parameter or a header, and what its references lead to on their way:
/// since 3.1 other keywords may stand beside one, and they come first.
pub fn schemas<'t>(resolver: &mut Resolver<'t>, value: Value<'t>) -> Vec<Value<'t>> {
    value.get("schema").map_or_else(Vec::new, |schema| reached(resolver, schema))
}

fn reached<'t>(resolver: &mut Resolver<'t>, schema: Value<'t>) -> Vec<Value<'t>> {
    if resolver.format() < Format::V31 {
        return resolver.follow(schema).into_iter().collect();
    }
    resolver.follow_each(schema)
}

/// What the schemas of a request's body show, where it has no example: requests are compared with it. Of a
/// response it is an instance instead, which is made, and held against the schema, when it is asked for.
pub fn of_schemas<'t>(resolver: &mut Resolver<'t>, bodies: &mut [Media<'t>]) {
    for media in bodies.iter_mut().filter(|media| media.examples.is_empty()) {
        let Some(schema) = media.schema else { continue };
        let shown = reached(resolver, schema).into_iter().find_map(shown);
        media.examples.extend(shown.map(|value| data(None, value)));
    }
}

/// JSON Schema 2020-12, 9.5, and 3.0's own `example`: a schema may show an instance of itself.
pub fn shown(schema: Value<'_>) -> Option<Value<'_>> {
    schema.get("example").or_else(|| schema.get("examples").and_then(|list| list.items().next()))
}
