//! The call that makes a server: what it names has to be there, and there has to be room in the quotas. It is placed later.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::word;
use crate::openstack::estate::{Kind, list, number, text};
use crate::openstack::neutron::{self, NewPort};
use crate::openstack::nova::server::{Action, Doing, Hints, NewDisk, Server, State};
use crate::openstack::nova::{flavors, keypairs, limits};
use crate::openstack::shape::{self, MANY, Member, Object, Shape, check};
use crate::openstack::steps::Doing as Step;
use crate::openstack::{Answer, Call, Failure, FlavorSite, Outcome, Version};
use crate::world::now;

/// `nova/api/openstack/compute/schemas/servers.py`.
static CREATE: Object = Object {
    members: &[
        Member("server", 1, Shape::Object(&SERVER)),
        Member("os:scheduler_hints", 1, Shape::Object(&HINTS)),
        Member("OS-SCH-HNT:scheduler_hints", 1, Shape::Object(&HINTS)),
    ],
    needed: &["server"],
    is_open: false,
};

static SERVER: Object = Object {
    members: &[
        Member("name", 1, Shape::Name),
        Member(
            "imageRef",
            1,
            Shape::Either(&[Shape::Uuid, Shape::Word(&[""])]),
        ),
        Member(
            "flavorRef",
            1,
            Shape::Either(&[Shape::Text(1, 255), Shape::Number(0, i64::MAX)]),
        ),
        Member("adminPass", 1, Shape::Text(0, 255)),
        Member("metadata", 1, Shape::Texts),
        Member(
            "networks",
            1,
            Shape::Either(&[
                Shape::List(&Shape::Object(&NETWORK), MANY),
                Shape::Word(&["none", "auto"]),
            ]),
        ),
        Member("OS-DCF:diskConfig", 1, Shape::Word(&["AUTO", "MANUAL"])),
        Member("accessIPv4", 1, Shape::Ip),
        Member("accessIPv6", 1, Shape::Ip),
        Member("availability_zone", 1, Shape::Name),
        Member(
            "block_device_mapping_v2",
            1,
            Shape::List(&Shape::Object(&DEVICE), MANY),
        ),
        Member("config_drive", 1, Shape::Flag),
        Member("key_name", 1, Shape::Name),
        Member("min_count", 1, Shape::Number(1, i32::MAX as i64)),
        Member("max_count", 1, Shape::Number(1, i32::MAX as i64)),
        Member("return_reservation_id", 1, Shape::Flag),
        Member(
            "security_groups",
            1,
            Shape::List(&Shape::Object(&GROUP), MANY),
        ),
        Member("user_data", 1, Shape::Base64(65_535)),
        Member(
            "description",
            19,
            Shape::Either(&[Shape::Text(0, 255), Shape::Null]),
        ),
        Member("tags", 52, Shape::List(&super::tags::TAG, 50)),
        Member(
            "trusted_image_certificates",
            63,
            Shape::Either(&[Shape::List(&Shape::Text(1, 255), 50), Shape::Null]),
        ),
        Member("host", 74, Shape::Text(1, 255)),
        Member("hypervisor_hostname", 74, Shape::Text(1, 255)),
        Member("hostname", 90, Shape::Text(2, 63)),
    ],
    needed: &["name", "flavorRef"],
    is_open: false,
};

static NETWORK: Object = Object {
    members: &[
        Member("fixed_ip", 1, Shape::Ip),
        Member("port", 1, shape::UUID_OR_NULL),
        Member("uuid", 1, Shape::Uuid),
        Member("tag", 42, super::tags::TAG),
    ],
    needed: &[],
    is_open: false,
};

static GROUP: Object = Object {
    members: &[Member("name", 1, Shape::Name)],
    needed: &[],
    is_open: false,
};

static DEVICE: Object = Object {
    members: &[
        Member(
            "source_type",
            1,
            Shape::Word(&["volume", "image", "snapshot", "blank"]),
        ),
        Member("uuid", 1, Shape::Text(1, 255)),
        Member("destination_type", 1, Shape::Word(&["local", "volume"])),
        Member("guest_format", 1, Shape::Text(0, 255)),
        Member("device_type", 1, Shape::Text(0, 255)),
        Member("disk_bus", 1, Shape::Text(0, 255)),
        Member(
            "boot_index",
            1,
            Shape::Either(&[Shape::Number(i64::MIN, i64::MAX), Shape::Null]),
        ),
        Member("volume_size", 1, Shape::Number(0, i32::MAX as i64)),
        Member("device_name", 1, Shape::Text(1, 255)),
        Member("delete_on_termination", 1, Shape::Flag),
        Member("no_device", 1, Shape::Any),
        Member("tag", 42, super::tags::TAG),
        Member(
            "volume_type",
            67,
            Shape::Either(&[Shape::Text(0, 255), Shape::Null]),
        ),
    ],
    needed: &[],
    is_open: false,
};

/// A server is on one host with some, or away from them.
static HINTS: Object = Object {
    members: &[
        Member("group", 1, Shape::Uuid),
        Member("same_host", 1, SERVERS),
        Member("different_host", 1, SERVERS),
    ],
    needed: &[],
    is_open: true,
};

const SERVERS: Shape = Shape::Either(&[Shape::Uuid, Shape::List(&Shape::Uuid, MANY)]);

/// How long it takes to place and start one, in seconds of life.
const BUILD: f64 = 20.0;

/// A plug that was asked for.
enum Plug {
    Port(String),
    Network(String, Option<String>),
}

/// `POST /v2.1/servers`.
pub(in crate::openstack::nova) fn create(call: &mut Call<'_>) -> Outcome {
    check(&CREATE, &call.body, call.version)?;
    let sent = call.body["server"].clone();
    if call.version >= Version(2, 37) && sent.get("networks").is_none() {
        return Err(Failure::bad(format!(
            "Invalid input for field/attribute server. Value: {}. 'networks' is a required property",
            shape::said(&sent)
        )));
    }
    for name in ["min_count", "max_count"] {
        if shape::number(&sent[name]).is_some_and(|count| count != 1) {
            return Err(Failure::not_served("several servers by one call"));
        }
    }
    let reference = match &sent["flavorRef"] {
        Value::Number(number) => number.to_string(),
        other => other.as_str().unwrap_or_default().to_owned(),
    };
    // Old clients write where it is.
    let reference = reference.rsplit('/').next().unwrap_or_default();
    let found = flavors::find(&call.world.openstack.ground, reference);
    let flavor = found.map(|(_, flavor)| flavor.clone());
    let flavor =
        flavor.ok_or_else(|| Failure::bad(format!("Flavor {reference} could not be found.")))?;
    let image = word(&sent, "imageRef").filter(|id| !id.is_empty());
    if let Some(id) = &image {
        check_image(call, id, &flavor, "Can not find requested image")?;
    }
    let (disks, is_of_image) = disks(call, &sent, image.is_some())?;
    if image.is_none() && disks.is_empty() {
        return Err(Failure::bad("Invalid imageRef provided."));
    }
    let key_name = word(&sent, "key_name");
    let public_key = key_name.as_ref().map(|name| {
        let found = keypairs::public_key(call, name);
        found.ok_or_else(|| Failure::bad("Invalid key_name provided."))
    });
    let public_key = public_key.transpose()?;
    let zone = zone(call, &sent)?;
    let hints = hints(call)?;
    let plugs = plugs(call, &sent)?;
    let groups = groups(call, &sent)?;
    limits::check(
        call,
        &[
            ("instances", 1),
            ("cores", flavor.vcpus),
            ("ram", flavor.ram),
        ],
    )?;
    let metadata = metadata(call, &sent)?;
    let id = call.world.openstack.new_id();
    let server = Server {
        number: call.world.openstack.next_number(),
        id: id.clone(),
        project: call.caller.project.clone(),
        user: call.caller.user.clone(),
        name: word(&sent, "name").unwrap_or_default(),
        description: word(&sent, "description"),
        flavor,
        old_flavor: None,
        image: image.filter(|_| is_of_image),
        key_name,
        public_key,
        metadata,
        tags: texts(&sent["tags"]),
        user_data: word(&sent, "user_data"),
        config_drive: shape::flag(&sent["config_drive"]).unwrap_or(false),
        wanted_zone: zone,
        hints,
        node: None,
        vmid: None,
        state: State::Building,
        task: Some("scheduling".into()),
        fault: None,
        created: now(),
        updated: now(),
        launched: None,
        disks: Vec::new(),
        own_ports: BTreeSet::new(),
        is_locked: false,
        actions: Vec::new(),
    };
    call.world.openstack.servers.insert(id.clone(), server);
    if let Err(refused) = plug(call, &id, plugs, groups.as_deref()) {
        super::change::release_ports(call.world, &id);
        call.world.openstack.servers.remove(&id);
        return Err(refused);
    }
    // A volume is taken from the moment on.
    for volume in disks.iter().filter_map(|disk| disk.volume.as_ref()) {
        call.world
            .openstack
            .set(Kind::Volume, volume, "status", "reserved");
    }
    call.world
        .begin_step(Step::Server(id.clone(), Doing::Build(disks)), BUILD);
    if let Some(server) = call.world.openstack.server_mut(&id) {
        server.actions.push(Action {
            request: format!("req-{id}"),
            action: "create".into(),
            moment: now(),
            message: None,
        });
    }
    let names: Vec<Value> = match sent["security_groups"].as_array() {
        Some(groups) if !groups.is_empty() => groups.clone(),
        _ => vec![json!({ "name": "default" })],
    };
    let links = flavors::links(call.base, &format!("servers/{id}"));
    let mut answer = Answer::with(
        202,
        json!({ "server": {
            "id": id, "links": links, "OS-DCF:diskConfig": "MANUAL", "security_groups": names,
            "adminPass": crate::secret(6).unwrap_or_default(),
        } }),
    )?;
    answer.headers.push((
        "location",
        format!("{}/compute/v2.1/servers/{id}", call.base),
    ));
    Ok(answer)
}

fn texts(value: &Value) -> BTreeSet<String> {
    let items = value.as_array().into_iter().flatten();
    items
        .filter_map(|item| item.as_str().map(str::to_owned))
        .collect()
}

/// Returns the metadata that were sent.
pub(super) fn metadata(call: &Call<'_>, sent: &Value) -> Result<BTreeMap<String, String>, Failure> {
    let members = sent["metadata"].as_object().into_iter().flatten();
    let members =
        members.map(|(name, value)| (name.clone(), value.as_str().unwrap_or_default().to_owned()));
    let metadata: BTreeMap<String, String> = members.collect();
    super::metadata::check_count(call, metadata.len())?;
    Ok(metadata)
}

/// Refuses an image that is not there, is not whole, or needs more than a flavor has; `missing` says the first.
pub(super) fn check_image(
    call: &Call<'_>,
    id: &str,
    flavor: &FlavorSite,
    missing: &str,
) -> Result<(), Failure> {
    let image = call.world.openstack.object(Kind::Image, id);
    let image = image.filter(|image| {
        call.sees(&image.project) || image.shown.get("visibility") == Some(&json!("public"))
    });
    let Some(image) = image.map(|image| &image.shown) else {
        return Err(Failure::bad(missing));
    };
    if text(image, "status") != "active" {
        return Err(Failure::bad(format!("Image {id} is not active.")));
    }
    if number(image, "min_ram") > flavor.ram {
        return Err(Failure::bad(
            "Flavor's memory is too small for requested image.",
        ));
    }
    let needed = (number(image, "min_disk") << 30).max(number(image, "size"));
    if flavor.disk > 0 && needed > flavor.disk << 30 {
        return Err(Failure::bad(format!(
            "Flavor's disk is too small for requested image. Flavor disk is {} bytes, image is {needed} bytes.",
            flavor.disk << 30
        )));
    }
    Ok(())
}

fn invalid(why: impl std::fmt::Display) -> Failure {
    Failure::bad(format!("Block Device Mapping is Invalid: {why}."))
}

/// Returns the disks that are volumes, and whether the server boots from its image.
fn disks(call: &Call<'_>, sent: &Value, has_image: bool) -> Result<(Vec<NewDisk>, bool), Failure> {
    let devices = sent["block_device_mapping_v2"].as_array();
    let devices = devices.map(Vec::as_slice).unwrap_or_default();
    let mut disks = Vec::new();
    let mut boots: Vec<bool> = Vec::new();
    for device in devices {
        let is_local = device["destination_type"] == "local";
        let source = device["source_type"].as_str().unwrap_or("volume");
        if shape::number(&device["boot_index"]) == Some(0) {
            boots.push(is_local);
        }
        if is_local {
            continue;
        }
        let id = word(device, "uuid");
        let disk = NewDisk {
            volume: id.clone().filter(|_| source == "volume"),
            image: id.clone().filter(|_| source == "image"),
            snapshot: id.filter(|_| source == "snapshot"),
            size: shape::number(&device["volume_size"]).unwrap_or(0),
            kind: word(device, "volume_type").filter(|kind| !kind.is_empty()),
            tag: word(device, "tag"),
            goes: shape::flag(&device["delete_on_termination"]).unwrap_or(false),
        };
        disks.push(checked(call, disk, source)?);
    }
    let is_of_image = match boots.as_slice() {
        [] if has_image => true,
        [is_local] => *is_local,
        [] if devices.is_empty() => false,
        _ => {
            return Err(invalid(
                "Boot sequence for the instance and image/block device mapping combination is not valid",
            ));
        }
    };
    Ok((disks, is_of_image))
}

fn checked(call: &Call<'_>, disk: NewDisk, source: &str) -> Result<NewDisk, Failure> {
    let estate = &call.world.openstack;
    let object = |kind, id: &str| estate.object(kind, id).map(|object| &object.shown);
    match (source, &disk) {
        (
            "volume",
            NewDisk {
                volume: Some(id), ..
            },
        ) => {
            let volume = object(Kind::Volume, id)
                .ok_or_else(|| invalid(format!("failed to get volume {id}")))?;
            match text(volume, "status") {
                "available" => Ok(disk),
                status => Err(Failure::bad(format!(
                    "Invalid volume: volume '{id}' status must be 'available'. Currently in '{status}'"
                ))),
            }
        }
        (
            "image",
            NewDisk {
                image: Some(id), ..
            },
        ) => {
            object(Kind::Image, id).ok_or_else(|| invalid(format!("failed to get image {id}")))?;
            match disk.size > 0 {
                true => Ok(disk),
                false => Err(Failure::bad(
                    "Images with destination_type 'volume' need to have a non-zero size specified",
                )),
            }
        }
        (
            "snapshot",
            NewDisk {
                snapshot: Some(id), ..
            },
        ) => {
            let snapshot = object(Kind::Snapshot, id);
            let snapshot =
                snapshot.ok_or_else(|| invalid(format!("failed to get snapshot {id}")))?;
            let size = disk.size.max(number(snapshot, "size"));
            Ok(NewDisk { size, ..disk })
        }
        ("blank", _) if disk.size > 0 => Ok(disk),
        ("blank", _) => Err(Failure::bad(
            "Blank volumes (source: 'blank', dest: 'volume') need to have non-zero size",
        )),
        _ => Err(invalid(format!(
            "Missing device UUID for source type {source}"
        ))),
    }
}

fn zone(call: &Call<'_>, sent: &Value) -> Result<Option<String>, Failure> {
    let Some(zone) = word(sent, "availability_zone") else {
        return Ok(None);
    };
    if zone.contains(':') {
        return Err(match call.caller.is_admin {
            true => Failure::not_served("a host that is chosen by the caller"),
            false => Failure::forbidden(
                "Policy doesn't allow os_compute_api:servers:create:forced_host to be performed.",
            ),
        });
    }
    let zones = call.world.zones();
    let known = zones.iter().find(|(name, _)| *name == zone);
    let is_up = known.is_some_and(|(_, nodes)| nodes.iter().any(|node| call.world.is_up(node)));
    match is_up {
        true => Ok(Some(zone)),
        false => Err(Failure::bad(
            "The requested availability zone is not available",
        )),
    }
}

fn hints(call: &Call<'_>) -> Result<Hints, Failure> {
    let sent = ["os:scheduler_hints", "OS-SCH-HNT:scheduler_hints"].map(|name| &call.body[name]);
    let sent = sent
        .into_iter()
        .find(|hints| hints.is_object())
        .unwrap_or(&Value::Null);
    let servers = |name: &str| match &sent[name] {
        Value::String(one) => vec![one.clone()],
        many => texts(many).into_iter().collect(),
    };
    let group = word(sent, "group");
    if let Some(id) = &group {
        let found = call.world.openstack.object(Kind::ServerGroup, id);
        if !found.is_some_and(|group| call.sees(&group.project)) {
            return Err(Failure::bad(format!(
                "Instance group {id} could not be found."
            )));
        }
        let members = call.world.openstack.servers.values();
        let members = members
            .filter(|server| server.hints.group.as_ref() == Some(id))
            .count();
        let most = call.quota("server_group_members");
        if most >= 0 && i64::try_from(members).unwrap_or(i64::MAX) >= most {
            return Err(Failure::forbidden(
                "Quota exceeded, too many servers in group",
            ));
        }
    }
    Ok(Hints {
        group,
        same_host: servers("same_host"),
        different_host: servers("different_host"),
    })
}

/// Returns the security groups of ports that Nova makes, by their ids.
fn groups(call: &Call<'_>, sent: &Value) -> Result<Option<Vec<String>>, Failure> {
    let names = sent["security_groups"]
        .as_array()
        .map(Vec::as_slice)
        .unwrap_or_default();
    let mut groups = Vec::new();
    for name in names.iter().filter_map(|group| group["name"].as_str()) {
        let project = &call.caller.project;
        let found = call.world.openstack.group_named(project, name);
        groups.push(found.ok_or_else(|| {
            Failure::bad(format!(
                "Security group {name} not found for project {project}."
            ))
        })?);
    }
    Ok((!groups.is_empty()).then_some(groups))
}

fn plugs(call: &Call<'_>, sent: &Value) -> Result<Vec<Plug>, Failure> {
    let networks = match &sent["networks"] {
        Value::String(word) if word == "none" => return Ok(Vec::new()),
        Value::Array(networks) if !networks.is_empty() => networks,
        _ => return only_network(call),
    };
    let mut plugs = Vec::new();
    for network in networks {
        if let Some(port) = word(network, "port") {
            check_port(call, &port)?;
            plugs.push(Plug::Port(port));
            continue;
        }
        let Some(id) = word(network, "uuid") else {
            return Err(Failure::bad("Bad network format: missing 'uuid'"));
        };
        check_network(call, &id)?;
        plugs.push(Plug::Network(id, word(network, "fixed_ip")));
    }
    Ok(plugs)
}

/// Refuses a port that is not there, or that another server has.
pub(super) fn check_port(call: &Call<'_>, id: &str) -> Result<(), Failure> {
    let port = call.world.openstack.object(Kind::Port, id);
    let Some(port) = port.filter(|port| call.sees(&port.project)) else {
        return Err(Failure::bad(format!("Port {id} could not be found.")));
    };
    match text(&port.shown, "device_id").is_empty() {
        true => Ok(()),
        false => Err(Failure::conflict(format!("Port {id} is still in use."))),
    }
}

/// Refuses a network that is not there, or that has no addresses.
pub(super) fn check_network(call: &Call<'_>, id: &str) -> Result<(), Failure> {
    let network = call.world.openstack.object(Kind::Network, id);
    let is_open =
        |name: &str| network.is_some_and(|network| network.shown.get(name) == Some(&json!(true)));
    let is_own = network.is_some_and(|network| call.sees(&network.project));
    if !is_own && !is_open("shared") && !is_open("router:external") {
        return Err(Failure::bad(format!("Network {id} could not be found.")));
    }
    if !is_own && is_open("router:external") {
        return Err(Failure::forbidden(format!(
            "It is not allowed to create an interface on external network {id}"
        )));
    }
    match network.is_some_and(|network| list(&network.shown, "subnets").is_empty()) {
        true => Err(Failure::bad(format!(
            "Network {id} requires a subnet in order to boot instances on."
        ))),
        false => Ok(()),
    }
}

fn only_network(call: &Call<'_>) -> Result<Vec<Plug>, Failure> {
    let all = call.world.openstack.all(Kind::Network).into_iter();
    let own = all.filter(|(_, network)| network.project == call.caller.project);
    let usable: Vec<&str> = own
        .filter(|(_, network)| !list(&network.shown, "subnets").is_empty())
        .filter(|(_, network)| network.shown.get("router:external") != Some(&json!(true)))
        .map(|(id, _)| id)
        .collect();
    match usable.as_slice() {
        [] => Ok(Vec::new()),
        [one] => Ok(vec![Plug::Network((*one).to_owned(), None)]),
        _ => Err(Failure::conflict(
            "Multiple possible networks found, use a Network ID to be more specific.",
        )),
    }
}

/// Gives a new server its ports.
fn plug(
    call: &mut Call<'_>,
    id: &str,
    plugs: Vec<Plug>,
    groups: Option<&[String]>,
) -> Result<(), Failure> {
    let wanted = call
        .world
        .openstack
        .server(id)
        .and_then(|server| server.wanted_zone.clone());
    let zone = wanted.unwrap_or_else(|| "nova".into());
    for plug in plugs {
        match plug {
            Plug::Port(port) => {
                let owner = format!("compute:{zone}");
                call.world.openstack.bind(&port, id, &owner, false);
            }
            Plug::Network(network, address) => {
                let new = NewPort {
                    project: call.caller.project.clone(),
                    network,
                    address: address.clone(),
                    groups: groups.map(<[String]>::to_vec),
                    device: id.to_owned(),
                    zone: zone.clone(),
                };
                let made = neutron::make_port(call, new)
                    .map_err(|refused| in_novas_words(refused, address))?;
                if let Some(server) = call.world.openstack.server_mut(id) {
                    server.own_ports.insert(made);
                }
            }
        }
    }
    Ok(())
}

/// Nova says what Neutron has refused in a way of its own.
pub(super) fn in_novas_words(refused: Failure, address: Option<String>) -> Failure {
    match (refused.kind, address) {
        ("IpAddressAlreadyAllocated", Some(address)) => Failure::bad(format!(
            "Fixed IP address {address} is already in use on instance None."
        )),
        ("OverQuota", _) => Failure::forbidden("Maximum number of ports exceeded"),
        ("IpAddressGenerationFailure", _) => {
            Failure::bad("No fixed IP addresses available for network.")
        }
        _ => Failure::bad(refused.message),
    }
}
