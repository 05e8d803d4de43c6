//! Where chains are kept that are not done, so that they may outlive the process.
//!
//! A store has bytes under names; what they mean, `saved.rs` says. What it is told takes effect in the
//! order in which it is told, and whoever must not go on before something is kept waits for its [`Kept`].

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, oneshot};

use crate::config;
use crate::diagnostic::Diagnostic;

mod folder;

/// Chains, and what became of their calls so far. One that loses them says so, and is told all again.
///
/// Delivery is at least once: a chain is kept before its answer is written, and what is lost of the notes
/// after that sends a call again.
pub(super) trait Store: Send + Sync + 'static {
    /// Whether what is kept outlives the process: else nobody makes bytes of it.
    fn outlives(&self) -> bool;

    /// Keeps a chain under a name that no other has.
    fn keep(&self, chain: String, bytes: Vec<u8>) -> Kept;

    /// Keeps how far a call of it is, in place of what was noted before.
    fn note(&self, chain: String, call: usize, bytes: Vec<u8>) -> Kept;

    /// Drops a chain with all its notes.
    fn forget(&self, chain: String);

    /// Nothing is told after this. When everything before it is kept or can't be, says which of these chains are
    /// not; if it says nothing, none is kept.
    fn close(&self, chains: Vec<String>) -> oneshot::Receiver<Vec<String>>;
}

/// A store as it is at the start: with what another process left in it.
pub struct Opened {
    pub(super) store: Arc<dyn Store>,
    pub(super) stored: Vec<Stored>,
    /// Told when the store has lost what it was told, and is to be told again.
    pub(super) lost: Arc<Notify>,
}

/// A chain that was kept, with the notes on its calls.
pub(super) struct Stored {
    pub chain: String,
    pub bytes: Vec<u8>,
    pub notes: Vec<(usize, Vec<u8>)>,
}

/// Tells when something is kept.
pub struct Kept(Promise);

enum Promise {
    Done,
    Failed,
    When(oneshot::Receiver<()>),
}

/// Nothing outlives the process.
struct Memory;

impl Opened {
    /// Blocks.
    ///
    /// # Errors
    ///
    /// A folder that can't be used, or that another process uses.
    pub fn open(store: &config::Store) -> Result<Opened, Box<Diagnostic>> {
        match store {
            config::Store::Memory => Ok(Opened::memory()),
            config::Store::Folder(path) => {
                let lost = Arc::new(Notify::new());
                let (folder, stored) = folder::Folder::open(path, lost.clone())?;
                Ok(Opened { store: Arc::new(folder), stored, lost })
            }
        }
    }

    pub fn memory() -> Opened {
        Opened { store: Arc::new(Memory), stored: Vec::new(), lost: Arc::default() }
    }
}

impl Kept {
    /// It is, or there is nothing to wait for.
    pub fn done() -> Self {
        Kept(Promise::Done)
    }

    /// It will not be soon.
    fn failed() -> Self {
        Kept(Promise::Failed)
    }

    /// With what says that it is; when that is dropped, it is not.
    fn when() -> (oneshot::Sender<()>, Self) {
        let (sender, receiver) = oneshot::channel();
        (sender, Kept(Promise::When(receiver)))
    }

    /// Whether it was kept within `wait`.
    pub async fn within(self, wait: Duration) -> bool {
        match self.0 {
            Promise::Done => true,
            Promise::Failed => false,
            Promise::When(receiver) => matches!(tokio::time::timeout(wait, receiver).await, Ok(Ok(()))),
        }
    }
}

impl Store for Memory {
    fn outlives(&self) -> bool {
        false
    }

    fn keep(&self, _: String, _: Vec<u8>) -> Kept {
        Kept::done()
    }

    fn note(&self, _: String, _: usize, _: Vec<u8>) -> Kept {
        Kept::done()
    }

    fn forget(&self, _: String) {}

    fn close(&self, _: Vec<String>) -> oneshot::Receiver<Vec<String>> {
        oneshot::channel().1
    }
}
