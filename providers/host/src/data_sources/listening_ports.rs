//! `data "host_listening_ports"`: who listens on a machine, for `check` blocks that hold it against what is wanted.

use dmp_sdk::{
    Answers, Attribute, DataReading, DataSource, Diagnostic, Fetch, Schema, Type, Value,
};

use super::{fetch, host_attribute};
use crate::facts::ports;
use crate::on_host::unreadable;

/// The data source.
pub(crate) struct ListeningPorts {
    schema: Schema,
}

impl ListeningPorts {
    pub(crate) fn new() -> Self {
        let port = Type::object_of_optional([
            ("protocol", Type::String),
            ("port", Type::Number),
            ("address", Type::String),
            ("local", Type::Bool),
            ("processes", Type::list(Type::String)),
        ]);
        let schema = Schema::new("host_listening_ports", "Who listens on which port of a machine, as its kernel knows it.")
            .attribute("host", host_attribute())
            .attribute("ports", Attribute::computed(Type::list(port), "In order of `protocol` (`tcp`, `udp`) and `port`: the `address` that is listened at, `local` if only the machine itself reaches it, and the names of the `processes`, of which another user than root sees only its own."));
        Self { schema }
    }
}

impl DataSource for ListeningPorts {
    fn schema(&self) -> &Schema {
        &self.schema
    }

    fn fetches(&self, config: &Value) -> Result<Vec<Fetch>, Diagnostic> {
        fetch(config, ports::script())
    }

    fn parse(&self, config: &Value, answers: Answers<'_>) -> Result<DataReading, Diagnostic> {
        let output = answers.output(0)?;
        if !output.is_success() {
            return Err(unreadable("listening ports", output));
        }
        let value = |port: ports::Port| {
            let processes = port.processes.into_iter().map(Value::from).collect();
            Value::object_of([
                ("protocol", port.protocol.into()),
                ("port", i64::from(port.port).into()),
                ("address", port.address.to_string().into()),
                ("local", port.address.is_loopback().into()),
                ("processes", Value::list(processes)),
            ])
        };
        let ports = ports::parse(&output.text());
        let ports = Value::list(ports.into_iter().map(value).collect());
        Ok(DataReading::Value(config.with("ports", ports)))
    }
}
