# Takes kubeadm's work off this machine, and what its network left. May be run again.
if command -v kubeadm >/dev/null 2>&1; then
    kubeadm reset --force --cri-socket "$cri_socket" >&2 || exit 1
fi
rm -rf /etc/kubernetes/dmp-joined /etc/kubernetes/dmp-kubeadm.yaml
for folder in /etc/kubernetes/pki /etc/kubernetes/tmp; do rm -rf "$folder"; done
rm -f /etc/kubernetes/*.conf
if [ "$keep_network" = yes ]; then exit 0; fi
state=/var/lib/dmp/kubeadm
if [ -d "$state" ]; then
    if [ -d /etc/cni/net.d ]; then
        for name in $(ls -A /etc/cni/net.d); do
            grep -qxF "$name" "$state/cni" || rm -rf "/etc/cni/net.d/$name"
        done
    fi
    if [ -d /opt/cni/bin ]; then
        for name in $(ls -A /opt/cni/bin); do
            # What a package has put there belongs to it.
            grep -qxF "$name" "$state/cni-bin" || dpkg-query -S "/opt/cni/bin/$name" >/dev/null 2>&1 ||
                rm -rf "/opt/cni/bin/$name"
        done
    fi
    for name in $(ls -A /sys/class/net); do
        grep -qxF "$name" "$state/links" || ip link delete "$name" 2>/dev/null || :
    done
    if command -v nft >/dev/null 2>&1; then
        nft list tables 2>/dev/null | while read -r word family table; do
            grep -qxF "$word $family $table" "$state/tables" || nft delete table "$family" "$table" || :
        done
    fi
    for folder in /var/lib/etcd /var/lib/cni /run/flannel /var/log/pods /var/log/containers /var/lib/kubelet; do
        if grep -qxF "$folder" "$state/folders"; then
            find "$folder" -mindepth 1 -xdev -delete 2>/dev/null || :
        else
            rm -rf "$folder" 2>/dev/null || :
        fi
    done
    rm -rf "$state"
fi
exit 0
