//! `host_sysctl`: kernel settings, in force now and after a boot.
//!
//! Both sides are read, the live values and the file. A setting always has some value, so the object is always found;
//! whether the file holds it is `persistent`.

use std::collections::BTreeMap;

use dmp_sdk::{
    Answers, Attribute, Change, Claim, Diagnostic, Fetch, Job, Known, MarkWay, Object, Reading,
    Resource, Schema, Script, Step, Type, Value, Verb, Work,
};

use crate::facts::sysctl;
use crate::kept::{keeping, with_kept};
use crate::on_host::{
    fetch, flag, host_attribute, known_machine, map_value, plan_host, text, text_map, unreadable,
    whole_files, wrong,
};

/// The resource type.
pub(crate) struct HostSysctl {
    schema: Schema,
}

impl HostSysctl {
    pub(crate) fn new() -> Self {
        let schema = Schema::new("host_sysctl", "Kernel settings of a machine, set now and kept in `/etc/sysctl.d/NAME.conf` for the next boot.")
            .mark(MarkWay::NaturalKey(&["host", "name"]))
            .on_delete("The values of before dmp are set again, and the file of that name is put back or removed.")
            .attribute("host", host_attribute())
            .attribute("name", Attribute::required(Type::String, "Name of the file, without `.conf`; later names win: `90-kubernetes`.").replaces().unique())
            .attribute("settings", Attribute::required(Type::map(Type::String), "Values by key: `\"net.ipv4.ip_forward\" = 1`."))
            .attribute("persistent", Attribute::computed(Type::Bool, "Whether the file holds exactly these settings."));
        Self { schema }
    }
}

fn normal_settings(attributes: &Value) -> BTreeMap<String, String> {
    let settings = text_map(attributes, "settings").into_iter();
    settings
        .map(|(key, value)| (key, sysctl::normal(&value)))
        .collect()
}

impl Resource for HostSysctl {
    fn schema(&self) -> &Schema {
        &self.schema
    }

    fn fetches(&self, known: &Known<'_>) -> Result<Vec<Fetch>, Diagnostic> {
        fetch(known, &["name", "settings"], || {
            let settings = text_map(known.attributes, "settings");
            let keys: Vec<&str> = settings.keys().map(String::as_str).collect();
            sysctl::script(&text(known.attributes, "name"), &keys)
        })
    }

    fn parse(&self, known: &Known<'_>, answers: Answers<'_>) -> Result<Reading, Diagnostic> {
        let output = answers.output(0)?;
        if !output.is_success() {
            return Err(unreadable("kernel settings", output));
        }
        let found = sysctl::parse(&output.text());
        let wanted = normal_settings(known.attributes);
        let is_persistent = found.file == sysctl::file(&wanted);
        let attributes = known
            .attributes
            .with("settings", map_value(found.live))
            .with("persistent", is_persistent.into());
        Ok(Reading::Found(Object {
            attributes,
            id: Some(text(known.attributes, "name")),
        }))
    }

    fn plan(&self, change: &mut Change<'_>) -> Result<(), Diagnostic> {
        plan_host(change);
        if change
            .planned
            .get("name")
            .as_str()
            .is_some_and(|name| name.contains('/') || name.is_empty())
        {
            return Err(wrong("name", "not a file's name", "a name without `/`"));
        }
        if change.planned.get("settings").is_wholly_known() {
            let settings = normal_settings(&change.planned);
            if let Some(key) = settings.keys().find(|key| !is_key(key)) {
                return Err(wrong(
                    "settings",
                    "not a kernel setting",
                    format!("`{key}` is no key such as `vm.swappiness`"),
                ));
            }
            let marks = change
                .planned
                .get("settings")
                .deep_marks()
                .without_origins();
            change.set("settings", map_value(settings).marked(&marks));
        }
        change.set("persistent", true.into());
        Ok(())
    }

    fn claims(&self, value: &Value) -> Vec<Claim> {
        whole_files(value, "name", |name| {
            vec![format!("/etc/sysctl.d/{name}.conf")]
        })
    }

    fn work(&self, job: &Job<'_>) -> Result<Work, Diagnostic> {
        let of = if job.verb == Verb::Delete {
            job.prior()?
        } else {
            job.wanted()?
        };
        let on = known_machine(of)?;
        let name = text(of, "name");
        let (title, script) = if job.verb == Verb::Delete {
            let earlier = job
                .earlier
                .map(|earlier| text_map(earlier, "settings"))
                .unwrap_or_default();
            let script = Script::new(REMOVE).stdin(sysctl::file(&earlier).into_bytes());
            ("put back the kernel settings of before".to_owned(), script)
        } else {
            let settings = normal_settings(of);
            // The values from before an update that are no longer wanted stay in force until the next boot.
            let script = Script::new(WRITE)
                .var(
                    "keep",
                    if job.verb == Verb::Create {
                        "yes"
                    } else {
                        "no"
                    },
                )
                .stdin(sysctl::file(&settings).into_bytes());
            (format!("set {} kernel settings", settings.len()), script)
        };
        let is_recorded_only = job.verb == Verb::Update
            && job.prior.is_some_and(|prior| {
                flag(prior, "persistent") && prior.get("settings") == of.get("settings")
            });
        let step = Step::new(title, &on, keeping(script.var("name", name), job.mark));
        Ok(Work::Steps(if is_recorded_only {
            Vec::new()
        } else {
            vec![step]
        }))
    }
}

fn is_key(key: &str) -> bool {
    !key.is_empty()
        && !key.starts_with('-')
        && key
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "._-/:*".contains(c))
}

const WRITE: &str = with_kept!(
    r#"
file=/etc/sysctl.d/$name.conf
if [ "$keep" = yes ]; then dmp_keep file "$file"; fi
mkdir -p /etc/sysctl.d || exit 1
cat >"$file.dmp-new" && chmod 0644 "$file.dmp-new" || exit 1
if ! sysctl -q -p "$file.dmp-new" >&2; then
	rm -f -- "$file.dmp-new"
	exit 1
fi
sync "$file.dmp-new" 2>/dev/null || :
mv -f -- "$file.dmp-new" "$file"
"#
);

const REMOVE: &str = with_kept!(
    r#"
file=/etc/sysctl.d/$name.conf
dmp_put_back file "$file"
sysctl -q -p - >&2 || exit 1
dmp_done
"#
);

#[cfg(test)]
mod tests {
    use dmp_sdk::Purpose;

    use super::*;
    use crate::on_host::tests::{a_machine, found, parse, plan, value};

    fn config() -> Value {
        let settings =
            map_value([("net.ipv4.tcp_rmem".into(), "4096  131072 6291456".into())].into());
        let given = [
            ("host", a_machine().to_value()),
            ("name", "90-x".into()),
            ("settings", settings),
        ];
        value(HostSysctl::new().schema(), &given)
    }

    #[test]
    fn live_values_and_the_file_are_both_compared() {
        let sysctl = HostSysctl::new();
        let read = |stdout: &str| {
            found(parse(&sysctl, &config(), Purpose::Refresh, stdout.as_bytes()).expect("parses"))
        };
        let planned = |prior: &Value| {
            plan(&sysctl, &config(), Some(prior), None)
                .expect("plans")
                .value
        };
        let live = "= net.ipv4.tcp_rmem 4096\t131072\t6291456\n---\n";
        let whole = read(&format!(
            "{live}# Managed by dmp.\nnet.ipv4.tcp_rmem = 4096 131072 6291456\n"
        ));
        assert_eq!(planned(&whole), whole);
        let without_file = read(live);
        assert_ne!(planned(&without_file), without_file);
        let other = read(
            "= net.ipv4.tcp_rmem 1 2 3\n---\n# Managed by dmp.\nnet.ipv4.tcp_rmem = 4096 131072 6291456\n",
        );
        assert_ne!(planned(&other), other);
    }

    #[test]
    fn what_is_no_key_is_refused() {
        let config = config().with("settings", map_value([("a b".into(), "1".into())].into()));
        assert!(plan(&HostSysctl::new(), &config, None, None).is_err());
    }
}
