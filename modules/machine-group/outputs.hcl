output "connections" {
  description = "How each is reached, by its key."
  value       = { for key, machine in module.machine : key => machine.connection }
}

output "addresses" {
  description = "The address that each is reached at, by its key."
  value       = { for key, machine in module.machine : key => machine.address }
}

output "own_addresses" {
  description = "The address that each has itself, to listen at, by its key."
  value       = { for key, machine in module.machine : key => machine.own_address }
}

output "names" {
  description = "The name of each, by its key."
  value       = { for key, machine in module.machine : key => machine.name }
}
