//! `hosts_entry`: one name in a hosts file, and the address that it leads to.

use dmp_sdk::{
    Answers, Attribute, AttributePath, Change, Diagnostic, Fetch, Job, Known, Machine, MarkWay,
    Object, Quantifier, Reading, Resource, Schema, Script, Step, Type, Value, Verb, Work,
};

/// The resource type.
#[derive(Debug)]
pub(crate) struct Entry {
    schema: Schema,
}

impl Entry {
    pub(crate) fn new() -> Self {
        let schema = Schema::new("hosts_entry", "A name in a machine's hosts file.")
            .mark(MarkWay::NaturalKey(&["host", "file", "name"]))
            .on_delete("The name leads where it led before dmp, or is removed.")
            .attribute(
                "host",
                Attribute::required(
                    Machine::value_type(),
                    "The machine: the `connection` of a `host`.",
                )
                .hosting(Quantifier::All)
                .replaces()
                .unique(),
            )
            .attribute(
                "name",
                Attribute::required(Type::String, "The name, such as `storage.lab`.")
                    .replaces()
                    .unique(),
            )
            .attribute(
                "address",
                Attribute::required(Type::String, "The IP address that it leads to."),
            )
            .attribute(
                "file",
                Attribute::default(Type::String, "The hosts file.", "/etc/hosts")
                    .replaces()
                    .unique(),
            );
        Self { schema }
    }
}

const READ: &str = r#"
[ -e "$file" ] || exit 0
awk -v name="$name" '{
	sub(/#.*/, "")
	for (i = 2; i <= NF; i++) if ($i == name) { print $1; exit }
}' "$file"
"#;

const WRITE: &str = r#"
[ -e "$file" ] || : >"$file" || exit 1
# The copy brings the file's owner and mode along.
cp -p -- "$file" "$file.dmp-new" || exit 1
awk -v name="$name" '{
	body = $0
	sub(/#.*/, "", body)
	count = split(body, words)
	others = ""
	for (i = 2; i <= count; i++) if (words[i] != name) others = others " " words[i]
	has = 0
	for (i = 2; i <= count; i++) if (words[i] == name) has = 1
	comment = substr($0, length(body) + 1)
	if (!has) print
	else if (others != "") print words[1] others (comment == "" ? "" : " " comment)
}' "$file" >"$file.dmp-new" || exit 1
if [ -n "$address" ]; then printf '%s\t%s\n' "$address" "$name" >>"$file.dmp-new" || exit 1; fi
mv -f -- "$file.dmp-new" "$file"
"#;

fn text(value: &Value, name: &str) -> String {
    value.get(name).as_str().unwrap_or_default().to_owned()
}

fn machine(value: &Value) -> Result<Machine, Diagnostic> {
    Machine::from_value(&value.get("host")).map_err(|error| {
        Diagnostic::error("not-a-connection", "not a connection")
            .detail(error.to_string())
            .path(AttributePath::of("host"))
    })
}

/// A value that would end a word or a line of the file is refused.
fn check(
    change: &Change<'_>,
    attribute: &str,
    is_sign: fn(char) -> bool,
) -> Result<(), Diagnostic> {
    let value = change.planned.get(attribute);
    match value.as_str() {
        Some(text) if text.is_empty() || !text.chars().all(is_sign) => {
            let detail = format!("`{text}` can't stand in a hosts file");
            Err(Diagnostic::error("wrong-argument", "not a host's")
                .detail(detail)
                .path(AttributePath::of(attribute)))
        }
        _ => Ok(()),
    }
}

impl Resource for Entry {
    fn schema(&self) -> &Schema {
        &self.schema
    }

    fn fetches(&self, known: &Known<'_>) -> Result<Vec<Fetch>, Diagnostic> {
        let attributes = known.attributes;
        let is_known = |key: &&str| attributes.get(key).is_wholly_known();
        if !["host", "file", "name"].iter().all(is_known) {
            return Ok(Vec::new());
        }
        let script = Script::new(READ)
            .var("file", text(attributes, "file"))
            .var("name", text(attributes, "name"));
        Ok(vec![Fetch::Script {
            on: machine(attributes)?,
            script,
        }])
    }

    fn parse(&self, known: &Known<'_>, answers: Answers<'_>) -> Result<Reading, Diagnostic> {
        let output = answers.output(0)?;
        if !output.is_success() {
            return Err(
                Diagnostic::remote("cannot-read", "cannot read a hosts file")
                    .cause(output.stderr.clone()),
            );
        }
        Ok(match output.text().trim() {
            "" => Reading::Absent,
            address => Reading::Found(Object {
                attributes: known.attributes.with("address", address.into()),
                id: None,
            }),
        })
    }

    fn plan(&self, change: &mut Change<'_>) -> Result<(), Diagnostic> {
        check(change, "name", |c| {
            c.is_ascii_alphanumeric() || ".-_".contains(c)
        })?;
        check(change, "address", |c| {
            c.is_ascii_hexdigit() || ".:%".contains(c)
        })?;
        if let (None, Some(earlier)) = (change.prior, change.earlier) {
            let before = text(earlier, "address");
            change.note(format!("it leads to {before} now; a delete puts that back"));
        }
        Ok(())
    }

    fn work(&self, job: &Job<'_>) -> Result<Work, Diagnostic> {
        let (of, address) = match job.verb {
            Verb::Create | Verb::Update => (job.wanted()?, text(job.wanted()?, "address")),
            Verb::Delete | Verb::Leave => {
                let earlier = job.earlier.map(|earlier| text(earlier, "address"));
                (job.prior()?, earlier.unwrap_or_default())
            }
        };
        let name = text(of, "name");
        let title = match address.as_str() {
            "" => format!("remove the name {name}"),
            address => format!("lead the name {name} to {address}"),
        };
        let script = Script::new(WRITE)
            .var("file", text(of, "file"))
            .var("name", name)
            .var("address", address);
        Ok(Work::Steps(vec![Step::new(title, &machine(of)?, script)]))
    }
}
