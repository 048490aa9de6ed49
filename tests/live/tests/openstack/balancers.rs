//! Load balancers at a real Octavia, whose balancers are on paper.

use dmp_live::Cloud;
use dmp_sdk::Value;
use serde_json::{Value as Json, json};

use crate::contract::{Tried, keeps_the_contract};
use crate::program::{Stack, there};
use crate::world::{Collection, World};

const fn part(path: &'static str, many: &'static str) -> Collection {
    Collection {
        service: "load-balancer",
        path,
        listing: path,
        many,
    }
}

const BALANCERS: Collection = part("/lbaas/loadbalancers", "loadbalancers");
const LISTENERS: Collection = part("/lbaas/listeners", "listeners");
const POOLS: Collection = part("/lbaas/pools", "pools");
const MONITORS: Collection = part("/lbaas/healthmonitors", "healthmonitors");

/// Waits until a balancer takes changes.
fn settled(cloud: &Cloud, balancer: &str) {
    let path = format!("/lbaas/loadbalancers/{balancer}");
    cloud.until("the balancer takes changes", || {
        cloud.get("load-balancer", &path)["loadbalancer"]["provisioning_status"] == "ACTIVE"
    });
}

/// Things of strangers, which no mark is on: a balancer, a listener, a pool.
fn things(world: &World) -> (String, String, String) {
    let cloud = &world.cloud;
    let id = |object: &Json| object["id"].as_str().expect("an id").to_owned();
    let made = |collection: Collection, one: &str, body: Json| {
        let listed = cloud.get(
            "load-balancer",
            &format!("{}?name=strangers", collection.path),
        );
        let found = listed[collection.many]
            .as_array()
            .and_then(|all| all.first().map(id));
        found.unwrap_or_else(|| {
            let body = json!({ one: body });
            id(&cloud.write("POST", "load-balancer", collection.path, &body)[one])
        })
    };
    let balancer = json!({ "name": "strangers", "vip_subnet_id": world.subnet });
    let balancer = made(BALANCERS, "loadbalancer", balancer);
    settled(cloud, &balancer);
    let listener = json!({ "name": "strangers", "loadbalancer_id": balancer, "protocol": "HTTP", "protocol_port": 80 });
    let listener = made(LISTENERS, "listener", listener);
    settled(cloud, &balancer);
    let pool = json!({ "name": "strangers", "loadbalancer_id": balancer, "protocol": "HTTP", "lb_algorithm": "ROUND_ROBIN" });
    let pool = made(POOLS, "pool", pool);
    settled(cloud, &balancer);
    (balancer, listener, pool)
}

/// Removes what carries a mark, part by part: while one goes no other can.
fn clear(cloud: &Cloud, members: Option<Collection>) {
    for collection in [
        Some(MONITORS),
        members,
        Some(POOLS),
        Some(LISTENERS),
        Some(BALANCERS),
    ]
    .into_iter()
    .flatten()
    {
        for object in collection.marked(cloud) {
            cloud.remove(collection.service, &collection.path_of(&object));
        }
    }
}

/// A stranger changes a part, and waits until that is done.
fn alter(one: &'static str, body: Json) -> impl Fn(&Cloud, &str, &Json) + Send + Sync {
    move |cloud, path, _| {
        cloud.write("PUT", "load-balancer", path, &json!({ one: body }));
        cloud.until("it is changed", || {
            cloud.get("load-balancer", path)[one]["provisioning_status"] == "ACTIVE"
        });
    }
}

fn tags(all: &[&str]) -> Value {
    Value::set(all.iter().map(|tag| Value::from(*tag)).collect())
}

async fn keeps(world: World, tried: Tried, members: Option<Collection>) {
    clear(&world.cloud, members);
    keeps_the_contract(world.clone(), tried).await;
    clear(&world.cloud, members);
}

async fn openstack_loadbalancer_keeps_the_contract(world: World) {
    let config = Value::object_of([
        ("name", "front".into()),
        ("description", "what faces the world".into()),
        ("vip_subnet_id", world.subnet.as_str().into()),
        ("vip_address", "192.0.2.66".into()),
        ("tags", tags(&["a", "b"])),
    ]);
    let changed = config
        .with("name", "back".into())
        .with("description", Value::null())
        .with("admin_state_up", false.into())
        .with("tags", tags(&["b"]));
    let tried = Tried::of("openstack_loadbalancer_keeps_the_contract", config)
        .changing(changed)
        .within(
            BALANCERS,
            alter("loadbalancer", json!({ "name": "altered" })),
        );
    keeps(world, tried, None).await;
}

async fn openstack_listener_keeps_the_contract(world: World) {
    let (balancer, _, pool) = things(&world);
    let headers = |value: &str| {
        Value::map(
            [("X-Forwarded-For".into(), value.into())]
                .into_iter()
                .collect(),
        )
    };
    let config = Value::object_of([
        ("name", "web".into()),
        ("loadbalancer_id", balancer.into()),
        ("protocol", "HTTP".into()),
        ("protocol_port", 8080.into()),
        ("insert_headers", headers("true")),
        ("allowed_cidrs", tags(&["192.0.2.0/24"])),
        ("tags", tags(&["a"])),
    ]);
    let changed = config
        .with("name", "www".into())
        .with("description", "the web".into())
        .with("connection_limit", 100.into())
        .with("default_pool_id", pool.into())
        .with("insert_headers", Value::null())
        .with("allowed_cidrs", Value::null())
        .with("timeout_client_data", 60000.into())
        .with("timeout_member_connect", 6000.into())
        .with("timeout_member_data", 70000.into())
        .with("timeout_tcp_inspect", 10.into())
        .with("admin_state_up", false.into())
        .with("tags", Value::null());
    let tried = Tried::of("openstack_listener_keeps_the_contract", config)
        .changing(changed)
        .within(LISTENERS, alter("listener", json!({ "name": "altered" })));
    keeps(world, tried, None).await;
}

async fn openstack_pool_keeps_the_contract(world: World) {
    let (_, listener, _) = things(&world);
    let session = Value::object_of([("type", "APP_COOKIE".into()), ("cookie_name", "sid".into())]);
    let config = Value::object_of([
        ("name", "web".into()),
        ("listener_id", listener.into()),
        ("protocol", "HTTP".into()),
        ("lb_algorithm", "ROUND_ROBIN".into()),
        ("tags", tags(&["a"])),
    ]);
    let changed = config
        .with("name", "www".into())
        .with("description", "those of the web".into())
        .with("lb_algorithm", "LEAST_CONNECTIONS".into())
        .with("session_persistence", session)
        .with("admin_state_up", false.into())
        .with("tags", Value::null());
    let tried = Tried::of("openstack_pool_keeps_the_contract", config)
        .changing(changed)
        .within(POOLS, alter("pool", json!({ "lb_algorithm": "SOURCE_IP" })));
    keeps(world, tried, None).await;
}

async fn openstack_member_keeps_the_contract(world: World) {
    let (_, _, pool) = things(&world);
    // A path that ends with these tests, as they do.
    let members = part(format!("/lbaas/pools/{pool}/members").leak(), "members");
    let config = Value::object_of([
        ("pool_id", pool.into()),
        ("name", "first".into()),
        ("address", "192.0.2.31".into()),
        ("protocol_port", 8000.into()),
        ("subnet_id", world.subnet.as_str().into()),
        ("tags", tags(&["a"])),
    ]);
    let changed = config
        .with("name", "one".into())
        .with("weight", 10.into())
        .with("backup", true.into())
        .with("monitor_address", "192.0.2.32".into())
        .with("monitor_port", 8001.into())
        .with("admin_state_up", false.into())
        .with("tags", Value::null());
    let tried = Tried::of("openstack_member_keeps_the_contract", config)
        .changing(changed)
        .within(members, alter("member", json!({ "weight": 7 })));
    keeps(world, tried, Some(members)).await;
}

async fn openstack_monitor_keeps_the_contract(world: World) {
    let (_, _, pool) = things(&world);
    let config = Value::object_of([
        ("pool_id", pool.into()),
        ("name", "health".into()),
        ("type", "HTTP".into()),
        ("delay", 10.into()),
        ("timeout", 4.into()),
        ("max_retries", 2.into()),
        ("url_path", "/healthz".into()),
        ("tags", tags(&["a"])),
    ]);
    let changed = config
        .with("name", "well".into())
        .with("delay", 20.into())
        .with("timeout", 5.into())
        .with("max_retries", 3.into())
        .with("max_retries_down", 4.into())
        .with("http_method", "HEAD".into())
        .with("expected_codes", "200-204".into())
        .with("url_path", "/".into())
        .with("admin_state_up", false.into())
        .with("tags", Value::null());
    let tried = Tried::of("openstack_monitor_keeps_the_contract", config)
        .changing(changed)
        .within(MONITORS, alter("healthmonitor", json!({ "delay": 33 })));
    keeps(world, tried, None).await;
}

trials! {
    openstack_loadbalancer_keeps_the_contract
    openstack_listener_keeps_the_contract
    openstack_pool_keeps_the_contract
    openstack_member_keeps_the_contract
    openstack_monitor_keeps_the_contract
}

const FRONT: &str = r#"
variable "subnet" {
  type = string
}

resource "openstack_loadbalancer" "front" {
  name          = "front"
  vip_subnet_id = var.subnet
}

resource "openstack_listener" "front" {
  count           = 2
  loadbalancer_id = openstack_loadbalancer.front.id
  name            = "front-${count.index}"
  protocol        = "TCP"
  protocol_port   = 8000 + count.index
}

resource "openstack_pool" "front" {
  count       = 2
  listener_id = openstack_listener.front[count.index].id
  name        = "front-${count.index}"
  protocol    = "TCP"
}

resource "openstack_member" "front" {
  count         = 6
  pool_id       = openstack_pool.front[count.index % 2].id
  name          = "member-${count.index}"
  address       = "192.0.2.${100 + count.index}"
  protocol_port = 80
}

resource "openstack_monitor" "front" {
  count       = 2
  pool_id     = openstack_pool.front[count.index].id
  type        = "TCP"
  delay       = 5
  timeout     = 3
  max_retries = 2
}
"#;

#[test]
#[ignore = "needs a cloud: cargo xtask live openstack"]
fn parts_of_one_balancer_wait_for_each_other() {
    let world = there();
    let cloud = &world.cloud;
    clear(cloud, None);
    let stack = Stack::of(FRONT);
    let subnet = format!("subnet={}", world.subnet);
    let with = |words: &[&'static str]| -> Vec<String> {
        let words = words.iter().map(|word| (*word).to_owned());
        words.chain(["--var".to_owned(), subnet.clone()]).collect()
    };
    let ends = |words: &[&'static str], code: i32| {
        let words = with(words);
        stack.ends(&words.iter().map(String::as_str).collect::<Vec<_>>(), code)
    };
    ends(&["apply", "--yes"], 0);
    ends(&["plan", "--detailed-exitcode"], 0);
    assert_eq!(LISTENERS.marked(cloud).len(), 2);
    let listed = cloud.openstack(&["loadbalancer", "member", "list", "front-1", "-f", "value"]);
    assert_eq!(listed.lines().count(), 3, "{listed}");

    // Drift, by the stock command line.
    cloud.openstack(&[
        "loadbalancer",
        "member",
        "set",
        "--weight",
        "9",
        "--wait",
        "front-0",
        "member-2",
    ]);
    let said = ends(&["plan", "--detailed-exitcode"], 2);
    assert!(said.contains("openstack_member.front[2]"), "{said}");
    stack.edit("\"TCP\"\n  delay       = 5", "\"TCP\"\n  delay       = 7");
    ends(&["apply", "--yes"], 0);
    ends(&["plan", "--detailed-exitcode"], 0);

    ends(&["destroy", "--yes"], 0);
    for collection in [MONITORS, POOLS, LISTENERS, BALANCERS] {
        assert!(collection.marked(cloud).is_empty(), "{}", collection.many);
    }
}
