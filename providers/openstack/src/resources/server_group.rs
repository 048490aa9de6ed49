//! `openstack_server_group`: says which servers are kept together or apart. It has no text but its name, so dmp's mark stands
//! behind that.

use dmp_sdk::{Attribute, AttributePath, Change, Diagnostic, Layer, Schema, Type, Value};
use serde_json::{Map, Value as Json, json};

use crate::object::{Kind, Model, Place, by, fixed};
use crate::session::Service;
use crate::values::text_at;

/// The model.
pub(crate) struct ServerGroup;

static KIND: Kind = Kind {
    noun: "server group",
    service: Service::Compute,
    collection: "/os-server-groups",
    listing: "/os-server-groups",
    one: "server_group",
    many: "server_groups",
    listed_by: Some(by("openstack_server_groups", "server_groups", "name")),
    mark: Place::Name,
    changes: false,
    metadata_apart: false,
    has_tags: false,
    fields: &[fixed("policy")],
};

#[async_trait::async_trait]
impl Model for ServerGroup {
    fn kind(&self) -> &'static Kind {
        &KIND
    }

    fn schema(&self) -> Schema {
        Schema::new("openstack_server_group", "A group of servers that are kept on one host, or on different ones. Servers name it among their `scheduler_hints`.")
            .layer(Layer::Machine)
            .on_delete("The group is removed; its servers stay where they are.")
            .counterpart("openstack_compute_servergroup_v2", &["{id}"])
            .attribute("name", Attribute::required(Type::String, "Its name. dmp's mark stands behind it.").replaces())
            .attribute("policy", Attribute::required(Type::String, "`anti-affinity`, `soft-anti-affinity`, `affinity` or `soft-affinity`.").replaces())
            .attribute("max_servers_per_host", Attribute::optional(Type::Number, "How many of them may be on one host, with `anti-affinity`.").replaces())
    }

    fn fill(&self, wanted: &Value, body: &mut Map<String, Json>) {
        if let Some(most) = wanted.get("max_servers_per_host").as_i64() {
            body.insert("rules".into(), json!({ "max_server_per_host": most }));
        }
    }

    fn refine(&self, _known: &Value, found: &Json, value: Value) -> Value {
        // Before 2.64 there is a list of policies.
        let old = found["policies"]
            .as_array()
            .and_then(|all| all.first())
            .and_then(Json::as_str);
        let policy = found["policy"].as_str().or(old).map(ToOwned::to_owned);
        let most = found["rules"]["max_server_per_host"].as_i64();
        value
            .with("policy", policy.into())
            .with("max_servers_per_host", most.into())
    }

    fn plan(&self, change: &mut Change<'_>) -> Result<(), Diagnostic> {
        const POLICIES: [&str; 4] = [
            "anti-affinity",
            "soft-anti-affinity",
            "affinity",
            "soft-affinity",
        ];
        let policy = text_at(&change.planned, "policy");
        match policy.filter(|policy| !POLICIES.contains(&policy.as_str())) {
            Some(other) => Err(Diagnostic::error("wrong-argument", "unusable argument")
                .detail(format!("`{other}` is no policy"))
                .path(AttributePath::of("policy"))
                .did_you_mean(&other, POLICIES)),
            None => Ok(()),
        }
    }
}
