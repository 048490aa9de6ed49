# shellcheck shell=bash
# Images of the binaries, in the storage of an OCI registry, under the names that kubeadm asks for.

build() {
    local part
    (($#)) || set -- machine binaries packages images
    for part; do
        case $part in
            machine | older | vm | roots | cloud | binaries | packages | images | oracle | tofu | powercut) ;;
            *) die "there is nothing called $part to build" ;;
        esac
    done
    exec 8>"$RUN/build.lock"
    flock -n 8 || { note "waiting for another build in $CACHE"; flock 8; }
    for part; do "build_$part"; done
    exec 8>&-
}

build_images() {
    need skopeo docker-registry mmdebstrap curl
    local start work port base name kubernetes=$BIN/kubernetes-$KUBERNETES_VERSION etcd tools
    etcd=etcd-$(etcd_version) tools=$(tools_name)
    made "userland-$SUITE" userland
    if newer "$CACHE/registry/.$KUBERNETES_VERSION" images.sh "kubernetes-$KUBERNETES_VERSION" "$etcd" "$tools" "coredns-$COREDNS_VERSION" \
        "flannel-$FLANNEL_VERSION" "flannel-cni-$FLANNEL_CNI_VERSION" "userland-$SUITE"; then return; fi
    start=$(now)
    work=$(mktemp -d "$CACHE/images.XXXXXX")
    base=$BIN/userland-$SUITE/root
    # One line for each: name, base folder or -, files as SOURCE=TARGET; the first target is what the image starts.
    {
        for name in kube-apiserver kube-controller-manager kube-scheduler; do
            echo "$(kubeadm_image $name) - $kubernetes/$name=/usr/local/bin/$name"
        done
        echo "$(kubeadm_image kube-proxy) $base $kubernetes/kube-proxy=/usr/local/bin/kube-proxy"
        echo "$(kubeadm_image etcd) -" "$BIN/$etcd"/{etcd=/usr/local/bin/etcd,etcdctl=/usr/local/bin/etcdctl,etcdutl=/usr/local/bin/etcdutl}
        echo "$(kubeadm_image coredns) - $BIN/coredns-$COREDNS_VERSION/coredns=/coredns"
        echo "$(kubeadm_image pause) - $BIN/$tools/pause=/pause"
        echo "$IMAGES/flannel:v$FLANNEL_VERSION $base $BIN/flannel-$FLANNEL_VERSION/flanneld=/opt/bin/flanneld"
        echo "$IMAGES/flannel-cni-plugin:v$FLANNEL_CNI_VERSION $base $BIN/flannel-cni-$FLANNEL_CNI_VERSION/flannel=/flannel"
        echo "$IMAGES/web:1 $base $BIN/$tools/web=/usr/bin/web"
    } >"$work/list"
    "$LAB_HOME/tools/oci_layout.py" "$work/layout" <"$work/list"

    # Pushed through a registry of its own for the time, on loopback.
    port=$((20000 + RANDOM % 10000))
    registry_config "127.0.0.1:$port" >"$work/registry.yml"
    docker-registry serve "$work/registry.yml" >"$work/registry.log" 2>&1 &
    local registry=$!
    # shellcheck disable=SC2064
    trap "kill $registry 2>/dev/null || true; rm -rf '$work'" EXIT
    within 20 curl -sf "http://127.0.0.1:$port/v2/" || die "the registry does not start: $(tail -1 "$work/registry.log")"
    while read -r name _; do
        skopeo copy --quiet --insecure-policy --dest-tls-verify=false "oci:$work/layout:$name" "docker://127.0.0.1:$port/${name#"$REGISTRY/"}"
    done <"$work/list"
    kill "$registry"
    wait "$registry" || true
    touch "$CACHE/registry/.$KUBERNETES_VERSION"
    rm -rf "$work"
    trap - EXIT
    note "images: $(du -sh "$CACHE/registry" | cut -f1) in $(since "$start") s"
}

registry_config() {
    printf '%s\n' 'version: 0.1' 'log: {level: warn, accesslog: {disabled: true}}' \
        "storage: {filesystem: {rootdirectory: $CACHE/registry}}" "http: {addr: \"$1\", secret: lab}"
}

# What kube-proxy, flannel and test pods need beside their binary: a few Debian packages, unpacked, and no system.
userland() {
    local root=$1/root tool
    host_proxy
    apt_sources "$SUITE" >sources.list
    mmdebstrap --quiet --variant=extract --mode=root --format=directory --aptopt='Acquire::Languages "none"' \
        --include=iptables,nftables,conntrack,kmod,busybox,ca-certificates,netbase "$SUITE" "$root" sources.list
    rm -rf "$root"/usr/share/{doc,man,locale,info,bash-completion,lintian} "$root"/var/{lib,cache,log}/* "$root"/usr/lib/{apt,systemd,udev} \
        "$root"/etc/apt "${root:?}"/{dev/*,boot}
    # Done by installation scripts otherwise, and those have not run.
    mkdir -p "$root"/{proc,sys,run}
    for tool in bin sbin lib lib64; do
        [[ -e $root/$tool || ! -d $root/usr/$tool ]] || ln -s "usr/$tool" "$root/$tool"
    done
    for tool in {iptables,ip6tables}{,-save,-restore}; do ln -sf xtables-nft-multi "$root/usr/sbin/$tool"; done
    [[ -e $root/usr/bin/sh ]] || ln -s busybox "$root/usr/bin/sh"
    chroot "$root" /usr/bin/busybox --list | while read -r tool; do
        [[ -e $root/usr/bin/$tool || -L $root/usr/sbin/$tool ]] || ln -s busybox "$root/usr/bin/$tool"
    done
    cat "$root"/usr/share/ca-certificates/mozilla/*.crt >"$root/etc/ssl/certs/ca-certificates.crt"
}
