//! `core_local_directory`: a directory on the machine that dmp runs on. Content is never dmp's to throw away.

use std::fs::{self, DirBuilder, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};

use async_trait::async_trait;
use dmp_sdk::{
    Answers, Attribute, Change, Cx, Diagnostic, Fetch, Job, Known, Layer, MarkWay, Object, Reading,
    Resource, Schema, Type, Value, Verb, Work,
};

use super::read::{There, look};
use super::{failed, mode, not_a, plan_mode, plan_path};
use crate::record::text;
use crate::wire::Question;

/// The resource type.
pub(crate) struct LocalDirectory {
    schema: Schema,
}

impl LocalDirectory {
    pub(crate) fn new() -> Self {
        let schema = Schema::new("core_local_directory", "A directory on the machine that dmp runs on. The one that it is in has to be there.")
            .layer(Layer::Platform)
            .mark(MarkWay::NaturalKey(&["path"]))
            .on_delete("A directory that dmp made is removed if it is empty, else left; one that was there before gets its mode back.")
            .attribute("path", Attribute::required(Type::String, "Absolute path.").replaces().unique())
            .attribute("mode", Attribute::default(Type::String, "Permissions in octal digits.", "0755"));
        Self { schema }
    }
}

#[async_trait]
impl Resource for LocalDirectory {
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
            There::Directory { mode } => Ok(Reading::Found(Object {
                attributes: known.attributes.with("mode", mode.into()),
                id: Some(path),
            })),
            other => Err(not_a("directory", &path, &other.in_words())),
        }
    }

    fn plan(&self, change: &mut Change<'_>) -> Result<(), Diagnostic> {
        plan_path(change)?;
        plan_mode(change)?;
        if let (None, Some(earlier)) = (change.prior, change.earlier) {
            let (path, mode) = (text(&change.planned, "path"), text(earlier, "mode"));
            change.note(format!(
                "{path} is there already; a delete leaves it, with the mode of now ({mode})"
            ));
        }
        Ok(())
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
        let earlier = job.earlier.filter(|earlier| !earlier.is_null());
        let (title, target) = match (job.verb, earlier) {
            (Verb::Leave, _) => return Ok(()),
            (Verb::Delete, None) => (format!("remove {path} if it is empty"), None),
            (Verb::Delete, Some(earlier)) => {
                (format!("give {path} its mode of before"), Some(earlier))
            }
            (Verb::Create, _) => (format!("make the directory {path}"), Some(of)),
            (Verb::Update, _) => (format!("set the mode of {path}"), Some(of)),
        };
        let target = target.map(|target: &Value| mode(&text(target, "mode")));
        let may_make = job.verb != Verb::Delete;
        cx.begin(&title).await?;
        match target {
            None => remove(&path),
            Some(mode) => set(&path, mode, may_make),
        }
    }
}

fn is_a_directory(path: &str) -> Result<bool, Diagnostic> {
    match look(path).map_err(|error| failed(path, &error))? {
        There::Nothing => Ok(false),
        There::Directory { .. } => Ok(true),
        other => Err(not_a("directory", path, &other.in_words())),
    }
}

fn set(path: &str, mode: u32, may_make: bool) -> Result<(), Diagnostic> {
    if !is_a_directory(path)? {
        if !may_make {
            return Ok(());
        }
        let made = DirBuilder::new().mode(0o700).create(path);
        made.map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => {
                failed(path, &error).help("add a `core_local_directory` for the one that it is in")
            }
            _ => failed(path, &error),
        })?;
    }
    fs::set_permissions(path, Permissions::from_mode(mode)).map_err(|error| failed(path, &error))
}

fn remove(path: &str) -> Result<(), Diagnostic> {
    if !is_a_directory(path)? {
        return Ok(());
    }
    match fs::remove_dir(path) {
        Err(error) if error.kind() != io::ErrorKind::DirectoryNotEmpty => Err(failed(path, &error)),
        _ => Ok(()),
    }
}
