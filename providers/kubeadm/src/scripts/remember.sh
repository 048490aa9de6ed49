# Notes what is here before kubeadm begins, so that leaving it can put that back.
state=/var/lib/dmp/kubeadm
[ -d "$state" ] && exit 0
umask 077
rm -rf "$state.new"
mkdir -p "$state.new"
ls -A /etc/cni/net.d 2>/dev/null >"$state.new/cni" || :
ls -A /opt/cni/bin 2>/dev/null >"$state.new/cni-bin" || :
ls -A /sys/class/net >"$state.new/links"
# Where neither tool is there, nobody has made a table yet.
if command -v nft >/dev/null 2>&1; then
    nft list tables
elif command -v iptables >/dev/null 2>&1; then
    echo unknown
fi >"$state.new/tables"
for folder in /etc/kubernetes /var/lib/kubelet /var/lib/etcd /var/lib/cni /run/flannel /var/log/pods \
    /var/log/containers /etc/cni /etc/cni/net.d /opt/cni /opt/cni/bin /run/xtables.lock; do
    [ -e "$folder" ] && echo "$folder"
done >"$state.new/folders"
mv "$state.new" "$state"
