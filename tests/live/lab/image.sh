# shellcheck shell=bash
# The machines' images: a bare Debian, as a cloud or an installer would hand it over. No Kubernetes, no containerd, no Python.

# shellcheck disable=SC2153 # lib.sh sets it
build_machine() { build_image "$SUITE"; }
build_older() { build_image "$OLDER_SUITE"; }

build_image() {
    local suite=$1 work root start unit image
    image=$(image "$suite")
    [[ ! -d $image/root ]] || return 0
    start=$(now)
    bootstrap "$suite"
    no_boot_of_its_own
    [[ -n $(machine_names) ]] || rm -rf --one-file-system "$CACHE/image/debian-$suite"-*     # of earlier recipes
    mv "$work" "$image"
    note "machine: $suite, $(du -sh "$image/root" | cut -f1) in $(since "$start") s"
}

# Archives for dmp's own lab, as its guide has people make them; the second has cloud-init.
build_roots() {
    need mmdebstrap
    local start sources more file
    host_proxy
    mkdir -p "$CACHE/image"
    for more in '' ,cloud-init; do
        file=$(root_archive "${more#,}")
        [[ ! -f $file ]] || continue
        start=$(now)
        sources=$(mktemp "$CACHE/image/sources.XXXXXX")
        apt_sources "$SUITE" >"$sources"
        mmdebstrap --quiet --variant=minbase --aptopt='Acquire::Languages "none"' --format=tar \
            --include="systemd-sysv,dbus,libpam-systemd,openssh-server,sudo,iproute2,kmod,procps,ca-certificates$more" "$SUITE" "$file.new" "$sources"
        rm "$sources"
        mv "$file.new" "$file"
        note "root: $(basename "$file"), $(du -sh "$file" | cut -f1) in $(since "$start") s"
    done
}

# A virtual machine's image: the same with a kernel of its own, and what a cloud's image has for disks and a firewall.
build_vm() {
    local suite=$SUITE work root start unit image
    image=$(vm_image "$suite")
    [[ ! -e $image/vmlinuz ]] || return 0
    start=$(now)
    # The kernel is handed over by qemu, so one that the machine upgrades to would never run: it has no package that asks for newer ones.
    # shellcheck disable=SC2016 # it is mmdebstrap's word
    bootstrap "$suite" --include=linux-image-cloud-amd64,initramfs-tools,udev,e2fsprogs,xfsprogs,btrfs-progs,nftables,unattended-upgrades \
        --essential-hook="$(declare -f small_initrd); small_initrd \"\$1\"" \
        --customize-hook='chroot "$1" dpkg --purge linux-image-cloud-amd64 >/dev/null'
    echo 'LABEL=root / ext4 defaults 0 1' >"$root/etc/fstab"
    ln -sf /dev/null "$root/etc/systemd/system/unattended-upgrades.service"                  # waits for the shutdown, in Python
    (cd "$work" && ln -s root/boot/vmlinuz-* vmlinuz && ln -s root/boot/initrd.img-* initrd)
    [[ -n $(machine_names) ]] || rm -rf --one-file-system "$CACHE/image/vm-$suite"-*
    mv "$work" "$image"
    note "virtual machine: $suite, $(du -sh "$image/root" | cut -f1) in $(since "$start") s"
}

# The image of a disk that boots by itself and has cloud-init and the guest agent, as a cloud hands it out: for virtual machines of dmp's own lab.
build_cloud() {
    local suite=$SUITE work root start image disk sectors kernel
    image=$(cloud_image)
    [[ ! -f $image ]] || return 0
    need sfdisk mkfs.ext4 qemu-img grub-mkimage
    start=$(now)
    bootstrap "$suite" --include=linux-image-cloud-amd64,initramfs-tools,udev,e2fsprogs,fdisk,cloud-init,cloud-guest-utils,qemu-guest-agent \
        --essential-hook="$(declare -f small_initrd); small_initrd \"\$1\""
    echo 'LABEL=root / ext4 defaults 0 1' >"$root/etc/fstab"
    echo 'apt: {preserve_sources_list: true}' >"$root/etc/cloud/cloud.cfg.d/90-lab.cfg"
    kernel=$(basename "$root"/boot/vmlinuz-*)

    # One partition from the first MiB on; before it is what the firmware starts, which finds the kernel by the file system's label.
    disk=$work/disk sectors=$((3 << 21))
    truncate -s $((sectors * 512)) "$disk"
    sfdisk --quiet "$disk" <<<$'label: dos\nstart=2048, type=83, bootable'
    # The boot loader of Debian 12 reads no checksums with a seed of their own.
    mkfs.ext4 -q -L root -O ^metadata_csum_seed -E offset=$((2048 * 512)) -d "$root" "$disk" "$(((sectors - 2048) / 2))k"
    cat >"$work/grub.cfg" <<CONFIG
search.fs_label root root
linux /boot/$kernel root=LABEL=root ro console=ttyS0 net.ifnames=0 mitigations=off audit=0 quiet
initrd /boot/${kernel/vmlinuz/initrd.img}
boot
CONFIG
    grub-mkimage --format=i386-pc --prefix=/boot/grub --config="$work/grub.cfg" --output="$work/core" biosdisk part_msdos ext2 search_label linux boot
    (($(stat -c %s "$work/core") < 2047 * 512)) || die "what is started first does not fit before the partition"
    # The table of partitions is in the same sector as the first; the second is where the first looks for it.
    dd if=/usr/lib/grub/i386-pc/boot.img of="$disk" bs=1 count=440 conv=notrunc status=none
    dd if="$work/core" of="$disk" bs=512 seek=1 conv=notrunc status=none
    rm -f "$CACHE/image/cloud-$suite"-*
    qemu-img convert -O qcow2 "$disk" "$image.new"
    mv "$image.new" "$image"
    rm -rf --one-file-system "$work"
    note "disk: $suite, $(du -sh "$image" | cut -f1) in $(since "$start") s"
}

# Before the kernel is unpacked: its initrd has what finds and checks the root disk, and discs, which cloud-init looks for before anything else
# runs; no driver beside that.
small_initrd() {
    mkdir -p "$1/etc/initramfs-tools/conf.d" "$1/usr/share/initramfs-tools/modules.d"
    echo MODULES=list >"$1/etc/initramfs-tools/conf.d/lab"
    printf '%s\n' virtio_pci virtio_blk virtio_scsi sd_mod sr_mod ata_piix ahci ext4 >"$1/usr/share/initramfs-tools/modules.d/lab"
}

# bootstrap SUITE [OPTION...]: a Debian with no name, key or number in $root below $work, a new folder; options are mmdebstrap's.
bootstrap() {
    local suite=$1
    shift
    need mmdebstrap zcat
    host_proxy
    mkdir -p "$CACHE/image"
    rm -rf --one-file-system "$CACHE"/image/new.*
    work=$(mktemp -d "$CACHE/image/new.XXXXXX")
    root=$work/root
    chmod 755 "$work"
    apt_sources "$suite" >"$work/sources.list"
    mmdebstrap --quiet --variant=minbase --mode=root --format=directory --aptopt='Acquire::Languages "none"' \
        --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/doc/*' \
        --include=systemd,systemd-sysv,libpam-systemd,dbus,openssh-server,sudo,ca-certificates,iproute2,kmod,netbase,procps \
        "$@" "$suite" "$root" "$work/sources.list"

    # Names, keys and numbers are a machine's, not the image's.
    rm -f "$root"/etc/ssh/ssh_host_* "$root"/etc/hostname "$root"/var/lib/dbus/machine-id "$root"/etc/apt/sources.list.d/* "$root"/etc/resolv.conf
    : >"$root/etc/machine-id"
    : >"$root/etc/fstab"
    echo 'LANG=C.UTF-8' >"$root/etc/default/locale"
    echo "nameserver $GATEWAY" >"$root/etc/resolv.conf"
    cp "$work/sources.list" "$root/etc/apt/sources.list"
    cat >"$root/etc/apt/apt.conf.d/90lab" <<CONFIG
Acquire::http::Proxy "http://$GATEWAY:$PROXY_PORT";
Acquire::https::Proxy "http://$GATEWAY:$PROXY_PORT";
Acquire::http::Proxy::$GATEWAY "DIRECT";
Acquire::Languages "none";
CONFIG

    chroot "$root" useradd --create-home --shell /bin/bash "$SSH_USER"
    install -m 440 /dev/stdin "$root/etc/sudoers.d/90-lab" <<<"$SSH_USER ALL=(ALL) NOPASSWD:ALL"
    printf 'PasswordAuthentication no\nUseDNS no\n' >"$root/etc/ssh/sshd_config.d/90-lab.conf"

    ln -s /usr/lib/systemd/system/systemd-networkd.service "$root/etc/systemd/system/multi-user.target.wants/"
    # What has no device here, or only costs time.
    for unit in getty.target console-getty.service systemd-pstore.service systemd-journald-audit.socket \
        apt-daily.timer apt-daily-upgrade.timer e2scrub_all.timer e2scrub_reap.service fstrim.timer; do
        ln -sf /dev/null "$root/etc/systemd/system/$unit"
    done
    mkdir -p "$root"/var/log/journal
    rm -rf "$root"/var/cache/apt/*.bin "$root"/var/cache/apt/archives/*.deb "$root"/var/lib/apt/lists/* "$root"/var/log/*.log
}

# The kernel is the host's, and so are the devices: there is no udev.
no_boot_of_its_own() {
    # What would act on the kernel that all share.
    for unit in proc-sys-fs-binfmt_misc.automount sys-kernel-debug.mount sys-kernel-tracing.mount sys-kernel-config.mount \
        sys-fs-fuse-connections.mount; do
        ln -sf /dev/null "$root/etc/systemd/system/$unit"
    done
    mkdir -p "$root"/etc/systemd/{journald,system}.conf.d
    # The kernel's log is the host's: a kubelet may read it, the journal does not repeat it.
    printf '[Journal]\nReadKMsg=no\nAudit=\n' >"$root/etc/systemd/journald.conf.d/lab.conf"
    # With cgroup v1 systemd leaves services out of the cpu hierarchy unless asked, and a kubelet wants them in it.
    printf '[Manager]\nDefaultCPUAccounting=yes\n' >"$root/etc/systemd/system.conf.d/lab.conf"
    builtin_modules "$root/lib/modules/$(uname -r)"
    chroot "$root" depmod "$(uname -r)"
}

# The kernel has no modules but what is built in. Told so, modprobe succeeds for those, and fails for all others.
builtin_modules() {
    local option path config
    mkdir -p "$1"
    touch "$1"/modules.{order,builtin.modinfo}
    config=$(zcat /proc/config.gz)
    while read -r option path; do
        if grep -q "^CONFIG_$option=y" <<<"$config"; then echo "kernel/$path.ko"; fi
    done >"$1/modules.builtin" <<'TABLE'
OVERLAY_FS fs/overlayfs/overlay
FUSE_FS fs/fuse/fuse
BRIDGE net/bridge/bridge
BRIDGE_NETFILTER net/bridge/br_netfilter
VETH drivers/net/veth
VXLAN drivers/net/vxlan/vxlan
TUN drivers/net/tun
DUMMY drivers/net/dummy
WIREGUARD drivers/net/wireguard/wireguard
NET_IPIP net/ipv4/ipip
IP_VS net/netfilter/ipvs/ip_vs
IP_SET net/netfilter/ipset/ip_set
NF_CONNTRACK net/netfilter/nf_conntrack
NF_NAT net/netfilter/nf_nat
NF_TABLES net/netfilter/nf_tables
NFT_NAT net/netfilter/nft_chain_nat
NFT_MASQ net/netfilter/nft_masq
NFT_COMPAT net/netfilter/nft_compat
NETFILTER_XTABLES net/netfilter/x_tables
NETFILTER_XT_MATCH_CONNTRACK net/netfilter/xt_conntrack
NETFILTER_XT_MATCH_COMMENT net/netfilter/xt_comment
NETFILTER_XT_MATCH_STATISTIC net/netfilter/xt_statistic
NETFILTER_XT_TARGET_MASQUERADE net/netfilter/xt_MASQUERADE
IP_NF_FILTER net/ipv4/netfilter/iptable_filter
IP_NF_NAT net/ipv4/netfilter/iptable_nat
NFS_FS fs/nfs/nfs
CEPH_FS fs/ceph/ceph
BLK_DEV_RBD drivers/block/rbd
TABLE
}
