//! What takes effect together: while the call for one object waits to let its draft take effect, those that need it and take
//! effect with it are drafted too. What else needs it waits until it has taken effect.

use std::collections::{BTreeSet, VecDeque};

use crate::walker::Walker;
use crate::work::Op;

impl Walker<'_, '_> {
    /// An object is drafted: begins what takes effect with it and waits for nothing else.
    pub(crate) fn heard_draft(&mut self, op: Op) {
        let Some(together) = self.takes_effect_with(op) else {
            return;
        };
        self.drafted.insert(op);
        if self.run.services.stop.soft.is_cancelled() {
            return;
        }
        let mut passed: BTreeSet<Op> = BTreeSet::new();
        let mut look = VecDeque::from([op]);
        while let Some(op) = look.pop_front() {
            let drafted = &self.drafted;
            let freed = self.freed_by(op, |needed| {
                drafted.contains(needed) || passed.contains(needed)
            });
            for next in freed {
                if self.is_no_work(next) {
                    if passed.insert(next) {
                        look.push_back(next);
                    }
                    continue;
                }
                let Some(task) = self.certain(next).filter(|task| task.calls) else {
                    continue;
                };
                let is_one = task.together() == Some(together.clone());
                if is_one && self.take_follower(next, task) {
                    self.drafts.insert(next);
                    self.enqueue_call(next);
                }
            }
        }
    }

    fn takes_effect_with(&self, op: Op) -> Option<(String, &'static str)> {
        self.tasks.get(&op)?.together()
    }
}
