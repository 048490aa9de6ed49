//! A password for sudo, over a real sshd. The sudo that asks is a stand-in here, since a real one needs root's rights to
//! be set up; `cargo xtask live hosts` tries the same with a real one.

use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use dmp_sdk::{Batch, BatchItem, ItemEnd, Machine, Machines, Report, Step, Unreachable};
use dmp_testkit::{Sshd, read, script, ssh};
use tokio::sync::mpsc;

const SECOND: Duration = Duration::from_secs(1);
const PASSWORD: &str = "correct horse '$(id)' battery";

/// Understands the options that dmp uses, and asks like sudo does if there is a file with a password.
const SUDO: &str = r#"#!/bin/sh
prompt='' ask=yes
while :; do
    case $1 in
        -n) ask=no; shift ;;
        -k | -S | -H) shift ;;
        -p) prompt=$2; shift 2 ;;
        -u) echo "$2" >>DIR/as; shift 2 ;;
        *) break ;;
    esac
done
if [ -e DIR/password ]; then
    [ "$ask" = yes ] || { echo 'sudo: a password is required' >&2; exit 1; }
    tries=0
    while :; do
        printf %s "$prompt" >&2
        IFS= read -r given || { echo 'sudo: no password was provided' >&2; exit 1; }
        echo asked >>DIR/asked
        [ "$given" != "$(cat DIR/password)" ] || break
        tries=$((tries + 1))
        [ "$tries" -lt 3 ] || { echo "sudo: $tries incorrect password attempts" >&2; exit 1; }
        echo 'Sorry, try again.' >&2
    done
fi
exec "$@"
"#;

/// A server with the stand-in; its user runs commands as somebody else.
fn start(traced: bool) -> Option<(Sshd, Machine)> {
    let mut sshd = Sshd::start()?;
    let bin = sshd.path("bin");
    std::fs::create_dir(&bin).expect("writable");
    let dir = sshd.path("");
    let dir = dir.display().to_string();
    let text = SUDO.replace("DIR", dir.trim_end_matches('/'));
    std::fs::write(bin.join("sudo"), text).expect("writable");
    let runs = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(bin.join("sudo"), runs).expect("is ours");
    let file = sshd.path("config");
    let config = std::fs::read_to_string(&file).expect("is there");
    let path = format!("SetEnv PATH={}:/usr/bin:/bin ", bin.display());
    std::fs::write(&file, config.replace("SetEnv ", &path)).expect("writable");
    if traced {
        sshd.trace()?;
    } else {
        sshd.stop();
        sshd.start_again();
    }
    let machine = Machine {
        sudo: true,
        run_as: Some("somebody".into()),
        sudo_password: Some(PASSWORD.into()),
        ..sshd.machine()
    };
    Some((sshd, machine))
}

fn asked(sshd: &Sshd) -> usize {
    let text = std::fs::read_to_string(sshd.path("asked")).unwrap_or_default();
    text.lines().count()
}

#[tokio::test]
async fn the_password_is_given_when_sudo_asks_and_to_nobody_else() {
    let Some((sshd, machine)) = start(false) else {
        return;
    };
    let ssh = ssh();
    let input = script("cat").stdin(b"all of it".to_vec());
    // sudo asks for none: then the password must not become the first line of the program.
    assert_eq!(
        read(&ssh, &machine, std::slice::from_ref(&input)).await[0].text(),
        "all of it"
    );
    assert_eq!(asked(&sshd), 0);
    std::fs::write(sshd.path("password"), PASSWORD).expect("writable");
    let outputs = read(&ssh, &machine, &[input, script("echo \"$1$password\"")]).await;
    assert_eq!(
        (outputs[0].text().as_ref(), outputs[1].text().as_ref()),
        ("all of it", "\n")
    );
    assert_eq!(outputs[0].stderr, "");
    assert_eq!(asked(&sshd), 1);
    let users = std::fs::read_to_string(sshd.path("as")).expect("was asked");
    assert_eq!(users, "somebody\nsomebody\n");
}

#[tokio::test]
async fn a_batch_runs_behind_the_password_too() {
    let Some((sshd, machine)) = start(false) else {
        return;
    };
    std::fs::write(sshd.path("password"), PASSWORD).expect("writable");
    let made = sshd.path("made");
    let run = script("cat >\"$made\"")
        .var("made", made.display().to_string())
        .stdin(b"whole".to_vec());
    let batch = Batch {
        id: "b1".into(),
        items: vec![BatchItem {
            key: "k".into(),
            label: "test".into(),
            steps: vec![Step::new("write", &machine, run)],
            within: None,
            read: vec![script("echo read")],
            after: Vec::new(),
        }],
    };
    let (sender, mut reports) = mpsc::channel(64);
    ssh().run(&machine, &batch, sender).await.expect("runs");
    let mut end = None;
    while let Ok(report) = reports.try_recv() {
        if let Report::ItemEnded {
            end: ended, read, ..
        } = report
        {
            assert_eq!(read[0].text(), "read\n");
            end = Some(ended);
        }
    }
    assert_eq!(end, Some(ItemEnd::Done));
    assert_eq!(std::fs::read_to_string(made).expect("is there"), "whole");
}

#[tokio::test]
async fn a_wrong_password_is_tried_once_and_told_in_words() {
    let Some((sshd, mut machine)) = start(false) else {
        return;
    };
    std::fs::write(sshd.path("password"), "another").expect("writable");
    let ssh = ssh();
    // Many at once, as the types of a stack would, and again.
    let readers = (0..5).map(|_| {
        let (ssh, machine) = (ssh.clone(), machine.clone());
        tokio::spawn(async move { ssh.read(&machine, &[], SECOND * 20).await })
    });
    for reader in readers.collect::<Vec<_>>() {
        let error = reader.await.expect("no panic").expect_err("is refused");
        let said = error.to_string();
        assert!(
            said.contains("sudo does not accept `sudo_password`") && said.contains("tried once"),
            "{said}"
        );
        assert!(!said.contains("battery"), "{said}");
    }
    ssh.read(&machine, &[], SECOND * 20)
        .await
        .expect_err("is refused");
    assert_eq!(asked(&sshd), 1, "no account is locked by dmp");

    machine.sudo_password = None;
    let error = dmp_testkit::ssh().read(&machine, &[], SECOND * 20).await;
    let said = error.expect_err("is refused").to_string();
    assert!(
        said.contains("sudo asks for a password: set `sudo_password`"),
        "{said}"
    );
}

#[tokio::test]
async fn the_password_is_in_no_argument_of_any_process() {
    let Some((sshd, machine)) = start(true) else {
        return;
    };
    std::fs::write(sshd.path("password"), PASSWORD).expect("writable");
    read(&ssh(), &machine, &[script("echo done")]).await;
    let arguments = sshd.arguments();
    let holds = |word: &str| {
        arguments
            .windows(word.len())
            .any(|window| window == word.as_bytes())
    };
    assert!(holds("somebody"), "the arguments are seen");
    assert!(!holds("battery"));
}

/// Root asks sudo for nothing: this one is real, where it is installed.
#[tokio::test]
#[expect(clippy::print_stderr, reason = "a skipped test says so")]
async fn root_runs_commands_as_somebody_else_by_a_real_sudo() {
    let Some(sshd) = Sshd::start() else { return };
    let is_there = std::process::Command::new("sudo")
        .arg("-V")
        .output()
        .is_ok();
    if dmp_testkit::user() != "root" || !is_there {
        eprintln!("SKIPPED: not root, or no sudo");
        assert!(
            std::env::var_os("CI").is_none() || dmp_testkit::user() != "root",
            "CI needs sudo"
        );
        return;
    }
    for sudo_password in [None, Some("is not asked for".to_owned())] {
        let machine = Machine {
            sudo: true,
            run_as: Some("nobody".into()),
            sudo_password,
            ..sshd.machine()
        };
        let outputs = read(
            &ssh(),
            &machine,
            &[script("id -un"), script("cat").stdin(b"x".to_vec())],
        )
        .await;
        assert_eq!(
            (outputs[0].text().as_ref(), outputs[1].text().as_ref()),
            ("nobody\n", "x")
        );
    }
    let nobody = Machine {
        sudo: true,
        run_as: Some("not-a-user-of-this-machine".into()),
        ..sshd.machine()
    };
    let error = ssh()
        .read(&nobody, &[], SECOND * 20)
        .await
        .expect_err("is refused");
    assert!(
        matches!(&error, Unreachable::NoCommands { why, .. } if why.contains("not-a-user")),
        "{error}"
    );
}
