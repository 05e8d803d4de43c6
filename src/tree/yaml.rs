//! YAML by the events of `granit-parser`, with the core schema for plain scalars.

use std::borrow::Cow;

use granit_parser::{ErrorKind, Event, Parser, ScalarStyle, ScanError, Span, Tag as Property};

use super::build::{Builder, Finding, Hint, Merge, Outcome, Scalar, Slice, Tag, shorten};
use super::{EMPTY, Limits, SEVERAL, UNREADABLE};

pub(super) fn read(source: &str, limits: &Limits, builder: &mut Builder<'_>) -> Outcome {
    refuse_forbidden(source, builder)?;
    // One more than the limit, so that it is the builder that complains, with a pointer.
    let depth = limits.depth.saturating_add(1);
    let mut options = granit_parser::options! {
        flow_nesting_limit: depth,
        block_nesting_limit: depth,
        emit_unresolved_aliases: true,
    };
    options.set_emit_comments(false);
    let mut reader = Reader { source, builder, documents: 0, values: 0 };
    for event in Parser::new_from_str_with_options(source, options) {
        let (event, span) = event.map_err(|error| reader.scan_error(&error))?;
        if let Stream::Enough = reader.event(event, span)? {
            break;
        }
    }
    match reader.values {
        0 => Err(reader.builder.error(UNREADABLE, 0, 0, EMPTY, Hint::None)),
        _ => Ok(()),
    }
}

/// YAML 1.2.2, 5.1: what may stand in a text at all.
fn refuse_forbidden(source: &str, builder: &Builder<'_>) -> Outcome {
    let suspect = |&(_, byte): &(usize, u8)| match byte {
        b'\t' | b'\n' | b'\r' => false,
        0..0x20 | 0x7F | 0xC2 | 0xEF => true,
        _ => false,
    };
    for (at, _) in source.bytes().enumerate().filter(suspect) {
        let Some(found) = source.get(at..).and_then(|rest| rest.chars().next()) else { continue };
        if matches!(found, '\0'..='\x1f' | '\x7f'..='\u{84}' | '\u{86}'..='\u{9f}' | '\u{fffe}' | '\u{ffff}')
        {
            let message = format!("the character U+{:04X} may not stand in YAML", found as u32);
            let hint = "take it away, or escape it between double quotes".into();
            return Err(builder.error(UNREADABLE, at, found.len_utf8(), message, hint));
        }
    }
    Ok(())
}

/// Whether to go on with the events.
enum Stream {
    More,
    Enough,
}

struct Reader<'r, 's> {
    source: &'r str,
    builder: &'r mut Builder<'s>,
    documents: usize,
    /// Events that stand for a value and were not empty.
    values: usize,
}

impl Reader<'_, '_> {
    fn event(&mut self, event: Event<'_>, span: Span) -> Outcome<Stream> {
        let (at, width) = self.stretch(span);
        match event {
            Event::DocumentStart(..) => {
                self.documents += 1;
                if self.documents > 1 {
                    let message = "a second document starts here; only the first one is read".to_owned();
                    let hint = "put it into a file of its own".into();
                    self.builder.warn(SEVERAL, at, width, message, hint);
                    return Ok(Stream::Enough);
                }
            }
            Event::Alias(anchor) => self.builder.alias(anchor, at, width)?,
            Event::UnresolvedAlias(_) => return Err(self.builder.unknown_alias(at, width)),
            Event::Scalar(text, style, anchor, tag) => {
                self.values += usize::from(width > 0);
                self.scalar(&text, style, anchor, tag.as_deref(), at, width)?;
            }
            Event::SequenceStart(_, anchor, _) => {
                self.values += 1;
                self.builder.open(Tag::Sequence, at, anchor)?;
            }
            Event::MappingStart(_, anchor, _) => {
                self.values += 1;
                self.builder.open(Tag::Mapping, at, anchor)?;
            }
            Event::SequenceEnd | Event::MappingEnd => self.builder.close()?,
            _ => {}
        }
        Ok(Stream::More)
    }

    fn scalar(
        &mut self,
        text: &str,
        style: ScalarStyle,
        anchor: usize,
        property: Option<&Property>,
        at: usize,
        width: usize,
    ) -> Outcome {
        let written = self.slice(text);
        let plain = style == ScalarStyle::Plain;
        if self.builder.wants_key() {
            let merge = if plain && property.is_none() { Merge::Allowed } else { Merge::Never };
            return self.builder.key(Scalar { tag: Tag::String, text: written, at, width }, merge, anchor);
        }
        let wanted = property.and_then(wanted);
        let resolved = match wanted {
            Some(Wanted::String) => Resolved::String,
            None if !plain => Resolved::String,
            _ => resolve(text),
        };
        if let Some(wanted) = wanted.filter(|wanted| !wanted.allows(&resolved)) {
            let message = format!("`{}` is no {}; it is read as text", shorten(text), wanted.name());
            self.builder.warn(UNREADABLE, at, width, message, "take the tag away".into());
            return self.builder.scalar(Scalar { tag: Tag::String, text: written, at, width }, anchor);
        }
        let (tag, text) = match resolved {
            Resolved::Null => (Tag::Null, written),
            Resolved::Bool(true) => (Tag::True, written),
            Resolved::Bool(false) => (Tag::False, written),
            Resolved::String => (Tag::String, written),
            Resolved::Integer(number) | Resolved::Float(number) if number == text => (Tag::Number, written),
            Resolved::Integer(number) | Resolved::Float(number) => {
                (Tag::Number, self.builder.pooled(&number))
            }
        };
        self.builder.scalar(Scalar { tag, text, at, width }, anchor)
    }

    /// The text as a stretch of the source where it is one: the parser lends it in that case.
    fn slice(&mut self, text: &str) -> Slice {
        let offset = (text.as_ptr() as usize).wrapping_sub(self.source.as_ptr() as usize);
        match self.source.len().checked_sub(text.len()) {
            Some(last) if offset <= last => self.builder.borrowed(offset, text.len()),
            _ => self.builder.pooled(text),
        }
    }

    fn stretch(&self, span: Span) -> (usize, usize) {
        let end = self.source.len();
        let range = span.byte_range().unwrap_or(0..0);
        let at = range.start.min(end);
        (at, range.end.min(end).saturating_sub(at))
    }

    fn scan_error(&self, error: &ScanError) -> Box<Finding> {
        let at = error.marker().byte_offset().unwrap_or(0).min(self.source.len());
        if *error.kind() == ErrorKind::RecursionLimitExceeded {
            return self.builder.too_deep(at);
        }
        let (message, hint) = explain(error.kind());
        let hint = if is_template_near(self.source, at) {
            "quote the value if `{{` is a template, as in \"{{ request.body }}\"".into()
        } else if is_tab_indented(self.source, at) {
            "indent with spaces; YAML takes no tabs there".into()
        } else {
            hint.map_or(Hint::None, Hint::from)
        };
        self.builder.error(UNREADABLE, at, 1, message, hint)
    }
}

/// What the parser found, in our words where it is something that people often write.
fn explain(kind: &ErrorKind) -> (String, Option<&'static str>) {
    let (message, hint) = match kind {
        ErrorKind::TabNotAllowed
        | ErrorKind::TabInBlockIndentation
        | ErrorKind::TabInIndentation
        | ErrorKind::TabAtBlockScalarStart => {
            ("a tab stands in the indentation", Some("indent with spaces; YAML takes no tabs there"))
        }
        ErrorKind::UnclosedQuotedScalar | ErrorKind::DocumentIndicatorInQuotedScalar => {
            ("the quoted text is not closed", Some("a quote may be missing at its end"))
        }
        ErrorKind::InvalidTrailingDoubleQuotedScalar | ErrorKind::InvalidTrailingSingleQuotedScalar => {
            ("text comes after the closing quote", Some("quote the whole value, and escape quotes inside"))
        }
        ErrorKind::MappingValueNotAllowed | ErrorKind::InvalidColonPlacement => {
            ("a `:` stands where no key can be", Some("quote the value if the `:` is part of its text"))
        }
        ErrorKind::SimpleKeyExpected | ErrorKind::ExpectedBlockMappingKey => {
            ("a key with `:` is due here", Some("look at the indentation, and for a missing `:` or quote"))
        }
        ErrorKind::ExpectedBlockSequenceEntry => {
            ("an item with `-` is due here", Some("look at the indentation"))
        }
        ErrorKind::InvalidIndentation | ErrorKind::BlockSequenceEntryNotAllowed => {
            ("the indentation does not fit what is above", Some("look at the spaces before it"))
        }
        ErrorKind::UnclosedFlowCollection { open } => {
            return (format!("`{open}` is not closed"), Some("a bracket may be missing"));
        }
        ErrorKind::UnexpectedCharacter { character } => {
            let message = format!("a value can't start with `{}`", shorten(&character.to_string()));
            return (message, Some("quote the value"));
        }
        ErrorKind::UnknownQuotedScalarEscape => {
            ("the escape is not known between double quotes", Some("write `\\\\`, or use single quotes"))
        }
        _ => {
            let message = kind.to_string();
            let mut characters = message.chars();
            let first: String = characters.next().into_iter().flat_map(char::to_lowercase).collect();
            return (first + characters.as_str(), None);
        }
    };
    (message.to_owned(), hint)
}

/// Whether the line of an offset or the one before has a value that starts with an unquoted `{{`.
fn is_template_near(source: &str, at: usize) -> bool {
    let before = &source.as_bytes()[..at];
    let start = before.iter().rposition(|&byte| byte == b'\n').unwrap_or(0);
    let start = before[..start].iter().rposition(|&byte| byte == b'\n').unwrap_or(0);
    source[start..].lines().take(3).any(|line| {
        line.find("{{").is_some_and(|brace| {
            let before = line[..brace].trim_end();
            before.is_empty() || before.ends_with([':', '-'])
        })
    })
}

fn is_tab_indented(source: &str, at: usize) -> bool {
    let start = source.as_bytes()[..at].iter().rposition(|&byte| byte == b'\n').map_or(0, |end| end + 1);
    source[start..].trim_start_matches(' ').starts_with('\t')
}

/// A type that a tag asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wanted {
    String,
    Integer,
    Float,
    Bool,
    Null,
}

fn wanted(tag: &Property) -> Option<Wanted> {
    if tag.original() == "!" {
        return Some(Wanted::String);
    }
    match tag.core_suffix()? {
        "str" => Some(Wanted::String),
        "int" => Some(Wanted::Integer),
        "float" => Some(Wanted::Float),
        "bool" => Some(Wanted::Bool),
        "null" => Some(Wanted::Null),
        _ => None,
    }
}

impl Wanted {
    fn allows(self, resolved: &Resolved<'_>) -> bool {
        matches!(
            (self, resolved),
            (Wanted::String, Resolved::String)
                | (Wanted::Integer, Resolved::Integer(_))
                | (Wanted::Float, Resolved::Integer(_) | Resolved::Float(_))
                | (Wanted::Bool, Resolved::Bool(_))
                | (Wanted::Null, Resolved::Null)
        )
    }

    fn name(self) -> &'static str {
        match self {
            Wanted::String => "string",
            Wanted::Integer => "integer",
            Wanted::Float => "number",
            Wanted::Bool => "boolean",
            Wanted::Null => "null",
        }
    }
}

/// What a plain scalar means. Numbers are JSON's way to write them.
#[derive(Debug, PartialEq, Eq)]
enum Resolved<'t> {
    Null,
    Bool(bool),
    Integer(Cow<'t, str>),
    Float(Cow<'t, str>),
    String,
}

/// YAML 1.2.2, 10.3.2, less the infinities and NaN, which JSON lacks and which stay text.
fn resolve(text: &str) -> Resolved<'_> {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Resolved::Null,
        "true" | "True" | "TRUE" => return Resolved::Bool(true),
        "false" | "False" | "FALSE" => return Resolved::Bool(false),
        _ => {}
    }
    match text.as_bytes() {
        [b'0', b'o', digits @ ..] => radix(text, digits, 8),
        [b'0', b'x', digits @ ..] => radix(text, digits, 16),
        [b'0'..=b'9' | b'+' | b'-' | b'.', ..] => decimal(text),
        _ => Resolved::String,
    }
}

/// Octal and hexadecimal; what is beyond 128 bits stays text, since no reader of JSON would take it.
fn radix<'t>(text: &str, digits: &[u8], radix: u32) -> Resolved<'t> {
    if !digits.iter().all(|&digit| (digit as char).is_digit(radix)) {
        return Resolved::String;
    }
    u128::from_str_radix(&text[2..], radix)
        .map_or(Resolved::String, |number| Resolved::Integer(number.to_string().into()))
}

fn decimal(text: &str) -> Resolved<'_> {
    let unsigned = text.trim_start_matches(['+', '-']);
    if text.len() - unsigned.len() > 1 {
        return Resolved::String;
    }
    let (whole, rest) = unsigned.split_at(digits(unsigned));
    let (fraction, exponent) = match rest.strip_prefix('.') {
        Some(rest) => {
            let (fraction, exponent) = rest.split_at(digits(rest));
            (Some(fraction), exponent)
        }
        None => (None, rest),
    };
    if whole.is_empty() && fraction.is_none_or(str::is_empty) {
        return Resolved::String;
    }
    if let Some(power) = exponent.strip_prefix(['e', 'E']) {
        let power = power.strip_prefix(['+', '-']).unwrap_or(power);
        if power.is_empty() || digits(power) < power.len() {
            return Resolved::String;
        }
    } else if !exponent.is_empty() {
        return Resolved::String;
    }
    let significant = whole.trim_start_matches('0');
    let minimal = if significant.is_empty() { "0" } else { significant };
    let number = if whole == minimal && fraction != Some("") && !text.starts_with('+') {
        Cow::Borrowed(text)
    } else {
        let sign = if text.starts_with('-') { "-" } else { "" };
        let fraction = fraction.map(|digits| if digits.is_empty() { "0" } else { digits });
        let point = if fraction.is_some() { "." } else { "" };
        Cow::Owned([sign, minimal, point, fraction.unwrap_or_default(), exponent].concat())
    };
    match (fraction, exponent) {
        (None, "") => Resolved::Integer(number),
        _ => Resolved::Float(number),
    }
}

fn digits(text: &str) -> usize {
    text.bytes().take_while(u8::is_ascii_digit).count()
}

#[cfg(test)]
mod tests {
    use super::super::Tree;
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &str) {
        let outcome = match Tree::parse("t.yaml", text.to_owned(), &Limits::default()) {
            Ok((tree, _)) => {
                let mut json = String::new();
                tree.root().write_json(&mut json);
                json
            }
            Err(error) => error.to_string(),
        };
        assert_eq!(outcome, expected);
    }

    #[track_caller]
    fn hint(text: &str, expected: &str) {
        let error = Tree::parse("t.yaml", text.to_owned(), &Limits::default()).err();
        let hint = error.and_then(|error| error.hint).unwrap_or_default();
        assert_eq!(hint, expected);
    }

    #[test]
    fn blocks_and_flows_are_read() {
        check("a:\n  - b: 1\n    c: [x, {y: z}]\n  - - d\n", r#"{"a":[{"b":1,"c":["x",{"y":"z"}]},["d"]]}"#);
    }

    #[test]
    fn nulls_follow_the_core_schema() {
        check("[null, Null, NULL, ~, nULL]\n", r#"[null,null,null,null,"nULL"]"#);
        check("a:\nb: ", r#"{"a":null,"b":null}"#);
    }

    #[test]
    fn booleans_follow_the_core_schema() {
        check(
            "[true, True, TRUE, false, False, FALSE, tRUE]",
            r#"[true,true,true,false,false,false,"tRUE"]"#,
        );
    }

    #[test]
    fn yes_and_no_are_text() {
        check("[yes, no, on, off, y, n]", r#"["yes","no","on","off","y","n"]"#);
    }

    #[test]
    fn integers_follow_the_core_schema() {
        check("[1, +1, -1, 007, -007, 0, 00, -0]", "[1,1,-1,7,-7,0,0,-0]");
        check("[0x1F, 0o17, 0xffffffffffffffff]", "[31,15,18446744073709551615]");
    }

    #[test]
    fn what_only_looks_like_an_integer_is_text() {
        check(
            "[0b1, 1_000, 0x, 0o8, 0xG, -0x1, +, -, --1, 1-2, 0X1]".replace("-, --1", "+-1, --1").as_str(),
            r#"["0b1","1_000","0x","0o8","0xG","-0x1","+","+-1","--1","1-2","0X1"]"#,
        );
    }

    #[test]
    fn floats_are_kept_as_precise_as_written() {
        check(
            "[1.50, .5, 1., -.5, +1.5, 1e3, 1.E+3, 00.5, 3.10]",
            "[1.50,0.5,1.0,-0.5,1.5,1e3,1.0E+3,0.5,3.10]",
        );
    }

    #[test]
    fn what_only_looks_like_a_float_is_text() {
        check(
            "[1.2.3, 1e, e3, ., 1e+, 2020-01-01, 1:30]",
            r#"["1.2.3","1e","e3",".","1e+","2020-01-01","1:30"]"#,
        );
    }

    #[test]
    fn infinities_and_nan_are_text() {
        check("[.inf, -.inf, +.INF, .nan]", r#"[".inf","-.inf","+.INF",".nan"]"#);
    }

    #[test]
    fn integers_beyond_any_machine_word_are_kept() {
        check("123456789012345678901234567890", "123456789012345678901234567890");
    }

    #[test]
    fn quoted_scalars_are_text() {
        check("['1', \"true\", 'it''s', \"a\\tb\\u00e9\\ud83d\\ude00\"]", r#"["1","true","it's","a\tbé😀"]"#);
    }

    #[test]
    fn block_scalars_are_text() {
        check("a: |\n  1\n  2\nb: >-\n  x\n  y\n", r#"{"a":"1\n2\n","b":"x y"}"#);
    }

    #[test]
    fn plain_scalars_fold_over_lines() {
        check("a: b\n  c\n", r#"{"a":"b c"}"#);
    }

    #[test]
    fn tags_of_the_core_schema_are_honoured() {
        check(
            "[!!str 1, !!int '2', !!float 3, !!bool 'true', !!null '', ! 4, !!str ]",
            r#"["1",2,3,true,null,"4",""]"#,
        );
    }

    #[test]
    fn other_tags_are_ignored() {
        check("[!mine 1, !mine {a: !other b}, !!binary aGk=]", r#"[1,{"a":"b"},"aGk="]"#);
    }

    #[test]
    fn a_tag_that_does_not_fit_is_told() {
        let (_, found) = Tree::parse("t", "a: !!int x".into(), &Limits::default()).expect("it is readable");
        let found: Vec<_> = found.iter().map(ToString::to_string).collect();
        assert_eq!(found, ["t:1:10: `x` is no integer; it is read as text; take the tag away"]);
    }

    #[test]
    fn keys_become_text_as_written() {
        check(
            "200: a\ntrue: b\nnull: c\n1.50: d\n~: e\n0x1F: f\n",
            r#"{"200":"a","true":"b","null":"c","1.50":"d","~":"e","0x1F":"f"}"#,
        );
    }

    #[test]
    fn a_byte_order_mark_is_skipped() {
        check("\u{feff}a: 1", r#"{"a":1}"#);
    }

    #[test]
    fn line_breaks_of_windows_are_read() {
        check("a: 1\r\nb: |\r\n  x\r\n", r#"{"a":1,"b":"x\n"}"#);
    }

    #[test]
    fn an_empty_text_is_refused() {
        check("", "t.yaml:1:1: the document is empty");
    }

    #[test]
    fn a_text_of_comments_is_refused() {
        check("# a\n# b\n", "t.yaml:1:1: the document is empty");
        check("---\n# b\n", "t.yaml:1:1: the document is empty");
    }

    #[test]
    fn forbidden_characters_are_refused() {
        check(
            "a: x\0y",
            "t.yaml:1:5: the character U+0000 may not stand in YAML; \
             take it away, or escape it between double quotes",
        );
        check(
            "a: é\u{9f}",
            "t.yaml:1:5: the character U+009F may not stand in YAML; \
             take it away, or escape it between double quotes",
        );
    }

    #[test]
    fn only_the_first_document_counts() {
        let (tree, found) =
            Tree::parse("t", "a: 1\n---\nb: [".into(), &Limits::default()).expect("it is readable");
        let found: Vec<_> = found.iter().map(|w| format!("{} {w}", w.code.0)).collect();
        assert_eq!(tree.root().to_json(), serde_json::json!({"a": 1}));
        assert_eq!(
            found,
            ["SI0005 t:2:1: a second document starts here; only the first one is read; \
              put it into a file of its own"]
        );
    }

    #[test]
    fn a_text_like_json_may_still_be_yaml() {
        check("{a: 1, # one\n}", r#"{"a":1}"#);
    }

    #[test]
    fn tabs_as_indentation_get_their_hint() {
        hint("a:\n\tb: 1\n", "indent with spaces; YAML takes no tabs there");
    }

    #[test]
    fn a_missing_quote_gets_its_hint() {
        hint("a: \"b\nc: 1\n", "a quote may be missing at its end");
    }

    #[test]
    fn a_template_without_quotes_gets_its_hint() {
        hint("a: {{ b }} c\nd: 1\n", "quote the value if `{{` is a template, as in \"{{ request.body }}\"");
    }

    #[test]
    fn a_colon_in_a_value_gets_its_hint() {
        hint("a: b: c\n", "quote the value if the `:` is part of its text");
    }

    #[test]
    fn a_reserved_character_gets_its_hint() {
        check("a: @b", "t.yaml:1:4: a value can't start with `@`; quote the value");
    }

    #[test]
    fn an_open_bracket_is_refused() {
        check("a: [1, 2\n", "t.yaml:1:4: `[` is not closed; a bracket may be missing");
    }
}
