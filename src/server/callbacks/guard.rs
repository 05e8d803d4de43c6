//! Where callbacks may go.
//!
//! The target comes from a client's request, so it is checked at every attempt: [`target`] reads
//! the URL, [`classify`] says what an address is, and [`Policy::check`] decides on the addresses
//! that the host resolved to. The connection then goes to those addresses and no others.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

use ipnet::IpNet;
use url::{Host, Url};

use crate::config;

/// What an address is to this machine. The stricter is the greater.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Class {
    /// Globally reachable.
    Public,
    /// Loopback, RFC 1918, CGNAT, ULA.
    Private,
    /// Never sent to; which range it is in.
    Forbidden(&'static str),
}

/// Why a callback was not sent, and what would let it go.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Blocked {
    #[error("the callback's URL {0}")]
    Url(String),
    #[error("{address} is {range}; callbacks never go there, whatever `callbacks.allow` says")]
    Forbidden { address: IpAddr, range: &'static str },
    #[error("{0} is Standin's own listener; callbacks never go there, whatever `callbacks.allow` says")]
    Own(SocketAddr),
    #[error("{address} is refused by `callbacks.deny: [{entry}]`")]
    Denied { address: IpAddr, entry: String },
    #[error(
        "{address} is private; `callbacks.allow: [private]` or `callbacks.allow: [{net}]` would allow it"
    )]
    Private { address: IpAddr, net: IpNet },
    #[error("{address} is public; `callbacks.allow: [public]` or `callbacks.allow: [{net}]` would allow it")]
    Public { address: IpAddr, net: IpNet },
    #[error("{name} is refused by `callbacks.deny: [{entry}]`")]
    DeniedName { name: String, entry: String },
    #[error(
        "`callbacks.allow: [{class}]` or `callbacks.allow: [{name}]` would allow {name}, which the proxy looks up"
    )]
    Name { name: String, class: config::Target },
    #[error("{0} has no address")]
    Nowhere(String),
}

/// A URL that a request may be made of, once its addresses are checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    pub url: Url,
    pub host: Host<String>,
    pub port: u16,
}

/// The lists of the config, with the addresses that Standin itself listens on.
#[derive(Debug, Clone)]
pub struct Policy {
    allow: Box<[config::Target]>,
    deny: Box<[config::Target]>,
    own: Box<[SocketAddr]>,
}

/// Bytes of a URL.
const LONGEST: usize = 8 * 1024;

/// Reads a rendered URL; a relative one is joined to `base`, if there is one.
///
/// The URL parser repairs what it reads (it drops tabs and newlines, and turns `\` to `/`), and
/// what it repairs may mean something else to whoever wrote or logged it: such a URL is refused
/// as it stands.
pub fn target(raw: &str, base: Option<&Url>) -> Result<Target, Blocked> {
    let refuse = |why: &str| Err(Blocked::Url(why.to_owned()));
    if raw.len() > LONGEST {
        return refuse("is longer than 8 KiB");
    }
    if raw.is_empty() {
        return refuse("is empty");
    }
    if raw.chars().any(|c| c.is_control() || c.is_whitespace()) {
        return refuse("has a space or a control character; percent-encode it");
    }
    if raw.contains('\\') {
        return refuse("has a `\\`; percent-encode it");
    }
    let parsed = match (Url::parse(raw), base) {
        (Err(url::ParseError::RelativeUrlWithoutBase), Some(base)) => base.join(raw),
        (Err(url::ParseError::RelativeUrlWithoutBase), None) => {
            return refuse(
                "is relative, and there is nothing that it is relative to; set `callbacks.base_url`",
            );
        }
        (parsed, _) => parsed,
    };
    let mut url = match parsed {
        Ok(url) => url,
        Err(why) => return refuse(&format!("is not one: {why}")),
    };
    if !matches!(url.scheme(), "http" | "https") {
        return refuse(&format!("begins with `{}:`; only http and https are sent", url.scheme()));
    }
    if let Some(authority) = authority(raw) {
        if authority.is_empty() {
            return refuse("has no host");
        }
        if authority.contains('@') {
            return refuse("has user information; put it in a header");
        }
    }
    if !url.username().is_empty() || url.password().is_some() {
        return refuse("has user information; put it in a header");
    }
    drop_trailing_dot(&mut url)?;
    url.set_fragment(None);
    let Some(host) = url.host().map(|host| host.to_owned()) else { return refuse("has no host") };
    match url.port_or_known_default() {
        None | Some(0) => refuse("has port 0"),
        Some(port) => Ok(Target { host, port, url }),
    }
}

/// What stands between `//` and the path, as it was written; none in a relative URL without it,
/// empty if the URL has a scheme but no `//host`.
fn authority(raw: &str) -> Option<&str> {
    let rest = match raw.find([':', '/', '?', '#']) {
        Some(colon) if raw.as_bytes()[colon] == b':' => &raw[colon + 1..],
        _ => raw.starts_with("//").then_some(raw)?,
    };
    let rest = rest.strip_prefix("//").unwrap_or("");
    Some(rest.split(['/', '?', '#']).next().unwrap_or(""))
}

/// `example.com.` is `example.com`, for the lists and for the certificate.
fn drop_trailing_dot(url: &mut Url) -> Result<(), Blocked> {
    let Some(Host::Domain(name)) = url.host() else { return Ok(()) };
    let Some(shorter) = name.strip_suffix('.') else { return Ok(()) };
    let shorter = shorter.to_owned();
    if shorter.is_empty() || shorter.ends_with('.') || url.set_host(Some(&shorter)).is_err() {
        return Err(Blocked::Url(format!("has no usable host: `{shorter}.`")));
    }
    Ok(())
}

impl Target {
    /// `host:port`: what the bound of calls per host counts by.
    pub fn lane(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }
}

impl Policy {
    /// `own`: what Standin listens on; an unspecified address is every address of this machine.
    pub fn new(config: &config::Callbacks, own: &[SocketAddr]) -> Self {
        Policy {
            allow: config.allow.as_slice().into(),
            deny: config.deny.as_slice().into(),
            own: own.iter().map(|own| SocketAddr::new(own.ip().to_canonical(), own.port())).collect(),
        }
    }

    /// Whether a call may go to `host`, which resolved to `addresses`: each of them must be allowed.
    ///
    /// `peer` is the address that the client's own connection came from; none for a unix socket.
    pub fn check(
        &self,
        host: &Host<String>,
        addresses: &[SocketAddr],
        peer: Option<IpAddr>,
    ) -> Result<(), Blocked> {
        if addresses.is_empty() {
            return Err(Blocked::Nowhere(host.to_string()));
        }
        let peer = peer.map(|peer| Reading::of(peer).address);
        addresses.iter().try_for_each(|address| self.check_one(host, *address, peer))
    }

    /// The same for a call that goes through a proxy, which looks names up: of a name only what it says
    /// itself can be known. The proxy has to see to the rest.
    pub fn check_unresolved(
        &self,
        host: &Host<String>,
        port: u16,
        peer: Option<IpAddr>,
    ) -> Result<(), Blocked> {
        let name = match host {
            Host::Ipv4(ip) => return self.check(host, &[SocketAddr::new((*ip).into(), port)], peer),
            Host::Ipv6(ip) => return self.check(host, &[SocketAddr::new((*ip).into(), port)], peer),
            Host::Domain(name) => name,
        };
        // RFC 6761, 6.3: either of them.
        if name == "localhost" || name.ends_with(".localhost") {
            let loopback = [Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()];
            return self.check(host, &loopback.map(|ip: IpAddr| SocketAddr::new(ip, port)), peer);
        }
        let class = class_of_name(name);
        let names = |entry: &&config::Target| **entry == class || is_named(entry, name);
        if let Some(entry) = self.deny.iter().find(names) {
            return Err(Blocked::DeniedName { name: name.clone(), entry: entry.to_string() });
        }
        match self.allow.iter().find(names) {
            Some(_) => Ok(()),
            None => Err(Blocked::Name { name: name.clone(), class }),
        }
    }

    fn check_one(
        &self,
        host: &Host<String>,
        socket: SocketAddr,
        peer: Option<IpAddr>,
    ) -> Result<(), Blocked> {
        let reading = Reading::of(socket.ip());
        let address = reading.address;
        if let Some(entry) = self.deny.iter().find(|entry| reading.is_denied_by(entry, host, peer)) {
            return Err(Blocked::Denied { address, entry: entry.to_string() });
        }
        if let Class::Forbidden(range) = reading.class {
            return Err(Blocked::Forbidden { address, range });
        }
        let mut everywhere = reading.everything().map(|address| SocketAddr::new(address, socket.port()));
        if let Some(own) = everywhere.find(|there| self.own.iter().any(|own| reaches(*there, *own))) {
            return Err(Blocked::Own(own));
        }
        if self.allow.iter().any(|entry| reading.is_allowed_by(entry, host, peer)) {
            return Ok(());
        }
        let net = IpNet::from(address);
        Err(match reading.class {
            Class::Public => Blocked::Public { address, net },
            _ => Blocked::Private { address, net },
        })
    }
}

/// Whether a connection to `target` ends at the listener `own`.
fn reaches(target: SocketAddr, own: SocketAddr) -> bool {
    if target.port() != own.port() {
        return false;
    }
    target.ip() == own.ip() || (own.ip().is_unspecified() && is_local(target.ip()))
}

/// Whether an address is this machine's own: only then can a socket be bound to it.
fn is_local(address: IpAddr) -> bool {
    address.is_loopback() || UdpSocket::bind((address, 0)).is_ok()
}

/// Whether an entry is this name, or a name that it is below.
fn is_named(entry: &config::Target, name: &str) -> bool {
    match entry {
        config::Target::Host(own) => own == name,
        config::Target::Under(parent) => {
            name.strip_suffix(parent.as_str()).is_some_and(|below| below.ends_with('.'))
        }
        _ => false,
    }
}

/// What a name says of its addresses. One without a dot is searched for in the proxy's own domain; `local`
/// (RFC 6762), `home.arpa` (RFC 8375) and `internal` (ICANN, 2024) are never delegated.
fn class_of_name(name: &str) -> config::Target {
    let own = ["local", "home.arpa", "internal"];
    let below = |parent: &&str| name.strip_suffix(*parent).is_some_and(|rest| rest.ends_with('.'));
    if name.contains('.') && !own.iter().any(below) {
        config::Target::Public
    } else {
        config::Target::Private
    }
}

pub fn classify(ip: IpAddr) -> Class {
    Reading::of(ip).class
}

/// What an address means, whatever notation it is in.
#[derive(Debug, Clone, Copy)]
struct Reading {
    class: Class,
    /// IPv4, if it stands for an IPv4 address.
    address: IpAddr,
    /// As it was written, and the addresses that a tunnel would bring it to.
    others: [Option<IpAddr>; 3],
}

impl Reading {
    fn of(ip: IpAddr) -> Reading {
        let v6 = match ip {
            IpAddr::V4(v4) => return Reading { class: class_v4(v4), address: ip, others: [None; 3] },
            IpAddr::V6(v6) => v6,
        };
        match embedded(v6) {
            Embedded::None => Reading { class: class_v6(v6), address: ip, others: [None; 3] },
            Embedded::Same(v4) => {
                Reading { class: class_v4(v4), address: v4.into(), others: [Some(ip), None, None] }
            }
            Embedded::Tunnel(ends) => {
                let hidden = ends.iter().flatten().any(|end| class_v4(*end) != Class::Public);
                let class = if hidden { TUNNEL } else { class_v6(v6) };
                Reading { class, address: ip, others: ends.map(|end| end.map(IpAddr::from)) }
            }
        }
    }

    fn is_denied_by(&self, entry: &config::Target, host: &Host<String>, peer: Option<IpAddr>) -> bool {
        match entry {
            config::Target::Net(net) => self.everything().any(|address| net.contains(&address)),
            config::Target::Host(name) if name.parse::<IpAddr>().is_ok() => {
                self.everything().any(|address| name.parse() == Ok(address))
            }
            config::Target::Peer => self.everything().any(|address| is_peer(address, peer)),
            _ => self.is_allowed_by(entry, host, peer),
        }
    }

    fn is_allowed_by(&self, entry: &config::Target, host: &Host<String>, peer: Option<IpAddr>) -> bool {
        match entry {
            config::Target::Peer => is_peer(self.address, peer),
            config::Target::Private => self.class == Class::Private,
            config::Target::Public => self.class == Class::Public,
            config::Target::Net(net) => net.contains(&self.address),
            config::Target::Host(name) => match name.parse::<IpAddr>() {
                Ok(address) => self.address == address,
                Err(_) => matches!(host, Host::Domain(name) if is_named(entry, name)),
            },
            config::Target::Under(_) => matches!(host, Host::Domain(name) if is_named(entry, name)),
        }
    }

    fn everything(&self) -> impl Iterator<Item = IpAddr> {
        std::iter::once(self.address).chain(self.others.into_iter().flatten())
    }
}

/// A loopback peer is on this machine, and may name any of its loopback addresses.
fn is_peer(address: IpAddr, peer: Option<IpAddr>) -> bool {
    peer.is_some_and(|peer| peer == address || (peer.is_loopback() && address.is_loopback()))
}

/// The IPv4 address in an IPv6 address.
enum Embedded {
    None,
    /// Another notation of this address.
    Same(Ipv4Addr),
    /// By way of a tunnel, or of one in another, that ends there.
    Tunnel([Option<Ipv4Addr>; 3]),
}

const TUNNEL: Class = Class::Forbidden("a tunnel to an address that is not public");

fn embedded(ip: Ipv6Addr) -> Embedded {
    let at = |from: usize| {
        let octets = ip.octets();
        Ipv4Addr::new(octets[from], octets[from + 1], octets[from + 2], octets[from + 3])
    };
    // ISATAP (RFC 5214), in any network, also in one that is reached through a tunnel.
    let inner = match ip.segments() {
        [_, _, _, _, 0 | 0x200, 0x5efe, _, _] => Some(at(12)),
        _ => None,
    };
    match ip.segments() {
        // The unspecified address and loopback are addresses of their own (RFC 4291, 2.5.5).
        [0, 0, 0, 0, 0, 0, 0, 0 | 1] => Embedded::None,
        // IPv4-compatible (RFC 4291, 2.5.5.1) and IPv4-mapped (2.5.5.2).
        [0, 0, 0, 0, 0, 0 | 0xffff, _, _] => Embedded::Same(at(12)),
        // NAT64 (RFC 6052), and its prefix for local use (RFC 8215) where that is a /96. Where it
        // is shorter, the address is elsewhere and can't be known: `class_v6` refuses it.
        [0x64, 0xff9b, 0 | 1, 0, 0, 0, _, _] => Embedded::Same(at(12)),
        // 6to4 (RFC 3056).
        [0x2002, ..] => Embedded::Tunnel([Some(at(2)), None, inner]),
        // Teredo (RFC 4380): the server, and the client with its bits inverted.
        [0x2001, 0, ..] => {
            Embedded::Tunnel([Some(at(4)), Some(Ipv4Addr::from_bits(!at(12).to_bits())), inner])
        }
        _ if inner.is_some() => Embedded::Tunnel([inner, None, None]),
        _ => Embedded::None,
    }
}

/// By the IANA IPv4 Special-Purpose Address Registry.
fn class_v4(ip: Ipv4Addr) -> Class {
    match ip.octets() {
        [100, 100, 100, 200] | [168, 63, 129, 16] | [192, 0, 0, 192] => METADATA,
        [169, 254, 169, 254] => METADATA,
        [0, 0, 0, 0] => Class::Forbidden("the unspecified address"),
        [0, ..] => Class::Forbidden("in `this network` (0.0.0.0/8)"),
        [10, ..] | [127, ..] | [192, 168, ..] => Class::Private,
        [172, 16..=31, ..] | [100, 64..=127, ..] => Class::Private,
        [169, 254, ..] => LINK_LOCAL,
        [192, 0, 0, _] => Class::Forbidden("reserved for IETF protocols (192.0.0.0/24)"),
        [192, 0, 2, _] | [198, 51, 100, _] | [203, 0, 113, _] => DOCUMENTATION,
        [192, 88, 99, _] => Class::Forbidden("a deprecated 6to4 relay (192.88.99.0/24)"),
        [198, 18 | 19, ..] => BENCHMARK,
        [224..=239, ..] => MULTICAST,
        [255, 255, 255, 255] => Class::Forbidden("the broadcast address"),
        [240..=255, ..] => Class::Forbidden("reserved (240.0.0.0/4)"),
        _ => Class::Public,
    }
}

/// By the IANA IPv6 Special-Purpose Address Registry; outside 2000::/3 nothing else is assigned.
fn class_v6(ip: Ipv6Addr) -> Class {
    if METADATA_V6.contains(&ip) {
        return METADATA;
    }
    match ip.segments() {
        [0, 0, 0, 0, 0, 0, 0, 0] => Class::Forbidden("the unspecified address"),
        [0, 0, 0, 0, 0, 0, 0, 1] => Class::Private,
        [0x64, 0xff9b, 1, ..] => {
            Class::Forbidden("a local NAT64 address of unknown prefix length (64:ff9b:1::/48)")
        }
        [0x100, 0, 0, 0 | 1, ..] => Class::Forbidden("discarded (100::/64)"),
        // AWS: instance metadata, name service, time, pod identity.
        [0xfd00, 0xec2, 0, 0, ..] => METADATA,
        [0xfc00..=0xfdff, ..] => Class::Private,
        [0xfe80..=0xfebf, ..] => LINK_LOCAL,
        [0xfec0..=0xfeff, ..] => Class::Forbidden("site-local (fec0::/10)"),
        [0xff00..=0xffff, ..] => MULTICAST,
        [0x5f00, ..] => Class::Forbidden("for segment routing (5f00::/16)"),
        [0x2001, 0xdb8, ..] | [0x3fff, 0..=0xfff, ..] => DOCUMENTATION,
        [0x2001, 2, 0, ..] => BENCHMARK,
        // Teredo has been looked into; AMT, AS112, ORCHIDv2 and drone identities are reachable.
        [0x2001, 0 | 3, ..] | [0x2001, 4, 0x112, ..] | [0x2001, 0x20..=0x3f, ..] => Class::Public,
        [0x2001, 0..=0x1ff, ..] => Class::Forbidden("reserved for IETF protocols (2001::/23)"),
        [0x2000..=0x3fff, ..] => Class::Public,
        _ => Class::Forbidden("in a range that is not assigned"),
    }
}

const METADATA: Class = Class::Forbidden("a cloud's metadata service");
const LINK_LOCAL: Class = Class::Forbidden("link-local");
const MULTICAST: Class = Class::Forbidden("multicast");
const DOCUMENTATION: Class = Class::Forbidden("for documentation only");
const BENCHMARK: Class = Class::Forbidden("for benchmarks only");

/// Those of Google, Oracle, Linode and Scaleway. Those over IPv4 are link-local, but the three in
/// `class_v4`: Alibaba's, Azure's and Oracle's.
const METADATA_V6: [Ipv6Addr; 4] = [
    Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254),
    Ipv6Addr::new(0xfd00, 0xc1, 0, 0, 0, 0, 0xa9fe, 0xa9fe),
    Ipv6Addr::new(0xfd00, 0xa9fe, 0xa9fe, 0, 0, 0, 0, 1),
    Ipv6Addr::new(0xfd00, 0x42, 0, 0, 0, 0, 0, 0x42),
];

#[cfg(test)]
mod tests {
    use super::*;

    /// The class of an IPv4 address must be the same in each notation of the address itself, and
    /// public or forbidden through a tunnel.
    #[track_caller]
    fn check_v4(address: &str, expected: &str) {
        let v4: Ipv4Addr = address.parse().unwrap();
        let [high, low] = [(v4.to_bits() >> 16) as u16, v4.to_bits() as u16];
        let same = [
            v4.to_string(),
            format!("::ffff:{v4}"),
            format!("::{v4}"),
            format!("64:ff9b::{v4}"),
            format!("64:ff9b:1::{v4}"),
        ];
        for notation in same.iter().filter(|notation| *notation != "::0.0.0.1") {
            check(notation, expected);
        }
        let tunnels = [
            format!("2002:{high:x}:{low:x}::1"),
            format!("2001:0:{high:x}:{low:x}::f7f7:f7f7"),
            format!("2001:0:808:808::{:x}:{:x}", !high, !low),
            format!("2600::5efe:{v4}"),
            format!("2600::200:5efe:{v4}"),
            format!("2002:808:808::5efe:{v4}"),
        ];
        for notation in &tunnels {
            check(notation, if expected == "public" { "public" } else { "forbidden" });
        }
        check_hosts(v4, &same, expected);
    }

    /// The hosts of URLs that mean it.
    #[track_caller]
    fn check_hosts(v4: Ipv4Addr, addresses: &[String], expected: &str) {
        let ([a, b, c, d], number) = (v4.octets(), v4.to_bits());
        let full_width =
            |c: char| c.to_digit(10).and_then(|digit| char::from_u32(0xff10 + digit)).unwrap_or(c);
        let hosts = [
            format!("{number}"),
            format!("{number:#x}"),
            format!("0{number:o}"),
            format!("{a}.{b}.{}", u32::from(c) << 8 | u32::from(d)),
            format!("{a}.{}", number & 0xff_ffff),
            format!("{a:#x}.{b:#X}.{c}.{d}").replace("0X", "0x"),
            format!("0{a:o}.0{b:o}.0{c:o}.0{d:o}"),
            format!("{v4}."),
            format!("{a}%2e{b}.{c}%2E{d}"),
            format!("{a}\u{3002}{b}\u{ff0e}{c}\u{ff61}{d}"),
            v4.to_string().chars().map(full_width).collect(),
        ];
        let bracketed = addresses.iter().skip(1).map(|address| format!("[{address}]"));
        for host in hosts.into_iter().chain(bracketed).filter(|host| host != "[::0.0.0.1]") {
            let target =
                target(&format!("http://{host}/"), None).unwrap_or_else(|error| panic!("{host}: {error}"));
            let address = match target.host {
                Host::Ipv4(address) => address.to_string(),
                Host::Ipv6(address) => address.to_string(),
                Host::Domain(name) => panic!("{host} is a name: {name}"),
            };
            check(&address, expected);
        }
    }

    #[track_caller]
    fn check(address: &str, expected: &str) {
        let class = match classify(address.parse().unwrap()) {
            Class::Public => "public",
            Class::Private => "private",
            Class::Forbidden(_) => "forbidden",
        };
        assert_eq!(class, expected, "{address}");
    }

    #[test]
    fn ipv4_has_one_class_in_every_notation() {
        for (expected, first_and_last) in [
            ("forbidden", "0.0.0.0 0.255.255.255"),
            ("public", "1.0.0.0 9.255.255.255"),
            ("private", "10.0.0.0 10.255.255.255"),
            ("public", "11.0.0.0 100.63.255.255"),
            ("private", "100.64.0.0 100.127.255.255"),
            ("forbidden", "100.100.100.200 100.100.100.200"),
            ("private", "100.100.100.199 100.100.100.201"),
            ("public", "100.128.0.0 126.255.255.255"),
            ("private", "127.0.0.0 127.255.255.255"),
            ("public", "128.0.0.0 169.253.255.255"),
            ("forbidden", "168.63.129.16 168.63.129.16"),
            ("forbidden", "169.254.0.0 169.254.255.255"),
            ("forbidden", "169.254.169.254 169.254.170.2"),
            ("public", "169.255.0.0 172.15.255.255"),
            ("private", "172.16.0.0 172.31.255.255"),
            ("public", "172.32.0.0 191.255.255.255"),
            ("forbidden", "192.0.0.0 192.0.0.255"),
            ("forbidden", "192.0.0.192 192.0.0.8"),
            ("public", "192.0.1.0 192.0.1.255"),
            ("forbidden", "192.0.2.0 192.0.2.255"),
            ("public", "192.0.3.0 192.88.98.255"),
            ("forbidden", "192.88.99.0 192.88.99.255"),
            ("public", "192.88.100.0 192.167.255.255"),
            ("private", "192.168.0.0 192.168.255.255"),
            ("public", "192.169.0.0 198.17.255.255"),
            ("forbidden", "198.18.0.0 198.19.255.255"),
            ("public", "198.20.0.0 198.51.99.255"),
            ("forbidden", "198.51.100.0 198.51.100.255"),
            ("public", "198.51.101.0 203.0.112.255"),
            ("forbidden", "203.0.113.0 203.0.113.255"),
            ("public", "203.0.114.0 223.255.255.255"),
            ("forbidden", "224.0.0.0 239.255.255.255"),
            ("forbidden", "240.0.0.0 255.255.255.255"),
        ] {
            first_and_last.split(' ').for_each(|address| check_v4(address, expected));
        }
    }

    #[test]
    fn ipv6_has_the_class_of_its_range() {
        for (expected, addresses) in [
            ("forbidden", ":: ::2 ::ffff:0:127.0.0.1 ::ffff:0:8.8.8.8 1::1"),
            ("private", "::1"),
            (
                "forbidden",
                "64:ff9b:0:0:0:1:808:808 64:ff9b:1:7f00:0:100:: 64:ff9b:1:1::808:808 64:ff9b:2::8.8.8.8",
            ),
            ("forbidden", "100:: 100::ffff:ffff:ffff:ffff 100:0:0:1::1 100:0:0:2::1"),
            ("public", "2000::1 2001:200::1 2001:4860:4860::8888 2606:4700::1111 3ffe::1 3fff:1000::1"),
            ("forbidden", "2001:1::1 2001:2::1 2001:2:0:ffff::1 2001:4::1 2001:5::1 2001:10::1 2001:1ff::1"),
            ("public", "2001:3::1 2001:4:112::1 2001:20::1 2001:2f::1 2001:30::1 2001:3f::1 2620:4f:8000::1"),
            ("forbidden", "2001:40::1 2001:db8::1 2001:db8:ffff::1 3fff:: 3fff:fff:ffff::1"),
            ("forbidden", "4000::1 5f00::1 5f00:ffff::1 8000::1 e000::1 fbff::1"),
            ("private", "fc00::1 fd00::1 fdff:ffff::1 fd00:ec3::254"),
            (
                "forbidden",
                "fd00:ec2::254 fd00:ec2::23 fd20:ce::254 fd00:c1::a9fe:a9fe fd00:a9fe:a9fe::1 fd00:42::42",
            ),
            (
                "forbidden",
                "fe00::1 fe80::1 fe80::a9fe:a9fe febf:ffff::1 fec0::1 feff::1 ff02::1 ff0e::1 ffff::1",
            ),
            // A tunnel in a tunnel: only the inner end is not public.
            (
                "forbidden",
                "2002:808:808::5efe:10.0.0.1 2001:0:808:808:0:5efe:7f00:1 2001:0:808:808:200:5efe:7f00:1",
            ),
            // Tunnels inside what is itself not public.
            ("private", "fd00::5efe:8.8.8.8"),
            ("forbidden", "fd00::5efe:10.0.0.1 fe80::5efe:8.8.8.8 2001:db8::5efe:8.8.8.8"),
        ] {
            addresses.split(' ').for_each(|address| check(address, expected));
        }
    }

    #[track_caller]
    fn check_url(raw: &str, expected: &str) {
        let base = Url::parse("http://client.example:8080/orders/7?x=1").unwrap();
        let got = match target(raw, Some(&base)) {
            Ok(target) => {
                assert_eq!(target.url.host().unwrap().to_owned(), target.host);
                format!("{} {}", target.lane(), target.url)
            }
            Err(blocked) => blocked.to_string().replace("the callback's URL ", ""),
        };
        assert_eq!(got, expected, "{raw:?}");
    }

    #[test]
    fn a_target_is_http_or_https_with_a_host_and_a_port() {
        check_url("http://example.com/a?b=c#d", "example.com:80 http://example.com/a?b=c");
        check_url("HTTPS://EXAMPLE.com", "example.com:443 https://example.com/");
        check_url("https://example.com:8443/", "example.com:8443 https://example.com:8443/");
        check_url(
            "http://b\u{fc}cher.example/\u{e9}",
            "xn--bcher-kva.example:80 http://xn--bcher-kva.example/%C3%A9",
        );
        check_url("ftp://example.com/", "begins with `ftp:`; only http and https are sent");
        check_url("localhost:3000/cb", "begins with `localhost:`; only http and https are sent");
        check_url("file:///etc/passwd", "begins with `file:`; only http and https are sent");
        check_url("http://example.com:0/", "has port 0");
        check_url("http://example.com:65536/", "is not one: invalid port number");
        check_url("http://", "is not one: empty host");
        check_url("http:///a.example/", "has no host");
        check_url("http:/a.example/", "has no host");
        check_url("http:a.example", "has no host");
        check_url("", "is empty");
        check_url(&format!("http://a/{}", "x".repeat(8192)), "is longer than 8 KiB");
    }

    #[test]
    fn a_relative_target_is_joined_to_its_base() {
        check_url("/hook?a=b:c", "client.example:8080 http://client.example:8080/hook?a=b:c");
        check_url("hook", "client.example:8080 http://client.example:8080/orders/hook");
        check_url("?a=@b", "client.example:8080 http://client.example:8080/orders/7?a=@b");
        check_url("//other.example/x", "other.example:80 http://other.example/x");
        check_url("//u@other.example/x", "has user information; put it in a header");
        let blocked = target("/hook", None).unwrap_err().to_string();
        assert!(blocked.contains("`callbacks.base_url`"), "{blocked}");
    }

    #[test]
    fn what_the_parser_would_repair_is_refused() {
        for raw in
            ["http://a/\t", "ht\ntp://a", " http://a", "http://a /", "http://a/\u{7f}", "http://a/\u{a0}"]
        {
            check_url(raw, "has a space or a control character; percent-encode it");
        }
        check_url("http:\\\\a\\b", "has a `\\`; percent-encode it");
        check_url("http://a\\@b/", "has a `\\`; percent-encode it");
    }

    #[test]
    fn user_information_zones_and_bracketed_names_are_refused() {
        for raw in ["http://u@a/", "http://u:p@a/", "http://:p@a/", "http://@a/", "http://:@a/"] {
            check_url(raw, "has user information; put it in a header");
        }
        check_url("http://a/@", "a:80 http://a/@");
        for raw in [
            "http://[fe80::1%25eth0]/",
            "http://[fe80::1%eth0]/",
            "http://[localhost]/",
            "http://[127.0.0.1]/",
        ] {
            check_url(raw, "is not one: invalid IPv6 address");
        }
    }

    #[test]
    fn one_trailing_dot_is_dropped() {
        check_url("http://localhost./x", "localhost:80 http://localhost/x");
        check_url("http://127.0.0.1./x", "127.0.0.1:80 http://127.0.0.1/x");
        check_url("http://localhost../x", "has no usable host: `localhost..`");
        check_url("http://./x", "has no usable host: `.`");
    }

    #[test]
    fn an_address_is_one_in_every_notation() {
        let loopback =
            "127.1 127.0.1 2130706433 0x7f.1 0x7f000001 0177.0.0.1 017700000001 127%2e0.0.1 \u{ff11}27.0.0.1";
        for host in loopback.split(' ') {
            let target = target(&format!("http://{host}/"), None).unwrap();
            assert_eq!(target.lane(), "127.0.0.1:80", "{host}");
        }
    }

    fn config(allow: &str, deny: &str) -> config::Callbacks {
        let entries = |list: &str| {
            let entry = |word: &str| match word {
                "peer" => config::Target::Peer,
                "private" => config::Target::Private,
                "public" => config::Target::Public,
                _ if word.contains('/') => config::Target::Net(word.parse().unwrap()),
                _ => match word.strip_prefix("*.") {
                    Some(parent) => config::Target::Under(parent.into()),
                    None => config::Target::Host(word.into()),
                },
            };
            list.split_whitespace().map(entry).collect()
        };
        config::Callbacks { allow: entries(allow), deny: entries(deny), ..config::Callbacks::default() }
    }

    struct Case<'a> {
        allow: &'a str,
        deny: &'a str,
        peer: &'a str,
    }

    impl Case<'_> {
        #[track_caller]
        fn check(&self, host: &str, addresses: &str, expected: &str) {
            let policy = Policy::new(&config(self.allow, self.deny), &[]);
            let addresses: Vec<SocketAddr> =
                addresses.split(' ').map(|ip| SocketAddr::new(ip.parse().unwrap(), 80)).collect();
            let host = Host::parse(host).unwrap();
            let got = policy.check(&host, &addresses, self.peer.parse().ok());
            let got = got.map_or_else(|blocked| blocked.to_string(), |()| "allowed".to_owned());
            assert_eq!(got, expected, "{host} {addresses:?}");
        }
    }

    #[test]
    fn by_default_callbacks_go_to_the_peer_and_to_public_addresses() {
        let case = Case { allow: "peer public", deny: "", peer: "10.0.0.5" };
        case.check("a.example", "8.8.8.8 2606:4700::1", "allowed");
        case.check("10.0.0.5", "10.0.0.5", "allowed");
        case.check("[64:ff9b::a00:5]", "64:ff9b::10.0.0.5", "allowed");
        case.check("[::ffff:10.0.0.5]", "::ffff:10.0.0.5", "allowed");
        case.check(
            "a.example",
            "8.8.8.8 10.0.0.6",
            "10.0.0.6 is private; `callbacks.allow: [private]` or `callbacks.allow: [10.0.0.6/32]` would allow it",
        );
        case.check(
            "a.example",
            "127.0.0.1",
            "127.0.0.1 is private; `callbacks.allow: [private]` or `callbacks.allow: [127.0.0.1/32]` would allow it",
        );
        case.check(
            "a.example",
            "169.254.169.254",
            "169.254.169.254 is a cloud's metadata service; callbacks never go there, whatever `callbacks.allow` says",
        );
    }

    #[test]
    fn a_loopback_peer_may_name_all_of_loopback() {
        let case = Case { allow: "peer", deny: "", peer: "127.0.0.1" };
        case.check("localhost", "127.9.9.9 ::1 ::ffff:127.0.0.2", "allowed");
        Case { peer: "::1", ..case }.check("localhost", "127.0.0.1", "allowed");
        Case { peer: "::ffff:127.0.0.1", ..case }.check("localhost", "::1", "allowed");
        Case { peer: "a unix socket", ..case }.check(
            "localhost",
            "::1",
            "::1 is private; `callbacks.allow: [private]` or `callbacks.allow: [::1/128]` would allow it",
        );
        case.check(
            "a.example",
            "8.8.8.8",
            "8.8.8.8 is public; `callbacks.allow: [public]` or `callbacks.allow: [8.8.8.8/32]` would allow it",
        );
    }

    #[test]
    fn a_name_or_network_allows_what_is_not_forbidden() {
        let case =
            Case { allow: "hook.local *.svc.local 10.1.0.0/16 169.254.0.0/16 0.0.0.0/0", deny: "", peer: "" };
        case.check("hook.local", "192.168.0.1 8.8.8.8", "allowed");
        case.check("10.1.2.3", "10.1.2.3", "allowed");
        case.check("a.b.svc.local", "fd00::1", "allowed");
        for host in ["svc.local", "asvc.local", "x.hook.local"] {
            case.check(
                host,
                "fd00::1",
                "fd00::1 is private; `callbacks.allow: [private]` or `callbacks.allow: [fd00::1/128]` would allow it",
            );
        }
        case.check(
            "hook.local",
            "fe80::1",
            "fe80::1 is link-local; callbacks never go there, whatever `callbacks.allow` says",
        );
        case.check(
            "169.254.1.1",
            "169.254.1.1",
            "169.254.1.1 is link-local; callbacks never go there, whatever `callbacks.allow` says",
        );
    }

    #[test]
    fn deny_comes_first_and_sees_through_every_notation() {
        let case = Case {
            allow: "private public",
            deny: "8.8.0.0/16 1.1.1.1 *.evil.example 64:ff9b::/96",
            peer: "",
        };
        let refused =
            |address: &str, entry: &str| format!("{address} is refused by `callbacks.deny: [{entry}]`");
        case.check("a.example", "8.8.8.8", &refused("8.8.8.8", "8.8.0.0/16"));
        case.check("a.example", "::ffff:8.8.8.8", &refused("8.8.8.8", "8.8.0.0/16"));
        case.check("a.example", "2002:808:808::1", &refused("2002:808:808::1", "8.8.0.0/16"));
        case.check("a.example", "1.1.1.1", &refused("1.1.1.1", "1.1.1.1"));
        case.check("a.example", "2600::5efe:1.1.1.1", &refused("2600::5efe:101:101", "1.1.1.1"));
        case.check("a.example", "64:ff9b::9.9.9.9", &refused("9.9.9.9", "64:ff9b::/96"));
        case.check("a.evil.example", "9.9.9.9", &refused("9.9.9.9", "*.evil.example"));
        case.check("a.example", "9.9.9.9", "allowed");
    }

    #[test]
    fn standins_own_listeners_are_refused() {
        let own: [SocketAddr; 2] = ["127.0.0.1:8080".parse().unwrap(), "[::]:9000".parse().unwrap()];
        let policy = Policy::new(&config("private public", ""), &own);
        let check = |target: &str, expected: bool| {
            let address: SocketAddr = target.parse().unwrap();
            let got = policy.check(&Host::Domain("a".into()), &[address], None);
            assert_eq!(got.is_ok(), expected, "{target}: {got:?}");
        };
        check("127.0.0.1:8080", false);
        check("[::ffff:127.0.0.1]:8080", false);
        check("127.0.0.2:8080", true);
        check("127.0.0.1:8081", true);
        check("[::1]:9000", false);
        check("127.0.0.1:9000", false);
        check("8.8.8.8:9000", true);
        check("[64:ff9b::808:808]:9000", true);
        check("[2600::5efe:8.8.8.8]:9000", true);
        // An address of this machine that is public is known only where there is one.
        let public: [SocketAddr; 1] = ["8.8.8.8:9000".parse().unwrap()];
        let policy = Policy::new(&config("public", ""), &public);
        for (address, expected) in [
            ("8.8.8.8", false),
            ("::ffff:8.8.8.8", false),
            ("2002:808:808::1", false),
            ("2600::5efe:8.8.8.8", false),
            ("2002:808:809::1", true),
        ] {
            let target = SocketAddr::new(address.parse().unwrap(), 9000);
            let got = policy.check(&Host::Domain("a".into()), &[target], None);
            assert_eq!(got.is_ok(), expected, "{target}: {got:?}");
        }
    }

    /// Of a name that the proxy looks up only what it says itself is known.
    #[test]
    fn names_for_the_proxy_are_judged_by_themselves() {
        let own: [SocketAddr; 1] = ["[::1]:9000".parse().unwrap()];
        let check = |allow: &str, deny: &str, url: &str, expected: &str| {
            let policy = Policy::new(&config(allow, deny), &own);
            let target = target(url, None).unwrap();
            let got = policy.check_unresolved(&target.host, target.port, None);
            let got = got.map_or_else(|blocked| blocked.to_string(), |()| "allowed".to_owned());
            assert!(got.contains(expected), "{url}: {got}");
        };
        check("public", "", "http://a.example/", "allowed");
        check(
            "private",
            "",
            "http://a.example/",
            "`callbacks.allow: [public]` or `callbacks.allow: [a.example]`",
        );
        for name in ["metadata.google.internal", "metadata", "printer.local", "a.home.arpa."] {
            check("public", "", &format!("http://{name}/"), "`callbacks.allow: [private]` or");
            check("public private", "", &format!("http://{name}/"), "allowed");
            check("public private", "private", &format!("http://{name}/"), "is refused by");
        }
        check("public metadata", "", "http://metadata/", "allowed");
        check("public", "", "http://local.example/", "allowed");
        check("public", "", "http://notlocal/", "`callbacks.allow: [private]` or");
        check("public", "a.example", "http://a.example/", "is refused by `callbacks.deny: [a.example]`");
        check("public private", "", "http://localhost:9001/", "allowed");
        check("public private", "", "http://localhost:9000/", "[::1]:9000 is Standin's own listener");
        check("public private", "::1/128", "http://a.localhost/", "::1 is refused by");
        check("public", "", "http://0x7f.1/", "127.0.0.1 is private");
        check(
            "public private",
            "",
            "http://[::ffff:169.254.169.254]/",
            "169.254.169.254 is a cloud's metadata",
        );
    }

    /// What is no plain address, or name, is refused, or is what it is repaired to.
    #[test]
    fn hostile_spellings_of_hosts() {
        for (host, expected) in [
            ("\u{2460}27.0.0.1", "127.0.0.1"),
            ("\u{1d7cf}27.0.0.1", "127.0.0.1"),
            ("127\u{ff0e}0\u{3002}0\u{ff61}1", "127.0.0.1"),
            ("127.0.0\u{ad}.1", "127.0.0.1"),
            ("127.0\u{200b}.0.1", "127.0.0.1"),
            ("%31%32%37%2e%30%2e0.1", "127.0.0.1"),
            ("%EF%BC%91%32%37.1", "127.0.0.1"),
            ("127.0.0.1%2E", "127.0.0.1"),
            ("127.0.0.1\u{3002}", "127.0.0.1"),
            ("0x", "0.0.0.0"),
            ("127.0x1", "127.0.0.1"),
            ("0X7F.0x000001", "127.0.0.1"),
            ("00000000000000177.1", "127.0.0.1"),
            ("[0000:0:0:0:0:ffff:7f00:0001]", "::ffff:127.0.0.1"),
            ("LOCALHOST%2e", "localhost"),
            ("\u{24db}ocalhost", "localhost"),
            ("loc\u{ad}alhost.", "localhost"),
            ("127.0.0.1.nip.io", "127.0.0.1.nip.io"),
        ] {
            let target = target(&format!("http://{host}/"), None).unwrap();
            let got = target.host.to_string();
            assert_eq!(got.trim_matches(['[', ']']), address_text(expected), "{host}");
        }
        for host in [
            "127.0.0.256",
            "256.1",
            "4294967296",
            "0x100000000",
            "1.2.3.4.5",
            "08.1",
            "0x7g.1",
            "127..1",
            "127.0.0.1%00",
            "127.0.0.1%0a",
            "127.0.0.1%09.a",
            "127.0.0.1%20",
            "127.0.0.1%2f",
            "127.0.0.1%23a",
            "127.0.0.1%3f",
            "127.0.0.1%40a",
            "127.0.0.1%5c",
            "a%25b",
            "127.0.0.1%",
            "%",
            "127.0.0.1:80:80",
            "127.0.0.1:-1",
            "[::1",
            "::1",
            "[::1]a",
            "[::1]]",
            "[[::1]]",
            "[::1%25lo]",
            "[::1%lo]",
            "[v1.a]",
            "[::127.0.0.1.]",
            "[::0x7f.1]",
            "[::ffff:127.1]",
            "[1:2:3]",
            "[]",
            "%5b::1%5d",
            "a|b",
            "a<b",
            "a^b",
            "\u{2488}0.0.1",
            "\u{202e}a",
            "xn--a",
            "\u{ff05}31",
            "127.0.0.1\u{2044}a@b",
        ] {
            let got = target(&format!("http://{host}/"), None);
            assert!(got.is_err(), "{host} is {got:?}");
        }
    }

    /// As a URL has it.
    fn address_text(text: &str) -> String {
        match text.parse::<Ipv6Addr>() {
            Ok(address) => Host::<String>::Ipv6(address).to_string().trim_matches(['[', ']']).to_owned(),
            Err(_) => text.to_owned(),
        }
    }

    #[test]
    fn a_name_without_addresses_is_refused() {
        let policy = Policy::new(&config("private public", ""), &[]);
        let blocked = policy.check(&Host::Domain("a.example".into()), &[], None);
        assert_eq!(blocked, Err(Blocked::Nowhere("a.example".into())));
    }
}
