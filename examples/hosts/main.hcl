# Machines that are there already, by address: what every one has, who may come in, and a small service.

resource "host" "node" {
  for_each = var.nodes
  address  = each.value
  user     = var.user
  key_file = var.key_file
}

module "base" {
  source    = "../../modules/base-host"
  for_each  = host.node
  host      = each.value.connection
  packages  = ["busybox", "chrony"]
  hostname  = each.key
  hosts     = { for name, address in var.nodes : address => [name] if name != each.key }
  time_zone = var.time_zone
}

module "hardening" {
  source   = "../../modules/hardening"
  for_each = host.node
  host     = each.value.connection
  admins   = var.admins
  allow    = [{ name = "status page", ports = ["8080"], from = var.status_from }]
  # Chrony asks others for the time; it answers nobody.
  open_ports = ["tcp/22", "tcp/8080"]
  banner     = "Private system. Only authorized people have access; connections are logged."
  depends_on = [module.base]
}

resource "host_user" "status" {
  for_each    = host.node
  host        = each.value.connection
  name        = "status"
  system      = true
  home        = "/nonexistent"
  create_home = false
  shell       = "/usr/sbin/nologin"
}

resource "host_directory" "status" {
  for_each = host.node
  host     = each.value.connection
  path     = "/srv/status"
}

resource "host_file" "status" {
  for_each = host.node
  host     = each.value.connection
  path     = "${host_directory.status[each.key].path}/index.html"
  template = file("${path.module}/status.html.tera")
  vars = {
    name    = each.key
    cores   = each.value.cores
    memory  = each.value.memory_mib
    os      = "${each.value.os.id} ${each.value.os.version_id}"
    friends = sort(setsubtract(keys(var.nodes), [each.key]))
  }
}

resource "host_service" "status" {
  for_each = host.node
  host     = each.value.connection
  name     = "status"
  enabled  = true
  running  = true
  unit     = <<-EOU
    [Unit]
    Description=Status page
    After=network.target

    [Service]
    ExecStart=/usr/bin/busybox httpd -f -p 8080 -h ${host_directory.status[each.key].path}
    User=${host_user.status[each.key].name}
    NoNewPrivileges=yes
    ProtectSystem=strict
    ProtectHome=yes
    PrivateTmp=yes
    Restart=on-failure

    [Install]
    WantedBy=multi-user.target
  EOU

  depends_on = [module.base, host_file.status]
}
