output "host" {
  description = "The connection, as it was given."
  value       = var.host
}
