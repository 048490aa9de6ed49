//! A server: what it is, how far it is, and what is under way with it.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::openstack::{Failure, FlavorSite};

/// A server.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Server {
    pub id: String,
    /// How many objects were made before it.
    pub number: u64,
    pub project: String,
    pub user: String,
    pub name: String,
    pub description: Option<String>,
    pub flavor: FlavorSite,
    /// What it had before it was resized, until that is confirmed.
    pub old_flavor: Option<FlavorSite>,
    /// The image; none where it boots from a volume.
    pub image: Option<String>,
    pub key_name: Option<String>,
    /// The key of that name, as it was.
    pub public_key: Option<String>,
    pub metadata: BTreeMap<String, String>,
    pub tags: BTreeSet<String>,
    pub user_data: Option<String>,
    pub config_drive: bool,
    /// The zone that was asked for.
    pub wanted_zone: Option<String>,
    pub hints: Hints,
    /// Where it is; none before it was placed.
    pub node: Option<String>,
    /// The number of its machine among the guests.
    pub vmid: Option<u32>,
    pub state: State,
    /// What is under way, in Nova's words.
    pub task: Option<String>,
    pub fault: Option<Fault>,
    /// Moments in milliseconds since 1970.
    pub created: u64,
    pub updated: u64,
    pub launched: Option<u64>,
    pub disks: Vec<Disk>,
    /// Ports that Nova has made, which go with the server.
    pub own_ports: BTreeSet<String>,
    pub is_locked: bool,
    pub actions: Vec<Action>,
}

/// Which hosts are wished for.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Hints {
    pub group: Option<String>,
    pub same_host: Vec<String>,
    pub different_host: Vec<String>,
}

/// What Nova calls the `vm_state`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum State {
    Building,
    Active,
    Stopped,
    Paused,
    Suspended,
    Resized,
    Error,
}

/// Why a server has failed.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Fault {
    pub message: String,
    pub moment: u64,
}

/// A volume that a server has.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Disk {
    pub volume: String,
    pub device: String,
    pub tag: Option<String>,
    /// Whether the volume goes when the server goes.
    pub goes: bool,
    /// The id of the attachment.
    pub attachment: String,
}

/// Something that was asked of a server.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Action {
    pub request: String,
    pub action: String,
    pub moment: u64,
    /// What went wrong.
    pub message: Option<String>,
}

/// What is under way with a server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Doing {
    /// It is placed, with volumes that it boots from or begins with.
    Build(Vec<NewDisk>),
    Delete,
    Start,
    Stop,
    Reboot,
    /// Its local disk begins anew.
    Rebuild,
    Resize(usize),
    Confirm,
    Revert,
    Pause,
    Unpause,
    Suspend,
    Resume,
    Attach(String),
    Detach(String),
}

/// A disk that a server begins with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct NewDisk {
    /// A volume that is there.
    pub volume: Option<String>,
    /// What a new one begins as.
    pub image: Option<String>,
    pub snapshot: Option<String>,
    pub size: i64,
    pub kind: Option<String>,
    pub tag: Option<String>,
    pub goes: bool,
}

impl State {
    pub(super) fn word(self) -> &'static str {
        match self {
            State::Building => "building",
            State::Active => "active",
            State::Stopped => "stopped",
            State::Paused => "paused",
            State::Suspended => "suspended",
            State::Resized => "resized",
            State::Error => "error",
        }
    }
}

impl Server {
    /// Returns what is shown as `status` (`nova/api/openstack/common.py`).
    pub(super) fn status(&self) -> &'static str {
        let task = self.task.as_deref().unwrap_or_default();
        match (self.state, task) {
            (State::Active, "rebooting") => "REBOOT",
            (State::Active, "rebooting_hard") => "HARD_REBOOT",
            (
                State::Active | State::Stopped | State::Error,
                "rebuilding" | "rebuild_block_device_mapping" | "rebuild_spawning",
            ) => "REBUILD",
            (
                State::Active | State::Stopped,
                "resize_prep" | "resize_migrating" | "resize_finish",
            ) => "RESIZE",
            (State::Active, _) => "ACTIVE",
            (State::Building, _) => "BUILD",
            (State::Stopped, _) => "SHUTOFF",
            (State::Resized, "resize_reverting") => "REVERT_RESIZE",
            (State::Resized, _) => "VERIFY_RESIZE",
            (State::Paused, _) => "PAUSED",
            (State::Suspended, _) => "SUSPENDED",
            (State::Error, _) => "ERROR",
        }
    }

    /// Refuses what can't be done in the state that the server is in, or while something is under way.
    pub(super) fn must_be(&self, states: &[State], action: &str) -> Result<(), Failure> {
        let refused = |attribute: &str, value: &str| {
            Err(Failure::conflict(format!(
                "Cannot '{action}' instance {} while it is in {attribute} {value}",
                self.id
            )))
        };
        if !states.contains(&self.state) {
            return refused("vm_state", self.state.word());
        }
        match &self.task {
            Some(task) => refused("task_state", task),
            None => Ok(()),
        }
    }

    /// Refuses what a lock is against.
    pub(super) fn must_be_unlocked(&self, is_admin: bool) -> Result<(), Failure> {
        match self.is_locked && !is_admin {
            true => Err(Failure::conflict(format!("Instance {} is locked", self.id))),
            false => Ok(()),
        }
    }

    /// Returns the name of the next disk.
    pub(super) fn next_device(&self) -> String {
        // The first is what it boots from, also where that is no volume.
        let first = if self.image.is_some() { b'b' } else { b'a' };
        let mut letters = (first..=b'z').map(char::from);
        let is_free = |letter: &char| {
            let name = format!("/dev/vd{letter}");
            !self.disks.iter().any(|disk| disk.device == name)
        };
        format!("/dev/vd{}", letters.find(is_free).unwrap_or('z'))
    }
}
