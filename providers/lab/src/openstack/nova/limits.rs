//! Limits, quotas and zones.

use serde_json::{Map, Value, json};

use super::server::Server;
use crate::openstack::estate::Kind;
use crate::openstack::{Answer, Call, Failure, Outcome};
use crate::world::World;

/// What a project has of instances, cores and memory in MiB.
fn used(world: &World, project: &str) -> [(&'static str, i64); 3] {
    let servers = world.openstack.servers.values();
    let own: Vec<&Server> = servers.filter(|server| server.project == project).collect();
    let sum = |of: fn(&Server) -> i64| own.iter().map(|server| of(server)).sum::<i64>();
    [
        ("cores", sum(|server| server.flavor.vcpus)),
        ("instances", i64::try_from(own.len()).unwrap_or(i64::MAX)),
        ("ram", sum(|server| server.flavor.ram)),
    ]
}

/// Refuses what is more than a project may have.
///
/// # Errors
/// 403, in the words of `TooManyInstances` (`nova/exception.py`).
pub(super) fn check(call: &Call<'_>, wanted: &[(&str, i64)]) -> Result<(), Failure> {
    let used = used(call.world, &call.caller.project);
    let mut over: Vec<Over> = Vec::new();
    for (name, used) in used {
        let wants = wanted
            .iter()
            .find(|(known, _)| *known == name)
            .map_or(0, |(_, wants)| *wants);
        let most = call.quota(name);
        if wants > 0 && most >= 0 && used + wants > most {
            over.push(Over {
                name,
                wants,
                used,
                most,
            });
        }
    }
    if over.is_empty() {
        return Ok(());
    }
    let joined = |of: fn(&Over) -> String| over.iter().map(of).collect::<Vec<_>>().join(", ");
    let names = joined(|over| over.name.to_owned());
    Err(Failure::forbidden(format!(
        "Quota exceeded for {names}: Requested {}, but already used {} of {} {names}",
        joined(|over| over.wants.to_string()),
        joined(|over| over.used.to_string()),
        joined(|over| over.most.to_string()),
    )))
}

/// A quota that is not enough.
struct Over {
    name: &'static str,
    wants: i64,
    used: i64,
    most: i64,
}

/// `GET /v2.1/limits`.
pub(super) fn limits(call: &mut Call<'_>) -> Outcome {
    let project = call.caller.project.clone();
    let [(_, cores), (_, instances), (_, ram)] = used(call.world, &project);
    let groups = call.world.openstack.count(Kind::ServerGroup, &project);
    Answer::ok(json!({ "limits": { "rate": [], "absolute": {
        "maxTotalInstances": call.quota("instances"), "maxTotalCores": call.quota("cores"), "maxTotalRAMSize": call.quota("ram"),
        "maxTotalKeypairs": call.quota("key_pairs"), "maxServerGroups": call.quota("server_groups"),
        "maxServerGroupMembers": call.quota("server_group_members"), "maxServerMeta": call.quota("metadata_items"),
        "totalInstancesUsed": instances, "totalCoresUsed": cores, "totalRAMUsed": ram, "totalServerGroupsUsed": groups,
    } } }))
}

const NAMES: [&str; 7] = [
    "instances",
    "cores",
    "ram",
    "key_pairs",
    "server_groups",
    "server_group_members",
    "metadata_items",
];

fn project(call: &Call<'_>) -> Result<String, Failure> {
    let project = call.at("project").to_owned();
    match call.sees(&project) {
        true => Ok(project),
        false => Err(Failure::forbidden(
            "Policy doesn't allow os_compute_api:os-quota-sets:show to be performed.",
        )),
    }
}

/// `GET /v2.1/os-quota-sets/{project}` and `…/defaults`.
pub(super) fn quotas(call: &mut Call<'_>) -> Outcome {
    let project = project(call)?;
    let mut set = Map::from_iter([("id".to_owned(), json!(project))]);
    for name in NAMES {
        set.insert(name.to_owned(), json!(call.quota(name)));
    }
    Answer::ok(json!({ "quota_set": set }))
}

/// `GET /v2.1/os-quota-sets/{project}/detail`.
pub(super) fn details(call: &mut Call<'_>) -> Outcome {
    let project = project(call)?;
    let used = used(call.world, &project);
    let mut set = Map::from_iter([("id".to_owned(), json!(project))]);
    for name in NAMES {
        let used = used
            .iter()
            .find(|(known, _)| *known == name)
            .map_or(0, |(_, used)| *used);
        set.insert(
            name.to_owned(),
            json!({ "limit": call.quota(name), "in_use": used, "reserved": 0 }),
        );
    }
    Answer::ok(json!({ "quota_set": set }))
}

impl World {
    /// Returns the availability zones of servers, with their nodes.
    pub(super) fn zones(&self) -> Vec<(String, Vec<String>)> {
        let zones = &self.openstack.ground.site.zones;
        if zones.is_empty() {
            let all = self.cluster.nodes.keys().cloned().collect();
            return vec![("nova".to_owned(), all)];
        }
        zones.clone().into_iter().collect()
    }

    /// Returns the zone that a node is in.
    pub(super) fn zone_of(&self, node: &str) -> String {
        let zones = self.zones();
        let found = zones
            .iter()
            .find(|(_, nodes)| nodes.iter().any(|known| known == node));
        found.map_or_else(|| "nova".to_owned(), |(zone, _)| zone.clone())
    }
}

/// `GET /v2.1/os-availability-zone`.
pub(super) fn zones(call: &mut Call<'_>) -> Outcome {
    let world = &call.world;
    let zone = |(name, nodes): (String, Vec<String>)| {
        let is_available = nodes.iter().any(|node| world.is_up(node));
        json!({ "zoneName": name, "zoneState": { "available": is_available }, "hosts": null })
    };
    let zones: Vec<Value> = world.zones().into_iter().map(zone).collect();
    Answer::ok(json!({ "availabilityZoneInfo": zones }))
}

/// `GET /v2.1/os-availability-zone/detail`, which is for administrators.
pub(super) fn whole_zones(call: &mut Call<'_>) -> Outcome {
    if !call.caller.is_admin {
        return Err(Failure::forbidden(
            "Policy doesn't allow os_compute_api:os-availability-zone:detail to be performed.",
        ));
    }
    let world = &call.world;
    let host = |node: &String| {
        let service = json!({ "nova-compute": { "available": world.is_up(node), "active": true, "updated_at": null } });
        (node.clone(), service)
    };
    let zone = |(name, nodes): (String, Vec<String>)| {
        let is_available = nodes.iter().any(|node| world.is_up(node));
        let hosts: Map<String, Value> = nodes.iter().map(host).collect();
        json!({ "zoneName": name, "zoneState": { "available": is_available }, "hosts": hosts })
    };
    let zones: Vec<Value> = world.zones().into_iter().map(zone).collect();
    Answer::ok(json!({ "availabilityZoneInfo": zones }))
}

/// `GET /v2.1/extensions`. What there is follows from the version.
pub(super) fn extensions(_: &mut Call<'_>) -> Outcome {
    Answer::ok(json!({ "extensions": [] }))
}
