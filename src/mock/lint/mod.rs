//! What is probably not as its author meant it, though it can be served.
//!
//! What compiling has at hand anyway is said at each load. [`Mocks::lint`] says the rest, which costs
//! time and changes nothing of what is served: only `standin check` asks for it.

use std::collections::HashSet;

mod example;

mod instance;

mod asked;

mod declared;

mod path;

pub use path::{odd as odd_path, refused};

use super::callback::Payload;
use super::choose::Exchanges;
use super::{Mocks, Operation};
use crate::config::{Config, DEFAULT_UPSTREAM, Mode};
use crate::diagnostic::{Code, Diagnostic, Report, Severity, nearest};
use crate::spec::document::{self, Document};
use crate::spec::{Resolver, Trees};

const NOTHING_TO_ANSWER: Code = Code("SI0206");
const CALLBACK_NEVER_SENT: Code = Code("SI0207");
const RULE_WITHOUT_OPERATION: Code = Code("SI0210");
const CALLBACK_WITHOUT_BODY: Code = Code("SI0211");
const NOT_FINAL: Code = Code("SI0212");
const WITHOUT_UPSTREAM: Code = Code("SI0225");
const ALWAYS_PASSES: Code = Code("SI0226");
const IDLE_UPSTREAM: Code = Code("SI0227");

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
                report.extend(always_passes(operation, compiled));
            }
            let mut checker = asked::Checker::new(resolver, &mut report);
            pairs.iter().for_each(|(operation, compiled)| checker.operation(operation, compiled));
            let mut checker = example::Checker::new(resolver, document.format, &mut report);
            pairs.iter().for_each(|(operation, _)| checker.operation(operation));
            checker.finish();
            let mut checker = instance::Checker::new(self, &mut report);
            pairs.iter().for_each(|(operation, compiled)| checker.operation(operation, compiled));
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

/// `asked` says of each rule whether any operation asks its upstream.
pub fn idle_upstreams(config: &Config, asked: &[Option<bool>]) -> Vec<Diagnostic> {
    let idle = config.rules.iter().zip(asked).filter(|(_, asked)| **asked == Some(false));
    let names = idle.filter_map(|(rule, _)| rule.upstream.as_deref());
    let problems = names.map(|name| {
        let message =
            format!("the upstream `{name}` of a rule is never asked: its operations are answered here");
        Diagnostic::new(Severity::Warning, IDLE_UPSTREAM, message)
            .hint("let a rule give them another `mode` than `mock`, or take the upstream out")
    });
    problems.collect()
}

/// Operations of a document that ask an upstream which the config has not got, told once. `upstream`
/// is the one that the document's own entry names.
pub fn without_upstream(
    document: &Document<'_>,
    compiled: &[Operation],
    upstream: Option<&str>,
    config: &Config,
    report: &mut Report,
) {
    let mut leaving = Vec::new();
    let mut falling = Vec::new();
    for (operation, compiled) in document.operations.iter().zip(compiled) {
        let name = compiled.upstream.as_deref().or(upstream).unwrap_or(DEFAULT_UPSTREAM);
        if !compiled.is_mocked() || config.upstreams.contains_key(name) {
            continue;
        }
        match compiled.mode {
            Mode::Fallback => falling.push((operation, compiled)),
            mode if compiled.may_ask(mode) => leaving.push((operation, compiled)),
            _ => {}
        }
    }
    let kinds = [
        (leaving, "what no example fits is answered 502"),
        (falling, "the mode `fallback` answers from the document at once"),
    ];
    for (found, consequence) in kinds {
        let Some((first, Operation { label, .. })) = found.first() else { continue };
        let who = match found.len() {
            1 => format!("`{label}`"),
            2 => format!("`{label}` and another operation"),
            all => format!("`{label}` and {} other operations", all - 1),
        };
        let message = format!("{who}: the config has no upstream to ask, so {consequence}");
        let problem = first.key.problem(Severity::Warning, WITHOUT_UPSTREAM, message);
        report.push(problem.hint("give `upstreams` a `default`, or name the upstream that there is"));
    }
}

/// An operation that could as well be passed.
fn always_passes(operation: &document::Operation<'_>, compiled: &Operation) -> Option<Diagnostic> {
    let leaves = compiled.is_mocked() && compiled.leaves_unmatched(compiled.mode);
    if !leaves || compiled.exchanges.can_fit() {
        return None;
    }
    let message = format!(
        "`{}` always passes: none of its examples gives values for the request, so that none can fit it",
        compiled.label
    );
    let problem = operation.key.problem(Severity::Warning, ALWAYS_PASSES, message);
    Some(problem.hint(
        "give a parameter or the request body an example with the name of a response's, or write `mode: pass`",
    ))
}

/// What an operation never answers, or that it answers nothing at all.
pub fn operation(operation: &document::Operation<'_>, compiled: &Operation, report: &mut Report) {
    for response in operation.responses.iter().filter(|response| response.status.is_informational()) {
        let message = format!("a mock does not answer {}, which is no final status", response.key.text());
        report.push(response.key.problem(Severity::Note, NOT_FINAL, message));
    }
    if compiled.mode == Mode::Pass || compiled.leaves_unmatched(compiled.mode) {
        return;
    }
    let label = &compiled.label;
    let message = match compiled.exchanges.preferred() {
        None => format!("`{label}` describes no response to answer with"),
        Some(response) if response.says_nothing() => {
            format!("`{label}` has neither an example nor a schema of its response {}", response.status)
        }
        Some(_) => return,
    };
    let problem = operation.key.problem(Severity::Warning, NOTHING_TO_ANSWER, message);
    report.push(
        problem.hint("give the response an `example` or a `schema`, or pass the operation with a rule"),
    );
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
    let says = |media: &document::Media<'_>| media.schema.is_some() || media.item_schema.is_some();
    if payloads.is_empty() && !callback.bodies.is_empty() && !callback.bodies.iter().any(says) {
        let message = format!(
            "callback `{}` has neither an example nor a schema of its body, and is sent without one",
            callback.name
        );
        report.push(callback.key.problem(Severity::Warning, CALLBACK_WITHOUT_BODY, message));
    }
    let answers: HashSet<&str> = exchanges.names(None).collect();
    if callback.when.is_some() || names.is_empty() || names.iter().any(|name| answers.contains(&**name)) {
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

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;
    use crate::mock::Source;
    use crate::spec;
    use crate::tree::Tree;

    fn lint(paths: &str) -> Vec<Diagnostic> {
        let text = format!("openapi: 3.1.0\n{paths}");
        let (tree, _) = Tree::parse("/t.yaml", text, &Default::default()).expect("the text is YAML");
        let trees = Trees::from([("/t.yaml".into(), tree)]);
        let document = spec::read(&trees, "/t.yaml").document.expect("the text is a document");
        let sources = [Source { document, trees: &trees, base_path: None, upstream: None, mode: None }];
        let (mocks, _) = Mocks::compile(&sources, &Config::default());
        mocks.lint(&[(&sources[0].document, &trees)])
    }

    #[track_caller]
    fn check(paths: &str, expected: &[&str]) {
        let found: Vec<_> = lint(paths).iter().map(ToString::to_string).collect();
        assert_eq!(found, expected);
    }

    /// What linting tells, each code once, which has to come soon.
    #[track_caller]
    fn check_hostile(paths: &str, expected: &[&str]) {
        let started = Instant::now();
        let found = lint(paths);
        assert!(started.elapsed() < Duration::from_secs(30), "it took {:?}", started.elapsed());
        let codes: std::collections::BTreeSet<_> = found.iter().map(|found| found.code.0).collect();
        assert_eq!(codes.into_iter().collect::<Vec<_>>(), expected);
    }

    fn response(content: &str) -> String {
        format!("responses: {{200: {{content: {{application/json: {content}}}}}}}")
    }

    #[test]
    fn an_example_is_compared_once_however_many_refer_to_it() {
        let get = |path: &str| format!("/{path}: {{get: {{{}}}}}", response("{$ref: '#/x'}"));
        let shared = "schema: {type: string}, examples: {e: {$ref: '#/e'}}";
        let get_shared = |path: &str| format!("/{path}: {{get: {{{}}}}}", response(&format!("{{{shared}}}")));
        check(
            &format!("paths: {{{}, {}}}\ne: {{value: 1}}", get_shared("a"), get_shared("b")),
            &["/t.yaml:3:12: `1` is no string; its schema has `type: string`"],
        );
        assert_eq!(lint(&format!("paths: {{{}}}\nx: {{}}", get("a"))), []);
    }

    #[test]
    fn what_a_receiver_may_answer_is_looked_at_too() {
        let receiver = response("{schema: {type: string}, example: 1}");
        check(
            &format!(
                "paths: {{/a: {{post: {{responses: {{204: {{}}}}, callbacks: {{c: {{'http://h/': {{post: {{{receiver}}}}}}}}}}}}}}}"
            ),
            &["/t.yaml:2:160: `1` is no string; its schema has `type: string`"],
        );
    }

    #[test]
    fn what_is_too_large_is_one_note() {
        let large = format!("S: {{enum: [{}]}}", "1,".repeat(30_000));
        let get = |path: &str| {
            format!("  /{path}: {{get: {{{}}}}}\n", response("{schema: {$ref: '#/S'}, example: 1}"))
        };
        check(
            &format!("paths:\n{}{}{large}", get("a"), get("b")),
            &["/t.yaml:3:93: 2 examples were not compared with their schemas, this one first; \
               schema and example, or all of the document's, are too large for this check"],
        );
    }

    #[test]
    fn very_many_examples_and_schemas_end_soon() {
        let schemas: String = (0..1200)
            .map(|n| {
                let to = |n: usize| format!("{{$ref: '#/S/S{}'}}", n % 1200);
                format!("  S{n}: {{properties: {{a: {}, b: {}}}}}\n", to(n + 1), to(n * 7))
            })
            .collect();
        let paths: String = (0..300)
            .map(|n| {
                let media = format!("{{schema: {{$ref: '#/S/S{n}'}}, example: {{a: {{b: {{a: 1}}}}}}}}");
                format!("  /{n}: {{get: {{{}}}}}\n", response(&media))
            })
            .collect();
        check_hostile(&format!("paths:\n{paths}S:\n{schemas}"), &["SI0221"]);
        let nested = format!("{}1{}", "{x: ".repeat(150), "}".repeat(150));
        let media = format!("{{schema: {{$ref: '#/S'}}, example: {nested}}}");
        check_hostile(
            &format!(
                "paths: {{/a: {{get: {{{}}}}}}}\nS: {{anyOf: [{{properties: {{x: {{$ref: '#/S'}}}}}}, {{properties: {{x: {{$ref: '#/S'}}}}}}]}}",
                response(&media)
            ),
            &["SI0221"],
        );
    }

    #[test]
    fn very_many_references_of_templates_end_soon() {
        let strings = "'{{ request.params[x] }}',".repeat(20_000);
        let paths: String = (0..500)
            .map(|n| format!("  /{n}: {{get: {{{}}}}}\n", response("{examples: {e: {$ref: '#/e'}}}")))
            .collect();
        check_hostile(&format!("paths:\n{paths}e: {{value: [{strings}]}}"), &["SI0113", "SI0222"]);
        let bodies = "'{{ request.body/x/y }}',".repeat(20_000);
        let all = "{$ref: '#/S'},".repeat(40_000);
        check_hostile(
            &format!(
                "paths: {{/a: {{post: {{requestBody: {{content: {{application/json: {{schema: {{$ref: '#/S'}}}}}}}}, {}}}}}}}\nS: {{allOf: [{all}]}}",
                response(&format!("{{example: [{bodies}]}}"))
            ),
            &[],
        );
    }

    #[test]
    fn very_many_names_end_soon() {
        let declared: String = (0..20_000).map(|n| format!("{{name: p{n}, in: path}},")).collect();
        let path: String = (0..100).map(|n| format!("/{{q{n}}}")).collect();
        check_hostile(
            &format!("paths: {{'{path}': {{get: {{parameters: [{declared}], responses: {{204: {{}}}}}}}}}}"),
            &["SI0126"],
        );
        let refs = "x,".repeat(50_000);
        let ids = "{get: {operationId: a, responses: {204: {}}}}";
        let paths: String = (0..2000).map(|n| format!("  /{n}: {ids}\n")).collect();
        check_hostile(&format!("paths:\n{paths}"), &["SI0113", "SI0125"]);
        check_hostile(
            &format!("paths: {{/r: {{get: {{responses: {{204: {{x-microcks-refs: [{refs}]}}}}}}}}}}"),
            &["SI0113", "SI0223"],
        );
    }
}
