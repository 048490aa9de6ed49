#!/bin/sh
# Stand-in of the dmp lab for sysctl: values are kept for the machine; the kernel is the host's, and is not touched.
state=/var/lib/lab/sysctl
only_value=
quiet=
mkdir -p "$state"
one() {
    case $1 in
        *=*)
            key=$(echo "${1%%=*}" | tr -d ' ' | tr / .)
            value=$(echo "${1#*=}" | sed 's/^ *//; s/ *$//')
            [ -e "/proc/sys/$(echo "$key" | tr . /)" ] || { echo "sysctl: cannot stat /proc/sys/$(echo "$key" | tr . /): No such file or directory" >&2; return 1; }
            echo "$value" >"$state/$key"
            [ -n "$quiet" ] || if [ -n "$only_value" ]; then echo "$value"; else echo "$key = $value"; fi ;;
        *)
            key=$(echo "$1" | tr / .)
            if [ -e "$state/$key" ]; then value=$(cat "$state/$key")
            else value=$(cat "/proc/sys/$(echo "$key" | tr . /)" 2>/dev/null) || { echo "sysctl: cannot stat /proc/sys/$(echo "$key" | tr . /): No such file or directory" >&2; return 1; }; fi
            if [ -n "$only_value" ]; then echo "$value"; else echo "$key = $value"; fi ;;
    esac
}
load() {
    [ "$1" = - ] || [ -e "$1" ] || { echo "sysctl: cannot open \"$1\": No such file or directory" >&2; return 1; }
    lines=$(cat -- "$1" | sed 's/[#;].*//; /^[[:space:]]*$/d; s/^-//')
    result=0
    while read -r line; do
        [ -z "$line" ] || one "$line" || result=1
    done <<END
$lines
END
    return $result
}
code=0
while [ $# -gt 0 ]; do
    case $1 in
        --version | -V) echo "sysctl (stand-in of the dmp lab)" ;;
        -n | --values) only_value=1 ;;
        -q | --quiet) quiet=1 ;;
        -qw | -wq) quiet=1 ;;
        -w | --write | -e | --ignore) ;;
        --system) for file in /etc/sysctl.d/*.conf /etc/sysctl.conf; do [ ! -e "$file" ] || load "$file" || code=1; done ;;
        -p | --load) case ${2:-} in '' | -?*) load /etc/sysctl.conf || code=1 ;; *) shift; load "$1" || code=1 ;; esac ;;
        -p* ) load "${1#-p}" || code=1 ;;
        --load=*) load "${1#*=}" || code=1 ;;
        -*) ;;
        *) one "$1" || code=1 ;;
    esac
    shift
done
exit $code
