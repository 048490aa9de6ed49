//! `openstack_quotas`: what the project may have, and what of it is used.

use dmp_sdk::{Attribute, Layer, Members, Schema, Type, Value};
use serde_json::Value as Json;

use super::Listing;
use crate::cloud::Question;
use crate::preflight::quota::{BLOCK_STORAGE, COMPUTE, Quota, of_limits};
use crate::session::Service;

pub(super) fn quotas() -> Listing {
    let quota = Type::object([
        ("limit", Type::Number),
        ("used", Type::Number),
        ("free", Type::Number),
    ]);
    let map = |doc| Attribute::computed(Type::map(quota.clone()), doc);
    let schema = Schema::new("openstack_quotas", "What the project may have, what of it is used and what is free; without a limit `limit` and `free` are null.")
        .layer(Layer::Machine)
        .attribute("compute", map("Of Nova: `instances`, `cores`, `memory_mib`, `server_groups`."))
        .attribute("block_storage", map("Of Cinder: `volumes`, `gigabytes`, `snapshots`."));
    Listing {
        schema,
        questions: |_| {
            [Service::Compute, Service::BlockStorage]
                .map(|service| Question::One {
                    service,
                    path: "/limits".into(),
                })
                .to_vec()
        },
        make: |config, answers| {
            let empty = Json::Null;
            let answer = |at: usize| answers.get(at).copied().unwrap_or(&empty);
            Ok(config
                .with("compute", as_map(&of_limits(answer(0), COMPUTE)))
                .with(
                    "block_storage",
                    as_map(&of_limits(answer(1), BLOCK_STORAGE)),
                ))
        },
    }
}

fn as_map(quotas: &[Quota]) -> Value {
    let member = |quota: &Quota| {
        let value = Value::object_of([
            ("limit", quota.limit.into()),
            ("used", quota.used.into()),
            ("free", quota.free().into()),
        ]);
        (quota.name.into(), value)
    };
    Value::map(quotas.iter().map(member).collect::<Members>())
}
