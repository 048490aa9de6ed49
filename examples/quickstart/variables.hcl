variable "kind" {
  description = "Where the machines come from: `proxmox` or `openstack`."
  type        = string
  default     = "proxmox"

  validation {
    condition     = contains(["proxmox", "openstack"], var.kind)
    error_message = "`kind` is `proxmox` or `openstack`."
  }
}

# For `kind = "proxmox"`. On the lab (`dmp --lab …`) the first three are set for you, and the rest is as the lab has it.

variable "proxmox_endpoints" {
  description = "Addresses of the cluster's nodes, such as `[\"https://pve1.example:8006\"]`."
  type        = list(string)
  default     = []
}

variable "proxmox_api_token" {
  description = "An API token, `user@realm!name=secret`."
  type        = string
  default     = null
  sensitive   = true
}

variable "proxmox_ca" {
  description = "The cluster's authority (the text of `/etc/pve/pve-root-ca.pem`); null where its certificates are known to the system."
  type        = string
  default     = null
}

# For `kind = "openstack"`: a cloud of `clouds.yaml`, or what the lab sets.

variable "openstack_cloud" {
  description = "A cloud of `clouds.yaml`; null for the one that `OS_CLOUD` or other variables say."
  type        = string
  default     = null
}

variable "openstack_auth_url" {
  description = "Keystone, where no cloud is named."
  type        = string
  default     = null
}

variable "openstack_application_credential_id" {
  description = "An application credential of the project."
  type        = string
  default     = null
}

variable "openstack_application_credential_secret" {
  description = "Its secret."
  type        = string
  default     = null
  sensitive   = true
}

variable "openstack_region" {
  description = "The region, where the cloud has several."
  type        = string
  default     = null
}

variable "openstack_ca" {
  description = "The authority of its certificates; null where they are known to the system."
  type        = string
  default     = null
}

variable "openstack" {
  description = "What the cloud has: the image that machines begin as, their flavor (null for the smallest that is large enough), and the network that leads out, all by name. Of `site` the network inside, `nameservers`, `ssh_port` and `boot_seconds` count."
  type = object({
    image            = optional(string, "debian-13")
    flavor           = optional(string)
    external_network = optional(string, "public")
  })
  default = {}
}

variable "site" {
  description = "What the cluster has: the template to copy and where its copies go, the bridge to the outside with addresses for the bastion and the balancer, and a network inside."
  type = object({
    template    = optional(string, "debian-13")
    storage     = optional(string, "shared")
    bridge      = optional(string, "vmbr0")
    bastion     = optional(string, "127.10.0.5/24")
    balancer    = optional(string, "127.10.0.6/24")
    gateway     = optional(string)
    nameservers = optional(list(string), [])
    # An ordinary user can't let others listen at 22: the lab's machines do at 2222.
    ssh_port = optional(number, 2222)
    inside   = optional(string, "127.20.0.0/24")
    # A bridge inside that spans the nodes; without one a network of its own is made, which each node has by itself.
    inside_bridge = optional(string)
    inside_vlan   = optional(number)
    # How long a machine may take to boot, where 300 seconds are not enough: emulated ones take longer.
    boot_seconds = optional(number)
  })
  default = {}
}

variable "webs" {
  description = "How many machines serve the page."
  type        = number
  default     = 3
}

variable "hardening" {
  description = "Whether machines are hardened by the module of that name. The lab's machines have no firewall, no OpenSSH and no kernel of their own, so there it stays off."
  type        = bool
  default     = false
}
