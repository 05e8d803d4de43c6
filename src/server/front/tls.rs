//! TLS of clients.

use std::sync::Arc;
use std::time::Duration;

use pingora::listeners::tls::Acceptor;
use pingora::protocols::Stream;
use pingora::protocols::l4::stream::Stream as Socket;
use rustls::ServerConfig;
use rustls::server::ResolvesServerCert;

/// A client has this long for the handshake.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// TLS 1.2 and 1.3, and HTTP/2 before HTTP/1.1 for clients that ask (ALPN, RFC 7301).
pub fn acceptor(certificate: Arc<dyn ResolvesServerCert>) -> Result<Acceptor, rustls::Error> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])?
        .with_no_client_auth()
        .with_cert_resolver(certificate);
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Acceptor::from_server_config(Arc::new(config)))
}

/// What a client wants on a port with TLS.
pub enum Accepted {
    Tls(Stream),
    /// HTTP without TLS; nothing was read.
    Http(Stream),
    /// There was no agreement, or not in time.
    Nothing,
}

pub async fn accept(acceptor: &Acceptor, stream: Stream) -> Accepted {
    tokio::time::timeout(HANDSHAKE, agree(acceptor, stream)).await.unwrap_or(Accepted::Nothing)
}

async fn agree(acceptor: &Acceptor, mut stream: Stream) -> Accepted {
    let mut first = [0];
    // Every HTTP request begins with a letter, and no TLS record does (RFC 8446, 5.1).
    if stream.try_peek(&mut first).await.is_ok() && first[0].is_ascii_alphabetic() {
        return Accepted::Http(stream);
    }
    let Ok(socket) = stream.into_any().downcast::<Socket>() else { return Accepted::Nothing };
    match acceptor.tls_handshake(*socket).await {
        Ok(stream) => Accepted::Tls(Box::new(stream)),
        Err(error) => {
            tracing::debug!(%error, "a client's TLS handshake failed");
            Accepted::Nothing
        }
    }
}
