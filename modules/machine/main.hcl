# A machine, wherever it comes from, as something to reach over SSH.

locals {
  is_new = var.kind == "proxmox"
  # One that is in no group is one by itself.
  group = coalesce(var.group, var.name)
}

resource "proxmox_vm" "this" {
  count      = local.is_new ? 1 : 0
  name       = var.name
  node       = var.proxmox.node
  cores      = var.cores
  memory_mib = var.memory_mib
  cpu_type   = var.proxmox.cpu_type
  group      = var.group
  pool       = var.proxmox.pool
  tags       = var.proxmox.tags
  bastion    = var.bastion
  ssh_port   = var.ssh_port

  dynamic "clone" {
    for_each = var.proxmox.template == null ? [] : [var.proxmox.template]
    content {
      template = clone.value
      full     = var.proxmox.full_clone
      storage  = var.proxmox.full_clone ? var.proxmox.storage : null
    }
  }

  disk {
    slot        = "scsi0"
    storage     = var.proxmox.storage
    size_gib    = var.disk_gib
    import_from = var.proxmox.image
  }

  network {
    bridge   = var.network.bridge
    vlan     = var.network.vlan
    firewall = var.network.firewall
  }

  dynamic "network" {
    for_each = var.networks
    content {
      bridge   = network.value.bridge
      vlan     = network.value.vlan
      firewall = network.value.firewall
    }
  }

  cloud_init {
    user         = var.user
    ssh_keys     = var.ssh_keys
    nameservers  = var.network.nameservers
    seed_storage = var.proxmox.seed_storage
    address = concat(
      [{ ipv4 = coalesce(var.address, "dhcp"), gateway4 = var.address == null ? null : var.network.gateway }],
      [for network in var.networks : { ipv4 = coalesce(network.address, "dhcp"), gateway4 = null }],
    )
  }

  lifecycle {
    rollout {
      group = local.group
    }
  }
}

resource "host" "this" {
  port        = var.ssh_port
  address     = local.is_new ? one(proxmox_vm.this[*].address) : var.address
  user        = var.user
  sudo        = var.sudo
  key_file    = var.key_file
  private_key = var.private_key
  host_key    = local.is_new ? one(proxmox_vm.this[*].host_key) : var.host_key
  bastion     = var.bastion
}
