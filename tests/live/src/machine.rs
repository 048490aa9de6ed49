//! One machine of the lab: logging in, and what can happen to it.

use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::{Lab, Snapshot, Variables};

/// A bare Debian machine, or a virtual one with a kernel of its own. It is deleted when this is dropped, unless the suite runs with `--keep`.
#[derive(Debug)]
pub struct Machine {
    lab: Lab,
    name: String,
    values: BTreeMap<String, String>,
    is_borrowed: bool,
}

impl Machine {
    /// A machine that another process has started and will delete.
    pub(crate) fn borrowed(lab: &Lab, name: &str) -> Self {
        let mut machine = Self::existing(lab, name);
        machine.is_borrowed = true;
        machine
    }

    pub(crate) fn existing(lab: &Lab, name: &str) -> Self {
        let values = read_values(&lab.run(["show", name]));
        Self {
            lab: lab.clone(),
            name: name.to_owned(),
            values,
            is_borrowed: false,
        }
    }

    /// Returns its name, which is its host name too.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns its address in the lab's network.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.values["ADDRESS"]
    }

    /// Returns the user to log in as, who may become root by `sudo` without a password.
    #[must_use]
    pub fn user(&self) -> &str {
        &self.values["USER"]
    }

    /// Returns the file with that user's private key.
    #[must_use]
    pub fn key(&self) -> &Path {
        Path::new(&self.values["KEY"])
    }

    /// Returns a `known_hosts` file with its host key.
    #[must_use]
    pub fn known_hosts(&self) -> &Path {
        Path::new(&self.values["KNOWN_HOSTS"])
    }

    /// Returns its host key as `ssh-ed25519 AAAA…`, the form in which a stack pins it.
    ///
    /// # Panics
    ///
    /// If the lab has not written it.
    #[must_use]
    pub fn host_key(&self) -> String {
        let text =
            std::fs::read_to_string(self.known_hosts()).expect("the lab wrote its known_hosts");
        let (_, key) = text.trim().split_once(' ').expect("an address and a key");
        key.to_owned()
    }

    /// Returns what a stack needs to know of it, as an object for [`Variables::value`].
    #[must_use]
    pub fn variables(&self) -> Variables {
        Variables::default()
            .text("name", &self.name)
            .text("address", self.address())
            .text("user", self.user())
            .text("key_file", &self.values["KEY"])
            .text("host_key", &self.host_key())
    }

    /// Runs a script by SSH, as the user, and returns its standard output.
    ///
    /// # Panics
    ///
    /// If it ends with anything but 0.
    pub fn ssh(&self, script: &str) -> String {
        self.ssh_as(self.user(), script)
    }

    /// Runs a script by SSH with the same key, as any user, and returns its standard output.
    ///
    /// # Panics
    ///
    /// If it ends with anything but 0.
    pub fn ssh_as(&self, user: &str, script: &str) -> String {
        let output = self.try_ssh_as(user, script);
        assert!(
            output.status.success(),
            "`{script}` on {} ended with {}: {}",
            self.name,
            output.status,
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// Runs a script by SSH, as the user, whatever comes of it.
    #[must_use]
    pub fn try_ssh(&self, script: &str) -> Output {
        self.try_ssh_as(self.user(), script)
    }

    /// A login to an emulated machine on a busy host may take longer than its SSH server allows: then it is tried again.
    fn try_ssh_as(&self, user: &str, script: &str) -> Output {
        let mut output = self.ssh_once(user, script);
        for _ in 0..3 {
            if !self.is_virtual() || output.status.code() != Some(NO_LOGIN) {
                break;
            }
            output = self.ssh_once(user, script);
        }
        output
    }

    fn ssh_once(&self, user: &str, script: &str) -> Output {
        let known_hosts = format!("UserKnownHostsFile={}", self.known_hosts().display());
        let mut command = self.lab.enter("ssh");
        command.arg("-i").arg(self.key()).args(["-o", &known_hosts]);
        // An emulated SSH server takes its time, before it says a word.
        let patience = if self.is_virtual() { 60 } else { 5 };
        command.args([
            "-o",
            "IdentitiesOnly=yes",
            "-o",
            "StrictHostKeyChecking=yes",
            "-o",
            &format!("ConnectTimeout={patience}"),
            "-o",
            "LogLevel=ERROR",
        ]);
        command
            .arg(format!("{user}@{}", self.address()))
            .arg("exec bash -s");
        with_input(command, script)
    }

    /// Whether it has a kernel of its own. It has neither a [`Machine::plug`] nor files that are seen from this host.
    #[must_use]
    pub fn is_virtual(&self) -> bool {
        self.values.contains_key("DISKS")
    }

    /// Makes a disk of a virtual machine larger while it is on: the first one beside the root's is 1.
    pub fn resize_disk(&self, disk: u8, size: &str) {
        self.lab
            .run(["resize", &self.name, &disk.to_string(), size]);
    }

    /// Cuts its power: every process dies at once.
    pub fn kill(&self) {
        self.lab.run(["kill", &self.name]);
    }

    /// Returns a hand at its plug, with which the power is cut at once. The machine must be on.
    ///
    /// # Panics
    ///
    /// If it is off, or this host can't freeze it.
    #[must_use]
    pub fn plug(&self) -> Plug {
        let init = self.init();
        let freezer = self.path("FREEZER");
        let processes = fs::read_to_string(freezer.join("cgroup.procs")).unwrap_or_default();
        assert!(
            processes.lines().any(|process| process == init),
            "{} can be frozen",
            self.name
        );
        Plug(freezer)
    }

    /// Returns where a file of the machine, other than those of its image, lies on this host: what is written there is
    /// seen at once and without a login.
    #[must_use]
    pub fn file(&self, path: &str) -> PathBuf {
        self.path("UPPER").join(path.trim_start_matches('/'))
    }

    /// Returns the number, on this host, of its SSH server, which a boot changes.
    ///
    /// # Panics
    ///
    /// If it has none, or this host can't tell.
    #[must_use]
    pub fn ssh_server(&self) -> u32 {
        let processes = fs::read_to_string(self.path("FREEZER").join("cgroup.procs"));
        let is_server = |process: &u32| {
            let words = fs::read_to_string(format!("/proc/{process}/cmdline")).unwrap_or_default();
            words.starts_with("sshd: /usr/sbin/sshd -D")
        };
        let processes = processes.expect("the machine is on");
        let mut processes = processes.lines().filter_map(|line| line.parse().ok());
        processes.find(is_server).expect("it has an SSH server")
    }

    /// Gives it power again, and returns when it has booted.
    pub fn start(&self) {
        self.lab.run(["up", &self.name]);
    }

    /// Reboots it in good order, and returns when it has booted.
    pub fn reboot(&self) {
        self.lab.run(["reboot", &self.name]);
    }

    /// Deletes it and makes it again by the same name: a new machine, with a new host key, on the same address.
    pub fn replace(&mut self) {
        self.lab.run(["down", &self.name]);
        let (memory, suite) = (&self.values["MEMORY"], &self.values["SUITE"]);
        self.lab
            .run(["up", "--memory", memory, "--suite", suite, &self.name]);
        self.values = Self::existing_values(&self.lab, &self.name);
    }

    /// Deletes it and makes it again by the same name at another address: the first free one from this number on.
    pub fn replace_elsewhere(&mut self, from: u8) {
        self.lab.run(["down", &self.name]);
        let (memory, suite) = (&self.values["MEMORY"], &self.values["SUITE"]);
        self.lab.run([
            "up",
            "--memory",
            memory,
            "--suite",
            suite,
            "--from",
            &from.to_string(),
            &self.name,
        ]);
        self.values = Self::existing_values(&self.lab, &self.name);
    }

    fn existing_values(lab: &Lab, name: &str) -> BTreeMap<String, String> {
        read_values(&lab.run(["show", name]))
    }

    /// Returns the number that is another one after each boot.
    pub fn boot_id(&self) -> String {
        self.ssh("cat /proc/sys/kernel/random/boot_id")
            .trim()
            .to_owned()
    }

    /// Writes down what it is: see [`Snapshot`]. The machine must be on.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        Snapshot::of(self)
    }

    pub(crate) fn path(&self, value: &str) -> PathBuf {
        PathBuf::from(&self.values[value])
    }

    /// Returns the number, on the host, of its process 1, which a boot changes.
    pub(crate) fn init(&self) -> String {
        let values = Self::existing_values(&self.lab, &self.name);
        let init = values["INIT"].clone();
        assert!(!init.is_empty(), "{} is on", self.name);
        init
    }
}

/// The plug of a machine that is on: the folder of its processes.
#[derive(Debug, Clone)]
pub struct Plug(PathBuf);

impl Plug {
    /// Cuts the power: every process dies at once, and none sees another die before. [`Machine::kill`] then waits until
    /// nothing is left.
    ///
    /// # Panics
    ///
    /// If the machine is off, or does not freeze.
    pub fn pull(&self) {
        let state = self.0.join("freezer.state");
        let until = Instant::now() + Duration::from_secs(10);
        fs::write(&state, "FROZEN").expect("the machine is on");
        while fs::read_to_string(&state).expect("it is on").trim() != "FROZEN" {
            assert!(Instant::now() < until, "it does not freeze");
        }
        kill_below(&self.0);
        // It is gone by now, or dies in this moment.
        let _ = fs::write(&state, "THAWED");
    }
}

fn kill_below(group: &Path) {
    let processes = fs::read_to_string(group.join("cgroup.procs")).unwrap_or_default();
    for process in processes.lines() {
        if let Some(process) = process.parse().ok().and_then(Pid::from_raw) {
            let _ = kill_process(process, Signal::KILL);
        }
    }
    for entry in fs::read_dir(group).into_iter().flatten().flatten() {
        if entry.path().is_dir() {
            kill_below(&entry.path());
        }
    }
}

/// What `ssh` ends with where it has no connection.
const NO_LOGIN: i32 = 255;

impl Drop for Machine {
    fn drop(&mut self) {
        if !self.is_borrowed && env::var_os("DMP_LIVE_KEEP").is_none() {
            // A second panic would end the run without a word.
            let _ = Command::new(self.lab.value("lab"))
                .args(["down", &self.name])
                .output();
        }
    }
}

fn with_input(mut command: Command, input: &str) -> Output {
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().expect("ssh starts");
    let mut stdin = child.stdin.take().expect("it is piped");
    // An answer that ends before it has read everything is told by its exit code.
    let _ = stdin.write_all(input.as_bytes());
    drop(stdin);
    child.wait_with_output().expect("ssh ends")
}

fn read_values(text: &str) -> BTreeMap<String, String> {
    text.lines()
        .filter_map(|line| line.split_once('='))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_keep_what_stands_after_the_first_sign() {
        let values = read_values("NAME=n1\nOPTIONS=a=b\nINIT=\n");
        assert_eq!(values["OPTIONS"], "a=b");
        assert_eq!(values["INIT"], "");
    }
}
