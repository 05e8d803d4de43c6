//! What config and document say of an operation: its mode, and how it is answered or passed.

use std::sync::Arc;
use std::time::Duration;

use super::Compiler;
use crate::config::{Changes, Delay, Missing, Mode, Problem, Rule, Unmatched, delay};
use crate::diagnostic::{Code, Severity};
use crate::tree::Value;

const BAD_VALUE: Code = Code("SI0209");

/// What the rules, the document and the config make of an operation together.
pub struct Said {
    pub mode: Mode,
    pub decided_by: &'static str,
    pub unmatched: Unmatched,
    pub missing: Arc<Missing>,
    pub delay: Option<Delay>,
    pub upstream: Option<Arc<str>>,
    pub changes: Option<Box<Changes>>,
}

impl<'t> Compiler<'_, 't> {
    /// Each key comes from the rules, then from `x-standin`, then from what is for all.
    pub(super) fn said(&mut self, templates: &[String]) -> Said {
        let rule = self.rule(templates);
        let (mode, decided_by) = self.mode(rule.mode);
        let unmatched = self.unmatched(rule.unmatched);
        let missing = rule.missing.or_else(|| self.missing());
        Said {
            mode,
            decided_by,
            unmatched,
            missing: missing.map_or_else(|| self.missing.clone(), Arc::new),
            delay: rule.delay.or_else(|| self.delay()),
            upstream: rule.upstream.map(Into::into),
            changes: (!rule.changes.is_empty()).then(|| Box::new(rule.changes)),
        }
    }

    /// What the rules of the config set: each key comes from the first matching rule that sets it.
    fn rule(&mut self, templates: &[String]) -> Rule {
        let operation = self.operation;
        let mut all = Rule::default();
        let mut number = 0;
        for rule in &self.config.rules {
            let mut fits = false;
            for selector in &rule.operations {
                let matches = templates.iter().any(|template| {
                    selector.matches(operation.id, &operation.method, template, &operation.tags)
                });
                self.matched[number] |= matches;
                fits |= matches;
                number += 1;
            }
            if fits {
                all = all.or(rule);
            }
        }
        all
    }

    fn mode(&mut self, rule: Option<Mode>) -> (Mode, &'static str) {
        if let Some(mode) = rule {
            return (mode, "rules");
        }
        let extension = self.operation.extension.and_then(|extension| extension.get("mode"));
        let named = Mode::ALL.map(|mode| (mode.as_str(), mode));
        if let Some(mode) = extension.and_then(|value| self.word(value, &named, &[])) {
            return (mode, "x-standin");
        }
        match self.source.mode {
            Some(mode) => (mode, "specs"),
            None => (self.config.mode, "mode"),
        }
    }

    fn unmatched(&mut self, rule: Option<Unmatched>) -> Unmatched {
        let extension = self.operation.extension.and_then(|extension| extension.get("unmatched"));
        let named = [
            ("example", Unmatched::Example),
            ("reject", Unmatched::Reject),
            ("upstream", Unmatched::Upstream),
        ];
        let extension = extension.and_then(|value| self.word(value, &named, &["generate"]));
        rule.or(extension).unwrap_or(self.config.unmatched)
    }

    /// One of a few words; those that are planned are not built yet.
    fn word<T: Copy>(&mut self, value: Value<'t>, named: &[(&str, T)], planned: &[&str]) -> Option<T> {
        let text = value.text().unwrap_or_default();
        let found = named.iter().find(|(name, _)| *name == text).map(|(_, word)| *word);
        if found.is_none() {
            let message = match planned.contains(&&*text) {
                true => format!("`{text}` is not built yet"),
                false => format!("`{text}` is none of the words there are"),
            };
            let words: Vec<_> = named.iter().map(|(name, _)| *name).collect();
            self.diagnostics.push(
                value
                    .problem(Severity::Error, BAD_VALUE, message)
                    .hint(format!("write `{}`", words.join("` or `"))),
            );
        }
        found
    }

    fn missing(&mut self) -> Option<Missing> {
        let value = self.extension("missing")?;
        let entries: Vec<_> = value.items().filter_map(Value::text).collect();
        let read = match value.is_sequence() && entries.len() == value.items().count() {
            true => Missing::read(entries.iter().map(AsRef::as_ref)),
            false => Err(Problem::of_value("`missing` is a list", "write it as `[404, connect]`")),
        };
        self.good(value, read)
    }

    /// `delay` of `x-standin`, else of `x-microcks-operation`.
    fn delay(&mut self) -> Option<Delay> {
        if let Some(value) = self.extension("delay") {
            return self.good(value, delay_of(value));
        }
        let value = self.operation.microcks?.get("delay")?;
        let read = value.text().map_or_else(|| Err(no_delay()), |text| delay::wait(&text));
        self.good(value, read.map(Delay::Fixed))
    }

    fn extension(&self, key: &str) -> Option<Value<'t>> {
        self.operation.extension?.get(key)
    }

    fn good<T>(&mut self, value: Value<'t>, read: Result<T, Problem>) -> Option<T> {
        let problem = match read {
            Ok(read) => return Some(read),
            Err(problem) => problem,
        };
        let diagnostic = value.problem(Severity::Error, BAD_VALUE, problem.message);
        self.diagnostics.push(match problem.hint {
            Some(hint) => diagnostic.hint(hint),
            None => diagnostic,
        });
        None
    }
}

fn delay_of(value: Value<'_>) -> Result<Delay, Problem> {
    if !value.is_mapping() {
        let text = value.text().ok_or_else(no_delay)?;
        return delay::wait(&text).map(Delay::Fixed);
    }
    let known = ["min", "max", "median", "p99"];
    if value.entries().any(|(key, _)| !known.contains(&key.text())) {
        return Err(no_delay());
    }
    let [min, max, median, p99] = known.map(|key| value.get(key).and_then(Value::text));
    let time = |text: Option<std::borrow::Cow<'_, str>>| -> Result<Option<Duration>, Problem> {
        text.map(|text| delay::wait(&text)).transpose()
    };
    Delay::of_chance(time(min)?, time(max)?, time(median)?, time(p99)?)
}

fn no_delay() -> Problem {
    Problem::of_value("no delay", "write `120ms`, `{min: 50ms, max: 200ms}` or `{median: 80ms, p99: 400ms}`")
}
