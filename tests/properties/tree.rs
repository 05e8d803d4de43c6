//! A text to a tree.

use std::sync::Arc;

use serde_json::Value as Json;
use standin::diagnostic::{Diagnostic, Place};
use standin::tree::{Limits, Tree, Value};

/// Small, so that what is drawn goes over them too.
pub const LIMITS: Limits = Limits { size: 1 << 16, depth: 60, nodes: 5_000, aliases: 5_000 };

/// Reading ends, whatever the text; its places are in the text, what comes out is as deep and large as
/// it may be, and JSON is what other readers of JSON say it is.
pub fn holds(text: &str) {
    for name in ["t.yaml", "t.json"] {
        match Tree::parse(name, text.to_owned(), &LIMITS) {
            Ok((tree, warnings)) => {
                warnings.iter().for_each(|warning| told(warning, tree.text()));
                walk(&tree);
                again(&tree);
                agrees(&tree, &warnings, text);
            }
            Err(problem) => {
                told(&problem, text.trim_start_matches('\u{feff}'));
                // Only a limit may keep back what is JSON.
                let is_json = serde_json::from_str::<Json>(text).is_ok();
                assert!(!is_json || problem.code.0 == "SI0002", "JSON is refused: {problem}");
            }
        }
    }
}

fn told(diagnostic: &Diagnostic, text: &str) {
    if let Some(place) = &diagnostic.place {
        within(place, text);
    }
}

/// A place is in a line that there is, at most behind its last character.
pub fn within(place: &Place, text: &str) {
    let text = text.replace("\r\n", "\n").replace('\r', "\n");
    let line = text.split('\n').nth(place.line as usize - 1);
    let line = line.unwrap_or_else(|| panic!("{place:?} is in no line"));
    let characters = line.chars().count();
    let column = place.column as usize;
    assert!((1..=characters + 1).contains(&column), "{place:?} is behind its line");
    assert!(place.width >= 1);
    assert!(place.text.chars().count() <= Place::EXCERPT);
}

/// Every value and every key has its place, and no value is deeper than the limit.
fn walk(tree: &Arc<Tree>) {
    let mut open = vec![(tree.root(), 1)];
    let mut seen = 0;
    while let Some((value, depth)) = open.pop() {
        seen += 1;
        assert!(depth <= LIMITS.depth + 1, "deeper than the limit");
        assert!(seen <= LIMITS.nodes + LIMITS.aliases, "larger than the limits");
        let place = value.place();
        within(&place, tree.text());
        let found = tree.root().pointer(&place.pointer);
        assert!(found.is_some_and(|found| found.is(value)), "`{}` leads elsewhere", place.pointer);
        for (key, item) in value.entries() {
            within(&key.place(), tree.text());
            assert!(value.get(key.text()).is_some_and(|found| found.is(item)));
            open.push((item, depth + 1));
        }
        open.extend(value.items().map(|item| (item, depth + 1)));
    }
}

/// A tree's JSON is JSON, and read again it is the same.
fn again(tree: &Arc<Tree>) {
    let limits = Limits { size: 1 << 30, depth: 1_000, nodes: 1 << 24, aliases: 1 << 24 };
    let text = written(tree.root());
    let (read, warnings) = Tree::parse("again.json", text.clone(), &limits).expect("a tree's JSON is JSON");
    assert_eq!(warnings, []);
    assert_eq!(written(read.root()), text);
    assert_eq!(read.root().to_json(), tree.root().to_json());
}

fn written(value: Value<'_>) -> String {
    let mut out = String::new();
    value.write_json(&mut out);
    out
}

/// Duplicate keys aside, of which the first counts here and the last there.
fn agrees(tree: &Arc<Tree>, warnings: &[Diagnostic], text: &str) {
    let Ok(json) = serde_json::from_str::<Json>(text) else { return };
    if warnings.iter().all(|warning| warning.code.0 != "SI0003") {
        assert_eq!(tree.root().to_json(), json);
    }
}
