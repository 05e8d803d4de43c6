//! The one HTTP client.
//!
//! A request goes to addresses that its caller has looked up and checked, and to no others:
//! nothing is resolved again, no proxy is asked, no redirect is followed.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::error::Error;
use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use rustls::ClientConfig;
use rustls::pki_types::CertificateDer;
use tokio::sync::{Semaphore, watch};
use tokio::time::Instant;
use url::{Host, Url};

use crate::config::{Login, Page};

/// The connections that are kept for the next request, and what TLS needs.
pub struct Fetch {
    clients: Mutex<Clients>,
    /// Read from disk when the first https request needs it.
    tls: tokio::sync::OnceCell<ClientConfig>,
    /// Trusted besides the system's authorities.
    authorities: Vec<CertificateDer<'static>>,
    /// Requests are sent through it, and connections go to its addresses.
    proxy: Option<Page>,
}

pub struct Request {
    pub method: Method,
    /// http or https.
    pub url: Url,
    /// Without `host`, and without what frames the message.
    pub headers: HeaderMap,
    pub body: Bytes,
}

/// A question for a text.
pub struct Question<'q> {
    /// http or https.
    pub url: Url,
    pub headers: HeaderMap,
    pub login: Option<&'q Login>,
    /// Bytes of the answer's body.
    pub limit: usize,
}

pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Body,
}

pub enum Body {
    Whole(Vec<u8>),
    /// Longer than the limit, and not read to its end.
    TooLong,
    /// Not read: the status is not 200.
    Unread,
}

/// What was answered to a request that was sent.
#[derive(Debug, Clone)]
pub struct Sent {
    pub status: StatusCode,
    /// As many as a connection's buffer takes, 400 KB, before they are [`Sent::cut`].
    pub headers: HeaderMap,
    /// The body's beginning, up to 64 KiB before it is [`Sent::cut`].
    pub body: Bytes,
    /// What was read of it.
    pub length: usize,
    /// Whether that is the whole body.
    pub whole: bool,
}

/// Why there is no status.
#[derive(Debug, thiserror::Error)]
#[error("{kind}: {message}")]
pub struct Failure {
    pub kind: Kind,
    message: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The name has no address.
    Dns,
    /// No connection.
    Connect,
    /// No agreement, or a certificate that is not trusted.
    Tls,
    /// Not done in time.
    Timeout,
    /// The connection ended, or the answer was no HTTP.
    Reset,
}

/// One client keeps connections to one receiver.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Receiver {
    secure: bool,
    host: Host<String>,
    port: u16,
    /// Sorted: name servers turn them round.
    addresses: Box<[SocketAddr]>,
}

#[derive(Default)]
struct Clients {
    by_receiver: HashMap<Receiver, (reqwest::Client, u64)>,
    /// Counts the uses: the least recent goes first.
    used: u64,
}

/// Clients kept at once.
const KEPT: usize = 256;

/// Addresses of one receiver: a name may have thousands, and each client keeps its own.
const TRIED: usize = 32;

/// Of an answer's body, read and dropped so that its connection can be used again.
const BODY: usize = 64 * 1024;

/// For all addresses of a receiver together.
const CONNECT: Duration = Duration::from_secs(5);

/// How long a connection is kept without use.
const IDLE: Duration = Duration::from_secs(30);

/// What a field takes besides its text.
const FIELD: usize = 128;

impl Sent {
    /// What it takes of memory, about.
    pub fn bytes(&self) -> usize {
        self.headers.iter().map(|(name, value)| cost(name, value)).sum::<usize>() + self.body.len()
    }

    /// Keeps the beginning, so many bytes of fields and of the body, in memory of its own: what a connection
    /// read into is large, and its parts keep the whole.
    pub fn cut(&mut self, fields: usize, body: usize) {
        self.body = Bytes::copy_from_slice(&self.body[..self.body.len().min(body)]);
        let mut left = fields;
        let fits = |(name, value): &(&HeaderName, &HeaderValue)| match left.checked_sub(cost(name, value)) {
            Some(rest) => {
                left = rest;
                true
            }
            None => false,
        };
        let own = |(name, value): (&HeaderName, &HeaderValue)| {
            Some((name.clone(), HeaderValue::from_bytes(value.as_bytes()).ok()?))
        };
        self.headers = self.headers.iter().take_while(fits).filter_map(own).collect();
    }
}

fn cost(name: &HeaderName, value: &HeaderValue) -> usize {
    FIELD + name.as_str().len() + value.len()
}

impl Default for Fetch {
    fn default() -> Self {
        Self::new()
    }
}

impl Fetch {
    pub fn new() -> Self {
        Fetch::with(Vec::new(), None)
    }

    /// The same, with authorities besides the system's, and through a proxy.
    pub fn with(authorities: Vec<CertificateDer<'static>>, proxy: Option<Page>) -> Self {
        let tls = tokio::sync::OnceCell::new();
        Fetch { clients: Mutex::default(), tls, authorities, proxy }
    }

    /// Sends `request` to the first of `addresses` that answers, and waits for the status. With a proxy,
    /// these are its addresses.
    ///
    /// The end of the answer's body is waited for too, but what becomes of it changes nothing.
    pub async fn send(
        &self,
        request: Request,
        addresses: &[SocketAddr],
        deadline: Instant,
    ) -> Result<Sent, Failure> {
        let answer = tokio::time::timeout_at(deadline, async {
            let client = self.client(&request.url, addresses).await?;
            let sent = client
                .request(request.method, request.url)
                .headers(request.headers)
                .body(request.body)
                .send()
                .await;
            sent.map_err(Failure::of)
        });
        let mut answer = answer.await.unwrap_or_else(|_| Err(Failure::late()))?;
        let (status, headers) = (answer.status(), answer.headers().clone());
        let mut body = BytesMut::new();
        let read = async {
            loop {
                match answer.chunk().await {
                    Ok(Some(chunk)) if body.len() + chunk.len() <= BODY => body.extend_from_slice(&chunk),
                    Ok(None) => return true,
                    Ok(Some(_)) | Err(_) => return false,
                }
            }
        };
        let whole = tokio::time::timeout_at(deadline, read).await.unwrap_or(false);
        Ok(Sent { status, headers, length: body.len(), body: body.freeze(), whole })
    }

    /// Gets a text from the first of `addresses` that answers, all of it before the deadline.
    pub async fn get(
        &self,
        question: Question<'_>,
        addresses: &[SocketAddr],
        deadline: Instant,
    ) -> Result<Answer, Failure> {
        let answer = async {
            let client = self.client(&question.url, addresses).await?;
            let mut request = client.get(question.url).headers(question.headers);
            if let Some(login) = question.login {
                request = request.basic_auth(&login.user, Some(&login.password));
            }
            let answer = request.send().await.map_err(Failure::of)?;
            let (status, headers) = (answer.status(), answer.headers().clone());
            let body = match status {
                StatusCode::OK => whole(answer, question.limit).await?,
                _ => Body::Unread,
            };
            Ok(Answer { status, headers, body })
        };
        tokio::time::timeout_at(deadline, answer).await.unwrap_or_else(|_| Err(Failure::late()))
    }

    async fn client(&self, url: &Url, addresses: &[SocketAddr]) -> Result<reqwest::Client, Failure> {
        let failed = |message: &str| Failure { kind: Kind::Connect, message: message.to_owned() };
        let host = url.host().ok_or_else(|| failed("the URL has no host"))?.to_owned();
        let port = url.port_or_known_default().ok_or_else(|| failed("the URL has no port"))?;
        let addresses = &addresses[..addresses.len().min(TRIED)];
        let mut sorted: Box<[SocketAddr]> = addresses.into();
        sorted.sort_unstable();
        let receiver = Receiver { secure: url.scheme() == "https", host, port, addresses: sorted };
        if let Some(client) = self.clients().find(&receiver) {
            return Ok(client);
        }
        let secure = receiver.secure || self.proxy.as_ref().is_some_and(|page| page.url.scheme() == "https");
        let tls = if secure { self.tls().await? } else { plain()? };
        let builder = reqwest::Client::builder().no_proxy();
        let builder = match &self.proxy {
            Some(page) => builder.proxy(through(page)?),
            None => builder,
        };
        let client = builder
            .tls_backend_preconfigured(tls)
            .dns_resolver(Arc::new(Checked(addresses.into())))
            .redirect(reqwest::redirect::Policy::none())
            .referer(false)
            .connect_timeout(CONNECT)
            .pool_idle_timeout(IDLE)
            .build()
            .map_err(Failure::of)?;
        self.clients().keep(receiver, client.clone());
        Ok(client)
    }

    fn clients(&self) -> std::sync::MutexGuard<'_, Clients> {
        self.clients.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn tls(&self) -> Result<ClientConfig, Failure> {
        let load = || async {
            let authorities = self.authorities.clone();
            let loaded = tokio::task::spawn_blocking(|| trusting_the_system(authorities)).await;
            loaded.unwrap_or_else(|panic| Err(Failure { kind: Kind::Tls, message: panic.to_string() }))
        };
        self.tls.get_or_try_init(load).await.cloned()
    }
}

async fn whole(mut answer: reqwest::Response, limit: usize) -> Result<Body, Failure> {
    // What the answer says of its length is a promise, so no more than the limit is made ready for it.
    let length = usize::try_from(answer.content_length().unwrap_or(0)).unwrap_or(usize::MAX);
    if length > limit {
        return Ok(Body::TooLong);
    }
    let mut body = Vec::with_capacity(length);
    while let Some(chunk) = answer.chunk().await.map_err(Failure::of)? {
        if body.len() + chunk.len() > limit {
            return Ok(Body::TooLong);
        }
        body.extend_from_slice(&chunk);
    }
    // A tree keeps its text, and should not keep room for twice as much.
    body.shrink_to_fit();
    Ok(Body::Whole(body))
}

fn through(page: &Page) -> Result<reqwest::Proxy, Failure> {
    let proxy = reqwest::Proxy::all(page.url.clone()).map_err(Failure::of)?;
    Ok(match &page.login {
        Some(login) => proxy.basic_auth(&login.user, &login.password),
        None => proxy,
    })
}

/// Names that are being looked up, each once, whoever waits for it.
///
/// A system's resolver may take half a minute to give a name up, and its thread can't be stopped: a name that
/// nobody answers for has one turn at most, however often it is asked for.
struct Lookups {
    /// Each has a thread. Twice as many as callbacks go out at once: who waits for a name gives up before its
    /// thread does.
    turns: Semaphore,
    going: Mutex<BTreeMap<String, watch::Receiver<Option<Found>>>>,
}

type Found = Result<Arc<[IpAddr]>, Arc<str>>;

static LOOKUPS: Lookups = Lookups::new(128);

/// For one name, and for its turn.
const LOOKUP: Duration = Duration::from_secs(5);

/// The addresses of a host: itself, if it is one.
pub async fn resolve(host: &Host<String>, port: u16, deadline: Instant) -> Result<Vec<SocketAddr>, Failure> {
    let name = match host {
        Host::Ipv4(ip) => return Ok(vec![SocketAddr::new(IpAddr::V4(*ip), port)]),
        Host::Ipv6(ip) => return Ok(vec![SocketAddr::new(IpAddr::V6(*ip), port)]),
        Host::Domain(name) => name.as_str(),
    };
    let deadline = deadline.min(Instant::now() + LOOKUP);
    match tokio::time::timeout_at(deadline, LOOKUPS.find(name, look_up)).await {
        Err(_) => Err(Failure::timeout("the name was not resolved in time")),
        Ok(Err(why)) => Err(Failure { kind: Kind::Dns, message: why.to_string() }),
        Ok(Ok(addresses)) => Ok(addresses.iter().map(|ip| SocketAddr::new(*ip, port)).collect()),
    }
}

/// As the system does it: blocks. Each address once, in the resolver's order.
fn look_up(name: &str) -> io::Result<Vec<IpAddr>> {
    let mut before = HashSet::new();
    let found = (name, 0).to_socket_addrs()?;
    Ok(found.map(|socket| socket.ip()).filter(|ip| before.insert(*ip)).collect())
}

impl Lookups {
    const fn new(turns: usize) -> Self {
        Lookups { turns: Semaphore::const_new(turns), going: Mutex::new(BTreeMap::new()) }
    }

    /// What `look` says of a name, or what it says to somebody who asked a moment before.
    async fn find<L>(&'static self, name: &str, look: L) -> Found
    where
        L: FnOnce(&str) -> io::Result<Vec<IpAddr>> + Send + 'static,
    {
        let mut found = self.join(name, look);
        let lost = || Err("its look-up was given up".into());
        found
            .wait_for(Option::is_some)
            .await
            .map_or_else(|_| lost(), |found| found.clone().unwrap_or_else(lost))
    }

    fn join<L>(&'static self, name: &str, look: L) -> watch::Receiver<Option<Found>>
    where
        L: FnOnce(&str) -> io::Result<Vec<IpAddr>> + Send + 'static,
    {
        let mut going = self.going.lock().unwrap_or_else(PoisonError::into_inner);
        // One that ended without a word has lost its runtime.
        if let Some(found) = going.get(name).filter(|found| found.has_changed().is_ok()) {
            return found.clone();
        }
        let (tell, found) = watch::channel(None);
        going.insert(name.to_owned(), found.clone());
        let name = name.to_owned();
        tokio::spawn(async move {
            let said = self.take_turn(name.clone(), look).await;
            self.going.lock().unwrap_or_else(PoisonError::into_inner).remove(&name);
            tell.send_replace(Some(said));
        });
        found
    }

    /// Nobody who has asked for this name waits any longer for its turn than this does.
    async fn take_turn<L>(&'static self, name: String, look: L) -> Found
    where
        L: FnOnce(&str) -> io::Result<Vec<IpAddr>> + Send + 'static,
    {
        let turn = tokio::time::timeout(LOOKUP, self.turns.acquire()).await;
        let Ok(Ok(turn)) = turn else { return Err("too many names are being looked up".into()) };
        let work = move || {
            let _turn = turn;
            look(&name)
        };
        let found = tokio::task::spawn_blocking(work).await.map_err(io::Error::other).and_then(|found| found);
        found.map(Into::into).map_err(|why| why.to_string().into())
    }
}

/// Says the addresses that were checked, whatever the name.
struct Checked(Vec<SocketAddr>);

impl Resolve for Checked {
    fn resolve(&self, _: Name) -> Resolving {
        let addresses: Addrs = Box::new(self.0.clone().into_iter());
        Box::pin(std::future::ready(Ok(addresses)))
    }
}

impl Clients {
    fn find(&mut self, receiver: &Receiver) -> Option<reqwest::Client> {
        self.used += 1;
        let (client, used) = self.by_receiver.get_mut(receiver)?;
        *used = self.used;
        Some(client.clone())
    }

    fn keep(&mut self, receiver: Receiver, client: reqwest::Client) {
        if self.by_receiver.len() >= KEPT
            && let Some(oldest) = self.by_receiver.iter().min_by_key(|(_, (_, used))| *used)
        {
            let oldest = oldest.0.clone();
            self.by_receiver.remove(&oldest);
        }
        self.by_receiver.insert(receiver, (client, self.used));
    }
}

/// For http, where it is not used; reqwest would otherwise read the certificates for each client.
fn plain() -> Result<ClientConfig, Failure> {
    Ok(tls_builder()?.with_root_certificates(rustls::RootCertStore::empty()).with_no_client_auth())
}

/// Reads the system's certificates, and takes others besides: blocks.
fn trusting_the_system(others: Vec<CertificateDer<'static>>) -> Result<ClientConfig, Failure> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let verifier = rustls_platform_verifier::Verifier::new_with_extra_roots(others, provider);
    let verifier = Arc::new(verifier.map_err(Failure::tls)?);
    let mut config =
        tls_builder()?.dangerous().with_custom_certificate_verifier(verifier).with_no_client_auth();
    config.alpn_protocols = vec!["h2".into(), "http/1.1".into()];
    Ok(config)
}

fn tls_builder() -> Result<rustls::ConfigBuilder<ClientConfig, rustls::WantsVerifier>, Failure> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().map_err(Failure::tls)
}

impl Failure {
    fn of(error: reqwest::Error) -> Self {
        let error = error.without_url();
        let cause = causes(&error).last().map(ToString::to_string);
        let kind = if error.is_timeout() || causes(&error).any(is_timeout) {
            Kind::Timeout
        } else if causes(&error).any(is_tls) {
            Kind::Tls
        } else if error.is_connect() || error.is_builder() {
            Kind::Connect
        } else {
            Kind::Reset
        };
        Failure { kind, message: cause.unwrap_or_else(|| error.to_string()) }
    }

    fn tls(error: rustls::Error) -> Self {
        Failure { kind: Kind::Tls, message: error.to_string() }
    }

    fn late() -> Self {
        Failure::timeout("no answer in time")
    }

    fn timeout(message: &str) -> Self {
        Failure { kind: Kind::Timeout, message: message.to_owned() }
    }

    /// Without the word of its kind.
    pub fn message(&self) -> &str {
        &self.message
    }
}

/// The error and what it came from, outermost first. An `io::Error` hides what it wraps.
fn causes<'e>(error: &'e (dyn Error + 'static)) -> impl Iterator<Item = &'e (dyn Error + 'static)> {
    std::iter::successors(Some(error), |&error| {
        let wrapped = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        match wrapped {
            Some(inner) => Some(inner as &(dyn Error + 'static)),
            None => error.source(),
        }
    })
}

fn is_timeout(error: &(dyn Error + 'static)) -> bool {
    error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::TimedOut)
}

fn is_tls(error: &(dyn Error + 'static)) -> bool {
    error.is::<rustls::Error>()
}

impl Kind {
    /// As the metrics label an attempt without a status.
    pub fn word(self) -> &'static str {
        match self {
            Kind::Dns => "dns",
            Kind::Connect => "connect",
            Kind::Tls => "tls",
            Kind::Timeout => "timeout",
            Kind::Reset => "reset",
        }
    }
}

impl std::fmt::Display for Kind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.word())
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    fn soon() -> Instant {
        Instant::now() + Duration::from_secs(10)
    }

    fn get(url: &str) -> Request {
        let url = Url::parse(url).unwrap();
        Request { method: Method::GET, url, headers: HeaderMap::new(), body: Bytes::new() }
    }

    async fn listen() -> (TcpListener, SocketAddr) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        (listener, address)
    }

    /// Answers every request of every connection with `answer`; counts the connections.
    async fn receiver(answer: &'static str) -> (SocketAddr, Arc<std::sync::atomic::AtomicUsize>) {
        let (listener, address) = listen().await;
        let connections = Arc::new(std::sync::atomic::AtomicUsize::new(0));
        let counted = connections.clone();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                counted.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
                tokio::spawn(async move {
                    let mut buffer = [0; 4096];
                    while stream.read(&mut buffer).await.is_ok_and(|read| read > 0) {
                        let _ = stream.write_all(answer.as_bytes()).await;
                    }
                });
            }
        });
        (address, connections)
    }

    async fn kind_of(url: &str, address: SocketAddr, deadline: Instant) -> Kind {
        Fetch::new().send(get(url), &[address], deadline).await.unwrap_err().kind
    }

    #[tokio::test]
    async fn a_request_goes_to_the_given_address_whatever_its_name() {
        let (address, _) = receiver("HTTP/1.1 204 No Content\r\n\r\n").await;
        let url = format!("http://nowhere.invalid:{}/", address.port());
        let status = Fetch::new().send(get(&url), &[address], soon()).await;
        assert_eq!(status.unwrap().status, 204);
    }

    #[tokio::test]
    async fn a_redirect_is_not_followed() {
        let (address, connections) =
            receiver("HTTP/1.1 307 Temporary Redirect\r\nlocation: /again\r\ncontent-length: 0\r\n\r\n")
                .await;
        let status = Fetch::new().send(get(&format!("http://{address}/")), &[address], soon()).await;
        assert_eq!(status.unwrap().status, 307);
        assert_eq!(connections.load(std::sync::atomic::Ordering::SeqCst), 1);
    }

    async fn text(answer: &'static str) -> String {
        let (address, _) = receiver(answer).await;
        let url = Url::parse(&format!("http://{address}/")).unwrap();
        let question = Question { url, headers: HeaderMap::new(), login: None, limit: 5 };
        let answer = Fetch::new().get(question, &[address], soon()).await.unwrap();
        match answer.body {
            Body::Whole(body) => String::from_utf8(body).unwrap(),
            Body::TooLong => "too long".to_owned(),
            Body::Unread => format!("unread {}", answer.status),
        }
    }

    #[tokio::test]
    async fn a_text_is_read_up_to_its_limit() {
        assert_eq!(text("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nabcde").await, "abcde");
        assert_eq!(text("HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\n").await, "too long");
        let chunked = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n3\r\ndef\r\n";
        assert_eq!(text(chunked).await, "too long");
        assert_eq!(text("HTTP/1.1 404 No\r\n\r\n").await, "unread 404 Not Found");
    }

    #[tokio::test]
    async fn a_connection_is_used_again() {
        let (address, connections) = receiver("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await;
        let fetch = Fetch::new();
        for _ in 0..3 {
            let status = fetch.send(get(&format!("http://{address}/")), &[address], soon()).await;
            assert_eq!(status.unwrap().status, 200);
        }
        assert_eq!(connections.load(std::sync::atomic::Ordering::SeqCst), 1);
    }

    #[tokio::test]
    async fn a_body_without_end_does_not_hold_the_status_back() {
        let (listener, address) = listen().await;
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let _ = stream.read(&mut [0; 4096]).await;
            stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.unwrap();
            while stream.write_all(&[b'x'; 8192]).await.is_ok() {}
        });
        let status = Fetch::new().send(get(&format!("http://{address}/")), &[address], soon()).await;
        assert_eq!(status.unwrap().status, 200);
    }

    #[tokio::test]
    async fn failures_have_the_contracts_words() {
        let (listener, closed) = listen().await;
        drop(listener);
        assert_eq!(kind_of(&format!("http://{closed}/"), closed, soon()).await, Kind::Connect);

        let (silent, address) = listen().await;
        let passed = Instant::now() + Duration::from_millis(20);
        assert_eq!(kind_of(&format!("http://{address}/"), address, passed).await, Kind::Timeout);
        drop(silent);

        let (hangs_up, address) = listen().await;
        tokio::spawn(async move {
            let (mut stream, _) = hangs_up.accept().await.unwrap();
            let _ = stream.read(&mut [0; 512]).await;
        });
        assert_eq!(kind_of(&format!("http://{address}/"), address, soon()).await, Kind::Reset);

        let (address, _) = receiver("HTTP/1.1 400 Bad Request\r\n\r\n").await;
        assert_eq!(kind_of(&format!("https://{address}/"), address, soon()).await, Kind::Tls);

        let host = Host::Domain("nowhere.invalid".to_owned());
        assert_eq!(resolve(&host, 80, soon()).await.unwrap_err().kind, Kind::Dns);
    }

    #[test]
    fn of_an_answer_the_beginning_is_kept_in_memory_of_its_own() {
        let buffer = Bytes::from(vec![b'a'; 400_000]);
        let mut sent = Sent {
            status: StatusCode::OK,
            headers: HeaderMap::new(),
            body: buffer.slice(..3000),
            length: 3000,
            whole: true,
        };
        for at in 0..20 {
            let name = HeaderName::try_from(format!("x-{at}")).unwrap();
            sent.headers.append(name, HeaderValue::from_maybe_shared(buffer.slice(..100)).unwrap());
        }
        sent.cut(1000, 2000);
        assert_eq!((sent.headers.len(), sent.body.len(), sent.length), (4, 2000, 3000));
        assert!(sent.headers.contains_key("x-0") && sent.bytes() < 3000);
        // Nothing of it is held.
        assert!(buffer.try_into_mut().is_ok());
    }

    #[tokio::test]
    async fn clients_are_bounded_and_the_least_used_goes_first() {
        let fetch = Fetch::new();
        let url = |port: usize| Url::parse(&format!("http://127.0.0.1:{port}/")).unwrap();
        for port in 1..=KEPT {
            fetch.client(&url(port), &[]).await.unwrap();
        }
        fetch.client(&url(1), &[]).await.unwrap();
        fetch.client(&url(KEPT + 1), &[]).await.unwrap();
        let clients = fetch.clients();
        let mut ports: Vec<_> = clients.by_receiver.keys().map(|receiver| receiver.port).collect();
        ports.sort_unstable();
        assert_eq!(ports.len(), KEPT);
        assert_eq!(ports[..2], [1, 3]);
    }

    #[tokio::test]
    async fn of_a_name_with_many_addresses_the_first_are_tried() {
        let fetch = Fetch::new();
        let addresses: Vec<SocketAddr> =
            (0..4000).map(|at| SocketAddr::new(IpAddr::V4((0x0909_0000 + at).into()), 80)).collect();
        fetch.client(&Url::parse("http://a.example/").unwrap(), &addresses).await.unwrap();
        let clients = fetch.clients();
        let kept: Vec<_> = clients.by_receiver.keys().map(|receiver| &*receiver.addresses).collect();
        assert_eq!(kept, [&addresses[..TRIED]]);
    }

    /// Two turns: a name that nobody answers for has one of them, and others go on.
    #[tokio::test]
    async fn a_name_is_looked_up_once_however_many_ask() {
        static TWO: Lookups = Lookups::new(2);
        static ASKED: std::sync::atomic::AtomicUsize = std::sync::atomic::AtomicUsize::new(0);
        let (open, closed) = std::sync::mpsc::channel::<()>();
        let mut closed = Some(closed);
        let mut hangs = || {
            let closed = closed.take();
            TWO.join("dead", move |_| {
                ASKED.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
                closed.map(|closed| closed.recv());
                Ok(vec![IpAddr::V4([8, 8, 8, 8].into())])
            })
        };
        let mut waiting: Vec<_> = (0..5).map(|_| hangs()).collect();
        let fine = TWO.find("well", |name| Err(io::Error::other(format!("{name} has none")))).await;
        assert_eq!(fine, Err("well has none".into()));
        drop(open);
        for found in &mut waiting {
            let found = found.wait_for(Option::is_some).await.unwrap();
            assert_eq!(found.as_ref().unwrap().as_deref(), Ok(&[IpAddr::V4([8, 8, 8, 8].into())][..]));
        }
        assert_eq!(ASKED.load(std::sync::atomic::Ordering::SeqCst), 1);
        // It is not remembered.
        TWO.find("dead", |_| Ok(Vec::new())).await.unwrap();
        assert!(TWO.going.lock().unwrap().is_empty());
    }
}
