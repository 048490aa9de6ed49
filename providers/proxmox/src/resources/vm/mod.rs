//! `proxmox_vm`: one virtual machine.
//!
//! Its id is chosen from the environment's range and recorded before the call that makes it; the call carries the mark in
//! the description. Tag and SMBIOS UUID follow, and tell it from copies. Every write waits for its task; what it made is
//! read back by the engine.

mod change;
mod edit;
mod first_boot;
mod make;
mod place;
mod plan;
mod power;
mod read;
mod remove;
mod schema;
mod settings;
pub(crate) mod wanted;

use async_trait::async_trait;
use dmp_sdk::{
    Answers, Candidate, Change, Cx, Diagnostic, Effect, FailureDomain, Fetch, Job, Known, Mark,
    Object, Purpose, Reading, Resource, Schema, Value, Verb, Work, configured,
};
use serde_json::Value as Json;

use crate::client::items;
use crate::cluster::{self, Cluster, Look, Question};
use crate::guest::Guest;
use crate::identity::Identity;
use crate::values;

/// Where the seed image is during the first boot.
pub(crate) const SEED_SLOT: &str = "scsi30";
/// Where Proxmox' own cloud-init drive is.
pub(crate) const DRIVE_SLOT: &str = "scsi29";
/// The drive for discs.
pub(crate) const DISC_SLOT: &str = "ide2";

/// The resource type.
pub(crate) struct Vm {
    schema: Schema,
}

impl Vm {
    pub(crate) fn new() -> Self {
        Self {
            schema: schema::schema(),
        }
    }
}

/// The id of a machine that is known.
fn vmid(known: &Known<'_>) -> Option<u32> {
    known.id.and_then(|id| id.parse().ok())
}

/// Guests of the listing that may be an instance's: its recorded id, its tag.
fn suspects<'a>(guests: &'a Json, id: Option<u32>, identity: &Identity) -> Vec<&'a Json> {
    let is_one = |guest: &&Json| {
        let is_id = id.is_some() && values::number(guest, "vmid") == id.map(i64::from);
        let tags = values::tags(guest["tags"].as_str().unwrap_or_default());
        guest["type"] == "qemu" && (is_id || tags.contains(&identity.tag))
    };
    items(guests).iter().filter(is_one).collect()
}

fn look(listed: &Json, purpose: Purpose, known: &Known<'_>) -> Result<Fetch, Diagnostic> {
    let vmid = values::number(listed, "vmid").and_then(|id| u32::try_from(id).ok());
    let status = listed["status"].as_str().unwrap_or_default();
    let recorded = known.attributes.get("started").as_bool();
    // A listing tells a state late: where it is not the recorded one the machine is asked itself.
    let is_as_recorded = recorded == Some(status == "running") && status != "unknown";
    let is_whole_look = purpose != Purpose::Refresh;
    let told = wanted::cloud_init(known.attributes);
    // What was to get an address by DHCP and has none yet is asked for it in each plan, once and without waiting.
    let by_agent = match &told {
        Some(told) => told.is_dynamic(),
        None => is_whole_look,
    };
    let has_no_address = known.attributes.get("address").is_null();
    let look = Look {
        vmid: vmid.unwrap_or_default(),
        node: values::text(listed, "node").unwrap_or_default(),
        status: is_whole_look || !is_as_recorded || by_agent && has_no_address,
        settled: matches!(purpose, Purpose::Settle | Purpose::Suspect),
        agent: by_agent && has_no_address,
    };
    Question::Guest(look).fetch()
}

fn guest_of(answer: &Json) -> Result<Option<Guest>, Diagnostic> {
    serde_json::from_value(answer.clone())
        .map_err(|error| Diagnostic::bug(format!("an answer about a guest: {error}")))
}

/// Whether a guest is an instance's own. A copy has another UUID, whatever it inherits.
fn is_own(guest: &Guest, identity: &Identity, recorded: Option<&str>, id: Option<u32>) -> bool {
    let uuid = guest.uuid();
    let described = guest.described();
    let is_marked = described.mark.as_ref() == Some(&identity.mark);
    let is_known_uuid =
        uuid.is_some() && (uuid.as_deref() == recorded || uuid.as_deref() == Some(&identity.uuid));
    // Between the call that makes it and the one that finishes it a clone has a UUID that the server chose.
    let is_unfinished = is_marked && described.is_making && id == Some(guest.vmid);
    is_known_uuid || is_unfinished
}

impl Vm {
    fn object(known: &Known<'_>, guest: &Guest, listed: &Json, storages: Option<&Json>) -> Object {
        let chosen = known.chosen.get("public_key");
        let recorded = known.attributes.get("host_key");
        let told = wanted::cloud_init(known.attributes);
        let host_key = match told.filter(|told| told.host_key) {
            Some(_) => recorded.as_str().or(chosen.as_str()).map(ToOwned::to_owned),
            None => recorded.as_str().map(ToOwned::to_owned),
        };
        let beside = read::Beside {
            known: known.attributes,
            listed,
            storages,
            host_key,
            is_import: known.purpose == Purpose::Import,
        };
        let mut attributes = read::attributes(guest, &beside);
        let identity = known.mark.map(Identity::of);
        if let Some(identity) = identity.filter(|_| guest.described().is_making) {
            // What the server chose for a clone does not stay.
            attributes = attributes.with("uuid", identity.uuid.into());
        }
        Object {
            attributes,
            id: Some(guest.vmid.to_string()),
        }
    }

    fn absent(known: &Known<'_>, id: u32, answers: Answers<'_>) -> Result<Reading, Diagnostic> {
        let path = format!("/vms/{id}");
        // The listing leaves out silently what may not be seen.
        let told = (1..answers.len()).find_map(|index| {
            let answer = answers.json(index).ok()?;
            answer.get("quorate").map(|_| answer)
        });
        match told {
            Some(answer) => {
                cluster::believe(answer, &path)?;
                match known.purpose {
                    Purpose::Import => Err(Diagnostic::error("not-found", "no such machine")
                        .detail(format!("the cluster has no machine with the id {id}"))),
                    _ => Ok(Reading::Absent),
                }
            }
            None => Ok(Reading::More(vec![Question::Authority { path }.fetch()?])),
        }
    }
}

#[async_trait]
impl Resource for Vm {
    fn schema(&self) -> &Schema {
        &self.schema
    }

    fn fetches(&self, known: &Known<'_>) -> Result<Vec<Fetch>, Diagnostic> {
        if known.purpose == Purpose::DryRun {
            return Ok(Vec::new());
        }
        Ok(vec![Question::Guests.fetch()?])
    }

    fn parse(&self, known: &Known<'_>, answers: Answers<'_>) -> Result<Reading, Diagnostic> {
        let guests = answers.json(0)?;
        if known.purpose == Purpose::Settle {
            return self.look_for(known, answers);
        }
        let Some(id) = vmid(known) else {
            return match (known.purpose, known.id) {
                (Purpose::Import, Some(id)) => {
                    Err(Diagnostic::error("import-id", "not the id of a machine")
                        .detail(format!("`{id}` is no number"))
                        .help("the id of a machine is its VMID, such as `101`"))
                }
                _ => Ok(Reading::Absent),
            };
        };
        let Some(listed) = cluster::listed(guests, id) else {
            return Self::absent(known, id, answers);
        };
        let Some(answer) = answers.0.get(1).and_then(|answer| answer.json()) else {
            return Ok(Reading::More(vec![look(listed, known.purpose, known)?]));
        };
        // It has gone since it was listed.
        let Some(guest) = guest_of(answer)? else {
            return Self::absent(known, id, answers);
        };
        let recorded = known.attributes.get("uuid");
        if known.purpose != Purpose::Import {
            let identity = known.mark.map(Identity::of);
            let is_own = identity
                .as_ref()
                .is_none_or(|identity| is_own(&guest, identity, recorded.as_str(), Some(id)));
            if !is_own {
                // The id has been given to somebody else: ours is gone.
                return Self::absent(known, id, answers);
            }
        }
        let storages = answers.0.get(2).and_then(|answer| answer.json());
        if storages.is_none() && !read::knows_domains(&guest, known.attributes) {
            return Ok(Reading::More(vec![
                Question::Path("/storage".into()).fetch()?,
            ]));
        }
        let object = Self::object(known, &guest, listed, storages);
        Ok(match read::unfinished(&guest, &guest.described()) {
            Some(why) if known.purpose != Purpose::Import => Reading::HalfMade(object, why),
            _ => Reading::Found(object),
        })
    }

    fn find(&self, known: &Known<'_>, answers: Answers<'_>) -> Result<Vec<Candidate>, Diagnostic> {
        let Some(mark) = known.mark else {
            return Ok(Vec::new());
        };
        let identity = Identity::of(mark);
        let recorded = known.attributes.get("uuid");
        let id = vmid(known);
        let mut candidates = Vec::new();
        let storages = answers.0.get(1).and_then(|answer| answer.json());
        for index in 2..answers.len() {
            let Some(guest) = guest_of(answers.json(index)?)? else {
                continue;
            };
            let listed = cluster::listed(answers.json(0)?, guest.vmid);
            let described = guest.described();
            if described.mark.is_none() && guest.lock() == Some("create") && id == Some(guest.vmid)
            {
                return Err(Diagnostic::remote("being-made", "a machine is still being made")
                    .detail(format!(
                        "`{}` on node `{}` has the lock `create` and no mark yet, so whose it is can't be told",
                        guest.vmid, guest.node
                    ))
                    .help("run it again when its task has ended"));
            }
            if !is_own(&guest, &identity, recorded.as_str(), id) {
                continue;
            }
            let listed = listed.unwrap_or(&Json::Null);
            candidates.push(Candidate {
                object: Self::object(known, &guest, listed, storages),
                half_made: read::unfinished(&guest, &described),
            });
        }
        Ok(candidates)
    }

    fn plan(&self, change: &mut Change<'_>) -> Result<(), Diagnostic> {
        plan::plan(change)
    }

    fn plan_delete(&self, prior: &Value) -> (Vec<Effect>, Vec<String>) {
        plan::plan_delete(prior)
    }

    fn holds_data(&self, value: &Value) -> dmp_sdk::HoldsData {
        let is_primary = wanted::disks(value).iter().any(|disk| disk.primary);
        match is_primary {
            true => dmp_sdk::HoldsData::Primary,
            false => dmp_sdk::HoldsData::None,
        }
    }

    fn is_off(&self, value: &Value) -> bool {
        value.get("started").as_bool() == Some(false)
    }

    fn failure_domains(&self, value: &Value) -> Vec<FailureDomain> {
        let named = |text: String| {
            let (kind, name) = text.split_once(':')?;
            Some(FailureDomain {
                kind: kind.to_owned(),
                name: name.to_owned(),
            })
        };
        let texts = wanted::texts(value, "failure_domains").into_iter();
        texts.filter_map(named).collect()
    }

    /// The host key of the first boot.
    fn choose(&self, _mark: &Mark, _wanted: &Value) -> Result<Value, Diagnostic> {
        dmp_cloud::host_key()
    }

    fn work(&self, _job: &Job<'_>) -> Result<Work, Diagnostic> {
        Ok(Work::Calls)
    }

    async fn call(&self, cx: &dyn Cx, job: &Job<'_>) -> Result<(), Diagnostic> {
        let cluster: &Cluster = configured(cx.provider())?;
        let task = Task {
            cx,
            job,
            cluster,
            identity: Identity::of(job.mark),
        };
        match job.verb {
            Verb::Create => task.create().await,
            Verb::Update => task.update().await,
            Verb::Delete | Verb::Leave => task.remove().await,
        }
    }
}

impl Vm {
    /// What a create that was cut off may have left is looked at, each of it.
    fn look_for(&self, known: &Known<'_>, answers: Answers<'_>) -> Result<Reading, Diagnostic> {
        let Some(mark) = known.mark.filter(|_| answers.len() == 1) else {
            return Ok(Reading::Absent);
        };
        let suspects = suspects(answers.json(0)?, vmid(known), &Identity::of(mark));
        if suspects.is_empty() {
            return Ok(Reading::Absent);
        }
        let mut more = vec![Question::Path("/storage".into()).fetch()?];
        for listed in suspects {
            more.push(look(listed, Purpose::Settle, known)?);
        }
        Ok(Reading::More(more))
    }
}

/// One piece of work on one machine.
struct Task<'a> {
    cx: &'a dyn Cx,
    job: &'a Job<'a>,
    cluster: &'a Cluster,
    identity: Identity,
}

impl Task<'_> {
    /// The machine as it is now, if it is there and the instance's own. It is asked before anything is changed or removed.
    async fn own_guest(&self) -> Result<Option<Guest>, Diagnostic> {
        let Some(id) = self.job.id.and_then(|id| id.parse().ok()) else {
            return Ok(None);
        };
        let known = self.job.prior.or(self.job.wanted);
        let node = known.and_then(|known| wanted::text(known, "node"));
        self.own_guest_at(id, node.unwrap_or_default()).await
    }

    async fn own_guest_at(&self, vmid: u32, node: String) -> Result<Option<Guest>, Diagnostic> {
        let look = Look {
            vmid,
            node,
            status: true,
            settled: true,
            agent: false,
        };
        let found = self.cluster.look(&look).await;
        let found = found.map_err(|error| error.diagnostic("cannot look at a machine"))?;
        let recorded = self.job.prior.map(|prior| prior.get("uuid"));
        let recorded = recorded.as_ref().and_then(Value::as_str);
        Ok(found.filter(|guest| is_own(guest, &self.identity, recorded, Some(vmid))))
    }
}
