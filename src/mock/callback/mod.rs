//! Planning the calls of an answer: which callbacks go out, in which order, with what.
//!
//! A chain is settled when the answer is chosen; each of its calls is rendered once, when it is
//! first sent. It holds what its calls refer to and nothing else, since thousands may be waiting.

use std::borrow::Cow;
use std::sync::{Arc, Weak};
use std::time::Duration;

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, Method, StatusCode};

use super::media::MediaType;
use super::message::{Body, Context, Head, Moment, Request, Response};
use super::reply::Content;
use super::template::{Needs, Template};
use super::violation::Violation;
use crate::config::Delay;
use crate::spec::document::{Repeat, StatusPattern};

pub mod saved;

pub mod carried;

pub mod expression;

use carried::{Carried, Instance, Receiver};
use expression::Url;

/// Calls of one answer.
pub const LONGEST: usize = 1000;

/// One callback of an operation, compiled.
#[derive(Debug)]
pub struct Callback {
    pub plan: Arc<Plan>,
    /// Where no example shows a body.
    pub instance: Option<Instance>,
    /// What the receiver may answer, with fields and bodies; none where nothing is said of that.
    pub receiver: Option<Arc<Receiver>>,
}

/// What a chain keeps of a callback. It holds nothing of the document, which may be another one before the chain
/// is done.
#[derive(Debug)]
pub struct Plan {
    pub name: Arc<str>,
    pub method: Method,
    pub url: Url,
    /// What the document says to wait before it.
    pub wait: Option<Delay>,
    /// Waits between attempts, if the document says.
    pub retry: Option<Arc<[Duration]>>,
    /// Which answers it goes with, in place of the rule of names.
    pub when: Option<When>,
    pub repeat: Option<Repeat>,
    /// What the receiver may answer; empty: nothing is said of that.
    pub statuses: Box<[StatusPattern]>,
    /// Names of answers' examples that it goes with; empty: every 2xx and 3xx answer.
    pub names: Box<[Box<str>]>,
    pub payloads: Box<[Payload]>,
    /// Parameters of the callback's operation, from their examples.
    pub carried: Box<[Carried]>,
}

/// Which answers a callback goes with; of a list that is empty, all.
#[derive(Debug)]
pub struct When {
    pub statuses: Box<[StatusPattern]>,
    pub examples: Box<[Box<str>]>,
}

/// What a call carries: one example in one media type.
#[derive(Debug)]
pub struct Payload {
    pub example: Option<Box<str>>,
    pub media: MediaType,
    pub body: Content,
}

/// The calls of one answer, in the order in which they go out. Sent at the edge.
#[derive(Debug, Clone)]
pub struct Chain {
    /// The operation's label: `operationId`, else `METHOD /path/template`.
    pub operation: Arc<str>,
    pub calls: Box<[Planned]>,
    /// Callbacks with more calls than an answer sends, and how many are left out.
    pub left_out: Box<[(Arc<str>, usize)]>,
    /// The name of the answer's example.
    example: Option<Box<str>>,
    kept: Arc<Kept>,
}

/// One call of a chain, before its turn.
#[derive(Debug, Clone)]
pub struct Planned {
    /// What the document says to wait before it; none: what the config says.
    pub wait: Option<Duration>,
    /// Where it will go, as far as it is known now; why not, if nowhere.
    pub target: Result<Arc<str>, Unresolved>,
    plan: Arc<Plan>,
    payload: Option<usize>,
    /// Its body where no example shows one.
    instance: Option<Arc<Payload>>,
    /// As long as its document is in force.
    receiver: Weak<Receiver>,
    /// Where it goes is known at its first attempt only.
    dynamic: bool,
}

/// A request to make: everything but the identity that the sender adds.
#[derive(Debug, Clone, PartialEq)]
pub struct Call {
    pub method: Method,
    /// As rendered: not yet parsed as a URL, nor checked. It may be relative.
    pub url: String,
    /// What a relative `url` is relative to: the client's request, `http://host/path`.
    pub base: String,
    pub headers: HeaderMap,
    pub body: Bytes,
}

/// Why a callback has no target: the expression that has no value, and why.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{{{expression}}} {reason}")]
pub struct Unresolved {
    pub expression: String,
    pub reason: Cow<'static, str>,
}

/// Header fields; an empty map of them is large, and most chains need none.
type Fields = Option<Box<HeaderMap>>;

/// The exchange that a chain came from, as far as its calls refer to it.
#[derive(Debug)]
struct Kept {
    method: Method,
    path: Box<str>,
    query: Option<Box<str>>,
    headers: Fields,
    scheme: &'static str,
    authority: Box<str>,
    base: usize,
    params: Box<[(Box<str>, Box<str>)]>,
    body: Bytes,
    status: StatusCode,
    response_headers: Fields,
    response_body: Bytes,
}

impl Call {
    /// What it takes of memory, about.
    pub fn bytes(&self) -> usize {
        let fields = self.headers.iter().map(|(name, value)| 100 + name.as_str().len() + value.len());
        self.url.len() + self.base.len() + self.body.len() + fields.sum::<usize>()
    }
}

impl Plan {
    /// Of its URL, its header fields and its bodies.
    pub fn needs(&self) -> Needs {
        self.needs_to_render() | self.url.needs()
    }

    /// Once it is known where it goes.
    fn needs_to_render(&self) -> Needs {
        let payloads = self.payloads.iter().map(|payload| payload.body.needs());
        let carried = self.carried.iter().map(Carried::needs);
        let url = if self.url.is_dynamic() { self.url.needs() } else { Needs::default() };
        payloads.chain(carried).fold(url, |all, needs| all | needs)
    }

    /// The payload that goes with an answer; `Some(None)`: the call goes without one.
    fn payload(&self, example: Option<&str>, status: StatusCode) -> Option<Option<usize>> {
        let goes = match (&self.when, example) {
            (Some(when), _) => when.holds(example, status),
            (None, _) if self.names.is_empty() => status.is_success() || status.is_redirection(),
            (None, Some(example)) => self.names.iter().any(|name| **name == *example),
            (None, None) => false,
        };
        if !goes {
            return None;
        }
        let named = self.payloads.iter().position(|payload| payload.example.as_deref() == example);
        let unnamed = || self.payloads.iter().position(|payload| payload.example.is_none());
        // What goes with other answers than its names say has to carry one of them.
        let first = || self.when.as_ref().and_then(|_| (!self.payloads.is_empty()).then_some(0));
        Some(named.or_else(unnamed).or_else(first))
    }

    /// Its calls with an answer, by what each waits.
    fn waits(&self, seed: u64) -> impl Iterator<Item = Option<Duration>> {
        let Repeat { times, every } = self.repeat.unwrap_or(Repeat { times: 1, every: None });
        (0..times).map(move |number| match every.filter(|_| number > 0) {
            Some(every) => Some(every),
            None => self.wait.map(|wait| wait.pick(seed.wrapping_add(number as u64))),
        })
    }
}

impl When {
    fn holds(&self, example: Option<&str>, status: StatusCode) -> bool {
        (self.statuses.is_empty() || lists(&self.statuses, status.as_u16()))
            && (self.examples.is_empty() || self.examples.iter().any(|name| example == Some(&**name)))
    }
}

/// Whether any call of an answer that is made from `example` refers to the request's body.
pub fn need_body(callbacks: &[Callback], example: Option<&str>, status: StatusCode) -> bool {
    let mut plans = callbacks.iter().map(|callback| &callback.plan);
    plans.any(|plan| plan.payload(example, status).is_some() && plan.needs().request_body)
}

/// The chain of an answer that was made from `example`; none if no callback goes with it.
/// `callbacks` are in the order of sending.
pub fn chain(
    operation: &Arc<str>,
    callbacks: &[Callback],
    example: Option<&str>,
    context: &Context<'_>,
) -> Option<Chain> {
    let response = context.response?;
    let mut needs = Needs::default();
    let mut calls = Vec::with_capacity(callbacks.len().min(LONGEST));
    let mut left_out = Vec::new();
    for Callback { plan, instance, receiver } in callbacks {
        let Some(payload) = plan.payload(example, response.status) else { continue };
        needs = needs | plan.needs_to_render();
        let target = plan.url.resolve(context).map(Arc::from);
        let instance = instance.as_ref().and_then(Instance::payload);
        let receiver = receiver.as_ref().map(Arc::downgrade).unwrap_or_default();
        let room = LONGEST - calls.len();
        let times = plan.repeat.map_or(1, |repeat| repeat.times);
        if times > room {
            left_out.push((plan.name.clone(), times - room));
        }
        for wait in plan.waits(context.moment.seed).take(room) {
            calls.push(Planned {
                wait,
                target: target.clone(),
                dynamic: plan.url.is_dynamic(),
                plan: plan.clone(),
                payload,
                instance: instance.clone(),
                receiver: receiver.clone(),
            });
        }
    }
    if calls.is_empty() {
        return None;
    }
    let kept = Arc::new(Kept::of(context, &response, needs));
    let example = example.map(Into::into);
    let (operation, calls, left_out) = (operation.clone(), calls.into(), left_out.into());
    Some(Chain { operation, calls, left_out, example, kept })
}

impl Planned {
    /// The callback's name in the document.
    pub fn callback(&self) -> &Arc<str> {
        &self.plan.name
    }

    /// Waits between its attempts, if the document says; none: what the config says.
    pub fn retry(&self) -> Option<&Arc<[Duration]>> {
        self.plan.retry.as_ref()
    }

    /// Its parameters, with the values that go with the answer's example.
    fn carried(&self, example: Option<&str>) -> impl Iterator<Item = (&carried::Place, &Template)> {
        let carried = self.plan.carried.iter();
        carried.flat_map(move |one| one.of(example).iter().map(move |text| (&one.place, text)))
    }

    /// Its body, if it has one.
    fn content(&self) -> Option<&Payload> {
        self.payload.map(|number| &self.plan.payloads[number]).or(self.instance.as_deref())
    }

    /// Whether what is sent depends on when it is.
    pub fn tells_time(&self) -> bool {
        self.plan.needs_to_render().now
    }

    /// What of a receiver's answer is not as the document says, if it lists its status and is still in force.
    /// `body` is none where it was not read whole.
    pub fn judge(&self, status: StatusCode, headers: &HeaderMap, body: Option<&Bytes>) -> Vec<Violation> {
        let Some(receiver) = self.receiver.upgrade() else { return Vec::new() };
        // RFC 9110, 9.3.2: there is none.
        let body = body.filter(|_| self.plan.method != Method::HEAD);
        match self.describes(status.as_u16()) {
            true => receiver.contract.response(status, headers, body, &receiver.schemas),
            false => Vec::new(),
        }
    }

    /// Whether the document says that the receiver may answer so, if it says anything of that.
    pub fn describes(&self, status: u16) -> bool {
        self.plan.statuses.is_empty() || lists(&self.plan.statuses, status)
    }
}

fn lists(patterns: &[StatusPattern], status: u16) -> bool {
    patterns.iter().any(|pattern| pattern.covers(status))
}

impl Chain {
    /// What it takes of memory, about.
    pub fn bytes(&self) -> usize {
        let Kept { path, query, headers, params, body, response_headers, response_body, .. } = &*self.kept;
        let fields = |headers: &Fields| {
            let fields = headers.iter().flat_map(|headers| headers.iter());
            fields.map(|(_, value)| 100 + value.len()).sum::<usize>()
        };
        let params: usize = params.iter().map(|(name, value)| 32 + name.len() + value.len()).sum();
        let urls: usize =
            self.calls.iter().map(|call| call.target.as_ref().map_or(64, |url| url.len())).sum();
        // Calls of one callback stand together, and share it.
        let mut instances: Vec<_> = self.calls.iter().filter_map(|call| call.instance.as_ref()).collect();
        instances.dedup_by(|one, other| Arc::ptr_eq(one, other));
        let size = |instance: &&Arc<Payload>| match &instance.body {
            Content::Bytes(bytes) => bytes.len(),
            Content::Template(_) | Content::Unwritable(_) => 0,
        };
        let instances: usize = instances.iter().map(size).sum();
        let query = query.as_ref().map_or(0, |query| query.len());
        let fixed = size_of::<Kept>() + self.calls.len() * 2 * size_of::<Planned>();
        let kept = path.len() + query + params + body.len() + response_body.len();
        fixed + kept + urls + instances + fields(headers) + fields(response_headers)
    }

    /// What relative URLs are relative to: the client's request, `http://host/path`.
    pub fn base(&self) -> String {
        self.kept.url()
    }

    /// All of its calls go to one URL, whatever their keys say.
    pub fn redirect(&mut self, url: &str) {
        let url: Arc<str> = url.into();
        for planned in &mut self.calls {
            (planned.target, planned.dynamic) = (Ok(url.clone()), false);
        }
    }

    /// Renders the call at `index`; `moment` is that of its first attempt.
    pub fn render(&self, index: usize, moment: Moment) -> Result<Call, Unresolved> {
        let planned = &self.calls[index];
        let mut url = if planned.dynamic {
            self.kept.with_context(moment, |context| planned.plan.url.resolve(context))?
        } else {
            planned.target.clone()?.to_string()
        };
        let mut headers = HeaderMap::new();
        let mut body = Bytes::new();
        if !planned.plan.carried.is_empty() {
            let carried = self.kept.with_context(moment, |context| {
                let texts = planned.carried(self.example.as_deref());
                texts.map(|(place, template)| (place, template.text(context))).collect()
            });
            carried::put(carried, &mut url, &mut headers);
        }
        if let Some(Payload { media, body: content, .. }) = planned.content() {
            body = self.kept.with_context(moment, |context| content.render(context));
            headers.extend(content.content_type(media).map(|value| (CONTENT_TYPE, value)));
        }
        Ok(Call { method: planned.plan.method.clone(), url, base: self.kept.url(), headers, body })
    }
}

/// `http` or `https`.
fn scheme(text: &str) -> &'static str {
    if text == "https" { "https" } else { "http" }
}

impl Kept {
    fn of(context: &Context<'_>, response: &Response<'_>, needs: Needs) -> Kept {
        let Request { head, base, params, body } = context.request;
        let some = |wanted: bool, headers: &HeaderMap| wanted.then(|| Box::new(headers.clone()));
        let bytes = |wanted: bool, body: &Body| match wanted {
            // A copy of its own: a slice would hold the whole buffer that the connection read into.
            true => Bytes::copy_from_slice(body.bytes()),
            false => Bytes::new(),
        };
        Kept {
            method: head.method.clone(),
            path: head.path.into(),
            query: head.query.map(Into::into),
            headers: some(needs.request_headers, head.headers),
            scheme: scheme(head.scheme),
            authority: head.authority.into(),
            base,
            params: params.iter().map(|(name, value)| ((*name).into(), value.as_ref().into())).collect(),
            body: bytes(needs.request_body, body),
            status: response.status,
            response_headers: some(needs.response, response.headers),
            response_body: bytes(needs.response, response.body),
        }
    }

    fn with_context<T>(&self, moment: Moment, with: impl FnOnce(&Context<'_>) -> T) -> T {
        let params: Vec<_> =
            self.params.iter().map(|(name, value)| (name.as_ref(), Cow::Borrowed(value.as_ref()))).collect();
        let none = HeaderMap::new();
        let (body, response_body) = (Body::new(self.body.clone()), Body::new(self.response_body.clone()));
        let head = Head {
            method: &self.method,
            path: &self.path,
            query: self.query.as_deref(),
            headers: self.headers.as_deref().unwrap_or(&none),
            scheme: self.scheme,
            authority: &self.authority,
        };
        let response = Response {
            status: self.status,
            headers: self.response_headers.as_deref().unwrap_or(&none),
            body: &response_body,
        };
        with(&Context {
            request: Request { head, base: self.base, params: &params, body: &body },
            response: Some(response),
            moment,
        })
    }

    fn url(&self) -> String {
        format!("{}://{}{}", self.scheme, self.authority, self.path)
    }
}
