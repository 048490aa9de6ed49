//! The page of the command line, from its own description.

use std::fmt::Write;

use clap::{Arg, Command};

use super::cell;
use crate::examples;

/// Renders the page.
pub(super) fn page() -> String {
    let mut root = examples::command();
    root.build();
    let mut text = format!(
        "# Command line\n\n{}\n\nData goes to standard output, everything else to standard error. One dash does where \
         Terraform's hands type one: `-var`, `-var-file`, `-out`, `-json`, `-destroy` and the like.\n",
        root.get_about()
            .map(ToString::to_string)
            .unwrap_or_default()
    );
    text.push_str("\n## For all commands\n");
    table(
        &mut text,
        root.get_arguments()
            .filter(|argument| argument.is_global_set()),
    );
    let children = root.get_subcommands().filter(|command| is_shown(command));
    for command in children {
        describe(&mut text, command, "dmp");
    }
    text.push_str(ENVIRONMENT);
    text
}

fn is_shown(command: &Command) -> bool {
    !command.is_hide_set() && command.get_name() != "help"
}

fn describe(text: &mut String, command: &Command, above: &str) {
    let name = format!("{above} {}", command.get_name());
    let about = command
        .get_about()
        .map(ToString::to_string)
        .unwrap_or_default();
    let _ = write!(
        text,
        "\n## `{name}`\n\n{about}.\n",
        about = about.trim_end_matches('.')
    );
    table(
        text,
        command
            .get_arguments()
            .filter(|argument| !argument.is_global_set()),
    );
    let words = name.strip_prefix("dmp ").unwrap_or_default();
    for (at, (line, what)) in examples::of(words).iter().enumerate() {
        let start = if at == 0 { "\n" } else { "" };
        let _ = writeln!(text, "{start}- `{line}`: {what}");
    }
    for child in command
        .get_subcommands()
        .filter(|command| is_shown(command))
    {
        describe(text, child, &name);
    }
}

fn table<'a>(text: &mut String, arguments: impl Iterator<Item = &'a Arg>) {
    let shown: Vec<&Arg> = arguments
        .filter(|argument| !argument.is_hide_set() && argument.get_id() != "help")
        .collect();
    if shown.is_empty() {
        return;
    }
    text.push_str("\n| argument | what it does |\n| --- | --- |\n");
    for argument in shown {
        let help = argument
            .get_help()
            .map(ToString::to_string)
            .unwrap_or_default();
        let defaults = argument.get_default_values();
        let takes_value = argument.get_action().takes_values();
        let default = match defaults.first() {
            Some(value) if takes_value => format!(" By default {}.", value.to_string_lossy()),
            _ => String::new(),
        };
        let help = help.trim_end_matches('.');
        let _ = writeln!(
            text,
            "| `{}` | {}.{default} |",
            cell(&written(argument)),
            cell(help)
        );
    }
}

/// An argument as it is typed.
fn written(argument: &Arg) -> String {
    let names = argument.get_value_names().unwrap_or_default();
    let value = names
        .iter()
        .map(clap::builder::Str::as_str)
        .collect::<Vec<_>>()
        .join(" ");
    if argument.is_positional() {
        return if argument.is_required_set() {
            value
        } else {
            format!("[{value}]")
        };
    }
    let long = argument.get_long().map(|long| format!("--{long}"));
    let short = argument.get_short().map(|short| format!("-{short}"));
    let flags: Vec<String> = short.into_iter().chain(long).collect();
    let mut text = flags.join(", ");
    if argument.get_action().takes_values() {
        let _ = write!(text, " {value}");
    }
    text
}

const ENVIRONMENT: &str = "
## Environment

| variable | what it does |
| --- | --- |
| `DMP_VAR_name` | Sets an input variable, unless a file or the command line does. |
| `DMP_IDENTITY` | The identity file that opens secrets, instead of `$XDG_CONFIG_HOME/dmp/identity.txt` (`~/.config/dmp/identity.txt`). |
| `XDG_STATE_HOME` | Where the last seen commit of each state is noted (`~/.local/state`). |
| `SSH_AUTH_SOCK` | The SSH agent that is asked for keys. |
| `DMP_SSH_CONFIG` | The SSH configuration that is read instead of `~/.ssh/config` and `/etc/ssh/ssh_config`: a file, or `none`. |
| `DMP_LOG` | Diagnostics for developers on standard error, such as `DMP_LOG=debug`. |
| `NO_COLOR` | No colours. |

Set in the session of a machine, `DMP_RUN_DIR` and `DMP_STATE_DIR` move the folders that dmp uses there.
";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_is_there_with_what_can_be_said_to_it() {
        let page = page();
        for wanted in [
            "## `dmp plan`",
            "## `dmp state verify`",
            "| `--out FILE` | Keep the plan in a file",
            "| `--parallelism N` | Calls of APIs that may be under way at once. By default 10. |",
            "| `-C, --chdir FOLDER` |",
            "| `-v, --verbose` |",
        ] {
            assert!(page.contains(wanted), "no `{wanted}` in\n{page}");
        }
        assert!(!page.contains("dmp docs"));
    }
}
