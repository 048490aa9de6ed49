//! Plans one instance again with what is known by now, and turns the decision into work.

use std::sync::Arc;
use std::time::Duration;

use dmp_lang::config::Timed;
use dmp_plan::envelope::{Late, compare};
use dmp_plan::instance::{Inputs, conform, decide};
use dmp_plan::planner::read_before_create;
use dmp_plan::world::ProviderAt;
use dmp_plan::{Earlier, Finding, Planned, ReadKind, ReadRequest};
use dmp_sdk::{
    Action, Address, Configured, Diagnostic, Fetch, Job, Kind, Known, Machine, Mark, Marks, Object,
    Purpose, Resource, Script, Step, Value, Verb, Work,
};
use dmp_state::{Instance, Intent, ProviderRecord, Record};

use crate::walker::Walker;

/// One piece of work, decided and ready to be begun.
pub(crate) struct Task {
    pub address: Address,
    pub action: Action,
    pub layer: dmp_sdk::Layer,
    pub verb: Verb,
    pub resource: Arc<dyn Resource>,
    pub provider: Arc<dyn Configured>,
    pub intent: String,
    /// The instance as it is recorded when the work ends well.
    pub instance: Instance,
    pub prior: Option<Value>,
    pub wanted: Option<Value>,
    /// The planned value with its unknowns, to be compared with what is found afterwards.
    pub planned: Option<Value>,
    pub mark: Mark,
    pub is_new: bool,
    /// Whether the object recorded at the same address lives on until it is deleted.
    pub deposes: bool,
    /// Whether a delete begins with a leave, both by calls.
    pub leaves: bool,
    /// Whether the object itself is dead (for a leave).
    pub is_dead: bool,
    /// Whether another takes its place (for a leave).
    pub has_successor: bool,
    pub steps: Vec<Step>,
    pub calls: bool,
    /// How long the work may take, if the configuration says so.
    pub within: Option<Duration>,
}

/// What became of the wish to begin an operation.
pub(crate) enum Prepared {
    /// Work to do.
    Task(Box<Task>),
    /// It has to be read first.
    Read(Box<ReadRequest>),
    /// There is nothing to do but to record.
    Record(Box<Task>),
    /// It goes beyond what was approved.
    Stage(String),
    /// Nothing at all.
    Nothing,
    /// It can't be done.
    Failed(Diagnostic),
}

impl Task {
    /// The work as the resource type sees it.
    pub(crate) fn job(&self, verb: Verb) -> Job<'_> {
        Job {
            verb,
            address: &self.address,
            mark: &self.mark,
            id: self.instance.object_id.as_deref(),
            prior: self.prior.as_ref(),
            wanted: self.wanted.as_ref(),
            chosen: &self.instance.chosen,
            earlier: self.instance.earlier.as_ref(),
            is_dead: self.is_dead,
            has_successor: self.has_successor,
        }
    }

    /// The intent that goes to disk before anything is begun.
    pub(crate) fn open_intent(&self, run: &str) -> Intent {
        Intent {
            id: self.intent.clone(),
            verb: self.verb,
            instance: Box::new(self.instance.clone()),
            deposes: self.deposes,
            object_id: self.instance.object_id.clone(),
            batches: Vec::new(),
            run: run.to_owned(),
        }
    }

    /// What has to be read when the work is through.
    pub(crate) fn read_back(&self) -> ReadRequest {
        ReadRequest {
            address: self.address.clone(),
            kind: ReadKind::Object {
                resource: Arc::clone(&self.resource),
                purpose: Purpose::AfterWrite,
                attributes: self.instance.attributes.clone(),
                object_id: self.instance.object_id.clone(),
                chosen: self.instance.chosen.clone(),
                mark: Some(self.mark.clone()),
            },
            provider: Arc::clone(&self.provider),
            provider_address: self.instance.provider.clone(),
            within: None,
        }
    }

    /// What is known of the object when it is read back.
    pub(crate) fn known(&self) -> Known<'_> {
        Known {
            address: &self.address,
            purpose: Purpose::AfterWrite,
            id: self.instance.object_id.as_deref(),
            attributes: &self.instance.attributes,
            chosen: &self.instance.chosen,
            mark: Some(&self.mark),
        }
    }

    /// What carries it out together with others: the provider configuration, and the name of what is drafted there.
    pub(crate) fn together(&self) -> Option<(String, &'static str)> {
        let name = self.resource.takes_effect_with()?;
        Some((self.instance.provider.clone(), name))
    }

    /// The one machine that all steps run on.
    pub(crate) fn machine(&self) -> Option<&Machine> {
        let first = &self.steps.first()?.on;
        self.steps
            .iter()
            .all(|step| step.on.key() == first.key())
            .then_some(first)
    }

    /// The scripts that read the object back on a machine, if that is all it takes.
    pub(crate) fn read_scripts(&self, on: &Machine) -> Option<Vec<Script>> {
        if matches!(self.verb, Verb::Delete | Verb::Leave) {
            return Some(Vec::new());
        }
        let fetches = self.resource.fetches(&self.known()).ok()?;
        let script = |fetch: Fetch| match fetch {
            Fetch::Script {
                on: machine,
                script,
            } if machine.key() == on.key() => Some(script),
            _ => None,
        };
        fetches.into_iter().map(script).collect()
    }
}

impl Walker<'_, '_> {
    /// Plans an operation again. `found` is what a read before the create has just found.
    pub(crate) fn prepare(&mut self, address: &Address, found: Option<Finding>) -> Prepared {
        match self.try_prepare(address, found) {
            Ok(prepared) => prepared,
            Err(diagnostic) => match self.waits_for_later(&diagnostic) {
                Some(why) => Prepared::Stage(why),
                None => Prepared::Failed(*diagnostic),
            },
        }
    }

    /// What is still unknown because something is decided later is known in the next round.
    pub(crate) fn waits_for_later(&self, diagnostic: &Diagnostic) -> Option<String> {
        let is_open = diagnostic.code == STILL_UNKNOWN;
        is_open.then(|| self.which_is_decided_later()).flatten()
    }

    fn which_is_decided_later(&self) -> Option<String> {
        let deferred = self.plan.deferred.first()?;
        let more = match self.plan.deferred.len() {
            1 => String::new(),
            all => format!(" or one of {} others", all - 1),
        };
        Some(format!(
            "it waits for `{}`{more}, which is decided later",
            deferred.block
        ))
    }

    fn try_prepare(
        &mut self,
        address: &Address,
        found: Option<Finding>,
    ) -> Result<Prepared, Box<Diagnostic>> {
        let bug = |what: &str| Box::new(Diagnostic::bug(format!("{what} of `{address}`")));
        let planned = self
            .plan
            .instances
            .get(address)
            .ok_or_else(|| bug("no plan"))?;
        let resource = self
            .world
            .registry
            .resource(&address.resource_type)
            .cloned();
        let resource = resource.ok_or_else(|| bug("no resource type"))?;
        let schema = resource.schema();
        let decoded = self.world.decode(address).ok_or_else(|| bug("no block"))?;
        if let Some(error) = decoded
            .diagnostics
            .iter()
            .find(|diagnostic| diagnostic.is_error())
        {
            return Err(Box::new(error.clone()));
        }
        let place = self.world.place_of(address);
        let block = self
            .world
            .block_of(address)
            .ok_or_else(|| bug("no block"))?;
        let lifecycle = block.lifecycle.clone();
        let failed = self.world.failed_conditions(
            &lifecycle.preconditions,
            &place,
            "precondition",
            "precondition does not hold",
        );
        if let Some(error) = failed.into_iter().next() {
            return Err(Box::new(error.address(address)));
        }
        if !decoded.value.is_wholly_known() {
            let unknown = decoded.value.as_members().into_iter().flatten();
            let names = unknown
                .filter(|(_, value)| !value.is_wholly_known())
                .map(|(name, _)| name.to_string());
            let names = names.collect::<Vec<_>>().join("`, `");
            return Err(Box::new(
                Diagnostic::error(STILL_UNKNOWN, "a value is still unknown")
                    .detail(format!(
                        "`{names}` of `{address}` is not known although all it refers to is applied"
                    ))
                    .address(address),
            ));
        }
        let provider = self.usable_provider(&planned.provider)?;
        let is_import = planned.import.is_some() && planned.record.is_none();
        // The second half of a replacement makes a new object.
        let is_replaced = planned.action.replaces();
        let record = if is_replaced || planned.action == Action::Create {
            None
        } else {
            planned.record.as_ref()
        };
        let prior = match (is_import, &planned.prior, &found) {
            (true, None, None) => {
                let id = planned.import.as_deref().unwrap_or_default();
                let name = &planned.provider;
                let config = &decoded.value;
                let request = dmp_plan::planner::import_request(
                    &resource, address, config, id, &provider, name,
                );
                return Ok(Prepared::Read(Box::new(request.map_err(Box::new)?)));
            }
            (true, None, Some(finding)) => Some(finding.clone()),
            _ => None,
        };
        let earlier = match (&planned.earlier, found) {
            (Earlier::NotRead, Some(Finding::Found(object) | Finding::HalfMade(object, _))) => {
                let found = conform(schema, &object.attributes);
                Earlier::Found(found.with_secrecy_of(&decoded.value))
            }
            (Earlier::NotRead, Some(Finding::Absent)) => Earlier::Nothing,
            (Earlier::NotRead, Some(Finding::Unreachable(why))) => {
                return Err(Box::new(
                    Diagnostic::remote("unreachable", "cannot read an object")
                        .address(address)
                        .cause(why),
                ));
            }
            (Earlier::NotRead, Some(Finding::Failed(diagnostic))) => {
                return Err(Box::new(diagnostic.address(address)));
            }
            (Earlier::NotRead, _) if record.is_none() => {
                let name = &planned.provider;
                let request =
                    read_before_create(&resource, address, &decoded.value, &provider, name);
                match request {
                    Some(request) => return Ok(Prepared::Read(Box::new(request))),
                    None => Earlier::NotRead,
                }
            }
            (earlier, _) => earlier.clone(),
        };
        let finding = planned.prior.clone().map(|attributes| {
            let object = Object {
                attributes,
                id: record.and_then(|record| record.object_id.clone()),
            };
            match &planned.half_made {
                Some(why) => Finding::HalfMade(object, why.clone()),
                None => Finding::Found(object),
            }
        });
        let finding = finding.or(prior);
        if let (true, Some(Finding::Unreachable(why))) = (is_import, &finding) {
            return Err(Box::new(
                Diagnostic::remote("unreachable", "cannot read an object")
                    .address(address)
                    .cause(why.clone()),
            ));
        }
        let inputs = Inputs {
            address,
            config: &decoded.value,
            lifecycle: &lifecycle,
            record: record.map(AsRef::as_ref),
            finding: finding.as_ref(),
            earlier: &earlier,
            triggered: None,
            import: planned.import.as_deref().filter(|_| is_import),
            is_lost: planned.is_lost,
            // A replacement makes another object than the one that was asked about.
            dry_run: planned.dry_run.as_ref().filter(|_| !is_replaced),
        };
        let decision = decide(resource.as_ref(), &inputs).map_err(Box::new)?;
        if let Late::Beyond(why) = compare(planned, &decision, &earlier, schema) {
            return Ok(Prepared::Stage(why));
        }
        if decision.action == Action::NoOp {
            self.world.set_instance(address, &decision.planned);
            let mut task = self.task(planned, &resource, &provider, Verb::Update);
            task.instance.attributes = decision.planned.clone();
            task.prior = decision.prior;
            task.planned = Some(decision.planned);
            return Ok(Prepared::Record(Box::new(task)));
        }
        if is_import {
            return self.prepare_import(planned, &resource, &provider, decision);
        }
        self.lose_what_lived_on(planned)?;
        let is_finish = decision.half_made.is_some();
        let verb = if record.is_none() || is_finish {
            Verb::Create
        } else {
            Verb::Update
        };
        let wanted = without_unknowns(&decision.planned);
        let wrong = self.world.wrong_timeouts(address).into_iter().next();
        if let Some(wrong) = wrong {
            return Err(Box::new(wrong));
        }
        let mut task = self.task(planned, &resource, &provider, verb);
        if record.is_none() {
            task.is_new = true;
            task.deposes = planned.action == Action::CreateThenDelete;
            task.instance.id = (self.run.services.mint)();
            task.mark.instance.clone_from(&task.instance.id);
            task.instance.earlier = earlier.to_record();
            task.instance.chosen = resource.choose(&task.mark, &wanted).map_err(Box::new)?;
            task.instance.object_id = schema.chosen_id(&task.instance.chosen);
        }
        task.instance.attributes = wanted.clone();
        task.prior = decision.prior;
        task.wanted = Some(wanted);
        task.planned = Some(decision.planned);
        match resource.work(&task.job(verb)).map_err(Box::new)? {
            Work::Steps(steps) => task.steps = steps,
            Work::Calls => task.calls = true,
        }
        if task.steps.is_empty() && !task.calls {
            return Ok(Prepared::Record(Box::new(task)));
        }
        Ok(Prepared::Task(Box::new(task)))
    }

    /// An object that is there already becomes dmp's. Where its mark is a field, that is written now.
    fn prepare_import(
        &mut self,
        planned: &Planned,
        resource: &Arc<dyn Resource>,
        provider: &Arc<dyn Configured>,
        decision: dmp_plan::instance::Decision,
    ) -> Result<Prepared, Box<Diagnostic>> {
        let mut task = self.task(planned, resource, provider, Verb::Update);
        let wanted = without_unknowns(&decision.planned);
        task.is_new = true;
        task.instance.id = (self.run.services.mint)();
        task.mark.instance.clone_from(&task.instance.id);
        task.instance.earlier = Some(Value::null());
        if !resource.schema().has_natural_key() {
            task.instance.object_id.clone_from(&planned.import);
        }
        task.instance.attributes = wanted.clone();
        task.prior = decision.prior;
        task.planned = Some(decision.planned);
        if decision.action == Action::Import && resource.schema().has_natural_key() {
            return Ok(Prepared::Record(Box::new(task)));
        }
        task.wanted = Some(wanted);
        match resource.work(&task.job(Verb::Update)).map_err(Box::new)? {
            Work::Steps(steps) => task.steps = steps,
            Work::Calls => task.calls = true,
        }
        if task.steps.is_empty() && !task.calls {
            return Ok(Prepared::Record(Box::new(task)));
        }
        Ok(Prepared::Task(Box::new(task)))
    }

    /// What lived on something that is gone and made anew leaves the state before the new one is begun: nobody may take
    /// the new one's emptiness for it.
    fn lose_what_lived_on(&mut self, planned: &Planned) -> Result<(), Box<Diagnostic>> {
        if planned.action != Action::Create || planned.record.is_none() {
            return Ok(());
        }
        let recorded = &self.run.store.snapshot().instances;
        let is_old = |address: &Address| {
            let old = self.plan.instances.get(address)?.record.as_ref()?;
            Some(recorded.get(address)?.id == old.id)
        };
        let lost = self.lost_with(&planned.address).into_iter();
        let lost = lost.filter(|address| is_old(address) == Some(true));
        let removed = |address| Record::InstanceRemoved {
            address,
            why: "lost with host".into(),
        };
        let records = lost.map(removed).collect();
        self.run.commit(records).map_err(Box::new)
    }

    /// The work that takes an instance out of what knows it elsewhere, before its host ends or after it is dead.
    pub(crate) fn prepare_leave(&mut self, address: &Address) -> Prepared {
        let Some(planned) = self.plan.instances.get(address) else {
            return Prepared::Nothing;
        };
        let resource = self
            .world
            .registry
            .resource(&address.resource_type)
            .cloned();
        let (Some(record), Some(resource)) = (&planned.record, resource) else {
            return Prepared::Nothing;
        };
        let provider = match self.provider_for_delete(&record.provider) {
            Ok(provider) => provider,
            Err(diagnostic) => return Prepared::Failed(diagnostic.address(address)),
        };
        let mut task = self.task(planned, &resource, &provider, Verb::Leave);
        task.action = Action::LostWithHost;
        task.instance = record.as_ref().clone();
        task.prior = Some(conform(resource.schema(), &record.attributes));
        task.is_dead = dmp_plan::ending::died(self.plan, planned);
        task.has_successor = planned.planned.is_some();
        match resource.work(&task.job(Verb::Leave)) {
            Ok(Work::Steps(steps)) => task.steps = steps,
            Ok(Work::Calls) => task.calls = true,
            Err(diagnostic) => return Prepared::Failed(diagnostic.address(address)),
        }
        if task.steps.is_empty() && !task.calls {
            return Prepared::Nothing;
        }
        Prepared::Task(Box::new(task))
    }

    /// The work that removes an object which an earlier run has replaced.
    pub(crate) fn prepare_bury(&mut self, position: usize) -> Prepared {
        match self.plan.deposed.get(position) {
            Some(planned) => self.prepare_end(planned),
            None => Prepared::Nothing,
        }
    }

    /// The work that removes an instance.
    pub(crate) fn prepare_delete(&mut self, address: &Address) -> Prepared {
        let Some(planned) = self.plan.instances.get(address) else {
            return Prepared::Nothing;
        };
        match self.successor_is_decided_later(planned) {
            Some(why) => Prepared::Stage(why),
            None => self.prepare_end(planned),
        }
    }

    /// Why an object that goes before its successor comes has to stay for now: nobody knows yet what would come.
    fn successor_is_decided_later(&mut self, planned: &Planned) -> Option<String> {
        if planned.action != Action::DeleteThenCreate || self.plan.deferred.is_empty() {
            return None;
        }
        let decoded = self.world.decode(&planned.address)?;
        let is_open = !decoded.value.is_wholly_known();
        is_open.then(|| self.which_is_decided_later()).flatten()
    }

    fn prepare_end(&mut self, planned: &Planned) -> Prepared {
        let address = &planned.address;
        let Some(record) = &planned.record else {
            return Prepared::Nothing;
        };
        let Some(resource) = self
            .world
            .registry
            .resource(&address.resource_type)
            .cloned()
        else {
            return Prepared::Failed(Diagnostic::bug(format!("no resource type of `{address}`")));
        };
        // It is deleted where it was made, also if its successor goes elsewhere.
        let provider = match self.provider_for_delete(&record.provider) {
            Ok(provider) => provider,
            Err(diagnostic) => return Prepared::Failed(diagnostic.address(address)),
        };
        let mut task = self.task(planned, &resource, &provider, Verb::Delete);
        if task.action != Action::Forget {
            task.action = Action::Delete;
        }
        task.instance = record.as_ref().clone();
        task.prior = planned
            .prior
            .clone()
            .or_else(|| Some(record.attributes.clone()));
        task.prior = task.prior.map(|prior| conform(resource.schema(), &prior));
        let mut steps = Vec::new();
        // What is only forgotten stays as it is.
        let verbs: &[Verb] = match planned.action {
            Action::Forget => &[],
            _ if planned.lost_with.is_some() => &[],
            _ => &[Verb::Leave, Verb::Delete],
        };
        for verb in verbs.iter().copied() {
            if verb == Verb::Leave && !resource.leaves() {
                continue;
            }
            match resource.work(&task.job(verb)) {
                Ok(Work::Steps(more)) => {
                    // A step takes another's output by its position within its own work.
                    let before = steps.len();
                    steps.extend(more.into_iter().map(|mut step| {
                        step.takes = step.takes.map(|position| position + before);
                        step
                    }));
                }
                Ok(Work::Calls) => {
                    task.calls = true;
                    task.leaves = verb == Verb::Leave || task.leaves;
                }
                Err(diagnostic) => return Prepared::Failed(diagnostic.address(address)),
            }
        }
        task.steps = steps;
        if task.steps.is_empty() && !task.calls {
            return Prepared::Record(Box::new(task));
        }
        if task.calls && !task.steps.is_empty() {
            let bug = Diagnostic::bug("a delete by steps and calls at once");
            return Prepared::Failed(bug.address(address));
        }
        Prepared::Task(Box::new(task))
    }

    /// A task as far as the plan determines it.
    pub(crate) fn task(
        &self,
        planned: &Planned,
        resource: &Arc<dyn Resource>,
        provider: &Arc<dyn Configured>,
        verb: Verb,
    ) -> Task {
        let instance = self.instance(planned, resource.as_ref());
        let lineage = self.run.store.snapshot().lineage.clone();
        let timed = match verb {
            Verb::Create => Some(Timed::Create),
            Verb::Update => Some(Timed::Update),
            Verb::Delete => Some(Timed::Delete),
            Verb::Leave => None,
        };
        Task {
            address: planned.address.clone(),
            action: planned.action,
            layer: planned.layer,
            verb,
            resource: Arc::clone(resource),
            provider: Arc::clone(provider),
            intent: (self.run.services.mint)(),
            mark: Mark {
                lineage,
                instance: instance.id.clone(),
            },
            instance,
            prior: None,
            wanted: None,
            planned: None,
            is_new: false,
            deposes: false,
            leaves: false,
            is_dead: false,
            has_successor: false,
            steps: Vec::new(),
            calls: false,
            // What is wrong there was told of when it was planned.
            within: timed
                .and_then(|timed| self.world.timeout(&planned.address, timed).ok().flatten()),
        }
    }

    /// The record of an instance as the plan determines it; attributes are those recorded before.
    pub(crate) fn instance(&self, planned: &Planned, resource: &dyn Resource) -> Instance {
        let mut instance = planned.instance(resource.schema());
        instance.holds_data = match &planned.record {
            Some(record) => resource.holds_data(&record.attributes),
            None => resource.schema().holds_data,
        };
        instance
    }

    /// A provider configuration that is known by now; it is recorded before the first intent that goes through it.
    pub(crate) fn usable_provider(
        &mut self,
        name: &str,
    ) -> Result<Arc<dyn Configured>, Box<Diagnostic>> {
        let missing = || {
            Box::new(Diagnostic::bug(format!(
                "no provider configuration `{name}`"
            )))
        };
        let state = self.providers.get(name).ok_or_else(missing)?;
        let configured = match &state.configured {
            Some(configured) => Arc::clone(configured),
            None => {
                let at = ProviderAt::parse(name).ok_or_else(missing)?;
                let key = &at.key;
                let decoded = self.world.decode_provider(&at).ok_or_else(missing)?;
                let provider = self
                    .world
                    .registry
                    .provider(&key.name)
                    .ok_or_else(missing)?;
                let late =
                    dmp_plan::planner::provider_state(&key.name, provider.schema(), &decoded.value);
                if !late.config.is_wholly_known() {
                    return Err(Box::new(
                        Diagnostic::error(
                            STILL_UNKNOWN,
                            "a provider configuration is still unknown",
                        )
                        .detail(format!(
                            "`{name}` is not known although all it refers to is applied"
                        )),
                    ));
                }
                let configured =
                    (self.run.services.configure)(&key.name, &late.config).map_err(Box::new)?;
                let state = self.providers.get_mut(name).ok_or_else(missing)?;
                state.config = late.config;
                state.configured = Some(Arc::clone(&configured));
                configured
            }
        };
        self.record_provider(name).map_err(Box::new)?;
        Ok(configured)
    }

    /// Records a provider configuration if it is not recorded as it is. Empty ones say nothing and are left out.
    fn record_provider(&mut self, name: &str) -> Result<(), Diagnostic> {
        let Some(state) = self.providers.get(name) else {
            return Ok(());
        };
        let is_empty = state
            .config
            .as_members()
            .is_none_or(|members| members.values().all(Value::is_null));
        let record = ProviderRecord {
            provider: state.name.to_string(),
            config: state.config.clone(),
            origins: state.origins.iter().cloned().collect(),
        };
        let recorded = self.run.store.snapshot().providers.get(name);
        let same = recorded.is_some_and(|recorded| {
            recorded.origins == record.origins
                && dmp_sdk::codec::to_json(&recorded.config)
                    == dmp_sdk::codec::to_json(&record.config)
        });
        if is_empty || same {
            return Ok(());
        }
        self.run.commit(vec![Record::ProviderPut {
            address: name.to_owned(),
            provider: Box::new(record),
        }])
    }

    /// The provider of what is deleted: the present configuration if it is usable, else the recorded one.
    fn provider_for_delete(&mut self, name: &str) -> Result<Arc<dyn Configured>, Diagnostic> {
        let snapshot = self.run.store.snapshot();
        // A block that is gone would be taken for an empty one: then what is recorded counts.
        let is_declared =
            ProviderAt::parse(name).is_some_and(|at| self.world.declares_provider(&at));
        if (is_declared || !snapshot.providers.contains_key(name))
            && let Some(configured) = self
                .providers
                .get(name)
                .and_then(|state| state.configured.clone())
        {
            return Ok(configured);
        }
        let (provider, config) = match snapshot.providers.get(name) {
            Some(record) => (record.provider.clone(), record.config.clone()),
            None => (
                name.split('.').next().unwrap_or(name).to_owned(),
                Value::object(dmp_sdk::Members::new()),
            ),
        };
        let known = self.world.registry.provider(&provider);
        let known = known.ok_or_else(|| Diagnostic::bug(format!("no provider `{provider}`")))?;
        let config = conform(known.schema(), &config.map_marks(&Marks::without_sensitive));
        (self.run.services.configure)(&provider, &config)
    }
}

/// The same value with null where something is unknown: what a resource type is given as wanted.
fn without_unknowns(value: &Value) -> Value {
    match value.kind() {
        Kind::Unknown(_) => Value::null(),
        _ => value.map_children(without_unknowns),
    }
}

/// The code of what is wrong with a value that should be known by now.
pub(crate) const STILL_UNKNOWN: &str = "still-unknown";
