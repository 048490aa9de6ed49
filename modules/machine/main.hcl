# A machine, wherever it comes from, as something to reach over SSH. What makes it is in a file by the name of its kind.

locals {
  is_new = var.kind != "existing"
  # One that is in no group is one by itself.
  group = coalesce(var.group, var.name)
  # Its own address first: `network` is the first of its networks.
  plugs = concat([merge(var.network, { address = var.address })], var.networks)
  # Known before it is made, where it is given; and the way to it from outside where that is another address.
  given       = local.on_openstack && var.address != null
  own_address = local.given ? split("/", var.address)[0] : one(concat(proxmox_vm.this[*].address, openstack_server.this[*].address, local.is_new ? [] : [var.address]))
  address     = local.has_floating_ip ? one(openstack_floating_ip.this[*].address) : local.own_address
}

resource "host" "this" {
  port         = var.ssh_port
  address      = local.address
  user         = var.user
  sudo         = var.sudo
  key_file     = var.key_file
  private_key  = var.private_key
  host_key     = local.is_new ? one(concat(proxmox_vm.this[*].host_key, openstack_server.this[*].host_key)) : var.host_key
  bastion      = var.bastion
  boot_seconds = var.boot_seconds
  depends_on   = [openstack_floating_ip_association.this, openstack_security_group_rule.open]

  lifecycle {
    # Not by its address: a floating IP outlives the machine that it leads to.
    hosted_on = concat(proxmox_vm.this[*].address, openstack_server.this[*].id, local.is_new ? [] : [var.address])
  }
}
