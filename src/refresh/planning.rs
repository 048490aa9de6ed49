//! Drives the planner: reads what it asks for, until its pass is through.

use std::collections::BTreeMap;

use dmp_plan::classify::Condition;
use dmp_plan::{Plan, Planner, PlannerInput, ProviderState, World};
use dmp_sdk::Diagnostic;

use dmp_state::Record;

use crate::reader::Reader;

/// A plan with what an apply goes on with.
pub struct Planning {
    /// The plan.
    pub plan: Plan,
    /// The values of the run.
    pub world: World,
    /// Provider configurations, as far as they are known.
    pub providers: BTreeMap<String, ProviderState>,
    /// What has to be committed before anything is begun, once it is approved.
    pub before: Vec<Record>,
    /// What became of everything that is recorded.
    pub conditions: Vec<Condition>,
}

/// Makes a plan.
pub async fn plan(input: PlannerInput, reader: &Reader) -> Planning {
    let mut planner = Planner::new(input);
    loop {
        let wanted = planner.advance();
        if wanted.is_empty() {
            break;
        }
        for (address, finding) in reader.read(wanted).await {
            planner.answer(&address, finding);
        }
    }
    let (mut plan, world, providers) = planner.finish();
    if !plan.diagnostics.iter().any(Diagnostic::is_error) {
        let found = reader.preflight(&plan, &providers).await;
        plan.diagnostics.extend(found);
    }
    Planning {
        plan,
        world,
        providers,
        before: Vec::new(),
        conditions: Vec::new(),
    }
}
