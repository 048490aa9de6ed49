//! Exchanges recorded from a real daemon, replayed against the lab: status, reason, shape of the body and error text agree.
//!
//! The recordings are no part of this repository: `shared/proxmox/recorded-9.1.jsonl.gz` in a folder above it. Where there
//! are none the test says so.

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use dmp_lab::{NodeSite, Site, StorageSite};
use serde_json::{Value, json};
use support::{Answer, Client, FORM, Running};

/// What differs on purpose, by line of the recording, and why. It is not sent.
const DIFFERENT: &[(usize, &str)] = &[(
    175,
    "high availability is not served, so nothing keeps this guest from being destroyed",
)];

/// The call that won when three were made at once; in the recording it is answered last.
const WINNER: usize = 201;
const LOSER: usize = 199;

/// Whole answers are compared, but for these members, which the lab has more or less of by its nature.
const OPTIONAL: &[&str] = &[
    "tags",
    "lock",
    "pool",
    "diskread",
    "diskwrite",
    "template",
    "hastate",
];

fn recording() -> Option<PathBuf> {
    let above = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().skip(1);
    above
        .map(|folder| folder.join("shared/proxmox/recorded-9.1.jsonl.gz"))
        .find(|path| path.exists())
}

fn site() -> Site {
    let node = |number: u32| NodeSite {
        name: format!("pvec{number}"),
        address: format!("192.0.2.{}", 10 + number),
        cores: 2,
        memory_gib: 24,
        bridges: vec!["vmbr0".into()],
    };
    let storage = |name: &str, shared: bool, content: &[&str]| StorageSite {
        name: name.into(),
        kind: "dir".into(),
        content: content.iter().map(|word| (*word).to_owned()).collect(),
        shared,
        size_gib: 250,
    };
    Site {
        cluster: "lab".into(),
        seed: 1,
        speed: 10.0,
        nodes: (1..=3).map(node).collect(),
        storages: vec![
            storage(
                "shr",
                true,
                &[
                    "vztmpl", "rootdir", "images", "backup", "import", "iso", "snippets",
                ],
            ),
            storage(
                "local",
                false,
                &["snippets", "iso", "backup", "images", "rootdir", "vztmpl"],
            ),
        ],
        templates: Vec::new(),
        ..Site::default()
    }
}

/// A replay under way: what stands in it for secrets, tasks and digests of the recording.
struct Replay {
    lab: Running,
    root: Vec<String>,
    token: Option<String>,
    /// Tasks of the recording, and those of the lab that stand for them.
    tasks: BTreeMap<String, String>,
    digests: BTreeMap<String, String>,
}

impl Replay {
    fn begin(folder: &Path) -> Replay {
        let lab = Running::begin(folder, site());
        let client = Client::of(&lab.written, "");
        let form = format!("username=root%40pam&password={}", lab.written.password);
        let data = client.post("/access/ticket", &form).data();
        let ticket = data["ticket"]
            .as_str()
            .expect("a ticket")
            .replace(':', "%3A")
            .replace('+', "%2B")
            .replace('=', "%3D");
        let csrf = data["CSRFPreventionToken"].as_str().expect("a token");
        let root = vec![
            format!("Cookie: PVEAuthCookie={ticket}"),
            format!("CSRFPreventionToken: {csrf}"),
        ];
        let replay = Replay {
            lab,
            root,
            token: None,
            tasks: BTreeMap::new(),
            digests: BTreeMap::new(),
        };
        replay.prepare();
        replay
    }

    /// Makes what was there before the recording began.
    fn prepare(&self) {
        let client = self.client(1, "ticket");
        let make = |node: u32, vmid: u32, more: &str| {
            let answer = client.post(
                &format!("/nodes/pvec{node}/qemu"),
                &format!("vmid={vmid}&memory=64&{more}"),
            );
            assert_eq!(client.wait(&answer.data()), "OK");
        };
        make(2, 100, "name=r2");
        make(1, 101, "name=r1");
        make(3, 102, "name=race");
        make(2, 510, "name=tokname&scsi0=local%3A1,format%3Draw");
        make(1, 600, "name=g600");
        make(1, 777, "name=q");
        for (zone, vnet) in [("z1", "vn1"), ("z2", "vn9")] {
            client
                .post(
                    "/cluster/sdn/zones",
                    &format!("type=simple&zone={zone}&ipam=pve"),
                )
                .data();
            client
                .post("/cluster/sdn/vnets", &format!("vnet={vnet}&zone={zone}"))
                .data();
        }
        client.wait(&client.put("/cluster/sdn", "").data());
        client.post("/access/users", "userid=dmp%40pve");
    }

    fn client(&self, node: usize, auth: &str) -> Client {
        let mut client = Client::of(&self.lab.written, "").at(&self.lab.written, node - 1);
        client.headers = match auth {
            "none" => Vec::new(),
            "ticket" => self.root.clone(),
            "ticket, no CSRF" => self.root[..1].to_vec(),
            "bad token" => vec![
                "Authorization: PVEAPIToken=dmp@pve!ci=00000000-0000-0000-0000-000000000000".into(),
            ],
            _ => vec![format!(
                "Authorization: PVEAPIToken={}",
                self.token.as_deref().unwrap_or_default()
            )],
        };
        client
    }

    /// What happened to the recorded cluster outside its API.
    fn events(&self, line: usize) {
        match line {
            // The machine's disk holds no system.
            77 => self.lab.fault(&json!({ "hang": 700 })),
            216 => self.lab.fault(&json!({ "node-down": "pvec2" })),
            221 => self.lab.fault(&json!({ "no-quorum": true })),
            _ => {}
        }
    }

    fn send(&self, exchange: &Value) -> Answer {
        let node: usize = text(&exchange["node"])
            .trim_start_matches("pvec")
            .parse()
            .expect("a node");
        let client = self.client(node, &text(&exchange["auth"]));
        let (path, mut body) = (
            self.own(&text(&exchange["url"])),
            text(&exchange["request_body"]),
        );
        body = self
            .own(&body)
            .replace("<password>", &self.lab.written.password);
        for (old, new) in &self.digests {
            body = body.replace(old, new);
        }
        let kind = text(&exchange["content_type"]);
        if body.starts_with("<multipart") {
            let (kind, body) = upload(&text(&exchange["note"]), exchange);
            return client.call(&text(&exchange["method"]), &path, &kind, &body);
        }
        let kind = if kind.is_empty() && !body.is_empty() {
            FORM.to_owned()
        } else {
            kind
        };
        client.call(&text(&exchange["method"]), &path, &kind, body.as_bytes())
    }

    /// Puts the lab's tasks for those of the recording.
    fn own(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for (old, new) in &self.tasks {
            text = text
                .replace(
                    &old.replace(':', "%3A")
                        .replace('@', "%40")
                        .replace('!', "%21"),
                    new,
                )
                .replace(old, new);
        }
        text
    }

    /// Asks again until a task is where the recorded one was.
    fn settled(&self, exchange: &Value) -> Answer {
        let wanted = &exchange["response"]["data"]["status"];
        let is_status = text(&exchange["url"]).ends_with("/status")
            && exchange["response"]["data"]["upid"].is_string();
        let deadline = Instant::now() + Duration::from_secs(20);
        loop {
            let answer = self.send(exchange);
            let is_early =
                is_status && wanted == "stopped" && answer.value()["data"]["status"] == "running";
            if !is_early || Instant::now() > deadline {
                return answer;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// Returns a body for an upload whose body was not recorded.
fn upload(_: &str, exchange: &Value) -> (String, Vec<u8>) {
    let recorded = exchange["response"].to_string();
    let (content, name, file): (&str, &str, Vec<u8>) = if recorded.contains("enumeration") {
        ("snippets", "a.yaml", b"x".to_vec())
    } else if recorded.contains("wrong file extension") {
        ("iso", "a.txt", b"x".to_vec())
    } else if text(&exchange["request_body"]).contains("196901") {
        let mut image = b"QFI\xfb\0\0\0\x03".to_vec();
        image.resize(24, 0);
        image.extend((8u64 << 20).to_be_bytes());
        image.resize(196_616, 0);
        ("import", "small.qcow2", image)
    } else {
        ("import", "bad.qcow2", vec![b'x'; 512])
    };
    let mut body = format!(
        "--BOUND\r\nContent-Disposition: form-data; name=\"content\"\r\n\r\n{content}\r\n\
         --BOUND\r\nContent-Disposition: form-data; name=\"filename\"; filename=\"{name}\"\r\n\r\n"
    )
    .into_bytes();
    body.extend(file);
    body.extend(b"\r\n--BOUND--\r\n");
    ("multipart/form-data; boundary=BOUND".into(), body)
}

/// Returns what differs between an answer and the recorded one.
fn differences(recorded: &Value, answer: &Answer) -> Vec<String> {
    let mut all = Vec::new();
    if recorded["status"] != json!(answer.status) {
        all.push(format!(
            "status {} instead of {}",
            answer.status, recorded["status"]
        ));
    }
    if recorded["reason"] != json!(answer.reason) && answer.status != 595 {
        all.push(format!(
            "reason `{}` instead of `{}`",
            answer.reason,
            text(&recorded["reason"])
        ));
    }
    let has_type = answer.headers.contains("content-type: application/json");
    if has_type == recorded["response_type"].is_null() {
        all.push(format!(
            "type of the body: {}",
            answer.headers.replace("\r\n", "; ")
        ));
    }
    let (wanted, found) = (&recorded["response"], answer.value());
    if answer.status >= 400 {
        if *wanted != found {
            all.push(format!("error {found} instead of {wanted}"));
        }
        return all;
    }
    compare("", wanted, &found, &mut all);
    all
}

/// Compares shapes: members and types, through arrays by the union of their members' members.
fn compare(path: &str, wanted: &Value, found: &Value, all: &mut Vec<String>) {
    match (wanted, found) {
        (Value::Object(wanted), Value::Object(found)) => {
            // Under these names every key is data of its own.
            if path.ends_with("/cap") || path.ends_with("/nics") {
                return;
            }
            for (key, value) in wanted {
                match found.get(key) {
                    Some(found) => compare(&format!("{path}/{key}"), value, found, all),
                    None if OPTIONAL.contains(&key.as_str()) => {}
                    None => all.push(format!("`{path}/{key}` is missing")),
                }
            }
            for key in found.keys().filter(|key| !wanted.contains_key(*key)) {
                if !OPTIONAL.contains(&key.as_str()) {
                    all.push(format!("`{path}/{key}` is not in the recording"));
                }
            }
        }
        (Value::Array(wanted), Value::Array(found)) => {
            if wanted.is_empty() != found.is_empty() {
                all.push(format!(
                    "`{path}` has {} members instead of {}",
                    found.len(),
                    wanted.len()
                ));
            }
            // Members that are told apart by a key are compared one by one.
            let merged = |values: &[Value]| {
                let mut merged = serde_json::Map::new();
                for value in values.iter().filter_map(Value::as_object) {
                    match value.get("key").and_then(Value::as_str) {
                        Some(key) => {
                            merged.insert(key.to_owned(), json!(value));
                        }
                        None => merged.extend(value.clone()),
                    }
                }
                Value::Object(merged)
            };
            compare(&format!("{path}[]"), &merged(wanted), &merged(found), all);
        }
        _ => {
            let kind = |value: &Value| match value {
                Value::Null => "null",
                Value::Bool(_) => "boolean",
                Value::Number(_) => "number",
                Value::String(_) => "string",
                Value::Array(_) => "array",
                Value::Object(_) => "object",
            };
            if kind(wanted) != kind(found) {
                all.push(format!(
                    "`{path}` is {} instead of {}",
                    kind(found),
                    kind(wanted)
                ));
            }
        }
    }
}

#[test]
#[expect(
    clippy::print_stderr,
    reason = "a test that was left out says so, and one that counts says what"
)]
fn recorded_exchanges_go_the_same_way() {
    let Some(path) = recording() else {
        eprintln!("SKIPPED: there are no recorded exchanges");
        return;
    };
    let mut lines = String::new();
    let file = std::fs::File::open(path).expect("the recording");
    flate2::read::GzDecoder::new(file)
        .read_to_string(&mut lines)
        .expect("text");
    let folder = tempfile::tempdir().expect("a folder");
    let mut replay = Replay::begin(&folder.path().join("lab"));
    let (mut agree, mut not_served, mut on_purpose) = (0, BTreeSet::new(), 0);
    let mut troubles = Vec::new();
    let mut all: Vec<(usize, &str)> = (1..).zip(lines.lines()).collect();
    let winner = all.remove(WINNER - 1);
    all.insert(LOSER - 1, winner);
    for (number, line) in all {
        if DIFFERENT.iter().any(|(other, _)| *other == number) {
            on_purpose += 1;
            continue;
        }
        let exchange: Value = serde_json::from_str(line).expect("JSON");
        replay.events(number);
        let answer = replay.settled(&exchange);
        let (data, recorded) = (&answer.value()["data"], &exchange["response"]["data"]);
        if let (Some(own), Some(other)) = (data.as_str(), recorded.as_str())
            && other.starts_with("UPID:")
        {
            replay.tasks.insert(other.to_owned(), own.to_owned());
        }
        if let (Some(own), Some(other)) = (data["digest"].as_str(), recorded["digest"].as_str()) {
            replay.digests.insert(other.to_owned(), own.to_owned());
        }
        if let Some(secret) = data["value"]
            .as_str()
            .filter(|_| data["full-tokenid"].is_string())
        {
            replay.token = Some(format!("{}={secret}", text(&data["full-tokenid"])));
        }
        let name = format!(
            "{number} {} {}",
            text(&exchange["method"]),
            text(&exchange["url"])
        );
        if answer.status == 501 && exchange["status"] != 501 {
            not_served.insert(name);
            continue;
        }
        let differences = differences(&exchange, &answer);
        if differences.is_empty() {
            agree += 1;
        } else {
            troubles.push(format!("{name}\n    {}", differences.join("\n    ")));
        }
    }
    eprintln!(
        "{agree} agree, {} not served, {on_purpose} different on purpose, {} different",
        not_served.len(),
        troubles.len()
    );
    for name in &not_served {
        eprintln!("  not served: {name}");
    }
    for (line, why) in DIFFERENT {
        eprintln!("  different on purpose: {line}: {why}");
    }
    assert!(
        troubles.is_empty(),
        "{} differ:\n{}",
        troubles.len(),
        troubles.join("\n")
    );
}
