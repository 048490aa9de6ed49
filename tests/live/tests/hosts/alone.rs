//! Each type by itself with the real binary: applied, altered by a stranger, mended, destroyed, and nothing is left.

use dmp_live::{Dmp, Entry, Lab, Machine};

/// What stays on a machine after a destroy; `docs/operations/what-stays.md` gives the reason of each.
pub(crate) fn may_stay(entry: &Entry) -> bool {
    const FOLDERS: [&str; 7] = [
        "/var/lib/dmp",
        "/var/lib/apt",
        "/var/lib/dpkg",
        "/var/cache/apt",
        "/var/cache/debconf",
        "/var/lib/ucf",
        "/var/cache/ldconfig",
    ];
    // The copies of before that the tools for users keep.
    const COPIES: [&str; 7] = [
        "/etc/.pwd.lock",
        "/etc/group-",
        "/etc/gshadow-",
        "/etc/passwd-",
        "/etc/shadow-",
        "/etc/subgid-",
        "/etc/subuid-",
    ];
    // What was ordered before the network is not ordered back.
    if entry.name == "network-pre.target" {
        return true;
    }
    entry.kind == "file"
        && (FOLDERS.iter().any(|folder| entry.name.starts_with(folder))
            || COPIES.contains(&entry.name.as_str())
            || entry.name.starts_with("/var/tmp/systemd-private-"))
}

/// The beginning of a stack for one machine.
pub(crate) fn host(machine: &Machine) -> String {
    format!(
        "resource \"host\" \"box\" {{\n  address  = \"{}\"\n  user     = \"{}\"\n  key_file = \"{}\"\n  host_key = \"{}\"\n}}\n",
        machine.address(),
        machine.user(),
        machine.key().display(),
        machine.host_key()
    )
}

/// One resource, what it makes, what a stranger does to it, and how both are seen on the machine.
pub(crate) struct Story {
    pub(crate) hcl: String,
    /// Succeeds on the machine where all is as wanted.
    pub(crate) holds: &'static str,
    pub(crate) stranger: &'static str,
    /// What the plan says after the stranger.
    pub(crate) drift: &'static str,
}

/// Tells a story on a machine, from its beginning to its end.
pub(crate) fn lives_alone(lab: &Lab, machine: &Machine, story: &Story) {
    let before = machine.snapshot();
    let dmp = Dmp::new(lab);
    dmp.write("main.hcl", format!("{}{}", host(machine), story.hcl));
    let holds = || machine.try_ssh(story.holds).status.success();

    let _ = dmp.run(["plan", "--detailed-exitcode"]).expect_code(2);
    assert!(!holds(), "a plan changes nothing");
    let _ = dmp.run(["apply", "--yes"]).success();
    assert!(holds(), "it is applied");
    let _ = dmp.run(["plan", "--detailed-exitcode"]).success();

    machine.ssh(story.stranger);
    assert!(!holds(), "the stranger has altered it");
    let plan = dmp.run(["plan", "--detailed-exitcode"]).expect_code(2);
    assert!(
        plan.stdout.contains("Changed outside of dmp") && plan.stdout.contains(story.drift),
        "{}",
        plan.stdout
    );
    let _ = dmp.run(["apply", "--yes"]).success();
    assert!(holds(), "it is mended");
    let _ = dmp.run(["plan", "--detailed-exitcode"]).success();

    let _ = dmp.run(["destroy", "--yes"]).success();
    let verified = dmp.run(["state", "verify"]).success();
    assert!(
        verified.stdout.contains("0 instances, 0 open intents"),
        "{}",
        verified.stdout
    );
    let differences = before
        .without(may_stay)
        .differences(&machine.snapshot().without(may_stay));
    assert_eq!(differences, [""; 0], "left on the machine");
}

#[test]
#[ignore = "needs a lab: cargo xtask live hosts"]
fn a_package_is_installed_held_mended_and_purged() {
    let lab = Lab::of_this_suite();
    let [machine] = lab.machines(["n1"]);
    let story = Story {
        hcl: "resource \"host_package\" \"tools\" {
  host  = host.box.connection
  names = [\"hello\", \"tree\"]
  hold  = true
}
"
        .into(),
        holds: "command -v hello && command -v tree && [ \"$(apt-mark showhold | tr '\\n' ' ')\" = 'hello tree ' ]",
        stranger: "sudo apt-get -qq purge --allow-change-held-packages tree >/dev/null",
        drift: "~ host_package.tools",
    };
    lives_alone(&lab, &machine, &story);
}

#[test]
#[ignore = "needs a lab: cargo xtask live hosts"]
fn a_repository_is_added_mended_and_removed() {
    let lab = Lab::of_this_suite();
    let [machine] = lab.machines(["n1"]);
    let line = machine.ssh("grep -m 1 '^deb ' /etc/apt/sources.list | sed 's/ \\[[^]]*\\]//'");
    let words: Vec<&str> = line.split_whitespace().collect();
    let key = machine.ssh(&format!(
        "cat /etc/apt/trusted.gpg.d/debian-archive-{}-automatic.asc",
        words[2]
    ));
    let story = Story {
        hcl: format!(
            "resource \"host_repository\" \"archive\" {{
  host       = host.box.connection
  name       = \"archive\"
  uris       = [\"{}\"]
  suites     = [\"{}\"]
  components = [\"contrib\"]
  key        = <<-EOK
{key}
EOK
}}
",
            words[1], words[2]
        ),
        holds: "grep -qx 'Components: contrib' /etc/apt/sources.list.d/archive.sources &&
                apt-get indextargets | grep -q '^Component: contrib'",
        stranger: "sudo sed -i 's/^Components: .*/Components: main/' /etc/apt/sources.list.d/archive.sources",
        drift: "~ host_repository.archive",
    };
    lives_alone(&lab, &machine, &story);
}

#[test]
#[ignore = "needs a lab: cargo xtask live hosts"]
fn a_service_is_started_mended_and_removed() {
    let lab = Lab::of_this_suite();
    let [machine] = lab.machines(["n1"]);
    let story = Story {
        hcl: "resource \"host_service\" \"ours\" {
  host    = host.box.connection
  name    = \"ours\"
  enabled = true
  running = true
  unit    = <<-EOU
    [Service]
    ExecStart=/bin/sleep infinity
    [Install]
    WantedBy=multi-user.target
  EOU
}
"
        .into(),
        holds: "systemctl -q is-active ours && systemctl -q is-enabled ours",
        stranger: "sudo systemctl -q disable --now ours",
        drift: "~ host_service.ours",
    };
    lives_alone(&lab, &machine, &story);
}

#[test]
#[ignore = "needs a lab: cargo xtask live hosts"]
fn a_service_that_was_there_is_put_back() {
    let lab = Lab::of_this_suite();
    let [machine] = lab.machines(["n1"]);
    machine.ssh(
        "printf '[Service]\\nExecStart=/bin/sleep 100000\\n[Install]\\nWantedBy=multi-user.target\\n' |
         sudo tee /etc/systemd/system/theirs.service >/dev/null
         sudo systemctl daemon-reload; sudo systemctl -q enable --now theirs",
    );
    let story = Story {
        hcl: "resource \"host_service\" \"theirs\" {
  host    = host.box.connection
  name    = \"theirs\"
  enabled = false
  running = false
}
"
        .into(),
        holds: "! systemctl -q is-active theirs && ! systemctl -q is-enabled theirs",
        stranger: "sudo systemctl start theirs",
        drift: "~ host_service.theirs",
    };
    lives_alone(&lab, &machine, &story);
    machine.ssh("systemctl -q is-active theirs && systemctl -q is-enabled theirs");
}

#[test]
#[ignore = "needs a lab: cargo xtask live hosts"]
fn kernel_settings_are_set_mended_and_put_back() {
    let lab = Lab::of_this_suite();
    let [machine] = lab.machines(["n1"]);
    let story = Story {
        hcl: "resource \"host_sysctl\" \"router\" {
  host     = host.box.connection
  name     = \"90-router\"
  settings = { \"net.ipv4.ip_forward\" = 1 }
}
"
        .into(),
        holds: "[ \"$(cat /proc/sys/net/ipv4/ip_forward)\" = 1 ] && grep -qx 'net.ipv4.ip_forward = 1' /etc/sysctl.d/90-router.conf",
        stranger: "sudo sysctl -q net.ipv4.ip_forward=0",
        drift: "~ host_sysctl.router",
    };
    lives_alone(&lab, &machine, &story);
}

#[test]
#[ignore = "needs a lab: cargo xtask live hosts"]
fn a_kernel_module_is_loaded_mended_and_let_go() {
    let lab = Lab::of_this_suite();
    let [machine] = lab.machines(["n1"]);
    let story = Story {
        hcl: "resource \"host_kernel_module\" \"overlay\" {
  host    = host.box.connection
  name    = \"overlay\"
  options = \"metacopy=off\"
}
"
        .into(),
        holds: "grep -qx overlay /etc/modules-load.d/dmp-overlay.conf &&
                grep -qx 'options overlay metacopy=off' /etc/modprobe.d/dmp-overlay.conf",
        stranger: "sudo rm /etc/modprobe.d/dmp-overlay.conf",
        drift: "~ host_kernel_module.overlay",
    };
    lives_alone(&lab, &machine, &story);
}
