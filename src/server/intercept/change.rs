//! Changes of what passes, because the config says so.

use http::uri::{Parts, PathAndQuery};
use http::{HeaderName, HeaderValue, Uri};
use pingora::Result;
use pingora::http::{RequestHeader, ResponseHeader};

use crate::config::{Fields, Prefix};

/// A header section that can be changed.
pub trait Section {
    fn remove(&mut self, name: &HeaderName);

    fn set(&mut self, name: &HeaderName, value: &HeaderValue) -> Result<()>;

    fn add(&mut self, name: &HeaderName, value: &HeaderValue) -> Result<()>;
}

/// Changes fields as the config says.
pub fn fields(section: &mut impl Section, fields: &Fields) -> Result<()> {
    for name in &fields.remove {
        section.remove(name);
    }
    for (name, value) in &fields.set {
        section.set(name, value)?;
    }
    fields.add.iter().try_for_each(|(name, value)| section.add(name, value))
}

/// Changes the beginning of the path as the config says, and no byte of the rest of the target.
pub fn path(request: &mut RequestHeader, prefix: &Prefix) -> Result<()> {
    let target = request.raw_path();
    let begin = authority_end(target);
    let end = target.iter().position(|byte| *byte == b'?').unwrap_or(target.len());
    let Some(path) = target.get(begin..end).and_then(|path| prefix.apply(path)) else { return Ok(()) };
    let changed = [&target[..begin], &path, &target[end..]].concat();
    // HTTP/2 keeps the authority apart from the target, where the next hop is to find it too.
    let Some(authority) = request.uri.authority().filter(|_| begin == 0).cloned() else {
        return request.set_raw_path(&changed);
    };
    let mut parts = Parts::default();
    parts.scheme = request.uri.scheme().cloned();
    parts.authority = Some(authority);
    parts.path_and_query = PathAndQuery::try_from(changed.as_slice()).ok();
    if let Ok(uri) = Uri::from_parts(parts) {
        request.set_uri(uri);
    }
    Ok(())
}

/// Where the path begins of a target that names its scheme and authority (RFC 9112, 3.2.2).
fn authority_end(target: &[u8]) -> usize {
    let Some(scheme) = target.windows(3).position(|bytes| bytes == b"://") else { return 0 };
    if target.first() == Some(&b'/') {
        return 0;
    }
    let begin = scheme + 3;
    let rest = target[begin..].iter().position(|byte| matches!(byte, b'/' | b'?'));
    rest.map_or(target.len(), |length| begin + length)
}

macro_rules! section {
    ($kind:ty) => {
        impl Section for $kind {
            fn remove(&mut self, name: &HeaderName) {
                self.remove_header(name);
            }

            fn set(&mut self, name: &HeaderName, value: &HeaderValue) -> Result<()> {
                self.insert_header(name, value)
            }

            fn add(&mut self, name: &HeaderName, value: &HeaderValue) -> Result<()> {
                self.append_header(name, value).map(|_| ())
            }
        }
    };
}

section!(RequestHeader);
section!(ResponseHeader);

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(target: &str, expected: &str) {
        let prefix = Prefix { strip: Some("/api".into()), add: Some("/v2".into()) };
        let mut request = RequestHeader::build("GET", b"/", None).unwrap();
        request.set_raw_path(target.as_bytes()).unwrap();
        path(&mut request, &prefix).unwrap();
        assert_eq!(String::from_utf8_lossy(request.raw_path()), expected);
    }

    #[test]
    fn only_the_beginning_of_the_path_changes() {
        check("/api/users?next=/api/x", "/v2/users?next=/api/x");
        check("/api?a", "/v2?a");
        check("/apis", "/v2/apis");
        check("/api/%2Fx//y/../z", "/v2/%2Fx//y/../z");
        check("http://host/api/a?b=://c/", "http://host/v2/a?b=://c/");
        check("/a?b=http://c/api", "/v2/a?b=http://c/api");
    }
}
