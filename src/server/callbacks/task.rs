//! The owner of the queue: starts what is due, and settles what became of it.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, SystemTime};

use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::{self, JoinSet};
use tokio::time::{Instant, sleep_until};

use super::queue::{self, Queue, Step, Turn};
use super::record::{Attempt, Outcome, Record, State};
use super::retry::{self, Verdict};
use super::sender::{End, Flight, Report, Settings};
use super::store::Store;
use super::{Counts, Current, Job, Lost, Observer, guard};
use crate::mock::callback::{Call, Chain, Planned};

/// What the handle asks of the task.
pub(super) enum Question {
    Recent { state: Option<State>, limit: usize, reply: oneshot::Sender<Vec<Record>> },
    Of { exchanges: HashSet<String>, reply: oneshot::Sender<Vec<Record>> },
    Drain { deadline: Instant, reply: oneshot::Sender<Lost> },
}

pub(super) struct Task<S> {
    queue: Queue<Arc<Job>>,
    current: watch::Receiver<Current>,
    flights: JoinSet<Report>,
    turns: HashMap<task::Id, Turn>,
    /// Of calls that were tried, and are not done.
    tried: HashMap<Turn, Tried>,
    /// The last calls that are done, the newest at the end.
    done: VecDeque<Record>,
    counts: Arc<Counts>,
    observer: Arc<dyn Observer>,
    store: Arc<dyn Store>,
    send: S,
}

/// What is known of a call since its first attempt.
#[derive(Default)]
struct Tried {
    /// As it was rendered: each attempt sends the same bytes.
    call: Option<Arc<Call>>,
    url: Option<String>,
    host: Option<String>,
    attempts: Vec<Attempt>,
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
    reply: oneshot::Sender<Lost>,
    lost: Lost,
}

/// Calls that are done and still shown.
const SHOWN: usize = 1000;

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
        send: S,
    ) -> Self {
        let queue = Queue::new(current.borrow().limits);
        Task {
            queue,
            current,
            flights: JoinSet::new(),
            turns: HashMap::new(),
            tried: HashMap::new(),
            done: VecDeque::new(),
            counts,
            observer,
            store,
            send,
        }
    }

    pub async fn run(
        mut self,
        mut inbox: mpsc::UnboundedReceiver<Job>,
        mut questions: mpsc::Receiver<Question>,
    ) {
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
                    self.queue.limit(Instant::now(), limits);
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
        let job = Arc::new(job);
        let base = self.current.borrow().settings.base.clone();
        let steps = job.chain.calls.iter().zip(&job.pace.waits).map(|(planned, wait)| Step {
            wait: *wait,
            lane: planned.target.as_ref().ok().map(|url| lane(url, base.as_ref()).into()),
        });
        self.queue.push(Instant::now(), job.pace.order, steps, job.clone());
        self.count();
    }

    fn start_what_is_due(&mut self) {
        while let Some(turn) = self.queue.next(Instant::now()) {
            let Some(job) = self.queue.get(turn.chain).cloned() else { continue };
            match &job.chain.calls[turn.call].target {
                Err(unresolved) => self.finish(turn, Outcome::Unresolved, Some(unresolved.to_string())),
                Ok(_) => {
                    let settings = self.current.borrow().settings.clone();
                    let call = self.tried.get(&turn).and_then(|tried| tried.call.clone());
                    let flight = Flight { job, index: turn.call, call };
                    let flight = self.flights.spawn((self.send)(flight, settings));
                    self.turns.insert(flight.id(), turn);
                }
            }
        }
        self.count();
    }

    fn landed(&mut self, flight: Result<(task::Id, Report), task::JoinError>) {
        let (id, report) = match flight {
            Ok((id, report)) => (id, Ok(report)),
            Err(error) if error.is_cancelled() => {
                (error.id(), Err((Outcome::Cancelled, "stopped before the receiver answered")))
            }
            Err(error) => (error.id(), Err((Outcome::Failed, "a defect in Standin; see its log"))),
        };
        if let Some(turn) = self.turns.remove(&id) {
            match report {
                Ok(report) => self.settle(turn, report),
                Err((outcome, reason)) => self.finish(turn, outcome, Some(reason.to_owned())),
            }
        }
        self.count();
    }

    /// Decides what follows from an attempt.
    fn settle(&mut self, turn: Turn, report: Report) {
        let Some(job) = self.queue.get(turn.chain).cloned() else { return };
        let planned = &job.chain.calls[turn.call];
        let tried = self.tried.entry(turn).or_default();
        tried.call = report.call.or(tried.call.take());
        tried.url = report.url.or(tried.url.take());
        tried.host = report.host.or(tried.host.take());
        let (attempt, asked) = match report.end {
            End::Never { outcome, reason } => return self.finish(turn, outcome, Some(reason)),
            End::Attempt { attempt, retry_after } => (attempt, retry_after),
        };
        let seconds = attempt.duration.as_secs_f64();
        self.observer.attempt(&job.chain.operation, &planned.callback, &attempt.code.to_string(), seconds);
        let (verdict, reason) = (retry::verdict(attempt.code), attempt.reason());
        tried.attempts.push(attempt);
        let in_vain = match verdict {
            Verdict::Again => self.queue.failed(Instant::now(), turn),
            Verdict::Delivered | Verdict::Final => {
                self.queue.answered(turn);
                Vec::new()
            }
        };
        for turn in in_vain {
            let reason = "its receiver rests after ten failures in a row, and was waited for";
            self.finish(turn, Outcome::Failed, Some(reason.to_owned()));
        }
        let Some(tried) = self.tried.get(&turn) else { return };
        let schedule = planned.retry.as_ref().unwrap_or(&job.pace.retry);
        let wait = match verdict {
            Verdict::Delivered => return self.finish(turn, Outcome::Delivered, None),
            Verdict::Final => None,
            Verdict::Again => retry::wait(schedule, tried.attempts.len(), asked, fastrand::f64()),
        };
        match wait {
            Some(wait) => self.queue.again(Instant::now(), turn, wait),
            None => self.finish(turn, Outcome::Failed, Some(reason)),
        }
    }

    fn finish(&mut self, turn: Turn, outcome: Outcome, reason: Option<String>) {
        let Some(job) = self.queue.get(turn.chain).cloned() else { return };
        let tried = self.tried.remove(&turn).unwrap_or_default();
        let planned = &job.chain.calls[turn.call];
        let (host, attempts) = (tried.host.as_deref(), &*tried.attempts);
        let ended = Ended { outcome, reason: reason.as_deref(), host, attempts };
        tell(&*self.observer, &job.chain, planned, &ended);
        self.counts.taken.fetch_sub(1, Ordering::Relaxed);
        if self.done.len() == SHOWN {
            self.done.pop_front();
        }
        let record = Record {
            outcome: Some(outcome),
            reason,
            attempts: tried.attempts,
            ..self.record(turn, &job, State::Done, tried.url.as_deref())
        };
        self.done.push_back(record);
        if self.queue.finished(Instant::now(), turn).is_some() {
            self.counts.bytes.fetch_sub(job.bytes, Ordering::Relaxed);
            self.store.forget(job.id.name());
        }
    }

    /// Gives up what is not in flight. The chains' own lines in the log would be too many.
    fn cancel(&mut self) -> Lost {
        let mut lost: BTreeMap<Arc<str>, usize> = BTreeMap::new();
        for turn in self.queue.cancel() {
            let Some(job) = self.queue.get(turn.chain) else { continue };
            let operation = &job.chain.operation;
            self.observer.outcome(operation, &job.chain.calls[turn.call].callback, Outcome::Cancelled);
            self.counts.taken.fetch_sub(1, Ordering::Relaxed);
            self.tried.remove(&turn);
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
        let tried = self.tried.get(&turn);
        Record {
            due,
            attempts: tried.map_or_else(Vec::new, |tried| tried.attempts.clone()),
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
pub(super) fn tell(observer: &dyn Observer, chain: &Chain, planned: &Planned, ended: &Ended<'_>) {
    let (operation, callback) = (&*chain.operation, &*planned.callback);
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
