//! `openstack_monitor`: how the health of a pool's members is looked at.

use dmp_sdk::{Attribute, Change, Diagnostic, Layer, Quantifier, Schema, Type, Value};
use serde_json::Value as Json;

use super::{Part, first_id, one_of, within};
use crate::object::{Kind, Place, by, changing, fixed};
use crate::session::{Refusal, Service};
use crate::values::{is_given, text_at, wrong};

/// The model.
pub(crate) struct Monitor;

static KIND: Kind = Kind {
    noun: "monitor",
    service: Service::LoadBalancer,
    collection: "/lbaas/healthmonitors",
    listing: "/lbaas/healthmonitors",
    one: "healthmonitor",
    many: "healthmonitors",
    listed_by: Some(by("openstack_monitors", "monitors", "name")),
    mark: Place::Tags,
    changes: true,
    metadata_apart: false,
    has_tags: false,
    fields: &[
        changing("name").or_empty(),
        changing("admin_state_up"),
        fixed("pool_id"),
        fixed("type"),
        changing("delay"),
        changing("timeout"),
        changing("max_retries"),
        changing("max_retries_down"),
        changing("http_method"),
        changing("http_version"),
        changing("url_path"),
        changing("expected_codes"),
        changing("domain_name"),
    ],
};

const TYPES: &[&str] = &[
    "HTTP",
    "HTTPS",
    "PING",
    "SCTP",
    "TCP",
    "TLS-HELLO",
    "UDP-CONNECT",
];

const METHODS: &[&str] = &[
    "CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "TRACE",
];

/// What only a monitor that speaks HTTP has.
const OF_HTTP: &[&str] = &[
    "http_method",
    "http_version",
    "url_path",
    "expected_codes",
    "domain_name",
];

#[async_trait::async_trait]
impl Part for Monitor {
    fn kind(&self) -> &'static Kind {
        &KIND
    }

    fn schema(&self) -> Schema {
        let filled = |doc| Attribute::optional_computed(Type::String, doc);
        let number = |doc| Attribute::required(Type::Number, doc);
        Schema::new("openstack_monitor", "How Octavia looks at the health of a pool's members: one for each pool. Members that are not well get nothing.")
            .layer(Layer::Network)
            .on_delete("All members of the pool count as well.")
            .counterpart("openstack_lb_monitor_v2", &["{id}"])
            .attribute("pool_id", Attribute::required(Type::String, "The pool.").hosting(Quantifier::All).replaces())
            .attribute("type", Attribute::required(Type::String, "How it looks: `HTTP`, `HTTPS`, `PING`, `TCP`, `TLS-HELLO`, `UDP-CONNECT` or `SCTP`.").replaces())
            .attribute("delay", number("How long it waits between two looks, in seconds."))
            .attribute("timeout", number("How long a member has to answer, in seconds; less than `delay`."))
            .attribute("max_retries", number("After how many looks that went well a member counts as well, from 1 to 10."))
            .attribute("max_retries_down", Attribute::default(Type::Number, "After how many looks that went wrong it no longer does, from 1 to 10.", 3))
            .attribute("http_method", filled("What it asks by HTTP: `GET`, `HEAD` or another."))
            .attribute("http_version", Attribute::optional_computed(Type::Number, "The version of HTTP, 1.0 or 1.1."))
            .attribute("url_path", filled("The path that it asks for."))
            .attribute("expected_codes", filled("The answers that are well: `200`, `200,202` or `200-204`."))
            .attribute("domain_name", filled("The name that it asks for, with HTTP 1.1."))
    }

    fn refine(&self, known: &Value, found: &Json, value: Value) -> Value {
        let pool = first_id(&found["pools"]).map_or_else(|| known.get("pool_id"), Value::from);
        value.with("pool_id", pool)
    }

    fn plan(&self, change: &mut Change<'_>) -> Result<(), Diagnostic> {
        let planned = &change.planned;
        one_of(planned, "type", TYPES)?;
        one_of(planned, "http_method", METHODS)?;
        within(planned, "max_retries", 1, 10)?;
        within(planned, "max_retries_down", 1, 10)?;
        let number = |name: &str| planned.get(name).as_i64();
        for name in ["delay", "timeout"] {
            within(planned, name, 0, i64::from(i32::MAX))?;
        }
        if let (Some(timeout), Some(delay)) = (number("timeout"), number("delay"))
            && timeout > delay
        {
            return Err(wrong("timeout", "it is not longer than `delay`"));
        }
        let kind = text_at(planned, "type").unwrap_or_default();
        let is_known = planned.get("type").is_known();
        let of_http = OF_HTTP.iter().find(|name| is_given(change.config, name));
        if let Some(name) =
            of_http.filter(|_| is_known && !matches!(kind.as_str(), "HTTP" | "HTTPS"))
        {
            return Err(wrong(name, "only a monitor that speaks HTTP has it"));
        }
        if let Some(path) = text_at(planned, "url_path").filter(|path| !path.starts_with('/')) {
            return Err(wrong(
                "url_path",
                format!("`{path}` does not begin with `/`"),
            ));
        }
        Ok(())
    }

    fn explain(&self, refused: &Refusal) -> Option<String> {
        if refused.says(&["already has a health monitor"]) {
            return Some("a pool has one monitor: import it, or change that one".into());
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::OfBalancer;
    use super::*;
    use crate::object::Model;

    #[test]
    fn its_pool_is_read_out_of_a_list() {
        let found = json!({ "pools": [{ "id": "p" }], "provisioning_status": "ACTIVE" });
        let read = OfBalancer(Monitor).refine(&Value::object_of([]), &found, Value::object_of([]));
        assert_eq!(read.get("pool_id"), "p".into());
        assert!(read.get("fault").is_null());
    }
}
