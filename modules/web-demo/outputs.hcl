output "url" {
  description = "Where the service answers."
  value       = "http://${var.address}:${var.node_port}/"
}
