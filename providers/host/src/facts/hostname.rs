//! A machine's own name: the one in force, the one for the next boot, and the address that goes with it.

use dmp_sdk::Script;

/// Reads all three.
const SCRIPT: &str = r#"
printf '%s\n' "running=$(uname -n)"
if [ -f /etc/hostname ]; then
	while IFS= read -r line || [ -n "$line" ]; do
		case $line in '' | '#'*) ;; *) printf '%s\n' "static=$line"; break ;; esac
	done </etc/hostname
fi
if line=$(grep '^127\.0\.1\.1[[:space:]]' /etc/hosts 2>/dev/null); then
	printf '%s\n' "$line" | tail -n 1 | sed 's/^/hosts=/'
fi
exit 0
"#;

/// The script.
pub(crate) fn script() -> Script {
    Script::new(SCRIPT)
}

/// What was found.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Names {
    /// In force.
    pub(crate) running: String,
    /// In `/etc/hostname`.
    pub(crate) fixed: Option<String>,
    /// The line of `/etc/hosts` for 127.0.1.1, as it is written there.
    pub(crate) hosts: Option<String>,
}

/// Understands the script's output.
pub(crate) fn parse(output: &str) -> Names {
    let mut names = Names::default();
    for (name, value) in output.lines().filter_map(|line| line.split_once('=')) {
        match name {
            "running" => value.clone_into(&mut names.running),
            "static" => names.fixed = Some(value.trim().to_owned()),
            "hosts" => names.hosts = Some(value.to_owned()),
            _ => {}
        }
    }
    names
}

/// A line with single spaces.
pub(crate) fn normal(line: &str) -> String {
    line.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_in_force_and_those_of_the_files_are_told_apart() {
        let names = parse("running=a\nstatic=b\nhosts=127.0.1.1\tb.example.org   b\n");
        assert_eq!(
            (names.running.as_str(), names.fixed.as_deref()),
            ("a", Some("b"))
        );
        let hosts = names.hosts.as_deref().map(normal);
        assert_eq!(hosts.as_deref(), Some("127.0.1.1 b.example.org b"));
        let bare = parse("running=a\n");
        assert!(bare.fixed.is_none() && bare.hosts.is_none());
    }
}
