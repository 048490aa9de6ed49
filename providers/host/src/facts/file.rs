//! What stands at paths: nothing, a file, a directory, something else. Many paths are looked at in one pass, by digest; a
//! content is fetched only where the digest says that it is not known.

use std::fmt::Write as _;

use dmp_sdk::{Each, Output, Script};
use sha2::{Digest, Sha256};

/// One line for each path, then one with the facts of each file and directory, then one with the digest of each file.
const SCRIPT: &str = r#"
for path do
	shift
	if [ -L "$path" ] && { [ -z "$follow" ] || [ ! -e "$path" ]; }; then
		printf 'link %s\n' "$(readlink -- "$path")"
	elif [ ! -e "$path" ]; then
		echo absent
	elif [ -d "$path" ]; then
		echo directory
		set -- "$@" "$path"
	elif [ -f "$path" ]; then
		echo file
		set -- "$@" "$path"
	else
		echo other
	fi
done
[ $# != 0 ] || exit 0
stat $follow -c '%a %u %g %s %U %G' -- "$@" || exit 1
for path do
	shift
	[ ! -f "$path" ] || set -- "$@" "$path"
done
[ $# = 0 ] || sha256sum -- "$@"
"#;

/// A content, if it is that of a regular file and not too large.
const CONTENT: &str = r#"
[ -f "$path" ] || exit 3
size=$(stat -L -c %s -- "$path") || exit 1
[ "$size" -le "$limit" ] || exit 3
cat -- "$path"
"#;

static EACH: Each = Each {
    name: "paths",
    split,
};

/// The script for a path.
pub(crate) fn script(path: &str) -> Script {
    Script::new(SCRIPT).var("follow", "").item(path, &EACH)
}

/// The script for what a path leads to; only what leads nowhere is a link then.
pub(crate) fn script_through_links(path: &str) -> Script {
    Script::new(SCRIPT).var("follow", "-L").item(path, &EACH)
}

/// The script for the content of a file.
pub(crate) fn content_script(path: &str) -> Script {
    Script::new(CONTENT)
        .var("path", path)
        .var("limit", LIMIT.to_string())
}

/// Cuts what the script says of many paths into what it says of each.
fn split(output: &Output, count: usize) -> Option<Vec<Output>> {
    if !output.is_success() {
        return None;
    }
    let text = std::str::from_utf8(&output.stdout).ok()?;
    let mut lines = text.lines();
    let kinds: Vec<&str> = lines.by_ref().take(count).collect();
    let is_there = |kind: &str| ["directory", "file"].contains(&kind);
    let there = kinds.iter().filter(|kind| is_there(kind)).count();
    let mut facts = lines.by_ref().take(there).collect::<Vec<_>>().into_iter();
    let mut cut = Vec::with_capacity(count);
    for kind in kinds {
        let mut stdout = format!("{kind}\n");
        if is_there(kind) {
            let _ = writeln!(stdout, "{}", facts.next()?);
        }
        if kind == "file" {
            let _ = writeln!(stdout, "{}", lines.next()?);
        }
        cut.push(Output {
            status: 0,
            stdout: stdout.into_bytes(),
            stderr: String::new(),
        });
    }
    // A name with a newline in it, or something that came or went in between.
    (lines.next().is_none() && cut.len() == count).then_some(cut)
}

/// The content that was fetched, and its digest; `None` for what is no text or too large.
pub(crate) fn content(output: &Output) -> Option<(String, String)> {
    let text = std::str::from_utf8(&output.stdout).ok()?;
    output
        .is_success()
        .then(|| (text.to_owned(), digest(&output.stdout)))
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
    size: usize,
    /// A file's digest.
    pub(crate) sha256: Option<String>,
}

impl Entry {
    /// The owner, as a number if it was asked for by number.
    pub(crate) fn owner_like(&self, wanted: Option<&str>) -> &str {
        like(wanted, &self.user, &self.uid)
    }

    /// Whether a file is small enough that its content may be fetched.
    pub(crate) fn is_small(&self) -> bool {
        self.size <= LIMIT
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

/// Understands what the script says of one path. `None` if it is not what the script writes.
pub(crate) fn parse(output: &Output) -> Option<There> {
    if !output.is_success() {
        return None;
    }
    let text = String::from_utf8_lossy(&output.stdout);
    let (kind, rest) = text.split_once('\n')?;
    let mut lines = rest.lines();
    let mut entry = |has_digest: bool| {
        let words: Vec<&str> = lines.next()?.split(' ').collect();
        let [mode, uid, gid, size, user, group] = words[..] else {
            return None;
        };
        let sha256 = match has_digest {
            true => Some(digest_in(lines.next()?)?),
            false => None,
        };
        Some(Entry {
            mode: normal_mode(mode)?,
            uid: uid.to_owned(),
            gid: gid.to_owned(),
            user: user.to_owned(),
            group: group.to_owned(),
            size: size.parse().ok()?,
            sha256,
        })
    };
    Some(match kind {
        "absent" => There::Nothing,
        "directory" => There::Directory(entry(false)?),
        "file" => There::File(entry(true)?),
        "other" => There::Other,
        link => {
            let target = link.strip_prefix("link ")?;
            let more = rest.trim_end_matches('\n');
            There::Link(match more {
                "" => target.to_owned(),
                more => format!("{target}\n{more}"),
            })
        }
    })
}

/// The digest in a line of `sha256sum`, which begins with `\` where the name has strange letters.
fn digest_in(line: &str) -> Option<String> {
    let digits = line.trim_start_matches('\\').get(..64)?;
    digits
        .bytes()
        .all(|byte| byte.is_ascii_hexdigit())
        .then(|| digits.to_owned())
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

/// Contents up to this size are fetched; of larger ones only the digest is known.
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
        let sum = digest(b"a\nb");
        let said = format!("file\n640 0 42 3 root shadow\n{sum}  /etc/x\n");
        let Some(There::File(file)) = parse(&output(said.as_bytes())) else {
            panic!()
        };
        assert_eq!(
            (file.mode.as_str(), file.sha256.as_deref()),
            ("0640", Some(sum.as_str()))
        );
        assert_eq!(
            (file.owner_like(None), file.group_like(Some("42"))),
            ("root", "42")
        );
        let said = format!("file\n644 9 0 999999 UNKNOWN root\n\\{sum}  /etc/x\\ny\n");
        let Some(There::File(large)) = parse(&output(said.as_bytes())) else {
            panic!()
        };
        assert!(!large.is_small() && large.sha256 == Some(sum));
        assert_eq!(large.owner_like(None), "9");
        assert!(matches!(
            parse(&output(b"directory\n1777 0 0 4096 root root\n")),
            Some(There::Directory(_))
        ));
        assert_eq!(
            parse(&output(b"link /etc/x y\n")),
            Some(There::Link("/etc/x y".into()))
        );
        assert_eq!(
            parse(&output(b"link ../x y \n")),
            Some(There::Link("../x y ".into()))
        );
        assert_eq!(parse(&output(b"absent\n")), Some(There::Nothing));
        assert_eq!(parse(&output(b"noise\n")), None);
    }

    #[test]
    fn what_is_said_of_many_paths_is_cut_into_what_is_said_of_each() {
        let sum = digest(b"x");
        let many = format!(
            "file\nabsent\ndirectory\nlink /a b\n644 0 0 1 root root\n755 0 0 4096 root root\n{sum}  /f\n"
        );
        let cut = split(&output(many.as_bytes()), 4).expect("fits");
        let said: Vec<_> = cut.iter().map(|part| part.text().into_owned()).collect();
        assert_eq!(said[0], format!("file\n644 0 0 1 root root\n{sum}  /f\n"));
        assert_eq!(
            said[1..],
            [
                "absent\n",
                "directory\n755 0 0 4096 root root\n",
                "link /a b\n"
            ]
        );
        let more = format!("{many}more\n");
        assert_eq!(split(&output(more.as_bytes()), 4), None);
        assert_eq!(split(&output(many.as_bytes()), 5), None);
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
