//! Documents and rules to mocks, gathering diagnostics.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use http::HeaderName;
use percent_encoding::percent_decode_str;
use url::form_urlencoded;

use super::callback::expression::Url;
use super::callback::{Payload, Plan};
use super::choose::{Exchanges, WantedBody, WantedValue, pairs};
use super::media::{MediaType, Syntax};
use super::message::sequence;
use super::reply::Content;
use super::schema::Schemas;
use super::security::Security;
use super::template::Template;
use super::validate::Contract;
use super::{Mocks, Operation, Summary, body, lint, route};
use crate::config::{Changes, Config, Delay, Level, Missing, Mode, Rule, Unmatched};
use crate::diagnostic::{Code, Diagnostic, Report, Severity};
use crate::spec::Trees;
use crate::spec::document::{self, Document, Example, FormField, Location, Media, Parameter, Shown, Style};
use crate::spec::kept::Texts;
use crate::tree::{Key, Kind, Tree, Value};

mod exchange;

const BAD_MEDIA_TYPE: Code = Code("SI0203");
const BAD_HEADER: Code = Code("SI0204");
const BAD_CALLBACK_URL: Code = Code("SI0205");

/// Bodies by the example that they are made from: thousands of operations may refer to one, and what
/// they come to is read, kept, and complained about once.
#[derive(Default)]
struct Shared {
    sent: HashMap<Made, Content>,
    wanted: HashMap<Made, WantedBody>,
    /// Replies that the document may still have; none once that is told.
    room: Option<usize>,
    /// What rules say, by the numbers of those that match.
    ruled: HashMap<Vec<usize>, Arc<Ruled>>,
    missing: HashSet<Arc<Missing>>,
    kinds: HashMap<String, Arc<MediaType>>,
    /// By the address of what the document's operations have in common.
    securities: HashMap<*const document::Requirement<'static>, Option<Arc<Security>>>,
}

/// What the rules that match an operation say together.
struct Ruled {
    mode: Option<Mode>,
    missing: Option<Arc<Missing>>,
    unmatched: Option<Unmatched>,
    /// With the number of the rule that names it.
    upstream: Option<(usize, Arc<str>)>,
    delay: Option<Delay>,
    changes: Arc<Changes>,
}

impl Ruled {
    /// Each key comes from the first of the `fitting` rules that sets it.
    fn of(rules: &[Rule], fitting: &[usize]) -> Self {
        let first = fitting.iter().copied().find(|at| rules[*at].upstream.is_some());
        let Rule { operations: _, mode, missing, unmatched, upstream, delay, changes } =
            fitting.iter().map(|at| &rules[*at]).fold(Rule::default(), Rule::or);
        Ruled {
            mode,
            missing: missing.map(Arc::new),
            unmatched,
            upstream: first.zip(upstream.map(Into::into)),
            delay,
            changes: changes.into(),
        }
    }
}

impl Shared {
    fn missing(&mut self, missing: &Missing) -> Arc<Missing> {
        if let Some(known) = self.missing.get(missing) {
            return known.clone();
        }
        let missing = Arc::new(missing.clone());
        self.missing.insert(missing.clone());
        missing
    }
}

/// An example's tree and node, and the syntax that it is written in.
type Made = (*const Tree, u32, Syntax);

fn made(value: Value<'_>, syntax: Syntax) -> Made {
    (Arc::as_ptr(value.tree()), value.id(), syntax)
}

/// A document and what the config says about it.
pub struct Source<'t> {
    pub document: Document<'t>,
    /// The texts that it was read from.
    pub trees: &'t Trees,
    /// Instead of the paths of its `servers`.
    pub base_path: Option<String>,
    /// The name of the upstream; none: the default one.
    pub upstream: Option<String>,
    pub mode: Option<Mode>,
}

impl Mocks {
    /// Compiles documents in the order of the config: of two that have one route, the first keeps it.
    pub fn compile(sources: &[Source<'_>], config: &Config) -> (Mocks, Vec<Diagnostic>) {
        // Room for all at once: to grow, large as they are, costs as much as to compile them.
        let count = sources.iter().map(|source| source.document.operations.len()).sum();
        let mut mocks = Mocks {
            documents: Vec::new(),
            operations: Vec::with_capacity(count),
            table: route::Table::default(),
            overrides: config.overrides,
            dynamic: config.dynamic,
            revealed: config.reveal,
            cors: config.cors,
            validate: config.validate,
            schemas: Schemas::default(),
        };
        let mut found = Vec::new();
        let mut places: Vec<Key<'_>> = Vec::with_capacity(count);
        let mut shared = Shared::default();
        let mut previous = None;
        let mut matched = vec![false; config.rules.iter().map(|rule| rule.operations.len()).sum()];
        let mut asked = vec![None; config.rules.len()];
        for (number, source) in sources.iter().enumerate() {
            let document = &source.document;
            let mut diagnostics = Report::default();
            shared.room = Some(exchange::MOST_REPLIES);
            let texts = Texts::new(source.trees, document.source.clone(), document.format);
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
                    texts: &texts,
                    operation,
                    diagnostics: &mut diagnostics,
                    matched: &mut matched,
                    asked: &mut asked,
                    shared: &mut shared,
                };
                let mut compiled = compiler.operation(number, bases);
                // A path key is told of once, whatever its methods and base paths.
                if previous.replace(operation.path.as_ptr()) != Some(operation.path.as_ptr()) {
                    lint::odd_path(operation, &mut diagnostics);
                }
                for base in bases {
                    let refused = add_route(&mut mocks, operation, base, &places);
                    compiled.routed |= refused.is_none();
                    diagnostics.extend(refused);
                }
                places.push(operation.key);
                mocks.operations.push(compiled);
            }
            let compiled = &mocks.operations[mocks.operations.len() - document.operations.len()..];
            let upstream = source.upstream.as_deref();
            lint::without_upstream(document, compiled, upstream, config, &mut diagnostics);
            found.extend(diagnostics.finish());
        }
        found.extend(lint::unmatched_rules(config, &matched, &mocks));
        found.extend(lint::idle_upstreams(config, &asked));
        (mocks, found)
    }
}

/// Adds a route to the operation that comes next; what is said, if it can't be.
fn add_route(
    mocks: &mut Mocks,
    operation: &document::Operation<'_>,
    base: &str,
    places: &[Key<'_>],
) -> Option<Diagnostic> {
    let template = route::Template::parse(base, operation.path, &operation.parameters);
    let target =
        route::Target { operation: mocks.operations.len(), base: route::path::segments(base).count() };
    let refused = mocks.table.insert(template, operation.method.clone(), target).err()?;
    let first = match refused {
        route::Refused::Taken(taken) | route::Refused::ConditionsTaken(taken) => {
            places.get(taken.operation).copied().zip(mocks.operations.get(taken.operation))
        }
        route::Refused::TooLong => None,
    };
    Some(lint::refused(operation, base, refused, first))
}

struct Compiler<'a, 't> {
    config: &'a Config,
    source: &'a Source<'t>,
    texts: &'a Arc<Texts>,
    operation: &'a document::Operation<'t>,
    diagnostics: &'a mut Report,
    /// Which selectors of the rules have found an operation.
    matched: &'a mut [bool],
    /// Of each rule, whether any operation that has its upstream may ask it; none: no operation has it.
    asked: &'a mut [Option<bool>],
    shared: &'a mut Shared,
}

impl<'t> Compiler<'_, 't> {
    fn operation(&mut self, document: usize, bases: &[String]) -> Operation {
        let operation = self.operation;
        let base = bases.first().map_or("", String::as_str);
        let template = route::whole(base, operation.path);
        let label: Arc<str> = match operation.id {
            Some(id) => id.into(),
            None => format!("{} {template}", operation.method).into(),
        };
        // A rule may name a path with or without what it says of the query.
        let bare = Some(route::bare(operation.path)).filter(|bare| *bare != operation.path);
        let paths = bare.into_iter().chain([operation.path]);
        let templates: Vec<_> =
            paths.flat_map(|path| bases.iter().map(move |base| route::whole(base, path))).collect();
        let rule = self.rule(&templates);
        let (mode, decided_by) = self.mode(rule.mode);
        let said = operation.extension.as_deref();
        let missing = rule.missing.clone().unwrap_or_else(|| {
            self.shared.missing(said.and_then(|said| said.missing.as_ref()).unwrap_or(&self.config.missing))
        });
        let unmatched = rule.unmatched.or(said.and_then(|said| said.unmatched));
        let unmatched = unmatched.unwrap_or(self.config.unmatched);
        let parameters: Box<[_]> =
            route::Template::parse(base, operation.path, &operation.parameters).parameters.into();
        let exchanges = self.exchanges(&label, &parameters);
        let callbacks = self.callbacks(&exchanges);
        let empties = exchanges.responses.iter().filter_map(|response| response.empty.as_deref());
        let replies = exchanges.all.iter().flat_map(|exchange| &exchange.replies).chain(empties);
        let contract = Contract::of(operation, self.texts, self.config);
        let security = self.security();
        let needs_body = exchanges.look_at_body()
            || contract.as_ref().is_some_and(|contract| contract.needs_request_body())
            || replies.into_iter().any(|reply| reply.needs().request_body)
            || callbacks.iter().any(|plan| plan.needs().request_body);
        let compiled = Operation {
            label,
            method: operation.method.clone(),
            template,
            document,
            mode,
            decided_by,
            missing,
            upstream: rule.upstream.as_ref().map(|(_, name)| name.clone()),
            delay: rule.delay.or(said.and_then(|said| said.delay)),
            changes: rule.changes.clone(),
            routed: false,
            unmatched,
            parameters,
            exchanges,
            callbacks,
            contract,
            security,
            deprecated: operation.deprecated,
            needs_body,
        };
        lint::operation(operation, &compiled, self.diagnostics);
        if let Some((rule, _)) = &rule.upstream {
            let asked = &mut self.asked[*rule];
            *asked = Some(asked.unwrap_or(false) || compiled.may_ask(mode));
        }
        compiled
    }

    /// What the rules of the config say. Those that thousands of operations have in common are put
    /// together once.
    fn rule(&mut self, templates: &[String]) -> Arc<Ruled> {
        let operation = self.operation;
        let rules = &self.config.rules;
        let mut fitting = Vec::new();
        let mut number = 0;
        for (at, rule) in rules.iter().enumerate() {
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
                fitting.push(at);
            }
        }
        let together = |fitting: &Vec<usize>| Ruled::of(rules, fitting).into();
        self.shared.ruled.entry(fitting).or_insert_with_key(together).clone()
    }

    fn security(&mut self) -> Option<Arc<Security>> {
        if self.config.validate.security == Level::Off || self.operation.security.is_empty() {
            return None;
        }
        let make = || Security::of(self.operation, self.source.document.title);
        let at = Arc::as_ptr(&self.operation.security).cast();
        self.shared.securities.entry(at).or_insert_with(make).clone()
    }

    fn mode(&self, rule: Option<Mode>) -> (Mode, &'static str) {
        if let Some(mode) = rule {
            return (mode, "rules");
        }
        if let Some(mode) = self.operation.extension.as_deref().and_then(|said| said.mode) {
            return (mode, "x-standin");
        }
        match self.source.mode {
            Some(mode) => (mode, "specs"),
            None => (self.config.mode, "mode"),
        }
    }

    fn content(&mut self, example: &Example<'t>, media: &MediaType) -> Content {
        let make = || body::of(example, media, self.diagnostics);
        self.shared.sent.entry(made(example.at, media.syntax())).or_insert_with(make).clone()
    }

    /// A media type, the same for all that are called so.
    fn kind(&mut self, media: &Media<'t>) -> Option<Arc<MediaType>> {
        if let Some(known) = self.shared.kinds.get(media.name) {
            return Some(known.clone());
        }
        let kind = Arc::new(self.media_type(media)?);
        self.shared.kinds.insert(media.name.to_owned(), kind.clone());
        Some(kind)
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
        lint::callback(callback, self.operation, &names, &payloads, exchanges, self.diagnostics);
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
}

/// What a request gives a value by.
struct Given<'t> {
    name: &'t str,
    location: Location,
    style: Style,
    explode: bool,
}

impl<'t> From<&Parameter<'t>> for Given<'t> {
    fn from(parameter: &Parameter<'t>) -> Self {
        let &Parameter { name, location, style, explode, .. } = parameter;
        Given { name, location, style, explode }
    }
}

/// A form is written as a query is.
impl<'t> From<&FormField<'t>> for Given<'t> {
    fn from(field: &FormField<'t>) -> Self {
        let &FormField { name, style, explode, .. } = field;
        Given { name, location: Location::Query, style, explode }
    }
}

impl Given<'_> {
    fn set(&self, items: impl Iterator<Item = Box<str>>) -> WantedValue {
        // OpenAPI 3.2, 4.12.3: these styles are for arrays whose items do not stand apart.
        let separator = match self.style {
            Style::SpaceDelimited if !self.explode => Some(' '),
            Style::PipeDelimited if !self.explode => Some('|'),
            _ => None,
        };
        set(items, separator)
    }
}

fn wanted_value(given: &Given<'_>, example: &Example<'_>) -> Option<WantedValue> {
    let value = match example.compared() {
        Shown::Data(value) => value,
        Shown::Text(text) => return Some(wanted_text(given, text)),
        Shown::File(bytes) => {
            return std::str::from_utf8(bytes).ok().map(|text| wanted_text(given, text.trim()));
        }
    };
    if value.is_sequence() {
        return Some(given.set(value.items().filter_map(Value::text).map(|text| text.as_ref().into())));
    }
    value.text().map(|text| WantedValue::One(text.as_ref().into()))
}

/// OpenAPI 3.2, 4.12.5: a parameter as it is sent, escaped, and in a query or a cookie with its name.
fn wanted_text(given: &Given<'_>, text: &str) -> WantedValue {
    let decoded = |text: &str| WantedValue::One(percent_decode_str(text).decode_utf8_lossy().into());
    match given.location {
        Location::Header | Location::Querystring => WantedValue::One(text.trim().into()),
        Location::Path => decoded(text),
        Location::Cookie => {
            let value = text.strip_prefix(given.name).and_then(|rest| rest.strip_prefix('='));
            decoded(value.unwrap_or(text).trim_matches('"'))
        }
        Location::Query => {
            let text = text.strip_prefix('?').unwrap_or(text);
            let pairs: Vec<_> = form_urlencoded::parse(text.as_bytes()).collect();
            match &*pairs {
                [(name, value)] if name == given.name => WantedValue::One(value.as_ref().into()),
                pairs if pairs.iter().all(|(name, _)| name == given.name) => {
                    given.set(pairs.iter().map(|(_, value)| value.as_ref().into()))
                }
                _ => decoded(text),
            }
        }
    }
}

fn set(items: impl Iterator<Item = Box<str>>, separator: Option<char>) -> WantedValue {
    let mut items: Vec<_> = items.collect();
    items.sort_unstable();
    items.dedup();
    WantedValue::Set { items: items.into(), separator }
}

/// OpenAPI 3.2, 4.12.1: the whole query, by the media type of the parameter's `content`.
fn wanted_query(parameter: &Parameter<'_>, example: &Example<'_>) -> Option<WantedValue> {
    let json = parameter.media.and_then(MediaType::parse).is_some_and(|media| media.is_json());
    let text = match example.compared() {
        Shown::Data(value) if json => return Some(WantedValue::Json(value.to_json())),
        Shown::Data(value) if value.is_mapping() => Cow::Owned(form(value)),
        Shown::Data(value) => value.text()?,
        Shown::Text(text) => text.into(),
        Shown::File(bytes) => std::str::from_utf8(bytes).ok()?.trim().into(),
    };
    let text = text.strip_prefix('?').unwrap_or(&text);
    if json {
        let decoded = percent_decode_str(text).decode_utf8().ok()?;
        return serde_json::from_str(&decoded).ok().map(WantedValue::Json);
    }
    Some(WantedValue::Pairs(pairs(text).into_iter().map(Into::into).collect()))
}

/// OpenAPI 3.2, 4.15.1: an object as a form; a pair for each item of an array, objects as JSON.
fn form(value: Value<'_>) -> String {
    let mut form = form_urlencoded::Serializer::new(String::new());
    for (key, value) in value.entries() {
        match value.kind() {
            Kind::Sequence => value.items().for_each(|item| {
                form.append_pair(key.text(), &form_text(item));
            }),
            Kind::Null => {}
            _ => {
                form.append_pair(key.text(), &form_text(value));
            }
        }
    }
    form.finish()
}

/// The same as the fields that a request's form should have.
fn wanted_form(value: Value<'_>) -> WantedBody {
    let given = value.entries().filter(|(_, value)| value.kind() != Kind::Null);
    let fields = given.map(|(key, value)| {
        let wanted = match value.is_sequence() {
            true => set(value.items().map(|item| form_text(item).into()), None),
            false => WantedValue::One(form_text(value).into()),
        };
        (key.text().into(), wanted)
    });
    WantedBody::Form(fields.collect())
}

fn form_text(value: Value<'_>) -> String {
    value.text().map_or_else(|| value.to_json().to_string(), Cow::into_owned)
}

fn wanted_body(example: &Example<'_>, syntax: Syntax) -> WantedBody {
    let in_sequence = matches!(syntax, Syntax::Lines | Syntax::Records);
    let text = match example.compared() {
        Shown::Data(value) => match value.as_str() {
            Some(text) => Cow::Borrowed(text),
            None if in_sequence && value.is_sequence() => {
                return WantedBody::Sequence(value.items().map(Value::to_json).collect());
            }
            None if syntax == Syntax::Form && value.is_mapping() => return wanted_form(value),
            None => return WantedBody::Json(Arc::new(value.to_json())),
        },
        Shown::Text(text) => Cow::Borrowed(text),
        Shown::File(bytes) => match std::str::from_utf8(bytes) {
            Ok(text) => text.trim_start_matches('\u{feff}').into(),
            Err(_) => return WantedBody::Bytes(bytes.clone()),
        },
    };
    if in_sequence && let Some(items) = sequence(&text) {
        return WantedBody::Sequence(items.into());
    }
    match syntax {
        // A string that is JSON shows the JSON inside it.
        Syntax::Json => WantedBody::Json(Arc::new(
            serde_json::from_str(&text).unwrap_or_else(|_| text.into_owned().into()),
        )),
        _ => WantedBody::Text(text.into()),
    }
}
