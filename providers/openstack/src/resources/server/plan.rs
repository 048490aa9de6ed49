//! What a change of a server comes to.

use dmp_sdk::{AttributePath, Change, Diagnostic, Effect, Value};

use super::super::primary::is_primary;
use super::{read, rebuild, user_data, wanted};
use crate::marked;
use crate::values::{is_given, text_at, wrong};

pub(super) fn plan(change: &mut Change<'_>) -> Result<(), Diagnostic> {
    wanted::check_plugs(&change.planned)?;
    check_boot(change)?;
    check_texts(change)?;
    rebuild::check(&change.planned)?;
    match change.prior {
        None => plan_new(change),
        Some(prior) => {
            let prior = prior.clone();
            plan_change(change, &prior);
            rebuild::plan(change, &prior)?;
        }
    }
    Ok(())
}

fn check_boot(change: &Change<'_>) -> Result<(), Diagnostic> {
    let devices = change.planned.get("block_device");
    let image = change.planned.get("image_id");
    if !devices.is_wholly_known() {
        return Ok(());
    }
    let items = devices.as_items().unwrap_or_default();
    let boots = items
        .iter()
        .any(|item| item.get("boot_index").as_i64() == Some(0));
    if image.is_null() && !boots {
        return Err(wrong(
            "image_id",
            "there is nothing to boot from: name an `image_id`, or a `block_device` with `boot_index = 0`",
        ));
    }
    if is_given(&change.planned, "image_id") && boots {
        return Err(wrong(
            "image_id",
            "it boots from a `block_device` already: leave `image_id` out",
        ));
    }
    const SOURCES: [&str; 4] = ["image", "volume", "snapshot", "blank"];
    for (index, item) in items.iter().enumerate() {
        let at = |name: &str, why: String| {
            Err(Diagnostic::error("wrong-argument", "unusable argument")
                .detail(why)
                .path(AttributePath::of("block_device").index(index).member(name)))
        };
        let source = text_at(item, "source").unwrap_or_default();
        if !SOURCES.contains(&source.as_str()) {
            return at(
                "source",
                format!("`{source}` is none of `{}`", SOURCES.join("`, `")),
            );
        }
        if (source == "blank") != item.get("id").is_null() {
            return at(
                "id",
                "a `blank` disk has no `id`, all others need one".into(),
            );
        }
        match text_at(item, "destination").as_deref() {
            None | Some("volume" | "local") => {}
            Some(other) => {
                return at(
                    "destination",
                    format!("`{other}` is neither `volume` nor `local`"),
                );
            }
        }
        let needs_size = matches!(source.as_str(), "image" | "blank")
            && text_at(item, "destination").as_deref() != Some("local");
        if needs_size && item.get("size_gib").is_null() {
            return at("size_gib", "a new volume needs a `size_gib`".into());
        }
    }
    Ok(())
}

fn check_texts(change: &Change<'_>) -> Result<(), Diagnostic> {
    let metadata = change.planned.get("metadata");
    if metadata
        .as_members()
        .is_some_and(|members| members.contains_key(marked::KEY))
    {
        return Err(wrong(
            "metadata",
            format!("`{}` is where dmp's own mark stands", marked::KEY),
        ));
    }
    let length = text_at(&change.planned, "user_data").map_or(0, |text| text.len());
    if length + user_data::OWN_BYTES > user_data::MOST_BYTES {
        return Err(wrong(
            "user_data",
            format!(
                "it has {length} bytes; Nova takes about {}",
                user_data::MOST_BYTES - user_data::OWN_BYTES
            ),
        ));
    }
    let groups = change.planned.get("security_group_ids");
    let plugs = wanted::plugs(&change.planned);
    let only_ports = plugs
        .is_some_and(|plugs| !plugs.is_empty() && plugs.iter().all(|plug| plug.port.is_some()));
    if !groups.is_null() && only_ports && change.planned.get("network").is_wholly_known() {
        return Err(wrong(
            "security_group_ids",
            "all its ports are there already and have their own groups: say it of the `openstack_port`s",
        ));
    }
    Ok(())
}

/// What follows from arguments is known before.
fn plan_new(change: &mut Change<'_>) {
    let is_known = |name: &str| change.planned.get(name).is_wholly_known();
    let told_is_known = ["cloud_init", "bastion", "ssh_port"]
        .iter()
        .all(|name| is_known(name));
    let plugs = wanted::plugs(&change.planned).filter(|_| is_known("network"));
    if let Some(address) =
        plugs.and_then(|plugs| plugs.first().and_then(|plug| plug.address.clone()))
    {
        change.set("address", address.into());
    }
    if told_is_known {
        if !wanted::makes_host_key(&change.planned) {
            change.set("host_key", Value::null());
        }
        if change.planned.get("cloud_init").is_null() {
            change.set("connection", Value::null());
        }
    }
}

fn plan_change(change: &mut Change<'_>, prior: &Value) {
    if text_at(prior, "status").as_deref() == Some("ERROR") {
        change.replace(
            "status",
            "it is in the state `ERROR`, out of which only a new one leads",
        );
    }
    plan_finish(change, prior);
    let (has, wants) = (
        text_at(prior, "availability_zone"),
        text_at(change.config, "availability_zone"),
    );
    // One that is not placed yet has no zone that could be another one.
    if let (Some(has), Some(wants)) = (has, wants)
        && has != wants
    {
        change.replace(
            "availability_zone",
            "a server does not change its zone in place",
        );
    }
    // One that is not built yet may still get a disc that nobody has asked for.
    let drive = |value: &Value| value.get("config_drive").as_bool();
    if let (Some(has), Some(wants)) = (drive(prior), drive(change.config))
        && has != wants
    {
        change.replace("config_drive", "a server gets its disc when it is made");
    }
    let name = text_at(prior, "name").unwrap_or_default();
    let what = format!("`{name}`");
    if change.changes("flavor") {
        change.effect(Effect::Downtime { what: what.clone() });
        change.note("it is stopped, gets its new size, perhaps on another host, and is started");
        change.unknown("failure_domains");
    }
    if change.changes("started") {
        change.unknown("status");
        if change.planned.get("started").as_bool() == Some(false) {
            change.effect(Effect::Downtime { what });
        }
    }
    if change.changes("network") {
        change.unknown("ports");
        let (before, after) = (wanted::plugs(prior), wanted::plugs(&change.planned));
        let pulled = before
            .iter()
            .flatten()
            .filter(|plug| !after.iter().flatten().any(|other| other == *plug));
        let pulled = pulled.count();
        if pulled > 0 && change.planned.get("network").is_wholly_known() {
            change.note(format!("{pulled} of its plugs are pulled"));
        }
        let is_first = before.iter().flatten().next() == after.iter().flatten().next();
        if !is_first || !change.planned.get("network").is_wholly_known() {
            change.unknown("address");
            change.unknown("connection");
        }
    }
    let is_told_anew = change.changes("cloud_init") || change.changes("user_data");
    if is_told_anew && !rebuild::is_due(change, prior) {
        change.note("what a server is told at its first boot reaches only one that is made anew: this changes the record alone");
    }
    let way = ["cloud_init", "bastion", "ssh_port"];
    if way.iter().any(|name| change.changes(name)) {
        let is_known = way
            .iter()
            .all(|name| change.planned.get(name).is_wholly_known());
        let address = change.planned.get("address");
        match (is_known, address.as_str()) {
            (true, Some(address)) => {
                let machine = read::connection(&change.planned, address);
                change.set(
                    "connection",
                    machine.map_or_else(Value::null, |machine| machine.to_value()),
                );
            }
            (true, None) if address.is_null() => change.set("connection", Value::null()),
            _ => change.unknown("connection"),
        }
    }
}

/// Of a server that is not finished it is not known yet where it will be, and in which state.
fn plan_finish(change: &mut Change<'_>, prior: &Value) {
    let status = text_at(prior, "status").unwrap_or_default();
    if !read::is_passing(&status) {
        return;
    }
    change.unknown("status");
    change.unknown("failure_domains");
    if status != "BUILD" {
        return;
    }
    change.unknown("ports");
    change.unknown("connection");
    for name in ["availability_zone", "config_drive"] {
        if change.config.get(name).is_null() {
            change.unknown(name);
        }
    }
    let plugs = wanted::plugs(&change.planned).unwrap_or_default();
    match plugs.first().and_then(|plug| plug.address.clone()) {
        Some(address) => change.set("address", address.into()),
        None => change.unknown("address"),
    }
    if change.planned.get("cloud_init").is_null() {
        change.set("connection", Value::null());
    }
}

/// What goes with a server.
pub(super) fn plan_delete(prior: &Value) -> (Vec<Effect>, Vec<String>) {
    let name = text_at(prior, "name").unwrap_or_default();
    let mut notes = Vec::new();
    let boots_locally = !prior.get("image_id").is_null();
    if boots_locally {
        notes.push("its local disk goes with it".into());
    }
    let devices = prior.get("block_device");
    let goes = devices.as_items().unwrap_or_default().iter();
    let goes = goes
        .filter(|item| item.get("delete_on_termination").as_bool() == Some(true))
        .count();
    if goes > 0 {
        notes.push(format!("{goes} of its volumes go with it"));
    }
    let mut effects = vec![Effect::Downtime {
        what: format!("`{name}`"),
    }];
    if is_primary(prior) {
        effects.push(Effect::DataLoss {
            what: format!("the local disk of `{name}`"),
        });
    }
    (effects, notes)
}
