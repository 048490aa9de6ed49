//! One writer: the operating system's file lock decides, a note in the file says who holds it.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// The exclusive right to write one state; given back when dropped or when the process ends, however it ends.
#[derive(Debug)]
pub struct Lock {
    file: File,
    /// The run before, if it ended without giving the lock back in order.
    pub left_by: Option<Holder>,
}

/// Who holds a lock.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    /// Process id.
    pub pid: u32,
    /// The command, such as `apply`.
    pub command: String,
    /// Since when, in RFC 3339.
    pub since: String,
    /// The user.
    pub user: String,
}

/// Why there is no lock.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Another run is alive and holds it.
    #[error("another run holds the state: `dmp {}`, process {}, since {}, user {}", .0.command, .0.pid, .0.since, .0.user)]
    Held(Holder),
    /// The file can't be used.
    #[error("cannot use the lock file `{}`: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
}

impl Lock {
    /// Takes the lock, or says who holds it. Never waits.
    ///
    /// # Errors
    /// When a living process holds it, or the file can't be used.
    pub fn take(path: &Path, holder: &Holder) -> Result<Self, LockError> {
        let failed = |source| LockError::File {
            path: path.to_owned(),
            source,
        };
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)
            .map_err(failed)?;
        let taken = file.try_lock();
        let mut text = String::new();
        file.read_to_string(&mut text).map_err(failed)?;
        let noted: Option<Holder> = serde_json::from_str(&text).ok();
        match taken {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(LockError::Held(noted.unwrap_or_else(unknown)));
            }
            Err(TryLockError::Error(source)) => return Err(failed(source)),
        }
        let mut lock = Self {
            file,
            left_by: noted,
        };
        lock.note(&serde_json::to_string(holder).unwrap_or_default())
            .map_err(failed)?;
        Ok(lock)
    }

    /// Looks who holds a lock, without taking it. `None` where there is no lock yet, or nobody left a note in it.
    ///
    /// # Errors
    /// [`LockError::Held`] when a living process holds it; when the file can't be used.
    pub fn look(path: &Path) -> Result<Option<Holder>, LockError> {
        let failed = |source| LockError::File {
            path: path.to_owned(),
            source,
        };
        let mut file = match File::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(failed(error)),
        };
        let mut text = String::new();
        file.read_to_string(&mut text).map_err(failed)?;
        let noted: Option<Holder> = serde_json::from_str(&text).ok();
        // A shared lock for a moment: who wants to write in this moment is refused, and no note is lost.
        match file.try_lock_shared() {
            Ok(()) => Ok(noted),
            Err(TryLockError::WouldBlock) => Err(LockError::Held(noted.unwrap_or_else(unknown))),
            Err(TryLockError::Error(source)) => Err(failed(source)),
        }
    }

    fn note(&mut self, text: &str) -> std::io::Result<()> {
        self.file.set_len(0)?;
        self.file.rewind()?;
        self.file.write_all(text.as_bytes())
    }
}

/// Somebody whose note can't be read.
fn unknown() -> Holder {
    Holder {
        pid: 0,
        command: "?".into(),
        since: "?".into(),
        user: "?".into(),
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // Best effort: a note that stays only means one more line on the next run's screen.
        let _ = self.note("");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holder(pid: u32) -> Holder {
        Holder {
            pid,
            command: "apply".into(),
            since: "2026-01-01T00:00:00Z".into(),
            user: "ada".into(),
        }
    }

    #[test]
    fn a_living_holder_is_named_and_a_dead_one_is_told_of() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("lock");
        let first = Lock::take(&path, &holder(1)).expect("free");
        assert_eq!(first.left_by, None);
        let error = Lock::take(&path, &holder(2)).expect_err("held");
        assert!(
            matches!(&error, LockError::Held(held) if held.pid == 1),
            "{error}"
        );
        let error = Lock::look(&path).expect_err("held");
        assert!(matches!(&error, LockError::Held(held) if held.pid == 1));
        // A killed process leaves its note behind: forget the guard without its drop, and close the file.
        let file = first.file.try_clone().expect("a second handle");
        std::mem::forget(first);
        file.unlock().expect("unlocks");
        assert_eq!(Lock::look(&path).expect("free"), Some(holder(1)));
        assert_eq!(
            Lock::take(&path, &holder(3)).expect("free again").left_by,
            Some(holder(1))
        );
        assert_eq!(
            Lock::take(&path, &holder(4))
                .expect("given back in order")
                .left_by,
            None
        );
    }
}
