//! The keys by which a user may log in: the file with its directory, and what a line of it says.

use dmp_sdk::{Output, Script};

/// Shell functions in front of a script about the file: `dmp_user` sets `$uid`, `$gid`, `$home` and, where `$file` names
/// none, `$path` and `$folder`; it fails for a user that is not there.
macro_rules! with_user {
    ($script:expr) => {
        concat!(
            r#"
dmp_user() {
	entry=
	if command -v getent >/dev/null 2>&1; then entry=$(getent passwd "$user"); fi
	[ -n "$entry" ] || entry=$(grep "^$user:" /etc/passwd) || return 1
	IFS=: read -r _ _ uid gid _ home _ <<END
$entry
END
	path=$file folder=
	[ -n "$path" ] || path=$home/.ssh/authorized_keys folder=$home/.ssh
}
"#,
            $script
        )
    };
}

pub(crate) use with_user;

const SCRIPT: &str = with_user!(
    r#"
dmp_user || { echo none; exit 0; }
for place in "$folder" "$path"; do
	if [ -n "$place" ] && [ -L "$place" ]; then printf 'link\n%s\n' "$place"; exit 0; fi
done
[ -e "$path" ] || { echo none; exit 0; }
[ -f "$path" ] || { printf 'other\n%s\n' "$path"; exit 0; }
safe=yes
for place in "${path%/*}" "$path"; do
	facts=$(stat -c '%u %a' -- "$place") || exit 1
	case ${facts%% *} in 0 | "$uid") ;; *) safe=no ;; esac
	case $facts in *[2367]? | *[2367]) safe=no ;; esac
done
printf 'file %s\n%s\n' "$safe" "$path"
cat -- "$path"
"#
);

/// The script for a user's file; without a path, the one in the home directory.
pub(crate) fn script(user: &str, file: &str) -> Script {
    Script::new(SCRIPT).var("user", user).var("file", file)
}

/// What was found.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// No such user, or no file.
    Nothing,
    /// Something that is never written to, in words.
    Refused(String),
    /// The file: whether sshd trusts it, and its lines with keys.
    File { is_safe: bool, lines: Vec<String> },
}

/// Understands the script's output. `None` if it is not what the script writes.
pub(crate) fn parse(output: &Output) -> Option<Found> {
    if !output.is_success() {
        return None;
    }
    let text = output.text();
    let (head, rest) = text.split_once('\n')?;
    let (path, content) = rest.split_once('\n').unwrap_or((rest, ""));
    Some(match head {
        "none" => Found::Nothing,
        "link" => Found::Refused(format!("`{path}` is a symbolic link")),
        "other" => Found::Refused(format!("`{path}` is no regular file")),
        _ => Found::File {
            is_safe: head.strip_prefix("file ")? == "yes",
            lines: content
                .lines()
                .map(str::trim)
                .filter(|line| !line.is_empty() && !line.starts_with('#'))
                .map(str::to_owned)
                .collect(),
        },
    })
}

/// The key itself in a line: what stands behind its kind, in base64. `None` if the line has no key.
pub(crate) fn key_of(line: &str) -> Option<&str> {
    let mut rest = line.trim();
    loop {
        let (word, behind) = next_word(rest)?;
        if is_kind(word) {
            let (key, _) = next_word(behind)?;
            let is_base64 = |byte: u8| byte.is_ascii_alphanumeric() || b"+/=".contains(&byte);
            return (key.len() >= 16 && key.bytes().all(is_base64)).then_some(key);
        }
        rest = behind;
    }
}

/// The first word, where a space between quotes ends none, and what is behind it.
fn next_word(text: &str) -> Option<(&str, &str)> {
    let text = text.trim_start();
    let (mut is_quoted, mut is_escaped) = (false, false);
    let end = text.find(|c: char| {
        let ends = c.is_whitespace() && !is_quoted;
        if c == '"' && !is_escaped {
            is_quoted = !is_quoted;
        }
        is_escaped = c == '\\' && !is_escaped;
        ends
    });
    let end = end.unwrap_or(text.len());
    (end > 0).then(|| text.split_at(end))
}

fn is_kind(word: &str) -> bool {
    ["ssh-", "ecdsa-sha2-", "sk-ssh-", "sk-ecdsa-"]
        .iter()
        .any(|kind| word.starts_with(kind))
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "AAAAC3NzaC1lZDI1NTE5AAAAIJJ4w4Wc7Q0Zt6Qm7xk6uYt0m0b1m2n3o4p5q6r7s8t9";

    #[test]
    fn a_key_is_found_behind_options_and_before_its_comment() {
        for line in [
            format!("ssh-ed25519 {KEY}"),
            format!("ssh-ed25519 {KEY} alice@desk of mine"),
            format!("restrict,command=\"echo \\\"a ssh-rsa b\\\"\" ssh-ed25519 {KEY} x"),
            format!("from=\"10.0.0.0/8\" \t sk-ssh-ed25519@openssh.com {KEY}"),
        ] {
            assert_eq!(key_of(&line), Some(KEY), "{line}");
        }
        for line in [
            "",
            "ssh-ed25519",
            "ssh-ed25519 what is this",
            "AAAA",
            "no key here",
        ] {
            assert_eq!(key_of(line), None, "{line}");
        }
    }

    #[test]
    fn lines_with_keys_are_read_and_links_are_refused() {
        let read = |stdout: &str| {
            parse(&Output {
                stdout: stdout.into(),
                ..Output::default()
            })
        };
        let file = read("file no\n/home/a/.ssh/authorized_keys\n# ours\n\nssh-rsa A a \nssh-rsa B");
        let expected = Found::File {
            is_safe: false,
            lines: vec!["ssh-rsa A a".into(), "ssh-rsa B".into()],
        };
        assert_eq!(file, Some(expected));
        assert_eq!(read("none\n"), Some(Found::Nothing));
        assert!(matches!(
            read("link\n/home/a/.ssh\n"),
            Some(Found::Refused(_))
        ));
        assert_eq!(read(""), None);
    }
}
