//! Machines on Proxmox VE through the whole program, against the lab: killed at every place, with answers that are lost at
//! every request, beside copies and under ids that are somebody else's.

#[path = "support/cluster.rs"]
mod cluster;
#[path = "support/lab.rs"]
mod lab;
mod support;

use cluster::{killed_at_every_place, only, seeds, stack};
use lab::Lab;
use serde_json::{Value as Json, json};
use support::Sandbox;

const STACK: &str = r#"
resource "proxmox_pool" "web" {
  name = "web"
}
resource "proxmox_vm" "copy" {
  name       = "copy"
  pool       = proxmox_pool.web.name
  cores      = 2
  memory_mib = 1024
  clone {
    template = "debian-13"
  }
  disk {
    slot     = "scsi0"
    size_gib = 6
  }
  network {
    bridge = "vmbr0"
  }
}
resource "proxmox_vm" "blank" {
  name    = "blank"
  started = false
  disk {
    storage  = "local-lvm"
    size_gib = 4
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
"#;

fn names(lab: &Lab) -> Vec<String> {
    let guests = lab.guests();
    let mut names: Vec<String> = guests
        .iter()
        .map(|guest| {
            let path = format!(
                "/nodes/{}/qemu/{}/config",
                guest["node"].as_str().expect("a node"),
                guest["vmid"]
            );
            lab.api("GET", &path, "")["name"]
                .as_str()
                .unwrap_or("nameless")
                .to_owned()
        })
        .collect();
    names.sort();
    names
}

fn is_as_described(lab: &Lab, sandbox: &Sandbox, when: &str) {
    assert_eq!(names(lab), ["blank", "copy"], "{when}");
    assert_eq!(seeds(lab), 1, "{when}");
    let plan = sandbox.run(&["plan", "--detailed-exitcode"]);
    assert_eq!(plan.code, Some(0), "{when}\n{}\n{}", plan.out, plan.err);
}

#[test]
fn machines_live_through_everything_and_leave_nothing_behind() {
    let lab = Lab::start();
    let sandbox = stack(&lab, STACK).applied();
    is_as_described(&lab, &sandbox, "made");
    let changed = STACK
        .replace("cores      = 2", "cores      = 4")
        .replace("size_gib = 6", "size_gib = 8")
        .replace("name    = \"blank\"", "name    = \"empty\"");
    sandbox.write("main.hcl", &format!("{}{changed}", lab.block()));
    sandbox
        .run(&["plan"])
        .expect_success()
        .shows("reboots `copy`")
        .shows("`cores`: takes effect by a reboot");
    sandbox.run(&["apply", "--yes"]).expect_success();
    assert_eq!(names(&lab), ["copy", "empty"]);
    sandbox
        .run(&["plan", "--detailed-exitcode"])
        .expect_success();
    sandbox.run(&["destroy", "--yes"]).expect_success();
    assert_eq!((names(&lab).len(), seeds(&lab)), (0, 0));
    assert_eq!(lab.api("GET", "/pools", ""), json!([]));
}

#[test]
fn killed_at_every_place_nothing_is_made_twice_and_nothing_is_left_over() {
    let lab = Lab::start();
    killed_at_every_place(&lab, STACK, 30, |sandbox, at| {
        is_as_described(&lab, sandbox, &format!("killed at {at}"));
        sandbox.run(&["destroy", "--yes"]).expect_success();
        assert_eq!(
            (names(&lab).len(), seeds(&lab)),
            (0, 0),
            "destroyed after {at}"
        );
    });
}

/// Each write in turn loses its answer, in each way in which an answer can be lost.
#[test]
#[expect(clippy::print_stdout, reason = "how many requests there are")]
fn an_answer_that_is_lost_leaves_one_machine_and_not_two() {
    let lab = Lab::start();
    for kind in ["reset-after", "proxy-timeout", "reset-before"] {
        for after in 0..200 {
            lab.reset();
            let sandbox = stack(&lab, STACK);
            for method in ["POST", "PUT", "DELETE"] {
                lab.fault(&json!({ "kind": kind, "method": method, "times": 1, "after": after, "milliseconds": 50 }));
            }
            let when = format!("{kind} after {after} writes");
            let first = sandbox.run(&["apply", "--yes"]);
            let is_over = lab.own("GET", "/lab/faults", &Json::Null)["calls"]
                .as_array()
                .is_some_and(|left| {
                    left.iter()
                        .filter(|fault| fault["method"] != "DELETE")
                        .count()
                        == 2
                });
            lab.own("DELETE", "/lab/faults", &Json::Null);
            if first.code != Some(0) {
                sandbox.run(&["apply", "--yes"]).expect_success();
            }
            is_as_described(&lab, &sandbox, &when);
            if is_over {
                println!("{kind}: {after} writes");
                break;
            }
        }
    }
}

/// Whatever happens on the way, at last it is as described.
#[test]
fn faults_of_all_kinds_are_lived_through() {
    let lab = Lab::start();
    let kinds = [
        "unavailable",
        "too-many",
        "reset-before",
        "reset-after",
        "lost-lock",
        "server-error",
    ];
    for round in 0..6 {
        lab.reset();
        let sandbox = stack(&lab, STACK);
        // What is drawn goes on where the round before has ended.
        for kind in kinds {
            lab.fault(&json!({ "kind": kind, "percent": 4, "after": round }));
        }
        lab.own("POST", "/lab/faults", &json!({ "task": { "percent": 10 } }));
        let is_done = (0..10).any(|_| sandbox.run(&["apply", "--yes"]).code == Some(0));
        lab.own("DELETE", "/lab/faults", &Json::Null);
        if !is_done {
            sandbox.run(&["apply", "--yes"]).expect_success();
        }
        is_as_described(&lab, &sandbox, &format!("after faults, round {round}"));
        sandbox.run(&["destroy", "--yes"]).expect_success();
        assert_eq!((names(&lab).len(), seeds(&lab)), (0, 0), "round {round}");
    }
}

const ONE: &str = r#"
resource "proxmox_vm" "web" {
  name    = "web"
  started = false
  disk {
    storage  = "local-lvm"
    size_gib = 4
  }
}
"#;

#[test]
fn a_copy_that_somebody_makes_is_never_taken_for_the_original() {
    let lab = Lab::start();
    let sandbox = stack(&lab, ONE).applied();
    let (node, id) = only(&lab);
    lab.task(
        "POST",
        &format!("/nodes/{node}/qemu/{id}/clone"),
        "newid=4000&name=copy&full=1",
    );
    let copied = lab.api("GET", &format!("/nodes/{node}/qemu/4000/config"), "");
    assert!(
        copied["description"]
            .as_str()
            .is_some_and(|text| text.contains("dmp.v1.")),
        "it inherits the mark"
    );
    sandbox
        .run(&["plan", "--detailed-exitcode"])
        .expect_success();
    sandbox.run(&["destroy", "--yes"]).expect_success();
    assert_eq!(names(&lab), ["copy"], "the copy is not dmp's");
}

#[test]
fn an_id_that_has_become_anothers_is_left_alone() {
    let lab = Lab::start();
    let sandbox = stack(&lab, ONE).applied();
    let (node, id) = only(&lab);
    lab.task("DELETE", &format!("/nodes/{node}/qemu/{id}"), "");
    lab.task(
        "POST",
        "/nodes/pve3/qemu",
        &format!("vmid={id}&name=anothers&memory=512"),
    );
    sandbox.run(&["plan"]).expect_success().shows("1 to create");
    sandbox.run(&["destroy", "--yes"]).expect_success();
    assert_eq!(names(&lab), ["anothers"]);
}

#[test]
fn what_is_on_a_node_that_is_down_is_unreachable_and_not_gone() {
    let lab = Lab::start();
    let sandbox = stack(
        &lab,
        &ONE.replace(
            "name    = \"web\"",
            "name    = \"web\"\n  node    = \"pve2\"",
        ),
    )
    .applied();
    lab.own("POST", "/lab/faults", &json!({ "node-down": "pve2" }));
    let plan = sandbox.run(&["plan"]);
    assert_ne!(plan.code, Some(0), "{}", plan.out);
    plan.says("can't be reached").hides("1 to create");
    lab.own("POST", "/lab/faults", &json!({ "node-up": "pve2" }));
    sandbox
        .run(&["plan", "--detailed-exitcode"])
        .expect_success();
}

#[test]
fn what_the_token_may_not_see_is_not_taken_for_gone() {
    let lab = Lab::start();
    let sandbox = stack(&lab, ONE).applied();
    let token = lab.token.split('=').next().expect("an id").to_owned();
    let acl = lab.api("GET", "/access/acl", "");
    for entry in acl.as_array().expect("a list") {
        let (path, role) = (
            entry["path"].as_str().expect("a path"),
            entry["roleid"].as_str().expect("a role"),
        );
        let who = entry["ugid"].as_str().expect("somebody");
        let kind = if entry["type"] == "token" {
            "tokens"
        } else {
            "users"
        };
        if who == token || token.starts_with(who) {
            lab.as_root(
                "PUT",
                "/access/acl",
                &format!("path={path}&roles={role}&{kind}={who}&delete=1"),
            );
        }
    }
    let plan = sandbox.run(&["plan"]);
    plan.hides("1 to create").says("gone is not known");
}

#[test]
fn a_primary_disk_keeps_its_machine_from_being_deleted() {
    let lab = Lab::start();
    let primary = ONE.replace("size_gib = 4", "size_gib = 4\n    primary  = true");
    let sandbox = stack(&lab, &primary).applied();
    sandbox
        .run(&["destroy", "--yes"])
        .expect_code(1)
        .says("refused to delete primary data");
    assert_eq!(names(&lab), ["web"]);
    sandbox.write("main.hcl", &format!("{}{ONE}", lab.block()));
    sandbox.run(&["apply", "--yes"]).expect_success();
    sandbox.run(&["destroy", "--yes"]).expect_success();
    assert_eq!(lab.guests().len(), 0);
}

#[test]
fn a_disk_that_leaves_the_configuration_keeps_its_volume_and_never_shrinks() {
    let lab = Lab::start();
    let two = ONE.replace("started = false", "started = false\n  disk {\n    slot     = \"scsi1\"\n    storage  = \"local-lvm\"\n    size_gib = 2\n  }");
    let sandbox = stack(&lab, &two).applied();
    let (node, id) = only(&lab);
    let config = || lab.api("GET", &format!("/nodes/{node}/qemu/{id}/config"), "");
    assert!(config()["scsi1"].is_string());
    sandbox.write(
        "main.hcl",
        &format!(
            "{}{}",
            lab.block(),
            two.replace("size_gib = 4", "size_gib = 3")
        ),
    );
    sandbox
        .run(&["plan"])
        .expect_code(1)
        .says("a disk can't shrink");
    sandbox.write("main.hcl", &format!("{}{ONE}", lab.block()));
    sandbox
        .run(&["plan"])
        .expect_success()
        .shows("its volume stays");
    sandbox.run(&["apply", "--yes"]).expect_success();
    assert!(
        config()["scsi1"].is_null() && config()["unused0"].is_string(),
        "{}",
        config()
    );
    sandbox
        .run(&["plan", "--detailed-exitcode"])
        .expect_success();
}

#[test]
fn what_can_t_succeed_is_said_in_the_plan() {
    let lab = Lab::start();
    let plan = |text: &str| {
        let ran = stack(&lab, text).run(&["plan"]);
        assert_ne!(ran.code, Some(0), "{}", ran.out);
        ran
    };
    plan(&ONE.replace("local-lvm", "nowhere")).says("`nowhere` is not on");
    plan(&ONE.replace("local-lvm", "local")).says("has not the content type `images`");
    plan(&ONE.replace("started = false", "node    = \"pve9\""))
        .says("`pve9` is not in the cluster");
    plan(&ONE.replace("started = false", "network {\n    bridge = \"vmbr9\"\n  }"))
        .says("no such bridge");
    plan(&ONE.replace("started = false", "memory_mib = 90000000")).says("not enough memory");
    plan(&ONE.replace("started = false", "vmid = 9000")).says("an id is taken");
    lab.own("POST", "/lab/faults", &json!({ "no-quorum": null }));
    plan(ONE).says("has no quorum");
    assert_eq!(lab.guests().len(), 0, "nothing was changed");
}

#[test]
fn a_machine_that_is_there_is_adopted_as_it_is() {
    let lab = Lab::start();
    lab.task("POST", "/nodes/pve2/qemu", "vmid=117&name=old&memory=768&cores=3&scsihw=virtio-scsi-single&scsi0=local-lvm%3A5&net0=virtio%2Cbridge%3Dvmbr0&description=by%20hand&tags=x");
    let text = r#"
import {
  to = proxmox_vm.old
  id = "117"
}
resource "proxmox_vm" "old" {
  name        = "old"
  description = "by hand"
  started     = false
  disk {
    slot     = "scsi0"
    size_gib = 5
  }
  network {
    bridge = "vmbr0"
  }
}
"#;
    let sandbox = stack(&lab, text).applied();
    let config = lab.api("GET", "/nodes/pve2/qemu/117/config", "");
    let description = config["description"].as_str().expect("a text");
    assert!(
        description.starts_with("by hand") && description.contains("dmp.v1."),
        "{description}"
    );
    assert_eq!(
        (config["memory"].to_string(), config["cores"].to_string()),
        ("\"768\"".into(), "3".into())
    );
    sandbox
        .run(&["plan", "--detailed-exitcode"])
        .expect_success();
}

/// One listing, one look at each machine, and what a plan asks of the provider's settings.
#[test]
fn a_plan_without_changes_asks_once_for_all_and_once_for_each() {
    let lab = Lab::start();
    let sandbox = stack(
        &lab,
        &ONE.replace(
            "name    = \"web\"",
            "count   = 8\n  name    = \"web-${count.index}\"",
        ),
    )
    .applied();
    // What was made a moment ago may be listed without its state.
    std::thread::sleep(std::time::Duration::from_secs(1));
    let asked = || {
        lab.own("GET", "/lab/status", &Json::Null)["calls"]
            .as_u64()
            .expect("a number")
    };
    let before = asked();
    sandbox
        .run(&["plan", "--detailed-exitcode"])
        .expect_success();
    assert!(asked() - before <= 9, "{} requests", asked() - before);
}
