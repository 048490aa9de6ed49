//! What runs for a machine in a process of its own: this same program under another name. It makes the machine's namespaces
//! and root, is its first process, and enters it for each command.
//!
//! It runs before dmp has any thread, and never returns to dmp's own command line.

use std::ffi::OsString;
use std::fs::File;
use std::io::{BufRead, Write};
use std::os::fd::AsFd;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::Duration;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sched::{CloneFlags, setns, unshare};
use nix::sys::signal::{Signal, killpg};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::{Gid, Pid, Uid, chdir, setgid, setgroups, sethostname, setsid, setuid};

use super::container::boot;
use super::{root, routers, vm};
use crate::services;

/// The name under which the program does this.
pub(super) const NAME: &str = "dmp-lab-machine";

/// The first process ends with this where the machine asked to be started again.
pub(super) const REBOOT: u8 = 3;

/// The first process ends with this where the machine switched itself off.
pub(super) const OFF: u8 = 4;

pub(super) type Done = Result<u8, String>;

/// Does what a machine needs, where this process was started for that.
#[must_use]
pub fn run_if_asked() -> Option<ExitCode> {
    let mut arguments = std::env::args_os();
    let called = arguments.next()?;
    if called != NAME {
        let is_inside = std::env::current_exe().is_ok_and(|path| path == Path::new(root::PROGRAM));
        return is_inside.then(|| services::run(&called, arguments));
    }
    let mode = arguments.next().unwrap_or_default();
    let rest: Vec<OsString> = arguments.collect();
    let done = match mode.to_str() {
        Some("begin") => begin(&rest),
        Some("init") => init(),
        Some("enter") => enter(&rest),
        Some("mapped") => mapped(&rest),
        Some("contain") => boot::contain(&rest),
        Some("separate") => boot::separate(&rest),
        Some("inhabit") => boot::inhabit(&rest),
        Some("within") => boot::within(&rest),
        Some("emulate") => vm::boot::emulate(&rest),
        Some("dependent") => vm::boot::dependent(&rest),
        Some("hold-network") => routers::inside::hold(&rest),
        Some("in-network") => routers::inside::within(&rest),
        _ => Err("unknown mode".to_owned()),
    };
    Some(match done {
        Ok(code) => ExitCode::from(code),
        Err(reason) => {
            // Nobody may be reading any more.
            let _ = writeln!(std::io::stderr(), "{reason}");
            ExitCode::from(125)
        }
    })
}

pub(super) fn said(what: &'static str) -> impl FnOnce(nix::errno::Errno) -> String {
    move |error| format!("{what}: {}", error.desc())
}

pub(super) fn told(what: &'static str) -> impl FnOnce(std::io::Error) -> String {
    move |error| format!("{what}: {error}")
}

pub(super) fn word(arguments: &[OsString], index: usize) -> Result<&str, String> {
    arguments
        .get(index)
        .and_then(|word| word.to_str())
        .ok_or_else(|| format!("argument {index} is missing"))
}

/// Waits for the lab to map the user ids of this process's new namespace, and becomes its superuser.
fn become_mapped(is_range: bool) -> Result<(), String> {
    let mut out = std::io::stdout();
    out.write_all(b"unshared\n")
        .and_then(|()| out.flush())
        .map_err(told("can't tell the lab"))?;
    let mut line = String::new();
    std::io::stdin()
        .lock()
        .read_line(&mut line)
        .map_err(told("can't hear the lab"))?;
    if line.trim() != "mapped" {
        return Err("the lab went away".into());
    }
    if is_range {
        setgroups(&[]).map_err(said("setgroups"))?;
        setgid(Gid::from_raw(0)).map_err(said("setgid"))?;
        setuid(Uid::from_raw(0)).map_err(said("setuid"))?;
    }
    Ok(())
}

/// Makes a machine's namespaces, starts its first process in them, and ends with it or with the lab.
fn begin(arguments: &[OsString]) -> Done {
    chdir(word(arguments, 0)?).map_err(said("chdir"))?;
    let is_range = word(arguments, 1)? == "range";
    let all = CloneFlags::CLONE_NEWUSER
        | CloneFlags::CLONE_NEWNS
        | CloneFlags::CLONE_NEWPID
        | CloneFlags::CLONE_NEWIPC
        | CloneFlags::CLONE_NEWUTS;
    unshare(all).map_err(said("unshare"))?;
    become_mapped(is_range)?;
    let mut child = Command::new("/proc/self/exe")
        .arg0(NAME)
        .arg("init")
        .env_clear()
        .stdin(Stdio::null())
        .spawn()
        .map_err(told("the first process can't be started"))?;
    let pid = child.id();
    let mut out = std::io::stdout();
    writeln!(out, "pid {pid}")
        .and_then(|()| out.flush())
        .map_err(told("can't tell the lab"))?;
    loop {
        if let Some(status) = child.try_wait().map_err(told("wait"))? {
            return Ok(status
                .code()
                .and_then(|code| u8::try_from(code).ok())
                .unwrap_or(0));
        }
        // The lab holds the other end for as long as it lives, and says nothing. There can be no thread beside this one: its
        // children are in another namespace than itself.
        let stdin = std::io::stdin();
        let mut waiting = [PollFd::new(stdin.as_fd(), PollFlags::POLLIN)];
        let is_over = poll(&mut waiting, PollTimeout::from(50u8)).is_ok_and(|ready| ready > 0);
        if is_over {
            // The first process dies with this one, and the machine with it.
            return Ok(0);
        }
    }
}

/// The first process of a machine: makes its root, collects what has died, and looks whether the machine wants to go down.
fn init() -> Done {
    rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL))
        .map_err(|error| format!("prctl: {error}"))?;
    let spec = root::Spec::read()?;
    root::make(&spec)?;
    let is_first = root::first_boot(&spec)?;
    sethostname(root::hostname(&spec)).map_err(said("sethostname"))?;
    let mut out = std::io::stdout();
    out.write_all(b"ready\n")
        .and_then(|()| out.flush())
        .map_err(told("can't tell the lab"))?;
    // What was enabled runs again.
    let _ = Command::new("/usr/local/bin/systemctl")
        .arg("start-enabled")
        .env_clear()
        .env("PATH", root::PATH)
        .stdin(Stdio::null())
        .status();
    for command in spec.commands.iter().filter(|_| is_first) {
        // What it says goes to the log of the first boot; that it fails is no failure of the boot.
        let log = File::options()
            .create(true)
            .append(true)
            .open("/var/log/cloud-init-output.log")
            .map_err(told("log"))?;
        let errors = log.try_clone().map_err(told("log"))?;
        let _ = Command::new("/bin/sh")
            .args(["-c", command])
            .env_clear()
            .envs([("PATH", root::PATH), ("HOME", "/root"), ("USER", "root")])
            .current_dir("/")
            .stdin(Stdio::null())
            .stdout(log)
            .stderr(errors)
            .status();
    }
    std::fs::write("/var/lib/cloud/instance/boot-finished", "").map_err(told("boot-finished"))?;
    loop {
        while let Ok(status) = waitpid(None, Some(WaitPidFlag::WNOHANG)) {
            if status == WaitStatus::StillAlive {
                break;
            }
        }
        match std::fs::read_to_string(root::POWER)
            .as_deref()
            .map(str::trim)
        {
            Ok("reboot") => return Ok(REBOOT),
            Ok("off") => return Ok(OFF),
            _ => std::thread::sleep(Duration::from_millis(50)),
        }
    }
}

/// Runs a command in a machine: PID RANGE UID GID TTY FOLDER NAME=VALUE… -- PROGRAM ARGUMENT….
fn enter(arguments: &[OsString]) -> Done {
    let pid = word(arguments, 0)?;
    let is_range = word(arguments, 1)? == "range";
    let number = |index| {
        word(arguments, index)?
            .parse::<u32>()
            .map_err(|error| error.to_string())
    };
    let (uid, gid) = (number(2)?, number(3)?);
    let has_terminal = word(arguments, 4)? == "tty";
    let folder = PathBuf::from(word(arguments, 5)?);
    let rest = arguments.get(6..).unwrap_or_default();
    let end = rest
        .iter()
        .position(|word| word == "--")
        .ok_or("no command")?;
    let (settings, command) = (&rest[..end], &rest[end + 1..]);
    let (program, parameters) = command.split_first().ok_or("no command")?;
    let namespaces = [
        ("user", CloneFlags::CLONE_NEWUSER),
        ("mnt", CloneFlags::CLONE_NEWNS),
        ("ipc", CloneFlags::CLONE_NEWIPC),
        ("uts", CloneFlags::CLONE_NEWUTS),
        ("pid", CloneFlags::CLONE_NEWPID),
    ];
    let mut opened = Vec::new();
    for (name, kind) in namespaces {
        opened.push((
            File::open(format!("/proc/{pid}/ns/{name}")).map_err(told("the machine is gone"))?,
            kind,
        ));
    }
    for (file, kind) in &opened {
        setns(file.as_fd(), *kind).map_err(said("setns"))?;
    }
    if is_range {
        setgroups(&[]).map_err(said("setgroups"))?;
        setgid(Gid::from_raw(gid)).map_err(said("setgid"))?;
        setuid(Uid::from_raw(uid)).map_err(said("setuid"))?;
    }
    let mut child = Command::new(program);
    child.args(parameters).env_clear();
    for setting in settings.iter().filter_map(|setting| setting.to_str()) {
        if let Some((name, value)) = setting.split_once('=') {
            child.env(name, value);
        }
    }
    child.current_dir(if folder.is_dir() {
        folder
    } else {
        PathBuf::from("/")
    });
    if has_terminal {
        setsid().map_err(said("setsid"))?;
        rustix::process::ioctl_tiocsctty(std::io::stdin())
            .map_err(|error| format!("no terminal: {error}"))?;
        child.process_group(0);
    }
    let mut child = child
        .spawn()
        .map_err(|error| format!("{}: {error}", program.display()))?;
    if has_terminal {
        let group = i32::try_from(child.id()).unwrap_or(i32::MAX);
        if let Some(group) = rustix::process::Pid::from_raw(group) {
            // A command that has ended already needs no terminal.
            let _ = rustix::termios::tcsetpgrp(std::io::stdin(), group);
        }
        let _ = killpg(Pid::from_raw(group), Signal::SIGCONT);
    }
    let status = child.wait().map_err(told("wait"))?;
    let code = status
        .code()
        .or(status.signal().map(|signal| 128 + signal))
        .unwrap_or(125);
    Ok(u8::try_from(code).unwrap_or(125))
}

/// Runs a command of the host with a machine's user ids, for its files: FOLDER RANGE PROGRAM ARGUMENT….
fn mapped(arguments: &[OsString]) -> Done {
    chdir(word(arguments, 0)?).map_err(said("chdir"))?;
    let is_range = word(arguments, 1)? == "range";
    let (program, parameters) = arguments
        .get(2..)
        .and_then(<[OsString]>::split_first)
        .ok_or("no command")?;
    unshare(CloneFlags::CLONE_NEWUSER).map_err(said("unshare"))?;
    become_mapped(is_range)?;
    let status = Command::new(program)
        .args(parameters)
        .stdin(Stdio::null())
        .status()
        .map_err(told("no such command"))?;
    Ok(u8::from(!status.success()))
}
