//! `kubeadm_node`: a worker, joined to a cluster.
//!
//! A join is minted a token on the control plane, which goes to the worker in memory. The node object's labels and
//! taints are those of the configuration; others on it are left alone, except those which dmp set before.

use std::collections::BTreeMap;
use std::time::Duration;

use dmp_sdk::{
    Answers, Attribute, Change, Diagnostic, Effect, Fetch, Job, Known, Layer, Machine, MarkWay,
    Object, Quantifier, Reading, Resource, Schema, Script, Step, Type, Value, Verb, Work,
};
use serde_json::Value as Json;

use super::machine;
use crate::config;
use crate::resources::cluster::reset;

/// The resource type.
#[derive(Debug)]
pub(crate) struct Node {
    schema: Schema,
}

impl Node {
    pub(crate) fn new() -> Self {
        Self { schema: schema() }
    }
}

fn schema() -> Schema {
    let taint = Type::object_of_optional([
        ("key", Type::String),
        ("value", Type::String),
        ("effect", Type::String),
    ]);
    Schema::new("kubeadm_node", "A worker of a cluster made by kubeadm.")
        .layer(Layer::Cluster)
        .mark(MarkWay::NaturalKey(&["host", "name"]))
        .on_delete("Drains the node, takes it out of the cluster, and resets the machine.")
        .attribute(
            "host",
            Attribute::required(Machine::value_type(), "Connection of the machine.")
                .hosting(Quantifier::All),
        )
        .attribute(
            "cluster",
            Attribute::required(
                Type::object_of_optional([
                    ("control_plane", Machine::value_type()),
                    ("endpoint", Type::String),
                    ("ca_hash", Type::String),
                ]),
                "The cluster's `join`.",
            ),
        )
        .attribute(
            "name",
            Attribute::required(Type::String, "Name of the node, mostly the machine's.")
                .replaces()
                .unique(),
        )
        .attribute(
            "node_ip",
            Attribute::optional(
                Type::String,
                "The address that the machine has itself, where it is reached at another one, such as a floating IP.",
            )
            .replaces(),
        )
        .attribute(
            "labels",
            Attribute::optional(Type::map(Type::String), "Labels of the node object."),
        )
        .attribute(
            "taints",
            Attribute::optional(
                Type::list(taint),
                "Taints of the node object: `key`, `value`, `effect`.",
            )
            .block(),
        )
        .attribute(
            "ignored_preflight_errors",
            Attribute::optional(
                Type::list(Type::String),
                "Preflight checks of kubeadm whose errors are only warnings.",
            ),
        )
        .attribute(
            "cri_socket",
            Attribute::default(
                Type::String,
                "Socket of the container runtime.",
                "unix:///run/containerd/containerd.sock",
            ),
        )
}

fn control_plane(value: &Value) -> Result<Machine, Diagnostic> {
    machine(&value.get("cluster").get("control_plane"), "cluster")
}

fn name(value: &Value) -> String {
    value.get("name").as_str().unwrap_or_default().to_owned()
}

impl Resource for Node {
    fn schema(&self) -> &Schema {
        &self.schema
    }

    fn fetches(&self, known: &Known<'_>) -> Result<Vec<Fetch>, Diagnostic> {
        let attributes = known.attributes;
        let is_known = ["host", "name"]
            .iter()
            .all(|name| attributes.get(name).is_wholly_known());
        if !is_known {
            return Ok(Vec::new());
        }
        let host = machine(&attributes.get("host"), "host")?;
        let observe = Fetch::Script {
            on: host,
            script: Script::new(include_str!("../scripts/observe.sh")),
        };
        // Before there is a cluster there is nobody to ask for the node.
        if !attributes.get("cluster").is_wholly_known() {
            return Ok(vec![observe]);
        }
        let script = Script::new(include_str!("../scripts/node.sh")).var("node", name(attributes));
        Ok(vec![
            observe,
            Fetch::Script {
                on: control_plane(attributes)?,
                script,
            },
        ])
    }

    fn parse(&self, known: &Known<'_>, answers: Answers<'_>) -> Result<Reading, Diagnostic> {
        let text = answers.output(0)?.text();
        let (word, hash) = text.trim().split_once(' ').unwrap_or((text.trim(), "-"));
        let cluster = known.attributes.get("cluster");
        let ours = cluster.get("ca_hash");
        let node: Json = match answers.len() {
            1 => Json::Null,
            _ => {
                let output = answers.output(1)?;
                if !output.is_success() {
                    return Err(
                        Diagnostic::remote("no-api", "the cluster's API does not answer")
                            .cause(output.stderr.trim().to_owned()),
                    );
                }
                serde_json::from_slice(&output.stdout).unwrap_or(Json::Null)
            }
        };
        let is_ours = ours.as_str().is_some_and(|ours| ours == hash);
        Ok(match (word, is_ours, node.is_null()) {
            ("joined", true, false) => Reading::Found(Object {
                attributes: with_node(known.attributes, &node),
                id: None,
            }),
            ("joined", true, true) => Reading::HalfMade(
                Object {
                    attributes: known.attributes.clone(),
                    id: None,
                },
                "the machine has joined, but the cluster has no such node".into(),
            ),
            ("joined", false, _) => {
                return Err(Diagnostic::error(
                    "another-cluster",
                    "the machine is a node of another cluster",
                )
                .detail(format!(
                    "`{}` has joined a cluster that is not this one",
                    name(known.attributes)
                ))
                .help("reset it with `kubeadm reset`, if it is no longer needed there"));
            }
            ("begun", _, _) if known.mark.is_some() => Reading::HalfMade(
                Object {
                    attributes: known.attributes.clone(),
                    id: None,
                },
                "the join did not come to its end".into(),
            ),
            _ => Reading::Absent,
        })
    }

    fn plan(&self, change: &mut Change<'_>) -> Result<(), Diagnostic> {
        let Some(prior) = change.prior else {
            return Ok(());
        };
        let key = |value: &Value| Machine::from_value(value).ok().map(|machine| machine.key());
        let (before, now) = (prior.get("host"), change.planned.get("host"));
        if now.is_wholly_known() && key(&before) != key(&now) {
            change.replace("host", "it is another machine");
        }
        let (before, now) = (
            prior.get("cluster").get("ca_hash"),
            change.planned.get("cluster").get("ca_hash"),
        );
        if before != now {
            change.replace("cluster", "it is another cluster");
        }
        if !change.replacements.is_empty() {
            change.effect(Effect::Drain { what: name(prior) });
        }
        Ok(())
    }

    fn work(&self, job: &Job<'_>) -> Result<Work, Diagnostic> {
        Ok(Work::Steps(match job.verb {
            Verb::Create => join(job)?,
            Verb::Update => labels(job)?.into_iter().collect(),
            Verb::Leave => {
                let prior = job.prior()?;
                let script = Script::new(include_str!("../scripts/drain.sh"))
                    .var("node", name(prior))
                    .var("dead", job.is_dead.to_string());
                let title = match job.is_dead {
                    true => format!("take {} and its pods out", name(prior)),
                    false => format!("drain {} and take it out", name(prior)),
                };
                vec![
                    Step::new(title, &control_plane(prior)?, script)
                        .within(Duration::from_secs(300)),
                ]
            }
            Verb::Delete => {
                let prior = job.prior()?;
                let host = machine(&prior.get("host"), "host")?;
                vec![reset("reset the machine", &host, prior, false)]
            }
        }))
    }

    fn leaves(&self) -> bool {
        true
    }
}

fn join(job: &Job<'_>) -> Result<Vec<Step>, Diagnostic> {
    let wanted = job.wanted()?;
    let (host, plane) = (
        machine(&wanted.get("host"), "host")?,
        control_plane(wanted)?,
    );
    let hash = wanted
        .get("cluster")
        .get("ca_hash")
        .as_str()
        .unwrap_or_default()
        .to_owned();
    let is_joined =
        Script::new("[ \"$(cat /etc/kubernetes/dmp-joined 2>/dev/null)\" = \"$ca_hash\" ]")
            .var("ca_hash", hash.clone());
    let none_begun = "[ -f /etc/kubernetes/dmp-joined ] || [ ! -e /etc/kubernetes/kubelet.conf ]";
    let mint = "KUBECONFIG=/etc/kubernetes/admin.conf kubeadm token create --ttl 15m0s";
    let script = Script::new(include_str!("../scripts/join.sh"))
        .var("configuration", config::join(wanted, &host))
        .var("ca_hash", hash);
    let mut steps = vec![
        Step::new(
            "note what is there",
            &host,
            Script::new(include_str!("../scripts/remember.sh")),
        ),
        reset("clear a join that came to no end", &host, wanted, true)
            .unless(Script::new(none_begun)),
        Step::new("mint a join token", &plane, Script::new(mint))
            .giving()
            .within(Duration::from_secs(60)),
        Step::new("join the cluster", &host, script)
            .unless(is_joined)
            .taking(2)
            .within(Duration::from_secs(600)),
    ];
    let appear = Script::new(include_str!("../scripts/appear.sh")).var("node", name(wanted));
    let wait = Step::new("wait until the cluster has the node", &plane, appear);
    steps.push(wait.waiting().within(Duration::from_secs(120)));
    steps.extend(labels(job)?);
    Ok(steps)
}

/// The step that brings labels and taints to what is wanted, if they differ.
fn labels(job: &Job<'_>) -> Result<Option<Step>, Diagnostic> {
    let wanted = job.wanted()?;
    let empty = Value::null();
    let prior = job.prior.unwrap_or(&empty);
    let mut lines = Vec::new();
    let (before, now) = (texts(&prior.get("labels")), texts(&wanted.get("labels")));
    for gone in before.keys().filter(|key| !now.contains_key(*key)) {
        lines.push(format!("label {gone}-"));
    }
    for (key, value) in now
        .iter()
        .filter(|(key, value)| before.get(*key) != Some(*value))
    {
        lines.push(format!("label {key}={value}"));
    }
    let (before, now) = (taints(&prior.get("taints")), taints(&wanted.get("taints")));
    // A join has set the taints already.
    if job.verb == Verb::Update {
        for gone in before.iter().filter(|taint| !now.contains(taint)) {
            lines.push(format!("taint {gone}-"));
        }
        for new in now.iter().filter(|taint| !before.contains(taint)) {
            lines.push(format!("taint {new}"));
        }
    }
    if lines.is_empty() {
        return Ok(None);
    }
    let script = Script::new(include_str!("../scripts/taints.sh"))
        .var("node", name(wanted))
        .stdin(lines.join("\n") + "\n");
    Ok(Some(
        Step::new("set labels and taints", &control_plane(wanted)?, script)
            .within(Duration::from_secs(60)),
    ))
}

fn texts(value: &Value) -> BTreeMap<String, String> {
    let members = value.as_members().into_iter().flatten();
    members
        .filter_map(|(name, value)| Some((name.to_string(), value.as_str()?.to_owned())))
        .collect()
}

/// Taints in kubectl's form: `key=value:effect`.
fn taints(value: &Value) -> Vec<String> {
    let text = |taint: &Value, name: &str| taint.get(name).as_str().unwrap_or_default().to_owned();
    let form = |taint: &Value| match text(taint, "value") {
        value if value.is_empty() => format!("{}:{}", text(taint, "key"), text(taint, "effect")),
        value => format!("{}={value}:{}", text(taint, "key"), text(taint, "effect")),
    };
    value
        .as_items()
        .unwrap_or_default()
        .iter()
        .map(form)
        .collect()
}

/// The value with the labels and taints that the cluster has of those that are ours.
fn with_node(attributes: &Value, node: &Json) -> Value {
    let mut value = attributes.clone();
    let labels = attributes.get("labels");
    if let Some(ours) = labels.as_members() {
        let found = &node["metadata"]["labels"];
        let present = ours
            .keys()
            .filter_map(|key| Some((key.clone(), found.get(key.as_ref())?.as_str()?.into())));
        value = value.with("labels", Value::map(present.collect()));
    }
    if let Some(ours) = attributes.get("taints").as_items() {
        let found = node["spec"]["taints"]
            .as_array()
            .cloned()
            .unwrap_or_default();
        let is_there = |taint: &&Value| {
            let same = |json: &Json, name: &str| {
                json.get(name).and_then(Json::as_str).unwrap_or_default()
                    == taint.get(name).as_str().unwrap_or_default()
            };
            found.iter().any(|json| {
                ["key", "value", "effect"]
                    .iter()
                    .all(|name| same(json, name))
            })
        };
        value = value.with(
            "taints",
            Value::list(ours.iter().filter(is_there).cloned().collect()),
        );
    }
    value
}
