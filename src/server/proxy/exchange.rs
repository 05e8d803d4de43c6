//! Reading a request's body, and writing an answer.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::header::{CONTENT_LENGTH, EXPECT};
use http::{HeaderMap, StatusCode, Version};
use pingora::Result;
use pingora::http::{RequestHeader, ResponseHeader};
use pingora::prelude::{Error, Session};

use crate::mock::Hit;
use crate::mock::message::Body;
use crate::mock::problem::{self, Problem};

/// What is left of a body that nobody needs is read for this long, to keep the connection.
const DRAIN: Duration = Duration::from_secs(5);

/// The body, if the answer depends on it. A body over `limit` bytes is a problem.
pub async fn read_body(session: &mut Session, hit: &Hit<'_>, limit: usize) -> Result<Result<Body, Problem>> {
    let expects = expects_continue(session.req_header());
    if !hit.needs_body(&super::head(session)) {
        // Who waits for leave to send a body may send the next request instead: nothing would tell
        // them apart, so that connection is closed.
        if !expects {
            session.set_close_on_response_before_downstream_finish(false);
            session.set_total_drain_timeout(Some(DRAIN));
        }
        return Ok(Ok(Body::default()));
    }
    let announced: Option<usize> = session
        .req_header()
        .headers
        .get(CONTENT_LENGTH)
        .and_then(|length| length.to_str().ok())
        .and_then(|length| length.parse().ok());
    if announced.is_some_and(|length| length > limit) {
        return Ok(Err(too_large(limit)));
    }
    if expects {
        // pingora would take it for an answer before the body's end, and close.
        session.set_close_on_response_before_downstream_finish(false);
        session.write_continue_response().await.map_err(Error::into_down)?;
        session.set_close_on_response_before_downstream_finish(true);
    }
    let mut whole = BytesMut::new();
    while let Some(chunk) = session.read_request_body().await.map_err(Error::into_down)? {
        if whole.len() + chunk.len() > limit {
            return Ok(Err(too_large(limit)));
        }
        whole.extend_from_slice(&chunk);
    }
    Ok(Ok(Body::new(whole.freeze())))
}

/// RFC 9110, 10.1.1: of an HTTP/1.0 client the expectation is ignored.
fn expects_continue(request: &RequestHeader) -> bool {
    let expects = request.headers.get(EXPECT);
    request.version >= Version::HTTP_11
        && expects.is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"100-continue"))
}

fn too_large(limit: usize) -> Problem {
    Problem::new(problem::BODY_TOO_LARGE, format!("`limits.mocked_body` is {limit} bytes"))
}

/// Writes head and body in one go; `bodyless` where a `HEAD` asked.
pub async fn write(
    session: &mut Session,
    status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
    bodyless: bool,
) -> Result<()> {
    let (mut parts, ()) = http::Response::new(()).into_parts();
    parts.status = status;
    parts.headers = headers;
    let header = Box::new(ResponseHeader::from(parts));
    let downstream = &mut session.downstream_session;
    if bodyless || body.is_empty() {
        downstream.write_response_header(header).await.map_err(Error::into_down)?;
        return downstream.write_response_body(Bytes::new(), true).await.map_err(Error::into_down);
    }
    downstream.write_response_header(header).await.map_err(Error::into_down)?;
    downstream.write_response_body(body, true).await.map_err(Error::into_down)
}

pub async fn write_problem(session: &mut Session, problem: &Problem) -> Result<()> {
    let (headers, body) = problem.render();
    let bodyless = session.req_header().method == http::Method::HEAD;
    write(session, problem.status(), headers, body, bodyless).await
}
