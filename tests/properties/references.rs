//! `$ref`s of all kinds, in a document and between files.

use std::sync::Arc;

use standin::config::Config;
use standin::diagnostic::Diagnostic;
use standin::mock::{Mocks, Source};
use standin::spec::{self, Trees};
use standin::tree::Tree;

use super::tree::{LIMITS, within};

/// Stands between two files of one text.
pub const NEXT: &str = "\n%%%\n";
pub const FILES: [&str; 3] = ["/d/a.yaml", "/d/b.yaml", "/d/c/d.yaml"];

/// Reading a document and compiling it ends, comes to the same each time, and what it says has a place
/// in one of its files.
pub fn holds(text: &str) {
    let mut trees = Trees::default();
    for (name, text) in FILES.iter().zip(text.split(NEXT)) {
        let name: Arc<str> = (*name).into();
        match Tree::parse(&name, text.to_owned(), &LIMITS) {
            Ok((tree, _)) => trees.insert(name, tree),
            Err(_) => trees.absent(name, "it has an error"),
        }
    }
    if !trees.contains(FILES[0]) {
        return;
    }
    let (told, served) = read(&trees);
    assert_eq!((&told, &served), (&read(&trees).0, &read(&trees).1));
    for diagnostic in &told {
        let Some(place) = &diagnostic.place else { continue };
        let tree = trees.get(&place.file);
        let tree = tree.unwrap_or_else(|| panic!("{diagnostic} is about no file there is"));
        within(place, tree.text());
    }
}

fn read(trees: &Trees) -> (Vec<Diagnostic>, Vec<String>) {
    let reading = spec::read(trees, FILES[0]);
    let mut told = reading.diagnostics;
    // The same for every document, so that nothing is lost without a word.
    assert!(reading.document.is_some() || !told.is_empty(), "nothing says why there is no document");
    let sources: Vec<_> = reading
        .document
        .map(|document| Source { document, trees, base_path: None, upstream: None, mode: None })
        .into_iter()
        .collect();
    let (mocks, more) = Mocks::compile(&sources, &Config::default());
    told.extend(more);
    let served = mocks.operations.iter().map(|operation| format!("{operation:?}"));
    (told, served.collect())
}
