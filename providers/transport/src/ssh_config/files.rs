//! The files on this machine's disk, each read once in a run so that all hosts see the same. Called by `resolve`.

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use super::pattern::matches_name;
use super::resolve::Files;

/// What has been read of the disk.
#[derive(Debug)]
pub(super) struct Disk {
    /// The user who may own a person's files, besides root.
    uid: u32,
    /// The file that is named by name: OpenSSH does not ask who owns it either.
    trusted: Option<PathBuf>,
    read: Mutex<BTreeMap<PathBuf, Text>>,
}

type Text = Result<Option<Arc<str>>, String>;

impl Disk {
    pub(super) fn new(uid: u32, trusted: Option<PathBuf>) -> Self {
        Self {
            uid,
            trusted,
            read: Mutex::default(),
        }
    }

    fn look(&self, path: &Path) -> Text {
        let metadata = match std::fs::metadata(path) {
            Ok(metadata) => metadata,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(format!("can't be read: {error}")),
        };
        let is_trusted = self.trusted.as_deref() == Some(path);
        let owner = metadata.uid();
        if !is_trusted && ((owner != 0 && owner != self.uid) || metadata.mode() & 0o022 != 0) {
            return Err(
                "others may write to it, or own it; ssh refuses it too: `chmod go-w` it".into(),
            );
        }
        if metadata.len() > LARGEST {
            return Err(format!("is larger than {} MiB", LARGEST >> 20));
        }
        let bytes = std::fs::read(path).map_err(|error| format!("can't be read: {error}"))?;
        Ok(Some(String::from_utf8_lossy(&bytes).into()))
    }
}

impl Files for Disk {
    fn read(&self, path: &Path) -> Text {
        let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(text) = read.get(path) {
            return text.clone();
        }
        let text = self.look(path);
        read.insert(path.to_owned(), text.clone());
        text
    }

    fn matching(&self, pattern: &str) -> Vec<PathBuf> {
        let mut found = vec![PathBuf::from("/")];
        for part in pattern.split('/').filter(|part| !part.is_empty()) {
            found = found.iter().flat_map(|folder| step(folder, part)).collect();
        }
        found.sort();
        found
    }
}

fn step(folder: &Path, part: &str) -> Vec<PathBuf> {
    if !part.contains(['*', '?', '[', '\\']) {
        let path = folder.join(part);
        return if path.exists() {
            vec![path]
        } else {
            Vec::new()
        };
    }
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let names = entries.map(|entry| entry.file_name());
    let fitting = names.filter(|name| matches_name(part, &name.to_string_lossy()));
    fitting.map(|name| folder.join(name)).collect()
}

/// No file of settings is larger.
const LARGEST: u64 = 4 << 20;
