//! `proxmox_vm_firewall` and `proxmox_cluster_firewall`: options and rules of one machine, and of the cluster.
//!
//! Rules are dmp's own by a marker in their comment; all others stay. Options that are set are read before, and put back.

use async_trait::async_trait;
use dmp_sdk::{
    Answers, Attribute, Change, Cx, Diagnostic, Effect, Fetch, Job, Known, Layer, MarkWay, Object,
    Quantifier, Reading, Resource, Schema, Type, Value, Verb, Work, configured,
};
use serde_json::Value as Json;

use super::rules::{self, Whose};
use super::{cannot, get, say};
use crate::client::{Method, Parameters};
use crate::cluster::{self, Cluster, Look, Question, guest_path};
use crate::guest::Guest;
use crate::identity::Identity;
use crate::resources::vm::wanted::{flag, number, text};
use crate::values;

/// One of the two resource types.
pub(crate) struct Guard {
    schema: Schema,
    options: &'static [Choice],
    is_of_machine: bool,
}

/// An option: attribute, key, whether it is a switch, and what it is for.
type Choice = (&'static str, &'static str, bool, &'static str);

const OF_BOTH: [Choice; 3] = [
    (
        "enabled",
        "enable",
        true,
        "Whether it holds. Nothing does until the cluster's, the machine's and its network device's (`firewall = true`) all do.",
    ),
    (
        "policy_in",
        "policy_in",
        false,
        "What becomes of what no rule lets in: `ACCEPT`, `DROP` or `REJECT`.",
    ),
    (
        "policy_out",
        "policy_out",
        false,
        "The same for what goes out.",
    ),
];

const OF_MACHINE: &[Choice] = &[
    OF_BOTH[0],
    OF_BOTH[1],
    OF_BOTH[2],
    (
        "dhcp",
        "dhcp",
        true,
        "Whether it may ask for an address by DHCP.",
    ),
    (
        "ndp",
        "ndp",
        true,
        "Whether it may speak the neighbour discovery protocol.",
    ),
    (
        "router_advertisements",
        "radv",
        true,
        "Whether it may advertise itself as a router.",
    ),
    (
        "mac_filter",
        "macfilter",
        true,
        "Whether it may send from its own MAC addresses alone.",
    ),
    (
        "ip_filter",
        "ipfilter",
        true,
        "Whether it may send from its own addresses alone.",
    ),
    (
        "log_in",
        "log_level_in",
        false,
        "What is logged of what comes in: `nolog`, `info`, `warning` …",
    ),
    (
        "log_out",
        "log_level_out",
        false,
        "The same for what goes out.",
    ),
];

const OF_CLUSTER: &[Choice] = &[
    OF_BOTH[0],
    OF_BOTH[1],
    OF_BOTH[2],
    (
        "policy_forward",
        "policy_forward",
        false,
        "What becomes of what is forwarded: `ACCEPT` or `DROP`.",
    ),
    (
        "ebtables",
        "ebtables",
        true,
        "Whether frames are filtered too.",
    ),
    (
        "log_rate_limit",
        "log_ratelimit",
        false,
        "How much is logged: `enable=1,rate=1/second,burst=5`.",
    ),
];

fn with_options(mut schema: Schema, options: &'static [Choice]) -> Schema {
    for (attribute, _, is_switch, doc) in options {
        let ty = if *is_switch { Type::Bool } else { Type::String };
        schema = schema.attribute(attribute, Attribute::optional(ty, doc));
    }
    schema.attribute(
        "rule",
        Attribute::optional(Type::list(rules::rule_type()), rules::DOC).block(),
    )
}

impl Guard {
    /// That of a machine.
    pub(crate) fn of_machine() -> Self {
        let schema = Schema::new("proxmox_vm_firewall", "The firewall of a machine on Proxmox VE. What is not set is left as it is; rules that others made stay, behind these.")
            .layer(Layer::Network)
            .mark(MarkWay::NaturalKey(&["vmid"]))
            .on_delete("Its rules are taken out, and the options become what they were before.")
            .attribute("vmid", Attribute::required(Type::Number, "The machine's id.").hosting(Quantifier::All).replaces().unique())
            .attribute("machine_uuid", Attribute::computed(Type::String, "The machine's SMBIOS UUID: where the id has become another machine's, nothing is changed there."));
        Self {
            schema: with_options(schema, OF_MACHINE),
            options: OF_MACHINE,
            is_of_machine: true,
        }
    }

    /// That of the cluster.
    pub(crate) fn of_cluster() -> Self {
        let schema = Schema::new("proxmox_cluster_firewall", "The firewall of a whole cluster of Proxmox VE. With `enabled` and no rules its nodes can be reached from their own network alone, at 8006 and 22 too: the plan says so.")
            .layer(Layer::Network)
            .mark(MarkWay::NaturalKey(&["cluster"]))
            .on_delete("Its rules are taken out, and the options become what they were before.")
            .attribute("cluster", Attribute::required(Type::String, "A name for it, such as the cluster's: there is one firewall of a cluster.").replaces().unique());
        Self {
            schema: with_options(schema, OF_CLUSTER),
            options: OF_CLUSTER,
            is_of_machine: false,
        }
    }

    fn whose(identity: &Identity) -> Whose {
        Whose::Marked(format!("({})", identity.tag))
    }

    /// What was read of options and rules. Options that are not set are not told.
    fn read(&self, known: &Value, options: &Json, rules: &Json, whose: &Whose, all: bool) -> Value {
        let mut value = known.clone();
        for (attribute, key, is_switch, _) in self.options {
            if known.get(attribute).is_null() && !all {
                continue;
            }
            let found = match is_switch {
                true if options[*key].is_null() => Value::null(),
                true => values::flag(options, key).into(),
                false => values::text(options, key).into(),
            };
            let is_off = found.is_null() && known.get(attribute) == false.into();
            value = value.with(attribute, if is_off { false.into() } else { found });
        }
        let wanted = known.get("rule");
        let found = rules::as_wanted(rules::read(rules, whose), &wanted);
        let is_empty = found.as_items().is_some_and(<[Value]>::is_empty);
        value.with(
            "rule",
            if is_empty && wanted.is_null() {
                Value::null()
            } else {
                found
            },
        )
    }

    fn vmid(value: &Value) -> Option<u32> {
        let id = value.get("vmid").as_i64();
        id.and_then(|id| u32::try_from(id).ok())
    }

    /// The answers about the machine that it is of: its path, and its UUID. A reading where it is not to be told yet.
    fn machine(
        value: &Value,
        answers: Answers<'_>,
    ) -> Result<Result<(String, Guest), Reading>, Diagnostic> {
        let vmid = Self::vmid(value).unwrap_or_default();
        let Some(listed) = cluster::listed(answers.json(0)?, vmid) else {
            let path = format!("/vms/{vmid}");
            return Ok(Err(
                match answers.0.get(1).and_then(|answer| answer.json()) {
                    Some(answer) => {
                        cluster::believe(answer, &path)?;
                        Reading::Absent
                    }
                    None => Reading::More(vec![Question::Authority { path }.fetch()?]),
                },
            ));
        };
        let node = values::text(listed, "node").unwrap_or_default();
        let Some(answer) = answers.0.get(1).and_then(|answer| answer.json()) else {
            let look = Look {
                vmid,
                node,
                ..Look::default()
            };
            return Ok(Err(Reading::More(vec![Question::Guest(look).fetch()?])));
        };
        let guest: Option<Guest> = serde_json::from_value(answer.clone())
            .map_err(|error| Diagnostic::bug(format!("an answer about a guest: {error}")))?;
        Ok(match guest {
            Some(guest) => Ok((format!("{}/firewall", guest_path(&guest.node, vmid)), guest)),
            None => Err(Reading::Absent),
        })
    }
}

#[async_trait]
impl Resource for Guard {
    fn schema(&self) -> &Schema {
        &self.schema
    }

    fn fetches(&self, known: &Known<'_>) -> Result<Vec<Fetch>, Diagnostic> {
        if self.is_of_machine {
            return match Self::vmid(known.attributes) {
                Some(_) => Ok(vec![Question::Guests.fetch()?]),
                None => Ok(Vec::new()),
            };
        }
        match text(known.attributes, "cluster") {
            Some(_) => Ok(vec![
                Question::Path("/cluster/firewall/options".into()).fetch()?,
                Question::Path("/cluster/firewall/rules".into()).fetch()?,
            ]),
            None => Ok(Vec::new()),
        }
    }

    fn parse(&self, known: &Known<'_>, answers: Answers<'_>) -> Result<Reading, Diagnostic> {
        if answers.is_empty() {
            return Ok(Reading::Absent);
        }
        let identity = known.mark.map(Identity::of);
        let whose = match &identity {
            Some(identity) => Self::whose(identity),
            None => Whose::Marked("(dmp-none)".into()),
        };
        let mut value = known.attributes.clone();
        let first = match self.is_of_machine {
            false => 0,
            true => {
                let (path, guest) = match Self::machine(&value, answers)? {
                    Ok(machine) => machine,
                    Err(reading) => return Ok(reading),
                };
                let recorded = text(&value, "machine_uuid");
                if recorded.is_some() && recorded != guest.uuid() {
                    return Ok(Reading::Absent);
                }
                if answers.len() < 4 {
                    return Ok(Reading::More(vec![
                        Question::Path(format!("{path}/options")).fetch()?,
                        Question::Path(format!("{path}/rules")).fetch()?,
                    ]));
                }
                value = value.with("machine_uuid", guest.uuid().into());
                2
            }
        };
        let (options, listed) = (answers.json(first)?, answers.json(first + 1)?);
        let attributes = self.read(&value, options, listed, &whose, false);
        let id = match self.is_of_machine {
            true => Self::vmid(&value).map(|id| id.to_string()),
            false => text(&value, "cluster"),
        };
        Ok(Reading::Found(Object { attributes, id }))
    }

    fn plan(&self, change: &mut Change<'_>) -> Result<(), Diagnostic> {
        rules::check(&change.planned)?;
        let shall_hold = flag(&change.planned, "enabled") == Some(true);
        let before = change.prior.or(change.earlier);
        let holds = before.is_some_and(|before| flag(before, "enabled") == Some(true));
        if shall_hold && !holds && !self.is_of_machine {
            change.effect(Effect::Downtime {
                what: "whatever no rule of the cluster's firewall lets in, ports 8006 and 22 of the nodes included".into(),
            });
        }
        if let (None, Some(earlier)) = (change.prior, change.earlier)
            && self.is_of_machine
        {
            change.set("machine_uuid", earlier.get("machine_uuid"));
        }
        Ok(())
    }

    fn work(&self, _job: &Job<'_>) -> Result<Work, Diagnostic> {
        Ok(Work::Calls)
    }

    async fn call(&self, cx: &dyn Cx, job: &Job<'_>) -> Result<(), Diagnostic> {
        let cluster: &Cluster = configured(cx.provider())?;
        let value = job.value()?;
        let is_end = matches!(job.verb, Verb::Delete | Verb::Leave);
        let path = match self.is_of_machine {
            false => "/cluster/firewall".to_owned(),
            true => match self.path(cluster, value).await? {
                Some(path) => path,
                None if is_end => return Ok(()),
                None => {
                    return Err(Diagnostic::remote("proxmox", "cannot change a firewall")
                        .cause("the machine is gone, or its id is another's now"));
                }
            },
        };
        let whose = Self::whose(&Identity::of(job.mark));
        let nothing = Value::null();
        let (options, wanted) = match is_end {
            // What dmp has set becomes what it was.
            true => (job.earlier.unwrap_or(&nothing), &nothing),
            false => (value, value),
        };
        // Rules before the policy: what shall be let in is, when nothing else is any more.
        let listed = wanted.get("rule");
        if is_end {
            self.set_options(cx, cluster, &path, job, options, is_end)
                .await?;
            return rules::set(cx, cluster, &format!("{path}/rules"), &whose, &listed).await;
        }
        rules::set(cx, cluster, &format!("{path}/rules"), &whose, &listed).await?;
        self.set_options(cx, cluster, &path, job, options, is_end)
            .await
    }
}

impl Guard {
    async fn path(&self, cluster: &Cluster, value: &Value) -> Result<Option<String>, Diagnostic> {
        let vmid = Self::vmid(value).unwrap_or_default();
        let look = Look {
            vmid,
            ..Look::default()
        };
        let guest = cluster.look(&look).await;
        let guest = guest.map_err(|error| error.diagnostic("cannot look at a machine"))?;
        let recorded = text(value, "machine_uuid");
        let guest = guest.filter(|guest| recorded.is_none() || recorded == guest.uuid());
        Ok(guest.map(|guest| format!("{}/firewall", guest_path(&guest.node, vmid))))
    }

    async fn set_options(
        &self,
        cx: &dyn Cx,
        cluster: &Cluster,
        path: &str,
        job: &Job<'_>,
        wanted: &Value,
        is_end: bool,
    ) -> Result<(), Diagnostic> {
        let path = format!("{path}/options");
        let Some(found) = get(cluster, &path).await? else {
            return Ok(());
        };
        let mut form = Parameters::new();
        let mut gone = Vec::new();
        for (attribute, key, is_switch, _) in self.options {
            let text = match is_switch {
                true => flag(wanted, attribute).map(|flag| values::switch(flag).to_owned()),
                false => text(wanted, attribute).or_else(|| number(wanted, attribute)),
            };
            let was_set = job
                .prior
                .is_some_and(|prior| !prior.get(attribute).is_null());
            let has = values::text(&found, key);
            match text {
                Some(text) if has.as_ref() != Some(&text) && (text != "0" || has.is_some()) => {
                    form.push(((*key).to_owned(), text));
                }
                // Taken out of the configuration, or never there before dmp.
                None if was_set && has.is_some() && (is_end || job.verb == Verb::Update) => {
                    gone.push(*key);
                }
                _ => {}
            }
        }
        if !gone.is_empty() {
            form.push(("delete".to_owned(), gone.join(",")));
        }
        if form.is_empty() {
            return Ok(());
        }
        cx.begin(&format!("set options of {path}")).await?;
        say(cluster, Method::Put, &path, &form)
            .await
            .map_err(|error| cannot(&error))
    }
}
