//! How much may be under way at once: in all, of a provider, of a resource type. What is most urgent comes first.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap, HashMap};
use std::sync::Arc;

use crate::work::Op;

/// What a person has said of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// Calls of APIs and works over several machines, in all.
    pub calls: usize,
    /// By the name of a provider or a resource type: its calls, and the machines on which there is work of it.
    pub by_class: BTreeMap<Arc<str>, usize>,
}

/// What a piece of work counts as: its provider and its resource type.
pub(crate) type Classes = BTreeSet<Arc<str>>;

/// What is under way.
#[derive(Debug)]
pub(crate) struct Running {
    limits: Limits,
    calls: usize,
    by_class: HashMap<Arc<str>, usize>,
}

impl Running {
    pub(crate) fn new(limits: Limits) -> Self {
        Self {
            limits,
            calls: 0,
            by_class: HashMap::new(),
        }
    }

    /// Whether one more of these may begin, as far as their classes go.
    pub(crate) fn has_room(&self, classes: &Classes) -> bool {
        classes.iter().all(|class| {
            let limit = self.limits.by_class.get(class);
            let running = self.by_class.get(class).copied().unwrap_or_default();
            limit.is_none_or(|limit| running < *limit)
        })
    }

    /// Whether one more call may begin at all.
    pub(crate) fn has_room_for_calls(&self) -> bool {
        self.calls < self.limits.calls.max(1)
    }

    pub(crate) fn begin(&mut self, classes: &Classes) {
        for class in classes {
            *self.by_class.entry(Arc::clone(class)).or_default() += 1;
        }
    }

    pub(crate) fn end(&mut self, classes: &Classes) {
        for class in classes {
            if let Some(running) = self.by_class.get_mut(class) {
                *running = running.saturating_sub(1);
            }
        }
    }

    pub(crate) fn begin_call(&mut self, classes: &Classes) {
        self.calls += 1;
        self.begin(classes);
    }

    pub(crate) fn end_call(&mut self, classes: &Classes) {
        self.calls = self.calls.saturating_sub(1);
        self.end(classes);
    }
}

/// Calls that are ready. Those of equal classes wait for the same, so only the first of each need be looked at.
#[derive(Debug, Default)]
pub(crate) struct Waiting {
    by_classes: BTreeMap<Classes, BinaryHeap<(u64, Reverse<Op>)>>,
}

impl Waiting {
    /// Adds one; `remaining` is the weight of the longest way that begins with it.
    pub(crate) fn push(&mut self, op: Op, remaining: u64, classes: Classes) {
        let queue = self.by_classes.entry(classes).or_default();
        queue.push((remaining, Reverse(op)));
    }

    /// Takes the most urgent that may begin.
    pub(crate) fn take(&mut self, running: &Running) -> Option<(Op, Classes)> {
        if !running.has_room_for_calls() {
            return None;
        }
        let open = self.by_classes.iter();
        let open = open.filter(|(classes, _)| running.has_room(classes));
        let heads = open.filter_map(|(classes, queue)| Some((queue.peek()?, classes)));
        let classes = heads.max_by_key(|(head, _)| **head)?.1.clone();
        let (_, Reverse(op)) = self.by_classes.get_mut(&classes)?.pop()?;
        Some((op, classes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn classes(names: &[&str]) -> Classes {
        names.iter().map(|name| Arc::from(*name)).collect()
    }

    #[test]
    fn the_most_urgent_that_may_begin_comes_first() {
        let limits = Limits {
            calls: 3,
            by_class: [(Arc::from("vm"), 1)].into(),
        };
        let mut running = Running::new(limits);
        let mut waiting = Waiting::default();
        let (vm, disk) = (classes(&["cloud", "vm"]), classes(&["cloud", "disk"]));
        for (op, remaining, classes) in [(0, 5, &vm), (1, 9, &vm), (2, 1, &disk), (3, 3, &disk)] {
            waiting.push(op, remaining, classes.clone());
        }
        let mut taken = Vec::new();
        while let Some((op, classes)) = waiting.take(&running) {
            running.begin_call(&classes);
            taken.push(op);
        }
        assert_eq!(taken, [1, 3, 2], "one of `vm`, three in all");
        running.end_call(&disk);
        assert_eq!(waiting.take(&running), None, "one of `vm` is under way");
        running.end_call(&vm);
        assert_eq!(waiting.take(&running), Some((0, vm)));
        assert_eq!(waiting.take(&running), None);
    }
}
