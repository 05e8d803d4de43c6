//! What a proxy must change of what passes (RFC 9110, 7.6), and nothing else.

use std::net::IpAddr;

use http::header::{CONNECTION, CONTENT_LENGTH, EXPECT, HOST, PROXY_AUTHORIZATION, TE, VIA};
use http::{HeaderMap, HeaderName, HeaderValue, Version};
use pingora::Result;
use pingora::http::{RequestHeader, ResponseHeader};
use pingora::prelude::Session;

use crate::server::field::says;

const FORWARDED_FOR: &str = "x-forwarded-for";
const FORWARDED_PROTO: &str = "x-forwarded-proto";
const FORWARDED_HOST: &str = "x-forwarded-host";

/// A request on its way to the upstream. pingora has taken the hop-by-hop fields off.
pub fn request(session: &mut Session, request: &mut RequestHeader) -> Result<()> {
    if session.req_header().version < Version::HTTP_11 {
        // RFC 9110, 10.1.1 and 15.2: an older client waits for no 100, and understands no hints.
        request.remove_header(&EXPECT);
        session.set_ignore_info_resp(true);
    }
    let client = session.req_header();
    if let Some(length) = said_again(&request.headers) {
        request.insert_header(CONTENT_LENGTH, length)?;
    }
    // It is for this hop only where a proxy asked for it (RFC 9110, 11.7.2), which Standin never does.
    let credentials = client.headers.get_all(PROXY_AUTHORIZATION).iter();
    for credentials in credentials.filter(|_| !says(client, CONNECTION, PROXY_AUTHORIZATION.as_str())) {
        request.append_header(PROXY_AUTHORIZATION, credentials)?;
    }
    if let Some(target) = origin_form(request.raw_path()) {
        request.set_raw_path(&target)?;
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

/// An absolute target as servers are asked (RFC 9112, 3.2.1); none for another. pingora has seen that
/// its host is that of `host`.
fn origin_form(target: &[u8]) -> Option<Vec<u8>> {
    let scheme = ["http://", "https://"].into_iter().find(|scheme| {
        target.get(..scheme.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(scheme.as_bytes()))
    })?;
    let rest = &target[scheme.len()..];
    let host = rest.iter().position(|byte| matches!(byte, b'/' | b'?')).unwrap_or(rest.len());
    let path = &rest[host..];
    let slash: &[u8] = if path.starts_with(b"/") { b"" } else { b"/" };
    Some([slash, path].concat())
}

/// The length, where it is said more than once; pingora has seen that all are the same. Who forwards
/// it must say it once (RFC 9110, 8.6).
fn said_again(headers: &HeaderMap) -> Option<HeaderValue> {
    let mut lengths = headers.get_all(CONTENT_LENGTH).iter();
    let first = lengths.next()?;
    if lengths.next().is_none() && !first.as_bytes().contains(&b',') {
        return None;
    }
    let length = first.to_str().ok()?.split(',').next()?.trim();
    HeaderValue::from_str(length).ok()
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
    if response.version < Version::HTTP_11 {
        // The version is that of who sends (RFC 9110, 6.2), and pingora frames it anew.
        response.set_version(Version::HTTP_11);
    }
    for name in ["keep-alive", "proxy-connection", "upgrade"] {
        response.remove_header(name);
    }
    if let Some(length) = said_again(&response.headers) {
        // A value that was there already is one that can be there.
        response.insert_header(CONTENT_LENGTH, length).ok();
    }
}
