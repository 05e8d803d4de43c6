//! Bodies of all sizes, in all framings, through all modes: nothing lost, doubled or hanging.
//!
//! Each cell of the matrix is one request. Whether it is answered from the document depends on its
//! body. The upstream says the length and the hash of what it got, and keeps both, so that each cell
//! tells who answered, and what reached whom.

use std::collections::HashMap;
use std::fmt::Debug;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::Semaphore;

use crate::harness::*;

const MIB: usize = 1 << 20;

/// pingora keeps 64 KiB of a body by itself; `limits.mocked_body` is 1 MiB.
const SIZES: [usize; 7] = [0, 1, 40_000, 65_536, 66_000, 200_000, LARGE];

/// Far more than is kept.
const LARGE: usize = 20_000_000;

const HTTP_1: [Framing; 3] = [Framing::Length, Framing::Chunked, Framing::Expect];

/// A cell that takes longer hangs.
const PATIENCE: Duration = Duration::from_secs(20);

/// Requests at once.
const AT_ONCE: usize = 4;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Framing {
    Length,
    Chunked,
    Expect,
    Http2,
}

/// In MB: less than the large bodies that are under way at once.
const GROWTH: u64 = 78;

/// A mode, and whether it is the document that has the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Case {
    Mock,
    MatchHit,
    MatchMiss,
    /// The upstream has got it.
    FallbackHit,
    /// It has not.
    FallbackMiss,
    Pass,
}

impl Case {
    fn mode(self) -> &'static str {
        match self {
            Case::Mock => "mock",
            Case::MatchHit | Case::MatchMiss => "match",
            Case::FallbackHit | Case::FallbackMiss => "fallback",
            Case::Pass => "pass",
        }
    }
}

#[derive(Debug, Clone, Copy)]
struct Cell {
    case: Case,
    framing: Framing,
    size: usize,
}

#[derive(Debug, PartialEq, Eq)]
enum Answerer {
    Document,
    Upstream(u16),
    TooLarge,
}

impl Cell {
    fn answerer(self, limit: usize) -> Answerer {
        match (self.case, self.size <= limit) {
            (Case::Mock | Case::MatchHit | Case::FallbackMiss, true) => Answerer::Document,
            (Case::Mock, false) => Answerer::TooLarge,
            (Case::FallbackMiss, false) => Answerer::Upstream(404),
            _ => Answerer::Upstream(200),
        }
    }

    /// Unique, and what the upstream keeps it under.
    fn name(self) -> String {
        format!("{:?}-{:?}-{}", self.case, self.framing, self.size)
    }

    fn request(self, body: &[u8]) -> Request {
        let missing = if self.case == Case::FallbackMiss { "404" } else { "200" };
        // A body of no bytes is no JSON that an example could be: the path says it then.
        let size = match (self.case, self.size) {
            (Case::MatchMiss, 0) => "none".to_owned(),
            (_, size) => size.to_string(),
        };
        let request = request("POST", &format!("/{}/{size}", self.case.mode()))
            .header("content-type", "application/json")
            .header("x-cell", &self.name())
            .header("x-status", missing)
            .body(body.to_vec());
        match self.framing {
            Framing::Chunked => request.chunked(),
            _ => request,
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mocked_and_passed_bodies_are_whole_over_http_1() {
    Matrix::start(Speaks::Http1, "").await.holds(&[Case::Mock, Case::Pass], &HTTP_1, &SIZES).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mocked_and_passed_bodies_are_whole_over_http_2() {
    let matrix = Matrix::start(Speaks::Http1, "").await;
    matrix.holds(&[Case::Mock, Case::Pass], &[Framing::Http2], &SIZES).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn matched_bodies_are_whole_over_http_1() {
    let matrix = Matrix::start(Speaks::Http1, "").await;
    matrix.holds(&[Case::MatchHit, Case::MatchMiss], &HTTP_1, &SIZES).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bodies_that_may_fall_back_are_whole_over_http_1() {
    let matrix = Matrix::start(Speaks::Http1, "").await;
    matrix.holds(&[Case::FallbackHit, Case::FallbackMiss], &HTTP_1, &SIZES).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn matched_bodies_and_fallbacks_are_whole_over_http_2() {
    let cases = [Case::MatchHit, Case::MatchMiss, Case::FallbackHit, Case::FallbackMiss];
    Matrix::start(Speaks::Http1, "").await.holds(&cases, &[Framing::Http2], &SIZES).await;
}

const OTHER_UPSTREAMS: [usize; 3] = [1, 66_000, 200_000];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bodies_are_whole_before_an_upstream_of_http_2() {
    let matrix = Matrix::start(Speaks::H2c, "").await;
    matrix.holds(&[Case::Pass], &[Framing::Length, Framing::Chunked], &SIZES).await;
}

/// It has ended with the head, and nothing may be sent after it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_body_may_fall_back_before_an_upstream_of_http_2() {
    let cases = [Case::FallbackHit, Case::FallbackMiss];
    let framings = [Framing::Length, Framing::Chunked, Framing::Http2];
    Matrix::start(Speaks::H2c, "").await.holds(&cases, &framings, &[0]).await;
}

/// pingora does not pass the leave of an HTTP/2 upstream on, so Standin gives it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_that_is_waited_for_is_whole_before_an_upstream_of_http_2() {
    let matrix = Matrix::start(Speaks::H2c, "").await;
    matrix.holds(&[Case::Pass], &[Framing::Expect], &OTHER_UPSTREAMS).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bodies_are_whole_before_an_upstream_of_http_2_in_every_mode() {
    let cases = [Case::MatchHit, Case::MatchMiss, Case::FallbackHit, Case::FallbackMiss, Case::Pass];
    let framings = [Framing::Length, Framing::Chunked, Framing::Http2];
    Matrix::start(Speaks::H2c, "").await.holds(&cases, &framings, &OTHER_UPSTREAMS).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bodies_are_whole_before_an_upstream_of_tls() {
    let cases = [Case::MatchHit, Case::MatchMiss, Case::FallbackHit, Case::FallbackMiss, Case::Pass];
    let framings = [Framing::Length, Framing::Chunked, Framing::Http2];
    for protocols in [&["http/1.1"], &["h2"]] {
        let authority = Authority::new();
        let matrix = Matrix::start(Speaks::Tls(authority.server(protocols)), &authority.pem()).await;
        matrix.holds(&cases, &framings, &OTHER_UPSTREAMS).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mocked_body_may_have_exactly_the_limit() {
    let sizes = [MIB - 1, MIB, MIB + 1];
    Matrix::start(Speaks::Http1, "").await.holds(&[Case::Mock], &HTTP_1, &sizes).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_is_kept_up_to_exactly_the_limit() {
    let sizes = [MIB - 1, MIB, MIB + 1];
    let cases = [Case::Mock, Case::MatchHit, Case::MatchMiss, Case::FallbackHit, Case::FallbackMiss];
    let framings = [Framing::Length, Framing::Chunked, Framing::Expect, Framing::Http2];
    Matrix::start(Speaks::Http1, "").await.holds(&cases, &framings, &sizes).await;
}

/// A Standin with an operation for each mode, and the upstream behind it.
struct Matrix {
    standin: Standin,
    /// The most memory that was held before the first request.
    begun: Option<u64>,
    upstream: Upstream,
    /// Of each cell: length and hash of what reached the upstream, each time.
    arrived: Arc<Mutex<HashMap<String, Vec<String>>>>,
}

impl Matrix {
    /// `ca` is whom a TLS upstream is believed by.
    async fn start(speaks: Speaks, ca: &str) -> Matrix {
        let arrived: Arc<Mutex<HashMap<String, Vec<String>>>> = Arc::default();
        let log = arrived.clone();
        let upstream = Upstream::speaking(speaks, move |request| {
            let said = seal(&request.body);
            let cell = request.header("x-cell").unwrap_or_default().to_owned();
            log.lock().unwrap().entry(cell).or_default().push(said.clone());
            let status = request.header("x-status").and_then(|status| status.parse().ok());
            Reply::new(status.unwrap_or(200), said)
        })
        .await;
        let tls = if ca.is_empty() { "" } else { ", tls: {ca: ca.pem, sni: localhost}" };
        let config = format!(
            "listen: [{{address: '127.0.0.1:0', h2c: true}}]\nadmin: 127.0.0.1:0\n\
             upstreams: {{default: {{servers: ['{}']{tls}}}}}\n\
             rules:\n\
             - {{operations: 'POST /mock/*', mode: mock}}\n\
             - {{operations: 'POST /match/*', mode: match}}\n\
             - {{operations: 'POST /fallback/*', mode: fallback}}\n\
             - {{operations: 'POST /pass/*', mode: pass}}\n",
            upstream.url()
        );
        let standin = Standin::with()
            .file("ca.pem", ca)
            .spec(&sized_document().to_string())
            .config(&config)
            .without_addresses()
            .start()
            .await;
        Matrix { begun: standin.peak_so_far(), standin, upstream, arrived }
    }

    /// Every cell, some at a time; what failed is told together.
    #[track_caller]
    fn holds(self, cases: &[Case], framings: &[Framing], sizes: &[usize]) -> impl Future<Output = ()> {
        let caller = std::panic::Location::caller();
        let large = sizes.contains(&LARGE);
        let mut cells = Vec::new();
        for &size in sizes {
            let bodies = [body(size, b'a'), body(size, b'b')];
            for (&case, &framing) in cases.iter().flat_map(|case| framings.iter().map(move |f| (case, f))) {
                let differs = case == Case::MatchMiss;
                cells.push((Cell { case, framing, size }, bodies[usize::from(differs)].clone()));
            }
        }
        async move {
            let matrix = Arc::new(self);
            let room = Arc::new(Semaphore::new(AT_ONCE));
            let running: Vec<_> = cells
                .into_iter()
                .map(|(cell, body)| {
                    let (matrix, room) = (matrix.clone(), room.clone());
                    tokio::spawn(async move {
                        let _turn = room.acquire().await.expect("it is never closed");
                        let result = tokio::time::timeout(PATIENCE, matrix.check(cell, &body)).await;
                        matrix.upstream.forget();
                        result.unwrap_or_else(|_| Err("hangs".to_owned())).map_err(|e| (cell, e))
                    })
                })
                .collect();
            let mut wrong = Vec::new();
            for cell in running {
                wrong.extend(cell.await.expect("a cell does not panic").err());
            }
            assert!(wrong.is_empty(), "{caller}: {wrong:#?}");
            if let (true, Some(begun), Some(peak)) = (large, matrix.begun, matrix.standin.peak_so_far()) {
                let more = (peak - begun) / 1_000_000;
                assert!(more < GROWTH, "{caller}: {more} MB more than before the first request");
            }
        }
    }

    async fn check(&self, cell: Cell, body: &Bytes) -> Result<(), String> {
        let response = self.ask(cell, body).await?;
        let answerer = cell.answerer(MIB);
        let arrived = self.arrived.lock().unwrap().remove(&cell.name()).unwrap_or_default();
        let sealed = seal(body);
        // A fallback asks the upstream first, and only once.
        let asked = matches!(answerer, Answerer::Upstream(_)) || cell.case == Case::FallbackMiss;
        same("what reached the upstream", &arrived, &vec![sealed.clone(); usize::from(asked)])?;
        match answerer {
            Answerer::Upstream(status) => {
                same("status", &response.status, &status)?;
                same("the upstream's answer", &response.text(), &sealed)
            }
            Answerer::Document => {
                same("status", &response.status, &201)?;
                same("source", &response.header("x-standin-source"), &Some("mock"))?;
                same("body", &response.text(), &format!(r#"{{"ours":{}}}"#, cell.size))
            }
            Answerer::TooLarge => {
                same("status", &response.status, &413)?;
                same("error", &response.header("x-standin-error"), &Some("body-too-large"))
            }
        }
    }

    async fn ask(&self, cell: Cell, body: &Bytes) -> Result<Response, String> {
        let request = cell.request(body);
        let address = self.standin.data;
        match cell.framing {
            Framing::Http2 => {
                let request = request.header("content-length", &body.len().to_string());
                let answer = Http2::open(address).await.try_send(&request).await;
                answer.map_err(|error| error.to_string())
            }
            Framing::Expect => expecting(&request.header("expect", "100-continue"), address).await,
            Framing::Length | Framing::Chunked => request.try_to(address).await,
        }
    }
}

fn same<T: PartialEq + Debug + ?Sized>(what: &str, got: &T, expected: &T) -> Result<(), String> {
    if got == expected { Ok(()) } else { Err(format!("{what}: {got:?}, expected {expected:?}")) }
}

/// The head; then, with leave, the body.
async fn expecting(request: &Request, address: std::net::SocketAddr) -> Result<Response, String> {
    let mut wire = Wire::try_open(address).await?;
    let bytes = request.bytes(address);
    let (head, body) = bytes.split_at(bytes.len() - request.body.len());
    wire.writer.write_all(head).await.map_err(|error| format!("head: {error}"))?;
    let first = wire.try_head().await?;
    match first.status {
        100 => {}
        // Without a body there is nothing to wait for; a refusal needs none (RFC 9110, 10.1.1).
        413 if !body.is_empty() => return wire.try_rest(first).await,
        _ if body.is_empty() => return wire.try_rest(first).await,
        status => return Err(format!("{status} before the body was sent")),
    }
    let (reader, writer) = (&mut wire.reader, &mut wire.writer);
    let write = async { writer.write_all(body).await.ok() };
    tokio::join!(write, Wire::read(reader, "POST")).1
}

/// Length and hash.
fn seal(body: &[u8]) -> String {
    let hash = ring::digest::digest(&ring::digest::SHA256, body);
    let hash: String = hash.as_ref().iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    format!("{} {hash}", body.len())
}

/// JSON of so many bytes: nothing, a digit, or a string without a pattern that ends with `last`.
fn body(size: usize, last: u8) -> Bytes {
    match size {
        0 => return Bytes::new(),
        1 => return Bytes::from(vec![last - b'a' + b'7']),
        _ => {}
    }
    let mut out = Vec::with_capacity(size);
    out.push(b'"');
    // xorshift
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    while out.len() < size - 2 {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        out.extend(state.to_le_bytes().map(|byte| b'A' + byte % 16));
    }
    out.truncate(size - 2);
    out.extend([last, b'"']);
    Bytes::from(out)
}

/// In each mode an operation with an exchange for each size up to the limit: its path and its body.
fn sized_document() -> Value {
    let kept = SIZES.into_iter().chain([MIB - 1, MIB]).filter(|size| *size <= MIB);
    let kept: Vec<(usize, String)> = kept.map(|size| (size, format!("n{size}"))).collect();
    let value = |size: usize| -> Value { serde_json::from_slice(&body(size, b'a')).expect("JSON") };
    let examples = |of: &dyn Fn(usize, &str) -> Option<Value>| -> Value {
        kept.iter().filter_map(|(size, name)| Some((name.clone(), of(*size, name)?))).collect()
    };
    let bodies =
        examples(&|size, name| (size > 0).then(|| json!({"$ref": format!("#/components/examples/{name}")})));
    let paths = examples(&|size, _| Some(json!({"value": size.to_string()})));
    let answers = examples(&|size, _| Some(json!({"value": {"ours": size}})));
    let operation = json!({"post": {
        "parameters": [{"name": "size", "in": "path", "required": true, "schema": {"type": "string"}, "examples": paths}],
        "requestBody": {"content": {"application/json": {"examples": bodies}}},
        "responses": {"201": {"description": "ok", "content": {"application/json": {"examples": answers}}}}
    }});
    let modes = ["mock", "match", "fallback", "pass"];
    let paths: Value = modes.iter().map(|mode| (format!("/{mode}/{{size}}"), operation.clone())).collect();
    json!({
        "openapi": "3.1.0",
        "info": {"title": "Sizes", "version": "1"},
        "paths": paths,
        "components": {"examples": examples(&|size, _| (size > 0).then(|| json!({"value": value(size)})))}
    })
}

/// Answers as large as the requests, that begin while the request is still on its way.
async fn echoes(rule: &str, framing: Framing) {
    let upstream = Upstream::answering(|request| {
        let reply = Reply::new(200, request.body.clone());
        if request.header("content-length").is_some() { reply } else { reply.chunked() }
    })
    .await;
    let config = format!(
        "listen: [{{address: '127.0.0.1:0', h2c: true}}]\nadmin: 127.0.0.1:0\n\
         upstreams: {{default: {{servers: ['{}']}}}}\nmode: {rule}\n",
        upstream.url()
    );
    let standin =
        Standin::with().spec(&sized_document().to_string()).config(&config).without_addresses().start().await;
    for size in [1, 66_000, 200_000, LARGE] {
        let body = body(size, b'b');
        let sent =
            request("POST", "/match/miss").header("content-type", "application/json").body(body.to_vec());
        let answer = match framing {
            Framing::Http2 => Http2::open(standin.data).await.send(&sent).await,
            Framing::Chunked => standin.send(sent.chunked()).await,
            Framing::Length | Framing::Expect => standin.send(sent).await,
        };
        assert_eq!(answer.status, 200, "{rule} {framing:?} {size}: {}", answer.text());
        assert!(answer.body == body, "{rule} {framing:?} {size}: {} bytes came back", answer.body.len());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn passed_bodies_come_back_whole() {
    echoes("pass", Framing::Length).await;
    echoes("pass", Framing::Chunked).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bodies_that_were_looked_at_come_back_whole() {
    for rule in ["match", "fallback"] {
        for framing in [Framing::Length, Framing::Chunked, Framing::Http2] {
            echoes(rule, framing).await;
        }
    }
}

/// Pieces of every size, each written by itself.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn odd_pieces_are_one_body() {
    odd_pieces(&[("mock", 201), ("pass", 200)]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn odd_pieces_are_one_body_in_every_mode() {
    odd_pieces(&[("match", 201), ("fallback", 200)]).await;
}

async fn odd_pieces(modes: &[(&str, u16)]) {
    const PIECES: [usize; 9] = [1, 2, 7, 1_000, 4_095, 4_097, 16_384, 65_535, 65_537];
    let matrix = Matrix::start(Speaks::Http1, "").await;
    let body = body(200_000, b'a');
    for (mode, status) in modes {
        for first in 0..PIECES.len() {
            let mut wire = matrix.standin.wire().await;
            let head =
                format!("POST /{mode}/200000 HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n");
            wire.write(format!("{head}Transfer-Encoding: chunked\r\n\r\n").as_bytes()).await;
            let mut rest = body.clone();
            for size in PIECES.iter().cycle().skip(first) {
                if rest.is_empty() {
                    break;
                }
                let piece = rest.split_to((*size).min(rest.len()));
                wire.write(format!("{:x};odd=\"yes\"\r\n", piece.len()).as_bytes()).await;
                wire.write(&piece).await;
                wire.write(b"\r\n").await;
            }
            wire.write(b"0\r\nx-trailer: dropped\r\n\r\n").await;
            let answer = wire.response().await;
            assert_eq!(answer.status, *status, "{mode} {first}: {}", answer.text());
            if *status == 200 {
                assert_eq!(answer.text(), seal(&body), "{mode} {first}");
            }
            // Nothing of the body is left on the connection.
            wire.send(&request("POST", "/pass/1").body(b"7".to_vec())).await.is(200, &seal(b"7"));
        }
    }
}

/// Past the limit nothing is decided any more: what was read goes on at once, and so does the rest.
#[tokio::test]
async fn a_body_past_the_limit_passes_as_it_comes() {
    let (limit, sent) = (MIB, MIB + 100_000);
    let beginning = Gate::closed();
    let seen = beginning.clone();
    let upstream = RawUpstream::start(move |mut stream| {
        let seen = seen.clone();
        async move {
            let mut got = vec![0; limit];
            stream.read_exact(&mut got).await.expect("head and beginning");
            seen.open();
            let mut tail = Vec::new();
            while !tail.ends_with(b"end\"") {
                tail.push(stream.read_u8().await.expect("the rest"));
            }
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await.expect("a reader");
        }
    })
    .await;
    for mode in ["match", "fallback"] {
        let config = format!("upstreams: {{default: {{servers: ['{}']}}}}\nmode: {mode}\n", upstream.url());
        let standin = Standin::with().spec(&sized_document().to_string()).config(&config).start().await;
        let mut wire = standin.wire().await;
        let whole = body(sent + 4, b'b').slice(..sent);
        let head = format!("POST /{mode}/1 HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n");
        wire.write(format!("{head}Content-Length: {}\r\n\r\n", sent + 4).as_bytes()).await;
        wire.write(&whole).await;
        // The client waits until the upstream has got what it sent so far.
        within(SOON, "the beginning goes on before the end is there", beginning.passed()).await;
        wire.write(b"end\"").await;
        wire.response().await.is(200, "ok");
    }
}

#[tokio::test]
async fn a_body_that_pauses_is_waited_for() {
    let matrix = Matrix::start(Speaks::Http1, "").await;
    let body = body(66_000, b'a');
    for (mode, status) in [("mock", 201), ("match", 201), ("fallback", 200), ("pass", 200)] {
        let mut wire = matrix.standin.wire().await;
        let head = format!("POST /{mode}/66000 HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n");
        wire.write(format!("{head}Content-Length: {}\r\n\r\n", body.len()).as_bytes()).await;
        for piece in body.chunks(30_000) {
            holds_for(Duration::from_millis(50), "no answer", || wire.reader.buffer().is_empty()).await;
            wire.write(piece).await;
        }
        let answer = wire.response().await;
        assert_eq!(answer.status, status, "{mode}: {}", answer.text());
    }
}
