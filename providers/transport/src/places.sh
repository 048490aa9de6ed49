# Where batches live, and what both the runner and those who attach to it need. Variables: dmp_run, dmp_state.
#
#   $dmp_run    memory: programs, payloads, outputs; gone after a reboot (root: /run is a tmpfs)
#   $dmp_state  disk: journals and logs; they outlive a reboot
#
# $XDG_RUNTIME_DIR would not do: it goes away with the user's last session, and a batch outlives its session.

dmp_places() {
	if [ "$(id -u)" = 0 ]; then
		dmp_run=${DMP_RUN_DIR:-/run/dmp}
		dmp_state=${DMP_STATE_DIR:-/var/lib/dmp}
	else
		dmp_run=${DMP_RUN_DIR:-/tmp/dmp-$(id -u)}
		dmp_state=${DMP_STATE_DIR:-${XDG_STATE_HOME:-${HOME:-/}/.local/state}/dmp}
	fi
	read -r dmp_boot </proc/sys/kernel/random/boot_id
}

# A directory for ourselves alone. Somebody else may have made one of that name in a place like /tmp.
dmp_own() {
	mkdir -p "$1" || return 1
	if [ -L "$1" ] || [ ! -O "$1" ]; then
		echo "$1 belongs to somebody else" >&2
		return 1
	fi
	chmod 700 "$1"
}

# Sets dmp_start to the start time of process $1; fails if there is no such process, or only its remains.
dmp_start_of() {
	dmp_start=
	{ IFS= read -r dmp_stat <"/proc/$1/stat"; } 2>/dev/null || return 1
	set -- ${dmp_stat##*) }
	[ "$1" != Z ] || return 1
	dmp_start=${20}
}

# Whether process $1, started at $2 in boot $3, is alive.
dmp_alive() {
	[ "$3" = "$dmp_boot" ] && dmp_start_of "$1" && [ "$dmp_start" = "$2" ]
}

# Whether a step of batch $1 is still running, also without its runner.
dmp_step_alive() {
	{ read -r dmp_step_of dmp_step_pid dmp_step_start dmp_step_boot <"$dmp_run/@step"; } 2>/dev/null || return 1
	{ [ -z "$1" ] || [ "$dmp_step_of" = "$1" ]; } &&
		dmp_alive "$dmp_step_pid" "$dmp_step_start" "$dmp_step_boot"
}
