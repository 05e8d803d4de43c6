//! What documents say of when callbacks go out: `x-standin-callback`, and `x-microcks-callback` where that
//! is silent.

use std::sync::Arc;
use std::time::Duration;

use super::document::{Repeat, StatusPattern, When};
use super::extension::{BAD_EXTENSION, delay, duration, extension_key};
use super::keyword::wrong_type;
use super::resolve::Resolver;
use crate::config::Delay;
use crate::diagnostic::{Severity, cut};
use crate::tree::Value;

/// Each is none where nobody says it.
#[derive(Default)]
pub struct Said<'t> {
    pub order: Option<i64>,
    pub delay: Option<Delay>,
    /// In place of the key.
    pub url: Option<Value<'t>>,
    pub retry: Option<Arc<[Duration]>>,
    pub when: Option<When<'t>>,
    pub repeat: Option<Repeat>,
}

const KEYS: [&str; 6] = ["order", "delay", "url", "retry", "when", "repeat"];
const EXTENSIONS: [&str; 2] = ["x-standin-callback", "x-microcks-callback"];
const WHEN: [&str; 2] = ["status", "example"];
const REPEAT: [&str; 2] = ["times", "every"];

/// Attempts after the first; calls of one callback.
const MOST: usize = 100;

/// What the operation of a callback says.
pub fn said<'t>(resolver: &mut Resolver<'t>, operation: Value<'t>) -> Said<'t> {
    let mut extension = |name: &'static str| {
        let value = operation.get(name)?;
        if !value.is_mapping() {
            resolver.report(wrong_type(value, &format!("`{name}`"), "a mapping, as `{order: 1}`"));
        }
        Some(value)
    };
    let [own, microcks] = EXTENSIONS.map(&mut extension);
    known(resolver, own, &KEYS);
    let key = |name| own.and_then(|own| own.get(name));
    let shared = |name| key(name).or_else(|| microcks.and_then(|microcks| microcks.get(name)));
    Said {
        order: shared("order").and_then(|value| order(resolver, value)),
        delay: shared("delay").and_then(|value| delay(resolver, value)),
        url: key("url").and_then(|value| url(resolver, value)),
        retry: key("retry").and_then(|value| retry(resolver, value)),
        when: key("when").and_then(|value| when(resolver, value)),
        repeat: key("repeat").and_then(|value| repeat(resolver, value)),
    }
}

/// Extensions of the operation that stand above it, where `get` finds them.
pub fn misplaced<'t>(resolver: &mut Resolver<'t>, get: impl Fn(&str) -> Option<Value<'t>>) {
    for (name, value) in EXTENSIONS.iter().filter_map(|name| Some((name, get(name)?))) {
        let message = format!("`{name}` has no effect here");
        let problem = value.problem(Severity::Warning, BAD_EXTENSION, message);
        resolver
            .report(problem.hint("write it into the operation, beside its `requestBody` and `responses`"));
    }
}

fn known<'t>(resolver: &mut Resolver<'t>, value: Option<Value<'t>>, keys: &[&str]) {
    for (key, _) in value.into_iter().flat_map(Value::entries) {
        if !keys.contains(&key.text()) {
            extension_key(resolver, key, &[], keys);
        }
    }
}

fn order(resolver: &mut Resolver<'_>, value: Value<'_>) -> Option<i64> {
    let number = value.text().and_then(|text| text.parse().ok());
    if number.is_none() {
        resolver.report(wrong_type(value, "`order`", "a whole number"));
    }
    number
}

fn url<'t>(resolver: &mut Resolver<'t>, value: Value<'t>) -> Option<Value<'t>> {
    if value.as_str().is_none() {
        resolver.report(wrong_type(value, "`url`", "a URL in the syntax of a callback's key"));
        return None;
    }
    Some(value)
}

/// Waits between attempts; an empty list: it is sent once.
fn retry<'t>(resolver: &mut Resolver<'t>, value: Value<'t>) -> Option<Arc<[Duration]>> {
    if !value.is_sequence() || value.items().nth(MOST).is_some() {
        resolver.report(wrong_type(value, "`retry`", "a list of at most 100 waits, as `[1s, 30s]`"));
        return None;
    }
    let waits: Vec<_> = value.items().map(|item| duration(resolver, item)).collect();
    // With one that is wrong the list means another one.
    waits.into_iter().collect()
}

/// Nothing under `when` is nothing that has to hold. With a part that is wrong it is no condition: without
/// that part it would hold for more than anybody meant.
fn when<'t>(resolver: &mut Resolver<'t>, value: Value<'t>) -> Option<When<'t>> {
    if !value.is_mapping() {
        resolver.report(wrong_type(value, "`when`", "a mapping with `status` or `example`"));
        return None;
    }
    known(resolver, Some(value), &WHEN);
    let mut is_whole = value.entries().all(|(key, _)| WHEN.contains(&key.text()));
    let mut found = When { at: value, statuses: Vec::new(), examples: Vec::new() };
    for item in value.get("status").into_iter().flat_map(one_or_more) {
        let text = item.text().unwrap_or_default();
        match StatusPattern::parse(&text).filter(|status| *status != StatusPattern::Default) {
            Some(status) => found.statuses.push(status),
            None => {
                is_whole = false;
                resolver.report(
                    item.problem(Severity::Warning, BAD_EXTENSION, format!("`{}` is no status", cut(&text)))
                        .hint("write a code (`201`) or a range (`2XX`), or a list of them"),
                );
            }
        }
    }
    for item in value.get("example").into_iter().flat_map(one_or_more) {
        match item.as_str() {
            Some(name) => found.examples.push(name),
            None => {
                is_whole = false;
                resolver.report(wrong_type(item, "`example`", "the name of an example, or a list of names"));
            }
        }
    }
    is_whole.then_some(found)
}

fn repeat<'t>(resolver: &mut Resolver<'t>, value: Value<'t>) -> Option<Repeat> {
    if !value.is_mapping() {
        resolver.report(wrong_type(value, "`repeat`", "a mapping, as `{times: 3, every: 5s}`"));
        return None;
    }
    known(resolver, Some(value), &REPEAT);
    let times = value.get("times").and_then(|times| {
        let number: Option<usize> = times.text().and_then(|text| text.parse().ok());
        let number = number.filter(|number| (1..=MOST).contains(number));
        if number.is_none() {
            resolver.report(wrong_type(times, "`times`", "a whole number from 1 to 100"));
        }
        number
    });
    let every = value.get("every").and_then(|every| duration(resolver, every));
    if value.get("times").is_none() {
        resolver.report(wrong_type(value, "`repeat`", "a mapping with `times`"));
    }
    Some(Repeat { times: times?, every })
}

fn one_or_more(value: Value<'_>) -> Vec<Value<'_>> {
    if value.is_sequence() { value.items().collect() } else { vec![value] }
}
