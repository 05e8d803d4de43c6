//! Paths, path items and statuses, which every version has alike.

use std::collections::HashSet;
use std::hash::Hash;
use std::sync::Arc;

use http::Method;

use super::document::{Document, Format, StatusPattern};
use super::keyword::{NEAR_MISS, given, method, unknown_method, wrong_type};
use super::resolve::Resolver;
use crate::diagnostic::{Code, Severity, slip};
use crate::tree::{Key, Kind, Tree, Value};

const BAD_PATH: Code = Code("SI0102");
const BAD_STATUS: Code = Code("SI0103");

/// A document without its operations.
pub fn outline<'t>(tree: &'t Arc<Tree>, openapi: String, format: Format) -> Document<'t> {
    let info = tree.root().get("info");
    let text = |key| info.and_then(|info: Value<'t>| info.get(key));
    Document {
        source: tree.name().into(),
        title: text("title").and_then(Value::as_str).unwrap_or(""),
        version: text("version").and_then(Value::text).unwrap_or_default().into_owned(),
        openapi,
        format,
        operations: Vec::new(),
    }
}

/// Every path that requests may have, with its path item.
pub fn paths<'t>(resolver: &mut Resolver<'t>, root: Value<'t>) -> Vec<(Key<'t>, Value<'t>)> {
    match given(resolver, root.get("paths")) {
        Some(paths) if paths.is_mapping() => {
            let own = paths.entries().filter(|(key, _)| !key.text().starts_with("x-"));
            return own.filter(|(key, _)| is_path(resolver, *key)).collect();
        }
        Some(paths) => resolver.report(wrong_type(paths, "`paths`", "a mapping of paths")),
        None if root.get("paths").is_some() => {}
        None => {
            let found = root.entries().map(|(key, _)| key);
            if let Some(key) = found.into_iter().find(|key| slip(key.text(), ["paths"]).is_some()) {
                resolver.report(
                    key.problem(Severity::Warning, NEAR_MISS, format!("unknown keyword `{}`", key.text()))
                        .hint("did you mean `paths`?"),
                );
            }
        }
    }
    Vec::new()
}

fn is_path<'t>(resolver: &mut Resolver<'t>, key: Key<'t>) -> bool {
    if !key.text().starts_with('/') {
        resolver.report(
            key.problem(
                Severity::Error,
                BAD_PATH,
                format!("the path `{}` does not begin with `/`", key.text()),
            )
            .hint(format!("write `/{}`", key.text())),
        );
        return false;
    }
    if let Some((path, _)) = key.text().split_once(['?', '#']) {
        let message = format!("the path `{}` has a query or a fragment, so no request has it", key.text());
        let hint = format!("describe what comes after `{path}` as parameters");
        resolver.report(key.problem(Severity::Warning, BAD_PATH, message).hint(hint));
    }
    true
}

/// A path item and what its `$ref` leads to.
///
/// 3.1, 4.8.9: fields beside a path item's `$ref` are left to the reader; the item's own come first.
pub struct Item<'t> {
    own: Option<Value<'t>>,
    target: Value<'t>,
}

impl<'t> Item<'t> {
    pub fn follow(resolver: &mut Resolver<'t>, item: Value<'t>) -> Option<Self> {
        let target = resolver.follow(item)?;
        if !target.is_mapping() {
            // An empty path item (`/health:` with nothing below) is allowed.
            if target.kind() != Kind::Null {
                resolver.report(wrong_type(target, "a path item", "a mapping"));
            }
            return None;
        }
        Some(Item { own: if target.is(item) { None } else { Some(item) }, target })
    }

    pub fn field(&self, name: &str) -> Option<Value<'t>> {
        self.own.and_then(|own| own.get(name)).or_else(|| self.target.get(name))
    }

    pub fn operations(&self, resolver: &mut Resolver<'t>) -> Vec<(Key<'t>, Method, Value<'t>)> {
        let mut found: Vec<(Key<'t>, Method, Value<'t>)> = Vec::new();
        let mut seen = HashSet::new();
        for (key, value) in self.own.into_iter().chain([self.target]).flat_map(Value::entries) {
            let Some(method) = method(key.text()) else {
                unknown_method(resolver, key);
                continue;
            };
            if !seen.insert(key.text()) {
                continue;
            }
            let Some(value) = given(resolver, Some(value)) else { continue };
            if !value.is_mapping() {
                resolver.report(wrong_type(value, "an operation", "a mapping"));
                continue;
            }
            found.push((key, method, value));
        }
        found
    }
}

/// 3.1, 4.8.10: an operation's parameter replaces the path item's of the same name and place.
pub fn with_shared<T: Clone, P: Eq + Hash>(mut own: Vec<T>, shared: &[T], place: fn(&T) -> P) -> Vec<T> {
    let known: HashSet<P> = own.iter().map(place).collect();
    own.extend(shared.iter().filter(|shared| !known.contains(&place(shared))).cloned());
    own
}

/// The status that a key of `responses` names; none, with a diagnostic, if it names none.
pub fn status<'t>(resolver: &mut Resolver<'t>, key: Key<'t>) -> Option<StatusPattern> {
    let status = StatusPattern::parse(key.text());
    if status.is_none() {
        resolver.report(
            key.problem(Severity::Warning, BAD_STATUS, format!("`{}` is no status code", key.text()))
                .hint("write a code (`200`), a range (`2XX`) or `default`"),
        );
    }
    status
}
