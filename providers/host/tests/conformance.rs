//! The contract's clauses over a real sshd without root's rights.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use dmp_provider_host::HostProvider;
use dmp_sdk::testing::conformance::{Case, Stranger, check};
use dmp_sdk::{Machines, OnMachines, Provider, Resource, Value};
use dmp_testkit::Sshd;
use dmp_transport::Ssh;

fn resource(name: &str) -> Arc<dyn Resource> {
    let resources = HostProvider::new().resources();
    let found = resources
        .into_iter()
        .find(|resource| resource.schema().name.as_ref() == name);
    found.expect("is offered")
}

/// Tries every clause of a type, each at a path of its own.
async fn keeps_the_contract(
    resource_type: &str,
    prepare: impl Fn(&Path),
    config: impl Fn(&Path) -> Value,
    change: impl Fn(Value) -> Value,
    outside: fn(&Path, Stranger),
) {
    let Some(sshd) = Sshd::start() else { return };
    let ssh: Ssh = dmp_testkit::ssh();
    let count = AtomicU32::new(0);
    let make = || {
        let number = count.fetch_add(1, Ordering::Relaxed);
        let path: PathBuf = sshd.path(&format!("tried-{number}"));
        prepare(&path);
        let config = config(&path).with("host", sshd.machine().to_value());
        Case {
            resource: resource(resource_type),
            provider: Arc::new(OnMachines),
            machines: Some(Arc::new(ssh.clone()) as Arc<dyn Machines>),
            changed: Some(change(config.clone())),
            config,
            outside: Box::new(move |stranger| outside(&path, stranger)),
        }
    };
    let broken = check(make).await.err().unwrap_or_default();
    let lines: Vec<_> = broken.iter().map(ToString::to_string).collect();
    assert!(lines.is_empty(), "{}", lines.join("\n"));
}

fn at(path: &Path, name: &str, value: &str) -> Value {
    Value::object_of([
        ("path", path.display().to_string().into()),
        (name, value.into()),
    ])
}

fn alter_file(path: &Path, stranger: Stranger) {
    match stranger {
        Stranger::Deletes => std::fs::remove_file(path).expect("is there"),
        Stranger::Alters => std::fs::write(path, "theirs\n").expect("writable"),
    }
}

#[tokio::test]
async fn host_file_keeps_the_contract() {
    let config = |path: &Path| at(path, "content", "mine\n");
    let change = |config: Value| config.with("content", "mine too\n".into());
    keeps_the_contract("host_file", |_| {}, config, change, alter_file).await;
}

#[tokio::test]
async fn host_file_keeps_the_contract_where_something_stood_before() {
    let prepare = |path: &Path| std::fs::write(path, "before\n").expect("writable");
    let config = |path: &Path| at(path, "content", "mine\n");
    let change = |config: Value| config.with("mode", "0600".into());
    keeps_the_contract("host_file", prepare, config, change, alter_file).await;
}

#[tokio::test]
async fn host_file_keeps_the_contract_with_a_secret() {
    let config = |path: &Path| at(path, "sensitive_content", "hunter2-and-more");
    let change = |config: Value| config.with("sensitive_content", "hunter3-and-more".into());
    keeps_the_contract("host_file", |_| {}, config, change, alter_file).await;
}

#[tokio::test]
async fn host_directory_keeps_the_contract() {
    use std::os::unix::fs::PermissionsExt;
    let config = |path: &Path| at(path, "mode", "0750");
    let change = |config: Value| config.with("mode", "0700".into());
    let outside = |path: &Path, stranger: Stranger| match stranger {
        Stranger::Deletes => std::fs::remove_dir(path).expect("is there"),
        Stranger::Alters => {
            let mode = std::fs::Permissions::from_mode(0o711);
            std::fs::set_permissions(path, mode).expect("ours");
        }
    };
    keeps_the_contract("host_directory", |_| {}, config, change, outside).await;
}
