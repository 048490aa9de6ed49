output "network" {
  description = "What `machine` and `machine-group` take as `network`."
  value = {
    bridge      = local.is_made ? one(proxmox_sdn_vnet.this[*].name) : var.bridge
    gateway     = var.gateway
    nameservers = length(var.nameservers) > 0 ? var.nameservers : null
    vlan        = var.vlan
  }
  depends_on = [proxmox_sdn_subnet.this]
}

output "cidr" {
  description = "Its addresses."
  value       = var.cidr
}

output "prefix" {
  description = "The length of its prefix."
  value       = tonumber(split("/", var.cidr)[1])
}
