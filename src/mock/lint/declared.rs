//! What a document says of its operations in two places that have to agree.

use std::collections::{HashMap, HashSet};

use super::CALLBACK_NEVER_SENT;
use crate::diagnostic::{Code, Report, Severity, nearest, slip};
use crate::mock::{Operation as Compiled, route};
use crate::spec::Resolver;
use crate::spec::document::{Document, Location, Operation, Parameter, StatusPattern, When};
use crate::tree::{Key, Value};

const SAME_ID: Code = Code("SI0125");
const PATH_PARAMETER: Code = Code("SI0126");
const UNKNOWN_REF: Code = Code("SI0223");

/// Names that one which is not there is compared with.
const COMPARED: usize = 100;

/// Parameters of one path that are told of, since the place of each costs as much as the path is long.
const TOLD: usize = 20;

/// Every `operationId`, with where it was first: among documents they only add up in the metrics.
#[derive(Default)]
pub struct Ids<'t> {
    first: HashMap<&'t str, (usize, Key<'t>)>,
}

impl<'t> Ids<'t> {
    /// OpenAPI 3.1, 4.8.10: an `operationId` is unique in its document.
    pub fn check(&mut self, document: usize, read: &Document<'t>, report: &mut Report) {
        for operation in &read.operations {
            let Some(id) = operation.id else { continue };
            let Some((other, first)) = self.first.get(id).copied() else {
                self.first.insert(id, (document, operation.key));
                continue;
            };
            let severity = if other == document { Severity::Warning } else { Severity::Note };
            let at = first.place();
            let problem = match operation.key.value().and_then(|value| value.get("operationId")) {
                Some(value) => {
                    value.problem(severity, SAME_ID, format!("the operationId `{id}` is there already"))
                }
                None => operation.key.problem(
                    severity,
                    SAME_ID,
                    format!("the operationId `{id}` is there already"),
                ),
            };
            let hint = match severity {
                Severity::Note => "of another document; what both do adds up in the metrics",
                _ => "give one of them another; rules and metrics can't tell them apart",
            };
            report.push(problem.hint(format!("{}:{} has it first: {hint}", at.file, at.line)));
        }
    }
}

/// 3.1, 4.8.12.1: each `{name}` of a path is a path parameter, and each path parameter is in the path.
pub fn path_parameters(operation: &Operation<'_>, compiled: &Compiled, report: &mut Report) {
    let template = route::Template::parse("", operation.path, &operation.parameters);
    let named: Vec<&str> = template.parameters.iter().map(|captured| &*captured.name).collect();
    let declared = || operation.parameters.iter().filter(|parameter| parameter.location == Location::Path);
    let known: HashSet<&str> = declared().map(|parameter| parameter.name).collect();
    let names: HashSet<&str> = named.iter().copied().collect();
    // Of `{a}{b}` only the first captures, and a base path has parameters too.
    let elsewhere = |name: &str| {
        operation.path.contains(&format!("{{{name}}}"))
            || compiled.parameters.iter().any(|captured| *captured.name == *name)
    };
    let unknown = |parameter: &&Parameter<'_>| !names.contains(parameter.name) && !elsewhere(parameter.name);
    for parameter in declared().filter(unknown).take(TOLD) {
        let name = parameter.name;
        let at = parameter.at.get("name").unwrap_or(parameter.at);
        let message = format!("the path `{}` has no `{{{name}}}`", operation.path);
        let problem = at.problem(Severity::Warning, PATH_PARAMETER, message);
        let undeclared = named.iter().copied().filter(|name| !known.contains(name));
        report.push(match meant(name, undeclared) {
            Some(near) => problem.hint(format!("did you mean `{near}`?")),
            None => problem.hint("take the parameter out, or put it into the path"),
        });
    }
    for name in named.iter().filter(|name| !known.contains(*name)).take(TOLD) {
        if name.is_empty() {
            let message = "`{}` of the path has no name";
            let problem = operation.path_key.problem(Severity::Warning, PATH_PARAMETER, message);
            report.push(problem.hint("write one between the braces, and declare it under `parameters`"));
            continue;
        }
        let message = format!("`{{{name}}}` of the path is not declared as a parameter");
        let problem = operation.path_key.problem(Severity::Warning, PATH_PARAMETER, message);
        let unused = declared().map(|parameter| parameter.name).filter(|name| !names.contains(name));
        report.push(match meant(name, unused) {
            Some(near) => problem.hint(format!("`{near}` is; did you mean that?")),
            None => problem.hint(format!("add `{{name: {name}, in: path, required: true}}` to `parameters`")),
        });
    }
}

fn meant<'n>(name: &str, others: impl Iterator<Item = &'n str> + Clone) -> Option<&'n str> {
    let few = others.take(COMPARED);
    few.clone().find(|other| other.eq_ignore_ascii_case(name)).or_else(|| nearest(name, few))
}

/// Names under `x-microcks-refs` of a response without content that join it to nothing.
pub fn refs<'t>(resolver: &mut Resolver<'t>, operation: &Operation<'t>, report: &mut Report) {
    let joined = operation.responses.iter().filter(|response| response.content.is_empty());
    let mut joined = joined.filter(|response| !response.refs.is_empty()).peekable();
    if joined.peek().is_none() {
        return;
    }
    let calls = operation.callbacks.iter();
    let bodies = operation.bodies.iter().chain(calls.clone().flat_map(|callback| &callback.bodies));
    let examples = operation.parameters.iter().flat_map(|parameter| &parameter.examples);
    let examples = examples.chain(bodies.flat_map(|media| &media.examples));
    let names = examples.filter_map(|example| example.name);
    let names: HashSet<&str> = names
        .chain(
            calls.flat_map(|callback| callback.responses.iter().flat_map(|response| &response.refs).copied()),
        )
        .collect();
    for response in joined {
        let value = response.key.value().and_then(|value| resolver.follow(value));
        let list = value.and_then(|value| value.get("x-microcks-refs"));
        let listed = list.into_iter().flat_map(Value::items).filter_map(|item| Some((item, item.as_str()?)));
        for (item, name) in listed.filter(|(_, name)| !names.contains(name)) {
            let message = format!("no example of the request or of a callback is called `{name}`");
            let problem = item.problem(Severity::Warning, UNKNOWN_REF, message);
            report.push(match nearest(name, names.iter().copied().take(COMPARED)) {
                Some(near) => problem.hint(format!("did you mean `{near}`?")),
                None => problem.hint("take the name out, or name an example so"),
            });
        }
    }
}

/// Callbacks of which a part, or all for want of a success, is never sent.
pub fn callbacks(operation: &Operation<'_>, compiled: &Compiled, report: &mut Report) {
    let answers: HashSet<&str> = compiled.exchanges.names(None).collect();
    for callback in &operation.callbacks {
        let condition = callback.when.as_ref().filter(|_| compiled.answers());
        if let Some((place, why, hint)) = condition.and_then(|when| never_holds(when, operation, &answers)) {
            let message = format!("callback `{}` is never sent: {why}", callback.name);
            report.push(place.problem(Severity::Warning, CALLBACK_NEVER_SENT, message).hint(hint));
        }
    }
    let succeeds = operation.responses.iter().any(|response| {
        let status = response.status.status();
        status.is_success() || status.is_redirection()
    });
    for callback in operation.callbacks.iter().filter(|callback| callback.when.is_none()) {
        let named = callback.bodies.iter().flat_map(|media| &media.examples);
        let named: Vec<_> = named.filter_map(|example| Some((example, example.name?))).collect();
        let has_refs = callback.responses.iter().any(|response| !response.refs.is_empty());
        if named.is_empty() && !has_refs && !succeeds && compiled.answers() {
            let message = format!("callback `{}` is never sent: no response is a success", callback.name);
            report.push(
                callback
                    .key
                    .problem(Severity::Warning, CALLBACK_NEVER_SENT, message)
                    .hint("without example names it goes with 2xx and 3xx answers only"),
            );
        }
        if !named.iter().any(|(_, name)| answers.contains(name)) {
            continue;
        }
        for (example, name) in named.iter().filter(|(_, name)| !answers.contains(name)) {
            let message = format!("example `{name}` of callback `{}` is never sent", callback.name);
            let problem = example.at.problem(Severity::Warning, CALLBACK_NEVER_SENT, message);
            report.push(match slip(name, answers.iter().copied().take(COMPARED)) {
                Some(near) => problem.hint(format!("a response has `{near}`; did you mean that?")),
                None => problem.hint(format!("no response has an example `{name}`")),
            });
        }
    }
}

/// Where and why no answer fulfils a condition, and the remedy.
fn never_holds<'t>(
    when: &When<'t>,
    operation: &Operation<'_>,
    answers: &HashSet<&str>,
) -> Option<(Value<'t>, String, String)> {
    let place = |key| when.at.get(key).unwrap_or(when.at);
    if let Some(first) = when.examples.first()
        && !when.examples.iter().any(|name| answers.contains(name))
    {
        let hint = match nearest(first, answers.iter().copied().take(COMPARED)) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("name an example of a response `{first}`"),
        };
        return Some((place("example"), format!("no response has an example `{first}`"), hint));
    }
    let there: Vec<StatusPattern> = operation.responses.iter().map(|response| response.status).collect();
    let meets = |asked: &StatusPattern| there.iter().any(|status| status.meets(*asked));
    if when.statuses.is_empty() || when.statuses.iter().any(meets) {
        return None;
    }
    let listed: Vec<String> = there.iter().take(TOLD).map(|status| format!("`{status}`")).collect();
    let hint = match listed.is_empty() {
        true => "describe such a response".to_owned(),
        false => format!("there are {}", listed.join(", ")),
    };
    Some((place("status"), "no response has this status".to_owned(), hint))
}
