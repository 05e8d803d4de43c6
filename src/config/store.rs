//! Where callbacks are kept.

use std::path::Path;

use super::problem::{Problem, not_built, quoted};
use super::{Store, source};

const HINT: &str = "write `memory`, or a folder as `./callbacks`";

/// `memory`, or a folder: a path with a `/` or a `.` in it, so that a slip of `memory` makes none.
pub(super) fn store(text: &str, folder: &Path) -> Result<Store, Problem> {
    if text == "memory" {
        return Ok(Store::Memory);
    }
    if text.contains("://") {
        return Err(not_built(quoted(text)));
    }
    if !text.contains(['/', '\\', '.']) {
        return Err(Problem::value(format!("unknown store {}", quoted(text))).hint(HINT));
    }
    source::root(text, folder).map(Store::Folder)
}
