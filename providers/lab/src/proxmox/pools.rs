//! Pools: guests and storages under one name.

use serde_json::{Value, json};

use super::{Answer, Call, Failure, Handler, Outcome, cluster};
use crate::world::Pool;

pub(super) const METHODS: &[(&str, Handler)] = &[
    ("GET /pools", pools),
    ("POST /pools", add),
    ("PUT /pools", change),
    ("DELETE /pools", drop),
    ("GET /pools/{poolid}", pool),
    ("PUT /pools/{poolid}", change),
    ("DELETE /pools/{poolid}", drop),
];

fn pools(call: &mut Call<'_>) -> Outcome {
    if let Some(name) = call.parameters.text("poolid") {
        let mut told = about(call, name)?;
        told["poolid"] = json!(name);
        return Answer::data(vec![told]);
    }
    let told = call
        .world
        .cluster
        .pools
        .iter()
        .filter(|(name, _)| call.may(&format!("/pool/{name}"), &["Pool.Audit"]))
        .map(|(name, pool)| {
            let mut told = json!({ "poolid": name });
            if let Some(comment) = &pool.comment {
                told["comment"] = json!(comment);
            }
            told
        });
    Answer::data(told.collect::<Vec<_>>())
}

fn pool(call: &mut Call<'_>) -> Outcome {
    let name = call.parameters.needed("poolid");
    Answer::data(about(call, name)?)
}

fn about(call: &Call<'_>, name: &str) -> Result<Value, Failure> {
    let pool = call.world.cluster.pools.get(name);
    let pool = pool.ok_or(format!("pool '{name}' does not exist"))?;
    let guests = pool.guests.iter().filter_map(|vmid| {
        let mut told = cluster::guest_resource(call.world, *vmid)?;
        if let Some(told) = told.as_object_mut() {
            told.remove("pool");
        }
        Some(told)
    });
    let storages = pool.storages.iter().map(|storage| json!({ "id": format!("storage/{storage}"), "storage": storage, "type": "storage" }));
    let mut told = json!({ "members": guests.chain(storages).collect::<Vec<_>>() });
    if let Some(comment) = &pool.comment {
        told["comment"] = json!(comment);
    }
    Ok(told)
}

fn quorate(call: &Call<'_>, verb: &str) -> Result<(), Failure> {
    call.needs_quorum(|| format!("{verb} pool failed: cfs-lock 'file-user_cfg' error: no quorum!"))
}

fn add(call: &mut Call<'_>) -> Outcome {
    quorate(call, "create")?;
    let name = call.parameters.needed("poolid").to_owned();
    let comment = call.parameters.text("comment").map(str::to_owned);
    let pools = &mut call.world.cluster.pools;
    if pools.contains_key(&name) {
        return Err(format!("create pool failed: pool '{name}' already exists").into());
    }
    if let Some((parent, _)) = name.rsplit_once('/')
        && !pools.contains_key(parent)
    {
        return Err(format!(
            "create pool failed: parent '{parent}' of pool '{name}' does not exist"
        )
        .into());
    }
    pools.insert(
        name,
        Pool {
            comment,
            ..Pool::default()
        },
    );
    Answer::done()
}

fn change(call: &mut Call<'_>) -> Outcome {
    quorate(call, "update")?;
    let name = call.parameters.needed("poolid").to_owned();
    let drops = call.parameters.is_set("delete");
    let moves = call.parameters.is_set("allow-move");
    let failed = |text: String| Failure::Said(format!("update pools failed: {text}"));
    if !call.world.cluster.pools.contains_key(&name) {
        return Err(failed(format!("pool '{name}' does not exist")));
    }
    let mut guests = Vec::new();
    for word in call.parameters.list("vms") {
        let vmid: u32 = word.parse().unwrap_or_default();
        let is_member = call
            .world
            .cluster
            .pools
            .get(&name)
            .is_some_and(|pool| pool.guests.contains(&vmid));
        if drops && !is_member {
            return Err(failed(format!("VM {vmid} is not a pool member")));
        }
        if !drops && !call.world.guests.contains(&vmid) {
            return Err(failed(format!("VM {vmid} does not exist")));
        }
        if !drops && is_member {
            return Err(failed(format!("VM {vmid} is already a pool member")));
        }
        if let (false, false, Some(other)) = (drops, moves, call.world.pool_of(vmid)) {
            return Err(failed(format!(
                "VM {vmid} belongs already to pool '{other}' and 'allow-move' is not set"
            )));
        }
        guests.push(vmid);
    }
    let mut storages = Vec::new();
    for storage in call.parameters.list("storage") {
        let is_member = call
            .world
            .cluster
            .pools
            .get(&name)
            .is_some_and(|pool| pool.storages.contains(&storage));
        match (drops, is_member) {
            (true, false) => {
                return Err(failed(format!("Storage '{storage}' is not a pool member")));
            }
            (false, true) => {
                return Err(failed(format!(
                    "Storage '{storage}' is already a pool member"
                )));
            }
            _ if !call.world.cluster.storages.contains_key(&storage) => {
                return Err(failed(format!("storage '{storage}' does not exist")));
            }
            _ => storages.push(storage),
        }
    }
    let comment = call.parameters.text("comment").map(str::to_owned);
    let pools = &mut call.world.cluster.pools;
    for pool in pools.values_mut() {
        pool.guests.retain(|vmid| !guests.contains(vmid));
    }
    if let Some(pool) = pools.get_mut(&name) {
        if comment.is_some() {
            pool.comment = comment;
        }
        if drops {
            pool.storages.retain(|storage| !storages.contains(storage));
        } else {
            pool.guests.extend(guests);
            pool.storages.extend(storages);
        }
    }
    Answer::done()
}

fn drop(call: &mut Call<'_>) -> Outcome {
    quorate(call, "delete")?;
    let name = call.parameters.needed("poolid").to_owned();
    let failed = |text: String| Failure::Said(format!("delete pool failed: {text}"));
    let pools = &call.world.cluster.pools;
    let pool = pools
        .get(&name)
        .ok_or_else(|| failed(format!("pool '{name}' does not exist")))?;
    if !pool.guests.is_empty() {
        return Err(failed(format!("pool '{name}' is not empty")));
    }
    if pools
        .keys()
        .any(|other| other.starts_with(&format!("{name}/")))
    {
        return Err(failed(format!("pool '{name}' has sub-pools")));
    }
    call.world.cluster.pools.remove(&name);
    Answer::done()
}
