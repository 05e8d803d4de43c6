//! What passes, held against the document: which of it is looked at, and what is found.

use bytes::Bytes;
use http::{HeaderMap, StatusCode};

use super::message::{Body, Head, Request};
use super::violation::Violation;
use super::{Mocks, Operation, base_length, route};
use crate::config::Level;

/// Looks at the exchanges of an operation that pass.
#[derive(Debug, Clone, Copy)]
pub struct Watch<'m> {
    mocks: &'m Mocks,
    operation: &'m Operation,
}

impl Mocks {
    /// None: nobody looks at what passes for this operation.
    pub fn watch(&self, operation: usize) -> Option<Watch<'_>> {
        let operation = self.operations.get(operation)?;
        let looks = operation.contract.is_some() || operation.security.is_some();
        looks.then_some(Watch { mocks: self, operation })
    }
}

impl Watch<'_> {
    /// Whether the request's body is looked at.
    pub fn needs_request_body(&self) -> bool {
        let contract = self.operation.contract.as_ref().filter(|_| self.mocks.validate.request > Level::Off);
        contract.is_some_and(|contract| contract.needs_request_body())
    }

    /// What follows from an answer that is not as the document says.
    pub fn response(&self) -> Level {
        match self.operation.contract {
            Some(_) => self.mocks.validate.response,
            None => Level::Off,
        }
    }

    /// Whether the body of an answer with this head is looked at.
    pub fn needs_response_body(&self, status: StatusCode, headers: &HeaderMap) -> bool {
        let contract = self.operation.contract.as_ref();
        contract.is_some_and(|contract| contract.needs_response_body(status, headers))
    }

    /// What of a request is not as the document says. It is never refused for that: it passes.
    pub fn of_request(&self, head: &Head<'_>, body: &Body) -> Vec<Violation> {
        let Watch { mocks, operation } = *self;
        let path = route::path::canonical(head.path);
        let route::Found::Route { target, captures } = mocks.table.find(&path, head) else {
            return Vec::new();
        };
        let params = operation.params(captures);
        let base = base_length(head.path, target.base);
        let request = Request { head: *head, base, params: &params, body };
        let security = operation.security.as_ref().filter(|_| mocks.validate.security > Level::Off);
        let missing = security.and_then(|security| security.check(&request).err());
        let mut found: Vec<Violation> = missing.into_iter().map(|missing| missing.violation).collect();
        if let Some(contract) = operation.contract.as_ref().filter(|_| mocks.validate.request > Level::Off) {
            found.extend(contract.request(&request, &mocks.schemas));
        }
        found
    }

    /// What of an answer is not. `body` is none where it was not kept whole.
    pub fn of_response(
        &self,
        status: StatusCode,
        headers: &HeaderMap,
        body: Option<&Bytes>,
    ) -> Vec<Violation> {
        let contract = self.operation.contract.as_ref().filter(|_| self.response() > Level::Off);
        contract
            .map_or_else(Vec::new, |contract| contract.response(status, headers, body, &self.mocks.schemas))
    }
}
