//! `process` machines: each a root of its own in a user namespace, reached by SSH at a loopback address of its own.
//!
//! | part | what it does |
//! | --- | --- |
//! | `cloud`, `iso` | what a machine is told at its first boot, also by a seed image |
//! | `inside` | what runs for a machine in a process of its own |
//! | `root` | what is in a machine |
//! | `namespace` | starting such processes, and mapping their user ids |
//! | `ssh` | the server that lets people in |

mod cloud;
pub mod inside;
mod iso;
mod namespace;
mod root;
mod ssh;

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::Trouble;
use crate::lab::Shared;
use crate::world::guest::Guest;
use crate::world::{Order, World};

pub(crate) use cloud::addresses_of;
use namespace::{Ended, Ids, Namespace};
use root::Spec;

/// The machines that run.
#[derive(Debug, Default)]
pub(crate) struct Machines {
    running: Mutex<BTreeMap<u32, Arc<Machine>>>,
}

/// A machine that runs.
#[derive(Debug)]
pub(crate) struct Machine {
    pub vmid: u32,
    pub name: String,
    pub addresses: Vec<(Ipv4Addr, u8)>,
    /// Whether only machines of its network reach it.
    pub is_private: bool,
    pub namespace: Namespace,
    listeners: Vec<tokio::task::JoinHandle<()>>,
}

impl Machines {
    pub(crate) fn get(&self, vmid: u32) -> Option<Arc<Machine>> {
        self.running
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(&vmid)
            .cloned()
    }

    /// Returns the machine at an address.
    pub(crate) fn at(&self, address: Ipv4Addr) -> Option<Arc<Machine>> {
        let running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        running
            .values()
            .find(|machine| machine.addresses.iter().any(|(own, _)| *own == address))
            .cloned()
    }

    /// Returns the machine of a name.
    pub(crate) fn named(&self, name: &str) -> Option<Arc<Machine>> {
        let running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        running
            .values()
            .find(|machine| machine.name == name)
            .cloned()
    }

    fn put(&self, machine: Arc<Machine>) {
        self.running
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(machine.vmid, machine);
    }

    fn take(&self, vmid: u32) -> Option<Arc<Machine>> {
        self.running
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&vmid)
    }

    /// Ends all machines.
    pub(crate) fn end_all(&self) {
        let running =
            std::mem::take(&mut *self.running.lock().unwrap_or_else(PoisonError::into_inner));
        for machine in running.values() {
            machine.end();
        }
    }
}

impl Machine {
    fn end(&self) {
        for listener in &self.listeners {
            listener.abort();
        }
        self.namespace.end();
    }
}

/// Whether two addresses are of one network.
pub(crate) fn is_same_network(one: Ipv4Addr, other: Ipv4Addr, bits: u8) -> bool {
    let mask = u32::MAX
        .checked_shl(32 - u32::from(bits.min(32)))
        .unwrap_or(0);
    u32::from(one) & mask == u32::from(other) & mask
}

/// Returns the addresses of a guest that a machine of the lab can have: loopback, beyond the host's own.
pub(crate) fn own_addresses(all: &[(Ipv4Addr, u8)]) -> Vec<(Ipv4Addr, u8)> {
    let is_own = |(address, _): &&(Ipv4Addr, u8)| address.is_loopback() && address.octets()[1] != 0;
    all.iter().filter(is_own).copied().collect()
}

/// Finds out whether machines can be started here; returns why not.
pub(crate) async fn probe(folder: &Path) -> Option<String> {
    let try_it = async {
        let spec = Spec {
            hostname: "probe".into(),
            fqdn: "probe".into(),
            instance: "probe".into(),
            boot_id: "probe".into(),
            ..Spec::default()
        };
        let place = folder.join("probe");
        crate::folder::make(&place)?;
        spec.write(&place)?;
        let begun = Namespace::begin(&place, Ids::here()).await;
        if let Ok(namespace) = &begun {
            namespace.end();
            namespace.ended().await;
        }
        namespace::remove(&place, Ids::here()).await?;
        begun.map(drop)
    };
    let reason = try_it.await.err()?.to_string();
    Some(format!(
        "machines can't be started here: {reason}; they need user namespaces: allow them with `sysctl -w kernel.unprivileged_userns_clone=1` \
         or `sysctl -w kernel.apparmor_restrict_unprivileged_userns=0`, and in a container with an unmasked /proc"
    ))
}

/// Starts, ends and forgets machines as the world orders it.
pub(crate) async fn work(shared: Arc<Shared>) {
    let folder = shared.folder().join("machines");
    begin_again(&shared, &folder).await;
    loop {
        // What is ordered for one machine is done in its order, machines beside one another.
        let mut by_machine: BTreeMap<u32, Vec<Order>> = BTreeMap::new();
        for order in shared.take_orders() {
            by_machine.entry(order.machine()).or_default().push(order);
        }
        let mut chains = tokio::task::JoinSet::new();
        for orders in by_machine.into_values() {
            let (shared, folder) = (shared.clone(), folder.clone());
            chains.spawn(async move {
                for order in orders {
                    if let Err(trouble) = carry_out(&shared, &folder, order.clone()).await {
                        shared.note(format!("{order:?}: {trouble}"));
                    }
                }
            });
        }
        chains.join_all().await;
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Starts the machines that ran when the lab was stopped, and throws away what is left of those that are gone.
async fn begin_again(shared: &Arc<Shared>, folder: &Path) {
    let known = shared.with(|world| {
        let guests = world.guests.iter();
        guests
            .map(|(vmid, guest)| (*vmid, guest.is_running()))
            .collect::<BTreeMap<_, _>>()
    });
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let vmid = name
            .split('@')
            .next()
            .and_then(|part| part.parse::<u32>().ok());
        if vmid.is_none_or(|vmid| !known.contains_key(&vmid))
            && namespace::remove(&entry.path(), Ids::here()).await.is_err()
        {
            shared.note(format!("`{}` can't be removed", entry.path().display()));
        }
    }
    shared.change(|world| {
        world.orders.extend(
            known
                .into_iter()
                .filter(|(_, runs)| *runs)
                .map(|(vmid, _)| Order::Start(vmid)),
        );
    });
}

async fn carry_out(shared: &Arc<Shared>, folder: &Path, order: Order) -> Result<(), Trouble> {
    let place = |vmid: u32| folder.join(vmid.to_string());
    let kept = |vmid: u32, name: &str| folder.join(format!("{vmid}@{name}"));
    match order {
        Order::Start(vmid) => start(shared, &place(vmid), vmid).await,
        Order::Stop(vmid) => {
            end(shared, vmid).await;
            Ok(())
        }
        Order::Reboot(vmid) => {
            end(shared, vmid).await;
            start(shared, &place(vmid), vmid).await
        }
        Order::Forget(vmid) => {
            end(shared, vmid).await;
            let mut places = vec![place(vmid)];
            let prefix = format!("{vmid}@");
            let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
            places.extend(
                entries
                    .filter(|entry| entry.file_name().to_string_lossy().starts_with(&prefix))
                    .map(|entry| entry.path()),
            );
            for place in places {
                namespace::remove(&place, Ids::here()).await?;
            }
            Ok(())
        }
        Order::Copy(from, to) => copy(&place(from), &place(to)).await,
        Order::Keep(vmid, name) => copy(&place(vmid), &kept(vmid, &name)).await,
        Order::Restore(vmid, name) => {
            end(shared, vmid).await;
            namespace::remove(&place(vmid), Ids::here()).await?;
            copy(&kept(vmid, &name), &place(vmid)).await
        }
        Order::Wipe(vmid) => {
            end(shared, vmid).await;
            namespace::remove(&place(vmid), Ids::here()).await?;
            start(shared, &place(vmid), vmid).await
        }
        Order::NewHostKey(vmid) => match shared.machines.get(vmid) {
            Some(machine) => ssh::change_host_key(&machine).await,
            None => Ok(()),
        },
        Order::Drop(vmid, name) => namespace::remove(&kept(vmid, &name), Ids::here()).await,
    }
}

/// Copies what a machine holds, if it ever held anything.
async fn copy(from: &Path, to: &Path) -> Result<(), Trouble> {
    if !from.exists() {
        return Ok(());
    }
    namespace::remove(to, Ids::here()).await?;
    namespace::copy(from, to, Ids::here()).await
}

async fn end(shared: &Shared, vmid: u32) {
    if let Some(machine) = shared.machines.take(vmid) {
        machine.end();
        machine.namespace.ended().await;
    }
}

/// Returns what a guest is told, with the seed in one of its drives, if there is one.
fn told(world: &World, guest: &Guest) -> cloud::Told {
    let drives = guest
        .config
        .values()
        .filter(|drive| drive.contains("media=cdrom"));
    let files = drives.filter_map(|drive| {
        let volid = drive.split(',').next()?;
        let file = world
            .volumes
            .get(&world.key(&guest.node, volid))?
            .file
            .clone()?;
        Some(world.files.join(file))
    });
    let seed = files
        .filter_map(|file| iso::read(&file))
        .find(|image| image.label.eq_ignore_ascii_case("cidata"));
    let has_drive = guest
        .config
        .values()
        .any(|drive| drive.contains("-cloudinit"));
    match seed {
        Some(seed) => cloud::of_seed(&seed, &guest.config),
        None if has_drive => cloud::of_settings(&guest.config),
        // Nobody tells it anything; it is at the addresses that it was given.
        None => cloud::Told {
            addresses: addresses_of(&guest.config),
            ..cloud::Told::default()
        },
    }
}

/// What is needed to start a machine.
struct Plan {
    spec: Spec,
    addresses: Vec<(Ipv4Addr, u8)>,
    is_private: bool,
    port: u16,
}

fn plan(world: &mut World, vmid: u32) -> Option<Plan> {
    let boot_id = world.cluster.draw.uuid();
    let guest = world.guests.get(&vmid).filter(|guest| guest.is_running())?;
    let told = told(world, guest);
    let addresses = own_addresses(&told.addresses);
    if addresses.is_empty() {
        return None;
    }
    let others = world
        .guests
        .values()
        .filter(|other| other.vmid != vmid)
        .flat_map(|other| {
            own_addresses(&addresses_of(&other.config))
                .into_iter()
                .map(|(address, _)| (address.to_string(), other.name()))
        });
    let name = told.hostname.unwrap_or_else(|| guest.name());
    let hostname = name.split('.').next().unwrap_or(&name).to_owned();
    let is_private = addresses
        .iter()
        .all(|(address, _)| world.cluster.site.is_private(*address));
    let spec = Spec {
        fqdn: told.fqdn.unwrap_or_else(|| name.clone()),
        hostname,
        instance: told.instance,
        boot_id,
        has_users: Ids::here().is_range(),
        people: told.people,
        host_keys: told.host_keys,
        files: told.files,
        commands: told.commands,
        hosts: others.collect(),
        ignored: told.ignored,
    };
    Some(Plan {
        spec,
        addresses,
        is_private,
        port: world.cluster.site.ssh_port,
    })
}

async fn start(shared: &Arc<Shared>, place: &Path, vmid: u32) -> Result<(), Trouble> {
    // One that is gone already, or that has no address here, has no machine.
    let Some(mut plan) = shared.change(|world| plan(world, vmid)) else {
        return Ok(());
    };
    if shared.machines.get(vmid).is_some() {
        end(shared, vmid).await;
    }
    let has_key = plan
        .spec
        .host_keys
        .keys()
        .any(|name| Path::new(name).extension().is_none());
    if !has_key {
        plan.spec.host_keys.extend(ssh::new_host_key()?);
    }
    let parent: PathBuf = place.parent().map(Path::to_owned).unwrap_or_default();
    crate::folder::make(&parent)?;
    crate::folder::make(place)?;
    plan.spec.write(place)?;
    let namespace = Namespace::begin(place, Ids::here()).await?;
    let mut sockets = Vec::new();
    for (address, _) in &plan.addresses {
        let wanted = SocketAddr::from((*address, plan.port));
        let socket = tokio::net::TcpListener::bind(wanted)
            .await
            .map_err(|error| {
                namespace.end();
                Trouble::File {
                    path: wanted.to_string(),
                    error,
                }
            })?;
        sockets.push(socket);
    }
    let ended = namespace.watch();
    let listeners = sockets
        .into_iter()
        .map(|socket| tokio::spawn(ssh::serve(shared.clone(), vmid, socket)));
    let machine = Arc::new(Machine {
        vmid,
        name: plan.spec.hostname,
        addresses: plan.addresses,
        is_private: plan.is_private,
        namespace,
        listeners: listeners.collect(),
    });
    shared.machines.put(machine);
    // A machine that goes down by itself is noticed.
    let shared = shared.clone();
    tokio::spawn(async move {
        match ended.await {
            Ended::Reboot => shared.change(|world| {
                if let Some(guest) = world.guests.get_mut(&vmid) {
                    guest.started = crate::world::now();
                }
                world.orders.push(Order::Start(vmid));
            }),
            Ended::Off => shared.change(|world| world.power_off(vmid)),
            Ended::Ordered => {}
        }
    });
    Ok(())
}
