//! Standin's own proxy: what is not answered here goes to the upstreams of the config.
//!
//! pingora's phases, with the decision in front: [`Intercept`] says which requests pass; here is
//! where they go, streamed, with as few changes as a proxy may make.

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use bytes::Bytes;
use http::header::{EXPECT, HOST, TRANSFER_ENCODING};
use http::{StatusCode, Version};
use pingora::http::{RequestHeader, ResponseHeader};
use pingora::prelude::{Error, ErrorType, HttpPeer, ProxyHttp, Session};
use pingora::proxy::FailToProxy;
use pingora::{ErrorSource, Result};

use super::intercept::failure::Failure;
use super::intercept::{self, Intercept};
use super::upstream::{Tries, Upstream};
use crate::config::Host;
use crate::mock::problem::Problem;

mod forward;

/// What is left of a body that the upstream did not wait for is read for this long.
const DRAIN: Duration = Duration::from_secs(5);

/// Each one renews the upstream's time, as 102 is meant to; but for this many there is no reason.
const MOST_HINTS: u32 = 10_000;

/// The proxy of the data port: one for all its connections.
pub struct Proxy {
    pub intercept: Intercept,
}

/// What is known of one request.
pub struct Ctx {
    intercept: intercept::Ctx,
    upstream: Option<Arc<Upstream>>,
    /// When the upstream was asked; none once it has answered.
    asked: Option<Instant>,
    tries: Option<Tries>,
    /// Informational answers that have come.
    hints: u32,
}

#[async_trait]
impl ProxyHttp for Proxy {
    type CTX = Ctx;

    fn new_ctx(&self) -> Ctx {
        Ctx { intercept: self.intercept.new_ctx(), upstream: None, asked: None, tries: None, hints: 0 }
    }

    /// pingora would add its compression here; Standin leaves bodies alone.
    fn init_downstream_modules(&self, _modules: &mut pingora::modules::http::HttpModules) {}

    async fn request_filter(&self, session: &mut Session, ctx: &mut Ctx) -> Result<bool> {
        if self.intercept.request_filter(session, &mut ctx.intercept).await? {
            return Ok(true);
        }
        ctx.upstream = ctx.intercept.upstream().cloned();
        Ok(false)
    }

    async fn upstream_peer(&self, session: &mut Session, ctx: &mut Ctx) -> Result<Box<HttpPeer>> {
        let upstream = ctx.upstream.as_ref().ok_or_else(|| Error::new(ErrorType::InternalError))?;
        let peer = ctx.tries.get_or_insert_with(|| Tries::of(upstream.clone())).peer(session)?;
        ctx.asked = Some(Instant::now());
        Ok(peer)
    }

    async fn request_body_filter(
        &self,
        _session: &mut Session,
        body: &mut Option<Bytes>,
        end: bool,
        ctx: &mut Ctx,
    ) -> Result<()> {
        self.intercept.request_body_filter(body.as_ref(), end, &mut ctx.intercept);
        Ok(())
    }

    fn response_body_filter(
        &self,
        _session: &mut Session,
        body: &mut Option<Bytes>,
        _end: bool,
        ctx: &mut Ctx,
    ) -> Result<Option<Duration>> {
        self.intercept.response_body_filter(body.as_ref(), &mut ctx.intercept);
        Ok(None)
    }

    async fn upstream_request_filter(
        &self,
        session: &mut Session,
        request: &mut RequestHeader,
        ctx: &mut Ctx,
    ) -> Result<()> {
        forward::request(session, request)?;
        if request.version == Version::HTTP_2 && request.remove_header(&EXPECT).is_some() {
            // pingora passes no leave of an HTTP/2 upstream on, so it is given here.
            await_body(session);
            session.write_continue_response().await.map_err(Error::into_down)?;
        }
        let own = ctx.upstream.as_ref().filter(|upstream| upstream.config.host == Host::Upstream);
        if let Some(authority) = own.and(ctx.tries.as_ref()).and_then(Tries::authority) {
            request.insert_header(HOST, authority)?;
        }
        self.intercept.upstream_request_filter(request, &mut ctx.intercept)
    }

    async fn upstream_response_filter(
        &self,
        session: &mut Session,
        response: &mut ResponseHeader,
        ctx: &mut Ctx,
    ) -> Result<()> {
        if response.status == StatusCode::CONTINUE {
            await_body(session);
        }
        if response.status.is_informational() && response.status != StatusCode::SWITCHING_PROTOCOLS {
            ctx.hints += 1;
            if ctx.hints <= MOST_HINTS {
                return Ok(());
            }
            return Error::e_explain(ErrorType::InvalidHTTPHeader, "it sends hints without an end")
                .map_err(Error::into_up);
        }
        if let (Some(asked), Some(upstream)) = (ctx.asked.take(), &ctx.upstream) {
            self.intercept.metrics.upstream_answered(&upstream.name, asked);
            ctx.tries.iter().for_each(Tries::answered);
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
        self.intercept.upstream_response_filter(session, response, &mut ctx.intercept).await
    }

    /// pingora has framed the answer for HTTP/1.1 by now.
    async fn response_filter(
        &self,
        session: &mut Session,
        response: &mut ResponseHeader,
        ctx: &mut Ctx,
    ) -> Result<()> {
        // RFC 9112, 6.1: an older client can't read chunks; the connection's end is the body's.
        if session.req_header().version < Version::HTTP_11
            && response.remove_header(&TRANSFER_ENCODING).is_some()
        {
            self.intercept.close(session, &ctx.intercept);
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
        let failure = Failure::of(error);
        let upstream = ctx.upstream.as_ref().map_or("", |upstream| upstream.name.as_str());
        if *error.esource() == ErrorSource::Upstream {
            self.intercept.metrics.upstream_failed(upstream, failure.reason);
        }
        if let Some(done) = self.intercept.fail_to_proxy(session, error, &mut ctx.intercept).await {
            return done;
        }
        let request = session.req_header();
        // Neither the query nor what the upstream sent, which may hold secrets.
        tracing::warn!(
            upstream,
            reason = failure.reason,
            error = error.etype().as_str(),
            cause = root(error).map(tracing::field::display),
            method = %request.method,
            path = request.uri.path(),
            "upstream failed"
        );
        let problem = Problem::new(failure.problem, format!("upstream `{upstream}`: {}", failure.detail));
        self.intercept.fail(session, &ctx.intercept, &problem).await
    }

    /// What failed is logged above, once.
    fn suppress_error_log(&self, _session: &Session, _ctx: &Ctx, _error: &Error) -> bool {
        true
    }

    async fn logging(&self, session: &mut Session, _error: Option<&Error>, ctx: &mut Ctx) {
        self.intercept.logging(session, &mut ctx.intercept).await;
    }
}

/// The client has leave to send its body now, so nothing else could be taken for it. pingora would close
/// the connection of who is answered before the body's end, and takes that leave for an answer.
fn await_body(session: &mut Session) {
    session.set_close_on_response_before_downstream_finish(false);
    session.set_total_drain_timeout(Some(DRAIN));
}

/// What the system said, below what pingora made of it; pingora's own words quote what it read.
fn root(error: &Error) -> Option<&std::io::Error> {
    let outermost: &(dyn std::error::Error + 'static) = error;
    std::iter::successors(Some(outermost), |error| error.source()).find_map(|error| error.downcast_ref())
}
