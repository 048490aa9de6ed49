//! Starting, stopping, moving.

use serde_json::{Map, Value, json};

use super::work::Work;
use super::{Answer, Call, Failure, Handler, Outcome};
use crate::world::guest::{self, Power};
use crate::world::{Order, now};

pub(super) const METHODS: &[(&str, Handler)] = &[
    ("GET /nodes/{node}/qemu/{vmid}/status/current", current),
    ("POST /nodes/{node}/qemu/{vmid}/status/start", start),
    ("POST /nodes/{node}/qemu/{vmid}/status/stop", stop),
    ("POST /nodes/{node}/qemu/{vmid}/status/shutdown", shutdown),
    ("POST /nodes/{node}/qemu/{vmid}/status/reboot", reboot),
    ("POST /nodes/{node}/qemu/{vmid}/status/reset", reset),
    ("POST /nodes/{node}/qemu/{vmid}/status/suspend", suspend),
    ("POST /nodes/{node}/qemu/{vmid}/status/resume", resume),
    ("GET /nodes/{node}/qemu/{vmid}/migrate", can_migrate),
    ("POST /nodes/{node}/qemu/{vmid}/migrate", migrate),
];

fn current(call: &mut Call<'_>) -> Outcome {
    let guest = call.guest()?;
    let is_running = guest.is_running();
    let status = if is_running { "running" } else { "stopped" };
    let memory = if is_running { guest.memory() / 3 } else { 0 };
    let mut told = json!({
        "vmid": guest.vmid, "name": guest.name(), "status": status, "cpus": guest.cores(), "maxmem": guest.memory(),
        "maxdisk": guest.disk(), "mem": memory, "memhost": memory, "cpu": 0, "disk": 0, "netin": 0, "netout": 0,
        "diskread": 0, "diskwrite": 0, "ha": { "managed": 0 },
        "qmpstatus": if guest.power == Power::Paused { "paused" } else { status },
        "uptime": if is_running { now().saturating_sub(guest.started) / 1000 } else { 0 },
    });
    if is_running {
        told["pid"] = json!(guest.pid);
        let nics = guest
            .config
            .keys()
            .filter(|key| guest::is_net(key))
            .map(|key| {
                let name = format!("tap{}i{}", guest.vmid, key.trim_start_matches("net"));
                (name, json!({ "netin": 0, "netout": 0 }))
            });
        told["nics"] = Value::Object(nics.collect());
        for key in [
            "pressurecpusome",
            "pressurecpufull",
            "pressureiosome",
            "pressureiofull",
            "pressurememorysome",
            "pressurememoryfull",
        ] {
            told[key] = json!(0);
        }
    }
    for key in ["tags", "lock"] {
        if let Some(value) = guest.config.get(key) {
            told[key] = json!(value);
        }
    }
    if guest.is_template() {
        told["template"] = json!(1);
    }
    if guest.config.contains_key("serial0") {
        told["serial"] = json!(1);
    }
    if super::agent::is_enabled(guest) {
        told["agent"] = json!(1);
    }
    Answer::data(told)
}

/// Begins work that changes whether the machine runs. A lock is found by the task, not by the call.
fn power(call: &mut Call<'_>, kind: &str, seconds: f64, work: Work) -> Outcome {
    call.guest()?;
    if call.parameters.is_set("skiplock") && !call.caller.is_root() {
        return Err(Failure::parameter(
            "skiplock",
            "Only root may use this option.",
        ));
    }
    call.needs_quorum(|| "cluster not ready - no quorum?".into())?;
    let lock = call.guest()?.lock().map(str::to_owned);
    match lock.filter(|_| !call.parameters.is_set("skiplock")) {
        Some(lock) => {
            let work = Work::refused(format!("VM is locked ({lock})"));
            call.task(kind, 0.0, work)
        }
        None => call.task(kind, seconds, work),
    }
}

fn start(call: &mut Call<'_>) -> Outcome {
    let vmid = call.vmid();
    if call.guest()?.is_template() {
        return Err("you can't start a vm if it's a template".into());
    }
    if call.guest()?.is_running() && !call.world.is_busy(vmid) {
        return Err(format!("VM {vmid} already running").into());
    }
    power(call, "qmstart", 3.0, Work::Start { vmid })
}

fn stop(call: &mut Call<'_>) -> Outcome {
    let vmid = call.vmid();
    if call.parameters.is_set("overrule-shutdown") {
        call.world.end_tasks(vmid, "qmshutdown");
    }
    let seconds = if call.guest()?.is_running() { 1.0 } else { 0.0 };
    power(call, "qmstop", seconds, Work::Stop { vmid })
}

fn shutdown(call: &mut Call<'_>) -> Outcome {
    let vmid = call.vmid();
    let hangs = call.world.cluster.faults.hanging.contains(&vmid);
    let timeout: f64 = call.parameters.number("timeout").unwrap_or(60.0);
    let forced = call.parameters.is_set("forceStop");
    let is_running = call.guest()?.is_running();
    let agent_answers = call.guest()?.agent_channel;
    if is_running && !hangs && has_system(call)? {
        return go_down(call, "qmshutdown", timeout, forced, false);
    }
    let (seconds, work) = match (is_running, hangs, forced) {
        (false, ..) => (0.0, Work::Stop { vmid }),
        (true, false, _) => (timeout.min(4.0), Work::Stop { vmid }),
        (true, true, true) => (timeout, Work::Stop { vmid }),
        (true, true, false) => {
            let line = format!(
                "QEMU Guest Agent is not running - VM {vmid} qga command 'guest-ping' failed - got timeout"
            );
            let log = if agent_answers {
                Vec::new()
            } else {
                vec![line]
            };
            (
                timeout,
                Work::TooLate {
                    reason: "VM quit/powerdown failed - got timeout".into(),
                    log,
                },
            )
        }
    };
    power(call, "qmshutdown", seconds, work)
}

/// Whether the guest has a system of its own, which takes the time it takes.
fn has_system(call: &Call<'_>) -> Result<bool, Failure> {
    let guest = call.guest()?;
    Ok(call.world.system_of(guest).is_some() && call.world.alive.contains(&guest.vmid))
}

/// Presses the power button; the task waits for what comes of it. Its time is that of life, however fast other tasks run.
fn go_down(
    call: &mut Call<'_>,
    kind: &str,
    timeout: f64,
    is_forced: bool,
    comes_back: bool,
) -> Outcome {
    let vmid = call.vmid();
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a timeout that was checked to be in its range"
    )]
    let until = now() + (timeout * 1000.0) as u64;
    let work = Work::GoDown {
        vmid,
        until,
        is_forced,
        comes_back,
    };
    let answer = power(call, kind, 0.0, work)?;
    // A task that is to fail, by a lock or a fault, leaves the button alone.
    let mut running = call.world.running.iter();
    let is_begun = running.any(|upid| {
        let work = call
            .world
            .tasks
            .get(upid)
            .and_then(|task| task.work.as_ref());
        matches!(work, Some(Work::GoDown { vmid: of, .. }) if *of == vmid)
    });
    if is_begun {
        call.world.orders.push(Order::PowerButton(vmid));
    }
    Ok(answer)
}

fn reboot(call: &mut Call<'_>) -> Outcome {
    let vmid = call.vmid();
    if !call.guest()?.is_running() {
        return Err("VM is not running".into());
    }
    if has_system(call)? {
        let timeout = call.parameters.number("timeout").unwrap_or(180.0);
        return go_down(call, "qmreboot", timeout, false, true);
    }
    power(call, "qmreboot", 6.0, Work::Reboot { vmid })
}

fn running(call: &Call<'_>) -> Result<u32, Failure> {
    let vmid = call.vmid();
    if call.guest()?.is_running() {
        Ok(vmid)
    } else {
        Err(format!("VM {vmid} not running").into())
    }
}

fn reset(call: &mut Call<'_>) -> Outcome {
    let vmid = running(call)?;
    power(call, "qmreset", 1.0, Work::Reset { vmid })
}

fn suspend(call: &mut Call<'_>) -> Outcome {
    let vmid = running(call)?;
    power(
        call,
        "qmpause",
        0.5,
        Work::Pause {
            vmid,
            is_paused: true,
        },
    )
}

fn resume(call: &mut Call<'_>) -> Outcome {
    let vmid = running(call)?;
    power(
        call,
        "qmresume",
        0.5,
        Work::Pause {
            vmid,
            is_paused: false,
        },
    )
}

/// Returns the volumes of the guest that only its node has.
fn local_disks(call: &Call<'_>) -> Result<Vec<Value>, Failure> {
    let guest = call.guest()?;
    let drives = guest
        .config
        .iter()
        .filter(|(key, _)| guest::is_drive(key) || guest::is_unused(key));
    let local = drives.filter_map(|(key, drive)| {
        let volid = drive.split(',').next()?;
        let (storage, _) = volid.split_once(':')?;
        let is_shared = call.world.cluster.storages.get(storage)?.is_shared;
        (!is_shared).then(|| json!({ "volid": volid, "drivename": key, "cdrom": i32::from(drive.contains("media=cdrom")) }))
    });
    Ok(local.collect())
}

fn can_migrate(call: &mut Call<'_>) -> Outcome {
    let (node, local) = (call.node(), local_disks(call)?);
    let guest = call.guest()?;
    let others: Vec<&String> = call.world.up().filter(|name| **name != node).collect();
    let mut told = json!({
        "running": i32::from(guest.is_running()), "local_disks": local, "local_resources": [], "mapped-resources": [],
        "mapped-resource-info": {}, "has-dbus-vmstate": 1,
    });
    if !guest.is_running() {
        told["allowed_nodes"] = json!(others);
        let none: Map<_, _> = others
            .iter()
            .map(|name| ((*name).clone(), json!({})))
            .collect();
        told["not_allowed_nodes"] = Value::Object(none);
    }
    Answer::data(told)
}

fn migrate(call: &mut Call<'_>) -> Outcome {
    let (node, vmid) = (call.node(), call.vmid());
    let target = call.parameters.needed("target").to_owned();
    call.needs_quorum(|| "cluster not ready - no quorum?".into())?;
    for name in ["force", "migration_type"] {
        if call.parameters.text(name).is_some() && !call.caller.is_root() {
            return Err(Failure::parameter(name, "Only root may use this option."));
        }
    }
    if target == node {
        return Err(Failure::parameter("target", "target is local node."));
    }
    if !call.world.cluster.nodes.contains_key(&target) {
        return Err(Failure::parameter("target", "no such cluster node"));
    }
    if !call.world.is_up(&target) {
        return Err(format!("no such cluster node '{target}' is online").into());
    }
    let is_running = call.guest()?.is_running();
    if is_running && !call.parameters.is_set("online") {
        return Err("can't migrate running VM without --online".into());
    }
    call.unlocked()?;
    let local = local_disks(call)?;
    let moves_disks = !is_running || call.parameters.is_set("with-local-disks");
    if let Some(disk) = local.first().filter(|_| !moves_disks) {
        let reason = format!(
            "can't live migrate attached local disks without with-local-disks option: {}",
            disk["volid"]
        );
        return call.task("qmigrate", 0.0, Work::refused(reason));
    }
    #[expect(clippy::cast_precision_loss, reason = "a handful of disks")]
    let seconds = 4.0 + 4.0 * local.len() as f64;
    if let Some(guest) = call.world.guests.get_mut(&vmid) {
        guest.config.insert("lock".into(), "migrate".into());
    }
    let storage = call.parameters.text("targetstorage").map(str::to_owned);
    call.task(
        "qmigrate",
        seconds,
        Work::Migrate {
            vmid,
            target,
            storage,
        },
    )
}
