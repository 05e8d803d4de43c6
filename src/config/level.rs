use super::problem::{Problem, quoted};
use crate::diagnostic::nearest;

const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];

/// A log filter: levels and `target=level`, by comma.
///
/// A bare word has to be a level, although the filter's own grammar takes it as a target: a
/// misspelt level would otherwise turn everything on.
pub fn level(text: &str) -> Result<String, Problem> {
    for directive in text.split(',') {
        let word = directive.rsplit('=').next().unwrap_or(directive).trim().to_ascii_lowercase();
        if LEVELS.contains(&word.as_str()) {
            continue;
        }
        let problem = Problem::value(format!("{} is no log level", quoted(&word)));
        return Err(match nearest(&word, LEVELS) {
            Some(near) => problem.hint(format!("did you mean `{near}`?")),
            None => problem.hint("write `info`, or `info,standin=debug`"),
        });
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_is_levels_by_target() {
        for text in ["info", "OFF", "warn,standin=debug", "info, standin::server=trace"] {
            assert_eq!(level(text).as_deref(), Ok(text));
        }
    }

    #[test]
    fn a_misspelt_level_is_refused() {
        assert_eq!(level("inof").unwrap_err().to_string(), "`inof` is no log level; did you mean `info`?");
        assert_eq!(
            level("info,standin=5").unwrap_err().to_string(),
            "`5` is no log level; write `info`, or `info,standin=debug`"
        );
        assert!(level("").is_err());
    }
}
