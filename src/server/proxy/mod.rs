//! pingora's phases: intercept or forward.
//!
//! A request's head is decided by the mocks in force. What they answer is written here; everything
//! else goes to the upstream, streamed, with as few changes as a proxy may make.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime};

use async_trait::async_trait;
use http::header::TRANSFER_ENCODING;
use http::uri::Authority;
use http::{Method, StatusCode, Version};
use pingora::http::{RequestHeader, ResponseHeader};
use pingora::prelude::{Error, ErrorType, HttpPeer, ProxyHttp, Session};
use pingora::proxy::FailToProxy;
use pingora::{ErrorSource, Result};

use super::callbacks::{Callbacks, Client};
use super::flight::{Flight, InFlight};
use super::in_force::InForce;
use super::live::Cell;
use super::metrics::{Metrics, Source, UNLISTED};
use super::upstream::{Tries, Upstream};
use crate::config::Limits;
use crate::mock::message::{Head, Moment};
use crate::mock::problem::{self, Problem};
use crate::mock::{Found, Hit, Operation};

mod exchange;

mod forward;

/// The proxy of the data port: one for all its connections.
pub struct Proxy {
    pub live: Arc<Cell<InForce>>,
    pub metrics: Arc<Metrics>,
    pub callbacks: Callbacks,
    pub in_flight: InFlight,
    /// Set when the process is about to stop: connections are closed after their answer.
    pub draining: Arc<AtomicBool>,
}

/// What is known of one request.
pub struct Ctx {
    live: Arc<InForce>,
    started: Instant,
    source: Source,
    /// The number of the operation, if a document lists it.
    operation: Option<usize>,
    upstream: Option<Arc<Upstream>>,
    /// When the upstream was asked; none once it has answered.
    asked: Option<Instant>,
    tries: Option<Tries>,
    _flight: Flight,
}

/// What the request's head says is to be done.
enum Decision<'m> {
    Mock(Hit<'m>),
    Pass(Option<usize>),
    Refuse(Problem),
}

#[async_trait]
impl ProxyHttp for Proxy {
    type CTX = Ctx;

    fn new_ctx(&self) -> Ctx {
        Ctx {
            live: self.live.current(),
            started: Instant::now(),
            source: Source::Refused,
            operation: None,
            upstream: None,
            asked: None,
            tries: None,
            _flight: self.in_flight.begin(),
        }
    }

    /// pingora would add its compression here; Standin leaves bodies alone.
    fn init_downstream_modules(&self, _modules: &mut pingora::modules::http::HttpModules) {}

    async fn request_filter(&self, session: &mut Session, ctx: &mut Ctx) -> Result<bool> {
        let live = ctx.live.clone();
        let limits = &live.config.limits;
        let keepalive = self.keepalive(session, limits);
        session.set_keepalive(keepalive);
        // Without it, pingora takes a next request that comes early for a fault of this one.
        session.set_pipelining_enabled(true);
        session.set_write_timeout(Some(limits.write_timeout));
        match decide(session, &live) {
            Decision::Mock(hit) => {
                ctx.operation = Some(hit.number);
                self.mock(session, ctx, &live, &hit).await?;
            }
            Decision::Pass(operation) => {
                ctx.operation = operation;
                ctx.upstream = live.upstream_of(operation).cloned();
                if ctx.upstream.is_some() {
                    ctx.source = Source::Upstream;
                    return Ok(false);
                }
                let detail = "the operation's mode is `pass`, and the config names no upstream for it";
                self.refuse(session, &Problem::new(problem::UPSTREAM_CONNECT, detail)).await?;
            }
            Decision::Refuse(problem) => self.refuse(session, &problem).await?,
        }
        Ok(true)
    }

    async fn upstream_peer(&self, session: &mut Session, ctx: &mut Ctx) -> Result<Box<HttpPeer>> {
        let upstream = ctx.upstream.as_ref().ok_or_else(|| Error::new(ErrorType::InternalError))?;
        let peer = ctx.tries.get_or_insert_with(|| Tries::of(upstream.clone())).peer(session)?;
        ctx.asked = Some(Instant::now());
        Ok(peer)
    }

    async fn upstream_request_filter(
        &self,
        session: &mut Session,
        request: &mut RequestHeader,
        _ctx: &mut Ctx,
    ) -> Result<()> {
        forward::request(session, request)
    }

    async fn upstream_response_filter(
        &self,
        session: &mut Session,
        response: &mut ResponseHeader,
        ctx: &mut Ctx,
    ) -> Result<()> {
        if let (Some(asked), Some(upstream)) = (ctx.asked.take(), &ctx.upstream) {
            self.metrics.upstream_answered(&upstream.name, asked);
            ctx.tries.iter().for_each(Tries::answered);
        }
        // A long answer may have begun before the stop was asked for, so this is looked at again.
        if self.draining.load(Ordering::Relaxed) {
            session.set_keepalive(None);
        }
        if response.status == StatusCode::SWITCHING_PROTOCOLS {
            if !session.is_upgrade_req() {
                return Error::e_explain(ErrorType::InvalidHTTPHeader, "it switched protocols unasked")
                    .map_err(Error::into_up);
            }
            // What is no longer HTTP may be silent for as long as it likes.
            session.set_read_timeout(None);
        }
        forward::response(response);
        Ok(())
    }

    /// pingora has framed the answer for HTTP/1.1 by now.
    async fn response_filter(
        &self,
        session: &mut Session,
        response: &mut ResponseHeader,
        _ctx: &mut Ctx,
    ) -> Result<()> {
        // RFC 9112, 6.1: an older client can't read chunks; the connection's end is the body's.
        if session.req_header().version < Version::HTTP_11
            && response.remove_header(&TRANSFER_ENCODING).is_some()
        {
            session.set_keepalive(None);
        }
        Ok(())
    }

    /// Before a connection is there nothing was sent, so that any request may try the next address.
    fn fail_to_connect(
        &self,
        _session: &mut Session,
        _peer: &HttpPeer,
        ctx: &mut Ctx,
        mut error: Box<Error>,
    ) -> Box<Error> {
        ctx.tries.iter_mut().for_each(|tries| tries.refused(&mut error));
        error
    }

    /// Only a reused connection that the upstream had closed already is worth another try, and only
    /// for what may be repeated (RFC 9110, 9.2.2): a `POST` is never sent twice.
    fn error_while_proxy(
        &self,
        peer: &HttpPeer,
        session: &mut Session,
        error: Box<Error>,
        _ctx: &mut Ctx,
        client_reused: bool,
    ) -> Box<Error> {
        let mut error = error.more_context(format!("upstream {peer}"));
        let repeatable =
            session.req_header().method.is_idempotent() && !session.as_ref().retry_buffer_truncated();
        match repeatable {
            true => error.retry.decide_reuse(client_reused),
            false => error.set_retry(false),
        }
        error
    }

    async fn fail_to_proxy(&self, session: &mut Session, error: &Error, ctx: &mut Ctx) -> FailToProxy {
        let kind = match error.esource() {
            ErrorSource::Downstream => return self.client_failed(session, error).await,
            _ => forward::kind_of(error),
        };
        let upstream = ctx.upstream.as_ref().map_or("", |upstream| upstream.name.as_str());
        if *error.esource() == ErrorSource::Upstream {
            self.metrics.upstream_failed(upstream, kind.reason);
        }
        let request = session.req_header();
        // Neither the query nor what the upstream sent, which may hold secrets.
        tracing::warn!(
            upstream,
            reason = kind.reason,
            error = error.etype().as_str(),
            cause = root(error).map(tracing::field::display),
            method = %request.method,
            path = request.uri.path(),
            "upstream failed"
        );
        if !is_answered(session) {
            session.set_keepalive(None);
            let problem = Problem::new(kind.problem, format!("upstream `{upstream}`: {}", kind.detail));
            if let Err(error) = exchange::write_problem(session, &problem).await {
                tracing::debug!(%error, "client went away");
            }
        }
        FailToProxy { error_code: problem_status(&kind.problem), can_reuse_downstream: false }
    }

    /// What failed is logged above, once.
    fn suppress_error_log(&self, _session: &Session, _ctx: &Ctx, _error: &Error) -> bool {
        true
    }

    async fn logging(&self, session: &mut Session, _error: Option<&Error>, ctx: &mut Ctx) {
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
    }
}

/// Whether the head of the answer is written. Hints before it (103) are no answer.
fn is_answered(session: &Session) -> bool {
    session.response_written().is_some_and(|response| {
        !response.status.is_informational() || response.status == StatusCode::SWITCHING_PROTOCOLS
    })
}

/// What the system said, below what pingora made of it; pingora's own words quote what it read.
fn root(error: &Error) -> Option<&std::io::Error> {
    let outermost: &(dyn std::error::Error + 'static) = error;
    std::iter::successors(Some(outermost), |error| error.source()).find_map(|error| error.downcast_ref())
}

fn problem_status(kind: &problem::Kind) -> u16 {
    Problem::new(*kind, "").status().as_u16()
}

/// Reads the head, and nothing else.
fn decide<'m>(session: &Session, live: &'m InForce) -> Decision<'m> {
    let request = session.req_header();
    if let Some(problem) = over_limits(request, &live.config.limits).or_else(|| malformed(request)) {
        return Decision::Refuse(problem);
    }
    let head = head(session);
    let has_upstream = live.upstream_of(None).is_some();
    match live.mocks.find(&head) {
        Found::Mock(hit) => Decision::Mock(hit),
        Found::Pass(number) => Decision::Pass(Some(number)),
        Found::Refused(problem) => Decision::Refuse(problem),
        Found::Unlisted | Found::OtherMethods(_) if has_upstream => Decision::Pass(None),
        Found::Unlisted => {
            let detail = format!("no document lists {}, and the config names no upstream", head.path);
            Decision::Refuse(Problem::new(problem::NO_ROUTE, detail))
        }
        Found::OtherMethods(methods) => {
            let detail = format!("{} is listed, but not with {}", head.path, head.method);
            let mut problem = Problem::new(problem::METHOD_NOT_ALLOWED, detail);
            problem.allow = Operation::allow(&methods);
            Decision::Refuse(problem)
        }
    }
}

/// The request's head as the core sees it.
fn head(session: &Session) -> Head<'_> {
    let request = session.req_header();
    let host = request.headers.get(http::header::HOST).and_then(|host| host.to_str().ok());
    let secure = session.digest().is_some_and(|digest| digest.ssl_digest.is_some());
    Head {
        method: &request.method,
        path: request.uri.path(),
        query: request.uri.query(),
        headers: &request.headers,
        scheme: if secure { "https" } else { "http" },
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
    match request.headers.get(http::header::HOST) {
        None if request.version == Version::HTTP_11 => problem("the request has no `host`"),
        Some(host) if !host.is_empty() && Authority::try_from(host.as_bytes()).is_err() => {
            problem("the request's `host` is no host")
        }
        _ => None,
    }
}

impl Proxy {
    /// Seconds; none: the connection is closed after the answer.
    fn keepalive(&self, session: &Session, limits: &Limits) -> Option<u64> {
        // pingora has looked at the version, at `connection` and at the framing.
        let may_stay = session.get_keepalive().is_some();
        match may_stay && !self.draining.load(Ordering::Relaxed) {
            true => Some(limits.keepalive.as_secs().max(1)),
            false => None,
        }
    }

    async fn mock(&self, session: &mut Session, ctx: &mut Ctx, live: &InForce, hit: &Hit<'_>) -> Result<()> {
        let body = match exchange::read_body(session, hit, live.config.limits.mocked_body).await? {
            Ok(body) => body,
            Err(problem) => return self.refuse(session, &problem).await,
        };
        let moment = Moment { now: milliseconds(SystemTime::now()), seed: fastrand::u64(..) };
        let answer = match hit.answer(head(session), &body, moment) {
            Ok(Some(answer)) => answer,
            Ok(None) => {
                let problem = Problem::new(problem::INTERNAL, "a body that was read is not passed yet");
                return self.refuse(session, &problem).await;
            }
            Err(problem) => return self.refuse(session, &problem).await,
        };
        ctx.source = Source::Mock;
        let bodyless = session.req_header().method == Method::HEAD;
        let written = exchange::write(session, answer.status, answer.headers, answer.body, bodyless).await;
        // The calls go out whether the client waited for the answer or not.
        if let Some(chain) = answer.chain {
            let peer =
                session.client_addr().and_then(|address| address.as_inet()).map(std::net::SocketAddr::ip);
            self.callbacks.enqueue(chain, Client { peer, exchange: None }, &live.config.callbacks);
        }
        written
    }

    async fn refuse(&self, session: &mut Session, problem: &Problem) -> Result<()> {
        self.metrics.refused(problem.kind.code);
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

    /// The client broke off, or what it sent can't be read.
    async fn client_failed(&self, session: &mut Session, error: &Error) -> FailToProxy {
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
        self.metrics.refused(kind.code);
        session.set_keepalive(None);
        let problem = Problem::new(kind, "the request's body is broken or did not arrive");
        let _ = exchange::write_problem(session, &problem).await;
        FailToProxy { error_code: problem.status().as_u16(), can_reuse_downstream: false }
    }
}

fn milliseconds(time: SystemTime) -> i64 {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO);
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}
