//! What a request asks for by status, by name or by chance: `Prefer` (RFC 7240), or `__code`, `__example`,
//! `__dynamic` and `__seed` of the query, for those who can't set a header.

use std::borrow::Cow;

use http::HeaderValue;

use crate::mock::list;
use crate::mock::message::Head;

/// A status, an example's name, chance, or several of them.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Asked<'r> {
    /// From 100 to 599.
    pub code: Option<u16>,
    pub example: Option<Cow<'r, str>>,
    /// Whether a random instance of the schema is wanted, or none although the config wants them.
    pub dynamic: Option<bool>,
    /// What chance begins with.
    pub seed: Option<u64>,
}

impl<'r> Asked<'r> {
    /// None if the request asks for nothing in particular. Each comes from the first place that says it:
    /// the header, then the query. RFC 7240, 2: what can't be read is as if it were not there.
    pub fn of(head: &Head<'r>) -> Option<Self> {
        let mut asked = Asked::default();
        for field in head.headers.get_all("prefer") {
            for preference in list::members(std::str::from_utf8(field.as_bytes()).unwrap_or("")) {
                // Its own parameters say nothing here.
                let (preference, _) = list::cut(preference, b';');
                let named = list::parameters(preference).next();
                if let (name, Some(value)) = named.unwrap_or((preference.trim(), Some("".into()))) {
                    asked.take(name, value);
                }
            }
        }
        if let Some(query) = head.query.filter(|query| query.contains("__")) {
            for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
                if let Some(name) = name.strip_prefix("__") {
                    asked.take(name, value);
                }
            }
        }
        (asked != Asked::default()).then_some(asked)
    }

    fn take(&mut self, name: &str, value: Cow<'r, str>) {
        let is = |known: &str| name.eq_ignore_ascii_case(known);
        if is("code") {
            self.code = self.code.or_else(|| status(&value));
        } else if is("example") && !value.is_empty() {
            self.example.get_or_insert(value);
        } else if is("dynamic") {
            self.dynamic = self.dynamic.or_else(|| switch(&value));
        } else if is("seed") {
            self.seed = self.seed.or_else(|| value.parse().ok());
        }
    }

    /// Whether it asks for an answer that the document gives in every mode.
    pub fn is_particular(&self) -> bool {
        self.code.is_some() || self.example.is_some() || self.dynamic == Some(true)
    }

    /// RFC 7240, 3: `preference-applied`. None if nothing was, or the name can't stand in a header.
    pub fn applied(&self) -> Option<HeaderValue> {
        let code = self.code.map(|code| format!("code={code}"));
        let example = self.example.as_ref().map(|name| format!("example={}", word(name)));
        // A name says which example it is, so that nothing was left to chance.
        let chance = self.example.is_none();
        let dynamic = self.dynamic.filter(|_| chance).map(|dynamic| format!("dynamic={dynamic}"));
        let seed = self.seed.filter(|_| chance).map(|seed| format!("seed={seed}"));
        let applied: Vec<String> = [code, example, dynamic, seed].into_iter().flatten().collect();
        let applied = applied.join(", ");
        HeaderValue::from_bytes(applied.as_bytes()).ok().filter(|_| !applied.is_empty())
    }
}

fn status(text: &str) -> Option<u16> {
    let digits = text.len() == 3 && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|code| digits && (100..=599).contains(code))
}

/// RFC 7240, 2: a preference without a value is one that is wanted.
fn switch(text: &str) -> Option<bool> {
    match text {
        "" | "true" | "1" => Some(true),
        "false" | "0" => Some(false),
        _ => None,
    }
}

/// RFC 9110, 5.6.2: a token as it is, other texts in quotes.
fn word(text: &str) -> Cow<'_, str> {
    let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    if text.bytes().all(is_token) {
        return Cow::Borrowed(text);
    }
    Cow::Owned(format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"")))
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, Method};

    use super::*;

    /// `prefer` has a header field a line; what is expected is `code example` and what is applied.
    #[track_caller]
    fn check(prefer: &str, query: &str, expected: &str) {
        let mut headers = HeaderMap::new();
        for field in prefer.lines() {
            headers.append("prefer", HeaderValue::from_bytes(field.as_bytes()).unwrap());
        }
        let (method, query) = (&Method::GET, Some(query));
        let head = Head { method, path: "/", query, headers: &headers, scheme: "http", authority: "" };
        let found = Asked::of(&head).map(|asked| {
            let applied = asked.applied();
            let applied =
                applied.as_ref().map_or("".into(), |value| String::from_utf8_lossy(value.as_bytes()));
            format!("{:?} {:?} {applied}", asked.code, asked.example)
        });
        assert_eq!(found.as_deref().unwrap_or("nothing"), expected);
    }

    #[test]
    fn preferences_are_read_as_rfc_7240_writes_them() {
        check("code=404", "", "Some(404) None code=404");
        check("code=404, example=cat", "", "Some(404) Some(\"cat\") code=404, example=cat");
        check("code=404\nexample=cat", "", "Some(404) Some(\"cat\") code=404, example=cat");
        check("respond-async, CODE = \"404\"; why=\"a, code=500\"", "", "Some(404) None code=404");
        check(r#"example="a \"b\", c""#, "", r#"None Some("a \"b\", c") example="a \"b\", c""#);
        check("example=with spaces", "", "None Some(\"with spaces\") example=\"with spaces\"");
        check("example=gr\u{fc}n", "", "None Some(\"gr\u{fc}n\") example=\"gr\u{fc}n\"");
    }

    #[test]
    fn the_first_place_that_says_it_counts() {
        check("code=404, code=500", "", "Some(404) None code=404");
        check("code=404", "__code=500&__example=a%20b", "Some(404) Some(\"a b\") code=404, example=\"a b\"");
        check("", "x=1&__example=%0A", "None Some(\"\\n\") ");
    }

    #[test]
    fn what_cannot_be_read_is_left_out() {
        for prefer in
            ["code=abc", "code=99", "code=600", "code=+20", "code", "example=", "example=\"\"", ",;=,", "\""]
        {
            check(prefer, "", "nothing");
        }
        check("code=abc, code=404", "", "Some(404) None code=404");
        check("", "code=404&example=a", "nothing");
    }
}
