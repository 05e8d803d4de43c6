//! The callbacks, as `/api/callbacks` tells of them, and what may be done to one.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, HeaderName, StatusCode};
use axum::response::Response;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Admin, exchanges, problem, reply};
use crate::server::callbacks::{self, Detail, Record, Refused};
use crate::server::journal::Excerpt;

#[derive(Deserialize)]
pub(super) struct Asked {
    state: Option<String>,
    limit: Option<String>,
}

pub(super) async fn recent(State(admin): State<Arc<Admin>>, Query(asked): Query<Asked>) -> Response {
    let state = match asked.state.as_deref() {
        None => None,
        Some("waiting") => Some(callbacks::State::Waiting),
        Some("in-flight") => Some(callbacks::State::InFlight),
        Some("done") => Some(callbacks::State::Done),
        Some(other) => {
            let detail =
                format!("`{other}` is no state of a callback; `waiting`, `in-flight` and `done` are");
            return problem(StatusCode::BAD_REQUEST, &detail);
        }
    };
    let limit = match asked.limit.as_deref().map(str::parse) {
        None => 100,
        Some(Ok(limit)) => limit,
        Some(Err(_)) => return problem(StatusCode::BAD_REQUEST, "`limit` is a whole number"),
    };
    let records = admin.callbacks.recent(state, limit).await;
    reply(&json!({ "callbacks": records, "paused": admin.callbacks.is_paused() }))
}

pub(super) async fn one(State(admin): State<Arc<Admin>>, Path(id): Path<String>) -> Response {
    let Some(Detail { record, call, answer }) = admin.callbacks.one(id).await else {
        return refused(Refused::Unknown);
    };
    let config = admin.live.current().config.clone();
    let journal = &config.journal;
    let mut whole = json!(record);
    whole["request"] = call.map_or(Value::Null, |call| {
        json!({
            "method": call.method.as_str(),
            "headers": fields(&call.headers, &journal.redact),
            "body": excerpt(&call.body, call.body.len() as u64, journal.bodies),
        })
    });
    whole["response"] = answer.map_or(Value::Null, |answer| {
        // Of what was not read to its end only the beginning is known.
        let length = answer.length as u64 + u64::from(!answer.whole);
        json!({
            "status": answer.status.as_u16(),
            "headers": fields(&answer.headers, &journal.redact),
            "body": excerpt(&answer.body, length, journal.bodies),
        })
    });
    reply(&whole)
}

// The bodies mean nothing, but what is left unread would cut the answer off where the client closes.

pub(super) async fn retry(State(admin): State<Arc<Admin>>, Path(id): Path<String>, _body: Bytes) -> Response {
    told(admin.callbacks.retry(id).await)
}

pub(super) async fn cancel(
    State(admin): State<Arc<Admin>>,
    Path(id): Path<String>,
    _body: Bytes,
) -> Response {
    told(admin.callbacks.cancel(id).await)
}

pub(super) async fn pause(State(admin): State<Arc<Admin>>, _body: Bytes) -> Response {
    admin.callbacks.pause(true).await;
    tracing::info!("callbacks are paused");
    reply(&json!({ "paused": true }))
}

pub(super) async fn resume(State(admin): State<Arc<Admin>>, _body: Bytes) -> Response {
    admin.callbacks.pause(false).await;
    tracing::info!("callbacks go out again");
    reply(&json!({ "paused": false }))
}

fn told(done: Result<Record, Refused>) -> Response {
    done.map_or_else(refused, |record| reply(&json!(record)))
}

fn refused(why: Refused) -> Response {
    let status = match why {
        Refused::Unknown => StatusCode::NOT_FOUND,
        _ => StatusCode::CONFLICT,
    };
    problem(status, &why.to_string())
}

fn fields(headers: &HeaderMap, redact: &[HeaderName]) -> Vec<Value> {
    let shown = headers.iter().map(|(name, value)| {
        let redacted = redact.contains(name);
        let value = if redacted { "[redacted]".into() } else { String::from_utf8_lossy(value.as_bytes()) };
        json!({ "name": name.as_str(), "value": value })
    });
    shown.collect()
}

fn excerpt(body: &[u8], length: u64, limit: usize) -> Value {
    exchanges::body(&Excerpt { bytes: body[..body.len().min(limit)].to_vec(), length })
}
