//! What Standin and Microcks add to OpenAPI: keys that begin with `x-`.

use std::str::FromStr;
use std::time::Duration;

use super::document::Extension;
use super::keyword::wrong_type;
use super::resolve::Resolver;
use crate::config::{self, Delay, Missing, MissingEntry, Problem};
use crate::diagnostic::{Code, Severity, nearest};
use crate::tree::{Key, Value};

pub const BAD_EXTENSION: Code = Code("SI0108");
pub const NOT_BUILT: Code = Code("SI0109");
const BAD_VALUE: Code = Code("SI0209");

/// What the operation says under `x-standin`, and where that is silent, to Microcks.
pub fn extension<'t>(resolver: &mut Resolver<'t>, operation: Value<'t>) -> Option<Box<Extension>> {
    let microcks = operation.get_entry("x-microcks-operation");
    let own = operation.get("x-standin");
    if microcks.is_none() && own.is_none() {
        return None;
    }
    let delay = microcks.and_then(|(key, value)| microcks_delay(resolver, key, value));
    let mut found = own.map(|value| x_standin(resolver, value)).unwrap_or_default();
    found.delay = found.delay.or(delay);
    Some(Box::new(found))
}

fn x_standin<'t>(resolver: &mut Resolver<'t>, value: Value<'t>) -> Extension {
    if !value.is_mapping() {
        resolver.report(wrong_type(value, "`x-standin`", "a mapping"));
    }
    let mut found = Extension::default();
    for (key, value) in value.entries() {
        match key.text() {
            "mode" => found.mode = word(resolver, value),
            "missing" => found.missing = missing(resolver, value),
            "unmatched" => found.unmatched = word(resolver, value),
            "delay" => found.delay = wait(resolver, value),
            _ => extension_key(resolver, key, &["fault"], &["mode", "missing", "unmatched", "delay"]),
        }
    }
    found
}

fn microcks_delay<'t>(resolver: &mut Resolver<'t>, key: Key<'t>, value: Value<'t>) -> Option<Delay> {
    if !value.is_mapping() {
        resolver.report(wrong_type(value, "`x-microcks-operation`", "a mapping"));
    }
    let others: Vec<_> = value.entries().map(|(key, _)| key.text()).filter(|key| *key != "delay").collect();
    if !others.is_empty() {
        resolver.report(key.problem(
            Severity::Warning,
            NOT_BUILT,
            format!("`{}` of x-microcks-operation is not built yet, and has no effect", others.join("`, `")),
        ));
    }
    value.get("delay").and_then(|value| wait(resolver, value))
}

fn word<T: FromStr<Err = Problem>>(resolver: &mut Resolver<'_>, value: Value<'_>) -> Option<T> {
    let word = value.text().unwrap_or_default().parse();
    word.map_err(|problem| refuse(resolver, value, problem)).ok()
}

/// A list, of which each entry counts that can be read.
fn missing(resolver: &mut Resolver<'_>, value: Value<'_>) -> Option<Missing> {
    if !value.is_sequence() {
        resolver.report(wrong_type(value, "`missing`", "a list of statuses and failures"));
        return None;
    }
    let entries: Vec<MissingEntry> = value.items().filter_map(|item| word(resolver, item)).collect();
    Some(Missing::new(entries))
}

/// A time, or the bounds of chance, as in the rules of the config.
fn wait(resolver: &mut Resolver<'_>, value: Value<'_>) -> Option<Delay> {
    let delay = match value.is_mapping() {
        false => config::wait(&value.text().unwrap_or_default()).and_then(Delay::fixed),
        true => {
            let time = |key: &str| {
                let text = value.get(key).map(|value| value.text().unwrap_or_default());
                text.map(|text| config::wait(&text)).transpose()
            };
            bounds(time)
        }
    };
    delay.map_err(|problem| refuse(resolver, value, problem)).ok()
}

fn bounds(time: impl Fn(&str) -> Result<Option<Duration>, Problem>) -> Result<Delay, Problem> {
    Delay::of_chance(time("min")?, time("max")?, time("median")?, time("p99")?)
}

fn refuse(resolver: &mut Resolver<'_>, value: Value<'_>, problem: Problem) {
    let diagnostic = value.problem(Severity::Error, BAD_VALUE, problem.message);
    resolver.report(match problem.hint {
        Some(hint) => diagnostic.hint(hint),
        None => diagnostic,
    });
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

/// What a callback waits, or the bounds of chance.
pub fn delay<'t>(resolver: &mut Resolver<'t>, value: Value<'t>) -> Option<Delay> {
    match value.is_mapping() {
        true => wait(resolver, value),
        false => duration(resolver, value).map(Delay::Fixed),
    }
}

/// What a callback waits: milliseconds as a bare number, or a duration as in the config (`3s`).
pub fn duration<'t>(resolver: &mut Resolver<'t>, value: Value<'t>) -> Option<Duration> {
    let text = value.text()?;
    let parsed = config::wait(&text).ok();
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
