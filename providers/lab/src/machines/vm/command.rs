//! QEMU's command line for a machine: a function of what the machine is to be, and of the time that its clock shows. Paths in it are those of
//! the machine's folder, in which QEMU is started.
//!
//! Names of devices and their places are those that Proxmox VE gives them, as far as a system sees them: disks in `/dev/disk/by-id`,
//! network cards as `ens18` and on.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use time::OffsetDateTime;
use time::macros::format_description;

use super::super::bridges::Cable;
use super::spec::{Bus, Card, Content, Drive, Spec};
use super::{agent, disks, monitor};

/// Where network cards are on their bus: `net0` at this, and the others after it.
const FIRST_CARD: usize = 0x12;

/// How many have a place of their own there.
const CARDS: usize = 6;

/// Returns the words of QEMU's command line. The time is in seconds since 1970.
pub(super) fn of(spec: &Spec, now: i64) -> Vec<String> {
    let mut words = Words(Vec::new());
    words.add("-name", &spec.name);
    words.0.push("-nodefaults".into());
    words.0.push("-no-user-config".into());
    words.add("-display", "none");
    words.add("-vga", "std");
    words.add("-machine", &spec.board);
    accelerator(&mut words, spec);
    words.add("-smp", spec.cores.to_string());
    words.add("-m", format!("{}M", spec.memory >> 20));
    if !spec.uuid.is_empty() {
        words.add("-smbios", format!("type=1,uuid={}", spec.uuid));
    }
    words.add("-rtc", clock(spec, now));
    // It waits until its cables are in.
    words.0.push("-S".into());
    words.add(
        "-qmp",
        format!("unix:{},server=on,wait=off", monitor::SOCKET),
    );
    words.add("-chardev", "file,id=console,path=console.log,append=on");
    words.add("-serial", "chardev:console");
    if spec.has_agent {
        words.add(
            "-chardev",
            format!("socket,id=qga0,path={},server=on,wait=off", agent::SOCKET),
        );
        words.device("virtio-serial-pci,id=qga");
        words.device("virtserialport,chardev=qga0,name=org.qemu.guest_agent.0");
    }
    controllers(&mut words, spec);
    for drive in &spec.drives {
        add_drive(&mut words, drive, spec);
    }
    for (index, card) in spec.cards.iter().enumerate() {
        add_card(&mut words, index, card);
    }
    words.0
}

struct Words(Vec<String>);

impl Words {
    fn add(&mut self, option: &str, value: impl Into<String>) {
        self.0.extend([option.to_owned(), value.into()]);
    }

    fn device(&mut self, value: impl Into<String>) {
        self.add("-device", value);
    }
}

fn accelerator(words: &mut Words, spec: &Spec) {
    if !spec.has_kvm {
        words.add("-accel", "tcg,thread=multi");
        words.add("-cpu", "max");
        return;
    }
    words.add("-accel", "kvm");
    // By the host's own clock a system would never see one that is shifted.
    let own = if spec.ahead == 0 {
        "host"
    } else {
        "host,kvmclock=off"
    };
    words.add("-cpu", own);
}

/// Returns the setting of the machine's clock: the host's time, or one that is shifted and then goes on as the host's.
fn clock(spec: &Spec, now: i64) -> String {
    if spec.ahead == 0 {
        return "base=utc".into();
    }
    let form = format_description!("[year]-[month]-[day]T[hour]:[minute]:[second]");
    let shown = OffsetDateTime::from_unix_timestamp(now.saturating_add(spec.ahead)).ok();
    match shown.and_then(|shown| shown.format(form).ok()) {
        Some(shown) => format!("base={shown}"),
        None => "base=utc".into(),
    }
}

/// Adds what drives are on.
fn controllers(words: &mut Words, spec: &Spec) {
    let of = |bus: Bus| spec.drives.iter().filter(move |drive| drive.bus == bus);
    let scsi: BTreeSet<u32> = of(Bus::Scsi)
        .map(|drive| drive.number / scsi_drives(spec))
        .collect();
    for controller in scsi {
        words.device(format!("{},id=scsihw{controller}", spec.scsi));
    }
    if of(Bus::Sata).next().is_some() {
        words.device("ich9-ahci,id=ahci0");
    }
}

/// How many drives are on one SCSI controller.
fn scsi_drives(spec: &Spec) -> u32 {
    if spec.scsi.starts_with("lsi") { 7 } else { 256 }
}

/// Returns where a drive is on its SCSI controller. Old controllers have a target for each drive, others a unit of the one target.
fn scsi_place(number: u32, spec: &Spec) -> String {
    let (controller, unit) = (number / scsi_drives(spec), number % scsi_drives(spec));
    if spec.scsi.starts_with("lsi") || spec.scsi == "pvscsi" {
        return format!("bus=scsihw{controller}.0,scsi-id={unit}");
    }
    format!("bus=scsihw{controller}.0,channel=0,scsi-id=0,lun={unit}")
}

fn add_drive(words: &mut Words, drive: &Drive, spec: &Spec) {
    let (mut opened, kind) = match &drive.content {
        Content::Disk { disk, image, .. } => {
            let (driver, file) = match image {
                Some(_) => ("qcow2", disks::overlay_of(disk)),
                None => ("raw", super::super::disks::file_of(disk)),
            };
            // What a system gives back makes room on the host.
            let opened = json!({ "driver": driver, "discard": "unmap", "file": file_node(&file) });
            (opened, "hd")
        }
        Content::Disc(path) => {
            let file = path.display().to_string();
            let opened = json!({ "driver": "raw", "read-only": true, "file": file_node(&file) });
            (opened, "cd")
        }
    };
    let (slot, node) = (slot(drive), node_of(&slot(drive)));
    opened["node-name"] = json!(node);
    words.add("-blockdev", opened.to_string());
    let number = drive.number;
    let mut device = match drive.bus {
        Bus::Virtio => "virtio-blk-pci".to_owned(),
        Bus::Scsi => format!("scsi-{kind},{}", scsi_place(number, spec)),
        Bus::Sata => format!("ide-{kind},bus=ahci0.{number}"),
        Bus::Ide if spec.board == "q35" => format!("ide-{kind},bus=ide.{number}"),
        Bus::Ide => format!("ide-{kind},bus=ide.{},unit={}", number / 2, number % 2),
    };
    device.push_str(&format!(",drive={node},id={slot}"));
    match (&drive.serial, drive.bus) {
        (Some(serial), _) => device.push_str(&format!(",serial={serial}")),
        // The name by which `/dev/disk/by-id` has it.
        (None, Bus::Scsi) => device.push_str(&format!(",device_id={node}")),
        (None, _) => {}
    }
    if let Some(turn) = drive.turn {
        device.push_str(&format!(",bootindex={}", turn + 1));
    }
    words.device(device);
}

/// Returns what QEMU calls the content of a drive.
pub(super) fn node_of(slot: &str) -> String {
    format!("drive-{slot}")
}

fn file_node(file: &str) -> Value {
    json!({ "driver": "file", "filename": file })
}

/// Returns the setting that a drive is: `scsi0`.
fn slot(drive: &Drive) -> String {
    let bus = match drive.bus {
        Bus::Ide => "ide",
        Bus::Sata => "sata",
        Bus::Scsi => "scsi",
        Bus::Virtio => "virtio",
    };
    format!("{bus}{}", drive.number)
}

/// Adds a network card. The host's end of its cable is made by QEMU, and goes with it.
fn add_card(words: &mut Words, index: usize, card: &Card) {
    let Cable {
        interface, link, ..
    } = &card.cable;
    words.add(
        "-netdev",
        format!("tap,id=net{index},ifname={link},script=no,downscript=no"),
    );
    let mut device = format!("{},netdev=net{index},romfile=", card.device);
    if let Some(mac) = &interface.mac {
        device.push_str(&format!(",mac={mac}"));
    }
    if index < CARDS {
        device.push_str(&format!(",addr={:#x}", FIRST_CARD + index));
    }
    words.device(device);
}

#[cfg(test)]
mod tests {
    use super::super::super::interfaces::Interface;
    use super::super::spec::Image;
    use super::*;
    use crate::image::DiskFormat;

    fn spec() -> Spec {
        let disk = |bus, number, disk: &str, image| Drive {
            bus,
            number,
            serial: (number == 1).then(|| "data".to_owned()),
            turn: (number == 0).then_some(0),
            content: Content::Disk {
                disk: disk.into(),
                bytes: 1 << 30,
                image,
            },
        };
        let image = Image {
            path: "/srv/debian.qcow2".into(),
            format: DiskFormat::Qcow2,
        };
        Spec {
            name: "web".into(),
            uuid: "0b1c".into(),
            memory: 1 << 30,
            cores: 2,
            board: "pc".into(),
            scsi: "virtio-scsi-pci".into(),
            drives: vec![
                disk(Bus::Scsi, 0, "disk-0", Some(image)),
                disk(Bus::Scsi, 1, "disk-1", None),
                Drive {
                    bus: Bus::Ide,
                    number: 2,
                    serial: None,
                    turn: None,
                    content: Content::Disc("/lab/files/a, b.iso".into()),
                },
            ],
            cards: vec![Card {
                device: "virtio-net-pci".into(),
                cable: Cable {
                    interface: Interface {
                        name: "eth0".into(),
                        mac: Some("bc:24:11:00:00:01".into()),
                        ..Interface::default()
                    },
                    network: "vmbr0".into(),
                    link: "l0000-101i0".into(),
                },
            }],
            has_agent: true,
            has_kvm: false,
            ahead: 0,
        }
    }

    /// The values of an option, in order.
    fn values<'a>(words: &'a [String], option: &str) -> Vec<&'a str> {
        let pairs = words.windows(2).filter(|pair| pair[0] == option);
        pairs.map(|pair| pair[1].as_str()).collect()
    }

    #[test]
    fn a_machine_has_the_devices_of_its_guest() {
        let words = of(&spec(), 0);
        assert_eq!(
            values(&words, "-device"),
            [
                "virtio-serial-pci,id=qga",
                "virtserialport,chardev=qga0,name=org.qemu.guest_agent.0",
                "virtio-scsi-pci,id=scsihw0",
                "scsi-hd,bus=scsihw0.0,channel=0,scsi-id=0,lun=0,drive=drive-scsi0,id=scsi0,device_id=drive-scsi0,bootindex=1",
                "scsi-hd,bus=scsihw0.0,channel=0,scsi-id=0,lun=1,drive=drive-scsi1,id=scsi1,serial=data",
                "ide-cd,bus=ide.1,unit=0,drive=drive-ide2,id=ide2",
                "virtio-net-pci,netdev=net0,romfile=,mac=bc:24:11:00:00:01,addr=0x12",
            ]
        );
        let opened: Vec<Value> = values(&words, "-blockdev")
            .into_iter()
            .map(|text| serde_json::from_str(text).expect("JSON"))
            .collect();
        assert_eq!(
            opened,
            [
                json!({ "driver": "qcow2", "discard": "unmap", "node-name": "drive-scsi0", "file": file_node("disks/disk-0.qcow2") }),
                json!({ "driver": "raw", "discard": "unmap", "node-name": "drive-scsi1", "file": file_node("disks/disk-1.raw") }),
                json!({ "driver": "raw", "read-only": true, "node-name": "drive-ide2", "file": file_node("/lab/files/a, b.iso") }),
            ]
        );
        assert_eq!(
            values(&words, "-netdev"),
            ["tap,id=net0,ifname=l0000-101i0,script=no,downscript=no"]
        );
        assert_eq!(
            [
                "-name", "-machine", "-accel", "-cpu", "-smp", "-m", "-smbios"
            ]
            .map(|option| values(&words, option).join(" ")),
            [
                "web",
                "pc",
                "tcg,thread=multi",
                "max",
                "2",
                "1024M",
                "type=1,uuid=0b1c"
            ]
        );
        assert!(words.contains(&"-S".to_owned()));
    }

    #[test]
    fn a_shifted_clock_is_the_machines_own() {
        // 2026-12-01 06:00:00.
        let now = 1_796_104_800;
        let of = |ahead, has_kvm| {
            let words = of(
                &Spec {
                    ahead,
                    has_kvm,
                    ..spec()
                },
                now,
            );
            [values(&words, "-rtc"), values(&words, "-cpu")]
                .concat()
                .join(" ")
        };
        assert_eq!(of(0, true), "base=utc host");
        assert_eq!(of(3600, true), "base=2026-12-01T07:00:00 host,kvmclock=off");
        assert_eq!(of(-86_400, false), "base=2026-11-30T06:00:00 max");
    }

    #[test]
    fn old_controllers_have_a_target_for_each_of_seven_drives() {
        let mut old = Spec {
            scsi: "lsi53c895a".into(),
            board: "q35".into(),
            ..spec()
        };
        old.drives[1].number = 9;
        let words = of(&old, 0).join(" ");
        assert!(words.contains("lsi53c895a,id=scsihw1"), "{words}");
        assert!(
            words.contains("scsi-hd,bus=scsihw1.0,scsi-id=2,drive=drive-scsi9"),
            "{words}"
        );
        assert!(
            words.contains("ide-cd,bus=ide.2,drive=drive-ide2"),
            "{words}"
        );
    }
}
