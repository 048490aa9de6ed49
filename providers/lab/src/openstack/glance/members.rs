//! The members of an image: which may be sent, and what they may be (`glance/api/v2/images.py`).

use serde_json::{Value, json};

use crate::openstack::Failure;
use crate::openstack::shape::said;

/// What a member may be.
#[derive(Clone, Copy)]
pub(super) enum Rule {
    /// Only Glance says it.
    Told,
    Text,
    Flag,
    Number,
    Texts,
    Word(&'static [&'static str]),
}

const CONTAINERS: &[&str] = &[
    "ami",
    "ari",
    "aki",
    "bare",
    "ovf",
    "ova",
    "docker",
    "compressed",
];
const DISKS: &[&str] = &[
    "ami", "ari", "aki", "vhd", "vhdx", "vmdk", "raw", "qcow2", "vdi", "iso", "ploop",
];

/// The members that Glance knows; all others are properties.
pub(super) const KNOWN: [(&str, Rule); 25] = [
    ("id", Rule::Text),
    ("name", Rule::Text),
    ("status", Rule::Told),
    (
        "visibility",
        Rule::Word(&["community", "public", "private", "shared"]),
    ),
    ("protected", Rule::Flag),
    ("os_hidden", Rule::Flag),
    ("checksum", Rule::Told),
    ("os_hash_algo", Rule::Told),
    ("os_hash_value", Rule::Told),
    ("owner", Rule::Text),
    ("size", Rule::Told),
    ("virtual_size", Rule::Told),
    ("container_format", Rule::Word(CONTAINERS)),
    ("disk_format", Rule::Word(DISKS)),
    ("created_at", Rule::Told),
    ("updated_at", Rule::Told),
    ("tags", Rule::Texts),
    ("direct_url", Rule::Told),
    ("min_ram", Rule::Number),
    ("min_disk", Rule::Number),
    ("self", Rule::Told),
    ("file", Rule::Told),
    ("schema", Rule::Told),
    ("locations", Rule::Told),
    ("stores", Rule::Told),
];

/// Returns what a member may be; a property is a text.
pub(super) fn rule(name: &str) -> Rule {
    let known = KNOWN.iter().find(|(known, _)| *known == name);
    known.map_or(Rule::Text, |(_, rule)| *rule)
}

pub(super) fn is_property(name: &str) -> bool {
    !KNOWN.iter().any(|(known, _)| *known == name)
}

/// Refuses what a member can't be.
///
/// # Errors
/// 400, or 403 for what only Glance says.
pub(super) fn check(name: &str, value: &Value) -> Result<(), Failure> {
    let wrong = |why: String| {
        Err(Failure::bad(format!(
            "Provided object does not match schema 'image': {why}"
        )))
    };
    let is_text = |value: &Value, most: usize| {
        value
            .as_str()
            .is_some_and(|text| text.chars().count() <= most)
    };
    let may_be_null =
        matches!(name, "name" | "container_format" | "disk_format" | "owner") || is_property(name);
    if value.is_null() && may_be_null {
        return Ok(());
    }
    match rule(name) {
        Rule::Told => Err(Failure::forbidden(format!(
            "Attribute '{name}' is read-only."
        ))),
        Rule::Text if !value.is_string() => {
            wrong(format!("{} is not of type 'string'", said(value)))
        }
        Rule::Text if !is_property(name) && !is_text(value, 255) => {
            wrong(format!("{} is too long", said(value)))
        }
        Rule::Flag if !value.is_boolean() => {
            wrong(format!("{} is not of type 'boolean'", said(value)))
        }
        Rule::Number if value.as_i64().is_none() => {
            wrong(format!("{} is not of type 'integer'", said(value)))
        }
        Rule::Number if value.as_i64().is_some_and(|number| number < 0) => {
            wrong(format!("{} is less than the minimum of 0", said(value)))
        }
        Rule::Texts => match value.as_array() {
            Some(tags) if tags.iter().all(|tag| is_text(tag, 255)) => Ok(()),
            _ => wrong(format!("{} is not of type 'array'", said(value))),
        },
        Rule::Word(words) if !value.as_str().is_some_and(|word| words.contains(&word)) => {
            let words: Vec<String> = words.iter().map(|word| said(&json!(word))).collect();
            wrong(format!(
                "{} is not one of [{}]",
                said(value),
                words.join(", ")
            ))
        }
        Rule::Text | Rule::Flag | Rule::Number | Rule::Word(_) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_have_types_and_properties_are_texts() {
        let refused = |name: &str, value: Value| {
            let checked = check(name, &value);
            checked
                .err()
                .map(|failure| (failure.status, failure.message))
        };
        assert_eq!(refused("min_disk", json!(4)), None);
        assert_eq!(refused("os_distro", json!("debian")), None);
        let (_, why) = refused("os_distro", json!(5)).expect("refused");
        assert_eq!(
            why,
            "Provided object does not match schema 'image': 5 is not of type 'string'"
        );
        assert!(
            refused("disk_format", json!("floppy"))
                .is_some_and(|(_, why)| why.contains("is not one of ['ami'"))
        );
        assert_eq!(
            refused("status", json!("active")).map(|(status, _)| status),
            Some(403)
        );
        assert!(refused("min_ram", json!(-1)).is_some());
    }
}
