//! `data "core_external"`: what a program answers, in JSON. The protocol is that of Terraform's `external`: the query is an
//! object of texts on standard input, the answer one on standard output.

use std::collections::BTreeMap;

use dmp_sdk::{
    Answers, Attribute, DataReading, DataSource, Diagnostic, Fetch, FetchFailure, Layer, Members,
    Schema, Type, Value,
};
use serde_json::{Value as Json, json};

use crate::local::process::{Run, run};
use crate::record::wrong;
use crate::wire::Question;

/// The data source.
pub(crate) struct External {
    schema: Schema,
}

impl External {
    pub(crate) fn new() -> Self {
        let schema = Schema::new("core_external", "What a program on the machine that dmp runs on answers. It is run in every plan, and must change nothing.")
            .layer(Layer::Platform)
            .attribute("program", Attribute::required(Type::list(Type::String), "Its name or path, and its arguments. No shell reads them. Secrets are no arguments: they go into `query`."))
            .attribute("query", Attribute::optional(Type::map(Type::String), "What it is asked: an object of texts in JSON, on its standard input. It may be secret."))
            .attribute("working_directory", Attribute::optional(Type::String, "The folder that it runs in: an absolute path. Not given: the one that dmp runs in."))
            .attribute("timeout", Attribute::default(Type::Number, "Seconds after which it is ended, and nothing is known.", 60))
            .attribute("result", Attribute::computed(Type::map(Type::String), "What it answers: an object of texts in JSON, on its standard output."));
        Self { schema }
    }
}

impl DataSource for External {
    fn schema(&self) -> &Schema {
        &self.schema
    }

    fn fetches(&self, config: &Value) -> Result<Vec<Fetch>, Diagnostic> {
        let program = config.get("program");
        if program.deep_marks().is_sensitive() {
            return Err(wrong(
                "program",
                "a secret among a program's arguments",
                "everybody on the machine can see the arguments of all processes",
            )
            .help("hand it over in `query`"));
        }
        let arguments = program.as_items().into_iter().flatten();
        let arguments: Vec<String> = arguments
            .map(|argument| argument.as_str().unwrap_or_default().to_owned())
            .collect();
        if arguments.first().is_none_or(String::is_empty) {
            return Err(wrong("program", "no program", "the list names none"));
        }
        let directory = config.get("working_directory");
        if directory
            .as_str()
            .is_some_and(|path| !path.starts_with('/'))
        {
            return Err(wrong(
                "working_directory",
                "not an absolute path",
                "it does not begin with `/`",
            ));
        }
        let timeout = config.get("timeout");
        let seconds = match timeout.is_null() {
            true => Some(60),
            false => timeout
                .as_i64()
                .and_then(|seconds| u64::try_from(seconds).ok()),
        };
        let seconds = seconds.unwrap_or_default();
        if !(1..=86_400).contains(&seconds) {
            return Err(wrong(
                "timeout",
                "not a time",
                "whole seconds from 1 to 86400",
            ));
        }
        let query = config.get("query");
        let members = query.as_members().into_iter().flatten();
        let query: BTreeMap<&str, Option<&str>> = members
            .map(|(name, value)| (name.as_ref(), value.as_str()))
            .collect();
        let program = Run {
            arguments,
            environment: BTreeMap::new(),
            directory: directory.as_str().map(ToOwned::to_owned),
            stdin: json!(query).to_string(),
            seconds,
        };
        Ok(vec![Question::External(program).fetch()?])
    }

    fn parse(&self, config: &Value, answers: Answers<'_>) -> Result<DataReading, Diagnostic> {
        let members = answers.json(0)?.as_object();
        let members = members.ok_or_else(|| Diagnostic::bug("an answer that is no object"))?;
        let members: Members = members
            .iter()
            .map(|(name, value)| (name.as_str().into(), value.as_str().into()))
            .collect();
        // What a secret was asked with may say it again.
        let query = config.get("query").deep_marks().without_origins();
        let result = Value::map(members).marked(&query);
        Ok(DataReading::Value(config.with("result", result)))
    }
}

/// The answer to [`Question::External`]: an object of texts and nulls.
pub(crate) async fn ask(program: &Run) -> Result<Json, FetchFailure> {
    let name = program.arguments.first().map_or("", String::as_str);
    let refused = |why: String| FetchFailure::Refused(format!("`{name}`: {why}"));
    let ended = run(program).await;
    let ended = ended.map_err(|error| refused(error.to_string()))?;
    if !ended.is_success() {
        return Err(refused(match program.stdin.as_str() {
            "{}" => ended.in_words(),
            // What it was asked may be secret, and it may say it again.
            _ => ended.without_words(),
        }));
    }
    let answer: Json =
        serde_json::from_slice(&ended.out).map_err(|_| refused("its answer is no JSON".into()))?;
    let is_text = |value: &Json| value.is_string() || value.is_null();
    match answer.as_object() {
        Some(members) if members.values().all(is_text) => Ok(answer),
        _ => Err(refused(
            "its answer is no object whose members are texts".into(),
        )),
    }
}
