# What a client runs to start a batch, to attach to one, to settle or to forget one. Variables set before: dmp_mark
# (the boundary of frames). Frames: "mark J out err line" for a line of the journal, with the sizes of the output and
# the errors that follow it (- where they are gone), or "mark C 0 0 word" for a word of our own.

dmp_frame() { # kind out err line
	printf '%s %s %s %s %s\n' "$dmp_mark" "$1" "$2" "$3" "$4"
}

dmp_say() {
	dmp_frame C 0 0 "$1"
}

dmp_size() {
	dmp_size=0
	[ ! -s "$1" ] || dmp_size=$(($(wc -c <"$1")))
}

# Sends one line of the journal with what belongs to it.
dmp_tell() {
	dmp_line=$1
	case $1 in
	"E "*)
		set -- $1
		dmp_out=/dev/null
		[ "$7" != 2 ] || dmp_out=$dmp_spool/$2.$3.out
		dmp_err=$dmp_home/$8.$3.err
		;;
	"R "*)
		set -- $1
		dmp_out=$dmp_spool/$2.r$3.out
		dmp_err=$dmp_spool/$2.r$3.err
		;;
	*)
		dmp_frame J 0 0 "$1"
		return
		;;
	esac
	if [ "$dmp_out" != /dev/null ] && [ ! -e "$dmp_out" ]; then
		dmp_frame J - 0 "$dmp_line"
		return
	fi
	dmp_size "$dmp_out"
	dmp_out_size=$dmp_size
	dmp_size "$dmp_err"
	dmp_err_size=$dmp_size
	[ "$dmp_err_size" -le 4096 ] || dmp_err_size=4096
	dmp_frame J "$dmp_out_size" "$dmp_err_size" "$dmp_line"
	[ "$dmp_out_size" = 0 ] || cat "$dmp_out"
	[ "$dmp_err_size" = 0 ] || tail -c 4096 "$dmp_err"
}

# Waits until cloud-init is through, which makes users, writes files and installs packages while a machine boots for the
# first time; at most $1 seconds. It leaves a file at its end, so a machine that is up costs nothing. Tests move the folder.
dmp_booted() {
	dmp_cloud=${DMP_CLOUD_INIT_DIR:-/run/cloud-init}
	[ -d "$dmp_cloud" ] && [ ! -e "$dmp_cloud/result.json" ] || return 0
	dmp_waited=0
	while :; do
		case $(cloud-init status 2>/dev/null) in
		*running* | *'not run'* | *'not started'*) ;;
		*) return 0 ;;
		esac
		if [ "$dmp_waited" -ge "$1" ]; then
			dmp_say "! cloud-init still runs after $1 s; \`cloud-init status --long\` there tells more"
			return 1
		fi
		dmp_say booting
		sleep 1
		dmp_waited=$((dmp_waited + 1))
	done
}

# Ends the journal of a batch whose runner is dead: what was in flight is interrupted, the rest skipped.
dmp_close() {
	(
		exec 8>>"$dmp_home/closing"
		flock 8
		! grep -q '^Z' "$dmp_home/journal" || exit 0
		all= ended= open=
		while read -r kind item _; do
			case $kind in
			N) all="$all $item" ;;
			S | R) open=$item ;;
			I) ended="$ended $item " ;;
			esac
		done <"$dmp_home/journal"
		# The last line may have been cut off.
		echo
		for item in $all; do
			case $ended in *" $item "*) continue ;; esac
			if [ "$item" = "$open" ]; then echo "I $item X -"; else echo "I $item K -"; fi
		done
		echo Z
	) >>"$dmp_home/journal" || {
		dmp_say "! the journal $dmp_home/journal can't be written"
		return 1
	}
}

# Sends the journal from line $dmp_from on until its end.
dmp_follow() {
	exec 3<"$dmp_home/journal"
	dmp_part= dmp_seen=0 dmp_idle=0 dmp_dead=0 dmp_told=0
	while :; do
		if IFS= read -r dmp_line <&3; then
			dmp_line=$dmp_part$dmp_line dmp_part= dmp_seen=$((dmp_seen + 1)) dmp_idle=0 dmp_dead=0
			case $dmp_line in
			"B "*)
				set -- $dmp_line
				dmp_version=$2 dmp_pid=$3 dmp_began=$4 dmp_of=$5 dmp_spool=$dmp_run/$6
				if [ "$dmp_version" != 1 ]; then
					dmp_say '! the batch was begun by a newer dmp'
					return
				fi
				;;
			esac
			[ "$dmp_seen" -le "$dmp_from" ] || dmp_tell "$dmp_line"
			[ "$dmp_line" != Z ] || return
			continue
		fi
		dmp_part=$dmp_part$dmp_line
		if ! dmp_alive "$dmp_pid" "$dmp_began" "$dmp_of" && ! dmp_step_alive "$dmp_id"; then
			# It may have written its last line between our reading and our looking.
			if [ "$dmp_dead" = 1 ]; then dmp_close || return; fi
			dmp_dead=1
			continue
		fi
		read -r dmp_now _ </proc/uptime
		dmp_now=${dmp_now%.*}
		if [ $((dmp_now - dmp_told)) -ge 10 ]; then
			dmp_told=$dmp_now
			dmp_say beat
		fi
		dmp_idle=$((dmp_idle + 1))
		dmp_nap
	done
}

# Pauses; the longer it has been quiet, the longer.
dmp_nap() {
	if [ "$dmp_idle" -lt 10 ]; then
		sleep 0.02 2>/dev/null || sleep 1
	elif [ "$dmp_idle" -lt 30 ]; then
		sleep 0.1 2>/dev/null || sleep 1
	else
		sleep 0.3 2>/dev/null || sleep 1
	fi
}

# Whether the batch has a journal, or a living runner that is about to make one. A claim without either is removed.
dmp_is_begun() {
	[ ! -e "$dmp_home/journal" ] || return 0
	{ read -r dmp_pid dmp_began dmp_of <"$dmp_run/$dmp_id@claim"; } 2>/dev/null || return 1
	[ "$dmp_pid" != void ] || return 1
	! dmp_alive "$dmp_pid" "$dmp_began" "$dmp_of" || return 0
	[ ! -e "$dmp_home/journal" ] || return 0
	rm -f "$dmp_run/$dmp_id@claim"
	return 1
}

# Follows the batch if it was begun; fails if it was not.
dmp_attach() {
	dmp_idle=0
	while dmp_is_begun; do
		if [ -e "$dmp_home/journal" ]; then
			dmp_follow
			return 0
		fi
		dmp_idle=$((dmp_idle + 1))
		dmp_nap
	done
	return 1
}

# Follows the batch, or sees to it that it is never begun.
dmp_settle() {
	until dmp_attach; do
		{ read -r dmp_pid _ <"$dmp_run/$dmp_id@claim"; } 2>/dev/null || dmp_pid=
		if [ "$dmp_pid" = void ] || {
			echo "void 0 $dmp_boot" >"$dmp_run/$dmp_id@void" &&
				ln "$dmp_run/$dmp_id@void" "$dmp_run/$dmp_id@claim" 2>/dev/null
		}; then
			rm -rf "$dmp_run/$dmp_id@void" "$dmp_run/$dmp_id@"spool*
			dmp_say none
			return
		fi
	done
}

# Starts the spooled batch and follows it. Another start of the same batch may win; then that one is followed.
dmp_launch() { # spool
	dmp_leader=
	command -v setsid >/dev/null 2>&1 && dmp_leader=setsid
	dmp_runner=$(
		$dmp_leader sh "$1/runner" "$1" "$dmp_id" </dev/null >/dev/null 2>"$1.error" &
		echo $!
	)
	dmp_over=0
	until dmp_attach; do
		{ read -r dmp_pid _ <"$dmp_run/$dmp_id@claim"; } 2>/dev/null || dmp_pid=
		if [ "$dmp_pid" = void ]; then
			dmp_say '! the batch was settled as never begun'
			return
		fi
		# It may have made its claim between our reading and our looking.
		if [ "$dmp_over" = 1 ]; then
			dmp_say "! the runner did not start: $(tail -n 1 "$1.error" | tr -d '\r')"
			rm -rf "$1" "$1.error"
			return
		fi
		dmp_start_of "$dmp_runner" || dmp_over=1
		dmp_idle=0
		dmp_nap
	done
	rm -f "$1.error"
}

# Removes what is left of an ended batch. What still runs stays; so does the note that a batch must not begin.
dmp_forget() {
	dmp_id=$1 dmp_home=$dmp_state/$1
	if [ -e "$dmp_home/journal" ] && ! grep -q '^Z' "$dmp_home/journal" && dmp_is_running; then return; fi
	rm -rf "$dmp_home" "$dmp_run/$1@"spool*
	grep -q '^void' "$dmp_run/$1@claim" 2>/dev/null || rm -f "$dmp_run/$1@claim"
}

# Waits, after all, for the client's word that what batches did is recorded: "forget ID...". Its end ends this, too.
dmp_listen() {
	while IFS=' ' read -r dmp_word dmp_ids; do
		[ "$dmp_word" = forget ] || continue
		for dmp_line in $dmp_ids; do dmp_forget "$dmp_line"; done
		dmp_say done
		return
	done
}

dmp_is_running() {
	read -r _ _ dmp_pid dmp_began dmp_of _ <"$dmp_home/journal"
	dmp_alive "$dmp_pid" "$dmp_began" "$dmp_of" || dmp_step_alive "$dmp_id"
}
