# One worker: its machine made ready, then joined.

module "machine" {
  source              = "../../kubernetes-host"
  host                = var.host
  version             = var.version
  kubernetes_packages = var.kubernetes_packages
  containerd_packages = var.containerd_packages
  pause_image         = var.pause_image
  registry_mirrors    = var.registry_mirrors
  containerd_settings = var.containerd_settings
}

resource "kubeadm_node" "this" {
  host                     = var.host
  cluster                  = var.cluster
  name                     = var.name
  node_ip                  = var.own_address
  labels                   = var.labels
  taints                   = var.taints
  ignored_preflight_errors = var.ignored_preflight_errors
  depends_on               = [module.machine]
}
