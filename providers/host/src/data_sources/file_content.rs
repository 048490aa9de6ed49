//! `data "host_file_content"`: a file on a machine, whoever wrote it.

use dmp_sdk::{
    Answers, Attribute, DataReading, DataSource, Diagnostic, Fetch, Schema, Type, Value,
};

use super::{fetch, host_attribute};
use crate::facts::file::{self, There};
use crate::on_host::{flag, text, unreadable, wrong};

/// The data source.
pub(crate) struct FileContent {
    schema: Schema,
}

impl FileContent {
    pub(crate) fn new() -> Self {
        let schema = Schema::new("host_file_content", "A file on a machine as it is: its content, mode and owner.")
            .attribute("host", host_attribute())
            .attribute("path", Attribute::required(Type::String, "Absolute path. A symbolic link is followed."))
            .attribute("optional", Attribute::default(Type::Bool, "Whether there may be no file: all attributes are null then.", false))
            .attribute("content", Attribute::computed(Type::String, "Its content; null for what is no text or larger than 256 KiB. `sensitive()` keeps a secret from being shown."))
            .attribute("sha256", Attribute::computed(Type::String, "Digest of its content, in hexadecimal digits."))
            .attribute("mode", Attribute::computed(Type::String, "Permissions in octal digits: `0644`."))
            .attribute("owner", Attribute::computed(Type::String, "The user's name, else number."))
            .attribute("group", Attribute::computed(Type::String, "The group's name, else number."));
        Self { schema }
    }
}

impl DataSource for FileContent {
    fn schema(&self) -> &Schema {
        &self.schema
    }

    fn fetches(&self, config: &Value) -> Result<Vec<Fetch>, Diagnostic> {
        let path = text(config, "path");
        if !path.starts_with('/') || path.contains('\0') {
            return Err(wrong(
                "path",
                "not a path",
                format!("`{path}` does not begin with `/`"),
            ));
        }
        let mut fetches = fetch(config, file::script_through_links(&path))?;
        fetches.extend(fetch(config, file::content_script(&path))?);
        Ok(fetches)
    }

    fn parse(&self, config: &Value, answers: Answers<'_>) -> Result<DataReading, Diagnostic> {
        let output = answers.output(0)?;
        let path = text(config, "path");
        let refuse = |what: &str| {
            Diagnostic::remote("not-a-file", "not a regular file")
                .detail(format!("`{path}` is {what}"))
        };
        let names = ["content", "sha256", "mode", "owner", "group"];
        match file::parse(output).ok_or_else(|| unreadable("a file", output))? {
            There::File(entry) => {
                let (content, digest) = file::content(answers.output(1)?).unzip();
                Ok(DataReading::Value(
                    config
                        .with("mode", entry.mode.as_str().into())
                        .with("owner", entry.owner_like(None).into())
                        .with("group", entry.group_like(None).into())
                        .with("sha256", digest.or(entry.sha256).into())
                        .with("content", content.into()),
                ))
            }
            There::Nothing if flag(config, "optional") => Ok(DataReading::Value(
                names.iter().fold(config.clone(), |value, name| {
                    value.with(name, Value::null())
                }),
            )),
            There::Nothing => Err(Diagnostic::remote("no-file", "there is no such file")
                .detail(format!("nothing stands at `{path}`"))
                .help("with `optional = true` that is an answer like any other")),
            There::Link(_) => Err(refuse("a symbolic link that leads nowhere")),
            There::Directory(_) => Err(refuse("a directory")),
            There::Other => Err(refuse("a device, a socket or a pipe")),
        }
    }
}
