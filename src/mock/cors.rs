//! Cross-origin requests (Fetch Standard, 3.3): what browsers ask before them, and who may read answers.

use http::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE,
    ACCESS_CONTROL_REQUEST_HEADERS, ACCESS_CONTROL_REQUEST_METHOD, CACHE_CONTROL, CONTENT_LANGUAGE,
    CONTENT_LENGTH, CONTENT_TYPE, EXPIRES, LAST_MODIFIED, ORIGIN, PRAGMA, SET_COOKIE, VARY,
};
use http::{HeaderMap, HeaderName, HeaderValue, Method};

use super::message::Head;

/// Private Network Access, 3.1.
const REQUEST_PRIVATE: HeaderName = HeaderName::from_static("access-control-request-private-network");
const ALLOW_PRIVATE: HeaderName = HeaderName::from_static("access-control-allow-private-network");

const TRUE: HeaderValue = HeaderValue::from_static("true");

/// Seconds for which a browser need not ask again. Not more, since a reload may change who answers.
const MAX_AGE: HeaderValue = HeaderValue::from_static("60");

/// Bytes of the header names that one preflight gets allowed.
const LONGEST: usize = 8 << 10;

/// Fields that every script may read, and those that none may (Fetch, 2.2.2).
const NEVER_LISTED: [HeaderName; 9] = [
    CACHE_CONTROL,
    CONTENT_LANGUAGE,
    CONTENT_LENGTH,
    CONTENT_TYPE,
    EXPIRES,
    LAST_MODIFIED,
    PRAGMA,
    SET_COOKIE,
    VARY,
];

/// The method that a preflight asks for; none: the request is no preflight.
pub fn requested(head: &Head<'_>) -> Option<Method> {
    if *head.method != Method::OPTIONS {
        return None;
    }
    origin(head)?;
    Method::from_bytes(head.headers.get(ACCESS_CONTROL_REQUEST_METHOD)?.as_bytes()).ok()
}

/// Who asks, if a browser says so.
pub fn origin<'r>(head: &Head<'r>) -> Option<&'r HeaderValue> {
    head.headers.get(ORIGIN).filter(|origin| !origin.is_empty())
}

/// What a preflight is answered. Only the method that it asks for is allowed: another one of the path may
/// be the upstream's to allow.
pub fn preflight(head: &Head<'_>) -> HeaderMap {
    let mut fields = HeaderMap::new();
    let (Some(origin), Some(method)) = (origin(head), head.headers.get(ACCESS_CONTROL_REQUEST_METHOD)) else {
        return fields;
    };
    allow(&mut fields, origin);
    fields.insert(ACCESS_CONTROL_ALLOW_METHODS, method.clone());
    if let Some(names) = asked_headers(head) {
        fields.insert(ACCESS_CONTROL_ALLOW_HEADERS, names);
    }
    if head.headers.get(REQUEST_PRIVATE).is_some_and(|value| value == TRUE) {
        fields.insert(ALLOW_PRIVATE, TRUE);
    }
    fields.insert(ACCESS_CONTROL_MAX_AGE, MAX_AGE);
    fields
}

/// Those that are names.
fn asked_headers(head: &Head<'_>) -> Option<HeaderValue> {
    let lines = head.headers.get_all(ACCESS_CONTROL_REQUEST_HEADERS).iter();
    let names = lines.filter_map(|line| line.to_str().ok()).flat_map(|line| line.split(','));
    list(names.filter_map(|name| HeaderName::try_from(name.trim()).ok()))
}

/// Lets the origin read an answer. What the answer has of this already, the document says.
pub fn open(headers: &mut HeaderMap, origin: &HeaderValue) {
    if !headers.contains_key(ACCESS_CONTROL_EXPOSE_HEADERS) {
        // With credentials, `*` would be a name like any other.
        let is_listed = |name: &&HeaderName| {
            !NEVER_LISTED.contains(name) && !name.as_str().starts_with("access-control-")
        };
        if let Some(names) = list(headers.keys().filter(is_listed).cloned()) {
            headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, names);
        }
    }
    if !headers.contains_key(ACCESS_CONTROL_ALLOW_ORIGIN) {
        allow(headers, origin);
    }
}

/// Cookies and the like may come along only where the origin is named, not with `*`.
fn allow(headers: &mut HeaderMap, origin: &HeaderValue) {
    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
    headers.entry(ACCESS_CONTROL_ALLOW_CREDENTIALS).or_insert(TRUE);
    headers.append(VARY, HeaderValue::from_static("origin"));
}

fn list(names: impl Iterator<Item = HeaderName>) -> Option<HeaderValue> {
    let mut text = String::new();
    for name in names {
        if text.len() + name.as_str().len() > LONGEST {
            break;
        }
        text.push_str(if text.is_empty() { "" } else { ", " });
        text.push_str(name.as_str());
    }
    HeaderValue::try_from(text).ok().filter(|text| !text.is_empty())
}
