//! `host_block`: some lines between two markers, in a file that is not dmp's.
//!
//! The markers carry the block's name, so that several blocks stand in one file, and what is dmp's is seen by who opens
//! it. All else in the file stays as it is, byte for byte.

use dmp_sdk::{
    Answers, Attribute, Change, Claim, Diagnostic, Fetch, Job, Known, MarkWay, Object, Reading,
    Resource, Schema, Script, Step, Type, Value, Verb, Work,
};

use crate::edited::with_edit;
use crate::facts::line::{self, Found};
use crate::kept::keeping;
use crate::on_host::{
    fetch, flag, host_attribute, known_machine, lines_in, plan_host, text, unreadable, wrong,
};
use crate::resources::file::plan_path;
use crate::resources::line::{no_file, plan_anchors};

/// The resource type.
pub(crate) struct HostBlock {
    schema: Schema,
}

impl HostBlock {
    pub(crate) fn new() -> Self {
        let schema = Schema::new(
            "host_block",
            "Some lines in a file on a machine, between the markers `# BEGIN dmp NAME` and `# END dmp NAME`; the rest of the file is not dmp's.",
        )
        .mark(MarkWay::NaturalKey(&["host", "path", "name", "comment", "comment_end"]))
        .on_delete("The block is taken out with its markers; what stood between them before dmp is put back. A file that dmp began is removed when nothing is left in it.")
        .attribute("host", host_attribute())
        .attribute("path", Attribute::required(Type::String, "Absolute path of the file.").replaces().unique())
        .attribute("name", Attribute::required(Type::String, "The name in the markers: one for each block of a file.").replaces().unique())
        .attribute("content", Attribute::required(Type::String, "The lines; the last one may end with a line break or not."))
        .attribute("comment", Attribute::default(Type::String, "What begins a comment in this file: `//`, `;`, `<!--`.", "#").replaces())
        .attribute("comment_end", Attribute::default(Type::String, "What ends such a comment, where something does: `-->`.", "").replaces())
        .attribute("after", Attribute::optional(Type::String, "Extended regular expression: a new block comes behind the last line that fits. Without it and `before` it comes at the end."))
        .attribute("before", Attribute::optional(Type::String, "Extended regular expression: a new block comes in front of the first line that fits; `^` is the beginning of the file."))
        .attribute("create", Attribute::default(Type::Bool, "Whether a file that is missing is begun, with mode 0644.", false))
        .attribute("validate", Attribute::optional(Type::String, "A shell command that must succeed before the new content takes its place; `$file` is the candidate: `visudo -cf \"$file\"`."));
        Self { schema }
    }
}

/// The line that begins or ends the block.
fn marker(of: &Value, word: &str) -> String {
    let whole = format!(
        "{} {word} dmp {} {}",
        text(of, "comment"),
        text(of, "name"),
        text(of, "comment_end")
    );
    whole.trim().to_owned()
}

/// A content whose last line ends.
fn whole_lines(content: &str) -> String {
    match content {
        "" => String::new(),
        _ if content.ends_with('\n') => content.to_owned(),
        _ => format!("{content}\n"),
    }
}

impl Resource for HostBlock {
    fn schema(&self) -> &Schema {
        &self.schema
    }

    fn fetches(&self, known: &Known<'_>) -> Result<Vec<Fetch>, Diagnostic> {
        fetch(known, &["path", "name", "comment", "comment_end"], || {
            let of = known.attributes;
            line::block_script(&text(of, "path"), &marker(of, "BEGIN"), &marker(of, "END"))
        })
    }

    fn parse(&self, known: &Known<'_>, answers: Answers<'_>) -> Result<Reading, Diagnostic> {
        let output = answers.output(0)?;
        let wanted = known.attributes;
        let found = match line::parse(output)
            .ok_or_else(|| unreadable("a block of a file", output))?
        {
            Found::Block(found) => found,
            Found::NoFile(what) => return Err(no_file(wanted, &what)),
            Found::Torn => {
                return Err(Diagnostic::remote("torn-block", "a block without its end")
                        .detail(format!(
                            "`{}` has one of the markers of `{}`, or the second one first",
                            text(wanted, "path"),
                            text(wanted, "name")
                        ))
                        .help("put the missing marker back, or take out the other one with the lines behind it"));
            }
            Found::Nothing | Found::Same | Found::Another(_) => return Ok(Reading::Absent),
        };
        let content = wanted.get("content");
        let is_same = content
            .as_str()
            .is_some_and(|content| whole_lines(content) == found);
        let content = if is_same {
            content
        } else {
            Value::from(found).marked(&content.deep_marks().without_origins())
        };
        Ok(Reading::Found(Object {
            attributes: wanted.with("content", content),
            id: Some(text(wanted, "path")),
        }))
    }

    fn plan(&self, change: &mut Change<'_>) -> Result<(), Diagnostic> {
        plan_host(change);
        plan_path(change)?;
        plan_anchors(change)?;
        for name in ["name", "comment", "comment_end"] {
            let given = change.planned.get(name);
            if given
                .as_str()
                .is_some_and(|text| text.contains('\n') || (text.is_empty() && name == "name"))
            {
                return Err(wrong(
                    name,
                    "not for a marker",
                    "a marker is one line, with a name in it",
                ));
            }
        }
        let is_marker = |content: &str| {
            let markers = ["BEGIN", "END"].map(|word| marker(&change.planned, word));
            content
                .lines()
                .any(|line| markers.iter().any(|marker| marker == line))
        };
        if change
            .planned
            .get("content")
            .as_str()
            .is_some_and(is_marker)
        {
            return Err(wrong(
                "content",
                "a marker inside of a block",
                "one of its lines is the block's own marker",
            ));
        }
        if let (None, Some(_)) = (change.prior, change.earlier) {
            change.note(format!(
                "{} has a block of this name already; a delete puts back what is in it",
                text(&change.planned, "path")
            ));
        }
        Ok(())
    }

    fn claims(&self, value: &Value) -> Vec<Claim> {
        let path = value.get("path");
        path.as_str()
            .map_or_else(Vec::new, |path| lines_in(value, path))
    }

    fn work(&self, job: &Job<'_>) -> Result<Work, Diagnostic> {
        let earlier = job.earlier.filter(|earlier| !earlier.is_null());
        let (of, content, title) = match (job.verb, earlier) {
            (Verb::Delete, None) => (job.prior()?, None, "take the block out of"),
            (Verb::Delete, Some(earlier)) => (
                job.prior()?,
                Some(earlier),
                "put back the block of before in",
            ),
            _ => {
                let wanted = job.wanted()?;
                let before = match job.verb {
                    Verb::Create => earlier,
                    _ => job.prior,
                };
                if before.is_some_and(|before| before.get("content") == wanted.get("content")) {
                    return Ok(Work::Steps(Vec::new()));
                }
                (wanted, Some(wanted), "write the block in")
            }
        };
        let run = match content {
            Some(content) => {
                Script::new(WRITE).stdin(whole_lines(&text(content, "content")).into_bytes())
            }
            None => Script::new(REMOVE),
        };
        let is_delete = job.verb == Verb::Delete;
        let run = run
            .var("path", text(of, "path"))
            .var("begin", marker(of, "BEGIN"))
            .var("end", marker(of, "END"))
            .var("after", text(of, "after"))
            .var("before", text(of, "before"))
            .var("create", if flag(of, "create") { "yes" } else { "no" })
            .var("only_there", if is_delete { "yes" } else { "no" })
            .var("validate", text(of, "validate"));
        let title = format!("{title} {}", text(of, "path"));
        Ok(Work::Steps(vec![Step::new(
            title,
            &known_machine(of)?,
            keeping(run, job.mark),
        )]))
    }
}

const WRITE: &str = with_edit!(
    r#"
if [ "$only_there" = yes ] && [ ! -e "$path" ]; then exit 0; fi
dmp_open
dmp_find -x -F -e "$begin"
from=$first
dmp_find -x -F -e "$end"
to=$first
if [ -n "$from" ] && [ -n "$to" ] && [ "$from" -lt "$to" ]; then
	at=$((from - 1))
elif [ -n "$from$to" ]; then
	dmp_refuse "$path has one of the block's markers, or the second one first"
else
	if [ "$only_there" = yes ]; then exit 0; fi
	dmp_place
	to=$at
fi
{
	dmp_part 1 "$at"
	printf '%s\n' "$begin"
	cat
	printf '%s\n' "$end"
	dmp_part $((to + 1)) "$count"
} >"$new" || exit 1
dmp_close
"#
);

const REMOVE: &str = with_edit!(
    r#"
if [ ! -e "$path" ]; then
	rm -f -- "$begun"
	exit 0
fi
dmp_open
dmp_find -x -F -e "$begin"
from=$first
dmp_find -x -F -e "$end"
to=$first
[ -n "$from$to" ] || exit 0
[ -n "$from" ] && [ -n "$to" ] && [ "$from" -lt "$to" ] ||
	dmp_refuse "$path has one of the block's markers, or the second one first; it is left as it is"
{
	dmp_part 1 $((from - 1))
	dmp_part $((to + 1)) "$count"
} >"$new" || exit 1
dmp_close
"#
);

#[cfg(test)]
mod tests {
    use dmp_sdk::Purpose;

    use super::*;
    use crate::on_host::tests::{a_machine, found, parse, plan, said, value};

    fn config(content: &str) -> Value {
        let given: [(&str, Value); 4] = [
            ("host", a_machine().to_value()),
            ("path", "/etc/hosts".into()),
            ("name", "nodes".into()),
            ("content", content.into()),
        ];
        value(HostBlock::new().schema(), &given)
    }

    #[test]
    fn a_line_break_at_the_end_makes_no_difference_and_another_line_does() {
        let block = HostBlock::new();
        for content in ["10.0.0.1 a\n10.0.0.2 b", "10.0.0.1 a\n10.0.0.2 b\n"] {
            let config = config(content);
            let read = |stdout: &[u8]| {
                found(parse(&block, &config, Purpose::Refresh, stdout).expect("parses"))
            };
            let whole = read(b"block\n10.0.0.1 a\n10.0.0.2 b\n");
            let planned = plan(&block, &config, Some(&whole), None).expect("plans");
            assert_eq!(planned.value, whole);
            let other = read(b"block\n10.0.0.1 a\n");
            let planned = plan(&block, &config, Some(&other), None).expect("plans");
            assert_ne!(planned.value, other);
        }
        let torn = parse(&block, &config(""), Purpose::Refresh, b"torn\n").expect_err("is torn");
        let torn = said(&torn);
        assert!(torn.contains("put the missing marker back"), "{torn}");
    }

    #[test]
    fn markers_carry_the_name_in_the_files_own_comments() {
        let config = config("x");
        assert_eq!(marker(&config, "BEGIN"), "# BEGIN dmp nodes");
        let xml = config
            .with("comment", "<!--".into())
            .with("comment_end", "-->".into());
        assert_eq!(marker(&xml, "END"), "<!-- END dmp nodes -->");
    }

    #[test]
    fn a_content_that_would_end_its_own_block_is_refused() {
        let error = plan(
            &HostBlock::new(),
            &config("a\n# END dmp nodes\nb"),
            None,
            None,
        );
        assert!(
            error
                .err()
                .expect("is wrong")
                .to_string()
                .contains("own marker")
        );
    }
}
