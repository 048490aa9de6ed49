//! What was changed outside: what is there is held against what is recorded.

use dmp_state::Snapshot;

use crate::ask::{Finding, Findings};
use crate::instance::{conform, differing};
use crate::model::Drift;
use crate::world::World;

/// What differs from the record, of all that was read, in the order of addresses.
#[must_use]
pub fn find(world: &World, snapshot: &Snapshot, findings: &Findings) -> Vec<Drift> {
    let mut drift = Vec::new();
    for (address, record) in &snapshot.instances {
        let Some(schema) = world.schema_of(address) else {
            continue;
        };
        let finding = findings.get(address);
        if let Some(Finding::Found(object) | Finding::HalfMade(object, _)) = finding
            && object.attributes == record.attributes
        {
            continue;
        }
        let recorded = conform(schema, &record.attributes);
        let (found, changed) = match finding {
            Some(Finding::Found(object) | Finding::HalfMade(object, _)) => {
                let found = conform(schema, &object.attributes).with_secrecy_of(&recorded);
                let changed = differing(schema, &recorded, &found);
                (Some(found), changed)
            }
            Some(Finding::Absent) => (None, Vec::new()),
            _ => continue,
        };
        if found.is_none() || !changed.is_empty() {
            drift.push(Drift {
                address: address.clone(),
                recorded,
                found,
                changed,
            });
        }
    }
    drift
}
