//! The keys of the config file, one function a section, each key where its value goes.

use std::path::Path;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use super::problem::{self, Problem, quoted};
use super::section::{Item, Reader, Section};
use super::{
    Admin, Callbacks, Changes, Config, DEFAULT_UPSTREAM, Delay, Health, Host, Journal, KeyPair, Level,
    Limits, Listen, Log, LogFormat, Missing, Mode, NO_UPSTREAM, Order, Reload, Rule, Secret, Selector,
    Shutdown, Source, Spec, Target, Unmatched, Upstream, UpstreamTls, Validate, address, amount, level,
    missing, source, store,
};
use crate::diagnostic::{Diagnostic, Severity, nearest};
use crate::tree::{self, Kind, Tree};

/// A config file is small: what is larger is another file.
const LIMITS: tree::Limits = tree::Limits { size: 1 << 20, depth: 32, nodes: 100_000, aliases: 10_000 };

pub(super) fn parse(
    name: &str,
    text: &str,
    environment: &dyn Fn(&str) -> Option<String>,
    folder: &Path,
) -> Result<Config, Vec<Diagnostic>> {
    if says_nothing(text) {
        return Ok(Config::default());
    }
    let (tree, warnings) = Tree::parse(name, text.to_owned(), &LIMITS).map_err(|problem| {
        // The hint of a document's reader names a key of this file, which is not for this file.
        let over_a_limit = problem.code == tree::OVER_LIMIT;
        vec![if over_a_limit { problem.hint("no config needs as much") } else { *problem }]
    })?;
    // What a document's reader can leave out (a key that is there twice), nobody meant in a config.
    let errors = warnings.into_iter().map(|warning| Diagnostic { severity: Severity::Error, ..warning });
    let reader = Reader::new(environment, errors.map(|error| error.hint("take it out")).collect());
    let config = match tree.root().kind() {
        Kind::Null => Some(Config::default()),
        _ => reader.item(tree.root(), String::new()).section(|keys| config(keys, folder)),
    };
    match (config, reader.finish()) {
        (Some(config), problems) if problems.is_empty() => Ok(config),
        (_, problems) => Err(problems),
    }
}

/// A file of comments is one whose keys are all commented out.
fn says_nothing(text: &str) -> bool {
    let mut lines = text.trim_start_matches('\u{feff}').lines().map(str::trim);
    lines.all(|line| line.is_empty() || line.starts_with('#') || line == "---")
}

fn config(keys: &mut Section<'_>, folder: &Path) -> Config {
    let default = Config::default();
    let upstreams = keys.key("upstreams", |item| Some(item.names())).unwrap_or_default();
    // By their names alone, so that one with a problem is not also said to be missing.
    let names: Vec<&str> = upstreams.iter().map(|(name, _)| *name).chain([DEFAULT_UPSTREAM]).collect();

    let config = Config {
        listen: keys
            .key("listen", |item| item.one_or_more(|item| listen(item, folder)))
            .unwrap_or(default.listen),
        admin: keys.key("admin", admin).unwrap_or(default.admin),
        upstreams: upstreams
            .iter()
            .filter_map(|(name, item)| Some(((*name).to_owned(), upstream(item, folder)?)))
            .collect(),
        specs: keys.key("specs", |item| item.list(|item| spec(item, folder, &names))).unwrap_or_default(),
        mode: keys.scalar("mode", Mode::from_str).unwrap_or(default.mode),
        missing: keys.key("missing", missing).unwrap_or(default.missing),
        rules: keys.key("rules", |item| item.list(|item| rule(item, &names))).unwrap_or_default(),
        unmatched: keys.scalar("unmatched", Unmatched::from_str).unwrap_or(default.unmatched),
        validate: keys.key("validate", |item| item.section(validate)).unwrap_or_default(),
        dynamic: keys.boolean("dynamic").unwrap_or(default.dynamic),
        overrides: keys.boolean("overrides").unwrap_or(default.overrides),
        reveal: keys.boolean("reveal").unwrap_or(default.reveal),
        cors: keys.boolean("cors").unwrap_or(default.cors),
        callbacks: keys
            .key("callbacks", |item| item.section(|keys| callbacks(keys, folder)))
            .unwrap_or_default(),
        reload: keys.key("reload", |item| item.section(reload)).unwrap_or_default(),
        limits: keys.key("limits", |item| item.section(limits)).unwrap_or_default(),
        reading: keys.key("reading", |item| item.section(reading)).unwrap_or_default(),
        threads: keys.scalar("threads", amount::threads),
        shutdown: keys.key("shutdown", |item| item.section(shutdown)).unwrap_or_default(),
        journal: keys.key("journal", |item| item.section(journal)).unwrap_or_default(),
        log: keys.key("log", |item| item.section(log)).unwrap_or_default(),
    };
    keys.only("state", &["memory"]);
    config
}

fn listen(item: &Item<'_>, folder: &Path) -> Option<Listen> {
    let address = |item: &Item<'_>| item.scalar(|text| address::listen(text, folder));
    if !item.is_section() {
        return Some(Listen { address: address(item)?, tls: None, h2c: false });
    }
    item.section(|keys| {
        let address = keys.required("address", address);
        let tls = keys.key("tls", |item| item.section(|keys| key_pair(keys, folder)));
        let h2c = keys.boolean("h2c").unwrap_or(false);
        Some(Listen { address: address?, tls: tls.flatten(), h2c })
    })?
    .filter(|listen| agrees(item, listen))
}

fn agrees(item: &Item<'_>, listen: &Listen) -> bool {
    let both = listen.h2c && listen.tls.is_some();
    if both {
        item.refuse(
            Problem::value("`h2c` is HTTP/2 without TLS, and this listener has TLS")
                .hint("leave out `h2c`; over TLS there is HTTP/2 for clients that ask"),
        );
    }
    !both
}

/// A certificate chain and its key, which make sense together only.
fn key_pair(keys: &mut Section<'_>, folder: &Path) -> Option<KeyPair> {
    let cert = keys.required("cert", |item| item.string(|text| source::root(text, folder)));
    let key = keys.required("key", |item| item.string(|text| source::root(text, folder)));
    Some(KeyPair { cert: cert?, key: key? })
}

fn admin(item: &Item<'_>) -> Option<Admin> {
    let admin = match item.is_section() {
        true => item.section(admin_keys),
        false => item.scalar(Admin::address).map(|address| Admin { address, ..Admin::default() }),
    }?;
    match admin.check() {
        Ok(()) => Some(admin),
        Err(problem) => {
            item.refuse(problem);
            None
        }
    }
}

fn admin_keys(keys: &mut Section<'_>) -> Admin {
    let default = Admin::default();
    Admin {
        address: keys.scalar("address", Admin::address).unwrap_or(default.address),
        token: keys.string("token", token),
        hosts: keys
            .key("hosts", |item| item.list(|item| item.string(address::host_name)))
            .unwrap_or_default(),
    }
}

/// What can stand in an `authorization` header. The text itself is a secret, so no message has it.
fn token(text: &str) -> Result<String, Problem> {
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(Problem::value("a token is visible ASCII characters without spaces"));
    }
    Ok(text.to_owned())
}

fn upstream(item: &Item<'_>, folder: &Path) -> Option<Upstream> {
    item.section(|keys| {
        let server = |item: &Item<'_>| item.string(|text| address::server(text, folder));
        let servers = keys.required("servers", |item| item.one_or_more(server));
        let health = keys.key("health", |item| item.section(health)).flatten();
        let connect_timeout = keys.scalar("connect_timeout", amount::some_time);
        let response_timeout = keys.scalar("response_timeout", amount::some_time);
        let idle_timeout = keys.scalar("idle_timeout", amount::some_time);
        let tls = keys.key("tls", |item| item.section(|keys| upstream_tls(keys, folder)));
        let host = keys.scalar("host", Host::from_str);
        let changes = Changes::keys(keys);

        let default = Upstream::new(servers?);
        Some(Upstream {
            health,
            connect_timeout: connect_timeout.unwrap_or(default.connect_timeout),
            response_timeout: response_timeout.unwrap_or(default.response_timeout),
            idle_timeout: idle_timeout.unwrap_or(default.idle_timeout),
            tls: tls.unwrap_or(default.tls),
            host: host.unwrap_or(default.host),
            changes,
            servers: default.servers,
        })
    })?
}

fn health(keys: &mut Section<'_>) -> Option<Health> {
    const INTERVAL: Duration = Duration::from_secs(5);
    let path = keys.required("path", |item| item.string(address::health_path));
    let interval = keys.scalar("interval", amount::some_time).unwrap_or(INTERVAL);
    Some(Health { path: path?, interval })
}

fn upstream_tls(keys: &mut Section<'_>, folder: &Path) -> UpstreamTls {
    let mut file = |key| keys.string(key, |text| source::root(text, folder));
    let (ca, cert, key) = (file("ca"), file("cert"), file("key"));
    let client = match (cert, key) {
        (Some(cert), Some(key)) => Some(KeyPair { cert, key }),
        (None, None) => None,
        (Some(_), None) => {
            keys.missing("key");
            None
        }
        (None, Some(_)) => {
            keys.missing("cert");
            None
        }
    };
    UpstreamTls {
        ca,
        sni: keys.string("sni", address::host_name),
        verify: keys.boolean("verify").unwrap_or(true),
        client,
    }
}

fn spec(item: &Item<'_>, folder: &Path, upstreams: &[&str]) -> Option<Spec> {
    item.section(|keys| {
        let source = keys.required("source", |item| item.string(|text| source::source(text, folder)));
        let base_path = keys.string("base_path", address::base_path);
        let upstream = keys.string("upstream", |name| known(name, upstreams));
        let mode = keys.scalar("mode", Mode::from_str);
        let remote = keys.boolean("remote").unwrap_or(false);
        let root = keys.string("root", |text| match source {
            Some(Source::Url(_)) => Err(Problem::value("a document by URL refers to no file")
                .hint("leave it out; `remote: true` lets it refer to other URLs")),
            _ => source::root(text, folder),
        });
        Some(Spec { source: source?, base_path, upstream, mode, remote, root })
    })?
}

fn known(name: &str, upstreams: &[&str]) -> Result<String, Problem> {
    if upstreams.contains(&name) {
        return Ok(name.to_owned());
    }
    let problem = Problem::new(NO_UPSTREAM, format!("there is no upstream {}", quoted(name)));
    Err(match nearest(name, upstreams.iter().copied()) {
        Some(near) => problem.hint(format!("did you mean `{near}`?")),
        None => problem.hint(format!("there are {}", problem::listed(upstreams.iter().copied()))),
    })
}

fn rule(item: &Item<'_>, upstreams: &[&str]) -> Option<Rule> {
    item.section(|keys| {
        let operations =
            keys.required("operations", |item| item.one_or_more(|item| item.string(Selector::from_str)));
        let mode = keys.scalar("mode", Mode::from_str);
        let unmatched = keys.scalar("unmatched", Unmatched::from_str);
        let missing = keys.key("missing", missing);
        let upstream = keys.string("upstream", |name| known(name, upstreams));
        let delay = keys.key("delay", delay);
        let changes = Changes::keys(keys);
        keys.not_yet("fault");
        Some(Rule { operations: operations?, mode, missing, unmatched, upstream, delay, changes })
    })?
}

fn missing(item: &Item<'_>) -> Option<Missing> {
    let entries = item.list(|item| item.scalar(missing::Entry::from_str))?;
    Some(Missing::new(entries))
}

fn delay(item: &Item<'_>) -> Option<Delay> {
    if !item.is_section() {
        return item.scalar(|text| amount::duration(text).and_then(Delay::fixed));
    }
    let delay = item.section(|keys| {
        let mut time = |key| keys.scalar(key, amount::duration);
        Delay::of_chance(time("min"), time("max"), time("median"), time("p99"))
    })?;
    delay.map_err(|problem| item.refuse(problem)).ok()
}

fn validate(keys: &mut Section<'_>) -> Validate {
    let default = Validate::default();
    Validate {
        request: keys.scalar("request", Level::from_str).unwrap_or(default.request),
        response: keys.scalar("response", Level::from_str).unwrap_or(default.response),
        security: keys.scalar("security", Level::from_str).unwrap_or(default.security),
        unknown_query: keys.boolean("unknown_query").unwrap_or(default.unknown_query),
    }
}

fn callbacks(keys: &mut Section<'_>, folder: &Path) -> Callbacks {
    let default = Callbacks::default();
    let target = |item: &Item<'_>| item.string(Target::from_str);
    Callbacks {
        enabled: keys.boolean("enabled").unwrap_or(default.enabled),
        delay: keys.key("delay", delay).unwrap_or(default.delay),
        order: keys.scalar("order", Order::from_str).unwrap_or(default.order),
        timeout: keys.scalar("timeout", amount::some_time).unwrap_or(default.timeout),
        retry: keys.key("retry", retry).unwrap_or(default.retry),
        allow: keys.key("allow", |item| item.list(target)).unwrap_or(default.allow),
        deny: keys.key("deny", |item| item.list(target)).unwrap_or(default.deny),
        per_host: keys.scalar("per_host", amount::count).unwrap_or(default.per_host),
        concurrency: keys.scalar("concurrency", amount::count).unwrap_or(default.concurrency),
        queue: keys.scalar("queue", amount::count).unwrap_or(default.queue),
        memory: keys.scalar("memory", amount::some_size).unwrap_or(default.memory),
        store: keys.string("store", |text| store::store(text, folder)).unwrap_or(default.store),
        base_url: keys.string("base_url", address::base_url),
        secrets: keys
            .key("secret", |item| item.one_or_more(|item| item.string(Secret::from_str)))
            .unwrap_or_default(),
        secret_file: keys.string("secret_file", |text| source::root(text, folder)),
        ca: keys.string("ca", |text| source::root(text, folder)),
        proxy: keys.string("proxy", source::proxy),
    }
}

/// Attempts of a call after the first.
const RETRIES: usize = 100;

fn retry(item: &Item<'_>) -> Option<Arc<[Duration]>> {
    let waits = item.list(|item| item.scalar(amount::retry))?;
    if waits.len() > RETRIES {
        item.refuse(Problem::value(format!("more than {RETRIES} waits")).hint("leave the last ones out"));
        return None;
    }
    Some(waits.into())
}

fn reload(keys: &mut Section<'_>) -> Reload {
    let default = Reload::default();
    Reload {
        watch: keys.boolean("watch").unwrap_or(default.watch),
        poll: keys.scalar("poll", amount::some_time).unwrap_or(default.poll),
        start_wait: keys.scalar("start_wait", amount::duration).unwrap_or(default.start_wait),
    }
}

fn limits(keys: &mut Section<'_>) -> Limits {
    let default = Limits::default();
    let limits = Limits {
        connections: keys.scalar("connections", amount::count).unwrap_or(default.connections),
        header: keys.scalar("header", amount::some_size).unwrap_or(default.header),
        headers: keys.scalar("headers", amount::count).unwrap_or(default.headers),
        uri: keys.scalar("uri", amount::some_size).unwrap_or(default.uri),
        write_timeout: keys.scalar("write_timeout", amount::some_time).unwrap_or(default.write_timeout),
        keepalive: keys.scalar("keepalive", amount::duration).unwrap_or(default.keepalive),
        mocked_body: keys.scalar("mocked_body", amount::size).unwrap_or(default.mocked_body),
    };
    keys.not_yet("header_timeout");
    keys.not_yet("body_rate");
    limits
}

fn reading(keys: &mut Section<'_>) -> tree::Limits {
    let default = tree::Limits::default();
    tree::Limits {
        size: keys.scalar("size", amount::some_size).unwrap_or(default.size),
        depth: keys.scalar("depth", amount::depth).unwrap_or(default.depth),
        nodes: keys.scalar("nodes", amount::count).unwrap_or(default.nodes),
        aliases: keys.scalar("aliases", amount::count).unwrap_or(default.aliases),
    }
}

fn shutdown(keys: &mut Section<'_>) -> Shutdown {
    let default = Shutdown::default();
    Shutdown {
        pre_drain: keys.scalar("pre_drain", amount::duration).unwrap_or(default.pre_drain),
        drain: keys.scalar("drain", amount::duration).unwrap_or(default.drain),
    }
}

fn journal(keys: &mut Section<'_>) -> Journal {
    let default = Journal::default();
    let name = |item: &Item<'_>| {
        item.string(|text| {
            text.parse().map_err(|_| Problem::value(format!("{} is no field name", quoted(text))))
        })
    };
    Journal {
        entries: keys.scalar("entries", amount::entries).unwrap_or(default.entries),
        bodies: keys.scalar("bodies", amount::size).unwrap_or(default.bodies),
        redact: keys.key("redact", |item| item.list(name)).unwrap_or(default.redact),
    }
}

fn log(keys: &mut Section<'_>) -> Log {
    let default = Log::default();
    Log {
        format: keys.scalar("format", LogFormat::from_str).unwrap_or(default.format),
        level: keys.string("level", level::level).unwrap_or(default.level),
    }
}

impl FromStr for Mode {
    type Err = Problem;

    fn from_str(text: &str) -> Result<Self, Problem> {
        problem::word(text, &Mode::ALL.map(|mode| (mode.as_str(), mode)))
    }
}

impl FromStr for Unmatched {
    type Err = Problem;

    fn from_str(text: &str) -> Result<Self, Problem> {
        let words = [
            ("example", Unmatched::Example),
            ("generate", Unmatched::Generate),
            ("reject", Unmatched::Reject),
            ("upstream", Unmatched::Upstream),
        ];
        problem::word(text, &words)
    }
}

impl FromStr for Host {
    type Err = Problem;

    fn from_str(text: &str) -> Result<Self, Problem> {
        problem::word(text, &[("preserve", Host::Preserve), ("upstream", Host::Upstream)])
    }
}

impl FromStr for Order {
    type Err = Problem;

    fn from_str(text: &str) -> Result<Self, Problem> {
        problem::word(text, &[("finished", Order::Finished), ("started", Order::Started)])
    }
}

impl FromStr for LogFormat {
    type Err = Problem;

    fn from_str(text: &str) -> Result<Self, Problem> {
        problem::word(text, &[("text", LogFormat::Text), ("json", LogFormat::Json)])
    }
}

impl FromStr for Level {
    type Err = Problem;

    fn from_str(text: &str) -> Result<Self, Problem> {
        let words = [("off", Level::Off), ("report", Level::Report), ("enforce", Level::Enforce)];
        problem::word(text, &words)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::config::{self, Fields, ListenAddress, Prefix, Segment, ServerAddress};

    fn environment(name: &str) -> Option<String> {
        match name {
            "N" => Some("3".into()),
            "YES" => Some("true".into()),
            "EMPTY" => Some(String::new()),
            "TOKEN" => Some("0123".into()),
            "HOST" => Some("api".into()),
            _ => None,
        }
    }

    fn read(yaml: &str) -> Result<Config, String> {
        let lines = |problems: Vec<Diagnostic>| {
            problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
        };
        parse("c", yaml, &environment, Path::new("/etc/standin")).map_err(lines)
    }

    /// The text is refused, for these reasons at these places.
    #[track_caller]
    fn check(yaml: &str, expected: &str) {
        assert_eq!(read(yaml).expect_err("should be refused"), expected);
    }

    /// As [`check`], without the hints.
    #[track_caller]
    fn check_messages(yaml: &str, expected: &[&str]) {
        let refused = read(yaml).expect_err("should be refused");
        let messages: Vec<&str> =
            refused.lines().map(|line| line.split("; ").next().unwrap_or(line)).collect();
        assert_eq!(messages, expected);
    }

    fn server(text: &str) -> config::Server {
        config::server(text, Path::new("/etc/standin")).expect("a server")
    }

    #[track_caller]
    fn good(yaml: &str) -> Config {
        read(yaml).unwrap_or_else(|problems| panic!("{problems}"))
    }

    const SILENT: &str =
        concat!("remove it; Standin ", env!("CARGO_PKG_VERSION"), " ignores no key silently");

    #[test]
    fn nothing_said_is_the_defaults() {
        for yaml in [
            "",
            "# only a comment\n",
            "\u{feff}---\n\n",
            "{}",
            "null",
            "callbacks:\nlimits: {}\nlisten:\nspecs:\n",
        ] {
            assert_eq!(good(yaml), Config::default(), "{yaml:?}");
        }
    }

    #[test]
    fn the_example_file_shows_the_defaults() {
        let example = include_str!("../../config/standin.yaml");
        let servers = vec![server("http://127.0.0.1:9000")];
        let upstreams = [("default".to_owned(), Upstream::new(servers))].into();
        let folder = Path::new("/etc/standin");
        let read = parse("standin.yaml", example, &|_| None, folder).expect("the example is valid");
        let source = crate::config::source("specs", folder).expect("a folder");
        let specs = vec![Spec::new(source)];
        assert_eq!(read, Config { upstreams, specs, ..Config::default() });
    }

    #[test]
    fn a_limit_of_the_config_s_own_names_no_key() {
        let text = format!("specs: {}", "[".repeat(1000));
        let problems = parse("c", &text, &|_| None, Path::new("/")).expect_err("it is too deep");
        assert_eq!(problems[0].hint.as_deref(), Some("no config needs as much"));
    }

    #[test]
    fn every_key_comes_to_its_place() {
        let seconds = Duration::from_secs;
        let name = http::HeaderName::from_static;
        let value = http::HeaderValue::from_static;
        let config = good(
            r#"
listen:
  - :8080
  - {address: "[::1]:8443", tls: {cert: c.pem, key: /k.pem}}
  - {address: 8081, h2c: true}
  - unix:standin.sock
admin: {address: 0.0.0.0:9900, token: "s3cret", hosts: [Standin.Example]}
upstreams:
  default: {servers: ["http://a", "h2c://b:1"], connect_timeout: 1s, response_timeout: 2m, host: preserve}
  other:
    servers: [https://c, "unix:/run/c.sock"]
    health: {path: /up?deep=1, interval: 2s}
    idle_timeout: 30s
    tls: {ca: ca.pem, sni: c.internal, verify: false, cert: client.pem, key: client.key}
    host: upstream
    headers: {request: {remove: [cookie]}}
    path: {strip: /api/, add: /}
specs:
  - {source: specs/a.yaml, base_path: /v1/, upstream: other, mode: pass, remote: true, root: ../shared}
  - source: /b.json
mode: pass
missing: [404, 5XX, timeout, reset]
rules:
  - {operations: [createUser, GET /user/*, "tag:billing"], mode: mock}
  - {operations: /x/**, unmatched: reject, upstream: other, delay: {min: 1s, max: 2s}, missing: [connect]}
  - operations: a
    delay: 5ms
    headers: {request: {set: {x-a: 1}, add: {x-b: "2"}}, response: {remove: [server, via]}}
    path: {add: /v2}
unmatched: reject
validate: {request: enforce, response: report, security: off, unknown_query: true}
dynamic: true
overrides: false
reveal: false
cors: off
callbacks:
  enabled: false
  delay: {min: 1s, max: 2s}
  order: started
  timeout: 1s
  retry: [1s, 90s]
  allow: [peer, 10.0.0.0/8]
  deny: ["*.example.com"]
  per_host: 1
  concurrency: 2
  queue: 3
  memory: 1MiB
  store: ./kept
  base_url: http://127.0.0.1:3000/base
  secret: whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw
  secret_file: secrets
  ca: ca.pem
  proxy: http://user:password@proxy:3128
reload: {watch: false, poll: 1m, start_wait: 0s}
limits: {connections: 1, header: 2KiB, headers: 3, uri: 4KB, write_timeout: 5s, keepalive: 0s, mocked_body: 6}
reading: {size: 1MiB, depth: 7, nodes: 8, aliases: 9}
threads: 2
shutdown: {pre_drain: 5s, drain: 0s}
journal: {entries: 0, bodies: 1KiB, redact: [X-Secret]}
state: memory
log: {format: json, level: "warn,standin=debug"}
"#,
        );
        let route = |method, path| Selector::Route { method, path };
        let expected = Config {
            listen: vec![
                Listen::plain("0.0.0.0:8080"),
                Listen {
                    tls: Some(KeyPair { cert: "/etc/standin/c.pem".into(), key: "/k.pem".into() }),
                    ..Listen::plain("[::1]:8443")
                },
                Listen { h2c: true, ..Listen::plain("127.0.0.1:8081") },
                Listen {
                    address: ListenAddress::Unix("/etc/standin/standin.sock".into()),
                    ..Listen::plain("")
                },
            ],
            admin: Admin {
                address: Some("0.0.0.0:9900".into()),
                token: Some("s3cret".into()),
                hosts: vec!["standin.example".into()],
            },
            upstreams: [
                (
                    "default".to_owned(),
                    Upstream {
                        connect_timeout: seconds(1),
                        response_timeout: seconds(120),
                        ..Upstream::new(vec![server("http://a"), server("h2c://b:1")])
                    },
                ),
                (
                    "other".to_owned(),
                    Upstream {
                        health: Some(Health { path: "/up?deep=1".into(), interval: seconds(2) }),
                        idle_timeout: seconds(30),
                        tls: UpstreamTls {
                            ca: Some("/etc/standin/ca.pem".into()),
                            sni: Some("c.internal".into()),
                            verify: false,
                            client: Some(KeyPair {
                                cert: "/etc/standin/client.pem".into(),
                                key: "/etc/standin/client.key".into(),
                            }),
                        },
                        host: Host::Upstream,
                        changes: Changes {
                            request: Some(Fields { remove: vec![name("cookie")], ..Fields::default() }),
                            response: None,
                            prefix: Some(Prefix { strip: Some("/api".into()), add: None }),
                        },
                        ..Upstream::new(vec![server("https://c"), server("unix:/run/c.sock")])
                    },
                ),
            ]
            .into(),
            specs: vec![
                Spec {
                    source: Source::Path("/etc/standin/specs/a.yaml".into()),
                    base_path: Some("/v1".into()),
                    upstream: Some("other".into()),
                    mode: Some(Mode::Pass),
                    remote: true,
                    root: Some("/etc/standin/../shared".into()),
                },
                Spec::new(Source::Path("/b.json".into())),
            ],
            mode: Mode::Pass,
            rules: vec![
                Rule {
                    operations: vec![
                        Selector::Id("createUser".into()),
                        route(Some(http::Method::GET), vec![Segment::Literal("user".into()), Segment::One]),
                        Selector::Tag("billing".into()),
                    ],
                    mode: Some(Mode::Mock),
                    ..Rule::default()
                },
                Rule {
                    operations: vec![route(None, vec![Segment::Literal("x".into()), Segment::Any])],
                    unmatched: Some(Unmatched::Reject),
                    upstream: Some("other".into()),
                    delay: Some(Delay::Between { min: seconds(1), max: seconds(2) }),
                    missing: Some(Missing::new([missing::Entry::Connect])),
                    ..Rule::default()
                },
                Rule {
                    operations: vec![Selector::Id("a".into())],
                    delay: Some(Delay::Fixed(Duration::from_millis(5))),
                    changes: Changes {
                        request: Some(Fields {
                            set: vec![(name("x-a"), value("1"))],
                            add: vec![(name("x-b"), value("2"))],
                            ..Fields::default()
                        }),
                        response: Some(Fields {
                            remove: vec![name("server"), name("via")],
                            ..Fields::default()
                        }),
                        prefix: Some(Prefix { strip: None, add: Some("/v2".into()) }),
                    },
                    ..Rule::default()
                },
            ],
            missing: Missing::new([
                missing::Entry::Status(404),
                missing::Entry::Class(5),
                missing::Entry::Timeout,
                missing::Entry::Reset,
            ]),
            unmatched: Unmatched::Reject,
            validate: Validate {
                request: Level::Enforce,
                response: Level::Report,
                security: Level::Off,
                unknown_query: true,
            },
            dynamic: true,
            cors: false,
            overrides: false,
            reveal: false,
            callbacks: Callbacks {
                enabled: false,
                delay: Delay::Between { min: seconds(1), max: seconds(2) },
                order: Order::Started,
                timeout: seconds(1),
                retry: [seconds(1), seconds(90)].into(),
                allow: vec![Target::Peer, Target::Net("10.0.0.0/8".parse().expect("a network"))],
                deny: vec![Target::Under("example.com".into())],
                per_host: 1,
                concurrency: 2,
                queue: 3,
                memory: 1 << 20,
                store: crate::config::Store::Folder("/etc/standin/kept".into()),
                base_url: Some("http://127.0.0.1:3000/base".parse().expect("a URL")),
                secrets: vec!["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".parse().expect("a secret")],
                secret_file: Some("/etc/standin/secrets".into()),
                ca: Some("/etc/standin/ca.pem".into()),
                proxy: Some(crate::config::Page {
                    url: "http://proxy:3128".parse().expect("a URL"),
                    login: Some(crate::config::Login { user: "user".into(), password: "password".into() }),
                }),
            },
            reload: Reload { watch: false, poll: seconds(60), start_wait: seconds(0) },
            reading: tree::Limits { size: 1 << 20, depth: 7, nodes: 8, aliases: 9 },
            limits: Limits {
                connections: 1,
                header: 2048,
                headers: 3,
                uri: 4000,
                write_timeout: seconds(5),
                keepalive: seconds(0),
                mocked_body: 6,
            },
            threads: Some(2),
            shutdown: Shutdown { pre_drain: seconds(5), drain: seconds(0) },
            journal: Journal { entries: 0, bodies: 1024, redact: vec![name("x-secret")] },
            log: Log { format: LogFormat::Json, level: "warn,standin=debug".into() },
        };
        assert_eq!(config, expected);
    }

    #[test]
    fn json_is_read_as_well() {
        assert_eq!(good(r#"{"mode": "pass", "threads": 2}"#).threads, Some(2));
    }

    #[test]
    fn an_unknown_key_has_its_place_and_the_nearest_known_one() {
        check("mode: mock\ncalback: {}", "c:2:1: unknown key `calback`; did you mean `callbacks`?");
        check("callbacks:\n  dely: 3s", "c:2:3: unknown key `dely` in `callbacks`; did you mean `delay`?");
        check(
            "reload: {watch: true, xyz: 1}",
            "c:1:23: unknown key `xyz` in `reload`; known keys: `watch`, `poll`, `start_wait`",
        );
        check(
            "shutdown: {a: 1}\nlimits: {b: 1}",
            "c:1:12: unknown key `a` in `shutdown`; known keys: `pre_drain`, `drain`\n\
             c:2:10: unknown key `b` in `limits`; known keys: `connections`, `header`, `headers`, `uri`, \
             `write_timeout`, `keepalive`, `mocked_body`",
        );
        check_messages("rules: [{operations: a, xyz: 1}]", &["c:1:25: unknown key `xyz` in `rules[0]`"]);
    }

    #[test]
    fn all_problems_are_told_in_the_order_of_the_text() {
        check_messages(
            "threads: 0\nspecs:\n  - mode: mokc\n  - {source: a, mode: passs}\nlisten: [nowhere, 1.2.3:4]\nzzz: 1\n",
            &[
                "c:1:10: `threads`: 0 makes no sense here",
                "c:3:5: `specs[0]` has no `source`",
                "c:3:11: `specs[0].mode`: unknown value `mokc`",
                "c:4:23: `specs[1].mode`: unknown value `passs`",
                "c:5:10: `listen[0]`: `nowhere` has no port",
                "c:5:19: `listen[1]`: `1.2.3` is no IPv4 address",
                "c:6:1: unknown key `zzz`",
            ],
        );
    }

    #[test]
    fn a_problem_points_at_the_value_by_width_and_pointer() {
        let problems =
            parse("c", "callbacks:\n  delay: fast", &environment, Path::new("/")).expect_err("no duration");
        let place = problems[0].place.as_ref().expect("a place");
        assert_eq!((place.line, place.column, place.width), (2, 10, 4));
        assert_eq!(place.text, "  delay: fast");
        assert_eq!(place.pointer, "/callbacks/delay");
    }

    #[test]
    fn a_key_that_is_there_twice_is_an_error() {
        let problems = parse("c", "mode: mock\nmode: pass", &environment, Path::new("/")).expect_err("twice");
        assert_eq!(problems.len(), 1);
        assert_eq!(problems[0].severity, Severity::Error);
        assert_eq!(problems[0].hint.as_deref(), Some("take it out"));
        assert_eq!(problems[0].place.as_ref().map(|place| (place.line, place.column)), Some((2, 1)));
    }

    #[test]
    fn a_syntax_error_has_its_place() {
        let problems =
            parse("c", "mode: mock\nlog: {format: [}", &environment, Path::new("/")).expect_err("no YAML");
        assert_eq!(problems.len(), 1);
        assert_eq!(problems[0].place.as_ref().map(|place| place.line), Some(2));
    }

    #[test]
    fn a_value_of_the_wrong_kind_is_refused() {
        check("- a", "c:1:1: a config file: expected a mapping, found a list");
        check("log: info", "c:1:6: `log`: expected a mapping, found `info`");
        check("upstreams: [a]", "c:1:12: `upstreams`: expected a mapping, found a list");
        check("specs: a.yaml", "c:1:8: `specs`: expected a list, found `a.yaml`");
        check("specs: [a.yaml]", "c:1:9: `specs[0]`: expected a mapping, found `a.yaml`");
        check("mode: [mock]", "c:1:7: `mode`: expected a value, found a list");
        check("reveal: maybe", "c:1:9: `reveal`: expected `true` or `false`, found `maybe`");
        check("threads: many", "c:1:10: `threads`: `many` is no whole number; write a number such as `4`");
        check(
            "admin: {token: 123}",
            "c:1:16: `admin.token`: expected a string, found a number; put it into quotes",
        );
        check("callbacks: {allow: peer}", "c:1:20: `callbacks.allow`: expected a list, found `peer`");
        check("listen: [null]", "c:1:10: `listen[0]`: expected a value, found nothing");
    }

    #[test]
    fn a_variable_is_read_as_what_it_stands_for() {
        let config = good(
            "threads: ${N}\nreveal: ${YES}\nlisten: 127.0.0.1:${GONE:-1}\nadmin: {token: \"${TOKEN}\"}\n\
             callbacks: {delay: '${N}s'}\nupstreams: {default: {servers: ['http://${HOST}']}}",
        );
        assert_eq!(config.threads, Some(3));
        assert!(config.reveal);
        assert_eq!(config.listen, [Listen::plain("127.0.0.1:1")]);
        assert_eq!(config.admin.token.as_deref(), Some("0123"));
        assert_eq!(config.callbacks.delay, Delay::Fixed(Duration::from_secs(3)));
        let at = ServerAddress::Tcp { host: "api".into(), port: 80 };
        assert_eq!(config.upstreams["default"].servers[0].at, at);
    }

    #[test]
    fn a_variable_that_is_empty_is_as_if_the_key_were_not_there() {
        let config = good("threads: ${EMPTY}\nadmin: {token: '${GONE:-}'}\nlisten: ${GONE:-}");
        assert_eq!(config, Config::default());
    }

    #[test]
    fn two_dollars_are_a_literal_one() {
        let config = good("specs: [{source: a, base_path: '/$${N}'}]");
        assert_eq!(config.specs[0].base_path.as_deref(), Some("/${N}"));
    }

    #[test]
    fn a_variable_that_is_not_set_is_an_error() {
        check(
            "mode: mock\nthreads: ${GONE}",
            "c:2:10: `threads`: the variable `GONE` is not set; set it, or give a default: `${GONE:-value}`",
        );
        check_messages("listen: [a:1, 'b:${A B}']", &["c:1:15: `listen[1]`: `A B` is no variable's name"]);
    }

    #[test]
    fn variables_are_not_looked_for_in_keys() {
        check_messages("${N}: 1", &["c:1:1: unknown key `${N}`"]);
    }

    #[test]
    fn what_is_not_built_yet_says_so() {
        check("limits: {body_rate: 1KiB}", &format!("c:1:10: `limits.body_rate` is not built yet; {SILENT}"));
        check_messages("state: redis://a", &["c:1:8: `state`: `redis://a` is not built yet"]);
        check_messages("state: {a: b}", &["c:1:8: `state`: this is not built yet"]);
        check_messages(
            "callbacks: {store: 'redis://a'}",
            &["c:1:20: `callbacks.store`: `redis://a` is not built yet"],
        );
        check_messages("limits: {header_timeout: 1s}", &["c:1:10: `limits.header_timeout` is not built yet"]);
        check_messages("rules: [{operations: a, fault: 1}]", &["c:1:25: `rules[0].fault` is not built yet"]);
    }

    #[test]
    fn a_store_is_memory_or_a_folder() {
        check_messages("callbacks: {store: memroy}", &["c:1:20: `callbacks.store`: unknown store `memroy`"]);
    }

    #[test]
    fn a_secret_is_one_of_standard_webhooks() {
        let column = "c:1:21: `callbacks.secret`: ";
        for (secret, message) in [
            ("abc", "a secret that does not begin with `whsec_`"),
            ("whsec_MfKQ9r8G", "a secret of 6 bytes"),
            ("whsec_?", "a secret that is not base64"),
        ] {
            check_messages(&format!("callbacks: {{secret: '{secret}'}}"), &[&format!("{column}{message}")]);
        }
    }

    #[test]
    fn a_call_is_tried_again_a_hundred_times_at_most_and_after_a_day_at_most() {
        let many = vec!["1s"; 101].join(", ");
        check_messages(
            &format!("callbacks: {{retry: [{many}]}}"),
            &["c:1:20: `callbacks.retry`: more than 100 waits"],
        );
        check_messages(
            "callbacks: {retry: [1s, 48h]}",
            &["c:1:25: `callbacks.retry[1]`: no attempt waits for more than a day"],
        );
    }

    #[test]
    fn a_proxy_is_scheme_host_and_port() {
        for proxy in ["socks5://a:1", "http://a:1/b", "http://a:1?b"] {
            check_messages(
                &format!("callbacks: {{proxy: '{proxy}'}}"),
                &["c:1:20: `callbacks.proxy`: no proxy"],
            );
        }
    }

    #[test]
    fn a_listener_has_tls_or_h2c() {
        check(
            "listen: {address: '1', tls: {cert: a, key: b}, h2c: true}",
            "c:1:9: `listen`: `h2c` is HTTP/2 without TLS, and this listener has TLS; \
             leave out `h2c`; over TLS there is HTTP/2 for clients that ask",
        );
    }

    #[test]
    fn an_upstream_s_parts_are_checked() {
        let upstream = |more: &str| format!("upstreams: {{a: {{servers: ['http://b'], {more}}}}}");
        check(&upstream("health: {}"), "c:1:48: `upstreams.a.health` has no `path`");
        check(
            &upstream("health: {path: up}"),
            "c:1:55: `upstreams.a.health.path`: `up` is no path; write it as `/healthz`",
        );
        check(&upstream("tls: {cert: a}"), "c:1:45: `upstreams.a.tls` has no `key`");
        check_messages(&upstream("host: mine"), &["c:1:46: `upstreams.a.host`: unknown value `mine`"]);
        check(
            &upstream("headers: {request: {set: {Host: a}}}"),
            "c:1:72: `upstreams.a.headers.request.set.Host`: `Host` is the proxy's own; see `host` of `upstreams`",
        );
        check_messages(
            &upstream("headers: {response: {remove: [transfer-encoding]}}"),
            &["c:1:70: `upstreams.a.headers.response.remove[0]`: `transfer-encoding` is the proxy's own"],
        );
        check_messages(
            &upstream("path: {strip: api}"),
            &["c:1:54: `upstreams.a.path.strip`: `api` does not begin with `/`"],
        );
    }

    #[test]
    fn a_rule_s_parts_are_checked() {
        let rule = |more: &str| format!("rules: [{{operations: a, {more}}}]");
        check(
            &rule("missing: [600]"),
            "c:1:35: `rules[0].missing[0]`: `600` is no status and no failure; write a status from 200 to 599, \
             `5XX`, `connect`, `timeout` or `reset`",
        );
        check(
            &rule("delay: {min: 2s, max: 1s}"),
            "c:1:32: `rules[0].delay`: a delay of chance has two bounds, the lower one first; write `{min: 50ms, \
             max: 200ms}` or `{median: 80ms, p99: 400ms}`",
        );
        check_messages(&rule("delay: 5"), &["c:1:32: `rules[0].delay`: `5` has no unit"]);
        check_messages(
            &rule("delay: 61m"),
            &["c:1:32: `rules[0].delay`: no answer waits for more than an hour"],
        );
        check(
            &rule("upstream: b"),
            "c:1:35: `rules[0].upstream`: there is no upstream `b`; there are `default`",
        );
    }

    #[test]
    fn a_listener_s_parts_are_checked() {
        check("listen: {address: ':1', tls: {cert: a}}", "c:1:30: `listen.tls` has no `key`");
        check_messages("listen: /run/a", &["c:1:9: `listen`: `/run/a` is no address"]);
        check_messages("listen: 'unix:'", &["c:1:9: `listen`: `unix:` names no socket"]);
        check_messages(
            &format!("listen: unix:/{}", "a".repeat(120)),
            &["c:1:9: `listen`: the socket's path has 121 bytes"],
        );
    }

    #[test]
    fn the_admin_port_can_be_turned_off() {
        for yaml in ["admin: off", "admin: false", "admin: {address: off}"] {
            assert_eq!(good(yaml).admin.address, None, "{yaml}");
        }
    }

    #[test]
    fn an_admin_port_past_loopback_needs_a_token() {
        check(
            "admin: 0.0.0.0:9900",
            "c:1:8: `admin`: `0.0.0.0:9900` can be reached by others and has no token; set `admin.token`, or listen on 127.0.0.1",
        );
        check_messages(
            "admin:\n  address: box:1",
            &["c:2:3: `admin`: `box:1` can be reached by others and has no token"],
        );
        check_messages(
            "admin: {address: ':1', token: '${EMPTY}'}",
            &["c:1:8: `admin`: `0.0.0.0:1` can be reached by others and has no token"],
        );
        good("admin: localhost:1");
        good("admin: {address: ':1', token: a}");
    }

    #[test]
    fn a_token_is_never_repeated() {
        check(
            "admin: {token: 'a secret'}",
            "c:1:16: `admin.token`: a token is visible ASCII characters without spaces",
        );
    }

    #[test]
    fn the_line_of_a_secret_is_not_shown() {
        for (yaml, shown) in [
            ("admin:\n  token: 'se cret'", false),
            ("callbacks:\n  secret: secret", false),
            ("callbacks:\n  secret:\n  - secret", false),
            ("callbacks: {secret: 5}", false),
            ("callbacks: {proxy: 'ftp://me:secret@a'}", false),
            ("specs:\n  - source: 'http://me:secret@a:99999/b'", false),
            ("callbacks: {store: 'redis://secret'}", true),
        ] {
            let problems = parse("c", yaml, &environment, Path::new("/etc/standin")).unwrap_err();
            assert_eq!(!problems[0].place.as_ref().unwrap().text.is_empty(), shown, "{yaml}");
        }
    }

    #[test]
    fn a_document_names_an_upstream_that_there_is() {
        let yaml = "upstreams: {billing: {servers: ['http://a']}}\nspecs:\n  - {source: a, upstream: biling}\n  - {source: a, upstream: x}";
        check(
            yaml,
            "c:3:27: `specs[0].upstream`: there is no upstream `biling`; did you mean `billing`?\n\
             c:4:27: `specs[1].upstream`: there is no upstream `x`; there are `billing`, `default`",
        );
    }

    #[test]
    fn the_default_upstream_can_come_from_a_flag() {
        good("specs: [{source: a, upstream: default}]");
    }

    #[test]
    fn an_upstream_with_a_problem_is_still_there() {
        check_messages(
            "upstreams: {a: {servers: [b]}}\nspecs: [{source: a, upstream: a}]",
            &["c:1:27: `upstreams.a.servers[0]`: `b` has no scheme"],
        );
        check_messages("upstreams: {a: {}}", &["c:1:16: `upstreams.a` has no `servers`"]);
        check_messages(
            "upstreams: {a: {servers: []}}",
            &["c:1:26: `upstreams.a.servers`: an empty list makes no sense here"],
        );
        check_messages(
            "upstreams: {a: http://b}",
            &["c:1:16: `upstreams.a`: expected a mapping, found `http://b`"],
        );
    }

    #[test]
    fn each_kind_of_value_is_checked_where_it_stands() {
        check(
            "callbacks: {delay: 3}",
            "c:1:20: `callbacks.delay`: `3` has no unit; add a unit: `3s`, `3ms`, `3m`",
        );
        check_messages(
            "callbacks: {timeout: 0s}",
            &["c:1:22: `callbacks.timeout`: a duration of 0 makes no sense here"],
        );
        check_messages("callbacks: {order: random}", &["c:1:20: `callbacks.order`: unknown value `random`"]);
        check_messages(
            "callbacks: {allow: [peer, 'a:1']}",
            &["c:1:27: `callbacks.allow[1]`: `a:1` is no host"],
        );
        check_messages(
            "callbacks: {base_url: 'ftp://a'}",
            &["c:1:23: `callbacks.base_url`: `ftp://a` is no http or https URL"],
        );
        for key in ["per_host", "concurrency", "queue"] {
            let column = "callbacks: {: ".len() + key.len() + 1;
            let expected = format!("c:1:{column}: `callbacks.{key}`: 0 makes no sense here");
            check_messages(&format!("callbacks: {{{key}: 0}}"), &[&expected]);
        }
        check_messages("limits: {connections: 0}", &["c:1:23: `limits.connections`: 0 makes no sense here"]);
        check_messages("limits: {header: 64K}", &["c:1:18: `limits.header`: `64K` is no size"]);
        check_messages(
            "rules: [{operations: GTE /a}]",
            &["c:1:22: `rules[0].operations`: unknown method `GTE`"],
        );
        check_messages("rules: [{mode: mock}]", &["c:1:9: `rules[0]` has no `operations`"]);
        check_messages(
            "rules: [{operations: []}]",
            &["c:1:22: `rules[0].operations`: an empty list makes no sense here"],
        );
        check_messages(
            "specs: [{source: a, base_path: v1}]",
            &["c:1:32: `specs[0].base_path`: `v1` does not begin with `/`"],
        );
        check_messages("log: {level: inof}", &["c:1:14: `log.level`: `inof` is no log level"]);
        check_messages("log: {format: xml}", &["c:1:15: `log.format`: unknown value `xml`"]);
        check_messages("reload: {poll: 0s}", &["c:1:16: `reload.poll`: a duration of 0 makes no sense here"]);
        check_messages("listen: []", &["c:1:9: `listen`: an empty list makes no sense here"]);
        check_messages("admin: {hosts: ['a:1']}", &["c:1:17: `admin.hosts[0]`: `a:1` is no host name"]);
    }

    #[test]
    fn a_url_has_no_root_and_its_password_is_never_repeated() {
        check(
            "specs: [{source: 'http://a/b', root: c}]",
            "c:1:38: `specs[0].root`: a document by URL refers to no file; leave it out; `remote: true` lets it refer to other URLs",
        );
        check(
            "specs: [{source: 'http://me:secret@a:99999/b'}]",
            "c:1:18: `specs[0].source`: no URL: invalid port number",
        );
    }

    #[test]
    fn an_anchor_is_read_where_it_is_used() {
        let config = good("specs:\n  - &a {source: a, mode: pass}\n  - {<<: *a, source: b}");
        assert_eq!(config.specs[1].mode, Some(Mode::Pass));
    }
}
