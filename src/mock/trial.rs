//! A request as a client might make it, to try an operation without one.
//!
//! It is the request of an exchange: what the document shows of its parameters and its body.

use std::borrow::Cow;
use std::sync::Arc;

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderName, HeaderValue};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use url::form_urlencoded::byte_serialize;

use super::answer::Answer;
use super::callback::carried::Instance;
use super::choose::{Asked, Wanted, WantedBody, WantedContent, WantedValue};
use super::message::{Body, Head, Moment, Request};
use super::problem::Problem;
use super::reply::Content;
use super::style::Writing;
use super::{Hit, Mocks, Operation, base_length, route};
use crate::config::Mode;
use crate::spec::document::{Location, Style};

/// A request to an operation.
#[derive(Debug, Clone)]
pub struct Trial {
    /// Percent-encoded.
    pub path: String,
    /// Without the `?`; empty: there is none.
    pub query: String,
    pub headers: HeaderMap,
    pub body: Bytes,
}

/// What a document shows of an operation's requests, whatever answers them.
#[derive(Debug)]
pub struct Shown {
    pub parameters: Arc<[Wanted]>,
    pub bodies: Arc<[WantedBody]>,
    /// Where no example shows a body.
    pub instance: Option<Instance>,
}

impl Mocks {
    /// The number of the operation of this label, or of this `METHOD /path`.
    pub fn labelled(&self, label: &str) -> Option<usize> {
        let by_path = |operation: &Operation| {
            label.split_once(' ').is_some_and(|(method, path)| {
                operation.method.as_str().eq_ignore_ascii_case(method) && operation.template == path
            })
        };
        let by_label = self.operations.iter().position(|operation| *operation.label == *label);
        by_label.or_else(|| self.operations.iter().position(by_path))
    }

    /// What the document shows of a request that the example of this name answers; without a name, of one
    /// that the first example answers. What that does not show, other examples of requests do, or an instance of
    /// the body's schema. A parameter that none shows is left out, or in the path its name; of a body only JSON,
    /// text, bytes and urlencoded forms are shown.
    pub fn trial(&self, number: usize, example: Option<&str>) -> Trial {
        let operation = &self.operations[number];
        let usual = operation.exchanges.usual();
        let exchange = match example {
            Some(name) => usual.iter().find(|exchange| exchange.name.as_deref() == Some(name)),
            None => usual.first(),
        };
        let own = exchange.map_or(&[][..], |exchange| &exchange.parameters);
        let shown = operation.shown.as_deref();
        let others = shown.map_or(&[][..], |shown| &shown.parameters);
        let place = |wanted: &Wanted| (wanted.writing.location, wanted.writing.name.to_ascii_lowercase());
        let is_own = |other: &&Wanted| own.iter().any(|own| place(own) == place(other));
        let wanted: Vec<&Wanted> = own.iter().chain(others.iter().filter(|other| !is_own(other))).collect();
        let mut trial = Trial {
            path: path(&operation.template, &wanted),
            query: query(&wanted),
            headers: headers(&wanted),
            body: Bytes::new(),
        };
        let body =
            exchange.and_then(|exchange| body(&exchange.bodies)).or_else(|| shown.and_then(Shown::body));
        if let Some((kind, body)) = body {
            trial.headers.extend(kind.map(|kind| (CONTENT_TYPE, kind)));
            trial.body = body;
        }
        trial
    }

    /// What a trial is answered with, whatever the operation's mode and whatever of it is not as the
    /// document says. `authority` is the host that the client would name.
    ///
    /// # Errors
    ///
    /// There is nothing to answer with, or no example of that name.
    pub fn try_out(
        &self,
        number: usize,
        example: Option<&str>,
        trial: &Trial,
        authority: &str,
        moment: Moment,
    ) -> Result<Answer, Problem> {
        let operation = &self.operations[number];
        let head = Head {
            method: &operation.method,
            path: &trial.path,
            query: Some(&*trial.query).filter(|query| !query.is_empty()),
            headers: &trial.headers,
            scheme: "http",
            authority,
        };
        let canonical = route::path::canonical(&trial.path);
        let (params, base) = match self.table.find(&canonical, &head) {
            route::Found::Route { target, captures } if target.operation == number => {
                (operation.params(captures), base_length(&trial.path, target.base))
            }
            // Another operation has its route; what is in the path is not known then.
            _ => (Vec::new(), 0),
        };
        let (mode, wait) = (Mode::Mock, None);
        let hit = Hit { operation, number, mode, params, base, wait, preflight: false, mocks: self };
        let body = Body::new(trial.body.clone());
        let request = Request { head, base, params: &hit.params, body: &body };
        let asked = Asked { example: example.map(Cow::Borrowed), ..Asked::default() };
        let choice = match example {
            Some(_) => operation.exchanges.asked(&asked, &request),
            None => operation.exchanges.choose(&request, operation.unmatched),
        };
        hit.give(&choice, None, &request, moment)
    }
}

/// The template with what is wanted in its parameters' places.
fn path(template: &str, wanted: &[&Wanted]) -> String {
    let mut path = String::new();
    let mut rest = template.split_once(['?', '#']).map_or(template, |(path, _)| path);
    while let Some((before, opened)) = rest.split_once('{') {
        path.push_str(before);
        let Some((name, after)) = opened.split_once('}') else { break };
        let name = name.trim_matches(|c: char| !c.is_alphanumeric() && c != '_');
        let in_path =
            |wanted: &&&Wanted| wanted.writing.location == Location::Path && *wanted.writing.name == *name;
        let value = wanted.iter().find(in_path).map(|wanted| joined(&wanted.value));
        path.extend(utf8_percent_encode(value.as_deref().unwrap_or(name), NON_ALPHANUMERIC));
        rest = after;
    }
    path.push_str(rest);
    path
}

fn query(wanted: &[&Wanted]) -> String {
    let queries = [Location::Query, Location::Querystring];
    let wanted = wanted.iter().filter(|wanted| queries.contains(&wanted.writing.location));
    let pairs: Vec<String> = wanted.flat_map(|wanted| pairs(&wanted.writing, &wanted.value)).collect();
    pairs.join("&")
}

/// `name=value`, encoded, as often as its style asks for.
fn pairs(writing: &Writing, value: &WantedValue) -> Vec<String> {
    let encode = |text: &str| byte_serialize(text.as_bytes()).collect::<String>();
    let pair = |name: &str, value: &str| format!("{}={}", encode(name), encode(value));
    match value {
        WantedValue::Pairs(pairs) => pairs.iter().map(ToString::to_string).collect(),
        WantedValue::Set(items) if writing.explode => {
            items.iter().map(|item| pair(&writing.name, item)).collect()
        }
        WantedValue::Fields(fields) if writing.style == Style::DeepObject => {
            let name = |key: &str| format!("{}[{key}]", writing.name);
            fields.iter().map(|(key, value)| pair(&name(key), &joined(value))).collect()
        }
        WantedValue::Fields(fields) if writing.explode => {
            fields.iter().map(|(key, value)| pair(key, &joined(value))).collect()
        }
        value => vec![pair(&writing.name, &joined(value))],
    }
}

fn headers(wanted: &[&Wanted]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    let mut cookies = Vec::new();
    for Wanted { writing, value } in wanted {
        match writing.location {
            Location::Header => {
                let name = HeaderName::try_from(&*writing.name).ok();
                headers.extend(name.zip(HeaderValue::try_from(joined(value)).ok()));
            }
            Location::Cookie => cookies.push(format!("{}={}", writing.name, joined(value))),
            Location::Path | Location::Query | Location::Querystring => {}
        }
    }
    if !cookies.is_empty() {
        let value = HeaderValue::try_from(cookies.join("; ")).ok();
        headers.extend(value.map(|value| (http::header::COOKIE, value)));
    }
    headers
}

/// `a,b` and `k,v`, as the style `simple` has it.
fn joined(value: &WantedValue) -> String {
    match value {
        WantedValue::One(text) => text.to_string(),
        WantedValue::Set(items) | WantedValue::Pairs(items) => items.join(","),
        WantedValue::Fields(fields) => {
            let fields = fields.iter().map(|(name, value)| format!("{name},{}", joined(value)));
            fields.collect::<Vec<_>>().join(",")
        }
        WantedValue::Json(json) => json.to_string(),
    }
}

impl Shown {
    fn body(&self) -> Option<(Option<HeaderValue>, Bytes)> {
        let of_instance = || {
            let payload = self.instance.as_ref()?.payload()?;
            let Content::Bytes(bytes) = &payload.body else { return None };
            Some((HeaderValue::from_str(payload.media.as_str()).ok(), bytes.clone()))
        };
        body(&self.bodies).or_else(of_instance)
    }
}

/// The first of some bodies that can be written.
fn body(bodies: &[WantedBody]) -> Option<(Option<HeaderValue>, Bytes)> {
    let content = |body: &WantedBody| match &body.content {
        WantedContent::Json(json) => Some(Bytes::from(json.to_string())),
        WantedContent::Text(text) => Some(Bytes::copy_from_slice(text.as_bytes())),
        WantedContent::Bytes(bytes) => Some(bytes.clone()),
        WantedContent::Sequence(items) => {
            Some(items.iter().map(|item| format!("{item}\n")).collect::<String>().into())
        }
        WantedContent::Form(fields) => Some(form(fields).into()),
        WantedContent::Parts(_) | WantedContent::Xml(..) => None,
    };
    bodies.iter().find_map(|body| {
        let kind = body.media.as_ref().and_then(|media| HeaderValue::from_str(media.as_str()).ok());
        Some((kind, content(body)?))
    })
}

fn form(fields: &Arc<[Wanted]>) -> String {
    let pairs = fields.iter().flat_map(|wanted| pairs(&wanted.writing, &wanted.value));
    pairs.collect::<Vec<_>>().join("&")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::mock::tests::compile;

    const DOCUMENT: &str = "
servers: [{url: /v1}]
paths:
  /users/{id}/{kind}:
    post:
      operationId: create
      parameters:
      - {name: id, in: path, required: true, schema: {type: string}, examples: {ann: {value: a/b}}}
      - {name: kind, in: path, required: true, schema: {type: string}}
      - {name: tag, in: query, schema: {type: array, items: {type: string}}, examples: {ann: {value: [x, y z]}}}
      - {name: f, in: query, style: deepObject, schema: {type: object}, examples: {ann: {value: {a: 1}}}}
      - {name: X-A, in: header, schema: {type: integer}, examples: {ann: {value: 7}}}
      - {name: s, in: cookie, schema: {type: string}, examples: {ann: {value: c}}}
      requestBody:
        content:
          application/json:
            examples: {ann: {value: {cb: 'http://a.test/h', name: Ann}}, bob: {value: {name: Bob}}}
      responses:
        '201':
          description: d
          content: {application/json: {examples: {ann: {value: {id: 1}}, bob: {value: {id: 2}}}}}
      callbacks:
        done:
          '{$request.body#/cb}/{$request.path.id}/{$response.body#/id}':
            post: {requestBody: {content: {application/json: {examples: {ann: {value: '{{request.body/name}}'}, bob: {value: {}}}}}}}
";

    const MOMENT: Moment = Moment { now: 0, seed: 1 };

    /// What is shown of a request of an operation with a callback, whose `requestBody` and responses these are.
    #[track_caller]
    fn check(request: &str, responses: &str, expected: (&str, &str)) {
        let text = format!(
            "paths: {{'/a': {{post: {{operationId: a, parameters: [{{name: q, in: query, schema: {{type: string}}, \
             examples: {{ann: {{value: x}}}}}}], requestBody: {{content: {{application/json: {request}}}}}, \
             responses: {{{responses}}}, callbacks: {{c: {{'http://h/': {{post: {{}}}}}}}}}}}}}}"
        );
        let mocks = compile(&text, &Config::default()).0;
        let trial = mocks.trial(0, None);
        assert_eq!((&*trial.query, &*String::from_utf8_lossy(&trial.body)), expected);
    }

    #[test]
    fn where_no_example_joins_the_answer_another_shows_the_request() {
        let named = "{examples: {ann: {value: {n: 1}}, bob: {value: {n: 2}}}}";
        let answer = |examples: &str| format!("200: {{content: {{application/json: {{{examples}}}}}}}");
        check(named, "204: {}", ("q=x", r#"{"n":1}"#));
        check(named, &answer("example: 1"), ("q=x", r#"{"n":1}"#));
        check(named, &answer("examples: {bob: {value: 1}}"), ("q=x", r#"{"n":2}"#));
        check("{example: {n: 3}}", "204: {}", ("", r#"{"n":3}"#));
        check("{schema: {properties: {n: {const: 4}}, required: [n]}}", "204: {}", ("q=x", r#"{"n":4}"#));
        check("{}", "204: {}", ("q=x", ""));
    }

    #[test]
    fn a_trial_is_what_the_document_shows() {
        let mocks = compile(DOCUMENT, &Config::default()).0;
        let number = mocks.labelled("create").unwrap();
        assert_eq!(mocks.labelled("post /v1/users/{id}/{kind}"), Some(number));
        assert_eq!(mocks.labelled("created"), None);
        let trial = mocks.trial(number, Some("ann"));
        assert_eq!(trial.path, "/v1/users/a%2Fb/kind");
        assert_eq!(trial.query, "tag=x&tag=y+z&f%5Ba%5D=1");
        let fields: Vec<_> =
            trial.headers.iter().map(|(name, value)| (name.as_str(), value.to_str().unwrap())).collect();
        assert_eq!(fields, [("x-a", "7"), ("cookie", "s=c"), ("content-type", "application/json")]);
        assert_eq!(trial.body, r#"{"cb":"http://a.test/h","name":"Ann"}"#);
    }

    #[test]
    fn a_trial_is_answered_and_called_back_as_a_request_is() {
        let mocks = compile(DOCUMENT, &Config::default()).0;
        let number = mocks.labelled("create").unwrap();
        let answer = |name: &str| {
            let trial = mocks.trial(number, Some(name));
            mocks.try_out(number, Some(name), &trial, "api.test", MOMENT)
        };
        let chain = answer("ann").unwrap().chain.unwrap();
        let call = chain.render(0, MOMENT).unwrap();
        assert_eq!((&*call.url, &*call.body), ("http://a.test/h/a%2Fb/1", &b"\"Ann\""[..]));
        let mut chain = answer("bob").unwrap().chain.unwrap();
        chain.render(0, MOMENT).unwrap_err();
        chain.redirect("http://b.test/");
        assert_eq!(chain.render(0, MOMENT).unwrap().url, "http://b.test/");
        answer("eve").unwrap_err();
        // Without a name it is the first.
        let trial = mocks.trial(number, None);
        let answer = mocks.try_out(number, None, &trial, "api.test", MOMENT).unwrap();
        assert_eq!(answer.example.as_deref(), Some("ann"));
    }
}
