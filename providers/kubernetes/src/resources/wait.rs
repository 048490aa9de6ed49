//! When an object has become what it was made for.

use serde_json::Value as Json;

/// Why a workload is not rolled out yet; `None` when it is, or when the kind knows no rollout.
pub(super) fn rollout_left(object: &Json) -> Option<String> {
    let number = |path: &str| object.pointer(path).and_then(Json::as_i64);
    let generation = number("/metadata/generation").unwrap_or(0);
    let kind = object["kind"].as_str().unwrap_or_default();
    if !matches!(kind, "Deployment" | "DaemonSet" | "StatefulSet") {
        return None;
    }
    if number("/status/observedGeneration").unwrap_or(0) < generation {
        return Some("the controller has not seen it yet".into());
    }
    let (wanted, updated, ready) = match kind {
        "DaemonSet" => (
            number("/status/desiredNumberScheduled").unwrap_or(0),
            number("/status/updatedNumberScheduled").unwrap_or(0),
            number("/status/numberAvailable").unwrap_or(0),
        ),
        "Deployment" => (
            number("/spec/replicas").unwrap_or(1),
            number("/status/updatedReplicas").unwrap_or(0),
            number("/status/availableReplicas").unwrap_or(0),
        ),
        _ => (
            number("/spec/replicas").unwrap_or(1),
            number("/status/updatedReplicas").unwrap_or(0),
            number("/status/readyReplicas").unwrap_or(0),
        ),
    };
    if updated < wanted || ready < wanted {
        return Some(format!("{ready} of {wanted} pods are ready"));
    }
    None
}

/// Why a condition does not hold yet.
pub(super) fn condition_left(object: &Json, name: &str, wanted: &str) -> Option<String> {
    let conditions = object
        .pointer("/status/conditions")
        .and_then(Json::as_array);
    let found = conditions
        .into_iter()
        .flatten()
        .find(|condition| condition["type"].as_str() == Some(name));
    match found {
        Some(condition) if condition["status"].as_str() == Some(wanted) => None,
        Some(condition) => {
            let status = condition["status"].as_str().unwrap_or("?");
            let message = condition["message"].as_str().unwrap_or_default();
            Some(
                format!("`{name}` is `{status}` {message}")
                    .trim_end()
                    .to_owned(),
            )
        }
        None => Some(format!("`{name}` is not reported yet")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_rollout_is_through_when_all_pods_are_new_and_ready() {
        let mut object = json!({
            "kind": "Deployment", "metadata": { "generation": 2 }, "spec": { "replicas": 2 },
            "status": { "observedGeneration": 1, "updatedReplicas": 2, "availableReplicas": 2 },
        });
        assert!(rollout_left(&object).is_some());
        object["status"]["observedGeneration"] = json!(2);
        assert_eq!(rollout_left(&object), None);
        object["status"]["availableReplicas"] = json!(1);
        assert_eq!(
            rollout_left(&object).as_deref(),
            Some("1 of 2 pods are ready")
        );
    }
}
