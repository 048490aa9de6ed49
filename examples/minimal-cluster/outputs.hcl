output "url" {
  description = "Where the web service answers."
  value       = module.web.url
}

output "kubeconfig" {
  description = "For kubectl: `dmp output --raw kubeconfig`."
  value       = module.cluster.kubeconfig
  sensitive   = true
}
