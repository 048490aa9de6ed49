//! What a machine is: operating system, kernel, size. Only what stays the same while nobody changes it.

use std::collections::BTreeMap;

use dmp_sdk::{Script, Value};

/// Reads the facts.
pub(crate) const SCRIPT: &str = r#"
echo "hostname=$(cat /proc/sys/kernel/hostname)"
echo "kernel=$(uname -r)"
echo "architecture=$(uname -m)"
echo "cores=$(nproc 2>/dev/null || grep -c '^processor' /proc/cpuinfo)"
sed -n 's/^MemTotal: *\([0-9]*\) kB$/memory_kib=\1/p' /proc/meminfo
echo ---
cat /etc/os-release 2>/dev/null || cat /usr/lib/os-release
"#;

/// The script.
pub(crate) fn script() -> Script {
    Script::new(SCRIPT)
}

/// A machine's facts.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct MachineFacts {
    pub(crate) hostname: String,
    pub(crate) kernel: String,
    pub(crate) architecture: String,
    pub(crate) cores: i64,
    pub(crate) memory_mib: i64,
    pub(crate) os_id: String,
    pub(crate) os_version: Option<String>,
    pub(crate) os_codename: Option<String>,
}

impl MachineFacts {
    /// The operating system as a value: `id`, `version_id`, `codename`.
    pub(crate) fn os(&self) -> Value {
        Value::object_of([
            ("id", self.os_id.as_str().into()),
            ("version_id", self.os_version.clone().into()),
            ("codename", self.os_codename.clone().into()),
        ])
    }
}

/// Understands the script's output.
pub(crate) fn parse(output: &str) -> MachineFacts {
    let (facts, os) = output.split_once("---\n").unwrap_or((output, ""));
    let facts: BTreeMap<&str, &str> = facts
        .lines()
        .filter_map(|line| line.split_once('='))
        .collect();
    let os: BTreeMap<&str, String> = os
        .lines()
        .filter_map(|line| line.split_once('='))
        .map(|(name, value)| (name, unquoted(value)))
        .collect();
    let fact = |name: &str| (*facts.get(name).unwrap_or(&"")).to_owned();
    let number = |name: &str| fact(name).parse::<i64>().unwrap_or_default();
    MachineFacts {
        hostname: fact("hostname"),
        kernel: fact("kernel"),
        architecture: fact("architecture"),
        cores: number("cores"),
        memory_mib: number("memory_kib") / 1024,
        os_id: os.get("ID").cloned().unwrap_or_else(|| "linux".into()),
        os_version: os.get("VERSION_ID").cloned(),
        os_codename: os
            .get("VERSION_CODENAME")
            .cloned()
            .filter(|name| !name.is_empty()),
    }
}

/// A value of `os-release`, which is written as a shell would read it.
fn unquoted(value: &str) -> String {
    let value = value.trim();
    let inside = |quote: char| value.strip_prefix(quote)?.strip_suffix(quote);
    match inside('"') {
        Some(text) => {
            let mut plain = String::new();
            let mut chars = text.chars();
            while let Some(c) = chars.next() {
                plain.push(if c == '\\' {
                    chars.next().unwrap_or(c)
                } else {
                    c
                });
            }
            plain
        }
        None => inside('\'').unwrap_or(value).to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debian_and_alpine_are_understood() {
        let debian = "hostname=cp1\nkernel=6.1.0-40-amd64\narchitecture=x86_64\ncores=4\nmemory_kib=8131556\n---\n\
            PRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\nNAME=\"Debian GNU/Linux\"\nVERSION_ID=\"12\"\n\
            VERSION_CODENAME=bookworm\nID=debian\nHOME_URL=\"https://example.org/\"\n";
        let facts = parse(debian);
        assert_eq!((facts.cores, facts.memory_mib), (4, 7940));
        assert_eq!(
            (facts.os_id.as_str(), facts.os_version.as_deref()),
            ("debian", Some("12"))
        );
        assert_eq!(facts.os_codename.as_deref(), Some("bookworm"));
        let alpine =
            parse("hostname=a\n---\nID=alpine\nVERSION_ID=3.22.1\nNAME='Alpine \"Linux\"'\n");
        assert_eq!(
            (alpine.os_id.as_str(), alpine.os_codename),
            ("alpine", None)
        );
    }
}
