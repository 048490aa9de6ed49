# shellcheck shell=bash
# Machines: creating, starting, stopping and asking them. What happens inside their namespaces is in `boot`.
#
# A machine is a folder $MACHINES/NAME: `machine` (its values), `key` and `known_hosts` for logging in, `upper` (its changes
# over the image), `containerd`, `docker` and `kubelet` (not on the overlay), `console.log`. It is on while `boot.pid` lives.
# Virtual machines are in `vm.sh`; here is what both have in common.

machine_exists() { [[ -f $MACHINES/$1/machine ]]; }
machine_must_exist() { local name; for name; do machine_exists "$name" || die "there is no machine $name"; done; }
machine_value() { sed -n "s/^$2=//p" "$MACHINES/$1/machine"; }

boot_process() {
    local pid
    pid=$(process "$MACHINES/$1/boot.pid" "$LAB_HOME/boot") && tr '\0' '\n' <"/proc/$pid/cmdline" | grep -qxF "$1" && echo "$pid"
}

# Process 1 of a machine, by its number on the host.
init_process() {
    local pid
    [[ -s $MACHINES/$1/init.pid ]] || return 1
    pid=$(<"$MACHINES/$1/init.pid")
    grep -q "/$CGROUP/$1\(/\|\$\)" "/proc/$pid/cgroup" 2>/dev/null || return 1
    [[ $(awk '/^NSpid:/ { print $3 }' "/proc/$pid/status" 2>/dev/null) == 1 ]] && echo "$pid"
}

is_on() { if is_vm "$1"; then vm_process "$1" >/dev/null; else boot_process "$1" >/dev/null || init_process "$1" >/dev/null; fi; }
is_off() { ! is_on "$1"; }

machine_ssh() {
    local name=${1:?usage: lab ssh NAME [COMMAND...]}
    shift
    machine_must_exist "$name"
    in_netns ssh -i "$MACHINES/$name/key" -o IdentitiesOnly=yes -o UserKnownHostsFile="$MACHINES/$name/known_hosts" \
        -o StrictHostKeyChecking=yes -o ConnectTimeout="${SSH_TIMEOUT:-20}" -o ServerAliveInterval=15 -o LogLevel=ERROR \
        "$SSH_USER@$(machine_value "$name" ADDRESS)" "$@"
}

machines_up() {
    # shellcheck disable=SC2153 # lib.sh sets it
    local memory=2048 first=11 suite=$SUITE vm=no disks=() name failed=0 pids=()
    local usage="usage: lab up [--vm [--disk SIZE]...] [--memory MIB] [--from NUMBER] [--suite SUITE] NAME..."
    while [[ ${1-} == --* ]]; do
        case $1 in
            --vm) vm=yes; shift; continue ;;
            --disk) disks+=("${2:?$usage}") ;;
            --memory) memory=${2:?$usage} ;;
            --from) first=${2:?$usage} ;;
            --suite) suite=${2:?$usage} ;;
            *) die "$usage" ;;
        esac
        shift 2
    done
    (($#)) || die "$usage"
    for name; do [[ $name =~ ^[a-z]([a-z0-9-]{0,30}[a-z0-9])?$ ]] || die "$name is no name for a machine"; done
    if [[ $vm == yes ]]; then
        [[ -e $(vm_image "$suite")/vmlinuz ]] || die "there is no image of a $suite virtual machine (lab build vm)"
    else
        ((${#disks[@]} == 0)) || die "only a virtual machine has disks: $usage"
        [[ $(hierarchies) == */memory* ]] || die "this host has no cgroup v1 hierarchies (see the README)"
        [[ -d $(image "$suite")/root ]] || die "there is no image of a $suite machine (lab build machine older)"
    fi

    exec 9>"$RUN/lock"
    flock 9                                            # addresses are handed out by one at a time
    network_up
    raise_inotify
    for name; do
        machine_exists "$name" && continue
        create "$name" "$memory" "$first" "$suite"
        [[ $vm == no ]] || vm_create "$name" "${disks[@]}"
    done
    exec 9>&-
    for name; do is_on "$name" || switch_on "$name"; done
    for name; do wait_ready "$name" & pids+=($!); done
    for name in "${pids[@]}"; do wait "$name" || failed=1; done
    return $failed
}

# Instances are counted per user over host and machines; the usual limit of 128 is soon used up.
raise_inotify() {
    local limit=/proc/sys/fs/inotify/max_user_instances
    (($(<"$limit") >= 1024)) || echo 1024 >"$limit"
}

create() {
    local name=$1 memory=$2 suite=$4 at=$MACHINES/$1 number upper
    for ((number = $3; number < 250; number++)); do
        grep -qsx "ADDRESS=$NET.$number" "$MACHINES"/*/machine || break
    done
    upper=$at/upper
    mkdir -p "$at"/{root,work,sysctl,containerd,docker,kubelet} "$upper"/{etc/ssh,etc/systemd/network,home}
    ssh-keygen -q -t ed25519 -N '' -C "lab $name" -f "$at/key"

    # Who it is, written before its first boot: name, address, host key, the user's key.
    echo "$name" >"$upper/etc/hostname"
    tr -d - </proc/sys/kernel/random/uuid >"$upper/etc/machine-id"
    printf '127.0.0.1 localhost\n::1 localhost\n%s %s\n' "$NET.$number" "$name" >"$upper/etc/hosts"
    printf '[Match]\nName=eth0\n\n[Network]\nAddress=%s/24\nGateway=%s\nLLDP=no\nIPv6AcceptRA=no\n' "$NET.$number" "$GATEWAY" \
        >"$upper/etc/systemd/network/10-eth0.network"
    ssh-keygen -q -t ed25519 -N '' -C "$name" -f "$upper/etc/ssh/ssh_host_ed25519_key"
    echo "$NET.$number $(cut -d' ' -f1,2 "$upper/etc/ssh/ssh_host_ed25519_key.pub")" >"$at/known_hosts"
    install -d -m 755 -o 1000 -g 1000 "$upper/home/$SSH_USER"
    install -d -m 700 -o 1000 -g 1000 "$upper/home/$SSH_USER/.ssh"
    install -m 600 -o 1000 -g 1000 "$at/key.pub" "$upper/home/$SSH_USER/.ssh/authorized_keys"
    cat >"$at/machine" <<VALUES
NAME=$name
ADDRESS=$NET.$number
MAC=$(printf '52:54:00:79:00:%02x' "$number")
LINK=dl-$number
IMAGE=$(image "$suite")/root
MEMORY=$memory
SUITE=$suite
VALUES
}

switch_on() {
    if is_vm "$1"; then vm_on "$1"; return; fi
    rm -f "$MACHINES/$1/init.pid"
    now >"$MACHINES/$1/started"
    setsid "$LAB_HOME/boot" "$1" </dev/null >>"$MACHINES/$1/console.log" 2>&1 &
    echo $! >"$MACHINES/$1/boot.pid"
}

wait_ready() {
    local name=$1 state start patience=60 once=2
    if is_vm "$name"; then patience=$VM_PATIENCE once=15; fi
    start=$(<"$MACHINES/$name/started")
    SSH_TIMEOUT=$once within "$patience" answers_or_is_off "$name" || true
    machine_ssh "$name" true || die "$name does not come up, see $MACHINES/$name/console.log"
    state=$(machine_ssh "$name" systemctl is-system-running --wait || true)
    echo "$name $(machine_value "$name" ADDRESS) $state after $(since "$start") s"
    [[ $state == running ]]
}
answers_or_is_off() { machine_ssh "$1" true || is_off "$1"; }

machines_reboot() {
    local name pids=() failed=0
    machine_must_exist "$@"
    for name; do reboot_one "$name" & pids+=($!); done
    for name in "${pids[@]}"; do wait "$name" || failed=1; done
    return $failed
}
reboot_one() {
    local name=$1 before pid
    if is_vm "$name"; then vm_reboot "$name"; return; fi
    pid=$(init_process "$name") || die "$name is off"
    before=$(<"$MACHINES/$name/boot_id")
    kill -s RTMIN+5 "$pid"                             # to systemd: reboot.target
    within 60 booted_again "$name" "$before" || die "$name did not reboot, see $MACHINES/$name/console.log"
    wait_ready "$name"
}
booted_again() { [[ $(<"$MACHINES/$1/boot_id") != "$2" ]]; }

machines_kill() {
    local name pid
    machine_must_exist "$@"
    for name; do
        if is_vm "$name"; then vm_kill "$name"; continue; fi
        while is_on "$name"; do
            if pid=$(init_process "$name"); then kill -KILL "$pid" 2>/dev/null || true; fi
            sleep 0.05
        done
    done
}

machines_down() {
    local name all=0
    if [[ ${1-} == --all ]]; then
        all=1
        mapfile -t names < <(machine_names)
        set -- "${names[@]}"
    fi
    machine_must_exist "$@"
    for name; do delete "$name" & done
    wait
    if ((all)) && ! any_service; then network_down; fi
}
delete() {
    local pid
    if is_vm "$1"; then
        vm_unplug "$1"                                 # nothing of it is wanted any more
    else
        if pid=$(init_process "$1"); then kill -s RTMIN+4 "$pid" 2>/dev/null || true; fi     # to systemd: poweroff.target
        within 30 is_off "$1" || machines_kill "$1"
    fi
    rm -rf --one-file-system "${MACHINES:?}/$1"
}

machine_names() { local file; for file in "$MACHINES"/*/machine; do [[ ! -f $file ]] || basename "$(dirname "$file")"; done; }

machines_list() {
    local name
    for name in $(machine_names); do
        echo "$name $(machine_value "$name" ADDRESS) $(if is_on "$name"; then echo on; else echo off; fi)"
    done
}

machine_show() {
    local at=$MACHINES/${1:?usage: lab show NAME}
    machine_must_exist "$1"
    cat "$at/machine"
    printf '%s\n' "USER=$SSH_USER" "KEY=$at/key" "KNOWN_HOSTS=$at/known_hosts" "FOLDER=$at"
    is_vm "$1" || printf '%s\n' "UPPER=$at/upper" "INIT=$(init_process "$1" || true)" "FREEZER=$(hierarchies | grep '/freezer$')/$CGROUP/$1"
}
