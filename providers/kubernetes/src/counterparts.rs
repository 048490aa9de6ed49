//! The resource types of Terraform's kubernetes provider, whose ids are `NAMESPACE/NAME` or `NAME`, as objects of a cluster.

use dmp_sdk::Schema;

/// Adds all of them to the schema of a manifest.
pub(crate) fn counterparts(schema: Schema) -> Schema {
    ALL.iter()
        .fold(schema, |schema, (name, ids)| schema.counterpart(name, ids))
}

const ALL: [(&str, &[&str]); 45] = [
    (
        "kubernetes_manifest",
        &[
            "{manifest.value.apiVersion} {manifest.value.kind} {manifest.value.metadata.namespace}/{manifest.value.metadata.name}",
            "{manifest.value.apiVersion} {manifest.value.kind} {manifest.value.metadata.name}",
        ],
    ),
    (
        "kubernetes_cluster_role",
        &["rbac.authorization.k8s.io/v1 ClusterRole {id}"],
    ),
    (
        "kubernetes_cluster_role_v1",
        &["rbac.authorization.k8s.io/v1 ClusterRole {id}"],
    ),
    (
        "kubernetes_cluster_role_binding",
        &["rbac.authorization.k8s.io/v1 ClusterRoleBinding {id}"],
    ),
    (
        "kubernetes_cluster_role_binding_v1",
        &["rbac.authorization.k8s.io/v1 ClusterRoleBinding {id}"],
    ),
    ("kubernetes_config_map", &["v1 ConfigMap {id}"]),
    ("kubernetes_config_map_v1", &["v1 ConfigMap {id}"]),
    ("kubernetes_cron_job_v1", &["batch/v1 CronJob {id}"]),
    ("kubernetes_daemonset", &["apps/v1 DaemonSet {id}"]),
    ("kubernetes_daemon_set_v1", &["apps/v1 DaemonSet {id}"]),
    ("kubernetes_deployment", &["apps/v1 Deployment {id}"]),
    ("kubernetes_deployment_v1", &["apps/v1 Deployment {id}"]),
    (
        "kubernetes_horizontal_pod_autoscaler_v2",
        &["autoscaling/v2 HorizontalPodAutoscaler {id}"],
    ),
    (
        "kubernetes_ingress_class",
        &["networking.k8s.io/v1 IngressClass {id}"],
    ),
    (
        "kubernetes_ingress_class_v1",
        &["networking.k8s.io/v1 IngressClass {id}"],
    ),
    (
        "kubernetes_ingress_v1",
        &["networking.k8s.io/v1 Ingress {id}"],
    ),
    ("kubernetes_job", &["batch/v1 Job {id}"]),
    ("kubernetes_job_v1", &["batch/v1 Job {id}"]),
    ("kubernetes_limit_range", &["v1 LimitRange {id}"]),
    ("kubernetes_limit_range_v1", &["v1 LimitRange {id}"]),
    ("kubernetes_namespace", &["v1 Namespace {id}"]),
    ("kubernetes_namespace_v1", &["v1 Namespace {id}"]),
    (
        "kubernetes_network_policy",
        &["networking.k8s.io/v1 NetworkPolicy {id}"],
    ),
    (
        "kubernetes_network_policy_v1",
        &["networking.k8s.io/v1 NetworkPolicy {id}"],
    ),
    (
        "kubernetes_persistent_volume",
        &["v1 PersistentVolume {id}"],
    ),
    (
        "kubernetes_persistent_volume_v1",
        &["v1 PersistentVolume {id}"],
    ),
    (
        "kubernetes_persistent_volume_claim",
        &["v1 PersistentVolumeClaim {id}"],
    ),
    (
        "kubernetes_persistent_volume_claim_v1",
        &["v1 PersistentVolumeClaim {id}"],
    ),
    (
        "kubernetes_pod_disruption_budget_v1",
        &["policy/v1 PodDisruptionBudget {id}"],
    ),
    (
        "kubernetes_priority_class",
        &["scheduling.k8s.io/v1 PriorityClass {id}"],
    ),
    (
        "kubernetes_priority_class_v1",
        &["scheduling.k8s.io/v1 PriorityClass {id}"],
    ),
    ("kubernetes_resource_quota", &["v1 ResourceQuota {id}"]),
    ("kubernetes_resource_quota_v1", &["v1 ResourceQuota {id}"]),
    (
        "kubernetes_role",
        &["rbac.authorization.k8s.io/v1 Role {id}"],
    ),
    (
        "kubernetes_role_v1",
        &["rbac.authorization.k8s.io/v1 Role {id}"],
    ),
    (
        "kubernetes_role_binding",
        &["rbac.authorization.k8s.io/v1 RoleBinding {id}"],
    ),
    (
        "kubernetes_role_binding_v1",
        &["rbac.authorization.k8s.io/v1 RoleBinding {id}"],
    ),
    ("kubernetes_secret", &["v1 Secret {id}"]),
    ("kubernetes_secret_v1", &["v1 Secret {id}"]),
    ("kubernetes_service", &["v1 Service {id}"]),
    ("kubernetes_service_v1", &["v1 Service {id}"]),
    ("kubernetes_service_account_v1", &["v1 ServiceAccount {id}"]),
    ("kubernetes_stateful_set", &["apps/v1 StatefulSet {id}"]),
    ("kubernetes_stateful_set_v1", &["apps/v1 StatefulSet {id}"]),
    (
        "kubernetes_storage_class_v1",
        &["storage.k8s.io/v1 StorageClass {id}"],
    ),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::Identity;
    use serde_json::json;

    #[test]
    fn every_id_is_one_that_a_manifest_is_imported_by() {
        let schema = counterparts(Schema::new("k8s_manifest", ""));
        let manifest = json!({
            "apiVersion": "example.org/v1", "kind": "Thing",
            "metadata": { "namespace": "shop", "name": "web" },
        });
        let attributes = json!({
            "id": "shop/web",
            "manifest": { "type": ["object", {}], "value": manifest },
        });
        for counterpart in &schema.counterparts {
            let id = counterpart.id(&attributes, &[]).expect(counterpart.name);
            let identity = Identity::of_text(&id).expect(counterpart.name);
            assert_eq!(identity.to_text(), id, "{}", counterpart.name);
            assert!(id.ends_with(" shop/web"), "{id}");
        }
    }
}
