//! Whether a document is read, and served as it says. `tests/corpus.rs` asks it of a sample at each
//! change, `benches/corpus.rs` of every document there is.
//!
//! What a document says is found by a walk of its own in `shown.rs`, which knows nothing of how
//! Standin reads: two readings of one text have to agree.

pub mod judge;

pub mod shown;

pub use judge::{Outcome, judge};
