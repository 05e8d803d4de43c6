//! Reads: trees to documents, the part of OpenAPI that Standin uses, as types.
//!
//! What is wrong in one operation never costs another: it becomes a diagnostic, and the rest is
//! read. Files that a `$ref` names and nobody has given yet are listed as missing, so that the
//! caller reads them and asks again; nothing here touches a disk.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use crate::diagnostic::{Code, Diagnostic, Severity};
use crate::tree::Tree;

mod v3;

mod resolve;

pub mod document;

pub use document::Document;

/// The texts there are, by name. A name is an absolute path with `/`, without `.` and `..`.
pub type Trees = HashMap<Arc<str>, Arc<Tree>>;

/// A document that was read, and what came up.
pub struct Reading<'t> {
    /// None if the tree is no OpenAPI document at all.
    pub document: Option<Document<'t>>,
    /// Every file that a reference named, there or not.
    pub referred: BTreeSet<String>,
    pub diagnostics: Vec<Diagnostic>,
}

/// Whether a tree says of itself that it is an OpenAPI or Swagger document.
pub fn is_document(tree: &Arc<Tree>) -> bool {
    let root = tree.root();
    root.get("openapi").is_some() || root.get("swagger").is_some()
}

/// Reads the document of the tree called `name`.
pub fn read<'t>(trees: &'t Trees, name: &str) -> Reading<'t> {
    let Some(tree) = trees.get(name) else {
        let missing = Diagnostic::new(Severity::Error, NOT_OPENAPI, format!("{name} was not read"));
        return Reading { document: None, referred: BTreeSet::new(), diagnostics: vec![missing] };
    };
    let mut resolver = resolve::Resolver::new(trees);
    let document = v3::document(&mut resolver, tree);
    let (referred, diagnostics) = resolver.finish();
    Reading { document, referred, diagnostics }
}

const NOT_OPENAPI: Code = Code("SI0100");
