//! Machines by themselves: `cargo xtask live hosts`.

#![expect(
    clippy::print_stdout,
    reason = "the figures are for the person who runs it"
)]

#[path = "hosts/administered.rs"]
mod administered;
#[path = "hosts/alone.rs"]
mod alone;
#[path = "hosts/balanced.rs"]
mod balanced;
#[path = "hosts/contract.rs"]
mod contract;
#[path = "hosts/docker.rs"]
mod docker;
#[path = "hosts/guarded.rs"]
mod guarded;
#[path = "hosts/hardened.rs"]
mod hardened;
#[path = "hosts/killed.rs"]
mod killed;
#[path = "hosts/knock.rs"]
mod knock;
#[path = "hosts/machine.rs"]
mod machine;
#[path = "hosts/rebooted.rs"]
mod rebooted;
#[path = "hosts/sudo.rs"]
mod sudo;

use dmp_live::Lab;

const WHY: &str = "the lab's own promise";

#[test]
#[ignore = "needs a lab: cargo xtask live hosts"]
fn a_bare_machine_updates_its_package_lists_and_comes_back_from_a_reboot() {
    let lab = Lab::of_this_suite();
    let [machine] = lab.machines(["n1"]);

    machine.ssh("sudo apt-get -q update");
    let found = machine.ssh("apt-cache policy containerd | grep Candidate");
    assert!(!found.contains("none"), "{found}");
    assert!(
        !machine
            .try_ssh("command -v containerd kubeadm python3")
            .status
            .success(),
        "{WHY}: a machine is bare"
    );

    let before = machine.boot_id();
    machine.ssh("echo kept >kept; sudo touch /run/lost");
    machine.reboot();
    assert_ne!(machine.boot_id(), before);
    assert_eq!(machine.ssh("cat kept; test ! -e /run/lost"), "kept\n");
}

#[test]
#[ignore = "needs a lab: cargo xtask live hosts"]
fn a_machine_nobody_touched_is_what_it_was() {
    let lab = Lab::of_this_suite();
    let [machine] = lab.machines(["n1"]);
    let before = machine.snapshot();

    machine.ssh("true");

    assert_eq!(before.differences(&machine.snapshot()), [""; 0]);
}

#[test]
#[ignore = "needs a lab: cargo xtask live hosts"]
fn a_snapshot_sees_what_was_done_and_that_it_was_undone() {
    let lab = Lab::of_this_suite();
    let [machine] = lab.machines(["n1"]);
    let before = machine.snapshot();

    machine.ssh(
        "sudo sh -c 'echo x >/etc/new; rm /etc/debian_version; ip link add d0 type bridge; sysctl -qw net.ipv4.ip_forward=1
         systemctl disable -q --now ssh.socket systemd-networkd-wait-online 2>/dev/null; mount -t tmpfs none /mnt'",
    );
    let changed = before.differences(&machine.snapshot()).join("\n");
    for expected in [
        "+ file /etc/new",
        "+ file /etc/debian_version: removed",
        "+ link d0",
        "~ sysctl net.ipv4.ip_forward: 0 -> 1",
        "+ mount /mnt",
    ] {
        assert!(
            changed.contains(expected),
            "{expected} is missing in\n{changed}"
        );
    }

    machine.ssh(
        "sudo sh -c 'rm /etc/new; umount /mnt; ip link delete d0; sysctl -qw net.ipv4.ip_forward=0'
         sudo apt-get -qq update && cd /tmp && apt-get -q download base-files && dpkg-deb -x base-files_*.deb base &&
         sudo cp base/etc/debian_version /etc/ && sudo sh -c 'apt-get clean; rm -rf /var/lib/apt/lists/*'",
    );
    let left = machine
        .snapshot()
        .without(|entry| entry.name.starts_with("/var/"));
    assert_eq!(
        before
            .without(|entry| entry.name.starts_with("/var/"))
            .differences(&left),
        [""; 0]
    );
}

#[test]
#[ignore = "needs a lab: cargo xtask live hosts"]
fn a_machine_without_power_keeps_its_files_and_a_new_one_has_another_key() {
    let lab = Lab::of_this_suite();
    let [mut machine, other] = lab.machines(["n1", "n2"]);
    machine.ssh("echo kept >kept; sync");

    machine.kill();
    assert!(
        !machine.try_ssh("true").status.success(),
        "{WHY}: without power nobody answers"
    );
    assert_eq!(other.ssh("hostname"), "n2\n");
    machine.start();
    assert_eq!(machine.ssh("cat kept"), "kept\n");

    let key = machine.host_key();
    machine.replace();
    assert_ne!(machine.host_key(), key);
    assert!(
        !machine.try_ssh("test -e kept").status.success(),
        "{WHY}: a new machine is empty"
    );
}
