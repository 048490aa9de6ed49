//! Kernel settings: what is in force, and what a file in `/etc/sysctl.d` holds.

use std::collections::BTreeMap;

use dmp_sdk::Script;

/// Reads each setting, then the file.
const SCRIPT: &str = r#"
set -f
IFS='
'
for key in $keys; do
	if value=$(sysctl -n -- "$key" 2>/dev/null); then
		printf '%s\n' "$value" | while IFS= read -r line; do printf '= %s %s\n' "$key" "$line"; done
	fi
done
echo ---
[ ! -f "/etc/sysctl.d/$name.conf" ] || cat -- "/etc/sysctl.d/$name.conf"
"#;

/// The script for settings and a file's name.
pub(crate) fn script(name: &str, keys: &[&str]) -> Script {
    Script::new(SCRIPT)
        .var("name", name)
        .var("keys", keys.join("\n"))
}

/// What was found.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Settings {
    /// In force, by key as it was asked for.
    pub(crate) live: BTreeMap<String, String>,
    /// The file's text; empty where there is none.
    pub(crate) file: String,
}

/// Understands the script's output.
pub(crate) fn parse(output: &str) -> Settings {
    let (live, file) = output.split_once("---\n").unwrap_or((output, ""));
    let mut settings = Settings {
        live: BTreeMap::new(),
        file: file.to_owned(),
    };
    for line in live.lines() {
        let Some((key, value)) = line
            .strip_prefix("= ")
            .and_then(|rest| rest.split_once(' '))
        else {
            continue;
        };
        settings
            .live
            .entry(key.to_owned())
            .and_modify(|whole: &mut String| {
                whole.push(' ');
                whole.push_str(value);
            })
            .or_insert_with(|| value.to_owned());
    }
    for value in settings.live.values_mut() {
        *value = normal(value);
    }
    settings
}

/// A value with single spaces: the kernel writes tabs where people write spaces.
pub(crate) fn normal(value: &str) -> String {
    value.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The text of the file that holds settings.
pub(crate) fn file(settings: &BTreeMap<String, String>) -> String {
    let mut text = String::from("# Managed by dmp.\n");
    for (key, value) in settings {
        text.push_str(&format!("{key} = {value}\n"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_read_with_single_spaces() {
        let output = "= net.ipv4.ip_forward 0\n= net.ipv4.tcp_rmem 4096\t131072\t6291456\n---\n# Managed by dmp.\nnet.ipv4.ip_forward = 1\n";
        let settings = parse(output);
        assert_eq!(settings.live["net.ipv4.tcp_rmem"], "4096 131072 6291456");
        assert_eq!(
            settings.file,
            file(&[("net.ipv4.ip_forward".into(), "1".into())].into())
        );
    }
}
