//! The listeners, and what is known of a connection before its first request.

use std::fmt;
use std::fs::Permissions;
use std::net::SocketAddr;
use std::os::fd::IntoRawFd as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use pingora::apps::ServerApp;
use pingora::listeners::ListenerConfig;
use pingora::listeners::tls::Acceptor;
use pingora::protocols::{ALPN, Stream};
use pingora::proxy::{HttpProxy, http_proxy};
use pingora::server::configuration::ServerConf;
use pingora::server::{Fds, ShutdownWatch};
use pingora::services::Service as _;
use pingora::services::listening::Service;
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::watch;

use super::Failure;
use super::certificate::Certificate;
use super::flight::InFlight;
use super::in_force::InForce;
use super::live::Cell;
use super::metrics::Metrics;
use super::proxy::Proxy;
use super::upstream::tls as trust;
use crate::config::{Listen, ListenAddress};
use crate::mock::problem::{self, Problem};

mod tls;

mod http2;

mod socket;

pub use socket::{SocketFile, tcp};
use tls::Accepted;

/// Who is told before the first request what is wrong has this long to take it.
const REFUSAL: Duration = Duration::from_secs(1);

/// A connection that may be HTTP/2 or HTTP/1 has this long to tell.
const FIRST_BYTES: Duration = Duration::from_secs(60);

/// After the listeners are closed, what is on its way on open connections has this long to arrive.
const LAST_REQUESTS: Duration = Duration::from_millis(100);

/// Where a listener is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    Http(SocketAddr),
    Https(SocketAddr),
    Unix(PathBuf),
}

impl Address {
    /// None for a unix socket.
    pub fn socket(&self) -> Option<SocketAddr> {
        match self {
            Address::Http(socket) | Address::Https(socket) => Some(*socket),
            Address::Unix(_) => None,
        }
    }
}

/// As a client writes it.
impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Address::Http(socket) => write!(f, "http://{socket}"),
            Address::Https(socket) => write!(f, "https://{socket}"),
            Address::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// A listener that is bound, and takes no connections yet.
pub struct Bound {
    pub address: Address,
    /// That of a unix socket.
    pub file: Option<SocketFile>,
    socket: Socket,
    form: Form,
}

enum Socket {
    Tcp(TcpListener),
    Unix(UnixListener),
}

/// What connections of a listener may be.
enum Form {
    Http1,
    /// HTTP/1, or HTTP/2 by prior knowledge (RFC 9113, 3.3).
    Either,
    Tls(Acceptor),
}

/// Binds a listener; the error says what to try.
pub async fn bind(listen: &Listen, certificate: Option<Arc<Certificate>>) -> Result<Bound, Failure> {
    let failure = |reason: String| Failure::Listen { address: listen.address.to_string(), reason };
    let form = match certificate.map(|certificate| tls::acceptor(certificate)).transpose() {
        Ok(Some(acceptor)) => Form::Tls(acceptor),
        Ok(None) if listen.h2c => Form::Either,
        Ok(None) => Form::Http1,
        Err(error) => return Err(failure(error.to_string())),
    };
    match &listen.address {
        ListenAddress::Tcp(address) => {
            let listener = tcp(address, "--listen").await?;
            let socket = listener.local_addr().map_err(|error| failure(error.to_string()))?;
            let address = match form {
                Form::Tls(_) => Address::Https(socket),
                Form::Http1 | Form::Either => Address::Http(socket),
            };
            Ok(Bound { address, file: None, socket: Socket::Tcp(listener), form })
        }
        ListenAddress::Unix(path) => {
            let (listener, file) = socket::unix(path).await?;
            let address = Address::Unix(path.clone());
            Ok(Bound { address, file: Some(file), socket: Socket::Unix(listener), form })
        }
    }
}

/// Serves the listeners until `closed` turns true; ends when they are closed.
pub fn serve(
    proxy: Proxy,
    listeners: Vec<Bound>,
    threads: usize,
    closed: watch::Receiver<bool>,
) -> tokio::task::JoinHandle<()> {
    let (metrics, live) = (proxy.intercept.metrics.clone(), proxy.intercept.live.clone());
    let conf = ServerConf { threads, ca_file: trust::instead_of_the_system_s(), ..ServerConf::default() };
    let proxy = Arc::new(http_proxy(&Arc::new(conf), proxy));
    let shared = Arc::new(Shared {
        proxy,
        metrics,
        live,
        connections: AtomicUsize::new(0),
        http2: InFlight::default(),
    });
    let mut open = tokio::task::JoinSet::new();
    for Bound { socket, form, .. } in listeners {
        let front = Front { shared: shared.clone(), form };
        let mut service = Service::new("standin".to_owned(), front);
        let Some((listener, fds)) = handed_over(socket) else { continue };
        service.add_listener(listener);
        let closed = closed.clone();
        let fds = Arc::new(parking_lot::Mutex::new(fds));
        open.spawn(async move { service.start_service(Some(fds), closed, 1).await });
    }
    tokio::spawn(async move { while open.join_next().await.is_some() {} })
}

/// pingora looks descriptors up by the address that they are for. Ours were just made, so they have one
/// and can leave the runtime.
fn handed_over(socket: Socket) -> Option<(ListenerConfig, Fds)> {
    let mut fds = Fds::new();
    let listener = match socket {
        Socket::Tcp(listener) => {
            let address = listener.local_addr().ok()?.to_string();
            fds.add(address.clone(), listener.into_std().ok()?.into_raw_fd());
            ListenerConfig::tcp(address)
        }
        Socket::Unix(listener) => {
            let path = listener.local_addr().ok()?.as_pathname()?.to_str()?.to_owned();
            fds.add(path.clone(), listener.into_std().ok()?.into_raw_fd());
            ListenerConfig::uds(path).permissions(Permissions::from_mode(socket::MODE))
        }
    };
    Some((listener, fds))
}

/// What all listeners have in common: it counts connections, and refuses those over the limit.
struct Shared {
    proxy: Arc<HttpProxy<Proxy>>,
    metrics: Arc<Metrics>,
    live: Arc<Cell<InForce>>,
    connections: AtomicUsize,
    /// Connections of HTTP/2 that have begun.
    http2: InFlight,
}

/// One connection, until it is dropped.
struct Connection<'s>(&'s Shared);

impl Shared {
    /// None: there are as many as `limits.connections` allows.
    fn connect(&self) -> Option<Connection<'_>> {
        let limit = self.live.current().config.limits.connections;
        let before = self.connections.fetch_add(1, Ordering::Relaxed);
        self.metrics.connection_opened();
        let connection = Connection(self);
        (before < limit).then_some(connection)
    }
}

impl Drop for Connection<'_> {
    fn drop(&mut self) {
        self.0.connections.fetch_sub(1, Ordering::Relaxed);
        self.0.metrics.connection_closed();
    }
}

/// One listener's connections.
struct Front {
    shared: Arc<Shared>,
    form: Form,
}

#[async_trait]
impl ServerApp for Front {
    async fn process_new(self: &Arc<Self>, stream: Stream, shutdown: &ShutdownWatch) -> Option<Stream> {
        let Some(_connection) = self.shared.connect() else {
            self.shared.metrics.refused("connections");
            self.refuse(stream).await;
            return None;
        };
        match &self.form {
            Form::Http1 => self.shared.proxy.process_new(stream, shutdown).await,
            Form::Either => self.either(stream, shutdown).await,
            Form::Tls(acceptor) => self.secure(acceptor, stream, shutdown).await,
        }
    }

    async fn cleanup(&self) {
        // pingora drops every connection without a request now, and those whose first one has not
        // been looked at yet: they were taken before the listeners closed, and are served.
        if self.shared.connections.load(Ordering::Relaxed) > 0 {
            tokio::time::sleep(LAST_REQUESTS).await;
        }
        self.shared.proxy.cleanup().await;
        // An answer may still be on its way when its request has ended.
        self.shared.http2.none().await;
    }
}

impl Front {
    async fn refuse(&self, stream: Stream) {
        let detail = "as many connections are open as `limits.connections` allows";
        // Without a handshake there is nothing to say that a client could read.
        if !matches!(self.form, Form::Tls(_)) {
            say(stream, &Problem::new(problem::OVERLOADED, detail)).await;
        }
    }

    async fn either(&self, mut stream: Stream, shutdown: &ShutdownWatch) -> Option<Stream> {
        match tokio::time::timeout(FIRST_BYTES, http2::begins(&mut stream)).await {
            Ok(true) => self.http2(stream, shutdown).await,
            Ok(false) => self.shared.proxy.process_new(stream, shutdown).await,
            Err(_) => None,
        }
    }

    async fn secure(&self, acceptor: &Acceptor, stream: Stream, shutdown: &ShutdownWatch) -> Option<Stream> {
        match tls::accept(acceptor, stream).await {
            Accepted::Tls(stream) => match stream.selected_alpn_proto() {
                Some(ALPN::H2) => return self.http2(stream, shutdown).await,
                _ => return self.shared.proxy.process_new(stream, shutdown).await,
            },
            Accepted::Http(stream) => {
                let detail = "this port speaks TLS; write `https://`";
                say(stream, &Problem::new(problem::BAD_REQUEST, detail)).await;
            }
            Accepted::Nothing => {}
        }
        self.shared.metrics.refused("tls");
        None
    }

    async fn http2(&self, stream: Stream, shutdown: &ShutdownWatch) -> Option<Stream> {
        let limits = self.shared.live.current().config.limits.clone();
        http2::serve(&self.shared.proxy, stream, &limits, &self.shared.http2, shutdown).await;
        None
    }
}

/// Says what is wrong, whatever is asked, and closes.
async fn say(mut stream: Stream, problem: &Problem) {
    let _ = tokio::time::timeout(REFUSAL, write(&mut stream, problem)).await;
}

async fn write(stream: &mut Stream, problem: &Problem) -> std::io::Result<()> {
    let (headers, body) = problem.render();
    let mut answer = format!("HTTP/1.1 {}\r\nConnection: close\r\n", problem.status()).into_bytes();
    for (name, value) in &headers {
        answer.extend([name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"].concat());
    }
    answer.extend(b"\r\n");
    answer.extend(&body);
    stream.write_all(&answer).await?;
    stream.flush().await?;
    stream.shutdown().await
}
