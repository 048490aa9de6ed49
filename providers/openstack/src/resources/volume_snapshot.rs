//! `openstack_volume_snapshot`: a volume as it was at one moment.

use dmp_sdk::{Attribute, Layer, Quantifier, Schema, Type, Value};
use serde_json::{Map, Value as Json, json};

use crate::object::{Kind, Model, Place, State, Task, by, changing, fixed, told};
use crate::session::Service;
use crate::values::text;

/// The model.
pub(crate) struct VolumeSnapshot;

static KIND: Kind = Kind {
    noun: "snapshot",
    service: Service::BlockStorage,
    collection: "/snapshots",
    listing: "/snapshots/detail",
    one: "snapshot",
    many: "snapshots",
    listed_by: Some(by("openstack_volume_snapshots", "volume_snapshots", "name")),
    mark: Place::Metadata,
    changes: true,
    metadata_apart: true,
    has_tags: false,
    fields: &[
        changing("name").or_empty(),
        changing("description").or_empty(),
        fixed("volume_id"),
        told("size_gib").named("size"),
        told("created_at"),
        told("status"),
    ],
};

#[async_trait::async_trait]
impl Model for VolumeSnapshot {
    fn kind(&self) -> &'static Kind {
        &KIND
    }

    fn schema(&self) -> Schema {
        let text = |doc| Attribute::optional(Type::String, doc);
        let computed = |ty, doc| Attribute::computed(ty, doc);
        Schema::new("openstack_volume_snapshot", "A snapshot of a volume of Cinder. It is taken once, also while a server has the volume: what the server has not written by then is not in it. A new volume may begin as it.")
            .layer(Layer::Storage)
            .on_delete("The snapshot is removed; the volume stays as it is.")
            .attribute("name", text("Its name."))
            .attribute("description", text("A text about it."))
            .attribute("volume_id", Attribute::required(Type::String, "The volume.").hosting(Quantifier::All).replaces())
            .attribute("size_gib", computed(Type::Number, "The volume's size at that moment."))
            .attribute("created_at", computed(Type::String, "When it was taken."))
            .attribute("status", computed(Type::String, "`available`, `error` or another."))
    }

    /// Since 3.66 one is also taken while a server has the volume; before, only if it is asked for.
    fn fill(&self, _wanted: &Value, body: &mut Map<String, Json>) {
        body.insert("force".into(), json!(true));
    }

    fn state(&self, found: &Json) -> State {
        match text(found, "status").unwrap_or_default().as_str() {
            "available" | "backing-up" | "restoring" => State::Ready,
            status if status.starts_with("error") => {
                State::Failed(format!("the snapshot is in the state `{status}`"))
            }
            status => State::UnderWay(format!("the snapshot is in the state `{status}`")),
        }
    }

    fn plan(&self, change: &mut dmp_sdk::Change<'_>) -> Result<(), dmp_sdk::Diagnostic> {
        let status = change
            .prior
            .and_then(|prior| crate::values::text_at(prior, "status"));
        if status.as_deref() == Some("creating") {
            change.unknown("status");
        }
        if let Some(status) = status.filter(|status| status == "error") {
            change.replace(
                "status",
                format!("the snapshot is in the state `{status}`, out of which nothing leads"),
            );
        }
        Ok(())
    }

    async fn fault(&self, task: &Task<'_>, id: &str) -> Option<String> {
        super::volume::messages(task, id).await
    }
}
