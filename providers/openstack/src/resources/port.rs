//! `openstack_port`: a machine's plug in a network, with its addresses and its security groups.

use dmp_sdk::{Attribute, Layer, Quantifier, Schema, Type, Value};
use serde_json::Value as Json;

use crate::object::{Kind, Model, Place, by, changing, fixed};
use crate::session::{Refusal, Service};
use crate::values::{items, text, text_at};

/// The model.
pub(crate) struct Port;

static KIND: Kind = Kind {
    noun: "port",
    service: Service::Network,
    collection: "/ports",
    listing: "/ports",
    one: "port",
    many: "ports",
    listed_by: Some(by("openstack_ports", "ports", "name")),
    mark: Place::Description,
    changes: true,
    metadata_apart: false,
    has_tags: true,
    fields: &[
        changing("name").or_empty(),
        fixed("network_id"),
        changing("admin_state_up"),
        changing("fixed_ip").named("fixed_ips"),
        changing("security_group_ids").named("security_groups"),
        changing("allowed_address_pair")
            .named("allowed_address_pairs")
            .or_none(),
        changing("port_security_enabled"),
        fixed("mac_address"),
        fixed("vnic_type").named("binding:vnic_type"),
        changing("dns_name").or_empty(),
        changing("qos_policy_id"),
    ],
};

/// Keeps the wished addresses as they are written where what was found fulfils them, one for one.
fn addresses(known: &Value, found: &[Json]) -> Option<Value> {
    let wished = known.get("fixed_ip");
    let items = wished.as_items()?;
    let mut left: Vec<&Json> = found.iter().collect();
    if items.len() != left.len() {
        return None;
    }
    let fits = |wish: &Value, has: &Json| {
        ["subnet_id", "ip_address"].iter().all(|name| {
            text_at(wish, name).is_none_or(|wish| text(has, name).as_ref() == Some(&wish))
        })
    };
    // Those that say most choose first.
    let mut order: Vec<&Value> = items.iter().collect();
    order.sort_by_key(|wish| wish.get("ip_address").is_null());
    for wish in order {
        let at = left.iter().position(|has| fits(wish, has))?;
        left.remove(at);
    }
    Some(wished)
}

/// Neutron writes the port's own MAC address where a pair has none.
fn pairs(known: &Value, found: &Json, value: &Value) -> Value {
    let own = text(found, "mac_address");
    let wished = known.get("allowed_address_pair");
    let bare: Vec<String> = wished
        .as_items()
        .unwrap_or_default()
        .iter()
        .filter(|pair| pair.get("mac_address").is_null())
        .filter_map(|pair| text_at(pair, "ip_address"))
        .collect();
    let pairs = value.get("allowed_address_pair");
    let Some(items) = pairs.as_items() else {
        return pairs;
    };
    let pair = |pair: &Value| {
        let is_bare = text_at(pair, "ip_address").is_some_and(|address| bare.contains(&address));
        match is_bare && text_at(pair, "mac_address") == own {
            true => pair.with("mac_address", Value::null()),
            false => pair.clone(),
        }
    };
    Value::set(items.iter().map(pair).collect())
}

#[async_trait::async_trait]
impl Model for Port {
    fn kind(&self) -> &'static Kind {
        &KIND
    }

    fn schema(&self) -> Schema {
        let text = |doc| Attribute::optional(Type::String, doc);
        let address =
            Type::object_of_optional([("subnet_id", Type::String), ("ip_address", Type::String)]);
        let pair =
            Type::object_of_optional([("ip_address", Type::String), ("mac_address", Type::String)]);
        Schema::new("openstack_port", "A plug in a network of Neutron. Named by a server it keeps its addresses when the server is replaced.")
            .layer(Layer::Network)
            .on_delete("The port is removed and its addresses are free; a server loses the device.")
            .counterpart("openstack_networking_port_v2", &["{id}"])
            .attribute("name", text("Its name."))
            .attribute("network_id", Attribute::required(Type::String, "The network that it is in.").hosting(Quantifier::All).replaces())
            .attribute("admin_state_up", Attribute::default(Type::Bool, "Whether it carries packets.", true))
            .attribute("fixed_ip", Attribute::optional_computed(Type::list(address), "Its addresses: `subnet_id`, `ip_address` or both. One of each version where nothing is said.").block())
            .attribute("security_group_ids", Attribute::optional_computed(Type::set(Type::String), "Its security groups; `default` where nothing is said, none with `[]`."))
            .attribute("allowed_address_pair", Attribute::optional(Type::set(pair), "Addresses that it may send from beside its own: `ip_address`, also a range, and `mac_address`.").block())
            .attribute("port_security_enabled", Attribute::optional_computed(Type::Bool, "Whether security groups and the check of its addresses hold. Without it it has no groups."))
            .attribute("mac_address", Attribute::optional_computed(Type::String, "Its MAC address.").replaces())
            .attribute("vnic_type", Attribute::optional_computed(Type::String, "`normal`, `direct`, `macvtap` and others.").replaces())
            .attribute("dns_name", text("Its name in DNS, where the cloud has that."))
            .attribute("qos_policy_id", text("The policy of its bandwidth."))
                        .attribute("addresses", Attribute::computed(Type::list(Type::String), "All its addresses."))
    }

    fn refine(&self, known: &Value, found: &Json, value: Value) -> Value {
        let fixed = items(&found["fixed_ips"]);
        let all = fixed
            .iter()
            .filter_map(|address| text(address, "ip_address"));
        let all = Value::list(all.map(Value::from).collect());
        let pairs = pairs(known, found, &value);
        let value = value
            .with("addresses", all)
            .with("allowed_address_pair", pairs);
        match addresses(known, fixed) {
            Some(wished) => value.with("fixed_ip", wished),
            None => value,
        }
    }

    fn plan(&self, change: &mut dmp_sdk::Change<'_>) -> Result<(), dmp_sdk::Diagnostic> {
        if change.prior.is_some() && change.changes("fixed_ip") {
            change.unknown("addresses");
        }
        let is_open = change.planned.get("port_security_enabled").as_bool() == Some(false);
        if is_open && change.config.get("security_group_ids").is_null() {
            change.set("security_group_ids", Value::set(Vec::new()));
        }
        Ok(())
    }

    fn explain(&self, refused: &Refusal) -> Option<String> {
        refused
            .says(&["IpAddressAlreadyAllocated", "IpAddressInUse"])
            .then(|| "another port has this address: `openstack port list --fixed-ip ip-address=…` names it".into())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn wish(pairs: &[(&'static str, &'static str)]) -> Value {
        let members = pairs
            .iter()
            .map(|(name, value)| ((*name).into(), (*value).into()));
        Value::object(members.collect())
    }

    #[test]
    fn addresses_that_fulfil_a_wish_leave_it_as_it_is_written() {
        let found = [
            json!({ "subnet_id": "s", "ip_address": "192.0.2.9" }),
            json!({ "subnet_id": "s", "ip_address": "192.0.2.5" }),
        ];
        let known = |items: Vec<Value>| Value::object_of([("fixed_ip", Value::list(items))]);
        let both = known(vec![
            wish(&[("subnet_id", "s")]),
            wish(&[("ip_address", "192.0.2.9")]),
        ]);
        assert_eq!(addresses(&both, &found), Some(both.get("fixed_ip")));
        let other = known(vec![
            wish(&[("subnet_id", "s")]),
            wish(&[("ip_address", "192.0.2.7")]),
        ]);
        assert_eq!(addresses(&other, &found), None);
        assert_eq!(
            addresses(&known(vec![wish(&[("subnet_id", "s")])]), &found),
            None
        );
    }
}
