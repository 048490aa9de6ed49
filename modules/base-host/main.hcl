# What every machine of a stack has, before anything is put on it.

locals {
  # Without the data of time zones a link to one of them leads nowhere.
  packages = setunion(var.packages, var.time_zone == null ? [] : ["tzdata"])
}

resource "host_kernel_module" "this" {
  for_each = var.kernel_modules
  host     = var.host
  name     = each.value
}

resource "host_sysctl" "this" {
  count      = length(var.sysctls) > 0 ? 1 : 0
  host       = var.host
  name       = "90-dmp-base"
  settings   = var.sysctls
  depends_on = [host_kernel_module.this]
}

resource "host_package" "this" {
  count = length(local.packages) > 0 ? 1 : 0
  host  = var.host
  names = local.packages
}

resource "host_hostname" "this" {
  count = var.hostname == null ? 0 : 1
  host  = var.host
  name  = split(".", var.hostname)[0]
  fqdn  = strcontains(var.hostname, ".") ? var.hostname : null
}

resource "host_block" "hosts" {
  count   = length(var.hosts) > 0 ? 1 : 0
  host    = var.host
  path    = "/etc/hosts"
  name    = "hosts"
  content = join("\n", [for address in sort(keys(var.hosts)) : "${address} ${join(" ", var.hosts[address])}"])
}

resource "host_symlink" "localtime" {
  count      = var.time_zone == null ? 0 : 1
  host       = var.host
  path       = "/etc/localtime"
  target     = "/usr/share/zoneinfo/${var.time_zone}"
  depends_on = [host_package.this]
}

resource "host_file" "timezone" {
  count      = var.time_zone == null ? 0 : 1
  host       = var.host
  path       = "/etc/timezone"
  owner      = "root"
  group      = "root"
  content    = "${var.time_zone}\n"
  depends_on = [host_package.this]
}
