//! The servers around Standin: an upstream that records and answers by a closure, one that speaks
//! raw TCP, a receiver of callbacks, a port where nobody listens.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::watch;
use tokio::task::AbortHandle;

use super::http::{header_fields, read_body, read_head_lines};
use super::{SOON, eventually, h2};

/// A request as it arrived; names of headers in lower case.
#[derive(Debug)]
pub struct Received {
    pub method: String,
    /// The target's original bytes.
    pub target: String,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    pub at: Instant,
}

impl Received {
    #[track_caller]
    pub fn header(&self, name: &str) -> Option<&str> {
        let values = self.all(name);
        assert!(values.len() < 2, "several `{name}`: {values:?}");
        values.first().copied()
    }

    pub fn all(&self, name: &str) -> Vec<&str> {
        self.headers.iter().filter(|(n, _)| n == name).map(|(_, value)| value.as_str()).collect()
    }

    /// The values of a list header, over all its lines.
    pub fn list(&self, name: &str) -> Vec<&str> {
        self.all(name).iter().flat_map(|line| line.split(',')).map(str::trim).collect()
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }
}

/// What a server answers.
#[derive(Debug, Clone)]
pub struct Reply {
    status: u16,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
    trailers: Vec<(String, String)>,
    chunked: bool,
    gate: Option<Gate>,
}

impl Reply {
    pub fn new(status: u16, body: impl Into<Vec<u8>>) -> Reply {
        let (headers, trailers) = (Vec::new(), Vec::new());
        Reply { status, headers, body: body.into(), trailers, chunked: false, gate: None }
    }

    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    pub fn chunked(mut self) -> Self {
        self.chunked = true;
        self
    }

    /// Sent after the body, over HTTP/1.1 where it is chunked.
    pub fn trailer(mut self, name: &str, value: &str) -> Self {
        self.trailers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Answered when the gate is open.
    pub fn after(mut self, gate: &Gate) -> Self {
        self.gate = Some(gate.clone());
        self
    }

    /// Whether a header of it is this.
    pub fn says(&self, name: &str, value: &str) -> bool {
        self.headers.iter().any(|(n, v)| n == name && v == value)
    }

    fn bytes(&self, method: &str) -> Vec<u8> {
        let mut out = format!("HTTP/1.1 {} Any\r\n", self.status).into_bytes();
        for (name, value) in &self.headers {
            out.extend(format!("{name}: {value}\r\n").bytes());
        }
        if self.status == 204 || self.status == 304 {
            out.extend(b"\r\n");
            return out;
        }
        if self.chunked {
            out.extend(b"transfer-encoding: chunked\r\n\r\n");
            if method != "HEAD" {
                for piece in self.body.chunks(50_000) {
                    out.extend(format!("{:x}\r\n", piece.len()).bytes());
                    out.extend(piece);
                    out.extend(b"\r\n");
                }
                out.extend(b"0\r\n");
                for (name, value) in &self.trailers {
                    out.extend(format!("{name}: {value}\r\n").bytes());
                }
                out.extend(b"\r\n");
            }
            return out;
        }
        out.extend(format!("content-length: {}\r\n\r\n", self.body.len()).bytes());
        if method != "HEAD" {
            out.extend(&self.body);
        }
        out
    }

    pub(super) async fn held(&self) {
        if let Some(gate) = &self.gate {
            gate.passed().await;
        }
    }

    /// Head, body and trailers as HTTP/2 has them.
    pub(super) fn h2(&self, method: &str) -> (http::Response<()>, Bytes, Option<HeaderMap>) {
        let mut head = http::Response::builder().status(self.status);
        for (name, value) in &self.headers {
            head = head.header(name, value);
        }
        let bodyless = self.status == 204 || self.status == 304;
        if !self.chunked && !bodyless {
            head = head.header("content-length", self.body.len());
        }
        let body = if method == "HEAD" || bodyless { Bytes::new() } else { self.body.clone().into() };
        let field = |(name, value): &(String, String)| {
            (name.parse::<HeaderName>().expect("a name"), value.parse::<HeaderValue>().expect("a value"))
        };
        let trailers =
            Some(self.trailers.iter().map(field).collect()).filter(|all: &HeaderMap| !all.is_empty());
        (head.body(()).expect("an answer of HTTP/2"), body, trailers)
    }
}

/// What an upstream speaks.
#[derive(Clone)]
pub enum Speaks {
    Http1,
    /// HTTP/2 without TLS.
    H2c,
    /// What the client chooses of what is offered.
    Tls(Arc<rustls::ServerConfig>),
}

impl Speaks {
    fn scheme(&self) -> &'static str {
        match self {
            Speaks::Http1 => "http",
            Speaks::H2c => "h2c",
            Speaks::Tls(_) => "https",
        }
    }
}

/// Holds an answer back until a test opens it.
#[derive(Debug, Clone)]
pub struct Gate(Arc<watch::Sender<bool>>);

impl Gate {
    pub fn closed() -> Gate {
        Gate(Arc::new(watch::channel(false).0))
    }

    pub fn open(&self) {
        self.0.send_replace(true);
    }

    pub async fn passed(&self) {
        self.0.subscribe().wait_for(|open| *open).await.expect("the sender is in self");
    }
}

/// A server that records what it is asked and answers by a closure; stops when dropped.
pub struct Upstream {
    pub address: SocketAddr,
    scheme: &'static str,
    received: Arc<Mutex<Vec<Arc<Received>>>>,
    accepting: AbortHandle,
}

impl Upstream {
    /// Answers everything with 200 and `upstream: METHOD TARGET`.
    pub async fn start() -> Upstream {
        Upstream::answering(|request| {
            Reply::new(200, format!("upstream: {} {}", request.method, request.target))
                .header("content-type", "text/plain")
        })
        .await
    }

    pub async fn answering(answer: impl Fn(&Received) -> Reply + Send + Sync + 'static) -> Upstream {
        Upstream::speaking(Speaks::Http1, answer).await
    }

    pub async fn speaking(
        speaks: Speaks,
        answer: impl Fn(&Received) -> Reply + Send + Sync + 'static,
    ) -> Upstream {
        let scheme = speaks.scheme();
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("a bound port");
        let received = Arc::new(Mutex::new(Vec::new()));
        let (answer, log) = (Arc::new(answer), received.clone());
        let accepting = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                stream.set_nodelay(true).ok();
                let (speaks, answer, log) = (speaks.clone(), answer.clone(), log.clone());
                // A client that goes away in the middle is the test's business.
                tokio::spawn(async move { talk(stream, speaks, log, answer).await.ok() });
            }
        });
        Upstream { address, scheme, received, accepting: accepting.abort_handle() }
    }

    pub fn url(&self) -> String {
        format!("{}://{}", self.scheme, self.address)
    }

    /// Drops what was received, for tests of many large bodies.
    pub fn forget(&self) {
        self.received.lock().unwrap().clear();
    }

    pub fn received(&self) -> Vec<Arc<Received>> {
        self.received.lock().unwrap().clone()
    }

    /// The one request that arrived.
    #[track_caller]
    pub fn only(&self) -> Arc<Received> {
        let received = self.received();
        assert_eq!(received.len(), 1, "{received:?}");
        received[0].clone()
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn talk<A>(
    stream: TcpStream,
    speaks: Speaks,
    log: Arc<Mutex<Vec<Arc<Received>>>>,
    answer: Arc<A>,
) -> Result<(), String>
where
    A: Fn(&Received) -> Reply + Send + Sync + 'static,
{
    let config = match speaks {
        Speaks::Http1 => return serve(stream, &log, &*answer).await,
        Speaks::H2c => return h2::serve(stream, log, answer).await.map_err(|error| error.to_string()),
        Speaks::Tls(config) => config,
    };
    let shaken = tokio_rustls::TlsAcceptor::from(config).accept(stream).await;
    let stream = shaken.map_err(|error| error.to_string())?;
    match stream.get_ref().1.alpn_protocol() {
        Some(b"h2") => h2::serve(stream, log, answer).await.map_err(|error| error.to_string()),
        _ => serve(stream, &log, &*answer).await,
    }
}

async fn serve(
    stream: impl AsyncRead + AsyncWrite,
    log: &Mutex<Vec<Arc<Received>>>,
    answer: &(impl Fn(&Received) -> Reply + Send + Sync),
) -> Result<(), String> {
    let (reader, mut writer) = tokio::io::split(stream);
    let mut reader = BufReader::new(reader);
    let lost = |error: std::io::Error| error.to_string();
    while let Some(lines) = read_head_lines(&mut reader).await? {
        let at = Instant::now();
        let mut words = lines[0].split(' ').map(str::to_owned);
        let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        let headers = header_fields(&lines[1..])?;
        let says = |name: &str, what: &str| {
            headers.iter().any(|(n, v)| n == name && v.to_lowercase().contains(what))
        };
        if says("expect", "100-continue") {
            writer.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").await.map_err(lost)?;
        }
        let close = says("connection", "close");
        let body = read_body(&mut reader, &headers, false).await?;
        let request = Arc::new(Received { method, target, headers, body, at });
        let reply = answer(&request);
        log.lock().unwrap().push(request.clone());
        reply.held().await;
        writer.write_all(&reply.bytes(&request.method)).await.map_err(lost)?;
        writer.flush().await.map_err(lost)?;
        if close {
            break;
        }
    }
    Ok(())
}

/// A server for odd behaviour: each connection goes to the closure as it is.
pub struct RawUpstream {
    pub address: SocketAddr,
    accepting: AbortHandle,
}

impl RawUpstream {
    pub async fn start<F>(talk: impl Fn(TcpStream) -> F + Send + Sync + 'static) -> RawUpstream
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("a bound port");
        let accepting = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                stream.set_nodelay(true).ok();
                tokio::spawn(talk(stream));
            }
        });
        RawUpstream { address, accepting: accepting.abort_handle() }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

impl Drop for RawUpstream {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

/// Where callbacks go.
pub struct Receiver(Upstream);

impl Receiver {
    pub async fn start() -> Receiver {
        Receiver::answering(|_| Reply::new(200, "")).await
    }

    pub async fn answering(answer: impl Fn(&Received) -> Reply + Send + Sync + 'static) -> Receiver {
        Receiver(Upstream::answering(answer).await)
    }

    pub fn url(&self) -> String {
        self.0.url()
    }

    pub fn port(&self) -> u16 {
        self.0.address.port()
    }

    pub fn calls(&self) -> Vec<Arc<Received>> {
        self.0.received()
    }

    /// All calls, as soon as there are this many.
    #[track_caller]
    pub fn expect(&self, count: usize) -> impl Future<Output = Vec<Arc<Received>>> {
        self.expect_within(SOON, count)
    }

    #[track_caller]
    pub fn expect_within(
        &self,
        deadline: Duration,
        count: usize,
    ) -> impl Future<Output = Vec<Arc<Received>>> {
        let received = self.0.received.clone();
        eventually(deadline, "callbacks", async move || {
            let calls = received.lock().unwrap().clone();
            (calls.len() >= count).then_some(calls)
        })
    }
}

/// A port that refuses connections for as long as this lives.
pub struct ClosedPort {
    pub address: SocketAddr,
    _held: TcpSocket,
}

impl ClosedPort {
    pub fn new() -> ClosedPort {
        let held = TcpSocket::new_v4().expect("a socket");
        held.bind("127.0.0.1:0".parse().expect("an address")).expect("a free port");
        ClosedPort { address: held.local_addr().expect("a bound port"), _held: held }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

#[tokio::test]
async fn an_upstream_records_and_echoes() {
    let upstream = Upstream::answering(|request| Reply::new(201, request.body.clone()).chunked()).await;
    let body = vec![b'x'; 200_000];
    let response = super::request("PUT", "/a?b").body(body.clone()).chunked().to(upstream.address).await;
    assert_eq!((response.status, response.body.len()), (201, body.len()));
    let request = upstream.only();
    assert_eq!((request.method.as_str(), request.target.as_str()), ("PUT", "/a?b"));
    assert!(request.body == body);
}

#[tokio::test]
async fn a_closed_port_refuses() {
    let closed = ClosedPort::new();
    assert!(TcpStream::connect(closed.address).await.is_err());
}
