resource "host_kernel_module" "this" {
  for_each = var.kernel_modules
  host     = var.host
  name     = each.value
}

resource "host_sysctl" "this" {
  count      = length(var.sysctls) > 0 ? 1 : 0
  host       = var.host
  name       = "90-dmp-base"
  settings   = var.sysctls
  depends_on = [host_kernel_module.this]
}

resource "host_package" "this" {
  count = length(var.packages) > 0 ? 1 : 0
  host  = var.host
  names = var.packages
}
