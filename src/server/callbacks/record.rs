//! What became of a call, as the log, the metrics and the admin port say it.

use std::time::{Duration, SystemTime};

use serde::{Serialize, Serializer};

use crate::mock::violation::Violation;

/// One call, as `/api/callbacks` shows it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Record {
    pub id: String,
    pub chain: String,
    /// The exchange whose answer it belongs to, if that was journalled.
    pub exchange: Option<String>,
    pub operation: String,
    pub callback: String,
    /// Where it went; before that, where it will go as far as it is known.
    pub url: Option<String>,
    pub state: State,
    /// None until it is done.
    pub outcome: Option<Outcome>,
    /// Why it was not delivered, or why it still waits though its time has come.
    pub reason: Option<String>,
    /// When it will be sent. None: it waits behind another call of its chain, or for room.
    #[serde(serialize_with = "optional_time")]
    pub due: Option<SystemTime>,
    pub attempts: Vec<Attempt>,
    /// What of the last answer is not as the document says.
    #[serde(skip_serializing_if = "Vec::is_empty", serialize_with = "as_json")]
    pub violations: Vec<Violation>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    Waiting,
    InFlight,
    Done,
}

/// The end of a call: each has one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// Answered with 2xx.
    Delivered,
    /// Answered with anything else, or not answered.
    Failed,
    /// The target is not one that callbacks may go to.
    Blocked,
    /// The document's expression for the target has no value.
    Unresolved,
    /// The queue was full.
    Dropped,
    /// Standin stopped.
    Cancelled,
}

/// One request that was sent, or that failed before it was.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Attempt {
    #[serde(serialize_with = "time")]
    pub at: SystemTime,
    pub code: Code,
    /// None if there was an answer.
    pub error: Option<String>,
    /// The document lists what the receiver may answer, and not this.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub undocumented: bool,
    /// Something else of the answer is not as the document says.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub violated: bool,
    /// Seconds in JSON.
    #[serde(serialize_with = "seconds")]
    pub duration: Duration,
}

/// What came back: a status, or the word for why there is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Code {
    Status(u16),
    /// `dns`, `connect`, `tls`, `timeout` or `reset`.
    Word(&'static str),
}

impl Code {
    /// The word of a failure, as it was kept.
    pub(super) fn word(word: &str) -> Code {
        let words = ["dns", "connect", "tls", "timeout", "reset"];
        Code::Word(words.into_iter().find(|known| *known == word).unwrap_or("reset"))
    }
}

impl Attempt {
    pub fn new(at: SystemTime, code: Code, error: Option<String>, duration: Duration) -> Self {
        Attempt { at, code, error, undocumented: false, violated: false, duration }
    }

    /// Why it did not deliver.
    pub fn reason(&self) -> String {
        match (self.code, &self.error) {
            (Code::Status(status), _) => format!("answered {status}"),
            (Code::Word(word), Some(error)) => format!("{word}: {error}"),
            (Code::Word(word), None) => word.to_owned(),
        }
    }
}

impl Outcome {
    pub fn word(self) -> &'static str {
        match self {
            Outcome::Delivered => "delivered",
            Outcome::Failed => "failed",
            Outcome::Blocked => "blocked",
            Outcome::Unresolved => "unresolved",
            Outcome::Dropped => "dropped",
            Outcome::Cancelled => "cancelled",
        }
    }
}

impl std::fmt::Display for Code {
    /// As the metrics label it.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Code::Status(status @ 100..=599) => write!(f, "{status}"),
            Code::Status(_) => f.write_str("other"),
            Code::Word(word) => f.write_str(word),
        }
    }
}

fn as_json<S: Serializer>(violations: &[Violation], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(violations.iter().map(Violation::to_json))
}

fn time<S: Serializer>(time: &SystemTime, serializer: S) -> Result<S::Ok, S::Error> {
    optional_time(&Some(*time), serializer)
}

fn optional_time<S: Serializer>(time: &Option<SystemTime>, serializer: S) -> Result<S::Ok, S::Error> {
    let time = time.and_then(|time| jiff::Timestamp::try_from(time).ok());
    match time {
        Some(time) => serializer.collect_str(&format_args!("{time:.3}")),
        None => serializer.serialize_none(),
    }
}

fn seconds<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64((duration.as_secs_f64() * 1e6).round() / 1e6)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_has_the_contracts_shape() {
        let at = SystemTime::UNIX_EPOCH + Duration::from_millis(1_700_000_000_250);
        let attempt = |code, error: Option<&str>| Attempt {
            violated: code == Code::Status(500),
            ..Attempt::new(at, code, error.map(str::to_owned), Duration::from_micros(1_500))
        };
        let record = Record {
            id: "call_k3-1-0".into(),
            chain: "chain_k3-1".into(),
            exchange: None,
            operation: "createOrder".into(),
            callback: "onCreated".into(),
            url: Some("http://127.0.0.1/".into()),
            state: State::InFlight,
            outcome: Some(Outcome::Failed),
            reason: None,
            due: Some(at),
            violations: Vec::new(),
            attempts: vec![
                attempt(Code::Status(500), None),
                attempt(Code::Word("connect"), Some("connection refused")),
            ],
        };
        let expected = serde_json::json!({
            "id": "call_k3-1-0",
            "chain": "chain_k3-1",
            "exchange": null,
            "operation": "createOrder",
            "callback": "onCreated",
            "url": "http://127.0.0.1/",
            "state": "in-flight",
            "outcome": "failed",
            "reason": null,
            "due": "2023-11-14T22:13:20.250Z",
            "attempts": [
                {"at": "2023-11-14T22:13:20.250Z", "code": 500, "error": null, "violated": true, "duration": 0.0015},
                {"at": "2023-11-14T22:13:20.250Z", "code": "connect", "error": "connection refused", "duration": 0.0015},
            ],
        });
        assert_eq!(serde_json::to_value(record).unwrap(), expected);
    }

    #[test]
    fn a_status_that_no_registry_has_is_labelled_other() {
        assert_eq!(Code::Status(200).to_string(), "200");
        assert_eq!(Code::Status(999).to_string(), "other");
        assert_eq!(Code::Word("dns").to_string(), "dns");
    }
}
