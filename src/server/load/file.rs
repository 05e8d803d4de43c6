//! Texts on disk.

use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// Of at most `limit` bytes, so that a device or a log is not swallowed.
pub(super) fn read(path: &Path, limit: usize) -> Result<Vec<u8>, String> {
    let file = File::open(path).map_err(|error| reason(&error))?;
    let meta = file.metadata().map_err(|error| reason(&error))?;
    if meta.is_dir() {
        return Err("it is a folder".to_owned());
    }
    // Room for the file as it is, so that a large one is not copied as it grows.
    let size = usize::try_from(meta.len()).unwrap_or(usize::MAX);
    let mut bytes = Vec::with_capacity(size.min(limit).saturating_add(1));
    let most = u64::try_from(limit).unwrap_or(u64::MAX);
    file.take(most.saturating_add(1)).read_to_end(&mut bytes).map_err(|error| reason(&error))?;
    if bytes.len() > limit {
        return Err(format!("it is larger than {limit} bytes (`reading.size`)"));
    }
    Ok(bytes)
}

/// The file that a document means by a path, links resolved, if that is in one of `folders`.
///
/// A file that is not there is told apart from one outside only inside, so that a document can't
/// find out what there is elsewhere.
pub(super) fn inside(path: &Path, folders: &[PathBuf]) -> Result<PathBuf, String> {
    if !is_inside(path, folders) {
        return Err("it is outside the document's folder; a `root` that has it would allow it".to_owned());
    }
    let real = path.canonicalize().map_err(|error| reason(&error))?;
    // To open a pipe could take for ever.
    match real.metadata() {
        Ok(meta) if !meta.is_file() && !meta.is_dir() => Err("it is no file".to_owned()),
        _ => Ok(real),
    }
}

/// Whether as much of a path as there is leads into one of `folders`.
pub(super) fn is_inside(path: &Path, folders: &[PathBuf]) -> bool {
    let there = nearest(path).and_then(|there| there.canonicalize().ok());
    there.is_some_and(|there| folders.iter().any(|folder| there.starts_with(folder)))
}

/// As much of a path as there is. From the top, since what is missing may have thousands of parts.
pub(super) fn nearest(path: &Path) -> Option<&Path> {
    let parts: Vec<&Path> = path.ancestors().collect();
    parts.into_iter().rev().take_while(|part| part.exists()).last()
}

fn reason(error: &io::Error) -> String {
    match error.kind() {
        ErrorKind::NotFound => "there is no such file".to_owned(),
        _ => error.to_string(),
    }
}

/// What a file looked like, to notice a change without reading it.
pub type Stamp = Option<Look>;

/// Size and time alone do not tell: tools set times, and images have one for all files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Look {
    modified: SystemTime,
    size: u64,
    /// The device and the number on it: another file by that name.
    file: (u64, u64),
    /// Of anything about the file; no tool sets it.
    changed: (i64, i64),
}

pub fn stamp(path: &Path) -> Stamp {
    let meta = std::fs::metadata(path).ok()?;
    Some(Look {
        modified: meta.modified().ok()?,
        size: meta.len(),
        file: (meta.dev(), meta.ino()),
        changed: (meta.ctime(), meta.ctime_nsec()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(folder: &Path, path: &str, expected: Result<&str, &str>) {
        let folders = [folder.canonicalize().unwrap()];
        let path = folder.join("own").join(path);
        let found = inside(&path, &[folders[0].join("own")]);
        let found = found.map(|real| real.strip_prefix(&folders[0]).unwrap().display().to_string());
        assert_eq!(found.as_deref().map_err(String::as_str), expected, "{}", path.display());
    }

    #[test]
    fn a_file_is_inside_where_links_lead_to() {
        const OUTSIDE: Result<&str, &str> =
            Err("it is outside the document's folder; a `root` that has it would allow it");
        const NONE: Result<&str, &str> = Err("there is no such file");
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        std::fs::create_dir_all(path("own/..v1")).unwrap();
        std::fs::create_dir(path("own2")).unwrap();
        for file in ["own/a", "own/..v1/b", "own2/c"] {
            std::fs::write(path(file), "").unwrap();
        }
        for (to, link) in
            [("..v1", "own/..data"), ("..data/b", "own/b"), ("../own2/c", "own/c"), ("/none", "own/d")]
        {
            std::os::unix::fs::symlink(to, path(link)).unwrap();
        }
        check(folder.path(), "a", Ok("own/a"));
        check(folder.path(), "b", Ok("own/..v1/b"));
        check(folder.path(), "c", OUTSIDE);
        check(folder.path(), "../own2/c", OUTSIDE);
        check(folder.path(), "../own2/none", OUTSIDE);
        check(folder.path(), "/etc/passwd", OUTSIDE);
        check(folder.path(), "none", NONE);
        check(folder.path(), "d", NONE);
        // Looked at from its end, this would take as long as two thousand others.
        check(folder.path(), &"x/".repeat(1900), NONE);
        let _socket = std::os::unix::net::UnixListener::bind(path("own/s")).unwrap();
        check(folder.path(), "s", Err("it is no file"));
    }

    #[test]
    fn a_device_without_end_is_not_swallowed() {
        let zeros = read(Path::new("/dev/zero"), 10);
        assert_eq!(zeros, Err("it is larger than 10 bytes (`reading.size`)".to_owned()));
    }
}
