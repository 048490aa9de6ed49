//! `core_local_file`: a file on the machine that dmp runs on.
//!
//! The path is the identity. A new content goes into a file beside the old one and then takes its name, so nobody ever
//! sees half of it. What stood there before dmp is recorded, and put back by a delete.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};

use async_trait::async_trait;
use dmp_sdk::{
    Answers, Attribute, Change, Cx, Diagnostic, Fetch, Job, Known, Layer, MarkWay, Marks, Object,
    Reading, Resource, Schema, Type, Value, Verb, Work,
};
use sha2::{Digest, Sha256};

use super::read::{There, look};
use super::{failed, mode, not_a, plan_mode, plan_path};
use crate::record::{text, wrong};
use crate::wire::Question;

/// The resource type.
pub(crate) struct LocalFile {
    schema: Schema,
}

impl LocalFile {
    pub(crate) fn new() -> Self {
        let schema = Schema::new("core_local_file", "A file on the machine that dmp runs on, such as a kubeconfig or an inventory. Its directory has to be there.")
            .layer(Layer::Platform)
            .mark(MarkWay::NaturalKey(&["path"]))
            .on_delete("What stood there before dmp is put back; without such the file is removed.")
            .counterpart("local_file", &["{/filename}"])
            .counterpart("local_sensitive_file", &["{/filename}"])
            .attribute("path", Attribute::required(Type::String, "Absolute path.").replaces().unique())
            .attribute("content", Attribute::optional_computed(Type::String, "The content. Null for a `sensitive_content`, and for what is no text or larger than 256 KiB."))
            .attribute("sensitive_content", Attribute::optional(Type::String, "The content, never shown.").sensitive())
            .attribute("mode", Attribute::default(Type::String, "Permissions in octal digits.", "0644"))
            .attribute("sha256", Attribute::computed(Type::String, "Digest of the content."));
        Self { schema }
    }
}

fn digest(content: &str) -> String {
    hex::encode(Sha256::digest(content))
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

fn attributes(wanted: &Value, mode: &str, sha256: &str, content: Option<&str>) -> Value {
    // What is too large to be read back is what it should be, if the digest says so.
    let expected = content_of(wanted);
    let expected = expected
        .as_str()
        .filter(|text| content.is_none() && digest(text) == sha256);
    let content = content.or(expected);
    let secret = Marks::sensitive();
    let value = wanted.with("mode", mode.into());
    if wanted.get("sensitive_content").is_null() {
        value
            .with("content", content.into())
            .with("sha256", sha256.into())
    } else {
        let content = Value::from(content.unwrap_or_default());
        value
            .with("content", Value::null())
            .with("sensitive_content", content.marked(&secret))
            .with("sha256", Value::from(sha256).marked(&secret))
    }
}

fn plan_content(change: &mut Change<'_>) -> Result<(), Diagnostic> {
    let is_given = |name: &str| !change.config.get(name).is_null();
    match (is_given("content"), is_given("sensitive_content")) {
        (true, false) => {}
        (false, true) => change.set("content", Value::null()),
        (false, false) => {
            return Err(wrong(
                "content",
                "a file without a content",
                "neither `content` nor `sensitive_content` is given",
            )
            .help("write `content = \"\"` for an empty file"));
        }
        (true, true) => {
            return Err(wrong(
                "sensitive_content",
                "two contents for one file",
                "`content` and `sensitive_content` exclude each other",
            ));
        }
    }
    let content = content_of(&change.planned);
    match content.as_str() {
        Some(text) => {
            let marks = content.deep_marks().without_origins();
            change.set("sha256", Value::from(digest(text)).marked(&marks));
        }
        None => change.unknown("sha256"),
    }
    Ok(())
}

/// What stands there already has to fit into the record, or nobody could put it back.
fn plan_earlier(change: &mut Change<'_>) -> Result<(), Diagnostic> {
    let (None, Some(earlier)) = (change.prior, change.earlier) else {
        return Ok(());
    };
    let path = text(&change.planned, "path");
    let is_same = |name: &str| earlier.get(name) == change.planned.get(name);
    if is_same("sha256") && is_same("mode") {
        change.note(format!("{path} is there already, as wanted"));
        return Ok(());
    }
    let content = content_of(earlier);
    let is_whole = content.as_str().map(|text| digest(text).into())
        == Some(earlier.get("sha256").deep_unmarked());
    if !is_whole {
        return Err(wrong(
            "path",
            "something stands there that could not be put back",
            format!("`{path}` is no text or larger than 256 KiB, which is more than is recorded"),
        )
        .help("move it away or remove it first"));
    }
    let mode = text(earlier, "mode");
    change.note(format!(
        "{path} is there already ({mode}); it is recorded and put back by a delete"
    ));
    Ok(())
}

#[async_trait]
impl Resource for LocalFile {
    fn schema(&self) -> &Schema {
        &self.schema
    }

    fn fetches(&self, known: &Known<'_>) -> Result<Vec<Fetch>, Diagnostic> {
        match known.attributes.get("path").as_str() {
            Some(path) => Ok(vec![Question::Path(path.to_owned()).fetch()?]),
            None => Ok(Vec::new()),
        }
    }

    fn parse(&self, known: &Known<'_>, answers: Answers<'_>) -> Result<Reading, Diagnostic> {
        let path = text(known.attributes, "path");
        let there = serde_json::from_value(answers.json(0)?.clone());
        match there.map_err(|error| Diagnostic::bug(error.to_string()))? {
            There::Nothing => Ok(Reading::Absent),
            There::File {
                mode,
                sha256,
                content,
            } => Ok(Reading::Found(Object {
                attributes: attributes(known.attributes, &mode, &sha256, content.as_deref()),
                id: Some(path),
            })),
            other => Err(not_a("regular file", &path, &other.in_words())),
        }
    }

    fn plan(&self, change: &mut Change<'_>) -> Result<(), Diagnostic> {
        plan_path(change)?;
        plan_mode(change)?;
        plan_content(change)?;
        plan_earlier(change)
    }

    fn work(&self, _job: &Job<'_>) -> Result<Work, Diagnostic> {
        Ok(Work::Calls)
    }

    async fn call(&self, cx: &dyn Cx, job: &Job<'_>) -> Result<(), Diagnostic> {
        let of = if job.verb == Verb::Delete {
            job.prior()?
        } else {
            job.wanted()?
        };
        let path = text(of, "path");
        let target = match job.verb {
            Verb::Leave => return Ok(()),
            Verb::Delete => job.earlier.filter(|earlier| !earlier.is_null()).cloned(),
            Verb::Create | Verb::Update => Some(of.clone()),
        };
        let beside = beside(&path, &job.mark.instance);
        let title = match (&target, job.verb) {
            (None, _) => format!("remove {path}"),
            (Some(_), Verb::Delete) => format!("put back {path} as it was before dmp"),
            (Some(_), _) => format!("write {path}"),
        };
        cx.begin(&title).await?;
        let done = tokio::task::spawn_blocking(move || match target {
            None => remove(&path),
            Some(target) => write(&path, &beside, &target),
        });
        done.await
            .map_err(|error| Diagnostic::bug(error.to_string()))?
    }
}

/// Where a new content is written before it takes the name: the same place for the same instance, so that nothing stays
/// of a write that was cut off.
fn beside(path: &str, instance: &str) -> PathBuf {
    let path = Path::new(path);
    let name = &digest(&format!("{instance} {}", path.display()))[..16];
    path.with_file_name(format!(".dmp-{name}"))
}

fn is_a_file(path: &str) -> Result<bool, Diagnostic> {
    match look(path).map_err(|error| failed(path, &error))? {
        There::Nothing => Ok(false),
        There::File { .. } => Ok(true),
        other => Err(not_a("regular file", path, &other.in_words())),
    }
}

fn remove(path: &str) -> Result<(), Diagnostic> {
    if !is_a_file(path)? {
        return Ok(());
    }
    fs::remove_file(path).map_err(|error| failed(path, &error))?;
    sync_directory(path);
    Ok(())
}

fn write(path: &str, beside: &Path, target: &Value) -> Result<(), Diagnostic> {
    let is_there = is_a_file(path)?;
    if beside.parent().is_some_and(|parent| !parent.is_dir()) {
        return Err(failed(path, &io::Error::from(io::ErrorKind::NotFound))
            .help("add a `core_local_directory` for its directory"));
    }
    let content = content_of(target);
    let put = || {
        match fs::remove_file(beside) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut options = OpenOptions::new();
        let mut file = options
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(beside)?;
        file.write_all(content.as_str().unwrap_or_default().as_bytes())?;
        if is_there {
            let (old, new) = (fs::symlink_metadata(path)?, file.metadata()?);
            if (old.uid(), old.gid()) != (new.uid(), new.gid()) {
                chown(beside, Some(old.uid()), Some(old.gid()))?;
            }
        }
        file.set_permissions(Permissions::from_mode(mode(&text(target, "mode"))))?;
        file.sync_all()?;
        fs::rename(beside, path)
    };
    if let Err(error) = put() {
        let _ = fs::remove_file(beside);
        return Err(failed(path, &error));
    }
    sync_directory(path);
    Ok(())
}

/// Best effort: some file systems have no such call.
fn sync_directory(path: &str) {
    let directory = Path::new(path)
        .parent()
        .and_then(|parent| File::open(parent).ok());
    if let Some(directory) = directory {
        let _ = directory.sync_all();
    }
}
