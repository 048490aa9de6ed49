# The network on OpenStack, with a subnet, and a router where it leads out.

locals {
  on_openstack = var.kind == "openstack"
  leads_out    = local.on_openstack && var.external_network != null
}

resource "openstack_network" "this" {
  count = local.on_openstack ? 1 : 0
  name  = var.name
}

resource "openstack_subnet" "this" {
  count           = local.on_openstack ? 1 : 0
  name            = var.name
  network_id      = openstack_network.this[0].id
  cidr            = var.cidr
  gateway_ip      = var.gateway
  no_gateway      = var.gateway == null
  dns_nameservers = var.nameservers
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
