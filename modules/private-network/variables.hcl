variable "name" {
  description = "The network's name: up to 8 small letters and digits, a letter first. On Proxmox it is its bridge's name too."
  type        = string

  validation {
    condition     = can(regex("^[a-z][a-z0-9]{0,7}$", var.name))
    error_message = "the name has up to 8 small letters and digits, a letter first."
  }
}

variable "kind" {
  description = "Where it comes from: `proxmox` and `openstack` make it, `existing` takes one that is there."
  type        = string

  validation {
    condition     = contains(["proxmox", "openstack", "existing"], var.kind)
    error_message = "`kind` is `proxmox`, `openstack` or `existing`."
  }
}

variable "cidr" {
  description = "Its addresses, such as `10.20.0.0/24`."
  type        = string

  validation {
    condition     = can(cidrhost(var.cidr, 1))
    error_message = "`cidr` is a network such as `10.20.0.0/24`."
  }
}

variable "gateway" {
  description = "The way out, an address of it; null: none. In a zone of type `simple` the nodes have it, and its machines go out under the node's address. On OpenStack it is the router's, where `external_network` is given."
  type        = string
  default     = null
}

variable "pool" {
  description = "`openstack`: the addresses that are given to what has none of its own, the cloud's DHCP servers among it. Null: the upper half of `cidr`. Addresses that you choose for machines are others."
  type        = object({ start = string, end = string })
  default     = null
}

variable "nameservers" {
  description = "Name servers that its machines are told; none: those of the node."
  type        = list(string)
  default     = []
}

variable "bridge" {
  description = "`proxmox`: a bridge that is there already, in place of a network of its own. With `vlan` its machines are in that VLAN."
  type        = string
  default     = null
}

variable "vlan" {
  description = "`proxmox`: the VLAN of its machines on `bridge`."
  type        = number
  default     = null

  validation {
    condition     = var.vlan == null || var.bridge != null
    error_message = "a `vlan` is one of a `bridge`."
  }
}

variable "zone" {
  description = "`proxmox`: the zone it is made in; null makes one of its own, of type `simple`, which each node has by itself: machines on different nodes reach each other in zones of the other types alone."
  type        = string
  default     = null
}

variable "tag" {
  description = "`proxmox`: its VLAN or VXLAN, which zones of all types but `simple` need."
  type        = number
  default     = null
}

variable "external_network" {
  description = "`openstack`: the network that leads out, by name. A router with the address `gateway` joins them: machines go out under its address, and floating IPs lead in."
  type        = string
  default     = null

  validation {
    condition     = var.external_network == null || var.gateway != null
    error_message = "the router to `external_network` needs an address here: `gateway`."
  }
}
