//! `examples/hosts` with the real binary, on a Debian 13 and a Debian 12 that were set up carelessly: what `lynis` and
//! `ssh-audit` say before and after, who gets in, what is reached, and that a destroy gives both machines back.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Output;

use dmp_live::{Dmp, Entry, Lab, Machine};

use crate::alone::may_stay;
use crate::knock::{Knock, knock, something_listens};

/// A port at which something listens that nobody allowed.
const STRANGER: u16 = 9999;
const PASSWORD: &str = "hunter2-of-the-image";

#[test]
#[ignore = "needs a lab: cargo xtask live hosts"]
fn the_example_hardens_two_machines_and_gives_them_back() {
    let lab = Lab::of_this_suite();
    let [newer] = lab.machines(["n1"]);
    let older = lab.machine_of("bookworm", "n2");
    let machines = [&newer, &older];
    let door = Door::new(&lab, newer.key());
    let before = machines.map(|machine| {
        door.left_open(machine);
        let audit = Audit::of(&lab, machine);
        assert!(door.password(machine, "debian"), "passwords are let in");
        assert!(door.key(machine, "root"), "and so is root");
        assert_eq!(knock(&lab, machine, STRANGER), Knock::Answered);
        (machine.snapshot(), audit)
    });

    let dmp = example(&lab, &door, machines);
    let refused = dmp.run(["plan", "--var", "user=root"]).expect_code(1);
    assert!(
        refused
            .stderr
            .contains("After hardening nobody logs in as root"),
        "{}",
        refused.stderr
    );
    let applied = dmp.run(["apply", "--yes"]).success();
    let said = applied.stdout + &applied.stderr;
    assert!(
        said.contains("tcp/9999 (perl)"),
        "the audit tells of what nobody knows of: {said}"
    );
    let _ = dmp.run(["plan", "--detailed-exitcode"]).success();

    for (machine, (_, before)) in machines.iter().zip(&before) {
        let after = Audit::of(&lab, machine);
        println!(
            "{}: before {before}; after {after}",
            machine.ssh(". /etc/os-release; echo $PRETTY_NAME").trim()
        );
        assert!(after.index > before.index, "lynis finds it better");
        assert_eq!(after.failures, 0, "ssh-audit finds nothing broken");
        assert!(after.warnings < before.warnings, "and less to warn of");

        assert!(!door.password(machine, "debian"), "no password is let in");
        assert!(!door.key(machine, "root"), "root is not, by any key");
        assert!(!door.key(machine, "alice"), "alice only by her own key");
        let alice = door.login(
            machine,
            "alice",
            &["-i", &door.alice.to_string_lossy()],
            "sudo -n id -un",
        );
        assert_eq!(String::from_utf8_lossy(&alice.stdout), "root\n");
        let quantum = [
            "-i",
            &door.alice.to_string_lossy(),
            "-o",
            "KexAlgorithms=sntrup761x25519-sha512@openssh.com",
        ];
        let quantum = door.login(machine, "alice", &quantum, "true");
        assert!(
            quantum.status.success(),
            "a post-quantum key exchange is there"
        );

        assert_eq!(knock(&lab, machine, STRANGER), Knock::Dropped);
        let page = lab.get(&format!("http://{}:8080/", machine.address()));
        assert!(page.is_some_and(|page| page.contains("cores")));
    }
    for (machine, name, friend) in [(&newer, "alpha", "beta"), (&older, "beta", "alpha")] {
        let found = machine.ssh(&format!(
            "uname -n; getent hosts {friend} | wc -l; date +%Z; cat /etc/timezone"
        ));
        let summer = ["CET", "CEST"].map(|zone| format!("{name}\n1\n{zone}\nEurope/Berlin\n"));
        assert!(summer.contains(&found), "{found}");
    }

    let _ = dmp.run(["destroy", "--yes"]).success();
    for (machine, (before, _)) in machines.iter().zip(before) {
        assert!(door.password(machine, "debian"), "sshd is as before, too");
        // A user's home stays with what is in it.
        let may_stay = |entry: &Entry| {
            const TARGETS: [&str; 2] = ["time-set.target", "time-sync.target"];
            const FOLDERS: [&str; 2] = ["/home/alice", "/tmp/systemd-private-"];
            may_stay(entry)
                || TARGETS.contains(&entry.name.as_str())
                || FOLDERS.iter().any(|folder| entry.name.starts_with(folder))
        };
        let differences = before
            .without(may_stay)
            .differences(&machine.snapshot().without(may_stay));
        assert_eq!(differences, [""; 0], "left on {}", machine.name());
    }
}

/// The example with the lab's machines as `alpha` and `beta`.
fn example(lab: &Lab, door: &Door<'_>, [alpha, beta]: [&Machine; 2]) -> Dmp {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let root = root.canonicalize().expect("the repository is there");
    let dmp = Dmp::with_stack(lab, &root.join("examples/hosts"));
    let main = std::fs::read_to_string(root.join("examples/hosts/main.hcl")).expect("readable");
    let modules = root.join("modules").display().to_string();
    dmp.write("main.hcl", main.replace("../../modules", &modules));
    let key = std::fs::read_to_string(door.alice.with_extension("pub")).expect("is there");
    dmp.write(
        "site.auto.hcl",
        format!(
            "nodes     = {{ alpha = \"{}\", beta = \"{}\" }}\nkey_file  = \"{}\"\ntime_zone = \"Europe/Berlin\"
admins    = {{ alice = {{ keys = [\"{}\"] }} }}\n",
            alpha.address(),
            beta.address(),
            door.key.display(),
            key.trim()
        ),
    );
    dmp
}

/// How one comes to the machines from outside.
struct Door<'a> {
    lab: &'a Lab,
    folder: tempfile::TempDir,
    key: PathBuf,
    alice: PathBuf,
}

impl<'a> Door<'a> {
    fn new(lab: &'a Lab, key: &Path) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let alice = folder.path().join("alice");
        let made = std::process::Command::new("ssh-keygen")
            .args(["-q", "-t", "ed25519", "-N", "", "-C", "alice", "-f"])
            .arg(&alice)
            .status();
        assert!(made.is_ok_and(|status| status.success()), "a key");
        let answer = folder.path().join("answer");
        std::fs::write(&answer, format!("#!/bin/sh\necho {PASSWORD}\n")).expect("writable");
        std::fs::set_permissions(&answer, PermissionsExt::from_mode(0o700)).expect("ours");
        Self {
            lab,
            folder,
            key: key.to_owned(),
            alice,
        }
    }

    /// Makes a machine what careless images are: passwords, root by key, and something that listens.
    fn left_open(&self, machine: &Machine) {
        let key = std::fs::read_to_string(self.key.with_extension("pub")).expect("is there");
        machine.ssh(&format!(
            "set -e
             echo '{key}' >>.ssh/authorized_keys
             sudo install -d -m 700 /root/.ssh
             echo '{key}' | sudo tee /root/.ssh/authorized_keys >/dev/null
             printf 'PasswordAuthentication yes\\nPermitRootLogin yes\\n' | sudo tee /etc/ssh/sshd_config.d/50-image.conf >/dev/null
             echo 'debian:{PASSWORD}' | sudo chpasswd
             sudo systemctl restart ssh
             {}
             sudo apt-get -qq update
             sudo DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends lynis >/dev/null 2>&1",
            something_listens(STRANGER)
        ));
    }

    fn login(&self, machine: &Machine, user: &str, options: &[&str], script: &str) -> Output {
        let known_hosts = format!("UserKnownHostsFile={}", machine.known_hosts().display());
        let mut command = self.lab.enter("ssh");
        command
            .args(["-F", "none", "-o", &known_hosts, "-o", "ConnectTimeout=5"])
            .args(["-o", "IdentitiesOnly=yes"])
            .args(options)
            .arg(format!("{user}@{}", machine.address()))
            .arg(script)
            .env("SSH_ASKPASS", self.folder.path().join("answer"))
            .env("SSH_ASKPASS_REQUIRE", "force");
        command.output().expect("ssh runs")
    }

    /// Whether the password lets a user in.
    fn password(&self, machine: &Machine, user: &str) -> bool {
        let options = [
            "-o",
            "PubkeyAuthentication=no",
            "-o",
            "NumberOfPasswordPrompts=1",
        ];
        self.login(machine, user, &options, "true").status.success()
    }

    /// Whether the key by which dmp comes in is one of a user's.
    fn key(&self, machine: &Machine, user: &str) -> bool {
        let options = ["-o", "BatchMode=yes", "-i", &self.key.to_string_lossy()];
        self.login(machine, user, &options, "true").status.success()
    }
}

/// What tools of others find.
struct Audit {
    /// The hardening index of `lynis`, of 100.
    index: u32,
    /// What `ssh-audit` calls a failure, and what it warns of.
    failures: usize,
    warnings: usize,
}

impl Audit {
    fn of(lab: &Lab, machine: &Machine) -> Self {
        let said = machine.ssh(
            "sudo lynis audit system --quick --no-colors >/dev/null 2>&1
             sudo sed -n 's/^hardening_index=//p' /var/log/lynis-report.dat; sudo rm -f /var/log/lynis*",
        );
        // It ends with another status than 0 where it finds something.
        let ssh = lab
            .enter("ssh-audit")
            .args(["--no-colors", machine.address()])
            .output();
        let ssh = String::from_utf8_lossy(&ssh.expect("ssh-audit runs").stdout).into_owned();
        assert!(ssh.contains("# key exchange algorithms"), "{ssh}");
        Self {
            index: said.trim().parse().expect("lynis gives an index"),
            failures: ssh.matches("[fail]").count(),
            warnings: ssh.matches("[warn]").count(),
        }
    }
}

impl std::fmt::Display for Audit {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            out,
            "lynis {}, ssh-audit {} failures and {} warnings",
            self.index, self.failures, self.warnings
        )
    }
}
