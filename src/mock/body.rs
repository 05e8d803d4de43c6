//! A value as the body that is sent, by its media type: an example of a document, or an instance of a schema.

use std::sync::Arc;

use base64::Engine;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use http::header::SET_COOKIE;
use http::{HeaderName, HeaderValue};
use serde_json::Value as Json;

use super::form::Encoded;
use super::media::{MediaType, Syntax};
use super::reply::Content;
use super::sink::{Place, Seen, Sink, Value, json};
use super::style::Writing;
use super::template::{Builder, Form, Template};
use super::{form, xml};
use crate::diagnostic::{Code, Diagnostic, Report, Severity, cut};
use crate::spec::document::{Example, Location, Parameter, Shown};
use crate::tree;

const BAD_TEMPLATE: Code = Code("SI0201");
const ODD_VALUE: Code = Code("SI0202");

/// Documents leave padding out, and some write the URL's alphabet.
const PADDING: GeneralPurposeConfig =
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
const STANDARD: GeneralPurpose = GeneralPurpose::new(&alphabet::STANDARD, PADDING);
const URL_SAFE: GeneralPurpose = GeneralPurpose::new(&alphabet::URL_SAFE, PADDING);

/// How a header has the fields of an object (`explode` of the style `simple`; OpenAPI 3.2, 4.12.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Objects {
    /// `a,1,b,2`
    Flat,
    /// `a=1,b=2`
    Pairs,
}

impl From<bool> for Objects {
    fn from(explode: bool) -> Self {
        if explode { Objects::Pairs } else { Objects::Flat }
    }
}

/// The body of an example in a media type. A string under a JSON type stands as it is if it is JSON or has
/// a template; other strings as they are, or as the bytes that they encode. Everything else is written as
/// the media type has it. `schema` gives what [`crate::spec::schema::bundle`] made, and is asked if it is needed.
pub fn of(
    example: &Example<'_>,
    media: &MediaType,
    schema: impl FnOnce() -> Option<Json>,
    diagnostics: &mut Report,
) -> Content {
    let content = match example.shown {
        Shown::Data(value) => data(value, media, schema, diagnostics),
        Shown::Text(text) => {
            let form = if media.is_json() { Form::Json } else { Form::Text };
            parse(text, form, example.at, diagnostics).into()
        }
        // A file is sent as it is, binary ones too.
        Shown::File(bytes) => return Content::Bytes(bytes.clone()),
    };
    if let Some(charset) = other_charset(media, &content) {
        let message = format!("the body is sent in UTF-8, and not in {}", cut(charset));
        let hint = "name `charset=utf-8`, or show the bytes by `externalValue`";
        diagnostics.push(example.at.problem(Severity::Warning, ODD_VALUE, message).hint(hint));
    }
    content
}

/// The body of an instance of the schema that `bundle` stands for. What looks like a template in it is none.
///
/// # Errors
///
/// The media type has no form for it: why.
pub fn of_instance(instance: &Json, media: &MediaType, bundle: &Json) -> Result<Content, String> {
    if let Some(text) = instance.as_str()
        && takes_bytes(media)
        && says_base64(bundle)
        && let Some(bytes) = decoded(text)
    {
        return Ok(Content::Bytes(bytes.into()));
    }
    let mut out = String::new();
    match instance.as_str() {
        // In XML and in a sequence a text stands as a value.
        Some(text) if is_text(media.syntax()) => out.push_str(text),
        _ => put(instance, media, || Some(bundle.clone()), &mut out)?,
    }
    Ok(Content::Bytes(out.into()))
}

/// Whether a text is a whole body as it is.
fn is_text(syntax: Syntax) -> bool {
    !syntax.is_sequential() && !matches!(syntax, Syntax::Json | Syntax::Xml)
}

fn data(
    value: tree::Value<'_>,
    media: &MediaType,
    schema: impl FnOnce() -> Option<Json>,
    diagnostics: &mut Report,
) -> Content {
    match value.as_str() {
        Some(text) if media.is_json() && (text.contains("{{") || is_json(text)) => {
            parse(text, Form::Json, value, diagnostics).into()
        }
        Some(text) if !media.is_json() => {
            let encodes = takes_bytes(media) && !text.contains("{{");
            if encodes && schema().is_some_and(|bundle| says_base64(&bundle)) {
                match decoded(text) {
                    Some(bytes) => return Content::Bytes(bytes.into()),
                    None => diagnostics.push(
                        value
                            .problem(
                                Severity::Warning,
                                ODD_VALUE,
                                "this is no base64, and is sent as it stands",
                            )
                            .hint("its schema says that the bytes are encoded so"),
                    ),
                }
            }
            parse(text, Form::Text, value, diagnostics).into()
        }
        _ => {
            let mut out = Parsed { builder: Builder::new(), diagnostics };
            let written = put(value, media, schema, &mut out);
            let Parsed { builder, diagnostics } = out;
            match written {
                Ok(()) => builder.finish().into(),
                Err(reason) => {
                    let hint =
                        "write the text itself, as a block scalar (`value: |`), or name another media type";
                    diagnostics.push(value.problem(Severity::Warning, ODD_VALUE, reason.clone()).hint(hint));
                    Content::Unwritable(Arc::from(reason))
                }
            }
        }
    }
}

/// A body that is built from a value of a document, whose texts may have templates.
struct Parsed<'d> {
    builder: Builder,
    diagnostics: &'d mut Report,
}

impl<'t> Sink<tree::Value<'t>> for Parsed<'_> {
    fn syntax(&mut self, text: &str) {
        self.builder.literal(text);
    }

    fn text(&mut self, of: tree::Value<'t>, text: &str, place: Place) {
        if let Err(error) = self.builder.text(text, place) {
            self.diagnostics.push(bad_template(of, &error));
        }
    }

    fn left_out(&mut self, of: tree::Value<'t>, name: &str, instead: &str) {
        let Some((key, _)) = of.get_entry(name) else { return };
        let message = format!("`{}` is not sent: there is no such field in this media type", cut(name));
        self.diagnostics.push(key.problem(Severity::Warning, ODD_VALUE, message).hint(instead.to_owned()));
    }
}

/// A value as its media type has it.
fn put<'v, V: Value<'v>>(
    value: V,
    media: &MediaType,
    schema: impl FnOnce() -> Option<Json>,
    out: &mut impl Sink<V>,
) -> Result<(), String> {
    let syntax = media.syntax();
    match (syntax, value.seen()) {
        (Syntax::Lines | Syntax::Records | Syntax::Events, Seen::Items(items)) => {
            items.into_iter().for_each(|item| self::item(item, syntax, out));
        }
        (Syntax::Lines | Syntax::Records | Syntax::Events, _) => item(value, syntax, out),
        (Syntax::Form, Seen::Fields(_)) => form::put(value, out),
        (Syntax::Multipart, Seen::Fields(_) | Seen::Items(_)) => {
            form::put_parts(value, &boundary(value, media)?, out);
        }
        (Syntax::Xml, _) => xml::put(value, &schema().unwrap_or_default(), out),
        (Syntax::Form | Syntax::Multipart, seen) if seen.scalar().is_some() => {
            return Err(format!("a single value can't be written as {media}"));
        }
        (Syntax::Text | Syntax::Binary, Seen::Fields(_)) => {
            return Err(format!("an object can't be written as {media}"));
        }
        (Syntax::Text | Syntax::Binary | Syntax::Form, Seen::Items(_)) => {
            return Err(format!("an array can't be written as {media}"));
        }
        _ => json(value, Place::Quoted, out),
    }
    Ok(())
}

fn boundary<'v, V: Value<'v>>(value: V, media: &MediaType) -> Result<String, String> {
    let mut text = String::new();
    json(value, Place::Quoted, &mut text);
    match media.parameter("boundary") {
        None => Ok(form::boundary(&text)),
        Some(own) if form::is_boundary(own) && !text.contains(own) => Ok(own.to_owned()),
        Some(own) => Err(format!("`{}` can't be the boundary of this body", cut(own))),
    }
}

/// A charset that the media type names, and that the text is not in.
fn other_charset<'m>(media: &'m MediaType, content: &Content) -> Option<&'m str> {
    let charset = media.parameter("charset").filter(|charset| !charset.eq_ignore_ascii_case("utf-8"))?;
    let is_ascii = matches!(content, Content::Bytes(bytes) if bytes.is_ascii());
    // Text in ASCII is the same in nearly all of them.
    let wide = charset.to_ascii_lowercase().starts_with("utf-");
    (wide || !is_ascii).then_some(charset)
}

/// Whether a body may be bytes that the document shows as text.
fn takes_bytes(media: &MediaType) -> bool {
    matches!(media.syntax(), Syntax::Binary | Syntax::Other)
}

/// `format: byte` (2.0, 3.0), `contentEncoding: base64` (since 3.1), and what authors write for them.
fn says_base64(bundle: &Json) -> bool {
    let is = |schema: &Json, keyword: &str, words: &[&str]| {
        schema.get(keyword).and_then(Json::as_str).is_some_and(|word| words.contains(&word))
    };
    xml::together(bundle, bundle).into_iter().any(|(schema, _)| {
        is(schema, "format", &["byte", "base64"]) || is(schema, "contentEncoding", &["base64", "base64url"])
    })
}

fn decoded(text: &str) -> Option<Vec<u8>> {
    let text: String = text.split_ascii_whitespace().collect();
    STANDARD.decode(&text).or_else(|_| URL_SAFE.decode(&text)).ok()
}

/// OpenAPI 3.2, 4.14.3: an item of an array, in the form of a sequential media type.
fn item<'v, V: Value<'v>>(item: V, syntax: Syntax, out: &mut impl Sink<V>) {
    match syntax {
        Syntax::Events => event(item, out),
        Syntax::Records => {
            out.syntax("\u{1e}");
            json(item, Place::Quoted, out);
        }
        _ => json(item, Place::Quoted, out),
    }
    out.syntax("\n");
}

/// WHATWG HTML, 9.2.6: an event's fields, a line each. What has none of them is the `data` of one.
fn event<'v, V: Value<'v>>(item: V, out: &mut impl Sink<V>) {
    const FIELDS: [&str; 5] = ["event", "data", "id", "retry", "comment"];
    let Seen::Fields(fields) = item.seen() else { return field("data", item, out) };
    if !fields.iter().any(|(name, _)| FIELDS.contains(name)) {
        return field("data", item, out);
    }
    for (name, value) in fields {
        match name {
            "comment" => field("", value, out),
            name if FIELDS.contains(&name) => field(name, value, out),
            other => out.left_out(item, other, &format!("there are `{}`", FIELDS.join("`, `"))),
        }
    }
}

/// A field of an event: text with a line for each of its own, anything else as JSON.
fn field<'v, V: Value<'v>>(name: &str, value: V, out: &mut impl Sink<V>) {
    let Seen::Text(text) = value.seen() else {
        out.syntax(name);
        out.syntax(": ");
        json(value, Place::Quoted, out);
        return out.syntax("\n");
    };
    for line in text.replace("\r\n", "\n").split(['\n', '\r']) {
        out.syntax(name);
        out.syntax(": ");
        out.text(value, line, Place::Header);
        out.syntax("\n");
    }
}

/// The values of a header: one, but for a `set-cookie`, which has a field for each item (RFC 6265, 3).
pub fn header(
    name: &HeaderName,
    objects: Objects,
    example: &Example<'_>,
    diagnostics: &mut Report,
) -> Vec<Template> {
    let texts = match example.shown {
        Shown::Data(value) => header_texts(name, objects, value),
        Shown::Text(text) => vec![text.to_owned()],
        Shown::File(bytes) => vec![String::from_utf8_lossy(bytes.trim_ascii()).into_owned()],
    };
    texts.iter().map(|text| parse(text, Form::Header, example.at, diagnostics)).collect()
}

/// A parameter of a query or a cookie, as `name=value` pairs by its style; one that is the whole query as
/// that.
pub fn pairs(parameter: &Parameter<'_>, example: &Example<'_>, diagnostics: &mut Report) -> Template {
    let name = Place::Component.literal(parameter.name);
    let is_whole = parameter.location == Location::Querystring;
    let mut out = Parsed { builder: Builder::new(), diagnostics };
    let text = match example.shown {
        Shown::Data(value)
            if is_whole && value.is_mapping() && !parameter.media.is_some_and(is_json_type) =>
        {
            form::put(value, &mut out);
            return out.builder.finish();
        }
        Shown::Data(value) if is_whole => match value.as_str() {
            Some(text) => text,
            None => {
                json(value, Place::QuotedComponent, &mut Encoded(&mut out));
                return out.builder.finish();
            }
        },
        Shown::Data(value) if parameter.media.is_some() && value.as_str().is_none() => {
            out.builder.literal(&format!("{name}="));
            json(value, Place::QuotedComponent, &mut Encoded(&mut out));
            return out.builder.finish();
        }
        Shown::Data(value) => {
            Writing::from(parameter).put(value, &mut out);
            return out.builder.finish();
        }
        Shown::Text(text) => text.trim().trim_start_matches('?'),
        Shown::File(bytes) => {
            let text = String::from_utf8_lossy(bytes.trim_ascii());
            let name = if is_whole { String::new() } else { format!("{name}=") };
            out.builder.literal(&format!("{name}{}", Place::Component.literal(&text)));
            return out.builder.finish();
        }
    };
    if !is_whole && !has_names(parameter, text) {
        out.builder.literal(&format!("{name}="));
    }
    out.text(example.at, text, Place::Written);
    out.builder.finish()
}

/// OpenAPI 3.2, 4.12.5: what is written out has its name, or the names of an object's fields.
fn has_names(parameter: &Parameter<'_>, text: &str) -> bool {
    let own = |name: &str| {
        text.strip_prefix(name).is_some_and(|rest| rest.starts_with(['=', '[']) || rest.starts_with("%5B"))
    };
    let is_pair = |(name, value): (&str, &str)| !name.is_empty() && !value.is_empty() && !value.contains('=');
    own(parameter.name)
        || own(&Place::Component.literal(parameter.name))
        || parameter.explode && text.split('&').all(|part| part.split_once('=').is_some_and(is_pair))
}

fn is_json_type(media: &str) -> bool {
    MediaType::parse(media).is_some_and(|media| media.is_json())
}

/// The values of a header for an instance of its schema; those that can't stand in one are left out.
pub fn header_values(name: &HeaderName, objects: Objects, instance: &Json) -> Vec<HeaderValue> {
    let texts = header_texts(name, objects, instance).into_iter();
    texts.filter_map(|text| HeaderValue::try_from(text).ok()).collect()
}

/// The same as texts. Scalars by their text, arrays and objects with commas between, and what is inside
/// those as JSON. Control characters may be in them.
pub fn header_texts<'v, V: Value<'v>>(name: &HeaderName, objects: Objects, value: V) -> Vec<String> {
    let is_cookie = name == SET_COOKIE;
    let texts: Vec<String> = match value.seen() {
        Seen::Items(items) => items.into_iter().filter_map(header_text).collect(),
        Seen::Fields(fields) => {
            let fields = fields.into_iter().filter_map(|(name, value)| Some((name, header_text(value)?)));
            let sign = if is_cookie || objects == Objects::Pairs { '=' } else { ',' };
            fields.map(|(name, text)| format!("{name}{sign}{text}")).collect()
        }
        seen => return vec![seen.scalar().unwrap_or_default().into_owned()],
    };
    if is_cookie { texts } else { vec![texts.join(",")] }
}

fn header_text<'v, V: Value<'v>>(value: V) -> Option<String> {
    match value.seen() {
        Seen::Null => None,
        Seen::Items(_) | Seen::Fields(_) => {
            let mut out = String::new();
            json(value, Place::Quoted, &mut out);
            Some(out)
        }
        seen => seen.scalar().map(Into::into),
    }
}

fn parse(text: &str, form: Form, value: tree::Value<'_>, diagnostics: &mut Report) -> Template {
    Template::parse(text, form).unwrap_or_else(|error| {
        diagnostics.push(bad_template(value, &error));
        let mut plain = Builder::new();
        plain.literal(text);
        plain.finish()
    })
}

fn bad_template(value: tree::Value<'_>, error: &super::template::Error) -> Diagnostic {
    let place = value.place_within(error.offset);
    let problem = Diagnostic::new(Severity::Warning, BAD_TEMPLATE, error.message.clone()).at(place);
    match &error.hint {
        Some(hint) => problem.hint(hint.clone()),
        None => problem.hint("it is served as it stands"),
    }
}

fn is_json(text: &str) -> bool {
    serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// The body of an instance, or why there is none.
    #[track_caller]
    fn check(media: &str, schema: Json, instance: Json, expected: &str) {
        let media = MediaType::parse(media).expect("it is a media type");
        let found = match of_instance(&instance, &media, &schema) {
            Ok(Content::Bytes(bytes)) => String::from_utf8_lossy(&bytes).into_owned(),
            Ok(content) => format!("{content:?}"),
            Err(reason) => reason,
        };
        assert_eq!(found, expected);
    }

    #[test]
    fn an_instance_is_written_as_its_media_type_has_it() {
        let object = || json!({"a": [1, "{{ uuid() }}"]});
        check("application/json", json!({}), object(), r#"{"a":[1,"{{ uuid() }}"]}"#);
        check("application/jsonl", json!({}), json!([1, {"a": 2}]), "1\n{\"a\":2}\n");
        check("application/jsonl", json!({}), json!("a"), "\"a\"\n");
        check("application/json-seq", json!({}), json!("a"), "\u{1e}\"a\"\n");
        check("text/event-stream", json!({}), json!("a"), "data: a\n\n");
        check("text/event-stream", json!({}), json!([{"data": "x", "id": 1}]), "data: x\nid: 1\n\n");
        check("application/x-www-form-urlencoded", json!({}), object(), "a=1&a=%7B%7B+uuid%28%29+%7D%7D");
        let xml = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>";
        check(
            "text/xml",
            json!({"xml": {"name": "r"}}),
            object(),
            &format!("{xml}<r><a>1</a><a>{{{{ uuid() }}}}</a></r>"),
        );
        check("text/xml", json!({}), json!("<a/>"), &format!("{xml}<root>&lt;a/&gt;</root>"));
        check("text/plain", json!({}), object(), "an object can't be written as text/plain");
        check(
            "application/x-www-form-urlencoded",
            json!({}),
            json!(1),
            "a single value can't be written as application/x-www-form-urlencoded",
        );
    }

    #[test]
    fn a_string_of_an_instance_is_text_or_bytes() {
        let byte = || json!({"$ref": "#/$defs/0", "$defs": {"0": {"type": "string", "format": "byte"}}});
        check("application/json", byte(), json!("QQ=="), "\"QQ==\"");
        check("text/plain", byte(), json!("QQ=="), "QQ==");
        check("image/png", byte(), json!("QQ=="), "A");
        check("image/png", json!({"format": "binary"}), json!("QQ=="), "QQ==");
    }

    #[test]
    fn headers_of_an_instance() {
        let texts = |name: &str, objects: Objects, instance: Json| {
            header_texts(&name.parse().expect("it is a name"), objects, &instance).join("|")
        };
        assert_eq!(texts("x-a", Objects::Flat, json!({"a": 1, "b": null, "c": "x"})), "a,1,c,x");
        assert_eq!(texts("x-a", Objects::Pairs, json!({"a": 1, "c": "x"})), "a=1,c=x");
        assert_eq!(texts("x-a", Objects::Flat, json!(["a", {"b": 1}])), "a,{\"b\":1}");
        assert_eq!(texts("set-cookie", Objects::Flat, json!(["a=1", "b=2"])), "a=1|b=2");
        assert_eq!(texts("x-a", Objects::Flat, json!(null)), "");
    }
}
