//! The contract's clauses over a real sshd without root's rights.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use dmp_provider_host::HostProvider;
use dmp_sdk::testing::conformance::{Case, Stranger, check};
use dmp_sdk::{Machines, OnMachines, Provider, Resource, Value};
use dmp_testkit::Sshd;
use dmp_transport::Ssh;
use dmp_transport::ssh_config::SshConfig;

fn resource(name: &str) -> Arc<dyn Resource> {
    let resources = HostProvider::new().resources();
    let found = resources
        .into_iter()
        .find(|resource| resource.schema().name.as_ref() == name);
    found.expect("is offered")
}

/// A type under trial: how its world is made, what is wanted, and what a stranger does.
struct Tried<P, C, H> {
    resource_type: &'static str,
    prepare: P,
    config: C,
    change: H,
    outside: fn(&Path, Stranger),
    can_be_altered: bool,
    /// How many objects there are.
    counts: fn(&Path) -> usize,
}

fn is_there(path: &Path) -> usize {
    usize::from(path.symlink_metadata().is_ok())
}

/// Tries every clause of a type, each at paths of their own.
async fn keeps_the_contract(
    test: &str,
    tried: Tried<impl Fn(&Path), impl Fn(&Path) -> Value, impl Fn(Value) -> Value>,
) {
    let Some(sshd) = Sshd::start() else { return };
    let ssh: Ssh = dmp_testkit::ssh();
    let count = AtomicU32::new(0);
    let make = || {
        let number = count.fetch_add(1, Ordering::Relaxed);
        let path: PathBuf = sshd.path(&format!("tried-{number}"));
        (tried.prepare)(&path);
        let config = (tried.config)(&path).with("host", sshd.machine().to_value());
        let changed = (tried.change)(config.clone());
        let (outside, counts, counted) = (tried.outside, tried.counts, path.clone());
        let mut case = Case::new(
            resource(tried.resource_type),
            Arc::new(OnMachines),
            config,
            move |stranger| outside(&path, stranger),
        )
        .on(Arc::new(ssh.clone()) as Arc<dyn Machines>)
        .changing(changed)
        .counted(move || counts(&counted));
        case.can_be_altered = tried.can_be_altered;
        case
    };
    let report = check(make).await;
    report.judge(test).unwrap_or_else(|why| panic!("{why}"));
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
    let tried = Tried {
        resource_type: "host_file",
        prepare: |_: &Path| {},
        config: |path: &Path| at(path, "content", "mine\n"),
        change: |config: Value| config.with("content", "mine too\n".into()),
        outside: alter_file,
        can_be_altered: true,
        counts: is_there,
    };
    keeps_the_contract("host_file_keeps_the_contract", tried).await;
}

#[tokio::test]
async fn host_file_keeps_the_contract_where_something_stood_before() {
    let tried = Tried {
        resource_type: "host_file",
        prepare: |path: &Path| std::fs::write(path, "before\n").expect("writable"),
        config: |path: &Path| at(path, "content", "mine\n"),
        change: |config: Value| config.with("mode", "0600".into()),
        outside: alter_file,
        can_be_altered: true,
        counts: is_there,
    };
    let test = "host_file_keeps_the_contract_where_something_stood_before";
    keeps_the_contract(test, tried).await;
}

#[tokio::test]
async fn host_file_keeps_the_contract_with_a_secret() {
    let tried = Tried {
        resource_type: "host_file",
        prepare: |_: &Path| {},
        config: |path: &Path| at(path, "sensitive_content", "hunter2-and-more"),
        change: |config: Value| config.with("sensitive_content", "hunter3-and-more".into()),
        outside: alter_file,
        can_be_altered: true,
        counts: is_there,
    };
    keeps_the_contract("host_file_keeps_the_contract_with_a_secret", tried).await;
}

#[tokio::test]
async fn host_directory_keeps_the_contract() {
    use std::os::unix::fs::PermissionsExt;
    let tried = Tried {
        resource_type: "host_directory",
        prepare: |_: &Path| {},
        config: |path: &Path| at(path, "mode", "0750"),
        change: |config: Value| config.with("mode", "0700".into()),
        outside: |path: &Path, stranger: Stranger| match stranger {
            Stranger::Deletes => std::fs::remove_dir(path).expect("is there"),
            Stranger::Alters => {
                let mode = std::fs::Permissions::from_mode(0o711);
                std::fs::set_permissions(path, mode).expect("ours");
            }
        },
        can_be_altered: true,
        counts: is_there,
    };
    keeps_the_contract("host_directory_keeps_the_contract", tried).await;
}

fn alter_link(path: &Path, stranger: Stranger) {
    std::fs::remove_file(path).expect("is there");
    if stranger == Stranger::Alters {
        std::os::unix::fs::symlink("/theirs", path).expect("writable");
    }
}

#[tokio::test]
async fn host_symlink_keeps_the_contract() {
    let tried = Tried {
        resource_type: "host_symlink",
        prepare: |_: &Path| {},
        config: |path: &Path| at(path, "target", "/nowhere/mine"),
        change: |config: Value| config.with("target", "/etc".into()),
        outside: alter_link,
        can_be_altered: true,
        counts: is_there,
    };
    keeps_the_contract("host_symlink_keeps_the_contract", tried).await;
}

#[tokio::test]
async fn host_symlink_keeps_the_contract_where_a_link_stood_before() {
    let tried = Tried {
        resource_type: "host_symlink",
        prepare: |path: &Path| std::os::unix::fs::symlink("/etc", path).expect("writable"),
        config: |path: &Path| at(path, "target", "/usr"),
        change: |config: Value| config.with("target", "/nowhere".into()),
        outside: alter_link,
        can_be_altered: true,
        counts: is_there,
    };
    let test = "host_symlink_keeps_the_contract_where_a_link_stood_before";
    keeps_the_contract(test, tried).await;
}

/// Lines of the setting under trial.
fn settings(path: &Path) -> usize {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    text.lines().filter(|line| line.contains("colour")).count()
}

fn alter_setting(path: &Path, stranger: Stranger) {
    let text = std::fs::read_to_string(path).expect("is there");
    let others: String = text
        .lines()
        .filter(|line| !line.contains("colour"))
        .map(|line| format!("{line}\n"))
        .collect();
    let text = match stranger {
        Stranger::Deletes => others,
        Stranger::Alters => format!("{others}colour = theirs\n"),
    };
    std::fs::write(path, text).expect("writable");
}

#[tokio::test]
async fn host_line_keeps_the_contract() {
    let tried = Tried {
        resource_type: "host_line",
        prepare: |path: &Path| std::fs::write(path, "a = 1\nb = 2").expect("writable"),
        config: |path: &Path| at(path, "line", "colour = red").with("after", "^a".into()),
        change: |config: Value| config.with("line", "colour = green".into()),
        outside: |path: &Path, _: Stranger| alter_setting(path, Stranger::Deletes),
        can_be_altered: false,
        counts: settings,
    };
    keeps_the_contract("host_line_keeps_the_contract", tried).await;
}

#[tokio::test]
async fn host_line_keeps_the_contract_where_another_line_stood_before() {
    let tried = Tried {
        resource_type: "host_line",
        prepare: |path: &Path| std::fs::write(path, "#colour = blue\nb = 2").expect("writable"),
        config: |path: &Path| at(path, "line", "colour = red").with("match", "^#?colour = ".into()),
        change: |config: Value| config.with("line", "colour = green".into()),
        outside: alter_setting,
        can_be_altered: true,
        counts: settings,
    };
    let test = "host_line_keeps_the_contract_where_another_line_stood_before";
    keeps_the_contract(test, tried).await;
}

fn block(path: &Path) -> Value {
    at(path, "content", "colour = red\nshape = round\n").with("name", "ours".into())
}

fn change_block(config: &Value) -> Value {
    config.with("content", "colour = green\nshape = round\n".into())
}

fn alter_block(path: &Path, stranger: Stranger) {
    let text = std::fs::read_to_string(path).expect("is there");
    let text = match stranger {
        Stranger::Deletes => "theirs = 1\n".to_owned(),
        Stranger::Alters => text.replace("shape = round\n", ""),
    };
    std::fs::write(path, text).expect("writable");
}

#[tokio::test]
async fn host_block_keeps_the_contract() {
    let tried = Tried {
        resource_type: "host_block",
        prepare: |_: &Path| {},
        config: |path: &Path| block(path).with("create", true.into()),
        change: |config: Value| change_block(&config),
        outside: alter_block,
        can_be_altered: true,
        counts: settings,
    };
    keeps_the_contract("host_block_keeps_the_contract", tried).await;
}

#[tokio::test]
async fn host_block_keeps_the_contract_where_a_block_stood_before() {
    let before = "a = 1\n# BEGIN dmp ours\ncolour = blue\n# END dmp ours\nb = 2\n";
    let tried = Tried {
        resource_type: "host_block",
        prepare: move |path: &Path| std::fs::write(path, before).expect("writable"),
        config: block,
        change: |config: Value| change_block(&config),
        outside: alter_block,
        can_be_altered: true,
        counts: settings,
    };
    let test = "host_block_keeps_the_contract_where_a_block_stood_before";
    keeps_the_contract(test, tried).await;
}

const KEY: &str =
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
const OTHER: &str =
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBB";

fn keys(path: &Path, lines: &[&str]) -> Value {
    Value::object_of([
        ("user", dmp_testkit::user().into()),
        ("file", path.display().to_string().into()),
        ("keys", set(lines)),
    ])
}

fn set(lines: &[&str]) -> Value {
    Value::set(lines.iter().map(|line| Value::from(*line)).collect())
}

fn alter_keys(path: &Path, stranger: Stranger) {
    let text = match stranger {
        Stranger::Deletes => format!("# theirs\n{OTHER}X theirs\n"),
        Stranger::Alters => format!("restrict {KEY} mine\n"),
    };
    std::fs::write(path, text).expect("writable");
}

#[tokio::test]
async fn host_authorized_keys_keeps_the_contract() {
    let mine = format!("{KEY} mine");
    let tried = Tried {
        resource_type: "host_authorized_keys",
        prepare: |_: &Path| {},
        config: move |path: &Path| keys(path, &[&mine]),
        change: |config: Value| config.with("keys", set(&[&format!("no-pty {KEY} mine"), OTHER])),
        outside: alter_keys,
        can_be_altered: true,
        counts: is_there,
    };
    keeps_the_contract("host_authorized_keys_keeps_the_contract", tried).await;
}

#[tokio::test]
async fn host_authorized_keys_keeps_the_contract_where_the_whole_file_becomes_ours() {
    let tried = Tried {
        resource_type: "host_authorized_keys",
        prepare: |path: &Path| alter_keys(path, Stranger::Alters),
        config: |path: &Path| keys(path, &[OTHER]).with("exclusive", true.into()),
        change: |config: Value| config.with("keys", set(&[OTHER, KEY])),
        outside: |path: &Path, stranger: Stranger| match stranger {
            Stranger::Deletes => std::fs::remove_file(path).expect("is there"),
            Stranger::Alters => alter_keys(path, stranger),
        },
        can_be_altered: true,
        counts: is_there,
    };
    let test = "host_authorized_keys_keeps_the_contract_where_the_whole_file_becomes_ours";
    keeps_the_contract(test, tried).await;
}

/// A small archive with a folder `v` around what is in it.
fn archive(text: &str) -> String {
    use base64::Engine as _;
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::create_dir(folder.path().join("v")).expect("writable");
    std::fs::write(folder.path().join("v/a file"), text).expect("writable");
    std::os::unix::fs::symlink("a file", folder.path().join("v/link")).expect("writable");
    let tar = std::process::Command::new("tar")
        .args(["-C", &folder.path().display().to_string(), "-czf", "-", "v"])
        .output()
        .expect("there is tar");
    assert!(tar.status.success());
    base64::engine::general_purpose::STANDARD.encode(tar.stdout)
}

#[tokio::test]
async fn host_archive_keeps_the_contract() {
    let (one, two) = (archive("one"), archive("two"));
    let tried = Tried {
        resource_type: "host_archive",
        prepare: |_: &Path| {},
        config: move |path: &Path| {
            at(path, "content_base64", &one)
                .with("format", "tar.gz".into())
                .with("strip_components", 1.into())
        },
        change: move |config: Value| config.with("content_base64", two.as_str().into()),
        outside: |path: &Path, stranger: Stranger| match stranger {
            Stranger::Deletes => std::fs::remove_dir_all(path).expect("is there"),
            Stranger::Alters => std::fs::write(path.join("a file"), "theirs").expect("writable"),
        },
        can_be_altered: true,
        counts: is_there,
    };
    keeps_the_contract("host_archive_keeps_the_contract", tried).await;
}

/// A command that leaves a file. Each run of `create` is a line in it: a second one would be seen.
fn command(path: &Path) -> Value {
    let path = path.display();
    Value::object_of([
        ("create", format!("echo made >>{path}").into()),
        ("check", format!("[ \"$(cat {path})\" = made ]").into()),
        ("update", ":".into()),
        ("destroy", format!("rm -f {path}").into()),
    ])
}

#[tokio::test]
async fn host_command_keeps_the_contract() {
    let environment = || Value::map([("RELEASE".into(), "2".into())].into());
    let tried = Tried {
        resource_type: "host_command",
        prepare: |_: &Path| {},
        config: command,
        change: |config: Value| config.with("environment", environment()),
        outside: |path: &Path, _: Stranger| std::fs::remove_file(path).expect("is there"),
        can_be_altered: false,
        counts: is_there,
    };
    keeps_the_contract("host_command_keeps_the_contract", tried).await;
}

/// A machine is there before dmp and after it, and no stranger makes it another: what is under trial is the handle, with
/// a key of one kind and then with another one.
async fn host_keeps_it(test: &str, name: &str, keys: impl Fn(&Sshd) -> [String; 2]) {
    let Some(sshd) = Sshd::start() else { return };
    let ssh: Ssh = dmp_testkit::ssh();
    let [key, other] = keys(&sshd);
    let config = Value::object_of([
        ("address", "127.0.0.1".into()),
        ("port", i64::from(sshd.port).into()),
        ("user", dmp_testkit::user().into()),
        (name, key.into()),
        ("sudo", false.into()),
    ]);
    let make = || {
        let machines: Arc<dyn Machines> = Arc::new(ssh.clone());
        let sealed = HostProvider::new().with_ssh_config(SshConfig::none());
        let provider = sealed
            .configure(&Value::null(), machines)
            .expect("no configuration");
        Case::new(resource("host"), provider, config.clone(), |_| {})
            .on(Arc::new(ssh.clone()) as Arc<dyn Machines>)
            .changing(config.with(name, other.as_str().into()))
            .never_deleted()
            .never_altered()
    };
    let report = check(make).await;
    report.judge(test).unwrap_or_else(|why| panic!("{why}"));
}

/// Another key with which one may log in.
fn another_key(sshd: &Sshd) -> PathBuf {
    let other = sshd.path("other_key");
    dmp_testkit::keygen(&other, "");
    let read = |path: PathBuf| std::fs::read_to_string(path).expect("is there");
    let both = read(sshd.path("authorized")) + &read(sshd.path("other_key.pub"));
    std::fs::write(sshd.path("authorized"), both).expect("writable");
    other
}

#[tokio::test]
async fn host_keeps_the_contract() {
    let keys = |sshd: &Sshd| {
        let paths = [sshd.path("user_key"), another_key(sshd)];
        paths.map(|path| path.display().to_string())
    };
    host_keeps_it("host_keeps_the_contract", "key_file", keys).await;
}

#[tokio::test]
async fn host_keeps_the_contract_with_a_secret() {
    let keys = |sshd: &Sshd| {
        let paths = [sshd.path("user_key"), another_key(sshd)];
        paths.map(|path| std::fs::read_to_string(path).expect("is there"))
    };
    host_keeps_it("host_keeps_the_contract_with_a_secret", "private_key", keys).await;
}
