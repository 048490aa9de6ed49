//! `host_firewall`: who may come in. One table of nftables that drops what nobody has allowed, loaded at once and at boot.
//!
//! The table is dmp's own; those of others (Docker, Kubernetes, fail2ban) stay as they are. What is forwarded and what goes
//! out is not filtered. Connections that exist are kept, and so is the port by which dmp comes in, unless a person says
//! otherwise: a mistake locks nobody out.

use dmp_sdk::{
    Answers, Attribute, Change, Claim, Diagnostic, Fetch, Job, Known, MarkWay, Object, Reading,
    Resource, Schema, Script, Step, Type, Value, Verb, Work,
};

use crate::on_host::{
    fetch, flag, host_attribute, import_of_machine, known_machine, machine, plan_host, unreadable,
    wrong,
};

mod rules;

/// The resource type.
pub(crate) struct HostFirewall {
    schema: Schema,
}

impl HostFirewall {
    pub(crate) fn new() -> Self {
        let empty = || Value::list(Vec::new());
        let schema = Schema::new(
            "host_firewall",
            "Who may come to a machine, by nftables: what is not allowed is dropped. It has a table of its own \
             (`inet dmp_firewall`), which is in force at once and from the beginning of each boot; other tables, what is \
             forwarded and what goes out are left alone. The machine needs the package `nftables` and systemd.",
        )
        .mark(MarkWay::NaturalKey(&["host"]))
        .on_delete("The table is taken away, with its file and its unit: dmp filters nothing any more.")
        .attribute("host", host_attribute())
        .attribute("allow", Attribute::default(rules::allow_type(), "Who is let in: to `ports` (`\"443\"`, `\"8000-8100\"`; none means all) of a `protocol` (`tcp`, `udp`; not given: `tcp`), `from` addresses or networks (none means everywhere), over `interfaces` (none means any); `name` is for those who read the table.", empty()).block())
        .attribute("keep_ssh", Attribute::default(Type::Bool, "Whether the port by which dmp comes in is open to everybody, whatever `allow` says. Without it one of `allow` has to have it.", true))
        .attribute("ssh_port", Attribute::optional(Type::Number, "The port that the machine's SSH server listens at, where something before it translates ports. Not given: the one that dmp connects to."))
        .attribute("ping", Attribute::default(Type::Bool, "Whether the machine answers pings.", true))
        .attribute("rules", Attribute::computed(Type::list(Type::String), "What is let in beside that, as nftables has it."))
        .attribute("loaded", Attribute::computed(Type::Bool, "Whether the kernel's table is the one of the file, and both are as wanted."));
        Self { schema }
    }
}

/// The port by which dmp comes in, once the machine is known.
fn way_in(attributes: &Value) -> Result<Option<u16>, Diagnostic> {
    let given = attributes.get("ssh_port");
    if given.is_null() {
        return Ok(machine(attributes)?.map(|on| on.port));
    }
    let port = given.as_i64().and_then(|port| u16::try_from(port).ok());
    match port.filter(|port| *port > 0) {
        Some(port) => Ok(Some(port)),
        None => Err(wrong(
            "ssh_port",
            "not a port",
            "a TCP port is a whole number from 1 to 65535",
        )),
    }
}

/// The port that has to stay open, if one has to.
fn kept_port(attributes: &Value) -> Result<Option<u16>, Diagnostic> {
    Ok(way_in(attributes)?.filter(|_| flag(attributes, "keep_ssh")))
}

fn wanted_file(attributes: &Value) -> Result<String, Diagnostic> {
    let rules = rules::rules(attributes)?;
    Ok(rules::file(
        &rules,
        kept_port(attributes)?,
        flag(attributes, "ping"),
    ))
}

impl Resource for HostFirewall {
    fn schema(&self) -> &Schema {
        &self.schema
    }

    fn fetches(&self, known: &Known<'_>) -> Result<Vec<Fetch>, Diagnostic> {
        fetch(known, &[], || Script::new(READ))
    }

    fn parse(&self, known: &Known<'_>, answers: Answers<'_>) -> Result<Reading, Diagnostic> {
        let output = answers.output(0)?;
        if !output.is_success() {
            return Err(unreadable("the firewall", output));
        }
        let text = output.text();
        let Some((state, file)) = text.split_once('\n') else {
            return Err(unreadable("the firewall", output));
        };
        if state == "absent" {
            return Ok(Reading::Absent);
        }
        let is_as_wanted =
            known.attributes.is_wholly_known() && wanted_file(known.attributes)? == file;
        let attributes = known
            .attributes
            .with("rules", rules::summary_of(file))
            .with("loaded", (state == "loaded" && is_as_wanted).into());
        Ok(Reading::Found(Object {
            attributes,
            id: None,
        }))
    }

    fn plan(&self, change: &mut Change<'_>) -> Result<(), Diagnostic> {
        plan_host(change);
        change.set("loaded", true.into());
        let inputs = ["allow", "host", "keep_ssh", "ssh_port", "ping"];
        if !inputs
            .iter()
            .all(|name| change.planned.get(name).is_wholly_known())
        {
            change.unknown("rules");
            return Ok(());
        }
        let rules = rules::rules(&change.planned)?;
        let kept = kept_port(&change.planned)?;
        let port = way_in(&change.planned)?;
        if let (None, Some(port)) = (kept, port)
            && !rules.iter().any(|rule| rule.opens(port))
        {
            return Err(wrong(
                "keep_ssh",
                "the firewall would lock dmp out",
                format!("dmp comes in by port {port}, which none of `allow` has"),
            )
            .help(format!(
                "add `allow {{ ports = [\"{port}\"] }}`, with `from` where you come from"
            )));
        }
        change.set("rules", rules::summary(&rules, kept));
        if change.prior.is_none() {
            change.note("what is not allowed is dropped from then on; connections that exist stay");
        }
        Ok(())
    }

    fn import(&self, id: &str, attributes: &Value) -> Result<Value, Diagnostic> {
        import_of_machine(id, attributes)
    }

    fn claims(&self, value: &Value) -> Vec<Claim> {
        let on = machine(value).ok().flatten();
        let paths = [FILE, UNIT];
        on.iter()
            .flat_map(|on| paths.map(|path| Claim::whole(on, path)))
            .collect()
    }

    fn work(&self, job: &Job<'_>) -> Result<Work, Diagnostic> {
        if job.verb == Verb::Delete {
            let on = known_machine(job.prior()?)?;
            let step = Step::new("take the firewall's table away", &on, Script::new(REMOVE));
            return Ok(Work::Steps(vec![step]));
        }
        let wanted = job.wanted()?;
        let on = known_machine(wanted)?;
        let file = wanted_file(wanted)?;
        let step = Step::new(
            "load the firewall",
            &on,
            Script::new(LOAD).stdin(file.into_bytes()),
        );
        Ok(Work::Steps(vec![step]))
    }
}

const FILE: &str = "/etc/dmp/firewall.nft";
const UNIT: &str = "/etc/systemd/system/dmp-firewall.service";

/// What the kernel has is compared with what it had when the file was loaded: it lists rules in another form than the one
/// they were written in.
const READ: &str = r#"
file=/etc/dmp/firewall.nft
if [ ! -e "$file" ]; then
	echo absent
	exit 0
fi
now=$(nft -s list table inet dmp_firewall 2>/dev/null | sha256sum)
then=
[ ! -r /etc/dmp/firewall.sum ] || read -r then </etc/dmp/firewall.sum
if [ "${now%% *}" = "$then" ] && [ -e /etc/systemd/system/sysinit.target.wants/dmp-firewall.service ]; then echo loaded; else echo other; fi
cat -- "$file"
"#;

const LOAD: &str = r#"
if ! command -v nft >/dev/null 2>&1; then
	echo "there is no nft: install the package nftables" >&2
	exit 1
fi
umask 022
mkdir -p /etc/dmp || exit 1
new=/etc/dmp/.firewall.nft
cat >"$new" || exit 1
if ! nft -c -f "$new"; then
	rm -f -- "$new"
	echo "the kernel refuses these rules; those of before stay in force" >&2
	exit 1
fi
cat >/etc/systemd/system/.dmp-firewall.new <<'UNIT' || exit 1
# Managed by dmp.
[Unit]
Description=Who may come in
Wants=network-pre.target
Before=network-pre.target shutdown.target
After=nftables.service
Conflicts=shutdown.target
DefaultDependencies=no

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/usr/sbin/nft -f /etc/dmp/firewall.nft
ExecReload=/usr/sbin/nft -f /etc/dmp/firewall.nft
ExecStop=/usr/sbin/nft delete table inet dmp_firewall

[Install]
WantedBy=sysinit.target
UNIT
mv -f -- /etc/systemd/system/.dmp-firewall.new /etc/systemd/system/dmp-firewall.service || exit 1
mv -f -- "$new" /etc/dmp/firewall.nft || exit 1
systemctl daemon-reload && systemctl -q enable dmp-firewall.service || exit 1
nft -f /etc/dmp/firewall.nft || exit 1
# The table is there already; so that the unit counts as started, and its end takes the table away.
systemctl start dmp-firewall.service || exit 1
sum=$(nft -s list table inet dmp_firewall | sha256sum) || exit 1
echo "${sum%% *}" >/etc/dmp/firewall.sum
"#;

const REMOVE: &str = r#"
if [ -e /etc/systemd/system/dmp-firewall.service ]; then
	systemctl -q disable --now dmp-firewall.service || exit 1
	rm -f -- /etc/systemd/system/dmp-firewall.service || exit 1
	systemctl daemon-reload || exit 1
fi
if nft list table inet dmp_firewall >/dev/null 2>&1; then nft delete table inet dmp_firewall || exit 1; fi
rm -f -- /etc/dmp/firewall.nft /etc/dmp/firewall.sum || exit 1
rmdir /etc/dmp 2>/dev/null || :
"#;

#[cfg(test)]
mod tests {
    use dmp_sdk::Purpose;

    use super::*;
    use crate::on_host::list_value;
    use crate::on_host::tests::{a_machine, found, parse, plan, value};

    fn config(given: &[(&str, Value)]) -> Value {
        let host = [("host", a_machine().to_value())];
        value(HostFirewall::new().schema(), &[given, &host].concat())
    }

    fn allow(ports: &str) -> Value {
        let ports = list_value(vec![ports.to_owned()]);
        Value::list(vec![Value::object_of([("ports", ports)])])
    }

    #[test]
    fn the_way_in_stays_open_and_who_closes_it_has_to_open_another() {
        let firewall = HostFirewall::new();
        let planned = plan(&firewall, &config(&[]), None, None).expect("plans");
        let way_in = list_value(vec!["tcp 22 from everywhere".into()]);
        assert_eq!(planned.value.get("rules"), way_in);
        let closed = [("keep_ssh", false.into()), ("allow", allow("443"))];
        let refused = plan(&firewall, &config(&closed), None, None)
            .err()
            .expect("is refused");
        assert!(
            refused.to_string().contains("dmp comes in by port 22"),
            "{refused}"
        );
        let open = [("keep_ssh", false.into()), ("allow", allow("20-30"))];
        plan(&firewall, &config(&open), None, None).expect("is let in");
    }

    #[test]
    fn one_that_is_there_is_imported_by_the_address_of_the_machine() {
        let firewall = HostFirewall::new();
        assert!(firewall.import("10.0.0.1", &config(&[])).is_ok());
        let refused = firewall.import("10.0.0.2", &config(&[])).err();
        let refused = refused.expect("is another machine").to_string();
        assert!(refused.contains("`10.0.0.1`"), "{refused}");
    }

    #[test]
    fn a_table_that_somebody_emptied_or_edited_is_loaded_anew() {
        let firewall = HostFirewall::new();
        let wanted = plan(&firewall, &config(&[]), None, None)
            .expect("plans")
            .value;
        let file = wanted_file(&wanted).expect("is known");
        let read = |state: &str, file: &str| {
            let stdout = format!("{state}\n{file}");
            found(parse(&firewall, &wanted, Purpose::Refresh, stdout.as_bytes()).expect("parses"))
        };
        assert_eq!(read("loaded", &file), wanted);
        assert_eq!(read("other", &file).get("loaded"), false.into());
        let edited = read("loaded", &file.replace("22", "23"));
        assert_eq!(edited.get("loaded"), false.into());
        let way_in = list_value(vec!["tcp 23 from everywhere".into()]);
        assert_eq!(
            edited.get("rules"),
            way_in,
            "the plan shows what stood there"
        );
    }
}
