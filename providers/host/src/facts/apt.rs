//! Debian packages: which of those asked for are installed, in which version, and whether they are held.

use std::collections::BTreeMap;

use dmp_sdk::Script;

/// Reads some packages. One that dpkg does not know is left out of the output.
const SCRIPT: &str = r#"
command -v dpkg-query >/dev/null 2>&1 || { echo 'there is no dpkg: this is not a Debian' >&2; exit 3; }
set -f
IFS='
'
dpkg-query -W -f='${db:Status-Abbrev}\t${binary:Package}\t${Version}\n' -- $names 2>/dev/null
exit 0
"#;

/// The script for packages.
pub(crate) fn script(names: &[String]) -> Script {
    Script::new(SCRIPT).var("names", names.join("\n"))
}

/// A package as dpkg knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Package {
    pub(crate) version: String,
    pub(crate) is_held: bool,
    /// Whether it is whole: unpacked and configured.
    pub(crate) is_installed: bool,
    /// Whether it was begun and not finished.
    pub(crate) is_half: bool,
}

/// Understands the script's output, by name without the machine's own architecture.
pub(crate) fn parse(output: &str, names: &[String]) -> BTreeMap<String, Package> {
    let mut packages = BTreeMap::new();
    for line in output.lines() {
        let mut fields = line.split('\t');
        let (Some(status), Some(name), Some(version)) =
            (fields.next(), fields.next(), fields.next())
        else {
            continue;
        };
        let mut status = status.chars();
        let (wanted, state) = (status.next().unwrap_or(' '), status.next().unwrap_or(' '));
        let bare = name.split(':').next().unwrap_or(name);
        let key = if names.iter().any(|wanted| wanted == name) {
            name
        } else {
            bare
        };
        let package = Package {
            version: version.to_owned(),
            is_held: wanted == 'h',
            is_installed: state == 'i',
            is_half: matches!(state, 'U' | 'F' | 'H' | 'W' | 't'),
        };
        packages.insert(key.to_owned(), package);
    }
    packages
}

/// Whether a version is what a pattern asks for: `*` stands for anything.
pub(crate) fn matches(pattern: &str, version: &str) -> bool {
    let Some((head, rest)) = pattern.split_once('*') else {
        return pattern == version;
    };
    let Some(mut tail) = version.strip_prefix(head) else {
        return false;
    };
    let mut rest = rest;
    loop {
        match rest.split_once('*') {
            None => return tail.ends_with(rest),
            Some((middle, after)) => match tail.find(middle) {
                Some(at) => {
                    tail = &tail[at + middle.len()..];
                    rest = after;
                }
                None => return false,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_holds_and_architectures_are_understood() {
        let output = "ii \tcurl\t7.88.1-10\nhi \tkubelet\t1.36.3-1.1\nrc \tnginx\t1.22\nun \tvim\t\niF \tpostfix\t3.7\nii \tlibc6:amd64\t2.36\nii \tlibc6:i386\t2.36\n";
        let packages = parse(
            output,
            &["curl".into(), "libc6".into(), "libc6:i386".into()],
        );
        assert!(packages["curl"].is_installed && !packages["curl"].is_held);
        assert!(packages["kubelet"].is_held && packages["kubelet"].is_installed);
        assert!(!packages["nginx"].is_installed && !packages["vim"].is_installed);
        assert!(packages["postfix"].is_half && !packages["postfix"].is_installed);
        assert!(packages.contains_key("libc6") && packages.contains_key("libc6:i386"));
    }

    #[test]
    fn a_star_in_a_version_stands_for_anything() {
        assert!(matches("1.36.3-*", "1.36.3-1.1") && !matches("1.36.3-*", "1.36.4-1.1"));
        assert!(matches("*", "1") && matches("1.*.3*", "1.2.3-4") && !matches("1.*.3", "1.2.4"));
        assert!(matches("1.0", "1.0") && !matches("1.0", "1.0.1"));
    }
}
