use std::fmt;

use crate::diagnostic::{Code, Diagnostic, Severity, nearest};

use super::{BAD_VALUE, NOT_BUILT};

/// Why a text is no value of its kind; whoever asked knows where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    pub code: Code,
    pub message: String,
    pub hint: Option<String>,
}

/// A thing of the contract that this version has not got. `what` is in its quotes already.
pub(super) fn not_built(what: impl fmt::Display) -> Problem {
    Problem::new(NOT_BUILT, format!("{what} is not built yet"))
        .hint(format!("remove it; Standin {} ignores no key silently", env!("CARGO_PKG_VERSION")))
}

impl Problem {
    pub(super) fn new(code: Code, message: impl Into<String>) -> Self {
        Problem { code, message: message.into(), hint: None }
    }

    pub(super) fn value(message: impl Into<String>) -> Self {
        Problem::new(BAD_VALUE, message)
    }

    pub(super) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// The problem with its subject: a key, a flag.
    pub fn of(self, subject: &str) -> Diagnostic {
        let mut diagnostic =
            Diagnostic::new(Severity::Error, self.code, format!("`{subject}`: {}", self.message));
        diagnostic.hint = self.hint;
        diagnostic
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        match &self.hint {
            Some(hint) => write!(f, "; {hint}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Problem {}

/// A text in quotes, cut to what a message can bear.
pub(super) fn quoted(text: &str) -> String {
    const LONGEST: usize = 60;
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("`{}…`", &text[..end]),
        None => format!("`{text}`"),
    }
}

/// One of a few words, each with what it stands for, or a problem that says which there are.
pub(super) fn word<T: Copy>(text: &str, words: &[(&'static str, T)]) -> Result<T, Problem> {
    match words.iter().find(|(word, _)| *word == text) {
        Some((_, meaning)) => Ok(*meaning),
        None => Err(unknown(text, words.iter().map(|(word, _)| *word))),
    }
}

fn unknown<'w>(text: &str, words: impl Iterator<Item = &'w str> + Clone) -> Problem {
    let problem = Problem::value(format!("unknown value {}", quoted(text)));
    match nearest(text, words.clone()) {
        Some(word) => problem.hint(format!("did you mean `{word}`?")),
        None => problem.hint(format!("there are {}", listed(words))),
    }
}

/// `a`, `b`, `c`
pub(super) fn listed<'w>(words: impl IntoIterator<Item = &'w str>) -> String {
    words.into_iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ")
}
