//! Software-defined networks: changes go to a draft, and are applied to all nodes at once.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use super::work::Work;
use super::{Answer, Call, Failure, Handler, Outcome};
use crate::world::draw::Draw;
use crate::world::firewall;
use crate::world::sdn::Kind;

pub(super) const METHODS: &[(&str, Handler)] = &[
    ("PUT /cluster/sdn", apply),
    ("POST /cluster/sdn/lock", lock),
    ("DELETE /cluster/sdn/lock", release),
    ("POST /cluster/sdn/rollback", roll_back),
    ("GET /cluster/sdn/zones", |call| list(call, Kind::Zone)),
    ("POST /cluster/sdn/zones", |call| add(call, Kind::Zone)),
    ("GET /cluster/sdn/zones/{zone}", |call| {
        one(call, Kind::Zone)
    }),
    ("PUT /cluster/sdn/zones/{zone}", |call| {
        change(call, Kind::Zone)
    }),
    ("DELETE /cluster/sdn/zones/{zone}", |call| {
        drop(call, Kind::Zone)
    }),
    ("GET /cluster/sdn/vnets", |call| list(call, Kind::Vnet)),
    ("POST /cluster/sdn/vnets", |call| add(call, Kind::Vnet)),
    ("GET /cluster/sdn/vnets/{vnet}", |call| {
        one(call, Kind::Vnet)
    }),
    ("PUT /cluster/sdn/vnets/{vnet}", |call| {
        change(call, Kind::Vnet)
    }),
    ("DELETE /cluster/sdn/vnets/{vnet}", |call| {
        drop(call, Kind::Vnet)
    }),
    ("GET /cluster/sdn/vnets/{vnet}/subnets", |call| {
        list(call, Kind::Subnet)
    }),
    ("POST /cluster/sdn/vnets/{vnet}/subnets", |call| {
        add(call, Kind::Subnet)
    }),
    ("GET /cluster/sdn/vnets/{vnet}/subnets/{subnet}", |call| {
        one(call, Kind::Subnet)
    }),
    ("PUT /cluster/sdn/vnets/{vnet}/subnets/{subnet}", |call| {
        change(call, Kind::Subnet)
    }),
    (
        "DELETE /cluster/sdn/vnets/{vnet}/subnets/{subnet}",
        |call| drop(call, Kind::Subnet),
    ),
    ("GET /nodes/{node}/sdn/zones", of_node),
];

/// Parameters that are no settings of an object.
const OPTIONS: [&str; 6] = [
    "delete",
    "digest",
    "lock-token",
    "vnet-in-path",
    "running",
    "pending",
];

fn word(kind: Kind) -> &'static str {
    match kind {
        Kind::Zone => "sdn zone",
        Kind::Vnet => "sdn vnet",
        Kind::Subnet => "sdn subnet",
    }
}

fn digest(call: &Call<'_>) -> String {
    firewall::digest(&call.world.cluster.sdn.draft)
}

/// Refuses a writer while another has the lock.
fn may_write(call: &Call<'_>) -> Result<(), Failure> {
    call.needs_quorum(|| "cfs-lock 'domain-sdn' error: no quorum!".into())?;
    let sent = call.parameters.text("lock-token");
    match &call.world.cluster.sdn.lock {
        Some(token) if sent != Some(token) => Err("invalid lock token provided!".into()),
        None if sent.is_some() => Err("lock-token was provided, but there is no lock".into()),
        _ => Ok(()),
    }
}

/// Refuses who has no right at the zone and vnet that a call is about; zones themselves are looked at before.
fn permitted(call: &Call<'_>, kind: Kind, privileges: &[&str]) -> Result<(), Failure> {
    if kind == Kind::Zone {
        return Ok(());
    }
    let vnet = call.parameters.needed("vnet");
    let known = call.world.cluster.sdn.draft.zone_of(vnet);
    let zone = known.or(call.parameters.text("zone")).unwrap_or_default();
    let path = format!("/sdn/zones/{zone}/{vnet}");
    if call.may(&path, privileges) {
        Ok(())
    } else {
        Err(Failure::Permission(format!(
            "Permission check failed ({path}, {})",
            privileges.join("|")
        )))
    }
}

/// Returns the name of the object that a call is about.
fn name(call: &Call<'_>, kind: Kind) -> String {
    let given = call.parameters.needed(kind.key());
    if kind != Kind::Subnet {
        return given.to_owned();
    }
    let vnet = call.parameters.needed("vnet");
    let zone = call.world.cluster.sdn.draft.zone_of(vnet);
    match given.split_once('/') {
        Some((address, bits)) => format!("{}-{address}-{bits}", zone.unwrap_or_default()),
        None => given.to_owned(),
    }
}

fn told(kind: Kind, name: &str, settings: &BTreeMap<String, String>) -> Map<String, Value> {
    let mut told: Map<_, _> = settings
        .iter()
        .map(|(key, text)| (key.clone(), typed(key, text)))
        .collect();
    told.insert(kind.key().into(), json!(name));
    if kind == Kind::Vnet {
        told.insert("type".into(), json!("vnet"));
    }
    if kind == Kind::Subnet {
        told.insert("id".into(), json!(name));
        told.insert("type".into(), json!("subnet"));
        if let Some((network, mask)) = settings.get("cidr").and_then(|cidr| cidr.split_once('/')) {
            told.insert("network".into(), json!(network));
            told.insert("mask".into(), json!(mask));
        }
        let ranges = settings
            .get("dhcp-range")
            .map_or("", String::as_str)
            .lines()
            .filter(|range| !range.is_empty());
        let ranges: Vec<Value> = ranges
            .map(|range| {
                let parts = range.split(',').filter_map(|part| part.split_once('='));
                Value::Object(
                    parts
                        .map(|(key, text)| (key.to_owned(), json!(text)))
                        .collect(),
                )
            })
            .collect();
        told.insert("dhcp-range".into(), json!(ranges));
    }
    told
}

fn typed(key: &str, text: &str) -> Value {
    let is_number = matches!(
        key,
        "tag" | "vlanaware" | "snat" | "mtu" | "isolate-ports" | "advertise-subnets"
    );
    match text.parse::<i64>() {
        Ok(number) if is_number => json!(number),
        _ => json!(text),
    }
}

fn list(call: &mut Call<'_>, kind: Kind) -> Outcome {
    let sdn = &call.world.cluster.sdn;
    let (draft, running) = (sdn.draft.of(kind), sdn.running.of(kind));
    let vnet = call
        .parameters
        .text("vnet")
        .filter(|_| kind == Kind::Subnet);
    let wanted = call.parameters.text("type");
    let fits = |settings: &BTreeMap<String, String>| {
        vnet.is_none_or(|vnet| settings.get("vnet").is_some_and(|of| of == vnet))
            && wanted.is_none_or(|wanted| settings.get("type").is_none_or(|kind| kind == wanted))
    };
    let digest = if kind == Kind::Subnet {
        json!(digest(call))
    } else {
        Value::Null
    };
    let names: BTreeSet<&String> = draft.keys().chain(running.keys()).collect();
    let mut all = Vec::new();
    for name in names {
        let (new, old) = (draft.get(name), running.get(name));
        let zone = new
            .or(old)
            .and_then(|settings| settings.get("zone"))
            .unwrap_or(name);
        let path = if kind == Kind::Zone {
            format!("/sdn/zones/{zone}")
        } else {
            format!("/sdn/zones/{zone}/{}", vnet.unwrap_or(name))
        };
        if !new.or(old).is_some_and(fits) || !call.may(&path, &["SDN.Audit", "SDN.Allocate"]) {
            continue;
        }
        let one = if call.parameters.is_set("running") {
            old.map(|old| told(kind, name, old))
        } else if call.parameters.is_set("pending") {
            Some(both(kind, name, new, old))
        } else {
            new.map(|new| told(kind, name, new))
        };
        if let Some(mut one) = one {
            one.insert("digest".into(), digest.clone());
            all.push(Value::Object(one));
        }
    }
    Answer::data(all)
}

type Given<'a> = Option<&'a BTreeMap<String, String>>;

/// Returns an object as it runs, with what the draft makes of it.
fn both(kind: Kind, name: &str, new: Given<'_>, old: Given<'_>) -> Map<String, Value> {
    let none = BTreeMap::new();
    let state = match (new, old) {
        (Some(new), Some(old)) if new == old => return told(kind, name, new),
        (Some(_), Some(_)) => "changed",
        (Some(_), None) => "new",
        _ => "deleted",
    };
    let mut one = told(kind, name, old.unwrap_or(&none));
    if let Some(kind) = new.or(old).and_then(|settings| settings.get("type")) {
        one.insert("type".into(), json!(kind));
    }
    if let Some(new) = new {
        let changed = new.iter().filter(|(key, text)| {
            *key != "type" && old.and_then(|old| old.get(*key)) != Some(text)
        });
        let mut pending: Map<_, _> = changed
            .map(|(key, text)| (key.clone(), typed(key, text)))
            .collect();
        let gone = old
            .into_iter()
            .flat_map(BTreeMap::keys)
            .filter(|key| !new.contains_key(*key));
        pending.extend(gone.map(|key| (key.clone(), json!("deleted"))));
        one.insert("pending".into(), Value::Object(pending));
    }
    one.insert("state".into(), json!(state));
    one
}

fn one(call: &mut Call<'_>, kind: Kind) -> Outcome {
    permitted(call, kind, &["SDN.Audit", "SDN.Allocate"])?;
    let name = name(call, kind);
    let sdn = &call.world.cluster.sdn;
    let (new, old) = (
        sdn.draft.of(kind).get(&name),
        sdn.running.of(kind).get(&name),
    );
    let missing = || Failure::Said(format!("sdn '{name}' does not exist"));
    let mut one = if call.parameters.is_set("running") {
        told(kind, &name, old.ok_or_else(missing)?)
    } else if call.parameters.is_set("pending") {
        new.or(old).ok_or_else(missing)?;
        both(kind, &name, new, old)
    } else {
        told(kind, &name, new.ok_or_else(missing)?)
    };
    one.insert("digest".into(), json!(digest(call)));
    Answer::data(one)
}

fn settings(call: &Call<'_>, kind: Kind) -> BTreeMap<String, String> {
    let own = call
        .parameters
        .0
        .keys()
        .filter(|key| *key != kind.key() && !OPTIONS.contains(&key.as_str()));
    own.map(|key| (key.clone(), call.parameters.list_or_text(key)))
        .collect()
}

fn add(call: &mut Call<'_>, kind: Kind) -> Outcome {
    permitted(call, kind, &["SDN.Allocate"])?;
    may_write(call)?;
    let name = name(call, kind);
    let mut settings = settings(call, kind);
    let failed =
        |text: String| Failure::Said(format!("create {} object failed: {text}", word(kind)));
    let draft = &call.world.cluster.sdn.draft;
    if draft.of(kind).contains_key(&name) {
        return Err(failed(format!(
            "{} object ID '{name}' already defined",
            word(kind)
        )));
    }
    match kind {
        Kind::Zone => {}
        Kind::Vnet => {
            let zone = settings.get("zone").cloned().unwrap_or_default();
            let Some(of) = draft.zones.get(&zone) else {
                return Err(failed(format!("sdn zone '{zone}' does not exist")));
            };
            let needs_tag = matches!(
                of.get("type").map(String::as_str),
                Some("vlan" | "qinq" | "vxlan" | "evpn")
            );
            if needs_tag && !settings.contains_key("tag") {
                return Err(failed("missing vlan tag".into()));
            }
        }
        Kind::Subnet => {
            let vnet = call.parameters.needed("vnet").to_owned();
            let Some(zone) = draft.zone_of(&vnet) else {
                return Err(failed(format!("vnet '{vnet}' does not exist")));
            };
            settings.insert("cidr".into(), call.parameters.needed("subnet").to_owned());
            settings.insert("zone".into(), zone.to_owned());
            settings.insert("vnet".into(), vnet);
        }
    }
    call.world
        .cluster
        .sdn
        .draft
        .of_mut(kind)
        .insert(name, settings);
    Answer::done()
}

fn change(call: &mut Call<'_>, kind: Kind) -> Outcome {
    permitted(call, kind, &["SDN.Allocate"])?;
    may_write(call)?;
    let name = name(call, kind);
    call.same_digest(&digest(call), super::CHANGED)?;
    let new = settings(call, kind);
    let drops = call.parameters.list("delete");
    let object = call.world.cluster.sdn.draft.of_mut(kind).get_mut(&name);
    let object = object.ok_or(format!(
        "update {} object failed: sdn '{name}' does not exist",
        word(kind)
    ))?;
    object.extend(new);
    object.retain(|key, _| !drops.contains(key));
    Answer::done()
}

fn drop(call: &mut Call<'_>, kind: Kind) -> Outcome {
    permitted(call, kind, &["SDN.Allocate"])?;
    may_write(call)?;
    let name = name(call, kind);
    let failed =
        |text: String| Failure::Said(format!("delete {} object failed: {text}", word(kind)));
    let draft = &call.world.cluster.sdn.draft;
    if !draft.of(kind).contains_key(&name) {
        return Err(failed(format!("sdn '{name}' does not exist")));
    }
    let user = |objects: &BTreeMap<String, BTreeMap<String, String>>, key: &str| {
        let mut users = objects
            .iter()
            .filter(|(_, settings)| settings.get(key) == Some(&name));
        users.next().map(|(user, _)| user.clone())
    };
    match kind {
        Kind::Zone => {
            if let Some(vnet) = user(&draft.vnets, "zone") {
                let place = "at /usr/share/perl5/PVE/Network/SDN/Zones/Plugin.pm line 149.";
                return Err(failed(format!(
                    "zone {name} is used by vnet {vnet} {place}"
                )));
            }
        }
        Kind::Vnet => {
            if user(&draft.subnets, "vnet").is_some() {
                return Err(failed("Can't delete vnet if subnets exists".into()));
            }
        }
        Kind::Subnet => {}
    }
    call.world.cluster.sdn.draft.of_mut(kind).remove(&name);
    Answer::done()
}

fn apply(call: &mut Call<'_>) -> Outcome {
    may_write(call)?;
    let sdn = &mut call.world.cluster.sdn;
    sdn.running = sdn.draft.clone();
    if call.parameters.flag("release-lock") != Some(false) {
        sdn.lock = None;
    }
    call.task_for("reloadnetworkall", String::new(), 2.0, Work::ReloadNetwork)
}

fn lock(call: &mut Call<'_>) -> Outcome {
    let sdn = &call.world.cluster.sdn;
    if sdn.lock.is_some() {
        return Err("configuration is already locked".into());
    }
    if sdn.draft != sdn.running && !call.parameters.is_set("allow-pending") {
        return Err("configuration has pending changes".into());
    }
    let token = Draw::secret_uuid().map_err(|error| Failure::Said(error.to_string()))?;
    call.world.cluster.sdn.lock = Some(token.clone());
    Answer::data(token)
}

fn release(call: &mut Call<'_>) -> Outcome {
    if !call.parameters.is_set("force") {
        may_write(call)?;
    }
    call.world.cluster.sdn.lock = None;
    Answer::done()
}

fn roll_back(call: &mut Call<'_>) -> Outcome {
    may_write(call)?;
    let sdn = &mut call.world.cluster.sdn;
    sdn.draft = sdn.running.clone();
    if call.parameters.flag("release-lock") != Some(false) {
        sdn.lock = None;
    }
    Answer::done()
}

fn of_node(call: &mut Call<'_>) -> Outcome {
    let zones = call.world.cluster.sdn.running.zone_names();
    Answer::data(
        zones
            .map(|zone| json!({ "zone": zone, "status": "available" }))
            .collect::<Vec<_>>(),
    )
}
