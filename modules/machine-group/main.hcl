# Machines that do the same: on different nodes where there are enough, and changed one after the other.

# Nova keeps members apart where it can, and makes them together where it can't.
resource "openstack_server_group" "this" {
  count  = var.kind == "openstack" ? 1 : 0
  name   = var.name
  policy = "soft-anti-affinity"
}

module "machine" {
  source   = "../machine"
  for_each = var.machines

  name         = "${var.name}-${each.key}"
  kind         = var.kind
  group        = var.name
  address      = each.value.address
  host_key     = each.value.host_key
  user         = var.user
  key_file     = var.key_file
  private_key  = var.private_key
  ssh_keys     = var.ssh_keys
  bastion      = var.bastion
  ssh_port     = var.ssh_port
  boot_seconds = var.boot_seconds
  cores        = coalesce(each.value.cores, var.cores)
  memory_mib   = coalesce(each.value.memory_mib, var.memory_mib)
  disk_gib     = coalesce(each.value.disk_gib, var.disk_gib)
  network      = var.network
  open_ports   = var.open_ports
  proxmox      = merge(var.proxmox, each.value.node == null ? {} : { node = each.value.node })
  openstack    = merge({ server_group = one(openstack_server_group.this[*].id) }, var.openstack, each.value.zone == null ? {} : { zone = each.value.zone })
}
