//! Keywords: which there are, what stands under one, and what was probably meant by one that there is not.

use http::Method;

use super::document::Format;
use super::resolve::Resolver;
use crate::diagnostic::{Code, Diagnostic, Severity, cut, slip};
use crate::tree::{Key, Kind, Value};

const WRONG_TYPE: Code = Code("SI0101");
const NEAR_MISS: Code = Code("SI0107");
pub const UNUSED: Code = Code("SI0115");
const FOREIGN: Code = Code("SI0120");

/// The keywords of an object, by the version that brought them.
pub struct Object {
    /// As messages call it.
    pub what: &'static str,
    pub v2: &'static [&'static str],
    pub v30: &'static [&'static str],
    pub v31: &'static [&'static str],
    pub v32: &'static [&'static str],
    /// In Swagger 2.0 those that only OpenAPI 3 has, each with what to write instead.
    pub foreign: &'static [(&'static str, &'static str)],
}

/// What an object has where nothing else is said.
pub const NONE: Object = Object { what: "", v2: &[], v30: &[], v31: &[], v32: &[], foreign: &[] };

pub const ROOT: Object = Object {
    what: "a document",
    v30: &["openapi", "info", "servers", "paths", "components", "security", "tags", "externalDocs"],
    v31: &["webhooks", "jsonSchemaDialect"],
    v32: &["$self"],
    ..NONE
};

pub const COMPONENTS: Object = Object {
    what: "`components`",
    v30: &[
        "schemas",
        "responses",
        "parameters",
        "examples",
        "requestBodies",
        "headers",
        "securitySchemes",
        "links",
        "callbacks",
    ],
    v31: &["pathItems"],
    v32: &["mediaTypes"],
    ..NONE
};

pub const SECURITY_SCHEME: Object = Object {
    what: "a security scheme",
    v30: &["type", "description", "name", "in", "scheme", "bearerFormat", "flows", "openIdConnectUrl"],
    v32: &["deprecated", "oauth2MetadataUrl"],
    ..NONE
};

pub const SECURITY_SCHEME_OF_2: Object = Object {
    what: "a security scheme",
    v2: &["type", "description", "name", "in", "flow", "authorizationUrl", "tokenUrl", "scopes"],
    foreign: &[
        ("scheme", "write `type: basic`, or an `apiKey` in the header `Authorization`"),
        ("flows", "write `flow` and what it needs beside it"),
    ],
    ..NONE
};

pub const PATH_ITEM: Object = Object {
    what: "a path item",
    v30: &[
        "$ref",
        "summary",
        "description",
        "get",
        "put",
        "post",
        "delete",
        "options",
        "head",
        "patch",
        "trace",
        "servers",
        "parameters",
    ],
    v32: &["query", "additionalOperations"],
    ..NONE
};

pub const PATH_ITEM_OF_2: Object = Object {
    what: "a path item",
    v2: &["$ref", "get", "put", "post", "delete", "options", "head", "patch", "parameters"],
    v30: &["trace"],
    v32: &["query"],
    foreign: &[
        ("servers", "write `basePath` at the top of the document"),
        ("additionalOperations", "convert the document to OpenAPI 3.2 to have them served"),
    ],
    ..NONE
};

pub const OPERATION: Object = Object {
    what: "an operation",
    v30: &[
        "tags",
        "summary",
        "description",
        "externalDocs",
        "operationId",
        "parameters",
        "requestBody",
        "responses",
        "callbacks",
        "deprecated",
        "security",
        "servers",
    ],
    ..NONE
};

pub const PARAMETER: Object = Object {
    what: "a parameter",
    v30: &[
        "name",
        "in",
        "description",
        "required",
        "deprecated",
        "allowEmptyValue",
        "style",
        "explode",
        "allowReserved",
        "schema",
        "example",
        "examples",
        "content",
    ],
    ..NONE
};

pub const HEADER: Object = Object {
    what: "a header",
    v30: &[
        "description",
        "required",
        "deprecated",
        "allowEmptyValue",
        "style",
        "explode",
        "allowReserved",
        "schema",
        "example",
        "examples",
        "content",
    ],
    ..NONE
};

pub const REQUEST_BODY: Object =
    Object { what: "a request body", v30: &["description", "content", "required"], ..NONE };

pub const MEDIA_TYPE: Object = Object {
    what: "a media type",
    v30: &["schema", "example", "examples", "encoding"],
    v32: &["itemSchema", "prefixEncoding", "itemEncoding"],
    ..NONE
};

pub const RESPONSE: Object = Object {
    what: "a response",
    v30: &["description", "headers", "content", "links"],
    v32: &["summary"],
    ..NONE
};

pub const EXAMPLE: Object = Object {
    what: "an example",
    v30: &["summary", "description", "value", "externalValue"],
    v32: &["dataValue", "serializedValue"],
    ..NONE
};

impl Object {
    fn known(&self) -> impl Iterator<Item = &'static str> {
        self.v2.iter().chain(self.v30).chain(self.v31).chain(self.v32).copied()
    }

    /// The version that brought a keyword.
    fn since(&self, keyword: &str) -> Option<Format> {
        let versions = [
            (self.v2, Format::V2),
            (self.v30, Format::V30),
            (self.v31, Format::V31),
            (self.v32, Format::V32),
        ];
        versions.into_iter().find(|(known, _)| known.contains(&keyword)).map(|(_, since)| since)
    }
}

const METHODS: [&str; 9] = ["get", "put", "post", "delete", "options", "head", "patch", "trace", "query"];

/// The method of a path item's field.
pub fn method(key: &str) -> Option<Method> {
    METHODS.contains(&key).then(|| standard_method(key)).flatten()
}

/// A method that a field of its own stands for, however it is written.
pub fn standard_method(name: &str) -> Option<Method> {
    let standard = METHODS.iter().find(|method| method.eq_ignore_ascii_case(name))?;
    Method::from_bytes(standard.to_ascii_uppercase().as_bytes()).ok()
}

/// Unknown keywords of one object that are looked at; a document tells of no more problems either.
const MOST_UNKNOWN: usize = 1000;

/// What a reference leads to, both looked through for keywords that have no effect. What is no mapping
/// is told, and is as if it were empty.
pub fn object<'t>(resolver: &mut Resolver<'t>, item: Value<'t>, object: &Object) -> Option<Value<'t>> {
    let target = resolver.follow(item)?;
    beside_reference(resolver, item);
    if !target.is_mapping() && target.kind() != Kind::Null && resolver.first_met(target) {
        resolver.report(wrong_type(target, object.what, "a mapping"));
    }
    keywords(resolver, target, object);
    Some(target)
}

/// Tells of each keyword of an object that has no effect, or is newer than its document. Answers
/// whether the object is met for the first time.
pub fn keywords<'t>(resolver: &mut Resolver<'t>, value: Value<'t>, object: &Object) -> bool {
    let first_met = value.is_mapping() && resolver.first_met(value);
    let mut unknown = 0;
    for (key, _) in value.entries().filter(|_| first_met) {
        let text = key.text();
        unknown += usize::from(object.since(text).is_none());
        if unknown > MOST_UNKNOWN {
            break;
        }
        match object.since(text) {
            Some(since) if since > resolver.format() => newer(resolver, key, since),
            Some(_) => {}
            None if text.starts_with("x-") || text == "$ref" => {}
            None if foreign(resolver, key, object) => {}
            None if near_miss(resolver, key, object) => {}
            None => {
                let message = format!("`{}` is no keyword of {}", cut(text), object.what);
                resolver.report(key.problem(Severity::Note, UNUSED, message));
            }
        }
    }
    first_met
}

/// Warns of keys that are probably misspelt, and of no others.
pub fn near_misses<'t>(resolver: &mut Resolver<'t>, value: Value<'t>, object: &Object) {
    let unknown = |key: &Key<'_>| !key.text().starts_with("x-") && object.since(key.text()).is_none();
    for (key, _) in value.entries().filter(|(key, _)| unknown(key)).take(MOST_UNKNOWN) {
        near_miss(resolver, key, object);
    }
}

/// 3.1, 4.8.23: a reference may have a summary and a description beside it, and nothing else.
pub fn beside_reference<'t>(resolver: &mut Resolver<'t>, item: Value<'t>) {
    if item.get("$ref").and_then(Value::as_str).is_none() || !resolver.first_met(item) {
        return;
    }
    for (key, _) in item.entries() {
        let text = key.text();
        if !["$ref", "summary", "description"].contains(&text) && !text.starts_with("x-") {
            let message = format!("`{}` stands beside a `$ref`, and has no effect", cut(text));
            resolver.report(key.problem(Severity::Note, UNUSED, message));
        }
    }
}

fn newer<'t>(resolver: &mut Resolver<'t>, key: Key<'t>, since: Format) {
    let version = match since {
        Format::V2 | Format::V30 => "3.0",
        Format::V31 => "3.1",
        Format::V32 => "3.2",
    };
    let message = format!("`{}` came with OpenAPI {version}, and is read all the same", key.text());
    resolver.report(key.problem(Severity::Note, UNUSED, message).hint(format!(
        "other tools may leave it out, unless the document begins with `openapi: {version}.0`"
    )));
}

/// Whether a key is a keyword of another version, which is told.
fn foreign<'t>(resolver: &mut Resolver<'t>, key: Key<'t>, object: &Object) -> bool {
    let text = key.text();
    let Some((_, remedy)) = object.foreign.iter().find(|(name, _)| *name == text) else { return false };
    let message = format!("`{text}` is of OpenAPI 3, and has no effect here");
    resolver.report(key.problem(Severity::Warning, FOREIGN, message).hint(*remedy));
    true
}

/// Whether a key is a slip of a keyword: an `exmaples` is silently nothing otherwise.
fn near_miss<'t>(resolver: &mut Resolver<'t>, key: Key<'t>, object: &Object) -> bool {
    let text = key.text();
    let other_case = object.known().find(|known| known.eq_ignore_ascii_case(text));
    let Some(near) = other_case.or_else(|| slip(text, object.known())) else { return false };
    resolver.report(
        key.problem(Severity::Warning, NEAR_MISS, format!("unknown keyword `{text}`"))
            .hint(format!("did you mean `{near}`?")),
    );
    true
}

/// What stands under a key of an object. A key without a value (`parameters:`) is as if it were not
/// there; and bundlers take a `$ref` wherever a value may stand, so documents have them in places
/// that the specification does not list.
pub fn given<'t>(resolver: &mut Resolver<'t>, value: Option<Value<'t>>) -> Option<Value<'t>> {
    resolver.follow(value?).filter(|value| value.kind() != Kind::Null)
}

pub fn wrong_type(value: Value<'_>, what: &str, expected: &str) -> Diagnostic {
    value.problem(Severity::Error, WRONG_TYPE, format!("{what} must be {expected}"))
}
