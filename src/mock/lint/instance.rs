//! Whether an instance can be made where a response has a schema and no example.

use std::collections::HashSet;

use crate::diagnostic::{Code, Report, Severity, cut};
use crate::mock::callback::Callback;
use crate::mock::offer::Making;
use crate::mock::{Mocks, Operation};
use crate::spec::document;
use crate::spec::kept::Key;
use crate::spec::schema::Direction;

const NO_INSTANCE: Code = Code("SI0224");

/// Values of the schemas of one document that are looked at: to make an instance takes as long as to answer
/// with it, and some documents have thousands of schemas that each reach thousands.
const VALUES: usize = 1_000_000;

/// Looks at the operations of one document. What is made is kept by the mocks, as an answer would be.
pub struct Checker<'a> {
    mocks: &'a Mocks,
    report: &'a mut Report,
    known: HashSet<Key>,
    left: usize,
}

impl<'a> Checker<'a> {
    pub fn new(mocks: &'a Mocks, report: &'a mut Report) -> Self {
        Checker { mocks, report, known: HashSet::new(), left: VALUES }
    }

    pub fn operation(&mut self, operation: &document::Operation<'_>, compiled: &Operation) {
        self.response(operation, compiled);
        self.callbacks(operation, compiled);
    }

    fn callbacks(&mut self, operation: &document::Operation<'_>, compiled: &Operation) {
        for Callback { plan, instance, .. } in &compiled.callbacks {
            let Some((instance, schema)) = instance.as_ref().and_then(|one| Some((one, one.schema()?)))
            else {
                continue;
            };
            if self.left == 0 || !self.known.insert(schema.key(Direction::Request)) {
                continue;
            }
            let validator = self.mocks.schemas.of(schema, Direction::Request);
            self.left = self.left.saturating_sub(validator.map_or(1, |validator| validator.size()));
            if instance.payload().is_some() {
                continue;
            }
            let is_it = |callback: &&document::Callback<'_>| {
                *callback.name == *plan.name && callback.method == plan.method
            };
            let Some(callback) = operation.callbacks.iter().find(is_it) else { continue };
            let message = format!("no instance can be made of the body of callback `{}`", cut(&plan.name));
            let hint = "correct its schema, or give it an `example`; it is sent without a body until then";
            self.report.push(callback.key.problem(Severity::Warning, NO_INSTANCE, message).hint(hint));
        }
    }

    fn response(&mut self, operation: &document::Operation<'_>, compiled: &Operation) {
        let preferred = compiled.exchanges.preferred().filter(|_| compiled.is_mocked());
        let Some(response) = preferred.filter(|response| response.exchanges.is_empty()) else { return };
        let Some(described) = operation.responses.iter().find(|one| one.status == response.status) else {
            return;
        };
        let making = Making {
            status: response.status.status(),
            revealed: None,
            schemas: &self.mocks.schemas,
            room: &self.mocks.room,
        };
        for offer in &response.offers {
            let Some(schema) = offer.schema() else { continue };
            if self.left == 0 || !self.known.insert(schema.key(Direction::Response)) {
                continue;
            }
            let validator = self.mocks.schemas.of(schema, Direction::Response);
            let size = validator.map_or(1, |validator| validator.size());
            self.left = self.left.saturating_sub(size);
            let Err(reason) = offer.fixed(&making) else { continue };
            let media = described.content.iter().find(|media| media.name == offer.media.as_str());
            let at = media.and_then(|media| media.schema);
            let message = format!("no instance can be made of this schema: {}", cut(&reason));
            let hint = "correct the schema, or give the response an `example`; it answers 500 until then";
            let problem = match at {
                Some(schema) => schema.problem(Severity::Warning, NO_INSTANCE, message),
                None => described.key.problem(Severity::Warning, NO_INSTANCE, message),
            };
            self.report.push(problem.hint(hint));
        }
    }
}
