//! A schema, compiled: what of an instance does not fit it.
//!
//! The one place that knows the validating crate. What it costs to validate grows exponentially with
//! schemas that repeat each other, so the steps are counted before they are taken.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jsonschema::error::{TypeKind, ValidationErrorKind as Kind};
use jsonschema::{Draft, PatternOptions, ValidationError};
use serde_json::Value as Json;

use crate::spec::kept::{Key, Schema};
use crate::spec::schema::Direction;
use crate::tree::push_token;

/// Bytes that one pattern may take, compiled.
const PATTERN_SIZE: usize = 1 << 20;

/// References and levels that one step of a validation may be below its start. A validator recurses.
const DEEPEST: usize = 500;

/// Problems of one instance that are looked at.
const LOOKED_AT: usize = 50;

/// Missing properties that one message names.
const LISTED: usize = 5;

/// Values of the schemas that are kept compiled, all together.
const KEPT: usize = 500_000;

/// Schemas that were asked for, compiled: each is made when a message first needs it.
#[derive(Default)]
pub struct Schemas {
    shelf: Mutex<Shelf>,
}

#[derive(Default)]
struct Shelf {
    there: HashMap<Key, Result<Arc<Validator>, Unusable>>,
    size: usize,
}

/// Why messages can't be held against a schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unusable {
    #[error("its schema can't be compiled")]
    Broken,
}

impl Schemas {
    /// The schema, compiled.
    ///
    /// # Errors
    ///
    /// It can't be.
    pub fn of(&self, schema: &Schema, direction: Direction) -> Result<Arc<Validator>, Unusable> {
        let key = schema.key(direction);
        if let Some(known) = self.lock().there.get(&key) {
            return known.clone();
        }
        let made = Validator::new(schema.bundle(direction).json).map(Arc::new).ok_or(Unusable::Broken);
        let size = made.as_ref().map_or(1, |validator| size(&validator.bundle));
        let mut shelf = self.lock();
        if shelf.size + size > KEPT {
            *shelf = Shelf::default();
        }
        shelf.size += size;
        shelf.there.insert(key, made.clone());
        made
    }

    fn lock(&self) -> MutexGuard<'_, Shelf> {
        self.shelf.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Schemas {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Schemas").field("size", &self.lock().size).finish()
    }
}

/// How many values a schema's JSON has.
fn size(json: &Json) -> usize {
    let mut size = 0;
    let mut open = vec![json];
    while let Some(json) = open.pop() {
        size += 1;
        match json {
            Json::Array(items) => open.extend(items),
            Json::Object(entries) => open.extend(entries.values()),
            _ => {}
        }
    }
    size
}

pub struct Validator {
    bundle: Json,
    compiled: jsonschema::Validator,
}

/// One place of an instance that does not fit.
#[derive(Debug, PartialEq, Eq)]
pub struct Violation {
    /// RFC 6901 pointer into the instance.
    pub pointer: String,
    pub message: String,
    /// What the schema says: `type: string`.
    pub rule: String,
}

/// Validating takes more steps than are left.
#[derive(Debug, PartialEq, Eq)]
pub struct TooCostly;

impl Validator {
    /// Takes what [`bundle`](crate::spec::schema::bundle) makes. Patterns that the engine refuses, as
    /// those that look around, are dropped. None if it can't be compiled all the same.
    pub fn new(mut bundle: Json) -> Option<Validator> {
        let compiled = match compile(&bundle) {
            Ok(compiled) => compiled,
            Err(_) => {
                without_odd_patterns(&mut bundle);
                compile(&bundle).ok()?
            }
        };
        Some(Validator { bundle, compiled })
    }

    /// The schema, as [`bundle`](crate::spec::schema::bundle) made it.
    pub fn bundle(&self) -> &Json {
        &self.bundle
    }

    /// What of an instance does not fit, at most `limit` of it. `steps` are those that may be taken,
    /// and lessened by those that are. Nothing is said of a string with a template, nor of what
    /// depends on one.
    pub fn violations(
        &self,
        instance: &Json,
        limit: usize,
        steps: &mut usize,
    ) -> Result<Vec<Violation>, TooCostly> {
        self.count(instance, steps)?;
        let templates = has_template(instance);
        let errors = self.compiled.iter_errors(instance).take(LOOKED_AT);
        let settled = |error: &ValidationError<'_>| !templates || is_settled(error);
        let mut found: Vec<Violation> = Vec::new();
        let mut missing: Vec<(usize, Vec<String>)> = Vec::new();
        for error in errors.filter(settled) {
            let error = nearest_cause(&error);
            let violation = violation(error);
            let Kind::Required { property } = error.kind() else {
                found.push(violation);
                continue;
            };
            let name = cut(property.as_str().unwrap_or_default());
            let known = missing.iter_mut().find(|(at, _)| found[*at].pointer == violation.pointer);
            match known {
                Some((_, names)) => names.push(name),
                None => {
                    missing.push((found.len(), vec![name]));
                    found.push(violation);
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
        Ok(found)
    }

    /// Takes the steps of a validation without validating: each schema that looks at each value.
    fn count(&self, instance: &Json, steps: &mut usize) -> Result<(), TooCostly> {
        let mut open = vec![(&self.bundle, instance, 0)];
        while let Some((schema, instance, depth)) = open.pop() {
            *steps = steps.checked_sub(1).filter(|_| depth < DEEPEST).ok_or(TooCostly)?;
            let Some(schema) = schema.as_object() else { continue };
            for (keyword, below) in schema {
                self.step(keyword, below, instance, depth + 1, &mut open);
            }
        }
        Ok(())
    }

    fn step<'v>(
        &'v self,
        keyword: &str,
        below: &'v Json,
        instance: &'v Json,
        depth: usize,
        open: &mut Vec<(&'v Json, &'v Json, usize)>,
    ) {
        let items = instance.as_array().into_iter().flatten();
        let values = instance.as_object().into_iter().flat_map(|object| object.values());
        let schemas = below.as_array().into_iter().flatten();
        let named = below.as_object().into_iter().flatten();
        match keyword {
            "$ref" => {
                let target = below.as_str().and_then(|text| self.bundle.pointer(text.strip_prefix('#')?));
                open.extend(target.map(|target| (target, instance, depth)));
            }
            "allOf" | "anyOf" | "oneOf" => open.extend(schemas.map(|schema| (schema, instance, depth))),
            "not" | "if" | "then" | "else" => open.push((below, instance, depth)),
            "dependentSchemas" => open.extend(named.map(|(_, schema)| (schema, instance, depth))),
            "properties" => open.extend(
                named.filter_map(|(name, schema)| Some((schema, instance.as_object()?.get(name)?, depth))),
            ),
            "patternProperties" => {
                let values: Vec<_> = values.collect();
                open.extend(named.flat_map(|(_, schema)| {
                    values.iter().map(move |value| (schema, *value, depth)).collect::<Vec<_>>()
                }));
            }
            "additionalProperties" | "unevaluatedProperties" | "propertyNames" => {
                open.extend(values.map(|value| (below, value, depth)));
            }
            "prefixItems" => open.extend(schemas.zip(items).map(|(schema, item)| (schema, item, depth))),
            "items" | "contains" | "unevaluatedItems" => {
                open.extend(items.map(|item| (below, item, depth)));
            }
            // Every string of a list is compared, and every item with every other.
            "enum" => open.extend(schemas.map(|_| (&Json::Null, instance, depth))),
            "uniqueItems" => open.extend(items.map(|item| (&Json::Null, item, depth))),
            _ => {}
        }
    }
}

fn compile(schema: &Json) -> Result<jsonschema::Validator, ValidationError<'static>> {
    jsonschema::options()
        .with_draft(Draft::Draft202012)
        .should_validate_formats(true)
        .with_pattern_options(PatternOptions::regex().size_limit(PATTERN_SIZE))
        .build(schema)
}

/// As deep as the schema, which the reader's limit bounds.
fn without_odd_patterns(schema: &mut Json) {
    let refused = |pattern: &str| compile(&serde_json::json!({ "pattern": pattern })).is_err();
    let Some(schema) = schema.as_object_mut() else { return };
    if schema.get("pattern").and_then(Json::as_str).is_some_and(refused) {
        schema.remove("pattern");
    }
    if let Some(named) = schema.get_mut("patternProperties").and_then(Json::as_object_mut) {
        named.retain(|pattern, _| !refused(pattern));
    }
    for (keyword, below) in schema {
        match (keyword.as_str(), below) {
            ("enum" | "const" | "required" | "dependentRequired", _) => {}
            ("properties" | "patternProperties" | "dependentSchemas" | "$defs", Json::Object(named)) => {
                named.values_mut().for_each(without_odd_patterns);
            }
            (_, Json::Array(schemas)) => schemas.iter_mut().for_each(without_odd_patterns),
            (_, schema) => without_odd_patterns(schema),
        }
    }
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

fn violation(error: &ValidationError<'_>) -> Violation {
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
        _ => (format!("{found} does not fit its schema"), "...".to_owned()),
    };
    let keyword = match error.kind() {
        Kind::FalseSchema => error.schema_path().as_str().rsplit('/').next().unwrap_or(keyword),
        _ => keyword,
    };
    Violation { pointer, message, rule: format!("{keyword}: {rule}") }
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
    fn patterns_that_the_engine_refuses_are_dropped() {
        check(
            json!({"properties": {"pattern": {"pattern": "(?=a)"}}, "patternProperties": {"(?=a)": false}, "minProperties": 2}),
            json!({"pattern": "b"}),
            &[" this object has too few properties; minProperties: 2"],
        );
        check(json!({"pattern": "^a"}), json!("b"), &[" `\"b\"` does not match the pattern; pattern: ^a"]);
    }

    #[track_caller]
    fn check_cost(definitions: impl Iterator<Item = Json>, instance: Json) {
        let definitions: serde_json::Map<_, _> =
            definitions.enumerate().map(|(number, schema)| (number.to_string(), schema)).collect();
        let bundle = json!({ "$ref": "#/$defs/0", "$defs": definitions });
        let validator = Validator::new(bundle).expect("it compiles");
        assert_eq!(validator.violations(&instance, 3, &mut STEPS.clone()), Err(TooCostly));
    }

    #[test]
    fn what_takes_too_many_steps_is_not_begun() {
        let next = |n: usize| json!({ "$ref": format!("#/$defs/{}", n + 1) });
        check_cost((0..40).map(|n| json!({"allOf": [next(n), next(n)]})).chain([json!({})]), json!(1));
        let branches = json!({"properties": {"x": {"$ref": "#/$defs/0"}}});
        let nested = (0..40).fold(json!(1), |below, _| json!({ "x": below }));
        check_cost([json!({"anyOf": [branches, branches]})].into_iter(), nested);
        check_cost((0..900).map(next).chain([json!({})]), json!(1));
    }
}
