//! A request or a response against its operation.
//!
//! What the document says is compiled when the first request asks, schema by schema, and kept by
//! `Schemas`; an operation that says nothing of its requests has no [`Contract`] at all.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use serde_json::Value as Json;

use super::message::Request;
use super::schema::{Misfit, Schemas, Validator};
use super::violation::{Place, Violation};
use crate::config::{Config, Level};
use crate::spec::document::{self, Location, Operation, Scheme};
use crate::spec::kept::{Schema, Texts};
use crate::spec::schema::Direction;
use crate::tree::{Spot, Tree, Value};
use body::Body;
use parameter::Parameter;
use response::Response;

mod response;

mod body;

mod content;

mod parameter;

/// Violations of one message.
const MOST: usize = 20;

/// What an operation says of its requests and responses.
#[derive(Debug)]
pub struct Contract {
    /// Those that say anything; with `unknown_query` all of the query.
    parameters: Box<[Arc<Parameter>]>,
    body: Option<Arc<Body>>,
    /// Names of the query that are no parameter's, and listed all the same; none: nobody looks.
    query: Option<Box<[Box<str>]>>,
    responses: Box<[Arc<Response>]>,
}

/// What contracts of one compilation have in common: most parameters stand behind references.
#[derive(Default)]
pub struct Common {
    parameters: HashMap<Vec<Node>, Arc<Parameter>>,
    bodies: HashMap<(bool, Vec<Named>), Arc<Body>>,
    responses: HashMap<(u16, Vec<Named>), Arc<Response>>,
}

/// A place of a tree.
type Node = (*const Tree, u32);

/// What stands there may have another name wherever it is referred to.
type Named = (Box<str>, Node);

fn node(value: Value<'_>) -> Node {
    (Arc::as_ptr(value.tree()), value.id())
}

fn named<'a, 't: 'a>(content: &'a [document::Media<'t>]) -> impl Iterator<Item = Named> + 'a {
    content.iter().flat_map(|media| {
        let at = match media.at {
            Spot::Key(key) => key.value(),
            Spot::Value(value) => Some(value),
        };
        let fields = media.fields.iter().map(|field| field.at);
        at.into_iter()
            .chain(media.schema)
            .chain(media.item_schema)
            .chain(fields)
            .map(|value| (media.name.into(), node(value)))
    })
}

impl Contract {
    /// None where there is nothing to hold a message against, at the levels of the config.
    pub fn of(
        operation: &Operation<'_>,
        texts: &Arc<Texts>,
        config: &Config,
        common: &mut Common,
    ) -> Option<Arc<Contract>> {
        let mut contract =
            Contract { parameters: Box::default(), body: None, query: None, responses: Box::default() };
        if config.validate.request != Level::Off {
            let all = config.validate.unknown_query;
            contract.query = all.then(|| names_of(operation));
            contract.parameters = parameters(operation, texts, config, common);
            contract.body = body(operation, texts, common);
        }
        if config.validate.response != Level::Off {
            contract.responses = responses(&operation.responses, &operation.unread, texts, config, common);
        }
        let Contract { parameters, body, query, responses } = &contract;
        let nothing = parameters.is_empty() && body.is_none() && query.is_none() && responses.is_empty();
        (!nothing).then(|| Arc::new(contract))
    }

    /// What a callback's receiver may answer; none where nothing is said of that.
    pub fn of_receiver(
        callback: &document::Callback<'_>,
        texts: &Arc<Texts>,
        config: &Config,
        common: &mut Common,
    ) -> Option<Arc<Contract>> {
        let responses = responses(&callback.responses, &callback.unread, texts, config, common);
        let contract = Contract { parameters: Box::default(), body: None, query: None, responses };
        (!contract.responses.is_empty()).then(|| Arc::new(contract))
    }

    /// Whether a request's body is looked at.
    pub fn needs_request_body(&self) -> bool {
        self.body.is_some()
    }

    /// What of a request is not as the document says; security is another matter.
    pub fn request(&self, request: &Request<'_>, schemas: &Schemas) -> Vec<Violation> {
        let mut found = Vec::new();
        for parameter in &self.parameters {
            parameter.check(request, &self.parameters, schemas, &mut found);
        }
        if let Some(known) = &self.query {
            parameter::unknown(request, &self.parameters, known, schemas, &mut found);
        }
        if let Some(body) = &self.body {
            body.check(request, schemas, &mut found);
        }
        found.truncate(MOST);
        found
    }

    /// Whether the body of a response with this head is looked at. That of an answer to `HEAD` never is,
    /// since there is none.
    pub fn needs_response_body(&self, status: StatusCode, headers: &HeaderMap) -> bool {
        Response::of(&self.responses, status).is_some_and(|response| response.needs_body(status, headers))
    }

    /// What of a response is not as the document says. `body` is none where it was not kept whole.
    pub fn response(
        &self,
        status: StatusCode,
        headers: &HeaderMap,
        body: Option<&Bytes>,
        schemas: &Schemas,
    ) -> Vec<Violation> {
        if self.responses.is_empty() || status.is_informational() {
            return Vec::new();
        }
        let Some(response) = Response::of(&self.responses, status) else {
            return vec![response::undescribed(&self.responses, status)];
        };
        let mut found = Vec::new();
        response.check(status, headers, body, schemas, &mut found);
        found.truncate(MOST);
        found
    }
}

/// Names of the query that a path's own conditions have, `/?Action=Do`, and that keys are sent by.
fn names_of(operation: &Operation<'_>) -> Box<[Box<str>]> {
    let (_, query) = operation.path.split_once('?').unwrap_or((operation.path, ""));
    let names = query.split('&').map(|pair| pair.split_once('=').map_or(pair, |(name, _)| name));
    let credentials = operation.security.iter().flat_map(|requirement| &requirement.credentials);
    let keys = credentials.filter_map(|credential| match credential.scheme {
        Scheme::ApiKey(Location::Query, name) => Some(name),
        _ => None,
    });
    names.filter(|name| !name.is_empty()).chain(keys).map(Into::into).collect()
}

fn parameters(
    operation: &Operation<'_>,
    texts: &Arc<Texts>,
    config: &Config,
    common: &mut Common,
) -> Box<[Arc<Parameter>]> {
    let (all, redact) = (config.validate.unknown_query, &config.journal.redact);
    let says = |parameter: &&document::Parameter<'_>| all || Parameter::says(parameter);
    let one = |parameter: &document::Parameter<'_>| {
        let key = std::iter::once(parameter.at).chain(parameter.schema).map(node).collect();
        let shared = common.parameters.entry(key);
        shared.or_insert_with(|| Arc::new(Parameter::of(parameter, texts, redact))).clone()
    };
    let listed = operation.parameters.iter().filter(|parameter| !parameter::is_ignored(parameter));
    listed.filter(says).map(one).collect()
}

fn body(operation: &Operation<'_>, texts: &Arc<Texts>, common: &mut Common) -> Option<Arc<Body>> {
    if operation.bodies.is_empty() && !operation.body_required {
        return None;
    }
    let key = (operation.body_required, named(&operation.bodies).collect());
    let make = || Arc::new(Body::of(&operation.bodies, operation.body_required, texts));
    Some(common.bodies.entry(key).or_insert_with(make).clone())
}

fn responses(
    described: &[document::Response<'_>],
    unread: &[document::StatusPattern],
    texts: &Arc<Texts>,
    config: &Config,
    common: &mut Common,
) -> Box<[Arc<Response>]> {
    let described = described.iter().filter(|response| !response.status.is_informational());
    let one = |response: &document::Response<'_>| {
        let headers = response.headers.iter().map(|field| (field.name.into(), node(field.at)));
        // Those that are as bare as each other differ in their status alone.
        let key = (response::number(response.status), headers.chain(named(&response.content)).collect());
        let shared = common.responses.entry(key);
        shared
            .or_insert_with(|| Arc::new(Response::of_document(response, texts, &config.journal.redact)))
            .clone()
    };
    let unread = unread.iter().map(|status| Arc::new(Response::unread(*status)));
    described.map(one).chain(unread).collect()
}

/// A schema, compiled; none where it can't be, so that nothing is held against it.
fn validator(schema: Option<&Schema>, direction: Direction, schemas: &Schemas) -> Option<Arc<Validator>> {
    schemas.of(schema?, direction).ok()
}

/// What of an instance does not fit its schema; `name` is what stands before the pointers.
fn tell(place: Place, name: &str, validator: &Validator, instance: &Json, found: &mut Vec<Violation>) {
    let room = MOST.saturating_sub(found.len());
    if room > 0 {
        let misfits = validator.misfits(instance, room);
        found.extend(misfits.into_iter().map(|misfit| told(place, name, misfit)));
    }
}

fn told(place: Place, name: &str, misfit: Misfit) -> Violation {
    let Misfit { pointer, keyword, message, rule } = misfit;
    let message = format!("{message}; its schema has `{rule}`");
    Violation::new(place, format!("{name}{pointer}"), keyword.into_string(), message)
}

#[cfg(test)]
mod tests {
    use http::Method;

    use super::*;
    use crate::config::Validate;
    use crate::mock::message::{Body, Head};
    use crate::spec;

    fn contract(operation: &str, validate: Validate) -> Option<Arc<Contract>> {
        let text = format!("openapi: 3.1.0\npaths: {{/a: {{post: {operation}}}}}");
        let (tree, _) = Tree::parse("/t.yaml", text, &Default::default()).expect("the text is YAML");
        let trees = spec::Trees::from([("/t.yaml".into(), tree)]);
        let document = spec::read(&trees, "/t.yaml").document.expect("the text is a document");
        let texts = Texts::new(&trees, document.source.clone(), document.format);
        let config = Config { validate, ..Config::default() };
        Contract::of(&document.operations[0], &texts, &config, &mut Common::default())
    }

    fn lines(found: &[Violation]) -> Vec<String> {
        let line = |one: &Violation| format!("{} {} {}", one.place.as_str(), one.path, one.keyword);
        found.iter().map(line).collect()
    }

    #[track_caller]
    fn check_response(head: &str, body: Option<&str>, expected: &[&str]) {
        let responses = "200: {headers: {x-n: {required: true, schema: {type: integer}}, Content-Type: {required: true, schema: {type: integer}}}, \
            content: {application/json: {schema: {properties: {secret: {writeOnly: true}, n: {type: integer}}}}}}, \
            4XX: {}, 204: {content: {application/json: {}}}";
        check_response_of(responses, head, body, expected);
    }

    /// A response's head is its status and fields, a line each.
    #[track_caller]
    fn check_response_of(responses: &str, head: &str, body: Option<&str>, expected: &[&str]) {
        let validate = Validate { response: Level::Report, ..Validate::default() };
        let contract =
            contract(&format!("{{responses: {{{responses}}}}}"), validate).expect("it says something");
        let mut lines_of = head.lines();
        let status = lines_of.next().and_then(|line| line.parse().ok()).expect("a status");
        let fields = lines_of.filter_map(|line| line.split_once(": "));
        let field = |(name, value): (&str, &str)| {
            let value = http::HeaderValue::from_bytes(value.as_bytes());
            (name.parse::<http::HeaderName>().expect("a name"), value.expect("a value"))
        };
        let headers: HeaderMap = fields.map(field).collect();
        let body = body.map(|body| Bytes::copy_from_slice(body.as_bytes()));
        let found = contract.response(status, &headers, body.as_ref(), &Schemas::default());
        assert_eq!(lines(&found), expected);
    }

    #[test]
    fn a_response_has_the_media_type_that_names_it_most_closely() {
        let check = |content: &str, head: &str, body: &str, expected: &[&str]| {
            check_response_of(&format!("200: {{content: {{{content}}}}}"), head, Some(body), expected);
        };
        let json = "200\ncontent-type: application/json";
        let object = "application/json: {schema: {type: object}}";
        check(&format!("'*/*': {{schema: {{type: string}}}}, {object}"), json, "{}", &[]);
        check(&format!("application/*: {{schema: {{type: string}}}}, {object}"), json, "[]", &["body  type"]);
        let text = "text/*: {schema: {enum: [a]}}, text/plain: {schema: {enum: [b]}}";
        check(text, "200\ncontent-type: text/plain", "b", &[]);
        check(text, "200\ncontent-type: text/css", "b", &["body  enum"]);
        // What has no type is not taken for one of a range.
        check("'*/*': {schema: {type: object}}", "200", "", &[]);
        check(object, "200", "", &["body  content"]);
        let form = "application/x-www-form-urlencoded: {schema: {type: object, required: [a]}}";
        check(form, "200\ncontent-type: application/x-www-form-urlencoded", "", &["body  required"]);
    }

    #[test]
    fn of_a_response_that_cannot_be_read_the_status_is_known() {
        let responses = "200: {$ref: '#/nowhere'}, 205: {content: {application/json: {}}}";
        check_response_of(responses, "200\ncontent-type: a/b", Some("x"), &[]);
        check_response_of(responses, "205", Some(""), &[]);
        check_response_of(responses, "201", Some(""), &["status  responses"]);
    }

    #[test]
    fn what_is_not_read_is_let_be() {
        let responses = "200: {content: {application/json: {schema: {type: string}}, application/xml: {schema: {type: integer}}, \
            application/jsonl: {itemSchema: {type: string}}}}";
        let check = |kind: &str, body: &str, expected: &[&str]| {
            let head = format!("200\ncontent-type: application/{kind}");
            check_response_of(responses, &head, Some(body), expected);
        };
        check("json", &format!("{}{}", "[".repeat(200), "]".repeat(200)), &[]);
        check("json", "1e400", &[]);
        let named = "200: {headers: {x-n: {schema: {type: string, maxLength: 1}}}}";
        check_response_of(named, "200\nx-n: ü", None, &[]);
        check_response_of(named, "200\nx-n: üü", None, &["header x-n maxLength"]);
        check("json", "1e4", &["body  type"]);
        check("json", "[", &["body  content"]);
        check("xml", "<!DOCTYPE a><a/>", &[]);
        check("xml", "<a>x</a>", &["body  type"]);
        check("xml", "<a>", &["body  content"]);
        // As many as are told, and no more are looked for.
        let expected: Vec<_> = (0..MOST).map(|at| format!("body /{at} type")).collect();
        let expected: Vec<_> = expected.iter().map(String::as_str).collect();
        check("jsonl", &"1\n".repeat(1000), &expected);
    }

    #[test]
    fn responses_are_held_against_the_one_of_their_status() {
        let json = "200\nx-n: 1\ncontent-type: application/json";
        check_response(json, Some("{\"n\":1}"), &[]);
        check_response(json, Some("{\"n\":\"a\",\"secret\":1}"), &["body /n type", "body /secret writeOnly"]);
        check_response(json, Some("{"), &["body  content"]);
        check_response(json, Some(""), &["body  content"]);
        check_response(json, None, &[]);
        check_response("200\nx-n: a", None, &["header x-n type"]);
        check_response("200", None, &["header x-n required"]);
        check_response("200\nx-n: 1\ncontent-type: text/html", None, &["content-type  content"]);
        check_response("200\nx-n: 1", Some("{}"), &["content-type  content"]);
        check_response("500", None, &["status  responses"]);
        check_response("404\ncontent-type: text/html", Some("x"), &[]);
        check_response("204", Some(""), &[]);
        check_response("103", None, &[]);
        check_response("200\nx-n: 1\ncontent-type: application/json\ncontent-encoding: gzip", Some("x"), &[]);
    }

    #[test]
    fn what_says_nothing_has_no_contract() {
        let none = Validate { request: Level::Off, ..Validate::default() };
        assert!(
            contract("{parameters: [{name: q, in: query}], responses: {200: {}}}", Validate::default())
                .is_none()
        );
        assert!(contract("{requestBody: {content: {a/b: {}}}}", none).is_none());
        let body =
            contract("{requestBody: {content: {a/b: {}}}}", Validate::default()).expect("it says something");
        assert!(body.needs_request_body());
        assert!(!body.needs_response_body(StatusCode::OK, &HeaderMap::new()));
        let query = contract("{parameters: [{name: q, in: query, required: true}]}", Validate::default());
        assert!(query.is_some_and(|contract| !contract.needs_request_body()));
    }

    #[test]
    fn operations_share_what_stands_behind_references() {
        let operations: String = (0..100)
            .map(|n| {
                format!("/{n}: {{get: {{parameters: [{{$ref: '#/p'}}], requestBody: {{$ref: '#/b'}}}}}}, ")
            })
            .collect();
        let text = format!(
            "openapi: 3.1.0\npaths: {{{operations}}}\np: {{name: q, in: query, schema: {{}}}}\nb: {{content: {{a/b: {{}}}}}}"
        );
        let (tree, _) = Tree::parse("/t.yaml", text, &Default::default()).expect("the text is YAML");
        let trees = spec::Trees::from([("/t.yaml".into(), tree)]);
        let document = spec::read(&trees, "/t.yaml").document.expect("the text is a document");
        let texts = Texts::new(&trees, document.source.clone(), document.format);
        let mut common = Common::default();
        for operation in &document.operations {
            assert!(Contract::of(operation, &texts, &Config::default(), &mut common).is_some());
        }
        assert_eq!((common.parameters.len(), common.bodies.len()), (1, 1));
    }

    #[test]
    fn what_is_called_otherwise_is_another() {
        let text = "openapi: 3.0.0\nh: {required: true}\npaths:\n  \
            /1: {get: {requestBody: {content: {a/b: &m {}}}, responses: {200: {headers: {x-a: {$ref: '#/h'}}}}}}\n  \
            /2: {get: {requestBody: {content: {a/c: *m}}, responses: {200: {headers: {x-b: {$ref: '#/h'}}}}}}\n";
        let (tree, _) =
            Tree::parse("/t.yaml", text.to_owned(), &Default::default()).expect("the text is YAML");
        let trees = spec::Trees::from([("/t.yaml".into(), tree)]);
        let document = spec::read(&trees, "/t.yaml").document.expect("the text is a document");
        let texts = Texts::new(&trees, document.source.clone(), document.format);
        let config = Config {
            validate: Validate { response: Level::Report, ..Validate::default() },
            ..Config::default()
        };
        let mut common = Common::default();
        for operation in &document.operations {
            assert!(Contract::of(operation, &texts, &config, &mut common).is_some());
        }
        assert_eq!((common.bodies.len(), common.responses.len()), (2, 2));
    }

    #[test]
    fn hostile_bodies_are_told_soon() {
        let operation = "{requestBody: {content: {application/json: {schema: {$ref: '#/paths/~1a/post/x-s'}}}}, \
            x-s: {anyOf: [{properties: {a: {$ref: '#/paths/~1a/post/x-s'}}, required: [b]}, {properties: {a: {$ref: '#/paths/~1a/post/x-s'}}, required: [c]}], type: object}}";
        let contract = contract(operation, Validate::default()).expect("it says something");
        let schemas = Schemas::default();
        let headers = HeaderMap::new();
        let head = Head {
            method: &Method::POST,
            path: "/a",
            query: None,
            headers: &headers,
            scheme: "http",
            authority: "",
        };
        let started = std::time::Instant::now();
        let bodies = [
            "[".repeat(1 << 20),
            format!("{}1{}", "{\"a\":".repeat(120), "}".repeat(120)),
            "{\"a\":".repeat(1 << 17),
        ];
        for text in bodies {
            let body = Body::new(text.into());
            let request = Request { head, base: 0, params: &[], body: &body };
            let _ = contract.request(&request, &schemas);
        }
        assert!(started.elapsed().as_secs() < 10, "{:?}", started.elapsed());
    }
}
