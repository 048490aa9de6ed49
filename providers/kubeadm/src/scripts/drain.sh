# Moves the node's work away and takes it out of the cluster. A cluster that is gone has no such node.
export KUBECONFIG=/etc/kubernetes/admin.conf KUBECACHEDIR=/var/lib/dmp/kubeadm/cache
[ -f "$KUBECONFIG" ] || exit 0
found=$(kubectl get node "$node" --ignore-not-found -o name --request-timeout=20s) || exit 1
[ -n "$found" ] || exit 0
kubectl drain "$node" --ignore-daemonsets --delete-emptydir-data --force --timeout=120s >&2 || exit 1
kubectl delete node "$node" --ignore-not-found >&2
