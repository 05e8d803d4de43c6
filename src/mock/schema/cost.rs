//! What a validation costs, before it is begun: each schema that looks at each value is a step.
//!
//! Schemas that repeat each other, or refer to themselves, may look at one value exponentially often. Of
//! most schemas it is known beforehand that they don't; of the others the steps are counted.

use std::collections::HashMap;

use serde_json::{Map, Value as Json};

use super::{Engine, TooCostly};

/// References and levels that one step of a validation may be below its start. A validator recurses.
const DEEPEST: usize = 500;

/// What a pattern that looks around counts for each so many bytes of a text: it may read the rest of the
/// text at each of its steps back.
const TRYING: usize = 1_000;
const TRIED: usize = 64;

/// Bytes of a text that a pattern takes a step for. One that repeats something several times takes more: in the
/// worst case as many as that is often, a quarter of a step each, up to a bound.
const MATCHED: usize = 64;
const REPEATED: usize = 4;
const MOST_REPEATED: usize = 4_000;

/// What it counts to see whether a text is a pattern, which is to compile it, more than once.
const COMPILING: usize = 40_000;

/// Steps that are counted of one message, and at most: to count them takes as long as to take them.
const COUNTED: usize = 200_000;

/// Bytes that what is told of one message may take: the validator makes all of it before it gives any.
const TOLD: usize = 32 << 20;

/// What one error takes besides the pointer in it, and how many a schema has of one value, besides those of
/// missing properties.
const ERROR: usize = 500;
const ERRORS: usize = 2;

/// Schemas that are looked at to know what a bundle costs.
const LOOKED_AT: usize = 200_000;

/// Schemas that look at one value, and at most: such a bundle's steps are counted.
const OFTEN: usize = 10_000;

/// How often what schemas hand on to each other is added up.
const ROUNDS: usize = 60;

/// What a bundle's validations cost.
#[derive(Debug)]
pub struct Cost {
    /// Steps for each value of an instance at most; none: they are to be counted.
    per_value: Option<usize>,
    /// Schemas inside each other that look at one value.
    deep: usize,
    engine: Engine,
    /// Steps that any of its patterns takes for each piece of a text.
    patterns: usize,
    /// Whether there are alternatives, of which an error has all that is wrong with each.
    branches: bool,
}

/// How much of what does not fit can be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Telling {
    All,
    /// What is found first.
    First,
    Nothing,
}

/// A schema that looks at a value.
struct Look<'v> {
    schema: &'v Json,
    instance: &'v Json,
    /// References and levels below the start.
    depth: usize,
    /// Bytes of the pointer to the value.
    pointer: usize,
}

impl Cost {
    pub fn of(bundle: &Json, engine: Engine) -> Cost {
        let known = match engine {
            Engine::Linear => Survey::of(bundle).and_then(|survey| Some((survey.settled()?, survey.deep))),
            Engine::Trying => None,
        };
        let (per_value, deep) = known.map_or((None, 0), |(often, deep)| (Some(often), deep));
        Cost { per_value, deep, engine, patterns: patterns(bundle), branches: has_branches(bundle) }
    }

    #[cfg(test)]
    pub fn is_linear(&self) -> bool {
        self.per_value.is_some()
    }

    /// Whether a validation takes no more than these steps.
    pub fn allows(&self, bundle: &Json, instance: &Json, steps: usize) -> bool {
        let Some(per_value) = self.per_value else {
            return self.count(bundle, instance, &mut steps.min(COUNTED)).is_ok();
        };
        let most = steps / per_value.max(1);
        let small = extent(instance, most, self.patterns)
            .is_some_and(|(_, depth)| depth * (self.deep + 1) <= DEEPEST);
        small || self.count(bundle, instance, &mut steps.min(COUNTED)).is_ok()
    }

    /// Takes the steps of a validation at most, if there are so many left.
    pub fn take(&self, bundle: &Json, instance: &Json, steps: &mut usize) -> Result<(), TooCostly> {
        let known = self.per_value.and_then(|per_value| {
            let per_value = per_value.max(1);
            let most = *steps / per_value;
            let (values, depth) = extent(instance, most, self.patterns)?;
            let fits = values < most && depth * (self.deep + 1) <= DEEPEST;
            fits.then_some((values + 1) * per_value)
        });
        match known {
            Some(known) => *steps -= known,
            None => self.count(bundle, instance, steps)?,
        }
        Ok(())
    }

    /// How much can be told in bounded memory of what does not fit; it takes no more than these steps.
    pub fn telling(&self, bundle: &Json, instance: &Json, steps: usize) -> Telling {
        match self.walk(bundle, instance, &mut steps.min(COUNTED), Some(TOLD)) {
            Ok(()) => Telling::All,
            Err(TooCostly) if self.branches || !self.allows(bundle, instance, steps) => Telling::Nothing,
            Err(TooCostly) => Telling::First,
        }
    }

    /// Takes the steps of a validation without validating.
    pub fn count(&self, bundle: &Json, instance: &Json, steps: &mut usize) -> Result<(), TooCostly> {
        self.walk(bundle, instance, steps, None)
    }

    /// Also takes the room, if it is bounded, that errors would take if nothing fitted.
    fn walk(
        &self,
        bundle: &Json,
        instance: &Json,
        steps: &mut usize,
        mut room: Option<usize>,
    ) -> Result<(), TooCostly> {
        let mut open = vec![Look { schema: bundle, instance, depth: 0, pointer: 0 }];
        while let Some(look) = open.pop() {
            *steps = steps.checked_sub(1).filter(|_| look.depth < DEEPEST).ok_or(TooCostly)?;
            let Some(schema) = look.schema.as_object() else { continue };
            let own = self.own(schema, look.instance);
            *steps = steps.checked_sub(own).ok_or(TooCostly)?;
            if let Some(room) = &mut room {
                let errors = ERRORS + missing(schema, look.instance);
                *room = room.checked_sub(errors.saturating_mul(ERROR + look.pointer)).ok_or(TooCostly)?;
            }
            for (keyword, below) in schema.iter().cycle().take(schema.len() * times(schema)) {
                // One more than there may be is enough to know.
                if open.len() > *steps {
                    return Err(TooCostly);
                }
                step(bundle, keyword, below, &look, &mut open);
            }
        }
        Ok(())
    }

    /// What a schema does with a value besides what its schemas do.
    fn own(&self, schema: &Map<String, Json>, instance: &Json) -> usize {
        // Every value of a list is compared, and every item with every other.
        let listed = schema.get("enum").and_then(Json::as_array).map_or(0, Vec::len);
        let items = instance.as_array().filter(|_| schema.contains_key("uniqueItems")).map_or(0, Vec::len);
        let compiling = if instance.is_string() { compiling(schema) } else { 0 };
        let simple = listed + items + compiling + matching(schema, instance);
        if self.engine == Engine::Linear {
            return simple;
        }
        let text = instance.as_str().filter(|_| schema.contains_key("pattern"));
        let pattern = text.map_or(0, |text| 1 + text.len() / TRIED);
        let named = schema.get("patternProperties").and_then(Json::as_object).map_or(0, Map::len);
        let named = named * instance.as_object().map_or(0, Map::len);
        simple + (pattern + named).saturating_mul(TRYING)
    }
}

/// What a schema does with every text.
fn compiling(schema: &Map<String, Json>) -> usize {
    let is_pattern = schema.get("format").and_then(Json::as_str) == Some("regex");
    if is_pattern { COMPILING } else { 0 }
}

/// What the patterns of a schema take of a text, or of the names of an object.
fn matching(schema: &Map<String, Json>, instance: &Json) -> usize {
    match instance {
        Json::String(text) => {
            let pattern = schema.get("pattern").and_then(Json::as_str);
            pattern.map_or(0, |pattern| weight(pattern) * (text.len() / MATCHED))
        }
        Json::Object(entries) => {
            let named = schema.get("patternProperties").and_then(Json::as_object);
            let all = named.into_iter().flatten().map(|(pattern, _)| weight(pattern)).sum::<usize>();
            if all == 0 { 0 } else { all * entries.keys().map(|name| name.len() / MATCHED).sum::<usize>() }
        }
        _ => 0,
    }
}

/// Steps that a pattern takes for each piece of a text: by its repetitions, those inside others multiplied,
/// as if all were.
fn weight(pattern: &str) -> usize {
    let counted = pattern.split('{').skip(1).filter_map(|rest| {
        let (count, _) = rest.split_once('}')?;
        count.rsplit(',').find(|bound| !bound.is_empty())?.trim().parse::<usize>().ok()
    });
    let often = counted.fold(1, |often: usize, count| often.saturating_mul(count.max(1)).min(MOST_REPEATED));
    often.div_ceil(REPEATED)
}

/// The heaviest pattern of a bundle; 0 where it has none.
fn patterns(bundle: &Json) -> usize {
    let mut heaviest = 0;
    let mut open = vec![bundle];
    while let Some(json) = open.pop() {
        let Json::Object(entries) = json else {
            open.extend(json.as_array().into_iter().flatten());
            continue;
        };
        let own = entries.get("pattern").and_then(Json::as_str);
        let named = entries.get("patternProperties").and_then(Json::as_object).into_iter().flatten();
        let all = own.into_iter().chain(named.map(|(pattern, _)| pattern.as_str()));
        heaviest = all.map(weight).fold(heaviest, usize::max);
        open.extend(entries.values());
    }
    heaviest
}

/// How many values a value has, each piece of a text counted as so many, and how deep it is; none if they are
/// more than `most`.
fn extent(value: &Json, most: usize, piece: usize) -> Option<(usize, usize)> {
    let long = |text: &str| if piece == 0 { 0 } else { piece * (text.len() / MATCHED) };
    let text = |value: &Json| value.as_str().map_or(0, long);
    let mut left = most.checked_sub(text(value))?;
    let mut deepest = 0;
    let mut open = vec![(value, 1)];
    while let Some((value, depth)) = open.pop() {
        deepest = deepest.max(depth);
        let is_deep = |value: &&Json| value.is_array() || value.is_object();
        let mut below = 0;
        match value {
            Json::Array(items) => {
                below += items.len() + if piece == 0 { 0 } else { items.iter().map(text).sum() };
                open.extend(items.iter().filter(is_deep).map(|item| (item, depth + 1)));
            }
            Json::Object(entries) => {
                let own = |(name, value): (&String, &Json)| long(name) + text(value);
                below += entries.len() + if piece == 0 { 0 } else { entries.iter().map(own).sum() };
                open.extend(entries.values().filter(is_deep).map(|value| (value, depth + 1)));
            }
            _ => {}
        }
        left = left.checked_sub(below)?;
    }
    Some((most - left, deepest + 1))
}

/// Properties that an object lacks, each of which is an error of its own.
fn missing(schema: &Map<String, Json>, instance: &Json) -> usize {
    let Some(object) = instance.as_object() else { return 0 };
    let dependent = schema.get("dependentRequired").and_then(Json::as_object).into_iter().flatten();
    let lists = dependent.map(|(_, names)| names).chain(schema.get("required"));
    let names = lists.filter_map(Json::as_array).flatten().filter_map(Json::as_str);
    names.filter(|name| !object.contains_key(*name)).count()
}

fn has_branches(bundle: &Json) -> bool {
    let mut open = vec![bundle];
    while let Some(json) = open.pop() {
        match json {
            Json::Array(items) => open.extend(items),
            Json::Object(entries) if entries.contains_key("anyOf") || entries.contains_key("oneOf") => {
                return true;
            }
            Json::Object(entries) => open.extend(entries.values()),
            _ => {}
        }
    }
    false
}

fn step<'v>(bundle: &'v Json, keyword: &str, below: &'v Json, look: &Look<'v>, open: &mut Vec<Look<'v>>) {
    let Look { instance, depth, pointer, .. } = *look;
    let depth = depth + 1;
    let here = |schema: &'v Json| Look { schema, instance, depth, pointer };
    // A number, or a name, and the slash before it.
    let inside = |schema: &'v Json, instance: &'v Json, name: usize| Look {
        schema,
        instance,
        depth,
        pointer: pointer + 1 + name,
    };
    let item = |schema: &'v Json, item: &'v Json| inside(schema, item, 7);
    let items = instance.as_array().into_iter().flatten();
    let values = instance.as_object().into_iter().flatten();
    let schemas = below.as_array().into_iter().flatten();
    let named = below.as_object().into_iter().flatten();
    match keyword {
        "$ref" => open.extend(target(bundle, below).map(here)),
        "allOf" | "anyOf" | "oneOf" => open.extend(schemas.map(here)),
        "not" | "if" | "then" | "else" => open.push(here(below)),
        "dependentSchemas" => open.extend(named.map(|(_, schema)| here(schema))),
        "properties" => {
            open.extend(named.filter_map(|(name, schema)| {
                Some(inside(schema, instance.as_object()?.get(name)?, name.len()))
            }));
        }
        "patternProperties" => {
            let values: Vec<_> = values.collect();
            for (_, schema) in named {
                open.extend(values.iter().map(|(name, value)| inside(schema, value, name.len())));
            }
        }
        "additionalProperties" | "unevaluatedProperties" | "propertyNames" => {
            open.extend(values.map(|(name, value)| inside(below, value, name.len())));
        }
        "prefixItems" => open.extend(schemas.zip(items).map(|(schema, value)| item(schema, value))),
        "items" | "contains" | "unevaluatedItems" => open.extend(items.map(|value| item(below, value))),
        _ => {}
    }
}

fn target<'v>(bundle: &'v Json, reference: &Json) -> Option<&'v Json> {
    bundle.pointer(reference.as_str()?.strip_prefix('#')?)
}

/// What schemas hand on to each other, from the bundle's root on.
#[derive(Default)]
struct Survey<'v> {
    numbers: HashMap<*const Json, usize>,
    places: Vec<Place<'v>>,
    deep: usize,
}

/// A schema that a step into an instance leads to, with all that look at the same value.
struct Place<'v> {
    schema: &'v Json,
    /// How many look at it.
    here: usize,
    /// Of each part of a value, the places that look at it.
    parts: Vec<Vec<usize>>,
}

/// The steps into an instance of all schemas that look at one value.
#[derive(Default)]
struct Steps<'v> {
    named: HashMap<&'v str, Vec<usize>>,
    /// Those of the names that an object does not list.
    others: Vec<(usize, Option<&'v Map<String, Json>>)>,
    listed: HashMap<usize, Vec<usize>>,
    items: Vec<usize>,
}

impl<'v> Survey<'v> {
    /// None where there are more schemas than are looked at.
    fn of(bundle: &'v Json) -> Option<Survey<'v>> {
        let mut survey = Survey::default();
        survey.number(bundle);
        let mut left = LOOKED_AT;
        let mut next = 0;
        while let Some(place) = survey.places.get(next) {
            let schema = place.schema;
            survey.place(bundle, schema, next, &mut left)?;
            next += 1;
        }
        Some(survey)
    }

    fn number(&mut self, schema: &'v Json) -> usize {
        let next = self.places.len();
        let number = *self.numbers.entry(std::ptr::from_ref(schema)).or_insert(next);
        if number == next {
            self.places.push(Place { schema, here: 0, parts: Vec::new() });
        }
        number
    }

    fn place(&mut self, bundle: &'v Json, schema: &'v Json, number: usize, left: &mut usize) -> Option<()> {
        let mut steps = Steps::default();
        let mut here = 0;
        let mut open = vec![(schema, 1)];
        while let Some((schema, depth)) = open.pop() {
            *left = left.checked_sub(1)?;
            self.deep = self.deep.max(depth);
            here += 1;
            let Some(schema) = schema.as_object() else { continue };
            here += schema.get("enum").and_then(Json::as_array).map_or(0, Vec::len) + compiling(schema);
            if here > OFTEN {
                return None;
            }
            for (keyword, below) in schema.iter().cycle().take(schema.len() * times(schema)) {
                self.keyword(bundle, schema, keyword, below, depth, &mut open, &mut steps);
            }
        }
        let parts = steps.parts()?;
        *left = left.checked_sub(parts.iter().map(Vec::len).sum())?;
        self.places[number].here = here;
        self.places[number].parts = parts;
        Some(())
    }

    #[expect(clippy::too_many_arguments, reason = "they are what one keyword of a walk is")]
    fn keyword(
        &mut self,
        bundle: &'v Json,
        schema: &'v Map<String, Json>,
        keyword: &str,
        below: &'v Json,
        depth: usize,
        open: &mut Vec<(&'v Json, usize)>,
        steps: &mut Steps<'v>,
    ) {
        let schemas = below.as_array().into_iter().flatten();
        let named = below.as_object().into_iter().flatten();
        match keyword {
            "$ref" => open.extend(target(bundle, below).map(|target| (target, depth + 1))),
            "allOf" | "anyOf" | "oneOf" => open.extend(schemas.map(|schema| (schema, depth + 1))),
            "not" | "if" | "then" | "else" => open.push((below, depth + 1)),
            "dependentSchemas" => open.extend(named.map(|(_, schema)| (schema, depth + 1))),
            "properties" => named.for_each(|(name, schema)| {
                let number = self.number(schema);
                steps.named.entry(name).or_default().push(number);
            }),
            "patternProperties" => {
                named.for_each(|(_, schema)| steps.others.push((self.number(schema), None)));
            }
            "unevaluatedProperties" | "propertyNames" => steps.others.push((self.number(below), None)),
            "additionalProperties" => {
                let listed = schema.get("properties").and_then(Json::as_object);
                steps.others.push((self.number(below), listed));
            }
            "prefixItems" => schemas.enumerate().for_each(|(at, schema)| {
                let number = self.number(schema);
                steps.listed.entry(at).or_default().push(number);
            }),
            "items" | "contains" | "unevaluatedItems" => steps.items.push(self.number(below)),
            // Every item is compared with others.
            "uniqueItems" => steps.items.push(self.number(&Json::Null)),
            _ => {}
        }
    }

    /// How many schemas may look at one value at most; none if there is no end to it.
    fn settled(&self) -> Option<usize> {
        let mut often: Vec<usize> = self.places.iter().map(|place| place.here).collect();
        for _ in 0..ROUNDS {
            let mut changed = false;
            for (number, place) in self.places.iter().enumerate() {
                let sum = |part: &Vec<usize>| part.iter().map(|below| often[*below]).sum::<usize>();
                let most = place.parts.iter().map(sum).max().unwrap_or(0);
                if most > OFTEN {
                    return None;
                }
                changed |= most > often[number];
                often[number] = often[number].max(most);
            }
            if !changed {
                return often.into_iter().max();
            }
        }
        None
    }
}

impl Steps<'_> {
    /// None where there are more than are looked at.
    fn parts(&self) -> Option<Vec<Vec<usize>>> {
        let (names, listed) = (self.named.len() + 1, self.listed.len() + 1);
        if names.saturating_mul(self.others.len() + 1) + listed.saturating_mul(self.items.len() + 1)
            > LOOKED_AT
        {
            return None;
        }
        let others: Vec<usize> = self.others.iter().map(|(number, _)| *number).collect();
        let mut parts = vec![others, self.items.clone()];
        for (name, own) in &self.named {
            let looks = |listed: &Map<String, Json>| !listed.contains_key(*name);
            let others = self.others.iter().filter(|(_, listed)| listed.is_none_or(looks));
            parts.push(own.iter().copied().chain(others.map(|(number, _)| *number)).collect());
        }
        parts.extend(self.listed.values().map(|own| [&own[..], &self.items].concat()));
        parts.retain(|part| !part.is_empty());
        Some(parts)
    }
}

/// To know what was not evaluated, a validator evaluates the rest again.
fn times(schema: &Map<String, Json>) -> usize {
    let again = ["unevaluatedProperties", "unevaluatedItems"].iter().any(|key| schema.contains_key(*key));
    1 + usize::from(again)
}
