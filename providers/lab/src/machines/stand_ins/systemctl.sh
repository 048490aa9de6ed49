#!/bin/sh
# Stand-in of the dmp lab for systemctl: starts and stops what `ExecStart` of a unit says, in the foreground of nobody, and keeps
# which units are enabled. A unit without `ExecStart` only counts as active. Dependencies, timers, sockets, sandboxing and
# restarts after a failure are not carried out.
state=/var/lib/lab/units
verb=
now=
quiet=
units=
say() { [ -n "$quiet" ] || echo "$@"; }
while [ $# -gt 0 ]; do
    case $1 in
        --version) echo "systemctl (stand-in of the dmp lab)"; exit 0 ;;
        --now) now=1 ;;
        -q | --quiet) quiet=1 ;;
        --property=* | -p?*) properties="$properties ${1#*=}" ;;
        -p | --property) shift; properties="$properties $1" ;;
        --value) value=1 ;;
        -t | --type | -n | --lines) shift ;;
        -*) ;;
        *) if [ -z "$verb" ]; then verb=$1; else units="$units $1"; fi ;;
    esac
    shift
done
properties=$(echo "$properties" | sed 's/-p//g; s/,/ /g')
mkdir -p "$state"

full() { case $1 in *.*) echo "$1" ;; *) echo "$1.service" ;; esac; }

# A unit is known by a file of its own, or of a system program.
file_of() {
    for folder in /etc/systemd/system /run/systemd/system /usr/local/lib/systemd/system /usr/lib/systemd/system /lib/systemd/system; do
        if [ -e "$folder/$1" ] || [ -L "$folder/$1" ]; then echo "$folder/$1"; return 0; fi
    done
    case $1 in ssh.service | sshd.service) echo /usr/lib/systemd/system/ssh.service; return 0 ;; esac
    return 1
}
value_of() { sed -n "s/^$2=//p" "$(file_of "$1")" 2>/dev/null | tail -n 1; }
main_pid() { cat "$state/$1.pid" 2>/dev/null || echo 0; }
is_active() {
    if [ -e "$state/$1.pid" ]; then [ -d "/proc/$(main_pid "$1")" ]; return; fi
    [ "$(cat "$state/$1.active" 2>/dev/null)" = active ] || { [ ! -e "$state/$1.active" ] && [ "$1" = ssh.service ]; }
}
# Runs a line of a unit as its user, with its process's number at hand.
line_of() {
    user=$(value_of "$1" User)
    line=$(value_of "$1" "$2" | sed 's/^[-@:+!]*//')
    case $user in '' | root) as= ;; *) as="setpriv --reuid=$user --regid=$(id -g "$user") --init-groups" ;; esac
    echo "cd / && exec $as $line"
}
begin() {
    ! is_active "$1" || return 0
    mkdir -p /var/log/lab
    rm -f "$state/$1.pid"
    if [ -z "$(value_of "$1" ExecStart)" ]; then echo active >"$state/$1.active"; return 0; fi
    if [ "$(value_of "$1" Type)" = oneshot ]; then
        sh -c "$(line_of "$1" ExecStart)" </dev/null >>"/var/log/lab/$1.log" 2>&1 || return 1
        case $(value_of "$1" RemainAfterExit) in yes | true | 1) echo active >"$state/$1.active" ;; *) echo inactive >"$state/$1.active" ;; esac
        return 0
    fi
    setsid sh -c "$(line_of "$1" ExecStart)" </dev/null >>"/var/log/lab/$1.log" 2>&1 &
    echo $! >"$state/$1.pid"
    # Of one that says when it is ready it is known that it has failed; one of type `simple` may end as it likes.
    case $(value_of "$1" Type) in notify | exec | forking) sleep 0.2; is_active "$1" ;; esac
}
finish() {
    echo inactive >"$state/$1.active"
    [ -e "$state/$1.pid" ] || return 0
    pid=$(main_pid "$1")
    kill -TERM "-$pid" 2>/dev/null
    tries=100
    while [ -d "/proc/$pid" ] && [ $tries -gt 0 ]; do sleep 0.05; tries=$((tries - 1)); done
    kill -KILL "-$pid" 2>/dev/null
    rm -f "$state/$1.pid"
}
again() {
    if ! is_active "$1"; then echo "$1 is not active, cannot reload." >&2; return 1; fi
    if [ "$1" = ssh.service ]; then return 0; fi
    if [ -z "$(value_of "$1" ExecReload)" ]; then echo "Failed to reload $1: Job type reload is not applicable for unit $1." >&2; return 3; fi
    MAINPID=$(main_pid "$1") sh -c "$(line_of "$1" ExecReload)"
}
failed() { echo "Job for $1 failed; see /var/log/lab/$1.log (stand-in of the dmp lab)." >&2; tail -n 3 "/var/log/lab/$1.log" >&2; }
is_masked() { [ "$(readlink "/etc/systemd/system/$1")" = /dev/null ]; }
enablement() {
    if is_masked "$1"; then echo masked
    elif [ -e "$state/$1.enabled" ]; then echo enabled
    elif [ "$1" = ssh.service ] && [ ! -e "$state/$1.disabled" ]; then echo enabled
    elif grep -q '^\[Install\]' "$(file_of "$1")" 2>/dev/null; then echo disabled
    else echo static; fi
}
known() {
    file_of "$1" >/dev/null || { echo "Unit $1 could not be found." >&2; return 1; }
}

code=0
case $verb in
    daemon-reload | daemon-reexec | reset-failed | preset) ;;
    is-system-running) say running ;;
    start-enabled)
        # At a boot, by the machine's first process: nothing of before runs any more.
        rm -f "$state"/*.pid "$state"/*.active
        for file in "$state"/*.enabled; do
            unit=$(basename "$file" .enabled)
            if [ -e "$file" ] && [ "$unit" != ssh.service ] && file_of "$unit" >/dev/null; then begin "$unit"; fi
        done
        exit 0 ;;
    reboot) exec /usr/local/sbin/reboot ;;
    poweroff | halt) exec /usr/local/sbin/reboot --poweroff ;;
    list-units | list-unit-files) ls "$state" | sed -n 's/\.active$//p' ;;
    start | stop | restart | try-restart | reload | reload-or-restart | try-reload-or-restart | enable | disable | mask | unmask)
        for unit in $units; do
            unit=$(full "$unit")
            if [ "$verb" != mask ] && [ "$verb" != unmask ] && ! file_of "$unit" >/dev/null; then
                case $verb in
                    enable | disable) echo "Failed to $verb unit: Unit file $unit does not exist." >&2; code=1 ;;
                    *) echo "Failed to $verb $unit: Unit $unit not found." >&2; code=5 ;;
                esac
                continue
            fi
            case $verb in
                start | restart | reload-or-restart)
                    if is_masked "$unit"; then echo "Failed to $verb $unit: Unit $unit is masked." >&2; code=1; continue; fi
                    [ "$verb" = start ] || [ "$unit" = ssh.service ] || finish "$unit"
                    begin "$unit" || { failed "$unit"; code=1; } ;;
                try-restart | try-reload-or-restart)
                    if is_active "$unit" && [ "$unit" != ssh.service ]; then finish "$unit"; begin "$unit" || { failed "$unit"; code=1; }; fi ;;
                reload) again "$unit" || code=$? ;;
                stop) finish "$unit" ;;
                enable) rm -f "$state/$unit.disabled"; : >"$state/$unit.enabled"; [ -z "$now" ] || begin "$unit" || { failed "$unit"; code=1; } ;;
                disable) rm -f "$state/$unit.enabled"; : >"$state/$unit.disabled"; [ -z "$now" ] || finish "$unit" ;;
                mask) mkdir -p /etc/systemd/system; ln -sfn /dev/null "/etc/systemd/system/$unit"; [ -z "$now" ] || finish "$unit" ;;
                unmask) ! is_masked "$unit" || rm -f "/etc/systemd/system/$unit" ;;
            esac
        done ;;
    is-active)
        code=3
        for unit in $units; do
            unit=$(full "$unit")
            if is_active "$unit"; then say active; code=0; continue; fi
            say inactive
            [ $code = 0 ] || file_of "$unit" >/dev/null || code=4
        done ;;
    is-enabled)
        code=1
        for unit in $units; do
            unit=$(full "$unit")
            if ! is_masked "$unit" && ! file_of "$unit" >/dev/null; then echo "Failed to get unit file state for $unit: No such file or directory" >&2; code=1; continue; fi
            found=$(enablement "$unit")
            say "$found"
            case $found in enabled | static) code=0 ;; esac
        done ;;
    is-failed) say inactive; code=1 ;;
    cat) for unit in $units; do unit=$(full "$unit"); known "$unit" || exit 1; cat "$(file_of "$unit")"; done ;;
    status)
        for unit in $units; do
            unit=$(full "$unit")
            known "$unit" || exit 4
            if is_active "$unit"; then echo "$unit: active (stand-in of the dmp lab)"; else echo "$unit: inactive (stand-in of the dmp lab)"; code=3; fi
        done ;;
    show)
        for unit in $units; do
            unit=$(full "$unit")
            load=loaded; active=inactive; sub=dead
            file_of "$unit" >/dev/null || load=not-found
            if is_masked "$unit"; then load=masked; fi
            if is_active "$unit"; then active=active; sub=running; fi
            for property in ${properties:-Id LoadState ActiveState SubState UnitFileState}; do
                case $property in
                    Id) text=$unit ;;
                    LoadState) text=$load ;;
                    ActiveState) text=$active ;;
                    SubState) text=$sub ;;
                    UnitFileState) if [ "$load" = not-found ]; then text=; else text=$(enablement "$unit"); fi ;;
                    FragmentPath) text=$(file_of "$unit") ;;
                    NeedDaemonReload) text=no ;;
                    MainPID) text=$(main_pid "$unit") ;;
                    Result) text=success ;;
                    *) text= ;;
                esac
                if [ -n "$value" ]; then echo "$text"; else echo "$property=$text"; fi
            done
        done ;;
    *) echo "systemctl (stand-in of the dmp lab): \`$verb\` is not carried out" >&2; code=1 ;;
esac
exit $code
