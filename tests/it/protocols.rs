//! What passes is passed whole: WebSocket, events, hints, ranges, old clients, HTTP/2 and its trailers.

use std::io::Write;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use http::HeaderMap;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;

use crate::harness::*;

const MOCKED: &str = "
    /mocked:
      get: {operationId: mocked, responses: {'200': {description: ok, content: {text/plain: {example: mock}}}}}
      post:
        responses:
          '200': {description: ok, content: {text/plain: {example: 'got {{ request.body }}'}}}
    /chat:
      post: {responses: {'200': {description: ok, content: {text/plain: {example: posted}}}}}
";

async fn before(upstream: String) -> Standin {
    Standin::with().paths(MOCKED).upstream(upstream).start().await
}

/// Both in front of `upstream`: HTTP/1.1 and HTTP/2 on one port.
async fn before_with_h2c(upstream: String) -> Standin {
    let config = format!(
        "listen: [{{address: '127.0.0.1:0', h2c: true}}]\nadmin: 127.0.0.1:0\n\
         upstreams: {{default: {{servers: ['{upstream}']}}}}\n"
    );
    Standin::with().paths(MOCKED).config(&config).without_addresses().start().await
}

/// An upstream that sends back what it is sent, and closes when it is told to.
async fn web_socket_echo() -> RawUpstream {
    RawUpstream::start(|stream| async move {
        let mut socket = tokio_tungstenite::accept_async(stream).await.expect("a client's handshake");
        while let Some(Ok(message)) = socket.next().await {
            match message {
                Message::Text(text) if text == "close" => {
                    let frame = CloseFrame { code: CloseCode::Away, reason: "as told".into() };
                    socket.close(Some(frame)).await.ok();
                }
                Message::Text(_) | Message::Binary(_) => socket.send(message).await.expect("a reader"),
                _ => {}
            }
        }
    })
    .await
}

async fn web_socket(standin: &Standin) -> WebSocketStream<TcpStream> {
    let stream = TcpStream::connect(standin.data).await.expect("a listener");
    let url = format!("ws://{}/chat?room=1", standin.data);
    let shaken = within(SOON, "the handshake", tokio_tungstenite::client_async(url, stream)).await;
    shaken.expect("a tunnel").0
}

async fn message(socket: &mut WebSocketStream<TcpStream>) -> Message {
    let message = within(SOON, "a message", socket.next()).await;
    message.expect("not the end").expect("a message")
}

/// Another operation of the path is mocked.
#[tokio::test]
async fn web_sockets_pass() {
    let upstream = web_socket_echo().await;
    let config =
        format!("upstreams: {{default: {{servers: ['{}'], response_timeout: 2s}}}}\n", upstream.url());
    let standin = Standin::with().paths(MOCKED).config(&config).start().await;
    let mut socket = web_socket(&standin).await;
    let large = "x".repeat(1 << 20);
    for sent in [
        Message::text("hello"),
        Message::text(""),
        Message::binary(vec![0, 255, 13, 10]),
        Message::text(large.clone()),
        Message::binary(large.into_bytes()),
    ] {
        socket.send(sent.clone()).await.expect("a reader");
        assert!(message(&mut socket).await == sent, "the echo differs");
    }
    socket.send(Message::Ping("are you there".into())).await.expect("a reader");
    assert_eq!(message(&mut socket).await, Message::Pong("are you there".into()));
    // Silent for longer than `response_timeout`.
    standin.get("/mocked").await.is(200, "mock");
    holds_for(Duration::from_millis(2500), "the tunnel is silent", || true).await;
    socket.send(Message::text("still here")).await.expect("a reader");
    assert_eq!(message(&mut socket).await, Message::text("still here"));
    standin.send(post("/chat", "{}")).await.is(200, "posted");
    socket.send(Message::text("close")).await.expect("a reader");
    let Message::Close(Some(frame)) = message(&mut socket).await else { panic!("no close") };
    assert_eq!((frame.code, frame.reason.as_str()), (CloseCode::Away, "as told"));
    assert!(within(SOON, "the end", socket.next()).await.is_none());
}

#[tokio::test]
async fn a_web_socket_s_client_may_close_it() {
    let upstream = web_socket_echo().await;
    let standin = before(upstream.url()).await;
    let mut socket = web_socket(&standin).await;
    socket.close(None).await.expect("a reader");
    // The upstream answers the frame and closes at once. On a busy machine the end was seen before the
    // answer, once in a hundred times; that it ends is what is kept here.
    let ended = async { while let Some(Ok(_)) = socket.next().await {} };
    within(SOON, "the end", ended).await;
    standin.counts(0.0, "standin_upstream_failures_total", &[]).await;
}

#[tokio::test]
async fn a_refused_web_socket_is_the_upstreams_answer() {
    let upstream = Upstream::answering(|_| Reply::new(403, "not you")).await;
    let standin = before(upstream.url()).await;
    let stream = TcpStream::connect(standin.data).await.expect("a listener");
    let url = format!("ws://{}/chat", standin.data);
    let refused = tokio_tungstenite::client_async(url, stream).await.expect_err("no tunnel");
    let tokio_tungstenite::tungstenite::Error::Http(answer) = refused else { panic!("{refused}") };
    assert_eq!(answer.status(), 403);
    assert_eq!(upstream.only().list("sec-websocket-version"), ["13"]);
}

/// An event is seen before the next is sent.
#[tokio::test]
async fn events_pass_one_by_one() {
    for framing in ["", "transfer-encoding: chunked\r\n"] {
        let gates: Vec<Gate> = (0..5).map(|_| Gate::closed()).collect();
        let passing = gates.clone();
        let upstream = RawUpstream::start(move |mut stream| {
            let gates = passing.clone();
            async move {
                read_until(&mut stream, b"\r\n\r\n").await;
                let head = format!("HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n{framing}\r\n");
                stream.write_all(head.as_bytes()).await.expect("a reader");
                for (number, gate) in gates.iter().enumerate() {
                    let event = format!("data: {number}\n\n");
                    let event = match framing {
                        "" => event,
                        _ => format!("{:x}\r\n{event}\r\n", event.len()),
                    };
                    stream.write_all(event.as_bytes()).await.expect("a reader");
                    gate.passed().await;
                }
            }
        })
        .await;
        let standin = before(upstream.url()).await;
        let mut wire = standin.wire().await;
        wire.write(b"GET /events HTTP/1.1\r\nHost: a\r\nAccept: text/event-stream\r\n\r\n").await;
        let head = wire.response_head().await;
        assert_eq!(head.header("content-type"), Some("text/event-stream"));
        for (number, gate) in gates.iter().enumerate() {
            let event = format!("data: {number}\n\n");
            let mut got = String::new();
            while !got.contains(&event) {
                got.push(wire.exactly(1).await[0].into());
            }
            gate.open();
        }
    }
}

#[tokio::test]
async fn hints_pass_before_the_answer() {
    let upstream = RawUpstream::start(|mut stream| async move {
        read_until(&mut stream, b"\r\n\r\n").await;
        let hints = "HTTP/1.1 103 Early Hints\r\nLink: </style.css>; rel=preload\r\n\r\n\
                     HTTP/1.1 103 Early Hints\r\nLink: </script.js>; rel=preload\r\n\r\n";
        stream.write_all(hints.as_bytes()).await.expect("a reader");
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await.expect("a reader");
    })
    .await;
    let standin = before(upstream.url()).await;
    let mut wire = standin.wire().await;
    wire.write(b"GET /x HTTP/1.1\r\nHost: a\r\n\r\n").await;
    for link in ["</style.css>; rel=preload", "</script.js>; rel=preload"] {
        let hint = wire.response_head().await;
        assert_eq!((hint.status, hint.header("link")), (103, Some(link)));
    }
    wire.response().await.is(200, "ok");
}

#[tokio::test]
async fn a_range_is_the_upstreams_to_cut() {
    let upstream = Upstream::answering(|_| {
        Reply::new(206, "cde").header("content-range", "bytes 2-4/26").header("accept-ranges", "bytes")
    })
    .await;
    let standin = before(upstream.url()).await;
    let part = standin.send(get("/file").header("Range", "bytes=2-4").header("If-Range", "\"v1\"")).await;
    part.is(206, "cde");
    assert_eq!(part.header("content-range"), Some("bytes 2-4/26"));
    assert_eq!(part.header("accept-ranges"), Some("bytes"));
    let arrived = upstream.only();
    assert_eq!(arrived.header("range"), Some("bytes=2-4"));
    assert_eq!(arrived.header("if-range"), Some("\"v1\""));
    // RFC 9110, 14.2: a server may ignore it, and an example is whole.
    standin.send(get("/mocked").header("Range", "bytes=0-1")).await.is(200, "mock");
}

#[tokio::test]
async fn a_compressed_body_is_left_alone() {
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    gzip.write_all(&b"compressed ".repeat(1_000)).expect("to memory");
    let compressed = gzip.finish().expect("to memory");
    let sent = compressed.clone();
    let upstream = Upstream::answering(move |_| {
        Reply::new(200, sent.clone())
            .header("content-encoding", "gzip")
            .header("content-type", "application/json")
            .header("etag", "\"strong\"")
            .header("vary", "accept-encoding")
    })
    .await;
    let standin = before(upstream.url()).await;
    for accepted in [Some("gzip, br"), Some("identity"), None] {
        let asked =
            accepted.into_iter().fold(get("/x"), |asked, value| asked.header("Accept-Encoding", value));
        let answer = standin.send(asked).await;
        assert_eq!(answer.header("content-encoding"), Some("gzip"));
        assert_eq!(answer.header("etag"), Some("\"strong\""));
        assert_eq!(answer.header("content-length"), Some(compressed.len().to_string().as_str()));
        assert!(answer.body == compressed, "the bytes differ");
        assert_eq!(
            upstream.received().last().and_then(|r| r.header("accept-encoding").map(str::to_owned)),
            accepted.map(str::to_owned)
        );
    }
    // Nor is a plain one compressed.
    let plain =
        Upstream::answering(|_| Reply::new(200, "x".repeat(20_000)).header("content-type", "text/plain"))
            .await;
    let standin = before(plain.url()).await;
    let answer = standin.send(get("/x").header("Accept-Encoding", "gzip, br, zstd")).await;
    assert_eq!((answer.header("content-encoding"), answer.body.len()), (None, 20_000));
}

/// RFC 9110, 9.3.1: a body has no meaning there, but some servers read it.
#[tokio::test]
async fn every_method_may_have_a_body() {
    let upstream = Upstream::answering(|request| Reply::new(200, request.body.clone())).await;
    let standin = before(upstream.url()).await;
    for method in ["GET", "DELETE", "OPTIONS", "PATCH", "REPORT", "QUERY", "M-SEARCH", "x"] {
        for sent in [request(method, "/x"), request(method, "/x").chunked()] {
            let answer = standin.send(sent.body(b"a body".to_vec())).await;
            assert_eq!(answer.text(), "a body", "{method}");
            assert_eq!(upstream.received().last().map(|r| r.method.clone()).as_deref(), Some(method));
        }
    }
    // A mock of a GET leaves none of it on the connection.
    let mut wire = standin.wire().await;
    for _ in 0..2 {
        wire.send(&get("/mocked").body(b"GET /x HTTP/1.1\r\n\r\n".to_vec())).await.is(200, "mock");
    }
}

#[tokio::test]
async fn answers_without_a_body_keep_the_connection() {
    let upstream = Upstream::answering(|request| {
        let status = request.target.trim_start_matches('/').parse().expect("a status");
        Reply::new(status, "body").header("etag", "\"1\"").header("x-status", &status.to_string())
    })
    .await;
    let standin = before(upstream.url()).await;
    let mut wire = standin.wire().await;
    for status in [204, 304, 205, 200] {
        for method in ["GET", "HEAD", "POST"] {
            let answer = wire.send(&request(method, &format!("/{status}"))).await;
            assert_eq!(answer.status, status, "{method} {status}");
            assert_eq!(answer.header("etag"), Some("\"1\""), "{method} {status}");
            let expected = if method == "HEAD" || matches!(status, 204 | 304) { "" } else { "body" };
            assert_eq!(answer.text(), expected, "{method} {status}");
            if matches!(status, 204 | 304) {
                assert_eq!(answer.header("transfer-encoding"), None, "{method} {status}");
            }
        }
    }
}

/// RFC 9112, 9.6: it has said all that it will say, and still listens.
#[tokio::test]
async fn a_client_that_has_closed_its_side_gets_its_answer() {
    let gate = Gate::closed();
    let held = gate.clone();
    let upstream =
        Upstream::answering(move |request| Reply::new(200, request.body.clone()).after(&held)).await;
    let standin = before(upstream.url()).await;
    for (path, expected) in [("/mocked", "got hello"), ("/passed", "hello")] {
        for framing in
            ["Content-Length: 5\r\n\r\nhello", "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"]
        {
            let mut wire = standin.wire().await;
            let head = format!("POST {path} HTTP/1.1\r\nHost: a\r\nContent-Type: text/plain\r\n");
            wire.write(format!("{head}{framing}").as_bytes()).await;
            wire.writer.shutdown().await.expect("an open connection");
            if path == "/passed" {
                let arrived = async || (!upstream.received().is_empty()).then_some(());
                eventually(SOON, "it reaches the upstream", arrived).await;
            }
            gate.open();
            wire.response().await.is(200, expected);
        }
    }
    let mut wire = standin.wire().await;
    wire.write(b"GET /mocked HTTP/1.1\r\nHost: a\r\n\r\n").await;
    wire.writer.shutdown().await.expect("an open connection");
    wire.response().await.is(200, "mock");
    // The connection ends, and nothing of it stays.
    assert_eq!(
        within(SOON, "the end", wire.reader.read_u8()).await.map_err(|e| e.kind()),
        Err(std::io::ErrorKind::UnexpectedEof)
    );
}

/// The smallest request, and one that ends its connection by itself.
#[tokio::test]
async fn clients_of_http_1_0_are_answered() {
    let upstream = Upstream::answering(|request| Reply::new(200, request.target.clone()).chunked()).await;
    let standin = before(upstream.url()).await;
    for (sent, body) in [
        ("GET / HTTP/1.0\r\n\r\n", "/"),
        ("GET /mocked HTTP/1.0\r\n\r\n", "mock"),
        ("POST /mocked HTTP/1.0\r\nContent-Type: text/plain\r\nContent-Length: 5\r\n\r\nhello", "got hello"),
    ] {
        let mut wire = standin.wire().await;
        wire.write(sent.as_bytes()).await;
        let mut got = String::new();
        within(SOON, "the end of the connection", wire.reader.read_to_string(&mut got)).await.expect("text");
        assert!(
            got.starts_with("HTTP/1.1 200 ") && got.ends_with(&format!("\r\n\r\n{body}")),
            "{sent}: {got}"
        );
    }
}

/// RFC 9110, 5.3: the order of fields of one name has a meaning.
#[tokio::test]
async fn fields_of_one_name_keep_their_order() {
    let upstream = Upstream::answering(|_| {
        (0..20).fold(Reply::new(200, ""), |reply, n| {
            reply.header("Set-Cookie", &format!("c{n}=1; Path=/")).header("X-List", &n.to_string())
        })
    })
    .await;
    let standin = before(upstream.url()).await;
    let asked = (0..20).fold(get("/x"), |asked, n| asked.header("X-Many", &format!("a{n}, b{n}")));
    let answer = standin.send(asked).await;
    let cookies: Vec<_> = (0..20).map(|n| format!("c{n}=1; Path=/")).collect();
    assert_eq!(answer.all("set-cookie"), cookies);
    assert_eq!(answer.all("x-list").len(), 20);
    let many: Vec<_> = (0..20).map(|n| format!("a{n}, b{n}")).collect();
    assert_eq!(upstream.only().all("x-many"), many);
}

#[tokio::test]
async fn an_upstream_of_http_2_is_met_in_its_own_words() {
    let upstream = Upstream::speaking(Speaks::H2c, |request| {
        let cookies = ["a=1", "b=2"];
        let reply = Reply::new(200, request.body.clone()).header("x-target", &request.target);
        cookies.iter().fold(reply, |reply, cookie| reply.header("set-cookie", cookie))
    })
    .await;
    let standin = before(upstream.url()).await;
    let sent = request("PUT", "/a%2Fb?c=%41").header("Host", "api.example").header("Connection", "X-Private");
    let sent = sent.header("X-Private", "1").header("Cookie", "a=1; b=2").body(b"body".to_vec());
    let answer = standin.send(sent).await;
    answer.is(200, "body");
    assert_eq!(answer.header("x-target"), Some("/a%2Fb?c=%41"));
    assert_eq!(answer.all("set-cookie"), ["a=1", "b=2"]);
    let arrived = upstream.only();
    assert_eq!((arrived.method.as_str(), arrived.header(":authority")), ("PUT", Some("api.example")));
    for gone in ["connection", "x-private", "transfer-encoding", "upgrade"] {
        assert_eq!(arrived.header(gone), None, "{gone}");
    }
    assert_eq!(arrived.list("x-forwarded-for"), ["127.0.0.1"]);
}

#[tokio::test]
async fn trailers_of_an_answer_pass_over_http_2() {
    let upstream = Upstream::speaking(Speaks::H2c, |request| {
        Reply::new(200, request.body.clone()).chunked().trailer("x-sum", "42").trailer("grpc-status", "0")
    })
    .await;
    let standin = before_with_h2c(upstream.url()).await;
    let (answer, trailers) = with_trailers(&standin, HeaderMap::new()).await;
    answer.is(200, "body");
    for (name, expected) in [("x-sum", "42"), ("grpc-status", "0")] {
        assert_eq!(trailers.get(name).and_then(|value| value.to_str().ok()), Some(expected), "{name}");
    }
    assert_eq!(upstream.only().header("te"), Some("trailers"));
}

/// pingora drops them (`v2/server.rs` reads none); the body before them has to be whole all the same.
#[tokio::test]
async fn trailers_of_a_request_do_no_harm_over_http_2() {
    for speaks in [Speaks::Http1, Speaks::H2c] {
        let upstream = Upstream::speaking(speaks, |request| Reply::new(200, request.body.clone())).await;
        let standin = before_with_h2c(upstream.url()).await;
        let mut trailers = HeaderMap::new();
        trailers.insert("x-sum", "42".parse().expect("a value"));
        with_trailers(&standin, trailers).await.0.is(200, "body");
    }
}

async fn with_trailers(standin: &Standin, trailers: HeaderMap) -> (Response, HeaderMap) {
    let client = Http2::open(standin.data).await;
    let asked = request("POST", "/x").header("te", "trailers").header("content-type", "application/grpc");
    let Exchange { mut body, answer } = client.begin(&asked, Ends::Body).await.expect("a stream");
    let trailers = Some(trailers).filter(|trailers| !trailers.is_empty());
    write_body(&mut body, "body".into(), trailers).await.expect("a reader");
    within(SOON, "an answer", read_answer(answer)).await.expect("an answer")
}

/// HTTP/1 has no place for them that pingora reads; see the page of differences.
#[tokio::test]
async fn trailers_of_http_1_are_dropped_and_the_body_is_whole() {
    let upstream = Upstream::answering(|_| Reply::new(200, "body").chunked().trailer("x-sum", "42")).await;
    let standin = before(upstream.url()).await;
    let mut wire = standin.wire().await;
    for _ in 0..3 {
        wire.send(&get("/x")).await.is(200, "body");
    }
}

#[tokio::test]
async fn clients_of_http_2_get_what_others_get() {
    let upstream = Upstream::answering(|request| {
        let reply = Reply::new(200, request.body.clone()).header("x-target", &request.target);
        reply
            .header("set-cookie", "a=1")
            .header("set-cookie", "b=2")
            .header("connection", "x-hop")
            .header("x-hop", "1")
    })
    .await;
    let standin = before_with_h2c(upstream.url()).await;
    let client = Http2::open(standin.data).await;
    let answer = client
        .send(
            &request("PUT", "/a%2Fb?c=%41")
                .header("cookie", "a=1")
                .header("cookie", "b=2")
                .body(b"body".to_vec()),
        )
        .await;
    answer.is(200, "body");
    assert_eq!(answer.header("x-target"), Some("/a%2Fb?c=%41"));
    assert_eq!(answer.all("set-cookie"), ["a=1", "b=2"]);
    for gone in ["connection", "x-hop", "keep-alive", "transfer-encoding"] {
        assert_eq!(answer.header(gone), None, "{gone}");
    }
    let arrived = upstream.only();
    assert_eq!(arrived.header("host"), Some("standin.test"));
    assert!(arrived.list("via")[0].starts_with("2"), "{:?}", arrived.list("via"));
    client.send(&get("/mocked")).await.is(200, "mock");
    let whole = client
        .send(&request("POST", "/mocked").header("content-type", "text/plain").body(b"x".to_vec()))
        .await;
    whole.is(200, "got x");
    let bodyless = client.send(&head("/mocked")).await;
    assert_eq!((bodyless.status, bodyless.body.len()), (200, 0));
    let nothing = client.send(&request("DELETE", "/chat/none")).await;
    assert_eq!(nothing.status, 200);
}

/// RFC 9113, 8.2.3: crumbs are one field for who speaks HTTP/1.1.
#[tokio::test]
async fn crumbs_of_a_cookie_are_put_together() {
    let upstream = Upstream::start().await;
    let standin = before_with_h2c(upstream.url()).await;
    let client = Http2::open(standin.data).await;
    client.send(&get("/x").header("cookie", "a=1").header("cookie", "b=2")).await;
    assert_eq!(upstream.only().all("cookie"), ["a=1; b=2"]);
}

/// Streams do not wait for each other.
#[tokio::test]
async fn streams_of_one_connection_are_answered_in_any_order() {
    let gate = Gate::closed();
    let held = gate.clone();
    let upstream = Upstream::answering(move |request| {
        let reply = Reply::new(200, request.target.clone());
        if request.target == "/slow" { reply.after(&held) } else { reply }
    })
    .await;
    let standin = before_with_h2c(upstream.url()).await;
    let client = Http2::open(standin.data).await;
    let slow = client.begin(&get("/slow"), Ends::Head).await.expect("a stream");
    for number in 0..100 {
        let target = format!("/{number}");
        client.send(&get(&target)).await.is(200, &target);
        client.send(&get("/mocked")).await.is(200, "mock");
    }
    gate.open();
    within(SOON, "the first", read_answer(slow.answer)).await.expect("an answer").0.is(200, "/slow");
}

/// HTTP/1.1 and HTTP/2 on one port, with the smallest request of all (RFC 9113, 3.3: a preface has 24
/// bytes).
#[tokio::test]
async fn one_port_takes_both_versions() {
    let upstream = Upstream::start().await;
    let standin = before_with_h2c(upstream.url()).await;
    let client = Http2::open(standin.data).await;
    for _ in 0..3 {
        client.send(&get("/x")).await.is(200, "upstream: GET /x");
        standin.get("/x").await.is(200, "upstream: GET /x");
        let mut wire = standin.wire().await;
        wire.write(b"GET / HTTP/1.0\r\n\r\n").await;
        assert_eq!(wire.response_head().await.status, 200);
    }
}

#[tokio::test]
async fn a_stream_that_its_client_resets_harms_no_other() {
    let gate = Gate::closed();
    let held = gate.clone();
    let upstream = Upstream::answering(move |request| {
        let reply = Reply::new(200, request.target.clone());
        if request.target == "/slow" { reply.after(&held) } else { reply }
    })
    .await;
    let standin = before_with_h2c(upstream.url()).await;
    let client = Http2::open(standin.data).await;
    let mut left = client.begin(&post("/slow", ""), Ends::Body).await.expect("a stream");
    write_piece(&mut left.body, "beginning".into()).await.expect("room");
    left.body.send_reset(h2::Reason::CANCEL);
    drop(left);
    for _ in 0..5 {
        client.send(&get("/x")).await.is(200, "/x");
    }
    gate.open();
    standin.counts(0.0, "standin_upstream_failures_total", &[]).await;
}

#[tokio::test]
async fn clients_over_tls_choose_their_version() {
    let upstream = Upstream::start().await;
    let authority = Authority::new();
    let shown = authority.signs(&["localhost"]);
    let config = format!(
        "listen: [{{address: '127.0.0.1:0', tls: {{cert: cert.pem, key: key.pem}}}}]\nadmin: 127.0.0.1:0\n\
         upstreams: {{default: {{servers: ['{}']}}}}\n",
        upstream.url()
    );
    let standin = Standin::with()
        .paths(MOCKED)
        .file("cert.pem", &shown.chain)
        .file("key.pem", &shown.key)
        .config(&config)
        .without_addresses()
        .start()
        .await;
    let stream = authority.connect(standin.data, &["h2", "http/1.1"]).await.expect("TLS");
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    let client = Http2::over(stream).await;
    client.send(&get("/x")).await.is(200, "upstream: GET /x");
    client.send(&get("/mocked")).await.is(200, "mock");
    let mut stream = authority.connect(standin.data, &["http/1.1"]).await.expect("TLS");
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"http/1.1"[..]));
    stream
        .write_all(b"GET /mocked HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        .await
        .expect("a reader");
    let mut got = Vec::new();
    // A client tells the end by its length, whether the server takes leave of TLS or not.
    within(SOON, "the end", stream.read_to_end(&mut got)).await.ok();
    assert!(got.ends_with(b"\r\n\r\nmock"), "{}", String::from_utf8_lossy(&got));
    assert_eq!(upstream.only().list("x-forwarded-proto"), ["https"]);
}

async fn read_until(stream: &mut TcpStream, end: &[u8]) {
    let mut seen = Vec::new();
    while !seen.ends_with(end) {
        seen.push(stream.read_u8().await.expect("the proxy goes on"));
    }
}
