variable "nodes" {
  description = "Addresses of the machines, by name."
  type        = map(string)
}

variable "user" {
  description = "The user that dmp logs in as; it may use sudo without a password."
  type        = string
  default     = "debian"
}

variable "key_file" {
  description = "Its private key; null asks the SSH agent."
  type        = string
  default     = null
}

variable "admins" {
  description = "Who administrates the machines: public keys by user name."
  type = map(object({
    keys = set(string)
  }))
}

variable "status_from" {
  description = "Networks that may see the status pages; none means everybody."
  type        = list(string)
  default     = []
}

variable "time_zone" {
  description = "Time zone of the machines."
  type        = string
  default     = "Etc/UTC"
}
