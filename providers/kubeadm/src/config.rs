//! The files that kubeadm reads (kubeadm.k8s.io/v1beta4), as JSON documents, which are YAML too.

use dmp_sdk::codec::to_json;
use dmp_sdk::{Machine, Value};
use serde_json::{Map, Value as Json, json};

/// The file for `kubeadm init`. No secret is in it.
pub(crate) fn init(wanted: &Value, first: &Machine, endpoint: &str) -> String {
    let text = |name: &str| wanted.get(name).as_str().map(ToOwned::to_owned);
    let address = text("advertise_address").unwrap_or_else(|| first.address.clone());
    let init = without_nulls(&json!({
        "apiVersion": "kubeadm.k8s.io/v1beta4",
        "kind": "InitConfiguration",
        // Each join mints a token of its own; the one that kubeadm makes here soon ends.
        "bootstrapTokens": [{ "ttl": "5m0s", "description": "made by kubeadm init, not used" }],
        "localAPIEndpoint": { "advertiseAddress": address, "bindPort": 6443 },
        "nodeRegistration": {
            "name": text("node_name"),
            "criSocket": text("cri_socket"),
            "kubeletExtraArgs": arguments(&[("node-ip", address.as_str())]),
            "taints": wanted.get("schedulable").as_bool().filter(|yes| *yes).map(|_| json!([])),
            "ignorePreflightErrors": to_json(&wanted.get("ignored_preflight_errors")),
        },
        "timeouts": {
            "controlPlaneComponentHealthCheck":
                wanted.get("begin_seconds").as_i64().map(|seconds| format!("{seconds}s")),
        },
    }));
    let mut sans: Vec<Json> = to_json(&wanted.get("api_server_sans"))
        .and_then(list)
        .unwrap_or_default();
    if let Some((host, _)) = endpoint.rsplit_once(':') {
        sans.push(json!(host.trim_matches(['[', ']'])));
    }
    let cluster = without_nulls(&json!({
        "apiVersion": "kubeadm.k8s.io/v1beta4",
        "kind": "ClusterConfiguration",
        "kubernetesVersion": text("version").map(|version| format!("v{}", version.trim_start_matches('v'))),
        "imageRepository": text("image_repository"),
        "controlPlaneEndpoint": endpoint,
        "networking": {
            "podSubnet": text("pod_subnet"),
            "serviceSubnet": text("service_subnet"),
            "dnsDomain": text("dns_domain"),
        },
        "apiServer": {
            "certSANs": sans,
            "extraArgs": map_arguments(&wanted.get("api_server_arguments")),
        },
    }));
    let kubelet = component(
        "kubelet.config.k8s.io/v1beta1",
        "KubeletConfiguration",
        &wanted.get("kubelet"),
    );
    let proxy = component(
        "kubeproxy.config.k8s.io/v1alpha1",
        "KubeProxyConfiguration",
        &wanted.get("kube_proxy"),
    );
    [init, cluster, kubelet, proxy]
        .map(|document| format!("{document:#}\n"))
        .join("---\n")
}

/// The file for `kubeadm join`, with `TOKEN` where the token belongs.
pub(crate) fn join(wanted: &Value, host: &Machine) -> String {
    let cluster = wanted.get("cluster");
    let text = |value: &Value, name: &str| value.get(name).as_str().map(ToOwned::to_owned);
    let address = text(wanted, "node_ip").unwrap_or_else(|| host.address.clone());
    let join = without_nulls(&json!({
        "apiVersion": "kubeadm.k8s.io/v1beta4",
        "kind": "JoinConfiguration",
        "discovery": {
            "bootstrapToken": {
                "apiServerEndpoint": text(&cluster, "endpoint"),
                "token": "TOKEN",
                "caCertHashes": [text(&cluster, "ca_hash")],
            },
        },
        "nodeRegistration": {
            "name": text(wanted, "name"),
            "criSocket": text(wanted, "cri_socket"),
            "kubeletExtraArgs": arguments(&[("node-ip", address.as_str())]),
            "taints": taints(&wanted.get("taints")),
            "ignorePreflightErrors": to_json(&wanted.get("ignored_preflight_errors")),
        },
    }));
    format!("{join:#}\n")
}

fn taints(value: &Value) -> Option<Json> {
    let list = to_json(value).and_then(list)?;
    Some(Json::Array(list.iter().map(without_nulls).collect()))
}

fn list(json: Json) -> Option<Vec<Json>> {
    match json {
        Json::Array(items) => Some(items),
        _ => None,
    }
}

fn component(version: &str, kind: &str, settings: &Value) -> Json {
    let mut document = Map::from_iter([
        ("apiVersion".into(), json!(version)),
        ("kind".into(), json!(kind)),
    ]);
    if let Some(Json::Object(members)) = to_json(settings) {
        document.extend(members);
    }
    Json::Object(document)
}

fn arguments(pairs: &[(&str, &str)]) -> Json {
    pairs
        .iter()
        .map(|(name, value)| json!({ "name": name, "value": value }))
        .collect()
}

fn map_arguments(value: &Value) -> Option<Json> {
    let members = value.as_members()?;
    let pairs: Vec<_> = members
        .iter()
        .filter_map(|(name, value)| Some((name.as_ref(), value.as_str()?)))
        .collect();
    Some(arguments(&pairs))
}

/// kubeadm takes an explicit null for a wrong value.
fn without_nulls(json: &Json) -> Json {
    match json {
        Json::Object(members) => {
            let kept = members.iter().filter(|(_, member)| !member.is_null());
            Json::Object(
                kept.map(|(name, member)| (name.clone(), without_nulls(member)))
                    .collect(),
            )
        }
        Json::Array(items) => Json::Array(
            items
                .iter()
                .filter(|item| !item.is_null())
                .map(without_nulls)
                .collect(),
        ),
        plain => plain.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn machine() -> Machine {
        Machine {
            address: "192.0.2.10".into(),
            ..Machine::default()
        }
    }

    /// The documents of a file for kubeadm.
    fn documents(text: &str) -> Vec<Json> {
        let documents = text.split("---\n");
        let read = |document: &str| serde_json::from_str(document).expect("JSON");
        documents.map(read).collect()
    }

    #[test]
    fn a_control_plane_is_where_it_is_reached_unless_it_has_another_address_itself() {
        let plain = Value::object_of([("node_name", "cp".into())]);
        let file = documents(&init(&plain, &machine(), "192.0.2.10:6443"));
        assert_eq!(
            file[0]["localAPIEndpoint"]["advertiseAddress"],
            "192.0.2.10"
        );
        let behind = plain.with("advertise_address", "10.20.0.11".into());
        let file = documents(&init(&behind, &machine(), "192.0.2.10:6443"));
        assert_eq!(
            file[0]["localAPIEndpoint"]["advertiseAddress"],
            "10.20.0.11"
        );
        let arguments = &file[0]["nodeRegistration"]["kubeletExtraArgs"];
        assert_eq!(
            *arguments,
            json!([{ "name": "node-ip", "value": "10.20.0.11" }])
        );
        // It is reached at the other one all the same.
        assert_eq!(file[1]["controlPlaneEndpoint"], "192.0.2.10:6443");
        assert_eq!(file[1]["apiServer"]["certSANs"], json!(["192.0.2.10"]));
    }

    #[test]
    fn a_node_joins_with_the_address_that_it_has_itself() {
        let node = Value::object_of([("name", "w".into()), ("node_ip", "10.20.0.12".into())]);
        let file = documents(&join(&node, &machine()));
        let arguments = &file[0]["nodeRegistration"]["kubeletExtraArgs"];
        assert_eq!(
            *arguments,
            json!([{ "name": "node-ip", "value": "10.20.0.12" }])
        );
    }
}
