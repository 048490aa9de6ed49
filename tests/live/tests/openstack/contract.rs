//! The contract's clauses over the types of the provider `openstack`, against whatever cloud a world is on: a real one, or the
//! lab's. Whoever includes this file has a macro `trials` before it, which makes tests of the trials.

use std::sync::Arc;

use dmp_live::Cloud;
use dmp_provider_openstack::OpenStackProvider;
use dmp_sdk::testing::conformance::{Case, Stranger, check};
use dmp_sdk::{Configured, Provider, Resource, Value};
use serde_json::{Value as Json, json};

use crate::world::{
    Collection, FLOATING_IPS, GROUPS, IMAGES, NETWORKS, PORTS, ROUTERS, RULES, SERVER_GROUPS,
    SERVERS, SNAPSHOTS, SUBNETS, VOLUMES, World, clear,
};

fn resource(name: &str) -> Arc<dyn Resource> {
    let resources = OpenStackProvider::new().resources();
    let mut resources = resources.into_iter();
    let found = resources.find(|resource| resource.schema().name.as_ref() == name);
    found.expect("is offered")
}

fn wire(cloud: &Cloud) -> Arc<dyn Configured> {
    let config = Value::object_of([
        ("ca", cloud.ca().into()),
        ("region", cloud.region().into()),
        ("auth_url", cloud.setting("auth_url").into()),
        ("username", cloud.setting("username").into()),
        ("password", cloud.setting("password").into()),
        ("project_name", cloud.setting("project_name").into()),
        ("user_domain_name", "Default".into()),
        ("project_domain_name", "Default".into()),
    ]);
    let machines = Arc::new(dmp_testkit::ssh());
    OpenStackProvider::new()
        .configure(&config, machines)
        .expect("it is usable")
}

fn object<const N: usize>(members: [(&str, Value); N]) -> Value {
    Value::object_of(members)
}

fn list<const N: usize>(items: [Value; N]) -> Value {
    Value::list(items.into())
}

fn set<const N: usize>(items: [&str; N]) -> Value {
    Value::set(items.into_iter().map(Value::from).collect())
}

/// What a stranger does to the object.
type Outside = dyn Fn(&World, Stranger) + Send + Sync;

/// How a type is tried.
pub(crate) struct Tried {
    resource_type: &'static str,
    test: &'static str,
    config: Value,
    changed: Option<Value>,
    /// Where its objects are; none where they are found by a natural key.
    collection: Option<Collection>,
    prepare: Box<dyn Fn(&World)>,
    outside: Box<Outside>,
    can_be_altered: bool,
}

impl Tried {
    pub(crate) fn of(test: &'static str, config: Value) -> Self {
        let resource_type = test.split_once("_keeps_").map_or(test, |(name, _)| name);
        Self {
            resource_type,
            test,
            config,
            changed: None,
            collection: None,
            prepare: Box::new(|_| {}),
            outside: Box::new(|_, _| {}),
            can_be_altered: true,
        }
    }

    pub(crate) fn changing(mut self, changed: Value) -> Self {
        self.changed = Some(changed);
        self
    }

    /// Objects of a collection; a stranger removes the one with a mark, and alters it by this.
    pub(crate) fn within(
        mut self,
        collection: Collection,
        alter: impl Fn(&Cloud, &str, &Json) + Send + Sync + 'static,
    ) -> Self {
        self.collection = Some(collection);
        self.outside = Box::new(move |world, stranger| {
            let one = collection.only(&world.cloud);
            let path = collection.path_of(&one);
            match stranger {
                Stranger::Deletes => world.cloud.remove(collection.service, &path),
                Stranger::Alters => alter(&world.cloud, &path, &one),
            }
        });
        self
    }

    pub(crate) fn with(
        mut self,
        outside: impl Fn(&World, Stranger) + Send + Sync + 'static,
    ) -> Self {
        self.outside = Box::new(outside);
        self
    }

    pub(crate) fn prepared(mut self, prepare: impl Fn(&World) + 'static) -> Self {
        self.prepare = Box::new(prepare);
        self
    }

    pub(crate) fn never_altered(mut self) -> Self {
        self.can_be_altered = false;
        self
    }
}

pub(crate) async fn keeps_the_contract(world: World, tried: Tried) {
    let outside: Arc<Outside> = tried.outside.into();
    let wire = wire(&world.cloud);
    clear(&world.cloud);
    let make = |fails: bool| {
        world.mend();
        if let Some(collection) = tried.collection {
            collection.clear(&world.cloud);
        }
        (tried.prepare)(&world);
        let (there, outside) = (world.clone(), Arc::clone(&outside));
        let mut case = Case::new(
            resource(tried.resource_type),
            Arc::clone(&wire),
            tried.config.clone(),
            move |stranger| outside(&there, stranger),
        );
        case.changed = tried.changed.clone();
        case.can_be_altered = tried.can_be_altered;
        case.machines = Some(Arc::new(dmp_testkit::ssh()));
        if let Some(collection) = tried.collection {
            let cloud = world.cloud.clone();
            case = case.counted(move || collection.marked(&cloud).len());
        }
        if fails {
            world.fail_in_passing();
        }
        case
    };
    let report = check(|| make(false)).await;
    report
        .judge(tried.test)
        .unwrap_or_else(|why| panic!("{why}\n{report}"));
    if world.can_fail() {
        let report = check(|| make(true)).await;
        assert!(report.broken().is_empty(), "with faults\n{report}");
    }
    world.mend();
    clear(&world.cloud);
}

/// A stranger renames a thing of Neutron.
fn rename(one: &'static str) -> impl Fn(&Cloud, &str, &Json) + Send + Sync {
    move |cloud, path, _| {
        cloud.write(
            "PUT",
            "network",
            path,
            &json!({ one: { "name": "altered" } }),
        );
    }
}

async fn openstack_network_keeps_the_contract(world: World) {
    let config = object([
        ("name", "inside".into()),
        ("description", "a network".into()),
        ("tags", set(["a", "b"])),
        ("mtu", 1400.into()),
    ]);
    let changed = config
        .with("name", "within".into())
        .with("description", Value::null())
        .with("tags", set(["b"]))
        .with("admin_state_up", false.into())
        .with("port_security_enabled", false.into());
    let tried = Tried::of("openstack_network_keeps_the_contract", config)
        .changing(changed)
        .within(NETWORKS, rename("network"));
    keeps_the_contract(world, tried).await;
}

async fn openstack_subnet_keeps_the_contract(world: World) {
    let pool = |end: &str| object([("start", "198.51.100.10".into()), ("end", end.into())]);
    let route = object([
        ("destination", "203.0.113.0/24".into()),
        ("nexthop", "198.51.100.1".into()),
    ]);
    let config = object([
        ("name", "inside".into()),
        ("network_id", world.network.as_str().into()),
        ("cidr", "198.51.100.0/24".into()),
        (
            "dns_nameservers",
            list(["192.0.2.53".into(), "192.0.2.54".into()]),
        ),
        ("allocation_pools", Value::set(vec![pool("198.51.100.99")])),
    ]);
    let changed = config
        .with("name", Value::null())
        .with("dns_nameservers", Value::null())
        .with("allocation_pools", Value::set(vec![pool("198.51.100.120")]))
        .with("host_routes", Value::set(vec![route]))
        .with("enable_dhcp", false.into())
        .with("no_gateway", true.into());
    let tried = Tried::of("openstack_subnet_keeps_the_contract", config)
        .changing(changed)
        .within(SUBNETS, rename("subnet"));
    keeps_the_contract(world, tried).await;
}

async fn openstack_security_group_keeps_the_contract(world: World) {
    let config = object([
        ("name", "web".into()),
        ("description", "what faces the world".into()),
        ("default_rules", false.into()),
        ("tags", set(["a"])),
    ]);
    let changed = config
        .with("name", "www".into())
        .with("default_rules", true.into())
        .with("tags", Value::null());
    let tried = Tried::of("openstack_security_group_keeps_the_contract", config)
        .changing(changed)
        .within(GROUPS, rename("security_group"));
    keeps_the_contract(world, tried).await;
}

async fn openstack_security_group_rule_keeps_the_contract(world: World) {
    let config = object([
        ("security_group_id", world.group.as_str().into()),
        ("direction", "ingress".into()),
        ("protocol", "tcp".into()),
        ("port_range_min", 443.into()),
        ("port_range_max", 443.into()),
        ("remote_ip_prefix", "192.0.2.0/24".into()),
        ("description", "the web".into()),
    ]);
    let tried = Tried::of("openstack_security_group_rule_keeps_the_contract", config)
        .within(RULES, |_, _, _| {})
        .never_altered();
    keeps_the_contract(world, tried).await;
}

async fn openstack_port_keeps_the_contract(world: World) {
    let pair = |address: &str| object([("ip_address", address.into())]);
    let address = |address: &str| {
        object([
            ("subnet_id", world.subnet.as_str().into()),
            ("ip_address", address.into()),
        ])
    };
    let config = object([
        ("name", "plug".into()),
        ("network_id", world.network.as_str().into()),
        ("fixed_ip", list([address("192.0.2.70")])),
        ("security_group_ids", set([world.group.as_str()])),
        (
            "allowed_address_pair",
            Value::set(vec![pair("192.0.2.200")]),
        ),
        ("tags", set(["a"])),
    ]);
    let changed = config
        .with("name", "socket".into())
        .with("fixed_ip", list([address("192.0.2.71")]))
        .with("security_group_ids", Value::set(Vec::new()))
        .with("allowed_address_pair", Value::null())
        .with("admin_state_up", false.into());
    let tried = Tried::of("openstack_port_keeps_the_contract", config)
        .changing(changed)
        .within(PORTS, rename("port"));
    keeps_the_contract(world, tried).await;
}

async fn openstack_router_keeps_the_contract(world: World) {
    let config = object([
        ("name", "out".into()),
        ("external_network_id", world.external.as_str().into()),
        ("tags", set(["a"])),
    ]);
    let changed = config
        .with("name", "in".into())
        .with("external_network_id", Value::null())
        .with("admin_state_up", false.into());
    let tried = Tried::of("openstack_router_keeps_the_contract", config)
        .changing(changed)
        .within(ROUTERS, |cloud, path, _| {
            cloud.write(
                "PUT",
                "network",
                path,
                &json!({ "router": { "external_gateway_info": null } }),
            );
        });
    keeps_the_contract(world, tried).await;
}

async fn openstack_router_interface_keeps_the_contract(world: World) {
    let router = world.router(false);
    let config = object([
        ("router_id", router.as_str().into()),
        ("subnet_id", world.subnet.as_str().into()),
    ]);
    let tried = Tried::of("openstack_router_interface_keeps_the_contract", config)
        .prepared(|world| drop(world.router(false)))
        .with(|world, _| drop(world.router(false)))
        .never_altered();
    keeps_the_contract(world, tried).await;
}

async fn openstack_floating_ip_keeps_the_contract(world: World) {
    let config = object([
        ("network_id", world.external.as_str().into()),
        ("description", "for the web".into()),
        ("tags", set(["a"])),
    ]);
    let changed = config
        .with("description", "for mail".into())
        .with("tags", set(["b"]));
    let tried = Tried::of("openstack_floating_ip_keeps_the_contract", config)
        .changing(changed)
        .within(FLOATING_IPS, |cloud, path, one| {
            let mark = one["description"]
                .as_str()
                .and_then(|text| text.split_once('['))
                .map(|(_, mark)| mark);
            let description = format!("altered [{}", mark.expect("it carries a mark"));
            cloud.write(
                "PUT",
                "network",
                path,
                &json!({ "floatingip": { "description": description } }),
            );
        });
    keeps_the_contract(world, tried).await;
}

fn floating_ip(world: &World) -> String {
    let listed = world
        .cloud
        .get("network", "/floatingips?description=strangers");
    let found = listed["floatingips"]
        .as_array()
        .and_then(|all| all.first())
        .cloned();
    let floating = found.unwrap_or_else(|| {
        let body = json!({ "floatingip": { "floating_network_id": world.external, "description": "strangers" } });
        world.cloud.write("POST", "network", "/floatingips", &body)["floatingip"].clone()
    });
    floating["id"].as_str().expect("an id").to_owned()
}

fn lead(world: &World, port: Option<&str>) {
    let path = format!("/floatingips/{}", floating_ip(world));
    world.cloud.write(
        "PUT",
        "network",
        &path,
        &json!({ "floatingip": { "port_id": port } }),
    );
}

/// Another port of the strangers' network.
fn second_port(world: &World) -> String {
    let listed = world.cloud.get("network", "/ports?name=second");
    let found = listed["ports"]
        .as_array()
        .and_then(|all| all.first())
        .cloned();
    let port = found.unwrap_or_else(|| {
        let body = json!({ "port": { "name": "second", "network_id": world.network } });
        world.cloud.write("POST", "network", "/ports", &body)["port"].clone()
    });
    port["id"].as_str().expect("an id").to_owned()
}

async fn try_association(world: World, test: &'static str, stands_before: bool) {
    world.router(true);
    let second = second_port(&world);
    let config = object([
        ("floating_ip_id", floating_ip(&world).into()),
        ("port_id", world.port.as_str().into()),
    ]);
    let (before, elsewhere) = (second.clone(), second.clone());
    let mut tried = Tried::of(test, config.clone())
        .prepared(move |world| lead(world, stands_before.then_some(before.as_str())))
        .with(move |world, stranger| match stranger {
            Stranger::Deletes => lead(world, None),
            Stranger::Alters => lead(world, Some(&elsewhere)),
        });
    tried.changed = Some(config.with("port_id", second.into()));
    if stands_before {
        tried.changed = None;
        tried.can_be_altered = false;
    }
    keeps_the_contract(world, tried).await;
}

async fn openstack_floating_ip_association_keeps_the_contract(world: World) {
    try_association(
        world,
        "openstack_floating_ip_association_keeps_the_contract",
        false,
    )
    .await;
}

async fn openstack_floating_ip_association_keeps_the_contract_where_it_led_elsewhere(world: World) {
    try_association(
        world,
        "openstack_floating_ip_association_keeps_the_contract_where_it_led_elsewhere",
        true,
    )
    .await;
}

const KEY: &str =
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIH0S8mJ5y6n2m2Cq0b4nL0m1C1QF4n7l0pW9v8X5x3aA me@example";
const OTHER_KEY: &str =
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIKHEChGlvk0jMpMRmhtEjhPTI0z3GcuDrkXIVFUZqIyJ you@example";

fn put_key(world: &World, key: Option<&str>) {
    world.cloud.remove("compute", "/os-keypairs/tried");
    if let Some(key) = key {
        let body = json!({ "keypair": { "name": "tried", "public_key": key } });
        world.cloud.write("POST", "compute", "/os-keypairs", &body);
    }
}

async fn try_keypair(world: World, test: &'static str, before: Option<&'static str>) {
    let config = object([("name", "tried".into()), ("public_key", KEY.into())]);
    let tried = Tried::of(test, config)
        .prepared(move |world| put_key(world, before))
        .with(|world, stranger| match stranger {
            Stranger::Deletes => put_key(world, None),
            Stranger::Alters => put_key(world, Some(OTHER_KEY)),
        });
    keeps_the_contract(world, tried).await;
}

async fn openstack_keypair_keeps_the_contract(world: World) {
    try_keypair(world, "openstack_keypair_keeps_the_contract", None).await;
}

async fn openstack_keypair_keeps_the_contract_where_it_was_before(world: World) {
    try_keypair(
        world,
        "openstack_keypair_keeps_the_contract_where_it_was_before",
        Some(KEY),
    )
    .await;
}

async fn openstack_server_group_keeps_the_contract(world: World) {
    let config = object([
        ("name", "apart".into()),
        ("policy", "soft-anti-affinity".into()),
    ]);
    let tried = Tried::of("openstack_server_group_keeps_the_contract", config)
        .within(SERVER_GROUPS, |_, _, _| {})
        .never_altered();
    keeps_the_contract(world, tried).await;
}

async fn openstack_volume_keeps_the_contract(world: World) {
    let metadata = |value: &str| Value::map([("for".into(), value.into())].into_iter().collect());
    let config = object([
        ("name", "data".into()),
        ("description", "of the web".into()),
        ("size_gib", 1.into()),
        ("metadata", metadata("web")),
    ]);
    let changed = config
        .with("name", "more".into())
        .with("description", Value::null())
        .with("size_gib", 2.into())
        .with("metadata", metadata("mail"));
    let tried = Tried::of("openstack_volume_keeps_the_contract", config)
        .changing(changed)
        .within(VOLUMES, |cloud, path, _| {
            cloud.write(
                "PUT",
                "block-storage",
                path,
                &json!({ "volume": { "name": "altered" } }),
            );
        });
    keeps_the_contract(world, tried).await;
}

fn flavors(world: &World) -> (String, String) {
    let listed = world.cloud.get("compute", "/flavors/detail");
    let mut all = listed["flavors"].as_array().cloned().unwrap_or_default();
    all.sort_by_key(|flavor| flavor["ram"].as_u64());
    let name = |at: usize| all[at]["name"].as_str().expect("a name").to_owned();
    (name(0), name(1))
}

fn machine(world: &World) -> Value {
    let plug = object([("network_id", world.network.as_str().into())]);
    object([
        ("name", "web".into()),
        ("flavor", flavors(world).0.into()),
        ("image_id", world.image.as_str().into()),
        ("network", list([plug])),
        ("tags", set(["a"])),
        (
            "metadata",
            Value::map([("for".into(), "web".into())].into_iter().collect()),
        ),
    ])
}

fn stranger_at_server(cloud: &Cloud, path: &str, _: &Json) {
    cloud.write(
        "PUT",
        "compute",
        path,
        &json!({ "server": { "name": "altered" } }),
    );
}

async fn openstack_server_keeps_the_contract(world: World) {
    let config = machine(&world).with("security_group_ids", set([world.group.as_str()]));
    let changed = config
        .with("name", "www".into())
        .with("description", "serves".into())
        .with("flavor", flavors(&world).1.into())
        .with("tags", Value::null())
        .with("metadata", Value::null())
        .with("security_group_ids", Value::set(Vec::new()));
    let tried = Tried::of("openstack_server_keeps_the_contract", config)
        .changing(changed)
        .within(SERVERS, stranger_at_server);
    keeps_the_contract(world, tried).await;
}

async fn openstack_server_keeps_the_contract_with_a_first_boot(world: World) {
    let told = object([("ssh_keys", list([KEY.into()])), ("user", "admin".into())]);
    let port = object([("port_id", world.port.as_str().into())]);
    let config = machine(&world)
        .with("network", list([port.clone()]))
        .with("cloud_init", told)
        .with("user_data", "#cloud-config\npackages: [sec-ret]\n".into());
    let second = object([
        ("network_id", world.network.as_str().into()),
        ("fixed_ip", "192.0.2.90".into()),
    ]);
    let changed = config
        .with("network", list([port, second]))
        .with("started", false.into());
    let tried = Tried::of(
        "openstack_server_keeps_the_contract_with_a_first_boot",
        config,
    )
    .changing(changed)
    .within(SERVERS, |cloud, path, _| {
        cloud.write(
            "POST",
            "compute",
            &format!("{path}/action"),
            &json!({ "os-stop": null }),
        );
        let path = path.to_owned();
        cloud.until("the server is off", || {
            cloud.get("compute", &path)["server"]["status"] == "SHUTOFF"
        });
    });
    keeps_the_contract(world, tried).await;
}

async fn openstack_server_keeps_the_contract_rebuilt_in_place(world: World) {
    let other = world.other_image.clone();
    let other = other.expect("the cloud has two images");
    let told = object([("ssh_keys", list([KEY.into()])), ("user", "admin".into())]);
    let config = machine(&world)
        .with("on_image_change", "rebuild".into())
        .with("cloud_init", told);
    let changed = config
        .with("image_id", other.as_str().into())
        .with("flavor", flavors(&world).1.into())
        .with("user_data", "#cloud-config\npackages: [sec-ret]\n".into());
    // A stranger rebuilds it from the other image as well: that is a drift, which is mended by the first one.
    let tried = Tried::of(
        "openstack_server_keeps_the_contract_rebuilt_in_place",
        config,
    )
    .changing(changed)
    .within(SERVERS, move |cloud, path, _| {
        let body = json!({ "rebuild": { "imageRef": other } });
        cloud.write("POST", "compute", &format!("{path}/action"), &body);
        let path = path.to_owned();
        cloud.until("the server is rebuilt", || {
            let server = cloud.get("compute", &path)["server"].clone();
            server["status"] == "ACTIVE" && server["OS-EXT-STS:task_state"].is_null()
        });
    });
    keeps_the_contract(world, tried).await;
}

async fn openstack_server_keeps_the_contract_booted_from_a_volume(world: World) {
    let device = object([
        ("source", "image".into()),
        ("id", world.image.as_str().into()),
        ("boot_index", 0.into()),
        ("size_gib", 1.into()),
        ("delete_on_termination", true.into()),
    ]);
    let config = machine(&world)
        .with("image_id", Value::null())
        .with("block_device", list([device]));
    let changed = config.with("name", "www".into());
    let tried = Tried::of(
        "openstack_server_keeps_the_contract_booted_from_a_volume",
        config,
    )
    .changing(changed)
    .within(SERVERS, stranger_at_server);
    keeps_the_contract(world, tried).await;
}

/// A server and a volume of strangers.
fn server_and_volume(world: &World) -> (String, String) {
    let cloud = &world.cloud;
    let named = |service: &str, path: &str, many: &str| {
        let listed = cloud.get(service, &format!("{path}?name=strangers"));
        let found = listed[many].as_array().and_then(|all| all.first()).cloned();
        found.and_then(|one| one["id"].as_str().map(ToOwned::to_owned))
    };
    let server = named("compute", "/servers", "servers").unwrap_or_else(|| {
        let listed = cloud.get("compute", "/flavors");
        let body = json!({ "server": { "name": "strangers", "imageRef": world.image, "networks": "none",
            "flavorRef": listed["flavors"][0]["id"] } });
        let made = cloud.write("POST", "compute", "/servers", &body);
        made["server"]["id"].as_str().expect("an id").to_owned()
    });
    let path = format!("/servers/{server}");
    cloud.until("the server runs", || {
        cloud.get("compute", &path)["server"]["status"] == "ACTIVE"
    });
    let volume = named("block-storage", "/volumes", "volumes").unwrap_or_else(|| {
        let body = json!({ "volume": { "name": "strangers", "size": 1 } });
        let made = cloud.write("POST", "block-storage", "/volumes", &body);
        made["volume"]["id"].as_str().expect("an id").to_owned()
    });
    let path = format!("/volumes/{volume}");
    cloud.until("the volume is there", || {
        let status = cloud.get("block-storage", &path)["volume"]["status"].clone();
        status == "available" || status == "in-use"
    });
    (server, volume)
}

fn detach(world: &World) {
    let (server, volume) = server_and_volume(world);
    let path = format!("/servers/{server}/os-volume_attachments/{volume}");
    let volume = format!("/volumes/{volume}");
    world.cloud.until("the volume is free", || {
        let status = world.cloud.get("block-storage", &volume)["volume"]["status"].clone();
        if status == "in-use" {
            let _ = world.cloud.ask("DELETE", "compute", &path, &Json::Null);
        }
        status == "available"
    });
}

async fn openstack_volume_attachment_keeps_the_contract(world: World) {
    let (server, volume) = server_and_volume(&world);
    let config = object([("server_id", server.into()), ("volume_id", volume.into())]);
    let tried = Tried::of("openstack_volume_attachment_keeps_the_contract", config)
        .prepared(detach)
        .with(|world, _| detach(world))
        .never_altered();
    keeps_the_contract(world, tried).await;
}

async fn openstack_volume_snapshot_keeps_the_contract(world: World) {
    let (_, volume) = server_and_volume(&world);
    detach(&world);
    let config = object([
        ("name", "before".into()),
        ("description", "as it was".into()),
        ("volume_id", volume.into()),
    ]);
    let metadata = Value::map([("kept".into(), "long".into())].into_iter().collect());
    let changed = config
        .with("name", "then".into())
        .with("description", Value::null())
        .with("metadata", metadata);
    let tried = Tried::of("openstack_volume_snapshot_keeps_the_contract", config)
        .changing(changed)
        .within(SNAPSHOTS, |cloud, path, _| {
            let body = json!({ "snapshot": { "name": "altered" } });
            cloud.write("PUT", "block-storage", path, &body);
        });
    keeps_the_contract(world, tried).await;
}

async fn openstack_router_route_keeps_the_contract(world: World) {
    let router = world.router(true);
    let config = object([
        ("router_id", router.as_str().into()),
        ("destination", "198.51.100.0/24".into()),
        ("next_hop", "192.0.2.77".into()),
    ]);
    let without = |world: &World| {
        let path = format!("/routers/{}", world.router(true));
        let body = json!({ "router": { "routes": [] } });
        world.cloud.write("PUT", "network", &path, &body);
    };
    let tried = Tried::of("openstack_router_route_keeps_the_contract", config)
        .prepared(without)
        .with(move |world, _| without(world))
        .never_altered();
    keeps_the_contract(world, tried).await;
}

async fn openstack_image_keeps_the_contract(world: World) {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("disk.raw");
    std::fs::write(&file, vec![7; 1 << 20]).expect("it can be written");
    let properties =
        |value: &str| Value::map([("os_distro".into(), value.into())].into_iter().collect());
    let config = object([
        ("name", "disk".into()),
        ("disk_format", "raw".into()),
        ("file", file.display().to_string().into()),
        ("properties", properties("debian")),
        ("tags", set(["a"])),
    ]);
    let changed = config
        .with("name", "disc".into())
        .with("min_disk_gib", 1.into())
        .with("properties", Value::null())
        .with("tags", set(["b"]));
    let tried = Tried::of("openstack_image_keeps_the_contract", config)
        .changing(changed)
        .within(IMAGES, |cloud, path, _| {
            cloud.write("PUT", "image", &format!("{path}/tags/altered"), &Json::Null);
        });
    keeps_the_contract(world, tried).await;
}

trials! {
    openstack_network_keeps_the_contract
    openstack_subnet_keeps_the_contract
    openstack_security_group_keeps_the_contract
    openstack_security_group_rule_keeps_the_contract
    openstack_port_keeps_the_contract
    openstack_router_keeps_the_contract
    openstack_router_interface_keeps_the_contract
    openstack_floating_ip_keeps_the_contract
    openstack_floating_ip_association_keeps_the_contract
    openstack_floating_ip_association_keeps_the_contract_where_it_led_elsewhere
    openstack_keypair_keeps_the_contract
    openstack_keypair_keeps_the_contract_where_it_was_before
    openstack_server_group_keeps_the_contract
    openstack_volume_keeps_the_contract
    openstack_server_keeps_the_contract
    openstack_server_keeps_the_contract_with_a_first_boot
    openstack_server_keeps_the_contract_rebuilt_in_place
    openstack_server_keeps_the_contract_booted_from_a_volume
    openstack_volume_attachment_keeps_the_contract
    openstack_volume_snapshot_keeps_the_contract
    openstack_router_route_keeps_the_contract
    openstack_image_keeps_the_contract
}
