# The network on OpenStack, with a subnet, and a router where it leads out.

locals {
  on_openstack = var.kind == "openstack"
  leads_out    = local.on_openstack && var.external_network != null
  # What takes an address by itself, such as the cloud's DHCP server, leaves the lower half to machines with an address of their own.
  length   = tonumber(split("/", var.cidr)[1])
  has_half = local.on_openstack && local.length < 30 && can(regex("^[0-9.]+/", var.cidr))
  half     = local.has_half ? { start = cidrhost(var.cidr, pow(2, 31 - local.length)), end = cidrhost(var.cidr, local.is_last ? -3 : -2) } : null
  is_last  = local.has_half ? var.gateway == cidrhost(var.cidr, -2) : false
  pool     = var.pool == null ? local.half : var.pool
}

resource "openstack_network" "this" {
  count = local.on_openstack ? 1 : 0
  name  = var.name
}

resource "openstack_subnet" "this" {
  count            = local.on_openstack ? 1 : 0
  name             = var.name
  network_id       = openstack_network.this[0].id
  cidr             = var.cidr
  gateway_ip       = var.gateway
  no_gateway       = var.gateway == null
  dns_nameservers  = var.nameservers
  allocation_pools = local.pool == null ? null : [local.pool]
}

# Its machines let each other in.
resource "openstack_security_group" "members" {
  count       = local.on_openstack ? 1 : 0
  name        = var.name
  description = "Machines of the network ${var.name}, which let each other in."
}

resource "openstack_security_group_rule" "members" {
  count             = local.on_openstack ? 1 : 0
  security_group_id = openstack_security_group.members[0].id
  direction         = "ingress"
  remote_ip_prefix  = var.cidr
}

data "openstack_network" "external" {
  count = local.leads_out ? 1 : 0
  name  = var.external_network
}

resource "openstack_router" "this" {
  count               = local.leads_out ? 1 : 0
  name                = var.name
  external_network_id = data.openstack_network.external[0].id
}

resource "openstack_router_interface" "this" {
  count     = local.leads_out ? 1 : 0
  router_id = openstack_router.this[0].id
  subnet_id = openstack_subnet.this[0].id
}
