//! `container` machines: systems with their own root file system, process numbers, network and control groups on the host's
//! kernel, whose first process is the init of their image. They need the superuser.
//!
//! | part | what it does |
//! | --- | --- |
//! | `image` | root file systems that machines are made of |
//! | `network` | bridges, cables, addresses |
//! | `disks` | disks beside the system's, as block devices |
//! | `boot` | what runs for a machine in processes of its own |
//! | `files`, `modules`, `cgroups` | what a machine sees |
//! | `first` | what it is told at its boots |

pub(super) mod boot;
mod cgroups;
mod disks;
mod files;
mod first;
pub(super) mod image;
mod modules;
mod network;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use nix::unistd::Uid;
use serde::{Deserialize, Serialize};

use super::bridges::{self, Bridges, Cable};
use super::disks::{file_of, forget_others};
use super::namespace::{Telling, program};
use super::root::{PATH, Person, WrittenFile};
use super::system::{Kind, Outline, System};
use crate::Trouble;
use crate::lab::Shared;
use crate::world::World;
use disks::Disk;

/// What a machine is to be, in its folder.
const SPEC: &str = "container.json";

/// How long a machine may take until its init runs: what it has of its own is copied before its first start.
const START: Duration = Duration::from_secs(120);

/// What a machine is to be.
#[derive(Debug, Serialize, Deserialize)]
struct Spec {
    hostname: String,
    fqdn: String,
    instance: String,
    boot_id: String,
    machine_id: String,
    people: Vec<Person>,
    host_keys: BTreeMap<String, String>,
    files: Vec<WrittenFile>,
    commands: Vec<String>,
    ignored: Vec<String>,
    /// Cloud-init's data by the names of their files, for a system that has cloud-init itself.
    seed: BTreeMap<String, String>,
    nameservers: Vec<String>,
    domains: Vec<String>,
    cables: Vec<Cable>,
    /// The root file system below the machine's own changes.
    lower: PathBuf,
    /// The disk that the system is on.
    disk: String,
    disks: Vec<Disk>,
    memory: u64,
    group: String,
}

impl Spec {
    /// Reads what the machine in the current folder is to be.
    fn read() -> Result<Spec, String> {
        let text = std::fs::read_to_string(SPEC).map_err(|error| format!("{SPEC}: {error}"))?;
        serde_json::from_str(&text).map_err(|error| format!("{SPEC}: {error}"))
    }
}

/// Finds out whether such machines can be started here; returns why not.
pub(super) fn probe(lab: &Path) -> Option<String> {
    let reason = if !Uid::effective().is_root() {
        "they need the superuser: serve the lab as root".to_owned()
    } else if let Err(reason) = cgroups::Groups::of_host() {
        reason
    } else if let Err(reason) = bridges::ip(&["-V"]) {
        reason.to_string()
    } else if let Err(reason) = disks::probe() {
        reason
    } else if is_overlay(lab) {
        format!(
            "`{}` is on an overlay, on which no other can lie: name another folder with `--dir`",
            lab.display()
        )
    } else {
        return None;
    };
    Some(format!(
        "machines of a root file system can't be started here: {reason}"
    ))
}

fn is_overlay(path: &Path) -> bool {
    nix::sys::statfs::statfs(path)
        .is_ok_and(|about| about.filesystem_type() == nix::sys::statfs::OVERLAYFS_SUPER_MAGIC)
}

/// What is needed to start a machine, but for its root file system.
struct Plan {
    outline: Outline,
    spec: Spec,
    root: String,
    path: Option<PathBuf>,
}

/// Returns what a guest's machine is to be, if it runs and is made of a root file system.
fn plan(world: &mut World, bridges: &Bridges, vmid: u32) -> Option<Plan> {
    let boot_id = world.cluster.draw.uuid();
    let guest = world.guests.get(&vmid).filter(|guest| guest.is_running())?;
    let system = world.system_of(guest)?;
    let mut outline = Outline::of(world, guest, bridges);
    let told = std::mem::take(&mut outline.told);
    let spec = Spec {
        fqdn: outline.fqdn.clone(),
        hostname: outline.hostname.clone(),
        instance: told.instance,
        boot_id,
        machine_id: outline.uuid.replace('-', "").to_ascii_lowercase(),
        people: told.people,
        host_keys: told.host_keys,
        files: told.files,
        commands: told.commands,
        ignored: told.ignored,
        seed: told.seed,
        cables: outline.cables.clone(),
        nameservers: told.network.nameservers,
        domains: told.network.domains,
        lower: PathBuf::new(),
        disks: disks::of_settings(&guest.config, &system.disk),
        disk: system.disk,
        memory: guest.memory(),
        group: format!("{}/{vmid}", bridges.group()),
    };
    Some(Plan {
        outline,
        spec,
        path: world.root_path(&system.root),
        root: system.root,
    })
}

/// Starts the machine of a guest in its folder, if the guest still runs.
pub(super) async fn start(
    shared: &Arc<Shared>,
    place: &Path,
    vmid: u32,
) -> Result<Option<System>, Trouble> {
    let bridges = Bridges::of(shared.folder());
    let Some(mut plan) = shared.change(|world| plan(world, &bridges, vmid)) else {
        return Ok(None);
    };
    crate::folder::make(place)?;
    forget_others(place, &plan.outline.own)?;
    let unpacking = shared.machines.unpacking.lock().await;
    let disk = &plan.spec.disk;
    plan.spec.lower =
        image::below(shared.folder(), place, disk, &plan.root, plan.path.take()).await?;
    drop(unpacking);
    let text = serde_json::to_vec(&plan.spec).unwrap_or_default();
    crate::folder::write_private(&place.join(SPEC), &text)?;
    raise_inotify();

    let mut command = program();
    // It clears away behind it, and ends by itself when nobody listens.
    command
        .arg("contain")
        .arg(place)
        .env("PATH", PATH)
        .kill_on_drop(false);
    let mut telling = Telling::spawn(command)?.patient(START);
    telling.expect("unshared").await?;
    let pid = telling.pid()?;
    let site = plan.outline.site.clone();
    let cables = plan.outline.cables.clone();
    // One at a time: two of them may want to make the same bridge.
    let plugging = shared.machines.plugging.lock().await;
    let plug = move || network::plug(&bridges, &site, &cables, pid);
    let plugged = tokio::task::spawn_blocking(plug).await;
    drop(plugging);
    plugged.map_err(|error| Trouble::Refused(error.to_string()))??;
    telling.tell(boot::PLUGGED).await?;
    let first = telling.expect("pid").await?;
    telling.expect("ready").await?;
    let running = telling.running(&first)?;
    System::new(plan.outline, running, Kind::Container).map(Some)
}

/// Instances are counted per user over the host and all machines, eight for each; the kernel's usual limit is soon used up.
fn raise_inotify() {
    let limit = "/proc/sys/fs/inotify/max_user_instances";
    let now = std::fs::read_to_string(limit)
        .ok()
        .and_then(|text| text.trim().parse::<u32>().ok());
    if now.is_some_and(|now| now < 1024) {
        // Where it can't be raised, the systems in machines say what they lack.
        let _ = std::fs::write(limit, "1024");
    }
}

/// Runs a script in a machine, as its superuser; the machine's first process is told.
///
/// # Errors
/// What the script says where it fails.
pub(super) async fn run(first: u32, script: &str) -> Result<(), String> {
    let mut command = program();
    command
        .arg("within")
        .arg(first.to_string())
        .args(["/bin/sh", "-c", script]);
    let output = command
        .stdin(std::process::Stdio::null())
        .output()
        .await
        .map_err(|error| error.to_string())?;
    if output.status.success() {
        return Ok(());
    }
    Err(String::from_utf8_lossy(&output.stderr).trim().to_owned())
}

/// Makes a disk larger, also while the machine runs.
pub(super) fn grow(place: &Path, disk: &str, bytes: u64) -> Result<(), Trouble> {
    let path = place.join(file_of(disk));
    if !path.exists() {
        return Ok(());
    }
    disks::grow_at(&path, bytes).map_err(Trouble::Refused)
}
