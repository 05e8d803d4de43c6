//! How soon instances of the definitions of a bundle can end.

use serde_json::Value as Json;

use super::shape::{Types, definition};

/// Passes over all definitions; each finds those that end a level later.
const PASSES: usize = 64;

/// Levels that the least instance has below itself, by definition.
#[derive(Debug)]
pub struct Ends {
    levels: Vec<u32>,
}

impl Ends {
    pub fn of(bundle: &Json) -> Ends {
        let definitions = bundle.get("$defs").and_then(Json::as_object);
        let count = definitions.map_or(0, serde_json::Map::len);
        let mut ends = Ends { levels: vec![u32::MAX; count] };
        for _ in 0..PASSES {
            let mut settled = true;
            for (name, schema) in definitions.into_iter().flatten() {
                let levels = ends.below(bundle, schema);
                let known = name.parse().ok().and_then(|number: usize| ends.levels.get_mut(number));
                if let Some(known) = known.filter(|known| **known > levels) {
                    *known = levels;
                    settled = false;
                }
            }
            if settled {
                break;
            }
        }
        ends
    }

    /// As far as the schema itself says; what never ends is infinitely deep.
    pub fn below(&self, bundle: &Json, schema: &Json) -> u32 {
        let Some(entries) = schema.as_object() else { return 0 };
        let containers = Types::OBJECT.or(Types::ARRAY);
        let is_scalar =
            Types::of_schema(schema).without(containers) != Types::NONE && entries.contains_key("type");
        if is_scalar || entries.contains_key("enum") || entries.contains_key("const") {
            return 0;
        }
        let mut levels = 0;
        for (keyword, value) in entries {
            let each = || value.as_array().into_iter().flatten().map(|schema| self.below(bundle, schema));
            let below = match keyword.as_str() {
                "$ref" => definition(bundle, value).and_then(|(number, _)| self.levels.get(number).copied()),
                "allOf" => each().max(),
                "oneOf" | "anyOf" => each().min(),
                "required" => {
                    let names = value.as_array().into_iter().flatten().filter_map(Json::as_str);
                    let properties = names.filter_map(|name| entries.get("properties")?.get(name));
                    properties.map(|schema| self.below(bundle, schema).saturating_add(1)).max()
                }
                "minItems" if value.as_u64() > Some(0) => {
                    entries.get("items").map(|schema| self.below(bundle, schema).saturating_add(1))
                }
                _ => None,
            };
            levels = levels.max(below.unwrap_or(0));
        }
        levels
    }
}
