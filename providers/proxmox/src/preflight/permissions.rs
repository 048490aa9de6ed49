//! Whether the token may do what the plan needs, by the privileges of its release, path by path.

use std::collections::{BTreeMap, BTreeSet};

use dmp_sdk::{Action, Diagnostic, Intended, Value};
use serde_json::Value as Json;

use super::{Facts, machines};
use crate::resources::vm::wanted;

/// Privileges that are needed, by path; of several that serve one is enough.
type Needs = BTreeMap<String, BTreeSet<&'static str>>;

/// What is missing, a diagnostic for each path.
pub(super) fn judge(facts: &Facts, changes: &[&Intended<'_>]) -> Vec<Diagnostic> {
    let mut needs = Needs::new();
    for (change, planned) in machines(changes) {
        of_machine(facts, change, planned, &mut needs);
    }
    let gone = changes
        .iter()
        .filter(|change| change.action == Action::Delete);
    let gone = gone.filter(|change| change.address.resource_type.as_ref() == "proxmox_vm");
    for prior in gone.filter_map(|change| change.prior) {
        let path = vm_path(&prior.get("vmid"));
        needs
            .entry(path)
            .or_default()
            .extend(["VM.Allocate", "VM.PowerMgmt"]);
    }
    let mut found = Vec::new();
    for (path, privileges) in needs {
        let held = held(&facts.permissions, &path);
        let missing: Vec<&str> = privileges
            .into_iter()
            .filter(|privilege| !held.contains(*privilege))
            .collect();
        if !missing.is_empty() {
            found.push(
                Diagnostic::error("not-permitted", "the token may not do what the plan needs")
                    .detail(format!("it lacks {} on `{path}`", missing.join(", ")))
                    .help("give it a role with these privileges there or above; a token with privilege separation needs an entry of its own, beside its user's"),
            );
        }
    }
    found
}

fn vm_path(id: &Value) -> String {
    match id.as_i64() {
        Some(id) => format!("/vms/{id}"),
        None => "/vms".into(),
    }
}

fn of_machine(facts: &Facts, change: &Intended<'_>, planned: &Value, needs: &mut Needs) {
    let prior = change.prior.unwrap_or(planned);
    // A machine of a pool is permitted by the pool as well.
    let path = vm_path(&prior.get("vmid"));
    let pool = wanted::text(planned, "pool").map(|pool| format!("/pool/{pool}"));
    let by_pool = pool.filter(|pool| held(&facts.permissions, pool).contains("VM.Allocate"));
    let path = by_pool.unwrap_or(path);
    let mut privileges = BTreeSet::from([
        "VM.Audit",
        "VM.Config.CPU",
        "VM.Config.Disk",
        "VM.Config.HWType",
        "VM.Config.Memory",
        "VM.Config.Network",
        "VM.Config.Options",
        "VM.PowerMgmt",
    ]);
    let is_new = change.prior.is_none() || change.action.replaces();
    if is_new {
        privileges.insert("VM.Allocate");
    }
    let told = wanted::cloud_init(planned);
    if let Some(told) = &told {
        privileges.extend(["VM.Config.CDROM"]);
        if !told.by_seed {
            privileges.insert("VM.Config.Cloudinit");
        }
        if told.is_dynamic() && is_new {
            let is_new_release = !facts.release.starts_with(['7', '8']);
            privileges.insert(if is_new_release {
                "VM.GuestAgent.Audit"
            } else {
                "VM.Monitor"
            });
        }
    }
    if !planned.get("iso").is_null() {
        privileges.insert("VM.Config.CDROM");
    }
    let moves = change
        .prior
        .is_some_and(|prior| prior.get("node") != planned.get("node"));
    if moves && planned.get("node").is_known() {
        privileges.insert("VM.Migrate");
    }
    needs.entry(path).or_default().extend(privileges);
    if is_new {
        let clone = wanted::text(&planned.get("clone"), "template");
        if let Some(id) = clone.and_then(|template| template.parse::<u32>().ok()) {
            needs
                .entry(format!("/vms/{id}"))
                .or_default()
                .insert("VM.Clone");
        }
        for storage in wanted::disks(planned)
            .into_iter()
            .filter_map(|disk| disk.storage)
        {
            needs
                .entry(format!("/storage/{storage}"))
                .or_default()
                .insert("Datastore.AllocateSpace");
        }
        if let Some(storage) = told
            .filter(|told| told.by_seed)
            .and_then(|told| told.seed_storage)
        {
            needs
                .entry(format!("/storage/{storage}"))
                .or_default()
                // It is uploaded, and removed after the first boot.
                .extend(["Datastore.Allocate", "Datastore.AllocateTemplate"]);
        }
        let bridges = wanted::devices(planned)
            .into_iter()
            .filter_map(|device| device.bridge);
        // Networks of other zones lie under theirs, which is not told here.
        for bridge in bridges.filter(|bridge| bridge.starts_with("vmbr")) {
            let path = format!("/sdn/zones/localnetwork/{bridge}");
            needs.entry(path).or_default().insert("SDN.Use");
        }
    }
    if !planned.get("startup").is_null() {
        needs.entry("/".into()).or_default().insert("Sys.Modify");
    }
}

/// The privileges that are held on a path: what is granted there, else what the nearest path above hands down.
fn held<'a>(permissions: &'a Json, path: &str) -> BTreeSet<&'a str> {
    let mut at = path.to_owned();
    loop {
        if let Some(granted) = permissions.get(&at).and_then(Json::as_object) {
            let is_here = at == path;
            let hands_down = |value: &Json| {
                crate::values::as_number(value) == Some(1) || value == &Json::Bool(true)
            };
            return granted
                .iter()
                .filter(|(_, value)| is_here || hands_down(value))
                .map(|(name, _)| name.as_str())
                .collect();
        }
        if at == "/" || at.is_empty() {
            return BTreeSet::new();
        }
        let end = at.rfind('/').unwrap_or(0);
        at.truncate(end);
        if at.is_empty() {
            at.push('/');
        }
    }
}

#[cfg(test)]
mod tests {
    use dmp_sdk::Address;
    use serde_json::json;

    use super::*;

    #[test]
    fn privileges_come_from_the_nearest_path_above_that_hands_them_down() {
        let permissions = json!({
            "/": { "Sys.Audit": 1 },
            "/vms": { "VM.Audit": 1, "VM.Clone": 0 },
            "/vms/100": { "VM.Clone": 1 },
        });
        assert!(held(&permissions, "/vms/100").contains("VM.Clone"));
        assert!(!held(&permissions, "/vms/100").contains("VM.Audit"));
        assert!(held(&permissions, "/vms/101").contains("VM.Audit"));
        assert!(!held(&permissions, "/vms/101").contains("VM.Clone"));
        assert!(held(&permissions, "/storage/local").contains("Sys.Audit"));
        assert!(held(&json!({}), "/vms/1").is_empty());
    }

    #[test]
    fn what_is_missing_is_said_with_its_path_and_by_the_release() {
        let address = Address::managed("proxmox_vm", "web");
        let told = Value::object_of([("user", "debian".into())]);
        let disk = Value::object_of([("storage", "shr".into())]);
        let planned = Value::object_of([
            ("name", "web".into()),
            ("disk", Value::list(vec![disk])),
            ("cloud_init", told),
        ]);
        let change = Intended {
            address: &address,
            action: Action::Create,
            prior: None,
            planned: Some(&planned),
        };
        let words = |release: &str, permissions: Json| {
            let facts = Facts {
                release: release.into(),
                permissions,
                ..Facts::default()
            };
            let found = judge(&facts, &[&change]);
            found
                .iter()
                .map(|found| found.detail.clone())
                .collect::<Vec<_>>()
                .join("\n")
        };
        let nine = words("9.1", json!({}));
        assert!(
            nine.contains("VM.GuestAgent.Audit") && !nine.contains("VM.Monitor"),
            "{nine}"
        );
        assert!(
            nine.contains("Datastore.AllocateSpace on `/storage/shr`"),
            "{nine}"
        );
        let eight = words(
            "8.4",
            json!({ "/storage": { "Datastore.AllocateSpace": 1 } }),
        );
        assert!(
            eight.contains("VM.Monitor") && !eight.contains("/storage/shr"),
            "{eight}"
        );
    }
}
