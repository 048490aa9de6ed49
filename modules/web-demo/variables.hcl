variable "image" {
  description = "An image that answers HTTP."
  type        = string
}

variable "command" {
  description = "What the container runs; null for the image's own choice."
  type        = list(string)
  default     = null
}

variable "container_port" {
  description = "The port that it answers on."
  type        = number
  default     = 8080
}

variable "replicas" {
  description = "How many pods."
  type        = number
  default     = 2
}

variable "node_port" {
  description = "The port on every node."
  type        = number
  default     = 30080
}

variable "address" {
  description = "A node's address, at which the service is looked at from outside."
  type        = string
}
