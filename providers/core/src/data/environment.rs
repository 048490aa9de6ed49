//! `data "core_environment"`: a variable of dmp's own environment.

use dmp_sdk::{
    Answers, Attribute, DataReading, DataSource, Diagnostic, Fetch, Layer, Schema, Type, Value,
};

use crate::record::{text, wrong};
use crate::wire::Question;

/// The data source.
pub(crate) struct Environment {
    schema: Schema,
}

impl Environment {
    pub(crate) fn new() -> Self {
        let schema = Schema::new("core_environment", "A variable of the environment that dmp runs in. Another person's plan may see another one: what a stack depends on is better an input variable.")
            .layer(Layer::Platform)
            .attribute("name", Attribute::required(Type::String, "Its name."))
            .attribute("default", Attribute::optional(Type::String, "What it is where it is not set. Not given: null.").sensitive())
            .attribute("value", Attribute::computed(Type::String, "Its value. It is a secret, as many variables are; `nonsensitive` makes it none.").sensitive())
            .attribute("is_set", Attribute::computed(Type::Bool, "Whether it is set."));
        Self { schema }
    }
}

impl DataSource for Environment {
    fn schema(&self) -> &Schema {
        &self.schema
    }

    fn fetches(&self, config: &Value) -> Result<Vec<Fetch>, Diagnostic> {
        let name = text(config, "name");
        if name.is_empty() || name.contains(['=', '\0']) {
            return Err(wrong(
                "name",
                "not a variable's name",
                format!("`{name}` is none"),
            ));
        }
        Ok(vec![Question::Variable(name).fetch()?])
    }

    fn parse(&self, config: &Value, answers: Answers<'_>) -> Result<DataReading, Diagnostic> {
        let found = answers.json(0)?["value"].as_str();
        let value = match found {
            Some(found) => found.into(),
            None => config.get("default"),
        };
        Ok(DataReading::Value(
            config
                .with("value", value)
                .with("is_set", found.is_some().into()),
        ))
    }
}
