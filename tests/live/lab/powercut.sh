# shellcheck shell=bash
# What a virtual machine needs whose power is cut: a kernel, and what mounts its disk. `cargo xtask live powercut` starts it.

build_powercut() {
    local work package modules=() module
    [[ ! -s $CACHE/powercut/initrd ]] || return 0
    need apt-get dpkg-deb gzip
    note "making the kernel of a virtual machine"
    mkdir -p "$CACHE/powercut"
    work=$(mktemp -d "$CACHE/powercut/new.XXXXXX")
    package=$(apt-cache depends linux-image-cloud-amd64 | awk '/Depends: linux-image/ { print $2; exit }')
    [[ -n $package ]] || die "this host's apt knows no linux-image-cloud-amd64"
    (cd "$work" && apt-get -qq download busybox-static "$package" 2>/dev/null)
    for package in "$work"/*.deb; do dpkg-deb --extract "$package" "$work/root"; done
    mkdir -p "$work/initrd/bin" "$work/initrd/modules" "$work"/initrd/{proc,dev,disk}
    cp "$work/root/bin/busybox" "$work/initrd/bin/"
    # In the order in which they need each other; the rest is built in.
    modules=(virtio_ring virtio virtio_pci_legacy_dev virtio_pci_modern_dev virtio_pci virtio_blk)
    for module in "${modules[@]}"; do
        find "$work/root/lib/modules" -name "$module.ko" -exec cp {} "$work/initrd/modules/" \;
    done
    # Nothing is written back by time: after a cut there is what was synchronised, and nothing else.
    install -m 755 /dev/stdin "$work/initrd/init" <<INIT
#!/bin/busybox sh
/bin/busybox --install -s /bin
mount -t proc proc /proc
mount -t devtmpfs dev /dev
for module in ${modules[*]}; do insmod /modules/\$module.ko; done
echo 0 >/proc/sys/vm/dirty_writeback_centisecs
mount -t ext4 -o commit=3600 /dev/vda /disk
mount -t proc proc /disk/proc
mount -t devtmpfs dev /disk/dev
cp /bin/busybox /disk/bin/busybox
exec chroot /disk /bin/busybox sh /start
INIT
    (cd "$work/initrd" && find . | "$work/root/bin/busybox" cpio -o -H newc 2>/dev/null) | gzip >"$work/initrd.gz"
    cp "$work"/root/boot/vmlinuz-* "$CACHE/powercut/vmlinuz"
    mv "$work/initrd.gz" "$CACHE/powercut/initrd"
    rm -rf --one-file-system "$work"
}
