variable "host" {
  description = "Connection of the machine: a host's `connection`."
  type        = any
}

variable "packages" {
  description = "The packages that Docker Engine and Compose 2 come from."
  type        = set(string)
  default     = ["docker.io", "docker-cli", "docker-compose"]
}

variable "logs" {
  description = "How the containers' logs are kept: driver (`local` or `json-file`), size of a file, and how many there are of each container."
  type = object({
    driver    = optional(string, "local")
    max_size  = optional(string, "20m")
    max_files = optional(number, 5)
  })
  default = {}

  validation {
    condition     = contains(["local", "json-file"], var.logs.driver)
    error_message = "`logs.driver` is `local` or `json-file`; what another one needs is given as `settings`."
  }
}

variable "live_restore" {
  description = "Whether containers run on while the daemon is restarted."
  type        = bool
  default     = true
}

variable "address_pools" {
  description = "Networks that the addresses of new Docker networks are taken from: `[{ base = \"10.200.0.0/16\", size = 24 }]`. None: Docker's own, which may be in use at your site."
  type = list(object({
    base = string
    size = number
  }))
  default = []
}

variable "registry_mirrors" {
  description = "Mirrors of Docker Hub, as URLs."
  type        = list(string)
  default     = []
}

variable "insecure_registries" {
  description = "Registries that are spoken to without TLS, as `registry.lab:5000`."
  type        = list(string)
  default     = []
}

variable "http_proxy" {
  description = "Proxy by which the daemon reaches registries. Null: none. It stands in a file that everybody on the machine can read."
  type        = string
  default     = null
}

variable "https_proxy" {
  description = "The same for HTTPS."
  type        = string
  default     = null
}

variable "no_proxy" {
  description = "Names and networks that the daemon reaches without a proxy."
  type        = list(string)
  default     = []
}

variable "settings" {
  description = "More settings of the daemon, by their names in `daemon.json`. They win over those above."
  type        = any
  default     = {}
}

variable "members" {
  description = "Users that may use Docker without sudo. Each of them can become root by it."
  type        = set(string)
  default     = []
}

variable "projects" {
  description = "Compose projects by name, as `host_compose_project`; the directory is `/srv/NAME` where none is given."
  type = map(object({
    files           = map(string)
    directory       = optional(string)
    sensitive_files = optional(map(string))
    sensitive_mode  = optional(string)
    env             = optional(string)
    profiles        = optional(set(string))
    pull            = optional(string)
    wait_timeout    = optional(number)
    delete_volumes  = optional(bool)
  }))
  default = {}
}
