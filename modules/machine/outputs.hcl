output "connection" {
  description = "How it is reached: what resources of the provider `host` take as `host`."
  value       = host.this.connection
}

output "address" {
  description = "Its address, without a prefix."
  value       = host.this.address
}

output "hostname" {
  description = "What it calls itself."
  value       = host.this.hostname
}

output "name" {
  description = "Its name here."
  value       = var.name
}
