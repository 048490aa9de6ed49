//! `host_service`: a systemd unit: whether it runs, starts at boot, is masked, and, if given, its unit file.
//!
//! `restart_on` takes what the service has read when it started (contents of its files, a package's version): when
//! that changes the service is restarted, and the plan says so. `reload_on` is the same for what it can read anew while
//! it runs.

use dmp_sdk::{
    Answers, Attribute, Change, Claim, Diagnostic, Effect, Fetch, Job, Known, MarkWay, Object,
    Reading, Resource, Schema, Script, Step, Type, Value, Verb, Work,
};

use crate::facts::unit;
use crate::kept::{keeping, with_kept};
use crate::on_host::{
    fetch, flag, host_attribute, known_machine, optional_text, plan_host, text, unreadable,
    whole_files, wrong,
};

/// The resource type.
pub(crate) struct HostService {
    schema: Schema,
}

impl HostService {
    pub(crate) fn new() -> Self {
        let schema = Schema::new("host_service", "A systemd unit on a machine. What is not given stays as it is.")
            .mark(MarkWay::NaturalKey(&["host", "name"]))
            .on_delete("The unit runs, starts at boot and is masked as before dmp, and its unit file of before is put back; a unit that was not there is stopped, disabled and, if dmp wrote it, removed.")
            .attribute("host", host_attribute())
            .attribute("name", Attribute::required(Type::String, "The unit; without a suffix it is a service.").replaces().unique())
            .attribute("enabled", Attribute::optional_computed(Type::Bool, "Whether it starts at boot."))
            .attribute("running", Attribute::optional_computed(Type::Bool, "Whether it runs."))
            .attribute("masked", Attribute::optional_computed(Type::Bool, "Whether nothing can start it."))
            .attribute("unit", Attribute::optional(Type::String, "Content of its unit file, `/etc/systemd/system/NAME`."))
            .attribute("restart_on", Attribute::optional(Type::Any, "Any values; when one changes a running service is restarted."))
            .attribute("reload_on", Attribute::optional(Type::Any, "Any values; when one changes, and nothing asks for a restart, a running service reads its configuration anew (`systemctl reload`, which its unit has to offer)."));
        Self { schema }
    }
}

/// Whether a change of one of these attributes finds the service running, now and then.
fn affects(prior: &Value, wanted: &Value, names: &[&str]) -> bool {
    flag(wanted, "running")
        && flag(prior, "running")
        && names.iter().any(|name| prior.get(name) != wanted.get(name))
}

/// Whether a change makes a running service restart.
fn restarts(prior: &Value, wanted: &Value) -> bool {
    affects(prior, wanted, &["restart_on", "unit"])
}

/// Whether a change makes a running service read its configuration anew.
fn reloads(prior: &Value, wanted: &Value) -> bool {
    affects(prior, wanted, &["reload_on"]) && !restarts(prior, wanted)
}

impl Resource for HostService {
    fn schema(&self) -> &Schema {
        &self.schema
    }

    fn fetches(&self, known: &Known<'_>) -> Result<Vec<Fetch>, Diagnostic> {
        fetch(known, &["name"], || {
            unit::script(&unit::whole_name(&text(known.attributes, "name")))
        })
    }

    fn parse(&self, known: &Known<'_>, answers: Answers<'_>) -> Result<Reading, Diagnostic> {
        let output = answers.output(0)?;
        if !output.is_success() {
            return Err(unreadable("a service", output));
        }
        let found = unit::parse(&output.text());
        let wanted = known.attributes;
        if !found.is_known && found.file.is_none() {
            return Ok(Reading::Absent);
        }
        // A unit that can't be enabled is taken to be as wanted.
        let enabled = found.is_enabled.unwrap_or_else(|| flag(wanted, "enabled"));
        let file = if wanted.get("unit").is_null() {
            None
        } else {
            found.file
        };
        let attributes = wanted
            .with("enabled", enabled.into())
            .with("running", found.is_running.into())
            .with("masked", found.is_masked.into())
            .with("unit", file.into());
        Ok(Reading::Found(Object {
            attributes,
            id: Some(unit::whole_name(&text(wanted, "name"))),
        }))
    }

    fn plan(&self, change: &mut Change<'_>) -> Result<(), Diagnostic> {
        plan_host(change);
        let name = text(&change.planned, "name");
        if name.starts_with('-') || name.contains(['/', '\0', '\n']) {
            return Err(wrong(
                "name",
                "not a unit's name",
                format!("`{name}` has a character that units don't have"),
            ));
        }
        let unit = unit::whole_name(&name);
        if flag(&change.planned, "masked")
            && (flag(change.config, "running") || flag(change.config, "enabled"))
        {
            return Err(wrong(
                "masked",
                "a masked unit can't run",
                "`masked` excludes `running` and `enabled`",
            ));
        }
        if let (None, Some(earlier)) = (change.prior, change.earlier) {
            for name in ["enabled", "running", "masked"] {
                if change.config.get(name).is_null() {
                    change.set(name, earlier.get(name));
                }
            }
        }
        let before = change.prior.or(change.earlier);
        let does_restart = before.is_some_and(|before| restarts(before, &change.planned));
        let does_stop = before.is_some_and(|before| flag(before, "running"))
            && change.planned.get("running").as_bool() == Some(false);
        if does_restart {
            change.effect(Effect::Restart { what: unit.clone() });
        }
        if before.is_some_and(|before| reloads(before, &change.planned)) {
            change.note(format!("{unit} reads its configuration anew, and runs on"));
        }
        if does_stop {
            change.effect(Effect::Downtime { what: unit });
        }
        Ok(())
    }

    fn claims(&self, value: &Value) -> Vec<Claim> {
        if value.get("unit").is_null() {
            return Vec::new();
        }
        whole_files(value, "name", |name| {
            let unit = unit::whole_name(name);
            vec![format!("/etc/systemd/system/{unit}")]
        })
    }

    fn work(&self, job: &Job<'_>) -> Result<Work, Diagnostic> {
        if job.verb == Verb::Delete {
            return remove(job);
        }
        let wanted = job.wanted()?;
        let on = known_machine(wanted)?;
        let unit = unit::whole_name(&text(wanted, "name"));
        // The first time, what stands there was found just before; later, what was refreshed.
        let before = if job.verb == Verb::Create {
            job.earlier
        } else {
            job.prior
        };
        let differs = |name: &str| before.is_none_or(|before| before.get(name) != wanted.get(name));
        let step = |title: String, script: &'static str| {
            Step::new(title, &on, Script::new(script).var("unit", unit.clone()))
        };
        let mut steps = Vec::new();
        let writes_unit = !wanted.get("unit").is_null() && differs("unit");
        if let Some(content) = optional_text(wanted, "unit")
            && writes_unit
        {
            let run = Script::new(WRITE_UNIT)
                .var("unit", unit.clone())
                .var(
                    "keep",
                    if job.verb == Verb::Create {
                        "yes"
                    } else {
                        "no"
                    },
                )
                .stdin(content.into_bytes());
            steps.push(Step::new(
                format!("write the unit {unit}"),
                &on,
                keeping(run, job.mark),
            ));
        } else if wanted.get("unit").is_null()
            && job.prior.is_some_and(|prior| !prior.get("unit").is_null())
        {
            let run = Script::new(REMOVE_UNIT).var("unit", unit.clone());
            steps.push(Step::new(
                format!("remove the unit file of {unit}"),
                &on,
                keeping(run, job.mark),
            ));
        }
        match wanted.get("masked").as_bool() {
            Some(false) if differs("masked") => steps.push(step(
                format!("unmask {unit}"),
                "systemctl unmask -- \"$unit\"",
            )),
            _ => {}
        }
        match wanted.get("enabled").as_bool() {
            // Another file may be wanted by other targets, or by some where the one before was by none.
            Some(true) if differs("enabled") || writes_unit => steps.push(step(
                format!("enable {unit}"),
                "systemctl enable -- \"$unit\"",
            )),
            Some(false) if differs("enabled") => steps.push(step(
                format!("disable {unit}"),
                "systemctl disable -- \"$unit\"",
            )),
            _ => {}
        }
        let restart = || step(format!("restart {unit}"), "systemctl restart -- \"$unit\"");
        match wanted.get("running").as_bool() {
            Some(true) if before.is_some_and(|before| restarts(before, wanted)) => {
                steps.push(restart());
            }
            // A package may have started it between the reading and now, with files of before.
            Some(true)
                if job.verb == Verb::Create
                    && ["restart_on", "reload_on"]
                        .iter()
                        .any(|name| !wanted.get(name).is_null()) =>
            {
                steps.push(restart());
            }
            Some(true) if before.is_some_and(|before| reloads(before, wanted)) => steps.push(step(
                format!("reload {unit}"),
                "systemctl reload -- \"$unit\"",
            )),
            Some(true) if differs("running") => steps.push(step(
                format!("start {unit}"),
                "systemctl start -- \"$unit\"",
            )),
            Some(false) if differs("running") => {
                steps.push(step(format!("stop {unit}"), "systemctl stop -- \"$unit\""));
            }
            _ => {}
        }
        if wanted.get("masked").as_bool() == Some(true) && differs("masked") {
            steps.push(step(format!("mask {unit}"), "systemctl mask -- \"$unit\""));
        }
        Ok(Work::Steps(steps))
    }
}

fn remove(job: &Job<'_>) -> Result<Work, Diagnostic> {
    let prior = job.prior()?;
    let on = known_machine(prior)?;
    let unit = unit::whole_name(&text(prior, "name"));
    let earlier = job.earlier.filter(|earlier| !earlier.is_null());
    let state = |name: &str| match earlier.map(|earlier| flag(earlier, name)) {
        Some(true) => "yes",
        _ => "no",
    };
    let title = match earlier {
        Some(_) => format!("put {unit} back to its state of before"),
        None => format!("stop and disable {unit}"),
    };
    let run = Script::new(PUT_BACK)
        .var("unit", unit)
        .var(
            "own",
            if prior.get("unit").is_null() {
                "no"
            } else {
                "yes"
            },
        )
        .var("enabled", state("enabled"))
        .var("running", state("running"))
        .var("masked", state("masked"));
    Ok(Work::Steps(vec![Step::new(
        title,
        &on,
        keeping(run, job.mark),
    )]))
}

const WRITE_UNIT: &str = with_kept!(
    r#"
file=/etc/systemd/system/$unit
if [ "$keep" = yes ]; then dmp_keep unit "$file"; fi
if [ -L "$file" ]; then
	# A masked unit is a link to /dev/null there.
	[ "$(readlink -- "$file")" = /dev/null ] || { echo "$file is a symbolic link; it is left as it is" >&2; exit 1; }
	rm -f -- "$file" || exit 1
fi
cat >"$file.dmp-new" && chmod 0644 "$file.dmp-new" || exit 1
if command -v systemd-analyze >/dev/null 2>&1; then
	mkdir -p "$kept" && cp -- "$file.dmp-new" "$kept/$unit" || exit 1
	systemd-analyze verify "$kept/$unit" >&2 || echo "systemd finds fault with the unit" >&2
	rm -f -- "$kept/$unit"
fi
mv -f -- "$file.dmp-new" "$file" && systemctl daemon-reload
"#
);

const REMOVE_UNIT: &str = with_kept!(
    r#"
dmp_put_back unit "/etc/systemd/system/$unit"
systemctl daemon-reload
"#
);

const PUT_BACK: &str = with_kept!(
    r#"
known() { [ "$(systemctl show -p LoadState --value -- "$unit")" != not-found ]; }
if known; then
	if [ "$running" = no ]; then systemctl stop -- "$unit" || exit 1; fi
	# The file of before may not say what wants it: the links of ours would stay.
	if [ "$enabled" = no ] || [ "$own" = yes ]; then systemctl disable -- "$unit" || exit 1; fi
	if [ "$masked" = no ]; then systemctl unmask -- "$unit" || exit 1; fi
fi
if [ "$own" = yes ]; then
	dmp_put_back unit "/etc/systemd/system/$unit"
	systemctl daemon-reload || exit 1
fi
if known; then
	if [ "$enabled" = yes ]; then systemctl enable -- "$unit" || exit 1; fi
	if [ "$running" = yes ]; then systemctl restart -- "$unit" || exit 1; fi
	if [ "$masked" = yes ]; then systemctl mask -- "$unit" || exit 1; fi
fi
dmp_done
"#
);

#[cfg(test)]
mod tests {
    use dmp_sdk::Purpose;

    use super::*;
    use crate::on_host::tests::{self, a_machine, found, parse, plan, steps, value};

    fn config(given: &[(&str, Value)]) -> Value {
        let all = [
            &[("host", a_machine().to_value()), ("name", "nginx".into())],
            given,
        ]
        .concat();
        value(HostService::new().schema(), &all)
    }

    fn read(config: &Value, active: &str, enabled: &str, file: &str) -> Value {
        let stdout =
            format!("LoadState=loaded\nActiveState={active}\nUnitFileState={enabled}\n---\n{file}");
        found(
            parse(
                &HostService::new(),
                config,
                Purpose::Refresh,
                stdout.as_bytes(),
            )
            .expect("parses"),
        )
    }

    fn titles(
        verb: Verb,
        prior: Option<&Value>,
        wanted: Option<&Value>,
        earlier: Option<&Value>,
    ) -> Vec<String> {
        tests::titles(steps(&HostService::new(), verb, prior, wanted, earlier))
    }

    #[test]
    fn only_what_differs_is_done_and_what_is_not_given_stays() {
        let config = config(&[("enabled", true.into()), ("running", true.into())]);
        let whole = read(&config, "active", "enabled", "none\n");
        assert_eq!(
            plan(&HostService::new(), &config, Some(&whole), None)
                .expect("plans")
                .value,
            whole
        );
        let stopped = read(&config, "failed", "enabled", "none\n");
        let planned = plan(&HostService::new(), &config, Some(&stopped), None)
            .expect("plans")
            .value;
        assert_eq!(
            titles(Verb::Update, Some(&stopped), Some(&planned), None),
            ["start nginx.service"]
        );
    }

    #[test]
    fn a_changed_value_restarts_and_the_plan_says_so() {
        let config = config(&[("running", true.into()), ("restart_on", "sha-2".into())]);
        let prior = read(&config, "active", "enabled", "none\n").with("restart_on", "sha-1".into());
        let planned = plan(&HostService::new(), &config, Some(&prior), None).expect("plans");
        assert_eq!(planned.effects, ["restarts nginx.service"]);
        assert_eq!(
            titles(Verb::Update, Some(&prior), Some(&planned.value), None),
            ["restart nginx.service"]
        );
    }

    #[test]
    fn a_value_to_be_read_anew_reloads_unless_something_restarts() {
        let given = [
            ("running", true.into()),
            ("reload_on", "sha-2".into()),
            ("restart_on", "1.0".into()),
        ];
        let config = config(&given);
        let prior = read(&config, "active", "enabled", "none\n").with("reload_on", "sha-1".into());
        let done = |prior: &Value| {
            let planned = plan(&HostService::new(), &config, Some(prior), None).expect("plans");
            let titles = titles(Verb::Update, Some(prior), Some(&planned.value), None);
            (titles, planned.effects, planned.notes.len())
        };
        let reload = vec!["reload nginx.service".to_owned()];
        assert_eq!(done(&prior), (reload, Vec::new(), 1));
        let older = prior.with("restart_on", "0.9".into());
        let restart = vec!["restart nginx.service".to_owned()];
        let effect = vec!["restarts nginx.service".to_owned()];
        assert_eq!(done(&older), (restart, effect, 0));
    }

    #[test]
    fn a_new_unit_is_written_before_it_is_enabled_and_started() {
        let config = config(&[
            ("unit", "[Service]\n".into()),
            ("enabled", true.into()),
            ("running", true.into()),
        ]);
        let null = Value::null();
        assert_eq!(
            titles(Verb::Create, None, Some(&config), Some(&null)),
            [
                "write the unit nginx.service",
                "enable nginx.service",
                "start nginx.service"
            ]
        );
        let prior = read(&config, "active", "enabled", "file\n[Service]\nOld=1\n");
        assert_eq!(
            titles(
                Verb::Update,
                Some(&prior),
                Some(&config.with("masked", false.into())),
                None
            ),
            [
                "write the unit nginx.service",
                "enable nginx.service",
                "restart nginx.service"
            ]
        );
        assert_eq!(
            titles(Verb::Delete, Some(&prior), None, Some(&null)),
            ["stop and disable nginx.service"]
        );
        assert_eq!(
            titles(Verb::Delete, Some(&prior), None, Some(&prior)),
            ["put nginx.service back to its state of before"]
        );
    }
}
