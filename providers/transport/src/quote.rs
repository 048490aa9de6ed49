//! Data as shell text: the only place where bytes become part of a program for the far side.
//!
//! Everything is printable ASCII afterwards, so no locale and no shell reads it differently. Programs travel over
//! standard input and are printed by the shell's own `printf`; nothing of them shows among process arguments.

use std::fmt::Write as _;

use dmp_sdk::Script;

/// A text as one single-quoted word.
pub(crate) fn quoted(text: &str) -> String {
    let mut word = String::with_capacity(text.len() + 2);
    word.push('\'');
    for c in text.chars() {
        match c {
            '\'' => word.push_str("'\\''"),
            c => word.push(c),
        }
    }
    word.push('\'');
    word
}

/// Commands of the shell's own `printf` that print exactly these bytes, NUL included.
pub(crate) fn printed(bytes: &[u8]) -> String {
    let mut commands = String::with_capacity(bytes.len() + bytes.len() / 8 + 16);
    for chunk in bytes.chunks(CHUNK) {
        commands.push_str("printf '");
        for (index, byte) in chunk.iter().enumerate() {
            match byte {
                b'%' => commands.push_str("%%"),
                b'-' if index == 0 => commands.push_str("\\055"),
                b'\n' => commands.push_str("\\n"),
                b'\'' | b'\\' | 0..=0x1f | 0x7f..=0xff => {
                    // Writing to a string can't fail.
                    let _ = write!(commands, "\\{byte:03o}");
                }
                byte => commands.push(char::from(*byte)),
            }
        }
        commands.push_str("'\n");
    }
    if bytes.is_empty() {
        commands.push_str(":\n");
    }
    commands
}

/// The lines that set a script's variables and its one parameter, or a line that fails with the reason why they can't be
/// set.
pub(crate) fn assignments(script: &Script) -> Result<String, String> {
    let item = script.of_many().map(|(item, _)| item);
    assignments_with(script, item.as_slice())
}

/// The same with other parameters.
pub(crate) fn assignments_with(script: &Script, items: &[&str]) -> Result<String, String> {
    let mut lines = String::new();
    for (name, content) in script.variables() {
        if !is_variable_name(name) {
            return Err(format!("`{name}` can't be the name of a variable"));
        }
        if content.contains('\0') {
            return Err(format!("the variable `{name}` holds a NUL byte"));
        }
        let _ = writeln!(lines, "{name}={}", quoted(content));
    }
    for name in script.exports() {
        let _ = writeln!(lines, "export {name}");
    }
    if !items.is_empty() {
        lines.push_str("set --");
        for item in items {
            if item.contains('\0') {
                return Err("a parameter holds a NUL byte".into());
            }
            let _ = write!(lines, " {}", quoted(item));
        }
        lines.push('\n');
    }
    if script.text().contains('\0') {
        return Err("the script holds a NUL byte".into());
    }
    Ok(lines)
}

/// A file that a shell can run: the script's variables, then its text.
pub(crate) fn script_file(script: &Script) -> String {
    match assignments(script) {
        Ok(lines) => format!("umask 022\n{lines}{}\n", script.text()),
        Err(why) => refusal(&why),
    }
}

/// A script that only says why the wanted one can't run.
pub(crate) fn refusal(why: &str) -> String {
    format!("printf '%s\\n' {} >&2\nexit 2\n", quoted(why))
}

/// Whether a shell takes it as the name of a variable.
fn is_variable_name(name: &str) -> bool {
    let mut chars = name.chars();
    chars
        .next()
        .is_some_and(|c| c.is_ascii_alphabetic() || c == '_')
        && chars.all(|c| c.is_ascii_alphanumeric() || c == '_')
}

/// A name as a file's name: ASCII letters, digits, `.`, `_` and `-` stay, all else becomes `%XX`.
pub(crate) fn file_name(name: &str) -> String {
    let mut safe = String::with_capacity(name.len());
    for (index, byte) in name.bytes().enumerate() {
        let plain = byte.is_ascii_alphanumeric()
            || byte == b'_'
            || (index > 0 && (byte == b'.' || byte == b'-'));
        if plain {
            safe.push(char::from(byte));
        } else {
            let _ = write!(safe, "%{byte:02X}");
        }
    }
    if safe.is_empty() {
        safe.push('%');
    }
    safe
}

/// The name that a file's name stands for.
pub(crate) fn name_of_file(file: &str) -> String {
    let mut bytes = Vec::with_capacity(file.len());
    let mut rest = file.as_bytes();
    while let Some((byte, after)) = rest.split_first() {
        let decoded = (*byte == b'%')
            .then(|| after.get(..2).and_then(|pair| hex::decode(pair).ok()))
            .flatten();
        match decoded {
            Some(decoded) => {
                bytes.extend(decoded);
                rest = &after[2..];
            }
            None => {
                if *byte != b'%' {
                    bytes.push(*byte);
                }
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// A text on one line, for a screen or a log of the machine.
pub(crate) fn one_line(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect()
}

/// Bytes in one `printf`.
const CHUNK: usize = 16 * 1024;

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::process::{Command, Stdio};

    use proptest::prelude::*;
    use proptest::test_runner::{Config, TestRunner};

    use super::*;

    /// The shells that have to agree; one that is not installed is left out, loudly.
    #[expect(clippy::print_stderr, reason = "a skipped test says so")]
    fn shells() -> Vec<Vec<&'static str>> {
        let all = [vec!["dash"], vec!["bash"], vec!["busybox", "ash"]];
        let (here, missing): (Vec<_>, Vec<_>) = all.into_iter().partition(|words| {
            Command::new(words[0])
                .arg("--help")
                .stdin(Stdio::null())
                .output()
                .is_ok()
        });
        for words in missing {
            eprintln!("SKIPPED: `{}` is not installed", words.join(" "));
            assert!(std::env::var_os("CI").is_none(), "CI needs every shell");
        }
        here
    }

    fn run(shell: &[&str], program: &str) -> Vec<u8> {
        let mut child = Command::new(shell[0])
            .args(&shell[1..])
            .args(["-c", crate::channel::LOADER])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("starts");
        let mut stdin = child.stdin.take().expect("is piped");
        let text = program.to_owned();
        let writer = std::thread::spawn(move || stdin.write_all(text.as_bytes()));
        let output = child.wait_with_output().expect("ends");
        writer.join().expect("no panic").expect("is read whole");
        assert!(
            output.stderr.is_empty(),
            "{shell:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        output.stdout
    }

    fn hostile() -> impl Strategy<Value = String> {
        let piece = prop_oneof![
            Just("'".to_owned()),
            Just("\"".to_owned()),
            Just("$(reboot)".to_owned()),
            Just("`id`".to_owned()),
            Just("\\".to_owned()),
            Just("\n".to_owned()),
            Just("\r\n".to_owned()),
            Just("-n".to_owned()),
            Just("--".to_owned()),
            Just("%s%n".to_owned()),
            Just("\\c\\0".to_owned()),
            Just("${x:-y}".to_owned()),
            Just("!!".to_owned()),
            Just("*".to_owned()),
            Just("; rm -rf ~ #".to_owned()),
            Just("EOF".to_owned()),
            Just("größer 日本 🦀".to_owned()),
            Just("\u{1}\u{7f}\u{9b}".to_owned()),
            "[^\0]{0,12}",
        ];
        prop_oneof![
            20 => prop::collection::vec(piece.clone(), 0..8).prop_map(|pieces| pieces.concat()),
            1 => prop::collection::vec(piece, 0..8)
                .prop_map(|pieces| pieces.concat().repeat(4_000)),
        ]
    }

    /// Many cases in one shell: each value is printed as a variable and, as bytes, from standard input.
    #[test]
    fn every_text_comes_back_from_every_shell_as_variable_and_as_standard_input() {
        let mut runner = TestRunner::new(Config::with_cases(16));
        let shells = shells();
        let cases =
            prop::collection::vec((hostile(), prop::collection::vec(any::<u8>(), 0..64)), 32);
        runner
            .run(&cases, |cases| {
                let mut program = String::from("dmp_main() {\n");
                let mut expected = Vec::new();
                for (text, bytes) in &cases {
                    let script =
                        Script::new("printf %s \"$value\"; cat").var("value", text.as_str());
                    let lines = assignments(&script).expect("can be set");
                    let mut input = bytes.clone();
                    input.extend(text.bytes());
                    let _ = writeln!(
                        program,
                        "{{ {} }} | ( {lines}eval {} )",
                        printed(&input),
                        quoted(script.text())
                    );
                    expected.extend(text.bytes());
                    expected.extend(&input);
                }
                program.push_str("}\ndmp_main\n");
                for shell in &shells {
                    prop_assert!(run(shell, &program) == expected, "{shell:?}");
                }
                Ok(())
            })
            .expect("holds");
    }

    #[test]
    fn a_program_cut_off_on_the_way_does_nothing() {
        let program = "dmp_main() {\necho begun\n}\ndmp_main\n";
        for shell in shells() {
            let cut = &program[..program.len() - 12];
            let output = Command::new(shell[0])
                .args(&shell[1..])
                .args(["-c", cut])
                .output()
                .expect("runs");
            assert!(output.stdout.is_empty(), "{shell:?}");
        }
    }

    #[test]
    fn a_name_that_no_variable_can_have_is_refused() {
        let script = Script::new(":").env("a b; reboot".into(), "1".into());
        assert!(assignments(&script).is_err());
        assert!(!script_file(&script).contains("a b; reboot="));
    }

    #[test]
    fn names_survive_as_file_names() {
        for name in [
            "",
            "a",
            "..",
            "-x",
            "a/b c",
            "größe%41",
            "host_file.motd[\"x\"]",
        ] {
            let file = file_name(name);
            assert!(!file.contains('/') && !file.starts_with(['.', '-']) && !file.is_empty());
            assert_eq!(name_of_file(&file), name);
        }
    }
}
