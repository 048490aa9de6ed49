//! `core_value`: any value, kept in the state as an object of its own.

use dmp_sdk::{
    Answers, Attribute, Diagnostic, Fetch, Job, Known, Layer, Mark, MarkWay, Object, Reading,
    Resource, Schema, Type, Value, Work,
};

/// The resource type.
#[derive(Debug)]
pub(crate) struct CoreValue {
    schema: Schema,
}

impl CoreValue {
    pub(crate) fn new() -> Self {
        let schema = Schema::new(
            "core_value",
            "Any value, kept in the state. Others refer to it, and are replaced when it is.",
        )
        .layer(Layer::Network)
        .mark(MarkWay::Record)
        .on_delete("The value leaves the state.")
        .attribute(
            "value",
            Attribute::optional(Type::Any, "The value. A change is made in place."),
        )
        .attribute(
            "replace_on",
            Attribute::optional(
                Type::Any,
                "When this value changes, the object is replaced: for `replace_triggered_by` of others.",
            )
            .replaces(),
        )
        .attribute(
            "id",
            Attribute::computed(Type::String, "An id that no other object has."),
        );
        Self { schema }
    }
}

impl Resource for CoreValue {
    fn schema(&self) -> &Schema {
        &self.schema
    }

    fn fetches(&self, _known: &Known<'_>) -> Result<Vec<Fetch>, Diagnostic> {
        Ok(Vec::new())
    }

    fn parse(&self, known: &Known<'_>, _answers: Answers<'_>) -> Result<Reading, Diagnostic> {
        Ok(Reading::Found(Object {
            attributes: known.attributes.with("id", known.chosen.get("id")),
            id: None,
        }))
    }

    fn choose(&self, mark: &Mark, _wanted: &Value) -> Result<Value, Diagnostic> {
        Ok(Value::object_of([("id", mark.instance.as_str().into())]))
    }

    fn import(&self, _id: &str, _attributes: &Value) -> Result<Value, Diagnostic> {
        Err(Diagnostic::error("no-import", "it can't be imported")
            .detail("a `core_value` is in the state alone: there is nothing outside to import"))
    }

    fn work(&self, _job: &Job<'_>) -> Result<Work, Diagnostic> {
        Ok(Work::Steps(Vec::new()))
    }
}
