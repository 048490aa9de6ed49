//! `proxmox_snapshot`: a machine as it was at one moment. The mark stands in its description, so that nobody else's is
//! ever removed.

use std::time::Duration;

use async_trait::async_trait;
use dmp_sdk::{
    Answers, Attribute, AttributePath, Change, Cx, Diagnostic, Fetch, Job, Known, Layer, MarkWay,
    Object, Purpose, Quantifier, Reading, Resource, Schema, Type, Value, Verb, Work, configured,
};
use serde_json::Value as Json;

use super::vm::wanted::{flag, text};
use crate::client::{ApiError, Method, Upid, Watch, items, parameters};
use crate::cluster::{self, Cluster, Question, guest_path};
use crate::identity::{Described, Identity};
use crate::values;

/// The resource type.
pub(crate) struct Snapshot {
    schema: Schema,
}

impl Snapshot {
    pub(crate) fn new() -> Self {
        let schema = Schema::new(
            "proxmox_snapshot",
            "A snapshot of a machine on Proxmox VE. It is taken once; going back to it is done by hand, since that throws away all that came after.",
        )
        .layer(Layer::Machine)
        .mark(MarkWay::Field("description"))
        .on_delete("The snapshot is removed; the machine stays as it is.")
        .attribute(
            "vmid",
            Attribute::required(Type::Number, "The machine's id.")
                .hosting(Quantifier::All)
                .replaces()
                .unique(),
        )
        .attribute(
            "name",
            Attribute::required(Type::String, "Its name: a letter, then letters, digits, `-` and `_`, up to 40 in all.")
                .replaces()
                .unique(),
        )
        .attribute("description", Attribute::optional(Type::String, "A text about it. dmp's mark stands under it."))
        .attribute(
            "memory",
            Attribute::default(Type::Bool, "Whether the memory of a running machine is kept too.", false).replaces(),
        )
        .attribute("taken_at", Attribute::computed(Type::Number, "When it was taken, in seconds since 1970."));
        Self { schema }
    }
}

/// The machine's id and the snapshot's name.
fn key(value: &Value, id: Option<&str>) -> Option<(u32, String)> {
    let vmid = value
        .get("vmid")
        .as_i64()
        .and_then(|id| u32::try_from(id).ok());
    let by_id = || {
        let (vmid, name) = id?.split_once('/')?;
        Some((vmid.parse().ok()?, name.to_owned()))
    };
    vmid.zip(text(value, "name")).or_else(by_id)
}

fn path(node: &str, vmid: u32) -> String {
    format!("{}/snapshot", guest_path(node, vmid))
}

fn is_own(snapshot: &Json, known: &Known<'_>) -> bool {
    let described = Described::read(snapshot["description"].as_str());
    let mark = known.mark.map(|mark| Identity::of(mark).mark);
    described.mark.is_some() && described.mark == mark
}

#[async_trait]
impl Resource for Snapshot {
    fn schema(&self) -> &Schema {
        &self.schema
    }

    fn fetches(&self, known: &Known<'_>) -> Result<Vec<Fetch>, Diagnostic> {
        match key(known.attributes, known.id) {
            Some(_) => Ok(vec![Question::Guests.fetch()?]),
            None => Ok(Vec::new()),
        }
    }

    fn parse(&self, known: &Known<'_>, answers: Answers<'_>) -> Result<Reading, Diagnostic> {
        let Some((vmid, name)) = key(known.attributes, known.id).filter(|_| !answers.is_empty())
        else {
            return Ok(Reading::Absent);
        };
        let Some(listed) = cluster::listed(answers.json(0)?, vmid) else {
            return absent(vmid, answers);
        };
        let Some(answer) = answers.0.get(1).and_then(|answer| answer.json()) else {
            let node = values::text(listed, "node").unwrap_or_default();
            return Ok(Reading::More(vec![
                Question::Path(path(&node, vmid)).fetch()?,
            ]));
        };
        if answer.is_null() {
            return Err(
                Diagnostic::remote("moved", "a machine moved while it was read")
                    .detail(format!("`{vmid}` is not where it was listed"))
                    .help("run it again"),
            );
        }
        let found = items(answer)
            .iter()
            .find(|snapshot| snapshot["name"] == name.as_str());
        let found =
            found.filter(|snapshot| known.purpose == Purpose::Import || is_own(snapshot, known));
        Ok(match found {
            None => Reading::Absent,
            Some(snapshot) => {
                let object = object(known, vmid, &name, snapshot);
                match values::text(snapshot, "snapstate") {
                    Some(state) if !state.is_empty() => {
                        Reading::HalfMade(object, format!("it is in the state `{state}`"))
                    }
                    _ => Reading::Found(object),
                }
            }
        })
    }

    fn plan(&self, change: &mut Change<'_>) -> Result<(), Diagnostic> {
        let name = change.planned.get("name");
        let is_name = |name: &str| {
            let mut chars = name.chars();
            chars.next().is_some_and(|char| char.is_ascii_alphabetic())
                && chars.all(|char| char.is_ascii_alphanumeric() || "-_".contains(char))
                && (2..=40).contains(&name.len())
                && name != "current"
        };
        match name.as_str().filter(|name| !is_name(name)) {
            Some(name) => Err(Diagnostic::error("wrong-argument", "unusable argument")
                .detail(format!(
                    "`{name}` is no name of a snapshot: a letter, then letters, digits, `-` and `_`"
                ))
                .path(AttributePath::of("name"))),
            None => Ok(()),
        }
    }

    fn work(&self, _job: &Job<'_>) -> Result<Work, Diagnostic> {
        Ok(Work::Calls)
    }

    async fn call(&self, cx: &dyn Cx, job: &Job<'_>) -> Result<(), Diagnostic> {
        let cluster: &Cluster = configured(cx.provider())?;
        let identity = Identity::of(job.mark);
        let value = job.value()?;
        let (vmid, name) =
            key(value, job.id).ok_or_else(|| Diagnostic::bug("a snapshot without a key"))?;
        let work = SnapshotWork {
            cx,
            cluster,
            identity,
            vmid,
            name,
        };
        match job.verb {
            Verb::Create => work.take(value).await,
            Verb::Update => work.describe(value).await,
            Verb::Delete | Verb::Leave => work.remove().await,
        }
    }
}

fn absent(vmid: u32, answers: Answers<'_>) -> Result<Reading, Diagnostic> {
    let path = format!("/vms/{vmid}");
    match answers.0.get(1).and_then(|answer| answer.json()) {
        Some(answer) => {
            cluster::believe(answer, &path)?;
            Ok(Reading::Absent)
        }
        None => Ok(Reading::More(vec![Question::Authority { path }.fetch()?])),
    }
}

fn object(known: &Known<'_>, vmid: u32, name: &str, snapshot: &Json) -> Object {
    let described = Described::read(snapshot["description"].as_str());
    let attributes = known
        .attributes
        .with("vmid", i64::from(vmid).into())
        .with("name", name.into())
        .with("description", described.text.into())
        .with("memory", values::flag(snapshot, "vmstate").into())
        .with("taken_at", values::number(snapshot, "snaptime").into());
    Object {
        attributes,
        id: Some(format!("{vmid}/{name}")),
    }
}

struct SnapshotWork<'a> {
    cx: &'a dyn Cx,
    cluster: &'a Cluster,
    identity: Identity,
    vmid: u32,
    name: String,
}

impl SnapshotWork<'_> {
    /// The node of the machine, and the snapshot if it is there.
    async fn look(&self) -> Result<Option<(String, Option<Json>)>, Diagnostic> {
        let failed = |error: ApiError| error.diagnostic("cannot read snapshots");
        let Some(node) = self.cluster.node_of(self.vmid).await.map_err(failed)? else {
            return Ok(None);
        };
        let all = self
            .cluster
            .client
            .get(&path(&node, self.vmid))
            .await
            .map_err(failed)?;
        let found = items(&all)
            .iter()
            .find(|snapshot| snapshot["name"] == self.name.as_str());
        Ok(Some((node, found.cloned())))
    }

    fn is_own(&self, snapshot: &Json) -> bool {
        let described = Described::read(snapshot["description"].as_str());
        described.mark.as_ref() == Some(&self.identity.mark)
    }

    async fn take(&self, wanted: &Value) -> Result<(), Diagnostic> {
        let Some((node, found)) = self.look().await? else {
            return Err(Diagnostic::remote("proxmox", "cannot take a snapshot")
                .cause(format!("there is no machine with the id {}", self.vmid)));
        };
        match found {
            Some(found) if self.is_own(&found) => return Ok(()),
            Some(_) => {
                return Err(Diagnostic::remote("taken", "cannot take a snapshot")
                    .cause(format!(
                        "{} has another snapshot of the name `{}`",
                        self.vmid, self.name
                    ))
                    .help("take another name, or remove that one"));
            }
            None => {}
        }
        self.cx
            .begin(&format!(
                "take the snapshot `{}` of {}",
                self.name, self.vmid
            ))
            .await?;
        self.cx
            .record_id(&format!("{}/{}", self.vmid, self.name))
            .await?;
        let description = self
            .identity
            .describe(text(wanted, "description").as_deref(), true);
        let mut form = parameters([("snapname", &self.name), ("description", &description)]);
        if flag(wanted, "memory") == Some(true) {
            form.extend(parameters([("vmstate", "1")]));
        }
        let taken = self
            .follow(Method::Post, &path(&node, self.vmid), &form, "the snapshot")
            .await;
        match taken {
            Ok(()) => Ok(()),
            Err(error) if error.is_unknown() => match self.look().await? {
                Some((_, Some(found))) if self.is_own(&found) => Ok(()),
                _ => Err(error.diagnostic("cannot take a snapshot")),
            },
            Err(error) => Err(error.diagnostic("cannot take a snapshot")),
        }
    }

    async fn describe(&self, wanted: &Value) -> Result<(), Diagnostic> {
        let Some((node, Some(_))) = self.look().await? else {
            return Err(
                Diagnostic::remote("proxmox", "cannot change a snapshot").cause("it is gone")
            );
        };
        self.cx
            .begin(&format!(
                "describe the snapshot `{}` of {}",
                self.name, self.vmid
            ))
            .await?;
        let description = self
            .identity
            .describe(text(wanted, "description").as_deref(), true);
        let path = format!(
            "{}/{}/config",
            path(&node, self.vmid),
            values::segment(&self.name)
        );
        let form = parameters([("description", &description)]);
        let written = self.cluster.client.write(Method::Put, &path, &form).await;
        written
            .map(drop)
            .map_err(|error| error.diagnostic("cannot change a snapshot"))
    }

    async fn remove(&self) -> Result<(), Diagnostic> {
        let Some((node, Some(found))) = self.look().await? else {
            return Ok(());
        };
        if !self.is_own(&found) {
            return Ok(());
        }
        self.cx
            .begin(&format!(
                "remove the snapshot `{}` of {}",
                self.name, self.vmid
            ))
            .await?;
        let path = format!("{}/{}", path(&node, self.vmid), values::segment(&self.name));
        match self.follow(Method::Delete, &path, &[], "the removal").await {
            Ok(()) => Ok(()),
            Err(error) => match self.look().await? {
                Some((_, Some(found))) if self.is_own(&found) => {
                    Err(error.diagnostic("cannot remove a snapshot"))
                }
                _ => Ok(()),
            },
        }
    }

    async fn follow(
        &self,
        method: Method,
        path: &str,
        form: &[(String, String)],
        what: &str,
    ) -> Result<(), ApiError> {
        let answer = self.cluster.client.write(method, path, form).await?;
        let Some(upid) = Upid::of(&answer) else {
            return Ok(());
        };
        let watch = Watch {
            cx: self.cx,
            what,
            within: LONG,
        };
        self.cluster.client.follow(&upid, watch).await.map(drop)
    }
}

/// Memory is written out whole.
const LONG: Duration = Duration::from_secs(3600);
