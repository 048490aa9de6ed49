//! `host_updates`: security updates, those that wait now and those to come.
//!
//! Every machine has some state of this, so the object is always found. What waits is told in the plan, by the package lists
//! that the machine has; an apply fetches them anew before it installs.

use std::time::Duration;

use dmp_sdk::{
    Answers, Attribute, Change, Claim, Diagnostic, Effect, Fetch, Job, Known, MarkWay, Object,
    Purpose, Reading, Resource, Schema, Script, Step, Type, Value, Verb, Work,
};

use crate::facts::updates::{self, Update};
use crate::on_host::{
    fetch, flag, host_attribute, import_of_machine, known_machine, list_value, machine,
    optional_text, plan_host, texts, unreadable, wrong,
};

/// The resource type.
pub(crate) struct HostUpdates {
    schema: Schema,
}

impl HostUpdates {
    pub(crate) fn new() -> Self {
        let schema = Schema::new(
            "host_updates",
            "Security updates of a Debian machine: those that wait are installed by an apply, those to come by the machine \
             itself (`unattended-upgrades`, whose package it needs for that).",
        )
        .mark(MarkWay::NaturalKey(&["host"]))
        .on_delete("The settings for unattended updates are removed; what is installed stays.")
        .attribute("host", host_attribute())
        .attribute("now", Attribute::default(Type::Bool, "Whether an apply installs what waits.", true))
        .attribute("unattended", Attribute::default(Type::Bool, "Whether the machine installs updates by itself, each day.", true))
        .attribute("reboot_time", Attribute::optional(Type::String, "When the machine reboots by itself after an update that needs it: `03:30`. Not given: never."))
        .attribute("exclude", Attribute::default(Type::set(Type::String), "Packages that are left as they are; `*` stands for any letters.", Value::set(Vec::new())))
        .attribute("pending", Attribute::computed(Type::list(Type::String), "Security updates that wait: `openssl 3.0.15-1 -> 3.0.17-1`."))
        .attribute("configured", Attribute::computed(Type::Bool, "Whether the machine's settings are as wanted."));
        Self { schema }
    }
}

/// Whether a package's name fits a pattern in which `*` stands for any letters.
fn fits(pattern: &str, name: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == name,
        Some((front, back)) => name.strip_prefix(front).is_some_and(|rest| {
            (0..=rest.len()).any(|from| rest.is_char_boundary(from) && fits(back, &rest[from..]))
        }),
    }
}

/// The file of apt's settings.
fn file(attributes: &Value) -> String {
    let mut text = "// Managed by dmp.\n".to_owned();
    let switch = if flag(attributes, "unattended") {
        "1"
    } else {
        "0"
    };
    for name in ["Update-Package-Lists", "Unattended-Upgrade"] {
        text.push_str(&format!("APT::Periodic::{name} \"{switch}\";\n"));
    }
    let time = optional_text(attributes, "reboot_time");
    text.push_str(&format!(
        "Unattended-Upgrade::Automatic-Reboot \"{}\";\n",
        time.is_some()
    ));
    if let Some(time) = time {
        text.push_str(&format!(
            "Unattended-Upgrade::Automatic-Reboot-Time \"{time}\";\n"
        ));
    }
    let exclude = texts(attributes, "exclude");
    if !exclude.is_empty() {
        text.push_str("Unattended-Upgrade::Package-Blacklist {\n");
        for pattern in exclude {
            // There they are regular expressions.
            let pattern = pattern
                .replace('.', "\\\\.")
                .replace('+', "\\\\+")
                .replace('*', ".*");
            text.push_str(&format!("\t\"^{pattern}$\";\n"));
        }
        text.push_str("};\n");
    }
    text
}

/// What a file of settings says: whether updates are unattended, when the machine reboots for them, what is left out.
fn settings_of(text: &str) -> (bool, Option<String>, Vec<String>) {
    let value_of = |name: &str| {
        let lines = text.lines().filter_map(|line| line.strip_prefix(name));
        let value = |rest: &str| {
            Some(
                rest.trim()
                    .strip_prefix('"')?
                    .strip_suffix("\";")?
                    .to_owned(),
            )
        };
        lines.filter_map(value).next_back()
    };
    let is_on = |name: &str, on: &str| value_of(name).as_deref() == Some(on);
    let reboots = is_on("Unattended-Upgrade::Automatic-Reboot ", "true");
    let pattern = |line: &str| {
        let pattern = line.strip_prefix("\t\"^")?.strip_suffix("$\";")?;
        // Plain dots are written with backslashes, and dots without are those of `.*`.
        let plain = pattern.replace(".*", "*");
        Some(plain.replace("\\\\*", ".*").replace("\\\\", ""))
    };
    (
        is_on("APT::Periodic::Unattended-Upgrade ", "1"),
        value_of("Unattended-Upgrade::Automatic-Reboot-Time ").filter(|_| reboots),
        text.lines().filter_map(pattern).collect(),
    )
}

fn check(attributes: &Value) -> Result<(), Diagnostic> {
    let is_letter =
        |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"+-.*".contains(&byte);
    let exclude = texts(attributes, "exclude");
    if let Some(name) = exclude
        .iter()
        .find(|name| name.is_empty() || !name.bytes().all(is_letter))
    {
        return Err(wrong(
            "exclude",
            "not a package's name",
            format!("`{name}` has a character that Debian's packages don't have"),
        ));
    }
    let Some(time) = optional_text(attributes, "reboot_time") else {
        return Ok(());
    };
    let number = |text: &str, below: u8| {
        text.len() == 2
            && text.bytes().all(|byte| byte.is_ascii_digit())
            && text.parse::<u8>().is_ok_and(|number| number < below)
    };
    match time.split_once(':') {
        Some((hours, minutes)) if number(hours, 24) && number(minutes, 60) => Ok(()),
        _ => Err(wrong(
            "reboot_time",
            "not a time",
            format!("`{time}` is not written as `03:30`"),
        )),
    }
}

impl Resource for HostUpdates {
    fn schema(&self) -> &Schema {
        &self.schema
    }

    fn fetches(&self, known: &Known<'_>) -> Result<Vec<Fetch>, Diagnostic> {
        fetch(known, &[], updates::script)
    }

    fn parse(&self, known: &Known<'_>, answers: Answers<'_>) -> Result<Reading, Diagnostic> {
        let output = answers.output(0)?;
        let found = updates::parse(&output.text()).filter(|_| output.is_success());
        let found = found.ok_or_else(|| unreadable("the updates that wait", output))?;
        if known.purpose == Purpose::Import && found.file.is_none() {
            return Ok(Reading::Absent);
        }
        let exclude = texts(known.attributes, "exclude");
        let is_wanted =
            |update: &&Update| !exclude.iter().any(|pattern| fits(pattern, &update.package));
        let words =
            |update: &Update| format!("{} {} -> {}", update.package, update.from, update.to);
        let pending = found.security.iter().filter(is_wanted).map(words).collect();
        let is_configured = found
            .file
            .as_ref()
            .is_some_and(|text| *text == file(known.attributes));
        let settings = found.file.as_deref().map(settings_of);
        let (unattended, reboot_time, excluded) = settings.unwrap_or_default();
        let excluded = excluded.into_iter().map(Value::from).collect();
        Ok(Reading::Found(Object {
            attributes: known
                .attributes
                .with("unattended", unattended.into())
                .with("reboot_time", reboot_time.into())
                .with("exclude", Value::set(excluded))
                .with("pending", list_value(pending))
                .with("configured", is_configured.into()),
            id: None,
        }))
    }

    fn plan(&self, change: &mut Change<'_>) -> Result<(), Diagnostic> {
        plan_host(change);
        if ["exclude", "reboot_time"]
            .iter()
            .all(|name| change.planned.get(name).is_wholly_known())
        {
            check(&change.planned)?;
        }
        change.set("configured", true.into());
        let found = change.prior.or(change.earlier);
        let pending = found
            .map(|found| texts(found, "pending"))
            .unwrap_or_default();
        if !change.planned.get("now").is_known() {
            change.unknown("pending");
            return Ok(());
        }
        if !flag(&change.planned, "now") {
            change.set("pending", list_value(pending));
            return Ok(());
        }
        change.set("pending", Value::list(Vec::new()));
        if pending.is_empty() {
            return Ok(());
        }
        let names: Vec<&str> = pending
            .iter()
            .filter_map(|update| update.split(' ').next())
            .collect();
        change.effect(Effect::Restart {
            what: format!("services of {}", names.join(", ")),
        });
        if names.iter().any(|name| name.starts_with("linux-image")) {
            change.note("the new kernel runs after the next reboot: `host_reboot` makes one");
        }
        Ok(())
    }

    fn import(&self, id: &str, attributes: &Value) -> Result<Value, Diagnostic> {
        import_of_machine(id, attributes)
    }

    fn claims(&self, value: &Value) -> Vec<Claim> {
        let on = machine(value).ok().flatten();
        on.iter().map(|on| Claim::whole(on, FILE)).collect()
    }

    fn work(&self, job: &Job<'_>) -> Result<Work, Diagnostic> {
        if job.verb == Verb::Delete {
            let on = known_machine(job.prior()?)?;
            let step = Step::new(
                "remove the settings for unattended updates",
                &on,
                Script::new(REMOVE),
            );
            return Ok(Work::Steps(vec![step]));
        }
        let wanted = job.wanted()?;
        let on = known_machine(wanted)?;
        let found = job.prior.or(job.earlier);
        let waits = found
            .map(|found| texts(found, "pending"))
            .unwrap_or_default();
        let mut steps = Vec::new();
        if !found.is_some_and(|found| flag(found, "configured") && file(found) == file(wanted)) {
            let write = Script::new(CONFIGURE)
                .var(
                    "unattended",
                    if flag(wanted, "unattended") {
                        "yes"
                    } else {
                        "no"
                    },
                )
                .stdin(file(wanted).into_bytes());
            steps.push(Step::new(
                "write the settings for unattended updates",
                &on,
                write,
            ));
        }
        if flag(wanted, "now") && (!waits.is_empty() || job.verb == Verb::Create) {
            let exclude = texts(wanted, "exclude").join("\n");
            let install = Script::new(INSTALL).var("exclude", exclude);
            let title = match waits.len() {
                0 => "install the security updates that wait".to_owned(),
                1 => format!("install the security update of {}", waits[0]),
                many => format!("install {many} security updates"),
            };
            steps.push(Step::new(title, &on, install).within(Duration::from_secs(3600)));
        }
        Ok(Work::Steps(steps))
    }
}

const FILE: &str = "/etc/apt/apt.conf.d/52dmp-updates";

const CONFIGURE: &str = r#"
if [ "$unattended" = yes ] && ! command -v unattended-upgrade >/dev/null 2>&1; then
	echo "there is no unattended-upgrade: install the package unattended-upgrades" >&2
	exit 1
fi
umask 022
file=/etc/apt/apt.conf.d/52dmp-updates
cat >"$file.dmp-new" || exit 1
if ! apt-config -c "$file.dmp-new" dump >/dev/null; then
	rm -f -- "$file.dmp-new"
	exit 1
fi
mv -f -- "$file.dmp-new" "$file"
"#;

const INSTALL: &str = r#"
export DEBIAN_FRONTEND=noninteractive APT_LISTCHANGES_FRONTEND=none NEEDRESTART_MODE=l
apt() {
	apt-get -q -y -o DPkg::Lock::Timeout=600 -o APT::Color=0 -o Dpkg::Use-Pty=0 "$@"
}
if [ -n "$(dpkg --audit)" ]; then
	echo "finishes what dpkg has not finished" >&2
	dpkg --force-confold --force-confdef --configure -a >&2 || exit 1
fi
apt -o APT::Update::Error-Mode=any update || exit 1
names=$(apt-get -q -s --with-new-pkgs upgrade | sed -n 's/^Inst \([^ ]*\) \[[^]]*\] ([^ ]* \([^[)]*\).*/\1 \2/p' | grep -i security | sed 's/ .*//') || names=
set -f
for name in $names; do
	for pattern in $exclude; do
		case $name in $pattern) continue 2 ;; esac
	done
	set -- "$@" "$name"
done
[ $# != 0 ] || exit 0
apt -o Dpkg::Options::=--force-confold -o Dpkg::Options::=--force-confdef install --only-upgrade -- "$@"
"#;

const REMOVE: &str = "rm -f -- /etc/apt/apt.conf.d/52dmp-updates";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::on_host::tests::{a_machine, found, parse, plan, value};

    fn config(given: &[(&str, Value)]) -> Value {
        let host = [("host", a_machine().to_value())];
        value(HostUpdates::new().schema(), &[given, &host].concat())
    }

    fn set(texts: &[&str]) -> Value {
        Value::set(texts.iter().map(|text| (*text).into()).collect())
    }

    #[test]
    fn what_a_file_says_is_what_it_was_made_of() {
        let given = [
            ("unattended", true.into()),
            ("reboot_time", "03:30".into()),
            ("exclude", set(&["linux-image*", "lib+x.y", "a.*"])),
        ];
        let config = config(&given);
        let (unattended, time, mut excluded) = settings_of(&file(&config));
        excluded.sort();
        let wanted = ["a.*", "lib+x.y", "linux-image*"].map(str::to_owned);
        assert_eq!((unattended, time.as_deref()), (true, Some("03:30")));
        assert_eq!(excluded, wanted);
        assert_eq!(settings_of("// x\n"), (false, None, Vec::new()));
    }

    const WAITS: &str = "== upgrade\nInst openssl [1] (2 Debian-Security:12/stable-security [amd64])\n\
        Inst linux-image-amd64 [6.1] (6.2 Debian-Security:12/stable-security [amd64])\n";

    #[test]
    fn what_waits_is_told_before_it_is_installed_and_what_is_excluded_is_not() {
        let updates = HostUpdates::new();
        let config = config(&[("exclude", set(&["linux-image*"]))]);
        let earlier = parse(&updates, &config, Purpose::BeforeCreate, WAITS.as_bytes());
        let earlier = found(earlier.expect("parses"));
        assert_eq!(texts(&earlier, "pending"), ["openssl 1 -> 2"]);
        let planned = plan(&updates, &config, None, Some(&earlier)).expect("plans");
        assert_eq!(planned.effects, ["restarts services of openssl"]);
        assert!(planned.notes.is_empty());
        let settings = file(&config);
        assert!(settings.contains("\t\"^linux-image.*$\";\n"), "{settings}");
        let whole = format!("configured\n{settings}== upgrade\n");
        let whole = parse(&updates, &config, Purpose::Refresh, whole.as_bytes());
        assert_eq!(
            found(whole.expect("parses")),
            planned.value,
            "the second plan is empty"
        );
    }

    #[test]
    fn settings_that_are_there_are_imported_by_the_address_of_the_machine() {
        let updates = HostUpdates::new();
        let config = config(&[]);
        let read = |said: &str| parse(&updates, &config, Purpose::Import, said.as_bytes());
        assert!(matches!(read("== upgrade\n"), Ok(Reading::Absent)));
        let theirs = found(read("configured\n// x\n== upgrade\n").expect("parses"));
        assert_eq!(theirs.get("configured"), false.into());
        assert!(updates.import("10.0.0.1", &config).is_ok());
        assert!(updates.import("10.0.0.2", &config).is_err());
    }

    #[test]
    fn a_new_kernel_asks_for_a_reboot_and_who_waits_is_only_told() {
        let updates = HostUpdates::new();
        let read = |config: &Value| {
            found(parse(&updates, config, Purpose::Refresh, WAITS.as_bytes()).expect("parses"))
        };
        let now = config(&[]);
        let planned = plan(&updates, &now, Some(&read(&now)), None).expect("plans");
        assert!(planned.notes[0].contains("next reboot"));
        let later = config(&[("now", false.into())]);
        let whole = format!("configured\n{}{WAITS}", file(&later));
        let whole = parse(&updates, &later, Purpose::Refresh, whole.as_bytes());
        let prior = found(whole.expect("parses"));
        let planned = plan(&updates, &later, Some(&prior), None).expect("plans");
        assert_eq!(planned.value, prior);
    }

    #[test]
    fn times_and_names_that_can_not_be_are_refused() {
        let updates = HostUpdates::new();
        for given in [
            ("reboot_time", "3:30".into()),
            ("reboot_time", "24:00".into()),
            ("exclude", set(&["a b"])),
        ] {
            assert!(plan(&updates, &config(&[given]), None, None).is_err());
        }
        plan(
            &updates,
            &config(&[("reboot_time", "23:59".into())]),
            None,
            None,
        )
        .expect("is one");
    }
}
