# Carries out one batch, detached. Arguments: spool, batch id.
#
# Runs once: whoever links the claim first is the one runner of this batch. What it does is in the journal before it
# is done, one line each:
#   B 1 pid start boot spool          begun, in format 1
#   N item key                        an item of the batch
#   W batch                           waits for another batch
#   S item step                       a step has begun
#   E item step status ms skipped kept key
#   R item read status                a read script has ended
#   I item D|F|K|X step               an item has ended: done, failed, skipped, interrupted
#   Z                                 the end

umask 077
cd /
spool=$1 id=$2 run=$dmp_run state=$dmp_state/$2
leader=
command -v setsid >/dev/null 2>&1 && leader=setsid

if ! command -v flock >/dev/null 2>&1; then
	echo 'flock is missing there: install util-linux' >&2
	exit 69
fi

note() {
	# Without a journal nothing may be done any more: those who attach see a dead runner.
	printf '%s\n' "$*" >>"$state/journal" || exit 74
}

# What follows must not happen before this is on the disk.
settle() {
	sync "$state/journal" "$state" 2>/dev/null || :
}

# Sets clock to hundredths of a second since the boot.
read_clock() {
	read -r clock _ </proc/uptime
	clock=${clock%.*}${clock#*.}
	while [ "${clock#0}" != "$clock" ]; do clock=${clock#0}; done
	clock=${clock:-0}
}

end_tree() {
	for child in $(cat "/proc/$2/task/$2/children" 2>/dev/null); do end_tree "$1" "$child"; done
	kill "-$1" "$2"
}

# Sends a signal to a step and all that it started.
end_group() {
	if [ -n "$leader" ]; then kill "-$1" "-$pid"; else end_tree "$1" "$pid"; fi 2>/dev/null
}

# Runs a script for at most $1 seconds, and no longer than the item may take: script $2, standard input $3, output $4, errors $5. Leaves status.
bounded() {
	rm -f "$spool/late"
	limit=$1 over="ended by dmp: not done within $1 s"
	if [ -n "$due" ]; then
		read_clock
		left=$((due - clock))
		if [ "$left" -le 0 ]; then
			status=124
			echo "$whole" >>"$5"
			return 0
		fi
		if [ "$left" -lt $((limit * 100)) ]; then
			limit=$(((left + 99) / 100)) over=$whole
		fi
	fi
	$leader sh "$2" <"$3" >>"$4" 2>"$5" 9>&- &
	pid=$!
	step_start=
	if dmp_start_of "$pid"; then
		step_start=$dmp_start
		echo "$id $pid $step_start $dmp_boot" >"$run/@step"
	fi
	{
		nap=
		trap 'kill "$nap"; exit 0' TERM
		sleep "$limit" &
		nap=$!
		wait "$nap"
		# Without its runner nobody calls the guard off; the number may then be another process's.
		dmp_alive "$pid" "$step_start" "$dmp_boot" || exit 0
		: >"$spool/late"
		end_group TERM
		sleep 10 &
		nap=$!
		wait "$nap"
		dmp_alive "$pid" "$step_start" "$dmp_boot" || exit 0
		end_group KILL
	} </dev/null >/dev/null 2>&1 9>&- &
	guard=$!
	wait "$pid"
	status=$?
	kill "$guard" 2>/dev/null
	wait "$guard" 2>/dev/null
	[ -e "$spool/late" ] || return 0
	# The shell is gone; what it started gets the same grace.
	for _ in 1 2 3 4 5 6 7 8 9 10; do
		end_group 0 || break
		sleep 1
	done
	end_group KILL
	status=124
	echo "$over" >>"$5"
}

input_of() {
	input=/dev/null
	if [ -e "$1" ]; then input=$1; fi
}

do_step() { # step takes kept deadline
	note "S $item $1"
	base=$spool/$item.$1
	errors=$base.err output=$log skipped=0 status=1
	[ "$3" = 0 ] || output=$base.out
	: >"$errors"
	read_clock
	began=$clock
	if [ -e "$base.check" ]; then
		input_of "$base.check.in"
		bounded "$4" "$base.check" "$input" /dev/null "$errors"
		if [ "$status" = 0 ]; then skipped=1; else : >"$errors"; fi
	fi
	if [ "$skipped" = 0 ]; then
		input_of "$base.in"
		[ "$2" = - ] || input_of "$spool/$item.$2.out"
		bounded "$4" "$base.run" "$input" "$output" "$errors"
	fi
	read_clock
	milliseconds=$(((clock - began) * 10))
	if [ -s "$errors" ]; then
		cat "$errors" >>"$log"
		tail -c 4096 "$errors" >"$state/$key.$1.err"
	fi
	echo "-- status $status after $milliseconds ms" >>"$log"
	note "E $item $1 $status $milliseconds $skipped $3 $key"
	[ "$status" = 0 ] || end=F failed=$1
}

do_read() { # read
	base=$spool/$item.r$1
	input_of "$base.in"
	: >"$base.out"
	bounded 300 "$base.run" "$input" "$base.out" "$base.err"
	note "R $item $1 $status"
}

end_item() {
	note "I $item $end $failed"
	settle
	[ "$end" = D ] && good="$good $item "
	rm -f "$spool/$item."*.run "$spool/$item."*.check "$spool/$item."*.in
}

dmp_start_of $$
echo "$$ $dmp_start $dmp_boot" >"$spool/claim"
if ! ln "$spool/claim" "$run/$id@claim" 2>/dev/null; then
	rm -rf "$spool"
	exit 0
fi
mkdir -p "$state" || exit 74
{
	echo "B 1 $$ $dmp_start $dmp_boot ${spool##*/}"
	while read -r kind a b _; do
		[ "$kind" = item ] && echo "N $a $b"
	done <"$spool/plan"
	:
} >"$state/.journal" && mv "$state/.journal" "$state/journal" || exit 74
settle

exec 9>>"$run/@lock"
if ! flock -n 9; then
	{ read -r other <"$run/@owner"; } 2>/dev/null || other=another
	note "W $other"
	flock 9
fi
# A runner may have been killed and its step not.
while dmp_step_alive ''; do
	note "W $dmp_step_of"
	while dmp_step_alive ''; do sleep 1; done
done
echo "$id" >"$run/@owner"

good= item= key= end= failed=- due=
while read -r kind a b c d label; do
	case $kind in
	item)
		item=$a key=$b end=D failed=- due= log=$state/$b.log
		if [ "$c" != - ]; then
			rest=$c,
			while [ -n "$rest" ]; do
				case $good in *" ${rest%%,*} "*) ;; *) end=K ;; esac
				rest=${rest#*,}
			done
		fi
		echo "## $d $label" >>"$log"
		;;
	within)
		read_clock
		due=$((clock + a))
		;;
	step)
		[ "$end" = D ] || continue
		echo "== $label" >>"$log"
		do_step "$a" "$b" "$c" "$d"
		;;
	read)
		due=
		[ "$end" = K ] || do_read "$a"
		;;
	end) end_item ;;
	esac
done <"$spool/plan"
note Z
settle
rm -f "$run/@step" "$spool/plan" "$spool/runner" "$spool/late"
