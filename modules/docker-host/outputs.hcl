output "host" {
  description = "The connection, as it was given, once Docker runs."
  value       = var.host
  depends_on  = [host_service.this]
}

output "services" {
  description = "How the services of each project are."
  value       = { for name, project in host_compose_project.this : name => project.services }
}
