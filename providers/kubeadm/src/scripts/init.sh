# Begins the cluster. A control plane whose API server never answered is not a failure yet: it is begun again.
umask 077
cat >/etc/kubernetes/dmp-kubeadm.yaml
log=$(mktemp)
trap 'rm -f "$log"' EXIT
rm -f /etc/kubernetes/dmp-again
if kubeadm init --config /etc/kubernetes/dmp-kubeadm.yaml --skip-token-print >"$log" 2>&1; then
    printf '%s\n' "$ca_hash" >/etc/kubernetes/dmp-joined
    exit 0
fi
tail -n 25 "$log" >&2
if [ "$last_try" != yes ] && grep -qE 'wait-control-plane|timed out waiting|context deadline exceeded' "$log"; then
    : >/etc/kubernetes/dmp-again
    exit 0
fi
exit 1
