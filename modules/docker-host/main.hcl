# Docker Engine and Compose from the distribution's packages, and the projects that run by them.

locals {
  proxies = { for name, value in {
    "http-proxy"  = var.http_proxy
    "https-proxy" = var.https_proxy
    "no-proxy"    = join(",", var.no_proxy)
  } : name => value if value != null && value != "" }

  daemon = merge(
    {
      "log-driver"   = var.logs.driver
      "log-opts"     = { "max-size" = var.logs.max_size, "max-file" = tostring(var.logs.max_files) }
      "live-restore" = var.live_restore
    },
    length(var.address_pools) > 0 ? { "default-address-pools" = var.address_pools } : {},
    length(var.registry_mirrors) > 0 ? { "registry-mirrors" = var.registry_mirrors } : {},
    length(var.insecure_registries) > 0 ? { "insecure-registries" = var.insecure_registries } : {},
    length(local.proxies) > 0 ? { "proxies" = local.proxies } : {},
    var.settings,
  )
}

# Before the packages: the daemon makes its first network, with its first address, when it starts for the first time.
resource "host_directory" "this" {
  host = var.host
  path = "/etc/docker"
}

resource "host_file" "daemon" {
  host     = var.host
  path     = "${host_directory.this.path}/daemon.json"
  owner    = "root"
  group    = "root"
  content  = "${jsonencode(local.daemon)}\n"
  validate = "if command -v dockerd >/dev/null; then dockerd --validate --config-file \"$file\"; fi"
}

# Debian's docker.io removes /var/lib/docker, with all volumes, when it is purged, by this script: it may not run it. The package goes first
# in a destroy, and the rule after it.
resource "host_command" "data_stay" {
  host    = var.host
  create  = "dpkg-statoverride --update --add root root 0644 /usr/share/docker.io/contrib/nuke-graph-directory.sh"
  check   = "dpkg-statoverride --list /usr/share/docker.io/contrib/nuke-graph-directory.sh"
  destroy = "dpkg-statoverride --remove /usr/share/docker.io/contrib/nuke-graph-directory.sh"
}

resource "host_package" "this" {
  host       = var.host
  names      = var.packages
  depends_on = [host_file.daemon, host_command.data_stay]
}

resource "host_service" "this" {
  host       = var.host
  name       = "docker"
  enabled    = true
  running    = true
  restart_on = host_file.daemon.sha256
  depends_on = [host_package.this]
}

# Whoever may speak with the daemon is root by that.
resource "host_user" "member" {
  for_each   = var.members
  host       = var.host
  name       = each.value
  groups     = ["docker"]
  depends_on = [host_package.this]
}

resource "host_compose_project" "this" {
  for_each        = var.projects
  host            = var.host
  name            = each.key
  directory       = coalesce(each.value.directory, "/srv/${each.key}")
  files           = each.value.files
  sensitive_files = each.value.sensitive_files
  sensitive_mode  = each.value.sensitive_mode
  env             = each.value.env
  profiles        = each.value.profiles
  pull            = each.value.pull
  wait_timeout    = each.value.wait_timeout
  delete_volumes  = each.value.delete_volumes
  depends_on      = [host_service.this]
}
