//! What all resource types on a machine share: the `host` argument and reading members of values.

use std::collections::BTreeMap;

use dmp_sdk::{
    Attribute, AttributePath, Change, Claim, Diagnostic, Fetch, Known, Machine, Output, Quantifier,
    Script, Value,
};

/// The `host` argument.
pub(crate) fn host_attribute() -> Attribute {
    Attribute::required(
        Machine::value_type(),
        "The machine: the `connection` of a `host`.",
    )
    .hosting(Quantifier::All)
    .unique()
}

/// The machine of an object; `None` while it is not known.
pub(crate) fn machine(attributes: &Value) -> Result<Option<Machine>, Diagnostic> {
    let host = attributes.get("host");
    if !host.is_wholly_known() || host.is_null() {
        return Ok(None);
    }
    Machine::from_value(&host).map(Some).map_err(|error| {
        Diagnostic::error("not-a-connection", "not a connection")
            .detail(error.to_string())
            .path(AttributePath::of("host"))
            .help("write `host = host.NAME.connection`")
    })
}

/// The machine of an object in a work, where everything is known.
pub(crate) fn known_machine(attributes: &Value) -> Result<Machine, Diagnostic> {
    machine(attributes)?.ok_or_else(|| Diagnostic::bug("work on a machine that is not known"))
}

/// The fetch of one script, if the machine and the keys are known.
pub(crate) fn fetch(
    known: &Known<'_>,
    keys: &[&str],
    script: impl FnOnce() -> Script,
) -> Result<Vec<Fetch>, Diagnostic> {
    let is_known = |key: &&str| {
        let value = known.attributes.get(key);
        value.is_wholly_known() && !value.is_null()
    };
    if !keys.iter().all(is_known) {
        return Ok(Vec::new());
    }
    Ok(machine(known.attributes)?
        .map(|on| Fetch::Script {
            on,
            script: script(),
        })
        .into_iter()
        .collect())
}

/// What is known of an object that a machine has once, to be imported: its id is the machine's address.
pub(crate) fn import_of_machine(id: &str, attributes: &Value) -> Result<Value, Diagnostic> {
    let on = known_machine(attributes)?;
    match on.address == id {
        true => Ok(attributes.clone()),
        false => Err(
            Diagnostic::error("import-id", "the id names another machine").detail(format!(
                "a machine has this once, and its id is the machine's address: `{}`, not `{id}`",
                on.address
            )),
        ),
    }
}

/// Demands a replacement if the object would be on another machine. Another user, way or pin is none.
pub(crate) fn plan_host(change: &mut Change<'_>) {
    let Some(prior) = change.prior else { return };
    if !change.changes("host") {
        return;
    }
    let (Ok(Some(before)), Ok(Some(after))) = (machine(prior), machine(&change.planned)) else {
        return;
    };
    if !is_same_machine(&before, &after) {
        let why = format!(
            "it is on `{}` and shall be on `{}`",
            before.address, after.address
        );
        change.replace("host", why);
    }
}

/// Whether two connections lead to one machine: they share a host key, or the way to it.
fn is_same_machine(one: &Machine, two: &Machine) -> bool {
    if !one.host_keys.is_empty() && !two.host_keys.is_empty() {
        return one.host_keys.iter().any(|key| two.host_keys.contains(key));
    }
    let way = |machine: &Machine| -> Vec<(String, u16)> {
        let hops = machine.bastions.iter().chain([machine]);
        hops.map(|hop| (hop.address.clone(), hop.port)).collect()
    };
    way(one) == way(two)
}

/// The claim of whole files on the machine of an object; nothing while machine or names are not known.
pub(crate) fn whole_files(
    value: &Value,
    key: &str,
    paths: impl Fn(&str) -> Vec<String>,
) -> Vec<Claim> {
    let key = value.get(key);
    let (Ok(Some(on)), Some(key)) = (machine(value), key.as_str()) else {
        return Vec::new();
    };
    let claim = |path: String| Claim::whole(&on, path);
    paths(key).into_iter().map(claim).collect()
}

/// The claim of some lines in a file, beside which others may have theirs.
pub(crate) fn lines_in(value: &Value, path: &str) -> Vec<Claim> {
    let on = machine(value).ok().flatten();
    on.iter().map(|on| Claim::part(on, path, "lines")).collect()
}

/// A text; empty where there is none.
pub(crate) fn text(value: &Value, name: &str) -> String {
    value.get(name).as_str().unwrap_or_default().to_owned()
}

/// A text, if there is one.
pub(crate) fn optional_text(value: &Value, name: &str) -> Option<String> {
    value.get(name).as_str().map(str::to_owned)
}

/// Whether a flag is set.
pub(crate) fn flag(value: &Value, name: &str) -> bool {
    value.get(name).as_bool().unwrap_or(false)
}

/// The texts of a list or set.
pub(crate) fn texts(value: &Value, name: &str) -> Vec<String> {
    let items = value.get(name);
    let texts = items.as_items().into_iter().flatten();
    texts
        .filter_map(|item| item.as_str().map(str::to_owned))
        .collect()
}

/// The texts of a map.
pub(crate) fn text_map(value: &Value, name: &str) -> BTreeMap<String, String> {
    let map = value.get(name);
    let members = map.as_members().into_iter().flatten();
    members
        .filter_map(|(name, text)| Some((name.to_string(), text.as_str()?.to_owned())))
        .collect()
}

/// A map value of texts.
pub(crate) fn map_value(texts: BTreeMap<String, String>) -> Value {
    let member = |(name, text): (String, String)| (name.into(), text.into());
    Value::map(texts.into_iter().map(member).collect())
}

/// A list value of texts.
pub(crate) fn list_value(texts: Vec<String>) -> Value {
    Value::list(texts.into_iter().map(Value::from).collect())
}

/// A read script that failed although it never should: the machine lacks something.
pub(crate) fn unreadable(what: &str, output: &Output) -> Diagnostic {
    let cause = match output.stderr.trim() {
        "" => format!("the script ended with status {}", output.status),
        words => words.to_owned(),
    };
    Diagnostic::remote("cannot-read", format!("cannot read {what}")).cause(cause)
}

/// An argument that can't be.
pub(crate) fn wrong(attribute: &str, summary: &str, detail: impl Into<String>) -> Diagnostic {
    Diagnostic::error("wrong-argument", summary)
        .detail(detail)
        .path(AttributePath::of(attribute))
}

#[cfg(test)]
pub(crate) mod tests {
    use dmp_sdk::{Address, Job, Mark, Resource, Schema, Step, Verb, Work};

    use super::*;

    pub(crate) fn a_machine() -> Machine {
        Machine {
            address: "10.0.0.1".into(),
            port: 22,
            user: "root".into(),
            key_file: None,
            private_key: None,
            host_keys: vec!["ssh-ed25519 AAAA".into()],
            sudo: false,
            ..Machine::default()
        }
    }

    /// The steps of a work.
    pub(crate) fn steps(
        resource: &dyn Resource,
        verb: Verb,
        prior: Option<&Value>,
        wanted: Option<&Value>,
        earlier: Option<&Value>,
    ) -> Vec<Step> {
        let mark = Mark {
            lineage: "l".into(),
            instance: "i".into(),
        };
        let (address, nothing) = (
            Address::managed(&resource.schema().name, "x"),
            Value::null(),
        );
        let job = Job {
            verb,
            address: &address,
            mark: &mark,
            id: None,
            prior,
            wanted,
            chosen: &nothing,
            earlier,
            is_dead: false,
            has_successor: false,
        };
        match resource.work(&job).expect("has steps") {
            Work::Steps(steps) => steps,
            Work::Calls => panic!("has no steps"),
        }
    }

    /// What these steps are called.
    pub(crate) fn titles(steps: Vec<Step>) -> Vec<String> {
        steps.into_iter().map(|step| step.title).collect()
    }

    /// A value with all attributes of a schema: those given, defaults, null.
    pub(crate) fn value(schema: &Schema, given: &[(&str, Value)]) -> Value {
        let member = |(name, attribute): (&std::sync::Arc<str>, &Attribute)| {
            let set = given.iter().find(|(given, _)| *given == name.as_ref());
            let default = match &attribute.presence {
                dmp_sdk::Presence::Optional(Some(default)) => default.clone(),
                _ => Value::null(),
            };
            (
                std::sync::Arc::clone(name),
                set.map_or(default, |(_, value)| value.clone()),
            )
        };
        Value::object(schema.attributes.iter().map(member).collect())
    }

    /// What a resource type makes of a change.
    pub(crate) struct Planned {
        pub(crate) value: Value,
        pub(crate) replacements: Vec<String>,
        pub(crate) effects: Vec<String>,
        pub(crate) notes: Vec<String>,
    }

    /// Plans a change; what is computed is unknown before a create, else as before.
    pub(crate) fn plan(
        resource: &dyn Resource,
        config: &Value,
        prior: Option<&Value>,
        earlier: Option<&Value>,
    ) -> Result<Planned, Diagnostic> {
        let schema = resource.schema();
        let address = Address::managed(&schema.name, "x");
        let mut planned = config.clone();
        for (name, attribute) in &schema.attributes {
            if attribute.is_computed() && config.get(name).is_null() {
                let kept = prior.map_or_else(
                    || Value::unknown(attribute.ty.clone()),
                    |prior| prior.get(name),
                );
                planned = planned.with(name, kept);
            }
        }
        let mut change = Change {
            address: &address,
            schema,
            prior,
            is_half_made: false,
            earlier,
            config,
            planned,
            replacements: Vec::new(),
            effects: Vec::new(),
            notes: Vec::new(),
            dry_run: dmp_sdk::DryRun::NotAsked,
        };
        resource.plan(&mut change)?;
        Ok(Planned {
            value: change.planned,
            replacements: change
                .replacements
                .iter()
                .map(|(path, _)| path.to_string())
                .collect(),
            effects: change.effects.iter().map(ToString::to_string).collect(),
            notes: change.notes,
        })
    }

    /// Reads an object from recorded output.
    pub(crate) fn parse(
        resource: &dyn Resource,
        attributes: &Value,
        purpose: dmp_sdk::Purpose,
        stdout: &[u8],
    ) -> Result<dmp_sdk::Reading, Diagnostic> {
        let address = Address::managed(&resource.schema().name, "x");
        let known = Known {
            address: &address,
            purpose,
            id: None,
            attributes,
            chosen: &Value::null(),
            mark: None,
        };
        let answer = dmp_sdk::Answer::Script {
            output: Output {
                status: 0,
                stdout: stdout.to_vec(),
                stderr: String::new(),
            },
            host_key: "ssh-ed25519 AAAA".into(),
        };
        resource.parse(&known, dmp_sdk::Answers(&[answer]))
    }

    /// What a person reads of an error, with what helps.
    pub(crate) fn said(error: &Diagnostic) -> String {
        format!("{error}: {}", error.help.join(": "))
    }

    /// The attributes of what was found.
    pub(crate) fn found(reading: dmp_sdk::Reading) -> Value {
        match reading {
            dmp_sdk::Reading::Found(object) => object.attributes,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn another_user_way_or_pin_is_the_same_machine_and_another_key_is_not() {
        let machine = a_machine();
        let mut other = machine.clone();
        other.user = "debian".into();
        other.sudo = true;
        other.address = "192.0.2.7".into();
        assert!(
            is_same_machine(&machine, &other),
            "the pinned key is the same"
        );
        other.host_keys = vec!["ssh-ed25519 BBBB".into()];
        assert!(!is_same_machine(&machine, &other));
        other.host_keys.clear();
        assert!(!is_same_machine(&machine, &other));
        other.address = machine.address.clone();
        assert!(is_same_machine(&machine, &other));
    }
}
