//! Machines, in three strengths. A `process` machine is a root of its own in a user namespace, reached by SSH at a loopback address
//! of its own; a `container` machine is a whole system on the host's kernel, with a network of its own; a `vm` machine has a kernel and
//! a clock of its own as well.
//!
//! | part | what it does |
//! | --- | --- |
//! | `cloud`, `interfaces`, `iso` | what a machine is told at its first boot, also by a seed image |
//! | `inside` | what runs for a machine in a process of its own |
//! | `namespace` | starting such processes, and mapping their user ids |
//! | `root` | what is in a `process` machine |
//! | `ssh` | the server that lets people into one |
//! | `bridges`, `disks`, `system` | what `container` machines and `vm` machines have in common: networks, what is on their disks, their plugs |
//! | `beside` | the same of the processes that run for them |
//! | `container` | `container` machines |
//! | `vm` | `vm` machines |
//! | `roster` | those that run |
//! | `outside` | their ports, at addresses outside that lead to them |
//! | `routers` | what leads from one network of whole systems to another, and outside |

mod beside;
mod bridges;
mod cloud;
mod container;
mod disks;
pub mod inside;
mod interfaces;
mod iso;
mod namespace;
mod outside;
mod root;
mod roster;
mod routers;
mod ssh;
mod system;
mod vm;

use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::net::TcpListener;

use crate::Trouble;
use crate::lab::Shared;
use crate::world::guest::{Guest, Power};
use crate::world::roots::Strength;
use crate::world::{Order, World};

pub(crate) use cloud::addresses_of;
use namespace::{Ended, Ids, Namespace};
use root::Spec;
use roster::Door;
pub(crate) use roster::{Machine, Machines};
pub(crate) use system::System;
pub(crate) use vm::{Accelerator, accelerator};

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

/// Finds out whether `container` machines can be started here; returns why not.
pub(crate) fn no_containers(lab: &Path) -> Option<String> {
    container::probe(lab)
}

/// Finds out whether `vm` machines can be started here; returns why not.
pub(crate) async fn no_vms() -> Option<String> {
    vm::probe().await
}

/// Starts, ends and forgets machines as the world orders it.
pub(crate) async fn work(shared: Arc<Shared>) {
    let folder = shared.folder().join("machines");
    begin_again(&shared, &folder).await;
    let mut beside = tokio::task::JoinSet::new();
    beside.spawn(outside::open(shared.clone()));
    beside.spawn(routers::keep(shared.clone()));
    let mut waiting: Vec<Order> = Vec::new();
    let mut under_way = tokio::task::JoinSet::new();
    let mut busy: BTreeMap<tokio::task::Id, Vec<u32>> = BTreeMap::new();
    loop {
        while let Some(done) = under_way.try_join_next_with_id() {
            let id = match done {
                Ok((id, ())) => id,
                Err(error) => error.id(),
            };
            busy.remove(&id);
        }
        waiting.extend(shared.take_orders());
        // What is ordered for one machine is done in its order, machines beside one another.
        let mut taken: BTreeSet<u32> = busy.values().flatten().copied().collect();
        for order in std::mem::take(&mut waiting) {
            let machines = order.machines();
            let has_to_wait = machines.iter().any(|vmid| taken.contains(vmid));
            taken.extend(machines.iter().copied());
            if has_to_wait {
                waiting.push(order);
                continue;
            }
            let (shared, folder) = (shared.clone(), folder.clone());
            let task = under_way.spawn(async move {
                if let Err(trouble) = carry_out(&shared, &folder, order.clone()).await {
                    shared.note(format!("{order:?}: {trouble}"));
                }
            });
            busy.insert(task.id(), machines);
        }
        pull_cables(&shared);
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Pulls the cables of machines with a system of their own that are cut off, and plugs in those of all others.
fn pull_cables(shared: &Shared) {
    let systems = shared.machines.systems().clone();
    if systems.is_empty() {
        return;
    }
    let cut = shared.with(|world| world.cluster.faults.cut.clone());
    for (vmid, system) in systems {
        if let Err(trouble) = system.set_cut(cut.contains(&vmid)) {
            shared.note(format!("the cable of machine {vmid}: {trouble}"));
        }
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
    let all = Arc::clone(shared);
    // Archives have many files, and nothing waits for them to go.
    tokio::spawn(async move {
        let _alone = all.machines.unpacking.lock().await;
        let lab = all.folder().to_owned();
        // What stays is tried again the next time.
        let _ = tokio::task::spawn_blocking(move || container::image::tidy(&lab)).await;
    });
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
            let system = shared.machines.system(vmid);
            if let Some(vm) = system.as_deref().and_then(System::vm) {
                return vm.reset().await.map_err(Trouble::Refused);
            }
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
        Order::Copy(from, to, names) => {
            copy_of(shared, from, &place(from), &place(to)).await?;
            disks::rename(&place(to), &names)
        }
        Order::MoveDisk(vmid, from, to) => disks::rename(&place(vmid), &[(from, to)]),
        Order::Grow(vmid, disk, bytes) => {
            let system = shared.machines.system(vmid);
            let vm = system.as_deref().and_then(System::vm);
            let slot = shared.with(|world| world.guests.get(&vmid)?.slot_of(&disk));
            match vm.zip(slot) {
                Some((vm, slot)) => vm.grow(&slot, bytes).await.map_err(Trouble::Refused),
                None => container::grow(&place(vmid), &disk, bytes),
            }
        }
        Order::PowerButton(vmid) => match shared.machines.system(vmid) {
            Some(system) => system.press_button().await,
            None => Ok(()),
        },
        Order::Hold(vmid) => hold(shared, vmid).await,
        Order::SetClock(vmid) => match shared.machines.system(vmid) {
            Some(system) => {
                let ahead = |world: &World| world.cluster.faults.ahead_of_machine(vmid);
                system.set_clock(shared.with(ahead)).await
            }
            None => Ok(()),
        },
        Order::Keep(vmid, name) => copy_of(shared, vmid, &place(vmid), &kept(vmid, &name)).await,
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
        Order::NewHostKey(vmid) => {
            if let Some(system) = shared.machines.system(vmid) {
                return system.change_host_key().await;
            }
            match shared.machines.get(vmid) {
                Some(machine) => ssh::change_host_key(&machine).await,
                None => Ok(()),
            }
        }
        Order::Readdress(vmid) => readdress(shared, vmid).await,
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

/// Copies what the machine of a guest holds. A virtual machine is held still for so long: what it has written is in its files then.
async fn copy_of(shared: &Shared, vmid: u32, from: &Path, to: &Path) -> Result<(), Trouble> {
    let system = shared.machines.system(vmid);
    if let Some(vm) = system.as_deref().and_then(System::vm) {
        vm.hold().await.map_err(Trouble::Refused)?;
    }
    let copied = copy(from, to).await;
    hold(shared, vmid).await?;
    copied
}

/// Holds a virtual machine still, if its guest is paused, or lets it go on.
async fn hold(shared: &Shared, vmid: u32) -> Result<(), Trouble> {
    let system = shared.machines.system(vmid);
    let Some(vm) = system.as_deref().and_then(System::vm) else {
        return Ok(());
    };
    let power = |world: &World| world.guests.get(&vmid).map(|guest| guest.power);
    let held = match shared.with(power) {
        Some(Power::Paused) => vm.hold().await,
        _ => vm.go_on().await,
    };
    held.map_err(Trouble::Refused)
}

async fn end(shared: &Shared, vmid: u32) {
    let system = shared.machines.systems().remove(&vmid);
    if let Some(system) = system {
        system.end();
        system.ended().await;
        shared.change(|world| world.alive.remove(&vmid));
    }
    if let Some(machine) = shared.machines.take(vmid) {
        machine.end();
        machine.namespace.ended().await;
    }
}

/// Returns what a guest is told, with the seed in one of its drives, if there is one.
fn told(world: &World, guest: &Guest) -> cloud::Told {
    if let Some(seed) = &guest.seed {
        return cloud::of_files(&cloud::with_network(seed, &guest.config), &guest.config);
    }
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

/// Returns the addresses outside that lead to a `process` machine, each of which is a network by itself. Where the network outside is
/// none of the host's loopback, its addresses lead to whole systems alone, by routers.
fn floating_of(guest: &Guest) -> Vec<(Ipv4Addr, u8)> {
    let floating = guest.floating.iter().map(|(outside, _)| *outside);
    let floating = floating.filter(Ipv4Addr::is_loopback);
    floating.map(|outside| (outside, 32)).collect()
}

/// What is needed to start a machine.
struct Plan {
    spec: Spec,
    addresses: Vec<(Ipv4Addr, u8)>,
    port: u16,
}

fn plan(world: &mut World, vmid: u32, before: Option<&Spec>) -> Option<Plan> {
    let boot_id = world.cluster.draw.uuid();
    let guest = world.guests.get(&vmid).filter(|guest| guest.is_running())?;
    let told = told(world, guest);
    let floating = floating_of(guest);
    let mut addresses = own_addresses(&told.addresses);
    if let (true, Some(before)) = (addresses.is_empty(), before) {
        addresses.clone_from(&before.addresses);
    }
    let lease = match addresses.is_empty() && told.network.is_dynamic {
        true => guest.lease.or_else(|| world.free_lease()),
        false => None,
    };
    addresses.extend(lease);
    if addresses.is_empty() {
        return None;
    }
    let own = addresses.clone();
    addresses.extend(floating);
    let others = world
        .guests
        .values()
        .filter(|other| other.vmid != vmid)
        .flat_map(|other| {
            own_addresses(&addresses_of(&other.config))
                .into_iter()
                .chain(other.lease)
                .map(|(address, _)| (address.to_string(), other.name()))
        });
    let name = told.hostname.unwrap_or_else(|| guest.name());
    let hostname = name.split('.').next().unwrap_or(&name).to_owned();
    let spec = Spec {
        fqdn: told.fqdn.unwrap_or_else(|| name.clone()),
        hostname,
        instance: told.instance,
        boot_id,
        addresses: own,
        has_users: Ids::here().is_range(),
        people: told.people,
        host_keys: told.host_keys,
        files: told.files,
        commands: told.commands,
        hosts: others.collect(),
        ignored: told.ignored,
    };
    if let (Some(_), Some(guest)) = (lease, world.guests.get_mut(&vmid)) {
        guest.lease = lease;
    }
    Some(Plan {
        spec,
        addresses,
        port: world.cluster.site.ssh_port,
    })
}

/// Starts the machine of a guest, if it has one.
async fn start(shared: &Arc<Shared>, place: &Path, vmid: u32) -> Result<(), Trouble> {
    end(shared, vmid).await;
    let strength = |world: &World| world.guests.get(&vmid).map(|it| world.strength_of(it));
    let started = match shared.with(strength) {
        Some(Strength::Container) => container::start(shared, place, vmid).await,
        Some(Strength::Vm) => vm::start(shared, place, vmid).await,
        Some(Strength::Process) => return start_process(shared, place, vmid).await,
        None => Ok(None),
    };
    match started {
        Ok(Some(system)) => {
            let ended = system.watch();
            shared.machines.systems().insert(vmid, Arc::new(system));
            shared.change(|world| world.alive.insert(vmid));
            notice(shared, vmid, ended);
            Ok(())
        }
        // It was switched off meanwhile.
        Ok(None) => Ok(()),
        Err(trouble) => {
            // It is off, then, and says why in the status.
            shared.change(|world| world.power_off(vmid));
            Err(trouble)
        }
    }
}

/// A machine that goes down by itself is noticed.
fn notice(shared: &Arc<Shared>, vmid: u32, ended: impl Future<Output = Ended> + Send + 'static) {
    let shared = shared.clone();
    tokio::spawn(async move {
        match ended.await {
            Ended::Reboot => shared.change(|world| {
                if let Some(guest) = world.guests.get_mut(&vmid) {
                    guest.started = crate::world::now();
                }
                world.orders.push(Order::Start(vmid));
            }),
            Ended::Ordered => {}
            Ended::Off => shared.change(|world| {
                world.alive.remove(&vmid);
                world.power_off(vmid);
            }),
        }
    });
}

async fn start_process(shared: &Arc<Shared>, place: &Path, vmid: u32) -> Result<(), Trouble> {
    // One that is gone already, or that has no address here, has no machine.
    let before = Spec::of_before(place);
    let Some(mut plan) = shared.change(|world| plan(world, vmid, before.as_ref())) else {
        return Ok(());
    };
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
    for (address, bits) in &plan.addresses {
        let socket = listen(*address, plan.port).await;
        let socket = socket.inspect_err(|_| namespace.end())?;
        sockets.push((*address, *bits, socket));
    }
    let ended = namespace.watch();
    let doors = sockets.into_iter();
    let doors = doors.map(|(address, bits, socket)| door(shared, vmid, address, bits, socket));
    let machine = Arc::new(Machine {
        vmid,
        name: plan.spec.hostname,
        namespace,
        doors: Mutex::new(doors.collect()),
    });
    shared.machines.put(machine);
    notice(shared, vmid, ended);
    Ok(())
}

async fn listen(address: Ipv4Addr, port: u16) -> Result<TcpListener, Trouble> {
    let wanted = SocketAddr::from((address, port));
    let listener = TcpListener::bind(wanted).await;
    listener.map_err(|error| Trouble::File {
        path: wanted.to_string(),
        error,
    })
}

/// Lets people in at an address.
fn door(shared: &Arc<Shared>, vmid: u32, address: Ipv4Addr, bits: u8, socket: TcpListener) -> Door {
    Door {
        address,
        bits,
        listener: tokio::spawn(ssh::serve(shared.clone(), vmid, socket)),
    }
}

/// Lets a `process` machine that runs listen at the addresses that its guest has by now.
async fn readdress(shared: &Arc<Shared>, vmid: u32) -> Result<(), Trouble> {
    let wanted = shared.with(|world| {
        let guest = world.guests.get(&vmid)?;
        let mut wanted = own_addresses(&addresses_of(&guest.config));
        wanted.extend(floating_of(guest));
        Some((wanted, world.cluster.site.ssh_port))
    });
    let (Some(machine), Some((wanted, port))) = (shared.machines.get(vmid), wanted) else {
        return Ok(());
    };
    for (address, bits) in machine.keep(&wanted) {
        let socket = listen(address, port).await?;
        let door = door(shared, vmid, address, bits, socket);
        machine.doors().push(door);
    }
    Ok(())
}
