//! Names that trees and schemas give themselves: `$self`, `$id`, `$anchor` and `$dynamicAnchor`.
//!
//! Few texts have any. A look at the text tells, and only those that may are walked.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::document::Format;
use super::uri;
use crate::diagnostic::{Code, Diagnostic, Severity, cut};
use crate::tree::{Tree, Value};

const NAMED_TWICE: Code = Code("SI0118");

/// Bytes of all names together. Where its base is long, a short `$id` makes a long name, so that a
/// text could stand for more names than there is memory for.
const ROOM: usize = 16 << 20;

/// Names given twice that are told; more say nothing new.
const TOLD: usize = 1000;

/// What trees and schemas call themselves.
#[derive(Default)]
pub struct Identities<'t> {
    resources: Vec<Resource<'t>>,
    by_name: HashMap<Arc<str>, usize>,
    anchors: HashMap<(usize, &'t str), Value<'t>>,
    /// What a tree is as a whole, where it has names at all.
    whole: HashMap<*const Tree, usize>,
    /// What a reference below an `$id` stands in, by its node.
    below: HashMap<(*const Tree, u32), usize>,
}

/// A tree or a schema with a name, which the references in it are relative to.
#[derive(Clone)]
pub struct Resource<'t> {
    pub root: Value<'t>,
    pub name: Arc<str>,
    pub by: By,
    number: usize,
}

/// What gave a resource its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum By {
    /// OpenAPI 3.2, 4.1.2.2.1: `$self`, or where the text came from.
    Document,
    /// JSON Schema 2020-12, 8.2.1.
    Id,
}

impl<'t> Identities<'t> {
    /// Looks through the trees in their order: of two that have one name, the first keeps it.
    pub fn of(trees: &[&'t Arc<Tree>], format: Format) -> (Self, Vec<Diagnostic>) {
        let mut search = Search { found: Identities::default(), room: ROOM, told: Vec::new() };
        for tree in trees.iter().filter(|tree| has_names(tree.text())) {
            let whole = search.document(tree);
            // 3.0 has schemas of its own, without any of these keywords.
            if format >= Format::V31 {
                search.schemas(tree, whole);
            }
        }
        (search.found, search.told)
    }

    /// What a reference stands in; none where its tree has no names.
    pub fn around(&self, reference: Value<'t>) -> Option<&Resource<'t>> {
        let tree = Arc::as_ptr(reference.tree());
        let below = if self.below.is_empty() { None } else { self.below.get(&(tree, reference.id())) };
        below.or_else(|| self.whole.get(&tree)).and_then(|&number| self.resources.get(number))
    }

    pub fn whole(&self, tree: &Arc<Tree>) -> Option<&Resource<'t>> {
        self.whole.get(&Arc::as_ptr(tree)).and_then(|&number| self.resources.get(number))
    }

    pub fn named(&self, name: &str) -> Option<&Resource<'t>> {
        self.by_name.get(name).and_then(|&number| self.resources.get(number))
    }

    pub fn anchor(&self, resource: &Resource<'t>, anchor: &str) -> Option<Value<'t>> {
        self.anchors.get(&(resource.number, anchor)).copied()
    }
}

/// Whether one of the keywords may stand in a text. Cheaper than any walk, and right for most texts.
fn has_names(text: &str) -> bool {
    const KEYWORDS: [&str; 4] = ["$self", "$id", "$anchor", "$dynamicAnchor"];
    let ends = |rest: &str| rest.starts_with(['"', '\'', ':', ' ', '\t', '\r', '\n']);
    text.match_indices('$')
        .any(|(at, _)| KEYWORDS.iter().any(|keyword| text[at..].strip_prefix(keyword).is_some_and(ends)))
}

struct Search<'t> {
    found: Identities<'t>,
    room: usize,
    told: Vec<Diagnostic>,
}

impl<'t> Search<'t> {
    /// A tree as a whole, under its `$self` if it has one.
    fn document(&mut self, tree: &'t Arc<Tree>) -> usize {
        let root = tree.root();
        let own = root.get("openapi").and_then(|_| root.get("$self"));
        let name = own.and_then(Value::as_str).and_then(|own| name(tree.name(), own));
        let number = match (own, name) {
            (Some(own), Some(name)) => self.resource(root, own, &name, By::Document),
            _ => None,
        };
        let number = number.unwrap_or_else(|| self.push(root, tree.name().into(), By::Document));
        self.found.whole.insert(Arc::as_ptr(tree), number);
        number
    }

    /// Every schema of a tree. What stands in examples and the like is data, whatever it looks like.
    fn schemas(&mut self, tree: &'t Arc<Tree>, whole: usize) {
        let mut seen = HashSet::new();
        let mut open = vec![(tree.root(), whole, Keys::Keywords)];
        while let Some((node, around, keys)) = open.pop() {
            // An alias is the same node once more.
            if !seen.insert(node.id()) {
                continue;
            }
            let inside = if keys == Keys::Keywords { self.names(node, around) } else { around };
            let from = open.len();
            let has_more = |value: &Value<'t>| value.is_mapping() || value.is_sequence();
            open.extend(node.items().filter(has_more).map(|item| (item, inside, Keys::Keywords)));
            let entries = node.entries().filter(|(_, value)| has_more(value));
            open.extend(entries.filter_map(|(key, value)| Some((value, inside, keys.below(key.text())?))));
            // What is open is taken from its end, and the first in the text goes first.
            open[from..].reverse();
        }
    }

    /// What an object calls itself, and what the references in it are relative to.
    fn names(&mut self, node: Value<'t>, around: usize) -> usize {
        let mut inside = around;
        if self.room > 0
            && let Some(id) = node.get("$id")
            && node.get("openapi").is_none()
            && let Some(name) = id.as_str().and_then(|id| name(&self.found.resources[around].name, id))
        {
            inside = self.resource(node, id, &name, By::Id).unwrap_or(around);
            let tree = Arc::as_ptr(node.tree());
            if node.is(node.tree().root()) {
                self.found.whole.insert(tree, inside);
            }
        }
        for keyword in ["$anchor", "$dynamicAnchor"] {
            let Some(anchor) = node.get(keyword) else { continue };
            let Some(text) = anchor.as_str() else { continue };
            let first = *self.found.anchors.entry((inside, text)).or_insert(node);
            if !first.is(node) {
                self.twice(anchor, text);
            }
        }
        let tree = Arc::as_ptr(node.tree());
        for keyword in ["$ref", "$dynamicRef"] {
            if let Some(reference) = node.get(keyword)
                && self.found.whole.get(&tree) != Some(&inside)
            {
                self.found.below.insert((tree, reference.id()), inside);
            }
        }
        inside
    }

    /// None where there is no room for another name, and then for none after it.
    fn resource(&mut self, root: Value<'t>, given: Value<'t>, name: &str, by: By) -> Option<usize> {
        let left = self.room.checked_sub(name.len());
        self.room = left.unwrap_or(0);
        left?;
        let name: Arc<str> = name.into();
        let number = self.push(root, name.clone(), by);
        let first = *self.found.by_name.entry(name.clone()).or_insert(number);
        if first != number {
            self.twice(given, &name);
        }
        Some(number)
    }

    fn push(&mut self, root: Value<'t>, name: Arc<str>, by: By) -> usize {
        let number = self.found.resources.len();
        self.found.resources.push(Resource { root, name, by, number });
        number
    }

    fn twice(&mut self, given: Value<'t>, name: &str) {
        if self.told.len() < TOLD {
            let message = format!("`{}` is the name of something else already", cut(name));
            self.told.push(
                given
                    .problem(Severity::Warning, NAMED_TWICE, message)
                    .hint("references lead to the first one; give this one a name of its own"),
            );
        }
    }
}

/// A name without its fragment, made absolute; none for what is nothing but a fragment.
fn name(base: &str, given: &str) -> Option<String> {
    let given = given.split('#').next().filter(|given| !given.is_empty())?;
    uri::join(base, given).ok()
}

/// What the keys of a mapping are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Keys {
    Keywords,
    /// Names that the document's author gave: of properties, of components, of statuses.
    Names,
}

impl Keys {
    /// What the keys are in the value under a key; none where that value is data.
    fn below(self, key: &str) -> Option<Keys> {
        const DATA: [&str; 7] = ["example", "examples", "default", "enum", "const", "value", "dataValue"];
        const NAMED: [&str; 22] = [
            "$defs",
            "additionalOperations",
            "callbacks",
            "content",
            "definitions",
            "dependencies",
            "dependentSchemas",
            "encoding",
            "headers",
            "links",
            "mediaTypes",
            "parameters",
            "pathItems",
            "paths",
            "patternProperties",
            "properties",
            "requestBodies",
            "responses",
            "schemas",
            "securitySchemes",
            "variables",
            "webhooks",
        ];
        match self {
            Keys::Names => Some(Keys::Keywords),
            Keys::Keywords if DATA.contains(&key) || key.starts_with("x-") => None,
            Keys::Keywords if NAMED.contains(&key) => Some(Keys::Names),
            Keys::Keywords => Some(Keys::Keywords),
        }
    }
}
