//! What a change of a machine comes to: what is refused, what waits for a reboot, what goes with its data.

use dmp_sdk::{AttributePath, Change, Diagnostic, Effect, Value};

use super::read;
use super::settings::SETTINGS;
use super::wanted::{self, flag, text};

pub(super) fn plan(change: &mut Change<'_>) -> Result<(), Diagnostic> {
    wanted::check(&change.planned)?;
    check_source(change)?;
    plan_disks(change)?;
    plan_reboot(change);
    plan_first_boot(change);
    plan_computed(change);
    Ok(())
}

fn wrong(attribute: &str, why: impl Into<String>) -> Diagnostic {
    Diagnostic::error("wrong-argument", "unusable argument")
        .detail(why)
        .path(AttributePath::of(attribute))
}

fn check_source(change: &Change<'_>) -> Result<(), Diagnostic> {
    let clone = change.planned.get("clone");
    if clone.is_null() || !clone.is_known() {
        return Ok(());
    }
    let template = clone.get("template");
    if template.is_null() {
        return Err(wrong(
            "clone",
            "`template` is missing: the id or the name of what is copied",
        ));
    }
    let is_linked = flag(&clone, "full") == Some(false);
    if is_linked && !clone.get("storage").is_null() {
        return Err(wrong(
            "clone",
            "a linked clone lies where its template lies: leave out `storage`, or make a whole copy",
        ));
    }
    let disks = change.planned.get("disk");
    for (index, disk) in disks.as_items().unwrap_or_default().iter().enumerate() {
        if !disk.get("import_from").is_null() && text(disk, "slot").is_none() {
            return Err(Diagnostic::error("wrong-argument", "unusable argument")
                .detail("a clone brings disks along: name the `slot` of a further one")
                .path(AttributePath::of("disk").index(index).member("slot")));
        }
    }
    Ok(())
}

/// The disks by slot, with size and worth, as far as they are known.
fn by_slot(value: &Value) -> Vec<(String, Option<i64>, bool)> {
    let disks = wanted::disks(value);
    disks
        .into_iter()
        .map(|disk| (disk.slot, disk.size_gib, disk.primary))
        .collect()
}

fn plan_disks(change: &mut Change<'_>) -> Result<(), Diagnostic> {
    let Some(prior) = change.prior else {
        return Ok(());
    };
    let disks = change.planned.get("disk");
    if !disks.is_known() {
        return Ok(());
    }
    let (before, after) = (by_slot(prior), by_slot(&change.planned));
    for (index, (slot, size, _)) in after.iter().enumerate() {
        let old = before.iter().find(|(other, ..)| other == slot);
        let Some((_, Some(old), _)) = old else {
            continue;
        };
        if size.is_some_and(|size| size < *old) {
            return Err(Diagnostic::error("shrinks", "a disk can't shrink")
                .detail(format!("`{slot}` has {old} GiB"))
                .path(AttributePath::of("disk").index(index).member("size_gib"))
                .help(format!(
                    "write at least {old}; a smaller disk is a new one, at another slot"
                )));
        }
    }
    let deletes = text(&change.planned, "removed_disks").as_deref() == Some("delete");
    for (slot, _, primary) in &before {
        if after.iter().any(|(other, ..)| other == slot) {
            continue;
        }
        if !deletes {
            change.note(format!(
                "`{slot}` is taken out of the machine; its volume stays, as unused"
            ));
            continue;
        }
        if *primary {
            return Err(Diagnostic::error("primary-data", "refused to delete primary data")
                .detail(format!("`{slot}` holds data that may exist nowhere else"))
                .path(AttributePath::of("disk"))
                .help("set `removed_disks = \"detach\"` to keep its volume, or apply `primary = false` for it first"));
        }
        change.effect(Effect::DataLoss {
            what: format!("disk `{slot}`"),
        });
    }
    Ok(())
}

/// Names the reboot that a change needs, or says that it waits for one.
fn plan_reboot(change: &mut Change<'_>) {
    let Some(prior) = change.prior else {
        return;
    };
    let runs =
        flag(prior, "started") == Some(true) && flag(&change.planned, "started") != Some(false);
    let mut waits: Vec<String> = SETTINGS
        .iter()
        .filter(|setting| setting.needs_reboot && change.changes(setting.attribute))
        .map(|setting| format!("`{}`", setting.attribute))
        .collect();
    for attribute in ["serial", "efi_disk"] {
        if change.changes(attribute) {
            waits.push(format!("`{attribute}`"));
        }
    }
    let is_allowed = flag(&change.planned, "reboot") != Some(false);
    let before = wanted::texts(prior, "pending");
    if runs && is_allowed && !before.is_empty() {
        waits.extend(before.iter().map(|key| format!("`{key}`")));
        change.set("pending", Value::list(Vec::new()));
    }
    if !runs || waits.is_empty() {
        return;
    }
    waits.sort();
    waits.dedup();
    let waits = waits.join(", ");
    let name = text(prior, "name").unwrap_or_default();
    match is_allowed {
        true => {
            change.effect(Effect::Reboot {
                what: format!("`{name}`"),
            });
            change.note(format!("{waits}: takes effect by a reboot"));
        }
        false => {
            change.note(format!(
                "{waits}: waits for the next boot, since `reboot = false`"
            ));
            change.unknown("pending");
        }
    }
}

fn plan_first_boot(change: &mut Change<'_>) {
    let Some(prior) = change.prior else {
        return;
    };
    if !change.changes("cloud_init") && !change.changes("user_data") {
        return;
    }
    let by_seed = |value: &Value| wanted::cloud_init(value).is_some_and(|told| told.by_seed);
    if by_seed(prior) || by_seed(&change.planned) {
        change.note(
            "what a machine is told at its first boot reaches only one that is made anew: this changes the record alone",
        );
    } else {
        change.note(
            "cloud-init takes the machine for a new one at its next boot, and makes new SSH host keys there",
        );
    }
}

/// What follows from arguments is known before.
fn plan_computed(change: &mut Change<'_>) {
    let told_is_known = ["cloud_init", "user_data", "bastion", "ssh_port"]
        .iter()
        .all(|name| change.planned.get(name).is_wholly_known());
    let told = wanted::cloud_init(&change.planned);
    let fixed = told.as_ref().and_then(wanted::CloudInit::fixed_address);
    let prior_key = change.prior.and_then(|prior| text(prior, "host_key"));
    match change.prior {
        None => {
            // A key that is made in the same run is not known yet; where the machine will be is.
            let given = change.planned.get("cloud_init");
            let addresses_are_known = given.is_known() && given.get("address").is_wholly_known();
            if let Some(address) = fixed.clone().filter(|_| addresses_are_known) {
                change.set("address", address.into());
            }
            if told_is_known {
                let makes_key = told.as_ref().is_some_and(|told| told.host_key);
                if !makes_key {
                    change.set("host_key", Value::null());
                }
                if told.is_none() && flag(&change.planned, "agent") == Some(false) {
                    change.set("address", Value::null());
                }
                if told.is_none() {
                    change.set("connection", Value::null());
                }
            }
        }
        Some(prior) => {
            let changes_way = ["cloud_init", "bastion", "user_data", "ssh_port"]
                .iter()
                .any(|name| change.changes(name));
            if changes_way && !told_is_known {
                change.unknown("address");
                change.unknown("connection");
            } else if changes_way {
                let before = wanted::cloud_init(prior).and_then(|told| told.fixed_address());
                let address = match (&fixed, before) {
                    (Some(address), _) => Some(address.clone()),
                    // It comes by DHCP from now on.
                    (None, Some(_)) => {
                        change.unknown("address");
                        change.unknown("connection");
                        return;
                    }
                    (None, None) => text(prior, "address"),
                };
                change.set("address", address.clone().into());
                let planned = change.planned.with("host_key", prior_key.into());
                let machine = address.and_then(|address| read::connection(&planned, &address));
                let machine = machine.map_or_else(Value::null, |machine| machine.to_value());
                change.set("connection", machine);
            }
            if change.changes("node") {
                change.note("it moves to the other node");
                change.unknown("failure_domains");
            }
            if change.changes("disk") {
                change.unknown("failure_domains");
            }
            if change.changes("network") {
                change.unknown("mac_addresses");
            }
        }
    }
}

/// What goes with a machine.
pub(super) fn plan_delete(prior: &Value) -> (Vec<Effect>, Vec<String>) {
    let disks = by_slot(prior);
    let slots: Vec<String> = disks
        .iter()
        .map(|(slot, size, primary)| {
            let size = size.map(|size| format!(", {size} GiB")).unwrap_or_default();
            let worth = if *primary { ", primary" } else { "" };
            format!("`{slot}`{size}{worth}")
        })
        .collect();
    let name = text(prior, "name").unwrap_or_default();
    let mut effects = Vec::new();
    if disks.iter().any(|(.., primary)| *primary) {
        effects.push(Effect::DataLoss {
            what: format!("primary disks of `{name}`"),
        });
    }
    let notes = match slots.is_empty() {
        true => Vec::new(),
        false => vec![format!("its disks go with it: {}", slots.join("; "))],
    };
    (effects, notes)
}
