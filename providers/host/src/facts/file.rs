//! What stands at a path: nothing, a file, a directory, something else.

use dmp_sdk::{Output, Script};
use sha2::{Digest, Sha256};

/// Describes a path in a line, then gives a file's content if it is not too large.
const SCRIPT: &str = r#"
if [ -L "$path" ]; then
	echo link
	readlink -- "$path"
elif [ ! -e "$path" ]; then
	echo absent
elif [ -d "$path" ]; then
	echo "directory $(stat -c '%a %u %g %s %U %G' -- "$path")"
elif [ -f "$path" ]; then
	facts=$(stat -c '%a %u %g %s %U %G' -- "$path") || exit 1
	set -- $facts
	if [ "$4" -le "$limit" ]; then
		echo "file $facts"
		cat -- "$path"
	else
		sum=$(sha256sum -- "$path") || exit 1
		echo "large $facts"
		echo "${sum%% *}"
	fi
else
	echo other
fi
"#;

/// The script for a path.
pub(crate) fn script(path: &str) -> Script {
    Script::new(SCRIPT)
        .var("path", path)
        .var("limit", LIMIT.to_string())
}

/// What stands there.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum There {
    Nothing,
    File(Entry),
    Directory(Entry),
    /// A symbolic link, and where to.
    Link(String),
    /// A device, a socket, a pipe.
    Other,
}

/// A file or directory.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    /// Four digits or more: `0644`, `1777`.
    pub(crate) mode: String,
    uid: String,
    gid: String,
    user: String,
    group: String,
    /// A file's content, if it is small enough and text.
    pub(crate) content: Option<String>,
    /// A file's digest.
    pub(crate) sha256: Option<String>,
}

impl Entry {
    /// The owner, as a number if it was asked for by number.
    pub(crate) fn owner_like(&self, wanted: Option<&str>) -> &str {
        like(wanted, &self.user, &self.uid)
    }

    /// The group, as a number if it was asked for by number.
    pub(crate) fn group_like(&self, wanted: Option<&str>) -> &str {
        like(wanted, &self.group, &self.gid)
    }
}

fn like<'a>(wanted: Option<&str>, name: &'a str, id: &'a str) -> &'a str {
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if wanted.is_some_and(is_number) || name == "UNKNOWN" {
        id
    } else {
        name
    }
}

/// Understands the script's output. `None` if it is not what the script writes.
pub(crate) fn parse(output: &Output) -> Option<There> {
    if !output.is_success() {
        return None;
    }
    let end = output.stdout.iter().position(|byte| *byte == b'\n')?;
    let head = std::str::from_utf8(&output.stdout[..end]).ok()?;
    let rest = &output.stdout[end + 1..];
    let words: Vec<&str> = head.split(' ').collect();
    let entry = |content: Option<&[u8]>| {
        let [_, mode, uid, gid, _, user, group] = words[..] else {
            return None;
        };
        Some(Entry {
            mode: normal_mode(mode)?,
            uid: uid.to_owned(),
            gid: gid.to_owned(),
            user: user.to_owned(),
            group: group.to_owned(),
            content: content
                .and_then(|bytes| std::str::from_utf8(bytes).ok())
                .map(str::to_owned),
            sha256: content.map(digest),
        })
    };
    Some(match words[0] {
        "absent" => There::Nothing,
        "link" => There::Link(String::from_utf8_lossy(rest).trim_end().to_owned()),
        "directory" => There::Directory(entry(None)?),
        "file" => There::File(entry(Some(rest))?),
        "large" => {
            let mut entry = entry(None)?;
            entry.sha256 = Some(String::from_utf8_lossy(rest).trim().to_owned());
            There::File(entry)
        }
        "other" => There::Other,
        _ => return None,
    })
}

/// A mode in four digits or more; `None` if it is not an octal number of at most four.
pub(crate) fn normal_mode(mode: &str) -> Option<String> {
    let number = u32::from_str_radix(mode, 8).ok()?;
    let plain = mode.bytes().all(|byte| byte.is_ascii_digit());
    (plain && number <= 0o7777).then(|| format!("{number:04o}"))
}

/// The digest of a content, as `sha256sum` writes it.
pub(crate) fn digest(content: &[u8]) -> String {
    hex::encode(Sha256::digest(content))
}

/// Contents up to this size are read; of larger ones only the digest.
pub(crate) const LIMIT: usize = 256 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    fn output(stdout: &[u8]) -> Output {
        Output {
            status: 0,
            stdout: stdout.to_vec(),
            stderr: String::new(),
        }
    }

    #[test]
    fn files_directories_and_the_rest_are_told_apart() {
        let Some(There::File(file)) = parse(&output(b"file 640 0 42 3 root shadow\na\nb")) else {
            panic!()
        };
        assert_eq!(
            (file.mode.as_str(), file.content.as_deref()),
            ("0640", Some("a\nb"))
        );
        assert_eq!(
            (file.owner_like(None), file.group_like(Some("42"))),
            ("root", "42")
        );
        let Some(There::File(binary)) = parse(&output(b"file 644 0 0 1 root root\n\xff")) else {
            panic!()
        };
        assert!(binary.content.is_none() && binary.sha256.is_some());
        let Some(There::File(large)) = parse(&output(b"large 644 9 0 999999 UNKNOWN root\nabc\n"))
        else {
            panic!()
        };
        assert_eq!(
            (large.sha256.as_deref(), large.owner_like(None)),
            (Some("abc"), "9")
        );
        assert!(matches!(
            parse(&output(b"directory 1777 0 0 4096 root root\n")),
            Some(There::Directory(_))
        ));
        assert_eq!(
            parse(&output(b"link\n/etc/x y\n")),
            Some(There::Link("/etc/x y".into()))
        );
        assert_eq!(parse(&output(b"absent\n")), Some(There::Nothing));
        assert_eq!(parse(&output(b"noise\n")), None);
    }

    #[test]
    fn modes_are_octal_numbers() {
        assert_eq!(normal_mode("644").as_deref(), Some("0644"));
        assert_eq!(normal_mode("01777").as_deref(), Some("1777"));
        assert_eq!(normal_mode("u+x"), None);
        assert_eq!(normal_mode("+644"), None);
        assert_eq!(normal_mode("99999"), None);
    }
}
