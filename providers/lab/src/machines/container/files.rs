//! The files of a machine: its image with its own changes over it, its own devices, and what it sees of the kernel.
//!
//! They are mounted by the machine's first process, in the machine's folder, where that process still sees the host's files.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;
use std::process::{Command, Stdio};

use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sys::stat::{Mode, SFlag, mknod};
use nix::unistd::{chdir, pivot_root};

use super::super::disks::DISKS;
use super::super::root::{bound, file, filesystem, folder};
use super::cgroups::Groups;
use super::{Spec, disks, modules};

/// Devices that every machine has, where the host has them.
const NODES: [&str; 9] = [
    "null", "zero", "full", "random", "urandom", "tty", "kmsg", "fuse", "net/tun",
];

/// What of `kernel`, `vm` and `fs` below `/proc/sys` is a machine's own; all else there belongs to the one kernel.
const OWN_SETTINGS: [&str; 17] = [
    "hostname",
    "domainname",
    "random",
    "shmall",
    "shmmax",
    "shmmni",
    "shm_rmid_forced",
    "shm_next_id",
    "msgmax",
    "msgmnb",
    "msgmni",
    "msg_next_id",
    "sem",
    "sem_next_id",
    "ns_last_pid",
    "pid_max",
    "mqueue",
];

const NONE: Option<&str> = None;

/// Makes what has to be there before the machine's first start, in its folder: the part of its image that is not under an overlay.
///
/// Layers of containers and volumes of pods are overlays themselves, which can't lie on one: so `/var` is a folder of its own.
pub(super) fn prepare(spec: &Spec) -> Result<(), String> {
    let own = format!("{DISKS}/{}", spec.disk);
    for (name, mode) in [("upper", 0o755), ("work", 0o755)] {
        folder(&format!("{own}/{name}"), mode)?;
    }
    for name in ["root", "lower", "settings"] {
        folder(name, 0o755)?;
    }
    let (done, begun) = (format!("{own}/var"), format!("{own}/var.new"));
    if Path::new(&done).is_dir() {
        return Ok(());
    }
    let source = spec.lower.join("var");
    if !source.is_dir() {
        return folder(&done, 0o755);
    }
    if Path::new(&begun).exists() {
        fs::remove_dir_all(&begun).map_err(|error| format!("{begun}: {error}"))?;
    }
    let copied = Command::new("cp")
        .args(["-a", "--reflink=auto", "--"])
        .arg(&source)
        .arg(&begun)
        .stdin(Stdio::null())
        .output()
        .map_err(|error| format!("cp: {error}"))?;
    if !copied.status.success() {
        return Err(format!(
            "`{}` can't be copied: {}",
            source.display(),
            String::from_utf8_lossy(&copied.stderr).trim()
        ));
    }
    fs::rename(&begun, &done).map_err(|error| format!("{done}: {error}"))
}

/// Keeps what is mounted from here on in this namespace.
pub(super) fn keep_private() -> Result<(), String> {
    mount(NONE, "/", NONE, MsFlags::MS_REC | MsFlags::MS_PRIVATE, NONE)
        .map_err(|error| format!("private mounts: {}", error.desc()))
}

/// Mounts everything below `root` of the current folder.
pub(super) fn make(spec: &Spec, groups: &Groups, devices: &[String]) -> Result<(), String> {
    keep_private()?;
    system(spec)?;
    dev(spec, devices)?;
    proc(spec)?;
    let sealed = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC | MsFlags::MS_RDONLY;
    folder("root/sys", 0o555)?;
    filesystem("sysfs", "root/sys", None, sealed)?;
    groups.mount_below("root")?;
    folder("root/run", 0o755)?;
    let usual = MsFlags::MS_NOSUID | MsFlags::MS_NODEV;
    filesystem("tmpfs", "root/run", Some("mode=755"), usual)?;
    modules::show("root")
}

fn system(spec: &Spec) -> Result<(), String> {
    let lower = spec.lower.display().to_string();
    bound(&lower, "lower", MsFlags::MS_REC)?;
    let own = format!("{DISKS}/{}", spec.disk);
    let options =
        format!("lowerdir=lower,upperdir={own}/upper,workdir={own}/work,index=off,metacopy=off");
    mount(
        Some("overlay"),
        "root",
        Some("overlay"),
        MsFlags::empty(),
        Some(options.as_str()),
    )
    .map_err(|error| {
        format!(
            "an overlay can't be mounted in the lab's folder, which has to be on a file system of the host: {}",
            error.desc()
        )
    })?;
    folder("root/var", 0o755)?;
    bound(&format!("{own}/var"), "root/var", MsFlags::empty())
}

fn dev(spec: &Spec, devices: &[String]) -> Result<(), String> {
    folder("root/dev", 0o755)?;
    let options = Some("mode=755,size=4m");
    filesystem("tmpfs", "root/dev", options, MsFlags::MS_NOSUID)?;
    for (name, mode) in [
        ("pts", 0o755),
        ("mqueue", 0o755),
        ("net", 0o755),
        ("shm", 0o1777),
    ] {
        folder(&format!("root/dev/{name}"), mode)?;
    }
    for name in NODES {
        let (host, own) = (format!("/dev/{name}"), format!("root/dev/{name}"));
        let Ok(about) = fs::metadata(&host) else {
            continue;
        };
        let mode = Mode::from_bits_truncate(about.mode() & 0o777);
        mknod(own.as_str(), SFlag::S_IFCHR, mode, about.rdev())
            .map_err(|error| format!("{own}: {}", error.desc()))?;
    }
    filesystem(
        "devpts",
        "root/dev/pts",
        Some("newinstance,ptmxmode=0666,mode=620,gid=5"),
        MsFlags::MS_NOSUID | MsFlags::MS_NOEXEC,
    )?;
    let links = [
        ("pts/ptmx", "ptmx"),
        ("/proc/self/fd", "fd"),
        ("fd/0", "stdin"),
        ("fd/1", "stdout"),
        ("fd/2", "stderr"),
    ];
    for (target, name) in links {
        symlink(target, format!("root/dev/{name}")).map_err(|error| format!("{name}: {error}"))?;
    }
    disks::nodes(&spec.disks, devices, "root/dev")
}

/// Everything below `net` is the machine's own. Of the rest of the kernel's settings it has a copy, which it can change and read
/// back, without effect on anybody.
fn proc(spec: &Spec) -> Result<(), String> {
    folder("root/proc", 0o555)?;
    let usual = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
    filesystem("proc", "root/proc", None, usual)?;
    for part in ["kernel", "vm", "fs"] {
        let real = format!("root/proc/sys/{part}");
        filesystem("tmpfs", "settings", Some("mode=555,size=8m"), usual)?;
        copy(Path::new(&real), Path::new("settings"));
        for name in OWN_SETTINGS {
            let (from, to) = (format!("{real}/{name}"), format!("settings/{name}"));
            if Path::new(&from).exists() && Path::new(&to).exists() {
                bound(&from, &to, MsFlags::empty())?;
            }
        }
        mount(
            Some("settings"),
            real.as_str(),
            NONE,
            MsFlags::MS_MOVE,
            NONE,
        )
        .map_err(|error| format!("{real}: {}", error.desc()))?;
    }
    // By this number programs, and the journal, tell one boot from the next.
    file("boot_id", format!("{}\n", spec.boot_id), 0o444)?;
    let own = "root/proc/sys/kernel/random/boot_id";
    bound("boot_id", own, MsFlags::empty())?;
    let sealed = MsFlags::MS_BIND | MsFlags::MS_REMOUNT | MsFlags::MS_RDONLY;
    mount(NONE, own, NONE, sealed, NONE).map_err(|error| format!("{own}: {}", error.desc()))?;
    for name in ["sysrq-trigger", "kcore"] {
        let own = format!("root/proc/{name}");
        if Path::new(&own).exists() {
            bound("root/dev/null", &own, MsFlags::empty())?;
        }
    }
    Ok(())
}

/// Copies settings; what can't be read can be written, as the real one.
fn copy(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).into_iter().flatten().flatten() {
        let target = to.join(entry.file_name());
        let Ok(about) = entry.metadata() else {
            continue;
        };
        if about.is_dir() {
            // What can't be copied is missing, as on a kernel without it.
            if fs::create_dir(&target).is_ok() {
                copy(&entry.path(), &target);
            }
            continue;
        }
        let content = fs::read(entry.path()).unwrap_or_default();
        if fs::write(&target, content).is_ok() {
            let _ = fs::set_permissions(&target, fs::Permissions::from_mode(about.mode() & 0o777));
        }
    }
}

/// Turns to the machine's root, and away from the host's files.
pub(super) fn turn() -> Result<(), String> {
    chdir("root").map_err(|error| format!("chdir: {}", error.desc()))?;
    pivot_root(".", ".").map_err(|error| format!("pivot_root: {}", error.desc()))?;
    umount2(".", MntFlags::MNT_DETACH).map_err(|error| format!("umount: {}", error.desc()))?;
    chdir("/").map_err(|error| format!("chdir: {}", error.desc()))?;
    // As a system that was booted has it, and a kubelet needs it.
    mount(NONE, "/", NONE, MsFlags::MS_REC | MsFlags::MS_SHARED, NONE)
        .map_err(|error| format!("shared mounts: {}", error.desc()))
}
