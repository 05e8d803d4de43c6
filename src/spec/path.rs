//! Paths, path items and statuses, which every version has alike.

use std::collections::HashSet;
use std::hash::Hash;
use std::sync::Arc;

use http::Method;

use super::document::{Document, Field, Format, Media, Operation, Parameter, Response, StatusPattern};
use super::keyword::{PATH_ITEM, PATH_ITEM_OF_2, given, keywords, method, standard_method, wrong_type};
use super::resolve::Resolver;
use crate::diagnostic::{Code, Severity, cut};
use crate::tree::{Key, Kind, Tree, Value};

const BAD_PATH: Code = Code("SI0102");
const BAD_STATUS: Code = Code("SI0103");
/// As what has no responses.
const NO_OPERATION: Code = Code("SI0116");
const ODD_METHOD: Code = Code("SI0119");

const TOO_MUCH: Code = Code("SI0123");

/// Methods under one `additionalOperations`; more than are registered. Many paths may share a path item,
/// and each method is an operation of each.
const MOST_METHODS: usize = 100;

/// Bytes of a path that a request may have; what is longer only costs.
const LONGEST: usize = 64 << 10;

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
        // Room for one of each path: to grow costs copies.
        operations: Vec::with_capacity(tree.root().get("paths").map_or(0, |paths| paths.entries().count())),
    }
}

/// How much more the operations of a document may be made of. Few lines can be in many operations: a path
/// item that many paths refer to, with its parameters and examples.
pub struct Room {
    left: usize,
}

impl Room {
    pub const WHOLE: Room = Room { left: 1_000_000 };

    #[cfg(test)]
    pub const SMALL: Room = Room { left: 7 };

    /// Adds an operation; or says that it is left out with those that follow, and answers that.
    pub fn add<'t>(
        &mut self,
        resolver: &mut Resolver<'t>,
        operation: Operation<'t>,
        to: &mut Vec<Operation<'t>>,
    ) -> bool {
        let media = |content: &[Media<'t>]| {
            content.iter().map(|media| 1 + media.examples.len() + media.fields.len()).sum::<usize>()
        };
        let shown = |parameters: &[Parameter<'t>]| {
            parameters.iter().map(|parameter| 1 + parameter.examples.len()).sum::<usize>()
        };
        let fields =
            |fields: &[Field<'t>]| fields.iter().map(|field| 1 + field.examples.len()).sum::<usize>();
        let answered = |responses: &[Response<'t>]| {
            let parts = |response: &Response<'t>| 1 + fields(&response.headers) + media(&response.content);
            responses.iter().map(parts).sum::<usize>()
        };
        let callbacks = operation.callbacks.iter().map(|callback| {
            1 + shown(&callback.parameters) + media(&callback.bodies) + answered(&callback.responses)
        });
        let parts = 1
            + shown(&operation.parameters)
            + media(&operation.bodies)
            + answered(&operation.responses)
            + callbacks.sum::<usize>();
        let Some(left) = self.left.checked_sub(parts) else {
            let message = "the operations of this document have more than 1,000,000 parameters, headers, media \
                           types and examples; this one and the rest are left out";
            let problem = operation.key.problem(Severity::Error, TOO_MUCH, message);
            resolver.report(problem.hint("split the document"));
            return false;
        };
        self.left = left;
        to.push(operation);
        true
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
        None => {}
    }
    Vec::new()
}

fn is_path<'t>(resolver: &mut Resolver<'t>, key: Key<'t>) -> bool {
    if key.text().is_empty() {
        resolver.report(
            key.problem(
                Severity::Warning,
                BAD_PATH,
                "the path is empty, and is taken as the base path itself",
            )
            .hint("write `/`, if requests have a slash behind the base path"),
        );
        return true;
    }
    if !key.text().starts_with('/') {
        resolver.report(
            key.problem(
                Severity::Error,
                BAD_PATH,
                format!("the path `{}` does not begin with `/`", cut(key.text())),
            )
            .hint(format!("write `/{}`", cut(key.text()))),
        );
        return false;
    }
    if key.text().len() > LONGEST {
        let message =
            format!("the path `{}` is longer than {LONGEST} bytes, and is left out", cut(key.text()));
        resolver
            .report(key.problem(Severity::Error, BAD_PATH, message).hint("no server takes such a request"));
        return false;
    }
    true
}

/// A path item, and those that its `$ref` leads to. 3.1, 4.8.9: what counts where both have a field
/// is left to the reader; here the item's own comes first.
pub struct PathItem<'t> {
    levels: Vec<Value<'t>>,
}

impl<'t> PathItem<'t> {
    pub fn of(resolver: &mut Resolver<'t>, item: Value<'t>) -> Self {
        let levels = resolver.follow_each(item);
        let object = if resolver.format() == Format::V2 { &PATH_ITEM_OF_2 } else { &PATH_ITEM };
        for level in &levels {
            keywords(resolver, *level, object);
        }
        // An empty path item (`/health:` with nothing below) is allowed.
        if let Some(odd) = levels.last().filter(|last| !last.is_mapping() && last.kind() != Kind::Null) {
            resolver.report(wrong_type(*odd, "a path item", "a mapping"));
        }
        PathItem { levels }
    }

    pub fn get(&self, field: &str) -> Option<Value<'t>> {
        self.levels.iter().find_map(|level| level.get(field))
    }

    /// Each method once, in the order of the text.
    pub fn operations(&self, resolver: &mut Resolver<'t>) -> Vec<(Key<'t>, Method, Value<'t>)> {
        let fields = self.levels.iter().flat_map(|level| level.entries());
        let mut candidates: Vec<_> =
            fields.filter_map(|(key, value)| Some((key, method(key.text())?, value))).collect();
        if resolver.format() != Format::V2 {
            candidates.extend(additional_operations(resolver, self.get("additionalOperations")));
        }
        let mut known = HashSet::new();
        let mut found = Vec::new();
        for (key, method, value) in candidates {
            let Some(value) = given(resolver, Some(value)) else {
                // A reference that leads nowhere is told already.
                if value.kind() == Kind::Null {
                    let message = format!("`{}` describes no operation, and is left out", cut(key.text()));
                    let hint = "describe one at least: `{responses: {'200': {description: done}}}`";
                    resolver.report(key.problem(Severity::Warning, NO_OPERATION, message).hint(hint));
                }
                continue;
            };
            if !known.insert(method.clone()) {
                continue;
            }
            match value.is_mapping() {
                true => found.push((key, method, value)),
                false => resolver.report(wrong_type(value, "an operation", "a mapping")),
            }
        }
        found
    }
}

/// 3.2, 4.9: operations by the name of their method, its case kept.
fn additional_operations<'t>(
    resolver: &mut Resolver<'t>,
    list: Option<Value<'t>>,
) -> Vec<(Key<'t>, Method, Value<'t>)> {
    let Some(list) = given(resolver, list) else { return Vec::new() };
    if !list.is_mapping() {
        resolver.report(wrong_type(list, "`additionalOperations`", "a mapping of methods to operations"));
    }
    let mut found = Vec::new();
    for (key, value) in list.entries().filter(|(key, _)| !key.text().starts_with("x-")) {
        let name = key.text();
        if found.len() == MOST_METHODS {
            let message =
                format!("there are more than {MOST_METHODS} methods, and this one and the rest are left out");
            resolver.report(
                key.problem(Severity::Warning, ODD_METHOD, message)
                    .hint("take out those that no client uses"),
            );
            break;
        }
        if let Some(standard) = standard_method(name) {
            let field = standard.as_str().to_ascii_lowercase();
            let message = format!("the method `{name}` has a keyword of its own");
            let hint = format!("write it as `{field}:` beside `additionalOperations`");
            resolver.report(key.problem(Severity::Warning, ODD_METHOD, message).hint(hint));
            found.push((key, standard, value));
            continue;
        }
        // Nobody's method is longer, and it becomes part of labels.
        let method = Some(name).filter(|name| name.len() <= 64);
        match method.and_then(|name| Method::from_bytes(name.as_bytes()).ok()) {
            Some(method) => found.push((key, method, value)),
            None => {
                let message = format!("`{}` can't be a method", cut(name));
                let hint = "write letters and digits, as `COPY`; its operation is left out";
                resolver.report(key.problem(Severity::Warning, ODD_METHOD, message).hint(hint));
            }
        }
    }
    found
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
            key.problem(Severity::Warning, BAD_STATUS, format!("`{}` is no status code", cut(key.text())))
                .hint("write a code (`200`), a range (`2XX`) or `default`"),
        );
    }
    status
}
