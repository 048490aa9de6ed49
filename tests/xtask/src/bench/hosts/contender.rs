//! Who does the work: a script by hand, dmp, and others, each told of the hosts in its own way.

use std::fmt::Write as _;
use std::path::Path;

use sha2::{Digest, Sha256};
use tokio::process::Command;

use super::Site;
use crate::process::{Failure, Shell};

/// What is installed of others. Mitogen follows ansible-core with some delay.
pub(super) const PACKAGES: [&str; 3] = ["ansible-core>=2.19,<2.20", "mitogen", "pyinfra>=3,<4"];

/// One who does the work.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Contender {
    /// One script over one `ssh` per host, all at once.
    Script,
    Dmp,
    /// With pipelining, forks for all, and connections that are kept.
    Ansible,
    Mitogen,
    Pyinfra,
}

const ALL: [Contender; 5] = [
    Contender::Script,
    Contender::Dmp,
    Contender::Ansible,
    Contender::Mitogen,
    Contender::Pyinfra,
];

impl Contender {
    /// The one of a name.
    pub(super) fn of(name: &str) -> Result<Self, Failure> {
        let found = ALL.into_iter().find(|one| one.name() == name);
        found.ok_or_else(|| {
            let names = ALL.map(Contender::name).join(", ");
            Failure::Said(format!("there is no contender `{name}`, but: {names}"))
        })
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Script => "script",
            Self::Dmp => "dmp",
            Self::Ansible => "ansible",
            Self::Mitogen => "mitogen",
            Self::Pyinfra => "pyinfra",
        }
    }

    /// Whether it has to be installed.
    pub(super) fn is_installed(&self) -> bool {
        matches!(self, Self::Ansible | Self::Mitogen | Self::Pyinfra)
    }

    fn folder(self, site: &Site) -> std::path::PathBuf {
        site.place.join(self.name())
    }

    /// Writes down the work and the hosts, anew.
    pub(super) fn prepare(self, site: &Site) -> Result<(), Failure> {
        let folder = self.folder(site);
        if folder.exists() {
            std::fs::remove_dir_all(&folder).map_err(Failure::io(folder.display()))?;
        }
        std::fs::create_dir_all(&folder).map_err(Failure::io(folder.display()))?;
        let template = read(&site.files.join("app.conf.j2"))?;
        match self {
            Self::Script => {
                let work = read(&site.files.join("script.sh"))?;
                let mut run = String::new();
                for (label, address) in &site.hosts {
                    let text = script(label, &template, &work);
                    write(&folder.join(label), &text)?;
                    let config = site.keys.join("config");
                    let config = config.display();
                    let _ = writeln!(
                        run,
                        "ssh -F {config} {address} sh -s <{label} & all=\"$all $!\""
                    );
                }
                run.push_str("for one in $all; do wait $one || exit 1; done\n");
                write(&folder.join("run"), &run)
            }
            Self::Dmp => {
                write(&folder.join("app.conf.j2"), &template)?;
                write(
                    &folder.join("main.hcl"),
                    &read(&site.files.join("stack.hcl"))?,
                )?;
                let key = read(&site.keys.join("host_key.pub"))?;
                let mut values = format!(
                    "host_key = \"{}\"\nkey_file = \"{}\"\nhosts = {{\n",
                    key.trim(),
                    site.keys.join("user_key").display()
                );
                for (label, address) in &site.hosts {
                    let _ = writeln!(values, "  {label} = \"{address}\"");
                }
                values.push_str("}\n");
                write(&folder.join("hosts.auto.hcl"), &values)
            }
            Self::Ansible | Self::Mitogen => {
                write(&folder.join("app.conf.j2"), &template)?;
                write(
                    &folder.join("playbook.yml"),
                    &read(&site.files.join("playbook.yml"))?,
                )?;
                write(&folder.join("ansible.cfg"), &self.settings(site))?;
                let mut hosts = String::new();
                for (label, address) in &site.hosts {
                    let _ = writeln!(hosts, "{label} ansible_host={address}");
                }
                write(&folder.join("hosts"), &hosts)
            }
            Self::Pyinfra => {
                write(&folder.join("app.conf.j2"), &template)?;
                for name in ["deploy.py", "inventory.py"] {
                    write(&folder.join(name), &read(&site.files.join(name))?)?;
                }
                let mut hosts = String::new();
                for (label, address) in &site.hosts {
                    let _ = writeln!(hosts, "{label} {address} {}", site.keys.display());
                }
                write(&folder.join("hosts"), &hosts)
            }
        }
    }

    fn settings(self, site: &Site) -> String {
        let keys = site.keys.display();
        let mut settings = format!(
            "[defaults]\ninventory = hosts\nforks = {}\nremote_user = root\nprivate_key_file = {keys}/user_key\n\
             interpreter_python = /usr/bin/python3\n",
            site.hosts.len()
        );
        if self == Self::Mitogen {
            settings.push_str("strategy = mitogen_linear\n");
            let plugins = std::fs::read_dir(site.peers.join("lib"))
                .into_iter()
                .flatten();
            for python in plugins.flatten() {
                let path = python
                    .path()
                    .join("site-packages/ansible_mitogen/plugins/strategy");
                let _ = writeln!(settings, "strategy_plugins = {}", path.display());
            }
        }
        let _ = write!(
            settings,
            "[ssh_connection]\npipelining = true\nssh_args = -F {keys}/config -o ControlMaster=auto -o ControlPersist=60s\n\
             control_path_dir = {}/control\n",
            site.place.display()
        );
        settings
    }

    /// One run.
    pub(super) fn command(self, shell: &Shell, site: &Site) -> Command {
        let program = match self {
            Self::Script => "sh".into(),
            Self::Dmp => site.dmp.clone(),
            Self::Ansible | Self::Mitogen => site.peers.join("bin/ansible-playbook"),
            Self::Pyinfra => site.peers.join("bin/pyinfra"),
        };
        let mut command = shell.command(program);
        command
            .current_dir(self.folder(site))
            .env("HOME", &site.place);
        match self {
            Self::Script => command.arg("run"),
            Self::Dmp => command.args(["apply", "--yes"]),
            Self::Ansible | Self::Mitogen => command.arg("playbook.yml").env("LC_ALL", "C.UTF-8"),
            Self::Pyinfra => command
                .args(["-y", "inventory.py", "deploy.py"])
                .env("BENCH_HOSTS", "hosts")
                .env("LC_ALL", "C.UTF-8"),
        };
        command
    }
}

/// The script for one host: its name, its files, their digests, then the work.
fn script(label: &str, template: &str, work: &str) -> String {
    let mut head = format!("label={label}\ntemplate() {{\ncase $1 in\n");
    let mut sums = String::new();
    for number in 0..10 {
        let text = template
            .replace("{{ label }}", label)
            .replace("{{ number }}", &number.to_string())
            .replace("{{ port }}", &(8000 + number).to_string());
        let _ = writeln!(head, "{number}) cat <<'TEXT'\n{text}TEXT\n;;");
        let _ = writeln!(sums, "{}  app/conf/{number}.conf", digest(&text));
    }
    let settings: String = (0..6)
        .map(|number| format!("key{number} = {label}\n"))
        .collect();
    let _ = writeln!(sums, "{}  data/settings", digest(&settings));
    format!("{head}esac\n}}\nsums='{}'\n{work}", sums.trim_end())
}

fn digest(text: &str) -> String {
    let bytes = Sha256::digest(text.as_bytes());
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn read(file: &Path) -> Result<String, Failure> {
    std::fs::read_to_string(file).map_err(Failure::io(file.display()))
}

fn write(file: &Path, text: &str) -> Result<(), Failure> {
    std::fs::write(file, text).map_err(Failure::io(file.display()))
}
