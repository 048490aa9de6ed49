//! Which way a machine is reached, and by which keys it is known.

use dmp_testkit::Sshd;

use crate::site::Site;
use crate::support::Sandbox;

#[test]
fn only_a_persons_word_drops_the_pin_of_a_machine_that_was_silent() {
    let Some(mut site) = Site::new() else { return };
    site.run(&["apply", "--yes"]).expect_success();
    site.sshd.stop();
    site.run(&["rebuild", "--yes"])
        .expect_code(6)
        .says("dmp rebuild --lost 'host.box'")
        .hides("--lost 'host_file");
    // Another machine takes its place: same address, another key, nothing on it.
    std::fs::remove_dir_all(site.on_machine("")).expect("is there");
    std::fs::create_dir(site.on_machine("")).expect("writable");
    std::fs::remove_file(site.sshd.path("host_key")).expect("is there");
    dmp_testkit::keygen(&site.sshd.path("host_key"), "");
    site.sshd.start_again();
    site.run(&["apply", "--yes"])
        .expect_code(3)
        .says("shows another host key than the pinned one (SHA256:")
        .says(", pinned on 20")
        .says("Z by `dmp apply`, run ");
    // So does a command on it.
    site.run(&["ssh", "host.*", "--", "true"])
        .says("Z by `dmp apply`, run ");
    site.run(&["rebuild", "--yes"])
        .expect_code(6)
        .says("shows another host key than the pinned one");
    assert!(!site.on_machine("motd").exists(), "nothing was done on it");
    site.run(&["rebuild", "--yes", "--lost", "host.box"])
        .expect_success()
        .shows("will be pinned")
        .says("6 of 6 that were lost are back");
    site.check_applied("rebuilt");
    site.run(&["plan", "--detailed-exitcode"])
        .expect_success()
        .shows("Nothing to do");
    site.run(&["state", "verify"])
        .expect_success()
        .shows("6 instances, 0 open intents");
}

/// The module gives for a machine that is there what it gives for one that it makes.
#[test]
fn a_machine_that_exists_is_taken_by_the_module_as_a_new_one_would_be() {
    let Some(sshd) = Sshd::start() else { return };
    let module = concat!(env!("CARGO_MANIFEST_DIR"), "/../../modules/machine");
    let text = format!(
        r#"
module "box" {{
  source   = "{module}"
  name     = "box"
  kind     = "existing"
  address  = "127.0.0.1"
  ssh_port = {port}
  user     = "{user}"
  sudo     = false
  key_file = "{key}"
}}
resource "host_file" "motd" {{
  host    = module.box.connection
  path    = "{root}/motd"
  content = "${{module.box.name}} at ${{module.box.address}}\n"
}}
output "hostname" {{
  value = module.box.hostname
}}
"#,
        port = sshd.port,
        user = dmp_testkit::user(),
        key = sshd.path("user_key").display(),
        root = sshd.path("").display(),
    );
    let sandbox = Sandbox::stack(&text);
    sandbox.run(&["apply", "--yes"]).expect_success();
    let motd = std::fs::read_to_string(sshd.path("motd")).expect("is written");
    assert_eq!(motd, "box at 127.0.0.1\n");
    sandbox
        .run(&["plan", "--detailed-exitcode"])
        .expect_success();
    sandbox.run(&["output", "hostname"]).expect_success();
    // What only a new machine has is not asked for, and what an existing one needs is.
    sandbox.write(
        "main.hcl",
        &text.replace("  address  = \"127.0.0.1\"\n", ""),
    );
    sandbox
        .run(&["plan"])
        .expect_code(1)
        .says("a machine that exists needs its `address`");
}

/// Somebody's own SSH configuration, for the sandbox's home.
fn ssh_config(sandbox: &Sandbox, text: &str) {
    let folder = sandbox.path().join(".ssh");
    std::fs::create_dir_all(&folder).expect("writable");
    std::fs::write(folder.join("config"), text).expect("writable");
}

#[test]
fn a_machine_is_reached_by_what_the_ssh_configuration_calls_it_and_a_change_of_that_is_shown() {
    let (Some(gate), Some(sshd), Some(other)) = (Sshd::start(), Sshd::start(), Sshd::start())
    else {
        return;
    };
    let sandbox =
        Sandbox::stack("resource \"host\" \"box\" {\n  address = \"web\"\n  sudo    = false\n}\n");
    let config = |port: u16, by_gate: bool| {
        let block = |name: &str, sshd: &Sshd, port: u16| {
            format!(
                "Host {name}\n  HostName 127.0.0.1\n  User {}\n  Port {port}\n  IdentityFile {}\n",
                dmp_testkit::user(),
                sshd.path("user_key").display()
            )
        };
        let jump = if by_gate { "  ProxyJump gate\n" } else { "" };
        let web = block("web", &sshd, port) + jump;
        let text = web + &block("gate", &gate, gate.port);
        ssh_config(&sandbox, &text);
    };
    config(sshd.port, true);
    sandbox
        .run(&["plan"])
        .expect_success()
        .shows("the host key of web will be pinned: SHA256:")
        .shows(&format!(
            "by your SSH configuration `web` is {}@127.0.0.1:{} via",
            dmp_testkit::user(),
            sshd.port
        ));
    sandbox.run(&["apply", "--yes"]).expect_success();
    sandbox
        .run(&["plan", "--detailed-exitcode"])
        .expect_success()
        .shows("Nothing to do");
    assert!(
        gate.log().contains("Accepted publickey"),
        "the way leads through the gate"
    );

    // Now the name means another machine, whose key is not the pinned one: the plan tries the new way.
    config(other.port, true);
    for command in [&["plan"][..], &["apply", "--yes"]] {
        sandbox
            .run(command)
            .expect_code(3)
            .says("shows another host key than the pinned one");
    }
    // The same machine, without the gate.
    config(sshd.port, false);
    sandbox
        .run(&["plan", "--detailed-exitcode"])
        .expect_code(2)
        .shows("~ host.box")
        .shows(&format!("@127.0.0.1:{}\n", sshd.port));
    sandbox.run(&["apply", "--yes"]).expect_success();
    sandbox
        .run(&["plan", "--detailed-exitcode"])
        .expect_success()
        .shows("Nothing to do");

    let file = sandbox.path().join(".ssh/config");
    let text = std::fs::read_to_string(&file).expect("is there");
    ssh_config(
        &sandbox,
        &text.replacen('\n', "\n  ProxyCommand nc %h %p\n", 1),
    );
    sandbox
        .run(&["plan"])
        .expect_code(1)
        .says("the way to the machine is a command")
        .says("/.ssh/config:2");
    ssh_config(&sandbox, "Host web\n  Port x\n");
    sandbox
        .run(&["plan"])
        .says("/.ssh/config:2: `x` is no port");
    let none = [("DMP_SSH_CONFIG", "none")];
    sandbox.run_with(&["plan"], &none).hides("is no port");
}

#[test]
fn with_an_authority_nothing_is_pinned_and_a_machine_may_have_another_key_tomorrow() {
    let Some(mut sshd) = Sshd::start() else {
        return;
    };
    let ca = sshd.path("ca");
    dmp_testkit::keygen(&ca, "");
    let sign = |sshd: &Sshd| {
        let made = std::process::Command::new("ssh-keygen")
            .args(["-q", "-h", "-I", "test", "-n", "127.0.0.1", "-s"])
            .arg(&ca)
            .arg(sshd.path("host_key.pub"))
            .status();
        assert!(made.expect("ssh-keygen runs").success());
    };
    sign(&sshd);
    sshd.configure(&format!(
        "HostCertificate {}",
        sshd.path("host_key-cert.pub").display()
    ));
    let public = std::fs::read_to_string(sshd.path("ca.pub")).expect("is there");
    let sandbox = Sandbox::stack(&format!(
        "resource \"host\" \"box\" {{\n  address = \"127.0.0.1\"\n  port = {}\n  user = \"{}\"\n  sudo = false\n  key_file = \"{}\"\n  \
         host_ca = [\"{}\"]\n}}\nresource \"host_file\" \"motd\" {{\n  host = host.box.connection\n  path = \"{}\"\n  content = \"x\"\n}}\n",
        sshd.port,
        dmp_testkit::user(),
        sshd.path("user_key").display(),
        public.trim(),
        sshd.path("motd").display()
    ));
    sandbox
        .run(&["apply", "--yes"])
        .expect_success()
        .hides("will be pinned");
    sandbox
        .run(&["ssh", "host.box", "--", "echo in"])
        .expect_success()
        .shows("in");
    for name in ["host_key", "host_key.pub"] {
        std::fs::remove_file(sshd.path(name)).expect("is there");
    }
    dmp_testkit::keygen(&sshd.path("host_key"), "");
    sign(&sshd);
    sshd.stop();
    sshd.start_again();
    sandbox
        .run(&["plan", "--detailed-exitcode"])
        .expect_success()
        .shows("Nothing to do");
    sandbox
        .run(&["ssh", "host.box", "--", "echo in"])
        .expect_success()
        .shows("in");
    std::fs::remove_file(sshd.path("host_key-cert.pub")).expect("is there");
    sshd.stop();
    sshd.start_again();
    sandbox
        .run(&["plan"])
        .expect_code(3)
        .says("it shows no certificate");
}
