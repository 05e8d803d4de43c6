//! Operations of one path that are told apart by the query or by a header, and all operations of one
//! place in the tree.

use std::borrow::Cow;

use hashbrown::{HashMap, HashSet};
use http::Method;

use super::Target;
use crate::mock::message::Head;

/// What a request must have: a parameter or header, whatever its value or with just this one.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Condition<'a> {
    pub place: Place,
    /// Decoded; of headers lower case.
    pub name: Cow<'a, str>,
    pub value: Option<Cow<'a, str>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Place {
    Query,
    Header,
}

/// What a request has, as conditions may ask for it. Read at the first of them.
pub struct Asked<'h> {
    head: &'h Head<'h>,
    facts: Option<HashSet<Condition<'h>>>,
}

/// The operations of one place in the tree.
#[derive(Debug, Default)]
pub struct Entries {
    /// Those without conditions.
    plain: Vec<(Method, Target)>,
    conditional: Option<Box<Conditional>>,
}

#[derive(Debug, Default)]
struct Conditional {
    all: Vec<Entry>,
    /// Each entry once, under the condition that the fewest have.
    by_one: HashMap<Condition<'static>, Vec<usize>>,
    /// By conditions, which are sorted.
    known: HashMap<Box<[Condition<'static>]>, Vec<usize>>,
}

#[derive(Debug)]
struct Entry {
    method: Method,
    conditions: Box<[Condition<'static>]>,
    target: Target,
}

impl<'h> Asked<'h> {
    pub fn new(head: &'h Head<'h>) -> Self {
        Asked { head, facts: None }
    }

    fn facts(&mut self) -> &HashSet<Condition<'h>> {
        let head = self.head;
        self.facts.get_or_insert_with(|| {
            let mut facts = HashSet::new();
            let mut add = |place, name: Cow<'h, str>, value: Cow<'h, str>| {
                facts.insert(Condition { place, name: name.clone(), value: None });
                facts.insert(Condition { place, name, value: Some(value) });
            };
            for (name, value) in url::form_urlencoded::parse(head.query.unwrap_or("").as_bytes()) {
                add(Place::Query, name, value);
            }
            for (name, value) in head.headers {
                let value = value.to_str().unwrap_or("").trim();
                add(Place::Header, name.as_str().into(), value.into());
            }
            facts
        })
    }
}

impl Entries {
    /// Adds an operation, unless one of that method and those conditions is there: that is the error.
    pub fn insert(
        &mut self,
        method: Method,
        conditions: Vec<Condition<'static>>,
        target: Target,
    ) -> Result<(), Target> {
        if !conditions.is_empty() {
            return self.conditional.get_or_insert_default().insert(method, conditions.into(), target);
        }
        match self.plain.iter().find(|(known, _)| *known == method) {
            Some((_, taken)) => Err(*taken),
            None => {
                self.plain.push((method, target));
                Ok(())
            }
        }
    }

    /// The operation of a method: the one with the most conditions that hold, then the first.
    pub fn find(&self, method: &Method, asked: &mut Asked<'_>) -> Option<Target> {
        let conditional = self.conditional.as_ref().and_then(|conditional| {
            let own = conditional.holding(asked).into_iter().filter(|(_, entry)| entry.method == *method);
            let best = own.max_by_key(|(number, entry)| (entry.conditions.len(), std::cmp::Reverse(*number)));
            best.map(|(_, entry)| entry.target)
        });
        let plain = || self.plain.iter().find(|(known, _)| known == method).map(|(_, target)| *target);
        conditional.or_else(plain)
    }

    /// The methods that the path has for this request. Where the conditions do not hold, it is as if
    /// their operations were not there.
    pub fn methods(&self, asked: &mut Asked<'_>) -> Vec<&Method> {
        let mut found: Vec<_> = self.plain.iter().map(|(method, _)| method).collect();
        if let Some(conditional) = &self.conditional {
            found.extend(conditional.holding(asked).into_iter().map(|(_, entry)| &entry.method));
        }
        found
    }
}

impl Conditional {
    fn insert(
        &mut self,
        method: Method,
        conditions: Box<[Condition<'static>]>,
        target: Target,
    ) -> Result<(), Target> {
        let number = self.all.len();
        let same = self.known.entry(conditions.clone()).or_default();
        if let Some(taken) = same.iter().map(|at| &self.all[*at]).find(|entry| entry.method == method) {
            return Err(taken.target);
        }
        same.push(number);
        let others = |condition: &&Condition<'static>| self.by_one.get(*condition).map_or(0, Vec::len);
        if let Some(rarest) = conditions.iter().min_by_key(others) {
            self.by_one.entry(rarest.clone()).or_default().push(number);
        }
        self.all.push(Entry { method, conditions, target });
        Ok(())
    }

    /// Those whose conditions all hold, in document order.
    fn holding(&self, asked: &mut Asked<'_>) -> Vec<(usize, &Entry)> {
        let facts = asked.facts();
        let numbers = facts.iter().filter_map(|fact| self.by_one.get(fact)).flatten();
        let entries = numbers.filter_map(|number| Some((*number, self.all.get(*number)?)));
        let holding = entries.filter(|(_, entry)| entry.conditions.iter().all(|one| facts.contains(one)));
        let mut holding: Vec<_> = holding.collect();
        holding.sort_unstable_by_key(|(number, _)| *number);
        holding
    }
}
