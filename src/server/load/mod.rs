//! Reads sources and what they refer to, until nothing is missing. Shared by run, reload and check.
//!
//! A document that can't be read keeps its last good version, if it has one. What is wrong inside a
//! document that can be read is a diagnostic of it, and nothing is kept back for that.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use tokio::time::Instant;

use crate::config::{Config, Spec};
use crate::diagnostic::{Code, Diagnostic, Report, Severity};
use crate::mock::{Mocks, Source};
use crate::spec::{self, Document, Trees};
use crate::tree::Tree;
use reach::{Reach, Target};
use source::{Found, Place};
use web::{Text, Trust, Wanted};

mod reach;

mod source;

mod web;

mod file;

pub use file::{Stamp, stamp};
pub use web::Web;

const UNREADABLE: Code = Code("SI0010");
const NO_DOCUMENT: Code = Code("SI0011");
const NOT_FETCHED: Code = Code("SI0012");
const TOO_MANY: Code = Code("SI0013");
const NO_ROOT: Code = Code("SI0014");

/// Files that one document may refer to.
const FILES: usize = 10_000;

/// URLs that one document may refer to.
const PAGES: usize = 64;

/// For all URLs together that the documents of one load refer to. Those that are not reached in it
/// are asked for with the next poll.
const PAGES_TIME: std::time::Duration = std::time::Duration::from_secs(30);

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
    /// The file, as the config or its folder names it, or the URL.
    pub source: Arc<str>,
    /// The number of the entry of `specs` that it comes from.
    pub entry: usize,
    /// Named in the config, not found in a folder.
    pub named: bool,
    pub state: State,
    /// Its text and those it refers to; empty if it was never readable.
    pub trees: Trees,
    pub diagnostics: Vec<Diagnostic>,
    /// What came up when its texts were parsed, by their names: it is said as long as they are kept.
    warnings: Warnings,
}

type Warnings = HashMap<Arc<str>, Vec<Diagnostic>>;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// As its texts are.
    Current,
    /// The last good version; its texts are broken.
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

/// Reads everything that the config names. Blocks on the disk, and on URLs that were not asked yet.
pub fn load(config: &Config, previous: &Loaded, web: &Web) -> Loaded {
    web.configure(config);
    let mut desk = Desk::new(config, web);
    let mut diagnostics = Vec::new();
    let mut drafts = Vec::new();
    for (number, spec) in config.specs.iter().enumerate() {
        let (named, places) = match source::find(&spec.source, &mut desk.watched, &mut diagnostics) {
            Found::Named(place) => (true, vec![place]),
            Found::Files(files) => (false, files.into_iter().map(Place::File).collect()),
        };
        diagnostics.extend(spec.root.as_deref().and_then(no_root));
        let entry = Entry { number, spec, named };
        let read = |place| Draft::read(place, &entry, previous, &mut desk);
        let found: Vec<Draft<'_>> = places.into_iter().filter_map(read).collect();
        diagnostics.extend((found.is_empty() && !named).then(|| source::nothing(&spec.source)));
        drafts.extend(found);
    }
    let selves = selves(&drafts);
    for draft in &mut drafts {
        draft.read_references(&selves, &mut desk);
    }
    web.keep_only(&desk.asked);
    let documents = drafts.into_iter().map(Draft::finish).collect();
    Loaded { documents, watched: desk.watched, diagnostics }
}

fn no_root(root: &Path) -> Option<Diagnostic> {
    let why = match root.metadata() {
        Ok(meta) if meta.is_dir() => return None,
        Ok(_) => "it is no folder".to_owned(),
        Err(error) => error.to_string(),
    };
    let message = format!("the root `{}` can't be read: {why}", root.display());
    let told = Diagnostic::new(Severity::Error, NO_ROOT, message);
    Some(told.hint("name a folder that is there, or leave it out; until then it allows no file"))
}

/// OpenAPI 3.2, 4.1.2: what the documents of a config say that they are called.
fn selves(drafts: &[Draft<'_>]) -> HashMap<String, Arc<Tree>> {
    // Of two that have one name, the first has it.
    let trees = drafts.iter().rev().filter_map(|draft| {
        let before = draft.before.and_then(|before| before.trees.get(&draft.source));
        draft.trees.get(&draft.source).or(before)
    });
    let called = trees.filter_map(|tree| {
        let name = url::Url::parse(tree.root().get("$self")?.as_str()?).ok()?;
        Some((name.to_string(), tree.clone()))
    });
    called.collect()
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
    compile_and(config, loaded, |_, _| Vec::new())
}

/// Compiles what is loaded, and says what is only worth its time where someone asks.
pub fn check(config: &Config, loaded: &Loaded) -> Compiled {
    compile_and(config, loaded, Mocks::lint)
}

/// Documents with the texts that they were read from.
type Texts<'a, 't> = &'a [(&'a Document<'t>, &'t Trees)];

fn compile_and<'t>(
    config: &Config,
    loaded: &'t Loaded,
    lint: impl FnOnce(&Mocks, Texts<'_, 't>) -> Vec<Diagnostic>,
) -> Compiled {
    let mut sources = Vec::new();
    let mut texts = Vec::new();
    let mut reports: Vec<Report> = Vec::new();
    for loading in &loaded.documents {
        let mut report = Report::default();
        report.extend(loading.diagnostics.iter().cloned());
        let reading = spec::read(&loading.trees, &loading.source);
        if loading.state == State::Current {
            report.extend(reading.diagnostics);
        }
        reports.push(report);
        if let Some(document) = reading.document.filter(|_| loading.state != State::Broken) {
            let entry = &config.specs[loading.entry];
            sources.push(Source {
                document,
                trees: &loading.trees,
                base_path: entry.base_path.clone(),
                upstream: entry.upstream.clone(),
                mode: entry.mode,
            });
            texts.push(&loading.trees);
        }
    }
    let (mocks, mut diagnostics) = Mocks::compile(&sources, config);
    let documents: Vec<_> = sources.iter().map(|source| &source.document).zip(texts).collect();
    diagnostics.extend(lint(&mocks, &documents));
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
    Compiled { mocks, reports: reports.into_iter().map(Report::finish).collect(), others }
}

/// What one load has at hand.
struct Desk<'l> {
    config: &'l Config,
    web: &'l Web,
    watched: BTreeMap<PathBuf, Stamp>,
    /// Texts by URL that are new with this load, since several documents may refer to one.
    fetched: HashMap<Arc<str>, Result<Parsed, Unread>>,
    /// Every URL that anything was wanted from.
    asked: BTreeSet<Arc<str>>,
    /// When the last answer to a reference may come.
    until: Option<Instant>,
}

impl<'l> Desk<'l> {
    fn new(config: &'l Config, web: &'l Web) -> Self {
        Desk {
            config,
            web,
            watched: BTreeMap::new(),
            fetched: HashMap::new(),
            asked: BTreeSet::new(),
            until: None,
        }
    }
}

type Parsed = (Arc<Tree>, Vec<Diagnostic>);

/// Why there is no tree.
#[derive(Clone)]
enum Unread {
    /// There is no text: why.
    Absent(String),
    /// There is one with an error.
    Broken(Box<Diagnostic>),
}

/// What the config says of a document.
struct Entry<'c> {
    number: usize,
    spec: &'c Spec,
    /// It names the document, and not a folder or a pattern.
    named: bool,
}

/// A document while it is read.
struct Draft<'l> {
    source: Arc<str>,
    entry: usize,
    named: bool,
    reach: Reach,
    /// As it was read before.
    before: Option<&'l Loading>,
    trees: Trees,
    diagnostics: Vec<Diagnostic>,
    warnings: Warnings,
    /// A text that could be read before can't be read or parsed any more. One that never could be
    /// costs what refers to it, and keeps nothing back.
    broken: bool,
    /// Whether its own text is a document.
    readable: bool,
    files: Files,
    pages: Pages,
}

/// What the files that a document refers to have cost.
#[derive(Default)]
struct Files {
    count: usize,
    /// Bytes of those that are kept as they are.
    size: usize,
}

/// What the URLs that a document refers to have cost.
#[derive(Default)]
struct Pages {
    count: usize,
    size: usize,
}

impl<'l> Draft<'l> {
    /// Reads a document's own text; none for a file of a folder that is no OpenAPI document.
    fn read(place: Place<'_>, entry: &Entry<'_>, previous: &'l Loaded, desk: &mut Desk<'_>) -> Option<Self> {
        let source: Arc<str> = match &place {
            Place::File(path) => name_of(path).into(),
            Place::Url(page) => page.url.as_str().into(),
        };
        let before =
            previous.documents.iter().find(|loading| loading.source == source && !loading.trees.is_empty());
        let mut draft = Draft {
            source: source.clone(),
            entry: entry.number,
            named: entry.named,
            reach: Reach::new(&place, entry.spec),
            before,
            trees: Trees::default(),
            diagnostics: Vec::new(),
            warnings: Warnings::new(),
            broken: false,
            readable: false,
            files: Files::default(),
            pages: Pages::default(),
        };
        let (code, read) = match place {
            Place::File(path) => {
                desk.watched.insert(path.clone(), stamp(&path));
                (UNREADABLE, draft.file(&source, &path, desk))
            }
            Place::Url(page) => {
                let wanted = Wanted { name: source.clone(), login: page.login.clone(), trust: Trust::Config };
                let deadline = Instant::now() + web::TIME;
                (NOT_FETCHED, draft.page(&wanted, desk.config.reading.size, deadline, desk))
            }
        };
        if let Err(reason) = read
            && draft.diagnostics.is_empty()
        {
            let message = format!("`{source}` can't be read: {reason}");
            let mut problem = Diagnostic::new(Severity::Error, code, message);
            if code == NOT_FETCHED {
                problem = problem.hint(format!("ask for it from this machine: `curl -i '{source}'`"));
            }
            draft.diagnostics.push(problem);
        }
        match draft.trees.get(&source) {
            Some(tree) if !entry.named && !spec::is_document(tree) => None,
            _ => Some(draft),
        }
    }

    fn read_references(&mut self, selves: &HashMap<String, Arc<Tree>>, desk: &mut Desk<'_>) {
        loop {
            let reading = spec::read(&self.trees, &self.source);
            self.readable = reading.document.is_some();
            let spec::Referred { texts, files } = reading.referred;
            let unknown = |name: &String| self.trees.why_absent(name).is_none();
            let texts: Vec<String> =
                texts.into_iter().filter(|name| unknown(name) && !self.trees.contains(name)).collect();
            let files: Vec<String> =
                files.into_iter().filter(|name| unknown(name) && self.trees.file(name).is_none()).collect();
            if texts.is_empty() && files.is_empty() {
                return;
            }
            for name in texts {
                let known = selves.get(&name).cloned();
                let name: Arc<str> = name.into();
                match known {
                    Some(tree) => self.trees.insert(name, tree),
                    None => self.follow(name, Kept::Tree, desk),
                }
            }
            for name in files {
                self.follow(name.into(), Kept::Bytes, desk);
            }
        }
    }

    /// Reads what a reference leads to, or notes why not.
    fn follow(&mut self, name: Arc<str>, kept: Kept, desk: &mut Desk<'_>) {
        let read = match self.reach.of(&name) {
            Err(reason) => Err(reason),
            Ok(Target::File(path)) => self.follow_file(&name, &path, kept, desk),
            Ok(Target::Url(wanted)) => self.follow_url(&wanted, kept, desk),
        };
        if let Err(reason) = read {
            self.trees.absent(name, reason);
        }
    }

    fn follow_file(
        &mut self,
        name: &Arc<str>,
        path: &Path,
        kept: Kept,
        desk: &mut Desk<'_>,
    ) -> Result<(), String> {
        self.files.count += 1;
        if self.files.count > FILES {
            return Err(format!("the document refers to more than {FILES} files"));
        }
        if self.reach.concerns(path) {
            desk.watched.insert(path.to_owned(), stamp(path));
        }
        let real = file::inside(path, self.reach.folders()).inspect_err(|_| {
            self.broken |= self.known(name, kept).is_some() && !path.exists();
        })?;
        match kept {
            Kept::Tree => self.file(name, &real, desk),
            Kept::Bytes => {
                let size = desk.config.reading.size;
                let bytes = file::read(&real, size);
                let bytes = bytes.inspect_err(|_| self.broken |= self.known(name, kept).is_some())?;
                self.files.size += bytes.len();
                if self.files.size > size {
                    return Err(format!(
                        "the examples up to it have more than {size} bytes together (`reading.size`)"
                    ));
                }
                self.trees.insert_file(name.clone(), bytes.into());
                Ok(())
            }
        }
    }

    fn follow_url(&mut self, wanted: &Wanted, kept: Kept, desk: &mut Desk<'_>) -> Result<(), String> {
        self.pages.count += 1;
        if self.pages.count > PAGES {
            return Err(format!("the document refers to more than {PAGES} URLs"));
        }
        let until = *desk.until.get_or_insert_with(|| Instant::now() + PAGES_TIME);
        let deadline = until.min(Instant::now() + web::TIME);
        let size = desk.config.reading.size;
        let left = size.saturating_sub(self.pages.size);
        if left == 0 {
            return Err(format!("the URLs before it had {size} bytes together (`reading.size`)"));
        }
        match kept {
            Kept::Tree => self.page(wanted, left, deadline, desk)?,
            Kept::Bytes => self.page_file(wanted, left, deadline, desk)?,
        }
        self.pages.size += self.size_of(&wanted.name);
        Ok(())
    }

    fn size_of(&self, name: &str) -> usize {
        let tree = self.trees.get(name).map(|tree| tree.text().len());
        tree.or_else(|| self.trees.file(name).map(Bytes::len)).unwrap_or_default()
    }

    /// The bytes that a text or file had before.
    fn known(&self, name: &str, kept: Kept) -> Option<&'l [u8]> {
        let trees = &self.before?.trees;
        match kept {
            Kept::Tree => trees.get(name).map(|tree| tree.text().as_bytes()),
            Kept::Bytes => trees.file(name).map(|bytes| &**bytes),
        }
    }

    /// Reads a file into the trees, or says why not.
    fn file(&mut self, name: &Arc<str>, path: &Path, desk: &Desk<'_>) -> Result<(), String> {
        let read = match file::read(path, desk.config.reading.size) {
            Err(reason) => Err(Unread::Absent(reason)),
            Ok(bytes) if self.is_as_before(name, &bytes) => return self.keep(name),
            Ok(bytes) => parse(name, bytes, desk),
        };
        self.take(name, read)
    }

    /// The same for a URL.
    fn page(
        &mut self,
        wanted: &Wanted,
        limit: usize,
        deadline: Instant,
        desk: &mut Desk<'_>,
    ) -> Result<(), String> {
        let name = &wanted.name;
        desk.asked.insert(name.clone());
        if let Some(read) = desk.fetched.get(name) {
            return self.take(name, read.clone());
        }
        let read = match desk.web.read(wanted, self.known(name, Kept::Tree), limit, deadline) {
            Ok(Text::Same) => return self.keep(name),
            Ok(Text::New(bytes)) => parse(name, bytes, desk),
            Err(reason) => Err(Unread::Absent(reason)),
        };
        desk.fetched.insert(name.clone(), read.clone());
        self.take(name, read)
    }

    fn page_file(
        &mut self,
        wanted: &Wanted,
        limit: usize,
        deadline: Instant,
        desk: &mut Desk<'_>,
    ) -> Result<(), String> {
        let name = &wanted.name;
        desk.asked.insert(name.clone());
        let before = self.before.and_then(|before| before.trees.file(name));
        let bytes = match (desk.web.read(wanted, before.map(|bytes| &**bytes), limit, deadline), before) {
            (Ok(Text::New(bytes)), _) => bytes.into(),
            (Ok(Text::Same), Some(before)) => before.clone(),
            (Ok(Text::Same), None) => return Err("its bytes were not kept".to_owned()),
            (Err(reason), before) => {
                self.broken |= before.is_some();
                return Err(reason);
            }
        };
        self.trees.insert_file(name.clone(), bytes);
        Ok(())
    }

    fn is_as_before(&self, name: &str, bytes: &[u8]) -> bool {
        let text = bytes.strip_prefix("\u{feff}".as_bytes()).unwrap_or(bytes);
        self.known(name, Kept::Tree) == Some(text)
    }

    /// The tree of an unchanged text, with what was said of it.
    fn keep(&mut self, name: &Arc<str>) -> Result<(), String> {
        let before = self.before.and_then(|before| Some((before, before.trees.get(name)?)));
        let (before, tree) = before.ok_or("its text was not kept")?;
        let warnings = before.warnings.get(name).cloned().unwrap_or_default();
        self.take(name, Ok((tree.clone(), warnings)))
    }

    fn take(&mut self, name: &Arc<str>, read: Result<Parsed, Unread>) -> Result<(), String> {
        let reason = match read {
            Ok((tree, warnings)) => {
                self.trees.insert(name.clone(), tree);
                self.warnings.insert(name.clone(), warnings);
                return Ok(());
            }
            Err(Unread::Absent(reason)) => reason,
            Err(Unread::Broken(problem)) => {
                let line = problem.place.as_ref().map_or(0, |place| place.line);
                self.diagnostics.push(*problem);
                format!("it has an error in line {line}")
            }
        };
        self.broken |= self.known(name, Kept::Tree).is_some();
        Err(reason)
    }

    fn finish(self) -> Loading {
        let Draft {
            source, entry, named, before, trees, mut diagnostics, warnings, broken, readable, ..
        } = self;
        diagnostics.extend(warnings.values().flatten().cloned());
        if readable && !broken {
            return Loading { source, entry, named, state: State::Current, trees, diagnostics, warnings };
        }
        let reading = trees.contains(&source).then(|| spec::read(&trees, &source).diagnostics);
        diagnostics.extend(reading.into_iter().flatten());
        let (state, trees, warnings) = match before {
            Some(before) => (State::Kept, before.trees.clone(), before.warnings.clone()),
            None => (State::Broken, Trees::default(), Warnings::new()),
        };
        Loading { source, entry, named, state, trees, diagnostics, warnings }
    }
}

/// What becomes of a text that a document refers to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kept {
    Tree,
    /// As it is.
    Bytes,
}

fn parse(name: &str, bytes: Vec<u8>, desk: &Desk<'_>) -> Result<Parsed, Unread> {
    if is_utf16(&bytes) {
        return Err(Unread::Absent("it is UTF-16; save it as UTF-8".to_owned()));
    }
    let text = String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        Unread::Absent(format!("byte {at} is no UTF-8; save it as UTF-8"))
    })?;
    Tree::parse(name, text, &desk.config.reading).map_err(Unread::Broken)
}

/// YAML 1.2, 5.2: a byte order mark, or an ASCII character, which has a NUL beside it.
fn is_utf16(bytes: &[u8]) -> bool {
    match bytes {
        [0xFF, 0xFE, ..] | [0xFE, 0xFF, ..] => true,
        [first, second, ..] => (*first == 0) != (*second == 0),
        _ => false,
    }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config;

    fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        folder
    }

    /// What becomes of examples that `specs/api.yaml` refers to, by their names in the folder; whether
    /// that breaks the document.
    async fn examples(
        folder: &Path,
        names: &[&str],
        before: Option<&Loading>,
        files: Files,
    ) -> (String, bool) {
        let mut config = Config::default();
        config.reading.size = 10;
        let spec = Spec::new(config::Source::Path(folder.join("specs/api.yaml")));
        let web = Web::new();
        let mut desk = Desk::new(&config, &web);
        let entry = Entry { number: 0, spec: &spec, named: true };
        let previous = Loaded::default();
        let place = Place::File(folder.join("specs/api.yaml"));
        let mut draft = Draft::read(place, &entry, &previous, &mut desk).unwrap();
        (draft.before, draft.files) = (before, files);
        let mut said = Vec::new();
        for name in names {
            let name: Arc<str> = name_of(&folder.join(name)).into();
            draft.follow(name.clone(), Kept::Bytes, &mut desk);
            let bytes = draft.trees.file(&name).map(|bytes| format!("{} bytes", bytes.len()));
            said.extend(bytes.or_else(|| draft.trees.why_absent(&name).map(str::to_owned)));
        }
        for name in names {
            let is_watched = desk.watched.contains_key(Path::new(&name_of(&folder.join(name))));
            assert_eq!(is_watched, name.starts_with("specs/"), "{name}");
        }
        (said.join(", "), draft.broken)
    }

    #[tokio::test]
    async fn an_example_is_kept_as_it_is() {
        let folder = folder(&[("specs/api.yaml", "{}"), ("specs/a.png", "\u{feff}12"), ("b.png", "")]);
        let said =
            examples(folder.path(), &["specs/a.png", "specs/c.png", "b.png"], None, Files::default()).await;
        let outside = "it is outside the document's folder; a `root` that has it would allow it";
        assert_eq!(said, (format!("5 bytes, there is no such file, {outside}"), false));
    }

    #[tokio::test]
    async fn examples_are_bounded_each_and_together() {
        let folder = folder(&[("specs/api.yaml", "{}"), ("specs/a", "123456"), ("specs/b", "12345678901")]);
        let (said, _) = examples(folder.path(), &["specs/b", "specs/a"], None, Files::default()).await;
        assert_eq!(said, "it is larger than 10 bytes (`reading.size`), 6 bytes");
        let before = Files { count: 1, size: 5 };
        let (said, _) = examples(folder.path(), &["specs/a"], None, before).await;
        assert_eq!(said, "the examples up to it have more than 10 bytes together (`reading.size`)");
    }

    /// The second document is left what the first one has not used of the time.
    #[tokio::test(flavor = "multi_thread")]
    async fn the_time_for_urls_is_that_of_all_documents() {
        let folder = folder(&[("a.yaml", "{}"), ("b.yaml", "{}")]);
        let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/", silent.local_addr().unwrap());
        let web = Web::new();
        let read = move || {
            let config = Config::default();
            let previous = Loaded::default();
            let mut desk = Desk::new(&config, &web);
            desk.until = Some(Instant::now() + std::time::Duration::from_millis(20));
            let told = ["a.yaml", "b.yaml"].map(|file| {
                let path = folder.path().join(file);
                let mut spec = Spec::new(config::Source::Path(path.clone()));
                spec.remote = true;
                let entry = Entry { number: 0, spec: &spec, named: true };
                let mut draft = Draft::read(Place::File(path), &entry, &previous, &mut desk).unwrap();
                let name: Arc<str> = format!("{url}{file}").into();
                draft.follow(name.clone(), Kept::Tree, &mut desk);
                draft.trees.why_absent(&name).map(str::to_owned)
            });
            assert_eq!(desk.asked.len(), 2);
            told
        };
        let start = Instant::now();
        let told = tokio::task::spawn_blocking(read).await.unwrap();
        assert_eq!(told, [(); 2].map(|()| Some("timeout: no answer in time".to_owned())));
        assert!(start.elapsed() < web::TIME);
    }

    #[tokio::test]
    async fn an_example_that_is_gone_keeps_the_document() {
        let folder = folder(&[("specs/api.yaml", "{}")]);
        let mut trees = Trees::default();
        trees.insert_file(name_of(&folder.path().join("specs/a")).into(), Bytes::new());
        let before = Loading {
            source: "".into(),
            entry: 0,
            named: true,
            state: State::Current,
            trees,
            diagnostics: Vec::new(),
            warnings: Warnings::new(),
        };
        let said = examples(folder.path(), &["specs/a"], Some(&before), Files::default()).await;
        assert_eq!(said, ("there is no such file".to_owned(), true));
    }

    #[tokio::test]
    async fn the_files_of_a_document_are_bounded() {
        let folder = folder(&[("specs/api.yaml", "{}")]);
        let before = Files { count: FILES - 1, size: 0 };
        let (said, _) = examples(folder.path(), &["specs/b", "c"], None, before).await;
        let told = "the document refers to more than 10000 files";
        assert_eq!(said, format!("there is no such file, {told}"));
    }
}
