//! The lab as a test sees it: its values, its machines and a way into its network.

use std::collections::BTreeMap;
use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::{Machine, Variables};

/// Names the machine to a test inside the network.
const INSIDE: &str = "DMP_LIVE_INSIDE";

/// The lab that `cargo xtask live` has prepared for this suite.
#[derive(Debug, Clone)]
pub struct Lab {
    command: PathBuf,
    values: BTreeMap<String, String>,
}

impl Lab {
    /// Returns the lab which the environment describes.
    ///
    /// # Panics
    ///
    /// If there is none: these tests are started by `cargo xtask live NAME` only.
    #[must_use]
    pub fn of_this_suite() -> Self {
        let command = env::var_os("DMP_LIVE_LAB")
            .expect("started by `cargo xtask live NAME`, which prepares a lab");
        let values = env::vars()
            .filter_map(|(name, value)| {
                Some((name.strip_prefix("DMP_LIVE_")?.to_lowercase(), value))
            })
            .collect();
        Self {
            command: command.into(),
            values,
        }
    }

    /// Returns what the lab says of itself, as `kubernetes_version` for the environment's `DMP_LIVE_KUBERNETES_VERSION`.
    ///
    /// # Panics
    ///
    /// If the lab does not say that.
    #[must_use]
    pub fn value(&self, name: &str) -> &str {
        match self.values.get(name) {
            Some(value) => value,
            None => panic!("the lab says nothing of `{name}`, but of: {}", self.names()),
        }
    }

    fn names(&self) -> String {
        self.values
            .keys()
            .map(String::as_str)
            .collect::<Vec<_>>()
            .join(", ")
    }

    /// Returns the binary under test.
    #[must_use]
    pub fn binary(&self) -> &Path {
        Path::new(self.value("binary"))
    }

    /// Starts machines, all at once, and returns them when each has booted. They are deleted when they are dropped.
    #[must_use]
    pub fn machines<const N: usize>(&self, names: [&str; N]) -> [Machine; N] {
        self.machines_with(2048, names)
    }

    /// Starts machines with a memory limit in MiB; a control plane wants 4096.
    #[must_use]
    pub fn machines_with<const N: usize>(&self, memory: u32, names: [&str; N]) -> [Machine; N] {
        let memory = memory.to_string();
        self.run(["up", "--memory", &memory].into_iter().chain(names));
        names.map(|name| Machine::existing(self, name))
    }

    /// Starts a machine of another Debian than all others are: `bookworm`.
    #[must_use]
    pub fn machine_of(&self, suite: &str, name: &str) -> Machine {
        self.run(["up", "--suite", suite, name]);
        Machine::existing(self, name)
    }

    /// Starts a virtual machine, with a kernel of its own and empty disks of these sizes (`512M`): `vdb`, `vdc` and so on.
    /// Emulated, it boots in one minute or several.
    #[must_use]
    pub fn virtual_machine(&self, name: &str, disks: &[&str]) -> Machine {
        let disks = disks.iter().flat_map(|size| ["--disk", size]);
        self.run(
            ["up", "--vm", "--memory", "1024"]
                .into_iter()
                .chain(disks)
                .chain([name]),
        );
        Machine::existing(self, name)
    }

    /// Runs one test of this program again, inside the lab's network, where the test itself can open connections. It
    /// finds the machine by [`Lab::from_outside`].
    ///
    /// # Panics
    ///
    /// If it fails.
    pub fn run_inside(&self, test: &str, machine: &Machine) {
        let program = env::current_exe().expect("this program has a path");
        let mut command = self.enter(program);
        command
            .args(["--ignored", "--exact", "--nocapture", test])
            .env(INSIDE, machine.name());
        let status = command.status().expect("it starts");
        assert!(status.success(), "{test} inside the network: {status}");
    }

    /// Returns the machine that [`Lab::run_inside`] was given, in the process that it has started.
    #[must_use]
    pub fn from_outside(&self) -> Option<Machine> {
        let name = env::var(INSIDE).ok()?;
        Some(Machine::borrowed(self, &name))
    }

    /// Puts the API servers of these machines behind the address `value("endpoint")`.
    pub fn balance(&self, machines: &[&Machine]) {
        self.run(
            ["balance"]
                .into_iter()
                .chain(machines.iter().map(|machine| machine.name())),
        );
    }

    /// Returns a command that runs inside the lab's network, where machines and services can be reached.
    #[must_use]
    pub fn enter(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new("ip");
        command
            .args(["netns", "exec", self.value("netns")])
            .arg(program);
        command
    }

    /// Returns what a URL answers, asked from outside of all machines, or `None` if nobody does.
    #[must_use]
    pub fn get(&self, url: &str) -> Option<String> {
        let output = self
            .enter("curl")
            .args(["-fsS", "--max-time", "5", url])
            .output()
            .expect("curl runs");
        output
            .status
            .success()
            .then(|| String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// Returns the values of this lab for a stack's input variables, under their own names.
    #[must_use]
    pub fn variables(&self) -> Variables {
        const FOR_STACKS: [&str; 12] = [
            "apt_containerd",
            "apt_containerd_key",
            "apt_kubernetes",
            "apt_kubernetes_key",
            "containerd_version",
            "endpoint",
            "flannel_cni_version",
            "flannel_version",
            "images",
            "kubernetes_version",
            "pause_image",
            "registry",
        ];
        let known = FOR_STACKS
            .iter()
            .filter_map(|name| Some((*name, self.values.get(*name)?)));
        known.fold(Variables::default(), |variables, (name, value)| {
            variables.text(name, value)
        })
    }

    /// Returns what `examples/minimal-cluster` is told of this lab, whatever machines it has: where packages and images come from,
    /// and what such machines need.
    ///
    /// # Panics
    ///
    /// If the lab serves no packages.
    #[must_use]
    pub fn cluster_values(&self) -> String {
        let key_of = |name: &str| self.get(self.value(name)).expect("the key is served");
        let registry = self.value("registry");
        format!(
            r#"kubernetes_version       = "{}"
kubernetes_packages      = {{ uri = "{}", key = <<-EOK
{}
EOK
}}
containerd_packages      = {{ uri = "{}", suite = "{}", version = "{}-*", key = <<-EOK
{}
EOK
}}
image_repository         = "{images}"
pause_image              = "{}"
registry_mirrors         = {{ "{registry}" = "http://{registry}" }}
containerd_settings      = "  restrict_oom_score_adj = true"
flannel_image            = "{images}/flannel:v{}"
flannel_plugin_image     = "{images}/flannel-cni-plugin:v{}"
web_image                = "{images}/web:1"
ignored_preflight_errors = ["SystemVerification"]
kube_proxy               = {{ mode = "nftables", conntrack = {{ maxPerCore = 0 }} }}
kubelet = {{
  failCgroupV1                = false
  imageGCHighThresholdPercent = 100
  evictionHard = {{
    "memory.available"  = "100Mi"
    "nodefs.available"  = "0%"
    "nodefs.inodesFree" = "0%"
    "imagefs.available" = "0%"
  }}
}}
"#,
            self.value("kubernetes_version"),
            self.value("apt_kubernetes"),
            key_of("apt_kubernetes_key").trim(),
            self.value("apt_containerd"),
            self.value("suite"),
            self.value("containerd_version"),
            key_of("apt_containerd_key").trim(),
            self.value("pause_image"),
            self.value("flannel_version"),
            self.value("flannel_cni_version"),
            images = self.value("images"),
        )
    }

    /// Runs one of the lab's commands and returns what it printed.
    ///
    /// # Panics
    ///
    /// If it fails.
    pub(crate) fn run<'a>(&self, words: impl IntoIterator<Item = &'a str>) -> String {
        let words: Vec<&str> = words.into_iter().collect();
        let output = Command::new(&self.command)
            .args(&words)
            .output()
            .expect("the lab's command runs");
        assert!(
            output.status.success(),
            "`lab {}` failed: {}",
            words.join(" "),
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8_lossy(&output.stdout).into_owned()
    }
}
