//! What a plan refuses before the first change, and what a run says when the cloud does not do its part.

use dmp_live::Cloud;
use serde_json::json;

use crate::program::{Stack, Undone, left, tell, there};
use crate::world::{NETWORKS, clear};

#[test]
#[ignore = "needs a cloud: cargo xtask live openstack"]
fn a_quota_that_is_too_small_is_told_in_the_plan() {
    let world = there();
    clear(&world.cloud);
    let stack = Stack::of(
        r#"
resource "openstack_volume" "many" {
  count    = 3
  name     = "many"
  size_gib = 5000
}
"#,
    );
    let plan = stack.ends(&["plan"], 1);
    assert!(
        plan.contains("the plan adds 15000 to `gigabytes`"),
        "{plan}"
    );
    assert_eq!(left(&world.cloud), Vec::<String>::new());
}

/// The plan has looked, and somebody was faster.
#[test]
#[ignore = "needs a cloud: cargo xtask live openstack"]
fn a_quota_that_is_spent_after_the_plan_is_told_with_what_to_do() {
    let world = there();
    clear(&world.cloud);
    let stack = Stack::of(
        "resource \"openstack_volume\" \"data\" {\n  name = \"data\"\n  size_gib = 50\n}\n",
    );
    stack.ends(&["plan", "--out", "plan"], 0);
    let path = format!("/os-quota-sets/{}", world.cloud.project());
    let body = json!({ "quota_set": { "gigabytes": 20 } });
    Cloud::of_this_suite("admin").write("PUT", "block-storage", &path, &body);
    let raised = Undone(&["room", "40"]);
    let said = stack.run(&["apply", "plan"]);
    drop(raised);
    let text = String::from_utf8_lossy(&said.stderr).into_owned();
    assert!(!said.status.success(), "{text}");
    for part in ["50", "20", "have the quota raised"] {
        assert!(text.contains(part), "{part} in\n{text}");
    }
    assert_eq!(left(&world.cloud), Vec::<String>::new());
    stack.ends(&["apply", "--yes"], 0);
    stack.ends(&["destroy", "--yes"], 0);
    assert_eq!(left(&world.cloud), Vec::<String>::new());
}

#[test]
#[ignore = "needs a cloud: cargo xtask live openstack"]
fn what_a_server_names_has_to_be_there() {
    let world = there();
    let stack = Stack::of(
        r#"
resource "openstack_server" "web" {
  name     = "web"
  flavor   = "nonesuch"
  image_id = "00000000-0000-0000-0000-000000000000"
  key_name = "nobody"
}
"#,
    );
    let plan = stack.ends(&["plan"], 1);
    for part in ["no such flavor", "no such image", "no such key pair"] {
        assert!(plan.contains(part), "{part} in\n{plan}");
    }
    assert_eq!(left(&world.cloud), Vec::<String>::new());
}

#[test]
#[ignore = "needs a cloud: cargo xtask live openstack"]
fn an_address_that_is_taken_is_told_in_the_plan_with_its_owner() {
    let world = there();
    clear(&world.cloud);
    let port = world
        .cloud
        .get("network", &format!("/ports/{}", world.port));
    let address = &port["port"]["fixed_ips"][0]["ip_address"];
    let stack = Stack::of(&format!(
        r#"
resource "openstack_port" "web" {{
  network_id = "{}"
  fixed_ip {{
    subnet_id  = "{}"
    ip_address = {address}
  }}
}}
"#,
        world.network, world.subnet
    ));
    let plan = stack.ends(&["plan"], 1);
    let whose = format!("belongs to the port `{}`", world.port);
    assert!(plan.contains("an address is taken"), "{plan}");
    assert!(plan.contains(&whose), "{plan}");
    assert_eq!(left(&world.cloud), Vec::<String>::new());
}

#[test]
#[ignore = "needs a cloud: cargo xtask live openstack"]
fn a_subnet_that_is_too_small_is_told_in_the_plan_with_the_numbers() {
    let world = there();
    clear(&world.cloud);
    let cloud = &world.cloud;
    let body = json!({ "network": { "name": "narrow" } });
    let network = cloud.write("POST", "network", "/networks", &body)["network"].clone();
    let pools = json!([{ "start": "198.51.100.10", "end": "198.51.100.11" }]);
    let body = json!({ "subnet": { "name": "narrow", "network_id": network["id"], "ip_version": 4,
        "cidr": "198.51.100.0/24", "allocation_pools": pools } });
    cloud.write("POST", "network", "/subnets", &body);
    let stack = Stack::of(&format!(
        "resource \"openstack_port\" \"web\" {{\n  count = 3\n  network_id = {}\n}}\n",
        network["id"]
    ));
    let plan = stack.ends(&["plan"], 1);
    cloud.remove("network", &NETWORKS.path_of(&network));
    assert!(plan.contains("takes 3 of `narrow`"), "{plan}");
    assert!(plan.contains("2 of 2 are left"), "{plan}");
    assert_eq!(left(cloud), Vec::<String>::new());
}

#[test]
#[ignore = "needs a cloud: cargo xtask live openstack"]
fn a_wrong_password_is_told_and_not_shown() {
    let cloud = Cloud::of_this_suite("member");
    let text = format!(
        "provider \"openstack\" {{\n  auth_url = \"{}\"\n  username = \"member\"\n  password = \"hunter2\"\n  \
         project_name = \"member\"\n  user_domain_name = \"Default\"\n  project_domain_name = \"Default\"\n}}\n\
         data \"openstack_availability_zones\" \"all\" {{}}\noutput \"zones\" {{\n  value = data.openstack_availability_zones.all.compute\n}}\n",
        cloud.setting("auth_url")
    );
    let said = Stack::of(&text).ends(&["plan"], 3);
    assert!(
        said.contains("Keystone refuses the login") && !said.contains("hunter2"),
        "{said}"
    );
}

/// A server for which no host has room ends in `ERROR`; the next plan says why it is replaced.
#[test]
#[ignore = "needs a cloud: cargo xtask live openstack"]
fn a_server_without_room_says_so_and_is_replaced() {
    let world = there();
    clear(&world.cloud);
    let flavor = world.cloud.get("compute", "/flavors/detail")["flavors"][0]["name"].clone();
    let text = |hints: &str| {
        format!(
            "resource \"openstack_server\" \"web\" {{\n  name = \"web\"\n  flavor = {flavor}\n  image_id = \"{}\"\n  network = []\n{hints}}}\n",
            world.image
        )
    };
    let hints = "  scheduler_hints = { group = openstack_server_group.apart.id }\n";
    let group = "resource \"openstack_server_group\" \"apart\" {\n  name = \"apart\"\n  policy = \"anti-affinity\"\n}\n";
    // The cloud has one host: the second of two that are kept apart has none.
    let second = text(hints).replace(
        "\"web\" {",
        "\"second\" {\n  depends_on = [openstack_server.web]",
    );
    let stack = Stack::of(&format!("{group}{}{second}", text(hints)));
    let said = stack.ends(&["apply", "--yes"], 3);
    assert!(said.contains("no host has room"), "{said}");
    let plan = stack.ends(&["plan"], 0);
    assert!(plan.contains("`ERROR`"), "{plan}");
    stack.write("main.hcl", &format!("{group}{}", text(hints)));
    stack.ends(&["apply", "--yes"], 0);
    stack.ends(&["destroy", "--yes"], 0);
    assert_eq!(left(&world.cloud), Vec::<String>::new());
}

/// A cloud whose compute service is away in the middle: what was made stays recorded, and the next run goes on.
#[test]
#[ignore = "needs a cloud: cargo xtask live openstack"]
fn a_service_that_is_away_is_told_of_and_gone_on_with() {
    let world = there();
    clear(&world.cloud);
    let stack = Stack::of(
        r#"
provider "openstack" {
  request_seconds = 5
}
resource "openstack_network" "inside" {
  name = "inside"
}
resource "openstack_volume" "data" {
  name       = "data"
  size_gib   = 1
  depends_on = [openstack_network.inside]
}
"#,
    );
    // The plan looks at quotas, so it is made while all is well.
    stack.ends(&["plan", "--out", "plan"], 0);
    tell(&["stop", "cinder"]);
    let said = stack.run(&["apply", "plan"]);
    tell(&["start", "cinder"]);
    assert!(!said.status.success());
    let text = String::from_utf8_lossy(&said.stderr).into_owned();
    assert!(text.contains("block-storage"), "{text}");
    world.cloud.until("cinder is back", || {
        let answer = world
            .cloud
            .ask("GET", "block-storage", "/volumes", &json!(null));
        answer.status == 200
    });
    stack.ends(&["apply", "--yes"], 0);
    stack.ends(&["plan", "--detailed-exitcode"], 0);
    stack.ends(&["destroy", "--yes"], 0);
    assert_eq!(left(&world.cloud), Vec::<String>::new());
}
