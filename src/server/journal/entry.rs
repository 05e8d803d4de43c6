//! One exchange: what is noted on its way, how it ended, and what is kept of it.

use std::borrow::Cow;
use std::fmt::{self, Display, Formatter};
use std::str::FromStr;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use http::header::{CONTENT_LENGTH, TRANSFER_ENCODING};
use http::{HeaderMap, HeaderName, Method, StatusCode};

use crate::server::flight::Flight;
use crate::server::metrics::Source;

/// Bytes of a target.
const TARGET: usize = 2 << 10;

/// Bytes of a method; those of registries have at most 17.
const METHOD: usize = 32;

/// Bytes of one message's header fields.
const FIELDS: usize = 16 << 10;

/// In place of a value that is not to be kept.
const REDACTED: &[u8] = b"[redacted]";

/// What is noted of an exchange on its way.
#[derive(Debug)]
pub(super) struct Draft {
    pub id: Id,
    pub started: Instant,
    /// Whether it started callbacks.
    pub chain: bool,
    /// None: they are not gathered, or not from their beginning.
    pub bodies: Option<Bodies>,
}

#[derive(Debug)]
pub(super) struct Bodies {
    pub request: Excerpt,
    pub response: Excerpt,
    /// Bytes of each that are kept.
    pub limit: usize,
    pub gathering: Flight,
}

/// How an exchange ended, with the heads of its messages.
pub struct Ending<'e> {
    pub method: &'e Method,
    /// Path and query, as they came.
    pub target: &'e str,
    pub request: &'e HeaderMap,
    /// What the client got; none if it got no answer.
    pub response: Option<(StatusCode, &'e HeaderMap)>,
    pub source: Source,
    /// The operation's label; none if no document lists it.
    pub operation: Option<&'e Arc<str>>,
    /// The name of the example that answered.
    pub example: Option<Arc<str>>,
    pub reason: Option<Reason>,
    /// As `x-standin-violations` lists them; bounded by the caller.
    pub violations: Vec<serde_json::Value>,
    pub took: Duration,
}

/// Why the answer is not simply the document's or the upstream's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reason {
    /// Standin refused: the problem's code.
    Refused(&'static str),
    /// The upstream has not got it, so that the document answered: the word of `missing`.
    Fallback(Cow<'static, str>),
    /// The upstream failed: the word of `standin_upstream_failures_total`.
    Failed(&'static str),
}

/// One exchange, as it is kept.
#[derive(Debug)]
pub struct Entry {
    pub id: Id,
    pub method: Method,
    pub target: String,
    pub operation: Option<Arc<str>>,
    pub source: Source,
    pub status: Option<StatusCode>,
    pub example: Option<Arc<str>>,
    pub reason: Option<Reason>,
    pub violations: Vec<serde_json::Value>,
    pub took: Duration,
    /// Whether it started callbacks, which name its id.
    pub chain: bool,
    pub request: Message,
    /// None: the client got no answer.
    pub response: Option<Message>,
    started: Instant,
    /// Until the task has it, its bodies count as being gathered.
    gathering: Option<Flight>,
}

/// An entry, and when its request came.
#[derive(Debug)]
pub struct Kept {
    pub at: SystemTime,
    pub entry: Entry,
}

/// A request or a response.
#[derive(Debug)]
pub struct Message {
    pub fields: Fields,
    /// None: nobody read it, or its exchange was sampled out at first, or too many are open.
    pub body: Option<Excerpt>,
}

/// Header fields, some values redacted. In one allocation: `name:value` and a line feed for each.
#[derive(Debug)]
pub struct Fields {
    lines: Vec<u8>,
    /// How many found no room.
    pub left_out: usize,
}

/// The beginning of a body.
#[derive(Debug, Default)]
pub struct Excerpt {
    pub bytes: Vec<u8>,
    /// Of the whole body, as far as it came.
    pub length: u64,
}

/// `ex_k3Fa-17`: unique in this run, and hardly one of another run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Id {
    pub(super) run: [char; 4],
    pub(super) number: u64,
}

impl Ending<'_> {
    /// Whether it is kept although its second has had its share. Callbacks have seen to that before.
    pub(super) fn is_worth_it(&self) -> bool {
        let status = self.response.map(|(status, _)| status);
        self.reason.is_some() || !self.violations.is_empty() || is_error(status)
    }

    pub(super) fn entry(self, draft: Draft, redact: &[HeaderName]) -> Entry {
        let (request, response, gathering) = match draft.bodies {
            Some(bodies) => (Some(bodies.request), Some(bodies.response), Some(bodies.gathering)),
            None => (None, None, None),
        };
        // Most mocked operations never read it.
        let request = request.filter(|body| body.length > 0 || !announces_body(self.request));
        Entry {
            id: draft.id,
            method: short(self.method),
            target: cut(self.target),
            operation: self.operation.cloned(),
            source: self.source,
            status: self.response.map(|(status, _)| status),
            example: self.example,
            reason: self.reason,
            violations: self.violations,
            took: self.took,
            chain: draft.chain,
            request: Message { fields: Fields::of(self.request, redact), body: request },
            response: self
                .response
                .map(|(_, fields)| Message { fields: Fields::of(fields, redact), body: response }),
            started: draft.started,
            gathering,
        }
    }
}

/// A status from 500 on, or no answer at all.
pub(super) fn is_error(status: Option<StatusCode>) -> bool {
    status.is_none_or(|status| status.as_u16() >= 500)
}

fn announces_body(headers: &HeaderMap) -> bool {
    headers.get(CONTENT_LENGTH).is_some_and(|length| length.as_bytes() != b"0")
        || headers.contains_key(TRANSFER_ENCODING)
}

fn short(method: &Method) -> Method {
    match method.as_str().as_bytes().get(..METHOD) {
        Some(begin) => Method::from_bytes(begin).unwrap_or_default(),
        None => method.clone(),
    }
}

/// The target, or as much of it as is kept and an ellipsis.
fn cut(target: &str) -> String {
    if target.len() <= TARGET {
        return target.to_owned();
    }
    let end = (0..=TARGET).rev().find(|&end| target.is_char_boundary(end)).unwrap_or(0);
    format!("{}…", &target[..end])
}

impl Fields {
    fn of(headers: &HeaderMap, redact: &[HeaderName]) -> Self {
        let size: usize = headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 2).sum();
        let mut fields = Fields { lines: Vec::with_capacity(size.min(FIELDS)), left_out: 0 };
        for (name, value) in headers {
            fields.add(name, if redact.contains(name) { REDACTED } else { value.as_bytes() });
        }
        fields
    }

    fn add(&mut self, name: &HeaderName, value: &[u8]) {
        let name = name.as_str().as_bytes();
        if self.lines.len() + name.len() + value.len() + 2 > FIELDS {
            self.left_out += 1;
            return;
        }
        self.lines.extend_from_slice(name);
        self.lines.push(b':');
        // pingora leaves the line breaks in that an upstream folds a value with.
        self.lines.extend(value.iter().map(|byte| if *byte == b'\n' { b' ' } else { *byte }));
        self.lines.push(b'\n');
    }

    /// Names and values; bytes that are no UTF-8 are replaced.
    pub fn iter(&self) -> impl Iterator<Item = (Cow<'_, str>, Cow<'_, str>)> {
        let lines = self.lines.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
        lines.map(|line| {
            let end = line.iter().position(|byte| *byte == b':').unwrap_or(line.len());
            let value = line.get(end + 1..).unwrap_or_default();
            (String::from_utf8_lossy(&line[..end]), String::from_utf8_lossy(value))
        })
    }
}

impl Excerpt {
    pub(super) fn add(&mut self, piece: &[u8], limit: usize) {
        self.length += piece.len() as u64;
        let room = limit.saturating_sub(self.bytes.len());
        let piece = &piece[..piece.len().min(room)];
        let (length, capacity) = (self.bytes.len() + piece.len(), self.bytes.capacity());
        if length > capacity {
            // Twice as much each time, but never more than the bound.
            self.bytes.reserve_exact(length.max(2 * capacity).min(limit) - self.bytes.len());
        }
        self.bytes.extend_from_slice(piece);
    }

    pub fn is_cut(&self) -> bool {
        (self.bytes.len() as u64) < self.length
    }

    /// The body as text, where a cut may have gone through a character; none if it is not UTF-8.
    pub fn text(&self) -> Option<&str> {
        match std::str::from_utf8(&self.bytes) {
            Ok(text) => Some(text),
            Err(error) if self.is_cut() && error.error_len().is_none() => {
                std::str::from_utf8(&self.bytes[..error.valid_up_to()]).ok()
            }
            Err(_) => None,
        }
    }
}

impl Reason {
    pub fn as_str(&self) -> &str {
        match self {
            Reason::Refused(code) | Reason::Failed(code) => code,
            Reason::Fallback(word) => word,
        }
    }
}

impl Kept {
    /// Lets go of what was only needed on the way.
    pub(super) fn of(mut entry: Entry) -> Self {
        let now = SystemTime::now();
        let at = now.checked_sub(entry.started.elapsed()).unwrap_or(now);
        entry.gathering = None;
        let bodies =
            [entry.request.body.as_mut(), entry.response.as_mut().and_then(|sent| sent.body.as_mut())];
        for body in bodies.into_iter().flatten() {
            body.bytes.shrink_to_fit();
        }
        Kept { at, entry }
    }
}

impl Display for Id {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let [a, b, c, d] = self.run;
        write!(f, "ex_{a}{b}{c}{d}-{}", self.number)
    }
}

/// The text is no id.
#[derive(Debug, PartialEq, Eq)]
pub struct NoId;

impl FromStr for Id {
    type Err = NoId;

    fn from_str(text: &str) -> Result<Self, NoId> {
        let (run, number) = text.strip_prefix("ex_").and_then(|id| id.split_once('-')).ok_or(NoId)?;
        let run = <[char; 4]>::try_from(run.chars().collect::<Vec<_>>()).map_err(|_| NoId)?;
        Ok(Id { run, number: number.parse().map_err(|_| NoId)? })
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use http::header::{AUTHORIZATION, COOKIE, HOST};

    use super::*;

    #[test]
    fn fields_are_redacted_and_bounded() {
        let mut headers = HeaderMap::new();
        headers.insert(HOST, HeaderValue::from_static("a:80"));
        headers.insert(AUTHORIZATION, HeaderValue::from_static("Bearer secret"));
        headers.append("x-list", HeaderValue::from_static("1"));
        headers.append("x-list", HeaderValue::from_static(""));
        headers.insert(COOKIE, HeaderValue::try_from("c".repeat(FIELDS)).expect("a value"));
        let latin = HeaderValue::from_bytes(b"caf\xe9").expect("a value");
        headers.insert("x-latin", latin);
        let fields = Fields::of(&headers, &[AUTHORIZATION]);
        let mut shown: Vec<_> = fields.iter().map(|(name, value)| format!("{name}={value}")).collect();
        shown.sort_unstable();
        let expected =
            ["authorization=[redacted]", "host=a:80", "x-latin=caf\u{fffd}", "x-list=", "x-list=1"];
        assert_eq!(shown, expected);
        assert_eq!(fields.left_out, 1);
        assert!(!String::from_utf8_lossy(&fields.lines).contains("secret"));
        assert_eq!(Fields::of(&headers, &[COOKIE, AUTHORIZATION]).left_out, 0);
    }

    #[test]
    fn a_body_is_kept_up_to_its_bound_and_counted_whole() {
        let excerpt = |pieces: &[&[u8]], limit| {
            let mut excerpt = Excerpt::default();
            pieces.iter().for_each(|piece| excerpt.add(piece, limit));
            excerpt
        };
        let whole = excerpt(&[b"ab", b"cd"], 4);
        assert_eq!((whole.text(), whole.length, whole.is_cut()), (Some("abcd"), 4, false));
        let cut = excerpt(&[b"ab", "cä".as_bytes(), b"e"], 4);
        assert_eq!((cut.text(), cut.length, cut.is_cut()), (Some("abc"), 6, true));
        assert_eq!(excerpt(&[b"ab\xc3"], 9).text(), None, "broken, not cut");
        assert_eq!(excerpt(&[b"a\xffbc"], 3).text(), None);
        let many = excerpt(&[b"ab".as_slice(); 50], 70);
        assert_eq!((many.bytes.len(), many.bytes.capacity(), many.length), (70, 70, 100));
        let none = excerpt(&[b"abc"], 0);
        assert_eq!((none.text(), none.length, none.bytes.capacity()), (Some(""), 3, 0));
    }

    #[test]
    fn a_request_announces_its_body() {
        let check = |name, value: &'static str, expected| {
            let headers = HeaderMap::from_iter([(name, HeaderValue::from_static(value))]);
            assert_eq!(announces_body(&headers), expected, "{value}");
        };
        check(CONTENT_LENGTH, "12", true);
        check(CONTENT_LENGTH, "0", false);
        check(TRANSFER_ENCODING, "chunked", true);
        check(HOST, "a", false);
    }

    #[test]
    fn methods_and_targets_have_a_bound() {
        let long = Method::from_bytes(&[b'M'; 99]).expect("a method");
        assert_eq!(short(&long).as_str(), "M".repeat(METHOD));
        assert_eq!(short(&Method::DELETE), Method::DELETE);
        assert_eq!(cut(&"a".repeat(TARGET)), "a".repeat(TARGET));
        assert_eq!(cut(&format!("a{}", "ä".repeat(TARGET))).len(), TARGET - 1 + "…".len());
    }

    #[test]
    fn an_id_is_read_as_it_is_written() {
        let id = Id { run: ['a', 'B', '3', 'd'], number: 17 };
        assert_eq!(id.to_string(), "ex_aB3d-17");
        assert_eq!("ex_aB3d-17".parse(), Ok(id));
        for wrong in ["", "ex_", "ex_aB3d", "ex_aB3-17", "ex_aB3d-", "call_aB3d-17", "ex_aB3d-17-1"] {
            assert_eq!(wrong.parse::<Id>(), Err(NoId), "{wrong}");
        }
    }
}
