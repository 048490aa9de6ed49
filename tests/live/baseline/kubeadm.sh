#!/usr/bin/env bash
# A cluster from bare machines with kubeadm and a shell, as a careful administrator would script it: what can go on at once
# does. The same work as dmp's cluster stack, to compare times with.
#
# usage: kubeadm.sh CONTROL-PLANE WORKER...    names of machines of the lab; DMP_LIVE_LAB is the lab's command
# Prints a line for each phase: start, duration, name. Phases that go on at the same time overlap.
set -euo pipefail
here=$(dirname "$(readlink -f "$0")")
lab=${DMP_LIVE_LAB:-$here/../lab/lab}
set -a
# shellcheck source=/dev/null
source <("$lab" env)
set +a
(($# > 1)) || { sed -n '5,6p' "$0" | cut -c3- >&2; exit 2; }
first=$1 workers=("${@:2}") machines=("$@")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

now() { date +%s%3N; }
begin=$(now)
# phase NAME COMMAND...: says when it began and how long it took; what it printed only if it failed.
phase() {
    local name=$1 start status=0
    shift
    start=$(now)
    "$@" >"$work/out.$BASHPID" 2>&1 || status=$?
    awk -v b="$begin" -v s="$start" -v e="$(now)" -v n="$name" 'BEGIN { printf "%8.1f %8.1f  %s\n", (s - b) / 1000, (e - s) / 1000, n }'
    ((status == 0)) || { tail -n 40 "$work/out.$BASHPID" >&2; exit 1; }
}
on() { "$lab" ssh "$@"; }
address() { "$lab" show "$1" | sed -n 's/^ADDRESS=//p'; }
kube() { "$lab" enter "$DMP_LIVE_KUBECTL" --kubeconfig "$work/admin.conf" "$@"; }
# each FUNCTION MACHINE...: for all at once.
each() {
    local function=$1 machine pids=()
    shift
    for machine; do "$function" "$machine" & pids+=($!); done
    for machine in "${pids[@]}"; do wait "$machine"; done
}

kernel_and_packages() {
    on "$1" sudo bash -s <<SCRIPT
set -euo pipefail
export DEBIAN_FRONTEND=noninteractive
printf 'overlay\nbr_netfilter\n' >/etc/modules-load.d/kubernetes.conf
modprobe -a overlay br_netfilter
printf '%s = 1\n' net.bridge.bridge-nf-call-iptables net.bridge.bridge-nf-call-ip6tables net.ipv4.ip_forward >/etc/sysctl.d/90-kubernetes.conf
sysctl -q -p /etc/sysctl.d/90-kubernetes.conf
install -d -m 755 /etc/apt/keyrings
cat >/etc/apt/keyrings/kubernetes.asc <<'KEY'
$(<"$work/kubernetes.asc")
KEY
cat >/etc/apt/keyrings/containerd.asc <<'KEY'
$(<"$work/containerd.asc")
KEY
echo 'deb [signed-by=/etc/apt/keyrings/kubernetes.asc] $DMP_LIVE_APT_KUBERNETES /' >/etc/apt/sources.list.d/kubernetes.list
echo 'deb [signed-by=/etc/apt/keyrings/containerd.asc] $DMP_LIVE_APT_CONTAINERD $DMP_LIVE_SUITE stable' >/etc/apt/sources.list.d/containerd.list
apt-get -qq update
apt-get -qq install -y -o Dpkg::Use-Pty=0 containerd.io=$DMP_LIVE_CONTAINERD_VERSION-\* kubeadm=$DMP_LIVE_KUBERNETES_VERSION-\* \
    kubelet=$DMP_LIVE_KUBERNETES_VERSION-\* kubectl=$DMP_LIVE_KUBERNETES_VERSION-\*
apt-mark -q hold kubeadm kubelet kubectl containerd.io
SCRIPT
}

runtime() {
    on "$1" sudo bash -s <<SCRIPT
set -euo pipefail
cat >/etc/containerd/config.toml <<'CONFIG'
version = 3
[plugins.'io.containerd.cri.v1.images'.pinned_images]
  sandbox = '$DMP_LIVE_PAUSE_IMAGE'
[plugins.'io.containerd.cri.v1.images'.registry]
  config_path = '/etc/containerd/certs.d'
[plugins.'io.containerd.cri.v1.runtime']
  restrict_oom_score_adj = true
[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc]
  runtime_type = 'io.containerd.runc.v2'
[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc.options]
  SystemdCgroup = true
CONFIG
install -d /etc/containerd/certs.d/$DMP_LIVE_REGISTRY
printf 'server = "http://%s"\n' $DMP_LIVE_REGISTRY >/etc/containerd/certs.d/$DMP_LIVE_REGISTRY/hosts.toml
systemctl restart containerd
SCRIPT
}

init() {
    on "$first" sudo bash -s <<SCRIPT
set -euo pipefail
cat >/root/kubeadm.yaml <<'CONFIG'
apiVersion: kubeadm.k8s.io/v1beta4
kind: InitConfiguration
localAPIEndpoint: {advertiseAddress: $(address "$first")}
nodeRegistration:
  ignorePreflightErrors: [SystemVerification]
---
apiVersion: kubeadm.k8s.io/v1beta4
kind: ClusterConfiguration
kubernetesVersion: v$DMP_LIVE_KUBERNETES_VERSION
imageRepository: $DMP_LIVE_IMAGES
controlPlaneEndpoint: $DMP_LIVE_ENDPOINT
networking: {podSubnet: 10.244.0.0/16}
---
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
failCgroupV1: false
evictionHard: {memory.available: 100Mi, nodefs.available: 0%, nodefs.inodesFree: 0%, imagefs.available: 0%}
imageGCHighThresholdPercent: 100
---
apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
mode: nftables
conntrack: {maxPerCore: 0}
CONFIG
kubeadm init --config /root/kubeadm.yaml
SCRIPT
    on "$first" sudo cat /etc/kubernetes/admin.conf >"$work/admin.conf"
    on "$first" sudo kubeadm token create --print-join-command >"$work/join"
}

join() { on "$1" "sudo $(<"$work/join") --ignore-preflight-errors=SystemVerification"; }
network() { sed -e "s|@IMAGES@|$DMP_LIVE_IMAGES|; s|@FLANNEL@|$DMP_LIVE_FLANNEL_VERSION|; s|@PLUGIN@|$DMP_LIVE_FLANNEL_CNI_VERSION|" "$here/flannel.yaml" | kube apply -f -; }
web() { sed "s|@IMAGES@|$DMP_LIVE_IMAGES|" "$here/web.yaml" | kube apply -f -; }
ready() { kube wait --for=condition=Ready nodes --all --timeout=180s && kube -n kube-system rollout status deployment/coredns --timeout=180s; }
web_ready() { kube rollout status deployment/web --timeout=120s; }
answers() {
    local machine
    for machine in "${machines[@]}"; do
        for _ in {1..100}; do
            "$lab" enter curl -fsS --max-time 2 "http://$(address "$machine"):30080/" && continue 2
            sleep 0.2
        done
        return 1
    done
}
keys() {
    "$lab" balance "$first"
    "$lab" enter curl -fsS "$DMP_LIVE_APT_KUBERNETES_KEY" >"$work/kubernetes.asc"
    "$lab" enter curl -fsS "$DMP_LIVE_APT_CONTAINERD_KEY" >"$work/containerd.asc"
}

phase 'balancer, keys' keys
phase 'kernel settings, packages' each kernel_and_packages "${machines[@]}"
phase 'containerd configured' each runtime "${machines[@]}"
phase 'kubeadm init' init
phase 'network and application applied' eval 'network && web'
phase 'workers joined' each join "${workers[@]}"
phase 'nodes and DNS ready' ready
phase 'application ready' web_ready
phase 'application answers on every node' answers
awk -v b="$begin" -v e="$(now)" 'BEGIN { printf "%8.1f %8.1f  total\n", 0, (e - b) / 1000 }'
