#!/bin/sh
# Stand-in of the dmp lab for useradd, userdel and groupadd: they change the machine's own /etc/passwd and /etc/group.
self=$(basename "$0")
comment= home= uid= gid= shell=/bin/sh groups= system= make_home= remove=
while [ $# -gt 0 ]; do
    case $1 in
        --version) echo "$self (stand-in of the dmp lab)"; exit 0 ;;
        -c | --comment) shift; comment=$1 ;;
        -d | --home | --home-dir) shift; home=$1 ;;
        -u | --uid) shift; uid=$1 ;;
        -g | --gid) shift; gid=$1 ;;
        -s | --shell) shift; shell=$1 ;;
        -G | --groups) shift; groups=$1 ;;
        -r | --system) system=1; remove=1 ;;
        --remove) remove=1 ;;
        -m | --create-home) make_home=1 ;;
        -p | --password | -e | -k | -K | -b) shift ;;
        -*) ;;
        *) name=$1 ;;
    esac
    shift
done
case $name in '' | *[!a-z0-9_-]*) echo "$self: invalid user name '$name'" >&2; exit 3 ;; esac

has() { grep -q "^$2:" "/etc/$1"; }
free() { # FILE FIRST
    number=$2
    while cut -d : -f 3 /etc/passwd /etc/group | grep -qx "$number"; do number=$((number + 1)); done
    echo "$number"
}
first=1000
[ -z "$system" ] || first=200
# Without a range of user ids the machine has the superuser's alone.
only_one() { [ "$(awk '{ print $3; exit }' /proc/self/uid_map)" = 1 ]; }

case $self in
    useradd)
        if has passwd "$name"; then echo "useradd: user '$name' already exists" >&2; exit 9; fi
        : "${uid:=$(free passwd $first)}"
        if only_one; then echo "useradd (stand-in of the dmp lab): this machine has one user id; $name shares it" >&2; uid=0; fi
        if [ -z "$gid" ]; then gid=$uid; has group "$name" || echo "$name:x:$gid:" >>/etc/group; fi
        case $gid in *[!0-9]*) gid=$(grep "^$gid:" /etc/group | cut -d : -f 3); [ -n "$gid" ] || { echo "useradd: group does not exist" >&2; exit 6; } ;; esac
        : "${home:=/home/$name}"
        echo "$name:x:$uid:$gid:$comment:$home:$shell" >>/etc/passwd
        echo "$name:!:20000:0:99999:7:::" >>/etc/shadow
        for group in $(echo "$groups" | tr , ' '); do
            has group "$group" || { echo "useradd: group '$group' does not exist" >&2; exit 6; }
            sed -i "/^$group:/ { s/:\$/:$name/; t; s/\$/,$name/ }" /etc/group
        done
        if [ -n "$make_home" ]; then mkdir -p "$home" && chown "$uid:$gid" "$home"; fi ;;
    groupadd)
        if has group "$name"; then echo "groupadd: group '$name' already exists" >&2; exit 9; fi
        : "${gid:=$(free group $first)}"
        if only_one; then gid=0; fi
        echo "$name:x:$gid:" >>/etc/group ;;
    userdel)
        if ! has passwd "$name"; then echo "userdel: user '$name' does not exist" >&2; exit 6; fi
        home=$(grep "^$name:" /etc/passwd | cut -d : -f 6)
        sed -i "/^$name:/d" /etc/passwd /etc/shadow
        sed -i "/^$name:x:[0-9]*:\$/d; s/\([:,]\)$name\(,\|\$\)/\1/; s/,\$//" /etc/group
        [ -z "$remove" ] || rm -rf "$home" ;;
esac
