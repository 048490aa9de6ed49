variable "host" {
  description = "Connection of the machine: a host's `connection`."
  type        = any
}

variable "version" {
  description = "Kubernetes' version, such as `1.36.3`."
  type        = string
}

variable "kubernetes_packages" {
  description = "Where kubeadm, kubelet and kubectl come from: a signed apt repository, its path as suite."
  type = object({
    uri   = string
    suite = optional(string, "/")
    key   = string
  })
}

variable "containerd_packages" {
  description = "Where containerd.io comes from: a signed apt repository."
  type = object({
    uri        = string
    suite      = string
    components = optional(list(string), ["stable"])
    key        = string
    version    = optional(string, "*")
  })
}

variable "pause_image" {
  description = "The image of pods' sandboxes; null for containerd's own choice."
  type        = string
  default     = null
}

variable "registry_mirrors" {
  description = "For each registry, `host[:port]`, the address that is asked instead, such as `http://10.0.0.1:5000`."
  type        = map(string)
  default     = {}
}

variable "containerd_settings" {
  description = "Further lines of containerd's configuration, below the CRI's runtime plugin."
  type        = string
  default     = ""
}
