//! OpenAPI 3.0, 3.1 and 3.2 to the model.

use std::sync::Arc;

use http::Method;

use super::NOT_OPENAPI;
use super::callback::{self, Said};
use super::document::{
    Callback, Document, Field, Format, Location, Media, Operation, Parameter, Response, StatusPattern, Style,
};
use super::example::{examples, of_schemas, schemas};
use super::extension::{extension, refs};
use super::keyword::{
    COMPONENTS, HEADER, MEDIA_TYPE, OPERATION, REQUEST_BODY, RESPONSE, ROOT, beside_reference, given,
    keywords, near_misses, object, wrong_type,
};
use super::parameter::{is_set, parameters};
use super::path::{self, PathItem, Room, with_shared};
use super::resolve::Resolver;
use super::security::Securities;
use super::server::bases;
use crate::diagnostic::{Code, Severity, cut};
use crate::tree::{Key, Kind, Spot, Tree, Value};

const UNKNOWN_VERSION: Code = Code("SI0114");
const NO_RESPONSES: Code = Code("SI0116");

/// Reads one document; none, with a diagnostic, if it is no OpenAPI 3 document.
pub fn document<'t>(resolver: &mut Resolver<'t>, tree: &'t Arc<Tree>) -> Option<Document<'t>> {
    let root = tree.root();
    let (openapi, format) = version(resolver, root)?;
    resolver.read_as(format);
    keywords(resolver, root, &ROOT);
    if let Some(components) = given(resolver, root.get("components")) {
        near_misses(resolver, components, &COMPONENTS);
    }
    let mut document = path::outline(tree, openapi, format);
    let mut securities = Securities::of(resolver, root);
    let mut room = Room::WHOLE;
    for (key, item) in path::paths(resolver, root) {
        if !path_item(resolver, root, key, item, &mut securities, &mut room, &mut document.operations) {
            break;
        }
    }
    Some(document)
}

fn version<'t>(resolver: &mut Resolver<'t>, root: Value<'t>) -> Option<(String, Format)> {
    if let Some(openapi) = root.get("openapi") {
        let version = openapi.text().unwrap_or_default().into_owned();
        let mut parts = version.split('.');
        let format = match (parts.next(), parts.next()) {
            (Some("3"), None | Some("0")) => Some(Format::V30),
            (Some("3"), Some("1")) => Some(Format::V31),
            (Some("3"), Some("2")) => Some(Format::V32),
            (Some("3"), Some(_)) => {
                let message = format!("OpenAPI {} is not known yet, and is read as 3.2", cut(&version));
                resolver.report(
                    openapi
                        .problem(Severity::Warning, UNKNOWN_VERSION, message)
                        .hint("what it brought has no effect; 3.0, 3.1 and 3.2 are known"),
                );
                Some(Format::V32)
            }
            _ => None,
        };
        if let Some(format) = format {
            return Some((version, format));
        }
        let message = format!("OpenAPI {} is not read by this version", cut(&version));
        resolver.report(
            openapi.problem(Severity::Error, NOT_OPENAPI, message).hint("OpenAPI 3.0, 3.1 and 3.2 are"),
        );
        return None;
    }
    let problem = match root.get_entry("swagger").or_else(|| root.get_entry("swaggerVersion")) {
        Some((key, version)) => {
            let version = version.text().unwrap_or_default();
            let message = format!("Swagger {} is not read by this version", cut(&version));
            let problem = key.problem(Severity::Error, NOT_OPENAPI, message);
            match version.starts_with('3') {
                true => problem.hint(format!("write `openapi: {}`", cut(&version))),
                false => problem.hint(
                    "convert the document to OpenAPI 3.0, with `swagger2openapi` or `api-spec-converter` for one",
                ),
            }
        }
        None => root
            .problem(Severity::Error, NOT_OPENAPI, "this is no OpenAPI document: it has no `openapi` keyword")
            .hint("begin it with `openapi: 3.1.0`"),
    };
    resolver.report(problem);
    None
}

/// Whether there is room for more.
fn path_item<'t>(
    resolver: &mut Resolver<'t>,
    root: Value<'t>,
    key: Key<'t>,
    item: Value<'t>,
    securities: &mut Securities<'t>,
    room: &mut Room,
    operations: &mut Vec<Operation<'t>>,
) -> bool {
    let item = PathItem::of(resolver, item);
    let shared = parameters(resolver, item.get("parameters"));
    let servers = item.get("servers");
    for (method_key, method, value) in item.operations(resolver) {
        let bases = bases(resolver, value.get("servers").or(servers).or_else(|| root.get("servers")));
        let operation = operation(resolver, key, method_key, method, value, &shared, bases);
        let operation = Operation { security: securities.required(resolver, value), ..operation };
        if !room.add(resolver, operation, operations) {
            return false;
        }
    }
    true
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
    form(resolver, key, value);
    let (responses, unread) = responses(resolver, value);
    Operation {
        key,
        path_key,
        id: value.get("operationId").and_then(Value::as_str).filter(|id| !id.is_empty()),
        method,
        path: path_key.text(),
        bases,
        tags: value.get("tags").into_iter().flat_map(Value::items).filter_map(Value::as_str).collect(),
        parameters: with_shared(parameters(resolver, value.get("parameters")), shared, place),
        bodies: request_body(resolver, value),
        body_required: body_required(resolver, value),
        responses,
        unread,
        callbacks: callbacks(resolver, value),
        security: Arc::default(),
        deprecated: value.get("deprecated").and_then(Value::as_bool).unwrap_or(false),
        extension: extension(resolver, value),
    }
}

/// What tells parameters apart.
fn place<'t>(parameter: &Parameter<'t>) -> (&'t str, Location) {
    (parameter.name, parameter.location)
}

/// The form of an operation, of a path or a callback.
fn form<'t>(resolver: &mut Resolver<'t>, key: Key<'t>, value: Value<'t>) {
    let first_met = keywords(resolver, value, &OPERATION);
    let has_responses = value.get("responses").is_some_and(|responses| responses.kind() != Kind::Null);
    if first_met && !has_responses && resolver.format() == Format::V30 {
        let message = format!("`{}` has no `responses`", key.text());
        resolver.report(
            key.problem(Severity::Warning, NO_RESPONSES, message)
                .hint("describe one at least, as `responses: {'200': {description: ...}}`"),
        );
    }
}

fn request_body<'t>(resolver: &mut Resolver<'t>, operation: Value<'t>) -> Vec<Media<'t>> {
    let item = operation.get("requestBody");
    let Some(body) = given(resolver, item) else { return Vec::new() };
    item.into_iter().for_each(|item| beside_reference(resolver, item));
    keywords(resolver, body, &REQUEST_BODY);
    let mut bodies = media_types(resolver, body.get("content"));
    of_schemas(resolver, &mut bodies);
    bodies
}

fn body_required<'t>(resolver: &mut Resolver<'t>, operation: Value<'t>) -> bool {
    given(resolver, operation.get("requestBody")).is_some_and(|body| is_set(body, "required"))
}

fn media_types<'t>(resolver: &mut Resolver<'t>, content: Option<Value<'t>>) -> Vec<Media<'t>> {
    let Some(content) = given(resolver, content) else { return Vec::new() };
    if !content.is_mapping() {
        resolver.report(wrong_type(content, "`content`", "a mapping of media types"));
    }
    content.entries().map(|(key, value)| media_type(resolver, key, value)).collect()
}

fn media_type<'t>(resolver: &mut Resolver<'t>, key: Key<'t>, item: Value<'t>) -> Media<'t> {
    let at = Spot::Key(key);
    let Some(value) = object(resolver, item, &MEDIA_TYPE) else {
        // A response without this one would be taken for one without content.
        return Media::new(key.text(), at);
    };
    let found = examples(resolver, value);
    if found.is_empty() {
        // An instance is made of it: whether it leads anywhere is told now.
        schemas(resolver, value);
    }
    let (schema, item_schema) = (value.get("schema"), value.get("itemSchema"));
    Media { schema, item_schema, examples: found, ..Media::new(key.text(), at) }
}

/// Those that can be read, and the statuses of the others.
fn responses<'t>(
    resolver: &mut Resolver<'t>,
    operation: Value<'t>,
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
        let content = media_types(resolver, value.get("content"));
        let headers = given(resolver, value.get("headers"));
        let headers = headers.map(|headers| fields(resolver, headers)).unwrap_or_default();
        found.push(Response { status, key, content, headers, refs: refs(value) });
    }
    (found, unread)
}

fn fields<'t>(resolver: &mut Resolver<'t>, headers: Value<'t>) -> Vec<Field<'t>> {
    if !headers.is_mapping() {
        resolver.report(wrong_type(headers, "`headers`", "a mapping of names to headers"));
    }
    let mut found = Vec::new();
    for (key, item) in headers.entries() {
        let Some(value) = object(resolver, item, &HEADER) else { continue };
        let mut examples = examples(resolver, value);
        let content = given(resolver, value.get("content")).and_then(|content| content.entries().next());
        if let Some((_, media)) = content.filter(|_| examples.is_empty())
            && let Some(media) = object(resolver, media, &MEDIA_TYPE)
        {
            examples = self::examples(resolver, media);
        }
        if examples.is_empty() {
            // An instance is made of it: whether it leads anywhere is told now.
            schemas(resolver, value);
        }
        let media = content.and_then(|(_, media)| object(resolver, media, &MEDIA_TYPE));
        found.push(Field {
            key,
            name: key.text(),
            at: value,
            required: is_set(value, "required"),
            style: Style::Simple,
            explode: is_set(value, "explode"),
            schema: value.get("schema").or_else(|| media.and_then(|media| media.get("schema"))),
            media: content.map(|(key, _)| key.text()),
            examples,
        });
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
        callback::misplaced(resolver, |name| callback.get(name));
        for (url, item) in callback.entries().filter(|(url, _)| !url.text().starts_with("x-")) {
            let item = PathItem::of(resolver, item);
            callback::misplaced(resolver, |name| item.get(name));
            let shared = parameters(resolver, item.get("parameters"));
            for (key, method, value) in item.operations(resolver) {
                let mut call = call(resolver, name, url, key, method, value);
                call.parameters = with_shared(call.parameters, &shared, place);
                found.push(call);
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
    form(resolver, key, value);
    let Said { order, delay, url: address, retry, when, repeat } = callback::said(resolver, value);
    let parameters = parameters(resolver, value.get("parameters"));
    let bodies = request_body(resolver, value);
    let (responses, unread) = responses(resolver, value);
    Callback {
        name: name.text(),
        url,
        address,
        key,
        method,
        order,
        delay,
        retry,
        when,
        repeat,
        parameters,
        bodies,
        responses,
        unread,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::document::Shown;
    use super::*;

    /// The operations of a document whose `paths` are these, and its problems but for notes.
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
        let told = reading.diagnostics.iter().filter(|diagnostic| diagnostic.severity != Severity::Note);
        lines.extend(told.map(ToString::to_string));
        assert_eq!(lines.join("\n"), expected);
    }

    #[test]
    fn an_operation_that_there_is_no_room_for_is_told_and_left_out() {
        let text = "parameters: [{name: a, in: query, example: 1}]\nget: {}\nput: {}\npost: {}\ntrace: {}";
        let (tree, _) =
            Tree::parse("/t.yaml", format!("/a:\n{text}").replace('\n', "\n  "), &Default::default())
                .expect("the text is YAML");
        let trees = super::super::Trees::from([("/t.yaml".into(), tree.clone())]);
        let mut resolver = Resolver::new(&trees, "/t.yaml");
        let (key, item) = tree.root().entries().next().expect("it has a path");
        let mut operations = Vec::new();
        let mut securities = Securities::of(&mut resolver, tree.root());
        let mut room = Room::SMALL;
        let more =
            path_item(&mut resolver, tree.root(), key, item, &mut securities, &mut room, &mut operations);
        let told: Vec<_> = resolver.finish().1.iter().map(ToString::to_string).collect();
        assert_eq!((more, operations.len()), (false, 2));
        assert!(told.len() == 1 && told[0].starts_with("/t.yaml:5:3: the operations of"), "{told:?}");
    }

    #[test]
    fn a_key_without_a_value_is_as_if_it_were_not_there() {
        check(
            "servers:\npaths:\n  /a:\n    parameters:\n    get:\n      parameters:\n      requestBody:\n      \
             callbacks:\n      responses:\n        200: {content: , headers: }",
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
    fn methods_without_end_are_left_out() {
        let methods: String = (0..1000).map(|n| format!("M{n}: {{}}, ")).collect();
        let text = format!("openapi: 3.2.0\npaths: {{/a: {{additionalOperations: {{{methods}}}}}}}");
        let (tree, _) = Tree::parse("/t.yaml", text, &Default::default()).expect("the text is YAML");
        let trees = super::super::Trees::from([("/t.yaml".into(), tree)]);
        let reading = super::super::read(&trees, "/t.yaml");
        let operations = reading.document.map(|document| document.operations.len());
        let codes: Vec<_> = reading.diagnostics.iter().map(|problem| problem.code).collect();
        assert_eq!((operations, codes), (Some(100), vec![Code("SI0119")]));
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
            "GET /a\n/t.yaml:3:17: the path of `/{v1}{v1}` is not known: a variable is left in it; \
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
    fn a_path_that_no_request_has_room_for_is_left_out() {
        let long = "a".repeat(64 << 10);
        check(
            &format!("paths:\n  /b: {{get: {{}}}}\n  ? /{long}\n  : {{get: {{}}}}"),
            &format!(
                "GET /b\n/t.yaml:5:5: the path `/{}...` is longer than 65536 bytes, and is left out; \
                 no server takes such a request",
                "a".repeat(199)
            ),
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
