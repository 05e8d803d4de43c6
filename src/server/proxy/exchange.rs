//! Reading a request's body, and writing an answer.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::header::{CONTENT_LENGTH, EXPECT};
use http::{HeaderMap, StatusCode};
use pingora::Result;
use pingora::http::ResponseHeader;
use pingora::prelude::Session;

use crate::mock::Hit;
use crate::mock::message::Body;
use crate::mock::problem::{self, Problem};

/// What is left of a body that nobody needs is read for this long, to keep the connection.
const DRAIN: Duration = Duration::from_secs(5);

/// The body, if the answer depends on it. A body over `limit` bytes is a problem.
pub async fn read_body(session: &mut Session, hit: &Hit<'_>, limit: usize) -> Result<Result<Body, Problem>> {
    if !hit.needs_body() {
        session.set_close_on_response_before_downstream_finish(false);
        session.set_total_drain_timeout(Some(DRAIN));
        return Ok(Ok(Body::default()));
    }
    let headers = &session.req_header().headers;
    let announced: Option<usize> = headers
        .get(CONTENT_LENGTH)
        .and_then(|length| length.to_str().ok())
        .and_then(|length| length.parse().ok());
    if announced.is_some_and(|length| length > limit) {
        return Ok(Err(too_large(limit)));
    }
    if headers.get(EXPECT).is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"100-continue")) {
        session.write_continue_response().await?;
    }
    let mut whole = BytesMut::new();
    while let Some(chunk) = session.read_request_body().await? {
        if whole.len() + chunk.len() > limit {
            return Ok(Err(too_large(limit)));
        }
        whole.extend_from_slice(&chunk);
    }
    Ok(Ok(Body::new(whole.freeze())))
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
        downstream.write_response_header(header).await?;
        return downstream.write_response_body(Bytes::new(), true).await;
    }
    downstream.write_response_header(header).await?;
    downstream.write_response_body(body, true).await
}

pub async fn write_problem(session: &mut Session, problem: &Problem) -> Result<()> {
    let (headers, body) = problem.render();
    let bodyless = session.req_header().method == http::Method::HEAD;
    write(session, problem.status(), headers, body, bodyless).await
}
