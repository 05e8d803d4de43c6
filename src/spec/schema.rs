//! A schema as one JSON value that stands alone: JSON Schema 2020-12, whatever its document is
//! written in.
//!
//! What a `$ref` leads to becomes one of `$defs`, so that circles stay circles. Keywords are kept that
//! constrain an instance, show one, or say how it is written, and of those only what is well formed: a
//! slip in a schema makes it laxer and never unreadable.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use percent_encoding::percent_decode_str;
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

/// A schema and everything that it reaches.
#[derive(Debug, Clone, PartialEq)]
pub struct Bundle {
    /// `{"$ref": "#/$defs/0", "$defs": {"0": ...}}`. No reference in it leads back to itself without a
    /// step into the instance. A definition's `$comment` is the name by which it was referred to.
    pub json: Json,
    /// Nothing was cut. What is cut is `{"x-standin-cut": true}`, which allows everything.
    pub whole: bool,
}

/// Stands in a schema of which nothing, or not all, is known.
pub const CUT: &str = "x-standin-cut";

/// Values of one bundle, a long text counted as several. GitHub's largest response has 14,000.
const NODES: usize = 40_000;

/// Schemas that a bundle refers to; a validator's memory and time grow faster than their number.
const DEFINITIONS: usize = 2_000;

/// Values of one `example` or `default`; a larger one is left out.
const SHOWN: usize = 2_000;

/// Values of all of them together.
const SHOWN_IN_ALL: usize = 20_000;

/// Bytes of a word such as a `format`; no one gives a longer one.
const LONGEST_WORD: usize = 200;

/// References that lead on to references.
const HOPS: usize = 8;

/// The schema and everything that it reaches, in the order in which it is reached, as far as the limits
/// go.
pub fn bundle<'t>(
    resolver: &mut Resolver<'t>,
    schema: Value<'t>,
    format: Format,
    direction: Direction,
) -> Bundle {
    let mut bundler = Bundler {
        resolver,
        format,
        direction,
        found: Vec::new(),
        numbers: HashMap::new(),
        around: Vec::new(),
        left: NODES,
        shown: SHOWN_IN_ALL,
        whole: true,
    };
    bundler.number(schema, None);
    let mut definitions = Vec::new();
    while let Some((schema, name)) = bundler.found.get(definitions.len()) {
        let name = name.clone();
        let mut definition = bundler.schema(*schema);
        if let (Some(name), Some(definition)) = (name, definition.as_object_mut()) {
            definition.insert("$comment".into(), name.into());
        }
        definitions.push(definition);
    }
    let whole = bundler.whole;
    without_circles(&mut definitions);
    if !whole {
        allow_what_is_cut(&mut definitions);
    }
    let numbered = definitions.into_iter().enumerate();
    let definitions: Map<String, Json> =
        numbered.map(|(number, definition)| (number.to_string(), definition)).collect();
    Bundle { json: json!({ "$ref": to(0), "$defs": definitions }), whole }
}

/// What a schema that is a reference and nothing else leads to.
pub fn behind<'t>(resolver: &mut Resolver<'t>, schema: Value<'t>, format: Format) -> Value<'t> {
    behind_named(resolver, schema, format).0
}

/// Also the name by which it was referred to.
fn behind_named<'t>(
    resolver: &mut Resolver<'t>,
    schema: Value<'t>,
    format: Format,
) -> (Value<'t>, Option<String>) {
    let mut current = schema;
    let mut name = None;
    for _ in 0..HOPS {
        // A mark beside a reference counts in every version, see `schema`.
        let only = format < Format::V31 && !is_marked(current) || current.entries().nth(1).is_none();
        let Some(target) = target_of(resolver, current, "$ref").filter(|_| only) else { break };
        name = name_of(current).or(name);
        current = target;
    }
    (current, name)
}

/// The last token of a schema's reference.
fn name_of(schema: Value<'_>) -> Option<String> {
    let reference = schema.get("$ref")?.as_str()?;
    let last = reference.rsplit(['/', '#']).find(|token| !token.is_empty())?;
    let whole_file = !reference.contains('#');
    let last = if whole_file { last.split('.').next().unwrap_or(last) } else { last };
    let decoded = percent_decode_str(last).decode_utf8_lossy().replace("~1", "/").replace("~0", "~");
    Some(decoded).filter(|name| name.len() <= LONGEST_WORD)
}

fn is_marked(schema: Value<'_>) -> bool {
    ["readOnly", "writeOnly"].into_iter().any(|mark| schema.get(mark).and_then(Value::as_bool) == Some(true))
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

/// What is kept of `xml` (3.0, 4.7.26; 3.2, 4.26).
const XML: [&str; 6] = ["name", "attribute", "wrapped", "namespace", "prefix", "nodeType"];

/// Schemas that are looked at for what a required property is.
const SIBLINGS: usize = 64;

/// Bytes of a pattern; no one reads a longer one, and compiling it costs time.
const LONGEST_PATTERN: usize = 2_000;

struct Bundler<'a, 't> {
    resolver: &'a mut Resolver<'t>,
    format: Format,
    direction: Direction,
    /// The definitions, by their number, with the names that they have.
    found: Vec<(Value<'t>, Option<String>)>,
    numbers: HashMap<(*const Tree, u32), usize>,
    /// The schemas whose `allOf` is being read.
    around: Vec<Value<'t>>,
    /// Values that the bundle may still have.
    left: usize,
    /// Values that examples and defaults may still have.
    shown: usize,
    whole: bool,
}

impl<'t> Bundler<'_, 't> {
    /// The number of the definition that a schema becomes; none if there are too many.
    fn number(&mut self, schema: Value<'t>, name: Option<String>) -> Option<usize> {
        let (schema, nearer) = behind_named(self.resolver, schema, self.format);
        let next = self.found.len();
        let key = (Arc::as_ptr(schema.tree()), schema.id());
        if let Some(known) = self.numbers.get(&key) {
            return Some(*known);
        }
        if next >= DEFINITIONS {
            return None;
        }
        self.numbers.insert(key, next);
        self.found.push((schema, nearer.or(name)));
        Some(next)
    }

    /// What a keyword of a schema refers to.
    fn target(&mut self, schema: Value<'t>, keyword: &str) -> Option<Value<'t>> {
        target_of(self.resolver, schema, keyword)
    }

    fn refer(&mut self, target: Value<'t>, name: Option<String>, out: &mut Map<String, Json>) {
        match self.number(target, name) {
            Some(number) => drop(out.insert("$ref".into(), to(number).into())),
            None => self.cut(out),
        }
    }

    fn cut(&mut self, out: &mut Map<String, Json>) {
        self.whole = false;
        out.insert(CUT.into(), true.into());
    }

    /// As deep as the tree, which the reader's limit bounds.
    fn schema(&mut self, schema: Value<'t>) -> Json {
        let mut out = Map::new();
        if !self.spend(1) {
            self.cut(&mut out);
            return out.into();
        }
        if let Some(all) = schema.as_bool() {
            return all.into();
        }
        let mark = match self.direction {
            Direction::Request => "readOnly",
            Direction::Response => "writeOnly",
        };
        // 3.0, 4.7.23: what stands beside a reference is ignored, and since 3.1 it counts. This one is
        // meant wherever it is written.
        if schema.get(mark).and_then(Value::as_bool) == Some(true) {
            out.insert(mark.into(), true.into());
        }
        if let Some(target) = self.target(schema, "$ref") {
            self.refer(target, name_of(schema), &mut out);
        }
        if schema.get("$ref").is_some() && self.format < Format::V31 {
            return out.into();
        }
        for (keyword, form) in KEYWORDS {
            let Some(value) = schema.get(keyword) else { continue };
            if keyword == "allOf" {
                self.around.push(schema);
            }
            match self.value(value, form) {
                Ok(Some(value)) => drop(out.insert(keyword.into(), value)),
                Ok(None) => {}
                Err(TooLarge) => self.cut(&mut out),
            }
            if keyword == "allOf" {
                self.around.pop();
            }
        }
        if self.others(schema, &mut out).is_err() {
            self.cut(&mut out);
        }
        self.nullable(schema, out, mark)
    }

    fn value(&mut self, value: Value<'t>, form: Form) -> Result<Option<Json>, TooLarge> {
        let number = || match value.kind() {
            Kind::Number(_) => Some(value.to_json()),
            _ => None,
        };
        Ok(match form {
            Form::Schema if value.is_mapping() || value.as_bool().is_some() => Some(self.schema(value)),
            Form::Schemas if value.items().next().is_some() => {
                let mut schemas = Vec::new();
                for item in value.items() {
                    self.pay(usize::from(self.left == 0))?;
                    schemas.push(self.schema(item));
                }
                Some(schemas.into())
            }
            Form::Named if value.is_mapping() => {
                let mut named = Map::new();
                for (key, value) in value.entries() {
                    self.pay(key.text().len() / 64 + usize::from(self.left == 0))?;
                    named.insert(key.text().to_owned(), self.schema(value));
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
        self.annotations(schema, out);
        if let Some(list) = schema.get("enum").filter(|list| list.items().next().is_some()) {
            out.insert("enum".into(), self.copy(list)?);
        }
        if let Some(names) = schema.get("required") {
            let names = self.required(schema, names)?;
            out.insert("required".into(), names.into());
        }
        let text = |keyword: &str| schema.get(keyword).and_then(Value::as_str);
        if let Some(pattern) = text("pattern").filter(|pattern| pattern.len() <= LONGEST_PATTERN) {
            self.pay(pattern.len() / 8)?;
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
            let mut reference = Map::new();
            self.refer(target, None, &mut reference);
            match out.get_mut("allOf").and_then(Json::as_array_mut) {
                Some(all) => all.push(reference.into()),
                None => drop(out.insert("allOf".into(), json!([reference]))),
            }
        }
        Ok(())
    }

    /// What constrains nothing, but shows an instance or says how it is written.
    fn annotations(&mut self, schema: Value<'t>, out: &mut Map<String, Json>) {
        for keyword in ["format", "contentEncoding", "contentMediaType"] {
            let word = schema.get(keyword).and_then(Value::as_str);
            if let Some(word) = word.filter(|word| word.len() <= LONGEST_WORD) {
                out.insert(keyword.into(), word.into());
            }
        }
        let first = schema.get("examples").and_then(|list| list.items().next());
        let shown =
            [("example", schema.get("example")), ("examples", first), ("default", schema.get("default"))];
        for (keyword, value) in shown {
            let Some(value) = value else { continue };
            let Some(size) = size_within(value, SHOWN.min(self.shown)) else { continue };
            self.shown -= size;
            let value = value.to_json();
            out.insert(keyword.into(), if keyword == "examples" { json!([value]) } else { value });
        }
        if let Some(xml) = schema.get("xml").filter(|xml| xml.is_mapping()) {
            let kept = XML.iter().filter_map(|keyword| {
                let value = xml.get(keyword)?;
                let is_word = value.as_str().is_some_and(|word| word.len() <= LONGEST_WORD);
                (is_word || value.as_bool().is_some()).then(|| ((*keyword).to_owned(), value.to_json()))
            });
            let kept: Map<String, Json> = kept.collect();
            out.insert("xml".into(), kept.into());
        }
        if let Some(discriminator) = schema.get("discriminator")
            && let Some(discriminator) = self.discriminator(schema, discriminator)
        {
            out.insert("discriminator".into(), discriminator);
        }
    }

    /// `{"propertyName": "kind", "mapping": {"cat": "#/$defs/1"}}`, of the schemas that are in the bundle by
    /// now: those that the alternatives refer to are, by their own names (3.1, 4.8.25), and what led here.
    fn discriminator(&mut self, schema: Value<'t>, discriminator: Value<'t>) -> Option<Json> {
        // Swagger 2.0 has the name alone.
        let name = discriminator.as_str().or_else(|| discriminator.get("propertyName")?.as_str())?;
        let mut mapping = Map::new();
        let mut known = HashSet::new();
        for (key, value) in discriminator.get("mapping").into_iter().flat_map(Value::entries) {
            if let Some(number) = self.mapped(value) {
                known.insert(number);
                mapping.insert(key.text().to_owned(), to(number).into());
            }
        }
        for keyword in ["oneOf", "anyOf"] {
            for branch in schema.get(keyword).into_iter().flat_map(Value::items) {
                let (Some(name), Some(target)) = (name_of(branch), self.target(branch, "$ref")) else {
                    continue;
                };
                if let Some(number) = self.known(target)
                    && known.insert(number)
                {
                    mapping.entry(name).or_insert_with(|| to(number).into());
                }
            }
        }
        self.spend(mapping.len());
        Some(json!({ "propertyName": name, "mapping": mapping }))
    }

    /// What one value of a mapping leads to: a reference, or a component's name.
    fn mapped(&mut self, value: Value<'t>) -> Option<usize> {
        let name = value.as_str()?;
        let root = value.tree().root();
        let components = root.get("components").and_then(|components| components.get("schemas"));
        let named = components.or_else(|| root.get("definitions")).and_then(|schemas| schemas.get(name));
        let target = match named {
            Some(schema) => schema,
            None if name.contains(['/', '#']) => self.resolver.target_of(value)?,
            None => return None,
        };
        self.known(target)
    }

    fn known(&mut self, schema: Value<'t>) -> Option<usize> {
        let schema = behind(self.resolver, schema, self.format);
        self.numbers.get(&(Arc::as_ptr(schema.tree()), schema.id())).copied()
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
        let flag = match self.direction {
            Direction::Request => "readOnly",
            Direction::Response => "writeOnly",
        };
        let siblings: Vec<Value<'t>> = self.siblings(schema);
        names.retain(|name| {
            let mut properties = siblings.iter().filter_map(|schema| schema.get("properties")?.get(name));
            !properties.any(|property| self.says(property, flag))
        });
        Ok(names)
    }

    /// A schema, those whose `allOf` it stands in, and those in any such `allOf`: one may say what the
    /// properties are that another asks for.
    fn siblings(&mut self, schema: Value<'t>) -> Vec<Value<'t>> {
        let mut found: Vec<Value<'t>> = self.around.iter().copied().chain([schema]).collect();
        let mut at = 0;
        while let Some(schema) = found.get(at).copied().filter(|_| found.len() < SIBLINGS) {
            let all = schema.get("allOf").into_iter().flat_map(Value::items).take(SIBLINGS);
            found.extend(self.target(schema, "$ref").into_iter().chain(all));
            at += 1;
        }
        found
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
            self.pay(1 + name.len() / 64)?;
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
        let reached = self.found.iter().take(100).map(|(schema, _)| *schema);
        reached.flat_map(|schema| own(schema).take(100)).find(is_it).or(Some(initial))
    }

    /// `nullable` of 3.0 and the `x-nullable` that stands for it in Swagger 2. As authors mean it: an
    /// `enum`, and what `allOf` refers to, need not list null again.
    fn nullable(&self, schema: Value<'t>, mut out: Map<String, Json>, mark: &str) -> Json {
        let flag = |keyword| schema.get(keyword).and_then(Value::as_bool) == Some(true);
        if self.format >= Format::V31 || !(flag("nullable") || flag("x-nullable")) {
            return out.into();
        }
        let plain =
            !["$ref", "allOf", "anyOf", "oneOf", "not", "const"].iter().any(|key| out.contains_key(*key));
        if !plain || !out.contains_key("type") && out.contains_key("enum") {
            let mut around = Map::new();
            for keyword in [mark, "example", "examples", "default", "xml"] {
                around.extend(out.remove(keyword).map(|value| (keyword.to_owned(), value)));
            }
            around.insert("anyOf".into(), json!([out, { "type": "null" }]));
            return around.into();
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
        self.pay(size_within(value, self.left).ok_or(TooLarge)?)?;
        Ok(value.to_json())
    }

    fn pay(&mut self, nodes: usize) -> Result<(), TooLarge> {
        if self.spend(nodes) { Ok(()) } else { Err(TooLarge) }
    }

    /// False, and nothing is left, where there is not as much.
    fn spend(&mut self, nodes: usize) -> bool {
        let left = self.left.checked_sub(nodes);
        self.left = left.unwrap_or(0);
        left.is_some()
    }
}

/// A part of a schema has more values than are left.
struct TooLarge;

/// How many values a value has, a long text counted as several; none where it is more than the limit.
fn size_within(value: Value<'_>, limit: usize) -> Option<usize> {
    let mut size: usize = 0;
    let mut open = vec![value];
    while let Some(value) = open.pop() {
        size += 1 + value.as_str().map_or(0, |text| text.len() / 64);
        if size > limit {
            return None;
        }
        let below = value.items().chain(value.entries().map(|(_, value)| value));
        // One more than there may be is enough to know.
        open.extend(below.take(limit + 1));
    }
    Some(size)
}

/// A cut schema allows everything. Keywords by which that would forbid something are taken away: what they
/// say is unknown.
fn allow_what_is_cut(definitions: &mut [Json]) {
    let mut cut: Vec<bool> = definitions.iter().map(|definition| reaches_cut(definition, &[])).collect();
    loop {
        let next: Vec<bool> = definitions.iter().map(|definition| reaches_cut(definition, &cut)).collect();
        if next == cut {
            break;
        }
        cut = next;
    }
    definitions.iter_mut().for_each(|definition| allow_below(definition, &cut));
}

/// Whether something is cut in a schema, or in what it refers to. As deep as the tree it comes from.
fn reaches_cut(schema: &Json, cut: &[bool]) -> bool {
    match schema {
        Json::Object(entries) => {
            entries.contains_key(CUT)
                || number_of(schema).is_some_and(|number| cut.get(number) == Some(&true))
                || entries.values().any(|below| reaches_cut(below, cut))
        }
        Json::Array(items) => items.iter().any(|item| reaches_cut(item, cut)),
        _ => false,
    }
}

fn allow_below(schema: &mut Json, cut: &[bool]) {
    if !reaches_cut(schema, cut) {
        return;
    }
    if let Json::Array(items) = schema {
        items.iter_mut().for_each(|item| allow_below(item, cut));
    }
    let Json::Object(entries) = schema else { return };
    let is_cut = |entries: &Map<String, Json>, keyword: &str| {
        entries.get(keyword).is_some_and(|below| reaches_cut(below, cut))
    };
    for keyword in ["not", "if", "unevaluatedItems", "unevaluatedProperties"] {
        // What is evaluated depends on all of the schema.
        if keyword.starts_with("unevaluated") || is_cut(entries, keyword) {
            entries.remove(keyword);
        }
    }
    if is_cut(entries, "contains") {
        entries.remove("maxContains");
    }
    if is_cut(entries, "oneOf")
        && let Some(branches) = entries.remove("oneOf")
        && !entries.contains_key("anyOf")
    {
        entries.insert("anyOf".into(), branches);
    }
    entries.values_mut().for_each(|below| allow_below(below, cut));
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

    fn bundled(format: Format, direction: Direction, text: String) -> Bundle {
        let (tree, _) = Tree::parse("/t.yaml", text, &Default::default()).expect("the text is YAML");
        let (other, _) =
            Tree::parse("/o.yaml", "T: {type: string}".into(), &Default::default()).expect("YAML");
        let trees = Trees::from([("/t.yaml".into(), tree.clone()), ("/o.yaml".into(), other)]);
        let root = trees.get("/t.yaml").expect("it is there").root();
        bundle(&mut Resolver::new(&trees, "/t.yaml"), root.get("S").expect("a schema"), format, direction)
    }

    /// `text` has the schema under `S`; expected are the definitions, in which `$comment` is left out.
    #[track_caller]
    fn check(format: Format, text: &str, expected: Json) {
        let Bundle { json, whole } = bundled(format, Direction::Response, text.into());
        assert!(whole);
        assert_eq!(json["$ref"], "#/$defs/0");
        assert_eq!(definitions(json), expected);
    }

    fn definitions(mut bundle: Json) -> Json {
        let definitions = bundle["$defs"].as_object_mut().expect("definitions");
        let bare = |definition: &mut Json| {
            definition.as_object_mut().map(|definition| definition.remove("$comment"));
            definition.take()
        };
        definitions.values_mut().map(bare).collect()
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
            json!([{"anyOf": [{"allOf": [{"$ref": "#/$defs/1"}]}, {"type": "null"}]}, {"type": ["object"]}]),
        );
        check(Format::V31, "S: {type: string, nullable: true}", json!([{"type": ["string"]}]));
        check(Format::V2, "S: {type: string, x-nullable: true}", json!([{"type": ["string", "null"]}]));
        check(Format::V2, "S: {type: file}", json!([{}]));
    }

    #[test]
    fn what_constrains_nothing_and_what_is_malformed_is_left_out() {
        check(
            Format::V31,
            "S: {title: t, description: d, discriminator: {mapping: {}}, xml: x, deprecated: true, required: true, minLength: -1, maxLength: x, \
             multipleOf: 0, type: any, enum: [], format: 1, allOf: [], properties: 1, items: [{type: string}]}",
            json!([{"required": [], "prefixItems": [{"type": ["string"]}]}]),
        );
        check(Format::V31, "S: {type: [string, 'null', string], format: own}", json!([{"format": "own"}]));
        check(Format::V31, "S: {properties: {a: true, b: }}", json!([{"properties": {"a": true, "b": {}}}]));
    }

    #[test]
    fn read_only_properties_are_asked_for_in_responses_only() {
        let text = "S: {required: [a, b, c], properties: {a: {readOnly: true}, b: {writeOnly: true}, c: {$ref: '#/C'}}}\nC: {readOnly: true}";
        let required =
            |direction| bundled(Format::V31, direction, text.into()).json["$defs"]["0"]["required"].clone();
        assert_eq!(required(Direction::Request), json!(["b"]));
        assert_eq!(required(Direction::Response), json!(["a", "c"]));
    }

    #[test]
    fn what_an_all_of_asks_for_may_be_marked_beside_it() {
        check(
            Format::V30,
            "S: {allOf: [{$ref: '#/A'}, {required: [a, b]}], required: [a]}\nA: {properties: {a: {writeOnly: true}}}",
            json!([
                {"allOf": [{"$ref": "#/$defs/1"}, {"required": ["b"]}], "required": []},
                {"properties": {"a": {"writeOnly": true}}},
            ]),
        );
    }

    #[test]
    fn marks_are_kept_for_the_way_that_they_forbid() {
        let text = "S: {properties: {a: {readOnly: true}, b: {$ref: '#/A', writeOnly: true}, c: {$ref: '#/A'}}}\nA: {}";
        let marks =
            |direction| bundled(Format::V30, direction, text.into()).json["$defs"]["0"]["properties"].clone();
        let a = json!({"$ref": "#/$defs/1"});
        assert_eq!(marks(Direction::Request), json!({"a": {"readOnly": true}, "b": a, "c": a}));
        let marked = json!({"$ref": "#/$defs/1", "writeOnly": true});
        assert_eq!(marks(Direction::Response), json!({"a": {}, "b": marked, "c": a}));
    }

    #[test]
    fn what_shows_an_instance_is_kept() {
        check(
            Format::V31,
            "S: {example: {a: 1}, examples: [1, 2], default: null, format: int64, contentEncoding: base64, \
             contentMediaType: image/png, xml: {name: n, wrapped: true, prefix: [], x: y}}",
            json!([{
                "example": {"a": 1}, "examples": [1], "default": null, "format": "int64",
                "contentEncoding": "base64", "contentMediaType": "image/png", "xml": {"name": "n", "wrapped": true},
            }]),
        );
        let large = format!("S: {{example: [{}], type: array}}", "1,".repeat(SHOWN));
        check(Format::V31, &large, json!([{"type": ["array"]}]));
        check(
            Format::V30,
            "S: {nullable: true, example: 1, xml: {name: n}, allOf: [{}]}",
            json!([{"anyOf": [{"allOf": [{}]}, {"type": "null"}], "example": 1, "xml": {"name": "n"}}]),
        );
    }

    #[test]
    fn definitions_have_the_names_by_which_they_were_referred_to() {
        let text = "S: {properties: {a: {$ref: '#/D/A~1%20b'}, b: {$ref: 'o.yaml'}, c: {$ref: '#/D/C'}}}\n\
                    D: {A/ b: {}, C: {$ref: '#/D/A~1%20b'}}";
        let bundle = bundled(Format::V30, Direction::Response, text.into());
        let names = ["0", "1", "2"].map(|number| bundle.json["$defs"][number]["$comment"].clone());
        assert_eq!(names, [Json::Null, json!("A/ b"), json!("o")]);
    }

    #[test]
    fn discriminators_lead_to_definitions() {
        check(
            Format::V30,
            "S: {oneOf: [{$ref: '#/components/schemas/A'}, {$ref: '#/components/schemas/B'}], \
             discriminator: {propertyName: k, mapping: {a: A, x: none, y: '#/C'}}}\n\
             components: {schemas: {A: {type: object}, B: {}}}\nC: {}",
            json!([
                {
                    "oneOf": [{"$ref": "#/$defs/1"}, {"$ref": "#/$defs/2"}],
                    "discriminator": {"propertyName": "k", "mapping": {"a": "#/$defs/1", "B": "#/$defs/2"}},
                },
                {"type": ["object"]},
                {},
            ]),
        );
        check(
            Format::V2,
            "S: {discriminator: k}",
            json!([{"discriminator": {"propertyName": "k", "mapping": {}}}]),
        );
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
    fn check_cut(text: String) -> Json {
        let started = std::time::Instant::now();
        let Bundle { json, whole } = bundled(Format::V31, Direction::Request, text);
        assert!(!whole);
        assert!(started.elapsed() < std::time::Duration::from_secs(20), "{:?}", started.elapsed());
        definitions(json)
    }

    #[test]
    fn what_is_too_large_is_cut() {
        check_cut(format!("S: {{enum: [{}]}}", "1,".repeat(100_000)));
        check_cut(format!("S: {{enum: ['{}']}}", "x".repeat(10 << 20)));
        check_cut(format!("S: {{required: [{}]}}", "a,".repeat(100_000)));
        check_cut(format!("S: {{allOf: [{}]}}", "{},".repeat(100_000)));
        let chain: String =
            (0..3000).map(|n| format!("A{n}: {{items: {{$ref: '#/A{}'}}}}\n", n + 1)).collect();
        let definitions = check_cut(format!("S: {{$ref: '#/A0'}}\n{chain}"));
        assert_eq!(definitions.as_array().map(Vec::len), Some(DEFINITIONS));
        assert_eq!(definitions[DEFINITIONS - 1], json!({"items": {"x-standin-cut": true}}));
        let aliases: String =
            (1..17).map(|n| format!("A{n}: &a{n} {{allOf: [*a{0}, *a{0}]}}\n", n - 1)).collect();
        check_cut(format!("A0: &a0 {{}}\n{aliases}S: *a16"));
    }

    #[test]
    fn what_is_cut_forbids_nothing() {
        let cut = json!({"x-standin-cut": true});
        let mut definitions = [
            json!({
                "not": {"items": {"$ref": "#/$defs/1"}}, "if": {"$ref": "#/$defs/1"}, "then": {}, "maxContains": 1,
                "oneOf": [{"$ref": "#/$defs/1"}], "contains": {"$ref": "#/$defs/1"}, "unevaluatedItems": false,
                "properties": {"a": {"oneOf": [{}]}},
            }),
            json!({"properties": {"a": cut}}),
            json!({"not": {}}),
        ];
        allow_what_is_cut(&mut definitions);
        assert_eq!(
            definitions,
            [
                json!({
                    "then": {}, "anyOf": [{"$ref": "#/$defs/1"}], "contains": {"$ref": "#/$defs/1"},
                    "properties": {"a": {"oneOf": [{}]}},
                }),
                json!({"properties": {"a": cut}}),
                json!({"not": {}}),
            ]
        );
    }
}
