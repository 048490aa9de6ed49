//! `host_hostname`: a machine's own name, now and at the next boot, and its line in `/etc/hosts`.
//!
//! A machine has just one, so the machine is the identity. It is set by `hostnamectl` where systemd runs, else by hand.

use dmp_sdk::{
    Answers, Attribute, Change, Claim, Diagnostic, Fetch, Job, Known, MarkWay, Object, Reading,
    Resource, Schema, Script, Step, Type, Value, Verb, Work,
};

use crate::edited::with_edit;
use crate::facts::hostname;
use crate::kept::keeping;
use crate::on_host::{
    fetch, flag, host_attribute, known_machine, lines_in, optional_text, plan_host, text,
    unreadable, whole_files, wrong,
};

/// The resource type.
pub(crate) struct HostHostname {
    schema: Schema,
}

impl HostHostname {
    pub(crate) fn new() -> Self {
        let schema = Schema::new("host_hostname", "A machine's own name. Programs that are running may still have the old one.")
            .mark(MarkWay::NaturalKey(&["host"]))
            .on_delete("The name, `/etc/hostname` and the line in `/etc/hosts` are what they were before dmp.")
            .attribute("host", host_attribute())
            .attribute("name", Attribute::required(Type::String, "The name, without a domain: `node1`."))
            .attribute("fqdn", Attribute::optional(Type::String, "The name with its domain, which stands in front of it in `/etc/hosts`: `node1.example.org`."))
            .attribute("hosts", Attribute::default(Type::Bool, "Whether `/etc/hosts` gives the name the address 127.0.1.1, as Debian's installer does it.", true))
            .attribute("fixed_name", Attribute::computed(Type::String, "The name in `/etc/hostname`, for the next boot."))
            .attribute("hosts_line", Attribute::computed(Type::String, "The line for 127.0.1.1 in `/etc/hosts`."));
        Self { schema }
    }
}

/// The line of `/etc/hosts`; unknown while a part is.
fn line(of: &Value) -> Value {
    let (name, fqdn) = (of.get("name"), of.get("fqdn"));
    if !name.is_known() || !fqdn.is_known() {
        return Value::unknown(Type::String);
    }
    let words = ["127.0.1.1", &text(of, "fqdn"), &text(of, "name")];
    let words: Vec<&str> = words.into_iter().filter(|word| !word.is_empty()).collect();
    words.join(" ").into()
}

/// Whether each part of a name is one that a host may have.
fn is_name(name: &str) -> bool {
    let is_label = |label: &str| {
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
        (1..=63).contains(&label.len())
            && label.bytes().all(fits)
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    name.len() <= 253 && name.split('.').all(is_label)
}

impl Resource for HostHostname {
    fn schema(&self) -> &Schema {
        &self.schema
    }

    fn fetches(&self, known: &Known<'_>) -> Result<Vec<Fetch>, Diagnostic> {
        fetch(known, &[], hostname::script)
    }

    fn parse(&self, known: &Known<'_>, answers: Answers<'_>) -> Result<Reading, Diagnostic> {
        let output = answers.output(0)?;
        if !output.is_success() {
            return Err(unreadable("a machine's name", output));
        }
        let found = hostname::parse(&output.text());
        Ok(Reading::Found(Object {
            attributes: known
                .attributes
                .with("name", found.running.into())
                .with("fixed_name", found.fixed.into())
                .with("hosts_line", found.hosts.into()),
            id: None,
        }))
    }

    fn plan(&self, change: &mut Change<'_>) -> Result<(), Diagnostic> {
        plan_host(change);
        for name in ["name", "fqdn"] {
            if change
                .config
                .get(name)
                .as_str()
                .is_some_and(|given| !is_name(given))
            {
                return Err(wrong(
                    name,
                    "not a host's name",
                    "letters, digits and `-` between dots, 63 of them at most",
                ));
            }
        }
        let name = change.planned.get("name");
        if name.is_known() {
            change.set("fixed_name", name);
        } else {
            change.unknown("fixed_name");
        }
        let there = change
            .prior
            .or(change.earlier)
            .map(|before| before.get("hosts_line"));
        let wanted = line(&change.planned);
        // However it is spaced, it is the same line.
        let is_same = there
            .as_ref()
            .and_then(Value::as_str)
            .is_some_and(|there| wanted.as_str() == Some(hostname::normal(there).as_str()));
        match there {
            Some(there) if is_same || !flag(&change.planned, "hosts") => {
                change.set("hosts_line", there);
            }
            _ if flag(&change.planned, "hosts") => change.set("hosts_line", wanted),
            _ => {}
        }
        if let (None, Some(earlier)) = (change.prior, change.earlier) {
            let (old, new) = (text(earlier, "name"), text(&change.planned, "name"));
            if old != new {
                change.note(format!(
                    "the machine is called {old} now; a delete gives that name back"
                ));
            }
        }
        Ok(())
    }

    fn import(&self, _id: &str, attributes: &Value) -> Result<Value, Diagnostic> {
        Ok(attributes.clone())
    }

    fn claims(&self, value: &Value) -> Vec<Claim> {
        let mut claims = whole_files(value, "name", |_| vec!["/etc/hostname".to_owned()]);
        claims.extend(lines_in(value, "/etc/hosts"));
        claims
    }

    fn work(&self, job: &Job<'_>) -> Result<Work, Diagnostic> {
        let earlier = job.earlier.filter(|earlier| !earlier.is_null());
        let is_delete = job.verb == Verb::Delete;
        let (of, like, before) = match job.verb {
            Verb::Delete => (job.prior()?, earlier, job.prior),
            Verb::Create => (job.wanted()?, job.wanted, earlier),
            _ => (job.wanted()?, job.wanted, job.prior),
        };
        let Some(like) = like else {
            // Nobody knows what it was.
            return Ok(Work::Steps(Vec::new()));
        };
        let differs = |name: &&str| before.is_none_or(|before| before.get(name) != like.get(name));
        if !is_delete && !["name", "fixed_name", "hosts_line"].iter().any(differs) {
            return Ok(Work::Steps(Vec::new()));
        }
        let name = text(like, "name");
        let yes = |is_set: bool| if is_set { "yes" } else { "no" };
        let run = Script::new(SET)
            .var("name", name.clone())
            .var("delete", yes(is_delete))
            .var("keep", yes(job.verb == Verb::Create))
            .var("edit", yes(differs(&"hosts_line")))
            .var(
                "line",
                optional_text(like, "hosts_line").unwrap_or_default(),
            )
            .var("path", "/etc/hosts")
            .var("create", yes(true))
            .var("validate", "");
        let title = match is_delete {
            true => format!("give back the name {name}"),
            false => format!("call the machine {name}"),
        };
        Ok(Work::Steps(vec![Step::new(
            title,
            &known_machine(of)?,
            keeping(run, job.mark),
        )]))
    }
}

// The address is there before the name: who looks the name up always finds it.
const SET: &str = with_edit!(
    r#"
if [ "$keep" = yes ]; then dmp_keep hostname /etc/hostname; fi
if [ "$edit" = yes ]; then
	dmp_open
	dmp_find '^127\.0\.1\.1[[:space:]]'
	at=$count to=$((count + 1))
	if [ -n "$last" ]; then
		at=$((last - 1)) to=$((last + 1))
	else
		dmp_find '^127\.0\.0\.1[[:space:]]'
		if [ -n "$last" ]; then at=$last to=$((last + 1)); fi
	fi
	{
		dmp_part 1 "$at"
		if [ -n "$line" ]; then printf '%s\n' "$line"; fi
		dmp_part "$to" "$count"
	} >"$new" || exit 1
	dmp_close
fi
if ! { [ -d /run/systemd/system ] && hostnamectl set-hostname -- "$name" 2>/dev/null; }; then
	printf '%s\n' "$name" >/etc/hostname.dmp-new && chmod 0644 /etc/hostname.dmp-new &&
		mv -f /etc/hostname.dmp-new /etc/hostname || exit 1
fi
if [ "$(uname -n)" != "$name" ]; then hostname -- "$name" || exit 1; fi
if [ "$delete" = yes ]; then
	if [ -e "$kept/hostname" ] || [ -e "$kept/hostname.none" ]; then dmp_put_back hostname /etc/hostname; fi
	dmp_done
fi
"#
);

#[cfg(test)]
mod tests {
    use dmp_sdk::Purpose;

    use super::*;
    use crate::on_host::tests::{a_machine, found, parse, plan, value};

    fn config(given: &[(&str, Value)]) -> Value {
        let base: [(&str, Value); 2] = [("host", a_machine().to_value()), ("name", "node1".into())];
        value(HostHostname::new().schema(), &[given, &base].concat())
    }

    fn read(config: &Value, stdout: &str) -> Value {
        let hostname = HostHostname::new();
        found(parse(&hostname, config, Purpose::Refresh, stdout.as_bytes()).expect("parses"))
    }

    #[test]
    fn the_name_now_the_one_at_boot_and_the_address_are_all_compared() {
        let config = config(&[("fqdn", "node1.example.org".into())]);
        let planned = |prior: &Value| {
            let planned = plan(&HostHostname::new(), &config, Some(prior), None);
            planned.expect("plans").value
        };
        let hosts = "hosts=127.0.1.1\tnode1.example.org node1\n";
        let whole = read(&config, &format!("running=node1\nstatic=node1\n{hosts}"));
        assert_eq!(planned(&whole), whole);
        for drifted in [
            format!("running=other\nstatic=node1\n{hosts}"),
            format!("running=node1\n{hosts}"),
            "running=node1\nstatic=node1\n".into(),
        ] {
            let drifted = read(&config, &drifted);
            assert_ne!(planned(&drifted), drifted);
        }
    }

    #[test]
    fn a_line_that_is_not_dmps_stays_what_it_is() {
        let config = config(&[("hosts", false.into())]);
        let whole = read(&config, "running=node1\nstatic=node1\nhosts=127.0.1.1 x\n");
        let planned = plan(&HostHostname::new(), &config, Some(&whole), None).expect("plans");
        assert_eq!(planned.value, whole);
    }

    #[test]
    fn names_that_no_host_may_have_are_refused() {
        for name in ["", "-a", "a_b", "a b", "a..b"] {
            let config = config(&[("name", name.into())]);
            assert!(
                plan(&HostHostname::new(), &config, None, None).is_err(),
                "{name}"
            );
        }
    }
}
