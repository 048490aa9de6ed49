# shellcheck shell=bash
# Debian packages of the binaries, in signed repositories with the names, versions and paths of their publishers: one flat
# repository for each minor of Kubernetes, one with suites for containerd.io.

build_packages() {
    need dpkg-deb apt-ftparchive gpg
    local start work fresh=1
    start=$(now)
    work=$(mktemp -d "$CACHE/packages.XXXXXX")
    signing_key
    kubernetes_packages
    containerd_package
    gpgconf --kill all
    rm -rf "$work"
    ((fresh)) || note "packages: $(du -sh "$CACHE/apt" | cut -f1) in $(since "$start") s"
}

# Made once for a cache, and worth nothing outside.
signing_key() {
    export GNUPGHOME=$CACHE/gnupg
    [[ -d $GNUPGHOME ]] && return
    install -d -m 700 "$GNUPGHOME"
    gpg --batch --quiet --passphrase '' --quick-generate-key 'dmp live tests, worth nothing' rsa3072 sign never 2>/dev/null
}

# deb NAME VERSION [control line]...: of the folder $work/NAME, into $pool.
deb() {
    local root=$work/$1 name=$1 version=$2
    shift 2
    mkdir -p "$root/DEBIAN"
    printf '%s\n' "Package: $name" "Version: $version" "Architecture: $architecture" 'Maintainer: dmp live tests <live@dmp.invalid>' \
        "Description: $name, made for dmp's live tests" "$@" >"$root/DEBIAN/control"
    dpkg-deb --root-owner-group -Zzstd -z3 --build "$root" "$pool/${name}_${version}_$architecture.deb" >/dev/null
}

# hook NAME WHEN: a maintainer script for $work/NAME, its commands on standard input; it does nothing where no systemd runs.
hook() {
    local when=configure
    [[ $2 == postinst ]] || when=remove
    install -D -m 755 /dev/stdin "$work/$1/DEBIAN/$2" <<SCRIPT
#!/bin/sh
set -e
if [ "\$1" = $when ] && [ -d /run/systemd/system ]; then
$(cat)
fi
SCRIPT
}

# release FOLDER [FIELD=VALUE]...: the index of a folder's Packages, signed.
release() {
    local folder=$1 field options=()
    shift
    for field in Origin=dmp-live "$@"; do options+=(-o "APT::FTPArchive::Release::$field"); done
    gzip -9nkf "$(find "$folder" -name Packages)"
    rm -f "$folder"/{Release,Release.gpg,InRelease}
    apt-ftparchive "${options[@]}" release "$folder" >"$work/Release"
    mv "$work/Release" "$folder/"
    gpg --batch --yes --quiet --digest-algo SHA512 --clearsign -o "$folder/InRelease" "$folder/Release"
    gpg --batch --yes --quiet --digest-algo SHA512 --armor --detach-sign -o "$folder/Release.gpg" "$folder/Release"
}

architecture=$(dpkg --print-architecture)

kubernetes_packages() {
    local pool=$CACHE/apt/core:/stable:/v$KUBERNETES_MINOR/deb version=$KUBERNETES_VERSION-1.1 binaries=$BIN/kubernetes-$KUBERNETES_VERSION name units
    [[ ! -f $pool/kubelet_${version}_$architecture.deb ]] || ! newer "$pool/InRelease" packages.sh "kubernetes-$KUBERNETES_VERSION" "cni-$CNI_VERSION" || return 0
    fresh=0
    mkdir -p "$pool"
    for name in kubectl kubeadm kubelet; do install -D -m 755 "$binaries/$name" "$work/$name/usr/bin/$name"; done

    units=$work/kubelet/usr/lib/systemd/system
    mkdir -p "$units/kubelet.service.d" "$work/kubelet/etc/kubernetes/manifests"
    cat >"$units/kubelet.service" <<'UNIT'
[Unit]
Description=kubelet: The Kubernetes Node Agent
Documentation=https://kubernetes.io/docs/
Wants=network-online.target
After=network-online.target

[Service]
ExecStart=/usr/bin/kubelet
Restart=always
StartLimitInterval=0
RestartSec=10

[Install]
WantedBy=multi-user.target
UNIT
    # The files are those which kubeadm writes.
    cat >"$units/kubelet.service.d/10-kubeadm.conf" <<'UNIT'
[Service]
Environment="KUBELET_KUBECONFIG_ARGS=--bootstrap-kubeconfig=/etc/kubernetes/bootstrap-kubelet.conf --kubeconfig=/etc/kubernetes/kubelet.conf"
Environment="KUBELET_CONFIG_ARGS=--config=/var/lib/kubelet/config.yaml"
EnvironmentFile=-/var/lib/kubelet/kubeadm-flags.env
EnvironmentFile=-/etc/default/kubelet
ExecStart=
ExecStart=/usr/bin/kubelet $KUBELET_KUBECONFIG_ARGS $KUBELET_CONFIG_ARGS $KUBELET_KUBEADM_ARGS $KUBELET_EXTRA_ARGS
UNIT
    hook kubelet postinst <<'COMMANDS'
    systemctl daemon-reload
    systemctl is-enabled -q kubelet || systemctl enable -q kubelet
    systemctl try-restart kubelet
COMMANDS
    hook kubelet prerm <<<'    systemctl disable --now -q kubelet'
    mkdir -p "$work/kubernetes-cni/opt/cni/bin"
    cp "$BIN/cni-$CNI_VERSION"/* "$work/kubernetes-cni/opt/cni/bin/"

    deb kubernetes-cni "$CNI_VERSION-1.1"
    deb kubectl "$version"
    deb kubelet "$version" 'Depends: iptables (>= 1.4.21), kubernetes-cni (>= 1.2.0), iproute2, mount, util-linux'
    deb kubeadm "$version"
    (cd "$pool" && apt-ftparchive packages . >Packages)
    release "$pool"
    gpg --armor --export >"$pool/Release.key"
}

containerd_package() {
    local root=$CACHE/apt/linux/debian tree=$work/containerd.io pool dist
    pool=$root/pool dist=$root/dists/$SUITE
    [[ ! -f $pool/containerd.io_$CONTAINERD_VERSION-1_$architecture.deb ]] ||
        ! newer "$dist/InRelease" packages.sh "containerd-$CONTAINERD_VERSION" "runc-$RUNC_VERSION" || return 0
    fresh=0
    mkdir -p "$pool" "$dist/stable/binary-$architecture" "$tree"/{usr/bin,usr/lib/systemd/system,etc/containerd,DEBIAN}
    cp "$BIN/containerd-$CONTAINERD_VERSION"/* "$BIN/runc-$RUNC_VERSION/runc" "$tree/usr/bin/"
    cat >"$tree/usr/lib/systemd/system/containerd.service" <<'UNIT'
[Unit]
Description=containerd container runtime
Documentation=https://containerd.io
After=network.target dbus.service

[Service]
ExecStartPre=-/sbin/modprobe overlay
ExecStart=/usr/bin/containerd
Type=notify
Delegate=yes
KillMode=process
Restart=always
RestartSec=5
LimitNPROC=infinity
LimitCORE=infinity
TasksMax=infinity
OOMScoreAdjust=-999

[Install]
WantedBy=multi-user.target
UNIT
    # As its publisher ships it: no CRI until the site writes a file of its own.
    echo 'disabled_plugins = ["cri"]' >"$tree/etc/containerd/config.toml"
    echo /etc/containerd/config.toml >"$tree/DEBIAN/conffiles"
    hook containerd.io postinst <<'COMMANDS'
    systemctl daemon-reload
    systemctl enable -q containerd
    systemctl restart containerd
COMMANDS
    hook containerd.io prerm <<<'    systemctl disable --now -q containerd'
    deb containerd.io "$CONTAINERD_VERSION-1" 'Provides: containerd, runc' 'Conflicts: containerd, runc' 'Replaces: containerd, runc'
    (cd "$root" && apt-ftparchive packages pool) >"$dist/stable/binary-$architecture/Packages"
    release "$dist" "Suite=$SUITE" "Codename=$SUITE" Components=stable "Architectures=$architecture"
    gpg --armor --export >"$root/gpg"
}
