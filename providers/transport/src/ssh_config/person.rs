//! Who runs dmp, and where: read once from the environment, `/etc/passwd` and the kernel. Called by `SshConfig` alone.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::expand::Person;

impl Person {
    /// The person behind this process. Where a host leaves the user open, dmp logs in as root.
    #[must_use]
    pub fn from_environment() -> Self {
        let variables: BTreeMap<String, String> = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .collect();
        let uid = rustix::process::getuid().as_raw();
        let passwd = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
        let users: Vec<(&str, u32, &str)> = passwd.lines().filter_map(user).collect();
        let own = users.iter().find(|(_, number, _)| *number == uid);
        let named = ["USER", "LOGNAME"]
            .into_iter()
            .find_map(|name| variables.get(name).cloned());
        let name = own.map(|(name, ..)| (*name).to_owned()).or(named);
        let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
        Self {
            name: name.unwrap_or_default(),
            login: "root".into(),
            uid,
            home: std::env::home_dir().unwrap_or_else(|| PathBuf::from("/")),
            homes: users
                .iter()
                .map(|(name, _, home)| ((*name).to_owned(), PathBuf::from(home)))
                .collect(),
            host: host.trim().to_owned(),
            variables,
        }
    }
}

/// Name, number and home in a line of `/etc/passwd`.
fn user(line: &str) -> Option<(&str, u32, &str)> {
    let parts: Vec<&str> = line.split(':').collect();
    let [name, _, number, _, _, home, ..] = parts[..] else {
        return None;
    };
    Some((name, number.parse().ok()?, home))
}
