//! Instances of schemas: made by asking for them, as requests do.

use http::{HeaderMap, HeaderValue, Method};
use serde_json::{Value as Json, json};
use standin::config::Config;
use standin::mock::message::{Body, Head, Moment};
use standin::mock::{Found, Mocks, Source};
use standin::spec::{self, Trees};
use standin::tree::{Limits, Tree};

/// What a schema's instances are is valid, fixed and by any seed, and the same for the same seed; or it
/// is said that there is none. Never anything else, and always soon.
pub fn hold(schema: &Json) {
    // Behind an `allOf` an `example` is the schema's, and not the response's.
    let document = json!({
        "openapi": "3.1.0",
        "info": { "title": "t", "version": "1" },
        "paths": { "/": { "get": { "responses": { "200": {
            "description": "d", "content": { "application/json": { "schema": { "allOf": [{ "$ref": "#/components/schemas/S" }] } } },
        } } } } },
        "components": { "schemas": { "S": schema } },
    });
    let name = "/t.json";
    let (tree, _) = Tree::parse(name, document.to_string(), &Limits::default()).expect("it is JSON");
    let trees = Trees::from([(name.into(), tree)]);
    let document = spec::read(&trees, name).document.expect("it is a document");
    let source = Source { document, trees: &trees, base_path: None, upstream: None, mode: None };
    let (mocks, _) = Mocks::compile(&[source], &Config::default());
    let judge = judge(schema);
    let started = std::time::Instant::now();
    for prefer in ["dynamic=false", "dynamic=true, seed=1", "dynamic=true, seed=2"] {
        let instance = ask(&mocks, prefer);
        assert_eq!(instance, ask(&mocks, prefer), "the same request, the same instance");
        if let Some(instance) = instance {
            let problem = judge.as_ref().and_then(|judge| judge.iter_errors(&instance).next());
            assert!(problem.is_none(), "{schema}\n{instance}\n{problem:?}");
        }
    }
    assert!(started.elapsed().as_secs() < 60, "{:?}: {schema}", started.elapsed());
}

fn judge(schema: &Json) -> Option<jsonschema::Validator> {
    let whole = json!({ "$ref": "#/components/schemas/S", "components": { "schemas": { "S": schema } } });
    jsonschema::options()
        .with_draft(jsonschema::Draft::Draft202012)
        .should_validate_formats(true)
        .build(&whole)
        .ok()
}

fn ask(mocks: &Mocks, prefer: &'static str) -> Option<Json> {
    let headers =
        HeaderMap::from_iter([(http::HeaderName::from_static("prefer"), HeaderValue::from_static(prefer))]);
    let head = Head {
        method: &Method::GET,
        path: "/",
        query: None,
        headers: &headers,
        scheme: "http",
        authority: "api.test",
    };
    let Found::Mock(hit) = mocks.find(&head) else { panic!("the operation is there") };
    let body = Body::default();
    match hit.answer(head, &body, Moment { now: 1_768_469_400_000, seed: 7 }) {
        Ok(answer) => {
            let answer = answer.expect("there is a response");
            Some(serde_json::from_slice(&answer.body).expect("it is JSON"))
        }
        Err(problem) => {
            assert_eq!(problem.kind.code, "cannot-generate");
            None
        }
    }
}
