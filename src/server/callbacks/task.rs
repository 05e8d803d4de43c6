//! The owner of the queue: starts what is due, and settles what became of it.

use std::collections::{HashMap, HashSet, VecDeque};
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, SystemTime};

use tokio::sync::{Notify, mpsc, oneshot, watch};
use tokio::task::{self, JoinSet};
use tokio::time::{Instant, sleep_until};
use url::Url;

use super::queue::{self, Hold, Left, Queue, Rested, Step, Turn};
use super::record::{Attempt, Code, Outcome, Record, State};
use super::retry::{self, Verdict};
use super::saved::{self, Note, SavedAttempt, since_epoch};
use super::sender::{End, Flight, Report, Settings};
use super::store::{Kept, Store, Stored};
use super::{COMMIT, Counts, Current, Job, Lost, Observer, Stopped, guard};
use crate::config;
use crate::mock::callback::{Call, Chain, Planned};
use crate::mock::violation::Violation;
use crate::server::fetch::Sent;

/// What the handle asks of the task.
pub(super) enum Question {
    Recent { state: Option<State>, limit: usize, reply: oneshot::Sender<Vec<Record>> },
    Of { exchanges: HashSet<String>, reply: oneshot::Sender<Vec<Record>> },
    One { id: String, reply: oneshot::Sender<Option<Detail>> },
    Retry { id: String, reply: oneshot::Sender<Result<Record, Refused>> },
    Cancel { id: String, reply: oneshot::Sender<Result<Record, Refused>> },
    Pause { paused: bool, reply: oneshot::Sender<()> },
    Drain { deadline: Instant, reply: oneshot::Sender<Stopped> },
}

pub(super) struct Task<S> {
    queue: Queue<Going>,
    current: watch::Receiver<Current>,
    flights: JoinSet<Report>,
    turns: HashMap<task::Id, Turn>,
    /// Of calls that were tried, and are not done.
    tried: HashMap<Turn, Tried>,
    flying: HashMap<Turn, Flying>,
    /// In flight, and given up: however that ends.
    cancelled: HashSet<Turn>,
    /// The last calls that are done, the newest at the end.
    done: VecDeque<Done>,
    /// Bytes of what is kept of them.
    kept: usize,
    counts: Arc<Counts>,
    observer: Arc<dyn Observer>,
    lanes: LastLane,
    store: Arc<dyn Store>,
    /// Told when the store has lost what it was told.
    lost: Arc<Notify>,
    /// Nothing begins any more.
    stopping: bool,
    send: S,
}

/// An attempt that is under way.
struct Flying {
    abort: task::AbortHandle,
    at: SystemTime,
    begun: Instant,
}

/// A chain in the queue, or one call of it that is sent once more.
#[derive(Clone)]
struct Going {
    job: Arc<Job>,
    again: Option<usize>,
}

/// What is known of a call since its first attempt began.
#[derive(Default)]
struct Tried {
    /// When that was: milliseconds since the Unix epoch.
    now: Option<i64>,
    /// As it was rendered: each attempt sends the same bytes.
    call: Option<Arc<Call>>,
    url: Option<String>,
    host: Option<String>,
    attempts: Vec<Attempt>,
    /// What the schedule counts: those since it was sent by hand, if it was.
    tries: usize,
    /// What the last one was answered with.
    answer: Option<Sent>,
    violations: Vec<Violation>,
}

/// A call that is done.
struct Done {
    record: Record,
    /// None: it was forgotten first.
    rest: Option<Rest>,
}

/// What sends a call once more.
struct Rest {
    job: Arc<Job>,
    index: usize,
    now: Option<i64>,
    call: Option<Arc<Call>>,
    answer: Option<Sent>,
    bytes: usize,
}

/// A call with what was sent and answered.
pub struct Detail {
    pub record: Record,
    /// None: it is not rendered yet, or was forgotten.
    pub call: Option<Arc<Call>>,
    /// To the last attempt.
    pub answer: Option<Sent>,
}

/// Why a call is not sent, or given up, as somebody asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    #[error("there is no such callback (any more)")]
    Unknown,
    #[error("Standin is stopping")]
    Stopping,
    #[error("it is in flight")]
    InFlight,
    #[error("it waits behind another callback of its chain")]
    Behind,
    #[error("it is done")]
    Done,
    #[error("it has no target")]
    Nowhere,
    #[error("what it sent has been forgotten")]
    Forgotten,
}

/// The end of a call, as it is told.
pub(super) struct Ended<'e> {
    pub outcome: Outcome,
    pub reason: Option<&'e str>,
    /// `host:port`
    pub host: Option<&'e str>,
    pub attempts: &'e [Attempt],
}

/// A stop under way.
struct Stop {
    deadline: Instant,
    reply: oneshot::Sender<Stopped>,
    given_up: Vec<GivenUp>,
}

/// A call that this process does not send.
struct GivenUp {
    /// The name of its chain in the store.
    chain: String,
    operation: Arc<str>,
    callback: Arc<str>,
}

const BY_HAND: &str = "cancelled at the admin port";

/// Chains that are taken at once, before anything is sent.
const TOGETHER: usize = 256;

/// How long chains gather that come while one has just been taken; one that comes alone waits for nothing.
const GATHER: Duration = Duration::from_millis(1);

/// Calls that are done and still shown.
const SHOWN: usize = 1000;

/// Bytes of requests and answers that are kept of them.
const KEPT: usize = 32 << 20;

/// Bytes of a request, of an answer's fields and body, and of its violations, that are kept while a call waits
/// to be tried again.
const LIGHT: usize = 1024;

/// Attempts of a call that are shown: as many as a schedule has, and some by hand.
const ATTEMPTS: usize = 128;

/// Violations of one answer that are shown.
const TOLD: usize = 5;

/// No attempt waits for longer, whatever the clock says: a day, and what chance adds.
const LONGEST: Duration = Duration::from_secs(2 * 24 * 60 * 60);

/// Characters of a URL that are shown.
const URL: usize = 2048;

impl<S, F> Task<S>
where
    S: Fn(Flight, Arc<Settings>) -> F,
    F: Future<Output = Report> + Send + 'static,
{
    pub fn new(
        current: watch::Receiver<Current>,
        counts: Arc<Counts>,
        observer: Arc<dyn Observer>,
        store: Arc<dyn Store>,
        lost: Arc<Notify>,
        send: S,
    ) -> Self {
        let queue = Queue::new(current.borrow().limits);
        Task {
            queue,
            current,
            flights: JoinSet::new(),
            turns: HashMap::new(),
            tried: HashMap::new(),
            flying: HashMap::new(),
            cancelled: HashSet::new(),
            done: VecDeque::new(),
            kept: 0,
            counts,
            observer,
            lanes: LastLane::default(),
            store,
            lost,
            stopping: false,
            send,
        }
    }

    /// Goes on with what another process left. What can't be read, or finds no room, stays in the store.
    pub fn take_up(&mut self, stored: Vec<Stored>, config: &config::Callbacks) {
        if !config.enabled && !stored.is_empty() {
            tracing::warn!(
                chains = stored.len(),
                "callbacks that were kept wait until `callbacks.enabled` is true at a start"
            );
            return;
        }
        let (mut chains, mut calls, mut full) = (Vec::new(), 0, 0);
        for stored in stored {
            match saved::read(&stored.bytes) {
                Ok((job, again)) => chains.push((job, again, stored.notes)),
                Err(error) => tracing::error!(
                    chain = stored.chain,
                    %error,
                    "a chain of callbacks that was kept can't be read; it stays in `callbacks.store`"
                ),
            }
        }
        chains.sort_by_key(|(job, ..)| job.at);
        for (job, again, notes) in chains {
            match self.take_up_one(job, again, &notes, config) {
                Some(taken) => calls += taken,
                None => full += 1,
            }
        }
        if calls > 0 {
            tracing::info!(callbacks = calls, "callbacks that were kept go on");
        }
        if full > 0 {
            tracing::warn!(
                chains = full,
                "chains of callbacks that were kept find no room, and wait for the next start: see `callbacks.queue` and `callbacks.memory`"
            );
        }
        self.count();
    }

    /// How many calls of it are not done; none: there is no room for them.
    fn take_up_one(
        &mut self,
        job: Job,
        again: Option<usize>,
        notes: &[(usize, Vec<u8>)],
        config: &config::Callbacks,
    ) -> Option<usize> {
        let mut noted: Vec<Option<Note>> = job.chain.calls.iter().map(|_| None).collect();
        for (index, bytes) in notes {
            // Without its note a call is sent as if it had not been.
            if let (Some(place), Ok(note)) = (noted.get_mut(*index), Note::read(bytes)) {
                *place = Some(note);
            }
        }
        let left = left(&job, again, &noted);
        let going = Going { job: Arc::new(job), again };
        let calls = left.iter().filter(|left| **left != Left::Done).count();
        if calls == 0 {
            self.store.forget(going.name());
            return Some(0);
        }
        if !self.counts.take_calls(calls, config.queue) {
            return None;
        }
        if !self.counts.take_bytes(going.job.bytes, config.memory) {
            self.counts.taken.fetch_sub(calls, Ordering::Relaxed);
            return None;
        }
        let base = self.current.borrow().settings.base.clone();
        let job = going.job.clone();
        let steps = steps(&job, base.as_ref(), &mut self.lanes).zip(left);
        let now = Instant::now();
        let age = SystemTime::now().duration_since(job.at).unwrap_or_default();
        let begun = now.checked_sub(age).unwrap_or(now);
        let number = self.queue.take_up(now, begun, job.pace.order, steps, going);
        for (call, note) in noted.into_iter().enumerate() {
            let turn = Turn { chain: number, call };
            let Some(note) = note.filter(|_| self.queue.state(turn) != Some(queue::State::Done)) else {
                continue;
            };
            let attempts = note.attempts.iter().map(SavedAttempt::restore).collect();
            let tried = Tried { now: note.now, attempts, tries: note.tries, ..Tried::default() };
            self.tried.insert(turn, tried);
        }
        Some(calls)
    }

    pub async fn run(
        mut self,
        mut inbox: mpsc::UnboundedReceiver<Arc<Job>>,
        mut questions: mpsc::Receiver<Question>,
    ) {
        let mut stop: Option<Stop> = None;
        let mut jobs = Vec::new();
        // Set anew only if it is for another time, since most chains wait for as long.
        let mut alarm = std::pin::pin!(sleep_until(Instant::now()));
        // Until then chains gather: not each answer wakes this task.
        let mut gathered = std::pin::pin!(sleep_until(Instant::now()));
        loop {
            self.start_what_is_due();
            if stop.is_some() && self.flights.is_empty() {
                break;
            }
            let wake = stop.as_ref().map(|stop| stop.deadline).or_else(|| self.queue.wake());
            if let Some(wake) = wake.filter(|wake| *wake != alarm.deadline()) {
                alarm.as_mut().reset(wake);
            }
            tokio::select! {
                taken @ 1.. = inbox.recv_many(&mut jobs, TOGETHER), if stop.is_none() && gathered.is_elapsed() => {
                    if taken < TOGETHER {
                        gathered.as_mut().reset(Instant::now() + GATHER);
                    }
                    self.push(&mut jobs);
                }
                () = &mut gathered, if !gathered.is_elapsed() => {}
                Some(flight) = self.flights.join_next_with_id() => self.landed(flight),
                () = &mut alarm, if wake.is_some() => {
                    if let Some(stop) = &mut stop {
                        self.flights.abort_all();
                        while let Some(flight) = self.flights.join_next_with_id().await {
                            self.cut(flight, &mut stop.given_up);
                        }
                    }
                }
                () = self.lost.notified() => self.keep_again(),
                Ok(()) = self.current.changed() => {
                    let limits = self.current.borrow_and_update().limits;
                    self.queue.limit(Instant::now(), limits);
                }
                question = questions.recv() => match question {
                    Some(Question::Recent { state, limit, reply }) => {
                        let _ = reply.send(self.recent(state, limit));
                    }
                    Some(Question::Of { exchanges, reply }) => {
                        let _ = reply.send(self.of(&exchanges));
                    }
                    Some(Question::One { id, reply }) => drop(reply.send(self.one(&id))),
                    Some(Question::Retry { id, reply }) => drop(reply.send(self.retry(&id))),
                    Some(Question::Cancel { id, reply }) => drop(reply.send(self.cancel_one(&id))),
                    Some(Question::Pause { paused, reply }) => {
                        self.queue.pause(paused);
                        self.counts.paused.store(paused, Ordering::Relaxed);
                        let _ = reply.send(());
                    }
                    Some(Question::Drain { deadline, reply }) if stop.is_none() => {
                        inbox.close();
                        while inbox.recv_many(&mut jobs, TOGETHER).await > 0 {
                            self.push(&mut jobs);
                        }
                        self.stopping = true;
                        stop = Some(Stop { deadline, reply, given_up: Vec::new() });
                        self.give_up(&mut stop);
                    }
                    Some(Question::Drain { .. }) => {}
                    // Nobody is left to hand over or to stop.
                    None => break,
                },
            }
        }
        // What was in flight, and waits to be tried again.
        self.give_up(&mut stop);
        let (reply, given_up) = match stop {
            Some(stop) => (Some(stop.reply), stop.given_up),
            None => (None, Vec::new()),
        };
        let stopped = self.close(given_up).await;
        if let Some(reply) = reply {
            let _ = reply.send(stopped);
        }
    }

    /// What of it is kept, and what is lost.
    async fn close(self, given_up: Vec<GivenUp>) -> Stopped {
        let chains: HashSet<String> = given_up.iter().map(|call| call.chain.clone()).collect();
        let missing = self.store.close(chains.iter().cloned().collect());
        let missing = match tokio::time::timeout(COMMIT, missing).await {
            Ok(Ok(missing)) => missing.into_iter().collect(),
            _ => chains,
        };
        let mut stopped = Stopped::default();
        for GivenUp { chain, operation, callback } in given_up {
            if missing.contains(&chain) {
                if self.store.outlives() {
                    self.observer.outcome(&operation, &callback, Outcome::Cancelled);
                }
                add(&mut stopped.lost, &operation);
            } else {
                add(&mut stopped.kept, &operation);
            }
        }
        stopped
    }

    /// Tells the store all that it should have.
    fn keep_again(&self) {
        // What is given up at a stop would look as if it were done.
        if self.stopping {
            return;
        }
        let mut chains = 0;
        for (number, going) in self.queue.chains() {
            self.store.keep(going.name(), saved::write(&going.job, going.again));
            for call in 0..going.job.chain.calls.len() {
                let turn = Turn { chain: number, call };
                if let Some(note) = self.note_of(turn) {
                    self.store.note(going.name(), call, note.write());
                }
            }
            chains += 1;
        }
        tracing::warn!(chains, "callbacks that wait are kept anew");
    }

    /// How far a call is; none: its turn has not come.
    fn note_of(&self, turn: Turn) -> Option<Note> {
        let note = self.tried.get(&turn).map_or_else(Note::default, Tried::note);
        match self.queue.state(turn)? {
            queue::State::Behind => None,
            queue::State::Flying => Some(note),
            queue::State::Due(due) => {
                let wait = due.saturating_duration_since(Instant::now());
                Some(note.due_in(wait))
            }
            queue::State::Done => Some(Note::done()),
        }
    }

    fn push(&mut self, jobs: &mut Vec<Arc<Job>>) {
        let base = self.current.borrow().settings.base.clone();
        let now = Instant::now();
        for job in jobs.drain(..) {
            let going = Going { job: job.clone(), again: None };
            let steps = steps(&job, base.as_ref(), &mut self.lanes);
            self.queue.push(now, job.pace.order, steps, going);
        }
        self.count();
    }

    fn start_what_is_due(&mut self) {
        if self.stopping {
            return;
        }
        while let Some(turn) = self.queue.next(Instant::now()) {
            let Some(going) = self.queue.get(turn.chain).cloned() else { continue };
            match &going.job.chain.calls[turn.call].target {
                Err(unresolved) => self.finish(turn, Outcome::Unresolved, Some(unresolved.to_string())),
                Ok(_) => {
                    let settings = self.current.borrow().settings.clone();
                    let (now, kept) = self.begun(turn, &going);
                    let call = self.tried.get(&turn).and_then(|tried| tried.call.clone());
                    let Going { job, .. } = going;
                    let moment = job.moment(turn.call, now);
                    let flight = (self.send)(Flight { job, index: turn.call, call, moment }, settings);
                    let flight = self.flights.spawn(async move {
                        kept.within(COMMIT).await;
                        flight.await
                    });
                    self.turns.insert(flight.id(), turn);
                    let (at, begun) = (SystemTime::now(), Instant::now());
                    self.flying.insert(turn, Flying { abort: flight, at, begun });
                }
            }
        }
        self.count();
    }

    /// When the first attempt of a call began, and when that is kept: an attempt after a restart sends the
    /// same bytes.
    fn begun(&mut self, turn: Turn, going: &Going) -> (i64, Kept) {
        let tried = self.tried.entry(turn).or_default();
        if let Some(now) = tried.now {
            return (now, Kept::done());
        }
        let now = i64::try_from(since_epoch(SystemTime::now())).unwrap_or(i64::MAX);
        tried.now = Some(now);
        if !self.store.outlives() || !going.job.chain.calls[turn.call].tells_time() {
            return (now, Kept::done());
        }
        let note = Note { now: Some(now), ..Note::default() };
        (now, self.store.note(going.name(), turn.call, note.write()))
    }

    fn landed(&mut self, flight: Result<(task::Id, Report), task::JoinError>) {
        let (id, report) = match flight {
            Ok((id, report)) => (id, Ok(report)),
            Err(error) if error.is_cancelled() => {
                (error.id(), Err((Outcome::Cancelled, "cancelled before the receiver answered")))
            }
            Err(error) => (error.id(), Err((Outcome::Failed, "a defect in Standin; see its log"))),
        };
        if let Some(turn) = self.turns.remove(&id) {
            let flying = self.flying.remove(&turn);
            let is_cancelled = self.cancelled.remove(&turn);
            match report {
                Ok(report) if !is_cancelled || report.has_delivered() => self.settle(turn, report),
                Ok(_) => self.cut_off(turn, flying, BY_HAND),
                Err((Outcome::Cancelled, _)) if is_cancelled => self.cut_off(turn, flying, BY_HAND),
                Err((Outcome::Cancelled, reason)) => self.cut_off(turn, flying, reason),
                Err((outcome, reason)) => self.finish(turn, outcome, Some(reason.to_owned())),
            }
        }
        self.count();
    }

    /// What is in flight when the stop's time is over: what is kept is sent again by the next process.
    fn cut(&mut self, flight: Result<(task::Id, Report), task::JoinError>, given_up: &mut Vec<GivenUp>) {
        let turn = match &flight {
            Err(error) if error.is_cancelled() && self.store.outlives() => {
                let turn = self.turns.get(&error.id()).copied();
                turn.filter(|turn| !self.cancelled.contains(turn))
            }
            _ => None,
        };
        let Some(turn) = turn else { return self.landed(flight) };
        self.turns.retain(|_, other| *other != turn);
        let Some(going) = self.queue.get(turn.chain) else { return };
        self.counts.taken.fetch_sub(1, Ordering::Relaxed);
        given_up.push(going.given_up(turn.call));
    }

    /// An attempt that somebody ended. Its receiver may have had it.
    fn cut_off(&mut self, turn: Turn, flying: Option<Flying>, reason: &str) {
        if let (Some(Flying { at, begun, .. }), Some(going)) = (flying, self.queue.get(turn.chain)) {
            let (code, error) = (Code::word("reset"), Some("it was cancelled under way".to_owned()));
            let attempt = Attempt::new(at, code, error, begun.elapsed());
            let chain = &going.job.chain;
            let seconds = attempt.duration.as_secs_f64();
            let callback = chain.calls[turn.call].callback();
            self.observer.attempt(&chain.operation, callback, &code.to_string(), seconds);
            self.tried.entry(turn).or_default().add(attempt);
        }
        self.finish(turn, Outcome::Cancelled, Some(reason.to_owned()));
    }

    /// Decides what follows from an attempt.
    fn settle(&mut self, turn: Turn, report: Report) {
        let Some(going) = self.queue.get(turn.chain).cloned() else { return };
        let job = &going.job;
        let planned = &job.chain.calls[turn.call];
        let tried = self.tried.entry(turn).or_default();
        tried.call = report.call.or(tried.call.take());
        tried.url = report.url.or(tried.url.take());
        tried.host = report.host.or(tried.host.take());
        tried.answer = report.answer;
        self.observer.violated(&job.chain.operation, &report.violations);
        let (mut attempt, asked) = match report.end {
            End::Never { outcome, reason } => return self.finish(turn, outcome, Some(reason)),
            End::Attempt { attempt, retry_after } => (attempt, retry_after),
        };
        attempt.violated = !report.violations.is_empty();
        if let Code::Status(_) = attempt.code {
            tried.violations = report.violations;
            tried.violations.truncate(TOLD);
            tried.violations.shrink_to_fit();
        }
        let seconds = attempt.duration.as_secs_f64();
        self.observer.attempt(&job.chain.operation, planned.callback(), &attempt.code.to_string(), seconds);
        if let Code::Status(status) = attempt.code
            && !planned.describes(status)
        {
            attempt.undocumented = true;
            let code = attempt.code.to_string();
            self.observer.undocumented(&job.chain.operation, planned.callback(), &code);
        }
        let (verdict, reason) = (retry::verdict(attempt.code), attempt.reason());
        tried.add(attempt);
        tried.tries += 1;
        match verdict {
            Verdict::Again => self.failed(turn),
            Verdict::Delivered | Verdict::Final => self.queue.answered(turn),
        }
        let Some(tried) = self.tried.get(&turn) else { return };
        let schedule = planned.retry().unwrap_or(&job.pace.retry);
        let wait = match verdict {
            Verdict::Delivered => return self.finish(turn, Outcome::Delivered, None),
            Verdict::Final => None,
            Verdict::Again => retry::wait(schedule, tried.tries, asked, fastrand::f64()),
        };
        match wait {
            Some(wait) => {
                self.lighten(turn);
                self.note_wait(turn, &going, wait);
                self.queue.again(Instant::now(), turn, wait);
            }
            None => self.finish(turn, Outcome::Failed, Some(reason)),
        }
    }

    fn failed(&mut self, turn: Turn) {
        let now = Instant::now();
        let Some(Rested { lane, until, in_vain }) = self.queue.failed(now, turn) else { return };
        let seconds = until.saturating_duration_since(now).as_secs();
        tracing::warn!(host = &*lane, seconds, "receiver rests after ten failures in a row");
        for turn in in_vain {
            let reason = "its receiver rests after ten failures in a row, and was waited for";
            self.finish(turn, Outcome::Failed, Some(reason.to_owned()));
        }
    }

    /// What waits to be tried again keeps little: what was sent can be rendered again, and of an answer
    /// its beginning is enough.
    fn lighten(&mut self, turn: Turn) {
        let Some(tried) = self.tried.get_mut(&turn) else { return };
        tried.call.take_if(|call| call.bytes() > LIGHT);
        if let Some(answer) = &mut tried.answer {
            answer.cut(LIGHT, LIGHT);
        }
        let sizes = tried.violations.iter().scan(0, |sum, violation| {
            *sum += violation.bytes();
            Some(*sum)
        });
        let kept = sizes.take_while(|sum| *sum <= LIGHT).count();
        tried.violations.truncate(kept);
        tried.violations.shrink_to_fit();
    }

    fn note_wait(&self, turn: Turn, going: &Going, wait: Duration) {
        let Some(tried) = self.tried.get(&turn).filter(|_| self.store.outlives()) else { return };
        let note = tried.note().due_in(wait);
        self.store.note(going.name(), turn.call, note.write());
    }

    fn finish(&mut self, turn: Turn, outcome: Outcome, reason: Option<String>) {
        let Some(going) = self.queue.get(turn.chain).cloned() else { return };
        let job = &going.job;
        let tried = self.tried.remove(&turn).unwrap_or_default();
        let planned = &job.chain.calls[turn.call];
        let lane = self.queue.lane(turn).filter(|lane| !lane.is_empty());
        let (host, attempts) = (tried.host.as_deref().or(lane.as_deref()), &*tried.attempts);
        let ended = Ended { outcome, reason: reason.as_deref(), host, attempts };
        tell(&*self.observer, &job.chain, planned, &ended);
        self.counts.taken.fetch_sub(1, Ordering::Relaxed);
        let record = Record {
            outcome: Some(outcome),
            reason,
            attempts: tried.attempts,
            violations: tried.violations,
            ..self.record(turn, job, State::Done, tried.url.as_deref())
        };
        let sent = tried.call.as_ref().map_or(0, |call| call.bytes());
        let answered = tried.answer.as_ref().map_or(0, Sent::bytes);
        let told: usize = record.violations.iter().map(Violation::bytes).sum();
        let bytes = job.bytes + sent + answered + told;
        let Tried { now, call, answer, .. } = tried;
        let rest = Rest { job: job.clone(), index: turn.call, now, call, answer, bytes };
        self.show(Done { record, rest: Some(rest) });
        let was_last = self.queue.finished(Instant::now(), turn).is_some();
        if was_last {
            self.counts.bytes.fetch_sub(job.bytes, Ordering::Relaxed);
        }
        match self.store.outlives() {
            // What is given up of a chain at a stop is kept.
            true if was_last && !self.stopping => self.store.forget(going.name()),
            true => {
                self.store.note(going.name(), turn.call, Note::done().write());
            }
            false => {}
        }
    }

    /// Shows a call that is done, and forgets the oldest.
    fn show(&mut self, done: Done) {
        self.kept += done.rest.as_ref().map_or(0, |rest| rest.bytes);
        self.done.push_back(done);
        if self.done.len() > SHOWN
            && let Some(oldest) = self.done.pop_front()
        {
            self.kept -= oldest.rest.map_or(0, |rest| rest.bytes);
        }
        let mut oldest = self.done.iter_mut().filter_map(|done| done.rest.take_if(|rest| rest.bytes > 0));
        while self.kept > KEPT
            && let Some(rest) = oldest.next()
        {
            self.kept -= rest.bytes;
        }
    }

    /// The call of this id that is not done.
    fn find(&self, id: &str) -> Option<(Turn, queue::State)> {
        let mut calls = self.queue.calls();
        calls.find_map(|(turn, going, state)| {
            (going.job.id.index_of(id)? == turn.call).then_some((turn, state))
        })
    }

    fn one(&self, id: &str) -> Option<Detail> {
        if let Some((turn, state)) = self.find(id) {
            let record = self.going(turn, &self.queue.get(turn.chain)?.job, state);
            let tried = self.tried.get(&turn);
            let call = tried.and_then(|tried| tried.call.clone());
            return Some(Detail { record, call, answer: tried.and_then(|tried| tried.answer.clone()) });
        }
        let done = self.done.iter().rev().find(|done| done.record.id == id)?;
        let rest = done.rest.as_ref();
        let (call, answer) =
            (rest.and_then(|rest| rest.call.clone()), rest.and_then(|rest| rest.answer.clone()));
        Some(Detail { record: done.record.clone(), call, answer })
    }

    /// Sends a call now: one that waits, or once more one that is done.
    fn retry(&mut self, id: &str) -> Result<Record, Refused> {
        let now = Instant::now();
        if self.stopping {
            return Err(Refused::Stopping);
        }
        if let Some((turn, state)) = self.find(id) {
            match state {
                queue::State::Flying => return Err(Refused::InFlight),
                queue::State::Behind => return Err(Refused::Behind),
                queue::State::Due(_) | queue::State::Done => drop(self.queue.hasten(now, turn)),
            }
            return self.shown(turn).ok_or(Refused::Unknown);
        }
        let at = self.done.iter().rposition(|done| done.record.id == id).ok_or(Refused::Unknown)?;
        let Some(Rest { job, index, .. }) = &self.done[at].rest else { return Err(Refused::Forgotten) };
        let Ok(url) = &job.chain.calls[*index].target else { return Err(Refused::Nowhere) };
        let lane = self.lanes.of(url, self.current.borrow().settings.base.as_ref(), &job.chain);
        let step = Step { wait: Duration::ZERO, lane: Some(lane) };
        let Some(Done { record, rest: Some(rest) }) = self.done.remove(at) else {
            return Err(Refused::Unknown);
        };
        self.kept -= rest.bytes;
        self.counts.taken.fetch_add(1, Ordering::Relaxed);
        self.counts.bytes.fetch_add(rest.job.bytes, Ordering::Relaxed);
        let going = Going { job: rest.job, again: Some(rest.index) };
        let turn = self.queue.push_again(now, rest.index, step, going.clone());
        let Record { attempts, violations, .. } = record;
        let tried = Tried { now: rest.now, call: rest.call, attempts, violations, ..Tried::default() };
        if self.store.outlives() {
            self.store.keep(going.name(), saved::write(&going.job, going.again));
            self.store.note(going.name(), rest.index, tried.note().write());
        }
        self.tried.insert(turn, tried);
        self.shown(turn).ok_or(Refused::Unknown)
    }

    /// Gives a call up. One that is in flight may have reached its receiver.
    fn cancel_one(&mut self, id: &str) -> Result<Record, Refused> {
        let Some((turn, state)) = self.find(id) else {
            let done = self.done.iter().any(|done| done.record.id == id);
            return Err(if done { Refused::Done } else { Refused::Unknown });
        };
        let shown = self.shown(turn).ok_or(Refused::Unknown);
        match self.flying.get(&turn) {
            Some(flying) if state == queue::State::Flying => {
                flying.abort.abort();
                self.cancelled.insert(turn);
            }
            _ => self.finish(turn, Outcome::Cancelled, Some(BY_HAND.to_owned())),
        }
        self.count();
        shown
    }

    fn shown(&self, turn: Turn) -> Option<Record> {
        let job = &self.queue.get(turn.chain)?.job;
        Some(self.going(turn, job, self.queue.state(turn)?))
    }

    /// Gives up what is not in flight. The chains' own lines in the log would be too many.
    fn give_up(&mut self, stop: &mut Option<Stop>) {
        let Some(Stop { given_up, .. }) = stop else { return };
        for turn in self.queue.cancel() {
            let Some(going) = self.queue.get(turn.chain) else { continue };
            let call = going.given_up(turn.call);
            // At once, since who scrapes has little time left.
            if !self.store.outlives() {
                self.observer.outcome(&call.operation, &call.callback, Outcome::Cancelled);
            }
            given_up.push(call);
            self.counts.taken.fetch_sub(1, Ordering::Relaxed);
            self.tried.remove(&turn);
        }
    }

    fn count(&self) {
        let start = self.counts.start;
        // Chains that were kept began before that.
        let began = |oldest: Instant| match oldest.checked_duration_since(start) {
            Some(after) => after.as_millis() as i64,
            None => -(start.saturating_duration_since(oldest).as_millis() as i64),
        };
        self.counts.oldest.store(self.queue.oldest().map_or(i64::MAX, began), Ordering::Relaxed);
        self.counts.flying.store(self.queue.flying(), Ordering::Relaxed);
    }

    fn recent(&self, state: Option<State>, limit: usize) -> Vec<Record> {
        let going = self.queue.calls().filter(|(.., going)| state.is_none_or(|state| state == shown(*going)));
        let going = going.map(|(turn, chain, going)| self.going(turn, &chain.job, going));
        let done = self.done.iter().rev().map(|done| &done.record);
        let done = done.filter(|record| state.is_none_or(|state| state == record.state));
        going.chain(done.cloned()).take(limit).collect()
    }

    fn of(&self, exchanges: &HashSet<String>) -> Vec<Record> {
        let done =
            self.done.iter().map(|done| &done.record).filter(|record| {
                record.exchange.as_ref().is_some_and(|exchange| exchanges.contains(exchange))
            });
        let going = self.queue.calls().filter(|(_, chain, _)| {
            chain.job.client.exchange.as_deref().is_some_and(|exchange| exchanges.contains(exchange))
        });
        let going = going.map(|(turn, chain, going)| self.going(turn, &chain.job, going));
        done.cloned().chain(going).collect()
    }

    fn going(&self, turn: Turn, job: &Job, going: queue::State) -> Record {
        let now = Instant::now();
        let (due, reason) = match (going, self.queue.hold(now, turn)) {
            (queue::State::Due(due), None) => (Some(due), None),
            (_, Some(Hold::Rest(until))) => (Some(until), Some("its receiver rests")),
            (_, Some(Hold::Paused)) => (None, Some("callbacks are paused")),
            (_, Some(Hold::Room)) => (None, Some("others go first")),
            _ => (None, None),
        };
        let tried = self.tried.get(&turn);
        Record {
            due: due.map(|due| SystemTime::now() + due.saturating_duration_since(now)),
            reason: reason.map(str::to_owned),
            attempts: tried.map_or_else(Vec::new, |tried| tried.attempts.clone()),
            violations: tried.map_or_else(Vec::new, |tried| tried.violations.clone()),
            ..self.record(turn, job, shown(going), tried.and_then(|tried| tried.url.as_deref()))
        }
    }

    /// `url`: where it went, if it did.
    fn record(&self, turn: Turn, job: &Job, state: State, url: Option<&str>) -> Record {
        let planned = &job.chain.calls[turn.call];
        let url = url.or(planned.target.as_deref().ok());
        Record {
            id: job.id.call(turn.call),
            chain: job.id.chain(),
            exchange: job.client.exchange.as_deref().map(str::to_owned),
            operation: job.chain.operation.to_string(),
            callback: planned.callback().to_string(),
            url: url.map(|url| url.chars().take(URL).collect()),
            state,
            outcome: None,
            reason: None,
            due: None,
            attempts: Vec::new(),
            violations: Vec::new(),
        }
    }
}

impl Going {
    /// Its name in the store.
    fn name(&self) -> String {
        match self.again {
            None => self.job.id.chain(),
            Some(index) => self.job.id.call(index),
        }
    }

    fn given_up(&self, call: usize) -> GivenUp {
        let chain = &self.job.chain;
        GivenUp {
            chain: self.name(),
            operation: chain.operation.clone(),
            callback: chain.calls[call].callback().clone(),
        }
    }
}

impl Tried {
    /// Keeps the last ones.
    fn add(&mut self, attempt: Attempt) {
        if self.attempts.len() >= ATTEMPTS {
            self.attempts.remove(0);
        }
        self.attempts.push(attempt);
    }

    /// It is due at once.
    fn note(&self) -> Note {
        let attempts = self.attempts.iter().map(SavedAttempt::of).collect();
        Note { now: self.now, attempts, tries: self.tries, ..Note::default() }
    }
}

fn steps<'j>(
    job: &'j Job,
    base: Option<&'j Url>,
    lanes: &'j mut LastLane,
) -> impl Iterator<Item = Step> + 'j {
    job.chain.calls.iter().zip(job.waits()).map(move |(planned, wait)| Step {
        wait,
        lane: planned.target.as_ref().ok().map(|url| lanes.of(url, base, &job.chain)),
    })
}

/// What is left of the calls of a chain that was kept. A call that was under way is due at once, and the
/// first that was not waits from the end or the beginning of the one before it.
fn left(job: &Job, again: Option<usize>, noted: &[Option<Note>]) -> Vec<Left> {
    let now = since_epoch(SystemTime::now());
    let until =
        |due: u64, most: Duration| Left::After(Duration::from_millis(due.saturating_sub(now)).min(most));
    // When the wait of the next call began; none: it has not.
    let mut from = Some(since_epoch(job.at));
    let calls = noted.iter().zip(job.waits()).enumerate().map(|(index, (note, wait))| {
        if again.is_some_and(|again| again != index) {
            return Left::Done;
        }
        let Some(note) = note else {
            if again.is_some() {
                return until(now, Duration::ZERO);
            }
            return from
                .take()
                .map_or(Left::Behind, |from| until(from.saturating_add(saved::millis(&wait)), wait));
        };
        let began =
            note.attempts.first().map(SavedAttempt::at).or(note.now.and_then(|now| now.try_into().ok()));
        // Nothing follows what has not had its turn.
        from = from.and(match job.pace.order {
            config::Order::Finished => note.done,
            config::Order::Started => began.or(note.done),
        });
        match note.done {
            Some(_) => Left::Done,
            None => until(note.due.unwrap_or(now), note.wait.map_or(LONGEST, Duration::from_millis)),
        }
    });
    calls.collect()
}

fn add(lost: &mut Lost, operation: &Arc<str>) {
    match lost.iter_mut().find(|(name, _)| name == operation) {
        Some((_, calls)) => *calls += 1,
        None => lost.push((operation.clone(), 1)),
    }
}

/// The state of a call that the queue still has.
fn shown(going: queue::State) -> State {
    match going {
        queue::State::Flying => State::InFlight,
        queue::State::Due(_) | queue::State::Behind | queue::State::Done => State::Waiting,
    }
}

/// The last receiver, since most calls go to one: `scheme://authority` as it was written, and its lane.
#[derive(Default)]
struct LastLane(Option<(String, queue::Lane)>);

impl LastLane {
    /// The receiver of a URL that is not rendered yet, which may be relative to `base`, else to the request of
    /// its chain. Those whose receiver is not known share a lane.
    fn of(&mut self, url: &str, base: Option<&Url>, chain: &Chain) -> queue::Lane {
        let ends = |rest: &str| rest.is_empty() || rest.starts_with(['/', '?', '#']);
        if let Some((origin, lane)) = &self.0
            && url.strip_prefix(&**origin).is_some_and(ends)
        {
            return lane.clone();
        }
        let target = guard::target(url, base).or_else(|blocked| match base {
            None => guard::target(url, Url::parse(&chain.base()).ok().as_ref()),
            Some(_) => Err(blocked),
        });
        let Ok(target) = target else { return "".into() };
        let lane: queue::Lane = target.lane().into();
        // Whatever is not written so is not remembered, as what is relative.
        let scheme = |at: &usize| ["http", "https"].iter().any(|name| url[..*at].eq_ignore_ascii_case(name));
        if let Some(at) = url.find("://").filter(scheme) {
            let end = url[at + 3..].find(['/', '?', '#']).map_or(url.len(), |end| at + 3 + end);
            self.0 = Some((url[..end].to_owned(), lane.clone()));
        }
        lane
    }
}

/// Counts and logs the end of a call.
pub(super) fn tell(observer: &dyn Observer, chain: &Chain, planned: &Planned, ended: &Ended<'_>) {
    let (operation, callback) = (&*chain.operation, planned.callback().as_ref());
    observer.outcome(operation, callback, ended.outcome);
    let Ended { outcome, reason, host, attempts } = *ended;
    let duration: Duration = attempts.iter().map(|attempt| attempt.duration).sum();
    let (attempts, outcome, duration_ms) = (attempts.len(), outcome.word(), duration.as_millis() as u64);
    if ended.outcome == Outcome::Delivered {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::callbacks::tests::chain;
    use crate::server::callbacks::{Client, Pace, identity};

    /// What is left of a chain of three calls, each of which waits 10 s, that was kept 4 s ago; seconds.
    #[track_caller]
    fn check(order: config::Order, again: Option<usize>, noted: [Option<Note>; 3], expected: [Left; 3]) {
        let at = SystemTime::now() - Duration::from_secs(4);
        let pace = Pace { order, retry: [].into() };
        let (id, client) = (identity::Run::new().next(), Client::default());
        let mut chain = chain("a", "a b c");
        chain.calls.iter_mut().for_each(|planned| planned.wait = Some(Duration::from_secs(10)));
        let job = Job { id, at, seed: 0, chain, client, pace, bytes: 0 };
        let round = |left| match left {
            // A test takes some time.
            Left::After(wait) => Left::After(Duration::from_secs(wait.as_millis().div_ceil(1000) as u64)),
            left => left,
        };
        let found: Vec<_> = left(&job, again, &noted).into_iter().map(round).collect();
        assert_eq!(found, expected);
    }

    fn after(seconds: u64) -> Left {
        Left::After(Duration::from_secs(seconds))
    }

    /// Milliseconds since the epoch, in so many seconds.
    fn at(seconds: i64) -> u64 {
        since_epoch(SystemTime::now()).wrapping_add_signed(seconds * 1000)
    }

    fn done(seconds: i64) -> Option<Note> {
        Some(Note { done: Some(at(seconds)), ..Note::default() })
    }

    fn begun(seconds: i64, due: Option<i64>) -> Option<Note> {
        Some(Note { now: Some(at(seconds) as i64), due: due.map(at), ..Note::default() })
    }

    #[test]
    fn the_next_call_waits_from_the_end_of_the_one_before() {
        use Left::{Behind, Done};
        let order = config::Order::Finished;
        check(order, None, [None, None, None], [after(6), Behind, Behind]);
        check(order, None, [done(-3), None, None], [Done, after(7), Behind]);
        check(order, None, [done(-30), None, None], [Done, after(0), Behind]);
        check(order, None, [begun(-3, None), None, None], [after(0), Behind, Behind]);
        check(order, None, [begun(-3, Some(5)), None, None], [after(5), Behind, Behind]);
        check(order, None, [done(-9), begun(-3, Some(-1)), None], [Done, after(0), Behind]);
        check(order, None, [done(-9), done(-5), done(-1)], [Done, Done, Done]);
        // A clock that was a month ahead: the wait was of five seconds.
        let ahead = begun(-3, Some(30 * 24 * 60 * 60)).map(|note| Note { wait: Some(5000), ..note });
        check(order, None, [ahead, None, None], [after(5), Behind, Behind]);
        // The second was given up while the first was under way.
        check(order, None, [begun(-3, Some(5)), done(-1), None], [after(5), Done, Behind]);
    }

    #[test]
    fn by_order_started_it_waits_from_the_beginning() {
        use Left::{Behind, Done};
        let order = config::Order::Started;
        check(order, None, [begun(-3, Some(5)), None, None], [after(5), after(7), Behind]);
        check(order, None, [done(-3), begun(-2, None), None], [Done, after(0), after(8)]);
        check(order, None, [None, done(-1), None], [after(6), Done, Behind]);
    }

    #[test]
    fn of_a_chain_one_call_may_be_left() {
        use Left::Done;
        let order = config::Order::Finished;
        check(order, Some(1), [None, None, None], [Done, after(0), Done]);
        check(order, Some(1), [None, begun(-3, None), None], [Done, after(0), Done]);
    }
}
