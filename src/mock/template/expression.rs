//! What stands between `{{` and `}}`.
//!
//! ```text
//! expression = sequence *( "||" sequence )
//! sequence   = 1*operand
//! operand    = reference / function / literal
//! reference  = ( "request." / "response." ) property [ "/" pointer / "[" name "]" ]
//! function   = name "(" [ argument *( "," argument ) ] ")" / "$" name
//! literal    = "'" text "'" / DQUOTE text DQUOTE
//! ```
//!
//! Whitespace is free between all of these. A pointer ends at whitespace, `|`, `>` or `}`.
//!
//! Of several alternatives the first that is not empty counts; null is empty, and if all are, the
//! last counts. Of several operands the values that are not empty are joined by a space. Microcks'
//! manual has `{{ request.body/firstname request.body/lastname }}` for a full name, while its
//! engine takes all of that for one pointer, which finds nothing; Standin does what the manual means.
//!
//! Where JSON is expected, outside quotes, an expression of one operand inserts a JSON value: a
//! value of a body as it is, what is missing as `null`; a parameter, a header, a date, `now()` and
//! the like as a number or a boolean if their text is one, and as a string otherwise; a literal
//! as it is if it is JSON (`|| '[]'`), and as a string otherwise. Several operands are one string.

use super::function::{Argument, Function, shortened};
use super::reference::{Asked, Message, Reference, Suffix};
use super::{Error, Needs, Value};
use crate::mock::message::Context;

/// Arguments of a function, of which `randomValue` takes any number.
const MOST_ARGUMENTS: usize = 1000;

/// What is between the braces of a template. It has at least one sequence, and each at least one operand.
#[derive(Debug, Clone)]
pub(in crate::mock) struct Expression {
    /// As it is written, with its braces.
    source: Box<str>,
    alternatives: Box<[Sequence]>,
}

#[derive(Debug, Clone)]
struct Sequence {
    operands: Box<[Operand]>,
}

#[derive(Debug, Clone)]
enum Operand {
    /// Text, and whether it is JSON.
    Literal(Box<str>, Kind),
    Reference(Reference),
    Function(Function),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Json,
    String,
}

impl Expression {
    /// Parses the expression whose `{{` is at `open`; with it comes where it ends, after its `}}`.
    pub fn parse(text: &str, open: usize) -> Result<(Expression, usize), Error> {
        if !text[open..].contains("}}") {
            return Err(Error::new(open, "`{{` without `}}`").hint("end the template with `}}`"));
        }
        let mut parser = Parser { text, at: open + 2 };
        let alternatives = parser.alternatives()?;
        Ok((Expression { source: text[open..parser.at].into(), alternatives }, parser.at))
    }

    pub fn source(&self) -> &str {
        &self.source
    }

    pub fn evaluate<'v>(&'v self, context: &Context<'v>, chance: &mut fastrand::Rng) -> Value<'v> {
        let mut value = Value::Missing;
        for sequence in &self.alternatives {
            value = sequence.evaluate(context, chance);
            if !value.is_empty() {
                break;
            }
        }
        value
    }

    /// Everything that it refers to.
    pub fn asked(&self) -> impl Iterator<Item = Asked<'_>> {
        let operands = self.alternatives.iter().flat_map(|sequence| &sequence.operands);
        operands.filter_map(|operand| match operand {
            Operand::Reference(reference) => reference.asked(),
            Operand::Literal(..) | Operand::Function(_) => None,
        })
    }

    pub fn needs(&self) -> Needs {
        let operands = self.alternatives.iter().flat_map(|sequence| &sequence.operands);
        operands.fold(Needs::default(), |needs, operand| match operand {
            Operand::Reference(reference) => needs | reference.needs(),
            Operand::Function(function) => needs | function.needs(),
            Operand::Literal(..) => needs,
        })
    }
}

impl Sequence {
    fn evaluate<'v>(&'v self, context: &Context<'v>, chance: &mut fastrand::Rng) -> Value<'v> {
        if let [operand] = &*self.operands {
            return operand.evaluate(context, chance);
        }
        let mut joined = String::new();
        for operand in &self.operands {
            let value = operand.evaluate(context, chance);
            if value.is_empty() {
                continue;
            }
            if !joined.is_empty() {
                joined.push(' ');
            }
            // Writing to a string does not fail.
            let _ = value.write_text(&mut joined);
        }
        if joined.is_empty() { Value::Missing } else { Value::String(joined.into()) }
    }
}

impl Operand {
    fn evaluate<'v>(&'v self, context: &Context<'v>, chance: &mut fastrand::Rng) -> Value<'v> {
        match self {
            Operand::Literal(text, Kind::Json) => Value::Literal(text),
            Operand::Literal(text, Kind::String) => Value::String((&**text).into()),
            Operand::Reference(reference) => reference.evaluate(context),
            Operand::Function(function) => function.evaluate(context.moment, chance),
        }
    }
}

struct Parser<'t> {
    text: &'t str,
    at: usize,
}

impl<'t> Parser<'t> {
    fn alternatives(&mut self) -> Result<Box<[Sequence]>, Error> {
        let mut alternatives = Vec::new();
        loop {
            alternatives.push(self.sequence()?);
            if !self.takes("||") {
                break;
            }
        }
        if self.takes("}}") {
            return Ok(alternatives.into());
        }
        if self.rest().starts_with('>') {
            return Err(Error::new(self.at, "`> put(name)` is not built yet"));
        }
        Err(self.unexpected())
    }

    /// Up to what no operand begins with.
    fn sequence(&mut self) -> Result<Sequence, Error> {
        let mut operands = Vec::new();
        loop {
            self.skip_whitespace();
            match self.rest().chars().next() {
                Some(quote @ ('\'' | '"')) => operands.push(self.literal(quote)?),
                Some('$') => operands.push(self.postman()?),
                Some(first) if first.is_ascii_alphabetic() || first == '_' => operands.push(self.named()?),
                _ if operands.is_empty() => return Err(self.unexpected()),
                _ => return Ok(Sequence { operands: operands.into() }),
            }
        }
    }

    fn literal(&mut self, quote: char) -> Result<Operand, Error> {
        let start = self.at + 1;
        let Some(length) = self.text[start..].find(quote) else {
            return Err(Error::new(self.at, format!("this {quote} is not closed")));
        };
        let text = &self.text[start..start + length];
        self.at = start + length + 1;
        let json = serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok();
        Ok(Operand::Literal(text.into(), if json { Kind::Json } else { Kind::String }))
    }

    /// `$name`, as in Postman: without arguments.
    fn postman(&mut self) -> Result<Operand, Error> {
        let start = self.at;
        self.at += 1;
        let name = self.name();
        if matches!(name, "request" | "response" | "url" | "method" | "statusCode") {
            let hint = match name {
                "request" | "response" => {
                    format!("in `{{{{ }}}}` write `{name}.body/name`, without `$` and `#`")
                }
                _ => format!("`${name}` works in a callback's URL, as `{{${name}}}`"),
            };
            return Err(Error::new(
                start,
                format!("`${name}` is a runtime expression of OpenAPI, no template"),
            )
            .hint(hint));
        }
        if self.rest().starts_with('(') {
            return Err(Error::new(self.at, format!("`${name}` takes no arguments"))
                .hint(format!("write `{name}(` without `$`")));
        }
        Function::parse(name, start, &[]).map(Operand::Function)
    }

    /// What begins with a name: a function or a reference.
    fn named(&mut self) -> Result<Operand, Error> {
        let start = self.at;
        let name = self.name();
        if self.rest().starts_with('(') {
            let arguments = self.arguments(name)?;
            return Function::parse(name, start, &arguments).map(Operand::Function);
        }
        let message = match name {
            "request" => Message::Request,
            "response" => Message::Response,
            _ => return Err(unknown(name, start)),
        };
        if !self.rest().starts_with('.') {
            return Err(Error::new(start, format!("`{name}` alone has no value"))
                .hint(format!("write what of it, as `{name}.body`")));
        }
        self.at += 1;
        let at = self.at;
        let property = self.name();
        let suffix = self.suffix()?;
        Reference::parse(message, property, suffix, at).map(Operand::Reference)
    }

    fn name(&mut self) -> &'t str {
        let start = self.at;
        let rest = self.rest();
        self.at += rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(rest.len());
        &self.text[start..self.at]
    }

    fn suffix(&mut self) -> Result<Suffix<'t>, Error> {
        let rest = self.rest();
        match rest.as_bytes().first() {
            Some(b'/') => {
                let length = rest
                    .find(|c: char| c.is_whitespace() || matches!(c, '|' | '>' | '}'))
                    .unwrap_or(rest.len());
                self.at += length;
                Ok(Suffix::Pointer(&rest[..length]))
            }
            Some(b'[') => {
                let Some(length) = bracketed(rest) else {
                    return Err(Error::new(self.at, "this `[` is not closed"));
                };
                self.at += length;
                Ok(Suffix::Index(rest[1..length - 1].trim()))
            }
            _ => Ok(Suffix::Nothing),
        }
    }

    /// From the `(` to after the `)`.
    fn arguments(&mut self, name: &str) -> Result<Vec<Argument<'t>>, Error> {
        let open = self.at;
        let mut arguments = Vec::new();
        self.at += 1;
        if self.takes(")") {
            return Ok(arguments);
        }
        loop {
            self.skip_whitespace();
            let argument = match self.quoted() {
                Some(argument) => argument,
                None => self.unquoted(name, open)?,
            };
            arguments.push(argument);
            if arguments.len() > MOST_ARGUMENTS {
                let message = format!("`{name}` has more than {MOST_ARGUMENTS} arguments");
                return Err(Error::new(open, message));
            }
            if !self.takes(",") {
                break;
            }
        }
        if self.takes(")") { Ok(arguments) } else { Err(Error::new(open, "this `(` is not closed")) }
    }

    /// An argument that is in quotes altogether.
    fn quoted(&mut self) -> Option<Argument<'t>> {
        let quote = self.rest().chars().next().filter(|c| matches!(c, '\'' | '"'))?;
        let start = self.at + 1;
        let (text, after) = self.text[start..].split_once(quote)?;
        if !after.trim_start().starts_with([',', ')']) {
            return None;
        }
        self.at = start + text.len() + 1;
        Some(Argument { text, at: start })
    }

    /// Up to `,`, `)` or the expression's end. What a date pattern has in quotes belongs to it.
    fn unquoted(&mut self, name: &str, open: usize) -> Result<Argument<'t>, Error> {
        let start = self.at;
        let rest = self.rest();
        let mut inside = false;
        let length = rest.char_indices().find_map(|(at, char)| {
            inside ^= char == '\'' && Function::takes_pattern(name);
            let ends = matches!(char, ',' | ')') || rest[at..].starts_with("}}");
            (ends && !inside).then_some(at)
        });
        let Some(length) = length else {
            let (at, what) = if inside { (start, "'") } else { (open, "(") };
            return Err(Error::new(at, format!("a `{what}` in here is not closed")));
        };
        self.at += length;
        Ok(Argument { text: rest[..length].trim_end(), at: start })
    }

    fn takes(&mut self, token: &str) -> bool {
        self.skip_whitespace();
        let found = self.rest().starts_with(token);
        if found {
            self.at += token.len();
        }
        found
    }

    fn skip_whitespace(&mut self) {
        self.at = self.text.len() - self.rest().trim_start().len();
    }

    fn rest(&self) -> &'t str {
        &self.text[self.at..]
    }

    fn unexpected(&self) -> Error {
        let rest = self.rest();
        if rest.is_empty() {
            return Error::new(self.at, "the text ends before the expression does");
        }
        if rest.starts_with("}}") {
            return Error::new(self.at, "nothing stands before `}}`")
                .hint("write a reference, as `request.body/name`, or a function, as `now()`");
        }
        if rest.starts_with("||") {
            return Error::new(self.at, "nothing stands before `||`");
        }
        let end = rest.find("}}").unwrap_or(rest.len());
        let end = rest[..end].find(char::is_whitespace).unwrap_or(end);
        Error::new(self.at, format!("`{}` is nothing that a template knows", shortened(&rest[..end])))
    }
}

/// Bytes from a `[` to after its `]`; names may have brackets of their own: `filter[name]`.
fn bracketed(text: &str) -> Option<usize> {
    let mut depth = 0_usize;
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            b'[' => depth += 1,
            b']' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return Some(at + 1);
        }
    }
    None
}

/// A name that is neither a function's nor a message's.
fn unknown(name: &str, at: usize) -> Error {
    let short = shortened(name);
    if Function::is_built(name) {
        return Error::new(at, format!("`{name}` is a function")).hint(format!("write `{name}()`"));
    }
    let error = Error::new(at, format!("`{short}` is a variable, and these are not built yet"));
    match name {
        "body" | "path" | "params" | "headers" => {
            error.hint(format!("write `request.{name}` for the request's"))
        }
        _ => error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mock::template::sample::Sample;

    fn sample() -> Sample {
        Sample {
            path: "/api/v1/hello/a%20b/".into(),
            base: "/api/v1".len(),
            query: Some("locale=US&q=a+b&filter[x]=1&locale=FR".into()),
            params: vec![("name", "a b".into()), ("locale", "path".into())],
            ..Sample::request(
                r#"{"first":"Ann","last":"Lee","empty":"","none":null,"zero":0,"no":false,"a/b":{"m~n":[1,{"x":"y"}]},"":"nameless"}"#,
            )
        }
        .header("trace", "azertyuiop")
        .header("trace", "second")
        .response(201, r#"{"id":7}"#)
        .response_header("location", "/x/7")
    }

    #[track_caller]
    fn check(expression: &str, expected: &str) {
        let text = format!("{{{{{expression}}}}}");
        let (parsed, end) = Expression::parse(&text, 0).expect("the expression is one");
        assert_eq!(end, text.len());
        let sample = sample();
        let params = sample.params();
        let mut out = String::new();
        let value =
            parsed.evaluate(&sample.context(&params), &mut fastrand::Rng::with_seed(7)).write_text(&mut out);
        value.expect("a string takes all");
        assert_eq!(out, expected);
    }

    #[track_caller]
    fn check_error(expression: &str, offset: usize, expected: &str) {
        let error =
            Expression::parse(&format!("{{{{{expression}}}}}"), 0).expect_err("the expression is none");
        // Offsets count from after the braces.
        assert_eq!((error.offset - 2, error.to_string().as_str()), (offset, expected));
    }

    #[test]
    fn references_to_the_request() {
        check("request.body/first", "Ann");
        check("request.path", "/api/v1/hello/a b/");
        check("request.path[0]", "hello");
        check("request.path[1]", "a b");
        check("request.path[2]", "");
        check("request.path[9]", "");
        check("request.headers[trace]", "azertyuiop");
        check("request.headers[TRACE]", "azertyuiop");
        check("request.headers[Host]", "example.org");
        check("request.headers[nope]", "");
        check("request.headers[no pe]", "");
    }

    #[test]
    fn a_parameter_is_of_the_query_else_of_the_path() {
        check("request.params[locale]", "US");
        check("request.params[q]", "a b");
        check("request.params[name]", "a b");
        check("request.params[filter[x]]", "1");
        check("request.params[ locale ]", "US");
        check("request.params[nope]", "");
    }

    #[test]
    fn references_to_the_response() {
        check("response.body/id", "7");
        check("response.body", r#"{"id":7}"#);
        check("response.headers[Location]", "/x/7");
        check("response.status", "201");
    }

    #[test]
    fn pointers_follow_rfc_6901() {
        check("request.body/a~1b/m~0n/0", "1");
        check("request.body/a~1b/m~0n/1", r#"{"x":"y"}"#);
        check("request.body/a~1b/m~0n", r#"[1,{"x":"y"}]"#);
        check("request.body/", "nameless");
        check("request.body/zero", "0");
        check("request.body/no", "false");
        check("request.body/nope/x", "");
    }

    #[test]
    fn a_pointer_ends_at_whitespace_and_operators() {
        check("request.body/first||'x'", "Ann");
        check("request.body/nope||'x'", "x");
        check_error("request.body/first > put(a)", 19, "`> put(name)` is not built yet");
        check_error("request.body/first>put(a)", 18, "`> put(name)` is not built yet");
    }

    #[test]
    fn of_alternatives_the_first_that_is_not_empty_counts() {
        check("request.body/empty || request.body/none || request.body/nope || request.body/first", "Ann");
        check("request.body/zero || 'x'", "0");
        check("request.body/no || 'x'", "false");
        check("request.body/nope || now(yyyy)", "2020");
        check("request.body/nope || ''", "");
        check("request.body/nope || request.body/none", "");
        check("request.body/nope request.body/none || 'x'", "x");
    }

    #[test]
    fn literals_hold_any_text_but_their_quote() {
        check("'a || b }} \"c\" {{ d'", "a || b }} \"c\" {{ d");
        check("\"it's\"", "it's");
        check("''", "");
    }

    #[test]
    fn operands_are_joined_by_a_space() {
        check("request.body/first request.body/last", "Ann Lee");
        check("request.body/nope request.body/last request.body/empty", "Lee");
        check("'Dr.' request.body/first\n now(yyyy)", "Dr. Ann 2020");
    }

    #[test]
    fn arguments_have_an_end() {
        let many = format!("randomValue({}a)", "a,".repeat(1000));
        check_error(&many, 11, "`randomValue` has more than 1000 arguments");
    }

    #[test]
    fn arguments_may_be_quoted() {
        check("now(dd/MM/yyyy HH:mm:ss)", "11/02/2020 13:48:12");
        check("now( 'dd/MM/yyyy' , '1M' )", "11/03/2020");
        check("now(\"yyyy-MM-dd'T'HH:mm\")", "2020-02-11T13:48");
        check("now(yyyy-MM-dd'T'HH:mm:ss.SSS'Z')", "2020-02-11T13:48:12.309Z");
        check("now('T'HH)", "T13");
        check("now(EEE', ('d)", "Tue, (11");
        check("now(dd/MM/yyyy, +1d)", "12/02/2020");
        check("now(dd/MM/yyyy, -99999999999999999999999999y)", "01/01/10000");
        check("randomValue(it's)", "it's");
        check("randomValue('a, b)')", "a, b)");
        check("randomValue( a b )", "a b");
        check("randomInt( 5 , 5 )", "5");
    }

    #[test]
    fn postman_functions_take_no_arguments() {
        check("$timestamp", "1581428892309");
        check("$now", "1581428892309");
        check("request.body/nope || $now", "1581428892309");
        check_error("$randomInt(5)", 10, "`$randomInt` takes no arguments; write `randomInt(` without `$`");
        for name in ["guid", "randomUUID", "randomInt", "randomString", "randomBoolean"] {
            Expression::parse(&format!("{{{{${name}}}}}"), 0).expect("it is one");
        }
    }

    #[test]
    fn whitespace_is_free() {
        check("\t\n request.body/first \r\n", "Ann");
        check("\u{a0}now( ) ", "1581428892309");
    }

    #[test]
    fn what_microcks_has_and_is_not_built_says_so() {
        check_error("uuid() > put(id)", 7, "`> put(name)` is not built yet");
        check_error(" id ", 1, "`id` is a variable, and these are not built yet");
        check_error("randomEmail()", 0, "`randomEmail` is not built yet");
        check_error("$randomCity", 0, "`randomCity` is not built yet");
    }

    #[test]
    fn mistakes_come_with_a_hint() {
        check_error(
            "",
            0,
            "nothing stands before `}}`; write a reference, as `request.body/name`, or a function, as `now()`",
        );
        check_error("|| 'a'", 0, "nothing stands before `||`");
        check_error("'a' || || 'b'", 7, "nothing stands before `||`");
        check_error("uuid", 0, "`uuid` is a function; write `uuid()`");
        check_error("uid()", 0, "there is no function `uid`; did you mean `uuid`?");
        check_error(
            "body/a",
            0,
            "`body` is a variable, and these are not built yet; write `request.body` for the request's",
        );
        check_error(
            "request.header[a]",
            8,
            "`request.header` is nothing that a template knows; did you mean `request.headers`?",
        );
        check_error(
            "request.zzz",
            8,
            "`request.zzz` is nothing that a template knows; there are `request.body`, `request.path`, `request.params`, `request.headers`",
        );
        check_error(
            "request.headers",
            15,
            "`headers` takes a name in brackets; write `request.headers[name]`",
        );
        check_error("request.body[0]", 12, "a body takes a JSON Pointer; write `request.body/0`");
        check_error("request.path[x]", 12, "`x` is no number of a segment; they count from 0");
        check_error("request", 0, "`request` alone has no value; write what of it, as `request.body`");
        check_error(
            "$request.body#/a",
            0,
            "`$request` is a runtime expression of OpenAPI, no template; in `{{ }}` write `request.body/name`, without `$` and `#`",
        );
        check_error("request.body/a~x", 14, "a `~` in a JSON Pointer is written `~0`");
        check_error("request.params[a", 14, "this `[` is not closed");
        check_error("'a", 0, "this ' is not closed");
        check_error("now(dd", 3, "this `(` is not closed");
        check_error(
            "now(yyyy-ddTHH)",
            11,
            "`T` means nothing in a date pattern; quote what stands for itself, as `'T'`",
        );
        check_error("now() % 2", 6, "`%` is nothing that a template knows");
        check_error("5c68}}}", 0, "`5c68` is nothing that a template knows");
    }
}
