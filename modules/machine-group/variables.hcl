variable "name" {
  description = "The group's name; the machines are called by it and their keys: `web-1`."
  type        = string
}

variable "machines" {
  description = "The machines by their keys, each with its `address` (see `machine`); `{ 1 = { address = \"192.0.2.11/24\" } }`. What is not given of one is as for all."
  type = map(object({
    address    = optional(string)
    host_key   = optional(string)
    cores      = optional(number)
    memory_mib = optional(number)
    disk_gib   = optional(number)
    node       = optional(string)
    zone       = optional(string)
  }))
}

variable "kind" {
  description = "Where they come from: `proxmox` and `openstack` make them, `existing` takes what is there."
  type        = string
}

variable "user" {
  description = "The user to log in as; it may become root by `sudo` without a password."
  type        = string
  default     = "debian"
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
  description = "Public keys that log in on new machines."
  type        = list(string)
  default     = []
}

variable "bastion" {
  description = "The machine to go through: its `connection`. Null: they are reached directly."
  type        = any
  default     = null
}

variable "boot_seconds" {
  description = "How long each may take to boot until it lets one log in, in seconds; null for 300."
  type        = number
  default     = null
}

variable "cores" {
  type    = number
  default = 2
}

variable "memory_mib" {
  type    = number
  default = 2048
}

variable "disk_gib" {
  type    = number
  default = 16
}

variable "network" {
  description = "Their network, as `private-network` gives it."
  type        = any
  default     = {}
}

variable "open_ports" {
  description = "What is let in from everywhere: see `machine`."
  type        = list(string)
  default     = []
}

variable "proxmox" {
  description = "What only Proxmox needs: see `machine`."
  type        = any
  default     = {}
}

variable "openstack" {
  description = "What only OpenStack needs: see `machine`. Without a `server_group` they get one of their own, whose members are kept apart where that can be."
  type        = any
  default     = {}
}
