#!/bin/sh
# Stand-in of the dmp lab for mount and umount: bind mounts and tmpfs are real, in the machine's own view; devices there are none.
case $(basename "$0"):$1 in
    *:--version) echo "mount (stand-in of the dmp lab)"; exit 0 ;;
    umount:*) exec /bin/umount "$@" ;;
    mount:) exec /bin/mount ;;
esac
for word in "$@"; do
    case $word in
        tmpfs | --bind | bind | *,bind* | *bind,* | --rbind | remount,* | -l) exec /bin/mount "$@" ;;
    esac
done
target=
for word in "$@"; do target=$word; done
if line=$(grep -v '^#' /etc/fstab 2>/dev/null | awk -v to="$target" '$2 == to' | grep .); then
    case $line in
        *tmpfs* | *bind*) exec /bin/mount "$@" ;;
    esac
fi
echo "mount: $target: there are no devices (stand-in of the dmp lab)." >&2
exit 32
