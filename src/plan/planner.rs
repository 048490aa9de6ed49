//! One pass over the configuration in dependency order.
//!
//! A machine without I/O: [`Planner::advance`] goes as far as it can and says what it wants read, [`Planner::answer`]
//! takes what was found. What is ready at the same time is asked for together.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use dmp_graph::{ConfigPath, Node, NodeId};
use dmp_lang::Decoded;
use dmp_lang::config::ProviderKey;
use dmp_lang::reference::{Reference, ResourceKey, Step, Target};
use dmp_sdk::{
    Action, Address, Configured, Diagnostic, Mark, Mode, ModulePath, Purpose, Quantifier, Reason,
    Resource, Schema, Value,
};
use dmp_state::{Hosting, Instance, Snapshot};

use crate::ask::{Finding, ReadKind, ReadRequest};
use crate::instance::{Inputs, decide, differing};
use crate::model::{Deferred, Drift, Earlier, OutputChange, Plan, Planned};
use crate::world::{
    BlockAddress, Expansion, Place, World, block_key, config_path, instance_address,
};

/// Makes a usable provider of a wholly known configuration.
pub type Configure =
    Arc<dyn Fn(&str, &Value) -> Result<Arc<dyn Configured>, Diagnostic> + Send + Sync>;

/// What a plan is made from.
pub struct PlannerInput {
    /// The configuration and its values.
    pub world: World,
    /// The recorded state.
    pub snapshot: Arc<Snapshot>,
    /// What was found of each recorded instance.
    pub findings: BTreeMap<Address, Finding>,
    /// Makes providers.
    pub configure: Configure,
    /// Whether everything is to be removed.
    pub is_destroy: bool,
}

/// A provider configuration of the run.
#[derive(Clone)]
pub struct ProviderState {
    /// The provider's name.
    pub name: Arc<str>,
    /// Its configuration, as far as it is known.
    pub config: Value,
    /// The usable form; `None` while it waits for something.
    pub configured: Option<Arc<dyn Configured>>,
    /// What the configuration came from.
    pub origins: BTreeSet<Address>,
    /// What everything that goes through it lives on.
    pub hosted_on: Vec<Hosting>,
}

/// The address of a provider configuration, such as `kubernetes` or `module.edge.kubernetes.west`.
#[must_use]
pub fn provider_address(module: &ModulePath, key: &ProviderKey) -> String {
    if module.is_root() {
        key.to_string()
    } else {
        format!("{module}.{key}")
    }
}

/// Goes over the configuration.
pub struct Planner {
    world: World,
    snapshot: Arc<Snapshot>,
    findings: BTreeMap<Address, Finding>,
    configure: Configure,
    plan: Plan,
    providers: BTreeMap<String, ProviderState>,
    open: Vec<usize>,
    ready: Vec<NodeId>,
    needed_by: Vec<Vec<NodeId>>,
    waiting: HashMap<NodeId, usize>,
    asked: BTreeMap<Address, Asked>,
}

/// An instance that waits for an answer.
struct Asked {
    node: NodeId,
    decoded: Decoded,
}

impl Planner {
    /// Begins.
    #[must_use]
    pub fn new(input: PlannerInput) -> Self {
        let graph = Arc::clone(&input.world.graph);
        let mut needed_by = vec![Vec::new(); graph.nodes.len()];
        for (node, needs) in graph.needs.iter().enumerate() {
            for needed in needs {
                needed_by[*needed].push(node);
            }
        }
        let open: Vec<usize> = graph.needs.iter().map(Vec::len).collect();
        let ready = (0..open.len()).filter(|node| open[*node] == 0).collect();
        let mut planner = Self {
            world: input.world,
            snapshot: input.snapshot,
            findings: input.findings,
            configure: input.configure,
            plan: Plan {
                is_destroy: input.is_destroy,
                ..Plan::default()
            },
            providers: BTreeMap::new(),
            open,
            ready,
            needed_by,
            waiting: HashMap::new(),
            asked: BTreeMap::new(),
        };
        planner.note_findings();
        planner
    }

    /// Goes on as far as possible. Empty when the pass is through.
    pub fn advance(&mut self) -> Vec<ReadRequest> {
        let mut requests = Vec::new();
        while let Some(node) = self.ready.pop() {
            let wanted = self.visit(node);
            if wanted.is_empty() {
                self.finish_node(node);
            } else {
                self.waiting.insert(node, wanted.len());
                requests.extend(wanted);
            }
        }
        requests
    }

    /// Takes what was found.
    pub fn answer(&mut self, address: &Address, finding: Finding) {
        let Some(asked) = self.asked.remove(address) else {
            return;
        };
        match address.mode {
            Mode::Data => self.finish_data(address, &asked.decoded, finding),
            Mode::Managed => {
                let earlier = match finding {
                    Finding::Found(object) | Finding::HalfMade(object, _) => {
                        Earlier::Found(object.attributes)
                    }
                    Finding::Absent => Earlier::Nothing,
                    Finding::Unreachable(why) => {
                        self.plan.diagnostics.push(unreachable(address, &why));
                        Earlier::NotRead
                    }
                    Finding::Failed(diagnostic) => {
                        self.plan.diagnostics.push(diagnostic.address(address));
                        Earlier::NotRead
                    }
                    Finding::NotConfigured(_) | Finding::Data(_) | Finding::Candidates(_) => {
                        Earlier::NotRead
                    }
                };
                self.decide(address, &asked.decoded, earlier);
            }
        }
        if let Some(left) = self.waiting.get_mut(&asked.node) {
            *left -= 1;
            if *left == 0 {
                self.waiting.remove(&asked.node);
                self.finish_node(asked.node);
            }
        }
    }

    /// Ends the pass: what is not in the configuration is deleted, outputs are compared.
    #[must_use]
    pub fn finish(mut self) -> (Plan, World, BTreeMap<String, ProviderState>) {
        self.compare_outputs();
        crate::ending::end(&mut self.plan, &self.world, &self.snapshot, &self.findings);
        crate::clash::refuse(&mut self.plan, &self.world);
        (self.plan, self.world, self.providers)
    }

    fn finish_node(&mut self, node: NodeId) {
        for next in self.needed_by[node].clone() {
            self.open[next] -= 1;
            if self.open[next] == 0 {
                self.ready.push(next);
            }
        }
    }

    fn visit(&mut self, id: NodeId) -> Vec<ReadRequest> {
        let graph = Arc::clone(&self.world.graph);
        match &graph.nodes[id] {
            Node::Variable(path, name) => self.visit_variable(path, name),
            Node::Local(path, name) => self.visit_local(path, name),
            Node::Call(path, name) => self.visit_call(path, name),
            Node::Provider(path, key) => self.visit_provider(path, key),
            Node::Resource(path, key) => return self.visit_resource(id, path, key),
            // Outputs and checks are looked at when everything else is planned.
            Node::Output(..) | Node::Check(..) => {}
        }
        Vec::new()
    }

    fn visit_variable(&mut self, path: &ConfigPath, name: &Arc<str>) {
        for module in self.world.module_instances(path) {
            let failed = self.world.validate_variable(&module, name);
            self.plan.diagnostics.extend(failed);
        }
    }

    /// A local that nobody uses may still be wrong.
    fn visit_local(&mut self, path: &ConfigPath, name: &Arc<str>) {
        for module in self.world.module_instances(path) {
            let Some(local) = self
                .world
                .module(&module)
                .and_then(|module| module.locals.get(name))
            else {
                continue;
            };
            let reference = Reference {
                target: Target::Local(Arc::clone(name)),
                path: Vec::new(),
                span: local.name.span.clone(),
            };
            let expr = dmp_lang::Expr {
                kind: dmp_lang::ast::ExprKind::Reference(reference),
                span: local.name.span.clone(),
            };
            let found = self.world.evaluate(&expr, &Place::in_module(&module));
            self.plan
                .diagnostics
                .extend(found.err().unwrap_or_default());
        }
    }

    fn visit_call(&mut self, path: &ConfigPath, name: &Arc<str>) {
        for module in self.world.module_instances(path) {
            let Some(call) = self
                .world
                .module(&module)
                .and_then(|module| module.calls.get(name))
            else {
                continue;
            };
            let expansion = self
                .world
                .expand(call.repetition.as_ref(), &Place::in_module(&module));
            let expansion = expansion.unwrap_or_else(|diagnostics| {
                self.plan.diagnostics.extend(diagnostics);
                Expansion::single()
            });
            if expansion.is_unknown() {
                let waits_for =
                    origins_in_words(expansion.marks().origins().iter().map(AsRef::as_ref));
                let block = module.child(name, None).to_string();
                self.plan.deferred.push(Deferred {
                    block,
                    waits_for,
                    layer: None,
                });
            }
            self.world.set_call(module, Arc::clone(name), expansion);
        }
    }

    fn visit_provider(&mut self, path: &ConfigPath, key: &ProviderKey) {
        for module in self.world.module_instances(path) {
            self.make_provider(&module, key);
        }
    }

    /// Evaluates a provider configuration and, where it is known, makes it usable.
    fn make_provider(&mut self, module: &ModulePath, key: &ProviderKey) {
        let address = provider_address(module, key);
        if self.providers.contains_key(&address) {
            return;
        }
        let Some(decoded) = self.world.decode_provider(module, key) else {
            return;
        };
        self.plan.diagnostics.extend(decoded.diagnostics.clone());
        let Some(provider) = self.world.registry.provider(&key.name) else {
            return;
        };
        let mut state = provider_state(&key.name, provider.schema(), &decoded.value);
        if state.config.is_wholly_known() {
            match (self.configure)(&key.name, &state.config) {
                Ok(configured) => state.configured = Some(configured),
                Err(diagnostic) => self.plan.diagnostics.push(diagnostic),
            }
        }
        self.providers.insert(address, state);
    }

    /// The provider configuration of an instance; the implied empty one is made on first use.
    fn provider_of(&mut self, module: &ModulePath, key: &ResourceKey) -> Option<String> {
        let block = self.world.block(module, key)?;
        let path = config_path(module);
        let (owner, provider) =
            self.world
                .graph
                .provider_of(&self.world.configuration, &path, block)?;
        let owner = ModulePath(module.0[..owner.0.len()].to_vec());
        self.make_provider(&owner, &provider);
        Some(provider_address(&owner, &provider))
    }

    fn visit_resource(
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
            let keys = expansion.keys();
            if expansion.is_unknown() {
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
            if self.plan.is_destroy && key.mode == Mode::Managed {
                // What is to be destroyed keeps its recorded value: provider configurations come from it.
                self.keep_recorded(&module, key);
                continue;
            }
            let Some(provider) = self.provider_of(&module, key) else {
                continue;
            };
            for member in keys {
                let address = instance_address(&module, key, member);
                requests.extend(self.visit_instance(node, &address, &provider));
            }
        }
        requests
    }

    fn keep_recorded(&mut self, module: &ModulePath, key: &ResourceKey) {
        let block = instance_address(module, key, None);
        let recorded = self
            .snapshot
            .instances
            .iter()
            .filter(|(address, _)| address.block() == block);
        for (address, record) in recorded
            .map(|(address, record)| (address.clone(), record.clone()))
            .collect::<Vec<_>>()
        {
            self.world.set_instance(&address, &record.attributes);
        }
    }

    fn visit_instance(
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
        let is_wrong = failed
            .iter()
            .chain(&decoded.diagnostics)
            .any(Diagnostic::is_error);
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
        let state = self.providers.get(provider)?;
        let request = match address.mode {
            Mode::Data => self.data_request(address, &decoded, provider, state),
            Mode::Managed => self.object_request(address, &decoded, provider, state),
        };
        match request {
            Some(request) => {
                self.asked.insert(address.clone(), Asked { node, decoded });
                Some(request)
            }
            None => {
                match address.mode {
                    Mode::Data => self.defer_data(address, &decoded, provider),
                    Mode::Managed => self.decide(address, &decoded, Earlier::NotRead),
                }
                None
            }
        }
    }

    /// A data source is read in the plan if all of its configuration is known and nothing that it waits for changes.
    fn data_request(
        &self,
        address: &Address,
        decoded: &Decoded,
        provider: &str,
        state: &ProviderState,
    ) -> Option<ReadRequest> {
        let source = self.world.registry.data_source(&address.resource_type)?;
        let configured = state.configured.as_ref()?;
        if !decoded.value.is_wholly_known()
            || self.waits_for_change(address)
            || self.is_checks(address)
        {
            return None;
        }
        let config = crate::instance::conform(source.schema(), &decoded.value);
        Some(ReadRequest {
            address: address.clone(),
            kind: ReadKind::Data {
                source: Arc::clone(source),
                config,
            },
            provider: Arc::clone(configured),
            provider_address: provider.to_owned(),
        })
    }

    /// A data source inside a check is read when everything is applied.
    fn is_checks(&self, address: &Address) -> bool {
        let key = block_key(address);
        self.world
            .module(&address.module)
            .is_some_and(|module| !module.resources.contains_key(&key))
    }

    fn waits_for_change(&self, address: &Address) -> bool {
        let blocks = self.blocks_waited_for(address);
        self.plan.instances.values().any(|planned| {
            planned.is_change()
                && blocks.contains(&(planned.address.module.clone(), block_key(&planned.address)))
        })
    }

    /// An object with a natural key is read before it is created, if that can be done now.
    fn object_request(
        &self,
        address: &Address,
        decoded: &Decoded,
        provider: &str,
        state: &ProviderState,
    ) -> Option<ReadRequest> {
        let resource = self.world.registry.resource(&address.resource_type)?;
        let configured = state.configured.as_ref()?;
        let is_recorded = self.snapshot.instances.contains_key(address);
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

    fn finish_data(&mut self, address: &Address, decoded: &Decoded, finding: Finding) {
        let provider = self
            .provider_of(&address.module, &block_key(address))
            .unwrap_or_default();
        match finding {
            Finding::Data(value) => {
                let schema = self.world.schema_of(address);
                let value = schema.map_or_else(
                    || value.clone(),
                    |schema| crate::instance::conform(schema, &value),
                );
                self.world.set_instance(address, &value);
                let failed = self.failed_postconditions(address, &value);
                self.plan.diagnostics.extend(failed);
            }
            Finding::Failed(diagnostic) => self.plan.diagnostics.push(diagnostic.address(address)),
            Finding::Unreachable(why) => self.plan.diagnostics.push(unreachable(address, &why)),
            _ => self.defer_data(address, decoded, &provider),
        }
    }

    fn failed_postconditions(&self, address: &Address, value: &Value) -> Vec<Diagnostic> {
        let Some(block) = self.world.block_of(address) else {
            return Vec::new();
        };
        let place = self.world.place_of(address).of_object(value.clone());
        let conditions = &block.lifecycle.postconditions;
        let failed = self.world.failed_conditions(
            conditions,
            &place,
            "postcondition",
            "postcondition does not hold",
        );
        failed
            .into_iter()
            .map(|diagnostic| diagnostic.address(address))
            .collect()
    }

    /// Plans to read a data source while applying.
    fn defer_data(&mut self, address: &Address, decoded: &Decoded, provider: &str) {
        let Some(schema) = self.world.schema_of(address) else {
            return;
        };
        if self.is_checks(address) {
            return;
        }
        let members = schema.attributes.iter().map(|(name, attribute)| {
            let given = decoded.value.get(name);
            let value = if given.is_null() && attribute.is_computed() {
                Value::unknown(attribute.ty.clone())
            } else {
                given.map_marks(&dmp_sdk::Marks::without_origins)
            };
            (Arc::clone(name), value)
        });
        let value = Value::object(members.collect());
        let layer = schema.layer;
        self.world.set_instance(address, &value);
        let mut planned = self.blank(address, decoded, provider, layer);
        planned.action = Action::Read;
        planned.planned = Some(value);
        planned.reasons = vec![Reason::WaitsFor {
            what: origins_in_words(planned.uses.iter()),
        }];
        self.plan.instances.insert(address.clone(), planned);
    }

    /// Decides about an instance that the configuration has.
    fn decide(&mut self, address: &Address, decoded: &Decoded, earlier: Earlier) {
        let Some(resource) = self
            .world
            .registry
            .resource(&address.resource_type)
            .cloned()
        else {
            return;
        };
        let provider = self
            .provider_of(&address.module, &block_key(address))
            .unwrap_or_default();
        let schema = resource.schema();
        let Some(block) = self.world.block_of(address) else {
            return;
        };
        let lifecycle = block.lifecycle.clone();
        let layer = block.layer.unwrap_or(schema.layer);
        let record = self.snapshot.instances.get(address).cloned();
        let lost_with = record
            .as_ref()
            .and_then(|record| crate::ending::lost_host(record, &self.plan));
        let finding = self.findings.get(address).cloned();
        let is_gone = matches!(finding, Some(Finding::Absent));
        let earlier = match (schema.has_natural_key(), is_gone, earlier) {
            (false, _, _) => Earlier::NotAsked,
            (true, true, Earlier::NotRead) => Earlier::Nothing,
            (true, _, earlier) => earlier,
        };
        if let Some(Finding::Unreachable(why)) = &finding
            && lost_with.is_none()
        {
            self.plan.diagnostics.push(unreachable(address, why));
        }
        if let Some(Finding::Failed(diagnostic)) = &finding {
            self.plan
                .diagnostics
                .push(diagnostic.clone().address(address));
        }
        let triggered = self
            .triggered_by(address)
            .map(|by| Reason::Triggered { by })
            .or_else(|| self.lives_elsewhere(record.as_ref()?, &provider));
        let live_record = if lost_with.is_some() {
            None
        } else {
            record.as_ref()
        };
        let inputs = Inputs {
            address,
            config: &decoded.value,
            lifecycle: &lifecycle,
            record: live_record,
            finding: finding.as_ref(),
            earlier: &earlier,
            triggered,
        };
        let decision = match decide(resource.as_ref(), &inputs) {
            Ok(decision) => decision,
            Err(diagnostic) => {
                let span = diagnostic
                    .path
                    .as_ref()
                    .and_then(|path| decoded.spans.get(path).cloned());
                let span = diagnostic
                    .span
                    .clone()
                    .or(span)
                    .or_else(|| block_span(&self.world, address));
                self.plan
                    .diagnostics
                    .push(diagnostic.at(span).address(address));
                return;
            }
        };
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
        planned.earlier = earlier;
        planned.hosted_on = self.hosted_on(address, schema, decoded, &provider);
        planned.record = record;
        planned.prevent_destroy = lifecycle.prevent_destroy;
        planned.holds_data = schema.holds_data;
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
        self.plan.instances.insert(address.clone(), planned);
    }

    fn blank(
        &self,
        address: &Address,
        decoded: &Decoded,
        provider: &str,
        layer: dmp_sdk::Layer,
    ) -> Planned {
        let mut uses: BTreeSet<Address> = decoded
            .value
            .deep_marks()
            .origins()
            .iter()
            .map(|origin| origin.as_ref().clone())
            .collect();
        if let Some(state) = self.providers.get(provider) {
            uses.extend(state.origins.iter().cloned());
        }
        uses.remove(address);
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
            record: None,
            half_made: None,
            prevent_destroy: false,
            holds_data: dmp_sdk::HoldsData::None,
            ends_hosted: false,
        }
    }

    /// What an instance lives on: by its hosting arguments, its provider's, or the override.
    fn hosted_on(
        &self,
        address: &Address,
        schema: &Schema,
        decoded: &Decoded,
        provider: &str,
    ) -> Vec<Hosting> {
        let block = self.world.block_of(address);
        if let Some(expr) = block.and_then(|block| block.lifecycle.hosted_on.as_ref()) {
            let value = self
                .world
                .evaluate(expr, &self.world.place_of(address))
                .unwrap_or_default();
            return hosting(Quantifier::All, &value).into_iter().collect();
        }
        let mut found = hosting_by_schema(schema, &decoded.value);
        if let Some(state) = self.providers.get(provider) {
            found.extend(state.hosted_on.iter().cloned());
        }
        found
    }

    /// The blocks named by `depends_on`, of the instance's own block and of the modules that it stands in.
    fn blocks_waited_for(&self, address: &Address) -> BTreeSet<BlockAddress> {
        let mut blocks = BTreeSet::new();
        if let Some(block) = self.world.block_of(address) {
            self.collect_blocks(&address.module, &block.depends_on, &mut blocks);
        }
        for (at, (call, _)) in address.module.0.iter().enumerate() {
            let parent = ModulePath(address.module.0[..at].to_vec());
            if let Some(call) = self
                .world
                .module(&parent)
                .and_then(|module| module.calls.get(call))
            {
                self.collect_blocks(&parent, &call.depends_on, &mut blocks);
            }
        }
        blocks
    }

    fn collect_blocks(
        &self,
        module: &ModulePath,
        references: &[Reference],
        into: &mut BTreeSet<BlockAddress>,
    ) {
        for reference in references {
            match &reference.target {
                Target::Resource(key) => {
                    into.insert((module.clone(), key.clone()));
                }
                Target::Module(name) => {
                    let keys = self
                        .world
                        .call(module, name)
                        .map(Expansion::keys)
                        .unwrap_or_default();
                    for key in keys {
                        self.collect_module(&module.child(name, key), into);
                    }
                }
                _ => {}
            }
        }
    }

    fn collect_module(&self, module: &ModulePath, into: &mut BTreeSet<BlockAddress>) {
        let Some(declared) = self.world.module(module) else {
            return;
        };
        into.extend(
            declared
                .resources
                .keys()
                .map(|key| (module.clone(), key.clone())),
        );
        for name in declared.calls.keys() {
            for key in self
                .world
                .call(module, name)
                .map(Expansion::keys)
                .unwrap_or_default()
            {
                self.collect_module(&module.child(name, key), into);
            }
        }
    }

    /// The first reference of `replace_triggered_by` whose object changes.
    fn triggered_by(&self, address: &Address) -> Option<String> {
        self.snapshot.instances.get(address)?;
        let block = self.world.block_of(address)?;
        let place = self.world.place_of(address);
        for expr in &block.lifecycle.replace_triggered_by {
            let attribute = dmp_lang::references(expr)
                .into_iter()
                .find_map(|reference| {
                    reference.path.iter().find_map(|step| match step {
                        Step::Attribute(name, _) => Some(Arc::clone(name)),
                        Step::Index(..) => None,
                    })
                });
            let value = self.world.evaluate(expr, &place).unwrap_or_default();
            for origin in value.deep_marks().origins() {
                let Some(planned) = self.plan.instances.get(origin.as_ref()) else {
                    continue;
                };
                let triggers = match &attribute {
                    Some(attribute) => planned
                        .changed
                        .iter()
                        .any(|changed| changed == attribute.as_ref()),
                    None => true,
                };
                if planned.is_change() && planned.action != Action::Create && triggers {
                    return Some(origin.to_string());
                }
            }
        }
        None
    }

    /// Whether an object was made through a provider configuration that means another place than its present one.
    fn lives_elsewhere(&self, record: &Instance, provider: &str) -> Option<Reason> {
        let present = self.providers.get(provider)?;
        if record.provider == provider || !present.config.is_wholly_known() {
            return None;
        }
        let schema = self.world.registry.provider(&present.name)?.schema();
        let recorded = self.snapshot.providers.get(&record.provider);
        let recorded = recorded.map_or_else(Value::null, |recorded| recorded.config.clone());
        let as_json =
            |config: &Value| dmp_sdk::codec::to_json(&crate::instance::conform(schema, config));
        let is_same = as_json(&recorded) == as_json(&present.config);
        (!is_same).then(|| Reason::CannotChangeInPlace {
            attribute: "provider".into(),
            why: Some(format!("it was made through `{}`", record.provider)),
        })
    }

    fn compare_outputs(&mut self) {
        let root = ModulePath::root();
        let names: Vec<_> = self
            .world
            .configuration
            .root()
            .outputs
            .keys()
            .cloned()
            .collect();
        let mut outputs = BTreeMap::new();
        for name in names {
            if self.plan.is_destroy {
                break;
            }
            match self.world.output(&root, &name) {
                Ok(value) => {
                    let after = Some(value.map_marks(&dmp_sdk::Marks::without_origins));
                    outputs.insert(
                        name.to_string(),
                        OutputChange {
                            before: None,
                            after,
                        },
                    );
                }
                Err(diagnostics) => self.plan.diagnostics.extend(diagnostics),
            }
        }
        for (name, output) in &self.snapshot.outputs {
            let entry = outputs.entry(name.clone()).or_insert(OutputChange {
                before: None,
                after: None,
            });
            entry.before = Some(output.value.clone());
        }
        for output in outputs.values_mut() {
            output.after = output.after.take().map(|value| loosen(&value));
        }
        self.plan.outputs = outputs;
    }

    /// What differs from the record before anything was asked for.
    fn note_findings(&mut self) {
        for (address, record) in &self.snapshot.instances {
            let Some(schema) = self.world.schema_of(address) else {
                continue;
            };
            let recorded = crate::instance::conform(schema, &record.attributes);
            let (found, changed) = match self.findings.get(address) {
                Some(Finding::Found(object) | Finding::HalfMade(object, _)) => {
                    let found = crate::instance::conform(schema, &object.attributes);
                    let found = found.with_secrecy_of(&recorded);
                    let changed = differing(schema, &recorded, &found);
                    (Some(found), changed)
                }
                Some(Finding::Absent) => (None, Vec::new()),
                _ => continue,
            };
            if found.is_none() || !changed.is_empty() {
                self.plan.drift.push(Drift {
                    address: address.clone(),
                    recorded,
                    found,
                    changed,
                });
            }
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
    })
}

/// A provider configuration as far as it is known, not yet usable.
#[must_use]
pub fn provider_state(name: &Arc<str>, schema: &Schema, config: &Value) -> ProviderState {
    let origins = config
        .deep_marks()
        .origins()
        .iter()
        .map(|origin| origin.as_ref().clone())
        .collect();
    let hosted_on = hosting_by_schema(schema, config);
    let config =
        crate::instance::conform(schema, &config.map_marks(&dmp_sdk::Marks::without_origins));
    ProviderState {
        name: Arc::clone(name),
        config,
        configured: None,
        origins,
        hosted_on,
    }
}

/// What an object lives on, by the hosting arguments of its schema.
fn hosting_by_schema(schema: &Schema, config: &Value) -> Vec<Hosting> {
    let attributes = schema
        .attributes
        .iter()
        .filter_map(|(name, attribute)| Some((name, attribute.hosting?)));
    attributes
        .filter_map(|(name, quantifier)| hosting(quantifier, &config.get(name)))
        .collect()
}

fn hosting(quantifier: Quantifier, value: &Value) -> Option<Hosting> {
    let marks = value.deep_marks();
    let managed = marks
        .origins()
        .iter()
        .filter(|origin| origin.mode == Mode::Managed);
    let hosts: Vec<Address> = managed.map(|origin| origin.as_ref().clone()).collect();
    (!hosts.is_empty()).then_some(Hosting { quantifier, hosts })
}

fn unreachable(address: &Address, why: &str) -> Diagnostic {
    Diagnostic::remote("unreachable", "cannot read an object")
        .address(address)
        .cause(why)
        .help("make it reachable and plan again")
}

fn block_span(world: &World, address: &Address) -> Option<dmp_sdk::Span> {
    world.block_of(address).map(|block| block.span.clone())
}

fn origins_in_words<'a>(origins: impl Iterator<Item = &'a Address>) -> String {
    let names: Vec<_> = origins.map(ToString::to_string).collect();
    match names.as_slice() {
        [] => "what is known after apply".into(),
        [one] => one.clone(),
        [one, rest @ ..] => format!("{one} and {} more", rest.len()),
    }
}

/// Lists as tuples and maps as objects: a record can't tell them apart.
fn loosen(value: &Value) -> Value {
    let schema = Schema::new("output", "").attribute(
        "value",
        dmp_sdk::Attribute::optional(dmp_sdk::Type::Any, ""),
    );
    crate::instance::conform(&schema, &Value::object_of([("value", value.clone())])).get("value")
}
