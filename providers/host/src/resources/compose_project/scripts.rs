//! What is run on the machine: files are written, the project is brought up, its health is waited for, it is taken down.
//!
//! From the first file that is written until all is well `pending` in what is kept for the instance says that the work has
//! not come to its end, with the files whose containers have not been restarted for them yet.

use crate::facts::compose::with_compose;
use crate::kept::with_kept;

/// Writes the files on standard input: a line each, with mode, name, and content in base64.
pub(super) const WRITE: &str = with_compose!(
    r#"
refuse() {
	echo "$1" >&2
	exit 1
}
dmp_engine
[ -z "$lacks" ] || refuse "$lacks: the machine needs Docker Engine with Compose 2, as from Debian 13's docker.io, docker-cli and docker-compose"
(umask 077 && mkdir -p "$kept") || exit 1
: >>"$kept/pending" || exit 1
if [ ! -d "$directory" ]; then
	parent=$(dirname -- "$directory")
	[ -d "$parent" ] || refuse "the directory $parent does not exist: add a host_directory for it"
	: >"$kept/made" && mkdir -- "$directory" || exit 1
fi
new=
trap '[ -z "$new" ] || rm -f -- "$new"' EXIT
while IFS=' ' read -r mode file content; do
	[ -n "$file" ] || continue
	path=$directory/$file
	folder=$(dirname -- "$path")
	mkdir -p -- "$folder" || exit 1
	if [ -d "$path" ] && [ ! -L "$path" ]; then
		# Docker makes one where a file that is to be mounted is missing.
		rmdir -- "$path" 2>/dev/null || refuse "$path is a directory with something in it"
	fi
	if [ -L "$path" ] || { [ -e "$path" ] && [ ! -f "$path" ]; }; then refuse "$path is no regular file"; fi
	new=$(umask 077 && mktemp "$folder/.dmp.XXXXXX") || exit 1
	printf '%s' "$content" | base64 -d >"$new" && chmod -- "$mode" "$new" || exit 1
	if cmp -s -- "$new" "$path"; then
		rm -f -- "$new"
		chmod -- "$mode" "$path" || exit 1
	else
		printf '%s\n' "$file" >>"$kept/pending" || exit 1
		sync "$new" 2>/dev/null || :
		mv -f -- "$new" "$path" || exit 1
	fi
	new=
done
sync "$directory" 2>/dev/null || :
"#
);

/// Removes files, and the folders that are empty then. Without the directory there is nothing to be removed.
pub(super) const REMOVE: &str = with_kept!(
    r#"
if [ "$last" = no ]; then (umask 077 && mkdir -p "$kept" && : >>"$kept/pending") || exit 1; fi
for file in $names; do
	path=$directory/$file
	if [ -L "$path" ] || { [ -e "$path" ] && [ ! -f "$path" ]; }; then
		echo "$path is no regular file any more; it is left as it is" >&2
		exit 1
	fi
	rm -f -- "$path" || exit 1
	folder=$(dirname -- "$file")
	while [ "$folder" != . ]; do
		rmdir -- "$directory/$folder" 2>/dev/null || break
		folder=$(dirname -- "$folder")
	done
done
if [ "$last" = yes ]; then
	if [ -e "$kept/made" ] && [ -d "$directory" ] && ! rmdir -- "$directory" 2>/dev/null; then
		echo "$directory stays: there is something else in it" >&2
	fi
	dmp_done
fi
"#
);

/// What comes before all that changes containers: Docker answers, and the project is the one of the directory.
///
/// `dmp_judge` looks at the project's containers once. It sets `$waits` where one may become well yet, and `$bad` where one
/// will not; `dmp_blame` tells of that one, with what its health check said and its last lines.
macro_rules! with_project {
    ($script:expr) => {
        with_compose!(concat!(
            r#"
refuse() {
	echo "$1" >&2
	exit 1
}
dmp_ours() {
	other=$(docker ps -a --filter "label=com.docker.compose.project=$name" --format '{{.Label "com.docker.compose.project.working_dir"}}' |
		grep -v -x -F -- "$directory" | head -n 1)
	[ -z "$other" ] || refuse "the Compose project $name is one of the directory $other; it is left as it is"
}
dmp_judge() {
	waits= bad= bad_id= seen=
	ids=$(docker ps -aq --no-trunc --filter "label=com.docker.compose.project=$name" --filter label=com.docker.compose.oneoff=False) ||
		{ waits="Docker does not answer"; return 0; }
	[ -n "$ids" ] || return 0
	seen=$(docker container inspect --format '{{.ID}}|{{index .Config.Labels "com.docker.compose.service"}}|{{.State.Status}}|{{.State.ExitCode}}|{{if .State.Health}}{{.State.Health.Status}}{{end}}|{{.HostConfig.RestartPolicy.Name}}|{{.RestartCount}}|{{.State.StartedAt}}' $ids 2>/dev/null)
	awaited=$(docker container inspect --format '{{index .Config.Labels "com.docker.compose.depends_on"}}' $ids 2>/dev/null | tr ',' '\n')
	while IFS='|' read -r id service status code health policy restarts since; do
		case $status in
		running)
			case $health in
			starting) waits="$service is starting" ;;
			unhealthy)
				# What was so before may come back with what it needs; what has just been made will not.
				if [ "$once" = no ] && grep -q -x -F -- "$id" "$kept/before" 2>/dev/null; then
					waits="$service is unhealthy"
				else
					bad="$service is unhealthy" bad_id=$id
				fi
				;;
			esac
			;;
		restarting)
			waits="$service has ended with status $code and is started again"
			[ "$restarts" -lt 3 ] || { bad="$service ends again and again, with status $code" bad_id=$id; }
			;;
		exited | dead)
			if [ "$code" = 0 ] && { [ "$policy" = on-failure ] || printf '%s\n' "$awaited" | grep -q "^$service:service_completed_successfully"; }; then
				:
			elif [ "$code" = 0 ]; then
				bad="$service has ended, with status 0; if it is to end, give it \`restart: on-failure\`" bad_id=$id
			else
				bad="$service has ended, with status $code" bad_id=$id
			fi
			;;
		*) waits="$service is $status" ;;
		esac
		[ -z "$bad" ] || return 0
	done <<EOF
$seen
EOF
}
dmp_blame() {
	echo "the service $bad" >&2
	checked=$(docker container inspect --format '{{if .State.Health}}{{range .State.Health.Log}}{{println .Output}}{{end}}{{end}}' "$bad_id" 2>/dev/null | grep -v '^ *$' | tail -n 1)
	[ -z "$checked" ] || echo "its health check said: $checked" >&2
	lines=$(docker logs --tail 8 "$bad_id" 2>&1)
	if [ -n "$lines" ]; then
		echo "its last lines:" >&2
		printf '%s\n' "$lines" | sed 's/^/  /' >&2
	else
		echo "it has printed nothing" >&2
	fi
}
dmp_engine
"#,
            $script
        ))
    };
}

/// Brings the project up as its files have it.
pub(super) const UP: &str = with_project!(
    r#"
[ -z "$lacks" ] || refuse "$lacks"
dmp_ours
at=$directory once=yes
ours="label=com.docker.compose.project=$name"
(umask 077 && mkdir -p "$kept" && : >>"$kept/pending") || exit 1
docker ps -q --no-trunc --filter "$ours" >"$kept/before" || exit 1
# Compose replaces a container by one of another name, and trips over that if it was cut off in between.
docker ps -aq --no-trunc --filter "$ours" --filter status=created --filter label=com.docker.compose.replace |
	while read -r id; do
		was=$(docker container inspect --format '{{.Name}}' "$id") || continue
		was=${was#/}
		old=${was%%_*}
		case $old in *[!0-9a-f]*) continue ;; esac
		[ "${#old}" = 12 ] || continue
		if docker container inspect "$old" >/dev/null 2>&1; then
			docker rm "$id" >&2
		else
			docker rename "$id" "${was#*_}" >&2
		fi
	done
set -- up -d --no-build --quiet-pull --pull "$pull"
[ "$remove_orphans" = no ] || set -- "$@" --remove-orphans
dmp_compose "$@" >&2 </dev/null || {
	failed=$?
	dmp_judge
	[ -z "$bad" ] || dmp_blame
	exit "$failed"
}
if [ "$remove_orphans" = yes ]; then
	# Those of a profile that is not active any more Compose lets be.
	services=$(dmp_compose config --services 2>/dev/null </dev/null) || exit 1
	docker ps -a --no-trunc --filter "$ours" --filter label=com.docker.compose.oneoff=False --format '{{.ID}} {{.Label "com.docker.compose.service"}}' |
		while read -r id service; do
			if ! printf '%s\n' "$services" | grep -q -x -F -- "$service"; then
				docker stop "$id" >&2 && docker rm "$id" >&2 || exit 1
			fi
		done || exit 1
fi
# What runs on with a file of before that it mounts is restarted.
while read -r id; do
	binds=$(docker container inspect --format '{{range .Mounts}}{{if eq .Type "bind"}}{{println .Source}}{{end}}{{end}}' "$id" 2>/dev/null </dev/null) || continue
	for file in $(sort -u "$kept/pending"); do
		for bind in $binds; do
			case $directory/$file/ in
			"${bind%/}"/*)
				echo "restarts $id for $file" >&2
				docker restart "$id" >&2 </dev/null || exit 1
				continue 3
				;;
			esac
		done
	done
done <"$kept/before"
if [ "$wait" = yes ]; then : >"$kept/pending"; else rm -f -- "$kept/pending" "$kept/before"; fi
"#
);

/// Waits until all containers are well.
pub(super) const WAIT: &str = with_project!(
    r#"
[ -z "$lacks" ] || refuse "$lacks"
once=no before=
end=$(($(date +%s) + timeout))
while :; do
	dmp_judge
	if [ -n "$bad" ]; then
		dmp_blame
		exit 1
	fi
	# What ends as soon as it has begun is not taken for well.
	if [ -z "$waits" ] && [ "$seen" = "$before" ]; then break; fi
	before=$seen
	if [ "$(date +%s)" -ge "$end" ]; then
		late=${waits:-$name does not come to rest} once=yes
		dmp_judge
		echo "not all is well after $timeout seconds: $late" >&2
		[ -z "$bad" ] || dmp_blame
		exit 1
	fi
	sleep 2
done
rm -f -- "$kept/pending" "$kept/before"
"#
);

/// Takes the project down: its containers and networks, and its volumes if that was asked for.
pub(super) const DOWN: &str = with_project!(
    r#"
command -v docker >/dev/null 2>&1 || exit 0
ours="label=com.docker.compose.project=$name"
ids=$(docker ps -aq --filter "$ours") || refuse "Docker does not answer: the project $name can't be taken down"
dmp_ours
if [ -n "$ids" ]; then
	[ -z "$lacks" ] || refuse "$lacks: the project $name can't be taken down"
	# By its labels alone, whatever its files say by now; all its profiles are meant.
	unset COMPOSE_PROFILES
	cd / && docker compose -p "$name" down --remove-orphans >&2 </dev/null || exit 1
fi
docker network ls -q --filter "$ours" | while read -r id; do docker network rm "$id" >&2 || exit 1; done || exit 1
if [ "$volumes" = yes ]; then
	docker volume ls -q --filter "$ours" | while read -r volume; do docker volume rm -- "$volume" >&2 || exit 1; done || exit 1
fi
exit 0
"#
);
