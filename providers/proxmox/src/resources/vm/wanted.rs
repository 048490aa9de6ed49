//! What is wanted of a machine, read from its attributes once.

use std::collections::BTreeSet;

use dmp_sdk::{AttributePath, Diagnostic, Value};

use crate::guest;
use crate::seed::Network;
use crate::values;

/// A disk that is wanted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Disk {
    /// Where it is.
    pub slot: String,
    /// Where its volume goes.
    pub storage: Option<String>,
    /// Its size.
    pub size_gib: Option<i64>,
    /// What it begins as.
    pub import_from: Option<String>,
    /// The form of its volume.
    pub format: Option<String>,
    /// Its options as Proxmox writes them.
    pub options: Vec<(&'static str, String)>,
    /// Whether it holds data that exists nowhere else.
    pub primary: bool,
}

/// A network device that is wanted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Device {
    /// The bridge.
    pub bridge: Option<String>,
    /// The model.
    pub model: Option<String>,
    /// The address.
    pub mac: Option<String>,
    /// Its options as Proxmox writes them.
    pub options: Vec<(&'static str, String)>,
}

/// What is told at the first boot.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct CloudInit {
    pub user: String,
    pub ssh_keys: Vec<String>,
    pub addresses: Vec<Network>,
    pub nameservers: Vec<String>,
    pub search_domains: Vec<String>,
    pub upgrade: bool,
    /// Whether it goes by a seed image.
    pub by_seed: bool,
    /// Whether dmp makes the host key.
    pub host_key: bool,
    pub storage: Option<String>,
    pub seed_storage: Option<String>,
}

/// The members of a disk that are switches, with the words that Proxmox has for yes and no.
pub(crate) const DISK_SWITCHES: &[(&str, &str, &str, &str)] = &[
    ("discard", "discard", "on", "ignore"),
    ("ssd", "ssd", "1", "0"),
    ("iothread", "iothread", "1", "0"),
    ("backup", "backup", "1", "0"),
    ("read_only", "ro", "1", "0"),
    ("replicate", "replicate", "1", "0"),
];

/// The members of a disk that are words.
pub(crate) const DISK_WORDS: &[(&str, &str)] =
    &[("cache", "cache"), ("aio", "aio"), ("serial", "serial")];

/// Members of blocks that become a part of a property string, which has no escaping.
const TEXTS: &[(&str, &[&str])] = &[
    (
        "disk",
        &["storage", "import_from", "format", "cache", "aio", "serial"],
    ),
    ("network", &["bridge", "model", "mac"]),
];

/// The members of a network device that are numbers.
pub(crate) const DEVICE_NUMBERS: &[(&str, &str)] = &[
    ("vlan", "tag"),
    ("mtu", "mtu"),
    ("queues", "queues"),
    ("rate_mbytes", "rate"),
];

pub(crate) fn text(value: &Value, name: &str) -> Option<String> {
    let value = value.get(name);
    value.as_str().map(ToOwned::to_owned)
}

pub(crate) fn texts(value: &Value, name: &str) -> Vec<String> {
    let value = value.get(name);
    let items = value.as_items().into_iter().flatten();
    items
        .filter_map(|item| item.as_str().map(ToOwned::to_owned))
        .collect()
}

pub(crate) fn flag(value: &Value, name: &str) -> Option<bool> {
    value.get(name).as_bool()
}

pub(crate) fn number(value: &Value, name: &str) -> Option<String> {
    let value = value.get(name);
    value.as_number().map(ToString::to_string)
}

/// The slot of each disk block, in order: what is given, else the next `scsi` that nobody names.
pub(crate) fn slots(disks: &Value) -> Vec<String> {
    let items = disks.as_items().unwrap_or_default();
    let given: BTreeSet<String> = items.iter().filter_map(|disk| text(disk, "slot")).collect();
    let mut next = 0;
    let mut free = || loop {
        let slot = format!("scsi{next}");
        next += 1;
        if !given.contains(&slot) {
            return slot;
        }
    };
    items
        .iter()
        .map(|disk| text(disk, "slot").unwrap_or_else(&mut free))
        .collect()
}

/// The disks that are wanted.
pub(crate) fn disks(wanted: &Value) -> Vec<Disk> {
    let disks = wanted.get("disk");
    let slots = slots(&disks);
    let items = disks.as_items().unwrap_or_default();
    items
        .iter()
        .zip(slots)
        .map(|(disk, slot)| {
            let mut options = Vec::new();
            for (name, key, yes, no) in DISK_SWITCHES {
                if let Some(is_on) = flag(disk, name) {
                    options.push((*key, if is_on { *yes } else { *no }.to_owned()));
                }
            }
            for (name, key) in DISK_WORDS {
                if let Some(word) = text(disk, name) {
                    options.push((*key, word));
                }
            }
            Disk {
                slot,
                storage: text(disk, "storage"),
                size_gib: disk.get("size_gib").as_i64(),
                import_from: text(disk, "import_from"),
                format: text(disk, "format"),
                options,
                primary: flag(disk, "primary") == Some(true),
            }
        })
        .collect()
}

/// The network devices that are wanted.
pub(crate) fn devices(wanted: &Value) -> Vec<Device> {
    let networks = wanted.get("network");
    let items = networks.as_items().unwrap_or_default();
    items
        .iter()
        .map(|network| {
            let mut options = Vec::new();
            for (name, key) in DEVICE_NUMBERS {
                if let Some(number) = number(network, name) {
                    options.push((*key, number));
                }
            }
            if let Some(is_on) = flag(network, "firewall") {
                options.push(("firewall", values::switch(is_on).to_owned()));
            }
            if let Some(is_connected) = flag(network, "connected") {
                options.push(("link_down", values::switch(!is_connected).to_owned()));
            }
            Device {
                bridge: text(network, "bridge"),
                model: text(network, "model"),
                mac: text(network, "mac").map(|mac| mac.to_ascii_uppercase()),
                options,
            }
        })
        .collect()
}

/// What is told at the first boot; `None` where nothing is.
pub(crate) fn cloud_init(wanted: &Value) -> Option<CloudInit> {
    let given = wanted.get("cloud_init");
    let more = text(wanted, "user_data");
    if given.is_null() && more.is_none() {
        return None;
    }
    let addresses = given.get("address");
    let addresses = addresses.as_items().unwrap_or_default();
    let host_key = flag(&given, "host_key") != Some(false);
    Some(CloudInit {
        user: text(&given, "user").unwrap_or_else(|| "debian".into()),
        ssh_keys: texts(&given, "ssh_keys"),
        addresses: addresses
            .iter()
            .map(|address| Network {
                mac: None,
                ipv4: text(address, "ipv4"),
                gateway4: text(address, "gateway4"),
                ipv6: text(address, "ipv6"),
                gateway6: text(address, "gateway6"),
            })
            .collect(),
        nameservers: texts(&given, "nameservers"),
        search_domains: texts(&given, "search_domains"),
        upgrade: flag(&given, "upgrade") == Some(true),
        by_seed: host_key || more.is_some(),
        host_key,
        storage: text(&given, "storage"),
        seed_storage: text(&given, "seed_storage"),
    })
}

impl CloudInit {
    /// The first fixed address, without its prefix.
    pub(crate) fn fixed_address(&self) -> Option<String> {
        let is_fixed = |address: &&str| !matches!(*address, "dhcp" | "auto");
        let bare = |address: &str| address.split('/').next().unwrap_or_default().to_owned();
        let find = |of: fn(&Network) -> Option<&str>| {
            let mut given = self.addresses.iter().filter_map(of);
            given.find(is_fixed).map(bare)
        };
        find(|network| network.ipv4.as_deref()).or_else(|| find(|network| network.ipv6.as_deref()))
    }

    /// Whether an address comes by DHCP or by itself.
    pub(crate) fn is_dynamic(&self) -> bool {
        self.fixed_address().is_none()
    }
}

/// Refuses what can never be, with the attribute's path. Unknown values are passed over.
pub(crate) fn check(planned: &Value) -> Result<(), Diagnostic> {
    let name = planned.get("name");
    if let Some(name) = name.as_str().filter(|name| !is_dns_name(name)) {
        return Err(wrong(
            AttributePath::of("name"),
            format!("`{name}` is no DNS name: letters, digits and hyphens, and dots between"),
        ));
    }
    if let Some(removed) = text(planned, "removed_disks")
        && !matches!(removed.as_str(), "detach" | "delete")
    {
        return Err(wrong(
            AttributePath::of("removed_disks"),
            "it is `detach` or `delete`",
        ));
    }
    for tag in texts(planned, "tags") {
        if !values::is_tag(&tag) {
            return Err(wrong(
                AttributePath::of("tags"),
                format!("`{tag}` is no tag: it begins with a letter or a digit, and has no blanks"),
            ));
        }
    }
    let port = planned.get("ssh_port");
    if port.as_number().is_some()
        && port
            .as_i64()
            .is_none_or(|port| !(1..=65535).contains(&port))
    {
        return Err(wrong(
            AttributePath::of("ssh_port"),
            "a TCP port is a whole number from 1 to 65535",
        ));
    }
    check_texts(planned)?;
    check_disks(planned)?;
    check_devices(planned)?;
    check_addresses(planned)
}

/// A comma would begin another option.
fn check_texts(planned: &Value) -> Result<(), Diagnostic> {
    for (block, names) in TEXTS {
        let blocks = planned.get(block);
        for (index, item) in blocks.as_items().unwrap_or_default().iter().enumerate() {
            for name in *names {
                let is_bad = |text: &String| {
                    text.trim().is_empty() || text.contains([',', ' ', '\n', '\r', '\0'])
                };
                if text(item, name).as_ref().is_some_and(is_bad) {
                    return Err(wrong(
                        AttributePath::of(block).index(index).member(name),
                        "it may be neither empty nor hold a comma or a blank",
                    ));
                }
            }
        }
    }
    let plain = |name: &str, value: &Value| {
        let is_bad = value
            .as_str()
            .is_some_and(|text| text.contains([',', ';', '\n', '\0']));
        match is_bad {
            true => Err(wrong(
                AttributePath::of(name),
                "it may hold neither a comma nor a semicolon",
            )),
            false => Ok(()),
        }
    };
    for name in ["cpu_type", "vga", "machine", "iso"] {
        plain(name, &planned.get(name))?;
    }
    let order = planned.get("boot_order");
    for slot in order.as_items().unwrap_or_default() {
        plain("boot_order", slot)?;
    }
    Ok(())
}

fn check_disks(planned: &Value) -> Result<(), Diagnostic> {
    let disks = planned.get("disk");
    if !disks.is_known() {
        return Ok(());
    }
    let mut seen = BTreeSet::new();
    for (index, slot) in slots(&disks).into_iter().enumerate() {
        let path = AttributePath::of("disk").index(index);
        if !guest::is_slot(&slot) {
            return Err(wrong(
                path.member("slot"),
                format!("`{slot}` is no slot: write `scsi0`, `virtio1`, `sata0` or `ide0`"),
            ));
        }
        if !seen.insert(slot.clone()) {
            return Err(wrong(
                path.member("slot"),
                format!("`{slot}` is named twice"),
            ));
        }
        if matches!(
            slot.as_str(),
            super::SEED_SLOT | super::DISC_SLOT | super::DRIVE_SLOT
        ) {
            return Err(wrong(
                path.member("slot"),
                format!("`{slot}` is kept for discs that dmp puts in: take another one"),
            ));
        }
        let disk = &disks.as_items().unwrap_or_default()[index];
        let size = disk.get("size_gib");
        if size.as_number().is_some() && size.as_i64().is_none_or(|size| size < 1) {
            return Err(wrong(
                path.member("size_gib"),
                "a size is a whole number of GiB, at least 1",
            ));
        }
        let is_brought = !planned.get("clone").is_null() || !planned.get("uuid").is_null();
        if disk.get("storage").is_null() && !is_brought {
            return Err(wrong(
                path.member("storage"),
                "`storage` is missing: where the disk's volume goes",
            ));
        }
        let bus: String = slot.chars().take_while(char::is_ascii_alphabetic).collect();
        if flag(disk, "iothread") == Some(true) && !matches!(bus.as_str(), "scsi" | "virtio") {
            return Err(wrong(
                path.member("iothread"),
                "only disks at `scsi` and `virtio` can have a thread of their own",
            ));
        }
        if flag(disk, "ssd") == Some(true) && bus == "virtio" {
            return Err(wrong(
                path.member("ssd"),
                "a disk at `virtio` can't pass for an SSD: take `scsi` or `sata`",
            ));
        }
    }
    Ok(())
}

fn check_devices(planned: &Value) -> Result<(), Diagnostic> {
    let networks = planned.get("network");
    for (index, network) in networks.as_items().unwrap_or_default().iter().enumerate() {
        let path = AttributePath::of("network").index(index);
        if network.get("bridge").is_null() {
            return Err(wrong(path.member("bridge"), "`bridge` is missing"));
        }
        if let Some(mac) = text(network, "mac").filter(|mac| !is_mac(mac)) {
            return Err(wrong(
                path.member("mac"),
                format!("`{mac}` is no MAC address: write `BC:24:11:00:00:01`"),
            ));
        }
        if let Some(vlan) = network.get("vlan").as_i64()
            && !(1..=4094).contains(&vlan)
        {
            return Err(wrong(path.member("vlan"), "a VLAN is from 1 to 4094"));
        }
    }
    Ok(())
}

fn check_addresses(planned: &Value) -> Result<(), Diagnostic> {
    let given = planned.get("cloud_init").get("address");
    for (index, address) in given.as_items().unwrap_or_default().iter().enumerate() {
        let path = AttributePath::of("cloud_init")
            .member("address")
            .index(index);
        for (name, gateway, words) in [
            ("ipv4", "gateway4", &["dhcp"][..]),
            ("ipv6", "gateway6", &["dhcp", "auto"][..]),
        ] {
            let Some(text) = text(address, name) else {
                continue;
            };
            let is_word = words.contains(&text.as_str());
            if !is_word && !is_cidr(&text, name == "ipv4") {
                return Err(wrong(
                    path.member(name),
                    format!(
                        "`{text}` is no address with its prefix: write `192.0.2.7/24` or `2001:db8::7/64`"
                    ),
                ));
            }
            if is_word && !address.get(gateway).is_null() {
                return Err(wrong(
                    path.member(gateway),
                    format!("with `{name} = \"{text}\"` the network says what the gateway is"),
                ));
            }
        }
    }
    Ok(())
}

fn wrong(path: AttributePath, why: impl Into<String>) -> Diagnostic {
    Diagnostic::error("wrong-argument", "unusable argument")
        .detail(why)
        .path(path)
}

fn is_dns_name(name: &str) -> bool {
    let is_label = |label: &str| {
        let inside = label
            .chars()
            .all(|char| char.is_ascii_alphanumeric() || char == '-');
        inside
            && !label.is_empty()
            && label.len() <= 63
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    name.len() <= 253 && name.split('.').all(is_label)
}

fn is_mac(text: &str) -> bool {
    let parts: Vec<&str> = text.split(':').collect();
    parts.len() == 6
        && parts
            .iter()
            .all(|part| part.len() == 2 && part.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

fn is_cidr(text: &str, is_ipv4: bool) -> bool {
    let Some((address, prefix)) = text.split_once('/') else {
        return false;
    };
    let most = if is_ipv4 { 32 } else { 128 };
    let address: Option<std::net::IpAddr> = address.parse().ok();
    address.is_some_and(|address| address.is_ipv4() == is_ipv4)
        && prefix.parse().is_ok_and(|prefix: u8| prefix <= most)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn disk<const N: usize>(members: [(&str, Value); N]) -> Value {
        Value::object_of(members)
    }

    #[test]
    fn disks_without_a_slot_get_the_next_one_that_nobody_names() {
        let disks = Value::list(vec![
            disk([("size_gib", 8.into())]),
            disk([("slot", "scsi1".into())]),
            disk([("size_gib", 9.into())]),
        ]);
        assert_eq!(slots(&disks), ["scsi0", "scsi1", "scsi2"]);
    }

    #[test]
    fn what_can_never_be_is_refused_with_its_place() {
        let refused = |value: Value| {
            let error = check(&value).expect_err("it is refused");
            error
                .path
                .as_ref()
                .map(ToString::to_string)
                .unwrap_or_default()
        };
        let named = |name: &str| Value::object_of([("name", name.into())]);
        assert_eq!(refused(named("a b")), "name");
        assert_eq!(refused(named("-a")), "name");
        let at = || disk([("slot", "scsi0".into()), ("storage", "shr".into())]);
        let twice = vec![at(), at()];
        let twice = named("a").with("disk", Value::list(twice));
        assert_eq!(refused(twice), "disk[1].slot");
        let net = Value::object_of([("bridge", "vmbr0".into()), ("mac", "x".into())]);
        let net = named("a").with("network", Value::list(vec![net]));
        assert_eq!(refused(net), "network[0].mac");
        let without = vec![disk([("slot", "scsi0".into())])];
        let without = named("a").with("disk", Value::list(without));
        assert_eq!(refused(without), "disk[0].storage");
        let comma = vec![disk([("storage", "a,ssd=1".into())])];
        let comma = named("a").with("disk", Value::list(comma));
        assert_eq!(refused(comma), "disk[0].storage");
        let address = Value::object_of([("ipv4", "192.0.2.7".into())]);
        let given = Value::object_of([("address", Value::list(vec![address]))]);
        assert_eq!(
            refused(named("a").with("cloud_init", given)),
            "cloud_init.address[0].ipv4"
        );
    }
}
