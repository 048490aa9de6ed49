//! Logging in and reading, against a real sshd.

use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use dmp_sdk::{Machines, Script, Unreachable};
use dmp_testkit::{Sshd, options, read, script, ssh};
use dmp_transport::{Options, Ssh, fingerprint};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const SECOND: Duration = Duration::from_secs(1);

#[tokio::test]
async fn many_scripts_are_read_in_one_exchange_byte_by_byte() {
    let mut used = Vec::new();
    for sshd in Sshd::with_each_shell() {
        let ssh = ssh();
        let binary: Vec<u8> = (0..=255).cycle().take(100_000).collect();
        let scripts = [
            script("printf 'a\\0b\\n\\n'; echo oops >&2; exit 3"),
            script("cat").stdin(binary.clone()),
            script("set -e; cd /tmp; trap 'echo bye' EXIT; x=1; false; echo never"),
            script("pwd; printf %s \"${x-unset}\""),
            script("if if"),
            script("env | grep '^seen='; echo \"$hidden\"")
                .var("hidden", "it's $(id) `id`\n")
                .env("seen".into(), "wörld".into()),
            script("cat; echo end"),
            script("readlink /proc/$$/exe"),
        ];
        let outputs = read(&ssh, &sshd.machine(), &scripts).await;
        assert_eq!(
            (outputs[0].status, &outputs[0].stdout[..]),
            (3, &b"a\0b\n\n"[..])
        );
        assert_eq!(outputs[0].stderr, "oops\n");
        assert!(outputs[1].stdout == binary);
        assert_eq!(
            (outputs[2].status, outputs[2].text().as_ref()),
            (1, "bye\n")
        );
        assert_eq!(outputs[3].text(), "/\nunset");
        assert_ne!(outputs[4].status, 0);
        assert_eq!(outputs[5].text(), "seen=wörld\nit's $(id) `id`\n\n");
        assert_eq!(outputs[6].text(), "end\n");
        used.push(outputs[7].text().into_owned());
        let counts = ssh.counts();
        assert_eq!((counts.logins, counts.exchanges), (1, 1));
        ssh.close().await;
    }
    used.dedup();
    assert_ne!(used.len(), 1, "each shell was asked: {used:?}");
}

#[tokio::test]
async fn a_thousand_fragments_are_one_exchange() {
    let Some(sshd) = Sshd::start() else { return };
    let ssh = ssh();
    let scripts: Vec<_> = (0..1000)
        .map(|n| script("printf %s \"$n\"").var("n", n.to_string()))
        .collect();
    let began = Instant::now();
    let outputs = read(&ssh, &sshd.machine(), &scripts).await;
    assert!(
        outputs
            .iter()
            .enumerate()
            .all(|(n, output)| output.text() == n.to_string())
    );
    assert!(began.elapsed() < 20 * SECOND);
    assert_eq!(ssh.counts().exchanges, 1);
}

#[tokio::test]
async fn more_readers_than_a_connection_has_channels_share_one_login() {
    let Some(sshd) = Sshd::start() else { return };
    let (ssh, machine) = (ssh(), sshd.machine());
    let scripts = [script("sleep 0.05; echo ok")];
    let readers = (0..30).map(|_| {
        let (ssh, machine, scripts) = (ssh.clone(), machine.clone(), scripts.clone());
        tokio::spawn(async move { read(&ssh, &machine, &scripts).await })
    });
    for reader in readers.collect::<Vec<_>>() {
        assert_eq!(reader.await.expect("no panic")[0].text(), "ok\n");
    }
    assert_eq!(ssh.counts().logins, 1);
}

#[tokio::test]
async fn a_key_is_taken_from_its_text_a_file_or_the_agent() {
    let Some(sshd) = Sshd::start() else { return };
    let scripts = [script("echo ok")];
    let mut machine = sshd.machine();
    let text = std::fs::read_to_string(sshd.path("user_key")).expect("is there");
    machine.key_file = None;
    machine.private_key = Some(text.trim().to_owned());
    assert_eq!(read(&ssh(), &machine, &scripts).await[0].text(), "ok\n");

    machine.private_key = None;
    let error = ssh()
        .read(&machine, &scripts, SECOND)
        .await
        .expect_err("no key");
    assert!(matches!(&error, Unreachable::Denied { why, .. } if why.contains("SSH_AUTH_SOCK")));

    let socket = sshd.path("agent");
    let mut agent = Command::new("ssh-agent")
        .args(["-D", "-a"])
        .arg(&socket)
        .stdout(Stdio::null())
        .spawn()
        .expect("the agent starts");
    dmp_testkit::until("the agent's socket", || socket.exists()).await;
    let added = Command::new("ssh-add")
        .arg(sshd.path("user_key"))
        .env("SSH_AUTH_SOCK", &socket)
        .stderr(Stdio::null())
        .status();
    assert!(added.expect("runs").success());
    let with_agent = Ssh::new(Options {
        agent: Some(socket),
        ..options()
    });
    assert_eq!(
        read(&with_agent, &machine, &scripts).await[0].text(),
        "ok\n"
    );
    let _ = agent.kill();
    let _ = agent.wait();
}

#[tokio::test]
async fn an_rsa_key_logs_in_by_sha_2() {
    let Some(sshd) = Sshd::start() else { return };
    let key = sshd.path("rsa");
    let made = Command::new("ssh-keygen")
        .args(["-q", "-t", "rsa", "-b", "2048", "-N", "", "-f"])
        .arg(&key)
        .status();
    assert!(made.expect("runs").success());
    std::fs::copy(sshd.path("rsa.pub"), sshd.path("authorized")).expect("writable");
    let mut machine = sshd.machine();
    machine.key_file = Some(key.display().to_string());
    assert_eq!(
        read(&ssh(), &machine, &[script("echo ok")]).await[0].text(),
        "ok\n"
    );
}

#[tokio::test]
async fn keys_that_can_not_work_are_named() {
    let Some(sshd) = Sshd::start() else { return };
    let (encrypted, stranger) = (sshd.path("encrypted"), sshd.path("stranger"));
    dmp_testkit::keygen(&encrypted, "secret");
    dmp_testkit::keygen(&stranger, "");
    let mut machine = sshd.machine();
    machine.key_file = Some(encrypted.display().to_string());
    let error = ssh()
        .read(&machine, &[], SECOND)
        .await
        .expect_err("encrypted");
    assert!(
        error
            .to_string()
            .contains("is encrypted: load it into an SSH agent"),
        "{error}"
    );
    machine.key_file = Some(stranger.display().to_string());
    let error = ssh()
        .read(&machine, &[], SECOND)
        .await
        .expect_err("unknown");
    assert!(
        error
            .to_string()
            .contains("accepts none of the keys offered"),
        "{error}"
    );
}

#[tokio::test]
async fn bastions_are_gone_through_in_their_order() {
    let (Some(one), Some(two), Some(end)) = (Sshd::start(), Sshd::start(), Sshd::start()) else {
        return;
    };
    let ssh = ssh();
    let mut machine = end.machine();
    machine.bastions = vec![one.machine(), two.machine()];
    let outputs = read(&ssh, &machine, &[script("echo \"$SSH_CONNECTION\"")]).await;
    assert!(outputs[0].text().contains(&format!(" {}", end.port)));
    assert_eq!(ssh.counts().logins, 3);
    // A second machine behind the same bastions logs in once more only.
    let mut other = two.machine();
    other.bastions = vec![one.machine()];
    read(&ssh, &other, &[script(":")]).await;
    assert_eq!(ssh.counts().logins, 3);
    one.cut_connections();
    assert_eq!(
        read(&ssh, &machine, &[script("echo ok")]).await[0].text(),
        "ok\n"
    );
}

#[tokio::test]
async fn another_host_key_than_the_pinned_one_stops_everything_at_once() {
    let (Some(sshd), Some(other)) = (Sshd::start(), Sshd::start()) else {
        return;
    };
    let mut machine = sshd.machine();
    machine.host_keys = vec![other.host_key()];
    let began = Instant::now();
    let error = ssh()
        .patient()
        .read(&machine, &[], SECOND)
        .await
        .expect_err("changed");
    let seen = fingerprint(&sshd.host_key()).expect("a key");
    assert!(matches!(&error, Unreachable::HostKeyChanged { seen: shown, .. } if *shown == seen));
    assert!(began.elapsed() < 5 * SECOND, "it is never tried again");

    // Also on a connection that is open already.
    let ssh = ssh();
    read(&ssh, &sshd.machine(), &[]).await;
    let error = ssh.read(&machine, &[], SECOND).await.expect_err("changed");
    assert!(matches!(error, Unreachable::HostKeyChanged { .. }));
}

#[tokio::test]
async fn known_hosts_decides_where_nothing_is_pinned() {
    let (Some(sshd), Some(other)) = (Sshd::start(), Sshd::start()) else {
        return;
    };
    let mut machine = sshd.machine();
    machine.host_keys.clear();
    let file = sshd.path("known_hosts");
    let with_file = || {
        Ssh::new(Options {
            known_hosts: vec![file.clone()],
            ..options()
        })
    };
    // Nothing is known: the first contact is accepted, and told.
    let exchange = with_file()
        .read(&machine, &[], SECOND * 10)
        .await
        .expect("first contact");
    assert_eq!(exchange.host_key, sshd.host_key());

    let place = format!("[127.0.0.1]:{}", sshd.port);
    std::fs::write(&file, format!("{place} {}\n", sshd.host_key())).expect("writable");
    let hashed = Command::new("ssh-keygen")
        .args(["-q", "-H", "-f"])
        .arg(&file)
        .output();
    assert!(hashed.expect("runs").status.success());
    assert!(
        !std::fs::read_to_string(&file)
            .expect("is there")
            .contains("127.0.0.1")
    );
    with_file()
        .read(&machine, &[], SECOND * 10)
        .await
        .expect("known");

    std::fs::write(&file, format!("{place} {}\n", other.host_key())).expect("writable");
    let error = with_file()
        .read(&machine, &[], SECOND)
        .await
        .expect_err("another");
    assert!(matches!(error, Unreachable::HostKeyChanged { .. }));
}

#[tokio::test]
async fn a_machine_that_still_boots_is_waited_for_and_the_wait_is_told() {
    let Some(mut sshd) = Sshd::start() else {
        return;
    };
    sshd.stop();
    let lines: Arc<Mutex<Vec<String>>> = Arc::default();
    let told = Arc::clone(&lines);
    let ssh = Ssh::new(Options {
        progress: Arc::new(move |_, line| told.lock().expect("no panic").push(line.to_owned())),
        ..options()
    });
    let machine = sshd.machine();
    // A plan does not wait.
    let error = ssh.read(&machine, &[], SECOND).await.expect_err("is down");
    assert!(
        error.to_string().contains("refuses the connection"),
        "{error}"
    );
    let patient = ssh.patient();
    let reading = tokio::spawn(async move { read(&patient, &machine, &[script("echo up")]).await });
    tokio::time::sleep(SECOND).await;
    sshd.start_again();
    assert_eq!(reading.await.expect("no panic")[0].text(), "up\n");
    let lines = lines.lock().expect("no panic").join("\n");
    assert!(
        lines.contains(&format!("waits for SSH: port {} refuses", sshd.port)),
        "{lines}"
    );
}

#[tokio::test]
async fn a_dead_connection_is_made_anew() {
    let Some(sshd) = Sshd::start() else { return };
    let (ssh, machine) = (ssh(), sshd.machine());
    read(&ssh, &machine, &[]).await;
    sshd.cut_connections();
    assert_eq!(
        read(&ssh, &machine, &[script("echo ok")]).await[0].text(),
        "ok\n"
    );
    assert_eq!(ssh.counts().logins, 2);
}

#[tokio::test]
async fn a_reading_that_does_not_end_is_ended() {
    let Some(sshd) = Sshd::start() else { return };
    let ssh = ssh();
    let error = ssh
        .read(&sshd.machine(), &[script("sleep 60")], SECOND)
        .await
        .expect_err("no answer");
    assert!(
        error.to_string().contains("no answer within 1 s"),
        "{error}"
    );
}

#[tokio::test]
async fn sudo_that_asks_for_a_password_is_explained() {
    let Some(sshd) = Sshd::start() else { return };
    let mut machine = sshd.machine();
    machine.sudo = true;
    if machine.user == "root" {
        // Root needs no sudo: the wish for it changes nothing.
        let outputs = read(&ssh(), &machine, &[script("id -u")]).await;
        assert_eq!(outputs[0].text(), "0\n");
        return;
    }
    let error = ssh().read(&machine, &[], SECOND * 10).await;
    if let Err(error) = error {
        assert!(error.to_string().contains("sudo"), "{error}");
    }
}

#[tokio::test]
async fn a_stream_reaches_what_stands_behind_a_machine() {
    let Some(sshd) = Sshd::start() else { return };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
        .await
        .expect("binds");
    let port = listener.local_addr().expect("bound").port();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.expect("accepts");
        let mut bytes = [0; 4];
        stream.read_exact(&mut bytes).await.expect("four bytes");
        stream.write_all(&bytes).await.expect("echoes");
    });
    let ssh = ssh();
    let mut stream = ssh
        .open_stream(&sshd.machine(), "127.0.0.1", port)
        .await
        .expect("opens");
    stream.write_all(b"ping").await.expect("writes");
    let mut bytes = [0; 4];
    stream.read_exact(&mut bytes).await.expect("reads");
    assert_eq!(&bytes, b"ping");
    let error = ssh
        .open_stream(&sshd.machine(), "127.0.0.1", 1)
        .await
        .err()
        .expect("refused");
    assert!(matches!(error, Unreachable::NoConnection { .. }), "{error}");
}

#[tokio::test]
async fn secrets_show_in_no_process_list() {
    let Some(sshd) = Sshd::start() else { return };
    let secret = "hunter2-in-a-variable";
    let look = Script::new("cat /proc/*/cmdline /proc/self/environ 2>/dev/null | tr '\\0' '\\n' | grep -c 'hunter[2]'; cat >/dev/null")
        .var("token", secret)
        .stdin(format!("{secret}-on-stdin").into_bytes());
    let outputs = read(&ssh(), &sshd.machine(), &[look]).await;
    assert_eq!(outputs[0].text(), "0\n");
}
