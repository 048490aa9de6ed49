output "url" {
  description = "Where the page is."
  value       = "http://${module.balancer.address}:${module.service.ports.web}/"
}

output "machines" {
  description = "The machines, by their addresses; those inside are reached through the bastion, which `dmp ssh` does by itself."
  value = merge(
    { bastion = module.bastion.address, balancer = module.balancer.address },
    { for key, address in module.web.addresses : "web-${key}" => address },
  )
}
