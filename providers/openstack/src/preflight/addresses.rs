//! Addresses: whether subnets have as many left as a plan takes, and whether those that it names are free. What others have in a
//! shared network is not shown to a project, so that a plan may still be refused there; what is told here can't succeed.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::ops::RangeInclusive;

use dmp_sdk::{Action, AttributePath, Diagnostic, Intended, Value};
use serde_json::Value as Json;

use crate::values::{items, text, text_at, texts_at};

/// What is taken of the subnets of IPv4 that are there. Those of IPv6 do not run out.
#[derive(Debug, Default)]
pub(super) struct Addresses(Vec<Subnet>);

#[derive(Debug)]
struct Subnet {
    id: String,
    network: String,
    /// Its name and its range.
    title: String,
    pools: Vec<RangeInclusive<u32>>,
    /// Each address, and whose it is.
    taken: BTreeMap<u32, String>,
}

/// One address that a plan takes.
struct Wish<'a> {
    change: &'a Intended<'a>,
    attribute: &'static str,
    network: Option<String>,
    subnet: Option<String>,
    address: Option<u32>,
}

/// How many ranges of addresses are left, and how many there are.
struct Room {
    all: u64,
    left: u64,
}

fn number_of(address: &str) -> Option<u32> {
    address.parse::<Ipv4Addr>().ok().map(u32::from)
}

impl Subnet {
    fn of(subnet: &Json) -> Option<Self> {
        let pool = |pool: &Json| {
            let bound = |name| text(pool, name).as_deref().and_then(number_of);
            Some(bound("start")?..=bound("end")?)
        };
        let id = text(subnet, "id")?;
        let name = text(subnet, "name").unwrap_or_else(|| id.clone());
        let pools: Option<Vec<_>> = items(&subnet["allocation_pools"])
            .iter()
            .map(pool)
            .collect();
        Some(Self {
            network: text(subnet, "network_id")?,
            title: format!("`{name}` ({})", text(subnet, "cidr").unwrap_or_default()),
            pools: pools.filter(|pools| !pools.is_empty())?,
            taken: BTreeMap::new(),
            id,
        })
    }

    fn gives(&self, address: u32) -> bool {
        self.pools.iter().any(|pool| pool.contains(&address))
    }

    fn room(&self) -> Room {
        let size =
            |pool: &RangeInclusive<u32>| u64::from(pool.end().saturating_sub(*pool.start())) + 1;
        let all: u64 = self.pools.iter().map(size).sum();
        let taken = self.taken.keys().filter(|address| self.gives(**address));
        Room {
            all,
            left: all.saturating_sub(taken.count() as u64),
        }
    }
}

impl Addresses {
    /// Out of listings of subnets, ports and floating IPs.
    pub(super) fn of(subnets: &[Json], ports: &[Json], floating: &[Json]) -> Self {
        let mut found = Self(subnets.iter().filter_map(Subnet::of).collect());
        for port in ports {
            let whose = || {
                let id = text(port, "id").unwrap_or_default();
                match (text(port, "device_owner"), text(port, "device_id")) {
                    (Some(owner), Some(device)) => {
                        format!("the port `{id}` ({owner} of `{device}`)")
                    }
                    _ => format!("the port `{id}`"),
                }
            };
            for fixed in items(&port["fixed_ips"]) {
                let subnet = text(fixed, "subnet_id").unwrap_or_default();
                let address = text(fixed, "ip_address").as_deref().and_then(number_of);
                let has = found.0.iter_mut().find(|one| one.id == subnet);
                if let Some((address, subnet)) = address.zip(has) {
                    subnet.taken.insert(address, whose());
                }
            }
        }
        for floating in floating {
            let network = text(floating, "floating_network_id").unwrap_or_default();
            let address = text(floating, "floating_ip_address")
                .as_deref()
                .and_then(number_of);
            let mut own = found.0.iter_mut().filter(|one| one.network == network);
            if let Some(address) = address
                && let Some(subnet) = own.find(|one| one.gives(address))
            {
                let id = text(floating, "id").unwrap_or_default();
                subnet
                    .taken
                    .entry(address)
                    .or_insert_with(|| format!("the floating IP `{id}`"));
            }
        }
        found
    }

    /// What of the plan can't succeed.
    pub(super) fn judge(mut self, changes: &[&Intended<'_>]) -> Vec<Diagnostic> {
        for change in changes {
            // What goes before its successor gives its addresses back.
            if let (Action::DeleteThenCreate, Some(prior)) = (change.action, change.prior) {
                self.give_back(prior);
            }
        }
        let wishes: Vec<Wish<'_>> = changes.iter().flat_map(|change| wishes(change)).collect();
        let mut found = self.taken(&wishes);
        found.extend(self.too_few(&wishes));
        found
    }

    fn give_back(&mut self, prior: &Value) {
        let addresses = texts_at(prior, "addresses").into_iter();
        let gone: BTreeSet<u32> = addresses
            .chain(text_at(prior, "address"))
            .filter_map(|address| number_of(&address))
            .collect();
        for subnet in &mut self.0 {
            subnet.taken.retain(|address, _| !gone.contains(address));
        }
    }

    /// The subnets that an address could be of.
    fn of_wish<'s>(&'s self, wish: &'s Wish<'_>) -> impl Iterator<Item = &'s Subnet> {
        self.0.iter().filter(move |one| {
            let is = |wished: &Option<String>, has: &str| wished.as_deref() == Some(has);
            match wish.subnet.is_some() {
                true => is(&wish.subnet, &one.id),
                false => is(&wish.network, &one.network),
            }
        })
    }

    fn taken(&self, wishes: &[Wish<'_>]) -> Vec<Diagnostic> {
        let whose = |wish: &Wish<'_>| {
            let address = wish.address?;
            let whose = self
                .of_wish(wish)
                .find_map(|subnet| subnet.taken.get(&address))?;
            Some(
                Diagnostic::error("taken", "an address is taken")
                    .detail(format!("{} belongs to {whose}", Ipv4Addr::from(address)))
                    .help("choose another one, or leave the choice to the cloud")
                    .address(wish.change.address)
                    .path(AttributePath::of(wish.attribute)),
            )
        };
        wishes.iter().filter_map(whose).collect()
    }

    /// Subnets, and whole networks where the cloud chooses the subnet.
    fn too_few(&self, wishes: &[Wish<'_>]) -> Vec<Diagnostic> {
        let from_pools = |wish: &&Wish<'_>| {
            let mut subnets = self.of_wish(wish);
            wish.address
                .is_none_or(|address| subnets.any(|one| one.gives(address)))
        };
        let wishes: Vec<&Wish<'_>> = wishes.iter().filter(from_pools).collect();
        let mut found = Vec::new();
        let mut told = BTreeSet::new();
        for subnet in &self.0 {
            let own = wishes
                .iter()
                .filter(|wish| wish.subnet.as_deref() == Some(subnet.id.as_str()));
            let needed = own.count() as u64;
            let room = subnet.room();
            if needed > room.left {
                told.insert(&subnet.network);
                found.push(none_left("subnet", &subnet.title, needed, &room));
            }
        }
        let networks: BTreeSet<&String> = self.0.iter().map(|one| &one.network).collect();
        for network in networks.difference(&told) {
            let own = || self.0.iter().filter(|one| one.network == **network);
            let takes = |wish: &&&Wish<'_>| self.of_wish(wish).any(|one| one.network == **network);
            let needed = wishes.iter().filter(takes).count() as u64;
            let rooms: Vec<Room> = own().map(Subnet::room).collect();
            let room = Room {
                all: rooms.iter().map(|room| room.all).sum(),
                left: rooms.iter().map(|room| room.left).sum(),
            };
            if needed > room.left {
                let titles: Vec<&str> = own().map(|one| one.title.as_str()).collect();
                found.push(none_left("network", &titles.join(", "), needed, &room));
            }
        }
        found
    }
}

fn none_left(what: &str, title: &str, needed: u64, room: &Room) -> Diagnostic {
    Diagnostic::error("no-address", format!("a {what} has too few addresses"))
        .detail(format!(
            "the plan takes {needed} of {title}: {} of {} are left",
            room.left, room.all
        ))
        .help("make less, remove what is no longer needed, or widen its allocation pools")
}

/// The addresses that a change takes, as far as it is known of what.
fn wishes<'a>(change: &'a Intended<'a>) -> Vec<Wish<'a>> {
    let is_new = change.prior.is_none() || change.action.replaces();
    let Some(planned) = change.planned.filter(|_| is_new) else {
        return Vec::new();
    };
    let wish = |attribute, network, subnet, address: Option<String>| Wish {
        change,
        attribute,
        network,
        subnet,
        address: address.as_deref().and_then(number_of),
    };
    let is_six = |address: &Option<String>| {
        address
            .as_deref()
            .is_some_and(|address| address.contains(':'))
    };
    match change.address.resource_type.as_ref() {
        "openstack_port" => {
            let network = text_at(planned, "network_id");
            let fixed = planned.get("fixed_ip");
            match fixed.as_items() {
                Some(fixed) => fixed
                    .iter()
                    .map(|one| (text_at(one, "subnet_id"), text_at(one, "ip_address")))
                    .filter(|(_, address)| !is_six(address))
                    .map(|(subnet, address)| wish("fixed_ip", network.clone(), subnet, address))
                    .collect(),
                None => vec![wish("network_id", network, None, None)],
            }
        }
        "openstack_server" => {
            let plugs = planned.get("network");
            let plugs = plugs.as_items().unwrap_or_default().iter();
            plugs
                .filter(|plug| plug.get("port_id").is_null())
                .map(|plug| (text_at(plug, "network_id"), text_at(plug, "fixed_ip")))
                .filter(|(_, address)| !is_six(address))
                .map(|(network, address)| wish("network", network, None, address))
                .collect()
        }
        "openstack_floating_ip" => vec![wish(
            "network_id",
            text_at(planned, "network_id"),
            text_at(planned, "subnet_id"),
            text_at(planned, "address"),
        )],
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use dmp_sdk::Address;
    use serde_json::json;

    use super::*;

    /// Three addresses, of which one is taken.
    fn addresses() -> Addresses {
        let subnets = [
            json!({ "id": "s", "name": "inside", "network_id": "n", "cidr": "192.0.2.0/29", "allocation_pools": [{ "start": "192.0.2.2", "end": "192.0.2.4" }] }),
            json!({ "id": "six", "network_id": "n", "cidr": "2001:db8::/64", "allocation_pools": [{ "start": "2001:db8::2", "end": "2001:db8::ffff" }] }),
        ];
        let ports = [
            json!({ "id": "p", "device_owner": "compute:nova", "device_id": "web", "fixed_ips": [{ "subnet_id": "s", "ip_address": "192.0.2.3" }, { "subnet_id": "six", "ip_address": "2001:db8::3" }] }),
        ];
        Addresses::of(&subnets, &ports, &[])
    }

    fn port(fixed: Value) -> Value {
        Value::object_of([("network_id", "n".into()), ("fixed_ip", fixed)])
    }

    fn at(address: &str) -> Value {
        port(Value::list(vec![Value::object_of([
            ("subnet_id", "s".into()),
            ("ip_address", address.into()),
        ])]))
    }

    fn judged(ports: &[Value], action: Action, prior: Option<&Value>) -> Vec<String> {
        let address = Address::managed("openstack_port", "one");
        let changes: Vec<Intended<'_>> = ports
            .iter()
            .map(|planned| Intended {
                address: &address,
                action,
                prior,
                planned: Some(planned),
            })
            .collect();
        let found = addresses().judge(&changes.iter().collect::<Vec<_>>());
        found
            .into_iter()
            .map(|one| format!("{}: {}", one.code, one.detail))
            .collect()
    }

    #[test]
    fn a_subnet_has_to_have_as_many_as_the_plan_takes() {
        let any = || port(Value::null());
        assert!(judged(&[any(), any()], Action::Create, None).is_empty());
        assert_eq!(
            judged(&[any(), any(), any()], Action::Create, None),
            ["no-address: the plan takes 3 of `inside` (192.0.2.0/29): 2 of 3 are left"]
        );
        // An address beside the pools takes nothing of them.
        assert!(judged(&[any(), any(), at("192.0.2.6")], Action::Create, None).is_empty());
    }

    #[test]
    fn an_address_that_somebody_has_is_told_with_its_owner() {
        assert_eq!(
            judged(&[at("192.0.2.3")], Action::Create, None),
            ["taken: 192.0.2.3 belongs to the port `p` (compute:nova of `web`)"]
        );
        let prior = Value::object_of([("addresses", Value::list(vec!["192.0.2.3".into()]))]);
        let own = judged(&[at("192.0.2.3")], Action::DeleteThenCreate, Some(&prior));
        assert!(own.is_empty(), "{own:?}");
    }
}
