//! One pass over the configuration in dependency order.
//!
//! A machine without I/O: [`Planner::advance`] goes as far as it can and says what it wants read, [`Planner::answer`]
//! takes what was found. What is ready at the same time is asked for together.
//!
//! | part | what it visits |
//! | --- | --- |
//! | `providers` | provider configurations |
//! | `resources` | managed instances: expanded, asked for, decided |
//! | `dry_run` | what an instance that was decided would come to |
//! | `off` | what lives on something that is switched off |
//! | `data` | data sources |
//! | `outputs` | who waits by the `depends_on` of an output |
//! | `references` | hosts, `depends_on`, `replace_triggered_by` |

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use dmp_graph::{ConfigPath, Node, NodeId};
use dmp_lang::Decoded;
use dmp_lang::reference::{Reference, Target};
use dmp_sdk::{Address, Configured, Diagnostic, Marks, Mode, ModulePath, Value};
use dmp_state::{Instance, Snapshot};

use self::references::origins_in_words;
use self::resources::unreachable;
use crate::ask::{Finding, Findings, ReadRequest};
use crate::imports::Adoption;
use crate::instance::Decision;
use crate::model::{Deferred, Earlier, OutputChange, Plan};
use crate::selection::Part;
use crate::world::{Expansion, Place, World};

mod data;
mod dry_run;
mod off;
mod outputs;
mod providers;
mod references;
mod resources;

pub use providers::{ProviderState, provider_state};
pub use resources::{import_request, read_before_create};

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
    pub findings: Findings,
    /// Makes providers.
    pub configure: Configure,
    /// Whether everything is to be removed.
    pub is_destroy: bool,
    /// What of the stack it is about.
    pub part: Part,
    /// Recorded instances of which the person said that they are lost.
    pub lost: BTreeSet<Address>,
    /// Whether the machine that takes the place of a lost one need not be there yet: it is only looked what would happen.
    pub tolerates_lost: bool,
    /// Moves that are in the snapshot already, and have to be recorded: from, to.
    pub moves: Vec<(Address, Address)>,
}

/// Goes over the configuration.
pub struct Planner {
    world: World,
    snapshot: Arc<Snapshot>,
    /// The recorded instances once more: each is asked for several times.
    records: foldhash::HashMap<Address, Arc<Instance>>,
    findings: Findings,
    configure: Configure,
    part: Part,
    /// Instances that are no part of the plan and are not recorded either.
    left_out: BTreeSet<Address>,
    plan: Plan,
    providers: BTreeMap<String, ProviderState>,
    /// Provider configurations of which it is not known yet which instances they have, and what decides it.
    open_providers: BTreeMap<String, Marks>,
    /// What is wrong with configurations that nothing goes through so far.
    wrong_providers: BTreeMap<String, Vec<Diagnostic>>,
    has_ordered_outputs: bool,
    /// What blocks of a type that name no provider go through, by module.
    plain_providers: foldhash::HashMap<(ModulePath, Mode, Arc<str>), String>,
    open: Vec<usize>,
    ready: Vec<NodeId>,
    needed_by: Vec<Vec<NodeId>>,
    waiting: HashMap<NodeId, usize>,
    asked: BTreeMap<Address, Asked>,
    /// What `import` blocks adopt.
    adoptions: Vec<Adoption>,
    /// The positions of these, by what they import to.
    imports: BTreeMap<Address, usize>,
    lost: BTreeSet<Address>,
    tolerates_lost: bool,
    moved_from: BTreeMap<Address, Address>,
    /// What is to be read after an answer.
    follow_up: Vec<ReadRequest>,
}

/// An instance that waits for an answer.
struct Asked {
    node: NodeId,
    decoded: Decoded,
    /// What was found before the dry run that it waits for; `None` while it waits for its first answer.
    tried: Option<Tried>,
}

/// What was decided before a dry run.
struct Tried {
    earlier: Earlier,
    decision: Decision,
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
        let (adoptions, wrong) = match input.is_destroy {
            true => Default::default(),
            false => crate::imports::expand(&input.world),
        };
        let imports = adoptions.iter().enumerate();
        let imports = imports
            .map(|(position, adoption)| (adoption.to.clone(), position))
            .collect();
        let mut planner = Self {
            has_ordered_outputs: outputs::are_ordered(&input.world),
            adoptions,
            imports,
            world: input.world,
            records: input
                .snapshot
                .instances
                .iter()
                .map(|(address, record)| (address.clone(), Arc::clone(record)))
                .collect(),
            snapshot: input.snapshot,
            findings: input.findings,
            configure: input.configure,
            part: input.part,
            left_out: BTreeSet::new(),
            plan: Plan {
                is_destroy: input.is_destroy,
                ..Plan::default()
            },
            providers: BTreeMap::new(),
            open_providers: BTreeMap::new(),
            wrong_providers: BTreeMap::new(),
            plain_providers: foldhash::HashMap::default(),
            open,
            ready,
            needed_by,
            waiting: HashMap::new(),
            asked: BTreeMap::new(),
            lost: input.lost,
            tolerates_lost: input.tolerates_lost,
            moved_from: input
                .moves
                .into_iter()
                .map(|(from, to)| (to, from))
                .collect(),
            follow_up: Vec::new(),
        };
        planner.plan.diagnostics.extend(wrong);
        planner.plan.drift =
            crate::drift::find(&planner.world, &planner.snapshot, &planner.findings);
        planner
    }

    /// What the state holds of an instance.
    fn recorded(&self, address: &Address) -> Option<&Arc<Instance>> {
        self.records.get(address)
    }

    /// Goes on as far as possible. Empty when the pass is through.
    pub fn advance(&mut self) -> Vec<ReadRequest> {
        let mut requests = std::mem::take(&mut self.follow_up);
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
        match (address.mode, asked.tried) {
            (Mode::Data, _) => self.finish_data(address, &asked.decoded, finding),
            (Mode::Managed, Some(tried)) => {
                self.finish_dry_run(address, &asked.decoded, tried, finding);
            }
            (Mode::Managed, None) => {
                let earlier = self.earlier_of(address, &asked.decoded.value, &finding);
                if self.is_import(address) {
                    self.findings.insert(address.clone(), finding);
                }
                if let Some(request) = self.decide(asked.node, address, &asked.decoded, earlier) {
                    self.follow_up.push(request);
                    return;
                }
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

    /// What a read before a create has found to be there already.
    /// What stands where a secret is to stand is taken for one.
    fn earlier_of(&mut self, address: &Address, config: &Value, finding: &Finding) -> Earlier {
        match finding {
            Finding::Found(object) | Finding::HalfMade(object, _) => {
                Earlier::Found(object.attributes.clone().with_secrecy_of(config))
            }
            Finding::Absent => Earlier::Nothing,
            Finding::Unreachable(why) => {
                let diagnostic = match self.lost.contains(address) {
                    true => nobody_took_its_place(address, why, self.tolerates_lost),
                    false => unreachable(address, why),
                };
                self.plan.diagnostics.push(diagnostic);
                Earlier::NotRead
            }
            Finding::Failed(diagnostic) => {
                self.plan
                    .diagnostics
                    .push(diagnostic.clone().address(address));
                Earlier::NotRead
            }
            Finding::NotConfigured(_) | Finding::Data(_) | Finding::Candidates(_) => {
                Earlier::NotRead
            }
        }
    }

    /// Ends the pass: what is not in the configuration is deleted, outputs are compared.
    #[must_use]
    pub fn finish(mut self) -> (Plan, World, BTreeMap<String, ProviderState>) {
        self.compare_outputs();
        crate::ending::end(
            &mut self.plan,
            &self.world,
            &self.snapshot,
            &self.findings,
            &self.lost,
            &self.part,
        );
        let recorded: Vec<&Address> = self.snapshot.instances.keys().collect();
        let unknown = self.part.unknown(&self.world, &recorded);
        self.plan.diagnostics.extend(unknown);
        self.plan.diagnostics.extend(self.part.notice());
        self.note_moves();
        let again = crate::moves::described_again(&self.world.configuration, &self.plan);
        self.plan.diagnostics.extend(again);
        crate::replacing::arrange(&mut self.plan, &self.snapshot);
        crate::clash::refuse(&mut self.plan, &self.world);
        crate::imports::refuse(&mut self.plan, &self.world, &self.adoptions);
        self.refuse_impossible_rollouts();
        (self.plan, self.world, self.providers)
    }

    /// Members that need one another at once can't be changed one after the other.
    fn refuse_impossible_rollouts(&mut self) {
        let mut instances = self.plan.instances.values();
        let has_groups = instances.any(|planned| planned.group.is_some());
        if has_groups && !self.plan.diagnostics.iter().any(Diagnostic::is_error) {
            let refused = crate::ops::operations(&self.plan).err();
            self.plan.diagnostics.extend(refused);
        }
    }

    /// What stays as it is under another address is a change of the record all the same.
    fn note_moves(&mut self) {
        for (to, from) in &self.moved_from {
            if let Some(planned) = self.plan.instances.get_mut(to) {
                planned.moved_from = Some(from.clone());
            }
        }
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

    /// Whether this plan can't make a value known, because what it comes from is no part of it and is not made yet.
    fn waits_for_what_is_left_out(&self, value: &dmp_sdk::Value) -> bool {
        let marks = value.deep_marks();
        let mut origins = marks.origins().iter();
        !value.is_wholly_known() && origins.any(|origin| self.left_out.contains(&**origin))
    }

    /// Outputs as they are recorded, and as they will be; one that waits for what is left out stays as it is.
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
        let mut left_out = Vec::new();
        for name in names {
            if self.plan.is_destroy {
                break;
            }
            match self.world.output(&root, &name) {
                Ok(value) if self.waits_for_what_is_left_out(&value) => {
                    left_out.push(name.to_string());
                }
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
            if left_out.contains(name) {
                entry.after.clone_from(&entry.before);
            }
        }
        for output in outputs.values_mut() {
            output.after = output.after.take().map(|value| loosen(&value));
        }
        self.plan.outputs = outputs;
    }
}

/// What is said where a machine is to take the place of a lost one, and none answers.
fn nobody_took_its_place(address: &Address, why: &str, is_tolerated: bool) -> Diagnostic {
    let diagnostic = match is_tolerated {
        true => Diagnostic::warning("no-successor", "nothing has taken its place yet"),
        false => Diagnostic::remote("no-successor", "nothing has taken its place yet"),
    };
    diagnostic.address(address).cause(why).help(
        "start a machine at the same address, or give another address in the configuration; \
         `dmp rebuild --dry-run` shows what will be done on it",
    )
}

/// Lists as tuples and maps as objects: a record can't tell them apart.
fn loosen(value: &Value) -> Value {
    crate::instance::plain_collections(&dmp_sdk::Type::Any, value.clone())
}
