//! One call: rendered, checked, sent.

use std::net::IpAddr;
use std::time::{Duration, SystemTime};

use http::header::{HeaderMap, HeaderName, HeaderValue};
use http::{Method, StatusCode};
use tokio::time::Instant;
use url::Url;

use super::guard::{self, Policy, Target};
use super::record::{Attempt, Code, Outcome};
use crate::mock::callback::{Call, Chain, Unresolved};
use crate::mock::message::Moment;
use crate::server::fetch::{self, Failure, Fetch};

/// What the config says of sending, as it is now.
#[derive(Debug)]
pub(super) struct Settings {
    pub policy: Policy,
    pub base: Option<Url>,
    /// For one attempt, from the name to the answer's end.
    pub timeout: Duration,
}

/// Of one attempt, whatever the config says.
const LONGEST: Duration = Duration::from_secs(60 * 60);

/// The end of a call.
#[derive(Debug)]
pub(super) struct Report {
    pub outcome: Outcome,
    pub reason: Option<String>,
    pub url: Option<String>,
    /// `host:port`
    pub host: Option<String>,
    pub attempts: Vec<Attempt>,
}

/// Renders the call at `index` of `chain` and sends it.
pub(super) async fn send(
    fetch: &Fetch,
    settings: &Settings,
    chain: &Chain,
    index: usize,
    peer: Option<IpAddr>,
) -> Report {
    match chain.render(index, moment()) {
        Ok(call) => deliver(fetch, settings, call, peer).await,
        Err(unresolved) => Report::unresolved(&unresolved),
    }
}

fn moment() -> Moment {
    let now = since_epoch(SystemTime::now()).as_millis();
    Moment { now: i64::try_from(now).unwrap_or(i64::MAX), seed: fastrand::u64(..) }
}

fn since_epoch(time: SystemTime) -> Duration {
    time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default()
}

/// Sends a rendered call once. Retries belong here: the same bytes and `webhook-id`, the target
/// looked up and checked again by the newest settings.
async fn deliver(fetch: &Fetch, settings: &Settings, call: Call, peer: Option<IpAddr>) -> Report {
    let base = settings.base.clone().or_else(|| Url::parse(&call.base).ok());
    let target = match guard::target(&call.url, base.as_ref()) {
        Ok(target) => target,
        Err(blocked) => return Report::new(Outcome::Blocked, blocked.to_string()),
    };
    let id = format!("msg_{}", alphanumerics(26));
    let (host, url) = (Some(target.lane()), Some(target.url.to_string()));
    let report = match attempt(fetch, settings, target, call, &id, peer).await {
        Ok(attempt) => Report::of(attempt),
        Err(blocked) => Report::new(Outcome::Blocked, blocked.to_string()),
    };
    Report { host, url, ..report }
}

async fn attempt(
    fetch: &Fetch,
    settings: &Settings,
    target: Target,
    call: Call,
    id: &str,
    peer: Option<IpAddr>,
) -> Result<Attempt, guard::Blocked> {
    let (at, begun) = (SystemTime::now(), Instant::now());
    let deadline = begun + settings.timeout.min(LONGEST);
    let end = |result: Result<StatusCode, Failure>| Attempt {
        at,
        code: match &result {
            Ok(status) => Code::Status(status.as_u16()),
            Err(failure) => Code::Word(failure.kind.word()),
        },
        error: result.err().map(|failure| failure.message().to_owned()),
        duration: begun.elapsed(),
    };
    let addresses = match fetch::resolve(&target.host, target.port, deadline).await {
        Ok(addresses) => addresses,
        Err(failure) => return Ok(end(Err(failure))),
    };
    settings.policy.check(&target.host, &addresses, peer)?;
    let headers = headers(&call, id, at);
    let request = fetch::Request { method: call.method, url: target.url, headers, body: call.body };
    Ok(end(fetch.send(request, &addresses, deadline).await))
}

/// The call's own headers, without those that frame or route a message, and the identity.
fn headers(call: &Call, id: &str, at: SystemTime) -> HeaderMap {
    let mut headers = call.headers.clone();
    NOT_ITS_OWN.iter().for_each(|name| drop(headers.remove(*name)));
    let mut set = |name: &'static str, value: String| {
        // Made of letters, digits and hyphens only, so that it is a value.
        if let Ok(value) = HeaderValue::try_from(value) {
            headers.insert(HeaderName::from_static(name), value);
        }
    };
    set("webhook-id", id.to_owned());
    set("webhook-timestamp", since_epoch(at).as_secs().to_string());
    set("user-agent", format!("standin/{}", env!("CARGO_PKG_VERSION")));
    set("traceparent", traceparent());
    let expects_body = matches!(call.method, Method::POST | Method::PUT | Method::PATCH);
    if expects_body || !call.body.is_empty() {
        set("content-length", call.body.len().to_string());
    }
    headers
}

const NOT_ITS_OWN: [&str; 11] = [
    "host",
    "content-length",
    "transfer-encoding",
    "connection",
    "keep-alive",
    "proxy-connection",
    "proxy-authorization",
    "upgrade",
    "te",
    "trailer",
    "expect",
];

/// A new trace (W3C Trace Context, 3.2): neither of its ids may be zero.
fn traceparent() -> String {
    format!("00-{:032x}-{:016x}-01", fastrand::u128(1..), fastrand::u64(1..))
}

fn alphanumerics(count: usize) -> String {
    std::iter::repeat_with(fastrand::alphanumeric).take(count).collect()
}

impl Report {
    pub fn new(outcome: Outcome, reason: String) -> Self {
        Report { outcome, reason: Some(reason), url: None, host: None, attempts: Vec::new() }
    }

    pub fn unresolved(why: &Unresolved) -> Self {
        Report::new(Outcome::Unresolved, why.to_string())
    }

    /// Success is 2xx.
    fn of(attempt: Attempt) -> Self {
        let (outcome, reason) = match (&attempt.code, &attempt.error) {
            (Code::Status(200..=299), _) => (Outcome::Delivered, None),
            (Code::Status(status), _) => (Outcome::Failed, Some(format!("answered {status}"))),
            (Code::Word(word), Some(error)) => (Outcome::Failed, Some(format!("{word}: {error}"))),
            (Code::Word(word), None) => (Outcome::Failed, Some((*word).to_owned())),
        };
        Report { outcome, reason, url: None, host: None, attempts: vec![attempt] }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;
    use crate::config;

    fn settings(allow: config::Target) -> Settings {
        let config = config::Callbacks {
            enabled: true,
            delay: Duration::ZERO,
            order: config::Order::Finished,
            timeout: Duration::ZERO,
            allow: vec![allow],
            deny: Vec::new(),
            per_host: 1,
            concurrency: 1,
            queue: 1,
            base_url: None,
        };
        Settings { policy: Policy::new(&config, &[]), base: None, timeout: Duration::from_secs(10) }
    }

    fn call(url: String) -> Call {
        let headers = [("Content-Type", "text/plain"), ("Host", "other"), ("User-Agent", "forged")];
        Call {
            method: Method::POST,
            url,
            base: String::new(),
            headers: headers
                .iter()
                .map(|(name, value)| (name.parse::<HeaderName>().unwrap(), HeaderValue::from_static(value)))
                .collect(),
            body: Bytes::from_static(b"hello"),
        }
    }

    /// Takes one request, answers with `status`, and says what it got.
    async fn receive(listener: TcpListener, status: &str) -> String {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut got = Vec::new();
        while !got.ends_with(b"hello") {
            assert_ne!(stream.read_buf(&mut got).await.unwrap(), 0);
        }
        let answer = format!("HTTP/1.1 {status} Status\r\ncontent-length: 0\r\n\r\n");
        stream.write_all(answer.as_bytes()).await.unwrap();
        String::from_utf8(got).unwrap()
    }

    /// Sends one call to a receiver that answers with `status`.
    async fn exchange(status: &str) -> (Report, String, u16) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let call = call(format!("http://127.0.0.1:{port}/hook?a=b"));
        let settings = settings(config::Target::Private);
        let fetch = Fetch::new();
        let (report, got) = tokio::join!(deliver(&fetch, &settings, call, None), receive(listener, status));
        (report, got, port)
    }

    #[tokio::test]
    async fn a_call_has_an_identity_and_its_own_length_and_host() {
        let (report, got, port) = exchange("200").await;
        assert_eq!((report.outcome, report.reason), (Outcome::Delivered, None));
        assert_eq!(report.url, Some(format!("http://127.0.0.1:{port}/hook?a=b")));
        let mut lines = got.split("\r\n");
        assert_eq!(lines.next(), Some("POST /hook?a=b HTTP/1.1"));
        let fields: std::collections::HashMap<_, _> =
            lines.filter_map(|line| line.split_once(": ")).collect();
        assert_eq!(fields["host"], format!("127.0.0.1:{port}"));
        assert_eq!(fields["content-length"], "5");
        assert_eq!(fields["content-type"], "text/plain");
        assert_eq!(fields["user-agent"], concat!("standin/", env!("CARGO_PKG_VERSION")));
        let id = fields["webhook-id"].strip_prefix("msg_").unwrap();
        assert!(id.len() == 26 && id.bytes().all(|b| b.is_ascii_alphanumeric()), "{id}");
        let sent: u64 = fields["webhook-timestamp"].parse().unwrap();
        assert!(since_epoch(SystemTime::now()).as_secs().abs_diff(sent) < 10);
        let trace: Vec<_> = fields["traceparent"].split('-').map(str::len).collect();
        assert_eq!(trace, [2, 32, 16, 2]);
    }

    #[tokio::test]
    async fn only_2xx_is_delivered() {
        for status in ["302", "404", "500", "999"] {
            let (report, _, _) = exchange(status).await;
            assert_eq!(
                (report.outcome, report.reason),
                (Outcome::Failed, Some(format!("answered {status}")))
            );
            assert_eq!(report.attempts.len(), 1);
        }
        assert_eq!(exchange("299").await.0.outcome, Outcome::Delivered);
    }

    #[tokio::test]
    async fn a_call_without_an_answer_failed_and_says_why() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        drop(listener);
        let settings = settings(config::Target::Private);
        let report = deliver(&Fetch::new(), &settings, call(format!("http://{address}/")), None).await;
        assert_eq!(report.outcome, Outcome::Failed);
        assert_eq!(report.attempts[0].code, Code::Word("connect"));
        assert!(report.reason.unwrap().starts_with("connect: "));
    }

    #[tokio::test]
    async fn a_blocked_call_is_never_sent() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let settings = settings(config::Target::Public);
        for url in [format!("http://{address}/"), format!("http://localhost:{}/", address.port())] {
            let report = deliver(&Fetch::new(), &settings, call(url), None).await;
            assert_eq!((report.outcome, report.attempts.len()), (Outcome::Blocked, 0));
            assert!(report.reason.unwrap().contains("`callbacks.allow: [private]`"));
        }
        let report = deliver(&Fetch::new(), &settings, call("gopher://a/".into()), None).await;
        assert_eq!(report.outcome, Outcome::Blocked);
        listener.into_std().unwrap().accept().unwrap_err();
    }
}
