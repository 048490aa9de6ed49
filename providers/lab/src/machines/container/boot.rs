//! What runs for a `container` machine in processes of its own, each the next one's parent:
//!
//! - `contain` stays on the host's side: it makes control groups, block devices and the network, waits for what becomes of the machine, and
//!   clears away behind it;
//! - `separate` makes the namespace of process numbers, in which it can start nothing but the machine;
//! - `inhabit` is the machine's first process: it makes the machine's files, tells it who it is, and becomes its init.

use std::ffi::OsString;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::os::fd::AsFd;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use nix::sched::{CloneFlags, setns, unshare};
use nix::unistd::{chdir, sethostname};
use rustix::thread::{CapabilitySet, remove_capability_from_bounding_set};

use super::super::beside::{PATIENCE, alone, die_with_parent, hear, own, say};
use super::super::inside::{Done, OFF, REBOOT, said, told, word};
use super::cgroups::Groups;
use super::{Spec, disks, files, first, network};

/// The lab says this when the machine's cables are in.
pub(super) const PLUGGED: &str = "plugged";

/// The lab says this to have the machine go down.
pub(in super::super) const POWER: &str = "power";

/// What a machine's init understands as its power button; the number is the same on every architecture.
const BUTTON: &str = "kill -38 \"$1\"";

/// Time in a machine begins at zero with its boot; neither library has this flag for this call.
const NEW_TIME: CloneFlags = CloneFlags::from_bits_retain(0x80);

/// Runs a machine in its folder until it ends: FOLDER.
pub(in super::super) fn contain(arguments: &[OsString]) -> Done {
    chdir(word(arguments, 0)?).map_err(said("chdir"))?;
    let spec = Spec::read()?;
    let _alone = alone()?;
    // What is mounted here is seen by nobody else.
    unshare(CloneFlags::CLONE_NEWNS).map_err(said("unshare"))?;
    files::keep_private()?;
    let groups = Groups::at_hand()?;
    groups.remove(&spec.group);
    let ended = run(&spec, &groups);
    groups.remove(&spec.group);
    disks::detach(&spec.disks);
    ended
}

fn run(spec: &Spec, groups: &Groups) -> Done {
    groups.make(&spec.group, spec.memory)?;
    files::prepare(spec)?;
    let devices = disks::attach(&spec.disks)?;
    let all = CloneFlags::CLONE_NEWIPC | CloneFlags::CLONE_NEWUTS | CloneFlags::CLONE_NEWNET;
    unshare(all).map_err(said("unshare"))?;
    say("unshared")?;
    match hear(PATIENCE)?.as_deref() {
        Some(PLUGGED) => {}
        _ => return Err("the lab went away".into()),
    }
    network::configure(spec)?;
    let mut machine = own("separate")
        .args(&devices)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(told("the machine's processes can't be started"))?;
    let ended = begun(&mut machine).and_then(|first| follow(&mut machine, first));
    // Whatever went wrong, nothing of it goes on: its first process ends with this one.
    let _ = machine.kill();
    let _ = machine.wait();
    ended
}

/// Hands on what the machine says of itself until its init runs; returns its first process.
fn begun(machine: &mut Child) -> Result<u32, String> {
    let out = machine.stdout.take().ok_or("no pipe")?;
    let mut first = None;
    for line in BufReader::new(out).lines() {
        let line = line.map_err(told("the machine can't be heard"))?;
        if let Some(number) = line.strip_prefix("pid ") {
            first = number.parse().ok();
        }
        say(&line)?;
        if let (true, Some(first)) = (line == "ready", first) {
            return Ok(first);
        }
    }
    // Why is said by itself, on the way that all errors go.
    Err("its first process has ended".into())
}

/// Waits for the machine's end, or for a word of the lab.
fn follow(machine: &mut Child, first: u32) -> Done {
    loop {
        if let Some(status) = machine.try_wait().map_err(told("wait"))? {
            let code = status.code().and_then(|code| u8::try_from(code).ok());
            return Ok(code.filter(|code| *code == REBOOT).unwrap_or(OFF));
        }
        match hear(Duration::from_millis(50))?.as_deref() {
            Some(POWER) => {
                // One that does not listen is cut off when the lab has waited for long enough.
                let _ = Command::new("/bin/sh")
                    .args(["-c", BUTTON, "sh", &first.to_string()])
                    .stdin(Stdio::null())
                    .stdout(Stdio::null())
                    .stderr(Stdio::null())
                    .status();
            }
            Some("") => return Ok(0),
            _ => {}
        }
    }
}

/// Makes the namespaces that only a child is in, and waits for that child, which is the machine. The words are the block devices of
/// its disks.
pub(in super::super) fn separate(arguments: &[OsString]) -> Done {
    die_with_parent()?;
    unshare(CloneFlags::CLONE_NEWPID).map_err(said("unshare"))?;
    // An older kernel has no such namespace: its machines tell the host's uptime.
    if unshare(NEW_TIME).is_ok() {
        let uptime = uptime()?;
        let offsets = format!("monotonic -{uptime} 0\nboottime -{uptime} 0\n");
        std::fs::write("/proc/self/timens_offsets", offsets).map_err(told("timens_offsets"))?;
    }
    let mut machine = own("inhabit")
        .args(arguments)
        // Set, it has the library fork: what it does else can't enter a new time namespace on every kernel.
        .uid(0)
        .stdin(Stdio::null())
        .spawn()
        .map_err(told("the first process can't be started"))?;
    say(&format!("pid {}", machine.id()))?;
    nix::unistd::dup2_stdout(File::open("/dev/null").map_err(told("/dev/null"))?)
        .map_err(said("dup2"))?;
    let status = machine.wait().map_err(told("wait"))?;
    // The kernel ends the first process by this signal when the machine asks for a restart.
    Ok(if status.signal() == Some(1) {
        REBOOT
    } else {
        OFF
    })
}

fn uptime() -> Result<u64, String> {
    let text = std::fs::read_to_string("/proc/uptime").map_err(told("/proc/uptime"))?;
    let whole = text.split('.').next().and_then(|part| part.parse().ok());
    whole.ok_or_else(|| "/proc/uptime has no number".to_owned())
}

/// The first process of a machine, in the machine's folder: makes its files, tells it who it is, and becomes its init. The words
/// are the block devices of its disks.
pub(in super::super) fn inhabit(arguments: &[OsString]) -> Done {
    die_with_parent()?;
    let spec = Spec::read()?;
    let groups = Groups::here()?;
    groups.enter(&spec.group)?;
    unshare(CloneFlags::CLONE_NEWCGROUP | CloneFlags::CLONE_NEWNS).map_err(said("unshare"))?;
    nix::sys::stat::umask(nix::sys::stat::Mode::empty());
    let devices = arguments
        .iter()
        .map(|word| word.to_string_lossy().into_owned());
    let devices: Vec<String> = devices.collect();
    let console = File::options()
        .create(true)
        .append(true)
        .open("console.log")
        .map_err(told("console.log"))?;
    files::make(&spec, &groups, &devices)?;
    files::turn()?;
    nix::sys::stat::umask(nix::sys::stat::Mode::from_bits_truncate(0o022));
    first::apply(&spec, groups.is_unified())?;
    sethostname(first::hostname(&spec)).map_err(said("sethostname"))?;
    // The clock and the kernel are the host's.
    for dropped in [
        CapabilitySet::SYS_TIME,
        CapabilitySet::SYS_MODULE,
        CapabilitySet::SYS_RAWIO,
    ] {
        remove_capability_from_bounding_set(dropped)
            .map_err(|error| format!("capabilities: {error}"))?;
    }
    let errors = console.try_clone().map_err(told("console.log"))?;
    let init = first::init().ok_or("there is no init in its root file system")?;
    say("ready")?;
    let failed = Command::new(init)
        .env_clear()
        .envs([
            ("container", "dmp-lab"),
            ("TERM", "dumb"),
            ("LANG", "C.UTF-8"),
            (
                "PATH",
                "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            ),
        ])
        .stdin(Stdio::null())
        .stdout(console)
        .stderr(errors)
        .exec();
    Err(format!("its init can't be started: {failed}"))
}

/// Runs a command in a machine, as its superuser: PID PROGRAM ARGUMENT….
pub(in super::super) fn within(arguments: &[OsString]) -> Done {
    let pid = word(arguments, 0)?;
    let (program, parameters) = arguments
        .get(1..)
        .and_then(<[OsString]>::split_first)
        .ok_or("no command")?;
    let mut opened = Vec::new();
    for name in ["cgroup", "ipc", "uts", "net", "pid", "mnt"] {
        let path = format!("/proc/{pid}/ns/{name}");
        opened.push(File::open(path).map_err(told("the machine is gone"))?);
    }
    for file in &opened {
        setns(file.as_fd(), CloneFlags::empty()).map_err(said("setns"))?;
    }
    chdir("/").map_err(said("chdir"))?;
    let status = Command::new(program)
        .args(parameters)
        .env_clear()
        .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
        .stdin(Stdio::null())
        .status()
        .map_err(told("no such command"))?;
    Ok(u8::from(!status.success()))
}
