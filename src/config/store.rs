//! Where callbacks are kept.

use std::path::Path;

use super::problem::{Problem, quoted};
use super::{Store, source};

/// `memory`, or a folder: a path with a `/` or a `.` in it, so that a slip of `memory` makes none.
pub(super) fn store(text: &str, folder: &Path) -> Result<Store, Problem> {
    if text == "memory" {
        return Ok(Store::Memory);
    }
    if let Some((scheme, _)) = text.split_once("://") {
        return Err(Problem::value(format!(
            "a store at `{}://` is not built yet",
            quoted(scheme).trim_matches('`')
        ))
        .hint("write `memory`, or a folder as `./callbacks`"));
    }
    if !text.contains(['/', '\\', '.']) {
        return Err(Problem::value(format!("unknown store {}", quoted(text)))
            .hint("write `memory`, or a folder as `./callbacks`"));
    }
    source::root(text, folder).map(Store::Folder)
}
