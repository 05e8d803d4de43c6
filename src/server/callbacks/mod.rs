//! Sends the callbacks of mocked answers.
//!
//! One task owns the queue. It sleeps until a call is due, and starts a task of its own for each
//! call in flight only. The request path hands a chain over and goes on: it never waits, and what
//! becomes of the chain never changes the answer.

mod sender;

mod queue;

pub mod guard;

pub mod record;

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::future::Future;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, SystemTime};

use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::{self, JoinSet};
use tokio::time::{Instant, sleep_until};

use self::guard::Policy;
use self::queue::{Limits, Queue, Step, Turn};
pub use self::record::{Attempt, Outcome, Record, State};
use self::sender::{Report, Settings};
use super::fetch::Fetch;
use crate::config;
use crate::mock::callback::{Chain, Planned};

/// A handle to the queue; clones are of the same one.
#[derive(Clone)]
pub struct Callbacks {
    /// Bounded by what `counts` lets in.
    inbox: mpsc::UnboundedSender<Job>,
    questions: mpsc::Sender<Question>,
    settings: Arc<watch::Sender<Current>>,
    counts: Arc<Counts>,
    observer: Arc<dyn Observer>,
    own: Arc<[SocketAddr]>,
}

/// Hears of each attempt and each call's end: the metrics.
pub trait Observer: Send + Sync + 'static {
    /// `code` is a status, or the word for why there is none.
    fn attempt(&self, operation: &str, callback: &str, code: &str, seconds: f64);

    fn outcome(&self, operation: &str, callback: &str, outcome: Outcome);
}

/// Whose request it was.
#[derive(Debug, Clone, Default)]
pub struct Client {
    /// Where its connection came from; none for a unix socket.
    pub peer: Option<IpAddr>,
    /// The journal's id of the exchange.
    pub exchange: Option<Arc<str>>,
}

/// A chain on its way, and how the config in force at its answer paces it.
struct Job {
    chain: Chain,
    client: Client,
    delay: Duration,
    order: config::Order,
}

/// What the config says now.
#[derive(Clone)]
struct Current {
    settings: Arc<Settings>,
    limits: Limits,
}

struct Counts {
    /// Calls that are not done.
    taken: AtomicUsize,
    flying: AtomicUsize,
    start: Instant,
    /// Milliseconds from `start` to the beginning of the oldest chain; none: `u64::MAX`.
    oldest: AtomicU64,
}

enum Question {
    Recent { state: Option<State>, limit: usize, reply: oneshot::Sender<Vec<Record>> },
    Of { exchanges: HashSet<String>, reply: oneshot::Sender<Vec<Record>> },
    Drain { deadline: Instant, reply: oneshot::Sender<Lost> },
}

/// Calls that were not sent, by operation.
pub type Lost = Vec<(Arc<str>, usize)>;

/// Calls that are done and still shown.
const SHOWN: usize = 1000;

/// Characters of a URL that are shown.
const URL: usize = 2048;

impl Callbacks {
    /// Starts the queue's task on the current runtime. `own` is what Standin listens on.
    pub fn start(config: &config::Callbacks, own: Vec<SocketAddr>, observer: Arc<dyn Observer>) -> Callbacks {
        let (callbacks, task) = Self::new(config, own, observer);
        tokio::spawn(task);
        callbacks
    }

    /// The same with the queue's task, which the caller runs. Until it does, nothing is sent.
    pub fn new(
        config: &config::Callbacks,
        own: Vec<SocketAddr>,
        observer: Arc<dyn Observer>,
    ) -> (Callbacks, impl Future<Output = ()> + Send + 'static) {
        let fetch = Arc::new(Fetch::new());
        Self::new_with(config, own, observer, move |job, call, settings| {
            let fetch = fetch.clone();
            async move { sender::send(&fetch, &settings, &job.chain, call, job.client.peer).await }
        })
    }

    fn new_with<S, F>(
        config: &config::Callbacks,
        own: Vec<SocketAddr>,
        observer: Arc<dyn Observer>,
        send: S,
    ) -> (Callbacks, impl Future<Output = ()> + Send + 'static)
    where
        S: Fn(Arc<Job>, usize, Arc<Settings>) -> F + Send + 'static,
        F: Future<Output = Report> + Send + 'static,
    {
        let own: Arc<[SocketAddr]> = own.into();
        let current = Current::of(config, &own);
        let (inbox, jobs) = mpsc::unbounded_channel();
        let (questions, asked) = mpsc::channel(16);
        let counts = Arc::new(Counts {
            taken: AtomicUsize::new(0),
            flying: AtomicUsize::new(0),
            start: Instant::now(),
            oldest: AtomicU64::new(u64::MAX),
        });
        let queue = Queue::new(current.limits);
        let (settings, current) = watch::channel(current);
        let task = Task {
            queue,
            current,
            flights: JoinSet::new(),
            turns: HashMap::new(),
            done: VecDeque::new(),
            run: alphanumerics(4),
            counts: counts.clone(),
            observer: observer.clone(),
            send,
        };
        let callbacks = Callbacks { inbox, questions, settings: Arc::new(settings), counts, observer, own };
        (callbacks, task.run(jobs, asked))
    }

    /// Hands the calls of an answer over, paced by the config in force at that answer.
    ///
    /// Never waits. If there is no room for the whole chain, it is dropped, counted and logged.
    pub fn enqueue(&self, chain: Chain, client: Client, config: &config::Callbacks) {
        let calls = chain.calls.len();
        if !config.enabled || calls == 0 {
            return;
        }
        if !self.counts.take(calls, config.queue) {
            return self.refuse(&chain, Outcome::Dropped, "the queue is full; `callbacks.queue` bounds it");
        }
        let job = Job { chain, client, delay: config.delay, order: config.order };
        if let Err(mpsc::error::SendError(job)) = self.inbox.send(job) {
            self.counts.taken.fetch_sub(calls, Ordering::Relaxed);
            self.refuse(&job.chain, Outcome::Cancelled, "stopping");
        }
    }

    fn refuse(&self, chain: &Chain, outcome: Outcome, reason: &str) {
        for planned in &chain.calls {
            tell(&*self.observer, chain, planned, &Report::new(outcome, reason.to_owned()));
        }
    }

    /// Puts a new config in force, for the calls that wait too. A chain keeps its pace.
    pub fn configure(&self, config: &config::Callbacks) {
        self.settings.send_replace(Current::of(config, &self.own));
    }

    /// Sends nothing more, waits for what is in flight until `deadline`, and ends the task.
    ///
    /// Returns the calls that were not sent. They are counted as cancelled, but not logged.
    pub async fn drain(&self, deadline: Instant) -> Lost {
        let (reply, lost) = oneshot::channel();
        if self.questions.send(Question::Drain { deadline, reply }).await.is_err() {
            return Lost::new();
        }
        lost.await.unwrap_or_default()
    }

    /// The newest first: those that wait or are in flight, then those that are done.
    pub async fn recent(&self, state: Option<State>, limit: usize) -> Vec<Record> {
        let (reply, records) = oneshot::channel();
        if self.questions.send(Question::Recent { state, limit, reply }).await.is_err() {
            return Vec::new();
        }
        records.await.unwrap_or_default()
    }

    /// The calls that these exchanges of the journal started: those that are done and still shown, the
    /// oldest first, then those that are not.
    pub async fn of(&self, exchanges: HashSet<String>) -> Vec<Record> {
        let (reply, records) = oneshot::channel();
        if self.questions.send(Question::Of { exchanges, reply }).await.is_err() {
            return Vec::new();
        }
        records.await.unwrap_or_default()
    }

    /// Calls that wait: for their time, for the one before them, or for room.
    pub fn pending(&self) -> usize {
        self.counts.taken.load(Ordering::Relaxed).saturating_sub(self.in_flight())
    }

    pub fn in_flight(&self) -> usize {
        self.counts.flying.load(Ordering::Relaxed)
    }

    /// How long ago the oldest chain began that is not done; zero if there is none.
    pub fn oldest(&self) -> Duration {
        match self.counts.oldest.load(Ordering::Relaxed) {
            u64::MAX => Duration::ZERO,
            began => self.counts.start.elapsed().saturating_sub(Duration::from_millis(began)),
        }
    }
}

impl Current {
    fn of(config: &config::Callbacks, own: &[SocketAddr]) -> Self {
        let settings = Settings {
            policy: Policy::new(config, own),
            base: config.base_url.clone(),
            timeout: config.timeout,
        };
        let limits = Limits { concurrency: config.concurrency, per_host: config.per_host };
        Current { settings: Arc::new(settings), limits }
    }
}

impl Counts {
    /// Takes room for `calls` more, if that is within `bound`.
    fn take(&self, calls: usize, bound: usize) -> bool {
        let more = |taken: usize| taken.checked_add(calls).filter(|taken| *taken <= bound);
        self.taken.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).is_ok()
    }
}

/// The owner of the queue.
struct Task<S> {
    queue: Queue<Arc<Job>>,
    current: watch::Receiver<Current>,
    flights: JoinSet<Report>,
    turns: HashMap<task::Id, Turn>,
    /// The last calls that are done, the newest at the end.
    done: VecDeque<Record>,
    /// Tells the ids of this run from those of others.
    run: String,
    counts: Arc<Counts>,
    observer: Arc<dyn Observer>,
    send: S,
}

/// A stop under way.
struct Stop {
    deadline: Instant,
    reply: oneshot::Sender<Lost>,
    lost: Lost,
}

impl<S, F> Task<S>
where
    S: Fn(Arc<Job>, usize, Arc<Settings>) -> F,
    F: Future<Output = Report> + Send + 'static,
{
    async fn run(mut self, mut inbox: mpsc::UnboundedReceiver<Job>, mut questions: mpsc::Receiver<Question>) {
        let mut stop: Option<Stop> = None;
        loop {
            self.start_what_is_due();
            if stop.is_some() && self.flights.is_empty() {
                break;
            }
            let wake = stop.as_ref().map(|stop| stop.deadline).or_else(|| self.queue.wake());
            tokio::select! {
                Some(job) = inbox.recv(), if stop.is_none() => self.push(job),
                Some(flight) = self.flights.join_next_with_id() => self.landed(flight),
                () = sleep_until(wake.unwrap_or_else(Instant::now)), if wake.is_some() => {
                    if stop.is_some() {
                        self.flights.abort_all();
                        while let Some(flight) = self.flights.join_next_with_id().await {
                            self.landed(flight);
                        }
                    }
                }
                Ok(()) = self.current.changed() => {
                    let limits = self.current.borrow_and_update().limits;
                    self.queue.limit(limits);
                }
                question = questions.recv() => match question {
                    Some(Question::Recent { state, limit, reply }) => {
                        let _ = reply.send(self.recent(state, limit));
                    }
                    Some(Question::Of { exchanges, reply }) => {
                        let _ = reply.send(self.of(&exchanges));
                    }
                    Some(Question::Drain { deadline, reply }) if stop.is_none() => {
                        inbox.close();
                        while let Some(job) = inbox.recv().await {
                            self.push(job);
                        }
                        stop = Some(Stop { deadline, reply, lost: self.cancel() });
                    }
                    Some(Question::Drain { .. }) => {}
                    // Nobody is left to hand over or to stop.
                    None => break,
                },
            }
        }
        if let Some(stop) = stop {
            let _ = stop.reply.send(stop.lost);
        }
    }

    fn push(&mut self, job: Job) {
        let (order, delay, job) = (job.order, job.delay, Arc::new(job));
        let base = self.current.borrow().settings.base.clone();
        let steps = job.chain.calls.iter().map(|planned| Step {
            wait: planned.wait.unwrap_or(delay),
            lane: planned.target.as_ref().ok().map(|url| lane(url, base.as_ref()).into()),
        });
        self.queue.push(Instant::now(), order, steps, job.clone());
        self.count();
    }

    fn start_what_is_due(&mut self) {
        while let Some(turn) = self.queue.next(Instant::now()) {
            let Some(job) = self.queue.get(turn.chain).cloned() else { continue };
            match &job.chain.calls[turn.call].target {
                Err(unresolved) => self.finish(turn, Report::unresolved(unresolved)),
                Ok(_) => {
                    let settings = self.current.borrow().settings.clone();
                    let flight = self.flights.spawn((self.send)(job, turn.call, settings));
                    self.turns.insert(flight.id(), turn);
                }
            }
        }
        self.count();
    }

    fn landed(&mut self, flight: Result<(task::Id, Report), task::JoinError>) {
        let (id, report) = match flight {
            Ok((id, report)) => (id, report),
            Err(error) if error.is_cancelled() => {
                let reason = "stopped before the receiver answered";
                (error.id(), Report::new(Outcome::Cancelled, reason.to_owned()))
            }
            Err(error) => {
                (error.id(), Report::new(Outcome::Failed, "a defect in Standin; see its log".into()))
            }
        };
        if let Some(turn) = self.turns.remove(&id) {
            self.finish(turn, report);
        }
        self.count();
    }

    fn finish(&mut self, turn: Turn, report: Report) {
        let Some(job) = self.queue.get(turn.chain).cloned() else { return };
        let planned = &job.chain.calls[turn.call];
        tell(&*self.observer, &job.chain, planned, &report);
        self.counts.taken.fetch_sub(1, Ordering::Relaxed);
        if self.done.len() == SHOWN {
            self.done.pop_front();
        }
        let record = Record {
            outcome: Some(report.outcome),
            reason: report.reason,
            attempts: report.attempts,
            ..self.record(turn, &job, State::Done, report.url.as_deref())
        };
        self.done.push_back(record);
        self.queue.finished(Instant::now(), turn);
    }

    /// Gives up what is not in flight. The chains' own lines in the log would be too many.
    fn cancel(&mut self) -> Lost {
        let mut lost: BTreeMap<Arc<str>, usize> = BTreeMap::new();
        for turn in self.queue.cancel() {
            let Some(job) = self.queue.get(turn.chain) else { continue };
            let operation = &job.chain.operation;
            self.observer.outcome(operation, &job.chain.calls[turn.call].callback, Outcome::Cancelled);
            self.counts.taken.fetch_sub(1, Ordering::Relaxed);
            *lost.entry(operation.clone()).or_default() += 1;
        }
        lost.into_iter().collect()
    }

    fn count(&self) {
        let began = |oldest: Instant| oldest.saturating_duration_since(self.counts.start).as_millis();
        let oldest = self.queue.oldest().map_or(u64::MAX, |oldest| began(oldest) as u64);
        self.counts.oldest.store(oldest, Ordering::Relaxed);
        self.counts.flying.store(self.queue.flying(), Ordering::Relaxed);
    }

    fn recent(&self, state: Option<State>, limit: usize) -> Vec<Record> {
        let going = self.queue.calls().filter(|(.., going)| state.is_none_or(|state| state == shown(*going)));
        let going = going.map(|(turn, job, going)| self.going(turn, job, going));
        let done = self.done.iter().rev().filter(|record| state.is_none_or(|state| state == record.state));
        going.chain(done.cloned()).take(limit).collect()
    }

    fn of(&self, exchanges: &HashSet<String>) -> Vec<Record> {
        let done = self
            .done
            .iter()
            .filter(|record| record.exchange.as_ref().is_some_and(|exchange| exchanges.contains(exchange)));
        let going = self.queue.calls().filter(|(_, job, _)| {
            job.client.exchange.as_deref().is_some_and(|exchange| exchanges.contains(exchange))
        });
        let going = going.map(|(turn, job, going)| self.going(turn, job, going));
        done.cloned().chain(going).collect()
    }

    fn going(&self, turn: Turn, job: &Job, going: queue::State) -> Record {
        let due = match going {
            queue::State::Due(due) => Some(SystemTime::now() + due.saturating_duration_since(Instant::now())),
            _ => None,
        };
        Record { due, ..self.record(turn, job, shown(going), None) }
    }

    /// `url`: where it went, if it did.
    fn record(&self, turn: Turn, job: &Job, state: State, url: Option<&str>) -> Record {
        let planned = &job.chain.calls[turn.call];
        let url = url.or(planned.target.as_deref().ok());
        Record {
            id: format!("call_{}-{}-{}", self.run, turn.chain, turn.call + 1),
            chain: format!("chain_{}-{}", self.run, turn.chain),
            exchange: job.client.exchange.as_deref().map(str::to_owned),
            operation: job.chain.operation.to_string(),
            callback: planned.callback.to_string(),
            url: url.map(|url| url.chars().take(URL).collect()),
            state,
            outcome: None,
            reason: None,
            due: None,
            attempts: Vec::new(),
        }
    }
}

/// The state of a call that the queue still has.
fn shown(going: queue::State) -> State {
    match going {
        queue::State::Flying => State::InFlight,
        queue::State::Due(_) | queue::State::Behind | queue::State::Done => State::Waiting,
    }
}

/// The receiver of a URL that is not rendered yet. Those whose receiver is not known share a lane.
fn lane(url: &str, base: Option<&url::Url>) -> String {
    guard::target(url, base).map(|target| target.lane()).unwrap_or_default()
}

/// Counts and logs the end of a call.
fn tell(observer: &dyn Observer, chain: &Chain, planned: &Planned, report: &Report) {
    let (operation, callback) = (&*chain.operation, &*planned.callback);
    for attempt in &report.attempts {
        observer.attempt(operation, callback, &attempt.code.to_string(), attempt.duration.as_secs_f64());
    }
    observer.outcome(operation, callback, report.outcome);
    let (attempts, outcome) = (report.attempts.len(), report.outcome.word());
    let duration: Duration = report.attempts.iter().map(|attempt| attempt.duration).sum();
    let duration_ms = duration.as_millis() as u64;
    let host = report.host.as_deref();
    let reason = report.reason.as_deref();
    if report.outcome == Outcome::Delivered {
        tracing::info!(operation, callback, host, attempts, duration_ms, outcome, "callback delivered");
    } else {
        tracing::warn!(
            operation,
            callback,
            host,
            attempts,
            duration_ms,
            outcome,
            reason,
            "callback not delivered"
        );
    }
}

fn alphanumerics(count: usize) -> String {
    std::iter::repeat_with(fastrand::alphanumeric).take(count).collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use tokio::sync::Semaphore;

    use super::*;

    #[derive(Default)]
    struct Heard(Mutex<Vec<(String, Outcome)>>);

    impl Observer for Heard {
        fn attempt(&self, _: &str, _: &str, _: &str, _: f64) {}

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
        config::Callbacks {
            enabled: true,
            delay: Duration::ZERO,
            order: config::Order::Finished,
            timeout: Duration::from_secs(10),
            allow: Vec::new(),
            deny: Vec::new(),
            per_host: 4,
            concurrency: 64,
            queue,
            base_url: None,
        }
    }

    fn bench(queue: usize) -> Bench {
        let heard = Arc::new(Heard::default());
        let land = Arc::new(Semaphore::new(0));
        let landing = land.clone();
        let send = move |_: Arc<Job>, _: usize, _: Arc<Settings>| {
            let landing = landing.clone();
            async move {
                landing.acquire_owned().await.unwrap().forget();
                let host = Some("a:80".to_owned());
                Report { outcome: Outcome::Delivered, reason: None, url: None, host, attempts: Vec::new() }
            }
        };
        let (callbacks, task) = Callbacks::new_with(&config(queue), Vec::new(), heard.clone(), send);
        tokio::spawn(task);
        Bench { callbacks, heard, land }
    }

    /// The chain of an answer whose document has a callback a word, to `http://word/`; `-` has no
    /// target. Calls are named by number.
    fn chain(operation: &str, calls: &str) -> Chain {
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
            self.callbacks.enqueue(chain(operation, calls), Client::default(), &config(queue));
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
            let client = Client { peer: None, exchange: Some(exchange.into()) };
            bench.callbacks.enqueue(chain(exchange, "a a"), client, &config(9));
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
        assert_eq!(drain.await.unwrap(), [("one".into(), 2), ("two".into(), 1)]);
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
        assert_eq!(bench.callbacks.drain(Instant::now()).await, []);
        bench.heard(&[("op 1", Outcome::Cancelled)]);
    }

    #[tokio::test]
    async fn a_new_config_is_in_force_for_what_waits() {
        let bench = bench(99);
        for _ in 0..6 {
            bench.enqueue("op", "a", 99);
        }
        until(|| bench.callbacks.in_flight() == 4).await;
        bench.callbacks.configure(&config::Callbacks { per_host: 5, ..config(99) });
        until(|| bench.callbacks.in_flight() == 5).await;
    }
}
