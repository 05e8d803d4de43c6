//! OpenAPI 3.0 and 3.1 to the model.

use std::collections::HashSet;
use std::sync::Arc;

use http::Method;

use super::NOT_OPENAPI;
use super::document::{
    Callback, Document, Example, Field, Format, Location, Media, Operation, Parameter, Response, Shown,
    StatusPattern, Style,
};
use super::extension::{NOT_BUILT, duration, extension, extension_key, refs};
use super::keyword::{NEAR_MISS, given, method, near_misses, unknown_method, wrong_type};
use super::resolve::Resolver;
use super::server::bases;
use crate::diagnostic::{Code, Severity, slip};
use crate::tree::{Key, Kind, Spot, Tree, Value};

const BAD_PATH: Code = Code("SI0102");
const BAD_STATUS: Code = Code("SI0103");
const BAD_PARAMETER: Code = Code("SI0104");
const BAD_EXAMPLE: Code = Code("SI0105");
/// Reads one document; none, with a diagnostic, if it is no OpenAPI 3 document.
pub fn document<'t>(resolver: &mut Resolver<'t>, tree: &'t Arc<Tree>) -> Option<Document<'t>> {
    let root = tree.root();
    let (openapi, format) = version(resolver, root)?;
    let info = root.get("info");
    let text = |key| info.and_then(|info: Value<'t>| info.get(key));
    let mut document = Document {
        source: tree.name().into(),
        title: text("title").and_then(Value::as_str).unwrap_or(""),
        version: text("version").and_then(Value::text).unwrap_or_default().into_owned(),
        openapi,
        format,
        operations: Vec::new(),
    };
    match given(resolver, root.get("paths")) {
        Some(paths) if paths.is_mapping() => {
            for (key, item) in paths.entries().filter(|(key, _)| !key.text().starts_with("x-")) {
                path_item(resolver, root, key, item, &mut document.operations);
            }
        }
        Some(paths) => resolver.report(wrong_type(paths, "`paths`", "a mapping of paths")),
        None if root.get("paths").is_some() => {}
        None => {
            let found = root.entries().map(|(key, _)| key);
            if let Some(key) = found.into_iter().find(|key| slip(key.text(), ["paths"]).is_some()) {
                resolver.report(
                    key.problem(Severity::Warning, NEAR_MISS, format!("unknown keyword `{}`", key.text()))
                        .hint("did you mean `paths`?"),
                );
            }
        }
    }
    Some(document)
}

fn version<'t>(resolver: &mut Resolver<'t>, root: Value<'t>) -> Option<(String, Format)> {
    if let Some(openapi) = root.get("openapi") {
        let version = openapi.text().unwrap_or_default().into_owned();
        let format = match version.get(..3).unwrap_or(&version) {
            "3" | "3.0" => Some(Format::V30),
            "3.1" => Some(Format::V31),
            _ => None,
        };
        if let Some(format) = format {
            return Some((version, format));
        }
        resolver.report(
            openapi
                .problem(
                    Severity::Error,
                    NOT_OPENAPI,
                    format!("OpenAPI {version} is not read by this version"),
                )
                .hint("OpenAPI 3.0 and 3.1 are"),
        );
        return None;
    }
    let problem = match root.get_entry("swagger") {
        Some((key, _)) => key
            .problem(Severity::Error, NOT_OPENAPI, "Swagger 2.0 is not read by this version")
            .hint("convert the document to OpenAPI 3.0, with `swagger2openapi` for one"),
        None => root
            .problem(Severity::Error, NOT_OPENAPI, "this is no OpenAPI document: it has no `openapi` keyword")
            .hint("begin it with `openapi: 3.1.0`"),
    };
    resolver.report(problem);
    None
}

fn path_item<'t>(
    resolver: &mut Resolver<'t>,
    root: Value<'t>,
    key: Key<'t>,
    item: Value<'t>,
    operations: &mut Vec<Operation<'t>>,
) {
    if !key.text().starts_with('/') {
        resolver.report(
            key.problem(
                Severity::Error,
                BAD_PATH,
                format!("the path `{}` does not begin with `/`", key.text()),
            )
            .hint(format!("write `/{}`", key.text())),
        );
        return;
    }
    // 3.1, 4.8.9: fields beside a path item's `$ref` are left to the reader; the item's own come first.
    let Some(target) = resolver.follow(item) else { return };
    let own = if target.is(item) { None } else { Some(item) };
    let field = |name: &str| own.and_then(|own| own.get(name)).or_else(|| target.get(name));
    if !target.is_mapping() {
        // An empty path item (`/health:` with nothing below) is allowed.
        if target.kind() != Kind::Null {
            resolver.report(wrong_type(target, "a path item", "a mapping"));
        }
        return;
    }
    let shared = parameters(resolver, field("parameters"));
    let servers = field("servers");
    let entries: Vec<_> = own.into_iter().chain([target]).flat_map(Value::entries).collect();
    for (position, (method_key, value)) in entries.iter().enumerate() {
        let Some(method) = method(method_key.text()) else {
            unknown_method(resolver, *method_key);
            continue;
        };
        if entries[..position].iter().any(|(earlier, _)| earlier.text() == method_key.text()) {
            continue;
        }
        let Some(value) = given(resolver, Some(*value)) else { continue };
        if !value.is_mapping() {
            resolver.report(wrong_type(value, "an operation", "a mapping"));
            continue;
        }
        let bases = bases(resolver, value.get("servers").or(servers).or_else(|| root.get("servers")));
        operations.push(operation(resolver, key, *method_key, method, value, &shared, bases));
    }
}

fn operation<'t>(
    resolver: &mut Resolver<'t>,
    path_key: Key<'t>,
    key: Key<'t>,
    method: Method,
    value: Value<'t>,
    shared: &[Parameter<'t>],
    bases: Vec<String>,
) -> Operation<'t> {
    near_misses(resolver, value, &OPERATION_KEYS);
    Operation {
        key,
        path_key,
        id: value.get("operationId").and_then(Value::as_str).filter(|id| !id.is_empty()),
        method,
        path: path_key.text(),
        bases,
        tags: value.get("tags").into_iter().flat_map(Value::items).filter_map(Value::as_str).collect(),
        parameters: with_shared(parameters(resolver, value.get("parameters")), shared),
        bodies: request_body(resolver, value),
        responses: responses(resolver, value),
        callbacks: callbacks(resolver, value),
        extension: extension(resolver, value),
    }
}

const OPERATION_KEYS: [&str; 12] = [
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
];

const MEDIA_KEYS: [&str; 6] = ["schema", "example", "examples", "encoding", "itemSchema", "itemEncoding"];

/// 3.1, 4.8.10: an operation's parameter replaces the path item's of the same name and place.
fn with_shared<'t>(mut own: Vec<Parameter<'t>>, shared: &[Parameter<'t>]) -> Vec<Parameter<'t>> {
    let known: HashSet<_> = own.iter().map(|own| (own.name, own.location)).collect();
    own.extend(shared.iter().filter(|shared| !known.contains(&(shared.name, shared.location))).cloned());
    own
}

fn parameters<'t>(resolver: &mut Resolver<'t>, list: Option<Value<'t>>) -> Vec<Parameter<'t>> {
    let Some(list) = given(resolver, list) else { return Vec::new() };
    if !list.is_sequence() {
        resolver.report(wrong_type(list, "`parameters`", "a sequence"));
        return Vec::new();
    }
    list.items().filter_map(|item| parameter(resolver, item)).collect()
}

fn parameter<'t>(resolver: &mut Resolver<'t>, item: Value<'t>) -> Option<Parameter<'t>> {
    let value = resolver.follow(item)?;
    let name = value.get("name").and_then(Value::as_str);
    let place = value.get("in").and_then(Value::as_str);
    let (Some(name), Some(place)) = (name, place) else {
        let problem = value.problem(Severity::Error, BAD_PARAMETER, "a parameter needs `name` and `in`");
        resolver.report(problem);
        return None;
    };
    let location = match place {
        "path" => Location::Path,
        "query" => Location::Query,
        "header" => Location::Header,
        "cookie" => Location::Cookie,
        other => {
            let problem = value.get("in").unwrap_or(value).problem(
                Severity::Error,
                BAD_PARAMETER,
                format!("a parameter in `{other}` is not known"),
            );
            resolver.report(problem.hint("path, query, header and cookie are"));
            return None;
        }
    };
    let mut examples = examples(resolver, value);
    // A parameter may carry `content` with one media type instead of a schema.
    let content = value.get("content").and_then(|content| content.entries().next());
    if let Some((_, media)) = content
        && examples.is_empty()
    {
        examples = self::examples(resolver, media);
    }
    let (style, explode) = style(value, location);
    let schema = value.get("schema").or_else(|| content.and_then(|(_, media)| media.get("schema")));
    Some(Parameter {
        at: value,
        name,
        location,
        style,
        explode,
        required: value.get("required").and_then(Value::as_bool).unwrap_or(false),
        schema,
        media: content.map(|(key, _)| key.text()),
        examples,
    })
}

/// 3.2, 4.12.3: the style that a parameter is written in, and whether its items stand apart.
fn style(parameter: Value<'_>, location: Location) -> (Style, bool) {
    let style = match (parameter.get("style").and_then(Value::as_str), location) {
        (Some("simple"), _) => Style::Simple,
        (Some("matrix"), _) => Style::Matrix,
        (Some("label"), _) => Style::Label,
        (Some("form"), _) => Style::Form,
        (Some("spaceDelimited"), _) => Style::SpaceDelimited,
        (Some("pipeDelimited"), _) => Style::PipeDelimited,
        (Some("deepObject"), _) => Style::DeepObject,
        (Some("cookie"), _) => Style::Cookie,
        (_, Location::Path | Location::Header) => Style::Simple,
        (_, Location::Query | Location::Querystring | Location::Cookie) => Style::Form,
    };
    let explode = parameter.get("explode").and_then(Value::as_bool);
    (style, explode.unwrap_or(matches!(style, Style::Form | Style::Cookie)))
}

/// The `examples` and the singular `example` of a parameter, a header or a media type.
fn examples<'t>(resolver: &mut Resolver<'t>, value: Value<'t>) -> Vec<Example<'t>> {
    let mut found = Vec::new();
    if let Some(named) = given(resolver, value.get("examples")) {
        if !named.is_mapping() && !named.is_sequence() {
            resolver.report(wrong_type(named, "`examples`", "a mapping of names to examples"));
        }
        for (key, item) in named.entries() {
            let Some(example) = resolver.follow(item) else { continue };
            match example.get("value") {
                Some(value) => found.push(data(Some(key.text()), value)),
                None => no_value(resolver, key, example),
            }
        }
        for item in named.items() {
            found.push(data(None, item));
        }
    }
    if let Some(value) = value.get("example") {
        found.push(data(None, value));
    }
    found
}

fn data<'t>(name: Option<&'t str>, value: Value<'t>) -> Example<'t> {
    Example { name, at: value, shown: Shown::Data(value) }
}

fn no_value<'t>(resolver: &mut Resolver<'t>, key: Key<'t>, example: Value<'t>) {
    let name = key.text();
    let planned = ["externalValue", "dataValue", "serializedValue"];
    let problem = match planned.iter().find(|planned| example.get(planned).is_some()) {
        Some(planned) => {
            let message = format!("example `{name}` has its value in `{planned}`, which is not built yet");
            key.problem(Severity::Warning, NOT_BUILT, message).hint("write it as `value` to have it served")
        }
        None => key
            .problem(Severity::Warning, BAD_EXAMPLE, format!("example `{name}` has no `value`"))
            .hint("an example is a mapping: put what it shows under `value:`"),
    };
    resolver.report(problem);
}

fn request_body<'t>(resolver: &mut Resolver<'t>, operation: Value<'t>) -> Vec<Media<'t>> {
    let Some(body) = given(resolver, operation.get("requestBody")) else { return Vec::new() };
    media_types(resolver, body.get("content"))
}

fn media_types<'t>(resolver: &mut Resolver<'t>, content: Option<Value<'t>>) -> Vec<Media<'t>> {
    let Some(content) = given(resolver, content) else { return Vec::new() };
    if !content.is_mapping() {
        resolver.report(wrong_type(content, "`content`", "a mapping of media types"));
    }
    content.entries().map(|(key, value)| media_type(resolver, key, value)).collect()
}

fn media_type<'t>(resolver: &mut Resolver<'t>, key: Key<'t>, value: Value<'t>) -> Media<'t> {
    near_misses(resolver, value, &MEDIA_KEYS);
    let mut found = examples(resolver, value);
    if found.is_empty() {
        let shown = schemas(resolver, value).into_iter().find_map(shown);
        found.extend(shown.map(|value| data(None, value)));
    }
    let (schema, item_schema) = (value.get("schema"), value.get("itemSchema"));
    Media { name: key.text(), at: Spot::Key(key), schema, item_schema, examples: found }
}

/// The schema of a media type, a parameter or a header, and what its `$ref` leads to: since 3.1 other
/// keywords may stand beside one, and they come first.
fn schemas<'t>(resolver: &mut Resolver<'t>, value: Value<'t>) -> Vec<Value<'t>> {
    let own = value.get("schema");
    let target = own.and_then(|schema| resolver.follow(schema));
    own.into_iter().chain(target).collect()
}

/// JSON Schema 2020-12, 9.5, and 3.0's own `example`: a schema may show an instance of itself.
fn shown(schema: Value<'_>) -> Option<Value<'_>> {
    schema.get("example").or_else(|| schema.get("examples").and_then(|list| list.items().next()))
}

fn responses<'t>(resolver: &mut Resolver<'t>, operation: Value<'t>) -> Vec<Response<'t>> {
    let Some(list) = given(resolver, operation.get("responses")) else { return Vec::new() };
    if !list.is_mapping() {
        resolver.report(wrong_type(list, "`responses`", "a mapping of status codes"));
    }
    let mut found = Vec::new();
    for (key, item) in list.entries().filter(|(key, _)| !key.text().starts_with("x-")) {
        let Some(status) = StatusPattern::parse(key.text()) else {
            resolver.report(
                key.problem(Severity::Warning, BAD_STATUS, format!("`{}` is no status code", key.text()))
                    .hint("write a code (`200`), a range (`2XX`) or `default`"),
            );
            continue;
        };
        let Some(value) = resolver.follow(item) else { continue };
        let content = media_types(resolver, value.get("content"));
        let headers = given(resolver, value.get("headers"));
        let headers = headers.map(|headers| fields(resolver, headers)).unwrap_or_default();
        found.push(Response { status, key, content, headers, refs: refs(value) });
    }
    found
}

fn fields<'t>(resolver: &mut Resolver<'t>, headers: Value<'t>) -> Vec<Field<'t>> {
    let mut found = Vec::new();
    for (key, item) in headers.entries() {
        let Some(value) = resolver.follow(item) else { continue };
        let mut examples = examples(resolver, value);
        if examples.is_empty() {
            let shown = schemas(resolver, value).into_iter().find_map(|schema| {
                let first = schema.get("enum").and_then(|list| list.items().next());
                shown(schema).or_else(|| schema.get("default")).or_else(|| schema.get("const")).or(first)
            });
            examples.extend(shown.map(|value| data(None, value)));
        }
        found.push(Field { key, name: key.text(), schema: value.get("schema"), examples });
    }
    found
}

fn callbacks<'t>(resolver: &mut Resolver<'t>, operation: Value<'t>) -> Vec<Callback<'t>> {
    let mut found = Vec::new();
    let Some(callbacks) = given(resolver, operation.get("callbacks")) else { return found };
    if !callbacks.is_mapping() {
        resolver.report(wrong_type(callbacks, "`callbacks`", "a mapping of names to callbacks"));
    }
    for (name, item) in callbacks.entries() {
        let Some(callback) = given(resolver, Some(item)) else { continue };
        if !callback.is_mapping() {
            resolver.report(wrong_type(callback, "a callback", "a mapping of URL keys to path items"));
        }
        for (url, item) in callback.entries().filter(|(url, _)| !url.text().starts_with("x-")) {
            let Some(item) = resolver.follow(item) else { continue };
            let shared = parameters(resolver, item.get("parameters"));
            for (key, value) in item.entries() {
                match method(key.text()) {
                    Some(method) => {
                        let mut call = call(resolver, name, url, key, method, value);
                        call.parameters = with_shared(call.parameters, &shared);
                        found.push(call);
                    }
                    None => unknown_method(resolver, key),
                }
            }
        }
    }
    found
}

fn call<'t>(
    resolver: &mut Resolver<'t>,
    name: Key<'t>,
    url: Key<'t>,
    key: Key<'t>,
    method: Method,
    value: Value<'t>,
) -> Callback<'t> {
    let own = value.get("x-standin-callback");
    let microcks = value.get("x-microcks-callback");
    if let Some(own) = own {
        for (key, _) in own.entries().filter(|(key, _)| !["order", "delay"].contains(&key.text())) {
            extension_key(resolver, key, &["url", "retry", "when", "repeat"], &["order", "delay"]);
        }
    }
    let setting = |name| own.and_then(|own| own.get(name)).or_else(|| microcks.and_then(|own| own.get(name)));
    let order = setting("order").and_then(|value| {
        value.text().and_then(|text| text.parse().ok()).or_else(|| {
            resolver.report(wrong_type(value, "`order`", "a whole number"));
            None
        })
    });
    let delay = setting("delay").and_then(|value| duration(resolver, value));
    let parameters = parameters(resolver, value.get("parameters"));
    let bodies = request_body(resolver, value);
    let responses = value.get("responses").into_iter().flat_map(Value::entries);
    let refs = responses.filter_map(|(_, item)| resolver.follow(item)).flat_map(refs).collect();
    Callback { name: name.text(), url, key, method, order, delay, parameters, bodies, refs }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// The operations and problems of a document whose `paths` are these.
    #[track_caller]
    fn check(paths: &str, expected: &str) {
        let text = format!("openapi: 3.1.0\ninfo: {{title: t, version: '1'}}\n{paths}");
        let (tree, _) = Tree::parse("/t.yaml", text, &Default::default()).expect("the text is YAML");
        let trees = super::super::Trees::from([("/t.yaml".into(), tree)]);
        let reading = super::super::read(&trees, "/t.yaml");
        let mut lines = Vec::new();
        for operation in reading.document.iter().flat_map(|document| &document.operations) {
            let Operation { method, bases, path, parameters, responses, callbacks, .. } = operation;
            lines.push(format!("{method} {}{path}", bases.join("|")));
            lines.extend(parameters.iter().map(|parameter| format!("  {}", parameter.name)));
            for response in responses {
                let examples = response.content.iter().flat_map(|media| &media.examples);
                lines.extend(examples.map(|example| {
                    let mut json = String::new();
                    if let Shown::Data(value) = example.shown {
                        value.write_json(&mut json);
                    }
                    format!("  {} {json}", response.key.text())
                }));
            }
            for callback in callbacks {
                let names: Vec<_> = callback.parameters.iter().map(|parameter| parameter.name).collect();
                lines.push(format!("  {} {} {}", callback.method, callback.name, names.join(",")));
            }
        }
        lines.extend(reading.diagnostics.iter().map(ToString::to_string));
        assert_eq!(lines.join("\n"), expected);
    }

    #[test]
    fn a_key_without_a_value_is_as_if_it_were_not_there() {
        check(
            "servers:\npaths:\n  /a:\n    parameters:\n    get:\n      parameters:\n      requestBody:\n      \
             callbacks:\n      responses:\n        200: {content: , headers: }\n    post:",
            "GET /a",
        );
        check("paths:", "");
    }

    #[test]
    fn a_reference_may_stand_for_any_object() {
        check(
            "paths: {$ref: '#/x/paths'}\nx:\n  paths:\n    /a: {get: {responses: {$ref: '#/x/all'}, parameters: {$ref: '#/x/p'}}}\n  \
             p: [{name: q, in: query}]\n  all: {200: {content: {a/b: {examples: {$ref: '#/x/e'}}}}}\n  e: {one: {value: 1}}",
            "GET /a\n  q\n  200 1",
        );
    }

    #[test]
    fn a_pointer_goes_on_behind_a_reference() {
        check(
            "paths: {/a: {get: {responses: {200: {$ref: '#/components/responses/R'}}}}}\n\
             components: {responses: {$ref: '#/x'}}\nx: {R: {content: {a/b: {example: 1}}}}",
            "GET /a\n  200 1",
        );
    }

    #[test]
    fn references_through_each_other_end() {
        let chain: String = (0..60).map(|n| format!("c{n}: {{$ref: '#/c{0}/a/b/c'}}\n", n + 1)).collect();
        let a: String = (0..60).map(|n| format!("d{n}: {{a: {{$ref: '#/d{0}/a/a'}}}}\n", n + 1)).collect();
        check(
            &format!(
                "paths: {{/a: {{$ref: '#/c0/x'}}, /b: {{$ref: '#/d0/a/a'}}, /c: {{$ref: '#/s/y'}}}}\n{chain}{a}s: {{$ref: '#/s/y'}}"
            ),
            "/t.yaml:63:13: `#/c60/a/b/c` leads nowhere; `#` has `c6`\n\
             /t.yaml:123:17: `#/d60/a/a` leads nowhere; `#` has `d6`\n\
             /t.yaml:124:4: this reference leads back to itself; \
             let one of the references of the circle hold the value",
        );
    }

    #[test]
    fn an_example_beside_the_reference_of_a_schema_counts() {
        check(
            "paths: {/a: {get: {responses: {200: {content: {a/b: {schema: {$ref: '#/S', example: 1}}}}}}}}\nS: {example: 2}",
            "GET /a\n  200 1",
        );
    }

    #[test]
    fn variables_of_a_server_are_replaced_once() {
        check(
            "servers: [{url: 'https://h/{a}', variables: {a: {default: v1}}}]\npaths: {/a: {get: {}}}",
            "GET /v1/a",
        );
        let doubling: String =
            (0..40).map(|n| format!("v{n}: {{default: '{{v{0}}}{{v{0}}}'}}, ", n + 1)).collect();
        check(
            &format!(
                "servers: [{{url: '/{{v0}}', variables: {{{doubling}}}}}]\npaths: {{/a: {{get: {{}}}}}}"
            ),
            "GET /a\n/t.yaml:3:17: the path of `/{v1}{v1}` is not known: it has a variable without a default; \
             give each `{variable}` a default, or set `base_path` in the config",
        );
    }

    #[test]
    fn parameters_of_a_callback_s_path_item_are_its_operations() {
        check(
            "paths: {/a: {post: {callbacks: {on: {'{$url}': {parameters: [{name: h, in: header}, {name: x, in: header}], \
             post: {parameters: [{name: x, in: header}]}}}}}}}",
            "POST /a\n  POST on x,h",
        );
    }

    #[test]
    fn what_is_wrong_in_very_many_places_is_told_soon() {
        let mut text = String::from("openapi: 3.1.0\npaths:\n");
        let names = 3000;
        for n in 0..names {
            text.push_str(&format!(
                "  /{n}: {{get: {{responses: {{200: {{$ref: '#/R'}}, 201: {{$ref: '#/S/x{n}'}}}}}}}}\n"
            ));
        }
        text.push_str("R: {content: {a/b: {exmaple: 1, schema: {$ref: '#/S/name'}}}}\nS:\n");
        text.extend((0..names).map(|n| format!("  schema{n}: {{}}\n")));
        let (tree, _) = Tree::parse("/t.yaml", text, &Default::default()).expect("the text is YAML");
        let trees = super::super::Trees::from([("/t.yaml".into(), tree)]);
        let started = std::time::Instant::now();
        let reading = super::super::read(&trees, "/t.yaml");
        assert!(started.elapsed() < Duration::from_secs(20), "{:?}", started.elapsed());
        let last = reading.diagnostics.last().map(ToString::to_string);
        assert_eq!(
            (reading.diagnostics.len(), last.as_deref()),
            (1001, Some("there are more problems in this document; the first 1000 are shown"))
        );
    }
}
