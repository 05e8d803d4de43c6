//! What of a message is not as its operation says.

use std::borrow::Cow;

use http::HeaderValue;
use serde_json::{Value as Json, json};

/// Bytes of `x-standin-violations`.
const LONGEST: usize = 4 << 10;

/// Characters of a path: a client may call a property what it likes, and many may be wrong in it.
const LONGEST_PATH: usize = 500;

/// One thing that is not as the document says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    pub place: Place,
    /// A parameter's or header's name, then a JSON Pointer into its value; of a body the pointer alone.
    pub path: String,
    /// The keyword of the document that says otherwise: `required`, `maxLength`, `style`.
    pub keyword: Cow<'static, str>,
    /// What was expected, and what was there.
    pub message: String,
}

/// Whose it is: the metric's `side`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    Request,
    Response,
    /// A receiver's answer to a callback.
    Callback,
}

impl Side {
    pub fn as_str(self) -> &'static str {
        match self {
            Side::Request => "request",
            Side::Response => "response",
            Side::Callback => "callback",
        }
    }
}

/// Where it is: `in` of the contract, and `kind` of the metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Place {
    Path,
    Query,
    Header,
    Cookie,
    Body,
    /// The media type of a body.
    ContentType,
    Security,
    /// The status of a response.
    Status,
}

impl Place {
    pub const ALL: [Place; 8] = [
        Place::Path,
        Place::Query,
        Place::Header,
        Place::Cookie,
        Place::Body,
        Place::ContentType,
        Place::Security,
        Place::Status,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            Place::Path => "path",
            Place::Query => "query",
            Place::Header => "header",
            Place::Cookie => "cookie",
            Place::Body => "body",
            Place::ContentType => "content-type",
            Place::Security => "security",
            Place::Status => "status",
        }
    }
}

impl Violation {
    pub fn new(
        place: Place,
        path: impl Into<String>,
        keyword: impl Into<Cow<'static, str>>,
        message: impl Into<String>,
    ) -> Self {
        let mut path = path.into();
        if let Some((end, _)) = path.char_indices().nth(LONGEST_PATH) {
            // Of its own size: it may be kept for long.
            path = format!("{}...", &path[..end]);
        }
        Violation { place, path, keyword: keyword.into(), message: message.into() }
    }

    /// What it takes of memory, about.
    pub fn bytes(&self) -> usize {
        size_of::<Violation>() + self.path.len() + self.keyword.len() + self.message.len()
    }

    /// As the header, the journal and a problem list it.
    pub fn to_json(&self) -> Json {
        let Violation { place, path, keyword, message } = self;
        json!({ "in": place.as_str(), "path": path, "keyword": keyword, "message": message })
    }

    /// The same, and whose it is.
    pub fn of_side(&self, side: Side) -> Json {
        let mut json = self.to_json();
        json["side"] = side.as_str().into();
        json
    }
}

/// What of a request and of its answer is listed: as many as `x-standin-violations` would have room for.
pub fn listed(request: &[Violation], response: &[Violation]) -> Vec<Json> {
    let request = request.iter().map(|violation| violation.of_side(Side::Request));
    let response = response.iter().map(|violation| violation.of_side(Side::Response));
    let mut room = LONGEST;
    let fits = |json: &Json| {
        let left = room.checked_sub(json.to_string().len());
        room = left.unwrap_or(0);
        left.is_some()
    };
    request.chain(response).take_while(fits).collect()
}

/// `x-standin-violations`: a JSON list in ASCII, of as many as there is room for. What is wrong with the
/// answer itself says so.
pub fn header(request: &[Violation], response: &[Violation]) -> HeaderValue {
    let mut list = String::from("[");
    let response = response.iter().map(|violation| violation.of_side(Side::Response));
    for json in request.iter().map(Violation::to_json).chain(response) {
        let text = ascii(&json.to_string());
        if list.len() + text.len() + 2 > LONGEST {
            break;
        }
        if list.len() > 1 {
            list.push(',');
        }
        list.push_str(&text);
    }
    list.push(']');
    HeaderValue::try_from(list).unwrap_or(HeaderValue::from_static("[]"))
}

/// JSON whose characters past ASCII are escaped (RFC 8259, 7), so that any header can carry it.
fn ascii(json: &str) -> String {
    let mut out = String::with_capacity(json.len());
    let mut units = [0; 2];
    for character in json.chars() {
        match character {
            ' '..='~' => out.push(character),
            other => {
                other
                    .encode_utf16(&mut units)
                    .iter()
                    .for_each(|unit| out.push_str(&format!("\\u{unit:04x}")));
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_cut() {
        let path = |name: &str| Violation::new(Place::Body, name, "type", "").path;
        assert_eq!(path("/a"), "/a");
        assert_eq!(path(&"ü".repeat(LONGEST_PATH)), "ü".repeat(LONGEST_PATH));
        assert_eq!(path(&"ü".repeat(1 << 20)), "ü".repeat(LONGEST_PATH) + "...");
    }

    #[test]
    fn the_header_is_ascii_json_of_what_there_is_room_for() {
        let violation = Violation::new(Place::Body, "/a", "type", "`\"ü\n😀\"` is no integer");
        let text = header(std::slice::from_ref(&violation), &[]);
        let back: Json = serde_json::from_slice(text.as_bytes()).expect("it is JSON");
        assert_eq!(back, json!([violation.to_json()]));
        let own = header(&[], std::slice::from_ref(&violation));
        let back: Json = serde_json::from_slice(own.as_bytes()).expect("it is JSON");
        assert_eq!(back, json!([violation.of_side(Side::Response)]));
        assert!(text.to_str().is_ok());
        let listed = listed(&vec![violation.clone(); 1000], &[]);
        assert!((30..100).contains(&listed.len()) && listed[0]["side"] == "request");
        let many = header(&vec![violation; 1000], &[]);
        let back: Json = serde_json::from_slice(many.as_bytes()).expect("it is JSON");
        assert!(many.len() <= LONGEST && back.as_array().map_or(0, Vec::len) > 30);
    }
}
