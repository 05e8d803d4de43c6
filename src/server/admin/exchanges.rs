//! The journal, as `/api/exchanges` tells it.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::Response;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Admin, problem, reply};
use crate::server::journal::{Excerpt, Filter, Id, Kept, Message, Operation, Outcome, Reason};
use crate::server::metrics::UNLISTED;

/// Exchanges of one page.
const MOST: usize = 1000;

#[derive(Deserialize)]
pub(super) struct Asked {
    operation: Option<String>,
    outcome: Option<String>,
    before: Option<String>,
    limit: Option<String>,
}

pub(super) async fn recent(State(admin): State<Arc<Admin>>, Query(asked): Query<Asked>) -> Response {
    let filter = match filter(asked) {
        Ok(filter) => filter,
        Err(detail) => return problem(StatusCode::BAD_REQUEST, &detail),
    };
    let page = admin.journal.recent(filter).await;
    let calls = calls(&admin, &page.exchanges).await;
    let exchanges: Vec<Value> = page.exchanges.iter().map(|kept| line(kept, &calls)).collect();
    reply(&json!({ "exchanges": exchanges, "next": page.next.map(|id| id.to_string()) }))
}

pub(super) async fn one(State(admin): State<Arc<Admin>>, Path(id): Path<String>) -> Response {
    let found = match id.parse() {
        Ok(id) => admin.journal.one(id).await,
        Err(_) => None,
    };
    let Some(kept) = found else {
        let detail = "the journal has no such exchange (any more); `journal.entries` says how many it keeps";
        return problem(StatusCode::NOT_FOUND, detail);
    };
    let calls = calls(&admin, std::slice::from_ref(&kept)).await;
    let mut whole = line(&kept, &calls);
    whole["request"] = message(&kept.entry.request);
    whole["response"] = kept.entry.response.as_ref().map_or(Value::Null, message);
    reply(&whole)
}

fn filter(asked: Asked) -> Result<Filter, String> {
    let outcome = asked.outcome.map(|word| outcome(&word)).transpose()?;
    let before = asked.before.map(|token| before(&token)).transpose()?;
    let limit = asked.limit.map_or(Ok(100), |number| limit(&number))?;
    let operation = asked.operation.map(|label| match label.as_str() {
        UNLISTED => Operation::Unlisted,
        _ => Operation::Labelled(label),
    });
    Ok(Filter { operation, outcome, before, limit })
}

fn outcome(word: &str) -> Result<Outcome, String> {
    let known = Outcome::ALL.into_iter().find(|(name, _)| *name == word);
    known.map(|(_, outcome)| outcome).ok_or_else(|| {
        format!("`{word}` is no outcome; `{}` are", Outcome::ALL.map(|(name, _)| name).join("`, `"))
    })
}

fn before(token: &str) -> Result<Id, String> {
    token.parse().map_err(|_| format!("`{token}` is no exchange; `before` takes the `next` of a page"))
}

fn limit(number: &str) -> Result<usize, String> {
    let number = number.parse().ok().filter(|number| (1..=MOST).contains(number));
    number.ok_or_else(|| format!("`limit` is a whole number from 1 to {MOST}"))
}

/// The calls that the exchanges started, by exchange, as far as they are still known.
async fn calls(admin: &Admin, exchanges: &[Arc<Kept>]) -> HashMap<String, Vec<Value>> {
    let started = exchanges.iter().filter(|kept| kept.entry.chain);
    let started: HashSet<String> = started.map(|kept| kept.entry.id.to_string()).collect();
    let mut calls: HashMap<String, Vec<Value>> = HashMap::new();
    if started.is_empty() {
        return calls;
    }
    for call in admin.callbacks.of(started).await {
        let shown = json!({
            "id": call.id,
            "callback": call.callback,
            "state": call.state,
            "outcome": call.outcome,
        });
        calls.entry(call.exchange.unwrap_or_default()).or_default().push(shown);
    }
    calls
}

fn line(kept: &Kept, calls: &HashMap<String, Vec<Value>>) -> Value {
    let entry = &kept.entry;
    let id = entry.id.to_string();
    let callbacks = calls.get(&id).map_or(&[][..], Vec::as_slice);
    json!({
        "id": id,
        "at": time(kept.at),
        "method": entry.method.as_str(),
        "target": entry.target,
        "operation": entry.operation,
        "source": entry.source.as_str(),
        "status": entry.status.map(|status| status.as_u16()),
        "example": entry.example,
        "reason": entry.reason.as_ref().map(Reason::as_str),
        "duration": seconds(entry.took),
        "violations": entry.violations,
        "callbacks": callbacks,
    })
}

fn message(message: &Message) -> Value {
    let headers: Vec<Value> =
        message.fields.iter().map(|(name, value)| json!({ "name": name, "value": value })).collect();
    json!({
        "headers": headers,
        "headers_left_out": message.fields.left_out,
        "body": message.body.as_ref().map(body),
    })
}

/// As text, or in base64 if it is not UTF-8.
pub(super) fn body(body: &Excerpt) -> Value {
    let (key, value) = match body.text() {
        Some(text) => ("text", text.to_owned()),
        None => ("base64", STANDARD.encode(&body.bytes)),
    };
    json!({ "length": body.length, "cut": body.is_cut(), key: value })
}

fn time(time: SystemTime) -> Option<String> {
    jiff::Timestamp::try_from(time).ok().map(|time| format!("{time:.3}"))
}

fn seconds(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1e6).round() / 1e6
}
