//! `openstack_router_interface`: that a subnet is joined to a router. Neutron makes a port for it, or takes one that is there.

use std::time::{Duration, Instant};

use dmp_sdk::{
    Attribute, AttributePath, Change, Diagnostic, Effect, Layer, MarkWay, Quantifier, Schema, Type,
    Value,
};
use serde_json::{Value as Json, json};

use crate::cloud::{Question, found};
use crate::object::{Keyed, Seen, State, Task};
use crate::session::{Pauses, Service, Verb};
use crate::values::{is_given, is_missing, items, text, text_at};

/// The model.
pub(crate) struct RouterInterface;

const OWNERS: [&str; 3] = [
    "network:router_interface",
    "network:router_interface_distributed",
    "network:ha_router_replicated_interface",
];

/// The port by which a router has what is meant.
fn port_of<'a>(value: &Value, ports: &'a [Json]) -> Option<&'a Json> {
    let router = text_at(value, "router_id")?;
    let (subnet, port) = (text_at(value, "subnet_id"), text_at(value, "port_id"));
    ports.iter().find(|item| {
        let is_interface = OWNERS.iter().any(|owner| item["device_owner"] == *owner);
        let has_subnet = |subnet: &String| {
            let mut fixed = items(&item["fixed_ips"]).iter();
            fixed.any(|address| text(address, "subnet_id").as_ref() == Some(subnet))
        };
        is_interface
            && text(item, "device_id").as_ref() == Some(&router)
            && port
                .as_ref()
                .is_none_or(|port| text(item, "id").as_ref() == Some(port))
            && subnet.as_ref().is_none_or(has_subnet)
    })
}

/// What is joined, as the calls name it.
fn joined(value: &Value) -> Json {
    match text_at(value, "port_id") {
        Some(port) => json!({ "port_id": port }),
        None => json!({ "subnet_id": text_at(value, "subnet_id") }),
    }
}

async fn look(task: &Task<'_>, value: &Value) -> Result<Option<Json>, Diagnostic> {
    let router = text_at(value, "router_id").unwrap_or_default();
    let path = format!("/ports?device_id={router}");
    let answer = task.cloud.session.get(Service::Network, &path).await;
    let answer = answer.map_err(|error| error.diagnostic("cannot read the ports of a router"))?;
    Ok(port_of(value, items(&answer["ports"])).cloned())
}

#[async_trait::async_trait]
impl Keyed for RouterInterface {
    fn schema(&self) -> Schema {
        Schema::new("openstack_router_interface", "A subnet that is joined to a router.")
            .layer(Layer::Network)
            .mark(MarkWay::NaturalKey(&["router_id", "subnet_id", "port_id"]))
            .on_delete("The subnet is taken off the router, which Neutron refuses while floating IPs lead into it. One that was joined before stays.")
            .attribute("router_id", Attribute::required(Type::String, "The router.").hosting(Quantifier::All).replaces().unique())
            .attribute("subnet_id", Attribute::optional(Type::String, "The subnet; the router gets the address that is its gateway.").replaces().unique())
            .attribute("port_id", Attribute::optional(Type::String, "A port in place of a subnet, where the router is to have another address.").replaces().unique())
            .attribute("interface_port_id", Attribute::computed(Type::String, "The port by which they are joined."))
            .attribute("addresses", Attribute::computed(Type::list(Type::String), "The router's addresses there."))
            .attribute("project_id", Attribute::computed(Type::String, "The project that it is in."))
    }

    fn questions(&self, value: &Value, alone: bool) -> Vec<Question> {
        let router = text_at(value, "router_id").unwrap_or_default();
        let path = match alone {
            true => format!("/ports?device_id={router}"),
            false => "/ports".to_owned(),
        };
        vec![Question::list(Service::Network, &path, "ports")]
    }

    fn read(&self, known: &Value, answers: &[&Json]) -> Result<Option<Seen>, Diagnostic> {
        let ports = answers.first().map(|answer| items(found(answer)));
        let Some(port) = port_of(known, ports.unwrap_or_default()) else {
            return Ok(None);
        };
        let addresses = items(&port["fixed_ips"]).iter();
        let addresses = addresses
            .filter_map(|one| text(one, "ip_address"))
            .map(Value::from);
        let joined = text_at(known, "subnet_id").or_else(|| text_at(known, "port_id"));
        Ok(Some(Seen {
            attributes: known
                .with("interface_port_id", text(port, "id").into())
                .with("addresses", Value::list(addresses.collect()))
                .with("project_id", text(port, "project_id").into()),
            id: joined.unwrap_or_default(),
            state: State::Ready,
        }))
    }

    fn plan(&self, change: &mut Change<'_>) -> Result<(), Diagnostic> {
        let names = ["subnet_id", "port_id"];
        let both = names.iter().all(|name| is_given(change.config, name));
        let neither = names.iter().all(|name| is_missing(change.config, name));
        if both || neither {
            return Err(Diagnostic::error("wrong-argument", "unusable argument")
                .detail("a router is joined to either a `subnet_id` or a `port_id`")
                .path(AttributePath::of("subnet_id")));
        }
        if change.prior.is_none() && change.earlier.is_some() {
            change.note("they are joined already: a delete leaves them so");
        }
        Ok(())
    }

    fn plan_delete(&self, _prior: &Value) -> (Vec<Effect>, Vec<String>) {
        let what = "the way out of the subnet".to_owned();
        (vec![Effect::Downtime { what }], Vec::new())
    }

    async fn bring(&self, task: &Task<'_>, wanted: &Value) -> Result<(), Diagnostic> {
        if look(task, wanted).await?.is_some() {
            return Ok(());
        }
        let router = text_at(wanted, "router_id").unwrap_or_default();
        let path = format!("/routers/{router}/add_router_interface");
        let made = task
            .change(
                "join a subnet to a router",
                Service::Network,
                Verb::Put,
                &path,
                &joined(wanted),
            )
            .await;
        match made {
            Ok(_) => Ok(()),
            // It may have been done by a call whose answer was lost.
            Err(error) => match look(task, wanted).await? {
                Some(_) => Ok(()),
                None => Err(error.diagnostic("cannot join a subnet to a router")),
            },
        }
    }

    async fn remove(&self, task: &Task<'_>, prior: &Value) -> Result<(), Diagnostic> {
        if look(task, prior).await?.is_none() {
            return Ok(());
        }
        let router = text_at(prior, "router_id").unwrap_or_default();
        let path = format!("/routers/{router}/remove_router_interface");
        task.cx.begin("take a subnet off a router").await?;
        let until = Instant::now() + IN_USE;
        let mut pauses = Pauses::new();
        loop {
            let body = joined(prior);
            let removed = task
                .cloud
                .session
                .write(Service::Network, Verb::Put, &path, &body)
                .await;
            let Err(error) = removed else {
                return Ok(());
            };
            if error.is_missing() || look(task, prior).await?.is_none() {
                return Ok(());
            }
            if !error.is_conflict() {
                return Err(error.diagnostic("cannot take a subnet off a router"));
            }
            task.cx.waiting("what still needs the way out", IN_USE);
            if task.cx.is_cancelled() || !pauses.wait(until, None).await {
                return Err(error
                    .diagnostic("cannot take a subnet off a router")
                    .help("floating IPs lead into the subnet: `openstack floating ip list --router …` names them"));
            }
        }
    }
}

const IN_USE: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_routers_own_port_in_the_subnet_is_meant() {
        let port = |id: &str, owner: &str, subnet: &str| json!({ "id": id, "device_id": "r", "device_owner": owner, "fixed_ips": [{ "subnet_id": subnet }] });
        let ports = [
            port("gateway", "network:router_gateway", "s"),
            port("other", OWNERS[0], "t"),
            port("it", OWNERS[2], "s"),
        ];
        let value = Value::object_of([("router_id", "r".into()), ("subnet_id", "s".into())]);
        assert_eq!(
            port_of(&value, &ports).map(|port| &port["id"]),
            Some(&json!("it"))
        );
        let by_port = Value::object_of([("router_id", "r".into()), ("port_id", "other".into())]);
        assert_eq!(
            port_of(&by_port, &ports).map(|port| &port["id"]),
            Some(&json!("other"))
        );
        let elsewhere = value.with("router_id", "q".into());
        assert!(port_of(&elsewhere, &ports).is_none());
    }
}
