# What kubeadm has left on this machine: one word, and the hash of the cluster's CA.
if [ -f /etc/kubernetes/dmp-joined ]; then
    echo "joined $(cat /etc/kubernetes/dmp-joined)"
elif [ -e /etc/kubernetes/kubelet.conf ] || [ -e /etc/kubernetes/manifests/kube-apiserver.yaml ] ||
    [ -e /etc/kubernetes/pki/ca.key ]; then
    echo "begun -"
else
    echo "none -"
fi
