//! Guests: listed, made, cloned, made into templates, destroyed.

use serde_json::{Value, json};

use super::work::{Cloning, Work};
use super::{Answer, Call, Failure, Handler, Outcome, drives, settings};
use crate::world::guest::{self, Guest, Settings};
use crate::world::now;

pub(super) const METHODS: &[(&str, Handler)] = &[
    ("GET /nodes/{node}/qemu", list),
    ("POST /nodes/{node}/qemu", create),
    ("DELETE /nodes/{node}/qemu/{vmid}", destroy),
    ("POST /nodes/{node}/qemu/{vmid}/clone", clone),
    ("POST /nodes/{node}/qemu/{vmid}/template", template),
];

fn list(call: &mut Call<'_>) -> Outcome {
    let node = call.node();
    let guests = call
        .world
        .guests
        .values()
        .filter(|guest| guest.node == node);
    let shown = guests.filter(|guest| call.may(&format!("/vms/{}", guest.vmid), &["VM.Audit"]));
    let told = shown.map(|guest| {
        let is_running = guest.is_running();
        let memory = if is_running { guest.memory() / 3 } else { 0 };
        let mut told = json!({
            "vmid": guest.vmid, "name": guest.name(), "status": if is_running { "running" } else { "stopped" },
            "cpus": guest.cores(), "maxmem": guest.memory(), "maxdisk": guest.disk(), "mem": memory, "memhost": memory, "cpu": 0,
            "disk": 0, "netin": 0, "netout": 0, "diskread": 0, "diskwrite": 0,
            "uptime": if is_running { now().saturating_sub(guest.started) / 1000 } else { 0 },
        });
        for key in ["tags", "lock"] {
            if let Some(value) = guest.config.get(key) {
                told[key] = json!(value);
            }
        }
        if guest.is_template() {
            told["template"] = json!(1);
        }
        if is_running {
            told["pid"] = json!(guest.pid);
        }
        told
    });
    Answer::data(told.collect::<Vec<Value>>())
}

fn create(call: &mut Call<'_>) -> Outcome {
    let (node, vmid) = (call.node(), call.vmid());
    if call.parameters.text("archive").is_some() {
        return Err("unable to restore - the lab keeps no backups".into());
    }
    if let Some(pool) = call.parameters.text("pool")
        && !call.world.cluster.pools.contains_key(pool)
    {
        return Err(format!("pool '{pool}' does not exist").into());
    }
    let by_pool = call
        .parameters
        .text("pool")
        .is_some_and(|pool| call.may(&format!("/pool/{pool}"), &["VM.Allocate"]));
    if !by_pool && !call.may(&format!("/vms/{vmid}"), &["VM.Allocate"]) {
        return Err(Failure::Permission("Permission check failed".into()));
    }
    let failed = |text: String| Failure::Said(format!("unable to create VM {vmid} - {text}"));
    call.needs_quorum(|| {
        format!("unable to create VM {vmid} - unable to open file '/etc/pve/nodes/{node}/qemu-server/{vmid}.conf.tmp.183' - Permission denied")
    })?;
    if let Some(other) = call.world.guests.get(&vmid) {
        return Err(failed(format!(
            "VM {vmid} already exists on node '{}'",
            other.node
        )));
    }
    let given = settings::settings(call)?;
    settings::permitted(call, given.keys().map(String::as_str))?;
    let cloudinit = given.iter().filter(|(key, text)| {
        guest::is_drive(key)
            && text
                .split(',')
                .next()
                .is_some_and(|file| file.ends_with(":cloudinit"))
    });
    if cloudinit.count() > 1 {
        return Err(failed("there can be only one cloud-init drive".into()));
    }
    let (drives, plain): (Settings, Settings) =
        given.into_iter().partition(|(key, _)| guest::is_drive(key));
    let mut guest = Guest::new(vmid, &node);
    for (key, text) in plain {
        let text = settings::recorded(call.world, &key, &text);
        guest.config.insert(key, text);
    }
    guest.config.insert("lock".into(), "create".into());
    call.world.guests.insert(vmid, guest);
    if let Some(pool) = call.parameters.text("pool").map(str::to_owned)
        && let Some(pool) = call.world.cluster.pools.get_mut(&pool)
    {
        pool.guests.insert(vmid);
    }
    let copied: f64 = drives
        .iter()
        .map(|(key, text)| drives::gib_to_copy(call.world, &node, key, text))
        .sum();
    let work = Work::Create {
        vmid,
        drives,
        starts: call.parameters.is_set("start"),
        user: call.caller.name(),
    };
    call.task("qmcreate", 1.0 + copied, work)
}

fn destroy(call: &mut Call<'_>) -> Outcome {
    let vmid = call.vmid();
    let guest = call.guest()?;
    if guest
        .config
        .get("protection")
        .is_some_and(|text| text == "1")
    {
        return Err(format!("can't remove VM {vmid} - protection mode enabled").into());
    }
    if guest.is_running() {
        return Err(format!("VM {vmid} is running - destroy failed").into());
    }
    call.needs_quorum(|| "cluster not ready - no quorum?".into())?;
    let lock = guest.lock().map(str::to_owned);
    match lock.filter(|_| !call.parameters.is_set("skiplock")) {
        Some(lock) => call.task(
            "qmdestroy",
            0.0,
            Work::refused(format!("VM is locked ({lock})")),
        ),
        None => {
            let purges = call.parameters.is_set("purge");
            call.task("qmdestroy", 1.0, Work::Destroy { vmid, purges })
        }
    }
}

fn clone(call: &mut Call<'_>) -> Outcome {
    let (node, source) = (call.node(), call.vmid());
    let newid: u32 = call.parameters.number("newid").unwrap_or_default();
    let target = call.parameters.text("target").unwrap_or(&node).to_owned();
    let guest = call.guest()?;
    let is_full = call.parameters.flag("full").unwrap_or(!guest.is_template());
    call.unlocked()?;
    if !call.world.is_up(&target) {
        return Err(format!("no such cluster node '{target}'").into());
    }
    let config = match call.parameters.text("snapname") {
        Some(name) => guest
            .snapshots
            .get(name)
            .ok_or(format!("snapshot '{name}' does not exist"))?
            .config
            .clone(),
        None => guest.config.clone(),
    };
    let storage = call.parameters.text("storage").map(str::to_owned);
    for name in ["storage", "format"] {
        if !is_full && call.parameters.text(name).is_some() {
            return Err(format!("parameter '{name}' not allowed for linked clones").into());
        }
    }
    if !is_full && !guest.is_template() {
        return Err("linked clones need a template".into());
    }
    if call.world.guests.contains(&newid) {
        return Err(format!("unable to create VM {newid}: config file already exists").into());
    }
    let mut gib = 0.0;
    for (_, drive) in config.iter().filter(|(key, _)| guest::is_drive(key)) {
        let volid = drive.split(',').next().unwrap_or_default();
        let Some((on, _)) = volid.split_once(':') else {
            continue;
        };
        let is_shared = call
            .world
            .cluster
            .storages
            .get(on)
            .is_some_and(|storage| storage.is_shared);
        if target != node && !is_shared {
            return Err(
                format!("can't clone VM to node '{target}' (VM uses local storage)").into(),
            );
        }
        if drive.contains("media=cdrom") && !volid.contains("cloudinit") {
            continue;
        }
        let destination = storage.as_deref().filter(|_| is_full).unwrap_or(on);
        call.world.storage_on(&target, destination)?;
        call.must(
            &format!("/storage/{destination}"),
            &["Datastore.AllocateSpace"],
        )?;
        let size = drive
            .split(',')
            .find_map(|part| part.strip_prefix("size="))
            .and_then(crate::schema::size);
        if is_full {
            #[expect(clippy::cast_precision_loss, reason = "a duration needs no more")]
            let copied = size.unwrap_or(0) as f64 / f64::from(1 << 30);
            gib += copied;
        }
    }
    if let Some(pool) = call.parameters.text("pool")
        && !call.world.cluster.pools.contains_key(pool)
    {
        return Err(format!("pool '{pool}' does not exist").into());
    }
    call.needs_quorum(|| format!("unable to create VM {newid}: unable to open file '/etc/pve/nodes/{node}/qemu-server/{newid}.conf.tmp.183' - Permission denied"))?;
    // Until the task ends the new configuration is a beginning of one.
    let mut new = Guest::new(newid, &node);
    new.config.insert("lock".into(), "clone".into());
    call.world.guests.insert(newid, new);
    if let Some(pool) = call.parameters.text("pool").map(str::to_owned)
        && let Some(pool) = call.world.cluster.pools.get_mut(&pool)
    {
        pool.guests.insert(newid);
    }
    let source_name = config
        .get("name")
        .cloned()
        .unwrap_or_else(|| source.to_string());
    let cloning = Cloning {
        source,
        newid,
        target,
        is_full,
        storage,
        name: call
            .parameters
            .text("name")
            .map_or(format!("Copy-of-VM-{source_name}"), str::to_owned),
        description: call.parameters.text("description").map(str::to_owned),
        config,
    };
    call.task("qmclone", 2.0 + gib, Work::Clone(Box::new(cloning)))
}

fn template(call: &mut Call<'_>) -> Outcome {
    let vmid = call.vmid();
    let guest = call.guest()?;
    if guest.is_template() {
        return Err("you can't convert a VM to template if VM is already a template".into());
    }
    if guest.is_running() {
        return Err("you can't convert a VM to template if VM is running".into());
    }
    if !guest.snapshots.is_empty() {
        return Err("unable to create template, because VM contains snapshots".into());
    }
    call.unlocked()?;
    call.task("qmtemplate", 1.0, Work::Template { vmid })
}
