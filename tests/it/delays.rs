//! Delays of answers: kept, cancelled with the client, and without a thread each.

use std::time::{Duration, Instant};

use crate::harness::*;

const MOCKED: &str = "
    /mocked:
      get: {operationId: mocked, responses: {'200': {description: ok, content: {text/plain: {example: mock}}}}}
      post:
        operationId: posted
        responses: {'200': {description: ok, content: {text/plain: {example: 'got {{ request.body }}'}}}}
";

async fn with_delay(delay: &str) -> Standin {
    let config = format!(
        "listen: [{{address: '127.0.0.1:0', h2c: true}}]\nadmin: 127.0.0.1:0\n\
         rules: [{{operations: [mocked, posted], delay: {delay}}}]\n"
    );
    Standin::with().paths(MOCKED).config(&config).without_addresses().start().await
}

#[tokio::test]
async fn an_answer_waits_as_long_as_its_rule_says() {
    let standin = with_delay("300ms").await;
    let mut wire = standin.wire().await;
    for sent in [
        get("/mocked"),
        head("/mocked"),
        request("POST", "/mocked").header("content-type", "text/plain").body(b"x".to_vec()),
    ] {
        let begun = Instant::now();
        let answer = wire.send(&sent).await;
        let took = begun.elapsed();
        assert_eq!(answer.status, 200);
        assert!(took >= Duration::from_millis(300), "{}: {took:?}", sent.method);
        assert!(took < Duration::from_secs(5), "{}: {took:?}", sent.method);
    }
}

#[tokio::test]
async fn a_request_may_ask_for_a_delay() {
    let standin = Standin::with().paths(MOCKED).start().await;
    for header in ["x-standin-delay", "x-microcks-delay"] {
        for value in ["200ms", "200"] {
            let begun = Instant::now();
            standin.send(get("/mocked").header(header, value)).await.is(200, "mock");
            assert!(begun.elapsed() >= Duration::from_millis(200), "{header}: {value}");
        }
    }
}

/// The wait is longer than the test has patience for.
#[tokio::test]
async fn a_client_that_goes_away_ends_its_wait() {
    let standin = with_delay("2m").await;
    let mut left = Vec::new();
    for sent in [
        "GET /mocked HTTP/1.1\r\nHost: a\r\n\r\n",
        "POST /mocked HTTP/1.1\r\nHost: a\r\nContent-Type: text/plain\r\nContent-Length: 5\r\n\r\nhello",
    ] {
        let mut wire = standin.wire().await;
        wire.write(sent.as_bytes()).await;
        left.push(wire);
    }
    let waiting = Duration::from_millis(300);
    holds_for(waiting, "both wait", || left.iter().all(|wire| wire.reader.buffer().is_empty())).await;
    for wire in left {
        // A reset: a client that has only closed its writing side still wants its answer.
        let stream: &tokio::net::TcpStream = wire.writer.as_ref();
        stream.set_zero_linger().expect("an option");
    }
    standin.counts(1.0, "standin_requests_total", &[("operation", "mocked")]).await;
    standin.counts(1.0, "standin_requests_total", &[("operation", "posted")]).await;
    standin.counts(0.0, "standin_connections_active", &[]).await;
}

#[tokio::test]
async fn a_stream_that_is_reset_ends_its_wait() {
    let standin = with_delay("2m").await;
    let client = Http2::open(standin.data).await;
    let mut left = client.begin(&get("/mocked"), Ends::Head).await.expect("a stream");
    holds_for(Duration::from_millis(300), "it waits", || true).await;
    left.body.send_reset(h2::Reason::CANCEL);
    drop(left);
    standin.counts(1.0, "standin_requests_total", &[("operation", "mocked")]).await;
}

/// Twenty connections with a hundred streams each, since files are few where tests run.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_thousand_answers_wait_at_once() {
    const DELAY: Duration = Duration::from_secs(2);
    let standin = with_delay("2s").await;
    standin.get("/mocked").await.is(200, "mock");
    let threads = standin.threads();
    let mut clients = Vec::new();
    for _ in 0..20 {
        clients.push(Http2::open(standin.data).await);
    }
    let begun = Instant::now();
    let mut waiting = Vec::new();
    for client in &clients {
        for _ in 0..100 {
            waiting.push(client.begin(&get("/mocked"), Ends::Head).await.expect("a stream").answer);
        }
    }
    let asked = begun.elapsed();
    let middle = standin.threads();
    for answer in waiting {
        let (answer, _) = within(SOON, "an answer", read_answer(answer)).await.expect("an answer");
        answer.is(200, "mock");
    }
    let took = begun.elapsed();
    // One after the other they would take an hour.
    assert!(took >= DELAY && took < asked + DELAY + Duration::from_secs(5), "{took:?}, asked in {asked:?}");
    assert_eq!(middle, threads, "a thread for none of them");
    drop(clients);
    standin.counts(0.0, "standin_connections_active", &[]).await;
}
