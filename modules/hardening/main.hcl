# A machine that lets in named people by key, and nothing that nobody has asked for.

resource "host_package" "this" {
  host  = var.host
  names = ["nftables", "sudo", "unattended-upgrades"]
}

resource "host_user" "admin" {
  for_each = var.admins
  host     = var.host
  name     = each.key
  comment  = each.value.comment
  shell    = "/bin/bash"
}

resource "host_authorized_keys" "admin" {
  for_each  = var.admins
  host      = var.host
  user      = host_user.admin[each.key].name
  keys      = each.value.keys
  exclusive = true
}

resource "host_file" "sudoers" {
  host     = var.host
  path     = "/etc/sudoers.d/90-dmp-admins"
  mode     = "0440"
  owner    = "root"
  group    = "root"
  validate = "visudo -cf \"$file\""
  content = join("", concat(["# Managed by dmp.\n"], [
    for name in sort(keys(var.admins)) :
    "${name} ALL=(ALL:ALL) ${var.admins[name].sudo_password ? "" : "NOPASSWD: "}ALL\n"
  ]))
  depends_on = [host_package.this, host_user.admin]
}

resource "host_file" "banner" {
  for_each = toset(var.banner == null ? [] : ["/etc/issue", "/etc/issue.net"])
  host     = var.host
  path     = each.value
  owner    = "root"
  group    = "root"
  content  = "${trimspace(var.banner)}\n"
}

# When the file below is gone, sshd is told: a delete goes from the end to the beginning.
resource "host_command" "sshd_of_before" {
  host    = var.host
  create  = "true"
  check   = "true"
  destroy = "systemctl try-restart ssh"
}

# The keys of all who shall come in are there before anything else is closed.
resource "host_file" "sshd" {
  host       = var.host
  path       = "/etc/ssh/sshd_config.d/10-dmp-hardening.conf"
  mode       = "0600"
  owner      = "root"
  group      = "root"
  template   = file("${path.module}/sshd.conf.tera")
  vars       = { banner = var.banner != null, forwarding = var.forwarding }
  validate   = "sshd -t -f \"$file\""
  depends_on = [host_authorized_keys.admin, host_file.sudoers, host_file.banner, host_command.sshd_of_before]
}

resource "host_service" "ssh" {
  host       = var.host
  name       = "ssh"
  restart_on = [host_file.sshd.sha256]
}

resource "host_sysctl" "this" {
  host = var.host
  name = "80-dmp-hardening"
  settings = {
    "fs.protected_fifos"                         = "2"
    "fs.protected_hardlinks"                     = "1"
    "fs.protected_regular"                       = "2"
    "fs.protected_symlinks"                      = "1"
    "fs.suid_dumpable"                           = "0"
    "kernel.dmesg_restrict"                      = "1"
    "kernel.kptr_restrict"                       = "2"
    "net.ipv4.conf.all.accept_redirects"         = "0"
    "net.ipv4.conf.all.log_martians"             = "1"
    "net.ipv4.conf.all.send_redirects"           = "0"
    "net.ipv4.conf.default.accept_redirects"     = "0"
    "net.ipv4.conf.default.accept_source_route"  = "0"
    "net.ipv4.conf.default.log_martians"         = "1"
    "net.ipv4.icmp_echo_ignore_broadcasts"       = "1"
    "net.ipv4.icmp_ignore_bogus_error_responses" = "1"
    "net.ipv4.tcp_syncookies"                    = "1"
    "net.ipv6.conf.all.accept_redirects"         = "0"
    "net.ipv6.conf.default.accept_redirects"     = "0"
  }
}

# What no program here leaves behind, and protocols that nobody speaks here.
resource "host_file" "core_dumps" {
  host    = var.host
  path    = "/etc/security/limits.d/80-dmp-hardening.conf"
  owner   = "root"
  group   = "root"
  content = "# Managed by dmp.\n* hard core 0\n"
}

resource "host_file" "protocols" {
  host    = var.host
  path    = "/etc/modprobe.d/dmp-hardening.conf"
  owner   = "root"
  group   = "root"
  content = "# Managed by dmp.\n${join("", [for name in ["dccp", "rds", "sctp", "tipc"] : "install ${name} /bin/false\n"])}"
}

resource "host_firewall" "this" {
  host       = var.host
  allow      = var.allow
  depends_on = [host_package.this, host_file.sudoers]
}

resource "host_updates" "this" {
  host        = var.host
  reboot_time = var.reboot_time
  depends_on  = [host_package.this]
}

locals {
  strangers = var.open_ports == null ? [] : [
    for port in data.host_listening_ports.now.ports : "${port.protocol}/${port.port} (${join(", ", port.processes)})"
    if !port.local && !contains(coalesce(var.open_ports, []), "${port.protocol}/${port.port}")
  ]
}

data "host_listening_ports" "now" {
  host = var.host
}

check "open_ports" {
  assert {
    condition     = length(local.strangers) == 0
    error_message = "Ports that are not among `open_ports` are open to others: ${join(", ", local.strangers)}."
  }
}
