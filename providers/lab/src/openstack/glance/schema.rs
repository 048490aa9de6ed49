//! What clients read before they send an image: its schema, and how it can be sent.

use serde_json::{Map, Value, json};

use super::members::{KNOWN, Rule};
use crate::openstack::{Answer, Call, Outcome};

fn schema() -> Value {
    let property = |rule: &Rule| match rule {
        Rule::Told => json!({ "type": ["null", "string", "integer", "array"], "readOnly": true }),
        Rule::Text => json!({ "type": ["null", "string"], "maxLength": 255 }),
        Rule::Flag => json!({ "type": "boolean" }),
        Rule::Number => json!({ "type": "integer" }),
        Rule::Texts => json!({ "type": "array", "items": { "type": "string", "maxLength": 255 } }),
        Rule::Word(words) => json!({ "type": ["null", "string"], "enum": words }),
    };
    let properties = KNOWN
        .iter()
        .map(|(name, rule)| ((*name).to_owned(), property(rule)));
    json!({
        "name": "image", "properties": properties.collect::<Map<_, _>>(), "additionalProperties": { "type": "string" },
        "links": [{ "rel": "self", "href": "{self}" }, { "rel": "enclosure", "href": "{file}" }, { "rel": "describedby", "href": "{schema}" }],
    })
}

/// `GET /v2/schemas/image`.
pub(super) fn image(_: &mut Call<'_>) -> Outcome {
    Answer::ok(schema())
}

/// `GET /v2/schemas/images`.
pub(super) fn images(_: &mut Call<'_>) -> Outcome {
    Answer::ok(json!({
        "name": "images",
        "properties": { "images": { "type": "array", "items": schema() }, "first": { "type": "string" }, "next": { "type": "string" },
            "schema": { "type": "string" } },
    }))
}

/// `GET /v2/info/import`.
pub(super) fn import(_: &mut Call<'_>) -> Outcome {
    Answer::ok(json!({ "import-methods": {
        "description": "Import methods available.", "type": "array", "value": ["web-download"],
    } }))
}

/// `GET /v2/info/stores`.
pub(super) fn stores(_: &mut Call<'_>) -> Outcome {
    Answer::ok(json!({ "stores": [{ "id": "lab", "default": "true" }] }))
}
