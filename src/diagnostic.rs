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

    #[test]
    fn very_long_words_are_not_compared() {
        let (one, other) = ("a".repeat(1 << 20), "a".repeat((1 << 20) + 1));
        assert_eq!(nearest(&one, [other.as_str(), "a"]), None);
        assert_eq!(nearest("a", [other.as_str(), "ab"]), Some("ab"));
    }
}
