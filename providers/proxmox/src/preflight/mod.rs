//! What is looked at before the first change of a plan: whether the cluster may be changed at all, whether what machines
//! name is there, whether it is enough, and whether the token may. One look for all changes together.

mod permissions;
mod rooms;

use std::collections::{BTreeMap, BTreeSet};

use dmp_sdk::{Action, AttributePath, Diagnostic, Intended, Value};
use serde_json::Value as Json;

use crate::client::{ApiError, items};
use crate::cluster::Cluster;
use crate::resources::sdn;
use crate::resources::vm::wanted;
use crate::values;

/// What the cluster says of itself.
#[derive(Debug, Default)]
struct Facts {
    /// All nodes, storages and guests.
    resources: Json,
    /// Whether a majority of nodes is up; a single node has no cluster.
    is_quorate: bool,
    /// What the token may, by path.
    permissions: Json,
    /// The release, `9.1`.
    release: String,
    /// Bridges and virtual networks of each node that was asked.
    bridges: BTreeMap<String, BTreeSet<String>>,
}

/// Looks whether the changes can succeed.
pub(crate) async fn look(cluster: &Cluster, changes: &[Intended<'_>]) -> Vec<Diagnostic> {
    let mut found = Vec::new();
    if cluster.client.is_insecure() {
        found.push(
            Diagnostic::warning("insecure", "the API's certificates go unchecked")
                .detail("whoever is on the way to the cluster can take the token and answer in its place")
                .help("give the provider `ca` or `fingerprints` in place of `insecure`"),
        );
    }
    let writes = |change: &&Intended<'_>| {
        !matches!(
            change.action,
            Action::NoOp | Action::Read | Action::Forget | Action::LostWithHost
        )
    };
    let changes: Vec<&Intended<'_>> = changes.iter().filter(writes).collect();
    if changes.is_empty() {
        return found;
    }
    let drafts: Vec<String> = changes
        .iter()
        .filter_map(|change| sdn::drafted_at(change))
        .collect();
    if !drafts.is_empty() {
        cluster.drafts.expect(drafts);
        found.extend(cluster.drafts.refuse_foreign(cluster).await.err());
    }
    match facts(cluster, &changes).await {
        Ok(facts) => found.extend(judge(cluster, &facts, &changes)),
        Err(error) => found.push(error.diagnostic("cannot look whether the plan can succeed")),
    }
    found
}

async fn facts(cluster: &Cluster, changes: &[&Intended<'_>]) -> Result<Facts, ApiError> {
    let client = &cluster.client;
    let (resources, status, permissions, version) = futures::try_join!(
        client.get("/cluster/resources"),
        client.get("/cluster/status"),
        client.get("/access/permissions"),
        client.get("/version"),
    )?;
    let of_cluster = items(&status).iter().find(|item| item["type"] == "cluster");
    let mut facts = Facts {
        is_quorate: of_cluster.is_none_or(|cluster| values::flag(cluster, "quorate")),
        permissions,
        release: values::text(&version, "release").unwrap_or_default(),
        resources,
        bridges: BTreeMap::new(),
    };
    let wants_bridges = machines(changes).any(|(_, planned)| !wanted::devices(planned).is_empty());
    if wants_bridges {
        let online = facts.online();
        let asked = online.iter().map(|node| async move {
            let path = format!("/nodes/{}/network?type=any_bridge", values::segment(node));
            // A node that does not tell is no reason to refuse.
            let told = client.get(&path).await.ok()?;
            let names = items(&told)
                .iter()
                .filter_map(|item| values::text(item, "iface"));
            Some((node.clone(), names.collect::<BTreeSet<_>>()))
        });
        let told = futures::future::join_all(asked).await;
        facts.bridges = told.into_iter().flatten().collect();
    }
    Ok(facts)
}

impl Facts {
    fn of<'a>(&'a self, kind: &'a str) -> impl Iterator<Item = &'a Json> {
        items(&self.resources)
            .iter()
            .filter(move |item| item["type"] == kind)
    }

    fn online(&self) -> Vec<String> {
        let online = self.of("node").filter(|node| node["status"] == "online");
        online
            .filter_map(|node| values::text(node, "node"))
            .collect()
    }
}

/// The machines that are made or changed, with what they will be.
fn machines<'a>(
    changes: &'a [&Intended<'a>],
) -> impl Iterator<Item = (&'a Intended<'a>, &'a Value)> {
    let machines = changes
        .iter()
        .filter(|change| change.address.resource_type.as_ref() == "proxmox_vm");
    machines.filter_map(|change| Some((*change, change.planned?)))
}

fn judge(cluster: &Cluster, facts: &Facts, changes: &[&Intended<'_>]) -> Vec<Diagnostic> {
    if !facts.is_quorate {
        return vec![
            Diagnostic::error("no-quorum", "the cluster has no quorum")
                .detail("nothing in it can be changed")
                .help("bring more of its nodes up, then plan again"),
        ];
    }
    let mut found = Vec::new();
    for (change, planned) in machines(changes) {
        found.extend(named(facts, change, planned));
    }
    found.extend(rooms::judge(facts, changes));
    found.extend(ids(cluster, facts, changes));
    found.extend(permissions::judge(facts, changes));
    found
}

fn at(change: &Intended<'_>, path: AttributePath, code: &'static str, summary: &str) -> Diagnostic {
    Diagnostic::error(code, summary)
        .address(change.address)
        .path(path)
}

/// What a machine names has to be there.
fn named(facts: &Facts, change: &Intended<'_>, planned: &Value) -> Vec<Diagnostic> {
    let mut found = Vec::new();
    let online = facts.online();
    let node = wanted::text(planned, "node");
    if let Some(node) = &node
        && change
            .prior
            .and_then(|prior| wanted::text(prior, "node"))
            .as_ref()
            != Some(node)
        && !online.contains(node)
    {
        let is_known = facts.of("node").any(|item| item["node"] == node.as_str());
        let why = if is_known {
            "is not online"
        } else {
            "is not in the cluster"
        };
        found.push(
            at(
                change,
                AttributePath::of("node"),
                "no-node",
                "a node can't be used",
            )
            .detail(format!("`{node}` {why}"))
            .help(format!("online are: {}", online.join(", "))),
        );
        return found;
    }
    let nodes = node.map_or(online, |node| vec![node]);
    for (index, disk) in wanted::disks(planned).into_iter().enumerate() {
        let Some(storage) = disk.storage else {
            continue;
        };
        let path = AttributePath::of("disk").index(index).member("storage");
        found.extend(storage_for(facts, change, path, &storage, "images", &nodes));
    }
    if let Some(told) = wanted::cloud_init(planned)
        && let Some(storage) = told.seed_storage.filter(|_| told.by_seed)
    {
        let path = AttributePath::of("cloud_init").member("seed_storage");
        found.extend(storage_for(facts, change, path, &storage, "iso", &nodes));
    }
    for (index, device) in wanted::devices(planned).into_iter().enumerate() {
        let Some(bridge) = device.bridge else {
            continue;
        };
        // What the same plan makes is not there yet, and a zone's networks are told with the bridges.
        let told: Vec<&BTreeSet<String>> = nodes
            .iter()
            .filter_map(|node| facts.bridges.get(node))
            .collect();
        let is_there = told.is_empty() || told.iter().any(|names| names.contains(&bridge));
        let makes_networks = !bridge.starts_with("vmbr");
        if !is_there && !makes_networks {
            let names: BTreeSet<&str> = told
                .iter()
                .flat_map(|names| names.iter().map(String::as_str))
                .collect();
            found.push(
                at(
                    change,
                    AttributePath::of("network").index(index).member("bridge"),
                    "no-bridge",
                    "no such bridge",
                )
                .detail(format!("`{bridge}` is not on {}", nodes.join(", ")))
                .help(format!(
                    "there are: {}",
                    names.into_iter().collect::<Vec<_>>().join(", ")
                )),
            );
        }
    }
    found
}

/// A storage has to take the kind of content, on one of the nodes at least.
fn storage_for(
    facts: &Facts,
    change: &Intended<'_>,
    path: AttributePath,
    storage: &str,
    content: &str,
    nodes: &[String],
) -> Option<Diagnostic> {
    let on_nodes = |item: &&Json| {
        let node = values::text(item, "node").unwrap_or_default();
        nodes.contains(&node)
    };
    let here: Vec<&Json> = facts
        .of("storage")
        .filter(|item| item["storage"] == storage)
        .filter(on_nodes)
        .collect();
    let takes = |item: &&&Json| {
        let contents = item["content"].as_str().unwrap_or(content);
        contents.split(',').any(|kind| kind.trim() == content)
    };
    if here.is_empty() {
        let names: BTreeSet<&str> = facts
            .of("storage")
            .filter(on_nodes)
            .filter_map(|item| item["storage"].as_str())
            .collect();
        let names: Vec<&str> = names.into_iter().collect();
        return Some(
            at(change, path, "no-storage", "no such storage")
                .detail(format!(
                    "`{storage}` is not on {}, or may not be seen",
                    nodes.join(", ")
                ))
                .help(format!("there are: {}", names.join(", "))),
        );
    }
    if !here.iter().any(|item| takes(&item)) {
        return Some(
            at(
                change,
                path,
                "wrong-storage",
                "a storage does not take this",
            )
            .detail(format!("`{storage}` has not the content type `{content}`"))
            .help("take another storage, or add the type to this one"),
        );
    }
    None
}

/// Ids that are given have to be free, and the range has to be wide enough.
fn ids(cluster: &Cluster, facts: &Facts, changes: &[&Intended<'_>]) -> Vec<Diagnostic> {
    let guests = facts.of("qemu").chain(facts.of("lxc"));
    let taken: BTreeSet<u32> = guests
        .filter_map(|guest| u32::try_from(values::number(guest, "vmid")?).ok())
        .collect();
    let mut found = Vec::new();
    let mut open = 0;
    for (change, planned) in machines(changes) {
        let is_new = change.prior.is_none() || change.action.replaces();
        let id = planned.get("vmid");
        match id.as_i64().and_then(|id| u32::try_from(id).ok()) {
            Some(id) if is_new && change.prior.is_none() && taken.contains(&id) => found.push(
                at(
                    change,
                    AttributePath::of("vmid"),
                    "id-taken",
                    "an id is taken",
                )
                .detail(format!("the cluster has a guest with the id {id} already"))
                .help("take another id, leave `vmid` out, or import the machine"),
            ),
            None if is_new => open += 1,
            _ => {}
        }
    }
    if open > cluster.ids.free(&taken) {
        found.push(
            Diagnostic::error("no-ids", "not enough ids")
                .detail(format!(
                    "{open} machines are to be made, and `vm_ids` has {} free",
                    cluster.ids.free(&taken)
                ))
                .help("widen `vm_ids` of the provider"),
        );
    }
    found
}
