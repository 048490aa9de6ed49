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
        let machines = Arc::new(ssh.clone()) as Arc<dyn Machines>;
        let sealed =
            HostProvider::new().with_ssh_config(dmp_transport::ssh_config::SshConfig::none());
        let provider = sealed
            .configure(&Value::null(), Arc::clone(&machines))
            .expect("needs no configuration");
        let mut case = Case::new(resource(tried.resource_type), provider, config, outside)
            .on(machines)
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
fn host_firewall_keeps_the_contract() {
    keeps_the_contract(&Tried {
        test: "host_firewall_keeps_the_contract",
        resource_type: "host_firewall",
        prepare: "sudo apt-get -qq install nftables >/dev/null
                  sudo systemctl -q disable --now dmp-firewall 2>/dev/null
                  sudo rm -rf /etc/dmp/firewall.nft /etc/dmp/firewall.sum /etc/systemd/system/dmp-firewall.service
                  sudo systemctl daemon-reload",
        config: |_| {
            Value::object_of([
                ("allow", Value::list(vec![Value::object_of([("ports", texts(&["80", "443"]))])])),
                ("keep_ssh", true.into()),
                ("ping", true.into()),
            ])
        },
        change: |config| {
            let allow = Value::object_of([("ports", texts(&["8000-8100"]))]);
            config.with("allow", Value::list(vec![allow]))
        },
        deletes: Some(
            "sudo systemctl -q disable --now dmp-firewall
             sudo rm /etc/dmp/firewall.nft /etc/dmp/firewall.sum /etc/systemd/system/dmp-firewall.service
             sudo systemctl daemon-reload",
        ),
        alters: "sudo nft add rule inet dmp_firewall input tcp dport 9999 accept",
    });
}

#[test]
#[ignore = "needs a lab: cargo xtask live hosts"]
fn host_updates_keeps_the_contract() {
    keeps_the_contract(&Tried {
        test: "host_updates_keeps_the_contract",
        resource_type: "host_updates",
        prepare: "sudo apt-get -qq install unattended-upgrades >/dev/null
                  sudo rm -f /etc/apt/apt.conf.d/52dmp-updates",
        config: |_| {
            Value::object_of([
                ("now", false.into()),
                ("unattended", true.into()),
                ("reboot_time", "03:30".into()),
                ("exclude", Value::set(Vec::new())),
            ])
        },
        change: |config| config.with("reboot_time", "04:15".into()),
        deletes: None,
        alters: "sudo sed -i 's/03:30/05:00/; s/04:15/05:00/' /etc/apt/apt.conf.d/52dmp-updates",
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

#[test]
#[ignore = "needs a lab: cargo xtask live hosts"]
fn host_group_keeps_the_contract() {
    keeps_the_contract(&Tried {
        test: "host_group_keeps_the_contract",
        resource_type: "host_group",
        prepare: "sudo groupdel tried 2>/dev/null; true",
        config: |_| Value::object_of([("name", "tried".into()), ("gid", 4321.into())]),
        change: |config| config.with("gid", 4322.into()),
        deletes: Some("sudo groupdel tried"),
        alters: "sudo groupmod -g 4444 tried",
    });
}

#[test]
#[ignore = "needs a lab: cargo xtask live hosts"]
fn host_group_keeps_the_contract_where_it_was_there() {
    keeps_the_contract(&Tried {
        test: "host_group_keeps_the_contract_where_it_was_there",
        resource_type: "host_group",
        prepare: "sudo groupdel tried 2>/dev/null; sudo groupadd -g 4321 tried",
        config: |_| Value::object_of([("name", "tried".into()), ("gid", 4322.into())]),
        change: |config| config.with("gid", 4323.into()),
        deletes: Some("sudo groupdel tried"),
        alters: "sudo groupmod -g 4444 tried",
    });
}

#[test]
#[ignore = "needs a lab: cargo xtask live hosts"]
fn host_user_keeps_the_contract() {
    keeps_the_contract(&Tried {
        test: "host_user_keeps_the_contract",
        resource_type: "host_user",
        prepare: "sudo userdel -r tried 2>/dev/null; sudo rm -rf /home/tried; true",
        config: |_| {
            Value::object_of([
                ("name", "tried".into()),
                ("groups", texts(&["adm", "www-data"])),
                ("comment", "One that is tried".into()),
                ("shell", "/bin/bash".into()),
            ])
        },
        change: |config| {
            config
                .with("groups", texts(&["adm"]))
                .with("groups_exclusive", true.into())
                .with("home", "/home/moved".into())
                .with("uid", 4321.into())
        },
        deletes: Some("sudo userdel tried"),
        alters: "sudo gpasswd -d tried adm >/dev/null",
    });
}

#[test]
#[ignore = "needs a lab: cargo xtask live hosts"]
fn host_user_keeps_the_contract_where_it_was_there() {
    keeps_the_contract(&Tried {
        test: "host_user_keeps_the_contract_where_it_was_there",
        resource_type: "host_user",
        prepare: "sudo userdel -r tried 2>/dev/null; sudo rm -rf /home/tried
                  sudo useradd -m -s /bin/sh -G adm -c 'There before' tried",
        config: |_| {
            Value::object_of([
                ("name", "tried".into()),
                ("groups", texts(&["adm", "www-data"])),
                ("shell", "/bin/bash".into()),
                ("password_hash", "$6$hunter2salt$hunter2digest".into()),
                ("locked", false.into()),
            ])
        },
        change: |config| {
            config
                .with("locked", true.into())
                .with("comment", "Another".into())
        },
        deletes: Some("sudo userdel tried"),
        alters: "sudo usermod -p '$6$theirs$theirs' tried",
    });
}

#[test]
#[ignore = "needs a lab: cargo xtask live hosts"]
fn host_hostname_keeps_the_contract() {
    keeps_the_contract(&Tried {
        test: "host_hostname_keeps_the_contract",
        resource_type: "host_hostname",
        prepare: "sudo hostname n1; echo n1 | sudo tee /etc/hostname >/dev/null
                  sudo sed -i '/^127.0.1.1/d' /etc/hosts; printf '127.0.1.1\\tn1  n1.lab\\n' | sudo tee -a /etc/hosts >/dev/null",
        config: |_| {
            Value::object_of([
                ("name", "tried".into()),
                ("fqdn", "tried.example.org".into()),
            ])
        },
        change: |config| config.with("name", "another".into()),
        deletes: None,
        alters: "sudo hostname theirs",
    });
}

#[test]
#[ignore = "needs a lab: cargo xtask live hosts"]
fn host_mount_keeps_the_contract() {
    keeps_the_contract(&Tried {
        test: "host_mount_keeps_the_contract",
        resource_type: "host_mount",
        prepare: UNMOUNTED,
        config: |_| {
            Value::object_of([
                ("path", "/srv/tried/by us".into()),
                ("device", "tmpfs".into()),
                ("type", "tmpfs".into()),
                ("options", "size=1m,mode=0755".into()),
            ])
        },
        change: |config| config.with("options", "ro,size=2m,mode=0755".into()),
        deletes: Some(UNMOUNTED),
        alters: "sudo umount '/srv/tried/by us'",
    });
}

#[test]
#[ignore = "needs a lab: cargo xtask live hosts"]
fn host_mount_keeps_the_contract_where_something_was_mounted() {
    keeps_the_contract(&Tried {
        test: "host_mount_keeps_the_contract_where_something_was_mounted",
        resource_type: "host_mount",
        prepare: "for place in '/srv/tried/by us' /srv/tried; do while sudo umount -q \"$place\"; do :; done; done
                  sudo sed -i '/tried/d' /etc/fstab; sudo mkdir -p /srv/tried
                  printf 'tmpfs\\t/srv/tried tmpfs  size=1m\\n' | sudo tee -a /etc/fstab >/dev/null; sudo mount -t tmpfs -o size=1m tmpfs /srv/tried",
        config: |_| {
            Value::object_of([
                ("path", "/srv/tried".into()),
                ("device", "/etc/apt".into()),
                ("type", "none".into()),
                ("options", "bind,ro".into()),
            ])
        },
        change: |config| config.with("options", "bind".into()),
        deletes: Some(UNMOUNTED),
        alters: "sudo mount -o remount,bind,rw /srv/tried",
    });
}

#[test]
#[ignore = "needs a lab: cargo xtask live hosts"]
fn host_reboot_keeps_the_contract() {
    keeps_the_contract(&Tried {
        test: "host_reboot_keeps_the_contract",
        resource_type: "host_reboot",
        prepare: "sudo rm -f /run/reboot-required",
        config: |_| Value::object_of([("triggers", map(&[("kernel", "6.1")]))]),
        change: |config| config.with("triggers", map(&[("kernel", "6.12")])),
        deletes: Some("sudo sh -c 'rm -f /var/lib/dmp/kept/*/reboot'"),
        alters: "sudo touch /run/reboot-required",
    });
}

const COMPOSE: &str = "services:
  web:
    image: tiny:1
    stop_grace_period: 1s
    volumes: ['./conf:/conf:ro', 'data:/data']
volumes:
  data:
";

#[test]
#[ignore = "needs a lab: cargo xtask live hosts"]
fn host_compose_project_keeps_the_contract() {
    keeps_the_contract(&Tried {
        test: "host_compose_project_keeps_the_contract",
        resource_type: "host_compose_project",
        prepare: crate::docker::WITH_AN_IMAGE,
        config: |_| {
            Value::object_of([
                ("name", "tried".into()),
                ("directory", "/srv/tried".into()),
                (
                    "files",
                    map(&[("compose.yaml", COMPOSE), ("conf/a", "1\n")]),
                ),
                ("env", "A='hunter2'\n".into()),
                ("pull", "never".into()),
            ])
        },
        change: |config| {
            let compose = COMPOSE.replace("data:/data", "data:/other");
            let files = map(&[("compose.yaml", compose.as_str()), ("conf/b", "2\n")]);
            config.with("files", files)
        },
        deletes: Some("sudo docker compose -p tried down 2>/dev/null; sudo rm -r /srv/tried"),
        alters: "sudo docker stop -t 0 tried-web-1 >/dev/null",
    });
}

const UNMOUNTED: &str = "for place in '/srv/tried/by us' /srv/tried; do while sudo umount -q \"$place\"; do :; done; done
     sudo sed -i '/tried/d' /etc/fstab; sudo rm -rf /srv/tried; true";
