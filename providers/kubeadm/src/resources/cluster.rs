//! `kubeadm_cluster`: a cluster, begun on its first control plane.
//!
//! The cluster lives on a quorum of its control planes and ends what lives on it. Its keys are chosen before the first
//! step and recorded sealed, so every step may be done again. What kubeadm can't change in place is refused.

use std::time::Duration;

use dmp_sdk::{
    Answers, Attribute, AttributePath, Change, Diagnostic, Fetch, HoldsData, Job, Known, Layer,
    Machine, Mark, MarkWay, Marks, Object, Quantifier, Reading, Resource, Schema, Script, Step,
    Type, Value, Verb, Work,
};

use super::machine;
use crate::{config, pki};

/// The resource type.
#[derive(Debug)]
pub(crate) struct Cluster {
    schema: Schema,
}

impl Cluster {
    pub(crate) fn new() -> Self {
        Self { schema: schema() }
    }
}

fn schema() -> Schema {
    let doc = "A Kubernetes cluster, begun by `kubeadm init` on its first control plane. dmp mints its keys and keeps \
               them sealed.";
    Schema::new("kubeadm_cluster", doc)
        .layer(Layer::Cluster)
        .mark(MarkWay::NaturalKey(&["control_planes"]))
        .holds_data(HoldsData::Derived)
        .ends_hosted()
        .on_delete("Resets the control plane: everything in the cluster is gone.")
        .attribute(
            "control_planes",
            Attribute::required(
                Type::list(Machine::value_type()),
                "Connections of the machines that carry the control plane; one for now.",
            )
            .hosting(Quantifier::Quorum),
        )
        .attribute("node_name", Attribute::required(Type::String, "Name of the first control plane's node.").unique())
        .attribute("version", Attribute::required(Type::String, "Kubernetes' version, such as `1.36.3`."))
        .attribute(
            "endpoint",
            Attribute::optional_computed(
                Type::String,
                "Where the API is reached, `host:port`; by default the first control plane, port 6443.",
            ),
        )
        .attribute(
            "advertise_address",
            Attribute::optional(
                Type::String,
                "The address that the first control plane has itself, where it is reached at another one, such as a floating IP.",
            ),
        )
        .attribute("pod_subnet", Attribute::default(Type::String, "Addresses of pods.", "10.244.0.0/16"))
        .attribute("service_subnet", Attribute::default(Type::String, "Addresses of services.", "10.96.0.0/12"))
        .attribute("dns_domain", Attribute::default(Type::String, "Domain of services.", "cluster.local"))
        .attribute(
            "image_repository",
            Attribute::optional(Type::String, "Registry and path that images are taken from, in place of upstream's."),
        )
        .attribute(
            "api_server_sans",
            Attribute::optional(Type::list(Type::String), "Further names and addresses in the API server's certificate."),
        )
        .attribute(
            "api_server_arguments",
            Attribute::optional(Type::map(Type::String), "Arguments of the API server, without dashes."),
        )
        .attribute("kubelet", Attribute::optional(Type::Any, "Members of the `KubeletConfiguration` of all nodes."))
        .attribute("kube_proxy", Attribute::optional(Type::Any, "Members of the `KubeProxyConfiguration`."))
        .attribute(
            "schedulable",
            Attribute::default(Type::Bool, "Whether ordinary pods may run on the control plane.", false),
        )
        .attribute(
            "ignored_preflight_errors",
            Attribute::optional(Type::list(Type::String), "Preflight checks of kubeadm whose errors are only warnings."),
        )
        .attribute(
            "cri_socket",
            Attribute::default(
                Type::String,
                "Socket of the container runtime.",
                "unix:///run/containerd/containerd.sock",
            ),
        )
        .attribute(
            "begin_seconds",
            Attribute::default(
                Type::Number,
                "How long the API server may take until it first answers, in seconds; then what was begun is cleared \
                 and begun once more.",
                240,
            ),
        )
        .attribute(
            "kubeconfig",
            Attribute::computed(Type::String, "A kubeconfig with an administrator's rights, valid ten years.").sensitive(),
        )
        .attribute("ca_certificate", Attribute::computed(Type::String, "Certificate of the cluster's CA, PEM."))
        .attribute(
            "join",
            Attribute::computed(
                Type::object_of_optional([
                    ("control_plane", Machine::value_type()),
                    ("endpoint", Type::String),
                    ("ca_hash", Type::String),
                ]),
                "What a `kubeadm_node` takes as its `cluster`. No secret: each join mints a token of its own.",
            ),
        )
}

/// The connection of the first control plane.
fn first(value: &Value) -> Result<Machine, Diagnostic> {
    let planes = value.get("control_planes");
    let items = planes.as_items().unwrap_or_default();
    match items {
        [one] => machine(one, "control_planes"),
        [] => Err(Diagnostic::error("no-control-plane", "no control plane")
            .detail("`control_planes` is empty")
            .path(AttributePath::of("control_planes"))),
        _ => Err(
            Diagnostic::error("control-planes", "several control planes")
                .detail("a cluster of several control planes can't be made yet; give one")
                .path(AttributePath::of("control_planes")),
        ),
    }
}

/// Where the API is reached.
fn endpoint(value: &Value, first: &Machine) -> String {
    let given = value.get("endpoint");
    match given.as_str() {
        Some(endpoint) => endpoint.to_owned(),
        None if first.address.contains(':') => format!("[{}]:6443", first.address),
        None => format!("{}:6443", first.address),
    }
}

impl Resource for Cluster {
    fn schema(&self) -> &Schema {
        &self.schema
    }

    fn fetches(&self, known: &Known<'_>) -> Result<Vec<Fetch>, Diagnostic> {
        if !known.attributes.get("control_planes").is_wholly_known() {
            return Ok(Vec::new());
        }
        let on = first(known.attributes)?;
        Ok(vec![Fetch::Script {
            on,
            script: Script::new(include_str!("../scripts/observe.sh")),
        }])
    }

    fn parse(&self, known: &Known<'_>, answers: Answers<'_>) -> Result<Reading, Diagnostic> {
        let text = answers.output(0)?.text();
        let (word, hash) = text.trim().split_once(' ').unwrap_or((text.trim(), "-"));
        let object = || Object {
            attributes: with_computed(known.attributes, known.chosen),
            id: None,
        };
        let ours = known.chosen.get("ca_hash");
        Ok(match (word, ours.as_str()) {
            ("joined", Some(ours)) if ours == hash => Reading::Found(object()),
            ("joined", Some(_)) => return Err(another_cluster(known)),
            ("joined", None) => return Err(another_cluster(known)),
            ("begun", Some(_)) => {
                Reading::HalfMade(object(), "kubeadm began and did not come to its end".into())
            }
            _ => Reading::Absent,
        })
    }

    fn plan(&self, change: &mut Change<'_>) -> Result<(), Diagnostic> {
        let planes = change.planned.get("control_planes");
        if planes.is_wholly_known() {
            let first = first(&change.planned)?;
            change.set("endpoint", endpoint(&change.planned, &first).into());
        }
        let Some(prior) = change.prior else {
            return Ok(());
        };
        // Pins and keys of a connection are not where the cluster lives.
        if same_machines(&prior.get("control_planes"), &planes) {
            change.set("join", with_machine(&prior.get("join"), &planes));
        }
        for attribute in [
            "control_planes",
            "node_name",
            "version",
            "endpoint",
            "advertise_address",
            "pod_subnet",
            "service_subnet",
        ]
        .into_iter()
        .chain([
            "dns_domain",
            "image_repository",
            "api_server_sans",
            "api_server_arguments",
            "kubelet",
        ])
        .chain(["kube_proxy", "schedulable", "cri_socket"])
        {
            let is_same_machine =
                attribute == "control_planes" && same_machines(&prior.get(attribute), &planes);
            if change.changes(attribute) && !is_same_machine {
                return Err(Diagnostic::error("unchangeable", "this can't be changed")
                    .detail(format!("`{attribute}` of a cluster that exists can't be changed yet"))
                    .path(AttributePath::of(attribute))
                    .help("put it back, or delete the cluster and make it anew: all that runs in it is lost"));
            }
        }
        Ok(())
    }

    fn choose(&self, _mark: &Mark, wanted: &Value) -> Result<Value, Diagnostic> {
        let first = first(wanted)?;
        pki::mint(&endpoint(wanted, &first))
    }

    fn work(&self, job: &Job<'_>) -> Result<Work, Diagnostic> {
        Ok(Work::Steps(match job.verb {
            Verb::Create => create(job)?,
            Verb::Update | Verb::Leave => Vec::new(),
            Verb::Delete => {
                let prior = job.prior()?;
                vec![reset(
                    "reset the control plane",
                    &first(prior)?,
                    prior,
                    false,
                )]
            }
        }))
    }
}

fn another_cluster(known: &Known<'_>) -> Diagnostic {
    Diagnostic::error("another-cluster", "the machine carries another cluster")
        .detail(format!(
            "the control plane of `{}` has joined a cluster that dmp did not make",
            known.address
        ))
        .help("reset it with `kubeadm reset`, if nothing in that cluster is needed any more")
}

fn create(job: &Job<'_>) -> Result<Vec<Step>, Diagnostic> {
    let wanted = job.wanted()?;
    let on = first(wanted)?;
    let endpoint = endpoint(wanted, &on);
    let configuration = config::init(wanted, &on, &endpoint);
    let hash = job
        .chosen
        .get("ca_hash")
        .as_str()
        .unwrap_or_default()
        .to_owned();
    let is_done = || {
        Script::new("[ \"$(cat /etc/kubernetes/dmp-joined 2>/dev/null)\" = \"$ca_hash\" ]")
            .var("ca_hash", hash.clone())
    };
    let init = |last_try: &str| {
        Script::new(include_str!("../scripts/init.sh"))
            .var("ca_hash", hash.clone())
            .var("last_try", last_try)
            .stdin(configuration.clone())
    };
    let none_begun = "[ -f /etc/kubernetes/dmp-joined ] || ! { [ -e /etc/kubernetes/manifests/kube-apiserver.yaml ] || \
                      [ -e /etc/kubernetes/pki/ca.key ]; }";
    let not_again = "[ ! -e /etc/kubernetes/dmp-again ]";
    let within = Duration::from_secs(900);
    Ok(vec![
        Step::new(
            "note what is there",
            &on,
            Script::new(include_str!("../scripts/remember.sh")),
        ),
        reset("clear a beginning that came to no end", &on, wanted, true)
            .unless(Script::new(none_begun)),
        Step::new("put the cluster's keys in place", &on, keys(job.chosen)).unless(is_done()),
        Step::new("begin the cluster", &on, init("no"))
            .unless(is_done())
            .within(within),
        reset(
            "begin again: the API server never answered; clear",
            &on,
            wanted,
            true,
        )
        .unless(Script::new(not_again)),
        Step::new(
            "put the cluster's keys in place again",
            &on,
            keys(job.chosen),
        )
        .unless(is_done()),
        Step::new("begin the cluster again", &on, init("yes"))
            .unless(is_done())
            .within(within),
    ])
}

fn keys(chosen: &Value) -> Script {
    pki::FILES.iter().fold(
        Script::new(include_str!("../scripts/keys.sh")),
        |script, (name, _)| script.var(name, chosen.get(name).as_str().unwrap_or_default()),
    )
}

/// The step that takes kubeadm's work off a machine. A machine that will be used again at once keeps its network.
pub(crate) fn reset(title: &str, on: &Machine, value: &Value, keep_network: bool) -> Step {
    let script = Script::new(include_str!("../scripts/reset.sh"))
        .var(
            "cri_socket",
            value.get("cri_socket").as_str().unwrap_or_default(),
        )
        .var("keep_network", if keep_network { "yes" } else { "no" });
    Step::new(title, on, script).within(Duration::from_secs(300))
}

/// The value with what follows from the chosen keys.
fn with_computed(attributes: &Value, chosen: &Value) -> Value {
    let Ok(first) = first(attributes) else {
        return attributes.clone();
    };
    let endpoint = endpoint(attributes, &first);
    let plain = |name: &str| chosen.get(name).map_marks(&Marks::without_sensitive);
    let planes = attributes.get("control_planes");
    let join = Value::object_of([
        ("control_plane", planes.element(0).unwrap_or_default()),
        ("endpoint", endpoint.as_str().into()),
        ("ca_hash", plain("ca_hash")),
    ]);
    attributes
        .with("endpoint", endpoint.into())
        .with("kubeconfig", chosen.get("kubeconfig"))
        .with("ca_certificate", plain("ca_crt"))
        .with("join", join)
}

fn with_machine(join: &Value, planes: &Value) -> Value {
    match (join.as_members(), planes.element(0)) {
        (Some(_), Some(first)) => join.with("control_plane", first),
        _ => join.clone(),
    }
}

/// Whether two lists of connections lead to the same machines.
fn same_machines(one: &Value, two: &Value) -> bool {
    let keys = |value: &Value| -> Option<Vec<String>> {
        value
            .as_items()?
            .iter()
            .map(|item| Machine::from_value(item).ok().map(|machine| machine.key()))
            .collect()
    };
    match (keys(one), keys(two)) {
        (Some(one), Some(two)) => one == two,
        _ => false,
    }
}
