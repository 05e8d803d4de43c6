//! What is wrong with a text, where, and what to do about it.
//!
//! Reading never stops at the first problem: it gathers [`Diagnostic`]s, and whoever asked
//! decides what they mean.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use serde::Serialize;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Something is not served as its author meant it.
    Error,
    /// It is served, yet probably not as meant.
    Warning,
    /// Worth knowing.
    Note,
}

/// A stable name for one kind of problem, `SI0101`-like.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct Code(pub &'static str);

/// Where in a text. Lines and columns count from 1; columns count characters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    pub file: Arc<str>,
    pub line: u32,
    pub column: u32,
    /// How many characters of that line are meant; at least 1.
    pub width: u32,
    /// The line itself, cut to a length that fits a terminal; [`Place::caret`] points into it.
    pub text: String,
    /// RFC 6901 pointer to the value; empty for the whole document.
    pub pointer: String,
}

impl Place {
    /// Characters of a line that an excerpt keeps.
    pub const EXCERPT: usize = 160;
    /// Up to this column a line is kept from its start.
    const WHOLE: u32 = 120;
    /// Characters kept before the column where a line is cut on its left.
    const LEAD: u32 = 80;

    /// Which character of `text`, from 1, the place is at: `column`, but for a line cut on its left.
    pub fn caret(&self) -> u32 {
        if self.column > Self::WHOLE { Self::LEAD + 1 } else { self.column }
    }

    /// A line, given as what is before and after a column, cut to what `text` takes.
    pub fn excerpt(before: &str, after: &str, column: u32) -> String {
        let from = match column {
            0..=Self::WHOLE => 0,
            _ => before.char_indices().rev().nth(Self::LEAD as usize - 1).map_or(0, |(from, _)| from),
        };
        let shown = |character: char| match character {
            '\t' => ' ',
            _ if character.is_control() => char::REPLACEMENT_CHARACTER,
            _ => character,
        };
        before[from..].chars().chain(after.chars()).take(Self::EXCERPT).map(shown).collect()
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    pub severity: Severity,
    pub code: Code,
    /// None where the problem has no place in a text (a file that is not there).
    pub place: Option<Place>,
    pub message: String,
    pub hint: Option<String>,
}

impl Diagnostic {
    pub fn new(severity: Severity, code: Code, message: impl Into<String>) -> Self {
        Diagnostic { severity, code, place: None, message: message.into(), hint: None }
    }

    pub fn at(mut self, place: Place) -> Self {
        self.place = Some(place);
        self
    }

    /// As scripts read it, with the names of the contract.
    pub fn to_json(&self) -> serde_json::Value {
        let place = self.place.as_ref();
        serde_json::json!({
            "severity": self.severity,
            "code": self.code.0,
            "file": place.map(|place| &*place.file),
            "line": place.map(|place| place.line),
            "column": place.map(|place| place.column),
            "pointer": place.map(|place| &place.pointer),
            "message": self.message,
            "hint": self.hint,
        })
    }

    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

/// There are more problems than are told.
const MORE: Code = Code("SI0113");

/// Problems of one document that are told, since a generated one may have one in each line.
const TOLD: usize = 1000;

/// What is wrong with one document: sorted by place, each problem once, and no more than people read.
#[derive(Debug, Default)]
pub struct Report {
    diagnostics: Vec<Diagnostic>,
    /// The gravest of the problems past [`TOLD`].
    untold: Option<Severity>,
}

impl Report {
    pub fn push(&mut self, diagnostic: Diagnostic) {
        if diagnostic.code == MORE {
            self.untold =
                Some(self.untold.map_or(diagnostic.severity, |known| known.min(diagnostic.severity)));
            return;
        }
        // What is shared is looked at, and said, once for each operation that refers to it.
        if self.diagnostics.len() >= 2 * TOLD {
            self.settle();
        }
        self.diagnostics.push(diagnostic);
    }

    pub fn finish(mut self) -> Vec<Diagnostic> {
        self.settle();
        if let Some(severity) = self.untold {
            let message = format!("there are more problems in this document; the first {TOLD} are shown");
            self.diagnostics.push(Diagnostic::new(severity, MORE, message));
        }
        self.diagnostics
    }

    fn settle(&mut self) {
        self.diagnostics.sort_by_cached_key(|diagnostic| {
            let place = diagnostic.place.as_ref();
            (place.map(|place| (place.file.clone(), place.line, place.column)), diagnostic.message.clone())
        });
        self.diagnostics.dedup();
        // Notes give way, so that they never hide what is worse.
        let is_note = |diagnostic: &Diagnostic| diagnostic.severity == Severity::Note;
        let notes = self.diagnostics.iter().filter(|&diagnostic| is_note(diagnostic)).count();
        let mut room = TOLD.saturating_sub(self.diagnostics.len() - notes);
        if notes > room {
            self.untold = self.untold.or(Some(Severity::Note));
            self.diagnostics.retain(|diagnostic| {
                let told = !is_note(diagnostic) || room > 0;
                room -= usize::from(told && is_note(diagnostic));
                told
            });
        }
        let untold = self.diagnostics.drain(TOLD.min(self.diagnostics.len())..);
        self.untold = untold.map(|diagnostic| diagnostic.severity).chain(self.untold).min();
    }
}

impl Extend<Diagnostic> for Report {
    fn extend<I: IntoIterator<Item = Diagnostic>>(&mut self, diagnostics: I) {
        diagnostics.into_iter().for_each(|diagnostic| self.push(diagnostic));
    }
}

/// One line, for a log: `petstore.yaml:41:13: message; hint`.
impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(place) = &self.place {
            write!(f, "{}:{}:{}: ", place.file, place.line, place.column)?;
        }
        f.write_str(&self.message)?;
        if let Some(hint) = &self.hint {
            write!(f, "; {hint}")?;
        }
        Ok(())
    }
}

/// As much of a text as a message shows of it.
pub fn cut(text: &str) -> Cow<'_, str> {
    const SHOWN: usize = 200;
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}...", &text[..end]).into(),
        None => text.into(),
    }
}

/// The candidate that was probably meant by `word`, if one is near enough to suggest.
pub fn nearest<'c>(word: &str, candidates: impl IntoIterator<Item = &'c str>) -> Option<&'c str> {
    /// Bytes of a word; the comparison is quadratic, and nobody misspells what is longer.
    const LONGEST: usize = 100;
    let limit = 0.7;
    if word.len() > LONGEST {
        return None;
    }
    candidates
        .into_iter()
        .filter(|candidate| candidate.len() <= LONGEST)
        .map(|candidate| (strsim::jaro_winkler(word, candidate), candidate))
        .filter(|(likeness, _)| *likeness >= limit)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, candidate)| candidate)
}

/// The candidate that `word` is a slip of: a letter or two changed, swapped, left out or added. For
/// words that are no error by themselves, where a mere likeness would be a false alarm.
pub fn slip<'c>(word: &str, candidates: impl IntoIterator<Item = &'c str>) -> Option<&'c str> {
    let bearable = |candidate: &str| (candidate.len().min(word.len()) / 4).clamp(1, 2);
    let near = |candidate: &str| {
        candidate.len().abs_diff(word.len()) <= 2
            && strsim::osa_distance(word, candidate) <= bearable(candidate)
    };
    candidates.into_iter().find(|candidate| near(candidate))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_is_told_from_another_word() {
        assert_eq!(slip("exmaples", ["example", "examples"]), Some("examples"));
        assert_eq!(slip("gte", ["put", "get"]), Some("get"));
        assert_eq!(slip("schemes", ["servers", "schema"]), None);
        assert_eq!(slip("a", ["paths"]), None);
    }

    #[test]
    fn the_nearest_word_is_suggested() {
        assert_eq!(nearest("exmaples", ["schema", "examples", "example"]), Some("examples"));
        assert_eq!(nearest("x", ["schema"]), None);
    }

    /// How many are told, and the last one's message.
    #[track_caller]
    fn check_report(problems: impl IntoIterator<Item = (Severity, u32)>, expected: (usize, &str)) {
        let mut report = Report::default();
        report.extend(problems.into_iter().map(|(severity, line)| {
            let place =
                Place { file: "f".into(), line, column: 1, width: 1, text: "".into(), pointer: "".into() };
            Diagnostic::new(severity, Code("SI0107"), line.to_string()).at(place)
        }));
        let told = report.finish();
        assert!(told.windows(2).all(|two| two[0] != two[1]
            && two[1].place.as_ref().is_none_or(|place| {
                two[0].place.as_ref().is_some_and(|before| before.line <= place.line)
            })));
        let last = told.last().map(|last| format!("{:?} {}", last.severity, last.message));
        assert_eq!((told.len(), last.as_deref()), (expected.0, Some(expected.1)));
    }

    #[test]
    fn a_report_is_sorted_and_says_each_problem_once() {
        check_report([3, 1, 2, 1, 3].map(|line| (Severity::Warning, line)), (3, "Warning 3"));
    }

    #[test]
    fn notes_give_way_to_what_is_worse() {
        let mut report = Report::default();
        report.extend((0..3 * TOLD).map(|n| Diagnostic::new(Severity::Note, Code("SI0115"), n.to_string())));
        report.push(Diagnostic::new(Severity::Error, Code("SI0111"), "the worst"));
        let told = report.finish();
        assert_eq!(told.len(), TOLD + 1);
        assert!(told.iter().any(|problem| problem.message == "the worst"));
    }

    #[test]
    fn a_report_has_an_end() {
        let more = "there are more problems in this document; the first 1000 are shown";
        let warnings = (0..5000).rev().map(|line| (Severity::Warning, line));
        check_report(warnings.clone(), (1001, &format!("Warning {more}")));
        check_report(warnings.chain([(Severity::Error, 4000)]), (1001, &format!("Error {more}")));
    }

    #[test]
    fn very_long_words_are_not_compared() {
        let (one, other) = ("a".repeat(1 << 20), "a".repeat((1 << 20) + 1));
        assert_eq!(nearest(&one, [other.as_str(), "a"]), None);
        assert_eq!(nearest("a", [other.as_str(), "ab"]), Some("ab"));
    }
}
