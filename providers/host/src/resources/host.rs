//! `host`: a machine reached over SSH, as a handle for everything on it.
//!
//! It makes nothing and ends nothing. It is read before it is created, so that its connection (with the host key to
//! pin) and its facts are known in the plan, and all that stands on the machine can be read in the same plan.

use dmp_sdk::{
    Answers, Attribute, AttributePath, Change, Diagnostic, Fetch, Job, Known, Layer, Machine,
    MarkWay, Object, Quantifier, Reading, Resource, Schema, Type, Value, Work,
};

use crate::facts::machine;
use crate::on_host::{flag, optional_text, text, unreadable};

/// The resource type.
pub(crate) struct Host {
    schema: Schema,
}

impl Host {
    pub(crate) fn new() -> Self {
        let os = Type::object_of_optional([
            ("id", Type::String),
            ("version_id", Type::String),
            ("codename", Type::String),
        ]);
        let schema = Schema::new(
            "host",
            "A machine reached over SSH, whoever made it. Other resources take its `connection`. Logins are by key \
             only; the key that the machine shows at the first contact is pinned, and another one stops everything.",
        )
        .layer(Layer::Machine)
        .mark(MarkWay::NaturalKey(&["address", "port", "user"]))
        .on_delete("Nothing happens to the machine; dmp forgets its connection.")
        .attribute(
            "address",
            Attribute::required(Type::String, "Host name or IP address.")
                .hosting(Quantifier::All)
                .replaces()
                .unique(),
        )
        .attribute("port", Attribute::default(Type::Number, "TCP port of the SSH server.", 22).unique())
        .attribute("user", Attribute::default(Type::String, "User to log in as.", "root").unique())
        .attribute("key_file", Attribute::optional(Type::String, "Path of the private key here, without a passphrase; `~/` is your home. Without it and `private_key` the SSH agent is asked."))
        .attribute("private_key", Attribute::optional(Type::String, "The private key itself, in OpenSSH's form.").sensitive())
        .attribute("host_key", Attribute::optional_computed(Type::String, "The host key to accept, as `ssh-ed25519 AAAA…`. Without it the one of the first contact is pinned; the plan shows its fingerprint."))
        .attribute("sudo", Attribute::optional_computed(Type::Bool, "Whether commands run as root by `sudo -n`. By default when the user is not root."))
        .attribute("bastion", Attribute::optional(Machine::value_type(), "The machine to go through: the `connection` of another `host`."))
        .attribute("connection", Attribute::computed(Machine::value_type(), "How the machine is reached, with its pinned host key: what other resources take as `host`."))
        .attribute("hostname", Attribute::computed(Type::String, "The machine's own name."))
        .attribute("os", Attribute::computed(os, "The operating system: `id` (`debian`), `version_id` (`12`), `codename` (`bookworm`)."))
        .attribute("kernel", Attribute::computed(Type::String, "The kernel's release."))
        .attribute("architecture", Attribute::computed(Type::String, "The hardware's name, such as `x86_64`."))
        .attribute("cores", Attribute::computed(Type::Number, "Processors."))
        .attribute("memory_mib", Attribute::computed(Type::Number, "Memory in MiB, as the kernel counts it."));
        Self { schema }
    }
}

/// The connection that the arguments describe; `None` while a part is unknown.
fn connection(attributes: &Value) -> Result<Option<Machine>, Diagnostic> {
    let arguments = [
        "address",
        "port",
        "user",
        "key_file",
        "private_key",
        "sudo",
        "bastion",
    ];
    if arguments
        .iter()
        .any(|name| !attributes.get(name).is_wholly_known())
    {
        return Ok(None);
    }
    let mut bastions = Vec::new();
    let bastion = attributes.get("bastion");
    if !bastion.is_null() {
        let mut hop = Machine::from_value(&bastion).map_err(|error| {
            Diagnostic::error("not-a-connection", "not a connection")
                .detail(error.to_string())
                .path(AttributePath::of("bastion"))
        })?;
        bastions = std::mem::take(&mut hop.bastions);
        bastions.push(hop);
    }
    let port = attributes.get("port").as_i64();
    let port = port
        .and_then(|port| u16::try_from(port).ok())
        .filter(|port| *port > 0);
    let port = port.ok_or_else(|| {
        Diagnostic::error("wrong-argument", "not a port")
            .detail("a TCP port is a whole number from 1 to 65535")
            .path(AttributePath::of("port"))
    })?;
    let user = text(attributes, "user");
    let sudo = attributes.get("sudo").as_bool().unwrap_or(user != "root");
    Ok(Some(Machine {
        address: text(attributes, "address"),
        port,
        user,
        key_file: optional_text(attributes, "key_file"),
        private_key: optional_text(attributes, "private_key"),
        host_keys: optional_text(attributes, "host_key").into_iter().collect(),
        sudo,
        bastions,
    }))
}

/// The connection's value; null while it is not known.
fn connection_value(attributes: &Value) -> Result<Option<Value>, Diagnostic> {
    let private_key = attributes.get("private_key");
    Ok(connection(attributes)?.map(|machine| {
        let value = machine.to_value();
        match machine.private_key {
            // A key that is ephemeral stays so.
            Some(_) => value.with("private_key", private_key),
            None => value,
        }
    }))
}

impl Resource for Host {
    fn schema(&self) -> &Schema {
        &self.schema
    }

    fn fetches(&self, known: &Known<'_>) -> Result<Vec<Fetch>, Diagnostic> {
        Ok(connection(known.attributes)?
            .map(|on| Fetch::Script {
                on,
                script: machine::script(),
            })
            .into_iter()
            .collect())
    }

    fn parse(&self, known: &Known<'_>, answers: Answers<'_>) -> Result<Reading, Diagnostic> {
        let output = answers.output(0)?;
        if !output.is_success() {
            return Err(unreadable("a machine's facts", output));
        }
        let facts = machine::parse(&output.text());
        let os = Value::object_of([
            ("id", facts.os_id.into()),
            ("version_id", facts.os_version.into()),
            ("codename", facts.os_codename.into()),
        ]);
        let mut attributes = known
            .attributes
            .with("hostname", facts.hostname.into())
            .with("kernel", facts.kernel.into())
            .with("architecture", facts.architecture.into())
            .with("cores", facts.cores.into())
            .with("memory_mib", facts.memory_mib.into())
            .with("os", os);
        let pinned = attributes.get("host_key");
        if (pinned.is_null() || !pinned.is_known())
            && let Some(seen) = answers.host_key(0)
        {
            attributes = attributes.with("host_key", seen.into());
        }
        let sudo = attributes.get("sudo");
        if sudo.is_null() || !sudo.is_known() {
            attributes = attributes.with("sudo", (text(&attributes, "user") != "root").into());
        }
        let machine = connection_value(&attributes)?.unwrap_or_else(Value::null);
        let id = format!(
            "{}@{}",
            text(&attributes, "user"),
            text(&attributes, "address")
        );
        Ok(Reading::Found(Object {
            attributes: attributes.with("connection", machine),
            id: Some(id),
        }))
    }

    fn plan(&self, change: &mut Change<'_>) -> Result<(), Diagnostic> {
        if change.config.get("sudo").is_null() && change.planned.get("user").is_known() {
            let sudo = text(&change.planned, "user") != "root";
            change.set("sudo", sudo.into());
        }
        if change.prior.is_none()
            && let Some(found) = change.earlier
        {
            let computed = [
                "hostname",
                "os",
                "kernel",
                "architecture",
                "cores",
                "memory_mib",
            ];
            for name in computed {
                change.set(name, found.get(name));
            }
            if change.config.get("host_key").is_null() {
                let key = found.get("host_key");
                if let Some(fingerprint) = key.as_str().and_then(dmp_transport::fingerprint) {
                    let address = text(&change.planned, "address");
                    change.note(format!(
                        "the host key of {address} will be pinned: {fingerprint}"
                    ));
                }
                change.set("host_key", key);
            }
        }
        let machine = if change.planned.get("host_key").is_known() {
            connection_value(&change.planned)?
        } else {
            connection(&change.planned)?;
            None
        };
        match machine {
            Some(machine) => change.set("connection", machine),
            None => change.unknown("connection"),
        }
        if flag(&change.planned, "sudo") && text(&change.planned, "user") == "root" {
            change.note("`sudo` has no effect: the user is root");
        }
        Ok(())
    }

    fn work(&self, _job: &Job<'_>) -> Result<Work, Diagnostic> {
        Ok(Work::Steps(Vec::new()))
    }
}

#[cfg(test)]
mod tests {
    use dmp_sdk::Purpose;

    use super::*;
    use crate::on_host::tests::{found, parse, plan, value};

    const FACTS: &[u8] =
        b"hostname=cp1\nkernel=6.1\narchitecture=x86_64\ncores=2\nmemory_kib=2048000\n---\nID=debian\nVERSION_ID=12\n";
    const KEY: &str =
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJJ4w4Wc7Q0Zt6Qm7xk6uYt0m0b1m2n3o4p5q6r7s8t9";

    #[test]
    fn what_the_first_contact_shows_is_known_in_the_plan_with_its_fingerprint() {
        let host = Host::new();
        let config = value(
            host.schema(),
            &[("address", "cp1".into()), ("user", "debian".into())],
        );
        let reading = parse(&host, &config, Purpose::BeforeCreate, FACTS).expect("parses");
        let earlier = found(reading).with("host_key", KEY.into());
        let planned = plan(&host, &config, None, Some(&earlier)).expect("plans");
        assert!(planned.value.is_wholly_known());
        let machine = Machine::from_value(&planned.value.get("connection")).expect("a connection");
        assert_eq!(
            (machine.host_keys, machine.sudo),
            (vec![KEY.to_owned()], true)
        );
        assert_eq!(planned.value.get("os").get("version_id"), "12".into());
        assert!(
            planned.notes[0].contains("will be pinned: SHA256:"),
            "{:?}",
            planned.notes
        );
    }

    #[test]
    fn a_second_plan_changes_nothing_and_another_user_changes_the_connection_only() {
        let host = Host::new();
        let config = value(host.schema(), &[("address", "cp1".into())]);
        let prior = found(parse(&host, &config, Purpose::Refresh, FACTS).expect("parses"));
        let planned = plan(&host, &config, Some(&prior), None).expect("plans");
        assert_eq!(planned.value, prior);
        let config = config.with("user", "admin".into());
        let planned = plan(&host, &config, Some(&prior), None).expect("plans");
        let machine = Machine::from_value(&planned.value.get("connection")).expect("a connection");
        assert_eq!((machine.user.as_str(), machine.sudo), ("admin", true));
        assert_eq!(machine.host_keys, ["ssh-ed25519 AAAA"]);
        assert!(planned.replacements.is_empty());
    }

    #[test]
    fn an_address_that_is_not_known_yet_makes_the_connection_unknown() {
        let host = Host::new();
        let config = value(host.schema(), &[("address", Value::unknown(Type::String))]);
        let planned = plan(&host, &config, None, None).expect("plans");
        assert!(!planned.value.get("connection").is_known());
    }

    #[test]
    fn bastions_are_chained_in_the_order_in_which_they_are_gone_through() {
        let host = Host::new();
        let hop = |address: &str, bastions| Machine {
            address: address.into(),
            bastions,
            ..crate::on_host::tests::a_machine()
        };
        let bastion = hop("inner", vec![hop("outer", Vec::new())]).to_value();
        let config = value(
            host.schema(),
            &[("address", "cp1".into()), ("bastion", bastion)],
        );
        let machine = connection(&config).expect("fits").expect("known");
        let names: Vec<_> = machine
            .bastions
            .iter()
            .map(|hop| hop.address.as_str())
            .collect();
        assert_eq!(names, ["outer", "inner"]);
    }
}
