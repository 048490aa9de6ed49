//! `host_directory`: one directory with its mode and owner.
//!
//! Parents that are missing are made too, and remembered on the machine, so that a delete removes exactly what a
//! create has made, and only what is empty: content is never dmp's to throw away.

use dmp_sdk::{
    Answers, Attribute, Change, Claim, Diagnostic, Fetch, Job, Known, MarkWay, Object, Reading,
    Resource, Schema, Script, Step, Type, Value, Verb, Work,
};

use crate::facts::file::{self, There};
use crate::kept::{keeping, with_kept};
use crate::on_host::{
    fetch, host_attribute, known_machine, optional_text, plan_host, text, unreadable, whole_files,
};
use crate::resources::file::{plan_mode, plan_path};

/// The resource type.
pub(crate) struct HostDirectory {
    schema: Schema,
}

impl HostDirectory {
    pub(crate) fn new() -> Self {
        let schema = Schema::new("host_directory", "A directory on a machine; parents that are missing are made with it.")
            .mark(MarkWay::NaturalKey(&["host", "path"]))
            .on_delete("A directory that dmp made is removed if it is empty, and so are the parents that it made; one that was there before gets its mode and owner back.")
            .attribute("host", host_attribute())
            .attribute("path", Attribute::required(Type::String, "Absolute path.").replaces().unique())
            .attribute("mode", Attribute::default(Type::String, "Permissions in octal digits.", "0755"))
            .attribute("owner", Attribute::optional_computed(Type::String, "User, by name or number. Not given: the one that it has, else who connects."))
            .attribute("group", Attribute::optional_computed(Type::String, "Group, by name or number. Not given: as for the owner."));
        Self { schema }
    }
}

impl Resource for HostDirectory {
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
        match file::parse(output).ok_or_else(|| unreadable("a directory", output))? {
            There::Nothing => Ok(Reading::Absent),
            There::Directory(entry) => {
                let owner = optional_text(known.attributes, "owner");
                let group = optional_text(known.attributes, "group");
                Ok(Reading::Found(Object {
                    attributes: known
                        .attributes
                        .with("mode", entry.mode.as_str().into())
                        .with("owner", entry.owner_like(owner.as_deref()).into())
                        .with("group", entry.group_like(group.as_deref()).into()),
                    id: Some(path),
                }))
            }
            There::Link(target) => Err(not_one(&path, &format!("a symbolic link to `{target}`"))),
            There::File(_) | There::Other => Err(not_one(&path, "something else")),
        }
    }

    fn plan(&self, change: &mut Change<'_>) -> Result<(), Diagnostic> {
        plan_host(change);
        plan_path(change)?;
        plan_mode(change)?;
        if let (None, Some(earlier)) = (change.prior, change.earlier) {
            for name in ["owner", "group"] {
                if change.config.get(name).is_null() {
                    change.set(name, earlier.get(name));
                }
            }
            let path = text(&change.planned, "path");
            change.note(format!(
                "{path} is there already; a delete leaves it, with the mode and owner of now"
            ));
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
        let (title, script, like) = match (job.verb, earlier) {
            (Verb::Delete, Some(earlier)) => (
                format!("give {path} its mode and owner of before"),
                Script::new(ATTRIBUTES),
                earlier,
            ),
            (Verb::Delete, None) => (
                format!("remove {path} if it is empty"),
                Script::new(REMOVE),
                of,
            ),
            (Verb::Create, _) => (format!("make the directory {path}"), Script::new(MAKE), of),
            _ => {
                let differs = ["mode", "owner", "group"].iter().any(|name| {
                    job.prior
                        .is_none_or(|prior| prior.get(name) != of.get(name))
                });
                if !differs {
                    return Ok(Work::Steps(Vec::new()));
                }
                (
                    format!("set mode and owner of {path}"),
                    Script::new(ATTRIBUTES),
                    of,
                )
            }
        };
        let script = script
            .var("path", path)
            .var("mode", text(like, "mode"))
            .var("owner", text(like, "owner"))
            .var("group", text(like, "group"));
        Ok(Work::Steps(vec![Step::new(
            title,
            &on,
            keeping(script, job.mark),
        )]))
    }
}

fn not_one(path: &str, what: &str) -> Diagnostic {
    Diagnostic::remote("not-a-directory", "not a directory").detail(format!("`{path}` is {what}"))
}

// A fifth digit makes GNU chmod take the set-group-id bit of a directory away where the mode has none.
const ATTRIBUTES: &str = r#"
[ -e "$path" ] || exit 0
if [ -L "$path" ] || [ ! -d "$path" ]; then echo "$path is no directory any more" >&2; exit 1; fi
if [ -n "$owner" ]; then chown -- "$owner" "$path" || exit 1; fi
if [ -n "$group" ]; then chgrp -- "$group" "$path" || exit 1; fi
chmod -- "0$mode" "$path"
"#;

const MAKE: &str = with_kept!(
    r#"
if [ -L "$path" ] || { [ -e "$path" ] && [ ! -d "$path" ]; }; then
	echo "$path is there and no directory" >&2
	exit 1
fi
if [ ! -e "$kept/made" ]; then
	(umask 077 && mkdir -p "$kept") || exit 1
	missing=$path
	while [ ! -e "$missing" ]; do
		printf '%s\n' "$missing"
		missing=$(dirname -- "$missing")
	done >"$kept/.made" && mv -f -- "$kept/.made" "$kept/made" || exit 1
fi
mkdir -p -- "$path" || exit 1
if [ -n "$owner" ]; then chown -- "$owner" "$path" || exit 1; fi
if [ -n "$group" ]; then chgrp -- "$group" "$path" || exit 1; fi
chmod -- "0$mode" "$path"
"#
);

const REMOVE: &str = with_kept!(
    r#"
if [ -f "$kept/made" ]; then
	while IFS= read -r made; do
		if [ -d "$made" ] && [ ! -L "$made" ] && ! rmdir -- "$made" 2>/dev/null; then
			echo "$made is not empty; it is left as it is" >&2
			break
		fi
	done <"$kept/made"
elif [ -d "$path" ] && [ ! -L "$path" ]; then
	rmdir -- "$path" 2>/dev/null || echo "$path is not empty; it is left as it is" >&2
fi
dmp_done
"#
);

#[cfg(test)]
mod tests {
    use dmp_sdk::{Purpose, Value};

    use super::*;
    use crate::on_host::tests::{a_machine, found, parse, plan, value};

    #[test]
    fn mode_and_owner_are_read_back_as_they_were_given() {
        let directory = HostDirectory::new();
        let given: [(&str, Value); 4] = [
            ("host", a_machine().to_value()),
            ("path", "/srv/data".into()),
            ("mode", "2770".into()),
            ("owner", "1000".into()),
        ];
        let config = value(directory.schema(), &given);
        let stdout = b"directory\n2770 1000 100 4096 alice users\n";
        let prior = found(parse(&directory, &config, Purpose::Refresh, stdout).expect("parses"));
        assert_eq!(
            (prior.get("owner"), prior.get("group")),
            ("1000".into(), "users".into())
        );
        assert_eq!(
            plan(&directory, &config, Some(&prior), None)
                .expect("plans")
                .value,
            prior
        );
        let error = parse(&directory, &config, Purpose::Refresh, b"other\n").expect_err("refused");
        assert!(
            error.to_string().contains("`/srv/data` is something else"),
            "{error}"
        );
    }
}
