//! `openstack_share_locations`: where a share of Manila is mounted from.

use dmp_sdk::{Attribute, Layer, Schema, Type, Value};

use super::Listing;
use crate::cloud::Question;
use crate::session::Service;
use crate::values::{items, segment, text, text_at};

pub(super) fn share_locations() -> Listing {
    let list = |doc| Attribute::computed(Type::list(Type::String), doc);
    let schema = Schema::new(
        "openstack_share_locations",
        "Where a share of Manila is mounted from.",
    )
    .layer(Layer::Storage)
    .attribute("share_id", Attribute::required(Type::String, "The share."))
    .attribute(
        "paths",
        list("What is mounted, the one first that Manila prefers: `192.0.2.9:/share`."),
    );
    Listing {
        schema,
        questions: |config| {
            let share = segment(&text_at(config, "share_id").unwrap_or_default());
            vec![Question::One {
                service: Service::Share,
                path: format!("/shares/{share}/export_locations"),
            }]
        },
        make: |config, answers| {
            let listed = answers.first().map(|answer| &answer["export_locations"]);
            let mut listed: Vec<_> = listed.map(items).unwrap_or_default().iter().collect();
            // Of those that are alike, the order is the cloud's.
            listed.sort_by_key(|one| one["preferred"] != true);
            let paths = listed.into_iter().filter_map(|one| text(one, "path"));
            let paths = Value::list(paths.map(Value::from).collect());
            Ok(config.with("paths", paths))
        },
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_preferred_comes_first() {
        let answer = json!({ "export_locations": [
            { "path": "192.0.2.8:/s", "preferred": false }, { "path": "192.0.2.9:/s", "preferred": true },
        ] });
        let config = Value::object_of([("share_id", "s".into())]);
        let value = super::super::read(&share_locations(), &config, &[answer]).expect("read");
        assert_eq!(
            value.get("paths"),
            Value::list(vec!["192.0.2.9:/s".into(), "192.0.2.8:/s".into()])
        );
    }
}
