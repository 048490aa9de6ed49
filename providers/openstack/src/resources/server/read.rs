//! A server as Nova and Neutron tell of it.

use dmp_sdk::{Machine, Type, Value};
use serde_json::Value as Json;

use super::wanted::{self, Plug};
use crate::marked;
use crate::object::State;
use crate::values::{items, text, text_at, value_of};

/// One plug as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Plugged {
    pub port: String,
    pub network: String,
    pub mac: Option<String>,
    pub addresses: Vec<String>,
    pub groups: Vec<String>,
}

impl Plugged {
    fn of(port: &Json) -> Self {
        let addresses = items(&port["fixed_ips"]).iter();
        let groups = items(&port["security_groups"]).iter();
        Self {
            port: text(port, "id").unwrap_or_default(),
            network: text(port, "network_id").unwrap_or_default(),
            mac: text(port, "mac_address"),
            addresses: addresses
                .filter_map(|one| text(one, "ip_address"))
                .collect(),
            groups: groups
                .filter_map(|id| id.as_str().map(ToOwned::to_owned))
                .collect(),
        }
    }

    fn fulfils(&self, plug: &Plug) -> bool {
        let is = |wish: &Option<String>, has: &str| wish.as_deref().is_none_or(|wish| wish == has);
        is(&plug.port, &self.port)
            && is(&plug.network, &self.network)
            && plug
                .address
                .as_ref()
                .is_none_or(|address| self.addresses.contains(address))
    }
}

/// The plugs of a server among ports.
pub(super) fn plugged(ports: &Json, server: &str) -> Vec<Plugged> {
    let own = items(ports)
        .iter()
        .filter(|port| port["device_id"] == server);
    let mut own: Vec<Plugged> = own.map(Plugged::of).collect();
    own.sort_by(|a, b| a.port.cmp(&b.port));
    own
}

/// Which plug fulfils which wish, one for one; those that say most choose first.
pub(super) fn matched(wishes: &[Plug], has: &[Plugged]) -> Vec<Option<usize>> {
    let mut found: Vec<Option<usize>> = vec![None; wishes.len()];
    let mut order: Vec<usize> = (0..wishes.len()).collect();
    order.sort_by_key(|at| (wishes[*at].port.is_none(), wishes[*at].address.is_none()));
    for at in order {
        let is_free = |index: &usize| !found.contains(&Some(*index));
        found[at] = (0..has.len())
            .filter(is_free)
            .find(|index| has[*index].fulfils(&wishes[at]));
    }
    found
}

/// The plugs, those of the wishes first.
fn in_order(wishes: &[Plug], has: &[Plugged]) -> Vec<Plugged> {
    let first: Vec<usize> = matched(wishes, has).into_iter().flatten().collect();
    let others = (0..has.len()).filter(|index| !first.contains(index));
    let order: Vec<usize> = first.iter().copied().chain(others).collect();
    order.into_iter().map(|index| has[index].clone()).collect()
}

/// Whether a state is one that a server is in for a while only.
pub(super) fn is_passing(status: &str) -> bool {
    matches!(
        status,
        "BUILD"
            | "REBUILD"
            | "RESIZE"
            | "VERIFY_RESIZE"
            | "REVERT_RESIZE"
            | "MIGRATING"
            | "REBOOT"
            | "HARD_REBOOT"
            | "PASSWORD"
    )
}

/// How far a server is.
pub(super) fn state(server: &Json) -> State {
    let status = text(server, "status").unwrap_or_default();
    let task = text(server, "OS-EXT-STS:task_state");
    match status.as_str() {
        "ERROR" => State::Failed(fault(server)),
        "VERIFY_RESIZE" => State::UnderWay("its new size waits to be confirmed".into()),
        status if is_passing(status) => {
            State::UnderWay(format!("the server is in the state `{status}`"))
        }
        _ => match task.as_deref() {
            Some("deleting" | "powering-on" | "powering-off" | "resize_prep") => State::UnderWay(
                format!("the server is busy: `{}`", task.unwrap_or_default()),
            ),
            _ => State::Ready,
        },
    }
}

/// Whether it is only kept for a while after its delete.
pub(super) fn is_deleted(server: &Json) -> bool {
    matches!(
        text(server, "status").as_deref(),
        Some("DELETED" | "SOFT_DELETED")
    )
}

/// Why it has failed, with what was asked for where no host had room.
pub(super) fn fault(server: &Json) -> String {
    let told = text(&server["fault"], "message");
    let told = told.unwrap_or_else(|| "Nova does not say why".into());
    if !told.contains("No valid host") {
        return format!("the server is in the state `ERROR`: {told}");
    }
    let flavor = &server["flavor"];
    let number = |name: &str| crate::values::number(flavor, name).unwrap_or_default();
    let zone = text(server, "OS-EXT-AZ:availability_zone");
    let zone = zone
        .map(|zone| format!(" in the zone `{zone}`"))
        .unwrap_or_default();
    format!(
        "no host has room for it: asked for were {} cores, {} MiB and {} GiB (flavor `{}`){zone}; {told}",
        number("vcpus"),
        number("ram"),
        number("disk"),
        text(flavor, "original_name").unwrap_or_default()
    )
}

/// Whether it runs.
pub(super) fn runs(server: &Json) -> bool {
    !matches!(
        text(server, "status").unwrap_or_default().as_str(),
        "SHUTOFF" | "PAUSED" | "SUSPENDED" | "SHELVED" | "SHELVED_OFFLOADED" | "STOPPED"
    )
}

/// Whether the name of its flavor can be told from what is recorded: Nova tells names, and configurations may have ids.
pub(super) fn knows_flavor(known: &Value, server: &Json, flavors: Option<&Json>) -> bool {
    flavors.is_some() || text_at(known, "flavor") == text(&server["flavor"], "original_name")
}

fn flavor(known: &Value, server: &Json, flavors: Option<&Json>) -> Value {
    let name = text(&server["flavor"], "original_name");
    let given = text_at(known, "flavor");
    let listed = flavors.map(items).unwrap_or_default().iter();
    let mut by_id = listed.filter(|one| text(one, "id") == given && text(one, "name") == name);
    match by_id.next() {
        Some(_) if given.is_some() => given.into(),
        _ => name.into(),
    }
}

/// What is beside Nova's own word.
pub(super) struct Beside<'a> {
    /// What is known: recorded or wished.
    pub known: &'a Value,
    /// All ports that were asked for.
    pub ports: &'a Json,
    /// All flavors, where they were asked for.
    pub flavors: Option<&'a Json>,
    /// The host key that was made before the server.
    pub chosen_key: Option<String>,
}

/// All attributes.
pub(super) fn attributes(server: &Json, beside: &Beside<'_>) -> Value {
    let known = beside.known;
    let id = text(server, "id").unwrap_or_default();
    let wishes = wanted::plugs(known).unwrap_or_default();
    let plugs = in_order(&wishes, &plugged(beside.ports, &id));
    let host_key = text_at(known, "host_key").or_else(|| {
        let is_wanted = wanted::makes_host_key(known);
        beside.chosen_key.clone().filter(|_| is_wanted)
    });
    let mut value = known
        .with("id", id.as_str().into())
        .with("project_id", text(server, "tenant_id").into())
        .with("name", text(server, "name").into())
        .with("description", text(server, "description").into())
        .with("flavor", flavor(known, server, beside.flavors))
        .with("availability_zone", zone(known, server))
        .with("key_name", text(server, "key_name").into())
        .with("started", runs(server).into())
        .with("metadata", metadata(known, server))
        .with("tags", set_or_null(known, "tags", &server["tags"]))
        .with("image_id", text(&server["image"], "id").into())
        .with("config_drive", drive(server).into())
        .with("network", network(&wishes, known, &plugs))
        .with("security_group_ids", groups(&wishes, known, &plugs))
        .with("ports", ports(&plugs))
        .with("failure_domains", domains(server))
        .with("status", text(server, "status").into())
        .with("host_key", host_key.into());
    let address = first_address(&plugs);
    let machine = address
        .as_ref()
        .and_then(|address| connection(&value, address));
    value = value.with("address", address.into());
    value.with(
        "connection",
        machine.map_or_else(Value::null, |machine| machine.to_value()),
    )
}

/// A zone may be written with a host behind it, which Nova does not repeat.
fn zone(known: &Value, server: &Json) -> Value {
    let found = text(server, "OS-EXT-AZ:availability_zone");
    let written = text_at(known, "availability_zone");
    let is_of = |written: &String| {
        let zone = written.split(':').next();
        written.contains(':') && zone == found.as_deref()
    };
    written.filter(is_of).or(found).into()
}

fn metadata(known: &Value, server: &Json) -> Value {
    let mut metadata = server["metadata"].clone();
    if let Some(members) = metadata.as_object_mut() {
        members.remove(marked::KEY);
        if members.is_empty() && known.get("metadata").is_null() {
            return Value::null();
        }
    }
    value_of(&metadata, &Type::map(Type::String))
}

fn set_or_null(known: &Value, name: &str, found: &Json) -> Value {
    match items(found).is_empty() && known.get(name).is_null() {
        true => Value::null(),
        false => value_of(
            &Json::Array(items(found).to_vec()),
            &Type::set(Type::String),
        ),
    }
}

/// Nova says `True` or nothing; `True` also where the cloud gives every server one.
fn drive(server: &Json) -> bool {
    text(server, "config_drive").is_some_and(|text| text.eq_ignore_ascii_case("true"))
}

/// The plugs as they are written, as far as they are fulfilled. What was plugged in by others is theirs.
fn network(wishes: &[Plug], known: &Value, plugs: &[Plugged]) -> Value {
    let written = known.get("network");
    if let Some(items) = written.as_items() {
        let found = matched(wishes, plugs);
        let kept = items.iter().zip(found).filter(|(_, found)| found.is_some());
        return Value::list(kept.map(|(item, _)| item.clone()).collect());
    }
    let plug = |plug: &Plugged| {
        Value::object_of([
            ("network_id", plug.network.as_str().into()),
            ("port_id", Value::null()),
            ("fixed_ip", Value::null()),
            ("tag", Value::null()),
        ])
    };
    Value::list(plugs.iter().map(plug).collect())
}

/// The plugs whose ports Nova has made: those that no wish names by their port.
pub(super) fn made_by_nova<'p>(wishes: &[Plug], plugs: &'p [Plugged]) -> Vec<&'p Plugged> {
    let named: Vec<&String> = wishes
        .iter()
        .filter_map(|plug| plug.port.as_ref())
        .collect();
    let wished: Vec<usize> = matched(wishes, plugs).into_iter().flatten().collect();
    plugs
        .iter()
        .enumerate()
        .filter(|(index, plug)| {
            (wishes.is_empty() || wished.contains(index)) && !named.contains(&&plug.port)
        })
        .map(|(_, plug)| plug)
        .collect()
}

fn groups(wishes: &[Plug], known: &Value, plugs: &[Plugged]) -> Value {
    let wished = known.get("security_group_ids");
    if wished.is_null() {
        return Value::null();
    }
    let own = made_by_nova(wishes, plugs);
    // Where they differ from each other the first that is not as wished is shown.
    let set =
        |plug: &&Plugged| Value::set(plug.groups.iter().map(|id| id.as_str().into()).collect());
    let mut sets = own.iter().map(set);
    sets.find(|groups| *groups != wished).unwrap_or(wished)
}

fn ports(plugs: &[Plugged]) -> Value {
    let port = |plug: &Plugged| {
        let addresses = plug.addresses.iter().map(|one| one.as_str().into());
        Value::object_of([
            ("port_id", plug.port.as_str().into()),
            ("network_id", plug.network.as_str().into()),
            ("mac_address", plug.mac.clone().into()),
            ("addresses", Value::list(addresses.collect())),
        ])
    };
    Value::list(plugs.iter().map(port).collect())
}

/// Its zone and its host. To those who are no administrators a host is a word that is the same for the whole project.
fn domains(server: &Json) -> Value {
    let zone = text(server, "OS-EXT-AZ:availability_zone").map(|zone| format!("zone:{zone}"));
    let host = text(server, "OS-EXT-SRV-ATTR:hypervisor_hostname")
        .or_else(|| text(server, "hostId"))
        .map(|host| format!("host:{host}"));
    Value::list(zone.into_iter().chain(host).map(Value::from).collect())
}

fn first_address(plugs: &[Plugged]) -> Option<String> {
    let first = plugs.first()?;
    let four = first
        .addresses
        .iter()
        .find(|address| !address.contains(':'));
    four.or_else(|| first.addresses.first()).cloned()
}

/// How it is reached, where dmp knows the user.
pub(super) fn connection(value: &Value, address: &str) -> Option<Machine> {
    dmp_cloud::connection(value, address, wanted::user(value)?)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn port(id: &str, network: &str, address: &str) -> Json {
        json!({ "id": id, "device_id": "s", "network_id": network, "fixed_ips": [{ "ip_address": address }], "security_groups": ["g"] })
    }

    fn plug(network: &str, address: Option<&str>) -> Plug {
        Plug {
            network: Some(network.into()),
            address: address.map(ToOwned::to_owned),
            ..Plug::default()
        }
    }

    #[test]
    fn plugs_are_told_in_the_order_of_the_wishes() {
        let ports = json!([
            port("a", "n", "192.0.2.1"),
            port("b", "m", "192.0.2.2"),
            port("c", "n", "192.0.2.3")
        ]);
        let wishes = [plug("n", None), plug("n", Some("192.0.2.1"))];
        let order = in_order(&wishes, &plugged(&ports, "s"));
        let order: Vec<&str> = order.iter().map(|plug| plug.port.as_str()).collect();
        assert_eq!(order, ["c", "a", "b"]);
        assert!(plugged(&ports, "other").is_empty());
    }

    #[test]
    fn what_is_not_plugged_in_is_missing_from_what_was_written() {
        let written = Value::list(vec![
            Value::object_of([("network_id", "n".into())]),
            Value::object_of([("network_id", "gone".into())]),
        ]);
        let known = Value::object_of([("network", written)]);
        let wishes = wanted::plugs(&known).expect("plugs");
        let plugs = plugged(
            &json!([
                port("a", "n", "192.0.2.1"),
                port("x", "foreign", "192.0.2.9")
            ]),
            "s",
        );
        let network = network(&wishes, &known, &plugs);
        assert_eq!(network.as_items().map(<[Value]>::len), Some(1));
    }

    #[test]
    fn a_server_without_room_says_what_was_asked_for() {
        let server = json!({
            "status": "ERROR", "OS-EXT-AZ:availability_zone": "z",
            "flavor": { "original_name": "big", "vcpus": 64, "ram": 1024, "disk": 10 },
            "fault": { "message": "No valid host was found. " },
        });
        let State::Failed(why) = state(&server) else {
            panic!("it has failed");
        };
        assert!(
            why.contains("64 cores") && why.contains("`big`") && why.contains("`z`"),
            "{why}"
        );
    }

    #[test]
    fn a_flavor_is_told_as_it_is_written() {
        let server = json!({ "flavor": { "original_name": "m1.small" } });
        let by_id = Value::object_of([("flavor", "3".into())]);
        assert!(!knows_flavor(&by_id, &server, None));
        let flavors = json!([{ "id": "3", "name": "m1.small" }, { "id": "4", "name": "m1.large" }]);
        assert_eq!(flavor(&by_id, &server, Some(&flavors)), "3".into());
        let other = Value::object_of([("flavor", "4".into())]);
        assert_eq!(flavor(&other, &server, Some(&flavors)), "m1.small".into());
    }

    #[test]
    fn a_disc_that_the_cloud_gives_to_every_server_is_no_change() {
        assert!(drive(&json!({ "config_drive": "True" })));
        assert!(!drive(&json!({ "config_drive": "" })) && !drive(&json!({})));
        // What nobody has asked for is the cloud's, so that no plan takes it away.
        let schema = super::super::schema::schema();
        assert!(schema.attributes["config_drive"].is_computed());
    }

    #[test]
    fn a_server_is_lost_with_its_zone_and_its_host() {
        let server = json!({ "OS-EXT-AZ:availability_zone": "z", "hostId": "abc" });
        assert_eq!(
            domains(&server),
            Value::list(vec!["zone:z".into(), "host:abc".into()])
        );
    }
}
