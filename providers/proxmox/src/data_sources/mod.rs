//! One file per data source. Each is made of listings, which are asked once for all of them.

mod capacity;
mod guests;
mod nodes;
mod storages;
mod version;

use std::sync::Arc;

use dmp_sdk::{Answers, DataReading, DataSource, Diagnostic, Fetch, Schema, Value};
use serde_json::Value as Json;

use crate::cluster::Question;
use crate::values;

/// All of them.
pub(crate) fn all() -> Vec<Arc<dyn DataSource>> {
    vec![
        Arc::new(nodes::nodes()),
        Arc::new(storages::storages()),
        Arc::new(guests::guests()),
        Arc::new(guests::templates()),
        Arc::new(capacity::capacity()),
        Arc::new(version::version()),
    ]
}

/// A data source that is made of one listing.
struct Listing {
    schema: Schema,
    path: &'static str,
    make: fn(&Value, &Json) -> Value,
}

impl DataSource for Listing {
    fn schema(&self) -> &Schema {
        &self.schema
    }

    fn fetches(&self, _config: &Value) -> Result<Vec<Fetch>, Diagnostic> {
        Ok(vec![Question::Path(self.path.into()).fetch()?])
    }

    fn parse(&self, config: &Value, answers: Answers<'_>) -> Result<DataReading, Diagnostic> {
        Ok(DataReading::Value((self.make)(config, answers.json(0)?)))
    }
}

fn text(item: &Json, name: &str) -> Value {
    values::text(item, name).into()
}

fn number(item: &Json, name: &str) -> Value {
    values::number(item, name).into()
}

/// A number of bytes in MiB.
fn mib(item: &Json, name: &str) -> i64 {
    values::number(item, name).unwrap_or(0) >> 20
}

/// A number of bytes in GiB.
fn gib(item: &Json, name: &str) -> i64 {
    values::number(item, name).unwrap_or(0) >> 30
}

/// Whether a wish of the configuration is met; what is not set asks for nothing.
fn is_wanted(config: &Value, name: &str, found: Option<&str>) -> bool {
    let wanted = config.get(name);
    wanted.as_str().is_none_or(|wanted| Some(wanted) == found)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(name: &str, config: &Value, answer: Json) -> Value {
        let all = all();
        let source = all
            .iter()
            .find(|source| source.schema().name.as_ref() == name);
        let answers = [dmp_sdk::Answer::Api(Arc::new(answer))];
        let reading = source.expect("is offered").parse(config, Answers(&answers));
        match reading.expect("it is understood") {
            DataReading::Value(value) => value,
            DataReading::More(_) => panic!("one listing is enough"),
        }
    }

    fn resources() -> Json {
        json!([
            { "type": "node", "node": "b", "status": "online", "maxmem": 4_u64 << 30, "mem": 1_u64 << 30, "maxcpu": 8 },
            { "type": "node", "node": "a", "status": "offline", "maxmem": 4_u64 << 30 },
            { "type": "storage", "storage": "shr", "node": "b", "status": "available", "shared": 1, "content": "iso,images", "maxdisk": 9_u64 << 30, "disk": 1_u64 << 30 },
            { "type": "storage", "storage": "shr", "node": "a", "status": "unknown", "shared": 1 },
            { "type": "qemu", "vmid": 100, "name": "base", "node": "b", "template": 1, "status": "stopped" },
            { "type": "qemu", "vmid": "101", "name": "web", "node": "b", "template": 0, "status": "running", "tags": "b;a", "maxmem": 1_u64 << 30, "maxcpu": 2 },
            { "type": "lxc", "vmid": 102, "name": "dns", "node": "a", "status": "stopped" },
        ])
    }

    #[test]
    fn guests_and_templates_are_told_apart() {
        let none = Value::object_of([]);
        let guests = read("proxmox_guests", &none, resources()).get("guests");
        let guests = guests.as_items().expect("a list");
        assert_eq!(guests.len(), 2);
        assert_eq!(guests[0].get("vmid"), 101.into());
        assert_eq!(
            guests[0].get("tags").as_items().map(<[Value]>::len),
            Some(2)
        );
        let running = Value::object_of([("status", "running".into())]);
        let running = read("proxmox_guests", &running, resources()).get("guests");
        assert_eq!(running.as_items().map(<[Value]>::len), Some(1));
        let templates = read("proxmox_templates", &none, resources());
        assert_eq!(templates.get("ids").get("base"), 100.into());
    }

    #[test]
    fn capacity_counts_what_is_up_and_a_shared_storage_once() {
        let capacity = read("proxmox_capacity", &Value::object_of([]), resources());
        assert_eq!(capacity.get("memory_mib"), 4096.into());
        assert_eq!(capacity.get("free_memory_mib"), 3072.into());
        assert_eq!(capacity.get("cores"), 8.into());
        assert_eq!(capacity.get("free_gib").get("shr"), 8.into());
        let storages = read(
            "proxmox_storages",
            &Value::object_of([("content", "iso".into())]),
            resources(),
        );
        assert_eq!(
            storages.get("names").as_items().map(<[Value]>::len),
            Some(1)
        );
        let nodes = read("proxmox_nodes", &Value::object_of([]), resources());
        assert_eq!(nodes.get("online").as_items().map(<[Value]>::len), Some(1));
    }
}
