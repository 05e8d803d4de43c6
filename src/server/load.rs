//! Reads sources and what they refer to, until nothing is missing. Shared by run, reload and check.
//!
//! A document that can't be read keeps its last good version, if it has one. What is wrong inside a
//! document that can be read is a diagnostic of it, and nothing is kept back for that.

use std::collections::BTreeMap;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use crate::config::Config;
use crate::diagnostic::{Code, Diagnostic, Severity};
use crate::mock::{Mocks, Source};
use crate::spec::{self, Trees};
use crate::tree::{Limits, Tree};

const UNREADABLE: Code = Code("SI0010");
const NO_DOCUMENT: Code = Code("SI0011");

/// All documents of a config, as they were last read.
#[derive(Debug, Default)]
pub struct Loaded {
    pub documents: Vec<Loading>,
    /// Files and folders whose change is a change of the documents, as they were before they were read.
    pub watched: BTreeMap<PathBuf, Stamp>,
    /// What belongs to no document.
    pub diagnostics: Vec<Diagnostic>,
}

/// One document, read or not.
#[derive(Debug)]
pub struct Loading {
    /// The file, as the config or its folder names it.
    pub source: Arc<str>,
    /// The number of the entry of `specs` that it comes from.
    pub entry: usize,
    /// Named in the config, not found in a folder.
    pub named: bool,
    pub state: State,
    /// Its text and those it refers to; empty if it was never readable.
    pub trees: Trees,
    pub diagnostics: Vec<Diagnostic>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// As its files are.
    Current,
    /// The last good version; its files are broken.
    Kept,
    /// Broken from the start: nothing of it is served.
    Broken,
}

impl State {
    pub fn as_str(self) -> &'static str {
        match self {
            State::Current => "current",
            State::Kept => "kept",
            State::Broken => "broken",
        }
    }
}

/// Reads everything that the config names. Blocks on the disk.
pub fn load(config: &Config, previous: &Loaded) -> Loaded {
    let mut loaded = Loaded::default();
    for (entry, spec) in config.specs.iter().enumerate() {
        let path = Path::new(&spec.source);
        loaded.watched.insert(path.to_owned(), stamp(path));
        if !path.is_dir() {
            let document = document(path, config, entry, true, previous, &mut loaded.watched);
            loaded.documents.extend(document);
            continue;
        }
        let before = loaded.documents.len();
        for file in files(path, &mut loaded.diagnostics) {
            let document = document(&file, config, entry, false, previous, &mut loaded.watched);
            loaded.documents.extend(document);
        }
        if loaded.documents.len() == before {
            let message = format!("the folder `{}` has no OpenAPI document", spec.source);
            loaded.diagnostics.push(
                Diagnostic::new(Severity::Warning, NO_DOCUMENT, message)
                    .hint("files that end in .yaml, .yml or .json and have an `openapi` keyword are read"),
            );
        }
    }
    loaded
}

/// What is loaded, compiled, and everything that came up.
pub struct Compiled {
    pub mocks: Mocks,
    /// One for each document that is loaded, sorted by place.
    pub reports: Vec<Vec<Diagnostic>>,
    /// What belongs to no document.
    pub others: Vec<Diagnostic>,
}

impl Compiled {
    pub fn diagnostics(&self) -> impl Iterator<Item = &Diagnostic> {
        self.reports.iter().flatten().chain(&self.others)
    }
}

/// Compiles what is loaded.
pub fn compile(config: &Config, loaded: &Loaded) -> Compiled {
    let mut sources = Vec::new();
    let mut reports: Vec<Vec<Diagnostic>> = Vec::new();
    for loading in &loaded.documents {
        let mut report = loading.diagnostics.clone();
        let reading = spec::read(&loading.trees, &loading.source);
        if loading.state == State::Current {
            report.extend(reading.diagnostics);
        }
        reports.push(report);
        if let Some(document) = reading.document.filter(|_| loading.state != State::Broken) {
            let entry = &config.specs[loading.entry];
            sources.push(Source { document, base_path: entry.base_path.clone(), mode: entry.mode });
        }
    }
    let (mocks, diagnostics) = Mocks::compile(&sources, config);
    let mut others = loaded.diagnostics.clone();
    for diagnostic in diagnostics {
        let file = diagnostic.place.as_ref().map(|place| place.file.clone());
        let owner = loaded.documents.iter().position(|loading| {
            file.as_ref().is_some_and(|file| *loading.source == **file || loading.trees.contains(file))
        });
        match owner {
            Some(number) if loaded.documents[number].state == State::Current => {
                reports[number].push(diagnostic);
            }
            Some(_) => {}
            None => others.push(diagnostic),
        }
    }
    for report in &mut reports {
        report.sort_by_cached_key(place_of);
        report.dedup();
    }
    Compiled { mocks, reports, others }
}

fn place_of(diagnostic: &Diagnostic) -> Option<(Arc<str>, u32, u32)> {
    diagnostic.place.as_ref().map(|place| (place.file.clone(), place.line, place.column))
}

/// The files of a folder that may be documents, by name.
fn files(folder: &Path, diagnostics: &mut Vec<Diagnostic>) -> Vec<PathBuf> {
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) => {
            let message = format!("the folder `{}` can't be read: {error}", folder.display());
            diagnostics.push(Diagnostic::new(Severity::Error, UNREADABLE, message));
            return Vec::new();
        }
    };
    let is_document = |path: &PathBuf| {
        let hidden = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'));
        let extension = path.extension().is_some_and(|extension| {
            ["yaml", "yml", "json"].iter().any(|known| extension.eq_ignore_ascii_case(known))
        });
        !hidden && extension && path.is_file()
    };
    let mut found: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).filter(is_document).collect();
    found.sort();
    found
}

/// Reads a document; none for a file of a folder that is no OpenAPI document.
fn document(
    path: &Path,
    config: &Config,
    entry: usize,
    named: bool,
    previous: &Loaded,
    watched: &mut BTreeMap<PathBuf, Stamp>,
) -> Option<Loading> {
    let source: Arc<str> = name_of(path).into();
    watched.insert(path.to_owned(), stamp(path));
    let before =
        previous.documents.iter().find(|loading| loading.source == source && !loading.trees.is_empty());
    let mut reader = Reader {
        root: path.parent().and_then(|folder| folder.canonicalize().ok()),
        before: before.map(|loading| &loading.trees),
        trees: Trees::default(),
        limits: &config.reading,
        diagnostics: Vec::new(),
        broken: false,
    };
    if let Err(reason) = reader.read(source.clone(), path)
        && reader.diagnostics.is_empty()
    {
        let message = format!("`{}` can't be read: {reason}", path.display());
        reader.diagnostics.push(Diagnostic::new(Severity::Error, UNREADABLE, message));
    }
    if let Some(tree) = reader.trees.get(&source)
        && !spec::is_document(tree)
        && !named
    {
        return None;
    }
    reader.read_references(&source, watched);
    let readable = spec::read(&reader.trees, &source).document.is_some();
    let Reader { trees, mut diagnostics, broken, .. } = reader;
    if readable && !broken {
        return Some(Loading { source, entry, named, state: State::Current, trees, diagnostics });
    }
    diagnostics.extend(
        trees.contains(&source).then(|| spec::read(&trees, &source).diagnostics).into_iter().flatten(),
    );
    Some(match before {
        Some(before) => {
            Loading { source, entry, named, state: State::Kept, trees: before.trees.clone(), diagnostics }
        }
        None => Loading { source, entry, named, state: State::Broken, trees: Trees::default(), diagnostics },
    })
}

/// Paths as the trees are called: absolute, `/` between the parts, without `.` and `..`.
fn name_of(path: &Path) -> String {
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let mut parts: Vec<String> = Vec::new();
    for part in absolute.components() {
        match part {
            std::path::Component::Normal(name) => parts.push(name.to_string_lossy().into_owned()),
            std::path::Component::ParentDir => {
                parts.pop();
            }
            _ => {}
        }
    }
    format!("/{}", parts.join("/"))
}

struct Reader<'p> {
    /// References reach no further, links resolved.
    root: Option<PathBuf>,
    before: Option<&'p Trees>,
    trees: Trees,
    limits: &'p Limits,
    diagnostics: Vec<Diagnostic>,
    /// A file that could be read before can't be read or parsed any more. One that never could be
    /// costs what refers to it, and keeps nothing back.
    broken: bool,
}

impl Reader<'_> {
    fn read_references(&mut self, source: &str, watched: &mut BTreeMap<PathBuf, Stamp>) {
        loop {
            let reading = spec::read(&self.trees, source);
            let missing: Vec<String> = reading
                .referred
                .texts
                .into_iter()
                .filter(|name| !self.trees.contains(name) && self.trees.why_absent(name).is_none())
                .collect();
            if missing.is_empty() {
                return;
            }
            for name in missing {
                let path = PathBuf::from(&name);
                watched.insert(path.clone(), stamp(&path));
                let inside = match (path.canonicalize(), &self.root) {
                    (Ok(real), Some(root)) => real.starts_with(root),
                    // A file that is not there is reported where it is referred to.
                    _ => true,
                };
                let name: Arc<str> = name.into();
                if !inside {
                    self.trees.absent(name, "it is outside the document's folder");
                } else if let Err(reason) = self.read(name.clone(), &path) {
                    self.trees.absent(name, reason);
                }
            }
        }
    }

    /// Reads one file into the trees, or says why not.
    fn read(&mut self, name: Arc<str>, path: &Path) -> Result<(), String> {
        let before = self.before.and_then(|trees| trees.get(&name));
        let text = text_of(path, self.limits.size).inspect_err(|_| self.broken |= before.is_some())?;
        if let Some(known) = before.filter(|tree| tree.text() == text.trim_start_matches('\u{feff}')) {
            self.trees.insert(name, known.clone());
            return Ok(());
        }
        match Tree::parse(&name, text, self.limits) {
            Ok((tree, warnings)) => {
                self.diagnostics.extend(warnings);
                self.trees.insert(name, tree);
            }
            Err(problem) => {
                let place = problem.place.as_ref().map_or(0, |place| place.line);
                self.diagnostics.push(*problem);
                self.broken |= before.is_some();
                return Err(format!("it has an error in line {place}"));
            }
        }
        Ok(())
    }
}

/// A file's text; UTF-8 and of at most `limit` bytes, so that a device or a log is not swallowed.
fn text_of(path: &Path, limit: usize) -> Result<String, String> {
    let file = std::fs::File::open(path).map_err(|error| reason(&error))?;
    let size = file.metadata().map_err(|error| reason(&error))?;
    if size.is_dir() {
        return Err("it is a folder".to_owned());
    }
    let mut bytes = Vec::new();
    let limit = u64::try_from(limit).unwrap_or(u64::MAX);
    file.take(limit.saturating_add(1)).read_to_end(&mut bytes).map_err(|error| reason(&error))?;
    if bytes.len() as u64 > limit {
        return Err(format!("it is larger than {limit} bytes (`reading.size`)"));
    }
    if is_utf16(&bytes) {
        return Err("it is UTF-16; save the file as UTF-8".to_owned());
    }
    String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        format!("byte {at} is no UTF-8; save the file as UTF-8")
    })
}

/// YAML 1.2, 5.2: a byte order mark, or an ASCII character, which has a NUL beside it.
fn is_utf16(bytes: &[u8]) -> bool {
    match bytes {
        [0xFF, 0xFE, ..] | [0xFE, 0xFF, ..] => true,
        [first, second, ..] => (*first == 0) != (*second == 0),
        _ => false,
    }
}

fn reason(error: &std::io::Error) -> String {
    match error.kind() {
        std::io::ErrorKind::NotFound => "there is no such file".to_owned(),
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
