//! One call: rendered, checked, sent.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use http::header::{HeaderMap, HeaderName, HeaderValue, RETRY_AFTER};
use http::{Method, StatusCode};
use tokio::time::Instant;
use url::Url;

use super::guard::{self, Policy, Target};
use super::record::{Attempt, Code, Outcome};
use super::{Client, Job, identity};
use crate::config::Secret;
use crate::mock::callback::Call;
use crate::mock::message::Moment;
use crate::mock::violation::Violation;
use crate::server::fetch::{self, Failure, Fetch, Sent};
use crate::server::loops::{CDN_LOOP, Loops};

/// What the config says of sending, as it is now.
pub(super) struct Settings {
    pub policy: Policy,
    pub base: Option<Url>,
    /// For one attempt, from the name to the answer's end.
    pub timeout: Duration,
    pub secrets: Vec<Secret>,
    pub fetch: Arc<Fetch>,
    /// Calls are sent through it: it looks names up.
    pub proxy: Option<Url>,
    pub loops: Arc<Loops>,
}

/// Bytes of an answer's fields that are kept of it.
const FIELDS: usize = 8 * 1024;

/// Of one attempt, whatever the config says.
const LONGEST: Duration = Duration::from_secs(60 * 60);

/// A call to be sent.
pub(super) struct Flight {
    pub job: Arc<Job>,
    pub index: usize,
    /// As the attempt before it sent it; none: it is rendered now.
    pub call: Option<Arc<Call>>,
    /// When it was first sent.
    pub moment: Moment,
}

/// Whose call it is.
struct From<'j> {
    /// `webhook-id`
    id: String,
    client: &'j Client,
    /// Of its chain.
    chance: u64,
}

/// What became of one attempt.
pub(super) struct Report {
    /// As it was rendered.
    pub call: Option<Arc<Call>>,
    pub url: Option<String>,
    /// `host:port`
    pub host: Option<String>,
    pub answer: Option<Sent>,
    /// What of the answer is not as the document says.
    pub violations: Vec<Violation>,
    pub end: End,
}

#[derive(Debug)]
pub(super) enum End {
    /// It can't be sent.
    Never { outcome: Outcome, reason: String },
    /// `retry_after`: what the receiver asks for.
    Attempt { attempt: Attempt, retry_after: Option<Duration> },
}

/// Renders a call, if that was not done yet, and sends it once.
pub(super) async fn send(settings: &Settings, flight: Flight) -> Report {
    let Flight { job, index, call, moment } = flight;
    let rendered = match call {
        Some(call) => Ok(call),
        None => job.chain.render(index, moment).map(Arc::new),
    };
    match rendered {
        Ok(call) => {
            let from = From { id: job.id.call(index), client: &job.client, chance: job.seed };
            let mut report = deliver(settings, call, from).await;
            report.violations = report.answer.as_ref().map_or_else(Vec::new, |answer| {
                let body = Some(&answer.body).filter(|_| answer.whole);
                job.chain.calls[index].judge(answer.status, &answer.headers, body)
            });
            if let Some(answer) = &mut report.answer {
                answer.cut(FIELDS, answer.body.len());
            }
            report
        }
        Err(unresolved) => Report::never(Outcome::Unresolved, unresolved.to_string()),
    }
}

fn since_epoch(time: SystemTime) -> Duration {
    time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default()
}

/// Sends a rendered call once. The target is looked up and checked by the newest settings.
async fn deliver(settings: &Settings, call: Arc<Call>, from: From<'_>) -> Report {
    let base = settings.base.clone().or_else(|| Url::parse(&call.base).ok());
    let target = match guard::target(&call.url, base.as_ref()) {
        Ok(target) => target,
        Err(blocked) => return Report::never(Outcome::Blocked, blocked.to_string()),
    };
    let (host, url) = (Some(target.lane()), Some(target.url.to_string()));
    let (end, answer) = match attempt(settings, target, &call, &from).await {
        Ok((attempt, answer)) => {
            let asked = answer.as_ref().and_then(|answer| retry_after(&answer.headers, attempt.at));
            (End::Attempt { attempt, retry_after: asked }, answer)
        }
        Err(blocked) => (End::Never { outcome: Outcome::Blocked, reason: blocked.to_string() }, None),
    };
    Report { call: Some(call), url, host, answer, violations: Vec::new(), end }
}

async fn attempt(
    settings: &Settings,
    target: Target,
    call: &Call,
    from: &From<'_>,
) -> Result<(Attempt, Option<Sent>), guard::Blocked> {
    let (at, begun) = (SystemTime::now(), Instant::now());
    let deadline = begun + settings.timeout.min(LONGEST);
    let end = |result: Result<StatusCode, Failure>| {
        let code = match &result {
            Ok(status) => Code::Status(status.as_u16()),
            Err(failure) => Code::Word(failure.kind.word()),
        };
        let error = result.err().map(|failure| failure.message().to_owned());
        Attempt::new(at, code, error, begun.elapsed())
    };
    let addresses = match addresses(settings, &target, from.client, deadline).await? {
        Ok(addresses) => addresses,
        Err(failure) => return Ok((end(Err(failure)), None)),
    };
    let headers = headers(settings, call, at, from);
    let request =
        fetch::Request { method: call.method.clone(), url: target.url, headers, body: call.body.clone() };
    Ok(match settings.fetch.send(request, &addresses, deadline).await {
        Ok(sent) => (end(Ok(sent.status)), Some(sent)),
        Err(failure) => (end(Err(failure)), None),
    })
}

/// Where the connection goes, once the target is checked.
async fn addresses(
    settings: &Settings,
    target: &Target,
    client: &Client,
    deadline: Instant,
) -> Result<Result<Vec<SocketAddr>, Failure>, guard::Blocked> {
    if let Some(proxy) = &settings.proxy {
        settings.policy.check_unresolved(&target.host, target.port, client.peer)?;
        let host = proxy.host().map(|host| host.to_owned());
        let (Some(host), Some(port)) = (host, proxy.port_or_known_default()) else {
            return Ok(Ok(Vec::new()));
        };
        return Ok(fetch::resolve(&host, port, deadline).await);
    }
    let addresses = match fetch::resolve(&target.host, target.port, deadline).await {
        Ok(addresses) => addresses,
        Err(failure) => return Ok(Err(failure)),
    };
    settings.policy.check(&target.host, &addresses, client.peer)?;
    Ok(Ok(addresses))
}

/// What the receiver asks to wait: seconds, or until a date (RFC 9110, 10.2.3).
fn retry_after(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        // More digits than fit are longer than anybody waits.
        return Some(Duration::from_secs(text.parse().unwrap_or(u64::from(u32::MAX))));
    }
    httpdate::parse_http_date(text).ok().map(|date| date.duration_since(now).unwrap_or_default())
}

/// The call's own headers, without those that frame or route a message, and the identity.
fn headers(settings: &Settings, call: &Call, at: SystemTime, from: &From<'_>) -> HeaderMap {
    let From { id, client, chance } = from;
    let mut headers = call.headers.clone();
    NOT_ITS_OWN.iter().for_each(|name| drop(headers.remove(*name)));
    let mut set = |name: &'static str, value: String| {
        // Made of letters, digits and hyphens only, so that it is a value.
        if let Ok(value) = HeaderValue::try_from(value) {
            headers.insert(HeaderName::from_static(name), value);
        }
    };
    set("webhook-id", id.clone());
    let timestamp = since_epoch(at).as_secs().to_string();
    if let Some(signatures) = identity::signatures(&settings.secrets, id, &timestamp, &call.body) {
        set("webhook-signature", signatures);
    }
    set("webhook-timestamp", timestamp);
    set("user-agent", format!("standin/{}", env!("CARGO_PKG_VERSION")));
    set("traceparent", identity::traceparent(client.trace.as_deref(), *chance));
    let expects_body = matches!(call.method, Method::POST | Method::PUT | Method::PATCH);
    if expects_body || !call.body.is_empty() {
        set("content-length", call.body.len().to_string());
    }
    let hops = settings.loops.value(client.loops.as_deref());
    headers.extend(hops.map(|value| (CDN_LOOP, value)));
    headers
}

const NOT_ITS_OWN: [&str; 14] = [
    "cdn-loop",
    "webhook-signature",
    "tracestate",
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

impl Report {
    pub fn has_delivered(&self) -> bool {
        self.answer.as_ref().is_some_and(|answer| answer.status.is_success())
    }

    fn never(outcome: Outcome, reason: String) -> Self {
        let (violations, end) = (Vec::new(), End::Never { outcome, reason });
        Report { call: None, url: None, host: None, answer: None, violations, end }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;
    use crate::config;
    use crate::server::callbacks::identity::Run;

    fn settings(allow: config::Target) -> Settings {
        let config = config::Callbacks { allow: vec![allow], ..config::Callbacks::default() };
        Settings {
            policy: Policy::new(&config, &[]),
            base: None,
            timeout: config.timeout,
            secrets: vec!["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".parse().unwrap()],
            fetch: Arc::new(Fetch::new()),
            proxy: None,
            loops: Arc::default(),
        }
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

    async fn deliver_one(settings: &Settings, call: Call) -> Report {
        let from = From { id: Run::new().next().call(0), client: &Client::default(), chance: 0 };
        deliver(settings, call.into(), from).await
    }

    /// The status or the word that came back.
    fn code(report: &Report) -> Code {
        match &report.end {
            End::Attempt { attempt, .. } => attempt.code,
            End::Never { reason, .. } => panic!("{reason}"),
        }
    }

    #[track_caller]
    fn check_blocked(report: &Report, why: &str) {
        match &report.end {
            End::Never { outcome: Outcome::Blocked, reason } => assert!(reason.contains(why), "{reason}"),
            end => panic!("{end:?}"),
        }
    }

    /// Sends one call to a receiver that answers with `status`.
    async fn exchange(status: &str) -> (Report, String, u16) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let call = call(format!("http://127.0.0.1:{port}/hook?a=b"));
        let settings = settings(config::Target::Private);
        let (report, got) = tokio::join!(deliver_one(&settings, call), receive(listener, status));
        (report, got, port)
    }

    #[tokio::test]
    async fn a_call_has_an_identity_and_its_own_length_and_host() {
        let (report, got, port) = exchange("200").await;
        assert_eq!(code(&report), Code::Status(200));
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
        let signed = format!("{}.{}.hello", fields["webhook-id"], fields["webhook-timestamp"]);
        let secret: Secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".parse().unwrap();
        let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, secret.key());
        let signature = fields["webhook-signature"].strip_prefix("v1,").unwrap();
        let signature =
            base64::Engine::decode(&base64::engine::general_purpose::STANDARD, signature).unwrap();
        ring::hmac::verify(&key, signed.as_bytes(), &signature).unwrap();
        assert!(fields["cdn-loop"].starts_with("standin-"));
        let trace: Vec<_> = fields["traceparent"].split('-').map(str::len).collect();
        assert_eq!(trace, [2, 32, 16, 2]);
    }

    #[tokio::test]
    async fn a_call_without_an_answer_failed_and_says_why() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        drop(listener);
        let settings = settings(config::Target::Private);
        let report = deliver_one(&settings, call(format!("http://{address}/"))).await;
        let End::Attempt { attempt, .. } = report.end else { panic!("it was tried") };
        assert_eq!(attempt.code, Code::Word("connect"));
        assert!(attempt.reason().starts_with("connect: "));
    }

    #[tokio::test]
    async fn a_blocked_call_is_never_sent() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let settings = settings(config::Target::Public);
        for url in [format!("http://{address}/"), format!("http://localhost:{}/", address.port())] {
            let report = deliver_one(&settings, call(url)).await;
            check_blocked(&report, "`callbacks.allow: [private]`");
        }
        let report = deliver_one(&settings, call("gopher://a/".into())).await;
        check_blocked(&report, "only http and https");
        listener.into_std().unwrap().accept().unwrap_err();
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_700);
        let check = |text: &str, expected: Option<u64>| {
            let headers = HeaderMap::from_iter([(RETRY_AFTER, text.parse().unwrap())]);
            assert_eq!(retry_after(&headers, now), expected.map(Duration::from_secs), "{text}");
        };
        check("120", Some(120));
        check("99999999999999999999", Some(u64::from(u32::MAX)));
        check("Sun, 06 Nov 1994 08:49:37 GMT", Some(77));
        check("Sunday, 06-Nov-94 08:49:37 GMT", Some(77));
        check("Sun Nov  6 08:49:37 1994", Some(77));
        check("Sun, 06 Nov 1994 08:00:00 GMT", Some(0));
        for text in ["", "-1", "1.5", "soon"] {
            check(text, None);
        }
    }
}
