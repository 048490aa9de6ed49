//! The lab with its machines, from outside: served by the command, driven over its API, entered by SSH.

#[path = "../../../providers/lab/tests/support/client.rs"]
mod client;
#[path = "support/clients.rs"]
mod clients;
#[path = "lab/escape.rs"]
mod escape;
#[path = "../../../providers/lab/tests/support/iso.rs"]
mod iso;
#[path = "lab/others.rs"]
mod others;
#[path = "lab/served.rs"]
mod served;
mod support;

use std::os::unix::fs::MetadataExt;
use std::time::{Duration, Instant};

use served::{Served, at};

#[test]
fn a_machine_is_entered_by_key_and_is_a_place_of_its_own() {
    let Some(lab) = Served::with_machines() else {
        return;
    };
    let machine = lab.machine(101, "web", at(1));

    let ran = machine.run(
        "hostname; echo $HOME; sudo id -u; test -t 0 || echo no terminal; exit 7",
        "",
    );

    assert_eq!(ran.code, Some(7), "{ran:?}");
    assert_eq!(ran.out, "web\n/home/debian\n0\nno terminal\n");
    let ran = machine.run("cat; echo oops >&2", "in and out");
    assert_eq!(
        (ran.out.as_str(), ran.err.as_str()),
        ("in and out", "oops\n")
    );
    let other = lab.ssh_key("other");
    assert_ne!(
        machine.run_as("debian", &other, "true", "").code,
        Some(0),
        "another key is not let in"
    );
}

#[test]
fn what_a_machine_holds_outlives_stop_and_lab_and_dies_with_the_machine() {
    let Some(mut lab) = Served::with_machines() else {
        return;
    };
    let machine = lab.machine(101, "web", at(2));
    machine.run("echo kept | sudo tee /srv/note", "").success();
    lab.task("POST", "/nodes/pve1/qemu/101/status/stop");
    assert_eq!(machine.run("true", "").code, Some(255), "it is off");
    lab.task("POST", "/nodes/pve1/qemu/101/status/start");
    assert_eq!(machine.settled("cat /srv/note").out, "kept\n");

    lab.take_up_again();
    let machine = lab.known(at(2));
    assert_eq!(machine.settled("cat /srv/note").out, "kept\n");

    lab.task("POST", "/nodes/pve1/qemu/101/status/stop");
    lab.task("DELETE", "/nodes/pve1/qemu/101");
    let machine = lab.machine(101, "web", at(2));
    assert_ne!(machine.run("cat /srv/note", "").code, Some(0));
}

#[test]
fn a_snapshot_brings_files_back_and_a_clone_has_them() {
    let Some(lab) = Served::with_machines() else {
        return;
    };
    let machine = lab.machine(101, "web", at(3));
    machine.run("echo one | sudo tee /srv/note", "").success();
    lab.task("POST", "/nodes/pve1/qemu/101/status/stop");
    lab.task_with("POST", "/nodes/pve1/qemu/101/snapshot", "snapname=s1");
    lab.task("POST", "/nodes/pve1/qemu/101/status/start");
    machine.settled("echo two | sudo tee /srv/note");
    lab.task("POST", "/nodes/pve1/qemu/101/status/stop");

    lab.task("POST", "/nodes/pve1/qemu/101/snapshot/s1/rollback");
    lab.task_with(
        "POST",
        "/nodes/pve1/qemu/101/clone",
        "newid=102&full=1&name=copy",
    );
    lab.put(
        "/nodes/pve1/qemu/102/config",
        &format!("ipconfig0=ip%3D{}%2F24", at(4)),
    );
    lab.task("POST", "/nodes/pve1/qemu/101/status/start");
    lab.task("POST", "/nodes/pve1/qemu/102/status/start");

    assert_eq!(machine.settled("cat /srv/note").out, "one\n");
    let copy = lab.known(at(4));
    assert_eq!(copy.settled("hostname; cat /srv/note").out, "copy\none\n");
}

#[test]
fn a_seed_image_gives_the_host_key_that_is_pinned_before_the_first_connection() {
    let Some(lab) = Served::with_machines() else {
        return;
    };
    let host = lab.ssh_key("host");
    let person = lab.ssh_key("person");
    let public = |key: &std::path::Path| {
        std::fs::read_to_string(key.with_extension("pub"))
            .expect("a key")
            .trim()
            .to_owned()
    };
    let private = std::fs::read_to_string(&host)
        .expect("a key")
        .replace('\n', "\n    ");
    let user_data = format!(
        "#cloud-config\nhostname: seeded\nusers:\n  - name: ops\n    sudo: ALL=(ALL) NOPASSWD:ALL\n    ssh_authorized_keys:\n      - {}\n\
         ssh_keys:\n  ed25519_private: |\n    {}\n  ed25519_public: {}\nwrite_files:\n  - path: /etc/note\n    content: hello\n\
         runcmd:\n  - [sh, -c, 'echo ran >/srv/ran']\n",
        public(&person),
        private.trim_end(),
        public(&host)
    );
    let seed = iso::image(
        "cidata",
        &[
            ("USER_DAT.;1", Some("user-data"), &user_data),
            ("META_DAT.;1", Some("meta-data"), "instance-id: one\n"),
        ],
    );
    lab.upload("seed.iso", &seed);
    lab.clone_of_template(101, "web");
    lab.put(
        "/nodes/pve1/qemu/101/config",
        &format!(
            "ide3=shared%3Aiso%2Fseed.iso%2Cmedia%3Dcdrom&ipconfig0=ip%3D{}%2F24",
            at(5)
        ),
    );
    lab.task("POST", "/nodes/pve1/qemu/101/status/start");

    let machine = lab.pinned(at(5), &public(&host));
    let deadline = Instant::now() + Duration::from_secs(10);
    let ran = loop {
        let ran = machine.run_as(
            "ops",
            &person,
            "hostname; cat /etc/note; cat /srv/ran; sudo id -u",
            "",
        );
        if ran.code == Some(0) || Instant::now() > deadline {
            break ran;
        }
        std::thread::sleep(Duration::from_millis(50));
    };

    assert_eq!(ran.out, "seeded\nhelloran\n0\n", "{ran:?}");

    // Without any image it is told nothing more, and stays what it is.
    machine
        .run_as(
            "ops",
            &person,
            "sudo rm /srv/ran; sudo hostnamectl set-hostname renamed",
            "",
        )
        .success();
    lab.put("/nodes/pve1/qemu/101/config", "delete=ide2%2Cide3");
    lab.task("POST", "/nodes/pve1/qemu/101/status/reboot");
    let deadline = Instant::now() + Duration::from_secs(10);
    let ran = loop {
        let ran = machine.run_as("ops", &person, "hostname; ls /srv", "");
        if ran.code == Some(0) && ran.out.starts_with("renamed") || Instant::now() > deadline {
            break ran;
        }
        std::thread::sleep(Duration::from_millis(50));
    };
    assert_eq!(ran.out, "renamed\n", "{ran:?}");
}

#[test]
fn a_machine_of_a_private_network_is_reached_through_one_that_is_on_it() {
    let Some(lab) = Served::with_machines() else {
        return;
    };
    let private = |number: u8| {
        format!("127.20.{}.{number}", served::block())
            .parse()
            .expect("an address")
    };
    lab.clone_of_template(101, "bastion");
    lab.configure(
        101,
        &format!(
            "ipconfig0=ip%3D{}%2F24&ipconfig1=ip%3D{}%2F24",
            at(6),
            private(2)
        ),
    );
    lab.task("POST", "/nodes/pve1/qemu/101/status/start");
    lab.known(at(6)).settled("true");
    lab.clone_of_template(102, "inner");
    lab.configure(102, &format!("ipconfig0=ip%3D{}%2F24", private(3)));
    lab.task("POST", "/nodes/pve1/qemu/102/status/start");
    let outsider = lab.machine(103, "outsider", at(7));

    let inner = lab.known(private(3));
    assert_eq!(inner.run("true", "").code, Some(255), "not from the host");
    let reached = inner.through(at(6)).settled("hostname");
    assert_eq!(reached.out, "inner\n");
    assert_eq!(
        inner.through(outsider.address).run("true", "").code,
        Some(255),
        "not through a machine that is not on it"
    );
}

#[test]
fn a_machine_reboots_switches_itself_off_and_is_killed() {
    let Some(lab) = Served::with_machines() else {
        return;
    };
    let machine = lab.machine(101, "web", at(8));
    let boot = "cat /proc/sys/kernel/random/boot_id";
    let before = machine.run(boot, "").out;

    machine.run("sudo reboot", "");
    let deadline = Instant::now() + Duration::from_secs(10);
    while machine.settled(boot).out == before {
        assert!(Instant::now() < deadline, "it is not rebooted");
    }

    machine.run("sudo poweroff", "");
    lab.until("/nodes/pve1/qemu/101/status/current", |data| {
        data["status"] == "stopped"
    });
    lab.task("POST", "/nodes/pve1/qemu/101/status/start");
    machine.settled("true");
    lab.sandbox
        .run(&["lab", "kill", "web"])
        .expect_success()
        .shows("machine 101 is off");
    lab.until("/nodes/pve1/qemu/101/status/current", |data| {
        data["status"] == "stopped"
    });
    let deadline = Instant::now() + Duration::from_secs(5);
    while machine.run("true", "").code == Some(0) {
        assert!(Instant::now() < deadline, "it still lets people in");
    }
}

#[test]
fn a_machine_is_cut_off_loses_its_disk_and_shows_another_host_key() {
    let Some(lab) = Served::with_machines() else {
        return;
    };
    let machine = lab.machine(101, "web", at(11));
    let fault = |verb: &str| {
        lab.sandbox
            .run(&["lab", "fault", verb, "web"])
            .expect_success()
    };
    machine.run("echo here | sudo tee /srv/note", "").success();
    let key = machine
        .run("cat /etc/ssh/ssh_host_ed25519_key.pub", "")
        .success()
        .out;
    let pinned = lab.pinned(at(11), key.trim());
    pinned.run("true", "").success();

    fault("cut");
    assert_eq!(machine.run("true", "").code, Some(255));
    fault("join");
    machine.settled("true");

    fault("host-key");
    let deadline = Instant::now() + Duration::from_secs(5);
    while pinned.run("true", "").code == Some(0) {
        assert!(Instant::now() < deadline, "it still has its key");
    }
    machine.settled("cat /srv/note");

    fault("wipe");
    let deadline = Instant::now() + Duration::from_secs(5);
    while machine.run("cat /srv/note", "").code != Some(1) {
        assert!(Instant::now() < deadline, "it still holds what it held");
    }
}

#[test]
fn a_run_with_a_lab_leaves_it_to_the_stack() {
    let sandbox = support::Sandbox::stack(
        "variable \"proxmox_endpoints\" {\n  type = list(string)\n}\n\
         variable \"proxmox_api_token\" {\n  type      = string\n  sensitive = true\n}\n\
         variable \"proxmox_ca\" {\n  type = string\n}\n\
         output \"nodes\" {\n  value = length(var.proxmox_endpoints)\n}\n\
         output \"authority\" {\n  value = startswith(var.proxmox_ca, \"-----BEGIN\")\n}\n",
    );
    sandbox
        .run(&["plan"])
        .expect_code(1)
        .says("missing input variable");

    let ran = sandbox.run(&["--lab", "apply", "--yes"]).expect_success();

    ran.says("a lab is served for this stack");
    assert_eq!(
        sandbox.run(&["output", "nodes"]).expect_success().out,
        "3\n"
    );
    assert_eq!(
        sandbox.run(&["output", "authority"]).expect_success().out,
        "true\n"
    );
    sandbox.run(&["plan"]).expect_success();
    sandbox.run(&["--lab", "plan"]).expect_success();
    sandbox
        .run(&["lab", "status"])
        .expect_success()
        .shows("debian-13");
    sandbox.run(&["lab", "stop"]).expect_success();
    let deadline = Instant::now() + Duration::from_secs(5);
    while sandbox.stack_folder().join(".dmp/lab/lab.json").exists() {
        assert!(Instant::now() < deadline, "it does not stop");
        std::thread::sleep(Duration::from_millis(20));
    }
    sandbox
        .run(&["plan"])
        .expect_code(1)
        .says("missing input variable");
}

#[test]
fn the_lab_s_commands_show_what_goes_on() {
    let lab = Served::begin();
    let run = |words: &[&str]| lab.sandbox.run(words).expect_success();
    lab.client().get("/nodes/pve1/lxc");
    run(&["lab", "fault", "node-down", "pve3"]);
    run(&["lab", "status"])
        .shows("asked for and not served")
        .shows("GET /nodes/pve1/lxc")
        .shows("DOWN")
        .shows("something goes wrong on demand");
    run(&["lab", "fault", "list"]).shows("pve3");
    lab.sandbox
        .run(&["lab", "fault", "full", "no-such"])
        .expect_code(1)
        .says("there is no storage `no-such`");
    run(&["lab", "fault", "clear"]);
    lab.clone_of_template(101, "web");
    run(&["lab", "reset"]);
    let out = run(&["lab", "status"]).out;
    assert!(
        !out.contains("web") && !out.contains("DOWN") && out.contains("debian-13"),
        "{out}"
    );
    assert!(
        !out.contains(&lab.written.password),
        "secrets are in the file alone"
    );
    lab.sandbox
        .run(&["lab", "serve"])
        .expect_code(1)
        .says("this lab is served already, by process");
}

#[test]
fn what_virtual_machines_lack_here_is_said_with_what_to_do() {
    let mut image = vec![0; 1024];
    image[510..512].copy_from_slice(b"\x55\xaa");
    let lab = Served::without_programs(&image);
    let is_root = std::fs::metadata("/proc/self").expect("there").uid() == 0;
    let lacks = match is_root {
        true => "`qemu-system-x86_64` is missing: install QEMU",
        false => "they need the superuser: serve the lab as root",
    };
    let said = lab.sandbox.run(&["lab", "status"]).expect_success();
    said.shows("machines of a disk image can't be started here")
        .shows(lacks);

    lab.clone_of_template(101, "web");
    let task = lab
        .client()
        .post("/nodes/pve1/qemu/101/status/start", "")
        .data();
    let ended = lab.client().wait(&task);
    assert!(
        ended.starts_with("start failed: ") && ended.contains(lacks),
        "{ended}"
    );

    // Only such a machine has a clock of its own.
    lab.sandbox
        .run(&["lab", "fault", "clock", "web", "-3600"])
        .expect_success();
    lab.sandbox
        .run(&["lab", "fault", "node-clock", "pve2"])
        .expect_success();
    let faults = lab.sandbox.run(&["lab", "fault", "list"]).expect_success();
    let faults: serde_json::Value = serde_json::from_str(&faults.out).expect("JSON");
    assert_eq!(faults["clocks"]["101"], -3600);
    assert!(faults["node_clocks"]["pve2"].is_i64(), "{faults}");
}

#[test]
fn stand_ins_keep_what_they_are_told_and_say_what_they_are() {
    let Some(lab) = Served::with_machines() else {
        return;
    };
    let machine = lab.machine(101, "web", at(9));
    let script = "set -e
        sudo apt-get install -y chrony >/dev/null
        dpkg-query -W -f '${db:Status-Status} ${Package}\\n' chrony
        printf '[Service]\\nExecStart=/bin/sleep infinity\\n[Install]\\nWantedBy=multi-user.target\\n' | sudo tee /etc/systemd/system/x.service >/dev/null
        sudo systemctl enable --now x
        systemctl is-active x
        systemctl is-enabled x
        systemctl show -p ActiveState --value x
        sudo sysctl -qw vm.swappiness=7 >/dev/null; sysctl -n vm.swappiness
        sudo hostnamectl set-hostname other; hostname
        sudo mount -t tmpfs tmpfs /mnt; sudo umount /mnt
        sudo useradd -m alice 2>/dev/null; grep -c ^alice: /etc/passwd";
    let ran = machine.run(script, "").success();
    assert_eq!(
        ran.out, "installed chrony\nactive\nenabled\nactive\n7\nother\n1\n",
        "{ran:?}"
    );
    for name in [
        "systemctl",
        "apt-get",
        "apt",
        "dpkg-query",
        "dpkg",
        "useradd",
        "sysctl",
        "sudo",
        "reboot",
        "hostnamectl",
        "mount",
    ] {
        let ran = machine
            .run(&format!("PATH=$PATH:/usr/sbin {name} --version"), "")
            .success();
        assert!(
            ran.out.contains("stand-in of the dmp lab"),
            "{name}: {ran:?}"
        );
    }
    assert_ne!(
        machine.run("systemctl start no-such-unit", "").code,
        Some(0)
    );
    assert_ne!(machine.run("sudo mount /dev/vdb /mnt", "").code, Some(0));
}

#[test]
fn a_stack_is_applied_to_a_machine_and_then_there_is_nothing_to_do() {
    let Some(lab) = Served::with_machines() else {
        return;
    };
    let machine = lab.machine(101, "web", at(10));
    lab.sandbox.write(
        "main.hcl",
        &format!(
            "resource \"host\" \"web\" {{\n  address = \"{}\"\n  port = {}\n  user = \"debian\"\n  key_file = \"{}\"\n}}\n\
             resource \"host_file\" \"motd\" {{\n  host = host.web.connection\n  path = \"/etc/motd\"\n  content = \"${{host.web.hostname}}\\n\"\n}}\n\
             resource \"host_package\" \"chrony\" {{\n  host = host.web.connection\n  names = [\"chrony\"]\n}}\n",
            machine.address,
            served::PORT,
            lab.key().display()
        ),
    );
    lab.sandbox.run(&["apply", "--yes"]).expect_success();
    lab.sandbox
        .run(&["plan"])
        .expect_success()
        .shows("Nothing to do");
    assert_eq!(machine.run("cat /etc/motd", "").out, "web\n");
    lab.sandbox.run(&["destroy", "--yes"]).expect_success();
    assert_ne!(machine.run("cat /etc/motd", "").code, Some(0));
}
