# A network that only its own machines reach, wherever it comes from. What makes it is in a file by the name of its kind.

output "network" {
  description = "What `machine` and `machine-group` take as `network`."
  value = {
    bridge             = local.on_proxmox ? one(proxmox_sdn_vnet.this[*].name) : var.bridge
    gateway            = var.gateway
    nameservers        = length(var.nameservers) > 0 ? var.nameservers : null
    vlan               = var.vlan
    id                 = one(openstack_network.this[*].id)
    subnet_id          = one(openstack_subnet.this[*].id)
    security_group_ids = local.on_openstack ? openstack_security_group.members[*].id : null
  }
  depends_on = [proxmox_sdn_subnet.this, openstack_router_interface.this, openstack_security_group_rule.members]
}

output "cidr" {
  description = "Its addresses."
  value       = var.cidr
}

output "prefix" {
  description = "The length of its prefix."
  value       = tonumber(split("/", var.cidr)[1])
}
