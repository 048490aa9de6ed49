//! `host_kernel_module`: a module in the kernel, now and at boot.

use dmp_sdk::{
    Answers, Attribute, Change, Claim, Diagnostic, Fetch, Job, Known, MarkWay, Object, Purpose,
    Reading, Resource, Schema, Script, Step, Type, Value, Verb, Work,
};

use crate::facts::module;
use crate::on_host::{
    fetch, flag, host_attribute, known_machine, plan_host, text, unreadable, whole_files, wrong,
};

/// The resource type.
pub(crate) struct HostKernelModule {
    schema: Schema,
}

impl HostKernelModule {
    pub(crate) fn new() -> Self {
        let schema = Schema::new("host_kernel_module", "A kernel module that is loaded now and at every boot.")
            .mark(MarkWay::NaturalKey(&["host", "name"]))
            .on_delete("It is no longer loaded at boot; a module that dmp loaded is unloaded unless it is in use.")
            .attribute("host", host_attribute())
            .attribute("name", Attribute::required(Type::String, "The module: `br_netfilter`.").replaces().unique())
            .attribute("options", Attribute::optional(Type::String, "Its options, as in `modprobe.d`. They take effect when it is loaded the next time."))
            .attribute("loaded", Attribute::computed(Type::Bool, "Whether it is in the kernel."))
            .attribute("at_boot", Attribute::computed(Type::Bool, "Whether `/etc/modules-load.d/dmp-NAME.conf` loads it."));
        Self { schema }
    }
}

impl Resource for HostKernelModule {
    fn schema(&self) -> &Schema {
        &self.schema
    }

    fn fetches(&self, known: &Known<'_>) -> Result<Vec<Fetch>, Diagnostic> {
        fetch(known, &["name"], || {
            module::script(&text(known.attributes, "name"))
        })
    }

    fn parse(&self, known: &Known<'_>, answers: Answers<'_>) -> Result<Reading, Diagnostic> {
        let output = answers.output(0)?;
        if !output.is_success() {
            return Err(unreadable("a kernel module", output));
        }
        let name = text(known.attributes, "name");
        let found = module::parse(&name, &output.text());
        // Before dmp a loaded module is something; later dmp's file is what makes it dmp's.
        let is_there =
            found.is_at_boot || (found.is_loaded && known.purpose == Purpose::BeforeCreate);
        if !is_there {
            return Ok(Reading::Absent);
        }
        let attributes = known
            .attributes
            .with("options", found.options.into())
            .with("loaded", found.is_loaded.into())
            .with("at_boot", found.is_at_boot.into());
        Ok(Reading::Found(Object {
            attributes,
            id: Some(name),
        }))
    }

    fn plan(&self, change: &mut Change<'_>) -> Result<(), Diagnostic> {
        plan_host(change);
        let is_name = |name: &str| {
            let mut bytes = name.bytes();
            !name.is_empty()
                && bytes.all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-')
        };
        if change
            .planned
            .get("name")
            .as_str()
            .is_some_and(|name| !is_name(name))
        {
            return Err(wrong(
                "name",
                "not a module's name",
                "letters, digits, `_` and `-`",
            ));
        }
        change.set("loaded", true.into());
        change.set("at_boot", true.into());
        let is_loaded = change
            .prior
            .or(change.earlier)
            .is_some_and(|found| flag(found, "loaded"));
        if is_loaded
            && change
                .prior
                .or(change.earlier)
                .map(|found| found.get("options"))
                != Some(change.planned.get("options"))
        {
            change.note(
                "the module is loaded: other options take effect when it is loaded the next time",
            );
        }
        Ok(())
    }

    fn claims(&self, value: &Value) -> Vec<Claim> {
        whole_files(value, "name", |name| {
            ["modules-load.d", "modprobe.d"]
                .map(|folder| format!("/etc/{folder}/dmp-{name}.conf"))
                .into()
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
        let step = if job.verb == Verb::Delete {
            let was_loaded = job.earlier.is_some_and(|earlier| flag(earlier, "loaded"));
            let run = Script::new(REMOVE)
                .var("name", name.clone())
                .var("unload", if was_loaded { "no" } else { "yes" });
            Step::new(format!("no longer load the module {name}"), &on, run)
        } else {
            let run = Script::new(LOAD)
                .var("name", name.clone())
                .var("options", text(of, "options"));
            Step::new(format!("load the module {name}"), &on, run)
        };
        let is_recorded_only = job.verb == Verb::Update
            && job.prior.is_some_and(|prior| {
                ["options", "loaded", "at_boot"]
                    .iter()
                    .all(|name| prior.get(name) == of.get(name))
            });
        Ok(Work::Steps(if is_recorded_only {
            Vec::new()
        } else {
            vec![step]
        }))
    }
}

const LOAD: &str = r#"
if [ -n "$options" ]; then
	printf 'options %s %s\n' "$name" "$options" >"/etc/modprobe.d/dmp-$name.conf" || exit 1
else
	rm -f -- "/etc/modprobe.d/dmp-$name.conf"
fi
modprobe -- "$name" || exit 1
mkdir -p /etc/modules-load.d && printf '%s\n' "$name" >"/etc/modules-load.d/dmp-$name.conf"
"#;

const REMOVE: &str = r#"
rm -f -- "/etc/modules-load.d/dmp-$name.conf" "/etc/modprobe.d/dmp-$name.conf" || exit 1
[ "$unload" = yes ] || exit 0
underscored=$(printf %s "$name" | tr - _)
set -- $(grep "^$underscored " /proc/modules)
[ "$#" -gt 2 ] || exit 0
if [ "$3" = 0 ]; then
	modprobe -r -- "$name" || echo "$name can't be unloaded; it stays until the next boot" >&2
else
	echo "$name is in use; it stays until the next boot" >&2
fi
exit 0
"#;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::on_host::tests::{a_machine, found, parse, plan, value};

    #[test]
    fn a_module_that_is_only_loaded_is_something_before_dmp_and_drift_afterwards() {
        let module = HostKernelModule::new();
        let given = [("host", a_machine().to_value()), ("name", "overlay".into())];
        let config = value(module.schema(), &given);
        let read =
            |purpose, stdout: &[u8]| parse(&module, &config, purpose, stdout).expect("parses");
        let earlier = found(read(Purpose::BeforeCreate, b"loaded\n---\n"));
        assert!(flag(&earlier, "loaded") && !flag(&earlier, "at_boot"));
        assert!(matches!(
            read(Purpose::Refresh, b"loaded\n---\n"),
            Reading::Absent
        ));
        let whole = found(read(Purpose::Refresh, b"loaded\noverlay\n---\n"));
        assert_eq!(
            plan(&module, &config, Some(&whole), None)
                .expect("plans")
                .value,
            whole
        );
        let unloaded = found(read(Purpose::Refresh, b"absent\noverlay\n---\n"));
        assert_ne!(
            plan(&module, &config, Some(&unloaded), None)
                .expect("plans")
                .value,
            unloaded
        );
    }
}
