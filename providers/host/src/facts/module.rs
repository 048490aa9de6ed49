//! A kernel module: whether it is loaded, and what the files say that load it at boot.

use dmp_sdk::Script;

/// Reads one module.
const SCRIPT: &str = r#"
underscored=$(printf %s "$name" | tr - _)
if grep -q "^$underscored " /proc/modules; then echo loaded; elif [ -d "/sys/module/$underscored" ]; then echo built-in
elif sed 's|.*/||; s|\.ko.*||' "/lib/modules/$(uname -r)/modules.builtin" 2>/dev/null | tr - _ | grep -qx "$underscored"; then echo built-in
else echo absent; fi
if [ -f "/etc/modules-load.d/dmp-$name.conf" ]; then cat "/etc/modules-load.d/dmp-$name.conf"; fi
echo ---
if [ -f "/etc/modprobe.d/dmp-$name.conf" ]; then cat "/etc/modprobe.d/dmp-$name.conf"; fi
"#;

/// The script for a module.
pub(crate) fn script(name: &str) -> Script {
    Script::new(SCRIPT).var("name", name)
}

/// What was found.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Module {
    /// In the kernel, as a module or built in.
    pub(crate) is_loaded: bool,
    /// Loaded at boot by dmp's file.
    pub(crate) is_at_boot: bool,
    /// Options by dmp's file.
    pub(crate) options: Option<String>,
}

/// Understands the script's output.
pub(crate) fn parse(name: &str, output: &str) -> Module {
    let (head, options) = output.split_once("---\n").unwrap_or((output, ""));
    let (state, at_boot) = head.split_once('\n').unwrap_or((head, ""));
    let prefix = format!("options {name} ");
    Module {
        is_loaded: state != "absent",
        is_at_boot: at_boot.lines().any(|line| line == name),
        options: options
            .lines()
            .find_map(|line| line.strip_prefix(&prefix))
            .map(str::to_owned),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loaded_built_in_and_absent_modules_are_told_apart() {
        let module = parse(
            "br_netfilter",
            "loaded\nbr_netfilter\n---\noptions br_netfilter x=1 y=2\n",
        );
        assert_eq!(
            (
                module.is_loaded,
                module.is_at_boot,
                module.options.as_deref()
            ),
            (true, true, Some("x=1 y=2"))
        );
        assert!(parse("overlay", "built-in\n---\n").is_loaded);
        assert_eq!(
            parse("overlay", "absent\n---\n"),
            Module {
                is_loaded: false,
                is_at_boot: false,
                options: None
            }
        );
    }
}
