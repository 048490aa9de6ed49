//! What needs a kernel of its own, on one virtual machine: filesystems on real disks, mounts, modules, kernel settings,
//! the firewall, and reboots that are real. One story, since each boot of an emulated machine takes a minute or more.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use dmp_live::{Dmp, Lab, Machine};

use crate::alone::host;
use crate::knock::{Knock, knock, something_listens};

/// Listened at, and allowed.
const OPEN: u16 = 8080;
/// Listened at, and not allowed.
const STRANGER: u16 = 9999;

/// All but the host. `BASE`, `HARDENING` are the modules, `KEY` is a public key, `KERNEL` a trigger.
const STACK: &str = r#"
module "base" {
  source         = "BASE"
  host           = host.box.connection
  packages       = ["kmod"]
  hostname       = "vault"
  kernel_modules = ["nf_conntrack"]
  sysctls        = { "vm.swappiness" = "7", "kernel.panic" = "11", "net.ipv4.ip_forward" = "1" }
}

module "hardening" {
  source     = "HARDENING"
  host       = host.box.connection
  admins     = { alice = { keys = ["KEY"] } }
  allow      = [{ name = "web", ports = ["8080"] }]
  open_ports = null
  depends_on = [module.base]
}

resource "host_kernel_module" "brd" {
  host    = host.box.connection
  name    = "brd"
  options = "rd_nr=2 rd_size=1024"
}

resource "host_filesystem" "data" {
  host         = host.box.connection
  device       = "/dev/disk/by-id/virtio-disk1"
  type         = "ext4"
  mkfs_options = ["-m", "0"]
}

resource "host_filesystem" "fast" {
  host   = host.box.connection
  device = "/dev/disk/by-id/virtio-disk2"
  type   = "xfs"
  label  = "fast"
}

resource "host_filesystem" "many" {
  host   = host.box.connection
  device = "/dev/disk/by-id/virtio-disk3"
  type   = "btrfs"
  label  = "many"
}

resource "host_mount" "data" {
  host    = host.box.connection
  path    = "/srv/data"
  device  = "UUID=${host_filesystem.data.uuid}"
  type    = "ext4"
  options = "noatime,nofail"
  pass    = 2
}

resource "host_mount" "fast" {
  host    = host.box.connection
  path    = "/srv/fast"
  device  = "LABEL=${host_filesystem.fast.label}"
  type    = "xfs"
  options = "nofail"
}

resource "host_mount" "many" {
  host    = host.box.connection
  path    = "/srv/many"
  device  = "UUID=${host_filesystem.many.uuid}"
  type    = "btrfs"
  options = "nofail"
}

resource "host_file" "kept" {
  for_each = { data = host_mount.data.path, fast = host_mount.fast.path, many = host_mount.many.path }
  host     = host.box.connection
  path     = "${each.value}/ours"
  content  = "ours\n"
}

resource "host_reboot" "box" {
  host       = host.box.connection
  triggers   = { kernel = "KERNEL" }
  depends_on = [module.hardening, host_file.kept]
}

resource "host_command" "after" {
  host    = host.box.connection
  create  = "cat /proc/sys/kernel/random/boot_id >/var/tmp/after-KERNEL"
  check   = "[ -s /var/tmp/after-KERNEL ]"
  destroy = "rm -f /var/tmp/after-KERNEL"

  depends_on = [host_reboot.box]
}
"#;

/// Succeeds where all that the kernel has is as the stack wants it.
const HOLDS: &str = "set -e
    [ \"$(findmnt -no FSTYPE /srv/data) $(findmnt -no FSTYPE /srv/fast) $(findmnt -no FSTYPE /srv/many)\" = 'ext4 xfs btrfs' ]
    findmnt -no OPTIONS /srv/data | grep -qw noatime
    [ \"$(cat /srv/data/ours /srv/fast/ours /srv/many/ours | uniq -c | tr -s ' ')\" = ' 3 ours' ]
    [ \"$(cat /proc/sys/vm/swappiness /proc/sys/kernel/panic /proc/sys/net/ipv4/ip_forward | tr '\\n' ' ')\" = '7 11 1 ' ]
    [ \"$(cat /proc/sys/kernel/kptr_restrict)\" = 2 ]
    grep -q '^brd ' /proc/modules
    [ -e /sys/class/block/ram1 ] && [ ! -e /sys/class/block/ram2 ]
    sudo nft list table inet dmp_firewall | grep -q 'dport 8080'
    [ \"$(uname -n)\" = vault ]";

#[test]
#[ignore = "needs a lab: cargo xtask live hosts"]
fn a_kernel_of_its_own_keeps_what_it_was_given_through_drift_growth_and_reboots() {
    let lab = Lab::of_this_suite();
    let clock = Instant::now();
    let machine = lab.virtual_machine("v1", &["512M", "512M", "512M"]);
    let site = Site::new(&lab, machine, clock);
    site.tell("it has booted");

    site.is_applied();
    site.what_a_stranger_did_is_mended();
    site.filesystems_grow_while_they_are_mounted();
    site.is_rebooted_and_waited_for();
    site.is_rebooted_while_dmp_is_killed();
    site.is_destroyed_and_the_data_stay();
}

struct Site<'a> {
    lab: &'a Lab,
    machine: Machine,
    dmp: Dmp,
    clock: Instant,
}

impl<'a> Site<'a> {
    fn new(lab: &'a Lab, machine: Machine, clock: Instant) -> Self {
        let site = Self {
            lab,
            dmp: Dmp::new(lab),
            machine,
            clock,
        };
        // An emulated SSH server takes its time, before it says a word.
        let ssh = site.dmp.home().join(".ssh");
        std::fs::create_dir(&ssh).expect("writable");
        std::fs::write(ssh.join("config"), "Host *\n  ConnectTimeout 60\n").expect("writable");
        site.write("one");
        site
    }

    fn write(&self, kernel: &str) {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let modules = root
            .canonicalize()
            .expect("the repository is there")
            .join("modules");
        let key = std::fs::read_to_string(self.machine.key().with_extension("pub"));
        let stack = STACK
            .replace("BASE", &modules.join("base-host").display().to_string())
            .replace(
                "HARDENING",
                &modules.join("hardening").display().to_string(),
            )
            .replace("KEY", key.expect("is there").trim())
            .replace("KERNEL", kernel);
        self.dmp
            .write("main.hcl", format!("{}{stack}", host(&self.machine)));
    }

    fn tell(&self, what: &str) {
        println!("{:6.1} s  {what}", self.clock.elapsed().as_secs_f64());
    }

    fn nothing_is_to_do(&self, when: &str) {
        let plan = self.dmp.run(["plan", "--detailed-exitcode"]);
        assert_eq!(plan.code, Some(0), "{when}: {}{}", plan.stdout, plan.stderr);
        self.machine.ssh(HOLDS);
        self.tell(&format!("{when}, nothing is to do"));
    }

    fn is_applied(&self) {
        self.machine.ssh(&something_listens(OPEN));
        self.machine.ssh(&something_listens(STRANGER));
        assert_eq!(knock(self.lab, &self.machine, STRANGER), Knock::Answered);
        let boot = self.machine.boot_id();
        let _ = self.dmp.run(["apply", "--yes"]).success();
        self.tell("it is applied");
        assert_eq!(
            self.machine.boot_id(),
            boot,
            "the first trigger reboots nothing"
        );
        self.nothing_is_to_do("after the apply");
        self.only_the_allowed_is_reached();
    }

    fn only_the_allowed_is_reached(&self) {
        assert_eq!(knock(self.lab, &self.machine, OPEN), Knock::Answered);
        assert_eq!(knock(self.lab, &self.machine, STRANGER), Knock::Dropped);
    }

    fn what_a_stranger_did_is_mended(&self) {
        self.machine.ssh(
            "set -e
             sudo sysctl -qw vm.swappiness=60
             sudo umount /srv/fast
             sudo modprobe -r brd
             sudo nft flush ruleset",
        );
        assert_eq!(knock(self.lab, &self.machine, STRANGER), Knock::Answered);
        let plan = self.dmp.run(["plan", "--detailed-exitcode"]).expect_code(2);
        for changed in [
            "module.base.host_sysctl.this[0]",
            "host_mount.fast",
            "host_kernel_module.brd",
            "module.hardening.host_firewall.this",
        ] {
            assert!(
                plan.stdout.contains(&format!("~ {changed}")),
                "{changed} is not seen:\n{}",
                plan.stdout
            );
        }
        let _ = self.dmp.run(["apply", "--yes"]).success();
        self.nothing_is_to_do("after a stranger and another apply");
        self.only_the_allowed_is_reached();
    }

    fn filesystems_grow_while_they_are_mounted(&self) {
        let sizes = || -> Vec<u32> {
            let said = self
                .machine
                .ssh("df -BM --output=size /srv/data /srv/fast /srv/many | tail -n 3 | tr -d 'M '");
            said.lines()
                .map(|size| size.parse().expect("a number"))
                .collect()
        };
        let before = sizes();
        for disk in 1..=3 {
            self.machine.resize_disk(disk, "768M");
        }
        let plan = self.dmp.run(["plan", "--detailed-exitcode"]).expect_code(2);
        for name in ["data", "fast", "many"] {
            assert!(
                plan.stdout.contains(&format!("~ host_filesystem.{name}")),
                "{name} does not grow:\n{}",
                plan.stdout
            );
        }
        let _ = self.dmp.run(["apply", "--yes"]).success();
        let after = sizes();
        for (before, after) in before.iter().zip(&after) {
            assert!(after - before > 200, "{before} MiB have become {after}");
        }
        self.nothing_is_to_do("after the disks have grown");
    }

    fn is_rebooted_and_waited_for(&self) {
        self.machine.ssh("sudo touch /run/reboot-required; echo linux-image-ours | sudo tee /run/reboot-required.pkgs >/dev/null");
        let plan = self.dmp.run(["plan", "--detailed-exitcode"]).expect_code(2);
        assert!(
            plan.stdout.contains("packages ask for it"),
            "{}",
            plan.stdout
        );
        let boot = self.machine.boot_id();
        let _ = self.dmp.run(["apply", "--yes"]).success();
        self.tell("it is rebooted");
        assert_ne!(self.machine.boot_id(), boot);
        self.nothing_is_to_do("after a reboot");
        self.machine.ssh(&something_listens(OPEN));
        self.machine.ssh(&something_listens(STRANGER));
        self.only_the_allowed_is_reached();
    }

    fn is_rebooted_while_dmp_is_killed(&self) {
        let first = self.machine.boot_id();
        self.write("two");
        let mut run = self
            .dmp
            .command()
            .args(["apply", "--yes"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("dmp starts");
        // It has gone down as soon as it answers no more.
        let answers = || {
            let mut knock = self.lab.enter("timeout");
            let port = format!("exec 3<>/dev/tcp/{}/22", self.machine.address());
            succeeds(knock.args(["5", "bash", "-c", &port]))
        };
        let until = Instant::now() + Duration::from_secs(300);
        while answers() {
            assert!(Instant::now() < until, "it is told to reboot");
            std::thread::sleep(Duration::from_millis(200));
        }
        run.kill().expect("it can be killed");
        assert_eq!(run.wait().expect("it ends").code(), None, "it lived");
        self.tell("dmp is killed while it is away");

        // The next run waits for the machine by itself.
        let _ = self.dmp.run(["apply", "--yes"]).success();
        let second = self.machine.boot_id();
        assert_ne!(second, first);
        assert_eq!(
            self.machine.ssh("cat /var/tmp/after-two").trim(),
            second,
            "it was rebooted once, and what comes after came after"
        );
        self.nothing_is_to_do("after the next run");
        let verified = self.dmp.run(["state", "verify"]).success();
        assert!(
            verified.stdout.contains(" 0 open intents"),
            "{}",
            verified.stdout
        );
    }

    fn is_destroyed_and_the_data_stay(&self) {
        self.machine.ssh("for place in data fast many; do echo theirs | sudo tee /srv/$place/theirs >/dev/null; done; sync");
        let refused = self.dmp.run(["destroy", "--yes"]).expect_code(1);
        assert!(
            refused.stderr.contains("host_filesystem.data"),
            "{}",
            refused.stderr
        );
        // What holds data is only let go of.
        let removed = ["data", "fast", "many"].map(|name| {
            format!("removed {{\n  from = host_filesystem.{name}\n  lifecycle {{\n    destroy = false\n  }}\n}}\n")
        });
        self.dmp
            .write("main.hcl", host(&self.machine) + &removed.concat());
        let _ = self.dmp.run(["apply", "--yes"]).success();
        let _ = self.dmp.run(["plan", "--detailed-exitcode"]).success();
        let _ = self.dmp.run(["destroy", "--yes"]).success();
        self.tell("it is destroyed");
        self.machine.ssh(
            "set -e
             ! grep -q ' /srv/' /proc/mounts
             ! grep -q /srv /etc/fstab
             [ ! -e /srv/data ] && [ ! -e /srv/fast ] && [ ! -e /srv/many ]
             [ \"$(cat /proc/sys/vm/swappiness /proc/sys/net/ipv4/ip_forward | tr '\\n' ' ')\" = '60 0 ' ]
             ! grep -q '^brd ' /proc/modules
             [ ! -e /etc/modules-load.d/dmp-brd.conf ] && [ ! -e /etc/modprobe.d/dmp-brd.conf ]
             [ \"$(sudo nft list ruleset)\" = '' ]
             [ ! -e /etc/systemd/system/dmp-firewall.service ]
             [ \"$(uname -n)\" = v1 ]
             for disk in 1 2 3; do
                 sudo mount /dev/disk/by-id/virtio-disk$disk /mnt
                 [ \"$(cat /mnt/theirs)\" = theirs ]
                 # Of the one that was not mounted for a while dmp found its own file, which was somebody's by then.
                 [ $disk = 2 ] || [ ! -e /mnt/ours ]
                 sudo umount /mnt
             done",
        );
        assert_eq!(knock(self.lab, &self.machine, STRANGER), Knock::Refused);
    }
}

fn succeeds(command: &mut Command) -> bool {
    let quiet = command.stdout(Stdio::null()).stderr(Stdio::null());
    quiet.status().is_ok_and(|status| status.success())
}
