//! Control groups of a machine: version 2, or the hierarchies of version 1 with or without version 2 beside them.
//!
//! A machine has a group of its own in each hierarchy that the host has mounted, and sees it as the root.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::mount::{MsFlags, mount};

/// Where hosts have their control groups.
const TOP: &str = "/sys/fs/cgroup";

/// How long groups may take to be empty after a machine's last process, on a host with other work.
const PATIENCE: Duration = Duration::from_secs(60);

/// The hierarchies of this host.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Groups {
    hierarchies: Vec<Hierarchy>,
    /// Names beside those of mount points: `cpu` for `cpu,cpuacct`.
    links: Vec<(PathBuf, PathBuf)>,
}

#[derive(Debug, PartialEq, Eq)]
struct Hierarchy {
    at: PathBuf,
    kind: Kind,
}

#[derive(Debug, PartialEq, Eq)]
enum Kind {
    /// Version 1, with what it is mounted by.
    First(String),
    Second,
}

impl Groups {
    /// Finds the hierarchies that are mounted where this process is.
    ///
    /// # Errors
    /// Where there are none.
    pub(super) fn here() -> Result<Groups, String> {
        let mut groups = Groups::of_process("self")?;
        if !groups.is_unified() {
            let entries = fs::read_dir(TOP).map_err(|error| format!("{TOP}: {error}"))?;
            let links = entries.flatten().filter_map(|entry| {
                let target = fs::read_link(entry.path()).ok()?;
                Some((entry.path(), target))
            });
            groups.links = links.collect();
        }
        Ok(groups)
    }

    fn of_process(process: &str) -> Result<Groups, String> {
        let path = format!("/proc/{process}/mounts");
        let mounts = fs::read_to_string(&path).map_err(|error| format!("{path}: {error}"))?;
        Groups::of(&mounts)
    }

    /// Returns the hierarchies of this host, mounted or not where this process is.
    ///
    /// # Errors
    /// Where there are none.
    pub(super) fn of_host() -> Result<Groups, String> {
        Groups::here().or_else(|_| Groups::of_process("1"))
    }

    /// Finds the hierarchies, and mounts them where the host's first process has them and this one has not: whoever entered a
    /// network namespace by `ip netns exec` has another `/sys`. Mounts have to be kept private before.
    ///
    /// # Errors
    /// Where there are none.
    pub(super) fn at_hand() -> Result<Groups, String> {
        if let Ok(groups) = Groups::here() {
            return Ok(groups);
        }
        Groups::of_process("1")?.mount_below("")?;
        Groups::here()
    }

    fn of(mounts: &str) -> Result<Groups, String> {
        let mut hierarchies: Vec<Hierarchy> = Vec::new();
        for line in mounts.lines() {
            let fields: Vec<&str> = line.split(' ').collect();
            let [_, at, kind, options, ..] = fields[..] else {
                continue;
            };
            if !Path::new(at).starts_with(TOP)
                || hierarchies.iter().any(|it| it.at == Path::new(at))
            {
                continue;
            }
            let kind = match kind {
                "cgroup2" => Kind::Second,
                "cgroup" => Kind::First(named(options)),
                _ => continue,
            };
            hierarchies.push(Hierarchy {
                at: at.into(),
                kind,
            });
        }
        // What is mounted at the top covers all else.
        if let Some(index) = hierarchies.iter().position(|it| it.at == Path::new(TOP)) {
            hierarchies = vec![hierarchies.swap_remove(index)];
        }
        if hierarchies.is_empty() {
            return Err(format!("no control groups are mounted at {TOP}"));
        }
        Ok(Groups {
            hierarchies,
            links: Vec::new(),
        })
    }

    /// Whether there is version 2 alone.
    pub(super) fn is_unified(&self) -> bool {
        let top = self.hierarchies.iter().find(|it| it.at == Path::new(TOP));
        top.is_some_and(|it| it.kind == Kind::Second)
    }

    /// Makes a machine's group, with a limit of its memory in bytes.
    pub(super) fn make(&self, group: &str, memory: u64) -> Result<(), String> {
        for Hierarchy { at, kind } in &self.hierarchies {
            let own = at.join(group);
            let levels = levels(at, &own);
            create(&levels)?;
            for level in &levels {
                match kind {
                    Kind::Second => hand_down(level.parent().unwrap_or(at)),
                    Kind::First(_) => {}
                }
                fill_cpuset(level)?;
            }
            let limit = match kind {
                Kind::Second => own.join("memory.max"),
                Kind::First(_) => own.join("memory.limit_in_bytes"),
            };
            if limit.exists() {
                fs::write(&limit, memory.to_string())
                    .map_err(|error| format!("`{}`: {error}", limit.display()))?;
            }
        }
        Ok(())
    }

    /// Moves this process into a machine's group.
    pub(super) fn enter(&self, group: &str) -> Result<(), String> {
        for Hierarchy { at, .. } in &self.hierarchies {
            let list = at.join(group).join("cgroup.procs");
            fs::write(&list, "0").map_err(|error| format!("`{}`: {error}", list.display()))?;
        }
        Ok(())
    }

    /// Removes a machine's group, with those that its own system has made below, once nothing is in them.
    pub(super) fn remove(&self, group: &str) {
        let until = Instant::now() + PATIENCE;
        for Hierarchy { at, .. } in &self.hierarchies {
            let own = at.join(group);
            while own.is_dir() && !empty(&own) && Instant::now() < until {
                std::thread::sleep(Duration::from_millis(20));
            }
            // It goes with the last machine of the lab.
            if let Some(parent) = own.parent().filter(|parent| *parent != at) {
                let _ = fs::remove_dir(parent);
            }
        }
    }

    /// Mounts the hierarchies below a folder of a machine, from within its namespace of control groups.
    pub(super) fn mount_below(&self, root: &str) -> Result<(), String> {
        let usual = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
        let target = |at: &Path| format!("{root}{}", at.display());
        let mounted = |kind: &str, at: &Path, options: Option<&str>| {
            mount(Some(kind), target(at).as_str(), Some(kind), usual, options)
                .map_err(|error| format!("{} can't be mounted: {}", at.display(), error.desc()))
        };
        let top = Path::new(TOP);
        if self.is_unified() {
            return mounted("cgroup2", top, None);
        }
        mounted("tmpfs", top, Some("mode=755,size=1m"))?;
        for Hierarchy { at, kind } in &self.hierarchies {
            let point = target(at);
            fs::create_dir(&point).map_err(|error| format!("{point}: {error}"))?;
            match kind {
                Kind::Second => mounted("cgroup2", at, None)?,
                Kind::First(options) => mounted("cgroup", at, Some(options))?,
            }
        }
        for (link, leads_to) in &self.links {
            let link = target(link);
            std::os::unix::fs::symlink(leads_to, &link)
                .map_err(|error| format!("{link}: {error}"))?;
        }
        // A tmpfs of that size is no place to keep anything.
        let sealed = usual | MsFlags::MS_REMOUNT | MsFlags::MS_RDONLY;
        mount(
            None::<&str>,
            target(top).as_str(),
            None::<&str>,
            sealed,
            None::<&str>,
        )
        .map_err(|error| format!("{TOP} can't be made read-only: {}", error.desc()))
    }
}

/// Returns the options that tell one hierarchy of version 1 from another.
fn named(options: &str) -> String {
    const GENERAL: [&str; 8] = [
        "rw", "ro", "nosuid", "nodev", "noexec", "relatime", "noatime", "xattr",
    ];
    let own = options
        .split(',')
        .filter(|option| !GENERAL.contains(option) && !option.starts_with("release_agent="));
    let mut own: Vec<&str> = own.collect();
    if own.iter().any(|option| option.starts_with("name=")) {
        own.insert(0, "none");
    }
    own.join(",")
}

/// Returns the groups from below a hierarchy's root down to one.
fn levels(at: &Path, own: &Path) -> Vec<PathBuf> {
    let up = own.ancestors().take_while(|level| *level != at);
    let mut levels: Vec<PathBuf> = up.map(Path::to_owned).collect();
    levels.reverse();
    levels
}

/// Lets groups below one have its controllers. Where processes are in it the kernel refuses: machines have no limits then.
fn hand_down(group: &Path) {
    let controllers = fs::read_to_string(group.join("cgroup.controllers")).unwrap_or_default();
    for controller in controllers.split_whitespace() {
        let _ = fs::write(
            group.join("cgroup.subtree_control"),
            format!("+{controller}"),
        );
    }
}

/// A new group of version 1 has neither processors nor memory, and takes no process before it has.
fn fill_cpuset(group: &Path) -> Result<(), String> {
    for name in ["cpuset.cpus", "cpuset.mems"] {
        let (own, above) = (group.join(name), group.join("..").join(name));
        let is_empty = fs::read_to_string(&own).is_ok_and(|text| text.trim().is_empty());
        if let (true, Ok(text)) = (is_empty, fs::read_to_string(above)) {
            if text.trim().is_empty() {
                // Of version 2, where an empty one is as large as the one above.
                continue;
            }
            fs::write(&own, text).map_err(|error| format!("`{}`: {error}", own.display()))?;
        }
    }
    Ok(())
}

/// Removes a group with all below it; whether that was possible.
fn empty(group: &Path) -> bool {
    for entry in fs::read_dir(group).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            empty(&entry.path());
        }
    }
    fs::remove_dir(group).is_ok()
}

/// Makes groups, each within the one before, where they are not there. Two machines of a lab that start at once both make what they
/// have in common, and each takes that away again while nothing is in it.
fn create(levels: &[PathBuf]) -> Result<(), String> {
    let until = Instant::now() + PATIENCE;
    loop {
        let made = levels
            .iter()
            .try_for_each(|level| match fs::create_dir(level) {
                Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
                made => made.map_err(|error| (level, error)),
            });
        match made {
            Ok(()) => return Ok(()),
            Err((_, error)) if error.kind() == ErrorKind::NotFound && Instant::now() < until => {}
            Err((level, error)) => {
                return Err(format!("the control group `{}`: {error}", level.display()));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn machines_that_start_at_once_do_not_take_their_groups_from_each_other() {
        let folder = tempfile::tempdir().expect("a folder");
        let start = |machine: usize| {
            let all = folder.path().join("lab");
            let own = all.join(machine.to_string());
            for _ in 0..200 {
                create(&[all.clone(), own.clone()]).expect("they are made");
                fs::remove_dir(&own).expect("it is there");
                // It goes with the last one.
                let _ = fs::remove_dir(&all);
            }
        };
        std::thread::scope(|scope| {
            for machine in 0..4 {
                scope.spawn(move || start(machine));
            }
        });
    }

    #[test]
    fn hosts_have_version_two_alone_or_version_one_with_it_beside() {
        let second =
            "sysfs /sys sysfs rw 0 0\ncgroup2 /sys/fs/cgroup cgroup2 rw,nosuid,nsdelegate 0 0\n";
        assert!(Groups::of(second).expect("groups").is_unified());

        let both = "tmpfs /sys/fs/cgroup tmpfs rw 0 0\n\
                    cgroup /sys/fs/cgroup/cpu,cpuacct cgroup rw,nosuid,relatime,cpu,cpuacct 0 0\n\
                    cgroup /sys/fs/cgroup/systemd cgroup rw,xattr,release_agent=/x,name=systemd 0 0\n\
                    cgroup2 /sys/fs/cgroup/unified cgroup2 rw 0 0\n\
                    cgroup /mnt/elsewhere cgroup rw,memory 0 0\n";
        let both = Groups::of(both).expect("groups");
        assert!(!both.is_unified());
        let kinds: Vec<_> = both.hierarchies.iter().map(|it| &it.kind).collect();
        assert_eq!(
            kinds,
            [
                &Kind::First("cpu,cpuacct".into()),
                &Kind::First("none,name=systemd".into()),
                &Kind::Second
            ]
        );

        assert!(Groups::of("proc /proc proc rw 0 0\n").is_err());
    }
}
