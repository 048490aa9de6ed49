//! A machine with a system of its own: a `container` machine or a `vm` machine that runs, and what both are made from. What people
//! do to it from outside, its plug, its power button, its cables, is the same for both.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::bridges::{self, Bridges, Cable};
use super::cloud::{self, Told};
use super::container;
use super::namespace::{Ended, Running};
use super::vm::Vm;
use crate::Trouble;
use crate::site::Site;
use crate::world::World;
use crate::world::guest::{self, Guest};

/// How long a machine's processes may take to go, and what they clear away behind it.
const PATIENCE: Duration = Duration::from_secs(15);

/// What gives a system other host keys than it has.
const NEW_KEYS: &str = "rm -f /etc/ssh/ssh_host_*; ssh-keygen -A >/dev/null && systemctl try-reload-or-restart ssh.service sshd.service";

/// What the machine of a guest is to be, of whatever strength it is.
pub(super) struct Outline {
    /// The first part of its name.
    pub hostname: String,
    pub fqdn: String,
    /// The identity that its firmware tells.
    pub uuid: String,
    pub told: Told,
    pub cables: Vec<Cable>,
    pub site: Site,
    /// Whether its cables are pulled.
    pub is_cut: bool,
    /// The guest's disks: of all others nothing is kept.
    pub own: Vec<String>,
}

impl Outline {
    /// Returns what the machine of a guest is to be.
    pub(super) fn of(world: &World, guest: &Guest, bridges: &Bridges) -> Outline {
        let mut told = super::told(world, guest);
        if told.network == Told::default().network {
            told.network = cloud::of_network_settings(&guest.config);
        }
        let name = told.hostname.take().unwrap_or_else(|| guest.name());
        let smbios = guest.config.get("smbios1").map_or("", String::as_str);
        let owned = world
            .volumes
            .values()
            .filter(|volume| volume.owner == Some(guest.vmid));
        let own = owned.filter_map(|volume| crate::world::storage::disk_of(&volume.volid));
        Outline {
            fqdn: told.fqdn.take().unwrap_or_else(|| name.clone()),
            hostname: name.split('.').next().unwrap_or(&name).to_owned(),
            uuid: guest::part(smbios, "uuid").unwrap_or_default().to_owned(),
            cables: bridges.cables(guest.vmid, &guest.config, &told.network),
            told,
            site: world.cluster.site.clone(),
            is_cut: world.cluster.faults.cut.contains(&guest.vmid),
            own: own.collect(),
        }
    }

    fn addresses(&self) -> Vec<Ipv4Addr> {
        let all = self.cables.iter().flat_map(|it| &it.interface.addresses);
        all.filter_map(|(address, _)| match address {
            IpAddr::V4(address) => Some(*address),
            IpAddr::V6(_) => None,
        })
        .collect()
    }
}

/// A machine that runs.
#[derive(Debug)]
pub(crate) struct System {
    pub name: String,
    pub addresses: Vec<Ipv4Addr>,
    running: Running,
    links: Vec<String>,
    is_cut: AtomicBool,
    kind: Kind,
}

/// What tells one strength from the other.
#[derive(Debug)]
pub(super) enum Kind {
    Container,
    Vm(Vm),
}

impl System {
    /// A machine that was started; its cables are as they are to be when this returns.
    pub(super) fn new(outline: Outline, running: Running, kind: Kind) -> Result<System, Trouble> {
        let system = System {
            addresses: outline.addresses(),
            name: outline.hostname,
            running,
            links: outline.cables.into_iter().map(|it| it.link).collect(),
            is_cut: AtomicBool::new(false),
            kind,
        };
        system.set_cut(outline.is_cut)?;
        Ok(system)
    }

    /// Returns the virtual machine, if it is one.
    pub(crate) fn vm(&self) -> Option<&Vm> {
        match &self.kind {
            Kind::Vm(vm) => Some(vm),
            Kind::Container => None,
        }
    }

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
    pub(super) async fn press_button(&self) -> Result<(), Trouble> {
        let told = match &self.kind {
            Kind::Container => {
                let told = self.running.tell(container::boot::POWER);
                told.map_err(|error| error.to_string())
            }
            Kind::Vm(vm) => vm.press_button().await,
        };
        told.map_err(|reason| self.trouble("can't be told", &reason))
    }

    /// Pulls the cables out, or puts them back, if they are not so already.
    pub(super) fn set_cut(&self, is_cut: bool) -> Result<(), Trouble> {
        if self.is_cut.swap(is_cut, Ordering::Relaxed) == is_cut {
            return Ok(());
        }
        bridges::set_cables(&self.links, !is_cut)
    }

    /// Gives the machine other host keys than it has.
    pub(super) async fn change_host_key(&self) -> Result<(), Trouble> {
        let done = match &self.kind {
            Kind::Container => container::run(self.running.pid(), NEW_KEYS).await,
            Kind::Vm(vm) => vm.run(NEW_KEYS).await,
        };
        done.map_err(|reason| self.trouble("keeps its host key", &reason))
    }

    /// Sets the machine's clock so many seconds ahead of the host's, or behind it.
    pub(super) async fn set_clock(&self, ahead: i64) -> Result<(), Trouble> {
        match &self.kind {
            Kind::Container => Ok(()),
            Kind::Vm(vm) => vm.set_clock(ahead).await.map_err(|reason| {
                self.trouble("keeps its clock as it is until its next start", &reason)
            }),
        }
    }

    fn trouble(&self, what: &str, reason: &str) -> Trouble {
        Trouble::Refused(format!("`{}` {what}: {reason}", self.name))
    }
}
