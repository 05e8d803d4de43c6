//! Forms: pairs of names and values, and the parts of a multipart body (RFC 7578).

use std::borrow::Cow;

use bytes::Bytes;
use serde_json::Value as Json;
use url::form_urlencoded;

use super::sink::{Place, Seen, Sink, Value, json};

/// Pairs or parts of one body.
const MOST: usize = 10_000;

/// Bytes of the headers of one part.
const HEADERS: usize = 8 << 10;

/// RFC 2046, 5.1.1.
const LONGEST_BOUNDARY: usize = 70;

/// One part of a multipart body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// Of the field that it is a value of; parts of other bodies than forms have none.
    pub name: Option<String>,
    pub filename: Option<String>,
    pub content_type: Option<String>,
    pub bytes: Bytes,
}

impl Part {
    /// What it holds as a text; of a file that is none, what can be read of it.
    pub fn text(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(&self.bytes)
    }
}

/// The fields of an object as `application/x-www-form-urlencoded` (OpenAPI 3.2, 4.15.1): a pair for each
/// item of an array, objects as JSON, nothing for null.
pub fn write(instance: &Json) -> String {
    let mut out = String::new();
    put(instance, &mut out);
    out
}

/// As [`write()`].
pub fn put<'v, V: Value<'v>>(value: V, out: &mut impl Sink<V>) {
    let mut first = true;
    each_field(value, |name, value| {
        if !std::mem::take(&mut first) {
            out.syntax("&");
        }
        out.text(value, name, Place::Pair);
        out.syntax("=");
        match value.seen().scalar() {
            Some(text) => out.text(value, &text, Place::Pair),
            None => json(value, Place::QuotedPair, &mut Encoded(out)),
        }
    });
}

/// The parts of a `multipart/form-data` body, `boundary` between them: scalars as text, anything else as
/// JSON; a part for each item of an array, none for null. An array at the top has parts without names.
pub fn put_parts<'v, V: Value<'v>>(value: V, boundary: &str, out: &mut impl Sink<V>) {
    let mut part = |name: Option<&str>, value: V| {
        out.syntax(&format!("--{boundary}\r\n"));
        if let Some(name) = name {
            out.syntax(&format!("content-disposition: form-data; name=\"{}\"\r\n", quoted(name)));
        }
        let seen = value.seen();
        match seen.scalar() {
            Some(text) => {
                out.syntax("\r\n");
                out.text(value, &text, Place::Part);
            }
            None => {
                out.syntax("content-type: application/json\r\n\r\n");
                json(value, Place::Quoted, out);
            }
        }
        out.syntax("\r\n");
    };
    match value.seen() {
        Seen::Items(items) => items.into_iter().for_each(|item| part(None, item)),
        _ => each_field(value, |name, value| part(Some(name), value)),
    }
    out.syntax(&format!("--{boundary}--\r\n"));
}

fn each_field<'v, V: Value<'v>>(value: V, mut each: impl FnMut(&'v str, V)) {
    let Seen::Fields(fields) = value.seen() else { return };
    for (name, value) in fields {
        match value.seen() {
            Seen::Null => {}
            Seen::Items(items) => items.into_iter().for_each(|item| each(name, item)),
            _ => each(name, value),
        }
    }
}

/// Percent-encodes the syntax of what is written into a pair.
pub struct Encoded<'o, S>(pub &'o mut S);

impl<V, S: Sink<V>> Sink<V> for Encoded<'_, S> {
    fn syntax(&mut self, text: &str) {
        self.0.syntax(&Place::Pair.literal(text));
    }

    fn text(&mut self, of: V, text: &str, place: Place) {
        self.0.text(of, text, place);
    }
}

/// WHATWG HTML, 4.10.21.8: a name in a header of a part.
fn quoted(name: &str) -> String {
    name.replace('"', "%22").replace('\r', "%0D").replace('\n', "%0A")
}

/// The boundary that a text is to have: none of it is in the text.
pub fn boundary(text: &str) -> String {
    // FNV-1a: the same at every start.
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for byte in text.bytes() {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    }
    let candidates = (0..).map(|number: u64| format!("standin-{:016x}", hash.wrapping_add(number)));
    // A text that has all of so many would have been made from itself.
    candidates.take(100).find(|candidate| !text.contains(candidate)).unwrap_or_else(|| "standin".into())
}

/// Whether a boundary is one (RFC 2046, 5.1.1).
pub fn is_boundary(text: &str) -> bool {
    let is_one = |byte: u8| byte.is_ascii_alphanumeric() || b"'()+_,-./:=? ".contains(&byte);
    !text.is_empty() && text.len() <= LONGEST_BOUNDARY && text.bytes().all(is_one) && !text.ends_with(' ')
}

/// The boundary of a multipart body that was written already: what follows the dashes of its first line.
pub fn first_boundary(body: &[u8]) -> Option<&str> {
    let line = body.split(|byte| *byte == b'\n').next()?.trim_ascii_end();
    std::str::from_utf8(line.strip_prefix(b"--")?).ok().filter(|text| is_boundary(text))
}

/// The pairs of an urlencoded form, decoded, as many as are looked at.
pub fn pairs(body: &[u8]) -> Vec<(String, String)> {
    let pairs = form_urlencoded::parse(body).take(MOST);
    pairs.map(|(name, value)| (name.into_owned(), value.into_owned())).collect()
}

/// The parts of a multipart body, by the boundary in its content type. None if it is malformed, has more
/// parts than are looked at, or longer headers.
pub fn multipart(body: &Bytes, content_type: &str) -> Option<Vec<Part>> {
    let (kind, _) = content_type.split_once(';')?;
    let boundary = parameter(content_type, "boundary").filter(|boundary| is_boundary(boundary))?;
    if !kind.trim().get(..10)?.eq_ignore_ascii_case("multipart/") {
        return None;
    }
    let delimiter = format!("--{boundary}").into_bytes();
    let mut parts = Vec::new();
    let mut next = Delimiter::find(body, &delimiter, 0)?;
    while !next.is_last {
        let end = Delimiter::find(body, &delimiter, next.end)?;
        if parts.len() == MOST {
            return None;
        }
        parts.push(Part::read(body, next.end, end.start)?);
        next = end;
    }
    Some(parts)
}

/// A line between two parts.
struct Delimiter {
    /// Where what is before it ends, without the line break, which is the delimiter's.
    start: usize,
    end: usize,
    is_last: bool,
}

impl Delimiter {
    /// The next one from `from`, which is where a line begins. A bare line feed is taken for a line break.
    fn find(body: &[u8], delimiter: &[u8], from: usize) -> Option<Delimiter> {
        let mut line = from;
        loop {
            let rest = body.get(line..)?;
            let end = rest.iter().position(|byte| *byte == b'\n').map_or(body.len(), |at| line + at + 1);
            let after = rest.strip_prefix(delimiter).map(|_| &body[line + delimiter.len()..end]);
            let is_last = after.is_some_and(|after| after.starts_with(b"--"));
            if is_last || after.is_some_and(|after| after.ends_with(b"\n") && after.trim_ascii().is_empty()) {
                let before = body.get(from..line).unwrap_or_default();
                let before = before.strip_suffix(b"\n").map(|text| text.strip_suffix(b"\r").unwrap_or(text));
                return Some(Delimiter { start: from + before.map_or(0, <[u8]>::len), end, is_last });
            }
            if end == body.len() {
                return None;
            }
            line = end;
        }
    }
}

impl Part {
    fn read(body: &Bytes, from: usize, to: usize) -> Option<Part> {
        let mut part = Part { name: None, filename: None, content_type: None, bytes: Bytes::new() };
        let mut line = from;
        loop {
            let rest = body.get(line..to)?;
            let Some(length) = rest.iter().position(|byte| *byte == b'\n') else {
                // The line break of an empty part is its delimiter's.
                return rest.trim_ascii().is_empty().then_some(part);
            };
            let text = rest[..length].trim_ascii();
            line += length + 1;
            if text.is_empty() {
                break;
            }
            if line - from > HEADERS {
                return None;
            }
            part.header(&String::from_utf8_lossy(text))?;
        }
        part.bytes = body.slice(line..to);
        Some(part)
    }

    fn header(&mut self, line: &str) -> Option<()> {
        let (name, value) = line.split_once(':')?;
        match name.trim().to_ascii_lowercase().as_str() {
            "content-disposition" => {
                self.name = parameter(value, "name").map(|name| unescaped(&name));
                self.filename = parameter(value, "filename").map(|name| unescaped(&name));
            }
            "content-type" => self.content_type = Some(value.trim().to_owned()),
            _ => {}
        }
        Some(())
    }
}

/// What browsers write for the characters that would end a name.
fn unescaped(name: &str) -> String {
    name.replace("%22", "\"").replace("%0D", "\r").replace("%0A", "\n")
}

/// A parameter of a header field: a token, or a quoted string (RFC 9110, 5.6.6).
fn parameter(field: &str, wanted: &str) -> Option<String> {
    let (_, mut rest) = field.split_once(';')?;
    loop {
        let (name, after) = rest.split_once('=')?;
        let (value, next) = value(after);
        if name.trim().trim_start_matches(';').trim().eq_ignore_ascii_case(wanted) {
            return Some(value.into_owned());
        }
        rest = next;
    }
}

/// The value that a text begins with, and what follows its semicolon.
fn value(text: &str) -> (Cow<'_, str>, &str) {
    let text = text.trim_start();
    let Some(inside) = text.strip_prefix('"') else {
        let (value, rest) = text.split_once(';').unwrap_or((text, ""));
        return (value.trim().into(), rest);
    };
    let mut value = String::new();
    let mut chars = inside.chars();
    while let Some(char) = chars.next() {
        match char {
            '"' => break,
            '\\' => value.extend(chars.next()),
            char => value.push(char),
        }
    }
    (value.into(), chars.as_str())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_object_is_pairs() {
        let instance =
            json!({"a b": 1, "list": ["x", true], "object": {"k": "v&"}, "none": null, "t": "ä=1"});
        assert_eq!(write(&instance), "a+b=1&list=x&list=true&object=%7B%22k%22%3A%22v%26%22%7D&t=%C3%A4%3D1");
        assert_eq!(pairs(write(&instance).as_bytes())[3], ("object".into(), "{\"k\":\"v&\"}".into()));
    }

    /// A line for each part: its name, its file's name, its type, its content.
    #[track_caller]
    fn check(content_type: &str, body: &str, expected: Option<&[&str]>) {
        let parts = multipart(&Bytes::copy_from_slice(body.as_bytes()), content_type);
        let lines = parts.map(|parts| {
            let or = |text: &Option<String>| text.as_deref().unwrap_or("-").to_owned();
            let line = |part: &Part| {
                let Part { name, filename, content_type, bytes } = part;
                format!("{} {} {} {:?}", or(name), or(filename), or(content_type), bytes)
            };
            parts.iter().map(line).collect::<Vec<_>>()
        });
        let lines = lines.as_ref().map(|lines| lines.iter().map(String::as_str).collect::<Vec<_>>());
        assert_eq!(lines.as_deref(), expected);
    }

    const TYPE: &str = "multipart/form-data; boundary=B";

    #[test]
    fn parts_with_their_headers() {
        check(
            TYPE,
            "preamble\r\n--B\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\none\r\ntwo\r\n--B  \r\n\
             content-disposition: form-data; filename=\"x\\\"y;.png\"; name=f\r\nContent-Type: image/png\r\n\r\n\r\n--B--\r\nend",
            Some(&["a - - b\"one\\r\\ntwo\"", "f x\"y;.png image/png b\"\""]),
        );
        check(TYPE, "--B\n\nx\n--B--", Some(&["- - - b\"x\""]));
        check(TYPE, "--B--", Some(&[]));
        check("Multipart/Mixed; x=\"a;b\"; Boundary=\"a b\"", "--a b\r\n\r\n--a b--", Some(&["- - - b\"\""]));
    }

    #[test]
    fn a_line_that_only_begins_as_a_boundary_is_content() {
        check(TYPE, "--B\r\n\r\n--Bx\r\n --B\r\n--B--", Some(&["- - - b\"--Bx\\r\\n --B\""]));
    }

    #[test]
    fn what_is_malformed_has_no_parts() {
        check(TYPE, "", None);
        check(TYPE, "--B\r\n\r\nno end", None);
        check(TYPE, "--B\r\nno header\r\n\r\n\r\n--B--", None);
        check("multipart/form-data", "--B--", None);
        check("text/plain; boundary=B", "--B--", None);
        check(TYPE, &format!("--B\r\na: {}\r\n\r\n\r\n--B--", "x".repeat(HEADERS)), None);
        check(TYPE, &format!("{}--B--", "--B\r\n\r\n\r\n".repeat(MOST + 1)), None);
    }

    #[test]
    fn what_is_written_as_parts_is_read() {
        let instance = json!({"a\"": "x\r\n--B", "list": [1, 2], "object": {"k": "v"}, "none": null});
        let mut out = String::new();
        put_parts(&instance, "B2", &mut out);
        check(
            "multipart/form-data; boundary=B2",
            &out,
            Some(&[
                "a\" - - b\"x\\r\\n--B\"",
                "list - - b\"1\"",
                "list - - b\"2\"",
                "object - application/json b\"{\\\"k\\\":\\\"v\\\"}\"",
            ]),
        );
        assert_eq!(first_boundary(out.as_bytes()), Some("B2"));
    }

    #[test]
    fn a_boundary_is_not_in_the_text() {
        let first = boundary("a");
        assert!(is_boundary(&first));
        let text = format!("a{first}");
        assert!(!text.contains(&boundary(&text)));
    }
}
