# shellcheck shell=bash
# The lab's network: a namespace without a way out, a proxy for package archives, and lxcfs where the host has it.

network_up() {
    if [[ ! -e /run/netns/$NETNS ]]; then
        ip netns add "$NETNS"
        echo "$CACHE" >"/run/$NETNS.dmp-live"
        in_netns ip link set lo up
        in_netns ip link add "$BRIDGE" type bridge forward_delay 0
        in_netns ip address add "$GATEWAY/24" dev "$BRIDGE"
        in_netns ip link set "$BRIDGE" up
        # Machines which ask for anything else learn at once that there is no way.
        in_netns ip route add unreachable default
        in_netns sysctl -qw net.ipv4.ip_forward=1
        in_netns sysctl -qw net.bridge.bridge-nf-call-iptables=0 2>/dev/null || true
    fi
    [[ $(cat "/run/$NETNS.dmp-live" 2>/dev/null) == "$CACHE" ]] ||
        die "the network namespace $NETNS belongs to somebody else; DMP_LIVE_NETNS, _NET and _CGROUP make a second lab"
    proxy_up
    lxcfs_up
}

network_down() {
    stop "$RUN/proxy.pid" "$LAB_HOME/tools/proxy.py"
    stop "$RUN/lxcfs.pid" "$RUN/lxcfs"
    [[ ! -e /run/netns/$NETNS || $(cat "/run/$NETNS.dmp-live" 2>/dev/null) != "$CACHE" ]] || {
        ip netns delete "$NETNS"
        rm -f "/run/$NETNS.dmp-live"
    }
    local hierarchy
    for hierarchy in $(hierarchies); do rmdir "$hierarchy/$CGROUP" 2>/dev/null || true; done
}

proxy_up() {
    local hosts
    process "$RUN/proxy.pid" "$LAB_HOME/tools/proxy.py" >/dev/null && return
    mapfile -t hosts < <(apt_sources "$SUITE" | sed -E 's#^deb [a-z+]+://([^/@]*@)?([^/: ]+).*#\2#' | sort -u)
    host_proxy
    setsid "$LAB_HOME/tools/proxy.py" --netns "$NETNS" --listen "$GATEWAY:$PROXY_PORT" --keep "$CACHE/debs" "${hosts[@]}" \
        </dev/null >>"$RUN/proxy.log" 2>&1 9>&- &
    echo $! >"$RUN/proxy.pid"
    within 10 listens "$PROXY_PORT" || die "the package proxy does not answer, see $RUN/proxy.log"
}

# Lets /proc/meminfo of a machine show its own limit; without it a kubelet takes the host's memory for its own.
lxcfs_up() {
    command -v lxcfs >/dev/null || return 0
    process "$RUN/lxcfs.pid" "$RUN/lxcfs" >/dev/null && return
    mkdir -p "$RUN/lxcfs"
    ! mountpoint -q "$RUN/lxcfs" || umount -l "$RUN/lxcfs"
    setsid lxcfs -f -p "$RUN/lxcfs.lock" "$RUN/lxcfs" </dev/null >"$RUN/lxcfs.log" 2>&1 9>&- &
    echo $! >"$RUN/lxcfs.pid"
    within 5 test -e "$RUN/lxcfs/proc/meminfo" || die "lxcfs does not answer, see $RUN/lxcfs.log"
}
