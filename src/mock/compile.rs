//! Documents and rules to mocks, gathering diagnostics.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use http::HeaderName;

use super::body::Objects;
use super::callback::carried::{Carried, Instance, Place, Receiver, Values};
use super::callback::expression::Url;
use super::callback::{Callback, Payload, Plan, When};
use super::choose::{Exchanges, WantedContent};
use super::media::{MediaType, Syntax};
use super::offer::{Room, Said};
use super::reply::Content;
use super::schema::Schemas;
use super::security::Security;
use super::style::Writing;
use super::validate::Contract;
use super::{Mocks, Need, Operation, Summary, body, lint, route, validate};
use crate::config::{Changes, Config, Delay, Level, Missing, Mode, Rule, Unmatched};
use crate::diagnostic::{Code, Diagnostic, Report, Severity};
use crate::spec::Trees;
use crate::spec::document::{self, Document, Example, Location, Media};
use crate::spec::kept::{self, Texts};
use crate::spec::schema::Direction;
use crate::tree::{Key, Tree, Value};

mod exchange;

mod wanted;

const BAD_MEDIA_TYPE: Code = Code("SI0203");
const BAD_HEADER: Code = Code("SI0204");
const BAD_CALLBACK_URL: Code = Code("SI0205");

/// Examples of one document's callbacks' parameters. Beyond them the first of each parameter is sent.
const MOST_CARRIED: usize = 200_000;

/// Bodies by the example that they are made from: thousands of operations may refer to one, and what
/// they come to is read, kept, and complained about once.
#[derive(Default)]
struct Shared {
    sent: HashMap<Sent, Content>,
    wanted: HashMap<Made, WantedContent>,
    /// Replies that the document may still have; none once that is told.
    room: Option<usize>,
    /// What rules say, by the numbers of those that match.
    ruled: HashMap<Vec<usize>, Arc<Ruled>>,
    missing: HashSet<Arc<Missing>>,
    kinds: HashMap<String, Arc<MediaType>>,
    /// Values of headers by their schemas.
    headers: HashMap<(kept::Key, HeaderName), Arc<[exchange::Text]>>,
    contracts: validate::Common,
    /// What examples of callbacks' parameters come to.
    values: HashMap<(*const Tree, u32, Writing), Values>,
    /// Examples of callbacks' parameters that the document may still have.
    carried: usize,
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

/// With the schema, where that says how it is written, and the boundary that the media type names.
type Sent = (Made, Option<(*const Tree, u32)>, Option<Box<str>>);

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
        let (schemas, room) = (Arc::<Schemas>::default(), Arc::<Room>::default());
        let mut mocks = Mocks {
            documents: Vec::new(),
            operations: Vec::with_capacity(count),
            table: route::Table::default(),
            overrides: config.overrides,
            dynamic: config.dynamic,
            revealed: config.reveal,
            cors: config.cors,
            validate: config.validate,
            schemas: schemas.clone(),
            room: room.clone(),
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
            shared.carried = MOST_CARRIED;
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
                    schemas: &schemas,
                    room: &room,
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
    schemas: &'a Arc<Schemas>,
    room: &'a Arc<Room>,
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
        let contract = Contract::of(operation, self.texts, self.config, &mut self.shared.contracts);
        let security = self.security();
        let needs_body = exchanges.look_at_body()
            || replies.into_iter().any(|reply| reply.needs().request_body)
            || callbacks.iter().any(|callback| callback.plan.needs().request_body);
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
            shown: (!callbacks.is_empty()).then(|| Box::new(self.shown())),
            callbacks,
            contract,
            security,
            deprecated: operation.deprecated,
            needs_body: if needs_body { Need::Whole } else { Need::Nothing },
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

    fn content(
        &mut self,
        example: &Example<'t>,
        media: &Media<'t>,
        kind: &MediaType,
        direction: Direction,
    ) -> Content {
        let syntax = kind.syntax();
        let by_schema = matches!(syntax, Syntax::Xml | Syntax::Binary | Syntax::Other);
        let schema = media.schema.filter(|_| by_schema);
        let node = schema.map(|schema| (Arc::as_ptr(schema.tree()), schema.id()));
        let boundary = kind.parameter("boundary").map(Into::into);
        let bundle = || schema.map(|schema| self.texts.schema(schema).bundle(direction).json);
        let make = || body::of(example, kind, bundle, self.diagnostics);
        self.shared.sent.entry((made(example.at, syntax), node, boundary)).or_insert_with(make).clone()
    }

    /// A media type, the same for all that are called so.
    fn kind(&mut self, media: &Media<'t>) -> Option<Arc<MediaType>> {
        self.known(media.name).or_else(|| self.media_type(media).map(Arc::new))
    }

    fn known(&mut self, name: &str) -> Option<Arc<MediaType>> {
        if let Some(known) = self.shared.kinds.get(name) {
            return Some(known.clone());
        }
        let kind = Arc::new(MediaType::parse(name)?);
        self.shared.kinds.insert(name.to_owned(), kind.clone());
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

    fn callbacks(&mut self, exchanges: &Exchanges) -> Box<[Callback]> {
        let mut order: Vec<_> = self.operation.callbacks.iter().collect();
        // A stable sort: those of one order, and those without, stay in their places.
        order.sort_by_key(|callback| callback.order.unwrap_or(i64::MAX));
        let plans = order.into_iter().filter_map(|callback| self.callback(callback, exchanges));
        plans.collect()
    }

    fn callback(&mut self, callback: &document::Callback<'t>, exchanges: &Exchanges) -> Option<Callback> {
        let (written, at) = callback.target();
        let url = match Url::parse(&written) {
            Ok(url) => url,
            Err(error) => {
                let problem = at.problem(Severity::Warning, BAD_CALLBACK_URL, error.message);
                self.diagnostics.push(match error.hint {
                    Some(hint) => problem.hint(hint),
                    None => problem.hint("the callback is not sent"),
                });
                return None;
            }
        };
        if let Some(expression) = url.never_resolved() {
            let message = format!("`{expression}` stands in the host or port, where nothing is resolved");
            self.diagnostics.push(at.problem(Severity::Warning, BAD_CALLBACK_URL, message).hint(
                "let one expression begin the key with scheme and host, as `{$request.body#/url}/path`",
            ));
        }
        let mut payloads = Vec::new();
        // Also of those that can't be written.
        let mut shown = Vec::new();
        for media in &callback.bodies {
            let Some(kind) = self.media_type(media) else { continue };
            for example in &media.examples {
                let body = self.content(example, media, &kind, Direction::Request);
                shown.push(example.name);
                if body.unwritable().is_some() {
                    continue;
                }
                payloads.push(Payload { example: example.name.map(Into::into), media: kind.clone(), body });
            }
        }
        let mut names: Vec<Box<str>> = shown.iter().copied().flatten().map(Into::into).collect();
        if names.is_empty() {
            names.extend(
                callback.responses.iter().flat_map(|response| &response.refs).map(|name| (*name).into()),
            );
        }
        let instance = match payloads.is_empty() && shown.is_empty() {
            true => self.instance(&callback.bodies),
            false => None,
        };
        lint::callback(callback, self.operation, &names, &payloads, exchanges, self.diagnostics);
        let plan = Plan {
            name: callback.name.into(),
            method: callback.method.clone(),
            url,
            wait: callback.delay,
            retry: callback.retry.clone(),
            when: callback.when.as_ref().map(|when| When {
                statuses: when.statuses.as_slice().into(),
                examples: when.examples.iter().map(|name| (*name).into()).collect(),
            }),
            repeat: callback.repeat,
            statuses: callback.statuses().collect(),
            names: names.into(),
            payloads: payloads.into(),
            carried: self.carried(callback),
        };
        Some(Callback { plan: Arc::new(plan), instance, receiver: self.receiver(callback) })
    }

    fn receiver(&mut self, callback: &document::Callback<'t>) -> Option<Arc<Receiver>> {
        for media in callback.responses.iter().flat_map(|response| &response.content) {
            self.media_type(media);
        }
        let contract = Contract::of_receiver(callback, self.texts, self.config, &mut self.shared.contracts)?;
        Some(Arc::new(Receiver { contract, schemas: self.schemas.clone() }))
    }

    /// A body that no example shows, by the first schema of one.
    fn instance(&mut self, bodies: &[Media<'t>]) -> Option<Instance> {
        bodies.iter().find_map(|media| {
            let kind = self.known(media.name)?;
            let said = self.said(media, &kind);
            (!matches!(said, Said::Nothing)).then(|| Instance::new(kind, said, self.room.clone()))
        })
    }

    /// What is said of a body beside its examples.
    fn said(&self, media: &Media<'t>, kind: &MediaType) -> Said {
        let item = media.item_schema.filter(|_| kind.syntax().is_sequential());
        match (media.schema, item) {
            (Some(schema), _) => Said::Whole(self.texts.schema(schema)),
            (None, Some(item)) => Said::Item(self.texts.schema(item)),
            (None, None) => Said::Nothing,
        }
    }

    fn carried(&mut self, callback: &document::Callback<'t>) -> Box<[Carried]> {
        let carried = callback.parameters.iter().filter_map(|parameter| {
            let place = match parameter.location {
                Location::Header => Place::Header(HeaderName::try_from(parameter.name).ok()?),
                Location::Query | Location::Querystring => Place::Query,
                Location::Cookie => Place::Cookie,
                // The key is the whole path.
                Location::Path => return None,
            };
            let examples = parameter.examples.iter().take(self.shared.carried.max(1));
            let values: Box<[_]> = examples
                .map(|example| (example.name.map(Into::into), self.values_of(parameter, &place, example)))
                .collect();
            self.shared.carried = self.shared.carried.saturating_sub(values.len());
            (!values.is_empty()).then_some(Carried { place, values })
        });
        carried.collect()
    }

    fn values_of(
        &mut self,
        parameter: &document::Parameter<'t>,
        place: &Place,
        example: &Example<'t>,
    ) -> Values {
        let key = (Arc::as_ptr(example.at.tree()), example.at.id(), Writing::from(parameter));
        let make = || match place {
            Place::Header(name) => {
                body::header(name, Objects::from(parameter.explode), example, self.diagnostics).into()
            }
            Place::Query | Place::Cookie => [body::pairs(parameter, example, self.diagnostics)].into(),
        };
        self.shared.values.entry(key).or_insert_with(make).clone()
    }
}
