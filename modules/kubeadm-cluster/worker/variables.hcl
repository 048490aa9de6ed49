variable "host" {
  type = any
}

variable "name" {
  type = string
}

variable "own_address" {
  type    = string
  default = null
}

variable "labels" {
  type = map(string)
}

variable "taints" {
  type = list(object({ key = string, value = optional(string), effect = string }))
}

variable "cluster" {
  type = any
}

variable "version" {
  type = string
}

variable "kubernetes_packages" {
  type = any
}

variable "containerd_packages" {
  type = any
}

variable "pause_image" {
  type = string
}

variable "registry_mirrors" {
  type = map(string)
}

variable "containerd_settings" {
  type = string
}

variable "ignored_preflight_errors" {
  type = list(string)
}
