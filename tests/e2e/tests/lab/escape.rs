//! What a machine must not reach: files, processes and programs of the host.

use super::served::{Served, at};

#[test]
fn nothing_of_the_host_is_seen_or_changed_from_a_machine() {
    let Some(lab) = Served::with_machines() else {
        return;
    };
    let secret = lab.sandbox.path().join("secret");
    std::fs::write(&secret, "of the host").expect("written");
    let machine = lab.machine(101, "web", at(20));
    let host = std::process::id();
    let served = lab.written.pid;
    let home = std::env::var("HOME").unwrap_or_else(|_| "/root".into());

    // Each line is one way out; a line that succeeds is one too many.
    let attempts = [
        format!("cat {}", secret.display()),
        format!("ls {}", lab.sandbox.path().display()),
        format!("test {home} != /root && ls {home}"),
        "grep -v '^\\(root\\|nobody\\|debian\\|alice\\):' /etc/passwd".to_owned(),
        "cat /etc/ssh/sshd_config".to_owned(),
        format!("cat /proc/{host}/environ"),
        format!("ls /proc/{served}/root"),
        format!("test -d /proc/{served} && grep -q lab /proc/{served}/cmdline"),
        format!("kill -0 {host}"),
        format!("kill -0 {served}"),
        "touch /usr/bin/x".to_owned(),
        "echo x >/usr/bin/env".to_owned(),
        "/bin/mount -o remount,rw /usr && touch /usr/bin/x".to_owned(),
        "/bin/mount -o remount,bind,rw /usr && touch /usr/bin/x".to_owned(),
        "/bin/umount /usr".to_owned(),
        "unshare -m sh -c '/bin/mount -o remount,bind,rw /usr && touch /usr/bin/x'".to_owned(),
        "unshare -Urm sh -c '/bin/mount -o remount,bind,rw /usr && touch /usr/bin/x'".to_owned(),
        "echo 1 >/proc/sys/kernel/panic".to_owned(),
        "echo b >/proc/sysrq-trigger".to_owned(),
        "mknod /tmp/sda b 8 0 && head -c 1 /tmp/sda".to_owned(),
        "/bin/mount -t ext4 /dev/sda1 /mnt".to_owned(),
        format!("nsenter -t 1 -m -- ls {}", lab.sandbox.path().display()),
        format!("ls /proc/1/root{}", lab.sandbox.path().display()),
        format!("ls /proc/1/cwd/..{}", lab.sandbox.path().display()),
        "cat /proc/1/mem".to_owned(),
        "cp /bin/true /tmp/new && cat /tmp/new >/proc/1/exe".to_owned(),
        "hostname of-the-host && false".to_owned(),
    ];
    for who in ["", "sudo "] {
        machine.run(&format!("{who}sh -c true"), "").success();
        for attempt in &attempts {
            let ran = machine.run(&format!("{who}sh -c {}", quoted(attempt)), "");
            assert_ne!(ran.code, Some(0), "{who}{attempt}: {ran:?}");
            assert!(!ran.out.contains("of the host"), "{attempt}: {ran:?}");
        }
    }
    assert!(!std::path::Path::new("/usr/bin/x").exists());

    // A link in the machine leads nowhere but into the machine, also for the lab, which reads keys there.
    let key = lab.key();
    machine
        .run(
            &format!(
                "ln -sf {} ~/.ssh/authorized_keys",
                key.with_extension("pub").display()
            ),
            "",
        )
        .success();
    assert_ne!(
        machine.run("true", "").code,
        Some(0),
        "keys of the host let nobody in"
    );
}

#[test]
fn what_a_machine_kills_is_its_own() {
    let Some(lab) = Served::with_machines() else {
        return;
    };
    let first = lab.machine(101, "one", at(21));
    let second = lab.machine(102, "two", at(22));
    let sleeping = second
        .run("sleep 1000 >/dev/null 2>&1 & echo $!", "")
        .success();

    first.run("sudo kill -9 -1", "");

    assert_eq!(
        second
            .run(&format!("kill -0 {}", sleeping.out.trim()), "")
            .code,
        Some(0)
    );
    lab.sandbox.run(&["lab", "status"]).expect_success();
    first.settled("true");
}

fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "'\\''"))
}
