//! Dates in Java's patterns, and amounts of time to move them by. All in UTC and in English.
//!
//! Microcks formats with `SimpleDateFormat`; authors also know `DateTimeFormatter`. Where the two
//! differ: `u` alone is the number of the weekday (1 is Monday) and `uuuu` is the year, `S` is a
//! fraction of the second (`SSS` is milliseconds to both), and weeks are those of ISO 8601.

use std::fmt::{self, Write};

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use jiff::{Span, Timestamp};

/// A date pattern, read once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Pattern {
    parts: Box<[Part]>,
}

/// A time to add, such as `1M` or `-3d`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Amount {
    count: i64,
    unit: Unit,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Literal(String),
    /// A field, and how often its letter stands.
    Field(Field, usize),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Field {
    Era,
    Year,
    WeekYear,
    Quarter,
    Month,
    Week,
    Day,
    DayOfYear,
    Weekday,
    /// `u`: by its count a weekday's number or a year.
    WeekdayOrYear,
    HalfDay,
    /// 0 to 23, 1 to 24, 0 to 11, 1 to 12.
    Hour24,
    Hour24FromOne,
    Hour12,
    Hour12FromOne,
    Minute,
    Second,
    Fraction,
    Nanosecond,
    /// `UTC`, `+0000`, `Z`, `+00`: the same zone for `z`, `Z`, `X`, `x`.
    ZoneName,
    ZoneRfc822,
    ZoneOrZ,
    ZoneOffset,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Unit {
    Milliseconds(i64),
    Months(i64),
}

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];

const WEEKDAYS: [&str; 7] = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];

/// No letter means anything more often than this; it bounds what a field can grow to.
const MOST: usize = 9;

impl Pattern {
    /// Reads a pattern. The error says what is wrong with it, and how many bytes into it.
    pub fn parse(text: &str) -> Result<Pattern, (usize, String)> {
        if text.is_empty() {
            return Err((0, "a date pattern is empty".to_owned()));
        }
        let mut parts = Vec::new();
        let mut literal = String::new();
        let mut rest = text;
        while let Some(first) = rest.chars().next() {
            let at = text.len() - rest.len();
            if first == '\'' {
                rest = quoted(&rest[1..], &mut literal)
                    .ok_or((at, "a `'` in a date pattern is not closed".to_owned()))?;
                continue;
            }
            if !first.is_ascii_alphabetic() {
                literal.push(first);
                rest = &rest[first.len_utf8()..];
                continue;
            }
            let after = rest.trim_start_matches(first);
            let count = rest.len() - after.len();
            let field = Field::of(first).ok_or_else(|| {
                (at, format!("`{first}` means nothing in a date pattern; quote what stands for itself, as `'{first}'`"))
            })?;
            if count > MOST {
                return Err((
                    at,
                    format!("`{first}` stands {count} times in a date pattern, and {MOST} are the most"),
                ));
            }
            if !literal.is_empty() {
                parts.push(Part::Literal(std::mem::take(&mut literal)));
            }
            parts.push(Part::Field(field, count));
            rest = after;
        }
        if !literal.is_empty() {
            parts.push(Part::Literal(literal));
        }
        Ok(Pattern { parts: parts.into() })
    }

    pub fn write(&self, date: DateTime, out: &mut String) {
        for part in &self.parts {
            match part {
                Part::Literal(text) => out.push_str(text),
                Part::Field(field, count) => {
                    // Writing to a string does not fail.
                    let _ = field.write(date, *count, out);
                }
            }
        }
    }
}

/// Reads on after a `'`: up to the next one, or a single `'` if that is at once. None if it is not closed.
fn quoted<'t>(text: &'t str, literal: &mut String) -> Option<&'t str> {
    if let Some(rest) = text.strip_prefix('\'') {
        literal.push('\'');
        return Some(rest);
    }
    let mut rest = text;
    loop {
        let (inside, after) = rest.split_once('\'')?;
        literal.push_str(inside);
        match after.strip_prefix('\'') {
            Some(more) => {
                literal.push('\'');
                rest = more;
            }
            None => return Some(after),
        }
    }
}

impl Field {
    fn of(letter: char) -> Option<Field> {
        Some(match letter {
            'G' => Field::Era,
            'y' => Field::Year,
            'Y' => Field::WeekYear,
            'Q' => Field::Quarter,
            'M' | 'L' => Field::Month,
            'w' => Field::Week,
            'd' => Field::Day,
            'D' => Field::DayOfYear,
            'E' => Field::Weekday,
            'u' => Field::WeekdayOrYear,
            'a' => Field::HalfDay,
            'H' => Field::Hour24,
            'k' => Field::Hour24FromOne,
            'K' => Field::Hour12,
            'h' => Field::Hour12FromOne,
            'm' => Field::Minute,
            's' => Field::Second,
            'S' => Field::Fraction,
            'n' => Field::Nanosecond,
            'z' => Field::ZoneName,
            'Z' => Field::ZoneRfc822,
            'X' => Field::ZoneOrZ,
            'x' => Field::ZoneOffset,
            _ => return None,
        })
    }

    fn write(self, date: DateTime, count: usize, out: &mut String) -> fmt::Result {
        let hour = i32::from(date.hour());
        let number = match self {
            Field::Era => return out.write_str(if date.year() > 0 { "AD" } else { "BC" }),
            Field::Year => return year(date.year(), count, out),
            Field::WeekYear => return year(date.date().iso_week_date().year(), count, out),
            Field::WeekdayOrYear if count > 1 => return year(date.year(), count, out),
            Field::Month if count > 2 => return name(&MONTHS, date.month(), count, out),
            Field::Weekday => return name(&WEEKDAYS, date.weekday().to_monday_one_offset(), count, out),
            Field::HalfDay => return out.write_str(if hour < 12 { "AM" } else { "PM" }),
            Field::Fraction => {
                let digits = format!("{:09}", date.subsec_nanosecond());
                return out.write_str(digits.get(..count).unwrap_or(&digits));
            }
            Field::ZoneName if count > 3 => return out.write_str("Coordinated Universal Time"),
            Field::ZoneName => return out.write_str("UTC"),
            Field::ZoneOrZ => return out.write_str("Z"),
            Field::ZoneRfc822 => return out.write_str(["+0000", "GMT", "Z"][count.clamp(3, 5) - 3]),
            Field::ZoneOffset => {
                return out.write_str(["+00", "+0000", "+00:00", "+0000", "+00:00"][count.min(5) - 1]);
            }
            Field::Quarter => i32::from((date.month() - 1) / 3 + 1),
            Field::Month => i32::from(date.month()),
            Field::Week => i32::from(date.date().iso_week_date().week()),
            Field::Day => i32::from(date.day()),
            Field::DayOfYear => i32::from(date.date().day_of_year()),
            Field::WeekdayOrYear => i32::from(date.weekday().to_monday_one_offset()),
            Field::Hour24 => hour,
            Field::Hour24FromOne => (hour + 23) % 24 + 1,
            Field::Hour12 => hour % 12,
            Field::Hour12FromOne => (hour + 11) % 12 + 1,
            Field::Minute => i32::from(date.minute()),
            Field::Second => i32::from(date.second()),
            Field::Nanosecond => date.subsec_nanosecond(),
        };
        write!(out, "{number:0count$}")
    }
}

/// Two letters are the last two digits. Before the year 1 the years of that era are counted.
fn year(year: i16, count: usize, out: &mut String) -> fmt::Result {
    let year = i32::from(year);
    let year = if year > 0 { year } else { 1 - year };
    match count {
        2 => write!(out, "{:02}", year % 100),
        _ => write!(out, "{year:0count$}"),
    }
}

/// Four letters are the whole name, fewer its first three.
fn name(names: &[&str], number: i8, count: usize, out: &mut String) -> fmt::Result {
    let name =
        usize::try_from(number - 1).ok().and_then(|index| names.get(index)).copied().unwrap_or_default();
    out.write_str(if count > 3 { name } else { name.get(..3).unwrap_or(name) })
}

impl Amount {
    /// Reads an amount: a number that may have a sign, and a unit. None if it is no such thing.
    /// A number that is too large is the largest there is.
    pub fn parse(text: &str) -> Option<Amount> {
        let unit = match text.chars().next_back()? {
            's' => Unit::Milliseconds(1_000),
            'm' => Unit::Milliseconds(60_000),
            'h' | 'H' => Unit::Milliseconds(3_600_000),
            'd' => Unit::Milliseconds(86_400_000),
            'w' => Unit::Milliseconds(7 * 86_400_000),
            'M' => Unit::Months(1),
            'y' => Unit::Months(12),
            _ => return None,
        };
        // The unit is one byte.
        let number = text[..text.len() - 1].trim_end();
        let (sign, digits) = match number.strip_prefix('-') {
            Some(digits) => (-1, digits),
            None => (1, number.strip_prefix('+').unwrap_or(number)),
        };
        if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        Some(Amount { count: sign * digits.parse().unwrap_or(i64::MAX), unit })
    }
}

/// The date of a moment in milliseconds since the epoch, moved by an amount.
/// It stays within the years -9999 to 9999; a day that a month has not got is its last.
pub(super) fn date(now: i64, amount: Option<Amount>) -> DateTime {
    match amount {
        None => civil(now),
        Some(Amount { count, unit: Unit::Milliseconds(each) }) => {
            civil(now.saturating_add(count.saturating_mul(each)))
        }
        Some(Amount { count, unit: Unit::Months(each) }) => {
            let months = count.saturating_mul(each);
            match Span::new().try_months(months) {
                Ok(span) => civil(now).saturating_add(span),
                Err(_) if months < 0 => DateTime::MIN,
                Err(_) => DateTime::MAX,
            }
        }
    }
}

fn civil(now: i64) -> DateTime {
    let nearest = if now < 0 { Timestamp::MIN } else { Timestamp::MAX };
    TimeZone::UTC.to_datetime(Timestamp::from_millisecond(now).unwrap_or(nearest))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Tuesday, 2020-02-11T13:48:12.309Z.
    const NOW: i64 = 1_581_428_892_309;

    #[track_caller]
    fn check(pattern: &str, expected: &str) {
        check_at(NOW, pattern, expected);
    }

    #[track_caller]
    fn check_at(now: i64, pattern: &str, expected: &str) {
        let mut out = String::new();
        Pattern::parse(pattern).expect("the pattern is one").write(date(now, None), &mut out);
        assert_eq!(out, expected);
    }

    #[track_caller]
    fn check_amount(now: i64, amount: &str, expected: &str) {
        let amount = Amount::parse(amount).expect("the amount is one");
        let mut out = String::new();
        Pattern::parse("yyyy-MM-dd HH:mm:ss")
            .expect("the pattern is one")
            .write(date(now, Some(amount)), &mut out);
        assert_eq!(out, expected);
    }

    #[track_caller]
    fn check_error(pattern: &str, offset: usize) {
        assert_eq!(Pattern::parse(pattern).map_err(|(at, _)| at), Err(offset));
    }

    #[test]
    fn the_patterns_that_authors_write() {
        check("dd/MM/yyyy HH:mm:ss", "11/02/2020 13:48:12");
        check("yyyy-MM-dd'T'HH:mm:ss.SSS'Z'", "2020-02-11T13:48:12.309Z");
        check("yyyy-MM-dd'T'HH:mm:ss.SSSXXX", "2020-02-11T13:48:12.309Z");
        check("EEE, d MMM yyyy HH:mm:ss Z", "Tue, 11 Feb 2020 13:48:12 +0000");
        check("EEEE d MMMM yy, h:mm a", "Tuesday 11 February 20, 1:48 PM");
    }

    #[test]
    fn a_count_pads_numbers() {
        check_at(0, "d dd M MM y yy yyy yyyy yyyyy", "1 01 1 01 1970 70 1970 1970 01970");
        check_at(0, "D DDD w ww", "1 001 1 01");
        check_at(0, "Q QQ", "1 01");
    }

    #[test]
    fn hours_in_all_four_ways() {
        check_at(0, "H k K h a", "0 24 0 12 AM");
        check_at(12 * 3_600_000, "H k K h a", "12 12 0 12 PM");
        check_at(23 * 3_600_000, "HH kk KK hh a", "23 23 11 11 PM");
    }

    #[test]
    fn weeks_are_those_of_iso_8601() {
        // 2021-01-01 is in week 53 of 2020.
        check_at(1_609_459_200_000, "yyyy YYYY ww", "2021 2020 53");
        check("u E", "2 Tue");
    }

    #[test]
    fn u_alone_is_the_weekday_and_often_the_year() {
        check("u", "2");
        check("uuuu-MM", "2020-02");
    }

    #[test]
    fn fractions_of_a_second() {
        check("S SS SSS SSSSSS SSSSSSSSS", "3 30 309 309000 309000000");
        check("n", "309000000");
        check_at(7, "SSS", "007");
    }

    #[test]
    fn zones_are_utc() {
        check("z zzzz", "UTC Coordinated Universal Time");
        check("Z ZZ ZZZ ZZZZ ZZZZZ", "+0000 +0000 +0000 GMT Z");
        check("X XX XXX", "Z Z Z");
        check("x xx xxx", "+00 +0000 +00:00");
    }

    #[test]
    fn quotes_are_literal_text() {
        check("'T'", "T");
        check("'it''s' d", "it's 11");
        check("''yy''", "'20'");
        check("'«'d'»'", "«11»");
        check("d é %", "11 é %");
    }

    #[test]
    fn what_is_no_pattern_is_said_with_its_place() {
        check_error("", 0);
        check_error("yyyy-MM-ddTHH:mm", 10);
        check_error("é d'at", 4);
        check_error("yyyyyyyyyy", 0);
        check_error(&"d".repeat(1 << 20), 0);
    }

    #[test]
    fn amounts_in_every_unit() {
        check_amount(NOW, "1s", "2020-02-11 13:48:13");
        check_amount(NOW, "-1m", "2020-02-11 13:47:12");
        check_amount(NOW, "+1h", "2020-02-11 14:48:12");
        check_amount(NOW, "1H", "2020-02-11 14:48:12");
        check_amount(NOW, "20d", "2020-03-02 13:48:12");
        check_amount(NOW, "2w", "2020-02-25 13:48:12");
        check_amount(NOW, "1M", "2020-03-11 13:48:12");
        check_amount(NOW, "-1 y", "2019-02-11 13:48:12");
    }

    #[test]
    fn a_day_that_the_month_has_not_got_is_its_last() {
        // 2020-01-31.
        check_amount(1_580_428_800_000, "1M", "2020-02-29 00:00:00");
        check_amount(1_580_428_800_000, "13M", "2021-02-28 00:00:00");
    }

    #[test]
    fn amounts_too_large_end_with_the_calendar() {
        for amount in ["9999999999999999999999y", "9223372036854775807M", "240000M", "9223372036854775807w"] {
            check_amount(
                NOW,
                amount,
                &format!("9999-12-{}", if amount.ends_with('w') { "30 22:00:00" } else { "31 23:59:59" }),
            );
        }
        check_amount(NOW, "-99999999999999999999d", "10000-01-02 01:59:59");
        check_amount(i64::MIN, "-1y", "10000-01-01 00:00:00");
        check_amount(i64::MAX, "1s", "9999-12-30 22:00:00");
    }

    #[test]
    fn what_is_no_amount() {
        for text in ["", "d", "1", "1x", "1.5d", "--1d", "1é", "é", "+d", "1d2"] {
            assert_eq!(Amount::parse(text), None, "{text}");
        }
    }
}
