//! Quotas: what a project may have, what it has, and what a plan adds.

use std::collections::BTreeMap;

use dmp_sdk::{Diagnostic, Intended, Value};
use serde_json::Value as Json;

use crate::values::{number, text_at};

/// One quota.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Quota {
    /// What it counts.
    pub name: &'static str,
    /// The most; `None`: as much as there is.
    pub limit: Option<i64>,
    /// What there is already.
    pub used: i64,
}

impl Quota {
    /// What is left.
    pub(crate) fn free(&self) -> Option<i64> {
        self.limit.map(|limit| (limit - self.used).max(0))
    }
}

/// A quota's name, and how the limits call its most and what is used.
type Named = (&'static str, &'static str, &'static str);

/// Those of Nova.
pub(crate) const COMPUTE: &[Named] = &[
    ("instances", "maxTotalInstances", "totalInstancesUsed"),
    ("cores", "maxTotalCores", "totalCoresUsed"),
    ("memory_mib", "maxTotalRAMSize", "totalRAMUsed"),
    ("server_groups", "maxServerGroups", "totalServerGroupsUsed"),
];

/// Those of Cinder.
pub(crate) const BLOCK_STORAGE: &[Named] = &[
    ("volumes", "maxTotalVolumes", "totalVolumesUsed"),
    ("gigabytes", "maxTotalVolumeGigabytes", "totalGigabytesUsed"),
    ("snapshots", "maxTotalSnapshots", "totalSnapshotsUsed"),
];

/// The quotas among the limits of a service; -1 is no limit.
pub(crate) fn of_limits(answer: &Json, names: &[Named]) -> Vec<Quota> {
    let absolute = &answer["limits"]["absolute"];
    let quota = |(name, most, used): &Named| {
        let limit = number(absolute, most)?;
        Some(Quota {
            name,
            limit: (limit >= 0).then_some(limit),
            used: number(absolute, used).unwrap_or(0),
        })
    };
    names.iter().filter_map(quota).collect()
}

/// Those of Neutron, of the details of a project.
pub(super) fn of_details(answer: &Json) -> Vec<Quota> {
    let quota = |(name, _): &(&'static str, &str)| {
        let details = &answer["quota"][name];
        let limit = number(details, "limit")?;
        let used = number(details, "used").unwrap_or(0) + number(details, "reserved").unwrap_or(0);
        Some(Quota {
            name,
            limit: (limit >= 0).then_some(limit),
            used,
        })
    };
    NETWORK.iter().filter_map(quota).collect()
}

/// What Neutron counts, and the type of which each new object counts one.
const NETWORK: &[(&str, &str)] = &[
    ("network", "openstack_network"),
    ("subnet", "openstack_subnet"),
    ("port", "openstack_port"),
    ("router", "openstack_router"),
    ("floatingip", "openstack_floating_ip"),
    ("security_group", "openstack_security_group"),
    ("security_group_rule", "openstack_security_group_rule"),
];

/// What a plan adds to each quota; a delete of the same plan takes it back, if it comes first.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Needs(pub BTreeMap<&'static str, i64>);

impl Needs {
    fn add(&mut self, name: &'static str, count: i64) {
        *self.0.entry(name).or_default() += count;
    }

    /// Of all changes. `flavors` are those of the cloud.
    pub(super) fn of(changes: &[&Intended<'_>], flavors: &[Json]) -> Self {
        let mut needs = Self::default();
        for change in changes {
            let kind = change.address.resource_type.as_ref();
            let comes = match (
                change.prior.is_none() || change.action.replaces(),
                change.planned,
            ) {
                (true, Some(planned)) => Some(planned),
                _ => None,
            };
            // What goes before its successor comes gives its place back; what goes after does not.
            let goes = match change.action {
                dmp_sdk::Action::DeleteThenCreate => change.prior,
                _ => None,
            };
            for (value, sign) in [(comes, 1), (goes, -1)] {
                if let Some(value) = value {
                    needs.count(kind, value, sign, flavors);
                }
            }
            if let (Some(prior), Some(planned), false) =
                (change.prior, change.planned, change.action.replaces())
            {
                needs.grow(kind, prior, planned, flavors);
            }
        }
        needs
    }

    fn count(&mut self, kind: &str, value: &Value, sign: i64, flavors: &[Json]) {
        if let Some((name, _)) = NETWORK.iter().find(|(_, counted)| *counted == kind) {
            self.add(name, sign);
        }
        match kind {
            "openstack_server" => {
                self.add("instances", sign);
                if let Some(flavor) = super::flavor_of(value, flavors) {
                    self.add("cores", sign * number(flavor, "vcpus").unwrap_or(0));
                    self.add("memory_mib", sign * number(flavor, "ram").unwrap_or(0));
                }
                let devices = value.get("block_device");
                for device in devices.as_items().unwrap_or_default() {
                    let is_new = text_at(device, "source").as_deref() != Some("volume")
                        && text_at(device, "destination").as_deref() != Some("local");
                    if is_new && sign > 0 {
                        self.add("volumes", 1);
                        self.add("gigabytes", device.get("size_gib").as_i64().unwrap_or(0));
                    }
                }
                let plugs = value.get("network");
                let plugs = plugs.as_items().unwrap_or_default().iter();
                let new = plugs.filter(|plug| plug.get("port_id").is_null()).count();
                self.add("port", sign * i64::try_from(new).unwrap_or(0));
            }
            "openstack_server_group" => self.add("server_groups", sign),
            "openstack_volume" => {
                self.add("volumes", sign);
                self.add(
                    "gigabytes",
                    sign * value.get("size_gib").as_i64().unwrap_or(0),
                );
            }
            _ => {}
        }
    }

    /// What a change in place adds.
    fn grow(&mut self, kind: &str, prior: &Value, planned: &Value, flavors: &[Json]) {
        let more = |name: &str| {
            let (before, after) = (prior.get(name).as_i64(), planned.get(name).as_i64());
            after
                .zip(before)
                .map_or(0, |(after, before)| (after - before).max(0))
        };
        match kind {
            "openstack_volume" => self.add("gigabytes", more("size_gib")),
            "openstack_server" => {
                let (before, after) = (
                    super::flavor_of(prior, flavors),
                    super::flavor_of(planned, flavors),
                );
                if let (Some(before), Some(after)) = (before, after) {
                    for (name, member) in [("cores", "vcpus"), ("memory_mib", "ram")] {
                        let more = number(after, member).unwrap_or(0)
                            - number(before, member).unwrap_or(0);
                        self.add(name, more.max(0));
                    }
                }
            }
            _ => {}
        }
    }

    /// The quotas that are too small, with the numbers.
    pub(super) fn judge(&self, quotas: &[Quota]) -> Vec<Diagnostic> {
        let too_small = |quota: &Quota| {
            let needed = self.0.get(quota.name).copied().unwrap_or(0);
            let free = quota.free()?;
            (needed > free).then(|| {
                Diagnostic::error("quota", "a quota is too small")
                    .detail(format!(
                        "the plan adds {needed} to `{}`: {} of {} are used, {free} are left",
                        quota.name,
                        quota.used,
                        quota.limit.unwrap_or_default()
                    ))
                    .help("have the quota raised, make less, or remove what is no longer needed")
            })
        };
        quotas.iter().filter_map(too_small).collect()
    }
}

#[cfg(test)]
mod tests {
    use dmp_sdk::{Action, Address};
    use serde_json::json;

    use super::*;

    fn server(flavor: &str) -> Value {
        Value::object_of([("flavor", flavor.into())])
    }

    fn flavors() -> Vec<Json> {
        vec![
            json!({ "id": "1", "name": "small", "vcpus": 1, "ram": 1024 }),
            json!({ "id": "2", "name": "large", "vcpus": 4, "ram": 8192 }),
        ]
    }

    #[test]
    fn what_is_new_and_what_grows_is_counted() {
        let (one, two, volume) = (
            Address::managed("openstack_server", "a"),
            Address::managed("openstack_server", "b"),
            Address::managed("openstack_volume", "c"),
        );
        let (small, large) = (server("small"), server("2"));
        let (before, after) = (
            Value::object_of([("size_gib", 10.into())]),
            Value::object_of([("size_gib", 30.into())]),
        );
        let change = |address, action, prior, planned| Intended {
            address,
            action,
            prior,
            planned,
        };
        let changes = [
            change(&one, Action::Create, None, Some(&large)),
            change(&two, Action::Update, Some(&small), Some(&large)),
            change(&volume, Action::Update, Some(&before), Some(&after)),
        ];
        let changes: Vec<&Intended<'_>> = changes.iter().collect();
        let needs = Needs::of(&changes, &flavors());
        assert_eq!(needs.0["instances"], 1);
        assert_eq!(needs.0["cores"], 4 + 3);
        assert_eq!(needs.0["gigabytes"], 20);
    }

    #[test]
    fn a_replacement_that_deletes_first_needs_no_more() {
        let address = Address::managed("openstack_server", "a");
        let (small, large) = (server("small"), server("large"));
        let of = |action| {
            let change = Intended {
                address: &address,
                action,
                prior: Some(&small),
                planned: Some(&large),
            };
            Needs::of(&[&change], &flavors())
        };
        assert_eq!(of(Action::DeleteThenCreate).0["cores"], 3);
        assert_eq!(of(Action::CreateThenDelete).0["instances"], 1);
    }

    #[test]
    fn a_quota_that_is_too_small_is_told_with_its_numbers() {
        let limits = json!({ "limits": { "absolute": { "maxTotalCores": 10, "totalCoresUsed": 8, "maxTotalInstances": -1 } } });
        let quotas = of_limits(&limits, COMPUTE);
        let needs = Needs([("cores", 3), ("instances", 1000)].into_iter().collect());
        let found = needs.judge(&quotas);
        assert_eq!(found.len(), 1);
        assert_eq!(
            found[0].detail,
            "the plan adds 3 to `cores`: 8 of 10 are used, 2 are left"
        );
    }
}
