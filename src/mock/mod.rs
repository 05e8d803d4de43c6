//! Decides: a request to an answer. Data in, data out; time and chance come in as arguments.
//!
//! [`Mocks::compile`] turns documents into what never changes again; [`Mocks::find`] says what a
//! request's path is for; [`Hit::answer`] gives the answer and plans its callbacks.

use std::borrow::Cow;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue, Method};

use crate::config::{self, Changes, Delay, Missing, Mode, Unmatched, Validate};
use callback::Callback;
use choose::Exchanges;
use message::Head;
use offer::Room;
use problem::{Problem, listed};
use schema::Schemas;
use security::Security;
use trial::Shown;
use validate::Contract;

mod compile;

mod watch;

mod lint;

mod trial;

mod answer;

pub mod route;

mod security;

mod cors;

pub mod callback;

pub mod validate;

pub mod choose;

mod offer;

pub mod body;

pub mod reply;

mod generate;

pub mod xml;

mod schema;

pub mod media;

pub mod problem;

pub mod violation;

pub mod template;

mod text;

mod style;

mod list;

pub mod message;

pub mod form;

mod sink;

pub use answer::Answer;
pub use compile::Source;
pub use trial::Trial;
pub use watch::Watch;

/// Fields by which a request asks its answer to wait; the first that is there counts.
static DELAYS: [HeaderName; 2] =
    [HeaderName::from_static("x-standin-delay"), HeaderName::from_static("x-microcks-delay")];

/// All documents, compiled. Nothing in it ever changes.
#[derive(Debug)]
pub struct Mocks {
    pub documents: Vec<Summary>,
    pub operations: Vec<Operation>,
    table: route::Table,
    /// Whether a request may ask for a mode, a status or an example.
    overrides: bool,
    /// Whether answers are random instances where nobody asks for anything.
    dynamic: bool,
    /// Whether answers say where they come from.
    revealed: bool,
    /// Whether browsers may ask from other origins.
    cors: bool,
    validate: Validate,
    schemas: Arc<Schemas>,
    room: Arc<Room>,
}

/// A document, for whoever asks what is served.
#[derive(Debug, Clone)]
pub struct Summary {
    pub source: Arc<str>,
    pub title: String,
    pub version: String,
    pub openapi: String,
}

/// One operation of a document, compiled.
#[derive(Debug)]
pub struct Operation {
    /// `operationId`, else `METHOD /path/template`: the label of metrics, logs and headers.
    pub label: Arc<str>,
    pub method: Method,
    /// With its first base path.
    pub template: String,
    /// The number of its document.
    pub document: usize,
    pub mode: Mode,
    /// Which rule gave the mode, for people.
    pub decided_by: &'static str,
    /// What the mode `fallback` takes for "the upstream has not got it".
    pub missing: Arc<Missing>,
    /// The upstream that a rule names.
    pub upstream: Option<Arc<str>>,
    /// How long an answer from the document waits, if the request does not say.
    pub delay: Option<Delay>,
    /// What rules change of requests that pass, and of their answers.
    pub changes: Arc<Changes>,
    /// False where another document, or another operation, has all its routes.
    pub routed: bool,
    unmatched: Unmatched,
    /// The template's parameters, as the route captures them.
    parameters: Box<[route::Captured]>,
    exchanges: Exchanges,
    callbacks: Box<[Callback]>,
    /// If it has callbacks, which may be sent by hand.
    shown: Option<Box<Shown>>,
    /// What it says of its requests and responses, if anybody looks.
    contract: Option<Arc<Contract>>,
    security: Option<Arc<Security>>,
    deprecated: bool,
    /// For an answer or a callback.
    needs_body: Need,
}

/// What is needed of a request's body.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Need {
    Nothing,
    /// It is held against the document, and nothing else changes: one that is too large is let be.
    Glance,
    Whole,
}

/// What a request is for.
#[derive(Debug)]
pub enum Found<'m> {
    /// An operation that may be answered here; [`Hit::mode`] says when.
    Mock(Hit<'m>),
    /// An operation, by its number, that is to be passed to the upstream.
    Pass(usize),
    /// No document lists the path.
    Unlisted,
    /// A document lists the path, with these methods.
    OtherMethods(Vec<Method>),
    /// Standin refuses the request, whatever the upstream.
    Refused(Problem),
}

/// An operation and one request's values for its parameters.
#[derive(Debug)]
pub struct Hit<'m> {
    pub operation: &'m Operation,
    /// The operation's number.
    pub number: usize,
    /// Never [`Mode::Pass`].
    pub mode: Mode,
    params: Vec<(&'m str, Cow<'m, str>)>,
    /// Bytes of the request's path that are the base path.
    base: usize,
    /// What the request asks its answer to wait.
    wait: Option<Duration>,
    /// The request only asks whether such a one may come.
    preflight: bool,
    mocks: &'m Mocks,
}

impl Mocks {
    /// What the request is for. Reads the head only.
    pub fn find(&self, head: &Head<'_>) -> Found<'_> {
        self.preflight(head).map_or_else(|| self.find_route(head), Found::Mock)
    }

    /// The operation, not passed, that a preflight asks for. One for an operation that passes is for whoever
    /// gets that: the upstream.
    fn preflight(&self, head: &Head<'_>) -> Option<Hit<'_>> {
        let method = cors::requested(head).filter(|_| self.cors)?;
        match self.find_route(&Head { method: &method, ..*head }) {
            Found::Mock(hit) => Some(Hit { preflight: true, wait: Some(Duration::ZERO), ..hit }),
            _ => None,
        }
    }

    fn find_route(&self, head: &Head<'_>) -> Found<'_> {
        let asked = match self.asked_mode(head.headers) {
            Ok(asked) => asked,
            Err(problem) => return Found::Refused(problem),
        };
        let path = route::path::canonical(head.path);
        match self.table.find(&path, head) {
            route::Found::Route { target, captures } => {
                let operation = &self.operations[target.operation];
                let mode = asked.unwrap_or(operation.mode);
                if mode == Mode::Pass {
                    return Found::Pass(target.operation);
                }
                let wait = match self.asked_delay(head.headers) {
                    Ok(wait) => wait,
                    Err(problem) => return Found::Refused(problem),
                };
                Found::Mock(Hit {
                    operation,
                    number: target.operation,
                    mode,
                    params: operation.params(captures),
                    base: base_length(head.path, target.base),
                    wait,
                    preflight: false,
                    mocks: self,
                })
            }
            route::Found::OtherMethods(methods) => Found::OtherMethods(methods),
            route::Found::Undecided => Found::Refused(undecided(head)),
            route::Found::Nothing => match self.mistakable(&path, head, asked) {
                Some(operation) => Found::Refused(Problem::new(
                    problem::AMBIGUOUS_PATH,
                    format!(
                        "some servers read {path} as the path of {}, which is mocked; spell it as the document does",
                        operation.label
                    ),
                )),
                None => Found::Unlisted,
            },
        }
    }

    /// `x-standin-mode`
    fn asked_mode(&self, headers: &HeaderMap) -> Result<Option<Mode>, Problem> {
        let Some(value) = headers.get("x-standin-mode").filter(|_| self.overrides) else { return Ok(None) };
        let mode = value.to_str().ok().and_then(|text| Mode::from_str(text).ok());
        mode.map(Some).ok_or_else(|| {
            let words = listed(Mode::ALL.iter().map(|mode| mode.as_str()));
            Problem::new(problem::BAD_REQUEST, format!("x-standin-mode takes one of {words}"))
        })
    }

    fn asked_delay(&self, headers: &HeaderMap) -> Result<Option<Duration>, Problem> {
        let mut asked = DELAYS.iter().filter_map(|name| Some((name, headers.get(name)?)));
        let Some((name, value)) = asked.next().filter(|_| self.overrides) else { return Ok(None) };
        let wait = value.to_str().ok().and_then(|text| config::wait(text).ok());
        wait.filter(|wait| *wait <= Delay::LONGEST).map(Some).ok_or_else(|| {
            let detail = format!("{name} takes milliseconds or a duration such as 3s, at most an hour");
            Problem::new(problem::BAD_REQUEST, detail)
        })
    }

    /// The operation, not passed, that another server might take this path for.
    fn mistakable(&self, path: &str, head: &Head<'_>, asked: Option<Mode>) -> Option<&Operation> {
        route::path::readings(path).iter().find_map(|reading| match self.table.find(reading, head) {
            route::Found::Route { target, .. } => {
                let operation = &self.operations[target.operation];
                (asked.unwrap_or(operation.mode) != Mode::Pass).then_some(operation)
            }
            _ => None,
        })
    }
}

/// The documents' templates read the path in more ways than are looked at.
fn undecided(head: &Head<'_>) -> Problem {
    let detail = format!("too many parameters of the documents' paths may take parts of {}", head.path);
    Problem::new(problem::AMBIGUOUS_PATH, detail)
}

/// Bytes of a path that its first `segments` segments take.
fn base_length(path: &str, segments: usize) -> usize {
    match segments {
        0 => 0,
        segments => path.match_indices('/').nth(segments).map_or(path.len(), |(at, _)| at),
    }
}

impl Operation {
    /// Names of the examples that can be answered, in document order; singular ones have none.
    pub fn examples(&self) -> impl Iterator<Item = Option<&str>> {
        self.exchanges.usual().iter().map(|exchange| exchange.name.as_deref())
    }

    /// Names of the callbacks, in the order of sending.
    pub fn callbacks(&self) -> impl Iterator<Item = &str> {
        self.callbacks.iter().map(|callback| &*callback.plan.name)
    }

    /// Whether requests are, or may be, answered from the document.
    pub fn is_mocked(&self) -> bool {
        self.routed && self.mode != Mode::Pass
    }

    /// Whether there is anything to answer with.
    pub fn answers(&self) -> bool {
        self.exchanges.preferred().is_some()
    }

    /// The path's parameters, as the route captured them.
    fn params<'m>(&'m self, captures: Vec<&str>) -> Vec<(&'m str, Cow<'m, str>)> {
        let pairs = self.parameters.iter().zip(captures);
        pairs.map(|(parameter, value)| (&*parameter.name, Cow::Owned(parameter.decode(value)))).collect()
    }

    /// Whether any of its requests may be for the upstream.
    fn may_ask(&self, mode: Mode) -> bool {
        mode != Mode::Mock || self.leaves_unmatched(mode)
    }

    /// Whether what no example fits is the upstream's to answer.
    fn leaves_unmatched(&self, mode: Mode) -> bool {
        mode == Mode::Match || self.unmatched == Unmatched::Upstream
    }

    /// A 405's `allow`.
    pub fn allow(methods: &[Method]) -> Option<HeaderValue> {
        let mut names: Vec<&str> = methods.iter().map(Method::as_str).collect();
        if names.contains(&"GET") && !names.contains(&"HEAD") {
            names.push("HEAD");
        }
        HeaderValue::from_str(&names.join(", ")).ok()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use bytes::Bytes;
    use http::header::CONTENT_TYPE;
    use http::{HeaderValue, StatusCode};

    use super::message::{Body, Context, Moment, Request};
    use super::*;
    use crate::config::{Config, Rule};
    use crate::diagnostic::Diagnostic;
    use crate::spec;
    use crate::tree::Tree;

    pub(super) fn compile(paths: &str, config: &Config) -> (Mocks, Vec<Diagnostic>) {
        let text = format!("openapi: 3.1.0\ninfo: {{title: t, version: '1'}}\n{paths}");
        let (tree, _) = Tree::parse("/t.yaml", text, &Default::default()).expect("the text is YAML");
        let trees = spec::Trees::from([("/t.yaml".into(), tree)]);
        let reading = spec::read(&trees, "/t.yaml");
        assert_eq!(reading.diagnostics, []);
        let document = reading.document.expect("the text is a document");
        Mocks::compile(
            &[Source { document, trees: &trees, base_path: None, upstream: None, mode: None }],
            config,
        )
    }

    /// The request is `METHOD /target`, a line for each header, and a body after an empty one. What is
    /// expected: status, the example's name, the body, and a line for each call.
    #[track_caller]
    fn check_with(config: &Config, paths: &str, request: &str, expected: &str) {
        let (mocks, _) = compile(paths, config);
        let (head, body) = request.split_once("\n\n").unwrap_or((request, ""));
        let mut lines = head.lines();
        let (method, target) = lines.next().and_then(|line| line.split_once(' ')).expect("a request line");
        let method: Method = method.parse().expect("a method");
        let (path, query) =
            target.split_once('?').map_or((target, None), |(path, query)| (path, Some(query)));
        let mut headers = HeaderMap::new();
        for (name, value) in lines.filter_map(|line| line.split_once(": ")) {
            let name: http::HeaderName = name.parse().expect("a header's name");
            headers.append(name, value.parse().expect("a header's value"));
        }
        let authority = "api.example";
        let head = Head { method: &method, path, query, headers: &headers, scheme: "http", authority };
        let moment = Moment { now: 0, seed: 7 };
        let body = Body::new(Bytes::copy_from_slice(body.as_bytes()));
        let answer = match mocks.find(&head) {
            Found::Mock(hit) => hit.answer(head, &body, moment).map(|answer| answer.expect("an answer")),
            Found::Refused(problem) => Err(problem),
            other => return assert_eq!(format!("{other:?}"), expected),
        };
        let mut text = String::new();
        match answer {
            Err(problem) => text.push_str(problem.kind.code),
            Ok(answer) => {
                let name = answer.headers.get("x-standin-example").and_then(|name| name.to_str().ok());
                let body = String::from_utf8_lossy(&answer.body);
                text.push_str(&format!("{} {} {body}", answer.status.as_u16(), name.unwrap_or("-")));
                for index in 0..answer.chain.iter().flat_map(|chain| &chain.calls).count() {
                    let call = answer.chain.as_ref().map(|chain| chain.render(index, moment));
                    text.push_str(&match call {
                        Some(Ok(call)) => format!(
                            "\n{} {} {:?} {}",
                            call.method,
                            call.url,
                            call.headers,
                            String::from_utf8_lossy(&call.body)
                        ),
                        other => format!("\n{other:?}"),
                    });
                }
            }
        }
        assert_eq!(text, expected);
    }

    #[track_caller]
    fn check(paths: &str, request: &str, expected: &str) {
        check_with(&Config::default(), paths, request, expected);
    }

    #[test]
    fn an_error_s_example_under_default_never_answers_for_a_success() {
        let error = "default: {content: {application/json: {examples: {err: {value: 1}}}}}";
        let both = |ok: &str| format!("paths: {{/a: {{get: {{responses: {{{error}, 200: {ok}}}}}}}}}");
        check(&both("{content: {application/json: {examples: {ok: {value: 2}}}}}"), "GET /a", "200 ok 2");
        check(&both("{content: {application/json: {schema: {}}}}"), "GET /a", "200 - {}");
        check(&both("{}"), "GET /a", "200 - ");
        check(
            &format!("paths: {{/a: {{get: {{responses: {{404: {{}}, {error}}}}}}}}}"),
            "GET /a",
            "200 err 1",
        );
    }

    #[test]
    fn an_informational_status_is_never_an_answer() {
        let (mocks, problems) = compile(
            "paths: {/a: {get: {responses: {101: {}}}}, /b: {get: {responses: {1XX: {}, 200: {}}}}}",
            &Config::default(),
        );
        assert!(!mocks.operations[0].answers() && mocks.operations[1].answers());
        let problems: Vec<_> = problems.iter().map(ToString::to_string).collect();
        assert_eq!(
            problems,
            [
                "/t.yaml:3:14: `GET /a` describes no response to answer with; \
                 give the response an `example` or a `schema`, or pass the operation with a rule",
                "/t.yaml:3:32: a mock does not answer 101, which is no final status",
                "/t.yaml:3:67: a mock does not answer 1XX, which is no final status",
            ]
        );
    }

    #[test]
    fn what_the_client_does_not_accept_is_never_the_answer_for_reject() {
        let config = Config { unmatched: Unmatched::Reject, ..Config::default() };
        let paths = "paths: {/a: {get: {parameters: [{name: q, in: query, examples: {one: {value: 1}, two: {value: 2}}}], \
            responses: {200: {content: {text/html: {examples: {one: {value: h}}}, text/plain: {examples: {two: {value: p}}}}}}}}}";
        check_with(&config, paths, "GET /a?q=1\naccept: text/plain", "no-example-fits");
        check_with(&config, paths, "GET /a?q=2\naccept: text/plain", "200 two p");
        check_with(&config, paths, "GET /a?q=2\naccept: image/png", "not-acceptable");
    }

    #[test]
    fn large_integers_of_a_body_are_compared_as_such() {
        let paths = "paths: {/a: {post: {requestBody: {content: {application/json: {examples: {\
            one: {value: 9007199254740992}, two: {value: 9007199254740993}, three: {value: 1.0}}}}}, \
            responses: {200: {content: {text/plain: {examples: {one: {value: a}, two: {value: b}, three: {value: c}}}}}}}}}";
        check(paths, "POST /a\n\n9007199254740993", "200 two b");
        check(paths, "POST /a\n\n1", "200 three c");
    }

    #[test]
    fn operations_share_what_an_example_comes_to() {
        let media = "{content: {application/json: {examples: {e: {$ref: '#/x-e'}}}}}";
        let operations: String = (0..300)
            .map(|n| format!("  /{n}: {{post: {{requestBody: {media}, responses: {{200: {media}}}}}}}\n"))
            .collect();
        let text = "x".repeat(1 << 20);
        let (mocks, problems) = compile(
            &format!("paths:\n{operations}x-e: {{value: ['{text}', '{{{{ no']}}"),
            &Config::default(),
        );
        let bodies: std::collections::HashSet<_> = mocks
            .operations
            .iter()
            .map(|operation| {
                let reply = &operation.exchanges.all[0].replies[0];
                reply
                    .render(
                        StatusCode::OK,
                        &Context {
                            request: Request {
                                head: Head {
                                    method: &Method::GET,
                                    path: "/",
                                    query: None,
                                    headers: &HeaderMap::new(),
                                    scheme: "http",
                                    authority: "",
                                },
                                base: 0,
                                params: &[],
                                body: &Body::default(),
                            },
                            response: None,
                            moment: Moment { now: 0, seed: 0 },
                        },
                    )
                    .1
                    .as_ptr()
            })
            .collect();
        assert_eq!((mocks.operations.len(), bodies.len(), problems.len()), (300, 1, 1));
    }

    #[test]
    fn very_many_examples_are_compiled_soon() {
        let examples = |text: &str| -> String {
            (0..20_000).map(|n| format!("      e{n}: {{value: {text}{n}}}\n")).collect()
        };
        let headers: String = (0..20_000).map(|n| format!("h{n}: {{example: 1}}, ")).collect();
        let paths = format!(
            "paths: {{/a: {{post: {{parameters: [{{name: q, in: query, examples: {{$ref: '#/x-x/q'}}}}], requestBody: {{$ref: '#/x-x/b'}}, \
             responses: {{200: {{$ref: '#/x-x/r'}}, 201: {{$ref: '#/x-x/r'}}, 202: {{$ref: '#/x-x/r'}}}}}}}}}}\n\
             x-x:\n  b: {{content: {{text/plain: {{examples: {{$ref: '#/x-x/q'}}}}}}}}\n  \
             r: {{headers: {{{headers}}}, content: {{text/plain: {{examples: {{$ref: '#/x-x/q'}}}}}}}}\n  q:\n{}",
            examples("v")
        );
        let started = std::time::Instant::now();
        let (mocks, problems) = compile(&paths, &Config::default());
        assert!(started.elapsed().as_secs() < 20, "{:?}", started.elapsed());
        // The others are bounded: references bring so many in.
        assert_eq!((mocks.operations[0].exchanges.all.len(), problems.len()), (30_000, 3));
        let detail = listed(mocks.operations[0].exchanges.names(None));
        assert!(detail.ends_with("e19 and 19980 more"), "{detail}");
    }

    #[test]
    fn examples_that_many_operations_share_have_an_end() {
        let examples: String = (0..1000).map(|n| format!("    e{n}: {{value: {n}}}\n")).collect();
        let paths: String = (0..250)
            .map(|n| format!("  /p{n}: {{get: {{responses: {{200: {{$ref: '#/x-x/r'}}}}}}}}\n"))
            .collect();
        let (mocks, problems) = compile(
            &format!(
                "paths:\n{paths}x-x:\n  r: {{content: {{text/plain: {{examples: {{$ref: '#/x-x/e'}}}}}}}}\n  e:\n{examples}"
            ),
            &Config::default(),
        );
        let kept: usize = mocks.operations.iter().map(|operation| operation.examples().count()).sum();
        let told = problems.iter().filter(|problem| problem.code.0 == "SI0217").count();
        assert_eq!((kept, told), (200_000, 1));
    }

    #[test]
    fn very_many_paths_are_compiled_soon() {
        let path = |n: usize| match n % 5 {
            0 => format!("/things{n}/{{id}}"),
            1 => format!("/v1/{{x}}:verb{n}"),
            2 => format!("/v1/prefix{n}-{{x}}-{{y}}"),
            3 => format!("/?Action=Do{n}"),
            _ => format!("/files/{{path+}}/{n}"),
        };
        let paths: String = (0..100_000)
            .map(|n| format!("  '{}': {{get: {{responses: {{204: {{}}}}}}}}\n", path(n)))
            .collect();
        let text = format!("openapi: 3.1.0\npaths:\n{paths}");
        let (tree, _) = Tree::parse("/t.yaml", text, &Default::default()).expect("the text is YAML");
        let trees = spec::Trees::from([("/t.yaml".into(), tree)]);
        let document = spec::read(&trees, "/t.yaml").document.expect("the text is a document");
        let started = std::time::Instant::now();
        let source = Source { document, trees: &trees, base_path: None, upstream: None, mode: None };
        let (mocks, problems) = Mocks::compile(&[source], &Config::default());
        assert!(started.elapsed().as_secs() < 20, "{:?}", started.elapsed());
        assert_eq!((mocks.operations.len(), problems.len()), (100_000, 0));
        check_route(&mocks, "/v1/prefix99997-a-b", 99_997);
        check_route(&mocks, "/files/a/b/99999", 99_999);
    }

    #[test]
    fn a_path_that_is_never_found_is_told() {
        let paths = format!("paths: {{'{}': {{get: {{responses: {{204: {{}}}}}}}}}}", "/a".repeat(501));
        let (mocks, problems) = compile(&paths, &Config::default());
        let problems: Vec<_> = problems.iter().map(|problem| problem.message.as_str()).collect();
        assert_eq!(problems, ["this is never found: the path has more than 500 segments"]);
        assert!(!mocks.operations[0].routed);
    }

    #[track_caller]
    fn check_route(mocks: &Mocks, path: &str, expected: usize) {
        let (headers, method) = (HeaderMap::new(), Method::GET);
        let head =
            Head { method: &method, path, query: None, headers: &headers, scheme: "http", authority: "" };
        match mocks.find(&head) {
            Found::Mock(hit) => assert_eq!(hit.number, expected),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_rule_names_a_route_by_any_of_its_base_paths() {
        let rule = |selector: &str| Rule {
            operations: vec![selector.parse().expect("a selector")],
            mode: Some(Mode::Pass),
            ..Rule::default()
        };
        let config = Config { rules: vec![rule("GET /v2/a")], ..Config::default() };
        let paths = "servers: [{url: /v1}, {url: /v2}]\npaths: {/a: {get: {responses: {200: {}}}}}";
        assert_eq!(compile(paths, &config).0.operations[0].mode, Mode::Pass);
    }

    #[test]
    fn each_key_comes_from_the_first_rule_that_sets_it_then_from_the_document() {
        let text = "
upstreams: {default: {servers: 'http://a'}, other: {servers: 'http://b'}}
missing: [410]
rules:
- {operations: both, path: {strip: /v1}, upstream: other}
- {operations: [both, one], missing: [503], headers: {request: {remove: x-a}}, upstream: default, delay: 5ms}
- {operations: '/**', missing: [404], path: {strip: /v2}, mode: pass, unmatched: reject}";
        let config = config::parse("c", text, &|_| None, std::path::Path::new("/")).expect("a config");
        let get = |id: &str| {
            format!(
                "{{get: {{operationId: {id}, x-standin: {{missing: [501], delay: 1}}, responses: {{204: {{}}}}}}}}"
            )
        };
        let paths = format!("paths: {{/a: {}, /b: {}, /c: {}}}", get("both"), get("one"), get("none"));
        let check = |mocks: &Mocks, number: usize, status: u16, upstream: Option<&str>, strip, wait| {
            let operation = &mocks.operations[number];
            assert!(
                operation.missing.status(StatusCode::from_u16(status).expect("a status")),
                "{operation:?}"
            );
            assert_eq!(operation.upstream.as_deref(), upstream);
            assert_eq!(operation.changes.request.is_some(), number < 2);
            let prefix = operation.changes.prefix.as_ref().and_then(|prefix| prefix.strip.as_deref());
            assert_eq!(prefix, strip);
            assert_eq!(operation.delay, Some(Delay::Fixed(Duration::from_millis(wait))));
        };
        let (mocks, _) = compile(&paths, &config);
        check(&mocks, 0, 503, Some("other"), Some("/v1"), 5);
        check(&mocks, 1, 503, Some("default"), Some("/v2"), 5);
        check(&mocks, 2, 404, None, Some("/v2"), 1);
        assert!(mocks.operations.iter().all(|operation| operation.unmatched == Unmatched::Reject));
        let (mocks, _) = compile(&paths, &Config { rules: Vec::new(), ..config });
        assert!(
            mocks.operations.iter().all(|operation| operation.missing.status(StatusCode::NOT_IMPLEMENTED))
        );
    }

    #[test]
    fn operations_share_what_rules_and_extensions_say() {
        let said = ["{missing: [5XX, 404]}", "{mode: mock}"];
        let operations: String = (0..1000)
            .map(|n| format!("  /{n}: {{get: {{x-standin: {}, responses: {{204: {{}}}}}}}}\n", said[n % 2]))
            .collect();
        let rule = |selector: &str, status: &str| Rule {
            operations: vec![selector.parse().expect("a selector")],
            upstream: Some(status.to_owned()),
            ..Rule::default()
        };
        let config = Config { rules: vec![rule("GET /7", "a"), rule("/*", "b")], ..Config::default() };
        let (mocks, _) = compile(&format!("paths:\n{operations}"), &config);
        let distinct = |address: &dyn Fn(&Operation) -> *const ()| {
            mocks.operations.iter().map(address).collect::<HashSet<_>>().len()
        };
        assert_eq!(distinct(&|operation| Arc::as_ptr(&operation.missing).cast()), 2);
        assert_eq!(distinct(&|operation| Arc::as_ptr(&operation.changes).cast()), 2);
        assert_eq!(
            distinct(&|operation| operation.upstream.as_ref().map_or("", |name| name).as_ptr().cast()),
            2
        );
        // For each of thousands.
        assert!(size_of::<Operation>() <= 300, "{}", size_of::<Operation>());
    }

    #[test]
    fn a_call_sees_the_request_when_it_is_sent() {
        let paths = r#"
servers: [{url: /v1}]
paths:
  /a/{id}:
    post:
      responses: {202: {}}
      callbacks:
        done:
          '{$request.body#/url}/{$request.path.id}?h={$request.header.X-Key}&q={$request.query.q}&s={$statusCode}':
            parameters: [{name: X-Host, in: header, example: '{{ request.headers[host] }}'}]
            put:
              requestBody: {content: {application/json: {example: {
                path: '{{ request.path[1] }}', of: '{{ request.params[id] }}', q: '{{ request.params[q] }}',
                key: '{{ request.headers[x-key] }}', name: '{{ request.body/name }}', got: '{{ response.status }}'}}}}
"#;
        check(
            paths,
            "POST /v1/a/x%2Fy?q=1%262\nx-key: k k\n\n{\"url\":\"http://c\",\"name\":\"\\\"n\"}",
            "202 - \nPUT http://c/x%2Fy?h=k%20k&q=1%262&s=202 \
             {\"x-host\": \"api.example\", \"content-type\": \"application/json\"} \
             {\"path\":\"x/y\",\"of\":\"x/y\",\"q\":\"1&2\",\"key\":\"k k\",\"name\":\"\\\"n\",\"got\":\"202\"}",
        );
    }

    #[test]
    fn a_chain_that_waits_holds_nothing_of_its_document() {
        let callback = "requestBody: {content: {application/json: {schema: {const: 7}}}}, \
            responses: {200: {content: {application/json: {schema: {type: string}}}}}";
        let paths = format!(
            "paths: {{/a: {{post: {{responses: {{202: {{}}}}, callbacks: {{done: {{'http://c/': {{post: {{{callback}}}}}}}}}}}}}}}"
        );
        let (mocks, _) = compile(&paths, &Config::default());
        let (method, headers) = (Method::POST, HeaderMap::new());
        let (path, query, scheme, authority) = ("/a", None, "http", "api.example");
        let head = Head { method: &method, path, query, headers: &headers, scheme, authority };
        let moment = Moment { now: 0, seed: 7 };
        let Found::Mock(hit) = mocks.find(&head) else { panic!("the operation is mocked") };
        let answer = hit.answer(head, &Body::default(), moment).expect("no problem").expect("an answer");
        let chain = answer.chain.expect("a callback goes with it");
        let json = HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static("application/json"))]);
        let body = Bytes::from_static(b"1");
        let judge = || chain.calls[0].judge(StatusCode::OK, &json, Some(&body)).len();
        assert_eq!(judge(), 1);
        let schemas = Arc::downgrade(&mocks.schemas);
        drop(mocks);
        assert!(schemas.upgrade().is_none());
        assert_eq!((judge(), chain.calls[0].describes(201)), (0, false));
        assert_eq!(chain.render(0, moment).expect("it has a URL").body, "7");
    }
}
