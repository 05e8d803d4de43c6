//! A place of an upstream, and what a connection to it is like.
//!
//! pingora pools connections by what it hashes of a peer. Neither the authorities, nor ALPN, nor the
//! timeouts are part of that, so the group key keeps apart what must not be mixed: each upstream has
//! its own, and so has each of its settings after a reload.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use http::Version;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, TRANSFER_ENCODING, UPGRADE};
use pingora::prelude::{HttpPeer, Session};
use pingora::protocols::ALPN;
use pingora::protocols::l4::ext::TcpKeepalive;

use super::duplex;
use super::tls::Tls;
use super::turn::Health;
use crate::config::{self, Scheme, ServerAddress};
use crate::server::field::{is_stream, says};

/// Requests at once over one HTTP/2 connection, or fewer if the server says so. It is the least that
/// RFC 9113, 6.5.2 recommends to servers.
const STREAMS: usize = 100;

/// Bytes of an answer that may be under way to a client that does not read. All streams of a
/// connection together have as much, so that no slow client stops the others.
const WINDOW: u32 = 512 << 10;
const WINDOWS: u32 = WINDOW * STREAMS as u32;

/// A silent connection is asked whether it is alive, below HTTP: servers of gRPC end those that ask by
/// HTTP/2's own pings more often than every five minutes.
const SILENT: Duration = Duration::from_secs(60);
const PROBES: Duration = Duration::from_secs(10);

/// Bodies up to this many bytes fit into the buffers of any connection.
const SMALL: usize = 64 << 10;

/// Where a connection leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum At {
    Socket(SocketAddr),
    Unix(PathBuf),
}

impl fmt::Display for At {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            At::Socket(socket) => write!(f, "{socket}"),
            At::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// One address of one server.
#[derive(Debug)]
pub struct Place {
    /// The number of its server in the config.
    pub server: usize,
    pub at: At,
    pub health: Health,
    /// The server's own `Host`: with its port, if that is not the scheme's.
    pub authority: String,
    /// As most requests use it.
    peer: HttpPeer,
}

/// A key that no connection has yet. The next one is free as well.
pub fn fresh_key() -> u64 {
    static KEYS: AtomicU64 = AtomicU64::new(2);
    KEYS.fetch_add(2, Ordering::Relaxed)
}

impl Place {
    /// `key` is the upstream's, from [`fresh_key`]. None: a path that pingora does not take.
    pub fn new(server: usize, at: At, config: &config::Upstream, tls: &Tls, key: u64) -> Option<Place> {
        let config::Server { scheme, at: named } = config.servers.get(server)?;
        let mut peer = match &at {
            At::Socket(socket) => HttpPeer::new(*socket, *scheme == Scheme::Https, sni(named, config)),
            At::Unix(path) => HttpPeer::new_uds(path.to_str()?, false, String::new()).ok()?,
        };
        peer.group_key = key;
        peer.client_cert_key = tls.client.clone();
        let options = &mut peer.options;
        options.ca = tls.ca.clone();
        options.verify_cert = config.tls.verify;
        options.verify_hostname = config.tls.verify;
        options.connection_timeout = Some(config.connect_timeout);
        options.total_connection_timeout = Some(config.connect_timeout);
        options.idle_timeout = Some(config.idle_timeout);
        // pingora's timeout is for each read.
        options.read_timeout = Some(config.response_timeout);
        // An upstream that stops reading is as slow as one that does not answer.
        options.write_timeout = Some(config.response_timeout);
        options.alpn = match scheme {
            Scheme::Http => ALPN::H1,
            Scheme::Https => ALPN::H2H1,
            Scheme::H2c => ALPN::H2,
        };
        options.max_h2_streams = STREAMS;
        options.h2_stream_window_size = Some(WINDOW);
        options.h2_connection_window_size = Some(WINDOWS);
        options.tcp_keepalive = Some(TcpKeepalive {
            idle: SILENT,
            interval: PROBES,
            count: 3,
            #[cfg(target_os = "linux")]
            user_timeout: Duration::ZERO,
        });
        Some(Place { server, at, health: Health::default(), authority: authority(named, *scheme), peer })
    }

    /// For one request, which `session` has.
    pub fn peer(&self, session: &mut Session) -> Box<HttpPeer> {
        let mut peer = Box::new(self.peer.clone());
        let request = session.req_header();
        // Streams are silent for as long as they like.
        if is_stream(request) {
            peer.options.read_timeout = None;
        }
        if peer.is_tls() && says(request, UPGRADE, "websocket") {
            // HTTP/2 has no upgrades. Apart from the others, which would be held to HTTP/1.1 by it.
            peer.options.alpn = ALPN::H1;
            peer.group_key += 1;
        }
        if peer.options.alpn != ALPN::H2 && is_large(session) {
            alone(&mut peer);
            let timeout = peer.options.connection_timeout;
            peer.options.custom_l4 = Some(duplex::connector(timeout));
        }
        peer
    }

    /// For a check: as traffic has it, on a connection of its own.
    pub fn peer_of_a_check(&self) -> HttpPeer {
        let mut peer = self.peer.clone();
        alone(&mut peer);
        peer
    }
}

/// A key that no connection has now: pingora remembers each for ever, so they come round again, long after
/// the connection that had one before is closed. None is an upstream's.
fn single_key() -> u64 {
    const ROUND: u64 = 1 << 16;
    static KEYS: AtomicU64 = AtomicU64::new(0);
    (1 << 63) | (KEYS.fetch_add(1, Ordering::Relaxed) % ROUND)
}

/// A connection that serves one request, and is closed then.
fn alone(peer: &mut HttpPeer) {
    peer.group_key = single_key();
    peer.options.max_h2_streams = 1;
    peer.options.idle_timeout = Some(Duration::from_millis(1));
}

/// What the server's certificate is checked against. Empty would mean no check at all.
fn sni(server: &ServerAddress, config: &config::Upstream) -> String {
    let own = match server {
        ServerAddress::Tcp { host, .. } => host.as_str(),
        ServerAddress::Unix(_) => "localhost",
    };
    let name = config.tls.sni.as_deref().filter(|name| !name.is_empty()).unwrap_or(own);
    // RFC 6066, 3: without the dot at its end.
    name.trim_end_matches('.').to_owned()
}

fn authority(server: &ServerAddress, scheme: Scheme) -> String {
    let known = if scheme == Scheme::Https { 443 } else { 80 };
    match server {
        ServerAddress::Tcp { host, port } => {
            let host = if host.contains(':') { format!("[{host}]") } else { host.clone() };
            if *port == known { host } else { format!("{host}:{port}") }
        }
        ServerAddress::Unix(_) => "localhost".to_owned(),
    }
}

/// Whether an upstream that answers while it reads could come to a halt over this request.
fn is_large(session: &mut Session) -> bool {
    let request = session.req_header();
    if let Some(length) = request.headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()) {
        return length.parse().is_ok_and(|length: usize| length > SMALL);
    }
    if request.version != Version::HTTP_2 {
        return request.headers.contains_key(TRANSFER_ENCODING);
    }
    // gRPC meets HTTP/2 only, which has no such halts, and has many streams at once.
    !says(request, CONTENT_TYPE, "application/grpc") && !session.as_mut().is_body_empty()
}

#[cfg(test)]
mod tests {
    use std::hash::{DefaultHasher, Hash, Hasher};
    use std::path::Path;

    use super::*;

    fn place(server: &str, change: impl Fn(&mut config::Upstream)) -> Place {
        let server = config::server(server, Path::new("/")).unwrap();
        let mut config = config::Upstream::new(vec![server]);
        change(&mut config);
        let at = match &config.servers[0].at {
            ServerAddress::Tcp { port, .. } => At::Socket(([127, 0, 0, 1], *port).into()),
            ServerAddress::Unix(path) => At::Unix(path.clone()),
        };
        Place::new(0, at, &config, &Tls::default(), fresh_key()).unwrap()
    }

    #[test]
    fn the_name_that_a_certificate_must_have_is_the_server_s_or_the_config_s() {
        let check = |server: &str, sni: Option<&str>, expected: &str| {
            let place = place(server, |config| config.tls.sni = sni.map(str::to_owned));
            assert_eq!(place.peer.sni, expected);
        };
        check("https://api.test:8443", None, "api.test");
        check("https://api.test", Some("inside.test"), "inside.test");
        check("https://api.test.", None, "api.test");
        check("https://127.0.0.1", None, "127.0.0.1");
        check("https://[::1]:1", None, "::1");
        check("https://api.test", Some(""), "api.test");
    }

    #[test]
    fn the_server_s_own_host_has_its_port_if_that_is_not_the_scheme_s() {
        let check = |server: &str, expected: &str| assert_eq!(place(server, |_| {}).authority, expected);
        check("http://a", "a");
        check("http://a:8080", "a:8080");
        check("https://a", "a");
        check("https://a:80", "a:80");
        check("h2c://[::1]:80", "[::1]");
        check("http://[::1]:81", "[::1]:81");
        check("unix:/run/a.sock", "localhost");
    }

    #[test]
    fn upstreams_share_no_connections() {
        let hash = |peer: &HttpPeer| {
            let mut hasher = DefaultHasher::new();
            peer.hash(&mut hasher);
            hasher.finish()
        };
        let (one, other) = (place("https://a", |_| {}), place("https://a", |_| {}));
        assert_ne!(hash(&one.peer), hash(&other.peer));
        assert_eq!(hash(&one.peer), hash(&one.peer.clone()));
        assert_ne!(hash(&one.peer), hash(&one.peer_of_a_check()));
        assert_ne!(hash(&one.peer_of_a_check()), hash(&one.peer_of_a_check()));
    }
}
