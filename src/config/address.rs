//! Where things are: listeners, upstream servers, callback targets, base paths.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use ipnet::{IpNet, Ipv4Net};
use url::{Host, Url};

use super::problem::{Problem, quoted};
use super::{Admin, ListenAddress, OPEN_ADMIN, Scheme, Server, ServerAddress, Target};

/// `unix:/path`, whose path is relative to `folder`, or `host:port`, `:8080` or `8080`.
pub fn listen(text: &str, folder: &Path) -> Result<ListenAddress, Problem> {
    match unix(text, folder)? {
        Some(path) => Ok(ListenAddress::Unix(path)),
        None => tcp(text).map(ListenAddress::Tcp),
    }
}

/// A server of an upstream: `http://`, `https://` or `h2c://` with a host, and a port if it is not the
/// scheme's own; or `unix:/path`, whose path is relative to `folder`.
pub fn server(text: &str, folder: &Path) -> Result<Server, Problem> {
    match unix(text, folder)? {
        Some(path) => Ok(Server { scheme: Scheme::Http, at: ServerAddress::Unix(path) }),
        None => tcp_server(text),
    }
}

/// The path of a unix socket; none if the text means none.
fn unix(text: &str, folder: &Path) -> Result<Option<PathBuf>, Problem> {
    /// What the system's addresses have room for.
    const LONGEST: usize = 107;
    let Some(path) = text.strip_prefix("unix:") else {
        return match text.starts_with('/') {
            true => Err(Problem::value(format!("{} is no address", quoted(text)))
                .hint(format!("write `unix:{text}` for a unix socket"))),
            false => Ok(None),
        };
    };
    let path = path.strip_prefix("//").filter(|path| path.starts_with('/')).unwrap_or(path);
    if path.is_empty() {
        return Err(Problem::value("`unix:` names no socket").hint("write `unix:/run/standin.sock`"));
    }
    let path: PathBuf = folder.join(path).components().collect();
    // pingora knows sockets by their paths as text.
    if path.to_str().is_none() {
        return Err(Problem::value("the socket's path is not UTF-8").hint("choose another folder"));
    }
    match path.as_os_str().len() {
        0..=LONGEST => Ok(Some(path)),
        length => Err(Problem::value(format!("the socket's path has {length} bytes"))
            .hint(format!("the system takes at most {LONGEST}; choose a shorter one"))),
    }
}

/// `host:port`, `:8080` (every interface) or `8080` (loopback), as `host:port`.
fn tcp(text: &str) -> Result<String, Problem> {
    if let Some((scheme, rest)) = text.split_once("://") {
        return Err(Problem::value(format!("{} is no address", quoted(text)))
            .hint(format!("leave out `{scheme}://`: `{}`", rest.trim_end_matches('/'))));
    }
    if is_digits(text) {
        return Ok(format!("127.0.0.1:{}", port(text)?));
    }
    let Some((host, number)) = text.rsplit_once(':') else {
        return Err(Problem::value(format!("{} has no port", quoted(text)))
            .hint("write `host:port`, `:8080` or `8080`"));
    };
    if host.contains(':') && !host.starts_with('[') {
        return Err(Problem::value(format!("{} is no address", quoted(text)))
            .hint(format!("put the IPv6 address into brackets: `[{host}]:{number}`")));
    }
    let port = port(number)?;
    if host.is_empty() {
        return Ok(format!("0.0.0.0:{port}"));
    }
    if host == "*" {
        return Err(Problem::value("`*` is no host").hint(format!("write `:{port}` for every interface")));
    }
    Ok(match host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        Some(inside) => format!("[{}]:{port}", ip_v6(inside)?),
        None => format!("{}:{port}", name_or_v4(host)?),
    })
}

impl Admin {
    /// `off`, or an address.
    pub fn address(text: &str) -> Result<Option<String>, Problem> {
        match text {
            "off" | "false" => Ok(None),
            text => tcp(text).map(Some),
        }
    }

    /// Who reaches the admin port rules the process, so past loopback it needs a token.
    pub fn check(&self) -> Result<(), Problem> {
        match &self.address {
            Some(address) if self.token.is_none() && !is_loopback(address) => Err(Problem::new(
                OPEN_ADMIN,
                format!("{} can be reached by others and has no token", quoted(address)),
            )
            .hint("set `admin.token`, or listen on 127.0.0.1")),
            _ => Ok(()),
        }
    }
}

/// An address as [`tcp`] gives it. A name is loopback only if it is `localhost`: any other one is
/// what a resolver makes of it.
fn is_loopback(address: &str) -> bool {
    let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
    match host.trim_matches(['[', ']']).parse::<IpAddr>() {
        Ok(ip) => ip.to_canonical().is_loopback(),
        Err(_) => host == "localhost",
    }
}

/// A name that a `Host` header may say, without its port.
pub(super) fn host_name(text: &str) -> Result<String, Problem> {
    if text.contains(':') {
        return Err(Problem::value(format!("{} is no host name", quoted(text))).hint("leave out the port"));
    }
    name_or_v4(text.trim_end_matches('.'))
}

fn tcp_server(text: &str) -> Result<Server, Problem> {
    let (scheme, rest) = match text.split_once("://") {
        Some(("http", rest)) => (Scheme::Http, rest),
        Some(("https", rest)) => (Scheme::Https, rest),
        Some(("h2c", rest)) => (Scheme::H2c, rest),
        Some((scheme, _)) => {
            return Err(Problem::value(format!("unknown scheme {}", quoted(scheme)))
                .hint("there are `http://`, `https://`, `h2c://`"));
        }
        None => {
            return Err(Problem::value(format!("{} has no scheme", quoted(text)))
                .hint(format!("write `http://{text}`")));
        }
    };
    // The WHATWG rules know no `h2c`; all three have hosts as http has.
    let stand_in = if scheme == Scheme::Https { "https" } else { "http" };
    let url = web_url(&format!("{stand_in}://{rest}"))?;
    if url.path() != "/" {
        return Err(Problem::value(format!(
            "an upstream has no path, and this one has {}",
            quoted(url.path())
        ))
        .hint("leave out what comes after the port; requests keep their own path"));
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(Problem::value("an upstream has no query and no fragment")
            .hint("leave out what comes after the port"));
    }
    let host = match url.host() {
        Some(Host::Domain(name)) => name.to_owned(),
        Some(Host::Ipv4(ip)) => ip.to_string(),
        Some(Host::Ipv6(ip)) => ip.to_string(),
        None => return Err(Problem::value(format!("{} has no host", quoted(text)))),
    };
    match url.port_or_known_default() {
        Some(port) if port > 0 => Ok(Server { scheme, at: ServerAddress::Tcp { host, port } }),
        _ => Err(Problem::value("port 0 can't be connected to")),
    }
}

/// As a config writes it.
impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = match self.scheme {
            Scheme::Http => "http",
            Scheme::Https => "https",
            Scheme::H2c => "h2c",
        };
        match &self.at {
            ServerAddress::Tcp { host, port } if host.contains(':') => {
                write!(f, "{scheme}://[{host}]:{port}")
            }
            ServerAddress::Tcp { host, port } => write!(f, "{scheme}://{host}:{port}"),
            ServerAddress::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// As a config writes it.
impl fmt::Display for ListenAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ListenAddress::Tcp(address) => f.write_str(address),
            ListenAddress::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// What is asked for to see whether a server is well: a path, and a query if need be.
pub(super) fn health_path(text: &str) -> Result<String, Problem> {
    match text.parse::<http::uri::PathAndQuery>() {
        Ok(path) if text.starts_with('/') && path.as_str() == text => Ok(text.to_owned()),
        _ => Err(Problem::value(format!("{} is no path", quoted(text))).hint("write it as `/healthz`")),
    }
}

/// What relative callback URLs are relative to.
pub(super) fn base_url(text: &str) -> Result<Url, Problem> {
    match text.split_once("://") {
        Some(("http" | "https", _)) => web_url(text),
        _ => Err(Problem::value(format!("{} is no http or https URL", quoted(text)))
            .hint("write `http://host:port`")),
    }
}

/// An http or https URL without user information. Its text is not repeated: it may have a password.
fn web_url(text: &str) -> Result<Url, Problem> {
    let url = Url::parse(text).map_err(|error| Problem::value(format!("no URL: {error}")))?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err(Problem::value("a URL with user information is not taken")
            .hint("leave out what comes before the `@`"));
    }
    Ok(url)
}

/// As a config writes it.
impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Target::Peer => f.write_str("peer"),
            Target::Private => f.write_str("private"),
            Target::Public => f.write_str("public"),
            Target::Net(net) => write!(f, "{net}"),
            Target::Host(host) => f.write_str(host),
            Target::Under(domain) => write!(f, "*.{domain}"),
        }
    }
}

impl FromStr for Target {
    type Err = Problem;

    /// `peer`, `private`, `public`, a CIDR, an IP address, a host or `*.host`.
    fn from_str(text: &str) -> Result<Self, Problem> {
        let lower = text.to_ascii_lowercase();
        match lower.as_str() {
            "peer" => return Ok(Target::Peer),
            "private" => return Ok(Target::Private),
            "public" => return Ok(Target::Public),
            _ => {}
        }
        if text.contains("://") {
            return Err(Problem::value(format!("{} is a URL", quoted(text))).hint("write the host only"));
        }
        if text.contains('/') {
            let net: IpNet = text.parse().map_err(|_| {
                Problem::value(format!("{} is no network", quoted(text)))
                    .hint("write it as `10.0.0.0/8` or `fd00::/8`")
            })?;
            return Ok(Target::Net(canonical(net.trunc())));
        }
        if let Ok(ip) = lower.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>() {
            return Ok(Target::Net(canonical(ip.into())));
        }
        if text.contains(':') {
            return Err(Problem::value(format!("{} is no host", quoted(text)))
                .hint("leave out the port; a target is a host"));
        }
        let (wild, name) = match lower.strip_prefix("*.") {
            Some(name) => (true, name),
            None => (false, lower.as_str()),
        };
        let wrong = || {
            Problem::value(format!("{} is no target", quoted(text)))
                .hint("write `peer`, `private`, `public`, a network, a host or `*.host`")
        };
        let name = name.strip_suffix('.').unwrap_or(name);
        if name.is_empty() || name.split('.').any(str::is_empty) || name.contains('*') {
            return Err(wrong());
        }
        match Host::parse(name) {
            Ok(Host::Domain(name)) if wild => Ok(Target::Under(name)),
            Ok(Host::Domain(name)) => Ok(Target::Host(name)),
            // `0x7f.1` and its like are addresses too.
            Ok(Host::Ipv4(ip)) if !wild => Ok(Target::Net(IpAddr::V4(ip).into())),
            _ => Err(wrong()),
        }
    }
}

/// IPv4-mapped addresses are IPv4 ones (RFC 4291, 2.5.5.2); whoever writes one means what it stands for.
fn canonical(net: IpNet) -> IpNet {
    match (net.addr().to_canonical(), net.prefix_len().checked_sub(96)) {
        (IpAddr::V4(ip), Some(length)) if net.addr().is_ipv6() => {
            Ipv4Net::new(ip, length).map_or(net, IpNet::V4)
        }
        _ => net,
    }
}

/// Where a document's paths begin: empty, or `/` and more without a slash at the end.
pub(super) fn base_path(text: &str) -> Result<String, Problem> {
    if !text.is_empty() && !text.starts_with('/') {
        return Err(Problem::value(format!("{} does not begin with `/`", quoted(text)))
            .hint(format!("write `/{text}`")));
    }
    if text.contains(['?', '#']) {
        return Err(Problem::value(format!("{} is no path", quoted(text)))
            .hint("leave out the query and the fragment"));
    }
    Ok(text.trim_end_matches('/').to_owned())
}

fn port(text: &str) -> Result<u16, Problem> {
    let wrong =
        || Problem::value(format!("{} is no port", quoted(text))).hint("a port is a number from 0 to 65535");
    if is_digits(text) { text.parse().map_err(|_| wrong()) } else { Err(wrong()) }
}

fn ip_v6(text: &str) -> Result<Ipv6Addr, Problem> {
    text.parse().map_err(|_| Problem::value(format!("{} is no IPv6 address", quoted(text))))
}

fn name_or_v4(text: &str) -> Result<String, Problem> {
    if text.rsplit('.').next().is_some_and(is_digits) {
        let ip: Ipv4Addr =
            text.parse().map_err(|_| Problem::value(format!("{} is no IPv4 address", quoted(text))))?;
        return Ok(ip.to_string());
    }
    let is_label = |label: &str| {
        !label.is_empty() && label.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_')
    };
    if text.split('.').all(is_label) {
        Ok(text.to_ascii_lowercase())
    } else {
        Err(Problem::value(format!("{} is no host name", quoted(text))))
    }
}

fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use std::os::unix::ffi::OsStrExt as _;

    use super::*;

    #[track_caller]
    fn refuse<T: std::fmt::Debug>(result: Result<T, Problem>, expected: &str) {
        assert_eq!(result.expect_err("should be refused").to_string(), expected);
    }

    #[test]
    fn a_listener_is_an_address_or_a_port() {
        for (text, expected) in [
            ("127.0.0.1:8080", "127.0.0.1:8080"),
            (":8080", "0.0.0.0:8080"),
            ("8080", "127.0.0.1:8080"),
            ("[::1]:80", "[::1]:80"),
            ("[0:0::]:80", "[::]:80"),
            ("Localhost:8080", "localhost:8080"),
            ("my-host.example_1:0", "my-host.example_1:0"),
        ] {
            assert_eq!(tcp(text).as_deref(), Ok(expected), "{text}");
        }
    }

    #[test]
    fn a_unix_socket_s_path_is_text() {
        let folder = Path::new(std::ffi::OsStr::from_bytes(b"/\xff"));
        refuse(listen("unix:a", folder), "the socket's path is not UTF-8; choose another folder");
        refuse(server("unix:a", folder), "the socket's path is not UTF-8; choose another folder");
    }

    #[test]
    fn other_texts_are_no_listeners() {
        refuse(tcp("localhost"), "`localhost` has no port; write `host:port`, `:8080` or `8080`");
        refuse(tcp("::1:80"), "`::1:80` is no address; put the IPv6 address into brackets: `[::1]:80`");
        refuse(tcp("http://a:80/"), "`http://a:80/` is no address; leave out `http://`: `a:80`");
        refuse(tcp("300.0.0.1:80"), "`300.0.0.1` is no IPv4 address");
        refuse(tcp("[zz]:80"), "`zz` is no IPv6 address");
        refuse(tcp("a:99999"), "`99999` is no port; a port is a number from 0 to 65535");
        refuse(tcp("a:+1"), "`+1` is no port; a port is a number from 0 to 65535");
        refuse(tcp("*:80"), "`*` is no host; write `:80` for every interface");
        refuse(tcp("a b:80"), "`a b` is no host name");
    }

    #[test]
    fn a_unix_socket_is_a_path_of_the_config_s_folder() {
        for (text, expected) in [
            ("unix:/run/a.sock", "/run/a.sock"),
            ("unix:///run/a.sock", "/run/a.sock"),
            ("unix:./a.sock", "/etc/a.sock"),
        ] {
            let path = PathBuf::from(expected);
            assert_eq!(listen(text, Path::new("/etc")), Ok(ListenAddress::Unix(path.clone())), "{text}");
            let found = server(text, Path::new("/etc"));
            assert_eq!(found, Ok(Server { scheme: Scheme::Http, at: ServerAddress::Unix(path) }), "{text}");
        }
    }

    #[test]
    fn an_admin_port_past_loopback_needs_a_token() {
        let admin = |address: &str| Admin { address: Admin::address(address).unwrap(), ..Admin::default() };
        for address in [
            "127.0.0.1:9900",
            "127.9.9.9:1",
            "[::1]:9900",
            "[::ffff:127.0.0.1]:1",
            "localhost:9900",
            "9900",
            "off",
        ] {
            assert_eq!(admin(address).check(), Ok(()), "{address}");
        }
        for address in
            ["0.0.0.0:9900", ":9900", "[::]:9900", "10.0.0.1:1", "host.example:1", "localhost.example:1"]
        {
            assert!(admin(address).check().is_err(), "{address}");
            let token = Some("secret".to_owned());
            assert_eq!(Admin { token, ..admin(address) }.check(), Ok(()), "{address}");
        }
    }

    #[test]
    fn an_upstream_is_scheme_host_and_port() {
        for (text, scheme, host, port) in [
            ("http://127.0.0.1:9000", Scheme::Http, "127.0.0.1", 9000),
            ("http://api.example/", Scheme::Http, "api.example", 80),
            ("https://API.example", Scheme::Https, "api.example", 443),
            ("h2c://api:50051", Scheme::H2c, "api", 50051),
            ("h2c://api", Scheme::H2c, "api", 80),
            ("https://[::1]:8443", Scheme::Https, "::1", 8443),
        ] {
            let at = ServerAddress::Tcp { host: host.into(), port };
            assert_eq!(server(text, Path::new("/")), Ok(Server { scheme, at }), "{text}");
        }
    }

    #[test]
    fn an_upstream_is_no_more_than_that() {
        let parse = |text| server(text, Path::new("/"));
        refuse(parse("api:9000"), "`api:9000` has no scheme; write `http://api:9000`");
        refuse(parse("ftp://api"), "unknown scheme `ftp`; there are `http://`, `https://`, `h2c://`");
        refuse(
            parse("http://api/v1"),
            "an upstream has no path, and this one has `/v1`; leave out what comes after the port; requests keep their own path",
        );
        refuse(
            parse("http://api?a"),
            "an upstream has no query and no fragment; leave out what comes after the port",
        );
        refuse(
            parse("http://me:pw@api"),
            "a URL with user information is not taken; leave out what comes before the `@`",
        );
        refuse(parse("http://"), "no URL: empty host");
        refuse(parse("http://a:0"), "port 0 can't be connected to");
    }

    #[test]
    fn a_target_is_a_word_a_network_or_a_host() {
        let net = |text: &str| Target::Net(text.parse().unwrap());
        for (text, expected) in [
            ("peer", Target::Peer),
            ("Private", Target::Private),
            ("public", Target::Public),
            ("10.0.0.0/8", net("10.0.0.0/8")),
            ("10.1.2.3/8", net("10.0.0.0/8")),
            ("fd00::/8", net("fd00::/8")),
            ("10.0.0.1", net("10.0.0.1/32")),
            ("::1", net("::1/128")),
            ("[::1]", net("::1/128")),
            ("0x7f.1", net("127.0.0.1/32")),
            ("::ffff:10.1.2.3", net("10.1.2.3/32")),
            ("[::ffff:a01:203]", net("10.1.2.3/32")),
            ("::ffff:10.1.2.3/104", net("10.0.0.0/8")),
            ("::ffff:0:0/96", net("0.0.0.0/0")),
            ("::/0", net("::/0")),
            ("64:ff9b::/96", net("64:ff9b::/96")),
            ("Hooks.Example.", Target::Host("hooks.example".into())),
            ("*.example.com", Target::Under("example.com".into())),
            ("bücher.example", Target::Host("xn--bcher-kva.example".into())),
        ] {
            assert_eq!(text.parse(), Ok(expected), "{text}");
        }
    }

    #[test]
    fn other_texts_are_no_targets() {
        let parse = Target::from_str;
        refuse(parse("10.0.0.0/33"), "`10.0.0.0/33` is no network; write it as `10.0.0.0/8` or `fd00::/8`");
        refuse(parse("http://a"), "`http://a` is a URL; write the host only");
        refuse(parse("a:3000"), "`a:3000` is no host; leave out the port; a target is a host");
        for text in ["", "*", "*.", "a..b", "a b", "*.*.a", "*.10.0.0.1", "."] {
            refuse(
                parse(text),
                &format!(
                    "`{text}` is no target; write `peer`, `private`, `public`, a network, a host or `*.host`"
                ),
            );
        }
    }

    #[test]
    fn a_base_path_begins_with_a_slash_and_ends_with_none() {
        for (text, expected) in [("", ""), ("/", ""), ("/v1", "/v1"), ("/v1/", "/v1"), ("/a/b//", "/a/b")] {
            assert_eq!(base_path(text).as_deref(), Ok(expected), "{text}");
        }
        refuse(base_path("v1"), "`v1` does not begin with `/`; write `/v1`");
        assert!(base_path("/v1?a").is_err());
    }
}
