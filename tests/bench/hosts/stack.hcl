# The work of `cargo xtask bench hosts` for dmp: thirty resources on each host.
variable "hosts" { type = map(string) }
variable "host_key" { type = string }
variable "key_file" { type = string }

resource "host" "h" {
  for_each = var.hosts
  address  = each.value
  key_file = var.key_file
  host_key = var.host_key
}

locals {
  numbers = { for count in [2, 5, 6, 10] : count => { for pair in setproduct(keys(var.hosts), range(count)) : "${pair[0]}-${pair[1]}" => { on = pair[0], number = pair[1] } } }
  top     = { for pair in setproduct(keys(var.hosts), ["app", "data"]) : "${pair[0]}-${pair[1]}" => { on = pair[0], name = pair[1] } }
  inner = { for pair in setproduct(keys(var.hosts), ["app/conf", "app/log", "data/in", "data/out"]) :
  "${pair[0]}-${pair[1]}" => { on = pair[0], top = dirname(pair[1]), name = basename(pair[1]) } }
}

resource "host_user" "bench" {
  for_each    = local.numbers[2]
  host        = host.h[each.value.on].connection
  name        = "bench${each.value.number + 1}"
  system      = true
  create_home = false
  shell       = "/usr/sbin/nologin"
}

resource "host_directory" "top" {
  for_each = local.top
  host     = host.h[each.value.on].connection
  path     = "/srv/bench/${each.value.name}"
  mode     = "0750"
  owner    = "root"
  group    = "root"
}

resource "host_directory" "inner" {
  for_each = local.inner
  host     = host.h[each.value.on].connection
  path     = "${host_directory.top["${each.value.on}-${each.value.top}"].path}/${each.value.name}"
  mode     = "0750"
  owner    = "root"
  group    = "root"
}

resource "host_file" "conf" {
  for_each = local.numbers[10]
  host     = host.h[each.value.on].connection
  path     = "${host_directory.inner["${each.value.on}-app/conf"].path}/${each.value.number}.conf"
  template = file("${path.module}/app.conf.j2")
  vars     = { label = each.value.on, number = each.value.number, port = 8000 + each.value.number }
  mode     = "0640"
  owner    = "root"
  group    = "root"
}

resource "host_symlink" "current" {
  for_each = local.numbers[5]
  host     = host.h[each.value.on].connection
  path     = "${host_directory.top["${each.value.on}-app"].path}/current-${each.value.number}"
  target   = "conf/${each.value.number}.conf"
}

resource "host_line" "setting" {
  for_each = local.numbers[6]
  host     = host.h[each.value.on].connection
  path     = "${host_directory.top["${each.value.on}-data"].path}/settings"
  line     = "key${each.value.number} = ${each.value.on}"
  create   = true
}

resource "host_command" "stamp" {
  for_each = var.hosts
  host     = host.h[each.key].connection
  check    = "test -e /srv/bench/data/stamp"
  create   = "echo made >/srv/bench/data/stamp"

  depends_on = [host_directory.top]
}
