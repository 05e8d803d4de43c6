//! What a value has to be where several schemas hold at once: `allOf`, references and the branch that was
//! taken, in one.

use serde_json::{Map, Value as Json};

use super::number::Bounds;
use super::pattern::Pattern;

/// Kinds of values, as bits. An integer is a number without a fraction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Types(u8);

impl Types {
    pub const NULL: Types = Types(1);
    pub const BOOLEAN: Types = Types(2);
    pub const OBJECT: Types = Types(4);
    pub const ARRAY: Types = Types(8);
    pub const INTEGER: Types = Types(16);
    pub const FRACTION: Types = Types(32);
    pub const STRING: Types = Types(64);
    pub const NONE: Types = Types(0);
    pub const ANY: Types = Types(127);

    /// By the name that a schema gives.
    pub fn named(name: &str) -> Types {
        match name {
            "null" => Types::NULL,
            "boolean" => Types::BOOLEAN,
            "object" => Types::OBJECT,
            "array" => Types::ARRAY,
            "integer" => Types::INTEGER,
            "number" => Types::INTEGER.or(Types::FRACTION),
            "string" => Types::STRING,
            _ => Types::NONE,
        }
    }

    pub fn of(value: &Json) -> Types {
        match value {
            Json::Null => Types::NULL,
            Json::Bool(_) => Types::BOOLEAN,
            Json::Object(_) => Types::OBJECT,
            Json::Array(_) => Types::ARRAY,
            Json::String(_) => Types::STRING,
            Json::Number(number) if number.as_f64().is_some_and(|number| number.fract() == 0.0) => {
                Types::INTEGER
            }
            Json::Number(_) => Types::FRACTION,
        }
    }

    /// Of the keyword `type`, all if there is none.
    pub fn of_schema(schema: &Json) -> Types {
        match schema.get("type") {
            Some(Json::String(name)) => Types::named(name),
            Some(Json::Array(names)) => {
                let names = names.iter().filter_map(Json::as_str);
                names.fold(Types::NONE, |types, name| types.or(Types::named(name)))
            }
            _ => Types::ANY,
        }
    }

    pub fn or(self, other: Types) -> Types {
        Types(self.0 | other.0)
    }

    pub fn and(self, other: Types) -> Types {
        Types(self.0 & other.0)
    }

    pub fn without(self, other: Types) -> Types {
        Types(self.0 & !other.0)
    }

    pub fn has(self, other: Types) -> bool {
        self.0 & other.0 != 0
    }

    pub fn is_none(self) -> bool {
        self.0 == 0
    }
}

/// A `oneOf` or an `anyOf`.
#[derive(Debug, Clone, Copy)]
pub struct Branches<'b> {
    /// The schema that has it.
    pub of: &'b Map<String, Json>,
    pub all: &'b [Json],
    /// None of the others may hold.
    pub exactly_one: bool,
}

#[derive(Debug)]
pub struct Shape<'b> {
    pub types: Types,
    /// In the order in which a schema lists them.
    pub listed: Option<&'b [Json]>,
    /// Where one of each has to be taken.
    pub enums: Vec<&'b [Json]>,
    pub examples: Vec<&'b Json>,
    pub defaults: Vec<&'b Json>,
    pub bounds: Bounds,
    pub least_length: usize,
    pub most_length: usize,
    pub patterns: Vec<&'b str>,
    pub format: Option<&'b str>,
    pub encoding: Option<&'b str>,
    pub media: Option<&'b str>,
    pub least_items: usize,
    pub most_items: usize,
    pub unique: bool,
    pub least_properties: usize,
    pub most_properties: usize,
    /// The schemas that hold, those that look at parts of the value among them.
    pub parts: Vec<&'b Map<String, Json>>,
    pub required: Vec<&'b str>,
    /// Properties that may not be there.
    pub forbidden: Vec<&'b str>,
    /// Properties that are there as something that these schemas do not allow.
    pub strange: Vec<(&'b str, &'b Json)>,
    /// Branches that are still to be taken.
    pub branches: Vec<Branches<'b>>,
    /// Schemas with an `if`.
    pub conditions: Vec<&'b Map<String, Json>>,
    /// Schemas that may not hold.
    pub nots: Vec<&'b Json>,
    /// The definitions that hold, in the order in which they were reached.
    pub definitions: Vec<usize>,
    /// A property whose value is settled, as that of a discriminator.
    pub pins: Vec<(&'b str, &'b str)>,
    /// Nothing can be there: a `false`, or what its direction forbids.
    pub never: bool,
    pub marked: bool,
    /// Not all is known of it.
    pub cut: bool,
}

impl<'b> Shape<'b> {
    fn any() -> Self {
        Shape {
            types: Types::ANY,
            listed: None,
            enums: Vec::new(),
            examples: Vec::new(),
            defaults: Vec::new(),
            bounds: Bounds::default(),
            least_length: 0,
            most_length: usize::MAX,
            patterns: Vec::new(),
            format: None,
            encoding: None,
            media: None,
            least_items: 0,
            most_items: usize::MAX,
            unique: false,
            least_properties: 0,
            most_properties: usize::MAX,
            parts: Vec::new(),
            required: Vec::new(),
            forbidden: Vec::new(),
            strange: Vec::new(),
            branches: Vec::new(),
            conditions: Vec::new(),
            nots: Vec::new(),
            definitions: Vec::new(),
            pins: Vec::new(),
            never: false,
            marked: false,
            cut: false,
        }
    }

    /// What holds where all of these hold, but for branches and conditions, of which one is to be taken.
    pub fn of(bundle: &'b Json, schemas: &[&'b Json]) -> Self {
        let mut shape = Shape::any();
        schemas.iter().for_each(|schema| shape.add(bundle, schema));
        shape
    }

    pub fn add(&mut self, bundle: &'b Json, schema: &'b Json) {
        let mut open = vec![schema];
        while let Some(schema) = open.pop() {
            match schema {
                Json::Object(schema) => self.part(bundle, schema, &mut open),
                Json::Bool(false) => self.never = true,
                _ => {}
            }
        }
    }

    fn part(&mut self, bundle: &'b Json, schema: &'b Map<String, Json>, open: &mut Vec<&'b Json>) {
        let from = open.len();
        for (keyword, value) in schema {
            let count = || value.as_u64().and_then(|count| usize::try_from(count).ok());
            match keyword.as_str() {
                "$ref" => {
                    let Some((number, definition)) = definition(bundle, value) else { continue };
                    if !self.definitions.contains(&number) {
                        self.definitions.push(number);
                        open.push(definition);
                    }
                }
                "allOf" => open.extend(value.as_array().into_iter().flatten()),
                "oneOf" | "anyOf" => {
                    let all = value.as_array().map_or(&[][..], Vec::as_slice);
                    self.branches.push(Branches { of: schema, all, exactly_one: keyword == "oneOf" });
                }
                "if" => self.conditions.push(schema),
                "not" => self.forbid(value),
                "type" => {
                    let types = match value {
                        Json::String(name) => Types::named(name),
                        Json::Array(names) => {
                            self.listed.get_or_insert(names);
                            let names = names.iter().filter_map(Json::as_str);
                            names.fold(Types::NONE, |types, name| types.or(Types::named(name)))
                        }
                        _ => Types::ANY,
                    };
                    self.types = self.types.and(types);
                }
                "enum" => self.enums.push(value.as_array().map_or(&[], Vec::as_slice)),
                "const" => self.enums.push(std::slice::from_ref(value)),
                "example" => self.examples.push(value),
                "examples" => self.examples.extend(value.as_array().and_then(|list| list.first())),
                "default" => self.defaults.push(value),
                "minimum" => self.bounds.at_least(value, false),
                "maximum" => self.bounds.at_most(value, false),
                "exclusiveMinimum" => self.bounds.at_least(value, true),
                "exclusiveMaximum" => self.bounds.at_most(value, true),
                "multipleOf" => self.bounds.multiple_of(value),
                "minLength" => self.least_length = self.least_length.max(count().unwrap_or(0)),
                "maxLength" => self.most_length = self.most_length.min(count().unwrap_or(usize::MAX)),
                "pattern" => self.patterns.extend(value.as_str()),
                "format" => self.format = self.format.or(value.as_str()),
                "contentEncoding" => self.encoding = self.encoding.or(value.as_str()),
                "contentMediaType" => self.media = self.media.or(value.as_str()),
                "minItems" => self.least_items = self.least_items.max(count().unwrap_or(0)),
                "maxItems" => self.most_items = self.most_items.min(count().unwrap_or(usize::MAX)),
                "uniqueItems" => self.unique |= value.as_bool() == Some(true),
                "minProperties" => self.least_properties = self.least_properties.max(count().unwrap_or(0)),
                "maxProperties" => {
                    self.most_properties = self.most_properties.min(count().unwrap_or(usize::MAX));
                }
                "required" => {
                    let names = value.as_array().into_iter().flatten().filter_map(Json::as_str);
                    for name in names {
                        if !self.required.contains(&name) {
                            self.required.push(name);
                        }
                    }
                }
                "readOnly" | "writeOnly" => self.marked |= value.as_bool() == Some(true),
                crate::spec::schema::CUT => self.cut = true,
                _ => {}
            }
        }
        // The first of an `allOf` is looked at first.
        open[from..].reverse();
        self.parts.push(schema);
    }

    /// What may not hold, as far as that is a plain matter.
    fn forbid(&mut self, schema: &'b Json) {
        let alternatives = schema.get("anyOf").and_then(Json::as_array);
        if let Some(alternatives) =
            alternatives.filter(|_| schema.as_object().is_some_and(|one| one.len() == 1))
        {
            alternatives.iter().for_each(|schema| self.forbid(schema));
            return;
        }
        self.nots.push(schema);
        let Some(entries) = schema.as_object() else { return };
        let only = |keyword: &str| entries.len() == 1 && entries.contains_key(keyword);
        if only("type") {
            self.types = self.types.without(Types::of_schema(schema));
        }
        if only("required")
            && let Some([Json::String(name)]) =
                entries.get("required").and_then(Json::as_array).map(Vec::as_slice)
        {
            self.forbidden.push(name);
        }
    }

    /// What it has to be if no schema says its type: what the other keywords are for.
    pub fn implied(&self) -> Types {
        const OBJECT: [&str; 10] = [
            "properties",
            "additionalProperties",
            "patternProperties",
            "required",
            "minProperties",
            "maxProperties",
            "propertyNames",
            "dependentRequired",
            "dependentSchemas",
            "unevaluatedProperties",
        ];
        const ARRAY: [&str; 7] =
            ["items", "prefixItems", "contains", "minItems", "maxItems", "uniqueItems", "unevaluatedItems"];
        const STRING: [&str; 5] = ["pattern", "minLength", "maxLength", "format", "contentEncoding"];
        const NUMBER: [&str; 5] =
            ["minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"];
        let has = |keywords: &[&str]| {
            self.parts.iter().any(|part| keywords.iter().any(|keyword| part.contains_key(*keyword)))
        };
        match () {
            () if has(&OBJECT) => Types::OBJECT,
            () if has(&ARRAY) => Types::ARRAY,
            () if has(&NUMBER) => Types::named("number"),
            () if has(&STRING) => Types::STRING,
            () => Types::NONE,
        }
    }

    /// Whether one of the schemas that may not hold does, as far as that is known of a scalar.
    pub fn refuses(&self, value: &Json) -> bool {
        self.nots.iter().any(|schema| {
            let no_references = Json::Null;
            let other = Shape::of(&no_references, &[schema]);
            !other.parts.iter().any(|part| part.contains_key("$ref"))
                && other.is_plain()
                && other.allows(value)
        })
    }

    /// Whether it says nothing but what [`Shape::allows`] looks at.
    fn is_plain(&self) -> bool {
        const LOOKED_AT: [&str; 11] = [
            "type",
            "enum",
            "const",
            "minimum",
            "maximum",
            "exclusiveMinimum",
            "exclusiveMaximum",
            "multipleOf",
            "minLength",
            "maxLength",
            "pattern",
        ];
        let plain =
            |part: &&Map<String, Json>| part.keys().all(|keyword| LOOKED_AT.contains(&keyword.as_str()));
        !self.parts.is_empty() && self.parts.iter().all(plain)
    }

    /// Whether a scalar is as its type, enums, bounds, lengths and patterns say.
    pub fn allows(&self, value: &Json) -> bool {
        let fits = match value {
            Json::Number(number) => self.bounds.allow(number),
            Json::String(text) => {
                let is_like = |pattern: &&str| {
                    Pattern::parse(pattern).is_none_or(|pattern| pattern.matches(text) != Some(false))
                };
                let length = text.chars().count();
                (self.least_length..=self.most_length).contains(&length) && self.patterns.iter().all(is_like)
            }
            _ => true,
        };
        fits && self.types.has(Types::of(value)) && self.lists(value)
    }

    /// Whether a value is one that every enum has, and none that a plain `not` excludes.
    pub fn lists(&self, value: &Json) -> bool {
        let is_forbidden = |schema: &&Json| {
            schema.get("const").is_some_and(|other| is_same(other, value))
                || schema
                    .get("enum")
                    .and_then(Json::as_array)
                    .is_some_and(|all| all.iter().any(|other| is_same(other, value)))
        };
        self.enums.iter().all(|all| all.iter().any(|other| is_same(other, value)))
            && !self.nots.iter().any(is_forbidden)
    }
}

/// What a `$ref` leads to, and its number.
pub fn definition<'b>(bundle: &'b Json, reference: &Json) -> Option<(usize, &'b Json)> {
    let number = reference.as_str()?.strip_prefix("#/$defs/")?;
    Some((number.parse().ok()?, bundle.get("$defs")?.get(number)?))
}

/// JSON Schema 2020-12 Core, 4.2.2: numbers are the same by their value.
pub fn is_same(one: &Json, other: &Json) -> bool {
    match (one, other) {
        (Json::Number(one), Json::Number(other)) => one == other || one.as_f64() == other.as_f64(),
        (Json::Array(one), Json::Array(other)) => {
            one.len() == other.len() && one.iter().zip(other).all(|(one, other)| is_same(one, other))
        }
        (Json::Object(one), Json::Object(other)) => {
            let same =
                |(name, value): (&String, &Json)| other.get(name).is_some_and(|other| is_same(value, other));
            one.len() == other.len() && one.iter().all(same)
        }
        _ => one == other,
    }
}
