//! What holds for any text at all. `tests/properties.rs` draws texts that are nearly right, the targets
//! in `fuzz/` follow the code's branches, and both ask the functions here.
//!
//! Each takes a text, and panics if it finds a rule broken.

pub mod path;

pub mod references;

pub mod template;

pub mod tree;

/// A property, and the folder of `fuzz/corpus` with the texts that are asked again at each change.
pub const PROPERTIES: [(&str, fn(&str)); 4] = [
    ("tree", tree::holds),
    ("references", references::holds),
    ("path", path::holds),
    ("template", template::holds),
];
