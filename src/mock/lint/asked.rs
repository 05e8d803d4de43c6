//! Templates and URL keys that refer to what their request, or its answer, can't have.

use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;

use crate::diagnostic::{Code, Diagnostic, Report, Severity, slip};
use crate::mock::Operation as Compiled;
use crate::mock::callback::expression::Url;
use crate::mock::media::MediaType;
use crate::mock::route;
use crate::mock::template::{Asked, Form, Pointer, Template};
use crate::spec::Resolver;
use crate::spec::document::{Callback, Example, Location, Operation, Parameter, Shown};
use crate::tree::{Spot, Tree, Value};

const NOT_THERE: Code = Code("SI0222");

/// Names and schemas that the references of a document's templates are compared with.
const LOOKED_AT: usize = 5_000_000;

/// Problems that are told, repeated ones counted each time.
const TOLD: usize = 5_000;

/// Schemas that one step of a pointer may lead to.
const SCHEMAS: usize = 50;

/// Names that a message lists.
const LISTED: usize = 8;

pub struct Checker<'a, 't> {
    pub resolver: &'a mut Resolver<'t>,
    pub report: &'a mut Report,
    /// Strings with templates by the example that has them: thousands of operations may refer to one.
    templates: HashMap<(*const Tree, u32), Templates<'t>>,
    left: usize,
}

/// The strings of an example that have templates.
type Templates<'t> = Rc<[(Value<'t>, Template)]>;

/// Where a template stands.
#[derive(Clone, Copy, PartialEq)]
enum Side {
    Answer,
    Callback,
    Url,
}

/// An operation, as templates may refer to it.
struct Subject<'o, 't> {
    operation: &'o Operation<'t>,
    compiled: &'o Compiled,
}

impl<'a, 't> Checker<'a, 't> {
    pub fn new(resolver: &'a mut Resolver<'t>, report: &'a mut Report) -> Self {
        Checker { resolver, report, templates: HashMap::new(), left: LOOKED_AT }
    }

    pub fn operation(&mut self, operation: &Operation<'t>, compiled: &Compiled) {
        let subject = Subject { operation, compiled };
        for response in &operation.responses {
            let bodies = response.content.iter().flat_map(|media| &media.examples);
            let headers = response.headers.iter().flat_map(|field| &field.examples);
            bodies.chain(headers).for_each(|example| self.example(example, &subject, Side::Answer));
        }
        operation.callbacks.iter().for_each(|callback| self.callback(callback, &subject));
    }

    fn callback(&mut self, callback: &Callback<'t>, subject: &Subject<'_, 't>) {
        let sent = callback.parameters.iter().filter(|parameter| parameter.location != Location::Path);
        let sent = sent.flat_map(|parameter| &parameter.examples);
        let bodies = callback.bodies.iter().flat_map(|media| &media.examples);
        bodies.chain(sent).for_each(|example| self.example(example, subject, Side::Callback));
        let (written, at) = callback.target();
        let Ok(url) = Url::parse(&written) else { return };
        for (source, asked) in url.asked() {
            self.asked(asked, source, at, subject, Side::Url);
        }
    }

    fn example(&mut self, example: &Example<'t>, subject: &Subject<'_, 't>, side: Side) {
        let key = (Arc::as_ptr(example.at.tree()), example.at.id());
        let found = self.templates.entry(key).or_insert_with(|| templates(example)).clone();
        for (value, template) in found.iter() {
            for asked in template.asked() {
                self.asked(asked, &asked.to_string(), Spot::Value(*value), subject, side);
            }
        }
    }

    fn asked(&mut self, asked: Asked<'_>, source: &str, at: Spot<'t>, subject: &Subject<'_, 't>, side: Side) {
        let cost = match asked {
            Asked::Body(_) => 10 * SCHEMAS,
            _ => 1 + subject.operation.parameters.len() + subject.operation.responses.len(),
        };
        let Some(left) = self.left.checked_sub(cost) else { return };
        self.left = left;
        let Some(missing) = self.missing(asked, subject, side) else { return };
        // No more is told than people read, and telling costs much more than looking.
        self.left = self.left.saturating_sub(LOOKED_AT / TOLD);
        let message = format!("`{}` {}", crate::mock::template::shortened(source), missing.message);
        let problem = at.problem(missing.severity, NOT_THERE, message);
        self.report.push(Diagnostic { hint: missing.hint, ..problem });
    }

    fn missing(&mut self, asked: Asked<'_>, subject: &Subject<'_, 't>, side: Side) -> Option<Missing> {
        let Subject { operation, compiled } = *subject;
        let in_query = |parameter: &&Parameter<'t>| parameter.location == Location::Query;
        let query = || operation.parameters.iter().filter(in_query).map(|parameter| parameter.name);
        let in_path = || compiled.parameters.iter().map(|captured| &*captured.name);
        let free_query =
            operation.parameters.iter().any(|parameter| parameter.location == Location::Querystring);
        match asked {
            Asked::Segment(number) => {
                let count = route::path::segments(route::bare(operation.path)).count();
                let message =
                    format!("has no value: `{}` has {count} segments, counted from 0", operation.path);
                (number >= count).then(|| Missing::new(message))
            }
            Asked::Param(name) => {
                let there: Vec<&str> = in_path().chain(query()).collect();
                let missing = !free_query && !there.contains(&name);
                if missing && is_swallowed(name, operation) {
                    return Some(Missing::swallowed());
                }
                missing.then(|| Missing::new("names no parameter of the path or the query").of(name, &there))
            }
            Asked::Path(name) => {
                let there: Vec<&str> = in_path().collect();
                let missing = !there.contains(&name);
                if missing && is_swallowed(name, operation) {
                    return Some(Missing::swallowed());
                }
                missing.then(|| Missing::new("names no parameter of the path").of(name, &there))
            }
            Asked::Query(name) => {
                let there: Vec<&str> = query().collect();
                let near = slip(name, there.iter().copied()).filter(|_| !there.contains(&name))?;
                Some(Missing::new("names no parameter of the query").meant(near))
            }
            Asked::Header(name) => header(name, operation, side),
            Asked::Body(pointer) => self.body(pointer, operation),
            _ if side == Side::Answer => {
                let missing = Missing::new("has no value here: the response is not there while it is made");
                Some(missing.hint("only callbacks can refer to the response"))
            }
            Asked::ResponseHeader(name) => response_header(name, operation),
            Asked::ResponseBody => {
                let has_content = operation.responses.iter().any(|response| !response.content.is_empty());
                (!has_content).then(|| Missing::new("has no value: no response has content"))
            }
            Asked::ResponseStatus => None,
        }
    }

    fn body(&mut self, pointer: Option<&Pointer>, operation: &Operation<'t>) -> Option<Missing> {
        let declared = operation.key.value().is_some_and(|value| value.get("requestBody").is_some());
        if operation.bodies.is_empty() && !declared {
            let missing = Missing::new("has no value: the operation has no request body");
            return Some(missing.hint("describe the body under `requestBody`"));
        }
        let pointer = pointer?;
        let is_json = |name: &str| MediaType::parse(name).is_some_and(|media| media.is_json());
        let bodies: Vec<_> = operation.bodies.iter().filter(|media| is_json(media.name)).collect();
        let examples = bodies.iter().flat_map(|media| &media.examples);
        let shown = examples.filter_map(|example| match example.shown {
            Shown::Data(value) => Some(value),
            Shown::Text(_) | Shown::File(_) => None,
        });
        // An example that has it says more than a schema that lacks it.
        if shown.take(SCHEMAS).any(|value| pointer.tokens().try_fold(value, member).is_some()) {
            return None;
        }
        let schemas: Option<Vec<_>> = bodies.iter().map(|media| media.schema).collect();
        let mut schemas = schemas.filter(|schemas| !schemas.is_empty())?;
        for token in pointer.tokens() {
            let branches = self.branches(schemas)?;
            schemas = match branches.property(token) {
                Ok(schemas) => schemas,
                Err(missing) => return missing,
            };
        }
        None
    }

    /// The schemas that an instance of these may have to fit, or may; none if they are too many.
    fn branches(&mut self, schemas: Vec<Value<'t>>) -> Option<Branches<'t>> {
        const ALL: [&str; 3] = ["allOf", "anyOf", "oneOf"];
        const OPENING: [&str; 6] =
            ["if", "dependentSchemas", "patternProperties", "$dynamicRef", "not", "discriminator"];
        const REST: [&str; 2] = ["additionalProperties", "unevaluatedProperties"];
        let mut found = Branches { schemas: Vec::new(), is_open: false };
        let mut open = schemas;
        while let Some(schema) = open.pop() {
            if found.schemas.iter().any(|known: &Value<'t>| known.is(schema)) {
                continue;
            }
            if found.schemas.len() + open.len() >= SCHEMAS {
                return None;
            }
            found.schemas.push(schema);
            if let Some(reference) = schema.get("$ref").filter(|text| text.as_str().is_some()) {
                open.push(self.resolver.target_of(reference)?);
            }
            let composed = ALL.iter().filter_map(|keyword| schema.get(keyword)).flat_map(Value::items);
            open.extend(composed.take(SCHEMAS));
            let says = |keyword: &&str| schema.get(keyword).is_some();
            let allows =
                |keyword: &&str| schema.get(keyword).is_some_and(|value| value.as_bool() != Some(false));
            let is_bare = !ALL.iter().chain(["properties", "$ref"].iter()).any(says);
            found.is_open |= is_bare || ALL.iter().chain(&OPENING).any(says);
            found.is_open |= REST.iter().any(allows);
        }
        Some(found)
    }
}

struct Branches<'t> {
    schemas: Vec<Value<'t>>,
    /// Whether there may be properties that are not listed.
    is_open: bool,
}

impl<'t> Branches<'t> {
    /// The schemas of a property or an item; else what to say, if anything is to be said.
    fn property(&self, token: &str) -> Result<Vec<Value<'t>>, Option<Missing>> {
        let items: Vec<Value<'t>> = self.schemas.iter().filter_map(|schema| schema.get("items")).collect();
        if !items.is_empty() {
            return if token.bytes().all(|byte| byte.is_ascii_digit()) { Ok(items) } else { Err(None) };
        }
        let properties = || self.schemas.iter().filter_map(|schema| schema.get("properties"));
        let found: Vec<Value<'t>> = properties().filter_map(|properties| properties.get(token)).collect();
        if !found.is_empty() {
            return Ok(found);
        }
        let names = properties().flat_map(Value::entries).map(|(key, _)| key.text());
        let names: Vec<&str> = names.take(10 * SCHEMAS).collect();
        let missing = || Missing::new(format!("has no value: the body's schema has no property `{token}`"));
        Err(match slip(token, names.iter().copied()) {
            // Of very short names one letter makes another word.
            Some(near) if !self.is_open || token.len() > 3 => Some(missing().meant(near)),
            _ if self.is_open || names.is_empty() => None,
            _ => Some(missing().of(token, &names)),
        })
    }
}

/// Why a reference never has a value.
struct Missing {
    severity: Severity,
    message: String,
    hint: Option<String>,
}

/// Whether a path names a parameter that has no value of its own, as the second of `{a}{b}`.
fn is_swallowed(name: &str, operation: &Operation<'_>) -> bool {
    operation.path.contains(&format!("}}{{{name}}}"))
}

impl Missing {
    fn new(message: impl Into<String>) -> Missing {
        Missing { severity: Severity::Warning, message: message.into(), hint: None }
    }

    fn swallowed() -> Missing {
        Missing::new("has no value: it stands right behind another parameter, which takes all of it")
            .hint("put something between the two: `{a}.{b}`")
    }

    fn hint(mut self, hint: impl Into<String>) -> Missing {
        self.hint = Some(hint.into());
        self
    }

    fn meant(self, near: &str) -> Missing {
        self.hint(format!("did you mean `{near}`?"))
    }

    /// Suggests the one of those there are that is nearest, else lists them.
    fn of(self, name: &str, there: &[&str]) -> Missing {
        if let Some(near) = crate::diagnostic::nearest(name, there.iter().copied()) {
            return self.meant(near);
        }
        match there {
            [] => self.hint("there are none"),
            [one] => self.hint(format!("there is `{one}`")),
            there => {
                let more = if there.len() > LISTED { ", ..." } else { "" };
                let there = there[..there.len().min(LISTED)].join("`, `");
                self.hint(format!("there are `{there}`{more}"))
            }
        }
    }
}

/// Any header may come; only one that is nearly a declared one was probably meant to be that.
fn header(name: &str, operation: &Operation<'_>, side: Side) -> Option<Missing> {
    let name = name.to_ascii_lowercase();
    let declared = operation.parameters.iter().filter(|parameter| parameter.location == Location::Header);
    let declared: Vec<String> = declared.map(|parameter| parameter.name.to_ascii_lowercase()).collect();
    let near = slip(&name, declared.iter().map(String::as_str)).filter(|_| !declared.contains(&name))?;
    let severity = if side == Side::Url { Severity::Warning } else { Severity::Note };
    let missing = Missing::new("names a header that the operation does not declare").meant(near);
    Some(Missing { severity, ..missing })
}

fn response_header(name: &str, operation: &Operation<'_>) -> Option<Missing> {
    let own = ["content-type", "content-length"];
    let declared = operation.responses.iter().flat_map(|response| &response.headers);
    let declared: Vec<&str> = declared.map(|field| field.name).collect();
    let is_there = |known: &&str| known.eq_ignore_ascii_case(name);
    if declared.iter().chain(&own).any(is_there) || name.starts_with("x-standin-") {
        return None;
    }
    Some(Missing::new("names a header that no response has").of(name, &declared))
}

fn member<'t>(value: Value<'t>, token: &str) -> Option<Value<'t>> {
    match token.parse::<usize>() {
        Ok(number) if value.is_sequence() => value.items().nth(number),
        _ => value.get(token),
    }
}

fn templates<'t>(example: &Example<'t>) -> Templates<'t> {
    let mut found = Vec::new();
    let mut open = match example.shown {
        Shown::Data(value) => vec![value],
        Shown::Text(text) => {
            found.extend(Template::parse(text, Form::Text).ok().map(|template| (example.at, template)));
            Vec::new()
        }
        Shown::File(_) => Vec::new(),
    };
    while let Some(value) = open.pop() {
        let text = value.as_str().filter(|text| text.contains("{{"));
        found.extend(text.and_then(|text| Some((value, Template::parse(text, Form::Text).ok()?))));
        open.extend(value.items());
        for (key, value) in value.entries() {
            let text = Some(key.text()).filter(|text| text.contains("{{"));
            found.extend(text.and_then(|text| Some((value, Template::parse(text, Form::Text).ok()?))));
            open.push(value);
        }
    }
    found.into()
}
