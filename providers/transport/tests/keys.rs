//! Keys and certificates of both sides, against a real sshd, an agent and `ssh-keygen -s`.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use dmp_sdk::{Machine, Machines, Unreachable};
use dmp_testkit::{Sshd, options, read, script, ssh};
use dmp_transport::ssh_config::{Person, SshConfig};
use dmp_transport::{Options, Ssh, fingerprint};

const SECOND: Duration = Duration::from_secs(1);

fn run(program: &str, arguments: &[&str]) {
    let output = Command::new(program)
        .args(arguments)
        .output()
        .expect("runs");
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{program} {arguments:?}: {errors}");
}

/// Makes a key of a kind.
fn key(sshd: &Sshd, name: &str, kind: &str, bits: &str) -> PathBuf {
    let path = sshd.path(name);
    let file = path.display().to_string();
    run(
        "ssh-keygen",
        &[
            "-q", "-t", kind, "-b", bits, "-N", "", "-C", name, "-f", &file,
        ],
    );
    path
}

/// Signs `KEY.pub`; the certificate is `KEY-cert.pub`.
fn sign(ca: &Path, key: &Path, more: &[&str]) {
    let (ca, public) = (ca.display().to_string(), format!("{}.pub", key.display()));
    let mut arguments = vec!["-q", "-s", &ca, "-I", "test"];
    arguments.extend(more);
    arguments.push(&public);
    run("ssh-keygen", &arguments);
}

fn public(key: &Path) -> String {
    let text = std::fs::read_to_string(format!("{}.pub", key.display())).expect("is there");
    text.split_whitespace()
        .take(2)
        .collect::<Vec<_>>()
        .join(" ")
}

async fn is_reached(ssh: &Ssh, machine: &Machine) -> bool {
    match ssh.read(machine, &[script("echo ok")], SECOND * 20).await {
        Ok(exchange) => exchange.outputs[0].text() == "ok\n",
        Err(_) => false,
    }
}

async fn refusal(ssh: &Ssh, machine: &Machine) -> String {
    let error = ssh.read(machine, &[], SECOND * 20).await;
    error.expect_err("is refused").to_string()
}

/// An agent with keys in it.
struct Agent {
    child: Child,
    socket: PathBuf,
}

impl Agent {
    async fn with(sshd: &Sshd, keys: &[&Path]) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let socket = sshd.path(&format!("agent-{number}"));
        let child = Command::new("ssh-agent")
            .args(["-D", "-a"])
            .arg(&socket)
            .stdout(Stdio::null())
            .spawn()
            .expect("the agent starts");
        let there = socket.clone();
        dmp_testkit::until("the agent's socket", move || there.exists()).await;
        for key in keys {
            let added = Command::new("ssh-add")
                .arg("-q")
                .arg(key)
                .env("SSH_AUTH_SOCK", &socket)
                .status();
            assert!(added.expect("runs").success());
        }
        Self { child, socket }
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn with_config(sshd: &Sshd, text: &str) -> Options {
    let file = sshd.path("ssh_config");
    std::fs::write(&file, text).expect("writable");
    let person = Person {
        home: sshd.path(""),
        ..Person::from_environment()
    };
    Options {
        ssh_config: SshConfig::of_file(&file, person),
        ..options()
    }
}

const KINDS: [(&str, &str); 5] = [
    ("ed25519", "256"),
    ("ecdsa", "256"),
    ("ecdsa", "384"),
    ("ecdsa", "521"),
    ("rsa", "2048"),
];

#[tokio::test]
async fn keys_of_every_kind_log_in_by_themselves_and_by_a_certificate() {
    let Some(mut sshd) = Sshd::start() else {
        return;
    };
    let ca = key(&sshd, "ca", "ed25519", "256");
    sshd.configure(&format!("TrustedUserCAKeys {}.pub", ca.display()));
    let user = dmp_testkit::user();
    for (kind, bits) in KINDS {
        let key = key(&sshd, &format!("{kind}{bits}"), kind, bits);
        let mut machine = sshd.machine();
        machine.key_file = Some(key.display().to_string());
        std::fs::write(sshd.path("authorized"), "").expect("writable");
        let said = refusal(&ssh(), &machine).await;
        assert!(said.contains("accepts none of the keys offered"), "{said}");
        sign(&ca, &key, &["-n", &user]);
        assert!(
            is_reached(&ssh(), &machine).await,
            "{kind} {bits} by its certificate"
        );
        assert!(sshd.log().contains("ID test"), "the certificate was used");
        let certificate = format!("{}-cert.pub", key.display());
        std::fs::remove_file(certificate).expect("is there");
        std::fs::write(sshd.path("authorized"), public(&key)).expect("writable");
        assert!(
            is_reached(&ssh(), &machine).await,
            "{kind} {bits} by itself"
        );
    }
}

#[tokio::test]
async fn certificates_are_used_from_the_agent_and_for_keys_in_the_agent() {
    let Some(mut sshd) = Sshd::start() else {
        return;
    };
    let ca = key(&sshd, "ca", "ed25519", "256");
    sshd.configure(&format!("TrustedUserCAKeys {}.pub", ca.display()));
    std::fs::write(sshd.path("authorized"), "").expect("writable");
    for (kind, bits) in [("ed25519", "256"), ("rsa", "2048")] {
        let key = key(&sshd, &format!("{kind}{bits}"), kind, bits);
        sign(&ca, &key, &["-n", &dmp_testkit::user()]);
        let mut machine = sshd.machine();
        machine.key_file = None;
        let agent = Agent::with(&sshd, &[&key]).await;
        let with_agent = |options: Options| {
            Ssh::new(Options {
                agent: Some(agent.socket.clone()),
                ..options
            })
        };
        assert!(
            is_reached(&with_agent(options()), &machine).await,
            "{kind} in the agent"
        );
        // The agent holds the key alone; the certificate is a file that the configuration names.
        let apart = sshd.path("apart.pub");
        std::fs::rename(format!("{}-cert.pub", key.display()), &apart).expect("is there");
        drop(agent);
        let agent = Agent::with(&sshd, &[&key]).await;
        let text = format!("CertificateFile {}\n", apart.display());
        let ssh = Ssh::new(Options {
            agent: Some(agent.socket.clone()),
            ..with_config(&sshd, &text)
        });
        assert!(is_reached(&ssh, &machine).await, "{kind} beside the agent");
    }
}

#[tokio::test]
async fn the_configuration_says_which_keys_are_tried_and_an_encrypted_one_is_left_to_the_agent() {
    let Some(sshd) = Sshd::start() else { return };
    let mut machine = sshd.machine();
    machine.key_file = None;
    machine.alias = Some("web".into());
    let user_key = sshd.path("user_key");
    let named = format!("Host web\n  IdentityFile {}\n", user_key.display());
    assert!(is_reached(&Ssh::new(with_config(&sshd, &named)), &machine).await);
    machine.alias = None;
    let said = refusal(&Ssh::new(with_config(&sshd, &named)), &machine).await;
    assert!(
        said.contains("there is no SSH agent"),
        "the block is of another name: {said}"
    );

    // What OpenSSH looks for by itself.
    std::fs::create_dir(sshd.path(".ssh")).expect("writable");
    std::fs::copy(&user_key, sshd.path(".ssh/id_ed25519")).expect("is there");
    assert!(is_reached(&Ssh::new(with_config(&sshd, "")), &machine).await);
    std::fs::remove_file(sshd.path(".ssh/id_ed25519")).expect("is there");

    // A key with a passphrase: its file tells which one of the agent's keys it is.
    let agent = Agent::with(&sshd, &[&user_key]).await;
    run(
        "ssh-keygen",
        &[
            "-q",
            "-p",
            "-P",
            "",
            "-N",
            "secret",
            "-f",
            &user_key.display().to_string(),
        ],
    );
    let text = format!(
        "IdentitiesOnly yes\nIdentityAgent {}\n{named}",
        agent.socket.display()
    );
    machine.alias = Some("web".into());
    assert!(is_reached(&Ssh::new(with_config(&sshd, &text)), &machine).await);
    machine.key_file = Some(user_key.display().to_string());
    assert!(is_reached(&Ssh::new(with_config(&sshd, &text)), &machine).await);
    machine.key_file = None;
    machine.alias = Some("other".into());
    let said = refusal(&Ssh::new(with_config(&sshd, &text)), &machine).await;
    assert!(said.contains("IdentitiesOnly"), "{said}");
    machine.alias = Some("web".into());
    let said = refusal(
        &Ssh::new(with_config(&sshd, &format!("IdentityAgent none\n{named}"))),
        &machine,
    )
    .await;
    assert!(
        said.contains("is encrypted: load it into an SSH agent"),
        "{said}"
    );
}

#[tokio::test]
async fn a_machine_is_known_by_a_certificate_of_its_authority_and_by_no_other() {
    let Some(mut sshd) = Sshd::start() else {
        return;
    };
    let (ca, other) = (
        key(&sshd, "ca", "ed25519", "256"),
        key(&sshd, "other", "ed25519", "256"),
    );
    let host_key = sshd.path("host_key");
    let certificate = format!("HostCertificate {}-cert.pub", host_key.display());
    let mut machine = sshd.machine();
    machine.host_keys.clear();
    machine.host_ca = vec![public(&other), public(&ca)];
    let said = refusal(&ssh(), &machine).await;
    assert!(said.contains("it shows no certificate"), "{said}");

    sign(&ca, &host_key, &["-h", "-n", "127.0.0.1,web"]);
    sshd.configure(&certificate);
    assert!(is_reached(&ssh(), &machine).await);
    let cases: [(&[&str], &str); 5] = [
        (
            &["-h", "-n", "web,db"],
            "is for web, db, not for `127.0.0.1`",
        ),
        (
            &["-h", "-n", "127.0.0.1", "-V", "20200101:20210101"],
            "is not valid any more",
        ),
        (
            &["-h", "-n", "127.0.0.1", "-V", "21000101:21010101"],
            "is not valid yet",
        ),
        (
            &["-h", "-n", "127.0.0.1", "-O", "critical:new@example.org=1"],
            "critical option `new@example.org`",
        ),
        (&["-h", "-n", "127.0.0.?"], ""),
    ];
    for (arguments, expected) in cases {
        sign(&ca, &host_key, arguments);
        sshd.stop();
        sshd.start_again();
        if expected.is_empty() {
            assert!(is_reached(&ssh(), &machine).await, "{arguments:?}");
        } else {
            let said = refusal(&ssh(), &machine).await;
            assert!(said.contains(expected), "{said}");
        }
    }
    machine.host_ca = vec![public(&other)];
    let said = refusal(&ssh(), &machine).await;
    assert!(said.contains("which is no authority for it"), "{said}");

    // A pin is enough, whatever certificate comes with the key.
    machine.host_keys = vec![sshd.host_key()];
    assert!(is_reached(&ssh(), &machine).await);
}

#[tokio::test]
async fn authorities_and_revoked_keys_of_known_hosts_count_and_a_name_of_ones_own() {
    let Some(mut sshd) = Sshd::start() else {
        return;
    };
    let ca = key(&sshd, "ca", "rsa", "2048");
    let host_key = sshd.path("host_key");
    sign(
        &ca,
        &host_key,
        &["-h", "-n", "web.example.org", "-t", "rsa-sha2-512"],
    );
    sshd.configure(&format!("HostCertificate {}-cert.pub", host_key.display()));
    let known_hosts = sshd.path("known_hosts");
    let mut machine = sshd.machine();
    machine.host_keys.clear();
    let with = |known: &str| {
        std::fs::write(&known_hosts, known).expect("writable");
        let text = format!(
            "HostKeyAlias web.example.org\nUserKnownHostsFile {}\n",
            known_hosts.display()
        );
        Ssh::new(with_config(&sshd, &text))
    };
    let authority = format!("@cert-authority *.example.org {}\n", public(&ca));
    assert!(is_reached(&with(&authority), &machine).await);
    let revoked = format!("{authority}@revoked * {}\n", sshd.host_key());
    let said = refusal(&with(&revoked), &machine).await;
    assert!(said.contains("is of a key that is revoked"), "{said}");
    let revoked = format!("{authority}@revoked * {}\n", public(&ca));
    let said = refusal(&with(&revoked), &machine).await;
    assert!(said.contains("is of a key that is revoked"), "{said}");
    // Revoked is revoked, also if it is pinned.
    machine.host_keys = vec![sshd.host_key()];
    let revoked = format!("@revoked * {}\n", sshd.host_key());
    refusal(&with(&revoked), &machine).await;
}

#[tokio::test]
async fn a_key_that_nobody_knows_is_refused_where_the_configuration_is_strict() {
    let Some(sshd) = Sshd::start() else { return };
    let mut machine = sshd.machine();
    machine.host_keys.clear();
    let seen = fingerprint(&sshd.host_key()).expect("a key");
    let strict = Ssh::new(with_config(&sshd, "StrictHostKeyChecking yes\n"));
    let error = strict
        .read(&machine, &[], SECOND * 20)
        .await
        .expect_err("is refused");
    assert!(matches!(&error, Unreachable::HostKeyUnknown { seen: shown, .. } if *shown == seen));
    let off = "StrictHostKeyChecking no\n";
    assert!(is_reached(&Ssh::new(with_config(&sshd, off)), &machine).await);
    // Off or not: a key that has changed is never accepted.
    let Some(other) = Sshd::start() else { return };
    machine.host_keys = vec![other.host_key()];
    let said = refusal(&Ssh::new(with_config(&sshd, off)), &machine).await;
    assert!(
        said.contains("shows another host key than the pinned one"),
        "{said}"
    );
    let pinned = fingerprint(&other.host_key()).expect("a key");
    for part in [
        pinned.as_str(),
        seen.as_str(),
        "nothing was sent there",
        "dmp rebuild --lost ADDRESS",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
}

#[tokio::test]
async fn a_host_key_that_is_swapped_under_an_open_run_stops_the_next_connection() {
    let Some(mut sshd) = Sshd::start() else {
        return;
    };
    let mut machine = sshd.machine();
    machine.host_keys.clear();
    let ssh = ssh();
    read(&ssh, &machine, &[]).await;
    std::fs::remove_file(sshd.path("host_key")).expect("is there");
    dmp_testkit::keygen(&sshd.path("host_key"), "");
    sshd.cut_connections();
    sshd.stop();
    sshd.start_again();
    let said = refusal(&ssh, &machine).await;
    assert!(
        said.contains("shows another host key than a moment ago"),
        "{said}"
    );
}

#[tokio::test]
async fn a_command_that_the_configuration_wants_run_is_passed_over_and_told_once() {
    let Some(sshd) = Sshd::start() else { return };
    let never = sshd.path("never");
    let text = format!(
        "Match exec \"touch {}\"\n  Port 1\nHost *\n  IdentityFile {}\n",
        never.display(),
        sshd.path("user_key").display()
    );
    let lines: Arc<Mutex<Vec<String>>> = Arc::default();
    let told = Arc::clone(&lines);
    let ssh = Ssh::new(Options {
        progress: Arc::new(move |_, line| told.lock().expect("no panic").push(line.to_owned())),
        ..with_config(&sshd, &text)
    });
    let mut machine = sshd.machine();
    machine.key_file = None;
    assert!(is_reached(&ssh, &machine).await);
    sshd.cut_connections();
    assert!(is_reached(&ssh, &machine).await);
    assert!(!never.exists());
    let lines = lines.lock().expect("no panic").clone();
    let place = format!("{}:1", sshd.path("ssh_config").display());
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(
        lines[0].contains(&place) && lines[0].contains("runs no command"),
        "{lines:?}"
    );
}
