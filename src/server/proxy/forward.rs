//! What a proxy must change of what passes (RFC 9110, 7.6), and nothing else.

use std::net::IpAddr;

use http::header::{CONNECTION, HOST, TE, VIA};
use http::{HeaderName, Version};
use pingora::http::{RequestHeader, ResponseHeader};
use pingora::prelude::{Error, ErrorType, Session};
use pingora::{ErrorSource, Result};

use crate::mock::problem;

const FORWARDED_FOR: &str = "x-forwarded-for";
const FORWARDED_PROTO: &str = "x-forwarded-proto";
const FORWARDED_HOST: &str = "x-forwarded-host";

/// Whether a field says a word, in whatever case.
fn has(request: &RequestHeader, name: HeaderName, word: &str) -> bool {
    let value = request.headers.get(name).and_then(|value| value.to_str().ok());
    value.is_some_and(|value| value.to_ascii_lowercase().contains(word))
}

/// A request on its way to the upstream. pingora has taken the hop-by-hop fields off.
pub fn request(session: &Session, request: &mut RequestHeader) -> Result<()> {
    let client = session.req_header();
    let own: Vec<HeaderName> =
        request.headers.keys().filter(|name| name.as_str().starts_with("x-standin-")).cloned().collect();
    for name in own {
        request.remove_header(&name);
    }
    // RFC 9110, 10.1.4: `te: trailers` is for one hop, but gRPC servers ask for it on every hop.
    let trailers = client.headers.get(TE).is_some_and(|te| te.as_bytes().eq_ignore_ascii_case(b"trailers"));
    if trailers && has(client, http::header::CONTENT_TYPE, "application/grpc") {
        request.insert_header(TE, "trailers")?;
    }
    if let Some(address) = session.client_addr().and_then(|address| address.as_inet()) {
        let address = canonical(address.ip()).to_string();
        let before = listed(request, FORWARDED_FOR);
        request.insert_header(
            FORWARDED_FOR,
            before.map_or(address.clone(), |before| format!("{before}, {address}")),
        )?;
    }
    if !request.headers.contains_key(FORWARDED_PROTO) {
        let secure = session.digest().is_some_and(|digest| digest.ssl_digest.is_some());
        request.insert_header(FORWARDED_PROTO, if secure { "https" } else { "http" })?;
    }
    if !request.headers.contains_key(FORWARDED_HOST) {
        let host = client.headers.get(HOST).map(|host| host.as_bytes().to_vec());
        let host = host.or_else(|| client.uri.authority().map(|authority| authority.as_str().into()));
        if let Some(host) = host {
            request.insert_header(FORWARDED_HOST, host)?;
        }
    }
    let via = format!("{} standin", protocol(client.version));
    let before = listed(request, VIA.as_str());
    request.insert_header(VIA, before.map_or(via.clone(), |before| format!("{before}, {via}")))
}

/// All values of a list-based field as one; none if it is not there, or not text.
fn listed(request: &RequestHeader, name: &str) -> Option<String> {
    let values: Vec<&str> =
        request.headers.get_all(name).iter().filter_map(|value| value.to_str().ok()).collect();
    if values.is_empty() { None } else { Some(values.join(", ")) }
}

/// An IPv4 client of an IPv6 socket is an IPv4 client.
fn canonical(address: IpAddr) -> IpAddr {
    address.to_canonical()
}

fn protocol(version: Version) -> &'static str {
    match version {
        Version::HTTP_10 => "1.0",
        Version::HTTP_2 => "2",
        _ => "1.1",
    }
}

/// An answer on its way to the client: RFC 9110, 7.6.1 takes off what was for the hop before.
pub fn response(response: &mut ResponseHeader) {
    if response.status == http::StatusCode::SWITCHING_PROTOCOLS {
        return;
    }
    let named: Vec<HeaderName> = response
        .headers
        .get_all(CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| name.trim().parse().ok())
        // pingora frames by these.
        .filter(|name| *name != http::header::CONTENT_LENGTH && *name != http::header::TRANSFER_ENCODING)
        .collect();
    for name in named {
        response.remove_header(&name);
    }
    for name in ["keep-alive", "proxy-connection", "upgrade"] {
        response.remove_header(name);
    }
}

/// Why the upstream gave no answer.
pub struct Failure {
    pub problem: problem::Kind,
    /// The metric's label.
    pub reason: &'static str,
    pub detail: &'static str,
}

pub fn kind_of(error: &Error) -> Failure {
    use ErrorType::{
        ConnectError, ConnectNoRoute, ConnectRefused, ConnectTimedout, ConnectionClosed, InvalidCert,
        InvalidHTTPHeader, ReadError, ReadTimedout, TLSHandshakeFailure, TLSHandshakeTimedout, WriteError,
        WriteTimedout,
    };
    let failure = |problem, reason, detail| Failure { problem, reason, detail };
    match error.etype() {
        ConnectTimedout | TLSHandshakeTimedout => {
            failure(problem::UPSTREAM_TIMEOUT, "connect_timeout", "no connection within `connect_timeout`")
        }
        ConnectRefused => failure(problem::UPSTREAM_CONNECT, "connect", "it refuses connections"),
        ConnectNoRoute | ConnectError | ErrorType::BindError | ErrorType::SocketError => {
            failure(problem::UPSTREAM_CONNECT, "connect", "it can't be reached")
        }
        TLSHandshakeFailure | InvalidCert | ErrorType::TLSWantX509Lookup => {
            failure(problem::UPSTREAM_CONNECT, "tls", "the TLS handshake failed")
        }
        ReadTimedout | WriteTimedout => {
            failure(problem::UPSTREAM_TIMEOUT, "timeout", "no answer within `response_timeout`")
        }
        ReadError | WriteError | ConnectionClosed | ErrorType::H1Error => failure(
            problem::UPSTREAM_PROTOCOL,
            "reset",
            "it closed the connection before its answer was whole",
        ),
        InvalidHTTPHeader | ErrorType::InvalidH2 | ErrorType::H2Error | ErrorType::H2Downgrade => {
            failure(problem::UPSTREAM_PROTOCOL, "protocol", "its answer is no HTTP that can be read")
        }
        _ if *error.esource() == ErrorSource::Upstream => {
            failure(problem::UPSTREAM_PROTOCOL, "protocol", "its answer can't be passed on")
        }
        _ => failure(problem::INTERNAL, "internal", "Standin failed; its log says more"),
    }
}
