//! Section 7: the journal, as the admin port tells it.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::harness::*;

const ORDERS: &str = "
    /orders/{id}:
      get:
        operationId: getOrder
        responses: {'200': {description: ok, content: {application/json: {examples: {small: {value: {n: 1}}}}}}}
    /orders:
      post:
        operationId: addOrder
        responses: {'201': {description: ok, content: {application/json: {examples: {new: {value: {id: 7}}}}}}}
        callbacks:
          shipped:
            '{$request.query.cb}':
              post: {requestBody: {content: {application/json: {example: {}}}}, responses: {'200': {description: ok}}}
    /echo:
      post:
        operationId: echo
        responses: {'200': {description: ok, content: {application/json: {example: '{{ request.body/name }}'}}}}
    /real:
      get:
        operationId: getReal
        x-standin: {mode: pass}
        responses: {'200': {description: ok}}
";

/// The exchanges of a page, as soon as there are so many.
async fn exchanges(standin: &Standin, query: &str, count: usize) -> Vec<Value> {
    let target = format!("/api/exchanges{query}");
    eventually(SOON, &format!("{count} exchanges of {target}"), async || {
        let response = standin.admin(get(&target)).await;
        assert_eq!(response.status, 200, "{}", response.text());
        let list = response.json()["exchanges"].as_array().expect("a list").clone();
        (list.len() == count).then_some(list)
    })
    .await
}

/// An exchange is journalled when it has ended, shortly after its answer has come.
async fn ended(standin: &Standin, target: &str) {
    eventually(SOON, &format!("{target} is the newest exchange"), async || {
        let newest = standin.admin(get("/api/exchanges?limit=1")).await.json();
        (newest["exchanges"][0]["target"] == target).then_some(())
    })
    .await;
}

/// One exchange with everything, the newest.
async fn newest(standin: &Standin, count: usize) -> Value {
    let list = exchanges(standin, "", count).await;
    let id = list[0]["id"].as_str().expect("an id");
    let response = standin.admin(get(&format!("/api/exchanges/{id}"))).await;
    assert_eq!(response.status, 200, "{}", response.text());
    response.json()
}

fn targets(list: &[Value]) -> Vec<&str> {
    list.iter().map(|exchange| exchange["target"].as_str().expect("a target")).collect()
}

/// Value of a header of a message; none if it has none.
fn header<'m>(message: &'m Value, name: &str) -> Option<&'m str> {
    let fields = message["headers"].as_array().expect("headers");
    fields.iter().find(|field| field["name"] == name).and_then(|field| field["value"].as_str())
}

#[tokio::test]
async fn who_answered_what_is_told_newest_first() {
    let upstream = Upstream::start().await;
    let standin = Standin::with().paths(ORDERS).upstream(upstream.url()).start().await;
    standin.get("/orders/1?page=2").await.is(200, r#"{"n":1}"#);
    ended(&standin, "/orders/1?page=2").await;
    standin.get("/real").await.is(200, "upstream: GET /real");
    ended(&standin, "/real").await;
    standin.get("/unlisted").await.is(200, "upstream: GET /unlisted");
    ended(&standin, "/unlisted").await;
    standin.send(get("/orders/1").header("accept", "image/png")).await.is_problem(406, "not-acceptable");
    let list = exchanges(&standin, "", 4).await;
    let fields = |number: usize| {
        let of = &list[number];
        let told = ["method", "target", "operation", "source", "status", "example", "reason"];
        told.iter().map(|name| of[name].clone()).collect::<Value>()
    };
    assert_eq!(fields(0), json!(["GET", "/orders/1", "getOrder", "refused", 406, null, "not-acceptable"]));
    assert_eq!(fields(1), json!(["GET", "/unlisted", null, "upstream", 200, null, null]));
    assert_eq!(fields(2), json!(["GET", "/real", "getReal", "upstream", 200, null, null]));
    assert_eq!(fields(3), json!(["GET", "/orders/1?page=2", "getOrder", "mock", 200, "small", null]));
    for exchange in &list {
        assert!(exchange["duration"].as_f64().is_some_and(|seconds| seconds >= 0.0), "{exchange}");
        assert_eq!((&exchange["violations"], &exchange["callbacks"]), (&json!([]), &json!([])));
        let at = exchange["at"].as_str().expect("a time");
        assert!(at.starts_with("20") && at.ends_with('Z'), "{at}");
    }
    let ids: BTreeSet<_> = list.iter().map(|exchange| exchange["id"].to_string()).collect();
    assert_eq!(ids.len(), 4);
}

#[tokio::test]
async fn a_page_is_by_operation_outcome_and_limit() {
    let closed = ClosedPort::new();
    let standin = Standin::with().paths(ORDERS).upstream(closed.url()).start().await;
    standin.get("/orders/1").await.is(200, r#"{"n":1}"#);
    ended(&standin, "/orders/1").await;
    standin.get("/unlisted").await.is_problem(502, "upstream-connect");
    ended(&standin, "/unlisted").await;
    standin.send(post("//orders", "{}")).await.is_problem(400, "ambiguous-path");
    ended(&standin, "//orders").await;
    standin.get("/orders/2").await.is(200, r#"{"n":1}"#);
    let found = async |query: &str, expected: &[&str]| {
        assert_eq!(targets(&exchanges(&standin, query, expected.len()).await), expected, "{query}");
    };
    found("", &["/orders/2", "//orders", "/unlisted", "/orders/1"]).await;
    found("?operation=getOrder", &["/orders/2", "/orders/1"]).await;
    found("?operation=unlisted", &["//orders", "/unlisted"]).await;
    found("?outcome=mock", &["/orders/2", "/orders/1"]).await;
    found("?outcome=upstream", &["/unlisted"]).await;
    found("?outcome=refused", &["//orders"]).await;
    found("?outcome=error", &["//orders", "/unlisted"]).await;
    found("?outcome=fallback", &[]).await;
    found("?outcome=mock&limit=1", &["/orders/2"]).await;
    let failed = exchanges(&standin, "?outcome=upstream", 1).await;
    assert_eq!((&failed[0]["reason"], &failed[0]["status"]), (&json!("connect"), &json!(502)));
    let mut query = "?limit=3".to_owned();
    let page = standin.admin(get(&format!("/api/exchanges{query}"))).await.json();
    assert_eq!(page["exchanges"].as_array().map(Vec::len), Some(3));
    query += &format!("&before={}", page["next"].as_str().expect("there are more"));
    let page = standin.admin(get(&format!("/api/exchanges{query}"))).await.json();
    assert_eq!(page["exchanges"][0]["target"], "/orders/1");
    assert_eq!(page["next"], Value::Null);
    for (wrong, says) in [
        ("?outcome=lost", "`mock`, `upstream`, `refused`, `fallback`, `error`"),
        ("?limit=0", "1 to 1000"),
        ("?limit=1001", "1 to 1000"),
        ("?before=yesterday", "`next`"),
    ] {
        let response = standin.admin(get(&format!("/api/exchanges{wrong}"))).await;
        assert_eq!(response.status, 400, "{wrong}");
        assert!(response.text().contains(says), "{}", response.text());
    }
    for unknown in ["/api/exchanges/ex_aaaa-1", "/api/exchanges/1"] {
        assert_eq!(standin.admin(get(unknown)).await.status, 404, "{unknown}");
    }
}

#[tokio::test]
async fn an_exchange_has_its_headers_and_bodies_without_secrets() {
    let upstream = Upstream::answering(|_| {
        Reply::new(200, b"\x00\xff".to_vec())
            .header("set-cookie", "session=s3cret")
            .header("x-own", "s3cret")
            .header("etag", "a")
    })
    .await;
    let standin = Standin::with()
        .paths(ORDERS)
        .config("journal: {bodies: 8, redact: [authorization, set-cookie, x-own]}\n")
        .upstream(upstream.url())
        .start()
        .await;
    let request = post("/unlisted", r#"{"name": "Ada"}"#).header("authorization", "Bearer s3cret");
    assert_eq!(standin.send(request).await.status, 200);
    let exchange = newest(&standin, 1).await;
    assert!(!exchange.to_string().contains("s3cret"), "{exchange}");
    let (request, response) = (&exchange["request"], &exchange["response"]);
    assert_eq!(request["body"], json!({"length": 15, "cut": true, "text": r#"{"name":"#}));
    assert_eq!(header(request, "authorization"), Some("[redacted]"));
    assert_eq!(header(request, "content-type"), Some("application/json"));
    assert_eq!(request["headers_left_out"], 0);
    assert_eq!(response["body"], json!({"length": 2, "cut": false, "base64": "AP8="}));
    assert_eq!(header(response, "set-cookie"), Some("[redacted]"));
    assert_eq!(header(response, "x-own"), Some("[redacted]"));
    assert_eq!(header(response, "etag"), Some("a"));

    standin.send(post("/echo", r#"{"name":1}"#)).await.is(200, "1");
    let exchange = newest(&standin, 2).await;
    assert_eq!(exchange["request"]["body"], json!({"length": 10, "cut": true, "text": r#"{"name":"#}));
    assert_eq!(exchange["response"]["body"], json!({"length": 1, "cut": false, "text": "1"}));
    assert_eq!(header(&exchange["response"], "content-type"), Some("application/json"));

    standin.send(head("/orders/1")).await.is(200, "");
    let exchange = newest(&standin, 3).await;
    let empty = json!({"length": 0, "cut": false, "text": ""});
    assert_eq!((&exchange["request"]["body"], &exchange["response"]["body"]), (&empty, &empty));

    standin.send(post("/orders", "{}")).await.is(201, r#"{"id":7}"#);
    let exchange = newest(&standin, 4).await;
    assert_eq!(exchange["request"]["body"], Value::Null, "the operation does not read it");
    assert_eq!(exchange["response"]["body"], json!({"length": 8, "cut": false, "text": r#"{"id":7}"#}));
}

#[tokio::test]
async fn what_is_too_long_is_cut_and_says_so() {
    let standin = Standin::with().paths(ORDERS).start().await;
    let long = format!("/orders/1?q={}", "a".repeat(4000));
    let cookie = "c".repeat(20_000);
    let mut request = get(&long).header("x-cookie", &cookie);
    for number in 0..20 {
        request = request.header(&format!("x-{number}"), &"v".repeat(1000));
    }
    assert_eq!(standin.send(request).await.status, 200);
    let exchange = newest(&standin, 1).await;
    let target = exchange["target"].as_str().expect("a target");
    assert!(target.ends_with("aaa…") && target.len() < 2100, "{target}");
    let request = &exchange["request"];
    let kept = request["headers"].as_array().expect("headers").len();
    let left_out = request["headers_left_out"].as_u64().expect("a number");
    assert!(left_out > 4, "{left_out}");
    assert!(kept > 10 && header(request, "x-cookie").is_none(), "{kept}");
}

#[tokio::test]
async fn an_exchange_and_its_callbacks_name_each_other() {
    let receiver = Receiver::start().await;
    let standin = Standin::with().paths(ORDERS).config(FAST).start().await;
    standin.get("/orders/1").await.is(200, r#"{"n":1}"#);
    ended(&standin, "/orders/1").await;
    let order = format!("/orders?cb={}", receiver.url());
    standin.send(post(&order, "{}")).await.is(201, r#"{"id":7}"#);
    let call = standin.calls_done(1).await.remove(0);
    let list = exchanges(&standin, "", 2).await;
    assert_eq!(call["exchange"], list[0]["id"]);
    let expected =
        json!([{"id": call["id"], "callback": "shipped", "state": "done", "outcome": "delivered"}]);
    assert_eq!(list[0]["callbacks"], expected);
    assert_eq!(list[1]["callbacks"], json!([]));
    assert_eq!(newest(&standin, 2).await["callbacks"], expected);
}

#[tokio::test]
async fn its_keys_change_with_a_reload() {
    let standin = Standin::with()
        .file("spec.yaml", &document(ORDERS))
        .config("specs: [{source: spec.yaml}]\njournal: {entries: 3}\n")
        .start()
        .await;
    let configure = async |journal: &str| {
        standin
            .folder
            .replace("standin.yaml", &format!("specs: [{{source: spec.yaml}}]\njournal: {journal}\n"));
        assert_eq!(standin.reload().await.status, 200);
    };
    let newest_is = async |expected: &[&str]| {
        let what = format!("the journal has {expected:?}");
        eventually(SOON, &what, async || {
            let list = standin.admin(get("/api/exchanges")).await.json()["exchanges"].take();
            (targets(list.as_array().expect("a list")) == expected).then_some(())
        })
        .await;
    };
    for number in 1..=5 {
        let target = format!("/orders/{number}");
        standin.get(&target).await.is(200, r#"{"n":1}"#);
        ended(&standin, &target).await;
    }
    newest_is(&["/orders/5", "/orders/4", "/orders/3"]).await;
    configure("{entries: 2, bodies: 0}").await;
    newest_is(&["/orders/5", "/orders/4"]).await;
    standin.send(get("/orders/6").header("cookie", "a=b")).await.is(200, r#"{"n":1}"#);
    newest_is(&["/orders/6", "/orders/5"]).await;
    let exchange = newest(&standin, 2).await;
    assert_eq!(exchange["response"]["body"], json!({"length": 7, "cut": true, "text": ""}));
    assert_eq!(header(&exchange["request"], "cookie"), Some("[redacted]"));
    configure("{entries: 2, redact: []}").await;
    standin.send(get("/orders/7").header("cookie", "a=b")).await.is(200, r#"{"n":1}"#);
    newest_is(&["/orders/7", "/orders/6"]).await;
    assert_eq!(header(&newest(&standin, 2).await["request"], "cookie"), Some("a=b"));
    configure("{entries: 0}").await;
    standin.get("/orders/8").await.is(200, r#"{"n":1}"#);
    newest_is(&[]).await;
}

/// How many that are depends on the machine; the bound itself has unit tests with a clock of their own.
#[tokio::test]
async fn what_is_not_kept_is_counted() {
    const SENT: usize = 2000;
    let standin = Standin::with().paths(ORDERS).config("journal: {entries: 5000}\n").start().await;
    let mut wire = standin.wire().await;
    for _ in 0..SENT {
        wire.send(&get("/orders/1")).await.is(200, r#"{"n":1}"#);
    }
    eventually(SOON, "each exchange is kept or counted", async || {
        let (mut kept, mut query) = (0, "?limit=1000".to_owned());
        loop {
            let page = standin.admin(get(&format!("/api/exchanges{query}"))).await.json();
            kept += page["exchanges"].as_array().map_or(0, Vec::len);
            let Some(next) = page["next"].as_str() else { break };
            query = format!("?limit=1000&before={next}");
        }
        let left_out = standin.metrics().await.value("standin_journal_skipped_total", &[]);
        (left_out + kept as f64 == SENT as f64).then_some(())
    })
    .await;
}
