//! Where a reference leads from what it stands in (RFC 3986, 5.2).
//!
//! The result is a name as trees have it: an absolute path for a file, else an absolute URI.

use percent_encoding::percent_decode_str;
use url::Url;

/// Bytes of a reference, and of what it leads to. A longer one is a mistake, or meant to cost time.
pub const LONGEST: usize = 4 << 10;

/// Whether a name is that of a file. The others are URIs.
pub fn is_file(name: &str) -> bool {
    name.starts_with('/')
}

/// Whether a name is on another host, from where it could be fetched.
pub fn is_remote(name: &str) -> bool {
    name.starts_with("https://") || name.starts_with("http://")
}

/// What a reference without a fragment leads to. The error is why that is nothing.
pub fn join(base: &str, reference: &str) -> Result<String, &'static str> {
    if reference.len() > LONGEST {
        return Err("it is too long");
    }
    let joined = match scheme(reference) {
        Some(scheme) if scheme.eq_ignore_ascii_case("file") => file(base, &reference[scheme.len() + 1..])?,
        // A scheme that nothing is fetched by (`urn:`) makes a name, whatever its form.
        Some(_) => Url::parse(reference).map_or_else(|_| reference.to_owned(), String::from),
        None if is_file(base) => beside(base, reference)?,
        None => {
            let joined = Url::parse(base).and_then(|base| base.join(reference));
            joined.map(String::from).map_err(|_| "it makes no URL")?
        }
    };
    if joined.len() > LONGEST { Err("it is too long") } else { Ok(joined) }
}

/// RFC 3986, 3.1; none for a reference that is relative.
fn scheme(reference: &str) -> Option<&str> {
    let (scheme, _) = reference.split_once(':')?;
    let begins = scheme.starts_with(|c: char| c.is_ascii_alphabetic());
    let goes_on = scheme.bytes().all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(&b));
    (begins && goes_on).then_some(scheme)
}

/// The path of a `file:` URL (RFC 8089).
fn file(base: &str, after: &str) -> Result<String, &'static str> {
    if !is_file(base) {
        return Err("a text from another host can't refer to files");
    }
    let path = match after.strip_prefix("//") {
        Some(rest) => rest.strip_prefix("localhost").unwrap_or(rest),
        None => after,
    };
    if path.starts_with('/') { beside("/", path) } else { Err("a file's URL is written as `file:///path`") }
}

/// RFC 3986, 5.2.4 for file names: `path` relative to the folder of `base`.
fn beside(base: &str, path: &str) -> Result<String, &'static str> {
    if path.contains('?') {
        return Err("a file's name has no query, and a `?` in it is written `%3F`");
    }
    if path.starts_with("//") {
        return Err("a file is on no host");
    }
    if path.is_empty() {
        return Ok(base.to_owned());
    }
    let path = percent_decode_str(path).decode_utf8_lossy();
    let folder =
        if path.starts_with('/') { "" } else { base.rsplit_once('/').map_or("", |(folder, _)| folder) };
    let mut segments: Vec<&str> = Vec::new();
    for segment in folder.split('/').chain(path.split('/')) {
        match segment {
            "" | "." => {}
            ".." => {
                segments.pop();
            }
            segment => segments.push(segment),
        }
    }
    Ok(format!("/{}", segments.join("/")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(base: &str, reference: &str, expected: &str) {
        assert_eq!(join(base, reference).as_deref().unwrap_or_else(|error| error), expected);
    }

    #[test]
    fn a_file_is_relative_to_the_one_that_refers_to_it() {
        check("/specs/a.yaml", "b.yaml", "/specs/b.yaml");
        check("/specs/a.yaml", "./parts/b.yaml", "/specs/parts/b.yaml");
        check("/specs/parts/b.yaml", "../c.yaml", "/specs/c.yaml");
        check("/a.yaml", "../../c.yaml", "/c.yaml");
        check("/specs/a.yaml", "/other/c.yaml", "/other/c.yaml");
        check("/specs/a.yaml", "", "/specs/a.yaml");
    }

    #[test]
    fn a_file_s_name_is_decoded_once() {
        check("/s/a.yaml", "my%20b%2541.yaml", "/s/my b%41.yaml");
        check("/s/a.yaml", "b%3Fc%23.yaml", "/s/b?c#.yaml");
        check("/s/a.yaml", "%2e%2e/b.yaml", "/b.yaml");
    }

    #[test]
    fn a_url_is_relative_to_a_url() {
        check("https://h/s/a.yaml", "b.yaml", "https://h/s/b.yaml");
        check("https://h/s/a.yaml", "../b.yaml?x=1", "https://h/b.yaml?x=1");
        check("https://h/s/a.yaml", "/b.yaml", "https://h/b.yaml");
        check("https://h/s/a.yaml", "//other/b.yaml", "https://other/b.yaml");
        check("https://h/s/a.yaml", "?x", "https://h/s/a.yaml?x");
    }

    #[test]
    fn an_absolute_reference_asks_for_no_base() {
        check("/s/a.yaml", "HTTPS://H/x/../b.yaml", "https://h/b.yaml");
        check("/s/a.yaml", "file:///x/%41.yaml", "/x/A.yaml");
        check("/s/a.yaml", "file:/x.yaml", "/x.yaml");
        check("/s/a.yaml", "urn:example:b", "urn:example:b");
    }

    #[test]
    fn a_text_from_another_host_names_no_file() {
        check("https://h/a.yaml", "file:///etc/passwd", "a text from another host can't refer to files");
    }

    #[test]
    fn what_leads_nowhere_says_why() {
        check("/s/a.yaml", "b.yaml?v=1", "a file's name has no query, and a `?` in it is written `%3F`");
        check("/s/a.yaml", "//h/b.yaml", "a file is on no host");
        check("/s/a.yaml", "file://h/b.yaml", "a file's URL is written as `file:///path`");
        check("urn:example:a", "b.yaml", "it makes no URL");
        check("/s/a.yaml", &"x".repeat(LONGEST + 1), "it is too long");
        check("https://h/a.yaml", &"é".repeat(LONGEST / 2), "it is too long");
    }
}
