//! Reads the folders of a stack and of the modules it calls. Nothing else in this crate touches the disk.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use dmp_sdk::Diagnostic;

use crate::config::Configuration;
use crate::scope::{FileError, Files};
use crate::sources::Sources;

/// Reads a stack with its modules, recursively.
///
/// The configuration holds whatever could be understood; it may be used only if no diagnostic is an error.
#[must_use]
pub fn load_stack(directory: &Path) -> (Configuration, Sources, Vec<Diagnostic>) {
    let _ = directory;
    unreachable!()
}

/// The files of the disk, relative paths taken from one folder.
#[derive(Clone, Debug)]
pub struct DiskFiles {
    base: PathBuf,
}

impl DiskFiles {
    /// Files relative to a folder.
    #[must_use]
    pub fn relative_to(base: &Path) -> Self {
        Self {
            base: base.to_owned(),
        }
    }
}

impl Files for DiskFiles {
    fn read(&self, path: &str) -> Result<Arc<[u8]>, FileError> {
        let _ = self.base.join(path);
        unreachable!()
    }

    fn exists(&self, path: &str) -> Result<bool, FileError> {
        let _ = path;
        unreachable!()
    }
}
