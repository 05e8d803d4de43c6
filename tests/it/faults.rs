//! Upstreams that misbehave: the right 502 or 504, or a cut; no hang past the timeout; other routes
//! unharmed.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::harness::*;

/// Of the upstream that misbehaves.
const TIMEOUT: Duration = Duration::from_millis(500);

/// The timeout, and what a busy machine may add.
const NO_HANG: Duration = Duration::from_secs(8);

/// What an upstream does once it has read a request's head. After the last step it closes.
#[derive(Debug, Clone, Copy)]
enum Step {
    Say(&'static str),
    Repeat(&'static str, usize),
    /// Byte by byte, with this between them.
    Trickle(&'static str, Duration),
    /// Says nothing until the other side has gone.
    Hang,
    /// Closes without taking leave.
    Reset,
}

use Step::{Hang, Repeat, Reset, Say, Trickle};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Expected {
    /// Status, code, and the reason in the metric.
    Problem(u16, &'static str, &'static str),
    /// Its beginning came, and it can be told from a whole answer; the reason in the metric.
    Cut(&'static str),
    /// As it was said.
    Whole(u16, &'static str),
}

use Expected::{Cut, Problem, Whole};

const RESET: Expected = Problem(502, "upstream-protocol", "reset");
const PROTOCOL: Expected = Problem(502, "upstream-protocol", "protocol");
const TIMED_OUT: Expected = Problem(504, "upstream-timeout", "timeout");

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n";
const CHUNKED: &str = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";

/// Well within the timeout.
const SLOW: Duration = Duration::from_millis(100);

const FAULTS: &[(&str, &[Step], Expected)] = &[
    ("closes", &[], RESET),
    ("closes-in-the-head", &[Say("HTTP/1.1 200 OK\r\ncontent-")], RESET),
    ("closes-after-the-head", &[Say(OK)], Cut("reset")),
    ("closes-in-the-body", &[Say(OK), Say("12345")], Cut("reset")),
    ("closes-in-a-chunk", &[Say(CHUNKED), Say("a\r\n12345")], Cut("reset")),
    ("closes-between-chunks", &[Say(CHUNKED), Say("5\r\n12345\r\n")], Cut("reset")),
    ("closes-before-the-last-line", &[Say(CHUNKED), Say("5\r\n12345\r\n0\r\n")], Cut("reset")),
    ("resets", &[Reset], RESET),
    ("resets-in-the-head", &[Say("HTTP/1.1 200 OK\r\ncontent-"), Reset], RESET),
    ("resets-in-the-body", &[Say(OK), Say("12345"), Reset], Cut("reset")),
    ("resets-in-a-chunk", &[Say(CHUNKED), Say("a\r\n12345"), Reset], Cut("reset")),
    ("hangs", &[Hang], TIMED_OUT),
    ("hangs-in-the-head", &[Say("HTTP/1.1 200 OK\r\ncontent-"), Hang], TIMED_OUT),
    ("hangs-in-the-body", &[Say(OK), Say("12345"), Hang], Cut("timeout")),
    ("hangs-in-a-chunk", &[Say(CHUNKED), Say("a\r\n12345"), Hang], Cut("timeout")),
    ("is-slow", &[Say(OK), Trickle("1234567890", SLOW)], Whole(200, "1234567890")),
    ("is-slow-in-chunks", &[Say(CHUNKED), Trickle("3\r\nabc\r\n0\r\n\r\n", SLOW)], Whole(200, "abc")),
    ("has-no-end-but-its-own", &[Say("HTTP/1.1 200 OK\r\n\r\n1234567890")], Whole(200, "1234567890")),
    ("is-no-http", &[Say("220 smtp.example ESMTP\r\n\r\n")], PROTOCOL),
    ("is-binary", &[Say("\0\u{1}\u{2}\u{3}\u{7f}\r\n\r\n"), Hang], PROTOCOL),
    ("is-an-empty-line", &[Say("\r\n\r\n"), Hang], TIMED_OUT),
    ("has-a-header-without-a-colon", &[Say("HTTP/1.1 200 OK\r\nnonsense\r\n\r\n")], PROTOCOL),
    ("has-a-header-with-a-space", &[Say("HTTP/1.1 200 OK\r\nx y: z\r\n\r\n")], PROTOCOL),
    ("has-status-0", &[Say("HTTP/1.1 000 Zero\r\ncontent-length: 0\r\n\r\n")], PROTOCOL),
    ("has-status-99", &[Say("HTTP/1.1 99 Low\r\ncontent-length: 0\r\n\r\n")], PROTOCOL),
    ("has-status-1000", &[Say("HTTP/1.1 1000 High\r\ncontent-length: 0\r\n\r\n")], PROTOCOL),
    ("has-a-word-for-a-status", &[Say("HTTP/1.1 abc Word\r\ncontent-length: 0\r\n\r\n")], PROTOCOL),
    ("has-status-999", &[Say("HTTP/1.1 999 Odd\r\ncontent-length: 2\r\n\r\nok")], Whole(999, "ok")),
    (
        "has-two-lengths",
        &[Say("HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\nabc")],
        PROTOCOL,
    ),
    ("has-a-signed-length", &[Say("HTTP/1.1 200 OK\r\ncontent-length: +3\r\n\r\nabc")], PROTOCOL),
    ("has-chunks-that-are-none", &[Say(CHUNKED), Say("zz\r\nabc\r\n")], Cut("protocol")),
    ("has-a-chunk-without-an-end", &[Say(CHUNKED), Say("3\r\nabcdef\r\n0\r\n\r\n")], Cut("protocol")),
    ("switches-unasked", &[Say("HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\n\r\n"), Hang], PROTOCOL),
    ("dies-after-hints", &[Repeat("HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n", 3)], RESET),
    (
        "has-many-headers",
        &[Say("HTTP/1.1 200 OK\r\n"), Repeat("x-many: 1\r\n", 5_000), Say("\r\n")],
        PROTOCOL,
    ),
    (
        "has-a-long-header",
        &[Say("HTTP/1.1 200 OK\r\nx: "), Repeat("0123456789abcdef", 200_000), Hang],
        PROTOCOL,
    ),
    (
        "floods-with-hints",
        &[Repeat("HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n", 5_000), Say(OK), Say("1234567890")],
        Whole(200, "1234567890"),
    ),
    (
        "floods-with-leave",
        &[Repeat("HTTP/1.1 100 Continue\r\n\r\n", 5_000), Say(OK), Say("1234567890")],
        Whole(200, "1234567890"),
    ),
    (
        "floods-with-102",
        &[Repeat("HTTP/1.1 102 Processing\r\n\r\n", 5_000), Say(OK), Say("1234567890")],
        Whole(200, "1234567890"),
    ),
];

/// All faults at once, while the other routes are asked again and again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fault_of_the_upstream_is_told_and_harms_nobody_else() {
    let both = Both::start(FAULTS).await;
    let (address, done) = (both.standin.data, Arc::new(AtomicBool::new(false)));
    let others = tokio::spawn(others_answer(address, done.clone()));
    let begun = both.standin.peak_so_far();
    let mut wrong = Vec::new();
    let asked: Vec<_> = FAULTS
        .iter()
        .map(|(name, _, expected)| tokio::spawn(async move { check(name, *expected, address).await }))
        .collect();
    for asked in asked {
        wrong.extend(asked.await.expect("a check does not panic").err());
    }
    done.store(true, Ordering::Relaxed);
    let rounds = others.await.expect("the other routes answered");
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(rounds >= 3, "{rounds}");
    for reason in ["reset", "protocol", "timeout"] {
        let of = |expected: &Expected| matches!(expected, Problem(_, _, r) | Cut(r) if *r == reason);
        let count = FAULTS.iter().filter(|(_, _, expected)| of(expected)).count();
        let labels = [("upstream", "default"), ("reason", reason)];
        both.standin.counts(count as f64, "standin_upstream_failures_total", &labels).await;
    }
    let good = [("upstream", "good")];
    assert_eq!(both.standin.metrics().await.value("standin_upstream_failures_total", &good), 0.0);
    if let (Some(begun), Some(peak)) = (begun, both.standin.peak_so_far()) {
        let more = (peak - begun) / 1_000_000;
        assert!(more < 40, "{more} MB more");
    }
}

/// The same while a body is on its way that is never read: at least an error, and no hang.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fault_while_a_large_body_is_sent_is_told_too() {
    let both = Both::start(FAULTS).await;
    let address = both.standin.data;
    let body = vec![b'x'; 3_000_000];
    let asked: Vec<_> = FAULTS
        .iter()
        .filter(|(_, _, expected)| !matches!(expected, Whole(..)))
        .map(|(name, _, _)| {
            let sent = request("POST", &format!("/{name}")).body(body.clone());
            tokio::spawn(async move {
                let answer = tokio::time::timeout(NO_HANG, sent.try_to(address)).await;
                match answer.map_err(|_| format!("{name}: hangs"))? {
                    Ok(answer) if matches!(answer.status, 502 | 504) => Ok(()),
                    Ok(answer) => Err(format!("{name}: {} {}", answer.status, answer.text())),
                    Err(_cut) => Ok(()),
                }
            })
        })
        .collect();
    let mut wrong = Vec::new();
    for asked in asked {
        wrong.extend(asked.await.expect("a check does not panic").err());
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    both.standin.get("/mocked").await.is(200, r#"{"says":"mock"}"#);
}

/// Each hint renews the upstream's time, so that their number has to have an end. A head that comes byte by
/// byte has none but its size, as it has none from nginx.
const ENDLESS: &[(&str, &[Step], Expected)] = &[
    ("hints-for-ever", &[Repeat("HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n", usize::MAX)], PROTOCOL),
    ("gives-leave-for-ever", &[Repeat("HTTP/1.1 100 Continue\r\n\r\n", usize::MAX)], PROTOCOL),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hints_that_never_end_are_502() {
    let both = Both::start(ENDLESS).await;
    for (name, _, expected) in ENDLESS {
        let asked = check(name, *expected, both.standin.data);
        let result = within(NO_HANG, name, asked).await;
        assert_eq!(result, Ok(()));
    }
    both.standin.get("/mocked").await.is(200, r#"{"says":"mock"}"#);
}

/// A misbehaving `default` upstream, a well-behaved one called `good`, and a mock.
struct Both {
    standin: Standin,
    _bad: RawUpstream,
    _good: Upstream,
}

impl Both {
    async fn start(faults: &'static [(&str, &[Step], Expected)]) -> Both {
        let bad = RawUpstream::start(move |mut stream| async move {
            let Some(head) = read_head(&mut stream).await else { return };
            let target = head.split(' ').nth(1).unwrap_or_default();
            let steps = faults.iter().find(|(name, ..)| target == format!("/{name}"));
            // The other side may have had enough.
            act(stream, steps.map_or(&[], |(_, steps, _)| steps)).await.ok();
        })
        .await;
        let good = Upstream::start().await;
        let config = format!(
            "upstreams:\n  default: {{servers: ['{}'], response_timeout: {}ms}}\n  good: {{servers: ['{}']}}\n\
             specs:\n- {{source: mocked.yaml}}\n- {{source: good.yaml, upstream: good, mode: pass}}\n",
            bad.url(),
            TIMEOUT.as_millis(),
            good.url()
        );
        let standin = Standin::with()
            .file("mocked.yaml", &document(&operation("get", "/mocked", "mock")))
            .file("good.yaml", &document(&operation("get", "/good", "unused")))
            .config(&config)
            .start()
            .await;
        Both { standin, _bad: bad, _good: good }
    }
}

async fn read_head(stream: &mut TcpStream) -> Option<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.ok()?);
    }
    String::from_utf8(head).ok()
}

async fn act(mut stream: TcpStream, steps: &[Step]) -> std::io::Result<()> {
    for step in steps {
        match *step {
            Say(text) => stream.write_all(text.as_bytes()).await?,
            Repeat(text, times) => repeat(&mut stream, text, times).await?,
            Trickle(text, between) => trickle(&mut stream, text, between).await?,
            Hang => {
                tokio::io::copy(&mut stream, &mut tokio::io::sink()).await?;
            }
            Reset => {
                // What was said is read before the reset arrives, else the system drops it.
                holds_for(Duration::from_millis(50), "", || true).await;
                return stream.set_zero_linger();
            }
        }
    }
    Ok(())
}

async fn repeat(stream: &mut TcpStream, text: &str, times: usize) -> std::io::Result<()> {
    let many = text.repeat(100.min(times));
    let mut left = times;
    while left >= 100 {
        stream.write_all(many.as_bytes()).await?;
        left -= 100;
    }
    stream.write_all(text.repeat(left).as_bytes()).await
}

async fn trickle(stream: &mut TcpStream, text: &str, between: Duration) -> std::io::Result<()> {
    let mut beat = tokio::time::interval(between);
    for byte in text.bytes() {
        beat.tick().await;
        stream.write_all(&[byte]).await?;
    }
    Ok(())
}

async fn check(name: &str, expected: Expected, address: std::net::SocketAddr) -> Result<(), String> {
    let request = get(&format!("/{name}"));
    let begun = Instant::now();
    let answer = tokio::time::timeout(NO_HANG, past_hints(&request, address)).await;
    let answer = answer.map_err(|_| format!("{name}: hangs"))?;
    let told = |answer: &Response| answer.header("x-standin-error").map(str::to_owned);
    let right = match (&answer, expected) {
        (Ok(answer), Problem(status, code, _)) => {
            answer.status == status && told(answer).as_deref() == Some(code)
        }
        (Ok(answer), Whole(status, body)) => answer.status == status && answer.text() == body,
        (Err(_), Cut(_)) => true,
        _ => false,
    };
    match right {
        true => Ok(()),
        false => Err(format!("{name}: {answer:?} after {:?}, expected {expected:?}", begun.elapsed())),
    }
}

/// The final answer, however many hints come before it.
async fn past_hints(request: &Request, address: std::net::SocketAddr) -> Result<Response, String> {
    let mut wire = Wire::try_open(address).await?;
    let bytes = request.bytes(address);
    wire.writer.write_all(&bytes).await.map_err(|error| error.to_string())?;
    loop {
        let head = wire.try_head().await?;
        if head.status >= 200 {
            return wire.try_rest(head).await;
        }
    }
}

async fn others_answer(address: std::net::SocketAddr, done: Arc<AtomicBool>) -> usize {
    let mut rounds = 0;
    while !done.load(Ordering::Relaxed) {
        let (mocked, good) = (get("/mocked"), get("/good"));
        let answers = async { tokio::join!(mocked.to(address), good.to(address)) };
        let (mocked, good) = within(NO_HANG, "the other routes", answers).await;
        mocked.is(200, r#"{"says":"mock"}"#);
        good.is(200, "upstream: GET /good");
        rounds += 1;
    }
    rounds
}

/// An upstream that answers the first request of each connection and closes at the second.
async fn answers_once(log: Arc<Mutex<Vec<String>>>) -> RawUpstream {
    RawUpstream::start(move |mut stream| {
        let log = log.clone();
        async move {
            for round in 0..2 {
                let Some(head) = read_head(&mut stream).await else { return };
                log.lock().unwrap().push(head.lines().next().unwrap_or_default().to_owned());
                if round == 0 {
                    stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await.ok();
                }
            }
        }
    })
    .await
}

/// RFC 9110, 9.2.2: a connection that was closed meanwhile is no reason to fail what may be repeated,
/// and none to repeat the rest.
#[tokio::test]
async fn only_what_may_be_repeated_is_sent_again_on_a_new_connection() {
    let log = Arc::new(Mutex::new(Vec::new()));
    let upstream = answers_once(log.clone()).await;
    let mocked = operation("get", "/mocked", "mock");
    let standin =
        Standin::with().paths(&mocked).upstream(upstream.url()).args(["--mode", "mock"]).start().await;
    let sent = || std::mem::take(&mut *log.lock().unwrap());
    for (method, repeated) in [
        ("GET", true),
        ("POST", false),
        ("HEAD", true),
        ("PATCH", false),
        ("DELETE", true),
        ("OPTIONS", true),
    ] {
        let line = format!("{method} /again HTTP/1.1");
        let (answer, sent) =
            eventually(SOON, "the connection of the request before is used again", async || {
                // Whichever connection it takes, it leaves one that was used once.
                standin.get("/used").await.is(200, "ok");
                sent();
                let answer = standin.send(request(method, "/again")).await;
                let sent = sent();
                let on_a_new_one = answer.status == 200 && sent == [line.as_str()];
                (!on_a_new_one).then_some((answer, sent))
            })
            .await;
        match repeated {
            true => {
                assert_eq!(answer.status, 200, "{method}: {}", answer.text());
                assert_eq!(sent, [line.clone(), line], "once on each connection");
            }
            false => {
                answer.is_problem(502, "upstream-protocol");
                assert_eq!(sent, [line], "never twice");
            }
        }
    }
}

/// On a new connection it is no matter of chance, and no request is sent again.
#[tokio::test]
async fn nothing_is_repeated_that_failed_on_a_new_connection() {
    let count = Arc::new(AtomicUsize::new(0));
    let seen = count.clone();
    let upstream = RawUpstream::start(move |mut stream| {
        let seen = seen.clone();
        async move {
            if read_head(&mut stream).await.is_some() {
                seen.fetch_add(1, Ordering::Relaxed);
            }
        }
    })
    .await;
    let standin =
        Standin::with().paths(&operation("get", "/mocked", "mock")).upstream(upstream.url()).start().await;
    for method in ["GET", "POST", "PUT", "DELETE"] {
        standin.send(request(method, "/x")).await.is_problem(502, "upstream-protocol");
    }
    assert_eq!(count.load(Ordering::Relaxed), 4);
}

/// A stream of HTTP/2 can fail by itself, and the connection lives on.
#[tokio::test]
async fn a_stream_that_an_upstream_of_http_2_resets_is_told() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let url = format!("h2c://{}", listener.local_addr().expect("a bound port"));
    let serving = tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut connection = h2::server::handshake(stream).await?;
                while let Some(accepted) = connection.accept().await {
                    let (request, mut respond) = accepted?;
                    let ok = http::Response::builder().status(200).body(()).expect("an answer");
                    match request.uri().path() {
                        "/resets" => respond.send_reset(h2::Reason::INTERNAL_ERROR),
                        "/refuses" => respond.send_reset(h2::Reason::REFUSED_STREAM),
                        "/resets-in-the-body" => {
                            let mut body = respond.send_response(ok, false)?;
                            body.send_data("half".into(), false)?;
                            tokio::spawn(async move {
                                holds_for(Duration::from_millis(50), "", || true).await;
                                body.send_reset(h2::Reason::INTERNAL_ERROR);
                            });
                        }
                        _ => drop(respond.send_response(ok, true)?),
                    }
                }
                Ok::<_, h2::Error>(())
            });
        }
    });
    let standin = Standin::with().paths(&operation("get", "/mocked", "mock")).upstream(url).start().await;
    for method in ["GET", "POST"] {
        standin.send(request(method, "/resets")).await.is_problem(502, "upstream-protocol");
        let cut = request(method, "/resets-in-the-body").try_to(standin.data).await;
        assert!(cut.is_err(), "{method}: {cut:?}");
        standin.send(request(method, "/fine")).await.is(200, "");
    }
    standin.send(request("POST", "/refuses")).await.is_problem(502, "upstream-protocol");
    serving.abort();
}
