# Moves the node's work away and takes it out of the cluster. A cluster that is gone has no such node.
# Of a dead machine nobody can say that its pods have ended: they are taken to be, so that they run elsewhere.
export KUBECONFIG=/etc/kubernetes/admin.conf KUBECACHEDIR=/var/lib/dmp/kubeadm/cache
[ -f "$KUBECONFIG" ] || exit 0
found=$(kubectl get node "$node" --ignore-not-found -o name --request-timeout=20s) || exit 1
[ -n "$found" ] || exit 0
if [ "$dead" = true ]; then
    kubectl delete pods --all-namespaces --field-selector "spec.nodeName=$node" --force --grace-period=0 >&2 || exit 1
else
    kubectl drain "$node" --ignore-daemonsets --delete-emptydir-data --force --timeout=120s >&2 || exit 1
fi
kubectl delete node "$node" --ignore-not-found >&2
