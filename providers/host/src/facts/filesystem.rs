//! What is on a block device: signatures of any kind, the filesystem, and whether it takes up the whole device.

use dmp_sdk::{Output, Script};

/// Shell functions in front of a script about `$device`: `dmp_device` sets `$real`, or fails where there is none;
/// `dmp_signature` sets `$facts`, `$uuid` and `$signature`, which names everything that is on it; `dmp_sizes` sets
/// `$size` and `$used`, the bytes of the device and of the filesystem, empty where they can't be told.
macro_rules! with_device {
    ($script:expr) => {
        concat!(
            r#"
dmp_device() {
	real=$(readlink -f -- "$device") && { [ -b "$real" ] || [ -f "$real" ]; }
}
dmp_signature() {
	for needed in wipefs blkid; do
		command -v "$needed" >/dev/null 2>&1 || { echo "there is no $needed: install util-linux" >&2; exit 1; }
	done
	kinds=$(wipefs --noheadings -O TYPE -- "$real") || exit 1
	kinds=$(printf '%s\n' "$kinds" | tr -d ' ' | sort -u | tr '\n' ,)
	kinds=${kinds%,} kinds=${kinds#,}
	facts=$(blkid -p -o export -- "$real")
	case $? in 0 | 2 | 8) ;; *) echo "$device can't be read" >&2; exit 1 ;; esac
	uuid=$(printf '%s\n' "$facts" | sed -n 's/^UUID=//p')
	[ -n "$uuid" ] || uuid=$(printf '%s\n' "$facts" | sed -n 's/^PTUUID=//p')
	signature=$kinds
	[ -z "$kinds" ] || [ -z "$uuid" ] || signature="$kinds $uuid"
}
dmp_sizes() {
	if [ -b "$real" ]; then size=$(blockdev --getsize64 "$real"); else size=$(stat -c %s -- "$real"); fi
	used=
	case $1 in
	ext[234])
		header=$(dumpe2fs -h "$real" 2>/dev/null)
		blocks=$(printf '%s\n' "$header" | sed -n 's/^Block count: *//p')
		block=$(printf '%s\n' "$header" | sed -n 's/^Block size: *//p')
		;;
	xfs)
		place=$(sed -n "s|^$real \([^ ]*\) .*|\1|p" /proc/mounts | head -n 1)
		if [ -n "$place" ]; then
			# What is on the disk is older than what is mounted.
			header=$(xfs_growfs -n "$(printf %b "$place")" 2>/dev/null | grep '^data ')
			block=$(printf '%s\n' "$header" | sed -n 's/.* bsize=\([0-9]*\) .*/\1/p')
			blocks=$(printf '%s\n' "$header" | sed -n 's/.* blocks=\([0-9]*\),.*/\1/p')
		else
			header=$(xfs_db -r -c 'sb 0' -c 'p dblocks blocksize' "$real" 2>/dev/null)
			blocks=$(printf '%s\n' "$header" | sed -n 's/^dblocks = //p')
			block=$(printf '%s\n' "$header" | sed -n 's/^blocksize = //p')
		fi
		;;
	btrfs)
		blocks=$(btrfs inspect-internal dump-super "$real" 2>/dev/null | sed -n 's/^dev_item.total_bytes[[:space:]]*//p')
		block=1
		;;
	*) return 0 ;;
	esac
	[ -z "$blocks" ] || [ -z "$block" ] || used=$((blocks * block))
}
"#,
            $script
        )
    };
}

pub(crate) use with_device;

const SCRIPT: &str = with_device!(
    r#"
dmp_device || { echo missing; exit 0; }
dmp_signature
kind=$(printf '%s\n' "$facts" | sed -n 's/^TYPE=//p')
dmp_sizes "$kind"
printf '%s\n' "signature=$signature" "type=$kind" "uuid=$uuid" "size=$size" "used=$used"
# What export writes is quoted as for a shell; this is not.
printf '%s\n' "label=$(blkid -p -o value -s LABEL -- "$real")"
exit 0
"#
);

/// The script for a device.
pub(crate) fn script(device: &str) -> Script {
    Script::new(SCRIPT).var("device", device)
}

/// What was found.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// There is no such device.
    Missing,
    /// There is nothing on it.
    Empty,
    /// Something is.
    There(Signature),
}

/// What is on a device.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Signature {
    /// All that is there, by kinds, and its UUID: `ext4 0b3c…`.
    pub(crate) whole: String,
    /// The filesystem's kind, or what else it is.
    pub(crate) kind: String,
    pub(crate) uuid: String,
    pub(crate) label: String,
    size: Option<u64>,
    used: Option<u64>,
}

impl Signature {
    /// Whether it takes up the device, but for what is less than a part in 64 or four MiB.
    pub(crate) fn is_filling(&self) -> bool {
        let (Some(size), Some(used)) = (self.size, self.used) else {
            return true;
        };
        size.saturating_sub(used) < (size / 64).max(4 << 20)
    }
}

/// Understands the script's output. `None` if it is not what the script writes.
pub(crate) fn parse(output: &Output) -> Option<Found> {
    if !output.is_success() {
        return None;
    }
    let text = output.text();
    if text.trim() == "missing" {
        return Some(Found::Missing);
    }
    let mut found = Signature::default();
    for (name, value) in text.lines().filter_map(|line| line.split_once('=')) {
        match name {
            "signature" => value.clone_into(&mut found.whole),
            "type" => value.clone_into(&mut found.kind),
            "uuid" => value.clone_into(&mut found.uuid),
            "label" => value.clone_into(&mut found.label),
            "size" => found.size = value.parse().ok(),
            "used" => found.used = value.parse().ok(),
            _ => {}
        }
    }
    if found.whole.is_empty() && found.kind.is_empty() {
        return Some(Found::Empty);
    }
    if found.kind.is_empty() {
        let kinds = found.whole.split(' ').next().unwrap_or_default();
        found.kind = kinds.to_owned();
    }
    Some(Found::There(found))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(stdout: &str) -> Option<Found> {
        parse(&Output {
            stdout: stdout.into(),
            ..Output::default()
        })
    }

    #[test]
    fn filesystems_tables_and_nothing_are_told_apart() {
        let Some(Found::There(ext4)) = read(
            "signature=ext4 1-2\ntype=ext4\nuuid=1-2\nsize=134217728\nused=67108864\nlabel=my data\n",
        ) else {
            panic!()
        };
        assert_eq!(
            (ext4.kind.as_str(), ext4.label.as_str()),
            ("ext4", "my data")
        );
        assert!(!ext4.is_filling());
        let Some(Found::There(table)) =
            read("signature=PMBR,gpt 3-4\ntype=\nuuid=3-4\nsize=1\nused=\nlabel=\n")
        else {
            panic!()
        };
        assert_eq!(table.kind, "PMBR,gpt");
        assert!(table.is_filling(), "nobody can tell");
        assert_eq!(
            read("signature=\ntype=\nuuid=\nsize=1\nused=\nlabel=\n"),
            Some(Found::Empty)
        );
        assert_eq!(read("missing\n"), Some(Found::Missing));
    }
}
