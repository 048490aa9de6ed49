//! `openstack_router_route`: one route of a router. Routes of others stay as they are.

use dmp_sdk::{
    Attribute, Change, Diagnostic, Effect, Layer, MarkWay, Quantifier, Schema, Type, Value,
};
use serde_json::{Value as Json, json};

use crate::cloud::{Question, found};
use crate::object::{Keyed, Seen, State, Task};
use crate::session::{ApiError, Service, Verb};
use crate::values::{items, segment, text, text_at};

/// The model.
pub(crate) struct RouterRoute;

fn path(value: &Value) -> String {
    let router = text_at(value, "router_id").unwrap_or_default();
    format!("/routers/{}", segment(&router))
}

/// Whether a router has the route.
fn has_it(router: &Json, value: &Value) -> bool {
    let (destination, hop) = (text_at(value, "destination"), text_at(value, "next_hop"));
    let mut routes = items(&router["routes"]).iter();
    routes.any(|route| text(route, "destination") == destination && text(route, "nexthop") == hop)
}

async fn look(task: &Task<'_>, value: &Value) -> Result<Option<Json>, Diagnostic> {
    let found = task.look(Service::Network, &path(value), "router").await;
    found.map_err(|error| error.diagnostic("cannot read a router"))
}

/// Adds or removes it by a call that names this route alone, so that nobody else's is lost.
async fn say(task: &Task<'_>, value: &Value, verb: &str, title: &str) -> Result<(), ApiError> {
    let path = format!("{}/{verb}_extraroutes", path(value));
    let route = json!({ "destination": text_at(value, "destination"), "nexthop": text_at(value, "next_hop") });
    let body = json!({ "router": { "routes": [route] } });
    task.change(title, Service::Network, Verb::Put, &path, &body)
        .await
        .map(drop)
}

#[async_trait::async_trait]
impl Keyed for RouterRoute {
    fn schema(&self) -> Schema {
        Schema::new("openstack_router_route", "A route of a router of Neutron.")
            .layer(Layer::Network)
            .mark(MarkWay::NaturalKey(&[
                "router_id",
                "destination",
                "next_hop",
            ]))
            .on_delete("The route is taken out of the router. One that was there before stays.")
            .attribute(
                "router_id",
                Attribute::required(Type::String, "The router.")
                    .hosting(Quantifier::All)
                    .replaces()
                    .unique(),
            )
            .attribute(
                "destination",
                Attribute::required(Type::String, "Where to: a range, `198.51.100.0/24`.")
                    .replaces()
                    .unique(),
            )
            .attribute(
                "next_hop",
                Attribute::required(
                    Type::String,
                    "By which address, in a network that the router is joined to.",
                )
                .replaces()
                .unique(),
            )
            .attribute(
                "project_id",
                Attribute::computed(Type::String, "The project that it is in."),
            )
    }

    fn questions(&self, value: &Value, alone: bool) -> Vec<Question> {
        vec![match alone {
            true => Question::One {
                service: Service::Network,
                path: path(value),
            },
            false => Question::list(Service::Network, "/routers", "routers"),
        }]
    }

    fn read(&self, known: &Value, answers: &[&Json]) -> Result<Option<Seen>, Diagnostic> {
        let Some(answer) = answers.first() else {
            return Ok(None);
        };
        let (one, id) = (found(answer), text_at(known, "router_id"));
        let mut all = items(one).iter().chain(one.get("router"));
        let router = all.find(|router| text(router, "id") == id && has_it(router, known));
        Ok(router.map(|router| Seen {
            attributes: known.with("project_id", text(router, "project_id").into()),
            id: text_at(known, "destination").unwrap_or_default(),
            state: State::Ready,
        }))
    }

    fn plan(&self, change: &mut Change<'_>) -> Result<(), Diagnostic> {
        if change.prior.is_none() && change.earlier.is_some() {
            change.note("it is there already: a delete leaves it");
        }
        Ok(())
    }

    fn plan_delete(&self, prior: &Value) -> (Vec<Effect>, Vec<String>) {
        let what = format!(
            "the way to {}",
            text_at(prior, "destination").unwrap_or_default()
        );
        (vec![Effect::Downtime { what }], Vec::new())
    }

    async fn bring(&self, task: &Task<'_>, wanted: &Value) -> Result<(), Diagnostic> {
        let router = look(task, wanted).await?.ok_or_else(|| {
            Diagnostic::remote("gone", "cannot add a route").cause("the router is gone")
        })?;
        if has_it(&router, wanted) {
            return Ok(());
        }
        match say(task, wanted, "add", "add a route to a router").await {
            Ok(()) => Ok(()),
            Err(error) => {
                let is_old = error.is_missing();
                let is_unreachable = error.refusal().is_some_and(|refused| {
                    refused.says(&["InvalidRoutes", "is not connected", "nexthop"])
                });
                let diagnostic = error.diagnostic("cannot add a route");
                Err(match (is_old, is_unreachable) {
                    (true, _) => diagnostic.help("the cloud's Neutron has to know `extraroute-atomic` (Stein or newer)"),
                    (_, true) => diagnostic.help("join the network of `next_hop` to the router first, and let this wait for it: `depends_on` the `openstack_router_interface`"),
                    _ => diagnostic,
                })
            }
        }
    }

    async fn remove(&self, task: &Task<'_>, prior: &Value) -> Result<(), Diagnostic> {
        match look(task, prior).await? {
            Some(router) if has_it(&router, prior) => {}
            _ => return Ok(()),
        }
        match say(task, prior, "remove", "take a route out of a router").await {
            Ok(()) => Ok(()),
            Err(error) if error.is_missing() => Ok(()),
            Err(error) => Err(error.diagnostic("cannot remove a route")),
        }
    }
}
