//! `fallback`: the upstream first; where it has not got the endpoint, the document's answer, and never
//! after the client has seen a byte (contract 3.2).

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::harness::*;

const PATHS: &str = "
    /users:
      get:
        operationId: listUsers
        responses:
          '200':
            description: ok
            headers: {x-ours: {schema: {type: string}, example: 'yes'}}
            content: {application/json: {example: {says: document}}}
      post:
        operationId: createUser
        responses:
          '201': {description: ok, content: {application/json: {examples: {made: {value: '{\"name\": {{ request.body/name }}}'}}}}}
        callbacks:
          created:
            '{$request.body#/callback}':
              post:
                requestBody: {content: {application/json: {examples: {made: {value: {event: created}}}}}}
                responses: {'200': {description: ok}}
      delete:
        operationId: dropUsers
        responses: {'204': {description: gone}}
";

const OURS: &str = r#"{"says":"document"}"#;

/// `more` are further keys of the config, `upstream` those of the upstream besides its server.
async fn before(url: &str, upstream: &str, more: &str) -> Standin {
    let config = format!(
        "upstreams: {{default: {{servers: ['{url}'], {upstream}}}}}\nmode: fallback\n\
         callbacks: {{delay: 20ms}}\n{more}\n"
    );
    Standin::with().paths(PATHS).config(&config).start().await
}

/// The document's answer, and why.
#[track_caller]
fn is_ours(answer: &Response, why: &str) {
    answer.is_mock();
    answer.is(200, OURS);
    assert_eq!(answer.header("x-ours"), Some("yes"));
    let reason = answer.header("x-standin-reason").unwrap_or_default();
    assert!(reason.contains(why), "x-standin-reason: {reason:?}, expected {why:?}");
}

/// An upstream that answers with the status that the header `x-want` says, in all sorts of framings.
async fn as_wanted() -> Upstream {
    Upstream::answering(|request| {
        let status = request.header("x-want").and_then(|status| status.parse().ok()).unwrap_or(200);
        let body = match request.header("x-body") {
            Some("none") => Vec::new(),
            Some("large") => vec![b'x'; 1_000_000],
            _ => b"the upstream's".to_vec(),
        };
        let reply = Reply::new(status, body)
            .header("x-theirs", "yes")
            .header("content-type", "text/plain")
            .header("content-language", "de")
            .header("etag", "\"theirs\"")
            .header("set-cookie", "theirs=1");
        if request.header("x-framing") == Some("chunked") { reply.chunked() } else { reply }
    })
    .await
}

fn wanting(method: &str, status: u16) -> Request {
    request(method, "/users").header("x-want", &status.to_string())
}

#[tokio::test]
async fn what_the_upstream_has_not_got_is_answered_and_the_connection_lives_on() {
    let upstream = as_wanted().await;
    let standin = before(&upstream.url(), "", "").await;
    // One connection for all of them.
    let mut wire = standin.wire().await;
    let mut asked = 0;
    for status in [404, 405, 501] {
        for framing in ["length", "chunked"] {
            for body in ["none", "short", "large"] {
                let sent = wanting("GET", status).header("x-framing", framing).header("x-body", body);
                let answer = wire.send(&sent).await;
                is_ours(&answer, &status.to_string());
                for name in ["x-theirs", "etag", "set-cookie", "content-language"] {
                    assert_eq!(answer.header(name), None, "{name} of an answer that nobody gets");
                }
                assert_eq!(answer.header("content-type"), Some("application/json"));
                asked += 1;
            }
        }
    }
    assert_eq!(upstream.received().len(), asked, "once each");
    let labels = [("operation", "listUsers")];
    standin.counts(asked as f64, "standin_fallbacks_total", &labels).await;
    standin.counts(asked as f64, "standin_requests_total", &[labels[0], ("source", "mock")]).await;
    standin.logs(0, &["listUsers", "404"]).await;
}

#[tokio::test]
async fn every_other_answer_is_the_upstreams() {
    let upstream = as_wanted().await;
    let standin = before(&upstream.url(), "", "").await;
    let mut wire = standin.wire().await;
    for status in [200, 201, 204, 301, 304, 400, 401, 403, 410, 500, 502, 503, 504] {
        let answer = wire.send(&wanting("GET", status)).await;
        assert_eq!((answer.status, answer.header("x-theirs")), (status, Some("yes")));
        assert_eq!(answer.header("x-standin-source"), None, "{status}");
    }
    // So is what no document lists.
    let answer = wire.send(&get("/other").header("x-want", "404")).await;
    answer.is(404, "the upstream's");
    standin.counts(0.0, "standin_fallbacks_total", &[]).await;
}

#[tokio::test]
async fn a_head_falls_back_without_a_body() {
    let upstream = as_wanted().await;
    let standin = before(&upstream.url(), "", "").await;
    let mut wire = standin.wire().await;
    for framing in ["length", "chunked"] {
        let answer = wire.send(&wanting("HEAD", 404).header("x-framing", framing)).await;
        answer.is_mock();
        answer.is(200, "");
        assert_eq!(answer.header("content-length"), Some(OURS.len().to_string().as_str()));
        is_ours(&wire.send(&wanting("GET", 404)).await, "404");
    }
}

#[tokio::test]
async fn statuses_without_a_body_may_be_missing_and_may_be_answers() {
    let upstream = as_wanted().await;
    let standin = before(&upstream.url(), "", "missing: [204, 304, 404]").await;
    let mut wire = standin.wire().await;
    for status in [204, 304, 404] {
        is_ours(&wire.send(&wanting("GET", status)).await, &status.to_string());
        let answer = wire.send(&wanting("HEAD", status)).await;
        answer.is_mock();
        answer.is(200, "");
        let gone = wire.send(&wanting("DELETE", status)).await;
        gone.is_mock();
        gone.is(204, "");
        assert_eq!(gone.header("transfer-encoding"), None);
    }
    // What is no longer on the list stands.
    let answer = wire.send(&wanting("GET", 501)).await;
    answer.is(501, "the upstream's");
}

#[tokio::test]
async fn an_upstream_that_is_down_has_not_got_it() {
    let closed = ClosedPort::new();
    let standin = before(&closed.url(), "", "").await;
    is_ours(&standin.get("/users").await, "connect");
    let made = standin.send(post("/users", r#"{"name": "Ada"}"#)).await;
    made.is(201, r#"{"name": "Ada"}"#);
    standin.send(request("DELETE", "/users")).await.is(204, "");
    standin.counts(3.0, "standin_fallbacks_total", &[]).await;
    let standin = before(&closed.url(), "", "missing: [404]").await;
    standin.get("/users").await.is_problem(502, "upstream-connect");
}

#[tokio::test]
async fn a_timeout_is_missing_only_where_it_is_listed() {
    let upstream = RawUpstream::start(|mut stream| async move {
        tokio::io::copy(&mut stream, &mut tokio::io::sink()).await.ok();
    })
    .await;
    let standin = before(&upstream.url(), "response_timeout: 300ms", "missing: [timeout]").await;
    is_ours(&standin.get("/users").await, "timeout");
    standin.send(post("/users", r#"{"name": "Ada"}"#)).await.is(201, r#"{"name": "Ada"}"#);
    let standin = before(&upstream.url(), "response_timeout: 300ms", "").await;
    standin.get("/users").await.is_problem(504, "upstream-timeout");
}

#[tokio::test]
async fn a_reset_is_missing_only_where_it_is_listed() {
    for (said, reason) in [
        ("", "reset"),
        ("HTTP/1.1 200 OK\r\ncontent-", "reset"),
        ("220 smtp.example ESMTP\r\n\r\n", "protocol"),
    ] {
        let upstream = saying(said).await;
        let standin = before(&upstream.url(), "", "missing: [reset]").await;
        is_ours(&standin.get("/users").await, reason);
        standin.send(post("/users", r#"{"name": "Ada"}"#)).await.is(201, r#"{"name": "Ada"}"#);
        let standin = before(&upstream.url(), "", "").await;
        standin.get("/users").await.is_problem(502, "upstream-protocol");
    }
}

/// A client must not get two answers.
#[tokio::test]
async fn after_the_first_byte_there_is_no_other_answer() {
    let missing = "missing: [404, connect, timeout, reset]";
    for said in [
        "HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n12345",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\n12345\r\n",
    ] {
        let upstream = saying(said).await;
        let standin = before(&upstream.url(), "", missing).await;
        let cut = get("/users").try_to(standin.data).await;
        assert!(cut.is_err(), "{said:?} came as {cut:?}");
        standin.counts(0.0, "standin_fallbacks_total", &[]).await;
    }
}

/// The head says it: what becomes of the body of an answer that nobody gets is no matter.
#[tokio::test]
async fn a_missing_answer_may_break_off() {
    for said in [
        "HTTP/1.1 404 Not Found\r\ncontent-length: 10\r\n\r\n12345",
        "HTTP/1.1 404 Not Found\r\ntransfer-encoding: chunked\r\n\r\n5\r\n12345\r\n",
    ] {
        let upstream = saying(said).await;
        let standin = before(&upstream.url(), "", "").await;
        is_ours(&standin.get("/users").await, "404");
    }
}

#[tokio::test]
async fn only_an_answer_from_the_document_sends_its_callbacks() {
    let (upstream, receiver) = (as_wanted().await, Receiver::start().await);
    let standin = before(&upstream.url(), "", "").await;
    let body = format!(r#"{{"name": "Ada", "callback": "{}/hook"}}"#, receiver.url());
    // First the one that must send none, so that its callback would come first.
    let theirs = standin.send(wanting("POST", 200).json(&body)).await;
    assert_eq!(theirs.header("x-theirs"), Some("yes"));
    let ours = standin.send(wanting("POST", 404).json(&body)).await;
    ours.is(201, r#"{"name": "Ada"}"#);
    standin.calls_done(1).await;
    let calls = receiver.expect(1).await;
    assert_eq!(calls.len(), 1);
    assert_eq!(calls[0].text(), r#"{"event":"created"}"#);
    let arrived = upstream.received();
    assert!(arrived.iter().all(|request| request.text() == body), "the upstream got the whole body");
}

#[tokio::test]
async fn an_upstream_of_http_2_may_lack_it_too() {
    let upstream = Upstream::speaking(Speaks::H2c, |request| {
        let status = request.header("x-want").and_then(|status| status.parse().ok()).unwrap_or(200);
        Reply::new(status, "theirs").chunked().trailer("x-theirs", "yes")
    })
    .await;
    let standin = before(&upstream.url(), "", "missing: [404, 204]").await;
    let mut wire = standin.wire().await;
    for method in ["GET", "HEAD"] {
        for status in [404, 204] {
            let answer = wire.send(&wanting(method, status)).await;
            answer.is_mock();
            answer.is(200, if method == "GET" { OURS } else { "" });
        }
    }
    wire.send(&wanting("GET", 200)).await.is(200, "theirs");
}

#[tokio::test]
async fn clients_of_http_2_fall_back_too() {
    let upstream = as_wanted().await;
    let config = format!(
        "listen: [{{address: '127.0.0.1:0', h2c: true}}]\nadmin: 127.0.0.1:0\n\
         upstreams: {{default: {{servers: ['{}']}}}}\nmode: fallback\nmissing: [404, 204]\n",
        upstream.url()
    );
    let standin = Standin::with().paths(PATHS).config(&config).without_addresses().start().await;
    let client = Http2::open(standin.data).await;
    for status in [404, 204] {
        is_ours(&client.send(&wanting("GET", status)).await, &status.to_string());
        client.send(&wanting("HEAD", status)).await.is(200, "");
        client.send(&wanting("DELETE", status)).await.is(204, "");
        client.send(&wanting("POST", status).json(r#"{"name": "Ada"}"#)).await.is(201, r#"{"name": "Ada"}"#);
    }
    client.send(&wanting("GET", 200)).await.is(200, "the upstream's");
}

/// Contract 3.2: without an upstream it is the document's.
#[tokio::test]
async fn without_an_upstream_the_document_answers() {
    let standin = Standin::with().paths(PATHS).args(["--mode", "fallback"]).start().await;
    standin.get("/users").await.is(200, OURS);
    standin.send(post("/users", r#"{"name": "Ada"}"#)).await.is(201, r#"{"name": "Ada"}"#);
}

/// A request may ask for it.
#[tokio::test]
async fn the_request_s_own_mode_counts_first() {
    let upstream = as_wanted().await;
    let standin = Standin::with().paths(PATHS).upstream(upstream.url()).start().await;
    is_ours(&standin.send(wanting("GET", 404).header("x-standin-mode", "fallback")).await, "404");
    standin.send(wanting("GET", 200).header("x-standin-mode", "fallback")).await.is(200, "the upstream's");
    standin.send(wanting("GET", 404).header("x-standin-mode", "pass")).await.is(404, "the upstream's");
    assert_eq!(standin.get("/users").await.header("x-standin-reason"), None);
}

/// Nothing is asked for twice while a document's answer is at hand.
#[tokio::test]
async fn many_at_once_fall_back_each_for_itself() {
    let upstream = as_wanted().await;
    let standin = before(&upstream.url(), "", "").await;
    let clients: Vec<_> = (0..8)
        .map(|client| {
            let address = standin.data;
            tokio::spawn(async move {
                let mut wire = Wire::open(address).await;
                for round in 0..40 {
                    let name = format!("client {client} round {round}");
                    let sent = wanting("POST", 404).json(&format!(r#"{{"name": "{name}"}}"#));
                    wire.send(&sent).await.is(201, &format!(r#"{{"name": "{name}"}}"#));
                }
            })
        })
        .collect();
    for client in clients {
        client.await.expect("each got its own");
    }
    assert_eq!(upstream.received().len(), 320);
}

/// An upstream that reads a request's head, says this and closes.
async fn saying(said: &'static str) -> RawUpstream {
    RawUpstream::start(move |mut stream| async move {
        read_head(&mut stream).await;
        stream.write_all(said.as_bytes()).await.ok();
        stream.shutdown().await.ok();
        // What is left unread would reset what was said.
        let mut sink = tokio::io::sink();
        let rest = tokio::io::copy(&mut stream, &mut sink);
        tokio::time::timeout(Duration::from_secs(1), rest).await.ok();
    })
    .await
}

async fn read_head(stream: &mut TcpStream) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read_u8().await {
            Ok(byte) => head.push(byte),
            Err(_) => return,
        }
    }
}
