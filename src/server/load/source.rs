//! What a source of the config names: one text, or the files of folders.

use std::collections::{BTreeMap, HashSet};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::file::{Stamp, stamp};
use super::{NO_DOCUMENT, TOO_MANY, UNREADABLE};
use crate::config::{Glob, Page, Source};
use crate::diagnostic::{Diagnostic, Severity};

/// What one source may lead to.
struct Most {
    documents: usize,
    /// Whose entries are looked at.
    folders: usize,
    /// Files and folders that are looked at.
    entries: usize,
}

const MOST: Most = Most { documents: 10_000, folders: 4_096, entries: 100_000 };

/// Where a document is.
#[derive(Debug, Clone)]
pub(super) enum Place<'c> {
    File(PathBuf),
    Url(&'c Page),
}

pub(super) enum Found<'c> {
    /// By the config itself: a document, or else a mistake.
    Named(Place<'c>),
    /// What may be documents, by name.
    Files(Vec<PathBuf>),
}

/// Finds what a source names. `watched` gets every folder whose entries decide on it.
pub(super) fn find<'c>(
    source: &'c Source,
    watched: &mut BTreeMap<PathBuf, Stamp>,
    diagnostics: &mut Vec<Diagnostic>,
) -> Found<'c> {
    find_within(MOST, source, watched, diagnostics)
}

fn find_within<'c>(
    most: Most,
    source: &'c Source,
    watched: &mut BTreeMap<PathBuf, Stamp>,
    diagnostics: &mut Vec<Diagnostic>,
) -> Found<'c> {
    let mut walk = Walk { most, watched, diagnostics, real: HashSet::new(), entries: 0, found: Vec::new() };
    match source {
        Source::Url(page) => return Found::Named(Place::Url(page)),
        Source::Glob(glob) if !glob.literal.exists() => walk.pattern(glob),
        Source::Path(path) | Source::Glob(Glob { literal: path, .. }) => {
            walk.watched.insert(path.clone(), stamp(path));
            if !path.is_dir() {
                return Found::Named(Place::File(path.clone()));
            }
            walk.folder(path);
        }
    }
    let mut found = walk.found;
    found.sort();
    Found::Files(found)
}

/// That a source which names several files has no document among them.
pub(super) fn nothing(source: &Source) -> Diagnostic {
    let message = match source {
        Source::Glob(glob) if !glob.literal.exists() => format!("no OpenAPI document matches `{source}`"),
        _ => format!("the folder `{source}` has no OpenAPI document"),
    };
    Diagnostic::new(Severity::Warning, NO_DOCUMENT, message)
        .hint("files that end in .yaml, .yml or .json and have an `openapi` keyword are read")
}

struct Walk<'w> {
    most: Most,
    watched: &'w mut BTreeMap<PathBuf, Stamp>,
    diagnostics: &'w mut Vec<Diagnostic>,
    /// Device and number of each folder, so that links lead to none twice.
    real: HashSet<(u64, u64)>,
    entries: usize,
    found: Vec<PathBuf>,
}

impl Walk<'_> {
    fn folder(&mut self, folder: &Path) {
        let Some(entries) = self.entries_of(folder, folder) else { return };
        for entry in entries.into_iter().filter(|entry| !is_hidden(entry)) {
            self.take(entry, folder);
        }
    }

    fn pattern(&mut self, glob: &Glob) {
        let mut open = vec![(glob.folder.clone(), 1)];
        while let Some((folder, depth)) = open.pop() {
            let entries = self.entries_of(&folder, &glob.literal).unwrap_or_default();
            let shown = entries.into_iter().filter(|entry| glob.hidden || !is_hidden(entry));
            let deeper = glob.depth.is_none_or(|deepest| depth < deepest);
            let (folders, files): (Vec<_>, Vec<_>) = shown.partition(|entry| deeper && entry.is_dir());
            // By name, so that of a folder and a link to it the same one is found each time.
            open.extend(folders.into_iter().rev().map(|folder| (folder, depth + 1)));
            let meant =
                |file: &PathBuf| file.strip_prefix(&glob.folder).is_ok_and(|below| glob.matches(below));
            files.into_iter().filter(meant).for_each(|file| self.take(file, &glob.literal));
        }
    }

    /// What is in a folder, by name; none if it can't be read, or was seen already.
    fn entries_of(&mut self, folder: &Path, source: &Path) -> Option<Vec<PathBuf>> {
        if self.real.len() >= self.most.folders || self.entries >= self.most.entries {
            self.too_many(source);
            return None;
        }
        self.watched.insert(folder.to_owned(), stamp(folder));
        let meta = std::fs::metadata(folder).ok();
        if meta.is_some_and(|meta| !self.real.insert((meta.dev(), meta.ino()))) {
            return None;
        }
        let entries = match std::fs::read_dir(folder) {
            Ok(entries) => entries,
            Err(error) => {
                self.unreadable(folder, &error);
                return None;
            }
        };
        let left = self.most.entries - self.entries;
        let mut entries: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).take(left + 1).collect();
        if entries.len() > left {
            self.too_many(source);
        }
        entries.truncate(left);
        entries.sort();
        self.entries += entries.len();
        Some(entries)
    }

    fn take(&mut self, file: PathBuf, source: &Path) {
        let extension = file.extension().is_some_and(|extension| {
            ["yaml", "yml", "json"].iter().any(|known| extension.eq_ignore_ascii_case(known))
        });
        if !extension || !file.is_file() {
            return;
        }
        if self.found.len() >= self.most.documents {
            self.too_many(source);
            return;
        }
        self.found.push(file);
    }

    /// A pattern may lead through folders of others, which are not to be read; its first one counts.
    fn unreadable(&mut self, folder: &Path, error: &std::io::Error) {
        if self.real.len() == 1 {
            let message = format!("the folder `{}` can't be read: {error}", folder.display());
            self.diagnostics.push(Diagnostic::new(Severity::Error, UNREADABLE, message));
        }
    }

    fn too_many(&mut self, source: &Path) {
        let message = format!("`{}` leads to too many files; some are left out", source.display());
        let Most { documents, folders, entries } = self.most;
        let told = Diagnostic::new(Severity::Error, TOO_MANY, message).hint(format!(
            "write a narrower pattern: {documents} documents, among {entries} files in {folders} folders, are the most"
        ));
        if self.diagnostics.last() != Some(&told) {
            self.diagnostics.push(told);
        }
    }
}

fn is_hidden(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;
    use crate::config;

    /// The files below a folder that a pattern finds, and the codes of what it says.
    fn found_within(most: Most, folder: &Path, pattern: &str) -> (String, Vec<&'static str>) {
        let source = config::source(pattern, folder).unwrap();
        let (mut watched, mut diagnostics) = (BTreeMap::new(), Vec::new());
        let files = match find_within(most, &source, &mut watched, &mut diagnostics) {
            Found::Files(files) => files,
            Found::Named(Place::File(file)) => {
                vec![Path::new("named").join(file.strip_prefix(folder).unwrap())]
            }
            Found::Named(Place::Url(_)) => unreachable!(),
        };
        let below = |file: &PathBuf| file.strip_prefix(folder).unwrap_or(file).display().to_string();
        let files: Vec<String> = files.iter().map(below).collect();
        (files.join(" "), diagnostics.iter().map(|told| told.code.0).collect())
    }

    fn found(folder: &Path, pattern: &str) -> String {
        found_within(MOST, folder, pattern).0
    }

    fn tree(files: &[&str]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for file in files {
            let path = folder.path().join(file);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "").unwrap();
        }
        folder
    }

    #[test]
    fn a_source_finds_what_it_names() {
        let folder =
            tree(&["b.yaml", "a.yml", "c/d.json", "c/e/f.yaml", ".h.yaml", ".g/h.yaml", "i.txt", "[x].yaml"]);
        let check = |pattern: &str, expected: &str| {
            assert_eq!(found(folder.path(), pattern), expected, "{pattern}");
        };
        check(".", "[x].yaml a.yml b.yaml");
        check("*", "[x].yaml a.yml b.yaml");
        check("?.yaml", "b.yaml");
        check("**/*.{yaml,json}", "[x].yaml b.yaml c/d.json c/e/f.yaml");
        check("c/*/*.yaml", "c/e/f.yaml");
        check(".?*/*.yaml", ".g/h.yaml");
        check("[ab].y*", "a.yml b.yaml");
        check("*.txt", "");
        // A file of that very name.
        check("[x].yaml", "named/[x].yaml");
    }

    #[test]
    fn links_in_a_circle_come_to_an_end() {
        let folder = tree(&["a/b.yaml"]);
        symlink("..", folder.path().join("a/up")).unwrap();
        symlink("a", folder.path().join("z")).unwrap();
        assert_eq!(found(folder.path(), "**/*.yaml"), "a/b.yaml");
        assert_eq!(found(folder.path(), "z/*.yaml"), "z/b.yaml");
    }

    #[test]
    fn what_a_source_leads_to_is_bounded() {
        let folder = tree(&["1.yaml", "2.yaml", "3.yaml", "a/4.yaml", "b/5.yaml"]);
        let count = |most| found_within(most, folder.path(), "**/*.yaml");
        let enough = Most { documents: 5, folders: 3, entries: 7 };
        assert_eq!(count(enough).1, Vec::<&str>::new());
        for (most, files) in [
            (Most { documents: 2, folders: 3, entries: 7 }, 2),
            (Most { documents: 5, folders: 2, entries: 7 }, 4),
            (Most { documents: 5, folders: 3, entries: 6 }, 4),
        ] {
            let (found, told) = count(most);
            assert_eq!((found.split(' ').count(), told), (files, vec!["SI0013"]));
        }
        let (found, told) = found_within(Most { documents: 2, folders: 1, entries: 9 }, folder.path(), ".");
        assert_eq!((found.as_str(), told), ("1.yaml 2.yaml", vec!["SI0013"]));
    }
}
