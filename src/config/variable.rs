//! `${VAR}` and `${VAR:-default}` in a value.

use std::borrow::Cow;

use super::VARIABLE;
use super::problem::{Problem, quoted};

/// The text with its variables replaced; borrowed where it had none. `$${` is a literal `${`, and
/// what a variable brings in is not looked at again. As in a shell, `:-` counts an empty variable
/// as not set.
pub(super) fn replace<'t>(
    text: &'t str,
    environment: &dyn Fn(&str) -> Option<String>,
) -> Result<Cow<'t, str>, Problem> {
    if !text.contains("${") {
        return Ok(Cow::Borrowed(text));
    }
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("${") {
        let (before, after) = (&rest[..at], &rest[at + 2..]);
        if let Some(before) = before.strip_suffix('$') {
            out.push_str(before);
            out.push_str("${");
            rest = after;
            continue;
        }
        out.push_str(before);
        let (inside, after) = after.split_once('}').ok_or_else(|| {
            Problem::new(VARIABLE, "`${` without its `}`").hint("close it; a literal `${` is written `$${`")
        })?;
        out.push_str(&value(inside, environment)?);
        rest = after;
    }
    out.push_str(rest);
    Ok(Cow::Owned(out))
}

fn value(inside: &str, environment: &dyn Fn(&str) -> Option<String>) -> Result<String, Problem> {
    let (name, default) = match inside.split_once(":-") {
        Some((name, default)) => (name, Some(default)),
        None => (inside, None),
    };
    if !is_name(name) {
        return Err(Problem::new(VARIABLE, format!("{} is no variable's name", quoted(name)))
            .hint("write `${NAME}` or `${NAME:-default}`; a literal `${` is written `$${`"));
    }
    if default.is_some_and(|default| default.contains("${")) {
        return Err(Problem::new(VARIABLE, format!("the default of `{name}` has a variable in it"))
            .hint("a default is plain text without `${` and `}`"));
    }
    match (environment(name), default) {
        (Some(value), None) => Ok(value),
        (Some(value), Some(_)) if !value.is_empty() => Ok(value),
        (_, Some(default)) => Ok(default.to_owned()),
        (None, None) => Err(Problem::new(VARIABLE, format!("the variable `{name}` is not set"))
            .hint(format!("set it, or give a default: `${{{name}:-value}}`"))),
    }
}

fn is_name(text: &str) -> bool {
    !text.is_empty()
        && !text.starts_with(|c: char| c.is_ascii_digit())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(name: &str) -> Option<String> {
        match name {
            "PORT" => Some("80".into()),
            "EMPTY" => Some(String::new()),
            "NESTED" => Some("${PORT}".into()),
            _ => None,
        }
    }

    #[track_caller]
    fn check(text: &str, expected: &str) {
        assert_eq!(replace(text, &environment).as_deref(), Ok(expected));
    }

    #[track_caller]
    fn refuse(text: &str, expected: &str) {
        assert_eq!(replace(text, &environment).expect_err("should be refused").to_string(), expected);
    }

    #[test]
    fn a_variable_is_replaced_wherever_it_stands() {
        check("${PORT}", "80");
        check("a:${PORT}/${PORT}", "a:80/80");
        check("none", "none");
        check("$PORT $$ $", "$PORT $$ $");
    }

    #[test]
    fn a_default_stands_in_for_unset_and_empty() {
        check("${GONE:-a b}", "a b");
        check("${GONE:-}", "");
        check("${EMPTY:-a}", "a");
        check("${EMPTY}", "");
        check("${PORT:-81}", "80");
    }

    #[test]
    fn two_dollars_are_a_literal_one() {
        check("$${PORT}", "${PORT}");
        check("$${PORT}${PORT}", "${PORT}80");
    }

    #[test]
    fn what_comes_in_is_not_replaced_again() {
        check("${NESTED}", "${PORT}");
    }

    #[test]
    fn what_can_not_be_replaced_is_a_problem() {
        refuse("${GONE}", "the variable `GONE` is not set; set it, or give a default: `${GONE:-value}`");
        refuse("${PORT", "`${` without its `}`; close it; a literal `${` is written `$${`");
        refuse(
            "${a b}",
            "`a b` is no variable's name; write `${NAME}` or `${NAME:-default}`; a literal `${` is written `$${`",
        );
        refuse(
            "${GONE:-${PORT}}",
            "the default of `GONE` has a variable in it; a default is plain text without `${` and `}`",
        );
    }
}
