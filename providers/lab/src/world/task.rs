//! Tasks: work that goes on after the call that asked for it was answered. What a task does is done at its end.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::{World, now};
use crate::proxmox::work::{self, Work};

/// The name of a task.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Upid(pub String);

/// A task.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Task {
    pub node: String,
    pub pid: u32,
    pub pstart: u32,
    /// Seconds since 1970.
    pub started: u64,
    pub kind: String,
    pub id: String,
    /// The user, or the token.
    pub user: String,
    /// When it does what it is for, in milliseconds.
    pub due: u64,
    pub log: Vec<String>,
    /// `OK`, `WARNINGS: n` or why it failed; absent while it runs.
    pub exit: Option<String>,
    pub ended: u64,
    pub work: Option<Work>,
}

/// A task that is to be.
pub(crate) struct NewTask<'a> {
    pub node: &'a str,
    pub kind: &'a str,
    pub id: String,
    pub user: &'a str,
    /// How long it takes in life.
    pub seconds: f64,
    pub work: Work,
}

impl fmt::Display for Upid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Upid {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Ok(Upid(text.to_owned()))
    }
}

/// After how many milliseconds a task that waits for a machine looks again.
const LOOK_AGAIN: u64 = 50;

/// How many tasks that have ended are kept.
const KEPT: usize = 20_000;

impl World {
    /// Begins a task and returns its name. Tasks of one guest follow one another.
    pub(crate) fn begin(&mut self, new: NewTask<'_>) -> Upid {
        let now = now();
        self.cluster.next_pid += 1;
        let pid = self.cluster.next_pid;
        let booted = self
            .cluster
            .nodes
            .get(new.node)
            .map_or(now, |node| node.booted);
        let pstart = u32::try_from(now.saturating_sub(booted) / 10).unwrap_or(u32::MAX);
        let started = self.clock_of(new.node) / 1000;
        let id = new.id.replace(':', "\\x3a").replace('/', "\\x2f");
        let name = format!(
            "UPID:{}:{pid:08X}:{pstart:08X}:{started:08X}:{}:{id}:{}:",
            new.node, new.kind, new.user
        );
        let upid = Upid(name);
        let failure = self.cluster.faults.task_failure(new.kind);
        let ready = self.ready(&new, now);
        let mut due = ready + self.scaled(new.seconds);
        let mut work = new.work;
        if let Some(failure) = failure {
            work = Work::Fail {
                reason: failure,
                instead_of: Some(Box::new(work)),
            };
        } else if let Some(reason) = self.starved(&work, ready, now) {
            due = now + self.scaled(60.0);
            work = Work::Fail {
                reason,
                instead_of: Some(Box::new(work)),
            };
        }
        if let Work::Fail {
            instead_of: None, ..
        }
        | Work::Nothing = &work
        {
            due = now;
        }
        let task = Task {
            node: new.node.to_owned(),
            pid,
            pstart,
            started,
            kind: new.kind.to_owned(),
            id: new.id,
            user: new.user.to_owned(),
            due,
            log: Vec::new(),
            exit: None,
            ended: 0,
            work: Some(work),
        };
        self.tasks.insert(upid.clone(), task);
        self.running.insert(upid.clone());
        self.settle();
        upid
    }

    /// When the guest or the storage of a task is free.
    fn ready(&self, new: &NewTask<'_>, now: u64) -> u64 {
        let storage = work::allocates_on(self, &new.work);
        let is_before = |task: &Task| {
            let same_guest =
                !new.id.is_empty() && task.id == new.id && !matches!(new.work, Work::Clone(_));
            let same_storage = storage.is_some()
                && task
                    .work
                    .as_ref()
                    .and_then(|work| work::allocates_on(self, work))
                    == storage
                && (task.node == new.node
                    || self
                        .cluster
                        .storages
                        .get(storage.as_deref().unwrap_or_default())
                        .is_some_and(|it| it.is_shared));
            same_guest || same_storage
        };
        let running = self.running.iter().filter_map(|upid| self.tasks.get(upid));
        running
            .filter(|task| is_before(task))
            .map(|task| task.due)
            .max()
            .unwrap_or(now)
            .max(now)
    }

    /// Why a task that would have to wait for a storage for too long fails.
    fn starved(&self, work: &Work, ready: u64, now: u64) -> Option<String> {
        let storage = work::allocates_on(self, work)?;
        if ready <= now + self.scaled(60.0) {
            return None;
        }
        let is_shared = self
            .cluster
            .storages
            .get(&storage)
            .is_some_and(|it| it.is_shared);
        Some(if is_shared {
            format!("cfs-lock 'storage-{storage}' error: got lock request timeout")
        } else {
            format!("can't lock file '/var/lock/pve-manager/pve-storage-{storage}' - got timeout")
        })
    }

    /// Ends the tasks that are due, in the order in which they are.
    pub(crate) fn settle(&mut self) {
        loop {
            let now = now();
            let due = |upid: &Upid| {
                self.tasks
                    .get(upid)
                    .map(|task| task.due)
                    .filter(|due| *due <= now)
            };
            let next = self
                .running
                .iter()
                .filter_map(|upid| Some((due(upid)?, upid.clone())))
                .min();
            let Some((_, upid)) = next else { break };
            self.running.remove(&upid);
            let Some(task) = self.tasks.get(&upid) else {
                continue;
            };
            let waits = task
                .work
                .as_ref()
                .is_some_and(|work| work::is_waiting(self, work, now));
            if waits && self.is_up(&task.node) {
                if let Some(task) = self.tasks.get_mut(&upid) {
                    task.due = now + LOOK_AGAIN;
                }
                self.running.insert(upid);
                continue;
            }
            let (node, user, work) = (task.node.clone(), task.user.clone(), task.work.clone());
            let is_lost = !self.is_up(&node);
            let done = match work {
                _ if is_lost => Err("unexpected status".to_owned()),
                Some(work) => work::finish(self, &node, &user, &work),
                None => Ok(Vec::new()),
            };
            let ended = self.clock_of(&node) / 1000;
            let Some(task) = self.tasks.get_mut(&upid) else {
                continue;
            };
            task.ended = ended;
            task.work = None;
            let exit = match done {
                Ok(lines) => {
                    let warnings = lines
                        .iter()
                        .filter(|line| line.starts_with("WARN: "))
                        .count();
                    task.log.extend(lines);
                    if warnings == 0 {
                        "OK".to_owned()
                    } else {
                        format!("WARNINGS: {warnings}")
                    }
                }
                Err(reason) => reason,
            };
            let last = match exit.as_str() {
                "OK" => "TASK OK".to_owned(),
                "unexpected status" => String::new(),
                warnings if warnings.starts_with("WARNINGS: ") => format!("TASK {warnings}"),
                reason => format!("TASK ERROR: {reason}"),
            };
            if !last.is_empty() {
                task.log.push(last);
            }
            task.exit = Some(exit);
        }
        if self.tasks.len() > KEPT + KEPT / 10 {
            self.prune();
        }
    }

    fn prune(&mut self) {
        let mut ended: Vec<_> = self
            .tasks
            .iter()
            .filter(|(_, task)| task.exit.is_some())
            .map(|(upid, task)| (task.ended, upid.clone()))
            .collect();
        ended.sort();
        let surplus = ended.len().saturating_sub(KEPT);
        for (_, upid) in ended.into_iter().take(surplus) {
            self.tasks.remove(&upid);
        }
    }
}
