//! Templated segments: literal parts around parameters, and all those of one place in the tree.

use std::cmp::Reverse;
use std::sync::Arc;

use hashbrown::HashMap;

/// A segment of a template that has parameters. Their names make no difference to the route.
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct Pattern {
    /// What stands before the first parameter.
    first: Box<str>,
    /// Each parameter, and what stands behind it; at least one.
    then: Box<[(Reach, Box<str>)]>,
}

/// What a parameter takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reach {
    Segment,
    /// One or more segments, with the `/` between them.
    Path,
}

/// The patterns of one place, each with what it leads to.
#[derive(Debug)]
pub struct Patterns<T> {
    /// The best first, as long as they are few; then in the order of insertion.
    all: Vec<(Arc<Pattern>, T)>,
    /// There once they are many.
    index: Option<Index>,
}

/// Finds the patterns that a text can fit without trying each: by what it begins with, then by what it
/// ends with.
#[derive(Debug, Default)]
struct Index {
    known: HashMap<Arc<Pattern>, usize>,
    prefixes: ByText<ByText<Vec<usize>>>,
}

/// Values by texts, and which lengths the texts have.
#[derive(Debug)]
struct ByText<T> {
    values: HashMap<Box<str>, T>,
    lengths: Vec<usize>,
}

impl Pattern {
    pub fn new(first: &str, then: Vec<(Reach, String)>) -> Pattern {
        let then = then.into_iter().map(|(reach, literal)| (reach, literal.into_boxed_str()));
        Pattern { first: first.into(), then: then.collect() }
    }

    pub fn is_greedy(&self) -> bool {
        self.then.iter().any(|(reach, _)| *reach == Reach::Path)
    }

    /// How much of it is concrete; more comes first.
    fn weight(&self) -> usize {
        self.first.len() + self.then.iter().map(|(_, literal)| literal.len()).sum::<usize>()
    }

    /// What a text that fits begins and ends with.
    fn ends(&self) -> (&str, &str) {
        (&self.first, self.then.last().map_or("", |(_, last)| last))
    }

    /// Appends what each parameter stands for; false, with nothing appended that counts, if the
    /// text does not fit. Every parameter takes at least one byte, and the shortest run.
    pub fn capture<'p>(&self, text: &'p str, captures: &mut Vec<&'p str>) -> bool {
        let Some(mut rest) = text.strip_prefix(&*self.first) else { return false };
        let Some(((reach, last), between)) = self.then.split_last() else { return rest.is_empty() };
        for (reach, literal) in between {
            let from = rest.chars().next().map_or(0, char::len_utf8);
            let Some(end) = rest.get(from..).and_then(|tail| tail.find(&**literal)) else { return false };
            let (value, after) = rest.split_at(from + end);
            if !reach.takes(value) {
                return false;
            }
            captures.push(value);
            rest = &after[literal.len()..];
        }
        match rest.strip_suffix(&**last) {
            Some(value) if reach.takes(value) => {
                captures.push(value);
                true
            }
            _ => false,
        }
    }
}

impl Reach {
    fn takes(self, value: &str) -> bool {
        !value.is_empty() && (self == Reach::Path || !value.contains('/'))
    }
}

impl<T> Default for Patterns<T> {
    fn default() -> Self {
        Patterns { all: Vec::new(), index: None }
    }
}

impl<T: Copy> Patterns<T> {
    /// So many are tried one by one.
    const FEW: usize = 8;

    pub fn get(&self, number: usize) -> Option<(&Pattern, T)> {
        self.all.get(number).map(|(pattern, to)| (&**pattern, *to))
    }

    /// What the pattern leads to: `new`, if it was not there.
    pub fn insert(&mut self, pattern: Pattern, new: T) -> T {
        let known = match &self.index {
            Some(index) => index.known.get(&pattern).copied(),
            None => self.all.iter().position(|(known, _)| **known == pattern),
        };
        if let Some(known) = known {
            return self.all[known].1;
        }
        let pattern = Arc::new(pattern);
        match &mut self.index {
            Some(index) => {
                index.insert(&pattern, self.all.len());
                self.all.push((pattern, new));
            }
            None => {
                let place = self.all.partition_point(|(known, _)| known.weight() >= pattern.weight());
                self.all.insert(place, (pattern, new));
            }
        }
        if self.index.is_none() && self.all.len() > Self::FEW {
            let mut index = Index::default();
            for (number, (pattern, _)) in self.all.iter().enumerate() {
                index.insert(pattern, number);
            }
            self.index = Some(index);
        }
        new
    }

    /// The numbers of those that a text can fit, the best first: longer literal parts come before
    /// shorter ones, and the order of insertion breaks ties.
    pub fn candidates(&self, text: &str) -> Candidates {
        match &self.index {
            None => Candidates::Few(0..self.all.len()),
            Some(index) => {
                let mut found = index.of(text);
                found.sort_by_cached_key(|number| (Reverse(self.all[*number].0.weight()), *number));
                Candidates::Many(found.into_iter())
            }
        }
    }

    /// Orders numbers of [`Self::candidates`] of different texts.
    pub fn rank(&self, number: usize) -> (Reverse<usize>, usize) {
        (Reverse(self.all.get(number).map_or(0, |(pattern, _)| pattern.weight())), number)
    }
}

/// Numbers of patterns.
pub enum Candidates {
    Few(std::ops::Range<usize>),
    Many(std::vec::IntoIter<usize>),
}

impl Iterator for Candidates {
    type Item = usize;

    fn next(&mut self) -> Option<usize> {
        match self {
            Candidates::Few(numbers) => numbers.next(),
            Candidates::Many(numbers) => numbers.next(),
        }
    }
}

impl Index {
    fn insert(&mut self, pattern: &Arc<Pattern>, number: usize) {
        let (prefix, suffix) = pattern.ends();
        self.prefixes.entry(prefix).entry(suffix).push(number);
        self.known.insert(pattern.clone(), number);
    }

    fn of(&self, text: &str) -> Vec<usize> {
        let mut found = Vec::new();
        let end = |length: usize| text.len().checked_sub(length).and_then(|from| text.get(from..));
        for suffixes in self.prefixes.of(|length| text.get(..length)) {
            found.extend(suffixes.of(end).flatten());
        }
        found
    }
}

impl<T> Default for ByText<T> {
    fn default() -> Self {
        ByText { values: HashMap::new(), lengths: Vec::new() }
    }
}

impl<T: Default> ByText<T> {
    fn entry(&mut self, text: &str) -> &mut T {
        if !self.values.contains_key(text)
            && let Err(place) = self.lengths.binary_search(&text.len())
        {
            self.lengths.insert(place, text.len());
        }
        self.values.entry_ref(text).or_default()
    }

    /// The values of the texts that `part` gives for the lengths there are.
    fn of<'s>(&'s self, part: impl Fn(usize) -> Option<&'s str>) -> impl Iterator<Item = &'s T> {
        self.lengths.iter().filter_map(move |length| self.values.get(part(*length)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `*` is a parameter, `**` a greedy one.
    fn pattern(text: &str) -> Pattern {
        let (reach, star) = if text.contains("**") { (Reach::Path, "**") } else { (Reach::Segment, "*") };
        let mut literals = text.split(star);
        let first = literals.next().unwrap_or("");
        Pattern::new(first, literals.map(|literal| (reach, literal.to_owned())).collect())
    }

    #[track_caller]
    fn check(template: &str, text: &str, expected: Option<&[&str]>) {
        let mut captures = Vec::new();
        let fits = pattern(template).capture(text, &mut captures);
        assert_eq!(fits.then_some(captures.as_slice()), expected);
    }

    #[test]
    fn literals_hold_the_parameters_apart() {
        check("*", "a", Some(&["a"]));
        check("*.json", "a.json", Some(&["a"]));
        check("*.json", ".json", None);
        check("v*", "v1", Some(&["1"]));
        check("*-*", "a-b-c", Some(&["a", "b-c"]));
        check("*-*", "-a-b", Some(&["-a", "b"]));
        check("*-*", "ab", None);
        check("*:verb", "a:verb", Some(&["a"]));
    }

    #[test]
    fn only_a_greedy_parameter_holds_a_slash() {
        check("*:verb", "a/b:verb", None);
        check("*-*", "a/b-c", None);
        check("**:verb", "a/b:verb", Some(&["a/b"]));
        check("**", "a/b/", Some(&["a/b/"]));
    }

    #[test]
    fn of_many_patterns_those_that_can_fit_are_candidates_best_first() {
        let mut patterns = Patterns::default();
        patterns.insert(pattern("*"), 0);
        for number in 0..10_000 {
            patterns.insert(pattern(&format!("*:verb{number}")), number * 3 + 1);
            patterns.insert(pattern(&format!("p{number}-*")), number * 3 + 2);
            patterns.insert(pattern(&format!("p{number}-*:verb{number}")), number * 3 + 3);
        }
        assert_eq!(patterns.insert(pattern("p7-*"), 0), 23);
        let found = |text: &str| -> Vec<i32> {
            patterns.candidates(text).filter_map(|number| Some(patterns.get(number)?.1)).collect()
        };
        assert_eq!(found("p7-x:verb7"), [24, 22, 23, 0]);
        assert_eq!(found("x:verb9999"), [29998, 0]);
        assert_eq!(found("\u{e9}"), [0]);
    }
}
