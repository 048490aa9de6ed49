# A network that only its own machines reach, wherever it comes from.

locals {
  # A network of one's own in the cluster's SDN, where no bridge is named.
  is_made = var.kind == "proxmox" && var.bridge == null
}

resource "proxmox_sdn_zone" "this" {
  count = local.is_made && var.zone == null ? 1 : 0
  name  = var.name
  type  = "simple"
}

resource "proxmox_sdn_vnet" "this" {
  count = local.is_made ? 1 : 0
  name  = var.name
  zone  = coalesce(var.zone, one(proxmox_sdn_zone.this[*].name))
  tag   = var.tag
}

resource "proxmox_sdn_subnet" "this" {
  count   = local.is_made ? 1 : 0
  vnet    = proxmox_sdn_vnet.this[0].name
  cidr    = var.cidr
  gateway = var.gateway
  snat    = var.zone == null && var.gateway != null ? true : null
}
