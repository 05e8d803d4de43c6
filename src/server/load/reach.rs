//! Where the references of a document may lead.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use url::Url;

use super::source::Place;
use super::web::{Trust, Wanted};
use super::{file, name_of};
use crate::config::{Login, Spec};

/// Bytes of a path, and of a URL. No system opens a longer path.
const LONGEST: usize = 4096;

/// What the config and the place of a document allow it to refer to.
pub(super) struct Reach {
    /// Its own one and the root, links resolved.
    folders: Vec<PathBuf>,
    /// The same as they are called.
    called: Vec<PathBuf>,
    /// The folder of the URL that it was read from, and who asks for it.
    beside: Option<(Url, Option<Login>)>,
    remote: bool,
}

/// What a reference means.
pub(super) enum Target {
    /// Not looked at yet.
    File(PathBuf),
    Url(Wanted),
}

impl Reach {
    pub(super) fn new(place: &Place<'_>, spec: &Spec) -> Self {
        let (own, beside) = match place {
            Place::File(path) => (path.parent(), None),
            Place::Url(page) => (None, page.url.join(".").ok().map(|folder| (folder, page.login.clone()))),
        };
        let root = spec.root.as_deref().filter(|_| own.is_some());
        let called: Vec<PathBuf> =
            [own, root].into_iter().flatten().map(name_of).map(PathBuf::from).collect();
        let folders = called.iter().filter_map(|folder| folder.canonicalize().ok());
        Reach { folders: folders.collect(), called, beside, remote: spec.remote }
    }

    pub(super) fn folders(&self) -> &[PathBuf] {
        &self.folders
    }

    /// Whether a change of what a path stands for is a change of the document.
    ///
    /// A link in its folder may lead out today and in tomorrow. All else outside is none of its
    /// concern: a log that a document names would bring a reload with each of its lines.
    pub(super) fn concerns(&self, path: &Path) -> bool {
        self.called.iter().any(|folder| path.starts_with(folder)) || file::is_inside(path, &self.folders)
    }

    /// What a name leads to, an absolute path or URL, or why it may not.
    pub(super) fn of(&self, name: &Arc<str>) -> Result<Target, String> {
        if name.len() > LONGEST {
            return Err(format!("its name is longer than {LONGEST} bytes"));
        }
        if name.starts_with('/') {
            return Ok(Target::File(Path::new(&**name).to_owned()));
        }
        let url = Url::parse(name).map_err(|error| format!("it is no URL: {error}"))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(format!("it begins with `{}:`; only http and https are read", url.scheme()));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err("a URL with user information is not read".to_owned());
        }
        let beside = self.beside.as_ref().filter(|(folder, _)| is_below(&url, folder));
        if beside.is_none() && !self.remote {
            return Err("remote references are off; `remote: true` turns them on".to_owned());
        }
        let login = beside.and_then(|(_, login)| login.clone());
        Ok(Target::Url(Wanted { name: name.clone(), login, trust: Trust::Document }))
    }
}

/// `%2F` and `%5C` may lead out of a folder where a server takes them for slashes.
fn is_below(url: &Url, folder: &Url) -> bool {
    let path = url.path().to_ascii_lowercase();
    url.origin() == folder.origin()
        && url.path().starts_with(folder.path())
        && !path.contains("%2f")
        && !path.contains("%5c")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{self, Source};

    /// Of a document by URL, without and with `remote`.
    #[track_caller]
    fn check(name: &str, alone: &str, remote: &str) {
        let source = config::source("http://me:pw@a.test/v1/api.yaml?x", Path::new("/")).unwrap();
        let mut spec = Spec::new(source.clone());
        let Source::Url(page) = source else { unreachable!() };
        let mut of = || {
            let reach = Reach::new(&Place::Url(&page), &spec);
            spec.remote = true;
            match reach.of(&name.into()) {
                Err(reason) => reason,
                Ok(Target::File(path)) => format!("file {}", path.display()),
                Ok(Target::Url(wanted)) => format!("url by {:?}", wanted.login.map(|login| login.user)),
            }
        };
        assert_eq!([of(), of()], [alone, remote], "{name}");
    }

    const OFF: &str = "remote references are off; `remote: true` turns them on";

    #[test]
    fn what_is_beside_a_url_is_its_own_and_all_else_is_remote() {
        let own = r#"url by Some("me")"#;
        check("http://a.test/v1/part.yaml", own, own);
        check("http://a.test/v1/parts/b.yaml?c", own, own);
        for other in [
            "http://a.test/v2/b.yaml",
            "http://a.test/v1x",
            "http://a.test/v1/../b.yaml",
            "http://a.test/v1/%2e%2e/b.yaml",
            "http://a.test/v1/..%2fb.yaml",
            "https://a.test/v1/b.yaml",
            "http://a.test:81/v1/b.yaml",
            "http://b.test/v1/b.yaml",
        ] {
            check(other, OFF, "url by None");
        }
    }

    #[test]
    fn other_names_lead_nowhere() {
        let scheme = "it begins with `file:`; only http and https are read";
        check("file:///etc/passwd", scheme, scheme);
        let user = "a URL with user information is not read";
        check("http://me:pw@a.test/v1/b.yaml", user, user);
        check("/etc/passwd", "file /etc/passwd", "file /etc/passwd");
        let long = "its name is longer than 4096 bytes";
        check(&"/a".repeat(5_000_000), long, long);
        check(&format!("http://a.test/v1/{}", "a".repeat(5000)), long, long);
    }
}
