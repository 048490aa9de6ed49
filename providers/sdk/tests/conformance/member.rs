//! `member`: a resource type of steps, which counts in a register until it leaves. Its files are `PATH` and `PATH.register`.

use dmp_sdk::{
    Answers, Attribute, Diagnostic, Fetch, Job, Known, Machine, MarkWay, Object, Reading, Resource,
    Schema, Script, Step, Type, Value, Verb, Work,
};

pub(crate) struct Member {
    schema: Schema,
}

impl Member {
    pub(crate) fn new() -> Self {
        let mut schema = Schema::new("member", "A file that counts in a register.")
            .mark(MarkWay::NaturalKey(&["host", "path"]))
            .on_delete("It leaves the register, and the file is removed.")
            .attribute(
                "host",
                Attribute::required(Machine::value_type(), "The machine."),
            )
            .attribute(
                "path",
                Attribute::required(Type::String, "The file.").replaces(),
            )
            .attribute("text", Attribute::required(Type::String, "What is in it."))
            .attribute(
                "token",
                Attribute::optional(Type::String, "Stands behind the text.").sensitive(),
            );
        schema.version = 2;
        Self { schema }
    }
}

fn text(value: &Value, name: &str) -> String {
    value.get(name).as_str().unwrap_or_default().to_owned()
}

impl Resource for Member {
    fn schema(&self) -> &Schema {
        &self.schema
    }

    fn fetches(&self, known: &Known<'_>) -> Result<Vec<Fetch>, Diagnostic> {
        let attributes = known.attributes;
        if !["host", "path"]
            .iter()
            .all(|key| attributes.get(key).is_wholly_known())
        {
            return Ok(Vec::new());
        }
        let on = Machine::from_value(&attributes.get("host"))
            .map_err(|error| Diagnostic::bug(error.to_string()))?;
        let script = Script::new(
            r#"[ ! -e "$path" ] || { cat "$path"; [ -e "$path.register" ] && echo registered || echo new; }"#,
        );
        let script = script.var("path", text(attributes, "path"));
        Ok(vec![Fetch::Script { on, script }])
    }

    fn parse(&self, known: &Known<'_>, answers: Answers<'_>) -> Result<Reading, Diagnostic> {
        let output = answers.output(0)?.text();
        let mut lines = output.lines();
        let (Some(first), Some(second), Some(third)) = (lines.next(), lines.next(), lines.next())
        else {
            return Ok(Reading::Absent);
        };
        let token = match second {
            "" => Value::null(),
            token => token.into(),
        };
        let attributes = known
            .attributes
            .with("text", first.into())
            .with("token", token);
        let object = Object {
            attributes,
            id: None,
        };
        Ok(match third {
            "registered" => Reading::Found(object),
            _ => Reading::HalfMade(object, "it is not in the register".into()),
        })
    }

    fn work(&self, job: &Job<'_>) -> Result<Work, Diagnostic> {
        let of = match job.verb {
            Verb::Create | Verb::Update => job.wanted()?,
            Verb::Delete | Verb::Leave => job.prior()?,
        };
        let on = Machine::from_value(&of.get("host"))
            .map_err(|error| Diagnostic::bug(error.to_string()))?;
        let step = |title: &str, script: Script| {
            Step::new(title, &on, script.var("path", text(of, "path")))
        };
        let leave = || {
            step(
                "leave the register",
                Script::new(r#"rm -f "$path.register""#),
            )
        };
        let write = || {
            let content = format!("{}\n{}\n", text(of, "text"), text(of, "token"));
            step(
                "write the file",
                Script::new(r#"cat >"$path""#).stdin(content),
            )
        };
        let enter = || step("enter the register", Script::new(r#": >"$path.register""#));
        let remove = || step("remove the file", Script::new(r#"rm -f "$path""#));
        Ok(Work::Steps(match job.verb {
            Verb::Create => vec![write(), enter()],
            Verb::Update => vec![leave(), write(), enter()],
            Verb::Leave => vec![leave()],
            Verb::Delete => vec![leave(), remove()],
        }))
    }

    fn leaves(&self) -> bool {
        true
    }

    fn upgrade(&self, from: u32, attributes: Value) -> Result<Value, Diagnostic> {
        match from {
            1 => {
                let members = attributes.as_members().into_iter().flatten();
                let renamed = members.map(|(name, value)| match name.as_ref() {
                    "content" => ("text".into(), value.clone()),
                    _ => (name.clone(), value.clone()),
                });
                Ok(Value::object(renamed.collect()))
            }
            _ => Err(Diagnostic::bug(format!("no way from version {from}"))),
        }
    }
}
