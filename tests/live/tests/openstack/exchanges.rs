//! Exchanges with an OpenStack as they were recorded from a real one: requests that name objects of earlier answers, and what came
//! back. The live suite records them and looks whether they still hold; the lab is held against them.
//!
//! A line is one exchange: `name`, `method`, `service`, `path`, `body`; in path and body `{net/network/id}` stands for that member of
//! what the exchange `net` was answered. `until` says what is asked for again and again until it is so, `gone` until it is missing.

use std::collections::BTreeMap;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Map, Value as Json};

/// Where they are, below the workspace.
pub(crate) const FILE: &str = "tests/fixtures/openstack/exchanges.jsonl";

/// How long something takes at most to come about.
const PATIENCE: Duration = Duration::from_secs(60);

/// One exchange, as its line has it.
#[derive(Clone, Debug)]
pub(crate) struct Exchange(pub(crate) Json);

impl Exchange {
    pub(crate) fn text(&self, member: &str) -> &str {
        self.0[member].as_str().unwrap_or_default()
    }

    /// What the real one has answered: the status and the body.
    pub(crate) fn recorded(&self) -> (u64, &Json) {
        (
            self.0["status"].as_u64().unwrap_or_default(),
            &self.0["answer"],
        )
    }

    /// Whether an answer is the one that is waited for.
    fn is_what_was_waited_for(&self, status: u64, answer: &Json) -> bool {
        if self.0["gone"] == true {
            return status == 404;
        }
        match self.0["until"]["member"].as_str() {
            Some(member) => answer.pointer(member) == Some(&self.0["until"]["is"]),
            None => true,
        }
    }
}

/// All of them.
pub(crate) fn parse(text: &str) -> Vec<Exchange> {
    let line = |line: &str| Exchange(serde_json::from_str(line).expect("a line is JSON"));
    text.lines().map(line).collect()
}

/// The exchanges with one cloud, which has given its own ids.
pub(crate) struct Play<S> {
    send: S,
    answers: BTreeMap<String, Json>,
}

impl<S: FnMut(&Exchange, &str, &Json) -> (u64, Json)> Play<S> {
    /// `send` sends a request with this path and this body.
    pub(crate) fn with(send: S) -> Self {
        Self {
            send,
            answers: BTreeMap::new(),
        }
    }

    /// One exchange: the status and the body.
    pub(crate) fn exchange(&mut self, exchange: &Exchange) -> (u64, Json) {
        let path = self.filled(exchange.text("path"));
        let body = self.filled_within(&exchange.0["body"]);
        let until = Instant::now() + PATIENCE;
        loop {
            let (status, answer) = (self.send)(exchange, &path, &body);
            if exchange.is_what_was_waited_for(status, &answer) {
                let name = exchange.text("name").to_owned();
                self.answers.insert(name, answer.clone());
                return (status, answer);
            }
            assert!(
                Instant::now() < until,
                "{}: {answer:#}",
                exchange.text("name")
            );
            thread::sleep(Duration::from_millis(100));
        }
    }

    /// A text with ids in place of what stands for them.
    fn filled(&self, text: &str) -> String {
        let mut filled = String::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('{') {
            let (name, behind) = after.split_once('}').expect("it is closed");
            let (exchange, member) = name.split_once('/').expect("an exchange and a member");
            let answer = self.answers.get(exchange);
            let found = answer.and_then(|answer| answer.pointer(&format!("/{member}")));
            let found = found.and_then(Json::as_str);
            filled.push_str(before);
            filled.push_str(found.unwrap_or_else(|| panic!("nothing has answered `{name}`")));
            rest = behind;
        }
        filled + rest
    }

    fn filled_within(&self, body: &Json) -> Json {
        match body {
            Json::String(text) => Json::String(self.filled(text)),
            Json::Array(items) => items.iter().map(|item| self.filled_within(item)).collect(),
            Json::Object(members) => {
                let members = members.iter();
                let filled = members.map(|(name, it)| (name.clone(), self.filled_within(it)));
                Json::Object(filled.collect())
            }
            other => other.clone(),
        }
    }
}

/// What differs between an answer and the recorded one: the status, the words of a refusal, else the shape.
pub(crate) fn differences(exchange: &Exchange, status: u64, answer: &Json) -> Vec<String> {
    let (wanted_status, wanted) = exchange.recorded();
    let mut all = Vec::new();
    if wanted_status != status {
        all.push(format!("status {status} instead of {wanted_status}"));
    }
    if wanted_status >= 400 {
        let (wanted, found) = (without_ids(wanted), without_ids(answer));
        if wanted != found {
            all.push(format!("{found} instead of {wanted}"));
        }
        return all;
    }
    compare("", wanted, answer, &mut all);
    all.retain(|difference| !is_of_each_cloud(difference));
    all
}

/// Members that differ from cloud to cloud, and why.
const OF_EACH_CLOUD: &[(&str, &[&str])] = &[
    (
        "an extension of Neutron's that one has and the other has not",
        &[
            "dns_assignment",
            "dns_domain",
            "dns_name",
            "dns_publish_fixed_ip",
            "l2_adjacency",
            "port_forwardings",
            "is_default",
        ],
    ),
    (
        "there are no agents on a cloud on paper",
        &["availability_zones"],
    ),
    (
        "of the backend and of the file in it",
        &[
            "checksum",
            "os_hash_algo",
            "os_hash_value",
            "os_type",
            "stores",
            "service_uuid",
            "host_name",
        ],
    ),
    (
        "what a volume is told with at its create, and to whom",
        &[
            "updated_at",
            "os-vol-tenant-attr:tenant_id",
            "os-extended-snapshot-attributes:progress",
            "os-extended-snapshot-attributes:project_id",
        ],
    ),
    ("told to who may see it", &["qos_specs_id"]),
    ("a number of Neutron's database", &["standard_attr_id"]),
    (
        "what somebody has written about a type",
        &["volume_types[]/description"],
    ),
    (
        "one rule alone is told without them",
        &["security_group_rule/tags"],
    ),
];

/// Whether a difference is one of each cloud's own.
fn is_of_each_cloud(difference: &str) -> bool {
    let path = difference.split('`').nth(1).unwrap_or_default();
    let mut members = OF_EACH_CLOUD.iter().flat_map(|(_, members)| *members);
    members.any(|member| path.ends_with(&format!("/{member}")))
}

/// Every cloud gives ids of its own.
fn without_ids(json: &Json) -> String {
    let text = json.to_string();
    let is_id = |word: &str| {
        let plain = word.replace('-', "");
        plain.len() == 32 && plain.chars().all(|sign| sign.is_ascii_hexdigit())
    };
    let is_sign = |sign: char| sign.is_ascii_alphanumeric() || sign == '-';
    let mut kept = String::new();
    let mut word = String::new();
    for sign in text.chars().chain(['\n']) {
        if is_sign(sign) {
            word.push(sign);
            continue;
        }
        kept.push_str(if is_id(&word) { "ID" } else { &word });
        word.clear();
        kept.push(sign);
    }
    kept.trim_end().to_owned()
}

/// Members under which every name is data of its own.
const DATA: [&str; 3] = ["metadata", "extra_specs", "scheduler_hints"];

/// Compares shapes: members and kinds, through arrays by the members of all.
fn compare(path: &str, wanted: &Json, found: &Json, all: &mut Vec<String>) {
    match (wanted, found) {
        (Json::Object(wanted), Json::Object(found)) => {
            if DATA.iter().any(|name| path.ends_with(name)) {
                return;
            }
            for (name, value) in wanted {
                match found.get(name) {
                    Some(found) => compare(&format!("{path}/{name}"), value, found, all),
                    None => all.push(format!("`{path}/{name}` is missing")),
                }
            }
            for name in found.keys().filter(|name| !wanted.contains_key(*name)) {
                all.push(format!("`{path}/{name}` is not in the recording"));
            }
        }
        (Json::Array(wanted), Json::Array(found)) => {
            if wanted.is_empty() != found.is_empty() {
                all.push(format!(
                    "`{path}` has {} members instead of {}",
                    found.len(),
                    wanted.len()
                ));
            }
            let (wanted, found) = (merged(wanted), merged(found));
            compare(&format!("{path}[]"), &wanted, &found, all);
        }
        _ if kind(wanted) != kind(found) => {
            all.push(format!(
                "`{path}` is {} instead of {}",
                kind(found),
                kind(wanted)
            ));
        }
        _ => {}
    }
}

fn merged(items: &[Json]) -> Json {
    let mut merged: Map<String, Json> = Map::new();
    for (name, value) in items.iter().filter_map(Json::as_object).flatten() {
        let known = merged.get(name);
        // Of a member that only some have something in, that is what counts.
        if known.is_none_or(Json::is_null) {
            merged.insert(name.clone(), value.clone());
        }
    }
    Json::Object(merged)
}

fn kind(json: &Json) -> &'static str {
    match json {
        Json::Null => "null",
        Json::Bool(_) => "a bool",
        Json::Number(_) => "a number",
        Json::String(_) => "a text",
        Json::Array(_) => "a list",
        Json::Object(_) => "an object",
    }
}
