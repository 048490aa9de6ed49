#!/bin/sh
# Stand-in of the dmp lab for reboot, poweroff and shutdown: the lab ends the machine, and starts it again.
wanted=reboot
case $(basename "$0") in poweroff | shutdown) wanted=off ;; esac
for word in "$@"; do
    case $word in
        --version) echo "reboot (stand-in of the dmp lab)"; exit 0 ;;
        -r | --reboot) wanted=reboot ;;
        -h | -P | -p | --poweroff | --halt) wanted=off ;;
        -c) rm -f /run/lab/power; exit 0 ;;
    esac
done
echo "$wanted" >/run/lab/power
