//! What tasks do at their end, one file for each kind of work.

mod disks;
mod images;
mod making;
mod running;
mod snapshots;

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::drives;
use crate::schema::check::Parameters;
use crate::world::access::Caller;
use crate::world::guest::{self, Guest, Power, Settings};
use crate::world::storage::{self};
use crate::world::task::NewTask;
use crate::world::{Order, World, now};

/// What a task is for.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Work {
    /// It fails, instead of what it was for.
    Fail {
        reason: String,
        instead_of: Option<Box<Work>>,
    },
    /// It fails after its time, and has said something before.
    TooLate {
        reason: String,
        log: Vec<String>,
    },
    Create {
        vmid: u32,
        drives: Settings,
        starts: bool,
        user: String,
    },
    Clone(Box<Cloning>),
    Configure {
        vmid: u32,
        user: String,
        token: Option<String>,
        parameters: Parameters,
    },
    Resize {
        vmid: u32,
        disk: String,
        bytes: u64,
    },
    MoveDisk {
        vmid: u32,
        disk: String,
        storage: String,
        deletes: bool,
    },
    Start {
        vmid: u32,
    },
    Stop {
        vmid: u32,
    },
    Reboot {
        vmid: u32,
    },
    /// A machine with a system of its own goes down, and up again; at a time in milliseconds it is too late.
    GoDown {
        vmid: u32,
        until: u64,
        is_forced: bool,
        comes_back: bool,
    },
    Reset {
        vmid: u32,
    },
    Pause {
        vmid: u32,
        is_paused: bool,
    },
    Destroy {
        vmid: u32,
        purges: bool,
    },
    Template {
        vmid: u32,
    },
    Snapshot {
        vmid: u32,
        name: String,
        description: String,
        with_memory: bool,
    },
    DropSnapshot {
        vmid: u32,
        name: String,
    },
    RollBack {
        vmid: u32,
        name: String,
        starts: bool,
    },
    Migrate {
        vmid: u32,
        target: String,
        storage: Option<String>,
    },
    Upload {
        storage: String,
        content: String,
        name: String,
        file: PathBuf,
        size: u64,
        shown: String,
        checksum: Option<Checksum>,
    },
    Download {
        url: String,
        storage: String,
        content: String,
        name: String,
        checksum: Option<Checksum>,
    },
    DropVolume {
        volid: String,
    },
    ReloadNetwork,
    Nothing,
}

/// A clone under way.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Cloning {
    pub source: u32,
    pub newid: u32,
    pub target: String,
    pub is_full: bool,
    pub storage: Option<String>,
    pub name: String,
    pub description: Option<String>,
    pub config: Settings,
}

/// What a file's digest has to be.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Checksum {
    pub algorithm: String,
    pub value: String,
}

type Done = Result<Vec<String>, String>;

impl Work {
    /// A task that finds at once that it can't be done.
    pub(super) fn refused(reason: String) -> Work {
        Work::Fail {
            reason,
            instead_of: None,
        }
    }

    pub(super) fn configure(vmid: u32, caller: Caller, parameters: Parameters) -> Work {
        Work::Configure {
            vmid,
            user: caller.user,
            token: caller.token,
            parameters,
        }
    }
}

/// Returns the storage on which work holds the lock while it makes volumes; files need none.
pub(crate) fn allocates_on(world: &World, work: &Work) -> Option<String> {
    let storage = match work {
        Work::Create { drives, .. } => drives
            .iter()
            .find_map(|(key, text)| drives::new_volume_on(key, text)),
        Work::Clone(cloning) if cloning.is_full => match &cloning.storage {
            Some(storage) => Some(storage.clone()),
            None => cloning
                .config
                .iter()
                .filter(|(key, _)| guest::is_drive(key))
                .find_map(|(_, drive)| {
                    drive.split_once(':').map(|(storage, _)| storage.to_owned())
                }),
        },
        Work::MoveDisk { storage, .. } => Some(storage.clone()),
        _ => None,
    }?;
    let is_files = world
        .cluster
        .storages
        .get(&storage)
        .is_none_or(storage::Storage::is_files);
    (!is_files).then_some(storage)
}

/// Whether work has to wait for something else than its time.
pub(crate) fn is_waiting(world: &World, work: &Work, now: u64) -> bool {
    match work {
        Work::GoDown { vmid, until, .. } => world.alive.contains(vmid) && now < *until,
        _ => false,
    }
}

/// Undoes what was there in expectation of work that did not come about.
pub(crate) fn give_up(world: &mut World, work: &Work) {
    match work {
        Work::Create { vmid, .. } => making::forget(world, *vmid),
        Work::Clone(cloning) => making::forget(world, cloning.newid),
        Work::Snapshot { vmid, .. }
        | Work::DropSnapshot { vmid, .. }
        | Work::RollBack { vmid, .. }
        | Work::Migrate { vmid, .. } => {
            unlock(world, *vmid);
        }
        Work::Upload { file, .. } => {
            // It may have been moved already.
            let _ = std::fs::remove_file(file);
        }
        _ => {}
    }
}

fn unlock(world: &mut World, vmid: u32) {
    if let Some(guest) = world.guests.get_mut(&vmid) {
        guest.config.remove("lock");
    }
}

/// Does what a task is for.
pub(crate) fn finish(world: &mut World, node: &str, user: &str, work: &Work) -> Done {
    let done = match work {
        Work::Nothing => Ok(Vec::new()),
        Work::Fail { reason, instead_of } => {
            if let Some(work) = instead_of {
                give_up(world, work);
            }
            return Err(reason.clone());
        }
        Work::TooLate { reason, .. } => return Err(reason.clone()),
        Work::Create {
            vmid,
            drives,
            starts,
            user,
        } => making::create(world, node, *vmid, drives, *starts, user),
        Work::Clone(cloning) => making::clone(world, node, cloning),
        Work::Configure {
            vmid,
            user,
            token,
            parameters,
        } => {
            let caller = Caller {
                user: user.clone(),
                token: token.clone(),
            };
            making::configure(world, node, *vmid, caller, parameters)
        }
        Work::Resize { vmid, disk, bytes } => disks::resize(world, node, *vmid, disk, *bytes),
        Work::MoveDisk {
            vmid,
            disk,
            storage,
            deletes,
        } => disks::move_disk(world, node, *vmid, disk, storage, *deletes),
        Work::Start { vmid } => running::start(world, *vmid),
        Work::Stop { vmid } => running::stop(world, *vmid),
        Work::Reboot { vmid } => running::reboot(world, *vmid),
        Work::GoDown {
            vmid,
            is_forced,
            comes_back,
            ..
        } => running::go_down(world, *vmid, *is_forced, *comes_back),
        Work::Reset { vmid } => {
            world.orders.push(Order::Reboot(*vmid));
            set(world, *vmid, |guest| guest.started = now())
        }
        Work::Pause { vmid, is_paused } => {
            let power = if *is_paused {
                Power::Paused
            } else {
                Power::Running
            };
            world.orders.push(Order::Hold(*vmid));
            set(world, *vmid, |guest| guest.power = power)
        }
        Work::Destroy { vmid, purges } => making::destroy(world, node, *vmid, *purges),
        Work::Template { vmid } => making::template(world, node, *vmid),
        Work::Snapshot {
            vmid,
            name,
            description,
            with_memory,
        } => snapshots::snapshot(world, *vmid, name, description, *with_memory),
        Work::DropSnapshot { vmid, name } => snapshots::drop_snapshot(world, *vmid, name),
        Work::RollBack { vmid, name, starts } => snapshots::roll_back(world, *vmid, name, *starts),
        Work::Migrate {
            vmid,
            target,
            storage,
        } => running::migrate(world, node, *vmid, target, storage.as_deref()),
        Work::Upload { .. } => images::upload(world, node, work),
        Work::Download {
            url,
            storage,
            content,
            name,
            checksum,
        } => images::download(
            world,
            node,
            url,
            &format!("{storage}:{content}/{name}"),
            content,
            checksum.as_ref(),
        ),
        Work::DropVolume { volid } => images::drop_volume(world, node, volid),
        Work::ReloadNetwork => reload(world, user),
    };
    if done.is_err() {
        give_up(world, work);
    }
    done
}

fn set(world: &mut World, vmid: u32, change: impl FnOnce(&mut Guest)) -> Done {
    let guest = world
        .guests
        .get_mut(&vmid)
        .ok_or(format!("VM {vmid} does not exist"))?;
    change(guest);
    Ok(Vec::new())
}

fn reload(world: &mut World, user: &str) -> Done {
    let nodes: Vec<String> = world.up().cloned().collect();
    for node in &nodes {
        world.begin(NewTask {
            node,
            kind: "srvreload",
            id: "networking".into(),
            user,
            seconds: 1.0,
            work: Work::Nothing,
        });
    }
    Ok(nodes
        .iter()
        .map(|node| format!("{node}: reloading network config"))
        .collect())
}

impl World {
    /// Ends the running tasks of a type that a guest has.
    pub(crate) fn end_tasks(&mut self, vmid: u32, kind: &str) {
        let id = vmid.to_string();
        let ended: Vec<_> = self
            .running
            .iter()
            .filter(|upid| {
                self.tasks
                    .get(upid)
                    .is_some_and(|task| task.id == id && task.kind == kind)
            })
            .cloned()
            .collect();
        for upid in ended {
            self.running.remove(&upid);
            let node = self.tasks.get(&upid).map(|task| task.node.clone());
            let ended = self.clock_of(&node.unwrap_or_default()) / 1000;
            if let Some(task) = self.tasks.get_mut(&upid) {
                task.exit = Some("received interrupt".into());
                task.ended = ended;
                task.work = None;
            }
        }
    }
}
