# shellcheck shell=bash
# The Debian packages this host needs.

FOR_MACHINES=(mmdebstrap iproute2 util-linux openssh-client python3 gzip nftables lxcfs ssh-audit)
FOR_VMS=(qemu-system-x86 seabios e2fsprogs)
FOR_CLOUD=(mmdebstrap qemu-system-x86 qemu-utils seabios e2fsprogs fdisk grub-common grub-pc-bin)
FOR_POWERCUT=(qemu-system-x86 seabios dpkg-dev binutils e2fsprogs gzip)
FOR_CLUSTERS=(docker-registry skopeo haproxy dpkg-dev apt-utils gnupg curl gcc libc6-dev libseccomp-dev pkg-config)

install_packages() {
    local wanted=() what package missing=() policy=/usr/sbin/policy-rc.d
    (($#)) || set -- all
    for what; do
        case $what in
            machines) wanted+=("${FOR_MACHINES[@]}") ;;
            vms) wanted+=("${FOR_MACHINES[@]}" "${FOR_VMS[@]}") ;;
            cloud) wanted+=("${FOR_CLOUD[@]}") ;;
            powercut) wanted+=("${FOR_POWERCUT[@]}") ;;
            all) wanted+=("${FOR_MACHINES[@]}" "${FOR_CLUSTERS[@]}") ;;
            *) die "usage: lab install [machines|vms|cloud|powercut|all]..." ;;
        esac
    done
    for package in "${wanted[@]}"; do
        [[ $(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null) == installed ]] || missing+=("$package")
    done
    ((${#missing[@]})) || return 0
    note "installing ${missing[*]}"
    # Some of them are services, which this host shall not start for that.
    if [[ ! -e $policy ]]; then
        trap 'rm -f /usr/sbin/policy-rc.d' EXIT
        install -m 755 /dev/stdin "$policy" <<<$'#!/bin/sh\nexit 101'
    fi
    apt-get -qq update
    DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends "${missing[@]}" >/dev/null
}
