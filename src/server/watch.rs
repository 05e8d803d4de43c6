//! Notices that files or URLs may have changed.
//!
//! Not the files but their parent folders are watched: editors save by renaming, and a Kubernetes
//! ConfigMap swaps the link `..data` beside them. What the system does not tell (NFS, overlays, no
//! more inotify watches) a slow poll finds.

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use notify::{RecursiveMode, Watcher};
use tokio::sync::Notify;

use super::load::{Stamp, Web, stamp};
use crate::config::Reload;

/// Writes that belong together arrive within this time.
const QUIET: Duration = Duration::from_millis(60);

/// A folder that never comes to rest is looked at this often.
const LONGEST: Duration = Duration::from_millis(500);

/// Folders that the system is asked to watch. There are as many watches for all processes of a user;
/// further folders are polled.
const WATCHED: usize = 1_024;

pub struct Watch {
    stamps: BTreeMap<PathBuf, Stamp>,
    /// None: the config has it off, or the system can't.
    watcher: Option<notify::RecommendedWatcher>,
    stirred: Arc<Notify>,
    folders: BTreeMap<PathBuf, Option<Which>>,
    settling: tokio::task::JoinHandle<()>,
    polling: Option<tokio::task::JoinHandle<()>>,
}

/// Which folder a name stood for: device, number, and birth, since numbers are used again.
type Which = (u64, u64, Option<SystemTime>);

impl Drop for Watch {
    fn drop(&mut self) {
        self.settling.abort();
        self.polling.iter().for_each(tokio::task::JoinHandle::abort);
    }
}

impl Watch {
    /// Calls `notify` when one of `files`, or a text of `web`, may have changed.
    pub fn start(
        config: &Reload,
        files: BTreeMap<PathBuf, Stamp>,
        web: Arc<Web>,
        notify: impl Fn() + Clone + Send + Sync + 'static,
    ) -> Watch {
        let stirred = Arc::new(Notify::new());
        let watcher = config.watch.then(|| watcher(stirred.clone())).flatten();
        let poll = config.watch.then_some(config.poll);
        let polling = poll.map(|poll| tokio::spawn(ask(web, poll, notify.clone())));
        let settling = tokio::spawn(settle(stirred.clone(), poll, notify));
        let (stamps, folders) = (BTreeMap::new(), BTreeMap::new());
        let mut watch = Watch { stamps, watcher, stirred, folders, settling, polling };
        watch.look_at(files);
        watch
    }

    /// Whether any of the files is not as it was.
    pub fn changed(&self) -> bool {
        self.stamps.iter().any(|(path, before)| stamp(path) != *before)
    }

    /// From now on these are watched, as they were before they were read the last time.
    pub fn look_at(&mut self, files: BTreeMap<PathBuf, Stamp>) {
        let folders: BTreeMap<PathBuf, Option<Which>> = files
            .keys()
            .flat_map(|file| folders_of(file))
            .map(|folder| (folder.clone(), which(&folder)))
            .collect();
        // The watch of a folder ends with it. That end is told late, and would end a new watch of the
        // same name: so all begin anew.
        let anew = |(folder, which)| self.folders.get(folder).is_some_and(|before| before != which);
        if self.watcher.is_some() && folders.iter().any(anew) {
            self.watcher = watcher(self.stirred.clone());
            self.folders.clear();
        }
        if let Some(watcher) = &mut self.watcher {
            for gone in self.folders.keys().filter(|folder| !folders.contains_key(*folder)) {
                let _ = watcher.unwatch(gone);
            }
            for folder in folders.keys().take(WATCHED).filter(|folder| !self.folders.contains_key(*folder)) {
                if let Err(error) = watcher.watch(folder, RecursiveMode::NonRecursive) {
                    tracing::warn!(folder = %folder.display(), %error, "this folder can't be watched; it is polled");
                }
            }
        }
        self.folders = folders;
        self.stamps = files;
    }
}

fn watcher(stirred: Arc<Notify>) -> Option<notify::RecommendedWatcher> {
    let made = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
        // Reading a file is an event as well.
        if !event.is_ok_and(|event| event.kind.is_access()) {
            stirred.notify_one();
        }
    });
    made.inspect_err(|error| tracing::warn!(%error, "files can't be watched; they are polled")).ok()
}

fn which(folder: &Path) -> Option<Which> {
    let meta = std::fs::metadata(folder).ok()?;
    Some((meta.dev(), meta.ino(), meta.created().ok()))
}

/// The folders whose events tell of a change of the file: its own (or the nearest that is there, in
/// which its own may appear), and the one that a link leads to.
fn folders_of(file: &Path) -> Vec<PathBuf> {
    if file.is_dir() {
        return vec![file.to_owned()];
    }
    // From the top, since what is missing may have thousands of parts.
    let parent = |path: &Path| {
        let folders: Vec<&Path> = path.ancestors().skip(1).collect();
        folders.into_iter().rev().take_while(|folder| folder.is_dir()).last().map(Path::to_owned)
    };
    let real = file.canonicalize().ok().and_then(|real| parent(&real));
    parent(file).into_iter().chain(real).collect()
}

/// Asks for every URL again, now and then.
async fn ask(web: Arc<Web>, poll: Duration, notify: impl Fn()) {
    loop {
        tokio::time::sleep(poll.max(QUIET)).await;
        if web.poll().await {
            notify();
        }
    }
}

/// Waits until what stirred has come to rest, then notifies; and now and then without any reason.
async fn settle(stirred: Arc<Notify>, poll: Option<Duration>, notify: impl Fn()) {
    loop {
        match poll {
            Some(poll) => {
                let _ = tokio::time::timeout(poll.max(QUIET), stirred.notified()).await;
            }
            None => stirred.notified().await,
        }
        let rest = async { while tokio::time::timeout(QUIET, stirred.notified()).await.is_ok() {} };
        let _ = tokio::time::timeout(LONGEST, rest).await;
        notify();
    }
}
