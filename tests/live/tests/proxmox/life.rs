//! A machine that is a whole system goes through what its guest goes through, and leaves nothing behind.

use std::process::Command;

use super::served::{Served, at};

/// What is left on this host of the machines of labs: control groups, links, block devices.
pub(super) fn left(served: &Served) -> Vec<String> {
    let folder = served.folder.display().to_string();
    let read = |command: &mut Command| {
        let output = command.output().expect("it runs");
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    let groups = read(Command::new("find").args(["/sys/fs/cgroup", "-path", "*/dmp-lab-*"]));
    let disks = read(Command::new("losetup").args(["--noheadings", "--output", "BACK-FILE"]));
    let disks = disks.lines().filter(|file| file.contains(&folder));
    let others = groups.lines().chain(disks).map(str::to_owned);
    others.chain(served.links()).collect()
}

#[test]
#[ignore = "needs a lab: cargo xtask live proxmox"]
fn a_machine_is_a_whole_system_with_what_its_guest_has() {
    let served = Served::begin();
    served.guest(
        101,
        "web",
        &[
            ("ipconfig0", "ip=10.89.0.11/24,gw=10.89.0.1"),
            ("nameserver", "10.89.0.1"),
            ("searchdomain", "lab.example"),
            ("scsi1", "local-lvm:1,serial=data"),
        ],
    );
    let begun = std::time::Instant::now();
    served.power(101, "start");
    let machine = served.known(&at(11));
    machine.is_up();
    println!(
        "from the start to a running system: {:.1} s",
        begun.elapsed().as_secs_f64()
    );

    assert_eq!(
        machine.ssh("cat /proc/1/comm; hostname; sudo id -u"),
        "systemd\nweb\n0\n"
    );
    // Its own kernel objects, and nothing that stands in for anything.
    assert_eq!(
        machine.ssh("ls /sys/class/net | sort | tr '\\n' ' '"),
        "eth0 lo "
    );
    assert_eq!(machine.ssh("find /usr/local -type f"), "");
    assert!(
        machine
            .ssh("cut -d. -f1 /proc/uptime")
            .trim()
            .parse::<u32>()
            .expect("seconds")
            < 120
    );
    assert!(machine.ssh("cat /etc/resolv.conf").contains("10.89.0.1"));
    let id = machine.ssh("cat /etc/machine-id");
    let config = served.data("GET", "/nodes/pve1/qemu/101/config", &[]);
    let uuid = config["smbios1"].as_str().expect("one").replace('-', "");
    assert!(uuid.contains(id.trim()), "{uuid} {id}");

    // The disk beside the system's is a block device, which grows while the machine runs.
    machine.ssh("sudo apt-get -qq update && sudo apt-get -qq install -y e2fsprogs >/dev/null 2>&1");
    machine.ssh(
        "test -b /dev/sdb && sudo mkfs.ext4 -q /dev/disk/by-id/scsi-0QEMU_QEMU_HARDDISK_data && sudo mkdir /data \
         && echo '/dev/sdb /data ext4 defaults 0 2' | sudo tee -a /etc/fstab >/dev/null && sudo mount /data && echo kept | sudo tee /data/note",
    );
    served.done(
        "PUT",
        "/nodes/pve1/qemu/101/resize",
        &[("disk", "scsi1"), ("size", "2G")],
    );
    let until = std::time::Instant::now() + std::time::Duration::from_secs(10);
    while machine.ssh("sudo blockdev --getsize64 /dev/sdb").trim() != "2147483648" {
        assert!(std::time::Instant::now() < until, "it does not grow");
    }
    // Not while it is mounted: for that the host itself needs a right that this one may lack.
    machine.ssh(
        "sudo umount /data && sudo e2fsck -fp /dev/sdb >/dev/null && sudo resize2fs /dev/sdb 2>/dev/null && sudo mount /data \
         && test $(df --output=size -BM /data | tail -1 | tr -d M) -gt 1500",
    );

    // The system's own limits hold: a process that wants more than the guest's memory is ended, and nothing else.
    let greedy =
        machine.run("sudo systemd-run --wait -q --pipe sh -c 'head -c 900M /dev/zero | tail'");
    assert!(!greedy.status.success());
    assert_eq!(machine.ssh("cat /data/note"), "kept\n");

    let before = machine.boot_id();
    let _ = machine.run("sudo reboot");
    machine.is_up_again(&before);
    assert_eq!(
        machine.ssh("cat /data/note"),
        "kept\n",
        "it is mounted again"
    );
    assert_eq!(served.machine("web")["strength"], "container");
    assert_eq!(served.machine("web")["addresses"][0], "10.89.0.11:22");
}

#[test]
#[ignore = "needs a lab: cargo xtask live proxmox"]
fn a_machine_is_started_stopped_killed_and_reset_by_its_api() {
    let served = Served::begin();
    let machine = served.started(101, "web", 12);
    machine.ssh("echo kept | sudo tee /srv/note");

    // In good order: the system goes down by itself, and the task waits for that.
    served.power(101, "shutdown");
    served.until(101, "stopped");
    machine.is_silent();
    served.power(101, "start");
    machine.is_up();
    assert!(
        machine
            .ssh("sudo journalctl -q -b -1 | grep -c 'Reached target.*[Pp]ower'")
            .trim()
            != "0"
    );
    assert_eq!(machine.ssh("cat /srv/note"), "kept\n");

    let before = machine.boot_id();
    served.power(101, "reboot");
    machine.is_up_again(&before);
    let before = machine.boot_id();
    served.power(101, "reset");
    machine.is_up_again(&before);

    // A system that does not listen to its power button is still there when the time is over.
    machine.ssh("sudo systemctl mask --now poweroff.target >/dev/null 2>&1");
    let ended = served.task(
        "POST",
        "/nodes/pve1/qemu/101/status/shutdown",
        &[("timeout", "3")],
    );
    assert_eq!(ended, "VM quit/powerdown failed - got timeout");
    assert!(machine.answers());
    let form = [("timeout", "2"), ("forceStop", "1")];
    served.done("POST", "/nodes/pve1/qemu/101/status/shutdown", &form);
    served.until(101, "stopped");
    machine.is_silent();
    served.power(101, "start");
    machine.is_up();
    machine.ssh("sudo systemctl unmask poweroff.target >/dev/null 2>&1");

    let _ = machine.run("sudo poweroff");
    served.until(101, "stopped");
    served.power(101, "start");
    machine.is_up();

    assert_eq!(served.command(&["kill", "web"]), "machine 101 is off\n");
    machine.is_silent();
    served.power(101, "start");
    machine.is_up();
    served.command(&["fault", "node-down", "pve1"]);
    machine.is_silent();
    served.command(&["fault", "node-up", "pve1"]);
    served.until(101, "stopped");

    served.done("DELETE", "/nodes/pve1/qemu/101", &[]);
    let machine = served.started(101, "web", 12);
    assert!(
        !machine.run("cat /srv/note").status.success(),
        "it is another machine"
    );
}

#[test]
#[ignore = "needs a lab: cargo xtask live proxmox"]
fn what_a_machine_holds_goes_with_snapshots_and_clones_and_is_lost_by_a_fault() {
    let served = Served::begin();
    let machine = served.started(101, "web", 13);
    machine.ssh("echo one | sudo tee /srv/note /var/note");
    served.power(101, "stop");
    served.done(
        "POST",
        "/nodes/pve1/qemu/101/snapshot",
        &[("snapname", "s1")],
    );
    served.power(101, "start");
    machine.is_up();
    machine.ssh("echo two | sudo tee /srv/note /var/note; sudo rm /etc/debian_version");
    served.power(101, "stop");
    served.done("POST", "/nodes/pve1/qemu/101/snapshot/s1/rollback", &[]);
    let form = [("newid", "102"), ("full", "1"), ("name", "copy")];
    served.done("POST", "/nodes/pve1/qemu/101/clone", &form);
    let network = [("ipconfig0", "ip=10.89.0.14/24,gw=10.89.0.1")];
    served.data("PUT", "/nodes/pve1/qemu/102/config", &network);
    served.power(101, "start");
    served.power(102, "start");
    machine.is_up();
    assert_eq!(
        machine.ssh("cat /srv/note /var/note; test -e /etc/debian_version"),
        "one\none\n"
    );
    let copy = served.known(&at(14));
    copy.is_up();
    assert_eq!(copy.ssh("hostname; cat /srv/note"), "copy\none\n");
    for what in [
        "cat /etc/machine-id",
        "cat /etc/ssh/ssh_host_ed25519_key.pub",
    ] {
        assert_ne!(machine.ssh(what), copy.ssh(what), "{what}");
    }

    let key = machine.ssh("cat /etc/ssh/ssh_host_ed25519_key.pub");
    served.command(&["fault", "host-key", "web"]);
    let until = std::time::Instant::now() + std::time::Duration::from_secs(20);
    loop {
        // For a moment it has none.
        let now = machine.run("cat /etc/ssh/ssh_host_ed25519_key.pub");
        if now.status.success() && String::from_utf8_lossy(&now.stdout) != key {
            break;
        }
        assert!(std::time::Instant::now() < until, "it still has its key");
    }
    served.command(&["fault", "cut", "web"]);
    machine.is_silent();
    assert!(
        !copy
            .run("timeout 3 bash -c '</dev/tcp/10.89.0.13/22'")
            .status
            .success()
    );
    served.command(&["fault", "clear"]);
    machine.is_up();

    let before = machine.boot_id();
    served.command(&["fault", "wipe", "web"]);
    machine.is_up_again(&before);
    assert!(
        !machine.run("cat /srv/note").status.success(),
        "it still holds what it held"
    );
}

#[test]
#[ignore = "needs a lab: cargo xtask live proxmox"]
fn nothing_of_a_machine_outlives_its_lab_and_all_of_it_comes_back() {
    let mut served = Served::begin();
    let machine = served.started(101, "web", 15);
    machine.ssh("echo kept | sudo tee /srv/note");
    served.started(102, "off", 16);
    served.power(102, "shutdown");

    served.kill();
    let until = std::time::Instant::now() + std::time::Duration::from_secs(90);
    while left(&served)
        .iter()
        .any(|name| name.starts_with("/sys/fs/cgroup") && name.contains("/101"))
    {
        assert!(std::time::Instant::now() < until, "{:?}", left(&served));
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    served.take_up_again();
    let machine = served.known(&at(15));
    machine.is_up();
    assert_eq!(machine.ssh("cat /srv/note"), "kept\n");
    served.until(102, "stopped");
    assert!(!served.known(&at(16)).answers());

    served.stop();
    assert_eq!(left(&served), Vec::<String>::new());
    served.take_up_again();
    let machine = served.known(&at(15));
    machine.is_up();
    assert_eq!(machine.ssh("cat /srv/note"), "kept\n");
    served.command(&["reset"]);
    machine.is_silent();
    let until = std::time::Instant::now() + std::time::Duration::from_secs(90);
    while served.folder.join("machines/101").exists() {
        assert!(
            std::time::Instant::now() < until,
            "its files are still there"
        );
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
}

#[test]
#[ignore = "needs a lab: cargo xtask live proxmox"]
fn a_host_with_control_groups_of_version_two_alone_has_machines_too() {
    let image = dmp_live::Lab::of_this_suite().value("image").to_owned();
    // As such a host looks to the lab.
    let host = "umount -l /sys/fs/cgroup 2>/dev/null; mount -t cgroup2 cgroup2 /sys/fs/cgroup; exec \"$@\"";
    let by = ["unshare", "--mount", "sh", "-c", host, "sh"];
    let served = Served::under(&by, &[("--root", &format!("debian-13={image}"))]);
    let machine = served.started(101, "web", 17);
    assert_eq!(
        machine.ssh("stat -fc %T /sys/fs/cgroup; grep ^0: /proc/1/cgroup"),
        "cgroup2fs\n0::/init.scope\n"
    );
    machine.ssh("sudo systemd-run -q --wait true");
    let before = machine.boot_id();
    served.power(101, "reboot");
    machine.is_up_again(&before);
    served.power(101, "shutdown");
    served.until(101, "stopped");
}

#[test]
#[ignore = "needs a lab: cargo xtask live proxmox"]
fn who_is_not_the_superuser_is_told_so() {
    let lab = dmp_live::Lab::of_this_suite();
    let home = tempfile::tempdir().expect("a folder");
    let program = home.path().join("dmp");
    std::fs::copy(lab.binary(), &program).expect("it can be copied");
    let nobody = Some(65534);
    std::os::unix::fs::chown(home.path(), nobody, nobody).expect("it is ours");
    let mut command = lab.enter("timeout");
    command
        .args([
            "30",
            "setpriv",
            "--reuid",
            "65534",
            "--regid",
            "65534",
            "--clear-groups",
        ])
        .arg(&program)
        .args(["lab", "serve", "--root", "debian-13=/", "--dir"])
        .arg(home.path().join("lab"))
        .env("HOME", home.path())
        .stderr(std::process::Stdio::piped());
    let mut process = command.spawn().expect("it starts");
    let errors = process.stderr.take().expect("a pipe");
    let lines = std::io::BufRead::lines(std::io::BufReader::new(errors));
    let said: Vec<String> = lines
        .map_while(Result::ok)
        .take_while(|line| !line.contains("root file system"))
        .collect();
    let ask = |verb: &str| {
        let mut command = lab.enter(&program);
        command
            .args(["lab", verb, "--dir"])
            .arg(home.path().join("lab"));
        command.output().expect("it runs")
    };
    let status = ask("status");
    let _ = ask("stop");
    process.wait().expect("an end");
    let status = String::from_utf8_lossy(&status.stdout).into_owned();
    assert!(
        status.contains("they need the superuser: serve the lab as root"),
        "{status} {said:?}"
    );
}
