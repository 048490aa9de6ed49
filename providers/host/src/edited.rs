//! Changes of single lines in a file that is not dmp's: the shell functions in front of a script that makes them.
//!
//! The new text goes into a file beside the old one, with the mode and the owner of the old one, is validated, and takes
//! the name in one move. A text whose last line does not end keeps that: what is put behind it is then the line that
//! does not end, and when it is taken out again the text is, byte for byte, what it was.

/// Shell functions in front of a script that edits the file `$path`; `dmp_keep` and its like are there too:
///
/// - `dmp_open` reads the file into `$old`, or begins it if `$create` is `yes`; sets `$count`, its number of lines;
/// - `dmp_find ARGUMENTS` sets `$first` and `$last` to the lines that grep finds with these, empty if there is none;
/// - `dmp_part M N` writes the lines from M to N;
/// - `dmp_place` sets `$at` to the line behind which something new goes, by the expressions `$after` and `$before`;
/// - `dmp_close` puts what was written to `$new` into the file's place;
/// - `dmp_refuse WORDS` ends the script.
macro_rules! with_edit {
    ($script:expr) => {
        $crate::kept::with_kept!(concat!(
            r#"
nl='
'
# Files that dmp began are noted by their path: they may hold lines of several instances.
begun=${kept%/*}/begun-$(printf %s "$path" | cksum | tr ' ' -)
dmp_refuse() {
	echo "$1" >&2
	exit 1
}
dmp_open() {
	directory=$(dirname -- "$path")
	[ ! -L "$path" ] || dmp_refuse "$path is a symbolic link: name the file itself"
	[ ! -e "$path" ] || [ -f "$path" ] || dmp_refuse "$path is no regular file"
	if [ ! -e "$path" ]; then
		[ "$create" = yes ] || dmp_refuse "$path does not exist: set \`create\`, or add a host_file for it"
		[ -d "$directory" ] || dmp_refuse "the directory $directory does not exist: add a host_directory for it"
		(umask 077 && mkdir -p "${kept%/*}" && : >"$begun") || exit 1
	fi
	new=$(mktemp "$directory/.dmp.XXXXXX") && old=$(mktemp "$directory/.dmp.XXXXXX") || exit 1
	trap 'rm -f -- "$new" "$old"' EXIT
	open_end=no
	if [ -e "$path" ]; then
		cp -p -- "$path" "$new" && cat -- "$path" >"$old" || exit 1
		if [ -s "$old" ] && [ "$(tail -c 1 "$old" | wc -l)" -eq 0 ]; then
			open_end=yes
			echo >>"$old"
		fi
	else
		chmod 0644 "$new" || exit 1
	fi
	count=$(($(wc -l <"$old")))
}
dmp_find() {
	lines=$(grep -n "$@" <"$old")
	case $? in
	0) ;;
	1) lines= ;;
	*) exit 1 ;;
	esac
	first=${lines%%"$nl"*} last=${lines##*"$nl"}
	first=${first%%:*} last=${last%%:*}
	case $first$last in *[!0-9]*) dmp_refuse "$path is no text" ;; esac
}
dmp_part() {
	[ "$1" -gt "$2" ] || head -n "$2" <"$old" | tail -n "+$1"
}
dmp_place() {
	at=$count
	if [ -n "$after" ]; then
		dmp_find -E -e "$after"
		[ -n "$last" ] || dmp_refuse "no line of $path is one that \`after\` describes"
		at=$last
	elif [ -n "$before" ] && [ "$count" -gt 0 ]; then
		dmp_find -E -e "$before"
		[ -n "$first" ] || dmp_refuse "no line of $path is one that \`before\` describes"
		at=$((first - 1))
	fi
}
dmp_close() {
	if [ "$open_end" = yes ] && [ -s "$new" ]; then
		size=$(($(wc -c <"$new") - 1))
		head -c "$size" <"$new" >"$old" && cat "$old" >"$new" || exit 1
	fi
	if [ -e "$path" ] && cmp -s -- "$new" "$path"; then return 0; fi
	if [ ! -s "$new" ] && [ -e "$begun" ]; then
		rm -f -- "$path" "$begun" || exit 1
		return 0
	fi
	if [ -n "$validate" ]; then
		if ! (umask 022; file=$new; eval "$validate") </dev/null; then
			dmp_refuse "the new content of $path is not valid; the old one stays"
		fi
	fi
	sync "$new" 2>/dev/null || :
	mv -f -- "$new" "$path" || exit 1
	sync "$directory" 2>/dev/null || :
}
"#,
            $script
        ))
    };
}

pub(crate) use with_edit;
