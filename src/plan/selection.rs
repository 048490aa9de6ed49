//! Which part of a stack a run is about: named with what it needs, left out with what needs it, or a range of layers.
//!
//! What is not part of it is neither read nor changed: others see it as it is recorded.

use std::collections::{BTreeSet, HashSet};

use dmp_graph::{Node, NodeId};
use dmp_lang::config::Endpoint;
use dmp_sdk::{Address, Diagnostic, Layer, Mode};
use dmp_state::{Instance, Snapshot};

use crate::moves::rest_of;
use crate::world::{World, block_key, config_path};

/// What a person has said of the part.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selection {
    /// These and all that they need; everything, if none is named.
    pub targets: Vec<Endpoint>,
    /// Not these, nor what needs them.
    pub excludes: Vec<Endpoint>,
    /// Nothing below this layer.
    pub from: Option<Layer>,
    /// Nothing above this layer, but for what the rest needs.
    pub through: Option<Layer>,
    /// These are replaced, whatever they are like.
    pub replace: BTreeSet<Address>,
    /// Of what is to be deleted, these and what lives on them is forgotten if it can't be reached.
    pub forget_unreachable: Vec<Endpoint>,
}

impl Selection {
    /// Whether it is about the whole stack.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.targets.is_empty()
            && self.excludes.is_empty()
            && self.from.is_none()
            && self.through.is_none()
    }

    fn is_in_range(&self, layer: Layer) -> bool {
        self.from.is_none_or(|from| layer >= from)
            && self.through.is_none_or(|through| layer <= through)
    }
}

/// A selection, found out for a configuration.
#[derive(Clone, Debug)]
pub struct Part {
    selection: Selection,
    /// Blocks of which some instances are part; `None` for the whole stack.
    blocks: Option<HashSet<NodeId>>,
    /// Blocks that are part with all their instances, because something needs them.
    needed: HashSet<NodeId>,
    /// Blocks that are no part because they need something that is left out.
    dependents: HashSet<NodeId>,
}

impl Part {
    /// Finds out which blocks are part. `world` knows variables only. Where things are removed, what needs a target goes
    /// with it, and what is left out keeps what it needs.
    #[must_use]
    pub fn of(world: &World, selection: Selection, is_destroy: bool) -> Self {
        let mut part = Self {
            blocks: None,
            needed: HashSet::new(),
            dependents: HashSet::new(),
            selection,
        };
        if part.selection.is_whole() {
            return part;
        }
        let graph = &world.graph;
        let mut needed_by = vec![Vec::new(); graph.nodes.len()];
        for (node, needs) in graph.needs.iter().enumerate() {
            for need in needs {
                needed_by[*need].push(node);
            }
        }
        let (needs, needed_by) = match is_destroy {
            true => (&needed_by, &graph.needs),
            false => (&graph.needs, &needed_by),
        };
        let with = |endpoints: &[Endpoint], is_enough: fn(&Endpoint) -> bool| -> Vec<NodeId> {
            let ends = || endpoints.iter().filter(|end| is_enough(end));
            let is_named = |node: &NodeId| ends().any(|end| names(end, &graph.nodes[*node]));
            (0..graph.nodes.len()).filter(is_named).collect()
        };
        let excluded = with(&part.selection.excludes, |_| true);
        let next: Vec<NodeId> = excluded
            .iter()
            .flat_map(|node| &needed_by[*node])
            .copied()
            .collect();
        part.dependents = closure(needed_by, &next);
        part.dependents
            .extend(with(&part.selection.excludes, is_of_all_instances));
        let chosen = match part.selection.targets.is_empty() {
            true => (0..graph.nodes.len()).collect(),
            false => with(&part.selection.targets, |_| true),
        };
        let is_chosen = |node: &NodeId| {
            let in_range = layer_of(world, &graph.nodes[*node])
                .is_some_and(|layer| part.selection.is_in_range(layer));
            in_range && !part.dependents.contains(node)
        };
        let chosen: Vec<NodeId> = chosen.into_iter().filter(is_chosen).collect();
        let is_kept = |node: &NodeId| match &graph.nodes[*node] {
            // What is below is taken as it is recorded; what is only read is read.
            Node::Resource(_, key) if key.mode == Mode::Managed && !is_destroy => {
                let layer = layer_of(world, &graph.nodes[*node]);
                let from = part.selection.from;
                layer.is_none_or(|layer| from.is_none_or(|from| layer >= from))
            }
            _ => true,
        };
        let next: Vec<NodeId> = chosen
            .iter()
            .flat_map(|node| &needs[*node])
            .copied()
            .collect();
        part.needed = closure(needs, &next).into_iter().filter(is_kept).collect();
        let blocks = chosen.iter().copied().chain(part.needed.iter().copied());
        part.blocks = Some(blocks.collect());
        part
    }

    /// What is to be replaced.
    #[must_use]
    pub fn replace(&self) -> &BTreeSet<Address> {
        &self.selection.replace
    }

    /// Whether a recorded instance is forgotten rather than deleted if it can't be reached: it, or something that it lives
    /// on, is named.
    #[must_use]
    pub fn forgets_unreachable(&self, snapshot: &Snapshot, record: &Instance) -> bool {
        let named = &self.selection.forget_unreachable;
        if named.is_empty() {
            return false;
        }
        let mut seen = HashSet::new();
        let mut look = vec![&record.address];
        while let Some(address) = look.pop() {
            if named.iter().any(|endpoint| covers(endpoint, address)) {
                return true;
            }
            if let Some(record) = snapshot.instances.get(address)
                && seen.insert(address)
            {
                let hosts = record.hosted_on.iter();
                look.extend(hosts.flat_map(|hosting| &hosting.hosts));
            }
        }
        false
    }

    /// Whether it is about the whole stack.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.blocks.is_none()
    }

    /// Whether a block, or some instances of it, are part.
    #[must_use]
    pub fn has_block(&self, node: NodeId) -> bool {
        self.blocks
            .as_ref()
            .is_none_or(|blocks| blocks.contains(&node))
    }

    /// Whether an instance of a block is part.
    #[must_use]
    pub fn has_instance(&self, node: NodeId, address: &Address) -> bool {
        self.has_block(node)
            && !self.is_excluded(address)
            && (self.blocks.is_none() || self.needed.contains(&node) || self.is_named(address))
    }

    /// Whether a recorded instance is part, also one whose block is gone.
    #[must_use]
    pub fn has_recorded(&self, world: &World, record: &Instance) -> bool {
        let address = &record.address;
        if self.blocks.is_none() {
            return true;
        }
        let node = Node::Resource(config_path(&address.module), block_key(address));
        match world.graph.id(&node) {
            Some(node) => self.has_instance(node, address),
            None => {
                self.is_named(address)
                    && !self.is_excluded(address)
                    && self.selection.is_in_range(record.layer)
            }
        }
    }

    /// What of the selection names nothing that the configuration or the state has.
    #[must_use]
    pub fn unknown(&self, world: &World, recorded: &[&Address]) -> Vec<Diagnostic> {
        let is_known = |endpoint: &Endpoint| {
            recorded.iter().any(|address| covers(endpoint, address))
                || world.graph.nodes.iter().any(|node| names(endpoint, node))
        };
        let replaced = self
            .selection
            .replace
            .iter()
            .cloned()
            .map(Endpoint::Resource);
        let named = self
            .selection
            .targets
            .iter()
            .chain(&self.selection.excludes)
            .chain(&self.selection.forget_unreachable);
        named
            .cloned()
            .chain(replaced)
            .filter(|endpoint| !is_known(endpoint))
            .map(|endpoint| {
                Diagnostic::error("nothing-named", "nothing has this address")
                    .detail(format!(
                        "neither the configuration nor the state has `{endpoint}`"
                    ))
                    .help("see `dmp state list`, and quote the brackets for your shell")
            })
            .collect()
    }

    /// What is said of a plan for a part.
    #[must_use]
    pub fn notice(&self) -> Option<Diagnostic> {
        if self.is_whole() {
            return None;
        }
        let mut words: Vec<String> = Vec::new();
        let addresses = |ends: &[Endpoint]| {
            let ends = ends.iter().map(|end| format!("`{end}`"));
            ends.collect::<Vec<_>>().join(", ")
        };
        if !self.selection.targets.is_empty() {
            words.push(format!(
                "{} and what they need",
                addresses(&self.selection.targets)
            ));
        }
        if !self.selection.excludes.is_empty() {
            let ends = addresses(&self.selection.excludes);
            words.push(format!("without {ends} and what needs them"));
        }
        words.extend(
            self.selection
                .from
                .map(|layer| format!("from layer {layer}")),
        );
        words.extend(
            self.selection
                .through
                .map(|layer| format!("through layer {layer}")),
        );
        Some(
            Diagnostic::warning("part", "this is about a part of the stack only")
                .detail(words.join(", "))
                .help("afterwards run `dmp plan` for the whole"),
        )
    }

    fn is_named(&self, address: &Address) -> bool {
        let mut targets = self.selection.targets.iter();
        self.selection.targets.is_empty() || targets.any(|target| covers(target, address))
    }

    fn is_excluded(&self, address: &Address) -> bool {
        let mut excludes = self.selection.excludes.iter();
        excludes.any(|exclude| covers(exclude, address))
    }
}

/// Whether an address is one of an endpoint's.
#[must_use]
pub fn covers(endpoint: &Endpoint, address: &Address) -> bool {
    match endpoint {
        Endpoint::Module(path) => rest_of(&address.module, path).is_some(),
        Endpoint::Resource(resource) => *resource == *address || *resource == address.block(),
    }
}

/// Whether an endpoint stands for all instances of its blocks.
fn is_of_all_instances(endpoint: &Endpoint) -> bool {
    match endpoint {
        Endpoint::Module(path) => path.0.iter().all(|(_, key)| key.is_none()),
        Endpoint::Resource(address) => {
            address.key.is_none() && address.module.0.iter().all(|(_, key)| key.is_none())
        }
    }
}

/// Whether a block of the configuration has instances that an endpoint may name.
fn names(endpoint: &Endpoint, node: &Node) -> bool {
    let Node::Resource(path, key) = node else {
        return false;
    };
    match endpoint {
        Endpoint::Module(module) => path.0.starts_with(&config_path(module).0),
        Endpoint::Resource(address) => {
            config_path(&address.module) == *path && block_key(address) == *key
        }
    }
}

fn layer_of(world: &World, node: &Node) -> Option<Layer> {
    let Node::Resource(path, key) = node else {
        return None;
    };
    let module = world.graph.module(&world.configuration, path)?;
    let block = module.resources.get(key)?;
    let schema = world.registry.schema(key.mode, &key.resource_type)?;
    Some(block.layer.unwrap_or(schema.layer))
}

/// Everything that is reached from these, and these.
fn closure(edges: &[Vec<NodeId>], from: &[NodeId]) -> HashSet<NodeId> {
    let mut found: HashSet<NodeId> = from.iter().copied().collect();
    let mut look = from.to_vec();
    while let Some(node) = look.pop() {
        for next in &edges[node] {
            if found.insert(*next) {
                look.push(*next);
            }
        }
    }
    found
}
