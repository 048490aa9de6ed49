//! An older release of Proxmox VE: every request of the provider is one that it knows, by its own published description.

#[path = "support/cluster.rs"]
mod cluster;
#[path = "support/lab.rs"]
mod lab;
mod support;

use cluster::stack;
use lab::Lab;
use serde_json::{Value as Json, json};
use support::Sandbox;

const NETWORKS: &str = r#"
resource "proxmox_sdn_zone" "lab" {
  name   = "lab"
  type   = "vlan"
  bridge = "vmbr0"
}
resource "proxmox_sdn_vnet" "net" {
  name = "net1"
  zone = proxmox_sdn_zone.lab.name
  tag  = 20
}
resource "proxmox_vm" "on" {
  name    = "on"
  started = false
  disk {
    storage  = "local-lvm"
    size_gib = 4
  }
  network {
    bridge = proxmox_sdn_vnet.net.name
  }
}
"#;

const MACHINES: &str = r#"
variable "memory" {
  default = 1024
}
resource "proxmox_pool" "web" {
  name = "web"
}
resource "proxmox_vm" "copy" {
  name       = "copy"
  pool       = proxmox_pool.web.name
  cores      = 2
  memory_mib = var.memory
  tags       = ["web"]
  clone {
    template = "debian-13"
  }
  disk {
    slot     = "scsi0"
    size_gib = var.memory == 1024 ? 6 : 8
    discard  = true
    ssd      = true
  }
  network {
    bridge   = "vmbr0"
    firewall = true
  }
}
resource "proxmox_vm" "blank" {
  name    = "blank"
  bios    = "ovmf"
  machine = "q35"
  started = false
  disk {
    slot     = "scsi0"
    storage  = "local-lvm"
    size_gib = 4
    iothread = true
  }
  cloud_init {
    ssh_keys = ["ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIH0S8mJ5y6n2m2Cq0b4nL0m1C1QF4n7l0pW9v8X5x3aA me@example"]
    address {
      ipv4 = "192.0.2.60/24"
    }
  }
}
resource "proxmox_snapshot" "before" {
  vmid = proxmox_vm.copy.vmid
  name = "before"
}
data "proxmox_version" "this" {}
output "release" {
  value = data.proxmox_version.this.release
}
"#;

#[test]
fn a_stack_lives_on_release_8_as_it_does_on_9() {
    for release in ["8.4", "9.1"] {
        let lab = Lab::of_site(&json!({ "release": release }));
        let sandbox = Sandbox::stack(&format!("{}{NETWORKS}{MACHINES}", lab.block()));
        sandbox.run(&["apply", "--yes"]).expect_success();
        sandbox
            .run(&["output", "release"])
            .expect_success()
            .shows(release);
        live(&sandbox);
        assert!(lab.guests().is_empty(), "on {release}");
        let status = lab.own("GET", "/lab/status", &Json::Null);
        assert_eq!(
            status["not_served"],
            json!({}),
            "on {release} nothing was asked for that is not there"
        );
    }
}

/// Planned again, changed, and destroyed.
fn live(sandbox: &Sandbox) {
    let more = ["--var", "memory=2048"];
    sandbox
        .run(&["plan", "--detailed-exitcode"])
        .expect_success();
    sandbox
        .run(&["apply", "--yes", more[0], more[1]])
        .expect_success();
    sandbox
        .run(&["plan", "--detailed-exitcode", more[0], more[1]])
        .expect_success();
    sandbox
        .run(&["destroy", "--yes", more[0], more[1]])
        .expect_success();
}

/// A token that has what the guide says, and nothing else.
#[test]
fn the_rights_that_the_guide_names_are_enough_on_both_releases() {
    let guide = include_str!("../../../docs/guide/proxmox.md");
    let line = guide
        .lines()
        .find(|line| line.contains("pveum role add dmp --privs"))
        .expect("the guide makes a role");
    let privileges = line.split('"').nth(1).expect("privileges in quotes");
    for (release, agent) in [("8.4", "VM.Monitor"), ("9.1", "VM.GuestAgent.Audit")] {
        let privileges = privileges.replace("VM.GuestAgent.Audit", agent);
        let mut lab = Lab::of_site(&json!({ "release": release }));
        let privileges = privileges.replace(' ', "%2C");
        lab.api(
            "POST",
            "/access/roles",
            &format!("roleid=dmp&privs={privileges}"),
        );
        lab.api("POST", "/access/users", "userid=guide%40pve");
        lab.api("PUT", "/access/acl", "path=%2F&roles=dmp&users=guide%40pve");
        let path = "/access/users/guide%40pve/token/ci";
        let token = lab.api("POST", path, "privsep=0");
        let secret = token["value"].as_str().expect("a secret");
        lab.token = format!("guide@pve!ci={secret}");
        let sandbox = stack(&lab, MACHINES);
        sandbox.run(&["apply", "--yes"]).expect_success();
        live(&sandbox);
    }
}
