//! The firewall and the security updates, each by itself with the real binary.

use dmp_live::{Dmp, Lab};

use crate::alone::{Story, host, lives_alone};
use crate::knock::{Knock, knock, something_listens};

/// Listened at, and allowed.
const OPEN: u16 = 8080;
/// Listened at, and not allowed.
const STRANGER: u16 = 9999;

fn firewall(ports: &str) -> String {
    format!(
        "resource \"host_firewall\" \"box\" {{
  host = host.box.connection
  allow {{
    name  = \"web\"
    ports = [\"{ports}\"]
  }}
}}
"
    )
}

#[test]
#[ignore = "needs a lab: cargo xtask live hosts"]
fn a_firewall_is_loaded_mended_and_taken_away_and_others_keep_theirs() {
    let lab = Lab::of_this_suite();
    let [machine] = lab.machines(["n1"]);
    // A table of somebody else is there before and afterwards.
    machine.ssh(
        "sudo apt-get -qq update
         sudo DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends nftables >/dev/null
         sudo nft add table inet theirs",
    );
    let story = Story {
        hcl: firewall("8080"),
        holds: "sudo nft list table inet dmp_firewall 2>/dev/null | grep -q 'tcp dport 8080 accept comment \"web\"' &&
                ! sudo nft list table inet dmp_firewall | grep -q 9999 &&
                systemctl -q is-enabled dmp-firewall && systemctl -q is-active dmp-firewall &&
                sudo nft list table inet theirs >/dev/null",
        stranger: "sudo nft add rule inet dmp_firewall input tcp dport 9999 accept",
        drift: "~ host_firewall.box",
    };
    lives_alone(&lab, &machine, &story);
    machine
        .ssh("sudo nft list table inet theirs >/dev/null && ! sudo nft list ruleset | grep -q dmp");
}

#[test]
#[ignore = "needs a lab: cargo xtask live hosts"]
fn a_firewall_lets_in_whom_it_allows_also_after_a_reboot() {
    let lab = Lab::of_this_suite();
    let [machine] = lab.machines(["n1"]);
    machine.ssh(
        "sudo apt-get -qq update
         sudo DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends nftables >/dev/null",
    );
    let dmp = Dmp::new(&lab);
    let listen = || [OPEN, STRANGER].map(|port| machine.ssh(&something_listens(port)));
    let knocks = || [OPEN, STRANGER].map(|port| knock(&lab, &machine, port));
    listen();
    assert_eq!(knocks(), [Knock::Answered, Knock::Answered]);

    dmp.write("main.hcl", host(&machine) + &firewall("8080"));
    let _ = dmp.run(["apply", "--yes"]).success();
    assert_eq!(knocks(), [Knock::Answered, Knock::Dropped]);
    machine.reboot();
    listen();
    assert_eq!(knocks(), [Knock::Answered, Knock::Dropped]);
    let _ = dmp.run(["plan", "--detailed-exitcode"]).success();

    dmp.write("main.hcl", host(&machine) + &firewall("9999"));
    let _ = dmp.run(["apply", "--yes"]).success();
    assert_eq!(knocks(), [Knock::Dropped, Knock::Answered]);
    let _ = dmp.run(["plan", "--detailed-exitcode"]).success();

    // Whoever has emptied the kernel's rules is found out, and so is a unit that no longer starts.
    for stranger in [
        "sudo nft flush ruleset",
        "sudo systemctl -q disable dmp-firewall",
    ] {
        machine.ssh(stranger);
        let plan = dmp.run(["plan", "--detailed-exitcode"]).expect_code(2);
        assert!(
            plan.stdout.contains("~ host_firewall.box"),
            "{stranger}: {}",
            plan.stdout
        );
        let _ = dmp.run(["apply", "--yes"]).success();
        assert_eq!(knocks(), [Knock::Dropped, Knock::Answered], "{stranger}");
        let _ = dmp.run(["plan", "--detailed-exitcode"]).success();
    }

    // A machine has one: it is taken over by the machine's address.
    let _ = dmp.run(["state", "rm", "host_firewall.box"]).success();
    let import = |id: &str| dmp.run(["import", "host_firewall.box", id, "--yes"]);
    let refused = import("box").expect_code(1);
    assert!(
        refused.stderr.contains("the id names another machine"),
        "{}",
        refused.stderr
    );
    let _ = import(machine.address()).success();
    let _ = dmp.run(["plan", "--detailed-exitcode"]).success();

    let _ = dmp.run(["destroy", "--yes"]).success();
    assert_eq!(knocks(), [Knock::Answered, Knock::Answered]);
}

/// An archive on the machine itself, for security, with a newer version of two packages that are installed.
const ARCHIVE: &str = "set -e
    cd \"$(mktemp -d)\"
    for name in ours-plain ours-kept; do
        for version in 1 2; do
            mkdir -p $name-$version/DEBIAN
            printf 'Package: %s\\nVersion: %s\\nArchitecture: all\\nMaintainer: lab <lab@example.org>\\nDescription: nothing\\n' \
                $name $version >$name-$version/DEBIAN/control
            dpkg-deb --build --root-owner-group $name-$version . >/dev/null
        done
    done
    sudo dpkg -i ours-*_1_all.deb >/dev/null
    sudo mkdir -p /srv/archive/old
    sudo cp ours-*_1_all.deb /srv/archive/old/
    for package in ours-*_2_all.deb; do
        dpkg-deb --field $package
        printf 'Filename: ./%s\\nSize: %s\\nSHA256: %s\\n\\n' $package \"$(stat -c %s $package)\" \"$(sha256sum $package | cut -d ' ' -f 1)\"
    done >Packages
    printf 'Origin: Debian\\nLabel: Debian-Security\\nSuite: stable-security\\nVersion: 13\\nDate: %s\\nSHA256:\\n %s %s Packages\\n' \
        \"$(date -Ru | sed 's/+0000/UTC/')\" \"$(sha256sum Packages | cut -d ' ' -f 1)\" \"$(stat -c %s Packages)\" >Release
    sudo cp ours-*_2_all.deb Packages Release /srv/archive/
    echo 'deb [trusted=yes] file:/srv/archive ./' | sudo tee /etc/apt/sources.list.d/archive.list >/dev/null
    sudo apt-get -qq update
    # What the archives have of their own shall not wait.
    sudo DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends unattended-upgrades >/dev/null
    sudo apt-mark hold ours-plain ours-kept >/dev/null
    sudo DEBIAN_FRONTEND=noninteractive apt-get -qq upgrade -y >/dev/null
    sudo apt-mark unhold ours-plain ours-kept >/dev/null";

#[test]
#[ignore = "needs a lab: cargo xtask live hosts"]
fn security_updates_are_told_installed_mended_and_their_settings_go_again() {
    let lab = Lab::of_this_suite();
    let [machine] = lab.machines(["n1"]);
    machine.ssh(ARCHIVE);
    let story = Story {
        hcl: "resource \"host_updates\" \"box\" {
  host        = host.box.connection
  exclude     = [\"ours-*\"]
  reboot_time = \"03:30\"
}
"
        .into(),
        holds: "[ \"$(dpkg-query -W -f '${Version}' ours-plain)\" = 1 ] &&
                [ \"$(apt-config dump | grep -c -e '^APT::Periodic::Unattended-Upgrade \"1\";' -e '^Unattended-Upgrade::Automatic-Reboot-Time \"03:30\";')\" = 2 ]",
        stranger: "sudo sed -i 's/\"1\"/\"0\"/' /etc/apt/apt.conf.d/52dmp-updates",
        drift: "~ host_updates.box",
    };
    lives_alone(&lab, &machine, &story);
    machine.ssh("[ ! -e /etc/apt/apt.conf.d/52dmp-updates ]");

    // What waits is told by the plan, and what is excluded is not; what is installed stays after a destroy.
    let versions =
        || machine.ssh("dpkg-query -W -f '${Package} ${Version}\\n' ours-kept ours-plain");
    let dmp = Dmp::new(&lab);
    let updates = "resource \"host_updates\" \"box\" {
  host    = host.box.connection
  exclude = [\"ours-k*\"]
}
";
    dmp.write("main.hcl", host(&machine) + updates);
    let plan = dmp.run(["plan", "--detailed-exitcode"]).expect_code(2);
    let said = "restarts services of ours-plain";
    assert!(plan.stdout.contains(said), "{}", plan.stdout);
    assert!(!plan.stdout.contains("ours-kept"), "{}", plan.stdout);
    let _ = dmp.run(["apply", "--yes"]).success();
    let _ = dmp.run(["plan", "--detailed-exitcode"]).success();
    assert_eq!(versions(), "ours-kept 1\nours-plain 2\n");

    // An older version is drift like any other.
    machine.ssh(
        "sudo dpkg -i --force-downgrade /srv/archive/old/ours-plain_1_all.deb >/dev/null 2>&1",
    );
    let plan = dmp.run(["plan", "--detailed-exitcode"]).expect_code(2);
    assert!(plan.stdout.contains("ours-plain 1 -> 2"), "{}", plan.stdout);
    let _ = dmp.run(["apply", "--yes"]).success();
    assert_eq!(versions(), "ours-kept 1\nours-plain 2\n");
    let _ = dmp.run(["destroy", "--yes"]).success();
    assert_eq!(versions(), "ours-kept 1\nours-plain 2\n");

    // Settings that are there are taken over by the machine's address; where there are none, nothing is.
    let import = || dmp.run(["import", "host_updates.box", machine.address(), "--yes"]);
    let _ = import().expect_code(1);
    let _ = dmp.run(["apply", "--yes"]).success();
    let _ = dmp.run(["state", "rm", "host_updates.box"]).success();
    let _ = import().success();
    let _ = dmp.run(["plan", "--detailed-exitcode"]).success();
}
