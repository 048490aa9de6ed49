//! Reads a state by what `docs/reference/state-format.md` says, and by nothing of dmp's own reading.

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD as BASE64;
use dmp_sdk::{Address, HoldsData, Layer, Marks, Value};
use dmp_state::{Instance, Local, Outside, Record, Status, Store, Wanted};
use rusqlite::Connection;
use serde_json::Value as Json;
use sha2::{Digest, Sha256};

const PAGE: &str = include_str!("../../docs/reference/state-format.md");
const NOW: &str = "2026-01-01T00:00:00Z";

fn instance() -> Instance {
    let secret = Value::from("hunter2").marked(&Marks::sensitive());
    Instance {
        address: Address::managed("host_file", "motd"),
        id: "0123".into(),
        provider: "host".into(),
        schema_version: 1,
        attributes: Value::object_of([
            ("path", "/etc/motd".into()),
            (
                "users",
                Value::tuple(vec![Value::object_of([("password", secret)])]),
            ),
        ]),
        set_paths: vec!["path".into()],
        object_id: None,
        chosen: Value::null(),
        earlier: None,
        dependencies: Vec::new(),
        hosted_on: Vec::new(),
        status: Status::Whole,
        prevent_destroy: false,
        layer: Layer::Host,
        holds_data: HoldsData::None,
        ends_hosted: false,
        group: None,
        create_milliseconds: None,
    }
}

/// A state with one instance, in a folder of its own, and its data key.
fn written(enforced: bool) -> (tempfile::TempDir, Connection, Vec<u8>) {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("state.sqlite");
    let outside = Outside {
        identity_file: folder.path().join("identity"),
        passphrase: None,
        seen_folder: folder.path().join("seen"),
    };
    let local = Local::open(&file).expect("opens");
    let mut store = Store::open(Box::new(local), outside).expect("opens");
    let wanted = Wanted {
        enforced,
        ..Wanted::default()
    };
    store
        .begin("lineage".into(), &wanted, "run", NOW)
        .expect("begins");
    let put = Record::InstancePut(Box::new(instance()));
    store.commit(vec![put], "run", NOW).expect("commits");
    drop(store);
    let database = Connection::open(&file).expect("opens");
    let identity = std::fs::read_to_string(folder.path().join("identity")).expect("is there");
    let identity = identity
        .lines()
        .find(|line| line.starts_with("AGE-SECRET-KEY-"))
        .expect("a line");
    let identity: age::x25519::Identity = identity.parse().expect("an identity");
    let wrapped = BASE64
        .decode(meta(&database, "wrapped_key"))
        .expect("base64");
    let key = age::decrypt(&identity, &wrapped).expect("opens");
    (folder, database, key)
}

fn meta(database: &Connection, key: &str) -> String {
    let query = "SELECT body FROM meta WHERE key = ?";
    database
        .query_row(query, [key], |row| row.get(0))
        .expect("is there")
}

fn body(database: &Connection) -> Json {
    let query = "SELECT body FROM instances WHERE key = 'host_file.motd'";
    let text: String = database
        .query_row(query, [], |row| row.get(0))
        .expect("is there");
    serde_json::from_str(&text).expect("JSON")
}

fn with_lengths(texts: &[&str]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for text in texts {
        bytes.extend((text.len() as u64).to_be_bytes());
        bytes.extend(text.as_bytes());
    }
    bytes
}

fn open(key: &[u8], owner: &str, path: &str, sealed: &Json) -> Json {
    let bytes = BASE64
        .decode(sealed.as_str().expect("a text"))
        .expect("base64");
    let (nonce, text) = bytes.split_at(12);
    let key = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, key).expect("32 bytes"));
    let beside = Aad::from(with_lengths(&["dmp.v1", "lineage", owner, path]));
    let mut text = text.to_vec();
    let nonce = Nonce::try_assume_unique_for_key(nonce).expect("12 bytes");
    let plain = key.open_in_place(nonce, beside, &mut text).expect("opens");
    serde_json::from_slice(plain).expect("JSON")
}

#[test]
fn the_tables_are_those_of_the_page() {
    let (_folder, database, _) = written(false);
    let (_, rest) = PAGE.split_once("```sql\n").expect("a block");
    let (told, _) = rest.split_once("```").expect("its end");
    let query = "SELECT sql FROM sqlite_master WHERE type = 'table' ORDER BY rowid";
    let mut statement = database.prepare(query).expect("a query");
    let rows = statement.query_map([], |row| row.get(0)).expect("rows");
    let real: Vec<String> = rows.map(|row| row.expect("a row")).collect();
    assert_eq!(real.join("\n"), told.trim_end());
    let mode: String = database
        .query_row("PRAGMA journal_mode", [], |row| row.get(0))
        .expect("a mode");
    assert_eq!(mode, "wal");
}

#[test]
fn the_chain_of_commits_is_that_of_the_page() {
    let (_folder, database, _) = written(false);
    let query = "SELECT serial, previous, time, run, records, hash FROM log ORDER BY serial";
    let mut statement = database.prepare(query).expect("a query");
    let rows = statement.query_map([], |row| {
        let serial: u64 = row.get(0)?;
        let texts: [String; 5] = [
            row.get(1)?,
            row.get(2)?,
            row.get(3)?,
            row.get(4)?,
            row.get(5)?,
        ];
        Ok((serial, texts))
    });
    let (mut last, mut count) = (String::new(), 0);
    for row in rows.expect("rows") {
        let (serial, [previous, time, run, records, hash]) = row.expect("a row");
        count += 1;
        assert_eq!((serial, &previous), (count, &last));
        let hashed = with_lengths(&[&serial.to_string(), &previous, &time, &run, &records]);
        assert_eq!(hash, hex::encode(Sha256::digest(hashed)));
        last = hash;
    }
    assert_eq!(count, 2);
}

#[test]
fn a_secret_opens_as_the_page_says() {
    let (_folder, database, key) = written(false);
    assert_eq!(key.len(), 32);
    let body = body(&database);
    assert_eq!(body["attributes"]["path"], "/etc/motd");
    let sealed = &body["attributes"]["users"][0]["password"]["$sealed"];
    let plain = open(&key, "0123/attributes", "users[0].password", sealed);
    assert_eq!(plain, "hunter2");
}

#[test]
fn where_encryption_is_enforced_the_whole_opens_as_the_page_says() {
    let (_folder, database, key) = written(true);
    assert_eq!(meta(&database, "sealing"), "whole");
    let body = body(&database);
    let sealed = &body["attributes"]["$whole"];
    let plain = open(&key, "0123/attributes/$whole", "", sealed);
    assert_eq!(plain["path"], "/etc/motd");
    let secret = &plain["users"][0]["password"]["$sealed"];
    let plain = open(&key, "0123/attributes", "users[0].password", secret);
    assert_eq!(plain, "hunter2");
}
