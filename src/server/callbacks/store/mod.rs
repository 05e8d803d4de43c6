//! Where chains are kept that are not done, so that they may outlive the process.
//!
//! A store has bytes under names; what they mean, `saved.rs` says. It hears of everything in the order in
//! which it happens, and whoever must not go on before something is kept, waits for its [`Kept`].

use std::time::Duration;

use tokio::sync::oneshot;

/// Chains, and what became of their calls so far.
///
/// Delivery is at least once: a chain is kept before its answer is written, and what is lost of the notes
/// after that sends a call again.
pub trait Store: Send + Sync + 'static {
    /// Whether what is kept outlives the process: else nobody makes bytes of it.
    fn outlives(&self) -> bool;

    /// Keeps a chain under a name that no other has.
    fn keep(&self, chain: &str, bytes: Vec<u8>) -> Kept;

    /// Keeps how far a call of it is, in place of what was noted before.
    fn note(&self, chain: &str, call: u32, bytes: Vec<u8>) -> Kept;

    /// Drops a chain with all its notes.
    fn forget(&self, chain: &str);
}

/// Tells when something is kept.
pub struct Kept(Option<oneshot::Receiver<()>>);

/// Nothing outlives the process.
pub struct Memory;

impl Kept {
    /// It is, or there is nothing to wait for.
    pub fn done() -> Self {
        Kept(None)
    }

    /// It is when the other end says so.
    pub fn when(receiver: oneshot::Receiver<()>) -> Self {
        Kept(Some(receiver))
    }

    /// Whether it was kept within `wait`.
    pub async fn within(self, wait: Duration) -> bool {
        let Some(receiver) = self.0 else { return true };
        matches!(tokio::time::timeout(wait, receiver).await, Ok(Ok(())))
    }
}

impl Store for Memory {
    fn outlives(&self) -> bool {
        false
    }

    fn keep(&self, _: &str, _: Vec<u8>) -> Kept {
        Kept::done()
    }

    fn note(&self, _: &str, _: u32, _: Vec<u8>) -> Kept {
        Kept::done()
    }

    fn forget(&self, _: &str) {}
}
