//! The order of a configuration's blocks: what refers to what, through modules.
//!
//! A node stands for a block in a module as it is called (`module.net`), whatever `count` and `for_each` make of either
//! later. So the graph is linear in what was written.

use std::fmt;
use std::sync::Arc;

use dmp_lang::Expr;
use dmp_lang::config::{Configuration, Module, ModuleId, ProviderKey, Repetition, ResourceBlock};
use dmp_lang::reference::{Reference, ResourceKey, Step, Target};
use dmp_lang::{body_references, references};
use dmp_sdk::{Diagnostic, Mode, Span};
use foldhash::{HashMap, HashSet};
use petgraph::algo::tarjan_scc;
use petgraph::graph::{DiGraph, NodeIndex};

/// The calls that lead to a module, without their keys; empty for the stack itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConfigPath(pub Vec<Arc<str>>);

impl ConfigPath {
    /// A module called from this one.
    #[must_use]
    pub fn child(&self, call: &Arc<str>) -> Self {
        let mut calls = self.0.clone();
        calls.push(Arc::clone(call));
        Self(calls)
    }

    /// The module that calls this one, and the call's name.
    #[must_use]
    pub fn parent(&self) -> Option<(Self, Arc<str>)> {
        let (call, parent) = self.0.split_last()?;
        Some((Self(parent.to_vec()), Arc::clone(call)))
    }
}

/// A block, in a module as it is called.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Node {
    /// An input variable.
    Variable(ConfigPath, Arc<str>),
    /// A local value.
    Local(ConfigPath, Arc<str>),
    /// An output value.
    Output(ConfigPath, Arc<str>),
    /// A provider configuration.
    Provider(ConfigPath, ProviderKey),
    /// A `resource` or `data` block.
    Resource(ConfigPath, ResourceKey),
    /// The instances of a module call.
    Call(ConfigPath, Arc<str>),
    /// A check.
    Check(ConfigPath, Arc<str>),
}

impl Node {
    /// The module that it stands in.
    #[must_use]
    pub fn path(&self) -> &ConfigPath {
        match self {
            Self::Variable(path, _)
            | Self::Local(path, _)
            | Self::Output(path, _)
            | Self::Provider(path, _)
            | Self::Resource(path, _)
            | Self::Call(path, _)
            | Self::Check(path, _) => path,
        }
    }
}

impl fmt::Display for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for call in &self.path().0 {
            write!(f, "module.{call}.")?;
        }
        match self {
            Self::Variable(_, name) => write!(f, "var.{name}"),
            Self::Local(_, name) => write!(f, "local.{name}"),
            Self::Output(_, name) => write!(f, "output.{name}"),
            Self::Provider(_, key) => write!(f, "provider.{key}"),
            Self::Resource(_, key) => key.fmt(f),
            Self::Call(_, name) => write!(f, "module.{name}"),
            Self::Check(_, name) => write!(f, "check.{name}"),
        }
    }
}

/// The position of a node in [`ConfigGraph::nodes`].
pub type NodeId = usize;

/// The blocks of a configuration in an order in which each comes after what it refers to.
#[derive(Clone, Debug)]
pub struct ConfigGraph {
    /// All nodes, dependencies first.
    pub nodes: Vec<Node>,
    /// For each node, the nodes it needs.
    pub needs: Vec<Vec<NodeId>>,
    ids: HashMap<Node, NodeId>,
    modules: HashMap<ConfigPath, ModuleId>,
    /// The provider that owns each resource type.
    providers: HashMap<(Mode, Arc<str>), Arc<str>>,
}

impl ConfigGraph {
    /// Orders a configuration. `provider_of` names the provider of a resource type or data source.
    ///
    /// # Errors
    /// A diagnostic for each cycle, as a path through the source.
    pub fn build(
        configuration: &Configuration,
        provider_of: &dyn Fn(Mode, &str) -> Option<Arc<str>>,
    ) -> Result<Self, Vec<Diagnostic>> {
        let mut builder = Builder {
            configuration,
            graph: DiGraph::new(),
            edges: HashSet::default(),
            ids: HashMap::default(),
            modules: HashMap::default(),
            providers: HashMap::default(),
        };
        builder.declare(&ConfigPath::default(), configuration.root, provider_of);
        builder.connect();
        builder.finish()
    }

    /// The id of a node.
    #[must_use]
    pub fn id(&self, node: &Node) -> Option<NodeId> {
        self.ids.get(node).copied()
    }

    /// The module that a path leads to.
    #[must_use]
    pub fn module<'a>(
        &self,
        configuration: &'a Configuration,
        path: &ConfigPath,
    ) -> Option<&'a Module> {
        self.modules.get(path).map(|id| configuration.module(*id))
    }

    /// The provider configuration of a block.
    #[must_use]
    pub fn provider_of<'a>(
        &self,
        configuration: &'a Configuration,
        path: &ConfigPath,
        block: &'a ResourceBlock,
    ) -> Option<ProviderOf<'a>> {
        let own = self
            .providers
            .get(&(block.key.mode, Arc::clone(&block.key.resource_type)))?;
        Some(resolve_provider(
            configuration,
            &self.modules,
            path,
            own,
            block,
        ))
    }
}

/// The provider configuration that a block goes through.
#[derive(Clone, Debug)]
pub struct ProviderOf<'a> {
    /// The module that it stands in.
    pub path: ConfigPath,
    /// Its key there.
    pub key: ProviderKey,
    /// Which instance of it, if it has `for_each`.
    pub instance: Option<InstanceOf<'a>>,
}

/// The instance of a provider configuration that is named.
#[derive(Clone, Debug)]
pub struct InstanceOf<'a> {
    /// Its key.
    pub key: &'a Expr,
    /// The module call that hands it in; `None` where the block itself names it.
    pub call: Option<(ConfigPath, Arc<str>)>,
}

/// Follows a provider configuration up through the modules that hand it in or inherit it.
fn resolve_provider<'a>(
    configuration: &'a Configuration,
    modules: &HashMap<ConfigPath, ModuleId>,
    path: &ConfigPath,
    own: &Arc<str>,
    block: &'a ResourceBlock,
) -> ProviderOf<'a> {
    let default = ProviderKey {
        name: Arc::clone(own),
        alias: None,
    };
    let mut key = block
        .provider
        .as_ref()
        .map_or(default, |provider| provider.key.clone());
    let named = block.provider.as_ref();
    let mut instance = named
        .and_then(|named| named.instance.as_ref())
        .map(|key| InstanceOf { key, call: None });
    let mut path = path.clone();
    loop {
        let declared = modules
            .get(&path)
            .map(|id| configuration.module(*id).providers.contains_key(&key));
        let parent = path.parent().filter(|_| declared != Some(true));
        let Some((parent, name)) = parent else {
            return ProviderOf {
                path,
                key,
                instance,
            };
        };
        let call = modules
            .get(&parent)
            .and_then(|id| configuration.module(*id).calls.get(&name));
        let handed_in =
            call.and_then(|call| call.providers.iter().find(|(inner, _)| inner.key == key));
        if let Some((_, outer)) = handed_in {
            key = outer.key.clone();
            instance = outer.instance.as_ref().map(|key| InstanceOf {
                key,
                call: Some((parent.clone(), name)),
            });
        }
        path = parent;
    }
}

/// The data source by which a group's members are judged.
fn health_data(block: &ResourceBlock) -> Option<&ResourceBlock> {
    let health = block.lifecycle.rollout.as_ref()?.health.as_ref()?;
    health.data.as_deref()
}

struct Builder<'a> {
    configuration: &'a Configuration,
    graph: DiGraph<Node, Option<Span>>,
    edges: HashSet<(NodeIndex, NodeIndex)>,
    ids: HashMap<Node, NodeIndex>,
    modules: HashMap<ConfigPath, ModuleId>,
    providers: HashMap<(Mode, Arc<str>), Arc<str>>,
}

impl<'a> Builder<'a> {
    fn add(&mut self, node: Node) -> NodeIndex {
        if let Some(id) = self.ids.get(&node) {
            return *id;
        }
        let id = self.graph.add_node(node.clone());
        self.ids.insert(node, id);
        id
    }

    /// Makes the nodes of a module and of all that it calls.
    fn declare(
        &mut self,
        path: &ConfigPath,
        id: ModuleId,
        provider_of: &dyn Fn(Mode, &str) -> Option<Arc<str>>,
    ) {
        self.modules.insert(path.clone(), id);
        let module = self.configuration.module(id);
        for name in module.variables.keys() {
            self.add(Node::Variable(path.clone(), Arc::clone(name)));
        }
        for name in module.locals.keys() {
            self.add(Node::Local(path.clone(), Arc::clone(name)));
        }
        for name in module.outputs.keys() {
            self.add(Node::Output(path.clone(), Arc::clone(name)));
        }
        for key in module.providers.keys() {
            self.add(Node::Provider(path.clone(), key.clone()));
        }
        let check_data = module
            .checks
            .values()
            .filter_map(|check| check.data.as_ref().map(|data| &data.key));
        for key in module.resources.keys().chain(check_data) {
            self.add(Node::Resource(path.clone(), key.clone()));
            if let Some(provider) = provider_of(key.mode, &key.resource_type) {
                self.providers
                    .insert((key.mode, Arc::clone(&key.resource_type)), provider);
            }
        }
        let health_data = module.resources.values().filter_map(health_data);
        for data in health_data {
            let key = &data.key;
            if let Some(provider) = provider_of(key.mode, &key.resource_type) {
                self.providers
                    .insert((key.mode, Arc::clone(&key.resource_type)), provider);
            }
        }
        for name in module.checks.keys() {
            self.add(Node::Check(path.clone(), Arc::clone(name)));
        }
        for (name, call) in &module.calls {
            self.add(Node::Call(path.clone(), Arc::clone(name)));
            if let Some(called) = call.module {
                self.declare(&path.child(name), called, provider_of);
            }
        }
    }

    fn connect(&mut self) {
        for (path, id) in self.modules.clone() {
            let module = self.configuration.module(id);
            if let Some((parent, call)) = path.parent() {
                self.connect_inputs(&path, module, &parent, &call);
            }
            for (name, local) in &module.locals {
                self.refer(
                    &Node::Local(path.clone(), Arc::clone(name)),
                    references(&local.expr),
                );
            }
            for (name, output) in &module.outputs {
                let node = Node::Output(path.clone(), Arc::clone(name));
                let conditions = output
                    .preconditions
                    .iter()
                    .flat_map(|condition| references(&condition.condition));
                let all = references(&output.value)
                    .into_iter()
                    .chain(&output.depends_on)
                    .chain(conditions)
                    .collect();
                self.refer(&node, all);
            }
            for (key, provider) in &module.providers {
                let mut all = body_references(&provider.body);
                let repetition = provider.repetition.iter();
                all.extend(repetition.flat_map(|repetition| references(repetition.expr())));
                self.refer(&Node::Provider(path.clone(), key.clone()), all);
            }
            for (key, block) in &module.resources {
                self.connect_resource(&path, key, block);
            }
            for (name, call) in &module.calls {
                let node = Node::Call(path.clone(), Arc::clone(name));
                let repetition = call.repetition.iter().map(Repetition::expr);
                let handed_in = call.providers.iter();
                let instances = handed_in.filter_map(|(_, outside)| outside.instance.as_ref());
                let all = repetition.chain(instances).flat_map(references).collect();
                self.refer(&node, all);
            }
            for (name, check) in &module.checks {
                let node = Node::Check(path.clone(), Arc::clone(name));
                if let Some(data) = &check.data {
                    self.connect_resource(&path, &data.key, data);
                    self.need(&node, &Node::Resource(path.clone(), data.key.clone()), None);
                }
                let asserts = check.asserts.iter();
                self.refer(
                    &node,
                    asserts
                        .flat_map(|assert| references(&assert.condition))
                        .collect(),
                );
            }
        }
    }

    /// Everything in a called module waits for the call's instances and for what the call depends on.
    fn connect_inputs(
        &mut self,
        path: &ConfigPath,
        module: &Module,
        parent: &ConfigPath,
        call: &Arc<str>,
    ) {
        let call_node = Node::Call(parent.clone(), Arc::clone(call));
        let configuration = self.configuration;
        let declared = self
            .modules
            .get(parent)
            .and_then(|id| configuration.module(*id).calls.get(call));
        let Some(declared) = declared else { return };
        for name in module.variables.keys() {
            let node = Node::Variable(path.clone(), Arc::clone(name));
            self.need(&node, &call_node, None);
            if let Some(input) = declared.inputs.get(name) {
                self.refer_in(&node, parent, references(&input.expr));
            }
        }
        let resources = module
            .resources
            .keys()
            .map(|key| Node::Resource(path.clone(), key.clone()));
        let calls = module
            .calls
            .keys()
            .map(|name| Node::Call(path.clone(), Arc::clone(name)));
        for node in resources.chain(calls).collect::<Vec<_>>() {
            self.need(&node, &call_node, None);
            self.refer_in(&node, parent, declared.depends_on.iter().collect());
        }
    }

    fn connect_resource(&mut self, path: &ConfigPath, key: &ResourceKey, block: &'a ResourceBlock) {
        let node = Node::Resource(path.clone(), key.clone());
        let lifecycle = &block.lifecycle;
        let mut all = body_references(&block.body);
        all.extend(
            block
                .repetition
                .iter()
                .flat_map(|repetition| references(repetition.expr())),
        );
        all.extend(&block.depends_on);
        let instance = block.provider.iter().filter_map(|it| it.instance.as_ref());
        all.extend(instance.flat_map(references));
        all.extend(block.timeouts.values().flat_map(references));
        all.extend(lifecycle.replace_triggered_by.iter().flat_map(references));
        all.extend(lifecycle.hosted_on.iter().flat_map(references));
        all.extend(lifecycle.prevent_destroy.iter().flat_map(references));
        let conditions = lifecycle
            .preconditions
            .iter()
            .chain(&lifecycle.postconditions);
        all.extend(conditions.flat_map(|condition| references(&condition.condition)));
        let health = lifecycle
            .rollout
            .iter()
            .filter_map(|rollout| rollout.health.as_ref());
        for health in health {
            all.extend(
                health
                    .data
                    .iter()
                    .flat_map(|data| body_references(&data.body)),
            );
            let asserts = health.asserts.iter();
            all.extend(asserts.flat_map(|assert| references(&assert.condition)));
        }
        self.refer(&node, all);
        self.need_provider(&node, path, key, block);
        if let Some(data) = health_data(block) {
            self.need_provider(&node, path, &data.key, data);
        }
    }

    /// A block waits for the provider configuration that something in it goes through.
    fn need_provider(
        &mut self,
        node: &Node,
        path: &ConfigPath,
        key: &ResourceKey,
        block: &'a ResourceBlock,
    ) {
        let own = self
            .providers
            .get(&(key.mode, Arc::clone(&key.resource_type)))
            .cloned();
        let Some(own) = own else { return };
        let found = resolve_provider(self.configuration, &self.modules, path, &own, block);
        let provider = Node::Provider(found.path, found.key);
        if self.ids.contains_key(&provider) {
            self.need(
                node,
                &provider,
                block.provider.as_ref().map(|name| name.span.clone()),
            );
        }
    }

    fn refer(&mut self, node: &Node, all: Vec<&Reference>) {
        let path = node.path().clone();
        self.refer_in(node, &path, all);
    }

    /// Connects a node to what is referred to in a module.
    fn refer_in(&mut self, node: &Node, path: &ConfigPath, all: Vec<&Reference>) {
        for reference in all {
            let needed = match &reference.target {
                Target::Variable(name) => Node::Variable(path.clone(), Arc::clone(name)),
                Target::Local(name) => Node::Local(path.clone(), Arc::clone(name)),
                Target::Resource(key) => Node::Resource(path.clone(), key.clone()),
                Target::Module(name) => {
                    self.need_module(node, path, name, reference);
                    continue;
                }
                _ => continue,
            };
            // A postcondition may speak of its own block.
            if needed != *node {
                self.need(node, &needed, Some(reference.span.clone()));
            }
        }
    }

    /// Connects to the one output that is named, or to all.
    fn need_module(
        &mut self,
        node: &Node,
        path: &ConfigPath,
        name: &Arc<str>,
        reference: &Reference,
    ) {
        let call = Node::Call(path.clone(), Arc::clone(name));
        self.need(node, &call, Some(reference.span.clone()));
        let inside = path.child(name);
        let Some(id) = self.modules.get(&inside) else {
            return;
        };
        let outputs = &self.configuration.module(*id).outputs;
        let named = reference.path.iter().find_map(|step| match step {
            Step::Attribute(output, _) => Some(output),
            Step::Index(..) => None,
        });
        let wanted: Vec<_> = match named {
            Some(output) => outputs
                .keys()
                .filter(|name| *name == output)
                .cloned()
                .collect(),
            None => outputs.keys().cloned().collect(),
        };
        for output in wanted {
            self.need(
                node,
                &Node::Output(inside.clone(), output),
                Some(reference.span.clone()),
            );
        }
    }

    fn need(&mut self, node: &Node, needed: &Node, span: Option<Span>) {
        let (Some(from), Some(to)) = (self.ids.get(needed), self.ids.get(node)) else {
            return;
        };
        // A block that everything refers to has many edges: they are not searched through for each one more.
        if self.edges.insert((*from, *to)) {
            self.graph.add_edge(*from, *to, span);
        }
    }

    fn finish(self) -> Result<ConfigGraph, Vec<Diagnostic>> {
        let mut components = tarjan_scc(&self.graph);
        let is_loop = |component: &Vec<NodeIndex>| {
            component.len() > 1
                || component
                    .first()
                    .is_some_and(|id| self.graph.contains_edge(*id, *id))
        };
        let cycles: Vec<_> = components
            .iter()
            .filter(|component| is_loop(component))
            .collect();
        if !cycles.is_empty() {
            return Err(cycles
                .into_iter()
                .map(|component| self.describe_cycle(component))
                .collect());
        }
        // Tarjan gives a reverse order: what needs others comes first.
        components.reverse();
        let order: Vec<NodeIndex> = components.into_iter().flatten().collect();
        let position: HashMap<NodeIndex, NodeId> =
            order.iter().enumerate().map(|(at, id)| (*id, at)).collect();
        let needs = order.iter().map(|id| {
            let incoming = self
                .graph
                .neighbors_directed(*id, petgraph::Direction::Incoming);
            let mut needs: Vec<NodeId> = incoming.map(|needed| position[&needed]).collect();
            needs.sort_unstable();
            needs
        });
        Ok(ConfigGraph {
            needs: needs.collect(),
            ids: self
                .ids
                .iter()
                .map(|(node, id)| (node.clone(), position[id]))
                .collect(),
            nodes: order.iter().map(|id| self.graph[*id].clone()).collect(),
            modules: self.modules,
            providers: self.providers,
        })
    }

    /// Follows references inside a strongly connected component until one comes round again.
    fn describe_cycle(&self, component: &[NodeIndex]) -> Diagnostic {
        let mut path = vec![component[0]];
        loop {
            let last = path[path.len() - 1];
            let next = self
                .graph
                .neighbors_directed(last, petgraph::Direction::Incoming)
                .find(|next| component.contains(next));
            let Some(next) = next else { break };
            if let Some(start) = path.iter().position(|seen| *seen == next) {
                path.drain(..start);
                path.push(next);
                break;
            }
            path.push(next);
        }
        let names: Vec<_> = path
            .iter()
            .map(|id| format!("`{}`", self.graph[*id]))
            .collect();
        let mut diagnostic = Diagnostic::error("cycle", "circular reference")
            .detail(format!(
                "these refer to one another in a circle: {}",
                names.join(" -> ")
            ))
            .help("break the circle: let one of them take its value from somewhere else");
        for pair in path.windows(2) {
            let edge = self.graph.find_edge(pair[1], pair[0]);
            if let Some(span) = edge.and_then(|edge| self.graph[edge].clone()) {
                if diagnostic.span.is_none() {
                    diagnostic.span = Some(span);
                } else {
                    diagnostic = diagnostic
                        .label(span, format!("`{}` refers to it here", self.graph[pair[0]]));
                }
            }
        }
        diagnostic
    }
}
