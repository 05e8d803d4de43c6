//! `$ref`, inside a document, to files beside it and to texts on other hosts.

use std::borrow::Cow;
use std::collections::HashSet;
use std::sync::Arc;

use bytes::Bytes;

use super::document::Format;
use super::identity::{By, Identities, Resource};
use super::{Referred, Trees, uri};
use crate::diagnostic::{Code, Diagnostic, Report, Severity, cut, nearest};
use crate::tree::{Tree, Value};

const UNRESOLVED: Code = Code("SI0110");
const CYCLE: Code = Code("SI0111");
const REMOTE: Code = Code("SI0112");

/// References that lead on to references; more than anyone writes by hand.
const HOPS: usize = 64;

const KEEP_A_COPY: &str = "keep a copy beside the document and refer to it by its file name";

/// What is said of a file that nobody has asked for yet.
const NOT_READ: &str = "it was not read";

/// Follows references through the trees there are, and gathers what came up on the way.
pub struct Resolver<'t> {
    trees: &'t Trees,
    /// The document's own, whose names come before those of the others.
    document: &'t str,
    format: Format,
    /// Found when the first reference asks.
    identities: Option<Arc<Identities<'t>>>,
    /// The objects whose form has been looked at.
    looked_at: HashSet<(*const Tree, u32)>,
    referred: Referred,
    diagnostics: Report,
    /// References that lead nowhere and were looked into for what was meant.
    hinted: usize,
}

impl<'t> Resolver<'t> {
    /// For the document of the tree of that name.
    pub fn new(trees: &'t Trees, document: &'t str) -> Self {
        Resolver {
            trees,
            document,
            format: Format::V32,
            identities: None,
            looked_at: HashSet::new(),
            referred: Referred::default(),
            diagnostics: Report::default(),
            hinted: 0,
        }
    }

    /// Reads what follows by the rules of a format.
    pub fn read_as(&mut self, format: Format) {
        self.format = format;
    }

    pub fn format(&self) -> Format {
        self.format
    }

    /// Whether an object is met for the first time. What is shared is read for each operation that
    /// refers to it, and its form need be looked at once.
    pub fn first_met(&mut self, value: Value<'t>) -> bool {
        self.looked_at.insert((Arc::as_ptr(value.tree()), value.id()))
    }

    /// The files that were referred to, and the problems in the order of the text, each once.
    pub fn finish(self) -> (Referred, Vec<Diagnostic>) {
        (self.referred, self.diagnostics.finish())
    }

    pub fn report(&mut self, diagnostic: Diagnostic) {
        self.diagnostics.push(diagnostic);
    }

    /// The value itself, or what its `$ref` leads to. None, with a diagnostic, where that is nothing.
    pub fn follow(&mut self, value: Value<'t>) -> Option<Value<'t>> {
        let mut hops = HOPS;
        self.follow_within(value, &mut hops)
    }

    /// The value itself, and all that its references lead to on their way, for objects that may have
    /// fields beside one. Ends, with a diagnostic, where a reference leads nowhere.
    pub fn follow_each(&mut self, value: Value<'t>) -> Vec<Value<'t>> {
        let mut met = vec![value];
        let mut current = value;
        while let Some(reference) = reference(current) {
            if met.len() > HOPS {
                self.report(cycle(value));
                break;
            }
            let Some(target) = self.target_of(reference) else { break };
            met.push(target);
            current = target;
        }
        met
    }

    /// Where the text of one `$ref` or `$dynamicRef` leads, with a diagnostic where that is nothing.
    /// JSON Schema 2020-12, 8.2.3.2: a `$dynamicRef` leads first where a `$ref` would.
    pub fn target_of(&mut self, reference: Value<'t>) -> Option<Value<'t>> {
        let mut hops = HOPS;
        self.target(reference, reference.as_str()?, &mut hops)
    }

    /// Where a reference leads that is no value of its own; `at` is what it is relative to.
    pub fn reference(&mut self, at: Value<'t>, text: &str) -> Option<Value<'t>> {
        let mut hops = HOPS;
        self.target(at, text, &mut hops)
    }

    /// The file that an `externalValue` names, as it is. The error is why there is none.
    pub fn file(&mut self, reference: Value<'t>) -> Result<&'t Bytes, String> {
        let text = reference.as_str().unwrap_or_default();
        let name = uri::join(reference.tree().name(), text.split('#').next().unwrap_or_default())?;
        let trees = self.trees;
        let found = trees.file(&name).ok_or_else(|| trees.why_absent(&name).unwrap_or(NOT_READ).to_owned());
        if uri::is_file(&name) || uri::is_remote(&name) {
            self.referred.files.insert(name);
        }
        found
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
        self.report(cycle(value));
        None
    }

    fn target(&mut self, reference: Value<'t>, text: &str, hops: &mut usize) -> Option<Value<'t>> {
        let (file, fragment) = text.split_once('#').unwrap_or((text, ""));
        if fragment.len() > uri::LONGEST {
            let message = format!("`{}` leads nowhere: it is too long", cut(text));
            self.report(reference.problem(Severity::Error, UNRESOLVED, message));
            return None;
        }
        let identities = self.identities();
        let (root, resource) = self.resource(reference, file, &identities)?;
        let fragment = decode(fragment);
        let found = match fragment.as_ref() {
            "" => Some(root),
            pointer if pointer.starts_with('/') => match root.pointer(pointer) {
                None => self.behind_references(root, pointer, hops)?,
                found => found,
            },
            anchor => resource.and_then(|resource| identities.anchor(resource, anchor)),
        };
        // Documents are written as if an `$id` below `components` changed nothing for pointers.
        let document = root.tree().root();
        let found = found.or_else(|| document.pointer(&fragment).filter(|_| !document.is(root)));
        if found.is_none() {
            // Where very much is wrong, looking for what each was meant to be takes too long.
            self.hinted += 1;
            let hint = if self.hinted <= 200 { near_miss(root, &fragment) } else { None };
            let message = format!("`{}` leads nowhere", cut(text));
            let problem = reference.problem(Severity::Error, UNRESOLVED, message);
            self.report(Diagnostic { hint, ..problem });
        }
        found
    }

    fn identities(&mut self) -> Arc<Identities<'t>> {
        if let Some(known) = &self.identities {
            return known.clone();
        }
        let (found, told) = Identities::of(&self.trees.in_order(self.document), self.format);
        told.into_iter().for_each(|problem| self.report(problem));
        self.identities.insert(found.into()).clone()
    }

    /// The document or schema that a reference without its fragment leads to: what calls itself so
    /// comes before what has to be read.
    fn resource<'i>(
        &mut self,
        reference: Value<'t>,
        file: &str,
        identities: &'i Identities<'t>,
    ) -> Option<(Value<'t>, Option<&'i Resource<'t>>)> {
        let around = identities.around(reference);
        if file.is_empty() {
            return Some((around.map_or_else(|| reference.tree().root(), |around| around.root), around));
        }
        let own = uri::join(reference.tree().name(), file);
        let near = around.map(|around| uri::join(&around.name, file));
        let names = near.iter().chain([&own]).filter_map(|name| name.as_ref().ok());
        if let Some(named) = names.into_iter().find_map(|name| identities.named(name)) {
            return Some((named.root, Some(named)));
        }
        // 3.2, 4.1.2.2.1: where nothing there is has that `$self`, a text is looked for where it came from.
        let near = near.filter(|_| around.is_some_and(|around| around.by == By::Id));
        let first = near.unwrap_or_else(|| own.clone());
        let tree = match (self.text(&first), &own) {
            // Schemas are published under their `$id`, and kept in files beside each other.
            (Err(Absent::CantBeHad), Ok(own)) if first.as_ref() != Ok(own) => {
                self.text(&Ok(own.clone())).ok()
            }
            (found, _) => found.ok(),
        };
        match tree {
            Some(tree) => Some((tree.root(), identities.whole(tree))),
            None => {
                let problem = self.unresolved(reference, file, &first);
                self.report(problem);
                None
            }
        }
    }

    /// The tree of a name, which is asked for where it is not there.
    fn text(&mut self, name: &Result<String, &'static str>) -> Result<&'t Arc<Tree>, Absent> {
        let name = name.as_ref().map_err(|_| Absent::CantBeHad)?;
        let found = self.trees.get(name);
        if found.is_none() && !uri::is_file(name) && !uri::is_remote(name) {
            return Err(Absent::CantBeHad);
        }
        self.referred.texts.insert(name.clone());
        match self.trees.why_absent(name) {
            Some(_) if found.is_none() => Err(Absent::CantBeHad),
            _ => found.ok_or(Absent::NotAskedFor),
        }
    }

    fn unresolved(
        &self,
        reference: Value<'t>,
        file: &str,
        name: &Result<String, &'static str>,
    ) -> Diagnostic {
        let (code, reason, hint) = match name {
            Err(reason) => (UNRESOLVED, *reason, None),
            Ok(name) if uri::is_file(name) => (UNRESOLVED, self.why_absent(name), None),
            Ok(name) if uri::is_remote(name) => (REMOTE, self.why_absent(name), Some(KEEP_A_COPY)),
            Ok(_) => (UNRESOLVED, "nothing there is has it as its `$id` or `$self`", None),
        };
        let message = format!("`{}` can't be referred to: {reason}", cut(file));
        let problem = reference.problem(Severity::Error, code, message);
        Diagnostic { hint: hint.map(str::to_owned), ..problem }
    }

    fn why_absent(&self, name: &str) -> &'t str {
        self.trees.why_absent(name).unwrap_or(NOT_READ)
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

/// Why a text is not there.
enum Absent {
    /// The caller is told of it, and may bring it.
    NotAskedFor,
    CantBeHad,
}

/// The text of the reference that an object is, in a schema of either kind.
fn reference(value: Value<'_>) -> Option<Value<'_>> {
    let found = value.get("$ref").or_else(|| value.get("$dynamicRef"));
    found.filter(|reference| reference.as_str().is_some())
}

fn cycle(value: Value<'_>) -> Diagnostic {
    value
        .problem(Severity::Error, CYCLE, "this reference leads back to itself")
        .hint("let one of the references of the circle hold the value")
}

fn decode(text: &str) -> Cow<'_, str> {
    percent_encoding::percent_decode_str(text).decode_utf8_lossy()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Where the `$ref` at `/from` of the first tree leads, as JSON; else what is said. Then what was
    /// asked for.
    #[track_caller]
    fn check(texts: &[(&str, &str)], absent: &[&str], expected: &str, asked: &[&str]) {
        let mut trees = Trees::default();
        for (name, text) in texts {
            let (tree, _) =
                Tree::parse(name, (*text).to_owned(), &Default::default()).expect("the text is YAML");
            trees.insert((*name).into(), tree);
        }
        absent.iter().for_each(|name| trees.absent((*name).into(), "it is off"));
        let first = trees.get(texts[0].0).expect("it was inserted");
        let mut resolver = Resolver::new(&trees, texts[0].0);
        let mut found = String::new();
        let from = first.root().get("from").expect("the text has `from`");
        if let Some(target) = reference(from).and_then(|reference| resolver.target_of(reference)) {
            target.write_json(&mut found);
        }
        let (referred, told) = resolver.finish();
        found.extend(told.iter().map(|problem| format!("{} {}", problem.code.0, problem.message)));
        let asked_for: Vec<&str> = referred.texts.iter().map(String::as_str).collect();
        assert_eq!((found.as_str(), &*asked_for), (expected, asked));
    }

    #[test]
    fn a_pointer_is_decoded_and_then_unescaped() {
        check(
            &[("/a", "from: {$ref: '#/%7Bx%7D/~1~0/%2525/0'}\n'{x}': {'/~': {'%25': [1]}}")],
            &[],
            "1",
            &[],
        );
        check(&[("/a", "from: {$ref: '#'}")], &[], r##"{"from":{"$ref":"#"}}"##, &[]);
        check(&[("/a", "from: {$ref: ''}")], &[], r#"{"from":{"$ref":""}}"#, &[]);
        check(&[("/a", "from: {$ref: '#/~2'}")], &[], "SI0110 `#/~2` leads nowhere", &[]);
    }

    #[test]
    fn a_text_that_is_not_there_is_asked_for() {
        check(
            &[("/s/a", "from: {$ref: 'b.yaml#/x'}")],
            &[],
            "SI0110 `b.yaml` can't be referred to: it was not read",
            &["/s/b.yaml"],
        );
        check(
            &[("/s/a", "from: {$ref: 'https://h/b.yaml#/x'}")],
            &["https://h/b.yaml"],
            "SI0112 `https://h/b.yaml` can't be referred to: it is off",
            &["https://h/b.yaml"],
        );
        check(
            &[("https://h/s/a", "from: {$ref: '../b#/x'}"), ("https://h/b", "x: 1")],
            &[],
            "1",
            &["https://h/b"],
        );
        check(
            &[("https://h/a", "from: {$ref: 'file:///etc/passwd'}"), ("/etc/passwd", "1")],
            &[],
            "SI0110 `file:///etc/passwd` can't be referred to: a text from another host can't refer to files",
            &[],
        );
    }

    #[test]
    fn a_document_is_found_by_its_self() {
        let main = "openapi: 3.2.0\n$self: https://h/api/main\nfrom: {$ref: 'other#/x'}";
        check(
            &[("/a", main), ("/b", "openapi: 3.2.0\n$self: /b/../api/other\nx: 1")],
            &[],
            NOT_READ_OTHER,
            &["/other"],
        );
        check(&[("/a", main), ("/b", "openapi: 3.2.0\n$self: https://h/api/other\nx: 1")], &[], "1", &[]);
        check(&[("/a", main), ("/other", "x: 2")], &[], "2", &["/other"]);
        check(&[("/a", "openapi: 3.2.0\n$self: /main\nfrom: {$ref: '/main#/x'}\nx: 3")], &[], "3", &[]);
    }

    const NOT_READ_OTHER: &str = "SI0110 `other` can't be referred to: it was not read";

    #[test]
    fn a_schema_is_found_by_its_id_else_by_its_place() {
        let main = "from: {$id: 'https://h/s/main', $ref: 'other'}";
        check(&[("/a", main), ("/b", "$id: https://h/s/other")], &[], r#"{"$id":"https://h/s/other"}"#, &[]);
        check(
            &[("/a", main), ("/other", "1")],
            &[],
            "SI0112 `other` can't be referred to: it was not read",
            &["https://h/s/other"],
        );
        check(
            &[("/a", main), ("/other", "1")],
            &["https://h/s/other"],
            "1",
            &["/other", "https://h/s/other"],
        );
    }

    #[test]
    fn an_anchor_is_of_its_schema() {
        let two = "x: {$id: a, $defs: {x: {$anchor: n, v: 1}}}\ny: {$anchor: n, v: 2}\n";
        check(&[("/m", &format!("{two}from: {{$ref: '#n'}}"))], &[], r#"{"$anchor":"n","v":2}"#, &[]);
        check(&[("/m", &format!("{two}from: {{$ref: 'a#n'}}"))], &[], r#"{"$anchor":"n","v":1}"#, &[]);
        check(
            &[("/m", "d: {$dynamicAnchor: n}\nfrom: {$dynamicRef: '#n'}")],
            &[],
            r#"{"$dynamicAnchor":"n"}"#,
            &[],
        );
        check(
            &[("/m", "from: {$ref: 'b#n'}"), ("/b", "{$id: 'https://h/', x: {$anchor: n}}")],
            &[],
            r#"{"$anchor":"n"}"#,
            &["/b"],
        );
    }

    #[test]
    fn what_only_looks_like_a_name_is_data() {
        for data in ["example", "examples", "default", "enum", "const", "x-own"] {
            let text = format!("s: {{{data}: {{$anchor: n}}}}\nfrom: {{$ref: '#n'}}");
            check(&[("/m", &text)], &[], "SI0110 `#n` leads nowhere", &[]);
            let text = format!("s: {{properties: {{{data}: {{$anchor: n}}}}}}\nfrom: {{$ref: '#n'}}");
            check(&[("/m", &text)], &[], r#"{"$anchor":"n"}"#, &[]);
        }
    }

    #[test]
    fn very_long_names_and_very_many_end_soon() {
        let long = "x".repeat(1 << 20);
        check(
            &[("/m", &format!("from: {{$ref: '#/{long}'}}"))],
            &[],
            &format!("SI0110 `#/{}...` leads nowhere: it is too long", "x".repeat(198)),
            &[],
        );
        check(
            &[("/m", &format!("from: {{$ref: '{long}'}}"))],
            &[],
            &format!("SI0110 `{}...` can't be referred to: it is too long", "x".repeat(200)),
            &[],
        );
        let mut text = format!("$id: https://h/{}/\nfrom: {{$ref: s9}}\nlist:\n", "y".repeat(4000));
        (0..50_000).for_each(|n| text.push_str(&format!("- {{$id: s{n}}}\n")));
        let started = std::time::Instant::now();
        check(&[("/m", &text)], &[], r#"{"$id":"s9"}"#, &[]);
        assert!(started.elapsed() < std::time::Duration::from_secs(20), "{:?}", started.elapsed());
    }
}
