//! `host_file`: one file, its content, mode and owner.
//!
//! The path is the identity. A new content goes into a file beside the old one, gets its mode and owner, is
//! validated, and only then takes the name, so nobody ever sees half of it. What was there before dmp is kept on the
//! machine and put back by a delete.

use dmp_sdk::{
    Answers, Attribute, Change, Claim, Diagnostic, Fetch, Job, Known, MarkWay, Marks, Object,
    Reading, Resource, Schema, Script, Step, Type, Value, Verb, Work,
};

use crate::facts::file::{self, There};
use crate::kept::{keeping, with_kept};
use crate::on_host::{
    fetch, host_attribute, known_machine, optional_text, plan_host, text, unreadable, whole_files,
    wrong,
};
use crate::resources::file::template::render;

mod template;

/// The resource type.
pub(crate) struct HostFile {
    schema: Schema,
}

impl HostFile {
    pub(crate) fn new() -> Self {
        let schema = Schema::new(
            "host_file",
            "A file on a machine. Its content is given as `content`, as `sensitive_content`, or as a Tera `template` \
             with `vars`; files of the stack come in by `file()`.",
        )
        .mark(MarkWay::NaturalKey(&["host", "path"]))
        .on_delete("What stood there before dmp is put back; without such the file is removed.")
        .attribute("host", host_attribute())
        .attribute("path", Attribute::required(Type::String, "Absolute path.").replaces().unique())
        .attribute("content", Attribute::optional_computed(Type::String, "The content. Computed from `template`; null for a `sensitive_content` and for what is no text or larger than 256 KiB."))
        .attribute("sensitive_content", Attribute::optional(Type::String, "The content, never shown.").sensitive())
        .attribute("template", Attribute::optional(Type::String, "A Tera template that gives the content."))
        .attribute("vars", Attribute::optional(Type::Any, "An object of values that the template names."))
        .attribute("mode", Attribute::default(Type::String, "Permissions in octal digits.", "0644"))
        .attribute("owner", Attribute::optional_computed(Type::String, "User, by name or number. Not given: the one of the file that is there, else who connects."))
        .attribute("group", Attribute::optional_computed(Type::String, "Group, by name or number. Not given: as for the owner."))
        .attribute("validate", Attribute::optional(Type::String, "A shell command that must succeed before a new content takes its place; `$file` is the candidate: `visudo -cf \"$file\"`."))
        .attribute("sha256", Attribute::computed(Type::String, "Digest of the content."));
        Self { schema }
    }
}

/// What is known of a content that was found.
enum Content {
    /// Text.
    Text(String),
    /// No text, or too much of it.
    Unreadable,
    /// It has to be fetched.
    NotFetched,
}

/// The content behind a digest: what is recorded or wanted, if it has that digest; else what was fetched.
fn content_found(
    known: &Known<'_>,
    entry: &mut file::Entry,
    answers: Answers<'_>,
) -> Result<Content, Diagnostic> {
    let text = content_of(known.attributes);
    if let (Some(text), Some(digest)) = (text.as_str(), &entry.sha256)
        && known.attributes.get("sha256").as_str() == Some(digest)
    {
        return Ok(Content::Text(text.to_owned()));
    }
    if answers.len() < 2 {
        return Ok(match entry.is_small() {
            true => Content::NotFetched,
            false => Content::Unreadable,
        });
    }
    let Some((text, digest)) = file::content(answers.output(1)?) else {
        return Ok(Content::Unreadable);
    };
    entry.sha256 = Some(digest);
    Ok(Content::Text(text))
}

/// The attributes as they are found there.
fn attributes(known: &Known<'_>, entry: &file::Entry, content: Option<String>) -> Value {
    let wanted = known.attributes;
    let is_secret = !wanted.get("sensitive_content").is_null();
    let owner = optional_text(wanted, "owner");
    let group = optional_text(wanted, "group");
    let content: Value = match is_secret {
        true => content.unwrap_or_default().into(),
        false => content.into(),
    };
    let digest: Value = entry.sha256.clone().into();
    let (content, sensitive, digest) = if is_secret {
        let secret = Marks::sensitive();
        (
            Value::null(),
            content.marked(&secret),
            digest.marked(&secret),
        )
    } else {
        (content, Value::null(), digest)
    };
    wanted
        .with("content", content)
        .with("sensitive_content", sensitive)
        .with("sha256", digest)
        .with("mode", entry.mode.as_str().into())
        .with("owner", entry.owner_like(owner.as_deref()).into())
        .with("group", entry.group_like(group.as_deref()).into())
}

/// The content that a wanted or prior value stands for.
fn content_of(value: &Value) -> Value {
    let secret = value.get("sensitive_content");
    if secret.is_null() {
        value.get("content")
    } else {
        secret
    }
}

fn plan_content(change: &mut Change<'_>) -> Result<(), Diagnostic> {
    let given: Vec<&str> = ["content", "sensitive_content", "template"]
        .into_iter()
        .filter(|name| !change.config.get(name).is_null())
        .collect();
    match given[..] {
        ["content"] => {}
        ["sensitive_content"] => change.set("content", Value::null()),
        ["template"] => {
            let rendered = render(&change.config.get("template"), &change.config.get("vars"))?;
            change.set("content", rendered);
        }
        [] => {
            return Err(wrong(
                "content",
                "a file without a content",
                "none of `content`, `sensitive_content` and `template` is given",
            )
            .help("write `content = \"\"` for an empty file"));
        }
        _ => {
            let names = given.join("` and `");
            return Err(wrong(
                given[1],
                "two contents for one file",
                format!("`{names}` exclude each other"),
            ));
        }
    }
    let content = content_of(&change.planned);
    let marks = content.deep_marks().without_origins();
    match content.as_str() {
        Some(text) => change.set(
            "sha256",
            Value::from(file::digest(text.as_bytes())).marked(&marks),
        ),
        None => change.unknown("sha256"),
    }
    Ok(())
}

fn plan_earlier(change: &mut Change<'_>) {
    let (None, Some(earlier)) = (change.prior, change.earlier) else {
        return;
    };
    for name in ["owner", "group"] {
        if change.config.get(name).is_null() {
            change.set(name, earlier.get(name));
        }
    }
    let path = text(&change.planned, "path");
    let same = ["sha256", "mode", "owner", "group"]
        .iter()
        .all(|name| earlier.get(name) == change.planned.get(name));
    if same {
        change.note(format!("{path} is there already, as wanted"));
    } else {
        let mode = text(earlier, "mode");
        let owner = text(earlier, "owner");
        change.note(format!("{path} is there already ({owner}, {mode}); it is kept on the machine and put back by a delete"));
    }
}

impl Resource for HostFile {
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
        let refuse = |what: String| {
            Err(Diagnostic::remote("not-a-file", "not a regular file")
                .detail(format!("`{path}` is {what}")))
        };
        match file::parse(output).ok_or_else(|| unreadable("a file", output))? {
            There::Nothing => Ok(Reading::Absent),
            There::File(mut entry) => {
                let content = match content_found(known, &mut entry, answers)? {
                    Content::Text(text) => Some(text),
                    Content::Unreadable => None,
                    Content::NotFetched => {
                        let script = || file::content_script(&path);
                        return Ok(Reading::More(fetch(known, &["path"], script)?));
                    }
                };
                Ok(Reading::Found(Object {
                    attributes: attributes(known, &entry, content),
                    id: Some(path),
                }))
            }
            There::Link(target) => refuse(format!(
                "a symbolic link to `{target}`: name the file itself"
            )),
            There::Directory(_) => refuse("a directory".into()),
            There::Other => refuse("a device, a socket or a pipe".into()),
        }
    }

    fn plan(&self, change: &mut Change<'_>) -> Result<(), Diagnostic> {
        plan_host(change);
        plan_path(change)?;
        plan_mode(change)?;
        plan_content(change)?;
        plan_earlier(change);
        Ok(())
    }

    fn claims(&self, value: &Value) -> Vec<Claim> {
        whole_files(value, "path", |path| vec![path.to_owned()])
    }

    fn work(&self, job: &Job<'_>) -> Result<Work, Diagnostic> {
        if job.verb == Verb::Delete {
            return remove(job);
        }
        let wanted = job.wanted()?;
        let on = known_machine(wanted)?;
        let path = text(wanted, "path");
        let with_arguments = |script: Script| {
            script
                .var("path", text(wanted, "path"))
                .var("mode", text(wanted, "mode"))
                .var("owner", text(wanted, "owner"))
                .var("group", text(wanted, "group"))
        };
        let content = content_of(wanted);
        let content = content.as_str().unwrap_or_default();
        let digest: Value = file::digest(content.as_bytes()).into();
        let is_same_content = job.prior.is_some_and(|prior| prior.get("sha256") == digest);
        if job.verb == Verb::Update && is_same_content {
            let differs = ["mode", "owner", "group"].iter().any(|name| {
                job.prior
                    .is_some_and(|prior| prior.get(name) != wanted.get(name))
            });
            let run = with_arguments(Script::new(ATTRIBUTES));
            let step = Step::new(format!("set mode and owner of {path}"), &on, run);
            return Ok(Work::Steps(differs.then_some(step).into_iter().collect()));
        }
        let run = with_arguments(Script::new(WRITE))
            .var(
                "keep",
                if job.verb == Verb::Create {
                    "yes"
                } else {
                    "no"
                },
            )
            .var("validate", text(wanted, "validate"))
            .stdin(content.as_bytes());
        let write = Step::new(format!("write {path}"), &on, keeping(run, job.mark));
        Ok(Work::Steps(vec![write]))
    }
}

/// A path is absolute.
pub(crate) fn plan_path(change: &mut Change<'_>) -> Result<(), Diagnostic> {
    let path = change.planned.get("path");
    match path.as_str() {
        Some(path) if !path.starts_with('/') || path.ends_with('/') || path.contains('\0') => {
            Err(wrong(
                "path",
                "not a path",
                format!("`{path}` does not begin with `/`, or ends with it"),
            ))
        }
        _ => Ok(()),
    }
}

/// A mode is an octal number; it is planned as it is read back.
pub(crate) fn plan_mode(change: &mut Change<'_>) -> Result<(), Diagnostic> {
    let mode = change.planned.get("mode");
    let Some(written) = mode.as_str() else {
        return Ok(());
    };
    let normal = file::normal_mode(written).ok_or_else(|| {
        wrong(
            "mode",
            "not a mode",
            format!("`{written}` is not an octal number up to 7777"),
        )
        .help("write `mode = \"0644\"`")
    })?;
    change.set("mode", normal.into());
    Ok(())
}

fn remove(job: &Job<'_>) -> Result<Work, Diagnostic> {
    let prior = job.prior()?;
    let on = known_machine(prior)?;
    let path = text(prior, "path");
    let earlier = job.earlier.filter(|earlier| !earlier.is_null());
    let mut run = Script::new(REMOVE).var("path", path.clone());
    let mut title = format!("remove {path}");
    if let Some(earlier) = earlier {
        title = format!("put back {path} as it was before dmp");
        run = run
            .var("mode", text(earlier, "mode"))
            .var("owner", text(earlier, "owner"))
            .var("group", text(earlier, "group"));
        run = match content_of(earlier).as_str() {
            Some(content) => run.var("recorded", "yes").stdin(content.as_bytes()),
            None => run.var("recorded", "no"),
        };
    }
    run = run.var("was_there", if earlier.is_some() { "yes" } else { "no" });
    Ok(Work::Steps(vec![Step::new(
        title,
        &on,
        keeping(run, job.mark),
    )]))
}

const ATTRIBUTES: &str = r#"
if [ -L "$path" ] || [ ! -f "$path" ]; then echo "$path is no regular file any more" >&2; exit 1; fi
if [ -n "$owner" ]; then chown -- "$owner" "$path" || exit 1; fi
if [ -n "$group" ]; then chgrp -- "$group" "$path" || exit 1; fi
chmod -- "$mode" "$path"
"#;

const WRITE: &str = with_kept!(
    r#"
directory=$(dirname -- "$path")
if [ ! -d "$directory" ]; then echo "the directory $directory does not exist: add a host_directory for it" >&2; exit 1; fi
if [ -L "$path" ]; then echo "$path is a symbolic link: name the file itself" >&2; exit 1; fi
if [ -e "$path" ] && [ ! -f "$path" ]; then echo "$path is no regular file" >&2; exit 1; fi
if [ "$keep" = yes ]; then dmp_keep file "$path"; fi
umask 077
new=$(mktemp "$directory/.dmp.XXXXXX") || exit 1
trap 'rm -f -- "$new"' EXIT
cat >"$new" || exit 1
if [ -e "$path" ]; then
	owner=${owner:-$(stat -c %u -- "$path")} group=${group:-$(stat -c %g -- "$path")} || exit 1
fi
if [ -n "$owner" ]; then chown -- "$owner" "$new" || exit 1; fi
if [ -n "$group" ]; then chgrp -- "$group" "$new" || exit 1; fi
chmod -- "$mode" "$new" || exit 1
if [ -n "$validate" ]; then
	if ! (umask 022; file=$new; eval "$validate") </dev/null; then
		echo "the new content of $path is not valid; the old one stays" >&2
		exit 1
	fi
fi
sync "$new" 2>/dev/null || :
mv -f -- "$new" "$path" || exit 1
sync "$directory" 2>/dev/null || :
"#
);

const REMOVE: &str = with_kept!(
    r#"
if [ -L "$path" ] || { [ -e "$path" ] && [ ! -f "$path" ]; }; then
	echo "$path is no regular file any more; it is left as it is" >&2
	exit 1
fi
if [ -e "$kept/file" ] || [ "$was_there" = no ]; then
	dmp_put_back file "$path"
elif [ "$recorded" = yes ]; then
	umask 077
	new=$(mktemp "$(dirname -- "$path")/.dmp.XXXXXX") || exit 1
	trap 'rm -f -- "$new"' EXIT
	cat >"$new" || exit 1
	chown -- "$owner" "$new" && chgrp -- "$group" "$new" && chmod -- "$mode" "$new" || exit 1
	mv -f -- "$new" "$path" || exit 1
else
	echo "what was at $path before dmp is kept neither on the machine nor in the state; the file is left as it is" >&2
	exit 1
fi
dmp_done
"#
);

#[cfg(test)]
mod tests;
