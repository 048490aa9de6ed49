# shellcheck shell=bash
# What a site serves its machines: package repositories, images, names, and a balancer for control planes. All listens on the
# bridge's address, in the lab's network alone.

SERVICES=(apt registry dns balancer)

services() {
    case ${1-} in
        up) services_up ;;
        down) services_down ;;
        *) die "usage: lab services up|down" ;;
    esac
}

service_runs() { process "$RUN/$1.pid" "$CACHE" >/dev/null; }
any_service() { local name; for name in "${SERVICES[@]}"; do service_runs "$name" && return; done; return 1; }

# serve NAME PORT COMMAND...: runs it in the lab's network unless it does; $CACHE is on each command line, by which it is known.
serve() {
    local name=$1 port=$2
    shift 2
    service_runs "$name" && return
    setsid ip netns exec "$NETNS" "$@" </dev/null >>"$RUN/$name.log" 2>&1 9>&- &
    echo $! >"$RUN/$name.pid"
    within 20 listens "$port" || die "$name does not answer, see $RUN/$name.log"
}

services_up() {
    need docker-registry haproxy
    [[ -f $CACHE/registry/.$KUBERNETES_VERSION ]] || die "Kubernetes $KUBERNETES_VERSION is not built (lab build)"
    exec 9>"$RUN/lock"
    flock 9
    network_up
    registry_config "$REGISTRY" >"$RUN/registry.yml"
    echo "$GATEWAY apt.lab registry.lab api.lab" >"$RUN/hosts"
    # The lab's own names, and for all others at once: there is none.
    printf '%s\n' 'lab {' "  bind $GATEWAY" "  hosts $RUN/hosts" '}' '. {' "  bind $GATEWAY" '  template ANY ANY {' '    rcode NXDOMAIN' '  }' '}' \
        >"$RUN/Corefile"
    serve apt "$APT_PORT" python3 -m http.server --protocol HTTP/1.1 --bind "$GATEWAY" --directory "$CACHE/apt" "$APT_PORT"
    serve registry "$REGISTRY_PORT" docker-registry serve "$RUN/registry.yml"
    serve dns 53 "$BIN/coredns-$COREDNS_VERSION/coredns" -conf "$RUN/Corefile"
    exec 9>&-
}

services_down() {
    local name
    for name in "${SERVICES[@]}"; do stop "$RUN/$name.pid" "$CACHE"; done
    [[ -n $(machine_names) ]] || network_down
}

balance() {
    local server address number=0
    (($#)) || die "usage: lab balance NAME|ADDRESS..."
    need haproxy
    {
        cat <<CONFIG
defaults
    mode tcp
    timeout connect 2s
    timeout client 1h
    timeout server 1h
frontend api
    bind $GATEWAY:$BALANCER_PORT
    default_backend control-planes
backend control-planes
    option httpchk GET /readyz
    http-check expect status 200
    default-server check check-ssl verify none inter 1s fall 2 rise 1 on-marked-down shutdown-sessions
CONFIG
        for server; do
            address=$server
            ! machine_exists "$server" || address=$(machine_value "$server" ADDRESS)
            echo "    server s$((number++)) $address:6443"
        done
    } >"$RUN/balancer.cfg"
    stop "$RUN/balancer.pid" "$CACHE"
    serve balancer "$BALANCER_PORT" haproxy -db -f "$RUN/balancer.cfg"
}

# All that a stack for this lab has to be told, as the suite hands it on.
values() {
    printf '%s\n' "DMP_LIVE_CACHE=$CACHE" "DMP_LIVE_NETNS=$NETNS" "DMP_LIVE_GATEWAY=$GATEWAY" "DMP_LIVE_SUITE=$SUITE" \
        "DMP_LIVE_IMAGE=$(image "$SUITE")/root" "DMP_LIVE_ROOT=$(root_archive)" "DMP_LIVE_ROOT_CLOUD=$(root_archive cloud-init)" \
        "DMP_LIVE_DISK_IMAGE=$(cloud_image)" "DMP_LIVE_PROXY=$GATEWAY:$PROXY_PORT" \
        "DMP_LIVE_KUBERNETES_VERSION=$KUBERNETES_VERSION" "DMP_LIVE_CONTAINERD_VERSION=$CONTAINERD_VERSION" \
        "DMP_LIVE_FLANNEL_VERSION=$FLANNEL_VERSION" "DMP_LIVE_FLANNEL_CNI_VERSION=$FLANNEL_CNI_VERSION" \
        "DMP_LIVE_APT_KUBERNETES=$APT_URL/core:/stable:/v$KUBERNETES_MINOR/deb/" \
        "DMP_LIVE_APT_KUBERNETES_KEY=$APT_URL/core:/stable:/v$KUBERNETES_MINOR/deb/Release.key" \
        "DMP_LIVE_APT_CONTAINERD=$APT_URL/linux/debian" "DMP_LIVE_APT_CONTAINERD_KEY=$APT_URL/linux/debian/gpg" \
        "DMP_LIVE_REGISTRY=$REGISTRY" "DMP_LIVE_IMAGES=$IMAGES" "DMP_LIVE_ENDPOINT=$GATEWAY:$BALANCER_PORT" \
        "DMP_LIVE_KUBECTL=$BIN/kubernetes-$KUBERNETES_VERSION/kubectl"
    # Known once it is built.
    if [[ -x $BIN/kubernetes-$KUBERNETES_VERSION/kubeadm ]]; then echo "DMP_LIVE_PAUSE_IMAGE=$(kubeadm_image pause)"; fi
}
