//! What the mode `fallback` takes for "the upstream has not got it".

use std::str::FromStr;

use http::StatusCode;

use super::problem::{Problem, quoted};

/// Statuses and failures of the upstream.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Missing {
    /// In order, each once.
    statuses: Vec<u16>,
    pub connect: bool,
    pub timeout: bool,
    pub reset: bool,
}

/// One entry of the list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Entry {
    Status(u16),
    /// `5XX`, by its first digit.
    Class(u16),
    /// No connection.
    Connect,
    /// No connection, or no answer, in time.
    Timeout,
    /// The connection ended, or what came was no HTTP, before the answer's head was whole.
    Reset,
}

impl Missing {
    pub fn new(entries: impl IntoIterator<Item = Entry>) -> Self {
        let mut missing = Missing { statuses: Vec::new(), connect: false, timeout: false, reset: false };
        for entry in entries {
            match entry {
                Entry::Status(status) => missing.statuses.push(status),
                Entry::Class(class) => missing.statuses.extend(class * 100..class * 100 + 100),
                Entry::Connect => missing.connect = true,
                Entry::Timeout => missing.timeout = true,
                Entry::Reset => missing.reset = true,
            }
        }
        missing.statuses.sort_unstable();
        missing.statuses.dedup();
        missing
    }

    pub fn status(&self, status: StatusCode) -> bool {
        self.statuses.binary_search(&status.as_u16()).is_ok()
    }
}

impl Default for Missing {
    fn default() -> Self {
        Missing::new([Entry::Status(404), Entry::Status(405), Entry::Status(501), Entry::Connect])
    }
}

impl FromStr for Entry {
    type Err = Problem;

    /// A status from 200 to 599, `5XX`, `connect`, `timeout` or `reset`.
    fn from_str(text: &str) -> Result<Self, Problem> {
        match text {
            "connect" => return Ok(Entry::Connect),
            "timeout" => return Ok(Entry::Timeout),
            "reset" => return Ok(Entry::Reset),
            _ => {}
        }
        let class = text.strip_suffix("XX").or_else(|| text.strip_suffix("xx"));
        match (class.map(str::parse), text.parse()) {
            (Some(Ok(class @ 2..=5)), _) => Ok(Entry::Class(class)),
            (_, Ok(status @ 200..=599)) => Ok(Entry::Status(status)),
            _ => Err(Problem::value(format!("{} is no status and no failure", quoted(text)))
                .hint("write a status from 200 to 599, `5XX`, `connect`, `timeout` or `reset`")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_class_is_all_its_statuses() {
        let missing = Missing::new(["5XX", "404"].map(|text| text.parse().expect("an entry")));
        for (status, expected) in [(404, true), (405, false), (500, true), (599, true), (499, false)] {
            let status = StatusCode::from_u16(status).expect("a status");
            assert_eq!(missing.status(status), expected, "{status}");
        }
        assert!(!missing.connect);
    }

    #[test]
    fn what_is_never_a_final_answer_is_refused() {
        for text in ["100", "600", "1XX", "6XX", "conect", ""] {
            assert!(Entry::from_str(text).is_err(), "{text}");
        }
    }
}
