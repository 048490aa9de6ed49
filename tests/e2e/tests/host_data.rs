//! What is read of a machine and never owned, and what two resources may not both have there; over a real sshd.

mod support;

use dmp_testkit::Sshd;
use support::Sandbox;

/// A machine with a resource `host.box`, and a stack that also has `more`; `ROOT` in it is a folder of the machine.
fn stack(sshd: &Sshd, more: &str) -> String {
    let machine = sshd.machine();
    let host = format!(
        "resource \"host\" \"box\" {{\n  address = \"127.0.0.1\"\n  port = {}\n  user = \"{}\"\n  key_file = \"{}\"\n  sudo = false\n}}\n",
        machine.port,
        machine.user,
        machine.key_file.as_deref().unwrap_or_default()
    );
    let root = sshd.path("root");
    std::fs::create_dir_all(&root).expect("writable");
    host + &more.replace("ROOT", &root.display().to_string())
}

#[test]
fn facts_files_ports_and_what_a_command_says_are_read_in_the_plan() {
    let Some(sshd) = Sshd::start() else { return };
    let sandbox = Sandbox::stack(&stack(
        &sshd,
        r#"
data "host_facts" "box" { host = host.box.connection }
data "host_listening_ports" "box" { host = host.box.connection }
data "host_file_content" "there" {
  host = host.box.connection
  path = "ROOT/link"
}
data "host_file_content" "missing" {
  host     = host.box.connection
  path     = "ROOT/missing"
  optional = true
}
data "host_command_output" "said" {
  host        = host.box.connection
  command     = "echo \"$GREETING\"; cat; exit 3"
  environment = { GREETING = "it's \"me\"" }
  stdin       = "read\n"
  may_fail    = true
}
output "said" { value = data.host_command_output.said.stdout }
output "status" { value = data.host_command_output.said.status }
output "there" { value = "${data.host_file_content.there.content}|${data.host_file_content.there.mode}" }
output "missing" { value = data.host_file_content.missing.content == null }
output "cores" { value = data.host_facts.box.cores == host.box.cores }
output "clock" { value = data.host_facts.box.time.unix > 1700000000 }
output "ports" {
  value = [for p in data.host_listening_ports.box.ports : p.local if p.port == PORT && p.protocol == "tcp"]
}
"#,
    )
    .replace("PORT", &sshd.port.to_string()));
    let file = sshd.path("root/file");
    std::fs::write(&file, "written\n").expect("writable");
    std::os::unix::fs::symlink("file", sshd.path("root/link")).expect("writable");
    sandbox.run(&["apply", "--yes"]).expect_success();
    let said = sandbox.run(&["output", "--json"]).expect_success();
    let outputs: serde_json::Value = serde_json::from_str(&said.out).expect("JSON");
    let value = |name: &str| outputs[name]["value"].clone();
    assert_eq!(value("said"), "it's \"me\"\nread");
    assert_eq!(value("status"), 3);
    assert_eq!(value("there"), "written\n|0644");
    assert_eq!(value("ports"), serde_json::json!([true]));
    for name in ["missing", "cores", "clock"] {
        assert_eq!(value(name), true, "{name}");
    }
}

#[test]
fn a_file_that_must_be_there_and_is_not_is_told_with_what_to_write_instead() {
    let Some(sshd) = Sshd::start() else { return };
    let data = "data \"host_file_content\" \"x\" {\n  host = host.box.connection\n  path = \"ROOT/none\"\n}\n";
    let sandbox = Sandbox::stack(&stack(&sshd, data));
    sandbox
        .run(&["plan"])
        .expect_code(3)
        .says("there is no such file")
        .says("optional = true");
}

#[test]
fn a_file_and_a_directory_at_one_path_are_refused_before_anything_is_touched() {
    let Some(sshd) = Sshd::start() else { return };
    let both = r#"
resource "host_file" "f" {
  host    = host.box.connection
  path    = "ROOT/one"
  content = "x"
}
resource "host_directory" "d" {
  host = host.box.connection
  path = "ROOT/one"
}
"#;
    let sandbox = Sandbox::stack(&stack(&sshd, both));
    sandbox
        .run(&["apply", "--yes"])
        .expect_code(1)
        .says("two resources claim the same thing")
        .says("`host_directory.d` has all of it")
        .says("root/one to one of them");
    assert!(!sshd.path("root/one").exists());
}
