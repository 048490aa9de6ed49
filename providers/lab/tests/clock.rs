//! Clocks that are off on demand: what a node tells of the time then, whose tickets it takes, and which machines have a clock to shift.

mod support;

use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};
use support::{Client, FORM, Running, lab, quick};

/// An hour and some, in seconds.
const AHEAD: i64 = 4000;

/// How long a test may take between two looks at the time, in seconds.
const LONGEST: i64 = 120;

fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    i64::try_from(since.expect("after 1970").as_secs()).expect("it fits")
}

/// By how many seconds a time that was told is off, about.
fn off(told: &Value) -> i64 {
    let off = told.as_i64().expect("a time") - now();
    // To the nearest of those that are asked for.
    [0, AHEAD, -AHEAD]
        .into_iter()
        .find(|asked| (off - asked).abs() < LONGEST)
        .unwrap_or(off)
}

#[test]
fn a_node_tells_times_by_its_own_clock() {
    let (_folder, lab) = lab();
    let client = lab.client();
    lab.fault(&json!({ "node-clock": { "node": "pve2", "seconds": AHEAD } }));

    let told = |node: &str| client.get(&format!("/nodes/{node}/time")).data();
    assert_eq!(off(&told("pve1")["time"]), 0);
    assert_eq!(off(&told("pve2")["time"]), AHEAD);
    assert_eq!(told("pve2")["timezone"], "UTC");

    // A task begins and ends by the clock of the node that it runs on; how long it takes is no other.
    let answer = client.post("/nodes/pve2/qemu", "vmid=101&name=web&scsi0=local-lvm%3A1");
    let upid = answer.data();
    assert_eq!(client.wait(&upid), "OK");
    let tasks = client.get("/nodes/pve2/tasks").data();
    let task = &tasks.as_array().expect("tasks")[0];
    assert_eq!(task["upid"], upid);
    assert_eq!(
        (off(&task["starttime"]), off(&task["endtime"])),
        (AHEAD, AHEAD)
    );
    let answer = client.post("/nodes/pve2/qemu/101/snapshot", "snapname=s1");
    assert_eq!(client.wait(&answer.data()), "OK");
    let snapshots = client.get("/nodes/pve2/qemu/101/snapshot").data();
    assert_eq!(off(&snapshots[0]["snaptime"]), AHEAD);
    let volumes = client.get("/nodes/pve2/storage/local-lvm/content").data();
    assert_eq!(off(&volumes[0]["ctime"]), AHEAD);

    // Each node signs its answers with its own date.
    let date = |node: usize| {
        let answer = client.at(&lab.written, node).get("/version");
        let found = answer.headers.lines().find(|it| it.starts_with("date: "));
        found.expect("a date").to_owned()
    };
    let hour = |date: &str| date.rsplit(' ').nth(1).expect("a time")[..2].to_owned();
    assert_ne!(hour(&date(0)), hour(&date(1)), "{} {}", date(0), date(1));

    lab.control().call("DELETE", "/lab/faults", "", b"");
    assert_eq!(off(&told("pve2")["time"]), 0);
}

/// Logs in at a node, and returns a client with the ticket.
fn logged_in(lab: &Running, node: usize) -> Client {
    let nobody = Client::of(&lab.written, "").at(&lab.written, node);
    let form = format!("username=root%40pam&password={}", lab.written.password);
    let answer = nobody.call("POST", "/api2/json/access/ticket", FORM, form.as_bytes());
    let ticket = answer.data()["ticket"].as_str().expect("one").to_owned();
    Client::of(&lab.written, &format!("Cookie: PVEAuthCookie={ticket}"))
}

#[test]
fn a_ticket_of_a_node_whose_clock_is_ahead_is_of_the_future_elsewhere() {
    let (_folder, lab) = lab();
    lab.fault(&json!({ "node-clock": { "node": "pve2", "seconds": AHEAD } }));
    let reason = "permission denied - invalid PVE ticket";

    let there = logged_in(&lab, 1);
    assert_eq!(there.at(&lab.written, 1).get("/nodes").status, 200);
    let answer = there.at(&lab.written, 0).get("/nodes");
    assert_eq!((answer.status, answer.reason.as_str()), (401, reason));
    // Also where the node is asked by way of another.
    let answer = there.at(&lab.written, 1).get("/nodes/pve1/qemu");
    assert_eq!((answer.status, answer.reason.as_str()), (401, reason));

    // Four minutes are borne with, and one from the past holds for two hours.
    lab.fault(&json!({ "node-clock": { "node": "pve2", "seconds": 240 } }));
    let there = logged_in(&lab, 1);
    assert_eq!(there.at(&lab.written, 0).get("/nodes").status, 200);
    lab.fault(&json!({ "node-clock": { "node": "pve2", "seconds": -7100 } }));
    let there = logged_in(&lab, 1);
    assert_eq!(there.at(&lab.written, 0).get("/nodes").status, 200);
    lab.fault(&json!({ "node-clock": { "node": "pve2", "seconds": -7300 } }));
    let there = logged_in(&lab, 1);
    assert_eq!(there.at(&lab.written, 0).get("/nodes").status, 401);
}

#[test]
fn a_clock_is_off_as_the_seed_has_it_where_nothing_is_asked_for() {
    let drawn = |seed: u64| {
        let folder = tempfile::tempdir().expect("a folder");
        let lab = Running::begin(&folder.path().join("lab"), quick(seed));
        for node in ["pve1", "pve2", "pve3"] {
            lab.fault(&json!({ "node-clock": { "node": node } }));
        }
        let faults = lab.control().call("GET", "/lab/faults", "", b"").value();
        faults["node_clocks"].clone()
    };

    let first = drawn(7);

    let all = first.as_object().expect("clocks");
    assert_eq!(all.len(), 3);
    assert!(
        all.values()
            .all(|off| (60..=3600).contains(&off.as_i64().expect("seconds").abs())),
        "{first}"
    );
    assert_eq!(first, drawn(7));
    assert_ne!(first, drawn(8));
}

#[test]
fn only_a_virtual_machine_has_a_clock_of_its_own() {
    let folder = tempfile::tempdir().expect("a folder");
    let image = support::disk_image(folder.path(), 1 << 30);
    let more = dmp_lab::More {
        roots: vec![
            dmp_lab::RootSite {
                name: "virtual".into(),
                path: image,
            },
            dmp_lab::RootSite {
                name: "contained".into(),
                path: folder.path().to_owned(),
            },
        ],
        networks: Vec::new(),
    };
    let lab = Running::told(&folder.path().join("lab"), Some(quick(1)), more);
    let client = lab.client();
    for (name, vmid) in [("debian-13", 101), ("virtual", 102), ("contained", 103)] {
        let template = lab.machine(name)["vmid"].clone();
        let path = format!("/nodes/pve1/qemu/{template}/clone");
        let answer = client.post(&path, &format!("newid={vmid}"));
        assert_eq!(client.wait(&answer.data()), "OK");
    }
    let fault = |fault: Value| {
        let answer = lab.control().json("POST", "/lab/faults", &fault);
        (answer.status, answer.value()["error"].to_string())
    };

    for (vmid, strength) in [(101, "process"), (103, "container")] {
        let (status, error) = fault(json!({ "clock": { "machine": vmid, "seconds": 60 } }));
        assert_eq!(status, 400);
        assert!(
            error.contains("has no clock of its own") && error.contains(strength),
            "{error}"
        );
    }
    assert_eq!(
        fault(json!({ "clock": { "machine": 102, "seconds": -60 } })).0,
        200
    );
    let faults = || lab.control().call("GET", "/lab/faults", "", b"").value();
    assert_eq!(faults()["clocks"], json!({ "102": -60 }));
    assert_eq!(
        fault(json!({ "clock": { "machine": 102, "seconds": 0 } })).0,
        200
    );
    assert_eq!(faults()["clocks"], json!({}));

    // What is no clock, or no fault, is refused.
    for wrong in [
        json!({ "node-clock": { "node": "pve9", "seconds": 1 } }),
        json!({ "node-clock": { "node": "pve1", "seconds": 400_000_000 } }),
        json!({ "clock": { "machine": "nobody" } }),
        json!({ "clock": { "machine": 102, "minutes": 1 } }),
    ] {
        assert_eq!(fault(wrong.clone()).0, 400, "{wrong}");
    }
}
