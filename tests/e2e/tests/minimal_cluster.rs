//! The example `minimal-cluster` on each of its grounds, as far as its plan: what it makes there is tried by `cargo xtask live proxmox`.

#[path = "support/example.rs"]
mod example;
mod support;

use example::Example;

/// What it needs to be told of where nothing of a cluster is made.
const SOURCES: &str = r#"
kubernetes_packages = { uri = "http://packages.invalid/", key = "none" }
containerd_packages = { uri = "http://packages.invalid/", key = "none", suite = "trixie" }
web_image           = "none"
workers             = 2
"#;

fn on(kind: &str, addresses: &str) -> Example {
    let values = format!("kind = \"{kind}\"\naddresses = {addresses}\n{SOURCES}");
    Example::of("minimal-cluster", &values)
}

const NEW: &str = r#"["10.20.0.11/24", "10.20.0.12/24", "10.20.0.13/24"]"#;

#[test]
fn machines_that_are_there_are_taken_by_their_addresses() {
    let stack = on("existing", r#"["192.0.2.11", "192.0.2.12", "192.0.2.13"]"#);
    stack.run(&["validate"]).expect_success();
}

#[test]
fn proxmox_makes_its_machines_by_one_variable() {
    let stack = on("proxmox", NEW);
    stack.run(&["validate"]).expect_success();
    stack
        .run(&["--lab", "plan"])
        .expect_success()
        .shows("+ module.node[\"10.20.0.13\"].proxmox_vm.this[0]")
        .shows("+ module.cluster.kubeadm_cluster.this");
}

#[test]
fn openstack_makes_its_machines_by_one_variable_with_their_network_and_a_way_to_each() {
    let stack = on("openstack", NEW);
    stack.run(&["validate"]).expect_success();
    stack
        .run(&["--lab", "plan"])
        .expect_success()
        .shows("+ module.inside[0].openstack_router.this[0]")
        .shows("+ module.node[\"10.20.0.11\"].openstack_security_group_rule.open[\"tcp/6443\"]")
        .shows("+ module.node[\"10.20.0.13\"].openstack_server.this[0]")
        .shows("+ module.node[\"10.20.0.13\"].openstack_floating_ip_association.this[0]")
        .shows("+ module.cluster.module.worker[\"10.20.0.13\"].kubeadm_node.this");
}

#[test]
fn another_ground_is_refused_by_its_name() {
    let stack = on("cloud", NEW);
    stack
        .run(&["plan"])
        .expect_code(1)
        .says("`kind` is `existing`, `proxmox` or `openstack`.");
}
