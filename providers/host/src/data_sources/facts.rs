//! `data "host_facts"`: what a machine is and has, and how it is just now.

use dmp_sdk::{
    Answers, Attribute, DataReading, DataSource, Diagnostic, Fetch, Schema, Type, Value,
};

use super::{fetch, host_attribute};
use crate::facts::{machine, survey};
use crate::on_host::unreadable;

/// The data source.
pub(crate) struct Facts {
    schema: Schema,
}

impl Facts {
    pub(crate) fn new() -> Self {
        let os = Type::object_of_optional([
            ("id", Type::String),
            ("version_id", Type::String),
            ("codename", Type::String),
        ]);
        let disk = Type::object_of_optional([
            ("name", Type::String),
            ("bytes", Type::Number),
            ("rotational", Type::Bool),
            ("model", Type::String),
        ]);
        let address = Type::object_of_optional([
            ("interface", Type::String),
            ("address", Type::String),
            ("prefix", Type::Number),
        ]);
        let mount = Type::object_of_optional([
            ("path", Type::String),
            ("device", Type::String),
            ("type", Type::String),
            ("bytes", Type::Number),
            ("free_bytes", Type::Number),
        ]);
        let time = Type::object_of_optional([
            ("unix", Type::Number),
            ("zone", Type::String),
            ("synchronized", Type::Bool),
        ]);
        let schema = Schema::new("host_facts", "What a machine is and has, and how it is just now: read anew in every plan.")
            .attribute("host", host_attribute())
            .attribute("hostname", Attribute::computed(Type::String, "The machine's own name."))
            .attribute("os", Attribute::computed(os, "The operating system: `id` (`debian`), `version_id` (`12`), `codename` (`bookworm`)."))
            .attribute("kernel", Attribute::computed(Type::String, "The kernel's release."))
            .attribute("architecture", Attribute::computed(Type::String, "The hardware's name, such as `x86_64`."))
            .attribute("cores", Attribute::computed(Type::Number, "Processors."))
            .attribute("memory_mib", Attribute::computed(Type::Number, "Memory in MiB."))
            .attribute("memory_available_mib", Attribute::computed(Type::Number, "Memory that programs can still have, in MiB."))
            .attribute("virtualization", Attribute::computed(Type::String, "As `systemd-detect-virt` names it: `none`, `kvm`, `lxc`; null without it."))
            .attribute("disks", Attribute::computed(Type::list(disk), "Disks by `name` (`sda`): `bytes`, `rotational`, `model`."))
            .attribute("addresses", Attribute::computed(Type::list(address), "IP addresses beside those of loopback and link: `interface`, `address`, `prefix` (its length)."))
            .attribute("mounts", Attribute::computed(Type::list(mount), "Mounted local file systems by `path`: `device`, `type`, `bytes`, `free_bytes`. What lies in memory is left out."))
            .attribute("time", Attribute::computed(time, "Its clock: `unix` (seconds since 1970), `zone` (`Europe/Berlin`), `synchronized` with a time server."))
            .attribute("uptime_seconds", Attribute::computed(Type::Number, "Seconds since its last boot."))
            .attribute("needs_reboot", Attribute::computed(Type::Bool, "Whether its packages ask for a reboot (`/run/reboot-required`)."));
        Self { schema }
    }
}

impl DataSource for Facts {
    fn schema(&self) -> &Schema {
        &self.schema
    }

    fn fetches(&self, config: &Value) -> Result<Vec<Fetch>, Diagnostic> {
        let mut fetches = fetch(config, machine::script())?;
        fetches.extend(fetch(config, survey::script())?);
        Ok(fetches)
    }

    fn parse(&self, config: &Value, answers: Answers<'_>) -> Result<DataReading, Diagnostic> {
        let (base, now) = (answers.output(0)?, answers.output(1)?);
        if !base.is_success() {
            return Err(unreadable("a machine's facts", base));
        }
        let facts = machine::parse(&base.text());
        let survey = survey::parse(&now.text());
        Ok(DataReading::Value(
            config
                .with("hostname", facts.hostname.as_str().into())
                .with("os", facts.os())
                .with("kernel", facts.kernel.into())
                .with("architecture", facts.architecture.into())
                .with("cores", facts.cores.into())
                .with("memory_mib", facts.memory_mib.into())
                .with("memory_available_mib", survey.memory_available_mib.into())
                .with("virtualization", survey.virtualization.clone().into())
                .with("disks", disks(&survey))
                .with("addresses", addresses(&survey))
                .with("mounts", mounts(&survey))
                .with("time", time(&survey))
                .with("uptime_seconds", survey.uptime_seconds.into())
                .with("needs_reboot", survey.needs_reboot.into()),
        ))
    }
}

fn disks(survey: &survey::Survey) -> Value {
    let value = |disk: &survey::Disk| {
        Value::object_of([
            ("name", disk.name.as_str().into()),
            ("bytes", disk.bytes.into()),
            ("rotational", disk.is_rotational.into()),
            ("model", disk.model.clone().into()),
        ])
    };
    Value::list(survey.disks.iter().map(value).collect())
}

fn addresses(survey: &survey::Survey) -> Value {
    let value = |address: &survey::HostAddress| {
        Value::object_of([
            ("interface", address.interface.as_str().into()),
            ("address", address.address.as_str().into()),
            ("prefix", address.prefix.into()),
        ])
    };
    Value::list(survey.addresses.iter().map(value).collect())
}

fn mounts(survey: &survey::Survey) -> Value {
    let value = |mount: &survey::Mount| {
        Value::object_of([
            ("path", mount.path.as_str().into()),
            ("device", mount.device.as_str().into()),
            ("type", mount.kind.as_str().into()),
            ("bytes", mount.bytes.into()),
            ("free_bytes", mount.free_bytes.into()),
        ])
    };
    Value::list(survey.mounts.iter().map(value).collect())
}

fn time(survey: &survey::Survey) -> Value {
    let synchronized = survey.is_synchronized.map_or_else(Value::null, Value::from);
    Value::object_of([
        ("unix", survey.time.into()),
        ("zone", survey.zone.clone().into()),
        ("synchronized", synchronized),
    ])
}
