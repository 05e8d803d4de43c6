//! The one mutable cell.

use std::sync::Arc;

use arc_swap::ArcSwap;

/// A value that is read without a lock and replaced in one step.
#[derive(Debug)]
pub struct Cell<T>(ArcSwap<T>);

impl<T> Cell<T> {
    pub fn new(value: T) -> Self {
        Cell(ArcSwap::from_pointee(value))
    }

    /// The value as it is now; whoever holds it sees no change.
    pub fn current(&self) -> Arc<T> {
        self.0.load_full()
    }

    pub fn swap(&self, value: T) {
        self.0.store(Arc::new(value));
    }
}
