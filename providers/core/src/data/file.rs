//! `data "core_file"`: a file on the machine that dmp runs on, read in every plan.

use dmp_sdk::{
    Answers, Attribute, DataReading, DataSource, Diagnostic, Fetch, Layer, Schema, Type, Value,
};

use crate::local::read::There;
use crate::record::{text, wrong};
use crate::wire::Question;

/// The data source.
pub(crate) struct FileSource {
    schema: Schema,
}

impl FileSource {
    pub(crate) fn new() -> Self {
        let schema = Schema::new("core_file", "A file on the machine that dmp runs on, or that there is none. Unlike `file()` it need not be there; with `depends_on` it is read after what makes it in the same run.")
            .layer(Layer::Platform)
            .attribute("path", Attribute::required(Type::String, "Absolute path. A link is not followed."))
            .attribute("sensitive", Attribute::default(Type::Bool, "Whether the content is in `sensitive_content` instead of `content`.", false))
            .attribute("exists", Attribute::computed(Type::Bool, "Whether there is a regular file."))
            .attribute("content", Attribute::computed(Type::String, "Its content; null where it is no text or larger than 256 KiB."))
            .attribute("sensitive_content", Attribute::computed(Type::String, "The same, if it is asked for so.").sensitive())
            .attribute("sha256", Attribute::computed(Type::String, "Digest of the content, unless it is sensitive."))
            .attribute("mode", Attribute::computed(Type::String, "Permissions, in four octal digits."));
        Self { schema }
    }
}

impl DataSource for FileSource {
    fn schema(&self) -> &Schema {
        &self.schema
    }

    fn fetches(&self, config: &Value) -> Result<Vec<Fetch>, Diagnostic> {
        let path = text(config, "path");
        if !path.starts_with('/') || path.contains('\0') {
            return Err(wrong(
                "path",
                "not an absolute path",
                format!("`{path}` does not begin with `/`"),
            ));
        }
        Ok(vec![Question::Path(path).fetch()?])
    }

    fn parse(&self, config: &Value, answers: Answers<'_>) -> Result<DataReading, Diagnostic> {
        let there: There = serde_json::from_value(answers.json(0)?.clone())
            .map_err(|error| Diagnostic::bug(error.to_string()))?;
        let value = match there {
            There::Nothing => config.with("exists", false.into()),
            There::File {
                mode,
                sha256,
                content,
            } => {
                let is_secret = config.get("sensitive").as_bool() == Some(true);
                let (open, secret) = if is_secret {
                    (None, content)
                } else {
                    (content, None)
                };
                config
                    .with("exists", true.into())
                    .with("mode", mode.into())
                    .with("content", open.into())
                    .with("sensitive_content", secret.into())
                    .with("sha256", Some(sha256).filter(|_| !is_secret).into())
            }
            other => {
                let (path, is) = (text(config, "path"), other.in_words());
                return Err(wrong(
                    "path",
                    "not a regular file",
                    format!("`{path}` is {is}"),
                ));
            }
        };
        Ok(DataReading::Value(value))
    }
}
