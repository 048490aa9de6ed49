//! The lab's folder on disk: one SQLite file of documents, written in one transaction per call.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::path::Path;
use std::str::FromStr;

use rusqlite::{Connection, params};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::World;
use super::table::{Cell, Table};
use crate::Trouble;

/// The documents of a lab.
#[derive(Debug)]
pub(crate) struct Store {
    connection: Connection,
}

impl Store {
    /// Opens the file, or makes it.
    pub(crate) fn open(path: &Path) -> Result<Store, Trouble> {
        // SQLite gives the files beside it the same mode.
        if !path.exists() {
            crate::folder::write_private(path, b"")?;
        }
        let connection = Connection::open(path)?;
        connection.pragma_update(None, "journal_mode", "WAL")?;
        connection.pragma_update(None, "synchronous", "NORMAL")?;
        let tables = "CREATE TABLE IF NOT EXISTS document (
            kind TEXT NOT NULL, key TEXT NOT NULL, value TEXT NOT NULL, PRIMARY KEY (kind, key)
        ) STRICT";
        connection.execute_batch(tables)?;
        Ok(Store { connection })
    }

    pub(super) fn one<T: DeserializeOwned>(&self, kind: &str) -> Result<Option<Cell<T>>, Trouble> {
        let rows: BTreeMap<String, T> = self.rows(kind)?;
        Ok(rows.into_values().next().map(Cell::new))
    }

    pub(super) fn table<K, V>(&self, kind: &str) -> Result<Table<K, V>, Trouble>
    where
        K: FromStr + Ord + Clone,
        V: DeserializeOwned,
    {
        self.rows(kind).map(Table::new)
    }

    fn rows<K: FromStr + Ord, V: DeserializeOwned>(
        &self,
        kind: &str,
    ) -> Result<BTreeMap<K, V>, Trouble> {
        let mut statement = self
            .connection
            .prepare("SELECT key, value FROM document WHERE kind = ?1")?;
        let mut found = statement.query(params![kind])?;
        let mut rows = BTreeMap::new();
        while let Some(row) = found.next()? {
            let (key, value): (String, String) = (row.get(0)?, row.get(1)?);
            let key = key
                .parse()
                .map_err(|_| Trouble::Damaged(format!("{kind} `{key}`")))?;
            let value = serde_json::from_str(&value)
                .map_err(|error| Trouble::Damaged(format!("{kind}: {error}")))?;
            rows.insert(key, value);
        }
        Ok(rows)
    }

    /// Writes what has changed, all or nothing.
    pub(crate) fn save(&mut self, world: &mut World) -> Result<(), Trouble> {
        let mut writes = Writes::default();
        writes.cell("cluster", &mut world.cluster);
        writes.table("guest", &mut world.guests);
        writes.table("volume", &mut world.volumes);
        writes.table("task", &mut world.tasks);
        writes.cell("openstack", &mut world.openstack.ground);
        writes.table("openstack-object", &mut world.openstack.objects);
        writes.table("openstack-server", &mut world.openstack.servers);
        if writes.0.is_empty() {
            return Ok(());
        }
        let transaction = self.connection.transaction()?;
        {
            let mut put = transaction.prepare_cached(
                "INSERT OR REPLACE INTO document (kind, key, value) VALUES (?1, ?2, ?3)",
            )?;
            let mut drop =
                transaction.prepare_cached("DELETE FROM document WHERE kind = ?1 AND key = ?2")?;
            for (kind, key, value) in &writes.0 {
                match value {
                    Some(value) => put.execute(params![kind, key, value])?,
                    None => drop.execute(params![kind, key])?,
                };
            }
        }
        transaction.commit()?;
        Ok(())
    }
}

/// What is to be written: kind, key, and the value or that there is none.
#[derive(Default)]
struct Writes(Vec<(&'static str, String, Option<String>)>);

impl Writes {
    fn cell<T: Serialize>(&mut self, kind: &'static str, cell: &mut Cell<T>) {
        if std::mem::take(&mut cell.is_changed) {
            self.0.push((kind, kind.to_owned(), text(&**cell)));
        }
    }

    fn table<K: Display + Ord + Clone, V: Serialize>(
        &mut self,
        kind: &'static str,
        table: &mut Table<K, V>,
    ) {
        for key in table.take_changed() {
            let value = table.get(&key).and_then(text);
            self.0.push((kind, key.to_string(), value));
        }
    }
}

fn text<T: Serialize>(value: &T) -> Option<String> {
    serde_json::to_string(value).ok()
}
