//! The contract's clauses for the types that need root on a real machine: apt, systemd, kernel settings and modules.
//! The suite speaks with the machine from inside the lab's network: each test runs a second time there.

use std::sync::Arc;

use dmp_live::{Lab, Machine};
use dmp_provider_host::HostProvider;
use dmp_sdk::testing::conformance::{Case, Stranger, check};
use dmp_sdk::{Machines, Provider, Resource, Value};
use dmp_transport::{Options, Ssh};

/// What a type is tried with.
struct Tried {
    test: &'static str,
    resource_type: &'static str,
    /// A script that puts the machine into the state in which each case begins.
    prepare: &'static str,
    config: fn(&Machine) -> Value,
    change: fn(&Value) -> Value,
    /// Scripts of a stranger; without the first there is always something.
    deletes: Option<&'static str>,
    alters: &'static str,
}

fn keeps_the_contract(tried: &Tried) {
    let lab = Lab::of_this_suite();
    match lab.from_outside() {
        Some(machine) => try_all(tried, &Arc::new(machine)),
        None => {
            let [machine] = lab.machines(["n1"]);
            machine.ssh("sudo apt-get -qq update");
            lab.run_inside(&format!("contract::{}", tried.test), &machine);
        }
    }
}

fn try_all(tried: &Tried, machine: &Arc<Machine>) {
    let ssh = Ssh::new(Options::new());
    let connection = dmp_sdk::Machine {
        address: machine.address().into(),
        port: 22,
        user: machine.user().into(),
        key_file: Some(machine.key().display().to_string()),
        private_key: None,
        host_keys: vec![machine.host_key()],
        sudo: true,
        ..dmp_sdk::Machine::default()
    };
    let make = || {
        machine.ssh(tried.prepare);
        let config = (tried.config)(machine).with("host", connection.to_value());
        let changed = (tried.change)(&config);
        let (there, deletes, alters) = (Arc::clone(machine), tried.deletes, tried.alters);
        let outside = move |stranger| {
            there.ssh(match stranger {
                Stranger::Deletes => deletes.unwrap_or(":"),
                Stranger::Alters => alters,
            });
        };
        let sealed =
            HostProvider::new().with_ssh_config(dmp_transport::ssh_config::SshConfig::none());
        let machines: Arc<dyn Machines> = Arc::new(ssh.clone());
        let provider = sealed
            .configure(&Value::null(), machines)
            .expect("no configuration");
        let mut case = Case::new(resource(tried.resource_type), provider, config, outside)
            .on(Arc::new(ssh.clone()) as Arc<dyn Machines>)
            .changing(changed);
        case.can_be_deleted = tried.deletes.is_some();
        case
    };
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let report = runtime.block_on(check(make));
    println!("{report}");
    report
        .judge(tried.test)
        .unwrap_or_else(|why| panic!("{why}"));
}

fn resource(name: &str) -> Arc<dyn Resource> {
    let resources = HostProvider::new().resources();
    let found = resources
        .into_iter()
        .find(|resource| resource.schema().name.as_ref() == name);
    found.expect("is offered")
}

fn texts(texts: &[&str]) -> Value {
    Value::list(texts.iter().map(|text| Value::from(*text)).collect())
}

fn map(members: &[(&str, &str)]) -> Value {
    let member = |(name, text): &(&str, &str)| ((*name).into(), Value::from(*text));
    Value::map(members.iter().map(member).collect())
}

#[test]
#[ignore = "needs a lab: cargo xtask live hosts"]
fn host_package_keeps_the_contract() {
    keeps_the_contract(&Tried {
        test: "host_package_keeps_the_contract",
        resource_type: "host_package",
        prepare: "sudo apt-mark -qq unhold hello tree >/dev/null; sudo apt-get -qq purge hello tree >/dev/null",
        config: |_| Value::object_of([("names", texts(&["hello", "tree"])), ("hold", true.into())]),
        change: |config| config.with("names", texts(&["hello"])),
        deletes: Some("sudo apt-get -qq purge --allow-change-held-packages hello tree >/dev/null"),
        alters: "sudo apt-mark -qq unhold tree >/dev/null",
    });
}

#[test]
#[ignore = "needs a lab: cargo xtask live hosts"]
fn host_package_keeps_the_contract_where_one_of_them_was_there() {
    keeps_the_contract(&Tried {
        test: "host_package_keeps_the_contract_where_one_of_them_was_there",
        resource_type: "host_package",
        prepare:
            "sudo apt-mark -qq unhold hello tree >/dev/null; sudo apt-get -qq purge hello >/dev/null
                  sudo apt-get -qq install tree >/dev/null",
        config: |_| Value::object_of([("names", texts(&["hello", "tree"]))]),
        change: |config| config.with("hold", true.into()),
        deletes: Some("sudo apt-get -qq purge hello tree >/dev/null"),
        alters: "sudo apt-get -qq purge hello >/dev/null",
    });
}

/// The archive that the machine knows already, as a source of its own; a machine has its key in armour.
fn archive(machine: &Machine) -> Value {
    let line = machine.ssh("grep -m 1 '^deb ' /etc/apt/sources.list | sed 's/ \\[[^]]*\\]//'");
    let words: Vec<&str> = line.split_whitespace().collect();
    let key = machine.ssh(&format!(
        "cat /etc/apt/trusted.gpg.d/debian-archive-{}-automatic.asc",
        words[2]
    ));
    Value::object_of([
        ("name", "tried".into()),
        ("uris", texts(&words[1..2])),
        ("suites", texts(&words[2..3])),
        ("components", texts(&["main"])),
        ("key", key.as_str().into()),
    ])
}

#[test]
#[ignore = "needs a lab: cargo xtask live hosts"]
fn host_repository_keeps_the_contract() {
    keeps_the_contract(&Tried {
        test: "host_repository_keeps_the_contract",
        resource_type: "host_repository",
        prepare: "sudo rm -f /etc/apt/sources.list.d/tried.sources /etc/apt/keyrings/tried.*",
        config: archive,
        change: |config| config.with("components", texts(&["main", "contrib"])),
        deletes: Some("sudo rm /etc/apt/sources.list.d/tried.sources /etc/apt/keyrings/tried.asc"),
        alters: "sudo sed -i 's/^Components: .*/Components: contrib/' /etc/apt/sources.list.d/tried.sources",
    });
}

const UNIT: &str =
    "[Service]\nExecStart=/bin/sleep infinity\n[Install]\nWantedBy=multi-user.target\n";

fn service(_: &Machine) -> Value {
    Value::object_of([
        ("name", "tried".into()),
        ("unit", UNIT.into()),
        ("enabled", true.into()),
        ("running", true.into()),
    ])
}

#[test]
#[ignore = "needs a lab: cargo xtask live hosts"]
fn host_service_keeps_the_contract() {
    keeps_the_contract(&Tried {
        test: "host_service_keeps_the_contract",
        resource_type: "host_service",
        prepare: "sudo systemctl -q disable --now tried 2>/dev/null; sudo rm -f /etc/systemd/system/tried.service
                  sudo systemctl daemon-reload; sudo systemctl -q reset-failed",
        config: service,
        change: |config| {
            let unit = format!("{UNIT}# changed\n");
            config
                .with("unit", unit.as_str().into())
                .with("enabled", false.into())
        },
        deletes: Some(
            "sudo systemctl -q disable --now tried; sudo rm /etc/systemd/system/tried.service
             sudo systemctl daemon-reload",
        ),
        alters: "sudo systemctl stop tried",
    });
}

#[test]
#[ignore = "needs a lab: cargo xtask live hosts"]
fn host_service_keeps_the_contract_where_something_stood_before() {
    keeps_the_contract(&Tried {
        test: "host_service_keeps_the_contract_where_something_stood_before",
        resource_type: "host_service",
        prepare: "sudo systemctl -q disable --now tried 2>/dev/null
                  printf '[Service]\\nExecStart=/bin/sleep 100000\\n' | sudo tee /etc/systemd/system/tried.service >/dev/null
                  sudo systemctl daemon-reload; sudo systemctl -q reset-failed; sudo systemctl start tried",
        config: service,
        change: |config| config.with("running", false.into()),
        deletes: Some(
            "sudo systemctl -q disable --now tried; sudo rm /etc/systemd/system/tried.service
             sudo systemctl daemon-reload",
        ),
        alters: "sudo systemctl -q disable tried",
    });
}

#[test]
#[ignore = "needs a lab: cargo xtask live hosts"]
fn host_sysctl_keeps_the_contract() {
    keeps_the_contract(&Tried {
        test: "host_sysctl_keeps_the_contract",
        resource_type: "host_sysctl",
        prepare: "sudo rm -f /etc/sysctl.d/90-tried.conf
                  sudo sysctl -q net.ipv4.ip_forward=0 net.ipv4.tcp_rmem='4096 131072 6291456'",
        config: |_| {
            let settings = [
                ("net.ipv4.ip_forward", "1"),
                ("net.ipv4.tcp_rmem", "4096 131072 6291457"),
            ];
            Value::object_of([("name", "90-tried".into()), ("settings", map(&settings))])
        },
        change: |config| {
            let settings = [
                ("net.ipv4.ip_forward", "1"),
                ("net.ipv4.tcp_rmem", "4096 131072 6291458"),
            ];
            config.with("settings", map(&settings))
        },
        deletes: None,
        alters: "sudo sysctl -q net.ipv4.ip_forward=0",
    });
}

#[test]
#[ignore = "needs a lab: cargo xtask live hosts"]
fn host_kernel_module_keeps_the_contract() {
    keeps_the_contract(&Tried {
        test: "host_kernel_module_keeps_the_contract",
        resource_type: "host_kernel_module",
        prepare: "sudo rm -f /etc/modules-load.d/dmp-overlay.conf /etc/modprobe.d/dmp-overlay.conf",
        config: |_| {
            Value::object_of([
                ("name", "overlay".into()),
                ("options", "metacopy=off".into()),
            ])
        },
        change: |config| config.with("options", "metacopy=off index=off".into()),
        deletes: Some(
            "sudo rm /etc/modules-load.d/dmp-overlay.conf /etc/modprobe.d/dmp-overlay.conf",
        ),
        alters: "sudo rm /etc/modprobe.d/dmp-overlay.conf",
    });
}
