//! Which operation a path is for: templates in a trie of segments.
//!
//! The order of candidates is OpenAPI 3.1, 4.8.8, made total: from the left, concrete segments come
//! before templated ones, longer literal parts before shorter ones, those that may take several
//! segments last, and document order breaks ties. A candidate that does not have the request's method,
//! or whose conditions do not hold, gives way to the next one.

use hashbrown::{HashMap, HashSet};
use http::Method;

use super::message::Head;
use condition::{Asked, Entries};
use pattern::Patterns;

mod template;

mod condition;

mod pattern;

pub mod path;

pub use template::{Captured, Segment, Template, bare, whole};

/// The routes of all documents.
#[derive(Debug, Default)]
pub struct Table {
    nodes: Vec<Node>,
    /// Whether a parameter may take several segments, so that one place is reached in several ways.
    greedy: bool,
}

#[derive(Debug, Default)]
struct Node {
    literals: HashMap<Box<str>, usize>,
    patterns: Option<Box<Patterns<usize>>>,
    /// Those that may take several segments.
    greedy: Option<Box<Patterns<usize>>>,
    entries: Entries,
}

/// What a route leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Target {
    /// The operation's number, as the caller counts.
    pub operation: usize,
    /// Segments of the template that belong to the base path.
    pub base: usize,
}

/// Why a route was not added.
#[derive(Debug, PartialEq, Eq)]
pub enum Refused {
    /// Another one, read before it, has the same template without conditions.
    Taken(Target),
    /// The same, under the same conditions.
    ConditionsTaken(Target),
    /// Its template has more segments than a path that is looked up.
    TooLong,
}

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
    /// There are more ways to read the path by the templates than are looked at.
    Undecided,
}

/// Segments of a template. It bounds the tree and the search, and no path has as many.
const DEEPEST: usize = 500;

/// Segments with parameters that one look-up tries. Real documents need a handful; what is over it was
/// made to be.
const MOST_TRIED: usize = 20_000;

impl Table {
    pub fn insert(&mut self, template: Template, method: Method, target: Target) -> Result<(), Refused> {
        if template.segments.len() > DEEPEST {
            return Err(Refused::TooLong);
        }
        if self.nodes.is_empty() {
            self.nodes.push(Node::default());
        }
        let mut at = 0;
        for segment in template.segments {
            at = self.child(at, segment);
        }
        let refused = match template.conditions.is_empty() {
            true => Refused::Taken,
            false => Refused::ConditionsTaken,
        };
        self.nodes[at].entries.insert(method, template.conditions, target).map_err(refused)
    }

    fn child(&mut self, at: usize, segment: Segment) -> usize {
        let next = self.nodes.len();
        let node = &mut self.nodes[at];
        let found = match segment {
            Segment::Literal(text) => *node.literals.entry(text.into()).or_insert(next),
            Segment::Templated(pattern) if pattern.is_greedy() => {
                self.greedy = true;
                node.greedy.get_or_insert_default().insert(pattern, next)
            }
            Segment::Templated(pattern) => node.patterns.get_or_insert_default().insert(pattern, next),
        };
        if found == next {
            self.nodes.push(Node::default());
        }
        found
    }

    /// Looks a canonical path up (see [`path::canonical`]), with the method, query and headers of a
    /// request. `HEAD` finds a `GET`.
    pub fn find<'p>(&self, path: &'p str, head: &Head<'_>) -> Found<'p> {
        self.search(path, head).0
    }

    /// What was found, and how many segments with parameters were tried.
    fn search<'p>(&self, path: &'p str, head: &Head<'_>) -> (Found<'p>, usize) {
        let mut search = Search {
            table: self,
            method: head.method,
            asked: Asked::new(head),
            captures: Vec::new(),
            others: Vec::new(),
            failed: HashSet::new(),
            tried: 0,
        };
        let found = match self.nodes.is_empty() {
            true => None,
            false => path.strip_prefix('/').and_then(|rest| search.descend(0, Some(rest))),
        };
        let Search { captures, others, tried, .. } = search;
        let found = match found {
            _ if tried > MOST_TRIED => Found::Undecided,
            Some(target) => Found::Route { target, captures },
            None if others.is_empty() => Found::Nothing,
            None => Found::OtherMethods(others),
        };
        (found, tried)
    }
}

struct Search<'t, 'p, 'h> {
    table: &'t Table,
    method: &'h Method,
    asked: Asked<'h>,
    captures: Vec<&'p str>,
    others: Vec<Method>,
    /// Places, with the bytes of the path that were left, that led nowhere; where a place may be
    /// reached in several ways.
    failed: HashSet<(usize, usize)>,
    tried: usize,
}

impl<'p> Search<'_, 'p, '_> {
    /// The best route below a node for the rest of the path; `None` is its end.
    ///
    /// It goes as deep as the longest template, and turns back only at nodes where several segments
    /// fit.
    fn descend(&mut self, at: usize, rest: Option<&'p str>) -> Option<Target> {
        let table = self.table;
        let node = &table.nodes[at];
        let Some(rest) = rest else { return self.target_of(node) };
        if table.greedy && self.failed.contains(&(at, rest.len())) {
            return None;
        }
        let found = self
            .literal(node, rest)
            .or_else(|| self.templated(node, rest))
            .or_else(|| self.greedy(node, rest));
        if table.greedy && found.is_none() {
            self.failed.insert((at, rest.len()));
        }
        found
    }

    fn literal(&mut self, node: &Node, rest: &'p str) -> Option<Target> {
        let (segment, rest) = split(rest);
        let child = node.literals.get(segment)?;
        self.descend(*child, rest)
    }

    fn templated(&mut self, node: &Node, rest: &'p str) -> Option<Target> {
        let patterns = node.patterns.as_deref()?;
        let (segment, rest) = split(rest);
        patterns.candidates(segment).find_map(|number| self.attempt(patterns, number, segment, rest))
    }

    /// The best of the patterns first, and of each the shortest run.
    fn greedy(&mut self, node: &Node, rest: &'p str) -> Option<Target> {
        let patterns = node.greedy.as_deref()?;
        let slashes = rest.match_indices('/').map(|(at, _)| at);
        let mut ways = Vec::new();
        for end in slashes.chain([rest.len()]) {
            self.tried += 1;
            let candidates = patterns.candidates(&rest[..end]);
            // Below a place without children, the path must be at its end.
            let leads_on = |number: &usize| {
                let child = patterns.get(*number).map(|(_, child)| &self.table.nodes[child]);
                end == rest.len() || child.is_some_and(Node::has_children)
            };
            let before = ways.len();
            ways.extend(candidates.filter(leads_on).map(|number| (patterns.rank(number), end)));
            self.tried += ways.len() - before;
            if self.tried > MOST_TRIED {
                return None;
            }
        }
        ways.sort_unstable();
        ways.into_iter().find_map(|((_, number), end)| {
            let after = rest[end..].strip_prefix('/');
            self.attempt(patterns, number, &rest[..end], after)
        })
    }

    fn attempt(
        &mut self,
        patterns: &Patterns<usize>,
        number: usize,
        text: &'p str,
        rest: Option<&'p str>,
    ) -> Option<Target> {
        self.tried += 1;
        let (pattern, child) = patterns.get(number).filter(|_| self.tried <= MOST_TRIED)?;
        let before = self.captures.len();
        let fits = pattern.capture(text, &mut self.captures);
        let found = if fits { self.descend(child, rest) } else { None };
        if found.is_none() {
            self.captures.truncate(before);
        }
        found
    }

    fn target_of(&mut self, node: &Node) -> Option<Target> {
        let mut found = node.entries.find(self.method, &mut self.asked);
        if found.is_none() && *self.method == Method::HEAD {
            found = node.entries.find(&Method::GET, &mut self.asked);
        }
        if found.is_none() {
            for method in node.entries.methods(&mut self.asked) {
                if !self.others.contains(method) {
                    self.others.push(method.clone());
                }
            }
        }
        found
    }
}

impl Node {
    fn has_children(&self) -> bool {
        !self.literals.is_empty() || self.patterns.is_some() || self.greedy.is_some()
    }
}

/// A path's first segment, and what is left behind its `/`; none at the path's end.
fn split(path: &str) -> (&str, Option<&str>) {
    match path.split_once('/') {
        Some((segment, rest)) => (segment, Some(rest)),
        None => (path, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(routes: &[&str]) -> Table {
        let mut table = Table::default();
        for (operation, route) in routes.iter().enumerate() {
            let (method, path) = route.split_once(' ').unwrap();
            let template = Template::parse("", path, &[]);
            table.insert(template, method.parse().unwrap(), Target { operation, base: 0 }).unwrap();
        }
        table
    }

    /// What a request finds, with the number of segments with parameters that were tried.
    fn find(table: &Table, request: &str, with: impl FnOnce(Found<'_>, usize)) {
        let (method, target) = request.split_once(' ').unwrap();
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let (method, headers) = (method.parse().unwrap(), http::HeaderMap::new());
        let head = Head {
            method: &method,
            path,
            query: Some(query),
            headers: &headers,
            scheme: "http",
            authority: "",
        };
        let (found, tried) = table.search(path, &head);
        with(found, tried);
    }

    /// `routes` are `METHOD /template`; the expected are the found one's template and captures.
    #[track_caller]
    fn check(routes: &[&str], request: &str, expected: &str) {
        let mut shown = String::new();
        find(&table(routes), request, |found, _| {
            shown = match found {
                Found::Route { target, captures } => {
                    [vec![routes[target.operation]], captures].concat().join(" ")
                }
                Found::OtherMethods(others) => {
                    let others: Vec<_> = others.iter().map(Method::as_str).collect();
                    format!("405 {}", others.join(" "))
                }
                Found::Nothing => "404".to_owned(),
                Found::Undecided => "400".to_owned(),
            };
        });
        assert_eq!(shown, expected);
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
        let template = |segments: usize| format!("GET {}", "/{x}".repeat(segments));
        let path = |segments: usize| format!("GET {}", "/a".repeat(segments));
        let search = move || check(&[&template(DEEPEST)], &path(DEEPEST + 1), "404");
        let small = std::thread::Builder::new().stack_size(1 << 20).spawn(search);
        small.expect("a thread").join().expect("the search has room");
        let long = Template::parse("", &"/{x}".repeat(16 << 10), &[]);
        let target = Target { operation: 0, base: 0 };
        assert_eq!(Table::default().insert(long, Method::GET, target), Err(Refused::TooLong));
    }

    #[test]
    fn a_greedy_parameter_comes_last_and_takes_the_shortest_run() {
        let routes =
            ["GET /{+all}", "GET /a/{+rest}", "GET /a/{x}", "GET /a/{+rest}/jobs", "GET /a/{+rest}:cancel"];
        check(&routes, "GET /a/b", "GET /a/{x} b");
        check(&routes, "GET /a/b/c", "GET /a/{+rest} b/c");
        check(&routes, "GET /a/b/jobs", "GET /a/{+rest}/jobs b");
        check(&routes, "GET /a/b/jobs/jobs", "GET /a/{+rest}/jobs b/jobs");
        check(&routes, "GET /a/b/c:cancel", "GET /a/{+rest}:cancel b/c");
        check(&routes, "GET /b/c/", "GET /{+all} b/c/");
        check(&routes, "GET /", "404");
        check(&["GET /{+a}/x/{+b}"], "GET /1/x/x/2", "GET /{+a}/x/{+b} 1 x/2");
        check(&["GET /{+a}/{b}-{+c}/end"], "GET /1/2/3-4/5/end", "GET /{+a}/{b}-{+c}/end 1/2 3 4/5");
    }

    #[test]
    fn many_greedy_parameters_end_soon() {
        let templates: Vec<String> =
            (0..1000).map(|n| format!("GET {}/{n}", "/{+x}/a".repeat(n % 100 + 1))).collect();
        let templates: Vec<&str> = templates.iter().map(String::as_str).collect();
        let table = table(&templates);
        let started = std::time::Instant::now();
        find(&table, &format!("GET {}", "/a".repeat(4 << 10)), |found, tried| {
            assert_eq!((found, tried < 2 * MOST_TRIED), (Found::Undecided, true));
        });
        find(&table, &format!("GET {}/7", "/a".repeat(50)), |found, _| {
            assert!(matches!(found, Found::Route { .. }), "{found:?}");
        });
        assert!(started.elapsed().as_secs() < 10, "{:?}", started.elapsed());
    }

    #[test]
    fn of_many_templates_few_are_tried() {
        let many = |n: usize| {
            ["x/{a}:verb", "y/{a}.ext", "z/prefix"].map(|form| match form {
                "z/prefix" => format!("GET /z/prefix{n}-{{a}}"),
                form => format!("GET /{form}{n}"),
            })
        };
        let templates: Vec<String> = (0..20_000).flat_map(many).chain(["GET /x/{a}".into()]).collect();
        let templates: Vec<&str> = templates.iter().map(String::as_str).collect();
        let table = table(&templates);
        for request in ["GET /x/1:verb19999", "GET /y/1.ext7", "GET /z/prefix100-1", "GET /x/none"] {
            find(&table, request, |found, tried| {
                assert!(matches!(found, Found::Route { .. }) && tried < 8, "{found:?} after {tried}");
            });
        }
    }

    #[test]
    fn the_most_conditions_that_hold_come_first() {
        let routes = ["GET /a", "GET /a?x=1", "GET /a?x=1&y", "GET /a?y", "POST /a?x=2", "GET /{b}"];
        check(&routes, "GET /a", "GET /a");
        check(&routes, "GET /a?x=1&z", "GET /a?x=1");
        check(&routes, "GET /a?y=5&x=1", "GET /a?x=1&y");
        check(&routes, "HEAD /a?y", "GET /a?y");
        check(&routes, "PUT /a", "405 GET");
        check(&routes, "PUT /a?x=2", "405 GET POST");
        check(&["GET /a?x=1", "GET /{b}"], "GET /a", "GET /{b} a");
        check(&["GET /a?x=1", "POST /a"], "GET /a", "405 POST");
        check(&["GET /a?x=1"], "GET /a?x=2", "404");
        check(&["GET /a?x", "GET /a?y"], "GET /a?y&x", "GET /a?x");
    }

    #[test]
    fn of_many_conditions_few_are_looked_at() {
        let templates: Vec<String> = (0..20_000).map(|n| format!("GET /?act&of=all&op={n}&no={n}")).collect();
        let templates: Vec<&str> = templates.iter().map(String::as_str).collect();
        let table = table(&templates);
        let started = std::time::Instant::now();
        for n in 0..1000 {
            find(&table, &format!("GET /?no={n}&of=all&op={n}&act=1"), |found, _| {
                assert!(matches!(found, Found::Route { target, .. } if target.operation == n), "{found:?}");
            });
        }
        assert!(started.elapsed().as_secs() < 10, "{:?}", started.elapsed());
    }

    #[test]
    fn a_trailing_slash_is_another_path() {
        check(&["GET /a"], "GET /a/", "404");
        check(&["GET /a/"], "GET /a/", "GET /a/");
        check(&["GET /"], "GET /", "GET /");
    }

    #[test]
    fn the_first_of_equal_routes_stays() {
        let mut table = table(&["GET /a/{x}", "GET /b?y=1&x"]);
        let mut insert = |key: &str| {
            table.insert(Template::parse("", key, &[]), Method::GET, Target { operation: 9, base: 0 })
        };
        let taken = |operation| Err(Refused::Taken(Target { operation, base: 0 }));
        assert_eq!(insert("/a/{y}"), taken(0));
        assert_eq!(insert("/a/{y}{z}#label"), taken(0));
        let conditions = Target { operation: 1, base: 0 };
        assert_eq!(insert("/b?x={x}&y=1"), Err(Refused::ConditionsTaken(conditions)));
        assert_eq!(insert("/b?x=1&y=1"), Ok(()));
    }
}
