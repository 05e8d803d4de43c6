//! Media types, and which of them a client takes (RFC 9110, 12.5.1).

use std::fmt;

use http::HeaderMap;

/// A media type as a document names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MediaType {
    /// As it is sent.
    text: Box<str>,
    kind: Box<str>,
    subtype: Box<str>,
    /// Lower-case names with their values, quotes taken off.
    parameters: Box<[(Box<str>, Box<str>)]>,
}

impl MediaType {
    /// Reads `type/subtype; name=value`. A range (`text/*`) stands for its plainest type.
    pub fn parse(text: &str) -> Option<MediaType> {
        let range = Range::parse(text)?;
        let (kind, subtype, text) = match (range.kind.as_str(), range.subtype.as_str()) {
            ("*", _) | ("application", "*") => ("application", "json", "application/json"),
            ("text", "*") => ("text", "plain", "text/plain"),
            (kind, subtype) => (kind, subtype, text.trim()),
        };
        Some(MediaType {
            text: text.into(),
            kind: kind.into(),
            subtype: subtype.into(),
            parameters: range
                .parameters
                .into_iter()
                .map(|(name, value)| (name.into(), value.into()))
                .collect(),
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

    /// JSON by name or by its structured suffix (RFC 6839).
    pub fn is_json(&self) -> bool {
        &*self.subtype == "json" || self.subtype.ends_with("+json")
    }

    /// The value of a parameter, by its lower-case name.
    pub fn parameter(&self, name: &str) -> Option<&str> {
        self.parameters.iter().find(|(own, _)| **own == *name).map(|(_, value)| &**value)
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
pub struct Accept {
    ranges: Vec<Range>,
}

#[derive(Debug)]
struct Range {
    kind: String,
    subtype: String,
    parameters: Vec<(String, String)>,
    /// Thousandths.
    quality: u16,
}

impl Accept {
    /// An absent, empty or wholly malformed `accept` takes everything.
    pub fn of(headers: &HeaderMap) -> Self {
        let mut ranges = Vec::new();
        let values = headers.get_all(http::header::ACCEPT);
        if values.iter().all(|value| value.as_bytes() == b"*/*") {
            return Accept { ranges };
        }
        for value in values {
            let text = value.to_str().unwrap_or("");
            // More ranges than anyone lists are a burden, not a wish.
            ranges.extend(text.split(',').take(64).filter_map(Range::parse));
        }
        Accept { ranges }
    }

    pub fn takes_all(&self) -> bool {
        self.ranges.is_empty()
    }

    /// How much the client likes a type, from 0 (not at all) to 1000: the most specific range decides.
    pub fn quality(&self, media: &MediaType) -> u16 {
        if self.takes_all() {
            return 1000;
        }
        let fitting =
            self.ranges.iter().filter_map(|range| range.specificity(media).map(|fit| (fit, range.quality)));
        fitting.max().map_or(0, |(_, quality)| quality)
    }

    /// Whether the client names the type itself, and not one that is JSON inside as it is, or a range.
    pub fn names(&self, media: &MediaType) -> bool {
        self.ranges.iter().any(|range| range.specificity(media) >= Some(3))
    }
}

impl Range {
    fn parse(text: &str) -> Option<Range> {
        let mut parts = text.split(';');
        let (kind, subtype) = parts.next()?.trim().split_once('/')?;
        let token = |text: &str| !text.is_empty() && !text.contains(|c: char| c.is_whitespace() || c == '/');
        if !token(kind) || !token(subtype) {
            return None;
        }
        let mut range = Range {
            kind: kind.to_ascii_lowercase(),
            subtype: subtype.to_ascii_lowercase(),
            parameters: Vec::new(),
            quality: 1000,
        };
        for part in parts {
            let Some((name, value)) = part.split_once('=') else { continue };
            let (name, value) = (name.trim().to_ascii_lowercase(), value.trim().trim_matches('"'));
            match name.as_str() {
                "q" => range.quality = quality(value)?,
                _ => range.parameters.push((name, value.to_owned())),
            }
        }
        Some(range)
    }

    /// How closely a range names a type; none if it does not.
    fn specificity(&self, media: &MediaType) -> Option<u8> {
        match (self.kind.as_str(), self.subtype.as_str()) {
            ("*", "*") => Some(0),
            (kind, _) if kind != &*media.kind => None,
            (_, "*") => Some(2),
            (_, subtype) if subtype == &*media.subtype => {
                let fits = |(name, value): &(String, String)| {
                    media.parameters.iter().any(|(own, is)| **own == **name && is.eq_ignore_ascii_case(value))
                };
                // A charset that the document does not name is no reason to refuse: JSON has but one.
                let asked = self.parameters.iter().filter(|(name, _)| name != "charset");
                let asked: Vec<_> = asked.collect();
                asked.iter().all(|parameter| fits(parameter)).then_some(if asked.is_empty() { 3 } else { 4 })
            }
            // Who takes JSON can read every type that is JSON inside, and who takes a type that is JSON
            // inside can read JSON: GitHub's clients ask its `application/json` as `application/vnd.github+json`.
            (_, "json") if media.is_json() => Some(1),
            (_, subtype) if subtype.ends_with("+json") && &*media.subtype == "json" => Some(1),
            (_, subtype) => {
                let suffix = subtype.strip_prefix("*+")?;
                media.subtype.rsplit_once('+').is_some_and(|(_, own)| own == suffix).then_some(2)
            }
        }
    }
}

/// RFC 9110, 12.4.2: up to three decimals, from 0 to 1.
fn quality(text: &str) -> Option<u16> {
    let value: f32 = text.parse().ok()?;
    // The range was checked, so the cast only drops decimals past the third.
    (0.0..=1.0).contains(&value).then(|| (value * 1000.0).round() as u16)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(accept: &str, offered: &str, expected: u16) {
        let mut headers = HeaderMap::new();
        headers.insert(http::header::ACCEPT, accept.parse().unwrap());
        assert_eq!(Accept::of(&headers).quality(&MediaType::parse(offered).unwrap()), expected);
    }

    #[test]
    fn the_most_specific_range_decides() {
        check("text/*;q=0.3, text/html;q=0.7, */*;q=0.5", "text/html", 700);
        check("text/*;q=0.3, text/html;q=0.7, */*;q=0.5", "text/plain", 300);
        check("text/*;q=0.3, text/html;q=0.7, */*;q=0.5", "image/png", 500);
        check("application/json;q=0, */*", "application/json", 0);
    }

    #[test]
    fn who_takes_json_takes_types_that_are_json_inside() {
        check("application/json", "application/problem+json", 1000);
        check("application/json", "application/xml", 0);
        check("application/vnd.github.v3+json", "application/json", 1000);
        check("application/vnd.github.v3+json", "application/vnd.other+json", 0);
        check("application/*+json", "application/hal+json", 1000);
        check("application/*+xml", "application/hal+json", 0);
    }

    #[test]
    fn parameters_must_be_the_document_s() {
        check("application/json;version=1", "application/json", 0);
        check("application/json;version=1", "application/json; version=1", 1000);
        check("application/json;charset=utf-8", "application/json", 1000);
    }

    #[test]
    fn a_wildcard_in_a_line_of_its_own_counts() {
        let mut headers = HeaderMap::new();
        headers.append(http::header::ACCEPT, "text/html".parse().unwrap());
        headers.append(http::header::ACCEPT, "*/*".parse().unwrap());
        let accept = Accept::of(&headers);
        assert_eq!(accept.quality(&MediaType::parse("application/json").unwrap()), 1000);
    }

    #[test]
    fn what_is_malformed_is_left_out() {
        check("nonsense", "text/html", 1000);
        check("nonsense, text/html", "text/plain", 0);
        check("", "text/plain", 1000);
    }
}
