//! YAML or JSON text to one compact tree with positions, under limits.
//!
//! One pass over the parser's events fills an arena; a node is 16 bytes, keys are interned, and a
//! node knows its byte offset, from which line, column and JSON pointer are worked out only when a
//! diagnostic asks. Text stays in the source wherever it stands there as it is.
//!
//! An alias is the same node once more, so a tree is a graph without cycles: whoever walks it
//! pays for each repetition, and `reading.aliases` bounds the sum. Nothing here recurses.

use std::borrow::Cow;
use std::fmt;
use std::sync::{Arc, OnceLock};

use crate::diagnostic::{Code, Diagnostic, Place, Severity};

use build::{Arena, Builder, Finding, Hint, Node, Tag};
use lines::Lines;

pub use build::push_token;

mod yaml;

mod json;

mod build;

mod lines;

const UNREADABLE: Code = Code("SI0001");
/// A text that costs more to read than it may.
pub const OVER_LIMIT: Code = Code("SI0002");
const DUPLICATE: Code = Code("SI0003");
const ODD_KEY: Code = Code("SI0004");
const SEVERAL: Code = Code("SI0005");
const ALIAS: Code = Code("SI0006");

const EMPTY: &str = "the document is empty";

/// What a text may cost to read. What is over a limit is refused with its position.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of text; at most 1 GiB counts.
    pub size: usize,
    /// Levels of nesting, aliases followed.
    pub depth: usize,
    /// Nodes in the arena.
    pub nodes: usize,
    /// Nodes that aliases and merge keys stand for, repeated ones counted each time; a long text
    /// counts as a node more for each 256 bytes.
    pub aliases: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Limits { size: 64 << 20, depth: 200, nodes: 8_000_000, aliases: 1_000_000 }
    }
}

pub struct Tree {
    name: Arc<str>,
    source: String,
    arena: Arena,
    lines: OnceLock<Lines>,
    parents: OnceLock<Vec<Parent>>,
}

/// A node of a tree, with the tree that it lives in. Cheap to copy.
#[derive(Clone, Copy)]
pub struct Value<'t> {
    tree: &'t Arc<Tree>,
    id: u32,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Kind<'t> {
    Null,
    Bool(bool),
    /// The number as valid JSON text, as precise as it was written.
    Number(&'t str),
    String(&'t str),
    Sequence,
    Mapping,
}

/// A key of a mapping: its text, and where it stands.
#[derive(Clone, Copy)]
pub struct Key<'t> {
    tree: &'t Arc<Tree>,
    text: &'t str,
    at: u32,
    mapping: u32,
}

/// What a diagnostic points at.
#[derive(Clone, Copy)]
pub enum Spot<'t> {
    Key(Key<'t>),
    Value(Value<'t>),
}

/// What a node hangs on: a sequence or mapping, and which of its items or entries the node is.
#[derive(Debug, Clone, Copy)]
struct Parent {
    node: u32,
    slot: u32,
}

impl Parent {
    /// Of the root, and of what is in no path because its entry was left out.
    const NONE: Parent = Parent { node: u32::MAX, slot: 0 };
}

impl Tree {
    /// Reads a text. `name` is what diagnostics call it. Besides the tree come warnings
    /// (duplicate keys: the first one counts); the error is the one reason why there is no tree.
    pub fn parse(
        name: &str,
        mut text: String,
        limits: &Limits,
    ) -> Result<(Arc<Tree>, Vec<Diagnostic>), Box<Diagnostic>> {
        let name: Arc<str> = name.into();
        if text.starts_with('\u{feff}') {
            text.drain(..'\u{feff}'.len_utf8());
        }
        match read(&name, &text, limits) {
            Ok(builder) => {
                let (arena, findings, unsaid) = builder.finish();
                let lines = OnceLock::new();
                let parents = OnceLock::new();
                let tree = Arc::new(Tree { name, source: text, arena, lines, parents });
                let warnings = tree.tell(findings, unsaid);
                Ok((tree, warnings))
            }
            Err(finding) => Err(Box::new(tell(*finding, &name, &text, &Lines::new(&text)))),
        }
    }

    pub fn root<'t>(self: &'t Arc<Self>) -> Value<'t> {
        Value { tree: self, id: self.arena.root }
    }

    /// The value of that number, which [`Value::id`] gave.
    pub fn value<'t>(self: &'t Arc<Self>, id: u32) -> Option<Value<'t>> {
        self.arena.nodes.get(id as usize).map(|_| Value { tree: self, id })
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    /// The text that it was read from, without a byte order mark.
    pub fn text(&self) -> &str {
        &self.source
    }

    fn tell(&self, findings: Vec<Finding>, unsaid: usize) -> Vec<Diagnostic> {
        let mut told: Vec<Diagnostic> = findings
            .into_iter()
            .map(|finding| tell(finding, &self.name, &self.source, self.lines()))
            .collect();
        if unsaid > 0 {
            let message = format!("{unsaid} more warnings in this text are not shown");
            told.push(Diagnostic::new(Severity::Warning, DUPLICATE, message));
        }
        told
    }

    fn lines(&self) -> &Lines {
        self.lines.get_or_init(|| Lines::new(&self.source))
    }

    fn node(&self, id: u32) -> Node {
        self.arena.nodes[id as usize]
    }

    /// The nodes below a node, in order.
    fn child(&self, id: u32, slot: u32) -> Option<u32> {
        let Node { tag, content, .. } = self.node(id);
        let range = content.range();
        let index = range.start + slot as usize;
        match tag {
            _ if index >= range.end => None,
            Tag::Sequence => Some(self.arena.items[index]),
            Tag::Mapping => Some(self.arena.entries[index].value),
            _ => None,
        }
    }

    /// One walk through the tree in the order of the text, each node visited once.
    fn parents(&self) -> &[Parent] {
        self.parents.get_or_init(|| {
            let mut parents = vec![Parent::NONE; self.arena.nodes.len()];
            let mut path = vec![(self.arena.root, 0)];
            while let Some((node, slot)) = path.last_mut() {
                let Some(child) = self.child(*node, *slot) else {
                    path.pop();
                    continue;
                };
                let parent = Parent { node: *node, slot: *slot };
                *slot += 1;
                if parents[child as usize].node == Parent::NONE.node {
                    parents[child as usize] = parent;
                    path.push((child, 0));
                }
            }
            parents
        })
    }

    fn pointer(&self, id: u32) -> String {
        let parents = self.parents();
        let mut path = Vec::new();
        let mut at = parents[id as usize];
        while at.node != Parent::NONE.node {
            path.push(at);
            at = parents[at.node as usize];
        }
        let mut pointer = String::new();
        for Parent { node, slot } in path.into_iter().rev() {
            let Node { tag, content, .. } = self.node(node);
            if tag == Tag::Sequence {
                build::push_token(&mut pointer, &slot.to_string());
                continue;
            }
            let entry = self.arena.entries[content.range().start + slot as usize];
            build::push_token(&mut pointer, self.arena.key(&self.source, entry.key));
        }
        pointer
    }
}

fn read<'s>(name: &str, text: &'s str, limits: &Limits) -> Result<Builder<'s>, Box<Finding>> {
    let strict = name.ends_with(".json");
    if strict || text.trim_start().starts_with(['{', '[']) {
        let mut builder = Builder::new(text, limits);
        builder.check_size()?;
        match json::read(text, &mut builder) {
            Ok(()) => return Ok(builder),
            Err(finding) if strict || finding.code == OVER_LIMIT => return Err(finding),
            Err(_) => {}
        }
    }
    let mut builder = Builder::new(text, limits);
    builder.check_size()?;
    yaml::read(text, limits, &mut builder)?;
    Ok(builder)
}

/// Gives a finding its place.
fn tell(finding: Finding, name: &Arc<str>, source: &str, lines: &Lines) -> Diagnostic {
    let Finding { severity, code, at, width, pointer, message, hint } = finding;
    let place = lines.place(name, source, at, width, pointer);
    let told = Diagnostic::new(severity, code, message).at(place);
    match hint {
        Hint::None => told,
        Hint::Text(text) => told.hint(text),
        Hint::First(at) => {
            told.hint(format!("the one in line {} counts, this one is left out", lines.line(at)))
        }
    }
}

impl fmt::Debug for Tree {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tree")
            .field("name", &self.name)
            .field("nodes", &self.arena.nodes.len())
            .finish_non_exhaustive()
    }
}

impl Spot<'_> {
    pub fn place(self) -> Place {
        match self {
            Spot::Key(key) => key.place(),
            Spot::Value(value) => value.place(),
        }
    }

    pub fn problem(self, severity: Severity, code: Code, message: impl Into<String>) -> Diagnostic {
        Diagnostic::new(severity, code, message).at(self.place())
    }
}

impl<'t> Value<'t> {
    pub fn kind(self) -> Kind<'t> {
        let Node { tag, content, .. } = self.tree.node(self.id);
        match tag {
            Tag::Null => Kind::Null,
            Tag::False => Kind::Bool(false),
            Tag::True => Kind::Bool(true),
            Tag::Number => Kind::Number(self.tree.arena.text(&self.tree.source, content)),
            Tag::String => Kind::String(self.tree.arena.text(&self.tree.source, content)),
            Tag::Sequence => Kind::Sequence,
            Tag::Mapping => Kind::Mapping,
        }
    }

    pub fn tree(self) -> &'t Arc<Tree> {
        self.tree
    }

    /// Same node of the same tree.
    pub fn is(self, other: Value<'_>) -> bool {
        Arc::ptr_eq(self.tree, other.tree) && self.id == other.id
    }

    /// The node's number within its tree, for marking what was visited.
    pub fn id(self) -> u32 {
        self.id
    }

    /// The value under a key; none where this is no mapping or has no such key.
    pub fn get(self, key: &str) -> Option<Value<'t>> {
        self.get_entry(key).map(|(_, value)| value)
    }

    /// As [`get`](Value::get), with the key. Its cost does not grow with the mapping.
    pub fn get_entry(self, key: &str) -> Option<(Key<'t>, Value<'t>)> {
        if !self.is_mapping() {
            return None;
        }
        let entry = self.tree.arena.find(&self.tree.source, self.id, key)?;
        Some(self.entry(self.tree.arena.entries[entry as usize]))
    }

    /// Entries in document order; none where this is no mapping.
    pub fn entries(self) -> impl Iterator<Item = (Key<'t>, Value<'t>)> {
        let Node { tag, content, .. } = self.tree.node(self.id);
        let range = if tag == Tag::Mapping { content.range() } else { 0..0 };
        self.tree.arena.entries[range].iter().map(move |&entry| self.entry(entry))
    }

    /// Items in order; none where this is no sequence.
    pub fn items(self) -> impl Iterator<Item = Value<'t>> {
        let Node { tag, content, .. } = self.tree.node(self.id);
        let range = if tag == Tag::Sequence { content.range() } else { 0..0 };
        self.tree.arena.items[range].iter().map(move |&id| Value { tree: self.tree, id })
    }

    pub fn is_mapping(self) -> bool {
        self.tree.node(self.id).tag == Tag::Mapping
    }

    pub fn is_sequence(self) -> bool {
        self.tree.node(self.id).tag == Tag::Sequence
    }

    pub fn as_str(self) -> Option<&'t str> {
        match self.kind() {
            Kind::String(text) => Some(text),
            _ => None,
        }
    }

    pub fn as_bool(self) -> Option<bool> {
        match self.kind() {
            Kind::Bool(value) => Some(value),
            _ => None,
        }
    }

    pub fn as_i64(self) -> Option<i64> {
        match self.kind() {
            Kind::Number(text) => text.parse().ok(),
            _ => None,
        }
    }

    /// A scalar as text (`true`, `1.50`, a string as it is); none for null, sequences and mappings.
    pub fn text(self) -> Option<Cow<'t, str>> {
        match self.kind() {
            Kind::Bool(true) => Some("true".into()),
            Kind::Bool(false) => Some("false".into()),
            Kind::Number(text) | Kind::String(text) => Some(text.into()),
            Kind::Null | Kind::Sequence | Kind::Mapping => None,
        }
    }

    /// RFC 6901: the value at a pointer below this one (`""` is itself).
    pub fn pointer(self, pointer: &str) -> Option<Value<'t>> {
        if pointer.is_empty() {
            return Some(self);
        }
        pointer.strip_prefix('/')?.split('/').try_fold(self, Value::step)
    }

    /// Appends the value as compact JSON in document order.
    pub fn write_json(self, out: &mut String) {
        let tree = self.tree;
        let mut path: Vec<(u32, u32)> = Vec::new();
        let mut next = Some(self.id);
        loop {
            if let Some(id) = next {
                Value { tree, id }.write_start(out);
                path.push((id, 0));
            }
            let Some((id, slot)) = path.last_mut() else { return };
            let Node { tag, content, .. } = tree.node(*id);
            next = tree.child(*id, *slot);
            if next.is_none() {
                match tag {
                    Tag::Sequence => out.push(']'),
                    Tag::Mapping => out.push('}'),
                    _ => {}
                }
                path.pop();
                continue;
            }
            if *slot > 0 {
                out.push(',');
            }
            if tag == Tag::Mapping {
                let entry = tree.arena.entries[content.range().start + *slot as usize];
                write_string(tree.arena.key(&tree.source, entry.key), out);
                out.push(':');
            }
            *slot += 1;
        }
    }

    pub fn to_json(self) -> serde_json::Value {
        let tree = self.tree;
        let mut path: Vec<(u32, u32, serde_json::Value)> = Vec::new();
        let mut next = self.id;
        loop {
            path.push((next, 0, Value { tree, id: next }.shallow_json()));
            next = loop {
                let Some((id, slot, _)) = path.last_mut() else { return serde_json::Value::Null };
                if let Some(child) = tree.child(*id, *slot) {
                    *slot += 1;
                    break child;
                }
                let Some((_, _, done)) = path.pop() else { return serde_json::Value::Null };
                match path.last_mut() {
                    None => return done,
                    Some((_, _, serde_json::Value::Array(items))) => items.push(done),
                    Some((id, slot, serde_json::Value::Object(entries))) => {
                        let index = tree.node(*id).content.range().start + *slot as usize - 1;
                        let key = tree.arena.key(&tree.source, tree.arena.entries[index].key);
                        entries.insert(key.to_owned(), done);
                    }
                    Some(_) => {}
                }
            };
        }
    }

    /// Where the value stands. What an alias stands for stands where its anchor is.
    pub fn place(self) -> Place {
        let Node { at, width, .. } = self.tree.node(self.id);
        let pointer = self.tree.pointer(self.id);
        let (name, source) = (&self.tree.name, &self.tree.source);
        self.tree.lines().place(name, source, at as usize, width as usize, pointer)
    }

    /// Where a word inside a string stands, `offset` bytes into it; where the whole value does if the
    /// text up to there is written in another way, as with escapes or over several lines.
    pub fn place_within(self, offset: usize) -> Place {
        let Some((before, after)) = self.as_str().and_then(|text| text.split_at_checked(offset)) else {
            return self.place();
        };
        let source = &self.tree.source;
        let at = self.tree.node(self.id).at as usize;
        let quotes = usize::from(source[at..].starts_with(['"', '\'']));
        let begin = at + quotes + offset;
        if source.get(at + quotes..begin) != Some(before) || !source[begin..].starts_with(first_word(after)) {
            return self.place();
        }
        let pointer = self.tree.pointer(self.id);
        self.tree.lines().place(&self.tree.name, source, begin, first_word(after).len(), pointer)
    }

    pub fn problem(self, severity: Severity, code: Code, message: impl Into<String>) -> Diagnostic {
        Diagnostic::new(severity, code, message).at(self.place())
    }

    fn entry(self, entry: build::Entry) -> (Key<'t>, Value<'t>) {
        let text = self.tree.arena.key(&self.tree.source, entry.key);
        let key = Key { tree: self.tree, text, at: entry.at, mapping: self.id };
        (key, Value { tree: self.tree, id: entry.value })
    }

    /// One token of a pointer, still escaped.
    fn step(self, token: &str) -> Option<Value<'t>> {
        if !self.is_sequence() {
            return self.get(&unescape_token(token)?);
        }
        let plain = token == "0" || (token.bytes().all(|b| b.is_ascii_digit()) && !token.starts_with('0'));
        let slot = token.parse().ok().filter(|_| plain)?;
        let id = self.tree.child(self.id, slot)?;
        Some(Value { tree: self.tree, id })
    }

    /// A scalar as JSON, or the bracket that opens the rest.
    fn write_start(self, out: &mut String) {
        match self.kind() {
            Kind::Null => out.push_str("null"),
            Kind::Bool(true) => out.push_str("true"),
            Kind::Bool(false) => out.push_str("false"),
            Kind::Number(text) => out.push_str(text),
            Kind::String(text) => write_string(text, out),
            Kind::Sequence => out.push('['),
            Kind::Mapping => out.push('{'),
        }
    }

    /// A scalar, or an empty array or object.
    fn shallow_json(self) -> serde_json::Value {
        match self.kind() {
            Kind::Null => serde_json::Value::Null,
            Kind::Bool(value) => value.into(),
            Kind::Number(text) => json_number(text),
            Kind::String(text) => text.into(),
            Kind::Sequence => serde_json::Value::Array(Vec::new()),
            Kind::Mapping => serde_json::Value::Object(serde_json::Map::new()),
        }
    }
}

impl fmt::Debug for Value<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Value({} in {})", self.id, self.tree.name)
    }
}

impl<'t> Key<'t> {
    pub fn text(self) -> &'t str {
        self.text
    }

    /// What stands under it.
    pub fn value(self) -> Option<Value<'t>> {
        Value { tree: self.tree, id: self.mapping }.get(self.text)
    }

    pub fn place(self) -> Place {
        let Tree { name, source, .. } = &**self.tree;
        let mut pointer = self.tree.pointer(self.mapping);
        build::push_token(&mut pointer, self.text);
        let at = self.at as usize;
        self.tree.lines().place(name, source, at, build::key_width(source, at, self.text), pointer)
    }

    pub fn problem(self, severity: Severity, code: Code, message: impl Into<String>) -> Diagnostic {
        Diagnostic::new(severity, code, message).at(self.place())
    }
}

impl fmt::Debug for Key<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({:?} in {})", self.text, self.tree.name)
    }
}

/// A name, or one run of anything else.
fn first_word(text: &str) -> &str {
    let is_name = |c: char| c.is_alphanumeric() || c == '_';
    let named = text.starts_with(is_name);
    let end = text.find(|c: char| is_name(c) != named || c.is_whitespace());
    &text[..end.unwrap_or(text.len())]
}

/// Beyond what serde_json can parse a number is the largest that there is.
fn json_number(text: &str) -> serde_json::Value {
    let largest = if text.starts_with('-') { f64::MIN } else { f64::MAX };
    serde_json::from_str(text).unwrap_or_else(|_| largest.into())
}

fn write_string(text: &str, out: &mut String) {
    out.push('"');
    escape_json(text, out);
    out.push('"');
}

/// Appends `text` as a JSON string's inside: quotes, backslashes and controls escaped (RFC 8259, 7).
pub fn escape_json(text: &str, out: &mut String) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    let mut from = 0;
    for (at, byte) in text.bytes().enumerate() {
        if byte >= 0x20 && byte != b'"' && byte != b'\\' {
            continue;
        }
        out.push_str(&text[from..at]);
        from = at + 1;
        match byte {
            b'"' => out.push_str("\\\""),
            b'\\' => out.push_str("\\\\"),
            b'\n' => out.push_str("\\n"),
            b'\t' => out.push_str("\\t"),
            b'\r' => out.push_str("\\r"),
            0x08 => out.push_str("\\b"),
            0x0c => out.push_str("\\f"),
            _ => {
                out.push_str("\\u00");
                out.push(HEX[usize::from(byte >> 4)] as char);
                out.push(HEX[usize::from(byte & 15)] as char);
            }
        }
    }
    out.push_str(&text[from..]);
}

/// RFC 6901, 4: `~1` is `/`, `~0` is `~`, and no other `~` may stand there.
fn unescape_token(token: &str) -> Option<Cow<'_, str>> {
    let mut parts = token.split('~');
    let first = parts.next()?;
    if first.len() == token.len() {
        return Some(token.into());
    }
    let mut key = first.to_owned();
    for part in parts {
        let (character, rest) = match part.as_bytes().first()? {
            b'0' => ('~', &part[1..]),
            b'1' => ('/', &part[1..]),
            _ => return None,
        };
        key.push(character);
        key.push_str(rest);
    }
    Some(key.into())
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;

    fn tree(text: &str) -> Arc<Tree> {
        Tree::parse("t.yaml", text.to_owned(), &Limits::default()).expect("it is readable").0
    }

    fn json(text: &str) -> String {
        let mut out = String::new();
        tree(text).root().write_json(&mut out);
        out
    }

    #[track_caller]
    fn check(text: &str, expected: &str) {
        assert_eq!(json(text), expected);
    }

    /// What reading comes to, which has to come soon.
    #[track_caller]
    fn hostile(name: &str, text: String, expected: &str) {
        let start = Instant::now();
        let outcome = match Tree::parse(name, text, &Limits::default()) {
            Ok((tree, _)) => {
                tree.root().place();
                "read".to_owned()
            }
            Err(error) => format!("{} {}", error.code.0, error.hint.unwrap_or_default()),
        };
        assert_eq!(outcome, expected);
        assert!(start.elapsed() < Duration::from_secs(20), "it took {:?}", start.elapsed());
    }

    const DEPTH: &str = "SI0002 raise `reading.depth` if the document is to be trusted";
    const ALIASES: &str = "SI0002 raise `reading.aliases` if the document is to be trusted";
    const NODES: &str = "SI0002 raise `reading.nodes` if the document is to be trusted";

    #[test]
    fn deep_brackets_are_refused() {
        hostile("t.json", "[".repeat(100_000), DEPTH);
        hostile("t.yaml", "[".repeat(100_000), DEPTH);
        hostile("t.yaml", format!("a: {}", "[".repeat(100_000)), DEPTH);
        hostile("t.yaml", format!("a: {}", "[a: ".repeat(100_000)), DEPTH);
    }

    #[test]
    fn deep_braces_are_refused() {
        hostile("t.json", "{\"a\":".repeat(100_000), DEPTH);
        hostile("t.yaml", format!("a: {}", "{".repeat(100_000)), DEPTH);
        hostile("t.yaml", format!("a: {}", "{a: ".repeat(100_000)), DEPTH);
        hostile("t.yaml", format!("a: {}", "{? ".repeat(100_000)), DEPTH);
    }

    #[test]
    fn deep_blocks_are_refused() {
        hostile("t.yaml", "- ".repeat(100_000), DEPTH);
        hostile("t.yaml", "? ".repeat(100_000), DEPTH);
        hostile("t.yaml", (0..1000).map(|level| format!("{}a:\n", " ".repeat(level))).collect(), DEPTH);
    }

    #[test]
    fn brackets_after_brackets_are_read_in_linear_time() {
        hostile("t.yaml", format!("a: [{}]", "[],".repeat(60_000)), "read");
        hostile("t.json", format!("[{}[]]", "[],".repeat(60_000)), "read");
    }

    #[test]
    fn an_alias_bomb_is_refused() {
        let mut text = "- &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
        for level in 1..2000 {
            let alias = format!("*a{},", level - 1);
            text.push_str(&format!("- &a{level} [{}]\n", alias.repeat(10)));
        }
        hostile("t.yaml", text, ALIASES);
    }

    #[test]
    fn an_alias_bomb_of_merge_keys_is_refused() {
        let mut text = "- &a0 {x0: 0}\n".to_owned();
        for level in 1..5000 {
            text.push_str(&format!("- &a{level} {{<<: *a{}, x{level}: 0}}\n", level - 1));
        }
        hostile("t.yaml", text, ALIASES);
    }

    #[test]
    fn an_alias_bomb_of_long_texts_is_refused() {
        hostile("t.yaml", format!("- &a {}\n{}", "x".repeat(100_000), "- *a\n".repeat(20_000)), ALIASES);
    }

    #[test]
    fn very_many_nodes_are_refused() {
        let limits = Limits { nodes: 100_000, ..Limits::default() };
        let text = format!("[{}1]", "1,".repeat(200_000));
        let error = Tree::parse("t.json", text, &limits).err();
        let outcome = error.map(|error| format!("{} {}", error.code.0, error.hint.unwrap_or_default()));
        assert_eq!(outcome.as_deref(), Some(NODES));
    }

    #[test]
    fn duplicate_keys_of_a_large_mapping_are_found_in_linear_time() {
        hostile("t.json", format!("{{{}\"a\":1}}", "\"a\":1,".repeat(100_000)), "read");
        let keys: String = (0..100_000).map(|key| format!("k{key}: 1\n")).collect();
        hostile("t.yaml", keys, "read");
    }

    #[test]
    fn keys_of_a_large_mapping_are_found_at_once() {
        let text: String = (0..50_000).map(|key| format!("k{key}: {key}\n")).collect();
        let tree = tree(&text);
        let start = Instant::now();
        let found = (0..50_000)
            .filter(|key| tree.root().get(&format!("k{key}")).and_then(Value::as_i64) == Some(*key));
        assert_eq!(found.count(), 50_000);
        assert!(start.elapsed() < Duration::from_secs(20));
    }

    #[test]
    fn places_in_one_huge_line_are_found_at_once() {
        let tree = tree(&format!("[{}1]", "\"ä\",".repeat(200_000)));
        let start = Instant::now();
        let last = tree.root().items().step_by(100).map(|item| item.place().column).last();
        assert_eq!(last, Some(800_002));
        assert!(start.elapsed() < Duration::from_secs(20));
    }

    #[test]
    fn hostile_quotes_and_keys_end_soon() {
        hostile(
            "t.yaml",
            format!("a: \"{}", "x\n".repeat(100_000)),
            "SI0001 a quote may be missing at its end",
        );
        hostile("t.yaml", format!("a: {}", "b ".repeat(100_000)), "read");
        hostile("t.yaml", "a: &x\n".to_owned() + &"  \n".repeat(100_000), "read");
        hostile("t.yaml", format!("{}x", "&a ".repeat(50_000)), "SI0001 ");
        hostile("t.yaml", format!("a: 0x{}", "f".repeat(500_000)), "read");
    }

    const SAME_YAML: &str =
        "a: 1\nb:\n- x\n- 'y\"\\'\n- {c: null, d: true}\ne: \"\\t\\u0001é\"\nf: 1.50\n200: {}\n";
    const SAME_JSON: &str =
        r#"{"a":1,"b":["x","y\"\\",{"c":null,"d":true}],"e":"\t\u0001\u00e9","f":1.50,"200":{}}"#;

    #[test]
    fn yaml_and_json_of_one_document_are_one() {
        assert_eq!(json(SAME_YAML), json(SAME_JSON));
    }

    #[test]
    fn json_is_yaml_as_well() {
        check(&format!("---\n{SAME_JSON}"), &json(SAME_JSON));
    }

    #[test]
    fn what_was_written_reads_the_same_again() {
        check(&json(SAME_YAML), &json(SAME_YAML));
    }

    #[test]
    fn the_first_of_equal_keys_counts() {
        check("a: 1\nb: 2\na: 3\n", r#"{"a":1,"b":2}"#);
    }

    #[test]
    fn the_first_of_equal_keys_counts_in_a_large_mapping() {
        let text: String = (0..40).map(|key| format!("k{}: {key}\n", key % 20)).collect();
        assert_eq!(tree(&text).root().get("k3").and_then(Value::as_i64), Some(3));
    }

    #[test]
    fn controls_are_escaped_in_json() {
        let mut out = String::new();
        escape_json("a\"\\/\n\t\r\u{8}\u{c}\u{1}\u{1f}\u{7f}é😀", &mut out);
        assert_eq!(out, r#"a\"\\/\n\t\r\b\f\u0001\u001f"#.to_owned() + "\u{7f}é😀");
    }

    #[test]
    fn numbers_become_those_of_serde_json() {
        let value = tree("[1, -1, 1.50, 123456789012345678901234567890, 1e999, -1e999]").root().to_json();
        assert_eq!(
            value,
            serde_json::json!([1, -1, 1.5, 123456789012345678901234567890.0, f64::MAX, f64::MIN])
        );
    }

    #[test]
    fn to_json_says_the_same_as_write_json() {
        assert_eq!(tree(SAME_YAML).root().to_json().to_string(), json(SAME_YAML).replace("1.50", "1.5"));
    }

    #[test]
    fn a_part_is_written_alone() {
        let mut out = String::new();
        tree(SAME_YAML).root().pointer("/b/2").expect("it is there").write_json(&mut out);
        assert_eq!(out, r#"{"c":null,"d":true}"#);
    }

    #[track_caller]
    fn pointed(pointer: &str, expected: Option<i64>) {
        let tree =
            tree("{'': 1, 'a/b': 2, 'm~n': 3, '~1': 4, l: [5, 6], o: {'0': 7, '01': 8}, ' ': {'': 9}}");
        assert_eq!(tree.root().pointer(pointer).and_then(Value::as_i64), expected);
    }

    #[test]
    fn pointers_follow_rfc_6901() {
        pointed("/", Some(1));
        pointed("/a~1b", Some(2));
        pointed("/m~0n", Some(3));
        pointed("/~01", Some(4));
        pointed("/l/1", Some(6));
        pointed("/o/0", Some(7));
        pointed("/o/01", Some(8));
        pointed("/ /", Some(9));
    }

    #[test]
    fn pointers_to_nothing_find_nothing() {
        for pointer in
            ["a", "/x", "/l/2", "/l/01", "/l/-", "/l/+1", "/l/", "/l/99999999999", "/a~2b", "/m~", "/l/0/0"]
        {
            pointed(pointer, None);
        }
    }

    #[test]
    fn the_empty_pointer_is_the_value_itself() {
        let tree = tree("a: 1");
        assert!(tree.root().pointer("").is_some_and(|value| value.is(tree.root())));
    }

    #[track_caller]
    fn placed(text: &str, pointer: &str, expected: (u32, u32, u32, &str)) {
        let tree = tree(text);
        let place = tree.root().pointer(pointer).expect("it is there").place();
        assert_eq!((place.line, place.column, place.width, place.pointer.as_str()), expected);
    }

    #[test]
    fn scalars_stand_where_they_are_written() {
        placed("a:\n  - \"ä\": 'b c'\n", "/a/0/ä", (2, 10, 5, "/a/0/ä"));
        placed("a: b c # d\n", "/a", (1, 4, 3, "/a"));
        placed("a: !!str  &x 12\n", "/a", (1, 14, 2, "/a"));
        placed(r#"{"a/b": "c\n"}"#, "/a~1b", (1, 9, 5, "/a~1b"));
    }

    #[test]
    fn texts_over_several_lines_stand_in_their_first() {
        placed("a: \"b\n  c\"\n", "/a", (1, 4, 2, "/a"));
        placed("a: |\n  b\n  c\n", "/a", (2, 3, 1, "/a"));
    }

    #[test]
    fn mappings_stand_where_they_start() {
        placed("a:\n  b: 1\n", "/a", (2, 3, 1, "/a"));
        placed("a:\n  - 1\n", "/a", (2, 3, 1, "/a"));
        placed("a: {b: 1}\n", "/a", (1, 4, 1, "/a"));
    }

    #[test]
    fn an_alias_stands_where_its_anchor_is() {
        placed("a: &x 1\nb: *x\n", "/b", (1, 7, 1, "/a"));
    }

    #[test]
    fn a_key_has_its_place() {
        let tree = tree("a:\n  'b c': 1\n");
        let key = tree.root().get("a").and_then(|a| a.get_entry("b c")).expect("it is there").0;
        let place = key.place();
        assert_eq!((place.line, place.column, place.width, place.pointer.as_str()), (2, 3, 5, "/a/b c"));
    }

    #[test]
    fn a_merged_key_stands_where_it_was_written() {
        let tree = tree("a: &a\n  x: 1\nb:\n  <<: *a\n");
        let key = tree.root().get("b").and_then(|b| b.get_entry("x")).expect("it is there").0;
        assert_eq!((key.place().line, key.place().pointer), (2, "/b/x".to_owned()));
    }

    #[test]
    fn a_problem_has_the_place_of_its_value() {
        let tree = tree("a: 1\nb: x\n");
        let value = tree.root().get("b").expect("it is there");
        let problem = value.problem(Severity::Error, Code("SI9999"), "is wrong");
        assert_eq!(problem.to_string(), "t.yaml:2:4: is wrong");
    }

    #[track_caller]
    fn placed_within(text: &str, offset: usize, expected: (u32, u32, u32)) {
        let tree = tree(text);
        let place = tree.root().get("a").expect("it is there").place_within(offset);
        assert_eq!((place.line, place.column, place.width), expected);
    }

    #[test]
    fn a_word_inside_a_string_has_its_place() {
        placed_within("a: b cde f\n", 2, (1, 6, 3));
        placed_within("a: 'b cde f'\n", 2, (1, 7, 3));
        placed_within(r#"{"a": "b {{ f"}"#, 2, (1, 10, 2));
        placed_within("a: |\n  b cde\n  f\n", 2, (2, 5, 3));
    }

    #[test]
    fn a_string_that_is_written_otherwise_has_its_own_place() {
        placed_within("a: \"\\tb c\"\n", 3, (1, 4, 7));
        placed_within("a: |\n  b\n  c\n", 2, (2, 3, 1));
        placed_within("a: bc\n", 9, (1, 4, 2));
        placed_within("a: [b]\n", 0, (1, 4, 1));
    }

    #[test]
    fn scalars_have_a_text() {
        let tree = tree("[true, 1.50, x, null, [], {}]");
        let texts: Vec<_> = tree.root().items().map(|item| item.text().map(Cow::into_owned)).collect();
        assert_eq!(texts, [Some("true".into()), Some("1.50".into()), Some("x".into()), None, None, None]);
    }

    #[test]
    fn kinds_are_told_apart() {
        let tree = tree("[null, false, 0x10, x, [], {}]");
        let kinds: Vec<_> = tree.root().items().map(Value::kind).collect();
        let expected = [
            Kind::Null,
            Kind::Bool(false),
            Kind::Number("16"),
            Kind::String("x"),
            Kind::Sequence,
            Kind::Mapping,
        ];
        assert_eq!(kinds, expected);
    }

    #[test]
    fn what_does_not_fit_is_none() {
        let tree = tree("[1]");
        let (root, one) = (tree.root(), tree.root().items().next().expect("it is there"));
        assert!(root.get("a").is_none() && root.entries().next().is_none() && one.items().next().is_none());
        assert!(one.as_str().is_none() && one.as_bool().is_none() && root.as_i64().is_none());
    }

    #[test]
    fn entries_come_in_the_order_of_the_text() {
        let tree = tree("{z: 1, a: 2, m: 3}");
        let keys: Vec<_> = tree.root().entries().map(|(key, _)| key.text()).collect();
        assert_eq!(keys, ["z", "a", "m"]);
    }

    #[test]
    fn json_that_is_no_json_gets_the_error_of_yaml() {
        let error = Tree::parse("t.yaml", "{\"a\": [1, 2\n".into(), &Limits::default()).err();
        assert_eq!(error.map(|error| error.message).as_deref(), Some("`[` is not closed"));
    }

    #[test]
    fn a_byte_order_mark_before_json_is_skipped() {
        check("\u{feff}{\"a\": 1}", r#"{"a":1}"#);
    }

    /// `TREE_FILE=some.json cargo test --release --lib tree::tests::speed -- --ignored --nocapture`
    #[test]
    #[ignore = "a measurement"]
    fn speed() {
        let Ok(name) = std::env::var("TREE_FILE") else { return };
        let text = std::fs::read_to_string(&name).expect("the file is there");
        let megabytes = text.len() as f64 / 1e6;
        let start = Instant::now();
        let (tree, _) = Tree::parse(&name, text, &Limits::default()).expect("it is readable");
        let seconds = start.elapsed().as_secs_f64();
        println!("{megabytes:.1} MB, {:.0} MB/s, {} nodes", megabytes / seconds, tree.arena.nodes.len());
        let mut out = String::new();
        let start = Instant::now();
        tree.root().write_json(&mut out);
        println!("written at {:.0} MB/s", out.len() as f64 / 1e6 / start.elapsed().as_secs_f64());
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        println!("{}", status.lines().find(|line| line.starts_with("VmHWM")).unwrap_or_default());
    }
}
