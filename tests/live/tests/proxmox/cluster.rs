//! From empty ground to an answering pod in one apply: machines from the API, their systems, a cluster on them.

use dmp_live::Dmp;

use super::openstack::{self, example};
use super::served::{GATEWAY, Served, at};

/// The example as a user would take it, on machines that its own apply makes of Proxmox VE, with what else it is told.
fn stack(served: &Served, more: &str) -> Dmp {
    let dmp = example(served, "minimal-cluster");
    let written = served.written();
    let ca = written["ca_file"].as_str().expect("a file");
    dmp.write(
        "site.auto.hcl",
        format!(
            "kind                     = \"proxmox\"\n\
             addresses                = [\"{}/24\", \"{}/24\", \"{}/24\"]\n\
             workers                  = 2\n\
             proxmox_endpoints        = {}\n\
             proxmox_api_token        = {}\n\
             proxmox_ca               = <<-EOC\n{}EOC\n\
             site                     = {{ gateway = \"{GATEWAY}\" }}\n{more}",
            at(51),
            at(52),
            at(53),
            written["endpoints"],
            written["token"],
            std::fs::read_to_string(ca).expect("it can be read"),
        ),
    );
    dmp
}

/// The addresses of the machines on OpenStack, inside.
const INSIDE: [&str; 3] = ["10.20.0.11", "10.20.0.12", "10.20.0.13"];

/// The same with machines of OpenStack.
fn on_openstack(served: &Served, more: &str) -> Dmp {
    let dmp = example(served, "minimal-cluster");
    let [first, second, third] = INSIDE;
    dmp.write(
        "site.auto.hcl",
        format!(
            "kind      = \"openstack\"\naddresses = [\"{first}/24\", \"{second}/24\", \"{third}/24\"]\n\
             workers   = 2\n{}{more}",
            openstack::login(served)
        ),
    );
    dmp
}

fn web_answers(served: &Served, url: &str) {
    assert!(served.lab.get(url).is_some(), "nobody answers at {url}");
}

/// Where the web service is on Proxmox VE.
fn url() -> String {
    format!("http://{}:30080/", at(51))
}

fn plan_is_empty(dmp: &Dmp) {
    let plan = dmp.run(["plan", "--detailed-exitcode"]).success();
    assert!(plan.stdout.contains("Nothing to do"), "{}", plan.stdout);
}

fn vmid_of(served: &Served, name: &str) -> u64 {
    served.machine(name)["vmid"].as_u64().expect("it is there")
}

/// Destroys a guest as an administrator does with the cluster's own interface.
fn destroy_behind_its_back(served: &Served, name: &str) {
    let vmid = vmid_of(served, name);
    let guests = served.data("GET", "/cluster/resources?type=vm", &[]);
    let guests = guests.as_array().expect("guests");
    let node = guests
        .iter()
        .find(|guest| guest["vmid"] == vmid)
        .and_then(|guest| guest["node"].as_str())
        .expect("it is there");
    let path = format!("/nodes/{node}/qemu/{vmid}");
    served.done("POST", &format!("{path}/status/stop"), &[]);
    served.done("DELETE", &path, &[]);
}

/// What the example needs to be told of where nothing of a cluster is made.
const NO_CLUSTER: &str = r#"
kubernetes_packages = { uri = "http://packages.invalid/", key = "none" }
containerd_packages = { uri = "http://packages.invalid/", key = "none", suite = "trixie" }
web_image           = "none"
"#;

#[test]
#[ignore = "needs a lab: cargo xtask live proxmox"]
fn a_machine_that_is_destroyed_is_made_again_with_what_was_on_it() {
    let served = Served::begin();
    let dmp = stack(&served, NO_CLUSTER);
    let words = ["apply", "--yes", "--target", "host_file.motd"];
    let applied = dmp.run(words).success();
    println!(
        "three machines from nothing, with a file on each: {:.1} s",
        applied.time.as_secs_f64()
    );
    let motd = |number: u8| {
        let host = format!("module.node[{:?}].host.this", at(number));
        let ran = dmp.run(["ssh", &host, "--", "cat /etc/motd; hostname"]);
        ran.success().stdout
    };
    assert!(motd(52).contains("belongs to the stack") && motd(52).ends_with("worker-1\n"));

    destroy_behind_its_back(&served, "worker-1");
    let again = dmp.run(words).success();
    assert!(
        again.stderr.contains("Done: 3 changed"),
        "{}{}",
        again.stdout,
        again.stderr
    );
    assert!(motd(52).contains("belongs to the stack") && motd(52).ends_with("worker-1\n"));
    let words = ["plan", "--detailed-exitcode", "--target", "host_file.motd"];
    let plan = dmp.run(words).success();
    assert!(plan.stdout.contains("Nothing to do"), "{}", plan.stdout);
    let _ = dmp.run(["destroy", "--yes"]).success();
    assert!(served.machine("worker-1").is_null());
}

/// What tells a node from another one of its name, as its control plane knows it.
fn uid_of_worker(dmp: &Dmp, control_plane: &str) -> String {
    let host = format!("module.node[{control_plane:?}].host.this");
    let words = "sudo kubectl --kubeconfig /etc/kubernetes/admin.conf --cache-dir /run/kubectl get node worker-1 -o jsonpath={.metadata.uid}";
    dmp.run(["ssh", &host, "--", words]).success().stdout
}

#[test]
#[ignore = "needs a lab: cargo xtask live proxmox"]
fn a_server_that_is_deleted_is_made_again_with_what_was_on_it() {
    let served = openstack::begin(&["debian-13"]);
    let dmp = on_openstack(&served, NO_CLUSTER);
    let words = ["apply", "--yes", "--target", "host_file.motd"];
    let applied = dmp.run(words).success();
    println!(
        "three servers from nothing, with a file on each: {:.1} s",
        applied.time.as_secs_f64()
    );
    let motd = || {
        let host = format!("module.node[{:?}].host.this", INSIDE[1]);
        let ran = dmp.run(["ssh", &host, "--", "cat /etc/motd; hostname"]);
        ran.success().stdout
    };
    assert!(motd().contains("belongs to the stack") && motd().ends_with("worker-1\n"));
    served.delete_server("worker-1");
    let _ = dmp.run(words).success();
    assert!(motd().contains("belongs to the stack") && motd().ends_with("worker-1\n"));
    let words = ["plan", "--detailed-exitcode", "--target", "host_file.motd"];
    let plan = dmp.run(words).success();
    assert!(plan.stdout.contains("Nothing to do"), "{}", plan.stdout);
    let _ = dmp.run(["destroy", "--yes"]).success();
    assert!(served.server("worker-1").is_null());
}

#[test]
#[ignore = "needs a lab: cargo xtask live proxmox"]
fn from_empty_ground_on_openstack_to_an_answering_pod_and_a_lost_server_comes_back() {
    let served = openstack::begin(&["debian-13"]);
    let dmp = on_openstack(&served, &served.lab.cluster_values());
    let applied = dmp.run(["apply", "--yes"]).success();
    println!(
        "apply from empty ground, on OpenStack: {:.1} s",
        applied.time.as_secs_f64()
    );
    let url = dmp.run(["output", "--raw", "url"]).success().stdout;
    web_answers(&served, url.trim());
    plan_is_empty(&dmp);

    let old = uid_of_worker(&dmp, INSIDE[0]);
    served.delete_server("worker-1");
    let rebuilt = dmp.run(["rebuild", "--yes"]).success();
    println!(
        "rebuild of a deleted worker: {:.1} s",
        rebuilt.time.as_secs_f64()
    );
    assert_eq!(served.server("worker-1")["status"], "ACTIVE");
    assert_ne!(uid_of_worker(&dmp, INSIDE[0]), old, "it is another node");
    web_answers(&served, url.trim());
    plan_is_empty(&dmp);
    let _ = dmp.run(["destroy", "--yes"]).success();
    assert!(served.server("worker-1").is_null() && served.server("control-plane").is_null());
}

#[test]
#[ignore = "needs a lab: cargo xtask live proxmox"]
fn from_empty_ground_to_an_answering_pod_and_a_lost_machine_comes_back() {
    let served = Served::begin();
    let dmp = stack(&served, &served.lab.cluster_values());

    let applied = dmp.run(["apply", "--yes"]).success();
    println!(
        "apply from empty ground: {:.1} s",
        applied.time.as_secs_f64()
    );
    web_answers(&served, &url());
    plan_is_empty(&dmp);

    destroy_behind_its_back(&served, "worker-1");
    let uid = || uid_of_worker(&dmp, &at(51));
    let old = uid();

    let rebuilt = dmp.run(["rebuild", "--yes"]).success();
    println!(
        "rebuild of a destroyed worker: {:.1} s",
        rebuilt.time.as_secs_f64()
    );
    assert!(served.machine("worker-1")["running"] == true);
    assert_ne!(uid(), old, "it is another node");
    web_answers(&served, &url());
    plan_is_empty(&dmp);

    let _ = dmp.run(["destroy", "--yes"]).success();
    assert!(served.machine("worker-1").is_null() && served.machine("control-plane").is_null());
}
