//! First boots of machines on Proxmox VE through the whole program, against the lab's own: told a host key and an address, or
//! asked for the one that DHCP gave, reached, killed on the way, gone and made again.

#[path = "support/cluster.rs"]
mod cluster;
#[path = "support/lab.rs"]
mod lab;
mod support;

use cluster::{killed_at_every_place, only, seeds, stack};
use lab::Lab;
use support::Sandbox;

/// A stack with a key to log in by.
fn with_key(lab: &Lab, text: &str) -> Sandbox {
    let sandbox = stack(lab, text);
    let made = std::process::Command::new("ssh-keygen")
        .args(["-q", "-t", "ed25519", "-N", "", "-f"])
        .arg(sandbox.stack_folder().join("id"))
        .status();
    assert!(made.is_ok_and(|status| status.success()), "a key");
    sandbox
}

const TOLD: &str = r#"
resource "proxmox_vm" "web" {
  name     = "web"
  ssh_port = 2222
  clone {
    template = "debian-13"
  }
  network {
    bridge = "vmbr0"
  }
  cloud_init {
    ssh_keys = [file("id.pub")]
    address {
      ipv4 = "ADDRESS/24"
    }
  }
}
resource "host" "web" {
  address  = proxmox_vm.web.address
  port     = proxmox_vm.web.connection.port
  user     = proxmox_vm.web.connection.user
  host_key = proxmox_vm.web.host_key
  key_file = "${path.root}/id"
}
resource "host_file" "hello" {
  host    = host.web.connection
  path    = "/etc/hello"
  content = "made by dmp\n"
}
"#;

/// From nothing to a file in a machine, whose first connection is checked by the key that it was given.
#[test]
fn a_machine_is_told_its_host_key_and_reached_by_it() {
    let lab = Lab::start();
    if !lab.has_machines() {
        return;
    }
    let address = format!(
        "127.{}.{}.10",
        100 + std::process::id() % 100,
        std::process::id() / 100 % 250
    );
    let told = TOLD.replace("ADDRESS", &address);
    let sandbox = with_key(&lab, &told);
    let apply = sandbox.run(&["apply", "--yes"]).expect_success();
    assert!(
        !apply.out.contains("BEGIN OPENSSH"),
        "the private key is nobody's to see"
    );
    assert_eq!(
        seeds(&lab),
        0,
        "the seed image is removed after the first boot"
    );
    let (node, id) = only(&lab);
    let config = lab.api("GET", &format!("/nodes/{node}/qemu/{id}/config"), "");
    assert!(
        config["scsi30"].is_null() && !config.to_string().contains("being made"),
        "{config}"
    );
    sandbox
        .run(&["plan", "--detailed-exitcode"])
        .expect_success();
    // Destroyed behind dmp's back it is made again, with what was in it.
    lab.task("POST", &format!("/nodes/{node}/qemu/{id}/status/stop"), "");
    lab.task("DELETE", &format!("/nodes/{node}/qemu/{id}"), "");
    sandbox.run(&["plan"]).expect_success().shows("3 to create");
    sandbox.run(&["apply", "--yes"]).expect_success();
    sandbox
        .run(&["plan", "--detailed-exitcode"])
        .expect_success();
    sandbox.run(&["destroy", "--yes"]).expect_success();
    assert_eq!((lab.guests().len(), seeds(&lab)), (0, 0));
}

/// Told, booted, and its seed image removed: killed in between, it comes to the same.
#[test]
fn a_first_boot_that_is_killed_at_every_place_is_finished() {
    let lab = Lab::start();
    if !lab.has_machines() {
        return;
    }
    let address = format!(
        "127.{}.{}.20",
        100 + std::process::id() % 100,
        std::process::id() / 100 % 250
    );
    let told = TOLD.replace("ADDRESS", &address);
    let end = told.find("resource \"host\"").expect("a host");
    let told = told[..end].replace("file(\"id.pub\")", "\"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIH0S8mJ5y6n2m2Cq0b4nL0m1C1QF4n7l0pW9v8X5x3aA me@example\"");
    killed_at_every_place(&lab, &told, 10, |sandbox, at| {
        let (node, id) = only(&lab);
        let config = lab.api("GET", &format!("/nodes/{node}/qemu/{id}/config"), "");
        assert!(
            config["scsi30"].is_null() && !config.to_string().contains("being made"),
            "killed at {at}: {config}"
        );
        assert_eq!(seeds(&lab), 0, "killed at {at}");
        sandbox
            .run(&["plan", "--detailed-exitcode"])
            .expect_success();
        sandbox.run(&["destroy", "--yes"]).expect_success();
        assert_eq!(
            (lab.guests().len(), seeds(&lab)),
            (0, 0),
            "destroyed after {at}"
        );
    });
}

/// Nobody knows the address before the machine has it: the guest agent tells it.
#[test]
fn an_address_that_dhcp_gives_is_told_by_the_agent_and_stays() {
    let lab = Lab::start();
    if !lab.has_machines() {
        return;
    }
    let told = TOLD.replace("ADDRESS/24", "dhcp").replace(
        "template = \"debian-13\"\n  }",
        "template = \"debian-13\"\n  }\n  agent = true",
    );
    let sandbox = with_key(&lab, &told);
    sandbox.run(&["apply", "--yes"]).expect_success();
    let (node, id) = only(&lab);
    let path = format!("/nodes/{node}/qemu/{id}/agent/network-get-interfaces");
    let interfaces = lab.api("GET", &path, "");
    let address = &interfaces["result"][1]["ip-addresses"][0]["ip-address"];
    let address = address.as_str().expect("an address");
    assert!(address.starts_with("127.21."), "{address}");
    sandbox
        .run(&["state", "show", "proxmox_vm.web"])
        .expect_success()
        .shows(&format!("\"{address}\""));
    sandbox
        .run(&["plan", "--detailed-exitcode"])
        .expect_success();
    // Started anew it has the same one, and its plan is as empty.
    lab.task("POST", &format!("/nodes/{node}/qemu/{id}/status/stop"), "");
    sandbox.run(&["apply", "--yes"]).expect_success();
    sandbox
        .run(&["plan", "--detailed-exitcode"])
        .expect_success();
    assert_eq!(lab.api("GET", &path, ""), interfaces);
    sandbox.run(&["destroy", "--yes"]).expect_success();
    assert!(lab.guests().is_empty());
}
