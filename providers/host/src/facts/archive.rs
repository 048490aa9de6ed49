//! What was unpacked into a directory: from which archive, and whether it is still just that.

use dmp_sdk::{Output, Script};

/// Tells what the directory's note says, and the digest of all that is below it but for the note: contents, modes, owners
/// and links.
const SCRIPT: &str = r#"
dmp_manifest() {
	sum=$({
		find . ! -name . ! -path ./.dmp-archive ! -type l ! -type d -exec sha256sum -- {} +
		find . ! -path ./.dmp-archive -exec stat -c '%A %u %g %N' -- {} +
	} | sort | sha256sum)
	printf '%s\n' "${sum%% *}"
}
if [ -L "$path" ]; then echo "is a symbolic link"; exit 0; fi
if [ ! -e "$path" ]; then echo none; exit 0; fi
if [ ! -d "$path" ]; then echo "is no directory"; exit 0; fi
cd -- "$path" || exit 1
if [ ! -f .dmp-archive ]; then
	for entry in * .[!.]* ..?*; do
		if [ -e "$entry" ] || [ -L "$entry" ]; then echo "has something in it that no archive of dmp's has brought"; exit 0; fi
	done
	echo none
	exit 0
fi
printf 'unpacked %s\n' "$(cat .dmp-archive)"
printf 'manifest %s\n' "$(dmp_manifest)"
if [ -n "$file" ] && [ -f "$file" ]; then
	sum=$(sha256sum -- "$file") || exit 1
	printf 'source %s\n' "${sum%% *}"
fi
exit 0
"#;

/// The script for a directory; `file` is the archive where it lies on the machine, else empty.
pub(crate) fn script(path: &str, file: &str) -> Script {
    Script::new(SCRIPT).var("path", path).var("file", file)
}

/// What was found.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// Nothing, or an empty directory.
    Nothing,
    /// What no archive has brought, in words behind the path.
    Foreign(String),
    Unpacked(Unpacked),
}

/// What an archive has brought.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Unpacked {
    /// The archive's digest.
    pub(crate) sha256: String,
    /// How many leading parts of its names were left out.
    pub(crate) strip: i64,
    /// The digest of all that is there.
    pub(crate) manifest: String,
    /// The digest of the archive that lies on the machine.
    pub(crate) source: Option<String>,
}

/// Understands the script's output. `None` if it is not what the script writes.
pub(crate) fn parse(output: &Output) -> Option<Found> {
    if !output.is_success() {
        return None;
    }
    let text = output.text();
    let mut lines = text.lines();
    let head = lines.next()?;
    if head == "none" {
        return Some(Found::Nothing);
    }
    let Some(note) = head.strip_prefix("unpacked ") else {
        return Some(Found::Foreign(head.to_owned()));
    };
    let (sha256, strip) = note.split_once(' ').unwrap_or((note, "0"));
    let mut found = Unpacked {
        sha256: sha256.to_owned(),
        strip: strip.trim().parse().unwrap_or_default(),
        ..Unpacked::default()
    };
    for (name, value) in lines.filter_map(|line| line.split_once(' ')) {
        match name {
            "manifest" => value.clone_into(&mut found.manifest),
            "source" => found.source = Some(value.to_owned()),
            _ => {}
        }
    }
    Some(Found::Unpacked(found))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_archive_brought_is_told_from_what_others_did() {
        let read = |stdout: &str| {
            parse(&Output {
                stdout: stdout.into(),
                ..Output::default()
            })
        };
        let expected = Unpacked {
            sha256: "ab".into(),
            strip: 1,
            manifest: "cd".into(),
            source: Some("ef".into()),
        };
        let found = read("unpacked ab 1\nmanifest cd\nsource ef\n");
        assert_eq!(found, Some(Found::Unpacked(expected)));
        assert_eq!(read("none\n"), Some(Found::Nothing));
        assert_eq!(
            read("is no directory\n"),
            Some(Found::Foreign("is no directory".into()))
        );
    }
}
