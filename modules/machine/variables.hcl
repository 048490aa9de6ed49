variable "name" {
  description = "Its name, a DNS name such as `web-1`."
  type        = string
}

variable "kind" {
  description = "Where it comes from: `proxmox` and `openstack` make it, `existing` takes one that is there."
  type        = string

  validation {
    condition     = contains(["proxmox", "openstack", "existing"], var.kind)
    error_message = "`kind` is `proxmox`, `openstack` or `existing`."
  }
}

variable "address" {
  description = "Its address. `existing`: a host name or an IP address. New ones: an address with its prefix, `192.0.2.11/24`; or null for one that the network gives (on Proxmox by DHCP, for which the image needs the guest agent)."
  type        = string
  default     = null

  validation {
    condition     = var.kind != "existing" || var.address != null
    error_message = "a machine that exists needs its `address`."
  }
  validation {
    condition     = var.kind == "existing" || var.address == null || can(regex("^[0-9a-fA-F.:]+/[0-9]+$", var.address))
    error_message = "the `address` of a new machine has a prefix: `192.0.2.11/24`."
  }
}

variable "user" {
  description = "The user to log in as; it may become root by `sudo` without a password."
  type        = string
  default     = "debian"
}

variable "sudo" {
  description = "Whether that user becomes root by `sudo`. False: what it may by itself has to do."
  type        = bool
  default     = true
}

variable "key_file" {
  description = "Path of the private key to log in with; null for your SSH configuration and agent."
  type        = string
  default     = null
}

variable "private_key" {
  description = "The private key itself to log in with, in place of `key_file`; it is recorded, encrypted."
  type        = string
  default     = null
  sensitive   = true
}

variable "ssh_port" {
  description = "The port that the SSH server listens at."
  type        = number
  default     = 22
}

variable "ssh_keys" {
  description = "Public keys that log in on a new machine, as `ssh-ed25519 AAAA…`."
  type        = list(string)
  default     = []

  validation {
    condition     = var.kind == "existing" || length(var.ssh_keys) > 0
    error_message = "a new machine needs at least one of `ssh_keys`: there are no passwords."
  }
}

variable "host_key" {
  description = "`existing`: the host key to accept; null pins the one of the first contact. A new machine gets one from dmp."
  type        = string
  default     = null
}

variable "bastion" {
  description = "The machine to go through: its `connection`. Null: it is reached directly."
  type        = any
  default     = null
}

variable "boot_seconds" {
  description = "How long it may take to boot until it lets one log in, in seconds; null for 300."
  type        = number
  default     = null
}

variable "cores" {
  description = "Processors of a new machine."
  type        = number
  default     = 2
}

variable "memory_mib" {
  description = "Memory of a new machine in MiB."
  type        = number
  default     = 2048
}

variable "disk_gib" {
  description = "Size of a new machine's first disk in GiB; it may grow later."
  type        = number
  default     = 16
}

variable "network" {
  description = "The network of a new machine, as `private-network` gives it. On Proxmox: `bridge`, `gateway`, `nameservers`, `vlan`, `firewall`. On OpenStack: the network's `id`, the `subnet_id` of its address, `security_group_ids`."
  type = object({
    bridge             = optional(string, "vmbr0")
    gateway            = optional(string)
    nameservers        = optional(list(string))
    vlan               = optional(number)
    firewall           = optional(bool)
    id                 = optional(string)
    subnet_id          = optional(string)
    security_group_ids = optional(list(string))
  })
  default = {}

  validation {
    condition     = var.kind != "openstack" || var.network.id != null
    error_message = "on OpenStack `network` needs the `id` of a network: what `private-network` gives, or that of `data \"openstack_network\"`."
  }
}

variable "networks" {
  description = "More networks of a new machine, as `network`, each with the machine's `address` there."
  type = list(object({
    bridge             = optional(string)
    address            = optional(string)
    vlan               = optional(number)
    firewall           = optional(bool)
    id                 = optional(string)
    subnet_id          = optional(string)
    security_group_ids = optional(list(string))
  }))
  default = []

  validation {
    condition     = alltrue([for network in var.networks : var.kind == "openstack" ? network.id != null : network.bridge != null || var.kind == "existing"])
    error_message = "each of `networks` has a `bridge` on Proxmox, and an `id` on OpenStack."
  }
}

variable "open_ports" {
  description = "What is let in from everywhere, as `tcp/22` or `udp/8000-8010`, where the ground lets nothing in by itself: on OpenStack, by a security group of its own. On Proxmox and on machines that exist all is let in that the machine itself does."
  type        = list(string)
  default     = []

  validation {
    condition     = alltrue([for port in var.open_ports : can(regex("^(tcp|udp)/[0-9]+(-[0-9]+)?$", port))])
    error_message = "`open_ports` are written as `tcp/22` or `udp/8000-8010`."
  }
}

variable "group" {
  description = "The group it belongs to: members are placed on different nodes where there are enough, and are rebooted or replaced one after the other. Null: none."
  type        = string
  default     = null
}

variable "proxmox" {
  description = "What only Proxmox needs: the `template` to copy (name or id), or the `image` to begin with (the `volume` of a `proxmox_image`); the `storage` of its disk; and what may be left open."
  type = object({
    template     = optional(string)
    full_clone   = optional(bool, true)
    image        = optional(string)
    storage      = optional(string)
    seed_storage = optional(string)
    node         = optional(string)
    pool         = optional(string)
    tags         = optional(set(string), [])
    cpu_type     = optional(string)
  })
  default = {}

  validation {
    condition     = var.kind != "proxmox" || (var.proxmox.template == null) != (var.proxmox.image == null)
    error_message = "`proxmox` names either a `template` or an `image`."
  }
}

variable "openstack" {
  description = "What only OpenStack needs: the `image` by its name; the `flavor`, null for the smallest with `cores`, `memory_mib` and `disk_gib`; and what may be left open. `floating_network` is the external network that it gets an address of, by name: then it is reached there."
  type = object({
    image            = optional(string)
    flavor           = optional(string)
    floating_network = optional(string)
    boot_from_volume = optional(bool, false)
    volume_type      = optional(string)
    volume_zone      = optional(string)
    zone             = optional(string)
    server_group     = optional(string)
    config_drive     = optional(bool)
  })
  default = {}

  validation {
    condition     = var.kind != "openstack" || var.openstack.image != null
    error_message = "`openstack` names the `image` that the machine begins as."
  }
}
