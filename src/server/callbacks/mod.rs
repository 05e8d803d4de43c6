//! Sends the callbacks of mocked answers.
//!
//! One task owns the queue. It sleeps until a call is due, and starts a task of its own for each
//! call in flight only. The request path hands a chain over in two steps: [`Callbacks::keep`] before
//! the answer, which takes room for it, and the end of the [`Ticket`] after it. Neither waits, and what
//! becomes of the chain never changes the answer.

use std::collections::HashSet;
use std::future::Future;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicUsize, Ordering};
use std::time::{Duration, SystemTime};

use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::Instant;

pub use self::files::Files;
use self::guard::Policy;
use self::identity::{Id, Run};
pub use self::record::{Attempt, Outcome, Record, State};
use self::sender::{Flight, Report, Settings};
pub use self::store::Opened;
use self::store::{Kept, Store};
pub use self::task::{Detail, Refused};
use self::task::{Question, Task};
use super::fetch::Fetch;
use super::loops::Loops;
use crate::config;
use crate::mock::callback::Chain;
use crate::mock::message::Moment;
use crate::mock::violation::Violation;

mod task;

mod sender;

mod queue;

mod lanes;

mod breaker;

mod retry;

mod saved;

mod identity;

mod files;

pub mod store;

pub mod guard;

pub mod record;

/// A handle to the queue; clones are of the same one.
#[derive(Clone)]
pub struct Callbacks {
    shared: Arc<Shared>,
}

struct Shared {
    /// Bounded by what `counts` lets in.
    inbox: mpsc::UnboundedSender<Arc<Job>>,
    questions: mpsc::Sender<Question>,
    settings: watch::Sender<Current>,
    counts: Arc<Counts>,
    observer: Arc<dyn Observer>,
    run: Run,
    loops: Arc<Loops>,
    own: Box<[SocketAddr]>,
    store: Arc<dyn Store>,
}

/// Hears of each attempt and each call's end: the metrics.
pub trait Observer: Send + Sync + 'static {
    /// `code` is a status, or the word for why there is none.
    fn attempt(&self, operation: &str, callback: &str, code: &str, seconds: f64);

    /// A status that the document does not list for this callback.
    fn undocumented(&self, operation: &str, callback: &str, code: &str);

    /// What of a receiver's answer is not as the document says.
    fn violated(&self, operation: &str, violations: &[Violation]);

    fn outcome(&self, operation: &str, callback: &str, outcome: Outcome);

    /// So many calls are not kept, though they should outlive the process.
    fn unkept(&self, operation: &str, calls: usize);
}

/// Whose request it was.
#[derive(Debug, Clone, Default)]
pub struct Client {
    /// Where its connection came from; none for a unix socket.
    pub peer: Option<IpAddr>,
    /// The journal's id of the exchange.
    pub exchange: Option<Arc<str>>,
    /// Its `traceparent`, as it came.
    pub trace: Option<Box<str>>,
    /// Its `cdn-loop`, as it came.
    pub loops: Option<Box<str>>,
}

/// A chain on its way, and how the config in force at its answer paces it.
#[derive(Debug)]
struct Job {
    id: Id,
    /// When its answer was made.
    at: SystemTime,
    /// Of what is random in its calls.
    seed: u64,
    /// Each of its calls knows what it waits.
    chain: Chain,
    client: Client,
    pace: Pace,
    /// What it takes of `callbacks.memory`.
    bytes: usize,
}

#[derive(Debug, Clone)]
struct Pace {
    order: config::Order,
    /// Between the attempts of a call, where the document does not say.
    retry: Arc<[Duration]>,
}

/// A chain that has its room and is not yet begun: it begins when this is dropped, whether the client took
/// the answer or not.
#[must_use]
pub struct Ticket {
    callbacks: Callbacks,
    job: Option<Arc<Job>>,
    kept: Kept,
    /// It outlives the process.
    is_kept: bool,
}

/// What the config says now.
#[derive(Clone)]
struct Current {
    settings: Arc<Settings>,
    limits: queue::Limits,
    files: Files,
    proxy: Option<config::Page>,
}

struct Counts {
    /// Calls that are not done.
    taken: AtomicUsize,
    /// Bytes of their chains.
    bytes: AtomicUsize,
    flying: AtomicUsize,
    paused: AtomicBool,
    start: Instant,
    /// Milliseconds from `start` to the beginning of the oldest chain; none: `i64::MAX`. One that
    /// was kept may have begun before.
    oldest: AtomicI64,
    /// When it was last said that one was not kept: milliseconds from `start`.
    told_unkept: AtomicI64,
}

const NO_MEMORY: &str = "what waits fills the memory for it; `callbacks.memory` bounds it";

/// To keep a chain may take so long; then its answer is written all the same.
const COMMIT: Duration = Duration::from_secs(5);

/// Calls that were not sent, by operation.
type Lost = Vec<(Arc<str>, usize)>;

/// What a stop left.
#[derive(Debug, Default, PartialEq)]
struct Stopped {
    /// The next process sends it.
    kept: Lost,
    lost: Lost,
}

impl Callbacks {
    /// Starts the queue's task on the current runtime. `own` is what Standin listens on.
    pub fn start(
        config: &config::Callbacks,
        files: Files,
        own: Vec<SocketAddr>,
        observer: Arc<dyn Observer>,
        opened: Opened,
    ) -> Callbacks {
        let (callbacks, task) = Self::new(config, files, own, observer, opened);
        tokio::spawn(task);
        callbacks
    }

    /// The same with the queue's task, which the caller runs. Until it does, nothing is sent.
    pub fn new(
        config: &config::Callbacks,
        files: Files,
        own: Vec<SocketAddr>,
        observer: Arc<dyn Observer>,
        opened: Opened,
    ) -> (Callbacks, impl Future<Output = ()> + Send + 'static) {
        Self::new_with(config, files, own, observer, opened, |flight, settings| async move {
            sender::send(&settings, flight).await
        })
    }

    fn new_with<S, F>(
        config: &config::Callbacks,
        files: Files,
        own: Vec<SocketAddr>,
        observer: Arc<dyn Observer>,
        opened: Opened,
        send: S,
    ) -> (Callbacks, impl Future<Output = ()> + Send + 'static)
    where
        S: Fn(Flight, Arc<Settings>) -> F + Send + 'static,
        F: Future<Output = Report> + Send + 'static,
    {
        let own: Box<[SocketAddr]> = own.into();
        let (inbox, jobs) = mpsc::unbounded_channel();
        let (questions, asked) = mpsc::channel(16);
        let counts = Arc::new(Counts {
            taken: AtomicUsize::new(0),
            bytes: AtomicUsize::new(0),
            flying: AtomicUsize::new(0),
            paused: AtomicBool::new(false),
            start: Instant::now(),
            oldest: AtomicI64::new(i64::MAX),
            told_unkept: AtomicI64::new(i64::MIN),
        });
        let loops = Arc::new(Loops::default());
        let fetch = Arc::new(Fetch::with(files.authorities.clone(), config.proxy.clone()));
        let first = Current::of(config, files, &own, loops.clone(), fetch);
        let (settings, current) = watch::channel(first);
        let Opened { store, stored, lost } = opened;
        let mut task = Task::new(current, counts.clone(), observer.clone(), store.clone(), lost, send);
        task.take_up(stored, config);
        let run = Run::new();
        let shared = Shared { inbox, questions, settings, counts, observer, run, loops, own, store };
        (Callbacks { shared: Arc::new(shared) }, task.run(jobs, asked))
    }

    /// Takes the calls of an answer, paced by the config in force at that answer, before it is written.
    /// They begin when the ticket is dropped.
    ///
    /// Never waits. If there is no room for the whole chain, it is dropped, counted and logged.
    pub fn keep(&self, mut chain: Chain, client: Client, config: &config::Callbacks) -> Option<Ticket> {
        let calls = chain.calls.len();
        if !config.enabled || calls == 0 {
            return None;
        }
        self.tell_left_out(&chain);
        let bytes = chain.bytes();
        if !self.shared.counts.take_calls(calls, config.queue) {
            self.refuse(&chain, Outcome::Dropped, "the queue is full; `callbacks.queue` bounds it");
            return None;
        }
        if !self.shared.counts.take_bytes(bytes, config.memory) {
            self.shared.counts.taken.fetch_sub(calls, Ordering::Relaxed);
            self.refuse(&chain, Outcome::Dropped, NO_MEMORY);
            return None;
        }
        for planned in &mut chain.calls {
            planned.wait.get_or_insert_with(|| config.delay.pick(fastrand::u64(..)));
        }
        let pace = Pace { order: config.order, retry: config.retry.clone() };
        let (id, at, seed) = (self.shared.run.next(), SystemTime::now(), fastrand::u64(..));
        let mut job = Job { id, at, seed, chain, client, pace, bytes };
        let mut kept = Kept::done();
        if self.shared.store.outlives() {
            let written = saved::write(&job, None);
            // After a restart it shares nothing with its document any more.
            let more = written.len().saturating_sub(bytes);
            if !self.shared.counts.take_bytes(more, config.memory) {
                self.shared.counts.give_back(calls, bytes);
                self.refuse(&job.chain, Outcome::Dropped, NO_MEMORY);
                return None;
            }
            job.bytes += more;
            kept = self.shared.store.keep(job.id.chain(), written);
        }
        Some(Ticket { callbacks: self.clone(), job: Some(Arc::new(job)), kept, is_kept: false })
    }

    fn begin(&self, job: Arc<Job>, is_kept: bool) {
        if let Err(mpsc::error::SendError(job)) = self.shared.inbox.send(job) {
            self.shared.counts.give_back(job.chain.calls.len(), job.bytes);
            if is_kept {
                // The next process sends it.
                return;
            }
            self.shared.store.forget(job.id.chain());
            self.refuse(&job.chain, Outcome::Cancelled, "stopping");
        }
    }

    fn tell_left_out(&self, chain: &Chain) {
        let operation = &*chain.operation;
        for (callback, calls) in &chain.left_out {
            (0..*calls).for_each(|_| self.shared.observer.outcome(operation, callback, Outcome::Dropped));
            tracing::warn!(
                operation,
                callback = &**callback,
                calls,
                "callbacks dropped: an answer sends 1,000 at most"
            );
        }
    }

    fn refuse(&self, chain: &Chain, outcome: Outcome, reason: &str) {
        for planned in &chain.calls {
            let end = task::Ended { outcome, reason: Some(reason), host: None, attempts: &[] };
            task::tell(&*self.shared.observer, chain, planned, &end);
        }
    }

    /// Puts a new config in force, for the calls that wait too. A chain keeps its pace. Without `files`,
    /// those before are used on.
    pub fn configure(&self, config: &config::Callbacks, files: Option<Files>) {
        self.shared.settings.send_modify(|current| {
            let files = files.unwrap_or_else(|| current.files.clone());
            let same = files.authorities == current.files.authorities && config.proxy == current.proxy;
            // Connections are kept, unless they were made in another way.
            let fetch = match same {
                true => current.settings.fetch.clone(),
                false => Arc::new(Fetch::with(files.authorities.clone(), config.proxy.clone())),
            };
            *current = Current::of(config, files, &self.shared.own, self.shared.loops.clone(), fetch);
        });
    }

    /// How requests are known that were sent by this process.
    pub fn loops(&self) -> &Loops {
        &self.shared.loops
    }

    /// Sends nothing more, waits for what is in flight until `deadline`, and ends the task. Says in the log
    /// what was not sent.
    pub async fn stop(&self, deadline: Instant) {
        let Stopped { kept, lost } = self.drain(deadline).await;
        for (operation, callbacks) in kept {
            tracing::info!(operation = &*operation, callbacks, "callbacks are kept for the next start");
        }
        for (operation, callbacks) in lost {
            tracing::warn!(operation = &*operation, callbacks, "callbacks were not sent");
        }
    }

    /// Returns the calls that were not sent. Those that nothing keeps are counted as cancelled.
    async fn drain(&self, deadline: Instant) -> Stopped {
        let (reply, stopped) = oneshot::channel();
        if self.shared.questions.send(Question::Drain { deadline, reply }).await.is_err() {
            return Stopped::default();
        }
        stopped.await.unwrap_or_default()
    }

    /// The newest first: those that wait or are in flight, then those that are done.
    pub async fn recent(&self, state: Option<State>, limit: usize) -> Vec<Record> {
        let (reply, records) = oneshot::channel();
        if self.shared.questions.send(Question::Recent { state, limit, reply }).await.is_err() {
            return Vec::new();
        }
        records.await.unwrap_or_default()
    }

    /// The calls that these exchanges of the journal started: those that are done and still shown, the
    /// oldest first, then those that are not.
    pub async fn of(&self, exchanges: HashSet<String>) -> Vec<Record> {
        let (reply, records) = oneshot::channel();
        if self.shared.questions.send(Question::Of { exchanges, reply }).await.is_err() {
            return Vec::new();
        }
        records.await.unwrap_or_default()
    }

    /// A call with what it sent; none if there is none (any more).
    pub async fn one(&self, id: String) -> Option<Detail> {
        let (reply, found) = oneshot::channel();
        self.shared.questions.send(Question::One { id, reply }).await.ok()?;
        found.await.ok()?
    }

    /// Sends a call now: one that waits for its time, or once more one that is done, with the same bytes
    /// and `webhook-id`. The schedule begins anew.
    pub async fn retry(&self, id: String) -> Result<Record, Refused> {
        let (reply, answer) = oneshot::channel();
        self.shared.questions.send(Question::Retry { id, reply }).await.map_err(|_| Refused::Unknown)?;
        answer.await.unwrap_or(Err(Refused::Unknown))
    }

    /// Gives a call up; its chain goes on. One that is in flight may have reached its receiver.
    pub async fn cancel(&self, id: String) -> Result<Record, Refused> {
        let (reply, answer) = oneshot::channel();
        self.shared.questions.send(Question::Cancel { id, reply }).await.map_err(|_| Refused::Unknown)?;
        answer.await.unwrap_or(Err(Refused::Unknown))
    }

    /// Lets nothing out, or lets it out again. What waits waits on, and new chains are taken.
    pub async fn pause(&self, paused: bool) {
        let (reply, done) = oneshot::channel();
        if self.shared.questions.send(Question::Pause { paused, reply }).await.is_ok() {
            let _ = done.await;
        }
    }

    pub fn is_paused(&self) -> bool {
        self.shared.counts.paused.load(Ordering::Relaxed)
    }

    /// Calls that wait: for their time, for the one before them, or for room.
    pub fn pending(&self) -> usize {
        self.shared.counts.taken.load(Ordering::Relaxed).saturating_sub(self.in_flight())
    }

    pub fn in_flight(&self) -> usize {
        self.shared.counts.flying.load(Ordering::Relaxed)
    }

    /// How long ago the oldest chain began that is not done; zero if there is none.
    pub fn oldest(&self) -> Duration {
        match self.shared.counts.oldest.load(Ordering::Relaxed) {
            i64::MAX => Duration::ZERO,
            began => {
                let age = self.shared.counts.elapsed().saturating_sub(began);
                Duration::from_millis(u64::try_from(age).unwrap_or(0))
            }
        }
    }
}

impl Ticket {
    /// Waits until the chain outlives the process, if it is to; for 5 seconds at most.
    pub async fn kept(&mut self) {
        let kept = std::mem::replace(&mut self.kept, Kept::done());
        self.is_kept = self.callbacks.shared.store.outlives() && kept.within(COMMIT).await;
        if let Some(job) =
            self.job.as_ref().filter(|_| self.callbacks.shared.store.outlives() && !self.is_kept)
        {
            self.callbacks.shared.observer.unkept(&job.chain.operation, job.chain.calls.len());
            if self.callbacks.shared.counts.may_tell_unkept() {
                tracing::warn!(
                    operation = &*job.chain.operation,
                    "an answer goes out before its callbacks are kept: `callbacks.store` is slow, or fails"
                );
            }
        }
    }
}

impl Job {
    /// What each of its calls waits.
    fn waits(&self) -> impl Iterator<Item = Duration> {
        self.chain.calls.iter().map(|planned| planned.wait.unwrap_or_default())
    }

    /// When the call at `index` is first sent, and its chance.
    fn moment(&self, index: usize, now: i64) -> Moment {
        Moment { now, seed: self.seed.wrapping_add(index as u64) }
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        if let Some(job) = self.job.take() {
            self.callbacks.begin(job, self.is_kept);
        }
    }
}

impl Current {
    fn of(
        config: &config::Callbacks,
        files: Files,
        own: &[SocketAddr],
        loops: Arc<Loops>,
        fetch: Arc<Fetch>,
    ) -> Self {
        let settings = Settings {
            policy: Policy::new(config, own),
            base: config.base_url.clone(),
            timeout: config.timeout,
            secrets: files.secrets.clone(),
            fetch,
            proxy: config.proxy.as_ref().map(|page| page.url.clone()),
            loops,
        };
        let limits = queue::Limits { concurrency: config.concurrency, per_host: config.per_host };
        Current { settings: Arc::new(settings), limits, files, proxy: config.proxy.clone() }
    }
}

impl Counts {
    /// Milliseconds since the start.
    fn elapsed(&self) -> i64 {
        i64::try_from(self.start.elapsed().as_millis()).unwrap_or(i64::MAX)
    }

    /// Once a minute.
    fn may_tell_unkept(&self) -> bool {
        let now = self.elapsed();
        let next = |told: i64| (told.saturating_add(60_000) <= now || told == i64::MIN).then_some(now);
        self.told_unkept.fetch_update(Ordering::Relaxed, Ordering::Relaxed, next).is_ok()
    }

    /// Takes room for `calls` more, if that is within `bound`.
    fn take_calls(&self, calls: usize, bound: usize) -> bool {
        take(&self.taken, calls, bound)
    }

    fn take_bytes(&self, bytes: usize, bound: usize) -> bool {
        take(&self.bytes, bytes, bound)
    }

    fn give_back(&self, calls: usize, bytes: usize) {
        self.taken.fetch_sub(calls, Ordering::Relaxed);
        self.bytes.fetch_sub(bytes, Ordering::Relaxed);
    }
}

fn take(from: &AtomicUsize, more: usize, bound: usize) -> bool {
    let add = |taken: usize| taken.checked_add(more).filter(|taken| *taken <= bound);
    from.fetch_update(Ordering::Relaxed, Ordering::Relaxed, add).is_ok()
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;
    use std::time::SystemTime;

    use tokio::sync::Semaphore;

    use super::*;

    #[derive(Default)]
    struct Heard(Mutex<Vec<(String, Outcome)>>);

    impl Observer for Heard {
        fn attempt(&self, _: &str, _: &str, _: &str, _: f64) {}

        fn undocumented(&self, _: &str, _: &str, _: &str) {}

        fn unkept(&self, _: &str, _: usize) {}

        fn violated(&self, _: &str, _: &[Violation]) {}

        fn outcome(&self, operation: &str, callback: &str, outcome: Outcome) {
            self.0.lock().unwrap().push((format!("{operation} {callback}"), outcome));
        }
    }

    /// A queue whose calls land when `land` gets a permit, and are delivered.
    struct Bench {
        callbacks: Callbacks,
        heard: Arc<Heard>,
        land: Arc<Semaphore>,
    }

    fn config(queue: usize) -> config::Callbacks {
        let delay = config::Delay::Fixed(Duration::ZERO);
        config::Callbacks { delay, allow: Vec::new(), queue, ..config::Callbacks::default() }
    }

    fn bench(queue: usize) -> Bench {
        let heard = Arc::new(Heard::default());
        let land = Arc::new(Semaphore::new(0));
        let landing = land.clone();
        let send = move |_: Flight, _: Arc<Settings>| {
            let landing = landing.clone();
            async move {
                landing.acquire_owned().await.unwrap().forget();
                let (code, duration) = (record::Code::Status(200), Duration::ZERO);
                let attempt = Attempt::new(SystemTime::now(), code, None, duration);
                let end = sender::End::Attempt { attempt, retry_after: None };
                Report {
                    call: None,
                    url: None,
                    host: Some("a:80".to_owned()),
                    answer: None,
                    violations: Vec::new(),
                    end,
                }
            }
        };
        let (callbacks, task) = Callbacks::new_with(
            &config(queue),
            Files::default(),
            Vec::new(),
            heard.clone(),
            Opened::memory(),
            send,
        );
        tokio::spawn(task);
        Bench { callbacks, heard, land }
    }

    /// The chain of an answer whose document has a callback a word, to `http://word/`; `-` has no
    /// target. Calls are named by number.
    pub(super) fn chain(operation: &str, calls: &str) -> Chain {
        use crate::mock::message::{Body, Head, Moment};
        use crate::mock::{Found, Mocks, Source};
        let callbacks = calls.split(' ').enumerate().map(|(number, word)| {
            let key = if word == "-" { "{$request.body#/url}".to_owned() } else { format!("http://{word}/") };
            format!(r#""{}": {{"{key}": {{"post": {{}}}}}}"#, number + 1)
        });
        let text = format!(
            r#"{{"openapi": "3.1.0", "paths": {{"/": {{"post": {{"operationId": "{operation}",
                "responses": {{"204": {{}}}}, "callbacks": {{{}}}}}}}}}}}"#,
            callbacks.collect::<Vec<_>>().join(", ")
        );
        let (tree, _) = crate::tree::Tree::parse("/a.json", text, &crate::tree::Limits::default()).unwrap();
        let trees = crate::spec::Trees::from([("/a.json".into(), tree)]);
        let document = crate::spec::read(&trees, "/a.json").document.unwrap();
        let source = Source { document, trees: &trees, base_path: None, upstream: None, mode: None };
        let (mocks, _) = Mocks::compile(&[source], &crate::config::Config::default());
        let (method, headers) = (http::Method::POST, http::HeaderMap::new());
        let head = Head {
            method: &method,
            path: "/",
            query: None,
            headers: &headers,
            scheme: "http",
            authority: "a",
        };
        let Found::Mock(hit) = mocks.find(&head) else { panic!("the operation is mocked") };
        hit.answer(head, &Body::default(), Moment { now: 0, seed: 0 }).unwrap().unwrap().chain.unwrap()
    }

    impl Bench {
        fn enqueue(&self, operation: &str, calls: &str, queue: usize) {
            drop(self.callbacks.keep(chain(operation, calls), Client::default(), &config(queue)));
        }

        #[track_caller]
        fn heard(&self, expected: &[(&str, Outcome)]) {
            let heard = self.heard.0.lock().unwrap();
            let heard: Vec<_> = heard.iter().map(|(call, outcome)| (call.as_str(), *outcome)).collect();
            assert_eq!(heard, expected);
        }
    }

    async fn until(condition: impl Fn() -> bool) {
        let deadline = Instant::now() + Duration::from_secs(10);
        while !condition() {
            assert!(Instant::now() < deadline, "not in time");
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn a_chain_goes_on_after_a_call_without_target() {
        let bench = bench(9);
        bench.enqueue("op", "a - a", 9);
        until(|| bench.callbacks.in_flight() == 1).await;
        assert_eq!(bench.callbacks.pending(), 2);
        bench.land.add_permits(2);
        until(|| bench.heard.0.lock().unwrap().len() == 3).await;
        bench.heard(&[
            ("op 1", Outcome::Delivered),
            ("op 2", Outcome::Unresolved),
            ("op 3", Outcome::Delivered),
        ]);
        until(|| bench.callbacks.pending() + bench.callbacks.in_flight() == 0).await;
        assert_eq!(bench.callbacks.oldest(), Duration::ZERO);
    }

    #[tokio::test]
    async fn a_full_queue_drops_the_new_chain_as_a_whole() {
        let bench = bench(3);
        bench.enqueue("first", "a a", 3);
        bench.enqueue("second", "a a", 3);
        bench.heard(&[("second 1", Outcome::Dropped), ("second 2", Outcome::Dropped)]);
        bench.enqueue("third", "a", 3);
        bench.land.add_permits(3);
        until(|| bench.callbacks.pending() + bench.callbacks.in_flight() == 0).await;
        bench.enqueue("fourth", "a a a", 3);
        assert_eq!(bench.heard.0.lock().unwrap().len(), 5);
    }

    #[tokio::test]
    async fn records_say_what_waits_is_in_flight_and_is_done() {
        let bench = bench(9);
        bench.enqueue("op", "a a", 9);
        until(|| bench.callbacks.in_flight() == 1).await;
        let records = bench.callbacks.recent(None, 9).await;
        let states: Vec<_> = records.iter().map(|record| (&*record.callback, record.state)).collect();
        assert_eq!(states, [("1", State::InFlight), ("2", State::Waiting)]);
        bench.land.add_permits(2);
        until(|| bench.heard.0.lock().unwrap().len() == 2).await;
        let done = bench.callbacks.recent(Some(State::Done), 1).await;
        assert_eq!((&*done[0].callback, done[0].outcome), ("2", Some(Outcome::Delivered)));
        assert_eq!(done[0].chain, records[0].chain);
        assert_eq!(done[0].id, records[1].id);
        assert_eq!(done[0].url.as_deref(), Some("http://a/"));
    }

    #[tokio::test]
    async fn an_exchange_is_asked_for_its_own_calls() {
        let bench = bench(9);
        for exchange in ["one", "two"] {
            let client = Client { exchange: Some(exchange.into()), ..Client::default() };
            drop(bench.callbacks.keep(chain(exchange, "a a"), client, &config(9)));
        }
        bench.enqueue("none", "a", 9);
        until(|| bench.callbacks.in_flight() == 3).await;
        bench.land.add_permits(1);
        until(|| bench.heard.0.lock().unwrap().len() == 1).await;
        let records = bench.callbacks.of(["one".to_owned(), "three".to_owned()].into()).await;
        let calls: Vec<_> = records.iter().map(|record| (&*record.operation, &*record.callback)).collect();
        assert_eq!(calls, [("one", "1"), ("one", "2")]);
        assert_eq!(bench.callbacks.of(Default::default()).await, []);
    }

    #[tokio::test]
    async fn a_stop_waits_for_what_is_in_flight_and_says_what_was_not_sent() {
        let bench = bench(9);
        bench.enqueue("one", "a a a", 9);
        bench.enqueue("two", "b b", 9);
        until(|| bench.callbacks.in_flight() == 2).await;
        let callbacks = bench.callbacks.clone();
        let deadline = Instant::now() + Duration::from_secs(10);
        let drain = tokio::spawn(async move { callbacks.drain(deadline).await });
        until(|| bench.heard.0.lock().unwrap().len() == 3).await;
        bench.land.add_permits(2);
        let lost = vec![("one".into(), 2), ("two".into(), 1)];
        assert_eq!(drain.await.unwrap(), Stopped { kept: Lost::new(), lost });
        let heard = bench.heard.0.lock().unwrap().clone();
        assert_eq!(heard.iter().filter(|(_, outcome)| *outcome == Outcome::Delivered).count(), 2);
        bench.enqueue("late", "a", 9);
        assert_eq!(bench.heard.0.lock().unwrap().last(), Some(&("late 1".to_owned(), Outcome::Cancelled)));
        assert_eq!(bench.callbacks.pending() + bench.callbacks.in_flight(), 0);
    }

    #[tokio::test]
    async fn a_stop_gives_up_at_its_deadline() {
        let bench = bench(9);
        bench.enqueue("op", "a", 9);
        until(|| bench.callbacks.in_flight() == 1).await;
        assert_eq!(bench.callbacks.drain(Instant::now()).await, Stopped::default());
        bench.heard(&[("op 1", Outcome::Cancelled)]);
    }

    #[tokio::test]
    async fn a_new_config_is_in_force_for_what_waits() {
        let bench = bench(99);
        for _ in 0..6 {
            bench.enqueue("op", "a", 99);
        }
        until(|| bench.callbacks.in_flight() == 4).await;
        bench.callbacks.configure(&config::Callbacks { per_host: 5, ..config(99) }, None);
        until(|| bench.callbacks.in_flight() == 5).await;
    }
}
