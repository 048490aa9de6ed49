output "kubeconfig" {
  description = "A kubeconfig with an administrator's rights."
  value       = kubeadm_cluster.this.kubeconfig
  sensitive   = true
}

output "endpoint" {
  description = "Where the API is reached."
  value       = kubeadm_cluster.this.endpoint
}
