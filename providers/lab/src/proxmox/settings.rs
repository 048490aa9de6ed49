//! A guest's configuration: read, changed, and what waits for a stop.

use serde_json::{Value, json};

use super::work::Work;
use super::{Answer, Call, Failure, Handler, Outcome, drives};
use crate::schema::check::Errors;
use crate::schema::{Kind, Schema, property};
use crate::world::World;
use crate::world::guest::{self, Guest, Settings};

pub(super) const METHODS: &[(&str, Handler)] = &[
    ("GET /nodes/{node}/qemu/{vmid}/config", config),
    ("PUT /nodes/{node}/qemu/{vmid}/config", change),
    ("POST /nodes/{node}/qemu/{vmid}/config", change_later),
    ("GET /nodes/{node}/qemu/{vmid}/pending", pending),
];

/// Parameters of the calls that make or change a guest which are not settings of it.
const OPTIONS: [&str; 18] = [
    "node",
    "vmid",
    "delete",
    "revert",
    "force",
    "skiplock",
    "digest",
    "background_delay",
    "import-working-storage",
    "storage",
    "pool",
    "start",
    "unique",
    "archive",
    "bwlimit",
    "live-restore",
    "ha-managed",
    "import-extraction-storage",
];

/// Settings that a running machine takes over at once.
const AT_ONCE: [&str; 13] = [
    "name",
    "description",
    "tags",
    "onboot",
    "startup",
    "protection",
    "agent",
    "lock",
    "hookscript",
    "shares",
    "hotplug",
    "vmstatestorage",
    "boot",
];

/// Settings that the superuser alone may set, by ticket.
const ROOT_ONLY: [&str; 6] = ["args", "lock", "hookscript", "affinity", "arch", "vmstate"];

const MISMATCH: &str = "checksum mismatch (file change by other user?)";

/// Returns a setting as answers carry it.
pub(super) fn value(key: &str, text: &str) -> Value {
    if key == "cipassword" {
        return json!("**********");
    }
    let kind = Schema::built_in()
        .method(drives::CONFIG)
        .and_then(|method| method.parameter(key))
        .map(|property| property.kind);
    match kind {
        Some(Kind::Integer | Kind::Boolean) => text
            .parse::<i64>()
            .map_or(json!(text), |number| json!(number)),
        Some(Kind::Number) => serde_json::from_str(text).unwrap_or(json!(text)),
        _ => json!(text),
    }
}

/// Returns settings as answers carry them.
pub(super) fn told(settings: &Settings) -> Value {
    Value::Object(
        settings
            .iter()
            .map(|(key, text)| (key.clone(), value(key, text)))
            .collect(),
    )
}

fn config(call: &mut Call<'_>) -> Outcome {
    let guest = call.guest()?;
    let mut told = match call.parameters.text("snapshot") {
        Some(name) => {
            let snapshot = guest.snapshots.get(name);
            told(
                &snapshot
                    .ok_or(format!("snapshot '{name}' does not exist"))?
                    .config,
            )
        }
        None if call.parameters.is_set("current") => told(&guest.config),
        None => told(&guest.wanted()),
    };
    if let Some(parent) = guest
        .parent
        .as_ref()
        .filter(|_| call.parameters.text("snapshot").is_none())
    {
        told["parent"] = json!(parent);
    }
    told["digest"] = json!(guest.digest());
    Answer::data(told)
}

fn pending(call: &mut Call<'_>) -> Outcome {
    let guest = call.guest()?;
    let mut told = Vec::new();
    for (key, text) in &guest.config {
        let mut one = json!({ "key": key, "value": value(key, text) });
        if let Some(text) = guest.pending.get(key) {
            one["pending"] = value(key, text);
        }
        if let Some(forced) = guest.deleting.get(key) {
            one["delete"] = json!(1 + i32::from(*forced));
        }
        told.push(one);
    }
    let new = guest
        .pending
        .iter()
        .filter(|(key, _)| !guest.config.contains_key(*key));
    told.extend(new.map(|(key, text)| json!({ "key": key, "pending": value(key, text) })));
    told.push(json!({ "key": "digest", "value": guest.digest() }));
    Answer::data(told)
}

/// Returns the settings among the parameters of a call, checked as far as they can be beforehand.
pub(super) fn settings(call: &Call<'_>) -> Result<Settings, Failure> {
    let mut settings = Settings::new();
    for key in call
        .parameters
        .0
        .keys()
        .filter(|key| !OPTIONS.contains(&key.as_str()))
    {
        let text = call.parameters.needed(key).to_owned();
        if ROOT_ONLY.contains(&key.as_str()) && !call.caller.is_root() {
            return Err(format!("only root can set '{key}' config").into());
        }
        if guest::is_drive(key) {
            drives::check(call, key, &text)?;
        }
        let text = if key == "cipassword" {
            hashed(&text)
        } else {
            text
        };
        settings.insert(key.clone(), text);
    }
    Ok(settings)
}

/// A password is never kept; what is kept tells whether it is the same.
fn hashed(password: &str) -> String {
    format!(
        "$lab${}",
        hex::encode(crate::hash::sha256(password.as_bytes()))
    )
}

/// Refuses settings that the caller has no right to change.
pub(super) fn permitted<'a>(
    call: &Call<'_>,
    keys: impl Iterator<Item = &'a str>,
) -> Result<(), Failure> {
    let vmid = call.vmid();
    let path = format!("/vms/{vmid}");
    let by_pool = call
        .parameters
        .text("pool")
        .map(|pool| format!("/pool/{pool}"));
    for key in keys {
        let privilege = match key {
            "cores" | "sockets" | "vcpus" | "cpu" | "cpulimit" | "cpuunits" | "numa"
            | "affinity" => "VM.Config.CPU",
            "memory" | "balloon" | "shares" | "hugepages" | "keephugepages" => "VM.Config.Memory",
            "nameserver" | "searchdomain" => "VM.Config.Network",
            _ if guest::is_net(key) || key.starts_with("ipconfig") => "VM.Config.Network",
            "ciuser" | "cipassword" | "ciupgrade" | "citype" | "cicustom" | "sshkeys" => {
                "VM.Config.Cloudinit"
            }
            "bios" | "machine" | "scsihw" | "vga" | "kvm" | "acpi" | "watchdog" | "audio0"
            | "rng0" | "tablet" => "VM.Config.HWType",
            _ if key.starts_with("serial")
                || key.starts_with("usb")
                || key.starts_with("hostpci") =>
            {
                "VM.Config.HWType"
            }
            _ if guest::is_drive(key) || guest::is_unused(key) => {
                let is_cdrom = call
                    .parameters
                    .text(key)
                    .is_some_and(|text| text.contains("media=cdrom"));
                if is_cdrom {
                    "VM.Config.CDROM"
                } else {
                    "VM.Config.Disk"
                }
            }
            "startup" => {
                call.must("/", &["Sys.Modify"])?;
                continue;
            }
            _ => "VM.Config.Options",
        };
        let has_pool = by_pool
            .as_ref()
            .is_some_and(|path| call.may(path, &[privilege]));
        if !has_pool {
            call.must(&path, &[privilege])?;
        }
        if guest::is_net(key) {
            let bridge = call.parameters.text(key).and_then(|text| {
                text.split(',')
                    .find_map(|part| part.strip_prefix("bridge="))
            });
            if let Some(bridge) = bridge {
                let zone = call
                    .world
                    .cluster
                    .sdn
                    .running
                    .vnets
                    .get(bridge)
                    .and_then(|vnet| vnet.get("zone").cloned());
                let zone = zone.unwrap_or_else(|| "localnetwork".into());
                call.must(&format!("/sdn/zones/{zone}/{bridge}"), &["SDN.Use"])?;
            }
        }
    }
    Ok(())
}

/// Returns a setting as it is recorded: a network device with its address.
pub(super) fn recorded(world: &mut World, key: &str, text: &str) -> String {
    if guest::is_net(key) {
        let Some(keys) = drives::keys_of(key) else {
            return text.to_owned();
        };
        let Ok(mut parsed) = property::parse(keys, text, key) else {
            return text.to_owned();
        };
        if !parsed.contains_key("macaddr") {
            parsed.insert("macaddr".into(), world.cluster.draw.mac());
        }
        return property::print(keys, &parsed);
    }
    if key == "vmgenid" && text == "1" {
        return world.cluster.draw.uuid();
    }
    text.to_owned()
}

/// Puts tags in the order that a change gives them.
fn tags(text: &str) -> String {
    let mut tags: Vec<_> = crate::schema::split(text)
        .into_iter()
        .map(|tag| tag.to_ascii_lowercase())
        .collect();
    tags.sort();
    tags.dedup();
    tags.join(";")
}

fn change_later(call: &mut Call<'_>) -> Outcome {
    let vmid = call.vmid();
    // What can be refused at once is.
    prepare(call)?;
    let user = call.caller.clone();
    let drive = call
        .parameters
        .0
        .iter()
        .find(|(key, _)| guest::is_drive(key))
        .map(|(key, _)| key.clone());
    let seconds = drive.map_or(0.2, |key| {
        1.0 + drives::gib_to_copy(call.world, &call.node(), &key, call.parameters.needed(&key))
    });
    let work = Work::configure(vmid, user, call.parameters.clone());
    call.task("qmconfig", seconds, work)
}

/// What a change is about, checked.
struct Change {
    settings: Settings,
    deletes: Vec<String>,
    reverts: Vec<String>,
}

fn prepare(call: &Call<'_>) -> Result<Change, Failure> {
    let known = |key: &str| {
        Schema::built_in()
            .method(drives::CONFIG)
            .is_some_and(|method| method.parameter(key).is_some())
            || guest::is_unused(key)
    };
    call.guest()?;
    let lists = |name: &str| call.parameters.list(name);
    let (deletes, reverts) = (lists("delete"), lists("revert"));
    for (list, keys) in [("delete", &deletes), ("revert", &reverts)] {
        for key in keys {
            if !known(key) {
                return Err(Failure::parameter(list, format!("unknown option '{key}'")));
            }
            if call.parameters.0.contains_key(key) {
                return Err(Failure::parameter(
                    list,
                    format!("you can't use '-{key}' and '-{list} {key}' at the same time"),
                ));
            }
            if ROOT_ONLY.contains(&key.as_str()) && !call.caller.is_root() {
                return Err(format!("only root can set '{key}' config").into());
            }
        }
    }
    let settings = settings(call)?;
    if settings.is_empty() && deletes.is_empty() && reverts.is_empty() {
        return Err("no options specified".into());
    }
    if call.parameters.is_set("skiplock") && !call.caller.is_root() {
        return Err(Failure::parameter(
            "skiplock",
            "Only root may use this option.",
        ));
    }
    permitted(call, settings.keys().chain(&deletes).map(String::as_str))?;
    Ok(Change {
        settings,
        deletes,
        reverts,
    })
}

/// Changes a configuration, or has the call wait for who holds its file.
pub(super) fn change(call: &mut Call<'_>) -> Outcome {
    let vmid = call.vmid();
    prepare(call)?;
    if call.world.is_busy(vmid) {
        return Err(Failure::Busy(format!(
            "/var/lock/qemu-server/lock-{vmid}.conf"
        )));
    }
    change_now(call)
}

/// Changes a configuration: setting by setting, so what was before an error stays changed.
pub(super) fn change_now(call: &mut Call<'_>) -> Outcome {
    let (node, vmid) = (call.node(), call.vmid());
    let change = prepare(call)?;
    call.needs_quorum(|| format!("unable to open file '/etc/pve/nodes/{node}/qemu-server/{vmid}.conf.tmp.183' - Permission denied"))?;
    call.same_digest(&call.guest()?.digest(), MISMATCH)?;
    let releases_lock = change.deletes.iter().any(|key| key == "lock");
    if !(releases_lock && call.parameters.is_set("skiplock")) {
        call.unlocked()?;
    }
    apply(call, &change)
}

fn apply(call: &mut Call<'_>, change: &Change) -> Outcome {
    let (node, vmid) = (call.node(), call.vmid());
    let forced = call.parameters.is_set("force");
    let mut guest = call.guest()?.clone();
    for key in &change.reverts {
        guest.pending.remove(key);
        guest.deleting.remove(key);
    }
    let mut errors = Errors::default();
    for key in &change.deletes {
        guest.pending.remove(key);
        if !guest.config.contains_key(key) {
            continue;
        }
        let is_volume = guest::is_drive(key) || guest::is_unused(key);
        if is_volume
            && guest
                .config
                .get("protection")
                .is_some_and(|text| text == "1")
        {
            call.world.guests.insert(vmid, guest);
            return Err(format!("can't remove drive '{key}' - protection mode enabled").into());
        }
        if guest.is_running() && !is_hot(&guest, key) {
            guest.deleting.insert(key.clone(), forced);
        } else if is_volume {
            let mut config = std::mem::take(&mut guest.config);
            let detached = drives::detach(call.world, &node, vmid, &mut config, key, forced);
            guest.config = config;
            detached?;
        } else {
            guest.config.remove(key);
        }
    }
    for (key, text) in &change.settings {
        let mut text = recorded(call.world, key, text);
        if key == "tags" {
            text = tags(&text);
        }
        guest.deleting.remove(key);
        if guest::is_drive(key) {
            let mut log = Vec::new();
            let present = guest
                .config
                .get(key)
                .and_then(|drive| drive.split(',').next())
                .map(str::to_owned);
            text = match drives::make(call.world, &node, vmid, key, &text, &mut log) {
                Ok(text) => text,
                Err(reason) => {
                    call.world.guests.insert(vmid, guest);
                    return Err(reason.into());
                }
            };
            let stays = present.as_deref() == text.split(',').next();
            if !stays && (!guest.is_running() || is_hot(&guest, key)) {
                let mut config = std::mem::take(&mut guest.config);
                drives::detach(call.world, &node, vmid, &mut config, key, false)?;
                guest.config = config;
            }
        }
        if guest.config.get(key) == Some(&text) {
            guest.pending.remove(key);
        } else if !guest.is_running() {
            guest.config.insert(key.clone(), text);
        } else if !is_hot(&guest, key) {
            guest.pending.insert(key.clone(), text);
        } else if let Some(trouble) = cannot_plug(call.world, &guest, key, &text) {
            guest.pending.insert(key.clone(), text);
            errors.add(key, &trouble);
        } else {
            guest.pending.remove(key);
            guest.config.insert(key.clone(), text);
        }
    }
    call.world.guests.insert(vmid, guest);
    if errors.is_empty() {
        Answer::done()
    } else {
        Err(Failure::Parameters(errors))
    }
}

/// Whether a running machine takes a setting over at once.
fn is_hot(guest: &Guest, key: &str) -> bool {
    let features = guest
        .config
        .get("hotplug")
        .map_or("network,disk,usb", String::as_str);
    let features = if features == "1" {
        "network,disk,usb"
    } else {
        features
    };
    let has = |feature: &str| features.split(',').any(|one| one == feature);
    let is_plain = AT_ONCE.contains(&key)
        || guest::is_unused(key)
        || guest::is_cloudinit(key) && !guest::is_net(key);
    is_plain
        || guest::is_net(key) && has("network")
        || guest::is_drive(key)
            && (key.starts_with("scsi") || key.starts_with("virtio"))
            && has("disk")
        || key.starts_with("usb") && has("usb")
        || matches!(key, "memory")
            && has("memory")
            && guest.config.get("numa").is_some_and(|text| text == "1")
        || matches!(key, "vcpus") && has("cpu")
}

/// Why a device can't be plugged into a running machine.
fn cannot_plug(world: &World, guest: &Guest, key: &str, text: &str) -> Option<String> {
    let bridge = text
        .split(',')
        .find_map(|part| part.strip_prefix("bridge="))?;
    if !guest::is_net(key) || world.has_bridge(&guest.node, bridge) {
        return None;
    }
    let vmid = guest.vmid;
    Some(format!(
        "hotplug problem - VM {vmid} qmp command 'netdev_add' failed - network script /usr/libexec/qemu-server/pve-bridge-hotplug failed with status 512\n"
    ))
}

impl World {
    /// Whether machines of a node can be attached to a bridge.
    pub(crate) fn has_bridge(&self, node: &str, bridge: &str) -> bool {
        self.cluster
            .nodes
            .get(node)
            .is_some_and(|node| node.bridges.contains(bridge))
            || self.cluster.sdn.running.vnets.contains_key(bridge)
    }

    /// Whether a task that holds a guest's file is under way.
    pub(crate) fn is_busy(&self, vmid: u32) -> bool {
        let id = vmid.to_string();
        let mut running = self.running.iter().filter_map(|upid| self.tasks.get(upid));
        running.any(|task| task.id == id && task.kind.starts_with("qm") && task.kind != "qmclone")
    }

    /// Takes over what waited for a machine to be off.
    pub(crate) fn take_over_pending(&mut self, vmid: u32) -> Result<(), String> {
        let Some(mut guest) = self.guests.get(&vmid).cloned() else {
            return Ok(());
        };
        if guest.pending.is_empty() && guest.deleting.is_empty() {
            return Ok(());
        }
        let node = guest.node.clone();
        for (key, forced) in std::mem::take(&mut guest.deleting) {
            drives::detach(self, &node, vmid, &mut guest.config, &key, forced)?;
            guest.config.remove(&key);
        }
        for (key, text) in std::mem::take(&mut guest.pending) {
            if guest::is_drive(&key) {
                drives::detach(self, &node, vmid, &mut guest.config, &key, false)?;
            }
            guest.config.insert(key, text);
        }
        self.guests.insert(vmid, guest);
        Ok(())
    }
}
