//! What the fields of a request say of how it passes.

use http::header::{ACCEPT, CONTENT_TYPE, UPGRADE};
use http::{HeaderName, HeaderValue};
use pingora::http::RequestHeader;

/// Whether either side may be silent for as long as it likes.
pub fn is_stream(request: &RequestHeader) -> bool {
    (request.headers.contains_key(UPGRADE) && !asks_for_h2c(request))
        || says(request, ACCEPT, "text/event-stream")
        || says(request, CONTENT_TYPE, "application/grpc")
}

/// Java's client offers it with every request; pingora takes the offer off.
fn asks_for_h2c(request: &RequestHeader) -> bool {
    says(request, UPGRADE, "h2c")
}

/// Whether a field says a word, in whatever case.
pub fn says(request: &RequestHeader, name: HeaderName, word: &str) -> bool {
    let value = request.headers.get(name).map(HeaderValue::as_bytes).unwrap_or_default();
    value.windows(word.len()).any(|part| part.eq_ignore_ascii_case(word.as_bytes()))
}
