//! Keeps chains in a folder: one file, `callbacks.redb`, of one process at a time.
//!
//! A thread of its own writes. What is told while it writes goes into its next transaction together, so
//! that the disk's pace bounds how long an answer waits, and not how many do. While the disk fails, what
//! is told is tried again; answers don't wait for it then.

use std::fs::File;
use std::io;
use std::ops::ControlFlow;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::time::{Duration, Instant, SystemTime};

use redb::{Database, DatabaseError, ReadableDatabase, ReadableTable, StorageError, TableDefinition};
use tokio::sync::{Notify, oneshot};

use super::{Kept, Store, Stored};
use crate::diagnostic::{Code, Diagnostic, Severity};

/// A folder for callbacks that can't be used.
pub const UNUSABLE: Code = Code("SI0023");

/// Handed to the thread.
pub struct Folder {
    told: Sender<Told>,
    state: Arc<State>,
}

#[derive(Default)]
struct State {
    /// Bytes that are told and not written.
    behind: AtomicUsize,
    failing: AtomicBool,
}

enum Told {
    Keep { chain: String, bytes: Vec<u8>, kept: Option<oneshot::Sender<()>> },
    Note { chain: String, call: u32, bytes: Vec<u8>, kept: Option<oneshot::Sender<()>> },
    Forget { chain: String },
    Close(Close),
}

struct Close {
    chains: Vec<String>,
    /// Which of them are not kept.
    missing: oneshot::Sender<Vec<String>>,
}

/// The thread's own.
struct Writer {
    path: PathBuf,
    /// None while it fails.
    database: Option<Database>,
    /// What was opened last, held so that no other file is taken for it.
    file: Option<File>,
    /// Told when that is gone.
    lost: Arc<Notify>,
    told: Receiver<Told>,
    state: Arc<State>,
    /// Told, and not written.
    batch: Vec<Told>,
    /// When it failed last.
    failed: Option<Instant>,
    logged: Option<Instant>,
}

/// A file that is ours.
struct Opening {
    database: Database,
    file: File,
    stored: Vec<Stored>,
}

const CHAINS: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("chains");
const NOTES: TableDefinition<'_, (&str, u32), &[u8]> = TableDefinition::new("notes");

const FILE: &str = "callbacks.redb";

/// What may be told and not written; beyond it nothing is kept.
const BEHIND: usize = 64 << 20;

/// Besides its bytes, for each.
const FIXED: usize = 200;

/// Of one transaction, while it does not fail.
const TOGETHER: usize = 10_000;

/// Bytes of the file that are held in memory.
const CACHE: usize = 8 << 20;

/// A file beyond this is made as small as it can be at the start.
const LARGE: u64 = 16 << 20;

/// A process that ends may have the file for so long.
const LOCKED: Duration = Duration::from_secs(3);

/// Between attempts to write, while they fail.
const AGAIN: Duration = Duration::from_secs(1);

/// Between lines in the log that it fails.
const LOG: Duration = Duration::from_secs(60);

impl Folder {
    /// With what is in it. Blocks.
    ///
    /// A file that is torn is repaired, one that can't be is set aside. `lost` is told if that happens again
    /// later, or if somebody removes the file.
    ///
    /// # Errors
    ///
    /// The folder can't be made or used, or another process uses it.
    pub fn open(folder: &Path, lost: Arc<Notify>) -> Result<(Folder, Vec<Stored>), Box<Diagnostic>> {
        Folder::open_within(folder, lost, LOCKED)
    }

    fn open_within(
        folder: &Path,
        lost: Arc<Notify>,
        locked: Duration,
    ) -> Result<(Folder, Vec<Stored>), Box<Diagnostic>> {
        let unusable = |why: &dyn std::fmt::Display, hint: &str| {
            let message = format!("`callbacks.store`: {} can't be used: {why}", folder.display());
            Box::new(Diagnostic::new(Severity::Error, UNUSABLE, message).hint(hint))
        };
        let path = folder.join(FILE);
        let waited = "what waited in it is not sent";
        let (database, file, stored) = match open_or_set_aside(&path, locked, waited) {
            Ok(Opening { database, file, stored }) => (Some(database), Some(file), stored),
            Err(DatabaseError::Storage(StorageError::Io(error)))
                if matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded) =>
            {
                // As when it is full later; what is in the file waits for the next start.
                tracing::error!(file = %path.display(), %error, "callbacks that were kept can't be read now");
                (None, None, Vec::new())
            }
            Err(DatabaseError::DatabaseAlreadyOpen | DatabaseError::LockProtocolMismatch) => {
                return Err(unusable(
                    &"another process uses it",
                    "stop that process, or give each Standin a folder of its own",
                ));
            }
            Err(error) => return Err(unusable(&error, "name a folder that can be written to")),
        };
        let (sender, told) = mpsc::channel();
        let state = Arc::new(State::default());
        let writer = Writer {
            path,
            failed: database.is_none().then(Instant::now),
            database,
            file,
            lost,
            told,
            state: state.clone(),
            batch: Vec::new(),
            logged: None,
        };
        state.failing.store(writer.failed.is_some(), Ordering::Relaxed);
        let thread = std::thread::Builder::new().name("callbacks".to_owned());
        thread
            .spawn(move || writer.run())
            .map_err(|error| unusable(&error, "let the process start one thread more"))?;
        Ok((Folder { told: sender, state }, stored))
    }

    /// Whether there was room to tell it.
    fn tell(&self, told: Told) -> bool {
        let bytes = told.bytes();
        // What ends something always has room: it is little, and there is no more of it than of chains.
        let most = if matches!(told, Told::Forget { .. }) { usize::MAX } else { BEHIND };
        let add = |behind: usize| behind.checked_add(bytes).filter(|behind| *behind <= most);
        if self.state.behind.fetch_update(Ordering::Relaxed, Ordering::Relaxed, add).is_err() {
            return false;
        }
        let is_told = self.told.send(told).is_ok();
        if !is_told {
            self.state.behind.fetch_sub(bytes, Ordering::Relaxed);
        }
        is_told
    }

    fn tell_and_wait(&self, told: impl FnOnce(Option<oneshot::Sender<()>>) -> Told) -> Kept {
        if self.state.failing.load(Ordering::Relaxed) {
            self.tell(told(None));
            return Kept::failed();
        }
        let (sender, kept) = Kept::when();
        self.tell(told(Some(sender)));
        kept
    }
}

impl Store for Folder {
    fn outlives(&self) -> bool {
        true
    }

    fn keep(&self, chain: String, bytes: Vec<u8>) -> Kept {
        self.tell_and_wait(|kept| Told::Keep { chain, bytes, kept })
    }

    fn note(&self, chain: String, call: usize, bytes: Vec<u8>) -> Kept {
        let Ok(call) = u32::try_from(call) else { return Kept::failed() };
        self.tell_and_wait(|kept| Told::Note { chain, call, bytes, kept })
    }

    fn forget(&self, chain: String) {
        self.tell(Told::Forget { chain });
    }

    fn close(&self, chains: Vec<String>) -> oneshot::Receiver<Vec<String>> {
        let (missing, told) = oneshot::channel();
        let _ = self.told.send(Told::Close(Close { chains, missing }));
        told
    }
}

impl Told {
    fn bytes(&self) -> usize {
        FIXED
            + match self {
                Told::Keep { bytes, .. } | Told::Note { bytes, .. } => bytes.len(),
                Told::Forget { .. } | Told::Close(_) => 0,
            }
    }

    fn chain(&self) -> Option<&String> {
        match self {
            Told::Keep { chain, .. } | Told::Note { chain, .. } | Told::Forget { chain } => Some(chain),
            Told::Close(_) => None,
        }
    }

    /// What waits for it.
    fn waiting(&mut self) -> Option<oneshot::Sender<()>> {
        match self {
            Told::Keep { kept, .. } | Told::Note { kept, .. } => kept.take(),
            Told::Forget { .. } | Told::Close(_) => None,
        }
    }
}

impl Writer {
    fn run(mut self) {
        loop {
            let closed = match self.gather() {
                ControlFlow::Continue(()) => None,
                ControlFlow::Break(closed) => Some(closed),
            };
            // A broken file may make the database panic.
            let written = catch_unwind(AssertUnwindSafe(|| self.write()));
            match written.unwrap_or_else(|_| Err(redb::Error::Corrupted("writing it panicked".to_owned()))) {
                Ok(()) => self.written(),
                Err(error) => self.failed(&error),
            }
            match closed {
                None => {}
                Some(None) => return,
                Some(Some(Close { chains, missing })) => {
                    let left = catch_unwind(AssertUnwindSafe(|| self.end(&chains)));
                    let _ = missing.send(left.unwrap_or(chains));
                    return;
                }
            }
        }
    }

    /// Waits for something to write, or until it is time to try again.
    fn gather(&mut self) -> ControlFlow<Option<Close>> {
        loop {
            let wait = self.failed.map(|failed| (failed + AGAIN).saturating_duration_since(Instant::now()));
            let next = match wait {
                None if self.batch.is_empty() => self.told.recv().map_err(|_| RecvTimeoutError::Disconnected),
                None => self.told.recv_timeout(Duration::ZERO),
                Some(wait) => self.told.recv_timeout(wait),
            };
            match next {
                Ok(Told::Close(close)) => return ControlFlow::Break(Some(close)),
                Ok(told) if self.failed.is_some() => self.add(told),
                Ok(told) => self.batch.push(told),
                Err(RecvTimeoutError::Timeout) => return ControlFlow::Continue(()),
                Err(RecvTimeoutError::Disconnected) => return ControlFlow::Break(None),
            }
            if wait.is_none() && self.batch.len() >= TOGETHER {
                return ControlFlow::Continue(());
            }
        }
    }

    /// What is told while it fails: what has come and gone meanwhile is not written at all.
    fn add(&mut self, told: Told) {
        let Told::Forget { chain } = &told else { return self.batch.push(told) };
        let mut was_written = true;
        let behind = &self.state.behind;
        self.batch.retain(|other| {
            let is_of_it = other.chain() == Some(chain);
            was_written &= !(is_of_it && matches!(other, Told::Keep { .. }));
            if is_of_it {
                behind.fetch_sub(other.bytes(), Ordering::Relaxed);
            }
            !is_of_it
        });
        match was_written {
            true => self.batch.push(told),
            false => drop(behind.fetch_sub(told.bytes(), Ordering::Relaxed)),
        }
    }

    fn write(&mut self) -> Result<(), redb::Error> {
        // One that failed refuses everything after that, so it is opened anew.
        let database = match self.database.take().filter(|_| self.has_its_file()) {
            Some(database) => database,
            None => self.open_again()?,
        };
        commit(&database, &self.batch)?;
        self.database = Some(database);
        Ok(())
    }

    fn open_again(&mut self) -> Result<Database, redb::Error> {
        let opening = open_or_set_aside(&self.path, Duration::ZERO, "what waits is kept anew")?;
        if self.file.is_some() && !self.has_its_file() {
            tracing::warn!(file = %self.path.display(), "a new file of callbacks is begun: the one before is gone");
            self.lost.notify_one();
        }
        self.file = Some(opening.file);
        Ok(opening.database)
    }

    /// Closes the file. Says which of these chains are not in it: all, if it can't be read.
    fn end(&mut self, chains: &[String]) -> Vec<String> {
        let database = self.database.take().filter(|_| self.has_its_file());
        let database = match database {
            Some(database) => Some(database),
            None => open_unlocked(&self.path, Duration::ZERO).ok().map(|(database, _)| database),
        };
        let missing = database.and_then(|database| missing(&database, chains).ok());
        missing.unwrap_or_else(|| chains.to_vec())
    }

    /// Whether what was opened is still under its name.
    fn has_its_file(&self) -> bool {
        let held = self.file.as_ref().and_then(|file| file.metadata().ok());
        let named = std::fs::metadata(&self.path).ok();
        held.zip(named).is_some_and(|(held, named)| (held.dev(), held.ino()) == (named.dev(), named.ino()))
    }

    fn written(&mut self) {
        if self.failed.take().is_some() {
            self.state.failing.store(false, Ordering::Relaxed);
            self.logged = None;
            tracing::info!(file = %self.path.display(), "callbacks are kept again");
        }
        for mut told in self.batch.drain(..) {
            self.state.behind.fetch_sub(told.bytes(), Ordering::Relaxed);
            if let Some(kept) = told.waiting() {
                let _ = kept.send(());
            }
        }
    }

    fn failed(&mut self, error: &redb::Error) {
        let now = Instant::now();
        self.failed = Some(now);
        self.state.failing.store(true, Ordering::Relaxed);
        self.batch.iter_mut().for_each(|told| drop(told.waiting()));
        if self.logged.is_none_or(|logged| now.duration_since(logged) >= LOG) {
            self.logged = Some(now);
            tracing::error!(
                file = %self.path.display(),
                %error,
                "callbacks are not kept: they are sent, but are lost if the process ends"
            );
        }
    }
}

fn commit(database: &Database, batch: &[Told]) -> Result<(), redb::Error> {
    let transaction = database.begin_write()?;
    {
        let mut chains = transaction.open_table(CHAINS)?;
        let mut notes = transaction.open_table(NOTES)?;
        for told in batch {
            match told {
                Told::Keep { chain, bytes, .. } => drop(chains.insert(&**chain, &**bytes)?),
                Told::Note { chain, call, bytes, .. } => {
                    notes.insert((&**chain, *call), &**bytes)?;
                }
                Told::Forget { chain } => {
                    chains.remove(&**chain)?;
                    notes.retain_in((&**chain, 0)..=(&**chain, u32::MAX), |_, _| false)?;
                }
                Told::Close(_) => {}
            }
        }
    }
    Ok(transaction.commit()?)
}

/// `waited`: what becomes of what was in a broken one.
fn open_or_set_aside(path: &Path, locked: Duration, waited: &str) -> Result<Opening, DatabaseError> {
    let file = make(path)?;
    let error = match open_unlocked(path, locked) {
        Ok((database, stored)) => return Ok(Opening { database, file, stored }),
        Err(error) if is_broken(&error) => error,
        Err(error) => return Err(error),
    };
    let seconds = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
    let aside = path.with_extension(format!("redb.broken-{seconds}"));
    std::fs::rename(path, &aside)?;
    tracing::error!(
        file = %path.display(),
        %error,
        aside = %aside.display(),
        "the file of callbacks is broken and was set aside; {waited}"
    );
    let file = make(path)?;
    let (database, stored) = open_unlocked(path, locked)?;
    Ok(Opening { database, file, stored })
}

/// Whoever may not read the process may not read what clients sent it, either.
fn make(path: &Path) -> io::Result<File> {
    let folder = path.parent().unwrap_or(Path::new("."));
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    let file = File::options().write(true).create(true).truncate(false).mode(0o600).open(path)?;
    // Their names, too, are to outlive the machine; some file systems know no such thing.
    for folder in folder.ancestors().take(2) {
        let folder = if folder == Path::new("") { Path::new(".") } else { folder };
        let _ = File::open(folder).and_then(|folder| folder.sync_all());
    }
    Ok(file)
}

/// Waits a while for a process that ends.
fn open_unlocked(path: &Path, locked: Duration) -> Result<(Database, Vec<Stored>), DatabaseError> {
    let until = Instant::now() + locked;
    loop {
        match open(path.to_owned()) {
            Err(DatabaseError::DatabaseAlreadyOpen) if Instant::now() < until => {
                std::thread::sleep(Duration::from_millis(50));
            }
            opened => return opened,
        }
    }
}

/// In a thread of its own: a broken file may make the database panic.
fn open(path: PathBuf) -> Result<(Database, Vec<Stored>), DatabaseError> {
    let opening = std::thread::spawn(move || {
        let mut builder = Database::builder();
        builder.set_cache_size(CACHE).set_check_integrity_on_open(true);
        let large = std::fs::metadata(&path)?.len() > LARGE;
        let mut database = builder.create(&path)?;
        let stored = load(&database).map_err(storage)?;
        if large && let Err(error) = database.compact() {
            tracing::warn!(file = %path.display(), %error, "the file of callbacks can't be made smaller");
            drop(database);
            database = builder.create(&path)?;
        }
        Ok((database, stored))
    });
    opening.join().unwrap_or_else(|_| Err(StorageError::Corrupted("reading it panicked".to_owned()).into()))
}

/// Which of these chains are not in it.
fn missing(database: &Database, chains: &[String]) -> Result<Vec<String>, redb::Error> {
    let transaction = database.begin_read()?;
    let table = transaction.open_table(CHAINS)?;
    let mut missing = Vec::new();
    for chain in chains {
        if table.get(&**chain)?.is_none() {
            missing.push(chain.clone());
        }
    }
    Ok(missing)
}

fn load(database: &Database) -> Result<Vec<Stored>, redb::Error> {
    let transaction = database.begin_read()?;
    let (chains, notes) = match (transaction.open_table(CHAINS), transaction.open_table(NOTES)) {
        // Nothing was ever kept.
        (Err(redb::TableError::TableDoesNotExist(_)), _) => return Ok(Vec::new()),
        (chains, notes) => (chains?, notes?),
    };
    let mut stored = Vec::new();
    for entry in chains.iter()? {
        let (chain, bytes) = entry?;
        let chain = chain.value().to_owned();
        let mut of_chain = Vec::new();
        for note in notes.range((&*chain, 0)..=(&*chain, u32::MAX))? {
            let (key, bytes) = note?;
            of_chain.push((key.value().1 as usize, bytes.value().to_owned()));
        }
        stored.push(Stored { chain, bytes: bytes.value().to_owned(), notes: of_chain });
    }
    Ok(stored)
}

/// What is no trouble of the storage is a file that is none of ours.
fn storage(error: redb::Error) -> StorageError {
    match error {
        redb::Error::Io(error) => StorageError::Io(error),
        other => StorageError::Corrupted(other.to_string()),
    }
}

/// Whether the file is to blame, and neither the disk nor who may use it.
fn is_broken(error: &DatabaseError) -> bool {
    match error {
        DatabaseError::Storage(StorageError::Io(error)) => {
            matches!(error.kind(), io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof)
        }
        DatabaseError::Storage(_) | DatabaseError::UpgradeRequired(_) | DatabaseError::RepairAborted => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOON: Duration = Duration::from_secs(30);

    /// A chain, its bytes, and its notes.
    type Seen = (String, Vec<u8>, Vec<(usize, Vec<u8>)>);

    fn open(folder: &Path) -> (Folder, Vec<Seen>) {
        let (store, stored) = Folder::open(folder, Arc::default()).unwrap();
        (store, stored.into_iter().map(|stored| (stored.chain, stored.bytes, stored.notes)).collect())
    }

    async fn closed(store: &Folder) {
        assert_eq!(store.close(Vec::new()).await, Ok(Vec::new()));
    }

    /// A folder with `chains` chains of a kilobyte.
    async fn fill(folder: &Path, chains: usize) {
        let (store, stored) = open(folder);
        assert_eq!(stored, []);
        let kept: Vec<_> =
            (0..chains).map(|number| store.keep(format!("{number:03}"), vec![number as u8; 1000])).collect();
        for kept in kept {
            assert!(kept.within(SOON).await);
        }
        closed(&store).await;
    }

    #[tokio::test]
    async fn what_is_kept_is_there_again() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path().join("a/b");
        let (store, stored) = open(&folder);
        assert_eq!(stored, []);
        for chain in ["a", "b", "c"] {
            store.keep(chain.to_owned(), chain.into());
        }
        store.note("a".to_owned(), 0, vec![1]);
        store.note("a".to_owned(), 1, vec![2]);
        store.note("a".to_owned(), 0, vec![3]);
        store.note("b".to_owned(), 0, vec![4]);
        store.forget("b".to_owned());
        closed(&store).await;
        let a = ("a".to_owned(), b"a".to_vec(), vec![(0, vec![3]), (1, vec![2])]);
        assert_eq!(open(&folder).1, [a, ("c".to_owned(), b"c".to_vec(), Vec::new())]);
        let mode = std::os::unix::fs::PermissionsExt::mode(
            &std::fs::metadata(folder.join(FILE)).unwrap().permissions(),
        );
        assert_eq!(mode & 0o777, 0o600);
    }

    #[tokio::test]
    async fn at_the_end_it_says_what_is_not_kept() {
        let folder = tempfile::tempdir().unwrap();
        let (store, _) = open(folder.path());
        let names = |names: &str| names.chars().map(String::from).collect::<Vec<_>>();
        for chain in names("abc") {
            store.keep(chain, Vec::new());
        }
        store.forget("b".to_owned());
        assert_eq!(store.close(names("abcd")).await, Ok(names("bd")));
        // While the file can't be had, nothing can be said of it; at the end it is tried once more.
        let (file, aside) = (folder.path().join(FILE), folder.path().join("aside"));
        for (is_back, left) in [(true, "f"), (false, "acdef")] {
            let (store, _) = open(folder.path());
            std::fs::rename(&file, &aside).unwrap();
            std::fs::create_dir(&file).unwrap();
            let number = if is_back { "d" } else { "e" };
            assert!(!store.keep(number.to_owned(), Vec::new()).within(SOON).await);
            if is_back {
                std::fs::remove_dir(&file).unwrap();
                std::fs::rename(&aside, &file).unwrap();
            }
            assert_eq!(store.close(names(if is_back { "acdf" } else { "acdef" })).await, Ok(names(left)));
        }
    }

    #[tokio::test]
    async fn what_is_told_after_the_end_is_not_kept() {
        let folder = tempfile::tempdir().unwrap();
        let (store, _) = open(folder.path());
        closed(&store).await;
        assert!(!store.keep("a".to_owned(), Vec::new()).within(SOON).await);
        assert!(store.close(Vec::new()).await.is_err());
    }

    #[tokio::test]
    async fn what_is_told_and_not_written_is_bounded() {
        let (sender, _told) = mpsc::channel();
        let store = Folder { told: sender, state: Arc::default() };
        let kept: Vec<_> = (0..5).map(|_| store.keep("a".to_owned(), vec![0; 20 << 20])).collect();
        let mut refused = 0;
        for kept in kept.into_iter().rev().take(2) {
            refused += usize::from(!kept.within(SOON).await);
        }
        assert_eq!((refused, store.state.behind.load(Ordering::Relaxed) / (20 << 20)), (2, 3));
    }

    #[test]
    fn what_comes_and_goes_while_it_fails_is_not_written() {
        let (_sender, told) = mpsc::channel();
        let keep = |chain: &str| Told::Keep { chain: chain.to_owned(), bytes: vec![0; 10], kept: None };
        let note =
            |chain: &str| Told::Note { chain: chain.to_owned(), call: 0, bytes: Vec::new(), kept: None };
        let forget = |chain: &str| Told::Forget { chain: chain.to_owned() };
        let state = Arc::new(State::default());
        let (path, failed) = (PathBuf::new(), Some(Instant::now()));
        let (database, file, lost, batch, logged) = (None, None, Arc::default(), Vec::new(), None);
        let mut writer = Writer { path, database, file, lost, told, state, batch, failed, logged };
        for told in [keep("a"), note("b"), keep("c"), note("a"), forget("a"), forget("b"), note("c")] {
            writer.state.behind.fetch_add(told.bytes(), Ordering::Relaxed);
            writer.add(told);
        }
        let left: Vec<_> = writer.batch.iter().filter_map(|told| told.chain()).map(String::as_str).collect();
        assert_eq!(left, ["c", "b", "c"]);
        assert_eq!(writer.state.behind.load(Ordering::Relaxed), 3 * FIXED + 10);
    }

    #[tokio::test]
    async fn a_file_that_goes_while_it_is_used_is_begun_anew() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a").join(FILE);
        let lost = Arc::new(Notify::new());
        let (store, _) = Folder::open(path.parent().unwrap(), lost.clone()).unwrap();
        let keep = async |name: &str| assert!(store.keep(name.to_owned(), Vec::new()).within(SOON).await);
        keep("a").await;
        let is_told = async || tokio::time::timeout(Duration::ZERO, lost.notified()).await.is_ok();
        assert!(!is_told().await);
        std::fs::remove_dir_all(path.parent().unwrap()).unwrap();
        keep("b").await;
        assert!(is_told().await);
        keep("c").await;
        assert!(!is_told().await);
        // Another in its place is not written over.
        std::fs::rename(&path, folder.path().join("aside")).unwrap();
        std::fs::write(&path, "not a database").unwrap();
        keep("d").await;
        assert!(is_told().await);
        closed(&store).await;
        let names: Vec<_> = open(path.parent().unwrap()).1.into_iter().map(|(name, ..)| name).collect();
        assert_eq!(names, ["d"]);
        let files = std::fs::read_dir(path.parent().unwrap()).unwrap().count();
        assert_eq!(files, 2);
    }

    #[tokio::test]
    async fn a_folder_is_of_one_process() {
        let folder = tempfile::tempdir().unwrap();
        let (_store, _) = open(folder.path());
        let problem = Folder::open_within(folder.path(), Arc::default(), Duration::ZERO).err().unwrap();
        assert!(problem.message.ends_with("can't be used: another process uses it"), "{}", problem.message);
    }

    #[test]
    fn a_folder_that_can_not_be_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        std::fs::write(&file, "").unwrap();
        assert_eq!(Folder::open(&file, Arc::default()).err().unwrap().code, UNUSABLE);
        std::fs::create_dir(folder.path().join(FILE)).unwrap();
        assert_eq!(Folder::open(folder.path(), Arc::default()).err().unwrap().code, UNUSABLE);
    }

    /// Breaks a file with three chains; says how many are there after that, and how many files are aside.
    async fn broken(break_it: impl FnOnce(&mut Vec<u8>)) -> (usize, usize) {
        let folder = tempfile::tempdir().unwrap();
        fill(folder.path(), 3).await;
        let path = folder.path().join(FILE);
        let mut bytes = std::fs::read(&path).unwrap();
        break_it(&mut bytes);
        std::fs::write(&path, bytes).unwrap();
        let (store, stored) = open(folder.path());
        // It works.
        assert!(store.keep("new".to_owned(), Vec::new()).within(SOON).await);
        (stored.len(), std::fs::read_dir(folder.path()).unwrap().count() - 1)
    }

    #[tokio::test]
    async fn what_is_no_file_of_ours_is_set_aside() {
        assert_eq!(broken(|bytes| *bytes = b"not a database".to_vec()).await, (0, 1));
        assert_eq!(broken(|bytes| bytes.truncate(5000)).await, (0, 1));
        assert_eq!(broken(|bytes| bytes.fill(0xff)).await, (0, 1));
        // As at the first start.
        assert_eq!(broken(Vec::clear).await, (0, 0));
    }

    #[tokio::test]
    async fn a_file_that_is_broken_anywhere_is_repaired_or_set_aside() {
        let mut random = fastrand::Rng::with_seed(7);
        for _ in 0..40 {
            let at = random.usize(..40_000);
            let (there, aside) = broken(|bytes| {
                let at = at % bytes.len();
                bytes[at] ^= 0x55;
            })
            .await;
            assert!(matches!((there, aside), (3, 0) | (0, 1)), "{at}: {there} {aside}");
        }
    }
}
