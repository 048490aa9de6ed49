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
pub(super) mod network;

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use nix::unistd::Uid;
use serde::{Deserialize, Serialize};

use super::namespace::{Ended, Running, Telling, program};
use super::root::{PATH, Person, WrittenFile};
use super::{cloud, told};
use crate::Trouble;
use crate::lab::Shared;
use crate::site::Site;
use crate::world::World;
use disks::{DISKS, Disk};
use network::{Bridges, Cable};

/// What a machine is to be, in its folder.
const SPEC: &str = "container.json";

/// How long a machine's processes may take to go, and its control groups after them.
const PATIENCE: Duration = Duration::from_secs(15);

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

/// A machine that runs.
#[derive(Debug)]
pub(crate) struct Container {
    pub name: String,
    pub addresses: Vec<Ipv4Addr>,
    running: Running,
    links: Vec<String>,
    is_cut: AtomicBool,
}

/// Finds out whether such machines can be started here; returns why not.
pub(super) fn probe(lab: &Path) -> Option<String> {
    let reason = if !Uid::effective().is_root() {
        "they need the superuser: serve the lab as root".to_owned()
    } else if let Err(reason) = cgroups::Groups::of_host() {
        reason
    } else if let Err(reason) = network::ip(&["-V"]) {
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
    spec: Spec,
    root: String,
    path: Option<PathBuf>,
    site: Site,
    is_cut: bool,
    /// The guest's disks: of all others nothing is kept.
    own: Vec<String>,
}

/// Returns what a guest's machine is to be, if it runs and is made of a root file system.
fn plan(world: &mut World, bridges: &Bridges, vmid: u32) -> Option<Plan> {
    let boot_id = world.cluster.draw.uuid();
    let guest = world.guests.get(&vmid).filter(|guest| guest.is_running())?;
    let system = world.system_of(guest)?;
    let mut told = told(world, guest);
    if told.network == cloud::Told::default().network {
        told.network = cloud::of_network_settings(&guest.config);
    }
    let name = told.hostname.unwrap_or_else(|| guest.name());
    let uuid = guest.config.get("smbios1").map_or("", String::as_str);
    let uuid = uuid.split(',').find_map(|part| part.strip_prefix("uuid="));
    let machine_id: String = uuid.unwrap_or_default().replace('-', "");
    let owned = world
        .volumes
        .values()
        .filter(|volume| volume.owner == Some(vmid));
    let own = owned.filter_map(|volume| crate::world::storage::disk_of(&volume.volid));
    let spec = Spec {
        fqdn: told.fqdn.unwrap_or_else(|| name.clone()),
        hostname: name.split('.').next().unwrap_or(&name).to_owned(),
        instance: told.instance,
        boot_id,
        machine_id: machine_id.to_ascii_lowercase(),
        people: told.people,
        host_keys: told.host_keys,
        files: told.files,
        commands: told.commands,
        ignored: told.ignored,
        seed: told.seed,
        cables: bridges.cables(vmid, &guest.config, &told.network),
        nameservers: told.network.nameservers,
        domains: told.network.domains,
        lower: PathBuf::new(),
        disks: disks::of_settings(&guest.config, &system.disk),
        disk: system.disk,
        memory: guest.memory(),
        group: format!("{}/{vmid}", bridges.group()),
    };
    Some(Plan {
        spec,
        path: world.root_path(&system.root),
        root: system.root,
        site: world.cluster.site.clone(),
        is_cut: world.cluster.faults.cut.contains(&vmid),
        own: own.collect(),
    })
}

/// Starts the machine of a guest in its folder, if the guest is made of a root file system; whether it is.
pub(super) async fn start(
    shared: &Arc<Shared>,
    place: &Path,
    vmid: u32,
) -> Result<Option<Arc<Container>>, Trouble> {
    let bridges = Bridges::of(shared.folder());
    let Some(mut plan) = shared.change(|world| plan(world, &bridges, vmid)) else {
        return Ok(None);
    };
    crate::folder::make(place)?;
    forget_others(place, &plan.own)?;
    let unpacking = shared.machines.unpacking.lock().await;
    let disk = &plan.spec.disk;
    plan.spec.lower =
        image::below(shared.folder(), place, disk, &plan.root, plan.path.take()).await?;
    drop(unpacking);
    let text = serde_json::to_vec(&plan.spec).unwrap_or_default();
    crate::folder::write_private(&place.join(SPEC), &text)?;
    raise_inotify();

    let mut command = program();
    // It clears away behind the machine, and ends by itself when nobody listens.
    command
        .arg("contain")
        .arg(place)
        .env("PATH", PATH)
        .kill_on_drop(false);
    let mut telling = Telling::spawn(command)?.patient(START);
    telling.expect("unshared").await?;
    let pid = telling.pid()?;
    let Plan { spec, site, .. } = plan;
    let links: Vec<String> = spec.cables.iter().map(|cable| cable.link.clone()).collect();
    let cables = spec.cables.clone();
    // One at a time: two of them may want to make the same bridge.
    let plugging = shared.machines.plugging.lock().await;
    let plugged = tokio::task::spawn_blocking(move || bridges.plug(&site, &cables, pid)).await;
    drop(plugging);
    plugged.map_err(|error| Trouble::Refused(error.to_string()))??;
    telling.tell(boot::PLUGGED).await?;
    let first = telling.expect("pid").await?;
    telling.expect("ready").await?;
    let addresses = spec
        .cables
        .iter()
        .flat_map(|cable| &cable.interface.addresses);
    let addresses = addresses.filter_map(|(address, _)| match address {
        std::net::IpAddr::V4(address) => Some(*address),
        std::net::IpAddr::V6(_) => None,
    });
    let container = Container {
        name: spec.hostname,
        addresses: addresses.collect(),
        running: telling.running(&first)?,
        links,
        is_cut: AtomicBool::new(false),
    };
    container.set_cut(plan.is_cut)?;
    Ok(Some(Arc::new(container)))
}

/// Throws away the content of disks that the guest has no more.
fn forget_others(place: &Path, own: &[String]) -> Result<(), Trouble> {
    for entry in std::fs::read_dir(place.join(DISKS))
        .into_iter()
        .flatten()
        .flatten()
    {
        let name = entry.file_name().to_string_lossy().into_owned();
        let disk = name.split('.').next().unwrap_or_default();
        if own.iter().any(|known| known == disk) {
            continue;
        }
        let path = entry.path();
        let removed = if path.is_dir() {
            std::fs::remove_dir_all(&path)
        } else {
            std::fs::remove_file(&path)
        };
        removed.map_err(Trouble::file(&path))?;
    }
    Ok(())
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

impl Container {
    /// Ends the machine: as if the plug were pulled.
    pub(super) fn end(&self) {
        self.running.end();
    }

    /// Waits for the machine's end.
    pub(super) async fn ended(&self) {
        self.running.ended(PATIENCE).await;
    }

    /// Returns how the machine ends, when it does.
    pub(super) fn watch(&self) -> impl Future<Output = Ended> + Send + use<> {
        self.running.watch()
    }

    /// Asks the machine's system to go down.
    pub(super) fn press_button(&self) -> Result<(), Trouble> {
        let told = self.running.tell(boot::POWER);
        told.map_err(|error| Trouble::Refused(format!("`{}` can't be told: {error}", self.name)))
    }

    /// Pulls the cables out, or puts them back, if they are not so already.
    pub(super) fn set_cut(&self, is_cut: bool) -> Result<(), Trouble> {
        if self.is_cut.swap(is_cut, Ordering::Relaxed) == is_cut {
            return Ok(());
        }
        network::set_cables(&self.links, !is_cut)
    }

    /// Gives the machine other host keys than it has.
    pub(super) async fn change_host_key(&self) -> Result<(), Trouble> {
        let script = "rm -f /etc/ssh/ssh_host_*; ssh-keygen -A >/dev/null && systemctl try-reload-or-restart ssh.service sshd.service";
        let mut command = program();
        command
            .arg("within")
            .arg(self.running.pid().to_string())
            .args(["/bin/sh", "-c", script]);
        let output = command
            .stdin(std::process::Stdio::null())
            .output()
            .await
            .map_err(|error| Trouble::Refused(error.to_string()))?;
        if output.status.success() {
            return Ok(());
        }
        Err(Trouble::Refused(format!(
            "`{}` keeps its host key: {}",
            self.name,
            String::from_utf8_lossy(&output.stderr).trim()
        )))
    }
}

/// Gives the contents of disks other names, as a copy of a guest has them.
pub(super) fn rename(place: &Path, names: &[(String, String)]) -> Result<(), Trouble> {
    let all = place.join(DISKS);
    let ending = |name: &str| if name.is_empty() { "" } else { ".raw" };
    for is_first in [true, false] {
        for (from, to) in names.iter().filter(|(from, to)| from != to) {
            for kind in ["", "raw"] {
                // By way of a third name: two may change places.
                let (old, new) = if is_first {
                    (
                        format!("{from}{}", ending(kind)),
                        format!("{to}{}.new", ending(kind)),
                    )
                } else {
                    (
                        format!("{to}{}.new", ending(kind)),
                        format!("{to}{}", ending(kind)),
                    )
                };
                let (old, new) = (all.join(old), all.join(new));
                if old.exists() {
                    std::fs::rename(&old, &new).map_err(Trouble::file(&old))?;
                }
            }
        }
    }
    Ok(())
}

/// Makes a disk larger, also while the machine runs.
pub(super) fn grow(place: &Path, disk: &str, bytes: u64) -> Result<(), Trouble> {
    let path = place.join(disks::file_of(disk));
    if !path.exists() {
        return Ok(());
    }
    disks::grow(&path, bytes).map_err(Trouble::file(&path))?;
    disks::grown(&path).map_err(Trouble::Refused)
}
