//! A schema, compiled: what of an instance does not fit it.
//!
//! The one place that knows the validating crate. What it costs to validate grows exponentially with
//! schemas that repeat each other, so the steps are counted before they are taken.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};

use jsonschema::error::{TypeKind, ValidationErrorKind as Kind};
use jsonschema::{Draft, Keyword, PatternOptions, ValidationError, ValidationOptions};
use serde_json::{Map, Value as Json};

use super::text::Kinds;
use crate::spec::kept::{Key, Schema};
use crate::spec::schema::Direction;
use crate::tree::push_token;
use cost::{Cost, Telling};

mod cost;

/// Bytes that one pattern may take, compiled.
const PATTERN_SIZE: usize = 1 << 20;

/// Steps back that a pattern which looks around may take in one text.
const BACKTRACKS: usize = 10_000;

/// Bytes of a text that says it is a pattern; a longer one is taken for one.
const LONGEST_PATTERN: usize = 1_000;

/// Problems of one instance that are looked at.
const LOOKED_AT: usize = 50;

/// Missing properties that one message names.
const LISTED: usize = 5;

/// Values of the schemas that are kept compiled, all together.
const KEPT: usize = 500_000;

/// What a schema counts besides its values, and what a pattern does.
const OVERHEAD: usize = 20;
const PATTERN: usize = 50;

/// Steps of one message's body or parameter: about a tenth of a second. One that would take more is
/// not held against its schema.
const STEPS: usize = 2_000_000;

/// To tell what does not fit takes this much more than to see that something does not.
const TELLING: usize = 8;

/// Schemas that were asked for, compiled: each is made when a message first needs it.
#[derive(Default)]
pub struct Schemas {
    shelf: RwLock<Shelf>,
}

#[derive(Default)]
struct Shelf {
    there: HashMap<Key, Kept>,
    size: usize,
    /// How many were made: what `used` counts.
    made: u64,
}

struct Kept {
    schema: Result<Arc<Validator>, Unusable>,
    size: usize,
    used: AtomicU64,
}

/// Why messages can't be held against a schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unusable {
    #[error("its schema can't be compiled")]
    Broken,
}

impl Schemas {
    /// The schema, compiled. Two who ask for a new one at the same time may both compile it.
    ///
    /// # Errors
    ///
    /// It can't be.
    pub fn of(&self, schema: &Schema, direction: Direction) -> Result<Arc<Validator>, Unusable> {
        let key = schema.key(direction);
        if let Some(known) = self.read().find(&key) {
            return known;
        }
        let made = Validator::new(schema.bundle(direction).json).map(Arc::new).ok_or(Unusable::Broken);
        let mut shelf = self.shelf.write().unwrap_or_else(PoisonError::into_inner);
        shelf.put(key, made, KEPT)
    }

    fn read(&self) -> RwLockReadGuard<'_, Shelf> {
        self.shelf.read().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shelf {
    fn find(&self, key: &Key) -> Option<Result<Arc<Validator>, Unusable>> {
        let kept = self.there.get(key)?;
        // Who reads all the time writes only when something was made since.
        if kept.used.load(Ordering::Relaxed) != self.made {
            kept.used.store(self.made, Ordering::Relaxed);
        }
        Some(kept.schema.clone())
    }

    /// What is there in the end: somebody else's, if that was sooner.
    fn put(
        &mut self,
        key: Key,
        schema: Result<Arc<Validator>, Unusable>,
        room: usize,
    ) -> Result<Arc<Validator>, Unusable> {
        if let Some(known) = self.find(&key) {
            return known;
        }
        let size = OVERHEAD + schema.as_ref().map_or(0, |validator| size(&validator.bundle));
        self.made += 1;
        self.clear(size, room);
        self.size += size;
        self.there.insert(key, Kept { schema: schema.clone(), size, used: AtomicU64::new(self.made) });
        schema
    }

    /// Makes room for one more. Besides what must go a quarter goes, so that this is seldom done.
    fn clear(&mut self, size: usize, room: usize) {
        if self.size + size <= room {
            return;
        }
        let mut oldest: Vec<_> =
            self.there.iter().map(|(key, kept)| (kept.used.load(Ordering::Relaxed), *key)).collect();
        oldest.sort_unstable_by_key(|(used, _)| *used);
        for (_, key) in oldest {
            if self.size + size <= room - room / 4 {
                break;
            }
            self.size -= self.there.remove(&key).map_or(0, |kept| kept.size);
        }
    }
}

impl fmt::Debug for Schemas {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Schemas").field("size", &self.read().size).finish()
    }
}

/// How many values a schema's JSON has, patterns counted as many.
pub fn size(json: &Json) -> usize {
    let mut size = 0;
    let mut open = vec![json];
    while let Some(json) = open.pop() {
        size += 1;
        match json {
            Json::Array(items) => open.extend(items),
            Json::Object(entries) => {
                size += if entries.contains_key("pattern") { PATTERN } else { 0 };
                open.extend(entries.values());
            }
            _ => {}
        }
    }
    size
}

pub struct Validator {
    bundle: Json,
    compiled: jsonschema::Validator,
    cost: Cost,
    kinds: Kinds,
}

/// One place of an instance that does not fit.
#[derive(Debug, PartialEq, Eq)]
pub struct Misfit {
    /// RFC 6901 pointer into the instance.
    pub pointer: String,
    pub keyword: Box<str>,
    pub message: String,
    /// What the schema says: `type: string`.
    pub rule: String,
}

/// Validating takes more steps than are left.
#[derive(Debug, PartialEq, Eq)]
pub struct TooCostly;

impl Validator {
    /// Takes what [`bundle`](crate::spec::schema::bundle) makes. Patterns that no engine takes are
    /// dropped. None if it can't be compiled all the same.
    pub fn new(mut bundle: Json) -> Option<Validator> {
        prepare(&mut bundle);
        let (compiled, engine) = match compile(&bundle, Engine::Linear) {
            Ok(compiled) => (compiled, Engine::Linear),
            Err(_) => {
                let engine = without_odd_patterns(&mut bundle);
                (compile(&bundle, engine).ok()?, engine)
            }
        };
        let cost = Cost::of(&bundle, engine);
        let kinds = Kinds::of(&bundle);
        Some(Validator { bundle, compiled, cost, kinds })
    }

    /// The schema, as [`bundle`](crate::spec::schema::bundle) made it.
    pub fn bundle(&self) -> &Json {
        &self.bundle
    }

    /// What an instance may be.
    pub fn kinds(&self) -> Kinds {
        self.kinds
    }

    /// Whether an instance is small enough to be looked at.
    pub fn looks_at(&self, instance: &Json) -> bool {
        self.cost.allows(&self.bundle, instance, STEPS)
    }

    /// How many values its schema has.
    pub fn size(&self) -> usize {
        size(&self.bundle)
    }

    /// Whether an instance fits, or can't be looked at for its size.
    pub fn fits(&self, instance: &Json) -> bool {
        !self.cost.allows(&self.bundle, instance, STEPS) || self.compiled.is_valid(instance)
    }

    /// What of a message does not fit, at most `limit` of it.
    pub fn misfits(&self, instance: &Json, limit: usize) -> Vec<Misfit> {
        if self.fits(instance) { Vec::new() } else { self.told(instance, limit) }
    }

    /// The same of a message that has several values: with each comes its place among them. All of them have the
    /// steps of one message; what would take more than are left is not looked at.
    pub fn misfits_among(&self, instances: &[Json], limit: usize) -> Vec<(usize, Misfit)> {
        let (mut found, mut steps) = (Vec::new(), STEPS);
        for (at, instance) in instances.iter().enumerate() {
            if found.len() >= limit {
                break;
            }
            let before = steps;
            if self.cost.take(&self.bundle, instance, &mut steps).is_err() {
                continue;
            }
            if !self.compiled.is_valid(instance) {
                steps = steps.saturating_sub((before - steps) * TELLING);
                let told = self.told(instance, limit - found.len());
                found.extend(told.into_iter().map(|misfit| (at, misfit)));
            }
        }
        found
    }

    /// What of an instance that does not fit is told.
    fn told(&self, instance: &Json, limit: usize) -> Vec<Misfit> {
        match self.cost.telling(&self.bundle, instance, STEPS / TELLING) {
            Telling::All => collected(self.compiled.iter_errors(instance), limit),
            Telling::First => collected(self.compiled.validate(instance).err().into_iter(), limit),
            Telling::Nothing => vec![Misfit {
                pointer: String::new(),
                keyword: "schema".into(),
                message: format!("{} does not fit, and is too large to say where", shown(instance)),
                rule: "schema".to_owned(),
            }],
        }
    }

    /// What of an example does not fit, at most `limit` of it. `steps` are those that may be taken,
    /// and lessened by those that are. Nothing is said of a string with a template, nor of what
    /// depends on one, nor of what only the other side sends.
    pub fn violations(
        &self,
        instance: &Json,
        limit: usize,
        steps: &mut usize,
    ) -> Result<Vec<Misfit>, TooCostly> {
        self.cost.count(&self.bundle, instance, steps)?;
        if self.compiled.is_valid(instance) {
            return Ok(Vec::new());
        }
        if self.cost.telling(&self.bundle, instance, STEPS) != Telling::All {
            return Err(TooCostly);
        }
        let templates = has_template(instance);
        let errors = self.compiled.iter_errors(instance);
        let settled = |error: &ValidationError<'_>| !templates || is_settled(error);
        let meant = |error: &ValidationError<'_>| !is_of_one_side(error);
        Ok(collected(errors.filter(meant).filter(settled), limit))
    }
}

fn collected<'e>(errors: impl Iterator<Item = ValidationError<'e>>, limit: usize) -> Vec<Misfit> {
    let mut found: Vec<Misfit> = Vec::new();
    let mut missing: Vec<(usize, Vec<String>)> = Vec::new();
    for error in errors.take(LOOKED_AT) {
        let error = nearest_cause(&error);
        let misfit = misfit(error);
        let Kind::Required { property } = error.kind() else {
            found.push(misfit);
            continue;
        };
        let name = cut(property.as_str().unwrap_or_default());
        match missing.iter_mut().find(|(at, _)| found[*at].pointer == misfit.pointer) {
            Some((_, names)) => names.push(name),
            None => {
                missing.push((found.len(), vec![name]));
                found.push(misfit);
            }
        }
    }
    for (at, names) in missing.into_iter().filter(|(_, names)| names.len() > 1) {
        let listed = names[..names.len().min(LISTED)].join("`, `");
        let more = names.len().saturating_sub(LISTED);
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        found[at].message = format!("`{listed}`{more} are missing");
        found[at].rule = format!("required: [{}, ...]", names[0]);
    }
    found.truncate(limit);
    found
}

/// What runs patterns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Engine {
    /// In time linear to the text.
    Linear,
    /// Also those that look around, by trying.
    Trying,
}

fn compile(schema: &Json, engine: Engine) -> Result<jsonschema::Validator, ValidationError<'static>> {
    let options = with_openapi(jsonschema::options().with_draft(Draft::Draft202012));
    let options = options.should_validate_formats(true);
    match engine {
        Engine::Linear => options.with_pattern_options(PatternOptions::regex().size_limit(PATTERN_SIZE)),
        Engine::Trying => options.with_pattern_options(
            PatternOptions::fancy_regex().backtrack_limit(BACKTRACKS).size_limit(PATTERN_SIZE),
        ),
    }
    .build(schema)
}

/// What OpenAPI says besides: which side sends a property (3.0, 4.7.24), and the formats of its registry.
fn with_openapi<R>(options: ValidationOptions<'_, R>) -> ValidationOptions<'_, R> {
    options
        .with_keyword("readOnly", |_, said, _| Ok(Box::new(OfOneSide(said == &Json::Bool(true)))))
        .with_keyword("writeOnly", |_, said, _| Ok(Box::new(OfOneSide(said == &Json::Bool(true)))))
        .with_keyword(NUMBER, |_, format, _| Ok(Box::new(Whole { wide: format == "int64" })))
        .with_format("byte", is_base64)
        .with_format("regex", is_pattern)
}

/// The format of a number: formats of the validating crate are those of texts.
const NUMBER: &str = "x-standin-number";

/// A property that the other side does not send: it is wrong wherever it is.
struct OfOneSide(bool);

impl<'i> Keyword<'i> for OfOneSide {
    fn validate(&self, instance: &'i Json) -> Result<(), ValidationError<'i>> {
        if self.is_valid(instance) { Ok(()) } else { Err(ValidationError::custom("")) }
    }

    fn is_valid(&self, _: &'i Json) -> bool {
        !self.0
    }
}

/// A number of 32 bits, or of 64.
struct Whole {
    wide: bool,
}

impl<'i> Keyword<'i> for Whole {
    fn validate(&self, instance: &'i Json) -> Result<(), ValidationError<'i>> {
        if self.is_valid(instance) { Ok(()) } else { Err(ValidationError::custom(self.name())) }
    }

    fn is_valid(&self, instance: &'i Json) -> bool {
        let Json::Number(number) = instance else { return true };
        let whole = number.as_i64().or_else(|| {
            // `1.0` is a whole number, and 2^63 is the first float that is none of 64 bits.
            let float =
                number.as_f64().filter(|float| float.fract() == 0.0 && float.abs() < 2_f64.powi(63))?;
            number.is_f64().then_some(float as i64)
        });
        whole.is_some_and(|whole| self.wide || i32::try_from(whole).is_ok())
    }
}

impl Whole {
    fn name(&self) -> &'static str {
        if self.wide { "int64" } else { "int32" }
    }
}

/// RFC 4648, 4 and 5, padded or not.
fn is_base64(text: &str) -> bool {
    let bare = text.trim_end_matches('=');
    let padding = text.len() - bare.len();
    let known = |byte: u8| byte.is_ascii_alphanumeric() || b"+/-_".contains(&byte);
    bare.bytes().all(known)
        && bare.len() % 4 != 1
        && (padding == 0 || padding < 3 && text.len().is_multiple_of(4))
}

fn is_pattern(text: &str) -> bool {
    let schema = serde_json::json!({ "pattern": text });
    text.len() > LONGEST_PATTERN
        || compile(&schema, Engine::Linear).is_ok()
        || compile(&schema, Engine::Trying).is_ok()
}

/// Calls for each schema of a bundle. As deep as the schema, which the reader's limit bounds.
fn each_schema(schema: &mut Json, each: &mut dyn FnMut(&mut Map<String, Json>)) {
    let Some(schema) = schema.as_object_mut() else { return };
    each(schema);
    for (keyword, below) in schema {
        match (keyword.as_str(), below) {
            ("enum" | "const" | "required" | "dependentRequired" | "example" | "examples" | "default", _) => {
            }
            ("properties" | "patternProperties" | "dependentSchemas" | "$defs", Json::Object(named)) => {
                named.values_mut().for_each(|schema| each_schema(schema, each));
            }
            (_, Json::Array(schemas)) => schemas.iter_mut().for_each(|schema| each_schema(schema, each)),
            (_, schema) => each_schema(schema, each),
        }
    }
}

/// Says of numbers' formats what the compiler looks for, and takes out what a whole message can't be:
/// for one side alone.
fn prepare(bundle: &mut Json) {
    if let Some(root) = bundle.pointer_mut("/$defs/0").and_then(Json::as_object_mut) {
        root.remove("readOnly");
        root.remove("writeOnly");
    }
    each_schema(bundle, &mut |schema| {
        if let Some(format @ ("int32" | "int64")) = schema.get("format").and_then(Json::as_str) {
            let format = Json::from(format);
            schema.insert(NUMBER.to_owned(), format);
        }
    });
}

/// Drops patterns that no engine takes. The engine that the others need.
fn without_odd_patterns(bundle: &mut Json) -> Engine {
    let mut needed = Engine::Linear;
    let mut keep = |pattern: &str| {
        let schema = serde_json::json!({ "pattern": pattern });
        let engine =
            [Engine::Linear, Engine::Trying].into_iter().find(|engine| compile(&schema, *engine).is_ok());
        if engine == Some(Engine::Trying) {
            needed = Engine::Trying;
        }
        engine.is_some()
    };
    each_schema(bundle, &mut |schema| {
        if schema.get("pattern").and_then(Json::as_str).is_some_and(|pattern| !keep(pattern)) {
            schema.remove("pattern");
        }
        if let Some(named) = schema.get_mut("patternProperties").and_then(Json::as_object_mut) {
            named.retain(|pattern, _| keep(pattern));
        }
    });
    needed
}

fn is_of_one_side(error: &ValidationError<'_>) -> bool {
    matches!(error.kind(), Kind::Custom { keyword, .. } if keyword == "readOnly" || keyword == "writeOnly")
}

/// Whether a value has a `{{` in a string or a key, whose text is known only when it is rendered.
fn has_template(value: &Json) -> bool {
    let mut open = vec![value];
    while let Some(value) = open.pop() {
        match value {
            Json::String(text) if text.contains("{{") => return true,
            Json::Array(items) => open.extend(items),
            Json::Object(entries) => {
                if entries.keys().any(|key| key.contains("{{")) {
                    return true;
                }
                open.extend(entries.values());
            }
            _ => {}
        }
    }
    false
}

/// Whether an error is one whatever the templates come to.
fn is_settled(error: &ValidationError<'_>) -> bool {
    let instance = error.instance();
    match error.kind() {
        Kind::MaxItems { .. } | Kind::MinItems { .. } => true,
        Kind::MaxProperties { .. } | Kind::MinProperties { .. } => true,
        Kind::Required { .. } | Kind::AdditionalProperties { .. } => {
            !instance.as_object().into_iter().flatten().any(|(key, _)| key.contains("{{"))
        }
        // A lone template may be sent as a number.
        Kind::Type { .. } => !instance.is_string() || !has_template(instance),
        _ => !has_template(instance),
    }
}

/// Of several alternatives the one that was meant, if only one is of the instance's kind.
fn nearest_cause<'e>(error: &'e ValidationError<'e>) -> &'e ValidationError<'e> {
    let mut error = error;
    while let Kind::AnyOf { context } | Kind::OneOfNotValid { context } = error.kind() {
        let here = error.instance_path();
        let is_other_kind = |problem: &ValidationError<'_>| {
            matches!(problem.kind(), Kind::Type { .. }) && problem.instance_path() == here
        };
        let mut meant = context.iter().filter(|problems| !problems.iter().any(is_other_kind));
        let (Some(problems), None) = (meant.next(), meant.next()) else { break };
        let Some(first) = problems.first() else { break };
        error = first;
    }
    error
}

fn misfit(error: &ValidationError<'_>) -> Misfit {
    let found = shown(error.instance());
    let mut pointer = error.instance_path().as_str().to_owned();
    let keyword = error.kind().keyword();
    let limit = |limit: &dyn ToString| (format!("{found} is out of bounds"), limit.to_string());
    let (message, rule) = match error.kind() {
        Kind::Type { kind } => {
            let kinds = kinds(kind);
            (format!("{found} is no {}", kinds.replace(", ", " or ")), kinds)
        }
        Kind::Required { property } => {
            let name = cut(property.as_str().unwrap_or_default());
            (format!("`{name}` is missing"), format!("[{name}]"))
        }
        Kind::AdditionalProperties { unexpected } | Kind::UnevaluatedProperties { unexpected } => {
            let name = unexpected.first().map_or("", String::as_str);
            push_token(&mut pointer, name);
            (format!("`{}` is no property of its schema", cut(name)), "false".to_owned())
        }
        Kind::Enum { options } => {
            let there: Vec<String> = options.as_array().into_iter().flatten().take(10).map(shown).collect();
            let more = options.as_array().map_or(0, Vec::len) > there.len();
            let more = if more { ", ..." } else { "" };
            let there = there.join(", ").replace('`', "");
            (format!("{found} is none of the values there are"), format!("[{there}{more}]"))
        }
        Kind::Constant { expected_value } => {
            (format!("{found} is another value"), shown(expected_value).replace('`', ""))
        }
        Kind::Format { format } => (format!("{found} is no {format}"), format.clone()),
        Kind::Pattern { pattern } => (format!("{found} does not match the pattern"), cut(pattern)),
        Kind::MinLength { limit } => (format!("{found} is too short"), limit.to_string()),
        Kind::MaxLength { limit } => (format!("{found} is too long"), limit.to_string()),
        Kind::Minimum { limit: value } | Kind::Maximum { limit: value } => limit(value),
        Kind::ExclusiveMinimum { limit: value } | Kind::ExclusiveMaximum { limit: value } => limit(value),
        Kind::MultipleOf { multiple_of } => {
            (format!("{found} is no multiple of {multiple_of}"), multiple_of.to_string())
        }
        Kind::MinItems { limit } => (format!("{found} has too few items"), limit.to_string()),
        Kind::MaxItems { limit } => (format!("{found} has too many items"), limit.to_string()),
        Kind::AdditionalItems { limit } => (format!("{found} has too many items"), limit.to_string()),
        Kind::MinProperties { limit } => (format!("{found} has too few properties"), limit.to_string()),
        Kind::MaxProperties { limit } => (format!("{found} has too many properties"), limit.to_string()),
        Kind::UniqueItems => (format!("{found} has an item twice"), "true".to_owned()),
        Kind::FalseSchema if error.schema_path().as_str().ends_with("Properties") => {
            (format!("{found} is a property that its schema does not list"), "false".to_owned())
        }
        Kind::FalseSchema => (format!("{found} stands where its schema allows nothing"), "false".to_owned()),
        Kind::OneOfMultipleValid { .. } => {
            (format!("{found} fits more than one of the alternatives"), "...".to_owned())
        }
        Kind::AnyOf { .. } | Kind::OneOfNotValid { .. } => {
            (format!("{found} fits none of the alternatives"), "...".to_owned())
        }
        Kind::Custom { keyword, .. } if keyword == "readOnly" => {
            (format!("{found} is not for the client to send"), "true".to_owned())
        }
        Kind::Custom { keyword, .. } if keyword == "writeOnly" => {
            (format!("{found} is not for the server to send"), "true".to_owned())
        }
        Kind::Custom { message: format, .. } => (format!("{found} is no {format}"), format.clone()),
        _ => (format!("{found} does not fit its schema"), "...".to_owned()),
    };
    let keyword = match error.kind() {
        Kind::FalseSchema => error.schema_path().as_str().rsplit('/').next().unwrap_or(keyword),
        Kind::Custom { keyword, .. } if keyword == NUMBER => "format",
        _ => keyword,
    };
    Misfit { pointer, keyword: keyword.into(), message, rule: format!("{keyword}: {rule}") }
}

fn kinds(kind: &TypeKind) -> String {
    match kind {
        TypeKind::Single(one) => one.to_string(),
        TypeKind::Multiple(several) => {
            several.iter().map(|one| one.to_string()).collect::<Vec<_>>().join(", ")
        }
    }
}

/// A value as a message names it.
fn shown(value: &Json) -> String {
    match value {
        Json::Array(_) => "this array".to_owned(),
        Json::Object(_) => "this object".to_owned(),
        Json::String(text) => format!("`{}`", Json::from(cut(text))),
        other => format!("`{other}`"),
    }
}

fn cut(text: &str) -> String {
    const LONGEST: usize = 40;
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const STEPS: usize = 100_000;

    /// A line for each violation: pointer, message, rule.
    #[track_caller]
    fn check(schema: Json, instance: Json, expected: &[&str]) {
        let bundle = json!({ "$ref": "#/$defs/0", "$defs": { "0": schema } });
        let validator = Validator::new(bundle).expect("it compiles");
        let found = validator.violations(&instance, 3, &mut STEPS.clone()).expect("it costs little");
        let found: Vec<_> = found
            .iter()
            .map(|found| format!("{} {}; {}", found.pointer, found.message, found.rule))
            .collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn what_does_not_fit_is_told_with_the_rule() {
        check(json!({"type": ["string"]}), json!(1), &[" `1` is no string; type: string"]);
        check(
            json!({"properties": {"a/b": {"required": ["x"]}}}),
            json!({"a/b": {}}),
            &["/a~1b `x` is missing; required: [x]"],
        );
        check(
            json!({"required": ["a", "b", "c", "d", "e", "f"]}),
            json!({}),
            &[" `a`, `b`, `c`, `d`, `e` and 1 more are missing; required: [a, ...]"],
        );
        check(
            json!({"properties": {"a": true}, "additionalProperties": false}),
            json!({"b": 1}),
            &["/b `b` is no property of its schema; additionalProperties: false"],
        );
        check(
            json!({"enum": ["a", 1]}),
            json!("b"),
            &[" `\"b\"` is none of the values there are; enum: [\"a\", 1]"],
        );
        check(json!({"format": "uuid"}), json!("b"), &[" `\"b\"` is no uuid; format: uuid"]);
        check(json!({"maximum": 3}), json!(4), &[" `4` is out of bounds; maximum: 3"]);
        check(
            json!({"items": {"minLength": 2}}),
            json!(["abc", "a"]),
            &["/1 `\"a\"` is too short; minLength: 2"],
        );
    }

    #[test]
    fn three_are_enough() {
        let found = " is no string; type: string";
        let found: Vec<_> = (1..4).map(|n| format!("/{} `{n}`{found}", n - 1)).collect();
        let found: Vec<_> = found.iter().map(String::as_str).collect();
        check(json!({"items": {"type": "string"}}), json!([1, 2, 3, 4, 5]), &found);
    }

    #[test]
    fn of_alternatives_the_one_that_was_meant_is_told() {
        let nullable = json!({"anyOf": [{"type": "null"}, {"type": "object", "required": ["a"]}]});
        check(nullable.clone(), json!({}), &[" `a` is missing; required: [a]"]);
        check(nullable, json!(1), &[" `1` fits none of the alternatives; anyOf: ..."]);
    }

    #[test]
    fn what_depends_on_a_template_is_not_told() {
        check(json!({"type": "integer"}), json!("{{ request.body/n }}"), &[]);
        check(json!({"required": ["a"]}), json!({"{{ uuid() }}": 1}), &[]);
        check(json!({"anyOf": [{"properties": {"a": {"type": "integer"}}}]}), json!({"a": "{{ x }}"}), &[]);
        check(
            json!({"type": "string"}),
            json!({"a": "{{ x }}"}),
            &[" this object is no string; type: string"],
        );
        check(json!({"minItems": 2}), json!(["{{ x }}"]), &[" this array has too few items; minItems: 2"]);
        let one = json!({"items": {"type": "integer"}});
        check(one, json!(["{{ x }}", "b"]), &["/1 `\"b\"` is no integer; type: integer"]);
    }

    #[test]
    fn patterns_that_look_around_are_tried_and_those_that_no_engine_takes_are_dropped() {
        check(
            json!({"properties": {"p": {"pattern": "^(?!b)"}, "q": {"pattern": "("}}, "patternProperties": {"(": false}}),
            json!({"p": "b", "q": "b"}),
            &["/p `\"b\"` does not match the pattern; pattern: ^(?!b)"],
        );
        check(json!({"pattern": "^a"}), json!("b"), &[" `\"b\"` does not match the pattern; pattern: ^a"]);
    }

    /// Expected are the pointers and keywords of what a message has that does not fit.
    #[track_caller]
    fn check_message(schema: Json, instance: Json, expected: &[&str]) {
        let bundle = json!({ "$ref": "#/$defs/0", "$defs": { "0": schema } });
        let validator = Validator::new(bundle).expect("it compiles");
        let found: Vec<_> = validator.misfits(&instance, 20);
        let found: Vec<_> =
            found.iter().map(|found| format!("{} {}", found.pointer, found.keyword)).collect();
        assert_eq!(
            (found, validator.fits(&instance)),
            (expected.iter().map(|text| (*text).to_owned()).collect(), expected.is_empty())
        );
    }

    #[test]
    fn the_values_of_a_message_share_its_steps() {
        let alternatives: Vec<_> = (0..100).map(|n| json!({"required": [format!("a{n}")]})).collect();
        let validator = Validator::new(json!({"anyOf": alternatives})).expect("it can be compiled");
        let mut values = vec![json!({"a99": 1}); 10];
        values.push(json!({}));
        let places = |found: Vec<(usize, Misfit)>| found.iter().map(|(at, _)| *at).collect::<Vec<_>>();
        assert_eq!(places(validator.misfits_among(&values, 20)), [10]);
        values.splice(..0, vec![json!({"a99": 1}); super::STEPS / 100]);
        assert_eq!(places(validator.misfits_among(&values, 20)), [0; 0]);
        assert_eq!(places(validator.misfits_among(&vec![json!({}); super::STEPS / 100], 3)), [0, 1, 2]);
        let deep = (0..1000).fold(json!(1), |inside, _| json!([inside]));
        let nested =
            Validator::new(json!({"type": "array", "items": {"$ref": "#"}})).expect("it can be compiled");
        assert_eq!(places(nested.misfits_among(&[deep, json!(1)], 3)), [1]);
    }

    #[test]
    fn what_only_the_other_side_sends_is_wrong_in_a_message_and_not_told_of_an_example() {
        let schema = json!({"readOnly": true, "properties": {"id": {"readOnly": true, "type": "integer"}}});
        check_message(schema.clone(), json!({"id": 1}), &["/id readOnly"]);
        check_message(schema.clone(), json!({}), &[]);
        check(schema, json!({"id": 1}), &[]);
        check_message(json!({"items": {"writeOnly": true}}), json!([1]), &["/0 writeOnly"]);
        check_message(json!({"items": {"writeOnly": false}}), json!([1]), &[]);
    }

    #[test]
    fn braces_of_a_message_are_no_template() {
        check_message(json!({"type": "integer"}), json!("{{ x }}"), &[" type"]);
    }

    #[test]
    fn formats_of_openapi_are_checked() {
        let fits = |format: &str, instance: Json| {
            let expected: &[&str] = &[];
            check_message(json!({ "format": format }), instance, expected);
        };
        let fails =
            |format: &str, instance: Json| check_message(json!({ "format": format }), instance, &[" format"]);
        fits("int32", json!(2_147_483_647));
        fits("int32", json!(1.0));
        fails("int32", json!(2_147_483_648_i64));
        fails("int32", json!(1.5));
        fits("int64", json!(i64::MIN));
        fails("int64", json!(u64::MAX));
        fails("int64", json!(1e30));
        fits("float", json!(1.5));
        fits("byte", json!("YWI="));
        fits("byte", json!("YWI"));
        fails("byte", json!("a b"));
        fails("byte", json!("YWI=="));
        fails("regex", json!("("));
        fits("regex", json!("(?!a)"));
        for format in [
            "date-time",
            "date",
            "time",
            "duration",
            "email",
            "hostname",
            "ipv4",
            "ipv6",
            "uri",
            "uuid",
            "json-pointer",
        ] {
            fails(format, json!("a b"));
        }
        fails("uri-reference", json!("a b"));
        fits("password", json!("a b"));
    }

    #[test]
    fn schemas_that_were_not_used_for_longest_go_first() {
        let mut shelf = Shelf::default();
        let key = |number: u32| (0, number, Direction::Request);
        let room = 5 * OVERHEAD;
        let put = |shelf: &mut Shelf, number| drop(shelf.put(key(number), Err(Unusable::Broken), room));
        (0..5).for_each(|number| put(&mut shelf, number));
        assert!(shelf.find(&key(0)).is_some());
        put(&mut shelf, 5);
        let left: Vec<u32> = (0..6).filter(|number| shelf.there.contains_key(&key(*number))).collect();
        assert_eq!((left, shelf.size), (vec![0, 4, 5], 3 * OVERHEAD));
    }

    /// Whether what one message takes is known without counting its steps.
    #[track_caller]
    fn check_linear(definitions: Json, expected: bool) {
        let bundle = json!({ "$ref": "#/$defs/0", "$defs": definitions });
        assert_eq!(Cost::of(&bundle, Engine::Linear).is_linear(), expected);
    }

    #[test]
    fn steps_are_counted_only_where_one_value_may_be_looked_at_ever_more_often() {
        let itself = json!({"$ref": "#/$defs/0"});
        check_linear(json!({"0": {"properties": {"a": {"type": "string"}, "b": itself}}}), true);
        check_linear(json!({"0": {"items": itself, "properties": {"a": itself}}}), true);
        let base = json!({"properties": {"id": {"type": "integer"}}});
        check_linear(json!({"0": {"allOf": [base, {"properties": {"below": {"items": itself}}}]}}), true);
        check_linear(json!({"0": {"properties": {"a": itself}, "additionalProperties": itself}}), true);
        check_linear(json!({"0": {"items": itself, "contains": itself}}), false);
        check_linear(json!({"0": {"properties": {"a": itself}, "patternProperties": {"a": itself}}}), false);
        let branch = json!({"properties": {"a": itself}});
        check_linear(json!({"0": {"anyOf": [branch, branch]}}), false);
        check_linear(json!({"0": {"properties": {"a": itself}, "unevaluatedProperties": false}}), false);
        let twice = |n: usize| json!({"allOf": vec![json!({"$ref": format!("#/$defs/{n}")}); 2]});
        let doubled: Map<_, _> = (0..40).map(|n| (n.to_string(), twice(n + 1))).collect();
        check_linear(doubled.into(), false);
    }

    #[test]
    fn hostile_messages_end_soon() {
        let validator = |definition: Json| {
            let bundle = json!({ "$ref": "#/$defs/0", "$defs": { "0": definition } });
            Validator::new(bundle).expect("it compiles")
        };
        let itself = json!({"$ref": "#/$defs/0"});
        let branch = json!({"properties": {"a": itself}, "required": ["b"]});
        let nested = (0..120).fold(json!(1), |below, _| json!({ "a": below }));
        let started = std::time::Instant::now();
        let soon = |definition: Json, instance: &Json| {
            let validator = validator(definition);
            let _ = (validator.fits(instance), validator.misfits(instance, 20));
        };
        soon(json!({"anyOf": [branch, branch], "type": "object"}), &nested);
        soon(json!({"properties": {"a": itself}, "unevaluatedProperties": false}), &nested);
        soon(
            json!({"oneOf": [{"properties": {"a": itself}, "required": ["a"]}, {"type": "string"}]}),
            &nested,
        );
        let long = json!("a".repeat(1 << 20));
        soon(json!({"pattern": "^(?=a)(a+)+$b"}), &long);
        soon(json!({"pattern": "^(a+)+$b"}), &long);
        let many: Json = (0..250_000).map(Json::from).collect();
        soon(json!({"items": {"enum": (0..1000).map(|n| format!("v{n}")).collect::<Vec<_>>()}}), &many);
        soon(json!({"uniqueItems": true, "items": {"type": "integer"}}), &many);
        let texts: Json = (0..50_000).map(|n| format!("{}{n}", "a".repeat(12))).collect();
        soon(json!({"items": {"pattern": "^(?=a)(a|aa)+$"}}), &texts);
        // Much less without the tests' own build and a busy machine.
        assert!(started.elapsed().as_secs() < 20, "{:?}", started.elapsed());
    }

    /// Expected is how many violations are told, and of what length the first pointer is.
    #[track_caller]
    fn check_told(definition: Json, instance: Json, expected: (usize, usize)) {
        let bundle = json!({ "$ref": "#/$defs/0", "$defs": { "0": definition } });
        let validator = Validator::new(bundle).expect("it compiles");
        let found = validator.misfits(&instance, 20);
        assert_eq!((found.len(), found[0].pointer.len()), expected);
    }

    #[test]
    fn what_would_take_too_much_memory_to_tell_is_told_in_part() {
        let texts = json!({"additionalProperties": {"items": {"type": "string"}}});
        let under = |name: usize, items: usize| json!({ "k".repeat(name): vec![1; items] });
        check_told(texts.clone(), under(10, 1_000), (20, 13));
        // Each of the pointers has the whole name.
        check_told(texts, under(1 << 16, 20_000), (1, (1 << 16) + 3));
        let lacking = json!({"items": {"required": (0..30).map(|n| n.to_string()).collect::<Vec<_>>()}});
        check_told(lacking.clone(), vec![json!({}); 100].into(), (2, 2));
        check_told(lacking.clone(), vec![json!({}); 20_000].into(), (1, 2));
        let alternatives = json!({"anyOf": [lacking, {"type": "null"}]});
        check_told(alternatives, vec![json!({}); 20_000].into(), (1, 0));
    }

    #[track_caller]
    fn check_cost(definitions: impl Iterator<Item = Json>, instance: Json) {
        let definitions: serde_json::Map<_, _> =
            definitions.enumerate().map(|(number, schema)| (number.to_string(), schema)).collect();
        let bundle = json!({ "$ref": "#/$defs/0", "$defs": definitions });
        let validator = Validator::new(bundle).expect("it compiles");
        assert_eq!(validator.violations(&instance, 3, &mut STEPS.clone()), Err(TooCostly));
        // What can't be looked at is let be.
        assert!(validator.fits(&instance));
    }

    #[test]
    fn what_takes_too_many_steps_is_not_begun() {
        let next = |n: usize| json!({ "$ref": format!("#/$defs/{}", n + 1) });
        check_cost((0..40).map(|n| json!({"allOf": [next(n), next(n)]})).chain([json!({})]), json!(1));
        let branches = json!({"properties": {"x": {"$ref": "#/$defs/0"}}});
        let nested = (0..40).fold(json!(1), |below, _| json!({ "x": below }));
        check_cost([json!({"anyOf": [branches, branches]})].into_iter(), nested);
        let regexes = json!({"items": {"format": "regex"}});
        let texts = |many: usize| Json::from(vec!["("; many]);
        check_cost([regexes.clone()].into_iter(), texts(10_000));
        check_message(regexes, texts(1), &["/0 format"]);
        let counted = json!({"pattern": "a(?:a|b){1000}c"});
        check_cost([counted.clone()].into_iter(), "ab".repeat(1 << 19).into());
        check_message(counted, "ab".repeat(100).into(), &[" pattern"]);
        let named = json!({"patternProperties": {"a(?:a|b){1000}c": {}}});
        check_cost([named].into_iter(), json!({ "ab".repeat(1 << 19): 1 }));
        check_message(json!({"pattern": "^[ab]+c"}), "ab".repeat(1 << 19).into(), &[" pattern"]);
        check_cost((0..900).map(next).chain([json!({})]), json!(1));
    }
}
