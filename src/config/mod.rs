//! Text to a checked [`Config`]: parse, don't validate.
//!
//! A value that can't be right is refused here, with its place, so that nothing behind this module
//! asks again. Reading is pure: the text, the environment and the folder come in as arguments.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;
use url::Url;

use crate::diagnostic::{Code, Diagnostic};
use crate::tree;

mod file;

mod selector;

mod missing;

mod delay;

mod change;

mod secret;

mod store;

mod source;

mod address;

mod level;

mod section;

mod amount;

mod variable;

mod problem;

pub use address::{listen, server};
pub use amount::{duration, switch, wait};
pub use change::{Changes, Fields, Prefix};
pub use delay::Delay;
pub use level::level;
pub use missing::{Entry as MissingEntry, Missing};
pub use problem::Problem;
pub use secret::Secret;
pub use source::{root, source, sources};

/// A key that no section has.
pub const UNKNOWN_KEY: Code = Code("SI0901");
/// A value that is not of its key's kind, or makes no sense there.
pub const BAD_VALUE: Code = Code("SI0902");
/// A key or value of the contract that this version does not have yet.
pub const NOT_BUILT: Code = Code("SI0903");
/// A `${VAR}` that is not set, or that can't be read.
pub const VARIABLE: Code = Code("SI0904");
/// A key that has to be there and is not.
pub const MISSING_KEY: Code = Code("SI0905");
/// An admin port that others could reach, without a token.
pub const OPEN_ADMIN: Code = Code("SI0906");
/// A name of an upstream that there is not.
pub const NO_UPSTREAM: Code = Code("SI0907");

/// The upstream of everything that names no other.
pub const DEFAULT_UPSTREAM: &str = "default";

/// Reads a config file. `name` is what diagnostics call it, `folder` what its paths are relative to.
///
/// # Errors
///
/// Everything that is wrong with it, in the order of the text; at least one.
pub fn parse(
    name: &str,
    text: &str,
    environment: &dyn Fn(&str) -> Option<String>,
    folder: &Path,
) -> Result<Config, Vec<Diagnostic>> {
    file::parse(name, text, environment, folder)
}

/// The keys that changed and that a reload can't put in force.
pub fn needs_restart(old: &Config, new: &Config) -> Vec<&'static str> {
    let changed = [
        ("listen", old.listen != new.listen),
        ("admin", old.admin != new.admin),
        ("threads", old.threads != new.threads),
        ("log", old.log != new.log),
        ("callbacks.store", old.callbacks.store != new.callbacks.store),
    ];
    changed.into_iter().filter_map(|(key, changed)| changed.then_some(key)).collect()
}

/// Everything that the config file, the environment and the flags decide.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// At least one.
    pub listen: Vec<Listen>,
    pub admin: Admin,
    pub upstreams: std::collections::BTreeMap<String, Upstream>,
    pub specs: Vec<Spec>,
    pub mode: Mode,
    /// What `fallback` takes for "has not got it", where no rule says.
    pub missing: Missing,
    pub rules: Vec<Rule>,
    pub unmatched: Unmatched,
    pub validate: Validate,
    /// Whether instances of schemas are random ones, also where there are examples.
    pub dynamic: bool,
    pub overrides: bool,
    pub reveal: bool,
    /// Whether preflights (Fetch, 4.8) are answered for what is mocked, and its answers say who may read them.
    pub cors: bool,
    pub callbacks: Callbacks,
    pub reload: Reload,
    pub limits: Limits,
    /// What a document may cost to read.
    pub reading: tree::Limits,
    /// Worker threads; none: the cores that the process may use.
    pub threads: Option<usize>,
    pub shutdown: Shutdown,
    pub journal: Journal,
    pub log: Log,
}

/// A listener of the data port.
#[derive(Debug, Clone, PartialEq)]
pub struct Listen {
    pub address: ListenAddress,
    /// None: plain text.
    pub tls: Option<KeyPair>,
    /// Whether HTTP/2 without TLS is taken beside HTTP/1.1, by prior knowledge (RFC 9113, 3.3).
    pub h2c: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ListenAddress {
    /// `host:port`, IPv6 in brackets.
    Tcp(String),
    /// A unix socket, absolute.
    Unix(PathBuf),
}

/// A certificate chain and its private key, each a PEM file; absolute.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyPair {
    pub cert: PathBuf,
    pub key: PathBuf,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Admin {
    /// None: no admin port.
    pub address: Option<String>,
    pub token: Option<String>,
    /// Names, lower case, that a `Host` may say besides localhost and IP literals.
    pub hosts: Vec<String>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Upstream {
    /// At least one.
    pub servers: Vec<Server>,
    /// None: only what requests meet says whether a server is healthy.
    pub health: Option<Health>,
    /// For the connection, TLS handshake included.
    pub connect_timeout: Duration,
    /// From the request's end to the response header.
    pub response_timeout: Duration,
    /// How long a connection that nobody uses is kept.
    pub idle_timeout: Duration,
    pub tls: UpstreamTls,
    pub host: Host,
    /// Of everything that passes to it, where no rule says otherwise.
    pub changes: Changes,
}

/// One server of an upstream.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Server {
    pub scheme: Scheme,
    pub at: ServerAddress,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum ServerAddress {
    Tcp {
        /// A name or an IP literal without brackets.
        host: String,
        port: u16,
    },
    /// A unix socket, absolute.
    Unix(PathBuf),
}

/// Asks each server, again and again, whether it is well.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Health {
    /// Begins with `/`.
    pub path: String,
    pub interval: Duration,
}

/// How `https` servers are met.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpstreamTls {
    /// A PEM file of authorities, instead of the system's.
    pub ca: Option<PathBuf>,
    /// The name that is asked for and that the certificate has to have; none: the server's own.
    pub sni: Option<String>,
    pub verify: bool,
    /// Shown to servers that ask for one.
    pub client: Option<KeyPair>,
}

/// Which `Host` the upstream gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Host {
    /// The client's.
    Preserve,
    /// The server's own, with its port if that is not the scheme's.
    Upstream,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Scheme {
    Http,
    Https,
    H2c,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Spec {
    pub source: Source,
    /// Without a slash at its end: empty is the root.
    pub base_path: Option<String>,
    pub upstream: Option<String>,
    pub mode: Option<Mode>,
    /// Whether its references may lead to other hosts.
    pub remote: bool,
    /// A folder that its references may reach besides its own.
    pub root: Option<PathBuf>,
}

/// Where documents are read from. Paths are absolute.
#[derive(Debug, Clone, PartialEq)]
pub enum Source {
    /// A file, or a folder of them.
    Path(PathBuf),
    /// Each file that a pattern matches.
    Glob(Glob),
    Url(Page),
}

#[derive(Debug, Clone, PartialEq)]
pub struct Glob {
    /// The pattern as a path: if there is a file of that name, it is meant.
    pub literal: PathBuf,
    /// Everything that matches is below it.
    pub folder: PathBuf,
    /// How many levels below the folder a match may be; none: any number.
    pub depth: Option<usize>,
    /// Whether names that begin with a dot are asked for.
    pub hidden: bool,
    matcher: source::Matcher,
}

/// What is fetched from an http or https URL.
#[derive(Debug, Clone, PartialEq)]
pub struct Page {
    /// Without user information, so that it can be shown.
    pub url: Url,
    pub login: Option<Login>,
}

/// Sent as basic authentication, and never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Login {
    pub user: String,
    pub password: String,
}

impl Spec {
    /// A source about which the config says nothing else.
    pub fn new(source: Source) -> Self {
        Spec { source, base_path: None, upstream: None, mode: None, remote: false, root: None }
    }
}

/// What happens to an operation's requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Mode {
    /// Answered from the document.
    Mock,
    /// Answered where an example fits, else passed.
    Match,
    /// Passed; answered where the upstream has not got it.
    Fallback,
    Pass,
}

impl Mode {
    pub const ALL: [Mode; 4] = [Mode::Mock, Mode::Match, Mode::Fallback, Mode::Pass];

    /// The word for it in config, documents, metrics and the admin port.
    pub fn as_str(self) -> &'static str {
        match self {
            Mode::Mock => "mock",
            Mode::Match => "match",
            Mode::Fallback => "fallback",
            Mode::Pass => "pass",
        }
    }
}

/// What a mocked operation answers when no example fits the request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unmatched {
    Example,
    /// An instance of the schema of the response.
    Generate,
    Reject,
    /// The request passes.
    Upstream,
}

/// What is held against the document, and what follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Validate {
    pub request: Level,
    /// Of answers of the upstream, and of the document's own examples.
    pub response: Level,
    pub security: Level,
    /// Whether a query parameter that the operation does not list is a violation.
    pub unknown_query: bool,
}

impl Default for Validate {
    fn default() -> Self {
        Validate {
            request: Level::Report,
            response: Level::Off,
            security: Level::Report,
            unknown_query: false,
        }
    }
}

/// What follows from a violation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Nobody looks.
    Off,
    /// It is counted and told, and nothing else changes.
    Report,
    /// The message is refused.
    Enforce,
}

/// What is said about some operations.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Rule {
    pub operations: Vec<Selector>,
    pub mode: Option<Mode>,
    pub missing: Option<Missing>,
    pub unmatched: Option<Unmatched>,
    /// A name of `upstreams`.
    pub upstream: Option<String>,
    pub delay: Option<Delay>,
    pub changes: Changes,
}

impl Rule {
    /// What `self` does not say, as `next` says it; for `self`'s operations.
    pub fn or(self, next: &Rule) -> Rule {
        Rule {
            operations: self.operations,
            mode: self.mode.or(next.mode),
            missing: self.missing.or_else(|| next.missing.clone()),
            unmatched: self.unmatched.or(next.unmatched),
            upstream: self.upstream.or_else(|| next.upstream.clone()),
            delay: self.delay.or(next.delay),
            changes: self.changes.or(&next.changes),
        }
    }
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
    /// Before each call of a chain, where the document does not say.
    pub delay: Delay,
    pub order: Order,
    /// For one attempt, from the name to the answer's end.
    pub timeout: Duration,
    /// Waits between attempts; empty: each call is sent once.
    pub retry: Arc<[Duration]>,
    pub allow: Vec<Target>,
    pub deny: Vec<Target>,
    pub per_host: usize,
    pub concurrency: usize,
    /// Calls that are not done.
    pub queue: usize,
    /// Bytes that chains which are not done may keep together.
    pub memory: usize,
    pub store: Store,
    pub base_url: Option<Url>,
    /// What calls are signed with; several while they are changed.
    pub secrets: Vec<Secret>,
    /// A file with such secrets, a line each.
    pub secret_file: Option<PathBuf>,
    /// A file with authorities that are trusted besides the system's.
    pub ca: Option<PathBuf>,
    /// Calls are sent through it.
    pub proxy: Option<Page>,
}

/// Where chains are kept that are not done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Store {
    /// They end with the process.
    Memory,
    /// They go on when the next process starts.
    Folder(PathBuf),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
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
    /// How long URLs of `specs` that fail are tried again before the start.
    pub start_wait: Duration,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Limits {
    pub connections: usize,
    /// Bytes of a request's header.
    pub header: usize,
    /// Fields of a request's header.
    pub headers: usize,
    /// Bytes of a request's target.
    pub uri: usize,
    pub write_timeout: Duration,
    pub keepalive: Duration,
    /// Bytes of a mocked operation's request body.
    pub mocked_body: usize,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Shutdown {
    pub pre_drain: Duration,
    pub drain: Duration,
}

/// The last exchanges, for the admin port.
#[derive(Debug, Clone, PartialEq)]
pub struct Journal {
    /// How many are kept; 0: none.
    pub entries: usize,
    /// Bytes of each body that are kept; 0: none.
    pub bodies: usize,
    /// Fields whose values are not kept.
    pub redact: Vec<http::HeaderName>,
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

impl Default for Config {
    fn default() -> Self {
        Config {
            listen: vec![Listen::plain("127.0.0.1:8080")],
            admin: Admin::default(),
            upstreams: Default::default(),
            specs: Vec::new(),
            mode: Mode::Mock,
            missing: Missing::default(),
            rules: Vec::new(),
            unmatched: Unmatched::Example,
            validate: Validate::default(),
            dynamic: false,
            overrides: true,
            reveal: true,
            cors: true,
            callbacks: Callbacks::default(),
            reload: Reload::default(),
            reading: tree::Limits::default(),
            limits: Limits::default(),
            threads: None,
            shutdown: Shutdown::default(),
            journal: Journal::default(),
            log: Log::default(),
        }
    }
}

impl Listen {
    /// A listener without TLS, at `host:port`.
    pub fn plain(address: &str) -> Self {
        Listen { address: ListenAddress::Tcp(address.to_owned()), tls: None, h2c: false }
    }
}

impl Default for Admin {
    fn default() -> Self {
        Admin { address: Some("127.0.0.1:9900".into()), token: None, hosts: Vec::new() }
    }
}

impl Upstream {
    pub fn new(servers: Vec<Server>) -> Self {
        Upstream {
            servers,
            health: None,
            connect_timeout: Duration::from_secs(2),
            response_timeout: Duration::from_secs(60),
            idle_timeout: Duration::from_secs(60),
            tls: UpstreamTls::default(),
            host: Host::Preserve,
            changes: Changes::default(),
        }
    }
}

impl Default for UpstreamTls {
    fn default() -> Self {
        UpstreamTls { ca: None, sni: None, verify: true, client: None }
    }
}

impl Default for Journal {
    fn default() -> Self {
        let redact = ["authorization", "cookie", "set-cookie", "x-api-key"];
        Journal { entries: 1000, bodies: 16 << 10, redact: redact.map(http::HeaderName::from_static).into() }
    }
}

impl Default for Callbacks {
    fn default() -> Self {
        Callbacks {
            enabled: true,
            delay: Delay::Fixed(Duration::from_secs(3)),
            order: Order::Finished,
            timeout: Duration::from_secs(10),
            retry: [1, 5, 30, 120].map(Duration::from_secs).into(),
            allow: vec![Target::Peer, Target::Public],
            deny: Vec::new(),
            per_host: 4,
            concurrency: 64,
            queue: 10_000,
            memory: 256 << 20,
            store: Store::Memory,
            base_url: None,
            secrets: Vec::new(),
            secret_file: None,
            ca: None,
            proxy: None,
        }
    }
}

impl Default for Reload {
    fn default() -> Self {
        Reload { watch: true, poll: Duration::from_secs(10), start_wait: Duration::from_secs(10) }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            connections: 4096,
            header: 64 << 10,
            headers: 100,
            uri: 8 << 10,
            write_timeout: Duration::from_secs(60),
            keepalive: Duration::from_secs(60),
            mocked_body: 1 << 20,
        }
    }
}

impl Default for Shutdown {
    fn default() -> Self {
        Shutdown { pre_drain: Duration::ZERO, drain: Duration::from_secs(25) }
    }
}

impl Default for Log {
    fn default() -> Self {
        Log { format: LogFormat::Text, level: "info".into() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_restart_is_needed_for_listeners_threads_the_log_and_the_store() {
        let old = Config::default();
        assert!(needs_restart(&old, &old).is_empty());

        let mut new = Config { mode: Mode::Pass, ..Config::default() };
        assert!(needs_restart(&old, &new).is_empty());

        new.listen.push(Listen::plain(":0"));
        new.admin.address = None;
        new.threads = Some(2);
        new.log.format = LogFormat::Json;
        new.reload.watch = false;
        new.callbacks.store = Store::Folder("kept".into());
        assert_eq!(needs_restart(&old, &new), ["listen", "admin", "threads", "log", "callbacks.store"]);
    }
}
