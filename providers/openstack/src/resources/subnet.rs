//! `openstack_subnet`: a range of addresses of a network.

use std::net::IpAddr;

use dmp_sdk::{Attribute, Change, Diagnostic, Layer, Quantifier, Schema, Type, Value};
use serde_json::{Map, Value as Json, json};

use super::ports_in_words;
use crate::object::{Kind, Model, Place, Task, by, changing, fixed};
use crate::session::{Refusal, Service};
use crate::values::{is_given, is_missing, text_at, wrong};

/// The model.
pub(crate) struct Subnet;

static KIND: Kind = Kind {
    noun: "subnet",
    service: Service::Network,
    collection: "/subnets",
    listing: "/subnets",
    one: "subnet",
    many: "subnets",
    listed_by: Some(by("openstack_subnets", "subnets", "name")),
    mark: Place::Description,
    changes: true,
    metadata_apart: false,
    has_tags: true,
    fields: &[
        changing("name").or_empty(),
        fixed("network_id"),
        fixed("cidr"),
        fixed("ip_version"),
        fixed("subnet_pool_id").named("subnetpool_id"),
        changing("gateway_ip"),
        changing("enable_dhcp"),
        changing("dns_nameservers").or_none(),
        changing("allocation_pools"),
        changing("host_routes").or_none(),
        changing("service_types").or_none(),
        fixed("ipv6_address_mode"),
        fixed("ipv6_ra_mode"),
    ],
};

/// The first address of a range, which Neutron takes as its gateway.
fn first_address(cidr: &str) -> Option<String> {
    let (address, prefix) = cidr.split_once('/')?;
    let prefix: u32 = prefix.parse().ok()?;
    match address.parse().ok()? {
        IpAddr::V4(address) => {
            let kept = u32::MAX
                .checked_shl(32_u32.checked_sub(prefix)?)
                .unwrap_or(0);
            let first = (u32::from(address) & kept).checked_add(1)?;
            Some(std::net::Ipv4Addr::from(first).to_string())
        }
        IpAddr::V6(address) => {
            let kept = u128::MAX
                .checked_shl(128_u32.checked_sub(prefix)?)
                .unwrap_or(0);
            let first = (u128::from(address) & kept).checked_add(1)?;
            Some(std::net::Ipv6Addr::from(first).to_string())
        }
    }
}

/// A range in the form that Neutron gives back: with the host's bits at zero.
fn as_range(cidr: &str) -> Option<String> {
    let (address, prefix) = cidr.trim().split_once('/')?;
    let bits: u32 = prefix.parse().ok()?;
    let network = match address.parse().ok()? {
        IpAddr::V4(address) => {
            let kept = u32::MAX.checked_shl(32_u32.checked_sub(bits)?).unwrap_or(0);
            IpAddr::from(std::net::Ipv4Addr::from(u32::from(address) & kept))
        }
        IpAddr::V6(address) => {
            let kept = u128::MAX
                .checked_shl(128_u32.checked_sub(bits)?)
                .unwrap_or(0);
            IpAddr::from(std::net::Ipv6Addr::from(u128::from(address) & kept))
        }
    };
    Some(format!("{network}/{bits}"))
}

#[async_trait::async_trait]
impl Model for Subnet {
    fn kind(&self) -> &'static Kind {
        &KIND
    }

    fn schema(&self) -> Schema {
        let text = |doc| Attribute::optional(Type::String, doc);
        let pool = Type::object([("start", Type::String), ("end", Type::String)]);
        let route = Type::object([("destination", Type::String), ("nexthop", Type::String)]);
        Schema::new("openstack_subnet", "A range of addresses of a network of Neutron.")
            .layer(Layer::Network)
            .on_delete("The subnet is removed, which Neutron refuses while ports have addresses of it.")
            .counterpart("openstack_networking_subnet_v2", &["{id}"])
            .attribute("name", text("Its name."))
            .attribute("network_id", Attribute::required(Type::String, "The network that it is of.").hosting(Quantifier::All).replaces())
            .attribute("cidr", Attribute::optional_computed(Type::String, "The range, `192.0.2.0/24`; with `subnet_pool_id` the pool chooses it if it is left out.").replaces())
            .attribute("ip_version", Attribute::default(Type::Number, "4 or 6.", 4).replaces())
            .attribute("subnet_pool_id", text("The pool that the range is taken from.").replaces())
            .attribute("prefix_length", Attribute::optional(Type::Number, "How long the prefix of a range out of a pool is.").replaces())
            .attribute("gateway_ip", Attribute::optional_computed(Type::String, "The way out; the first address of the range where nothing is said."))
            .attribute("no_gateway", Attribute::default(Type::Bool, "Whether there is no way out of it.", false))
            .attribute("enable_dhcp", Attribute::default(Type::Bool, "Whether machines get their addresses by DHCP.", true))
            .attribute("dns_nameservers", Attribute::optional(Type::list(Type::String), "Name servers that machines are told."))
            .attribute("allocation_pools", Attribute::optional_computed(Type::set(pool), "Parts of the range that addresses are given out of: `start` and `end`.").block())
            .attribute("host_routes", Attribute::optional(Type::set(route), "Routes that machines are told: `destination` and `nexthop`.").block())
            .attribute("service_types", Attribute::optional(Type::list(Type::String), "Owners of devices to whom alone addresses are given, such as `network:floatingip`."))
            .attribute("ipv6_address_mode", text("`slaac`, `dhcpv6-stateful` or `dhcpv6-stateless`.").replaces())
            .attribute("ipv6_ra_mode", text("Who tells routes by IPv6; the same words.").replaces())
    }

    fn fill(&self, wanted: &Value, body: &mut Map<String, Json>) {
        if let Some(length) = wanted.get("prefix_length").as_i64() {
            body.insert("prefixlen".into(), json!(length));
        }
        if wanted.get("no_gateway").as_bool() == Some(true) {
            body.insert("gateway_ip".into(), Json::Null);
        }
    }

    fn refine(&self, _known: &Value, found: &Json, value: Value) -> Value {
        value.with("no_gateway", found["gateway_ip"].is_null().into())
    }

    fn plan(&self, change: &mut Change<'_>) -> Result<(), Diagnostic> {
        let cidr = change.planned.get("cidr");
        if let Some(text) = cidr.as_str() {
            let Some(range) = as_range(text) else {
                return Err(wrong(
                    "cidr",
                    format!("`{text}` is no range: write it as `192.0.2.0/24`"),
                ));
            };
            let is_six = range.contains(':');
            let version = change.planned.get("ip_version");
            if version
                .as_i64()
                .is_some_and(|version| (version == 6) != is_six)
            {
                return Err(wrong(
                    "ip_version",
                    format!("`{range}` is not of this version"),
                ));
            }
            if let Some(prior) = change
                .prior
                .filter(|prior| prior.get("cidr").as_str() == Some(&range))
            {
                change.set("cidr", prior.get("cidr"));
            } else if range != text {
                return Err(wrong(
                    "cidr",
                    format!("`{text}` has bits of a host: the range is `{range}`"),
                ));
            }
        } else if cidr.is_null() && change.config.get("subnet_pool_id").is_null() {
            return Err(wrong(
                "cidr",
                "`cidr` is missing, or a `subnet_pool_id` to take it from",
            ));
        }
        if change.prior.is_none()
            && change.config.get("cidr").is_null()
            && change.config.get("subnet_pool_id").is_null()
        {
            return Err(wrong(
                "cidr",
                "`cidr` is missing, or a `subnet_pool_id` to take it from",
            ));
        }
        let no_gateway = change.planned.get("no_gateway");
        let is_given = is_given(change.config, "gateway_ip");
        let is_missing = is_missing(change.config, "gateway_ip");
        match no_gateway.as_bool() {
            Some(true) if is_given => {
                return Err(wrong(
                    "no_gateway",
                    "`no_gateway` and `gateway_ip` exclude each other",
                ));
            }
            Some(true) if is_missing => change.set("gateway_ip", Value::null()),
            Some(false) if is_missing && change.planned.get("gateway_ip").is_null() => {
                let cidr = text_at(&change.planned, "cidr");
                match cidr.and_then(|cidr| first_address(&cidr)) {
                    Some(first) => change.set("gateway_ip", first.into()),
                    None => change.unknown("gateway_ip"),
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn takes_away(&self, wanted: &Value, attribute: &str) -> bool {
        attribute == "gateway_ip" && wanted.get("no_gateway").as_bool() == Some(true)
    }

    fn explain(&self, refused: &Refusal) -> Option<String> {
        refused
            .says(&["overlaps"])
            .then(|| "the network has another subnet with some of these addresses".into())
    }

    async fn blockers(&self, task: &Task<'_>, id: &str) -> Vec<String> {
        ports_in_words(task, &format!("fixed_ips=subnet_id%3D{id}")).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_gateway_is_the_first_address() {
        assert_eq!(first_address("192.0.2.0/24").as_deref(), Some("192.0.2.1"));
        assert_eq!(
            first_address("2001:db8::/64").as_deref(),
            Some("2001:db8::1")
        );
        assert_eq!(first_address("192.0.2.0"), None);
    }

    #[test]
    fn a_range_has_no_bits_of_a_host() {
        assert_eq!(as_range("192.0.2.7/24").as_deref(), Some("192.0.2.0/24"));
        assert_eq!(as_range("0.0.0.0/0").as_deref(), Some("0.0.0.0/0"));
        assert_eq!(as_range("2001:DB8::1/64").as_deref(), Some("2001:db8::/64"));
        assert_eq!(as_range("192.0.2.0/33"), None);
    }
}
