//! Files that a key of the config names: certificates, keys, secrets.

use std::path::Path;

use crate::diagnostic::{Code, Diagnostic, Severity};

/// A file that can't be read.
pub const UNREADABLE: Code = Code("SI0020");
/// A file without what it is for.
pub const UNUSABLE: Code = Code("SI0021");

/// Bytes of one. The authorities of a system are 220 KB.
const LARGEST: u64 = 4 << 20;

/// Its text, and how to speak of it.
pub struct File<'p> {
    pub key: String,
    pub path: &'p Path,
    pub bytes: Vec<u8>,
}

impl<'p> File<'p> {
    /// Blocks.
    ///
    /// # Errors
    ///
    /// What is wrong with it.
    pub fn read(key: String, path: &'p Path) -> Result<Self, Box<Diagnostic>> {
        let failed = |why: String| {
            let message = format!("`{key}`: {} can't be read: {why}", path.display());
            let problem = Diagnostic::new(Severity::Error, UNREADABLE, message);
            Box::new(
                problem
                    .hint("name a file that can be read; its path is relative to the config file's folder"),
            )
        };
        let found = std::fs::metadata(path).map_err(|error| failed(error.to_string()))?;
        // To open a pipe could wait for ever.
        if !found.is_file() {
            return Err(failed("it is no file".to_owned()));
        }
        if found.len() > LARGEST {
            return Err(failed(format!("it has {} bytes, and {LARGEST} are read at most", found.len())));
        }
        let bytes = std::fs::read(path).map_err(|error| failed(error.to_string()))?;
        Ok(File { key, path, bytes })
    }

    /// It lacks what it is for.
    pub fn unusable(&self, why: &str, hint: &str) -> Box<Diagnostic> {
        let message = format!("`{}`: {} {why}", self.key, self.path.display());
        Box::new(Diagnostic::new(Severity::Error, UNUSABLE, message).hint(hint))
    }
}
