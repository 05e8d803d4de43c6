//! A schema as one JSON value that stands alone: JSON Schema 2020-12, whatever its document is
//! written in.
//!
//! What a `$ref` leads to becomes one of `$defs`, so that circles stay circles. Only keywords that
//! constrain an instance are kept, and of those only what is well formed: a slip in a schema makes it
//! laxer and never unreadable.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use serde_json::{Map, Value as Json, json};

use super::document::Format;
use super::resolve::Resolver;
use crate::tree::{Kind, Tree, Value};

/// Which way an instance goes: `readOnly` properties are not asked for in requests, `writeOnly`
/// ones not in responses (3.0, 4.7.24; JSON Schema 2020-12 Validation, 9.4).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Direction {
    Request,
    Response,
}

/// A schema reaches more than is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("its schema reaches more than is looked at")]
pub struct TooLarge;

/// Values of one bundle, a long text counted as several.
const NODES: usize = 20_000;

/// Schemas that a bundle refers to; a validator's memory and time grow faster than their number.
const DEFINITIONS: usize = 1_000;

/// References that lead on to references.
const HOPS: usize = 8;

/// `{"$ref": "#/$defs/0", "$defs": {"0": ...}}`: the schema and everything that it reaches. No
/// reference in it leads back to itself without a step into the instance.
pub fn bundle<'t>(
    resolver: &mut Resolver<'t>,
    schema: Value<'t>,
    format: Format,
    direction: Direction,
) -> Result<Json, TooLarge> {
    let mut bundler =
        Bundler { resolver, format, direction, found: Vec::new(), numbers: HashMap::new(), left: NODES };
    bundler.number(schema)?;
    let mut definitions = Vec::new();
    while let Some(schema) = bundler.found.get(definitions.len()) {
        let definition = bundler.schema(*schema)?;
        definitions.push(definition);
    }
    without_circles(&mut definitions);
    let numbered = definitions.into_iter().enumerate();
    let definitions: Map<String, Json> =
        numbered.map(|(number, definition)| (number.to_string(), definition)).collect();
    Ok(json!({ "$ref": to(0), "$defs": definitions }))
}

/// What a schema that is a reference and nothing else leads to.
pub fn behind<'t>(resolver: &mut Resolver<'t>, schema: Value<'t>, format: Format) -> Value<'t> {
    let mut current = schema;
    for _ in 0..HOPS {
        let only = format < Format::V31 || current.entries().nth(1).is_none();
        let Some(target) = target_of(resolver, current, "$ref").filter(|_| only) else { break };
        current = target;
    }
    current
}

fn target_of<'t>(resolver: &mut Resolver<'t>, schema: Value<'t>, keyword: &str) -> Option<Value<'t>> {
    let reference = schema.get(keyword).filter(|reference| reference.as_str().is_some())?;
    resolver.target_of(reference)
}

fn to(number: usize) -> String {
    format!("#/$defs/{number}")
}

/// What may stand under a keyword, and so how it is taken over.
#[derive(Clone, Copy)]
enum Form {
    Schema,
    /// A list of schemas.
    Schemas,
    /// Schemas by name.
    Named,
    Number,
    /// A number above 0.
    Positive,
    /// A whole number that is not negative.
    Count,
    Flag,
    /// Any value.
    Any,
    /// Lists of names, by name.
    NamesByName,
}

const KEYWORDS: [(&str, Form); 32] = [
    ("allOf", Form::Schemas),
    ("anyOf", Form::Schemas),
    ("oneOf", Form::Schemas),
    ("not", Form::Schema),
    ("if", Form::Schema),
    ("then", Form::Schema),
    ("else", Form::Schema),
    ("dependentSchemas", Form::Named),
    ("prefixItems", Form::Schemas),
    ("contains", Form::Schema),
    ("properties", Form::Named),
    ("patternProperties", Form::Named),
    ("additionalProperties", Form::Schema),
    ("propertyNames", Form::Schema),
    ("unevaluatedItems", Form::Schema),
    ("unevaluatedProperties", Form::Schema),
    ("const", Form::Any),
    ("multipleOf", Form::Positive),
    ("maximum", Form::Number),
    ("minimum", Form::Number),
    ("exclusiveMaximum", Form::Number),
    ("exclusiveMinimum", Form::Number),
    ("maxLength", Form::Count),
    ("minLength", Form::Count),
    ("maxItems", Form::Count),
    ("minItems", Form::Count),
    ("uniqueItems", Form::Flag),
    ("maxContains", Form::Count),
    ("minContains", Form::Count),
    ("maxProperties", Form::Count),
    ("minProperties", Form::Count),
    ("dependentRequired", Form::NamesByName),
];

const TYPES: [&str; 7] = ["null", "boolean", "object", "array", "number", "integer", "string"];

/// Formats that mean the same to everyone. Others, `int64` and `password` say, are left out.
const FORMATS: [&str; 7] = ["date-time", "date", "uuid", "email", "uri", "ipv4", "ipv6"];

/// Bytes of a pattern; no one reads a longer one, and compiling it costs time.
const LONGEST_PATTERN: usize = 2_000;

struct Bundler<'a, 't> {
    resolver: &'a mut Resolver<'t>,
    format: Format,
    direction: Direction,
    /// The definitions, by their number.
    found: Vec<Value<'t>>,
    numbers: HashMap<(*const Tree, u32), usize>,
    /// Values that the bundle may still have.
    left: usize,
}

impl<'t> Bundler<'_, 't> {
    /// The number of the definition that a schema becomes.
    fn number(&mut self, schema: Value<'t>) -> Result<usize, TooLarge> {
        let schema = behind(self.resolver, schema, self.format);
        let next = self.found.len();
        let number = *self.numbers.entry((Arc::as_ptr(schema.tree()), schema.id())).or_insert(next);
        if number == next {
            self.found.push(schema);
        }
        if next < DEFINITIONS { Ok(number) } else { Err(TooLarge) }
    }

    /// What a keyword of a schema refers to.
    fn target(&mut self, schema: Value<'t>, keyword: &str) -> Option<Value<'t>> {
        target_of(self.resolver, schema, keyword)
    }

    /// As deep as the tree, which the reader's limit bounds.
    fn schema(&mut self, schema: Value<'t>) -> Result<Json, TooLarge> {
        self.spend(1)?;
        if let Some(all) = schema.as_bool() {
            return Ok(all.into());
        }
        let mut out = Map::new();
        if let Some(target) = self.target(schema, "$ref") {
            out.insert("$ref".into(), to(self.number(target)?).into());
        }
        // 3.0, 4.7.23: what stands beside a reference is ignored. Since 3.1 it counts.
        if schema.get("$ref").is_some() && self.format < Format::V31 {
            return Ok(out.into());
        }
        for (keyword, form) in KEYWORDS {
            let Some(value) = schema.get(keyword) else { continue };
            if let Some(value) = self.value(value, form)? {
                out.insert(keyword.into(), value);
            }
        }
        self.others(schema, &mut out)?;
        Ok(self.nullable(schema, out))
    }

    fn value(&mut self, value: Value<'t>, form: Form) -> Result<Option<Json>, TooLarge> {
        let number = || match value.kind() {
            Kind::Number(_) => Some(value.to_json()),
            _ => None,
        };
        Ok(match form {
            Form::Schema if value.is_mapping() || value.as_bool().is_some() => Some(self.schema(value)?),
            Form::Schemas if value.items().next().is_some() => {
                Some(value.items().map(|item| self.schema(item)).collect::<Result<_, _>>()?)
            }
            Form::Named if value.is_mapping() => {
                let mut named = Map::new();
                for (key, value) in value.entries() {
                    self.spend(key.text().len() / 64)?;
                    named.insert(key.text().to_owned(), self.schema(value)?);
                }
                Some(named.into())
            }
            Form::Number => number(),
            Form::Positive => number().filter(|number| number.as_f64() > Some(0.0)),
            Form::Count => value.as_i64().and_then(|count| u64::try_from(count).ok()).map(Json::from),
            Form::Flag => value.as_bool().map(Json::from),
            Form::Any => Some(self.copy(value)?),
            Form::NamesByName if value.is_mapping() => {
                let mut named = Map::new();
                for (key, value) in value.entries() {
                    named.insert(key.text().to_owned(), self.names(value)?.into());
                }
                Some(named.into())
            }
            _ => None,
        })
    }

    /// Keywords that are more than taken over.
    fn others(&mut self, schema: Value<'t>, out: &mut Map<String, Json>) -> Result<(), TooLarge> {
        let words =
            |value: Value<'t>| value.as_str().into_iter().chain(value.items().filter_map(Value::as_str));
        let types: Vec<&str> = schema.get("type").into_iter().flat_map(words).take(TYPES.len() + 1).collect();
        let mut known = HashSet::new();
        // `file`, and words that JSON Schema does not know, leave the type open.
        if !types.is_empty() && types.iter().all(|word| TYPES.contains(word) && known.insert(*word)) {
            out.insert("type".into(), types.into());
        }
        if let Some(list) = schema.get("enum").filter(|list| list.items().next().is_some()) {
            out.insert("enum".into(), self.copy(list)?);
        }
        if let Some(names) = schema.get("required") {
            let names = self.required(schema, names)?;
            out.insert("required".into(), names.into());
        }
        let text = |keyword: &str| schema.get(keyword).and_then(Value::as_str);
        if let Some(format) = text("format").filter(|format| FORMATS.contains(format)) {
            out.insert("format".into(), format.into());
        }
        if let Some(pattern) = text("pattern").filter(|pattern| pattern.len() <= LONGEST_PATTERN) {
            self.spend(pattern.len() / 8)?;
            out.insert("pattern".into(), pattern.into());
        }
        self.items(schema, out)?;
        for (bound, exclusive) in [("minimum", "exclusiveMinimum"), ("maximum", "exclusiveMaximum")] {
            // 3.0 has draft 4's flag beside the bound; since draft 6 it is a bound itself.
            if schema.get(exclusive).and_then(Value::as_bool) == Some(true)
                && let Some(limit) = out.remove(bound)
            {
                out.insert(exclusive.into(), limit);
            }
        }
        if let Some(target) = self.dynamic(schema) {
            let reference = json!({ "$ref": to(self.number(target)?) });
            match out.get_mut("allOf").and_then(Json::as_array_mut) {
                Some(all) => all.push(reference),
                None => drop(out.insert("allOf".into(), json!([reference]))),
            }
        }
        Ok(())
    }

    /// A list under `items` is what 2020-12 calls `prefixItems`.
    fn items(&mut self, schema: Value<'t>, out: &mut Map<String, Json>) -> Result<(), TooLarge> {
        let Some(items) = schema.get("items") else { return Ok(()) };
        let (keyword, form) =
            if items.is_sequence() { ("prefixItems", Form::Schemas) } else { ("items", Form::Schema) };
        if let Some(items) = self.value(items, form)? {
            out.insert(keyword.into(), items);
        }
        Ok(())
    }

    /// The names that an instance must have, going this way.
    fn required(&mut self, schema: Value<'t>, names: Value<'t>) -> Result<Vec<String>, TooLarge> {
        let mut names = self.names(names)?;
        let Some(properties) = schema.get("properties") else { return Ok(names) };
        let flag = match self.direction {
            Direction::Request => "readOnly",
            Direction::Response => "writeOnly",
        };
        names.retain(|name| properties.get(name).is_none_or(|property| !self.says(property, flag)));
        Ok(names)
    }

    fn says(&mut self, schema: Value<'t>, flag: &str) -> bool {
        let mut current = schema;
        for _ in 0..HOPS {
            if current.get(flag).and_then(Value::as_bool) == Some(true) {
                return true;
            }
            let Some(target) = self.target(current, "$ref") else { break };
            current = target;
        }
        false
    }

    /// The strings of a list, each once.
    fn names(&mut self, list: Value<'t>) -> Result<Vec<String>, TooLarge> {
        let mut seen = HashSet::new();
        let mut names = Vec::new();
        for name in list.items().filter_map(Value::as_str) {
            self.spend(1 + name.len() / 64)?;
            if seen.insert(name) {
                names.push(name.to_owned());
            }
        }
        Ok(names)
    }

    /// JSON Schema 2020-12 Core, 8.2.3.2: a `$dynamicRef` to a dynamic anchor leads to the outermost
    /// one of its name, which is looked for in the order in which schemas were reached.
    fn dynamic(&mut self, schema: Value<'t>) -> Option<Value<'t>> {
        let initial = self.target(schema, "$dynamicRef")?;
        let Some(anchor) = initial.get("$dynamicAnchor").and_then(Value::as_str) else {
            return Some(initial);
        };
        let is_it = |schema: &Value<'t>| schema.get("$dynamicAnchor").and_then(Value::as_str) == Some(anchor);
        let own = |schema: Value<'t>| {
            let below = schema.get("$defs").into_iter().flat_map(Value::entries).map(|(_, value)| value);
            std::iter::once(schema).chain(below)
        };
        self.found.iter().take(100).flat_map(|schema| own(*schema).take(100)).find(is_it).or(Some(initial))
    }

    /// `nullable` of 3.0 and the `x-nullable` that stands for it in Swagger 2. As authors mean it: an
    /// `enum`, and what `allOf` refers to, need not list null again.
    fn nullable(&self, schema: Value<'t>, mut out: Map<String, Json>) -> Json {
        let flag = |keyword| schema.get(keyword).and_then(Value::as_bool) == Some(true);
        if self.format >= Format::V31 || !(flag("nullable") || flag("x-nullable")) {
            return out.into();
        }
        let plain =
            !["$ref", "allOf", "anyOf", "oneOf", "not", "const"].iter().any(|key| out.contains_key(*key));
        if !plain || !out.contains_key("type") && out.contains_key("enum") {
            return json!({ "anyOf": [{ "type": "null" }, out] });
        }
        for keyword in ["type", "enum"] {
            if let Some(Json::Array(list)) = out.get_mut(keyword) {
                let null = if keyword == "type" { json!("null") } else { Json::Null };
                if !list.contains(&null) {
                    list.push(null);
                }
            }
        }
        out.into()
    }

    fn copy(&mut self, value: Value<'t>) -> Result<Json, TooLarge> {
        let mut open = vec![value];
        while let Some(value) = open.pop() {
            self.spend(1 + value.as_str().map_or(0, |text| text.len() / 64))?;
            let below = value.items().chain(value.entries().map(|(_, value)| value));
            // One more than there may be is enough to know.
            open.extend(below.take(self.left + 1));
        }
        Ok(value.to_json())
    }

    fn spend(&mut self, nodes: usize) -> Result<(), TooLarge> {
        self.left = self.left.checked_sub(nodes).ok_or(TooLarge)?;
        Ok(())
    }
}

/// Drops references that lead back to where they stand with no step into the instance between, as
/// `A: {allOf: [{$ref: A}]}`: they say nothing, and a validator would follow them for ever.
fn without_circles(definitions: &mut [Json]) {
    let edges: Vec<Vec<usize>> = definitions.iter().map(in_place).collect();
    let mut cut: Vec<HashSet<usize>> = vec![HashSet::new(); definitions.len()];
    let mut state = vec![State::New; definitions.len()];
    for start in 0..definitions.len() {
        let mut path = vec![(start, 0)];
        while let Some((at, next)) = path.last_mut() {
            let at = *at;
            let Some(target) = edges[at].get(*next).copied().filter(|_| state[at] != State::Done) else {
                state[at] = State::Done;
                path.pop();
                continue;
            };
            state[at] = State::Open;
            *next += 1;
            match state[target] {
                State::New => path.push((target, 0)),
                State::Open => drop(cut[at].insert(target)),
                State::Done => {}
            }
        }
    }
    for (definition, targets) in definitions.iter_mut().zip(cut).filter(|(_, targets)| !targets.is_empty()) {
        loosen(definition, &targets);
    }
}

#[derive(Clone, Copy, PartialEq)]
enum State {
    New,
    Open,
    Done,
}

/// Keywords whose schemas look at the same instance.
const IN_PLACE: [&str; 8] = ["allOf", "anyOf", "oneOf", "not", "if", "then", "else", "dependentSchemas"];

/// The definitions that a definition leads to without a step into the instance.
fn in_place(definition: &Json) -> Vec<usize> {
    let mut found = Vec::new();
    let mut open = vec![definition];
    while let Some(schema) = open.pop() {
        found.extend(number_of(schema));
        for keyword in IN_PLACE {
            match schema.get(keyword) {
                Some(Json::Array(list)) => open.extend(list),
                Some(Json::Object(named)) if keyword == "dependentSchemas" => open.extend(named.values()),
                below => open.extend(below),
            }
        }
    }
    found
}

fn number_of(schema: &Json) -> Option<usize> {
    schema.get("$ref")?.as_str()?.strip_prefix("#/$defs/")?.parse().ok()
}

/// As deep as the tree that the schema comes from.
fn loosen(schema: &mut Json, targets: &HashSet<usize>) {
    let circular = number_of(schema).is_some_and(|target| targets.contains(&target));
    let Some(schema) = schema.as_object_mut() else { return };
    if circular {
        schema.remove("$ref");
    }
    for keyword in IN_PLACE {
        match schema.get_mut(keyword) {
            Some(Json::Array(list)) => list.iter_mut().for_each(|schema| loosen(schema, targets)),
            Some(Json::Object(named)) if keyword == "dependentSchemas" => {
                named.values_mut().for_each(|schema| loosen(schema, targets));
            }
            Some(schema) => loosen(schema, targets),
            None => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Trees;
    use super::*;

    fn bundled(format: Format, direction: Direction, text: String) -> Result<Json, TooLarge> {
        let (tree, _) = Tree::parse("/t.yaml", text, &Default::default()).expect("the text is YAML");
        let (other, _) =
            Tree::parse("/o.yaml", "T: {type: string}".into(), &Default::default()).expect("YAML");
        let trees = Trees::from([("/t.yaml".into(), tree.clone()), ("/o.yaml".into(), other)]);
        let root = trees.get("/t.yaml").expect("it is there").root();
        bundle(&mut Resolver::new(&trees, "/t.yaml"), root.get("S").expect("a schema"), format, direction)
    }

    /// `text` has the schema under `S`; expected are the definitions.
    #[track_caller]
    fn check(format: Format, text: &str, expected: Json) {
        let bundle = bundled(format, Direction::Response, text.into()).expect("it is not too large");
        assert_eq!(bundle["$ref"], "#/$defs/0");
        let found: Vec<&Json> = bundle["$defs"].as_object().expect("definitions").values().collect();
        assert_eq!(json!(found), expected);
    }

    #[test]
    fn what_references_lead_to_is_in_the_bundle_once() {
        check(
            Format::V31,
            "S: {properties: {a: {$ref: '#/A'}, b: {$ref: '#/A'}, c: {$ref: 'o.yaml#/T', minLength: 1}}}\nA: {items: {$ref: '#/S'}}",
            json!([
                {"properties": {"a": {"$ref": "#/$defs/1"}, "b": {"$ref": "#/$defs/1"}, "c": {"$ref": "#/$defs/2", "minLength": 1}}},
                {"items": {"$ref": "#/$defs/0"}},
                {"type": ["string"]},
            ]),
        );
    }

    #[test]
    fn what_stands_beside_a_reference_counts_since_3_1() {
        let text = "S: {items: {$ref: '#/A', minLength: 1}}\nA: {type: string}";
        check(Format::V30, text, json!([{"items": {"$ref": "#/$defs/1"}}, {"type": ["string"]}]));
        check(
            Format::V31,
            text,
            json!([{"items": {"$ref": "#/$defs/1", "minLength": 1}}, {"type": ["string"]}]),
        );
    }

    #[test]
    fn version_3_0_is_brought_to_2020_12() {
        check(
            Format::V30,
            "S: {type: number, minimum: 1, exclusiveMinimum: true, maximum: 2, exclusiveMaximum: false, nullable: true}",
            json!([{"maximum": 2, "type": ["number", "null"], "exclusiveMinimum": 1}]),
        );
        check(
            Format::V30,
            "S: {type: string, enum: [a], nullable: true}",
            json!([{"type": ["string", "null"], "enum": ["a", null]}]),
        );
        check(
            Format::V30,
            "S: {nullable: true, allOf: [{$ref: '#/A'}]}\nA: {type: object}",
            json!([{"anyOf": [{"type": "null"}, {"allOf": [{"$ref": "#/$defs/1"}]}]}, {"type": ["object"]}]),
        );
        check(Format::V31, "S: {type: string, nullable: true}", json!([{"type": ["string"]}]));
        check(Format::V2, "S: {type: string, x-nullable: true}", json!([{"type": ["string", "null"]}]));
        check(Format::V2, "S: {type: file}", json!([{}]));
    }

    #[test]
    fn what_constrains_nothing_and_what_is_malformed_is_left_out() {
        check(
            Format::V31,
            "S: {title: t, example: 1, xml: {}, discriminator: {propertyName: a}, required: true, minLength: -1, maxLength: x, \
             multipleOf: 0, type: any, enum: [], format: int64, allOf: [], properties: 1, items: [{type: string}]}",
            json!([{"required": [], "prefixItems": [{"type": ["string"]}]}]),
        );
        check(Format::V31, "S: {type: [string, 'null', string], format: date}", json!([{"format": "date"}]));
        check(Format::V31, "S: {properties: {a: true, b: }}", json!([{"properties": {"a": true, "b": {}}}]));
    }

    #[test]
    fn read_only_properties_are_asked_for_in_responses_only() {
        let text = "S: {required: [a, b, c], properties: {a: {readOnly: true}, b: {writeOnly: true}, c: {$ref: '#/C'}}}\nC: {readOnly: true}";
        let required = |direction| {
            bundled(Format::V31, direction, text.into())
                .map(|bundle| bundle["$defs"]["0"]["required"].clone())
        };
        assert_eq!(required(Direction::Request), Ok(json!(["b"])));
        assert_eq!(required(Direction::Response), Ok(json!(["a", "c"])));
    }

    #[test]
    fn circles_without_a_step_into_the_instance_are_cut() {
        check(
            Format::V31,
            "S: {allOf: [{$ref: '#/A', minLength: 1}], not: {$ref: '#/S'}}\nA: {anyOf: [{$ref: '#/S'}, {type: string}]}",
            json!([
                {"allOf": [{"$ref": "#/$defs/1", "minLength": 1}], "not": {}},
                {"anyOf": [{}, {"type": ["string"]}]},
            ]),
        );
        check(Format::V31, "S: {$ref: '#/S'}", json!([{}]));
        check(
            Format::V31,
            "S: {$ref: '#/S', items: {$ref: '#/S'}}",
            json!([{"items": {"$ref": "#/$defs/0"}}]),
        );
    }

    #[test]
    fn a_dynamic_reference_leads_to_the_outermost_anchor() {
        check(
            Format::V31,
            "S: {$ref: '#/L', $defs: {item: {$dynamicAnchor: T, type: string}}}\n\
             L: {items: {$dynamicRef: '#/D'}}\nD: {$dynamicAnchor: T}",
            json!([
                {"$ref": "#/$defs/1"},
                {"items": {"allOf": [{"$ref": "#/$defs/2"}]}},
                {"type": ["string"]},
            ]),
        );
    }

    #[track_caller]
    fn check_too_large(text: String) {
        let started = std::time::Instant::now();
        assert_eq!(bundled(Format::V31, Direction::Request, text), Err(TooLarge));
        assert!(started.elapsed() < std::time::Duration::from_secs(20), "{:?}", started.elapsed());
    }

    #[test]
    fn what_is_too_large_is_refused() {
        check_too_large(format!("S: {{enum: [{}]}}", "1,".repeat(100_000)));
        check_too_large(format!("S: {{enum: ['{}']}}", "x".repeat(10 << 20)));
        check_too_large(format!("S: {{required: [{}]}}", "a,".repeat(100_000)));
        check_too_large(format!("S: {{allOf: [{}]}}", "{},".repeat(100_000)));
        let chain: String =
            (0..2000).map(|n| format!("A{n}: {{items: {{$ref: '#/A{}'}}}}\n", n + 1)).collect();
        check_too_large(format!("S: {{$ref: '#/A0'}}\n{chain}"));
        let aliases: String =
            (1..15).map(|n| format!("A{n}: &a{n} {{allOf: [*a{0}, *a{0}]}}\n", n - 1)).collect();
        check_too_large(format!("A0: &a0 {{}}\n{aliases}S: *a14"));
    }
}
