//! A request of an operation to its answer: whether it is refused, which example, and what goes with it.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};

use super::callback::{self, Chain};
use super::choose::{Asked, Choice, Described, Made};
use super::message::{Body, Context, Head, Moment, Request, Response};
use super::offer::{Making, Offer};
use super::problem::{self, Problem, listed};
use super::reply::Reply;
use super::security::Unauthorized;
use super::violation::{self, Violation};
use super::{Hit, Mocks, Need, Operation, cors};
use crate::config::{Level, Mode};

/// What goes to the client, and what goes out after it.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    /// Also there for a `HEAD`, which does not get it.
    pub body: Bytes,
    /// The name of the example that was chosen; none if it has none.
    pub example: Option<Arc<str>>,
    /// What of the request is not as the document says.
    pub violations: Vec<Violation>,
    /// What of the answer itself is not.
    pub flaws: Vec<Violation>,
    pub chain: Option<Chain>,
}

/// RFC 7240, 3.
const PREFERENCE_APPLIED: HeaderName = HeaderName::from_static("preference-applied");

/// What of the request is not as the document says.
const VIOLATIONS: HeaderName = HeaderName::from_static("x-standin-violations");

/// RFC 9745, 2.1.
const DEPRECATION: HeaderName = HeaderName::from_static("deprecation");

/// A document says that an operation is deprecated, and not since when. The field takes a date, and one
/// that is past says what the document does.
const LONG_SINCE: HeaderValue = HeaderValue::from_static("@0");

impl Hit<'_> {
    /// Whether it is a browser's question before a request (Fetch, 4.8), and no request of the operation.
    pub fn is_preflight(&self) -> bool {
        self.preflight
    }

    /// How long an answer from the document waits: what the request asks for, else the operation's own.
    pub fn delay(&self, seed: u64) -> Option<Duration> {
        self.wait.or_else(|| self.operation.delay.map(|delay| delay.pick(seed)))
    }

    /// Whether the request may be one for the upstream. So one whose body is too large to look at passes,
    /// since no example can be shown to fit it; others get a 413.
    pub fn may_pass(&self) -> bool {
        self.operation.may_ask(self.mode)
    }

    /// What of the request's body the answer, a callback, or that there is an answer at all depends on.
    pub fn needs_body(&self, head: &Head<'_>) -> Need {
        let operation = self.operation;
        if self.preflight {
            return Need::Nothing;
        }
        let asked = self.asked(head).is_some_and(|asked| asked.is_particular());
        let held = self.held_body();
        let decides = operation.leaves_unmatched(self.mode) && !asked;
        if operation.needs_body == Need::Nothing && held == Need::Nothing || !decides {
            return operation.needs_body.max(held);
        }
        let body = Body::default();
        let request = Request { head: *head, base: self.base, params: &self.params, body: &body };
        match operation.exchanges.before_body(&request) {
            None => Need::Whole,
            Some(Choice::Exchange { exchange, reply }) => {
                let (calls, name) = (&operation.callbacks, exchange.name.as_deref());
                let sends = *head.method != Method::HEAD;
                let asks =
                    reply.needs().request_body || sends && callback::need_body(calls, name, reply.status);
                if asks { Need::Whole } else { held }
            }
            Some(_) => Need::Nothing,
        }
    }

    /// What is needed to hold the body against the document.
    fn held_body(&self) -> Need {
        let looks = self.operation.contract.as_ref().is_some_and(|contract| contract.needs_request_body());
        match self.mocks.validate.request {
            Level::Report if looks => Need::Glance,
            Level::Enforce if looks => Need::Whole,
            _ => Need::Nothing,
        }
    }

    fn asked<'r>(&self, head: &Head<'r>) -> Option<Asked<'r>> {
        Asked::of(head).filter(|_| self.mocks.overrides)
    }

    /// None: the request passes to the upstream; in the mode `fallback` the upstream's answer stands. An
    /// answer that the request asks for by name or status is given in every mode.
    ///
    /// # Errors
    ///
    /// What Standin answers instead: nothing is acceptable, or there is nothing to answer with.
    pub fn answer(&self, head: Head<'_>, body: &Body, moment: Moment) -> Result<Option<Answer>, Problem> {
        if self.preflight {
            return Ok(Some(preflight(&head)));
        }
        match self.answer_plainly(head, body, moment) {
            Ok(Some(mut answer)) => {
                if let Some(origin) = self.origin(&head) {
                    cors::open(&mut answer.headers, origin);
                }
                Ok(Some(answer))
            }
            Ok(None) => Ok(None),
            Err(problem) => Err(self.open(&head, problem)),
        }
    }

    /// A problem of this operation, so that a browser's script may read it too.
    pub fn open(&self, head: &Head<'_>, mut problem: Problem) -> Problem {
        if let Some(origin) = self.origin(head) {
            let (mut fields, _) = problem.render();
            let own = fields.clone();
            cors::open(&mut fields, origin);
            let added = fields.iter().filter(|(name, _)| !own.contains_key(*name));
            problem.fields.extend(added.map(|(name, value)| (name.clone(), value.clone())));
        }
        problem
    }

    /// Who asks from elsewhere, where that makes a difference.
    fn origin<'r>(&self, head: &Head<'r>) -> Option<&'r HeaderValue> {
        cors::origin(head).filter(|_| self.mocks.cors)
    }

    fn answer_plainly(&self, head: Head<'_>, body: &Body, moment: Moment) -> Result<Option<Answer>, Problem> {
        let operation = self.operation;
        let request = Request { head, base: self.base, params: &self.params, body };
        let asked = self.asked(&head);
        let seed = asked.as_ref().and_then(|asked| asked.seed).unwrap_or(moment.seed);
        let moment = Moment { seed, ..moment };
        let dynamic = asked.as_ref().and_then(|asked| asked.dynamic).unwrap_or(self.mocks.dynamic);
        let choice = match asked.as_ref().filter(|asked| asked.is_particular()) {
            Some(asked) => {
                operation.exchanges.asked(&Asked { dynamic: Some(dynamic), ..asked.clone() }, &request)
            }
            None => match self.mode {
                Mode::Match => operation.exchanges.full(&request),
                _ if dynamic => operation.exchanges.dynamic(&request),
                _ => operation.exchanges.choose(&request, operation.unmatched),
            },
        };
        // What passes is not refused: the upstream judges it.
        if matches!(choice, Choice::Upstream) {
            return Ok(None);
        }
        let violations = match self.examine(&request) {
            Ok(violations) => violations,
            Err(refusal) => return self.refuse(refusal, &request, moment).map(Some),
        };
        let code = asked.as_ref().and_then(|asked| StatusCode::from_u16(asked.code?).ok());
        let mut answer = self.give(&choice, code, &request, moment)?;
        if let Some(applied) = asked.as_ref().and_then(Asked::applied) {
            answer.headers.insert(PREFERENCE_APPLIED, applied);
        }
        self.tell(&mut answer, violations);
        Ok(Some(answer))
    }

    /// The answer that was chosen; `code` is the status that was asked for.
    pub(super) fn give(
        &self,
        choice: &Choice<'_>,
        code: Option<StatusCode>,
        request: &Request<'_>,
        moment: Moment,
    ) -> Result<Answer, Problem> {
        let operation = self.operation;
        let mut context = Context { request: *request, response: None, moment };
        let made;
        let (reply, example) = match choice {
            Choice::Exchange { exchange, reply } => (*reply, exchange.name.as_ref()),
            Choice::Empty(_, reply) => (*reply, None),
            Choice::Instance(response, offer, how) => {
                let revealed = Some(&*operation.label).filter(|_| self.mocks.revealed);
                let status = response.status.status();
                let Mocks { schemas, room, .. } = self.mocks;
                let making = Making { status, revealed, schemas, room };
                let refuse = |reason: Arc<str>| operation.cannot_generate(response, offer, &reason);
                made = match how {
                    Made::Fixed => offer.fixed(&making).map_err(refuse)?,
                    Made::Random => offer.random(&making, moment).map_err(refuse)?,
                };
                (&*made, None)
            }
            other => return Err(operation.problem(other)),
        };
        if let Some(reason) = reply.unwritable() {
            let detail = format!("{}, response {}: {reason}", operation.label, reply.status.as_u16());
            return Err(Problem::new(problem::CANNOT_GENERATE, detail));
        }
        let status = code.unwrap_or(match choice {
            Choice::Empty(response, _) => response.status.status(),
            _ => reply.status,
        });
        let (mut headers, body) = reply.render(status, &context);
        let flaws = self.flaws(choice, reply, status, &headers, &body)?;
        if operation.deprecated {
            headers.entry(DEPRECATION).or_insert(LONG_SINCE);
        }
        let mut chain = None;
        if !operation.callbacks.is_empty() && *request.head.method != Method::HEAD {
            let answered = Body::new(body.clone());
            context.response = Some(Response { status, headers: &headers, body: &answered });
            let name = example.map(|name| &**name);
            chain = callback::chain(&operation.label, &operation.callbacks, name, &context);
        }
        Ok(Answer { status, headers, body, example: example.cloned(), violations: Vec::new(), flaws, chain })
    }

    /// Adds what was found of the request, and says all that was found.
    fn tell(&self, answer: &mut Answer, violations: Vec<Violation>) {
        let found = !violations.is_empty() || !answer.flaws.is_empty();
        if found && self.mocks.revealed {
            answer.headers.insert(VIOLATIONS, violation::header(&violations, &answer.flaws));
        }
        answer.violations = violations;
    }

    /// Holds an answer against the document that it comes from.
    ///
    /// # Errors
    ///
    /// It is not as the document says, and is not to be given then.
    fn flaws(
        &self,
        choice: &Choice<'_>,
        reply: &Reply,
        status: StatusCode,
        headers: &HeaderMap,
        body: &Bytes,
    ) -> Result<Vec<Violation>, Problem> {
        let (operation, level) = (self.operation, self.mocks.validate.response);
        let Some(contract) = operation.contract.as_ref().filter(|_| level != Level::Off) else {
            return Ok(Vec::new());
        };
        let look = || contract.response(status, headers, Some(body), &self.mocks.schemas);
        let flaws = match choice {
            // Operations share it.
            Choice::Empty(..) => look(),
            _ if status != reply.status => look(),
            _ => reply.flaws(look),
        };
        if level < Level::Enforce || flaws.is_empty() {
            return Ok(flaws);
        }
        let (label, first) = (&operation.label, told(&flaws));
        let mut problem =
            Problem::new(problem::RESPONSE_VIOLATION, format!("the document's answer for {label}: {first}"));
        problem.violations = flaws;
        Err(problem)
    }

    /// Holds the request against the document: what is to be told, or why it is refused.
    fn examine(&self, request: &Request<'_>) -> Result<Vec<Violation>, Refusal> {
        let (operation, validate) = (self.operation, &self.mocks.validate);
        let mut violations = Vec::new();
        if let Some(Err(missing)) = operation.security.as_ref().map(|security| security.check(request)) {
            if validate.security == Level::Enforce {
                return Err(Refusal::Unauthorized(missing));
            }
            violations.push(missing.violation);
        }
        if let Some(contract) = operation.contract.as_ref().filter(|_| validate.request != Level::Off) {
            let found = contract.request(request, &self.mocks.schemas);
            if validate.request == Level::Enforce && !found.is_empty() {
                return Err(Refusal::Invalid(found));
            }
            violations.extend(found);
        }
        Ok(violations)
    }

    /// The document's own response for what is wrong with the request, else a problem.
    fn refuse(&self, refusal: Refusal, request: &Request<'_>, moment: Moment) -> Result<Answer, Problem> {
        let operation = self.operation;
        let (kind, codes, violations, challenges) = match refusal {
            Refusal::Unauthorized(Unauthorized { violation, challenges }) => {
                (problem::UNAUTHORIZED, &[401][..], vec![violation], challenges)
            }
            Refusal::Invalid(found) if found.iter().any(|one| one.place == violation::Place::ContentType) => {
                (problem::UNSUPPORTED_MEDIA_TYPE, &[415][..], found, Vec::new())
            }
            Refusal::Invalid(found) => (problem::INVALID_REQUEST, &[422, 400][..], found, Vec::new()),
        };
        let challenges = challenges.into_iter().map(|challenge| (http::header::WWW_AUTHENTICATE, challenge));
        if let Some((code, choice)) = operation.exchanges.refusal(codes, request)
            && let Ok(mut answer) = self.give(&choice, Some(code), request, moment)
        {
            for (name, value) in challenges {
                answer.headers.append(name, value);
            }
            self.tell(&mut answer, violations);
            return Ok(answer);
        }
        let mut problem = Problem::new(kind, told(&violations));
        problem.fields.extend(challenges);
        problem.violations = violations;
        Err(problem)
    }
}

/// The first of them, for a problem's detail.
fn told(violations: &[Violation]) -> String {
    violations.first().map_or_else(String::new, |Violation { place, path, message, .. }| {
        let at = if path.is_empty() { String::new() } else { format!(" `{path}`") };
        format!("{}{at}: {message}", place.as_str())
    })
}

fn preflight(head: &Head<'_>) -> Answer {
    Answer {
        status: StatusCode::NO_CONTENT,
        headers: cors::preflight(head),
        body: Bytes::new(),
        example: None,
        violations: Vec::new(),
        flaws: Vec::new(),
        chain: None,
    }
}

/// Why a request is not answered as usual.
enum Refusal {
    Unauthorized(Unauthorized),
    Invalid(Vec<Violation>),
}

impl Operation {
    fn cannot_generate(&self, response: &Described, offer: &Offer, reason: &str) -> Problem {
        let (label, status) = (&self.label, response.status);
        let media = &offer.media;
        let detail = format!("{label}, response {status}, {media}: {reason}; give the response an example");
        Problem::new(problem::CANNOT_GENERATE, detail)
    }

    fn problem(&self, choice: &Choice<'_>) -> Problem {
        let label = &self.label;
        match choice {
            Choice::NotAcceptable(there) => {
                let there = there.iter().map(|media| media.as_str());
                let detail = format!("{label} answers as {}", listed(there));
                Problem::new(problem::NOT_ACCEPTABLE, detail)
            }
            Choice::Rejected => {
                let detail = format!("{label} has the examples {}", listed(self.exchanges.names(None)));
                Problem::new(problem::NO_EXAMPLE_FITS, detail)
            }
            Choice::NoSuchCode(code) => {
                let codes: Vec<_> =
                    self.exchanges.responses.iter().map(|response| response.status.to_string()).collect();
                let there = listed(codes.iter().map(String::as_str));
                Problem::new(
                    problem::NO_SUCH_EXAMPLE,
                    format!("{label} has no response {code}; there are {there}"),
                )
            }
            Choice::NoSuchExample(name, within) => {
                let of = within
                    .map_or_else(String::new, |response| format!(" of its response {}", response.status));
                let there = listed(self.exchanges.names(*within));
                let name = listed([name.as_str()].into_iter());
                Problem::new(
                    problem::NO_SUCH_EXAMPLE,
                    format!("{label} has no example `{name}`{of}; there are {there}"),
                )
            }
            _ => Problem::new(
                problem::CANNOT_GENERATE,
                format!(
                    "{label} describes no response; add one to the document, or let `rules` pass the operation"
                ),
            ),
        }
    }
}
