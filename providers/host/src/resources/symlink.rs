//! `host_symlink`: one symbolic link and where it leads.
//!
//! The path is the identity. The link is made beside and takes the name in one move; a file or a directory at its path
//! is never replaced. A link that was there before dmp is put back by a delete.

use dmp_sdk::{
    Answers, Attribute, Change, Claim, Diagnostic, Fetch, Job, Known, MarkWay, Object, Reading,
    Resource, Schema, Script, Step, Type, Value, Verb, Work,
};

use crate::facts::file::{self, There};
use crate::on_host::{
    fetch, host_attribute, known_machine, plan_host, text, unreadable, whole_files, wrong,
};
use crate::resources::file::plan_path;

/// The resource type.
pub(crate) struct HostSymlink {
    schema: Schema,
}

impl HostSymlink {
    pub(crate) fn new() -> Self {
        let schema = Schema::new(
            "host_symlink",
            "A symbolic link on a machine. It takes the place of another link, never of a file or a directory.",
        )
        .mark(MarkWay::NaturalKey(&["host", "path"]))
        .on_delete("The link that was there before dmp is put back; without such it is removed. What it leads to is not touched.")
        .attribute("host", host_attribute())
        .attribute("path", Attribute::required(Type::String, "Absolute path of the link.").replaces().unique())
        .attribute("target", Attribute::required(Type::String, "Where it leads, as it is written into the link: `/opt/tool-2.1`, or from the link's directory `../lib/tool`. It need not be there."));
        Self { schema }
    }
}

impl Resource for HostSymlink {
    fn schema(&self) -> &Schema {
        &self.schema
    }

    fn fetches(&self, known: &Known<'_>) -> Result<Vec<Fetch>, Diagnostic> {
        fetch(known, &["path"], || {
            file::script(&text(known.attributes, "path"))
        })
    }

    fn parse(&self, known: &Known<'_>, answers: Answers<'_>) -> Result<Reading, Diagnostic> {
        let output = answers.output(0)?;
        let path = text(known.attributes, "path");
        let what = match file::parse(output).ok_or_else(|| unreadable("a symbolic link", output))? {
            There::Nothing => return Ok(Reading::Absent),
            There::Link(target) => {
                return Ok(Reading::Found(Object {
                    attributes: known.attributes.with("target", target.into()),
                    id: Some(path),
                }));
            }
            There::Directory(_) => "a directory",
            There::File(_) => "a file",
            There::Other => "a device, a socket or a pipe",
        };
        Err(Diagnostic::remote("not-a-link", "not a symbolic link")
            .detail(format!(
                "`{path}` is {what}, which is never replaced by a link"
            ))
            .help("move it out of the way, or give the link another path"))
    }

    fn plan(&self, change: &mut Change<'_>) -> Result<(), Diagnostic> {
        plan_host(change);
        plan_path(change)?;
        let target = change.planned.get("target");
        if target
            .as_str()
            .is_some_and(|target| target.is_empty() || target.contains(['\0', '\n']))
        {
            return Err(wrong(
                "target",
                "not a path",
                "it is empty, or has a line break in it",
            ));
        }
        if let (None, Some(earlier)) = (change.prior, change.earlier) {
            let path = text(&change.planned, "path");
            change.note(if earlier.get("target") == target {
                format!("{path} is there already, as wanted")
            } else {
                format!("{path} is a link already; a delete puts it back")
            });
        }
        Ok(())
    }

    fn claims(&self, value: &Value) -> Vec<Claim> {
        whole_files(value, "path", |path| vec![path.to_owned()])
    }

    fn work(&self, job: &Job<'_>) -> Result<Work, Diagnostic> {
        let of = if job.verb == Verb::Delete {
            job.prior()?
        } else {
            job.wanted()?
        };
        let on = known_machine(of)?;
        let path = text(of, "path");
        let earlier = job.earlier.filter(|earlier| !earlier.is_null());
        // The first time, what stands there was found just before; later, what was refreshed.
        let before = match job.verb {
            Verb::Create => earlier,
            _ => job.prior,
        };
        let (title, run) = match (job.verb, earlier) {
            (Verb::Delete, None) => (format!("remove the link {path}"), Script::new(REMOVE)),
            (Verb::Delete, Some(earlier)) => (
                format!("put back the link {path} as it was before dmp"),
                Script::new(LINK).var("target", text(earlier, "target")),
            ),
            _ if before.map(|before| before.get("target")) == Some(of.get("target")) => {
                return Ok(Work::Steps(Vec::new()));
            }
            _ => (
                format!("make the link {path}"),
                Script::new(LINK).var("target", text(of, "target")),
            ),
        };
        Ok(Work::Steps(vec![Step::new(
            title,
            &on,
            run.var("path", path),
        )]))
    }
}

// A `mv` that does not know -T would move the link into the directory to which the old one leads.
const LINK: &str = r#"
directory=$(dirname -- "$path")
if [ ! -d "$directory" ]; then echo "the directory $directory does not exist: add a host_directory for it" >&2; exit 1; fi
if [ -e "$path" ] && [ ! -L "$path" ]; then echo "$path is there and no symbolic link; it is left as it is" >&2; exit 1; fi
new=$(mktemp "$directory/.dmp.XXXXXX") || exit 1
trap 'rm -f -- "$new"' EXIT
rm -f -- "$new" && ln -s -- "$target" "$new" || exit 1
if ! mv -fT -- "$new" "$path" 2>/dev/null; then
	rm -f -- "$path" && ln -s -- "$target" "$path" || exit 1
fi
sync "$directory" 2>/dev/null || :
"#;

const REMOVE: &str = r#"
if [ -e "$path" ] && [ ! -L "$path" ]; then echo "$path is no symbolic link any more; it is left as it is" >&2; exit 1; fi
rm -f -- "$path"
"#;

#[cfg(test)]
mod tests {
    use dmp_sdk::{Purpose, Value};

    use super::*;
    use crate::on_host::tests::{a_machine, found, parse, plan, value};

    fn config() -> Value {
        let given: [(&str, Value); 3] = [
            ("host", a_machine().to_value()),
            ("path", "/etc/localtime".into()),
            ("target", "/usr/share/zoneinfo/UTC".into()),
        ];
        value(HostSymlink::new().schema(), &given)
    }

    #[test]
    fn another_target_is_drift_and_what_is_no_link_is_refused() {
        let link = HostSymlink::new();
        let read = |stdout: &[u8]| parse(&link, &config(), Purpose::Refresh, stdout);
        let planned = |prior: &Value| plan(&link, &config(), Some(prior), None).expect("plans");
        let whole = found(read(b"link /usr/share/zoneinfo/UTC\n").expect("parses"));
        assert_eq!(planned(&whole).value, whole);
        let other = found(read(b"link ../x y\n").expect("parses"));
        assert_eq!(other.get("target"), "../x y".into());
        assert_ne!(planned(&other).value, other);
        let sum = file::digest(b"x");
        let there = format!("file\n644 0 0 1 root root\n{sum}  /etc/localtime\n");
        let error = read(there.as_bytes()).expect_err("refused");
        assert!(
            error
                .to_string()
                .contains("is a file, which is never replaced"),
            "{error}"
        );
    }

    #[test]
    fn a_link_that_is_there_already_is_told_of() {
        let earlier = config().with("target", "/elsewhere".into());
        let notes = plan(&HostSymlink::new(), &config(), None, Some(&earlier))
            .expect("plans")
            .notes;
        assert_eq!(
            notes,
            ["/etc/localtime is a link already; a delete puts it back"]
        );
    }
}
