//! `dmp rebuild`: what is left after a failure, what is lost, and how it comes back.

use std::collections::BTreeSet;
use std::path::Path;

use dmp_events::{Classified, Event};
use dmp_plan::classify::{Condition, State};
use dmp_refresh::Planning;
use dmp_sdk::{Address, Diagnostic};
use dmp_state::{Snapshot, Status, Store};

use super::apply::{self, Errand, Session, Totals, ask};
use super::say;
use crate::arguments::{Apply, Rebuild};
use crate::part::PartOf;
use crate::{Context, Exit, run as runs};

/// What is asked of a rebuild.
#[derive(Debug)]
pub(crate) struct Wish {
    lost: Vec<String>,
    /// Only show what would be done.
    pub is_dry: bool,
}

impl Wish {
    /// The recorded instances that are called lost.
    ///
    /// # Errors
    /// When there is no such instance.
    pub(crate) fn addresses(&self, snapshot: &Snapshot) -> Result<BTreeSet<Address>, Diagnostic> {
        let find = |text: &String| {
            let address: Option<Address> = text.parse().ok();
            let found = address.filter(|address| snapshot.instances.contains_key(address));
            found.ok_or_else(|| {
                let names: Vec<String> =
                    snapshot.instances.keys().map(ToString::to_string).collect();
                Diagnostic::error("unknown-address", "unknown address")
                    .detail(format!("the state has no `{text}`"))
                    .did_you_mean(text, names.iter().map(String::as_str))
                    .help("list all addresses with `dmp state list`")
            })
        };
        self.lost.iter().map(find).collect()
    }
}

pub(crate) async fn run(context: &Context, directory: &Path, arguments: Rebuild) -> Exit {
    let wish = Wish {
        lost: arguments.lost,
        is_dry: arguments.dry_run,
    };
    let apply = Apply {
        plan: None,
        variables: arguments.variables,
        part: PartOf::default(),
        refresh_only: false,
        yes: arguments.yes,
        how: arguments.how,
    };
    apply::run(context, directory, apply, Errand::Rebuild(wish)).await
}

/// What has to be brought back.
pub(super) struct Report {
    lost: Vec<Address>,
    wanted: BTreeSet<Address>,
    estimate: u64,
}

impl Report {
    pub(super) fn begin(planning: &Planning) -> Self {
        let lost = planning
            .conditions
            .iter()
            .filter(|condition| condition.state.is_lost());
        let wanted = planning
            .plan
            .instances
            .values()
            .filter(|planned| planned.planned.is_some())
            .map(|planned| planned.address.clone());
        Self {
            lost: lost.map(|condition| condition.address.clone()).collect(),
            wanted: wanted.collect(),
            estimate: dmp_plan::ops::operations(&planning.plan)
                .map_or(0, |operations| operations.schedule.longest()),
        }
    }
}

impl Session<'_> {
    /// Shows what is left, and asks whether what is silent is lost. Then the plan is made anew.
    pub(super) async fn decide_lost(
        &mut self,
        store: &Store,
        planning: &mut Planning,
    ) -> Result<(), Exit> {
        let shown = |condition: &Condition| Classified {
            address: condition.address.clone(),
            layer: condition.layer,
            condition: condition.state.name(),
            why: condition.state.why(),
        };
        self.services.events.emit(Event::Classified {
            conditions: planning.conditions.iter().map(shown).collect(),
        });
        let silent: Vec<(Address, String)> = planning
            .conditions
            .iter()
            .filter_map(|condition| match &condition.state {
                State::Unreachable { why, is_root: true } => {
                    Some((condition.address.clone(), why.clone()))
                }
                _ => None,
            })
            .collect();
        if silent.is_empty() {
            return Ok(());
        }
        if !self.context.is_terminal || self.arguments.how.json {
            let why: Vec<String> = silent
                .iter()
                .map(|(address, why)| format!("{address}: {why}"))
                .collect();
            let lost: Vec<String> = silent
                .iter()
                .map(|(address, _)| format!("--lost '{address}'"))
                .collect();
            let undecided = Diagnostic::error("undecided", "is it lost?")
                .detail("a machine does not answer; whether it is lost or only silent has to be said by a person")
                .cause(why.join("\n"))
                .help(format!("if lost for good: dmp rebuild {}", lost.join(" ")));
            return Err(self.fail(&[undecided]));
        }
        let mut lost = BTreeSet::new();
        for (address, why) in silent {
            say(&format!(
                "{address} does not answer: {why}\n\
                 If it comes back, what is made in its place would stand beside it.\n"
            ));
            let answer = tokio::select! {
                answer = ask("Is it lost for good?") => answer,
                () = self.services.stop.soft.cancelled() => return Err(Exit::Stopped),
            };
            if answer {
                lost.insert(address);
            }
        }
        if lost.is_empty() {
            return Ok(());
        }
        self.look.lost.extend(lost);
        *planning = tokio::select! {
            planning = runs::plan(self.stack, store.snapshot(), self.services, &self.look) => planning,
            () = self.services.stop.soft.cancelled() => return Err(Exit::Stopped),
        };
        self.services.events.emit(Event::Classified {
            conditions: planning.conditions.iter().map(shown).collect(),
        });
        Ok(())
    }

    /// Says what came back.
    pub(super) fn report(
        &self,
        report: Option<&Report>,
        store: &Store,
        totals: &Totals,
        exit: Exit,
    ) {
        let Some(report) = report else { return };
        if exit == Exit::Stopped {
            return;
        }
        let instances = &store.snapshot().instances;
        let is_back = |address: &&Address| {
            let instance = instances.get(*address);
            instance.is_some_and(|instance| instance.status == Status::Whole)
        };
        let (back, others): (Vec<&Address>, Vec<&Address>) = report.lost.iter().partition(is_back);
        let (missing, dropped): (Vec<&Address>, Vec<&Address>) = others
            .into_iter()
            .partition(|address| report.wanted.contains(*address));
        let owned = |addresses: Vec<&Address>| addresses.into_iter().cloned().collect();
        self.services.events.emit(Event::Rebuilt {
            lost: report.lost.clone(),
            back: owned(back),
            missing: owned(missing),
            dropped: owned(dropped),
            milliseconds: totals.milliseconds(),
            estimate: report.estimate,
        });
    }
}
