//! `host_line`: one line in a file that is not dmp's.
//!
//! The file, and which of its lines it is about, are the identity: the lines that `match` describes, or the line itself.
//! Several instances edit one file one after the other; all else in it stays as it is, byte for byte.

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

/// The resource type.
pub(crate) struct HostLine {
    schema: Schema,
}

impl HostLine {
    pub(crate) fn new() -> Self {
        let schema = Schema::new(
            "host_line",
            "A line in a file on a machine; the rest of the file is not dmp's. With `match` it takes the place of another line: \
             `line = \"PermitRootLogin no\"` with `match = \"^#?PermitRootLogin \"`. Of several lines that fit, the last one is replaced; \
             where the line itself is there already, nothing is.",
        )
        .mark(MarkWay::NaturalKey(&["host", "path", "line", "match"]))
        .on_delete("The line is taken out, or the line that it replaced is put back; one that was there before dmp stays. A file that dmp began is removed when nothing is left in it.")
        .attribute("host", host_attribute())
        .attribute("path", Attribute::required(Type::String, "Absolute path of the file.").replaces().unique())
        .attribute("line", Attribute::required(Type::String, "The line, without a line break."))
        .attribute("match", Attribute::optional(Type::String, "Extended regular expression (as of `grep -E`) of the line whose place it takes."))
        .attribute("after", Attribute::optional(Type::String, "Extended regular expression: a new line comes behind the last one that fits. Without it and `before` it comes at the end."))
        .attribute("before", Attribute::optional(Type::String, "Extended regular expression: a new line comes in front of the first one that fits; `^` is the beginning of the file."))
        .attribute("create", Attribute::default(Type::Bool, "Whether a file that is missing is begun, with mode 0644.", false))
        .attribute("validate", Attribute::optional(Type::String, "A shell command that must succeed before the new content takes its place; `$file` is the candidate: `sshd -t -f \"$file\"`."))
        .attribute("claim", Attribute::computed(Type::String, "Which lines it is about: `match`, or the line itself. Two instances that claim the same are refused.").unique());
        Self { schema }
    }
}

/// Which lines of the file an instance is about.
fn claim(attributes: &Value) -> Value {
    let pattern = attributes.get("match");
    if pattern.is_null() {
        attributes.get("line")
    } else {
        pattern
    }
}

/// Anchors exclude each other.
pub(crate) fn plan_anchors(change: &Change<'_>) -> Result<(), Diagnostic> {
    if !change.config.get("after").is_null() && !change.config.get("before").is_null() {
        return Err(wrong(
            "before",
            "two places for one thing",
            "`after` and `before` exclude each other",
        ));
    }
    for name in ["match", "after", "before"] {
        let given = change.config.get(name);
        if given
            .as_str()
            .is_some_and(|text| text.is_empty() || text.contains('\n'))
        {
            return Err(wrong(
                name,
                "not an expression for a line",
                "it is empty, or has a line break in it",
            ));
        }
    }
    Ok(())
}

impl Resource for HostLine {
    fn schema(&self) -> &Schema {
        &self.schema
    }

    fn fetches(&self, known: &Known<'_>) -> Result<Vec<Fetch>, Diagnostic> {
        if !known.attributes.get("match").is_known() {
            return Ok(Vec::new());
        }
        fetch(known, &["path", "line"], || {
            let of = |name| text(known.attributes, name);
            line::script(&of("path"), &of("line"), &of("match"))
        })
    }

    fn parse(&self, known: &Known<'_>, answers: Answers<'_>) -> Result<Reading, Diagnostic> {
        let output = answers.output(0)?;
        let wanted = known.attributes;
        let line =
            match line::parse(output).ok_or_else(|| unreadable("a line of a file", output))? {
                Found::Same => wanted.get("line"),
                Found::Another(line) => {
                    Value::from(line).marked(&wanted.get("line").deep_marks().without_origins())
                }
                Found::NoFile(what) => return Err(no_file(wanted, &what)),
                Found::Nothing | Found::Block(_) | Found::Torn => return Ok(Reading::Absent),
            };
        Ok(Reading::Found(Object {
            attributes: wanted.with("line", line).with("claim", claim(wanted)),
            // The line may change in place, and nothing but dmp knows it as an object.
            id: None,
        }))
    }

    fn plan(&self, change: &mut Change<'_>) -> Result<(), Diagnostic> {
        plan_host(change);
        plan_path(change)?;
        plan_anchors(change)?;
        let line = change.planned.get("line");
        if line
            .as_str()
            .is_some_and(|line| line.is_empty() || line.contains(['\0', '\n']))
        {
            return Err(wrong(
                "line",
                "not a line",
                "it is empty, or has a line break in it",
            )
            .help("use a host_block for several lines"));
        }
        let claimed = claim(&change.planned);
        if claimed.is_wholly_known() {
            change.set("claim", claimed);
        } else {
            change.unknown("claim");
        }
        if let (None, Some(earlier)) = (change.prior, change.earlier) {
            let path = text(&change.planned, "path");
            change.note(if earlier.get("line") == change.planned.get("line") {
                format!("{path} has this line already; a delete leaves it")
            } else {
                format!("a line of {path} is replaced; a delete puts it back")
            });
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
        let (of, title, run) = if job.verb == Verb::Delete {
            let prior = job.prior()?;
            let before = earlier.map(|earlier| text(earlier, "line"));
            let run = Script::new(REMOVE)
                .var("line", text(prior, "line"))
                .var("was_there", if before.is_some() { "yes" } else { "no" })
                .var("was", before.unwrap_or_default());
            (prior, "take a line out of", run)
        } else {
            let wanted = job.wanted()?;
            let before = match job.verb {
                Verb::Create => earlier,
                _ => job.prior,
            };
            if before.is_some_and(|before| before.get("line") == wanted.get("line")) {
                return Ok(Work::Steps(Vec::new()));
            }
            let was = job.prior.map(|prior| text(prior, "line"));
            let run = Script::new(WRITE)
                .var("line", text(wanted, "line"))
                .var("was", was.unwrap_or_default())
                .var("match", text(wanted, "match"));
            (wanted, "write a line of", run)
        };
        let run = run
            .var("path", text(of, "path"))
            .var("after", text(of, "after"))
            .var("before", text(of, "before"))
            .var("create", if flag(of, "create") { "yes" } else { "no" })
            .var("validate", text(of, "validate"));
        let title = format!("{title} {}", text(of, "path"));
        Ok(Work::Steps(vec![Step::new(
            title,
            &known_machine(of)?,
            keeping(run, job.mark),
        )]))
    }
}

/// Something else than a file is at the path.
pub(crate) fn no_file(of: &Value, what: &str) -> Diagnostic {
    let path = text(of, "path");
    Diagnostic::remote("not-a-file", "not a regular file").detail(format!("`{path}` is {what}"))
}

const WRITE: &str = with_edit!(
    r#"
dmp_open
dmp_find -x -F -e "$line"
same=$last
last=
if [ -n "$was" ]; then dmp_find -x -F -e "$was"; fi
if [ -n "$last" ] && [ -n "$same" ]; then
	# The line is there already: the one before it only has to go.
	{ dmp_part 1 $((last - 1)); dmp_part $((last + 1)) "$count"; } >"$new" || exit 1
elif [ -n "$same" ]; then
	exit 0
else
	if [ -z "$last" ] && [ -n "$match" ]; then dmp_find -E -e "$match"; fi
	if [ -n "$last" ]; then
		at=$((last - 1))
	else
		dmp_place
		last=$at
	fi
	{ dmp_part 1 "$at"; printf '%s\n' "$line"; dmp_part $((last + 1)) "$count"; } >"$new" || exit 1
fi
dmp_close
"#
);

const REMOVE: &str = with_edit!(
    r#"
if [ ! -e "$path" ]; then
	rm -f -- "$begun"
	exit 0
fi
if [ "$was_there" = yes ] && [ "$was" = "$line" ]; then exit 0; fi
dmp_open
dmp_find -x -F -e "$line"
[ -n "$last" ] || exit 0
{
	dmp_part 1 $((last - 1))
	if [ "$was_there" = yes ]; then printf '%s\n' "$was"; fi
	dmp_part $((last + 1)) "$count"
} >"$new" || exit 1
dmp_close
"#
);

#[cfg(test)]
mod tests {
    use dmp_sdk::Purpose;

    use super::*;
    use crate::on_host::tests::{a_machine, found, parse, plan, said, value};

    fn config(given: &[(&str, Value)]) -> Value {
        let base: [(&str, Value); 3] = [
            ("host", a_machine().to_value()),
            ("path", "/etc/ssh/sshd_config".into()),
            ("line", "Port 22".into()),
        ];
        value(HostLine::new().schema(), &[given, &base].concat())
    }

    #[test]
    fn what_is_in_its_place_is_drift_and_told_of_before_a_create() {
        let line = HostLine::new();
        let config = config(&[("match", "^#?Port ".into())]);
        let read = |stdout: &[u8]| parse(&line, &config, Purpose::Refresh, stdout).expect("parses");
        let whole = found(read(b"same\n"));
        assert_eq!(whole.get("claim"), "^#?Port ".into());
        let planned = plan(&line, &config, Some(&whole), None).expect("plans");
        assert_eq!(planned.value, whole);
        let other = found(read(b"another\n#Port 22\n"));
        let planned = plan(&line, &config, Some(&other), None).expect("plans");
        assert_ne!(planned.value, other);
        let planned = plan(&line, &config, None, Some(&other)).expect("plans");
        assert_eq!(
            planned.notes,
            ["a line of /etc/ssh/sshd_config is replaced; a delete puts it back"]
        );
        assert!(matches!(read(b"none\n"), Reading::Absent));
    }

    #[test]
    fn what_it_claims_is_the_expression_or_the_line() {
        let claim = |config: &Value| {
            let planned = plan(&HostLine::new(), config, None, None).expect("plans");
            planned.value.get("claim")
        };
        assert_eq!(claim(&config(&[])), "Port 22".into());
        assert_eq!(claim(&config(&[("match", "^Port".into())])), "^Port".into());
        let unknown = config(&[("match", Value::unknown(Type::String))]);
        assert!(!claim(&unknown).is_known());
    }

    #[test]
    fn several_lines_and_two_places_are_refused() {
        let error = |given: &[(&str, Value)]| {
            let planned = plan(&HostLine::new(), &config(given), None, None);
            said(&planned.err().expect("is wrong"))
        };
        assert!(error(&[("line", "a\nb".into())]).contains("use a host_block"));
        let both = error(&[("after", "a".into()), ("before", "b".into())]);
        assert!(both.contains("exclude each other"), "{both}");
    }
}
