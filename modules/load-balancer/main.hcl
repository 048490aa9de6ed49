# HAProxy on a machine, with one front for each service.

# Before the package: HAProxy reads it when it starts for the first time, and the package leaves alone what is there.
resource "host_directory" "this" {
  host = var.host
  path = "/etc/haproxy"
}

resource "host_file" "this" {
  host     = var.host
  path     = "${host_directory.this.path}/haproxy.cfg"
  owner    = "root"
  group    = "root"
  template = file("${path.module}/haproxy.cfg.tera")
  vars = {
    services = [for name in sort(keys(var.services)) : merge(var.services[name], {
      name    = name
      servers = [for server in sort(keys(var.services[name].servers)) : { name = server, address = var.services[name].servers[server] }]
    })]
    balance      = var.balance
    idle_seconds = var.idle_seconds
  }
  validate = "if dpkg-query -W ${var.package} >/dev/null 2>&1; then haproxy -c -q -f \"$file\"; fi"
}

resource "host_package" "this" {
  host       = var.host
  names      = [var.package]
  depends_on = [host_file.this]
}

# A changed list of servers is read anew: connections that exist are kept.
resource "host_service" "this" {
  host       = var.host
  name       = "haproxy"
  enabled    = true
  running    = true
  reload_on  = host_file.this.sha256
  depends_on = [host_package.this]
}
