//! Where documents are: a file, a folder, a pattern of files, a URL.

use std::fmt;
use std::path::{Path, PathBuf};

use globset::{GlobBuilder, GlobMatcher};
use url::Url;

use super::problem::{Problem, quoted};
use super::{Glob, Login, Page, Source};

/// Reads a source. What is relative in it is joined to `folder`.
pub fn source(text: &str, folder: &Path) -> Result<Source, Problem> {
    if text.is_empty() {
        return Err(Problem::value("an empty source").hint("name a file, a folder, a pattern or a URL"));
    }
    if let Some((scheme, _)) = text.split_once("://") {
        return match scheme.to_ascii_lowercase().as_str() {
            "http" | "https" => page(text).map(Source::Url),
            _ => Err(Problem::value(format!("unknown scheme {}", quoted(scheme)))
                .hint("write a path, or a URL that begins with `http://` or `https://`")),
        };
    }
    // A file of such a name is rarer than a slash too few, and that may have a password behind it.
    if let Some((scheme @ ("http" | "https"), _)) = text.split_once(':') {
        return Err(Problem::value(format!("a URL without `//` behind `{scheme}:`"))
            .hint(format!("write `{scheme}://`, or `./{scheme}:` for a file of that name")));
    }
    match text.find(['*', '?', '[', '{']) {
        Some(special) => glob(text, special, folder).map(Source::Glob),
        None => Ok(Source::Path(plain(text, folder))),
    }
}

/// A folder that references may reach as well.
pub fn root(text: &str, folder: &Path) -> Result<PathBuf, Problem> {
    match text {
        "" => Err(Problem::value("an empty path").hint("name a folder")),
        text => Ok(plain(text, folder)),
    }
}

/// Several sources in one text, with commas between them; those within `{a,b}` are the pattern's.
pub fn sources(text: &str) -> impl Iterator<Item = &str> {
    let mut open = 0_usize;
    let separates = move |c: char| {
        match c {
            '{' => open += 1,
            '}' => open = open.saturating_sub(1),
            _ => {}
        }
        c == ',' && open == 0
    };
    text.split(separates).map(str::trim).filter(|source| !source.is_empty())
}

/// By components, which drops the `.` of `./specs`.
fn plain(text: &str, folder: &Path) -> PathBuf {
    folder.join(text).components().collect()
}

/// `special` is where the first character stands that is no part of a plain name.
fn glob(text: &str, special: usize, folder: &Path) -> Result<Glob, Problem> {
    let (fixed, rest) = text.split_at(text[..special].rfind('/').map_or(0, |slash| slash + 1));
    let parts: Vec<&str> = rest.split('/').filter(|part| !matches!(*part, "" | ".")).collect();
    if parts.contains(&"..") {
        return Err(Problem::value("`..` behind a `*` or its like matches nothing")
            .hint("write the folder itself, before the first of them"));
    }
    let pattern = GlobBuilder::new(&parts.join("/")).literal_separator(true).empty_alternates(true).build();
    let pattern = pattern.map_err(|error| {
        Problem::value(format!("{} is no pattern: {}", quoted(text), error.kind()))
            .hint("`*` is any part of a name, `?` a character, `**` any folders, `[a-z]` one of these, `{a,b}` either")
    })?;
    Ok(Glob {
        literal: plain(text, folder),
        folder: plain(fixed, folder),
        depth: if rest.contains("**") { None } else { Some(parts.len()) },
        hidden: parts.iter().any(|part| part.starts_with('.')),
        matcher: Matcher(pattern.compile_matcher()),
    })
}

/// Where calls are sent through: a proxy speaks http or https, and has nothing after its port.
pub(super) fn proxy(text: &str) -> Result<Page, Problem> {
    let wanted =
        || Problem::value("no proxy").hint("write `http://host:port` or `http://user:password@host:port`");
    let page = page(text)?;
    let is_bare = page.url.path() == "/" && page.url.query().is_none();
    match page.url.scheme() {
        "http" | "https" if is_bare && page.url.has_host() => Ok(page),
        _ => Err(wanted()),
    }
}

/// An http or https URL. Its text is not repeated: it may have a password.
fn page(text: &str) -> Result<Page, Problem> {
    let mut url = Url::parse(text).map_err(|error| Problem::value(format!("no URL: {error}")))?;
    if url.fragment().is_some() {
        return Err(Problem::value("a source is a whole document, and this URL has a fragment")
            .hint("leave out the `#`"));
    }
    if url.port_or_known_default() == Some(0) {
        return Err(Problem::value("port 0 can't be connected to"));
    }
    let decoded = |text: &str| percent_encoding::percent_decode_str(text).decode_utf8_lossy().into_owned();
    let login =
        Login { user: decoded(url.username()), password: decoded(url.password().unwrap_or_default()) };
    let login = (!login.user.is_empty() || !login.password.is_empty()).then_some(login);
    // An http URL has a host, so both can be taken off.
    let _ = url.set_username("").and_then(|()| url.set_password(None));
    Ok(Page { url, login })
}

/// A compiled pattern.
#[derive(Clone)]
pub(super) struct Matcher(GlobMatcher);

impl Glob {
    /// Whether a path below [`Glob::folder`] is meant, given relative to it.
    pub fn matches(&self, below: &Path) -> bool {
        self.matcher.0.is_match(below)
    }
}

impl PartialEq for Matcher {
    fn eq(&self, other: &Self) -> bool {
        self.0.glob() == other.0.glob()
    }
}

impl fmt::Debug for Matcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.glob().glob())
    }
}

/// Without what is secret.
impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Login")
    }
}

/// As diagnostics name it: a URL without its user information.
impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Source::Path(path) => write!(f, "{}", path.display()),
            Source::Glob(glob) => write!(f, "{}", glob.literal.display()),
            Source::Url(page) => write!(f, "{}", page.url),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FOLDER: &str = "/etc/[standin]";

    #[track_caller]
    fn check(text: &str, expected: &str) {
        let read = match source(text, Path::new(FOLDER)) {
            Ok(Source::Path(path)) => format!("path {}", path.display()),
            Ok(Source::Glob(glob)) => {
                format!("glob {:?} {:?} {:?}", glob.folder, glob.matcher, glob.depth)
            }
            Ok(Source::Url(page)) => match page.login {
                Some(Login { user, password }) => format!("url {} by {user}:{password}", page.url),
                None => format!("url {}", page.url),
            },
            Err(problem) => problem.to_string(),
        };
        assert_eq!(read, expected, "{text}");
    }

    #[test]
    fn a_path_is_relative_to_the_folder() {
        check("./specs/a.yaml", "path /etc/[standin]/specs/a.yaml");
        check("../a.yaml", "path /etc/[standin]/../a.yaml");
        check("/a.yaml", "path /a.yaml");
        check("", "an empty source; name a file, a folder, a pattern or a URL");
    }

    #[test]
    fn a_pattern_begins_in_the_last_folder_with_a_plain_name() {
        check("*.yaml", r#"glob "/etc/[standin]" *.yaml Some(1)"#);
        check("../specs/*/a?.json", r#"glob "/etc/[standin]/../specs" */a?.json Some(2)"#);
        check("/srv/v[12].yaml", r#"glob "/srv" v[12].yaml Some(1)"#);
        check("/srv/**/{a,b}.yaml", r#"glob "/srv" **/{a,b}.yaml None"#);
        check("a/*/./b.yaml", r#"glob "/etc/[standin]/a" */b.yaml Some(2)"#);
    }

    #[test]
    fn what_is_no_pattern_is_refused() {
        let hint = "`*` is any part of a name, `?` a character, `**` any folders, `[a-z]` one of these, `{a,b}` either";
        check(
            "a/[b.yaml",
            &format!("`a/[b.yaml` is no pattern: unclosed character class; missing ']'; {hint}"),
        );
        check(
            "a/*/../b.yaml",
            "`..` behind a `*` or its like matches nothing; write the folder itself, before the first of them",
        );
    }

    #[test]
    fn a_star_stays_in_its_folder() {
        let matches = |pattern: &str, path: &str| match source(pattern, Path::new("/a")) {
            Ok(Source::Glob(glob)) => glob.matches(Path::new(path)),
            other => panic!("{other:?}"),
        };
        assert!(matches("*.yaml", "b.yaml") && !matches("*.yaml", "b/c.yaml"));
        assert!(matches("**/*.yaml", "b.yaml") && matches("**/*.yaml", "b/c/d.yaml"));
        assert!(matches("{a,b/c}.yaml", "b/c.yaml") && matches("a{,-b}.yaml", "a.yaml"));
        assert!(matches("v[0-9].yaml", "v3.yaml") && !matches("v[0-9].yaml", "vx.yaml"));
    }

    #[test]
    fn a_url_is_called_without_its_user_information() {
        check("https://api.test/a.yaml?x=1", "url https://api.test/a.yaml?x=1");
        check("HTTP://me:p%40ss@api.test:81/a.yaml", "url http://api.test:81/a.yaml by me:p@ss");
        check("https://:token@api.test", "url https://api.test/ by :token");
        let source = source("http://me:secret@a/b", Path::new("/")).expect("a URL");
        assert!(!format!("{source} {source:?}").contains("secret"));
    }

    #[test]
    fn other_urls_are_no_sources() {
        check("http://me:pw@", "no URL: empty host");
        check("http://a/b#c", "a source is a whole document, and this URL has a fragment; leave out the `#`");
        check(
            "https:/me:secret@a/b",
            "a URL without `//` behind `https:`; write `https://`, or `./https:` for a file of that name",
        );
        check("http://a:0/", "port 0 can't be connected to");
        check(
            "file:///a.yaml",
            "unknown scheme `file`; write a path, or a URL that begins with `http://` or `https://`",
        );
    }

    #[test]
    fn commas_part_sources_but_within_braces() {
        assert_eq!(sources("a, {b,c}.yaml,,d").collect::<Vec<_>>(), ["a", "{b,c}.yaml", "d"]);
    }
}
