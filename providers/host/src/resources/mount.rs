//! `host_mount`: something mounted at a place, now and at every boot.
//!
//! The place is the identity. Its line in `/etc/fstab` is edited like any line of a file of others; nothing is ever
//! unmounted by force, and what keeps a place busy is named.

use dmp_sdk::{
    Answers, Attribute, Change, Claim, Diagnostic, Effect, Fetch, Job, Known, MarkWay, Object,
    Reading, Resource, Schema, Script, Step, Type, Value, Verb, Work,
};

use crate::edited::with_edit;
use crate::facts::mount::{self, Mounts, escaped, has};
use crate::kept::keeping;
use crate::on_host::{
    fetch, flag, host_attribute, known_machine, lines_in, optional_text, plan_host, text,
    unreadable, wrong,
};
use crate::resources::file::plan_path;

/// The resource type.
pub(crate) struct HostMount {
    schema: Schema,
}

impl HostMount {
    pub(crate) fn new() -> Self {
        let schema = Schema::new(
            "host_mount",
            "A filesystem, a remote one or a directory that is mounted at a place on a machine, now and by `/etc/fstab` at every boot. \
             A directory at two places: `device = \"/srv/data\"`, `type = \"none\"`, `options = \"bind\"`.",
        )
        .mark(MarkWay::NaturalKey(&["host", "path", "device"]))
        .on_delete("It is unmounted, unless something uses it, and its line is taken out of `/etc/fstab`; what was mounted and written there before dmp is put back. The data stay where they are.")
        .attribute("host", host_attribute())
        .attribute("path", Attribute::required(Type::String, "Absolute path of the place; the directory is made if it is missing.").replaces().unique())
        .attribute("device", Attribute::required(Type::String, "What is mounted: `/dev/sdb1`, `UUID=…`, `LABEL=data`, `server:/export`, `tmpfs`, or a directory. `UUID` and `LABEL` stay the same when disks change places."))
        .attribute("type", Attribute::required(Type::String, "Type of the filesystem: `ext4`, `xfs`, `nfs`, `tmpfs`; `none` for a directory."))
        .attribute("options", Attribute::default(Type::String, "Options, with commas: `noatime,nofail`.", "defaults"))
        .attribute("pass", Attribute::default(Type::Number, "When it is checked at a boot: 1 for the root, 2 for others, 0 never.", 0))
        .attribute("boot", Attribute::default(Type::Bool, "Whether `/etc/fstab` has it, so that it is mounted at every boot.", true))
        .attribute("mounted", Attribute::default(Type::Bool, "Whether it is mounted now.", true))
        .attribute("fstab_line", Attribute::computed(Type::String, "Its line in `/etc/fstab`."));
        Self { schema }
    }
}

/// The line of `/etc/fstab` for an object.
fn line(of: &Value) -> String {
    let pass = of.get("pass").as_i64().unwrap_or_default();
    let (device, path) = (escaped(&text(of, "device")), escaped(&text(of, "path")));
    let (kind, options) = (text(of, "type"), text(of, "options"));
    format!("{device} {path} {kind} {options} 0 {pass}")
}

/// Whether two lines say the same, however they are spaced.
fn is_same_line(one: &str, two: &str) -> bool {
    let words = |line: &str| -> Vec<String> {
        let mut words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        // Both numbers are 0 where they are left out.
        words.resize(words.len().max(6), "0".to_owned());
        words
    };
    words(one) == words(two)
}

/// Whether the kernel may call what was asked for by this name.
fn is_same_kind(wanted: &str, live: &str) -> bool {
    matches!(wanted, "none" | "auto") || wanted == live || (wanted == "nfs" && live == "nfs4")
}

/// The attributes as they are found there.
fn attributes(wanted: &Value, found: &Mounts) -> Value {
    let (device, kind, options) = (
        text(wanted, "device"),
        text(wanted, "type"),
        text(wanted, "options"),
    );
    let (device, kind, options) = match (&found.live, &found.fixed) {
        (Some(live), _) if found.is_of(&device) && is_same_kind(&kind, &live.kind) => {
            // What else the kernel shows of options is not in the form in which they are given.
            let is_same = has(&options, "ro") == live.is_read_only();
            let options = if is_same { options } else { live.all_options() };
            (device, kind, options)
        }
        (Some(live), _) => (live.source.clone(), live.kind.clone(), live.all_options()),
        (None, Some(fixed)) => (
            fixed.device.clone(),
            fixed.kind.clone(),
            fixed.options.clone(),
        ),
        (None, None) => (device, kind, options),
    };
    let line = found.fixed.as_ref().map(|fixed| fixed.line.clone());
    wanted
        .with("device", device.into())
        .with("type", kind.into())
        .with("options", options.into())
        .with("boot", line.is_some().into())
        .with("mounted", found.live.is_some().into())
        .with("fstab_line", line.into())
}

impl Resource for HostMount {
    fn schema(&self) -> &Schema {
        &self.schema
    }

    fn fetches(&self, known: &Known<'_>) -> Result<Vec<Fetch>, Diagnostic> {
        fetch(known, &["path", "device"], || {
            let of = |name| text(known.attributes, name);
            mount::script(&of("path"), &of("device"))
        })
    }

    fn parse(&self, known: &Known<'_>, answers: Answers<'_>) -> Result<Reading, Diagnostic> {
        let output = answers.output(0)?;
        let path = text(known.attributes, "path");
        let found = mount::parse(output, &path).ok_or_else(|| unreadable("mounts", output))?;
        if found.live.is_none() && found.fixed.is_none() {
            return Ok(Reading::Absent);
        }
        Ok(Reading::Found(Object {
            attributes: attributes(known.attributes, &found),
            id: Some(path),
        }))
    }

    fn plan(&self, change: &mut Change<'_>) -> Result<(), Diagnostic> {
        plan_host(change);
        if change.planned.get("path").as_str() != Some("/") {
            plan_path(change)?;
        }
        check(change)?;
        plan_line(change);
        tell(change);
        Ok(())
    }

    fn claims(&self, value: &Value) -> Vec<Claim> {
        lines_in(value, "/etc/fstab")
    }

    fn work(&self, job: &Job<'_>) -> Result<Work, Diagnostic> {
        let earlier = job.earlier.filter(|earlier| !earlier.is_null());
        let is_delete = job.verb == Verb::Delete;
        let (of, like, before) = match job.verb {
            Verb::Delete => (job.prior()?, earlier, job.prior),
            Verb::Create => (job.wanted()?, job.wanted, earlier),
            _ => (job.wanted()?, job.wanted, job.prior),
        };
        let is_mounted = like.is_some_and(|like| flag(like, "mounted"));
        let was_mounted = before.is_some_and(|before| flag(before, "mounted"));
        let differs = |names: &[&str]| {
            let other = |(before, like): (&Value, &Value)| {
                names.iter().any(|name| before.get(name) != like.get(name))
            };
            before.zip(like).is_some_and(other)
        };
        let how = match (was_mounted, is_mounted) {
            (false, true) => "mount",
            (true, true) if differs(&["device", "type"]) => "again",
            (true, true) if differs(&["options"]) => "remount",
            (true, false) => "unmount",
            _ => "nothing",
        };
        let old_line = before.and_then(|before| optional_text(before, "fstab_line"));
        let new_line = like.and_then(|like| optional_text(like, "fstab_line"));
        if !is_delete && how == "nothing" && old_line == new_line {
            return Ok(Work::Steps(Vec::new()));
        }
        let like = like.unwrap_or(of);
        let path = text(of, "path");
        let title = match (job.verb, earlier) {
            (Verb::Delete, None) => format!("unmount {path}"),
            (Verb::Delete, Some(_)) => format!("put back what was mounted at {path}"),
            _ => format!("mount {path}"),
        };
        let options = text(like, "options");
        let run = Script::new(MOUNT)
            .var("how", how)
            .var("place", path.clone())
            .var("point", escaped(&path))
            .var("device", text(like, "device"))
            .var("kind", text(like, "type"))
            .var("writes", if has(&options, "ro") { "" } else { "rw," })
            .var("options", options)
            .var("edit", if old_line == new_line { "no" } else { "yes" })
            .var("line", new_line.unwrap_or_default())
            .var("delete", if is_delete { "yes" } else { "no" })
            .var("path", "/etc/fstab")
            .var("create", "yes")
            .var("validate", "");
        Ok(Work::Steps(vec![Step::new(
            title,
            &known_machine(of)?,
            keeping(run, job.mark),
        )]))
    }
}

fn check(change: &Change<'_>) -> Result<(), Diagnostic> {
    for name in ["device", "type", "options"] {
        let given = change.planned.get(name);
        let has_space = |text: &str| text.contains(char::is_whitespace) && name != "device";
        if given
            .as_str()
            .is_some_and(|text| text.is_empty() || has_space(text))
        {
            return Err(wrong(
                name,
                "not a word",
                "it is empty, or has a space in it",
            ));
        }
    }
    if change.planned.get("type").as_str() == Some("swap") {
        return Err(wrong(
            "type",
            "swap is not mounted",
            "there is no place in the file tree for it",
        ));
    }
    let pass = change.planned.get("pass");
    if pass.is_known() && !pass.as_i64().is_some_and(|pass| (0..=9).contains(&pass)) {
        return Err(wrong("pass", "not a turn", "a number from 0 to 9"));
    }
    let is_off = |name: &str| change.planned.get(name).as_bool() == Some(false);
    if is_off("boot") && is_off("mounted") {
        return Err(wrong(
            "mounted",
            "neither now nor at a boot",
            "with `boot` and `mounted` both false there is nothing to do",
        ));
    }
    Ok(())
}

/// What the line of `/etc/fstab` will be.
fn plan_line(change: &mut Change<'_>) {
    let names = ["path", "device", "type", "options", "pass", "boot"];
    if names
        .iter()
        .any(|name| !change.planned.get(name).is_known())
    {
        change.unknown("fstab_line");
        return;
    }
    if !flag(&change.planned, "boot") {
        change.set("fstab_line", Value::null());
        return;
    }
    let wanted = line(&change.planned);
    let there = change.prior.or(change.earlier);
    let there = there.and_then(|there| optional_text(there, "fstab_line"));
    let line = there
        .filter(|there| is_same_line(there, &wanted))
        .unwrap_or(wanted);
    change.set("fstab_line", line.into());
}

fn tell(change: &mut Change<'_>) {
    let (path, device) = (
        text(&change.planned, "path"),
        text(&change.planned, "device"),
    );
    let (kind, options) = (
        text(&change.planned, "type"),
        text(&change.planned, "options"),
    );
    let before = change.prior.or(change.earlier);
    let is_mounted = before.is_some_and(|before| flag(before, "mounted"));
    let is_other =
        |name: &str| before.is_some_and(|before| before.get(name) != change.planned.get(name));
    let goes = change.planned.get("mounted").as_bool() == Some(false);
    if is_mounted && (goes || is_other("device") || is_other("type")) {
        change.effect(Effect::Downtime { what: path.clone() });
        let is_in_memory = before.is_some_and(|before| text(before, "type") == "tmpfs");
        if is_in_memory {
            let what = format!("what is in memory at {path}");
            change.effect(Effect::DataLoss { what });
        }
    }
    if let (None, Some(earlier)) = (change.prior, change.earlier) {
        let there = text(earlier, "device");
        change.note(format!(
            "{there} is at {path} already; a delete puts that back"
        ));
    }
    if change.prior.is_some() || !flag(&change.planned, "boot") || has(&options, "noauto") {
        return;
    }
    let is_remote = ["nfs", "nfs4", "cifs", "ceph"].contains(&kind.as_str());
    let needs_none = ["none", "tmpfs", "proc", "sysfs"].contains(&kind.as_str()) || path == "/";
    if !needs_none && !has(&options, "nofail") {
        change.note(format!(
            "without `nofail` among the options a boot does not come up where {device} is missing"
        ));
    }
    if is_remote && !has(&options, "_netdev") {
        change.note("with `_netdev` among the options a boot waits for the network first");
    }
}

const MOUNT: &str = with_edit!(
    r#"
is_mounted() {
	while read -r _ _ _ _ there _; do
		[ "$there" != "$point" ] || return 0
	done </proc/self/mountinfo
	return 1
}
# Says who uses the place.
users() {
	for process in /proc/[0-9]*; do
		for used in "$process/cwd" "$process/root" "$process/exe" "$process"/fd/*; do
			case $(readlink -- "$used" 2>/dev/null) in
			"$place" | "$place"/*)
				echo "process ${process#/proc/} ($(cat "$process/comm" 2>/dev/null)) uses it" >&2
				break
				;;
			esac
		done
	done
	while read -r _ _ _ _ there _; do
		case $there in "$point"/*) echo "$there is mounted below it" >&2 ;; esac
	done </proc/self/mountinfo
}
unmount() {
	is_mounted || return 0
	umount -- "$place" && return 0
	users
	dmp_refuse "$place stays mounted"
}
# systemd looks at the table only when it is told to.
reload() {
	if [ -d /run/systemd/system ]; then systemctl daemon-reload || :; fi
}
if [ "$how" = unmount ] || [ "$how" = again ]; then unmount; fi
if [ "$edit" = yes ] && { [ -n "$line" ] || [ -e "$path" ]; }; then
	dmp_open
	number=0 last=
	while read -r word there _; do
		number=$((number + 1))
		case $word in '#'*) continue ;; esac
		[ "$there" != "$point" ] || last=$number
	done <"$old"
	at=$count
	[ -z "$last" ] || at=$((last - 1))
	{
		dmp_part 1 "$at"
		if [ -n "$line" ]; then printf '%s\n' "$line"; fi
		dmp_part $((${last:-$count} + 1)) "$count"
	} >"$new" || exit 1
	dmp_close
	reload
fi
if [ "$how" = mount ] || [ "$how" = again ]; then
	if [ ! -e "$place" ] && [ ! -e "$kept/made" ]; then
		(umask 077 && mkdir -p "$kept") || exit 1
		missing=$place
		while [ ! -e "$missing" ]; do
			printf '%s\n' "$missing"
			missing=$(dirname -- "$missing")
		done >"$kept/.made" && mv -f -- "$kept/.made" "$kept/made" || exit 1
	fi
	mkdir -p -- "$place" || exit 1
	if ! is_mounted; then mount -t "$kind" -o "$options" -- "$device" "$place" || exit 1; fi
elif [ "$how" = remount ]; then
	mount -o "remount,$writes$options" -- "$place" || exit 1
fi
if [ "$delete" = yes ]; then
	if [ -f "$kept/made" ] && ! is_mounted; then
		while IFS= read -r made; do
			rmdir -- "$made" 2>/dev/null || break
		done <"$kept/made"
	fi
	dmp_done
fi
"#
);

#[cfg(test)]
mod tests;
