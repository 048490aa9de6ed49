//! The first boot: the seed image is put in before, and taken out and removed when the machine has come up.

use std::time::{Duration, Instant};

use dmp_cloud::FirstBoot;
use dmp_sdk::{Diagnostic, Machine, Value};
use serde_json::Value as Json;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

use super::change::has_seed;
use super::wanted::{self, CloudInit, text};
use super::{SEED_SLOT, Task, read};
use crate::client::Upid;
use crate::client::{ApiError, Method, Upload, UploadSource, Watch, items, parameters};
use crate::cluster::{Look, guest_path};
use crate::guest::{Guest, storage_of};
use crate::seed::{Network, Seed};
use crate::values;

impl Task<'_> {
    /// Uploads the seed image and puts it into its drive, unless it is there.
    pub(super) async fn offer_seed(
        &self,
        guest: Guest,
        wanted: &Value,
    ) -> Result<Guest, Diagnostic> {
        let Some(told) = wanted::cloud_init(wanted).filter(|told| told.by_seed) else {
            return Ok(guest);
        };
        if has_seed(&guest).is_some() {
            return Ok(guest);
        }
        let storage = match &told.seed_storage {
            Some(storage) => storage.clone(),
            None => self.disc_storage(&guest.node).await?,
        };
        let name = self.seed_name();
        let seed = self.seed(&guest, wanted, told);
        let upload = Upload {
            content: "iso",
            name: name.clone(),
            sha256: None,
            source: UploadSource::Bytes(seed.image()),
        };
        self.cx
            .begin(&format!(
                "upload what {} is told at its first boot to `{storage}`",
                guest.vmid
            ))
            .await?;
        // An upload under the same name takes the place of the one before: it may be sent again.
        let mut sent = self
            .cluster
            .client
            .upload(&guest.node, &storage, &upload)
            .await;
        if sent.as_ref().is_err_and(ApiError::is_unknown) {
            sent = self
                .cluster
                .client
                .upload(&guest.node, &storage, &upload)
                .await;
        }
        let sent = sent.map_err(|error| error.diagnostic("cannot upload a seed image"))?;
        if let Some(upid) = Upid::of(&sent) {
            let watch = Watch {
                cx: self.cx,
                what: "the upload",
                within: UPLOAD,
            };
            let ended = self.cluster.client.follow(&upid, watch).await;
            ended.map_err(|error| error.diagnostic("cannot upload a seed image"))?;
        }
        self.cx
            .begin(&format!("put the seed image into {}", guest.vmid))
            .await?;
        let path = format!("{}/config", guest_path(&guest.node, guest.vmid));
        let form = parameters([(SEED_SLOT, &format!("{storage}:iso/{name},media=cdrom"))]);
        self.put_seen(&guest, &path, &form, |guest| has_seed(guest).is_some())
            .await
    }

    /// A change that is looked at where its answer was lost.
    pub(super) async fn put_seen(
        &self,
        guest: &Guest,
        path: &str,
        form: &Vec<(String, String)>,
        is_done: impl Fn(&Guest) -> bool,
    ) -> Result<Guest, Diagnostic> {
        let put = self.put(path, form, false).await;
        let now = self.again(guest).await?;
        match put {
            Ok(()) => Ok(now),
            Err(_) if is_done(&now) => Ok(now),
            Err(error) => Err(error.diagnostic("cannot change a machine")),
        }
    }

    fn seed(&self, guest: &Guest, wanted: &Value, told: CloudInit) -> Seed {
        let private = text(self.job.chosen, "private_key");
        let public = text(self.job.chosen, "public_key");
        let macs = guest.macs();
        let with_mac = |(number, network): (usize, Network)| Network {
            mac: macs.get(&number).cloned(),
            ..network
        };
        Seed {
            instance: self.identity.uuid.clone(),
            told: FirstBoot {
                name: text(wanted, "name").unwrap_or_default(),
                user: told.user,
                keys: told.ssh_keys,
                host_key: private.zip(public).filter(|_| told.host_key),
                upgrade: told.upgrade,
            },
            more: text(wanted, "user_data"),
            networks: told
                .addresses
                .into_iter()
                .enumerate()
                .map(with_mac)
                .collect(),
            nameservers: told.nameservers,
            domains: told.search_domains,
        }
    }

    /// The first storage of a node that takes discs.
    async fn disc_storage(&self, node: &str) -> Result<String, Diagnostic> {
        let path = format!("/nodes/{}/storage", values::segment(node));
        let asked = parameters([("content", "iso"), ("enabled", "1")]);
        let storages = self.cluster.client.get_with(&path, &asked).await;
        let storages = storages.map_err(|error| error.diagnostic("cannot list storages"))?;
        let takes_discs = |storage: &&Json| {
            let content = storage["content"].as_str().unwrap_or_default();
            content.split(',').any(|kind| kind.trim() == "iso") && values::flag(storage, "active")
        };
        let mut names: Vec<String> = items(&storages)
            .iter()
            .filter(takes_discs)
            .filter_map(|storage| values::text(storage, "storage"))
            .collect();
        names.sort();
        names.into_iter().next().ok_or_else(|| {
            Diagnostic::error("no-storage", "no storage for a seed image")
                .detail(format!(
                    "node `{node}` has no active storage with the content type `iso`"
                ))
                .help("add `iso` to the content types of one, or name one by `seed_storage`")
        })
    }

    /// Waits until a machine that was told something has come up, then takes the seed image out and removes it.
    pub(super) async fn see_first_boot(
        &self,
        guest: Guest,
        wanted: &Value,
    ) -> Result<(), Diagnostic> {
        let is_new = guest.described().is_making || has_seed(&guest).is_some();
        let told = wanted::cloud_init(wanted);
        let waits_for_address = told.as_ref().is_some_and(CloudInit::is_dynamic)
            && self
                .job
                .prior
                .is_none_or(|prior| prior.get("address").is_null());
        if !is_new && !waits_for_address {
            return Ok(());
        }
        if told.is_some() {
            self.comes_up(&guest, wanted).await?;
        }
        if is_new {
            self.take_seed_out(guest, wanted).await
        } else {
            Ok(())
        }
    }

    async fn comes_up(&self, guest: &Guest, wanted: &Value) -> Result<(), Diagnostic> {
        let seconds = wanted.get("boot_seconds").as_i64().unwrap_or(300);
        let within = Duration::from_secs(u64::try_from(seconds).unwrap_or(300));
        let until = Instant::now() + within;
        let told = wanted::cloud_init(wanted);
        let fixed = told.as_ref().and_then(CloudInit::fixed_address);
        let has_agent = guest.has_agent();
        let name = text(wanted, "name").unwrap_or_default();
        self.cx.waiting(&format!("`{name}` comes up"), within);
        let mut why;
        loop {
            match &fixed {
                Some(address) => match self.answers(address, wanted).await {
                    Ok(()) => return Ok(()),
                    Err(error) => why = format!("{address}: {error}"),
                },
                None if !has_agent => {
                    return Err(Diagnostic::error("no-address", "nobody can tell a machine's address")
                        .detail("its address comes by DHCP, and it has no guest agent to tell it")
                        .help("give it a fixed address in `cloud_init`, or the agent: `agent = true`, and the package in its image"));
                }
                None => {
                    let look = Look {
                        vmid: guest.vmid,
                        node: guest.node.clone(),
                        status: true,
                        settled: false,
                        agent: true,
                    };
                    match self.cluster.look(&look).await {
                        Ok(Some(found)) if read::agent_address(&found).is_some() => return Ok(()),
                        Ok(Some(found)) if found.interfaces.is_null() => {
                            why = "its guest agent does not answer".into();
                        }
                        Ok(_) => why = "its guest agent knows no address yet".into(),
                        Err(error) => why = error.to_string(),
                    }
                }
            }
            if self.cx.is_cancelled() {
                return Err(Diagnostic::error("stopped", "stopped on request"));
            }
            if Instant::now() >= until {
                return Err(Diagnostic::remote("not-up", "a machine did not come up")
                    .detail(format!("`{name}` after {} s: {why}", within.as_secs()))
                    .help("look at its console; the next apply goes on waiting. Where only another machine reaches it, name that as `bastion`"));
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    }

    /// Whether an SSH server answers, here or behind the machines that lead there. By then cloud-init has written keys and user.
    async fn answers(&self, address: &str, wanted: &Value) -> Result<(), String> {
        let machine = read::connection(wanted, address);
        let port = machine.as_ref().map_or(22, |machine| machine.port);
        let bastion = wanted.get("bastion");
        let via = match bastion.is_null() {
            true => None,
            false => Some(Machine::from_value(&bastion).map_err(|error| error.to_string())?),
        };
        let words = |error: std::io::Error| error.to_string();
        let mut greeting = [0; 4];
        let heard = async {
            match via {
                Some(via) => {
                    let stream = self.cluster.machines.open_stream(&via, address, port);
                    let mut stream = stream.await.map_err(|error| error.to_string())?;
                    stream.read_exact(&mut greeting).await.map_err(words)
                }
                None => {
                    let stream = TcpStream::connect((address, port));
                    let mut stream = stream.await.map_err(words)?;
                    stream.read_exact(&mut greeting).await.map_err(words)
                }
            }
        };
        match tokio::time::timeout(GREETING, heard).await {
            Err(_) => Err("no answer".into()),
            Ok(Err(error)) => Err(error),
            Ok(Ok(_)) if &greeting == b"SSH-" => Ok(()),
            Ok(Ok(_)) => Err("what answers is no SSH server".into()),
        }
    }

    async fn take_seed_out(&self, guest: Guest, wanted: &Value) -> Result<(), Diagnostic> {
        let path = format!("{}/config", guest_path(&guest.node, guest.vmid));
        let mut guest = self.again(&guest).await?;
        if let Some(volume) = has_seed(&guest) {
            self.cx
                .begin(&format!("take the seed image out of {}", guest.vmid))
                .await?;
            let form = parameters([("delete", SEED_SLOT)]);
            let out = self.put(&path, &form, false).await;
            guest = self.again(&guest).await?;
            if out.is_err() && has_seed(&guest).is_some() {
                // What can't be unplugged can be opened.
                let form = parameters([(SEED_SLOT, "none,media=cdrom")]);
                guest = self
                    .put_seen(&guest, &path, &form, |guest| has_seed(guest).is_none())
                    .await?;
            }
            self.remove_seed(&guest, &volume).await?;
        }
        self.finish(&guest, wanted).await
    }

    /// Says in the description that the machine is whole.
    pub(super) async fn finish(&self, guest: &Guest, wanted: &Value) -> Result<(), Diagnostic> {
        if !guest.described().is_making {
            return Ok(());
        }
        self.cx
            .begin(&format!("say that {} is finished", guest.vmid))
            .await?;
        let path = format!("{}/config", guest_path(&guest.node, guest.vmid));
        let form = parameters([("description", &self.description(wanted, true))]);
        let whole = |guest: &Guest| !guest.described().is_making;
        self.put_seen(guest, &path, &form, whole).await.map(drop)
    }

    /// The seed image of a machine that is about to go: the one in its drive, or one that was uploaded and is in none yet.
    pub(super) async fn seed_left(&self, guest: &Guest) -> Result<Option<String>, Diagnostic> {
        if let Some(volume) = has_seed(guest) {
            return Ok(Some(volume));
        }
        let prior = self.job.prior.filter(|_| guest.described().is_making);
        let told = prior.and_then(wanted::cloud_init);
        let Some(told) = told.filter(|told| told.by_seed) else {
            return Ok(None);
        };
        let storage = match told.seed_storage {
            Some(storage) => storage,
            None => self.disc_storage(&guest.node).await?,
        };
        let volume = format!("{storage}:iso/{}", self.seed_name());
        let is_there = self.has_file(&guest.node, &volume).await?;
        Ok(is_there.then_some(volume))
    }

    fn seed_name(&self) -> String {
        format!("dmp-seed-{}.iso", self.identity.uuid)
    }

    async fn has_file(&self, node: &str, volume: &str) -> Result<bool, Diagnostic> {
        let storage = storage_of(volume).unwrap_or_default();
        let path = format!(
            "/nodes/{}/storage/{}/content?content=iso",
            values::segment(node),
            values::segment(storage)
        );
        let files = self.cluster.client.get(&path).await;
        let files = files.map_err(|error| error.diagnostic("cannot list a storage"))?;
        Ok(items(&files).iter().any(|file| file["volid"] == volume))
    }

    /// Removes a seed image; already gone is success.
    pub(super) async fn remove_seed(&self, guest: &Guest, volume: &str) -> Result<(), Diagnostic> {
        self.cx
            .begin(&format!("remove the seed image of {}", guest.vmid))
            .await?;
        let path = format!(
            "/nodes/{}/storage/{}/content/{}",
            values::segment(&guest.node),
            values::segment(storage_of(volume).unwrap_or_default()),
            values::segment(volume)
        );
        let removed = self
            .write_and_follow(Method::Delete, &path, &Vec::new(), "the removal", UPLOAD)
            .await;
        let Err(error) = removed else {
            return Ok(());
        };
        if let ApiError::Ended(diagnostic) = error {
            return Err(*diagnostic);
        }
        // Whatever became of the task, the file is gone or not.
        let until = Instant::now() + LOOK_AFTER;
        while self.has_file(&guest.node, volume).await? {
            if Instant::now() >= until {
                return Err(error.diagnostic("cannot remove a seed image"));
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        }
        Ok(())
    }
}

const UPLOAD: Duration = Duration::from_secs(300);
const GREETING: Duration = Duration::from_secs(5);
const LOOK_AFTER: Duration = Duration::from_secs(10);
const LOOK_AGAIN: Duration = Duration::from_millis(500);
