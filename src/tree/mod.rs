//! YAML or JSON text to one compact tree with positions, under limits.
//!
//! One pass over the parser's events fills an arena; a node is 16 bytes, keys are interned, and a
//! node knows its byte offset, from which line, column and JSON pointer are worked out only when a
//! diagnostic asks.

use std::borrow::Cow;
use std::sync::Arc;

use crate::diagnostic::{Code, Diagnostic, Place, Severity};

/// What a text may cost to read. What is over a limit is refused with its position.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of text.
    pub size: usize,
    /// Levels of nesting, aliases followed.
    pub depth: usize,
    /// Nodes in the arena.
    pub nodes: usize,
    /// Nodes that aliases and merge keys stand for, repeated ones counted each time.
    pub aliases: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Limits { size: 64 << 20, depth: 200, nodes: 8_000_000, aliases: 1_000_000 }
    }
}

#[derive(Debug)]
pub struct Tree {}

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
}

impl Tree {
    /// Reads a text. `name` is what diagnostics call it. Besides the tree come warnings
    /// (duplicate keys: the first one counts); the error is the one reason why there is no tree.
    pub fn parse(name: &str, text: String, limits: &Limits) -> Result<(Arc<Tree>, Vec<Diagnostic>), Box<Diagnostic>> {
        todo!()
    }

    pub fn root<'t>(self: &'t Arc<Self>) -> Value<'t> {
        todo!()
    }

    pub fn name(&self) -> &str {
        todo!()
    }
}

impl<'t> Value<'t> {
    pub fn kind(self) -> Kind<'t> {
        todo!()
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
        todo!()
    }
    pub fn get_entry(self, key: &str) -> Option<(Key<'t>, Value<'t>)> {
        todo!()
    }
    /// Entries in document order; none where this is no mapping.
    pub fn entries(self) -> impl Iterator<Item = (Key<'t>, Value<'t>)> {
        std::iter::empty()
    }
    /// Items in order; none where this is no sequence.
    pub fn items(self) -> impl Iterator<Item = Value<'t>> {
        std::iter::empty()
    }
    pub fn is_mapping(self) -> bool {
        todo!()
    }
    pub fn is_sequence(self) -> bool {
        todo!()
    }
    pub fn as_str(self) -> Option<&'t str> {
        todo!()
    }
    pub fn as_bool(self) -> Option<bool> {
        todo!()
    }
    pub fn as_i64(self) -> Option<i64> {
        todo!()
    }
    /// A scalar as text (`true`, `1.50`, a string as it is); none for null, sequences and mappings.
    pub fn text(self) -> Option<Cow<'t, str>> {
        todo!()
    }
    /// RFC 6901: the value at a pointer below this one (`""` is itself).
    pub fn pointer(self, pointer: &str) -> Option<Value<'t>> {
        todo!()
    }
    /// Appends the value as compact JSON in document order.
    pub fn write_json(self, out: &mut String) {
        todo!()
    }
    pub fn to_json(self) -> serde_json::Value {
        todo!()
    }
    /// Where the value stands.
    pub fn place(self) -> Place {
        todo!()
    }
    pub fn problem(self, severity: Severity, code: Code, message: impl Into<String>) -> Diagnostic {
        Diagnostic::new(severity, code, message).at(self.place())
    }
}

impl<'t> Key<'t> {
    pub fn text(self) -> &'t str {
        self.text
    }
    pub fn place(self) -> Place {
        todo!()
    }
    pub fn problem(self, severity: Severity, code: Code, message: impl Into<String>) -> Diagnostic {
        Diagnostic::new(severity, code, message).at(self.place())
    }
}

/// Appends `text` as a JSON string's inside: quotes, backslashes and controls escaped (RFC 8259, 7).
pub fn escape_json(text: &str, out: &mut String) {
    todo!()
}
