variable "host" {
  description = "Connection of the machine: a host's `connection`."
  type        = any
}

variable "packages" {
  description = "Packages that every machine shall have."
  type        = set(string)
  default     = []
}

variable "kernel_modules" {
  description = "Kernel modules that are loaded now and at boot."
  type        = set(string)
  default     = []
}

variable "sysctls" {
  description = "Kernel settings by key."
  type        = map(string)
  default     = {}
}

variable "hostname" {
  description = "The machine's own name, with its domain or without. Null: as it is."
  type        = string
  default     = null
}

variable "hosts" {
  description = "Names by address, for `/etc/hosts`: `{ \"192.0.2.10\" = [\"db1\"] }`."
  type        = map(list(string))
  default     = {}
}

variable "time_zone" {
  description = "Time zone, as `Europe/Berlin`. Null: as it is."
  type        = string
  default     = null

  validation {
    condition     = var.time_zone == null ? true : can(regex("^[A-Za-z0-9_+-]+(/[A-Za-z0-9_+-]+)*$", var.time_zone))
    error_message = "`time_zone` is a name below /usr/share/zoneinfo, as `Europe/Berlin` or `Etc/UTC`."
  }
}
