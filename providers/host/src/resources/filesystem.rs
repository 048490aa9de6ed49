//! `host_filesystem`: a filesystem, or swap space, on a block device.
//!
//! Its data are nobody's to make again, so a device that has anything on it is never formatted, unless the very thing is
//! named. The UUID of a filesystem that dmp makes follows from its mark: after a kill it is known by that.

use dmp_sdk::{
    Answers, Attribute, Change, Diagnostic, Effect, Fetch, HoldsData, Job, Known, Mark, MarkWay,
    Object, Purpose, Reading, Resource, Schema, Script, Step, Type, Value, Verb, Work,
};
use sha2::{Digest, Sha256};

use crate::facts::filesystem::{self, Found, Signature, with_device};
use crate::on_host::{
    fetch, flag, host_attribute, known_machine, list_value, plan_host, text, texts, unreadable,
    wrong,
};

/// The resource type.
pub(crate) struct HostFilesystem {
    schema: Schema,
}

impl HostFilesystem {
    pub(crate) fn new() -> Self {
        let schema = Schema::new(
            "host_filesystem",
            "A filesystem or swap space on a block device of a machine. A filesystem of the wanted type that is there already is taken \
             as it is. A device with anything else on it (a filesystem, a table of partitions, a member of LVM, RAID or LUKS) is \
             never formatted, unless `force` names just that.",
        )
        .mark(MarkWay::NaturalKey(&["host", "device"]))
        .holds_data(HoldsData::Primary)
        .on_delete("The filesystem stays on the device with all its data.")
        .attribute("host", host_attribute())
        .attribute("device", Attribute::required(Type::String, "Absolute path of the block device, best one that stays the same when disks change places: `/dev/disk/by-id/…`; or of a file that holds an image.").replaces().unique())
        .attribute("type", Attribute::required(Type::String, "`ext4`, `xfs`, `btrfs` or `swap`. The machine needs the tools: `e2fsprogs`, `xfsprogs`, `btrfs-progs`.").replaces())
        .attribute("label", Attribute::optional_computed(Type::String, "Its label. Not given: the one that it has."))
        .attribute("mkfs_options", Attribute::default(Type::list(Type::String), "Further arguments of `mkfs`, each word by itself: `[\"-m\", \"0\"]`. They have an effect only when it is made.", list_value(Vec::new())))
        .attribute("grow", Attribute::default(Type::Bool, "Whether it grows in place when the device has grown; xfs and btrfs have to be mounted for it.", true))
        .attribute("force", Attribute::optional(Type::String, "What is on the device and may be lost, just as the plan's error names it: `ext4 0b3c7f9e-…`. It names a UUID, so it never fits what dmp has made since."))
        .attribute("uuid", Attribute::computed(Type::String, "The UUID of the filesystem."))
        .attribute("signature", Attribute::computed(Type::String, "All that is found on the device, with its UUID."))
        .attribute("filling", Attribute::computed(Type::Bool, "Whether it takes up the whole device."));
        Self { schema }
    }
}

/// The UUID of what an instance makes.
fn uuid_of(mark: &Mark) -> String {
    let digest = Sha256::digest(mark.to_string());
    let mut bytes = [0_u8; 16];
    bytes.copy_from_slice(&digest[..16]);
    // Version 8: made by a rule of one's own.
    bytes[6] = (bytes[6] & 0x0f) | 0x80;
    bytes[8] = (bytes[8] & 0x3f) | 0x80;
    let text = hex::encode(bytes);
    let parts = [
        &text[..8],
        &text[8..12],
        &text[12..16],
        &text[16..20],
        &text[20..],
    ];
    parts.join("-")
}

/// The attributes as they are found there.
fn attributes(wanted: &Value, found: &Signature) -> Value {
    // A device that can't be told is not one that has to grow; nor has swap space, which is made anew.
    let is_filling = found.is_filling() || !flag(wanted, "grow");
    wanted
        .with("type", found.kind.as_str().into())
        .with("label", found.label.as_str().into())
        .with("uuid", found.uuid.as_str().into())
        .with("signature", found.whole.as_str().into())
        .with("filling", is_filling.into())
}

impl Resource for HostFilesystem {
    fn schema(&self) -> &Schema {
        &self.schema
    }

    fn fetches(&self, known: &Known<'_>) -> Result<Vec<Fetch>, Diagnostic> {
        fetch(known, &["device"], || {
            filesystem::script(&text(known.attributes, "device"))
        })
    }

    fn parse(&self, known: &Known<'_>, answers: Answers<'_>) -> Result<Reading, Diagnostic> {
        let output = answers.output(0)?;
        let device = text(known.attributes, "device");
        match filesystem::parse(output).ok_or_else(|| unreadable("a block device", output))? {
            // A disk that is not plugged in is no reason to make another filesystem.
            Found::Missing if !matches!(known.purpose, Purpose::BeforeCreate) => {
                Err(Diagnostic::remote("no-device", "no such device")
                    .detail(format!("`{device}` is not there, or is neither a block device nor a file"))
                    .help("plug it in, or take the filesystem out of the stack with a `removed` block"))
            }
            Found::Missing | Found::Empty => Ok(Reading::Absent),
            Found::There(found) => Ok(Reading::Found(Object {
                attributes: attributes(known.attributes, &found),
                id: Some(device),
            })),
        }
    }

    fn plan(&self, change: &mut Change<'_>) -> Result<(), Diagnostic> {
        plan_host(change);
        check(change)?;
        change.set("filling", true.into());
        match (change.prior, change.earlier) {
            (Some(prior), _) => {
                if change.planned.get("label") == prior.get("label") {
                    change.set("signature", prior.get("signature"));
                }
                if prior.get("mkfs_options") != change.planned.get("mkfs_options") {
                    change
                        .note("other `mkfs_options` have no effect on a filesystem that is there");
                }
            }
            (None, Some(earlier)) => plan_over(change, earlier)?,
            (None, None) => {
                if change.config.get("label").is_null() {
                    change.set("label", "".into());
                }
            }
        }
        Ok(())
    }

    fn work(&self, job: &Job<'_>) -> Result<Work, Diagnostic> {
        if job.verb == Verb::Delete {
            return Ok(Work::Steps(Vec::new()));
        }
        let wanted = job.wanted()?;
        let earlier = job.earlier.filter(|earlier| !earlier.is_null());
        let (device, kind) = (text(wanted, "device"), text(wanted, "type"));
        let on = known_machine(wanted)?;
        let script = |script: Script| {
            script
                .var("device", device.clone())
                .var("kind", kind.clone())
                .var("label", text(wanted, "label"))
        };
        let before = match job.verb {
            Verb::Create => earlier.filter(|earlier| !is_forced(wanted, earlier)),
            _ => job.prior,
        };
        let Some(before) = before else {
            let run = script(Script::new(FORMAT))
                .var("uuid_wanted", uuid_of(job.mark))
                .var(
                    "force",
                    earlier.map_or(String::new(), |_| text(wanted, "force")),
                )
                .var("options", texts(wanted, "mkfs_options").join("\n"));
            let title = format!("make {kind} on {device}");
            return Ok(Work::Steps(vec![Step::new(title, &on, run)]));
        };
        let mut steps = Vec::new();
        if before.get("label") != wanted.get("label") {
            let title = format!("label {device}");
            steps.push(Step::new(title, &on, script(Script::new(LABEL))));
        }
        if !flag(before, "filling") {
            let title = format!("grow {kind} on {device}");
            steps.push(Step::new(title, &on, script(Script::new(GROW))));
        }
        Ok(Work::Steps(steps))
    }
}

/// Whether what is there was named as what may be lost.
fn is_forced(wanted: &Value, earlier: &Value) -> bool {
    let force = wanted.get("force");
    !force.is_null() && force == earlier.get("signature")
}

fn check(change: &Change<'_>) -> Result<(), Diagnostic> {
    let device = change.planned.get("device");
    if device
        .as_str()
        .is_some_and(|device| !device.starts_with('/'))
    {
        return Err(wrong("device", "not a path", "it does not begin with `/`"));
    }
    let kind = change.planned.get("type");
    let Some(kind) = kind.as_str() else {
        return Ok(());
    };
    let longest = match kind {
        "ext4" => 16,
        "xfs" => 12,
        "btrfs" => 255,
        "swap" => 15,
        _ => {
            return Err(wrong(
                "type",
                "not a type that is made",
                format!("`{kind}` is none of `ext4`, `xfs`, `btrfs` and `swap`"),
            ));
        }
    };
    let label = change.config.get("label");
    if label
        .as_str()
        .is_some_and(|label| label.len() > longest || label.contains('\n'))
    {
        return Err(wrong(
            "label",
            "not a label",
            format!("{kind} has room for {longest} bytes of it, in one line"),
        ));
    }
    Ok(())
}

/// A device on which something is already.
fn plan_over(change: &mut Change<'_>, earlier: &Value) -> Result<(), Diagnostic> {
    let (device, there) = (text(&change.planned, "device"), text(earlier, "signature"));
    let force = change.planned.get("force");
    if is_forced(&change.planned, earlier) {
        change.effect(Effect::DataLoss {
            what: format!("{there} on {device}"),
        });
        if change.config.get("label").is_null() {
            change.set("label", "".into());
        }
        return Ok(());
    }
    let kind = text(&change.planned, "type");
    let is_wanted = there.split(' ').next() == Some(kind.as_str());
    // While it is not known what may be lost, nothing is.
    if is_wanted && force.is_known() {
        for name in ["label", "uuid"] {
            if change.config.get(name).is_null() {
                change.set(name, earlier.get(name));
            }
        }
        if change.planned.get("label") == earlier.get("label") {
            change.set("signature", earlier.get("signature"));
        }
        change.note(format!(
            "{device} has this filesystem already: it is taken as it is, with its data"
        ));
        return Ok(());
    }
    let problem = Diagnostic::error(
        "device-in-use",
        "refused to format a device that is not empty",
    )
    .detail(format!("on `{device}` is `{there}`, not {kind}"))
    .path(dmp_sdk::AttributePath::of("device"));
    Err(match force.as_str() {
        Some(force) => problem.help(format!(
            "`force` names `{force}`, which is not what is there"
        )),
        None => problem.help(format!("if that may be lost, write `force = \"{there}\"`")),
    })
}

const FORMAT: &str = with_device!(
    r#"
dmp_device || { echo "$device is not there, or is neither a block device nor a file" >&2; exit 1; }
case $kind in swap) tool=mkswap ;; *) tool=mkfs.$kind ;; esac
command -v "$tool" >/dev/null 2>&1 || { echo "there is no $tool: install its package" >&2; exit 1; }
dmp_signature
# It was made before, and nobody had heard of it.
if [ -n "$signature" ] && [ "$uuid" = "$uuid_wanted" ]; then exit 0; fi
if [ "$signature" != "" ] && [ "$signature" != "$force" ]; then
	echo "on $device is \"$signature\" by now; it is left as it is" >&2
	exit 1
fi
if [ -b "$real" ]; then
	name=${real##*/}
	number=$(cat "/sys/class/block/$name/dev")
	if grep -q " $number " /proc/self/mountinfo || grep -q "^$real " /proc/swaps; then
		echo "$device is in use" >&2
		exit 1
	fi
	for holder in "/sys/class/block/$name/holders"/* "/sys/class/block/$name"/*/partition; do
		[ ! -e "$holder" ] || { echo "$device is in use by $holder" >&2; exit 1; }
	done
fi
if [ -n "$signature" ]; then wipefs -a -q -- "$real" || exit 1; fi
set -f
IFS='
'
set -- $options
case $kind in
ext4) set -- -q -F -U "$uuid_wanted" "$@" ;;
xfs) set -- -q -m "uuid=$uuid_wanted" "$@" ;;
btrfs) set -- -q -U "$uuid_wanted" "$@" ;;
swap) set -- -U "$uuid_wanted" "$@" ;;
esac
[ -z "$label" ] || set -- -L "$label" "$@"
"$tool" "$@" "$real" >&2 || exit 1
sync
"#
);

const LABEL: &str = with_device!(
    r#"
dmp_device || { echo "$device is not there" >&2; exit 1; }
case $kind in
ext4) e2label "$real" "$label" ;;
xfs) xfs_admin -L "${label:---}" "$real" >&2 ;;
btrfs)
	place=$(sed -n "s|^$real \([^ ]*\) .*|\1|p" /proc/mounts | head -n 1)
	if [ -n "$place" ]; then btrfs filesystem label "$(printf %b "$place")" "$label"; else btrfs filesystem label "$real" "$label"; fi
	;;
swap) swaplabel -L "$label" "$real" ;;
esac
"#
);

const GROW: &str = with_device!(
    r#"
dmp_device || { echo "$device is not there" >&2; exit 1; }
place=$(sed -n "s|^$real \([^ ]*\) .*|\1|p" /proc/mounts | head -n 1)
case $kind in
ext4)
	if [ -z "$place" ]; then
		# What is not mounted is looked through before it grows.
		e2fsck -f -p "$real" >&2
		[ "$?" -le 1 ] || exit 1
	fi
	resize2fs "$real" >&2
	;;
xfs | btrfs)
	[ -n "$place" ] || { echo "$kind grows only while it is mounted: mount $device" >&2; exit 1; }
	place=$(printf %b "$place")
	if [ "$kind" = xfs ]; then xfs_growfs "$place" >&2; else btrfs filesystem resize max "$place" >&2; fi
	;;
esac
"#
);

#[cfg(test)]
mod tests;
