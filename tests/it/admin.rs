//! Sections 7 and 8: the admin port, and the metrics.

use std::io::Write;
use std::process::{Command, Stdio};

use serde_json::json;

use crate::harness::*;

const JOBS: &str = "
    /jobs/{id}:
      get:
        operationId: getJob
        responses: {'200': {description: ok, content: {application/json: {examples: {a: {value: 1}, b: {value: 2}}}}}}
      delete:
        x-standin: {mode: pass}
        responses: {'204': {description: gone}}
    /jobs:
      post:
        operationId: addJob
        responses: {'201': {description: ok, content: {application/json: {example: {}}}}}
        callbacks:
          done:
            '{$request.query.cb}':
              post: {requestBody: {content: {application/json: {example: {}}}}, responses: {'200': {description: ok}}}
";

#[tokio::test]
async fn a_serving_standin_is_alive_and_ready() {
    let standin = Standin::with().paths(JOBS).start().await;
    for path in ["/healthz", "/readyz"] {
        assert_eq!(standin.admin(get(path)).await.status, 200, "{path}");
    }
    assert_eq!(standin.admin(get("/nowhere")).await.status, 404);
}

#[tokio::test]
async fn status_tells_of_the_documents() {
    let standin = Standin::with().paths(JOBS).start().await;
    let status = standin.status().await;
    assert_eq!(status["version"], env!("CARGO_PKG_VERSION"));
    assert!(!status["uptime"].is_null(), "{status}");
    let document = standin.document("spec.yaml").await;
    assert_eq!(document["title"], "Test");
    assert_eq!(document["version"], "1.0.0");
    assert_eq!(document["state"], "current");
    assert_eq!(document["operations"], 3);
    assert!(document["diagnostics"].is_array(), "{document}");
}

#[tokio::test]
async fn operations_tell_what_is_decided_and_why() {
    let standin = Standin::with().paths(JOBS).start().await;
    let response = standin.admin(get("/api/operations")).await;
    assert_eq!(response.status, 200);
    assert_eq!(response.header("content-type"), Some("application/json"));
    let list = response.json()["operations"].as_array().expect("operations").clone();
    assert_eq!(list.len(), 3);
    let of = |method: &str| list.iter().find(|operation| operation["method"] == method).expect("listed");
    let fields = |method: &str| {
        let of = of(method);
        json!([of["operation"], of["path"], of["mode"], of["examples"], of["callbacks"]])
    };
    assert_eq!(fields("GET"), json!(["getJob", "/jobs/{id}", "mock", 2, 0]));
    assert_eq!(fields("DELETE")[2], "pass");
    assert_eq!(fields("DELETE")[0], "DELETE /jobs/{id}");
    assert_eq!(fields("POST"), json!(["addJob", "/jobs", "mock", 1, 1]));
    for operation in &list {
        assert!(operation["id"].is_string(), "{operation}");
        assert!(operation["decided_by"].is_string(), "{operation}");
        assert!(operation["document"].is_string(), "{operation}");
    }
}

#[tokio::test]
async fn a_foreign_host_is_refused() {
    let standin = Standin::with().paths(JOBS).config("admin: {hosts: [standin.internal]}\n").start().await;
    for path in ["/api/status", "/api/operations", "/api/callbacks", "/api/exchanges"] {
        for host in
            ["evil.example", "localhost.evil.example", "127.0.0.1.evil.example:80", "127.0.0.1@evil.example"]
        {
            let response = standin.admin(get(path).header("Host", host)).await;
            assert!((400..500).contains(&response.status), "{path} of {host}: {}", response.status);
        }
        let port = standin.admin_address().port();
        for host in ["localhost", "LOCALHOST", "127.0.0.1", "[::1]", "10.0.0.1", "standin.internal"] {
            for host in [host.to_owned(), format!("{host}:{port}")] {
                let response = standin.admin(get(path).header("Host", &host)).await;
                assert_eq!(response.status, 200, "{path} of {host}");
            }
        }
    }
    for path in ["/healthz", "/readyz", "/metrics"] {
        let response = standin.admin(get(path).header("Host", "10-0-0-1.pod.cluster.local")).await;
        assert_eq!(response.status, 200, "{path} never needs it");
    }
    let reload = post("/api/reload", "{}").header("Host", "evil.example");
    assert!((400..500).contains(&standin.admin(reload).await.status));
}

/// A form on another page can't send `application/json` without asking first.
#[tokio::test]
async fn changes_need_json() {
    let standin = Standin::with().paths(JOBS).start().await;
    let plain = request("POST", "/api/reload").header("content-type", "text/plain").body(b"{}".to_vec());
    for refused in [plain, request("POST", "/api/reload")] {
        let status = standin.admin(refused).await.status;
        assert!((400..500).contains(&status), "{status}");
    }
    assert_eq!(standin.admin(post("/api/reload", "{}")).await.status, 200);
    let with_charset =
        request("POST", "/api/reload").header("content-type", "application/json; charset=utf-8");
    assert_eq!(standin.admin(with_charset.body(b"{}".to_vec())).await.status, 200);
    assert!((400..500).contains(&standin.admin(get("/api/reload")).await.status));
}

#[tokio::test]
async fn beyond_loopback_it_needs_a_token_to_start() {
    for address in ["0.0.0.0:0", "[::]:0"] {
        let exit = Standin::with()
            .paths(JOBS)
            .without_addresses()
            .args(["--listen", "127.0.0.1:0", "--admin", address])
            .exits()
            .await;
        exit.is(2).says(&["admin", "token"]);
    }
}

#[tokio::test]
async fn the_token_is_asked_for() {
    let config = "
        listen: 127.0.0.1:0
        admin: {address: '0.0.0.0:0', token: 's3cret'}
        specs: [{source: spec.yaml}]
    ";
    let standin =
        Standin::with().file("spec.yaml", &document(JOBS)).config(config).without_addresses().start().await;
    let bearer = |token: &str| get("/api/status").header("Authorization", &format!("Bearer {token}"));
    assert_eq!(standin.admin(get("/api/status")).await.status, 401);
    assert_eq!(standin.admin(bearer("wrong")).await.status, 401);
    assert_eq!(standin.admin(bearer("s3cre")).await.status, 401);
    assert_eq!(standin.admin(bearer("")).await.status, 401);
    assert_eq!(standin.admin(bearer("s3cret")).await.status, 200);
    assert_eq!(standin.admin(post("/api/reload", "{}")).await.status, 401);
    for path in ["/metrics", "/healthz", "/readyz"] {
        assert_eq!(standin.admin(get(path)).await.status, 200, "{path} never needs it");
    }
    assert!(!standin.stderr().contains("s3cret") && !standin.stdout().contains("s3cret"));
}

#[tokio::test]
async fn the_data_port_never_reaches_it() {
    let paths = [
        "/metrics",
        "/healthz",
        "/readyz",
        "/api/status",
        "/api/operations",
        "/api/callbacks",
        "/api/exchanges",
    ];
    let standin = Standin::with().paths(JOBS).start().await;
    for path in paths {
        standin.get(path).await.is_problem(404, "no-route");
    }
    let upstream = Upstream::start().await;
    let standin = Standin::with().paths(JOBS).upstream(upstream.url()).start().await;
    for path in paths {
        standin.get(path).await.is(200, &format!("upstream: GET {path}"));
    }
    assert_eq!(standin.admin(get("/jobs/1")).await.status, 404, "nor the other way round");
}

#[tokio::test]
async fn it_can_be_turned_off() {
    let standin = Standin::with()
        .paths(JOBS)
        .without_addresses()
        .args(["--listen", "127.0.0.1:0", "--admin", "off"])
        .start()
        .await;
    assert_eq!(standin.admin, None, "{}", standin.ready_line);
    standin.get("/jobs/1").await.is(200, "1");
}

/// A Standin that has seen a bit of everything.
async fn busy(receiver: &Receiver, upstream: &Upstream) -> Standin {
    let standin = Standin::with().paths(JOBS).config(FAST).upstream(upstream.url()).start().await;
    for _ in 0..3 {
        standin.get("/jobs/1").await.is(200, "1");
    }
    standin.get("/unlisted").await.is(200, "upstream: GET /unlisted");
    standin.send(delete("/jobs/1")).await.is(200, "upstream: DELETE /jobs/1");
    standin.send(get("/jobs/1").header("accept", "image/png")).await.is_problem(406, "not-acceptable");
    standin.get("//jobs").await.is(200, "upstream: GET //jobs");
    standin.send(post("//jobs", "{}")).await.is_problem(400, "ambiguous-path");
    standin.send(post(&format!("/jobs?cb={}", receiver.url()), "{}")).await.is(201, "{}");
    standin.send(post("/jobs?cb=http://169.254.169.254/", "{}")).await.is(201, "{}");
    standin.send(post("/jobs", "{}")).await.is(201, "{}");
    standin.calls_done(3).await;
    standin
}

#[tokio::test]
async fn metrics_count_what_happened() {
    let (receiver, upstream) = (Receiver::start().await, Upstream::start().await);
    let standin = busy(&receiver, &upstream).await;
    let metrics = standin.metrics().await;
    let requests = |operation: &str, source: &str, code: &str| {
        metrics
            .value("standin_requests_total", &[("operation", operation), ("source", source), ("code", code)])
    };
    assert_eq!(requests("getJob", "mock", "200"), 3.0);
    assert_eq!(requests("getJob", "refused", "406"), 1.0);
    assert_eq!(requests("addJob", "mock", "201"), 3.0);
    assert_eq!(requests("DELETE /jobs/{id}", "upstream", "200"), 1.0);
    assert_eq!(requests("unlisted", "upstream", "200"), 2.0);
    let duration = [("operation", "getJob"), ("source", "mock")];
    assert_eq!(metrics.value("standin_request_duration_seconds_count", &duration), 3.0);
    assert_eq!(metrics.value("standin_upstream_duration_seconds_count", &[("upstream", "default")]), 3.0);
    for outcome in ["delivered", "blocked", "unresolved"] {
        let labels = [("operation", "addJob"), ("callback", "done"), ("outcome", outcome)];
        assert_eq!(metrics.value("standin_callbacks_total", &labels), 1.0, "{outcome}");
    }
    assert_eq!(metrics.value("standin_operations", &[("mode", "mock")]), 2.0);
    assert_eq!(metrics.value("standin_operations", &[("mode", "pass")]), 1.0);
    assert_eq!(metrics.value("standin_spec_last_reload_successful", &[]), 1.0);
    assert!(metrics.has("standin_build_info", &[("version", env!("CARGO_PKG_VERSION"))]));
    assert!(metrics.has("process_resident_memory_bytes", &[]) || !cfg!(target_os = "linux"));
}

#[tokio::test]
async fn promtool_has_nothing_to_say() {
    let (receiver, upstream) = (Receiver::start().await, Upstream::start().await);
    let standin = busy(&receiver, &upstream).await;
    let response = standin.admin(get("/metrics")).await;
    let media_type = response.header("content-type").unwrap_or_default();
    assert!(media_type.starts_with("text/plain"), "{media_type}");
    let mut check = Command::new("promtool");
    check.args(["check", "metrics"]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let Ok(mut promtool) = check.spawn() else {
        // Not on this machine: the strict parser of the harness stands in.
        Metrics::parse(&response.text()).unwrap_or_else(|wrong| panic!("{wrong}"));
        return;
    };
    promtool.stdin.take().expect("piped").write_all(&response.body).expect("promtool reads");
    let output = promtool.wait_with_output().expect("promtool ends");
    let said = [output.stdout, output.stderr].concat();
    assert_eq!(String::from_utf8_lossy(&said), "");
    assert!(output.status.success());
}

#[tokio::test]
async fn labels_never_come_from_traffic() {
    let upstream = Upstream::answering(|_| Reply::new(299, "odd")).await;
    let standin = Standin::with().paths(JOBS).upstream(upstream.url()).start().await;
    for number in 0..30 {
        let marked = format!("/marker-{number}?marker-{number}");
        let sent = request("MARKER", &marked).header("Host", &format!("marker-{number}.example"));
        assert_eq!(standin.send(sent).await.status, 299);
        standin.get(&format!("/jobs/marker-{number}")).await.is(200, "1");
    }
    let text = standin.admin(get("/metrics")).await.text().to_lowercase();
    assert!(!text.contains("marker"), "{text}");
    let metrics = standin.metrics().await;
    let operations = metrics.label_values("operation");
    assert!(operations.contains("unlisted") && operations.contains("getJob"), "{operations:?}");
    let unlisted = [("operation", "unlisted"), ("code", "299")];
    assert_eq!(metrics.value("standin_requests_total", &unlisted), 30.0);
}
