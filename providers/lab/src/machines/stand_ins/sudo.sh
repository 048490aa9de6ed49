#!/bin/sh
# Stand-in of the dmp lab for sudo: a user whom cloud-init lets use sudo runs commands as the machine's superuser, or as another user.
# Nothing keeps a user of a machine from becoming its superuser in another way.
user=root
while [ $# -gt 0 ]; do
    case $1 in
        --version) echo "sudo (stand-in of the dmp lab)"; exit 0 ;;
        -u | --user) user=$2; shift 2 ;;
        -p | -g | --prompt | --group) shift 2 ;;
        --) shift; break ;;
        -*) shift ;;
        *=*) export "$1"; shift ;;
        *) break ;;
    esac
done
[ $# -gt 0 ] || exit 0
line=$(grep "^$user:" /etc/passwd) || { echo "sudo: unknown user $user" >&2; exit 1; }
uid=$(echo "$line" | cut -d : -f 3)
gid=$(echo "$line" | cut -d : -f 4)
HOME=$(echo "$line" | cut -d : -f 6)
USER=$user
LOGNAME=$user
export HOME USER LOGNAME
me=$(id -u)
if [ "$me" = "$uid" ]; then
    exec "$@"
fi
if [ "$me" != 0 ]; then
    name=$(grep "^[^:]*:[^:]*:$me:" /etc/passwd | cut -d : -f 1 | head -n 1)
    [ -e "/var/lib/lab/sudo/$name" ] || { echo "sudo: a password is required" >&2; exit 1; }
fi
exec /usr/local/lib/lab/setpriv --reuid "$uid" --regid "$gid" --clear-groups -- "$@"
