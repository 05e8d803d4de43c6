//! Functions: `now(dd/MM/yyyy, 1M)`, `uuid()`, `randomInt(1, 6)`.

use std::borrow::Cow;

use super::date::{Amount, Pattern, date};
use super::{Error, Needs, Value};
use crate::mock::message::Moment;

/// A call of a function, with arguments that are right.
#[derive(Debug, Clone)]
pub(super) enum Function {
    /// `now()`: milliseconds since the epoch, as in Microcks; `$timestamp` too.
    Timestamp,
    /// `now(pattern)`, `now(pattern, amount)`, in UTC.
    Date(Pattern, Option<Amount>),
    /// Version 4.
    Uuid,
    /// A number from the first to the second, both included.
    Int(i64, i64),
    /// So many letters and digits.
    Alphanumeric(usize),
    Pick(Box<[Box<str>]>),
    Boolean,
}

/// An argument as it is meant, without quotes, and where it stands.
pub(super) struct Argument<'t> {
    pub text: &'t str,
    pub at: usize,
}

/// Every function that is built.
const BUILT: [&str; 9] = [
    "now",
    "timestamp",
    "uuid",
    "guid",
    "randomUUID",
    "randomInt",
    "randomString",
    "randomValue",
    "randomBoolean",
];

/// Microcks' other functions.
const NOT_BUILT: [&str; 14] = [
    "randomFirstName",
    "randomLastName",
    "randomFullName",
    "randomNamePrefix",
    "randomNameSuffix",
    "randomPhoneNumber",
    "randomCity",
    "randomStreetName",
    "randomStreetAddress",
    "randomCountry",
    "randomCountryCode",
    "randomLatitude",
    "randomLongitude",
    "randomEmail",
];

const LENGTH: usize = 32;
const LONGEST: usize = 4096;

impl Function {
    /// `at` is where the name stands.
    pub fn parse(name: &str, at: usize, arguments: &[Argument<'_>]) -> Result<Function, Error> {
        match (name, arguments) {
            ("now" | "timestamp", []) => Ok(Function::Timestamp),
            ("now" | "timestamp", [format]) => Ok(Function::Date(pattern(format)?, None)),
            ("now" | "timestamp", [format, time]) => {
                Ok(Function::Date(pattern(format)?, Some(amount(time)?)))
            }
            ("uuid" | "guid" | "randomUUID", []) => Ok(Function::Uuid),
            ("randomInt", []) => Ok(Function::Int(-65_635, 65_635)),
            ("randomInt", [most]) => Ok(between(0, int(most)?)),
            ("randomInt", [low, high]) => Ok(between(int(low)?, int(high)?)),
            ("randomString", []) => Ok(Function::Alphanumeric(LENGTH)),
            ("randomString", [length]) => Ok(Function::Alphanumeric(size(length)?)),
            ("randomValue", [_, ..]) => {
                Ok(Function::Pick(arguments.iter().map(|argument| argument.text.into()).collect()))
            }
            ("randomBoolean", []) => Ok(Function::Boolean),
            _ if name == "put" || NOT_BUILT.contains(&name) => {
                Err(Error::new(at, format!("`{name}` is not built yet")))
            }
            _ if BUILT.contains(&name) => {
                let count = arguments.len();
                Err(Error::new(at, format!("`{name}` does not take {count} arguments")).hint(usage(name)))
            }
            _ => {
                let name = shortened(name);
                Err(Error::new(at, format!("there is no function `{name}`")).hint(suggestion(&name)))
            }
        }
    }

    /// Whether a template may call a function of this name.
    pub fn is_built(name: &str) -> bool {
        BUILT.contains(&name)
    }

    /// Whether the first argument is a date pattern, in which `'` quotes.
    pub fn takes_pattern(name: &str) -> bool {
        matches!(name, "now" | "timestamp")
    }

    pub fn needs(&self) -> Needs {
        Needs { now: matches!(self, Function::Timestamp | Function::Date(..)), ..Needs::default() }
    }

    pub fn evaluate(&self, moment: Moment, chance: &mut fastrand::Rng) -> Value<'_> {
        match self {
            Function::Timestamp => Value::Text(moment.now.to_string().into()),
            Function::Date(pattern, amount) => {
                let mut text = String::new();
                pattern.write(date(moment.now, *amount), &mut text);
                Value::Text(text.into())
            }
            Function::Uuid => Value::String(uuid(chance).into()),
            Function::Int(low, high) => Value::Text(chance.i64(low..=high).to_string().into()),
            Function::Alphanumeric(length) => {
                Value::String((0..*length).map(|_| chance.alphanumeric()).collect::<String>().into())
            }
            Function::Pick(values) => {
                let picked = chance.choice(values.iter()).map_or("", |value| value);
                Value::Text(Cow::Borrowed(picked))
            }
            Function::Boolean => Value::Text(Cow::Borrowed(if chance.bool() { "true" } else { "false" })),
        }
    }
}

/// RFC 9562, 5.4.
fn uuid(chance: &mut fastrand::Rng) -> String {
    let bits = chance.u128(..) & !(0xf << 76) & !(0b11 << 62) | 4 << 76 | 0b10 << 62;
    format!(
        "{:08x}-{:04x}-{:04x}-{:04x}-{:012x}",
        bits >> 96,
        bits >> 80 & 0xffff,
        bits >> 64 & 0xffff,
        bits >> 48 & 0xffff,
        bits & 0xffff_ffff_ffff
    )
}

fn between(one: i64, other: i64) -> Function {
    Function::Int(one.min(other), one.max(other))
}

fn pattern(argument: &Argument<'_>) -> Result<Pattern, Error> {
    Pattern::parse(argument.text).map_err(|(offset, problem)| Error::new(argument.at + offset, problem))
}

fn amount(argument: &Argument<'_>) -> Result<Amount, Error> {
    Amount::parse(argument.text).ok_or_else(|| {
        Error::new(argument.at, format!("`{}` is no amount of time", shortened(argument.text)))
            .hint("write a number and one of s, m, h, d, w, M, y: `-3d`")
    })
}

fn int(argument: &Argument<'_>) -> Result<i64, Error> {
    argument.text.parse().map_err(|_| {
        Error::new(argument.at, format!("`{}` is no whole number of 64 bits", shortened(argument.text)))
    })
}

fn size(argument: &Argument<'_>) -> Result<usize, Error> {
    argument.text.parse().ok().filter(|&length| length <= LONGEST).ok_or_else(|| {
        Error::new(argument.at, format!("`{}` is no length from 0 to {LONGEST}", shortened(argument.text)))
    })
}

/// As much of a text as fits into a message.
pub(in crate::mock) fn shortened(text: &str) -> Cow<'_, str> {
    match text.char_indices().nth(40) {
        Some((end, _)) => Cow::Owned(format!("{}…", &text[..end])),
        None => Cow::Borrowed(text),
    }
}

fn usage(name: &str) -> &'static str {
    match name {
        "now" | "timestamp" => "write `now()`, `now(dd/MM/yyyy)` or `now(dd/MM/yyyy, 1M)`",
        "randomInt" => "write `randomInt()`, `randomInt(10)` or `randomInt(1, 10)`",
        "randomString" => "write `randomString()` or `randomString(10)`",
        "randomValue" => "write `randomValue(one, two)`",
        _ => "it takes none",
    }
}

fn suggestion(name: &str) -> String {
    // The lists are the language's: what is not built yet is said when it is written as suggested.
    match crate::diagnostic::nearest(name, BUILT.into_iter().chain(NOT_BUILT)) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("there are `{}`", BUILT.join("`, `")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOMENT: Moment = Moment { now: 1_581_428_892_309, seed: 7 };

    #[track_caller]
    fn parse(name: &str, arguments: &[&str]) -> Result<Function, Error> {
        let arguments: Vec<_> = arguments.iter().map(|&text| Argument { text, at: 0 }).collect();
        Function::parse(name, 0, &arguments)
    }

    /// What a function gives for many seeds.
    #[track_caller]
    fn drawn(name: &str, arguments: &[&str]) -> Vec<String> {
        let function = parse(name, arguments).expect("the call is one");
        let draw = |seed| {
            let mut text = String::new();
            let value = function.evaluate(MOMENT, &mut fastrand::Rng::with_seed(seed));
            value.write_text(&mut text).expect("a string takes all");
            text
        };
        (0..200).map(draw).collect()
    }

    #[track_caller]
    fn check(name: &str, arguments: &[&str], expected: &str) {
        assert_eq!(drawn(name, arguments)[0], expected);
    }

    #[track_caller]
    fn check_range(arguments: &[&str], low: i64, high: i64) {
        for text in drawn("randomInt", arguments) {
            let number: i64 = text.parse().expect("it is a number");
            assert!((low..=high).contains(&number), "{number}");
        }
    }

    #[track_caller]
    fn check_error(name: &str, arguments: &[&str], expected: &str) {
        assert_eq!(parse(name, arguments).expect_err("the call is none").to_string(), expected);
    }

    #[test]
    fn now_is_milliseconds_or_a_date() {
        check("now", &[], "1581428892309");
        check("timestamp", &[], "1581428892309");
        check("now", &["dd/MM/yyyy HH:mm:ss"], "11/02/2020 13:48:12");
        check("timestamp", &["dd/MM/yyyy", "1M"], "11/03/2020");
    }

    #[test]
    fn identifiers_are_version_4() {
        for name in ["uuid", "guid", "randomUUID"] {
            for id in drawn(name, &[]) {
                let groups: Vec<_> = id.split('-').map(str::len).collect();
                assert_eq!(groups, [8, 4, 4, 4, 12], "{id}");
                assert_eq!(&id[14..15], "4", "{id}");
                assert!("89ab".contains(&id[19..20]), "{id}");
            }
        }
    }

    #[test]
    fn integers_are_within_both_bounds() {
        check_range(&[], -65_635, 65_635);
        check_range(&["32"], 0, 32);
        check_range(&["-5"], -5, 0);
        check_range(&["25", "27"], 25, 27);
        check_range(&["27", "25"], 25, 27);
        check_range(&["0"], 0, 0);
        check_range(&["-9223372036854775808", "9223372036854775807"], i64::MIN, i64::MAX);
        assert!(drawn("randomInt", &["1", "2"]).contains(&"2".to_owned()));
    }

    #[test]
    fn strings_are_letters_and_digits() {
        for (arguments, length) in [(&[][..], 32), (&["5"], 5), (&["0"], 0), (&["4096"], 4096)] {
            let text = &drawn("randomString", arguments)[0];
            assert_eq!(text.len(), length);
            assert!(text.bytes().all(|byte| byte.is_ascii_alphanumeric()));
        }
    }

    #[test]
    fn a_value_is_one_of_the_arguments() {
        let drawn = drawn("randomValue", &["foo", "bar baz"]);
        assert!(drawn.iter().all(|text| text == "foo" || text == "bar baz"));
        assert!(drawn.contains(&"foo".to_owned()) && drawn.contains(&"bar baz".to_owned()));
    }

    #[test]
    fn a_boolean_is_one_of_two() {
        let drawn = drawn("randomBoolean", &[]);
        assert!(drawn.contains(&"true".to_owned()) && drawn.contains(&"false".to_owned()));
    }

    #[test]
    fn one_seed_draws_one_value() {
        assert_eq!(drawn("uuid", &[]), drawn("uuid", &[]));
    }

    #[test]
    fn an_unknown_name_gets_the_nearest() {
        check_error("uid", &[], "there is no function `uid`; did you mean `uuid`?");
        check_error("RandomInt", &[], "there is no function `RandomInt`; did you mean `randomInt`?");
    }

    #[test]
    fn what_is_not_built_says_so() {
        check_error("randomCity", &[], "`randomCity` is not built yet");
        check_error("put", &["id"], "`put` is not built yet");
    }

    #[test]
    fn wrong_arguments_are_said() {
        check_error("uuid", &["1"], "`uuid` does not take 1 arguments; it takes none");
        check_error(
            "randomValue",
            &[],
            "`randomValue` does not take 0 arguments; write `randomValue(one, two)`",
        );
        check_error("randomInt", &["x"], "`x` is no whole number of 64 bits");
        check_error(
            "randomInt",
            &["99999999999999999999"],
            "`99999999999999999999` is no whole number of 64 bits",
        );
        check_error("randomString", &["4097"], "`4097` is no length from 0 to 4096");
        check_error("randomString", &["-1"], "`-1` is no length from 0 to 4096");
        check_error("now", &[""], "a date pattern is empty");
        check_error(
            "now",
            &["yyyy", "soon"],
            "`soon` is no amount of time; write a number and one of s, m, h, d, w, M, y: `-3d`",
        );
    }
}
