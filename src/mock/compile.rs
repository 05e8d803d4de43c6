//! Documents and rules to mocks, gathering diagnostics.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use http::HeaderName;

use super::callback::expression::Url;
use super::callback::{Payload, Plan};
use super::choose::{Exchanges, WantedBody, WantedValue};
use super::media::MediaType;
use super::reply::Content;
use super::template::Template;
use super::{Mocks, Operation, Summary, body, route};
use crate::config::{Config, Mode, Unmatched};
use crate::diagnostic::{Code, Diagnostic, Severity};
use crate::spec::document::{self, Document, Example, Location, Media, Shown};
use crate::tree::{Key, Tree, Value};

mod exchange;

const BAD_MEDIA_TYPE: Code = Code("SI0203");
const BAD_HEADER: Code = Code("SI0204");
const BAD_CALLBACK_URL: Code = Code("SI0205");
const NOTHING_TO_ANSWER: Code = Code("SI0206");
const CALLBACK_NEVER_SENT: Code = Code("SI0207");
const SAME_ROUTE: Code = Code("SI0208");
const BAD_MODE: Code = Code("SI0209");
const RULE_WITHOUT_OPERATION: Code = Code("SI0210");
const CALLBACK_WITHOUT_BODY: Code = Code("SI0211");
const NOT_FINAL: Code = Code("SI0212");
const UNREACHABLE: Code = Code("SI0213");
const UNREAD_PATTERN: Code = Code("SI0214");
const EMPTY_SEGMENT: Code = Code("SI0215");

/// Bodies by the example that they are made from: thousands of operations may refer to one, and what
/// they come to is read, kept, and complained about once.
#[derive(Default)]
struct Shared {
    sent: HashMap<Made, Content>,
    wanted: HashMap<Made, WantedBody>,
}

/// An example's tree and node, and whether it is shown as JSON.
type Made = (*const Tree, u32, bool);

fn made(value: Value<'_>, as_json: bool) -> Made {
    (Arc::as_ptr(value.tree()), value.id(), as_json)
}

/// A document and what the config says about it.
pub struct Source<'t> {
    pub document: Document<'t>,
    /// Instead of the paths of its `servers`.
    pub base_path: Option<String>,
    pub mode: Option<Mode>,
}

impl Mocks {
    /// Compiles documents in the order of the config: of two that have one route, the first keeps it.
    pub fn compile(sources: &[Source<'_>], config: &Config) -> (Mocks, Vec<Diagnostic>) {
        let mut mocks = Mocks {
            documents: Vec::new(),
            operations: Vec::new(),
            table: route::Table::default(),
            overrides: config.overrides,
        };
        let mut diagnostics = Vec::new();
        let mut places: Vec<Key<'_>> = Vec::new();
        let mut shared = Shared::default();
        let mut previous = None;
        let mut matched = vec![false; config.rules.iter().map(|rule| rule.operations.len()).sum()];
        for (number, source) in sources.iter().enumerate() {
            let document = &source.document;
            mocks.documents.push(Summary {
                source: document.source.clone(),
                title: document.title.to_owned(),
                version: document.version.clone(),
                openapi: document.openapi.clone(),
            });
            for operation in &document.operations {
                let bases =
                    source.base_path.as_ref().map_or(operation.bases.as_slice(), std::slice::from_ref);
                let mut compiler = Compiler {
                    config,
                    source,
                    operation,
                    diagnostics: &mut diagnostics,
                    matched: &mut matched,
                    shared: &mut shared,
                };
                let mut compiled = compiler.operation(number, bases);
                // A path key is told of once, whatever its methods and base paths.
                if previous.replace(operation.path.as_ptr()) != Some(operation.path.as_ptr()) {
                    diagnostics.extend(odd_path(operation));
                }
                for base in bases {
                    let refused = add_route(&mut mocks, operation, base, &places);
                    compiled.routed |= refused.is_none();
                    diagnostics.extend(refused);
                }
                places.push(operation.key);
                mocks.operations.push(compiled);
            }
        }
        unmatched_rules(config, &matched, &mocks, &mut diagnostics);
        (mocks, diagnostics)
    }
}

/// Adds a route to the operation that comes next; what is said, if it can't be.
fn add_route(
    mocks: &mut Mocks,
    operation: &document::Operation<'_>,
    base: &str,
    places: &[Key<'_>],
) -> Option<Diagnostic> {
    let route = format!("{} {base}{}", operation.method, operation.path);
    let template = route::Template::parse(base, operation.path, &operation.parameters);
    let conditional = !template.conditions.is_empty();
    let target =
        route::Target { operation: mocks.operations.len(), base: route::path::segments(base).count() };
    let taken = match mocks.table.insert(template, operation.method.clone(), target).err()? {
        route::Refused::Taken(taken) => taken,
        route::Refused::TooLong => {
            let message = "this is never found: the path has more than 500 segments";
            return Some(operation.key.problem(Severity::Warning, UNREACHABLE, message));
        }
    };
    let (code, message) = match conditional {
        true => (
            UNREACHABLE,
            format!("`{route}` is never found: a route with the same conditions is there already"),
        ),
        false => (SAME_ROUTE, format!("`{route}` is there already")),
    };
    let problem = operation.key.problem(Severity::Warning, code, message);
    // Nothing else has it where another base path of the same operation does.
    match (places.get(taken.operation), mocks.operations.get(taken.operation)) {
        (Some(first), Some(other)) => {
            let place = first.place();
            Some(problem.hint(format!(
                "{}:{} has it, as `{}`; the first one answers",
                place.file, place.line, other.label
            )))
        }
        _ => Some(problem),
    }
}

/// What may surprise in a path key.
fn odd_path(operation: &document::Operation<'_>) -> Vec<Diagnostic> {
    let key = operation.path_key;
    let template = route::Template::parse("", operation.path, &[]);
    let literals = template.segments.iter().map(|segment| match segment {
        route::Segment::Literal(text) => Some(text.as_str()),
        route::Segment::Templated(_) => None,
    });
    let literals: Vec<_> = literals.collect();
    let mut found = Vec::new();
    if literals.iter().any(|literal| matches!(literal, Some("." | ".."))) {
        let message = "no client asks for this path: `.` and `..` are resolved before a request is sent";
        found.push(
            key.problem(Severity::Warning, UNREACHABLE, message).hint("write the path that they lead to"),
        );
    }
    if literals.iter().rev().skip(1).any(|literal| *literal == Some("")) {
        let message = "the path has an empty segment, which a request must have too";
        found.push(
            key.problem(Severity::Note, EMPTY_SEGMENT, message).hint("write one `/` if `//` is a slip"),
        );
    }
    if let Some(unread) = &template.unread {
        let message =
            format!("the pattern of `{{{unread}}}` is not looked at: the parameter takes any one segment");
        found.push(key.problem(Severity::Note, UNREAD_PATTERN, message));
    }
    found
}

fn unmatched_rules(config: &Config, matched: &[bool], mocks: &Mocks, diagnostics: &mut Vec<Diagnostic>) {
    let selectors = config.rules.iter().flat_map(|rule| &rule.operations);
    for (selector, _) in selectors.zip(matched).filter(|(_, matched)| !**matched) {
        let message = format!("no operation is `{selector}`, which a rule of the config names");
        let mut problem = Diagnostic::new(Severity::Warning, RULE_WITHOUT_OPERATION, message);
        let labels = mocks.operations.iter().map(|operation| &*operation.label);
        if let Some(near) = crate::diagnostic::nearest(&selector.to_string(), labels) {
            problem = problem.hint(format!("did you mean `{near}`?"));
        }
        diagnostics.push(problem);
    }
}

struct Compiler<'a, 't> {
    config: &'a Config,
    source: &'a Source<'t>,
    operation: &'a document::Operation<'t>,
    diagnostics: &'a mut Vec<Diagnostic>,
    /// Which selectors of the rules have found an operation.
    matched: &'a mut [bool],
    shared: &'a mut Shared,
}

impl<'t> Compiler<'_, 't> {
    fn operation(&mut self, document: usize, bases: &[String]) -> Operation {
        let operation = self.operation;
        let base = bases.first().map_or("", String::as_str);
        let template = format!("{base}{}", operation.path);
        let label: Arc<str> = match operation.id {
            Some(id) => id.into(),
            None => format!("{} {template}", operation.method).into(),
        };
        // A rule may name a path with or without what it says of the query.
        let bare = Some(route::bare(operation.path)).filter(|bare| *bare != operation.path);
        let paths = bare.into_iter().chain([operation.path]);
        let templates: Vec<_> =
            paths.flat_map(|path| bases.iter().map(move |base| format!("{base}{path}"))).collect();
        let rule = self.rule(&templates);
        let (mode, decided_by) = self.mode(rule.0);
        let unmatched = self.unmatched(rule.1);
        let exchanges = self.exchanges(&label);
        let callbacks = self.callbacks(&exchanges);
        let parameters =
            route::Template::parse(base, operation.path, &operation.parameters).parameters.into();
        let empties = exchanges.responses.iter().filter_map(|response| response.empty.as_deref());
        let replies = exchanges.all.iter().flat_map(|exchange| &exchange.replies).chain(empties);
        let needs_body = exchanges.look_at_body()
            || replies.into_iter().any(|reply| reply.needs().request_body)
            || callbacks.iter().any(|plan| plan.needs().request_body);
        let compiled = Operation {
            label,
            method: operation.method.clone(),
            template,
            document,
            mode,
            decided_by,
            routed: false,
            unmatched,
            parameters,
            exchanges,
            callbacks,
            needs_body,
        };
        for response in operation.responses.iter().filter(|response| response.status.is_informational()) {
            let message = format!("a mock does not answer {}, which is no final status", response.key.text());
            self.diagnostics.push(response.key.problem(Severity::Note, NOT_FINAL, message));
        }
        if mode != Mode::Pass && !compiled.answers() {
            let message = format!("`{}` has no example of a response to answer with", compiled.label);
            self.diagnostics.push(
                operation
                    .key
                    .problem(Severity::Warning, NOTHING_TO_ANSWER, message)
                    .hint("give one of its responses an `example`; instances of schemas are not built yet"),
            );
        }
        compiled
    }

    /// What the rules of the config set: each key comes from the first matching rule that sets it.
    fn rule(&mut self, templates: &[String]) -> (Option<Mode>, Option<Unmatched>) {
        let operation = self.operation;
        let (mut mode, mut unmatched) = (None, None);
        let mut number = 0;
        for rule in &self.config.rules {
            let mut fits = false;
            for selector in &rule.operations {
                let matches = templates.iter().any(|template| {
                    selector.matches(operation.id, &operation.method, template, &operation.tags)
                });
                self.matched[number] |= matches;
                fits |= matches;
                number += 1;
            }
            if fits {
                mode = mode.or(rule.mode);
                unmatched = unmatched.or(rule.unmatched);
            }
        }
        (mode, unmatched)
    }

    fn mode(&mut self, rule: Option<Mode>) -> (Mode, &'static str) {
        if let Some(mode) = rule {
            return (mode, "rules");
        }
        let extension = self.operation.extension.and_then(|extension| extension.get("mode"));
        let named = [("mock", Mode::Mock), ("pass", Mode::Pass)];
        if let Some(mode) = extension.and_then(|value| self.word(value, &named, &["match", "fallback"])) {
            return (mode, "x-standin");
        }
        match self.source.mode {
            Some(mode) => (mode, "specs"),
            None => (self.config.mode, "mode"),
        }
    }

    fn unmatched(&mut self, rule: Option<Unmatched>) -> Unmatched {
        let extension = self.operation.extension.and_then(|extension| extension.get("unmatched"));
        let named = [("example", Unmatched::Example), ("reject", Unmatched::Reject)];
        let extension = extension.and_then(|value| self.word(value, &named, &["generate", "upstream"]));
        rule.or(extension).unwrap_or(self.config.unmatched)
    }

    fn word<T: Copy>(&mut self, value: Value<'t>, named: &[(&str, T)], planned: &[&str]) -> Option<T> {
        let text = value.text().unwrap_or_default();
        let found = named.iter().find(|(name, _)| *name == text).map(|(_, word)| *word);
        if found.is_none() {
            let message = match planned.contains(&&*text) {
                true => format!("`{text}` is not built yet"),
                false => format!("`{text}` is none of the words there are"),
            };
            let words: Vec<_> = named.iter().map(|(name, _)| *name).collect();
            self.diagnostics.push(
                value
                    .problem(Severity::Error, BAD_MODE, message)
                    .hint(format!("write `{}`", words.join("` or `"))),
            );
        }
        found
    }

    fn content(&mut self, example: &Example<'t>, media: &MediaType) -> Content {
        let make = || body::of(example, media, self.diagnostics);
        self.shared.sent.entry(made(example.at, media.is_json())).or_insert_with(make).clone()
    }

    fn media_type(&mut self, media: &Media<'t>) -> Option<MediaType> {
        let parsed = MediaType::parse(media.name);
        if parsed.is_none() {
            let message = format!("`{}` is no media type", media.name);
            self.diagnostics.push(
                media
                    .at
                    .problem(Severity::Warning, BAD_MEDIA_TYPE, message)
                    .hint("write it as `application/json`"),
            );
        }
        parsed
    }

    fn callbacks(&mut self, exchanges: &Exchanges) -> Box<[Arc<Plan>]> {
        let mut order: Vec<_> = self.operation.callbacks.iter().collect();
        // A stable sort: those of one order, and those without, stay in their places.
        order.sort_by_key(|callback| callback.order.unwrap_or(i64::MAX));
        let plans = order.into_iter().filter_map(|callback| self.plan(callback, exchanges));
        plans.collect()
    }

    fn plan(&mut self, callback: &document::Callback<'t>, exchanges: &Exchanges) -> Option<Arc<Plan>> {
        let url = match Url::parse(callback.url.text()) {
            Ok(url) => url,
            Err(error) => {
                let problem = callback.url.problem(Severity::Warning, BAD_CALLBACK_URL, error.message);
                self.diagnostics.push(match error.hint {
                    Some(hint) => problem.hint(hint),
                    None => problem.hint("the callback is not sent"),
                });
                return None;
            }
        };
        if let Some(expression) = url.never_resolved() {
            let message = format!("`{expression}` stands in the host or port, where nothing is resolved");
            self.diagnostics.push(callback.url.problem(Severity::Warning, BAD_CALLBACK_URL, message).hint(
                "let one expression begin the key with scheme and host, as `{$request.body#/url}/path`",
            ));
        }
        let mut payloads = Vec::new();
        for media in &callback.bodies {
            let Some(kind) = self.media_type(media) else { continue };
            for example in &media.examples {
                let body = self.content(example, &kind);
                payloads.push(Payload { example: example.name.map(Into::into), media: kind.clone(), body });
            }
        }
        let named = payloads.iter().filter_map(|payload| payload.example.as_deref());
        let mut names: Vec<Box<str>> = named.map(Into::into).collect();
        if names.is_empty() {
            names.extend(callback.refs.iter().map(|name| (*name).into()));
        }
        self.lint_callback(callback, &names, &payloads, exchanges);
        Some(Arc::new(Plan {
            name: callback.name.into(),
            method: callback.method.clone(),
            url,
            wait: callback.delay,
            names: names.into(),
            payloads: payloads.into(),
            headers: self.callback_headers(callback),
        }))
    }

    fn callback_headers(&mut self, callback: &document::Callback<'t>) -> Box<[(HeaderName, Template)]> {
        let parameters =
            callback.parameters.iter().filter(|parameter| parameter.location == Location::Header);
        let fields = parameters.filter_map(|parameter| {
            let example = parameter.examples.first()?;
            let name = HeaderName::try_from(parameter.name).ok()?;
            Some((name, body::header(example, self.diagnostics)))
        });
        fields.collect()
    }

    fn lint_callback(
        &mut self,
        callback: &document::Callback<'t>,
        names: &[Box<str>],
        payloads: &[Payload],
        exchanges: &Exchanges,
    ) {
        if payloads.is_empty() && !callback.bodies.is_empty() {
            let message =
                format!("callback `{}` has no example of its body, and is sent without one", callback.name);
            self.diagnostics.push(callback.key.problem(Severity::Warning, CALLBACK_WITHOUT_BODY, message));
        }
        let answers: HashSet<&str> = exchanges.names(None).collect();
        if !names.is_empty() && !names.iter().any(|name| answers.contains(&**name)) {
            let message = format!(
                "callback `{}` is never sent: no response has an example of its names",
                callback.name
            );
            let hint = match names
                .first()
                .and_then(|name| crate::diagnostic::nearest(name, answers.iter().copied()))
            {
                Some(near) => format!("`{}` is nearly `{near}`, which a response has", names[0]),
                None if self.operation.responses.iter().any(|response| response.content.is_empty()) => {
                    format!(
                        "name an example of a response `{0}`, or list it under `x-microcks-refs` of one without content",
                        names[0]
                    )
                }
                None => format!("name an example of a response `{}`", names[0]),
            };
            self.diagnostics
                .push(callback.key.problem(Severity::Warning, CALLBACK_NEVER_SENT, message).hint(hint));
        }
    }
}

fn wanted_value(example: &Example<'_>) -> Option<WantedValue> {
    let value = match example.shown {
        Shown::Data(value) => value,
        Shown::Text(text) => return Some(WantedValue::One(text.into())),
        Shown::File(bytes) => {
            return std::str::from_utf8(bytes).ok().map(|text| WantedValue::One(text.into()));
        }
    };
    if value.is_sequence() {
        let mut items: Vec<Box<str>> =
            value.items().filter_map(Value::text).map(|text| text.as_ref().into()).collect();
        items.sort_unstable();
        items.dedup();
        return Some(WantedValue::Set(items.into()));
    }
    value.text().map(|text| WantedValue::One(text.as_ref().into()))
}

fn wanted_body(example: &Example<'_>, json: bool) -> WantedBody {
    let text = match example.shown {
        Shown::Data(value) => match value.as_str() {
            Some(text) => Cow::Borrowed(text),
            None => return WantedBody::Json(Arc::new(value.to_json())),
        },
        Shown::Text(text) => Cow::Borrowed(text),
        Shown::File(bytes) => String::from_utf8_lossy(bytes),
    };
    match json {
        // A string that is JSON shows the JSON inside it.
        true => WantedBody::Json(Arc::new(
            serde_json::from_str(&text).unwrap_or_else(|_| text.into_owned().into()),
        )),
        false => WantedBody::Text(text.into()),
    }
}
