#!/bin/sh
# Stand-in of the dmp lab for hostname and hostnamectl: the name is the machine's own.
if [ "$(basename "$0")" = hostnamectl ]; then
    case $1 in
        --version) echo "hostnamectl (stand-in of the dmp lab)"; exit 0 ;;
        set-hostname | hostname)
            [ "$2" != -- ] || { verb=$1; shift 2; set -- "$verb" "$@"; }
            [ $# -lt 2 ] || set -- "$2" ;;
        '' | status) echo "   Static hostname: $(cat /etc/hostname)"; echo "(stand-in of the dmp lab)"; exit 0 ;;
        *) echo "hostnamectl (stand-in of the dmp lab): not carried out" >&2; exit 1 ;;
    esac
    if [ $# -eq 1 ] && [ "$1" != hostname ]; then
        echo "$1" >/etc/hostname
        exec /bin/hostname "$1"
    fi
    exec cat /etc/hostname
fi
exec /bin/hostname "$@"
