//! `host_group`: one group in `/etc/group`, by Debian's `groupadd`, `groupmod` and `groupdel`.
//!
//! Who is a member is said where the users are: a group holds no list of its own.

use dmp_sdk::{
    Answers, Attribute, Change, Diagnostic, Fetch, Job, Known, MarkWay, Object, Reading, Resource,
    Schema, Script, Step, Type, Verb, Work,
};

use crate::facts::account;
use crate::on_host::{
    fetch, flag, host_attribute, known_machine, plan_host, text, unreadable, wrong,
};

/// The resource type.
pub(crate) struct HostGroup {
    schema: Schema,
}

impl HostGroup {
    pub(crate) fn new() -> Self {
        let schema = Schema::new("host_group", "A group of a machine. Its members are named by the `groups` of a `host_user`.")
            .mark(MarkWay::NaturalKey(&["host", "name"]))
            .on_delete("The group is removed; files keep its number. One that was there before dmp stays, with its number of before.")
            .attribute("host", host_attribute())
            .attribute("name", Attribute::required(Type::String, "The group's name.").replaces().unique())
            .attribute("gid", Attribute::optional_computed(Type::Number, "Its number. Not given: the one that it has, else the next that is free."))
            .attribute("system", Attribute::default(Type::Bool, "Whether a new group's number is one of those for the system.", false));
        Self { schema }
    }
}

/// Checks a number of a user or a group.
pub(crate) fn plan_number(change: &Change<'_>, name: &str) -> Result<(), Diagnostic> {
    let number = change.planned.get(name);
    let fits = |number: i64| (0..i64::from(u32::MAX)).contains(&number);
    if number.is_known() && !number.is_null() && !number.as_i64().is_some_and(fits) {
        return Err(wrong(
            name,
            "not a number for it",
            "a whole number from 0 to 4294967294",
        ));
    }
    Ok(())
}

/// Checks a name of a user or a group.
pub(crate) fn plan_name(change: &Change<'_>, name: &str) -> Result<(), Diagnostic> {
    let given = change.planned.get(name);
    match given.as_str() {
        Some(text) if !account::is_name(text) => Err(wrong(
            name,
            "not a name for it",
            "a letter or `_`, then letters, digits, `.`, `_` and `-`, 32 in all",
        )),
        _ => Ok(()),
    }
}

impl Resource for HostGroup {
    fn schema(&self) -> &Schema {
        &self.schema
    }

    fn fetches(&self, known: &Known<'_>) -> Result<Vec<Fetch>, Diagnostic> {
        fetch(known, &["name"], || {
            account::group_script(&text(known.attributes, "name"))
        })
    }

    fn parse(&self, known: &Known<'_>, answers: Answers<'_>) -> Result<Reading, Diagnostic> {
        let output = answers.output(0)?;
        if !output.is_success() {
            return Err(unreadable("a group", output));
        }
        Ok(match account::parse_group(&output.text()) {
            None => Reading::Absent,
            Some(gid) => Reading::Found(Object {
                attributes: known.attributes.with("gid", gid.into()),
                id: Some(text(known.attributes, "name")),
            }),
        })
    }

    fn plan(&self, change: &mut Change<'_>) -> Result<(), Diagnostic> {
        plan_host(change);
        plan_name(change, "name")?;
        plan_number(change, "gid")?;
        let name = text(&change.planned, "name");
        if let (None, Some(earlier)) = (change.prior, change.earlier) {
            if change.config.get("gid").is_null() {
                change.set("gid", earlier.get("gid"));
            }
            change.note(format!(
                "the group {name} is there already; a delete leaves it"
            ));
        }
        let before = change.prior.or(change.earlier);
        if before.is_some_and(|before| before.get("gid") != change.planned.get("gid")) {
            change.note(format!(
                "files of the group {name} keep its number of before"
            ));
        }
        Ok(())
    }

    fn work(&self, job: &Job<'_>) -> Result<Work, Diagnostic> {
        let earlier = job.earlier.filter(|earlier| !earlier.is_null());
        let is_delete = job.verb == Verb::Delete;
        let of = if is_delete {
            job.prior()?
        } else {
            job.wanted()?
        };
        let (like, before) = match job.verb {
            Verb::Delete => (earlier, job.prior),
            Verb::Create => (Some(of), earlier),
            _ => (Some(of), job.prior),
        };
        let gid = |value: &dmp_sdk::Value| value.get("gid").as_i64().map(|gid| gid.to_string());
        let same = |like| before.is_some_and(|before| gid(before) == gid(like));
        if like.is_some_and(same) {
            return Ok(Work::Steps(Vec::new()));
        }
        let name = text(of, "name");
        let (title, script) = match like {
            None => (format!("remove the group {name}"), Script::new(REMOVE)),
            Some(_) if is_delete => (
                format!("give the group {name} its number of before"),
                Script::new(ENSURE).var("only_there", "yes"),
            ),
            Some(_) => (
                format!("make the group {name}"),
                Script::new(ENSURE).var("only_there", "no"),
            ),
        };
        let script = script
            .var("name", name)
            .var("gid", like.and_then(gid).unwrap_or_default())
            .var("system", if flag(of, "system") { "yes" } else { "no" });
        Ok(Work::Steps(vec![Step::new(
            title,
            &known_machine(of)?,
            script,
        )]))
    }
}

const ENSURE: &str = r#"
command -v groupadd >/dev/null 2>&1 || { echo "there is no groupadd: install the package passwd" >&2; exit 1; }
found=
while IFS=: read -r group _ number _; do
	[ "$group" != "$name" ] || found=$number
done </etc/group
if [ -n "$found" ]; then
	[ -z "$gid" ] || [ "$gid" = "$found" ] || groupmod -g "$gid" -- "$name"
elif [ "$only_there" = no ]; then
	set --
	[ -z "$gid" ] || set -- "$@" -g "$gid"
	[ "$system" = no ] || set -- "$@" -r
	groupadd "$@" -- "$name"
fi
"#;

const REMOVE: &str = r#"
grep -q "^$name:" /etc/group || exit 0
command -v groupdel >/dev/null 2>&1 || { echo "there is no groupdel: install the package passwd" >&2; exit 1; }
groupdel -- "$name"
"#;

#[cfg(test)]
mod tests {
    use dmp_sdk::{Purpose, Value};

    use super::*;
    use crate::on_host::tests::{a_machine, found, parse, plan, value};

    fn config(given: &[(&str, Value)]) -> Value {
        let base: [(&str, Value); 2] = [("host", a_machine().to_value()), ("name", "data".into())];
        value(HostGroup::new().schema(), &[given, &base].concat())
    }

    #[test]
    fn a_group_keeps_the_number_that_it_has_unless_another_is_wanted() {
        let group = HostGroup::new();
        let read = |config: &Value| {
            found(parse(&group, config, Purpose::Refresh, b"gid=1007\n").expect("parses"))
        };
        let there = read(&config(&[]));
        let planned = plan(&group, &config(&[]), Some(&there), None).expect("plans");
        assert_eq!(planned.value, there);
        let planned = plan(&group, &config(&[]), None, Some(&there)).expect("plans");
        assert_eq!(planned.value.get("gid"), 1007.into());
        let other = config(&[("gid", 2000.into())]);
        let planned = plan(&group, &other, Some(&there), None).expect("plans");
        assert_eq!(planned.value.get("gid"), 2000.into());
        assert!(
            planned.notes[0].contains("keep its number"),
            "{:?}",
            planned.notes
        );
    }

    #[test]
    fn names_and_numbers_that_no_tool_takes_are_refused() {
        for (name, value) in [("name", Value::from("-x")), ("gid", Value::from(-1))] {
            assert!(plan(&HostGroup::new(), &config(&[(name, value)]), None, None).is_err());
        }
    }
}
