//! Paths: their one spelling, what lenient servers read them as, and which template they are for.

use http::Method;
use standin::mock::route::{Found, Table, parameters, path};

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

/// A template finds what it is filled with, and what it captures put back is the path again.
fn alone(template: &str) {
    let mut table = Table::default();
    let inserted = table.insert("", template, Method::GET, 0);
    assert!(inserted.is_ok());
    let Some(path) = filled(template) else { return };
    let Found::Route { captures, .. } = table.find(&path, &Method::GET) else {
        panic!("`{template}` does not find `{path}`");
    };
    assert_eq!(captures.len(), parameters(template).count());
    assert!(captures.iter().all(|capture| !capture.is_empty()));
    assert_eq!(put_in(template, &captures), path, "{captures:?}");
}

/// A template with what was captured. Of parameters side by side the first has it all.
fn put_in(template: &str, captures: &[&str]) -> String {
    let template = path::encode(template).into_owned();
    let mut captures = captures.iter();
    let mut out = String::new();
    let mut rest = template.as_str();
    let mut first = true;
    while let Some((before, after)) = parameter(rest) {
        out.push_str(before);
        if first || !before.is_empty() {
            out.push_str(captures.next().expect("a capture for each parameter"));
        }
        first = false;
        rest = after;
    }
    out + rest
}

/// Among others each template's path finds a route, and the same in whatever order they were added, but
/// where two are of one weight.
fn together(templates: &[&str]) {
    let table = |order: &mut dyn Iterator<Item = usize>| {
        let mut table = Table::default();
        for number in order {
            // One route may be there twice: the first has it.
            let _ = table.insert("", templates[number], Method::GET, number);
        }
        table
    };
    let forwards = table(&mut (0..templates.len()));
    let backwards = table(&mut (0..templates.len()).rev());
    for template in templates {
        let Some(path) = filled(template) else { continue };
        let found = [&forwards, &backwards].map(|table| match table.find(&path, &Method::GET) {
            Found::Route { target, .. } => weight(templates[target.operation]),
            other => panic!("`{path}` finds {other:?} among {templates:?}"),
        });
        assert_eq!(found[0], found[1], "`{path}` depends on the order of {templates:?}");
    }
}

/// The canonical path that a template is filled with; none if it is too deep to be looked at.
fn filled(template: &str) -> Option<String> {
    if template.matches('/').count() > 400 {
        return None;
    }
    let template = path::encode(template).into_owned();
    let mut out = String::new();
    let mut rest = template.as_str();
    while let Some((before, after)) = parameter(rest) {
        out.push_str(before);
        out.push_str(WORD);
        rest = after;
    }
    Some(out + rest)
}

/// What is before and after the first parameter, which is within a segment.
fn parameter(rest: &str) -> Option<(&str, &str)> {
    let mut from = 0;
    loop {
        let open = from + rest[from..].find('{')?;
        let segment = rest[open..].find('/').map_or(rest.len(), |slash| open + slash);
        match rest[open..segment].find('}') {
            Some(close) => return Some((&rest[..open], &rest[open + close + 1..])),
            None => from = segment,
        }
    }
}

/// What decides between two templates (OpenAPI 3.1, 4.8.8): concrete segments first, then longer literals.
fn weight(template: &str) -> Vec<(bool, usize)> {
    let template = path::encode(template).into_owned();
    let mut found = Vec::new();
    for segment in path::segments(&template) {
        let mut literals = 0;
        let mut rest = segment;
        let mut concrete = true;
        while let Some((before, after)) = parameter(rest) {
            concrete = false;
            literals += before.len();
            rest = after;
        }
        found.push((concrete, if concrete { 0 } else { literals + rest.len() }));
    }
    found
}
