//! The OpenStack of the lab, driven by the real command line: a stack from the network to files in machines, one of which is
//! reached through a floating IP and the other through the first.

#[path = "support/clients.rs"]
mod clients;
#[path = "openstack/others.rs"]
mod others;
mod support;

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use dmp_lab::Written;
use serde_json::{Value as Json, json};
use support::Sandbox;

/// A stack with the lab that its folder has, until the value goes.
pub(crate) struct Served {
    sandbox: Sandbox,
    pub(crate) written: Written,
    process: Child,
    /// The second and third byte of the addresses of this run's networks, so that two runs on one host do not share them.
    block: String,
}

impl Served {
    /// A lab of which nobody else has the addresses.
    pub(crate) fn begin(test: u8, stack: &str) -> Self {
        let block = format!("{}.{}", 50 + test, std::process::id() % 250 + 1);
        let sandbox = Sandbox::stack(&stack.replace("BLOCK", &block));
        let external = json!({ "name": "public", "cidr": format!("127.{block}.128/25") });
        let site = sandbox.path().join("site.json");
        let images = ["debian-13", "debian-12"];
        let told = json!({ "openstack": { "external": external, "images": images } });
        std::fs::write(&site, told.to_string()).expect("writable");
        let site = site.display().to_string();
        let mut process = sandbox
            .command(&["lab", "serve", "--speed", "200", "--site", &site])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("starts");
        let folder = sandbox.stack_folder().join(".dmp/lab");
        let deadline = Instant::now() + Duration::from_secs(20);
        let written = loop {
            if let Ok(written) = Written::read(&folder) {
                break written;
            }
            assert!(process.try_wait().expect("a process").is_none(), "it ended");
            assert!(Instant::now() < deadline, "it does not begin");
            std::thread::sleep(Duration::from_millis(20));
        };
        Self {
            sandbox,
            written,
            process,
            block,
        }
    }

    fn status(&self) -> Json {
        let ran = self.sandbox.run(&["lab", "status", "--json"]);
        serde_json::from_str(&ran.expect_success().out).expect("JSON")
    }

    /// Whether there can be machines here; if not, that is said.
    #[expect(clippy::print_stderr, reason = "a test that was left out says so")]
    fn has_machines(&self) -> bool {
        let status = self.status();
        let Some(reason) = status["no_machines"].as_str() else {
            return true;
        };
        // Nothing that could be installed would help where the kernel refuses.
        eprintln!("SKIPPED: {reason}");
        false
    }

    fn edit(&self, from: &str, to: &str) {
        let path = self.sandbox.stack_folder().join("main.hcl");
        let text = std::fs::read_to_string(&path).expect("it can be read");
        assert!(text.contains(from), "the stack has no `{from}`");
        std::fs::write(path, text.replace(from, to)).expect("it can be written");
    }

    fn output(&self, name: &str) -> String {
        let ran = self.sandbox.run(&["output", "--raw", name]);
        ran.expect_success().out.trim().to_owned()
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        self.sandbox.run(&["lab", "stop"]).expect_success();
        // It ends by itself, and takes its machines along.
        let _ = self.process.wait();
    }
}

const STACK: &str = r#"
variable "openstack_auth_url" { type = string }
variable "openstack_application_credential_id" { type = string }
variable "openstack_application_credential_secret" {
  type      = string
  sensitive = true
}
variable "openstack_region" { type = string }
variable "openstack_ca" { type = string }

provider "openstack" {
  auth_url                      = var.openstack_auth_url
  application_credential_id     = var.openstack_application_credential_id
  application_credential_secret = var.openstack_application_credential_secret
  region                        = var.openstack_region
  ca                            = var.openstack_ca
}

resource "core_ssh_key" "login" {}

data "openstack_image" "debian" {
  name = "debian-13"
}

data "openstack_network" "outside" {
  name = "public"
}

resource "openstack_network" "inside" {
  name = "inside"
}

resource "openstack_subnet" "inside" {
  network_id = openstack_network.inside.id
  cidr       = "127.BLOCK.0/25"
}

resource "openstack_router" "out" {
  name                = "out"
  external_network_id = data.openstack_network.outside.id
}

resource "openstack_router_interface" "inside" {
  router_id = openstack_router.out.id
  subnet_id = openstack_subnet.inside.id
}

resource "openstack_security_group" "ssh" {
  name = "ssh"
}

resource "openstack_security_group_rule" "ssh" {
  security_group_id = openstack_security_group.ssh.id
  direction         = "ingress"
  protocol          = "tcp"
  port_range_min    = 2222
  port_range_max    = 2222
}

resource "openstack_keypair" "me" {
  name       = "me"
  public_key = core_ssh_key.login.public_key
}

resource "openstack_port" "bastion" {
  name               = "bastion"
  network_id         = openstack_network.inside.id
  security_group_ids = [openstack_security_group.ssh.id]
  fixed_ip {
    subnet_id  = openstack_subnet.inside.id
    ip_address = "127.BLOCK.5"
  }
}

resource "openstack_server" "bastion" {
  name     = "bastion"
  flavor   = "small"
  image_id = data.openstack_image.debian.id
  key_name = openstack_keypair.me.name
  network {
    port_id = openstack_port.bastion.id
  }
  cloud_init {
    user     = "debian"
    ssh_keys = [core_ssh_key.login.public_key]
  }
}

resource "openstack_floating_ip" "bastion" {
  network_id = data.openstack_network.outside.id
}

resource "openstack_floating_ip_association" "bastion" {
  floating_ip_id = openstack_floating_ip.bastion.id
  port_id        = openstack_port.bastion.id
  depends_on     = [openstack_router_interface.inside]
}

resource "openstack_volume" "data" {
  name     = "data"
  size_gib = 1
}

resource "openstack_volume_attachment" "data" {
  server_id = openstack_server.bastion.id
  volume_id = openstack_volume.data.id
}

resource "openstack_server" "inner" {
  name     = "inner"
  flavor   = "small"
  image_id = data.openstack_image.debian.id
  network {
    network_id = openstack_network.inside.id
  }
  cloud_init {
    user     = "debian"
    ssh_keys = [core_ssh_key.login.public_key]
  }
  # A network without addresses is none for a server.
  depends_on = [openstack_subnet.inside]
}

resource "host" "bastion" {
  address     = openstack_floating_ip.bastion.address
  port        = 2222
  user        = "debian"
  private_key = core_ssh_key.login.private_key
  host_key    = openstack_server.bastion.host_key
  depends_on  = [openstack_floating_ip_association.bastion]
  lifecycle {
    hosted_on = [openstack_server.bastion.id]
  }
}

resource "host" "inner" {
  address     = openstack_server.inner.address
  port        = 2222
  user        = "debian"
  private_key = core_ssh_key.login.private_key
  host_key    = openstack_server.inner.host_key
  bastion     = host.bastion.connection
}

resource "host_file" "note" {
  for_each = { bastion = host.bastion.connection, inner = host.inner.connection }
  host     = each.value
  path     = "/srv/note"
  content  = "on ${each.key}\n"
}

output "outside" {
  value = openstack_floating_ip.bastion.address
}

output "inner" {
  value = openstack_server.inner.address
}
"#;

/// Whether something lets people in at an address.
fn answers(address: &str) -> bool {
    let Ok(mut stream) = TcpStream::connect((address, 2222)) else {
        return false;
    };
    let wait = Some(Duration::from_secs(5));
    stream.set_read_timeout(wait).expect("can be set");
    // One that is not let in is hung up on.
    let mut hello = [0; 4];
    let _ = stream.write_all(b"SSH-2.0-test\r\n");
    stream.read_exact(&mut hello).is_ok() && hello == *b"SSH-"
}

#[test]
fn a_stack_on_the_lab_is_reached_through_its_floating_ip() {
    let lab = Served::begin(1, STACK);
    if !lab.has_machines() {
        return;
    }
    lab.sandbox.run(&["apply", "--yes"]).expect_success();
    lab.sandbox
        .run(&["plan", "--detailed-exitcode"])
        .expect_success();
    let (outside, inner) = (lab.output("outside"), lab.output("inner"));
    assert!(answers(&outside), "{outside} is reached from the host");
    assert!(!answers(&inner), "{inner} is reached from inside alone");
    assert!(
        !answers(&format!("127.{}.5", lab.block)),
        "the bastion's address inside is as well"
    );

    // Neither the bastion nor what is behind it can be asked then, and the next apply switches it on and looks at both.
    lab.sandbox
        .run(&["lab", "kill", "bastion"])
        .expect_success();
    lab.sandbox
        .run(&["apply", "--yes"])
        .expect_success()
        .shows("openstack_server.bastion   `started`, `status` differ");
    assert!(answers(&outside), "{outside} is reached again");
    lab.sandbox
        .run(&["plan", "--detailed-exitcode"])
        .expect_success();

    lab.edit("size_gib = 1", "size_gib = 2");
    lab.edit("name     = \"inner\"", "name     = \"within\"");
    lab.edit("on ${each.key}", "at ${each.key}");
    lab.sandbox
        .run(&["plan", "--detailed-exitcode"])
        .expect_code(2);
    lab.sandbox.run(&["apply", "--yes"]).expect_success();
    lab.sandbox
        .run(&["plan", "--detailed-exitcode"])
        .expect_success();

    lab.sandbox.run(&["destroy", "--yes"]).expect_success();
    assert!(!answers(&outside));
    let machines = lab.status()["machines"].clone();
    let left = machines.as_array().expect("machines").iter();
    let left: Vec<&Json> = left.filter(|it| it["template"] != true).collect();
    assert!(left.is_empty(), "{left:?}");
}

/// The image of a server by a data source of its own, and what another one does.
const OWN_IMAGE: &str = r#"
data "openstack_image" "own" {
  name = "debian-13"
}
"#;

#[test]
fn another_image_rebuilds_a_server_that_keeps_its_ways_in() {
    let bastion = "image_id = data.openstack_image.debian.id\n  key_name";
    let rebuilt =
        "image_id = data.openstack_image.own.id\n  on_image_change = \"rebuild\"\n  key_name";
    assert!(STACK.contains(bastion));
    let lab = Served::begin(4, &(STACK.replace(bastion, rebuilt) + OWN_IMAGE));
    if !lab.has_machines() {
        return;
    }
    lab.sandbox.run(&["apply", "--yes"]).expect_success();
    let outside = lab.output("outside");
    let note = |host: &str| lab.sandbox.run(&["ssh", host, "--", "cat /srv/note"]);
    note("host.bastion").expect_success().shows("on bastion");

    lab.edit(
        "\"own\" {\n  name = \"debian-13\"",
        "\"own\" {\n  name = \"debian-12\"",
    );
    lab.sandbox
        .run(&["apply", "--yes"])
        .expect_success()
        .shows("~ openstack_server.bastion")
        .shows("LOSES DATA: the local disk of `bastion`")
        .shows("Plan: 0 to create, 1 to change");
    assert_eq!(lab.output("outside"), outside);
    // Nova says that it runs before its system is up.
    let until = Instant::now() + Duration::from_secs(30);
    while !answers(&outside) {
        assert!(Instant::now() < until, "{outside} is reached from the host");
        std::thread::sleep(Duration::from_millis(100));
    }
    // Its host key is the one that was pinned, and its disk is empty.
    note("host.bastion").expect_code(1);
    note("host.inner").expect_success().shows("on inner");
    lab.sandbox
        .run(&["apply", "--yes"])
        .expect_success()
        .shows("+ host_file.note[\"bastion\"]");
    note("host.bastion").expect_success().shows("on bastion");
    lab.sandbox
        .run(&["plan", "--detailed-exitcode"])
        .expect_success();
    lab.sandbox.run(&["destroy", "--yes"]).expect_success();
}
