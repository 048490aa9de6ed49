//! `openstack_share`: a file system of Manila. It grows and shrinks in place.

use std::time::Duration;

use dmp_sdk::{
    Attribute, Change, Diagnostic, Effect, FailureDomain, HoldsData, Layer, Schema, Type, Value,
};
use serde_json::{Map, Value as Json, json};

use super::super::primary;
use crate::object::{Kind, Model, Place, State, Task, by, fixed, told, wait_for};
use crate::session::{ApiError, Service, Verb};
use crate::values::{number, text, text_at, wrong};

/// The model.
pub(crate) struct Share;

static KIND: Kind = Kind {
    noun: "share",
    service: Service::Share,
    collection: "/shares",
    listing: "/shares/detail",
    one: "share",
    many: "shares",
    listed_by: Some(by("openstack_shares", "shares", "name")),
    mark: Place::Metadata,
    changes: true,
    metadata_apart: true,
    has_tags: false,
    fields: &[
        // Changes of the first three have names of their own, and are in `settle`.
        fixed("name"),
        fixed("description"),
        fixed("is_public"),
        fixed("share_proto"),
        fixed("size_gib").named("size"),
        fixed("availability_zone"),
        fixed("share_network_id"),
        fixed("snapshot_id"),
        told("share_type").named("share_type_name"),
        told("host"),
    ],
};

const PROTOCOLS: &[&str] = &["CEPHFS", "CIFS", "GLUSTERFS", "HDFS", "MAPRFS", "NFS"];
/// How long a share takes at most to grow or shrink.
const CHANGED: Duration = Duration::from_secs(3600);

fn path(id: &str) -> String {
    format!("/shares/{}", crate::values::segment(id))
}

#[async_trait::async_trait]
impl Model for Share {
    fn kind(&self) -> &'static Kind {
        &KIND
    }

    fn schema(&self) -> Schema {
        let text = |doc| Attribute::optional(Type::String, doc);
        let filled = |doc| Attribute::optional_computed(Type::String, doc).replaces();
        Schema::new("openstack_share", "A file system of Manila, which several machines mount. Who may is an `openstack_share_access`, where it lies is told by the data source `openstack_share_locations`.")
            .layer(Layer::Storage)
            .on_delete("The share and all data on it are gone, which Manila refuses while it has snapshots.")
            .counterpart("openstack_sharedfilesystem_share_v2", &["{id}"])
            .attribute("name", text("Its name."))
            .attribute("description", text("A text about it."))
            .attribute("share_proto", Attribute::required(Type::String, "How it is mounted: `NFS`, `CIFS`, `CEPHFS` or another that the cloud has.").replaces())
            .attribute("size_gib", Attribute::required(Type::Number, "Its size in GiB. It may grow, and where its backend can, shrink to what is in use."))
            .attribute("share_type", filled("Its type, by name; the cloud's default where nothing is said."))
            .attribute("share_network_id", filled("The network of Manila's own that it is reached in, where its type makes servers of shares."))
            .attribute("availability_zone", filled("Its zone."))
            .attribute("snapshot_id", text("The snapshot that it begins as.").replaces())
            .attribute("is_public", Attribute::default(Type::Bool, "Whether other projects see it; in most clouds only administrators let them.", false))
            .attribute("primary", Attribute::default(Type::Bool, "Whether it holds data that may exist nowhere else: then it is never deleted or replaced without a word.", false))
            .attribute("host", Attribute::computed(Type::String, "Where it lies, `host@backend#pool`; told to administrators."))
            .attribute("fault", Attribute::computed(Type::String, "The state that it has failed in; nothing where all is well."))
    }

    fn fill(&self, wanted: &Value, body: &mut Map<String, Json>) {
        if let Some(kind) = text_at(wanted, "share_type") {
            body.insert("share_type".into(), json!(kind));
        }
    }

    fn refine(&self, _known: &Value, found: &Json, value: Value) -> Value {
        let fault = text(found, "status").filter(|status| status.contains("error"));
        value.with("fault", fault.into())
    }

    fn state(&self, found: &Json) -> State {
        match text(found, "status").unwrap_or_default().as_str() {
            "available" | "inactive" => State::Ready,
            status if status.contains("error") => {
                State::Failed(format!("the share is in the state `{status}`"))
            }
            status => State::UnderWay(format!("the share is in the state `{status}`")),
        }
    }

    fn plan(&self, change: &mut Change<'_>) -> Result<(), Diagnostic> {
        let size = change.planned.get("size_gib").as_i64();
        if size.is_some_and(|size| size < 1) {
            return Err(wrong("size_gib", "a share has at least 1 GiB"));
        }
        let protocol = text_at(&change.planned, "share_proto");
        if let Some(protocol) = protocol.filter(|one| !PROTOCOLS.contains(&one.as_str())) {
            return Err(wrong(
                "share_proto",
                format!("`{protocol}` is none of `{}`", PROTOCOLS.join("`, `")),
            ));
        }
        let Some(prior) = change.prior else {
            return Ok(());
        };
        // It was not placed yet when it was looked at.
        if prior.get("availability_zone").is_null() {
            if change.config.get("availability_zone").is_null() {
                change.unknown("availability_zone");
            }
            change.unknown("host");
        }
        // A share that could only not be made larger or smaller, or deleted, holds its data.
        if text_at(prior, "fault").as_deref() == Some("error") {
            change.replace(
                "fault",
                "the share is in the state `error`, out of which nothing leads",
            );
        }
        if let (Some(before), Some(after)) = (prior.get("size_gib").as_i64(), size)
            && after < before
        {
            change.note("it shrinks, which Manila refuses where its backend can't, or what is on it is larger");
        }
        Ok(())
    }

    fn plan_delete(&self, prior: &Value) -> (Vec<Effect>, Vec<String>) {
        primary::ends(prior, "share")
    }

    fn holds_data(&self, value: &Value) -> Option<HoldsData> {
        Some(primary::holds_data(value))
    }

    fn failure_domains(&self, value: &Value) -> Vec<FailureDomain> {
        let zone = text_at(value, "availability_zone");
        let zone = zone.map(|name| FailureDomain {
            kind: "share-zone".into(),
            name,
        });
        zone.into_iter().collect()
    }

    /// Manila refuses it while something is under way, and says only that the share is invalid.
    fn goes_when_settled(&self) -> bool {
        true
    }

    async fn settle(
        &self,
        task: &Task<'_>,
        id: &str,
        found: &Json,
        wanted: &Value,
    ) -> Result<(), Diagnostic> {
        self.describe(task, id, found, wanted).await?;
        let (has, wants) = (number(found, "size"), wanted.get("size_gib").as_i64());
        match has.zip(wants) {
            Some((has, wants)) if has != wants => self.resize(task, id, has, wants).await,
            _ => Ok(()),
        }
    }

    async fn fault(&self, task: &Task<'_>, id: &str) -> Option<String> {
        messages(task, id).await
    }

    async fn blockers(&self, task: &Task<'_>, id: &str) -> Vec<String> {
        primary::snapshots(task, Service::Share, &format!("share_id={id}")).await
    }
}

impl Share {
    /// What is said of it.
    async fn describe(
        &self,
        task: &Task<'_>,
        id: &str,
        found: &Json,
        wanted: &Value,
    ) -> Result<(), Diagnostic> {
        let mut body = Map::new();
        for (attribute, member) in [
            ("name", "display_name"),
            ("description", "display_description"),
        ] {
            let wants = text_at(wanted, attribute);
            if text(found, attribute) != wants {
                body.insert(member.into(), json!(wants.unwrap_or_default()));
            }
        }
        let is_public = wanted.get("is_public").as_bool().unwrap_or(false);
        if found["is_public"].as_bool() != Some(is_public) {
            body.insert("is_public".into(), json!(is_public));
        }
        if body.is_empty() {
            return Ok(());
        }
        let body = json!({ "share": body });
        let set = task
            .change(
                "change a share",
                Service::Share,
                Verb::Put,
                &path(id),
                &body,
            )
            .await;
        set.map(drop)
            .map_err(|error| error.diagnostic("cannot change a share"))
    }

    /// Makes it larger or smaller. What came of a call whose answer was lost is seen by what the share is then.
    async fn resize(
        &self,
        task: &Task<'_>,
        id: &str,
        has: i64,
        wants: i64,
    ) -> Result<(), Diagnostic> {
        let (verb, cannot) = match wants > has {
            true => ("extend", "cannot grow a share"),
            false => ("shrink", "cannot shrink a share"),
        };
        let title = format!("{verb} a share from {has} to {wants} GiB");
        let body = json!({ verb: { "new_size": wants } });
        let action = format!("{}/action", path(id));
        let begun = task
            .change(&title, Service::Share, Verb::Post, &action, &body)
            .await;
        match begun {
            Ok(_) => {}
            Err(error) if error.is_unknown() => {}
            Err(error) => return Err(error.diagnostic(cannot)),
        }
        let path = path(id);
        let path = &path;
        let looked = wait_for(task.cx, "the share to be resized", CHANGED, || async move {
            let found = task.look(Service::Share, path, KIND.one).await?;
            let found = found.ok_or_else(|| ApiError::NotUnderstood("the share is gone".into()))?;
            Ok(match self.state(&found) {
                State::UnderWay(_) => None,
                State::Ready if number(&found, "size") != Some(wants) => {
                    Some(State::Failed("Manila has left the share as it was".into()))
                }
                state => Some(state),
            })
        });
        match looked.await.map_err(|error| error.diagnostic(cannot))? {
            State::Failed(why) => {
                let told = messages(task, id).await;
                let why = told.map_or(why.clone(), |told| format!("{why}: {told}"));
                Err(Diagnostic::remote("failed", cannot).cause(why))
            }
            _ => Ok(()),
        }
    }
}

/// What Manila tells users of a share.
async fn messages(task: &Task<'_>, id: &str) -> Option<String> {
    let query = format!("resource_id={id}&sort_key=created_at&sort_dir=desc");
    primary::message(task, Service::Share, &query).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_are_ready_under_way_or_failed() {
        let state = |status: &str| Share.state(&json!({ "status": status }));
        assert_eq!(state("available"), State::Ready);
        assert!(matches!(state("extending"), State::UnderWay(_)));
        assert!(matches!(state("shrinking_error"), State::Failed(_)));
        assert!(matches!(state("error"), State::Failed(_)));
    }
}
