//! Decides: a request to an answer. Data in, data out; time and chance come in as arguments.
//!
//! [`Mocks::compile`] turns documents into what never changes again; [`Mocks::find`] says what a
//! request's path is for; [`Hit::answer`] gives the answer and plans its callbacks.

use std::borrow::Cow;
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, StatusCode};

use crate::config::{Mode, Unmatched};
use callback::{Chain, Plan};
use choose::{Choice, Exchanges};
use message::{Body, Context, Head, Moment, Request, Response};
use problem::Problem;

mod compile;

pub mod route;

mod body;

pub mod callback;

pub mod choose;

pub mod reply;

pub mod media;

pub mod problem;

pub mod template;

pub mod message;

pub use compile::Source;

/// All documents, compiled. Nothing in it ever changes.
#[derive(Debug)]
pub struct Mocks {
    pub documents: Vec<Summary>,
    pub operations: Vec<Operation>,
    table: route::Table,
    /// Whether a request may ask for a mode of its own.
    overrides: bool,
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
    /// False where another document, or another operation, has all its routes.
    pub routed: bool,
    unmatched: Unmatched,
    /// Names of the template's parameters, as the route captures them.
    parameters: Box<[Box<str>]>,
    exchanges: Exchanges,
    callbacks: Box<[Arc<Plan>]>,
    needs_body: bool,
}

/// What a request is for.
#[derive(Debug)]
pub enum Found<'m> {
    /// An operation that is to be answered here.
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
    params: Vec<(&'m str, Cow<'m, str>)>,
    /// Bytes of the request's path that are the base path.
    base: usize,
}

/// What goes to the client, and what goes out after it.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    /// Also there for a `HEAD`, which does not get it.
    pub body: Bytes,
    pub chain: Option<Chain>,
}

impl Mocks {
    /// What the request is for. Reads the head only.
    pub fn find(&self, head: &Head<'_>) -> Found<'_> {
        let asked = match self.asked_mode(head.headers) {
            Ok(asked) => asked,
            Err(problem) => return Found::Refused(problem),
        };
        let path = route::path::canonical(head.path);
        match self.table.find(&path, head.method) {
            route::Found::Route { target, captures } => {
                let operation = &self.operations[target.operation];
                if asked.unwrap_or(operation.mode) == Mode::Pass {
                    return Found::Pass(target.operation);
                }
                let decode = |value: &str| {
                    let decoded = percent_encoding::percent_decode_str(value).decode_utf8_lossy();
                    Cow::Owned(decoded.into_owned())
                };
                let names = operation.parameters.iter().map(AsRef::as_ref);
                let params = names.zip(captures.into_iter().map(decode)).collect();
                Found::Mock(Hit {
                    operation,
                    number: target.operation,
                    params,
                    base: base_length(head.path, target.base),
                })
            }
            route::Found::OtherMethods(methods) => Found::OtherMethods(methods),
            route::Found::Nothing => match self.mistakable(&path, head.method, asked) {
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
        match value.as_bytes() {
            b"mock" => Ok(Some(Mode::Mock)),
            b"pass" => Ok(Some(Mode::Pass)),
            _ => Err(Problem::new(
                problem::BAD_REQUEST,
                "x-standin-mode takes `mock` or `pass`; `match` and `fallback` are not built yet",
            )),
        }
    }

    /// The operation, not passed, that another server might take this path for.
    fn mistakable(&self, path: &str, method: &Method, asked: Option<Mode>) -> Option<&Operation> {
        route::path::readings(path).iter().find_map(|reading| match self.table.find(reading, method) {
            route::Found::Route { target, .. } => {
                let operation = &self.operations[target.operation];
                (asked.unwrap_or(operation.mode) != Mode::Pass).then_some(operation)
            }
            _ => None,
        })
    }
}

/// Bytes of a path that its first `segments` segments take.
fn base_length(path: &str, segments: usize) -> usize {
    match segments {
        0 => 0,
        segments => path.match_indices('/').nth(segments).map_or(path.len(), |(at, _)| at),
    }
}

impl Hit<'_> {
    /// Whether the answer, or a callback, depends on the request's body.
    pub fn needs_body(&self) -> bool {
        self.operation.needs_body
    }

    pub fn answer(&self, head: Head<'_>, body: &Body, moment: Moment) -> Result<Answer, Problem> {
        let operation = self.operation;
        let request = Request { head, base: self.base, params: &self.params, body };
        let (reply, example) = match operation.exchanges.choose(&request, operation.unmatched) {
            Choice::Exchange { exchange, reply } => (reply, exchange.name.as_deref()),
            Choice::Empty(reply) => (reply, None),
            other => return Err(operation.problem(&other)),
        };
        let mut context = Context { request, response: None, moment };
        let (headers, body) = reply.render(&context);
        let mut chain = None;
        if !operation.callbacks.is_empty() && *head.method != Method::HEAD {
            let answered = Body::new(body.clone());
            context.response = Some(Response { status: reply.status, headers: &headers, body: &answered });
            chain = callback::chain(&operation.label, &operation.callbacks, example, &context);
        }
        Ok(Answer { status: reply.status, headers, body, chain })
    }
}

impl Operation {
    /// Names of the examples that can be answered, in document order; singular ones have none.
    pub fn examples(&self) -> impl Iterator<Item = Option<&str>> {
        self.exchanges.all.iter().map(|exchange| exchange.name.as_deref())
    }

    /// Names of the callbacks, in the order of sending.
    pub fn callbacks(&self) -> impl Iterator<Item = &str> {
        self.callbacks.iter().map(|plan| &*plan.name)
    }

    /// Whether there is anything to answer with.
    pub fn answers(&self) -> bool {
        !self.exchanges.unmatched.is_empty() || self.exchanges.empty.is_some()
    }

    fn problem(&self, choice: &Choice<'_>) -> Problem {
        let label = &self.label;
        match choice {
            Choice::NotAcceptable => {
                let replies = self.exchanges.all.iter().flat_map(|exchange| &exchange.replies);
                let mut offered: Vec<_> = replies.filter_map(|reply| reply.media.as_ref()).collect();
                offered.dedup();
                let offered: Vec<_> = offered.iter().map(|media| media.as_str()).collect();
                let detail = format!("{label} has examples as {}", offered.join(", "));
                Problem::new(problem::NOT_ACCEPTABLE, detail)
            }
            Choice::Rejected => {
                let names: Vec<_> = self.exchanges.names().collect();
                let detail = format!("{label} has the examples {}", names.join(", "));
                Problem::new(problem::NO_EXAMPLE_FITS, detail)
            }
            _ => Problem::new(
                problem::CANNOT_GENERATE,
                format!(
                    "{label} has no example of a response; add one to the document, or let `rules` pass the operation"
                ),
            ),
        }
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
