# From addresses, or from nothing but a cluster or a cloud that makes machines, to a web service that answers: one control plane, the
# first N others as workers.

stack {
  required_version = ">= 0.1"
}

provider "proxmox" {
  endpoints = var.proxmox_endpoints
  api_token = var.proxmox_api_token
  ca        = var.proxmox_ca
  vm_ids    = { from = 6000, to = 6999 }
}

# What is null is found as the `openstack` command line finds it: by `clouds.yaml` and `OS_*`.
provider "openstack" {
  cloud                         = var.openstack_cloud
  auth_url                      = var.openstack_auth_url
  application_credential_id     = var.openstack_application_credential_id
  application_credential_secret = var.openstack_application_credential_secret
  region                        = var.openstack_region
  ca                            = var.openstack_ca
}

locals {
  is_new       = var.kind != "existing"
  on_openstack = var.kind == "openstack"
  # By their addresses, of which new machines' have a prefix.
  addresses     = slice(var.addresses, 0, 1 + var.workers)
  control_plane = split("/", var.addresses[0])[0]
  machines = {
    for index, address in local.addresses : split("/", address)[0] => {
      address = address
      name    = index == 0 ? "control-plane" : "worker-${index}"
      memory  = index == 0 ? var.site.control_plane_mib : var.site.worker_mib
      # What is let in from everywhere, where the ground lets nothing in by itself.
      open_ports = index == 0 ? ["tcp/22", "tcp/6443", "tcp/${local.web_port}"] : ["tcp/22"]
    }
  }
  workers     = { for address, machine in local.machines : address => machine if address != local.control_plane }
  web_port    = 30080
  nameservers = length(var.site.nameservers) > 0 ? var.site.nameservers : null
}

# New machines let nobody in but dmp: whoever has the state can log in, as `dmp ssh` does.
resource "core_ssh_key" "login" {
  count = local.is_new ? 1 : 0
}

# On OpenStack the machines have a network of their own, and a floating IP leads to each.
module "inside" {
  source           = "../../modules/private-network"
  count            = local.on_openstack ? 1 : 0
  kind             = "openstack"
  name             = "cluster"
  cidr             = "${cidrhost(var.addresses[0], 0)}/${split("/", var.addresses[0])[1]}"
  gateway          = var.site.gateway == null ? cidrhost(var.addresses[0], 1) : var.site.gateway
  nameservers      = var.site.nameservers
  external_network = var.openstack.external_network
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
  network     = merge({ bridge = var.site.bridge, gateway = var.site.gateway, nameservers = local.nameservers }, one(module.inside[*].network))
  open_ports  = each.value.open_ports
  proxmox     = { template = var.site.template, storage = var.site.storage }
  openstack   = { image = var.openstack.image, flavor = var.openstack.flavor, floating_network = var.openstack.external_network }
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
    connection  = module.node[local.control_plane].connection
    name        = module.node[local.control_plane].hostname
    own_address = local.on_openstack ? local.control_plane : null
  }
  workers = {
    for address, machine in local.workers : address => {
      connection  = module.node[address].connection
      name        = module.node[address].hostname
      own_address = local.on_openstack ? address : null
      labels      = var.labels
      taints      = var.taints
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
  source    = "../../modules/web-demo"
  image     = var.web_image
  command   = var.web_command
  address   = local.on_openstack ? module.node[local.control_plane].address : local.control_plane
  node_port = local.web_port
}
