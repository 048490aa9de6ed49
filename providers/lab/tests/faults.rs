//! What goes wrong on demand, as a client sees it.

mod support;

use std::time::{Duration, Instant};

use serde_json::json;
use support::{Client, Running, lab, quick};

fn has_pool(client: &Client, name: &str) -> bool {
    client
        .get("/pools")
        .data()
        .as_array()
        .is_some_and(|pools| pools.iter().any(|pool| pool["poolid"] == name))
}

#[test]
fn a_connection_ends_before_or_after_the_write_took_effect() {
    let (_folder, lab) = lab();
    let client = lab.client();
    let add = |name: &str| {
        client.try_call(
            "POST",
            "/api2/json/pools",
            support::FORM,
            format!("poolid={name}").as_bytes(),
        )
    };

    lab.fault(&json!({ "call": { "kind": "reset-before", "method": "POST", "times": 1 } }));
    add("before").expect_err("no answer");
    lab.fault(&json!({ "call": { "kind": "reset-after", "method": "POST", "times": 1 } }));
    add("after").expect_err("no answer");

    assert!(!has_pool(&client, "before"));
    assert!(has_pool(&client, "after"));
    assert_eq!(add("third").expect("an answer").status, 200);
}

#[test]
fn a_596_comes_while_the_work_goes_on() {
    let (_folder, lab) = lab();
    let client = lab.client();
    lab.fault(&json!({ "call": { "kind": "proxy-timeout", "path": "/pools", "times": 1 } }));

    let answer = client.post("/pools", "poolid=late");

    assert_eq!(
        (answer.status, answer.reason.as_str(), answer.body.as_str()),
        (596, "Connection timed out", "")
    );
    assert!(has_pool(&client, "late"));
}

#[test]
fn calls_are_answered_late_or_with_5xx_and_429() {
    let (_folder, lab) = lab();
    let client = lab.client();
    lab.fault(&json!([
        { "call": { "kind": "server-error", "times": 1 } },
        { "call": { "kind": "unavailable", "times": 1, "after": 0 } },
    ]));
    assert_eq!(client.get("/version").status, 500);
    lab.control().call("DELETE", "/lab/faults", "", b"");
    lab.fault(&json!({ "call": { "kind": "too-many", "times": 1 } }));
    let answer = client.get("/version");
    assert_eq!(answer.status, 429);
    assert!(answer.headers.contains("retry-after: 1"), "{answer:?}");
    lab.fault(&json!({ "call": { "kind": "latency", "milliseconds": 150, "times": 1 } }));
    let start = Instant::now();
    assert_eq!(client.get("/version").status, 200);
    assert!(start.elapsed() >= Duration::from_millis(150));
    lab.fault(&json!({ "call": { "kind": "lost-lock", "times": 1 } }));
    let answer = client.put("/nodes/pve1/qemu/9000/config", "description=x");
    assert_eq!(
        answer.reason,
        "can't lock file '/var/lock/qemu-server/lock-9000.conf' - got timeout"
    );
    assert_eq!(
        client
            .put("/nodes/pve1/qemu/9000/config", "description=x")
            .status,
        200
    );
}

#[test]
fn a_node_that_is_down_answers_nobody_and_the_others_answer_595_for_it() {
    let (_folder, lab) = lab();
    let client = lab.client();
    lab.fault(&json!({ "node-down": "pve2" }));

    assert!(
        client
            .at(&lab.written, 1)
            .try_call("GET", "/api2/json/version", "", b"")
            .is_err()
    );
    let answer = client.get("/nodes/pve2/qemu");
    assert_eq!((answer.status, answer.body.as_str()), (595, ""));
    let nodes = client.get("/nodes").data();
    let told = nodes
        .as_array()
        .expect("nodes")
        .iter()
        .find(|node| node["node"] == "pve2")
        .expect("pve2");
    assert_eq!(told["status"], "offline");
    assert_eq!(
        client.post("/pools", "poolid=p").status,
        200,
        "two of three are a majority"
    );

    lab.fault(&json!({ "node-down": "pve3" }));
    assert_eq!(
        client.post("/pools", "poolid=q").reason,
        "create pool failed: cfs-lock 'file-user_cfg' error: no quorum!"
    );
    assert_eq!(
        client.get("/nodes/pve1/qemu/9000/config").status,
        200,
        "reads go on"
    );
    lab.fault(&json!({ "node-up": "pve2" }));
    assert_eq!(client.at(&lab.written, 1).get("/version").status, 200);
}

#[test]
fn tasks_fail_and_leave_nothing_half_made() {
    let (_folder, lab) = lab();
    let client = lab.client();
    lab.fault(&json!({ "task": { "kind": "qmclone", "reason": "no luck", "times": 1 } }));
    let clone = || {
        client.wait(
            &client
                .post("/nodes/pve1/qemu/9000/clone", "newid=101")
                .data(),
        )
    };

    assert_eq!(clone(), "no luck");
    assert_eq!(client.get("/nodes/pve1/qemu/101/config").status, 500);
    assert_eq!(clone(), "OK");
}

#[test]
fn a_full_storage_takes_nothing_more() {
    let (_folder, lab) = lab();
    let client = lab.client();
    lab.fault(&json!({ "full": "local-lvm" }));

    let end = client.wait(
        &client
            .post(
                "/nodes/pve1/qemu/9000/clone",
                "newid=101&full=1&storage=local-lvm",
            )
            .data(),
    );

    assert!(end.contains("no space left"), "{end}");
    let status = client.get("/nodes/pve1/storage/local-lvm/status").data();
    assert_eq!(status["avail"], 0);
}

#[test]
fn a_machine_that_hangs_has_no_agent_and_no_clean_end() {
    let (_folder, lab) = lab();
    let client = lab.client();
    client.wait(
        &client
            .post("/nodes/pve1/qemu/9000/clone", "newid=101")
            .data(),
    );
    client.wait(&client.post("/nodes/pve1/qemu/101/status/start", "").data());
    std::thread::sleep(Duration::from_millis(200));
    assert_eq!(
        client.post("/nodes/pve1/qemu/101/agent/ping", "").status,
        200
    );

    lab.fault(&json!({ "hang": 101 }));

    assert_eq!(
        client.post("/nodes/pve1/qemu/101/agent/ping", "").reason,
        "QEMU guest agent is not running"
    );
    let end = client.wait(
        &client
            .post("/nodes/pve1/qemu/101/status/shutdown", "timeout=5")
            .data(),
    );
    assert_eq!(end, "VM quit/powerdown failed - got timeout");
    assert_eq!(
        client.wait(&client.post("/nodes/pve1/qemu/101/status/stop", "").data()),
        "OK"
    );
}

#[test]
fn the_cluster_s_list_is_as_old_as_is_asked_for() {
    let (_folder, lab) = lab();
    let client = lab.client();
    lab.fault(&json!({ "stale": 60 }));
    client.wait(
        &client
            .post("/nodes/pve1/qemu/9000/clone", "newid=101&name=new")
            .data(),
    );

    std::thread::sleep(Duration::from_millis(300));

    let guests = client.get("/cluster/resources?type=vm").data();
    let guest = guests
        .as_array()
        .expect("guests")
        .iter()
        .find(|guest| guest["vmid"] == 101)
        .expect("the clone");
    assert_eq!(
        (&guest["status"], guest.get("name")),
        (&json!("unknown"), None)
    );
}

#[test]
fn the_same_seed_hits_the_same_calls_and_another_hits_others() {
    let hit = |seed: u64| {
        let folder = tempfile::tempdir().expect("a folder");
        let lab = Running::begin(&folder.path().join("lab"), quick(seed));
        lab.fault(&json!({ "call": { "kind": "unavailable", "percent": 30 } }));
        let client = lab.client();
        (0..30)
            .map(|_| client.get("/version").status == 503)
            .collect::<Vec<_>>()
    };

    let first = hit(7);

    assert!(first.contains(&true) && first.contains(&false));
    assert_eq!(first, hit(7));
    assert_ne!(first, hit(8));
}

#[test]
fn faults_come_from_a_file_too() {
    let (folder, lab) = lab();
    std::fs::write(
        folder.path().join("lab/faults.json"),
        r#"[{"no-quorum": true}]"#,
    )
    .expect("written");
    let client = lab.client();
    let deadline = Instant::now() + Duration::from_secs(5);
    while client.get("/cluster/status").data()[0]["quorate"] == 1 {
        assert!(Instant::now() < deadline, "the file is not read");
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(
        client
            .post("/nodes/pve1/qemu/9000/clone", "newid=101")
            .status,
        500
    );
}

#[test]
fn the_lab_s_own_calls_take_its_key() {
    let (_folder, lab) = lab();
    let answer = lab
        .client()
        .json("POST", "/lab/faults", &json!({ "no-quorum": true }));
    assert_eq!(answer.status, 401);
    let answer = lab
        .control()
        .json("POST", "/lab/faults", &json!({ "no-such": true }));
    assert_eq!(
        (answer.status, answer.value()),
        (400, json!({ "error": "there is no fault `no-such`" }))
    );
}
