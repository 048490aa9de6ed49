//! A systemd unit: whether it is there, runs, starts at boot, and the unit file that dmp may have written.

use std::collections::BTreeMap;

use dmp_sdk::Script;

/// Reads one unit.
const SCRIPT: &str = r#"
systemctl show -p LoadState -p ActiveState -p UnitFileState -- "$unit" || exit 1
echo ---
file=/etc/systemd/system/$unit
if [ -f "$file" ] && [ ! -L "$file" ]; then echo file; cat -- "$file"; else echo none; fi
"#;

/// The script for a unit.
pub(crate) fn script(unit: &str) -> Script {
    Script::new(SCRIPT).var("unit", unit)
}

/// What was found.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Unit {
    /// Whether systemd knows it.
    pub(crate) is_known: bool,
    /// Whether it runs or starts.
    pub(crate) is_running: bool,
    /// Whether it starts at boot; `None` for units that can't be enabled (static, generated …).
    pub(crate) is_enabled: Option<bool>,
    /// Whether it is masked.
    pub(crate) is_masked: bool,
    /// The administrator's unit file.
    pub(crate) file: Option<String>,
}

/// Understands the script's output.
pub(crate) fn parse(output: &str) -> Unit {
    let (properties, file) = output.split_once("---\n").unwrap_or((output, "none"));
    let properties: BTreeMap<&str, &str> = properties
        .lines()
        .filter_map(|line| line.split_once('='))
        .collect();
    let property = |name: &str| *properties.get(name).unwrap_or(&"");
    Unit {
        is_known: !matches!(property("LoadState"), "not-found" | ""),
        is_running: matches!(
            property("ActiveState"),
            "active" | "activating" | "reloading"
        ),
        is_enabled: match property("UnitFileState") {
            "enabled" | "enabled-runtime" | "linked" | "linked-runtime" => Some(true),
            "disabled" | "masked" | "masked-runtime" | "" => Some(false),
            _ => None,
        },
        is_masked: property("LoadState") == "masked",
        file: file.strip_prefix("file\n").map(str::to_owned),
    }
}

/// A unit's whole name: without a suffix it is a service.
pub(crate) fn whole_name(name: &str) -> String {
    const SUFFIXES: [&str; 8] = [
        ".service",
        ".socket",
        ".timer",
        ".mount",
        ".path",
        ".target",
        ".slice",
        ".automount",
    ];
    if SUFFIXES.iter().any(|suffix| name.ends_with(suffix)) {
        name.to_owned()
    } else {
        format!("{name}.service")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_as_systemctl_shows_them_are_understood() {
        let nginx =
            parse("LoadState=loaded\nActiveState=active\nUnitFileState=enabled\n---\nnone\n");
        assert!(nginx.is_known && nginx.is_running && nginx.is_enabled == Some(true));
        let own = parse(
            "UnitFileState=disabled\nLoadState=loaded\nActiveState=inactive\n---\nfile\n[Unit]\n",
        );
        assert_eq!(
            (own.is_running, own.is_enabled, own.file.as_deref()),
            (false, Some(false), Some("[Unit]\n"))
        );
        let masked =
            parse("LoadState=masked\nActiveState=inactive\nUnitFileState=masked\n---\nnone\n");
        assert!(masked.is_masked && masked.is_known);
        let fixed =
            parse("LoadState=loaded\nActiveState=active\nUnitFileState=static\n---\nnone\n");
        assert_eq!(fixed.is_enabled, None);
        assert!(
            !parse("LoadState=not-found\nActiveState=inactive\nUnitFileState=\n---\nnone\n")
                .is_known
        );
    }

    #[test]
    fn a_name_without_a_suffix_is_a_service() {
        assert_eq!(whole_name("nginx"), "nginx.service");
        assert_eq!(
            whole_name("systemd-timesyncd.service"),
            "systemd-timesyncd.service"
        );
        assert_eq!(whole_name("fstrim.timer"), "fstrim.timer");
        assert_eq!(whole_name("getty@tty1"), "getty@tty1.service");
    }
}
