# The network on Proxmox VE: one of the cluster's SDN, where no bridge is named.

locals {
  on_proxmox = var.kind == "proxmox" && var.bridge == null
}

resource "proxmox_sdn_zone" "this" {
  count = local.on_proxmox && var.zone == null ? 1 : 0
  name  = var.name
  type  = "simple"
}

resource "proxmox_sdn_vnet" "this" {
  count = local.on_proxmox ? 1 : 0
  name  = var.name
  zone  = coalesce(var.zone, one(proxmox_sdn_zone.this[*].name))
  tag   = var.tag
}

resource "proxmox_sdn_subnet" "this" {
  count   = local.on_proxmox ? 1 : 0
  vnet    = proxmox_sdn_vnet.this[0].name
  cidr    = var.cidr
  gateway = var.gateway
  snat    = var.zone == null && var.gateway != null ? true : null
}
