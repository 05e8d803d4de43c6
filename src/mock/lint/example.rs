//! Whether examples fit the schemas that stand beside them.

use std::collections::{HashMap, HashSet};
use std::rc::Rc;
use std::sync::Arc;

use serde_json::Value as Json;

use crate::diagnostic::{Code, Diagnostic, Place, Report, Severity};
use crate::mock::media::MediaType;
use crate::mock::schema::{Misfit, Validator, size};
use crate::spec::Resolver;
use crate::spec::document::{Callback, Example, Format, Media, Operation, Parameter, Response, Shown};
use crate::spec::schema::{self, Direction};
use crate::tree::{Tree, Value};

const DOES_NOT_FIT: Code = Code("SI0220");
const NOT_CHECKED: Code = Code("SI0221");

/// Problems of one example that are told.
const TOLD: usize = 3;

/// Steps that one example may take: its values, and each schema that looks at one of them.
const STEPS: usize = 200_000;

/// Steps of all examples of a document, those of making schemas ready included.
const STEPS_OF_ALL: usize = 20_000_000;

/// What a schema counts that turned out too large, and at most.
const STEPS_OF_SCHEMA: usize = 200_000;

/// What each value of a schema counts, as compiling it costs more than a step.
const STEPS_OF_VALUE: usize = 10;

/// Values and definitions of a schema that is looked at: all of a document's examples are compared, so
/// that one schema may take less time here than where a request asks for it.
const VALUES: usize = 20_000;
const DEFINITIONS: usize = 1_000;

/// Validators that are kept, since each may have thousands of parts.
const KEPT: usize = 100;

pub struct Checker<'a, 't> {
    pub resolver: &'a mut Resolver<'t>,
    pub format: Format,
    pub report: &'a mut Report,
    validators: HashMap<Node, Option<Rc<Validator>>>,
    /// Examples with the schema that they were compared with: many operations refer to one.
    checked: HashSet<(Node, Node)>,
    left: usize,
    unchecked: usize,
    first_unchecked: Option<Place>,
}

/// A value's tree and number, and which way it goes.
type Node = (*const Tree, u32, Direction);

fn node(value: Value<'_>, direction: Direction) -> Node {
    (Arc::as_ptr(value.tree()), value.id(), direction)
}

impl<'a, 't> Checker<'a, 't> {
    pub fn new(resolver: &'a mut Resolver<'t>, format: Format, report: &'a mut Report) -> Self {
        Checker {
            resolver,
            format,
            report,
            validators: HashMap::new(),
            checked: HashSet::new(),
            left: STEPS_OF_ALL,
            unchecked: 0,
            first_unchecked: None,
        }
    }

    pub fn operation(&mut self, operation: &Operation<'t>) {
        self.request(&operation.parameters, &operation.bodies);
        self.responses(&operation.responses);
        operation.callbacks.iter().for_each(|callback| self.callback(callback));
    }

    /// Says how many examples were too much to look at.
    pub fn finish(self) {
        let Some(place) = self.first_unchecked else { return };
        let message = match self.unchecked {
            1 => "this example was not compared with its schema".to_owned(),
            several => format!("{several} examples were not compared with their schemas, this one first"),
        };
        self.report.push(
            Diagnostic::new(Severity::Note, NOT_CHECKED, message)
                .at(place)
                .hint("schema and example, or all of the document's, are too large for this check"),
        );
    }

    fn callback(&mut self, callback: &Callback<'t>) {
        self.request(&callback.parameters, &callback.bodies);
        self.responses(&callback.responses);
    }

    fn responses(&mut self, responses: &[Response<'t>]) {
        for response in responses {
            self.contents(&response.content, Direction::Response);
            for field in &response.headers {
                self.plain(field.schema, &field.examples, Direction::Response);
            }
        }
    }

    fn request(&mut self, parameters: &[Parameter<'t>], bodies: &[Media<'t>]) {
        for parameter in parameters {
            match parameter.media {
                Some(media) => {
                    self.content(media, parameter.schema, &parameter.examples, Direction::Request);
                }
                None => self.plain(parameter.schema, &parameter.examples, Direction::Request),
            }
        }
        self.contents(bodies, Direction::Request);
    }

    fn contents(&mut self, content: &[Media<'t>], direction: Direction) {
        for media in content {
            self.content(media.name, media.schema, &media.examples, direction);
        }
    }

    fn content(
        &mut self,
        media: &str,
        schema: Option<Value<'t>>,
        examples: &[Example<'t>],
        direction: Direction,
    ) {
        let (Some(schema), Some(media)) = (schema, MediaType::parse(media)) else { return };
        for example in examples {
            let steps = self.steps();
            match &example.shown {
                // A string under a JSON type is sent as it is if it is JSON.
                Shown::Data(value)
                    if media.is_json() && value.as_str().is_some_and(|text| text.len() <= steps) =>
                {
                    let instances = written(value.as_str().unwrap_or_default());
                    self.check(example, schema, direction, instances);
                }
                // What is written in another syntax, as XML or YAML, is no instance.
                Shown::Data(value) if !media.is_json() && value.as_str().is_some() => {}
                Shown::Data(value) => self.value(example, *value, schema, direction, |json| vec![json]),
                Shown::Text(text) if media.is_json() && text.len() <= steps => {
                    self.check(example, schema, direction, json_of(text));
                }
                Shown::File(bytes) if media.is_json() && bytes.len() <= steps => {
                    let text = std::str::from_utf8(bytes).unwrap_or_default();
                    self.check(example, schema, direction, json_of(text));
                }
                Shown::Text(_) | Shown::File(_) => {}
            }
        }
    }

    /// Values of parameters and headers.
    fn plain(&mut self, schema: Option<Value<'t>>, examples: &[Example<'t>], direction: Direction) {
        let Some(schema) = schema else { return };
        for example in examples {
            if let Shown::Data(value) = example.shown {
                self.value(example, value, schema, direction, spellings);
            }
        }
    }

    fn value(
        &mut self,
        example: &Example<'t>,
        value: Value<'t>,
        schema: Value<'t>,
        direction: Direction,
        instances: fn(Json) -> Vec<Json>,
    ) {
        if self.is_known(example, schema, direction) {
            return;
        }
        match is_small(value, self.steps()) {
            true => self.compare(example, schema, direction, instances(value.to_json())),
            false => self.leave(example),
        }
    }

    /// `instances`: what the example may stand for; fitting as one of them is enough.
    fn check(
        &mut self,
        example: &Example<'t>,
        schema: Value<'t>,
        direction: Direction,
        instances: Vec<Json>,
    ) {
        if !instances.is_empty() && !self.is_known(example, schema, direction) {
            self.compare(example, schema, direction, instances);
        }
    }

    /// Whether it was looked at before, or is the schema's own example.
    fn is_known(&mut self, example: &Example<'t>, schema: Value<'t>, direction: Direction) -> bool {
        let behind = schema::behind(self.resolver, schema, self.format);
        let own = |schema: Value<'t>| {
            let lists =
                ["examples", "enum"].into_iter().filter_map(move |key| schema.get(key)?.items().next());
            let ones = ["example", "default", "const"].into_iter().filter_map(move |key| schema.get(key));
            lists.chain(ones)
        };
        if own(schema).chain(own(behind)).any(|shown| shown.is(example.at)) {
            return true;
        }
        !self.checked.insert((node(example.at, direction), node(behind, direction)))
    }

    fn compare(
        &mut self,
        example: &Example<'t>,
        schema: Value<'t>,
        direction: Direction,
        instances: Vec<Json>,
    ) {
        let Some(validator) = self.validator(schema, direction) else { return self.leave(example) };
        let granted = self.steps();
        let mut steps = granted;
        let mut found = Vec::new();
        for instance in &instances {
            match validator.violations(instance, TOLD, &mut steps) {
                Ok(violations) => found = violations,
                Err(_) => {
                    self.left -= granted - steps;
                    return self.leave(example);
                }
            }
            if found.is_empty() {
                break;
            }
        }
        self.left -= granted - steps;
        found.iter().for_each(|violation| self.tell(example, violation));
    }

    fn tell(&mut self, example: &Example<'t>, violation: &Misfit) {
        let Misfit { pointer, message, rule, .. } = violation;
        let inside = match example.shown {
            Shown::Data(value) => value.pointer(pointer),
            Shown::Text(_) | Shown::File(_) => None,
        };
        let hint = format!("its schema has `{rule}`");
        self.report.push(
            match inside {
                Some(value) => value.problem(Severity::Warning, DOES_NOT_FIT, message.clone()),
                None => example.at.problem(
                    Severity::Warning,
                    DOES_NOT_FIT,
                    format!("at `{pointer}` of it, {message}"),
                ),
            }
            .hint(hint),
        );
    }

    /// None where the schema is too large.
    fn validator(&mut self, schema: Value<'t>, direction: Direction) -> Option<Rc<Validator>> {
        let behind = schema::behind(self.resolver, schema, self.format);
        let node = node(behind, direction);
        if let Some(known) = self.validators.get(&node) {
            return known.clone();
        }
        if self.left < STEPS_OF_SCHEMA {
            return None;
        }
        let bundle = schema::bundle(self.resolver, behind, self.format, direction);
        let small = bundle.whole && size(&bundle.json) <= VALUES && definitions(&bundle.json) <= DEFINITIONS;
        let cost = if small { STEPS_OF_VALUE * size(&bundle.json) } else { STEPS_OF_SCHEMA };
        self.left -= cost.min(STEPS_OF_SCHEMA);
        let validator = Some(bundle.json).filter(|_| small).and_then(Validator::new).map(Rc::new);
        if self.validators.len() >= KEPT {
            self.validators.retain(|_, validator| validator.is_none());
        }
        self.validators.insert(node, validator.clone());
        validator
    }

    fn steps(&self) -> usize {
        self.left.min(STEPS)
    }

    fn leave(&mut self, example: &Example<'t>) {
        self.unchecked += 1;
        self.first_unchecked.get_or_insert_with(|| example.at.place());
    }
}

fn definitions(bundle: &Json) -> usize {
    bundle.get("$defs").and_then(Json::as_object).map_or(0, serde_json::Map::len)
}

/// What a string under a JSON type stands for: itself, and the JSON that it is. One with a template is
/// known only when it is rendered.
fn written(text: &str) -> Vec<Json> {
    match text.contains("{{") {
        true => Vec::new(),
        false => std::iter::once(text.into()).chain(json_of(text)).collect(),
    }
}

/// What a value of a parameter or a header may stand for. On the wire `5` and `"5"` are the same text, so
/// it is enough that one of them fits. What was written comes last, since that is what is told.
fn spellings(json: Json) -> Vec<Json> {
    let text = |json: &Json| match json {
        Json::Number(_) | Json::Bool(_) => Json::String(json.to_string()),
        json => json.clone(),
    };
    let scalar = |json: &Json| {
        let read = json.as_str().and_then(|text| serde_json::from_str(text).ok());
        read.filter(|read: &Json| read.is_number() || read.is_boolean()).unwrap_or_else(|| json.clone())
    };
    let each = |json: &Json, spell: &dyn Fn(&Json) -> Json| match json {
        Json::Array(items) => items.iter().map(spell).collect(),
        json => spell(json),
    };
    // An array is written with commas between its items.
    let parts = |text: &str| text.split(',').map(|item| Json::from(item.trim())).collect();
    let parts = json.as_str().map(|text| Json::Array(parts(text)));
    let mut all: Vec<Json> =
        parts.iter().chain([&json]).flat_map(|json| [each(json, &text), each(json, &scalar)]).collect();
    all.retain(|spelled| *spelled != json);
    all.push(json);
    all
}

fn json_of(text: &str) -> Vec<Json> {
    serde_json::from_str(text).ok().filter(|_| !text.contains("{{")).into_iter().collect()
}

/// Whether a value and all below it are at most so many, a long text counted as several.
fn is_small(value: Value<'_>, limit: usize) -> bool {
    let mut left = limit;
    let mut open = vec![value];
    while let Some(value) = open.pop() {
        let cost = 1 + value.as_str().map_or(0, |text| text.len() / 64);
        let Some(rest) = left.checked_sub(cost) else { return false };
        left = rest;
        // One more than there may be is enough to know.
        open.extend(value.items().chain(value.entries().map(|(_, value)| value)).take(left + 1));
    }
    true
}
