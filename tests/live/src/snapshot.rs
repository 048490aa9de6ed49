//! What a machine is at one moment, to compare it with what it is at another.
//!
//! Files are read from the host and told as differences from the image, so a file that was changed and changed back is none.
//! The rest is asked of the machine. Left out is what changes by itself: logs, seeds and clocks, and what a login brings.

use std::collections::BTreeMap;
use std::fmt::{self, Write};
use std::fs::{self, Metadata};
use std::hash::{DefaultHasher, Hasher};
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::Machine;

/// One thing on a machine: a kind and a name, as `file /etc/hosts` or `unit ssh.service`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Entry {
    /// One of `file`, `unit`, `package`, `mount`, `link`, `route`, `rules`, `module`, `sysctl`.
    pub kind: String,
    /// Its name among its kind.
    pub name: String,
}

impl fmt::Display for Entry {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} {}", self.kind, self.name)
    }
}

/// Everything that a provisioner could have changed on a machine.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Snapshot {
    /// What there is, and in which state.
    pub entries: BTreeMap<Entry, String>,
}

impl Snapshot {
    pub(crate) fn of(machine: &Machine) -> Self {
        let mut snapshot = Self::default();
        let init = machine.init();
        let files = Layers {
            upper: machine.path("UPPER"),
            lower: machine.path("IMAGE"),
            merged: PathBuf::from(format!("/proc/{init}/root")),
        };
        files
            .folder(Path::new(""), &mut snapshot)
            .unwrap_or_else(|error| panic!("cannot read the files of {}: {error}", machine.name()));
        for folder in ["containerd", "kubelet"] {
            snapshot.names(
                &machine.path("FOLDER").join(folder),
                &format!("/var/lib/{folder}"),
                2,
            );
        }
        snapshot.asked(&machine.ssh(QUESTIONS));
        snapshot.network(&init);
        snapshot
    }

    /// Returns what differs, one line each: `+` what came, `-` what went, `~` what became other.
    #[must_use]
    pub fn differences(&self, later: &Self) -> Vec<String> {
        let mut lines: Vec<(&Entry, String)> = Vec::new();
        for (entry, before) in &self.entries {
            match later.entries.get(entry) {
                None => lines.push((entry, format!("- {entry}: {before}"))),
                Some(after) if after != before => {
                    lines.push((entry, format!("~ {entry}: {before} -> {after}")));
                }
                Some(_) => {}
            }
        }
        let came = later
            .entries
            .iter()
            .filter(|(entry, _)| !self.entries.contains_key(entry));
        lines.extend(came.map(|(entry, after)| (entry, format!("+ {entry}: {after}"))));
        lines.sort();
        lines.into_iter().map(|(_, line)| line).collect()
    }

    /// Returns it without the entries for which this holds, such as files a test is allowed to leave.
    #[must_use]
    pub fn without(mut self, leave_out: impl Fn(&Entry) -> bool) -> Self {
        self.entries.retain(|entry, _| !leave_out(entry));
        self
    }

    fn add(&mut self, kind: &str, name: impl Into<String>, state: impl Into<String>) {
        let entry = Entry {
            kind: kind.to_owned(),
            name: name.into(),
        };
        self.entries.insert(entry, state.into());
    }

    /// Adds the names in a folder, so many levels deep; what is in its files is not looked at.
    fn names(&mut self, folder: &Path, shown: &str, levels: u32) {
        let Ok(entries) = fs::read_dir(folder) else {
            return;
        };
        for entry in entries.flatten() {
            let name = format!("{shown}/{}", entry.file_name().to_string_lossy());
            if levels > 1 {
                self.names(&entry.path(), &name, levels - 1);
            }
            self.add("file", name, "there");
        }
    }

    /// Adds what the machine answered to [`QUESTIONS`]: lines of a kind, a name and a state.
    fn asked(&mut self, answers: &str) {
        for line in answers.lines() {
            let mut words = line.splitn(3, '\t');
            let (Some(kind), Some(name), Some(state)) = (words.next(), words.next(), words.next())
            else {
                panic!("the machine answered `{line}`");
            };
            if !changes_by_itself(kind, name) {
                self.add(kind, name, state);
            }
        }
    }

    /// Adds what is in its network namespace, with the host's tools: a bare machine has none for rules.
    fn network(&mut self, init: &str) {
        for line in in_network(init, &["ip", "-oneline", "address"]).lines() {
            // `2: eth0    inet 10.79.0.11/24 …`; the lifetimes after the address run down.
            let words: Vec<&str> = line.split_whitespace().collect();
            self.add("link", format!("{} {}", words[1], words[3]), words[2]);
        }
        for line in in_network(init, &["ip", "-oneline", "link"]).lines() {
            let words: Vec<&str> = line.split_whitespace().collect();
            let name = words[1]
                .trim_end_matches(':')
                .split('@')
                .next()
                .unwrap_or_default();
            self.add("link", name, words[2]);
        }
        // What is in the table `local` follows from the addresses, a little later.
        let routes = in_network(init, &["ip", "-oneline", "route", "show", "table", "all"]);
        for line in routes
            .lines()
            .filter(|line| !line.contains(" table local "))
        {
            self.add("route", line.trim(), "there");
        }
        self.add(
            "rules",
            "nft",
            in_network(init, &["nft", "--stateless", "list", "ruleset"]),
        );
        self.add(
            "rules",
            "iptables-legacy",
            in_network(init, &["cat", "/proc/net/ip_tables_names"]),
        );
    }
}

/// Prints lines of `kind<tab>name<tab>state`.
const QUESTIONS: &str = r#"
set -euo pipefail
tab=$(printf '\t')
systemctl list-units --all --plain --no-legend --no-pager | awk -v OFS="$tab" '$2 == "loaded" { print "unit", $1, $3 "/" $4 }'
systemctl list-unit-files --plain --no-legend --no-pager | awk -v OFS="$tab" '{ print "unit", $1 " (file)", $2 }'
dpkg-query -W -f 'package\t${Package}\t${Version} ${db:Status-Want} ${db:Status-Status}\n'
awk -v OFS="$tab" '{ print "mount", $2, $1 " " $3 }' /proc/self/mounts
awk -v OFS="$tab" '{ print "module", $1, "loaded" }' /proc/modules 2>/dev/null || true
sudo sysctl -a 2>/dev/null | awk -F ' = ' -v OFS="$tab" '
    /^(net\.ipv4\.ip_forward|net\.ipv[46]\.conf\.(all|default)\.|net\.bridge\.|net\.netfilter\.nf_conntrack_(max|tcp_)|vm\.|kernel\.panic|fs\.inotify\.)/ \
    { print "sysctl", $1, $2 }'
"#;

fn changes_by_itself(kind: &str, name: &str) -> bool {
    const UNITS: [&str; 9] = [
        "dpkg-db-backup.",
        "run-",
        "session-",
        "systemd-hostnamed.",
        "systemd-tmpfiles-clean.",
        "user-",
        "user@",
        "systemd-creds@",
        "systemd-networkd.socket",
    ];
    match kind {
        "unit" => UNITS.iter().any(|start| name.starts_with(start)),
        "mount" => name.starts_with("/run/user/") || name.starts_with("/run/credentials/"),
        "file" => ["/var/log/", "/var/lib/systemd/", "/var/backups/"]
            .iter()
            .any(|start| name.starts_with(start)),
        _ => false,
    }
}

fn in_network(init: &str, words: &[&str]) -> String {
    let output = Command::new("nsenter")
        .arg(format!("--net=/proc/{init}/ns/net"))
        .args(words)
        .output();
    let output = output.expect("nsenter runs");
    assert!(
        output.status.success(),
        "{words:?} in a machine's network: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// The files of a machine: its changes, the image below them, and both together as the machine sees them.
struct Layers {
    upper: PathBuf,
    lower: PathBuf,
    merged: PathBuf,
}

impl Layers {
    fn folder(&self, folder: &Path, snapshot: &mut Snapshot) -> io::Result<()> {
        for entry in fs::read_dir(self.upper.join(folder))? {
            let path = folder.join(entry?.file_name());
            let metadata = fs::symlink_metadata(self.upper.join(&path))?;
            // An overlay marks so what is removed; the image's names tell it below, with what an opaque folder hides.
            let removed = metadata.file_type().is_char_device() && metadata.rdev() == 0;
            let name = format!("/{}", path.display());
            if removed || changes_by_itself("file", &name) {
                continue;
            }
            let state = state(&self.upper.join(&path), &metadata)?;
            if self.in_image(&path)? != Some(state.clone()) {
                snapshot.add("file", &name, state);
            }
            if metadata.is_dir() {
                self.folder(&path, snapshot)?;
            }
        }
        self.removed(folder, snapshot);
        Ok(())
    }

    fn in_image(&self, path: &Path) -> io::Result<Option<String>> {
        match fs::symlink_metadata(self.lower.join(path)) {
            Ok(metadata) => state(&self.lower.join(path), &metadata).map(Some),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn removed(&self, folder: &Path, snapshot: &mut Snapshot) {
        let Ok(entries) = fs::read_dir(self.lower.join(folder)) else {
            return;
        };
        for entry in entries.flatten() {
            let path = folder.join(entry.file_name());
            let name = format!("/{}", path.display());
            if fs::symlink_metadata(self.merged.join(&path)).is_err()
                && !changes_by_itself("file", &name)
            {
                snapshot.add("file", name, "removed");
            }
        }
    }
}

/// What a file is, but for its times.
fn state(path: &Path, metadata: &Metadata) -> io::Result<String> {
    let kind = metadata.file_type();
    if kind.is_symlink() {
        return Ok(format!("link to {}", fs::read_link(path)?.display()));
    }
    let mut state = format!(
        "{:04o} {}:{}",
        metadata.permissions().mode() & 0o7777,
        metadata.uid(),
        metadata.gid()
    );
    if kind.is_dir() {
        state.push_str(" folder");
    } else if kind.is_file() {
        // Enough to tell two contents apart, and as fast in a test's build as in a release.
        let mut hasher = DefaultHasher::new();
        hasher.write(&fs::read(path)?);
        let _ = write!(state, " {} bytes {:016x}", metadata.len(), hasher.finish());
    } else {
        let _ = write!(state, " device {}", metadata.rdev());
    }
    Ok(state)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn snapshot(entries: &[(&str, &str)]) -> Snapshot {
        let mut snapshot = Snapshot::default();
        entries
            .iter()
            .for_each(|(name, state)| snapshot.add("unit", *name, *state));
        snapshot
    }

    #[test]
    fn differences_tell_what_came_went_and_became_other() {
        let before = snapshot(&[("a", "active"), ("b", "active"), ("c", "active")]);
        let after = snapshot(&[("b", "failed"), ("c", "active"), ("d", "active")]);
        assert_eq!(
            before.differences(&after),
            [
                "- unit a: active",
                "~ unit b: active -> failed",
                "+ unit d: active"
            ]
        );
        assert!(before.differences(&before).is_empty());
        assert!(
            before
                .without(|entry| entry.name != "c")
                .differences(&after.without(|entry| entry.name != "c"))
                .is_empty()
        );
    }

    #[test]
    fn files_are_told_as_differences_from_the_image() {
        let home = tempfile::tempdir().expect("a folder");
        let make = |path: &str, text: &str| {
            let path = home.path().join(path);
            fs::create_dir_all(path.parent().expect("a folder")).expect("it can be made");
            fs::write(path, text).expect("it can be written");
        };
        make("lower/etc/same", "1");
        make("lower/etc/changed", "1");
        make("lower/etc/gone", "1");
        make("upper/etc/same", "1");
        make("upper/etc/changed", "2");
        make("upper/etc/new", "3");
        make("upper/var/log/messages", "4");
        for name in ["same", "changed", "new"] {
            make(&format!("merged/etc/{name}"), "");
        }
        let at = |name: &str| home.path().join(name);
        let mut snapshot = Snapshot::default();
        let layers = Layers {
            upper: at("upper"),
            lower: at("lower"),
            merged: at("merged"),
        };
        layers
            .folder(Path::new(""), &mut snapshot)
            .expect("readable");
        let names: Vec<&str> = snapshot
            .entries
            .keys()
            .map(|entry| entry.name.as_str())
            .collect();
        assert_eq!(
            names,
            ["/etc/changed", "/etc/gone", "/etc/new", "/var", "/var/log"]
        );
        assert_eq!(
            snapshot.entries.values().nth(1).map(String::as_str),
            Some("removed")
        );
    }
}
