//! Header fields that are lists, and their members' parameters (RFC 9110, 5.6).

use std::borrow::Cow;

/// Its members, without space around them; empty ones are left out (5.6.1).
pub fn members(field: &str) -> impl Iterator<Item = &str> {
    parts(field, b',')
}

/// Names and values behind a member's first `;` (5.6.6), quotes taken off. What has no value is left out.
/// A value is none where its quotes have no end, or do not begin it.
pub fn parameters(text: &str) -> impl Iterator<Item = (&str, Option<Cow<'_, str>>)> {
    let pairs = parts(text, b';').filter_map(|part| part.split_once('='));
    pairs.map(|(name, value)| (name.trim(), unquoted(value.trim())))
}

/// What is before and after the first separator that stands outside quotes.
pub fn cut(text: &str, separator: u8) -> (&str, &str) {
    let (mut quoted, mut escaped) = (false, false);
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            byte if byte == separator && !quoted => return (&text[..at], &text[at + 1..]),
            _ => {}
        }
    }
    (text, "")
}

fn parts(text: &str, separator: u8) -> impl Iterator<Item = &str> {
    let mut rest = text;
    let next = move || {
        let (part, after) = cut(rest, separator);
        let more = !rest.is_empty();
        rest = after;
        more.then(|| part.trim())
    };
    std::iter::from_fn(next).filter(|part| !part.is_empty())
}

/// A token as it is, a quoted string without its quotes and escapes (5.6.4).
fn unquoted(value: &str) -> Option<Cow<'_, str>> {
    let Some(rest) = value.strip_prefix('"') else {
        return Some(Cow::Borrowed(value)).filter(|value| !value.contains('"'));
    };
    let (inside, _) = cut_end(rest)?;
    Some(if inside.contains('\\') { Cow::Owned(unescaped(inside)) } else { Cow::Borrowed(inside) })
}

/// A quoted string up to its end, if nothing follows it.
fn cut_end(text: &str) -> Option<(&str, &str)> {
    let mut escaped = false;
    let end = text.bytes().position(|byte| match byte {
        _ if escaped => {
            escaped = false;
            false
        }
        b'\\' => {
            escaped = true;
            false
        }
        byte => byte == b'"',
    })?;
    Some((&text[..end], &text[end + 1..])).filter(|(_, rest)| rest.is_empty())
}

fn unescaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        match character {
            '\\' => out.extend(characters.next()),
            character => out.push(character),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(field: &str, expected: &[&str]) {
        assert_eq!(members(field).collect::<Vec<_>>(), expected);
    }

    #[track_caller]
    fn check_parameters(text: &str, expected: &[(&str, Option<&str>)]) {
        let found: Vec<_> = parameters(text).collect();
        let found: Vec<_> = found.iter().map(|(name, value)| (*name, value.as_deref())).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn members_stand_between_commas_outside_quotes() {
        check("a, b ,c", &["a", "b", "c"]);
        check(" , a,, ", &["a"]);
        check("", &[]);
        check(r#"a="x, \"y", b"#, &[r#"a="x, \"y""#, "b"]);
        check(r#"a="x, b"#, &[r#"a="x, b"#]);
        check(r"a\, b", &[r"a\", "b"]);
    }

    #[test]
    fn parameters_have_names_and_values() {
        check_parameters("a=1; B = 2", &[("a", Some("1")), ("B", Some("2"))]);
        check_parameters(r#"a="x; \"y\\";b="""#, &[("a", Some(r#"x; "y\"#)), ("b", Some(""))]);
        check_parameters("a;b=", &[("b", Some(""))]);
        check_parameters(r#"a="x;b=1"#, &[("a", None)]);
        check_parameters(r#"a="x"y;b=x"y""#, &[("a", None), ("b", None)]);
    }
}
