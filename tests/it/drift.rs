//! What passes is held against the document: reported without a delay or a change, or, at `enforce`,
//! held back until it was looked at.

use std::io::Write;

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::harness::*;

const PATHS: &str = "
    /users/{id}:
      parameters: [{name: id, in: path, required: true, schema: {type: integer}}]
      get: &get
        operationId: readUser
        responses:
          '200':
            description: ok
            headers: {x-n: {schema: {type: integer}}}
            content:
              application/json: {schema: {type: object, required: [id], properties: {id: {type: integer}}}}
          '204': {description: none}
      post:
        operationId: writeUser
        requestBody: {content: {application/json: {schema: {type: object, required: [name]}}}}
        responses: {'200': {description: ok}}
    /events:
      get:
        operationId: events
        responses: {'200': {description: ok, content: {text/event-stream: {schema: {type: string}}}}}
    /own:
      get:
        operationId: own
        x-standin: {mode: mock}
        responses:
          '200': {description: ok, content: {application/json: {schema: {type: integer}, example: text}}}
";

async fn passing(url: &str, more: &str) -> Standin {
    let config = format!(
        "listen: [{{address: '127.0.0.1:0', h2c: true}}]\nadmin: 127.0.0.1:0\nupstreams: {{default: {{servers: ['{url}'], response_timeout: 1s}}}}\nmode: pass\n{more}\n"
    );
    Standin::with().without_addresses().paths(PATHS).config(&config).start().await
}

/// An upstream that answers as the header `x-want` says: `STATUS BODY`.
async fn as_wanted(speaks: Speaks) -> Upstream {
    Upstream::speaking(speaks, |request| {
        let want = request.header("x-want").unwrap_or("200 {\"id\":1}").to_owned();
        let (status, body) = want.split_once(' ').unwrap_or((&want, ""));
        let body = match body.strip_prefix('*') {
            Some(length) => {
                let length: usize = length.parse().expect("a length");
                format!("{{\"x\":\"{}\"}}", "x".repeat(length - 8)).into_bytes()
            }
            None => body.as_bytes().to_vec(),
        };
        let gzip = request.header("x-encode") == Some("gzip");
        let body = if gzip { gzipped(&body) } else { body };
        let reply = Reply::new(status.parse().expect("a status"), body);
        let reply = reply.header("content-type", request.header("x-type").unwrap_or("application/json"));
        let reply = if gzip { reply.header("content-encoding", "gzip") } else { reply };
        if request.header("x-framing") == Some("chunked") { reply.chunked() } else { reply }
    })
    .await
}

fn gzipped(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(bytes).expect("memory takes it");
    encoder.finish().expect("memory takes it")
}

fn wanting(want: &str) -> Request {
    get("/users/1").header("x-want", want)
}

async fn violated(standin: &Standin, expected: f64, operation: &str, side: &str, kind: &str) {
    let labels = [("operation", operation), ("side", side), ("kind", kind)];
    standin.counts(expected, "standin_violations_total", &labels).await;
}

#[tokio::test]
async fn what_passes_is_reported_and_not_changed() {
    let upstream = as_wanted(Speaks::Http1).await;
    let standin = passing(&upstream.url(), "validate: {response: report}").await;
    let mut wire = standin.wire().await;
    wire.send(&wanting("200 {\"id\":1}")).await.is(200, "{\"id\":1}");
    for framing in ["length", "chunked"] {
        wire.send(&wanting("200 {\"id\":\"a\"}").header("x-framing", framing))
            .await
            .is(200, "{\"id\":\"a\"}");
    }
    violated(&standin, 2.0, "readUser", "response", "body").await;
    wire.send(&wanting("200 {\"id\":\"a\"}").header("x-encode", "gzip")).await;
    violated(&standin, 3.0, "readUser", "response", "body").await;
    wire.send(&wanting("500 {}")).await.is(500, "{}");
    violated(&standin, 1.0, "readUser", "response", "status").await;
    wire.send(&wanting("200 x").header("x-type", "text/plain")).await.is(200, "x");
    violated(&standin, 1.0, "readUser", "response", "content-type").await;
    for fine in ["204", "304", "206 x"] {
        wire.send(&wanting(fine)).await;
    }
    standin.counts(0.0, "standin_violations_total", &[("side", "request")]).await;
    standin.counts(5.0, "standin_violations_total", &[]).await;
    // A request is looked at too, and goes on whatever is found.
    wire.send(&get("/users/a")).await.is(200, "{\"id\":1}");
    violated(&standin, 1.0, "readUser", "request", "path").await;
    let sent = wire.send(&post("/users/1", "{\"no\":1}")).await;
    assert_eq!(sent.status, 200);
    assert_eq!(upstream.received().last().map(|request| request.text()).as_deref(), Some("{\"no\":1}"));
    violated(&standin, 1.0, "writeUser", "request", "body").await;
    let listed = standin.admin(get("/api/exchanges?operation=writeUser")).await.json();
    let violation = &listed["exchanges"][0]["violations"][0];
    assert_eq!((&violation["side"], &violation["in"]), (&"request".into(), &"body".into()), "{listed}");
}

#[tokio::test]
async fn nobody_looks_at_answers_unless_asked() {
    let upstream = as_wanted(Speaks::Http1).await;
    let standin = passing(&upstream.url(), "validate: {request: off, response: off, security: off}").await;
    standin.send(wanting("500 {}")).await.is(500, "{}");
    standin.send(post("/users/a", "1")).await;
    standin.counts(0.0, "standin_violations_total", &[]).await;
}

#[tokio::test]
async fn an_answer_that_is_not_as_the_document_says_is_refused_whole() {
    for speaks in [Speaks::Http1, Speaks::H2c] {
        let upstream = as_wanted(speaks).await;
        let more = "validate: {request: enforce, response: enforce}";
        let standin = passing(&upstream.url(), more).await;
        let mut wire = standin.wire().await;
        let http2 = Http2::open(wire.reader.get_ref().peer_addr().expect("an address")).await;
        for framing in ["length", "chunked"] {
            for (want, fine) in [
                ("200 {\"id\":1}", true),
                ("200 {\"id\":\"a\"}", false),
                ("500 x", false),
                ("200 *90000", false),
            ] {
                let sent = wanting(want).header("x-framing", framing);
                for answer in [wire.send(&sent).await, http2.send(&sent).await] {
                    match fine {
                        true => answer.is(200, "{\"id\":1}"),
                        false => {
                            answer.is_problem(502, "response-violation");
                            assert!(answer.json()["violations"][0]["in"].is_string());
                        }
                    }
                }
            }
            let refused =
                wire.send(&head("/users/1").header("x-want", "500").header("x-framing", framing)).await;
            refused.is(502, "");
        }
        wire.send(&get("/users/a")).await.is(200, "{\"id\":1}");
        standin.counts(14.0, "standin_refused_total", &[("reason", "response-violation")]).await;
        standin.counts(14.0, "standin_requests_total", &[("source", "refused"), ("code", "502")]).await;
    }
}

#[tokio::test]
async fn only_what_is_within_the_limit_is_held_back() {
    let upstream = as_wanted(Speaks::Http1).await;
    let more = "validate: {response: enforce}\nlimits: {mocked_body: 100KiB}";
    let standin = passing(&upstream.url(), more).await;
    let mut wire = standin.wire().await;
    for framing in ["length", "chunked"] {
        let sent = |length: usize| wanting(&format!("200 *{length}")).header("x-framing", framing);
        wire.send(&sent(100 << 10)).await.is_problem(502, "response-violation");
        let over = wire.send(&sent((100 << 10) + 1)).await;
        assert_eq!((over.status, over.body.len()), (200, (100 << 10) + 1));
    }
    let labels = [("operation", "readUser"), ("side", "response"), ("reason", "too-large")];
    standin.counts(2.0, "standin_validations_skipped_total", &labels).await;
}

#[tokio::test]
async fn an_answer_that_is_held_back_and_breaks_off_is_never_half_given() {
    let upstream = RawUpstream::start(|mut stream| async move {
        let mut got = [0; 1000];
        let _ = stream.read(&mut got).await;
        let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n{\"id\"";
        let _ = stream.write_all(head.as_bytes()).await;
        // And hangs.
        let _ = stream.read(&mut got).await;
    })
    .await;
    let standin = passing(&upstream.url(), "validate: {response: enforce}").await;
    standin.get("/users/1").await.is_problem(504, "upstream-timeout");
    violated(&standin, 0.0, "readUser", "response", "body").await;
}

#[tokio::test]
async fn streams_are_never_held_back() {
    let upstream = RawUpstream::start(|mut stream| async move {
        let mut got = [0; 1000];
        let _ = stream.read(&mut got).await;
        let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\ndata: 1\n\n";
        let _ = stream.write_all(head.as_bytes()).await;
        let _ = stream.read(&mut got).await;
    })
    .await;
    let standin = passing(&upstream.url(), "validate: {response: enforce}").await;
    let mut wire = standin.wire().await;
    wire.write(b"GET /events HTTP/1.1\r\nHost: a\r\n\r\n").await;
    let head = within(SOON, "the head comes while the body is open", wire.response_head()).await;
    assert_eq!(head.status, 200);
}

#[tokio::test]
async fn the_documents_own_answers_are_looked_at() {
    let upstream = as_wanted(Speaks::Http1).await;
    let standin = passing(&upstream.url(), "validate: {response: report}").await;
    for _ in 0..2 {
        let answer = standin.get("/own").await;
        answer.is(200, "\"text\"");
        let told = answer.header("x-standin-violations").unwrap_or_default();
        assert!(told.contains("\"side\":\"response\""), "{told}");
    }
    violated(&standin, 2.0, "own", "response", "body").await;
    let standin = passing(&upstream.url(), "validate: {response: enforce}").await;
    standin.get("/own").await.is_problem(502, "response-violation");
    violated(&standin, 1.0, "own", "response", "body").await;
}

#[tokio::test]
async fn what_falls_back_is_the_documents_and_what_does_not_is_looked_at() {
    let upstream = as_wanted(Speaks::Http1).await;
    let standin = passing(&upstream.url(), "validate: {response: enforce}\nrules: [{operations: own, mode: fallback}, {operations: readUser, mode: fallback}]").await;
    standin.send(wanting("200 {}")).await.is_problem(502, "response-violation");
    let answer = standin.send(wanting("404 {}")).await;
    answer.is_mock();
    assert_eq!(answer.status, 200);
    violated(&standin, 1.0, "readUser", "response", "body").await;
    violated(&standin, 0.0, "readUser", "response", "status").await;
}
