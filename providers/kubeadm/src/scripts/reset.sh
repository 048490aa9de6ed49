# Takes kubeadm's work off this machine, and what its network left. May be run again.
if command -v kubeadm >/dev/null 2>&1; then
    kubeadm reset --force --cri-socket "$cri_socket" >&2 || exit 1
fi
rm -rf /etc/kubernetes/dmp-joined /etc/kubernetes/dmp-kubeadm.yaml /etc/kubernetes/pki /etc/kubernetes/tmp
rm -f /etc/kubernetes/*.conf
if [ "$keep_network" = yes ]; then exit 0; fi
state=/var/lib/dmp/kubeadm
[ -d "$state" ] || exit 0

# A bare machine has no nft of its own; the image of kube-proxy has one.
tables() {
    if command -v nft >/dev/null 2>&1; then
        nft "$@"
        return
    fi
    image=$(ctr -n k8s.io images ls -q 2>/dev/null | grep '/kube-proxy:' | head -n 1)
    [ -n "$image" ] || return 1
    ctr -n k8s.io run --rm --net-host --privileged "$image" "dmp-nft-$$-$(cat /proc/sys/kernel/random/uuid)" nft "$@"
}
found=$(tables list tables 2>/dev/null </dev/null)
printf '%s\n' "$found" | while read -r word family table; do
    [ -n "$table" ] || continue
    grep -qxF "$word $family $table" "$state/tables" || tables delete table "$family" "$table" </dev/null || :
done
# The kubelet is gone, its slices are not.
systemctl stop kubepods.slice 2>/dev/null || :
for name in $(ls -A /sys/class/net); do
    grep -qxF "$name" "$state/links" || ip link delete "$name" 2>/dev/null || :
done
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
for folder in /var/lib/etcd /var/lib/cni /run/flannel /var/log/pods /var/log/containers /var/lib/kubelet \
    /run/xtables.lock; do
    if grep -qxF "$folder" "$state/folders"; then
        [ ! -d "$folder" ] || find "$folder" -mindepth 1 -xdev -delete 2>/dev/null || :
    else
        rm -rf "$folder" 2>/dev/null || :
    fi
done
for folder in /etc/cni/net.d /etc/cni /opt/cni/bin /opt/cni; do
    grep -qxF "$folder" "$state/folders" || rmdir "$folder" 2>/dev/null || :
done
rm -rf "$state"
exit 0
