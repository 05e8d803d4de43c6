//! Parameters: where they stand, how they are written, and what they show.

use super::document::{Format, Location, Parameter, Style};
use super::example::examples;
use super::keyword::{MEDIA_TYPE, PARAMETER, UNUSED, beside_reference, given, keywords, object, wrong_type};
use super::resolve::Resolver;
use crate::diagnostic::{Code, Severity, cut};
use crate::tree::{Key, Kind, Value};

pub const BAD_PARAMETER: Code = Code("SI0104");
const ODD_PARAMETER: Code = Code("SI0117");

pub fn parameters<'t>(resolver: &mut Resolver<'t>, list: Option<Value<'t>>) -> Vec<Parameter<'t>> {
    let Some(list) = given(resolver, list) else { return Vec::new() };
    if !list.is_sequence() {
        resolver.report(wrong_type(list, "`parameters`", "a sequence"));
        return Vec::new();
    }
    list.items().filter_map(|item| parameter(resolver, item)).collect()
}

fn parameter<'t>(resolver: &mut Resolver<'t>, item: Value<'t>) -> Option<Parameter<'t>> {
    let value = resolver.follow(item)?;
    beside_reference(resolver, item);
    let first_met = keywords(resolver, value, &PARAMETER);
    let name = value.get("name").and_then(Value::as_str);
    let place = value.get("in").and_then(|place| Some((place, place.as_str()?)));
    let (Some(name), Some((place, word))) = (name, place) else {
        let problem = value.problem(Severity::Error, BAD_PARAMETER, "a parameter needs `name` and `in`");
        resolver.report(problem);
        return None;
    };
    let Some(location) = location(word) else {
        let message = format!("a parameter in `{}` is not known", cut(word));
        let problem = place.problem(Severity::Error, BAD_PARAMETER, message);
        resolver.report(problem.hint("path, query, querystring, header and cookie are"));
        return None;
    };
    // A parameter may carry `content` with one media type instead of a schema.
    let content = given(resolver, value.get("content")).and_then(|content| content.entries().next());
    let media = content.and_then(|(_, media)| object(resolver, media, &MEDIA_TYPE));
    if first_met {
        lint(resolver, value, place, location);
    }
    let mut examples = examples(resolver, value);
    if let Some(media) = media.filter(|_| examples.is_empty()) {
        examples = self::examples(resolver, media);
    }
    let (style, explode) = style(value, location);
    Some(Parameter {
        at: value,
        name,
        location,
        style,
        explode,
        required: is_set(value, "required"),
        allow_empty: is_set(value, "allowEmptyValue"),
        schema: value.get("schema").or_else(|| media.and_then(|media| media.get("schema"))),
        media: content.map(|(key, _)| key.text()),
        examples,
    })
}

/// Whether a flag of an object is set.
pub fn is_set(object: Value<'_>, flag: &str) -> bool {
    object.get(flag).and_then(Value::as_bool).unwrap_or(false)
}

fn location(word: &str) -> Option<Location> {
    Some(match word {
        "path" => Location::Path,
        "query" => Location::Query,
        "querystring" => Location::Querystring,
        "header" => Location::Header,
        "cookie" => Location::Cookie,
        _ => return None,
    })
}

/// The styles of a place, the one that is meant where none is given first (3.2, 4.12.3).
fn styles(location: Location) -> &'static [(&'static str, Style)] {
    match location {
        Location::Path => &[("simple", Style::Simple), ("label", Style::Label), ("matrix", Style::Matrix)],
        Location::Query => &[
            ("form", Style::Form),
            ("spaceDelimited", Style::SpaceDelimited),
            ("pipeDelimited", Style::PipeDelimited),
            ("deepObject", Style::DeepObject),
        ],
        // The whole query has the form of its media type, and no style.
        Location::Querystring => &[],
        Location::Header => &[("simple", Style::Simple)],
        Location::Cookie => &[("form", Style::Form), ("cookie", Style::Cookie)],
    }
}

/// The style that a parameter is written in, and whether its items stand apart.
fn style(parameter: Value<'_>, location: Location) -> (Style, bool) {
    let styles = styles(location);
    let given = parameter.get("style").and_then(Value::as_str);
    let known = styles.iter().find(|(name, _)| Some(*name) == given).or(styles.first());
    let style = known.map_or(Style::Form, |(_, style)| *style);
    let explode = parameter.get("explode").and_then(Value::as_bool);
    (style, explode.unwrap_or(matches!(style, Style::Form | Style::Cookie)))
}

/// What a parameter says that has no effect, or not the one that was meant.
fn lint<'t>(resolver: &mut Resolver<'t>, value: Value<'t>, place: Value<'t>, location: Location) {
    let mut tell = |key: Key<'t>, severity, message: String, hint: &str| {
        resolver.report(key.problem(severity, ODD_PARAMETER, message).hint(hint));
    };
    let word = place.as_str().unwrap_or_default();
    if let Some((key, style)) = value.get_entry("style").filter(|(_, style)| style.kind() != Kind::Null) {
        let names: Vec<_> = styles(location).iter().map(|(name, _)| *name).collect();
        let given = style.text().unwrap_or_default();
        if !names.contains(&&*given) {
            let message = format!("`{}` is no style of a parameter in `{word}`", cut(&given));
            let hint = match names.first() {
                Some(first) => format!("it is read as `{first}`; there are `{}`", names.join("`, `")),
                None => "its `content` says what form it has".to_owned(),
            };
            tell(key, Severity::Warning, message, &hint);
        }
    }
    if let Some((key, content)) = value.get_entry("content") {
        if content.entries().count() > 1 {
            let message = "a parameter's `content` has one media type".to_owned();
            tell(key, Severity::Warning, message, "the first one counts; take the others out");
        }
        if value.get("schema").is_some() {
            let message = "a parameter has `schema` or `content`, not both".to_owned();
            tell(key, Severity::Warning, message, "the schema counts; take one of them out");
        }
    } else if let (Location::Querystring, Some((key, _))) = (location, value.get_entry("in")) {
        let message = "a parameter in `querystring` says its form by `content`".to_owned();
        tell(
            key,
            Severity::Warning,
            message,
            "put its schema under `content: application/x-www-form-urlencoded:`",
        );
    }
    let no_bool = |value: &Value<'_>| value.as_bool().is_none() && value.kind() != Kind::Null;
    if let Some((key, _)) = value.get_entry("explode").filter(|(_, explode)| no_bool(explode)) {
        let message = "`explode` is neither `true` nor `false`".to_owned();
        tell(key, Severity::Note, message, "the default of its style counts");
    }
    if let Some((key, required)) = value.get_entry("required")
        && location == Location::Path
        && required.as_bool() == Some(false)
    {
        let message = "a parameter in `path` is always required".to_owned();
        tell(key, Severity::Note, message, "write `required: true`");
    }
    if location == Location::Querystring && resolver.format() < Format::V32 {
        let message = "`querystring` came with OpenAPI 3.2, and is read all the same";
        resolver.report(place.problem(Severity::Note, UNUSED, message));
    }
}
