//! `test_handover`: a word that one machine makes and another is given, without passing through a file of dmp's.

use crate::change::Change;
use crate::diagnostic::Diagnostic;
use crate::machine::{Machine, Step};
use crate::resource::{Answers, Fetch, Job, Known, Object, Reading, Resource, Verb, Work};
use crate::schema::{Attribute, Layer, MarkWay, Quantifier, Schema};
use crate::script::Script;
use crate::types::Type;
use crate::value::Value;

/// The resource type.
#[derive(Debug)]
pub(super) struct TestHandover {
    schema: Schema,
}

impl Default for TestHandover {
    fn default() -> Self {
        let machine = |doc| Attribute::required(Machine::value_type(), doc);
        let schema = Schema::new("test_handover", "A word that one machine gives to another.")
            .layer(Layer::Host)
            .mark(MarkWay::NaturalKey(&["to", "file"]))
            .on_delete("Removes the file on the machine that was given the word.")
            .attribute("from", machine("The machine that gives."))
            .attribute(
                "to",
                machine("The machine that is given.")
                    .hosting(Quantifier::All)
                    .replaces()
                    .unique(),
            )
            .attribute(
                "says",
                Attribute::required(Type::String, "A command whose output is the word."),
            )
            .attribute(
                "file",
                Attribute::required(Type::String, "Where the word is kept.")
                    .replaces()
                    .unique(),
            );
        Self { schema }
    }
}

fn text(value: &Value, name: &str) -> String {
    value.get(name).as_str().unwrap_or_default().to_owned()
}

fn machine(value: &Value, name: &str) -> Result<Machine, Diagnostic> {
    Machine::from_value(&value.get(name)).map_err(|error| {
        Diagnostic::error("not-a-connection", "not a connection").detail(error.to_string())
    })
}

impl Resource for TestHandover {
    fn schema(&self) -> &Schema {
        &self.schema
    }

    fn fetches(&self, known: &Known<'_>) -> Result<Vec<Fetch>, Diagnostic> {
        let attributes = known.attributes;
        let key = ["to", "file"].map(|name| attributes.get(name));
        if !key.iter().all(Value::is_wholly_known) {
            return Ok(Vec::new());
        }
        let script = Script::new("[ -s \"$file\" ]").var("file", text(attributes, "file"));
        let on = machine(attributes, "to")?;
        Ok(vec![Fetch::Script { on, script }])
    }

    fn parse(&self, known: &Known<'_>, answers: Answers<'_>) -> Result<Reading, Diagnostic> {
        Ok(match answers.output(0)?.is_success() {
            true => Reading::Found(Object {
                attributes: known.attributes.clone(),
                id: None,
            }),
            false => Reading::Absent,
        })
    }

    fn plan(&self, change: &mut Change<'_>) -> Result<(), Diagnostic> {
        // How a machine is reached is no part of what it was given.
        change.keep("from");
        Ok(())
    }

    fn work(&self, job: &Job<'_>) -> Result<Work, Diagnostic> {
        let subject = match job.verb {
            Verb::Create | Verb::Update => job.wanted()?,
            Verb::Delete | Verb::Leave => job.prior()?,
        };
        let to = machine(subject, "to")?;
        let script = |body: &'static str| Script::new(body).var("file", text(subject, "file"));
        if matches!(job.verb, Verb::Delete | Verb::Leave) {
            let step = Step::new("forget the word", &to, script("rm -f -- \"$file\""));
            return Ok(Work::Steps(vec![step]));
        }
        let says = Script::new("sh -c \"$says\"").var("says", text(subject, "says"));
        let keep = "cat >\"$file.new\" && [ -s \"$file.new\" ] && mv -- \"$file.new\" \"$file\"";
        Ok(Work::Steps(vec![
            Step::new("say the word", &machine(subject, "from")?, says).giving(),
            Step::new("keep the word", &to, script(keep)).taking(0),
        ]))
    }
}
