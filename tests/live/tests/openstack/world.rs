//! What the tests find there: things that a stranger has made, which they may use; what they leave behind is cleared away by
//! its mark.

use std::fmt;
use std::sync::Arc;

use dmp_live::Cloud;
use serde_json::{Value as Json, json};

/// A collection of a service: its path, the listing with all of an object, and the name of the list.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Collection {
    pub(crate) service: &'static str,
    pub(crate) path: &'static str,
    pub(crate) listing: &'static str,
    pub(crate) many: &'static str,
}

pub(crate) const fn network(path: &'static str, many: &'static str) -> Collection {
    Collection {
        service: "network",
        path,
        listing: path,
        many,
    }
}

pub(crate) const SERVERS: Collection = Collection {
    service: "compute",
    path: "/servers",
    listing: "/servers/detail",
    many: "servers",
};

pub(crate) const VOLUMES: Collection = Collection {
    service: "block-storage",
    path: "/volumes",
    listing: "/volumes/detail",
    many: "volumes",
};

pub(crate) const SERVER_GROUPS: Collection = Collection {
    service: "compute",
    path: "/os-server-groups",
    listing: "/os-server-groups",
    many: "server_groups",
};

pub(crate) const SNAPSHOTS: Collection = Collection {
    service: "block-storage",
    path: "/snapshots",
    listing: "/snapshots/detail",
    many: "snapshots",
};

pub(crate) const IMAGES: Collection = Collection {
    service: "image",
    path: "/images",
    listing: "/images?limit=1000",
    many: "images",
};

pub(crate) const NETWORKS: Collection = network("/networks", "networks");
pub(crate) const SUBNETS: Collection = network("/subnets", "subnets");
pub(crate) const PORTS: Collection = network("/ports", "ports");
pub(crate) const ROUTERS: Collection = network("/routers", "routers");
pub(crate) const FLOATING_IPS: Collection = network("/floatingips", "floatingips");
pub(crate) const GROUPS: Collection = network("/security-groups", "security_groups");
pub(crate) const RULES: Collection = network("/security-group-rules", "security_group_rules");

/// All, in an order in which they can be removed.
pub(crate) const ALL: [Collection; 12] = [
    SERVERS,
    SERVER_GROUPS,
    SNAPSHOTS,
    VOLUMES,
    IMAGES,
    FLOATING_IPS,
    RULES,
    PORTS,
    GROUPS,
    ROUTERS,
    SUBNETS,
    NETWORKS,
];

/// Where objects of dmp's carry their mark.
pub(crate) fn mark(object: &Json) -> Option<&str> {
    let places = [
        &object["metadata"]["dmp_mark"],
        &object["dmp_mark"],
        &object["description"],
        &object["name"],
    ];
    let tags = object["tags"].as_array().into_iter().flatten();
    let found = places
        .into_iter()
        .chain(tags)
        .filter_map(Json::as_str)
        .find(|text| text.contains("dmp.v1."));
    found.map(|text| {
        let from = text.find("dmp.v1.").unwrap_or(0);
        text[from..].trim_end_matches(']')
    })
}

impl Collection {
    /// What carries a mark of dmp's, of whichever lineage.
    pub(crate) fn marked(&self, cloud: &Cloud) -> Vec<Json> {
        let listed = cloud.get(self.service, self.listing);
        let objects = listed[self.many].as_array().cloned().unwrap_or_default();
        objects
            .into_iter()
            .filter(|object| mark(object).is_some())
            .collect()
    }

    /// The only one that carries a mark.
    pub(crate) fn only(&self, cloud: &Cloud) -> Json {
        let marked = self.marked(cloud);
        let [one] = marked.as_slice() else {
            panic!("there is one of {}: {marked:?}", self.many)
        };
        one.clone()
    }

    pub(crate) fn path_of(&self, object: &Json) -> String {
        let id = object["id"].as_str().expect("an id");
        // What is part of something else says of what: `/zones/{zone_id}/recordsets`.
        let path = match self.path.split_once('{') {
            None => self.path.to_owned(),
            Some((before, rest)) => {
                let (name, after) = rest.split_once('}').expect("a name in braces");
                format!("{before}{}{after}", object[name].as_str().expect("an id"))
            }
        };
        format!("{path}/{id}")
    }

    /// Removes what carries a mark.
    pub(crate) fn clear(&self, cloud: &Cloud) {
        for object in self.marked(cloud) {
            cloud.remove(self.service, &self.path_of(&object));
        }
    }
}

/// Removes all that carries a mark.
pub(crate) fn clear(cloud: &Cloud) {
    for router in ROUTERS.marked(cloud) {
        let id = router["id"].as_str().expect("an id");
        let ports = cloud.get(
            "network",
            &format!("/ports?device_id={id}&device_owner=network:router_interface"),
        );
        for port in ports["ports"].as_array().into_iter().flatten() {
            let body = json!({ "port_id": port["id"] });
            let _ = cloud.ask(
                "PUT",
                "network",
                &format!("/routers/{id}/remove_router_interface"),
                &body,
            );
        }
    }
    for collection in ALL {
        collection.clear(cloud);
    }
}

/// Lets calls of a cloud fail in passing, or ends that.
pub(crate) type Faults = Arc<dyn Fn(bool) + Send + Sync>;

/// Things that no mark is on, made once.
#[derive(Clone)]
pub(crate) struct World {
    pub(crate) cloud: Cloud,
    faults: Option<Faults>,
    pub(crate) network: String,
    pub(crate) subnet: String,
    pub(crate) port: String,
    pub(crate) group: String,
    pub(crate) external: String,
    pub(crate) image: String,
    /// Another image, where the cloud has one.
    pub(crate) other_image: Option<String>,
}

impl fmt::Debug for World {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("World")
            .field("cloud", &self.cloud)
            .finish_non_exhaustive()
    }
}

impl World {
    /// The world on a cloud; `faults` are what it can be told to do.
    pub(crate) fn on(cloud: Cloud, faults: Option<Faults>) -> Self {
        let id = |object: &Json| object["id"].as_str().expect("an id").to_owned();
        let find = |collection: Collection, name: &str| {
            let listed = cloud.get(
                collection.service,
                &format!("{}?name={name}", collection.path),
            );
            listed[collection.many]
                .as_array()
                .and_then(|all| all.first())
                .map(&id)
        };
        let make = |collection: Collection, one: &str, body: Json| {
            let name = body["name"].as_str().expect("a name").to_owned();
            find(collection, &name).unwrap_or_else(|| {
                let made = cloud.write(
                    "POST",
                    collection.service,
                    collection.path,
                    &json!({ one: body }),
                );
                id(&made[one])
            })
        };
        let network = make(NETWORKS, "network", json!({ "name": "strangers" }));
        let subnet = make(
            SUBNETS,
            "subnet",
            json!({ "name": "strangers", "network_id": network, "cidr": "192.0.2.0/24", "ip_version": 4 }),
        );
        let port = make(
            PORTS,
            "port",
            json!({ "name": "strangers", "network_id": network }),
        );
        let group = make(GROUPS, "security_group", json!({ "name": "strangers" }));
        let images = cloud.get("image", "/images?limit=100");
        let images = images["images"].as_array().cloned().unwrap_or_default();
        let active = images.iter().filter(|image| image["status"] == "active");
        let mut active = active.map(&id);
        let (image, other_image) = (active.next(), active.next());
        Self {
            external: find(NETWORKS, "external").expect("the cloud has a way out"),
            image: image.expect("the cloud has an image"),
            other_image,
            network,
            subnet,
            port,
            group,
            cloud,
            faults,
        }
    }

    /// Whether calls can be let fail.
    pub(crate) fn can_fail(&self) -> bool {
        self.faults.is_some()
    }

    /// Lets calls fail in ways that a client bears.
    pub(crate) fn fail_in_passing(&self) {
        if let Some(faults) = &self.faults {
            faults(true);
        }
    }

    /// Ends that.
    pub(crate) fn mend(&self) {
        if let Some(faults) = &self.faults {
            faults(false);
        }
    }

    /// A router that leads out of the strangers' network.
    pub(crate) fn router(&self, is_joined: bool) -> String {
        let listed = self.cloud.get("network", "/routers?name=strangers");
        let found = listed["routers"]
            .as_array()
            .and_then(|all| all.first())
            .cloned();
        let router = found.unwrap_or_else(|| {
            let body = json!({ "router": { "name": "strangers", "external_gateway_info": { "network_id": self.external } } });
            self.cloud.write("POST", "network", "/routers", &body)["router"].clone()
        });
        let id = router["id"].as_str().expect("an id").to_owned();
        let verb = if is_joined { "add" } else { "remove" };
        let path = format!("/routers/{id}/{verb}_router_interface");
        // Twice is refused, and as good.
        let _ = self.cloud.ask(
            "PUT",
            "network",
            &path,
            &json!({ "subnet_id": self.subnet }),
        );
        id
    }
}
