//! `host_command`: a script with a check, for what no other resource type covers.
//!
//! Its `check` decides what there is: status 0 means that all is as wanted, so a machine where somebody did it by hand
//! is found as it is. Without a check dmp only knows that it ran.

use std::time::Duration;

use dmp_sdk::{
    Answers, Attribute, Change, Diagnostic, Fetch, Job, Known, MarkWay, Object, Purpose, Reading,
    Resource, Schema, Script, Step, Type, Value, Verb, Work,
};

use crate::on_host::{
    host_attribute, known_machine, machine, optional_text, plan_host, text_map, wrong,
};

/// The resource type.
pub(crate) struct HostCommand {
    schema: Schema,
}

impl HostCommand {
    pub(crate) fn new() -> Self {
        // Any number of commands may run on one machine.
        let mut host = host_attribute();
        host.unique = false;
        let schema = Schema::new(
            "host_command",
            "A shell script that is run on a machine, with a check that says whether it has to be. Give it a `check` \
             wherever there is one: it makes drift visible and a second run harmless.",
        )
        .mark(MarkWay::NaturalKey(&["host", "check"]))
        .on_delete("`destroy` is run; without it nothing happens on the machine.")
        .attribute("host", host)
        .attribute("create", Attribute::required(Type::String, "The script that makes it so. It may be begun again after a failure."))
        .attribute("check", Attribute::optional(Type::String, "A script that changes nothing and succeeds where all is as wanted. It is run in every plan."))
        .attribute("update", Attribute::optional(Type::String, "The script for a changed `create` or `environment`. Without it such a change destroys and creates anew."))
        .attribute("destroy", Attribute::optional(Type::String, "The script that undoes it."))
        .attribute("environment", Attribute::optional(Type::map(Type::String), "Environment variables of all these scripts; they may be secret."))
        .attribute("triggers", Attribute::optional(Type::map(Type::String), "Any values; when one changes it is destroyed and created anew.").replaces())
        .attribute("timeout", Attribute::default(Type::Number, "Seconds after which a script is ended and counts as failed.", 600));
        Self { schema }
    }
}

/// One of the scripts, with its environment.
fn script(attributes: &Value, name: &str) -> Option<Script> {
    let text = optional_text(attributes, name)?;
    let script = Script::written_by_user(text);
    Some(
        text_map(attributes, "environment")
            .into_iter()
            .fold(script, |script, (name, value)| script.env(name, value)),
    )
}

fn plan_environment(change: &Change<'_>) -> Result<(), Diagnostic> {
    let is_name = |name: &str| {
        !name.starts_with(|c: char| c.is_ascii_digit())
            && !name.is_empty()
            && name
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
    };
    let environment = change.planned.get("environment");
    let names = environment
        .as_members()
        .into_iter()
        .flatten()
        .map(|(name, _)| name);
    match names.into_iter().find(|name| !is_name(name)) {
        Some(name) => Err(wrong(
            "environment",
            "not a variable's name",
            format!("`{name}` has other characters than letters, digits and `_`"),
        )),
        None => Ok(()),
    }
}

impl Resource for HostCommand {
    fn schema(&self) -> &Schema {
        &self.schema
    }

    fn fetches(&self, known: &Known<'_>) -> Result<Vec<Fetch>, Diagnostic> {
        let attributes = known.attributes;
        let is_known = ["check", "environment"]
            .iter()
            .all(|name| attributes.get(name).is_wholly_known());
        let (true, Some(on)) = (is_known, machine(attributes)?) else {
            return Ok(Vec::new());
        };
        // Without a check there is nothing to ask; that the machine answers is all that can be known.
        let script = script(attributes, "check").unwrap_or_else(|| Script::new(":"));
        Ok(vec![Fetch::Script { on, script }])
    }

    fn parse(&self, known: &Known<'_>, answers: Answers<'_>) -> Result<Reading, Diagnostic> {
        let is_checked = optional_text(known.attributes, "check").is_some();
        let is_there = if is_checked {
            answers.output(0)?.is_success()
        } else {
            matches!(
                known.purpose,
                Purpose::Refresh | Purpose::Suspect | Purpose::AfterWrite
            )
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
        plan_host(change);
        plan_environment(change)?;
        let timeout = change.planned.get("timeout");
        if timeout.is_known() && timeout.as_i64().is_none_or(|seconds| seconds < 1) {
            return Err(wrong(
                "timeout",
                "not a time",
                "a number of whole seconds, at least 1",
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
        let of = if job.verb == Verb::Delete {
            job.prior()?
        } else {
            job.wanted()?
        };
        let name = match job.verb {
            Verb::Create => "create",
            Verb::Delete => "destroy",
            Verb::Leave => return Ok(Work::Steps(Vec::new())),
            Verb::Update => {
                let is_other = |name: &&str| {
                    job.prior
                        .is_none_or(|prior| prior.get(name) != of.get(name))
                };
                if !["create", "update", "environment"].iter().any(is_other) {
                    return Ok(Work::Steps(Vec::new()));
                }
                "update"
            }
        };
        let Some(run) = script(of, name) else {
            return Ok(Work::Steps(Vec::new()));
        };
        let on = known_machine(of)?;
        let seconds = of
            .get("timeout")
            .as_i64()
            .and_then(|seconds| u64::try_from(seconds).ok());
        let title = format!("run `{name}` of {}", job.address);
        let mut step =
            Step::new(title, &on, run).within(Duration::from_secs(seconds.unwrap_or(600)));
        if job.verb == Verb::Create
            && let Some(check) = script(of, "check")
        {
            step = step.unless(check);
        }
        Ok(Work::Steps(vec![step]))
    }
}

#[cfg(test)]
mod tests {
    use dmp_sdk::Output;

    use super::*;
    use crate::on_host::tests::{a_machine, plan, value};

    fn config(given: &[(&str, Value)]) -> Value {
        let all = [
            &[
                ("host", a_machine().to_value()),
                ("create", "make it".into()),
            ],
            given,
        ]
        .concat();
        value(HostCommand::new().schema(), &all)
    }

    fn is_found(purpose: Purpose, attributes: &Value, status: i32) -> bool {
        let address = dmp_sdk::Address::managed("host_command", "x");
        let known = Known {
            address: &address,
            purpose,
            id: None,
            attributes,
            chosen: &Value::null(),
            mark: None,
        };
        let output = Output {
            status,
            ..Output::default()
        };
        let answer = dmp_sdk::Answer::Script {
            output,
            host_key: "".into(),
        };
        let reading = HostCommand::new()
            .parse(&known, Answers(&[answer]))
            .expect("parses");
        matches!(reading, Reading::Found(_))
    }

    #[test]
    fn the_check_decides_and_without_one_the_record_does() {
        let checked = config(&[("check", "test -e x".into())]);
        assert!(is_found(Purpose::BeforeCreate, &checked, 0));
        assert!(!is_found(Purpose::Refresh, &checked, 1));
        let unchecked = config(&[]);
        assert!(
            is_found(Purpose::Refresh, &unchecked, 0)
                && is_found(Purpose::AfterWrite, &unchecked, 0)
        );
        assert!(
            !is_found(Purpose::BeforeCreate, &unchecked, 0)
                && !is_found(Purpose::Settle, &unchecked, 0)
        );
    }

    #[test]
    fn a_changed_script_replaces_unless_there_is_one_for_updates() {
        let command = HostCommand::new();
        let prior = config(&[]);
        let changed = prior.with("create", "make it so".into());
        let planned = plan(&command, &changed, Some(&prior), None).expect("plans");
        assert_eq!(planned.replacements, ["create"]);
        let updating = changed.with("update", "change it".into());
        let planned = plan(&command, &updating, Some(&prior), None).expect("plans");
        assert!(planned.replacements.is_empty());
    }

    #[test]
    fn a_name_that_no_variable_can_have_is_an_error() {
        let environment = Value::map([("A-B".into(), "x".into())].into());
        let config = config(&[("environment", environment)]);
        let error = plan(&HostCommand::new(), &config, None, None)
            .err()
            .expect("is wrong");
        assert!(error.to_string().contains("`A-B`"), "{error}");
    }
}
