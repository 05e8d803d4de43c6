//! An upstream's servers and their addresses, resolved in the background.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use super::live::Cell;
use crate::config::{self, Scheme, ServerAddress};

/// Names are looked up again this often, since containers move.
const RESOLVE_AGAIN: Duration = Duration::from_secs(5);

#[derive(Debug)]
pub struct Upstream {
    pub name: String,
    pub config: config::Upstream,
    addresses: Cell<Vec<Address>>,
    next: AtomicUsize,
    /// Whether the last look-up failed, so that it is logged once and not every few seconds.
    unresolved: AtomicBool,
}

/// Where to connect to, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    pub socket: SocketAddr,
    pub scheme: Scheme,
    /// The name in the config: what a certificate is checked against.
    pub host: Arc<str>,
}

impl Upstream {
    /// Resolves its names before it returns, within `deadline`, and from then on in the background
    /// for as long as someone holds it.
    pub async fn start(name: &str, config: &config::Upstream, deadline: Duration) -> Arc<Upstream> {
        let upstream = Arc::new(Upstream {
            name: name.to_owned(),
            config: config.clone(),
            addresses: Cell::new(Vec::new()),
            next: AtomicUsize::new(0),
            unresolved: AtomicBool::new(false),
        });
        let _ = tokio::time::timeout(deadline, upstream.resolve()).await;
        if upstream.config.servers.iter().any(is_name) {
            tokio::spawn(keep_resolved(Arc::downgrade(&upstream)));
        }
        upstream
    }

    /// Where the next request begins. Its further tries go on from there, whatever others do.
    pub fn turn(&self) -> usize {
        self.next.fetch_add(1, Ordering::Relaxed)
    }

    /// The address whose turn it is; none while no name resolves.
    pub fn address(&self, turn: usize) -> Option<Address> {
        let addresses = self.addresses.current();
        addresses.get(turn.checked_rem(addresses.len())?).cloned()
    }

    /// How many addresses there are to try.
    pub fn addresses(&self) -> usize {
        self.addresses.current().len()
    }

    async fn resolve(&self) {
        let mut found = Vec::new();
        let mut failure = None;
        for server in &self.config.servers {
            let ServerAddress::Tcp { host, port } = &server.at else { continue };
            let name: Arc<str> = host.as_str().into();
            match tokio::net::lookup_host((host.as_str(), *port)).await {
                Ok(sockets) => found.extend(sockets.map(|socket| Address {
                    socket,
                    scheme: server.scheme,
                    host: name.clone(),
                })),
                Err(error) => failure = Some((host, error)),
            }
        }
        let before = self.unresolved.swap(failure.is_some(), Ordering::Relaxed);
        if let Some((host, error)) = failure.filter(|_| !before) {
            tracing::warn!(upstream = self.name, host, %error, "upstream name does not resolve");
        }
        // A name that stops resolving keeps its last addresses.
        if !found.is_empty() && *self.addresses.current() != found {
            self.addresses.swap(found);
        }
    }
}

/// Whether a resolver says where it is.
fn is_name(server: &config::Server) -> bool {
    match &server.at {
        ServerAddress::Tcp { host, .. } => host.parse::<std::net::IpAddr>().is_err(),
        ServerAddress::Unix(_) => false,
    }
}

async fn keep_resolved(upstream: Weak<Upstream>) {
    loop {
        tokio::time::sleep(RESOLVE_AGAIN).await;
        let Some(upstream) = upstream.upgrade() else { return };
        upstream.resolve().await;
    }
}
