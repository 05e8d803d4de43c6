//! What holds for any text at all. `tests/properties.rs` draws texts that are nearly right, the targets
//! in `fuzz/` follow the code's branches, and both ask the functions here.
//!
//! Each takes a text, and panics if it finds a rule broken.

pub mod body;

pub mod path;

pub mod references;

pub mod template;

pub mod tree;

/// A rule that holds for any text, or panics.
pub type Property = fn(&str);

/// Each with the folder of `fuzz/corpus` that has the texts that are asked again at each change.
pub const PROPERTIES: [(&str, Property); 5] = [
    ("tree", tree::holds),
    ("references", references::holds),
    ("path", path::holds),
    ("template", template::holds),
    ("body", body::holds),
];
