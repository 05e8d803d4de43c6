//! Keywords: what stands under one, and what was probably meant by one that there is not.

use http::Method;

use super::resolve::Resolver;
use crate::diagnostic::{Code, Diagnostic, Severity, slip};
use crate::tree::{Key, Kind, Value};

const WRONG_TYPE: Code = Code("SI0101");
pub const BAD_PARAMETER: Code = Code("SI0104");
pub const NEAR_MISS: Code = Code("SI0107");
const FOREIGN: Code = Code("SI0120");

const METHODS: [&str; 8] = ["get", "put", "post", "delete", "options", "head", "patch", "trace"];

pub fn method(key: &str) -> Option<Method> {
    METHODS.contains(&key).then(|| Method::from_bytes(key.to_ascii_uppercase().as_bytes()).ok()).flatten()
}

pub fn unknown_method<'t>(resolver: &mut Resolver<'t>, key: Key<'t>) {
    const OTHERS: [&str; 5] = ["summary", "description", "servers", "parameters", "$ref"];
    let text = key.text();
    if text.starts_with("x-") || OTHERS.contains(&text) {
        return;
    }
    let mut problem = key.problem(
        Severity::Warning,
        NEAR_MISS,
        format!("`{text}` is no method and no keyword of a path item"),
    );
    if let Some(near) = slip(&text.to_ascii_lowercase(), METHODS.into_iter().chain(OTHERS)) {
        problem = problem.hint(format!("did you mean `{near}`?"));
    }
    resolver.report(problem);
}

/// Warns of keys that are probably misspelt: an `exmaples` is silently nothing otherwise.
pub fn near_misses<'t>(resolver: &mut Resolver<'t>, value: Value<'t>, known: &[&str]) {
    for (key, _) in value.entries() {
        let text = key.text();
        if text.starts_with("x-") || text == "$ref" || known.contains(&text) {
            continue;
        }
        if let Some(near) = slip(text, known.iter().copied()) {
            resolver.report(
                key.problem(Severity::Warning, NEAR_MISS, format!("unknown keyword `{text}`"))
                    .hint(format!("did you mean `{near}`?")),
            );
        }
    }
}

/// Warns of keywords that only another version has, each with what to write instead.
pub fn foreign<'t>(resolver: &mut Resolver<'t>, value: Value<'t>, version: &str, keys: &[(&str, &str)]) {
    for (key, remedy) in keys.iter().filter_map(|(name, remedy)| Some((value.get_entry(name)?.0, remedy))) {
        let message = format!("`{}` is of {version}, and has no effect here", key.text());
        resolver.report(key.problem(Severity::Warning, FOREIGN, message).hint(*remedy));
    }
}

/// What stands under a key of an object. A key without a value (`parameters:`) is as if it were not
/// there; and bundlers take a `$ref` wherever a value may stand, so documents have them in places
/// that the specification does not list.
pub fn given<'t>(resolver: &mut Resolver<'t>, value: Option<Value<'t>>) -> Option<Value<'t>> {
    resolver.follow(value?).filter(|value| value.kind() != Kind::Null)
}

pub fn wrong_type(value: Value<'_>, what: &str, expected: &str) -> Diagnostic {
    value.problem(Severity::Error, WRONG_TYPE, format!("{what} must be {expected}"))
}
