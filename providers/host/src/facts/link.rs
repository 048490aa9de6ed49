//! What stands at a path where a symbolic link is wanted.

use dmp_sdk::{Output, Script};

/// Says what it is, and of a link where it leads.
const SCRIPT: &str = r#"
if [ -L "$path" ]; then
	echo link
	readlink -- "$path"
elif [ ! -e "$path" ]; then
	echo nothing
elif [ -d "$path" ]; then
	echo "a directory"
elif [ -f "$path" ]; then
	echo "a file"
else
	echo "a device, a socket or a pipe"
fi
"#;

/// The script for a path.
pub(crate) fn script(path: &str) -> Script {
    Script::new(SCRIPT).var("path", path)
}

/// What was found.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Found {
    Nothing,
    /// A link, and where to.
    Link(String),
    /// Something else, in words.
    Other(String),
}

/// Understands the script's output. `None` if it is not what the script writes.
pub(crate) fn parse(output: &Output) -> Option<Found> {
    if !output.is_success() {
        return None;
    }
    let text = output.text();
    let (head, rest) = text.split_once('\n')?;
    Some(match head {
        "link" => Found::Link(rest.strip_suffix('\n').unwrap_or(rest).to_owned()),
        "nothing" => Found::Nothing,
        _ => Found::Other(head.to_owned()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_nothing_and_the_rest_are_told_apart() {
        let read = |stdout: &[u8]| {
            parse(&Output {
                stdout: stdout.to_vec(),
                ..Output::default()
            })
        };
        assert_eq!(
            read(b"link\n../x y \n"),
            Some(Found::Link("../x y ".into()))
        );
        assert_eq!(read(b"nothing\n"), Some(Found::Nothing));
        assert_eq!(read(b"a file\n"), Some(Found::Other("a file".into())));
        assert_eq!(read(b""), None);
    }
}
