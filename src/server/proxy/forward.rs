//! What a proxy must change of what passes (RFC 9110, 7.6), and nothing else.

use std::net::IpAddr;
use std::time::Duration;

use http::header::{CONNECTION, HOST, TE, VIA};
use http::uri::{Parts, PathAndQuery};
use http::{HeaderName, HeaderValue, Uri, Version};
use pingora::Result;
use pingora::http::{RequestHeader, ResponseHeader};
use pingora::prelude::{HttpPeer, Session};
use pingora::protocols::ALPN;

use super::duplex;
use crate::config::{self, Fields, Prefix, Scheme};
use crate::server::intercept::exchange::{is_stream, says};
use crate::server::upstream::Address;

/// Connections to the upstream that nobody uses stay open for this long.
const POOLED: Duration = Duration::from_secs(60);

const FORWARDED_FOR: &str = "x-forwarded-for";
const FORWARDED_PROTO: &str = "x-forwarded-proto";
const FORWARDED_HOST: &str = "x-forwarded-host";

/// Where a request goes, and how long it may take.
pub fn peer(address: &Address, config: &config::Upstream, request: &RequestHeader) -> Box<HttpPeer> {
    let secure = address.scheme == Scheme::Https;
    let mut peer = HttpPeer::new(address.socket, secure, address.host.to_string());
    let options = &mut peer.options;
    options.connection_timeout = Some(config.connect_timeout);
    options.total_connection_timeout = Some(config.connect_timeout);
    options.idle_timeout = Some(POOLED);
    options.alpn = match address.scheme {
        Scheme::Http => ALPN::H1,
        Scheme::Https => ALPN::H2H1,
        Scheme::H2c => ALPN::H2,
    };
    // pingora's timeout is for each read. Streams are silent for as long as they like.
    if !is_stream(request) {
        options.read_timeout = Some(config.response_timeout);
    }
    // An upstream that stops reading is as slow as one that does not answer.
    options.write_timeout = Some(config.response_timeout);
    if address.scheme != Scheme::H2c && duplex::suits(request) {
        duplex::arrange(&mut peer, config.connect_timeout);
    }
    Box::new(peer)
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
    if trailers && says(client, http::header::CONTENT_TYPE, "application/grpc") {
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

/// A header section that can be changed.
pub trait Section {
    fn remove(&mut self, name: &HeaderName);

    fn set(&mut self, name: &HeaderName, value: &HeaderValue) -> Result<()>;

    fn add(&mut self, name: &HeaderName, value: &HeaderValue) -> Result<()>;
}

/// Changes fields as the config says.
pub fn change(section: &mut impl Section, fields: &Fields) -> Result<()> {
    for name in &fields.remove {
        section.remove(name);
    }
    for (name, value) in &fields.set {
        section.set(name, value)?;
    }
    fields.add.iter().try_for_each(|(name, value)| section.add(name, value))
}

/// Changes the beginning of the path as the config says, and no byte of the rest of the target.
pub fn another_path(request: &mut RequestHeader, prefix: &Prefix) -> Result<()> {
    let target = request.raw_path();
    let begin = authority_end(target);
    let end = target.iter().position(|byte| *byte == b'?').unwrap_or(target.len());
    let Some(path) = target.get(begin..end).and_then(|path| prefix.apply(path)) else { return Ok(()) };
    let changed = [&target[..begin], &path, &target[end..]].concat();
    // HTTP/2 keeps the authority apart from the target, where the next hop is to find it too.
    let Some(authority) = request.uri.authority().filter(|_| begin == 0).cloned() else {
        return request.set_raw_path(&changed);
    };
    let mut parts = Parts::default();
    parts.scheme = request.uri.scheme().cloned();
    parts.authority = Some(authority);
    parts.path_and_query = PathAndQuery::try_from(changed.as_slice()).ok();
    if let Ok(uri) = Uri::from_parts(parts) {
        request.set_uri(uri);
    }
    Ok(())
}

/// Where the path begins of a target that names its scheme and authority (RFC 9112, 3.2.2).
fn authority_end(target: &[u8]) -> usize {
    let Some(scheme) = target.windows(3).position(|bytes| bytes == b"://") else { return 0 };
    if target.first() == Some(&b'/') {
        return 0;
    }
    let begin = scheme + 3;
    let rest = target[begin..].iter().position(|byte| matches!(byte, b'/' | b'?'));
    rest.map_or(target.len(), |length| begin + length)
}

macro_rules! section {
    ($kind:ty) => {
        impl Section for $kind {
            fn remove(&mut self, name: &HeaderName) {
                self.remove_header(name);
            }

            fn set(&mut self, name: &HeaderName, value: &HeaderValue) -> Result<()> {
                self.insert_header(name, value)
            }

            fn add(&mut self, name: &HeaderName, value: &HeaderValue) -> Result<()> {
                self.append_header(name, value).map(|_| ())
            }
        }
    };
}

section!(RequestHeader);
section!(ResponseHeader);

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(target: &str, expected: &str) {
        let prefix = Prefix { strip: Some("/api".into()), add: Some("/v2".into()) };
        let mut request = RequestHeader::build("GET", b"/", None).unwrap();
        request.set_raw_path(target.as_bytes()).unwrap();
        another_path(&mut request, &prefix).unwrap();
        assert_eq!(String::from_utf8_lossy(request.raw_path()), expected);
    }

    #[test]
    fn only_the_beginning_of_the_path_changes() {
        check("/api/users?next=/api/x", "/v2/users?next=/api/x");
        check("/api?a", "/v2?a");
        check("/apis", "/v2/apis");
        check("/api/%2Fx//y/../z", "/v2/%2Fx//y/../z");
        check("http://host/api/a?b=://c/", "http://host/v2/a?b=://c/");
        check("/a?b=http://c/api", "/v2/a?b=http://c/api");
    }
}
