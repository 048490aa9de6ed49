# A small web service: a private network, a bastion that leads in, machines that serve a page, and a balancer before them.

stack {
  required_version = ">= 0.1"
}

provider "proxmox" {
  endpoints = var.proxmox_endpoints
  api_token = var.proxmox_api_token
  ca        = var.proxmox_ca
  vm_ids    = { from = 5000, to = 5999 }
}

# What is null is found as the `openstack` command line finds it: by `clouds.yaml` and `OS_*`.
provider "openstack" {
  cloud                         = var.openstack_cloud
  auth_url                      = var.openstack_auth_url
  application_credential_id     = var.openstack_application_credential_id
  application_credential_secret = var.openstack_application_credential_secret
  region                        = var.openstack_region
  ca                            = var.openstack_ca
}

# Whoever has the state can log in; `dmp ssh` does.
resource "core_ssh_key" "login" {}

locals {
  is_openstack = var.kind == "openstack"
  proxmox      = { template = var.site.template, storage = var.site.storage }
  openstack    = { image = var.openstack.image, flavor = var.openstack.flavor }
  # On Proxmox who is reached from outside has a second plug, in the bridge that leads there; on OpenStack a floating IP leads in.
  outside = local.is_openstack ? module.inside.network : module.outside.network
  reached = merge(local.openstack, { floating_network = var.openstack.external_network })
  inside = {
    bastion  = "${cidrhost(var.site.inside, 2)}/${module.inside.prefix}"
    balancer = "${cidrhost(var.site.inside, 3)}/${module.inside.prefix}"
  }
  gateway = local.is_openstack || var.site.inside_bridge == null ? cidrhost(var.site.inside, 1) : null
  port    = 8080
}

# The bridge that is there already. On OpenStack nothing is in it.
module "outside" {
  source      = "../../modules/private-network"
  kind        = "existing"
  name        = "outside"
  cidr        = var.site.bastion
  bridge      = var.site.bridge
  gateway     = var.site.gateway
  nameservers = var.site.nameservers
}

module "inside" {
  source           = "../../modules/private-network"
  kind             = var.kind
  name             = "quick"
  cidr             = var.site.inside
  bridge           = local.is_openstack ? null : var.site.inside_bridge
  vlan             = local.is_openstack ? null : var.site.inside_vlan
  gateway          = local.gateway
  nameservers      = local.is_openstack ? var.site.nameservers : []
  external_network = local.is_openstack ? var.openstack.external_network : null
}

module "bastion" {
  source       = "../../modules/machine"
  kind         = var.kind
  name         = "bastion"
  address      = local.is_openstack ? local.inside.bastion : var.site.bastion
  network      = local.outside
  networks     = local.is_openstack ? [] : [{ bridge = module.inside.network.bridge, vlan = module.inside.network.vlan, address = local.inside.bastion }]
  open_ports   = ["tcp/${var.site.ssh_port}"]
  ssh_keys     = [core_ssh_key.login.public_key]
  private_key  = core_ssh_key.login.private_key
  ssh_port     = var.site.ssh_port
  boot_seconds = var.site.boot_seconds
  proxmox      = local.proxmox
  openstack    = local.reached
}

module "balancer" {
  source       = "../../modules/machine"
  kind         = var.kind
  name         = "balancer"
  address      = local.is_openstack ? local.inside.balancer : var.site.balancer
  network      = local.outside
  networks     = local.is_openstack ? [] : [{ bridge = module.inside.network.bridge, vlan = module.inside.network.vlan, address = local.inside.balancer }]
  open_ports   = ["tcp/${var.site.ssh_port}", "tcp/${local.port}"]
  ssh_keys     = [core_ssh_key.login.public_key]
  private_key  = core_ssh_key.login.private_key
  ssh_port     = var.site.ssh_port
  boot_seconds = var.site.boot_seconds
  proxmox      = local.proxmox
  openstack    = local.reached
}

module "web" {
  source       = "../../modules/machine-group"
  kind         = var.kind
  name         = "web"
  machines     = { for number in range(1, var.webs + 1) : number => { address = "${cidrhost(var.site.inside, 10 + number)}/${module.inside.prefix}" } }
  network      = module.inside.network
  bastion      = module.bastion.connection
  ssh_keys     = [core_ssh_key.login.public_key]
  private_key  = core_ssh_key.login.private_key
  ssh_port     = var.site.ssh_port
  boot_seconds = var.site.boot_seconds
  proxmox      = local.proxmox
  openstack    = local.openstack
}

locals {
  connections = merge(
    { bastion = module.bastion.connection, balancer = module.balancer.connection },
    { for key, connection in module.web.connections : "web-${key}" => connection },
  )
}

module "base" {
  source   = "../../modules/base-host"
  for_each = local.connections
  host     = each.value
  hosts    = { for key, address in module.web.addresses : address => ["web-${key}"] if "web-${key}" != each.key }
}

module "hardening" {
  source   = "../../modules/hardening"
  for_each = var.hardening ? local.connections : {}
  host     = each.value
  admins   = { operator = { keys = [core_ssh_key.login.public_key] } }
  allow    = each.key == "bastion" ? [] : [{ name = "web", ports = [tostring(local.port)] }]
  # The bastion hands connections on.
  forwarding = each.key == "bastion"
  open_ports = each.key == "bastion" ? ["tcp/22"] : ["tcp/22", "tcp/${local.port}"]
  depends_on = [module.base]
}

resource "host_package" "nginx" {
  for_each   = module.web.connections
  host       = each.value
  names      = ["nginx"]
  depends_on = [module.base]
}

resource "host_file" "page" {
  for_each   = module.web.connections
  host       = each.value
  path       = "/var/www/html/index.html"
  content    = "hello from ${module.web.names[each.key]}\n"
  depends_on = [host_package.nginx]
}

resource "host_file" "site" {
  for_each   = module.web.connections
  host       = each.value
  path       = "/etc/nginx/conf.d/page.conf"
  content    = <<-EOS
    server {
        listen ${module.web.addresses[each.key]}:${local.port};
        root /var/www/html;
    }
  EOS
  depends_on = [host_package.nginx]
}

resource "host_service" "nginx" {
  for_each  = module.web.connections
  host      = each.value
  name      = "nginx"
  enabled   = true
  running   = true
  reload_on = host_file.site[each.key].sha256
}

module "service" {
  source = "../../modules/load-balancer"
  host   = module.balancer.connection
  services = {
    web = {
      port    = local.port
      bind    = module.balancer.own_address
      check   = "/"
      servers = { for key, address in module.web.addresses : "web-${key}" => "${address}:${local.port}" }
    }
  }
  depends_on = [module.base, host_service.nginx]
}

# Asked from here, as a visitor would.
check "page" {
  data "core_http" "page" {
    url        = "http://${module.balancer.address}:${module.service.ports.web}/"
    depends_on = [module.service]
  }

  assert {
    condition     = data.core_http.page.status_code == 200 && startswith(data.core_http.page.body, "hello from web-")
    error_message = "the page does not answer through the balancer."
  }
}
