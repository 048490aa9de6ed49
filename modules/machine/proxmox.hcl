# The machine on Proxmox VE.

resource "proxmox_vm" "this" {
  count        = var.kind == "proxmox" ? 1 : 0
  name         = var.name
  node         = var.proxmox.node
  cores        = var.cores
  memory_mib   = var.memory_mib
  cpu_type     = var.proxmox.cpu_type
  group        = var.group
  pool         = var.proxmox.pool
  tags         = var.proxmox.tags
  bastion      = var.bastion
  ssh_port     = var.ssh_port
  boot_seconds = var.boot_seconds

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
