//! Files of a lab's folder, which nobody else may read.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

use crate::Trouble;

/// Makes a folder that its owner alone can look into.
pub(crate) fn make(path: &Path) -> Result<(), Trouble> {
    let made = std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path);
    made.map_err(Trouble::file(path))
}

/// Writes a file that its owner alone can read: all of it, or nothing.
pub(crate) fn write_private(path: &Path, content: &[u8]) -> Result<(), Trouble> {
    let unfinished = path.with_extension("unfinished");
    let write = || -> std::io::Result<()> {
        let mut file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&unfinished)?;
        file.write_all(content)?;
        file.sync_all()?;
        std::fs::rename(&unfinished, path)?;
        match path.parent() {
            Some(parent) => File::open(parent)?.sync_all(),
            None => Ok(()),
        }
    };
    write().map_err(Trouble::file(path))
}

/// Reads a text.
pub(crate) fn read(path: &Path) -> Result<String, Trouble> {
    std::fs::read_to_string(path).map_err(Trouble::file(path))
}
