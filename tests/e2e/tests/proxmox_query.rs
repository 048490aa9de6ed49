//! What is there already on Proxmox VE, found by a condition and taken over by the blocks that are written for it.

#[path = "support/lab.rs"]
mod lab;
mod support;

use lab::Lab;
use serde_json::Value as Json;
use support::Sandbox;

/// A machine that somebody has made by hand.
fn stranger(lab: &Lab, id: u32, name: &str, tags: &str) {
    let disk = "scsi0=local-lvm:4&scsihw=virtio-scsi-single&net0=virtio,bridge=vmbr0";
    lab.task(
        "POST",
        "/nodes/pve1/qemu",
        &format!("vmid={id}&name={name}&tags={tags}&memory=512&{disk}"),
    );
}

fn lab() -> Lab {
    let lab = Lab::start();
    stranger(&lab, 501, "web-1", "web");
    stranger(&lab, 502, "web-1", "web%3Bold");
    stranger(&lab, 503, "db", "db");
    lab
}

fn described(lab: &Lab, id: u32) -> String {
    let config = lab.api("GET", &format!("/nodes/pve1/qemu/{id}/config"), "");
    config["description"]
        .as_str()
        .unwrap_or_default()
        .to_owned()
}

#[test]
fn machines_that_meet_a_condition_are_taken_over_by_the_blocks_that_are_written() {
    let lab = lab();
    let sandbox = Sandbox::stack(&lab.block());
    let all = sandbox.run(&["query", "proxmox_vm"]).expect_success();
    for id in ["501", "502", "503"] {
        assert!(all.out.contains(id), "{}", all.out);
    }
    sandbox
        .run(&[
            "query",
            "proxmox_vm",
            "--where",
            "contains(each.value.tags, \"web\")",
            "--out",
            "web.hcl",
        ])
        .expect_success()
        .says("blocks for 2 of 2 objects");
    let text = std::fs::read_to_string(sandbox.stack_folder().join("web.hcl")).expect("a file");
    assert!(
        text.contains("proxmox_vm.web-1\n") && text.contains("proxmox_vm.web-1_502\n"),
        "{text}"
    );
    sandbox.run(&["plan"]).expect_success().shows("2 to import");
    sandbox.run(&["apply", "--yes"]).expect_success();
    assert!(described(&lab, 501).contains("dmp.v1."));
    assert!(described(&lab, 503).is_empty(), "nobody asked for it");
    sandbox
        .run(&["plan", "--detailed-exitcode"])
        .expect_success();
    let told = sandbox
        .run(&["query", "proxmox_vm", "--json"])
        .expect_success();
    let told: Json = serde_json::from_str(&told.out).expect("JSON");
    let address = |id: &str| {
        let found = told.as_array().into_iter().flatten();
        let found = found.clone().find(|it| it["id"] == id);
        found.map(|it| it["address"].clone()).expect("is listed")
    };
    assert_eq!(address("501"), "proxmox_vm.web-1");
    assert_eq!(address("503"), Json::Null);
    // What the state has is not written again.
    sandbox
        .run(&[
            "query",
            "proxmox_vm",
            "--where",
            "each.value.name == \"web-1\"",
            "--out",
            "again.hcl",
        ])
        .expect_success()
        .says("Nothing is written");
}

#[test]
fn what_is_no_condition_or_no_listed_type_is_told_with_what_would_be() {
    let lab = lab();
    let sandbox = Sandbox::stack(&lab.block());
    sandbox
        .run(&["query", "proxmox_pool"])
        .expect_code(1)
        .says("`openstack_zone`, `proxmox_vm`");
    sandbox
        .run(&["query", "proxmox_vm", "--where", "each.value.name"])
        .expect_code(1)
        .says("`--where` is no condition");
    sandbox
        .run(&["query", "proxmox_vm", "--where", "each.value."])
        .expect_code(1);
    sandbox
        .run(&[
            "query",
            "proxmox_vm",
            "--where",
            "each.value.name == \"nobody\"",
        ])
        .expect_success()
        .shows("Nothing was found");
}
