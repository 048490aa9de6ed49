//! The state in a SQLite file in the stack folder: WAL, every commit synchronised to the disk.

use std::path::{Path, PathBuf};

use rusqlite::{Connection, ErrorCode, OpenFlags, OptionalExtension, params};

use super::{Backend, BackendError, Row, Rows, Table, Wiped};
use crate::commit::{Commit, Hash, Serial};

/// A state in a file.
#[derive(Debug)]
pub struct Local {
    connection: Connection,
    path: PathBuf,
}

impl Local {
    /// Opens the file, or makes an empty one.
    ///
    /// # Errors
    /// When it can't be opened, or is no SQLite database.
    pub fn open(path: &Path) -> Result<Self, BackendError> {
        not_cut(path)?;
        connect(path).map_err(|error| storage("read", path, &error))
    }

    /// Opens a file that is there already; also where nothing can be written, such as on a medium that is read only.
    ///
    /// # Errors
    /// When it can't be opened, is no SQLite database, or a part of it is in a write-ahead log that can't be read without
    /// writing.
    pub fn open_for_reading(path: &Path) -> Result<Self, BackendError> {
        not_cut(path)?;
        let failed = |error: rusqlite::Error| storage("read", path, &error);
        match connect(path) {
            Err(error) if is_read_only(&error) => {}
            result => return result.map_err(failed),
        }
        let mut log = path.as_os_str().to_owned();
        log.push("-wal");
        if std::fs::metadata(&log).is_ok_and(|log| log.len() > 0) {
            return Err(BackendError::Storage {
                what: "read",
                place: path.display().to_string(),
                why: "its newest commits are in the write-ahead log, which can't be read where nothing can be written: copy \
                      `state.sqlite` and `state.sqlite-wal` to another folder"
                    .into(),
            });
        }
        // Nobody can write it: there is nothing to lock and no log to look into.
        let plain = path.to_string_lossy();
        let escaped = plain
            .replace('%', "%25")
            .replace('?', "%3f")
            .replace('#', "%23");
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI;
        let uri = format!("file:{escaped}?immutable=1");
        let connection = Connection::open_with_flags(uri, flags).map_err(failed)?;
        Ok(Self {
            connection,
            path: path.to_owned(),
        })
    }

    /// An empty state that is in no file, for a plan before there is any.
    ///
    /// # Errors
    /// When there is no memory for it.
    pub fn in_memory() -> Result<Self, BackendError> {
        Self::open(Path::new(":memory:"))
    }

    fn read<T>(&self, result: rusqlite::Result<T>) -> Result<T, BackendError> {
        result.map_err(|error| storage("read", &self.path, &error))
    }

    /// Appends a commit, or puts it in the place of all before it.
    fn write(&mut self, commit: &Commit, rows: &[Row], replaces: bool) -> Result<(), BackendError> {
        let path = self.path.clone();
        let failed = |error: rusqlite::Error| storage("write", &path, &error);
        let transaction = self
            .connection
            .transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)
            .map_err(failed)?;
        let head: Option<(u64, String)> = transaction
            .query_row(HEAD, [], |row| Ok((row.get(0)?, row.get(1)?)))
            .optional()
            .map_err(failed)?;
        let (found, hash) = head.unwrap_or_default();
        if found + 1 != commit.serial.0 || hash != commit.previous.0 {
            let expected = Serial(commit.serial.0.saturating_sub(1));
            return Err(BackendError::Conflict {
                expected,
                found: Serial(found),
            });
        }
        if replaces {
            let tables = Table::ALL.iter().map(|table| table.as_str());
            for table in tables.chain(["log"]) {
                transaction
                    .execute(&format!("DELETE FROM {table}"), [])
                    .map_err(failed)?;
            }
        }
        transaction
            .prepare_cached("INSERT INTO log (serial, previous, time, run, records, hash) VALUES (?, ?, ?, ?, ?, ?)")
            .and_then(|mut insert| {
                insert.execute(params![
                    commit.serial.0,
                    commit.previous.0,
                    commit.time,
                    commit.run,
                    commit.records,
                    commit.hash.0
                ])
            })
            .map_err(failed)?;
        for row in rows {
            match row {
                Row::Put { table, key, body } => {
                    let put = format!(
                        "INSERT OR REPLACE INTO {} (key, body) VALUES (?, ?)",
                        table.as_str()
                    );
                    transaction
                        .prepare_cached(&put)
                        .and_then(|mut put| put.execute(params![key, body]))
                        .map_err(failed)?;
                }
                Row::Remove { table, key } => {
                    let remove = format!("DELETE FROM {} WHERE key = ?", table.as_str());
                    transaction
                        .prepare_cached(&remove)
                        .and_then(|mut remove| remove.execute(params![key]))
                        .map_err(failed)?;
                }
            }
        }
        transaction.commit().map_err(failed)
    }
}

fn connect(path: &Path) -> rusqlite::Result<Local> {
    let connection = Connection::open(path)?;
    connection.busy_timeout(std::time::Duration::from_secs(10))?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.execute_batch(TABLES)?;
    Ok(Local {
        connection,
        path: path.to_owned(),
    })
}

/// SQLite takes an empty file for a new database, and a state that was cut to nothing for none at all.
fn not_cut(path: &Path) -> Result<(), BackendError> {
    match std::fs::metadata(path) {
        Ok(found) if found.len() == 0 => Err(BackendError::Storage {
            what: "read",
            place: path.display().to_string(),
            why: "the file is empty, which dmp never leaves behind: bring back a copy, or remove it if there never was a state"
                .into(),
        }),
        _ => Ok(()),
    }
}

fn is_read_only(error: &rusqlite::Error) -> bool {
    matches!(
        error.sqlite_error_code(),
        Some(ErrorCode::ReadOnly | ErrorCode::CannotOpen)
    )
}

fn storage(what: &'static str, path: &Path, error: &rusqlite::Error) -> BackendError {
    BackendError::Storage {
        what,
        place: path.display().to_string(),
        why: error.to_string(),
    }
}

impl Backend for Local {
    fn head(&self) -> Result<Option<(Serial, Hash)>, BackendError> {
        let head = self
            .connection
            .query_row(HEAD, [], |row| Ok((Serial(row.get(0)?), Hash(row.get(1)?))));
        self.read(head.optional())
    }

    fn rows(&self) -> Result<Rows, BackendError> {
        let mut rows = Rows::new();
        for table in Table::ALL {
            let query = format!("SELECT key, body FROM {}", table.as_str());
            let mut statement = self.read(self.connection.prepare(&query))?;
            let found = self.read(statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?))))?;
            rows.insert(table, self.read(found.collect())?);
        }
        Ok(rows)
    }

    fn append(&mut self, commit: &Commit, rows: &[Row]) -> Result<(), BackendError> {
        self.write(commit, rows, false)
    }

    fn replace(&mut self, commit: &Commit, rows: &[Row]) -> Result<Wiped, BackendError> {
        let path = self.path.clone();
        let failed = |error: rusqlite::Error| storage("write", &path, &error);
        // What is deleted is overwritten with zeros.
        self.connection
            .pragma_update(None, "secure_delete", "ON")
            .map_err(failed)?;
        self.write(commit, rows, true)?;
        // The old pages still lie in the write-ahead log until it is emptied.
        let wiped = self.connection.execute_batch("VACUUM").and_then(|()| {
            self.connection
                .query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0))
        });
        Ok(match wiped {
            Ok(0) => Wiped::Done,
            Ok(_) => Wiped::Not("another process reads it".into()),
            Err(error) => Wiped::Not(error.to_string()),
        })
    }

    fn log(&self, after: Serial, limit: usize) -> Result<Vec<Commit>, BackendError> {
        let query = "SELECT serial, previous, time, run, records, hash FROM log WHERE serial > ? ORDER BY serial LIMIT ?";
        let mut statement = self.read(self.connection.prepare(query))?;
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let commits = statement.query_map(params![after.0, limit], |row| {
            Ok(Commit {
                serial: Serial(row.get(0)?),
                previous: Hash(row.get(1)?),
                time: row.get(2)?,
                run: row.get(3)?,
                records: row.get(4)?,
                hash: Hash(row.get(5)?),
            })
        });
        self.read(self.read(commits)?.collect())
    }
}

const HEAD: &str = "SELECT serial, hash FROM log ORDER BY serial DESC LIMIT 1";

const TABLES: &str = "
CREATE TABLE IF NOT EXISTS log (
    serial INTEGER PRIMARY KEY, previous TEXT NOT NULL, time TEXT NOT NULL, run TEXT NOT NULL,
    records TEXT NOT NULL, hash TEXT NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, body TEXT NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS instances (key TEXT PRIMARY KEY, body TEXT NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS deposed (key TEXT PRIMARY KEY, body TEXT NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS intents (key TEXT PRIMARY KEY, body TEXT NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS outputs (key TEXT PRIMARY KEY, body TEXT NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS providers (key TEXT PRIMARY KEY, body TEXT NOT NULL) STRICT, WITHOUT ROWID;
";
