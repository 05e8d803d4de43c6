//! Durations, sizes and counts.

use std::time::Duration;

use super::problem::{Problem, quoted};

/// Longer ones are mistakes, and this keeps any sum of a time and a duration from overflowing.
const LONGEST: Duration = Duration::from_secs(366 * 24 * 60 * 60);

/// `250ms`, `1.5s`, `2m`, `1h`.
pub fn duration(text: &str) -> Result<Duration, Problem> {
    let (number, unit) = split(text);
    if unit.is_empty() && !number.is_empty() {
        return Err(Problem::value(format!("{} has no unit", quoted(text)))
            .hint(format!("add a unit: `{number}s`, `{number}ms`, `{number}m`")));
    }
    let no_duration = || {
        Problem::value(format!("{} is no duration", quoted(text))).hint("write `250ms`, `3s`, `2m` or `1h`")
    };
    let scale = match unit {
        "ms" => 1e-3,
        "s" => 1.0,
        "m" => 60.0,
        "h" => 3600.0,
        _ => return Err(no_duration()),
    };
    let number: f64 = number.parse().map_err(|_| no_duration())?;
    // Whole microseconds, since a float's `0.1s` is a hair off.
    let micros = (number * scale * 1e6).round();
    if micros > LONGEST.as_micros() as f64 {
        return Err(Problem::value(format!("{} is longer than a year", quoted(text))));
    }
    Ok(Duration::from_micros(micros as u64))
}

/// A duration, or milliseconds as a bare number, as Microcks writes them.
pub fn wait(text: &str) -> Result<Duration, Problem> {
    match text.parse() {
        Ok(milliseconds) => Ok(Duration::from_millis(milliseconds)),
        Err(_) => duration(text),
    }
}

/// A duration that must be some time.
pub(super) fn some_time(text: &str) -> Result<Duration, Problem> {
    match duration(text)? {
        Duration::ZERO => Err(Problem::value("a duration of 0 makes no sense here")),
        duration => Ok(duration),
    }
}

/// A wait before another attempt.
pub(super) fn retry(text: &str) -> Result<Duration, Problem> {
    const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);
    match duration(text)? {
        wait if wait > LONGEST => Err(Problem::value("no attempt waits for more than a day")),
        wait => Ok(wait),
    }
}

/// Levels of nesting, as many as the stack of a thread bears.
pub(super) fn depth(text: &str) -> Result<usize, Problem> {
    const DEEPEST: usize = 1000;
    match count(text)? {
        depth if depth > DEEPEST => Err(Problem::value(format!("more than {DEEPEST} levels are not read"))),
        depth => Ok(depth),
    }
}

/// `64KiB`, `10KB`, `512`: bytes.
pub(super) fn size(text: &str) -> Result<usize, Problem> {
    let (number, unit) = split(text);
    let no_size = || {
        Problem::value(format!("{} is no size", quoted(text))).hint("write `512`, `64KiB`, `1MiB` or `1GiB`")
    };
    let scale = match unit.to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "kb" => 1000,
        "mb" => 1000 * 1000,
        "gb" => 1000 * 1000 * 1000,
        "kib" => 1 << 10,
        "mib" => 1 << 20,
        "gib" => 1 << 30,
        _ => return Err(no_size()),
    };
    let number: usize = number.parse().map_err(|_| no_size())?;
    number.checked_mul(scale).ok_or_else(|| Problem::value(format!("{} is too large", quoted(text))))
}

/// A size that must be some bytes.
pub(super) fn some_size(text: &str) -> Result<usize, Problem> {
    at_least_one(size(text)?)
}

/// How many of something, at least one.
pub(super) fn count(text: &str) -> Result<usize, Problem> {
    let number = text.parse().map_err(|_| {
        Problem::value(format!("{} is no whole number", quoted(text))).hint("write a number such as `4`")
    })?;
    at_least_one(number)
}

/// How many entries are kept, maybe none; as many as memory can be given for.
pub(super) fn entries(text: &str) -> Result<usize, Problem> {
    const MOST: usize = 1_000_000;
    match text {
        "0" => Ok(0),
        text => match count(text)? {
            number if number > MOST => Err(Problem::value(format!("{number} are too many; at most {MOST}"))),
            number => Ok(number),
        },
    }
}

/// Worker threads: a number that a machine could have.
pub(super) fn threads(text: &str) -> Result<usize, Problem> {
    const MOST: usize = 1024;
    match count(text)? {
        number if number > MOST => Err(Problem::value(format!("{number} are too many; at most {MOST}"))),
        number => Ok(number),
    }
}

fn at_least_one(number: usize) -> Result<usize, Problem> {
    match number {
        0 => Err(Problem::value("0 makes no sense here").hint("write at least 1")),
        number => Ok(number),
    }
}

/// The number and what follows it.
fn split(text: &str) -> (&str, &str) {
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    text.split_at(end)
}

/// Yes or no, as YAML writes it, 1.1 included.
pub fn switch(text: &str) -> Result<bool, Problem> {
    match text {
        "true" | "on" => Ok(true),
        "false" | "off" => Ok(false),
        other => Err(Problem::value(format!("expected `true` or `false`, found {}", quoted(other)))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_duration(text: &str, millis: f64) {
        assert_eq!(duration(text), Ok(Duration::from_secs_f64(millis / 1e3)), "{text}");
    }

    #[track_caller]
    fn refuse<T: std::fmt::Debug>(result: Result<T, Problem>, expected: &str) {
        assert_eq!(result.expect_err("should be refused").to_string(), expected);
    }

    #[test]
    fn durations_have_a_unit() {
        check_duration("250ms", 250.0);
        check_duration("3s", 3e3);
        check_duration("1.5s", 1.5e3);
        check_duration("0.1s", 100.0);
        check_duration("0s", 0.0);
        check_duration("2m", 120e3);
        check_duration("1h", 3_600e3);
    }

    #[test]
    fn a_bare_number_is_no_duration() {
        refuse(duration("3"), "`3` has no unit; add a unit: `3s`, `3ms`, `3m`");
        refuse(duration("0"), "`0` has no unit; add a unit: `0s`, `0ms`, `0m`");
    }

    #[test]
    fn other_texts_are_no_durations() {
        for text in ["", "s", "-3s", "3 s", "3d", "1.2.3s", "fast", ".s", "1m30s"] {
            assert!(duration(text).is_err(), "{text}");
        }
        refuse(duration("fast"), "`fast` is no duration; write `250ms`, `3s`, `2m` or `1h`");
        refuse(duration("99999h"), "`99999h` is longer than a year");
        refuse(
            duration(&format!("{}h", "9".repeat(400))),
            &format!("`{}…` is longer than a year", "9".repeat(60)),
        );
    }

    #[test]
    fn sizes_count_in_both_ways() {
        for (text, bytes) in [
            ("512", 512),
            ("512B", 512),
            ("10KB", 10_000),
            ("64KiB", 65_536),
            ("1MiB", 1 << 20),
            ("1GiB", 1 << 30),
        ] {
            assert_eq!(size(text), Ok(bytes), "{text}");
        }
    }

    #[test]
    fn other_texts_are_no_sizes() {
        refuse(size("64K"), "`64K` is no size; write `512`, `64KiB`, `1MiB` or `1GiB`");
        refuse(size("1.5MiB"), "`1.5MiB` is no size; write `512`, `64KiB`, `1MiB` or `1GiB`");
        refuse(size("99999999999GiB"), "`99999999999GiB` is too large");
        assert!(size("").is_err());
    }

    #[test]
    fn zero_is_refused_where_it_makes_no_sense() {
        refuse(count("0"), "0 makes no sense here; write at least 1");
        refuse(some_size("0KiB"), "0 makes no sense here; write at least 1");
        refuse(some_time("0ms"), "a duration of 0 makes no sense here");
        refuse(threads("5000"), "5000 are too many; at most 1024");
        refuse(count("-1"), "`-1` is no whole number; write a number such as `4`");
    }
}
