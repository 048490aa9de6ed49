//! `core_local_command`: a shell script on the machine that dmp runs on, with a check that says whether it has to be run.
//!
//! The scripts are the person's own text. They are handed over in the environment, as their variables are: nothing of them
//! is in any process's arguments.

use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;
use dmp_sdk::{
    Answers, Attribute, Change, Cx, Diagnostic, Fetch, FetchFailure, Job, Known, Layer, MarkWay,
    Object, Purpose, Reading, Resource, Schema, Type, Value, Verb, Work,
};

use super::process::{Run, run};
use crate::record::{text, whole, wrong};
use crate::wire::Question;

/// The resource type.
pub(crate) struct LocalCommand {
    schema: Schema,
}

impl LocalCommand {
    pub(crate) fn new() -> Self {
        let script = |doc| Attribute::optional(Type::String, doc);
        let schema = Schema::new(
            "core_local_command",
            "A script for `sh` that is run on the machine that dmp runs on, with a check that says whether it has to be. Give \
             it a `check` wherever there is one: it makes drift visible and a second run harmless. Hand values over by \
             `environment`, and write `\"$NAME\"` in the script: a text that is put into a script is read as shell.",
        )
        .layer(Layer::Platform)
        .mark(MarkWay::NaturalKey(&["check"]))
        .on_delete("`destroy` is run; without it nothing happens.")
        .attribute("create", Attribute::required(Type::String, "The script that makes it so. It may be begun again after a failure."))
        .attribute("check", script("A script that changes nothing and succeeds where all is as wanted. It is run in every plan."))
        .attribute("update", script("The script for a changed `create` or `environment`. Without it such a change destroys and creates anew."))
        .attribute("destroy", script("The script that undoes it."))
        .attribute("environment", Attribute::optional(Type::map(Type::String), "Environment variables of all these scripts; they may be secret. Those of dmp itself are there too, but for `DMP_…`."))
        .attribute("working_directory", Attribute::optional(Type::String, "The folder that they run in: an absolute path. Not given: the one that dmp runs in."))
        .attribute("triggers", Attribute::optional(Type::map(Type::String), "Any values; when one changes it is destroyed and created anew.").replaces())
        .attribute("timeout", Attribute::default(Type::Number, "Seconds after which a script is ended and counts as failed.", 600));
        Self { schema }
    }
}

/// One of the scripts, if it is given.
fn script(attributes: &Value, name: &str) -> Option<Run> {
    let script = attributes.get(name);
    let mut environment: BTreeMap<String, String> = BTreeMap::new();
    let given = attributes.get("environment");
    for (name, value) in given.as_members().into_iter().flatten() {
        let value = value.as_str().unwrap_or_default();
        environment.insert(name.to_string(), value.to_owned());
    }
    environment.insert(SCRIPT.into(), script.as_str()?.to_owned());
    let directory = attributes.get("working_directory");
    let seconds = attributes.get("timeout").as_i64();
    Some(Run {
        arguments: ["sh", "-c", EVAL].map(str::to_owned).into(),
        environment,
        directory: directory.as_str().map(ToOwned::to_owned),
        stdin: String::new(),
        seconds: seconds
            .and_then(|seconds| u64::try_from(seconds).ok())
            .unwrap_or(600),
    })
}

fn plan_environment(change: &Change<'_>) -> Result<(), Diagnostic> {
    let is_name = |name: &str| {
        let is_part = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
        !name.is_empty() && !name.as_bytes()[0].is_ascii_digit() && name.bytes().all(is_part)
    };
    let environment = change.planned.get("environment");
    let mut names = environment.as_members().into_iter().flatten();
    match names.find(|(name, _)| !is_name(name)) {
        Some((name, _)) => Err(wrong(
            "environment",
            "not a variable's name",
            format!("`{name}` has other characters than letters, digits and `_`"),
        )),
        None => Ok(()),
    }
}

#[async_trait]
impl Resource for LocalCommand {
    fn schema(&self) -> &Schema {
        &self.schema
    }

    fn fetches(&self, known: &Known<'_>) -> Result<Vec<Fetch>, Diagnostic> {
        let attributes = known.attributes;
        let is_known = ["check", "environment", "working_directory"]
            .iter()
            .all(|name| attributes.get(name).is_wholly_known());
        match script(attributes, "check") {
            Some(check) if is_known => Ok(vec![Question::Program(check).fetch()?]),
            _ => Ok(Vec::new()),
        }
    }

    fn parse(&self, known: &Known<'_>, answers: Answers<'_>) -> Result<Reading, Diagnostic> {
        let is_there = if answers.is_empty() {
            // Without a check dmp only knows that it ran.
            matches!(
                known.purpose,
                Purpose::Refresh | Purpose::Suspect | Purpose::AfterWrite
            )
        } else {
            answers.json(0)?["code"].as_i64() == Some(0)
        };
        if !is_there {
            return Ok(Reading::Absent);
        }
        Ok(Reading::Found(Object {
            attributes: known.attributes.clone(),
            id: None,
        }))
    }

    fn plan(&self, change: &mut Change<'_>) -> Result<(), Diagnostic> {
        plan_environment(change)?;
        whole(change, "timeout", 1, 86_400)?;
        let directory = change.planned.get("working_directory");
        if directory
            .as_str()
            .is_some_and(|path| !path.starts_with('/'))
        {
            return Err(wrong(
                "working_directory",
                "not an absolute path",
                format!(
                    "`{}` does not begin with `/`",
                    text(&change.planned, "working_directory")
                ),
            ));
        }
        if change.prior.is_none() {
            if change.earlier.is_some() {
                change.note("the check succeeds already: `create` will not be run");
            }
            return Ok(());
        }
        if change.planned.get("update").is_null() {
            for name in ["create", "environment"] {
                if change.changes(name) {
                    change.replace(name, "there is no `update` script");
                }
            }
        }
        Ok(())
    }

    fn import(&self, _id: &str, _attributes: &Value) -> Result<Value, Diagnostic> {
        Err(
            Diagnostic::error("no-import", "a command can't be imported")
                .help("leave the `import` block out: where `check` holds, the command is not run"),
        )
    }

    fn work(&self, job: &Job<'_>) -> Result<Work, Diagnostic> {
        let nothing = || Ok(Work::Steps(Vec::new()));
        match job.verb {
            Verb::Leave => nothing(),
            Verb::Delete if script(job.prior()?, "destroy").is_none() => nothing(),
            Verb::Update => {
                let wanted = job.wanted()?;
                let is_other = |name: &&str| {
                    job.prior
                        .is_none_or(|prior| prior.get(name) != wanted.get(name))
                };
                let has_script = script(wanted, "update").is_some();
                let is_due = ["create", "update", "environment"].iter().any(is_other);
                match has_script && is_due {
                    true => Ok(Work::Calls),
                    false => nothing(),
                }
            }
            Verb::Create | Verb::Delete => Ok(Work::Calls),
        }
    }

    async fn call(&self, cx: &dyn Cx, job: &Job<'_>) -> Result<(), Diagnostic> {
        let (of, name) = match job.verb {
            Verb::Create => (job.wanted()?, "create"),
            Verb::Update => (job.wanted()?, "update"),
            Verb::Delete => (job.prior()?, "destroy"),
            Verb::Leave => return Ok(()),
        };
        let Some(to_run) = script(of, name) else {
            return Ok(());
        };
        cx.begin(&format!("run `{name}` of {}", job.address))
            .await?;
        if job.verb == Verb::Create
            && let Some(check) = script(of, "check")
            && run(&check).await.is_ok_and(|ended| ended.is_success())
        {
            return Ok(());
        }
        cx.waiting(
            &format!("`{name}` ends"),
            Duration::from_secs(to_run.seconds),
        );
        match run(&to_run).await {
            Ok(ended) if ended.is_success() => Ok(()),
            Ok(ended) => Err(failed(name, ended.in_words())),
            Err(error) => Err(failed(name, error.to_string())),
        }
    }
}

fn failed(name: &str, why: String) -> Diagnostic {
    Diagnostic::remote("command-failed", format!("`{name}` failed")).cause(why)
}

/// The answer to [`Question::Program`]: `{ "code": status }`. Where its folder is not there yet nothing can be as wanted.
pub(crate) async fn check(check: &Run) -> Result<serde_json::Value, FetchFailure> {
    let has_folder = |folder: &String| std::path::Path::new(folder).is_dir();
    let code = match check.directory.as_ref().is_none_or(has_folder) {
        true => {
            let ended = run(check).await;
            let refused = |error: std::io::Error| FetchFailure::Refused(error.to_string());
            ended.map_err(refused)?.code
        }
        false => None,
    };
    Ok(serde_json::json!({ "code": code }))
}

/// The variable in which a script is handed over; the script itself does not see it.
const SCRIPT: &str = "DMP_LOCAL_SCRIPT";
const EVAL: &str = r#"dmp_script=$DMP_LOCAL_SCRIPT; unset DMP_LOCAL_SCRIPT; eval "$dmp_script""#;
