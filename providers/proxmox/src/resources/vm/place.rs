//! Where a machine and its disks are: its node, its pool, the storages and sizes of its disks. All of it changes in place.

use std::time::Duration;

use dmp_sdk::{AttributePath, Diagnostic, Value};

use super::edit::is_cloud_init;
use super::wanted::{self, text};
use super::{DISC_SLOT, Task, make};
use crate::client::{Method, parameters};
use crate::cluster::guest_path;
use crate::guest::{Guest, storage_of};
use crate::property::Properties;
use crate::values;

impl Task<'_> {
    /// Moves disks to other storages, and grows them.
    pub(super) async fn shape_disks(
        &self,
        guest: Guest,
        wanted: &Value,
    ) -> Result<Guest, Diagnostic> {
        let mut guest = guest;
        let at = guest_path(&guest.node, guest.vmid);
        let mut is_changed = false;
        for (index, disk) in wanted::disks(wanted).iter().enumerate() {
            let Some(found) = guest.properties(&disk.slot) else {
                continue;
            };
            let storage = found.bare().and_then(storage_of);
            if let (Some(to), Some(from)) = (&disk.storage, storage)
                && to != from
            {
                self.cx
                    .begin(&format!("move `{}` to `{to}`", disk.slot))
                    .await?;
                let form = parameters([("disk", &disk.slot), ("storage", to), ("delete", "1")]);
                let path = format!("{at}/move_disk");
                let moved =
                    self.write_and_follow(Method::Post, &path, &form, "the move", make::COPIES);
                moved
                    .await
                    .map_err(|error| error.diagnostic("cannot move a disk"))?;
                is_changed = true;
            }
            let (Some(size), Some(has)) =
                (disk.size_gib, found.get("size").and_then(values::bytes))
            else {
                continue;
            };
            let wants = u64::try_from(size).unwrap_or_default() << 30;
            if values::gib(has) > size {
                return Err(Diagnostic::error("shrinks", "a disk can't shrink")
                    .detail(format!(
                        "`{}` has {} GiB already: so large is its image or its template's disk",
                        disk.slot,
                        values::gib(has)
                    ))
                    .path(AttributePath::of("disk").index(index).member("size_gib"))
                    .help(format!("write at least {}", values::gib(has))));
            }
            if has < wants {
                self.cx
                    .begin(&format!("grow `{}` to {size} GiB", disk.slot))
                    .await?;
                let form = parameters([("disk", &disk.slot), ("size", &format!("{size}G"))]);
                let path = format!("{at}/resize");
                let grown = self.write_and_follow(Method::Put, &path, &form, "the growth", GROWTH);
                match grown.await {
                    Ok(()) => {}
                    // An absolute size: where nobody knows it is looked at, and said again.
                    Err(error) if error.is_unknown() => {}
                    Err(error) => return Err(error.diagnostic("cannot grow a disk")),
                }
                is_changed = true;
            }
        }
        if is_changed {
            guest = self.again(&guest).await?;
        }
        Ok(guest)
    }

    /// Moves the machine to the node where it is wanted.
    pub(super) async fn migrate(&self, guest: Guest, wanted: &Value) -> Result<Guest, Diagnostic> {
        let Some(node) = text(wanted, "node").filter(|node| *node != guest.node) else {
            return Ok(guest);
        };
        let guest = self.unlocked(guest).await?;
        let guest = self.open_drive(guest, wanted).await?;
        self.cx
            .begin(&format!(
                "move {} from {} to {node}",
                guest.vmid, guest.node
            ))
            .await?;
        let mut form = parameters([("target", &node)]);
        if guest.is_running() {
            form.extend(parameters([("online", "1"), ("with-local-disks", "1")]));
        }
        let path = format!("{}/migrate", guest_path(&guest.node, guest.vmid));
        let moved = self
            .write_and_follow(Method::Post, &path, &form, "the migration", make::COPIES)
            .await;
        match moved {
            Ok(()) => {}
            Err(error) if error.is_unknown() => {}
            Err(error) => return Err(error.diagnostic("cannot move a machine")),
        }
        let moved = self
            .again(&Guest {
                node: node.clone(),
                ..guest
            })
            .await?;
        let moved = self.unlocked(moved).await?;
        match moved.node == node {
            true => Ok(moved),
            false => Err(
                Diagnostic::remote("proxmox", "cannot move a machine").cause(format!(
                    "its task has ended and it is on `{}` still",
                    moved.node
                )),
            ),
        }
    }

    /// A disc that lies on one node alone keeps its machine there: one that is to go anyway goes before.
    async fn open_drive(&self, guest: Guest, wanted: &Value) -> Result<Guest, Diagnostic> {
        let disc = guest.properties(DISC_SLOT);
        let disc = disc.filter(|disc| disc.get("media") == Some("cdrom") && !is_cloud_init(disc));
        let volume = disc.as_ref().and_then(Properties::bare);
        let volume = volume.filter(|volume| *volume != "none");
        if volume.is_none() || volume == text(wanted, "iso").as_deref() {
            return Ok(guest);
        }
        self.cx
            .begin(&format!("take the disc out of {}", guest.vmid))
            .await?;
        let path = format!("{}/config", guest_path(&guest.node, guest.vmid));
        let form = parameters([(DISC_SLOT, "none,media=cdrom")]);
        let is_out = |guest: &Guest| {
            let disc = guest.properties(DISC_SLOT);
            disc.is_none_or(|disc| disc.bare() == Some("none"))
        };
        self.put_seen(&guest, &path, &form, is_out).await
    }

    pub(super) async fn put_in_pool(
        &self,
        guest: &Guest,
        wanted: &Value,
    ) -> Result<(), Diagnostic> {
        let Some(prior) = self.job.prior else {
            return Ok(());
        };
        let (before, after) = (text(prior, "pool"), text(wanted, "pool"));
        if before == after {
            return Ok(());
        }
        let id = guest.vmid.to_string();
        let form = match (before, &after) {
            (_, Some(pool)) => {
                self.cx
                    .begin(&format!("put {id} into the pool `{pool}`"))
                    .await?;
                parameters([("poolid", pool), ("vms", &id), ("allow-move", "1")])
            }
            (Some(pool), None) => {
                self.cx
                    .begin(&format!("take {id} out of the pool `{pool}`"))
                    .await?;
                parameters([("poolid", &pool), ("vms", &id), ("delete", "1")])
            }
            (None, None) => return Ok(()),
        };
        let put = self
            .cluster
            .client
            .write(Method::Put, "/pools", &form)
            .await;
        put.map(drop)
            .map_err(|error| error.diagnostic("cannot change a pool"))
    }
}

const GROWTH: Duration = Duration::from_secs(1800);
