//! Where requests pass to: TLS, unix sockets, HTTP/2, several servers, their health, and reloads.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::Bytes;
use h2::Reason;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::Notify;
use tokio_rustls::TlsAcceptor;

use crate::harness::*;

/// Bytes of an answer that fits into no buffers on its way.
const LARGE: usize = 64 << 20;

/// A Standin before an upstream with these keys, and these files beside its config.
async fn before(upstream: &str, files: &[(&str, &str)]) -> Standin {
    let with = Standin::with()
        .file("spec.yaml", &document(&operation("get", "/mocked", "mock")))
        .config(&config(upstream));
    files.iter().fold(with, |with, (name, text)| with.file(name, text)).start().await
}

fn config(upstream: &str) -> String {
    format!(
        "upstreams: {{default: {{{upstream}}}}}\nspecs: [{{source: spec.yaml}}]\nreload: {{watch: false}}\n"
    )
}

/// An authority that signs certificates of servers and clients.
struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
    der: CertificateDer<'static>,
}

struct Signed {
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
    cert_pem: String,
    key_pem: String,
}

impl Authority {
    fn new() -> Authority {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let cert = params.self_signed(&key).unwrap();
        Authority { pem: cert.pem(), der: cert.der().clone(), issuer: Issuer::new(params, key) }
    }

    fn signs(&self, name: &str) -> Signed {
        let key = KeyPair::generate().unwrap();
        let cert = CertificateParams::new([name.to_owned()]).unwrap().signed_by(&key, &self.issuer).unwrap();
        Signed {
            chain: vec![cert.der().clone()],
            key: PrivateKeyDer::try_from(key.serialize_der()).unwrap(),
            cert_pem: cert.pem(),
            key_pem: key.serialize_pem(),
        }
    }
}

/// How a server is to be met.
enum Door {
    Plain,
    H2c,
    Tls(Arc<ServerConfig>),
}

impl Door {
    /// For `name`, offering these protocols; asks clients for a certificate of `clients`, if given.
    fn tls(authority: &Authority, name: &str, alpn: &[&str], clients: Option<&Authority>) -> Door {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ServerConfig::builder_with_provider(provider.clone())
            .with_safe_default_protocol_versions()
            .unwrap();
        let builder = match clients {
            Some(clients) => {
                let mut store = RootCertStore::empty();
                store.add(clients.der.clone()).unwrap();
                let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(store), provider);
                builder.with_client_cert_verifier(verifier.build().unwrap())
            }
            None => builder.with_no_client_auth(),
        };
        let signed = authority.signs(name);
        let mut config = builder.with_single_cert(signed.chain, signed.key).unwrap();
        config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
        Door::Tls(Arc::new(config))
    }
}

/// What a server saw, and what it is to do.
#[derive(Default)]
struct Seen {
    /// `HTTP/1.1 GET /x`
    requests: Mutex<Vec<String>>,
    connections: AtomicUsize,
    /// Answers to `/healthz` with 503.
    ill: AtomicBool,
    /// A connection ended.
    closed: Notify,
}

impl Seen {
    fn count(&self, request: &str) -> usize {
        self.requests.lock().unwrap().iter().filter(|seen| *seen == request).count()
    }

    fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    fn status(&self, path: &str) -> u16 {
        if path == "/healthz" && self.ill.load(Ordering::SeqCst) { 503 } else { 200 }
    }
}

/// A server of HTTP/1.1 or HTTP/2 that answers with its protocol, the method and the path.
struct Peer {
    port: u16,
    seen: Arc<Seen>,
    accepting: tokio::task::AbortHandle,
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

impl Peer {
    async fn start(door: Door) -> Peer {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (port, seen) = (listener.local_addr().unwrap().port(), Arc::new(Seen::default()));
        let (door, all) = (Arc::new(door), seen.clone());
        let accepting = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                stream.set_nodelay(true).unwrap();
                let (door, seen) = (door.clone(), all.clone());
                tokio::spawn(async move {
                    seen.connections.fetch_add(1, Ordering::SeqCst);
                    match &*door {
                        Door::Plain => http1(stream, &seen).await.ok(),
                        Door::H2c => http2(stream, &seen).await.ok(),
                        Door::Tls(config) => {
                            let accepted = TlsAcceptor::from(config.clone()).accept(stream).await;
                            let Ok(stream) = accepted else { return };
                            let h2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
                            if h2 { http2(stream, &seen).await.ok() } else { http1(stream, &seen).await.ok() }
                        }
                    };
                    seen.closed.notify_one();
                });
            }
        });
        Peer { port, seen, accepting: accepting.abort_handle() }
    }
}

async fn http1(mut stream: impl AsyncRead + AsyncWrite + Unpin, seen: &Seen) -> std::io::Result<()> {
    loop {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await?);
        }
        let head = String::from_utf8(head).unwrap().to_ascii_lowercase();
        let mut words = head.split(' ');
        let (method, path) = (words.next().unwrap().to_uppercase(), words.next().unwrap());
        let request = format!("HTTP/1.1 {method} {path}");
        seen.requests.lock().unwrap().push(request.clone());
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
        let length = length.map_or(0, |length| length.parse().unwrap());
        if path == "/cut" && seen.count(&request) == 1 {
            // Ends at the moment that a request is on its way over a reused connection.
            return Ok(());
        }
        if head.contains("upgrade: websocket") {
            let answer = "HTTP/1.1 101 Any\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n";
            return stream.write_all(answer.as_bytes()).await;
        }
        if path == "/echo" {
            stream
                .write_all(format!("HTTP/1.1 200 Any\r\ncontent-length: {length}\r\n\r\n").as_bytes())
                .await?;
            echo(&mut stream, length).await?;
            continue;
        }
        stream.read_exact(&mut vec![0; length]).await?;
        let status = seen.status(path);
        let answer = format!("HTTP/1.1 {status} Any\r\ncontent-length: {}\r\n\r\n{request}", request.len());
        stream.write_all(answer.as_bytes()).await?;
    }
}

/// Answers while it reads, and reads no more than it has answered.
async fn echo(stream: &mut (impl AsyncRead + AsyncWrite + Unpin), length: usize) -> std::io::Result<()> {
    let mut left = length;
    let mut piece = vec![0; 64 << 10];
    while left > 0 {
        let read = stream.read(&mut piece).await?;
        stream.write_all(&piece[..read]).await?;
        left -= read;
    }
    Ok(())
}

async fn http2(stream: impl AsyncRead + AsyncWrite + Unpin, seen: &Arc<Seen>) -> Result<(), h2::Error> {
    let mut connection = h2::server::handshake(stream).await?;
    while let Some(accepted) = connection.accept().await {
        let (request, mut respond) = accepted?;
        let path = request.uri().path().to_owned();
        let line = format!("HTTP/2 {} {path}", request.method());
        seen.requests.lock().unwrap().push(line.clone());
        match path.as_str() {
            "/refused" => {
                respond.send_reset(Reason::REFUSED_STREAM);
                continue;
            }
            "/goaway" => {
                connection.abrupt_shutdown(Reason::NO_ERROR);
                continue;
            }
            _ => {}
        }
        let answer = if path == "/large" { Bytes::from(vec![b'x'; LARGE]) } else { line.into() };
        let response = http::Response::builder().status(seen.status(&path));
        let response = response.header("content-length", answer.len()).body(()).unwrap();
        let mut body = respond.send_response(response, false)?;
        tokio::spawn(async move { body.send_data(answer, true) });
    }
    Ok(())
}

#[tokio::test]
async fn the_certificate_of_an_https_server_must_be_of_the_authority_and_have_the_name() {
    let (authority, other) = (Authority::new(), Authority::new());
    let named = Peer::start(Door::tls(&authority, "inside.test", &[], None)).await;
    let address = Peer::start(Door::tls(&authority, "127.0.0.1", &[], None)).await;
    let files = [("ca.pem", authority.pem.as_str()), ("other.pem", other.pem.as_str())];
    let check = async |peer: &Peer, tls: &str, status: u16| {
        let keys = format!("servers: 'https://127.0.0.1:{}', tls: {{{tls}}}", peer.port);
        let standin = before(&keys, &files).await;
        let response = standin.get("/x").await;
        match status {
            200 => response.is(200, "HTTP/1.1 GET /x"),
            _ => response.is_problem(status, "upstream-connect"),
        }
        standin
    };
    check(&address, "ca: ca.pem", 200).await;
    check(&address, "ca: other.pem", 502).await;
    check(&address, "", 502).await;
    check(&named, "ca: ca.pem", 502).await;
    check(&named, "ca: ca.pem, sni: inside.test", 200).await;
    check(&named, "ca: ca.pem, sni: outside.test", 502).await;
    let unchecked = check(&named, "verify: false", 200).await;
    unchecked.logs(0, &["SI0022", "upstreams.default.tls.verify"]).await;
}

#[tokio::test]
async fn a_machine_without_authorities_meets_servers_all_the_same() {
    let authority = Authority::new();
    let peer = Peer::start(Door::tls(&authority, "127.0.0.1", &[], None)).await;
    for (tls, status) in [("ca: ca.pem", 200), ("verify: false", 200), ("", 502)] {
        let keys = format!("servers: 'https://127.0.0.1:{}', tls: {{{tls}}}", peer.port);
        let standin = Standin::with()
            .file("spec.yaml", &document(&operation("get", "/mocked", "mock")))
            .file("ca.pem", &authority.pem)
            .config(&config(&keys))
            .env("SSL_CERT_FILE", "/dev/null")
            .env("SSL_CERT_DIR", "/dev/null")
            .start()
            .await;
        assert_eq!(standin.get("/x").await.status, status, "{tls}");
    }
}

#[tokio::test]
async fn a_server_that_asks_for_a_certificate_gets_it() {
    let (authority, clients) = (Authority::new(), Authority::new());
    let peer = Peer::start(Door::tls(&authority, "127.0.0.1", &[], Some(&clients))).await;
    let client = clients.signs("standin.test");
    let files = [("ca.pem", &*authority.pem), ("c.pem", &*client.cert_pem), ("c.key", &*client.key_pem)];
    let keys = |more: &str| format!("servers: 'https://127.0.0.1:{}', tls: {{ca: ca.pem{more}}}", peer.port);
    let standin = before(&keys(", cert: c.pem, key: c.key"), &files).await;
    standin.get("/x").await.is(200, "HTTP/1.1 GET /x");
    let without = before(&keys(""), &files).await;
    assert_eq!(without.get("/x").await.status, 502);
}

#[tokio::test]
async fn over_https_requests_go_by_http_2_and_upgrades_by_http_1_1() {
    let authority = Authority::new();
    let peer = Peer::start(Door::tls(&authority, "127.0.0.1", &["h2", "http/1.1"], None)).await;
    let keys = format!("servers: 'https://127.0.0.1:{}', tls: {{ca: ca.pem}}", peer.port);
    let standin = before(&keys, &[("ca.pem", &authority.pem)]).await;
    standin.get("/before").await.is(200, "HTTP/2 GET /before");
    let mut wire = standin.wire().await;
    let upgrade = get("/chat")
        .header("connection", "Upgrade")
        .header("upgrade", "WebSocket")
        .header("sec-websocket-version", "13")
        .header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==");
    wire.write(&upgrade.bytes(standin.data)).await;
    assert_eq!(wire.response_head().await.status, 101);
    standin.get("/after").await.is(200, "HTTP/2 GET /after");
    assert_eq!(peer.seen.count("HTTP/1.1 GET /chat"), 1);
}

#[tokio::test]
async fn a_unix_socket_is_a_server() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("api.sock");
    let (listener, seen) = (UnixListener::bind(&path).unwrap(), Arc::new(Seen::default()));
    let all = seen.clone();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            all.connections.fetch_add(1, Ordering::SeqCst);
            let seen = all.clone();
            tokio::spawn(async move { http1(stream, &seen).await });
        }
    });
    let standin = before(&format!("servers: 'unix:{}'", path.display()), &[]).await;
    for _ in 0..3 {
        standin.get("/x").await.is(200, "HTTP/1.1 GET /x");
    }
    assert_eq!(seen.connections(), 1, "connections are used again");
    let body: Vec<u8> = (0..20 << 20).map(|at: usize| (at % 251) as u8).collect();
    let echoed = standin.send(request("POST", "/echo").body(body.clone())).await;
    assert!(echoed.status == 200 && echoed.body == body, "{} bytes come back", echoed.body.len());
    let gone = before(&format!("servers: 'unix:{}'", folder.path().join("no.sock").display()), &[]).await;
    gone.get("/x").await.is_problem(502, "upstream-connect");
    gone.send(request("POST", "/x").body(vec![0; 100_000])).await.is_problem(502, "upstream-connect");
}

#[tokio::test]
async fn a_server_that_takes_no_connection_gets_no_turns_for_a_while() {
    let (closed, peer) = (ClosedPort::new(), Peer::start(Door::Plain).await);
    let alive = format!("http://127.0.0.1:{}", peer.port);
    let standin = before(&format!("servers: ['{}', '{alive}']", closed.url()), &[]).await;
    let healthy = "standin_upstream_healthy";
    standin.counts(1.0, healthy, &[("upstream", "default"), ("server", &closed.url())]).await;
    for _ in 0..6 {
        standin.send(post("/x", "{}")).await.is(200, "HTTP/1.1 POST /x");
    }
    let metrics = standin.metrics().await;
    assert_eq!(metrics.value(healthy, &[("server", &closed.url())]), 0.0);
    assert_eq!(metrics.value(healthy, &[("server", &alive)]), 1.0);
    let told = standin.stderr().matches("gets no turns").count();
    assert_eq!(told, 1, "{}", standin.stderr());
}

#[tokio::test]
async fn all_servers_take_turns() {
    let peers =
        [Peer::start(Door::Plain).await, Peer::start(Door::Plain).await, Peer::start(Door::H2c).await];
    let [a, b, c] = peers.each_ref().map(|peer| peer.port);
    let servers = format!("servers: ['http://127.0.0.1:{a}', 'http://127.0.0.1:{b}', 'h2c://127.0.0.1:{c}']");
    let standin = before(&servers, &[]).await;
    for _ in 0..6 {
        assert_eq!(standin.get("/x").await.status, 200);
    }
    let counts = peers.each_ref().map(|peer| peer.seen.requests.lock().unwrap().len());
    assert_eq!(counts, [2, 2, 2]);
}

#[tokio::test]
async fn a_health_check_turns_a_server_over_and_back() {
    let authority = Authority::new();
    let doors = [Door::Plain, Door::H2c, Door::tls(&authority, "127.0.0.1", &["h2", "http/1.1"], None)];
    for (door, scheme) in doors.into_iter().zip(["http", "h2c", "https"]) {
        let (peer, other) = (Peer::start(door).await, Peer::start(Door::Plain).await);
        let server = format!("{scheme}://127.0.0.1:{}", peer.port);
        let keys = format!(
            "servers: ['{server}', 'http://127.0.0.1:{}'], health: {{path: /healthz, interval: 10ms}}, tls: {{ca: ca.pem}}",
            other.port
        );
        let standin = before(&keys, &[("ca.pem", &authority.pem)]).await;
        let labels = [("upstream", "default"), ("server", server.as_str())];
        standin.counts(1.0, "standin_upstream_healthy", &labels).await;
        peer.seen.ill.store(true, Ordering::SeqCst);
        standin.counts(0.0, "standin_upstream_healthy", &labels).await;
        for _ in 0..4 {
            standin.get("/only").await.is(200, "HTTP/1.1 GET /only");
        }
        assert_eq!(other.seen.count("HTTP/1.1 GET /only"), 4, "{scheme}");
        peer.seen.ill.store(false, Ordering::SeqCst);
        standin.counts(1.0, "standin_upstream_healthy", &labels).await;
        standin.logs(0, &["gets no turns", "is back"]).await;
    }
}

#[tokio::test]
async fn a_name_that_does_not_resolve_stops_nobody() {
    let peer = Peer::start(Door::Plain).await;
    let keys = format!("servers: ['http://nowhere.invalid', 'http://127.0.0.1:{}']", peer.port);
    let standin = before(&keys, &[]).await;
    for _ in 0..3 {
        standin.get("/x").await.is(200, "HTTP/1.1 GET /x");
    }
    let lost = before("servers: 'http://nowhere.invalid'", &[]).await;
    let asked = Instant::now();
    lost.get("/x").await.is_problem(502, "upstream-connect");
    assert!(asked.elapsed() < Duration::from_secs(2), "{:?}", asked.elapsed());
    assert_eq!(lost.get("/mocked").await.status, 200);
}

#[tokio::test]
async fn connect_timeout_is_for_the_handshake_too() {
    let silent = RawUpstream::start(|mut stream| async move {
        tokio::io::copy(&mut stream, &mut tokio::io::sink()).await.ok();
    })
    .await;
    let server = format!("servers: 'https://{}', connect_timeout: 100ms", silent.address);
    let standin = before(&server, &[]).await;
    standin.get("/x").await.is_problem(504, "upstream-timeout");
}

#[tokio::test]
async fn an_idle_connection_is_closed_after_idle_timeout() {
    let peer = Peer::start(Door::Plain).await;
    let keys = format!("servers: 'http://127.0.0.1:{}', idle_timeout: 50ms", peer.port);
    let standin = before(&keys, &[]).await;
    standin.get("/x").await.is(200, "HTTP/1.1 GET /x");
    within(SOON, "the connection is closed", peer.seen.closed.notified()).await;
}

#[tokio::test]
async fn a_reload_changes_servers_and_settings() {
    let peer = Peer::start(Door::Plain).await;
    let server = format!("servers: 'http://127.0.0.1:{}'", peer.port);
    let standin = before(&server, &[]).await;
    standin.get("/x").await.is(200, "HTTP/1.1 GET /x");
    assert_eq!(standin.reload().await.status, 200);
    standin.get("/x").await.is(200, "HTTP/1.1 GET /x");
    assert_eq!(peer.seen.connections(), 1, "what did not change keeps its connections");
    standin.folder.write("standin.yaml", &config(&format!("{server}, idle_timeout: 5s")));
    assert_eq!(standin.reload().await.status, 200);
    standin.get("/x").await.is(200, "HTTP/1.1 GET /x");
    assert_eq!(peer.seen.connections(), 2, "no connection of another setting is used");
    let other = Peer::start(Door::H2c).await;
    standin.folder.write("standin.yaml", &config(&format!("servers: 'h2c://127.0.0.1:{}'", other.port)));
    assert_eq!(standin.reload().await.status, 200);
    standin.get("/x").await.is(200, "HTTP/2 GET /x");
    let gone = format!("http://127.0.0.1:{}", peer.port);
    assert!(!standin.metrics().await.has("standin_upstream_healthy", &[("server", &gone)]));
}

#[tokio::test]
async fn a_reload_reads_certificates_again_and_keeps_what_it_has_if_it_can_t() {
    let (authority, other) = (Authority::new(), Authority::new());
    let peer = Peer::start(Door::tls(&authority, "127.0.0.1", &["h2"], None)).await;
    let keys = format!("servers: 'https://127.0.0.1:{}', tls: {{ca: ca.pem}}", peer.port);
    let standin = before(&keys, &[("ca.pem", &other.pem)]).await;
    standin.get("/x").await.is_problem(502, "upstream-connect");
    standin.folder.write("ca.pem", &authority.pem);
    assert_eq!(standin.reload().await.status, 200);
    standin.get("/x").await.is(200, "HTTP/2 GET /x");
    standin.folder.write("ca.pem", "nothing");
    let failed = standin.reload().await;
    assert_eq!(failed.status, 422);
    assert_eq!(failed.json()["diagnostics"][0]["code"], "SI0021", "{}", failed.text());
    standin.get("/x").await.is(200, "HTTP/2 GET /x");
    standin.counts(1.0, "standin_reloads_total", &[("result", "failure")]).await;
    standin.folder.write("ca.pem", &other.pem);
    assert_eq!(standin.reload().await.status, 200);
    standin.get("/x").await.is_problem(502, "upstream-connect");
}

#[tokio::test]
async fn certificates_that_can_t_be_read_are_told_at_start_and_by_check() {
    let with = |tls: &str| {
        let spec = document(&operation("get", "/mocked", "mock"));
        let keys = format!("servers: 'https://a.invalid', tls: {{{tls}}}");
        Standin::with().file("spec.yaml", &spec).config(&config(&keys))
    };
    let exit = with("ca: gone.pem").exits().await;
    exit.is(1).says(&["SI0020", "upstreams.default.tls.ca", "gone.pem"]);
    let check = |tls: &str| with(tls).without_addresses().command("check").exits();
    check("ca: gone.pem").await.is(1).prints(&["SI0020", "gone.pem"]);
    check("verify: false").await.is(0).prints(&["SI0022", "upstreams.default.tls.verify"]);
}

#[tokio::test]
async fn a_post_is_never_sent_twice() {
    let peer = Peer::start(Door::Plain).await;
    let standin = before(&format!("servers: 'http://127.0.0.1:{}'", peer.port), &[]).await;
    standin.get("/x").await.is(200, "HTTP/1.1 GET /x");
    standin.send(post("/cut", "{}")).await.is_problem(502, "upstream-protocol");
    assert_eq!(peer.seen.count("HTTP/1.1 POST /cut"), 1);
    assert_eq!(peer.seen.connections(), 1, "over the connection of the request before");
    standin.get("/x").await.is(200, "HTTP/1.1 GET /x");
    standin.get("/cut").await.is(200, "HTTP/1.1 GET /cut");
    assert_eq!(peer.seen.count("HTTP/1.1 GET /cut"), 2, "what may be repeated is repeated");
    let peer = Peer::start(Door::H2c).await;
    let standin = before(&format!("servers: 'h2c://127.0.0.1:{}'", peer.port), &[]).await;
    for path in ["/refused", "/goaway"] {
        standin.get("/x").await.is(200, "HTTP/2 GET /x");
        standin.send(post(path, "{}")).await.is_problem(502, "upstream-protocol");
        assert_eq!(peer.seen.count(&format!("HTTP/2 POST {path}")), 1);
    }
    standin.get("/x").await.is(200, "HTTP/2 GET /x");
}

#[tokio::test]
async fn requests_share_an_http_2_connection_and_a_slow_client_stops_no_other() {
    let peer = Peer::start(Door::H2c).await;
    let standin = before(&format!("servers: 'h2c://127.0.0.1:{}'", peer.port), &[]).await;
    let mut slow = standin.wire().await;
    slow.write(&get("/large").bytes(standin.data)).await;
    assert_eq!(slow.response_head().await.status, 200);
    for _ in 0..50 {
        standin.get("/small").await.is(200, "HTTP/2 GET /small");
    }
    // A connection that another request takes at this moment may not be seen as free.
    assert!(peer.seen.connections() < 10, "{} for 51 requests", peer.seen.connections());
    assert!(slow.exactly(LARGE).await.iter().all(|byte| *byte == b'x'));
}
