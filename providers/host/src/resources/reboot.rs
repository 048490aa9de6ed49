//! `host_reboot`: a machine is rebooted when it has to be, and the run goes on when it is back.
//!
//! The step that reboots holds the machine's lock until the machine is gone, so nothing else is begun meanwhile; what
//! was asked for is noted there before. Whoever looks afterwards, also another run, knows by the boot's id whether it
//! has come about, and reboots no second time.

use std::time::{Duration, Instant};

use async_trait::async_trait;
use dmp_sdk::{
    Answers, Attribute, Batch, BatchItem, Change, Cx, Diagnostic, Effect, Fetch, ItemEnd, Job,
    Known, Machine, Machines, Mark, MarkWay, Object, Output, Purpose, Reading, Report, Resource,
    Schema, Script, Step, Type, Value, Verb, Work, configured,
};
use tokio::sync::mpsc;

use crate::configured::OnHosts;
use crate::facts::boot::{self, with_wishes};
use crate::facts::file::digest;
use crate::kept::{keeping, with_kept};
use crate::on_host::{
    fetch, flag, host_attribute, known_machine, list_value, machine, plan_host, text_map, texts,
    unreadable, wrong,
};

/// The resource type.
pub(crate) struct HostReboot {
    schema: Schema,
}

impl HostReboot {
    pub(crate) fn new() -> Self {
        let schema = Schema::new(
            "host_reboot",
            "A machine is rebooted when its packages ask for it (`/run/reboot-required`), when a newer kernel is installed than runs, \
             or when one of `triggers` changes; the run goes on when it is back and its services are up. What has to be done before \
             is named by `depends_on`, or by `triggers = { kernel = host_package.kernel.installed[\"linux-image-amd64\"] }`. How many \
             machines of a group may be away at once is said by `rollout`.",
        )
        .mark(MarkWay::NaturalKey(&["host"]))
        .on_delete("Nothing happens to the machine; dmp forgets what it was rebooted for.")
        .attribute("host", host_attribute())
        .attribute("required", Attribute::default(Type::Bool, "Whether it is rebooted when packages ask for it or a newer kernel is installed.", true))
        .attribute("triggers", Attribute::optional(Type::map(Type::String), "Any values; when one changes the machine is rebooted. The first ones reboot nothing."))
        .attribute("timeout", Attribute::default(Type::Number, "Seconds in which it has to be back.", 600))
        .attribute("pending", Attribute::computed(Type::list(Type::String), "Why the machine wants to be rebooted."));
        Self { schema }
    }
}

/// What a reboot is asked for by: the triggers, in a form that tells nothing of them.
fn token(mark: &Mark, attributes: &Value) -> String {
    let triggers: Vec<String> = text_map(attributes, "triggers")
        .into_iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    digest(format!("{mark}\n{}", triggers.join("\n")).as_bytes())
}

/// Why the machine is to be rebooted, as far as that is asked about.
fn wishes(attributes: Option<&Value>, wanted: &Value) -> Vec<String> {
    match attributes {
        Some(attributes) if flag(wanted, "required") => texts(attributes, "pending"),
        _ => Vec::new(),
    }
}

impl HostReboot {
    /// Whether a work reboots; all else only takes a note.
    fn reboots(job: &Job<'_>, wanted: &Value) -> bool {
        let before = match job.verb {
            Verb::Create => job.earlier.filter(|earlier| !earlier.is_null()),
            _ => job.prior,
        };
        let is_triggered = job
            .prior
            .is_some_and(|prior| prior.get("triggers") != wanted.get("triggers"));
        is_triggered || !wishes(before, wanted).is_empty()
    }
}

#[async_trait]
impl Resource for HostReboot {
    fn schema(&self) -> &Schema {
        &self.schema
    }

    fn fetches(&self, known: &Known<'_>) -> Result<Vec<Fetch>, Diagnostic> {
        fetch(known, &[], || boot::script(known.mark))
    }

    fn parse(&self, known: &Known<'_>, answers: Answers<'_>) -> Result<Reading, Diagnostic> {
        let output = answers.output(0)?;
        if !output.is_success() {
            return Err(unreadable("a machine's boot", output));
        }
        let found = boot::parse(&output.text());
        let is_before = matches!(known.purpose, Purpose::BeforeCreate | Purpose::Import);
        if found.token.is_none() && !is_before {
            return Ok(Reading::Absent);
        }
        let is_written = matches!(
            known.purpose,
            Purpose::AfterWrite | Purpose::Settle | Purpose::Suspect
        );
        let wanted = known.mark.map(|mark| token(mark, known.attributes));
        let is_done = found.is_through() && found.token == wanted;
        let mut attributes = known.attributes.with("pending", list_value(found.wishes));
        if is_written && !is_done {
            attributes = attributes.with("triggers", Value::null());
        }
        Ok(Reading::Found(Object {
            attributes,
            id: None,
        }))
    }

    fn plan(&self, change: &mut Change<'_>) -> Result<(), Diagnostic> {
        plan_host(change);
        let timeout = change.planned.get("timeout");
        if timeout.is_known() && timeout.as_i64().is_none_or(|seconds| seconds < 1) {
            return Err(wrong(
                "timeout",
                "not a time",
                "a number of whole seconds, at least 1",
            ));
        }
        let before = change.prior.or(change.earlier);
        let wishes = wishes(before, &change.planned);
        let is_triggered = change.prior.is_some() && change.changes("triggers");
        for wish in &wishes {
            change.note(wish.clone());
        }
        if is_triggered || !wishes.is_empty() {
            let on = machine(&change.planned)?;
            let what = on.map_or_else(|| "the machine".to_owned(), |on| on.address);
            change.effect(Effect::Reboot { what });
        }
        let names = ["required", "triggers", "timeout"];
        if !wishes.is_empty() || names.iter().any(|name| change.changes(name)) {
            change.unknown("pending");
        }
        Ok(())
    }

    fn import(&self, _id: &str, _attributes: &Value) -> Result<Value, Diagnostic> {
        Err(Diagnostic::error("no-import", "a reboot can't be imported")
            .help("leave the `import` block out: the machine is rebooted only when it has to be"))
    }

    fn work(&self, job: &Job<'_>) -> Result<Work, Diagnostic> {
        if job.verb == Verb::Delete {
            let on = known_machine(job.prior()?)?;
            let run = keeping(Script::new(FORGET), job.mark);
            let title = "forget what it was rebooted for";
            return Ok(Work::Steps(vec![Step::new(title, &on, run)]));
        }
        let wanted = job.wanted()?;
        if Self::reboots(job, wanted) {
            return Ok(Work::Calls);
        }
        if job.verb == Verb::Update {
            return Ok(Work::Steps(Vec::new()));
        }
        let run = Script::new(NOTE).var("token", token(job.mark, wanted));
        let step = Step::new(
            "note what it is rebooted for",
            &known_machine(wanted)?,
            keeping(run, job.mark),
        );
        Ok(Work::Steps(vec![step]))
    }

    async fn call(&self, cx: &dyn Cx, job: &Job<'_>) -> Result<(), Diagnostic> {
        let wanted = job.wanted()?;
        let on = known_machine(wanted)?;
        let machines = configured::<OnHosts>(cx.provider())?.machines.as_ref();
        let seconds = wanted
            .get("timeout")
            .as_i64()
            .and_then(|seconds| u64::try_from(seconds).ok());
        let patience = Duration::from_secs(seconds.unwrap_or(600));
        let (before, _) = state(machines, &on)
            .await
            .map_err(|why| failed(&on, "nothing has happened to it").cause(why))?;
        cx.begin(&format!("reboot {}", on.address)).await?;
        let start = Instant::now();
        let run = Script::new(REBOOT)
            .var("token", token(job.mark, wanted))
            .var(
                "required",
                if flag(wanted, "required") {
                    "yes"
                } else {
                    "no"
                },
            );
        let step = Step::new("reboot", &on, keeping(run, job.mark)).within(patience);
        let key = format!("{}-reboot-{before}", job.mark.instance);
        let batch = Batch {
            id: key.clone(),
            items: vec![BatchItem {
                key,
                label: job.address.to_string(),
                steps: vec![step],
                within: None,
                read: Vec::new(),
                after: Vec::new(),
            }],
        };
        cx.waiting(&format!("until {} is back", on.address), patience);
        match follow(machines, &on, &batch).await {
            // It had been rebooted already.
            Some((ItemEnd::Done, _)) => {}
            Some((ItemEnd::Failed(_), output)) if output.status < KILLED => {
                return Err(failed(&on, "it has not been rebooted").cause(output.stderr));
            }
            // It went down, as it should: the step never ends otherwise.
            _ => {
                let left = patience.saturating_sub(start.elapsed());
                is_back(machines, &on, &before, left).await?;
            }
        }
        // Its journal is of no use any more, and goes with the next one if this fails.
        let _ = machines.forget(&on, &[batch.id]).await;
        Ok(())
    }
}

fn failed(on: &Machine, state: &str) -> Diagnostic {
    Diagnostic::remote("not-rebooted", "cannot reboot a machine")
        .detail(format!("`{}`", on.address))
        .state(state.to_owned())
}

/// Which boot it is and whether it is at rest, or why that can't be told.
async fn state(machines: &dyn Machines, on: &Machine) -> Result<(String, bool), String> {
    let scripts = [boot::state_script()];
    let exchange = machines.read(on, &scripts, ANSWER).await;
    let exchange = exchange.map_err(|unreachable| unreachable.to_string())?;
    let output = exchange.outputs.first();
    let state = output.and_then(boot::parse_state);
    state.ok_or_else(|| "it does not say which boot it is".to_owned())
}

/// Follows the batch to its end, with what its step said; `None` if it can't be followed that far.
async fn follow(machines: &dyn Machines, on: &Machine, batch: &Batch) -> Option<(ItemEnd, Output)> {
    let (sender, mut reports) = mpsc::channel(64);
    let listen = async {
        let (mut ended, mut last) = (None, Output::default());
        while let Some(report) = reports.recv().await {
            match report {
                Report::StepEnded { output, .. } => last = output,
                Report::ItemEnded { end, .. } => ended = Some(end),
                Report::StepStarted { .. } => {}
            }
        }
        ended.map(|end| (end, last))
    };
    let (_, ended) = tokio::join!(machines.run(on, batch, sender), listen);
    ended
}

/// Waits until another boot has come to rest.
async fn is_back(
    machines: &dyn Machines,
    on: &Machine,
    before: &str,
    patience: Duration,
) -> Result<(), Diagnostic> {
    let start = Instant::now();
    loop {
        let why = match state(machines, on).await {
            Ok((id, true)) if id != before => return Ok(()),
            Ok((id, _)) if id != before => "it is back, and its services are not up yet".to_owned(),
            Ok(_) => "it has not gone down".to_owned(),
            Err(why) => why,
        };
        if start.elapsed() >= patience {
            return Err(failed(
                on,
                "it was told to reboot; the next plan looks whether it has",
            )
            .cause(why)
            .help("look at its console, or give it more time by `timeout`"));
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// A step that was ended by a signal has this status or a higher one.
const KILLED: i32 = 128;
const ANSWER: Duration = Duration::from_secs(20);
const PAUSE: Duration = Duration::from_secs(1);

/// Notes what it is not rebooted for.
const NOTE: &str = with_kept!(
    r#"
(umask 077 && mkdir -p "$kept") || exit 1
[ ! -e "$kept/reboot" ] || exit 0
printf '%s - \n' "$token" >"$kept/.reboot" && mv -f -- "$kept/.reboot" "$kept/reboot"
"#
);

const FORGET: &str = with_kept!("dmp_done\n");

// What was asked for by an earlier run and has come about since is not asked for again.
const REBOOT: &str = with_wishes!(
    r#"
wishes=
[ "$required" = no ] || wishes=$(dmp_wishes)
if [ "$token_done" = "$token" ] && [ "$boot_before" != "$boot" ] && [ -z "$wishes" ]; then exit 0; fi
(umask 077 && mkdir -p "$kept") || exit 1
printf '%s %s %s\n' "$token" "$boot" "$newest" >"$kept/.reboot" && mv -f -- "$kept/.reboot" "$kept/reboot" || exit 1
sync
if [ -d /run/systemd/system ]; then systemctl reboot >&2 || exit 1; else reboot >&2 || exit 1; fi
# Until it is gone, nothing else is begun here.
sleep 100000
"#
);

#[cfg(test)]
mod tests;
