//! Section 3.3: what no document lists reaches the upstream untouched, and so does its answer.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::harness::*;

const MB: usize = 1_000_000;

/// A Standin that mocks `GET /mocked` and passes the rest.
async fn before(upstream: String) -> Standin {
    Standin::with().paths(&operation("get", "/mocked", "mock")).upstream(upstream).start().await
}

#[tokio::test]
async fn status_headers_and_body_of_the_answer_come_back() {
    let upstream = Upstream::answering(|_| {
        Reply::new(418, "short and stout")
            .header("content-type", "text/x-tea")
            .header("x-one", "1")
            .header("set-cookie", "a=1; Path=/")
            .header("set-cookie", "b=2")
            .header("etag", "\"tea\"")
    })
    .await;
    let standin = before(upstream.url()).await;
    let response = standin.get("/tea").await;
    response.is(418, "short and stout");
    assert_eq!(response.header("content-type"), Some("text/x-tea"));
    assert_eq!(response.header("x-one"), Some("1"));
    assert_eq!(response.header("etag"), Some("\"tea\""));
    assert_eq!(response.all("set-cookie"), ["a=1; Path=/", "b=2"]);
    assert_eq!(response.header("x-standin-source"), None);
}

#[tokio::test]
async fn method_headers_and_body_of_the_request_arrive() {
    let upstream = Upstream::start().await;
    let standin = before(upstream.url()).await;
    let sent = request("PROPFIND", "/things?deep=1")
        .header("Authorization", "Bearer t")
        .header("X-Twice", "one")
        .header("X-Twice", "two")
        .header("Accept-Encoding", "br")
        .header("Cookie", "a=1; b=2")
        .body(b"\x00\xff\r\n\r\nGET / HTTP/1.1".to_vec());
    assert_eq!(standin.send(sent).await.status, 200);
    let arrived = upstream.only();
    assert_eq!((arrived.method.as_str(), arrived.target.as_str()), ("PROPFIND", "/things?deep=1"));
    assert_eq!(arrived.header("authorization"), Some("Bearer t"));
    assert_eq!(arrived.all("x-twice"), ["one", "two"]);
    assert_eq!(arrived.header("accept-encoding"), Some("br"));
    assert_eq!(arrived.header("cookie"), Some("a=1; b=2"));
    assert_eq!(arrived.body, b"\x00\xff\r\n\r\nGET / HTTP/1.1");
    assert_eq!(arrived.header("host"), Some(standin.data.to_string().as_str()), "the Host is preserved");
}

#[tokio::test]
async fn methods_that_the_document_does_not_list_pass() {
    let upstream = Upstream::start().await;
    let standin = before(upstream.url()).await;
    for method in ["POST", "PUT", "PATCH", "DELETE", "OPTIONS"] {
        standin.send(request(method, "/mocked")).await.is(200, &format!("upstream: {method} /mocked"));
    }
    standin.get("/mocked").await.is(200, r#"{"says":"mock"}"#);
}

#[tokio::test]
async fn hop_by_hop_headers_of_the_request_stop_here() {
    let upstream = Upstream::start().await;
    let standin = before(upstream.url()).await;
    let sent = get("/x")
        .header("Connection", "keep-alive, X-Private")
        .header("X-Private", "secret")
        .header("Keep-Alive", "timeout=5")
        .header("TE", "trailers")
        .header("X-Public", "yes");
    assert_eq!(standin.send(sent).await.status, 200);
    let arrived = upstream.only();
    for gone in ["x-private", "keep-alive", "te"] {
        assert_eq!(arrived.header(gone), None, "{gone}");
    }
    assert_eq!(arrived.header("x-public"), Some("yes"));
}

#[tokio::test]
async fn hop_by_hop_headers_of_the_answer_stop_here() {
    let upstream = Upstream::answering(|_| {
        Reply::new(200, "ok")
            .header("Connection", "keep-alive, X-Private")
            .header("X-Private", "secret")
            .header("Keep-Alive", "timeout=5")
            .header("X-Public", "yes")
    })
    .await;
    let standin = before(upstream.url()).await;
    let response = standin.get("/x").await;
    assert_eq!(response.header("x-private"), None);
    assert_ne!(response.header("keep-alive"), Some("timeout=5"));
    assert_eq!(response.header("x-public"), Some("yes"));
}

#[tokio::test]
async fn forwarding_headers_are_appended() {
    let upstream = Upstream::start().await;
    let standin = before(upstream.url()).await;
    standin.send(get("/fresh").header("Host", "api.example:81")).await;
    let seen = get("/seen").header("X-Forwarded-For", "203.0.113.7").header("Via", "1.0 fred");
    standin.send(seen).await;
    let arrived = upstream.received();
    let (fresh, seen) = (&arrived[0], &arrived[1]);
    assert_eq!(fresh.list("x-forwarded-for"), ["127.0.0.1"]);
    assert_eq!(fresh.list("x-forwarded-proto"), ["http"]);
    assert_eq!(fresh.list("x-forwarded-host"), ["api.example:81"]);
    assert_eq!(fresh.list("via").len(), 1);
    assert!(fresh.list("via")[0].starts_with("1.1 "), "{:?}", fresh.list("via"));
    assert_eq!(seen.list("x-forwarded-for"), ["203.0.113.7", "127.0.0.1"]);
    assert_eq!(seen.list("via")[0], "1.0 fred");
    assert_eq!(seen.list("via").len(), 2);
}

#[tokio::test]
async fn our_own_request_headers_are_taken_off() {
    let upstream = Upstream::start().await;
    let standin = before(upstream.url()).await;
    let sent = get("/mocked").header("X-Standin-Mode", "pass").header("x-standin-anything", "1");
    standin.send(sent).await.is(200, "upstream: GET /mocked");
    let arrived = upstream.only();
    let ours = arrived.headers.iter().find(|(name, _)| name.starts_with("x-standin-"));
    assert_eq!(ours, None);
}

#[tokio::test]
async fn the_target_keeps_its_bytes() {
    let upstream = Upstream::start().await;
    let standin = before(upstream.url()).await;
    let targets = [
        "/a%2Fb%2fc",
        "//a//b/",
        "/./a/../b/.",
        "/a;p=1/b",
        "/%7Euser/%41",
        "/a%zz%",
        "/a?",
        "/a?x=1?y=2&&z&=&x=1",
        "/a?q=a+b%20c&r=%00",
        "/caf\u{e9}",
        "/a,b:c@d!$&'()*+=",
        "/a|b",
    ];
    for target in targets {
        let response = standin.get(target).await;
        assert_eq!(response.status, 200, "{target}: {}", response.text());
    }
    let arrived: Vec<_> = upstream.received().iter().map(|request| request.target.clone()).collect();
    assert_eq!(arrived, targets);
}

#[tokio::test]
async fn head_passes_as_head() {
    let upstream = Upstream::start().await;
    let standin = before(upstream.url()).await;
    let mut wire = standin.wire().await;
    let response = wire.send(&head("/x")).await;
    assert_eq!(response.header("content-length"), Some("17"), "the length of `upstream: HEAD /x`");
    assert_eq!(upstream.only().method, "HEAD");
    // No stray body: the connection goes on with the next answer.
    wire.send(&get("/y")).await.is(200, "upstream: GET /y");
}

#[tokio::test]
async fn large_bodies_pass_both_ways() {
    let upstream = Upstream::answering(|request| Reply::new(200, request.body.clone())).await;
    let standin = before(upstream.url()).await;
    let body = noise(20 * MB);
    let response = standin.send(request("POST", "/echo").body(body.clone())).await;
    assert_eq!((response.status, response.header("content-length")), (200, Some("20000000")));
    assert!(response.body == body, "the bytes differ");
    assert!(upstream.only().body == body, "the bytes differ on the way there");
}

#[tokio::test]
async fn large_chunked_bodies_pass_both_ways() {
    let upstream = Upstream::answering(|request| Reply::new(200, request.body.clone()).chunked()).await;
    let standin = before(upstream.url()).await;
    let body = noise(20 * MB);
    let response = standin.send(request("POST", "/echo").body(body.clone()).chunked()).await;
    assert_eq!((response.status, response.header("content-length")), (200, None));
    assert!(response.body == body, "the bytes differ");
    assert!(upstream.only().body == body, "the bytes differ on the way there");
}

/// Bytes without a pattern that a copy at the wrong place would keep (xorshift).
fn noise(length: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    (0..length.div_ceil(8)).flat_map(|_| next().to_le_bytes()).take(length).collect()
}

/// Neither side waits for the end of a body before it passes its beginning on. (Of an answer whose
/// length is known, pingora holds back what does not fill its write buffer of 1,460 bytes.)
#[tokio::test]
async fn bodies_are_streamed() {
    let upstream = RawUpstream::start(|mut stream| async move {
        read_until(&mut stream, b"first").await;
        let half = noise(10_000);
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 20000\r\n\r\n").await.unwrap();
        stream.write_all(&half).await.unwrap();
        read_until(&mut stream, b"second").await;
        stream.write_all(&half).await.unwrap();
    })
    .await;
    let standin = before(upstream.url()).await;
    let mut wire = standin.wire().await;
    wire.write(b"POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 11\r\n\r\nfirst").await;
    // The upstream answers only now that it has the first half, and the second is not yet sent.
    assert_eq!(wire.response_head().await.status, 200);
    assert_eq!(wire.exactly(8_000).await, noise(10_000)[..8_000]);
    wire.write(b"second").await;
    assert_eq!(wire.exactly(2_000).await, noise(10_000)[8_000..]);
    assert_eq!(wire.exactly(10_000).await, noise(10_000));
}

#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hundred_megabytes_each_way_stay_flat() {
    const SIZE: usize = 200 * MB;
    let upstream = RawUpstream::start(|mut stream| async move {
        read_until(&mut stream, b"\r\n\r\n").await;
        let (mut from, mut to) = stream.split();
        to.write_all(format!("HTTP/1.1 200 OK\r\ncontent-length: {SIZE}\r\n\r\n").as_bytes()).await.unwrap();
        // Only what was taken goes back, so that both ways flow at once.
        tokio::io::copy(&mut (&mut from).take(SIZE as u64), &mut to).await.unwrap();
    })
    .await;
    let standin = before(upstream.url()).await;
    // A debug build has tens of megabytes of itself in memory.
    let idle = standin.peak_memory();
    let Wire { mut reader, mut writer, .. } = standin.wire().await;
    let piece = noise(MB);
    let sending = async {
        let head = format!("POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: {SIZE}\r\n\r\n");
        writer.write_all(head.as_bytes()).await.unwrap();
        for _ in 0..SIZE / MB {
            writer.write_all(&piece).await.unwrap();
        }
    };
    let receiving = async {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(reader.read_u8().await.unwrap());
        }
        let mut got = vec![0; MB];
        for _ in 0..SIZE / MB {
            reader.read_exact(&mut got).await.unwrap();
            assert!(got == piece, "the bytes differ");
        }
    };
    within(SOON * 6, "200 MB each way", async { tokio::join!(sending, receiving) }).await;
    let peak = standin.peak_memory();
    let more = peak.saturating_sub(idle) / MB as u64;
    assert!(more < 35, "{more} MB at the peak, on top of {} MB", idle / MB as u64);
}

async fn read_until(stream: &mut TcpStream, end: &[u8]) {
    let mut seen = Vec::new();
    while !seen.ends_with(end) {
        seen.push(stream.read_u8().await.expect("the proxy goes on"));
    }
}

#[tokio::test]
async fn an_upgraded_connection_is_a_tunnel() {
    let upstream = RawUpstream::start(|mut stream| async move {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await.unwrap());
        }
        let head = String::from_utf8(head).unwrap().to_ascii_lowercase();
        assert!(head.contains("upgrade: websocket"), "{head}");
        assert!(head.contains("sec-websocket-key: dghlihnhbxbszsbub25jzq=="), "{head}");
        let accept = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                      Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";
        stream.write_all(accept.as_bytes()).await.unwrap();
        let (mut from, mut to) = stream.split();
        tokio::io::copy(&mut from, &mut to).await.ok();
    })
    .await;
    let standin = before(upstream.url()).await;
    let mut wire = standin.wire().await;
    wire.write(
        b"GET /chat HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
          Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
    )
    .await;
    let response = wire.response_head().await;
    assert_eq!(response.status, 101);
    assert_eq!(response.header("sec-websocket-accept"), Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="));
    assert_eq!(response.header("upgrade").map(str::to_lowercase).as_deref(), Some("websocket"));
    for message in [&b"\x81\x05hello"[..], &noise(100_000)] {
        let (sent, got) = tokio::join!(wire.writer.write_all(message), async {
            let mut got = vec![0; message.len()];
            within(SOON, "the echo", wire.reader.read_exact(&mut got)).await.unwrap();
            got
        });
        sent.unwrap();
        assert!(got == message, "the echo differs");
    }
}

#[tokio::test]
async fn expect_100_continue_is_answered_before_the_body() {
    let upstream = Upstream::start().await;
    let templated = "
        /mocked:
          post:
            responses:
              '200': {description: ok, content: {text/plain: {example: 'got {{ request.body }}'}}}
    ";
    let standin = Standin::with().paths(templated).upstream(upstream.url()).start().await;
    for (path, expected) in [("/passed", "upstream: POST /passed"), ("/mocked", "got hello")] {
        let mut wire = standin.wire().await;
        let head = format!("POST {path} HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n");
        wire.write(format!("{head}Content-Type: text/plain\r\nContent-Length: 5\r\n\r\n").as_bytes()).await;
        assert_eq!(wire.response_head().await.status, 100, "{path}");
        wire.write(b"hello").await;
        wire.response().await.is(200, expected);
    }
    assert_eq!(upstream.only().body, b"hello");
}

#[tokio::test]
async fn an_upstream_that_is_down_is_502() {
    let closed = ClosedPort::new();
    let standin = before(closed.url()).await;
    standin.get("/x").await.is_problem(502, "upstream-connect");
    standin.send(post("/x", "{}")).await.is_problem(502, "upstream-connect");
    standin.get("/mocked").await.is(200, r#"{"says":"mock"}"#);
    let name = "standin_upstream_failures_total";
    standin.counts(2.0, name, &[("upstream", "default")]).await;
}

#[tokio::test]
async fn an_upstream_that_is_too_slow_is_504() {
    let gate = Gate::closed();
    let held = gate.clone();
    let upstream = Upstream::answering(move |_| Reply::new(200, "late").after(&held)).await;
    let config = format!(
        "upstreams: {{default: {{servers: ['{}'], response_timeout: 300ms}}}}\nspecs: [{{source: spec.yaml}}]\n",
        upstream.url()
    );
    let document = document(&operation("get", "/mocked", "mock"));
    let standin = Standin::with().file("spec.yaml", &document).config(&config).start().await;
    let begun = std::time::Instant::now();
    standin.get("/slow").await.is_problem(504, "upstream-timeout");
    let took = begun.elapsed();
    assert!(took >= Duration::from_millis(290) && took < Duration::from_secs(5), "{took:?}");
    gate.open();
    standin.get("/later").await.is(200, "late");
}

#[tokio::test]
async fn an_upstream_that_speaks_no_http_is_502() {
    let upstream = RawUpstream::start(|mut stream| async move {
        read_until(&mut stream, b"\r\n\r\n").await;
        stream.write_all(b"220 smtp.example ESMTP\r\n\r\n").await.ok();
    })
    .await;
    let standin = before(upstream.url()).await;
    standin.get("/x").await.is_problem(502, "upstream-protocol");
}

/// A client must be able to tell half an answer from a whole one.
#[tokio::test]
async fn an_answer_that_is_cut_off_stays_cut_off() {
    for framing in ["content-length: 100\r\n\r\nhalf", "transfer-encoding: chunked\r\n\r\n4\r\nhalf\r\n"] {
        let upstream = RawUpstream::start(move |mut stream| async move {
            read_until(&mut stream, b"\r\n\r\n").await;
            stream.write_all(format!("HTTP/1.1 200 OK\r\n{framing}").as_bytes()).await.ok();
        })
        .await;
        let standin = before(upstream.url()).await;
        let result = get("/x").try_to(standin.data).await;
        let whole = result.as_ref().is_ok_and(|response| response.status == 200);
        assert!(!whole, "{framing:?} came as {result:?}");
    }
}

#[tokio::test]
async fn without_an_upstream_a_path_that_nobody_lists_is_404() {
    let standin = Standin::with().paths(&operation("get", "/mocked", "mock")).start().await;
    standin.get("/other").await.is_problem(404, "no-route");
    standin.send(post("/", "{}")).await.is_problem(404, "no-route");
    standin.send(head("/other")).await.is_problem(404, "no-route");
}

#[tokio::test]
async fn without_an_upstream_a_method_that_a_path_has_not_is_405() {
    let paths = "
        /pets:
          get: {responses: {'200': {description: ok, content: {text/plain: {example: pets}}}}}
          delete: {responses: {'200': {description: ok, content: {text/plain: {example: gone}}}}}
    ";
    let standin = Standin::with().paths(paths).start().await;
    let response = standin.send(post("/pets", "{}")).await;
    response.is_problem(405, "method-not-allowed");
    let allow: Vec<_> = response.header("allow").unwrap_or_default().split(',').map(str::trim).collect();
    assert!(allow.contains(&"GET") && allow.contains(&"DELETE"), "{allow:?}");
    assert!(!allow.contains(&"POST"), "{allow:?}");
}

/// An unread body must not be taken for the next request.
#[tokio::test]
async fn mocked_and_passed_requests_share_a_connection() {
    let upstream = Upstream::start().await;
    let paths = "
        /mocked:
          post: {responses: {'200': {description: ok, content: {text/plain: {example: mock}}}}}
    ";
    let standin = Standin::with().paths(paths).upstream(upstream.url()).start().await;
    let mut wire = standin.wire().await;
    let smuggled = b"GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n".to_vec();
    for round in 0..5 {
        let target = format!("/passed/{round}");
        let mocked = [request("POST", "/mocked"), request("POST", "/mocked").chunked()];
        for request in mocked {
            wire.send(&request.body(smuggled.clone())).await.is(200, "mock");
            wire.send(&get(&target)).await.is(200, &format!("upstream: GET {target}"));
        }
    }
    let arrived = upstream.received();
    assert_eq!(arrived.len(), 10);
    assert!(arrived.iter().all(|request| request.target.starts_with("/passed/")), "{arrived:?}");
}

#[tokio::test]
async fn a_passed_operation_is_the_upstreams_body_and_all() {
    let upstream = Upstream::answering(|request| Reply::new(201, request.body.clone())).await;
    let paths = "
        /users:
          post:
            requestBody: {content: {application/json: {example: {a: 1}}}}
            responses: {'200': {description: ok, content: {application/json: {example: {a: 1}}}}}
    ";
    let standin =
        Standin::with().paths(paths).upstream(upstream.url()).args(["--mode", "pass"]).start().await;
    let body = noise(3 * MB);
    let response = standin.send(request("POST", "/users").body(body.clone())).await;
    assert_eq!(response.status, 201);
    assert!(response.body == body, "the bytes differ");
}

#[tokio::test]
async fn without_an_upstream_a_passed_operation_is_502() {
    let paths = operation("get", "/users", "mock");
    let standin = Standin::with().paths(&paths).args(["--mode", "pass"]).start().await;
    standin.get("/users").await.is_problem(502, "upstream-connect");
}

/// All that comes back for these bytes, and whether the connection was closed after it, as expected.
async fn answers_to(standin: &Standin, sent: &str, closes: bool) -> (String, bool) {
    let mut wire = standin.wire().await;
    wire.write(sent.as_bytes()).await;
    let mut got = Vec::new();
    within(SOON, "an answer", wire.reader.read_buf(&mut got)).await.expect("to read");
    let rest = if closes { SOON } else { Duration::from_millis(200) };
    let closed = tokio::time::timeout(rest, wire.reader.read_to_end(&mut got)).await.is_ok();
    (String::from_utf8_lossy(&got).into_owned(), closed)
}

#[tokio::test]
async fn a_connection_lives_as_long_as_its_client_can_tell_the_answers_apart() {
    let upstream = Upstream::start().await;
    let paths = "
        /mocked:
          post: {responses: {'200': {description: ok, content: {text/plain: {example: mock}}}}}
    ";
    let standin = Standin::with().paths(paths).upstream(upstream.url()).start().await;
    for (head, closes) in [
        ("HTTP/1.1\r\nHost: a", false),
        ("HTTP/1.1\r\nHost: a\r\nConnection: close", true),
        ("HTTP/1.0\r\nHost: a", true),
        ("HTTP/1.0\r\nHost: a\r\nConnection: keep-alive", false),
        // RFC 9112, 6.1: closed after the answer, since a proxy before this one may count otherwise.
        ("HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked", true),
    ] {
        for path in ["/mocked", "/passed"] {
            let chunks = if head.contains("chunked") { "0\r\n\r\n" } else { "" };
            let (got, closed) =
                answers_to(&standin, &format!("POST {path} {head}\r\n\r\n{chunks}"), closes).await;
            assert!(got.starts_with("HTTP/1.1 200 "), "{path} {head}: {got}");
            assert_eq!(closed, closes, "{path} {head}: {got}");
            assert_eq!(got.contains("Connection: close"), closes, "{path} {head}: {got}");
        }
    }
}

#[tokio::test]
async fn an_http_1_0_client_gets_no_chunks() {
    let upstream = Upstream::answering(|_| Reply::new(200, "whole").chunked()).await;
    let standin = before(upstream.url()).await;
    let (got, closed) = answers_to(&standin, "GET /x HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", true).await;
    assert!(closed && got.ends_with("\r\n\r\nwhole"), "{got}");
    assert!(!got.to_lowercase().contains("transfer-encoding"), "{got}");
}

/// RFC 9112, 3.2: what one server reads as one thing and the next as another is nobody's.
#[tokio::test]
async fn a_request_without_a_host_or_a_path_is_refused() {
    let upstream = Upstream::start().await;
    let standin = before(upstream.url()).await;
    for head in [
        "GET /x HTTP/1.1\r\nX: y",
        "GET /mocked HTTP/1.1\r\nX: y",
        "GET /x HTTP/1.1\r\nHost: a b",
        "GET /x HTTP/1.1\r\nHost: a/b",
        "GET mocked HTTP/1.1\r\nHost: a",
        "GET ?x HTTP/1.1\r\nHost: a",
        "GET * HTTP/1.1\r\nHost: a",
    ] {
        let mut wire = standin.wire().await;
        wire.write(format!("{head}\r\n\r\n").as_bytes()).await;
        wire.response().await.is_problem(400, "bad-request");
    }
    assert!(upstream.received().is_empty(), "{:?}", upstream.received());
    for (head, target) in [
        ("OPTIONS * HTTP/1.1\r\nHost: a", "*"),
        ("GET http://a/x HTTP/1.1\r\nHost: a", "/x"),
        ("GET /x HTTP/1.1\r\nHost: my_service:80", "/x"),
        ("GET /x HTTP/1.1\r\nHost: [::1]:80", "/x"),
        ("GET /x HTTP/1.1\r\nHost:", "/x"),
        ("GET /x HTTP/1.0\r\nX: y", "/x"),
    ] {
        let mut wire = standin.wire().await;
        wire.write(format!("{head}\r\n\r\n").as_bytes()).await;
        let answer = wire.response().await;
        assert_eq!(answer.status, 200, "{head}: {}", answer.text());
        assert_eq!(upstream.received().last().expect("it arrived").target, target);
    }
}

/// A client that waits for leave to send its body may send its next request in place of it.
#[tokio::test]
async fn a_body_that_is_waited_for_and_not_wanted_ends_the_connection() {
    let upstream = Upstream::start().await;
    let paths = "
        /mocked:
          post: {responses: {'200': {description: ok, content: {text/plain: {example: mock}}}}}
    ";
    let standin = Standin::with().paths(paths).upstream(upstream.url()).start().await;
    for expect in ["100-continue", "a, 100-Continue", "a\r\nExpect: 100-continue"] {
        let sent =
            format!("POST /mocked HTTP/1.1\r\nHost: a\r\nExpect: {expect}\r\nContent-Length: 9\r\n\r\n");
        let (got, closed) = answers_to(&standin, &sent, true).await;
        assert!(got.starts_with("HTTP/1.1 200 ") && got.contains("Connection: close"), "{expect}: {got}");
        assert!(closed, "{expect}: {got}");
    }
}

#[tokio::test]
async fn a_body_that_was_asked_for_keeps_the_connection() {
    let templated = "
        /mocked:
          post:
            responses:
              '200': {description: ok, content: {text/plain: {example: 'got {{ request.body }}'}}}
    ";
    let standin = Standin::with().paths(templated).start().await;
    let mut wire = standin.wire().await;
    for _ in 0..2 {
        let head = "POST /mocked HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Type: text/plain\r\n";
        wire.write(format!("{head}Content-Length: 5\r\n\r\n").as_bytes()).await;
        assert_eq!(wire.response_head().await.status, 100);
        wire.write(b"hello").await;
        wire.response().await.is(200, "got hello");
    }
    // RFC 9110, 10.1.1: an older client asks for nothing.
    let mut wire = standin.wire().await;
    let head = "POST /mocked HTTP/1.0\r\nExpect: 100-continue\r\nContent-Type: text/plain\r\n";
    wire.write(format!("{head}Content-Length: 5\r\n\r\nhello").as_bytes()).await;
    let answer = wire.response_head().await;
    assert_eq!(answer.status, 200);
}

/// The next request of a connection may be sent before the answer to the one before it.
#[tokio::test]
async fn pipelined_requests_are_answered_in_order() {
    let gate = Gate::closed();
    let held = gate.clone();
    let upstream =
        Upstream::answering(move |request| Reply::new(200, request.target.clone()).after(&held)).await;
    let standin = before(upstream.url()).await;
    let mut wire = standin.wire().await;
    wire.write(b"GET /one HTTP/1.1\r\nHost: a\r\n\r\n").await;
    let arrived = async || (!upstream.received().is_empty()).then_some(());
    eventually(SOON, "the first is in flight", arrived).await;
    wire.write(b"GET /mocked HTTP/1.1\r\nHost: a\r\n\r\nPOST /two HTTP/1.1\r\nHost: a\r\n").await;
    wire.write(b"Content-Length: 3\r\n\r\nabcGET /three HTTP/1.1\r\nHost: a\r\n\r\n").await;
    gate.open();
    wire.response().await.is(200, "/one");
    wire.response().await.is(200, r#"{"says":"mock"}"#);
    wire.response().await.is(200, "/two");
    wire.response().await.is(200, "/three");
    assert_eq!(upstream.received()[1].body, b"abc");
}

/// What a client breaks is no failure of Standin or of the upstream: neither in the log nor counted.
#[tokio::test]
async fn a_client_that_breaks_off_is_no_warning() {
    let templated = "
        /mocked:
          post: {responses: {'200': {description: ok, content: {text/plain: {example: 'got {{ request.body }}'}}}}}
    ";
    let standin = Standin::with().paths(templated).start().await;
    let head = "POST /mocked HTTP/1.1\r\nHost: a\r\nContent-Type: text/plain\r\n";
    let mut wire = standin.wire().await;
    wire.write(format!("{head}Transfer-Encoding: chunked\r\n\r\nzz\r\n").as_bytes()).await;
    wire.response().await.is_problem(400, "bad-request");
    let mut wire = standin.wire().await;
    wire.write(format!("{head}Content-Length: 50\r\n\r\nabc").as_bytes()).await;
    drop(wire);
    standin.counts(2.0, "standin_requests_total", &[("source", "refused")]).await;
    assert!(!standin.stderr().contains("WARN"), "{}", standin.stderr());
}

#[tokio::test]
async fn a_failure_is_logged_without_query_and_content() {
    let upstream = RawUpstream::start(|mut stream| async move {
        read_until(&mut stream, b"\r\n\r\n").await;
        stream.write_all(b"s3cret-answer smtp\r\n\r\n").await.ok();
    })
    .await;
    let standin = before(upstream.url()).await;
    standin.get("/x?token=s3cret-query").await.is_problem(502, "upstream-protocol");
    standin.logs(0, &["upstream failed", "path=\"/x\""]).await;
    assert!(!standin.stderr().contains("s3cret"), "{}", standin.stderr());
}

/// `localhost` is two addresses, and often only one of them listens.
#[tokio::test]
async fn requests_at_once_find_the_server_that_is_there() {
    let (closed, upstream) = (ClosedPort::new(), Upstream::start().await);
    let config = format!(
        "upstreams: {{default: {{servers: ['{}', '{}']}}}}\nspecs: [{{source: spec.yaml}}]\n",
        closed.url(),
        upstream.url()
    );
    let document = document(&operation("get", "/mocked", "mock"));
    let standin = Standin::with().file("spec.yaml", &document).config(&config).start().await;
    let clients: Vec<_> = (0..8)
        .map(|_| {
            let address = standin.data;
            tokio::spawn(async move {
                for _ in 0..40 {
                    post("/x", "{}").to(address).await.is(200, "upstream: POST /x");
                }
            })
        })
        .collect();
    for client in clients {
        client.await.expect("no request failed");
    }
}

#[tokio::test]
async fn an_http_1_0_client_gets_no_hints() {
    let upstream = RawUpstream::start(|mut stream| async move {
        read_until(&mut stream, b"\r\n\r\n").await;
        stream.write_all(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n").await.ok();
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await.ok();
    })
    .await;
    let fallback = "x-standin-mode: fallback\r\n";
    let standin = before(upstream.url()).await;
    for (path, mode) in [("/x", ""), ("/mocked", fallback)] {
        let (got, _) = answers_to(&standin, &format!("GET {path} HTTP/1.0\r\n{mode}\r\n"), true).await;
        assert!(got.starts_with("HTTP/1.1 200 ") && got.ends_with("ok"), "{path}: {got}");
    }
}

/// Once the upstream has said 100, the client sends its body, and its next request after it.
#[tokio::test]
async fn a_body_that_the_upstream_asked_for_keeps_the_connection() {
    let upstream = RawUpstream::start(|mut stream| async move {
        read_until(&mut stream, b"\r\n\r\n").await;
        stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").await.ok();
        let answer = b"HTTP/1.1 404 Not Found\r\nConnection: close\r\nContent-Length: 2\r\n\r\nno";
        read_until(&mut stream, b"hello").await;
        stream.write_all(answer).await.ok();
    })
    .await;
    let paths = operation("post", "/mocked", "mock");
    let standin = Standin::with().paths(&paths).upstream(upstream.url()).start().await;
    for (path, status) in [("/x", 404), ("/mocked", 200)] {
        let mut wire = standin.wire().await;
        for _ in 0..2 {
            let head = format!("POST {path} HTTP/1.1\r\nHost: a\r\nx-standin-mode: fallback\r\n");
            wire.write(format!("{head}Expect: 100-continue\r\nContent-Length: 5\r\n\r\n").as_bytes()).await;
            assert_eq!(wire.response_head().await.status, 100, "{path}");
            wire.write(b"hello").await;
            let answer = wire.response().await;
            assert_eq!((answer.status, answer.header("connection")), (status, Some("keep-alive")), "{path}");
        }
    }
}

#[tokio::test]
async fn an_upstream_that_dies_after_a_hint_is_502() {
    let upstream = RawUpstream::start(|mut stream| async move {
        read_until(&mut stream, b"\r\n\r\n").await;
        stream.write_all(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n").await.ok();
    })
    .await;
    let standin = before(upstream.url()).await;
    let mut wire = standin.wire().await;
    wire.write(b"GET /x HTTP/1.1\r\nHost: a\r\n\r\n").await;
    assert_eq!(wire.response_head().await.status, 103);
    wire.response().await.is_problem(502, "upstream-protocol");
}

#[tokio::test]
async fn an_upstream_that_switches_protocols_unasked_is_502() {
    let upstream = RawUpstream::start(|mut stream| async move {
        read_until(&mut stream, b"\r\n\r\n").await;
        stream.write_all(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n").await.ok();
        stream.read_u8().await.ok();
    })
    .await;
    let standin = before(upstream.url()).await;
    standin.get("/x").await.is_problem(502, "upstream-protocol");
}

#[tokio::test]
async fn a_connection_over_the_limit_is_told_so() {
    let config = "specs: [{source: spec.yaml}]\nlimits: {connections: 2}\n";
    let document = document(&operation("get", "/mocked", "mock"));
    let standin = Standin::with().file("spec.yaml", &document).config(config).start().await;
    let (mut first, mut second) = (standin.wire().await, standin.wire().await);
    first.send(&get("/mocked")).await.is(200, r#"{"says":"mock"}"#);
    second.send(&get("/mocked")).await.is(200, r#"{"says":"mock"}"#);
    let mut third = standin.wire().await;
    third.response().await.is_problem(503, "overloaded");
    standin.counts(1.0, "standin_refused_total", &[("reason", "connections")]).await;
    standin.counts(2.0, "standin_connections_active", &[]).await;
    drop(second);
    let room = async || (standin.get("/mocked").await.status == 200).then_some(());
    eventually(SOON, "there is room again", room).await;
    first.send(&get("/mocked")).await.is(200, r#"{"says":"mock"}"#);
}

/// A tunnel of HTTP/2 would go past the documents (Java's client offers one with every request).
#[tokio::test]
async fn an_offer_to_speak_http_2_in_clear_is_not_passed_on() {
    let upstream = Upstream::start().await;
    let standin = before(upstream.url()).await;
    let offer = get("/x")
        .header("Connection", "Upgrade, HTTP2-Settings")
        .header("Upgrade", "h2c")
        .header("HTTP2-Settings", "AAMAAABkAAQAAP__");
    standin.send(offer).await.is(200, "upstream: GET /x");
    let arrived = upstream.only();
    for name in ["upgrade", "http2-settings", "connection"] {
        assert_eq!(arrived.header(name), None, "{name}");
    }
}
