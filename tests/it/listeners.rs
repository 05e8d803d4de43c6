//! Where clients come in: several listeners, unix sockets, TLS, HTTP/2.

use std::net::SocketAddr;
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore, SupportedProtocolVersion, version};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpSocket, TcpStream, UnixStream};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::harness::*;

const MOCK: &str = r#"{"says":"mock"}"#;

/// The last request of a connection.
const LAST: &str = "GET /mocked HTTP/1.1\r\nHost: standin.test\r\nConnection: close\r\n\r\n";

/// A certificate of `localhost` that signs itself, and its key.
struct Pair {
    cert: String,
    key: String,
    der: CertificateDer<'static>,
}

impl Pair {
    fn new() -> Pair {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
        Pair { cert: made.cert.pem(), key: made.signing_key.serialize_pem(), der: made.cert.der().clone() }
    }

    async fn connect(&self, address: SocketAddr, alpn: &[&str]) -> TlsStream<TcpStream> {
        self.try_connect(address, alpn, rustls::ALL_VERSIONS).await.expect("a TLS connection")
    }

    async fn try_connect(
        &self,
        address: SocketAddr,
        alpn: &[&str],
        versions: &[&'static SupportedProtocolVersion],
    ) -> std::io::Result<TlsStream<TcpStream>> {
        let mut roots = RootCertStore::empty();
        roots.add(self.der.clone()).expect("a root");
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider).with_protocol_versions(versions);
        let mut config = config.expect("versions").with_root_certificates(roots).with_no_client_auth();
        config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
        let name = ServerName::try_from("localhost").expect("a name");
        let stream = TcpStream::connect(address).await?;
        within(SOON, "a handshake", TlsConnector::from(Arc::new(config)).connect(name, stream)).await
    }

    async fn http2(&self, address: SocketAddr) -> Http2 {
        let stream = self.connect(address, &["h2", "http/1.1"]).await;
        assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
        Http2::over(stream).await
    }
}

/// With `/mocked`, and these listeners.
fn listening(listen: &str, pair: &Pair) -> Builder {
    Standin::with()
        .without_addresses()
        .paths(&operation("get", "/mocked", "mock"))
        .config(&format!("listen: {listen}\nadmin: 127.0.0.1:0\n"))
        .file("cert.pem", &pair.cert)
        .file("key.pem", &pair.key)
}

const TLS: &str = "[{address: '127.0.0.1:0', tls: {cert: cert.pem, key: key.pem}}]";
const H2C: &str = "{address: '127.0.0.1:0', h2c: true}";

/// Where it listens, as the ready line says it.
fn addresses(standin: &Standin) -> Vec<String> {
    let listening = standin.ready_line.strip_prefix("listening on ").expect("a ready line");
    let (addresses, _) = listening.split_once(" (").expect("an admin address");
    addresses.split(", ").map(str::to_owned).collect()
}

fn socket(address: &str) -> SocketAddr {
    let (_, socket) = address.split_once("://").expect("a URL");
    socket.parse().expect("an address")
}

/// Everything that comes back until the connection's end.
async fn said(mut stream: impl AsyncRead + AsyncWrite + Unpin, request: &str) -> String {
    stream.write_all(request.as_bytes()).await.expect("the other side reads");
    let mut answer = Vec::new();
    // An end without notice is an end as well.
    let _ = within(SOON, "the connection's end", stream.read_to_end(&mut answer)).await;
    String::from_utf8_lossy(&answer).into_owned()
}

#[track_caller]
fn is_mock(answer: &str) {
    assert!(answer.starts_with("HTTP/1.1 200 ") && answer.ends_with(MOCK), "{answer:?}");
}

#[tokio::test]
async fn each_listener_has_its_form() {
    let pair = Pair::new();
    let tls = TLS.trim_matches(['[', ']']);
    let standin = listening(&format!("['127.0.0.1:0', {tls}, {H2C}, 'unix:a.sock']"), &pair).start().await;
    let listening = addresses(&standin);
    let [plain, secure, both, unix] = listening.as_slice() else { panic!("{listening:?}") };
    let path = standin.folder.path("a.sock").canonicalize().expect("a socket");
    assert_eq!(*unix, format!("unix:{}", path.display()));
    assert!(plain.starts_with("http://127.0.0.1:") && both.starts_with("http://127.0.0.1:"));
    assert!(secure.starts_with("https://127.0.0.1:"));
    for address in [plain, both] {
        get("/mocked").to(socket(address)).await.is(200, MOCK);
    }
    is_mock(&said(UnixStream::connect(path).await.expect("a connection"), LAST).await);
    is_mock(&said(pair.connect(socket(secure), &["http/1.1"]).await, LAST).await);
    let http2 = Http2::over(TcpStream::connect(socket(both)).await.expect("a connection")).await;
    http2.send(&get("/mocked")).await.is(200, MOCK);
    // Only where it is asked for.
    let answer = said(
        TcpStream::connect(socket(plain)).await.expect("a connection"),
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    );
    assert!(!answer.await.starts_with("HTTP/1.1 200"));
}

#[tokio::test]
async fn no_listener_of_ours_is_a_callback_s_target() {
    let paths = "
        /orders:
          post:
            responses: {'201': {description: ok, content: {application/json: {example: {}}}}}
            callbacks:
              done:
                '{$request.query.cb}':
                  post: {requestBody: {content: {application/json: {example: {}}}}, responses: {'200': {description: ok}}}
    ";
    let config = "listen: ['127.0.0.1:0', '127.0.0.1:0']\nadmin: 127.0.0.1:0\ncallbacks: {delay: 1ms}\n";
    let standin = Standin::with().without_addresses().paths(paths).config(config).start().await;
    for address in addresses(&standin) {
        standin.send(post(&format!("/orders?cb={address}/orders"), "{}")).await.is(201, "{}");
    }
    for call in standin.calls_done(2).await {
        assert_eq!(call["outcome"], "blocked", "{call}");
    }
}

// Unix sockets.

#[tokio::test]
async fn a_client_of_a_unix_socket_has_no_address() {
    let paths = "
        /orders:
          post:
            responses: {'201': {description: ok, content: {application/json: {example: {}}}}}
            callbacks:
              done:
                '{$request.query.cb}':
                  post: {requestBody: {content: {application/json: {example: {}}}}, responses: {'200': {description: ok}}}
    ";
    let (upstream, receiver) = (Upstream::start().await, Receiver::start().await);
    let config = "listen: unix:a.sock\nadmin: 127.0.0.1:0\ncallbacks: {delay: 1ms, allow: [peer]}\n";
    let standin = Standin::with()
        .without_addresses()
        .paths(paths)
        .config(config)
        .upstream(upstream.url())
        .start()
        .await;
    let connect = || UnixStream::connect(standin.folder.path("a.sock"));
    let answer = said(connect().await.expect("a connection"), &LAST.replace("/mocked", "/passed")).await;
    assert!(answer.contains("upstream: GET /passed"), "{answer}");
    let passed = upstream.only();
    assert_eq!(passed.header("x-forwarded-for"), None);
    assert_eq!(passed.header("x-forwarded-proto"), Some("http"));

    let order = format!(
        "POST /orders?cb={} HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 0\r\n\r\n",
        receiver.url()
    );
    let answer = said(connect().await.expect("a connection"), &order).await;
    assert!(answer.starts_with("HTTP/1.1 201 "), "{answer}");
    assert_eq!(standin.calls_done(1).await[0]["outcome"], "blocked");
}

#[tokio::test]
async fn the_socket_s_file_goes_with_a_clean_stop_and_a_dead_one_is_replaced() {
    let pair = Pair::new();
    let mut first = listening("unix:a.sock", &pair).start().await;
    let path = first.folder.path("a.sock");
    let meta = path.metadata().expect("a file");
    assert!(meta.file_type().is_socket());
    assert_eq!(meta.permissions().mode() & 0o777, 0o660);
    first.signal("KILL");
    first.wait_exit(SOON).await;
    assert!(path.exists());

    let second = format!("['unix:{}']", path.display());
    let mut second = listening(&second, &pair).start().await;
    is_mock(&said(UnixStream::connect(&path).await.expect("a connection"), LAST).await);
    let third = listening(&format!("['unix:{}']", path.display()), &pair).exits().await;
    third.is(1).says(&["can't listen on unix:", "a.sock: something else listens there"]);
    is_mock(&said(UnixStream::connect(&path).await.expect("a connection"), LAST).await);
    second.signal("TERM");
    assert_eq!(second.wait_exit(SOON).await, 0);
    assert!(!path.exists());
}

#[tokio::test]
async fn another_file_in_the_socket_s_place_stays() {
    let builder = listening("unix:notes.txt", &Pair::new()).file("notes.txt", "mine");
    let folder = builder.folder.clone();
    builder.exits().await.is(1).says(&["notes.txt: a file is there that is no socket; remove it"]);
    assert_eq!(std::fs::read_to_string(folder.path("notes.txt")).expect("the file"), "mine\n");
}

// TLS.

#[tokio::test]
async fn tls_takes_both_versions_and_what_alpn_agrees_on() {
    let pair = Pair::new();
    let upstream = Upstream::start().await;
    let standin = listening(TLS, &pair).upstream(upstream.url()).start().await;
    pair.http2(standin.data).await.send(&get("/mocked")).await.is(200, MOCK);
    for alpn in [&["http/1.1"][..], &[]] {
        for version in [&version::TLS12, &version::TLS13] {
            let stream = pair.try_connect(standin.data, alpn, &[version]).await.expect("TLS");
            is_mock(&said(stream, LAST).await);
        }
    }
    let other = pair.try_connect(standin.data, &["spdy/3"], rustls::ALL_VERSIONS).await;
    assert!(other.is_err(), "no protocol in common");
    pair.http2(standin.data).await.send(&get("/passed")).await.is(200, "upstream: GET /passed");
    let passed = upstream.only();
    assert_eq!(passed.header("x-forwarded-proto"), Some("https"));
    assert_eq!(passed.header("host"), Some("standin.test"));
    assert_eq!(passed.header("x-forwarded-for"), Some("127.0.0.1"));
}

#[tokio::test]
async fn a_url_of_ours_is_https_over_tls() {
    let paths = "
        /where: {post: {responses: {'200': {description: ok, content: {application/json: {example: {}}}}}, callbacks: {done: {'{$url}/back': {post: {responses: {'200': {description: ok}}}}}}}}
    ";
    let pair = Pair::new();
    let config = format!("listen: {TLS}\nadmin: 127.0.0.1:0\ncallbacks: {{delay: 1ms, retry: []}}\n");
    let standin = Standin::with()
        .without_addresses()
        .paths(paths)
        .config(&config)
        .file("cert.pem", &pair.cert)
        .file("key.pem", &pair.key)
        .start()
        .await;
    pair.http2(standin.data).await.send(&post("/where", "{}")).await.is(200, "{}");
    let calls = standin.calls_done(1).await;
    assert_eq!(calls[0]["url"], "https://standin.test/where/back", "{}", calls[0]);
}

#[tokio::test]
async fn the_wrong_protocol_ends_and_harms_nobody() {
    let pair = Pair::new();
    let tls = TLS.trim_matches(['[', ']']);
    let standin = listening(&format!("[{tls}, '127.0.0.1:0']"), &pair).start().await;
    let listening = addresses(&standin);
    let (secure, plain) = (socket(&listening[0]), socket(&listening[1]));
    let mut silent = TcpStream::connect(secure).await.expect("a connection");
    let wrong = get("/mocked").to(secure).await;
    wrong.is_problem(400, "bad-request");
    assert!(wrong.text().contains("write `https://`"), "{}", wrong.text());
    let mut agreed = pair.connect(secure, &["h2"]).await;
    let garbage =
        said(TcpStream::connect(secure).await.expect("a connection"), "\u{16}garbage\r\n\r\n").await;
    assert!(!garbage.contains("HTTP"), "{garbage}");
    assert!(pair.try_connect(plain, &[], rustls::ALL_VERSIONS).await.is_err());
    // One that never says anything holds up nobody, and is closed after 10 s.
    pair.http2(secure).await.send(&get("/mocked")).await.is(200, MOCK);
    get("/mocked").to(plain).await.is(200, MOCK);
    let end = within(SOON, "the silent one is closed", silent.read(&mut [0; 1])).await;
    assert!(matches!(end, Ok(0) | Err(_)), "{end:?}");
    standin.counts(3.0, "standin_refused_total", &[("reason", "tls")]).await;
    // Nor does one that agreed on HTTP/2.
    let mut answer = Vec::new();
    let _ = within(SOON, "it is closed", agreed.read_to_end(&mut answer)).await;
}

#[tokio::test]
async fn files_that_are_no_pair_are_told_at_the_start_and_by_check() {
    let (one, two) = (Pair::new(), Pair::new());
    for (cert, key, words) in [
        (
            "none.pem",
            "key.pem",
            ["`tls.cert` of the listener", "none.pem` can't be read: there is no such file"],
        ),
        ("key.pem", "key.pem", ["`tls.cert` of the listener", "key.pem` has no certificate in it"]),
        ("cert.pem", "cert.pem", ["`tls.key` of the listener", "cert.pem` has no private key in it"]),
        (
            "cert.pem",
            "two.pem",
            ["`tls.key` of the listener", "two.pem` is not the key of the certificate in"],
        ),
        (
            "bad.pem",
            "key.pem",
            ["`tls.cert` of the listener", "bad.pem` has no certificate that can be read"],
        ),
        (".", "key.pem", ["`tls.cert` of the listener", "it is no file"]),
    ] {
        let listen = format!("{{address: '127.0.0.1:0', tls: {{cert: '{cert}', key: '{key}'}}}}");
        let files = || {
            let bad = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
            listening(&listen, &one).file("two.pem", &two.key).file("bad.pem", bad)
        };
        files().exits().await.is(1).says(&words);
        files().command("check").exits().await.is(1).prints(&words);
    }
}

/// Which certificate is shown: that of the first pair whose clients get in.
async fn shown(standin: &Standin, pairs: &[&Pair]) -> Option<usize> {
    for (number, pair) in pairs.iter().enumerate() {
        if pair.try_connect(standin.data, &[], rustls::ALL_VERSIONS).await.is_ok() {
            return Some(number);
        }
    }
    None
}

#[tokio::test]
async fn a_certificate_that_changes_is_shown_and_a_broken_one_is_not() {
    let (old, new) = (Pair::new(), Pair::new());
    let standin = listening(TLS, &old).start().await;
    let open = old.http2(standin.data).await;
    open.send(&get("/mocked")).await.is(200, MOCK);

    standin.folder.replace("cert.pem", "nothing");
    standin.logs(0, &["ERROR", "cert.pem` has no certificate in it", "stays as it was"]).await;
    let failed = async || {
        (standin.metrics().await.value("standin_reloads_total", &[("result", "failure")]) > 0.0).then_some(())
    };
    eventually(SOON, "the reload has failed", failed).await;
    assert_eq!(shown(&standin, &[&old, &new]).await, Some(0));
    let asked = standin.reload().await;
    assert_eq!(asked.status, 422, "{}", asked.text());
    assert!(asked.text().contains("SI0015"), "{}", asked.text());

    standin.folder.replace("key.pem", &new.key);
    standin.folder.replace("cert.pem", &new.cert);
    eventually(SOON, "the new certificate", async || {
        (shown(&standin, &[&old, &new]).await == Some(1)).then_some(())
    })
    .await;
    open.send(&get("/mocked")).await.is(200, MOCK);
    assert_eq!(standin.reload().await.status, 200);
    assert!(!standin.stderr().contains("needs a restart"), "{}", standin.stderr());
}

#[tokio::test]
async fn a_hangup_reads_certificates_again() {
    let (old, new) = (Pair::new(), Pair::new());
    let standin = Standin::with()
        .without_addresses()
        .paths(&operation("get", "/mocked", "mock"))
        .config(&format!("listen: {TLS}\nadmin: 127.0.0.1:0\nreload: {{watch: false}}\n"))
        .file("cert.pem", &old.cert)
        .file("key.pem", &old.key)
        .start()
        .await;
    standin.folder.replace("key.pem", &new.key);
    standin.folder.replace("cert.pem", &new.cert);
    standin.signal("HUP");
    eventually(SOON, "the new certificate", async || {
        (shown(&standin, &[&old, &new]).await == Some(1)).then_some(())
    })
    .await;
}

// HTTP/2.

#[tokio::test]
async fn http_1_of_any_length_is_taken_beside_h2c() {
    let standin = listening(H2C, &Pair::new()).start().await;
    for request in ["GET / HTTP/1.0\r\n\r\n", "PUT / HTTP/1.0\r\n\r\n", "PRI / HTTP/1.0\r\n\r\n"] {
        let answer = said(TcpStream::connect(standin.data).await.expect("a connection"), request).await;
        assert!(answer.starts_with("HTTP/1."), "{request:?}: {answer:?}");
        assert!(answer.contains(" 404 "), "{request:?}: {answer:?}");
    }
    let mut kept = standin.wire().await;
    for _ in 0..3 {
        kept.send(&get("/mocked")).await.is(200, MOCK);
    }
}

#[tokio::test]
async fn a_preface_in_pieces_is_one() {
    let standin = listening(H2C, &Pair::new()).start().await;
    let mut stream = TcpStream::connect(standin.data).await.expect("a connection");
    stream.set_nodelay(true).expect("an option");
    let (near, far) = tokio::io::duplex(64 << 10);
    tokio::spawn(async move {
        let (mut from, mut to) = tokio::io::split(far);
        let (mut answers, mut requests) = stream.split();
        let bytes = async {
            while let Ok(byte) = from.read_u8().await {
                requests.write_all(&[byte]).await.expect("standin reads");
            }
        };
        let _ = tokio::join!(bytes, tokio::io::copy(&mut answers, &mut to));
    });
    Http2::over(near).await.send(&get("/mocked")).await.is(200, MOCK);
}

#[tokio::test]
async fn what_standin_makes_itself_is_whole_over_http2() {
    let paths = "
        /pets: {get: {responses: {'200': {description: ok, content: {application/json: {example: [1]}}}}}}
        /echo: {post: {requestBody: {content: {application/json: {schema: {}}}}, responses: {'200': {description: ok, content: {application/json: {example: {says: '{{request.body/x}}'}}}}}}}
    ";
    let config = format!("listen: {H2C}\nadmin: 127.0.0.1:0\nlimits: {{header: 2KiB, mocked_body: 1KiB}}\n");
    let standin = Standin::with().without_addresses().paths(paths).config(&config).start().await;
    let http2 = Http2::over(TcpStream::connect(standin.data).await.expect("a connection")).await;
    http2.send(&get("/pets")).await.is(200, "[1]");
    let answer = http2.send(&head("/pets")).await;
    answer.is(200, "");
    assert_eq!(answer.header("content-length"), Some("3"));
    http2.send(&post("/echo", r#"{"x":"7"}"#)).await.is(200, r#"{"says":"7"}"#);
    http2.send(&get("/none")).await.is_problem(404, "no-route");
    http2.send(&post("/echo", &"x".repeat(2000))).await.is_problem(413, "body-too-large");
    http2.send(&get("/pets").header("x-long", &"x".repeat(2500))).await.is_problem(431, "header-too-large");
    // Past what the h2 crate decodes.
    assert_eq!(http2.send(&get("/pets").header("x-long", &"x".repeat(9000))).await.status, 431);
    http2.send(&get("/pets")).await.is(200, "[1]");
}

#[tokio::test]
async fn a_connection_of_http2_takes_so_many_requests_at_a_time() {
    let standin = listening(H2C, &Pair::new()).start().await;
    let http2 = Http2::over(TcpStream::connect(standin.data).await.expect("a connection")).await;
    http2.send(&get("/mocked")).await.is(200, MOCK);
    let many: Vec<_> = (0..400).map(|_| http2.send(&get("/mocked"))).collect();
    for answer in many {
        answer.await.is(200, MOCK);
    }
    assert_eq!(http2.requests.current_max_send_streams(), 128);
}

#[tokio::test]
async fn one_that_sends_no_http_is_cut_off() {
    let standin = listening(H2C, &Pair::new()).start().await;
    let http2 = Http2::over(TcpStream::connect(standin.data).await.expect("a connection")).await;
    // User information in the authority: RFC 9113, 8.3.1.
    let wrong = async || {
        let request = http::Request::get("http://me@standin.test/mocked").body(()).expect("a request");
        let (answer, _) = http2.requests.clone().send_request(request, true)?;
        answer.await.map(|answer| answer.status())
    };
    for _ in 0..32 {
        assert_eq!(within(SOON, "an answer", wrong()).await.expect("an answer"), 400);
    }
    http2.send(&get("/mocked")).await.is(200, MOCK);
    let _ = within(SOON, "an answer", wrong()).await;
    within(SOON, "the connection's end", http2.connection).await.expect("the client").ok();
}

/// An upstream that takes no more connections: who is to be connected to it waits.
async fn full() -> (TcpListener, Vec<TcpStream>) {
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.bind(([127, 0, 0, 1], 0).into()).expect("a free port");
    let listener = socket.listen(0).expect("a listener");
    let address = listener.local_addr().expect("an address");
    let mut waiting = Vec::new();
    let enough = Duration::from_millis(500);
    while let Ok(stream) = tokio::time::timeout(enough, TcpStream::connect(address)).await {
        waiting.push(stream.expect("a connection"));
    }
    (listener, waiting)
}

/// CVE-2023-44487: what a client breaks off goes on for a while, so it may not begin more and more.
#[tokio::test]
async fn one_that_breaks_off_what_it_begins_is_cut_off() {
    let (upstream, _waiting) = full().await;
    let address = upstream.local_addr().expect("an address");
    let config = format!(
        "listen: {H2C}\nadmin: 127.0.0.1:0\nupstreams: {{default: {{servers: 'http://{address}', connect_timeout: 1m}}}}\n"
    );
    let paths = operation("get", "/mocked", "mock");
    let standin = Standin::with().without_addresses().paths(&paths).config(&config).start().await;
    let http2 = Http2::over(TcpStream::connect(standin.data).await.expect("a connection")).await;
    let other = Http2::over(TcpStream::connect(standin.data).await.expect("a connection")).await;
    let begin = async || {
        let request = http::Request::get("http://standin.test/slow").body(())?;
        let mut requests = http2.requests.clone().ready().await?;
        let (_, mut stream) = requests.send_request(request, true)?;
        // It has to arrive before it is broken off; what comes after it was read has.
        let answer = requests
            .ready()
            .await?
            .send_request(http::Request::get("http://standin.test/mocked").body(())?, true)?;
        answer.0.await?;
        stream.send_reset(h2::Reason::CANCEL);
        Ok::<(), Box<dyn std::error::Error>>(())
    };
    let mut begun = 0;
    while begun < 1000 && within(SOON, "an answer", begin()).await.is_ok() {
        begun += 1;
    }
    assert!((200..400).contains(&begun), "{begun}");
    other.send(&get("/mocked")).await.is(200, MOCK);
}

#[tokio::test]
async fn an_idle_connection_of_http2_is_let_go() {
    let config = format!("listen: {H2C}\nadmin: 127.0.0.1:0\nlimits: {{keepalive: 1s}}\n");
    let paths = operation("get", "/mocked", "mock");
    let standin = Standin::with().without_addresses().paths(&paths).config(&config).start().await;
    let http2 = Http2::over(TcpStream::connect(standin.data).await.expect("a connection")).await;
    http2.send(&get("/mocked")).await.is(200, MOCK);
    let end = within(SOON, "the connection's end", http2.connection).await.expect("the client");
    assert!(end.is_ok(), "told by GOAWAY: {end:?}");
}

#[tokio::test]
async fn the_limit_counts_connections_and_not_requests() {
    let tls = TLS.trim_matches(['[', ']']);
    let pair = Pair::new();
    let config = format!("listen: [{tls}, {H2C}]\nadmin: 127.0.0.1:0\nlimits: {{connections: 2}}\n");
    let standin = Standin::with()
        .without_addresses()
        .paths(&operation("get", "/mocked", "mock"))
        .config(&config)
        .file("cert.pem", &pair.cert)
        .file("key.pem", &pair.key)
        .start()
        .await;
    let listening = addresses(&standin);
    let (secure, plain) = (socket(&listening[0]), socket(&listening[1]));
    let first = pair.http2(secure).await;
    // Counted before its handshake.
    let silent = TcpStream::connect(secure).await.expect("a connection");
    standin.counts(2.0, "standin_connections_active", &[]).await;
    for answer in [first.send(&get("/mocked")), first.send(&get("/mocked"))] {
        answer.await.is(200, MOCK);
    }
    get("/mocked").to(plain).await.is_problem(503, "overloaded");
    assert!(pair.try_connect(secure, &[], rustls::ALL_VERSIONS).await.is_err());
    drop(silent);
    standin.counts(1.0, "standin_connections_active", &[]).await;
    get("/mocked").to(plain).await.is(200, MOCK);
}

#[tokio::test]
async fn a_stop_lets_requests_of_http2_end() {
    let gate = Gate::closed();
    let held = gate.clone();
    let body = "late".repeat(100_000);
    let answer = body.clone();
    let upstream = Upstream::answering(move |_| Reply::new(200, answer.clone()).after(&held)).await;
    let mut standin = listening(H2C, &Pair::new()).upstream(upstream.url()).start().await;
    let connect = || TcpStream::connect(standin.data);
    let idle = Http2::over(connect().await.expect("a connection")).await;
    idle.send(&get("/mocked")).await.is(200, MOCK);
    let busy = Http2::over(connect().await.expect("a connection")).await;
    let slow = tokio::spawn(busy.send(&get("/slow")));
    let arrived = async || (!upstream.received().is_empty()).then_some(());
    eventually(SOON, "the request is in flight", arrived).await;
    standin.signal("TERM");
    within(SOON, "the idle one's end", idle.connection).await.expect("the client").expect("a GOAWAY");
    assert!(standin.runs());
    gate.open();
    let answer = within(SOON, "the slow answer", slow).await.expect("the client");
    assert_eq!((answer.status, answer.body.len()), (200, body.len()));
    assert_eq!(standin.wait_exit(Duration::from_secs(5)).await, 0);
}

/// What HTTP/2 has queued when a request ends may be all of its answer. Together they are more than the
/// system takes of them.
#[tokio::test]
async fn a_stop_lets_a_slow_client_read_its_answers() {
    const LENGTH: usize = 390_000;
    const REQUESTS: usize = 40;
    let upstream = Upstream::answering(|_| Reply::new(200, vec![b'x'; LENGTH])).await;
    let mut standin = listening(H2C, &Pair::new()).upstream(upstream.url()).start().await;
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.set_recv_buffer_size(4096).expect("an option");
    let mut stream = socket.connect(standin.data).await.expect("a connection");
    let (near, far) = tokio::io::duplex(64 << 10);
    let gate = Gate::closed();
    let reading = gate.clone();
    tokio::spawn(async move {
        let (mut from, mut to) = tokio::io::split(far);
        let (mut answers, mut requests) = stream.split();
        let read = async {
            reading.passed().await;
            tokio::io::copy(&mut answers, &mut to).await
        };
        tokio::join!(tokio::io::copy(&mut from, &mut requests), read)
    });
    let mut builder = h2::client::Builder::new();
    builder.initial_window_size(1 << 24).initial_connection_window_size(1 << 24);
    let (requests, connection) = builder.handshake(near).await.expect("HTTP/2");
    let http2 = Http2 { requests, connection: tokio::spawn(connection) };
    let answers: Vec<_> = (0..REQUESTS).map(|_| tokio::spawn(http2.send(&get("/slow")))).collect();
    standin.counts(REQUESTS as f64, "standin_requests_total", &[("source", "upstream")]).await;
    standin.signal("TERM");
    standin.logs(0, &["stopping requests=0"]).await;
    holds_for(Duration::from_secs(1), "it waits", || standin.runs()).await;
    gate.open();
    for answer in answers {
        let answer = answer.await.expect("the client");
        assert_eq!((answer.status, answer.body.len()), (200, LENGTH));
    }
    assert_eq!(standin.wait_exit(Duration::from_secs(5)).await, 0);
}

#[tokio::test]
async fn a_stop_does_not_wait_for_a_client_that_is_silent() {
    let (tls, pair) = (TLS.trim_matches(['[', ']']), Pair::new());
    let mut standin = listening(&format!("[{H2C}, {tls}]"), &pair).start().await;
    let _agreed = pair.connect(socket(&addresses(&standin)[1]), &["h2"]).await;
    let mut stream = TcpStream::connect(standin.data).await.expect("a connection");
    // The preface and empty SETTINGS: RFC 9113, 3.4.
    let hello = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
    stream.write_all(hello).await.expect("standin reads");
    let mut settings = [0; 9];
    within(SOON, "SETTINGS", stream.read_exact(&mut settings)).await.expect("SETTINGS");
    assert_eq!(settings[3], 4);
    let begun = Instant::now();
    standin.signal("TERM");
    assert_eq!(standin.wait_exit(SOON).await, 0);
    assert!(begun.elapsed() < Duration::from_secs(3), "{:?}", begun.elapsed());
}
