//! What goes wrong on demand. Which call is hit is drawn from the seed, so a run can be had again.

use std::collections::{BTreeMap, BTreeSet};

use clap::ValueEnum;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::world::draw::Draw;

/// All that goes wrong.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Faults {
    /// What calls meet.
    pub calls: Vec<CallFault>,
    /// What tasks fail by.
    pub tasks: Vec<TaskFault>,
    /// Nodes that do not answer.
    pub down: BTreeSet<String>,
    /// Whether writes are refused because there is no majority.
    pub no_quorum: bool,
    /// Storages without room.
    pub full: BTreeSet<String>,
    /// Machines whose system does not answer: no agent, no clean end.
    pub hanging: BTreeSet<u32>,
    /// Machines that no connection reaches.
    #[serde(default)]
    pub cut: BTreeSet<u32>,
    /// Until when the nodes tell one another nothing, in milliseconds.
    pub stale_until: u64,
    /// By how many seconds the clocks of nodes are ahead, or behind.
    pub node_clocks: BTreeMap<String, i64>,
    /// The same of the clocks of `vm` machines.
    pub clocks: BTreeMap<u32, i64>,
    draw: Draw,
}

/// Something that calls meet.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct CallFault {
    pub kind: CallFaultKind,
    /// The method that is hit; all without.
    #[serde(default)]
    pub method: Option<String>,
    /// What the path must hold.
    #[serde(default)]
    pub path: Option<String>,
    /// How many of a hundred calls are hit.
    #[serde(default = "always")]
    pub percent: u8,
    /// How many calls are hit before it ends by itself.
    #[serde(default)]
    pub times: Option<u32>,
    /// How many calls that would be hit pass first.
    #[serde(default)]
    pub after: u32,
    /// Milliseconds, for what delays.
    #[serde(default)]
    pub milliseconds: u64,
}

/// What a call meets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum CallFaultKind {
    /// The answer comes later.
    Latency,
    /// 500, and nothing was done.
    ServerError,
    /// 503, and nothing was done.
    Unavailable,
    /// 429 with `Retry-After`, and nothing was done.
    TooMany,
    /// The connection ends, and nothing was done.
    ResetBefore,
    /// It was done, and the connection ends instead of an answer.
    ResetAfter,
    /// It is done, and the answer is a 596.
    ProxyTimeout,
    /// A write does not get its lock in time, and nothing was done.
    LostLock,
    /// 401: the ticket or token is not known any more.
    Unauthorized,
}

/// The clock of a node that is off.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct NodeClock {
    pub node: String,
    /// By how many seconds it is ahead, or behind, if less than 0; 0 ends the fault. Without, it is drawn.
    pub seconds: Option<i64>,
}

/// The clock of a machine that is off.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct MachineClock {
    /// Its name or its number.
    pub machine: Value,
    /// As that of a node.
    pub seconds: Option<i64>,
}

/// How far a clock can be off, in seconds: ten years.
const FARTHEST: i64 = 10 * 365 * 24 * 3600;

/// What tasks fail by.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct TaskFault {
    /// The type of the task (`qmclone`, `qmstart`); all without.
    #[serde(default)]
    pub kind: Option<String>,
    #[serde(default = "failed")]
    pub reason: String,
    #[serde(default = "always")]
    pub percent: u8,
    #[serde(default)]
    pub times: Option<u32>,
}

fn always() -> u8 {
    100
}

fn failed() -> String {
    "the lab lets this task fail".to_owned()
}

impl Default for Faults {
    fn default() -> Faults {
        Faults::new(1)
    }
}

impl Faults {
    pub(crate) fn new(seed: u64) -> Faults {
        Faults {
            calls: Vec::new(),
            tasks: Vec::new(),
            down: BTreeSet::new(),
            no_quorum: false,
            full: BTreeSet::new(),
            hanging: BTreeSet::new(),
            cut: BTreeSet::new(),
            stale_until: 0,
            node_clocks: BTreeMap::new(),
            clocks: BTreeMap::new(),
            draw: Draw::new(seed ^ 0xFA17),
        }
    }

    /// Whether there are any.
    pub(crate) fn is_none(&self) -> bool {
        self.calls.is_empty()
            && self.tasks.is_empty()
            && self.down.is_empty()
            && self.full.is_empty()
            && self.hanging.is_empty()
            && self.cut.is_empty()
            && !self.no_quorum
            && self.stale_until == 0
            && self.node_clocks.is_empty()
            && self.clocks.is_empty()
    }

    /// Returns by how many seconds the clock of a node is ahead, or behind.
    pub(crate) fn ahead_of_node(&self, node: &str) -> i64 {
        self.node_clocks.get(node).copied().unwrap_or(0)
    }

    /// Returns by how many seconds the clock of a machine is ahead, or behind.
    pub(crate) fn ahead_of_machine(&self, vmid: u32) -> i64 {
        self.clocks.get(&vmid).copied().unwrap_or(0)
    }

    /// Returns by how many seconds a clock is to be off: by so many, or by a minute at least and an hour at most as is drawn.
    ///
    /// # Errors
    /// Where that is too many.
    pub(crate) fn skew(&mut self, seconds: Option<i64>) -> Result<i64, String> {
        if let Some(seconds) = seconds {
            return match seconds.unsigned_abs() <= FARTHEST.unsigned_abs() {
                true => Ok(seconds),
                false => Err(format!("a clock is off by {FARTHEST} seconds at most")),
            };
        }
        let drawn = self.draw.number();
        let seconds = i64::try_from(60 + (drawn >> 1) % 3541).unwrap_or(60);
        Ok(if drawn & 1 == 0 { seconds } else { -seconds })
    }

    pub(crate) fn is_stale(&self, now: u64) -> bool {
        now < self.stale_until
    }

    /// Returns what a call meets, and counts it.
    pub(crate) fn of_call(&mut self, method: &str, path: &str) -> Vec<CallFault> {
        let mut met = Vec::new();
        for fault in &mut self.calls {
            let fits = fault
                .method
                .as_deref()
                .is_none_or(|wanted| wanted.eq_ignore_ascii_case(method))
                && fault.path.as_deref().is_none_or(|part| path.contains(part))
                && fault.times != Some(0);
            if !fits || !self.draw.happens(fault.percent) {
                continue;
            }
            if fault.after > 0 {
                fault.after -= 1;
                continue;
            }
            fault.times = fault.times.map(|times| times - 1);
            met.push(fault.clone());
        }
        self.calls.retain(|fault| fault.times != Some(0));
        met
    }

    /// Returns why a task of a type is to fail, and counts it.
    pub(crate) fn task_failure(&mut self, kind: &str) -> Option<String> {
        let mut reason = None;
        for fault in &mut self.tasks {
            let fits =
                fault.kind.as_deref().is_none_or(|wanted| wanted == kind) && fault.times != Some(0);
            if reason.is_none() && fits && self.draw.happens(fault.percent) {
                fault.times = fault.times.map(|times| times - 1);
                reason = Some(fault.reason.clone());
            }
        }
        self.tasks.retain(|fault| fault.times != Some(0));
        reason
    }
}
