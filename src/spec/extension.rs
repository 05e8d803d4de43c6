//! What Standin and Microcks add to OpenAPI: keys that begin with `x-`.

use std::time::Duration;

use super::keyword::wrong_type;
use super::resolve::Resolver;
use crate::config;
use crate::diagnostic::{Code, Severity, nearest};
use crate::tree::{Key, Value};

const BAD_EXTENSION: Code = Code("SI0108");
pub const NOT_BUILT: Code = Code("SI0109");

pub fn extension<'t>(resolver: &mut Resolver<'t>, operation: Value<'t>) -> Option<Value<'t>> {
    if let Some((key, microcks)) = operation.get_entry("x-microcks-operation") {
        let planned = microcks.entries().map(|(key, _)| key.text()).collect::<Vec<_>>().join("`, `");
        resolver.report(key.problem(
            Severity::Warning,
            NOT_BUILT,
            format!("`{planned}` of x-microcks-operation is not built yet, and has no effect"),
        ));
    }
    let extension = operation.get("x-standin")?;
    if !extension.is_mapping() {
        resolver.report(wrong_type(extension, "`x-standin`", "a mapping"));
        return None;
    }
    for (key, _) in extension.entries().filter(|(key, _)| !["mode", "unmatched"].contains(&key.text())) {
        extension_key(resolver, key, &["delay", "fault", "missing"], &["mode", "unmatched"]);
    }
    Some(extension)
}

pub fn extension_key<'t>(resolver: &mut Resolver<'t>, key: Key<'t>, planned: &[&str], known: &[&str]) {
    let text = key.text();
    let problem = if planned.contains(&text) {
        key.problem(Severity::Warning, NOT_BUILT, format!("`{text}` is not built yet, and has no effect"))
    } else {
        let problem = key.problem(Severity::Warning, BAD_EXTENSION, format!("unknown key `{text}`"));
        match nearest(text, known.iter().chain(planned).copied()) {
            Some(near) => problem.hint(format!("did you mean `{near}`?")),
            None => problem.hint(format!("there are `{}`", known.join("`, `"))),
        }
    };
    resolver.report(problem);
}

/// Milliseconds as a bare number, as Microcks has them, or a duration as in the config (`3s`).
pub fn duration<'t>(resolver: &mut Resolver<'t>, value: Value<'t>) -> Option<Duration> {
    let text = value.text()?;
    let parsed = match text.parse::<u64>() {
        Ok(milliseconds) => Some(Duration::from_millis(milliseconds)),
        Err(_) => config::duration(&text).ok(),
    };
    // A day is longer than anyone waits for a mock, and keeps the queue's arithmetic in range.
    const LONGEST: Duration = Duration::from_secs(24 * 3600);
    if parsed.is_none_or(|parsed| parsed > LONGEST) {
        resolver.report(
            value
                .problem(Severity::Warning, BAD_EXTENSION, format!("`{text}` is no delay of at most a day"))
                .hint("write milliseconds (`3000`) or a duration (`3s`, `250ms`, `2m`)"),
        );
        return None;
    }
    parsed
}

pub fn refs(response: Value<'_>) -> Vec<&str> {
    response.get("x-microcks-refs").into_iter().flat_map(Value::items).filter_map(Value::as_str).collect()
}
