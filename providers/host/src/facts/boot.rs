//! Which boot of a machine this is, whether it wants another one, and what dmp noted of the last that it asked for.

use dmp_sdk::{Mark, Output, Script};

use crate::kept::keeping;

/// Shell functions in front of a script: `dmp_wishes` tells, a line each, why the machine wants to be rebooted; a kernel
/// that `$tried` names was not started by the last reboot, and is no reason for another one. It sets `$newest`.
macro_rules! with_wishes {
    ($script:expr) => {
        $crate::kept::with_kept!(concat!(
            r#"
boot=$(cat /proc/sys/kernel/random/boot_id) || exit 1
token_done= boot_before= tried=
if [ -f "$kept/reboot" ]; then read -r token_done boot_before tried <"$kept/reboot"; fi
newest=
running=$(uname -r)
if [ -e "/boot/vmlinuz-$running" ]; then
	newest=$(for kernel in /boot/vmlinuz-*; do printf '%s\n' "${kernel#/boot/vmlinuz-}"; done | sort -V | tail -n 1)
fi
dmp_wishes() {
	if [ -e /run/reboot-required ]; then
		packages=
		if [ -f /run/reboot-required.pkgs ]; then packages=$(sort -u /run/reboot-required.pkgs | tr '\n' ' '); fi
		printf '%s\n' "packages ask for it: ${packages:-unknown}"
	fi
	if [ -n "$newest" ] && [ "$newest" != "$running" ] && [ "$newest" != "$tried" ]; then
		printf '%s\n' "the kernel $newest is installed and $running runs"
	fi
}
"#,
            $script
        ))
    };
}

pub(crate) use with_wishes;

const SCRIPT: &str = with_wishes!(
    r#"
printf '%s\n' "boot=$boot" "done=$token_done" "before=$boot_before"
dmp_wishes | sed 's/^/wish=/'
exit 0
"#
);

/// Tells the boot, and whether the machine has come to rest.
const STATE: &str = r#"
cat /proc/sys/kernel/random/boot_id || exit 1
if [ -d /run/systemd/system ]; then systemctl is-system-running 2>/dev/null; else echo running; fi
exit 0
"#;

/// The script for the notes of an instance; an instance without a mark has none.
pub(crate) fn script(mark: Option<&Mark>) -> Script {
    match mark {
        Some(mark) => keeping(Script::new(SCRIPT), mark),
        None => Script::new(SCRIPT).var("instance", "none"),
    }
}

/// The script that a machine is asked by whether it is back.
pub(crate) fn state_script() -> Script {
    Script::new(STATE)
}

/// What was found.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Boot {
    /// This boot.
    pub(crate) id: String,
    /// What the last reboot was asked for by; `None` if dmp has noted nothing.
    pub(crate) token: Option<String>,
    /// The boot that the last one ended, `-` if none was asked for.
    before: String,
    /// Why the machine wants to be rebooted.
    pub(crate) wishes: Vec<String>,
}

impl Boot {
    /// Whether all that was asked for has come about.
    pub(crate) fn is_through(&self) -> bool {
        self.before != self.id
    }
}

/// Understands the script's output.
pub(crate) fn parse(output: &str) -> Boot {
    let mut found = Boot::default();
    for (name, value) in output.lines().filter_map(|line| line.split_once('=')) {
        match name {
            "boot" => value.clone_into(&mut found.id),
            "done" if !value.is_empty() => found.token = Some(value.to_owned()),
            "before" => value.clone_into(&mut found.before),
            "wish" => found.wishes.push(value.trim_end().to_owned()),
            _ => {}
        }
    }
    found
}

/// The boot and whether the machine has come to rest, as the other script tells it.
pub(crate) fn parse_state(output: &Output) -> Option<(String, bool)> {
    let text = output.text();
    let mut lines = text.lines();
    let id = lines.next()?.trim().to_owned();
    // Degraded: a unit has failed, and nothing more will come of it.
    let is_at_rest = matches!(lines.next()?.trim(), "running" | "degraded");
    output.is_success().then_some((id, is_at_rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wishes_and_what_was_asked_for_are_understood() {
        let boot = parse("boot=b2\ndone=abc\nbefore=b1\nwish=packages ask for it: linux libc6 \n");
        assert_eq!(boot.token.as_deref(), Some("abc"));
        assert!(boot.is_through());
        assert_eq!(boot.wishes, ["packages ask for it: linux libc6"]);
        let never = parse("boot=b2\ndone=\nbefore=\n");
        assert!(never.token.is_none() && never.wishes.is_empty());
        assert!(!parse("boot=b2\ndone=abc\nbefore=b2\n").is_through());
    }

    #[test]
    fn a_machine_is_back_when_it_has_come_to_rest() {
        let state = |stdout: &str| {
            parse_state(&Output {
                stdout: stdout.into(),
                ..Output::default()
            })
        };
        assert_eq!(state("b2\nrunning\n"), Some(("b2".into(), true)));
        assert_eq!(state("b2\ndegraded\n"), Some(("b2".into(), true)));
        assert_eq!(state("b2\nstarting\n"), Some(("b2".into(), false)));
        assert_eq!(state("b2\n"), None);
    }
}
