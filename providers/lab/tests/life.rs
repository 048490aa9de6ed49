//! The life of a guest through the API: made, changed, locked, cloned, destroyed; and what outlives the lab's process.

mod support;

use dmp_lab::Site;
use serde_json::{Value, json};
use support::{Client, FORM, Running, lab, quick};

const GUESTS: &str = "/nodes/pve1/qemu";

/// A lab whose tasks take a hundredth of their time, in a folder that lives as long as it.
/// Makes a machine of the template that every lab has.
fn cloned(client: &Client, vmid: u32, name: &str) {
    let answer = client.post(
        "/nodes/pve1/qemu/9000/clone",
        &format!("newid={vmid}&name={name}"),
    );
    assert_eq!(client.wait(&answer.data()), "OK");
}

fn config(client: &Client, vmid: u32) -> Value {
    client.get(&format!("{GUESTS}/{vmid}/config")).data()
}

#[test]
fn a_clone_has_an_identity_of_its_own_and_shares_the_template_s_disk() {
    let (_folder, lab) = lab();
    let client = lab.client();

    cloned(&client, 101, "web");

    let (template, clone) = (config(&client, 9000), config(&client, 101));
    assert_eq!(clone["name"], "web");
    for key in ["smbios1", "vmgenid", "net0"] {
        assert_ne!(template[key], clone[key], "{key}");
    }
    assert_eq!(
        clone["scsi0"],
        "shared:9000/base-9000-disk-0.qcow2/101/vm-101-disk-0.qcow2,size=4G"
    );
    let destroyed = client.delete(&format!("{GUESTS}/9000"));
    assert!(
        client
            .wait(&destroyed.data())
            .contains("is still in use by linked cloned")
    );
}

#[test]
fn what_a_running_machine_cannot_take_over_waits_for_its_stop() {
    let (_folder, lab) = lab();
    let client = lab.client();
    cloned(&client, 101, "web");
    client.wait(
        &client
            .post(&format!("{GUESTS}/101/status/start"), "")
            .data(),
    );

    client
        .put(&format!("{GUESTS}/101/config"), "cores=4&description=new")
        .data();

    assert_eq!(config(&client, 101)["cores"], 4);
    let current = client.get(&format!("{GUESTS}/101/config?current=1")).data();
    assert_eq!(
        (&current["cores"], &current["description"]),
        (&json!(1), &json!("new"))
    );
    client.wait(
        &client
            .post(&format!("{GUESTS}/101/status/reboot"), "")
            .data(),
    );
    let current = client.get(&format!("{GUESTS}/101/config?current=1")).data();
    assert_eq!(current["cores"], 4);
}

#[test]
fn a_change_with_an_old_digest_is_refused() {
    let (_folder, lab) = lab();
    let client = lab.client();
    cloned(&client, 101, "web");
    let digest = config(&client, 101)["digest"]
        .as_str()
        .expect("a digest")
        .to_owned();
    client
        .put(
            &format!("{GUESTS}/101/config"),
            &format!("description=one&digest={digest}"),
        )
        .data();

    let second = client.put(
        &format!("{GUESTS}/101/config"),
        &format!("description=two&digest={digest}"),
    );

    assert_eq!(
        (second.status, second.reason.as_str()),
        (500, "checksum mismatch (file change by other user?)")
    );
    assert_eq!(config(&client, 101)["description"], "one");
}

#[test]
fn a_drive_value_over_one_that_is_in_use_makes_a_new_disk_and_keeps_the_old_one_aside() {
    let (_folder, lab) = lab();
    let client = lab.client();
    cloned(&client, 101, "web");
    client
        .put(&format!("{GUESTS}/101/config"), "scsi1=shared%3A1")
        .data();
    let first = config(&client, 101)["scsi1"].clone();

    client
        .put(&format!("{GUESTS}/101/config"), "scsi1=shared%3A2")
        .data();

    let after = config(&client, 101);
    assert_ne!(after["scsi1"], first);
    assert_eq!(
        after["unused0"],
        first
            .as_str()
            .expect("a drive")
            .split(',')
            .next()
            .expect("a volume")
    );
    client
        .put(&format!("{GUESTS}/101/config"), "delete=unused0")
        .data();
    let left = client
        .get("/nodes/pve1/storage/shared/content?content=images&vmid=101")
        .data();
    assert_eq!(left.as_array().map(Vec::len), Some(3), "{left}");
}

#[test]
fn a_write_waits_for_the_task_that_holds_the_file() {
    let folder = tempfile::tempdir().expect("a folder");
    let slow = Site {
        speed: 10.0,
        ..Site::default()
    };
    let lab = Running::begin(&folder.path().join("lab"), slow);
    let client = lab.client();
    cloned(&client, 101, "web");

    let start = client
        .post(&format!("{GUESTS}/101/status/start"), "")
        .data();
    let changed = client.put(&format!("{GUESTS}/101/config"), "description=after");

    assert_eq!(changed.status, 200, "{changed:?}");
    assert_eq!(
        client
            .get(&format!(
                "/nodes/pve1/tasks/{}/status",
                start.as_str().expect("a task")
            ))
            .data()["status"],
        "stopped"
    );
}

#[test]
fn clones_onto_a_storage_with_a_lock_follow_one_another_and_the_last_ones_give_up() {
    let (_folder, lab) = lab();
    let client = lab.client();
    let clone = |vmid: u32| {
        client
            .post(
                "/nodes/pve1/qemu/9000/clone",
                &format!("newid={vmid}&full=1&storage=local-lvm"),
            )
            .data()
    };

    let tasks: Vec<_> = (101..125).map(clone).collect();

    let ends: Vec<_> = tasks.iter().map(|task| client.wait(task)).collect();
    assert_eq!(ends.first().map(String::as_str), Some("OK"));
    let late = "can't lock file '/var/lock/pve-manager/pve-storage-local-lvm' - got timeout";
    assert_eq!(ends.last().map(String::as_str), Some(late), "{ends:?}");
    let made = ends.iter().filter(|end| *end == "OK").count();
    let guests = client.get("/cluster/resources?type=vm").data();
    assert_eq!(
        guests.as_array().map(Vec::len),
        Some(made + 1),
        "what failed left no guest"
    );
}

#[test]
fn a_token_has_no_rights_until_a_rule_names_it() {
    let (_folder, lab) = lab();
    let client = lab.client();
    client.post("/access/users", "userid=eve%40pve").data();
    let made = client.post("/access/users/eve@pve/token/ci", "").data();
    let header = format!(
        "Authorization: PVEAPIToken=eve@pve!ci={}",
        made["value"].as_str().expect("a secret")
    );
    let eve = Client::of(&lab.written, &header);
    let path = format!("{GUESTS}/9000/config");
    assert_eq!(
        eve.get(&path).reason,
        "Permission check failed (/vms/9000, VM.Audit)"
    );
    assert_eq!(eve.get("/cluster/resources?type=vm").data(), json!([]));

    client
        .put(
            "/access/acl",
            "path=%2Fvms%2F9000&users=eve%40pve&roles=PVEVMUser",
        )
        .data();
    assert_eq!(eve.get(&path).status, 403);
    client
        .put(
            "/access/acl",
            "path=%2Fvms%2F9000&tokens=eve%40pve%21ci&roles=PVEVMUser",
        )
        .data();

    assert_eq!(eve.get(&path).status, 200);
    assert_eq!(
        eve.put(&path, "memory=4096").reason,
        "Permission check failed (/vms/9000, VM.Config.Memory)"
    );
    assert_eq!(
        eve.post(GUESTS, "vmid=300").reason,
        "Permission check failed"
    );
}

#[test]
fn an_upload_is_kept_and_a_wrong_checksum_is_found_by_the_task() {
    let (_folder, lab) = lab();
    let client = lab.client();
    let upload = |checksum: &str| {
        let body = format!(
            "--B\r\nContent-Disposition: form-data; name=\"content\"\r\n\r\niso\r\n\
             --B\r\nContent-Disposition: form-data; name=\"checksum-algorithm\"\r\n\r\nsha256\r\n\
             --B\r\nContent-Disposition: form-data; name=\"checksum\"\r\n\r\n{checksum}\r\n\
             --B\r\nContent-Disposition: form-data; name=\"filename\"; filename=\"seed.iso\"\r\n\r\nabc\r\n--B--\r\n"
        );
        let path = "/api2/json/nodes/pve1/storage/local/upload";
        client
            .call(
                "POST",
                path,
                "multipart/form-data; boundary=B",
                body.as_bytes(),
            )
            .data()
    };

    let wrong = client.wait(&upload(&"0".repeat(64)));
    assert!(wrong.starts_with("checksum mismatch"), "{wrong}");
    assert_eq!(
        client.get("/nodes/pve1/storage/local/content").data(),
        json!([])
    );

    let right = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    assert_eq!(client.wait(&upload(right)), "OK");
    let content = client
        .get("/nodes/pve1/storage/local/content?content=iso")
        .data();
    assert_eq!(
        (&content[0]["volid"], &content[0]["size"]),
        (&json!("local:iso/seed.iso"), &json!(3))
    );
    let path = "/nodes/pve1/storage/local/content/local:iso/seed.iso";
    assert_eq!(client.get(path).data()["size"], 3);
    // It is on that node alone.
    assert_eq!(
        client.get("/nodes/pve2/storage/local/content").data(),
        json!([])
    );
    let dropped = client.delete(path).data();
    assert!(
        !dropped.as_str().expect("a task").contains('/'),
        "{dropped}"
    );
    assert_eq!(client.wait(&dropped), "OK");
    assert_eq!(
        client.get("/nodes/pve1/storage/local/content").data(),
        json!([])
    );
}

#[test]
fn a_draft_of_networks_counts_once_it_is_applied() {
    let (_folder, lab) = lab();
    let client = lab.client();
    cloned(&client, 101, "web");
    client
        .post("/cluster/sdn/zones", "type=simple&zone=z1")
        .data();
    client.post("/cluster/sdn/vnets", "vnet=v1&zone=z1").data();
    client
        .put(&format!("{GUESTS}/101/config"), "net0=virtio%2Cbridge%3Dv1")
        .data();
    let start = || {
        client.wait(
            &client
                .post(&format!("{GUESTS}/101/status/start"), "")
                .data(),
        )
    };

    assert_eq!(start(), "bridge 'v1' does not exist");
    client.wait(&client.put("/cluster/sdn", "").data());

    assert_eq!(start(), "OK");
}

#[test]
fn a_json_body_with_true_is_as_good_as_a_form_with_1_and_yes_is_not() {
    let (_folder, lab) = lab();
    let client = lab.client();
    cloned(&client, 101, "web");
    let path = format!("/api2/json{GUESTS}/101/config");

    assert_eq!(
        client.json("PUT", &path, &json!({ "onboot": true })).status,
        200
    );
    assert_eq!(config(&client, 101)["onboot"], 1);

    let refused = client.call("PUT", &path, FORM, b"onboot=yes");
    assert_eq!(
        refused.value()["errors"],
        json!({ "onboot": "type check ('boolean') failed - got 'yes'" })
    );
}

#[test]
fn a_lab_that_is_taken_up_again_is_as_it_was_left_at_the_same_place() {
    let folder = tempfile::tempdir().expect("a folder");
    let place = folder.path().join("lab");
    let lab = Running::begin(&place, quick(1));
    let client = lab.client();
    cloned(&client, 101, "web");
    client.post("/pools", "poolid=p1").data();
    let (before, endpoints) = (config(&client, 101), lab.written.endpoints.clone());
    lab.end();

    let lab = Running::begin(&place, Site::default());

    let client = lab.client();
    assert_eq!(lab.written.endpoints, endpoints);
    assert_eq!(config(&client, 101), before);
    assert_eq!(client.get("/pools").data()[0]["poolid"], "p1");
}

#[test]
fn a_lab_that_runs_can_not_be_served_twice() {
    let folder = tempfile::tempdir().expect("a folder");
    let place = folder.path().join("lab");
    let _lab = Running::begin(&place, quick(1));
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let options = dmp_lab::LabOptions {
        folder: place,
        listen: "127.0.0.1:0".parse().expect("an address"),
        site: None,
        more: dmp_lab::More::default(),
        has_machines: false,
    };

    let second = runtime
        .block_on(dmp_lab::Lab::serve(options))
        .expect_err("a second one");

    assert_eq!(
        second.to_string(),
        format!(
            "this lab is served already, by process {}",
            std::process::id()
        )
    );
}

#[test]
fn a_guest_is_a_whole_system_by_what_its_disk_holds() {
    let folder = tempfile::tempdir().expect("a folder");
    let place = folder.path().join("lab");
    let root = |name: &str| dmp_lab::RootSite {
        name: name.into(),
        path: folder.path().to_owned(),
    };
    let lab = Running::begin(&place, quick(1));
    let client = lab.client();
    cloned(&client, 101, "before");
    lab.end();
    let more = dmp_lab::More {
        roots: vec![root("debian-13"), root("noble"), root("gone")],
        networks: Vec::new(),
    };
    let lab = Running::told(&place, None, more);
    let client = lab.client();
    let done = |answer: support::Answer| client.wait(&answer.data());

    cloned(&client, 102, "clone");
    let download = "content=import&filename=noble.qcow2&url=https%3A%2F%2Fexample.invalid%2Fx";
    let path = "/nodes/pve1/storage/shared/download-url";
    assert_eq!(done(client.post(path, download)), "OK");
    let form = "vmid=103&name=imported&scsi0=shared%3A0%2Cimport-from%3Dshared%3Aimport%2Fnoble.qcow2&boot=order%3Dscsi0";
    assert_eq!(done(client.post(GUESTS, form)), "OK");
    let form = "vmid=104&name=plain&scsi0=shared%3A1";
    assert_eq!(done(client.post(GUESTS, form)), "OK");
    let form = "newid=105&name=copy&full=1";
    assert_eq!(
        done(client.post(&format!("{GUESTS}/103/clone"), form)),
        "OK"
    );
    let form = "disk=scsi0&storage=local-lvm&delete=1";
    assert_eq!(
        done(client.post(&format!("{GUESTS}/105/move_disk"), form)),
        "OK"
    );

    let strength = |name: &str| lab.machine(name)["strength"].clone();
    for (name, expected) in [
        // What was made before the lab was told stays what it was.
        ("before", "process"),
        ("debian-13", "container"),
        ("clone", "container"),
        ("imported", "container"),
        ("plain", "process"),
        ("copy", "container"),
        // A name that no template had is one.
        ("gone", "container"),
    ] {
        assert_eq!(strength(name), expected, "{name}");
    }

    // An address that can only be its own loopback, and a root file system that is not where it was.
    let loopback = "ipconfig0=ip%3D127.30.0.5%2F24";
    client.put(&format!("{GUESTS}/102/config"), loopback).data();
    let ended = done(client.post(&format!("{GUESTS}/102/status/start"), ""));
    assert!(ended.contains("127.30.0.5 is its own loopback"), "{ended}");
    lab.end();
    let more = dmp_lab::More {
        roots: vec![dmp_lab::RootSite {
            name: "noble".into(),
            path: folder.path().join("nowhere"),
        }],
        networks: Vec::new(),
    };
    let lab = Running::told(&place, None, more);
    let client = lab.client();
    let ended = client.wait(
        &client
            .post(&format!("{GUESTS}/103/status/start"), "")
            .data(),
    );
    assert!(
        ended.contains("nowhere") && ended.contains("--root noble=PATH"),
        "{ended}"
    );
}

#[test]
fn a_guest_is_a_virtual_machine_by_the_disk_image_that_it_is_made_of() {
    let folder = tempfile::tempdir().expect("a folder");
    let image = support::disk_image(folder.path(), 6 << 30);
    let roots = ["debian-13", "noble"].map(|name| dmp_lab::RootSite {
        name: name.into(),
        path: image.clone(),
    });
    let more = dmp_lab::More {
        roots: roots.to_vec(),
        networks: Vec::new(),
    };
    let lab = Running::told(&folder.path().join("lab"), Some(quick(1)), more);
    let client = lab.client();
    let done = |answer: support::Answer| client.wait(&answer.data());

    cloned(&client, 101, "clone");
    let download = "content=import&filename=noble.qcow2&url=https%3A%2F%2Fexample.invalid%2Fx";
    let path = "/nodes/pve1/storage/shared/download-url";
    assert_eq!(done(client.post(path, download)), "OK");
    let form = "vmid=102&name=imported&scsi0=shared%3A0%2Cimport-from%3Dshared%3Aimport%2Fnoble.qcow2&boot=order%3Dscsi0";
    assert_eq!(done(client.post(GUESTS, form)), "OK");

    for name in ["debian-13", "clone", "imported"] {
        assert_eq!(lab.machine(name)["strength"], "vm", "{name}");
    }
    // Its disk is as large as that of the image, also where less was asked for.
    for vmid in [9000, 101, 102] {
        let drive = config(&client, vmid)["scsi0"].to_string();
        assert!(drive.contains("size=6G"), "{drive}");
    }

    // What the lab's virtual machines are not is refused in words.
    client
        .put(&format!("{GUESTS}/101/config"), "bios=ovmf")
        .data();
    let ended = done(client.post(&format!("{GUESTS}/101/status/start"), ""));
    assert!(
        ended.contains("boots virtual machines by SeaBIOS"),
        "{ended}"
    );
    let loopback = "ipconfig0=ip%3D127.30.0.5%2F24";
    client.put(&format!("{GUESTS}/102/config"), loopback).data();
    let ended = done(client.post(&format!("{GUESTS}/102/status/start"), ""));
    assert!(ended.contains("127.30.0.5 is its own loopback"), "{ended}");
}

#[test]
fn a_network_of_the_host_needs_an_address_with_a_prefix() {
    for given in [
        "vmbr0=10.90.0.1",
        "vmbr0=10.90.0.1/32",
        "vmbr0=127.0.0.1/8",
        "vmbr0",
        "=10.90.0.1/24",
    ] {
        assert!(given.parse::<dmp_lab::NetworkSite>().is_err(), "{given}");
    }
    let network: dmp_lab::NetworkSite = "vmbr0.20=10.90.0.1/24".parse().expect("one");
    assert_eq!(
        (network.bridge.as_str(), network.address.as_str()),
        ("vmbr0.20", "10.90.0.1/24")
    );
}
