//! Instances of schemas.
//!
//! A proposer and a referee. The [`propose`] module walks the schema and gives each place a value by rules
//! that are nearly always right; the validator then looks at the whole. Where it finds something, that place
//! tries another way in the next round: no example, another branch, fewer properties. So whatever a schema
//! says, what is given was validated, and where nothing is found in a bounded number of rounds, that is said.

use std::collections::HashMap;
use std::fmt;

use serde_json::Value as Json;

use super::message::Moment;
use super::schema::Validator;
use propose::{Proposer, Variant, Way};

mod propose;

mod text;

mod end;

mod shape;

mod number;

mod pattern;

mod format;

mod realistic;

mod chance;

/// Rounds of one fixed instance; it is made once.
const FIXED_ROUNDS: usize = 60;

/// Rounds of one random instance.
const RANDOM_ROUNDS: usize = 12;

/// Schemas looked at for one fixed instance, in all rounds.
const FIXED_STEPS: usize = 80_000;

/// Schemas looked at for one random instance.
const RANDOM_STEPS: usize = 50_000;

/// Violations of one round that are looked at.
const LOOKED_AT: usize = 30;

/// Ways that a place tries before it is left out, if it may be.
const VARIANTS: usize = 8;

/// Why there is no instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Impossible {
    /// By the names of definitions and properties.
    place: String,
    why: String,
}

impl fmt::Display for Impossible {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Impossible { place, why } = self;
        write!(f, "`{place}`: {why}")
    }
}

/// An instance of the schema, the same every time.
///
/// # Errors
///
/// None was found.
pub fn fixed(validator: &Validator) -> Result<Json, Impossible> {
    search(validator, Way::Fixed, FIXED_ROUNDS, FIXED_STEPS)
}

/// A random one, by the seed; dates are near `now`.
///
/// # Errors
///
/// None was found.
pub fn random(validator: &Validator, moment: Moment) -> Result<Json, Impossible> {
    search(validator, Way::Random(moment), RANDOM_ROUNDS, RANDOM_STEPS).or_else(|_| fixed(validator))
}

fn search(validator: &Validator, way: Way, rounds: usize, steps: usize) -> Result<Json, Impossible> {
    let mut variants: HashMap<String, Variant> = HashMap::new();
    let mut steps = steps;
    let mut last = None;
    for _ in 0..rounds {
        let mut proposer = Proposer::new(validator.bundle(), way, &variants, steps);
        let instance = match proposer.propose() {
            Ok(instance) => instance,
            // What the rounds before had to give up was needed.
            Err(impossible) => return Err(last.unwrap_or(impossible)),
        };
        if !validator.looks_at(&instance) {
            return Err(proposer.impossible("to validate it takes too many steps"));
        }
        let found = validator.misfits(&instance, LOOKED_AT);
        let Some(first) = found.first() else { return Ok(instance) };
        steps = proposer.steps();
        last = Some(proposer.impossible_at(&first.pointer, &format!("{} ({})", first.message, first.rule)));
        let places: Vec<String> =
            found.iter().map(|violation| proposer.responsible(&violation.pointer).to_owned()).collect();
        for (violation, place) in found.iter().zip(places) {
            try_another_way(&mut variants, place, &violation.keyword);
        }
    }
    Err(last
        .unwrap_or_else(|| Proposer::new(validator.bundle(), way, &variants, 0).impossible("nothing fits")))
}

/// What a violation at a place changes in the next round.
fn try_another_way(variants: &mut HashMap<String, Variant>, place: String, keyword: &str) {
    let variant = variants.entry(place.clone()).or_default();
    variant.number += 1;
    let is_unwanted = matches!(
        keyword,
        "additionalProperties" | "unevaluatedProperties" | "propertyNames" | "readOnly" | "writeOnly"
    );
    if is_unwanted || variant.number >= VARIANTS {
        variant.left_out = true;
    }
    if variant.number > VARIANTS
        && let Some((above, _)) = place.rsplit_once('/')
    {
        variants.entry(above.to_owned()).or_default().number += 1;
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use serde_json::json;

    use super::*;

    fn validator(definitions: Json) -> Validator {
        let named: serde_json::Map<String, Json> = match definitions {
            Json::Array(all) => {
                all.into_iter().enumerate().map(|(number, schema)| (number.to_string(), schema)).collect()
            }
            schema => [("0".to_owned(), schema)].into_iter().collect(),
        };
        Validator::new(json!({ "$ref": "#/$defs/0", "$defs": named })).expect("it compiles")
    }

    fn moment(seed: u64) -> Moment {
        Moment { now: 1_768_469_400_000, seed }
    }

    /// The schema, or a list of definitions, and the fixed instance. Random ones are valid, and as `varied` says.
    #[track_caller]
    fn check_as(varied: bool, schema: Json, expected: Json) {
        let validator = validator(schema);
        assert_eq!(fixed(&validator), Ok(expected));
        let mut different = HashSet::new();
        for seed in 0..200 {
            let instance = random(&validator, moment(seed)).expect("there is one");
            assert_eq!(validator.misfits(&instance, 1), vec![], "{instance}");
            assert_eq!(
                random(&validator, moment(seed)).as_ref(),
                Ok(&instance),
                "the same seed, the same instance"
            );
            different.insert(instance.to_string());
        }
        assert!(different.len() > 1 || !varied, "{different:?}");
    }

    #[track_caller]
    fn check(schema: Json, expected: Json) {
        check_as(true, schema, expected);
    }

    #[track_caller]
    fn check_impossible(schema: Json, expected: &str) {
        let validator = validator(schema);
        let expected = Err(expected.to_owned());
        assert_eq!(fixed(&validator).map_err(|impossible| impossible.to_string()), expected);
        assert_eq!(random(&validator, moment(1)).map_err(|impossible| impossible.to_string()), expected);
    }

    #[test]
    fn what_stands_in_the_schema_comes_first_if_it_is_valid() {
        check(json!({"type": ["string"], "example": "a", "default": "b"}), json!("a"));
        check(json!({"type": ["string"], "example": 1, "default": "b"}), json!("b"));
        check(json!({"type": ["string"], "examples": ["c"], "maxLength": 1}), json!("c"));
        check_as(false, json!({"const": 7, "default": 8}), json!(7));
        check(json!({"enum": ["x", "y"], "default": "y"}), json!("y"));
        check(json!({"enum": [null, "x", "y"]}), json!("x"));
        check(
            json!({"example": {"a": "x", "b": 1}, "properties": {"a": {"type": ["integer"]}, "b": {"type": ["integer"]}}}),
            json!({"a": 1, "b": 1}),
        );
    }

    #[test]
    fn each_type_has_a_value() {
        check(json!({"type": ["string"]}), json!("string"));
        check(json!({"type": ["integer"]}), json!(1));
        check(json!({"type": ["number"]}), json!(1.5));
        check(json!({"type": ["boolean"]}), json!(true));
        check_as(false, json!({"type": ["null"]}), json!(null));
        check(json!({"type": ["null", "string"]}), json!("string"));
        check(json!({"items": {"type": ["integer"]}}), json!([1]));
        check_as(false, json!({}), json!({}));
        check_as(false, json!(true), json!({}));
        check(json!({"properties": {"a": {}, "b": true}}), json!({"a": "string", "b": "string"}));
    }

    #[test]
    fn strings_have_their_length_pattern_and_format() {
        check(json!({"type": ["string"], "minLength": 8}), json!("stringst"));
        check(json!({"type": ["string"], "maxLength": 3}), json!("str"));
        check_as(false, json!({"type": ["string"], "maxLength": 0}), json!(""));
        check(json!({"type": ["string"], "pattern": "^[A-Z]{3}-\\d+$", "maxLength": 6}), json!("ABC-56"));
        check(json!({"allOf": [{"pattern": "^[a-z]+$"}, {"pattern": "^.{5}$"}]}), json!("abcde"));
        check(json!({"type": ["string"], "format": "date-time"}), json!("2026-01-15T09:30:00Z"));
        check(
            json!({"type": ["string"], "format": "uri", "minLength": 30}),
            json!("https://example.com/aaaaaaaaaa"),
        );
        check(json!({"type": ["string"], "contentEncoding": "base64"}), json!("c3RyaW5n"));
        check(json!({"type": ["string"], "not": {"const": "string"}}), json!("string2"));
        check(json!({"type": ["string"], "not": {"pattern": "^s"}, "maxLength": 2}), json!("g2"));
    }

    #[test]
    fn numbers_are_within_their_bounds() {
        check(json!({"type": ["integer"], "minimum": 5, "exclusiveMaximum": 8}), json!(5));
        check(json!({"type": ["number"], "minimum": 0.5, "maximum": 0.9}), json!(0.9));
        check(json!({"type": ["number"], "multipleOf": 0.01}), json!(1.5));
        check(json!({"type": ["integer"], "multipleOf": 7, "minimum": 10}), json!(14));
        check(json!({"type": ["integer"], "not": {"enum": [1, 2]}}), json!(3));
        check(json!({"type": ["integer"], "format": "int32", "minimum": -5, "maximum": 0}), json!(0));
    }

    #[test]
    fn objects_show_their_properties() {
        check(
            json!({"properties": {"a": {"type": ["string"]}, "b": {"$ref": "#/$defs/0"}}, "required": ["a"]}),
            json!({"a": "string", "b": {"a": "string"}}),
        );
        check(json!({"required": ["x"], "additionalProperties": {"type": ["integer"]}}), json!({"x": 1}));
        check(json!({"additionalProperties": {"type": ["integer"]}}), json!({"property1": 1}));
        check(
            json!({"patternProperties": {"^x-[a-z]{2}$": {"type": ["integer"]}}, "additionalProperties": false, "minProperties": 1}),
            json!({"x-cd": 1}),
        );
        check(
            json!({"propertyNames": {"enum": ["a", "b"]}, "additionalProperties": {"type": ["integer"]}, "minProperties": 2}),
            json!({"a": 1, "b": 1}),
        );
        check(
            json!({"properties": {"a": {}, "b": {}, "c": {}}, "maxProperties": 2}),
            json!({"a": "string", "b": "string"}),
        );
        check(
            json!({"properties": {"a": {}, "b": {}}, "dependentRequired": {"a": ["z"]}}),
            json!({"a": "string", "b": "string", "z": "string"}),
        );
        check(
            json!({"properties": {"a": {}}, "dependentSchemas": {"a": {"properties": {"b": {"type": ["integer"]}}, "required": ["b"]}}}),
            json!({"a": "string", "b": 1}),
        );
        check(
            json!({"properties": {"a": {}, "b": {"writeOnly": true}, "c": false}, "required": ["a"]}),
            json!({"a": "string"}),
        );
        check(
            json!({"allOf": [{"properties": {"a": {"minLength": 7}}}, {"properties": {"a": {"type": ["string"]}}}], "unevaluatedProperties": false}),
            json!({"a": "strings"}),
        );
    }

    #[test]
    fn arrays_have_their_items() {
        check(json!({"items": {"type": ["string"]}, "minItems": 2}), json!(["string", "string"]));
        check(
            json!({"items": {"type": ["string"]}, "minItems": 3, "uniqueItems": true}),
            json!(["string", "string2", "string3"]),
        );
        check(json!({"items": {"enum": ["a", "b"]}, "minItems": 2, "uniqueItems": true}), json!(["a", "b"]));
        check(
            json!({"type": ["array"], "prefixItems": [{"type": ["integer"]}, {"type": ["boolean"]}], "items": false}),
            json!([1, true]),
        );
        check(
            json!({"items": {"type": ["integer"]}, "contains": {"minimum": 5}, "minContains": 2, "maxContains": 2, "minItems": 3}),
            json!([5, 5, 1]),
        );
        check_as(false, json!({"type": ["array"], "items": false}), json!([]));
        check_as(false, json!({"type": ["array"], "maxItems": 0}), json!([]));
    }

    #[test]
    fn of_alternatives_one_is_taken_and_others_do_not_hold() {
        check(json!({"oneOf": [{"type": ["null"]}, {"type": ["string"]}]}), json!("string"));
        check(
            json!({"properties": {"a": {}, "b": {}}, "oneOf": [{"required": ["a"]}, {"required": ["b"]}]}),
            json!({"a": "string"}),
        );
        check(
            json!({"oneOf": [{"type": ["integer"], "multipleOf": 2}, {"type": ["integer"], "multipleOf": 3}]}),
            json!(2),
        );
        check(
            json!({"type": ["object"], "oneOf": [{"properties": {"a": {"type": ["string"]}}}, {"properties": {"b": {"type": ["string"]}}}]}),
            json!({"a": "string", "b": 1}),
        );
        check(json!({"oneOf": [{"type": ["integer", "null"]}, {"type": ["string", "null"]}]}), json!(1));
        check_as(
            false,
            json!({"oneOf": [{"type": ["object"]}, {"type": ["object"], "properties": {"a": {"type": ["integer"]}}, "required": ["a"]}]}),
            json!({}),
        );
        check(json!({"type": ["integer"], "anyOf": [{"type": ["string"]}, {"minimum": 5}]}), json!(5));
        check(
            json!([
                {"oneOf": [{"$ref": "#/$defs/1"}, {"$ref": "#/$defs/2"}],
                 "discriminator": {"propertyName": "kind", "mapping": {"cat": "#/$defs/1", "Dog": "#/$defs/2"}}},
                {"properties": {"kind": {"type": ["string"]}, "purrs": {"type": ["boolean"]}}, "required": ["kind"]},
                {"properties": {"kind": {"type": ["string"]}, "barks": {"type": ["integer"]}}, "required": ["kind", "barks"]},
            ]),
            json!({"kind": "cat", "purrs": true}),
        );
        check(
            json!([
                {"$comment": "Cat", "allOf": [{"$ref": "#/$defs/1"}, {"properties": {"purrs": {"type": ["boolean"]}}}]},
                {"$comment": "Pet", "properties": {"kind": {"type": ["string"]}}, "required": ["kind"],
                 "discriminator": {"propertyName": "kind", "mapping": {}}},
            ]),
            json!({"purrs": true, "kind": "Cat"}),
        );
    }

    #[test]
    fn conditions_hold() {
        check(
            json!({"properties": {"a": {"enum": ["x", "y"]}, "b": {}},
                   "if": {"properties": {"a": {"const": "x"}}}, "then": {"required": ["c"]}, "else": {"required": ["d"]}}),
            json!({"a": "x", "b": "string", "c": "string"}),
        );
        check(
            json!({"properties": {"a": {"const": "y"}}, "required": ["a"],
                   "allOf": [{"if": {"properties": {"a": {"const": "x"}}}, "then": {"required": ["c"]}},
                             {"if": {"properties": {"a": {"const": "y"}}}, "then": {"required": ["d"]}}]}),
            json!({"a": "y", "d": "string"}),
        );
        check(json!({"properties": {"a": {}, "b": {}}, "not": {"required": ["a"]}}), json!({"b": "string"}));
        check_as(
            false,
            json!({"properties": {"a": {"enum": ["x", "y"]}}, "required": ["a"], "not": {"properties": {"a": {"const": "x"}}}}),
            json!({"a": "y"}),
        );
    }

    #[test]
    fn circles_end() {
        check(
            json!([
                {"type": ["object"], "properties": {"next": {"oneOf": [{"$ref": "#/$defs/0"}, {"$ref": "#/$defs/1"}]}}, "required": ["next"]},
                {"type": ["string"]},
            ]),
            json!({"next": {"next": "string"}}),
        );
        check(json!({"items": {"$ref": "#/$defs/0"}}), json!([[]]));
        check_impossible(
            json!({"$comment": "A", "properties": {"a": {"$ref": "#/$defs/0"}}, "required": ["a"]}),
            &format!("`A{}/...`: what must be there nests without an end", "/a".repeat(29)),
        );
    }

    #[test]
    fn what_can_not_be_is_told_with_its_place() {
        check_impossible(
            json!({"properties": {"a": false}, "required": ["a"]}),
            "`schema/a`: its schema allows nothing",
        );
        check_impossible(
            json!({"type": ["string"], "minLength": 2, "maxLength": 1}),
            "`schema`: no text has the length that it asks for",
        );
        check_impossible(
            json!({"type": ["integer"], "minimum": 2, "maximum": 1}),
            "`schema`: no number is within its bounds",
        );
        check_impossible(
            json!({"allOf": [{"type": ["integer"]}, {"type": ["string"]}]}),
            "`schema`: its schemas ask for different types",
        );
        check_impossible(
            json!({"items": {"enum": ["a"]}, "minItems": 2, "uniqueItems": true}),
            "`schema/1`: there are not as many different items as it asks for",
        );
        check_impossible(
            json!({"x-standin-cut": true}),
            "`schema`: its schema reaches more than is looked at",
        );
        check_impossible(
            json!({"type": ["string"], "allOf": [{"pattern": "^a$"}, {"pattern": "^b$"}]}),
            "`schema`: no text that was tried matches its pattern",
        );
    }
}
