//! `openstack_pool`: those that a load balancer passes things on to, and how it chooses among them.

use dmp_sdk::{Attribute, Change, Diagnostic, Layer, Quantifier, Schema, Type, Value};
use serde_json::{Map, Value as Json, json};

use super::{Part, first_id, one_of};
use crate::object::{Kind, Place, Task, by, changing, fixed};
use crate::session::{Refusal, Service};
use crate::values::{is_given, items, text, text_at, wrong};

/// The model.
pub(crate) struct Pool;

static KIND: Kind = Kind {
    noun: "pool",
    service: Service::LoadBalancer,
    collection: "/lbaas/pools",
    listing: "/lbaas/pools",
    one: "pool",
    many: "pools",
    listed_by: Some(by("openstack_pools", "pools", "name")),
    mark: Place::Tags,
    changes: true,
    metadata_apart: false,
    has_tags: false,
    fields: &[
        changing("name").or_empty(),
        changing("description").or_empty(),
        changing("admin_state_up"),
        fixed("protocol"),
        changing("lb_algorithm"),
        changing("session_persistence"),
        changing("tls_enabled"),
        changing("tls_container_ref"),
        changing("ca_tls_container_ref"),
        changing("crl_container_ref"),
        changing("tls_ciphers"),
        changing("tls_versions"),
        changing("alpn_protocols"),
    ],
};

const PROTOCOLS: &[&str] = &["HTTP", "HTTPS", "PROXY", "PROXYV2", "SCTP", "TCP", "UDP"];
const ALGORITHMS: &[&str] = &[
    "LEAST_CONNECTIONS",
    "ROUND_ROBIN",
    "SOURCE_IP",
    "SOURCE_IP_PORT",
];

fn persistence() -> Type {
    Type::object_of_optional([
        ("type", Type::String),
        ("cookie_name", Type::String),
        ("persistence_timeout", Type::Number),
        ("persistence_granularity", Type::String),
    ])
}

/// Refuses a session that is kept in a way that there is not.
fn check_persistence(planned: &Value) -> Result<(), Diagnostic> {
    let session = planned.get("session_persistence");
    if session.is_null() || !session.is_wholly_known() {
        return Ok(());
    }
    let of = |why: String| Err(wrong("session_persistence", why));
    let has_name = text_at(&session, "cookie_name").is_some();
    match text_at(&session, "type").as_deref() {
        Some("APP_COOKIE") if !has_name => of("an `APP_COOKIE` has a `cookie_name`".into()),
        Some("SOURCE_IP" | "HTTP_COOKIE") if has_name => {
            of("only an `APP_COOKIE` has a `cookie_name`".into())
        }
        Some("APP_COOKIE" | "SOURCE_IP" | "HTTP_COOKIE") => Ok(()),
        Some(other) => of(format!(
            "`{other}` is none of `APP_COOKIE`, `HTTP_COOKIE`, `SOURCE_IP`"
        )),
        None => of("its `type` says how a session is kept".into()),
    }
}

#[async_trait::async_trait]
impl Part for Pool {
    fn kind(&self) -> &'static Kind {
        &KIND
    }

    fn schema(&self) -> Schema {
        let text = |doc| Attribute::optional(Type::String, doc);
        let above = |doc| {
            Attribute::optional_computed(Type::String, doc)
                .hosting(Quantifier::All)
                .replaces()
        };
        let filled = |doc| Attribute::optional_computed(Type::set(Type::String), doc);
        Schema::new("openstack_pool", "Those that a load balancer of Octavia passes things on to. Each is an `openstack_member`.")
            .layer(Layer::Network)
            .on_delete("The pool and its members are gone; what led there leads nowhere.")
            .counterpart("openstack_lb_pool_v2", &["{id}"])
            .attribute("description", text("A text about it."))
            .attribute("listener_id", above("The listener that leads here by itself. With `loadbalancer_id` in its place the pool is led to by a rule or by the listener's `default_pool_id`."))
            .attribute("loadbalancer_id", above("The load balancer; that of the listener where one is named."))
            .attribute("protocol", Attribute::required(Type::String, "How members are spoken to: `HTTP`, `HTTPS`, `PROXY`, `PROXYV2`, `TCP`, `UDP` or `SCTP`.").replaces())
            .attribute("lb_algorithm", Attribute::default(Type::String, "How one of them is chosen: `ROUND_ROBIN`, `LEAST_CONNECTIONS`, `SOURCE_IP` or `SOURCE_IP_PORT`.", "ROUND_ROBIN"))
            .attribute("session_persistence", Attribute::optional(persistence(), "How a client stays with one of them: `type` (`SOURCE_IP`, `HTTP_COOKIE` or `APP_COOKIE`), `cookie_name`, and for UDP `persistence_timeout` and `persistence_granularity`."))
            .attribute("tls_enabled", Attribute::default(Type::Bool, "Whether members are spoken to by TLS.", false))
            .attribute("tls_container_ref", text("The certificate and key that it shows them, as Barbican calls them."))
            .attribute("ca_tls_container_ref", text("Whose certificates members show, as Barbican calls it."))
            .attribute("crl_container_ref", text("The certificates that are taken back, as Barbican calls them."))
            .attribute("tls_ciphers", Attribute::optional_computed(Type::String, "Its ciphers, as OpenSSL writes them."))
            .attribute("tls_versions", filled("Its versions of TLS, such as `TLSv1.3`."))
            .attribute("alpn_protocols", filled("What it offers within TLS, such as `h2`."))
    }

    /// Octavia takes one of the two.
    fn fill(&self, wanted: &Value, body: &mut Map<String, Json>) {
        let (name, id) = match text_at(wanted, "listener_id") {
            Some(listener) => ("listener_id", Some(listener)),
            None => ("loadbalancer_id", text_at(wanted, "loadbalancer_id")),
        };
        body.insert(name.into(), json!(id));
    }

    fn refine(&self, known: &Value, found: &Json, value: Value) -> Value {
        let balancer = first_id(&found["loadbalancers"]);
        let listeners = items(&found["listeners"]).iter();
        let mut listeners = listeners.filter_map(|one| text(one, "id"));
        // Several may lead here; the one that is recorded stays.
        let recorded = text_at(known, "listener_id");
        let listener = match recorded {
            Some(recorded) if listeners.any(|id| id == recorded) => Some(recorded),
            _ => first_id(&found["listeners"]),
        };
        value
            .with("loadbalancer_id", balancer.into())
            .with("listener_id", listener.into())
    }

    fn plan(&self, change: &mut Change<'_>) -> Result<(), Diagnostic> {
        let planned = &change.planned;
        one_of(planned, "protocol", PROTOCOLS)?;
        one_of(planned, "lb_algorithm", ALGORITHMS)?;
        check_persistence(planned)?;
        let has = |name| is_given(change.config, name);
        let may_have = |name| !change.config.get(name).is_null();
        match (may_have("listener_id"), may_have("loadbalancer_id")) {
            (false, false) => {
                return Err(wrong(
                    "listener_id",
                    "a pool is of a listener or of a load balancer: name one",
                ));
            }
            (true, true) if has("listener_id") && has("loadbalancer_id") => {
                return Err(wrong(
                    "loadbalancer_id",
                    "the listener says which load balancer it is",
                ));
            }
            _ => {}
        }
        Ok(())
    }

    fn explain(&self, refused: &Refusal) -> Option<String> {
        if refused.says(&["already has a default pool", "has a default pool"]) {
            return Some(
                "a listener leads to one pool by itself: name the load balancer in its place"
                    .into(),
            );
        }
        None
    }

    async fn blockers(&self, task: &Task<'_>, id: &str) -> Vec<String> {
        let path = "/lbaas/l7policies?limit=1000";
        let Ok(answer) = task.cloud.session.get(Service::LoadBalancer, path).await else {
            return Vec::new();
        };
        let policies = items(&answer["l7policies"]).iter();
        let leading = policies.filter(|one| one["redirect_pool_id"] == id);
        leading
            .filter_map(|one| Some(format!("the L7 policy `{}`", text(one, "id")?)))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_listener_that_is_recorded_stays() {
        let found = json!({ "loadbalancers": [{ "id": "b" }], "listeners": [{ "id": "x" }, { "id": "y" }] });
        let read = |listener: Value| {
            let known = Value::object_of([("listener_id", listener)]);
            Pool.refine(&known, &found, known.clone())
                .get("listener_id")
        };
        assert_eq!(read("y".into()), "y".into());
        assert_eq!(read("gone".into()), "x".into());
        assert_eq!(read(Value::null()), "x".into());
    }

    #[test]
    fn a_pool_is_made_at_its_listener_or_at_its_balancer() {
        let body = |name: &'static str| {
            let mut body = Map::new();
            Pool.fill(&Value::object_of([(name, "i".into())]), &mut body);
            Json::Object(body)
        };
        assert_eq!(body("listener_id"), json!({ "listener_id": "i" }));
        assert_eq!(body("loadbalancer_id"), json!({ "loadbalancer_id": "i" }));
    }

    #[test]
    fn sessions_are_kept_in_one_of_three_ways() {
        let check = |kind: &str, cookie: Value| {
            let session = Value::object_of([("type", kind.into()), ("cookie_name", cookie)]);
            check_persistence(&Value::object_of([("session_persistence", session)]))
        };
        assert!(check("SOURCE_IP", Value::null()).is_ok());
        assert!(check("APP_COOKIE", "sid".into()).is_ok());
        assert!(check("APP_COOKIE", Value::null()).is_err());
        assert!(check("HTTP_COOKIE", "sid".into()).is_err());
        assert!(check("COOKIE", Value::null()).is_err());
    }
}
