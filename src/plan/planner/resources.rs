//! The instances of a block: which there are, what has to be read of each, and what is decided.

use std::collections::BTreeSet;
use std::sync::Arc;

use dmp_graph::{ConfigPath, NodeId};
use dmp_lang::config::Lifecycle;
use dmp_lang::reference::ResourceKey;
use dmp_lang::{Decoded, Expr};
use dmp_sdk::{
    Action, Address, Configured, Diagnostic, Mark, Mode, ModulePath, Purpose, Reason, Resource,
    Value,
};

use dmp_state::Group;

use super::references::origins_in_words;
use super::{Asked, Planner, ProviderState, Tried};
use crate::ask::{Finding, ReadKind, ReadRequest};
use crate::imports::Adoption;
use crate::instance::{Decision, Inputs, decide};
use crate::model::{Deferred, Earlier, Planned};
use crate::world::{Expansion, Place, World, instance_address};

impl Planner {
    pub(super) fn visit_resource(
        &mut self,
        node: NodeId,
        path: &ConfigPath,
        key: &ResourceKey,
    ) -> Vec<ReadRequest> {
        let mut requests = Vec::new();
        for module in self.world.module_instances(path) {
            let Some(block) = self.world.block(&module, key) else {
                continue;
            };
            let repetition = block.repetition.clone();
            let expansion = self
                .world
                .expand(repetition.as_ref(), &Place::in_module(&module));
            let expansion = match expansion {
                Ok(expansion) => expansion,
                Err(diagnostics) => {
                    self.plan.diagnostics.extend(diagnostics);
                    continue;
                }
            };
            // Which objects go where is known when it is known where there is.
            let expansion = match self.waits_for_provider(&module, key) {
                Some(marks) => Expansion::unknown(marks.union(expansion.marks())),
                None => expansion,
            };
            let keys = expansion.keys();
            let is_part = self.part.has_block(node);
            if expansion.is_unknown() && !self.plan.is_destroy && is_part {
                let waits_for =
                    origins_in_words(expansion.marks().origins().iter().map(AsRef::as_ref));
                let block = instance_address(&module, key, None).to_string();
                let layer = self
                    .world
                    .registry
                    .schema(key.mode, &key.resource_type)
                    .map(|schema| schema.layer);
                self.plan.deferred.push(Deferred {
                    block,
                    waits_for,
                    layer,
                });
            }
            self.world
                .set_expansion((module.clone(), key.clone()), expansion);
            if self.plan.is_destroy {
                // What is to be destroyed keeps its recorded value: provider configurations come from it. Nothing
                // else is looked at: what can't be read must not keep anybody from removing a stack.
                if key.mode == Mode::Managed {
                    self.keep_recorded(&module, key);
                }
                continue;
            }
            if !is_part && key.mode == Mode::Data {
                continue;
            }
            for member in keys {
                let address = instance_address(&module, key, member);
                if !self.part.has_instance(node, &address) {
                    self.leave_out(&address);
                    continue;
                }
                if let Some(wrong) = self.wrong_provider(&address) {
                    self.plan.diagnostics.extend(wrong);
                    continue;
                }
                let Some(provider) = self.provider_of(&address) else {
                    continue;
                };
                requests.extend(self.visit_instance(node, &address, &provider));
            }
        }
        requests
    }

    pub(super) fn keep_recorded(&mut self, module: &ModulePath, key: &ResourceKey) {
        let block = instance_address(module, key, None);
        // In the order of addresses the instances of a block stand one after another.
        let recorded = self.snapshot.instances.range(&block..);
        let recorded = recorded.take_while(|(address, _)| address.is_of(&block));
        for (address, record) in recorded {
            self.world.set_instance(address, &record.attributes);
        }
    }

    /// What is no part of the plan is seen by others as it is recorded.
    fn leave_out(&mut self, address: &Address) {
        match self.records.get(address) {
            Some(record) => self.world.set_instance(address, &record.attributes),
            None => {
                self.left_out.insert(address.clone());
            }
        }
    }

    /// What an instance needs and was left out before it was made.
    fn missing(&self, address: &Address, decoded: &Decoded) -> Option<Diagnostic> {
        let marks = decoded.value.deep_marks();
        let mut origins = marks.origins().iter().map(AsRef::as_ref);
        let missing = origins.find(|origin| self.left_out.contains(*origin))?;
        Some(
            Diagnostic::error("left-out", "something is needed that is left out")
                .address(address)
                .detail(format!(
                    "`{address}` refers to `{missing}`, which is no part of this plan and is not made yet"
                ))
                .help(format!("take `{missing}` into the plan, or make it first"))
                .at(block_span(&self.world, address)),
        )
    }

    pub(super) fn visit_instance(
        &mut self,
        node: NodeId,
        address: &Address,
        provider: &str,
    ) -> Option<ReadRequest> {
        let decoded = self.world.decode(address)?;
        let block = self.world.block_of(address)?;
        let place = self.world.place_of(address);
        let conditions = &block.lifecycle.preconditions;
        let failed = self.world.failed_conditions(
            conditions,
            &place,
            "precondition",
            "precondition does not hold",
        );
        let missing = self.missing(address, &decoded);
        let is_wrong = failed
            .iter()
            .chain(&decoded.diagnostics)
            .chain(&missing)
            .any(Diagnostic::is_error);
        self.plan.diagnostics.extend(missing);
        self.plan
            .diagnostics
            .extend(decoded.diagnostics.iter().cloned());
        self.plan.diagnostics.extend(
            failed
                .into_iter()
                .map(|diagnostic| diagnostic.address(address)),
        );
        if is_wrong {
            return None;
        }
        let wrong = self.world.wrong_timeouts(address);
        self.plan.diagnostics.extend(wrong);
        let state = self.providers.get(provider)?;
        let request = match address.mode {
            Mode::Data => self.data_request(address, &decoded, provider, state),
            Mode::Managed => self.object_request(address, &decoded, provider, state),
        };
        match (request, address.mode) {
            (Some(request), _) => {
                let asked = Asked {
                    node,
                    decoded,
                    tried: None,
                };
                self.asked.insert(address.clone(), asked);
                Some(request)
            }
            (None, Mode::Data) => {
                self.defer_data(address, &decoded, provider);
                None
            }
            (None, Mode::Managed) => self.decide(node, address, &decoded, Earlier::NotRead),
        }
    }

    /// An object with a natural key is read before it is created, if that can be done now.
    pub(super) fn object_request(
        &self,
        address: &Address,
        decoded: &Decoded,
        provider: &str,
        state: &ProviderState,
    ) -> Option<ReadRequest> {
        let resource = self.world.registry.resource(&address.resource_type)?;
        let configured = state.configured.as_ref()?;
        let is_recorded = self.recorded(address).is_some();
        if let (Ok(Some(id)), false) = (self.import_id(address), is_recorded) {
            return import_request(resource, address, &decoded.value, &id, configured, provider)
                .ok();
        }
        if self.lost.contains(address) {
            return read_before_create(resource, address, &decoded.value, configured, provider);
        }
        let is_gone = matches!(self.findings.get(address), Some(Finding::Absent));
        if !resource.schema().has_natural_key() || (is_recorded && !is_gone) {
            return None;
        }
        if is_gone {
            // It was just looked for.
            return None;
        }
        read_before_create(resource, address, &decoded.value, configured, provider)
    }

    /// What an `import` block adopts at an address.
    fn adoption(&self, address: &Address) -> Option<&Adoption> {
        self.adoptions.get(*self.imports.get(address)?)
    }

    /// The id by which an `import` block adopts an object at an address.
    pub(super) fn import_id(&self, address: &Address) -> Result<Option<String>, Vec<Diagnostic>> {
        let Some(adoption) = self.adoption(address) else {
            return Ok(None);
        };
        let import = &adoption.import;
        let value = self.world.evaluate(&import.id, &adoption.place)?;
        match value.as_str() {
            Some(_) if value.deep_marks().is_sensitive() => Err(vec![
                Diagnostic::error("import-id", "the id is secret")
                    .detail("an id is shown and recorded, it can't be sensitive")
                    .help("write `nonsensitive(…)` around it if it is none")
                    .at(import.id.span.clone()),
            ]),
            Some(id) if !id.is_empty() => Ok(Some(id.to_owned())),
            _ => Err(vec![
                Diagnostic::error("import-id", "the id is no text that is known")
                    .detail("`id` of an `import` block has to be known while it is planned")
                    .at(import.id.span.clone()),
            ]),
        }
    }

    /// The group in which an instance is changed, by its `rollout` block.
    fn group_of(&mut self, address: &Address, lifecycle: &Lifecycle) -> Option<Group> {
        let rollout = lifecycle.rollout.as_ref()?;
        let place = Place::in_module(&address.module);
        let value = |expr: &Option<Expr>| -> Result<Option<Value>, Vec<Diagnostic>> {
            expr.as_ref()
                .map(|expr| self.world.evaluate(expr, &place))
                .transpose()
        };
        let found = value(&rollout.group).and_then(|name| Ok((name, value(&rollout.max_out)?)));
        let (name, max_out) = match found {
            Ok(found) => found,
            Err(diagnostics) => {
                self.plan.diagnostics.extend(diagnostics);
                return None;
            }
        };
        let name = name.map(|name| name.as_str().map(ToOwned::to_owned));
        let max_out = max_out.map(|max_out| {
            let count = max_out
                .as_i64()
                .and_then(|count| usize::try_from(count).ok());
            count.filter(|count| *count > 0)
        });
        let (Some(name), Some(max_out)) = (
            name.unwrap_or_else(|| Some(address.block().to_string())),
            max_out.unwrap_or(Some(1)),
        ) else {
            self.plan.diagnostics.push(
                Diagnostic::error("wrong-rollout", "a rollout that can't be carried out")
                    .detail("`group` is a text and `max_out` a whole number from 1, both known while it is planned")
                    .at(rollout.span.clone()),
            );
            return None;
        };
        Some(Group { name, max_out })
    }

    /// Whether an object's end is refused. What can't be told guards.
    fn is_guarded(&mut self, address: &Address, lifecycle: &Lifecycle) -> bool {
        let Some(expr) = &lifecycle.prevent_destroy else {
            return false;
        };
        let wrong = || {
            Diagnostic::error("wrong-guard", "`prevent_destroy` is neither true nor false")
                .detail("it has to be known while it is planned")
                .at(expr.span.clone())
                .address(address)
        };
        let value = self.world.evaluate(expr, &self.world.place_of(address));
        let guards = value.map(|value| {
            let value =
                dmp_sdk::convert(&value, &dmp_sdk::Type::Bool, dmp_sdk::Strictness::Lenient);
            value.ok().and_then(|value| value.as_bool())
        });
        match guards {
            Ok(Some(guards)) => guards,
            Ok(None) => {
                self.plan.diagnostics.push(wrong());
                true
            }
            Err(diagnostics) => {
                self.plan.diagnostics.extend(diagnostics);
                true
            }
        }
    }

    /// Why an object can't be imported by an id, if it can't.
    fn refused_import(&self, address: &Address, config: &Value, id: &str) -> Option<Diagnostic> {
        let resource = self.world.registry.resource(&address.resource_type)?;
        let attributes = crate::instance::before_create(resource.schema(), config);
        resource.import(id, &attributes).err()
    }

    /// Whether an object becomes dmp's by an `import` block.
    pub(super) fn is_import(&self, address: &Address) -> bool {
        self.recorded(address).is_none() && matches!(self.import_id(address), Ok(Some(_)))
    }

    /// Says what is wrong with the `import` block of an address, if it has one. Returns whether anything is.
    fn is_wrong_import(&mut self, address: &Address, config: &Value) -> bool {
        if self.recorded(address).is_some() {
            return false;
        }
        let wrong: Vec<Diagnostic> = match self.import_id(address) {
            Ok(None) => Vec::new(),
            Ok(Some(id)) => {
                let adoption = self.adoption(address);
                let span = adoption.map(|adoption| adoption.import.span.clone());
                let other = adoption
                    .and_then(|adoption| crate::imports::other_provider(&self.world, adoption));
                let refused = self.refused_import(address, config, &id);
                let refused = refused.map(|diagnostic| diagnostic.at(span));
                refused
                    .into_iter()
                    .chain(other.unwrap_or_default())
                    .collect()
            }
            Err(diagnostics) => diagnostics,
        };
        let is_wrong = !wrong.is_empty();
        let at = |diagnostic: Diagnostic| diagnostic.address(address);
        self.plan.diagnostics.extend(wrong.into_iter().map(at));
        is_wrong
    }

    /// Decides about an instance that the configuration has. What comes back has to be read first.
    pub(super) fn decide(
        &mut self,
        node: NodeId,
        address: &Address,
        decoded: &Decoded,
        earlier: Earlier,
    ) -> Option<ReadRequest> {
        let resource = self.resource_of(address)?;
        let schema = resource.schema();
        if self.is_wrong_import(address, &decoded.value) {
            return None;
        }
        self.assume_what_is_off(address, schema.layer);
        let finding = self.findings.get(address).cloned();
        let is_gone = matches!(finding, Some(Finding::Absent));
        let earlier = match (schema.has_natural_key(), is_gone, earlier) {
            (false, _, _) => Earlier::NotAsked,
            (true, true, Earlier::NotRead) => Earlier::Nothing,
            (true, _, earlier) => earlier,
        };
        let is_lost = self.lost_with(address).is_some();
        if let Some(Finding::Unreachable(why)) = &finding
            && !is_lost
        {
            self.plan.diagnostics.push(unreachable(address, why));
        }
        if let Some(Finding::Failed(diagnostic)) = &finding {
            self.plan
                .diagnostics
                .push(diagnostic.clone().address(address));
        }
        let decision = self.decision(address, decoded, &earlier, None)?;
        let is_readable = matches!(
            finding,
            None | Some(Finding::Found(_) | Finding::HalfMade(..) | Finding::Absent)
        );
        if is_readable
            && !is_lost
            && let Some(request) = self.dry_run_request(address, &decision)
        {
            let asked = Asked {
                node,
                decoded: decoded.clone(),
                tried: Some(Tried { earlier, decision }),
            };
            self.asked.insert(address.clone(), asked);
            return Some(request);
        }
        self.take_decision(address, decoded, earlier, decision, None);
        None
    }

    /// The id of what was found at an address.
    fn found_id(&self, address: &Address) -> Option<String> {
        match self.findings.get(address)? {
            Finding::Found(object) | Finding::HalfMade(object, _) => object.id.clone(),
            _ => None,
        }
    }

    pub(super) fn resource_of(&self, address: &Address) -> Option<Arc<dyn Resource>> {
        self.world
            .registry
            .resource(&address.resource_type)
            .cloned()
    }

    /// The host with which a recorded instance is lost.
    fn lost_with(&self, address: &Address) -> Option<Address> {
        let record = self.recorded(address)?;
        crate::ending::lost_host(record, &self.plan)
    }

    /// What happens to an instance. A mistake that only shows here is noted.
    pub(super) fn decision(
        &mut self,
        address: &Address,
        decoded: &Decoded,
        earlier: &Earlier,
        dry_run: Option<&Value>,
    ) -> Option<Decision> {
        let resource = self.resource_of(address)?;
        let provider = self.provider_of(address).unwrap_or_default();
        let lifecycle = self.world.block_of(address)?.lifecycle.clone();
        let record = self.recorded(address).cloned();
        let finding = self.findings.get(address).cloned();
        let is_asked = record.is_some() && self.part.replace().contains(address);
        let triggered = is_asked
            .then_some(Reason::Asked)
            .or_else(|| {
                Some(Reason::Triggered {
                    by: self.triggered_by(address)?,
                })
            })
            .or_else(|| self.lives_elsewhere(record.as_ref()?, &provider));
        let is_lost = self.lost_with(address).is_some();
        let import = match record {
            None => self.import_id(address).ok().flatten(),
            Some(_) => None,
        };
        let inputs = Inputs {
            address,
            config: &decoded.value,
            lifecycle: &lifecycle,
            record: record.as_deref().filter(|_| !is_lost),
            finding: finding.as_ref(),
            earlier,
            triggered,
            import: import.as_deref(),
            is_lost: record.is_some() && self.lost.contains(address),
            dry_run,
        };
        match decide(resource.as_ref(), &inputs) {
            Ok(decision) => Some(decision),
            Err(diagnostic) => {
                let block = self.adoption(address).filter(|_| import.is_some());
                let diagnostic = match block {
                    Some(block) if diagnostic.path.is_none() => {
                        diagnostic.at(block.import.span.clone())
                    }
                    _ => diagnostic,
                };
                let diagnostic = self.placed(address, decoded, diagnostic);
                self.plan.diagnostics.push(diagnostic);
                None
            }
        }
    }

    /// A resource type's diagnostic with the source lines that it means.
    pub(super) fn placed(
        &self,
        address: &Address,
        decoded: &Decoded,
        diagnostic: Diagnostic,
    ) -> Diagnostic {
        let span = diagnostic
            .path
            .as_ref()
            .and_then(|path| decoded.spans.get(path).cloned());
        let span = diagnostic
            .span
            .clone()
            .or(span)
            .or_else(|| block_span(&self.world, address));
        diagnostic.at(span).address(address)
    }

    /// Puts a decision into the plan.
    pub(super) fn take_decision(
        &mut self,
        address: &Address,
        decoded: &Decoded,
        earlier: Earlier,
        decision: Decision,
        dry_run: Option<Value>,
    ) {
        let Some(resource) = self.resource_of(address) else {
            return;
        };
        let Some(block) = self.world.block_of(address) else {
            return;
        };
        let schema = resource.schema();
        let layer = block.layer.unwrap_or(schema.layer);
        let lifecycle = block.lifecycle.clone();
        let record = self.recorded(address).cloned();
        let import = match record {
            None => self.import_id(address).ok().flatten(),
            Some(_) => None,
        };
        let provider = self.provider_of(address).unwrap_or_default();
        let lost_with = self.lost_with(address);
        self.world.set_instance(address, &decision.planned);
        let mut planned = self.blank(address, decoded, &provider, layer);
        planned.action = decision.action;
        planned.reasons = decision.reasons;
        planned.prior = decision.prior;
        planned.planned = Some(decision.planned);
        planned.changed = decision.changed;
        planned.effects = decision.effects;
        planned.notes = decision.notes;
        planned.half_made = decision.half_made;
        planned.dry_run = dry_run;
        planned.is_lost = record.is_some() && self.lost.contains(address);
        planned.earlier = match import {
            // What is imported is dmp's from then on: nothing is put back when it is deleted.
            Some(_) => Earlier::Nothing,
            None => earlier,
        };
        // The id by which it was found may be longer than the one that was written.
        planned.import = import.map(|id| self.found_id(address).unwrap_or(id));
        planned.hosted_on = self.hosted_on(address, schema, decoded, &provider);
        planned.record = record;
        planned.group = self.group_of(address, &lifecycle);
        planned.prevent_destroy = self.is_guarded(address, &lifecycle);
        // What is there is what a delete would lose.
        let kept = planned.prior.as_ref().or(planned.planned.as_ref());
        planned.holds_data = kept.map_or(schema.holds_data, |value| resource.holds_data(value));
        planned.ends_hosted = schema.ends_hosted;
        if let Some(host) = lost_with {
            planned.action = Action::DeleteThenCreate;
            planned.reasons = vec![Reason::HostEnds {
                host: host.to_string(),
            }];
            planned.lost_with = Some(host);
            planned.earlier = if schema.has_natural_key() {
                Earlier::NotRead
            } else {
                Earlier::NotAsked
            };
        }
        if planned.action == Action::NoOp
            && let Some(value) = &planned.planned
        {
            let failed = self.failed_postconditions(address, value);
            self.plan.diagnostics.extend(failed);
        }
        self.plan.instances.insert(address.clone(), planned.into());
    }

    pub(super) fn blank(
        &self,
        address: &Address,
        decoded: &Decoded,
        provider: &str,
        layer: dmp_sdk::Layer,
    ) -> Planned {
        let mut uses: Vec<Address> = decoded
            .value
            .deep_marks()
            .origins()
            .iter()
            .map(|origin| origin.as_ref().clone())
            .collect();
        if let Some(state) = self.providers.get(provider) {
            uses.extend(state.origins.iter().cloned());
        }
        uses.sort_unstable();
        uses.dedup();
        uses.retain(|used| used != address);
        Planned {
            address: address.clone(),
            action: Action::NoOp,
            reasons: Vec::new(),
            provider: provider.to_owned(),
            layer,
            prior: None,
            planned: None,
            earlier: Earlier::NotAsked,
            set_paths: decoded.set_paths.iter().map(ToString::to_string).collect(),
            changed: Vec::new(),
            effects: Vec::new(),
            notes: Vec::new(),
            uses,
            waits_for: self.blocks_waited_for(address),
            hosted_on: Vec::new(),
            lost_with: None,
            is_lost: false,
            leaves: false,
            succeeded_by: BTreeSet::new(),
            group: None,
            import: None,
            moved_from: None,
            record: None,
            half_made: None,
            dry_run: None,
            prevent_destroy: false,
            holds_data: dmp_sdk::HoldsData::None,
            ends_hosted: false,
        }
    }
}

/// A request to look at what stands at an object's natural key. `None` while a part of the key is unknown.
#[must_use]
pub fn read_before_create(
    resource: &Arc<dyn Resource>,
    address: &Address,
    config: &Value,
    configured: &Arc<dyn Configured>,
    provider: &str,
) -> Option<ReadRequest> {
    let attributes = crate::instance::before_create(resource.schema(), config);
    let nothing = Value::null();
    let known = dmp_sdk::Known {
        address,
        purpose: Purpose::BeforeCreate,
        id: None,
        attributes: &attributes,
        chosen: &nothing,
        mark: None::<&Mark>,
    };
    // Where it can't be asked for yet there is nothing to fetch; a mistake in it shows when it is decided.
    let can_ask = resource
        .fetches(&known)
        .is_ok_and(|fetches| !fetches.is_empty());
    can_ask.then(|| ReadRequest {
        address: address.clone(),
        kind: ReadKind::Object {
            resource: Arc::clone(resource),
            purpose: Purpose::BeforeCreate,
            attributes: attributes.map_marks(&dmp_sdk::Marks::without_origins),
            object_id: None,
            chosen: Value::null(),
            mark: None,
        },
        provider: Arc::clone(configured),
        provider_address: provider.to_owned(),
        within: None,
    })
}

/// A request to read an object that is to become dmp's.
///
/// # Errors
/// When it can't be imported by this id.
pub fn import_request(
    resource: &Arc<dyn Resource>,
    address: &Address,
    config: &Value,
    id: &str,
    configured: &Arc<dyn Configured>,
    provider: &str,
) -> Result<ReadRequest, Diagnostic> {
    let attributes = crate::instance::before_create(resource.schema(), config);
    let attributes = resource.import(id, &attributes)?;
    Ok(ReadRequest {
        address: address.clone(),
        kind: ReadKind::Object {
            resource: Arc::clone(resource),
            purpose: Purpose::Import,
            attributes: attributes.map_marks(&dmp_sdk::Marks::without_origins),
            object_id: Some(id.to_owned()),
            chosen: Value::null(),
            mark: None,
        },
        provider: Arc::clone(configured),
        provider_address: provider.to_owned(),
        within: None,
    })
}

pub(super) fn unreachable(address: &Address, why: &str) -> Diagnostic {
    Diagnostic::remote("unreachable", "cannot read an object")
        .address(address)
        .cause(why)
        .help("make it reachable and plan again")
}

pub(super) fn block_span(world: &World, address: &Address) -> Option<dmp_sdk::Span> {
    world.block_of(address).map(|block| block.span.clone())
}
