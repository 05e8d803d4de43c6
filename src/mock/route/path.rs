//! Spellings of a path: which are the same, and which only look different to some servers.
//!
//! RFC 3986, 6.2.2: the case of hex digits and the encoding of unreserved characters make no
//! difference. Nothing else is ever taken as equal; but what some server would read as equal is
//! found by [`readings`], so that a call which is meant to be mocked never slips through to the
//! upstream under another spelling.

use std::borrow::Cow;

/// The segments of a path; `/` has one, which is empty, and `""` has none.
pub fn segments(path: &str) -> impl Iterator<Item = &str> {
    path.strip_prefix('/').into_iter().flat_map(|rest| rest.split('/'))
}

/// The one spelling that stands for all that are the same.
pub fn canonical(path: &str) -> Cow<'_, str> {
    if path.bytes().all(is_plain) {
        return Cow::Borrowed(path);
    }
    let mut out = String::with_capacity(path.len() + 8);
    let mut bytes = path.bytes();
    while let Some(byte) = bytes.next() {
        match byte {
            b'%' => {
                let mut ahead = bytes.clone();
                match (ahead.next().and_then(hex), ahead.next().and_then(hex)) {
                    (Some(high), Some(low)) => {
                        bytes = ahead;
                        let value = high << 4 | low;
                        if is_unreserved(value) {
                            out.push(value.into());
                        } else {
                            encode_byte(value, &mut out);
                        }
                    }
                    _ => encode_byte(b'%', &mut out),
                }
            }
            byte if is_plain(byte) => out.push(byte.into()),
            byte => encode_byte(byte, &mut out),
        }
    }
    Cow::Owned(out)
}

/// What the servers that are lenient in one way or another may read a canonical path as; nothing for
/// an ordinary path. At most 127.
pub fn readings(canonical: &str) -> Vec<String> {
    let mut found = vec![canonical.to_owned()];
    for lenience in LENIENCES.iter().filter(|lenience| (lenience.concerns)(canonical)) {
        // A server has it or has it not: each reading so far leads to one more.
        for at in 0..found.len() {
            let read = (lenience.read)(&found[at]);
            if !found.contains(&read) {
                found.push(read);
            }
        }
    }
    let mut spelled: Vec<String> = Vec::new();
    for read in &found {
        // What a lenience decodes may be spelled in more ways than one again.
        let read = self::canonical(read).into_owned();
        if read != canonical && !spelled.contains(&read) {
            spelled.push(read);
        }
    }
    spelled
}

struct Lenience {
    concerns: fn(&str) -> bool,
    read: fn(&str) -> String,
}

/// In the order in which a server would apply them.
const LENIENCES: [Lenience; 7] = [
    // Reserved characters decoded, but for those that follow.
    Lenience { concerns: |path| RESERVED.iter().any(|(code, _)| path.contains(code)), read: decode_reserved },
    Lenience {
        concerns: |path| path.contains("%2F") || path.contains("%5C"),
        read: |path| path.replace("%2F", "/").replace("%5C", "\\"),
    },
    Lenience {
        concerns: |path| path.contains('\\') || path.contains("%5C"),
        read: |path| path.replace("%5C", "\\").replace('\\', "/"),
    },
    // A segment that begins with `;` may be a matrix parameter, which such a server keeps.
    Lenience { concerns: |path| path.contains("/;"), read: without_appended },
    Lenience { concerns: |path| path.contains(';') || path.contains("%3B"), read: without_parameters },
    Lenience {
        concerns: |path| {
            path.contains("//") || path.contains("%2F") || path.contains("%5C") || path.contains(['\\', ';'])
        },
        read: without_repeated_slashes,
    },
    Lenience {
        concerns: |path| ["/.", "\\.", "%2F.", "%5C."].iter().any(|dot| path.contains(dot)),
        read: without_dots,
    },
];

const RESERVED: [(&str, char); 13] = [
    ("%21", '!'),
    ("%24", '$'),
    ("%26", '&'),
    ("%27", '\''),
    ("%28", '('),
    ("%29", ')'),
    ("%2A", '*'),
    ("%2B", '+'),
    ("%2C", ','),
    ("%3A", ':'),
    ("%3B", ';'),
    ("%3D", '='),
    ("%40", '@'),
];

fn decode_reserved(path: &str) -> String {
    let mut out = String::with_capacity(path.len());
    let mut rest = path;
    while let Some(at) = rest.find('%') {
        let (before, code) = rest.split_at(at);
        out.push_str(before);
        let known = RESERVED.iter().find(|(reserved, _)| code.starts_with(reserved));
        out.push(known.map_or('%', |(_, plain)| *plain));
        rest = &code[if known.is_some() { 3 } else { 1 }..];
    }
    out + rest
}

fn without_parameters(path: &str) -> String {
    let cut: Vec<&str> = path.split('/').map(|segment| segment.split(';').next().unwrap_or("")).collect();
    cut.join("/")
}

fn without_appended(path: &str) -> String {
    let cut: Vec<&str> = path
        .split('/')
        .map(|segment| match segment.starts_with(';') {
            true => segment,
            false => segment.split(';').next().unwrap_or(""),
        })
        .collect();
    cut.join("/")
}

fn without_repeated_slashes(path: &str) -> String {
    let mut out = String::with_capacity(path.len());
    for character in path.chars() {
        if !(character == '/' && out.ends_with('/')) {
            out.push(character);
        }
    }
    out
}

/// RFC 3986, 5.2.4.
fn without_dots(path: &str) -> String {
    let mut kept: Vec<&str> = Vec::new();
    let mut folder = false;
    for segment in segments(path) {
        folder = matches!(segment, "." | "..");
        match segment {
            "." => {}
            ".." => {
                kept.pop();
            }
            segment => kept.push(segment),
        }
    }
    let mut out = format!("/{}", kept.join("/"));
    if folder && !out.ends_with('/') {
        out.push('/');
    }
    out
}

/// RFC 3986, 2.3.
fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~')
}

/// What stands in a canonical path for itself: RFC 3986's `pchar` and `/`, and the backslash, which
/// [`readings`] looks for.
fn is_plain(byte: u8) -> bool {
    is_unreserved(byte)
        || matches!(byte, b'/' | b'!' | b'$' | b'&'..=b',' | b':' | b';' | b'=' | b'@' | b'\\')
}

fn hex(byte: u8) -> Option<u8> {
    (byte as char).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

fn encode_byte(byte: u8, out: &mut String) {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    out.push('%');
    out.push(DIGITS[usize::from(byte >> 4)].into());
    out.push(DIGITS[usize::from(byte & 15)].into());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_canonical(path: &str, expected: &str) {
        assert_eq!(canonical(path), expected);
    }

    #[track_caller]
    fn check_reading(path: &str, expected: &str) {
        let readings = readings(&canonical(path));
        assert!(readings.iter().any(|reading| reading == expected), "{path} reads as {readings:?}");
    }

    #[test]
    fn unreserved_characters_are_the_same_encoded() {
        check_canonical("/%6dock/%7Eme", "/mock/~me");
        check_canonical("/a%2fb", "/a%2Fb");
        check_canonical("/a b", "/a%20b");
        check_canonical("/100%", "/100%25");
        check_canonical("/%zz", "/%25zz");
        check_canonical("/caf\u{e9}", "/caf%C3%A9");
        assert!(matches!(canonical("/plain/path"), Cow::Borrowed(_)));
    }

    #[test]
    fn lenient_servers_are_foreseen() {
        for path in [
            "//mock",
            "/./mock",
            "/mock;x=1",
            "/x/..;/mock",
            "/x%2f..%2fmock",
            "/x\\..\\mock",
            "/%2e/mock",
            "/x/../mock",
            "/x//../mock",
            "///mock",
            "/%5cmock",
            "/mock/.",
            "/x/..%2fmock",
            "/%2Fmock",
            "/mock%3bx",
        ] {
            let found = readings(&canonical(path));
            assert!(
                found.iter().any(|read| read == "/mock" || read == "/mock/"),
                "{path} reads as {found:?}"
            );
        }
        check_reading("/a%3Averb", "/a:verb");
        check_reading("/users/%40me", "/users/@me");
    }

    #[test]
    fn an_ordinary_path_has_one_reading() {
        assert_eq!(readings("/repos/a/b"), Vec::<String>::new());
        assert_eq!(readings("/file.json"), Vec::<String>::new());
    }
}
