//! A strict reader of JSON (RFC 8259).
//!
//! It is our own because libyaml's heirs know no surrogate pairs, and because what is open lives in
//! the builder and not on the stack, so that no depth of nesting can exhaust it.

use super::build::{Builder, Finding, Hint, Merge, Outcome, Scalar, Slice, Tag, shorten};
use super::{EMPTY, UNREADABLE};

pub(super) fn read(source: &str, builder: &mut Builder<'_>) -> Outcome {
    let mut reader = Reader { source, bytes: source.as_bytes(), at: 0, builder };
    let mut next = Next::Value;
    reader.skip_space();
    if reader.at == source.len() {
        return Err(reader.wrong(0, 0, EMPTY, Hint::None));
    }
    loop {
        reader.skip_space();
        next = match next {
            Next::Value => reader.value("a value")?,
            Next::FirstItem if reader.peek() == Some(b']') => reader.close()?,
            Next::FirstItem => reader.value("a value or `]`")?,
            Next::FirstKey if reader.peek() == Some(b'}') => reader.close()?,
            Next::FirstKey => reader.key("a key or `}`")?,
            Next::Key => reader.key("a key")?,
            Next::After if reader.builder.inside().is_none() => return reader.end(),
            Next::After => reader.after()?,
        };
    }
}

/// What the grammar takes next.
enum Next {
    Value,
    FirstItem,
    FirstKey,
    Key,
    After,
}

struct Reader<'r, 's> {
    source: &'r str,
    bytes: &'r [u8],
    at: usize,
    builder: &'r mut Builder<'s>,
}

impl Reader<'_, '_> {
    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn skip_space(&mut self) {
        while let Some(b' ' | b'\t' | b'\n' | b'\r') = self.peek() {
            self.at += 1;
        }
    }

    fn value(&mut self, expected: &str) -> Outcome<Next> {
        let at = self.at;
        match self.peek() {
            Some(b'{') => {
                self.at += 1;
                self.builder.open(Tag::Mapping, at, 0)?;
                return Ok(Next::FirstKey);
            }
            Some(b'[') => {
                self.at += 1;
                self.builder.open(Tag::Sequence, at, 0)?;
                return Ok(Next::FirstItem);
            }
            Some(b'"') => {
                let text = self.string()?;
                self.scalar(Tag::String, text, at)?;
            }
            Some(b'-' | b'0'..=b'9') => {
                self.number()?;
                let text = self.builder.borrowed(at, self.at - at);
                self.scalar(Tag::Number, text, at)?;
            }
            _ => self.word(expected)?,
        }
        Ok(Next::After)
    }

    fn scalar(&mut self, tag: Tag, text: Slice, at: usize) -> Outcome {
        self.builder.scalar(Scalar { tag, text, at, width: self.at - at }, 0)
    }

    fn word(&mut self, expected: &str) -> Outcome {
        let rest = &self.bytes[self.at..];
        let len = rest.iter().take_while(|byte| byte.is_ascii_alphanumeric()).count();
        let tag = match &rest[..len] {
            b"null" => Tag::Null,
            b"true" => Tag::True,
            b"false" => Tag::False,
            _ => return Err(self.unexpected(expected)),
        };
        let at = self.at;
        self.at += len;
        let text = self.builder.borrowed(at, len);
        self.scalar(tag, text, at)
    }

    fn key(&mut self, expected: &str) -> Outcome<Next> {
        let at = self.at;
        if self.peek() != Some(b'"') {
            return Err(self.unexpected(expected));
        }
        let text = self.string()?;
        let scalar = Scalar { tag: Tag::String, text, at, width: self.at - at };
        self.skip_space();
        if self.peek() != Some(b':') {
            return Err(self.unexpected("`:` after the key"));
        }
        self.at += 1;
        self.builder.key(scalar, Merge::Never, 0)?;
        Ok(Next::Value)
    }

    /// What follows a value inside of a sequence or mapping.
    fn after(&mut self) -> Outcome<Next> {
        let mapping = self.builder.inside() == Some(Tag::Mapping);
        match (self.peek(), mapping) {
            (Some(b'}'), true) | (Some(b']'), false) => self.close(),
            (Some(b','), _) => {
                let comma = self.at;
                self.at += 1;
                self.skip_space();
                if matches!(self.peek(), Some(b'}' | b']')) {
                    let hint = "take the comma away".into();
                    return Err(self.wrong(comma, 1, "a comma comes after the last entry", hint));
                }
                Ok(if mapping { Next::Key } else { Next::Value })
            }
            (_, true) => Err(self.unexpected("`,` or `}`")),
            (_, false) => Err(self.unexpected("`,` or `]`")),
        }
    }

    fn close(&mut self) -> Outcome<Next> {
        self.at += 1;
        self.builder.close()?;
        Ok(Next::After)
    }

    fn end(&mut self) -> Outcome {
        match self.peek() {
            None => Ok(()),
            Some(_) => Err(self.unexpected("the end of the text")),
        }
    }

    /// RFC 8259, 6.
    fn number(&mut self) -> Outcome {
        let start = self.at;
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        let first = self.peek();
        if self.digits("a digit")? > 1 && first == Some(b'0') {
            let hint = "take the zeros away, or quote the value".into();
            return Err(self.wrong(start, self.at - start, "a number starts with a zero", hint));
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.digits("a digit after the point")?;
        }
        if let Some(b'e' | b'E') = self.peek() {
            self.at += 1;
            if let Some(b'+' | b'-') = self.peek() {
                self.at += 1;
            }
            self.digits("a digit of the exponent")?;
        }
        Ok(())
    }

    fn digits(&mut self, expected: &str) -> Outcome<usize> {
        let start = self.at;
        while let Some(b'0'..=b'9') = self.peek() {
            self.at += 1;
        }
        if self.at == start {
            return Err(self.unexpected(expected));
        }
        Ok(self.at - start)
    }

    /// RFC 8259, 7. Text without escapes stays in the source.
    fn string(&mut self) -> Outcome<Slice> {
        let open = self.at;
        self.at += 1;
        let start = self.at;
        if self.plain_end(open)? == b'"' {
            let text = self.builder.borrowed(start, self.at - start);
            self.at += 1;
            return Ok(text);
        }
        let mut text = String::new();
        let mut from = start;
        loop {
            text.push_str(&self.source[from..self.at]);
            if self.peek() == Some(b'"') {
                self.at += 1;
                return Ok(self.builder.pooled(&text));
            }
            text.push(self.escape()?);
            from = self.at;
            self.plain_end(open)?;
        }
    }

    /// Goes on to the quote or backslash that ends a stretch of plain text.
    fn plain_end(&mut self, open: usize) -> Outcome<u8> {
        loop {
            match self.peek() {
                Some(byte @ (b'"' | b'\\')) => return Ok(byte),
                Some(0x20..) => self.at += 1,
                Some(b'\n' | b'\r') | None => {
                    let width = self.at - open;
                    let hint = "close the string with `\"`; a line break in it is written `\\n`".into();
                    return Err(self.wrong(open, width, "the string is not closed in its line", hint));
                }
                Some(byte) => {
                    let message = format!("the character U+{byte:04X} stands in a string");
                    let hint = Hint::Text(format!("write it as `\\u{byte:04x}`"));
                    return Err(self.wrong(self.at, 1, message, hint));
                }
            }
        }
    }

    fn escape(&mut self) -> Outcome<char> {
        let start = self.at;
        let escaped = self.bytes.get(start + 1).copied();
        self.at += 2;
        Ok(match escaped {
            Some(byte @ (b'"' | b'\\' | b'/')) => byte as char,
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{c}',
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b't') => '\t',
            Some(b'u') => return self.unicode(start),
            _ => {
                let shown = self.source[start + 1..].chars().next().map_or(String::new(), String::from);
                let message = format!("`\\{}` is no escape of JSON", shorten(&shown));
                return Err(self.wrong(start, 2, message, "write `\\\\` for a backslash".into()));
            }
        })
    }

    /// `\uXXXX`, or two of them where the first is half of a pair.
    fn unicode(&mut self, start: usize) -> Outcome<char> {
        let high = self.hex(start)?;
        let mut code = high;
        if (0xD800..0xDC00).contains(&high) && self.bytes[self.at..].starts_with(b"\\u") {
            self.at += 2;
            let low = self.hex(start + 6)?;
            if (0xDC00..0xE000).contains(&low) {
                code = 0x10000 + ((high - 0xD800) << 10) + (low - 0xDC00);
            }
        }
        char::from_u32(code).ok_or_else(|| {
            let message = format!("`\\u{high:04x}` is half of a surrogate pair");
            let hint = "write both halves, or the character itself".into();
            self.wrong(start, 6, message, hint)
        })
    }

    fn hex(&mut self, start: usize) -> Outcome<u32> {
        let digits = self.bytes.get(self.at..self.at + 4).unwrap_or_default();
        if digits.len() < 4 || !digits.iter().all(u8::is_ascii_hexdigit) {
            return Err(self.wrong(start, 2, "`\\u` needs four hexadecimal digits", Hint::None));
        }
        self.at += 4;
        Ok(digits.iter().fold(0, |sum, &digit| sum * 16 + (digit as char).to_digit(16).unwrap_or(0)))
    }

    fn unexpected(&self, expected: &str) -> Box<Finding> {
        let Some(found) = self.source.get(self.at..).and_then(|rest| rest.chars().next()) else {
            let message = format!("the text ends where {expected} is due");
            return self.wrong(self.at, 0, message, Hint::None);
        };
        let word: String =
            self.source[self.at..].chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
        let shown = if word.is_empty() { found.to_string() } else { word };
        let hint = match found {
            '\'' => "JSON takes double quotes".into(),
            '/' | '#' => "JSON has no comments".into(),
            '"' => "a comma may be missing before it".into(),
            '+' | '.' => "a JSON number starts with a digit or `-`".into(),
            _ if matches!(shown.as_str(), "True" | "False" | "None" | "Null" | "NULL" | "TRUE" | "FALSE") => {
                "JSON has `true`, `false` and `null`".into()
            }
            _ if matches!(shown.as_str(), "NaN" | "Infinity" | "undefined") => {
                "JSON has no such value; `null` may do".into()
            }
            _ if found.is_alphabetic() => "put text between double quotes".into(),
            _ => Hint::None,
        };
        let message = format!("found `{}` where {expected} is due", shorten(&shown));
        self.wrong(self.at, shown.len(), message, hint)
    }

    fn wrong(&self, at: usize, width: usize, message: impl Into<String>, hint: Hint) -> Box<Finding> {
        self.builder.error(UNREADABLE, at, width, message, hint)
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Limits, Tree};

    #[track_caller]
    fn check(text: &str, expected: &str) {
        let outcome = match Tree::parse("t.json", text.to_owned(), &Limits::default()) {
            Ok((tree, _)) => {
                let mut json = String::new();
                tree.root().write_json(&mut json);
                json
            }
            Err(error) => error.to_string(),
        };
        assert_eq!(outcome, expected);
    }

    #[test]
    fn every_kind_of_value_is_read() {
        check(
            " { \"a\" : [ 1 , -2.50e+3 , true , false , null , \"x\" , { } , [ ] ] } \r\n",
            r#"{"a":[1,-2.50e+3,true,false,null,"x",{},[]]}"#,
        );
    }

    #[test]
    fn a_scalar_is_a_document() {
        check("\"x\"", "\"x\"");
    }

    #[test]
    fn numbers_are_kept_as_they_are_written() {
        check(
            "[1.50,0,-0,1E5,123456789012345678901234567890]",
            "[1.50,0,-0,1E5,123456789012345678901234567890]",
        );
    }

    #[test]
    fn escapes_are_undone() {
        check(r#""\u0041\/\\\"\b\f\n\r\t\u00e9""#, r#""A/\\\"\b\f\n\r\té""#);
    }

    #[test]
    fn surrogate_pairs_are_one_character() {
        check(r#""a\ud83d\ude00b""#, "\"a😀b\"");
    }

    #[test]
    fn a_lone_high_surrogate_is_refused() {
        check(
            r#"["\ud83d"]"#,
            "t.json:1:3: `\\ud83d` is half of a surrogate pair; write both halves, or the character itself",
        );
    }

    #[test]
    fn a_lone_low_surrogate_is_refused() {
        check(
            r#""\ude00""#,
            "t.json:1:2: `\\ude00` is half of a surrogate pair; write both halves, or the character itself",
        );
    }

    #[test]
    fn two_high_surrogates_are_refused() {
        check(
            r#""\ud83d\ud83d""#,
            "t.json:1:2: `\\ud83d` is half of a surrogate pair; write both halves, or the character itself",
        );
    }

    #[test]
    fn escaped_keys_are_equal_to_plain_ones() {
        let text = r#"{"a":1,"\u0061":2}"#.to_owned();
        let found = Tree::parse("t.json", text, &Limits::default()).map(|(_, found)| found[0].to_string());
        assert_eq!(
            found.ok().as_deref(),
            Some("t.json:1:8: duplicate key `a`; the one in line 1 counts, this one is left out")
        );
    }

    #[test]
    fn a_merge_key_is_text_in_json() {
        check(r#"{"<<":{"a":1}}"#, r#"{"<<":{"a":1}}"#);
    }

    #[test]
    fn a_trailing_comma_is_refused() {
        check("{\"a\": 1,\n}", "t.json:1:8: a comma comes after the last entry; take the comma away");
    }

    #[test]
    fn a_comment_is_refused() {
        check("{ // x\n}", "t.json:1:3: found `/` where a key or `}` is due; JSON has no comments");
    }

    #[test]
    fn single_quotes_are_refused() {
        check("['a']", "t.json:1:2: found `'` where a value or `]` is due; JSON takes double quotes");
    }

    #[test]
    fn an_open_string_is_refused() {
        check(
            "{\"a\": \"b\n}",
            "t.json:1:7: the string is not closed in its line; \
             close the string with `\"`; a line break in it is written `\\n`",
        );
    }

    #[test]
    fn a_missing_comma_is_refused() {
        check(
            "{\"a\": 1 \"b\": 2}",
            "t.json:1:9: found `\"` where `,` or `}` is due; a comma may be missing before it",
        );
    }

    #[test]
    fn a_missing_colon_is_refused() {
        check("{\"a\" 1}", "t.json:1:6: found `1` where `:` after the key is due");
    }

    #[test]
    fn text_after_the_value_is_refused() {
        check(
            "{} x",
            "t.json:1:4: found `x` where the end of the text is due; put text between double quotes",
        );
    }

    #[test]
    fn an_end_in_the_middle_is_refused() {
        check("{\"a\": [1", "t.json:1:9: the text ends where `,` or `]` is due");
    }

    #[test]
    fn mismatched_brackets_are_refused() {
        check("[1}", "t.json:1:3: found `}` where `,` or `]` is due");
    }

    #[test]
    fn a_control_character_in_a_string_is_refused() {
        check("\"a\u{1}\"", "t.json:1:3: the character U+0001 stands in a string; write it as `\\u0001`");
    }

    #[test]
    fn nul_is_refused() {
        check("[\0]", "t.json:1:2: found ` ` where a value or `]` is due");
    }

    #[test]
    fn an_unknown_escape_is_refused() {
        check(r#""\x""#, "t.json:1:2: `\\x` is no escape of JSON; write `\\\\` for a backslash");
    }

    #[test]
    fn an_escape_cut_short_is_refused() {
        check("\"\\u00", "t.json:1:2: `\\u` needs four hexadecimal digits");
        check("\"\\", "t.json:1:2: `\\` is no escape of JSON; write `\\\\` for a backslash");
    }

    #[test]
    fn an_escape_of_a_wide_character_is_refused() {
        check("\"\\€\"", "t.json:1:2: `\\€` is no escape of JSON; write `\\\\` for a backslash");
        check("\"\\u0€\"", "t.json:1:2: `\\u` needs four hexadecimal digits");
    }

    #[test]
    fn leading_zeros_are_refused() {
        check("[007]", "t.json:1:2: a number starts with a zero; take the zeros away, or quote the value");
    }

    #[test]
    fn half_numbers_are_refused() {
        check("[1.]", "t.json:1:4: found `]` where a digit after the point is due");
        check("[-]", "t.json:1:3: found `]` where a digit is due");
        check("1e", "t.json:1:3: the text ends where a digit of the exponent is due");
    }

    #[test]
    fn words_of_other_languages_are_refused() {
        check(
            "[True]",
            "t.json:1:2: found `True` where a value or `]` is due; JSON has `true`, `false` and `null`",
        );
        check("NaN", "t.json:1:1: found `NaN` where a value is due; JSON has no such value; `null` may do");
    }

    #[test]
    fn an_empty_text_is_refused() {
        check(" \n", "t.json:1:1: the document is empty");
    }

    #[test]
    fn an_error_has_its_pointer() {
        let text = r#"{"a": [{"b/c": 1}, {"b/c": x}]}"#.to_owned();
        let error = Tree::parse("t.json", text, &Limits::default()).err();
        let pointer = error.and_then(|error| error.place).map(|place| place.pointer);
        assert_eq!(pointer.as_deref(), Some("/a/1/b~1c"));
    }
}
