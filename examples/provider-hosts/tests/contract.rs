//! The contract's clauses over a real sshd, for the user who runs the test.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use dmp_sdk::testing::conformance::{Case, Stranger, check};
use dmp_sdk::{OnMachines, Provider, Value};
use dmp_testkit::Sshd;
use example_provider_hosts::HostsProvider;

/// Tries every clause, each over a file of its own that begins as `before`.
async fn keeps_the_contract(before: &str) {
    let Some(sshd) = Sshd::start() else { return };
    let ssh = dmp_testkit::ssh();
    let count = AtomicU32::new(0);
    let make = || {
        let number = count.fetch_add(1, Ordering::Relaxed);
        let file = sshd.path(&format!("hosts-{number}"));
        std::fs::write(&file, before).expect("writable");
        let config = Value::object_of([
            ("host", sshd.machine().to_value()),
            ("name", "storage.lab".into()),
            ("address", "192.0.2.7".into()),
            ("file", file.display().to_string().into()),
        ]);
        let changed = config.with("address", "192.0.2.8".into());
        let resource = HostsProvider::new().resources().remove(0);
        let outside = move |stranger| stranger_at(&file, stranger);
        Case::new(resource, Arc::new(OnMachines), config, outside)
            .on(Arc::new(ssh.clone()))
            .changing(changed)
    };
    let report = check(make).await;
    assert!(report.broken().is_empty(), "{report}");
}

fn stranger_at(file: &Path, stranger: Stranger) {
    let text = match stranger {
        Stranger::Deletes => "",
        Stranger::Alters => "203.0.113.9 storage.lab\n",
    };
    std::fs::write(file, text).expect("writable");
}

#[tokio::test]
async fn an_entry_keeps_the_contract() {
    keeps_the_contract("127.0.0.1 localhost\n").await;
}

#[tokio::test]
async fn an_entry_keeps_the_contract_where_the_name_led_elsewhere() {
    keeps_the_contract("127.0.0.1 localhost\n198.51.100.1 nfs storage.lab # old\n").await;
}
