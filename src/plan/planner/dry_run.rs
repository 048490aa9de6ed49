//! Dry runs: what a create or an update that was decided would come to, asked of the other side without making it.
//!
//! Only types whose `plan` wants to know are asked, and never for what stays as it is.

use dmp_lang::Decoded;
use dmp_sdk::{Action, Address, Diagnostic, Known, Mark, Marks, Purpose, Value};

use super::resources::unreachable;
use super::{Planner, Tried};
use crate::ask::{Finding, ReadKind, ReadRequest};
use crate::instance::Decision;
use crate::redact::Secrets;

impl Planner {
    /// A request to try what was decided. `None` if nobody wants to know, or it can't be asked now.
    pub(super) fn dry_run_request(
        &mut self,
        address: &Address,
        decision: &Decision,
    ) -> Option<ReadRequest> {
        let is_tried = matches!(decision.action, Action::Create | Action::Update);
        if !decision.wants_dry_run || !is_tried {
            return None;
        }
        let resource = self.resource_of(address)?;
        let provider_address = self.provider_of(address)?;
        let provider = self.providers.get(&provider_address)?.configured.clone()?;
        let record = self.recorded(address);
        let attributes = decision.planned.map_marks(&Marks::without_origins);
        let object_id = record.and_then(|record| record.object_id.clone());
        let chosen = record.map_or_else(Value::null, |record| record.chosen.clone());
        let known = Known {
            address,
            purpose: Purpose::DryRun,
            id: object_id.as_deref(),
            attributes: &attributes,
            chosen: &chosen,
            mark: None::<&Mark>,
        };
        let can_ask = resource
            .fetches(&known)
            .is_ok_and(|fetches| !fetches.is_empty());
        can_ask.then(|| ReadRequest {
            address: address.clone(),
            kind: ReadKind::Object {
                resource,
                purpose: Purpose::DryRun,
                attributes,
                object_id,
                chosen,
                mark: None,
            },
            provider,
            provider_address,
            within: None,
        })
    }

    /// Decides again with what a dry run told.
    pub(super) fn finish_dry_run(
        &mut self,
        address: &Address,
        decoded: &Decoded,
        tried: Tried,
        finding: Finding,
    ) {
        let secrets = Secrets::of([&tried.decision.planned]);
        let mut note = None;
        let told = match finding {
            Finding::Found(object) | Finding::HalfMade(object, _) => Some(object.attributes),
            Finding::Unreachable(why) => {
                let diagnostic = unreachable(address, &secrets.hide(&why));
                self.plan.diagnostics.push(diagnostic);
                None
            }
            Finding::Failed(diagnostic) => {
                let diagnostic = secrets.hide_in(diagnostic);
                if self.needs_a_change(address, decoded) {
                    note = Some(not_yet(&diagnostic));
                } else {
                    let diagnostic = self.placed(address, decoded, diagnostic);
                    self.plan.diagnostics.push(diagnostic);
                }
                None
            }
            _ => None,
        };
        let mut decision = match &told {
            None => tried.decision,
            Some(_) => match self.decision(address, decoded, &tried.earlier, told.as_ref()) {
                Some(decision) => decision,
                None => return,
            },
        };
        decision.notes.extend(note);
        self.take_decision(address, decoded, tried.earlier, decision, told);
    }

    /// Whether anything that an instance refers to, or was told to wait for, changes in this plan: then what is refused
    /// now may be taken later.
    fn needs_a_change(&self, address: &Address, decoded: &Decoded) -> bool {
        let marks = decoded.value.deep_marks();
        let used = marks.origins().iter().map(AsRef::as_ref);
        let mut used = used.filter_map(|used: &Address| self.plan.instances.get(used));
        let blocks = self.blocks_waited_for(address);
        let mut planned = self.plan.instances.values();
        used.any(|planned| planned.is_change())
            || planned.any(|planned| {
                let block = (
                    planned.address.module.clone(),
                    crate::world::block_key(&planned.address),
                );
                planned.is_change() && blocks.contains(&block)
            })
    }
}

fn not_yet(refused: &Diagnostic) -> String {
    let why = refused.cause.as_deref().unwrap_or(&refused.detail);
    format!("as things are it would be refused, what it waits for may change that: {why}")
}
