//! Planning the calls of an answer: which callbacks go out, in which order, with what.
//!
//! A chain is settled when the answer is chosen; each of its calls is rendered once, when it is
//! first sent.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method};

use super::message::Moment;

/// The calls of one answer, in the order in which they go out. Sent at the edge.
#[derive(Debug, Clone)]
pub struct Chain {
    /// The operation's label: `operationId`, else `METHOD /path/template`.
    pub operation: Arc<str>,
    pub calls: Box<[Planned]>,
}

/// One call of a chain, before its turn.
#[derive(Debug, Clone)]
pub struct Planned {
    /// The callback's name in the document.
    pub callback: Arc<str>,
    /// What the document says to wait before it; none: what the config says.
    pub wait: Option<Duration>,
    /// Where it will go, as far as it is known now; why not, if nowhere.
    pub target: Result<String, Unresolved>,
}

/// A request to make: everything but the identity that the sender adds.
#[derive(Debug, Clone, PartialEq)]
pub struct Call {
    pub method: Method,
    /// As rendered: not yet parsed as a URL, nor checked. It may be relative.
    pub url: String,
    /// What a relative `url` is relative to: the client's request, `http://host/path`.
    pub base: String,
    pub headers: HeaderMap,
    pub body: Bytes,
}

/// Why a callback has no target: the expression that has no value, and why.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{{{expression}}} {reason}")]
pub struct Unresolved {
    pub expression: String,
    pub reason: &'static str,
}

impl Chain {
    /// Renders the call at `index`; `moment` is that of its first attempt.
    pub fn render(&self, index: usize, moment: Moment) -> Result<Call, Unresolved> {
        let _ = (index, moment);
        todo!()
    }
}
