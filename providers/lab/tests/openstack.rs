//! The OpenStack of a lab, as a client sees it: logins, states, words, faults. Machines are not among it.

mod support;

use std::time::Duration;

use dmp_lab::{OpenStackSite, Site};
use serde_json::{Value, json};
use support::{Cloud, Running, header, log_in, password};

fn quick() -> Site {
    Site {
        speed: 400.0,
        ..Site::default()
    }
}

/// One in which what is under way is still so when it is asked for next, also on a busy host.
fn unhurried(openstack: OpenStackSite) -> Site {
    Site {
        speed: 10.0,
        ..of_cloud(openstack)
    }
}

fn of_cloud(openstack: OpenStackSite) -> Site {
    Site {
        openstack: Some(openstack),
        ..quick()
    }
}

fn lab_of(site: Site) -> (tempfile::TempDir, Running, Cloud) {
    let folder = tempfile::tempdir().expect("a folder");
    let lab = Running::begin(&folder.path().join("lab"), site);
    let cloud = Cloud::of(&lab.written);
    (folder, lab, cloud)
}

fn lab() -> (tempfile::TempDir, Running, Cloud) {
    lab_of(quick())
}

#[test]
fn whoever_logs_in_is_told_where_the_services_are() {
    let (_folder, lab, _) = lab();
    let auth = password(&lab.written, "lab-member");
    let answer = log_in(&lab.written, &auth);
    let token = answer.value()["token"].clone();
    let types: Vec<&str> = token["catalog"]
        .as_array()
        .expect("a catalog")
        .iter()
        .filter_map(|it| it["type"].as_str())
        .collect();
    assert_eq!(
        types,
        ["identity", "compute", "network", "block-storage", "image"]
    );
    assert_eq!(token["roles"][0]["name"], "member");

    let mut wrong = auth.clone();
    wrong["auth"]["identity"]["password"]["user"]["password"] = json!("no");
    let refused = log_in(&lab.written, &wrong);
    assert_eq!(refused.status, 401);
    assert_eq!(refused.value()["error"]["title"], "Unauthorized");

    let subject = header(&answer, "x-subject-token").expect("a token");
    let again =
        json!({ "auth": { "identity": { "methods": ["token"], "token": { "id": subject } } } });
    assert_eq!(log_in(&lab.written, &again).status, 201);
}

#[test]
fn a_token_that_has_ended_is_refused() {
    let site = OpenStackSite {
        token_seconds: 1,
        ..OpenStackSite::default()
    };
    let (_folder, _lab, cloud) = lab_of(of_cloud(site));
    assert_eq!(
        cloud
            .call("GET", "/compute/v2.1/servers", &Value::Null)
            .status,
        200
    );
    std::thread::sleep(Duration::from_millis(1200));
    assert_eq!(
        cloud
            .call("GET", "/compute/v2.1/servers", &Value::Null)
            .status,
        401
    );
}

#[test]
fn a_stack_comes_about_and_goes() {
    let (_folder, _lab, cloud) = lab();
    let external = cloud.get("/network/v2.0/networks?router:external=True")["networks"][0].clone();
    let (network, subnet) = cloud.network("inside", "127.40.1.0/24");
    let gateway =
        json!({ "name": "out", "external_gateway_info": { "network_id": external["id"] } });
    let router = cloud.make("/network/v2.0/routers", "router", &gateway);
    let interface = format!("/network/v2.0/routers/{router}/add_router_interface");
    cloud.done("PUT", &interface, &json!({ "subnet_id": subnet }));
    let key = json!({ "keypair": { "name": "me" } });
    let key = cloud.done("POST", "/compute/v2.1/os-keypairs", &key);
    assert!(
        key["keypair"]["private_key"]
            .as_str()
            .is_some_and(|key| key.contains("OPENSSH PRIVATE KEY"))
    );
    let port = cloud.make(
        "/network/v2.0/ports",
        "port",
        &json!({ "network_id": network }),
    );
    let server = cloud.small(
        "web",
        &json!({ "server": { "networks": [{ "port": port }], "key_name": "me", "tags": ["a"] } }),
    );
    let shown = cloud.server(&server, "ACTIVE");
    assert_eq!(shown["addresses"]["inside"][0]["addr"], "127.40.1.2");
    assert_eq!(shown["flavor"]["original_name"], "small");
    assert_eq!(shown["tags"], json!(["a"]));

    let floating = json!({ "floating_network_id": external["id"], "port_id": port });
    let floating = cloud.make("/network/v2.0/floatingips", "floatingip", &floating);
    let shown = cloud.server(&server, "ACTIVE");
    assert_eq!(
        shown["addresses"]["inside"][1]["OS-EXT-IPS:type"],
        "floating"
    );
    let remove = format!("/network/v2.0/routers/{router}/remove_router_interface");
    let (status, why) = cloud.refused("PUT", &remove, &json!({ "subnet_id": subnet }));
    assert_eq!(status, 409);
    assert!(
        why.contains("required by one or more floating IPs"),
        "{why}"
    );

    let volumes = cloud.of_volumes();
    let below = format!("/volume/v3/{}/volumes", cloud.project);
    let volume = volumes.make(&below, "volume", &json!({ "size": 1, "name": "data" }));
    let volume_path = format!("{below}/{volume}");
    volumes.until(&volume_path, |answer| {
        answer["volume"]["status"] == "available"
    });
    let attachments = format!("/compute/v2.1/servers/{server}/os-volume_attachments");
    cloud.done(
        "POST",
        &attachments,
        &json!({ "volumeAttachment": { "volumeId": volume } }),
    );
    let attached = volumes.until(&volume_path, |answer| {
        answer["volume"]["status"] == "in-use"
    });
    assert_eq!(
        attached["volume"]["attachments"][0]["server_id"],
        server.as_str()
    );
    assert_eq!(attached["volume"]["attachments"][0]["device"], "/dev/vdb");
    let (status, why) = volumes.refused("DELETE", &volume_path, &Value::Null);
    assert_eq!(status, 400);
    assert!(
        why.starts_with("Invalid volume: Volume status must be available"),
        "{why}"
    );

    cloud.done(
        "DELETE",
        &format!("/compute/v2.1/servers/{server}"),
        &Value::Null,
    );
    cloud.gone(&format!("/compute/v2.1/servers/{server}"));
    volumes.until(&volume_path, |answer| {
        answer["volume"]["status"] == "available"
    });
    volumes.done("DELETE", &volume_path, &Value::Null);
    volumes.gone(&volume_path);
    let kept = cloud.get(&format!("/network/v2.0/ports/{port}"))["port"].clone();
    assert_eq!(kept["device_id"], "", "a port that was given stays");
    cloud.done(
        "DELETE",
        &format!("/network/v2.0/floatingips/{floating}"),
        &Value::Null,
    );
    cloud.done("PUT", &remove, &json!({ "subnet_id": subnet }));
    cloud.done(
        "DELETE",
        &format!("/network/v2.0/ports/{port}"),
        &Value::Null,
    );
    cloud.done(
        "DELETE",
        &format!("/network/v2.0/routers/{router}"),
        &Value::Null,
    );
    cloud.done(
        "DELETE",
        &format!("/network/v2.0/networks/{network}"),
        &Value::Null,
    );
    cloud.gone(&format!("/network/v2.0/subnets/{subnet}"));
}

#[test]
fn each_service_refuses_what_it_does_not_know_in_its_own_words() {
    let (_folder, _lab, cloud) = lab();
    let (status, why) = cloud.refused(
        "POST",
        "/compute/v2.1/os-keypairs",
        &json!({ "keypair": { "name": "a", "x": 1 } }),
    );
    assert_eq!(status, 400);
    assert!(
        why.ends_with("Additional properties are not allowed ('x' was unexpected)"),
        "{why}"
    );
    let (status, why) = cloud.refused(
        "POST",
        "/network/v2.0/networks",
        &json!({ "network": { "x": 1 } }),
    );
    assert_eq!(
        (status, why.as_str()),
        (400, "Unrecognized attribute(s) 'x'")
    );
    let (status, why) = cloud.refused("GET", "/network/v2.0/networks?x=1", &Value::Null);
    assert_eq!(
        (status, why.as_str()),
        (400, "['x'] is invalid attribute for filtering")
    );
    let path = format!("/volume/v3/{}/volumes", cloud.project);
    let (status, why) =
        cloud
            .of_volumes()
            .refused("POST", &path, &json!({ "volume": { "size": "big" } }));
    assert_eq!(status, 400);
    assert!(
        why.starts_with("Invalid input for field/attribute size. Value: big."),
        "{why}"
    );
    let (status, why) = cloud.refused("POST", "/image/v2/images", &json!({ "min_disk": "4" }));
    assert_eq!(status, 400);
    assert!(why.contains("'4' is not of type 'integer'"), "{why}");
    let (status, why) = cloud.refused(
        "POST",
        "/image/v2/images",
        &json!({ "visibility": "public" }),
    );
    assert_eq!(status, 403);
    assert!(why.contains("publicize_image"), "{why}");
}

#[test]
fn what_is_there_stands_against_what_is_asked() {
    let (_folder, _lab, cloud) = lab_of(unhurried(OpenStackSite::default()));
    let (network, subnet) = cloud.network("inside", "127.40.2.0/24");
    let server = cloud.small(
        "web",
        &json!({ "server": { "networks": [{ "uuid": network }] } }),
    );
    let action = format!("/compute/v2.1/servers/{server}/action");
    cloud.server(&server, "ACTIVE");

    let (status, why) = cloud.refused("POST", &action, &json!({ "os-start": null }));
    assert_eq!(
        (status, why),
        (
            409,
            format!("Cannot 'start' instance {server} while it is in vm_state active")
        )
    );
    let (status, why) = cloud.refused("POST", &action, &json!({ "resize": { "flavorRef": "1" } }));
    assert_eq!(
        (status, why.as_str()),
        (400, "When resizing, instances must change flavor!")
    );
    cloud.done("POST", &action, &json!({ "os-stop": null }));
    let (status, why) = cloud.refused("POST", &action, &json!({ "resize": { "flavorRef": "2" } }));
    assert_eq!(
        (status, why),
        (
            409,
            format!("Cannot 'resize' instance {server} while it is in task_state powering-off")
        )
    );
    let (status, why) = cloud.refused("POST", &action, &json!({ "dance": null }));
    assert_eq!(
        (status, why.as_str()),
        (400, "There is no such action: dance")
    );
    cloud.server(&server, "SHUTOFF");

    let (status, why) = cloud.refused(
        "DELETE",
        &format!("/network/v2.0/networks/{network}"),
        &Value::Null,
    );
    assert_eq!(status, 409);
    assert!(why.contains("one or more ports still in use"), "{why}");
    let (status, why) = cloud.refused(
        "DELETE",
        &format!("/network/v2.0/subnets/{subnet}"),
        &Value::Null,
    );
    assert_eq!(status, 409);
    assert!(
        why.contains("One or more ports have an IP allocation"),
        "{why}"
    );
    let ports = cloud.get(&format!("/network/v2.0/ports?device_id={server}"));
    let port = ports["ports"][0]["id"].as_str().expect("a port");
    let again = json!({ "server": { "name": "b", "flavorRef": "1", "networks": [{ "port": port }],
        "imageRef": cloud.get("/image/v2/images")["images"][0]["id"] } });
    let (status, why) = cloud.refused("POST", "/compute/v2.1/servers", &again);
    assert_eq!(
        (status, why),
        (409, format!("Port {port} is still in use."))
    );
    let taken =
        json!({ "port": { "network_id": network, "fixed_ips": [{ "ip_address": "127.40.2.2" }] } });
    let (status, why) = cloud.refused("POST", "/network/v2.0/ports", &taken);
    assert_eq!(status, 409);
    assert!(why.contains("already allocated in subnet"), "{why}");
}

#[test]
fn a_server_is_resized_and_keeps_its_size_once_it_is_confirmed() {
    let (_folder, lab, cloud) = lab();
    let server = cloud.small("web", &Value::Null);
    let action = format!("/compute/v2.1/servers/{server}/action");
    cloud.server(&server, "ACTIVE");

    cloud.done("POST", &action, &json!({ "resize": { "flavorRef": "2" } }));
    cloud.server(&server, "VERIFY_RESIZE");
    cloud.done("POST", &action, &json!({ "confirmResize": null }));
    let shown = cloud.server(&server, "ACTIVE");
    assert_eq!(shown["flavor"]["original_name"], "medium");

    lab.fault(&json!({ "task": { "kind": "nova:resize", "reason": "No valid host was found.", "times": 1 } }));
    cloud.done("POST", &action, &json!({ "resize": { "flavorRef": "3" } }));
    let shown = cloud.server(&server, "ACTIVE");
    assert_eq!(shown["flavor"]["original_name"], "medium");
    let actions = cloud.get(&format!(
        "/compute/v2.1/servers/{server}/os-instance-actions"
    ));
    assert_eq!(
        actions["instanceActions"][0]["message"],
        "No valid host was found."
    );
}

/// Waits until nothing is under way with a server, whatever it is shown as in between; returns the states that were seen.
fn states_until(cloud: &Cloud, id: &str, status: &str) -> Vec<String> {
    let mut seen = Vec::new();
    let deadline = std::time::Instant::now() + Duration::from_secs(10);
    loop {
        let server = cloud.get(&format!("/compute/v2.1/servers/{id}"))["server"].clone();
        let now = server["status"].as_str().expect("a status").to_owned();
        let is_over = now == status && server["OS-EXT-STS:task_state"].is_null();
        if seen.last() != Some(&now) {
            seen.push(now);
        }
        if is_over {
            return seen;
        }
        assert!(std::time::Instant::now() < deadline, "{server:#}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

#[test]
fn a_server_is_rebuilt_from_another_image_and_keeps_all_but_its_disk() {
    let site = OpenStackSite {
        images: vec!["debian-13".into(), "debian-12".into()],
        ..OpenStackSite::default()
    };
    let (_folder, lab, cloud) = lab_of(unhurried(site));
    let image = |name: &str| {
        let found = cloud.get(&format!("/image/v2/images?name={name}"));
        found["images"][0]["id"].as_str().expect("an id").to_owned()
    };
    let (network, _) = cloud.network("inside", "127.40.2.0/24");
    let server = cloud.small(
        "web",
        &json!({ "server": { "networks": [{ "uuid": network }] } }),
    );
    let before = cloud.server(&server, "ACTIVE");
    let action = format!("/compute/v2.1/servers/{server}/action");
    let other = image("debian-12");

    let body = json!({ "rebuild": { "imageRef": other, "user_data": "I2Nsb3VkLWNvbmZpZwo=", "name": "www" } });
    let told = cloud.done("POST", &action, &body)["server"].clone();
    assert_eq!(told["status"], "REBUILD");
    assert_eq!(told["OS-EXT-STS:task_state"], "rebuilding");
    assert_eq!(told["image"]["id"], other.as_str(), "from now on");
    assert_eq!(told["user_data"], "I2Nsb3VkLWNvbmZpZwo=");
    let (status, why) = cloud.refused("POST", &action, &json!({ "os-stop": null }));
    assert_eq!(status, 409);
    assert!(why.contains("task_state rebuilding"), "{why}");
    assert_eq!(
        states_until(&cloud, &server, "ACTIVE"),
        ["REBUILD", "ACTIVE"]
    );
    let after = cloud.server(&server, "ACTIVE");
    assert_eq!(after["addresses"], before["addresses"]);
    assert_eq!(after["name"], "www");

    // One that was off is off again.
    cloud.done("POST", &action, &json!({ "os-stop": null }));
    cloud.server(&server, "SHUTOFF");
    let back = json!({ "rebuild": { "imageRef": image("debian-13") } });
    cloud.done("POST", &action, &back);
    assert_eq!(
        states_until(&cloud, &server, "SHUTOFF"),
        ["REBUILD", "SHUTOFF"]
    );

    for (body, status, said) in [
        (
            json!({ "rebuild": {} }),
            400,
            "'imageRef' is a required property",
        ),
        (
            json!({ "rebuild": { "imageRef": server } }),
            400,
            "Cannot find image for rebuild",
        ),
        (
            json!({ "rebuild": { "imageRef": other, "key_name": "nobody" } }),
            400,
            "Invalid key_name provided.",
        ),
    ] {
        let (code, why) = cloud.refused("POST", &action, &body);
        assert_eq!((code, why.contains(said)), (status, true), "{why}");
    }

    // What fails has the new image all the same, and is led out of its state by the next rebuild.
    lab.fault(&json!({ "task": { "kind": "nova:rebuild", "reason": "no disk", "times": 1 } }));
    cloud.done(
        "POST",
        &action,
        &json!({ "rebuild": { "imageRef": other } }),
    );
    states_until(&cloud, &server, "ERROR");
    let failed = cloud.server(&server, "ERROR");
    assert_eq!(failed["fault"]["message"], "no disk");
    assert_eq!(failed["image"]["id"], other.as_str());
    cloud.done("POST", &action, &back);
    cloud.server(&server, "ACTIVE");
}

#[test]
fn a_server_that_boots_from_a_volume_keeps_its_image() {
    let site = OpenStackSite {
        images: vec!["debian-13".into(), "debian-12".into()],
        ..OpenStackSite::default()
    };
    let (_folder, _lab, cloud) = lab_of(of_cloud(site));
    let images = cloud.get("/image/v2/images?sort=name:asc")["images"].clone();
    let (other, own) = (images[0]["id"].clone(), images[1]["id"].clone());
    let device = json!({ "source_type": "image", "uuid": own, "destination_type": "volume", "volume_size": 4, "boot_index": 0 });
    let server = cloud.small(
        "web",
        &json!({ "server": { "imageRef": "", "block_device_mapping_v2": [device] } }),
    );
    cloud.server(&server, "ACTIVE");
    let action = format!("/compute/v2.1/servers/{server}/action");
    let (status, why) = cloud.refused(
        "POST",
        &action,
        &json!({ "rebuild": { "imageRef": other } }),
    );
    assert_eq!(status, 400);
    assert!(
        why.contains("Unable to rebuild with a different image for a volume-backed server."),
        "{why}"
    );
    cloud.done("POST", &action, &json!({ "rebuild": { "imageRef": own } }));
    states_until(&cloud, &server, "ACTIVE");
}

#[test]
fn what_the_lab_was_told_of_by_the_name_of_an_image_is_what_its_servers_are() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::create_dir_all(folder.path().join("root/sbin")).expect("a folder");
    std::fs::write(folder.path().join("root/sbin/init"), "").expect("written");
    let disk = support::disk_image(folder.path(), 30 << 30);
    let site = OpenStackSite {
        images: ["debian-13", "debian-12", "noble"]
            .map(str::to_owned)
            .into(),
        ..OpenStackSite::default()
    };
    let root = |name: &str, path: std::path::PathBuf| dmp_lab::RootSite {
        name: name.into(),
        path,
    };
    let more = dmp_lab::More {
        roots: vec![
            root("debian-12", folder.path().join("root")),
            root("noble", disk),
        ],
        networks: vec![dmp_lab::NetworkSite {
            bridge: "public".into(),
            address: "10.90.0.1/24".into(),
        }],
    };
    let lab = Running::told(&folder.path().join("lab"), Some(of_cloud(site)), more);
    let cloud = Cloud::of(&lab.written);
    let (network, _) = cloud.network("inside", "10.20.0.0/24");
    for (image, strength) in [
        ("debian-13", "process"),
        ("debian-12", "container"),
        ("noble", "vm"),
    ] {
        let found = cloud.get(&format!("/image/v2/images?name={image}"));
        let server = json!({ "imageRef": found["images"][0]["id"], "networks": [{ "uuid": network }], "flavorRef": "2" });
        let id = cloud.small(image, &json!({ "server": server }));
        cloud.server(&id, "ACTIVE");
        assert_eq!(lab.machine(image)["strength"], strength);
    }
    // Addresses of the host's loopback are none for a system with a network of its own.
    let (loopback, _) = cloud.network("loopback", "127.40.3.0/24");
    let found = cloud.get("/image/v2/images?name=debian-12");
    let server =
        json!({ "imageRef": found["images"][0]["id"], "networks": [{ "uuid": loopback }] });
    let id = cloud.small("lost", &json!({ "server": server }));
    let failed = cloud.server(&id, "ERROR");
    let why = failed["fault"]["message"].as_str().expect("a message");
    assert!(why.contains("is its own loopback"), "{why}");

    // Floating IPs are where the host is on the network that leads out.
    let external = cloud.get("/network/v2.0/networks?name=public")["networks"][0].clone();
    let subnet = external["subnets"][0].as_str().expect("a subnet");
    let subnet = cloud.get(&format!("/network/v2.0/subnets/{subnet}"))["subnet"].clone();
    assert_eq!(subnet["cidr"], "10.90.0.0/24");
    assert_eq!(subnet["gateway_ip"], "10.90.0.1");
    let floating = json!({ "floating_network_id": external["id"] });
    let floating = cloud.done(
        "POST",
        "/network/v2.0/floatingips",
        &json!({ "floatingip": floating }),
    );
    assert_eq!(floating["floatingip"]["floating_ip_address"], "10.90.0.10");
}

#[test]
fn servers_of_a_group_are_kept_apart_until_no_host_is_left() {
    let (_folder, _lab, cloud) = lab();
    let group = json!({ "name": "apart", "policy": "anti-affinity" });
    let group = cloud.make("/compute/v2.1/os-server-groups", "server_group", &group);
    let hints = json!({ "os:scheduler_hints": { "group": group } });
    let mut hosts = Vec::new();
    for number in 1..=3 {
        let server = cloud.small(&format!("web-{number}"), &hints);
        hosts.push(cloud.server(&server, "ACTIVE")["hostId"].clone());
    }
    hosts.sort_by_key(ToString::to_string);
    hosts.dedup();
    assert_eq!(hosts.len(), 3);
    let fourth = cloud.small("web-4", &hints);
    let failed = cloud.server(&fourth, "ERROR");
    let why = failed["fault"]["message"].as_str().expect("a fault");
    assert!(why.starts_with("No valid host was found."), "{why}");
    let shown = cloud.get(&format!("/compute/v2.1/os-server-groups/{group}"));
    assert_eq!(
        shown["server_group"]["members"].as_array().map(Vec::len),
        Some(4)
    );
}

#[test]
fn a_spent_quota_is_told_as_each_service_tells_it() {
    let quotas = [("instances", 1), ("network", 1), ("gigabytes", 2)];
    let site = OpenStackSite {
        quotas: quotas
            .into_iter()
            .map(|(name, most)| (name.to_owned(), most))
            .collect(),
        ..OpenStackSite::default()
    };
    let (_folder, _lab, cloud) = lab_of(of_cloud(site));
    cloud.small("web", &Value::Null);
    let image = cloud.get("/image/v2/images")["images"][0]["id"].clone();
    let another = json!({ "server": { "name": "b", "flavorRef": "1", "imageRef": image, "networks": "none" } });
    let (status, why) = cloud.refused("POST", "/compute/v2.1/servers", &another);
    assert_eq!(
        (status, why.as_str()),
        (
            403,
            "Quota exceeded for instances: Requested 1, but already used 1 of 1 instances"
        )
    );
    cloud.make("/network/v2.0/networks", "network", &json!({ "name": "a" }));
    let (status, why) = cloud.refused(
        "POST",
        "/network/v2.0/networks",
        &json!({ "network": { "name": "b" } }),
    );
    assert_eq!(
        (status, why.as_str()),
        (409, "Quota exceeded for resources: ['network'].")
    );
    let path = format!("/volume/v3/{}/volumes", cloud.project);
    let (status, why) =
        cloud
            .of_volumes()
            .refused("POST", &path, &json!({ "volume": { "size": 3 } }));
    assert_eq!(status, 413);
    assert!(
        why.starts_with("VolumeSizeExceedsAvailableQuota: "),
        "{why}"
    );
}

#[test]
fn a_listing_comes_in_pages() {
    let (_folder, _lab, cloud) = lab();
    for number in 0..3 {
        cloud.make(
            "/network/v2.0/networks",
            "network",
            &json!({ "name": format!("n{number}") }),
        );
    }
    let first = cloud.get("/network/v2.0/networks?limit=2&router:external=False");
    assert_eq!(first["networks"].as_array().map(Vec::len), Some(2));
    let href = first["networks_links"][0]["href"].as_str().expect("a link");
    let path = href
        .find("/network/")
        .map(|at| &href[at..])
        .expect("a path");
    let second = cloud.get(path);
    assert_eq!(second["networks"].as_array().map(Vec::len), Some(1));
    assert!(second.get("networks_links").is_none());
    let (status, why) = cloud.refused("GET", "/network/v2.0/networks?marker=gone", &Value::Null);
    assert_eq!((status, why.as_str()), (400, "marker [gone] not found"));
}

#[test]
fn an_image_takes_its_bytes_once_and_gives_them_back() {
    let (_folder, _lab, cloud) = lab();
    let body = json!({ "name": "own", "disk_format": "raw", "container_format": "bare", "os_distro": "debian" });
    let made = cloud.done("POST", "/image/v2/images", &body);
    assert_eq!(made["status"], "queued");
    let path = format!("/image/v2/images/{}", made["id"].as_str().expect("an id"));
    let sent = cloud.send(&format!("{path}/file"), b"some bytes");
    assert_eq!(sent.status, 204, "{sent:?}");
    let image = cloud.get(&path);
    assert_eq!(
        (image["status"].as_str(), image["size"].as_i64()),
        (Some("active"), Some(10))
    );
    assert_eq!(image["checksum"], "9d0568469d206c1aedf1b71f12f474bc");
    assert_eq!(
        cloud
            .call("GET", &format!("{path}/file"), &Value::Null)
            .body,
        "some bytes"
    );
    assert_eq!(cloud.send(&format!("{path}/file"), b"others").status, 409);
    let patch = json!([{ "op": "replace", "path": "/name", "value": "renamed" }, { "op": "add", "path": "/a~1b", "value": "c" }]);
    let answer = cloud.call("PATCH", &path, &patch);
    assert_eq!(
        (
            answer.value()["name"].as_str(),
            answer.value()["a/b"].as_str()
        ),
        (Some("renamed"), Some("c"))
    );
    let gone = json!([{ "op": "remove", "path": "/none" }]);
    assert_eq!(cloud.refused("PATCH", &path, &gone).0, 409);
}

#[test]
fn calls_meet_faults_and_what_is_under_way_fails_on_demand() {
    let (_folder, lab, cloud) = lab();
    let networks = "/network/v2.0/networks";
    lab.fault(&json!({ "call": { "kind": "too-many", "path": networks, "times": 1 } }));
    let answer = cloud.call("GET", networks, &Value::Null);
    assert_eq!(
        (answer.status, header(&answer, "retry-after").as_deref()),
        (429, Some("1"))
    );
    lab.fault(&json!({ "call": { "kind": "unavailable", "path": networks, "times": 1 } }));
    assert_eq!(cloud.call("GET", networks, &Value::Null).status, 503);
    lab.fault(&json!({ "call": { "kind": "unauthorized", "path": networks, "times": 1 } }));
    assert_eq!(cloud.call("GET", networks, &Value::Null).status, 401);
    lab.fault(&json!({ "call": { "kind": "reset-after", "method": "POST", "path": networks, "times": 1 } }));
    let body = json!({ "network": { "name": "made" } });
    cloud
        .try_call("POST", networks, &body)
        .expect_err("no answer");
    assert_eq!(
        cloud.get(&format!("{networks}?name=made"))["networks"]
            .as_array()
            .map(Vec::len),
        Some(1)
    );

    lab.fault(&json!({ "task": { "kind": "nova:build", "reason": "no luck", "times": 1 } }));
    let server = cloud.small("web", &Value::Null);
    assert_eq!(
        cloud.server(&server, "ERROR")["fault"]["message"],
        "no luck"
    );
    lab.fault(&json!({ "task": { "kind": "cinder:create", "reason": "no room", "times": 1 } }));
    let volumes = cloud.of_volumes();
    let below = format!("/volume/v3/{}", cloud.project);
    let volume = volumes.make(&format!("{below}/volumes"), "volume", &json!({ "size": 1 }));
    volumes.until(&format!("{below}/volumes/{volume}"), |answer| {
        answer["volume"]["status"] == "error"
    });
    let told = volumes.get(&format!("{below}/messages?resource_uuid={volume}"));
    assert_eq!(told["messages"][0]["user_message"], "no room");
}

#[test]
fn what_was_made_is_there_when_the_lab_is_taken_up_again() {
    let folder = tempfile::tempdir().expect("a folder");
    let place = folder.path().join("lab");
    let lab = Running::begin(&place, quick());
    let cloud = Cloud::of(&lab.written);
    let url = lab
        .written
        .openstack
        .clone()
        .expect("an OpenStack")
        .auth_url;
    let (network, _) = cloud.network("inside", "127.40.3.0/24");
    let server = cloud.small(
        "web",
        &json!({ "server": { "networks": [{ "uuid": network }] } }),
    );
    cloud.server(&server, "ACTIVE");
    lab.end();

    let lab = Running::told(&place, None, dmp_lab::More::default());

    assert_eq!(
        lab.written
            .openstack
            .clone()
            .expect("an OpenStack")
            .auth_url,
        url
    );
    assert_eq!(
        cloud.server(&server, "ACTIVE")["name"],
        "web",
        "the token holds as well"
    );
    lab.control().call("POST", "/lab/reset", "", b"");
    assert_eq!(
        cloud
            .call(
                "GET",
                &format!("/compute/v2.1/servers/{server}"),
                &Value::Null
            )
            .status,
        404
    );
    assert!(
        !cloud.get("/image/v2/images")["images"]
            .as_array()
            .expect("images")
            .is_empty()
    );
}

#[test]
fn a_server_is_a_guest_of_its_node_and_loses_its_power_like_one() {
    let (_folder, lab, cloud) = lab();
    let server = cloud.small("web", &Value::Null);
    cloud.server(&server, "ACTIVE");
    let guests = lab.client().get("/cluster/resources?type=vm").data();
    let is_it = |guest: &Value| guest["vmid"].as_u64().is_some_and(|vmid| vmid > 800_000);
    assert!(
        guests.as_array().expect("guests").iter().any(is_it),
        "{guests}"
    );

    lab.control()
        .json("POST", "/lab/machines/kill", &json!({ "machine": "web" }));

    cloud.server(&server, "SHUTOFF");
    cloud.done(
        "POST",
        &format!("/compute/v2.1/servers/{server}/action"),
        &json!({ "os-start": null }),
    );
    cloud.server(&server, "ACTIVE");
}

#[test]
fn a_lab_may_be_an_openstack_alone_and_counts_what_it_does_not_serve() {
    let site = Site {
        proxmox: false,
        ..quick()
    };
    let (_folder, lab, cloud) = lab_of(site);
    assert_eq!(lab.client().get("/version").status, 501);
    let (status, _) = cloud.refused("GET", "/network/v2.0/trunks", &Value::Null);
    assert_eq!(status, 501);
    let status = lab.control().call("GET", "/lab/status", "", b"").value();
    assert_eq!(status["not_served"]["GET /network/v2.0/trunks"], 1);
}

#[test]
fn an_administrator_sees_all_and_a_member_only_its_own() {
    let (_folder, lab, cloud) = lab();
    let admin = Cloud::admin(&lab.written);
    let network = cloud.make(
        "/network/v2.0/networks",
        "network",
        &json!({ "name": "own" }),
    );
    assert_eq!(
        admin.get(&format!("/network/v2.0/networks/{network}"))["network"]["name"],
        "own"
    );
    let other = admin.make(
        "/network/v2.0/networks",
        "network",
        &json!({ "name": "theirs" }),
    );
    let (status, why) = cloud.refused(
        "GET",
        &format!("/network/v2.0/networks/{other}"),
        &Value::Null,
    );
    assert_eq!(
        (status, why),
        (404, format!("Network {other} could not be found."))
    );
    let server = cloud.small("web", &Value::Null);
    cloud.server(&server, "ACTIVE");
    let shown = admin.get(&format!("/compute/v2.1/servers/{server}"));
    assert!(
        shown["server"]["OS-EXT-SRV-ATTR:host"]
            .as_str()
            .is_some_and(|host| host.starts_with("pve"))
    );
}

#[test]
fn a_volume_may_be_told_more_than_an_old_version_knows() {
    let (_folder, _lab, cloud) = lab();
    let below = format!("/volume/v3/{}/volumes", cloud.project);
    // As the command line sends it, in the first version.
    let body = json!({ "volume": { "size": 1, "name": "cli", "backup_id": null } });
    cloud.done("POST", &below, &body);
    let newer = json!({ "volume": { "size": 1, "colour": "red" } });
    let (status, why) = cloud.of_volumes().refused("POST", &below, &newer);
    assert_eq!(status, 400);
    assert!(why.contains("'colour' was unexpected"), "{why}");
}
