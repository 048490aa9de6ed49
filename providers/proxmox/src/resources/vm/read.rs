//! A machine's attributes, made of what the API shows. Of blocks only what the configuration sets is read back: what it
//! leaves open is the server's to choose, and is no difference.

use std::collections::{BTreeMap, BTreeSet};

use dmp_sdk::{Machine, Value};
use serde_json::Value as Json;

use super::settings::SETTINGS;
use super::wanted::{self, DEVICE_NUMBERS, DISK_SWITCHES, DISK_WORDS, flag, text};
use super::{DISC_SLOT, SEED_SLOT};
use crate::client::items;
use crate::guest::{Guest, storage_of};
use crate::identity::{self, Described};
use crate::property::Properties;
use crate::values;

/// What is known beside the guest itself.
pub(super) struct Beside<'a> {
    /// What is recorded or wanted.
    pub known: &'a Value,
    /// The guest's entry in the cluster's listing.
    pub listed: &'a Json,
    /// The storages of the cluster, where they were asked for.
    pub storages: Option<&'a Json>,
    /// The public host key that dmp has made.
    pub host_key: Option<String>,
    /// Whether it is imported: then everything is read.
    pub is_import: bool,
}

/// All attributes.
pub(super) fn attributes(guest: &Guest, beside: &Beside<'_>) -> Value {
    let known = beside.known;
    let described = guest.described();
    let mut value = known
        .with("name", text_of(guest.get("name")).or_else(known, "name"))
        .with("node", guest.node.as_str().into())
        .with("vmid", i64::from(guest.vmid).into())
        .with("uuid", guest.uuid().into())
        .with("description", described.text.clone().into());
    for setting in SETTINGS {
        value = value.with(setting.attribute, setting.read(guest));
    }
    value = value
        .with(
            "started",
            started(guest, beside.listed).map_or_else(|| known.get("started"), Value::from),
        )
        .with("serial", guest.settings.contains_key("serial0").into())
        .with("boot_order", boot_order(guest))
        .with(
            "startup",
            startup(guest, &known.get("startup"), beside.is_import),
        )
        .with("iso", iso(guest))
        .with("pool", values::text(beside.listed, "pool").into())
        .with("tags", tags(guest, &known.get("tags"), beside.is_import))
        .with("group", group(guest, known))
        .with("disk", disks(guest, &known.get("disk"), beside.is_import))
        .with(
            "network",
            networks(guest, &known.get("network"), beside.is_import),
        )
        .with(
            "efi_disk",
            efi_disk(guest, &known.get("efi_disk"), beside.is_import),
        )
        .with("mac_addresses", list(guest.macs().into_values()))
        .with("pending", list(guest.pending.iter().cloned()))
        .with("host_key", beside.host_key.clone().into());
    if beside.is_import {
        for (name, default) in [
            ("reboot", Value::from(true)),
            ("removed_disks", "detach".into()),
            ("boot_seconds", 300.into()),
            ("ssh_port", 22.into()),
        ] {
            value = value.with(name, default);
        }
    }
    value = cloud_init(value, guest);
    let address = address(guest, &value);
    value = value.with("address", address.clone().into());
    let machine = address.and_then(|address| connection(&value, &address));
    let machine = machine.map_or_else(Value::null, |machine| machine.to_value());
    value
        .with("connection", machine)
        .with("failure_domains", failure_domains(guest, beside))
}

/// A text that is kept where nothing was read.
struct Read(Option<String>);

fn text_of(text: Option<&str>) -> Read {
    Read(text.map(ToOwned::to_owned))
}

impl Read {
    fn or_else(self, known: &Value, name: &str) -> Value {
        self.0.map_or_else(|| known.get(name), Value::from)
    }
}

fn list(texts: impl Iterator<Item = String>) -> Value {
    Value::list(texts.map(Value::from).collect())
}

/// Whether it runs: what it says itself, else what the listing says.
fn started(guest: &Guest, listed: &Json) -> Option<bool> {
    let status = guest
        .status
        .as_deref()
        .or_else(|| listed["status"].as_str())?;
    match status {
        "running" | "paused" => Some(true),
        "stopped" => Some(false),
        _ => None,
    }
}

fn boot_order(guest: &Guest) -> Value {
    let boot = guest.properties("boot").unwrap_or_default();
    let order = boot.get("order").unwrap_or_default();
    // What dmp puts in for the first boot is not the machine's own.
    let slots = order
        .split(';')
        .filter(|slot| !slot.is_empty() && *slot != SEED_SLOT);
    list(slots.map(ToOwned::to_owned))
}

fn startup(guest: &Guest, known: &Value, is_import: bool) -> Value {
    let Some(startup) = guest.properties("startup") else {
        return Value::null();
    };
    let member = |name: &str, key: &str| {
        let is_ours = is_import || !known.get(name).is_null();
        let number = startup.get(key).and_then(|text| text.parse::<i64>().ok());
        number.filter(|_| is_ours).into()
    };
    Value::object_of([
        ("order", member("order", "order")),
        ("up_seconds", member("up_seconds", "up")),
        ("down_seconds", member("down_seconds", "down")),
    ])
}

fn iso(guest: &Guest) -> Value {
    let drive = guest.properties(DISC_SLOT);
    let drive = drive.filter(|drive| drive.get("media") == Some("cdrom"));
    let volume = drive.as_ref().and_then(Properties::bare);
    let volume = volume.filter(|volume| *volume != "none" && !volume.contains("cloudinit"));
    volume.map_or_else(Value::null, Value::from)
}

/// The tags that are the person's, in their spelling.
fn tags(guest: &Guest, known: &Value, is_import: bool) -> Value {
    let given = known.as_items().unwrap_or_default();
    let given: BTreeMap<String, &str> = given
        .iter()
        .filter_map(Value::as_str)
        .map(|tag| (tag.to_ascii_lowercase(), tag))
        .collect();
    let found = values::tags(guest.get("tags").unwrap_or_default());
    let found: Vec<Value> = found
        .iter()
        .filter(|tag| !identity::is_own_tag(tag))
        .map(|tag| given.get(tag).copied().unwrap_or(tag).into())
        .collect();
    let says_nothing = known.is_null() && (!is_import || found.is_empty());
    if says_nothing {
        Value::null()
    } else {
        Value::set(found)
    }
}

fn group(guest: &Guest, known: &Value) -> Value {
    let group = text(known, "group");
    let tags = values::tags(guest.get("tags").unwrap_or_default());
    let is_in = |group: &String| tags.contains(&identity::group_tag(group));
    group.filter(is_in).into()
}

fn disks(guest: &Guest, known: &Value, is_import: bool) -> Value {
    if known.is_null() && !is_import {
        return Value::null();
    }
    if is_import {
        let all = guest.disks().map(|(slot, disk)| {
            let blank = Value::object_of([("slot", slot.into())]);
            read_disk(&disk, &blank, true)
        });
        let all: Vec<Value> = all.collect();
        return if all.is_empty() {
            Value::null()
        } else {
            Value::list(all)
        };
    }
    let slots = wanted::slots(known);
    let items = known.as_items().unwrap_or_default();
    let found = items.iter().zip(slots).filter_map(|(disk, slot)| {
        let properties = guest.properties(&slot)?;
        Some(read_disk(&properties, disk, false))
    });
    Value::list(found.collect())
}

fn read_disk(properties: &Properties, known: &Value, all: bool) -> Value {
    let mut disk = known.clone();
    let wants = |name: &str| all || !known.get(name).is_null();
    let volume = properties.bare().or_else(|| properties.get("file"));
    if wants("storage") {
        disk = disk.with(
            "storage",
            volume.and_then(storage_of).map(str::to_owned).into(),
        );
    }
    if wants("size_gib") {
        let bytes = properties.get("size").and_then(values::bytes);
        disk = disk.with("size_gib", bytes.map(values::gib).into());
    }
    for (name, key, yes, _) in DISK_SWITCHES {
        let found = properties.get(key);
        if !known.get(name).is_null() || (all && found.is_some()) {
            let is_on = found.map(|word| word == *yes || values::is_true(word));
            // Backup and replication are on where nothing is said.
            let default = matches!(*name, "backup" | "replicate");
            disk = disk.with(name, is_on.unwrap_or(default).into());
        }
    }
    for (name, key) in DISK_WORDS {
        let found = properties.get(key);
        if !known.get(name).is_null() || (all && found.is_some()) {
            disk = disk.with(name, found.map(str::to_owned).into());
        }
    }
    disk
}

fn networks(guest: &Guest, known: &Value, is_import: bool) -> Value {
    if known.is_null() && !is_import {
        return Value::null();
    }
    let blank = Value::object_of([]);
    let items = known.as_items().unwrap_or_default();
    let mut found = Vec::new();
    for number in 0..32 {
        let Some(device) = guest.properties(&format!("net{number}")) else {
            continue;
        };
        let known = items.get(number).unwrap_or(&blank);
        let all = is_import || number >= items.len();
        found.push(read_device(&device, known, all));
    }
    if found.is_empty() && is_import {
        return Value::null();
    }
    Value::list(found)
}

fn read_device(properties: &Properties, known: &Value, all: bool) -> Value {
    let mut device = known.clone();
    let wants = |name: &str| all || !known.get(name).is_null();
    let first = properties.first();
    device = device.with("bridge", properties.get("bridge").map(str::to_owned).into());
    if wants("model") {
        let model = properties.get("model").or(first.map(|(model, _)| model));
        device = device.with("model", model.map(str::to_owned).into());
    }
    if !known.get("mac").is_null() {
        let mac = properties.get("macaddr").or(first.map(|(_, mac)| mac));
        let mac = mac.map(str::to_ascii_uppercase);
        let given = text(known, "mac");
        // Written in another way it is the same.
        let is_same = given.as_ref().map(|given| given.to_ascii_uppercase()) == mac;
        device = device.with("mac", if is_same { given.into() } else { mac.into() });
    }
    for (name, key) in DEVICE_NUMBERS {
        let found = properties
            .get(key)
            .and_then(|text| text.parse::<i64>().ok());
        if !known.get(name).is_null() || (all && found.is_some()) {
            device = device.with(name, found.into());
        }
    }
    if !known.get("firewall").is_null() || (all && properties.get("firewall").is_some()) {
        device = device.with(
            "firewall",
            properties.switch("firewall").unwrap_or(false).into(),
        );
    }
    if !known.get("connected").is_null() || (all && properties.get("link_down").is_some()) {
        let is_down = properties.switch("link_down").unwrap_or(false);
        device = device.with("connected", (!is_down).into());
    }
    device
}

fn efi_disk(guest: &Guest, known: &Value, is_import: bool) -> Value {
    if known.is_null() && !is_import {
        return Value::null();
    }
    let Some(disk) = guest.properties("efidisk0") else {
        return Value::null();
    };
    let storage = disk.bare().and_then(storage_of).map(str::to_owned);
    let keys = disk.switch("pre-enrolled-keys").unwrap_or(false);
    let keys = flag(known, "pre_enrolled_keys")
        .map(|_| keys)
        .or(is_import.then_some(keys));
    Value::object_of([
        ("storage", storage.into()),
        ("pre_enrolled_keys", keys.into()),
    ])
}

/// What goes by Proxmox' own drive is read back; what went by a seed image is what was told.
fn cloud_init(value: Value, guest: &Guest) -> Value {
    let Some(told) = wanted::cloud_init(&value).filter(|told| !told.by_seed) else {
        return value;
    };
    let mut given = value.get("cloud_init");
    if !given.get("user").is_null() {
        given = given.with("user", guest.get("ciuser").map(str::to_owned).into());
    }
    if !given.get("ssh_keys").is_null() {
        let found = values::decode_keys(guest.get("sshkeys").unwrap_or_default());
        let told: Vec<String> = told
            .ssh_keys
            .iter()
            .map(|key| key.trim().to_owned())
            .collect();
        if found != told {
            given = given.with("ssh_keys", list(found.into_iter()));
        }
    }
    if !given.get("upgrade").is_null() {
        let upgrade = guest.get("ciupgrade").is_none_or(values::is_true);
        given = given.with("upgrade", upgrade.into());
    }
    value.with("cloud_init", given)
}

/// The address: a fixed one is known; else the agent may tell one; else the last one known.
fn address(guest: &Guest, value: &Value) -> Option<String> {
    let told = wanted::cloud_init(value);
    let fixed = told.as_ref().and_then(wanted::CloudInit::fixed_address);
    fixed
        .or_else(|| agent_address(guest))
        .or_else(|| text(value, "address"))
}

/// The first address of the first network device that can be reached from elsewhere. An address of the loopback network that
/// a device has, and no loopback interface, is one that a lab gave it.
pub(super) fn agent_address(guest: &Guest) -> Option<String> {
    let macs: BTreeSet<String> = guest.macs().into_values().collect();
    let interfaces = items(&guest.interfaces).iter();
    let ours = interfaces.filter(|interface| {
        let mac = values::text(interface, "hardware-address").unwrap_or_default();
        macs.contains(&mac.to_ascii_uppercase())
    });
    let mut addresses: Vec<std::net::IpAddr> = ours
        .flat_map(|interface| items(&interface["ip-addresses"]))
        .filter_map(|address| address["ip-address"].as_str()?.parse().ok())
        .filter(is_reachable)
        .collect();
    addresses.sort_by_key(std::net::IpAddr::is_ipv6);
    addresses.first().map(ToString::to_string)
}

fn is_reachable(address: &std::net::IpAddr) -> bool {
    match address {
        std::net::IpAddr::V4(address) => !address.is_link_local() && !address.is_unspecified(),
        std::net::IpAddr::V6(address) => {
            let is_link_local = address.segments()[0] & 0xffc0 == 0xfe80;
            !address.is_loopback() && !is_link_local && !address.is_unspecified()
        }
    }
}

/// How it is reached over SSH.
pub(super) fn connection(value: &Value, address: &str) -> Option<Machine> {
    let told = wanted::cloud_init(value)?;
    dmp_cloud::connection(value, address, told.user)
}

/// Node and storages. Whether a storage is on one node alone is told by the listing; what was told before still holds
/// while the machine is on the same node.
fn failure_domains(guest: &Guest, beside: &Beside<'_>) -> Value {
    let mut domains = vec![format!("node:{}", guest.node)];
    let before = wanted::texts(beside.known, "failure_domains");
    let storages: BTreeSet<String> = guest
        .disks()
        .filter_map(|(_, disk)| storage_of(disk.bare()?).map(ToOwned::to_owned))
        .collect();
    for storage in storages {
        let at_node = format!("storage:{storage}@{}", guest.node);
        let shared = format!("storage:{storage}");
        let entry = beside.storages.map(items).unwrap_or_default();
        let entry = entry
            .iter()
            .find(|entry| entry["storage"] == storage.as_str());
        domains.push(match entry {
            Some(entry) if values::flag(entry, "shared") => shared,
            Some(_) => at_node,
            None if before.contains(&shared) => shared,
            None => at_node,
        });
    }
    list(domains.into_iter())
}

/// Whether the failure domains can be told without the storages' listing.
pub(super) fn knows_domains(guest: &Guest, known: &Value) -> bool {
    let before = wanted::texts(known, "failure_domains");
    let is_there = before.contains(&format!("node:{}", guest.node));
    let told = |storage: &str| {
        before.contains(&format!("storage:{storage}"))
            || before.contains(&format!("storage:{storage}@{}", guest.node))
    };
    is_there
        && guest
            .disks()
            .filter_map(|(_, disk)| storage_of(disk.bare()?).map(ToOwned::to_owned))
            .all(|storage| told(&storage))
}

/// Why it is not whole, if it is not.
pub(super) fn unfinished(guest: &Guest, described: &Described) -> Option<String> {
    if let Some(lock) = guest
        .lock()
        .filter(|lock| matches!(*lock, "create" | "clone"))
    {
        return Some(format!("it is still being made (lock `{lock}`)"));
    }
    described
        .is_making
        .then(|| "it was not finished".to_owned())
}
