# The machine on OpenStack: with ports of its own, so that it keeps its addresses when it is made anew.

locals {
  on_openstack      = var.kind == "openstack"
  has_floating_ip   = local.on_openstack && var.openstack.floating_network != null
  boots_from_volume = local.on_openstack && var.openstack.boot_from_volume
  has_own_group     = local.on_openstack && length(var.open_ports) > 0
  openstack_plugs   = { for index, plug in local.plugs : index => plug if local.on_openstack }
}

data "openstack_image" "this" {
  count  = local.on_openstack ? 1 : 0
  name   = var.openstack.image
  newest = true
}

data "openstack_flavor" "this" {
  count          = local.on_openstack && var.openstack.flavor == null ? 1 : 0
  min_cores      = var.cores
  min_memory_mib = var.memory_mib
  min_disk_gib   = local.boots_from_volume ? 0 : var.disk_gib
}

# What is let in from everywhere. Where nothing is, its networks' groups say it alone.
resource "openstack_security_group" "this" {
  count       = local.has_own_group ? 1 : 0
  name        = var.name
  description = "What is let in to ${var.name}."
}

resource "openstack_security_group_rule" "open" {
  for_each          = local.has_own_group ? toset(var.open_ports) : toset([])
  security_group_id = openstack_security_group.this[0].id
  direction         = "ingress"
  protocol          = split("/", each.key)[0]
  port_range_min    = tonumber(split("-", split("/", each.key)[1])[0])
  port_range_max    = tonumber(reverse(split("-", split("/", each.key)[1]))[0])
  remote_ip_prefix  = "0.0.0.0/0"
}

resource "openstack_port" "this" {
  for_each   = local.openstack_plugs
  name       = "${var.name}-${each.key}"
  network_id = each.value.id
  # Null, the project's own group, where neither the network nor the machine has one.
  security_group_ids = local.has_own_group || each.value.security_group_ids != null ? concat(coalesce(each.value.security_group_ids, []), openstack_security_group.this[*].id) : null

  dynamic "fixed_ip" {
    for_each = each.value.subnet_id == null && each.value.address == null ? [] : [each.value]
    content {
      subnet_id  = fixed_ip.value.subnet_id
      ip_address = fixed_ip.value.address == null ? null : split("/", fixed_ip.value.address)[0]
    }
  }
}

# A volume to boot from is kept when the server is made anew, and grows in place.
resource "openstack_volume" "system" {
  count             = local.boots_from_volume ? 1 : 0
  name              = var.name
  size_gib          = var.disk_gib
  image_id          = data.openstack_image.this[0].id
  volume_type       = var.openstack.volume_type
  availability_zone = var.openstack.volume_zone

  lifecycle {
    ignore_changes = [image_id]
  }
}

resource "openstack_server" "this" {
  count             = local.on_openstack ? 1 : 0
  name              = var.name
  flavor            = local.on_openstack ? coalesce(var.openstack.flavor, one(data.openstack_flavor.this[*].name)) : null
  image_id          = local.boots_from_volume ? null : data.openstack_image.this[0].id
  availability_zone = var.openstack.zone
  scheduler_hints   = var.openstack.server_group == null ? null : { group = var.openstack.server_group }
  config_drive      = var.openstack.config_drive
  bastion           = var.bastion
  ssh_port          = var.ssh_port

  dynamic "block_device" {
    for_each = openstack_volume.system
    content {
      source     = "volume"
      id         = block_device.value.id
      boot_index = 0
    }
  }

  dynamic "network" {
    for_each = openstack_port.this
    content {
      port_id = network.value.id
    }
  }

  cloud_init {
    user     = var.user
    ssh_keys = var.ssh_keys
  }

  lifecycle {
    # A newer image is for machines that are made anew: none is replaced because there is one.
    ignore_changes = [image_id]

    rollout {
      group = local.group
    }
  }
}

data "openstack_network" "outside" {
  count = local.has_floating_ip ? 1 : 0
  name  = var.openstack.floating_network
}

resource "openstack_floating_ip" "this" {
  count      = local.has_floating_ip ? 1 : 0
  network_id = data.openstack_network.outside[0].id
}

resource "openstack_floating_ip_association" "this" {
  count          = local.has_floating_ip ? 1 : 0
  floating_ip_id = openstack_floating_ip.this[0].id
  port_id        = openstack_port.this["0"].id
}
