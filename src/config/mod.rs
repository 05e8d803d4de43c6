//! Text to a checked [`Config`]: parse, don't validate.

use std::time::Duration;

use ipnet::IpNet;

/// Everything that the config file, the environment and the flags decide.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    pub listen: Vec<String>,
    pub admin: Admin,
    pub upstreams: std::collections::BTreeMap<String, Upstream>,
    pub specs: Vec<Spec>,
    pub mode: Mode,
    pub rules: Vec<Rule>,
    pub unmatched: Unmatched,
    pub overrides: bool,
    pub reveal: bool,
    pub callbacks: Callbacks,
    pub reload: Reload,
    pub limits: Limits,
    /// Worker threads; none: the cores that the process may use.
    pub threads: Option<usize>,
    pub shutdown: Shutdown,
    pub log: Log,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Admin {
    /// None: no admin port.
    pub address: Option<String>,
    pub token: Option<String>,
    pub hosts: Vec<String>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Upstream {
    pub servers: Vec<Server>,
    pub connect_timeout: Duration,
    /// From the request's end to the response header.
    pub response_timeout: Duration,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Server {
    pub scheme: Scheme,
    /// A name or an IP literal without brackets.
    pub host: String,
    pub port: u16,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Scheme {
    Http,
    Https,
    H2c,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Spec {
    /// A file or a folder, relative to the folder of the config file (made absolute at parse).
    pub source: String,
    pub base_path: Option<String>,
    pub upstream: Option<String>,
    pub mode: Option<Mode>,
}

/// What happens to an operation's requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Mode {
    Mock,
    Pass,
}

/// What a mocked operation answers when no example fits the request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unmatched {
    Example,
    Reject,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Rule {
    pub operations: Vec<Selector>,
    pub mode: Option<Mode>,
    pub unmatched: Option<Unmatched>,
}

/// Which operations a rule is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Selector {
    /// An `operationId`.
    Id(String),
    /// A method (none: any) and a glob over the template with its base path: `*` is one segment, `**` any.
    Route { method: Option<http::Method>, path: Vec<Segment> },
    /// `tag:NAME`
    Tag(String),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Segment {
    Literal(String),
    One,
    Any,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Callbacks {
    pub enabled: bool,
    pub delay: Duration,
    pub order: Order,
    pub timeout: Duration,
    pub allow: Vec<Target>,
    pub deny: Vec<Target>,
    pub per_host: usize,
    pub concurrency: usize,
    pub queue: usize,
    pub base_url: Option<url::Url>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    Finished,
    Started,
}

/// One entry of `callbacks.allow` or `deny`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    Peer,
    Private,
    Public,
    Net(IpNet),
    /// Lower case, without a trailing dot.
    Host(String),
    /// `*.example.com` as `example.com`: any name below it, not itself.
    Under(String),
}

#[derive(Debug, Clone, PartialEq)]
pub struct Reload {
    pub watch: bool,
    pub poll: Duration,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Limits {
    pub connections: usize,
    pub header: usize,
    pub headers: usize,
    pub uri: usize,
    pub write_timeout: Duration,
    pub keepalive: Duration,
    pub mocked_body: usize,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Shutdown {
    pub pre_drain: Duration,
    pub drain: Duration,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Log {
    pub format: LogFormat,
    /// A `tracing_subscriber` filter directive.
    pub level: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    Text,
    Json,
}
