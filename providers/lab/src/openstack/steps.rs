//! What goes on by itself after a call was answered: servers that are built, volumes that are made, and so on. What a step
//! does is done at its end.

use serde::{Deserialize, Serialize};

use super::estate::Kind;
use super::{cinder, nova};
use crate::world::{World, now};

/// Something that is under way.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Step {
    /// When it ends, in milliseconds since 1970.
    pub due: u64,
    /// Until when it waits for the system in a server's machine to go down, in milliseconds since 1970.
    #[serde(default)]
    pub patience: u64,
    pub doing: Doing,
}

/// What is under way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Doing {
    /// Something with a server.
    Server(String, nova::Doing),
    /// A volume or a snapshot comes to another state.
    Storage(Kind, String, cinder::Doing),
}

impl World {
    /// Begins something that takes so many seconds in life.
    pub(super) fn begin_step(&mut self, doing: Doing, seconds: f64) {
        let due = now() + self.scaled(seconds);
        self.openstack.ground.steps.push(Step {
            due,
            patience: 0,
            doing,
        });
    }

    /// Lets what is under way with a server wait until its machine is off, or until a moment.
    pub(super) fn be_patient_with(&mut self, server: &str, until: u64) {
        let mut steps = self.openstack.ground.steps.iter_mut();
        let of_server =
            steps.find(|step| matches!(&step.doing, Doing::Server(id, _) if id == server));
        if let Some(step) = of_server {
            step.patience = until;
        }
    }

    /// Whether a step waits for the system in a server's machine to go down.
    fn is_waiting(&self, step: &Step, now: u64) -> bool {
        let is_up = |id: &str| self.has_system_up(id);
        step.patience > now && matches!(&step.doing, Doing::Server(id, _) if is_up(id))
    }

    /// Returns why something of a type is to fail, and counts it.
    pub(super) fn fails(&mut self, kind: &str) -> Option<String> {
        // What is not changed is not written.
        if self.cluster.faults.tasks.is_empty() {
            return None;
        }
        self.cluster.faults.task_failure(kind)
    }

    /// Drops what is under way with a server.
    pub(super) fn drop_steps_of(&mut self, server: &str) {
        let is_of = |step: &Step| matches!(&step.doing, Doing::Server(id, _) if id == server);
        if self.openstack.ground.steps.iter().any(is_of) {
            self.openstack.ground.steps.retain(|step| !is_of(step));
        }
    }

    /// Ends what is due, in the order in which it is.
    pub(crate) fn settle_openstack(&mut self) {
        loop {
            let now = now();
            let steps = self.openstack.ground.steps.iter().enumerate();
            let due = steps.filter(|(_, step)| step.due <= now && !self.is_waiting(step, now));
            let Some((index, _)) = due.min_by_key(|(_, step)| step.due) else {
                return;
            };
            let step = self.openstack.ground.steps.remove(index);
            match step.doing {
                Doing::Server(id, doing) => nova::finish(self, &id, doing),
                Doing::Storage(kind, id, doing) => cinder::finish(self, kind, &id, &doing),
            }
        }
    }
}
