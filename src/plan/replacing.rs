//! Which half of a replacement comes first.
//!
//! `create_before_destroy` makes the new object before the old one goes. What such an object needs must then be there
//! twice as well, so it spreads to replaced instances that it uses, as in Terraform. On what hosts other objects it is
//! refused: they would have to move, and nothing moves them.

use std::collections::BTreeSet;
use std::sync::Arc;

use dmp_sdk::{Action, Address, Diagnostic};
use dmp_state::Snapshot;

use crate::model::{Plan, Planned};

/// Spreads `create_before_destroy` to what is used, and refuses it where it can't be done.
pub(crate) fn arrange(plan: &mut Plan, snapshot: &Snapshot) {
    spread(plan);
    let refused: Vec<Diagnostic> = plan
        .instances
        .values()
        .filter(|planned| planned.action == Action::CreateThenDelete)
        .filter_map(|planned| {
            let hosted = hosted_on(snapshot, &planned.address);
            (!hosted.is_empty()).then(|| refusal(planned, &hosted))
        })
        .collect();
    plan.diagnostics.extend(refused);
}

fn spread(plan: &mut Plan) {
    let mut look: Vec<Address> = plan
        .instances
        .values()
        .filter(|planned| planned.action == Action::CreateThenDelete)
        .map(|planned| planned.address.clone())
        .collect();
    while let Some(address) = look.pop() {
        for used in used_by(&plan.instances[&address]) {
            let Some(planned) = plan.instances.get_mut(&used) else {
                continue;
            };
            if planned.action != Action::DeleteThenCreate || planned.lost_with.is_some() {
                continue;
            }
            planned.action = Action::CreateThenDelete;
            planned
                .notes
                .push(format!("it is created first because {address} is"));
            look.push(used);
        }
    }
}

/// What an instance uses now or by the record; what it lives on is another matter.
fn used_by(planned: &Planned) -> BTreeSet<Address> {
    let recorded = planned.record.iter().flat_map(|record| {
        record
            .dependencies
            .iter()
            .map(|dependency| &dependency.address)
    });
    recorded.chain(&planned.uses).cloned().collect()
}

fn hosted_on<'a>(snapshot: &'a Snapshot, host: &Address) -> Vec<&'a Address> {
    let lives_there =
        |instance: &&Arc<dmp_state::Instance>| instance.hosts().any(|address| address == host);
    snapshot
        .instances
        .values()
        .filter(lives_there)
        .map(|instance| &instance.address)
        .collect()
}

fn refusal(planned: &Planned, hosted: &[&Address]) -> Diagnostic {
    let first = hosted[0];
    let others = match hosted.len() {
        1 => String::new(),
        count => format!(" and {} more", count - 1),
    };
    Diagnostic::error(
        "hosts-others",
        "`create_before_destroy` of something that others live on",
    )
    .address(&planned.address)
    .detail(format!(
        "`{first}`{others} live on `{}`: nothing would move them from the old object to the new one",
        planned.address
    ))
    .help("add a new key to `for_each`, move what lives there, then remove the old key; or leave `create_before_destroy` out")
}
