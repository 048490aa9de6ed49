//! `openstack_flavor`: a size of servers, by name, or the smallest that is large enough.

use dmp_sdk::{Attribute, Diagnostic, Layer, Schema, Type, Value};
use serde_json::Value as Json;

use super::{Listing, asked, not_one};
use crate::cloud::Question;
use crate::session::Service;
use crate::values::{items, number, text, text_at, value_of};

const ASKED: &[&str] = &[
    "id",
    "name",
    "min_cores",
    "min_memory_mib",
    "min_disk_gib",
    "extra_specs",
];

pub(super) fn flavor() -> Listing {
    let number = |doc| Attribute::optional(Type::Number, doc);
    let schema = Schema::new("openstack_flavor", "A size of servers: the one that is named, or the smallest that is large enough (by memory, then cores, then disk).")
        .layer(Layer::Machine)
        .attribute("id", Attribute::optional_computed(Type::String, "Its id."))
        .attribute("name", Attribute::optional_computed(Type::String, "Its name."))
        .attribute("min_cores", number("How many cores it has at least."))
        .attribute("min_memory_mib", number("How much memory it has at least."))
        .attribute("min_disk_gib", number("How large its disk is at least; 0 for those that boot from volumes."))
        .attribute("extra_specs", Attribute::optional(Type::map(Type::String), "Extra specifications that it has."))
        .attribute("cores", Attribute::computed(Type::Number, "Its cores."))
        .attribute("memory_mib", Attribute::computed(Type::Number, "Its memory."))
        .attribute("disk_gib", Attribute::computed(Type::Number, "Its disk."))
        .attribute("is_public", Attribute::computed(Type::Bool, "Whether all projects may use it."));
    Listing {
        schema,
        questions: |_| {
            vec![Question::list(
                Service::Compute,
                "/flavors/detail",
                "flavors",
            )]
        },
        make,
    }
}

fn size(flavor: &Json) -> (Option<i64>, Option<i64>, Option<i64>) {
    (
        number(flavor, "ram"),
        number(flavor, "vcpus"),
        number(flavor, "disk"),
    )
}

fn make(config: &Value, answers: &[&Json]) -> Result<Value, Diagnostic> {
    let flavors = answers
        .first()
        .map(|answer| items(answer))
        .unwrap_or_default();
    let at_least = |flavor: &Json, name: &str, member: &str| {
        let least = config.get(name).as_i64().unwrap_or(0);
        number(flavor, member).unwrap_or(0) >= least
    };
    let specs = config.get("extra_specs");
    let has_specs = |flavor: &Json| {
        let mut wanted = specs.as_members().into_iter().flatten();
        wanted.all(|(name, value)| {
            value_of(&flavor["extra_specs"][name.as_ref()], &Type::String) == *value
        })
    };
    let is = |flavor: &Json, name: &str| {
        text_at(config, name).is_none_or(|wanted| text(flavor, name) == Some(wanted))
    };
    let mut found: Vec<&Json> = flavors
        .iter()
        .filter(|flavor| is(flavor, "id") && is(flavor, "name") && has_specs(flavor))
        .filter(|flavor| {
            at_least(flavor, "min_cores", "vcpus")
                && at_least(flavor, "min_memory_mib", "ram")
                && at_least(flavor, "min_disk_gib", "disk")
        })
        .filter(|flavor| flavor["OS-FLV-DISABLED:disabled"] != true)
        .collect();
    found.sort_by_key(|flavor| (size(flavor), text(flavor, "name")));
    let Some(flavor) = found.first() else {
        let mut known: Vec<String> = flavors
            .iter()
            .filter_map(|flavor| text(flavor, "name"))
            .collect();
        known.sort();
        return Err(not_one("flavor", &asked(config, ASKED), &[], "")
            .help(format!("there are: {}", known.join(", "))));
    };
    Ok(config
        .with("id", text(flavor, "id").into())
        .with("name", text(flavor, "name").into())
        .with("cores", number(flavor, "vcpus").into())
        .with("memory_mib", number(flavor, "ram").into())
        .with("disk_gib", number(flavor, "disk").into())
        .with(
            "is_public",
            flavor["os-flavor-access:is_public"].as_bool().into(),
        ))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::read;
    use super::*;

    #[test]
    fn the_smallest_that_is_large_enough_is_taken() {
        let flavors = json!([
            { "id": "3", "name": "large", "vcpus": 8, "ram": 16384, "disk": 80 },
            { "id": "1", "name": "tiny", "vcpus": 1, "ram": 512, "disk": 1 },
            { "id": "2", "name": "medium", "vcpus": 4, "ram": 8192, "disk": 40 },
            { "id": "4", "name": "off", "vcpus": 2, "ram": 2048, "disk": 20, "OS-FLV-DISABLED:disabled": true },
        ]);
        let config = Value::object_of([("min_cores", 2.into()), ("min_memory_mib", 1024.into())]);
        let found = read(&flavor(), &config, std::slice::from_ref(&flavors)).expect("a flavor");
        assert_eq!(found.get("name"), "medium".into());
        let huge = Value::object_of([("min_cores", 99.into())]);
        let why = read(&flavor(), &huge, &[flavors]).expect_err("none");
        assert!(why.help[0].contains("large, medium"), "{:?}", why.help);
    }
}
