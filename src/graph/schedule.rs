//! The order of a plan's work, and what is ready while it is being done.
//!
//! Nodes are numbered; a node is ready when all it needs is done. What needs a failed node is skipped, all else goes on.
//! Among ready nodes the one with the longest way still to go comes first.

use std::collections::{BTreeSet, BinaryHeap};

/// The number of a piece of work.
pub type Op = usize;

/// A directed acyclic graph of work with weights.
#[derive(Clone, Debug)]
pub struct Schedule {
    needs: Vec<Vec<Op>>,
    needed_by: Vec<Vec<Op>>,
    /// The weight of the longest way from each node to an end, itself included.
    remaining: Vec<u64>,
}

impl Schedule {
    /// Builds the schedule of `weights.len()` pieces of work. `edges` are pairs: the first is done before the second.
    ///
    /// # Errors
    /// The pieces of work that wait for one another.
    pub fn new(weights: &[u64], edges: &[(Op, Op)]) -> Result<Self, Vec<Op>> {
        let count = weights.len();
        let mut needs = vec![Vec::new(); count];
        let mut needed_by = vec![Vec::new(); count];
        let unique: BTreeSet<_> = edges.iter().copied().collect();
        for (before, after) in unique {
            needs[after].push(before);
            needed_by[before].push(after);
        }
        let mut open: Vec<usize> = needs.iter().map(Vec::len).collect();
        let mut order: Vec<Op> = (0..count).filter(|op| open[*op] == 0).collect();
        let mut at = 0;
        while let Some(op) = order.get(at).copied() {
            at += 1;
            for next in &needed_by[op] {
                open[*next] -= 1;
                if open[*next] == 0 {
                    order.push(*next);
                }
            }
        }
        if order.len() < count {
            return Err((0..count).filter(|op| open[*op] > 0).collect());
        }
        let mut remaining = weights.to_vec();
        for op in order.iter().rev() {
            let longest = needed_by[*op]
                .iter()
                .map(|next| remaining[*next])
                .max()
                .unwrap_or(0);
            remaining[*op] = weights[*op].saturating_add(longest);
        }
        Ok(Self {
            needs,
            needed_by,
            remaining,
        })
    }

    /// The weight of the longest path.
    #[must_use]
    pub fn longest(&self) -> u64 {
        self.remaining.iter().copied().max().unwrap_or(0)
    }

    /// The weight of the longest way that begins with a piece of work, itself included.
    #[must_use]
    pub fn remaining(&self, op: Op) -> u64 {
        self.remaining[op]
    }

    /// What a piece of work needs.
    #[must_use]
    pub fn needs(&self, op: Op) -> &[Op] {
        &self.needs[op]
    }

    /// What needs a piece of work.
    #[must_use]
    pub fn needed_by(&self, op: Op) -> &[Op] {
        &self.needed_by[op]
    }

    /// Begins to go through it.
    #[must_use]
    pub fn start(&self) -> Progress<'_> {
        let open: Vec<usize> = self.needs.iter().map(Vec::len).collect();
        let ready = (0..open.len())
            .filter(|op| open[*op] == 0)
            .map(|op| (self.remaining[op], op))
            .collect();
        Progress {
            schedule: self,
            open,
            ready,
            state: vec![State::Waiting; self.needs.len()],
            left: self.needs.len(),
        }
    }
}

/// How far the work is.
#[derive(Clone, Debug)]
pub struct Progress<'a> {
    schedule: &'a Schedule,
    open: Vec<usize>,
    ready: BinaryHeap<(u64, Op)>,
    state: Vec<State>,
    left: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Waiting,
    Taken,
    Done,
    Failed,
}

impl Progress<'_> {
    /// Takes the most urgent piece of work that is ready.
    pub fn take(&mut self) -> Option<Op> {
        while let Some((_, op)) = self.ready.pop() {
            if self.state[op] == State::Waiting {
                self.state[op] = State::Taken;
                return Some(op);
            }
        }
        None
    }

    /// Takes a piece of work that is not ready yet, because the caller does it together with what it needs.
    pub fn take_early(&mut self, op: Op) -> bool {
        let free = self.state[op] == State::Waiting;
        if free {
            self.state[op] = State::Taken;
        }
        free
    }

    /// Gives back what was taken and not begun.
    pub fn give_back(&mut self, op: Op) {
        if self.state[op] == State::Taken {
            self.state[op] = State::Waiting;
            if self.open[op] == 0 {
                self.ready.push((self.schedule.remaining[op], op));
            }
        }
    }

    /// Marks a piece of work as done.
    pub fn done(&mut self, op: Op) {
        self.end(op, State::Done);
        for next in &self.schedule.needed_by[op] {
            self.open[*next] -= 1;
            if self.open[*next] == 0 && self.state[*next] == State::Waiting {
                self.ready.push((self.schedule.remaining[*next], *next));
            }
        }
    }

    /// Marks a piece of work as failed; returns all that can't be done because of it.
    pub fn failed(&mut self, op: Op) -> Vec<Op> {
        self.end(op, State::Failed);
        let mut skipped = Vec::new();
        let mut stack = vec![op];
        while let Some(op) = stack.pop() {
            for next in &self.schedule.needed_by[op] {
                if matches!(self.state[*next], State::Waiting | State::Taken) {
                    self.end(*next, State::Failed);
                    skipped.push(*next);
                    stack.push(*next);
                }
            }
        }
        skipped
    }

    fn end(&mut self, op: Op, state: State) {
        if matches!(self.state[op], State::Waiting | State::Taken) {
            self.left -= 1;
        }
        self.state[op] = state;
    }

    /// Whether a piece of work is done.
    #[must_use]
    pub fn is_done(&self, op: Op) -> bool {
        self.state[op] == State::Done
    }

    /// Whether a piece of work has neither been taken nor ended.
    #[must_use]
    pub fn is_waiting(&self, op: Op) -> bool {
        self.state[op] == State::Waiting
    }

    /// How many have not ended.
    #[must_use]
    pub fn left(&self) -> usize {
        self.left
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_longest_way_comes_first_and_a_failure_skips_only_what_needs_it() {
        // 0 -> 1 -> 2 (long), 3 alone, 4 needs 3.
        let schedule =
            Schedule::new(&[1, 1, 10, 1, 1], &[(0, 1), (1, 2), (3, 4)]).expect("acyclic");
        let mut progress = schedule.start();
        assert_eq!(progress.take(), Some(0));
        assert_eq!(progress.take(), Some(3));
        assert_eq!(progress.take(), None);
        assert_eq!(progress.failed(3), [4]);
        progress.done(0);
        assert_eq!(progress.take(), Some(1));
        progress.done(1);
        assert_eq!(progress.take(), Some(2));
        progress.done(2);
        assert_eq!(progress.left(), 0);
    }

    #[test]
    fn a_circle_is_refused_by_its_members() {
        assert_eq!(
            Schedule::new(&[1; 3], &[(0, 1), (1, 0)]).expect_err("a circle"),
            [0, 1]
        );
    }

    proptest! {
        #[test]
        fn every_order_respects_the_edges(pairs in prop::collection::vec((0..20_usize, 0..20_usize), 0..60)) {
            // Edges from smaller to larger numbers are acyclic.
            let edges: Vec<_> = pairs.into_iter().filter(|(a, b)| a < b).collect();
            let schedule = Schedule::new(&[1; 20], &edges).expect("acyclic");
            let mut progress = schedule.start();
            let mut ended = Vec::new();
            while let Some(op) = progress.take() {
                for needed in schedule.needs(op) {
                    prop_assert!(ended.contains(needed));
                }
                progress.done(op);
                ended.push(op);
            }
            prop_assert_eq!(ended.len(), 20);
            prop_assert_eq!(progress.left(), 0);
        }
    }
}
