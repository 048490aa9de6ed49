//! `dmp ssh`, `dmp facts` and `dmp copy`: what a person does on the machines of a stack.

use std::os::unix::fs::{MetadataExt, PermissionsExt};

use dmp_testkit::Sshd;

use crate::site::{SECRET, Site};
use crate::support::Sandbox;

#[test]
fn dmp_ssh_reaches_an_instance_by_its_recorded_connection_and_ends_with_its_code() {
    let Some(mut site) = Site::new() else { return };
    site.run(&["apply", "--yes"]).expect_success();
    site.run(&["ssh", "host.box", "--", "echo said $((20 + 3)); exit 7"])
        .expect_code(7)
        .shows("said 23");
    site.run(&["ssh", "host.box", "--", "cat >&2; true"])
        .expect_success();
    site.run(&["ssh", "host.other", "--", "true"])
        .expect_code(1)
        .says("machines of this stack: host.box");
    site.run(&["ssh", "host_file.motd", "--", "true"])
        .expect_code(1)
        .says("`host_file.motd` has no usable `connection`");

    // Another machine on the same address is not logged in to.
    site.sshd.stop();
    for name in ["host_key", "host_key.pub"] {
        std::fs::remove_file(site.sshd.path(name)).expect("is there");
    }
    let made = std::process::Command::new("ssh-keygen")
        .args(["-q", "-t", "ed25519", "-N", "", "-f"])
        .arg(site.sshd.path("host_key"))
        .status();
    assert!(made.expect("ssh-keygen runs").success());
    site.sshd.start_again();
    site.run(&["ssh", "host.box", "--", "echo reached"])
        .expect_code(255)
        .hides("reached");
}

#[test]
fn ssh_goes_by_keys_and_pins_of_each_machine_on_the_way_and_leaves_nothing_behind() {
    let (Some(gate), Some(sshd)) = (Sshd::start(), Sshd::start()) else {
        return;
    };
    let host = |name: &str, sshd: &Sshd, more: &str| {
        format!(
            "resource \"host\" \"{name}\" {{\n  address = \"127.0.0.1\"\n  port = {}\n  user = \"{}\"\n  \
             sudo = false\n  {more}\n}}\n",
            sshd.port,
            dmp_testkit::user()
        )
    };
    let text = "variable \"key\" {\n  type      = string\n  sensitive = true\n}\n".to_owned()
        + &host("gate", &gate, "private_key = var.key")
        + &host(
            "box",
            &sshd,
            &format!(
                "key_file = \"{}\"\n  bastion = host.gate.connection",
                sshd.path("user_key").display()
            ),
        );
    let sandbox = Sandbox::stack(&text);
    let key = std::fs::read_to_string(gate.path("user_key")).expect("is there");
    let run = |arguments: &[&str]| {
        let folder = sandbox.path().join("runtime");
        std::fs::create_dir_all(&folder).expect("writable");
        let folder = folder.display().to_string();
        sandbox.run_with(
            arguments,
            &[("DMP_VAR_key", &key), ("XDG_RUNTIME_DIR", &folder)],
        )
    };
    run(&["apply", "--yes"]).expect_success();
    let before = gate.log().matches("Accepted publickey").count();
    run(&["ssh", "host.box", "--", "echo over $SSH_CONNECTION; exit 9"])
        .expect_code(9)
        .shows(&format!(" {}", sshd.port));
    assert_eq!(gate.log().matches("Accepted publickey").count(), before + 1);
    run(&["ssh", "host.gate", "--", "echo in"])
        .expect_success()
        .shows("in");
    let left = std::fs::read_dir(sandbox.path().join("runtime")).expect("is there");
    assert_eq!(left.count(), 0, "the key lay there only as long as ssh ran");

    // Each pin counts by itself.
    let other = Sshd::start().expect("there was one");
    std::fs::copy(other.path("host_key"), gate.path("host_key")).expect("writable");
    let mut gate = gate;
    gate.stop();
    gate.start_again();
    run(&["ssh", "host.box", "--", "echo in"])
        .expect_code(255)
        .hides("in\n");
}

#[test]
fn facts_are_read_now_and_not_recorded() {
    let Some(site) = Site::new() else { return };
    site.run(&["apply", "--yes"]).expect_success();
    let serial = site.run(&["state", "verify"]).expect_success().out;
    let kernel = std::process::Command::new("uname")
        .arg("-r")
        .output()
        .expect("runs");
    let kernel = String::from_utf8_lossy(&kernel.stdout).trim().to_owned();
    site.run(&["facts", "host.box"])
        .expect_success()
        .shows(&format!("kernel = \"{kernel}\""))
        .shows("cores = ");
    let json = site
        .run(&["facts", "host.box", "--json"])
        .expect_success()
        .out;
    let json: serde_json::Value = serde_json::from_str(&json).expect("JSON");
    assert_eq!(json["kernel"], kernel.as_str());
    site.run(&["facts", "host.other"])
        .expect_code(1)
        .says("machines of this stack: host.box");
    assert_eq!(site.run(&["state", "verify"]).expect_success().out, serial);
}

#[test]
fn one_command_runs_on_many_machines_and_each_line_says_where_it_comes_from() {
    let (Some(one), Some(two), Some(down)) = (Sshd::start(), Sshd::start(), Sshd::start()) else {
        return;
    };
    let host = |key: &str, sshd: &Sshd| {
        format!(
            "{key} = {{ port = {}, key = \"{}\" }}\n",
            sshd.port,
            sshd.path("user_key").display()
        )
    };
    let text = format!(
        "locals {{\n  hosts = {{\n{}{}{}  }}\n}}\nresource \"host\" \"node\" {{\n  for_each = local.hosts\n  address = \"127.0.0.1\"\n  \
         port = each.value.port\n  key_file = each.value.key\n  user = \"{}\"\n  sudo = false\n}}\n",
        host("a", &one),
        host("b", &two),
        host("gone", &down),
        dmp_testkit::user()
    );
    let sandbox = Sandbox::stack(&text);
    sandbox.run(&["apply", "--yes"]).expect_success();
    let command =
        "echo out; echo \"port ${SSH_CONNECTION##* }\"; echo err >&2; printf 'no end\\033[1m'";
    let ran = sandbox
        .run(&["ssh", "host.node[\"?\"]", "--", command])
        .expect_success()
        .shows(&format!("host.node[\"a\"] | port {}\n", one.port))
        .shows(&format!("host.node[\"b\"] | port {}\n", two.port))
        .shows("host.node[\"a\"] | no end?[1m\n")
        .says("host.node[\"b\"] | err\n");
    assert_eq!(ran.out.matches("| out\n").count(), 2);

    sandbox
        .run(&[
            "ssh",
            "--all",
            "--parallelism",
            "1",
            "--",
            &format!("test \"${{SSH_CONNECTION##* }}\" = {}", one.port),
        ])
        .expect_code(3)
        .says("host.node[\"b\"] ended with 1\n")
        .says("2 of 3 machines failed")
        .hides("host.node[\"a\"] ended");
    drop(down);
    let ran = sandbox
        .run(&[
            "ssh",
            "--layer",
            "machine",
            "--json",
            "--",
            "printf '1\\n2\\n'; printf oops >&2; exit 4",
        ])
        .expect_code(3);
    let machines: Vec<serde_json::Value> = ran
        .out
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect();
    assert_eq!(machines.len(), 3, "one object for each: {}", ran.out);
    let of = |name: &str| {
        let address = format!("host.node[\"{name}\"]");
        let mut found = machines.iter().filter(|one| one["address"] == address);
        found.next().cloned().expect("is there")
    };
    let whole = serde_json::json!({
        "address": "host.node[\"a\"]", "status": 4, "stdout": "1\n2\n", "stderr": "oops",
    });
    assert_eq!(of("a"), whole);
    let gone = of("gone");
    assert!(
        gone["error"].is_string() && gone["status"].is_null(),
        "{gone}"
    );
    assert_eq!((&gone["stdout"], &gone["stderr"]), (&"".into(), &"".into()));
    // One machine is told of in the same way.
    let one = sandbox.run(&["ssh", "host.node[\"a\"]", "--json", "--", "echo one"]);
    let one = one.expect_success().out.clone();
    let one: serde_json::Value = serde_json::from_str(&one).expect("JSON");
    assert_eq!(one["stdout"], "one\n");

    sandbox
        .run(&["ssh", "host.other[*]", "--", "true"])
        .expect_code(1)
        .says("no machine fits");
    sandbox
        .run(&["ssh", "--all"])
        .expect_code(1)
        .says("no command for many machines");
    sandbox
        .run(&["ssh", "--layer", "floor", "--", "true"])
        .expect_code(1)
        .says("the layers are");
}

#[test]
fn copies_are_whole_verified_and_gone_on_with() {
    let Some(site) = Site::new() else { return };
    site.run(&["apply", "--yes"]).expect_success();
    let content: Vec<u8> = (0..=255).cycle().take(3_000_000).collect();
    let local = site.sandbox.path().join("big");
    std::fs::write(&local, &content).expect("writable");
    let local = local.display().to_string();
    let there = site.on_machine("copied file's name");
    let to = format!("host.box:{}", there.display());
    site.run(&["copy", &local, &to, "--mode", "0640"])
        .expect_success()
        .says("host.box: 3000000 bytes\n");
    assert!(std::fs::read(&there).expect("is there") == content);
    let mode = std::fs::metadata(&there)
        .expect("is there")
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o640);

    // Only root gives files away.
    let (me, root) = (
        dmp_testkit::user(),
        std::fs::metadata("/proc/self").expect("is there").uid() == 0,
    );
    let owner = if root { "nobody" } else { &me };
    site.run(&["copy", &local, &to, "--owner", owner])
        .expect_success();
    let owned = std::process::Command::new("stat")
        .args(["-c", "%U"])
        .arg(&there)
        .output()
        .expect("runs");
    assert_eq!(String::from_utf8_lossy(&owned.stdout).trim(), owner);
    let wrong = site.on_machine("of nobody here");
    let nobodys = format!("host.box:{}", wrong.display());
    site.run(&["copy", &local, &nobodys, "--owner", "no-such-user"])
        .expect_code(3)
        .says("no-such-user");
    assert!(
        !wrong.exists(),
        "it is whole, owned and in its place, or not there"
    );

    // An earlier attempt was cut off: what is there is kept if it is the beginning of this file, and only then.
    let other: Vec<u8> = content.iter().map(|byte| byte.wrapping_add(1)).collect();
    std::fs::write(&local, &other).expect("writable");
    let sum = std::process::Command::new("sha256sum")
        .arg(&local)
        .output()
        .expect("runs");
    let sum = String::from_utf8_lossy(&sum.stdout)[..16].to_owned();
    let part = there.with_file_name(format!(".copied file's name.{sum}.dmp-part"));
    for (begun, expected) in [
        (
            &other[..1_000_000],
            "host.box: 3000000 bytes, 1000000 of them were there from before\n",
        ),
        (&content[..1_000_000], "host.box: 3000000 bytes\n"),
    ] {
        std::fs::write(&there, "before").expect("writable");
        std::fs::write(&part, begun).expect("writable");
        site.run(&["copy", &local, &to])
            .expect_success()
            .says(expected);
        assert!(std::fs::read(&there).expect("is there") == other);
        assert!(!part.exists());
    }

    let folder = site.on_machine("folder");
    std::fs::create_dir(&folder).expect("writable");
    site.run(&["copy", &local, &format!("host.box:{}", folder.display())])
        .expect_code(3)
        .says("is a folder");
    site.run(&["copy", &local, &format!("host.*:{}/", folder.display())])
        .expect_success();
    assert!(std::fs::read(folder.join("big")).expect("is there") == other);
    site.run(&["copy", &local, "host.box:/no/such/folder/x"])
        .expect_code(3)
        .says("there is no folder `/no/such/folder`");
    site.run(&["copy", &local, "host.box:relative"])
        .expect_code(1)
        .says("begins with `/`");
    site.run(&["copy", &local, &local])
        .expect_code(1)
        .says("as `ADDRESS:/path`");

    // And back.
    let back = site.sandbox.path().join("back");
    let to_here = back.display().to_string();
    site.run(&["copy", &to, &to_here]).expect_success();
    assert!(std::fs::read(&back).expect("is there") == other);
    std::fs::write(
        back.with_file_name(format!(".back.{sum}.dmp-part")),
        &other[..2_000_000],
    )
    .expect("writable");
    site.run(&["copy", &to, &to_here])
        .expect_success()
        .says("2000000 of them were there from before");
    assert!(std::fs::read(&back).expect("is there") == other);
    site.run(&["copy", "host.box:/no/such/file", &to_here])
        .expect_code(3)
        .says("there is no file");
    assert!(
        std::fs::read(&back).expect("is there") == other,
        "what was here is here still"
    );
}

#[test]
fn ctrl_c_ends_the_command_on_every_machine() {
    let Some(site) = Site::new() else { return };
    site.run(&["apply", "--yes"]).expect_success();
    let pid = site.on_machine("pid");
    let command = format!("echo $$ >{}; exec sleep 300", pid.display());
    let mut child = site
        .sandbox
        .command(&["ssh", "--all", "--", &command])
        .env("DMP_VAR_password", SECRET)
        .spawn()
        .expect("starts");
    let until = std::time::Instant::now() + std::time::Duration::from_secs(20);
    let read = || {
        std::fs::read_to_string(&pid)
            .ok()?
            .trim()
            .parse::<u32>()
            .ok()
    };
    let remote = loop {
        if let Some(pid) = read() {
            break pid;
        }
        assert!(
            std::time::Instant::now() < until,
            "the command does not begin"
        );
        std::thread::sleep(std::time::Duration::from_millis(20));
    };
    dmp_testkit::kill(child.id(), "INT");
    assert_eq!(child.wait().expect("ends").code(), Some(130));
    while dmp_testkit::is_alive(remote) {
        assert!(std::time::Instant::now() < until, "it goes on there");
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
}
