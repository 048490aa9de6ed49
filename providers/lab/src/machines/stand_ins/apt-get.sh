#!/bin/sh
# Stand-in of the dmp lab for apt and apt-get: keeps which packages count as installed, and installs nothing but its own
# stand-ins of haproxy and nginx, which speak a part of the real ones' configuration.
state=/var/lib/lab/packages
verb=
dry=
packages=
while [ $# -gt 0 ]; do
    case $1 in
        --version) echo "apt (stand-in of the dmp lab)"; exit 0 ;;
        -o | --option | -t | --target-release | -c) shift ;;
        -s | --simulate | --dry-run) dry=1 ;;
        -*) ;;
        *) if [ -z "$verb" ]; then verb=$1; else packages="$packages $1"; fi ;;
    esac
    shift
done
mkdir -p "$state"

# A program of the lab as a service: NAME ARGUMENTS SIGNAL, by which it reads its configuration anew.
serve() {
    mkdir -p /usr/local/sbin /usr/local/lib/systemd/system
    ln -sfn ../lib/lab/dmp "/usr/local/sbin/$1"
    printf '[Unit]\nDescription=%s (stand-in of the dmp lab)\n\n[Service]\nType=notify\nExecStart=/usr/local/sbin/%s %s\nExecReload=/bin/kill -%s $MAINPID\n\n[Install]\nWantedBy=multi-user.target\n' \
        "$1" "$1" "$2" "$3" >"/usr/local/lib/systemd/system/$1.service"
    systemctl -q enable --now "$1"
}
unserve() {
    systemctl -q disable --now "$1" 2>/dev/null
    rm -f "/usr/local/sbin/$1" "/usr/local/lib/systemd/system/$1.service"
}
set_up() {
    case $1 in
        haproxy)
            mkdir -p /etc/haproxy
            [ -e /etc/haproxy/haproxy.cfg ] || printf 'global\n    daemon\n\ndefaults\n    mode http\n' >/etc/haproxy/haproxy.cfg
            serve haproxy '-W -f /etc/haproxy/haproxy.cfg' USR2 ;;
        nginx | nginx-light)
            mkdir -p /etc/nginx/conf.d /etc/nginx/sites-enabled /var/www/html
            serve nginx '' HUP ;;
        *) return 1 ;;
    esac
    echo "$1 is a stand-in of the dmp lab"
}
take_away() {
    case $1 in
        haproxy) unserve haproxy ;;
        nginx | nginx-light) unserve nginx ;;
        *) return 0 ;;
    esac
    # What is left of a purge was put there by somebody else.
    [ "$verb" != purge ] || case $1 in haproxy) rm -rf /etc/haproxy ;; *) rm -rf /etc/nginx ;; esac
}

case $verb in
    update | clean | autoclean | autoremove | upgrade | dist-upgrade | full-upgrade | check)
        echo "$verb: nothing to do (stand-in of the dmp lab)" ;;
    install | reinstall)
        for package in $packages; do
            remove=
            case $package in *-) [ -e "$state/${package%-}" ] && remove=1 ;; esac
            name=${package%%[=/]*}
            name=${name%:*}
            version=${package#*=}
            [ "$version" != "$package" ] || version=1.0-lab
            if [ -n "$remove" ]; then name=${name%-}; echo "Removing $name (stand-in of the dmp lab)"; [ -n "$dry" ] || rm -f "$state/$name"; continue; fi
            case $name in *[!a-z0-9.+-]* | '') echo "E: Unable to locate package $name" >&2; exit 100 ;; esac
            if [ -e "$state/$name" ] && [ "$version" = 1.0-lab ]; then
                echo "$name is already the newest version (stand-in of the dmp lab)"
                continue
            fi
            if [ -n "$dry" ]; then echo "Inst $name ($version lab)"; continue; fi
            echo "Setting up $name ($version) (stand-in of the dmp lab)"
            set_up "$name" || echo "no file of $name is installed"
            echo "$version" >"$state/$name"
        done ;;
    remove | purge)
        for package in $packages; do
            if [ -n "$dry" ]; then echo "Remv $package"; continue; fi
            echo "Removing $package (stand-in of the dmp lab)"
            if [ -e "$state/${package%:*}" ]; then take_away "${package%:*}"; fi
            rm -f "$state/${package%:*}"
        done ;;
    *) echo "apt (stand-in of the dmp lab): \`$verb\` is not carried out" >&2; exit 100 ;;
esac
