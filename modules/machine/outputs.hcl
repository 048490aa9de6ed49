output "connection" {
  description = "How it is reached: what resources of the provider `host` take as `host`."
  value       = host.this.connection
}

output "address" {
  description = "The address that it is reached at, without a prefix."
  value       = host.this.address
}

output "own_address" {
  description = "The address that it has itself, to listen at; another one where a floating IP leads to it."
  value       = local.own_address
  depends_on  = [host.this]
}

output "hostname" {
  description = "What it calls itself."
  value       = host.this.hostname
}

output "name" {
  description = "Its name here."
  value       = var.name
}
