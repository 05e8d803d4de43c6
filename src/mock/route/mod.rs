//! Which operation a path is for: templates in a trie of segments.
//!
//! The order of candidates is OpenAPI 3.1, 4.8.8, made total: from the left, concrete segments come
//! before templated ones, longer literal parts before shorter ones, and document order breaks ties.
//! A candidate without the request's method gives way to the next one.

use hashbrown::HashMap;
use http::Method;

mod pattern;

pub mod path;

use pattern::Pattern;

/// The routes of all documents.
#[derive(Debug, Default)]
pub struct Table {
    nodes: Vec<Node>,
}

#[derive(Debug, Default)]
struct Node {
    literals: HashMap<Box<str>, usize>,
    /// Best first.
    patterns: Vec<(Pattern, usize)>,
    methods: Vec<Entry>,
}

#[derive(Debug)]
struct Entry {
    method: Method,
    target: Target,
}

/// What a route leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Target {
    /// The operation's number, as the caller counts.
    pub operation: usize,
    /// Segments of the template that belong to the base path.
    pub base: usize,
}

/// A route that another one, read before it, already has.
#[derive(Debug, PartialEq, Eq)]
pub struct Taken(pub Target);

/// What a path leads to.
#[derive(Debug, PartialEq, Eq)]
pub enum Found<'p> {
    Route {
        target: Target,
        /// What each `{parameter}` of the template stands for, from the left, still encoded.
        captures: Vec<&'p str>,
    },
    /// The path is known, the method is not; these are.
    OtherMethods(Vec<Method>),
    Nothing,
}

impl Table {
    /// Adds a route. Its template is a base path followed by a path of a document.
    pub fn insert(&mut self, base: &str, path: &str, method: Method, operation: usize) -> Result<(), Taken> {
        if self.nodes.is_empty() {
            self.nodes.push(Node::default());
        }
        let template = path::encode(&format!("{base}{path}")).into_owned();
        let mut at = 0;
        for segment in path::segments(&template) {
            at = self.child(at, segment);
        }
        let target = Target { operation, base: path::segments(base).count() };
        let methods = &mut self.nodes[at].methods;
        if let Some(entry) = methods.iter().find(|entry| entry.method == method) {
            return Err(Taken(entry.target));
        }
        methods.push(Entry { method, target });
        Ok(())
    }

    fn child(&mut self, at: usize, segment: &str) -> usize {
        let next = self.nodes.len();
        let node = &mut self.nodes[at];
        let found = match Pattern::parse(segment) {
            None => *node.literals.entry(segment.into()).or_insert(next),
            Some(pattern) => match node.patterns.iter().find(|(known, _)| *known == pattern) {
                Some((_, child)) => *child,
                None => {
                    let place =
                        node.patterns.partition_point(|(known, _)| known.weight() >= pattern.weight());
                    node.patterns.insert(place, (pattern, next));
                    next
                }
            },
        };
        if found == next {
            self.nodes.push(Node::default());
        }
        found
    }

    /// Looks a canonical path up (see [`path::canonical`]). `HEAD` finds a `GET`.
    pub fn find<'p>(&self, path: &'p str, method: &Method) -> Found<'p> {
        let mut search = Search { table: self, method, captures: Vec::new(), others: Vec::new() };
        let found = match self.nodes.is_empty() {
            true => None,
            false => path.strip_prefix('/').and_then(|rest| search.descend(0, Some(rest), 0)),
        };
        match found {
            Some(target) => Found::Route { target, captures: search.captures },
            None if search.others.is_empty() => Found::Nothing,
            None => Found::OtherMethods(search.others),
        }
    }
}

/// Segments of a path that are looked at, so that a hostile template cannot exhaust the stack. No
/// path has as many.
const DEEPEST: usize = 500;

struct Search<'t, 'p> {
    table: &'t Table,
    method: &'t Method,
    captures: Vec<&'p str>,
    others: Vec<Method>,
}

impl<'p> Search<'_, 'p> {
    /// The best route below a node for the rest of the path; `None` is its end.
    ///
    /// It goes as deep as the longest template, and turns back only at nodes where a concrete
    /// segment and a template both fit.
    fn descend(&mut self, at: usize, rest: Option<&'p str>, depth: usize) -> Option<Target> {
        if depth > DEEPEST {
            return None;
        }
        let table = self.table;
        let node = &table.nodes[at];
        let Some(rest) = rest else { return self.method_of(node) };
        let (segment, rest) = match rest.split_once('/') {
            Some((segment, rest)) => (segment, Some(rest)),
            None => (rest, None),
        };
        if let Some(child) = node.literals.get(segment)
            && let Some(found) = self.descend(*child, rest, depth + 1)
        {
            return Some(found);
        }
        for (pattern, child) in &node.patterns {
            let before = self.captures.len();
            if pattern.capture(segment, &mut self.captures)
                && let Some(found) = self.descend(*child, rest, depth + 1)
            {
                return Some(found);
            }
            self.captures.truncate(before);
        }
        None
    }

    fn method_of(&mut self, node: &Node) -> Option<Target> {
        let entry = |method: &Method| node.methods.iter().find(|entry| entry.method == *method);
        let found = entry(self.method).or_else(|| match *self.method {
            Method::HEAD => entry(&Method::GET),
            _ => None,
        });
        if found.is_none() {
            for entry in &node.methods {
                if !self.others.contains(&entry.method) {
                    self.others.push(entry.method.clone());
                }
            }
        }
        found.map(|entry| entry.target)
    }
}

/// The names of a template's parameters, from the left, as [`Found::Route`] captures them.
pub fn parameters(template: &str) -> impl Iterator<Item = &str> {
    path::segments(template).flat_map(pattern::names)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `routes` are `METHOD /template`; the expected are the found one's template and captures.
    #[track_caller]
    fn check(routes: &[&str], request: &str, expected: &str) {
        let mut table = Table::default();
        for (number, route) in routes.iter().enumerate() {
            let (method, path) = route.split_once(' ').unwrap();
            table.insert("", path, method.parse().unwrap(), number).unwrap();
        }
        let (method, path) = request.split_once(' ').unwrap();
        let found = match table.find(path, &method.parse().unwrap()) {
            Found::Route { target, captures } => {
                [vec![routes[target.operation]], captures].concat().join(" ")
            }
            Found::OtherMethods(others) => {
                let others: Vec<_> = others.iter().map(Method::as_str).collect();
                format!("405 {}", others.join(" "))
            }
            Found::Nothing => "404".to_owned(),
        };
        assert_eq!(found, expected);
    }

    #[test]
    fn concrete_segments_come_before_templated_ones() {
        check(&["GET /a/{x}", "GET /a/b"], "GET /a/b", "GET /a/b");
        check(&["GET /{x}/b", "GET /a/{y}"], "GET /a/b", "GET /a/{y} b");
    }

    #[test]
    fn longer_literal_parts_come_before_shorter_ones() {
        check(&["GET /a/{x}", "GET /a/{x}.json"], "GET /a/1.json", "GET /a/{x}.json 1");
        check(&["GET /a/{x}.json", "GET /a/{x}"], "GET /a/1.xml", "GET /a/{x} 1.xml");
    }

    #[test]
    fn a_search_turns_back_where_the_concrete_segment_leads_nowhere() {
        check(&["GET /a/b/c", "GET /{x}/b/d"], "GET /a/b/d", "GET /{x}/b/d a");
    }

    #[test]
    fn the_next_candidate_has_the_method() {
        check(&["GET /a/b", "POST /a/{x}"], "POST /a/b", "POST /a/{x} b");
        check(&["GET /a/b", "POST /a/{x}"], "PUT /a/b", "405 GET POST");
    }

    #[test]
    fn head_is_answered_as_get() {
        check(&["GET /a"], "HEAD /a", "GET /a");
        check(&["GET /a", "HEAD /a"], "HEAD /a", "HEAD /a");
    }

    #[test]
    fn several_parameters_share_a_segment() {
        check(&["GET /c/{base}...{head}"], "GET /c/v1...v2", "GET /c/{base}...{head} v1 v2");
        check(&["GET /c/{base}...{head}"], "GET /c/v1..v2", "404");
    }

    #[test]
    fn a_parameter_is_never_empty() {
        check(&["GET /a/{x}"], "GET /a/", "404");
    }

    #[test]
    fn a_very_long_template_does_not_exhaust_the_stack() {
        let template = format!("GET {}", "/{x}".repeat(16 << 10));
        let path = format!("GET {}", "/a".repeat(16 << 10));
        let search = move || check(&[&template], &path, "404");
        let small = std::thread::Builder::new().stack_size(1 << 20).spawn(search);
        small.expect("a thread").join().expect("the search has room");
    }

    #[test]
    fn a_trailing_slash_is_another_path() {
        check(&["GET /a"], "GET /a/", "404");
        check(&["GET /a/"], "GET /a/", "GET /a/");
        check(&["GET /"], "GET /", "GET /");
    }

    #[test]
    fn the_first_of_equal_routes_stays() {
        let mut table = Table::default();
        table.insert("", "/a/{x}", Method::GET, 0).unwrap();
        let taken = table.insert("", "/a/{y}", Method::GET, 1);
        assert_eq!(taken, Err(Taken(Target { operation: 0, base: 0 })));
    }
}
