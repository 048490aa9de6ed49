//! Making of a machine what is wanted: only what differs is written, against the digest of what was read, and what was
//! read is edited, never built anew for a slot that is in use.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use dmp_sdk::{AttributePath, Diagnostic, Value};

use super::edit::{edit_device, edit_disk, is_cloud_init};
use super::settings::SETTINGS;
use super::wanted::{self, CloudInit, flag, text};
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

/// Kept for the first boot alone.
pub(super) fn has_seed(guest: &Guest) -> Option<String> {
    let drive = guest.properties(SEED_SLOT)?;
    let volume = drive.bare()?;
    volume.contains(":iso/dmp-seed-").then(|| volume.to_owned())
}

const TRIES: Duration = Duration::from_secs(120);
const LOCKED: Duration = Duration::from_secs(600);
