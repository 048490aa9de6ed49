//! A line and a block of lines in a file: whether they are there, and what stands in their place.

use dmp_sdk::{Output, Script};

/// Looks for a line, then for the last one that an expression describes.
const LINE: &str = r#"
if [ -n "$match" ]; then
	grep -E -e "$match" </dev/null
	[ $? = 1 ] || exit 1
fi
if [ -L "$path" ]; then echo link; readlink -- "$path"; exit 0; fi
if [ ! -e "$path" ]; then echo none; exit 0; fi
if [ ! -f "$path" ]; then echo other; exit 0; fi
if grep -q -x -F -e "$line" <"$path"; then
	echo same
elif [ -n "$match" ] && found=$(grep -E -e "$match" <"$path"); then
	echo another
	printf '%s\n' "$found" | tail -n 1
else
	echo none
fi
"#;

/// Looks for the lines between two markers.
const BLOCK: &str = r#"
if [ -L "$path" ]; then echo link; readlink -- "$path"; exit 0; fi
if [ ! -e "$path" ]; then echo none; exit 0; fi
if [ ! -f "$path" ]; then echo other; exit 0; fi
begin=$(grep -n -x -F -e "$begin" <"$path") end=$(grep -n -x -F -e "$end" <"$path")
begin=${begin%%:*} end=${end%%:*}
if [ -z "$begin$end" ]; then
	echo none
elif [ -z "$begin" ] || [ -z "$end" ] || [ "$end" -lt "$begin" ]; then
	echo torn
else
	echo block
	[ "$((end - begin))" -le 1 ] || head -n "$((end - 1))" <"$path" | tail -n "+$((begin + 1))"
fi
"#;

/// The script for a line; without an expression `pattern` is empty.
pub(crate) fn script(path: &str, line: &str, pattern: &str) -> Script {
    Script::new(LINE)
        .var("path", path)
        .var("line", line)
        .var("match", pattern)
}

/// The script for the block between two markers.
pub(crate) fn block_script(path: &str, begin: &str, end: &str) -> Script {
    Script::new(BLOCK)
        .var("path", path)
        .var("begin", begin)
        .var("end", end)
}

/// What was found.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// Neither the line nor one in its place.
    Nothing,
    /// The very line.
    Same,
    /// Another line, which the expression describes.
    Another(String),
    /// The lines between the markers.
    Block(String),
    /// One of the two markers, or the second one first.
    Torn,
    /// No regular file, in words.
    NoFile(String),
}

/// Understands the scripts' output. `None` if it is not what they write.
pub(crate) fn parse(output: &Output) -> Option<Found> {
    if !output.is_success() {
        return None;
    }
    let text = output.text();
    let (head, rest) = text.split_once('\n')?;
    let line = rest.strip_suffix('\n').unwrap_or(rest);
    Some(match head {
        "none" => Found::Nothing,
        "same" => Found::Same,
        "another" => Found::Another(line.to_owned()),
        "block" => Found::Block(rest.to_owned()),
        "torn" => Found::Torn,
        "link" => Found::NoFile(format!("a symbolic link to `{line}`: name the file itself")),
        "other" => Found::NoFile("no regular file".into()),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_another_and_none_are_told_apart() {
        let read = |stdout: &str| {
            parse(&Output {
                stdout: stdout.into(),
                ..Output::default()
            })
        };
        assert_eq!(read("same\n"), Some(Found::Same));
        assert_eq!(read("none\n"), Some(Found::Nothing));
        assert_eq!(
            read("another\n Port 22 \n"),
            Some(Found::Another(" Port 22 ".into()))
        );
        assert_eq!(
            read("block\na\n\nb\n"),
            Some(Found::Block("a\n\nb\n".into()))
        );
        assert_eq!(read("block\n"), Some(Found::Block(String::new())));
        assert!(matches!(read("link\n/x\n"), Some(Found::NoFile(_))));
        assert_eq!(read("grep: \n"), None);
    }
}
