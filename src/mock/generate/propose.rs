//! Walks a schema and gives each place a value that is probably right.
//!
//! At a place the schemas that hold there are one [`Shape`]. What is to be decided (which branch, which type,
//! which properties) is counted by one number, the place's [`Variant`]: 0 decides for the first or by
//! chance, and each higher one for something else. What turns out impossible below is decided anew here, so
//! that only what nothing can be done about goes up.

use std::borrow::Cow;
use std::cell::OnceCell;
use std::collections::{HashMap, HashSet};
use std::fmt::Write;
use std::sync::LazyLock;

use serde_json::{Map, Value as Json};

use super::Impossible;
use super::chance::{Chance, mix, number_of};
use super::end::Ends;
use super::number::Kind;
use super::pattern::{Pattern, Range};
use super::realistic;
use super::shape::{Branches, Shape, Types, is_same};
use super::text::{self, Asked, FIXED};
use crate::mock::message::Moment;
use crate::tree::push_token;

/// Values of an instance; past it nothing is shown that need not be there.
const VALUES: usize = 2_000;

/// Values that even what must be there may have.
const MOST_VALUES: usize = 20_000;

/// Items of one array that all differ: each is compared with those before it.
const MOST_DISTINCT: usize = 1_000;

/// Levels of objects and arrays that are shown although they need not be there.
const SHOWN: usize = 8;

/// Levels that an instance may have at all.
const DEEPEST: usize = 48;

/// Ways that one place tries in a round before it gives up.
const TRIES: usize = 24;

/// Characters of a place that a message names.
const LONGEST_PLACE: usize = 60;

/// Times that a definition may be open above one of its own that need not be there.
const AGAIN: usize = 2;

/// What instances are made for.
#[derive(Debug, Clone, Copy)]
pub enum Way {
    Fixed,
    Random(Moment),
}

/// Which of the values that a place may have is to be tried.
#[derive(Debug, Clone, Copy, Default)]
pub struct Variant {
    pub number: usize,
    /// A property that is not to be there if it need not be.
    pub left_out: bool,
}

pub struct Proposer<'b, 'v> {
    bundle: &'b Json,
    way: Way,
    variants: &'v HashMap<String, Variant>,
    /// Where the walk is.
    pointer: String,
    /// The definitions on the way there.
    open: Vec<usize>,
    /// Places whose value stands in the schema as a whole.
    wholes: Vec<String>,
    values: usize,
    /// Schemas that may still be looked at.
    steps: usize,
    /// Definitions that did not end where nothing was shown but what must be.
    endless: HashSet<usize>,
    ends: OnceCell<Ends>,
}

/// One place of the instance, and what is known of it.
#[derive(Debug, Clone)]
struct Place<'b> {
    schemas: Vec<&'b Json>,
    /// Schemas that may not hold here.
    nots: Vec<&'b Json>,
    /// The value of a discriminator.
    pin: Option<&'b str>,
    name: Cow<'b, str>,
    /// Which of several that must differ.
    nth: usize,
    seed: u64,
    depth: usize,
    /// Values that it may have.
    share: usize,
    extent: Extent,
}

/// How much is shown.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Extent {
    Full,
    /// What must be there, and as short as it may be.
    Least,
}

type Outcome<T = Json> = Result<T, Impossible>;

impl<'b, 'v> Proposer<'b, 'v> {
    pub fn new(bundle: &'b Json, way: Way, variants: &'v HashMap<String, Variant>, steps: usize) -> Self {
        Proposer {
            bundle,
            way,
            variants,
            pointer: String::new(),
            open: Vec::new(),
            wholes: Vec::new(),
            values: 0,
            steps,
            endless: HashSet::new(),
            ends: OnceCell::new(),
        }
    }

    pub fn propose(&mut self) -> Outcome {
        let seed = match self.way {
            Way::Fixed => 0,
            Way::Random(moment) => moment.seed,
        };
        let place = Place {
            schemas: vec![self.bundle],
            nots: Vec::new(),
            pin: None,
            name: Cow::Borrowed(""),
            nth: 0,
            seed,
            depth: 0,
            share: VALUES,
            extent: Extent::Full,
        };
        let shape = self.shape(&place);
        self.value(&place, shape)
    }

    /// The place that tries another way because of what is wrong at one: a value that was taken as a whole, if
    /// it is inside of one.
    pub fn responsible<'p>(&'p self, pointer: &'p str) -> &'p str {
        let inside =
            |whole: &&String| pointer.strip_prefix(whole.as_str()).is_some_and(|rest| rest.starts_with('/'));
        self.wholes.iter().find(inside).map_or(pointer, String::as_str)
    }

    /// Those that are left.
    pub fn steps(&self) -> usize {
        self.steps
    }

    pub fn impossible(&self, why: &str) -> Impossible {
        self.impossible_at(&self.pointer, why)
    }

    pub fn impossible_at(&self, pointer: &str, why: &str) -> Impossible {
        let name = self.bundle.pointer("/$defs/0/$comment").and_then(Json::as_str).unwrap_or("schema");
        let place = format!("{name}{pointer}");
        let place = match place.char_indices().nth(LONGEST_PLACE) {
            Some((end, _)) => format!("{}...", &place[..end]),
            None => place,
        };
        Impossible { place, why: why.to_owned() }
    }

    fn shape(&mut self, place: &Place<'b>) -> Shape<'b> {
        self.steps = self.steps.saturating_sub(place.schemas.len());
        let mut shape = Shape::of(self.bundle, &place.schemas);
        shape.nots.extend(&place.nots);
        shape
    }

    fn variant(&self) -> Variant {
        match self.variants.is_empty() {
            true => Variant::default(),
            false => self.variants.get(&self.pointer).copied().unwrap_or_default(),
        }
    }

    fn is_fixed(&self) -> bool {
        matches!(self.way, Way::Fixed)
    }

    /// Chance at a place.
    fn chance(&self, place: &Place<'b>, variant: usize) -> Chance {
        match self.way {
            Way::Fixed => Chance::First,
            Way::Random(_) => Chance::seeded(mix(place.seed, variant as u64)),
        }
    }

    fn ends(&self) -> &Ends {
        self.ends.get_or_init(|| Ends::of(self.bundle))
    }

    fn value(&mut self, place: &Place<'b>, first: Shape<'b>) -> Outcome {
        self.values += 1;
        if place.depth > DEEPEST {
            let again = self
                .open
                .iter()
                .filter(|number| self.open.iter().filter(|open| open == number).count() > AGAIN);
            self.endless.extend(again);
            return Err(self.impossible("what must be there nests without an end"));
        }
        if place.extent == Extent::Least
            && first.definitions.iter().any(|number| self.endless.contains(number))
        {
            return Err(self.impossible("what must be there nests without an end"));
        }
        if self.values > MOST_VALUES {
            return Err(self.impossible("what must be there has too many values"));
        }
        let variant = self.variant().number;
        let shown = self.fitting(place, &first, first.examples.iter().chain(&first.defaults));
        if let Some(shown) = shown.get(variant) {
            return Ok(self.whole(shown));
        }
        let variant = variant - shown.len();
        let mut shape = Some(first);
        let mut last = None;
        for number in variant..variant + TRIES {
            if self.steps == 0 {
                return Err(last.unwrap_or_else(|| self.impossible("to make it takes too many steps")));
            }
            let shape = match shape.take() {
                Some(shape) => shape,
                None => self.shape(place),
            };
            let before = self.values;
            let made = self.settled(place, shape, number);
            match made {
                Ok(Some(value)) => return Ok(value),
                Ok(None) => break,
                Err(impossible) => {
                    self.values = before;
                    last.get_or_insert(impossible);
                }
            }
        }
        Err(last.unwrap_or_else(|| self.impossible("nothing fits")))
    }

    /// Those of the values that stand in the schema that can be right.
    fn fitting<'s>(
        &self,
        place: &Place<'b>,
        shape: &Shape<'b>,
        shown: impl Iterator<Item = &'s &'b Json>,
    ) -> Vec<&'b Json>
    where
        'b: 's,
    {
        if !self.is_fixed() || place.nth > 0 || place.pin.is_some() {
            return Vec::new();
        }
        let fits = |shown: &&'b Json| match shown {
            Json::Object(entries) => {
                shape.types.has(Types::OBJECT)
                    && shape.required.iter().all(|name| entries.contains_key(*name))
            }
            shown => shape.allows(shown),
        };
        shown.copied().filter(fits).collect()
    }

    fn whole(&mut self, shown: &Json) -> Json {
        if shown.is_array() || shown.is_object() {
            self.wholes.push(self.pointer.clone());
        }
        shown.clone()
    }

    /// One way of the many that a place has. None where all have been tried.
    fn settled(&mut self, place: &Place<'b>, mut shape: Shape<'b>, number: usize) -> Outcome<Option<Json>> {
        let mut number = Number { left: number, tried: number, chance: self.chance(place, number) };
        let known = (shape.examples.len(), shape.defaults.len());
        let settled = self.settle(place, &mut shape, &mut number);
        let made = settled.and_then(|()| {
            // What a branch shows counts as what the schema itself does.
            let shown = shape.examples[known.0..].iter().chain(&shape.defaults[known.1..]);
            if let Some(shown) = self.fitting(place, &shape, shown).first().filter(|_| number.take(2) == 0) {
                return Ok(self.whole(shown));
            }
            let extent = if self.opens_again(&shape) { Extent::Least } else { place.extent };
            let open = self.open.len();
            self.open.extend(&shape.definitions);
            let made = self.make(&Place { extent, ..place.clone() }, &mut shape, &mut number);
            self.open.truncate(open);
            made
        });
        // A number beyond all there is has been tried as a lower one.
        if number.left > 0 && made.is_err() { Ok(None) } else { made.map(Some) }
    }

    /// Takes a branch of each `oneOf` and `anyOf`, and a side of each `if`.
    fn settle(&mut self, place: &Place<'b>, shape: &mut Shape<'b>, number: &mut Number) -> Outcome<()> {
        let mut alone = Vec::new();
        loop {
            if let Some(branches) = (!shape.branches.is_empty()).then(|| shape.branches.remove(0)) {
                let taken = self.branch(place, shape, &branches, number)?;
                if branches.exactly_one {
                    alone.push((branches, taken));
                }
            } else if let Some(condition) = (!shape.conditions.is_empty()).then(|| shape.conditions.remove(0))
            {
                self.condition(shape, condition, number);
            } else {
                break;
            }
            if self.steps == 0 || shape.parts.len() > 2_000 {
                return Err(self.impossible("its schema takes too many steps"));
            }
        }
        for (branches, taken) in alone {
            if !self.exclude_others(shape, &branches, taken) {
                return Err(self.impossible("more than one of its alternatives always hold"));
            }
        }
        if shape.never {
            return Err(self.impossible("its schema allows nothing"));
        }
        if shape.cut {
            return Err(self.impossible("its schema reaches more than is looked at"));
        }
        if shape.types.is_none() {
            return Err(self.impossible("its schemas ask for different types"));
        }
        Ok(())
    }

    fn branch(
        &mut self,
        place: &Place<'b>,
        shape: &mut Shape<'b>,
        branches: &Branches<'b>,
        number: &mut Number,
    ) -> Outcome<usize> {
        let mut possible: Vec<usize> = Vec::new();
        for (at, branch) in branches.all.iter().enumerate() {
            self.steps = self.steps.saturating_sub(1);
            if self.is_possible(shape, branch) {
                possible.push(at);
            }
        }
        let of = |at: &usize| branches.all.get(*at).unwrap_or(&Json::Null);
        let is_null = |at: &usize| Types::of_schema(of(at)) == Types::NULL;
        let last = |at: &usize| is_null(at) || self.is_open_again(of(at));
        // Null is seldom what somebody wants to see.
        possible.sort_by_key(|at| (last(at), is_null(at)));
        if place.extent == Extent::Least {
            possible.sort_by_key(|at| self.ends().below(self.bundle, of(at)));
        } else {
            let usual = possible.iter().filter(|at| !last(at)).count();
            let nulls = possible.iter().filter(|at| is_null(at)).count();
            let first = if nulls > 0 && number.is_rare() {
                possible.len() - nulls
            } else {
                number.chance.pick(usual)
            };
            possible.rotate_left(first);
        }
        let Some(at) = possible.get(number.take(possible.len())).copied() else {
            return Err(self.impossible("none of its alternatives can hold"));
        };
        if let Some(branch) = branches.all.get(at) {
            shape.add(self.bundle, branch);
            self.pin(shape, branches, branch);
        }
        Ok(at)
    }

    /// The property by which clients tell the alternatives apart gets the name of the one that was taken.
    fn pin(&self, shape: &mut Shape<'b>, branches: &Branches<'b>, branch: &'b Json) {
        let Some(discriminator) = branches.of.get("discriminator") else { return };
        let property = discriminator.get("propertyName").and_then(Json::as_str);
        let mapping = discriminator.get("mapping").and_then(Json::as_object);
        let name = mapping.into_iter().flatten().find(|(_, target)| branch.get("$ref") == Some(target));
        if let (Some(property), Some((name, _))) = (property, name) {
            shape.pins.push((property, name));
        }
    }

    /// Whether a definition that a schema refers to is open often enough.
    fn is_open_again(&self, schema: &Json) -> bool {
        let number = definition_of(self.bundle, schema);
        number.is_some_and(|number| self.open.iter().filter(|open| **open == number).count() >= AGAIN)
    }

    /// Whether a schema can hold besides what holds already, by what is seen at a glance.
    fn is_possible(&self, shape: &Shape<'b>, schema: &'b Json) -> bool {
        let other = Shape::of(self.bundle, &[schema]);
        !other.never
            && !other.marked
            && shape.types.and(other.types) != Types::NONE
            && self.enums_meet(shape, &other)
            && !self.properties_differ(shape, &other)
    }

    fn enums_meet(&self, one: &Shape<'b>, other: &Shape<'b>) -> bool {
        let listed = one.enums.iter().chain(&other.enums).min_by_key(|all| all.len());
        listed.is_none_or(|all| {
            all.iter().any(|value| {
                one.lists(value)
                    && other.lists(value)
                    && one.types.has(Types::of(value))
                    && other.types.has(Types::of(value))
            })
        })
    }

    /// Whether a property that both look at would have to be two things at once.
    fn properties_differ(&self, one: &Shape<'b>, other: &Shape<'b>) -> bool {
        let of = |shape: &Shape<'b>| {
            shape.parts.iter().filter_map(|part| part.get("properties")?.as_object()).collect::<Vec<_>>()
        };
        let (ones, others) = (of(one), of(other));
        if ones.is_empty() || others.is_empty() {
            return false;
        }
        others.iter().flat_map(|properties| properties.iter()).any(|(name, schema)| {
            let needed = one.required.contains(&name.as_str()) || other.required.contains(&name.as_str());
            needed
                && ones.iter().filter_map(|properties| properties.get(name)).any(|known| {
                    let (known, schema) =
                        (Shape::of(self.bundle, &[known]), Shape::of(self.bundle, &[schema]));
                    known.types.and(schema.types).is_none() || !self.enums_meet(&known, &schema)
                })
        })
    }

    /// JSON Schema 2020-12 Core, 9.3.1.3: exactly one may hold. False where another holds whenever this one
    /// does.
    fn exclude_others(&mut self, shape: &mut Shape<'b>, branches: &Branches<'b>, taken: usize) -> bool {
        let others = branches.all.iter().enumerate().filter(|(at, _)| *at != taken);
        others.into_iter().all(|(_, branch)| {
            self.steps = self.steps.saturating_sub(1);
            let other = Shape::of(self.bundle, &[branch]);
            self.exclude(shape, &other)
        })
    }

    fn exclude(&self, shape: &mut Shape<'b>, other: &Shape<'b>) -> bool {
        let differs = shape.types.and(other.types).is_none()
            || !self.enums_meet(shape, other)
            || self.properties_differ(shape, other)
            || other.required.iter().any(|name| shape.forbidden.contains(name));
        if differs {
            return true;
        }
        let rest = shape.types.without(other.types);
        if shape.listed.is_some() && !rest.is_none() {
            shape.types = rest;
            return true;
        }
        // Null is the first thing that several have in common.
        if shape.listed.is_some() && shape.types.without(Types::NULL) != Types::NONE {
            shape.types = shape.types.without(Types::NULL);
            if shape.types.and(other.types).is_none() {
                return true;
            }
        }
        let of = |shape: &Shape<'b>| -> Vec<(&'b str, &'b Json)> {
            let all = shape.parts.iter().filter_map(|part| part.get("properties")?.as_object());
            all.flatten().map(|(name, schema)| (name.as_str(), schema)).collect()
        };
        let (own, others) = (of(shape), of(other));
        // An alternative that asks for a property does not hold without it; best one that is not shown anyway.
        let is_own = |name: &str| own.iter().any(|(known, _)| *known == name);
        let mut free = other.required.iter().filter(|name| !shape.required.contains(name));
        if let Some(name) = free.clone().find(|name| !is_own(name)).or_else(|| free.next()) {
            shape.forbidden.push(name);
            return true;
        }
        if !shape.types.has(Types::OBJECT) {
            return true;
        }
        // Nor with a property that it does not allow, or only as something else.
        let closed =
            other.parts.iter().any(|part| part.get("additionalProperties") == Some(&Json::Bool(false)));
        let stranger = own.iter().find(|(name, _)| !others.iter().any(|(known, _)| known == name));
        let differing = own.iter().find(|(name, schema)| {
            let is_other = |(known, other): &&(&str, &'b Json)| {
                let (schema, other) = (Shape::of(self.bundle, &[schema]), Shape::of(self.bundle, &[other]));
                known == name
                    && (schema.types.and(other.types).is_none() || !self.enums_meet(&schema, &other))
            };
            others.iter().any(|other| is_other(&other))
        });
        if let Some((name, _)) = stranger.filter(|_| closed).or(differing) {
            shape.required.push(name);
            return true;
        }
        let keys = Keys::of(shape);
        let strange = others.iter().find(|(name, schema)| {
            let types = Shape::of(self.bundle, &[schema]).types;
            types != Types::ANY
                && keys.schemas(shape, name).is_empty()
                && keys.may_be_named(self.bundle, name)
        });
        if let Some((name, schema)) = strange {
            shape.strange.push((name, schema));
            return true;
        }
        let is_covered = |part: &&Map<String, Json>| {
            const COVERED: [&str; 8] =
                ["$ref", "$comment", "type", "properties", "required", "example", "default", "xml"];
            part.keys().all(|keyword| COVERED.contains(&keyword.as_str()))
        };
        let same = others.iter().all(|other| own.contains(other));
        !(same && other.parts.iter().all(is_covered))
    }

    fn condition(&mut self, shape: &mut Shape<'b>, schema: &'b Map<String, Json>, number: &mut Number) {
        let Some(test) = schema.get("if") else { return };
        self.steps = self.steps.saturating_sub(1);
        let otherwise = !self.is_possible(shape, test);
        if otherwise || number.take(2) == 1 {
            shape.nots.push(test);
            schema.get("else").into_iter().for_each(|side| shape.add(self.bundle, side));
        } else {
            shape.add(self.bundle, test);
            schema.get("then").into_iter().for_each(|side| shape.add(self.bundle, side));
        }
    }

    fn make(&mut self, place: &Place<'b>, shape: &mut Shape<'b>, number: &mut Number) -> Outcome {
        if let Some(pin) = place.pin.map(Json::from).filter(|pin| shape.allows(pin)) {
            return Ok(pin);
        }
        if let Some(all) = shape.enums.iter().min_by_key(|all| all.len()) {
            return self.listed(place, shape, all, number);
        }
        match self.kind(place, shape, number) {
            Types::NULL => Ok(Json::Null),
            Types::BOOLEAN => {
                let odd = (place.nth + number.take(2)) % 2 == 1;
                let chance = matches!(self.way, Way::Random(_)) && number.chance.pick(2) == 1;
                Ok((odd == chance).into())
            }
            Types::ARRAY => self.array(place, shape, number),
            Types::OBJECT => self.object(place, shape, number),
            Types::STRING => {
                let asked = Asked {
                    name: &place.name,
                    nth: place.nth + number.tried,
                    seed: place.seed,
                    now: self.now(),
                };
                let text = text::propose(shape, &asked);
                number.left = 0;
                text.map(Json::from).map_err(|why| self.impossible(why))
            }
            kind => self.number(place, shape, kind, number),
        }
    }

    fn now(&self) -> Option<i64> {
        match self.way {
            Way::Fixed => None,
            Way::Random(moment) => Some(moment.now),
        }
    }

    fn listed(&self, place: &Place<'b>, shape: &Shape<'b>, all: &'b [Json], number: &mut Number) -> Outcome {
        let fits = |value: &&Json| shape.lists(value) && shape.allows(value) && !shape.refuses(value);
        let mut values: Vec<&Json> = all.iter().filter(fits).collect();
        if values.iter().any(|value| !value.is_null()) {
            values.retain(|value| !value.is_null());
        }
        let first = if self.is_fixed() { place.nth } else { number.chance.pick(values.len()) + place.nth };
        let at = first + number.take(values.len());
        match values.get(at % values.len().max(1)) {
            Some(value) => Ok((*value).clone()),
            None => Err(self.impossible("none of the values that it lists fits the rest of it")),
        }
    }

    /// The type to make of those that are allowed.
    fn kind(&self, place: &Place<'b>, shape: &Shape<'b>, number: &mut Number) -> Types {
        const ALL: [Types; 7] = [
            Types::STRING,
            Types::OBJECT,
            Types::ARRAY,
            Types::FRACTION,
            Types::INTEGER,
            Types::BOOLEAN,
            Types::NULL,
        ];
        let mut types = shape.types;
        if shape.listed.is_none() || types == Types::ANY {
            let implied = shape.implied();
            let usual = if place.depth == 0 { Types::OBJECT } else { Types::STRING };
            let wanted = if implied.is_none() { usual } else { implied };
            types = if types.has(wanted) { types.and(wanted) } else { types };
        }
        let listed = shape.listed.unwrap_or_default().iter().filter_map(Json::as_str).map(Types::named);
        let mut all: Vec<Types> = Vec::new();
        for kind in listed.chain(ALL) {
            let kind = if kind.has(Types::FRACTION) { Types::FRACTION } else { kind };
            // A number may be an integer, but what says number shows a fraction.
            let covered = kind == Types::INTEGER && types.has(Types::FRACTION);
            if types.has(kind) && !covered && !all.contains(&kind) {
                all.push(kind);
            }
        }
        let nulls = usize::from(all.len() > 1 && all.contains(&Types::NULL));
        all.sort_by_key(|kind| *kind == Types::NULL);
        let rare = nulls > 0 && number.is_rare();
        let first = if rare { all.len() - 1 } else { number.chance.pick(all.len() - nulls) };
        let at = first + number.take(all.len());
        all.get(at % all.len().max(1)).copied().unwrap_or(Types::NULL)
    }

    fn number(&mut self, place: &Place<'b>, shape: &Shape<'b>, types: Types, number: &mut Number) -> Outcome {
        let kind = if types.has(Types::FRACTION) { Kind::Fraction } else { Kind::Integer };
        let mut bounds = shape.bounds.clone();
        match shape.format {
            Some("int32") => bounds.usually(i32::MIN.into(), i32::MAX.into()),
            Some("int64") => bounds.usually(i64::MIN, i64::MAX),
            Some("int8") => bounds.usually(-128, 127),
            Some("int16") => bounds.usually(-32_768, 32_767),
            Some("uint8") => bounds.usually(0, 255),
            Some("uint16") => bounds.usually(0, 65_535),
            Some("uint32") => bounds.usually(0, u32::MAX.into()),
            Some("uint64") => bounds.at_least(&0.into(), false),
            _ => {}
        }
        let is_time = matches!(shape.format, Some("unix-time" | "unixtime" | "timestamp" | "epoch"));
        let tried = std::mem::take(&mut number.left).max(number.tried) + place.nth;
        let found = match self.way {
            Way::Fixed => {
                let usual = if is_time { (FIXED / 1000) as f64 } else { 1.0 };
                let half = if kind == Kind::Fraction { 0.5 } else { 0.0 };
                let wanted = (0..50).map(|more| usual + half + (tried + more) as f64);
                // Where there is an upper bound, the others are below.
                let below = (0..50).map(|less| usual - half - (tried + less) as f64);
                // Where there is none for one wish, there is none for any.
                let mut candidates = wanted
                    .chain(below)
                    .map_while(|wanted| bounds.nearest(kind, Some(wanted), &mut Chance::First));
                let first = candidates.next();
                first.filter(|first| tried == 0 && !shape.refuses(first)).or_else(|| {
                    let mut others: Vec<Json> =
                        bounds.nearest(kind, Some(usual + half), &mut Chance::First).into_iter().collect();
                    for candidate in candidates {
                        if !others.contains(&candidate) {
                            others.push(candidate);
                        }
                    }
                    others.retain(|other| !shape.refuses(other));
                    let at = tried % others.len().max(1);
                    (at < others.len()).then(|| others.swap_remove(at))
                })
            }
            Way::Random(moment) => {
                let mut chance = Chance::seeded(mix(place.seed, mix(tried as u64, 7)));
                let named = match realistic::range(&place.name) {
                    _ if is_time || realistic::is_time(&place.name) => {
                        let now = moment.now / 1000;
                        Some((now - 365 * 24 * 3600, now))
                    }
                    range => range,
                };
                let usual: &[(i64, i64)] = if bounds.are_narrow() {
                    &[]
                } else {
                    &[(0, 1_000), (0, 1_000_000), (-1_000_000, 1_000_000)]
                };
                let ranges = named.into_iter().chain(usual.iter().copied());
                let ranges = ranges.map(|(low, high)| {
                    let mut narrower = bounds.clone();
                    narrower.usually(low, high);
                    narrower
                });
                let mut all = ranges.chain([bounds.clone()]);
                all.find_map(|bounds| {
                    let drawn = (0..8).map_while(|_| bounds.nearest(kind, None, &mut chance));
                    drawn.into_iter().find(|drawn| !shape.refuses(drawn))
                })
            }
        };
        if found.is_none() {
            // Every scale was tried.
            self.steps = self.steps.saturating_sub(20);
        }
        found.ok_or_else(|| self.impossible("no number is within its bounds"))
    }

    fn array(&mut self, place: &Place<'b>, shape: &Shape<'b>, number: &mut Number) -> Outcome {
        let prefixes: Vec<&'b [Json]> = shape
            .parts
            .iter()
            .filter_map(|part| part.get("prefixItems")?.as_array().map(Vec::as_slice))
            .collect();
        let prefix = prefixes.iter().map(|prefix| prefix.len()).max().unwrap_or(0);
        let contained: Vec<(&'b Json, usize)> = shape
            .parts
            .iter()
            .filter_map(|part| {
                let least = part.get("minContains").and_then(Json::as_u64).unwrap_or(1);
                Some((part.get("contains")?, usize::try_from(least).unwrap_or(usize::MAX)))
            })
            .collect();
        let needed = contained.iter().fold(0, |sum: usize, (_, least)| sum.saturating_add(*least));
        let after_prefix = if needed > 0 { prefix.saturating_add(needed) } else { 0 };
        let least =
            shape.least_items.max(if after_prefix > shape.most_items { needed } else { after_prefix });
        let shown = self.length(place, prefix, number).max(least);
        let shown = if place.extent == Extent::Least || place.depth >= SHOWN { least } else { shown };
        let most = shape.most_items;
        if least > most || least > MOST_VALUES {
            return Err(self.impossible("no array has the length that it asks for"));
        }
        if shape.unique && least > MOST_DISTINCT {
            return Err(self.impossible("it asks for more distinct items than are made"));
        }
        let length = shown.min(most);
        let from = if after_prefix > most { 0 } else { prefix };
        let mut items: Vec<Json> = Vec::new();
        let mut left = place.share;
        for at in 0..length {
            let mut schemas: Vec<&'b Json> = Vec::new();
            for part in &shape.parts {
                let own =
                    part.get("prefixItems").and_then(|prefix| prefix.get(at)).or_else(|| part.get("items"));
                schemas.extend(own);
            }
            if schemas.is_empty() {
                schemas.extend(shape.parts.iter().filter_map(|part| part.get("unevaluatedItems")));
            }
            let mut nots: Vec<&'b Json> = shape.nots.iter().filter_map(|not| not.get("contains")).collect();
            let mut first = from;
            for (schema, least) in &contained {
                let is_one = (first..first.saturating_add(*least)).contains(&at);
                if is_one {
                    schemas.push(schema);
                } else {
                    nots.push(schema);
                }
                first = first.saturating_add(*least);
            }
            // Only where the number is limited does it matter that the others are not contained.
            if !shape.parts.iter().any(|part| part.contains_key("maxContains")) {
                nots.retain(|not| !contained.iter().any(|(schema, _)| std::ptr::eq(*schema, *not)));
            }
            let item = Place {
                schemas,
                nots,
                pin: None,
                name: place.name.clone(),
                nth: place.nth,
                seed: mix(place.seed, at as u64 + 1),
                depth: place.depth + 1,
                share: left / (length - at).max(1),
                extent: if at < least && left == 0 { Extent::Least } else { place.extent },
            };
            let before = self.values;
            match self.item(&item, shape.unique, at, &items, at < least) {
                Ok(Some(value)) => items.push(value),
                Ok(None) => break,
                Err(_) if at >= least => break,
                Err(impossible) => return Err(impossible),
            }
            left = left.saturating_sub(self.values - before);
        }
        Ok(items.into())
    }

    /// How many items are shown where it is free.
    fn length(&self, place: &Place<'b>, prefix: usize, number: &mut Number) -> usize {
        let usual = match self.way {
            Way::Fixed => 1,
            Way::Random(_) if place.depth > 2 => 1 + number.chance.pick(2),
            Way::Random(_) => 1 + number.chance.pick(3),
        };
        match number.take(4) {
            0 => usual.max(prefix),
            1 => 0,
            2 => usual + 1,
            _ => usual + 3,
        }
    }

    /// None where it is better not shown.
    fn item(
        &mut self,
        item: &Place<'b>,
        unique: bool,
        at: usize,
        before: &[Json],
        must: bool,
    ) -> Outcome<Option<Json>> {
        let shape = self.shape(item);
        let again = self.opens_again(&shape);
        if !must && (shape.never || shape.marked || shape.cut || again || item.share == 0) {
            return Ok(None);
        }
        let extent = if again { Extent::Least } else { item.extent };
        let length = self.pointer.len();
        let _ = write!(self.pointer, "/{at}");
        let made = match unique {
            false => self.value(&Place { extent, ..item.clone() }, shape).map(Some),
            true => self.another(&Place { extent, ..item.clone() }, shape, at, before),
        };
        self.pointer.truncate(length);
        made
    }

    /// An item that is none of those before.
    fn another(
        &mut self,
        item: &Place<'b>,
        shape: Shape<'b>,
        at: usize,
        before: &[Json],
    ) -> Outcome<Option<Json>> {
        let mut shape = Some(shape);
        for nth in at..at + 2 * TRIES {
            let item = Place { nth: item.nth + nth, seed: mix(item.seed, nth as u64), ..item.clone() };
            let shape = match shape.take() {
                Some(shape) => shape,
                None => self.shape(&item),
            };
            let value = self.value(&item, shape)?;
            if !before.iter().any(|known| is_same(known, &value)) {
                return Ok(Some(value));
            }
        }
        Err(self.impossible("there are not as many different items as it asks for"))
    }

    /// Whether one of the definitions that hold is open often enough.
    fn opens_again(&self, shape: &Shape<'b>) -> bool {
        let times = |number: &usize| self.open.iter().filter(|open| *open == number).count();
        shape.definitions.iter().any(|number| times(number) >= AGAIN)
    }

    fn object(&mut self, place: &Place<'b>, shape: &mut Shape<'b>, number: &mut Number) -> Outcome {
        let policy = number.take(4);
        let mut applied: Vec<&'b str> = Vec::new();
        // Schemas that depend on properties may bring others.
        loop {
            let plan = self.plan(place, shape, policy, &mut number.chance)?;
            let dependent = shape.parts.iter().find_map(|part| {
                let all = part.get("dependentSchemas")?.as_object()?;
                all.iter().find(|(name, _)| {
                    !applied.contains(&name.as_str()) && plan.iter().any(|entry| entry.name == name.as_str())
                })
            });
            let Some((name, schema)) = dependent else { return self.entries(place, shape, plan) };
            applied.push(name);
            shape.add(self.bundle, schema);
            self.settle(place, shape, number)?;
        }
    }

    /// The properties to make, in the order of the schema.
    fn plan(
        &mut self,
        place: &Place<'b>,
        shape: &Shape<'b>,
        policy: usize,
        chance: &mut Chance,
    ) -> Outcome<Vec<Entry<'b>>> {
        let keys = Keys::of(shape);
        let own: Option<(&str, &str)> = self.own_name(shape);
        let pin = |name: &str| {
            shape.pins.iter().copied().chain(own).find(|(known, _)| *known == name).map(|(_, pin)| pin)
        };
        let mut required: HashSet<&str> = shape.required.iter().copied().collect();
        close(shape, &mut required);
        let mut entries: Vec<Entry<'b>> = Vec::new();
        let mut spare: Vec<Entry<'b>> = Vec::new();
        for name in keys.names(shape, &required) {
            let must = required.contains(name);
            let schemas = keys.schemas(shape, name);
            let child = Shape::of(self.bundle, &schemas);
            self.steps = self.steps.saturating_sub(1);
            if child.marked {
                continue;
            }
            let again = self.opens_again(&child);
            let entry =
                Entry { name: name.into(), nests: nests(&child), schemas, pin: pin(name), must, again };
            if must {
                entries.push(entry);
                continue;
            }
            let length = self.pointer.len();
            push_token(&mut self.pointer, name);
            let left_out = self.variant().left_out;
            self.pointer.truncate(length);
            let is_container = child.types.without(Types::OBJECT.or(Types::ARRAY)).is_none();
            let too_much = place.extent == Extent::Least
                || again
                || self.values > VALUES
                || place.share == 0
                || is_container && place.depth >= SHOWN;
            let cannot = child.never
                || child.cut
                || child.types.is_none()
                || left_out
                || shape.forbidden.contains(&name)
                || !keys.may_be_named(self.bundle, name)
                || brings_forbidden(shape, name);
            if cannot {
                continue;
            }
            let pinned = entry.pin.is_some();
            match !too_much && (pinned || self.is_shown(policy, chance)) {
                true => entries.push(entry),
                false => spare.push(entry),
            }
        }
        for (name, schema) in &shape.strange {
            let types = Shape::of(self.bundle, &[schema]).types;
            let unlike = ODD.iter().find(|(kind, _)| !types.has(*kind)).map(|(_, schema)| schema);
            if let Some(schema) = unlike.filter(|_| !entries.iter().any(|entry| entry.name == *name)) {
                let entry = Entry {
                    name: (*name).into(),
                    schemas: vec![schema],
                    pin: None,
                    must: true,
                    again: false,
                    nests: false,
                };
                entries.push(entry);
            }
        }
        self.meet_dependencies(shape, &keys, &mut entries);
        let most = shape.most_properties;
        while entries.len() > most
            && let Some(last) = entries.iter().rposition(|entry| !entry.must)
        {
            entries.remove(last);
        }
        while entries.len() < shape.least_properties && !spare.is_empty() {
            entries.push(spare.remove(0));
        }
        let is_map = entries.is_empty() && keys.is_map && place.extent == Extent::Full && place.depth < SHOWN;
        let wanted = shape.least_properties.max(usize::from(is_map && policy != 1)).min(most);
        self.further(place, shape, &keys, wanted, &mut entries)?;
        Ok(entries)
    }

    /// Whether what need not be there is.
    fn is_shown(&self, policy: usize, chance: &mut Chance) -> bool {
        match (policy, self.way) {
            (0 | 2, Way::Fixed) => true,
            (1 | 3, Way::Fixed) => false,
            (1, Way::Random(_)) => false,
            (3, Way::Random(_)) => true,
            _ => chance.pick(5) > 0,
        }
    }

    /// Entries of names that no schema lists.
    fn further(
        &mut self,
        place: &Place<'b>,
        shape: &Shape<'b>,
        keys: &Keys<'b>,
        wanted: usize,
        entries: &mut Vec<Entry<'b>>,
    ) -> Outcome<()> {
        if wanted > MOST_VALUES {
            return Err(self.impossible("it asks for too many properties"));
        }
        let must = shape.least_properties > 0;
        for number in 0..wanted * 4 {
            if entries.len() >= wanted {
                break;
            }
            let Some(name) = keys.further(self, place, number) else { break };
            let is_there =
                entries.iter().any(|entry| entry.name == name) || shape.forbidden.contains(&name.as_str());
            let schemas = keys.schemas(shape, &name);
            let child = Shape::of(self.bundle, &schemas);
            if is_there || child.never || child.marked || child.cut || !keys.may_be_named(self.bundle, &name)
            {
                continue;
            }
            let again = self.opens_again(&child);
            if again && !must {
                break;
            }
            entries.push(Entry { name: name.into(), nests: nests(&child), schemas, pin: None, must, again });
        }
        if entries.len() < shape.least_properties {
            return Err(self.impossible("it asks for more properties than it allows"));
        }
        Ok(())
    }

    /// What shown properties bring is there as well.
    fn meet_dependencies(&mut self, shape: &Shape<'b>, keys: &Keys<'b>, entries: &mut Vec<Entry<'b>>) {
        let mut at = 0;
        while let Some(entry) = entries.get(at) {
            at += 1;
            let name = entry.name.to_string();
            let brought =
                shape.parts.iter().filter_map(|part| part.get("dependentRequired")?.get(&name)?.as_array());
            for other in brought.flatten().filter_map(Json::as_str) {
                match entries.iter_mut().find(|entry| entry.name == other) {
                    Some(known) => known.must = true,
                    None => {
                        let schemas = keys.schemas(shape, other);
                        let child = Shape::of(self.bundle, &schemas);
                        let again = self.opens_again(&child);
                        let nests = nests(&child);
                        entries.push(Entry {
                            name: other.into(),
                            nests,
                            schemas,
                            pin: None,
                            must: true,
                            again,
                        });
                    }
                }
            }
        }
    }

    /// The name by which a definition is told from those that it is an alternative to, where it has the
    /// discriminator itself.
    fn own_name(&self, shape: &Shape<'b>) -> Option<(&'b str, &'b str)> {
        let discriminators =
            shape.parts.iter().filter(|part| !part.contains_key("oneOf") && !part.contains_key("anyOf"));
        let discriminator = discriminators.filter_map(|part| part.get("discriminator")).next()?;
        let property = discriminator.get("propertyName")?.as_str()?;
        let mapping = discriminator.get("mapping").and_then(Json::as_object);
        for number in &shape.definitions {
            let target = format!("#/$defs/{number}");
            let mapped = mapping.into_iter().flatten().find(|(_, value)| value.as_str() == Some(&target));
            if let Some((name, _)) = mapped {
                return Some((property, name));
            }
        }
        let names = shape.definitions.iter().filter_map(|number| {
            self.bundle.get("$defs")?.get(number.to_string())?.get("$comment")?.as_str()
        });
        names.into_iter().next().map(|name| (property, name))
    }

    fn entries(&mut self, place: &Place<'b>, shape: &Shape<'b>, plan: Vec<Entry<'b>>) -> Outcome {
        let mut object = Map::new();
        let mut left = place.share.saturating_sub(plan.len());
        let mut nesting = plan.iter().filter(|entry| entry.nests).count();
        for Entry { name, schemas, pin, must, again, nests } in plan {
            let share = if nests { left / nesting.max(1) } else { 1 };
            nesting = nesting.saturating_sub(usize::from(nests));
            if share == 0 && !must {
                continue;
            }
            let child = Place {
                schemas,
                nots: nots_of(shape, &name),
                pin,
                seed: mix(place.seed, number_of(&name)),
                name,
                nth: place.nth,
                depth: place.depth + 1,
                share,
                extent: if again { Extent::Least } else { place.extent },
            };
            let before = self.values;
            let length = self.pointer.len();
            push_token(&mut self.pointer, &child.name);
            let shape = self.shape(&child);
            let made = self.value(&child, shape);
            self.pointer.truncate(length);
            match made {
                Ok(value) => drop(object.insert(child.name.into_owned(), value)),
                Err(_) if !must => {}
                Err(impossible) => return Err(impossible),
            }
            left = left.saturating_sub((self.values - before).saturating_sub(1));
        }
        Ok(object.into())
    }
}

/// Values of a type that another does not have.
static ODD: LazyLock<[(Types, Json); 3]> = LazyLock::new(|| {
    let schema = |kind: &str| serde_json::json!({ "type": [kind] });
    [
        (Types::STRING, schema("string")),
        (Types::INTEGER, schema("integer")),
        (Types::BOOLEAN, schema("boolean")),
    ]
});

/// A number that decides several things, each by a digit of its own base.
struct Number {
    left: usize,
    tried: usize,
    chance: Chance,
}

impl Number {
    fn take(&mut self, count: usize) -> usize {
        let count = count.max(1);
        let digit = self.left % count;
        self.left /= count;
        digit
    }

    /// One time in ten, and never where nothing is left to chance.
    fn is_rare(&mut self) -> bool {
        !self.chance.is_first() && self.chance.pick(10) == 9
    }
}

/// A property to make.
struct Entry<'b> {
    name: Cow<'b, str>,
    schemas: Vec<&'b Json>,
    pin: Option<&'b str>,
    must: bool,
    /// Its definition is open often enough.
    again: bool,
    /// It may be an object or an array.
    nests: bool,
}

/// Which names an object may have, and what holds for each.
struct Keys<'b> {
    /// Patterns of names, with the number of the schema that has each.
    patterns: Vec<(usize, Option<Pattern>, &'b Json)>,
    /// What holds for the names.
    naming: Vec<&'b Json>,
    /// Names are for whoever writes the object to choose.
    is_map: bool,
}

impl<'b> Keys<'b> {
    fn of(shape: &Shape<'b>) -> Self {
        let mut keys = Keys { patterns: Vec::new(), naming: Vec::new(), is_map: false };
        for (number, part) in shape.parts.iter().enumerate() {
            let patterns = part.get("patternProperties").and_then(Json::as_object);
            for (pattern, schema) in patterns.into_iter().flatten() {
                keys.patterns.push((number, Pattern::parse(pattern), schema));
            }
            keys.naming.extend(part.get("propertyNames"));
            let says_more = |keyword: &str| {
                part.get(keyword).and_then(Json::as_object).is_some_and(|schema| !schema.is_empty())
            };
            keys.is_map |= says_more("additionalProperties") || says_more("unevaluatedProperties");
        }
        keys.is_map |= keys
            .patterns
            .iter()
            .any(|(_, pattern, schema)| pattern.is_some() && **schema != Json::Bool(false));
        keys
    }

    /// The names that schemas list, in their order, and those that are asked for besides.
    fn names(&self, shape: &Shape<'b>, required: &HashSet<&'b str>) -> Vec<&'b str> {
        let mut known = HashSet::new();
        let listed = shape.parts.iter().filter_map(|part| part.get("properties")?.as_object());
        let listed = listed.flat_map(|properties| properties.keys().map(String::as_str));
        let mut names: Vec<&str> = listed.filter(|name| known.insert(*name)).collect();
        names.extend(shape.required.iter().filter(|name| known.insert(**name)));
        let mut brought: Vec<&str> = required.iter().copied().filter(|name| known.insert(*name)).collect();
        brought.sort_unstable();
        names.extend(brought);
        names
    }

    /// What holds for the value of a name.
    fn schemas(&self, shape: &Shape<'b>, name: &str) -> Vec<&'b Json> {
        let mut schemas = Vec::new();
        let mut evaluated = false;
        for (number, part) in shape.parts.iter().enumerate() {
            let own = part.get("properties").and_then(|properties| properties.get(name));
            let before = schemas.len();
            schemas.extend(own);
            for (_, pattern, schema) in self.patterns.iter().filter(|(of, ..)| *of == number) {
                if pattern.as_ref().is_some_and(|pattern| pattern.matches(name) == Some(true)) {
                    schemas.push(schema);
                }
            }
            if schemas.len() == before {
                schemas.extend(part.get("additionalProperties"));
            }
            evaluated |= schemas.len() > before;
        }
        if !evaluated {
            schemas.extend(shape.parts.iter().filter_map(|part| part.get("unevaluatedProperties")));
        }
        schemas
    }

    fn may_be_named(&self, bundle: &'b Json, name: &str) -> bool {
        self.naming.is_empty() || {
            let shape = Shape::of(bundle, &self.naming);
            let name = name.into();
            !shape.never && shape.allows(&name) && !shape.refuses(&name)
        }
    }

    /// A name that no schema lists; each number gives another.
    fn further(&self, proposer: &Proposer<'b, '_>, place: &Place<'b>, number: usize) -> Option<String> {
        let seed = mix(place.seed, number as u64 + 1);
        let drawn: Vec<&Pattern> =
            self.patterns.iter().filter_map(|(_, pattern, _)| pattern.as_ref()).collect();
        if let Some(pattern) = drawn.get(number % drawn.len().max(1)) {
            let mut chance =
                if proposer.is_fixed() && number == 0 { Chance::First } else { Chance::seeded(seed) };
            return Some(pattern.draw(0, 40, Range::Usual, &mut chance));
        }
        let mut shape = Shape::of(proposer.bundle, &self.naming);
        if let Some(all) = shape.enums.iter().min_by_key(|all| all.len()) {
            return all.get(number % all.len().max(1))?.as_str().map(str::to_owned);
        }
        if shape.patterns.is_empty()
            && shape.format.is_none()
            && shape.least_length == 0
            && shape.most_length > 12
        {
            return Some(match proposer.way {
                Way::Fixed => format!("property{}", number + 1),
                Way::Random(_) => realistic::of(realistic::Kind::Word, &mut fastrand::Rng::with_seed(seed)),
            });
        }
        // An empty name is one, but no one expects it.
        shape.least_length = shape.least_length.max(1);
        text::propose(&shape, &Asked { name: "", nth: number, seed, now: proposer.now() }).ok()
    }
}

fn definition_of(bundle: &Json, schema: &Json) -> Option<usize> {
    super::shape::definition(bundle, schema.get("$ref")?).map(|(number, _)| number)
}

/// Whether a value may be an object or an array.
fn nests(shape: &Shape<'_>) -> bool {
    let containers = Types::OBJECT.or(Types::ARRAY);
    shape.types.has(containers)
        && (shape.types != Types::ANY || !shape.branches.is_empty() || shape.implied().has(containers))
}

/// Adds what required properties bring with them (`dependentRequired`).
fn close<'b>(shape: &Shape<'b>, required: &mut HashSet<&'b str>) {
    loop {
        let before = required.len();
        for part in &shape.parts {
            let all = part.get("dependentRequired").and_then(Json::as_object);
            for (_, names) in all
                .into_iter()
                .flatten()
                .filter(|(name, _)| required.contains(name.as_str()))
                .collect::<Vec<_>>()
            {
                required.extend(names.as_array().into_iter().flatten().filter_map(Json::as_str));
            }
        }
        if required.len() == before {
            break;
        }
    }
}

fn brings_forbidden(shape: &Shape<'_>, name: &str) -> bool {
    let brought = shape.parts.iter().filter_map(|part| part.get("dependentRequired")?.get(name)?.as_array());
    brought.flatten().filter_map(Json::as_str).any(|name| shape.forbidden.contains(&name))
}

/// What may not hold for a property: that of a `not` which is about it alone.
fn nots_of<'b>(shape: &Shape<'b>, name: &str) -> Vec<&'b Json> {
    let alone = shape.nots.iter().filter_map(|not| {
        let entries = not.as_object()?;
        let others = ["type", "properties", "required"];
        let properties = entries.get("properties")?.as_object()?;
        let is_alone =
            properties.len() == 1 && entries.keys().all(|keyword| others.contains(&keyword.as_str()));
        properties.get(name).filter(|_| is_alone)
    });
    alone.collect()
}
