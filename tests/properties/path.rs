//! Paths: their one spelling, what lenient servers read them as, and which template they are for.

use std::sync::Arc;

use http::{HeaderMap, Method};
use standin::config::Config;
use standin::diagnostic::Diagnostic;
use standin::mock::message::Head;
use standin::mock::route::path;
use standin::mock::{Found, Mocks, Source};
use standin::spec::{self, Trees};
use standin::tree::Tree;

/// What stands for each parameter; no literal of the templates that are drawn has it.
const WORD: &str = "qzq";

/// Each line that begins with `/` is a template, and a path too.
pub fn holds(text: &str) {
    let lines: Vec<&str> = text.lines().filter(|line| line.starts_with('/')).take(40).collect();
    for line in &lines {
        spelled(line);
    }
    // What is behind `?` or `#` is no part of a path.
    let templates: Vec<&str> = lines.into_iter().filter(|line| !line.contains(['?', '#'])).collect();
    for template in &templates {
        alone(template);
    }
    together(&templates);
}

/// RFC 3986, 6.2.2: one spelling stands for all that are equal, and for itself.
pub fn spelled(path: &str) {
    let canonical = path::canonical(path).into_owned();
    assert_eq!(path::canonical(&canonical), canonical, "`{path}` has two spellings");
    assert!(canonical.is_ascii());
    for (what, other) in [("lower case", lower(&canonical)), ("encoded", encoded(&canonical))] {
        assert_eq!(path::canonical(&other), canonical, "`{other}`, {what}, is another path");
    }
    let readings = path::readings(&canonical);
    assert!(readings.len() <= 63, "{} readings of `{path}`", readings.len());
    for reading in &readings {
        assert_ne!(*reading, canonical);
        assert_eq!(path::canonical(reading), *reading);
    }
}

/// The hex digits in lower case.
fn lower(canonical: &str) -> String {
    let mut out = String::new();
    let mut rest = canonical;
    while let Some(at) = rest.find('%') {
        let end = (at + 3).min(rest.len());
        out.push_str(&rest[..at]);
        out.push_str(&rest[at..end].to_ascii_lowercase());
        rest = &rest[end..];
    }
    out + rest
}

/// Unreserved characters encoded.
fn encoded(canonical: &str) -> String {
    let mut out = String::new();
    let mut digits = 0;
    for character in canonical.chars() {
        match character {
            '%' => digits = 3,
            _ if digits == 0 && (character.is_ascii_alphanumeric() || "-._~".contains(character)) => {
                out.push_str(&format!("%{:02x}", u32::from(character)));
                continue;
            }
            _ => {}
        }
        digits = u32::saturating_sub(digits, 1);
        out.push(character);
    }
    out
}

/// A template finds what it is filled with, or something says why not. With braces in braces, or that are
/// not closed, it only has to be read.
fn alone(template: &str) {
    let (mocks, told) = compiled(&[template]);
    if !is_plain(template) {
        return;
    }
    let found = filled(template).map(|path| (find(&mocks, &path), path));
    if let Some((None, path)) = found {
        assert!(!told.is_empty(), "`{template}` does not find `{path}`, and nothing says why");
    }
}

/// Among others each template's path finds a route, and the same in whatever order they were added, but
/// where two are of one weight.
fn together(templates: &[&str]) {
    let mut templates: Vec<&str> = templates.iter().copied().filter(|template| is_plain(template)).collect();
    let (forwards, _) = compiled(&templates);
    let asked = templates.clone();
    templates.reverse();
    let (backwards, _) = compiled(&templates);
    for template in asked {
        let Some(path) = filled(template) else { continue };
        let found = [&forwards, &backwards].map(|mocks| find(mocks, &path).map(|found| weight(&found)));
        assert!(found[0].is_some(), "`{path}` is not found among {templates:?}");
        assert_eq!(found[0], found[1], "`{path}` depends on the order of {templates:?}");
    }
}

/// Whether all braces are around names.
fn is_plain(template: &str) -> bool {
    let mut parts = template.split('{');
    let before = parts.next().is_some_and(|before| !before.contains('}'));
    let named = |(name, after): (&str, &str)| {
        !name.is_empty() && name.chars().all(char::is_alphanumeric) && !after.contains('}')
    };
    before && parts.all(|part| part.split_once('}').is_some_and(named))
}

fn compiled(templates: &[&str]) -> (Mocks, Vec<Diagnostic>) {
    let paths: serde_json::Map<_, _> = templates
        .iter()
        .map(|template| {
            let operation = serde_json::json!({ "operationId": template, "responses": { "204": {} } });
            ((*template).to_owned(), serde_json::json!({ "get": operation }))
        })
        .collect();
    let name: Arc<str> = "/t.json".into();
    let text = serde_json::json!({ "openapi": "3.1.0", "paths": paths }).to_string();
    let (tree, _) = Tree::parse(&name, text, &Default::default()).expect("it is JSON");
    let trees = Trees::from([(name, tree)]);
    let reading = spec::read(&trees, "/t.json");
    let document = reading.document.expect("it is a document");
    let (mocks, more) = Mocks::compile(
        &[Source { document, trees: &trees, base_path: None, upstream: None, mode: None }],
        &Config::default(),
    );
    let mut told = reading.diagnostics;
    told.extend(more);
    (mocks, told)
}

/// The template that a path finds.
fn find(mocks: &Mocks, path: &str) -> Option<String> {
    let headers = HeaderMap::new();
    let (method, authority) = (&Method::GET, "api.test");
    match mocks.find(&Head { method, path, query: None, headers: &headers, scheme: "http", authority }) {
        Found::Mock(hit) => Some(hit.operation.label.to_string()),
        _ => None,
    }
}

/// The path that a template is filled with; none if it is too deep to be looked at.
fn filled(template: &str) -> Option<String> {
    if template.matches('/').count() > 400 {
        return None;
    }
    let mut out = String::new();
    let mut rest = template;
    while let Some((before, after)) = parameter(rest) {
        out.push_str(before);
        // RFC 6570, 3.2.5 and 3.2.6: `{.x}` and `{/x}` stand for their dot and slash too.
        let sign = rest[before.len() + 1..].chars().next();
        out.extend(sign.filter(|sign| matches!(sign, '.' | '/')));
        out.push_str(WORD);
        rest = after;
    }
    Some(out + rest)
}

/// What is before and after the first parameter: it opens with the last brace before the one that closes it.
fn parameter(rest: &str) -> Option<(&str, &str)> {
    let first = rest.find('{')?;
    let close = first + rest[first..].find('}')?;
    let open = rest[..close].rfind('{')?;
    Some((&rest[..open], &rest[close + 1..]))
}

/// What decides between two templates (OpenAPI 3.1, 4.8.8): concrete segments first, then longer literals.
fn weight(template: &str) -> Vec<(bool, usize)> {
    let mut found = Vec::new();
    for segment in path::segments(template) {
        let mut literals = 0;
        let mut rest = segment;
        let mut concrete = true;
        while let Some((before, after)) = parameter(rest) {
            concrete = false;
            literals += path::canonical(before).len();
            rest = after;
        }
        found.push((concrete, if concrete { 0 } else { literals + path::canonical(rest).len() }));
    }
    found
}
