//! `$ref`, inside a document and to files beside it.

use std::borrow::Cow;

use super::{Referred, Trees};
use crate::diagnostic::{Code, Diagnostic, Severity, nearest};
use crate::tree::Value;

const UNRESOLVED: Code = Code("SI0110");
const CYCLE: Code = Code("SI0111");
const REMOTE: Code = Code("SI0112");
const MORE: Code = Code("SI0113");

/// References that lead on to references; more than anyone writes by hand.
const HOPS: usize = 64;

/// Problems of one document that are told, since a generated one may have one in each line.
const TOLD: usize = 1000;

/// Follows references through the trees there are, and gathers what came up on the way.
pub struct Resolver<'t> {
    trees: &'t Trees,
    referred: Referred,
    diagnostics: Vec<Diagnostic>,
    /// The gravest of the problems past [`TOLD`].
    untold: Option<Severity>,
}

impl<'t> Resolver<'t> {
    pub fn new(trees: &'t Trees) -> Self {
        Resolver { trees, referred: Referred::default(), diagnostics: Vec::new(), untold: None }
    }

    /// The files that were referred to, and the problems in the order of the text, each once.
    pub fn finish(mut self) -> (Referred, Vec<Diagnostic>) {
        self.settle();
        if let Some(severity) = self.untold {
            let message = format!("there are more problems in this document; the first {TOLD} are shown");
            self.diagnostics.push(Diagnostic::new(severity, MORE, message));
        }
        (self.referred, self.diagnostics)
    }

    pub fn report(&mut self, diagnostic: Diagnostic) {
        // What is shared is read, and said, once for each operation that refers to it.
        if self.diagnostics.len() >= 2 * TOLD {
            self.settle();
        }
        self.diagnostics.push(diagnostic);
    }

    fn settle(&mut self) {
        self.diagnostics.sort_by_cached_key(|diagnostic| {
            let place = diagnostic.place.as_ref();
            (place.map(|place| (place.file.clone(), place.line, place.column)), diagnostic.message.clone())
        });
        self.diagnostics.dedup();
        let untold = self.diagnostics.drain(TOLD.min(self.diagnostics.len())..);
        self.untold = untold.map(|diagnostic| diagnostic.severity).chain(self.untold).min();
    }

    /// The value itself, or what its `$ref` leads to. None, with a diagnostic, where that is nothing.
    pub fn follow(&mut self, value: Value<'t>) -> Option<Value<'t>> {
        let mut hops = HOPS;
        self.follow_within(value, &mut hops)
    }

    /// `hops` are those that are left, so that references through references cost no more.
    fn follow_within(&mut self, value: Value<'t>, hops: &mut usize) -> Option<Value<'t>> {
        let mut current = value;
        loop {
            let Some(reference) = current.get("$ref") else { return Some(current) };
            let Some(text) = reference.as_str() else { return Some(current) };
            let Some(left) = hops.checked_sub(1) else { break };
            *hops = left;
            current = self.target(reference, text, hops)?;
        }
        self.report(
            value
                .problem(Severity::Error, CYCLE, "this reference leads back to itself")
                .hint("let one of the references of the circle hold the value"),
        );
        None
    }

    /// What a reference, given by its text's node, leads to in one step.
    pub fn target_of(&mut self, reference: Value<'t>) -> Option<Value<'t>> {
        let mut hops = HOPS;
        self.target(reference, reference.as_str()?, &mut hops)
    }

    fn target(&mut self, reference: Value<'t>, text: &str, hops: &mut usize) -> Option<Value<'t>> {
        let (file, fragment) = text.split_once('#').unwrap_or((text, ""));
        if file.contains("://") {
            self.report(
                reference
                    .problem(
                        Severity::Error,
                        REMOTE,
                        format!("`{text}` is on another host, and is not fetched"),
                    )
                    .hint("keep a copy beside the document and refer to it by its file name"),
            );
            return None;
        }
        let root = if file.is_empty() {
            reference.tree().root()
        } else {
            let name = join(reference.tree().name(), &decode(file));
            let (tree, absent) = (self.trees.get(&name), self.trees.why_absent(&name));
            self.referred.texts.insert(name);
            if tree.is_none() {
                let reason = absent.unwrap_or("it was not read");
                let message = format!("`{file}` can't be referred to: {reason}");
                self.report(reference.problem(Severity::Error, UNRESOLVED, message));
            }
            tree?.root()
        };
        let pointer = decode(fragment);
        let found = match pointer.as_ref() {
            "" => Some(root),
            pointer if pointer.starts_with('/') => match root.pointer(pointer) {
                None => self.behind_references(root, pointer, hops)?,
                found => found,
            },
            _ => None,
        };
        if found.is_none() {
            // Where very much is wrong, looking for what each was meant to be takes too long.
            let few = self.untold.is_none() && self.diagnostics.len() < 200;
            let hint = if few { near_miss(root, &pointer) } else { None };
            let message = format!("`{text}` leads nowhere");
            let problem = reference.problem(Severity::Error, UNRESOLVED, message);
            self.report(Diagnostic { hint, ..problem });
        }
        found
    }

    /// What a pointer leads to where objects on its way are references themselves
    /// (`components: {schemas: {$ref: schemas.yaml}}`). None, with a diagnostic, where one of them leads nowhere.
    fn behind_references(
        &mut self,
        root: Value<'t>,
        pointer: &str,
        hops: &mut usize,
    ) -> Option<Option<Value<'t>>> {
        let mut at = root;
        for token in pointer.split('/').skip(1) {
            let token = format!("/{token}");
            let found = match at.pointer(&token) {
                None if at.get("$ref").is_some() => self.follow_within(at, hops)?.pointer(&token),
                found => found,
            };
            let Some(found) = found else { return Some(None) };
            at = found;
        }
        Some(Some(at))
    }
}

/// Names what there is where a pointer stops leading on.
fn near_miss(root: Value<'_>, pointer: &str) -> Option<String> {
    let mut parent = root;
    let mut walked = String::new();
    for token in pointer.strip_prefix('/')?.split('/') {
        let name = token.replace("~1", "/").replace("~0", "~");
        match parent.get(&name) {
            Some(value) => {
                parent = value;
                walked = format!("{walked}/{token}");
            }
            None => {
                let near = nearest(&name, parent.entries().map(|(key, _)| key.text()));
                return Some(match near {
                    Some(near) => format!("`#{walked}` has `{near}`"),
                    None => format!("`#{walked}` has no `{name}`"),
                });
            }
        }
    }
    None
}

/// RFC 3986, 5.2.4 for file names: `path` relative to the folder of `base`.
fn join(base: &str, path: &str) -> String {
    let folder = base.rsplit_once('/').map_or("", |(folder, _)| folder);
    let full = if path.starts_with('/') { path.to_owned() } else { format!("{folder}/{path}") };
    let mut segments: Vec<&str> = Vec::new();
    for segment in full.split('/') {
        match segment {
            "" | "." => {}
            ".." => {
                segments.pop();
            }
            segment => segments.push(segment),
        }
    }
    format!("/{}", segments.join("/"))
}

fn decode(text: &str) -> Cow<'_, str> {
    percent_encoding::percent_decode_str(text).decode_utf8_lossy()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_join(base: &str, path: &str, expected: &str) {
        assert_eq!(join(base, path), expected);
    }

    #[test]
    fn a_file_is_relative_to_the_one_that_refers_to_it() {
        check_join("/specs/a.yaml", "b.yaml", "/specs/b.yaml");
        check_join("/specs/a.yaml", "./parts/b.yaml", "/specs/parts/b.yaml");
        check_join("/specs/parts/b.yaml", "../c.yaml", "/specs/c.yaml");
        check_join("/a.yaml", "../../c.yaml", "/c.yaml");
        check_join("/specs/a.yaml", "/other/c.yaml", "/other/c.yaml");
    }
}
