//! The arena that a tree lives in, and its builder, which keeps the limits.
//!
//! Both readers feed the same calls: open, key, scalar, alias, close. The builder knows what is open,
//! so it also knows the JSON pointer of whatever it has to complain about.

use std::hash::BuildHasher;

use hashbrown::{DefaultHashBuilder, HashMap, HashTable};

use super::{ALIAS, DUPLICATE, Limits, ODD_KEY, OVER_LIMIT};
use crate::diagnostic::{Code, Severity};

/// Up to so many entries a mapping is searched one by one, which is quicker than hashing.
const SMALL: usize = 16;

/// A hostile text can hold millions of duplicate keys; nobody reads more than this.
const FINDINGS: usize = 1000;

/// An alias of a long text weighs one node more for each so many bytes, so that the limit on aliases
/// also bounds what they write out.
const BYTES_A_NODE: usize = 256;

/// What offsets and counts may come to, so that sums of two still fit a u32.
const MOST: usize = 1 << 30;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tag {
    Null,
    False,
    True,
    Number,
    String,
    Sequence,
    Mapping,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Node {
    /// Offset of the node in the source.
    pub(super) at: u32,
    /// A scalar's text, a sequence's items, a mapping's entries.
    pub(super) content: Slice,
    /// Bytes that a scalar takes in the source, as far as they fit.
    pub(super) width: u16,
    pub(super) tag: Tag,
}

const _: () = assert!(size_of::<Node>() <= 16);

/// A stretch of text or of a list. Text offsets run through the source first, then through the pool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Slice {
    start: u32,
    len: u32,
}

impl Slice {
    const EMPTY: Slice = Slice { start: 0, len: 0 };

    fn new(start: usize, len: usize) -> Self {
        Slice { start: start as u32, len: len as u32 }
    }

    pub(super) fn range(self) -> std::ops::Range<usize> {
        let start = self.start as usize;
        start..start + self.len as usize
    }

    pub(super) fn len(self) -> usize {
        self.len as usize
    }
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Entry {
    /// The key's number among the interned keys.
    pub(super) key: u32,
    /// Offset of the key in the source.
    pub(super) at: u32,
    pub(super) value: u32,
}

/// All of a tree but its source.
pub(super) struct Arena {
    pub(super) nodes: Vec<Node>,
    pub(super) items: Vec<u32>,
    pub(super) entries: Vec<Entry>,
    pub(super) root: u32,
    /// Text that is not in the source as it is: unescaped, folded, normalised.
    pool: String,
    keys: Vec<Slice>,
    key_numbers: HashTable<u32>,
    /// Mapping and entry, for the mappings that are too large to search one by one.
    large: HashTable<(u32, u32)>,
    hasher: DefaultHashBuilder,
}

impl Arena {
    fn new() -> Self {
        Arena {
            nodes: Vec::new(),
            items: Vec::new(),
            entries: Vec::new(),
            root: 0,
            pool: String::new(),
            keys: Vec::new(),
            key_numbers: HashTable::new(),
            large: HashTable::new(),
            hasher: DefaultHashBuilder::default(),
        }
    }

    pub(super) fn text<'a>(&'a self, source: &'a str, slice: Slice) -> &'a str {
        let range = slice.range();
        match range.start.checked_sub(source.len()) {
            None => &source[range],
            Some(start) => &self.pool[start..start + slice.len()],
        }
    }

    pub(super) fn key<'a>(&'a self, source: &'a str, number: u32) -> &'a str {
        self.text(source, self.keys[number as usize])
    }

    /// The number of a mapping's entry under a key.
    pub(super) fn find(&self, source: &str, mapping: u32, key: &str) -> Option<u32> {
        let range = self.nodes[mapping as usize].content.range();
        let hash = self.hasher.hash_one(key);
        let number = *self.key_numbers.find(hash, |&number| self.key(source, number) == key)?;
        if range.len() > SMALL {
            let found = self.large.find(self.hasher.hash_one((mapping, number)), |&(of, entry)| {
                of == mapping && self.entries[entry as usize].key == number
            });
            return found.map(|&(_, entry)| entry);
        }
        let position = self.entries[range.clone()].iter().position(|entry| entry.key == number)?;
        Some((range.start + position) as u32)
    }

    fn intern(&mut self, source: &str, slice: Slice) -> u32 {
        let Arena { pool, keys, key_numbers, hasher, .. } = self;
        let text = |slice: Slice| {
            let range = slice.range();
            match range.start.checked_sub(source.len()) {
                None => &source[range],
                Some(start) => &pool[start..start + slice.len()],
            }
        };
        let wanted = text(slice);
        *key_numbers
            .entry(
                hasher.hash_one(wanted),
                |&number| text(keys[number as usize]) == wanted,
                |&number| hasher.hash_one(text(keys[number as usize])),
            )
            .or_insert_with(|| {
                keys.push(slice);
                (keys.len() - 1) as u32
            })
            .get()
    }
}

/// A problem that has an offset, and gets its place once the reading is over.
#[derive(Debug)]
pub(super) struct Finding {
    pub(super) severity: Severity,
    pub(super) code: Code,
    pub(super) at: usize,
    /// In bytes.
    pub(super) width: usize,
    pub(super) pointer: String,
    pub(super) message: String,
    pub(super) hint: Hint,
}

#[derive(Debug)]
pub(super) enum Hint {
    None,
    Text(String),
    /// Offset of the key that counts.
    First(usize),
}

impl From<&str> for Hint {
    fn from(text: &str) -> Self {
        Hint::Text(text.to_owned())
    }
}

pub(super) type Outcome<T = ()> = Result<T, Box<Finding>>;

/// A sequence or mapping whose end has not been read yet.
struct Frame {
    node: u32,
    /// Where its children start among the waiting ones.
    start: usize,
    anchor: usize,
    weight: usize,
    height: usize,
    next: Next,
    /// What `<<` stands for in it.
    merge: Option<u32>,
}

/// What an open sequence or mapping takes next.
#[derive(Clone, Copy)]
enum Next {
    Item,
    Key,
    Value {
        key: u32,
        at: u32,
    },
    /// The value of a plain `<<`.
    Merge {
        key: u32,
        at: u32,
    },
    /// The value of a key that was refused; read, yet not kept.
    Dropped,
}

#[derive(Clone, Copy)]
enum Anchor {
    Open,
    Closed { node: u32, weight: usize, height: usize },
}

/// Whether a key may be the merge key: only the unquoted `<<` of YAML is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Merge {
    Never,
    Allowed,
}

/// A scalar as a reader saw it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Scalar {
    pub(super) tag: Tag,
    pub(super) text: Slice,
    pub(super) at: usize,
    /// In bytes of the source.
    pub(super) width: usize,
}

pub(super) struct Builder<'s> {
    source: &'s str,
    limits: Limits,
    arena: Arena,
    open: Vec<Frame>,
    waiting_items: Vec<u32>,
    waiting_entries: Vec<Entry>,
    /// For each key, the mapping that had it last and where: duplicates are found without a set a mapping.
    seen: Vec<(u32, u32)>,
    anchors: HashMap<usize, Anchor>,
    spent: usize,
    findings: Vec<Finding>,
    unsaid: usize,
}

impl<'s> Builder<'s> {
    pub(super) fn new(source: &'s str, limits: &Limits) -> Self {
        let limits = Limits {
            nodes: limits.nodes.min(MOST),
            aliases: limits.aliases.min(MOST),
            size: limits.size.min(MOST),
            depth: limits.depth,
        };
        Builder {
            source,
            limits,
            arena: Arena::new(),
            open: Vec::new(),
            waiting_items: Vec::new(),
            waiting_entries: Vec::new(),
            seen: Vec::new(),
            anchors: HashMap::new(),
            spent: 0,
            findings: Vec::new(),
            unsaid: 0,
        }
    }

    pub(super) fn check_size(&self) -> Outcome {
        let (size, limit) = (self.source.len(), self.limits.size);
        if size > limit {
            let message = format!("the text has {size} bytes, and {limit} is the limit");
            return Err(self.over(limit, message, "size"));
        }
        Ok(())
    }

    /// Text that stands in the source as it is.
    pub(super) fn borrowed(&self, start: usize, len: usize) -> Slice {
        Slice::new(start, len)
    }

    /// Text that does not.
    pub(super) fn pooled(&mut self, text: &str) -> Slice {
        // An escape is never shorter than two thirds of what it stands for, so source and pool
        // together stay below 2.5 times `MOST`.
        let start = self.source.len() + self.arena.pool.len();
        self.arena.pool.push_str(text);
        Slice::new(start, text.len())
    }

    /// Whether what comes next is a key.
    pub(super) fn wants_key(&self) -> bool {
        self.open.last().is_some_and(|frame| matches!(frame.next, Next::Key))
    }

    /// What is open innermost; none at the root.
    pub(super) fn inside(&self) -> Option<Tag> {
        self.open.last().map(|frame| self.arena.nodes[frame.node as usize].tag)
    }

    /// Opens a sequence or a mapping. An anchor of 0 is none.
    pub(super) fn open(&mut self, tag: Tag, at: usize, anchor: usize) -> Outcome {
        self.check_depth(at, 1)?;
        let node = self.push(Scalar { tag, text: Slice::EMPTY, at, width: 1 })?;
        if anchor != 0 {
            self.anchors.insert(anchor, Anchor::Open);
        }
        let (start, next) = match tag {
            Tag::Mapping => (self.waiting_entries.len(), Next::Key),
            _ => (self.waiting_items.len(), Next::Item),
        };
        self.open.push(Frame { node, start, anchor, weight: 1, height: 0, next, merge: None });
        Ok(())
    }

    pub(super) fn close(&mut self) -> Outcome {
        let Some(frame) = self.open.last() else { return Ok(()) };
        let (node, start, merge) = (frame.node, frame.start, frame.merge);
        let content = match frame.next {
            Next::Item => self.settle_items(start),
            _ => self.settle_entries(node, start, merge)?,
        };
        self.arena.nodes[node as usize].content = content;
        let Some(frame) = self.open.pop() else { return Ok(()) };
        let height = frame.height + 1;
        self.name(frame.anchor, node, frame.weight, height);
        self.attach(node, frame.weight, height);
        Ok(())
    }

    pub(super) fn scalar(&mut self, scalar: Scalar, anchor: usize) -> Outcome {
        let node = self.push(scalar)?;
        let weight = weight(scalar.text);
        self.name(anchor, node, weight, 0);
        self.attach(node, weight, 0);
        Ok(())
    }

    pub(super) fn key(&mut self, scalar: Scalar, merge: Merge, anchor: usize) -> Outcome {
        if anchor != 0 {
            let node = self.push(scalar)?;
            self.name(anchor, node, weight(scalar.text), 0);
        }
        let key = self.arena.intern(self.source, scalar.text);
        let at = scalar.at as u32;
        let next = match merge {
            Merge::Allowed if self.arena.key(self.source, key) == "<<" => Next::Merge { key, at },
            _ => Next::Value { key, at },
        };
        let Some(frame) = self.open.last_mut() else { return Ok(()) };
        frame.weight = frame.weight.saturating_add(weight(scalar.text) - 1);
        frame.next = next;
        Ok(())
    }

    /// The node of an anchor once more, as a value or as a key.
    pub(super) fn alias(&mut self, anchor: usize, at: usize, width: usize) -> Outcome {
        let (node, weight, height) = match self.anchors.get(&anchor) {
            Some(&Anchor::Closed { node, weight, height }) => (node, weight, height),
            Some(Anchor::Open) => {
                let message = format!("{} stands inside what it points to", self.shown(at, width));
                return Err(self.error(ALIAS, at, width, message, Hint::None));
            }
            None => return Err(self.unknown_alias(at, width)),
        };
        self.spend(weight, at, width)?;
        self.check_depth(at, height)?;
        if !self.wants_key() {
            self.attach(node, weight, height);
            return Ok(());
        }
        let Node { tag, content, .. } = self.arena.nodes[node as usize];
        if matches!(tag, Tag::Sequence | Tag::Mapping) {
            self.odd_key(at, width);
            return Ok(());
        }
        self.key(Scalar { tag, text: content, at, width }, Merge::Never, 0)
    }

    pub(super) fn unknown_alias(&self, at: usize, width: usize) -> Box<Finding> {
        let message = format!("{} points to an anchor that is not there", self.shown(at, width));
        self.error(ALIAS, at, width, message, "quote the value if the `*` is text".into())
    }

    pub(super) fn warn(&mut self, code: Code, at: usize, width: usize, message: String, hint: Hint) {
        if self.findings.len() >= FINDINGS {
            self.unsaid += 1;
            return;
        }
        let pointer = self.pointer();
        let severity = Severity::Warning;
        self.findings.push(Finding { severity, code, at, width, pointer, message, hint });
    }

    pub(super) fn error(
        &self,
        code: Code,
        at: usize,
        width: usize,
        message: impl Into<String>,
        hint: Hint,
    ) -> Box<Finding> {
        let (message, pointer) = (message.into(), self.pointer());
        Box::new(Finding { severity: Severity::Error, code, at, width, pointer, message, hint })
    }

    pub(super) fn too_deep(&self, at: usize) -> Box<Finding> {
        let message = format!("nested deeper than {} levels", self.limits.depth);
        self.over(at, message, "depth")
    }

    /// The arena, the warnings in the order of the text, and how many more there were.
    pub(super) fn finish(mut self) -> (Arena, Vec<Finding>, usize) {
        self.arena.nodes.shrink_to_fit();
        self.arena.items.shrink_to_fit();
        self.arena.entries.shrink_to_fit();
        self.arena.pool.shrink_to_fit();
        self.arena.keys.shrink_to_fit();
        self.findings.sort_by_key(|finding| finding.at);
        (self.arena, self.findings, self.unsaid)
    }

    fn push(&mut self, scalar: Scalar) -> Outcome<u32> {
        let Scalar { tag, text: content, at, width } = scalar;
        let id = self.arena.nodes.len();
        if id >= self.limits.nodes {
            let message = format!("more than {} values", self.limits.nodes);
            return Err(self.over(at, message, "nodes"));
        }
        let width = u16::try_from(width).unwrap_or(u16::MAX);
        self.arena.nodes.push(Node { at: at as u32, content, width, tag });
        Ok(id as u32)
    }

    fn name(&mut self, anchor: usize, node: u32, weight: usize, height: usize) {
        if anchor != 0 {
            self.anchors.insert(anchor, Anchor::Closed { node, weight, height });
        }
    }

    /// Hands a finished value to what is open around it.
    fn attach(&mut self, node: u32, weight: usize, height: usize) {
        let Some(frame) = self.open.last_mut() else {
            self.arena.root = node;
            return;
        };
        frame.weight = frame.weight.saturating_add(weight);
        let lifted = match (frame.next, self.arena.nodes[node as usize].tag) {
            // What is merged comes up to the level of the mapping that takes it in.
            (Next::Merge { .. }, Tag::Mapping) => height.saturating_sub(1),
            (Next::Merge { .. }, Tag::Sequence) => height.saturating_sub(2),
            _ => height,
        };
        frame.height = frame.height.max(lifted);
        match frame.next {
            Next::Item => self.waiting_items.push(node),
            Next::Key => {
                let at = self.arena.nodes[node as usize].at as usize;
                self.odd_key(at, 1);
            }
            Next::Dropped => frame.next = Next::Key,
            Next::Value { key, at } => {
                frame.next = Next::Key;
                self.waiting_entries.push(Entry { key, at, value: node });
            }
            Next::Merge { key, at } => self.attach_merge(key, at, node),
        }
    }

    fn attach_merge(&mut self, key: u32, at: u32, node: u32) {
        let tag = |node: u32| self.arena.nodes[node as usize].tag;
        let content = self.arena.nodes[node as usize].content;
        let mergeable = match tag(node) {
            Tag::Mapping => true,
            Tag::Sequence => self.arena.items[content.range()].iter().all(|&item| tag(item) == Tag::Mapping),
            _ => false,
        };
        let Some(frame) = self.open.last_mut() else { return };
        frame.next = Next::Key;
        if !mergeable {
            let hint = "quote the key if it is meant as text".into();
            let message = "`<<` takes in nothing here: its value is no mapping".to_owned();
            self.warn(ODD_KEY, at as usize, 2, message, hint);
            self.waiting_entries.push(Entry { key, at, value: node });
        } else if frame.merge.is_some() {
            let hint = "the first one counts; give it a list, as in `<<: [*a, *b]`".into();
            self.warn(DUPLICATE, at as usize, 2, "duplicate key `<<`".to_owned(), hint);
        } else {
            frame.merge = Some(node);
        }
    }

    fn odd_key(&mut self, at: usize, width: usize) {
        let (before, after) = self.source.as_bytes().split_at(at.min(self.source.len()));
        let hint = match (before.last(), after) {
            (Some(b'{'), _) => "quote the value if `{{` is a template, as in \"{{ request.body }}\"".into(),
            (_, [b'{', b'$', ..]) => "quote the key, as in '{$request.body#/url}'".into(),
            _ => Hint::None,
        };
        let message = "a sequence or mapping is a key here; the entry is left out".to_owned();
        self.warn(ODD_KEY, at, width, message, hint);
        if let Some(frame) = self.open.last_mut() {
            frame.next = Next::Dropped;
        }
    }

    fn settle_items(&mut self, start: usize) -> Slice {
        let from = self.arena.items.len();
        self.arena.items.extend(self.waiting_items.drain(start..));
        Slice::new(from, self.arena.items.len() - from)
    }

    fn settle_entries(&mut self, node: u32, start: usize, merge: Option<u32>) -> Outcome<Slice> {
        let from = self.arena.entries.len();
        self.seen.resize(self.arena.keys.len(), (u32::MAX, 0));
        for index in start..self.waiting_entries.len() {
            let entry = self.waiting_entries[index];
            let (mapping, first) = self.seen[entry.key as usize];
            if mapping == node {
                self.duplicate(entry, first);
                continue;
            }
            self.seen[entry.key as usize] = (node, entry.at);
            self.arena.entries.push(entry);
        }
        self.waiting_entries.truncate(start);
        if let Some(merged) = merge {
            self.take_in(node, merged)?;
        }
        let to = self.arena.entries.len();
        if to - from > SMALL {
            self.index(node, from..to);
        }
        Ok(Slice::new(from, to - from))
    }

    fn duplicate(&mut self, entry: Entry, first: u32) {
        if self.findings.len() >= FINDINGS {
            self.unsaid += 1;
            return;
        }
        let key = self.arena.key(self.source, entry.key);
        let message = format!("duplicate key `{}`", shorten(key));
        let mut pointer = self.pointer();
        push_token(&mut pointer, key);
        let at = entry.at as usize;
        let width = key_width(self.source, at, key);
        let (severity, code, hint) = (Severity::Warning, DUPLICATE, Hint::First(first as usize));
        self.findings.push(Finding { severity, code, at, width, pointer, message, hint });
    }

    /// Takes in what a mapping does not have itself. Each entry looked at counts, since merging what
    /// was merged before multiplies them.
    fn take_in(&mut self, node: u32, merged: u32) -> Outcome {
        let Node { tag, content, .. } = self.arena.nodes[merged as usize];
        let count = if tag == Tag::Mapping { 1 } else { content.len() };
        for index in 0..count {
            let source = match tag {
                Tag::Mapping => merged,
                _ => self.arena.items[content.range().start + index],
            };
            let range = self.arena.nodes[source as usize].content.range();
            self.spend(range.len(), self.arena.nodes[node as usize].at as usize, 1)?;
            for index in range {
                let entry = self.arena.entries[index];
                if self.seen[entry.key as usize].0 != node {
                    self.seen[entry.key as usize] = (node, entry.at);
                    self.arena.entries.push(entry);
                }
            }
        }
        Ok(())
    }

    fn index(&mut self, node: u32, entries: std::ops::Range<usize>) {
        let Arena { entries: all, large, hasher, .. } = &mut self.arena;
        let hash = |of: u32, entry: u32| hasher.hash_one((of, all[entry as usize].key));
        for entry in entries {
            let entry = entry as u32;
            large.insert_unique(hash(node, entry), (node, entry), |&(of, entry)| hash(of, entry));
        }
    }

    fn spend(&mut self, weight: usize, at: usize, width: usize) -> Outcome {
        self.spent = self.spent.saturating_add(weight);
        if self.spent <= self.limits.aliases {
            return Ok(());
        }
        let message = format!("aliases stand for more than {} values", self.limits.aliases);
        let mut over = self.over(at, message, "aliases");
        over.width = width;
        Err(over)
    }

    fn check_depth(&self, at: usize, height: usize) -> Outcome {
        if self.open.len().saturating_add(height) > self.limits.depth {
            return Err(self.too_deep(at));
        }
        Ok(())
    }

    fn over(&self, at: usize, message: String, limit: &str) -> Box<Finding> {
        let hint = Hint::Text(format!("raise `reading.{limit}` if the document is to be trusted"));
        self.error(OVER_LIMIT, at, 1, message, hint)
    }

    fn shown(&self, at: usize, width: usize) -> String {
        format!("`{}`", shorten(self.source.get(at..at + width).unwrap_or("*")))
    }

    /// The pointer of what is being read.
    fn pointer(&self) -> String {
        let mut pointer = String::new();
        for (level, frame) in self.open.iter().enumerate() {
            match frame.next {
                Next::Item => {
                    let inner = self.open[level + 1..].iter().find(|frame| matches!(frame.next, Next::Item));
                    let end = inner.map_or(self.waiting_items.len(), |frame| frame.start);
                    push_token(&mut pointer, &(end - frame.start).to_string());
                }
                Next::Value { key, .. } | Next::Merge { key, .. } => {
                    push_token(&mut pointer, self.arena.key(self.source, key));
                }
                Next::Key | Next::Dropped => {}
            }
        }
        pointer
    }
}

fn weight(text: Slice) -> usize {
    1 + text.len() / BYTES_A_NODE
}

/// Appends one token of a pointer (RFC 6901, 3).
pub fn push_token(pointer: &mut String, token: &str) {
    pointer.push('/');
    for character in token.chars() {
        match character {
            '~' => pointer.push_str("~0"),
            '/' => pointer.push_str("~1"),
            _ => pointer.push(character),
        }
    }
}

/// Text from a document as a message may show it: short, and without what moves a terminal's cursor.
pub(super) fn shorten(text: &str) -> String {
    let mut short: String = text.chars().take(60).map(|c| if c.is_control() { ' ' } else { c }).collect();
    if text.chars().nth(60).is_some() {
        short.push('…');
    }
    short
}

/// Bytes that a key takes in the source, which may quote it.
pub(super) fn key_width(source: &str, at: usize, key: &str) -> usize {
    let rest = source.get(at..).unwrap_or_default();
    let Some(quote @ ('"' | '\'')) = rest.chars().next() else { return key.len() };
    let mut escaped = false;
    for (index, byte) in rest.bytes().enumerate().skip(1) {
        match byte {
            b'\n' => return index,
            _ if escaped => escaped = false,
            b'\\' if quote == '"' => escaped = true,
            _ if byte == quote as u8 => return index + 1,
            _ => {}
        }
    }
    rest.len()
}

#[cfg(test)]
mod tests {
    use super::super::Tree;
    use super::*;

    fn tight() -> Limits {
        Limits { size: 1000, depth: 4, nodes: 20, aliases: 10 }
    }

    /// What reading under tight limits comes to: the JSON, or the code with line, column and hint.
    #[track_caller]
    fn check(text: &str, expected: &str) {
        let outcome = match Tree::parse("t.yaml", text.to_owned(), &tight()) {
            Ok((tree, _)) => {
                let mut json = String::new();
                tree.root().write_json(&mut json);
                json
            }
            Err(error) => {
                let place = error.place.as_ref().expect("every error here has a place");
                let hint = error.hint.clone().unwrap_or_default();
                format!("{} {}:{} {} {hint}", error.code.0, place.line, place.column, place.pointer)
            }
        };
        assert_eq!(outcome.trim_end(), expected);
    }

    fn over(at: &str, pointer: &str, limit: &str) -> String {
        format!("SI0002 {at} {pointer} raise `reading.{limit}` if the document is to be trusted")
    }

    #[test]
    fn a_text_over_the_limit_of_size_is_refused() {
        check(&format!("a: {}", "x".repeat(1000)), &over("1:1001", "", "size"));
    }

    #[test]
    fn nesting_up_to_the_limit_is_read() {
        check("[[[[1]]]]", "[[[[1]]]]");
    }

    #[test]
    fn nesting_over_the_limit_is_refused() {
        check("[[[[[1]]]]]", &over("1:5", "/0/0/0/0", "depth"));
    }

    #[test]
    fn depth_counts_blocks_as_well() {
        check("a:\n b:\n  c:\n   d:\n    e: 1", &over("5:5", "/a/b/c/d", "depth"));
    }

    #[test]
    fn depth_follows_aliases() {
        check("a: &a [[1]]\nb: [[*a]]", &over("2:6", "/b/0/0", "depth"));
    }

    #[test]
    fn depth_follows_aliases_of_aliases() {
        check("- &a [1]\n- &b [*a]\n- &c [*b]\n- [*c]", &over("4:4", "/3/0", "depth"));
    }

    #[test]
    fn nodes_over_the_limit_are_refused() {
        check(&format!("[{}]", "1,".repeat(20)), &over("1:40", "/19", "nodes"));
    }

    #[test]
    fn an_alias_weighs_what_it_stands_for() {
        check("a: &a [1, 2, 3, 4]\nb: *a\nc: *a", "{\"a\":[1,2,3,4],\"b\":[1,2,3,4],\"c\":[1,2,3,4]}");
        check("a: &a [1, 2, 3, 4]\nb: *a\nc: *a\nd: *a", &over("4:4", "/d", "aliases"));
    }

    #[test]
    fn an_alias_of_a_long_text_weighs_more() {
        check(&format!("- &a {}\n- *a\n- *a\n- *a\n- *a", "x".repeat(600)), &over("5:3", "/4", "aliases"));
    }

    #[test]
    fn an_alias_shares_its_node() {
        let (tree, _) = Tree::parse("t", "a: &a [1]\nb: *a".into(), &tight()).expect("it is right");
        let root = tree.root();
        assert!(root.get("a").zip(root.get("b")).is_some_and(|(a, b)| a.is(b)));
    }

    #[test]
    fn merged_entries_come_after_own_ones() {
        check("- &a {x: 1, y: 2}\n- {<<: *a, y: 3, z: 4}", r#"[{"x":1,"y":2},{"y":3,"z":4,"x":1}]"#);
    }

    #[test]
    fn of_several_merged_mappings_the_first_wins() {
        check("- &a {x: 1}\n- &b {x: 2, y: 2}\n- {<<: [*a, *b]}", r#"[{"x":1},{"x":2,"y":2},{"x":1,"y":2}]"#);
    }

    #[test]
    fn a_mapping_written_in_place_can_be_merged() {
        check("<<: {x: 1}\ny: 2", r#"{"y":2,"x":1}"#);
    }

    #[test]
    fn what_was_merged_is_merged_on() {
        check("- &a {x: 1}\n- &b {<<: *a}\n- <<: *b", r#"[{"x":1},{"x":1},{"x":1}]"#);
    }

    #[test]
    fn a_quoted_merge_key_is_text() {
        check("'<<': {x: 1}", r#"{"<<":{"x":1}}"#);
    }

    #[test]
    fn a_merge_key_without_a_mapping_is_text() {
        check("<<: 1", r#"{"<<":1}"#);
    }

    #[test]
    fn merged_entries_count_as_aliases() {
        let inner = "a: 1, b: 1, c: 1, d: 1, e: 1, f: 1";
        check(&format!("{{<<: {{<<: {{{inner}}}}}}}"), &over("1:1", "", "aliases"));
    }

    #[test]
    fn an_alias_inside_what_it_points_to_is_refused() {
        check("a: &a\n  b: *a", "SI0006 2:6 /a/b");
    }

    #[test]
    fn an_alias_to_nothing_is_refused() {
        check("a: 1\nb: *nope", "SI0006 2:4 /b quote the value if the `*` is text");
    }

    #[test]
    fn an_alias_can_be_a_key() {
        check("a: &k 200\n*k : x", r#"{"a":200,"200":"x"}"#);
    }

    #[test]
    fn an_anchor_on_a_key_can_be_used() {
        check("&k a: 1\nb: *k", r#"{"a":1,"b":"a"}"#);
    }

    #[test]
    fn an_anchor_can_be_set_anew() {
        check("- &a 1\n- &a 2\n- *a", "[1,2,2]");
    }

    #[test]
    fn an_anchor_in_a_dropped_entry_can_be_used() {
        check("? {k: &a 1}\n: &b 2\nx: [*a, *b]", r#"{"x":[1,2]}"#);
    }

    #[track_caller]
    fn warnings(text: &str, expected: &[&str]) {
        let (_, found) = Tree::parse("t", text.to_owned(), &Limits::default()).expect("it is readable");
        let found: Vec<String> =
            found.iter().map(|warning| format!("{} {warning}", warning.code.0)).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn a_duplicate_key_is_told_with_the_line_of_the_first() {
        warnings(
            "a: 1\nb: {a: 2}\na: 3\n",
            &["SI0003 t:3:1: duplicate key `a`; the one in line 1 counts, this one is left out"],
        );
    }

    #[test]
    fn a_mapping_as_key_is_told() {
        warnings(
            "? [a]\n: 1\nb: 2\n",
            &["SI0004 t:1:3: a sequence or mapping is a key here; the entry is left out"],
        );
    }

    #[test]
    fn an_unquoted_expression_as_a_key_is_told_with_its_remedy() {
        warnings(
            "on:\n  {$request.body#/url}:\n    post: {}\n",
            &["SI0004 t:2:3: a sequence or mapping is a key here; the entry is left out; \
               quote the key, as in '{$request.body#/url}'"],
        );
    }

    #[test]
    fn an_unquoted_template_is_told_with_its_remedy() {
        warnings(
            "name: {{ request.body }}",
            &["SI0004 t:1:8: a sequence or mapping is a key here; the entry is left out; \
               quote the value if `{{` is a template, as in \"{{ request.body }}\""],
        );
    }

    #[test]
    fn warnings_come_in_the_order_of_the_text() {
        let (_, found) = Tree::parse("t", "a: {b: 1, b: 2}\na: 1\nc: {d: 1, d: 2}".into(), &tight())
            .expect("it is readable");
        let pointers: Vec<_> =
            found.iter().filter_map(|warning| warning.place.as_ref()).map(|place| &place.pointer).collect();
        assert_eq!(pointers, ["/a/b", "/a", "/c/d"]);
    }

    #[test]
    fn of_very_many_warnings_the_rest_is_counted() {
        let text = format!("{{{}\"a\":1}}", "\"a\":1,".repeat(5000));
        let (_, found) = Tree::parse("t", text, &Limits::default()).expect("it is readable");
        let last = found.last().map(|warning| warning.message.as_str());
        assert_eq!((found.len(), last), (1001, Some("4000 more warnings in this text are not shown")));
    }
}
