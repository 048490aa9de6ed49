output "nodes" {
  description = "What each machine is."
  value       = { for name, node in host.node : name => "${name}: ${node.os.id} ${node.os.version_id}, ${node.cores} cores" }
}
