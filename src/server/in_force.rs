//! What is in force: one snapshot that a request is decided with, from its first byte to its last
//! callback.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::load::State;
use super::metrics::Meters;
use super::upstream::Upstream;
use crate::config::{Config, DEFAULT_UPSTREAM};
use crate::diagnostic::Diagnostic;
use crate::mock::Mocks;

/// Everything that a request is decided with. A reload makes another one.
#[derive(Debug)]
pub struct InForce {
    /// Counts the start and each reload, from 1.
    pub version: u64,
    pub config: Arc<Config>,
    pub mocks: Mocks,
    pub meters: Meters,
    pub upstreams: BTreeMap<String, Arc<Upstream>>,
    /// The name of each document's upstream, by the document's number.
    pub document_upstreams: Vec<String>,
    pub documents: Vec<Served>,
}

/// A document as the admin port tells of it.
#[derive(Debug, Clone)]
pub struct Served {
    pub source: Arc<str>,
    pub title: String,
    pub version: String,
    pub state: State,
    pub operations: usize,
    pub diagnostics: Vec<Diagnostic>,
}

impl InForce {
    /// The upstream of an operation: the one that a rule names, else its document's, else the default
    /// one; none if the config has none.
    pub fn upstream_of(&self, operation: Option<usize>) -> Option<&Arc<Upstream>> {
        let operation = operation.and_then(|number| self.mocks.operations.get(number));
        let ruled = operation.and_then(|operation| operation.upstream.as_deref());
        let document = operation.and_then(|operation| self.document_upstreams.get(operation.document));
        let name = ruled.or(document.map(String::as_str));
        self.upstreams.get(name.unwrap_or(DEFAULT_UPSTREAM))
    }
}
