//! A machine of the strength `vm`: from a disk image to a file in it by one apply, its kernel and clock its own, its plug pulled, and
//! mended. One story, since each boot of an emulated machine takes a minute or more.

use std::path::Path;
use std::time::{Duration, Instant};

use dmp_live::{Dmp, Lab};

use super::served::{GATEWAY, Machine, Served, at};

/// How long one boot may take, emulated, on a host with other work.
const BOOT: Duration = Duration::from_secs(900);

const STACK: &str = r#"
provider "proxmox" {
  endpoints = ENDPOINTS
  api_token = "TOKEN"
  ca        = file("CA")
}

resource "proxmox_vm" "v1" {
  name         = "v1"
  node         = "pve1"
  cores        = 2
  memory_mib   = 1024
  boot_seconds = 900
  clone {
    template = "cloud"
  }
  disk {
    slot     = "scsi1"
    storage  = "local-lvm"
    size_gib = 1
    serial   = "data"
  }
  network {
    bridge = "vmbr0"
  }
  cloud_init {
    ssh_keys = [file("KEY.pub")]
    address {
      ipv4     = "ADDRESS/24"
      gateway4 = "GATEWAY"
    }
  }
}

resource "host" "v1" {
  address  = proxmox_vm.v1.address
  user     = proxmox_vm.v1.connection.user
  host_key = proxmox_vm.v1.host_key
  key_file = "KEY"
}

resource "host_file" "motd" {
  host    = host.v1.connection
  path    = "/etc/motd"
  content = "made by dmp\n"
}
"#;

/// A stack with one machine at an address.
fn stack(served: &Served, address: &str) -> Dmp {
    let dmp = Dmp::new(&served.lab);
    let written = served.written();
    let word = |name: &str| written[name].as_str().expect("a word").to_owned();
    let stack = STACK
        .replace("ENDPOINTS", &written["endpoints"].to_string())
        .replace("TOKEN", &word("token"))
        .replace("CA\"", &format!("{}\"", word("ca_file")))
        .replace("KEY", &served.key().display().to_string())
        .replace("ADDRESS", address)
        .replace("GATEWAY", GATEWAY);
    dmp.write("main.hcl", stack);
    dmp
}

/// Waits for something that takes a boot at most.
fn until(what: &str, is_so: impl Fn() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < BOOT, "{what}");
        std::thread::sleep(Duration::from_millis(500));
    }
    println!("{what}: after {:.0} s", begun.elapsed().as_secs_f64());
}

/// By how many seconds the machine's clock is ahead of this host's.
fn ahead(machine: &Machine<'_>) -> i64 {
    let told = machine.ssh("date +%s").trim().parse::<i64>();
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let now = since.expect("after 1970").as_secs();
    told.expect("a time") - i64::try_from(now).expect("it fits")
}

/// Whether a clock is off by so much, give or take what an answer takes.
fn is_off_by(machine: &Machine<'_>, seconds: i64) -> bool {
    (ahead(machine) - seconds).abs() < 120
}

/// The programs that are running machines of a lab.
fn running(served: &Served) -> Vec<String> {
    let machines = served.folder.join("machines");
    let processes = std::fs::read_dir("/proc").expect("there");
    let folder = |process: &Path| std::fs::read_link(process.join("cwd")).ok();
    let name = |process: &Path| std::fs::read_to_string(process.join("comm")).ok();
    let found = processes
        .flatten()
        .map(|entry| entry.path())
        .filter(|process| folder(process).is_some_and(|it| it.starts_with(&machines)));
    found.filter_map(|process| name(&process)).collect()
}

/// The ends of the machines' cables on this host.
fn cables(served: &Served) -> usize {
    let mut command = served.lab.enter("ip");
    let output = command.args(["-o", "link", "show", "type", "tun"]).output();
    let output = output.expect("ip runs");
    String::from_utf8_lossy(&output.stdout).lines().count()
}

#[test]
#[ignore = "needs a lab: cargo xtask live proxmox"]
fn a_virtual_machine_is_made_and_configured_and_lives_through_what_befalls_it() {
    let image = Lab::of_this_suite().value("disk_image").to_owned();
    let mut served = Served::with(&[("--root", &format!("cloud={image}"))]).patient(BOOT);
    assert_eq!(served.machine("cloud")["strength"], "vm");
    let dmp = stack(&served, &at(41));
    let plan_is_empty = || {
        let plan = dmp.run(["plan", "--detailed-exitcode"]).success();
        assert!(plan.stdout.contains("Nothing to do"), "{}", plan.stdout);
    };

    // Its first connection is checked by the host key that its seed image told it.
    let applied = dmp.run(["apply", "--yes"]).success();
    println!(
        "from nothing to a file in a virtual machine: {:.0} s",
        applied.time.as_secs_f64()
    );
    plan_is_empty();
    let known = served.machine("v1");
    assert_eq!(known["strength"], "vm");
    assert_eq!(known["addresses"][0], format!("{}:22", at(41)));
    let vmid = u32::try_from(known["vmid"].as_u64().expect("a number")).expect("small");
    let path = format!("/nodes/pve1/qemu/{vmid}");
    let machine = served.known(&at(41));
    assert_eq!(
        machine.ssh("hostname; cat /etc/motd; nproc"),
        "v1\nmade by dmp\n2\n"
    );

    // A kernel and devices of its own.
    let own = std::fs::read_to_string("/proc/sys/kernel/osrelease").expect("there");
    assert_ne!(machine.ssh("uname -r"), own);
    let disk = "/dev/disk/by-id/scsi-0QEMU_QEMU_HARDDISK_data";
    let bytes = format!("sudo blockdev --getsize64 {disk}");
    assert_eq!(machine.ssh(&bytes).trim(), "1073741824");
    let config = served.data("GET", &format!("{path}/config"), &[]);
    let uuid = machine.ssh("sudo cat /sys/class/dmi/id/product_uuid");
    let told = config["smbios1"].as_str().expect("one").to_lowercase();
    assert!(told.contains(uuid.trim()), "{told} {uuid}");
    let text = std::fs::read_to_string(dmp.folder().join("main.hcl")).expect("there");
    dmp.write("main.hcl", text.replace("size_gib = 1", "size_gib = 2"));
    let _ = dmp.run(["apply", "--yes"]).success();
    until("its disk has grown", || {
        machine.ssh(&bytes).trim() == "2147483648"
    });

    // The guest agent is the machine's own.
    let system = served.data("GET", &format!("{path}/agent/get-osinfo"), &[]);
    let release = machine.ssh("uname -r");
    assert_eq!(system["result"]["kernel-release"], release.trim());
    let interfaces = served.data("GET", &format!("{path}/agent/network-get-interfaces"), &[]);
    assert!(interfaces.to_string().contains(&at(41)), "{interfaces}");

    // Its clock is shifted while it runs, by its agent, and put back.
    assert!(is_off_by(&machine, 0), "{}", ahead(&machine));
    served.command(&["fault", "clock", "v1", "7200"]);
    until("its clock is ahead", || is_off_by(&machine, 7200));
    served.command(&["fault", "clear"]);
    until("its clock is right", || is_off_by(&machine, 0));

    // Its cables are pulled, its host key is another's.
    served.command(&["fault", "cut", "v1"]);
    machine.is_silent();
    served.command(&["fault", "clear"]);
    until("it is reached again", || machine.answers());
    let key = "cat /etc/ssh/ssh_host_ed25519_key.pub";
    let kept = machine.ssh(&format!("sudo cp -a /etc/ssh /root/kept; {key}"));
    served.command(&["fault", "host-key", "v1"]);
    until("it has another host key", || {
        let now = machine.run(key);
        now.status.success() && String::from_utf8_lossy(&now.stdout) != kept
    });
    machine.ssh("sudo cp -a /root/kept/. /etc/ssh/ && sudo systemctl restart ssh");

    // A snapshot of it as it runs; a restart in good order; what came after the snapshot is gone when it is gone back to.
    machine.ssh("echo one | sudo tee /srv/note >/dev/null; sync");
    let form = [("snapname", "s1")];
    served.done("POST", &format!("{path}/snapshot"), &form);
    let before = machine.boot_id();
    let form = [("timeout", "600")];
    served.done("POST", &format!("{path}/status/reboot"), &form);
    machine.is_up_again(&before);
    assert_eq!(machine.ssh("cat /srv/note /etc/motd"), "one\nmade by dmp\n");
    machine.ssh("echo two | sudo tee /srv/note >/dev/null; sync");

    // The plug is pulled; it is gone back to the snapshot, and mended by the next apply, with a clock that is off from its start on.
    served.command(&["kill", "v1"]);
    machine.is_silent();
    until("nothing of it runs", || running(&served).is_empty());
    served.done("POST", &format!("{path}/snapshot/s1/rollback"), &[]);
    served.command(&["fault", "clock", "v1", "-86400"]);
    let mended = dmp.run(["apply", "--yes"]).success();
    println!("mended: {:.0} s", mended.time.as_secs_f64());
    until("it is up", || machine.answers());
    assert_eq!(machine.ssh("cat /srv/note /etc/motd"), "one\nmade by dmp\n");
    assert!(is_off_by(&machine, -86_400), "{}", ahead(&machine));

    // Nothing of it outlives its lab, and it comes back with it.
    served.kill();
    until("nothing of it runs", || running(&served).is_empty());
    assert_eq!(cables(&served), 0);
    served.take_up_again();
    let machine = served.known(&at(41));
    until("it is up again", || machine.answers());
    assert_eq!(machine.ssh("cat /srv/note"), "one\n");
    served.command(&["fault", "clear"]);

    let _ = dmp.run(["destroy", "--yes"]).success();
    assert!(served.machine("v1").is_null());
    until("its files are gone", || {
        !served.folder.join(format!("machines/{vmid}")).exists()
    });
    assert!(running(&served).is_empty());
}
