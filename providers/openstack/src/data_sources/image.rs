//! `openstack_image`: an image of Glance, by name, tag or properties, and the newest of several.

use dmp_sdk::{Attribute, Diagnostic, Layer, Schema, Type, Value};
use serde_json::Value as Json;

use super::{Listing, asked, not_one};
use crate::cloud::Question;
use crate::resources::image::OWN;
use crate::session::Service;
use crate::values::{items, number, text, text_at, texts_at, value_of};

const ASKED: &[&str] = &[
    "id",
    "name",
    "name_prefix",
    "visibility",
    "owner",
    "tags",
    "properties",
];

pub(super) fn image() -> Listing {
    let text = |doc| Attribute::optional(Type::String, doc);
    let computed = |ty, doc| Attribute::computed(ty, doc);
    let schema = Schema::new(
        "openstack_image",
        "An image of Glance that can be used: it is active, and not hidden.",
    )
    .layer(Layer::Machine)
    .attribute("id", Attribute::optional_computed(Type::String, "Its id."))
    .attribute(
        "name",
        Attribute::optional_computed(Type::String, "Its name."),
    )
    .attribute("name_prefix", text("What its name begins with."))
    .attribute(
        "visibility",
        Attribute::optional_computed(
            Type::String,
            "`public`, `private`, `shared` or `community`.",
        ),
    )
    .attribute(
        "owner",
        Attribute::optional_computed(Type::String, "The project whose it is, by id."),
    )
    .attribute(
        "tags",
        Attribute::optional(Type::set(Type::String), "Tags, all of which it has."),
    )
    .attribute(
        "properties",
        Attribute::optional(
            Type::map(Type::String),
            "Properties that it has, such as `os_distro = \"debian\"`.",
        ),
    )
    .attribute(
        "newest",
        Attribute::default(
            Type::Bool,
            "Whether of several the newest is meant; else several are an error.",
            false,
        ),
    )
    .attribute(
        "min_disk_gib",
        computed(Type::Number, "How large a disk it needs at least."),
    )
    .attribute(
        "min_memory_mib",
        computed(Type::Number, "How much memory it needs at least."),
    )
    .attribute(
        "size_bytes",
        computed(Type::Number, "How large its file is."),
    )
    .attribute(
        "disk_format",
        computed(Type::String, "`qcow2`, `raw` or another."),
    )
    .attribute("created_at", computed(Type::String, "When it was made."))
    .attribute(
        "checksum",
        computed(Type::String, "The digest of its file, by `hash_algorithm`."),
    )
    .attribute(
        "hash_algorithm",
        computed(Type::String, "How that digest is made: `sha512`."),
    )
    .attribute(
        "all_properties",
        computed(Type::map(Type::String), "All its properties."),
    );
    Listing {
        schema,
        questions: |_| {
            vec![Question::list(
                Service::Image,
                "/images?sort=created_at:desc",
                "images",
            )]
        },
        make,
    }
}

fn fits(config: &Value, image: &Json) -> bool {
    let is = |name: &str| {
        text_at(config, name).is_none_or(|wanted| text(image, name).as_ref() == Some(&wanted))
    };
    let tags: Vec<&str> = items(&image["tags"])
        .iter()
        .filter_map(Json::as_str)
        .collect();
    let properties = config.get("properties");
    let mut properties = properties.as_members().into_iter().flatten();
    let has = |name: &str, wanted: &Value| value_of(&image[name], &Type::String) == *wanted;
    image["status"] == "active"
        && image["os_hidden"] != true
        && ["id", "name", "visibility", "owner"]
            .iter()
            .all(|name| is(name))
        && text_at(config, "name_prefix")
            .is_none_or(|prefix| text(image, "name").is_some_and(|name| name.starts_with(&prefix)))
        && texts_at(config, "tags")
            .iter()
            .all(|tag| tags.contains(&tag.as_str()))
        && properties.all(|(name, wanted)| has(name, wanted))
}

fn make(config: &Value, answers: &[&Json]) -> Result<Value, Diagnostic> {
    let images = answers
        .first()
        .map(|answer| items(answer))
        .unwrap_or_default();
    let mut found: Vec<&Json> = images.iter().filter(|image| fits(config, image)).collect();
    found.sort_by_key(|image| std::cmp::Reverse(text(image, "created_at")));
    let newest = config.get("newest").as_bool() == Some(true);
    let image = match found.as_slice() {
        [first, ..] if newest => *first,
        [one] => *one,
        several => {
            let names: Vec<String> = several
                .iter()
                .take(8)
                .map(|image| {
                    format!(
                        "`{}` ({})",
                        text(image, "name").unwrap_or_default(),
                        text(image, "id").unwrap_or_default()
                    )
                })
                .collect();
            return Err(not_one(
                "image",
                &asked(config, ASKED),
                &names,
                "say more, or take the newest: `newest = true`",
            ));
        }
    };
    let is_property = |name: &str| !OWN.contains(&name) && !name.starts_with("os_glance");
    let properties = image.as_object().into_iter().flatten();
    let properties = properties
        .filter(|(name, value)| is_property(name) && !value.is_null())
        .map(|(name, value)| (name.as_str().into(), value_of(value, &Type::String)));
    Ok(config
        .with("id", text(image, "id").into())
        .with("name", text(image, "name").into())
        .with("visibility", text(image, "visibility").into())
        .with("owner", text(image, "owner").into())
        .with("min_disk_gib", number(image, "min_disk").into())
        .with("min_memory_mib", number(image, "min_ram").into())
        .with("size_bytes", number(image, "size").into())
        .with("disk_format", text(image, "disk_format").into())
        .with("created_at", text(image, "created_at").into())
        .with("checksum", text(image, "os_hash_value").into())
        .with("hash_algorithm", text(image, "os_hash_algo").into())
        .with("all_properties", Value::map(properties.collect())))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::read;
    use super::*;

    fn images() -> Json {
        json!([
            { "id": "1", "name": "debian-13", "status": "active", "created_at": "2026-01-01T00:00:00Z", "os_distro": "debian", "tags": ["x"] },
            { "id": "2", "name": "debian-13", "status": "active", "created_at": "2026-03-01T00:00:00Z", "os_distro": "debian" },
            { "id": "3", "name": "debian-13", "status": "queued", "created_at": "2026-05-01T00:00:00Z", "os_distro": "debian" },
            { "id": "4", "name": "rocky", "status": "active", "created_at": "2026-02-01T00:00:00Z", "os_distro": "rocky" },
        ])
    }

    #[test]
    fn the_newest_of_those_that_can_be_used_is_taken() {
        let by = |pairs: Vec<(&'static str, Value)>| {
            Value::object(
                pairs
                    .into_iter()
                    .map(|(name, value)| (name.into(), value))
                    .collect(),
            )
        };
        let properties = Value::map(
            [("os_distro".into(), "debian".into())]
                .into_iter()
                .collect(),
        );
        let config = by(vec![("properties", properties), ("newest", true.into())]);
        let found = read(&image(), &config, &[images()]).expect("an image");
        assert_eq!(found.get("id"), "2".into());
        assert_eq!(
            found.get("all_properties").get("os_distro"),
            "debian".into()
        );
        let several = read(
            &image(),
            &by(vec![("name", "debian-13".into())]),
            &[images()],
        )
        .expect_err("two");
        assert!(
            several.detail.contains("2 have name `debian-13`"),
            "{}",
            several.detail
        );
        let tagged = by(vec![("tags", Value::set(vec!["x".into()]))]);
        assert_eq!(
            read(&image(), &tagged, &[images()]).expect("one").get("id"),
            "1".into()
        );
        assert!(read(&image(), &by(vec![("name", "none".into())]), &[images()]).is_err());
    }
}
