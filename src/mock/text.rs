//! Texts as JSON: what a value of a request stands for, by what its schema allows.

use std::borrow::Cow;
use std::collections::HashMap;
use std::rc::Rc;

use serde_json::{Map, Number, Value as Json};

use super::style::Shape;

/// Schemas that look at one value, and at most.
const MOST: usize = 64;

/// Names inside each other that are looked at: `a[b][c]`.
const DEEPEST: usize = 16;

/// The types that a value may be of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kinds(u8);

/// Which of its types a text is taken for, if there are several.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Taken {
    /// A number, a boolean or null, if it reads as one.
    AsTyped,
    AsText,
}

/// What is said of one value of an instance.
#[derive(Debug, Clone)]
pub struct View<'b> {
    bundle: &'b Json,
    kinds: Kinds,
    /// The schemas that look at it, or may.
    schemas: Vec<&'b Map<String, Json>>,
}

impl Kinds {
    pub const NONE: Kinds = Kinds(0);
    pub const NULL: Kinds = Kinds(1);
    pub const BOOLEAN: Kinds = Kinds(2);
    pub const NUMBER: Kinds = Kinds(4);
    pub const STRING: Kinds = Kinds(8);
    pub const ARRAY: Kinds = Kinds(16);
    pub const OBJECT: Kinds = Kinds(32);
    pub const ALL: Kinds = Kinds(63);
    const SCALAR: Kinds = Kinds(15);

    /// What a bundle's instances may be.
    pub fn of(bundle: &Json) -> Kinds {
        kinds(bundle, bundle, &mut MOST.clone())
    }

    pub fn has(self, kinds: Kinds) -> bool {
        self.0 & kinds.0 != 0
    }

    /// The forms that a value may be written in, the likeliest first.
    pub fn shapes(self) -> impl Iterator<Item = Shape> {
        let shapes =
            [(Kinds::SCALAR, Shape::Scalar), (Kinds::ARRAY, Shape::Array), (Kinds::OBJECT, Shape::Object)];
        // Nothing may be what it allows; it is read all the same.
        let own = if self == Kinds::NONE { Kinds::SCALAR } else { self };
        shapes.into_iter().filter(move |(kinds, _)| own.has(*kinds)).map(|(_, shape)| shape)
    }

    fn of_word(word: &str) -> Kinds {
        match word {
            "null" => Kinds::NULL,
            "boolean" => Kinds::BOOLEAN,
            "number" | "integer" => Kinds::NUMBER,
            "string" => Kinds::STRING,
            "array" => Kinds::ARRAY,
            "object" => Kinds::OBJECT,
            _ => Kinds::ALL,
        }
    }

    fn of_value(value: &Json) -> Kinds {
        match value {
            Json::Null => Kinds::NULL,
            Json::Bool(_) => Kinds::BOOLEAN,
            Json::Number(_) => Kinds::NUMBER,
            Json::String(_) => Kinds::STRING,
            Json::Array(_) => Kinds::ARRAY,
            Json::Object(_) => Kinds::OBJECT,
        }
    }

    fn and(self, other: Kinds) -> Kinds {
        Kinds(self.0 & other.0)
    }

    fn or(self, other: Kinds) -> Kinds {
        Kinds(self.0 | other.0)
    }

    /// A text as a value of one of these types; as a string, if it reads as none of them.
    pub fn read(self, text: &str, taken: Taken) -> Json {
        if taken == Taken::AsText && self.has(Kinds::STRING) {
            return text.into();
        }
        let null = text == "null" || text.is_empty() && !self.has(Kinds::STRING);
        match text {
            "true" | "false" if self.has(Kinds::BOOLEAN) => Json::Bool(text == "true"),
            _ if null && self.has(Kinds::NULL) => Json::Null,
            _ if self.has(Kinds::NUMBER) => text.parse::<Number>().map_or_else(|_| text.into(), Json::Number),
            _ => text.into(),
        }
    }
}

/// Views by the schemas that they begin with: many names of one message lead to the same.
struct Views<'b> {
    bundle: &'b Json,
    known: HashMap<Vec<*const Json>, Rc<View<'b>>>,
    /// What a view's properties are that it does not describe by name.
    others: HashMap<*const View<'b>, Rc<View<'b>>>,
}

impl<'b> Views<'b> {
    fn of(&mut self, from: Vec<&'b Json>) -> Rc<View<'b>> {
        let key = from.iter().map(|schema| std::ptr::from_ref(*schema)).collect();
        let bundle = self.bundle;
        self.known.entry(key).or_insert_with(|| Rc::new(View::at(bundle, from))).clone()
    }

    fn property(&mut self, view: &View<'b>, name: &str) -> Rc<View<'b>> {
        let described: Vec<_> = view.properties().filter_map(|properties| properties.get(name)).collect();
        if !described.is_empty() {
            return self.of(described);
        }
        if let Some(known) = self.others.get(&std::ptr::from_ref(view)) {
            return known.clone();
        }
        let said = view.schemas.iter().filter_map(|schema| schema.get("additionalProperties"));
        let others = self.of(said.collect());
        self.others.insert(view, others.clone());
        others
    }
}

/// A text below a value: the names that lead to it from the top, how many of them lead to the value, and
/// itself.
type Below<'r> = (Vec<String>, usize, Cow<'r, str>);

/// A bundle has no circle without a step into the instance, so that this ends; `left` bounds repeats.
fn kinds(bundle: &Json, schema: &Json, left: &mut usize) -> Kinds {
    let Some(schema) = schema.as_object() else {
        return if schema == &Json::Bool(false) { Kinds::NONE } else { Kinds::ALL };
    };
    if *left == 0 {
        return Kinds::ALL;
    }
    *left -= 1;
    let mut found = Kinds::ALL;
    let any = |kinds: &mut dyn Iterator<Item = Kinds>| kinds.fold(Kinds::NONE, Kinds::or);
    for (keyword, said) in schema {
        let mut list = said.as_array().into_iter().flatten();
        let own = match keyword.as_str() {
            "type" => match said.as_str() {
                Some(word) => Kinds::of_word(word),
                None => any(&mut list.filter_map(Json::as_str).map(Kinds::of_word)),
            },
            "enum" => any(&mut list.map(Kinds::of_value)),
            "const" => Kinds::of_value(said),
            "$ref" => target(bundle, said).map_or(Kinds::ALL, |target| kinds(bundle, target, left)),
            "allOf" => list.fold(Kinds::ALL, |all, schema| all.and(kinds(bundle, schema, left))),
            "anyOf" | "oneOf" => {
                list.by_ref().fold(Kinds::NONE, |any, schema| any.or(kinds(bundle, schema, left)))
            }
            _ => Kinds::ALL,
        };
        found = found.and(own);
    }
    found
}

fn target<'b>(bundle: &'b Json, reference: &Json) -> Option<&'b Json> {
    bundle.pointer(reference.as_str()?.strip_prefix('#')?)
}

impl<'b> View<'b> {
    pub fn of(bundle: &'b Json) -> View<'b> {
        View::at(bundle, vec![bundle])
    }

    fn at(bundle: &'b Json, from: Vec<&'b Json>) -> View<'b> {
        let own = |schema: &&Json| kinds(bundle, schema, &mut MOST.clone());
        let allowed = from.iter().map(own).fold(Kinds::NONE, Kinds::or);
        let kinds = if from.is_empty() { Kinds::ALL } else { allowed };
        let mut schemas = Vec::new();
        let mut open = from;
        while let Some(schema) = open.pop().filter(|_| schemas.len() < MOST) {
            let Some(schema) = schema.as_object() else { continue };
            schemas.push(schema);
            open.extend(schema.get("$ref").and_then(|reference| target(bundle, reference)));
            for keyword in ["allOf", "anyOf", "oneOf"] {
                open.extend(schema.get(keyword).and_then(Json::as_array).into_iter().flatten());
            }
            for keyword in ["then", "else"] {
                open.extend(schema.get(keyword));
            }
        }
        View { bundle, kinds, schemas }
    }

    /// Whether a property of this name is described.
    pub fn names(&self, name: &str) -> bool {
        self.properties().any(|properties| properties.contains_key(name))
    }

    /// Whether an object may have properties that are not described by name.
    pub fn is_open(&self) -> bool {
        let says = |keyword: &str| {
            self.schemas
                .iter()
                .any(|schema| schema.get(keyword).is_some_and(|said| said != &Json::Bool(false)))
        };
        says("additionalProperties") || says("patternProperties") || self.properties().next().is_none()
    }

    fn properties(&self) -> impl Iterator<Item = &'b Map<String, Json>> {
        self.schemas.iter().filter_map(|schema| schema.get("properties")?.as_object())
    }

    fn item(&self, at: usize) -> Vec<&'b Json> {
        let of = |schema: &&'b Map<String, Json>| {
            let listed = schema.get("prefixItems").and_then(|listed| listed.get(at));
            listed.or_else(|| schema.get("items"))
        };
        self.schemas.iter().filter_map(of).collect()
    }

    fn views(&self) -> Views<'b> {
        Views { bundle: self.bundle, known: HashMap::new(), others: HashMap::new() }
    }

    pub fn items<'r>(&self, texts: impl Iterator<Item = Cow<'r, str>>, taken: Taken) -> Json {
        let mut views = self.views();
        let listed = self.schemas.iter().any(|schema| schema.contains_key("prefixItems"));
        let all = views.of(self.item(usize::MAX)).kinds;
        let item = |(at, text): (usize, Cow<'_, str>)| {
            let own = if listed { views.of(self.item(at)).kinds } else { all };
            own.read(&text, taken)
        };
        texts.enumerate().map(item).collect()
    }

    /// An object of fields. A name with brackets is one inside another: `a[b]`, unless it is itself
    /// described.
    pub fn fields<'r>(
        &self,
        fields: impl Iterator<Item = (Cow<'r, str>, Cow<'r, str>)>,
        taken: Taken,
    ) -> Json {
        let path = |name: Cow<'r, str>| match self.names(&name) {
            true => vec![name.into_owned()],
            false => segments(&name),
        };
        let texts: Vec<_> = fields.map(|(name, text)| (path(name), 0, text)).collect();
        if texts.is_empty() {
            return Json::Object(Default::default());
        }
        self.tree(texts, taken, 0, &mut self.views())
    }

    /// A value of the texts that are below it, each with its path, of which so many parts lead here.
    fn tree(&self, texts: Vec<Below<'_>>, taken: Taken, depth: usize, views: &mut Views<'b>) -> Json {
        if texts.iter().all(|(path, at, _)| path.len() == *at) {
            return self.leaf(texts.into_iter().map(|(_, _, text)| text).collect(), taken);
        }
        let is_number = |name: &str| name.bytes().all(|byte| byte.is_ascii_digit());
        let numbered = texts.iter().all(|(path, at, _)| path.get(*at).is_some_and(|name| is_number(name)));
        let as_list = depth > 0 && numbered && self.kinds.has(Kinds::ARRAY) && !self.kinds.has(Kinds::OBJECT);
        let mut order: Vec<(String, Vec<Below<'_>>)> = Vec::new();
        let mut known: HashMap<String, usize> = HashMap::new();
        for (path, at, text) in texts {
            let name = path.get(at).cloned().unwrap_or_default();
            // `a[]=1&a[]=2` has two items.
            let own = as_list && name.is_empty();
            let slot = if own { order.len() } else { *known.entry(name.clone()).or_insert(order.len()) };
            if slot == order.len() {
                order.push((name, Vec::new()));
            }
            let at = path.len().min(at + 1);
            order[slot].1.push((path, at, text));
        }
        if as_list {
            let items = order.into_iter().enumerate();
            let item = |(at, (_, texts))| views.of(self.item(at)).tree(texts, taken, depth + 1, views);
            return items.map(item).collect();
        }
        let fields = order.into_iter().map(|(name, texts)| {
            let value = views.property(self, &name).tree(texts, taken, depth + 1, views);
            (name, value)
        });
        Json::Object(fields.collect())
    }

    /// The texts that stand under one name.
    fn leaf(&self, texts: Vec<Cow<'_, str>>, taken: Taken) -> Json {
        let scalar = self.kinds.has(Kinds::SCALAR);
        match &texts[..] {
            [] => Json::Null,
            [only] => {
                // OpenAPI 3.0, 4.7.14.3: what is no scalar is written as JSON in a form.
                let nested = only.starts_with(['{', '[']) && !scalar;
                let read = nested.then(|| serde_json::from_str(only).ok()).flatten();
                match read {
                    Some(json) => json,
                    None if !scalar && self.kinds.has(Kinds::ARRAY) => self.items(texts.into_iter(), taken),
                    None => self.kinds.read(only, taken),
                }
            }
            _ => self.items(texts.into_iter(), taken),
        }
    }
}

/// `a[b][]` is `a`, `b` and an empty name.
fn segments(name: &str) -> Vec<String> {
    let Some((first, rest)) = name.split_once('[').filter(|(first, _)| !first.is_empty()) else {
        return vec![name.to_owned()];
    };
    let Some(rest) = rest.strip_suffix(']') else { return vec![name.to_owned()] };
    std::iter::once(first).chain(rest.splitn(DEEPEST, "][")).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[track_caller]
    fn check(schema: Json, text: &str, typed: Json, as_text: Json) {
        let kinds = Kinds::of(&json!({ "$ref": "#/$defs/0", "$defs": { "0": schema } }));
        assert_eq!((kinds.read(text, Taken::AsTyped), kinds.read(text, Taken::AsText)), (typed, as_text));
    }

    #[test]
    fn a_text_is_what_its_schema_allows() {
        check(json!({"type": ["integer"]}), "20", json!(20), json!(20));
        check(json!({"type": ["integer"]}), "x", json!("x"), json!("x"));
        check(json!({"type": ["integer"]}), "", json!(""), json!(""));
        check(json!({"type": ["string"]}), "20", json!("20"), json!("20"));
        check(json!({"type": ["string", "number"]}), "20", json!(20), json!("20"));
        check(json!({"type": ["boolean"]}), "true", json!(true), json!(true));
        check(json!({"type": ["integer", "null"]}), "", Json::Null, Json::Null);
        check(json!({"enum": [1, 2]}), "1", json!(1), json!(1));
        check(json!({"const": "1"}), "1", json!("1"), json!("1"));
        check(
            json!({"allOf": [{"type": ["integer", "string"]}, {"type": ["string"]}]}),
            "1",
            json!("1"),
            json!("1"),
        );
        check(json!({}), "1", json!(1), json!("1"));
    }

    #[track_caller]
    fn check_fields(schema: Json, query: &str, expected: Json) {
        let bundle = json!({ "$ref": "#/$defs/0", "$defs": { "0": schema } });
        let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
        let pairs = pairs.map(|(name, text)| (Cow::Borrowed(name), Cow::Borrowed(text)));
        assert_eq!(View::of(&bundle).fields(pairs, Taken::AsTyped), expected);
    }

    #[test]
    fn names_inside_each_other_are_read_soon() {
        let branch = |n: usize| json!({"properties": {format!("k{n}"): {}}, "additionalProperties": {"$ref": "#/$defs/0"}});
        let definition = json!({"oneOf": (0..30).map(branch).collect::<Vec<_>>()});
        let bundle = json!({ "$ref": "#/$defs/0", "$defs": { "0": definition } });
        let names: Vec<_> = (0..2_000).map(|n| format!("a{}", format!("[{n}]").repeat(DEEPEST))).collect();
        let pairs = names.iter().map(|name| (Cow::Borrowed(&**name), Cow::Borrowed("1")));
        let started = std::time::Instant::now();
        View::of(&bundle).fields(pairs, Taken::AsTyped);
        // A tenth of it on an idle machine; twice of it if each name is looked at anew.
        assert!(started.elapsed().as_secs() < 7, "{:?}", started.elapsed());
    }

    #[test]
    fn fields_are_an_object_by_its_schema() {
        let numbers = json!({"type": ["array"], "items": {"type": ["integer"]}});
        check_fields(json!({"properties": {"a": numbers}}), "a=1&a=2", json!({"a": [1, 2]}));
        check_fields(json!({"properties": {"a": numbers}}), "a=1", json!({"a": [1]}));
        check_fields(json!({"properties": {"a": numbers}}), "a=[1,2]", json!({"a": [1, 2]}));
        check_fields(json!({"properties": {"a": numbers}}), "a[]=1&a[]=2", json!({"a": [1, 2]}));
        check_fields(json!({"properties": {"a": numbers}}), "a[0]=1&a[1]=2", json!({"a": [1, 2]}));
        check_fields(json!({"properties": {"a[b]": {"type": ["integer"]}}}), "a[b]=1", json!({"a[b]": 1}));
        check_fields(json!({"additionalProperties": {"type": ["string"]}}), "a[b]=1", json!({"a": {"b": 1}}));
        check_fields(json!({"properties": {"a": {"type": ["object"]}}}), "a={}", json!({"a": {}}));
        check_fields(json!({"properties": {"a": {"type": ["string"]}}}), "a={}", json!({"a": "{}"}));
        let deep = format!("a{}=1", "[a]".repeat(1000));
        check_fields(json!({"properties": {"a": {"type": ["object"]}}}), "x=1", json!({"x": 1}));
        assert_eq!(segments(deep.split_once('=').map_or("", |(name, _)| name)).len(), DEEPEST + 1);
    }
}
