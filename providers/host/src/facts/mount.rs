//! What is mounted at a place, and what `/etc/fstab` says of it.

use dmp_sdk::{Output, Script};

/// Tells lines of both tables that name the place, and what the wanted device is.
const SCRIPT: &str = r#"
grep -F -e " $point " /proc/self/mountinfo | sed 's/^/live /'
if [ -f /etc/fstab ]; then grep -F -e "$point" /etc/fstab | sed 's/^/fstab /'; fi
real=
case $device in
UUID=*) real=$(readlink -f "/dev/disk/by-uuid/${device#*=}") ;;
LABEL=*) real=$(readlink -f "/dev/disk/by-label/${device#*=}") ;;
/*) real=$(readlink -f -- "$device") ;;
esac
case $device in
*=*) if [ ! -e "$real" ] && command -v blkid >/dev/null 2>&1; then real=$(blkid -o device -t "$device" 2>/dev/null | head -n 1); fi ;;
esac
printf 'device %s\n' "$real"
case $device in
/*)
	there=$(stat -L -c %d:%i -- "$device" 2>/dev/null)
	[ -z "$there" ] || [ "$there" != "$(stat -L -c %d:%i -- "$path" 2>/dev/null)" ] || echo 'bound yes'
	# A loop device stands for the file that it was made of.
	if [ -f "$device" ]; then
		for backing in /sys/block/loop*/loop/backing_file; do
			[ ! -f "$backing" ] || [ "$(cat "$backing")" != "$real" ] || { loop=${backing#/sys/block/}; echo "device /dev/${loop%%/*}"; }
		done
	fi
	;;
esac
exit 0
"#;

/// The script for a place and the device wanted there.
pub(crate) fn script(path: &str, device: &str) -> Script {
    Script::new(SCRIPT)
        .var("path", path)
        .var("point", escaped(path))
        .var("device", device)
}

/// A path as both tables write it.
pub(crate) fn escaped(path: &str) -> String {
    let mut text = String::new();
    for c in path.chars() {
        match c {
            ' ' => text.push_str("\\040"),
            '\t' => text.push_str("\\011"),
            '\n' => text.push_str("\\012"),
            '\\' => text.push_str("\\134"),
            c => text.push(c),
        }
    }
    text
}

/// What was found.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Mounts {
    /// What is mounted there, on top.
    pub(crate) live: Option<Live>,
    /// The line of `/etc/fstab`.
    pub(crate) fixed: Option<Fixed>,
    /// What the wanted device is by its own name; a file has its loop devices beside it.
    devices: Vec<String>,
    /// Whether the wanted device and the place are one and the same directory.
    is_bound: bool,
}

/// Something that is mounted.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Live {
    pub(crate) kind: String,
    pub(crate) source: String,
    /// Options of this place.
    options: String,
    /// Options of the filesystem, whatever the place.
    common: String,
}

/// A line of `/etc/fstab`.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Fixed {
    /// As it is written there.
    pub(crate) line: String,
    pub(crate) device: String,
    pub(crate) kind: String,
    pub(crate) options: String,
}

impl Mounts {
    /// Whether what is mounted there is the device that is wanted.
    pub(crate) fn is_of(&self, device: &str) -> bool {
        let Some(live) = &self.live else { return false };
        self.is_bound || live.source == escaped(device) || self.devices.contains(&live.source)
    }
}

impl Live {
    /// Whether it is mounted read-only.
    pub(crate) fn is_read_only(&self) -> bool {
        has(&self.options, "ro")
    }

    /// All options, as they are given to mount the same again.
    pub(crate) fn all_options(&self) -> String {
        let common = self
            .common
            .split(',')
            .filter(|one| !matches!(*one, "ro" | "rw"));
        let all: Vec<&str> = self.options.split(',').chain(common).collect();
        all.join(",")
    }
}

/// Whether an option is among those of a line.
pub(crate) fn has(options: &str, option: &str) -> bool {
    options.split(',').any(|one| one == option)
}

/// Understands the script's output. `None` if it failed.
pub(crate) fn parse(output: &Output, path: &str) -> Option<Mounts> {
    if !output.is_success() {
        return None;
    }
    let point = escaped(path);
    let mut found = Mounts::default();
    for line in output.text().lines() {
        let (kind, rest) = line.split_once(' ').unwrap_or((line, ""));
        let words: Vec<&str> = rest.split_whitespace().collect();
        match kind {
            "live" => found.live = live(&words, &point).or(found.live),
            "fstab" => found.fixed = fixed(rest, &words, &point).or(found.fixed),
            "device" if !rest.is_empty() => found.devices.push(rest.to_owned()),
            "bound" => found.is_bound = true,
            _ => {}
        }
    }
    Some(found)
}

/// A line of `/proc/self/mountinfo`, if it is about this place.
fn live(words: &[&str], point: &str) -> Option<Live> {
    let end = words.iter().position(|word| *word == "-")?;
    let [_, _, _, _, at, options, ..] = words[..end] else {
        return None;
    };
    let [kind, source, common, ..] = words[end + 1..] else {
        return None;
    };
    (at == point).then(|| Live {
        kind: kind.to_owned(),
        source: source.to_owned(),
        options: options.to_owned(),
        common: common.to_owned(),
    })
}

fn fixed(line: &str, words: &[&str], point: &str) -> Option<Fixed> {
    let [device, at, kind, ..] = words[..] else {
        return None;
    };
    (at == point && !device.starts_with('#')).then(|| Fixed {
        line: line.to_owned(),
        device: device.to_owned(),
        kind: kind.to_owned(),
        options: words.get(3).unwrap_or(&"defaults").to_string(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(stdout: &str, path: &str) -> Mounts {
        let output = Output {
            stdout: stdout.into(),
            ..Output::default()
        };
        parse(&output, path).expect("parses")
    }

    #[test]
    fn the_topmost_mount_of_just_this_place_is_found() {
        let found = read(
            "live 60 28 8:1 / /srv rw - ext4 /dev/sda1 rw\n\
             live 61 60 8:17 / /srv ro,noatime shared:1 - xfs /dev/sdb1 rw,logbufs=8\n\
             live 62 60 8:33 / /srv/data rw - ext4 /dev/sdc1 rw\n\
             fstab #/dev/sdx /srv ext4\nfstab UUID=1-2\t/srv   xfs ro,noatime 0 2\nfstab /dev/y /srv/data ext4\n\
             device /dev/sdb1\n",
            "/srv",
        );
        let live = found.live.as_ref().expect("is mounted");
        assert_eq!((live.kind.as_str(), live.is_read_only()), ("xfs", true));
        assert_eq!(live.all_options(), "ro,noatime,logbufs=8");
        assert!(found.is_of("UUID=1-2") && found.is_of("/dev/sdb1"));
        let fixed = found.fixed.expect("is there");
        assert_eq!(fixed.line, "UUID=1-2\t/srv   xfs ro,noatime 0 2");
        assert_eq!(
            (fixed.device.as_str(), fixed.options.as_str()),
            ("UUID=1-2", "ro,noatime")
        );
    }

    #[test]
    fn bind_mounts_and_spaces_are_understood() {
        let found = read(
            "live 61 60 8:17 /x /a\\040b rw - ext4 /dev/sda1 rw\ndevice /x\nbound yes\n",
            "/a b",
        );
        assert!(found.is_of("/x") && found.fixed.is_none());
        assert_eq!(read("device \n", "/a b"), Mounts::default());
    }
}
