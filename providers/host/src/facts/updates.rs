//! Security updates that wait on a Debian machine, as apt would install them by its lists of now.

use dmp_sdk::Script;

/// The file of settings, if there is one, then what an upgrade would do.
const SCRIPT: &str = r#"
file=/etc/apt/apt.conf.d/52dmp-updates
if [ -r "$file" ]; then
	echo configured
	cat -- "$file"
fi
echo '== upgrade'
apt-get -q -s -o Debug::NoLocking=1 --with-new-pkgs upgrade
"#;

/// The script.
pub(crate) fn script() -> Script {
    Script::new(SCRIPT)
}

/// An update that waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Update {
    pub(crate) package: String,
    pub(crate) from: String,
    pub(crate) to: String,
}

/// What was found.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Updates {
    /// The file of settings.
    pub(crate) file: Option<String>,
    /// Updates out of an archive for security.
    pub(crate) security: Vec<Update>,
}

/// Understands the script's output; `None` if apt did not come that far.
pub(crate) fn parse(output: &str) -> Option<Updates> {
    let (front, upgrade) = match output.split_once("== upgrade\n") {
        Some(parts) => parts,
        None => (output, output.strip_prefix("== upgrade\n")?),
    };
    let file = front.strip_prefix("configured\n");
    Some(Updates {
        file: file.map(str::to_owned),
        security: upgrade.lines().filter_map(security_update).collect(),
    })
}

/// `Inst openssl [3.0.15-1] (3.0.17-1 Debian-Security:12/stable-security [amd64])`. What is new has no old version.
fn security_update(line: &str) -> Option<Update> {
    let rest = line.strip_prefix("Inst ")?;
    let (package, rest) = rest.split_once(" [")?;
    let (from, rest) = rest.split_once("] (")?;
    let (to, archive) = rest.split_once(' ')?;
    let archive = archive
        .rsplit_once(" [")
        .map_or(archive, |(archive, _)| archive);
    let is_security = archive.to_ascii_lowercase().contains("security");
    is_security.then(|| Update {
        package: package.to_owned(),
        from: from.to_owned(),
        to: to.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_comes_for_security_and_is_installed_already_counts() {
        let said = "configured\n// Managed by dmp.\n== upgrade\nReading package lists...\n\
            Inst openssl [3.0.15-1~deb12u1] (3.0.17-1~deb12u2 Debian-Security:12/oldstable-security [amd64])\n\
            Inst tzdata [2024a-0] (2025b-0 Debian:12.12/oldstable [all])\n\
            Inst linux-image-6.1.0-40-amd64 (6.1.153-1 Debian-Security:12/oldstable-security [amd64])\n\
            Inst linux-image-amd64 [6.1.140-1] (6.1.153-1 Debian-Security:12/oldstable-security [amd64])\n\
            Conf openssl (3.0.17-1~deb12u2 Debian-Security:12/oldstable-security [amd64])\n";
        let updates = parse(said).expect("is whole");
        assert_eq!(updates.file.as_deref(), Some("// Managed by dmp.\n"));
        let names: Vec<&str> = updates
            .security
            .iter()
            .map(|update| update.package.as_str())
            .collect();
        assert_eq!(names, ["openssl", "linux-image-amd64"]);
        assert_eq!(updates.security[0].to, "3.0.17-1~deb12u2");
        assert_eq!(parse("== upgrade\n").expect("is whole").file, None);
        assert_eq!(parse("configured\nhalf"), None);
    }
}
