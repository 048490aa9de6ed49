//! The root of a machine: system programs of the host, read-only, and everything else of its own.
//!
//! It is made by the machine's first process, which sees the host's files until it turns its back on them.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::unistd::{chdir, pivot_root};
use serde::{Deserialize, Serialize};

/// Where commands are looked for in a machine: the stand-ins come first.
pub(super) const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Where a machine has this very program, which stands in for services there.
pub(super) const PROGRAM: &str = "/usr/local/lib/lab/dmp";

/// What a machine writes to go down.
pub(super) const POWER: &str = "/run/lab/power";

/// The folder of a machine: its root, what is over `/usr/local`, and what it is to be.
const SPEC: &str = "spec.json";

/// What a machine is to be.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Spec {
    pub hostname: String,
    pub fqdn: String,
    pub instance: String,
    pub boot_id: String,
    /// Where it is reached: what it was told stays in it, whoever told it.
    #[serde(default)]
    pub addresses: Vec<(std::net::Ipv4Addr, u8)>,
    /// Whether there are user ids beside the superuser's.
    pub has_users: bool,
    pub people: Vec<Person>,
    /// Host keys by file name.
    pub host_keys: BTreeMap<String, String>,
    pub files: Vec<WrittenFile>,
    /// Run at the first boot, in this order.
    pub commands: Vec<String>,
    /// Addresses and names of the lab's machines.
    pub hosts: Vec<(String, String)>,
    /// What of the user data is not carried out.
    pub ignored: Vec<String>,
}

/// A user with keys.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Person {
    pub name: String,
    pub keys: Vec<String>,
    pub shell: Option<String>,
    pub may_sudo: bool,
}

/// A file of the user data.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct WrittenFile {
    pub path: String,
    pub content: Vec<u8>,
    pub mode: u32,
}

/// Commands that stand for those of a system that is booted, by name.
const STAND_INS: [(&str, &str); 9] = [
    ("systemctl", include_str!("stand_ins/systemctl.sh")),
    ("apt-get", include_str!("stand_ins/apt-get.sh")),
    ("dpkg-query", include_str!("stand_ins/dpkg-query.sh")),
    ("useradd", include_str!("stand_ins/useradd.sh")),
    ("reboot", include_str!("stand_ins/reboot.sh")),
    ("hostname", include_str!("stand_ins/hostname.sh")),
    ("sysctl", include_str!("stand_ins/sysctl.sh")),
    ("mount", include_str!("stand_ins/mount.sh")),
    ("sudo", include_str!("stand_ins/sudo.sh")),
];

/// Names under which a stand-in is called as well.
const ALSO: [(&str, &str); 8] = [
    ("apt", "apt-get"),
    ("dpkg", "dpkg-query"),
    ("userdel", "useradd"),
    ("groupadd", "useradd"),
    ("poweroff", "reboot"),
    ("shutdown", "reboot"),
    ("hostnamectl", "hostname"),
    ("umount", "mount"),
];

/// Files of the host that mean nothing secret and are taken over as they are.
const COPIED: [&str; 6] = [
    "etc/ld.so.cache",
    "etc/ld.so.conf",
    "etc/debian_version",
    "etc/services",
    "etc/protocols",
    "etc/mime.types",
];

/// Folders of the host that mean nothing secret and are shown read-only.
const SHOWN: [&str; 2] = ["etc/alternatives", "etc/ssl/certs"];

/// Folders that are there in every machine, with their modes.
const FOLDERS: [(&str, u32); 28] = [
    ("etc", 0o755),
    ("etc/ssh", 0o755),
    ("etc/sudoers.d", 0o750),
    ("etc/sysctl.d", 0o755),
    ("etc/apt", 0o755),
    ("etc/systemd", 0o755),
    ("etc/systemd/system", 0o755),
    ("root", 0o700),
    ("home", 0o755),
    ("var", 0o755),
    ("var/lib", 0o755),
    ("var/lib/lab", 0o755),
    ("var/lib/cloud", 0o755),
    ("var/lib/cloud/instance", 0o755),
    ("var/log", 0o755),
    ("var/tmp", 0o1777),
    ("var/cache", 0o755),
    ("tmp", 0o1777),
    ("run", 0o755),
    ("run/lab", 0o755),
    ("run/lock", 0o1777),
    ("srv", 0o755),
    ("opt", 0o755),
    ("mnt", 0o755),
    ("proc", 0o555),
    ("dev", 0o755),
    ("usr", 0o755),
    ("etc/ssl", 0o755),
];

const NONE: Option<&str> = None;

/// Returns the machine's name, which it may have been given since its first boot.
pub(super) fn hostname(spec: &Spec) -> String {
    let own = fs::read_to_string("/etc/hostname").unwrap_or_default();
    let own = own.trim();
    if own.is_empty() {
        spec.hostname.clone()
    } else {
        own.to_owned()
    }
}

impl Spec {
    /// Reads what the machine in the current folder is to be.
    pub(super) fn read() -> Result<Spec, String> {
        let text = fs::read_to_string(SPEC).map_err(|error| format!("{SPEC}: {error}"))?;
        serde_json::from_str(&text).map_err(|error| format!("{SPEC}: {error}"))
    }

    /// Reads what the machine in a folder was to be the last time, if there was one.
    pub(super) fn of_before(folder: &Path) -> Option<Spec> {
        let text = fs::read_to_string(folder.join(SPEC)).ok()?;
        serde_json::from_str(&text).ok()
    }

    /// Writes what a machine is to be into its folder.
    pub(super) fn write(&self, folder: &Path) -> Result<(), crate::Trouble> {
        let text = serde_json::to_vec(self).unwrap_or_default();
        crate::folder::write_private(&folder.join(SPEC), &text)
    }
}

pub(super) fn bound(source: &str, target: &str, flags: MsFlags) -> Result<(), String> {
    mount(Some(source), target, NONE, MsFlags::MS_BIND | flags, NONE)
        .map_err(|error| format!("{target} can't be shown: {}", error.desc()))
}

/// Shows a folder of the host, so that nothing in it can be changed.
fn shown(source: &str, target: &str) -> Result<(), String> {
    bound(source, target, MsFlags::MS_REC)?;
    // What is mounted below is shown too, and is made read-only as well.
    let mounts = fs::read_to_string("/proc/self/mountinfo")
        .map_err(|error| format!("mountinfo: {error}"))?;
    let here = std::env::current_dir().map_err(|error| error.to_string())?;
    let top = here.join(target).display().to_string();
    for line in mounts.lines() {
        let mut fields = line.split(' ');
        let (Some(point), Some(options)) = (fields.nth(4), fields.next()) else {
            continue;
        };
        let point = point.replace("\\040", " ");
        if point != top && !point.starts_with(&format!("{top}/")) {
            continue;
        }
        // The folders above may be closed to this user, so the way goes from here.
        let Some(point) = Path::new(&point)
            .strip_prefix(&here)
            .ok()
            .and_then(Path::to_str)
        else {
            continue;
        };
        // Flags that the host has set must stay, or the kernel refuses.
        let kept = options
            .split(',')
            .fold(MsFlags::empty(), |flags, option| match option {
                "noexec" => flags | MsFlags::MS_NOEXEC,
                "noatime" => flags | MsFlags::MS_NOATIME,
                "nodiratime" => flags | MsFlags::MS_NODIRATIME,
                "relatime" => flags | MsFlags::MS_RELATIME,
                _ => flags,
            });
        let flags = MsFlags::MS_BIND
            | MsFlags::MS_REMOUNT
            | MsFlags::MS_RDONLY
            | MsFlags::MS_NOSUID
            | MsFlags::MS_NODEV
            | kept;
        mount(NONE, point, NONE, flags, NONE)
            .map_err(|error| format!("{point} can't be made read-only: {}", error.desc()))?;
    }
    Ok(())
}

pub(super) fn filesystem(
    kind: &str,
    target: &str,
    options: Option<&str>,
    flags: MsFlags,
) -> Result<(), String> {
    mount(Some(kind), target, Some(kind), flags, options)
        .map_err(|error| format!("{kind} can't be mounted: {}", error.desc()))
}

pub(super) fn folder(path: &str, mode: u32) -> Result<(), String> {
    if !Path::new(path).is_dir() {
        fs::create_dir_all(path).map_err(|error| format!("{path}: {error}"))?;
        fs::set_permissions(path, fs::Permissions::from_mode(mode))
            .map_err(|error| format!("{path}: {error}"))?;
    }
    Ok(())
}

pub(super) fn file(path: &str, content: impl AsRef<[u8]>, mode: u32) -> Result<(), String> {
    fs::write(path, content).map_err(|error| format!("{path}: {error}"))?;
    fs::set_permissions(path, fs::Permissions::from_mode(mode))
        .map_err(|error| format!("{path}: {error}"))
}

/// Makes the root from the machine's folder, which is the current one, and turns to it.
pub(super) fn make(spec: &Spec) -> Result<(), String> {
    mount(NONE, "/", NONE, MsFlags::MS_REC | MsFlags::MS_PRIVATE, NONE)
        .map_err(|error| format!("private mounts: {}", error.desc()))?;
    folder("root", 0o755)?;
    folder("local", 0o755)?;
    for (path, mode) in FOLDERS {
        folder(&format!("root/{path}"), mode)?;
    }
    bound("root", "root", MsFlags::MS_REC)?;
    shown("/usr", "root/usr")?;
    if Path::new("root/usr/local").is_dir() {
        bound("local", "root/usr/local", MsFlags::empty())?;
    }
    // The services that stand in for others are in this very program.
    if Path::new("root/usr/local").is_dir() {
        folder("root/usr/local/lib", 0o755)?;
        folder("root/usr/local/lib/lab", 0o755)?;
        let own = format!("root{PROGRAM}");
        let own = own.as_str();
        if !Path::new(own).exists() {
            file(own, "", 0o755)?;
        }
        // By its path: what `/proc/self/exe` leads to belongs to the mounts of the host.
        let program = std::env::current_exe().map_err(|error| format!("own program: {error}"))?;
        bound(&program.display().to_string(), own, MsFlags::empty())?;
        let flags =
            MsFlags::MS_BIND | MsFlags::MS_REMOUNT | MsFlags::MS_RDONLY | MsFlags::MS_NOSUID;
        mount(NONE, own, NONE, flags, NONE)
            .map_err(|error| format!("{own} can't be made read-only: {}", error.desc()))?;
    }
    for name in ["bin", "sbin", "lib", "lib32", "lib64", "libx32"] {
        let (host, own) = (format!("/{name}"), format!("root/{name}"));
        match fs::read_link(&host) {
            Ok(target) if !Path::new(&own).is_symlink() => {
                symlink(target, &own).map_err(|error| format!("{own}: {error}"))?;
            }
            Ok(_) => {}
            Err(_) if Path::new(&host).is_dir() => {
                folder(&own, 0o755)?;
                shown(&host, &own)?;
            }
            Err(_) => {}
        }
    }
    for path in SHOWN {
        if Path::new("/").join(path).is_dir() {
            folder(&format!("root/{path}"), 0o755)?;
            shown(&format!("/{path}"), &format!("root/{path}"))?;
        }
    }
    for path in COPIED {
        if let Ok(content) = fs::read(Path::new("/").join(path)) {
            file(&format!("root/{path}"), content, 0o644)?;
        }
    }
    devices()?;
    filesystem(
        "proc",
        "root/proc",
        None,
        MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC,
    )?;
    file("root/run/lab/boot_id", format!("{}\n", spec.boot_id), 0o444)?;
    bound(
        "root/run/lab/boot_id",
        "root/proc/sys/kernel/random/boot_id",
        MsFlags::empty(),
    )?;
    // What asked for the last end is done.
    let _ = fs::remove_file(format!("root{POWER}"));
    chdir("root").map_err(|error| format!("chdir: {}", error.desc()))?;
    pivot_root(".", ".").map_err(|error| format!("pivot_root: {}", error.desc()))?;
    umount2(".", MntFlags::MNT_DETACH).map_err(|error| format!("umount: {}", error.desc()))?;
    chdir("/").map_err(|error| format!("chdir: {}", error.desc()))
}

fn devices() -> Result<(), String> {
    filesystem(
        "tmpfs",
        "root/dev",
        Some("mode=755,size=1m"),
        MsFlags::MS_NOSUID,
    )?;
    for name in ["null", "zero", "full", "random", "urandom", "tty"] {
        let own = format!("root/dev/{name}");
        file(&own, "", 0o666)?;
        bound(&format!("/dev/{name}"), &own, MsFlags::empty())?;
    }
    folder("root/dev/pts", 0o755)?;
    folder("root/dev/shm", 0o1777)?;
    filesystem(
        "devpts",
        "root/dev/pts",
        Some("newinstance,ptmxmode=0666,mode=620"),
        MsFlags::MS_NOSUID | MsFlags::MS_NOEXEC,
    )?;
    filesystem(
        "tmpfs",
        "root/dev/shm",
        Some("mode=1777,size=64m"),
        MsFlags::MS_NOSUID | MsFlags::MS_NODEV,
    )?;
    let links = [
        ("pts/ptmx", "ptmx"),
        ("/proc/self/fd", "fd"),
        ("/proc/self/fd/0", "stdin"),
        ("/proc/self/fd/1", "stdout"),
        ("/proc/self/fd/2", "stderr"),
    ];
    for (target, name) in links {
        symlink(target, format!("root/dev/{name}")).map_err(|error| format!("{name}: {error}"))?;
    }
    Ok(())
}

/// Does what a first boot does, from within; at a later one only what may have changed. Returns whether it was the first.
pub(super) fn first_boot(spec: &Spec) -> Result<bool, String> {
    for (name, script) in STAND_INS {
        let folder = if matches!(name, "useradd" | "reboot" | "sysctl") {
            "sbin"
        } else {
            "bin"
        };
        folder_of_stand_in(folder)?;
        file(&format!("/usr/local/{folder}/{name}"), script, 0o755)?;
    }
    for (name, of) in ALSO {
        let link = format!("/usr/local/bin/{name}");
        let target = if matches!(of, "useradd" | "reboot" | "sysctl") {
            format!("../sbin/{of}")
        } else {
            of.to_owned()
        };
        if !Path::new(&link).is_symlink() {
            symlink(target, &link).map_err(|error| format!("{link}: {error}"))?;
        }
    }
    if spec.has_users {
        // What sudo's stand-in becomes another user by.
        folder("/usr/local/lib", 0o755)?;
        folder("/usr/local/lib/lab", 0o755)?;
        fs::copy("/usr/bin/setpriv", "/usr/local/lib/lab/setpriv")
            .map_err(|error| format!("setpriv: {error}"))?;
        fs::set_permissions(
            "/usr/local/lib/lab/setpriv",
            fs::Permissions::from_mode(0o4755),
        )
        .map_err(|error| format!("setpriv: {error}"))?;
    }
    let mark = "/var/lib/cloud/instance/id";
    // Where nothing tells of an instance it is the one that it was.
    let before = fs::read_to_string(mark);
    if before.is_ok_and(|id| id == spec.instance || spec.instance.is_empty()) {
        return Ok(false);
    }
    let mut hosts = format!(
        "127.0.0.1 localhost\n127.0.1.1 {} {}\n",
        spec.fqdn, spec.hostname
    );
    for (address, name) in &spec.hosts {
        hosts.push_str(&format!("{address} {name}\n"));
    }
    file("/etc/hosts", hosts, 0o644)?;
    file("/etc/hostname", format!("{}\n", spec.hostname), 0o644)?;
    file(
        "/etc/resolv.conf",
        "# A machine of the lab reaches nothing outside.\n",
        0o644,
    )?;
    file(
        "/etc/nsswitch.conf",
        "passwd: files\ngroup: files\nshadow: files\nhosts: files\n",
        0o644,
    )?;
    file("/etc/profile", format!("export PATH={PATH}\n"), 0o644)?;
    if !Path::new("/etc/passwd").exists() {
        file(
            "/etc/passwd",
            "root:x:0:0:root:/root:/bin/bash\nnobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n",
            0o644,
        )?;
        file(
            "/etc/group",
            "root:x:0:\nsudo:x:27:\nnogroup:x:65534:\n",
            0o644,
        )?;
        file("/etc/shadow", "root:*:20000:0:99999:7:::\n", 0o600)?;
    }
    if !Path::new("/etc/os-release").is_symlink() {
        symlink("../usr/lib/os-release", "/etc/os-release")
            .map_err(|error| format!("os-release: {error}"))?;
    }
    for old in fs::read_dir("/etc/ssh")
        .map_err(|error| format!("/etc/ssh: {error}"))?
        .flatten()
    {
        if old.file_name().to_string_lossy().starts_with("ssh_host_") {
            // A new instance has new keys.
            let _ = fs::remove_file(old.path());
        }
    }
    for (name, key) in &spec.host_keys {
        file(
            &format!("/etc/ssh/{name}"),
            key,
            if Path::new(name).extension().is_some() {
                0o644
            } else {
                0o600
            },
        )?;
    }
    for person in &spec.people {
        add(person, spec.has_users)?;
    }
    for written in &spec.files {
        if let Some(parent) = Path::new(&written.path).parent() {
            fs::create_dir_all(parent).map_err(|error| format!("{}: {error}", written.path))?;
        }
        file(&written.path, &written.content, written.mode)?;
    }
    let ignored: String = spec
        .ignored
        .iter()
        .map(|name| format!("not carried out by this machine of the lab: {name}\n"))
        .collect();
    file("/var/log/cloud-init.log", ignored, 0o644)?;
    file(mark, &spec.instance, 0o644)?;
    Ok(true)
}

fn folder_of_stand_in(name: &str) -> Result<(), String> {
    folder(&format!("/usr/local/{name}"), 0o755)
}

/// Adds a user with keys; one that is there gets the keys.
fn add(person: &Person, has_users: bool) -> Result<(), String> {
    let passwd =
        fs::read_to_string("/etc/passwd").map_err(|error| format!("/etc/passwd: {error}"))?;
    let fields = |line: &str| line.split(':').map(str::to_owned).collect::<Vec<_>>();
    let known = passwd
        .lines()
        .map(fields)
        .find(|fields| fields.first() == Some(&person.name));
    let (uid, home) = match known {
        Some(fields) => (
            fields.get(2).and_then(|uid| uid.parse().ok()).unwrap_or(0),
            fields.get(5).cloned().unwrap_or_default(),
        ),
        None => {
            let taken: Vec<u32> = passwd
                .lines()
                .filter_map(|line| line.split(':').nth(2)?.parse().ok())
                .collect();
            let uid = if has_users {
                (1000..60_000)
                    .find(|uid| !taken.contains(uid))
                    .unwrap_or(1000)
            } else {
                0
            };
            let home = format!("/home/{}", person.name);
            let shell = person.shell.as_deref().unwrap_or("/bin/bash");
            file(
                "/etc/passwd",
                format!(
                    "{passwd}{0}:x:{uid}:{uid}:{0}:{home}:{shell}\n",
                    person.name
                ),
                0o644,
            )?;
            let group =
                fs::read_to_string("/etc/group").map_err(|error| format!("/etc/group: {error}"))?;
            file(
                "/etc/group",
                format!("{group}{}:x:{uid}:\n", person.name),
                0o644,
            )?;
            let shadow = fs::read_to_string("/etc/shadow")
                .map_err(|error| format!("/etc/shadow: {error}"))?;
            file(
                "/etc/shadow",
                format!("{shadow}{}:*:20000:0:99999:7:::\n", person.name),
                0o600,
            )?;
            (uid, home)
        }
    };
    folder(&home, 0o755)?;
    folder(&format!("{home}/.ssh"), 0o700)?;
    let keys: String = person.keys.iter().map(|key| format!("{key}\n")).collect();
    file(&format!("{home}/.ssh/authorized_keys"), keys, 0o600)?;
    if person.may_sudo {
        // The folder of sudoers can be looked into by the superuser alone.
        folder("/var/lib/lab/sudo", 0o755)?;
        file(&format!("/var/lib/lab/sudo/{}", person.name), "", 0o644)?;
        file(
            &format!("/etc/sudoers.d/90-{}", person.name),
            format!("{} ALL=(ALL) NOPASSWD:ALL\n", person.name),
            0o440,
        )?;
    }
    for path in [
        home.clone(),
        format!("{home}/.ssh"),
        format!("{home}/.ssh/authorized_keys"),
    ] {
        std::os::unix::fs::chown(&path, Some(uid), Some(uid))
            .map_err(|error| format!("{path}: {error}"))?;
    }
    Ok(())
}
