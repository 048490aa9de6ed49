output "namespace" {
  description = "The namespace that flannel runs in."
  value       = local.namespace
}
