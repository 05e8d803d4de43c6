//! Reading a request's body, waiting, and writing an answer.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::header::{CONTENT_LENGTH, EXPECT};
use http::{HeaderMap, Method, StatusCode, Version};
use pingora::Result;
use pingora::http::{RequestHeader, ResponseHeader};
use pingora::prelude::{Error, ErrorType, Session};

use crate::mock::problem::Problem;
use crate::server::callbacks::Client;
use crate::server::field::is_stream;
use crate::server::loops::Loops;

/// What is left of a body that nobody needs is read for this long, to keep the connection.
const DRAIN: Duration = Duration::from_secs(5);

/// And over HTTP/2 up to so many bytes.
const DROPPED: usize = 1 << 20;

/// A client may pause for so long within its body.
const PAUSE: Duration = Duration::from_secs(60);

/// What was read of a body.
pub enum Read {
    Whole(Bytes),
    /// Its beginning: the whole is larger than the limit.
    Over(Bytes),
}

/// What callbacks know of whoever asked. `exchange` is the journal's id.
pub fn client(session: &Session, exchange: Option<Arc<str>>) -> Client {
    let peer = session.client_addr().and_then(|address| address.as_inet()).map(std::net::SocketAddr::ip);
    let headers = &session.req_header().headers;
    // Two of them are none (W3C Trace Context, 3.2).
    let mut traces = headers.get_all("traceparent").iter();
    let trace = traces.next().filter(|_| traces.next().is_none()).and_then(|value| value.to_str().ok());
    Client { peer, exchange, trace: trace.map(Into::into), loops: Loops::before(headers).map(Into::into) }
}

/// Nobody needs the body: it does not end the connection.
pub async fn leave_body(session: &mut Session) {
    if session.as_downstream().is_http2() {
        let _ = tokio::time::timeout(DRAIN, drop_body(session)).await;
        return;
    }
    // Who waits for leave to send a body may send the next request instead: nothing would tell
    // them apart, so that connection is closed.
    if !expects_continue(session.req_header()) {
        session.set_close_on_response_before_downstream_finish(false);
        session.set_total_drain_timeout(Some(DRAIN));
    }
}

/// RFC 9113, 8.1 lets a server answer before the body's end and reset the stream, which some clients
/// take for a failure.
async fn drop_body(session: &mut Session) {
    let mut dropped = 0;
    while dropped < DROPPED && !session.is_body_done() {
        match session.read_request_body().await {
            Ok(Some(piece)) => dropped += piece.len(),
            Ok(None) | Err(_) => return,
        }
    }
}

/// Reads the body, no further than a chunk over `limit` bytes. What says before that it is larger is
/// not read at all, nor asked for.
pub async fn read_body(session: &mut Session, limit: usize) -> Result<Read> {
    let announced: Option<usize> = session
        .req_header()
        .headers
        .get(CONTENT_LENGTH)
        .and_then(|length| length.to_str().ok())
        .and_then(|length| length.parse().ok());
    if announced.is_some_and(|length| length > limit) {
        return Ok(Read::Over(Bytes::new()));
    }
    if expects_continue(session.req_header()) {
        // pingora would take it for an answer before the body's end, and close.
        session.set_close_on_response_before_downstream_finish(false);
        session.write_continue_response().await.map_err(Error::into_down)?;
        session.set_close_on_response_before_downstream_finish(true);
        // Who gets the request next need not ask again.
        session.req_header_mut().remove_header(&EXPECT);
    }
    let mut whole = BytesMut::new();
    while let Some(chunk) = read_piece(session).await.map_err(Error::into_down)? {
        whole.extend_from_slice(&chunk);
        if whole.len() > limit {
            return Ok(Read::Over(whole.freeze()));
        }
    }
    Ok(Read::Whole(whole.freeze()))
}

/// pingora bears a pause of 60 seconds over HTTP/1, and any over HTTP/2.
async fn read_piece(session: &mut Session) -> Result<Option<Bytes>> {
    if !session.as_downstream().is_http2() {
        return session.read_request_body().await;
    }
    match tokio::time::timeout(PAUSE, session.read_request_body()).await {
        Ok(read) => read,
        Err(_) => Err(Error::new(ErrorType::ReadTimedout)),
    }
}

/// RFC 9110, 10.1.1: of an HTTP/1.0 client the expectation is ignored. It may stand among others, which
/// mean nothing.
fn expects_continue(request: &RequestHeader) -> bool {
    let values = request.headers.get_all(EXPECT).iter();
    let mut expects = values.flat_map(|value| value.as_bytes().split(|byte| *byte == b','));
    request.version >= Version::HTTP_11
        && expects.any(|one| one.trim_ascii().eq_ignore_ascii_case(b"100-continue"))
}

/// A client that closes its sending side still waits for the answer. Only of a stream, which may be
/// silent for long, nothing else would tell that the client is gone.
pub fn bear_half_close(session: &mut Session) {
    let abort = is_stream(session.req_header());
    session.set_abort_on_close(abort);
}

/// Waits, unless the client goes away before; what it still sends of its body is dropped.
pub async fn wait(session: &mut Session, duration: Duration) -> Result<()> {
    // Whoever waits for leave to send a body is silent for as long.
    let pause = session.downstream_session.get_read_timeout();
    session.set_read_timeout(None);
    let gone = async {
        loop {
            let done = session.is_body_done();
            if let Err(error) = session.downstream_session.read_body_or_idle(done).await {
                return error.into_down();
            }
        }
    };
    let waited = tokio::select! {
        () = tokio::time::sleep(duration) => Ok(()),
        error = gone => Err(error),
    };
    session.set_read_timeout(pause);
    waited
}

/// Writes head and body in one go.
pub async fn write(session: &mut Session, status: StatusCode, headers: HeaderMap, body: Bytes) -> Result<()> {
    let (mut parts, ()) = http::Response::new(()).into_parts();
    parts.status = status;
    parts.headers = headers;
    let header = Box::new(ResponseHeader::from(parts));
    let body = if session.req_header().method == Method::HEAD { Bytes::new() } else { body };
    let downstream = &mut session.downstream_session;
    downstream.write_response_header(header).await.map_err(Error::into_down)?;
    downstream.write_response_body(body, true).await.map_err(Error::into_down)
}

pub async fn write_problem(session: &mut Session, problem: &Problem) -> Result<()> {
    let (headers, body) = problem.render();
    write(session, problem.status(), headers, body).await
}
