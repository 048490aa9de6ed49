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
