# shellcheck shell=bash
# Binaries from published Go modules, each with a main module made here that pins one version. The go command fetches,
# checks every sum and completes go.sum. Static, stripped, with their versions stamped as releases have it.

# made NAME FUNCTION: runs the function for the folder $BIN/NAME, unless that is complete.
made() {
    local out=$BIN/$1 start
    [[ ! -f $out/.made ]] || return 0
    start=$(now)
    rm -rf "$out"
    mkdir -p "$out" "$CACHE/modules/$1"
    (cd "$CACHE/modules/$1" && "$2" "$out")
    touch "$out/.made"
    note "$1: $(du -sh "$out" | cut -f1) in $(since "$start") s"
}

ORACLE=$LAB_HOME/../tests/language/oracle.go

# newer FILE RECIPE NAME...: FILE is there, and not older than its recipe or any of these folders of $BIN.
newer() {
    local file=$1 recipe=$LAB_HOME/$2 name
    shift 2
    [[ -f $file && ! $recipe -nt $file ]] || return 1
    for name; do [[ ! $BIN/$name/.made -nt $file ]] || return 1; done
}

build_binaries() {
    need go cc pkg-config
    export GOFLAGS="${GOFLAGS:-} -mod=mod"
    made "kubernetes-$KUBERNETES_VERSION" go_kubernetes
    made "etcd-$(etcd_version)" go_etcd
    made "containerd-$CONTAINERD_VERSION" go_containerd
    made "runc-$RUNC_VERSION" go_runc
    made "cni-$CNI_VERSION" go_cni
    made "coredns-$COREDNS_VERSION" go_coredns
    made "flannel-$FLANNEL_VERSION" go_flannel
    made "flannel-cni-$FLANNEL_CNI_VERSION" go_flannel_cni
    made "$(tools_name)" make_tools
}

# requires PATH@VERSION...: the main module in the current folder.
requires() {
    local module
    printf 'module dmp-live\n\ngo %s\n' "$(go env GOVERSION | sed -E 's/^go([0-9]+\.[0-9]+).*/\1.0/')" >go.mod
    for module; do go mod edit -require "$module"; done
}

# compile OUT LDFLAGS PACKAGE...; CGO=1 and TAGS from the caller.
compile() {
    local out=$1 flags=$2
    shift 2
    CGO_ENABLED=${CGO:-0} go build -p "${DMP_LIVE_JOBS:-$(nproc)}" -trimpath -tags "${TAGS:-}" -ldflags "-s -w $flags" -o "$out" "$@"
}

go_kubernetes() {
    local version=$KUBERNETES_VERSION published library setting flags='' stamp
    requires "k8s.io/kubernetes@v$version"
    published=$(go mod download -json "k8s.io/kubernetes@v$version" | python3 -c 'import json, sys; print(json.load(sys.stdin)["GoMod"])')
    # Its go.mod replaces the k8s.io libraries by folders of its repository. They are published as v0.x.y.
    sed -nE 's#^\s*(k8s.io/[a-z0-9-]+) => ./staging.*#\1#p' "$published" | while read -r library; do
        go mod edit -replace "$library=$library@v0.${version#*.}"
    done
    # Settings of the language, which only a main module decides.
    go mod edit -go "$(awk '$1 == "go" { print $2 }' "$published")"
    awk '$1 == "godebug" { print $2 }' "$published" | while read -r setting; do go mod edit -godebug "$setting"; done
    for stamp in k8s.io/component-base/version k8s.io/client-go/pkg/version; do
        flags+=" -X $stamp.gitVersion=v$version -X $stamp.gitMajor=1 -X $stamp.gitMinor=${KUBERNETES_MINOR#*.} -X $stamp.gitTreeState=clean"
        flags+=" -X $stamp.gitCommit=0000000000000000000000000000000000000000 -X $stamp.buildDate=2026-01-01T00:00:00Z"
    done
    compile "$1/" "$flags" k8s.io/kubernetes/cmd/{kubeadm,kubelet,kubectl,kube-apiserver,kube-controller-manager,kube-scheduler,kube-proxy}
}

# kubeadm_image NAME: the image kubeadm will ask for, with the site's repository.
kubeadm_image() {
    "$BIN/kubernetes-$KUBERNETES_VERSION/kubeadm" config images list --kubernetes-version "v$KUBERNETES_VERSION" --image-repository "$IMAGES" |
        grep "/$1:"
}

# The release kubeadm asks for: its tag without the number of the packaging.
etcd_version() { local image; image=$(kubeadm_image etcd); image=${image##*:}; echo "${image%-*}"; }

go_etcd() {
    local version
    version=v$(etcd_version)
    requires "go.etcd.io/etcd/server/v3@$version" "go.etcd.io/etcd/etcdctl/v3@$version" "go.etcd.io/etcd/etcdutl/v3@$version"
    compile "$1/etcd" '' go.etcd.io/etcd/server/v3
    compile "$1/" '' go.etcd.io/etcd/{etcdctl,etcdutl}/v3
}

go_containerd() {
    local module=github.com/containerd/containerd/v2
    requires "$module@v$CONTAINERD_VERSION"
    TAGS='no_btrfs urfave_cli_no_docs' compile "$1/" "-X $module/version.Version=v$CONTAINERD_VERSION -X $module/version.Package=$module" \
        $module/cmd/{containerd,containerd-shim-runc-v2,ctr}
}

# Enters namespaces in C.
go_runc() {
    requires "github.com/opencontainers/runc@v$RUNC_VERSION"
    CGO=1 TAGS='seccomp netgo osusergo' compile "$1/" "-X main.version=$RUNC_VERSION -extldflags -static" github.com/opencontainers/runc
}

go_cni() {
    local module=github.com/containernetworking/plugins
    requires "$module@v$CNI_VERSION"
    compile "$1/" "-X $module/pkg/utils/buildversion.BuildVersion=v$CNI_VERSION" \
        $module/plugins/main/{bridge,host-device,ipvlan,loopback,macvlan,ptp,vlan} \
        $module/plugins/meta/{bandwidth,firewall,portmap,sbr,tuning,vrf} $module/plugins/ipam/{host-local,static}
}

go_coredns() {
    requires "github.com/coredns/coredns@v$COREDNS_VERSION"
    compile "$1/" '-X github.com/coredns/coredns/coremain.GitCommit=lab' github.com/coredns/coredns
}

go_flannel() {
    # The second module because the one that flannel names has been withdrawn.
    requires "github.com/flannel-io/flannel@v$FLANNEL_VERSION" github.com/tencentcloud/tencentcloud-sdk-go/tencentcloud/common@v1.3.103
    CGO=1 TAGS='netgo osusergo' compile "$1/flanneld" \
        "-X github.com/flannel-io/flannel/pkg/version.Version=v$FLANNEL_VERSION -extldflags -static" github.com/flannel-io/flannel
}

go_flannel_cni() {
    requires "github.com/containernetworking/plugins@v$FLANNEL_CNI_VERSION"
    compile "$1/" '' github.com/containernetworking/plugins/plugins/meta/flannel
}

# What has no published module, or is for tests only.
tools_name() { echo "tools-$(cat "$LAB_HOME/tools/pause.c" "$LAB_HOME/tools/web/main.go" | sha256sum | cut -c1-8)"; }
make_tools() {
    cc -O2 -Wall -static -s -o "$1/pause" "$LAB_HOME/tools/pause.c"
    cp "$LAB_HOME/tools/web/main.go" .
    requires
    compile "$1/web" '' .
}

# OpenTofu's language as a program. Its packages are internal, so that the main module lies below its name; its go.mod replaces modules.
oracle_name() { echo "oracle-$OPENTOFU_VERSION-$(sha256sum <"$ORACLE" | cut -c1-8)"; }
build_oracle() {
    need go
    export GOFLAGS="${GOFLAGS:-} -mod=mod"
    made "$(oracle_name)" go_oracle
}
go_oracle() {
    cp "$ORACLE" main.go
    requires_tofu oracle
    compile "$1/oracle" '' .
}

# OpenTofu itself, to do the same work beside dmp.
tofu_name() { echo "opentofu-$OPENTOFU_VERSION"; }
build_tofu() {
    need go
    export GOFLAGS="${GOFLAGS:-} -mod=mod"
    made "$(tofu_name)" go_tofu
}
go_tofu() {
    requires_tofu beside
    compile "$1/tofu" '' github.com/opentofu/opentofu/cmd/tofu
}

# requires_tofu NAME: the main module in the current folder, below OpenTofu's name and with what its own go.mod replaces.
requires_tofu() {
    local module=github.com/opentofu/opentofu published replaced
    requires "$module@v$OPENTOFU_VERSION"
    published=$(go mod download -json "$module@v$OPENTOFU_VERSION" | python3 -c 'import json, sys; print(json.load(sys.stdin)["GoMod"])')
    go mod edit -module "$module/$1" -go "$(awk '$1 == "go" { print $2 }' "$published")"
    sed -nE 's#^replace (\S+) (\S+) => (\S+) (\S+)$#\1@\2=\3@\4#p' "$published" | while read -r replaced; do go mod edit -replace "$replaced"; done
}
