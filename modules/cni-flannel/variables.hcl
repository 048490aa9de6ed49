variable "pod_subnet" {
  description = "Addresses of pods, as the cluster has them."
  type        = string
  default     = "10.244.0.0/16"
}

variable "image" {
  description = "flannel's image."
  type        = string
  default     = "ghcr.io/flannel-io/flannel:v0.28.4"
}

variable "plugin_image" {
  description = "The image that brings flannel's CNI plugin."
  type        = string
  default     = "ghcr.io/flannel-io/flannel-cni-plugin:v1.9.1-flannel1"
}
