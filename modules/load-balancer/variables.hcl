variable "host" {
  description = "Connection of the machine that balances: a host's `connection`."
  type        = any
}

variable "services" {
  description = "What is balanced, by a name: the `port` that is listened at, `mode` (`http` or `tcp`), the `servers` by their names as `ADDRESS:PORT`, and the path that each has to answer well (`check`, for `http`; without it a connection is enough)."
  type = map(object({
    port    = number
    bind    = optional(string, "*")
    mode    = optional(string, "http")
    servers = map(string)
    check   = optional(string)
  }))

  validation {
    condition     = alltrue([for name in keys(var.services) : can(regex("^[a-z0-9][a-z0-9_-]*$", name))])
    error_message = "a service's name has small letters, digits, `-` and `_`."
  }
  validation {
    condition     = alltrue([for service in var.services : contains(["http", "tcp"], service.mode)])
    error_message = "`mode` is `http` or `tcp`."
  }
  validation {
    condition     = alltrue([for service in var.services : service.check == null || service.mode == "http"])
    error_message = "`check` asks over HTTP: it needs `mode = \"http\"`."
  }
  validation {
    condition     = alltrue([for service in var.services : can(regex("^/[!-~]*$", coalesce(service.check, "/")))])
    error_message = "`check` is a path such as `/health`, without spaces."
  }
  validation {
    condition     = alltrue([for service in var.services : can(regex("^([*]|[0-9.]+|\\[[0-9a-f:]+\\])$", service.bind))])
    error_message = "`bind` is an address of the machine, or `*` for all."
  }
  validation {
    condition = alltrue(flatten([for service in var.services : [
      for name, address in service.servers : can(regex("^[A-Za-z0-9._-]+$", name)) && can(regex("^(\\[[0-9a-f:]+\\]|[A-Za-z0-9.-]+):[0-9]+$", address))
    ]]))
    error_message = "`servers` are written as `{ web-1 = \"192.0.2.11:8080\" }`."
  }
}

variable "balance" {
  description = "How a server is chosen, in HAProxy's word."
  type        = string
  default     = "roundrobin"

  validation {
    condition     = contains(["roundrobin", "leastconn", "source"], var.balance)
    error_message = "`balance` is `roundrobin`, `leastconn` or `source`."
  }
}

variable "idle_seconds" {
  description = "How long a connection may be silent."
  type        = number
  default     = 60
}

variable "package" {
  description = "The package that HAProxy comes from."
  type        = string
  default     = "haproxy"
}
