//! Swagger 2.0 to the model.
//!
//! What OpenAPI 3 says of a body in one object, Swagger says in several: its media types stand under
//! `consumes` and `produces`, its schema in a parameter or a response, its examples beside those. Here
//! they are brought together. Swagger has examples of responses only; for requests there are the
//! extensions `x-example` and `x-examples`, which several tools share.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use http::Method;

use super::document::{
    Document, Example, Field, FormField, Format, Location, Media, Operation, Parameter, Response,
    StatusPattern, Style,
};
use super::example::{data, of_schemas};
use super::extension::{extension, refs};
use super::keyword::{NONE, Object, beside_reference, given, keywords, object, wrong_type};
use super::parameter::{BAD_PARAMETER, is_set};
use super::path::{self, PathItem, Room, with_shared};
use super::resolve::Resolver;
use super::security::Securities;
use super::server::base;
use crate::diagnostic::{Code, Severity, cut};
use crate::tree::{Key, Spot, Tree, Value};

const BAD_COLLECTION: Code = Code("SI0121");
const MANY_TYPES: Code = Code("SI0122");

/// Media types that are read of one list: an operation has each in every response, and a list that is
/// longer is no list of what an API speaks.
const LISTED: usize = 32;

const JSON: &str = "application/json";
const FORM: &str = "application/x-www-form-urlencoded";
const MULTIPART: &str = "multipart/form-data";

/// 2.0, Swagger Object: the version is the text `2.0`; YAML makes a number of it where it is not quoted.
pub fn is_version(root: Value<'_>) -> bool {
    let version = root.get("swagger").filter(|_| root.get("openapi").is_none()).and_then(Value::text);
    version.is_some_and(|version| ["2.0", "2"].contains(&version.trim()))
}

/// Reads one document of this version.
pub fn document<'t>(resolver: &mut Resolver<'t>, tree: &'t Arc<Tree>) -> Document<'t> {
    let root = tree.root();
    resolver.read_as(Format::V2);
    keywords(resolver, root, &ROOT);
    let mut document = path::outline(tree, "2.0".to_owned(), Format::V2);
    let shared = Shared {
        base: base(resolver, root.get("basePath")),
        consumes: types(resolver, root.get("consumes")).unwrap_or_default(),
        produces: types(resolver, root.get("produces")).unwrap_or_default(),
    };
    let mut securities = Securities::of(resolver, root);
    let mut room = Room::WHOLE;
    for (key, item) in path::paths(resolver, root) {
        if !path_item(resolver, &shared, key, item, &mut securities, &mut room, &mut document.operations) {
            break;
        }
    }
    document
}

/// What a document says once for its operations.
struct Shared<'t> {
    base: String,
    consumes: Vec<Type<'t>>,
    produces: Vec<Type<'t>>,
}

/// A media type, and where it is named.
#[derive(Clone, Copy)]
struct Type<'t> {
    name: &'t str,
    at: Spot<'t>,
}

/// Whether there is room for more.
fn path_item<'t>(
    resolver: &mut Resolver<'t>,
    shared: &Shared<'t>,
    key: Key<'t>,
    item: Value<'t>,
    securities: &mut Securities<'t>,
    room: &mut Room,
    operations: &mut Vec<Operation<'t>>,
) -> bool {
    let item = PathItem::of(resolver, item);
    let inputs = inputs(resolver, item.get("parameters"));
    for (method_key, method, value) in item.operations(resolver) {
        let operation = operation(resolver, shared, key, method_key, method, value, &inputs);
        let operation = Operation { security: securities.required(resolver, value), ..operation };
        if !room.add(resolver, operation, operations) {
            return false;
        }
    }
    true
}

fn operation<'t>(
    resolver: &mut Resolver<'t>,
    shared: &Shared<'t>,
    path_key: Key<'t>,
    key: Key<'t>,
    method: Method,
    value: Value<'t>,
    of_path: &[Input<'t>],
) -> Operation<'t> {
    keywords(resolver, value, &OPERATION);
    let consumes = types(resolver, value.get("consumes"));
    let produces = types(resolver, value.get("produces"));
    let consumes = consumes.as_deref().unwrap_or(&shared.consumes);
    let produces = produces.as_deref().unwrap_or(&shared.produces);
    let own = inputs(resolver, value.get("parameters"));
    let inputs = with_shared(own, of_path, |input| (input.name, input.place));
    let (responses, unread) = responses(resolver, value, produces);
    Operation {
        key,
        path_key,
        id: value.get("operationId").and_then(Value::as_str).filter(|id| !id.is_empty()),
        method,
        path: path_key.text(),
        bases: vec![shared.base.clone()],
        tags: value.get("tags").into_iter().flat_map(Value::items).filter_map(Value::as_str).collect(),
        parameters: inputs.iter().filter_map(|input| parameter(resolver, input)).collect(),
        bodies: bodies(resolver, &inputs, consumes),
        body_required: inputs
            .iter()
            .any(|input| input.place == Place::Body && is_set(input.value, "required")),
        responses,
        unread,
        callbacks: Vec::new(),
        security: Arc::default(),
        deprecated: value.get("deprecated").and_then(Value::as_bool).unwrap_or(false),
        extension: extension(resolver, value),
    }
}

/// What `consumes` or `produces` lists, each once; none where it is not given. An operation's empty
/// list takes away the document's.
fn types<'t>(resolver: &mut Resolver<'t>, list: Option<Value<'t>>) -> Option<Vec<Type<'t>>> {
    let list = given(resolver, list)?;
    if !list.is_sequence() {
        resolver.report(wrong_type(list, "a list of media types", "a sequence"));
        return None;
    }
    let named = |item: Value<'t>| item.as_str().map(|name| Type { name, at: Spot::Value(item) });
    let mut seen = HashSet::new();
    let mut found: Vec<_> = list.items().filter_map(named).filter(|kind| seen.insert(kind.name)).collect();
    if found.len() > LISTED {
        let message = format!("{} media types are listed; the first {LISTED} are read", found.len());
        resolver.report(list.problem(Severity::Warning, MANY_TYPES, message));
        found.truncate(LISTED);
    }
    Some(found)
}

/// A parameter as it stands, whatever part of the request it describes.
#[derive(Clone, Copy)]
struct Input<'t> {
    name: &'t str,
    place: Place,
    value: Value<'t>,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Place {
    Beside(Location),
    Form,
    Body,
}

fn inputs<'t>(resolver: &mut Resolver<'t>, list: Option<Value<'t>>) -> Vec<Input<'t>> {
    let Some(list) = given(resolver, list) else { return Vec::new() };
    if !list.is_sequence() {
        resolver.report(wrong_type(list, "`parameters`", "a sequence"));
        return Vec::new();
    }
    list.items().filter_map(|item| input(resolver, item)).collect()
}

fn input<'t>(resolver: &mut Resolver<'t>, item: Value<'t>) -> Option<Input<'t>> {
    let value = resolver.follow(item)?;
    let (name, place) = (value.get("name").and_then(Value::as_str), value.get("in"));
    let (Some(name), Some((place, text))) = (name, place.and_then(|place| Some((place, place.as_str()?))))
    else {
        resolver.report(value.problem(Severity::Error, BAD_PARAMETER, "a parameter needs `name` and `in`"));
        return None;
    };
    let place = match text {
        "path" => Place::Beside(Location::Path),
        "query" => Place::Beside(Location::Query),
        "header" => Place::Beside(Location::Header),
        "formData" => Place::Form,
        "body" => Place::Body,
        other => {
            let message = format!("a parameter in `{}` is not known", cut(other));
            let problem = place.problem(Severity::Error, BAD_PARAMETER, message);
            resolver.report(problem.hint("path, query, header, formData and body are"));
            return None;
        }
    };
    beside_reference(resolver, item);
    keywords(resolver, value, if place == Place::Body { &BODY } else { &PARAMETER });
    Some(Input { name, place, value })
}

fn parameter<'t>(resolver: &mut Resolver<'t>, input: &Input<'t>) -> Option<Parameter<'t>> {
    let &Input { name, place: Place::Beside(location), value } = input else { return None };
    let (style, explode) = style(resolver, value, location);
    Some(Parameter {
        at: value,
        name,
        location,
        style,
        explode,
        required: is_set(value, "required"),
        allow_empty: is_set(value, "allowEmptyValue"),
        // 2.0, Parameter Object: one that is no body says its type itself.
        schema: Some(value),
        media: None,
        examples: examples(resolver, value),
    })
}

/// 2.0, Parameter Object, `collectionFormat`: how an array is written, and whether its items stand apart.
fn style<'t>(resolver: &mut Resolver<'t>, parameter: Value<'t>, location: Location) -> (Style, bool) {
    let in_query = location == Location::Query;
    let plain = (if in_query { Style::Form } else { Style::Simple }, false);
    let Some(format) = parameter.get("collectionFormat") else { return plain };
    let text = format.text().unwrap_or_default();
    let problem = match &*text {
        "csv" => return plain,
        "ssv" => return (Style::SpaceDelimited, false),
        "pipes" => return (Style::PipeDelimited, false),
        "multi" if in_query => return (Style::Form, true),
        "tsv" => {
            format.problem(Severity::Note, BAD_COLLECTION, "OpenAPI 3 has no `tsv`; it is taken as `csv`")
        }
        "multi" => format
            .problem(Severity::Warning, BAD_COLLECTION, "`multi` is for queries and forms")
            .hint("it is taken as `csv`"),
        other => format
            .problem(Severity::Warning, BAD_COLLECTION, format!("`{}` is no `collectionFormat`", cut(other)))
            .hint("csv, ssv, tsv, pipes and multi are; it is taken as `csv`"),
    };
    resolver.report(problem);
    plain
}

/// `x-example`, and `x-examples` by name, of a parameter, a field of a form or a header.
fn examples<'t>(resolver: &mut Resolver<'t>, value: Value<'t>) -> Vec<Example<'t>> {
    let mut found: Vec<_> = named(resolver, value).into_iter().map(|given| given.example).collect();
    found.extend(value.get("x-example").map(|value| data(None, value)));
    found
}

/// An example of a body, and the one media type that it is of, if it is of one.
struct Given<'t> {
    of: Option<Type<'t>>,
    example: Example<'t>,
}

/// `x-examples`: a mapping of names or of media types. A name never has a `/`.
fn named<'t>(resolver: &mut Resolver<'t>, value: Value<'t>) -> Vec<Given<'t>> {
    let Some(list) = given(resolver, value.get("x-examples")) else { return Vec::new() };
    if !list.is_mapping() {
        resolver.report(wrong_type(list, "`x-examples`", "a mapping of names or media types to examples"));
    }
    let mut found = Vec::new();
    for (key, item) in list.entries() {
        let Some(item) = resolver.follow(item) else { continue };
        let item = described(item).unwrap_or(item);
        found.push(match key.text().contains('/') {
            true => Given { of: Some(Type::of(key)), example: data(None, item) },
            false => Given { of: None, example: data(Some(key.text()), item) },
        });
    }
    found
}

/// The value of an example that is written as OpenAPI 3's: `value`, with nothing but words about it.
fn described(example: Value<'_>) -> Option<Value<'_>> {
    let words = |key: &str| ["value", "summary", "description"].contains(&key);
    example.get("value").filter(|_| example.entries().all(|(key, _)| words(key.text())))
}

impl<'t> Type<'t> {
    fn of(key: Key<'t>) -> Self {
        Type { name: key.text(), at: Spot::Key(key) }
    }
}

/// The request's body, in each of its media types: one parameter describes it, or the fields of a form.
fn bodies<'t>(resolver: &mut Resolver<'t>, inputs: &[Input<'t>], consumes: &[Type<'t>]) -> Vec<Media<'t>> {
    let mut found = inputs.iter().filter(|input| input.place == Place::Body);
    let Some(body) = found.next() else { return forms(resolver, inputs, consumes) };
    let form = inputs.iter().filter(|input| input.place == Place::Form);
    for other in found.chain(form) {
        let (name, other_name) = (cut(body.name), cut(other.name));
        let message = format!("the body is described by `{name}`; `{other_name}` has no effect");
        let problem = other.value.problem(Severity::Error, BAD_PARAMETER, message);
        resolver.report(problem.hint("let one parameter `in: body` describe the whole body"));
    }
    let mut examples = named(resolver, body.value);
    let own = body.value.get("x-example").map(|value| data(None, value));
    examples.extend(own.map(|example| Given { of: None, example }));
    let at = Spot::Value(body.value);
    let mut bodies = media(resolver, consumes, examples, body.value.get("schema"), at);
    of_schemas(resolver, &mut bodies);
    bodies
}

/// 2.0, Parameter Object, `formData`: urlencoded or multipart; files are multipart.
fn forms<'t>(resolver: &mut Resolver<'t>, inputs: &[Input<'t>], consumes: &[Type<'t>]) -> Vec<Media<'t>> {
    let own: Vec<_> = inputs.iter().filter(|input| input.place == Place::Form).collect();
    let Some(first) = own.first() else { return Vec::new() };
    let fields: Vec<FormField<'t>> = own.iter().map(|input| form_field(resolver, input)).collect();
    let is_file = |input: &&Input<'t>| input.value.get("type").and_then(Value::as_str) == Some("file");
    let is_form = |kind: &&Type<'t>| {
        [FORM, MULTIPART].iter().any(|form| kind.name.trim().to_ascii_lowercase().starts_with(form))
    };
    let mut types: Vec<Type<'t>> = consumes.iter().filter(is_form).copied().collect();
    if types.is_empty() {
        let name = if own.iter().any(is_file) { MULTIPART } else { FORM };
        types.push(Type { name, at: Spot::Value(first.value) });
    }
    let form = |kind: Type<'t>| Media { fields: fields.clone(), ..Media::new(kind.name, kind.at) };
    types.into_iter().map(form).collect()
}

fn form_field<'t>(resolver: &mut Resolver<'t>, input: &Input<'t>) -> FormField<'t> {
    // A form is written as a query is.
    let (style, explode) = style(resolver, input.value, Location::Query);
    FormField {
        at: input.value,
        name: input.name,
        style,
        explode,
        required: is_set(input.value, "required"),
        examples: examples(resolver, input.value),
    }
}

/// Those that can be read, and the statuses of the others.
fn responses<'t>(
    resolver: &mut Resolver<'t>,
    operation: Value<'t>,
    produces: &[Type<'t>],
) -> (Vec<Response<'t>>, Vec<StatusPattern>) {
    let (mut found, mut unread) = (Vec::new(), Vec::new());
    let Some(list) = given(resolver, operation.get("responses")) else { return (found, unread) };
    if !list.is_mapping() {
        resolver.report(wrong_type(list, "`responses`", "a mapping of status codes"));
    }
    for (key, item) in list.entries().filter(|(key, _)| !key.text().starts_with("x-")) {
        let Some(status) = path::status(resolver, key) else { continue };
        let Some(value) = object(resolver, item, &RESPONSE) else {
            unread.push(status);
            continue;
        };
        let mut examples = by_type(resolver, value);
        examples.extend(named(resolver, value));
        let content = media(resolver, produces, examples, value.get("schema"), Spot::Key(key));
        let headers = headers(resolver, value);
        found.push(Response { status, key, content, headers, refs: refs(value) });
    }
    (found, unread)
}

/// 2.0, Example Object: one example for each media type. Many documents refer to files from there.
fn by_type<'t>(resolver: &mut Resolver<'t>, response: Value<'t>) -> Vec<Given<'t>> {
    let Some(list) = given(resolver, response.get("examples")) else { return Vec::new() };
    if !list.is_mapping() {
        resolver.report(wrong_type(list, "`examples`", "a mapping of media types to examples"));
    }
    let mut found = Vec::new();
    for (key, item) in list.entries().filter(|(key, _)| !key.text().starts_with("x-")) {
        let Some(item) = resolver.follow(item) else { continue };
        found.push(Given { of: Some(Type::of(key)), example: data(None, item) });
    }
    found
}

/// A body in each media type of a list, and in those that only an example names. Where nothing names
/// one it is JSON, and where there is no example the schema's own is one.
fn media<'t>(
    resolver: &mut Resolver<'t>,
    types: &[Type<'t>],
    examples: Vec<Given<'t>>,
    schema: Option<Value<'t>>,
    at: Spot<'t>,
) -> Vec<Media<'t>> {
    if schema.is_none() && examples.is_empty() {
        return Vec::new();
    }
    let mut found: Vec<Media<'t>> = types.iter().map(|kind| Media::new(kind.name, kind.at)).collect();
    let of_all = examples.is_empty() || examples.iter().any(|given| given.of.is_none());
    if found.is_empty() && of_all {
        found.push(Media::new(JSON, at));
    }
    let listed = found.len();
    let mut known: HashMap<&str, usize> = found.iter().map(|media| media.name).zip(0..).collect();
    for Given { of, example } in examples {
        let Some(Type { name, at }) = of else {
            found[..listed].iter_mut().for_each(|media| media.examples.push(example));
            continue;
        };
        let slot = *known.entry(name).or_insert(found.len());
        if slot == found.len() {
            found.push(Media::new(name, at));
        }
        found[slot].examples.push(example);
    }
    if let Some(schema) = schema.filter(|_| found.iter().all(|media| media.examples.is_empty())) {
        // An instance is made of it: whether it leads anywhere is told now.
        resolver.follow(schema);
    }
    for media in &mut found {
        media.schema = schema;
    }
    found
}

/// 2.0, Header Object: it says its type itself, and the value that it has where nothing else is said.
fn headers<'t>(resolver: &mut Resolver<'t>, response: Value<'t>) -> Vec<Field<'t>> {
    let Some(list) = given(resolver, response.get("headers")) else { return Vec::new() };
    if !list.is_mapping() {
        resolver.report(wrong_type(list, "`headers`", "a mapping of names to headers"));
    }
    let mut found = Vec::new();
    for (key, item) in list.entries() {
        let Some(value) = object(resolver, item, &HEADER) else { continue };
        let mut examples = examples(resolver, value);
        if examples.is_empty() {
            let first = value.get("enum").and_then(|list| list.items().next());
            examples.extend(value.get("default").or(first).map(|value| data(None, value)));
        }
        let (style, explode) = style(resolver, value, Location::Header);
        found.push(Field {
            key,
            name: key.text(),
            at: value,
            // 2.0 can't say that a header is required.
            required: false,
            style,
            explode,
            schema: Some(value),
            media: None,
            examples,
        });
    }
    found
}

const ROOT: Object = Object {
    what: "a document",
    v2: &[
        "swagger",
        "info",
        "host",
        "basePath",
        "schemes",
        "consumes",
        "produces",
        "paths",
        "definitions",
        "parameters",
        "responses",
        "securityDefinitions",
        "security",
        "tags",
        "externalDocs",
    ],
    foreign: &[
        ("servers", "write `basePath`"),
        ("components", "write `definitions`, `parameters` and `responses`"),
        ("webhooks", "take it out"),
    ],
    ..NONE
};

const OPERATION: Object = Object {
    what: "an operation",
    v2: &[
        "tags",
        "summary",
        "description",
        "externalDocs",
        "operationId",
        "consumes",
        "produces",
        "parameters",
        "responses",
        "schemes",
        "deprecated",
        "security",
    ],
    foreign: &[
        ("requestBody", "describe the body as a parameter with `in: body` and a `schema`"),
        ("callbacks", "convert the document to OpenAPI 3 to have them sent"),
        ("servers", "write `basePath` at the top of the document"),
    ],
    ..NONE
};

const BODY: Object = Object {
    what: "a parameter",
    v2: &["name", "in", "description", "required", "schema"],
    foreign: &[
        ("content", "write `schema`, and the media types under `consumes`"),
        ("example", "write `x-example`, or `example` in the schema"),
        ("examples", "write `x-examples`"),
    ],
    ..NONE
};

const PARAMETER: Object = Object {
    what: "a parameter",
    v2: &[
        "name",
        "in",
        "description",
        "required",
        "type",
        "format",
        "allowEmptyValue",
        "items",
        "collectionFormat",
        "default",
        "maximum",
        "exclusiveMaximum",
        "minimum",
        "exclusiveMinimum",
        "maxLength",
        "minLength",
        "pattern",
        "maxItems",
        "minItems",
        "uniqueItems",
        "enum",
        "multipleOf",
        "title",
    ],
    foreign: &[
        ("schema", "write `type` and the like beside `in`"),
        ("content", "write `type` and the like beside `in`"),
        ("example", "write `x-example`"),
        ("examples", "write `x-examples`"),
        ("style", "write `collectionFormat`"),
        ("explode", "write `collectionFormat`"),
    ],
    ..NONE
};

const RESPONSE: Object = Object {
    what: "a response",
    v2: &["description", "schema", "headers", "examples"],
    foreign: &[
        ("content", "write `schema` and `examples`, and the media types under `produces`"),
        ("links", "take it out"),
    ],
    ..NONE
};

const HEADER: Object = Object {
    what: "a header",
    v2: &[
        "description",
        "type",
        "format",
        "items",
        "collectionFormat",
        "default",
        "maximum",
        "exclusiveMaximum",
        "minimum",
        "exclusiveMinimum",
        "maxLength",
        "minLength",
        "pattern",
        "maxItems",
        "minItems",
        "uniqueItems",
        "enum",
        "multipleOf",
    ],
    foreign: &[
        ("schema", "write `type` and the like in the header itself"),
        ("content", "write `type` and the like in the header itself"),
        ("example", "write `x-example`"),
        ("examples", "write `x-examples`"),
    ],
    ..NONE
};

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;

    /// The operations of a document, with how their parameters are written and what they speak, and its problems.
    #[track_caller]
    fn check(text: &str, expected: &str) {
        let (tree, _) = Tree::parse("/t.yaml", text.to_owned(), &Default::default()).expect("it is YAML");
        let trees = super::super::Trees::from([("/t.yaml".into(), tree)]);
        let reading = super::super::read(&trees, "/t.yaml");
        let mut lines = Vec::new();
        for operation in reading.document.iter().flat_map(|document| &document.operations) {
            lines.push(format!("{} {}{}", operation.method, operation.bases.join("|"), operation.path));
            for Parameter { name, location, style, explode, required, .. } in &operation.parameters {
                lines.push(format!("  {name} {location:?} {style:?} {explode} {required}"));
            }
            let bodies = operation.bodies.iter().map(|media| (">", media));
            let content = operation.responses.iter().flat_map(|response| &response.content);
            for (way, media) in bodies.chain(content.map(|media| ("<", media))) {
                let fields: Vec<_> = media.fields.iter().map(|field| field.name).collect();
                let line = format!("  {way} {} {} {}", media.name, media.examples.len(), fields.join(","));
                lines.push(line.trim_end().to_owned());
            }
        }
        lines.extend(reading.diagnostics.iter().map(ToString::to_string));
        assert_eq!(lines.join("\n"), expected);
    }

    #[test]
    fn version_2_is_read_however_it_is_written() {
        for version in ["2.0", "'2.0'", "\"2.0\"", "2"] {
            check(&format!("swagger: {version}\npaths: {{/a: , /b: {{get: {{}}}}}}"), "GET /b");
        }
        check(
            "swagger: '1.2'",
            "/t.yaml:1:1: Swagger 1.2 is not read by this version; convert the document to OpenAPI 3.0, \
             with `swagger2openapi` or `api-spec-converter` for one",
        );
        check(
            "swagger: 3.0.0",
            "/t.yaml:1:1: Swagger 3.0.0 is not read by this version; write `openapi: 3.0.0`",
        );
    }

    #[test]
    fn the_base_path_begins_with_a_slash_and_ends_without_one() {
        let get = |base: &str| format!("swagger: '2.0'\nbasePath: {base}\npaths: {{/a: {{get: {{}}}}}}");
        check(&get(""), "GET /a");
        check(&get("/"), "GET /a");
        check(&get("/v1/"), "GET /v1/a");
        check(
            &get("v1"),
            "GET /v1/a\n/t.yaml:2:11: `basePath` is `v1`, which does not begin with one `/`; it is taken as `/v1`",
        );
        check(
            &get("https://h"),
            "GET /a\n/t.yaml:2:11: `basePath` is `https://h`, which does not begin with one `/`; it is taken as `/`",
        );
        check(
            &get("'/{v}'"),
            "GET /a\n/t.yaml:2:11: the path of `/{v}` is not known: a `basePath` has no variables; \
             write the path itself, or set `base_path` in the config",
        );
    }

    #[test]
    fn collection_formats_are_styles() {
        check(
            "swagger: '2.0'\npaths: {/a: {get: {parameters: [{name: a, in: query}, {name: b, in: query, collectionFormat: csv}, \
             {name: c, in: query, collectionFormat: ssv}, {name: d, in: query, collectionFormat: pipes}, \
             {name: e, in: query, collectionFormat: multi, required: true}, {name: f, in: header, collectionFormat: csv}, \
             {name: g, in: path, collectionFormat: pipes}, {name: h, in: header, collectionFormat: tsv}]}}}",
            "GET /a\n  a Query Form false false\n  b Query Form false false\n  c Query SpaceDelimited false false\n  \
             d Query PipeDelimited false false\n  e Query Form true true\n  f Header Simple false false\n  \
             g Path PipeDelimited false false\n  h Header Simple false false\n\
             /t.yaml:2:387: OpenAPI 3 has no `tsv`; it is taken as `csv`",
        );
    }

    #[test]
    fn an_operation_s_media_types_replace_the_document_s() {
        check(
            "swagger: '2.0'\nconsumes: [a/b]\nproduces: [c/d, c/d]\npaths:\n  /a:\n    put: &put\n      \
             parameters: [{name: x, in: body, schema: {}}]\n      responses: {200: {schema: {example: 1}}, 204: {}}\n    \
             post: {<<: *put, consumes: [e/f, g/h], produces: []}",
            "PUT /a\n  > a/b 0\n  < c/d 0\nPOST /a\n  > e/f 0\n  > g/h 0\n  < application/json 0",
        );
    }

    #[test]
    fn a_form_is_urlencoded_unless_it_is_said_otherwise_or_has_a_file() {
        check(
            "swagger: '2.0'\npaths:\n  /a:\n    parameters: [{name: x, in: formData, type: string}]\n    \
             get: {consumes: [application/json]}\n    put: {consumes: [multipart/form-data]}\n    \
             post: {parameters: [{name: y, in: formData, type: file}]}\n    \
             patch: {consumes: [Multipart/Form-Data; boundary=x, application/x-www-form-urlencoded]}",
            "GET /a\n  > application/x-www-form-urlencoded 0 x\nPUT /a\n  > multipart/form-data 0 x\n\
             POST /a\n  > multipart/form-data 0 y,x\n\
             PATCH /a\n  > Multipart/Form-Data; boundary=x 0 x\n  > application/x-www-form-urlencoded 0 x",
        );
    }

    #[test]
    fn long_names_are_not_told_whole() {
        let name = "x".repeat(1000);
        let told = format!("{}...", "x".repeat(200));
        check(
            &format!(
                "swagger: '2.0'\npaths: {{/a: {{get: {{parameters: [{{name: {name}, in: body}}, {{name: {name}, in: formData}}]}}}}}}"
            ),
            &format!(
                "GET /a\n/t.yaml:2:1053: the body is described by `{told}`; `{told}` has no effect; \
                 let one parameter `in: body` describe the whole body"
            ),
        );
    }

    #[test]
    fn very_many_media_types_cost_no_more_than_some() {
        let types: Vec<_> = (0..20_000).map(|n| format!("a/b{n}")).collect();
        let mut text = format!("swagger: '2.0'\nproduces: [{}]\npaths:\n", types.join(","));
        text.extend(
            (0..2000).map(|n| format!("  /{n}: {{get: {{responses: {{200: {{schema: {{}}}}}}}}}}\n")),
        );
        let (tree, _) = Tree::parse("/t.yaml", text, &Default::default()).expect("it is YAML");
        let trees = super::super::Trees::from([("/t.yaml".into(), tree)]);
        let started = Instant::now();
        let reading = super::super::read(&trees, "/t.yaml");
        assert!(started.elapsed() < Duration::from_secs(10), "{:?}", started.elapsed());
        let told: Vec<_> = reading.diagnostics.iter().map(ToString::to_string).collect();
        assert_eq!(told, ["/t.yaml:2:11: 20000 media types are listed; the first 32 are read"]);
    }
}
