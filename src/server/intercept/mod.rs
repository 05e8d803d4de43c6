//! The decision in pingora's phases: answered here, passed on, or refused.
//!
//! Each method is one phase of [`pingora::proxy::ProxyHttp`], by its name. Where a request that
//! passes goes is none of this module's: Standin's own proxy says that, or that of another program.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use http::header::{COOKIE, HOST, TRANSFER_ENCODING};
use http::uri::Authority;
use http::{HeaderName, HeaderValue, Method, StatusCode, Version};
use pingora::Result;
use pingora::http::{RequestHeader, ResponseHeader};
use pingora::prelude::{Error, ErrorType, Session};
use pingora::proxy::FailToProxy;

use self::drift::{Bounds, Drift};
use self::exchange::Read;
use self::failure::Failure;
use self::hold::Hold;
use super::callbacks::Callbacks;
use super::flight::{Flight, InFlight};
use super::in_force::InForce;
use super::journal::{Ending, Journal, Reason, Recording};
use super::live::Cell;
use super::loops::{CDN_LOOP, Loops};
use super::metrics::{Metrics, Source, UNLISTED};
use super::upstream::Upstream;
use crate::config::{Changes, Limits, Mode};
use crate::mock::message::{Body, Head, Moment};
use crate::mock::problem::{self, Problem};
use crate::mock::violation::{self, Side};
use crate::mock::{Answer, Found, Hit, Need, Operation};

mod change;

mod drift;

mod exchange;

pub mod failure;

mod hold;

/// Decides requests and answers them: one for all connections of a proxy.
pub struct Intercept {
    pub live: Arc<Cell<InForce>>,
    pub metrics: Arc<Metrics>,
    pub callbacks: Callbacks,
    pub journal: Journal,
    pub in_flight: InFlight,
    /// Set when the process is about to stop: connections are closed after their answer.
    pub draining: Arc<AtomicBool>,
    pub upstreams: Upstreams,
    pub bounds: Bounds,
}

/// Where the requests go that pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Upstreams {
    /// To those of the config. What they do not say is 404, 405 or 502.
    Configured,
    /// Where the proxy that Standin is part of says.
    Theirs,
}

/// What is known of one request.
pub struct Ctx {
    live: Arc<InForce>,
    started: Instant,
    source: Source,
    /// The number of the operation, if a document lists it.
    operation: Option<usize>,
    hold: Option<Hold>,
    fallback: Fallback,
    /// What is kept of what passes, if somebody looks at it.
    drift: Option<Box<Drift>>,
    /// What was found of an exchange that did not pass.
    found: drift::Found,
    recording: Recording,
    /// Bytes of the body that are noted already, and come once more when the request passes.
    noted: usize,
    /// The name of the example that answered.
    example: Option<Arc<str>>,
    reason: Option<Reason>,
    _flight: Flight,
}

/// Whether the document may still answer in place of the upstream.
#[derive(Debug)]
enum Fallback {
    No,
    /// With what was read of the request's body, if the answer needs it.
    Ready(Option<Bytes>),
    /// The body is too large to keep.
    TooLarge,
    /// It has.
    Done,
}

/// What the request's head says is to be done.
enum Decision<'m> {
    Mock(Hit<'m>),
    Pass(Option<usize>),
    Refuse(Problem),
}

impl Ctx {
    /// The upstream of the config that the request is for.
    pub fn upstream(&self) -> Option<&Arc<Upstream>> {
        self.live.upstream_of(self.operation)
    }

    /// Notes what was read of the body.
    fn note(&mut self, read: &[u8]) {
        self.recording.request_body(read);
        self.noted = read.len();
    }

    /// What the config changes of what passes: the rules for the operation, then its upstream.
    fn changes(&self) -> impl Iterator<Item = &Changes> {
        let operation = self.operation.and_then(|number| self.live.mocks.operations.get(number));
        let upstream = self.upstream().map(|upstream| &upstream.config.changes);
        operation.map(|operation| &*operation.changes).into_iter().chain(upstream)
    }
}

impl Intercept {
    pub fn new_ctx(&self) -> Ctx {
        let (live, started) = (self.live.current(), Instant::now());
        let recording = self.journal.begin(started, &live.config.journal);
        Ctx {
            live,
            started,
            source: Source::Refused,
            operation: None,
            hold: None,
            fallback: Fallback::No,
            drift: None,
            found: drift::Found::default(),
            recording,
            noted: 0,
            example: None,
            reason: None,
            _flight: self.in_flight.begin(),
        }
    }

    /// True: the request is answered. False: it goes to the upstream.
    ///
    /// # Errors
    ///
    /// The client broke off, or its body can't be read.
    pub async fn request_filter(&self, session: &mut Session, ctx: &mut Ctx) -> Result<bool> {
        let live = ctx.live.clone();
        let limits = &live.config.limits;
        let keepalive = self.keepalive(session, limits);
        session.set_keepalive(keepalive);
        // Without it, pingora takes a next request that comes early for a fault of this one.
        session.set_pipelining_enabled(true);
        session.set_write_timeout(Some(limits.write_timeout));
        if session.req_header().version == Version::HTTP_2 {
            join_crumbs(session.req_header_mut())?;
        }
        match self.decide(session, &live) {
            Decision::Mock(hit) => {
                ctx.operation = Some(hit.number);
                self.hit(session, ctx, &live, &hit).await
            }
            Decision::Pass(operation) => {
                ctx.operation = operation;
                self.pass(session, ctx).await
            }
            Decision::Refuse(problem) => self.refuse(session, ctx, &problem).await.map(|()| true),
        }
    }

    /// A request that passes. What is for Standin only is taken off, and what the config says changed.
    ///
    /// # Errors
    ///
    /// What the config says makes no request.
    pub fn upstream_request_filter(&self, request: &mut RequestHeader, ctx: &mut Ctx) -> Result<()> {
        if let Some(drift) = &mut ctx.drift {
            drift.sent();
        }
        let own: Vec<HeaderName> =
            request.headers.keys().filter(|name| name.as_str().starts_with("x-standin-")).cloned().collect();
        for name in own {
            request.remove_header(&name);
        }
        let loops = self.callbacks.loops();
        if let Some(hops) = loops.value(Loops::before(&request.headers).as_deref()) {
            request.insert_header(CDN_LOOP, hops)?;
        }
        if let Some(fields) = ctx.changes().find_map(|changes| changes.request.as_ref()) {
            change::fields(request, fields)?;
        }
        let prefix = ctx.changes().find_map(|changes| changes.prefix.as_ref());
        prefix.map_or(Ok(()), |prefix| change::path(request, prefix))
    }

    /// A piece of the body of a request that passes; `end` if it is the last. It is noted for the
    /// journal, and to be held against the document.
    pub fn request_body_filter(&self, piece: Option<&Bytes>, end: bool, ctx: &mut Ctx) {
        if let Some(drift) = &mut ctx.drift {
            drift.request_body(piece.map(|piece| &**piece).unwrap_or_default());
            if end {
                drift.request_ended();
            }
        }
        let Some(piece) = piece else { return };
        let known = ctx.noted.min(piece.len());
        ctx.noted -= known;
        ctx.recording.request_body(&piece[known..]);
    }

    /// A piece of the answer of the upstream. It is noted for the journal, and to be held against the
    /// document.
    pub fn response_body_filter(&self, piece: Option<&Bytes>, ctx: &mut Ctx) {
        if let Some(piece) = piece.filter(|_| !matches!(ctx.fallback, Fallback::Done)) {
            ctx.recording.response_body(piece);
            if let Some(drift) = &mut ctx.drift {
                drift.response_body(piece);
            }
        }
    }

    /// The head of the upstream's answer has come. In the mode `fallback` the document may answer in
    /// its place.
    ///
    /// # Errors
    ///
    /// The client broke off.
    pub async fn upstream_response_filter(
        &self,
        session: &mut Session,
        response: &mut ResponseHeader,
        ctx: &mut Ctx,
    ) -> Result<()> {
        // A long answer may have begun before the stop was asked for, so this is looked at again.
        if self.draining.load(Ordering::Relaxed) {
            self.close(session, ctx);
        }
        if !response.status.is_informational() {
            self.missing(session, response.status, ctx).await?;
            self.answered(session, response, ctx);
        }
        let fields = ctx.changes().find_map(|changes| changes.response.as_ref());
        fields.map_or(Ok(()), |fields| change::fields(response, fields))
    }

    /// The upstream gave no answer. In the mode `fallback` the document may answer in its place; none:
    /// the failure is the caller's to tell.
    pub async fn fail_to_proxy(
        &self,
        session: &mut Session,
        error: &Error,
        ctx: &mut Ctx,
    ) -> Option<FailToProxy> {
        if let Some(drift) = &mut ctx.drift {
            drift.broke_off();
        }
        if *error.esource() == pingora::ErrorSource::Downstream {
            return Some(self.client_failed(session, error, ctx).await);
        }
        let done = FailToProxy { error_code: 0, can_reuse_downstream: false };
        if matches!(ctx.fallback, Fallback::Done) {
            return Some(done);
        }
        let failure = Failure::of(error);
        ctx.reason = Some(Reason::Failed(failure.reason));
        let live = ctx.live.clone();
        let operation = ctx.operation.and_then(|number| live.mocks.operations.get(number))?;
        if is_answered(session) || !failure.is_missing(&operation.missing) {
            return None;
        }
        // pingora closes the connection whatever is said.
        self.close(session, ctx);
        match self.fall_back(session, ctx, failure.reason).await {
            Ok(false) => None,
            Ok(true) => Some(done),
            Err(error) => {
                tracing::debug!(%error, "client went away");
                Some(done)
            }
        }
    }

    pub async fn logging(&self, session: &mut Session, ctx: &mut Ctx) {
        if let Some(hold) = ctx.hold.take() {
            let refused = hold.refused();
            if let Some(drift) = ctx.drift.as_mut().filter(|_| hold.judged()) {
                drift.judged();
            }
            hold.release(session);
            if let Some(problem) = refused {
                self.withheld(ctx, *problem);
            }
        }
        self.look_at(session, ctx).await;
        let code = session.response_written().map_or(0, |response| response.status.as_u16());
        let live = &ctx.live;
        let label = ctx.operation.map_or(UNLISTED, |number| &live.mocks.operations[number].label);
        let took = ctx.started.elapsed();
        live.meters.of_operation(ctx.operation).count(&self.metrics, label, ctx.source, code, took);
        tracing::debug!(
            method = %session.req_header().method,
            path = session.req_header().uri.path(),
            operation = label,
            source = ctx.source.as_str(),
            status = code,
            duration_us = took.as_micros(),
            "request"
        );
        let written = session.response_written().filter(|_| is_answered(session));
        let request = session.req_header();
        let ending = Ending {
            method: &request.method,
            target: request.uri.path_and_query().map_or("", |target| target.as_str()),
            request: &request.headers,
            response: written.map(|response| (response.status, &response.headers)),
            source: ctx.source,
            operation: ctx.operation.map(|number| &live.mocks.operations[number].label),
            example: ctx.example.take(),
            reason: ctx.reason.take(),
            violations: violation::listed(&ctx.found.request, &ctx.found.response),
            took,
        };
        self.journal.finish(std::mem::take(&mut ctx.recording), &live.config.journal, ending);
    }

    /// The connection ends with this answer.
    pub fn close(&self, session: &mut Session, ctx: &Ctx) {
        session.set_keepalive(None);
        if let Some(hold) = &ctx.hold {
            hold.close();
        }
    }

    /// Reads the head, and nothing else.
    fn decide<'m>(&self, session: &Session, live: &'m InForce) -> Decision<'m> {
        let request = session.req_header();
        if let Some(problem) = over_limits(request, &live.config.limits).or_else(|| malformed(request)) {
            return Decision::Refuse(problem);
        }
        if self.callbacks.loops().detect(&request.headers) {
            let detail = "it has this process in its `cdn-loop`: an upstream, or where a callback goes, leads back here";
            return Decision::Refuse(Problem::new(problem::LOOP, detail));
        }
        let head = head(session);
        match live.mocks.find(&head) {
            Found::Mock(hit) => Decision::Mock(hit),
            Found::Pass(number) => Decision::Pass(Some(number)),
            Found::Refused(problem) => Decision::Refuse(problem),
            Found::Unlisted | Found::OtherMethods(_) if self.can_pass(live, None) => Decision::Pass(None),
            Found::Unlisted => {
                let detail = format!("no document lists {}, and the config names no upstream", head.path);
                Decision::Refuse(Problem::new(problem::NO_ROUTE, detail))
            }
            Found::OtherMethods(methods) => {
                let detail = format!("{} is listed, but not with {}", head.path, head.method);
                let mut problem = Problem::new(problem::METHOD_NOT_ALLOWED, detail);
                problem.fields.extend(Operation::allow(&methods).map(|allow| (http::header::ALLOW, allow)));
                Decision::Refuse(problem)
            }
        }
    }

    /// Whether there is somewhere for the requests of an operation to go.
    fn can_pass(&self, live: &InForce, operation: Option<usize>) -> bool {
        self.upstreams == Upstreams::Theirs || live.upstream_of(operation).is_some()
    }

    async fn pass(&self, session: &mut Session, ctx: &mut Ctx) -> Result<bool> {
        if self.can_pass(&ctx.live, ctx.operation) {
            ctx.source = Source::Upstream;
            ctx.drift = Drift::of(&ctx.live, &self.bounds, ctx.operation, session.req_header());
            let withholds = ctx.drift.as_ref().is_some_and(|drift| drift.withholds());
            match &ctx.hold {
                Some(_) => {}
                None if withholds => ctx.hold = Some(hold(session, None)),
                None => exchange::bear_half_close(session),
            }
            return Ok(false);
        }
        let detail = "the request is for an upstream, and the config names none for it";
        self.refuse(session, ctx, &Problem::new(problem::UPSTREAM_CONNECT, detail)).await?;
        Ok(true)
    }

    /// Passes a request whose body was read, or not.
    async fn pass_read(&self, session: &mut Session, ctx: &mut Ctx, body: &Body) -> Result<bool> {
        let answered = self.pass(session, ctx).await?;
        if let Some(drift) = ctx.drift.as_mut().filter(|_| !body.is_unread()) {
            drift.read(body.bytes());
        }
        Ok(answered)
    }

    /// An operation whose mode is not `pass`.
    async fn hit(&self, session: &mut Session, ctx: &mut Ctx, live: &InForce, hit: &Hit<'_>) -> Result<bool> {
        let upstream_first = hit.mode == Mode::Fallback && self.can_pass(live, ctx.operation);
        let may_pass = upstream_first || hit.mode != Mode::Fallback && hit.may_pass();
        let mut read = None;
        let need = match hit.needs_body(&head(session)) {
            // What passes first is looked at as it passes.
            Need::Glance if upstream_first => Need::Nothing,
            need => need,
        };
        let mut body = Body::unread();
        if need > Need::Nothing {
            match exchange::read_body(session, live.config.limits.mocked_body).await? {
                Read::Whole(whole) => {
                    ctx.note(&whole);
                    body = Body::new(whole.clone());
                    read = Some(whole);
                }
                Read::Over(begin) if need == Need::Glance => {
                    ctx.note(&begin);
                    read = Some(begin);
                }
                Read::Over(begin) if may_pass => {
                    ctx.note(&begin);
                    ctx.fallback = if upstream_first { Fallback::TooLarge } else { Fallback::No };
                    ctx.hold = Some(hold(session, Some(begin)));
                    return self.pass(session, ctx).await;
                }
                Read::Over(_) => {
                    let limit = live.config.limits.mocked_body;
                    let detail = format!("`limits.mocked_body` is {limit} bytes");
                    let problem = hit.open(&head(session), Problem::new(problem::BODY_TOO_LARGE, detail));
                    return self.refuse(session, ctx, &problem).await.map(|()| true);
                }
            }
        }
        if upstream_first {
            ctx.fallback = Fallback::Ready(read.clone());
            ctx.hold = Some(hold(session, read));
            let answered = self.pass_read(session, ctx, &body).await;
            if hit.is_preflight() {
                // The document says nothing of it: it is of the operation that comes next.
                ctx.drift = None;
            }
            return answered;
        }
        let moment = now();
        match hit.answer(head(session), &body, moment) {
            Ok(Some(answer)) => {
                if body.is_unread() {
                    exchange::leave_body(session).await;
                }
                self.answer(session, ctx, hit, answer, moment).await.map(|()| true)
            }
            Ok(None) => {
                ctx.hold = read.map(|read| hold(session, Some(read)));
                self.pass_read(session, ctx, &body).await
            }
            Err(problem) => {
                if body.is_unread() {
                    exchange::leave_body(session).await;
                }
                self.refuse(session, ctx, &problem).await.map(|()| true)
            }
        }
    }

    /// Answers from the document if the upstream's status says that it has not got it.
    async fn missing(&self, session: &mut Session, status: StatusCode, ctx: &mut Ctx) -> Result<()> {
        if matches!(ctx.fallback, Fallback::No | Fallback::Done) {
            return Ok(());
        }
        let operation = ctx.operation.and_then(|number| ctx.live.mocks.operations.get(number));
        let missing = operation.is_some_and(|operation| operation.missing.status(status));
        if missing && self.fall_back(session, ctx, status.as_str()).await? {
            if let Some(hold) = &ctx.hold {
                hold.answered();
            }
        } else {
            // The client sees this answer now, so no other one may follow.
            ctx.fallback = Fallback::No;
        }
        Ok(())
    }

    /// Answers from the document in place of the upstream. False: the document has nothing, or is not
    /// asked.
    async fn fall_back(&self, session: &mut Session, ctx: &mut Ctx, reason: &str) -> Result<bool> {
        let live = ctx.live.clone();
        let Some(operation) = ctx.operation.and_then(|number| live.mocks.operations.get(number)) else {
            return Ok(false);
        };
        let body = match &ctx.fallback {
            Fallback::Ready(body) => body.clone().map_or_else(Body::unread, Body::new),
            Fallback::TooLarge => {
                self.metrics.fallback_skipped(&operation.label, "body-too-large");
                return Ok(false);
            }
            Fallback::No | Fallback::Done => return Ok(false),
        };
        // The request is still what it was when it came, so this is what was found then.
        let Found::Mock(hit) = live.mocks.find(&head(session)) else { return Ok(false) };
        let moment = now();
        let mut answer = match hit.answer(head(session), &body, moment) {
            Ok(Some(answer)) => answer,
            // The upstream's answer stands.
            Ok(None) | Err(_) => return Ok(false),
        };
        if live.config.reveal
            && let Ok(value) = HeaderValue::from_str(reason)
        {
            answer.headers.insert("x-standin-reason", value);
        }
        self.metrics.fell_back(&operation.label, reason);
        tracing::info!(
            operation = &*operation.label,
            reason,
            method = %session.req_header().method,
            path = session.req_header().uri.path(),
            "the upstream has not got it: answered from the document"
        );
        ctx.reason = Some(Reason::Fallback(reason.to_owned().into()));
        ctx.fallback = Fallback::Done;
        self.answer(session, ctx, &hit, answer, moment).await?;
        Ok(true)
    }

    /// The upstream's own answer has begun, and the client is to get it.
    fn answered(&self, session: &Session, response: &ResponseHeader, ctx: &mut Ctx) {
        let Some(drift) = &mut ctx.drift else { return };
        if matches!(ctx.fallback, Fallback::Done) {
            return;
        }
        let method = &session.req_header().method;
        if let Some(withheld) = drift.answered(&ctx.live, &self.bounds, method, response)
            && let Some(hold) = &ctx.hold
        {
            hold.withhold(withheld);
        }
    }

    /// The client got a problem in place of an answer that is not as the document says.
    fn withheld(&self, ctx: &mut Ctx, problem: Problem) {
        ctx.source = Source::Refused;
        ctx.reason = Some(Reason::Refused(problem.kind.code));
        self.metrics.refused(problem.kind.code);
        let label = ctx.operation.map_or(UNLISTED, |number| &ctx.live.mocks.operations[number].label);
        self.metrics.violated(label, Side::Response, &problem.violations);
        ctx.recording.forget_response();
        ctx.recording.response_body(&problem.render().1);
        ctx.found.response = problem.violations;
    }

    /// Holds what has passed against the document.
    async fn look_at(&self, session: &Session, ctx: &mut Ctx) {
        // What the document answered in place of the upstream was looked at then.
        let Some(drift) = ctx.drift.take().filter(|_| !matches!(ctx.fallback, Fallback::Done)) else {
            return;
        };
        let (live, request) = (ctx.live.clone(), session.req_header());
        let found = self.look(&live, drift, request, scheme(session)).await;
        ctx.found.request = found.request;
        ctx.found.response.extend(found.response);
    }

    /// Writes an answer of the document, and hands its callbacks over.
    async fn answer(
        &self,
        session: &mut Session,
        ctx: &mut Ctx,
        hit: &Hit<'_>,
        answer: Answer,
        moment: Moment,
    ) -> Result<()> {
        ctx.source = Source::Mock;
        let live = ctx.live.clone();
        if let Some(delay) = hit.delay(moment.seed) {
            exchange::wait(session, delay).await?;
        }
        ctx.example = answer.example;
        ctx.found = drift::Found { request: answer.violations, response: answer.flaws };
        drift::count(&self.metrics, &hit.operation.label, &ctx.found);
        if session.req_header().method != Method::HEAD {
            ctx.recording.response_body(&answer.body);
        }
        // The calls go out whether the client waits for the answer or not, and never before it.
        let mut ticket = match answer.chain {
            Some(chain) => {
                let exchange = self.journal.name(&mut ctx.recording);
                let client = exchange::client(session, exchange);
                self.callbacks.keep(chain, client, &live.config.callbacks)
            }
            None => None,
        };
        if let Some(ticket) = &mut ticket {
            ticket.kept().await;
        }
        let written = exchange::write(session, answer.status, answer.headers, answer.body).await;
        drop(ticket);
        written
    }

    /// Answers with a problem of Standin's own.
    pub async fn refuse(&self, session: &mut Session, ctx: &mut Ctx, problem: &Problem) -> Result<()> {
        ctx.reason = Some(Reason::Refused(problem.kind.code));
        self.metrics.refused(problem.kind.code);
        self.note_violations(ctx, problem);
        if matches!(
            problem.status(),
            StatusCode::URI_TOO_LONG
                | StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE
                | StatusCode::PAYLOAD_TOO_LARGE
        ) {
            // What was too much is not read any further.
            session.set_close_on_response_before_downstream_finish(true);
            session.set_keepalive(None);
        }
        exchange::write_problem(session, problem).await
    }

    /// Counts what a problem lists.
    fn note_violations(&self, ctx: &mut Ctx, problem: &Problem) {
        let Some(number) = ctx.operation.filter(|_| !problem.violations.is_empty()) else { return };
        let found = problem.violations.clone();
        ctx.found = match problem.kind {
            problem::RESPONSE_VIOLATION => drift::Found { response: found, ..Default::default() },
            _ => drift::Found { request: found, ..Default::default() },
        };
        drift::count(&self.metrics, &ctx.live.mocks.operations[number].label, &ctx.found);
    }

    /// Answers with a problem, and ends the connection, if no answer has begun.
    pub async fn fail(&self, session: &mut Session, ctx: &Ctx, problem: &Problem) -> FailToProxy {
        if !is_answered(session) {
            self.close(session, ctx);
            if let Err(error) = exchange::write_problem(session, problem).await {
                tracing::debug!(%error, "client went away");
            }
        }
        FailToProxy { error_code: problem.status().as_u16(), can_reuse_downstream: false }
    }

    /// The client broke off, or what it sent can't be read.
    async fn client_failed(&self, session: &mut Session, error: &Error, ctx: &mut Ctx) -> FailToProxy {
        let request = session.req_header();
        tracing::debug!(error = error.etype().as_str(), method = %request.method, path = request.uri.path(), "client failed");
        let gone = matches!(
            error.etype(),
            ErrorType::WriteError
                | ErrorType::ReadError
                | ErrorType::ConnectionClosed
                | ErrorType::WriteTimedout
        );
        if gone || is_answered(session) {
            return FailToProxy { error_code: 0, can_reuse_downstream: false };
        }
        let kind = match error.etype() {
            ErrorType::ReadTimedout => problem::REQUEST_TIMEOUT,
            _ => problem::BAD_REQUEST,
        };
        ctx.reason = Some(Reason::Refused(kind.code));
        self.metrics.refused(kind.code);
        self.fail(session, ctx, &Problem::new(kind, "the request's body is broken or did not arrive")).await
    }

    /// Seconds; none: the connection is closed after the answer.
    fn keepalive(&self, session: &Session, limits: &Limits) -> Option<u64> {
        // pingora has looked at the version, at `connection` and at the framing.
        let may_stay = session.get_keepalive().is_some();
        match may_stay && !self.draining.load(Ordering::Relaxed) {
            true => Some(limits.keepalive.as_secs().max(1)),
            false => None,
        }
    }
}

/// Whether the head of the answer is written. Hints before it (103) are no answer.
fn is_answered(session: &Session) -> bool {
    session.response_written().is_some_and(|response| {
        !response.status.is_informational() || response.status == StatusCode::SWITCHING_PROTOCOLS
    })
}

/// RFC 9113, 8.2.3: HTTP/2 may carry a cookie in crumbs, which are one field to everyone else.
fn join_crumbs(request: &mut RequestHeader) -> Result<()> {
    let crumbs: Vec<&[u8]> = request.headers.get_all(COOKIE).iter().map(HeaderValue::as_bytes).collect();
    if crumbs.len() < 2 {
        return Ok(());
    }
    let cookie = crumbs.join(&b"; "[..]);
    request.insert_header(COOKIE, cookie)
}

/// Takes hold of a session whose request passes.
fn hold(session: &mut Session, read: Option<Bytes>) -> Hold {
    exchange::bear_half_close(session);
    Hold::take(session, read)
}

/// The request's head as the core sees it.
fn head(session: &Session) -> Head<'_> {
    head_of(session.req_header(), scheme(session))
}

fn scheme(session: &Session) -> &'static str {
    let secure = session.digest().is_some_and(|digest| digest.ssl_digest.is_some());
    if secure { "https" } else { "http" }
}

fn head_of<'r>(request: &'r RequestHeader, scheme: &'r str) -> Head<'r> {
    let host = request.headers.get(HOST).and_then(|host| host.to_str().ok());
    Head {
        method: &request.method,
        path: request.uri.path(),
        query: request.uri.query(),
        headers: &request.headers,
        scheme,
        authority: request.uri.authority().map(Authority::as_str).or(host).unwrap_or(""),
    }
}

fn over_limits(request: &RequestHeader, limits: &Limits) -> Option<Problem> {
    let target = request.raw_path().len();
    if target > limits.uri {
        let detail = format!("the target has {target} bytes, and `limits.uri` is {}", limits.uri);
        return Some(Problem::new(problem::URI_TOO_LONG, detail));
    }
    let fields = request.headers.len();
    let size: usize = request.headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 4).sum();
    if fields > limits.headers || size > limits.header {
        let detail = format!(
            "the header section has {fields} fields in {size} bytes; `limits.headers` is {} and `limits.header` is {}",
            limits.headers, limits.header
        );
        return Some(Problem::new(problem::HEADER_TOO_LARGE, detail));
    }
    None
}

/// What pingora lets through, but servers read differently (RFC 9112, 3.2).
fn malformed(request: &RequestHeader) -> Option<Problem> {
    let problem = |detail: &str| Some(Problem::new(problem::BAD_REQUEST, detail));
    let target = request.raw_path();
    let begins = |with: &str| {
        target.get(..with.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(with.as_bytes()))
    };
    let all = target == b"*" && request.method == Method::OPTIONS;
    if !["/", "http://", "https://"].into_iter().any(begins) && !all {
        return problem("the request target begins neither with `/` nor with `http://`");
    }
    // Other codings would be the next hop's to take off, and pingora says only that it is chunked.
    let chunked = |value: &HeaderValue| value.as_bytes().eq_ignore_ascii_case(b"chunked");
    let mut codings = request.headers.get_all(TRANSFER_ENCODING).iter();
    if codings.next().is_some_and(|first| !chunked(first) || codings.next().is_some()) {
        return problem("the request's `transfer-encoding` is not `chunked`");
    }
    match request.headers.get(HOST) {
        None if request.version == Version::HTTP_11 => problem("the request has no `host`"),
        Some(host) if !host.is_empty() && Authority::try_from(host.as_bytes()).is_err() => {
            problem("the request's `host` is no host")
        }
        _ => None,
    }
}

/// This moment, and chance for one answer.
fn now() -> Moment {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO);
    Moment { now: i64::try_from(since.as_millis()).unwrap_or(i64::MAX), seed: fastrand::u64(..) }
}
