output "connections" {
  description = "How each is reached, by its key."
  value       = { for key, machine in module.machine : key => machine.connection }
}

output "addresses" {
  description = "The address of each, by its key."
  value       = { for key, machine in module.machine : key => machine.address }
}

output "names" {
  description = "The name of each, by its key."
  value       = { for key, machine in module.machine : key => machine.name }
}
