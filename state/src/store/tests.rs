use std::path::Path;

use dmp_sdk::{HoldsData, Layer, Machine, Marks, Value, Verb};
use proptest::prelude::*;

use super::*;
use crate::backends::local::Local;
use crate::record::Status;

const NOW: &str = "2026-01-01T00:00:00Z";

fn outside(folder: &Path) -> Outside {
    Outside {
        identity_file: folder.join("identity"),
        passphrase: None,
        seen_folder: folder.join("seen"),
    }
}

fn open(folder: &Path) -> Store {
    let backend = Local::open(&folder.join("state.sqlite")).expect("opens");
    Store::open(Box::new(backend), outside(folder)).expect("opens")
}

fn begun(folder: &Path) -> Store {
    let mut store = open(folder);
    store
        .begin("lineage".into(), &Wanted::default(), "run", NOW)
        .expect("begins");
    store
}

fn instance(name: &str) -> Instance {
    Instance {
        address: Address::managed("host_file", name),
        id: format!("id-{name}"),
        provider: "host".into(),
        schema_version: 1,
        attributes: Value::object_of([(
            "content",
            Value::from("hunter2").marked(&Marks::sensitive()),
        )]),
        set_paths: vec!["content".into()],
        object_id: None,
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

fn intent(id: &str) -> Intent {
    Intent {
        id: id.into(),
        verb: Verb::Create,
        instance: Box::new(instance("motd")),
        deposes: false,
        object_id: None,
        batches: Vec::new(),
        run: "run".into(),
    }
}

fn machine() -> Machine {
    Machine {
        address: "10.0.0.1".into(),
        port: 22,
        user: "root".into(),
        key_file: None,
        private_key: Some("hunter2".into()),
        host_keys: Vec::new(),
        sudo: false,
        ..Machine::default()
    }
}

#[test]
fn what_is_committed_is_there_after_opening_again() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut store = begun(folder.path());
    let sent = Record::BatchSent {
        intents: vec!["i1".into()],
        on: machine(),
        batch: "b1".into(),
    };
    let id = Record::IntentId {
        intent: "i1".into(),
        object_id: "vm-1".into(),
    };
    store
        .commit(
            vec![Record::IntentOpened(Box::new(intent("i1")))],
            "run",
            NOW,
        )
        .expect("commits");
    store.commit(vec![sent, id], "run", NOW).expect("commits");
    store
        .commit(
            vec![Record::InstancePut(Box::new(instance("motd")))],
            "run",
            NOW,
        )
        .expect("commits");

    let again = open(folder.path());
    assert_eq!(again.snapshot().serial, Serial(4));
    assert_eq!(again.snapshot().instances, store.snapshot().instances);
    assert_eq!(again.snapshot().intents, store.snapshot().intents);
    let intent = &again.snapshot().intents["i1"];
    assert_eq!(
        (intent.object_id.as_deref(), intent.batches[0].on.clone()),
        (Some("vm-1"), machine())
    );
    again.verify().expect("is sound");
}

#[test]
fn no_secret_lies_in_the_files() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut store = begun(folder.path());
    let provider = ProviderRecord {
        provider: "kubernetes".into(),
        config: "hunter2".into(),
        origins: Vec::new(),
    };
    let output = Output {
        value: Value::from("hunter2").marked(&Marks::sensitive()),
    };
    let records = vec![
        Record::IntentOpened(Box::new(intent("i1"))),
        Record::BatchSent {
            intents: vec!["i1".into()],
            on: machine(),
            batch: "b1".into(),
        },
        Record::InstancePut(Box::new(instance("motd"))),
        Record::ProviderPut {
            address: "kubernetes".into(),
            provider: Box::new(provider),
        },
        Record::OutputsPut(BTreeMap::from([("password".into(), output)])),
    ];
    store.commit(records, "run", NOW).expect("commits");
    for entry in std::fs::read_dir(folder.path()).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_file() && path.file_name().is_some_and(|name| name != "identity") {
            let bytes = std::fs::read(&path).expect("reads");
            assert!(
                !bytes.windows(7).any(|window| window == b"hunter2"),
                "{}",
                path.display()
            );
        }
    }
}

#[test]
fn a_changed_log_is_noticed() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut store = begun(folder.path());
    store
        .commit(
            vec![Record::InstancePut(Box::new(instance("motd")))],
            "run",
            NOW,
        )
        .expect("commits");
    let file = rusqlite::Connection::open(folder.path().join("state.sqlite")).expect("opens");
    file.execute(
        "UPDATE log SET records = replace(records, 'host_file.motd', 'host_file.mote')",
        [],
    )
    .expect("changes");
    let error = store.verify().expect_err("changed");
    assert!(
        error.to_string().contains("commit 2 was changed"),
        "{error}"
    );
}

#[test]
fn a_changed_table_is_noticed() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut store = begun(folder.path());
    store
        .commit(
            vec![Record::InstancePut(Box::new(instance("motd")))],
            "run",
            NOW,
        )
        .expect("commits");
    let file = rusqlite::Connection::open(folder.path().join("state.sqlite")).expect("opens");
    file.execute(
        "UPDATE instances SET body = replace(body, '\"whole\"', '\"whale\"')",
        [],
    )
    .expect("changes");
    assert!(store.verify().is_err());
}

#[test]
fn a_second_writer_is_refused_and_nothing_changes() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut one = begun(folder.path());
    let mut two = open(folder.path());
    one.commit(
        vec![Record::InstancePut(Box::new(instance("a")))],
        "one",
        NOW,
    )
    .expect("commits");
    let error = two
        .commit(
            vec![Record::InstancePut(Box::new(instance("b")))],
            "two",
            NOW,
        )
        .expect_err("conflict");
    assert!(
        matches!(error, StateError::Backend(BackendError::Conflict { .. })),
        "{error}"
    );
    assert!(two.snapshot().instances.is_empty());
    assert_eq!(open(folder.path()).snapshot().instances.len(), 1);
}

#[test]
fn an_older_copy_of_the_folder_is_noticed() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut store = begun(folder.path());
    let copy = folder.path().join("copy.sqlite");
    let file = rusqlite::Connection::open(folder.path().join("state.sqlite")).expect("opens");
    file.execute("VACUUM INTO ?", [copy.to_str()])
        .expect("copies");
    store
        .commit(
            vec![Record::InstancePut(Box::new(instance("a")))],
            "run",
            NOW,
        )
        .expect("commits");
    let old = Store::open(
        Box::new(Local::open(&copy).expect("opens")),
        outside(folder.path()),
    )
    .expect("opens");
    assert_eq!(old.older_than_seen, Some(Serial(2)));
}

#[test]
fn a_newer_format_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    drop(begun(folder.path()));
    let file = rusqlite::Connection::open(folder.path().join("state.sqlite")).expect("opens");
    file.execute("UPDATE meta SET body = '2' WHERE key = 'format'", [])
        .expect("changes");
    let backend = Local::open(&folder.path().join("state.sqlite")).expect("opens");
    let error = Store::open(Box::new(backend), outside(folder.path())).expect_err("newer");
    assert!(matches!(error, StateError::Newer { found: 2 }));
}

fn any_record() -> impl Strategy<Value = Record> {
    let name = prop::sample::select(vec!["a", "b", "c"]);
    (name, 0..7_u8).prop_map(|(name, kind)| match kind {
        0 | 1 => Record::InstancePut(Box::new(instance(name))),
        2 => Record::InstanceRemoved {
            address: Address::managed("host_file", name),
            why: "deleted".into(),
        },
        3 => Record::IntentOpened(Box::new(intent(name))),
        4 => Record::IntentClosed {
            intent: name.into(),
        },
        5 => Record::IntentId {
            intent: name.into(),
            object_id: "x".into(),
        },
        _ => Record::BatchSent {
            intents: vec![name.into()],
            on: machine(),
            batch: format!("b-{name}"),
        },
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn any_history_replays(history in prop::collection::vec(prop::collection::vec(any_record(), 1..4), 1..12)) {
        let folder = tempfile::tempdir().expect("a folder");
        let mut store = begun(folder.path());
        for records in history {
            store.commit(records, "run", NOW).expect("commits");
        }
        store.verify().expect("is sound");
        let again = open(folder.path());
        prop_assert_eq!(&again.snapshot().instances, &store.snapshot().instances);
        prop_assert_eq!(&again.snapshot().intents, &store.snapshot().intents);
        prop_assert_eq!(&again.snapshot().hash, &store.snapshot().hash);
    }
}
