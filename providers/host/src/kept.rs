//! What stood on a machine before dmp, kept on that machine to be put back: `/var/lib/dmp/kept/<instance>/`, for
//! users other than root `~/.local/state/dmp/kept`. It is kept once, however often a create is begun anew.

use dmp_sdk::{Mark, Script};

/// Shell functions in front of a script that keeps or puts back:
///
/// - `dmp_keep NAME PATH` keeps the file at a path, or that there was none;
/// - `dmp_put_back NAME PATH` puts it back; without a copy the file is removed;
/// - `dmp_done` removes what was kept.
macro_rules! with_kept {
    ($script:expr) => {
        concat!(
            r#"
kept=${DMP_STATE_DIR:-/var/lib/dmp}/kept/$instance
[ -n "$DMP_STATE_DIR" ] || [ "$(id -u)" = 0 ] || kept=${XDG_STATE_HOME:-$HOME/.local/state}/dmp/kept/$instance
dmp_keep() {
	[ ! -e "$kept/$1" ] && [ ! -e "$kept/$1.none" ] || return 0
	(umask 077 && mkdir -p "$kept") || exit 1
	if [ -f "$2" ] && [ ! -L "$2" ]; then
		(umask 077 && cp -p -- "$2" "$kept/.$1") && mv -f -- "$kept/.$1" "$kept/$1" || exit 1
	else
		: >"$kept/$1.none" || exit 1
	fi
}
dmp_put_back() {
	if [ -e "$kept/$1" ]; then
		cp -p -- "$kept/$1" "$2.dmp-new" && mv -f -- "$2.dmp-new" "$2" || exit 1
	else
		rm -f -- "$2" || exit 1
	fi
}
dmp_done() {
	rm -rf -- "$kept"
}
"#,
            $script
        )
    };
}

pub(crate) use with_kept;

/// Gives a script with these functions the instance whose things it keeps.
pub(crate) fn keeping(script: Script, mark: &Mark) -> Script {
    let safe = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    let instance: String = mark
        .instance
        .chars()
        .map(|c| if safe(c) { c } else { '_' })
        .collect();
    script.var("instance", instance)
}
