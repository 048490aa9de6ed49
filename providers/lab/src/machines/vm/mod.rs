//! `vm` machines: virtual machines under QEMU, made of the image of a disk, with firmware, a kernel and a clock of their own. They need the
//! superuser, for their networks. Where the host's KVM is proven to be usable they run at its speed, else they are emulated.
//!
//! | part | what it does |
//! | --- | --- |
//! | `spec` | what a machine is to be, by its guest's settings |
//! | `command` | the same as QEMU's command line |
//! | `disks` | the files behind its disks |
//! | `kvm` | whether KVM is usable here |
//! | `boot` | what runs for a machine in processes of its own |
//! | `socket`, `monitor`, `agent` | what is asked of QEMU, and of the guest agent in a machine |

mod agent;
pub(super) mod boot;
mod command;
mod disks;
mod kvm;
mod monitor;
mod socket;
mod spec;

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use nix::unistd::Uid;
use serde_json::{Value, json};

use super::bridges::{self, Bridges};
use super::cloud;
use super::disks::forget_others;
use super::namespace::{Telling, program};
use super::root::PATH;
use super::system::{Kind, Outline, System};
use crate::Trouble;
use crate::lab::Shared;
use crate::world::roots::Strength;
use crate::world::{World, now};
use spec::Spec;

pub(crate) use kvm::{Accelerator, accelerator};

/// The program that is a machine.
const QEMU: &str = "qemu-system-x86_64";

/// How long QEMU may take until it answers; it is slow to start on a busy host.
const START: Duration = Duration::from_secs(60);

/// What the cloud-init drive of a guest is in the machine's folder.
const CLOUDINIT: &str = "cloudinit.iso";

/// How far a clock may be from where it was set, in seconds: the guest is asked a while after it was told.
const DRIFT: u64 = 60;

/// A machine that runs.
#[derive(Debug)]
pub(crate) struct Vm {
    folder: PathBuf,
    /// Whether it was started with a channel for an agent.
    has_agent: bool,
}

/// Finds out whether such machines can be started here; returns why not.
pub(super) async fn probe() -> Option<String> {
    let reason = if !Uid::effective().is_root() {
        "they need the superuser: serve the lab as root".to_owned()
    } else if let Err(reason) = bridges::ip(&["-V"]) {
        reason.to_string()
    } else if let Some(missing) = missing().await {
        format!(
            "`{missing}` is missing: install QEMU (on Debian and Ubuntu `apt-get install qemu-system-x86 qemu-utils`)"
        )
    } else if !Path::new("/dev/net/tun").exists() {
        "there is no /dev/net/tun: load the module with `modprobe tun`".to_owned()
    } else {
        return None;
    };
    Some(format!(
        "machines of a disk image can't be started here: {reason}"
    ))
}

/// Returns the first program that is not here.
async fn missing() -> Option<&'static str> {
    for program in [QEMU, disks::QEMU_IMG] {
        let said = tokio::process::Command::new(program)
            .arg("--version")
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .output();
        let is_here = matches!(
            tokio::time::timeout(START, said).await,
            Ok(Ok(output)) if output.status.success()
        );
        if !is_here {
            return Some(program);
        }
    }
    None
}

/// What is needed to start a machine.
struct Plan {
    outline: Outline,
    spec: Spec,
    /// What its cloud-init drive holds, if it has one.
    cloudinit: Option<Vec<u8>>,
}

/// Returns what a guest's machine is to be, if it runs and is made of a disk image.
fn plan(world: &World, bridges: &Bridges, place: &Path, vmid: u32) -> Option<Plan> {
    let guest = world.guests.get(&vmid).filter(|guest| guest.is_running())?;
    if world.strength_of(guest) != Strength::Vm {
        return None;
    }
    let outline = Outline::of(world, guest, bridges);
    let spec = Spec {
        name: outline.hostname.clone(),
        uuid: outline.uuid.clone(),
        has_kvm: world.accelerator == Some(Accelerator::Kvm),
        ahead: world.cluster.faults.ahead_of_machine(vmid),
        ..Spec::of(world, guest, &outline.cables, &place.join(CLOUDINIT))
    };
    Some(Plan {
        cloudinit: spec.has_cloudinit().then(|| cloud::seed_image(guest)),
        outline,
        spec,
    })
}

/// Starts the machine of a guest in its folder, if the guest still runs.
pub(super) async fn start(
    shared: &Arc<Shared>,
    place: &Path,
    vmid: u32,
) -> Result<Option<System>, Trouble> {
    let bridges = Bridges::of(shared.folder());
    let plan = shared.with(|world| plan(world, &bridges, place, vmid));
    let Some(Plan {
        outline,
        spec,
        cloudinit,
    }) = plan
    else {
        return Ok(None);
    };
    crate::folder::make(place)?;
    forget_others(place, &outline.own)?;
    disks::prepare(place, &spec.drives).await?;
    if let Some(image) = cloudinit {
        crate::folder::write_private(&place.join(CLOUDINIT), &image)?;
    }
    spec.write(place)?;
    outline.cables.iter().try_for_each(bridges::unplug)?;

    let mut command = program();
    // It ends its machine by itself when nobody listens.
    command
        .arg("emulate")
        .arg(place)
        .env("PATH", PATH)
        .kill_on_drop(false);
    let mut telling = Telling::spawn(command)?.patient(START);
    let first = telling.expect("pid").await?;
    telling.expect("ready").await?;
    let (site, cables) = (outline.site.clone(), outline.cables.clone());
    // One at a time: two of them may want to make the same bridge.
    let plugging = shared.machines.plugging.lock().await;
    let join = move || {
        cables
            .iter()
            .try_for_each(|cable| bridges.join(&site, cable))
    };
    let joined = tokio::task::spawn_blocking(join).await;
    drop(plugging);
    joined.map_err(|error| Trouble::Refused(error.to_string()))??;
    let vm = Vm {
        folder: place.to_owned(),
        has_agent: spec.has_agent,
    };
    // It has waited for its cables.
    vm.go_on().await.map_err(Trouble::Refused)?;
    let running = telling.running(&first)?;
    System::new(outline, running, Kind::Vm(vm)).map(Some)
}

impl Vm {
    /// Asks the machine's system to go down, by ACPI.
    pub(super) async fn press_button(&self) -> Result<(), String> {
        self.tell("system_powerdown", json!({})).await
    }

    /// Presses the machine's reset button.
    pub(super) async fn reset(&self) -> Result<(), String> {
        self.tell("system_reset", json!({})).await
    }

    /// Holds the machine still: what it has written is in its files then.
    pub(super) async fn hold(&self) -> Result<(), String> {
        self.tell("stop", json!({})).await
    }

    /// Lets a machine go on that was held.
    pub(super) async fn go_on(&self) -> Result<(), String> {
        self.tell("cont", json!({})).await
    }

    /// Makes the disk in a drive larger while the machine runs.
    pub(super) async fn grow(&self, slot: &str, bytes: u64) -> Result<(), String> {
        let node = command::node_of(slot);
        self.tell("block_resize", json!({ "node-name": node, "size": bytes }))
            .await
    }

    async fn tell(&self, command: &str, arguments: Value) -> Result<(), String> {
        monitor::execute(&self.folder, command, arguments)
            .await
            .map(drop)
    }

    /// Returns what the guest agent in the machine answers.
    ///
    /// # Errors
    /// That there is none, that it does not answer, or what it refuses.
    pub(crate) async fn ask(&self, command: &str, arguments: Value) -> Result<Value, String> {
        if !self.has_agent {
            return Err("it has no channel for a guest agent".into());
        }
        agent::ask(&self.folder, command, arguments).await
    }

    /// Runs a script in the machine as its superuser, by its agent.
    pub(super) async fn run(&self, script: &str) -> Result<(), String> {
        if !self.has_agent {
            return Err("it has no channel for a guest agent".into());
        }
        agent::run(&self.folder, script).await
    }

    /// Sets the clock of the machine's system so many seconds ahead of the host's, or behind it.
    pub(super) async fn set_clock(&self, ahead: i64) -> Result<(), String> {
        let wanted = || i128::from(now()) * 1_000_000 + i128::from(ahead) * 1_000_000_000;
        let time = i64::try_from(wanted()).map_err(|_| "no such time".to_owned())?;
        let set = self.ask("guest-set-time", json!({ "time": time })).await;
        if set.is_err() {
            // A system without `hwclock` refuses that call.
            let seconds = wanted() / 1_000_000_000;
            self.run(&format!("date -u -s @{seconds} >/dev/null"))
                .await?;
        }
        let told = self.ask("guest-get-time", json!({})).await?;
        let told = told.as_i64().ok_or("its agent tells no time")?;
        let off = (i128::from(told) - wanted()).unsigned_abs();
        if off <= u128::from(DRIFT) * 1_000_000_000 {
            return Ok(());
        }
        Err("its system sets it back".into())
    }
}
