//! Users, names, mounts and reboots with the real binary: what an administrator would do by hand, and undo.

use std::process::Stdio;
use std::time::Duration;

use dmp_live::{Dmp, Lab};

use crate::alone::{Story, host, lives_alone, may_stay};

#[test]
#[ignore = "needs a lab: cargo xtask live hosts"]
fn a_user_comes_is_mended_and_goes_with_its_home() {
    let lab = Lab::of_this_suite();
    let [machine] = lab.machines(["n1"]);
    let story = Story {
        hcl: "resource \"host_user\" \"alice\" {
  host        = host.box.connection
  name        = \"alice\"
  groups      = [\"adm\", \"www-data\"]
  shell       = \"/bin/bash\"
  remove_home = true
}
"
        .into(),
        holds: "[ \"$(id -Gn alice 2>/dev/null | tr ' ' '\\n' | sort | tr '\\n' ' ')\" = 'adm alice www-data ' ] && [ -d /home/alice ]",
        stranger: "sudo gpasswd -d alice adm >/dev/null",
        drift: "~ host_user.alice",
    };
    lives_alone(&lab, &machine, &story);
}

#[test]
#[ignore = "needs a lab: cargo xtask live hosts"]
fn a_new_user_with_its_group_and_its_key_logs_in() {
    let lab = Lab::of_this_suite();
    let [machine] = lab.machines(["n1"]);
    let before = machine.snapshot();
    let dmp = Dmp::new(&lab);
    let key = std::fs::read_to_string(machine.key().with_extension("pub")).expect("is there");
    let stack = |exclusive: &str| {
        let key = key.trim();
        format!(
            "{}resource \"host_group\" \"team\" {{
  host = host.box.connection
  name = \"team\"
}}

resource \"host_user\" \"alice\" {{
  host        = host.box.connection
  name        = \"alice\"
  groups      = [host_group.team.name]
  remove_home = true
}}

resource \"host_authorized_keys\" \"alice\" {{
  host      = host.box.connection
  user      = host_user.alice.name
  keys      = [\"{key}\"]
  exclusive = {exclusive}
}}
",
            host(&machine)
        )
    };
    dmp.write("main.hcl", stack("false"));
    let _ = dmp.run(["apply", "--yes"]).success();
    let _ = dmp.run(["plan", "--detailed-exitcode"]).success();
    let found = machine.ssh(
        "id -Gn alice; sudo stat -c '%U:%G %a' /home/alice/.ssh /home/alice/.ssh/authorized_keys
         sudo passwd -S alice | cut -d ' ' -f 2",
    );
    assert_eq!(found, "alice team\nalice:alice 700\nalice:alice 600\nL\n");
    assert_eq!(machine.ssh_as("alice", "id -un"), "alice\n");

    dmp.write("main.hcl", stack("true"));
    let _ = dmp.run(["apply", "--yes"]).success();
    assert_eq!(machine.ssh_as("alice", "id -un"), "alice\n");

    // What goes with the user is told, and who has just logged out does not keep it.
    dmp.write("main.hcl", host(&machine));
    let plan = dmp.run(["plan", "--detailed-exitcode"]).expect_code(2);
    let said = plan.stdout + &plan.stderr;
    assert!(
        said.contains("`/home/alice` goes with all that is in it"),
        "{said}"
    );
    let _ = dmp.run(["destroy", "--yes"]).success();
    let differences = before
        .without(may_stay)
        .differences(&machine.snapshot().without(may_stay));
    assert_eq!(differences, [""; 0], "left on the machine");
}

#[test]
#[ignore = "needs a lab: cargo xtask live hosts"]
fn a_name_is_given_mended_and_given_back() {
    let lab = Lab::of_this_suite();
    let [machine] = lab.machines(["n1"]);
    let story = Story {
        hcl: "resource \"host_hostname\" \"box\" {
  host = host.box.connection
  name = \"renamed\"
  fqdn = \"renamed.example.org\"
}
"
        .into(),
        holds: "[ \"$(uname -n) $(cat /etc/hostname)\" = 'renamed renamed' ] && grep -qx '127.0.1.1 renamed.example.org renamed' /etc/hosts",
        stranger: "sudo hostname stranger",
        drift: "~ host_hostname.box",
    };
    lives_alone(&lab, &machine, &story);
    assert_eq!(machine.ssh("uname -n"), "n1\n");
}

#[test]
#[ignore = "needs a lab: cargo xtask live hosts"]
fn a_place_is_mounted_mended_and_unmounted() {
    let lab = Lab::of_this_suite();
    let [machine] = lab.machines(["n1"]);
    let story = Story {
        hcl: "resource \"host_mount\" \"apt\" {
  host    = host.box.connection
  path    = \"/srv/of/apt\"
  device  = \"/etc/apt\"
  type    = \"none\"
  options = \"bind,nofail\"
}
"
        .into(),
        holds: "[ -e /srv/of/apt/sources.list ] && grep -qx '/etc/apt /srv/of/apt none bind,nofail 0 0' /etc/fstab",
        stranger: "sudo umount /srv/of/apt",
        drift: "~ host_mount.apt",
    };
    lives_alone(&lab, &machine, &story);
}

#[test]
#[ignore = "needs a lab: cargo xtask live hosts"]
fn a_place_that_is_in_use_stays_mounted_and_its_user_is_named() {
    let lab = Lab::of_this_suite();
    let [machine] = lab.machines(["n1"]);
    let dmp = Dmp::new(&lab);
    let stack = "resource \"host_mount\" \"memory\" {
  host    = host.box.connection
  path    = \"/srv/memory\"
  device  = \"tmpfs\"
  type    = \"tmpfs\"
  options = \"size=1m\"
}
";
    dmp.write("main.hcl", format!("{}{stack}", host(&machine)));
    let _ = dmp.run(["apply", "--yes"]).success();
    // It is still there after a boot, by its line alone.
    machine.reboot();
    let _ = dmp.run(["plan", "--detailed-exitcode"]).success();
    machine.ssh(
        "cd /srv/memory && (setsid sleep 600 >/dev/null 2>&1 </dev/null & echo $! >/tmp/sleeper)",
    );

    let refused = dmp.run(["destroy", "--yes"]).expect_code(3);
    assert!(
        refused.stderr.contains("(sleep) uses it")
            && refused.stderr.contains("/srv/memory stays mounted"),
        "{}",
        refused.stderr
    );
    machine.ssh("grep -q ' /srv/memory ' /proc/mounts && pkill -x sleep");
    let _ = dmp.run(["destroy", "--yes"]).success();
    machine.ssh("! grep -q ' /srv/memory ' /proc/mounts && ! grep -q memory /etc/fstab && [ ! -e /srv/memory ]");
}

#[test]
#[ignore = "needs a lab: cargo xtask live hosts"]
fn a_machine_is_rebooted_when_it_has_to_be_and_the_run_goes_on_when_it_is_back() {
    let lab = Lab::of_this_suite();
    let [machine] = lab.machines(["n1"]);
    let dmp = Dmp::new(&lab);
    let stack = |kernel: &str| {
        format!(
            "{}resource \"host_reboot\" \"box\" {{
  host     = host.box.connection
  triggers = {{ kernel = \"{kernel}\" }}
}}

resource \"host_command\" \"after\" {{
  host    = host.box.connection
  create  = \"cat /proc/sys/kernel/random/boot_id >/var/tmp/ours-{kernel}\"
  check   = \"[ -s /var/tmp/ours-{kernel} ]\"
  destroy = \"rm -f /var/tmp/ours-{kernel}\"

  depends_on = [host_reboot.box]
}}
",
            host(&machine)
        )
    };
    let boot = machine.boot_id();
    dmp.write("main.hcl", stack("one"));
    let _ = dmp.run(["apply", "--yes"]).success();
    assert_eq!(machine.boot_id(), boot, "the first triggers reboot nothing");

    // What becomes ready while the machine is away waits until it is back.
    let aside = "resource \"core_sleep\" \"while\" {
  for_each        = toset([\"300ms\", \"1s\", \"1500ms\", \"2s\"])
  create_duration = each.value
}

resource \"host_file\" \"aside\" {
  for_each = core_sleep.while
  host     = host.box.connection
  path     = \"/var/tmp/ours-${each.key}\"
  content  = \"${each.value.id}\"
}
";
    dmp.write("main.hcl", stack("two") + aside);
    let plan = dmp.run(["plan", "--detailed-exitcode"]).expect_code(2);
    assert!(plan.stdout.contains("reboots "), "{}", plan.stdout);
    let _ = dmp.run(["apply", "--yes"]).success();
    let second = machine.boot_id();
    assert_ne!(second, boot);
    assert_eq!(
        machine.ssh("cat /var/tmp/ours-two").trim(),
        second,
        "what depends on it comes after"
    );
    let _ = dmp.run(["plan", "--detailed-exitcode"]).success();

    machine.ssh("sudo touch /run/reboot-required; echo linux-image-ours | sudo tee /run/reboot-required.pkgs >/dev/null");
    let plan = dmp.run(["plan", "--detailed-exitcode"]).expect_code(2);
    assert!(
        plan.stdout
            .contains("packages ask for it: linux-image-ours"),
        "{}",
        plan.stdout
    );
    let _ = dmp.run(["apply", "--yes"]).success();
    assert_ne!(machine.boot_id(), second);
    let _ = dmp.run(["plan", "--detailed-exitcode"]).success();
    let _ = dmp.run(["destroy", "--yes"]).success();
}

#[test]
#[ignore = "needs a lab: cargo xtask live hosts"]
fn killed_while_a_machine_is_away_the_next_run_reboots_it_no_second_time() {
    let lab = Lab::of_this_suite();
    let [machine] = lab.machines(["n1"]);
    let dmp = Dmp::new(&lab);
    let stack = |kernel: &str| {
        format!(
            "{}resource \"host_reboot\" \"box\" {{
  host     = host.box.connection
  triggers = {{ kernel = \"{kernel}\" }}
}}
",
            host(&machine)
        )
    };
    dmp.write("main.hcl", stack("one"));
    let _ = dmp.run(["apply", "--yes"]).success();
    let first = machine.boot_id();
    let boot = || {
        let output = machine.try_ssh("cat /proc/sys/kernel/random/boot_id");
        let id = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        output.status.success().then_some(id)
    };

    dmp.write("main.hcl", stack("two"));
    let mut run = dmp
        .command()
        .args(["apply", "--yes"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("dmp starts");
    while boot().is_some_and(|id| id == first) {
        std::thread::sleep(Duration::from_millis(20));
    }
    run.kill().expect("it can be killed");
    let killed = run.wait().expect("it ends");
    assert_eq!(killed.code(), None, "it lived until it was killed");
    let second = loop {
        match boot() {
            Some(id) if id != first => break id,
            _ => std::thread::sleep(Duration::from_millis(100)),
        }
    };

    let _ = dmp.run(["apply", "--yes"]).success();
    assert_eq!(machine.boot_id(), second, "once is enough");
    let _ = dmp.run(["plan", "--detailed-exitcode"]).success();
    let verified = dmp.run(["state", "verify"]).success();
    assert!(
        verified.stdout.contains("2 instances, 0 open intents"),
        "{}",
        verified.stdout
    );
}
