//! One templated segment: literal parts around `{parameters}`.

/// A segment of a template that has parameters. Their names make no difference to the route.
#[derive(Debug, PartialEq, Eq)]
pub struct Pattern {
    /// What stands before, between and after the parameters: always one more than there are.
    literals: Vec<Box<str>>,
}

impl Pattern {
    /// None if the segment has no parameter.
    pub fn parse(segment: &str) -> Option<Pattern> {
        let mut literals = Vec::new();
        let mut rest = segment;
        while let Some((before, _, after)) = first(rest) {
            // `{a}{b}` can't be told apart: the second takes nothing of its own.
            if !before.is_empty() || literals.is_empty() {
                literals.push(before.into());
            }
            rest = after;
        }
        if literals.is_empty() {
            return None;
        }
        literals.push(rest.into());
        Some(Pattern { literals })
    }

    /// How much of it is concrete; more comes first.
    pub fn weight(&self) -> usize {
        self.literals.iter().map(|literal| literal.len()).sum()
    }

    /// Appends what each parameter stands for; false, with nothing appended that counts, if the
    /// segment does not fit. Every parameter takes at least one byte, and the shortest run.
    pub fn capture<'p>(&self, segment: &'p str, captures: &mut Vec<&'p str>) -> bool {
        let [first, between @ .., last] = self.literals.as_slice() else { return false };
        let Some(mut rest) = segment.strip_prefix(first.as_ref()) else { return false };
        for literal in between {
            let from = rest.chars().next().map_or(0, char::len_utf8);
            let Some(end) = rest.get(from..).and_then(|tail| tail.find(literal.as_ref())) else {
                return false;
            };
            captures.push(&rest[..from + end]);
            rest = &rest[from + end + literal.len()..];
        }
        match rest.strip_suffix(last.as_ref()) {
            Some(value) if !value.is_empty() => {
                captures.push(value);
                true
            }
            _ => false,
        }
    }
}

/// The names of a segment's parameters that capture something, from the left.
pub fn names(segment: &str) -> Vec<&str> {
    let mut found = Vec::new();
    let mut rest = segment;
    while let Some((before, name, after)) = first(rest) {
        if !before.is_empty() || found.is_empty() {
            found.push(name);
        }
        rest = after;
    }
    found
}

/// What is before the first `{parameter}`, its name, and what is after it.
fn first(segment: &str) -> Option<(&str, &str, &str)> {
    let open = segment.find('{')?;
    let close = open + segment[open..].find('}')?;
    Some((
        &segment[..open],
        segment[open + 1..close].trim_matches(['+', '*', ';', '.', '?']),
        &segment[close + 1..],
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(template: &str, segment: &str, expected: Option<&[&str]>) {
        let mut captures = Vec::new();
        let fits = Pattern::parse(template).unwrap().capture(segment, &mut captures);
        assert_eq!(fits.then_some(captures.as_slice()), expected);
    }

    #[test]
    fn literals_hold_the_parameters_apart() {
        check("{x}", "a", Some(&["a"]));
        check("{x}.json", "a.json", Some(&["a"]));
        check("{x}.json", ".json", None);
        check("v{x}", "v1", Some(&["1"]));
        check("{x}-{y}", "a-b-c", Some(&["a", "b-c"]));
        check("{x}-{y}", "-a-b", Some(&["-a", "b"]));
        check("{x}-{y}", "ab", None);
        check("{x}:verb", "a:verb", Some(&["a"]));
        check("{x}{y}", "ab", Some(&["ab"]));
    }

    #[test]
    fn names_follow_the_captures() {
        assert_eq!(names("{base}...{head}"), ["base", "head"]);
        assert_eq!(names("{x}{y}-{z}"), ["x", "z"]);
        assert_eq!(names("plain"), Vec::<&str>::new());
    }
}
