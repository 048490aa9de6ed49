//! Networks of a whole cluster on Proxmox VE, through the whole program, against the lab: drafted one after the other and
//! applied once, never with the drafts of others, killed at every place.

#[path = "support/cluster.rs"]
mod cluster;
#[path = "support/lab.rs"]
mod lab;
mod support;

use cluster::{killed_at_every_place, stack};
use lab::Lab;

const NETWORKS: &str = r#"
resource "proxmox_sdn_zone" "lab" {
  name = "lab"
  type = "simple"
}
resource "proxmox_sdn_vnet" "net" {
  count = 4
  name  = "lab${count.index}"
  zone  = proxmox_sdn_zone.lab.name
}
resource "proxmox_sdn_subnet" "net" {
  count   = 4
  vnet    = proxmox_sdn_vnet.net[count.index].name
  cidr    = "10.${60 + count.index}.0.0/24"
  gateway = "10.${60 + count.index}.0.1"
}
resource "proxmox_vm" "on" {
  name    = "on"
  started = false
  disk {
    storage  = "local-lvm"
    size_gib = 4
  }
  network {
    bridge = proxmox_sdn_vnet.net[0].name
  }
}
"#;

/// How often the networks were applied.
fn rounds(lab: &Lab) -> usize {
    let tasks = lab.api("GET", "/cluster/tasks", "");
    let tasks = tasks.as_array().expect("a list").iter();
    tasks
        .filter(|task| task["type"] == "reloadnetworkall")
        .count()
}

fn zones(lab: &Lab) -> usize {
    let zones = lab.api("GET", "/cluster/sdn/zones", "");
    zones.as_array().map_or(0, Vec::len)
}

#[test]
fn networks_that_need_each_other_are_applied_once_and_never_with_the_drafts_of_others() {
    let lab = Lab::start();
    lab.api("POST", "/cluster/sdn/zones", "zone=others&type=simple");
    let sandbox = stack(&lab, NETWORKS);
    sandbox
        .run(&["plan"])
        .expect_code(3)
        .says("`/cluster/sdn/zones/others`");
    lab.task("PUT", "/cluster/sdn", "");
    assert_eq!(rounds(&lab), 1, "the one of the other");
    sandbox.run(&["apply", "--yes"]).expect_success();
    assert_eq!(
        rounds(&lab),
        2,
        "zone, networks and subnets are applied once, all together"
    );
    sandbox
        .run(&["plan", "--detailed-exitcode"])
        .expect_success();
    sandbox.run(&["destroy", "--yes"]).expect_success();
    assert!(
        rounds(&lab) <= 4,
        "so they are taken away, and once more what waits for a machine to go"
    );
    assert_eq!(zones(&lab), 1, "that of the other is left");
}

#[test]
fn who_holds_the_lock_of_networks_is_waited_for_by_a_person() {
    let lab = Lab::start();
    let token = lab.api("POST", "/cluster/sdn/lock", "");
    let sandbox = stack(&lab, NETWORKS);
    sandbox
        .run(&["apply", "--yes"])
        .expect_code(3)
        .says("has locked them");
    let token = token.as_str().expect("a token");
    lab.api(
        "DELETE",
        &format!("/cluster/sdn/lock?lock-token={token}"),
        "",
    );
    sandbox.run(&["apply", "--yes"]).expect_success();
    assert_eq!(rounds(&lab), 1);
}

/// Some are drafted, some applied: the next run applies what is left, and takes its own drafts for its own.
#[test]
fn networks_that_are_killed_at_every_place_are_finished() {
    let lab = Lab::start();
    let fewer = NETWORKS
        .replace("count = 4", "count = 2")
        .replace("count   = 4", "count   = 2");
    killed_at_every_place(&lab, &fewer, 10, |sandbox, at| {
        sandbox
            .run(&["plan", "--detailed-exitcode"])
            .expect_success();
        let networks = lab.api("GET", "/cluster/sdn/vnets?running=1", "");
        let networks = networks.as_array().map(Vec::len);
        assert_eq!(networks, Some(2), "killed at {at}");
    });
}
