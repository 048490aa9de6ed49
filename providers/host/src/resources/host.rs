//! `host`: a machine reached over SSH, as a handle for everything on it.
//!
//! It makes nothing and ends nothing. It is read before it is created, so that its connection (with the host key to
//! pin) and its facts are known in the plan, and all that stands on the machine can be read in the same plan.
//!
//! What the SSH configuration of whoever runs dmp says of the address is a fact like others: it is asked for (`way`),
//! recorded, and the plan makes the connection of it and of the arguments, which win. So another configuration shows
//! as an update. How one logs in is not recorded: the transport looks that up for each connection.

use dmp_sdk::{
    Answers, Attribute, AttributePath, Change, Diagnostic, Fetch, Job, Known, Layer, Machine,
    MarkWay, Object, Purpose, Quantifier, Reading, Resource, Schema, Type, Value, Work,
};

use crate::facts::machine;
use crate::on_host::{flag, optional_text, text, texts, unreadable, wrong};
use crate::way;

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
        let bastion = Type::object_of_optional([
            ("alias", Type::String),
            ("address", Type::String),
            ("user", Type::String),
            ("port", Type::Number),
        ]);
        let ssh_config = Type::object_of_optional([
            ("address", Type::String),
            ("user", Type::String),
            ("port", Type::Number),
            ("bastions", Type::list(bastion)),
            ("proxy_command", Type::String),
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
            Attribute::required(
                Type::String,
                "Host name or IP address, or what your SSH configuration calls the machine.",
            )
                .hosting(Quantifier::All)
                .replaces()
                .unique(),
        )
        .attribute("port", Attribute::optional_computed(Type::Number, "TCP port of the SSH server. By default what your SSH configuration says of the address, else 22.").unique())
        .attribute("user", Attribute::optional_computed(Type::String, "User to log in as. By default what your SSH configuration says of the address, else `root`.").unique())
        .attribute("key_file", Attribute::optional(Type::String, "Path of the private key here, without a passphrase; `~/` is your home. Without it and `private_key` the keys that your SSH configuration names are tried, then the SSH agent, then `~/.ssh/id_*`."))
        .attribute("private_key", Attribute::optional(Type::String, "The private key itself, in OpenSSH's form.").sensitive())
        .attribute("host_key", Attribute::optional_computed(Type::String, "The host key to accept, as `ssh-ed25519 AAAA…`. Without it the one of the first contact is pinned; the plan shows its fingerprint."))
        .attribute("host_ca", Attribute::optional(Type::list(Type::String), "Keys of authorities, as `ssh-ed25519 AAAA…`. With them the machine shows a certificate for its name (`address`, or `HostKeyAlias` of your SSH configuration) instead of a key that is pinned."))
        .attribute("sudo", Attribute::optional_computed(Type::Bool, "Whether commands run by `sudo`. By default when the user is not the one that they run as."))
        .attribute("sudo_password", Attribute::optional(Type::String, "The password of the user, where sudo asks for it. It goes over standard input, once.").sensitive())
        .attribute("run_as", Attribute::optional(Type::String, "As whom commands run by sudo. By default as root."))
        .attribute("boot_seconds", Attribute::optional(Type::Number, "How long a machine that does not answer is waited for while it boots, and its cloud-init beside that, in whole seconds. By default 300."))
        .attribute("bastion", Attribute::optional(Machine::value_type(), "The machine to go through: the `connection` of another `host`. Wins over `ProxyJump` of your SSH configuration."))
        .attribute("ssh_config", Attribute::computed(ssh_config, "What the SSH configuration of whoever planned last says of the address, where it says anything: `address` (`HostName`), `user`, `port`, `bastions` (`ProxyJump`), and the line of a `proxy_command`, which dmp does not carry out."))
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

/// Whether the record says where the machine is. If not, the SSH configuration is asked first.
fn is_recorded(known: &Known<'_>) -> bool {
    let is_new = matches!(known.purpose, Purpose::BeforeCreate | Purpose::Import);
    !is_new
        && ["port", "user"]
            .into_iter()
            .all(|name| !known.attributes.get(name).is_null())
}

/// The arguments, with what they leave open filled in from the SSH configuration.
fn settle(attributes: &Value, ssh_config: Value) -> Value {
    let mut settled = attributes.clone();
    for (name, default) in [("port", Value::from(22)), ("user", Value::from("root"))] {
        let configured = ssh_config.get(name);
        if attributes.get(name).is_null() {
            let value = if configured.is_null() {
                default
            } else {
                configured
            };
            settled = settled.with(name, value);
        }
    }
    settled.with("ssh_config", ssh_config)
}

/// The machines that the SSH configuration has one go through.
fn configured_bastions(ssh_config: &Value) -> Vec<Machine> {
    let bastions = ssh_config.get("bastions");
    let hops = bastions.as_items().into_iter().flatten();
    hops.map(|hop| {
        let (alias, address) = (text(hop, "alias"), text(hop, "address"));
        let port = hop.get("port").as_i64();
        Machine {
            port: port.and_then(|port| u16::try_from(port).ok()).unwrap_or(22),
            user: text(hop, "user"),
            alias: (alias != address).then_some(alias),
            address,
            ..Machine::default()
        }
    })
    .collect()
}

/// Says where the SSH configuration leads to, where that is not plain from the arguments.
fn tell_way(change: &mut Change<'_>) -> Result<(), Diagnostic> {
    let ssh_config = change.planned.get("ssh_config");
    if ssh_config.is_null() || !ssh_config.is_known() {
        return Ok(());
    }
    if let Some(machine) = connection(&change.planned)? {
        let plain = Machine {
            sudo: false,
            ..machine
        };
        let address = text(&change.planned, "address");
        change.note(format!(
            "by your SSH configuration `{address}` is {}",
            plain.key()
        ));
    }
    Ok(())
}

/// Has another way tried before it is recorded: what is on the machine is read by what is recorded.
fn try_new_way(change: &mut Change<'_>, connection: Option<&Value>) {
    let before = change.prior.map(|prior| prior.get("connection"));
    let [before, now] = [before.as_ref(), connection]
        .map(|value| value.and_then(|value| Machine::from_value(value).ok()));
    if let (Some(before), Some(now)) = (before, now)
        && before.key() != now.key()
    {
        change.dry_run();
    }
}

/// Refuses secrets that are in no record: the next plan could not read the machine, nor what is on it.
fn refuse_ephemeral(planned: &Value) -> Result<(), Diagnostic> {
    for name in ["private_key", "sudo_password"] {
        if planned.get(name).deep_marks().is_ephemeral() {
            return Err(Diagnostic::error("ephemeral", "a secret of a connection has to be recorded")
                .detail(format!(
                    "`{name}` is ephemeral, and without it the next plan can't read what is on the machine"
                ))
                .help("leave `ephemeral = true` out: what is sensitive is sealed in the state")
                .path(AttributePath::of(name)));
        }
    }
    Ok(())
}

/// Refuses a machine that can't be reached without a command.
fn refuse_command(attributes: &Value) -> Result<(), Diagnostic> {
    let place = attributes.get("ssh_config").get("proxy_command");
    let Some(place) = place
        .as_str()
        .filter(|_| attributes.get("bastion").is_null())
    else {
        return Ok(());
    };
    Err(Diagnostic::error("proxy-command", "the way to the machine is a command")
        .detail(format!(
            "your SSH configuration reaches `{}` by the `ProxyCommand` at {place}, and dmp runs no such command",
            text(attributes, "address")
        ))
        .help("set `bastion`, or let the configuration say `ProxyJump` instead")
        .path(AttributePath::of("address")))
}

/// The connection that the arguments describe; `None` while a part is unknown.
fn connection(attributes: &Value) -> Result<Option<Machine>, Diagnostic> {
    let arguments = [
        "address",
        "port",
        "user",
        "key_file",
        "private_key",
        "host_ca",
        "sudo",
        "sudo_password",
        "run_as",
        "boot_seconds",
        "bastion",
        "ssh_config",
    ];
    if arguments
        .iter()
        .any(|name| !attributes.get(name).is_wholly_known())
    {
        return Ok(None);
    }
    let ssh_config = attributes.get("ssh_config");
    let mut bastions = configured_bastions(&ssh_config);
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
    let port = attributes.get("port");
    let port = if port.is_null() {
        Some(22)
    } else {
        port.as_i64()
    };
    let port = port
        .and_then(|port| u16::try_from(port).ok())
        .filter(|port| *port > 0);
    let port = port.ok_or_else(|| {
        Diagnostic::error("wrong-argument", "not a port")
            .detail("a TCP port is a whole number from 1 to 65535")
            .path(AttributePath::of("port"))
    })?;
    let user = optional_text(attributes, "user").unwrap_or_else(|| "root".into());
    let alias = text(attributes, "address");
    let address = optional_text(&ssh_config, "address").unwrap_or_else(|| alias.clone());
    let run_as = optional_text(attributes, "run_as");
    if let Some(name) = run_as.as_deref().filter(|name| !is_user_name(name)) {
        return Err(wrong(
            "run_as",
            "not a user",
            format!("`{name}` is no name of a user"),
        ));
    }
    let sudo = attributes.get("sudo").as_bool();
    let sudo = sudo.unwrap_or_else(|| becomes_by_default(attributes));
    Ok(Some(Machine {
        alias: (alias != address).then_some(alias),
        address,
        port,
        user,
        key_file: optional_text(attributes, "key_file"),
        private_key: optional_text(attributes, "private_key"),
        host_keys: optional_text(attributes, "host_key").into_iter().collect(),
        host_ca: texts(attributes, "host_ca"),
        sudo,
        sudo_password: optional_text(attributes, "sudo_password"),
        run_as: run_as.filter(|name| name != "root"),
        boot_seconds: boot_seconds(attributes)?,
        bastions,
    }))
}

/// How long the machine may take to boot, where something is said of it.
fn boot_seconds(attributes: &Value) -> Result<Option<u32>, Diagnostic> {
    let seconds = attributes.get("boot_seconds");
    if seconds.is_null() {
        return Ok(None);
    }
    let seconds = seconds.as_i64().and_then(|it| u32::try_from(it).ok());
    match seconds.filter(|seconds| (1..=86_400).contains(seconds)) {
        Some(seconds) => Ok(Some(seconds)),
        None => Err(wrong(
            "boot_seconds",
            "not a time",
            "a number of whole seconds from 1 to 86400",
        )),
    }
}

/// Whether commands have to run by sudo where nothing is said of it.
fn becomes_by_default(attributes: &Value) -> bool {
    let target = optional_text(attributes, "run_as").unwrap_or_else(|| "root".into());
    optional_text(attributes, "user").is_some_and(|user| user != target)
}

fn is_user_name(name: &str) -> bool {
    let is_part = |char: char| char.is_ascii_alphanumeric() || "_-.".contains(char);
    let first = name.trim_end_matches('$');
    !first.is_empty() && !first.starts_with(['-', '.']) && first.chars().all(is_part)
}

/// The connection's value; null while it is not known.
fn connection_value(attributes: &Value) -> Result<Option<Value>, Diagnostic> {
    Ok(connection(attributes)?.map(|machine| {
        let mut value = machine.to_value();
        // What marks a secret has stays with it.
        if machine.private_key.is_some() {
            value = value.with("private_key", attributes.get("private_key"));
        }
        if machine.sudo_password.is_some() {
            value = value.with("sudo_password", attributes.get("sudo_password"));
        }
        value
    }))
}

impl Resource for Host {
    fn schema(&self) -> &Schema {
        &self.schema
    }

    fn fetches(&self, known: &Known<'_>) -> Result<Vec<Fetch>, Diagnostic> {
        let Some(on) = connection(known.attributes)? else {
            return Ok(Vec::new());
        };
        let way = way::question(&text(known.attributes, "address"));
        let script = machine::script();
        Ok(if is_recorded(known) {
            vec![Fetch::Script { on, script }, way]
        } else {
            vec![way]
        })
    }

    fn parse(&self, known: &Known<'_>, answers: Answers<'_>) -> Result<Reading, Diagnostic> {
        let ssh_config = way::value(&text(known.attributes, "address"), answers)?;
        let now = ssh_config.clone().filter(|_| !is_recorded(known));
        // What is recorded tells the way to it; a new one is for the plan to propose.
        let attributes = settle(
            known.attributes,
            now.unwrap_or_else(|| known.attributes.get("ssh_config")),
        );
        let script = answers
            .0
            .iter()
            .position(|answer| answer.output().is_some());
        let Some(script) = script else {
            refuse_command(&attributes)?;
            let on = connection(&attributes)?;
            let on = on.ok_or_else(|| Diagnostic::bug("a host is read before it is known"))?;
            let script = machine::script();
            return Ok(Reading::More(vec![Fetch::Script { on, script }]));
        };
        let output = answers.output(script)?;
        if !output.is_success() {
            return Err(unreadable("a machine's facts", output));
        }
        let facts = machine::parse(&output.text());
        let os = facts.os();
        let mut attributes = attributes
            .with("hostname", facts.hostname.into())
            .with("kernel", facts.kernel.into())
            .with("architecture", facts.architecture.into())
            .with("cores", facts.cores.into())
            .with("memory_mib", facts.memory_mib.into())
            .with("os", os);
        let pinned = attributes.get("host_key");
        // What is certified may have another key tomorrow.
        if (pinned.is_null() || !pinned.is_known())
            && attributes.get("host_ca").is_null()
            && let Some(seen) = answers.host_key(script)
        {
            attributes = attributes.with("host_key", seen.into());
        }
        let sudo = attributes.get("sudo");
        if sudo.is_null() || !sudo.is_known() {
            attributes = attributes.with("sudo", becomes_by_default(&attributes).into());
        }
        let machine = connection_value(&attributes)?.unwrap_or_else(Value::null);
        let id = format!(
            "{}@{}",
            text(&attributes, "user"),
            text(&attributes, "address")
        );
        attributes = attributes.with("connection", machine);
        if let Some(ssh_config) = ssh_config {
            attributes = attributes.with("ssh_config", ssh_config);
        }
        Ok(Reading::Found(Object {
            attributes,
            id: Some(id),
        }))
    }

    fn plan(&self, change: &mut Change<'_>) -> Result<(), Diagnostic> {
        if let Some(facts) = change.prior.or(change.earlier) {
            let open = ["port", "user"].into_iter();
            let open = open.filter(|name| change.config.get(name).is_null());
            let open = open.fold(change.planned.clone(), |planned, name| {
                planned.with(name, Value::null())
            });
            change.planned = settle(&open, facts.get("ssh_config"));
            refuse_command(&change.planned)?;
        }
        refuse_ephemeral(&change.planned)?;
        let is_known = |name| change.planned.get(name).is_known();
        if change.config.get("sudo").is_null() && is_known("user") && is_known("run_as") {
            let sudo = becomes_by_default(&change.planned);
            change.set("sudo", sudo.into());
        }
        let is_certified = !change.planned.get("host_ca").is_null();
        if is_certified && change.config.get("host_key").is_null() {
            change.set("host_key", Value::null());
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
            if change.config.get("host_key").is_null() && !is_certified {
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
        tell_way(change)?;
        try_new_way(change, machine.as_ref());
        match machine {
            Some(machine) => change.set("connection", machine),
            None => change.unknown("connection"),
        }
        let run_as = optional_text(&change.planned, "run_as").unwrap_or_else(|| "root".into());
        if flag(&change.planned, "sudo") && text(&change.planned, "user") == run_as {
            change.note(format!("`sudo` has no effect: the user is {run_as}"));
        }
        Ok(())
    }

    fn work(&self, _job: &Job<'_>) -> Result<Work, Diagnostic> {
        Ok(Work::Steps(Vec::new()))
    }
}

#[cfg(test)]
mod tests {
    use dmp_sdk::Answer;

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

    /// A reading of a host whose address the SSH configuration knows.
    fn read_by(host: &Host, attributes: &Value, purpose: Purpose, route: &str) -> Reading {
        let json = serde_json::from_str(route).expect("is JSON");
        let way = Answer::Api(std::sync::Arc::new(json));
        let script = Answer::Script {
            output: dmp_sdk::Output {
                status: 0,
                stdout: FACTS.to_vec(),
                stderr: String::new(),
            },
            host_key: KEY.into(),
        };
        let address = dmp_sdk::Address::managed("host", "box");
        let null = Value::null();
        let known = Known {
            address: &address,
            purpose,
            id: None,
            attributes,
            chosen: &null,
            mark: None,
        };
        let answers = match purpose {
            Purpose::BeforeCreate => vec![way.clone()],
            _ => vec![script.clone(), way.clone()],
        };
        match host.parse(&known, Answers(&answers)).expect("parses") {
            Reading::More(fetches) => {
                let Some(Fetch::Script { on, .. }) = fetches.first() else {
                    panic!("the machine is asked");
                };
                assert_eq!(on.key(), "ann@10.0.0.5:2200+sudo via op@gate:22");
                host.parse(&known, Answers(&[way, script])).expect("parses")
            }
            reading => reading,
        }
    }

    const WAY: &str = r#"{"address":"10.0.0.5","user":"ann","port":2200,"needs_command":null,
        "bastions":[{"alias":"outer","address":"gate","user":"op","port":22}]}"#;

    #[test]
    fn what_the_ssh_configuration_says_is_planned_and_what_the_stack_says_wins() {
        let host = Host::new();
        let config = value(host.schema(), &[("address", "web".into())]);
        let earlier = found(read_by(&host, &config, Purpose::BeforeCreate, WAY));
        let planned = plan(&host, &config, None, Some(&earlier))
            .expect("plans")
            .value;
        assert!(planned.is_wholly_known());
        let machine = Machine::from_value(&planned.get("connection")).expect("a connection");
        assert_eq!(machine.key(), "ann@10.0.0.5:2200+sudo via op@gate:22");
        assert_eq!(machine.alias.as_deref(), Some("web"));
        assert_eq!(machine.bastions[0].alias.as_deref(), Some("outer"));

        let bastion = crate::on_host::tests::a_machine().to_value();
        let config = config
            .with("user", "deploy".into())
            .with("bastion", bastion);
        let planned = plan(&host, &config, None, Some(&earlier))
            .expect("plans")
            .value;
        let machine = Machine::from_value(&planned.get("connection")).expect("a connection");
        assert_eq!(
            machine.key(),
            "deploy@10.0.0.5:2200+sudo via root@10.0.0.1:22"
        );
    }

    #[test]
    fn another_ssh_configuration_shows_as_an_update_and_never_as_another_machine_at_once() {
        let host = Host::new();
        let config = value(host.schema(), &[("address", "web".into())]);
        let record = found(read_by(&host, &config, Purpose::BeforeCreate, WAY));
        let now = WAY.replace("10.0.0.5", "10.0.0.6").replace("ann", "bob");
        let refreshed = found(read_by(&host, &record, Purpose::Refresh, &now));
        assert_eq!(refreshed.get("connection"), record.get("connection"));
        assert_eq!(refreshed.get("user"), "ann".into());
        let planned = plan(&host, &config, Some(&refreshed), None)
            .expect("plans")
            .value;
        let machine = Machine::from_value(&planned.get("connection")).expect("a connection");
        assert_eq!(machine.key(), "bob@10.0.0.6:2200+sudo via op@gate:22");
        assert_eq!(machine.host_keys, [KEY], "the pin stays");

        let nothing =
            r#"{"address":"web","user":null,"port":null,"needs_command":null,"bastions":[]}"#;
        let refreshed = found(read_by(&host, &record, Purpose::Refresh, nothing));
        let planned = plan(&host, &config, Some(&refreshed), None)
            .expect("plans")
            .value;
        assert_eq!(planned.get("ssh_config"), Value::null());
        let machine = Machine::from_value(&planned.get("connection")).expect("a connection");
        assert_eq!(
            (machine.key().as_str(), machine.alias),
            ("root@web:22", None)
        );
    }

    #[test]
    fn a_way_that_is_a_command_is_refused_with_its_line_unless_a_bastion_is_given() {
        let host = Host::new();
        let way = r#"{"address":"web","user":null,"port":null,"needs_command":"/home/ann/.ssh/config:7","bastions":[]}"#;
        let config = value(host.schema(), &[("address", "web".into())]);
        let earlier = settle(&config, Value::null());
        let refreshed = found(read_by(&host, &earlier, Purpose::Refresh, way));
        let refused = plan(&host, &config, Some(&refreshed), None)
            .err()
            .expect("is refused");
        let detail = refused.detail.clone();
        assert!(
            detail.contains("the `ProxyCommand` at /home/ann/.ssh/config:7"),
            "{detail}"
        );
        let bastion = crate::on_host::tests::a_machine().to_value();
        let config = config.with("bastion", bastion);
        plan(&host, &config, Some(&refreshed), None).expect("the bastion is the way");
    }

    #[test]
    fn an_address_that_is_not_known_yet_makes_the_connection_unknown() {
        let host = Host::new();
        let config = value(host.schema(), &[("address", Value::unknown(Type::String))]);
        let planned = plan(&host, &config, None, None).expect("plans");
        assert!(!planned.value.get("connection").is_known());
    }

    #[test]
    fn how_long_it_may_boot_is_a_part_of_the_connection_and_no_other_machine() {
        let host = Host::new();
        let config = value(host.schema(), &[("address", "cp1".into())]);
        let prior = found(parse(&host, &config, Purpose::Refresh, FACTS).expect("parses"));
        let slow = config.with("boot_seconds", 900.into());
        let planned = plan(&host, &slow, Some(&prior), None).expect("plans");
        let machine = Machine::from_value(&planned.value.get("connection")).expect("a connection");
        assert_eq!(machine.boot_seconds, Some(900));
        assert!(planned.replacements.is_empty());
        for wrong in [0, 86_401] {
            let wrong = config.with("boot_seconds", wrong.into());
            let refused = plan(&host, &wrong, Some(&prior), None).err();
            let refused = refused.expect("is refused");
            assert!(refused.detail.contains("from 1 to 86400"), "{refused:?}");
        }
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
