//! What is probably not as its author meant it, though it can be served.
//!
//! What compiling has at hand anyway is said at each load. [`Mocks::lint`] says the rest, which costs
//! time and changes nothing of what is served: only `standin check` asks for it.

use std::collections::HashSet;

mod example;

mod asked;

mod declared;

mod path;

pub use path::{odd as odd_path, refused};

use super::callback::Payload;
use super::choose::Exchanges;
use super::{Mocks, Operation};
use crate::config::{Config, Mode};
use crate::diagnostic::{Code, Diagnostic, Report, Severity, nearest};
use crate::spec::document::{self, Document, Response};
use crate::spec::{Resolver, Trees};

const NOTHING_TO_ANSWER: Code = Code("SI0206");
const CALLBACK_NEVER_SENT: Code = Code("SI0207");
const RULE_WITHOUT_OPERATION: Code = Code("SI0210");
const CALLBACK_WITHOUT_BODY: Code = Code("SI0211");
const NOT_FINAL: Code = Code("SI0212");
const ONLY_A_SCHEMA: Code = Code("SI0224");

impl Mocks {
    /// Looks at the documents that these mocks were compiled from, in the same order, and the texts
    /// that each was read from.
    pub fn lint<'t>(&self, documents: &[(&Document<'t>, &'t Trees)]) -> Vec<Diagnostic> {
        let mut found = Vec::new();
        let mut ids = declared::Ids::default();
        let mut operations = self.operations.iter();
        for (number, (document, trees)) in documents.iter().enumerate() {
            let mut report = Report::default();
            let resolver = &mut Resolver::new(trees, &document.source);
            resolver.read_as(document.format);
            ids.check(number, document, &mut report);
            let pairs: Vec<_> = document.operations.iter().zip(operations.by_ref()).collect();
            for (operation, compiled) in &pairs {
                declared::path_parameters(operation, compiled, &mut report);
                declared::refs(resolver, operation, &mut report);
                declared::callbacks(operation, compiled, &mut report);
            }
            let mut checker = asked::Checker::new(resolver, &mut report);
            pairs.iter().for_each(|(operation, compiled)| checker.operation(operation, compiled));
            let mut checker = example::Checker::new(resolver, document.format, &mut report);
            pairs.iter().for_each(|(operation, _)| checker.operation(operation));
            checker.finish();
            found.extend(report.finish());
        }
        found
    }
}

/// `matched` says of each selector whether it has found an operation.
pub fn unmatched_rules(config: &Config, matched: &[bool], mocks: &Mocks) -> Vec<Diagnostic> {
    let selectors = config.rules.iter().flat_map(|rule| &rule.operations);
    let unmatched = selectors.zip(matched).filter(|(_, matched)| !**matched);
    let problems = unmatched.map(|(selector, _)| {
        let message = format!("no operation is `{selector}`, which a rule of the config names");
        let problem = Diagnostic::new(Severity::Warning, RULE_WITHOUT_OPERATION, message);
        let labels = mocks.operations.iter().map(|operation| &*operation.label);
        match nearest(&selector.to_string(), labels) {
            Some(near) => problem.hint(format!("did you mean `{near}`?")),
            None => problem,
        }
    });
    problems.collect()
}

/// What an operation never answers, or that it answers nothing at all.
pub fn operation(operation: &document::Operation<'_>, compiled: &Operation, report: &mut Report) {
    for response in operation.responses.iter().filter(|response| response.status.is_informational()) {
        let message = format!("a mock does not answer {}, which is no final status", response.key.text());
        report.push(response.key.problem(Severity::Note, NOT_FINAL, message));
    }
    if compiled.mode == Mode::Pass || compiled.answers() {
        return;
    }
    let label = &compiled.label;
    let has_schema = |response: &Response<'_>| {
        response.content.iter().any(|media| media.schema.is_some() || media.item_schema.is_some())
    };
    let finals = operation.responses.iter().filter(|response| !response.status.is_informational());
    let preferred = finals.min_by_key(|response| response.status.preference());
    report.push(if preferred.is_some_and(has_schema) {
        let message = format!("`{label}` has a schema of its response and no example, and answers 500");
        operation.key.problem(Severity::Warning, ONLY_A_SCHEMA, message).hint(
            "give the response an `example`; this version makes no instances of schemas, a later one will",
        )
    } else {
        let message = format!("`{label}` has no example of a response to answer with");
        operation
            .key
            .problem(Severity::Warning, NOTHING_TO_ANSWER, message)
            .hint("give one of its responses an `example`, or pass the operation with a rule")
    });
}

/// A callback that goes out without a body, or never.
pub fn callback(
    callback: &document::Callback<'_>,
    operation: &document::Operation<'_>,
    names: &[Box<str>],
    payloads: &[Payload],
    exchanges: &Exchanges,
    report: &mut Report,
) {
    if payloads.is_empty() && !callback.bodies.is_empty() {
        let message =
            format!("callback `{}` has no example of its body, and is sent without one", callback.name);
        report.push(callback.key.problem(Severity::Warning, CALLBACK_WITHOUT_BODY, message));
    }
    let answers: HashSet<&str> = exchanges.names(None).collect();
    if names.is_empty() || names.iter().any(|name| answers.contains(&**name)) {
        return;
    }
    let message =
        format!("callback `{}` is never sent: no response has an example of its names", callback.name);
    let hint = match nearest(&names[0], answers.iter().copied()) {
        Some(near) => format!("`{}` is nearly `{near}`, which a response has", names[0]),
        None if operation.responses.iter().any(|response| response.content.is_empty()) => {
            format!(
                "name an example of a response `{0}`, or list it under `x-microcks-refs` of one without content",
                names[0]
            )
        }
        None => format!("name an example of a response `{}`", names[0]),
    };
    report.push(callback.key.problem(Severity::Warning, CALLBACK_NEVER_SENT, message).hint(hint));
}
