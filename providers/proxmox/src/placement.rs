//! Where a guest goes that leaves its node open: to the online node that has the storages it needs, with the fewest members
//! of its group, then with the most free memory. Where it is it stays: only a new guest is placed.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use serde_json::Value as Json;
use tokio::sync::Mutex;

use crate::client::{ApiError, Client, items};
use crate::identity;
use crate::values;

/// What a new guest needs.
#[derive(Clone, Debug, Default)]
pub(crate) struct Needs {
    /// Memory in bytes.
    pub memory: u64,
    /// Storages for its disks and drives.
    pub storages: BTreeSet<String>,
    /// The group whose members are kept apart.
    pub group: Option<String>,
    /// Nodes that come into question; all where none is named.
    pub nodes: Vec<String>,
}

/// The cluster as it was last seen, and what was placed since.
#[derive(Default)]
pub(crate) struct Placement(Mutex<Option<Seen>>);

struct Seen {
    at: Instant,
    resources: Json,
    placed: Vec<(String, u64, Option<String>)>,
}

impl Placement {
    /// Chooses a node, and remembers the choice for those placed after it.
    pub(crate) async fn choose(&self, client: &Client, needs: &Needs) -> Result<String, ApiError> {
        let mut held = self.0.lock().await;
        let seen = match held.as_mut() {
            Some(seen) if seen.at.elapsed() < FRESH => seen,
            old => {
                // What was placed a moment ago may not be in the listing's memory yet.
                let placed = old.map(|seen| std::mem::take(&mut seen.placed));
                held.insert(Seen {
                    at: Instant::now(),
                    resources: client.get("/cluster/resources").await?,
                    placed: placed.unwrap_or_default(),
                })
            }
        };
        let node = choose(&seen.resources, &seen.placed, needs).map_err(ApiError::NotUnderstood)?;
        seen.placed
            .push((node.clone(), needs.memory, needs.group.clone()));
        Ok(node)
    }
}

/// Chooses a node by a listing of all resources. Equal listings give equal choices.
fn choose(
    resources: &Json,
    placed: &[(String, u64, Option<String>)],
    needs: &Needs,
) -> Result<String, String> {
    let of = |kind: &'static str| {
        items(resources)
            .iter()
            .filter(move |item| item["type"] == kind)
    };
    let mut storages: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for storage in of("storage").filter(|storage| storage["status"] == "available") {
        if let (Some(node), Some(name)) = (storage["node"].as_str(), storage["storage"].as_str()) {
            storages.entry(node).or_default().insert(name);
        }
    }
    let tag = needs.group.as_deref().map(identity::group_tag);
    let is_member = |guest: &&Json| {
        let tags = values::tags(guest["tags"].as_str().unwrap_or_default());
        tag.as_ref().is_some_and(|tag| tags.contains(tag))
    };
    let online: Vec<&Json> = of("node")
        .filter(|node| node["status"] == "online")
        .collect();
    if online.is_empty() {
        return Err("no node of the cluster is online".into());
    }
    let mut best: Option<(usize, std::cmp::Reverse<u64>, &str)> = None;
    let mut missing = BTreeSet::new();
    for node in online {
        let Some(name) = node["node"].as_str() else {
            continue;
        };
        if !needs.nodes.is_empty() && !needs.nodes.iter().any(|wanted| wanted == name) {
            continue;
        }
        let here = storages.get(name).cloned().unwrap_or_default();
        let lacks: Vec<&String> = needs
            .storages
            .iter()
            .filter(|storage| !here.contains(storage.as_str()))
            .collect();
        if !lacks.is_empty() {
            missing.extend(lacks.into_iter().map(String::as_str));
            continue;
        }
        let bytes = |key: &str| {
            let number = values::number(node, key);
            number
                .and_then(|number| u64::try_from(number).ok())
                .unwrap_or(0)
        };
        let reserved: u64 = placed
            .iter()
            .filter(|(at, ..)| at == name)
            .map(|(_, memory, _)| memory)
            .sum();
        let free = bytes("maxmem")
            .saturating_sub(bytes("mem"))
            .saturating_sub(reserved);
        let listed = of("qemu").filter(|guest| guest["node"] == name);
        let listed = listed.filter(is_member).count();
        let just_placed = placed
            .iter()
            .filter(|(at, _, group)| at == name && group.is_some() && *group == needs.group)
            .count();
        let members = if needs.group.is_some() {
            listed.max(just_placed)
        } else {
            0
        };
        let score = (members, std::cmp::Reverse(free), name);
        if best.is_none_or(|best| score < best) {
            best = Some(score);
        }
    }
    best.map(|(.., name)| name.to_owned()).ok_or_else(|| {
        let missing: Vec<&str> = missing.into_iter().collect();
        match missing.is_empty() {
            true => format!(
                "none of the nodes that come into question is online: {}",
                needs.nodes.join(", ")
            ),
            false => format!(
                "no online node has all storages that are needed; missing somewhere: {}",
                missing.join(", ")
            ),
        }
    })
}

const FRESH: Duration = Duration::from_secs(20);

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn cluster() -> Json {
        json!([
            { "type": "node", "node": "a", "status": "online", "maxmem": 100, "mem": 80 },
            { "type": "node", "node": "b", "status": "online", "maxmem": 100, "mem": 10 },
            { "type": "node", "node": "c", "status": "offline", "maxmem": 900 },
            { "type": "storage", "node": "a", "storage": "shr", "status": "available" },
            { "type": "storage", "node": "b", "storage": "shr", "status": "available" },
            { "type": "storage", "node": "a", "storage": "ssd", "status": "available" },
            { "type": "qemu", "vmid": 1, "node": "b", "tags": "dmp-group.etcd;x" },
        ])
    }

    fn needs(storages: &[&str], group: Option<&str>) -> Needs {
        Needs {
            memory: 50,
            storages: storages.iter().map(|&name| name.to_owned()).collect(),
            group: group.map(ToOwned::to_owned),
            nodes: Vec::new(),
        }
    }

    #[test]
    fn the_most_free_memory_decides_among_nodes_with_the_storages() {
        let at = |storages: &[&str]| choose(&cluster(), &[], &needs(storages, None));
        assert_eq!(at(&["shr"]).as_deref(), Ok("b"));
        assert_eq!(at(&["shr", "ssd"]).as_deref(), Ok("a"));
        assert!(at(&["nvme"]).expect_err("none").contains("nvme"));
    }

    #[test]
    fn members_of_a_group_are_kept_apart_also_within_a_run() {
        let needs = needs(&["shr"], Some("etcd"));
        assert_eq!(choose(&cluster(), &[], &needs).as_deref(), Ok("a"));
        let placed = [("a".to_owned(), 1, Some("etcd".to_owned()))];
        assert_eq!(choose(&cluster(), &placed, &needs).as_deref(), Ok("b"));
    }

    #[test]
    fn what_was_just_placed_counts() {
        let placed = [("b".to_owned(), 85, None)];
        let needs = needs(&[], None);
        assert_eq!(choose(&cluster(), &placed, &needs).as_deref(), Ok("a"));
    }
}
