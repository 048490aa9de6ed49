# A pod network by flannel, over vxlan.

locals {
  namespace = k8s_manifest.namespace.manifest.metadata.name
}

resource "k8s_manifest" "namespace" {
  layer = "cluster"
  manifest = {
    apiVersion = "v1"
    kind       = "Namespace"
    metadata = {
      name   = "kube-flannel"
      labels = { "pod-security.kubernetes.io/enforce" = "privileged" }
    }
  }
}

resource "k8s_manifest" "account" {
  layer = "cluster"
  manifest = {
    apiVersion = "v1"
    kind       = "ServiceAccount"
    metadata   = { name = "flannel", namespace = local.namespace }
  }
}

resource "k8s_manifest" "role" {
  layer = "cluster"
  manifest = {
    apiVersion = "rbac.authorization.k8s.io/v1"
    kind       = "ClusterRole"
    metadata   = { name = "flannel" }
    rules = [
      { apiGroups = [""], resources = ["pods"], verbs = ["get"] },
      { apiGroups = [""], resources = ["nodes"], verbs = ["get", "list", "watch"] },
      { apiGroups = [""], resources = ["nodes/status"], verbs = ["patch"] },
    ]
  }
}

resource "k8s_manifest" "binding" {
  layer = "cluster"
  manifest = {
    apiVersion = "rbac.authorization.k8s.io/v1"
    kind       = "ClusterRoleBinding"
    metadata   = { name = "flannel" }
    roleRef    = { apiGroup = "rbac.authorization.k8s.io", kind = "ClusterRole", name = "flannel" }
    subjects   = [{ kind = "ServiceAccount", name = "flannel", namespace = local.namespace }]
  }
}

resource "k8s_manifest" "configuration" {
  layer = "cluster"
  manifest = {
    apiVersion = "v1"
    kind       = "ConfigMap"
    metadata   = { name = "flannel", namespace = local.namespace }
    data = {
      "cni-conf.json" = jsonencode({
        name       = "cbr0"
        cniVersion = "0.3.1"
        plugins = [
          { type = "flannel", delegate = { hairpinMode = true, isDefaultGateway = true } },
          { type = "portmap", capabilities = { portMappings = true } },
        ]
      })
      "net-conf.json" = jsonencode({ Network = var.pod_subnet, Backend = { Type = "vxlan" } })
    }
  }
}

resource "k8s_manifest" "daemon" {
  layer = "cluster"
  # Nodes may still join; a pod that runs on the network shows that it works.
  wait_rollout = false
  manifest = {
    apiVersion = "apps/v1"
    kind       = "DaemonSet"
    metadata   = { name = "flannel", namespace = local.namespace }
    spec = {
      selector = { matchLabels = { app = "flannel" } }
      template = {
        metadata = { labels = { app = "flannel" } }
        spec = {
          hostNetwork        = true
          priorityClassName  = "system-node-critical"
          serviceAccountName = k8s_manifest.account.manifest.metadata.name
          tolerations        = [{ effect = "NoSchedule", operator = "Exists" }]
          initContainers = [
            {
              name         = "plugin"
              image        = var.plugin_image
              command      = ["cp", "-f", "/flannel", "/opt/cni/bin/flannel"]
              volumeMounts = [{ name = "plugins", mountPath = "/opt/cni/bin" }]
            },
            {
              name    = "configuration"
              image   = var.image
              command = ["cp", "-f", "/etc/kube-flannel/cni-conf.json", "/etc/cni/net.d/10-flannel.conflist"]
              volumeMounts = [
                { name = "cni", mountPath = "/etc/cni/net.d" },
                { name = "configuration", mountPath = "/etc/kube-flannel" },
              ]
            },
          ]
          containers = [{
            name  = "flanneld"
            image = var.image
            args  = ["--ip-masq", "--kube-subnet-mgr"]
            env = [
              { name = "POD_NAME", valueFrom = { fieldRef = { fieldPath = "metadata.name" } } },
              { name = "POD_NAMESPACE", valueFrom = { fieldRef = { fieldPath = "metadata.namespace" } } },
            ]
            securityContext = { capabilities = { add = ["NET_ADMIN", "NET_RAW"] } }
            resources       = { requests = { cpu = "50m", memory = "50Mi" } }
            volumeMounts = [
              { name = "run", mountPath = "/run/flannel" },
              { name = "configuration", mountPath = "/etc/kube-flannel" },
              { name = "xtables", mountPath = "/run/xtables.lock" },
            ]
          }]
          volumes = [
            { name = "run", hostPath = { path = "/run/flannel", type = "DirectoryOrCreate" } },
            { name = "plugins", hostPath = { path = "/opt/cni/bin", type = "DirectoryOrCreate" } },
            { name = "cni", hostPath = { path = "/etc/cni/net.d", type = "DirectoryOrCreate" } },
            { name = "configuration", configMap = { name = k8s_manifest.configuration.manifest.metadata.name } },
            { name = "xtables", hostPath = { path = "/run/xtables.lock", type = "FileOrCreate" } },
          ]
        }
      }
    }
  }
  depends_on = [k8s_manifest.binding, k8s_manifest.role]
}
