//! Media types, and which of them a client takes (RFC 9110, 8.3.1 and 12.5.1).

use std::borrow::Cow;
use std::fmt;

use http::HeaderMap;
use http::header::{ACCEPT, CONTENT_TYPE};

use super::list;

/// Members of `accept` that are looked at: more than anyone lists are a burden, not a wish.
const MOST_RANGES: usize = 64;

/// How closely a range names a type: one of the same kind.
const OF_KIND: u8 = 2;
/// The type itself; more where parameters are the same too.
const NAMED: u8 = 3;
/// One that can be read by who reads the type that is named.
const ALIKE: u8 = 1;

/// A media type as a document names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MediaType {
    /// As it is sent.
    text: Box<str>,
    kind: Box<str>,
    subtype: Box<str>,
    /// Lower-case names with their values, quotes taken off.
    parameters: Box<[(Box<str>, Box<str>)]>,
    breadth: Breadth,
}

/// How many types a document means by one name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Breadth {
    One,
    /// `text/*`
    Kind,
    /// `*/*`
    All,
}

impl MediaType {
    /// Reads `type/subtype; name=value`. A range (`text/*`) is sent as its plainest type.
    pub fn parse(text: &str) -> Option<MediaType> {
        let named = Named::parse(text)?;
        let lower = |text: &str| Box::from(text.to_ascii_lowercase());
        let (kind, subtype) = named.plainest();
        let sent = match named.breadth() {
            Breadth::One => text.trim().into(),
            _ if named.parameters.trim().is_empty() => format!("{kind}/{subtype}"),
            _ => format!("{kind}/{subtype};{}", named.parameters.trim_end()),
        };
        let parameters = named.parameters().filter(|(name, _)| !name.eq_ignore_ascii_case("q"));
        let parameters =
            parameters.filter_map(|(name, value)| Some((lower(name), value?.into_owned().into())));
        Some(MediaType {
            text: sent.into(),
            kind: lower(kind),
            subtype: lower(subtype),
            parameters: parameters.collect(),
            breadth: named.breadth(),
        })
    }

    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// How a value is written under it.
    pub fn syntax(&self) -> Syntax {
        match &*self.subtype {
            _ if self.is_json() => Syntax::Json,
            "jsonl" | "x-ndjson" | "ndjson" => Syntax::Lines,
            "event-stream" => Syntax::Events,
            "json-seq" => Syntax::Records,
            subtype if subtype.ends_with("+json-seq") => Syntax::Records,
            "x-www-form-urlencoded" => Syntax::Form,
            "xml" => Syntax::Xml,
            subtype if subtype.ends_with("+xml") => Syntax::Xml,
            // JSON is YAML (YAML 1.2, 1.3), and `text/x-json` is an old name of it.
            subtype if ["yaml", "json"].iter().any(|name| subtype.ends_with(name)) => Syntax::Other,
            _ => match &*self.kind {
                "text" => Syntax::Text,
                "multipart" => Syntax::Multipart,
                "image" | "audio" | "video" | "font" => Syntax::Binary,
                _ => Syntax::Other,
            },
        }
    }

    /// Whether the document means several by it.
    pub fn is_range(&self) -> bool {
        self.breadth != Breadth::One
    }

    /// Text without a syntax of its own.
    pub fn is_plain_text(&self) -> bool {
        &*self.kind == "text" && &*self.subtype == "plain"
    }

    /// JSON by name or by its structured suffix (RFC 6839).
    pub fn is_json(&self) -> bool {
        self.suffix() == "json"
    }

    fn suffix(&self) -> &str {
        suffix(&self.subtype)
    }

    /// The value of a parameter.
    pub fn parameter(&self, name: &str) -> Option<&str> {
        let mut own = self.parameters.iter().filter(|(known, _)| name.eq_ignore_ascii_case(known));
        own.next().map(|(_, value)| &**value)
    }
}

/// The syntax of a media type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Syntax {
    Json,
    /// A JSON text a line.
    Lines,
    /// JSON texts between record separators (RFC 7464).
    Records,
    /// Server-sent events (WHATWG HTML, 9.2.5).
    Events,
    /// Pairs of names and values (WHATWG URL, 5).
    Form,
    /// Parts with headers of their own (RFC 2046).
    Multipart,
    Xml,
    Text,
    /// Images and the like.
    Binary,
    /// One of its own, or none that is known.
    Other,
}

impl Syntax {
    /// OpenAPI 3.2, 4.14.3.
    pub fn is_sequential(self) -> bool {
        matches!(self, Syntax::Lines | Syntax::Records | Syntax::Events)
    }
}

impl fmt::Display for MediaType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// What a request accepts.
#[derive(Debug)]
pub struct Accept<'h> {
    ranges: Vec<Range<'h>>,
}

/// How much a client likes a type; more is better.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Liking {
    /// Thousandths.
    quality: u16,
    /// How closely it is named, where it is named itself, and not by a range or a type that is alike.
    named: u8,
}

/// What a request's body is said to be; nothing where that can't be read.
#[derive(Debug, Clone, Copy)]
pub struct ContentType<'h>(Option<Named<'h>>);

/// How closely a document names the type of a message. Of several names the closest one counts (OpenAPI 3.2,
/// Response Object: `content`): the greater.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Closeness {
    /// It names one that can be read by who reads this one.
    Alike,
    /// It names the type with another parameter.
    Differs,
    /// `*/*`
    All,
    /// `text/*`
    Kind,
    Named,
}

#[derive(Debug)]
struct Range<'h> {
    named: Named<'h>,
    /// Thousandths.
    quality: u16,
}

/// A media type or a range of them, as a header field or a document writes it.
#[derive(Debug, Clone, Copy)]
struct Named<'h> {
    kind: &'h str,
    subtype: &'h str,
    /// What follows the first `;`.
    parameters: &'h str,
}

impl<'h> Accept<'h> {
    /// An absent, empty or wholly malformed `accept` takes everything.
    pub fn of(headers: &'h HeaderMap) -> Self {
        let values = headers.get_all(ACCEPT);
        if values.iter().all(|value| value.as_bytes() == b"*/*") {
            return Accept { ranges: Vec::new() };
        }
        let texts = values.iter().filter_map(|value| std::str::from_utf8(value.as_bytes()).ok());
        let members = texts.flat_map(list::members).take(MOST_RANGES);
        Accept { ranges: members.filter_map(Range::parse).collect() }
    }

    pub fn takes_all(&self) -> bool {
        self.ranges.is_empty()
    }

    /// Whether the client names the type, or a range that it is of: not one that is merely alike.
    pub fn takes(&self, media: &MediaType) -> bool {
        self.takes_all()
            || self.ranges.iter().any(|range| range.specificity(media).is_some_and(|fit| fit != ALIKE))
    }

    /// How much the client likes a type; none if it does not take it. The most specific range decides.
    pub fn liking(&self, media: &MediaType) -> Option<Liking> {
        if self.takes_all() {
            return Some(Liking { quality: 1000, named: 0 });
        }
        let fitting = self.ranges.iter().filter_map(|range| Some((range.specificity(media)?, range.quality)));
        let (fit, quality) = fitting.max()?;
        let named = if fit >= NAMED { fit } else { 0 };
        (quality > 0).then_some(Liking { quality, named })
    }
}

impl Liking {
    /// Of what is sent without a media type.
    pub const OF_NO_CONTENT: Liking = Liking { quality: 1000, named: 0 };
}

impl<'h> Range<'h> {
    /// None where it is malformed. RFC 9110, 12.5.1: `q` is the weight wherever it stands.
    fn parse(text: &'h str) -> Option<Range<'h>> {
        // Java's own client says `*` for `*/*`.
        let (name, parameters) = list::cut(text, b';');
        let everything = name.trim() == "*";
        let all = Named { kind: "*", subtype: "*", parameters };
        let named = if everything { all } else { Named::parse(text)? };
        let mut weight = None;
        for (name, value) in named.parameters() {
            let value = value?;
            if weight.is_none() && name.eq_ignore_ascii_case("q") {
                weight = Some(quality(&value)?);
            }
        }
        Some(Range { named, quality: weight.unwrap_or(1000) })
    }

    /// How closely a range names a type; none if it does not.
    fn specificity(&self, media: &MediaType) -> Option<u8> {
        let named = &self.named;
        let fit = match (named.kind, named.subtype) {
            ("*", _) => return Some(0),
            (kind, "*") if kind.eq_ignore_ascii_case(&media.kind) => return Some(OF_KIND),
            _ if named.is(media) => named.parameters_fit(media),
            (kind, subtype) if kind.eq_ignore_ascii_case(&media.kind) => {
                let suffix = subtype.strip_prefix("*+");
                let fits = suffix.is_some_and(|suffix| media.suffix().eq_ignore_ascii_case(suffix));
                fits.then_some(OF_KIND)
            }
            _ => None,
        };
        // Who refuses a type by name refuses no other.
        let alike = || self.quality > 0 && (named.is_alike(media) || named.is_within(media));
        fit.or_else(|| alike().then_some(ALIKE))
    }
}

impl<'h> ContentType<'h> {
    pub fn of(headers: &'h HeaderMap) -> Self {
        let text = headers.get(CONTENT_TYPE).and_then(|value| std::str::from_utf8(value.as_bytes()).ok());
        let named = text.and_then(Named::parse);
        ContentType(named.filter(|named| named.breadth() == Breadth::One))
    }

    /// Whether it is the one that curl and forms say without being told to.
    pub fn is_form(&self) -> bool {
        let is_form = |named: Named<'_>| named.subtype.eq_ignore_ascii_case("x-www-form-urlencoded");
        self.0.is_some_and(is_form)
    }

    /// Whether a body of this type may be one that the document describes under `media`: the same type,
    /// unless a parameter differs, one that is alike, or one of a range.
    pub fn fits(&self, media: &MediaType) -> bool {
        self.0.is_none() || self.closeness(media).is_some_and(|closeness| closeness != Closeness::Differs)
    }

    /// How closely the document's `media` names it; none if it does not, or if there is none that can be
    /// read.
    pub fn closeness(&self, media: &MediaType) -> Option<Closeness> {
        let named = self.0.as_ref()?;
        match media.breadth {
            Breadth::One if !named.is(media) => named.is_alike(media).then_some(Closeness::Alike),
            Breadth::One if named.parameters_differ(media) => Some(Closeness::Differs),
            Breadth::One => Some(Closeness::Named),
            Breadth::Kind => named.is_within(media).then_some(Closeness::Kind),
            Breadth::All => Some(Closeness::All),
        }
    }
}

impl<'h> Named<'h> {
    fn parse(text: &'h str) -> Option<Named<'h>> {
        let (name, parameters) = list::cut(text, b';');
        let (kind, subtype) = name.trim().split_once('/')?;
        let token = |text: &str| !text.is_empty() && !text.contains(|c: char| c.is_whitespace() || c == '/');
        let nonsense = kind == "*" && subtype != "*";
        (token(kind) && token(subtype) && !nonsense).then_some(Named { kind, subtype, parameters })
    }

    fn parameters(&self) -> impl Iterator<Item = (&'h str, Option<Cow<'h, str>>)> {
        list::parameters(self.parameters)
    }

    fn breadth(&self) -> Breadth {
        match (self.kind, self.subtype) {
            ("*", _) => Breadth::All,
            (_, "*") => Breadth::Kind,
            _ => Breadth::One,
        }
    }

    /// The type that is sent for it.
    fn plainest(&self) -> (&'h str, &'h str) {
        match self.breadth() {
            Breadth::One => return (self.kind, self.subtype),
            Breadth::All => return ("application", "json"),
            Breadth::Kind => {}
        }
        let kinds = [
            ("application", "json"),
            ("text", "plain"),
            ("image", "png"),
            ("audio", "mpeg"),
            ("video", "mp4"),
            ("font", "woff2"),
            ("multipart", "form-data"),
        ];
        let known = kinds.into_iter().find(|(kind, _)| self.kind.eq_ignore_ascii_case(kind));
        known.unwrap_or(("application", "octet-stream"))
    }

    fn is(&self, media: &MediaType) -> bool {
        self.kind.eq_ignore_ascii_case(&media.kind) && self.subtype.eq_ignore_ascii_case(&media.subtype)
    }

    /// Who reads a syntax can read every type that has it inside (RFC 6839), and who takes such a type can
    /// read the syntax: GitHub's clients ask its `application/json` as `application/vnd.github+json`.
    /// RFC 7303, 9.2: `text/xml` is `application/xml`.
    fn is_alike(&self, media: &MediaType) -> bool {
        let (own, other) = (self.subtype, &*media.subtype);
        let kinds = home(self.kind, own).eq_ignore_ascii_case(home(&media.kind, other));
        let plain = |one: &str, of: &str| one.eq_ignore_ascii_case(suffix(of));
        kinds && !self.is(media) && (plain(own, other) || plain(other, own))
    }

    /// Whether the document names a range that it is one of.
    fn is_within(&self, media: &MediaType) -> bool {
        match media.breadth {
            Breadth::One => false,
            Breadth::Kind => self.kind.eq_ignore_ascii_case(&media.kind),
            Breadth::All => true,
        }
    }

    /// How closely it names a type of the same name: each parameter must be the document's. A charset that
    /// the document does not name is no reason to refuse: JSON has but one.
    fn parameters_fit(&self, media: &MediaType) -> Option<u8> {
        let mut closeness = NAMED;
        for (name, value) in self.parameters().filter(|(name, _)| !name.eq_ignore_ascii_case("q")) {
            let value = value?;
            match media.parameter(name).is_some_and(|own| own.eq_ignore_ascii_case(&value)) {
                true => closeness = closeness.saturating_add(1),
                false if name.eq_ignore_ascii_case("charset") => {}
                false => return None,
            }
        }
        Some(closeness)
    }

    /// Whether both have a parameter, and it is not the same. A charset says how the text is written,
    /// and a boundary nothing at all.
    fn parameters_differ(&self, media: &MediaType) -> bool {
        let told = |name: &str| !["charset", "boundary"].iter().any(|word| name.eq_ignore_ascii_case(word));
        let differs = |name: &str, value: Option<Cow<'_, str>>| {
            let own = media.parameter(name);
            own.zip(value).is_some_and(|(own, value)| !own.eq_ignore_ascii_case(&value))
        };
        self.parameters().any(|(name, value)| told(name) && differs(name, value))
    }
}

/// The kind that a type is known under.
fn home<'h>(kind: &'h str, subtype: &str) -> &'h str {
    let is_xml = kind.eq_ignore_ascii_case("text") && subtype.eq_ignore_ascii_case("xml");
    if is_xml { "application" } else { kind }
}

/// The syntax that a subtype has inside: what follows its last `+`, else the whole.
fn suffix(subtype: &str) -> &str {
    subtype.rsplit_once('+').map_or(subtype, |(_, suffix)| suffix)
}

/// RFC 9110, 12.4.2: from 0 to 1, in thousandths. More decimals than three are read, and a missing 0.
fn quality(text: &str) -> Option<u16> {
    let (whole, decimals) = text.split_once('.').unwrap_or((text, ""));
    if text.is_empty() || text == "." || !whole.bytes().chain(decimals.bytes()).all(|b| b.is_ascii_digit()) {
        return None;
    }
    let digits = decimals.bytes().chain(std::iter::repeat(b'0')).take(3);
    let thousandths = digits.fold(0, |sum, digit| sum * 10 + u16::from(digit - b'0'));
    let is_zero = decimals.bytes().all(|digit| digit == b'0');
    match whole {
        // What is next to nothing is no refusal.
        "" | "0" => Some(if is_zero { 0 } else { thousandths.max(1) }),
        "1" if is_zero => Some(1000),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `accept` has a header field a line; what is expected is the quality in thousandths, 0 for a refusal.
    #[track_caller]
    fn check(accept: &str, offered: &str, expected: u16) {
        let mut headers = HeaderMap::new();
        for field in accept.split('\n') {
            headers.append(ACCEPT, field.parse().expect("a field's value"));
        }
        let media = MediaType::parse(offered).expect("a media type");
        let quality = Accept::of(&headers).liking(&media).map_or(0, |liking| liking.quality);
        assert_eq!(quality, expected);
    }

    #[track_caller]
    fn check_sent(content_type: &str, described: &str, expected: bool) {
        let headers = HeaderMap::from_iter([(CONTENT_TYPE, content_type.parse().expect("a field's value"))]);
        let media = MediaType::parse(described).expect("a media type");
        assert_eq!(ContentType::of(&headers).fits(&media), expected);
    }

    #[test]
    fn the_most_specific_range_decides() {
        check("text/*;q=0.3, text/html;q=0.7, */*;q=0.5", "text/html", 700);
        check("text/*;q=0.3, text/html;q=0.7, */*;q=0.5", "text/plain", 300);
        check("text/*;q=0.3, text/html;q=0.7, */*;q=0.5", "image/png", 500);
        check("text/*;q=0.3, text/plain;q=0.7, text/plain;format=flowed, */*;q=0.5", "text/plain", 700);
        check(
            "text/*;q=0.3, text/plain;q=0.7, text/plain;format=flowed, */*;q=0.5",
            "text/plain; format=flowed",
            1000,
        );
        check("application/json;q=0, */*", "application/json", 0);
        check("TEXT/HTML", "text/html", 1000);
        check("text/html", "Text/HTML", 1000);
    }

    #[test]
    fn weights_are_read_as_they_are_written() {
        let weights = [
            ("0.001", 1),
            ("0.5", 500),
            ("0.25", 250),
            ("1", 1000),
            ("1.000", 1000),
            ("0", 0),
            ("0.000", 0),
            (".2", 200),
            ("1.", 1000),
            ("0.9999", 999),
            ("0.0001", 1),
        ];
        for (weight, expected) in weights {
            check(&format!("text/html;q={weight}"), "text/html", expected);
        }
        check("text/html ; Q = 0.5", "text/html", 500);
        check("text/html;q=0.5;q=0.1", "text/html", 500);
        check("text/html;level=1;q=0.5", "text/html; level=1", 500);
        check("text/html;q=0.5;level=1", "text/html; level=1", 500);
        check("text/html;q=0.5;level=1", "text/html", 0);
    }

    #[test]
    fn who_takes_a_syntax_takes_types_that_have_it_inside() {
        check("application/json", "application/problem+json", 1000);
        check("application/json", "application/xml", 0);
        check("application/vnd.github.v3+json", "application/json", 1000);
        check("application/vnd.github.v3+json", "application/vnd.other+json", 0);
        check("application/*+json", "application/hal+json", 1000);
        check("application/*+json", "application/json", 1000);
        check("application/*+xml", "application/hal+json", 0);
        check("application/xml", "application/atom+xml", 1000);
        check("application/atom+xml", "application/xml", 1000);
        check("text/xml", "application/xml", 1000);
        check("application/xml", "text/xml", 1000);
        check("text/xml", "application/atom+xml", 1000);
        check("text/json", "application/json", 0);
        check("text/html", "text/plain", 0);
        check("application/json;q=0, */*;q=0.5", "application/hal+json", 500);
        check("application/json, application/hal+json;q=0", "application/hal+json", 0);
    }

    #[test]
    fn parameters_must_be_the_document_s() {
        check("application/json;version=1", "application/json", 0);
        check("application/json;version=1", "application/json; version=1", 1000);
        check("application/json;version=2", "application/json; version=1", 0);
        check("application/json", "application/json; version=1", 1000);
        check("application/json;charset=utf-8", "application/json", 1000);
        check("application/json;charset=latin1", "application/json; charset=utf-8", 1000);
        check(r#"a/b;p="x, y; q=0";q=0.5"#, r#"a/b; p="x, y; q=0""#, 500);
        check(r#"a/b;p="x\"y""#, r#"a/b; p="x\"y""#, 1000);
        check("a/b;p=", "a/b; p=\"\"", 1000);
    }

    #[test]
    fn several_fields_are_one_list() {
        check("text/html\n*/*;q=0.1", "application/json", 100);
        check("text/html\n*/*", "application/json", 1000);
        check("*/*\ntext/html;q=0", "text/html", 0);
    }

    #[test]
    fn what_is_malformed_is_left_out() {
        check("nonsense", "text/html", 1000);
        check("nonsense, text/html", "text/plain", 0);
        check("", "text/plain", 1000);
        check(" , ,", "text/plain", 1000);
        check("*/html, text/plain", "text/html", 0);
        check("*/html", "text/plain", 1000);
        check("text/, /html, text/html/x, a b/c, text/plain", "text/html", 0);
        check("text/html, *; q=.2", "text/plain", 200);
        for weight in ["abc", "2", "1.001", "-1", "", ".", "1e-1", "0,5", "nan", "+1", "01"] {
            check(&format!("text/html;q={weight}, text/plain;q=0.1"), "text/html", 0);
        }
        check(r#"text/plain, text/html;a="x, text/html"#, "text/html", 0);
        check(&format!("{}text/html", "a/b,".repeat(64)), "text/html", 0);
    }

    #[test]
    fn a_range_of_a_document_is_any_type_of_it() {
        let sent = |text: &str, expected: &str| {
            assert_eq!(MediaType::parse(text).as_ref().map(MediaType::as_str), Some(expected));
        };
        sent("*/*", "application/json");
        sent("application/*", "application/json");
        sent("text/*; charset=utf-8", "text/plain; charset=utf-8");
        sent("image/*", "image/png");
        sent("model/*", "application/octet-stream");
        check("text/html", "*/*", 1000);
        check("image/jpeg", "image/*", 1000);
        check("text/html", "image/*", 0);
        check("image/jpeg;q=0", "image/*", 0);
        assert_eq!(MediaType::parse("*/json"), None);
    }

    #[test]
    fn of_several_names_the_closest_one_counts() {
        let check = |content_type: &str, described: &[&str]| {
            let headers =
                HeaderMap::from_iter([(CONTENT_TYPE, content_type.parse().expect("a field's value"))]);
            let of = |name: &str| {
                ContentType::of(&headers).closeness(&MediaType::parse(name).expect("a media type"))
            };
            let closeness: Vec<_> = described.iter().map(|name| of(name).expect("it is named")).collect();
            assert!(closeness.is_sorted_by(|one, next| one > next), "{closeness:?}");
        };
        check("application/json", &["application/json", "application/*", "*/*", "application/hal+json"]);
        check("application/hal+json; charset=utf-8", &["application/*", "*/*", "application/json"]);
        check("text/plain", &["text/plain", "text/*", "*/*"]);
        check("text/a; v=2", &["text/a; v=2", "text/*; v=1", "*/*", "text/a; v=1"]);
    }

    #[test]
    fn a_body_is_of_the_type_that_it_says() {
        check_sent("application/json", "application/json", true);
        check_sent("Application/JSON; charset=utf-8", "application/json", true);
        check_sent("application/json; version=2", "application/json; version=1", false);
        check_sent("application/json", "application/json; version=1", true);
        check_sent("text/plain; charset=latin1", "text/plain; charset=utf-8", true);
        check_sent("multipart/form-data; boundary=a", "multipart/form-data; boundary=b", true);
        check_sent("application/hal+json", "application/json", true);
        check_sent("application/json", "application/hal+json", true);
        check_sent("text/xml", "application/xml", true);
        check_sent("text/plain", "application/json", false);
        check_sent("image/png", "image/*", true);
        check_sent("image/png", "*/*", true);
        check_sent("text/plain", "image/*", false);
        for unreadable in ["", "nonsense", "*/*", "text/*"] {
            check_sent(unreadable, "application/json", true);
        }
    }
}
