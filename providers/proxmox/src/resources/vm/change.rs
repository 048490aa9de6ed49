//! Making of a machine what is wanted: only what differs is written, against the digest of what was read, and what was
//! read is edited, never built anew for a slot that is in use.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use dmp_sdk::{AttributePath, Diagnostic, Value};

use super::settings::SETTINGS;
use super::wanted::{self, CloudInit, Device, Disk, flag, text};
use super::{DISC_SLOT, DRIVE_SLOT, SEED_SLOT, Task, make};
use crate::client::{ApiError, Method, Parameters, Pauses, parameters};
use crate::cluster::guest_path;
use crate::guest::{Guest, storage_of};
use crate::property::{NotAProperty, Properties};
use crate::values;

/// What is to be written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Changes {
    /// Keys with their new values.
    pub set: BTreeMap<String, String>,
    /// Keys that go.
    pub delete: BTreeSet<String>,
    /// Disks that go with their volumes.
    pub destroy: BTreeSet<String>,
    /// Whether a volume is made or taken out, which may take long.
    pub is_slow: bool,
}

impl Changes {
    fn is_empty(&self) -> bool {
        self.set.is_empty() && self.delete.is_empty() && self.destroy.is_empty()
    }
}

impl Task<'_> {
    /// Changes the machine in place.
    pub(super) async fn update(&self) -> Result<(), Diagnostic> {
        let wanted = self.job.wanted()?;
        let guest = self.own_guest().await?.ok_or_else(|| {
            Diagnostic::remote("proxmox", "cannot change a machine")
                .cause("it is gone, or its id is another's now: its UUID is not the recorded one")
                .help("plan again: what is gone is made anew")
        })?;
        let guest = self.migrate(guest, wanted).await?;
        let guest = self.configure(guest, wanted).await?;
        self.put_in_pool(&guest, wanted).await?;
        self.set_power(guest, wanted, false).await
    }

    /// Writes settings, moves and grows disks. Returns the machine as it is then.
    pub(super) async fn configure(
        &self,
        guest: Guest,
        wanted: &Value,
    ) -> Result<Guest, Diagnostic> {
        let mut guest = self.unlocked(guest).await?;
        let mut pauses = Pauses::new();
        let until = Instant::now() + TRIES;
        loop {
            let changes = self.changes(&guest, wanted)?;
            if changes.is_empty() {
                break;
            }
            self.cx.begin(&title(&guest, &changes)).await?;
            match self.write(&guest, &changes).await {
                Ok(()) => {
                    guest = self.again(&guest).await?;
                    break;
                }
                // Somebody else has written, or nobody knows: what differs still is written anew.
                Err(error) if error.is_stale() || error.is_locked() || error.is_unknown() => {
                    guest = self.again(&guest).await?;
                    guest = self.unlocked(guest).await?;
                    if !pauses.wait(until, None).await {
                        return Err(error.diagnostic("cannot change a machine"));
                    }
                }
                Err(error) => {
                    // What can't be plugged while it runs waits for a reboot.
                    guest = self.again(&guest).await?;
                    let is_parked = error.to_string().contains("hotplug problem");
                    match is_parked && self.changes(&guest, wanted)?.is_empty() {
                        true => break,
                        false => return Err(error.diagnostic("cannot change a machine")),
                    }
                }
            }
        }
        self.shape_disks(guest, wanted).await
    }

    /// What of the machine differs from what is wanted.
    pub(super) fn changes(&self, guest: &Guest, wanted: &Value) -> Result<Changes, Diagnostic> {
        let mut changes = Changes {
            set: self.wanted_settings(guest, wanted),
            ..Changes::default()
        };
        let described = guest.described();
        let told = wanted::cloud_init(wanted);
        // A machine that is to be told something is finished when it has been, or when that lies in its drive.
        let awaits_boot = described.is_making && told.as_ref().is_some_and(|told| told.by_seed);
        let description = self.description(wanted, !awaits_boot);
        if guest.get("description").map(str::trim_end) != Some(description.trim_end()) {
            changes.set.insert("description".into(), description);
        }
        self.drive_changes(guest, wanted, told.as_ref(), &mut changes);
        self.disk_changes(guest, wanted, &mut changes)?;
        self.device_changes(guest, wanted, &mut changes)?;
        if wanted.get("startup").is_null() && guest.get("startup").is_some() {
            changes.delete.insert("startup".into());
        }
        if flag(wanted, "serial") == Some(false) && guest.get("serial0").is_some() {
            changes.delete.insert("serial0".into());
        }
        Ok(changes)
    }

    /// Settings of one value each that differ. All that a new machine gets in its first call is among them.
    pub(super) fn wanted_settings(
        &self,
        guest: &Guest,
        wanted: &Value,
    ) -> BTreeMap<String, String> {
        let mut set = BTreeMap::new();
        for setting in SETTINGS {
            if let Some(text) = setting.write(guest, wanted) {
                set.insert(setting.key.to_owned(), text);
            }
        }
        let mut differing = |key: &str, text: String| {
            if guest.get(key) != Some(&text) {
                set.insert(key.to_owned(), text);
            }
        };
        if let Some(name) = text(wanted, "name") {
            differing("name", name);
        }
        let tags = self.tags(guest, wanted);
        if values::tags(&tags) != values::tags(guest.get("tags").unwrap_or_default()) {
            differing("tags", tags);
        }
        // What was imported keeps the UUID that it had.
        let recorded = self.job.prior.map(|prior| prior.get("uuid"));
        let has_own = recorded
            .as_ref()
            .is_some_and(|uuid| uuid.as_str() == guest.uuid().as_deref());
        let is_making = guest.described().is_making || guest.uuid().is_none();
        if guest.uuid().as_deref() != Some(&self.identity.uuid) && (is_making || !has_own) {
            let mut smbios = guest.properties("smbios1").unwrap_or_default();
            if smbios.set("uuid", &self.identity.uuid).is_ok() {
                differing("smbios1", smbios.to_string());
            }
        }
        if flag(wanted, "serial") == Some(true) && guest.get("serial0").is_none() {
            differing("serial0", "socket".into());
        }
        let startup = startup(&wanted.get("startup"));
        if let Some(startup) = startup.filter(|text| !same_properties(guest.get("startup"), text)) {
            differing("startup", startup);
        }
        let order = wanted.get("boot_order");
        let order = order
            .as_items()
            .map(|_| wanted::texts(wanted, "boot_order"));
        let first = wanted::disks(wanted)
            .into_iter()
            .next()
            .map(|disk| vec![disk.slot]);
        let is_new = guest.vmid == 0;
        let order = order
            .filter(|order| !order.is_empty())
            .or(first.filter(|_| is_new));
        if let Some(order) = order {
            let text = format!("order={}", order.join(";"));
            if !same_properties(guest.get("boot"), &text) {
                differing("boot", text);
            }
        }
        if is_new {
            for (number, device) in wanted::devices(wanted).iter().enumerate() {
                if let Ok(text) = edit_device(Properties::default(), device, None) {
                    differing(&format!("net{number}"), text);
                }
            }
            let efi = wanted.get("efi_disk");
            if let Some(storage) = text(&efi, "storage") {
                let keys = flag(&efi, "pre_enrolled_keys").unwrap_or(false);
                let keys = values::switch(keys);
                differing(
                    "efidisk0",
                    format!("{storage}:1,efitype=4m,pre-enrolled-keys={keys}"),
                );
            }
        }
        if let Some(told) = wanted::cloud_init(wanted).filter(|told| !told.by_seed) {
            drive_settings(guest, &told, &mut set);
            let has_drive = guest.drives().any(|(_, drive)| is_cloud_init(&drive));
            if !has_drive {
                let disks = wanted::disks(wanted);
                let of_disk = disks.iter().find_map(|disk| disk.storage.clone());
                let of_guest = guest
                    .disks()
                    .find_map(|(_, disk)| storage_of(disk.bare()?).map(str::to_owned));
                if let Some(storage) = told.storage.or(of_disk).or(of_guest) {
                    set.insert(DRIVE_SLOT.into(), format!("{storage}:cloudinit"));
                }
            }
        }
        set
    }

    /// The drive for discs, and a template's cloud-init drive where a seed image takes its place.
    fn drive_changes(
        &self,
        guest: &Guest,
        wanted: &Value,
        told: Option<&CloudInit>,
        changes: &mut Changes,
    ) {
        let disc = guest.properties(DISC_SLOT);
        let has = disc
            .as_ref()
            .filter(|drive| drive.get("media") == Some("cdrom") && !is_cloud_init(drive));
        let has = has
            .and_then(Properties::bare)
            .filter(|volume| *volume != "none");
        let volume = text(wanted, "iso");
        match (&volume, has) {
            (Some(volume), has) if has != Some(volume) => {
                changes
                    .set
                    .insert(DISC_SLOT.into(), format!("{volume},media=cdrom"));
            }
            (None, Some(_)) => {
                changes.delete.insert(DISC_SLOT.into());
            }
            _ => {}
        }
        if told.is_some_and(|told| told.by_seed) {
            let own = guest.drives().filter(|(_, drive)| is_cloud_init(drive));
            changes.delete.extend(own.map(|(slot, _)| slot.to_owned()));
        }
        changes.delete.retain(|key| !changes.set.contains_key(key));
    }

    fn disk_changes(
        &self,
        guest: &Guest,
        wanted: &Value,
        changes: &mut Changes,
    ) -> Result<(), Diagnostic> {
        let disks = wanted::disks(wanted);
        let before = self.job.prior.map(wanted::disks).unwrap_or_default();
        for (index, disk) in disks.iter().enumerate() {
            let Some(found) = guest.properties(&disk.slot) else {
                changes.set.insert(disk.slot.clone(), make::new_disk(disk));
                changes.is_slow = true;
                continue;
            };
            let old = before.iter().find(|old| old.slot == disk.slot);
            let edited = edit_disk(found.clone(), disk, old);
            let edited = edited.map_err(|error| not_a_property(&error, "disk", index))?;
            if edited != found {
                changes.set.insert(disk.slot.clone(), edited.to_string());
            }
        }
        let gone = before.iter().map(|disk| &disk.slot);
        let gone = gone.filter(|slot| !disks.iter().any(|disk| disk.slot == **slot));
        let gone: BTreeSet<String> = gone
            .filter(|slot| guest.get(slot).is_some())
            .cloned()
            .collect();
        if !gone.is_empty() {
            changes.is_slow = true;
            match text(wanted, "removed_disks").as_deref() {
                Some("delete") => changes.destroy.extend(gone),
                _ => changes.delete.extend(gone),
            }
        }
        Ok(())
    }

    fn device_changes(
        &self,
        guest: &Guest,
        wanted: &Value,
        changes: &mut Changes,
    ) -> Result<(), Diagnostic> {
        if wanted.get("network").is_null() {
            return Ok(());
        }
        let devices = wanted::devices(wanted);
        let before = self.job.prior.map(wanted::devices).unwrap_or_default();
        for (number, device) in devices.iter().enumerate() {
            let key = format!("net{number}");
            let found = guest.properties(&key).unwrap_or_default();
            let edited = edit_device(found.clone(), device, before.get(number));
            let edited = edited.map_err(|error| not_a_property(&error, "network", number))?;
            if edited != found.to_string() {
                changes.set.insert(key, edited);
            }
        }
        for number in devices.len()..32 {
            let key = format!("net{number}");
            if guest.get(&key).is_some() {
                changes.delete.insert(key);
            }
        }
        Ok(())
    }

    async fn write(&self, guest: &Guest, changes: &Changes) -> Result<(), ApiError> {
        let path = format!("{}/config", guest_path(&guest.node, guest.vmid));
        let mut digest = guest.digest.clone();
        if !changes.set.is_empty() || !changes.delete.is_empty() {
            let mut form: Parameters = changes.set.clone().into_iter().collect();
            if !changes.delete.is_empty() {
                let keys: Vec<&str> = changes.delete.iter().map(String::as_str).collect();
                form.push(("delete".into(), keys.join(",")));
            }
            form.extend(digest.take().map(|digest| ("digest".to_owned(), digest)));
            self.put(&path, &form, changes.is_slow).await?;
        }
        if !changes.destroy.is_empty() {
            let keys: Vec<&str> = changes.destroy.iter().map(String::as_str).collect();
            let mut form = parameters([("delete", &keys.join(",")), ("force", "1")]);
            form.extend(digest.map(|digest| ("digest".to_owned(), digest)));
            self.put(&path, &form, true).await?;
        }
        let by_drive = changes.set.keys().any(|key| is_drive_key(key));
        let is_there = guest.drives().any(|(_, drive)| is_cloud_init(&drive));
        if by_drive && is_there {
            // The image is made anew, so that the next boot finds what was written.
            let path = format!("{}/cloudinit", guest_path(&guest.node, guest.vmid));
            self.cluster
                .client
                .write(Method::Put, &path, &Vec::new())
                .await?;
        }
        Ok(())
    }

    /// What may take long is a task; the rest is answered at once.
    pub(super) async fn put(
        &self,
        path: &str,
        form: &Parameters,
        is_slow: bool,
    ) -> Result<(), ApiError> {
        match is_slow {
            true => {
                let what = "the change";
                self.write_and_follow(Method::Post, path, form, what, make::COPIES)
                    .await
            }
            false => self
                .cluster
                .client
                .write(Method::Put, path, form)
                .await
                .map(drop),
        }
    }

    /// The machine once more.
    pub(super) async fn again(&self, guest: &Guest) -> Result<Guest, Diagnostic> {
        let found = self.own_guest_at(guest.vmid, guest.node.clone()).await?;
        found.ok_or_else(|| {
            Diagnostic::remote("proxmox", "cannot change a machine")
                .cause(format!("`{}` is gone while it was changed", guest.vmid))
        })
    }

    /// Waits until nobody else works on the machine.
    pub(super) async fn unlocked(&self, guest: Guest) -> Result<Guest, Diagnostic> {
        let mut guest = guest;
        let until = Instant::now() + LOCKED;
        let mut pauses = Pauses::new();
        while let Some(lock) = guest.lock().map(ToOwned::to_owned) {
            self.cx
                .waiting(&format!("the lock `{lock}` of {}", guest.vmid), LOCKED);
            if self.cx.is_cancelled() || !pauses.wait(until, None).await {
                return Err(Diagnostic::remote("locked", "a machine is locked")
                    .detail(format!("`{}` on node `{}` has the lock `{lock}`", guest.vmid, guest.node))
                    .help("wait for the task that has it; a lock that a dead task has left is removed by `qm unlock` on the node"));
            }
            guest = self.again(&guest).await?;
        }
        Ok(guest)
    }

    /// Moves disks to other storages, and grows them.
    async fn shape_disks(&self, guest: Guest, wanted: &Value) -> Result<Guest, Diagnostic> {
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
    async fn migrate(&self, guest: Guest, wanted: &Value) -> Result<Guest, Diagnostic> {
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

    async fn put_in_pool(&self, guest: &Guest, wanted: &Value) -> Result<(), Diagnostic> {
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

fn title(guest: &Guest, changes: &Changes) -> String {
    let keys = changes
        .set
        .keys()
        .chain(&changes.delete)
        .chain(&changes.destroy);
    let keys: Vec<&str> = keys.map(String::as_str).collect();
    format!("set {} of {}", keys.join(", "), guest.vmid)
}

fn not_a_property(error: &NotAProperty, attribute: &str, index: usize) -> Diagnostic {
    Diagnostic::error("wrong-argument", "unusable argument")
        .detail(error.to_string())
        .path(AttributePath::of(attribute).index(index))
}

fn is_cloud_init(drive: &Properties) -> bool {
    let volume = drive.bare().unwrap_or_default();
    volume.ends_with(":cloudinit") || volume.contains("-cloudinit")
}

fn is_drive_key(key: &str) -> bool {
    key.starts_with("ipconfig")
        || matches!(
            key,
            "ciuser" | "sshkeys" | "ciupgrade" | "nameserver" | "searchdomain" | "name"
        )
}

/// What Proxmox' own cloud-init drive is made of, where it differs.
fn drive_settings(guest: &Guest, told: &CloudInit, set: &mut BTreeMap<String, String>) {
    let mut differing = |key: &str, text: String| {
        if guest.get(key) != Some(&text) {
            set.insert(key.to_owned(), text);
        }
    };
    differing("ciuser", told.user.clone());
    differing("ciupgrade", values::switch(told.upgrade).to_owned());
    let keys: Vec<String> = told
        .ssh_keys
        .iter()
        .map(|key| key.trim().to_owned())
        .collect();
    if values::decode_keys(guest.get("sshkeys").unwrap_or_default()) != keys && !keys.is_empty() {
        differing("sshkeys", values::encode_keys(&keys));
    }
    for (number, network) in told.addresses.iter().enumerate() {
        let key = format!("ipconfig{number}");
        if let Some(text) = network
            .property()
            .filter(|text| !same_properties(guest.get(&key), text))
        {
            differing(&key, text);
        }
    }
    if !told.nameservers.is_empty() {
        differing("nameserver", told.nameservers.join(" "));
    }
    if !told.search_domains.is_empty() {
        differing("searchdomain", told.search_domains.join(" "));
    }
}

fn startup(value: &Value) -> Option<String> {
    if value.is_null() {
        return None;
    }
    let parts = [
        ("order", "order"),
        ("up_seconds", "up"),
        ("down_seconds", "down"),
    ];
    let parts: Vec<String> = parts
        .into_iter()
        .filter_map(|(name, key)| Some(format!("{key}={}", wanted::number(value, name)?)))
        .collect();
    (!parts.is_empty()).then(|| parts.join(","))
}

/// Whether a property string says the same, in whatever order.
fn same_properties(found: Option<&str>, text: &str) -> bool {
    let sorted = |text: &str| {
        let mut parts: Vec<String> = text.split(',').map(|part| part.trim().to_owned()).collect();
        parts.sort();
        parts
    };
    found.is_some_and(|found| sorted(found) == sorted(text))
}

fn edit_disk(
    found: Properties,
    disk: &Disk,
    before: Option<&Disk>,
) -> Result<Properties, NotAProperty> {
    let mut edited = found;
    for (key, value) in &disk.options {
        let is_so = match edited.get(key) {
            Some(has) => has == value || (values::is_true(has) && values::is_true(value)),
            // Backup and replication are on where nothing is said, all else is off.
            None => match *key {
                "backup" | "replicate" => value == "1",
                _ => value == "0" || value == "ignore",
            },
        };
        if !is_so {
            edited.set(key, value)?;
        }
    }
    for (key, _) in before.into_iter().flat_map(|before| &before.options) {
        if !disk.options.iter().any(|(name, _)| name == key) {
            edited.remove(key);
        }
    }
    Ok(edited)
}

fn edit_device(
    found: Properties,
    device: &Device,
    before: Option<&Device>,
) -> Result<String, NotAProperty> {
    let mut edited = found;
    if edited.first().is_none() {
        let model = device.model.as_deref().unwrap_or("virtio");
        match &device.mac {
            Some(mac) => edited.set(model, mac)?,
            None => edited.set_bare(model)?,
        }
    } else {
        if let Some(model) = &device.model
            && edited.first().is_some_and(|(has, _)| has != model)
        {
            edited.rename_first(model);
        }
        if let Some(mac) = &device.mac {
            let first = edited
                .first()
                .map(|(model, has)| (model.to_owned(), has.to_owned()));
            if let Some((model, has)) = first
                && !has.eq_ignore_ascii_case(mac)
            {
                edited.set(&model, mac)?;
            }
        }
    }
    if let Some(bridge) = &device.bridge
        && edited.get("bridge") != Some(bridge)
    {
        edited.set("bridge", bridge)?;
    }
    for (key, value) in &device.options {
        let is_off = value == "0" && edited.get(key).is_none();
        if !is_off && edited.get(key) != Some(value) {
            edited.set(key, value)?;
        }
    }
    for (key, _) in before.into_iter().flat_map(|before| &before.options) {
        if !device.options.iter().any(|(name, _)| name == key) {
            edited.remove(key);
        }
    }
    Ok(edited.to_string())
}

/// Kept for the first boot alone.
pub(super) fn has_seed(guest: &Guest) -> Option<String> {
    let drive = guest.properties(SEED_SLOT)?;
    let volume = drive.bare()?;
    volume.contains(":iso/dmp-seed-").then(|| volume.to_owned())
}

const TRIES: Duration = Duration::from_secs(120);
const LOCKED: Duration = Duration::from_secs(600);
const GROWTH: Duration = Duration::from_secs(1800);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_keeps_its_address_and_what_nobody_named() {
        let found = Properties::parse("virtio=BC:24:11:EE:3A:A7,bridge=vmbr0,tag=5,rate=3");
        let wanted = Device {
            bridge: Some("vmbr1".into()),
            options: vec![("firewall", "1".into()), ("mtu", "1400".into())],
            ..Device::default()
        };
        let before = Device {
            options: vec![("tag", "5".into())],
            ..Device::default()
        };
        assert_eq!(
            edit_device(found, &wanted, Some(&before)).as_deref(),
            Ok("virtio=BC:24:11:EE:3A:A7,bridge=vmbr1,rate=3,firewall=1,mtu=1400")
        );
        let new = edit_device(Properties::default(), &wanted, None);
        assert_eq!(
            new.as_deref(),
            Ok("virtio,bridge=vmbr1,firewall=1,mtu=1400")
        );
    }

    #[test]
    fn a_disk_is_edited_and_never_built_anew() {
        let text = "shr:700/vm-700-disk-0.qcow2,aio=native,discard=on,size=8G";
        let found = Properties::parse(text);
        let same = Disk {
            options: vec![
                ("discard", "on".into()),
                ("backup", "1".into()),
                ("ssd", "0".into()),
            ],
            ..Disk::default()
        };
        assert_eq!(edit_disk(found.clone(), &same, None), Ok(found.clone()));
        let other = Disk {
            options: vec![("backup", "0".into())],
            ..Disk::default()
        };
        let edited = edit_disk(found, &other, Some(&same)).expect("a disk");
        assert_eq!(
            edited.to_string(),
            "shr:700/vm-700-disk-0.qcow2,aio=native,size=8G,backup=0"
        );
    }
}
