# Waits until the cluster has the node: kubelet makes the object a moment after the join.
export KUBECONFIG=/etc/kubernetes/admin.conf KUBECACHEDIR=/var/lib/dmp/kubeadm/cache
until kubectl get node "$node" -o name --request-timeout=10s >/dev/null 2>&1; do sleep 0.3; done
