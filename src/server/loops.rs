//! Whether a request has been here before (RFC 8586).

use http::{HeaderMap, HeaderName, HeaderValue};

/// Each hop that may be part of a loop adds its own name.
pub const CDN_LOOP: HeaderName = HeaderName::from_static("cdn-loop");

/// The name of this process among the hops of a request. Another Standin has another one: a request may
/// well pass through several.
#[derive(Debug, Clone)]
pub struct Loops(Box<str>);

impl Default for Loops {
    fn default() -> Self {
        let chance: String = std::iter::repeat_with(fastrand::alphanumeric).take(16).collect();
        Loops(format!("standin-{chance}").into())
    }
}

impl Loops {
    /// Whether a request with these fields was sent by this process.
    pub fn detect(&self, headers: &HeaderMap) -> bool {
        let mut values = headers.get_all(CDN_LOOP).iter().filter_map(|value| value.to_str().ok());
        // A member may have parameters (RFC 8586, 2).
        let name = |member: &str| member.split(';').next().unwrap_or("").trim() == &*self.0;
        values.any(|value| value.split(',').any(name))
    }

    /// The field with this process added. `before` is what it was, and stays as it is.
    pub fn value(&self, before: Option<&str>) -> Option<HeaderValue> {
        let own = &*self.0;
        HeaderValue::try_from(before.map_or(own.to_owned(), |before| format!("{before}, {own}"))).ok()
    }

    /// All values of the field as one; none if it is not there, or not text.
    pub fn before(headers: &HeaderMap) -> Option<String> {
        let values: Vec<&str> =
            headers.get_all(CDN_LOOP).iter().filter_map(|value| value.to_str().ok()).collect();
        (!values.is_empty()).then(|| values.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_this_process_sent_is_known_again() {
        let (own, other) = (Loops::default(), Loops::default());
        let check = |values: &[&str], expected: bool| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(CDN_LOOP, value.replace("OWN", &own.0).parse().unwrap());
            }
            assert_eq!(own.detect(&headers), expected, "{values:?}");
            assert!(!other.detect(&headers));
        };
        check(&[], false);
        check(&["cdn.example; a=OWN, standin"], false);
        check(&["OWNx"], false);
        check(&["OWN"], true);
        check(&["cdn.example", "a;b=\"c\" , OWN;v=1"], true);
    }

    #[test]
    fn what_others_said_stays() {
        let own = Loops::default();
        let mut headers = HeaderMap::new();
        assert_eq!(own.value(Loops::before(&headers).as_deref()).unwrap(), &*own.0);
        headers.append(CDN_LOOP, "a".parse().unwrap());
        headers.append(CDN_LOOP, "b; c=d".parse().unwrap());
        let value = own.value(Loops::before(&headers).as_deref()).unwrap();
        assert_eq!(value, format!("a, b; c=d, {}", own.0));
    }
}
