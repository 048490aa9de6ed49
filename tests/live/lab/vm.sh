# shellcheck shell=bash
# Virtual machines: what needs a kernel of its own. They are machines like all others, by the same names, keys and commands.
#
# The folder of one has `disk0`, made of the image and of `upper`, the empty disks `disk1` and so on, and `qmp`, qemu's ear.
# qemu gives it the image's kernel at every boot, also at a reboot. It is on while the qemu of `boot.pid` lives.

VM_PATIENCE=600                                        # seconds in which an emulated one has booted on a busy host

is_vm() { [[ -f $MACHINES/$1/disk0 ]]; }
vm_process() { process "$MACHINES/$1/boot.pid" "unix:$MACHINES/$1/qmp,"; }

# vm_create NAME [SIZE...]: its disks, after its folder.
vm_create() {
    local name=$1 at=$MACHINES/$1 image size number=0
    shift
    need qemu-system-x86_64 mkfs.ext4 numfmt
    image=$(vm_image "$(machine_value "$name" SUITE)")
    sed -i "s#^IMAGE=.*#IMAGE=$image/root#" "$at/machine"
    for size; do
        number=$((number + 1))
        truncate -s "$(numfmt --from=iec "$size")" "$at/disk$number"
    done
    echo "DISKS=$number" >>"$at/machine"
    # What the machine is goes into its disk before it boots: neither a service in it nor a second boot is needed for that.
    # shellcheck disable=SC2016
    unshare --mount bash -euc 'mount -t overlay overlay "$1/root" -o "ro,lowerdir=$1/upper:$2"
        truncate -s 4G "$1/disk0.new"; mkfs.ext4 -q -L root -d "$1/root" "$1/disk0.new"' bash "$at" "$image/root"
    mv "$at/disk0.new" "$at/disk0"
}

vm_on() {
    local name=$1 at=$MACHINES/$1 image link number disks=() accelerator
    image=$(dirname "$(machine_value "$name" IMAGE)")
    link=$(machine_value "$name" LINK)
    accelerator=$(vm_accelerator "$image/vmlinuz")
    in_netns ip link show "$link" >/dev/null 2>&1 || in_netns ip tuntap add "$link" mode tap
    in_netns ip link set "$link" master "$BRIDGE" up
    for ((number = 0; number <= $(machine_value "$name" DISKS); number++)); do
        disks+=(-blockdev "driver=raw,node-name=disk$number,discard=unmap,file.driver=file,file.filename=$at/disk$number"
            -device "virtio-blk-pci,drive=disk$number,serial=disk$number")
    done
    rm -f "$at/qmp"
    now >"$at/started"
    # shellcheck disable=SC2086 # an accelerator is several words
    setsid ip netns exec "$NETNS" qemu-system-x86_64 -name "$name" -machine q35 $accelerator -smp 2 -m "$(machine_value "$name" MEMORY)" \
        -nodefaults -display none -serial stdio -qmp "unix:$at/qmp,server=on,wait=off" \
        -kernel "$image/vmlinuz" -initrd "$image/initrd" \
        -append "root=LABEL=root rw console=ttyS0 net.ifnames=0 mitigations=off audit=0 quiet" "${disks[@]}" \
        -netdev "tap,id=net0,ifname=$link,script=no,downscript=no" \
        -device "virtio-net-pci,netdev=net0,mac=$(machine_value "$name" MAC),romfile=" -device virtio-rng-pci \
        </dev/null >>"$at/console.log" 2>&1 9>&- &
    echo $! >"$at/boot.pid"
}

# KVM where it has run this very kernel as far as its first words, otherwise emulation: there are hosts whose /dev/kvm runs the
# firmware and no kernel but their own.
vm_accelerator() {
    local kernel=$1 known answer='-accel tcg,thread=multi -cpu max' kvm='-accel kvm -cpu host'
    known=$RUN/accelerator.$(basename "$(readlink -f "$kernel")")
    if [[ ! -s $known ]]; then
        # shellcheck disable=SC2086
        if [[ -w /dev/kvm ]] && grep -aqm 1 'Linux version' < <(timeout 20 qemu-system-x86_64 $kvm -m 512 -nodefaults -display none \
            -no-reboot -serial stdio -kernel "$kernel" -append 'console=ttyS0 earlyprintk=serial panic=-1' </dev/null 2>/dev/null); then
            answer=$kvm
        fi
        echo "$answer" >"$known"
        note "virtual machines: $answer"
    fi
    cat "$known"
}

vm_reboot() {
    local name=$1 before
    before=$(vm_boot "$name") || die "$name does not answer"
    now >"$MACHINES/$name/started"
    machine_ssh "$name" sudo systemctl --no-block reboot || true     # the connection may go with it
    within "$VM_PATIENCE" vm_booted_again "$name" "$before" || die "$name did not reboot, see $MACHINES/$name/console.log"
    wait_ready "$name"
}
vm_boot() { SSH_TIMEOUT=15 machine_ssh "$1" cat /proc/sys/kernel/random/boot_id; }
vm_booted_again() { local boot; boot=$(vm_boot "$1") && [[ $boot != "$2" ]]; }

vm_kill() {
    local pid
    while pid=$(vm_process "$1"); do
        kill -KILL "$pid" 2>/dev/null || true
        sleep 0.05
    done
}

vm_unplug() {
    vm_kill "$1"
    in_netns ip link delete "$(machine_value "$1" LINK)" 2>/dev/null || true
}

vm_resize() {
    local usage='usage: lab resize NAME DISK SIZE' name disk size
    name=${1:?$usage} disk=${2:?$usage} size=$(numfmt --from=iec "${3:?$usage}")
    machine_must_exist "$name"
    vm_process "$name" >/dev/null || die "$name is no virtual machine that is on"
    "$LAB_HOME/tools/qmp.py" "$MACHINES/$name/qmp" block_resize "{\"node-name\": \"disk$disk\", \"size\": $size}"
}
