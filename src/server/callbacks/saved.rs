//! Chains and how far they are, as the bytes that a store keeps: JSON, so that another version can read
//! them. Times are milliseconds, of the clock or since the Unix epoch.

use std::net::IpAddr;
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

use super::identity::Id;
use super::record::{Attempt, Code};
use super::{Client, Job, Pace};
use crate::config::Order;
use crate::mock::callback::Chain;
use crate::mock::callback::saved::{self as chain, Broken};

/// A chain, or one call of it.
#[derive(Serialize, Deserialize)]
struct SavedJob {
    version: u32,
    id: String,
    /// When it was kept.
    at: u64,
    seed: u64,
    order: Order,
    waits: Vec<u64>,
    retry: Vec<u64>,
    /// Whose request it was.
    peer: Option<IpAddr>,
    exchange: Option<String>,
    trace: Option<String>,
    loops: Option<String>,
    /// The only call of it that is sent: once more.
    again: Option<usize>,
    chain: chain::Saved,
}

/// The version of what is written here. A reader knows its own and those before.
const VERSION: u32 = 1;

/// How far a call is.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub(super) struct Note {
    /// What `now()` is in it.
    pub now: Option<i64>,
    pub attempts: Vec<SavedAttempt>,
    /// What the schedule counts.
    pub tries: usize,
    /// When it is tried again, and after what wait: a clock that was wrong lets nobody wait for longer.
    pub due: Option<u64>,
    #[serde(default)]
    pub wait: Option<u64>,
    /// When it had its outcome.
    pub done: Option<u64>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct SavedAttempt {
    at: u64,
    code: SavedCode,
    error: Option<String>,
    undocumented: bool,
    #[serde(default)]
    violated: bool,
    /// Microseconds.
    duration: u64,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
enum SavedCode {
    Status(u16),
    Word(String),
}

/// Why what was kept is no chain of this version.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unreadable {
    #[error("it is not as Standin writes it: {0}")]
    Json(#[from] serde_json::Error),
    #[error("it is of version {0}, and this Standin knows {VERSION}")]
    Version(u32),
    #[error("{0}")]
    Chain(#[from] Broken),
    #[error("{0} is none")]
    Nothing(&'static str),
}

/// A chain, or with `again` one call of it. It can't fail to be written.
pub(super) fn write(job: &Job, again: Option<usize>) -> Vec<u8> {
    let text = |text: &Option<Box<str>>| text.as_deref().map(str::to_owned);
    let saved = SavedJob {
        version: VERSION,
        id: job.id.to_string(),
        at: since_epoch(job.at),
        seed: job.seed,
        order: job.pace.order,
        waits: job.waits().map(|wait| millis(&wait)).collect(),
        retry: job.pace.retry.iter().map(millis).collect(),
        peer: job.client.peer,
        exchange: job.client.exchange.as_deref().map(str::to_owned),
        trace: text(&job.client.trace),
        loops: text(&job.client.loops),
        again,
        chain: job.chain.save(),
    };
    serde_json::to_vec(&saved).unwrap_or_default()
}

/// The chain that was written, and the only call of it that is sent, if it is one only.
pub(super) fn read(bytes: &[u8]) -> Result<(Job, Option<usize>), Unreadable> {
    let saved: SavedJob = serde_json::from_slice(bytes)?;
    if saved.version > VERSION {
        return Err(Unreadable::Version(saved.version));
    }
    let mut chain = Chain::restore(saved.chain)?;
    let calls = chain.calls.len();
    if saved.waits.len() != calls || saved.again.is_some_and(|index| index >= calls) {
        return Err(Unreadable::Nothing("the number of its calls"));
    }
    for (planned, wait) in chain.calls.iter_mut().zip(saved.waits) {
        planned.wait = Some(Duration::from_millis(wait));
    }
    let id = Id::parse(&saved.id).ok_or(Unreadable::Nothing("its id"))?;
    let client = Client {
        peer: saved.peer,
        exchange: saved.exchange.map(Into::into),
        trace: saved.trace.map(Into::into),
        loops: saved.loops.map(Into::into),
    };
    let pace =
        Pace { order: saved.order, retry: saved.retry.into_iter().map(Duration::from_millis).collect() };
    let at = time(saved.at).ok_or(Unreadable::Nothing("its time"))?;
    let bytes = chain.bytes().max(bytes.len());
    Ok((Job { id, at, seed: saved.seed, chain, client, pace, bytes }, saved.again))
}

impl Note {
    /// It is tried again after this wait.
    pub fn due_in(self, wait: Duration) -> Self {
        let due = SystemTime::now().checked_add(wait).map(since_epoch);
        Note { due, wait: Some(millis(&wait)), ..self }
    }

    /// It had its outcome just now.
    pub fn done() -> Self {
        Note { done: Some(since_epoch(SystemTime::now())), ..Note::default() }
    }

    pub fn write(&self) -> Vec<u8> {
        serde_json::to_vec(self).unwrap_or_default()
    }

    pub fn read(bytes: &[u8]) -> Result<Note, Unreadable> {
        Ok(serde_json::from_slice(bytes)?)
    }
}

impl SavedAttempt {
    pub fn of(attempt: &Attempt) -> Self {
        SavedAttempt {
            at: since_epoch(attempt.at),
            code: match attempt.code {
                Code::Status(status) => SavedCode::Status(status),
                Code::Word(word) => SavedCode::Word(word.to_owned()),
            },
            error: attempt.error.clone(),
            undocumented: attempt.undocumented,
            violated: attempt.violated,
            duration: u64::try_from(attempt.duration.as_micros()).unwrap_or(u64::MAX),
        }
    }

    pub fn restore(&self) -> Attempt {
        Attempt {
            at: time(self.at).unwrap_or(SystemTime::UNIX_EPOCH),
            code: match &self.code {
                SavedCode::Status(status) => Code::Status(*status),
                SavedCode::Word(word) => Code::word(word),
            },
            error: self.error.clone(),
            undocumented: self.undocumented,
            violated: self.violated,
            duration: Duration::from_micros(self.duration),
        }
    }

    /// When it was made.
    pub fn at(&self) -> u64 {
        self.at
    }
}

/// Milliseconds since the Unix epoch; 0 before it.
pub(super) fn since_epoch(time: SystemTime) -> u64 {
    time.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| millis(&since))
}

fn time(millis: u64) -> Option<SystemTime> {
    SystemTime::UNIX_EPOCH.checked_add(Duration::from_millis(millis))
}

pub(super) fn millis(duration: &Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::callbacks::tests::chain;

    fn job() -> Job {
        let client = Client {
            peer: Some([127, 0, 0, 1].into()),
            exchange: Some("ex_1".into()),
            trace: Some("00-a".into()),
            loops: None,
        };
        let pace = Pace { order: Order::Started, retry: [Duration::from_millis(1500)].into() };
        let at = SystemTime::UNIX_EPOCH + Duration::from_millis(1_700_000_000_123);
        let id = Id::parse("0123456789abcdefghijAB").unwrap();
        let mut chain = chain("create", "a b");
        chain.calls[0].wait = Some(Duration::from_secs(3));
        let bytes = chain.bytes();
        Job { id, at, seed: u64::MAX, chain, client, pace, bytes }
    }

    #[test]
    fn a_chain_is_read_as_it_was_written() {
        for again in [None, Some(1)] {
            let written = write(&job(), again);
            let (read, read_again) = read(&written).unwrap();
            assert_eq!((read.at, read.seed, read_again), (job().at, u64::MAX, again));
            assert!(read.waits().eq([Duration::from_secs(3), Duration::ZERO]));
            assert_eq!(read.id.call(1), job().id.call(1));
            assert_eq!(write(&read, read_again), written, "{}", String::from_utf8_lossy(&written));
        }
    }

    #[test]
    fn a_note_is_read_as_it_was_written() {
        let attempt = |code| Attempt {
            at: job().at,
            code,
            error: Some("late".into()),
            undocumented: true,
            violated: true,
            duration: Duration::from_micros(1_234_567),
        };
        let attempts = [attempt(Code::Status(503)), attempt(Code::Word("dns"))];
        let saved = attempts.iter().map(SavedAttempt::of).collect();
        let note = Note { now: Some(-1), attempts: saved, tries: 1, due: Some(7), wait: Some(9), done: None };
        let read = Note::read(&note.write()).unwrap();
        assert_eq!(read, note);
        assert_eq!(read.attempts.iter().map(SavedAttempt::restore).collect::<Vec<_>>(), attempts);
        assert_eq!(Code::word("something new"), Code::Word("reset"));
    }

    #[test]
    fn what_no_version_wrote_is_an_error_and_nothing_more() {
        let written = write(&job(), None);
        let mut random = fastrand::Rng::with_seed(1);
        for _ in 0..20_000 {
            let mut broken = written.clone();
            for _ in 0..random.usize(1..4) {
                let at = random.usize(..broken.len());
                match random.u8(..3) {
                    0 => broken[at] = random.u8(..),
                    1 => drop(broken.remove(at)),
                    _ => broken.truncate(at.max(2)),
                }
            }
            if let Ok((job, again)) = read(&broken) {
                assert!(job.chain.calls.iter().all(|planned| planned.wait.is_some()));
                assert!(again.is_none_or(|index| index < job.chain.calls.len()));
            }
        }
        let newer = String::from_utf8(written).unwrap().replace("\"version\":1", "\"version\":2");
        assert!(matches!(read(newer.as_bytes()), Err(Unreadable::Version(2))));
    }
}
