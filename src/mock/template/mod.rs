//! `{{ }}`: parsed at load, rendered later.
//!
//! A [`Template`] is literal text and expressions. What an expression brings in is escaped for
//! the place where it stands and is never parsed again. The language is that of Microcks'
//! templates, told in `expression.rs`.
//!
//! Where an expression opens: at `{{`, in a run of more braces at the last two, so that
//! `{{{uuid()}}}` is a brace, an identifier and a brace.

use std::fmt::{self, Write};
use std::ops::BitOr;

use super::message::Context;
use super::sink::Place;

pub(in crate::mock) use expression::Expression;
pub(in crate::mock) use function::shortened;
pub(in crate::mock) use pointer::Pointer;
pub(in crate::mock) use reference::{Asked, header};
pub(in crate::mock) use value::Value;

pub mod saved;

mod expression;

mod function;

mod date;

mod reference;

mod pointer;

mod value;

#[cfg(test)]
pub(in crate::mock) mod sample;

/// Where a template stands: decides how its values are escaped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// Values are brought in as they are.
    Text,
    /// JSON text: values are escaped inside a string, and are JSON outside of one.
    Json,
    /// Control characters never pass.
    Header,
}

/// Text with expressions in it, ready to be rendered.
#[derive(Debug, Clone)]
pub struct Template {
    parts: Box<[Part]>,
    /// Made from the text, so that two templates of one moment draw different chance.
    salt: u64,
}

/// Builds a template piece by piece: what a tree of values is written into.
#[derive(Debug)]
pub struct Builder {
    parts: Vec<Part>,
    salt: u64,
}

/// What a template or a URL looks at beyond the request's head.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Needs {
    pub request_body: bool,
    /// Any header field of the request.
    pub request_headers: bool,
    /// Anything of the response: there is none while the response itself is rendered.
    pub response: bool,
    /// What time it is.
    pub now: bool,
}

/// Why a text does not parse: where, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}{}", .hint.as_ref().map(|hint| format!("; {hint}")).unwrap_or_default())]
pub struct Error {
    /// Bytes into the text.
    pub offset: usize,
    pub message: String,
    pub hint: Option<String>,
}

#[derive(Debug, Clone)]
enum Part {
    Literal(String),
    Expression(Expression, Place),
}

impl Template {
    /// Parses a text. JSON text is scanned, so that an expression knows whether it is inside a string.
    pub fn parse(text: &str, form: Form) -> Result<Template, Error> {
        let parts = match form {
            Form::Text => embedded(text, Place::Text),
            Form::Header => embedded(text, Place::Header),
            Form::Json => json(text),
        }?;
        let mut builder = Builder::new();
        builder.stir(text);
        builder.append(parts);
        Ok(builder.finish())
    }

    /// The whole text; none if any part is an expression.
    pub fn as_literal(&self) -> Option<&str> {
        match &*self.parts {
            [] => Some(""),
            [Part::Literal(text)] => Some(text),
            _ => None,
        }
    }

    /// The text before the first expression.
    pub(in crate::mock) fn beginning(&self) -> &str {
        match self.parts.first() {
            Some(Part::Literal(text)) => text,
            _ => "",
        }
    }

    /// Appends the text with its values. The same context renders the same bytes.
    pub fn render(&self, context: &Context<'_>, out: &mut String) {
        let mut chance = fastrand::Rng::with_seed(context.moment.seed ^ self.salt);
        for part in &self.parts {
            match part {
                Part::Literal(text) => out.push_str(text),
                Part::Expression(expression, place) => {
                    put(*place, expression.evaluate(context, &mut chance), out);
                }
            }
        }
    }

    /// Rendered into a text of its own.
    pub fn text(&self, context: &Context<'_>) -> String {
        let mut out = String::new();
        self.render(context, &mut out);
        out
    }

    /// Everything that its expressions refer to.
    pub(in crate::mock) fn asked(&self) -> impl Iterator<Item = Asked<'_>> {
        let expressions = self.parts.iter().filter_map(|part| match part {
            Part::Expression(expression, _) => Some(expression),
            Part::Literal(_) => None,
        });
        expressions.flat_map(Expression::asked)
    }

    pub fn needs(&self) -> Needs {
        self.parts.iter().fold(Needs::default(), |needs, part| match part {
            Part::Literal(_) => needs,
            Part::Expression(expression, _) => needs | expression.needs(),
        })
    }
}

impl Default for Builder {
    fn default() -> Self {
        Builder::new()
    }
}

impl Builder {
    pub fn new() -> Self {
        Builder { parts: Vec::new(), salt: 0xcbf2_9ce4_8422_2325 }
    }

    /// Syntax as it is.
    pub fn literal(&mut self, syntax: &str) {
        self.stir(syntax);
        self.push(syntax);
    }

    /// The inside of a JSON string, unescaped; its quotes are the caller's. If a `{{ }}` of it
    /// does not parse, all of it is kept as it stands.
    pub fn string(&mut self, text: &str) -> Result<(), Error> {
        self.text(text, Place::Quoted)
    }

    /// A text, to be escaped for its place; so is what its expressions come to. If a `{{ }}` of it does not
    /// parse, all of it is kept as it stands.
    pub(in crate::mock) fn text(&mut self, text: &str, place: Place) -> Result<(), Error> {
        self.stir(text);
        match embedded(text, place) {
            Ok(parts) => {
                self.append(parts);
                Ok(())
            }
            Err(error) => {
                self.push(&place.literal(text));
                Err(error)
            }
        }
    }

    pub fn finish(self) -> Template {
        Template { parts: self.parts.into_boxed_slice(), salt: self.salt }
    }

    fn append(&mut self, parts: Vec<Part>) {
        for part in parts {
            match part {
                Part::Literal(text) => self.push(&text),
                expression => self.parts.push(expression),
            }
        }
    }

    /// Adjacent literals are one.
    fn push(&mut self, text: &str) {
        match self.parts.last_mut() {
            Some(Part::Literal(last)) => last.push_str(text),
            _ if text.is_empty() => {}
            _ => self.parts.push(Part::Literal(text.to_owned())),
        }
    }

    /// FNV-1a: the same at every start and in every version.
    fn stir(&mut self, text: &str) {
        for byte in text.bytes() {
            self.salt = (self.salt ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
}

impl Needs {
    pub fn merge(self, other: Needs) -> Needs {
        Needs {
            request_body: self.request_body || other.request_body,
            request_headers: self.request_headers || other.request_headers,
            response: self.response || other.response,
            now: self.now || other.now,
        }
    }
}

impl BitOr for Needs {
    type Output = Needs;

    fn bitor(self, other: Needs) -> Needs {
        self.merge(other)
    }
}

impl Error {
    pub(in crate::mock) fn new(offset: usize, message: impl Into<String>) -> Self {
        Error { offset, message: message.into(), hint: None }
    }

    pub(in crate::mock) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

fn put(place: Place, value: Value<'_>, out: &mut String) {
    // Writing to a string does not fail, so neither do these.
    let _ = match place {
        Place::Bare => value.write_json(out),
        place => value.write_text(&mut Escaped { place, out }),
    };
}

/// Escapes for a place whatever is written to it.
struct Escaped<'o> {
    place: Place,
    out: &'o mut String,
}

impl Write for Escaped<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.place.write(text, self.out);
        Ok(())
    }
}

/// The parts of a text that is all of one place.
fn embedded(text: &str, place: Place) -> Result<Vec<Part>, Error> {
    let mut parts = Vec::new();
    let mut from = 0;
    while let Some(open) = opening(text, from) {
        parts.push(Part::Literal(place.literal(&text[from..open])));
        let (expression, end) = Expression::parse(text, open)?;
        parts.push(Part::Expression(expression, place));
        from = end;
    }
    parts.push(Part::Literal(place.literal(&text[from..])));
    Ok(parts)
}

/// Where the next expression opens: the last two of the next run of two or more braces.
fn opening(text: &str, from: usize) -> Option<usize> {
    let open = from + text[from..].find("{{")?;
    let run = text[open..].bytes().take_while(|&byte| byte == b'{').count();
    Some(open + run - 2)
}

/// The parts of JSON text. What is no JSON is scanned all the same.
fn json(text: &str) -> Result<Vec<Part>, Error> {
    let mut parts = Vec::new();
    // Everything before it is in `parts`.
    let mut from = 0;
    let mut at = 0;
    let mut place = Place::Bare;
    let bytes = text.as_bytes();
    while at < bytes.len() {
        match bytes[at] {
            b'\\' if place == Place::Quoted => at += 2,
            b'"' if place == Place::Quoted => {
                place = Place::Bare;
                at += 1;
            }
            b'"' => {
                let end = closing(text, at + 1);
                let inside = &text[at + 1..end];
                at += 1;
                match escaped_expressions(inside) {
                    Some(unescaped) => {
                        parts.push(Part::Literal(text[from..at].to_owned()));
                        let inner = embedded(&unescaped, Place::Quoted);
                        parts.extend(inner.map_err(|error| error.within(inside, at))?);
                        from = end;
                        at = end + 1;
                    }
                    None => place = Place::Quoted,
                }
            }
            b'{' if bytes.get(at + 1) == Some(&b'{') => {
                let Some(open) = opening(text, at) else { break };
                parts.push(Part::Literal(text[from..open].to_owned()));
                let (expression, end) = Expression::parse(text, open)?;
                parts.push(Part::Expression(expression, place));
                from = end;
                at = end;
            }
            _ => at += 1,
        }
    }
    parts.push(Part::Literal(text[from..].to_owned()));
    Ok(parts)
}

/// Where the JSON string that begins at `from` ends: at its quote, or with the text.
fn closing(text: &str, from: usize) -> usize {
    let bytes = text.as_bytes();
    let mut at = from;
    while at < bytes.len() && bytes[at] != b'"' {
        at += if bytes[at] == b'\\' { 2 } else { 1 };
    }
    at.min(bytes.len())
}

/// The text of a JSON string's inside, if an expression in it is written with JSON's escapes, as
/// `\"`. Otherwise it is parsed where it stands: authors write `"{{ a || "b" }}"` too.
fn escaped_expressions(inside: &str) -> Option<String> {
    let mut rest = inside;
    while let Some((_, opened)) = rest.split_once("{{") {
        let (expression, after) = opened.split_once("}}").unwrap_or((opened, ""));
        if expression.contains('\\') {
            return unescape_until(inside, usize::MAX).map(|(text, _)| text);
        }
        rest = after;
    }
    None
}

/// The text of a JSON string's inside up to `limit` bytes, and how many bytes they are in JSON.
/// None where it is no JSON string's inside.
fn unescape_until(inside: &str, limit: usize) -> Option<(String, usize)> {
    let mut text = String::new();
    let mut rest = inside.chars();
    while text.len() < limit {
        let Some(char) = rest.next() else { break };
        if char != '\\' {
            text.push(char);
            continue;
        }
        text.push(match rest.next()? {
            char @ ('"' | '\\' | '/') => char,
            'b' => '\u{8}',
            'f' => '\u{c}',
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            'u' => {
                let first = hex(&mut rest)?;
                let paired = (0xd800..0xdc00).contains(&first) && rest.as_str().starts_with("\\u");
                let pair = if paired {
                    rest.nth(1)?;
                    [first, hex(&mut rest)?]
                } else {
                    [first, 0]
                };
                char::decode_utf16(pair.into_iter().take(1 + usize::from(paired))).next()?.ok()?
            }
            _ => return None,
        });
    }
    Some((text, inside.len() - rest.as_str().len()))
}

fn hex(rest: &mut std::str::Chars<'_>) -> Option<u16> {
    let digits =
        rest.as_str().get(..4).filter(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()))?;
    rest.nth(3)?;
    u16::from_str_radix(digits, 16).ok()
}

impl Error {
    /// The same error in the JSON string `inside` that begins `at` bytes into a text.
    fn within(self, inside: &str, at: usize) -> Error {
        let offset = unescape_until(inside, self.offset).map_or(0, |(_, bytes)| bytes);
        Error { offset: at + offset, ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::sample::Sample;
    use super::*;

    fn ann() -> Sample {
        Sample::request(
            r#"{"name":"Ann","n":42,"big":1.50,"ok":true,"none":null,"list":[1,"a"],"evil":"\"},{{uuid()}}\r\nX: y\\é"}"#,
        )
    }

    fn render(template: &Template, sample: &Sample) -> String {
        let params = sample.params();
        let mut out = String::new();
        template.render(&sample.context(&params), &mut out);
        out
    }

    #[track_caller]
    fn check(form: Form, text: &str, expected: &str) {
        let template = Template::parse(text, form).expect("the template is one");
        assert_eq!(render(&template, &ann()), expected);
    }

    #[track_caller]
    fn check_json(text: &str, expected: &str) {
        check(Form::Json, text, expected);
        serde_json::from_str::<serde_json::Value>(expected).expect("what is rendered is JSON");
    }

    #[track_caller]
    fn check_error(form: Form, text: &str, offset: usize) {
        let error = Template::parse(text, form).expect_err("the template is none");
        assert_eq!(error.offset, offset, "{error}");
    }

    #[track_caller]
    fn check_string(text: &str, expected: &str) {
        let mut builder = Builder::new();
        builder.literal("{\"a\":\"");
        builder.string(text).expect("the string is one");
        builder.literal("\"}");
        let rendered = render(&builder.finish(), &ann());
        assert_eq!(rendered, format!("{{\"a\":\"{expected}\"}}"));
        serde_json::from_str::<serde_json::Value>(&rendered).expect("what is rendered is JSON");
    }

    #[test]
    fn text_is_brought_in_as_it_is() {
        check(Form::Text, "Hello {{ request.body/name }}, {{request.body/n}}!", "Hello Ann, 42!");
        check(Form::Text, "{{request.body/list}} {{request.body/none}}{{request.body/nope}}.", "[1,\"a\"] .");
        check(Form::Text, "{{request.body/evil}}", "\"},{{uuid()}}\r\nX: y\\é");
    }

    #[test]
    fn in_a_json_string_values_are_escaped() {
        check_json(r#"{"a":"<{{ request.body/evil }}>"}"#, r#"{"a":"<\"},{{uuid()}}\r\nX: y\\é>"}"#);
        check_json(
            r#"{"a": "{{request.body/list}}", "b": "{{request.body/n}}"}"#,
            r#"{"a": "[1,\"a\"]", "b": "42"}"#,
        );
        check_json(r#"["{{request.body/nope}}", "{{request.body/none}}"]"#, r#"["", ""]"#);
    }

    #[test]
    fn outside_quotes_a_reference_is_json() {
        check_json(r#"{"a": {{ request.body/name }} }"#, r#"{"a": "Ann" }"#);
        check_json(r#"{"a":{{request.body/evil}}}"#, r#"{"a":"\"},{{uuid()}}\r\nX: y\\é"}"#);
        check_json("[{{request.body/n}},{{request.body/ok}},{{request.body/list}}]", r#"[42,true,[1,"a"]]"#);
        check_json("[{{request.body/none}},{{request.body/nope}},{{request.body/a/b}}]", "[null,null,null]");
        let whole = String::from_utf8(ann().body.bytes().to_vec()).expect("the sample is text");
        check_json("{{ request.body }}", &whole);
    }

    #[test]
    fn outside_quotes_functions_and_literals_are_json() {
        check_json(
            "[{{ now() }}, {{ now(yyyy) }}, {{ now(yyyy-MM) }}]",
            r#"[1581428892309, 2020, "2020-02"]"#,
        );
        check_json("[{{ request.body/x || '[]' }}, {{ 'a\"b' }}, {{ '5' }}]", r#"[[], "a\"b", 5]"#);
        check_json("{{ request.body/name request.body/n }}", r#""Ann 42""#);
        check_json("{{ request.body/x request.body/y }}", "null");
        check_json("{{ '4' '2' }}", r#""4 2""#);
        let template = Template::parse("[{{uuid()}},{{randomInt()}},{{randomString(2)}}]", Form::Json)
            .expect("it is one");
        let values: Vec<serde_json::Value> =
            serde_json::from_str(&render(&template, &ann())).expect("it is JSON");
        assert!(values[0].is_string() && values[1].is_i64() && values[2].is_string());
    }

    #[test]
    fn outside_quotes_a_parameter_is_a_number_if_it_reads_as_one() {
        let sample = Sample { query: Some("a=42&b=Ann&c=1,%22x%22:2&d=".into()), ..ann() };
        let template = Template::parse(
            "[{{request.params[a]}},{{request.params[b]}},{{request.params[c]}},{{request.params[d]}}]",
            Form::Json,
        );
        assert_eq!(render(&template.expect("it is one"), &sample), r#"[42,"Ann","1,\"x\":2",""]"#);
    }

    #[test]
    fn a_body_that_is_no_json_is_a_string() {
        let template =
            Template::parse(r#"[{{request.body}}, "{{request.body}}"]"#, Form::Json).expect("it is one");
        assert_eq!(render(&template, &Sample::request("a \"b\"")), r#"["a \"b\"", "a \"b\""]"#);
        assert_eq!(render(&template, &Sample::request("")), r#"[null, ""]"#);
        assert_eq!(render(&template, &Sample::request(&b"\xff"[..])), r#"["", ""]"#);
    }

    #[test]
    fn json_text_is_scanned_for_strings() {
        check_json(
            r#"{"a\"{": {{request.body/n}}, "\\": "{{request.body/name}}"}"#,
            r#"{"a\"{": 42, "\\": "Ann"}"#,
        );
        check_json(r#"{"{{request.body/name}}":{"b":{{request.body/n}}}}"#, r#"{"Ann":{"b":42}}"#);
    }

    #[test]
    fn in_a_json_string_an_expression_may_have_its_quotes_escaped_or_not() {
        check_json(r#"["{{ request.body/x || \"q\" }}", {{ now() }}]"#, r#"["q", 1581428892309]"#);
        check_json(r#"["{{ request.body/x || "q" }}", {{ now() }}]"#, r#"["q", 1581428892309]"#);
        check_json(r#"["\"{{ request.body/x || 'q' }}\"", {{ now() }}]"#, r#"["\"q\"", 1581428892309]"#);
        check_json(r#"["\u00e9\t{{ request.body/x || \"\u00e9\ud83d\ude00\" }}"]"#, r#"["é\té😀"]"#);
    }

    #[test]
    fn in_a_header_control_characters_never_pass() {
        check(Form::Header, "a{{request.body/evil}}", "a\"},{{uuid()}}X: y\\é");
        check(Form::Header, "a\r\nb\u{7f}\tc", "abc");
    }

    #[test]
    fn what_is_brought_in_is_never_parsed_again() {
        let sample = Sample::request(r#"{"a":"{{ request.body/b }}","b":"no"}"#);
        for form in [Form::Text, Form::Header, Form::Json] {
            let template = Template::parse("\"{{ request.body/a }}\"", form).expect("it is one");
            assert_eq!(render(&template, &sample), "\"{{ request.body/b }}\"");
        }
    }

    #[test]
    fn of_more_braces_the_last_two_open() {
        check(Form::Text, "{{{request.body/n}}}", "{42}");
        check(Form::Text, "{{{{ request.body/n }}}} { } }}", "{{42}} { } }}");
        check(Form::Text, "#{{request.body/n}}#{{request.body/n}}", "#42#42");
    }

    #[test]
    fn a_text_without_expressions_is_a_literal() {
        for text in ["", "a", "{ a }", "}}", "{\"a\": \"b\\n\"}"] {
            for form in [Form::Text, Form::Json, Form::Header] {
                assert_eq!(Template::parse(text, form).expect("it is one").as_literal(), Some(text));
            }
        }
        assert_eq!(Template::parse("a{{now()}}", Form::Text).expect("it is one").as_literal(), None);
    }

    #[test]
    fn a_builder_escapes_literal_parts_and_parses_unescaped_ones() {
        check_string("a\"b\\c\n\u{1}é", r#"a\"b\\c\n\u0001é"#);
        check_string("<{{ request.body/x || \"q\\\" }}>", r#"<q\\>"#);
        check_string("{{ request.body/evil }}", r#"\"},{{uuid()}}\r\nX: y\\é"#);
    }

    #[test]
    fn a_builder_joins_literals() {
        let mut builder = Builder::new();
        builder.literal("[\"");
        builder.string("a").expect("it is one");
        builder.literal("\"");
        builder.literal("]");
        assert_eq!(builder.finish().as_literal(), Some("[\"a\"]"));
        assert_eq!(Builder::default().finish().as_literal(), Some(""));
    }

    #[test]
    fn a_builder_keeps_a_string_that_does_not_parse() {
        let mut builder = Builder::new();
        builder.literal("\"");
        let error = builder.string("{{now()}} \" {{ nope() }}").expect_err("there is no such function");
        assert_eq!(error.offset, 15);
        builder.literal("\"");
        assert_eq!(builder.finish().as_literal(), Some(r#""{{now()}} \" {{ nope() }}""#));
    }

    #[test]
    fn errors_say_where() {
        check_error(Form::Text, "é {{ now()", 3);
        check_error(Form::Text, "a {{{ b", 3);
        check_error(Form::Text, "{{ nope() }}", 3);
        check_error(Form::Json, r#"{"a": "{{ nope() }}"}"#, 10);
        check_error(Form::Json, r#"{"a": "\n\u00e9{{ \"a\" nope() }}"}"#, 24);
        check_error(Form::Json, r#"{"a": {{ nope() }}}"#, 9);
        check_error(Form::Json, r#"{"a": "{{ now()"}"#, 7);
    }

    #[test]
    fn one_moment_renders_the_same_bytes() {
        let text = "{{uuid()}} {{uuid()}}";
        let template = Template::parse(text, Form::Text).expect("it is one");
        let rendered = render(&template, &ann());
        let (one, other) = rendered.split_once(' ').expect("there are two");
        assert_ne!(one, other);
        assert_eq!(rendered, render(&Template::parse(text, Form::Text).expect("it is one"), &ann()));
        let later = Sample { moment: crate::mock::message::Moment { seed: 8, ..ann().moment }, ..ann() };
        assert_ne!(rendered, render(&template, &later));
    }

    #[test]
    fn two_templates_of_a_moment_draw_different_chance() {
        let one = Template::parse("{{uuid()}}", Form::Text).expect("it is one");
        let other = Template::parse("{{ uuid() }}", Form::Text).expect("it is one");
        assert_ne!(render(&one, &ann()), render(&other, &ann()));
    }

    #[test]
    fn needs_are_those_of_all_expressions() {
        #[track_caller]
        fn check(text: &str, request_body: bool, response: bool) {
            let needs = Template::parse(text, Form::Text).expect("it is one").needs();
            let (request_headers, now) = (text.contains("request.headers"), text.contains("now"));
            assert_eq!(needs, Needs { request_body, request_headers, response, now });
        }
        check("a {{ now() }} {{ request.path[1] request.headers[a] }}", false, false);
        check("{{ now() }} {{ 'a' || request.body/a }}", true, false);
        check("{{ response.status }}{{ request.body }}", true, true);
        check("{{ response.headers[a] }}", false, true);
    }

    #[test]
    fn hostile_texts_end_soon() {
        let pieces = [
            "{",
            "}",
            "{{",
            "}}",
            "{{{",
            "\"",
            "\\",
            "\\\"{{",
            "{{ '",
            "{{ 'a' || \"",
            "{{ now(",
            "{{ now('",
            "{{ randomValue(\"a",
            "[",
            "{{ request.params[",
            "{{ request.body/",
            "\"{{ request.body/a || \"b\" }}",
            "\"\\u00e9{{ 'a\\\"' }}\"",
            "é",
            "{{ a }}",
            "{{ now() }}",
            "{{ now(y, 9999999999999999999999y) }}",
            "{{ randomInt(9999999999999999999) }}",
            "{{ $",
            "'a',",
        ];
        for piece in pieces {
            // Anything quadratic would take minutes.
            let text = piece.repeat((1 << 18) / piece.len());
            for text in [
                format!("{{{{ randomValue({text}) }}}}"),
                format!("{{{{ {text} }}}}"),
                format!("\"{text}\""),
                text,
            ] {
                for form in [Form::Text, Form::Json, Form::Header] {
                    if let Ok(template) = Template::parse(&text, form) {
                        template.needs();
                    }
                }
                // The error is not of interest.
                let _ = Builder::new().string(&text);
            }
        }
    }
}
