//! Schemas that are kept for later: most are never asked for, so that what they come to is made then.

use std::fmt;
use std::sync::Arc;

use super::document::Format;
use super::schema::{Bundle, Direction, bundle};
use super::{Resolver, Trees};
use crate::tree::{Tree, Value};

/// The texts of one document, as long as anything of it is in force.
#[derive(Debug)]
pub struct Texts {
    trees: Trees,
    document: Arc<str>,
    format: Format,
}

/// A schema of a document. Cheap to clone.
#[derive(Clone)]
pub struct Schema {
    texts: Arc<Texts>,
    tree: Arc<Tree>,
    node: u32,
}

/// What tells schemas apart, and the ways they go.
pub type Key = (usize, u32, Direction);

impl Texts {
    pub fn new(trees: &Trees, document: Arc<str>, format: Format) -> Arc<Self> {
        Arc::new(Texts { trees: trees.clone(), document, format })
    }

    pub fn schema(self: &Arc<Self>, schema: Value<'_>) -> Schema {
        Schema { texts: self.clone(), tree: schema.tree().clone(), node: schema.id() }
    }
}

impl Schema {
    /// The schema and everything that it reaches, as [`bundle`] makes it.
    pub fn bundle(&self, direction: Direction) -> Bundle {
        let Texts { trees, document, format } = &*self.texts;
        let mut resolver = Resolver::new(trees, document);
        resolver.read_as(*format);
        match self.tree.value(self.node) {
            Some(schema) => bundle(&mut resolver, schema, *format, direction),
            None => Bundle { json: true.into(), whole: false },
        }
    }

    pub fn key(&self, direction: Direction) -> Key {
        (Arc::as_ptr(&self.tree) as usize, self.node, direction)
    }
}

impl fmt::Debug for Schema {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}#{}", self.tree.name(), self.node)
    }
}
