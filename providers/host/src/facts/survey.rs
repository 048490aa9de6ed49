//! What a machine has and how it is just now: disks, addresses, mounts, virtualisation, time. Much of it changes by itself.

use dmp_sdk::Script;

/// Reads it in sections, each begun by `== NAME`. What a machine has no tool for is left out.
const SCRIPT: &str = r#"
echo '== disks'
for disk in /sys/block/*; do
	[ -e "$disk/device" ] || continue
	name=${disk##*/}
	case $name in loop* | ram* | zram* | sr* | fd*) continue ;; esac
	model=
	[ ! -r "$disk/device/model" ] || read -r model <"$disk/device/model"
	echo "$name $(cat "$disk/size") $(cat "$disk/queue/rotational") $model"
done
echo '== addresses'
ip -o address show scope global 2>/dev/null
echo '== mounts'
df -P -k -T -l 2>/dev/null
echo '== virtualization'
if command -v systemd-detect-virt >/dev/null 2>&1; then systemd-detect-virt; fi
echo '== time'
date +%s
echo '== zone'
if [ -L /etc/localtime ]; then readlink /etc/localtime; elif [ -r /etc/timezone ]; then cat /etc/timezone; fi
echo '== synchronized'
if command -v timedatectl >/dev/null 2>&1; then timedatectl show -p NTPSynchronized --value 2>/dev/null; fi
echo '== uptime'
cat /proc/uptime
echo '== memory'
sed -n 's/^MemAvailable: *\([0-9]*\) kB$/\1/p' /proc/meminfo
echo '== reboot'
if [ -e /run/reboot-required ] || [ -e /var/run/reboot-required ]; then echo yes; fi
"#;

/// The script.
pub(crate) fn script() -> Script {
    Script::new(SCRIPT)
}

/// A disk.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Disk {
    pub(crate) name: String,
    pub(crate) bytes: i64,
    pub(crate) is_rotational: bool,
    pub(crate) model: Option<String>,
}

/// An address of the machine.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct HostAddress {
    pub(crate) interface: String,
    pub(crate) address: String,
    pub(crate) prefix: i64,
}

/// A mounted file system of the machine's own.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Mount {
    pub(crate) path: String,
    pub(crate) device: String,
    pub(crate) kind: String,
    pub(crate) bytes: i64,
    pub(crate) free_bytes: i64,
}

/// What was found.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Survey {
    pub(crate) disks: Vec<Disk>,
    pub(crate) addresses: Vec<HostAddress>,
    pub(crate) mounts: Vec<Mount>,
    /// As `systemd-detect-virt` names it: `none`, `kvm`, `lxc`.
    pub(crate) virtualization: Option<String>,
    /// Seconds since 1970.
    pub(crate) time: i64,
    pub(crate) zone: Option<String>,
    pub(crate) is_synchronized: Option<bool>,
    pub(crate) uptime_seconds: i64,
    pub(crate) memory_available_mib: i64,
    pub(crate) needs_reboot: bool,
}

/// Understands the script's output.
pub(crate) fn parse(output: &str) -> Survey {
    let mut survey = Survey::default();
    let mut section = "";
    for line in output.lines() {
        if let Some(name) = line.strip_prefix("== ") {
            section = name;
            continue;
        }
        match section {
            "disks" => survey.disks.extend(disk(line)),
            "addresses" => survey.addresses.extend(address(line)),
            "mounts" => survey.mounts.extend(mount(line)),
            "virtualization" => survey.virtualization = Some(line.to_owned()),
            "time" => survey.time = line.parse().unwrap_or_default(),
            "zone" => survey.zone = Some(zone(line)),
            "synchronized" => survey.is_synchronized = Some(line == "yes"),
            "uptime" => survey.uptime_seconds = whole(line),
            "memory" => survey.memory_available_mib = whole(line) / 1024,
            "reboot" => survey.needs_reboot = line == "yes",
            _ => {}
        }
    }
    survey
}

/// The whole part of the first number in a line.
fn whole(line: &str) -> i64 {
    let digits = line.split(|c: char| !c.is_ascii_digit()).next();
    digits.unwrap_or_default().parse().unwrap_or_default()
}

/// `sda 41943040 1 QEMU HARDDISK`, in sectors of 512 bytes.
fn disk(line: &str) -> Option<Disk> {
    let mut words = line.splitn(4, ' ');
    let name = words.next()?.to_owned();
    let sectors: i64 = words.next()?.parse().ok()?;
    let is_rotational = words.next()? == "1";
    let model = words.next().map(str::trim).filter(|text| !text.is_empty());
    Some(Disk {
        name,
        bytes: sectors.checked_mul(512)?,
        is_rotational,
        model: model.map(ToOwned::to_owned),
    })
}

/// `2: eth0    inet 10.0.0.5/24 brd …`, as `ip -o address` writes it.
fn address(line: &str) -> Option<HostAddress> {
    let mut words = line.split_ascii_whitespace().skip(1);
    let interface = words.next()?.trim_end_matches(':');
    let family = words.next()?;
    if !["inet", "inet6"].contains(&family) {
        return None;
    }
    let (address, prefix) = words.next()?.split_once('/')?;
    Some(HostAddress {
        interface: interface.to_owned(),
        address: address.to_owned(),
        prefix: prefix.parse().ok()?,
    })
}

/// A line of `df -P -k -T`; the path comes last and may have spaces. What lies in memory is left out.
fn mount(line: &str) -> Option<Mount> {
    let mut rest = line;
    let mut word = || {
        let trimmed = rest.trim_start();
        let end = trimmed.find(' ')?;
        let (word, behind) = trimmed.split_at(end);
        rest = behind;
        Some(word)
    };
    let (device, kind, size) = (word()?, word()?, word()?);
    let (_used, free, _share) = (word()?, word()?, word()?);
    let size: i64 = size.parse().ok()?;
    if ["tmpfs", "devtmpfs", "overlay", "squashfs", "efivarfs"].contains(&kind) {
        return None;
    }
    Some(Mount {
        path: rest.trim_start().to_owned(),
        device: device.to_owned(),
        kind: kind.to_owned(),
        bytes: size.checked_mul(1024)?,
        free_bytes: free.parse::<i64>().ok()?.checked_mul(1024)?,
    })
}

/// `/usr/share/zoneinfo/Europe/Berlin` and `Europe/Berlin` are one.
fn zone(line: &str) -> String {
    let name = line.split_once("zoneinfo/").map_or(line, |(_, name)| name);
    name.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_with_all_tools_is_understood() {
        let survey = parse(
            "== disks\nvda 4194304 1 \nsda 8388608 0 QEMU HARDDISK\n== addresses\n\
             2: eth0    inet 10.78.0.11/24 brd 10.78.0.255 scope global eth0\\       valid_lft forever\n\
             2: eth0    inet6 2001:db8::7/64 scope global \\       valid_lft forever\n== mounts\n\
             Filesystem     Type     1024-blocks     Used Available Capacity Mounted on\n\
             /dev/vda1      ext4        10218772  2048000   7700000      22% /\n\
             tmpfs          tmpfs          98304      100     98204       1% /run\n\
             /dev/sda       xfs          4186112    62368   4123744       2% /srv/my data\n\
             == virtualization\nkvm\n== time\n1764516000\n== zone\n/usr/share/zoneinfo/Europe/Berlin\n\
             == synchronized\nno\n== uptime\n123.45 99.00\n== memory\n2048000\n== reboot\nyes\n",
        );
        assert_eq!(
            survey.disks[1],
            Disk {
                name: "sda".into(),
                bytes: 4 << 30,
                is_rotational: false,
                model: Some("QEMU HARDDISK".into())
            }
        );
        assert_eq!(survey.disks[0].model, None);
        assert_eq!(survey.addresses[1].address, "2001:db8::7");
        assert_eq!(survey.mounts.len(), 2);
        assert_eq!(survey.mounts[1].path, "/srv/my data");
        assert_eq!(survey.mounts[0].free_bytes, 7_700_000 * 1024);
        assert_eq!(survey.virtualization.as_deref(), Some("kvm"));
        assert_eq!(survey.zone.as_deref(), Some("Europe/Berlin"));
        assert_eq!(survey.is_synchronized, Some(false));
        assert_eq!(
            (survey.uptime_seconds, survey.memory_available_mib),
            (123, 2000)
        );
        assert!(survey.needs_reboot);
    }

    #[test]
    fn what_a_machine_has_no_tool_for_is_not_known() {
        let survey = parse("== disks\n== addresses\n== mounts\n== time\n5\n== uptime\n7.1 1\n");
        assert_eq!((survey.time, survey.uptime_seconds), (5, 7));
        assert_eq!(
            (survey.virtualization, survey.is_synchronized),
            (None, None)
        );
    }
}
