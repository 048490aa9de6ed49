//! What is looked at before the first change of a plan: whether quotas and addresses are enough, and whether what servers name is
//! there and fits. One look for all changes together, by listings.

mod addresses;
pub(crate) mod quota;

use dmp_sdk::{Action, AttributePath, Diagnostic, Intended, Value};
use futures::FutureExt;
use serde_json::Value as Json;

use crate::cloud::Cloud;
use crate::session::{ApiError, Listing, Service};
use crate::values::{items, number, text, text_at};
use addresses::Addresses;
use quota::{BLOCK_STORAGE, COMPUTE, Needs, Quota};

/// What the cloud says of itself, as far as the plan needs it.
#[derive(Debug, Default)]
struct Facts {
    roles: Vec<String>,
    flavors: Vec<Json>,
    images: Vec<Json>,
    keypairs: Vec<String>,
    zones: Vec<String>,
    quotas: Vec<Quota>,
    addresses: Addresses,
}

/// Looks whether the changes can succeed.
pub(crate) async fn look(cloud: &Cloud, changes: &[Intended<'_>]) -> Vec<Diagnostic> {
    let mut found = wire(cloud);
    let writes = |change: &&Intended<'_>| {
        !matches!(
            change.action,
            Action::NoOp
                | Action::Read
                | Action::Forget
                | Action::LostWithHost
                | Action::Delete
                | Action::Import
        )
    };
    let changes: Vec<&Intended<'_>> = changes.iter().filter(writes).collect();
    if changes.is_empty() {
        return found;
    }
    match facts(cloud, &changes).await {
        Ok(facts) => {
            found.extend(may_write(&facts.roles));
            found.extend(judge(&facts, &changes));
            found.extend(facts.addresses.judge(&changes));
        }
        Err(error) => found.push(error.diagnostic("cannot look whether the plan can succeed")),
    }
    found
}

/// What is to be said of the way to the cloud.
fn wire(cloud: &Cloud) -> Vec<Diagnostic> {
    let mut found = Vec::new();
    if cloud.session.is_insecure() {
        found.push(
            Diagnostic::warning("insecure", "the cloud's certificates go unchecked")
                .detail("whoever is on the way to it can take the password and answer in its place")
                .help("name the authority: `ca` of the provider, or `cacert` of the cloud, in place of `insecure` or `verify: false`"),
        );
    }
    if cloud.session.is_in_the_clear() {
        found.push(
            Diagnostic::warning("in-the-clear", "the login goes over the wire in the clear")
                .detail(
                    "`auth_url` begins with `http://`: whoever is on the way can read the password",
                )
                .help("use `https://`"),
        );
    }
    found
}

/// Whoever may only read can change nothing. Other roles are each cloud's own affair.
fn may_write(roles: &[String]) -> Option<Diagnostic> {
    let only_reads = !roles.is_empty() && roles.iter().all(|role| role == "reader");
    only_reads.then(|| {
        Diagnostic::error("may-not-write", "the credentials may change nothing")
            .detail("their only role in this project is `reader`")
            .help("use credentials with the role `member`")
    })
}

fn is_of(changes: &[&Intended<'_>], kinds: &[&str]) -> bool {
    changes
        .iter()
        .any(|change| kinds.contains(&change.address.resource_type.as_ref()))
}

async fn facts(cloud: &Cloud, changes: &[&Intended<'_>]) -> Result<Facts, ApiError> {
    let session = &cloud.session;
    let servers = is_of(changes, &["openstack_server"]);
    let computes = is_of(changes, &["openstack_server", "openstack_server_group"]);
    let volumes = is_of(changes, &["openstack_volume", "openstack_server"]);
    let networks = changes.iter().any(|change| {
        let kind = change.address.resource_type.as_ref();
        kind == "openstack_server" || NETWORKS.contains(&kind)
    });
    let plugs = is_of(
        changes,
        &[
            "openstack_server",
            "openstack_port",
            "openstack_floating_ip",
        ],
    );
    let list = |wanted: bool, service, path: &'static str, key: &'static str| async move {
        match wanted {
            true => session.list(&Listing::of(service, path, key)).await,
            false => Ok(Vec::new()),
        }
    };
    let get = |wanted: bool, service, path: String| async move {
        match wanted {
            true => session.get(service, &path).await,
            false => Ok(Json::Null),
        }
    };
    let who = session.who().await?;
    let project = who.project.clone().unwrap_or_default();
    let network_quota = async {
        match networks && !project.is_empty() {
            // Not every Neutron tells what is used.
            true => Ok(session
                .look(Service::Network, &format!("/quotas/{project}/details.json"))
                .await
                .unwrap_or_default()
                .unwrap_or_default()),
            false => Ok::<Json, ApiError>(Json::Null),
        }
    };
    let (flavors, images, keypairs, zones, subnets, ports, floating, compute, storage, network) = futures::try_join!(
        list(servers, Service::Compute, "/flavors/detail", "flavors").boxed(),
        list(servers, Service::Image, "/images", "images").boxed(),
        list(servers, Service::Compute, "/os-keypairs", "keypairs").boxed(),
        get(servers, Service::Compute, "/os-availability-zone".into()).boxed(),
        list(plugs, Service::Network, "/subnets", "subnets").boxed(),
        list(plugs, Service::Network, "/ports", "ports").boxed(),
        list(plugs, Service::Network, "/floatingips", "floatingips").boxed(),
        get(computes, Service::Compute, "/limits".into()).boxed(),
        get(
            volumes && has_volumes(changes),
            Service::BlockStorage,
            "/limits".into()
        )
        .boxed(),
        network_quota,
    )?;
    let zones = items(&zones["availabilityZoneInfo"]).iter();
    let zones = zones.filter(|zone| zone["zoneState"]["available"] == true);
    let mut quotas = quota::of_limits(&compute, COMPUTE);
    quotas.extend(quota::of_limits(&storage, BLOCK_STORAGE));
    quotas.extend(quota::of_details(&network));
    Ok(Facts {
        roles: who.roles.clone(),
        flavors,
        images,
        keypairs: keypairs
            .iter()
            .filter_map(|one| text(&one["keypair"], "name"))
            .collect(),
        zones: zones.filter_map(|zone| text(zone, "zoneName")).collect(),
        quotas,
        addresses: Addresses::of(&subnets, &ports, &floating),
    })
}

/// Whether volumes are made: a cloud may have none, and servers without any.
fn has_volumes(changes: &[&Intended<'_>]) -> bool {
    changes.iter().any(|change| {
        let devices = change.planned.map(|planned| planned.get("block_device"));
        let has_devices = devices
            .is_some_and(|devices| devices.as_items().is_some_and(|items| !items.is_empty()));
        has_devices || change.address.resource_type.as_ref() == "openstack_volume"
    })
}

const NETWORKS: [&str; 7] = [
    "openstack_network",
    "openstack_subnet",
    "openstack_port",
    "openstack_router",
    "openstack_floating_ip",
    "openstack_security_group",
    "openstack_security_group_rule",
];

/// The flavor that a server names, by id or name.
fn flavor_of<'f>(server: &Value, flavors: &'f [Json]) -> Option<&'f Json> {
    let named = text_at(server, "flavor")?;
    let by = |member: &str| {
        flavors
            .iter()
            .find(|one| text(one, member).as_ref() == Some(&named))
    };
    by("id").or_else(|| by("name"))
}

fn judge(facts: &Facts, changes: &[&Intended<'_>]) -> Vec<Diagnostic> {
    let mut found = Vec::new();
    let planned_keys: Vec<String> = changes
        .iter()
        .filter(|change| change.address.resource_type.as_ref() == "openstack_keypair")
        .filter_map(|change| text_at(change.planned?, "name"))
        .collect();
    for change in changes {
        let is_server = change.address.resource_type.as_ref() == "openstack_server";
        if let Some(planned) = change.planned.filter(|_| is_server) {
            found.extend(server(facts, change, planned, &planned_keys));
        }
    }
    found.extend(Needs::of(changes, &facts.flavors).judge(&facts.quotas));
    found
}

fn at(change: &Intended<'_>, attribute: &str, code: &'static str, summary: &str) -> Diagnostic {
    Diagnostic::error(code, summary)
        .address(change.address)
        .path(AttributePath::of(attribute))
}

/// What a server names has to be there, and its flavor has to be large enough for its image.
fn server(
    facts: &Facts,
    change: &Intended<'_>,
    planned: &Value,
    planned_keys: &[String],
) -> Vec<Diagnostic> {
    let mut found = Vec::new();
    let is_new = change.prior.is_none() || change.action.replaces();
    let flavor = flavor_of(planned, &facts.flavors);
    if let (None, Some(named)) = (flavor, text_at(planned, "flavor")) {
        let mut names: Vec<String> = facts
            .flavors
            .iter()
            .filter_map(|one| text(one, "name"))
            .collect();
        names.sort();
        found.push(
            at(change, "flavor", "no-flavor", "no such flavor")
                .detail(format!(
                    "the cloud has no flavor `{named}` that the project may use"
                ))
                .did_you_mean(&named, names.iter().map(String::as_str))
                .help(format!("there are: {}", names.join(", "))),
        );
    }
    if !is_new {
        // Another image is one that it is rebuilt from.
        let before = change.prior.and_then(|prior| text_at(prior, "image_id"));
        let other = text_at(planned, "image_id").filter(|id| before.as_ref() != Some(id));
        found.extend(
            other
                .into_iter()
                .flat_map(|id| image(facts, change, &id, flavor)),
        );
        return found;
    }
    if let Some(zone) = text_at(planned, "availability_zone") {
        let name = zone.split(':').next().unwrap_or_default();
        if !facts.zones.is_empty() && !facts.zones.iter().any(|known| known == name) {
            found.push(
                at(
                    change,
                    "availability_zone",
                    "no-zone",
                    "no such availability zone",
                )
                .detail(format!("there is no zone `{name}`, or nothing of it is up"))
                .help(format!("there are: {}", facts.zones.join(", "))),
            );
        }
    }
    if let Some(key) = text_at(planned, "key_name")
        && !facts.keypairs.contains(&key)
        && !planned_keys.contains(&key)
    {
        found.push(
            at(change, "key_name", "no-keypair", "no such key pair")
                .detail(format!("the user has no key pair `{key}`"))
                .help("make it with an `openstack_keypair`, and name that: `openstack_keypair.….name`"),
        );
    }
    if let Some(id) = text_at(planned, "image_id") {
        found.extend(image(facts, change, &id, flavor));
    }
    found
}

fn image(facts: &Facts, change: &Intended<'_>, id: &str, flavor: Option<&Json>) -> Vec<Diagnostic> {
    let image = facts.images.iter().find(|image| image["id"] == id);
    let Some(image) = image else {
        let by_name = facts.images.iter().find(|image| image["name"] == id);
        let wrong = at(change, "image_id", "no-image", "no such image")
            .detail(format!("the project has no image with the id `{id}`"));
        return vec![match by_name.and_then(|image| text(image, "id")) {
            Some(right) => wrong.help(format!("`{id}` is the name of one: its id is `{right}`; the data source `openstack_image` finds ids by name")),
            None => wrong.help("the data source `openstack_image` finds images by name and properties"),
        }];
    };
    let mut found = Vec::new();
    let status = text(image, "status").unwrap_or_default();
    if status != "active" {
        found.push(
            at(change, "image_id", "no-image", "an image can't be used").detail(format!(
                "`{id}` is in the state `{status}`; servers are made of active ones"
            )),
        );
    }
    let Some(flavor) = flavor else {
        return found;
    };
    // A flavor without a disk takes one as large as the image.
    let disk = number(flavor, "disk").unwrap_or(0);
    let needed = number(image, "min_disk").unwrap_or(0);
    let name = text(flavor, "name").unwrap_or_default();
    let too_small = |what: &str, has: String, needs: String| {
        at(
            change,
            "flavor",
            "too-small",
            "a flavor is too small for an image",
        )
        .detail(format!(
            "`{name}` has {has} of {what}, the image needs {needs}"
        ))
        .help("take a larger flavor, or a smaller image")
    };
    if disk > 0 && needed > disk {
        found.push(too_small(
            "disk",
            format!("{disk} GiB"),
            format!("{needed} GiB"),
        ));
    }
    let bytes = number(image, "virtual_size")
        .or_else(|| number(image, "size"))
        .unwrap_or(0);
    if disk > 0 && bytes > disk << 30 {
        found.push(too_small(
            "disk",
            format!("{disk} GiB"),
            format!("{} GiB for its content", (bytes >> 30) + 1),
        ));
    }
    let (memory, needed) = (
        number(flavor, "ram").unwrap_or(0),
        number(image, "min_ram").unwrap_or(0),
    );
    if needed > memory {
        found.push(too_small(
            "memory",
            format!("{memory} MiB"),
            format!("{needed} MiB"),
        ));
    }
    found
}

#[cfg(test)]
mod tests {
    use dmp_sdk::Address;
    use serde_json::json;

    use super::*;

    fn facts() -> Facts {
        Facts {
            roles: vec!["member".into()],
            flavors: vec![json!({ "id": "1", "name": "tiny", "vcpus": 1, "ram": 512, "disk": 1 })],
            images: vec![
                json!({ "id": "good", "name": "debian", "status": "active", "min_disk": 1 }),
                json!({ "id": "big", "status": "active", "min_disk": 10, "min_ram": 1024 }),
                json!({ "id": "late", "status": "queued" }),
            ],
            keypairs: vec!["me".into()],
            zones: vec!["nova".into()],
            quotas: Vec::new(),
            addresses: Addresses::default(),
        }
    }

    fn judged(pairs: &[(&'static str, &'static str)]) -> Vec<(&'static str, String)> {
        let members = pairs
            .iter()
            .map(|(name, value)| ((*name).into(), (*value).into()));
        let planned = Value::object(members.collect());
        let address = Address::managed("openstack_server", "web");
        let change = Intended {
            address: &address,
            action: Action::Create,
            prior: None,
            planned: Some(&planned),
        };
        let found = judge(&facts(), &[&change]);
        found
            .into_iter()
            .map(|one| (one.code, one.detail.clone()))
            .collect()
    }

    #[test]
    fn what_a_server_names_has_to_be_there() {
        assert!(
            judged(&[
                ("flavor", "tiny"),
                ("image_id", "good"),
                ("key_name", "me"),
                ("availability_zone", "nova:host")
            ])
            .is_empty()
        );
        let codes = |pairs: &[(&'static str, &'static str)]| {
            judged(pairs)
                .into_iter()
                .map(|(code, _)| code)
                .collect::<Vec<_>>()
        };
        assert_eq!(codes(&[("flavor", "huge")]), ["no-flavor"]);
        assert_eq!(
            codes(&[("flavor", "1"), ("image_id", "debian")]),
            ["no-image"]
        );
        assert_eq!(
            codes(&[("flavor", "1"), ("image_id", "late")]),
            ["no-image"]
        );
        assert_eq!(
            codes(&[("flavor", "1"), ("key_name", "you")]),
            ["no-keypair"]
        );
        assert_eq!(
            codes(&[("flavor", "1"), ("availability_zone", "moon")]),
            ["no-zone"]
        );
    }

    #[test]
    fn an_image_that_a_server_is_rebuilt_from_has_to_be_there_and_to_fit() {
        let server =
            |image: &str| Value::object_of([("flavor", "tiny".into()), ("image_id", image.into())]);
        let (address, prior) = (Address::managed("openstack_server", "web"), server("gone"));
        let codes = |image: &str| {
            let planned = server(image);
            let change = Intended {
                address: &address,
                action: Action::Update,
                prior: Some(&prior),
                planned: Some(&planned),
            };
            let found = judge(&facts(), &[&change]);
            found.into_iter().map(|one| one.code).collect::<Vec<_>>()
        };
        assert!(codes("good").is_empty());
        // What it is made of may be gone by now.
        assert!(codes("gone").is_empty());
        assert_eq!(codes("late"), ["no-image"]);
        assert_eq!(codes("big").len(), 2);
    }

    #[test]
    fn whoever_may_only_read_is_told_before_the_first_change() {
        assert!(may_write(&["reader".into()]).is_some());
        assert!(may_write(&["reader".into(), "member".into()]).is_none());
        assert!(may_write(&[]).is_none());
    }

    #[test]
    fn a_flavor_has_to_be_large_enough_for_the_image() {
        let found = judged(&[("flavor", "tiny"), ("image_id", "big")]);
        assert_eq!(found.len(), 2, "{found:?}");
        assert_eq!(
            found[0].1,
            "`tiny` has 1 GiB of disk, the image needs 10 GiB"
        );
    }
}
