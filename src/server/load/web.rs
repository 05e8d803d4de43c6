//! Texts by URL: fetched under bounds, and asked for again by what the last answer said of itself.
//!
//! What was fetched waits here until a load takes it. Then only a mark of it stays, so that no text
//! is held twice.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http::header::{self, HeaderMap, HeaderValue};
use tokio::runtime::Handle;
use tokio::task::JoinSet;
use tokio::time::Instant;
use url::Url;

use crate::config::{self, Config, Login, Source};
use crate::server::callbacks::guard::{self, Class};
use crate::server::fetch::{self, Body, Fetch, Question};

/// For one text, from the name to the last byte, redirects included.
pub(super) const TIME: Duration = Duration::from_secs(10);

/// For asking all of them again. Those that are not reached in it come first the next time.
const ROUND: Duration = Duration::from_secs(30);

/// Asked at once.
const AT_ONCE: usize = 8;

/// From one URL to the next.
const REDIRECTS: usize = 5;

/// Before a URL is asked the second time at start; each pause is twice the one before.
const FIRST_PAUSE: Duration = Duration::from_millis(100);

const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// Every URL that documents were read from.
pub struct Web {
    fetch: Fetch,
    runtime: Handle,
    marks: RandomState,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    pages: BTreeMap<Arc<str>, Page>,
    /// Bytes of one text, as `reading.size` has it.
    limit: usize,
}

#[derive(Default)]
struct Page {
    login: Option<Login>,
    trust: Trust,
    asked: Option<Instant>,
    /// What the next request says of the text there is, for an answer without one.
    validators: HeaderMap,
    /// Of the newest text.
    mark: Option<u64>,
    /// The newest text, until it is taken.
    body: Option<Vec<u8>>,
    failure: Option<String>,
    /// Whether it came to something else than the last load was told.
    news: bool,
}

/// Who named a URL.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Trust {
    /// The config: any address may be meant.
    Config,
    /// A document, or an answer: addresses that nobody publishes documents on are refused.
    #[default]
    Document,
}

/// A URL, and how it is asked for.
#[derive(Debug, Clone)]
pub(super) struct Wanted {
    pub name: Arc<str>,
    pub login: Option<Login>,
    pub trust: Trust,
}

/// What a URL has for a load.
pub(super) enum Text {
    /// What the load knows already.
    Same,
    New(Vec<u8>),
}

enum Fetched {
    Same,
    New { body: Vec<u8>, validators: HeaderMap },
}

impl Web {
    /// To be used on the current tokio runtime.
    pub fn new() -> Arc<Web> {
        Arc::new(Web {
            fetch: Fetch::new(),
            runtime: Handle::current(),
            marks: RandomState::new(),
            state: Mutex::default(),
        })
    }

    /// Asks for every URL of the config, those that fail again and again while `reload.start_wait` lasts.
    pub async fn expect(self: &Arc<Self>, config: &Config) {
        self.state().limit = config.reading.size;
        let mut asking = JoinSet::new();
        for spec in &config.specs {
            let Source::Url(page) = &spec.source else { continue };
            let (name, login) = (page.url.as_str().into(), page.login.clone());
            let wanted = Wanted { name, login, trust: Trust::Config };
            self.renew(&wanted);
            let (web, wait, limit) = (self.clone(), config.reload.start_wait, config.reading.size);
            asking.spawn(async move { web.insist(&wanted.name, limit, wait).await });
        }
        while asking.join_next().await.is_some() {}
    }

    /// Asks for those URLs of the config that nothing is known of yet, so that a load does not wait
    /// for one after the other.
    pub async fn meet(self: &Arc<Self>, config: &Config) {
        self.configure(config);
        let until = Instant::now() + ROUND;
        let mut asking = JoinSet::new();
        for spec in &config.specs {
            let Source::Url(page) = &spec.source else { continue };
            let name: Arc<str> = page.url.as_str().into();
            if self.state().pages.contains_key(&name) {
                continue;
            }
            self.renew(&Wanted { name: name.clone(), login: page.login.clone(), trust: Trust::Config });
            if asking.len() >= AT_ONCE {
                asking.join_next().await;
            }
            let (web, limit, deadline) =
                (self.clone(), config.reading.size, until.min(Instant::now() + TIME));
            asking.spawn(async move { web.ask(&name, limit, deadline).await });
        }
        while asking.join_next().await.is_some() {}
    }

    async fn insist(&self, name: &Arc<str>, limit: usize, wait: Duration) {
        let until = Instant::now() + wait;
        let mut pause = FIRST_PAUSE;
        loop {
            self.ask(name, limit, Instant::now() + TIME).await;
            let failure = self.state().pages.get(name).and_then(|page| page.failure.clone());
            let Some(reason) = failure.filter(|_| Instant::now() + pause <= until) else { return };
            if pause == FIRST_PAUSE {
                tracing::warn!(url = &**name, reason, "no document there yet; asking again");
            }
            tokio::time::sleep(pause).await;
            pause = (2 * pause).min(LONGEST_PAUSE);
        }
    }

    /// Asks for every text again. Whether that brought anything new.
    pub async fn poll(self: &Arc<Self>) -> bool {
        let until = Instant::now() + ROUND;
        let (limit, names) = self.longest_ago();
        let mut asking = JoinSet::new();
        for name in names {
            if asking.len() >= AT_ONCE {
                asking.join_next().await;
            }
            let deadline = Instant::now() + TIME;
            if deadline > until {
                break;
            }
            let web = self.clone();
            asking.spawn(async move { web.ask(&name, limit, deadline).await });
        }
        while asking.join_next().await.is_some() {}
        self.has_news()
    }

    pub fn has_news(&self) -> bool {
        self.state().pages.values().any(|page| page.news)
    }

    /// Puts a config in force: how large a text may be, and who asks for what. What was asked for
    /// in another name is forgotten, so that a new password is used, and an old one no more.
    pub(super) fn configure(&self, config: &Config) {
        let sources = config.specs.iter().filter_map(|spec| match &spec.source {
            Source::Url(source) => Some(source),
            _ => None,
        });
        let sources: Vec<_> = sources.collect();
        let is_as_before = |name: &Arc<str>, page: &mut Page| {
            let mut named = sources.iter().filter(|source| source.url.as_str() == &**name).peekable();
            match (named.peek(), page.trust) {
                (Some(_), Trust::Config) => named.any(|source| source.login == page.login),
                (Some(_), Trust::Document) | (None, Trust::Config) => false,
                (None, Trust::Document) => {
                    let origin = Url::parse(name).map(|url| url.origin());
                    let lends = |source: &&config::Page| {
                        source.login == page.login && Ok(source.url.origin()) == origin
                    };
                    page.login.is_none() || sources.iter().any(lends)
                }
            }
        };
        let mut state = self.state();
        state.limit = config.reading.size;
        state.pages.retain(is_as_before);
    }

    /// What a URL has; asks for it only if that is not known yet. `known` is what the load would
    /// keep. Blocks.
    pub(super) fn read(
        &self,
        wanted: &Wanted,
        known: Option<&[u8]>,
        limit: usize,
        deadline: Instant,
    ) -> Result<Text, String> {
        let known = known.map(|bytes| self.mark(bytes));
        if let Some(text) = self.take(&wanted.name, known, limit) {
            return text;
        }
        // Nobody asked for it, or a load took it that had no use for it.
        self.renew(wanted);
        self.runtime.block_on(self.ask(&wanted.name, limit, deadline));
        let text = self.take(&wanted.name, known, limit);
        text.unwrap_or_else(|| Err("its text was not kept".to_owned()))
    }

    /// Forgets all others.
    pub(super) fn keep_only(&self, names: &BTreeSet<Arc<str>>) {
        self.state().pages.retain(|name, _| names.contains(name));
    }

    /// None if it has to be asked for.
    fn take(&self, name: &Arc<str>, known: Option<u64>, limit: usize) -> Option<Result<Text, String>> {
        let mut state = self.state();
        let page = state.pages.get_mut(name)?;
        if let Some(reason) = &page.failure {
            page.news = false;
            return Some(Err(reason.clone()));
        }
        let mark = page.mark?;
        if known == Some(mark) {
            (page.body, page.news) = (None, false);
            return Some(Ok(Text::Same));
        }
        let body = page.body.take()?;
        page.news = false;
        Some(if body.len() > limit { Err(too_long(limit)) } else { Ok(Text::New(body)) })
    }

    /// As if it had never been asked for.
    fn renew(&self, wanted: &Wanted) {
        let page = Page { login: wanted.login.clone(), trust: wanted.trust, ..Page::default() };
        self.state().pages.insert(wanted.name.clone(), page);
    }

    fn longest_ago(&self) -> (usize, Vec<Arc<str>>) {
        let state = self.state();
        let mut names: Vec<(Option<Instant>, Arc<str>)> =
            state.pages.iter().map(|(name, page)| (page.asked, name.clone())).collect();
        names.sort();
        (state.limit, names.into_iter().map(|(_, name)| name).collect())
    }

    async fn ask(&self, name: &Arc<str>, limit: usize, deadline: Instant) {
        let (wanted, validators) = {
            let mut state = self.state();
            let Some(page) = state.pages.get_mut(name) else { return };
            page.asked = Some(Instant::now());
            let wanted = Wanted { name: name.clone(), login: page.login.clone(), trust: page.trust };
            (wanted, page.validators.clone())
        };
        let fetched = self.fetch(&wanted, &validators, limit, deadline).await;
        self.note(name, fetched);
    }

    fn note(&self, name: &Arc<str>, fetched: Result<Fetched, String>) {
        let mut state = self.state();
        let waiting: usize = state.pages.values().filter_map(|page| page.body.as_ref()).map(Vec::len).sum();
        let room = (2 * state.limit).saturating_sub(waiting);
        let Some(page) = state.pages.get_mut(name) else { return };
        let failed = match &fetched {
            Ok(_) => page.failure.take().is_some(),
            Err(_) => page.failure.is_some(),
        };
        match fetched {
            Err(reason) => {
                page.news |= !failed;
                page.failure = Some(reason);
            }
            Ok(Fetched::Same) => page.news |= failed,
            Ok(Fetched::New { body, validators }) => {
                let mark = Some(self.mark(&body));
                page.news |= failed || page.mark != mark;
                page.validators = validators;
                if page.mark == mark {
                    return;
                }
                page.mark = mark;
                page.body = Some(body);
                if page.body.as_ref().is_some_and(|body| body.len() > room) {
                    // The load that it is news for asks for it again.
                    (page.mark, page.body, page.validators) = (None, None, HeaderMap::new());
                }
            }
        }
    }

    /// The text without a byte order mark, as a number.
    fn mark(&self, bytes: &[u8]) -> u64 {
        self.marks.hash_one(bytes.strip_prefix("\u{feff}".as_bytes()).unwrap_or(bytes))
    }

    async fn fetch(
        &self,
        wanted: &Wanted,
        validators: &HeaderMap,
        limit: usize,
        deadline: Instant,
    ) -> Result<Fetched, String> {
        let first = Url::parse(&wanted.name).map_err(|error| format!("it is no URL: {error}"))?;
        let (mut url, mut trust) = (first.clone(), wanted.trust);
        for _ in 0..=REDIRECTS {
            let addresses = addresses(&url, trust, deadline).await?;
            let login = wanted.login.as_ref().filter(|_| url.origin() == first.origin());
            let question = Question { url: url.clone(), headers: headers(validators), login, limit };
            let answer = self.fetch.get(question, &addresses, deadline).await;
            let answer = answer.map_err(|failure| failure.to_string())?;
            match (answer.status.as_u16(), answer.body) {
                (200, Body::Whole(body)) => {
                    uncompressed(&answer.headers)?;
                    return Ok(Fetched::New { body, validators: validators_of(&answer.headers) });
                }
                (200, _) => return Err(too_long(limit)),
                (304, _) if !validators.is_empty() => return Ok(Fetched::Same),
                (301 | 302 | 303 | 307 | 308, _) => url = next(&url, &answer.headers)?,
                (status, _) => return Err(format!("it is answered with {status}")),
            }
            trust = Trust::Document;
        }
        Err(format!("it is redirected more than {REDIRECTS} times"))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Those of its host, each one allowed.
async fn addresses(url: &Url, trust: Trust, deadline: Instant) -> Result<Vec<std::net::SocketAddr>, String> {
    let host = url.host().ok_or("it has no host")?.to_owned();
    let port = url.port_or_known_default().ok_or("it has no port")?;
    let addresses = fetch::resolve(&host, port, deadline).await.map_err(|failure| failure.to_string())?;
    if addresses.is_empty() {
        return Err(format!("`{host}` has no address"));
    }
    for address in addresses.iter().map(std::net::SocketAddr::ip).filter(|_| trust == Trust::Document) {
        if let Class::Forbidden(range) = guard::classify(address) {
            return Err(format!("{address} is {range}; no document is read from there"));
        }
    }
    Ok(addresses)
}

/// Where a redirect leads, which is never from https to http.
fn next(url: &Url, headers: &HeaderMap) -> Result<Url, String> {
    let location = headers.get(header::LOCATION).and_then(|value| value.to_str().ok());
    let location = location.ok_or("it is redirected, and the answer does not say where to")?;
    let mut next = url.join(location).map_err(|error| format!("it is redirected to no URL: {error}"))?;
    match (url.scheme(), next.scheme()) {
        (_, "https") | ("http", "http") => {}
        ("https", "http") => return Err("it is redirected from https to http".to_owned()),
        (_, scheme) => return Err(format!("it is redirected to a URL that begins with `{scheme}:`")),
    }
    if !next.username().is_empty() || next.password().is_some() {
        return Err("it is redirected to a URL with user information".to_owned());
    }
    next.set_fragment(None);
    Ok(next)
}

fn headers(validators: &HeaderMap) -> HeaderMap {
    let mut headers = validators.clone();
    let agent = HeaderValue::from_static(concat!("standin/", env!("CARGO_PKG_VERSION")));
    headers.insert(header::USER_AGENT, agent);
    headers.insert(
        header::ACCEPT,
        HeaderValue::from_static("application/yaml, application/json;q=0.9, */*;q=0.8"),
    );
    headers
}

/// RFC 9110, 13.1: what asks for an answer without the text, if that is as it was.
fn validators_of(headers: &HeaderMap) -> HeaderMap {
    let pairs = [(header::ETAG, header::IF_NONE_MATCH), (header::LAST_MODIFIED, header::IF_MODIFIED_SINCE)];
    let said = pairs.into_iter().filter_map(|(says, asks)| Some((asks, headers.get(says)?.clone())));
    said.collect()
}

fn uncompressed(headers: &HeaderMap) -> Result<(), String> {
    match headers.get(header::CONTENT_ENCODING).map(HeaderValue::as_bytes) {
        None | Some(b"identity" | b"") => Ok(()),
        Some(coding) => {
            Err(format!("it is compressed ({}), which nobody asked for", String::from_utf8_lossy(coding)))
        }
    }
}

fn too_long(limit: usize) -> String {
    format!("it is larger than {limit} bytes (`reading.size`)")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(from: &str, location: &str, expected: Result<&str, &str>) {
        let mut headers = HeaderMap::new();
        headers.insert(header::LOCATION, location.parse().unwrap());
        let next = next(&Url::parse(from).unwrap(), &headers);
        assert_eq!(next.as_ref().map(Url::as_str).map_err(String::as_str), expected);
    }

    #[test]
    fn a_redirect_leads_to_a_url_that_is_no_less_secret() {
        check("http://a/b/c", "../d#e", Ok("http://a/d"));
        check("http://a/", "https://b/", Ok("https://b/"));
        check("https://a/", "//b/", Ok("https://b/"));
        check("https://a/", "http://a/", Err("it is redirected from https to http"));
        check("http://a/", "file:///etc/passwd", Err("it is redirected to a URL that begins with `file:`"));
        check("http://a/", "http://me@b/", Err("it is redirected to a URL with user information"));
    }

    fn page(web: &Web) -> Arc<str> {
        web.state().limit = 10;
        let name: Arc<str> = "http://a/".into();
        web.renew(&Wanted { name: name.clone(), login: None, trust: Trust::Document });
        name
    }

    fn new(text: &str) -> Result<Fetched, String> {
        Ok(Fetched::New { body: text.into(), validators: HeaderMap::new() })
    }

    fn taken(web: &Web, name: &Arc<str>, known: Option<&str>) -> String {
        match web.take(name, known.map(|known| web.mark(known.as_bytes())), 10) {
            None => "to be asked".to_owned(),
            Some(Err(reason)) => reason,
            Some(Ok(Text::Same)) => "same".to_owned(),
            Some(Ok(Text::New(body))) => String::from_utf8(body).unwrap(),
        }
    }

    #[tokio::test]
    async fn only_what_is_new_is_news_and_it_is_taken_once() {
        let web = Web::new();
        let name = page(&web);
        assert_eq!(taken(&web, &name, None), "to be asked");
        web.note(&name, new("one"));
        assert!(web.has_news());
        assert_eq!(taken(&web, &name, None), "one");
        for again in [new("one"), new("\u{feff}one"), Ok(Fetched::Same)] {
            web.note(&name, again);
            assert!(!web.has_news());
        }
        assert_eq!(taken(&web, &name, Some("one")), "same");
        // A load that could not keep it has to ask again.
        assert_eq!(taken(&web, &name, Some("before")), "to be asked");
        web.note(&name, new("two"));
        assert!(web.has_news());
        assert_eq!(taken(&web, &name, Some("one")), "two");
    }

    #[tokio::test]
    async fn a_failure_is_news_once_and_so_is_its_end() {
        let web = Web::new();
        let name = page(&web);
        web.note(&name, new("one"));
        assert_eq!(taken(&web, &name, None), "one");
        for _ in 0..2 {
            web.note(&name, Err("gone".to_owned()));
            assert_eq!(taken(&web, &name, Some("one")), "gone");
            assert!(!web.has_news());
        }
        web.note(&name, Ok(Fetched::Same));
        assert!(web.has_news());
        assert_eq!(taken(&web, &name, Some("one")), "same");
    }

    /// Which pages stay under a config with these sources.
    #[track_caller]
    fn check_configured(sources: &[&str], expected: &[&str]) {
        let web = Web::new();
        let login = |user: &str| Some(Login { user: user.to_owned(), password: "old".to_owned() });
        for (name, login, trust) in [
            ("http://a/api", login("me"), Trust::Config),
            ("http://a/part", login("me"), Trust::Document),
            ("http://b/open", None, Trust::Config),
            ("http://c/far", None, Trust::Document),
        ] {
            web.renew(&Wanted { name: name.into(), login, trust });
        }
        let sources = sources.iter().map(|source| config::source(source, "/".as_ref()).unwrap());
        let specs = sources.map(config::Spec::new).collect();
        web.configure(&Config { specs, ..Config::default() });
        let state = web.state();
        assert_eq!(state.pages.keys().map(|name| &**name).collect::<Vec<_>>(), expected);
    }

    #[tokio::test]
    async fn what_was_asked_for_in_another_name_is_forgotten() {
        let all = ["http://a/api", "http://a/part", "http://b/open", "http://c/far"];
        check_configured(&["http://me:old@a/api", "http://b/open"], &all);
        check_configured(&["http://me:new@a/api", "http://b/open"], &all[2..]);
        check_configured(&["http://a/api", "http://me:old@b/open"], &all[3..]);
        check_configured(&["http://c/far"], &[]);
    }

    #[tokio::test]
    async fn what_is_known_is_not_asked_for_again_before_a_load() {
        let closed = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
        let source = |path| config::source(&format!("http://{closed}/{path}"), "/".as_ref()).unwrap();
        let specs = ["a", "b"].map(source).map(config::Spec::new).into();
        let config = Config { specs, ..Config::default() };
        let web = Web::new();
        web.meet(&config).await;
        let asked = || web.state().pages.values().map(|page| page.asked).collect::<Vec<_>>();
        let first = asked();
        assert!(first.len() == 2 && first.iter().all(Option::is_some));
        assert!(web.state().pages.values().all(|page| page.failure.is_some()));
        web.meet(&config).await;
        assert_eq!(asked(), first);
    }

    #[tokio::test]
    async fn texts_that_wait_are_bounded() {
        let web = Web::new();
        let first = page(&web);
        web.note(&first, new("0123456789"));
        for number in 0..3 {
            let name: Arc<str> = format!("http://{number}/").into();
            web.renew(&Wanted { name: name.clone(), login: None, trust: Trust::Document });
            web.note(&name, new("012345"));
        }
        let waiting = web.state().pages.values().filter(|page| page.body.is_some()).count();
        assert_eq!(waiting, 2);
        assert_eq!(taken(&web, &"http://2/".into(), None), "to be asked");
    }
}
