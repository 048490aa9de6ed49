//! `openstack_listener`: a port that a load balancer listens at.

use dmp_sdk::{Attribute, Change, Diagnostic, Effect, Layer, Quantifier, Schema, Type, Value};
use serde_json::Value as Json;

use super::{PORTS, Part, first_id, one_of, within};
use crate::object::{Kind, Place, by, changing, fixed};
use crate::session::Service;
use crate::values::{is_given, text_at, wrong};

/// The model.
pub(crate) struct Listener;

static KIND: Kind = Kind {
    noun: "listener",
    service: Service::LoadBalancer,
    collection: "/lbaas/listeners",
    listing: "/lbaas/listeners",
    one: "listener",
    many: "listeners",
    listed_by: Some(by("openstack_listeners", "listeners", "name")),
    mark: Place::Tags,
    changes: true,
    metadata_apart: false,
    has_tags: false,
    fields: &[
        changing("name").or_empty(),
        changing("description").or_empty(),
        changing("admin_state_up"),
        fixed("loadbalancer_id"),
        fixed("protocol"),
        fixed("protocol_port"),
        changing("connection_limit"),
        changing("default_pool_id"),
        changing("insert_headers").or_no_names(),
        changing("allowed_cidrs").or_none(),
        changing("timeout_client_data"),
        changing("timeout_member_connect"),
        changing("timeout_member_data"),
        changing("timeout_tcp_inspect"),
        changing("default_tls_container_ref"),
        changing("sni_container_refs").or_none(),
        changing("client_ca_tls_container_ref"),
        changing("client_authentication"),
        changing("client_crl_container_ref"),
        changing("tls_ciphers"),
        changing("tls_versions"),
        changing("alpn_protocols"),
    ],
};

const PROTOCOLS: &[&str] = &[
    "HTTP",
    "HTTPS",
    "PROMETHEUS",
    "SCTP",
    "TCP",
    "TERMINATED_HTTPS",
    "UDP",
];

/// What only a listener that ends TLS has.
const OF_TLS: &[&str] = &[
    "default_tls_container_ref",
    "sni_container_refs",
    "client_ca_tls_container_ref",
    "client_crl_container_ref",
    "tls_ciphers",
    "tls_versions",
    "alpn_protocols",
];

#[async_trait::async_trait]
impl Part for Listener {
    fn kind(&self) -> &'static Kind {
        &KIND
    }

    fn schema(&self) -> Schema {
        let text = |doc| Attribute::optional(Type::String, doc);
        let texts = |doc| Attribute::optional(Type::set(Type::String), doc);
        let filled = |doc| Attribute::optional_computed(Type::set(Type::String), doc);
        let number = |doc| Attribute::optional_computed(Type::Number, doc);
        Schema::new(
            "openstack_listener",
            "A port that a load balancer of Octavia listens at.",
        )
        .layer(Layer::Network)
        .on_delete("Nothing answers at the port any more.")
        .counterpart("openstack_lb_listener_v2", &["{id}"])
            .attribute("description", text("A text about it."))
            .attribute("loadbalancer_id", Attribute::required(Type::String, "The load balancer.").hosting(Quantifier::All).replaces())
            .attribute("protocol", Attribute::required(Type::String, "`HTTP`, `HTTPS` (passed on as it is), `TERMINATED_HTTPS`, `TCP`, `UDP`, `SCTP` or `PROMETHEUS`.").replaces())
            .attribute("protocol_port", Attribute::required(Type::Number, "The port.").replaces())
            .attribute("connection_limit", number("How many connections it has at most; -1 for any number, which is the default."))
            .attribute("default_pool_id", Attribute::optional_computed(Type::String, "Where it leads what no rule leads elsewhere. A pool that names this listener is taken by itself."))
            .attribute("insert_headers", Attribute::optional(Type::map(Type::String), "Headers that requests get on their way: `X-Forwarded-For` and others, each `\"true\"` or `\"false\"`."))
            .attribute("allowed_cidrs", texts("Who alone may connect; anybody where nothing is said."))
            .attribute("timeout_client_data", number("How long a client may be silent, in milliseconds."))
            .attribute("timeout_member_connect", number("How long a member has to accept a connection, in milliseconds."))
            .attribute("timeout_member_data", number("How long a member may be silent, in milliseconds."))
            .attribute("timeout_tcp_inspect", number("How long it is waited for more to look into, in milliseconds."))
            .attribute("default_tls_container_ref", text("The certificate and key that it shows, as Barbican calls them."))
            .attribute("sni_container_refs", texts("More of those, for other names."))
            .attribute("client_ca_tls_container_ref", text("Whose certificates clients show, as Barbican calls it."))
            .attribute("client_authentication", Attribute::optional_computed(Type::String, "Whether clients show a certificate: `NONE`, `OPTIONAL` or `MANDATORY`."))
            .attribute("client_crl_container_ref", text("The certificates that are taken back, as Barbican calls them."))
            .attribute("tls_ciphers", Attribute::optional_computed(Type::String, "Its ciphers, as OpenSSL writes them."))
            .attribute("tls_versions", filled("Its versions of TLS, such as `TLSv1.3`."))
            .attribute("alpn_protocols", filled("What it offers within TLS, such as `h2`."))
    }

    fn refine(&self, known: &Value, found: &Json, value: Value) -> Value {
        let balancer = first_id(&found["loadbalancers"])
            .map_or_else(|| known.get("loadbalancer_id"), Value::from);
        value.with("loadbalancer_id", balancer)
    }

    fn plan(&self, change: &mut Change<'_>) -> Result<(), Diagnostic> {
        let planned = &change.planned;
        one_of(planned, "protocol", PROTOCOLS)?;
        one_of(
            planned,
            "client_authentication",
            &["NONE", "OPTIONAL", "MANDATORY"],
        )?;
        within(planned, "protocol_port", PORTS.0, PORTS.1)?;
        within(planned, "connection_limit", -1, i64::from(i32::MAX))?;
        for timeout in [
            "timeout_client_data",
            "timeout_member_connect",
            "timeout_member_data",
            "timeout_tcp_inspect",
        ] {
            within(planned, timeout, 0, LONGEST_TIMEOUT)?;
        }
        let protocol = text_at(planned, "protocol").unwrap_or_default();
        let is_known = planned.get("protocol").is_known();
        let ends_tls = protocol == "TERMINATED_HTTPS";
        if ends_tls && planned.get("default_tls_container_ref").is_null() {
            return Err(wrong(
                "default_tls_container_ref",
                "a listener that ends TLS shows a certificate",
            ));
        }
        let of_tls = OF_TLS.iter().find(|name| is_given(change.config, name));
        if let Some(name) = of_tls.filter(|_| is_known && !ends_tls) {
            return Err(wrong(
                name,
                "only a listener that ends TLS, `TERMINATED_HTTPS`, has it",
            ));
        }
        Ok(())
    }

    fn plan_delete(&self, prior: &Value) -> (Vec<Effect>, Vec<String>) {
        let port = prior.get("protocol_port").as_i64().unwrap_or_default();
        let what = format!("what is reached at port {port}");
        (vec![Effect::Downtime { what }], Vec::new())
    }
}

/// Octavia's longest timeout: 24 days, in milliseconds.
const LONGEST_TIMEOUT: i64 = 24 * 24 * 60 * 60 * 1000;

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::OfBalancer;
    use super::*;
    use crate::object::Model;

    #[test]
    fn its_balancer_is_read_out_of_a_list() {
        let found = json!({ "loadbalancers": [{ "id": "b" }], "provisioning_status": "ERROR" });
        let read = OfBalancer(Listener).refine(&Value::object_of([]), &found, Value::object_of([]));
        assert_eq!(read.get("loadbalancer_id"), "b".into());
        assert_eq!(read.get("fault"), "ERROR".into());
    }
}
