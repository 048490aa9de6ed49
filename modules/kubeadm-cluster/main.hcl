module "control_plane" {
  source              = "../kubernetes-host"
  host                = var.control_plane.connection
  version             = var.version
  kubernetes_packages = var.kubernetes_packages
  containerd_packages = var.containerd_packages
  pause_image         = var.pause_image
  registry_mirrors    = var.registry_mirrors
  containerd_settings = var.containerd_settings
}

resource "kubeadm_cluster" "this" {
  control_planes           = [var.control_plane.connection]
  node_name                = var.control_plane.name
  advertise_address        = var.control_plane.own_address
  version                  = var.version
  endpoint                 = var.endpoint
  pod_subnet               = var.pod_subnet
  image_repository         = var.image_repository
  kubelet                  = var.kubelet
  kube_proxy               = var.kube_proxy
  ignored_preflight_errors = var.ignored_preflight_errors
  begin_seconds            = var.begin_seconds
  depends_on               = [module.control_plane]
}

module "worker" {
  source                   = "./worker"
  for_each                 = var.workers
  host                     = each.value.connection
  name                     = each.value.name
  own_address              = each.value.own_address
  labels                   = each.value.labels
  taints                   = each.value.taints
  cluster                  = kubeadm_cluster.this.join
  version                  = var.version
  kubernetes_packages      = var.kubernetes_packages
  containerd_packages      = var.containerd_packages
  pause_image              = var.pause_image
  registry_mirrors         = var.registry_mirrors
  containerd_settings      = var.containerd_settings
  ignored_preflight_errors = var.ignored_preflight_errors
}
