//! Starting is in `cli`; this is how it ends.

use std::time::{Duration, Instant};

use crate::harness::*;

const DRAIN: Duration = Duration::from_secs(25);

/// A Standin with one request in flight, which the gate lets end.
async fn in_flight(
    config: &str,
) -> (Standin, Upstream, Gate, tokio::task::JoinHandle<Result<Response, String>>) {
    let gate = Gate::closed();
    let held = gate.clone();
    let upstream = Upstream::answering(move |_| Reply::new(200, "late").after(&held)).await;
    let paths = operation("get", "/mocked", "mock");
    let standin = Standin::with().paths(&paths).config(config).upstream(upstream.url()).start().await;
    let data = standin.data;
    let slow = tokio::spawn(async move { get("/slow").try_to(data).await });
    let arrived = async || (!upstream.received().is_empty()).then_some(());
    eventually(SOON, "the request is in flight", arrived).await;
    (standin, upstream, gate, slow)
}

async fn draining(standin: &Standin) {
    let unready = async || (standin.admin(get("/readyz")).await.status == 503).then_some(());
    eventually(SOON, "readiness is gone", unready).await;
}

#[tokio::test]
async fn what_is_in_flight_ends_with_its_answer() {
    let (mut standin, _upstream, gate, slow) = in_flight("log: {level: info}\n").await;
    standin.signal("TERM");
    draining(&standin).await;
    assert_eq!(standin.admin(get("/healthz")).await.status, 200, "draining is still alive");
    assert!(standin.runs());
    gate.open();
    slow.await.expect("the client").expect("an answer").is(200, "late");
    assert_eq!(standin.wait_exit(Duration::from_secs(5)).await, 0);
}

#[tokio::test]
async fn new_connections_are_not_taken_while_draining() {
    let (mut standin, _upstream, gate, slow) = in_flight("log: {level: info}\n").await;
    standin.signal("TERM");
    draining(&standin).await;
    let refused = async || Wire::try_open(standin.data).await.is_err().then_some(());
    eventually(SOON, "connections are refused", refused).await;
    gate.open();
    slow.await.expect("the client").expect("an answer").is(200, "late");
    assert_eq!(standin.wait_exit(Duration::from_secs(5)).await, 0);
}

#[tokio::test]
async fn an_idle_one_exits_at_once() {
    for signal in ["TERM", "INT"] {
        let mut standin = Standin::with().paths(&operation("get", "/mocked", "mock")).start().await;
        // An idle kept-alive connection is nothing to wait for.
        let mut idle = standin.wire().await;
        idle.send(&get("/mocked")).await.is(200, r#"{"says":"mock"}"#);
        let begun = Instant::now();
        standin.signal(signal);
        assert_eq!(standin.wait_exit(DRAIN / 5).await, 0, "{signal}");
        assert!(begun.elapsed() < Duration::from_secs(3), "{signal}: {:?}", begun.elapsed());
    }
}

#[tokio::test]
async fn callbacks_that_were_not_sent_are_listed_and_not_waited_for() {
    let paths = "
        /orders:
          post:
            operationId: placeOrder
            responses: {'201': {description: ok, content: {application/json: {example: {}}}}}
            callbacks:
              done:
                '{$request.query.cb}':
                  post: {requestBody: {content: {application/json: {example: {}}}}, responses: {'200': {description: ok}}}
    ";
    let receiver = Receiver::start().await;
    let mut standin = Standin::with().paths(paths).config("callbacks: {delay: 5m}\n").start().await;
    for _ in 0..3 {
        standin.send(post(&format!("/orders?cb={}", receiver.url()), "{}")).await.is(201, "{}");
    }
    standin.counts(3.0, "standin_callbacks_pending", &[]).await;
    let logged = standin.stderr().len();
    standin.signal("TERM");
    assert_eq!(standin.wait_exit(DRAIN / 5).await, 0);
    let log = standin.stderr()[logged..].to_owned();
    let line = log.lines().find(|line| line.contains("placeOrder"));
    assert!(line.is_some_and(|line| line.contains('3')), "no line for placeOrder with its count: {log}");
    assert!(receiver.calls().is_empty());
}

#[tokio::test]
async fn a_callback_that_fails_while_it_stops_is_listed() {
    let paths = "
        /orders:
          post:
            operationId: placeOrder
            responses: {'201': {description: ok, content: {application/json: {example: {}}}}}
            callbacks: {done: {'{$request.query.cb}': {post: {responses: {'200': {description: ok}}}}}}
    ";
    let gate = Gate::closed();
    let held = gate.clone();
    let receiver = Receiver::answering(move |_| Reply::new(503, "").after(&held)).await;
    let mut standin = Standin::with().paths(paths).config(FAST).start().await;
    standin.send(post(&format!("/orders?cb={}", receiver.url()), "{}")).await.is(201, "{}");
    receiver.expect(1).await;
    standin.signal("TERM");
    standin.logs(0, &["stopping"]).await;
    gate.open();
    assert_eq!(standin.wait_exit(SOON).await, 0);
    standin.logs(0, &["callbacks were not sent", "placeOrder"]).await;
}

#[tokio::test]
async fn a_second_signal_stops_at_once() {
    for (first, second, code) in [("TERM", "TERM", 143), ("INT", "INT", 130), ("TERM", "INT", 130)] {
        let (mut standin, _upstream, _gate, slow) = in_flight("log: {level: info}\n").await;
        standin.signal(first);
        draining(&standin).await;
        standin.signal(second);
        assert_eq!(standin.wait_exit(Duration::from_secs(5)).await, code, "{first}, then {second}");
        let answer = slow.await.expect("the client");
        assert!(answer.is_err(), "{answer:?}");
    }
}

#[tokio::test]
async fn the_drain_has_an_end_and_a_warning() {
    let (mut standin, _upstream, _gate, slow) = in_flight("shutdown: {drain: 300ms}\n").await;
    let logged = standin.stderr().len();
    let begun = Instant::now();
    standin.signal("TERM");
    assert_eq!(standin.wait_exit(DRAIN / 2).await, 0, "also when the limit cut something");
    assert!(begun.elapsed() >= Duration::from_millis(290), "{:?}", begun.elapsed());
    let log = standin.stderr()[logged..].to_lowercase();
    assert!(log.contains("warn"), "no warning: {log}");
    assert!(!slow.await.expect("the client").is_ok_and(|answer| answer.status == 200));
}

#[tokio::test]
async fn before_the_drain_it_serves_unready() {
    let config = "shutdown: {pre_drain: 2s}\n";
    let paths = operation("get", "/mocked", "mock");
    let mut standin = Standin::with().paths(&paths).config(config).start().await;
    let begun = Instant::now();
    standin.signal("TERM");
    draining(&standin).await;
    standin.get("/mocked").await.is(200, r#"{"says":"mock"}"#);
    assert_eq!(standin.wait_exit(DRAIN / 2).await, 0);
    assert!(begun.elapsed() >= Duration::from_millis(1900), "{:?}", begun.elapsed());
}

/// A connection that was taken, and whose request arrives just after the signal.
#[tokio::test]
async fn a_request_on_its_way_is_answered() {
    let paths = operation("get", "/mocked", "mock");
    let mut standin = Standin::with().paths(&paths).start().await;
    let mut wire = standin.wire().await;
    wire.send(&get("/mocked")).await.is(200, r#"{"says":"mock"}"#);
    standin.signal("TERM");
    standin.logs(0, &["stopping"]).await;
    let last = wire.send(&get("/mocked")).await;
    last.is(200, r#"{"says":"mock"}"#);
    assert_eq!(last.header("connection"), Some("close"));
    assert_eq!(standin.wait_exit(Duration::from_secs(5)).await, 0);
}
