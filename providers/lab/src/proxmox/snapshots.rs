//! Snapshots.

use serde_json::json;

use super::work::Work;
use super::{Answer, Call, Handler, Outcome, settings};

pub(super) const METHODS: &[(&str, Handler)] = &[
    ("GET /nodes/{node}/qemu/{vmid}/snapshot", list),
    ("POST /nodes/{node}/qemu/{vmid}/snapshot", add),
    ("DELETE /nodes/{node}/qemu/{vmid}/snapshot/{snapname}", drop),
    (
        "GET /nodes/{node}/qemu/{vmid}/snapshot/{snapname}/config",
        config,
    ),
    (
        "PUT /nodes/{node}/qemu/{vmid}/snapshot/{snapname}/config",
        describe,
    ),
    (
        "POST /nodes/{node}/qemu/{vmid}/snapshot/{snapname}/rollback",
        roll_back,
    ),
];

fn list(call: &mut Call<'_>) -> Outcome {
    let guest = call.guest()?;
    let mut told: Vec<_> = guest
        .snapshots
        .iter()
        .map(|(name, snapshot)| {
            let mut told = json!({
                "name": name, "description": snapshot.description, "snaptime": snapshot.time,
                "vmstate": i32::from(snapshot.with_memory),
            });
            if let Some(parent) = &snapshot.parent {
                told["parent"] = json!(parent);
            }
            told
        })
        .collect();
    let mut current = json!({
        "name": "current", "description": "You are here!", "digest": guest.digest(), "running": i32::from(guest.is_running()),
    });
    if let Some(parent) = &guest.parent {
        current["parent"] = json!(parent);
    }
    told.push(current);
    Answer::data(told)
}

fn add(call: &mut Call<'_>) -> Outcome {
    let vmid = call.vmid();
    let name = call.parameters.needed("snapname").to_owned();
    if name == "current" {
        return Err("unable to use snapshot name 'current' (reserved name)".into());
    }
    let guest = call.guest()?;
    let is_used = guest.snapshots.contains_key(&name);
    if is_used {
        return call.task(
            "qmsnapshot",
            0.0,
            Work::refused(format!("snapshot name '{name}' already used")),
        );
    }
    call.unlocked()?;
    call.needs_quorum(|| "cluster not ready - no quorum?".into())?;
    let with_memory = call.parameters.is_set("vmstate") && call.guest()?.is_running();
    let description = call
        .parameters
        .text("description")
        .unwrap_or_default()
        .to_owned();
    call.guest_mut()?
        .config
        .insert("lock".into(), "snapshot".into());
    let seconds = if with_memory { 5.0 } else { 1.0 };
    call.task(
        "qmsnapshot",
        seconds,
        Work::Snapshot {
            vmid,
            name,
            description,
            with_memory,
        },
    )
}

fn needs(call: &Call<'_>) -> Result<String, super::Failure> {
    let name = call.parameters.needed("snapname").to_owned();
    if call.guest()?.snapshots.contains_key(&name) {
        Ok(name)
    } else {
        Err(format!("snapshot '{name}' does not exist").into())
    }
}

/// A snapshot that is not there is found by the task.
fn drop(call: &mut Call<'_>) -> Outcome {
    let vmid = call.vmid();
    call.guest()?;
    match needs(call) {
        Err(super::Failure::Said(reason)) => call.task("qmdelsnapshot", 0.0, Work::refused(reason)),
        Err(other) => Err(other),
        Ok(name) => {
            call.unlocked()?;
            call.guest_mut()?
                .config
                .insert("lock".into(), "snapshot-delete".into());
            call.task("qmdelsnapshot", 1.0, Work::DropSnapshot { vmid, name })
        }
    }
}

fn config(call: &mut Call<'_>) -> Outcome {
    let name = needs(call)?;
    let guest = call.guest()?;
    let Some(snapshot) = guest.snapshots.get(&name) else {
        return Answer::done();
    };
    let mut told = settings::told(&snapshot.config);
    told["snaptime"] = json!(snapshot.time);
    Answer::data(told)
}

fn describe(call: &mut Call<'_>) -> Outcome {
    let name = needs(call)?;
    let description = call.parameters.text("description").map(str::to_owned);
    let guest = call.guest_mut()?;
    if let (Some(snapshot), Some(description)) = (guest.snapshots.get_mut(&name), description) {
        snapshot.description = description;
    }
    Answer::done()
}

fn roll_back(call: &mut Call<'_>) -> Outcome {
    let vmid = call.vmid();
    match needs(call) {
        Err(super::Failure::Said(reason)) => call.task("qmrollback", 0.0, Work::refused(reason)),
        Err(other) => Err(other),
        Ok(name) => {
            call.unlocked()?;
            let starts = call.parameters.is_set("start");
            call.guest_mut()?
                .config
                .insert("lock".into(), "rollback".into());
            call.task("qmrollback", 1.0, Work::RollBack { vmid, name, starts })
        }
    }
}
