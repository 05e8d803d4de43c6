//! The journal: the last exchanges, for the admin port.
//!
//! One task owns what is kept. A request notes what it has at hand and never waits: its entry goes
//! through a bounded channel, and one that finds it full is dropped and counted. Of each second the
//! first `EACH_SECOND` exchanges are kept, and of the others those that somebody will look for,
//! with callbacks, errors, fallbacks or violations; one that is left out costs a look at an atomic, and
//! a count. Ids and times become text when they are read.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use tokio::sync::{mpsc, oneshot, watch};

use self::entry::{Bodies, Draft};
pub use self::entry::{Ending, Entry, Excerpt, Id, Kept, Message, Reason};
use super::flight::InFlight;
use super::metrics::{Metrics, Skipped, Source};
use crate::config;

mod entry;

/// Exchanges of one second that are kept whatever they are.
const EACH_SECOND: u64 = 1000;

/// Entries on their way to the task.
const INBOX: usize = 512;

/// Exchanges whose bodies are gathered at once, those on their way to the task included.
const GATHERING: usize = 512;

/// A handle to the journal; clones are of the same one.
///
/// What the phases of a request call, in their order:
///
/// ```ignore
/// let mut recording = journal.begin(started, &config.journal);
/// recording.request_body(&piece);                 // each piece that comes
/// let exchange = journal.name(&mut recording);    // only if the answer has callbacks
/// recording.response_body(&piece);                // each piece that goes out
/// journal.finish(recording, &config.journal, ending);
/// ```
#[derive(Clone)]
pub struct Journal(Option<Arc<Inner>>);

struct Inner {
    inbox: mpsc::Sender<Entry>,
    questions: mpsc::Sender<Question>,
    entries: watch::Sender<usize>,
    window: Window,
    run: [char; 4],
    numbered: AtomicU64,
    gathering: InFlight,
    metrics: Arc<Metrics>,
}

/// What is noted of one exchange on its way. Dropped without an end, it leaves no trace.
#[derive(Debug, Default)]
pub struct Recording(Stage);

#[derive(Debug, Default)]
enum Stage {
    /// There is no journal.
    #[default]
    Off,
    /// Kept only if its end is worth it.
    Aside(Instant),
    Kept(Box<Draft>),
}

/// Which exchanges are asked for.
#[derive(Debug, Default)]
pub struct Filter {
    /// A label; none: all.
    pub operation: Option<Operation>,
    pub outcome: Option<Outcome>,
    /// Only those before this one.
    pub before: Option<Id>,
    pub limit: usize,
}

#[derive(Debug)]
pub enum Operation {
    Labelled(String),
    Unlisted,
}

/// What can be asked for; an exchange may be several of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    From(Source),
    Fallback,
    /// Refused, failed, cut, a status from 500 on, or without an answer.
    Error,
}

/// The newest first.
#[derive(Debug, Default)]
pub struct Page {
    pub exchanges: Vec<Arc<Kept>>,
    /// What to go on before, if there are more.
    pub next: Option<Id>,
}

enum Question {
    Recent { filter: Filter, reply: oneshot::Sender<Page> },
    One { id: Id, reply: oneshot::Sender<Option<Arc<Kept>>> },
}

impl Journal {
    /// Starts the journal's task on the current runtime.
    pub fn start(config: &config::Journal, metrics: Arc<Metrics>) -> Journal {
        let (inbox, entries) = mpsc::channel(INBOX);
        let (questions, asked) = mpsc::channel(16);
        let (most, bound) = watch::channel(config.entries);
        tokio::spawn(Task { kept: VecDeque::new(), entries, asked, bound }.run());
        Journal(Some(Arc::new(Inner {
            inbox,
            questions,
            entries: most,
            window: Window { start: Instant::now(), state: AtomicU64::new(0) },
            run: std::array::from_fn(|_| fastrand::alphanumeric()),
            numbered: AtomicU64::new(0),
            gathering: InFlight::default(),
            metrics,
        })))
    }

    /// Keeps nothing: for a Standin that nobody can ask.
    pub fn off() -> Journal {
        Journal(None)
    }

    /// `config` is the one in force for the request, which came at `started`.
    pub fn begin(&self, started: Instant, config: &config::Journal) -> Recording {
        let Some(inner) = self.0.as_ref().filter(|_| config.entries > 0) else {
            return Recording(Stage::Off);
        };
        if !inner.window.admits(started) {
            return Recording(Stage::Aside(started));
        }
        let mut draft = inner.draft(started);
        draft.bodies = (inner.gathering.count() < GATHERING).then(|| Bodies {
            request: Excerpt::default(),
            response: Excerpt::default(),
            limit: config.bodies,
            gathering: inner.gathering.begin(),
        });
        Recording(Stage::Kept(draft))
    }

    /// The exchange's id, for the callbacks that it starts; it is kept then. None: there is no journal.
    pub fn name(&self, recording: &mut Recording) -> Option<Arc<str>> {
        let inner = self.0.as_ref()?;
        if let Stage::Aside(started) = recording.0 {
            recording.0 = Stage::Kept(inner.draft(started));
        }
        let Stage::Kept(draft) = &mut recording.0 else { return None };
        draft.chain = true;
        Some(draft.id.to_string().into())
    }

    /// Never waits. `config` says what is redacted.
    pub fn finish(&self, recording: Recording, config: &config::Journal, ending: Ending<'_>) {
        let Some(inner) = &self.0 else { return };
        let draft = match recording.0 {
            Stage::Off => return,
            Stage::Kept(draft) => draft,
            Stage::Aside(started) if ending.is_worth_it() => inner.draft(started),
            Stage::Aside(_) => return inner.metrics.journal_skipped(Skipped::Sampled),
        };
        // Plain ones leave half of the room to those that somebody will look for.
        let plain = !draft.chain && !ending.is_worth_it();
        if plain && inner.inbox.capacity() <= INBOX / 2 {
            return inner.metrics.journal_skipped(Skipped::Full);
        }
        match inner.inbox.try_reserve() {
            Ok(room) => room.send(ending.entry(*draft, &config.redact)),
            Err(mpsc::error::TrySendError::Full(())) => inner.metrics.journal_skipped(Skipped::Full),
            Err(mpsc::error::TrySendError::Closed(())) => {}
        }
    }

    /// Puts a new config in force; a smaller journal forgets the oldest at once.
    pub fn configure(&self, config: &config::Journal) {
        if let Some(inner) = &self.0 {
            inner.entries.send_replace(config.entries);
        }
    }

    pub async fn recent(&self, filter: Filter) -> Page {
        self.ask(|reply| Question::Recent { filter, reply }).await.unwrap_or_default()
    }

    pub async fn one(&self, id: Id) -> Option<Arc<Kept>> {
        self.ask(|reply| Question::One { id, reply }).await.flatten()
    }

    async fn ask<T>(&self, question: impl FnOnce(oneshot::Sender<T>) -> Question) -> Option<T> {
        let (reply, answer) = oneshot::channel();
        self.0.as_ref()?.questions.send(question(reply)).await.ok()?;
        answer.await.ok()
    }
}

impl Inner {
    fn draft(&self, started: Instant) -> Box<Draft> {
        let number = self.numbered.fetch_add(1, Ordering::Relaxed) + 1;
        Box::new(Draft { id: Id { run: self.run, number }, started, chain: false, bodies: None })
    }
}

impl Recording {
    /// Notes a piece of the request's body, of which only so much is kept as the config says.
    pub fn request_body(&mut self, piece: &[u8]) {
        if let Stage::Kept(draft) = &mut self.0
            && let Some(bodies) = &mut draft.bodies
        {
            bodies.request.add(piece, bodies.limit);
        }
    }

    /// What was noted of the answer's body does not go to the client after all.
    pub fn forget_response(&mut self) {
        if let Stage::Kept(draft) = &mut self.0
            && let Some(bodies) = &mut draft.bodies
        {
            bodies.response = Excerpt::default();
        }
    }

    /// Notes a piece of the answer's body, as it goes to the client.
    pub fn response_body(&mut self, piece: &[u8]) {
        if let Stage::Kept(draft) = &mut self.0
            && let Some(bodies) = &mut draft.bodies
        {
            bodies.response.add(piece, bodies.limit);
        }
    }
}

impl Filter {
    fn lets(&self, entry: &Entry) -> bool {
        self.operation.as_ref().is_none_or(|operation| operation.lets(entry))
            && self.outcome.is_none_or(|outcome| outcome.lets(entry))
    }
}

impl Operation {
    fn lets(&self, entry: &Entry) -> bool {
        match self {
            Operation::Labelled(label) => entry.operation.as_deref() == Some(label),
            Operation::Unlisted => entry.operation.is_none(),
        }
    }
}

impl Outcome {
    pub const ALL: [(&'static str, Outcome); 5] = [
        ("mock", Outcome::From(Source::Mock)),
        ("upstream", Outcome::From(Source::Upstream)),
        ("refused", Outcome::From(Source::Refused)),
        ("fallback", Outcome::Fallback),
        ("error", Outcome::Error),
    ];

    fn lets(self, entry: &Entry) -> bool {
        match self {
            Outcome::From(source) => entry.source == source,
            Outcome::Fallback => matches!(entry.reason, Some(Reason::Fallback(_))),
            Outcome::Error => {
                matches!(entry.reason, Some(Reason::Refused(_) | Reason::Failed(_)))
                    || entry::is_error(entry.status)
            }
        }
    }
}

/// How many exchanges began in the current second.
#[derive(Debug)]
struct Window {
    start: Instant,
    /// The second, counted from 1 at `start`, in the upper half; the number in the lower.
    state: AtomicU64,
}

impl Window {
    /// Whether the second has room. Where it has none, nothing is written, so that no core waits for
    /// another one's cache line.
    fn admits(&self, now: Instant) -> bool {
        let second = now.saturating_duration_since(self.start).as_secs() + 1;
        let one_more = |state: u64| match (state >> 32, state & u64::from(u32::MAX)) {
            (current, _) if current < second => Some(second << 32 | 1),
            (_, count) if count < EACH_SECOND => Some(state + 1),
            _ => None,
        };
        self.state.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_more).is_ok()
    }
}

/// The owner of what is kept.
struct Task {
    /// The newest at the end.
    kept: VecDeque<Arc<Kept>>,
    entries: mpsc::Receiver<Entry>,
    asked: mpsc::Receiver<Question>,
    /// How many are kept.
    bound: watch::Receiver<usize>,
}

impl Task {
    /// Runs until every handle is gone.
    async fn run(mut self) {
        loop {
            tokio::select! {
                entry = self.entries.recv() => match entry {
                    Some(entry) => self.keep(entry),
                    None => return,
                },
                Some(question) = self.asked.recv() => {
                    self.catch_up();
                    self.reply(question);
                }
                Ok(()) = self.bound.changed() => {
                    self.forget();
                    self.kept.shrink_to_fit();
                }
            }
        }
    }

    /// What was handed over before a question is part of its answer.
    fn catch_up(&mut self) {
        for _ in 0..INBOX {
            let Ok(entry) = self.entries.try_recv() else { return };
            self.keep(entry);
        }
    }

    fn keep(&mut self, entry: Entry) {
        self.kept.push_back(Arc::new(Kept::of(entry)));
        self.forget();
    }

    fn forget(&mut self) {
        let bound = *self.bound.borrow_and_update();
        let over = self.kept.len().saturating_sub(bound);
        self.kept.drain(..over);
    }

    fn reply(&self, question: Question) {
        // Who asked may have gone.
        match question {
            Question::Recent { filter, reply } => drop(reply.send(self.recent(&filter))),
            Question::One { id, reply } => drop(reply.send(self.one(id))),
        }
    }

    /// What is before an exchange that is forgotten is forgotten too.
    fn recent(&self, filter: &Filter) -> Page {
        let end = match filter.before {
            Some(before) => self.kept.iter().rposition(|kept| kept.entry.id == before).unwrap_or(0),
            None => self.kept.len(),
        };
        let mut found = self.kept.range(..end).rev().filter(|kept| filter.lets(&kept.entry)).cloned();
        let exchanges: Vec<_> = found.by_ref().take(filter.limit).collect();
        let next = found.next().and_then(|_| exchanges.last()).map(|last| last.entry.id);
        Page { exchanges, next }
    }

    fn one(&self, id: Id) -> Option<Arc<Kept>> {
        self.kept.iter().rev().find(|kept| kept.entry.id == id).cloned()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use http::{HeaderMap, Method, StatusCode};
    use serde_json::json;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    struct Bench {
        journal: Journal,
        metrics: Arc<Metrics>,
        config: config::Journal,
        started: Instant,
    }

    fn bench(entries: usize) -> Bench {
        let config = config::Journal { entries, ..config::Journal::default() };
        let metrics = Arc::new(Metrics::new());
        Bench { journal: Journal::start(&config, metrics.clone()), metrics, config, started: Instant::now() }
    }

    fn ending<'e>(target: &'e str, headers: &'e HeaderMap) -> Ending<'e> {
        Ending {
            method: &Method::GET,
            target,
            request: headers,
            response: Some((StatusCode::OK, headers)),
            source: Source::Mock,
            operation: None,
            example: None,
            reason: None,
            violations: Vec::new(),
            took: SECOND,
        }
    }

    impl Bench {
        /// An exchange that comes in the second after the bench's start that is named.
        fn exchange(&self, second: u32, change: impl FnOnce(&mut Ending<'_>)) {
            let recording = self.journal.begin(self.started + second * SECOND, &self.config);
            let headers = HeaderMap::new();
            let mut ending = ending("/", &headers);
            change(&mut ending);
            self.journal.finish(recording, &self.config, ending);
        }

        async fn plain(&self, second: u32, count: usize) {
            for number in 0..count {
                self.exchange(second, |_| ());
                // The task has its turn before the channel is full.
                if number % 100 == 0 {
                    self.recent(0).await;
                }
            }
        }

        async fn recent(&self, limit: usize) -> Vec<Arc<Kept>> {
            self.journal.recent(Filter { limit, ..Filter::default() }).await.exchanges
        }

        fn skipped(&self, reason: &str) -> String {
            let (text, _) = self.metrics.text();
            let begin = format!("standin_journal_skipped_total{{reason=\"{reason}\"}} ");
            text.lines().find_map(|line| line.strip_prefix(&begin)).expect("the metric is there").to_owned()
        }
    }

    /// `expected`: the targets on the page, and whether there are more.
    #[track_caller]
    fn check(page: &Page, expected: &str, more: bool) {
        let targets: Vec<_> = page.exchanges.iter().map(|kept| kept.entry.target.as_str()).collect();
        assert_eq!((targets.join(" ").as_str(), page.next.is_some()), (expected, more));
    }

    #[test]
    fn each_second_has_room_for_a_thousand() {
        let start = Instant::now();
        let window = Window { start, state: AtomicU64::new(0) };
        let admitted = |at: Duration, count: usize| (0..count).filter(|_| window.admits(start + at)).count();
        assert_eq!(admitted(Duration::ZERO, 1), 1);
        assert_eq!(admitted(SECOND / 2, 1500), 999);
        assert_eq!(admitted(SECOND - Duration::from_nanos(1), 1), 0);
        assert_eq!(admitted(SECOND, 1500), 1000);
        assert_eq!(admitted(SECOND / 2, 1), 0, "the clock of another core");
        assert_eq!(admitted(1000 * SECOND, 1500), 1000);
    }

    #[tokio::test]
    async fn what_is_over_a_second_s_share_is_counted() {
        let bench = bench(9999);
        bench.plain(0, 1200).await;
        assert_eq!(bench.recent(9999).await.len(), 1000);
        assert_eq!((bench.skipped("sampled").as_str(), bench.skipped("full").as_str()), ("200", "0"));
        bench.plain(1, 1).await;
        assert_eq!(bench.recent(9999).await.len(), 1001);
    }

    #[tokio::test]
    async fn what_somebody_looks_for_is_never_sampled_out() {
        let bench = bench(9999);
        bench.plain(0, 1000).await;
        let headers = HeaderMap::new();
        bench.exchange(0, |ending| ending.response = None);
        bench.exchange(0, |ending| {
            ending.response = ending.response.map(|(_, fields)| (StatusCode::BAD_GATEWAY, fields));
        });
        bench.exchange(0, |ending| ending.reason = Some(Reason::Refused("no-route")));
        bench.exchange(0, |ending| ending.reason = Some(Reason::Fallback("404".into())));
        bench.exchange(0, |ending| ending.reason = Some(Reason::Failed("reset")));
        bench.exchange(0, |ending| ending.violations = vec![json!({"in": "body"})]);
        let mut recording = bench.journal.begin(bench.started, &bench.config);
        recording.request_body(b"gone by then");
        let name = bench.journal.name(&mut recording).expect("a journal");
        recording.response_body(b"half of it is no body");
        bench.journal.finish(recording, &bench.config, ending("/", &headers));
        let recent = bench.recent(7).await;
        assert_eq!(bench.skipped("sampled"), "0");
        assert_eq!(recent.iter().filter(|kept| kept.entry.request.body.is_none()).count(), 7);
        assert_eq!((&*name, recent[0].entry.chain), (recent[0].entry.id.to_string().as_str(), true));
    }

    #[tokio::test]
    async fn a_full_channel_drops_and_counts_and_plain_ones_leave_room() {
        let bench = bench(9999);
        // The task has no turn: nothing awaits.
        for _ in 0..INBOX {
            bench.exchange(0, |_| ());
        }
        assert_eq!(bench.skipped("full"), (INBOX / 2).to_string());
        for _ in 0..INBOX / 2 + 7 {
            bench.exchange(0, |ending| ending.reason = Some(Reason::Failed("reset")));
        }
        assert_eq!(bench.skipped("full"), (INBOX / 2 + 7).to_string());
        assert_eq!(bench.recent(9999).await.len(), INBOX);
    }

    #[tokio::test]
    async fn the_newest_are_kept_and_a_smaller_journal_forgets_at_once() {
        let bench = bench(3);
        for target in ["/a", "/b", "/c", "/d"] {
            bench.exchange(0, |ending| ending.target = target);
        }
        let page = |limit| bench.journal.recent(Filter { limit, ..Filter::default() });
        check(&page(9).await, "/d /c /b", false);
        bench.journal.configure(&config::Journal { entries: 2, ..bench.config.clone() });
        while bench.recent(9).await.len() > 2 {
            tokio::task::yield_now().await;
        }
        check(&page(9).await, "/d /c", false);
        let none = config::Journal { entries: 0, ..bench.config.clone() };
        let mut recording = bench.journal.begin(bench.started, &none);
        assert_eq!(bench.journal.name(&mut recording), None);
        let mut recording = Journal::off().begin(bench.started, &bench.config);
        assert_eq!(bench.journal.name(&mut recording), None);
    }

    #[tokio::test]
    async fn pages_follow_each_other_without_a_gap() {
        let bench = bench(9);
        for target in ["/a", "/b", "/c", "/d", "/e"] {
            bench.exchange(0, |ending| ending.target = target);
        }
        let page = |before, limit| bench.journal.recent(Filter { before, limit, ..Filter::default() });
        let first = page(None, 2).await;
        check(&first, "/e /d", true);
        bench.exchange(0, |ending| ending.target = "/f");
        let second = page(first.next, 2).await;
        check(&second, "/c /b", true);
        check(&page(second.next, 2).await, "/a", false);
        check(&page(second.next, 1).await, "/a", false);
        let stranger = Id { run: ['a'; 4], number: 3 };
        check(&page(Some(stranger), 9).await, "", false);
    }

    #[tokio::test]
    async fn a_filter_asks_for_an_operation_and_an_outcome() {
        let bench = bench(99);
        let label: Arc<str> = "getPet".into();
        let headers = HeaderMap::new();
        let failed = Some((StatusCode::INTERNAL_SERVER_ERROR, &headers));
        let exchange = |target, operation, source, response, reason| {
            let recording = bench.journal.begin(bench.started, &bench.config);
            let ending = Ending { operation, source, response, reason, ..ending(target, &headers) };
            bench.journal.finish(recording, &bench.config, ending);
        };
        let (ok, pet) = (Some((StatusCode::OK, &headers)), Some(&label));
        exchange("/mock", pet, Source::Mock, ok, None);
        exchange("/other", None, Source::Upstream, ok, None);
        exchange("/back", pet, Source::Mock, ok, Some(Reason::Fallback("404".into())));
        exchange("/cut", pet, Source::Upstream, ok, Some(Reason::Failed("reset")));
        exchange("/bad", None, Source::Refused, ok, Some(Reason::Refused("no-route")));
        exchange("/500", None, Source::Mock, failed, None);
        exchange("/gone", None, Source::Mock, None, None);
        let found = async |operation: Option<Operation>, outcome: Option<&str>, expected: &str| {
            let outcome = outcome.and_then(|word| Outcome::ALL.into_iter().find(|(name, _)| *name == word));
            let outcome = outcome.map(|(_, outcome)| outcome);
            let filter = Filter { operation, outcome, before: None, limit: 99 };
            check(&bench.journal.recent(filter).await, expected, false);
        };
        found(None, Some("mock"), "/gone /500 /back /mock").await;
        found(None, Some("upstream"), "/cut /other").await;
        found(None, Some("refused"), "/bad").await;
        found(None, Some("fallback"), "/back").await;
        found(None, Some("error"), "/gone /500 /bad /cut").await;
        found(Some(Operation::Labelled("getPet".into())), None, "/cut /back /mock").await;
        found(Some(Operation::Labelled("getPet".into())), Some("error"), "/cut").await;
        found(Some(Operation::Unlisted), Some("mock"), "/gone /500").await;
    }

    #[tokio::test]
    async fn bodies_are_gathered_of_so_many_at_once() {
        let bench = bench(9999);
        let headers = HeaderMap::new();
        let begin = || {
            let mut recording = bench.journal.begin(bench.started, &bench.config);
            recording.request_body(b"a");
            recording
        };
        let mut open: Vec<_> = (0..GATHERING).map(|_| begin()).collect();
        bench.journal.finish(begin(), &bench.config, ending("/without", &headers));
        let first = open.pop().expect("one of many");
        bench.journal.finish(first, &bench.config, ending("/with", &headers));
        let recent = bench.recent(2).await;
        let lengths = recent.iter().map(|kept| kept.entry.request.body.as_ref().map(|body| body.length));
        assert_eq!(lengths.collect::<Vec<_>>(), [Some(1), None]);
        bench.journal.finish(begin(), &bench.config, ending("/again", &headers));
        assert!(bench.recent(1).await[0].entry.request.body.is_some());
    }
}
