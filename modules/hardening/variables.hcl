variable "host" {
  description = "Connection of the machine: a host's `connection`. dmp logs in as another user than root: root can't afterwards."
  type        = any

  validation {
    condition     = var.host.user != "root"
    error_message = "After hardening nobody logs in as root: let dmp come in as a user that may use sudo without a password (`user` of the `host`)."
  }
}

variable "admins" {
  description = "The people who administrate the machine, by user name: their public keys, and whether sudo asks them for a password, which they need then."
  type = map(object({
    keys          = set(string)
    comment       = optional(string)
    sudo_password = optional(bool, false)
  }))

  validation {
    condition     = !contains(keys(var.admins), var.host.user)
    error_message = "dmp comes in as `${var.host.user}`: that user is not one of the `admins`, whose keys are these and no others."
  }
}

variable "allow" {
  description = "Who is let in beside SSH, as `allow` of `host_firewall`."
  type = list(object({
    name       = optional(string)
    protocol   = optional(string, "tcp")
    ports      = optional(list(string), [])
    from       = optional(list(string), [])
    interfaces = optional(list(string), [])
  }))
  default = []
}

variable "open_ports" {
  description = "What may listen to others, as `tcp/22`; the audit warns of all else. Null: no audit."
  type        = set(string)
  default     = ["tcp/22"]
}

variable "reboot_time" {
  description = "When the machine reboots by itself after an update that needs it: `03:30`. Null: never."
  type        = string
  default     = null
}

variable "forwarding" {
  description = "Whether SSH carries other connections on, as a machine has to that others are reached through."
  type        = bool
  default     = false
}

variable "banner" {
  description = "What is shown to whoever logs in, before he does. Null: what is there."
  type        = string
  default     = null
}
