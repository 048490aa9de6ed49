//! What a machine is told at its boots, and what of it at its first one alone: written into its own files, from within.
//!
//! Where its system has cloud-init, that is handed the data and does it itself.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::{Command, Stdio};

use super::super::root::{Person, file, folder};
use super::{Spec, modules};

/// Where the identity of the last first boot is.
const MARK: &str = "/var/lib/cloud/lab-instance";

/// Units that would act on the kernel that all share, or wait for devices that nobody tells of.
const OFF: [&str; 14] = [
    "proc-sys-fs-binfmt_misc.automount",
    "sys-kernel-debug.mount",
    "sys-kernel-tracing.mount",
    "sys-kernel-config.mount",
    "sys-fs-fuse-connections.mount",
    "systemd-udevd.service",
    "systemd-udevd-control.socket",
    "systemd-udevd-kernel.socket",
    "systemd-udev-trigger.service",
    "systemd-udev-settle.service",
    "systemd-pstore.service",
    "systemd-journald-audit.socket",
    "systemd-timesyncd.service",
    "getty.target",
];

/// Without the service that tells of devices nobody mounts disks at a boot.
const MOUNTS: &str = "[Unit]\nDescription=Disks of the lab that are to be mounted\nDefaultDependencies=no\nAfter=systemd-remount-fs.service\n\
                      Before=local-fs.target\n[Service]\nType=oneshot\nRemainAfterExit=yes\nExecStart=-/bin/mount --all\n";

const COMMANDS: &str = "[Unit]\nDescription=Commands of the first boot\nWants=network-online.target\nAfter=network-online.target\n\
                        [Service]\nType=oneshot\nRemainAfterExit=yes\nTimeoutStartSec=infinity\nExecStart=/bin/sh /run/lab/commands\n\
                        StandardOutput=append:/var/log/cloud-init-output.log\nStandardError=inherit\n";

/// Returns the program that becomes the machine's first process.
pub(super) fn init() -> Option<&'static str> {
    [
        "/sbin/init",
        "/lib/systemd/systemd",
        "/usr/lib/systemd/systemd",
    ]
    .into_iter()
    .find(|path| Path::new(path).exists())
}

/// Returns the machine's name, which it may have been given since its first boot.
pub(super) fn hostname(spec: &Spec) -> String {
    let own = fs::read_to_string("/etc/hostname").unwrap_or_default();
    let own = own.trim();
    let is_own = !own.is_empty();
    if is_own { own } else { &spec.hostname }.to_owned()
}

/// Tells the machine all that it is to know.
pub(super) fn apply(spec: &Spec, is_unified: bool) -> Result<(), String> {
    modules::index()?;
    every_boot(spec, is_unified)?;
    // Where nothing tells of an instance it is the one that it was.
    let before = fs::read_to_string(MARK);
    let is_known = before.is_ok_and(|id| id == spec.instance || spec.instance.is_empty());
    if is_known {
        return Ok(());
    }
    identity(spec)?;
    folder("/var/lib/cloud", 0o755)?;
    if has_cloud_init("/") {
        hand_over(spec)?;
    } else {
        first_boot(spec)?;
    }
    file(MARK, &spec.instance, 0o644)
}

/// Whether a system has cloud-init.
pub(super) fn has_cloud_init(root: &str) -> bool {
    Path::new(root).join("usr/bin/cloud-init").exists()
}

/// What goes with each boot is in `/run`, where it ends with it.
fn every_boot(spec: &Spec, is_unified: bool) -> Result<(), String> {
    folder("/run/lab", 0o755)?;
    let units = "/run/systemd/system";
    for path in [
        units.to_owned(),
        format!("{units}/local-fs.target.wants"),
        format!("{units}/multi-user.target.wants"),
        "/run/systemd/network".to_owned(),
        "/run/systemd/journald.conf.d".to_owned(),
        "/run/systemd/system.conf.d".to_owned(),
    ] {
        folder(&path, 0o755)?;
    }
    for unit in OFF {
        link("/dev/null", &format!("{units}/{unit}"))?;
    }
    file(&format!("{units}/lab-mounts.service"), MOUNTS, 0o644)?;
    link(
        "../lab-mounts.service",
        &format!("{units}/local-fs.target.wants/lab-mounts.service"),
    )?;
    // The kernel's log is the host's, and every machine's: it stays out of the journals.
    let journal = "[Journal]\nReadKMsg=no\nAudit=\n";
    file("/run/systemd/journald.conf.d/lab.conf", journal, 0o644)?;
    if !is_unified {
        // Services are left out of this hierarchy else, and a kubelet wants them where they are in that of memory.
        let manager = "[Manager]\nDefaultCPUAccounting=yes\n";
        file("/run/systemd/system.conf.d/lab.conf", manager, 0o644)?;
    }
    if has_cloud_init("/") {
        return Ok(());
    }
    for cable in &spec.cables {
        let interface = &cable.interface;
        let mut text = format!(
            "[Match]\nName={}\n\n[Network]\nLLDP=no\nIPv6AcceptRA=no\n",
            interface.name
        );
        for (address, bits) in &interface.addresses {
            text.push_str(&format!("Address={address}/{bits}\n"));
        }
        for gateway in &interface.gateways {
            text.push_str(&format!("Gateway={gateway}\n"));
        }
        for server in &spec.nameservers {
            text.push_str(&format!("DNS={server}\n"));
        }
        if !spec.domains.is_empty() {
            text.push_str(&format!("Domains={}\n", spec.domains.join(" ")));
        }
        let path = format!("/run/systemd/network/05-lab-{}.network", interface.name);
        file(&path, text, 0o644)?;
    }
    Ok(())
}

fn link(target: &str, path: &str) -> Result<(), String> {
    symlink(target, path).map_err(|error| format!("{path}: {error}"))
}

/// What makes it another machine than its image, or the one that it was cloned from.
fn identity(spec: &Spec) -> Result<(), String> {
    file("/etc/machine-id", format!("{}\n", spec.machine_id), 0o444)?;
    let also = "/var/lib/dbus/machine-id";
    if Path::new(also).exists() && !Path::new(also).is_symlink() {
        file(also, format!("{}\n", spec.machine_id), 0o444)?;
    }
    Ok(())
}

/// Gives cloud-init the data where its NoCloud source looks first.
fn hand_over(spec: &Spec) -> Result<(), String> {
    let seed = "/var/lib/cloud/seed/nocloud";
    folder(seed, 0o700)?;
    for (name, text) in &spec.seed {
        file(&format!("{seed}/{name}"), text, 0o600)?;
    }
    folder("/etc/cloud/cloud.cfg.d", 0o755)?;
    let source = "datasource_list: [NoCloud]\n";
    file("/etc/cloud/cloud.cfg.d/99-lab.cfg", source, 0o644)
}

fn first_boot(spec: &Spec) -> Result<(), String> {
    if !spec.instance.is_empty() {
        let hosts = format!(
            "127.0.0.1 localhost\n::1 localhost ip6-localhost ip6-loopback\n127.0.1.1 {} {}\n",
            spec.fqdn, spec.hostname
        );
        file("/etc/hosts", hosts, 0o644)?;
        file("/etc/hostname", format!("{}\n", spec.hostname), 0o644)?;
    }
    resolver(spec)?;
    host_keys(spec)?;
    for person in &spec.people {
        add(person)?;
    }
    for written in &spec.files {
        if let Some(parent) = Path::new(&written.path).parent() {
            fs::create_dir_all(parent).map_err(|error| format!("{}: {error}", written.path))?;
        }
        file(&written.path, &written.content, written.mode)?;
    }
    let line = |name: &String| format!("not carried out by this machine of the lab: {name}\n");
    let ignored: String = spec.ignored.iter().map(line).collect();
    file("/var/log/cloud-init.log", ignored, 0o644)?;
    if spec.commands.is_empty() {
        return Ok(());
    }
    let commands: String = spec
        .commands
        .iter()
        .map(|command| format!("(\n{command}\n)\n"))
        .collect();
    file("/run/lab/commands", commands, 0o700)?;
    let units = "/run/systemd/system";
    file(&format!("{units}/lab-commands.service"), COMMANDS, 0o644)?;
    link(
        "../lab-commands.service",
        &format!("{units}/multi-user.target.wants/lab-commands.service"),
    )
}

/// Writes the name servers, unless the system's own resolver hears of them by its network.
fn resolver(spec: &Spec) -> Result<(), String> {
    let path = "/etc/resolv.conf";
    let is_served = fs::read_link(path)
        .is_ok_and(|target| target.display().to_string().contains("systemd/resolve"))
        && Path::new("/usr/lib/systemd/systemd-resolved").exists();
    if spec.nameservers.is_empty() || is_served {
        return Ok(());
    }
    let mut text: String = spec
        .nameservers
        .iter()
        .map(|server| format!("nameserver {server}\n"))
        .collect();
    if !spec.domains.is_empty() {
        text.push_str(&format!("search {}\n", spec.domains.join(" ")));
    }
    if Path::new(path).is_symlink() {
        fs::remove_file(path).map_err(|error| format!("{path}: {error}"))?;
    }
    file(path, text, 0o644)
}

/// A new instance has new host keys: those that it was told, or its own.
fn host_keys(spec: &Spec) -> Result<(), String> {
    let ssh = Path::new("/etc/ssh");
    if !ssh.is_dir() {
        return Ok(());
    }
    let said = |error: std::io::Error| format!("/etc/ssh: {error}");
    for old in fs::read_dir(ssh).map_err(said)?.flatten() {
        if old.file_name().to_string_lossy().starts_with("ssh_host_") {
            fs::remove_file(old.path()).map_err(said)?;
        }
    }
    for (name, key) in &spec.host_keys {
        let mode = if Path::new(name).extension().is_some() {
            0o644
        } else {
            0o600
        };
        file(&format!("/etc/ssh/{name}"), key, mode)?;
    }
    if spec.host_keys.is_empty() {
        run("ssh-keygen", &["-A"])?;
    }
    let more = "/etc/ssh/sshd_config.d";
    if Path::new(more).is_dir() {
        let text = "PasswordAuthentication no\n";
        file(&format!("{more}/50-cloud-init.conf"), text, 0o644)?;
    }
    Ok(())
}

/// Runs a program of the machine's own system, which is not booted yet.
fn run(program: &str, words: &[&str]) -> Result<(), String> {
    let output = Command::new(program)
        .args(words)
        .env_clear()
        .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
        .stdin(Stdio::null())
        .output()
        .map_err(|error| format!("its root file system has no `{program}`: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!(
        "`{program} {}` in it: {}",
        words.join(" "),
        String::from_utf8_lossy(&output.stderr).trim()
    ))
}

/// Returns the user and group number and the home of a user.
fn known(name: &str) -> Option<(u32, u32, String)> {
    let passwd = fs::read_to_string("/etc/passwd").ok()?;
    let line = passwd
        .lines()
        .find(|line| line.split(':').next() == Some(name))?;
    let fields: Vec<&str> = line.split(':').collect();
    let number = |index: usize| fields.get(index)?.parse().ok();
    Some((number(2)?, number(3)?, (*fields.get(5)?).to_owned()))
}

/// Adds a user with keys; one that is there gets the keys.
fn add(person: &Person) -> Result<(), String> {
    let name = person.name.as_str();
    if known(name).is_none() {
        let shell = person.shell.as_deref().unwrap_or("/bin/bash");
        run(
            "useradd",
            &[
                "--create-home",
                "--user-group",
                "--shell",
                shell,
                "--",
                name,
            ],
        )?;
    }
    let (uid, gid, home) = known(name).ok_or(format!("there is no user `{name}`"))?;
    let ssh = format!("{home}/.ssh");
    let list = format!("{ssh}/authorized_keys");
    folder(&ssh, 0o700)?;
    fs::set_permissions(&ssh, fs::Permissions::from_mode(0o700))
        .map_err(|error| format!("{ssh}: {error}"))?;
    let keys: String = person.keys.iter().map(|key| format!("{key}\n")).collect();
    file(&list, keys, 0o600)?;
    for path in [&ssh, &list] {
        std::os::unix::fs::lchown(path, Some(uid), Some(gid))
            .map_err(|error| format!("{path}: {error}"))?;
    }
    if person.may_sudo {
        folder("/etc/sudoers.d", 0o750)?;
        let line = format!("{name} ALL=(ALL) NOPASSWD:ALL\n");
        file(&format!("/etc/sudoers.d/90-lab-{name}"), line, 0o440)?;
    }
    Ok(())
}
