//! What an expression comes to, and how it is written.

use std::borrow::Cow;
use std::fmt::{self, Write};

use serde_json::Value as Json;

use crate::mock::message::Body;

/// The value of an expression.
#[derive(Debug, Clone)]
pub(in crate::mock) enum Value<'v> {
    /// The reference leads nowhere.
    Missing,
    /// A value of a JSON body.
    Json(&'v Json),
    /// A whole body that is not empty.
    Body(&'v Body),
    /// Text of which nobody said whether it is a number: a parameter, a header, a date.
    Text(Cow<'v, str>),
    /// Text that is a string, whatever it looks like.
    String(Cow<'v, str>),
    /// Text that the author wrote, which is JSON.
    Literal(&'v str),
}

impl Value<'_> {
    /// Whether `||` goes on to the next: missing, null, or text without a character.
    pub fn is_empty(&self) -> bool {
        match self {
            Value::Missing | Value::Json(Json::Null) => true,
            Value::Json(Json::String(text)) => text.is_empty(),
            Value::Json(_) | Value::Body(_) => false,
            Value::Text(text) | Value::String(text) => text.is_empty(),
            Value::Literal(text) => text.is_empty(),
        }
    }

    /// A string as its text, objects and arrays as compact JSON; nothing for what is missing or null.
    pub fn write_text(&self, out: &mut impl Write) -> fmt::Result {
        match self {
            Value::Missing | Value::Json(Json::Null) => Ok(()),
            Value::Json(Json::String(text)) => out.write_str(text),
            Value::Json(value) => write!(out, "{value}"),
            Value::Body(body) => out.write_str(body.text().unwrap_or_default()),
            Value::Text(text) | Value::String(text) => out.write_str(text),
            Value::Literal(text) => out.write_str(text),
        }
    }

    /// A JSON value, always a valid one: text whose type nobody knows is a number or a boolean if it reads as one,
    /// and a string otherwise.
    pub fn write_json(&self, out: &mut String) -> fmt::Result {
        match self {
            Value::Missing => out.write_str("null"),
            Value::Json(value) => write!(out, "{value}"),
            Value::Body(body) if body.json().is_some() => out.write_str(body.text().unwrap_or_default()),
            Value::Body(body) => quote(body.text().unwrap_or_default(), out),
            Value::Text(text) if is_plain(text) => out.write_str(text),
            Value::Text(text) | Value::String(text) => quote(text, out),
            Value::Literal(text) => out.write_str(text),
        }
    }
}

fn quote(text: &str, out: &mut String) -> fmt::Result {
    out.push('"');
    crate::tree::escape_json(text, out);
    out.push('"');
    Ok(())
}

/// A JSON number or boolean (RFC 8259, 6).
fn is_plain(text: &str) -> bool {
    matches!(text, "true" | "false") || is_number(text)
}

fn is_number(text: &str) -> bool {
    let text = text.strip_prefix('-').unwrap_or(text);
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (text, None),
    };
    let (whole, fraction) = match mantissa.split_once('.') {
        Some((whole, fraction)) => (whole, Some(fraction)),
        None => (mantissa, None),
    };
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits(whole)
        && (whole == "0" || !whole.starts_with('0'))
        && fraction.is_none_or(digits)
        && exponent.is_none_or(|text| digits(text.strip_prefix(['+', '-']).unwrap_or(text)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &str) {
        let mut out = String::new();
        Value::Text(text.into()).write_json(&mut out).expect("a string takes all");
        assert_eq!(out, expected);
        serde_json::from_str::<Json>(&out).expect("what is written is JSON");
    }

    #[test]
    fn untyped_text_that_reads_as_a_number_or_a_boolean_is_one() {
        for text in ["0", "-0", "42", "-1.50", "1e9", "1E-9", "0.1e+3", "true", "false"] {
            check(text, text);
        }
    }

    #[test]
    fn untyped_text_that_json_does_not_know_is_a_string() {
        for text in
            ["", "007", "+1", "1.", ".5", "1e", "-", "--1", "0x10", "NaN", "null", "1 2", "True", "1e1e1"]
        {
            check(text, &format!("{text:?}"));
        }
    }

    #[test]
    fn untyped_text_cannot_bring_json_syntax_in() {
        check(r#"1, "admin": true"#, r#""1, \"admin\": true""#);
        check("[1]", r#""[1]""#);
    }

    #[test]
    fn a_string_that_looks_like_a_number_stays_a_string() {
        let mut out = String::new();
        Value::String("42".into()).write_json(&mut out).expect("a string takes all");
        assert_eq!(out, r#""42""#);
    }
}
