variable "control_plane" {
  description = "The machine of the control plane: its connection and the name of its node; and the address that it has itself, where it is reached at another one."
  type = object({
    connection  = any
    name        = string
    own_address = optional(string)
  })
}

variable "workers" {
  description = "The workers by key: connection, name of the node, the address of its own as above, labels, taints."
  type = map(object({
    connection  = any
    name        = string
    own_address = optional(string)
    labels      = optional(map(string), {})
    taints      = optional(list(object({ key = string, value = optional(string), effect = string })), [])
  }))
  default = {}
}

variable "version" {
  description = "Kubernetes' version, such as `1.36.3`."
  type        = string
}

variable "endpoint" {
  description = "Where the API is reached, `host:port`; null for the control plane itself."
  type        = string
  default     = null
}

variable "image_repository" {
  description = "Where images come from; null for upstream's registry."
  type        = string
  default     = null
}

variable "pod_subnet" {
  description = "Addresses of pods."
  type        = string
  default     = "10.244.0.0/16"
}

variable "kubernetes_packages" {
  description = "As in `kubernetes-host`."
  type        = any
}

variable "containerd_packages" {
  description = "As in `kubernetes-host`."
  type        = any
}

variable "pause_image" {
  description = "As in `kubernetes-host`."
  type        = string
  default     = null
}

variable "registry_mirrors" {
  description = "As in `kubernetes-host`."
  type        = map(string)
  default     = {}
}

variable "containerd_settings" {
  description = "As in `kubernetes-host`."
  type        = string
  default     = ""
}

variable "kubelet" {
  description = "Members of the KubeletConfiguration."
  type        = any
  default     = {}
}

variable "kube_proxy" {
  description = "Members of the KubeProxyConfiguration."
  type        = any
  default     = {}
}

variable "ignored_preflight_errors" {
  description = "Preflight checks of kubeadm whose errors are only warnings."
  type        = list(string)
  default     = []
}

variable "begin_seconds" {
  description = "How long the API server may take until it first answers; then it is begun once more."
  type        = number
  default     = 240
}
