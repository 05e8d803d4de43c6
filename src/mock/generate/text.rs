//! Strings: by format, pattern, length and, by chance, by what the field is called.

use super::chance::{Chance, mix};
use super::format;
use super::pattern::{Pattern, Range};
use super::realistic::{self, Kind};
use super::shape::Shape;

/// Candidates that are looked at before the last one is left to the validator.
const TRIES: u64 = 40;

/// Characters of one string.
const LONGEST: usize = 1 << 20;

/// What is known of the place besides its schema.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'n> {
    /// Of the property.
    pub name: &'n str,
    /// Which of several that must differ.
    pub nth: usize,
    pub seed: u64,
    /// Milliseconds since the epoch; none where the value is to be the same each time.
    pub now: Option<i64>,
}

/// When the fixed instances are: 2026-01-15T09:30:00Z.
pub const FIXED: i64 = 1_768_469_400_000;

/// A string that probably fits.
///
/// # Errors
///
/// Why there is none.
pub fn propose(shape: &Shape<'_>, asked: &Asked<'_>) -> Result<String, &'static str> {
    if shape.least_length > shape.most_length || shape.least_length > LONGEST {
        return Err("no text has the length that it asks for");
    }
    let patterns: Vec<Option<Pattern>> =
        shape.patterns.iter().map(|pattern| Pattern::parse(pattern)).collect();
    let mut last = Err("no text that was tried matches its pattern");
    for number in 0..TRIES {
        let candidate = candidate(shape, &patterns, asked, number);
        let length = candidate.chars().count();
        if patterns.iter().flatten().any(|pattern| pattern.matches(&candidate) == Some(false)) {
            continue;
        }
        let fits = (shape.least_length..=shape.most_length).contains(&length);
        if fits && !shape.refuses(&candidate.as_str().into()) {
            return Ok(candidate);
        }
        last = Ok(candidate);
    }
    last
}

fn candidate(shape: &Shape<'_>, patterns: &[Option<Pattern>], asked: &Asked<'_>, number: u64) -> String {
    let seed = mix(mix(asked.seed, number), asked.nth as u64);
    // The first of each pattern is as steady.
    let steady = patterns.len() + usize::from(patterns.is_empty() || shape.format.is_some());
    let mut chance = match asked.now {
        None if number < steady as u64 && asked.nth == 0 => Chance::First,
        _ => Chance::seeded(seed),
    };
    let now = asked.now.unwrap_or(FIXED);
    let format = shape.format.map(str::to_ascii_lowercase);
    let drawn: Vec<&Pattern> = patterns.iter().flatten().collect();
    // Where both are given, the pattern mostly says more; or what the text ends with.
    if let Some(format) = format.filter(|_| drawn.is_empty() || number % 4 < 2)
        && let Some(text) = formatted(&format, now, &mut chance)
    {
        let end = drawn.first().filter(|_| number % 4 == 1);
        if let Some(pattern) = end {
            return text + &pattern.draw(0, shape.most_length, Range::Usual, &mut chance);
        }
        let longer = format::of_length(&format, &text, shape.least_length);
        return longer.unwrap_or(text);
    }
    if !drawn.is_empty() {
        let range = if number < TRIES / 2 { Range::Usual } else { Range::Wide };
        let pattern = drawn[number as usize % drawn.len()];
        return pattern.draw(shape.least_length, shape.most_length, range, &mut chance);
    }
    let text = plain(asked, number, &mut chance, now);
    let text = shape.encoding.map_or_else(|| text.clone(), |encoding| format::encoded(encoding, &text));
    if shape.encoding.is_some_and(|encoding| encoding.eq_ignore_ascii_case("base64")) {
        return format::of_length("base64", &text, shape.least_length).unwrap_or(text);
    }
    of_length(text, shape.least_length, shape.most_length, &mut chance)
}

fn formatted(format: &str, now: i64, chance: &mut Chance) -> Option<String> {
    match chance {
        Chance::First => format::fixed(format).map(str::to_owned),
        Chance::Seeded(rng) => format::random(format, now, rng),
    }
}

/// Where only the name says what it may be.
fn plain(asked: &Asked<'_>, number: u64, chance: &mut Chance, now: i64) -> String {
    let Chance::Seeded(rng) = chance else { return "string".to_owned() };
    match asked.now {
        None => format!("string{}", asked.nth as u64 + number + 1),
        Some(_) if realistic::is_time(asked.name) => format::at(format::past(now, rng), "%Y-%m-%dT%H:%M:%SZ"),
        Some(_) => realistic::of(realistic::named(asked.name).unwrap_or(Kind::Word), rng),
    }
}

fn of_length(text: String, least: usize, most: usize, chance: &mut Chance) -> String {
    let length = text.chars().count();
    if length > most {
        // What differs is at the end of a fixed one, and anywhere in a random one.
        let skipped = if chance.is_first() || !text.starts_with("string") { 0 } else { length - most };
        let cut: String = text.chars().skip(skipped).take(most).collect();
        let trimmed = cut.trim_end();
        return if trimmed.len() < cut.len() && trimmed.chars().count() < least.max(1) {
            cut
        } else {
            trimmed.to_owned()
        };
    }
    let mut longer = text;
    let mut missing = least.saturating_sub(length);
    while missing > 0 {
        let more = match chance {
            Chance::First => "string".to_owned(),
            Chance::Seeded(rng) => format!(" {}", realistic::of(Kind::Word, rng)),
        };
        let added: String = more.chars().take(missing).collect();
        missing -= added.chars().count();
        longer.push_str(&added);
    }
    // No text ends with a space.
    if longer.ends_with(' ') { format!("{}a", longer.trim_end_matches(' ')) } else { longer }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[track_caller]
    fn check(schema: serde_json::Value, expected: &str) {
        let shape = Shape::of(&schema, &[&schema]);
        let fixed = propose(&shape, &Asked { name: "", nth: 0, seed: 0, now: None });
        assert_eq!(fixed.as_deref(), Ok(expected));
        for seed in 0..100 {
            let drawn = propose(&shape, &Asked { name: "firstName", nth: 0, seed, now: Some(FIXED) });
            let drawn = drawn.expect("there is one");
            assert!(shape.allows(&drawn.as_str().into()), "{drawn}");
        }
    }

    #[test]
    fn what_a_pattern_looks_around_for_is_there() {
        check(json!({"pattern": "^(?!ab)[a-z]{4}$"}), "snjw");
        check(
            json!({"pattern": "^(?=.*[A-Z])(?=.*\\d).+$", "minLength": 10, "maxLength": 12}),
            "A1cdefghijkl",
        );
    }

    #[test]
    fn a_pattern_may_be_about_the_end_of_a_format() {
        check(json!({"format": "uri", "pattern": "^.+/v[0-1]/?$"}), "https://example.com/abcd/v1/");
    }

    #[test]
    fn what_matches_nothing_is_told() {
        let schema = json!({"pattern": "/^a$/"});
        let asked = Asked { name: "", nth: 0, seed: 0, now: None };
        let none = Err("no text that was tried matches its pattern");
        assert_eq!(propose(&Shape::of(&schema, &[&schema]), &asked), none);
    }

    #[test]
    fn lengths_come_before_what_a_name_says() {
        check(json!({"minLength": 20}), "stringstringstringst");
        check(json!({"maxLength": 2}), "st");
    }
}
