//! The admin port.
//!
//! | | |
//! | --- | --- |
//! | `GET /metrics` | Prometheus text format |
//! | `GET /healthz`, `GET /readyz` | alive; ready to serve |
//! | `GET /api/status` | the documents, their state and their problems |
//! | `GET /api/operations` | the decision table |
//! | `GET /api/callbacks?state=&limit=` | the last calls, newest first |
//! | `GET /api/callbacks/{id}`, `POST /api/callbacks/{id}/retry`, `DELETE /api/callbacks/{id}` | one of them |
//! | `POST /api/callbacks/pause`, `POST /api/callbacks/resume` | nothing goes out meanwhile |
//! | `GET /api/exchanges?operation=&outcome=&before=&limit=` | the journal, newest first |
//! | `GET /api/exchanges/{id}` | one of them, with its headers and bodies |
//! | `POST /api/reload` | read everything again |
//!
//! Its guard: a `Host` that is no name of a stranger (DNS rebinding), a token where one is set, and
//! JSON for what changes something, so that no web page can do it. The first three of the table,
//! which probes and scrapers need, go without.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use serde_json::{Value, json};

use super::callbacks::Callbacks;
use super::in_force::InForce;
use super::journal::Journal;
use super::live::Cell;
use super::metrics::Metrics;
use super::reload;
use crate::config;
use crate::diagnostic::Diagnostic;
use crate::mock::Mocks;

mod callbacks;

mod exchanges;

/// What the admin port tells of.
pub struct Admin {
    pub live: Arc<Cell<InForce>>,
    pub metrics: Arc<Metrics>,
    pub callbacks: Callbacks,
    pub journal: Journal,
    pub reload: reload::Handle,
    pub ready: Arc<AtomicBool>,
    pub started: Instant,
    pub config: config::Admin,
}

pub fn router(admin: Arc<Admin>) -> Router {
    let guarded = Router::new()
        .route("/api/status", get(status))
        .route("/api/operations", get(operations))
        .route("/api/callbacks", get(callbacks::recent))
        .route("/api/callbacks/pause", post(callbacks::pause))
        .route("/api/callbacks/resume", post(callbacks::resume))
        .route("/api/callbacks/{id}", get(callbacks::one).delete(callbacks::cancel))
        .route("/api/callbacks/{id}/retry", post(callbacks::retry))
        .route("/api/exchanges", get(exchanges::recent))
        .route("/api/exchanges/{id}", get(exchanges::one))
        .route("/api/reload", post(reload))
        .fallback(nothing_here)
        .method_not_allowed_fallback(other_method)
        .layer(middleware::from_fn_with_state(admin.clone(), guard));
    Router::new()
        .route("/metrics", get(metrics))
        .route("/healthz", get(healthz))
        .route("/readyz", get(readyz))
        .merge(guarded)
        .with_state(admin)
}

async fn metrics(State(admin): State<Arc<Admin>>) -> Response {
    let callbacks = &admin.callbacks;
    admin.metrics.callbacks_now(callbacks.pending(), callbacks.in_flight(), callbacks.oldest());
    let live = admin.live.current();
    let servers = live.upstreams.iter().map(|(name, upstream)| (name.as_str(), upstream.servers()));
    admin.metrics.upstreams_now(&servers.collect());
    let (text, content_type) = admin.metrics.text();
    ([(header::CONTENT_TYPE, content_type)], text).into_response()
}

async fn healthz() -> &'static str {
    "ok\n"
}

async fn readyz(State(admin): State<Arc<Admin>>) -> Response {
    match admin.ready.load(Ordering::Relaxed) {
        true => "ready\n".into_response(),
        false => (StatusCode::SERVICE_UNAVAILABLE, "not ready\n").into_response(),
    }
}

async fn status(State(admin): State<Arc<Admin>>) -> Response {
    let live = admin.live.current();
    let documents: Vec<Value> = live
        .documents
        .iter()
        .map(|served| {
            json!({
                "source": served.source,
                "title": served.title,
                "version": served.version,
                "state": served.state.as_str(),
                "operations": served.operations,
                "diagnostics": served.diagnostics.iter().map(Diagnostic::to_json).collect::<Vec<_>>(),
            })
        })
        .collect();
    reply(&json!({
        "version": env!("CARGO_PKG_VERSION"),
        "uptime": admin.started.elapsed().as_secs_f64(),
        "reloads": live.version,
        "documents": documents,
    }))
}

async fn operations(State(admin): State<Arc<Admin>>) -> Response {
    reply(&table(&admin.live.current().mocks))
}

/// The decision table, as `standin routes --format json` prints it too.
pub fn table(mocks: &Mocks) -> Value {
    let mut seen = std::collections::HashMap::new();
    let operations: Vec<Value> = mocks
        .operations
        .iter()
        .filter(|operation| operation.routed)
        .map(|operation| {
            // Two documents may have one `operationId`.
            let times = seen.entry(operation.label.clone()).and_modify(|times| *times += 1).or_insert(1);
            let id = if *times == 1 {
                operation.label.to_string()
            } else {
                format!("{}~{times}", operation.label)
            };
            json!({
                "id": id,
                "operation": operation.label,
                "method": operation.method.as_str(),
                "path": operation.template,
                "document": mocks.documents[operation.document].source,
                "mode": operation.mode.as_str(),
                "decided_by": operation.decided_by,
                "examples": operation.examples().count(),
                "callbacks": operation.callbacks().count(),
            })
        })
        .collect();
    json!({ "operations": operations })
}

/// The body means nothing, but what is left unread would cut the answer off where the client closes.
async fn reload(State(admin): State<Arc<Admin>>, _body: Bytes) -> Response {
    let Some(outcome) = admin.reload.now().await else {
        return problem(StatusCode::SERVICE_UNAVAILABLE, "Standin is stopping");
    };
    let status = if outcome.successful { StatusCode::OK } else { StatusCode::UNPROCESSABLE_ENTITY };
    let body = json!({
        "version": outcome.version,
        "diagnostics": outcome.diagnostics.iter().map(Diagnostic::to_json).collect::<Vec<_>>(),
    });
    (status, reply(&body)).into_response()
}

async fn nothing_here() -> Response {
    let detail = "there are /metrics, /healthz, /readyz, /api/status, /api/operations, /api/callbacks, /api/exchanges \
                  and /api/reload";
    problem(StatusCode::NOT_FOUND, detail)
}

async fn other_method() -> Response {
    problem(StatusCode::METHOD_NOT_ALLOWED, "the path has other methods; `allow` lists them")
}

async fn guard(State(admin): State<Arc<Admin>>, request: Request, next: Next) -> Response {
    let headers = request.headers();
    let host = request.uri().authority().map(http::uri::Authority::as_str);
    let host = host.or_else(|| text(headers, header::HOST)).unwrap_or("");
    if !is_own(host, &admin.config.hosts) {
        let detail = format!("the host `{host}` is not this port's; add it to `admin.hosts`");
        return problem(StatusCode::FORBIDDEN, &detail);
    }
    if let Some(token) = &admin.config.token {
        let given = text(headers, header::AUTHORIZATION).and_then(|value| value.strip_prefix("Bearer "));
        if !given.is_some_and(|given| same(given.as_bytes(), token.as_bytes())) {
            let mut response =
                problem(StatusCode::UNAUTHORIZED, "send `authorization: Bearer` with `admin.token`");
            response
                .headers_mut()
                .insert(header::WWW_AUTHENTICATE, header::HeaderValue::from_static("Bearer"));
            return response;
        }
    }
    let changes = !request.method().is_safe();
    let json = text(headers, header::CONTENT_TYPE).is_some_and(|kind| {
        kind.split(';').next().is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/json"))
    });
    if changes && !json {
        return problem(StatusCode::UNSUPPORTED_MEDIA_TYPE, "send `content-type: application/json`");
    }
    next.run(request).await
}

fn text(headers: &HeaderMap, name: header::HeaderName) -> Option<&str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

/// Localhost, an IP literal, or one of the config's names: nothing that a stranger's DNS can point here.
fn is_own(host: &str, names: &[String]) -> bool {
    let port = host.rsplit_once(':').filter(|(_, port)| port.bytes().all(|byte| byte.is_ascii_digit()));
    let name = port.map_or(host, |(name, _)| name);
    let name = name.strip_prefix('[').and_then(|name| name.strip_suffix(']')).unwrap_or(name);
    let name = name.strip_suffix('.').unwrap_or(name);
    name.eq_ignore_ascii_case("localhost")
        || name.parse::<IpAddr>().is_ok()
        || names.iter().any(|own| own.eq_ignore_ascii_case(name) || own.eq_ignore_ascii_case(host))
}

/// Equality that takes as long wherever the first difference is.
fn same(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len() && a.iter().zip(b).fold(0, |difference, (a, b)| difference | (a ^ b)) == 0
}

fn reply(body: &Value) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], body.to_string()).into_response()
}

fn problem(status: StatusCode, detail: &str) -> Response {
    let title = status.canonical_reason().unwrap_or("Error");
    let body = json!({ "type": "about:blank", "title": title, "status": status.as_u16(), "detail": detail });
    (status, [(header::CONTENT_TYPE, "application/problem+json")], body.to_string()).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(host: &str, expected: bool) {
        assert_eq!(is_own(host, &["standin.internal".to_owned()]), expected, "{host}");
    }

    #[test]
    fn a_host_is_localhost_an_address_or_a_name_of_the_config() {
        check("localhost:9900", true);
        check("127.0.0.1:9900", true);
        check("[::1]:9900", true);
        check("standin.internal:9900", true);
        check("evil.example:9900", false);
        check("127.0.0.1.evil.example", false);
        check("[::1]", true);
        check("[::1].evil.example", false);
        check("localhost:evil.example", false);
        check("", false);
    }
}
