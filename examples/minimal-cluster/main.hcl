# From addresses, or from nothing but a Proxmox VE cluster, to a web service that answers: one control plane, the first N others as
# workers.

stack {
  required_version = ">= 0.1"
}

provider "proxmox" {
  endpoints = var.proxmox_endpoints
  api_token = var.proxmox_api_token
  ca        = var.proxmox_ca
  vm_ids    = { from = 6000, to = 6999 }
}

locals {
  is_new = var.kind == "proxmox"
  # By their addresses, of which new machines' have a prefix.
  addresses     = slice(var.addresses, 0, 1 + var.workers)
  control_plane = split("/", var.addresses[0])[0]
  machines = {
    for index, address in local.addresses : split("/", address)[0] => {
      address = address
      name    = index == 0 ? "control-plane" : "worker-${index}"
      memory  = index == 0 ? var.site.control_plane_mib : var.site.worker_mib
    }
  }
  workers = { for address, machine in local.machines : address => machine if address != local.control_plane }
}

# New machines let nobody in but dmp: whoever has the state can log in, as `dmp ssh` does.
resource "core_ssh_key" "login" {
  count = local.is_new ? 1 : 0
}

module "node" {
  source      = "../../modules/machine"
  for_each    = local.machines
  kind        = var.kind
  name        = each.value.name
  address     = each.value.address
  user        = var.user
  key_file    = local.is_new ? null : var.key_file
  private_key = one(core_ssh_key.login[*].private_key)
  ssh_keys    = core_ssh_key.login[*].public_key
  group       = "cluster"
  cores       = 2
  memory_mib  = each.value.memory
  disk_gib    = var.site.disk_gib
  network     = { bridge = var.site.bridge, gateway = var.site.gateway, nameservers = length(var.site.nameservers) > 0 ? var.site.nameservers : null }
  proxmox     = { template = var.site.template, storage = var.site.storage }
}

resource "host_file" "motd" {
  for_each = local.machines
  host     = module.node[each.key].connection
  path     = "/etc/motd"
  content  = "This machine belongs to the stack ${stack.name}, which dmp manages.\n"
}

module "cluster" {
  source = "../../modules/kubeadm-cluster"

  control_plane = {
    connection = module.node[local.control_plane].connection
    name       = module.node[local.control_plane].hostname
  }
  workers = {
    for address, machine in local.workers : address => {
      connection = module.node[address].connection
      name       = module.node[address].hostname
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
