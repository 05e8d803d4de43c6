//! HTTP/2 of clients, by ALPN or by prior knowledge.
//!
//! pingora's own loop waits for ever for a client that agreed on HTTP/2 and says nothing, and takes its
//! limits once for the whole process.

use std::sync::Arc;
use std::time::Duration;

use pingora::apps::HttpServerApp as _;
use pingora::protocols::http::ServerSession;
use pingora::protocols::http::v2::server::{self, H2Accept, H2Options, HttpSession};
use pingora::protocols::{Digest, Stream};
use pingora::proxy::HttpProxy;
use pingora::server::ShutdownWatch;

use crate::config::Limits;
use crate::server::flight::{Flight, InFlight};
use crate::server::proxy::Proxy;

/// RFC 9113, 3.4: what a client's connection begins with.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Requests of one connection at a time; a client waits with what is more.
const STREAMS: u32 = 128;

/// As that, with those that the client has broken off and that have not ended yet. One that makes more
/// of them is cut off (CVE-2023-44487, rapid reset).
const UNFINISHED: usize = 2 * STREAMS as usize;

/// Requests of one connection that are no HTTP, before it is cut off.
const MALFORMED: usize = 32;

/// Bytes that a connection may send before they are read: those of sixteen requests that nobody reads, so
/// that one such request does not hold up the others.
const WINDOW: u32 = 1 << 20;

/// A client has this long to send the preface, where it agreed to.
const BEGIN: Duration = Duration::from_secs(10);

/// A client that was told to go has this long to do so; many look at the connection with their next
/// request only.
const GO: Duration = Duration::from_millis(500);

/// So often that time for one that has yet to read an answer.
const READ: usize = 10;

/// Whether HTTP/2 begins here. Looks no further than it has to, and what it looks at stays unread: an
/// HTTP/1 request may be shorter than the preface.
pub async fn begins(stream: &mut Stream) -> bool {
    let mut seen = [0; PREFACE.len()];
    for length in 1..=PREFACE.len() {
        let seen = &mut seen[..length];
        let peeked = stream.try_peek(seen).await;
        if !peeked.is_ok_and(|peeked| peeked) || *seen != PREFACE[..length] {
            return false;
        }
    }
    true
}

/// Serves a connection to its end: the client's, an idle one's, or that of the last request after
/// `closing` turned true. One that has begun is counted in `open`.
pub async fn serve(
    proxy: &Arc<HttpProxy<Proxy>>,
    stream: Stream,
    limits: &Limits,
    open: &InFlight,
    closing: &ShutdownWatch,
) {
    let digest = Arc::new(Digest {
        ssl_digest: stream.get_ssl_digest(),
        timing_digest: stream.get_timing_digest(),
        proxy_digest: stream.get_proxy_digest(),
        socket_digest: stream.get_socket_digest(),
    });
    let handshake = server::handshake(stream, Some(options(limits)));
    let Ok(Ok(mut connection)) = tokio::time::timeout(BEGIN, handshake).await else { return };
    let _open = open.begin();
    let mut closed = closing.clone();
    let requests = InFlight::default();
    let (mut malformed, mut unread) = (0, 0);
    // How long the connection may be idle; none: it was told already that it is to go.
    let mut patience = Some(limits.keepalive.max(Duration::from_secs(1)));
    loop {
        let event = tokio::select! {
            biased;
            // An error is the process's end.
            _ = closed.wait_for(|closed| *closed), if patience.is_some() => Event::Closing,
            accepted = HttpSession::from_h2_conn(&mut connection, digest.clone()) => Event::from(accepted),
            () = idle(&requests, patience.unwrap_or(GO)) => Event::Idle,
        };
        match event {
            Event::Request(_) if requests.count() >= UNFINISHED => return,
            Event::Request(session) => start(proxy, *session, requests.begin(), closing),
            Event::Malformed if malformed < MALFORMED => malformed += 1,
            Event::Closing | Event::Idle if patience.take().is_some() => connection.graceful_shutdown(),
            // The requests have ended, but not all of their answers is with the client.
            Event::Idle if connection.has_streams() && unread < READ => unread += 1,
            Event::Malformed | Event::Closing | Event::Idle | Event::End => return,
        }
    }
}

/// What happens to a connection.
enum Event {
    Request(Box<HttpSession>),
    /// It was answered, or reset, by pingora.
    Malformed,
    /// The listener closes.
    Closing,
    Idle,
    End,
}

impl From<pingora::Result<Option<H2Accept>>> for Event {
    fn from(accepted: pingora::Result<Option<H2Accept>>) -> Self {
        match accepted {
            Ok(Some(H2Accept::Session(session))) => Event::Request(Box::new(session)),
            Ok(Some(H2Accept::Rejected)) => Event::Malformed,
            Ok(None) | Err(_) => Event::End,
        }
    }
}

fn start(proxy: &Arc<HttpProxy<Proxy>>, session: HttpSession, request: Flight, closing: &ShutdownWatch) {
    let (proxy, closing) = (proxy.clone(), closing.clone());
    tokio::spawn(async move {
        let _request = request;
        proxy.process_new_http(ServerSession::new_http2(session), &closing).await;
    });
}

/// The h2 crate's own bounds hold besides: on frames of a header section, on resets that it has to
/// answer, and on what waits to be sent.
fn options(limits: &Limits) -> H2Options {
    // RFC 9113, 6.5.2 counts 32 bytes more for each field. What is over it is 431 without a body;
    // Standin's own limits are looked at later, and say which one it was.
    let header = limits.header.saturating_add(32 * limits.headers);
    let mut options = H2Options::new();
    options
        .max_concurrent_streams(STREAMS)
        .max_header_list_size(u32::try_from(header).unwrap_or(u32::MAX))
        .initial_connection_window_size(WINDOW);
    options
}

async fn idle(requests: &InFlight, patience: Duration) {
    requests.none().await;
    tokio::time::sleep(patience).await;
}
