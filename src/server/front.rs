//! The listeners, and what is known of a connection before its first request.

use std::net::SocketAddr;
use std::os::fd::IntoRawFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use pingora::apps::ServerApp;
use pingora::protocols::Stream;
use pingora::proxy::{HttpProxy, http_proxy};
use pingora::server::configuration::ServerConf;
use pingora::server::{Fds, ShutdownWatch};
use pingora::services::Service as _;
use pingora::services::listening::Service;
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpListener, TcpSocket};
use tokio::sync::watch;

use super::Failure;
use super::in_force::InForce;
use super::live::Cell;
use super::metrics::Metrics;
use super::proxy::Proxy;
use super::upstream::tls;
use crate::mock::problem::{self, Problem};

/// Connections that the system holds for us until we take them.
const BACKLOG: u32 = 1024;

/// A connection over the limit has this long to take the answer.
const REFUSAL: Duration = Duration::from_secs(1);

/// After the listeners are closed, what is on its way on open connections has this long to arrive.
const LAST_REQUESTS: Duration = Duration::from_millis(100);

/// Binds an address, port 0 too; the error says what to try.
pub async fn bind(address: &str, flag: &str) -> Result<TcpListener, Failure> {
    let failure = |reason: String| Failure::Listen { address: address.to_owned(), reason };
    let found = tokio::net::lookup_host(address).await;
    let socket = found.ok().and_then(|mut found| found.next());
    let socket = socket.ok_or_else(|| failure("the name does not resolve".to_owned()))?;
    listen(socket).map_err(|error| match error.kind() {
        std::io::ErrorKind::AddrInUse => failure(format!(
            "something else listens there; choose another with `{flag}`, or port 0 for a free one"
        )),
        std::io::ErrorKind::PermissionDenied => {
            failure(format!("not permitted; choose a port from 1024 on with `{flag}`"))
        }
        std::io::ErrorKind::AddrNotAvailable => {
            failure(format!("this machine does not have that address; choose one it has with `{flag}`"))
        }
        _ => failure(error.to_string()),
    })
}

fn listen(address: SocketAddr) -> std::io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    // A restart need not wait for the connections of the process before.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// Serves the listeners until `closed` turns true; ends when they are closed.
pub fn serve(
    proxy: Proxy,
    listeners: Vec<TcpListener>,
    threads: usize,
    metrics: Arc<Metrics>,
    live: Arc<Cell<InForce>>,
    closed: watch::Receiver<bool>,
) -> tokio::task::JoinHandle<()> {
    let conf = ServerConf { threads, ca_file: tls::instead_of_the_system_s(), ..ServerConf::default() };
    let proxy = Arc::new(http_proxy(&Arc::new(conf), proxy));
    let front = Front { proxy, metrics, live, connections: AtomicUsize::new(0) };
    let mut service = Service::new("standin".to_owned(), front);
    let mut fds = Fds::new();
    for listener in listeners {
        // Ours were just made, so they have an address and can leave the runtime.
        if let (Ok(address), Ok(listener)) = (listener.local_addr(), listener.into_std()) {
            service.add_tcp(&address.to_string());
            fds.add(address.to_string(), listener.into_raw_fd());
        }
    }
    tokio::spawn(async move {
        service.start_service(Some(Arc::new(parking_lot::Mutex::new(fds))), closed, 1).await;
    })
}

/// Counts connections, and refuses those over the limit.
struct Front {
    proxy: Arc<HttpProxy<Proxy>>,
    metrics: Arc<Metrics>,
    live: Arc<Cell<InForce>>,
    connections: AtomicUsize,
}

/// One connection, until it is dropped.
struct Connection<'f>(&'f Front);

impl Front {
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

/// Says 503 whatever is asked, which is not read.
async fn refuse(stream: &mut Stream) -> std::io::Result<()> {
    let detail = "as many connections are open as `limits.connections` allows";
    let (headers, body) = Problem::new(problem::OVERLOADED, detail).render();
    let mut answer = b"HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\n".to_vec();
    for (name, value) in &headers {
        answer.extend([name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"].concat());
    }
    answer.extend(b"\r\n");
    answer.extend(&body);
    stream.write_all(&answer).await?;
    stream.flush().await?;
    stream.shutdown().await
}

#[async_trait]
impl ServerApp for Front {
    async fn process_new(self: &Arc<Self>, mut stream: Stream, shutdown: &ShutdownWatch) -> Option<Stream> {
        let Some(_connection) = self.connect() else {
            self.metrics.refused("connections");
            let _ = tokio::time::timeout(REFUSAL, refuse(&mut stream)).await;
            return None;
        };
        self.proxy.process_new(stream, shutdown).await
    }

    async fn cleanup(&self) {
        // pingora drops every connection without a request now, and those whose first one has not
        // been looked at yet: they were taken before the listeners closed, and are served.
        if self.connections.load(Ordering::Relaxed) > 0 {
            tokio::time::sleep(LAST_REQUESTS).await;
        }
        self.proxy.cleanup().await;
    }
}
