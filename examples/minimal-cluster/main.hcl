# From a list of addresses to a web service that answers: one control plane, the first N others as workers.

stack {
  required_version = ">= 0.1"
}

locals {
  control_plane = var.addresses[0]
  workers       = slice(var.addresses, 1, 1 + var.workers)
  machines      = toset(concat([local.control_plane], local.workers))
}

resource "host" "node" {
  for_each = local.machines
  address  = each.value
  user     = var.user
  key_file = var.key_file
}

resource "host_file" "motd" {
  for_each = local.machines
  host     = host.node[each.key].connection
  path     = "/etc/motd"
  content  = "This machine belongs to the stack ${stack.name}, which dmp manages.\n"
}

module "cluster" {
  source = "../../modules/kubeadm-cluster"

  control_plane = {
    connection = host.node[local.control_plane].connection
    name       = host.node[local.control_plane].hostname
  }
  workers = {
    for address in local.workers : address => {
      connection = host.node[address].connection
      name       = host.node[address].hostname
      labels     = var.labels
      taints     = var.taints
    }
  }
  version                  = var.kubernetes_version
  kubernetes_packages      = var.kubernetes_packages
  containerd_packages      = var.containerd_packages
  image_repository         = var.image_repository
  pause_image              = var.pause_image
  registry_mirrors         = var.registry_mirrors
  containerd_settings      = var.containerd_settings
  kubelet                  = var.kubelet
  kube_proxy               = var.kube_proxy
  ignored_preflight_errors = var.ignored_preflight_errors
}

# Configured by the cluster that the same run makes.
provider "kubernetes" {
  kubeconfig = module.cluster.kubeconfig
}

module "network" {
  source       = "../../modules/cni-flannel"
  image        = var.flannel_image
  plugin_image = var.flannel_plugin_image
}

module "web" {
  source  = "../../modules/web-demo"
  image   = var.web_image
  command = var.web_command
  address = local.control_plane
}
