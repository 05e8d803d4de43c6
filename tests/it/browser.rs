//! What browsers need of mocked operations: preflights, answers that scripts may read, and challenges.

use crate::harness::*;

const SPEC: &str = "
    openapi: 3.1.0
    info: {title: Orders, version: '1'}
    components:
      securitySchemes:
        key: {type: apiKey, in: header, name: x-key}
        token: {type: oauth2, flows: {}}
    paths:
      /orders:
        get:
          security: [{key: []}, {token: [read]}]
          responses: {'200': {description: ok, content: {application/json: {example: {orders: []}}}}}
        put: {responses: {'204': {description: ok}}}
      /later:
        put: {x-standin: {mode: fallback}, responses: {'204': {description: ok}}}
        delete: {x-standin: {mode: pass}, responses: {'204': {description: ok}}}
";

const ORIGIN: &str = "https://app.example";

fn preflight(target: &str, method: &str) -> Request {
    let request = request("OPTIONS", target).header("origin", ORIGIN);
    request.header("access-control-request-method", method).header("access-control-request-headers", "x-key")
}

#[track_caller]
fn allows(response: &Response, method: &str) {
    assert_eq!(response.status, 204, "{}", response.text());
    assert_eq!(response.header("access-control-allow-origin"), Some(ORIGIN));
    assert_eq!(response.header("access-control-allow-credentials"), Some("true"));
    assert_eq!(response.header("access-control-allow-methods"), Some(method));
    assert_eq!(response.header("access-control-allow-headers"), Some("x-key"));
}

#[tokio::test]
async fn a_preflight_is_answered_over_http_1_and_http_2() {
    let config = "listen: [{address: '127.0.0.1:0', h2c: true}]\nadmin: 127.0.0.1:0\n\
                  validate: {security: enforce}\n";
    let standin = Standin::with().spec(SPEC).config(config).without_addresses().start().await;
    allows(&standin.send(preflight("/orders", "GET")).await, "GET");
    let http_2 = Http2::open(standin.data).await;
    allows(&http_2.send(&preflight("/orders", "PUT")).await, "PUT");
}

#[tokio::test]
async fn a_401_has_a_challenge_for_each_alternative_and_scripts_may_read_it() {
    let standin = Standin::with().spec(SPEC).args(["--validate", "enforce"]).start().await;
    for method in ["GET", "HEAD"] {
        let response = standin.send(request(method, "/orders").header("origin", ORIGIN)).await;
        assert_eq!(response.status, 401);
        let challenges = response.all("www-authenticate");
        assert_eq!(challenges.len(), 2, "{challenges:?}");
        assert!(challenges[0].starts_with("ApiKey ") && challenges[1].ends_with(r#"scope="read""#));
        assert_eq!(response.header("access-control-allow-origin"), Some(ORIGIN));
    }
    standin.send(get("/orders").header("x-key", "a")).await.is(200, r#"{"orders":[]}"#);
}

#[tokio::test]
async fn a_preflight_for_what_passes_or_may_be_there_is_the_upstream_s() {
    let upstream = Upstream::answering(|received| match received.method.as_str() {
        "OPTIONS" if received.header("access-control-request-method") == Some("DELETE") => {
            Reply::new(200, "theirs")
        }
        _ => Reply::new(405, "not here"),
    })
    .await;
    let standin = Standin::with().spec(SPEC).upstream(upstream.url()).start().await;
    standin.send(preflight("/later", "DELETE")).await.is(200, "theirs");
    assert_eq!(upstream.received().len(), 1);
    allows(&standin.send(preflight("/later", "PUT")).await, "PUT");
    assert_eq!(upstream.received().len(), 2);
    allows(&standin.send(preflight("/orders", "PUT")).await, "PUT");
    assert_eq!(upstream.received().len(), 2);
}

#[tokio::test]
async fn what_the_upstream_says_to_a_preflight_is_held_against_nothing() {
    let upstream = Upstream::answering(|_| Reply::new(200, "theirs")).await;
    let standin = Standin::with()
        .spec(SPEC)
        .upstream(upstream.url())
        .args(["--validate", "enforce", "--validate-response", "enforce"])
        .start()
        .await;
    standin.send(preflight("/later", "PUT")).await.is(200, "theirs");
    assert_eq!(standin.metrics().await.value("standin_violations_total", &[]), 0.0);
}
