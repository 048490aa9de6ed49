variable "kind" {
  description = "Where machines come from: `existing` takes those that are there, `proxmox` and `openstack` make them."
  type        = string
  default     = "existing"

  validation {
    condition     = contains(["existing", "proxmox", "openstack"], var.kind)
    error_message = "`kind` is `existing`, `proxmox` or `openstack`."
  }
}

variable "addresses" {
  description = "Addresses of the machines: the first carries the control plane. Those of new ones have a prefix, `192.0.2.11/24`; on OpenStack they are addresses inside, of a network that is made for them."
  type        = list(string)
}

# For `kind = "proxmox"`; the lab sets these three (`dmp --lab`).

variable "proxmox_endpoints" {
  description = "Addresses of the Proxmox VE cluster's nodes, such as `[\"https://pve1.example:8006\"]`."
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
  description = "The cluster's authority; null where its certificates are known to the system."
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
  description = "What the cloud has: the image that machines begin as, their flavor (null for the smallest that is large enough), and the network that leads out, all by name."
  type = object({
    image            = optional(string, "debian-13")
    flavor           = optional(string)
    external_network = optional(string, "public")
  })
  default = {}
}

variable "site" {
  description = "What the Proxmox VE cluster has: the template to copy, where its copies go, the network; and how large machines are. On OpenStack `gateway` is the router's address inside, the first of the network where nothing is said."
  type = object({
    template          = optional(string, "debian-13")
    storage           = optional(string, "shared")
    bridge            = optional(string, "vmbr0")
    gateway           = optional(string)
    nameservers       = optional(list(string), [])
    control_plane_mib = optional(number, 4096)
    worker_mib        = optional(number, 2048)
    disk_gib          = optional(number, 16)
  })
  default = {}
}

variable "workers" {
  description = "How many of the others are workers."
  type        = number
  default     = 1
}

variable "user" {
  description = "User to log in as; it may become root by `sudo` without a password."
  type        = string
  default     = "debian"
}

variable "key_file" {
  description = "The private key to log in with on machines that exist; null for the SSH agent."
  type        = string
  default     = null
}

variable "kubernetes_version" {
  description = "Kubernetes' version."
  type        = string
  default     = "1.36.3"
}

variable "kubernetes_packages" {
  description = "Where Kubernetes' packages come from: uri, suite, key (armoured)."
  type        = any
}

variable "containerd_packages" {
  description = "Where containerd.io comes from: uri, suite, key (armoured)."
  type        = any
}

variable "image_repository" {
  description = "A registry of your own with Kubernetes' images; null for upstream's."
  type        = string
  default     = null
}

variable "pause_image" {
  description = "The pods' sandbox image; null for containerd's own choice."
  type        = string
  default     = null
}

variable "flannel_image" {
  type    = string
  default = "ghcr.io/flannel-io/flannel:v0.28.4"
}

variable "flannel_plugin_image" {
  type    = string
  default = "ghcr.io/flannel-io/flannel-cni-plugin:v1.9.1-flannel1"
}

variable "web_image" {
  description = "An image that answers HTTP on port 8080."
  type        = string
}

variable "web_command" {
  description = "What it runs; null for the image's own choice."
  type        = list(string)
  default     = null
}

variable "registry_mirrors" {
  type    = map(string)
  default = {}
}

variable "containerd_settings" {
  type    = string
  default = ""
}

variable "kubelet" {
  type    = any
  default = {}
}

variable "kube_proxy" {
  type    = any
  default = {}
}

variable "ignored_preflight_errors" {
  type    = list(string)
  default = []
}

variable "labels" {
  description = "Labels of every worker."
  type        = map(string)
  default     = { "example.org/role" = "worker" }
}

variable "taints" {
  description = "Taints of every worker: `key`, `value`, `effect`."
  type        = list(object({ key = string, value = optional(string), effect = string }))
  default     = []
}
