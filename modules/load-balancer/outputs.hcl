output "ports" {
  description = "The port of each service, once it is listened at."
  value       = { for name, service in var.services : name => service.port }
  depends_on  = [host_service.this]
}
