//! The machines that run, by number, address and name.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use super::bridges::Bridges;
use super::namespace::{Ids, Namespace};
use super::system::System;

/// The machines that run.
#[derive(Debug, Default)]
pub(crate) struct Machines {
    running: Mutex<BTreeMap<u32, Arc<Machine>>>,
    systems: Mutex<BTreeMap<u32, Arc<System>>>,
    /// Held while an archive is unpacked, which two machines may want at once.
    pub(super) unpacking: tokio::sync::Mutex<()>,
    /// Held while cables are plugged in.
    pub(super) plugging: tokio::sync::Mutex<()>,
}

/// A `process` machine that runs.
#[derive(Debug)]
pub(crate) struct Machine {
    pub vmid: u32,
    pub name: String,
    pub namespace: Namespace,
    /// Where people come in; the first is at the machine's own address.
    pub(super) doors: Mutex<Vec<Door>>,
}

/// An address at which a machine listens.
#[derive(Debug)]
pub(super) struct Door {
    pub address: Ipv4Addr,
    /// The bits of its network.
    pub bits: u8,
    pub listener: tokio::task::JoinHandle<()>,
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
            .find(|machine| machine.addresses().iter().any(|(own, _)| *own == address))
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

    pub(super) fn put(&self, machine: Arc<Machine>) {
        self.running
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(machine.vmid, machine);
    }

    pub(super) fn take(&self, vmid: u32) -> Option<Arc<Machine>> {
        self.running
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&vmid)
    }

    pub(super) fn systems(&self) -> std::sync::MutexGuard<'_, BTreeMap<u32, Arc<System>>> {
        self.systems.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns a machine with a system of its own: a `container` machine or a `vm` machine.
    pub(crate) fn system(&self, vmid: u32) -> Option<Arc<System>> {
        self.systems().get(&vmid).cloned()
    }

    /// Returns where a machine lets people in.
    pub(crate) fn doors(&self, vmid: u32, port: u16) -> Option<Vec<String>> {
        if let Some(machine) = self.get(vmid) {
            let addresses = machine.addresses().into_iter();
            return Some(
                addresses
                    .map(|(address, _)| format!("{address}:{port}"))
                    .collect(),
            );
        }
        let system = self.system(vmid)?;
        let addresses = system.addresses.iter();
        Some(addresses.map(|address| format!("{address}:22")).collect())
    }

    /// Ends all machines, and removes the networks of a lab.
    pub(crate) async fn end_all(&self, lab: &Path) {
        let running =
            std::mem::take(&mut *self.running.lock().unwrap_or_else(PoisonError::into_inner));
        for machine in running.values() {
            machine.end();
        }
        let systems = std::mem::take(&mut *self.systems());
        for system in systems.values() {
            system.end();
        }
        for system in systems.values() {
            system.ended().await;
        }
        if Ids::here().is_range() {
            Bridges::of(lab).remove();
        }
    }
}

impl Machine {
    /// Returns where it is, with the bits of each network; its own address comes first.
    pub(crate) fn addresses(&self) -> Vec<(Ipv4Addr, u8)> {
        let doors = self.doors();
        doors.iter().map(|door| (door.address, door.bits)).collect()
    }

    pub(super) fn doors(&self) -> std::sync::MutexGuard<'_, Vec<Door>> {
        self.doors.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Closes the doors at addresses that are not among some, and returns those of them at which there is none yet.
    pub(super) fn keep(&self, wanted: &[(Ipv4Addr, u8)]) -> Vec<(Ipv4Addr, u8)> {
        let mut doors = self.doors();
        doors.retain(|door| {
            let is_kept = wanted.contains(&(door.address, door.bits));
            if !is_kept {
                door.listener.abort();
            }
            is_kept
        });
        let is_new =
            |(address, _): &&(Ipv4Addr, u8)| !doors.iter().any(|door| door.address == *address);
        wanted.iter().filter(is_new).copied().collect()
    }

    pub(super) fn end(&self) {
        for door in self.doors().iter() {
            door.listener.abort();
        }
        self.namespace.end();
    }
}
