# shellcheck shell=bash disable=SC2034
# Settings of the lab and small functions. Sourced by `lab` and `boot`; every setting can come from the environment.

LAB_HOME=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd -P)

# Where everything made lies. A cache: what is missing is made again.
CACHE=${DMP_LIVE_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/dmp-live}

# The network of the machines: a namespace with one bridge. These three tell two labs on one host apart.
NETNS=${DMP_LIVE_NETNS:-dmp-live}
NET=${DMP_LIVE_NET:-10.79.0}                       # first three octets of a /24
CGROUP=${DMP_LIVE_CGROUP:-dmp-live}                # parent of the machines' cgroups

BRIDGE=lab0
GATEWAY=$NET.1                                     # the bridge's address: everything served listens here
PROXY_PORT=3142
APT_PORT=8080
REGISTRY_PORT=5000
BALANCER_PORT=6443
SSH_USER=debian

# The machines, and what is built for them.
SUITE=${DMP_LIVE_SUITE:-trixie}
OLDER_SUITE=bookworm                               # for `up --suite`
KUBERNETES_VERSION=${DMP_LIVE_KUBERNETES_VERSION:-1.36.3}
CONTAINERD_VERSION=2.3.7                           # Kubernetes 1.36 wants 2.x
RUNC_VERSION=1.4.3
CNI_VERSION=1.9.1
COREDNS_VERSION=1.14.3
FLANNEL_VERSION=0.28.4
FLANNEL_CNI_VERSION=0.9.1                          # the last CNI plugins which had flannel's
OPENTOFU_VERSION=1.12.6                            # whose language ours is compared with

KUBERNETES_MINOR=${KUBERNETES_VERSION%.*}          # 1.36
APT_URL=http://$GATEWAY:$APT_PORT
REGISTRY=$GATEWAY:$REGISTRY_PORT
IMAGES=$REGISTRY/k8s                               # what `--image-repository` takes

MACHINES=$CACHE/machines
RECIPE=$(cat "$LAB_HOME/image.sh" - <<<"$NET $(uname -r)" | sha256sum | cut -c1-8)     # another recipe, another image
BIN=$CACHE/bin
RUN=$CACHE/run

# Where the machines' image of a suite lies, and that of virtual machines.
image() { echo "$CACHE/image/debian-$1-$RECIPE"; }
root_archive() { echo "$CACHE/image/root-$SUITE${1:+-$1}.tar"; }
vm_image() { echo "$CACHE/image/vm-$1-$RECIPE"; }
cloud_image() { echo "$CACHE/image/cloud-$SUITE-$RECIPE.qcow2"; }

note() { echo "lab: $*" >&2; }
die() { note "$*"; exit 1; }
need() { local command; for command; do command -v "$command" >/dev/null || die "the command $command is missing (see the README)"; done; }
in_netns() { ip netns exec "$NETNS" "$@"; }
now() { date +%s%3N; }
since() { awk -v a="$1" -v b="$(now)" 'BEGIN { printf "%.1f", (b - a) / 1000 }'; }

# within SECONDS COMMAND...: until the command succeeds; fails when the time is over.
within() {
    local end=$(($(now) + $1 * 1000))
    shift
    until "$@" >/dev/null 2>&1; do
        (($(now) < end)) || return 1
        sleep 0.1
    done
}

listens() { in_netns bash -c "exec 3<>/dev/tcp/$GATEWAY/$1"; }

# process FILE WORD: the process a pid file names, if WORD is still on its command line (numbers are used again).
process() {
    local pid
    [[ -s $1 ]] || return 1
    pid=$(<"$1")
    tr '\0' '\n' 2>/dev/null <"/proc/$pid/cmdline" | grep -qF -- "$2" && echo "$pid"
}

# stop FILE WORD: ends such a process and waits for it.
stop() {
    local pid
    if pid=$(process "$1" "$2"); then
        kill "$pid" 2>/dev/null || true
        within 10 gone "$pid" || kill -KILL "$pid" 2>/dev/null || true
    fi
    rm -f "$1"
}
gone() { ! kill -0 "$1" 2>/dev/null; }

# The cgroup hierarchies machines take part in: all that the host has mounted.
hierarchies() { awk '$3 ~ /^cgroup2?$/ && $2 ~ "^/sys/fs/cgroup/" { print $2 }' /proc/mounts; }

# Lines of a sources.list for a suite, with the archives that this host's own apt uses.
apt_sources() {
    local suite=$1 main security
    main=$(archive Debian) security=$(archive Debian-Security)
    [[ -n $main ]] || die "this host's apt knows no Debian archive (apt-get update)"
    echo "deb $main $suite main"
    echo "deb $main $suite-updates main"
    [[ -z $security ]] || echo "deb $security $suite-security main"
}
archive() {
    # shellcheck disable=SC2016
    apt-get indextargets --format '$(ORIGIN)|$(LABEL)|$(REPO_URI)' 'Created-By: Packages' |
        awk -F'|' -v label="$1" '$1 == "Debian" && $2 == label { print $3; exit }'
}

# A proxy that the host's apt is told to use is used for the machines' packages as well.
host_proxy() {
    local http_proxy_of_apt=''
    eval "$(apt-config shell http_proxy_of_apt Acquire::http::Proxy)"
    [[ -z $http_proxy_of_apt ]] || export http_proxy=$http_proxy_of_apt
}
