//! `data "host_command_output"`: what a script says on a machine.

use dmp_sdk::{
    Answers, Attribute, DataReading, DataSource, Diagnostic, Fetch, Marks, Schema, Script, Type,
    Value,
};

use super::{fetch, host_attribute};
use crate::on_host::{text, text_map};

/// The data source.
pub(crate) struct CommandOutput {
    schema: Schema,
}

impl CommandOutput {
    pub(crate) fn new() -> Self {
        let schema = Schema::new("host_command_output", "What a shell script says on a machine. It is run in every plan, and must change nothing.")
            .attribute("host", host_attribute())
            .attribute("command", Attribute::required(Type::String, "The script. It is ended with the plan's reading, after some minutes."))
            .attribute("environment", Attribute::optional(Type::map(Type::String), "Environment variables of the script; they may be secret, and then so is what it says."))
            .attribute("stdin", Attribute::optional(Type::String, "What it reads on its standard input; it may be secret."))
            .attribute("may_fail", Attribute::default(Type::Bool, "Whether another status than 0 is an answer like any other.", false))
            .attribute("status", Attribute::computed(Type::Number, "The status that it ends with."))
            .attribute("stdout", Attribute::computed(Type::String, "Its standard output, without the last newline."));
        Self { schema }
    }
}

impl DataSource for CommandOutput {
    fn schema(&self) -> &Schema {
        &self.schema
    }

    fn fetches(&self, config: &Value) -> Result<Vec<Fetch>, Diagnostic> {
        let mut script = Script::written_by_user(text(config, "command"));
        for (name, value) in text_map(config, "environment") {
            script = script.env(name, value);
        }
        if let Some(stdin) = config.get("stdin").as_str() {
            script = script.stdin(stdin.as_bytes());
        }
        fetch(config, script)
    }

    fn parse(&self, config: &Value, answers: Answers<'_>) -> Result<DataReading, Diagnostic> {
        let output = answers.output(0)?;
        let secrets = secrets(config);
        if !output.is_success() && config.get("may_fail").as_bool() != Some(true) {
            let failed = Diagnostic::remote("command-failed", "a command fails on the machine");
            let said = match (secrets.is_sensitive(), output.stderr.trim()) {
                (true, _) => "what it said may be secret and is not shown".to_owned(),
                (false, "") => "it said nothing".to_owned(),
                (false, words) => words.to_owned(),
            };
            return Err(failed
                .detail(format!("its status is {}", output.status))
                .cause(said)
                .help("with `may_fail = true` the status is an answer like any other"));
        }
        let stdout = String::from_utf8(output.stdout.clone()).map_err(|_| {
            Diagnostic::remote("not-text", "a command's output is no text")
                .detail("its standard output is not UTF-8")
                .help("let the command encode it, as by `base64`")
        })?;
        let stdout = stdout.strip_suffix('\n').unwrap_or(&stdout);
        Ok(DataReading::Value(
            config
                .with("status", i64::from(output.status).into())
                .with("stdout", Value::from(stdout).marked(&secrets)),
        ))
    }
}

/// What a secret was handed to may say it again.
fn secrets(config: &Value) -> Marks {
    ["command", "environment", "stdin"]
        .iter()
        .fold(Marks::default(), |marks, name| {
            marks.union(&config.get(name).deep_marks().without_origins())
        })
}

#[cfg(test)]
mod tests {
    use dmp_sdk::{Answer, Output};

    use super::*;
    use crate::on_host::tests::{a_machine, value};

    fn read(given: &[(&str, Value)], status: i32, stdout: &[u8]) -> Result<Value, Diagnostic> {
        let source = CommandOutput::new();
        let config = value(source.schema(), given).with("host", a_machine().to_value());
        assert_eq!(source.fetches(&config).expect("is asked").len(), 1);
        let answer = Answer::Script {
            output: Output {
                status,
                stdout: stdout.to_vec(),
                stderr: "no such token: hunter2".into(),
            },
            host_key: "ssh-ed25519 AAAA".into(),
        };
        match source.parse(&config, Answers(&[answer]))? {
            DataReading::Value(value) => Ok(value),
            DataReading::More(_) => panic!("no more is needed"),
        }
    }

    #[test]
    fn what_is_said_loses_its_last_newline_and_a_failure_is_one_unless_it_is_allowed() {
        let command = ("command", "uptime".into());
        let said = read(std::slice::from_ref(&command), 0, b"up\nlong\n").expect("is read");
        assert_eq!(said.get("stdout"), "up\nlong".into());
        let failed = read(std::slice::from_ref(&command), 3, b"").expect_err("fails");
        assert!(failed.to_string().contains("no such token"), "{failed}");
        let allowed = read(&[command, ("may_fail", true.into())], 3, b"").expect("is read");
        assert_eq!(allowed.get("status"), 3.into());
    }

    #[test]
    fn what_a_secret_was_handed_to_says_secrets() {
        let secret = Value::from("hunter2").marked(&Marks::sensitive());
        let given = [("command", "cat".into()), ("stdin", secret)];
        let said = read(&given, 0, b"hunter2\n").expect("is read");
        assert!(said.get("stdout").marks().is_sensitive());
        let failed = read(&given, 1, b"").expect_err("fails");
        assert!(!failed.to_string().contains("hunter2"), "{failed}");
    }
}
