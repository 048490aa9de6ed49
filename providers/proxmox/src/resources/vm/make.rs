//! Making a machine: by one call that carries its id and its mark, then what that call can't take.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use dmp_sdk::{AttributePath, Diagnostic, Value};
use serde_json::Value as Json;

use super::wanted::{self, Disk, flag, text};
use super::{DISC_SLOT, Task};
use crate::client::{ApiError, Method, Parameters, Pauses, Upid, Watch, items};
use crate::cluster::guest_path;
use crate::guest::{Guest, storage_of};
use crate::identity::group_tag;
use crate::placement::Needs;
use crate::values;

/// What a machine is copied from.
struct Template {
    vmid: u32,
    node: String,
    is_template: bool,
    /// The storages of its disks.
    storages: Vec<String>,
}

impl Task<'_> {
    /// Makes the machine, or finishes one that was begun.
    pub(super) async fn create(&self) -> Result<(), Diagnostic> {
        let wanted = self.job.wanted()?;
        let guest = match self.own_guest().await? {
            Some(guest) => guest,
            None => self.make(wanted).await?,
        };
        let guest = self.configure(guest, wanted).await?;
        self.set_power(guest, wanted, true).await
    }

    async fn make(&self, wanted: &Value) -> Result<Guest, Diagnostic> {
        let template = self.template(wanted).await?;
        let node = self.place(wanted, template.as_ref()).await?;
        let name = text(wanted, "name").unwrap_or_default();
        for _ in 0..MOST_IDS {
            let id = self.claim(wanted).await?;
            let title = match &template {
                Some(template) => format!("clone {} as {id} (`{name}`) on {node}", template.vmid),
                None => format!("create {id} (`{name}`) on {node}"),
            };
            self.cx.begin(&title).await?;
            // The call below is accepted once at most; whatever becomes of its answer, this is where to look.
            self.cx.record_id(&id.to_string()).await?;
            let made = match &template {
                Some(template) => self.clone(wanted, template, id, &node).await,
                None => self.create_new(wanted, id, &node).await,
            };
            match made {
                Ok(()) => return self.made(id, node).await,
                Err(error) if error.is_taken() => {
                    // It may be this very machine, by a call that seemed to come to nothing.
                    if let Some(guest) = self.own_guest_at(id, node.clone()).await? {
                        return Ok(guest);
                    }
                    if !wanted.get("vmid").is_null() {
                        return Err(error.diagnostic("cannot create a machine"));
                    }
                }
                Err(error) if error.is_unknown() => {
                    self.cx.waiting("whether the machine came about", UNKNOWN);
                    return self.appears(id, node, &error).await;
                }
                Err(error) => return Err(error.diagnostic("cannot create a machine")),
            }
        }
        Err(Diagnostic::remote("proxmox", "cannot create a machine")
            .cause("each id that looked free was taken when it was asked for")
            .help("give each environment a range of its own: `vm_ids` of the provider"))
    }

    async fn claim(&self, wanted: &Value) -> Result<u32, Diagnostic> {
        if let Some(id) = wanted.get("vmid").as_i64() {
            return u32::try_from(id)
                .ok()
                .filter(|id| *id >= 100)
                .ok_or_else(|| {
                    Diagnostic::error("wrong-argument", "unusable argument")
                        .detail("an id is from 100 to 999999999")
                        .path(AttributePath::of("vmid"))
                });
        }
        let claimed = self.cluster.ids.claim(&self.cluster.client).await;
        claimed.map_err(|error| error.diagnostic("cannot find a free id"))
    }

    /// What was made, once its task has ended.
    async fn made(&self, id: u32, node: String) -> Result<Guest, Diagnostic> {
        self.own_guest_at(id, node).await?.ok_or_else(|| {
            Diagnostic::remote("proxmox", "cannot create a machine").cause(format!(
                "`{id}` was made and is not there, or is another's: its mark and its UUID do not agree"
            ))
        })
    }

    /// A call whose answer was lost may have been carried out: the machine is looked for.
    async fn appears(&self, id: u32, node: String, error: &ApiError) -> Result<Guest, Diagnostic> {
        let until = Instant::now() + UNKNOWN;
        let mut pauses = Pauses::new();
        loop {
            if let Some(guest) = self.own_guest_at(id, node.clone()).await? {
                return Ok(guest);
            }
            if !pauses.wait(until, None).await {
                return Err(error.diagnostic("cannot create a machine"));
            }
        }
    }

    /// The machine that is copied.
    async fn template(&self, wanted: &Value) -> Result<Option<Template>, Diagnostic> {
        let clone = wanted.get("clone");
        if clone.is_null() {
            return Ok(None);
        }
        let named = text(&clone, "template").unwrap_or_default();
        let guests = self.cluster.client.get("/cluster/resources?type=vm").await;
        let guests = guests.map_err(|error| error.diagnostic("cannot find a template"))?;
        let is_it = |guest: &&Json| {
            guest["type"] == "qemu"
                && (values::text(guest, "vmid").as_ref() == Some(&named)
                    || guest["name"].as_str() == Some(&named))
        };
        let found: Vec<&Json> = items(&guests).iter().filter(is_it).collect();
        let path = AttributePath::of("clone").member("template");
        let one = match found.as_slice() {
            [one] => *one,
            [] => {
                let names = items(&guests)
                    .iter()
                    .filter(|guest| values::flag(guest, "template"));
                let names: Vec<&str> = names.filter_map(|guest| guest["name"].as_str()).collect();
                return Err(Diagnostic::error("no-template", "no such template")
                    .detail(format!("no machine has the id or the name `{named}`"))
                    .path(path)
                    .help(format!("templates of the cluster: {}", names.join(", "))));
            }
            several => {
                let ids: Vec<String> = several
                    .iter()
                    .filter_map(|guest| values::text(guest, "vmid"))
                    .collect();
                return Err(
                    Diagnostic::error("no-template", "more than one template of a name")
                        .detail(format!("`{named}` is the name of {}", ids.join(", ")))
                        .path(path)
                        .help("name it by its id"),
                );
            }
        };
        let vmid = values::number(one, "vmid").and_then(|id| u32::try_from(id).ok());
        let (vmid, node) = (
            vmid.unwrap_or_default(),
            values::text(one, "node").unwrap_or_default(),
        );
        let config = self
            .cluster
            .client
            .get(&format!("{}/pending", guest_path(&node, vmid)))
            .await;
        let config = config.map_err(|error| error.diagnostic("cannot read a template"))?;
        let guest = Guest::of_pending(vmid, &node, &config);
        let storages = guest
            .drives()
            .filter_map(|(_, drive)| storage_of(drive.bare()?).map(ToOwned::to_owned));
        Ok(Some(Template {
            vmid,
            storages: storages.collect(),
            is_template: values::flag(one, "template"),
            node,
        }))
    }

    async fn place(
        &self,
        wanted: &Value,
        template: Option<&Template>,
    ) -> Result<String, Diagnostic> {
        if let Some(node) = text(wanted, "node") {
            return Ok(node);
        }
        let mib = wanted.get("memory_mib").as_i64().unwrap_or(DEFAULT_MEMORY);
        let mut needs = Needs {
            memory: u64::try_from(mib).unwrap_or_default() << 20,
            group: text(wanted, "group"),
            ..Needs::default()
        };
        let disks = wanted::disks(wanted);
        for disk in &disks {
            needs.storages.extend(disk.storage.clone());
            let image = disk.import_from.as_deref().and_then(storage_of);
            needs.storages.extend(image.map(ToOwned::to_owned));
        }
        if let Some(volume) = text(wanted, "iso") {
            needs
                .storages
                .extend(storage_of(&volume).map(ToOwned::to_owned));
        }
        if let Some(told) = wanted::cloud_init(wanted) {
            needs.storages.extend(told.storage);
            needs.storages.extend(told.seed_storage);
        }
        if let Some(template) = template {
            let storage = text(&wanted.get("clone"), "storage");
            needs.storages.extend(storage);
            if !self.are_shared(&template.storages).await? {
                // What lies on one node alone can be copied there alone.
                needs.nodes.push(template.node.clone());
            }
        }
        let chosen = self
            .cluster
            .placement
            .choose(&self.cluster.client, &needs)
            .await;
        chosen.map_err(|error| error.diagnostic("cannot place a machine"))
    }

    async fn are_shared(&self, storages: &[String]) -> Result<bool, Diagnostic> {
        let all = self.cluster.client.get("/storage").await;
        let all = all.map_err(|error| error.diagnostic("cannot list storages"))?;
        let is_shared = |name: &String| {
            let entry = items(&all)
                .iter()
                .find(|entry| entry["storage"] == name.as_str());
            entry.is_some_and(|entry| values::flag(entry, "shared"))
        };
        Ok(storages.iter().all(is_shared))
    }

    /// Does a write that is followed as a task, again where a lock was not to be had: then nothing was begun.
    pub(super) async fn write_and_follow(
        &self,
        method: Method,
        path: &str,
        parameters: &Parameters,
        what: &str,
        within: Duration,
    ) -> Result<(), ApiError> {
        let until = Instant::now() + LOCKS;
        let mut pauses = Pauses::new();
        loop {
            let answer = self.cluster.client.write(method, path, parameters).await?;
            let Some(upid) = Upid::of(&answer) else {
                return Ok(());
            };
            let watch = Watch {
                cx: self.cx,
                what,
                within,
            };
            match self.cluster.client.follow(&upid, watch).await {
                Ok(warnings) => {
                    if !warnings.is_empty() {
                        let warnings = warnings.join("; ");
                        self.cx
                            .waiting(&format!("{what}: done with warnings: {warnings}"), within);
                    }
                    return Ok(());
                }
                Err(error @ ApiError::Task(_)) if error.is_lock_timeout() || error.is_locked() => {
                    self.cx
                        .waiting(&format!("{what}: {}", lock_words(&error)), LOCKS);
                    if !pauses.wait(until, None).await {
                        return Err(error);
                    }
                }
                Err(error) => return Err(error),
            }
        }
    }

    async fn clone(
        &self,
        wanted: &Value,
        template: &Template,
        id: u32,
        node: &str,
    ) -> Result<(), ApiError> {
        let clone = wanted.get("clone");
        let is_full = flag(&clone, "full").unwrap_or(true) || !template.is_template;
        let mut parameters = vec![
            ("newid".to_owned(), id.to_string()),
            ("name".to_owned(), text(wanted, "name").unwrap_or_default()),
            ("full".to_owned(), values::switch(is_full).to_owned()),
            ("description".to_owned(), self.description(wanted, false)),
        ];
        if node != template.node {
            parameters.push(("target".into(), node.to_owned()));
        }
        let storage = text(&clone, "storage");
        if let Some(storage) = storage.clone().filter(|_| is_full) {
            parameters.push(("storage".into(), storage));
        }
        parameters.extend(text(wanted, "pool").map(|pool| ("pool".to_owned(), pool)));
        let onto = storage.or_else(|| template.storages.first().cloned());
        // A linked clone copies nothing.
        let _turn = match onto.filter(|_| is_full) {
            Some(storage) => {
                self.cx
                    .waiting(&format!("a turn to copy to `{storage}`"), COPIES);
                self.cluster.client.turn(&storage).await
            }
            None => None,
        };
        let path = format!("{}/clone", guest_path(&template.node, template.vmid));
        self.write_and_follow(Method::Post, &path, &parameters, "the clone", COPIES)
            .await
    }

    async fn create_new(&self, wanted: &Value, id: u32, node: &str) -> Result<(), ApiError> {
        let settings = self.new_settings(wanted);
        let mut parameters: Parameters = vec![("vmid".into(), id.to_string())];
        parameters.extend(settings);
        parameters.extend(text(wanted, "pool").map(|pool| ("pool".to_owned(), pool)));
        let disks = wanted::disks(wanted);
        let copied = disks.iter().find(|disk| disk.import_from.is_some());
        let _turn = match copied.and_then(|disk| disk.storage.clone()) {
            Some(storage) => {
                self.cx
                    .waiting(&format!("a turn to copy to `{storage}`"), COPIES);
                self.cluster.client.turn(&storage).await
            }
            None => None,
        };
        let path = format!("/nodes/{}/qemu", values::segment(node));
        self.write_and_follow(
            Method::Post,
            &path,
            &parameters,
            "the machine's making",
            COPIES,
        )
        .await
    }

    /// All settings of a new machine, of which each has a default that cloud images start with.
    fn new_settings(&self, wanted: &Value) -> BTreeMap<String, String> {
        let blank = Guest {
            // Nothing is taken for set already.
            settings: BTreeMap::from(
                [
                    ("cores", "0"),
                    ("sockets", "0"),
                    ("memory", "0"),
                    ("bios", "-"),
                    ("scsihw", "-"),
                    ("agent", "-"),
                ]
                .map(|(key, value)| (key.to_owned(), value.to_owned())),
            ),
            ..Guest::default()
        };
        let defaults = [
            ("scsi_hardware", Value::from("virtio-scsi-single")),
            ("os_type", "l26".into()),
            ("cpu_type", "x86-64-v2-AES".into()),
            ("cores", 1.into()),
            ("memory_mib", DEFAULT_MEMORY.into()),
            ("agent", true.into()),
            ("serial", true.into()),
        ];
        let wanted =
            defaults
                .into_iter()
                .fold(wanted.clone(), |wanted, (name, value)| {
                    match wanted.get(name).is_null() {
                        true => wanted.with(name, value),
                        false => wanted,
                    }
                });
        let mut settings = self.wanted_settings(&blank, &wanted);
        settings.insert("description".into(), self.description(&wanted, false));
        for disk in wanted::disks(&wanted) {
            settings.insert(disk.slot.clone(), new_disk(&disk));
        }
        if let Some(volume) = text(&wanted, "iso") {
            settings.insert(DISC_SLOT.into(), format!("{volume},media=cdrom"));
        }
        settings
    }

    /// The description with the mark in it.
    pub(super) fn description(&self, wanted: &Value, is_whole: bool) -> String {
        let text = text(wanted, "description");
        self.identity.describe(text.as_deref(), is_whole)
    }

    /// The tags with those that dmp needs.
    pub(super) fn tags(&self, guest: &Guest, wanted: &Value) -> String {
        let given = wanted.get("tags");
        let mut tags = match given.is_null() {
            // Nothing is said of them: they stay. A clone's come from its template, whose own are not its.
            true => values::tags(guest.get("tags").unwrap_or_default()),
            false => wanted::texts(wanted, "tags")
                .iter()
                .map(|tag| tag.to_ascii_lowercase())
                .collect(),
        };
        tags.retain(|tag| !crate::identity::is_own_tag(tag));
        tags.insert(self.identity.tag.clone());
        tags.extend(text(wanted, "group").map(|group| group_tag(&group)));
        values::join_tags(&tags)
    }
}

/// A new disk as the API takes it.
pub(super) fn new_disk(disk: &Disk) -> String {
    let storage = disk.storage.as_deref().unwrap_or_default();
    let size = disk.size_gib.unwrap_or(DEFAULT_DISK);
    let mut text = match &disk.import_from {
        // The size is the image's; it grows afterwards.
        Some(image) => format!("{storage}:0,import-from={image}"),
        None => format!("{storage}:{size}"),
    };
    if let Some(format) = &disk.format {
        text.push_str(&format!(",format={format}"));
    }
    for (key, value) in &disk.options {
        text.push_str(&format!(",{key}={value}"));
    }
    text
}

fn lock_words(error: &ApiError) -> String {
    match error {
        ApiError::Task(failure) => failure.exit.clone(),
        error => error.to_string(),
    }
}

/// What is chosen where nothing is said.
const DEFAULT_MEMORY: i64 = 2048;
const DEFAULT_DISK: i64 = 8;
const MOST_IDS: usize = 200;
/// A whole copy of a large disk takes its time.
pub(super) const COPIES: Duration = Duration::from_secs(2 * 3600);
const LOCKS: Duration = Duration::from_secs(300);
const UNKNOWN: Duration = Duration::from_secs(30);
