//! Reads: trees to documents, the part of OpenAPI that Standin uses, as types.
//!
//! What is wrong in one operation never costs another: it becomes a diagnostic, and the rest is
//! read. Files that a `$ref` names and nobody has given yet are listed as missing, so that the
//! caller reads them and asks again; nothing here touches a disk.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use bytes::Bytes;

use crate::diagnostic::{Code, Diagnostic, Severity};
use crate::tree::Tree;

mod v2;

mod v3;

mod path;

mod parameter;

mod example;

mod callback;

mod extension;

mod server;

mod security;

mod keyword;

pub mod kept;

pub mod schema;

mod resolve;

mod identity;

mod uri;

pub mod document;

pub use document::Document;
pub use resolve::Resolver;

/// The texts and files there are, by name. A name is an absolute path with `/`, without `.` and `..`, or
/// an absolute URL without a fragment.
#[derive(Debug, Clone, Default)]
pub struct Trees {
    there: HashMap<Arc<str>, Arc<Tree>>,
    /// Files that an `externalValue` names, as they are.
    files: HashMap<Arc<str>, Bytes>,
    /// Why a file that was asked for is not there.
    absent: HashMap<Arc<str>, String>,
}

impl Trees {
    pub fn get(&self, name: &str) -> Option<&Arc<Tree>> {
        self.there.get(name)
    }

    pub fn contains(&self, name: &str) -> bool {
        self.there.contains_key(name)
    }

    pub fn insert(&mut self, name: Arc<str>, tree: Arc<Tree>) {
        self.there.insert(name, tree);
    }

    pub fn file(&self, name: &str) -> Option<&Bytes> {
        self.files.get(name)
    }

    pub fn insert_file(&mut self, name: Arc<str>, bytes: Bytes) {
        self.files.insert(name, bytes);
    }

    /// Notes that a file can't be had, and why: `there is no such file`.
    pub fn absent(&mut self, name: Arc<str>, reason: impl Into<String>) {
        self.absent.insert(name, reason.into());
    }

    /// Why a file can't be had; none if it was never asked for.
    pub fn why_absent(&self, name: &str) -> Option<&str> {
        self.absent.get(name).map(String::as_str)
    }

    /// Every tree, that one first, the others by their names.
    fn in_order(&self, first: &str) -> Vec<&Arc<Tree>> {
        let mut trees: Vec<_> = self.there.iter().collect();
        trees.sort_by_key(|(name, _)| (&***name != first, *name));
        trees.into_iter().map(|(_, tree)| tree).collect()
    }

    pub fn is_empty(&self) -> bool {
        self.there.is_empty()
    }
}

impl<const N: usize> From<[(Arc<str>, Arc<Tree>); N]> for Trees {
    fn from(there: [(Arc<str>, Arc<Tree>); N]) -> Self {
        Trees { there: there.into(), ..Trees::default() }
    }
}

/// A document that was read, and what came up.
pub struct Reading<'t> {
    /// None if the tree is no OpenAPI document at all.
    pub document: Option<Document<'t>>,
    pub referred: Referred,
    pub diagnostics: Vec<Diagnostic>,
}

/// Every file that a document named, there or not.
#[derive(Debug, Default)]
pub struct Referred {
    /// By a `$ref`: texts to be read.
    pub texts: BTreeSet<String>,
    /// By an `externalValue`: kept as they are.
    pub files: BTreeSet<String>,
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
        return Reading { document: None, referred: Referred::default(), diagnostics: vec![missing] };
    };
    let mut resolver = resolve::Resolver::new(trees, tree.name());
    let document = match v2::is_version(tree.root()) {
        true => Some(v2::document(&mut resolver, tree)),
        false => v3::document(&mut resolver, tree),
    };
    let (referred, diagnostics) = resolver.finish();
    Reading { document, referred, diagnostics }
}

const NOT_OPENAPI: Code = Code("SI0100");
