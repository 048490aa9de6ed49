//! The contract's clauses over the types of the provider `proxmox`, against the lab.

#[path = "support/lab.rs"]
mod lab;

use std::sync::Arc;

use dmp_provider_proxmox::ProxmoxProvider;
use dmp_sdk::testing::conformance::{Case, Stranger, check};
use dmp_sdk::{Configured, Machines, Provider, Resource, Value};
use lab::Lab;
use serde_json::json;

fn resource(name: &str) -> Arc<dyn Resource> {
    let resources = ProxmoxProvider::new().resources();
    let found = resources
        .into_iter()
        .find(|resource| resource.schema().name.as_ref() == name);
    found.expect("is offered")
}

fn wire(lab: &Lab) -> Arc<dyn Configured> {
    let machines: Arc<dyn Machines> = Arc::new(dmp_testkit::ssh());
    let configured = ProxmoxProvider::new().configure(&lab.configuration(), machines);
    configured.expect("it is usable")
}

fn object<const N: usize>(members: [(&str, Value); N]) -> Value {
    Value::object_of(members)
}

fn list<const N: usize>(items: [Value; N]) -> Value {
    Value::list(items.into())
}

/// How a type is tried: what is there before, what is wanted, a change of it, and what a stranger does.
struct Tried {
    resource_type: &'static str,
    test: &'static str,
    prepare: fn(&Lab),
    config: Value,
    changed: Option<Value>,
    outside: fn(&Lab, Stranger),
    census: Option<fn(&Lab) -> usize>,
    can_be_altered: bool,
    can_be_deleted: bool,
}

async fn keeps_the_contract(tried: Tried) {
    let lab = Arc::new(Lab::start());
    let make_with = |faults: bool| {
        lab.reset();
        (tried.prepare)(&lab);
        let outside = tried.outside;
        let there = Arc::clone(&lab);
        let mut case = Case::new(
            resource(tried.resource_type),
            wire(&lab),
            tried.config.clone(),
            move |stranger| outside(&there, stranger),
        );
        case.changed = tried.changed.clone();
        case.can_be_altered = tried.can_be_altered;
        case.can_be_deleted = tried.can_be_deleted;
        if let Some(census) = tried.census {
            let there = Arc::clone(&lab);
            case = case.counted(move || census(&there));
        }
        if faults {
            fail_in_passing(&lab);
        }
        case
    };
    let report = check(|| make_with(false)).await;
    report
        .judge(tried.test)
        .unwrap_or_else(|why| panic!("{why}\n{report}"));
    let report = check(|| make_with(true)).await;
    assert!(report.broken().is_empty(), "with faults\n{report}");
}

/// Lets calls fail in ways that a client bears: too busy, a lock that is not to be had, and what takes its time.
fn fail_in_passing(lab: &Lab) {
    lab.fault(&json!({ "kind": "unavailable", "percent": 1 }));
    lab.fault(&json!({ "kind": "too-many", "percent": 1, "times": 3 }));
    for method in ["POST", "PUT", "DELETE"] {
        lab.fault(&json!({ "kind": "lost-lock", "method": method, "percent": 1 }));
    }
    lab.fault(&json!({ "kind": "latency", "percent": 3, "milliseconds": 20 }));
}

fn only(lab: &Lab) -> (String, String) {
    let guests = lab.guests();
    let [guest] = guests.as_slice() else {
        panic!("there is one guest: {guests:?}")
    };
    let node = guest["node"].as_str().expect("a node").to_owned();
    let path = format!("/nodes/{node}/qemu/{}", guest["vmid"]);
    (node, path)
}

fn stranger_at_machine(lab: &Lab, stranger: Stranger) {
    let (_, path) = only(lab);
    match stranger {
        Stranger::Alters => {
            lab.api("PUT", &format!("{path}/config"), "name=altered&cores=3");
        }
        Stranger::Deletes => {
            lab.task("POST", &format!("{path}/status/stop"), "");
            lab.task("DELETE", &format!("{path}?purge=1"), "");
        }
    }
}

fn machine() -> Value {
    let disk = object([
        ("storage", "local-lvm".into()),
        ("size_gib", 4.into()),
        ("discard", true.into()),
    ]);
    let network = object([("bridge", "vmbr0".into()), ("vlan", 7.into())]);
    object([
        ("name", "web".into()),
        ("cores", 1.into()),
        ("memory_mib", 512.into()),
        ("description", "a web server".into()),
        ("tags", Value::set(vec!["a".into(), "web".into()])),
        ("group", "web".into()),
        ("disk", list([disk])),
        ("network", list([network])),
        ("start_at_boot", true.into()),
    ])
}

fn changed_machine(machine: &Value) -> Value {
    let disk = object([("size_gib", 6.into()), ("slot", "scsi0".into())]);
    let second = object([
        ("slot", "scsi1".into()),
        ("storage", "local-lvm".into()),
        ("size_gib", 2.into()),
    ]);
    let network = object([("bridge", "vmbr1".into()), ("firewall", true.into())]);
    machine
        .with("name", "web-2".into())
        .with("cores", 2.into())
        .with("memory_mib", 1024.into())
        .with("description", Value::null())
        .with("tags", Value::set(vec!["b".into()]))
        .with("disk", list([disk, second]))
        .with("network", list([network]))
        .with("start_at_boot", false.into())
}

#[tokio::test]
async fn proxmox_vm_keeps_the_contract() {
    let config = machine();
    keeps_the_contract(Tried {
        resource_type: "proxmox_vm",
        test: "proxmox_vm_keeps_the_contract",
        prepare: |_| {},
        changed: Some(changed_machine(&config)),
        config,
        outside: stranger_at_machine,
        census: Some(|lab| lab.guests().len()),
        can_be_altered: true,
        can_be_deleted: true,
    })
    .await;
}

#[tokio::test]
async fn proxmox_vm_keeps_the_contract_as_a_clone() {
    let config = machine()
        .with("clone", object([("template", "debian-13".into())]))
        .with(
            "disk",
            list([object([("slot", "scsi0".into()), ("size_gib", 5.into())])]),
        );
    keeps_the_contract(Tried {
        resource_type: "proxmox_vm",
        test: "proxmox_vm_keeps_the_contract_as_a_clone",
        prepare: |_| {},
        changed: Some(config.with("cores", 2.into()).with("node", "pve3".into())),
        config,
        outside: stranger_at_machine,
        census: Some(|lab| lab.guests().len()),
        can_be_altered: true,
        can_be_deleted: true,
    })
    .await;
}

fn told(host_key: bool) -> Value {
    let address = object([
        ("ipv4", "192.0.2.50/24".into()),
        ("gateway4", "192.0.2.1".into()),
    ]);
    object([
        ("user", "debian".into()),
        ("ssh_keys", list(["ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIH0S8mJ5y6n2m2Cq0b4nL0m1C1QF4n7l0pW9v8X5x3aA me@example".into()])),
        ("address", list([address])),
        ("nameservers", list(["192.0.2.53".into()])),
        ("host_key", host_key.into()),
    ])
}

/// By Proxmox' own drive.
#[tokio::test]
async fn proxmox_vm_keeps_the_contract_with_cloud_init() {
    let config = machine().with("cloud_init", told(false));
    let changed = told(false).with("user", "admin".into());
    keeps_the_contract(Tried {
        resource_type: "proxmox_vm",
        test: "proxmox_vm_keeps_the_contract_with_cloud_init",
        prepare: |_| {},
        changed: Some(config.with("cloud_init", changed)),
        config: config.with("started", false.into()),
        outside: stranger_at_machine,
        census: Some(|lab| lab.guests().len()),
        can_be_altered: true,
        can_be_deleted: true,
    })
    .await;
}

/// By a seed image, which is not to be left behind.
#[tokio::test]
async fn proxmox_vm_keeps_the_contract_with_a_seed_image() {
    let config = machine()
        .with("cloud_init", told(true))
        .with("user_data", "#cloud-config\npackages: [sec-ret]\n".into())
        .with("started", false.into());
    keeps_the_contract(Tried {
        resource_type: "proxmox_vm",
        test: "proxmox_vm_keeps_the_contract_with_a_seed_image",
        prepare: |_| {},
        changed: Some(config.with("name", "other".into()).with("cores", 2.into())),
        config,
        outside: stranger_at_machine,
        census: Some(|lab| {
            let content = lab.api("GET", "/nodes/pve1/storage/local/content?content=iso", "");
            let seeds = content.as_array().expect("a list").iter();
            let seeds = seeds.filter(|item| item["volid"].to_string().contains("dmp-seed"));
            // A seed image without its machine would be one too many.
            lab.guests().len().max(seeds.count())
        }),
        can_be_altered: true,
        can_be_deleted: true,
    })
    .await;
}

fn pool() -> Value {
    object([
        ("name", "web".into()),
        ("comment", "what faces the world".into()),
        ("storages", Value::set(vec!["shared".into()])),
    ])
}

fn stranger_at_pool(lab: &Lab, stranger: Stranger) {
    match stranger {
        Stranger::Alters => drop(lab.api("PUT", "/pools", "poolid=web&comment=other")),
        Stranger::Deletes => {
            lab.api("PUT", "/pools", "poolid=web&storage=shared&delete=1");
            lab.api("DELETE", "/pools?poolid=web", "");
        }
    }
}

async fn try_pool(test: &'static str, prepare: fn(&Lab)) {
    keeps_the_contract(Tried {
        resource_type: "proxmox_pool",
        test,
        prepare,
        config: pool(),
        changed: Some(
            pool()
                .with("comment", Value::null())
                .with("storages", Value::set(vec!["local-lvm".into()])),
        ),
        outside: stranger_at_pool,
        census: None,
        can_be_altered: true,
        can_be_deleted: true,
    })
    .await;
}

#[tokio::test]
async fn proxmox_pool_keeps_the_contract() {
    try_pool("proxmox_pool_keeps_the_contract", |_| {}).await;
}

#[tokio::test]
async fn proxmox_pool_keeps_the_contract_where_one_was() {
    try_pool("proxmox_pool_keeps_the_contract_where_one_was", |lab| {
        lab.api("POST", "/pools", "poolid=web&comment=before");
    })
    .await;
}

const GUEST: &str = "/nodes/pve2/qemu/500";

fn with_machine(lab: &Lab) {
    lab.task("POST", "/nodes/pve2/qemu", "vmid=500&name=there&memory=512&scsihw=virtio-scsi-single&scsi0=local-lvm%3A1&net0=virtio%2Cbridge%3Dvmbr0");
}

#[tokio::test]
async fn proxmox_snapshot_keeps_the_contract() {
    let config = object([
        ("vmid", 500.into()),
        ("name", "before".into()),
        ("description", "as it was".into()),
    ]);
    keeps_the_contract(Tried {
        resource_type: "proxmox_snapshot",
        test: "proxmox_snapshot_keeps_the_contract",
        prepare: with_machine,
        changed: Some(config.with("description", "as it was then".into())),
        config,
        outside: |lab, stranger| match stranger {
            Stranger::Alters => {
                let path = format!("{GUEST}/snapshot/before/config");
                let all = lab.api("GET", &format!("{GUEST}/snapshot"), "");
                let mut all = all.as_array().expect("a list").iter();
                let before = all
                    .find(|one| one["name"] == "before")
                    .expect("it is there");
                let mark = before["description"]
                    .as_str()
                    .expect("a text")
                    .lines()
                    .last()
                    .expect("a mark");
                lab.api("PUT", &path, &format!("description=other%0A%0A{mark}"));
            }
            Stranger::Deletes => lab.task("DELETE", &format!("{GUEST}/snapshot/before"), ""),
        },
        census: Some(|lab| {
            let all = lab.api("GET", &format!("{GUEST}/snapshot"), "");
            all.as_array().expect("a list").len() - 1
        }),
        can_be_altered: true,
        can_be_deleted: true,
    })
    .await;
}

#[tokio::test]
async fn proxmox_image_keeps_the_contract() {
    let folder = tempfile::tempdir().expect("a folder");
    let source = folder.path().join("small.raw");
    std::fs::write(&source, vec![7; 100_000]).expect("writes");
    let config = object([
        ("storage", "local".into()),
        ("node", "pve2".into()),
        ("content", "iso".into()),
        ("file_name", "small.iso".into()),
        ("source", source.display().to_string().into()),
    ]);
    keeps_the_contract(Tried {
        resource_type: "proxmox_image",
        test: "proxmox_image_keeps_the_contract",
        prepare: |_| {},
        config,
        changed: None,
        outside: |lab, _| {
            let path = "/nodes/pve2/storage/local/content";
            lab.api("DELETE", &format!("{path}/local%3Aiso%2Fsmall.iso"), "");
            let has_it = || {
                let content = lab.api("GET", path, "");
                content.to_string().contains("small.iso")
            };
            for _ in 0..100 {
                if !has_it() {
                    return;
                }
                std::thread::sleep(std::time::Duration::from_millis(50));
            }
            panic!("the file does not go");
        },
        census: None,
        can_be_altered: false,
        can_be_deleted: true,
    })
    .await;
}

fn applied(lab: &Lab) {
    lab.task("PUT", "/cluster/sdn", "");
}

#[tokio::test]
async fn proxmox_sdn_zone_keeps_the_contract() {
    let config = object([
        ("name", "z1".into()),
        ("type", "vlan".into()),
        ("bridge", "vmbr0".into()),
        ("mtu", 1400.into()),
    ]);
    keeps_the_contract(Tried {
        resource_type: "proxmox_sdn_zone",
        test: "proxmox_sdn_zone_keeps_the_contract",
        prepare: |_| {},
        changed: Some(
            config
                .with("mtu", Value::null())
                .with("bridge", "vmbr1".into()),
        ),
        config,
        outside: |lab, stranger| {
            match stranger {
                Stranger::Alters => lab.api("PUT", "/cluster/sdn/zones/z1", "mtu=1300"),
                Stranger::Deletes => lab.api("DELETE", "/cluster/sdn/zones/z1", ""),
            };
            applied(lab);
        },
        census: None,
        can_be_altered: true,
        can_be_deleted: true,
    })
    .await;
}

fn with_zone(lab: &Lab) {
    lab.api(
        "POST",
        "/cluster/sdn/zones",
        "zone=z1&type=vlan&bridge=vmbr0",
    );
    applied(lab);
}

async fn try_vnet(test: &'static str, prepare: fn(&Lab)) {
    let config = object([
        ("name", "lab1".into()),
        ("zone", "z1".into()),
        ("tag", 20.into()),
        ("alias", "machines".into()),
    ]);
    keeps_the_contract(Tried {
        resource_type: "proxmox_sdn_vnet",
        test,
        prepare,
        changed: Some(
            config
                .with("tag", 21.into())
                .with("alias", Value::null())
                .with("vlan_aware", true.into()),
        ),
        config,
        outside: |lab, stranger| {
            match stranger {
                Stranger::Alters => lab.api("PUT", "/cluster/sdn/vnets/lab1", "tag=30"),
                Stranger::Deletes => lab.api("DELETE", "/cluster/sdn/vnets/lab1", ""),
            };
            applied(lab);
        },
        census: None,
        can_be_altered: true,
        can_be_deleted: true,
    })
    .await;
}

#[tokio::test]
async fn proxmox_sdn_vnet_keeps_the_contract() {
    try_vnet("proxmox_sdn_vnet_keeps_the_contract", with_zone).await;
}

#[tokio::test]
async fn proxmox_sdn_vnet_keeps_the_contract_where_one_was() {
    try_vnet("proxmox_sdn_vnet_keeps_the_contract_where_one_was", |lab| {
        with_zone(lab);
        lab.api("POST", "/cluster/sdn/vnets", "vnet=lab1&zone=z1&tag=7");
        applied(lab);
    })
    .await;
}

#[tokio::test]
async fn proxmox_sdn_subnet_keeps_the_contract() {
    let config = object([
        ("vnet", "lab1".into()),
        ("cidr", "10.61.0.0/24".into()),
        ("gateway", "10.61.0.1".into()),
    ]);
    keeps_the_contract(Tried {
        resource_type: "proxmox_sdn_subnet",
        test: "proxmox_sdn_subnet_keeps_the_contract",
        prepare: |lab| {
            lab.api("POST", "/cluster/sdn/zones", "zone=z1&type=simple");
            lab.api("POST", "/cluster/sdn/vnets", "vnet=lab1&zone=z1");
            applied(lab);
        },
        changed: Some(
            config
                .with("gateway", "10.61.0.254".into())
                .with("snat", true.into()),
        ),
        config,
        outside: |lab, stranger| {
            let path = "/cluster/sdn/vnets/lab1/subnets/z1-10.61.0.0-24";
            match stranger {
                Stranger::Alters => lab.api("PUT", path, "gateway=10.61.0.9"),
                Stranger::Deletes => lab.api("DELETE", path, ""),
            };
            applied(lab);
        },
        census: None,
        can_be_altered: true,
        can_be_deleted: true,
    })
    .await;
}

fn rule<const N: usize>(members: [(&str, Value); N]) -> Value {
    let rule = object([("direction", "in".into()), ("action", "ACCEPT".into())]);
    members
        .into_iter()
        .fold(rule, |rule, (name, value)| rule.with(name, value))
}

fn some_rules() -> Value {
    list([
        rule([("macro", "SSH".into()), ("source", "192.0.2.0/24".into())]),
        rule([
            ("proto", "tcp".into()),
            ("dport", "80,443".into()),
            ("comment", "web".into()),
        ]),
    ])
}

fn other_rules() -> Value {
    list([
        rule([("proto", "tcp".into()), ("dport", "443".into())]),
        rule([("macro", "SSH".into()), ("enabled", false.into())]),
        rule([("action", "DROP".into())]),
    ])
}

async fn try_group(test: &'static str, prepare: fn(&Lab)) {
    let config = object([("name", "web".into()), ("rule", some_rules())]);
    keeps_the_contract(Tried {
        resource_type: "proxmox_firewall_group",
        test,
        prepare,
        changed: Some(config.with("rule", other_rules())),
        config,
        outside: |lab, stranger| {
            let path = "/cluster/firewall/groups/web";
            match stranger {
                Stranger::Alters => drop(lab.api("POST", path, "type=in&action=DROP&enable=1")),
                Stranger::Deletes => {
                    lab.api("DELETE", &format!("{path}/1"), "");
                    lab.api("DELETE", &format!("{path}/0"), "");
                    lab.api("DELETE", path, "");
                }
            }
        },
        census: None,
        can_be_altered: true,
        can_be_deleted: true,
    })
    .await;
}

#[tokio::test]
async fn proxmox_firewall_group_keeps_the_contract() {
    try_group("proxmox_firewall_group_keeps_the_contract", |_| {}).await;
}

#[tokio::test]
async fn proxmox_firewall_group_keeps_the_contract_where_one_was() {
    try_group(
        "proxmox_firewall_group_keeps_the_contract_where_one_was",
        |lab| {
            lab.api("POST", "/cluster/firewall/groups", "group=web");
            let path = "/cluster/firewall/groups/web";
            lab.api(
                "POST",
                path,
                "type=in&action=ACCEPT&proto=tcp&dport=22&enable=1",
            );
            lab.api("POST", path, "type=out&action=DROP&enable=0");
        },
    )
    .await;
}

#[tokio::test]
async fn proxmox_firewall_ipset_keeps_the_contract() {
    let addresses = |texts: &[&str]| Value::set(texts.iter().map(|&text| text.into()).collect());
    let config = object([
        ("name", "admins".into()),
        (
            "addresses",
            addresses(&["192.0.2.0/24", "!192.0.2.7", "2001:db8::/64"]),
        ),
    ]);
    keeps_the_contract(Tried {
        resource_type: "proxmox_firewall_ipset",
        test: "proxmox_firewall_ipset_keeps_the_contract",
        prepare: |_| {},
        changed: Some(config.with("addresses", addresses(&["192.0.2.0/24", "198.51.100.1"]))),
        config,
        outside: |lab, stranger| {
            let path = "/cluster/firewall/ipset/admins";
            match stranger {
                Stranger::Alters => lab.api("POST", path, "cidr=203.0.113.0%2F24"),
                Stranger::Deletes => lab.api("DELETE", &format!("{path}?force=1"), ""),
            };
        },
        census: None,
        can_be_altered: true,
        can_be_deleted: true,
    })
    .await;
}

/// Rules of others are there before, and stay.
#[tokio::test]
async fn proxmox_vm_firewall_keeps_the_contract() {
    let config = object([
        ("vmid", 500.into()),
        ("enabled", true.into()),
        ("policy_in", "DROP".into()),
        ("rule", some_rules()),
    ]);
    keeps_the_contract(Tried {
        resource_type: "proxmox_vm_firewall",
        test: "proxmox_vm_firewall_keeps_the_contract",
        prepare: |lab| {
            with_machine(lab);
            lab.api(
                "POST",
                &format!("{GUEST}/firewall/rules"),
                "type=in&action=ACCEPT&comment=by%20hand&enable=1",
            );
            lab.api(
                "PUT",
                &format!("{GUEST}/firewall/options"),
                "policy_in=REJECT",
            );
        },
        changed: Some(
            config
                .with("rule", other_rules())
                .with("policy_in", "ACCEPT".into()),
        ),
        config,
        outside: |lab, _| {
            lab.api("PUT", &format!("{GUEST}/firewall/options"), "enable=0");
        },
        census: None,
        can_be_altered: true,
        can_be_deleted: false,
    })
    .await;
}

#[tokio::test]
async fn proxmox_cluster_firewall_keeps_the_contract() {
    let config = object([
        ("cluster", "lab".into()),
        ("policy_out", "ACCEPT".into()),
        ("rule", some_rules()),
    ]);
    keeps_the_contract(Tried {
        resource_type: "proxmox_cluster_firewall",
        test: "proxmox_cluster_firewall_keeps_the_contract",
        prepare: |_| {},
        changed: Some(
            config
                .with("rule", other_rules())
                .with("policy_in", "DROP".into()),
        ),
        config,
        outside: |lab, _| {
            lab.api("PUT", "/cluster/firewall/options", "policy_out=REJECT");
        },
        census: None,
        can_be_altered: true,
        can_be_deleted: false,
    })
    .await;
}
