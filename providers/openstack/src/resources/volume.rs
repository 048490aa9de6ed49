//! `openstack_volume`: a disk of Cinder. It grows in place and changes its type; it never shrinks.

use std::time::Duration;

use dmp_sdk::{
    Attribute, AttributePath, Change, Diagnostic, Effect, FailureDomain, HoldsData, Layer, Schema,
    Type, Value,
};
use serde_json::{Value as Json, json};

use super::primary;
use crate::object::{Kind, Model, Place, State, Task, by, changing, fixed, told, wait_for};
use crate::session::{Service, Verb};
use crate::values::{is_given, items, number, text, text_at, wrong};

/// The model.
pub(crate) struct Volume;

static KIND: Kind = Kind {
    noun: "volume",
    service: Service::BlockStorage,
    collection: "/volumes",
    listing: "/volumes/detail",
    one: "volume",
    many: "volumes",
    listed_by: Some(by("openstack_volumes", "volumes", "name")),
    mark: Place::Metadata,
    changes: true,
    metadata_apart: false,
    has_tags: false,
    fields: &[
        changing("name").or_empty(),
        changing("description").or_empty(),
        fixed("size_gib").named("size"),
        fixed("volume_type"),
        fixed("availability_zone"),
        fixed("snapshot_id"),
        fixed("source_volume_id").named("source_volid"),
        told("bootable"),
        told("encrypted"),
        told("multiattach"),
        told("host").named("os-vol-host-attr:host"),
    ],
};

#[async_trait::async_trait]
impl Model for Volume {
    fn kind(&self) -> &'static Kind {
        &KIND
    }

    fn schema(&self) -> Schema {
        let text = |doc| Attribute::optional(Type::String, doc);
        let computed = |doc| Attribute::computed(Type::String, doc);
        Schema::new("openstack_volume", "A volume of Cinder.")
            .layer(Layer::Storage)
            .on_delete("The volume and all data on it are gone, which Cinder refuses while it is attached or has snapshots.")
            .counterpart("openstack_blockstorage_volume_v3", &["{id}"])
            .attribute("name", text("Its name."))
            .attribute("description", text("A text about it."))
            .attribute("size_gib", Attribute::required(Type::Number, "Its size in GiB. It may grow, also while it is attached."))
            .attribute("volume_type", Attribute::optional_computed(Type::String, "Its type, by name; a change moves it where `retype` lets it."))
            .attribute("retype", Attribute::default(Type::String, "Whether a change of the type may move its data to another backend: `never` or `on-demand`.", "never"))
            .attribute("availability_zone", Attribute::optional_computed(Type::String, "Its zone.").replaces())
            .attribute("image_id", text("The image that it begins as.").replaces())
            .attribute("snapshot_id", text("The snapshot that it begins as.").replaces())
            .attribute("source_volume_id", text("The volume that it is a copy of.").replaces())
            .attribute("backup_id", text("The backup that it begins as.").replaces())
            .attribute("primary", Attribute::default(Type::Bool, "Whether it holds data that may exist nowhere else: then it is never deleted or replaced without a word.", false))
            .attribute("bootable", Attribute::computed(Type::Bool, "Whether a server can boot from it."))
            .attribute("encrypted", Attribute::computed(Type::Bool, "Whether it is encrypted."))
            .attribute("multiattach", Attribute::computed(Type::Bool, "Whether several servers may have it at once; its type says so."))
            .attribute("host", computed("Where it lies, `host@backend#pool`; told to administrators."))
            .attribute("fault", computed("The state that it has failed in; nothing where all is well."))
    }

    fn fill(&self, wanted: &Value, body: &mut serde_json::Map<String, Json>) {
        for (attribute, member) in [("image_id", "imageRef"), ("backup_id", "backup_id")] {
            if let Some(id) = text_at(wanted, attribute) {
                body.insert(member.into(), json!(id));
            }
        }
    }

    fn refine(&self, known: &Value, found: &Json, value: Value) -> Value {
        let image = text(&found["volume_image_metadata"], "image_id");
        let image = match known.get("image_id").is_null() {
            // What a copy or a snapshot inherits is not what this one was made of.
            true => Value::null(),
            false => image.map_or_else(|| known.get("image_id"), Value::from),
        };
        let fault = text(found, "status").filter(|status| status.starts_with("error"));
        // Only a volume that is whole says whether it can be booted from.
        let value = match self.state(found) {
            State::UnderWay(_) => value.with("bootable", Value::null()),
            _ => value,
        };
        value.with("image_id", image).with("fault", fault.into())
    }

    fn state(&self, found: &Json) -> State {
        match text(found, "status").unwrap_or_default().as_str() {
            "available" | "in-use" | "reserved" | "maintenance" => State::Ready,
            status if status.starts_with("error") => {
                State::Failed(format!("the volume is in the state `{status}`"))
            }
            status => State::UnderWay(format!("the volume is in the state `{status}`")),
        }
    }

    fn plan(&self, change: &mut Change<'_>) -> Result<(), Diagnostic> {
        let size = change.planned.get("size_gib").as_i64();
        if size.is_some_and(|size| size < 1) {
            return Err(wrong("size_gib", "a volume has at least 1 GiB"));
        }
        match text_at(&change.planned, "retype").as_deref() {
            None | Some("never" | "on-demand") => {}
            Some(other) => {
                return Err(wrong(
                    "retype",
                    format!("`{other}` is neither `never` nor `on-demand`"),
                ));
            }
        }
        let sources = ["image_id", "snapshot_id", "source_volume_id", "backup_id"];
        let given: Vec<&str> = sources
            .into_iter()
            .filter(|name| is_given(&change.planned, name))
            .collect();
        if let [_, second, ..] = given.as_slice() {
            return Err(wrong(
                second,
                format!(
                    "it can begin as one thing only, not as `{}`",
                    given.join("` and `")
                ),
            ));
        }
        let Some(prior) = change.prior else {
            return Ok(());
        };
        // A volume that could only not be grown or deleted holds its data.
        let is_lost =
            |fault: &String| !matches!(fault.as_str(), "error_extending" | "error_deleting");
        if let Some(fault) = text_at(prior, "fault").filter(is_lost) {
            change.replace(
                "fault",
                format!("the volume is in the state `{fault}`, out of which nothing leads"),
            );
        }
        // It was not whole when it was looked at.
        if prior.get("bootable").is_null() {
            change.unknown("bootable");
            change.unknown("host");
        }
        let before = prior.get("size_gib").as_i64();
        if let (Some(before), Some(after)) = (before, size)
            && after < before
        {
            return Err(Diagnostic::error("shrinks", "a volume can't shrink")
                .detail(format!("it has {before} GiB"))
                .path(AttributePath::of("size_gib"))
                .help(format!(
                    "write at least {before}; a smaller one is a new volume"
                )));
        }
        if change.changes("size_gib") {
            change.note("it grows; the file system on it is grown inside the machine");
        }
        if change.changes("volume_type") && change.planned.get("volume_type").is_known() {
            change.unknown("host");
            change.note(match text_at(&change.planned, "retype").as_deref() {
                Some("on-demand") => {
                    "its data moves to another backend if the type is not of this one"
                }
                _ => "it stays where it is: the change fails if the type is of another backend",
            });
        }
        Ok(())
    }

    fn plan_delete(&self, prior: &Value) -> (Vec<Effect>, Vec<String>) {
        primary::ends(prior, "volume")
    }

    fn holds_data(&self, value: &Value) -> Option<HoldsData> {
        Some(primary::holds_data(value))
    }

    fn failure_domains(&self, value: &Value) -> Vec<FailureDomain> {
        let backend = text_at(value, "host").map(|host| {
            let backend = host
                .split_once('#')
                .map_or(host.as_str(), |(backend, _)| backend);
            ("storage", backend.to_owned())
        });
        let zone = text_at(value, "availability_zone").map(|zone| ("volume-zone", zone));
        let domain = |(kind, name): (&str, String)| FailureDomain {
            kind: kind.to_owned(),
            name,
        };
        backend.into_iter().chain(zone).map(domain).collect()
    }

    async fn settle(
        &self,
        task: &Task<'_>,
        id: &str,
        found: &Json,
        wanted: &Value,
    ) -> Result<(), Diagnostic> {
        let path = format!("/volumes/{id}/action");
        let wanted_size = wanted.get("size_gib").as_i64();
        let has = number(found, "size");
        if let (Some(size), Some(has)) = (wanted_size, has)
            && size > has
        {
            let title = format!("grow a volume from {has} to {size} GiB");
            let body = json!({ "os-extend": { "new_size": size } });
            let grown = task
                .change(&title, Service::BlockStorage, Verb::Post, &path, &body)
                .await;
            self.follow(task, id, grown, "cannot grow a volume", |now| {
                number(now, "size") >= Some(size)
            })
            .await?;
        }
        let kind = text_at(wanted, "volume_type");
        if let Some(kind) = kind.filter(|kind| text(found, "volume_type").as_ref() != Some(kind)) {
            let policy = text_at(wanted, "retype").unwrap_or_else(|| "never".into());
            let title = format!("give a volume the type `{kind}`");
            let body = json!({ "os-retype": { "new_type": kind, "migration_policy": policy } });
            let given = task
                .change(&title, Service::BlockStorage, Verb::Post, &path, &body)
                .await;
            self.follow(task, id, given, "cannot change a volume's type", |now| {
                text(now, "volume_type").as_ref() == Some(&kind)
            })
            .await?;
        }
        Ok(())
    }

    async fn fault(&self, task: &Task<'_>, id: &str) -> Option<String> {
        messages(task, id).await
    }

    async fn blockers(&self, task: &Task<'_>, id: &str) -> Vec<String> {
        let path = format!("/volumes/{id}");
        let found = task
            .look(Service::BlockStorage, &path, "volume")
            .await
            .ok()
            .flatten();
        let mut blockers: Vec<String> = found
            .iter()
            .flat_map(|found| items(&found["attachments"]))
            .filter_map(|one| Some(format!("the server `{}`", text(one, "server_id")?)))
            .collect();
        let query = format!("volume_id={id}");
        blockers.extend(primary::snapshots(task, Service::BlockStorage, &query).await);
        blockers
    }
}

/// What Cinder tells users of a volume.
pub(super) async fn messages(task: &Task<'_>, id: &str) -> Option<String> {
    let query = format!("resource_uuid={id}&sort=created_at:desc");
    primary::message(task, Service::BlockStorage, &query).await
}

impl Volume {
    /// Waits until an action has had its effect. One whose answer was lost is looked at like any other.
    async fn follow(
        &self,
        task: &Task<'_>,
        id: &str,
        begun: Result<Json, crate::session::ApiError>,
        cannot: &str,
        is_done: impl Fn(&Json) -> bool + Sync,
    ) -> Result<(), Diagnostic> {
        match begun {
            Ok(_) => {}
            Err(error) if error.is_unknown() => {}
            Err(error) => return Err(error.diagnostic(cannot)),
        }
        let path = format!("/volumes/{id}");
        let (path, is_done) = (&path, &is_done);
        let looked = wait_for(
            task.cx,
            "the volume to be changed",
            CHANGED,
            || async move {
                let found = task.look(Service::BlockStorage, path, "volume").await?;
                let Some(found) = found else {
                    return Ok(Some(State::Failed("the volume is gone".into())));
                };
                Ok(match self.state(&found) {
                    State::UnderWay(_) => None,
                    State::Ready if is_done(&found) => Some(State::Ready),
                    State::Ready => {
                        Some(State::Failed("Cinder has left the volume as it was".into()))
                    }
                    failed => Some(failed),
                })
            },
        );
        match looked.await.map_err(|error| error.diagnostic(cannot))? {
            State::Failed(why) => {
                let why = messages(task, id)
                    .await
                    .map_or(why.clone(), |told| format!("{why}: {told}"));
                Err(Diagnostic::remote("failed", cannot).cause(why))
            }
            _ => Ok(()),
        }
    }
}

const CHANGED: Duration = Duration::from_secs(3600);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_are_ready_under_way_or_failed() {
        let state = |status: &str| Volume.state(&json!({ "status": status }));
        assert_eq!(state("available"), State::Ready);
        assert!(matches!(state("creating"), State::UnderWay(_)));
        assert!(matches!(state("error"), State::Failed(_)));
    }

    #[test]
    fn where_it_lies_is_what_it_is_lost_with() {
        let value = Value::object_of([
            ("host", "node-1@ceph#pool".into()),
            ("availability_zone", "nova".into()),
        ]);
        let domains = Volume.failure_domains(&value);
        assert_eq!(domains[0].name, "node-1@ceph");
        assert_eq!(domains[1].kind, "volume-zone");
    }
}
