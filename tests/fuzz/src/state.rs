//! A state that somebody, or a disk, has written: records and rows of any content. It is read or refused.

use std::sync::OnceLock;

use dmp_sdk::{Address, HoldsData, Layer, Marks, Value};
use dmp_state::backends::{Backend, BackendError, Row, Rows, Table, Wiped};
use dmp_state::{Commit, Hash, Instance, Local, Outside, Record, Serial, Status, Store, Wanted};
use tempfile::TempDir;

/// A state as it lies in a backend, with the identity that opens it.
struct Base {
    folder: TempDir,
    log: Vec<Commit>,
    rows: Rows,
}

/// Reads a state in which either one commit's records or one row is replaced: `TABLE KEY` in the first line and the body in
/// the others, or `log` and the records.
pub(crate) fn read(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    let (head, body) = text.split_once('\n').unwrap_or((text, ""));
    let base = base();
    let mut given = Given {
        log: base.log.clone(),
        rows: base.rows.clone(),
    };
    let (table, key) = head.split_once(' ').unwrap_or((head, ""));
    if let Some(table) = Table::ALL.iter().find(|known| known.as_str() == table) {
        given
            .rows
            .entry(*table)
            .or_default()
            .insert(key.into(), body.into());
    } else {
        // The link and the hash are right: what is wrong is what somebody has committed.
        let last = given.log.last().expect("a commit");
        let (serial, previous) = (last.serial.next(), last.hash.clone());
        given.log.push(Commit::new(
            serial,
            previous,
            NOW.into(),
            "run".into(),
            body.into(),
        ));
    }
    let folder = base.folder.path();
    if let Ok(store) = Store::open(Box::new(given), outside(folder)) {
        let _ = store.verify();
    }
}

pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let base = base();
    let mut found = Vec::new();
    for (table, rows) in &base.rows {
        for (key, body) in rows {
            found.push(format!("{} {key}\n{body}", table.as_str()).into_bytes());
        }
    }
    for commit in &base.log {
        found.push(format!("log\n{}", commit.records).into_bytes());
    }
    found
}

const NOW: &str = "2026-01-01T00:00:00Z";

fn outside(folder: &std::path::Path) -> Outside {
    Outside {
        identity_file: folder.join("identity"),
        passphrase: None,
        seen_folder: folder.join("seen"),
    }
}

fn base() -> &'static Base {
    static BASE: OnceLock<Base> = OnceLock::new();
    BASE.get_or_init(|| {
        let folder = TempDir::new().expect("a folder");
        let backend = Local::in_memory().expect("a backend");
        let mut store = Store::open(Box::new(backend), outside(folder.path())).expect("opens");
        store
            .begin("lineage".into(), &Wanted::default(), "run", NOW)
            .expect("begins");
        let put = Record::InstancePut(Box::new(instance()));
        store.commit(vec![put], "run", NOW).expect("commits");
        let log = store.log(Serial::default(), 10).expect("a log");
        let rows = store.sealed_rows().expect("rows");
        Base { folder, log, rows }
    })
}

fn instance() -> Instance {
    let secret = Value::from("hunter2").marked(&Marks::sensitive());
    let list = Value::list(vec![1.into(), Value::unknown(dmp_sdk::Type::Number)]);
    Instance {
        address: Address::managed("core_value", "one"),
        id: "id".into(),
        provider: "core".into(),
        schema_version: 1,
        attributes: Value::object_of([("value", secret), ("list", list)]),
        set_paths: ["value".into()].into(),
        object_id: Some("object".into()),
        chosen: Value::null(),
        earlier: Some(Value::null()),
        dependencies: Vec::new(),
        hosted_on: Vec::new(),
        status: Status::Whole,
        prevent_destroy: false,
        layer: Layer::Host,
        holds_data: HoldsData::None,
        ends_hosted: false,
        group: None,
        create_milliseconds: Some(5),
    }
}

/// A backend that holds what it was given.
struct Given {
    log: Vec<Commit>,
    rows: Rows,
}

impl Backend for Given {
    fn head(&self) -> Result<Option<(Serial, Hash)>, BackendError> {
        let last = self.log.last();
        Ok(last.map(|commit| (commit.serial, commit.hash.clone())))
    }

    fn rows(&self) -> Result<Rows, BackendError> {
        Ok(self.rows.clone())
    }

    fn append(&mut self, commit: &Commit, _rows: &[Row]) -> Result<(), BackendError> {
        self.log.push(commit.clone());
        Ok(())
    }

    fn replace(&mut self, commit: &Commit, rows: &[Row]) -> Result<Wiped, BackendError> {
        self.log.clear();
        self.append(commit, rows)?;
        Ok(Wiped::Done)
    }

    fn log(&self, after: Serial, limit: usize) -> Result<Vec<Commit>, BackendError> {
        let later = self.log.iter().filter(|commit| commit.serial > after);
        Ok(later.take(limit).cloned().collect())
    }
}
