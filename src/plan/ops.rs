//! The work of a plan as operations, and the order between them.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use dmp_graph::{Op, Schedule};
use dmp_sdk::{Action, Address, Diagnostic};

use crate::model::{Plan, Planned};
use crate::world::{BlockAddress, block_key};

/// One operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Operation {
    /// Makes, changes or reads an instance, or leaves it as it is.
    Apply(Address),
    /// Removes an instance, or forgets it; where the new object came first, the old one.
    Delete(Address),
    /// Removes an object that was replaced by an earlier run: its position among the plan's.
    Bury(usize),
    /// Takes an instance out of what knows it elsewhere, before it is lost with its host.
    Leave(Address),
    /// Looks whether a member of a group is healthy, before others of it are out.
    Probe(Address),
    /// Joins all instances of a block, so that what waits for the block needs one edge.
    Join(BlockAddress),
}

/// All operations of a plan and their order.
pub struct Operations {
    /// The operations.
    pub all: Vec<Operation>,
    /// Their order.
    pub schedule: Schedule,
}

/// Makes the operations of a plan.
///
/// # Errors
/// When they wait for one another: what is wrong, as a bug, since the configuration itself has no circle.
pub fn operations(plan: &Plan) -> Result<Operations, Diagnostic> {
    let mut builder = Builder {
        plan,
        all: Vec::new(),
        applies: HashMap::new(),
        deletes: HashMap::new(),
        leaves: HashMap::new(),
        buries: Vec::new(),
        edges: Vec::new(),
        wishes: Vec::new(),
    };
    for planned in plan.instances.values() {
        builder.declare(planned);
    }
    builder.declare_deposed();
    builder.connect();
    builder.connect_groups();
    let weights: Vec<u64> = builder
        .all
        .iter()
        .map(|operation| weight(plan, operation))
        .collect();
    let schedule = builder.schedule(&weights).map_err(|circle| {
        let circle = on_circles(circle, &builder.edges);
        let mut names: Vec<String> = circle
            .iter()
            .map(|op| builder.name(&builder.all[*op]))
            .collect();
        names.sort();
        names.dedup();
        if plan
            .instances
            .values()
            .any(|planned| planned.group.is_some())
        {
            return Diagnostic::error("rollout-order", "members of a group wait for one another")
                .detail(format!(
                    "they can't be out one after the other: `{}`",
                    names.join("`, `")
                ))
                .help(
                    "put what needs each other into groups of their own, or leave `rollout` out",
                );
        }
        Diagnostic::bug(format!(
            "operations wait for one another: {}",
            names.join(", ")
        ))
    })?;
    Ok(Operations {
        all: builder.all,
        schedule,
    })
}

/// How long an operation took before, in milliseconds, or about how long such things take.
fn weight(plan: &Plan, operation: &Operation) -> u64 {
    match operation {
        Operation::Apply(address) => plan
            .instances
            .get(address)
            .map_or(0, |planned| match planned.action {
                Action::NoOp | Action::Defer | Action::Forget => 0,
                _ => planned
                    .record
                    .as_ref()
                    .and_then(|record| record.create_milliseconds)
                    .unwrap_or(1000),
            }),
        Operation::Delete(_) | Operation::Bury(_) | Operation::Leave(_) | Operation::Probe(_) => {
            500
        }
        Operation::Join(_) => 0,
    }
}

struct Builder<'a> {
    plan: &'a Plan,
    all: Vec<Operation>,
    applies: HashMap<Address, Op>,
    deletes: HashMap<Address, Op>,
    leaves: HashMap<Address, Op>,
    /// By position among the plan's deposed objects.
    buries: Vec<Op>,
    edges: Vec<(Op, Op)>,
    /// An order that is better, but given up where it contradicts the others.
    wishes: Vec<(Op, Op)>,
}

impl Builder<'_> {
    /// The order, with as many wishes as can be had.
    fn schedule(&self, weights: &[u64]) -> Result<Schedule, Vec<Op>> {
        let all: Vec<_> = self.edges.iter().chain(&self.wishes).copied().collect();
        Schedule::new(weights, &all).or_else(|waiting| {
            let circular = on_circles(waiting, &all);
            let wishes = self
                .wishes
                .iter()
                .filter(|(before, after)| !(circular.contains(before) && circular.contains(after)));
            let edges: Vec<_> = self.edges.iter().chain(wishes).copied().collect();
            Schedule::new(weights, &edges)
        })
    }

    /// What an operation is about.
    fn name(&self, operation: &Operation) -> String {
        match operation {
            Operation::Apply(address)
            | Operation::Delete(address)
            | Operation::Leave(address)
            | Operation::Probe(address) => address.to_string(),
            Operation::Bury(position) => self.plan.deposed[*position].address.to_string(),
            Operation::Join((module, key)) => {
                crate::world::instance_address(module, key, None).to_string()
            }
        }
    }

    fn add(&mut self, operation: Operation) -> Op {
        self.all.push(operation);
        self.all.len() - 1
    }

    fn declare(&mut self, planned: &Planned) {
        let address = planned.address.clone();
        let ends = planned.action.deletes() || matches!(planned.action, Action::Forget);
        // What is lost with its host leaves the state in the host's own commit.
        if ends && planned.lost_with.is_none() {
            let op = self.add(Operation::Delete(address.clone()));
            self.deletes.insert(address.clone(), op);
        }
        if !matches!(
            planned.action,
            Action::Delete | Action::Forget | Action::LostWithHost | Action::Defer
        ) {
            let op = self.add(Operation::Apply(address.clone()));
            self.applies.insert(address.clone(), op);
        }
        if planned.leaves {
            let op = self.add(Operation::Leave(address.clone()));
            self.leaves.insert(address, op);
        }
    }

    /// Members of a group are changed a few at a time: each waits for the one that is as many places before it.
    fn connect_groups(&mut self) {
        let mut groups: BTreeMap<&str, (usize, Vec<&Planned>)> = BTreeMap::new();
        for planned in self.plan.instances.values() {
            if let Some(group) = &planned.group {
                let (max_out, members) = groups
                    .entry(&group.name)
                    .or_insert((group.max_out, Vec::new()));
                *max_out = (*max_out).min(group.max_out);
                members.push(planned);
            }
        }
        if groups.is_empty() {
            return;
        }
        let mut lost: HashMap<&Address, Vec<Op>> = HashMap::new();
        for planned in self.plan.instances.values() {
            if let (Some(host), Some(apply)) =
                (&planned.lost_with, self.applies.get(&planned.address))
            {
                lost.entry(host).or_default().push(*apply);
            }
        }
        let depths = depths(self.all.len(), &self.edges);
        for (max_out, members) in groups.into_values() {
            let (mut out, stay): (Vec<&Planned>, Vec<&Planned>) =
                members.into_iter().partition(|planned| is_out(planned));
            // What a member needs goes before it, else they are taken by address.
            out.sort_by_key(|planned| self.beginning_of(planned).map(|op| depths[op]));
            let begins: Vec<Op> = out
                .iter()
                .filter_map(|planned| self.beginning_of(planned))
                .collect();
            if out.is_empty() || begins.len() != out.len() {
                continue;
            }
            for (position, planned) in out.iter().enumerate() {
                let probe = self.add(Operation::Probe(planned.address.clone()));
                let apply = self.applies.get(&planned.address);
                self.edges.extend(apply.map(|apply| (*apply, probe)));
                let next = begins.get(position + max_out);
                self.edges.extend(next.map(|begin| (probe, *begin)));
                // What is made anew on a member belongs to it.
                let here = lost.get(&planned.address).into_iter().flatten();
                self.wishes.extend(here.map(|apply| (*apply, probe)));
            }
            for planned in stay
                .into_iter()
                .filter(|planned| planned.action == Action::NoOp)
            {
                let probe = self.add(Operation::Probe(planned.address.clone()));
                self.edges
                    .extend(begins.iter().map(|begin| (probe, *begin)));
            }
        }
    }

    /// The operation with which a member is out.
    fn beginning_of(&self, planned: &Planned) -> Option<Op> {
        let deletes_first = planned.action == Action::DeleteThenCreate;
        let delete = self.deletes.get(&planned.address);
        let apply = self.applies.get(&planned.address);
        delete.filter(|_| deletes_first).or(apply).copied()
    }

    fn declare_deposed(&mut self) {
        for position in 0..self.plan.deposed.len() {
            let op = self.add(Operation::Bury(position));
            self.buries.push(op);
        }
    }

    fn connect(&mut self) {
        let mut joins: BTreeMap<BlockAddress, Op> = BTreeMap::new();
        let plan = self.plan;
        for planned in plan.instances.values() {
            let Some(op) = self.applies.get(&planned.address).copied() else {
                continue;
            };
            let hosts = planned.hosted_on.iter().flat_map(|hosting| &hosting.hosts);
            let needed: BTreeSet<&Address> = planned.uses.iter().chain(hosts).collect();
            for address in needed {
                if let Some(before) = self.applies.get(address) {
                    self.edges.push((*before, op));
                    // Nothing is deleted for the sake of a new object that can't be made.
                    if planned.action == Action::DeleteThenCreate
                        && let Some(delete) = self.deletes.get(&planned.address)
                    {
                        self.wishes.push((*before, *delete));
                    }
                }
            }
            for block in &planned.waits_for {
                let join = match joins.get(block) {
                    Some(join) => *join,
                    None => {
                        let join = self.add(Operation::Join(block.clone()));
                        joins.insert(block.clone(), join);
                        join
                    }
                };
                self.edges.push((join, op));
            }
            // The old object goes before the new one comes; a lost one goes with its host.
            let ends_by = planned
                .lost_with
                .as_ref()
                .and_then(|host| self.end_of(host));
            let old = self.deletes.get(&planned.address).copied();
            match (planned.action, old) {
                (Action::CreateThenDelete, Some(delete)) => self.edges.push((op, delete)),
                (_, Some(delete)) => self.edges.push((delete, op)),
                (_, None) => self.edges.extend(ends_by.map(|before| (before, op))),
            }
        }
        self.connect_leaves();
        self.connect_successors();
        for planned in plan.instances.values() {
            let block = (planned.address.module.clone(), block_key(&planned.address));
            if let (Some(join), Some(op)) = (joins.get(&block), self.applies.get(&planned.address))
            {
                self.edges.push((*op, *join));
            }
        }
        self.connect_deletes();
    }

    /// The operation with which a host ends, through hosts that are lost themselves. One that is dead already leaves the
    /// state when its successor is begun.
    fn end_of(&self, host: &Address) -> Option<Op> {
        if let Some(op) = self.deletes.get(host) {
            return Some(*op);
        }
        let planned = self.plan.instances.get(host)?;
        match &planned.lost_with {
            Some(next) => self.end_of(next),
            None => self.applies.get(host).copied(),
        }
    }

    /// What leaves does so while its host's record is still there.
    fn connect_leaves(&mut self) {
        for (address, leave) in &self.leaves {
            let planned = self.plan.instances.get(address);
            let host = planned.and_then(|planned| planned.lost_with.as_ref());
            let own = || self.deletes.get(address).or(self.applies.get(address));
            let end = host.map_or_else(|| own().copied(), |host| self.end_of(host));
            self.edges.extend(end.map(|end| (*leave, end)));
        }
    }

    /// Who takes a name in a group comes when the one who had it has left, and has ended if it is there to be ended.
    fn connect_successors(&mut self) {
        for planned in self.plan.instances.values() {
            let ends = [&self.leaves, &self.deletes];
            let ends = ends.into_iter().filter_map(|ops| ops.get(&planned.address));
            for end in ends {
                let begins = planned.succeeded_by.iter();
                let begins = begins.filter_map(|address| self.applies.get(address));
                self.wishes.extend(begins.map(|begin| (*end, *begin)));
            }
        }
    }

    /// What is deleted goes after all that is recorded to need it.
    fn connect_deletes(&mut self) {
        self.connect_deposed();
        for dependent in self.plan.instances.values() {
            let Some(record) = &dependent.record else {
                continue;
            };
            for dependency in &record.dependencies {
                for needed in self.deleted_under(&dependency.address) {
                    let Some(delete) = self.deletes.get(&needed).copied() else {
                        continue;
                    };
                    let comes_first = self.comes_first(&needed);
                    let own = self.deletes.get(&dependent.address).copied();
                    if let Some(before) = own.filter(|before| *before != delete) {
                        self.edges.push((before, delete));
                    }
                    // The old object stays until nobody looks at it any more.
                    if let (true, Some(apply)) = (comes_first, self.applies.get(&dependent.address))
                        && needed != dependent.address
                    {
                        self.edges.push((*apply, delete));
                    }
                    if own.is_some() || comes_first {
                        continue;
                    }
                    // It lives on and no longer needs what goes: it is changed first. What is only replaced comes back
                    // under the same address, and then the dependent comes after it.
                    let is_replaced = self.applies.contains_key(&needed);
                    if let (false, Some(apply)) =
                        (is_replaced, self.applies.get(&dependent.address))
                    {
                        self.wishes.push((*apply, delete));
                    }
                }
            }
        }
    }

    /// Whether the new object of a replacement is made before the old one goes.
    fn comes_first(&self, address: &Address) -> bool {
        let planned = self.plan.instances.get(address);
        planned.is_some_and(|planned| planned.action == Action::CreateThenDelete)
    }

    /// What an earlier run has replaced goes when its successor is whole, and before what it needed itself.
    fn connect_deposed(&mut self) {
        for (deposed, op) in self.plan.deposed.iter().zip(self.buries.clone()) {
            let successor = self.applies.get(&deposed.address);
            self.edges.extend(successor.map(|before| (*before, op)));
            let end = deposed
                .lost_with
                .as_ref()
                .and_then(|host| self.end_of(host));
            self.edges.extend(end.map(|before| (before, op)));
            let needs = |record: &Option<std::sync::Arc<dmp_state::Instance>>, on: &Address| {
                let dependencies = record.iter().flat_map(|record| &record.dependencies);
                dependencies
                    .map(|dependency| &dependency.address)
                    .any(|address| address == on || *address == on.block())
            };
            for other in self.plan.instances.values() {
                if needs(&other.record, &deposed.address) {
                    // Its own old object may still use it.
                    let own = [&self.applies, &self.deletes];
                    let own = own.into_iter().filter_map(|ops| ops.get(&other.address));
                    self.wishes.extend(own.map(|before| (*before, op)));
                }
                // What is lost with its host only leaves the state, after the host.
                if deposed.lost_with.is_none()
                    && needs(&deposed.record, &other.address)
                    && let Some(delete) = self.deletes.get(&other.address)
                {
                    self.edges.push((op, *delete));
                }
            }
            for (other, after) in self.plan.deposed.iter().zip(&self.buries) {
                if *after != op && needs(&deposed.record, &other.address) {
                    self.edges.push((op, *after));
                }
            }
        }
    }

    /// The deleted instances that a recorded dependency means: one instance, or all of a block.
    fn deleted_under(&self, address: &Address) -> Vec<Address> {
        if self.deletes.contains_key(address) || address.key.is_some() {
            return vec![address.clone()];
        }
        self.deletes
            .keys()
            .filter(|deleted| deleted.block() == *address)
            .cloned()
            .collect()
    }
}

/// Whether a member of a group does not work while it is changed.
fn is_out(planned: &Planned) -> bool {
    planned.action == Action::Update || planned.action.replaces()
}

/// How many operations come before each on its longest way.
fn depths(count: usize, edges: &[(Op, Op)]) -> Vec<usize> {
    let mut open = vec![0_usize; count];
    let mut needed_by: Vec<Vec<Op>> = vec![Vec::new(); count];
    for (before, after) in edges {
        open[*after] += 1;
        needed_by[*before].push(*after);
    }
    let mut depths = vec![0; count];
    let mut ready: Vec<Op> = (0..count).filter(|op| open[*op] == 0).collect();
    while let Some(op) = ready.pop() {
        for next in &needed_by[op] {
            depths[*next] = depths[*next].max(depths[op] + 1);
            open[*next] -= 1;
            if open[*next] == 0 {
                ready.push(*next);
            }
        }
    }
    depths
}

/// Those of the waiting operations that wait for themselves, or stand between such.
fn on_circles(waiting: Vec<Op>, edges: &[(Op, Op)]) -> BTreeSet<Op> {
    let mut left: BTreeSet<Op> = waiting.into_iter().collect();
    loop {
        let inside = edges
            .iter()
            .filter(|(before, after)| left.contains(before) && left.contains(after));
        let needed: BTreeSet<Op> = inside.map(|(before, _)| *before).collect();
        if needed.len() == left.len() {
            return left;
        }
        left = needed;
    }
}
