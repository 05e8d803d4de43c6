//! JSON Pointers (RFC 6901), read once.

use serde_json::Value as Json;

/// A pointer's reference tokens, unescaped. None: the whole document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::mock) struct Pointer {
    tokens: Box<[Box<str>]>,
}

impl Pointer {
    /// Reads a pointer. The error says what is wrong with it, and how many bytes into it.
    pub fn parse(text: &str) -> Result<Pointer, (usize, &'static str)> {
        if text.is_empty() {
            return Ok(Pointer { tokens: Box::new([]) });
        }
        let Some(body) = text.strip_prefix('/') else {
            return Err((0, "a JSON Pointer begins with `/`"));
        };
        let mut rest = text;
        while let Some((_, after)) = rest.split_once('~') {
            if !after.starts_with(['0', '1']) {
                return Err((text.len() - after.len() - 1, "a `~` in a JSON Pointer is written `~0`"));
            }
            rest = after;
        }
        // RFC 6901, 4: `~1` first, so that `~01` is `~1`.
        let tokens = body.split('/').map(|token| token.replace("~1", "/").replace("~0", "~").into());
        Ok(Pointer { tokens: tokens.collect() })
    }

    pub fn tokens(&self) -> impl Iterator<Item = &str> {
        self.tokens.iter().map(|token| &**token)
    }

    /// The value that the pointer leads to.
    pub fn find<'j>(&self, document: &'j Json) -> Option<&'j Json> {
        self.tokens.iter().try_fold(document, |value, token| match value {
            Json::Object(members) => members.get(&**token),
            Json::Array(items) => items.get(index(token)?),
            _ => None,
        })
    }
}

/// RFC 6901, 4: digits without leading zeros.
fn index(token: &str) -> Option<usize> {
    let plain = token == "0" || !token.starts_with(['0', '+']);
    token.parse().ok().filter(|_| plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(pointer: &str, expected: Option<&str>) {
        let document: Json = serde_json::from_str(
            r#"{"foo":["bar","baz"],"":0,"a/b":1,"c%d":2,"e^f":3,"g|h":4,"i\\j":5,"k\"l":6," ":7,"m~n":8,"~1":9}"#,
        )
        .expect("the document is JSON");
        let pointer = Pointer::parse(pointer).expect("the pointer is one");
        assert_eq!(pointer.find(&document).map(Json::to_string).as_deref(), expected);
    }

    #[test]
    fn rfc_6901_examples() {
        check("/foo", Some(r#"["bar","baz"]"#));
        check("/foo/0", Some(r#""bar""#));
        check("/", Some("0"));
        check("/a~1b", Some("1"));
        check("/c%d", Some("2"));
        check("/e^f", Some("3"));
        check("/g|h", Some("4"));
        check("/i\\j", Some("5"));
        check("/k\"l", Some("6"));
        check("/ ", Some("7"));
        check("/m~0n", Some("8"));
        check("/~01", Some("9"));
    }

    #[test]
    fn what_is_not_there_is_not_found() {
        check("/nope", None);
        check("/foo/2", None);
        check("/foo/00", None);
        check("/foo/+1", None);
        check("/foo/-", None);
        check("/foo/99999999999999999999999", None);
        check("/foo/0/bar", None);
    }

    #[test]
    fn a_bad_escape_is_said_where_it_stands() {
        assert_eq!(Pointer::parse("/a~2").map_err(|(at, _)| at), Err(2));
        assert_eq!(Pointer::parse("/a~").map_err(|(at, _)| at), Err(2));
        assert_eq!(Pointer::parse("a").map_err(|(at, _)| at), Err(0));
    }
}
