//! The built-in description of methods against a published one: `../shared/proxmox/pve-api-9.1.json.gz`, in a folder above
//! the workspace. With `DMP_LAB_WRITE_SCHEMA=1` the built-in one is written from it.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};

const BUILT_IN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src/schema/published.json");

/// What is kept of a parameter; the rest is prose.
const KEPT: [&str; 12] = [
    "type",
    "enum",
    "minimum",
    "maximum",
    "minLength",
    "maxLength",
    "pattern",
    "requires",
    "default",
    "format",
    "alias",
    "keyAlias",
];

fn shared(name: &str) -> Option<PathBuf> {
    let above = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().skip(1);
    above
        .map(|folder| folder.join("shared/proxmox").join(name))
        .find(|path| path.exists())
}

#[test]
#[expect(clippy::print_stderr, reason = "a test that was left out says so")]
fn the_built_in_description_is_what_is_published() {
    let Some(path) = shared("pve-api-9.1.json.gz") else {
        eprintln!("SKIPPED: there is no published description to hold it against");
        return;
    };
    let mut text = String::new();
    let file = std::fs::File::open(path).expect("the file");
    flate2::read::GzDecoder::new(file)
        .read_to_string(&mut text)
        .expect("text");
    let published: Value = serde_json::from_str(&text).expect("JSON");
    let made = compact(&published["endpoints"]);
    if std::env::var_os("DMP_LAB_WRITE_SCHEMA").is_some() {
        std::fs::write(BUILT_IN, &made).expect("written");
    }
    let built_in = std::fs::read_to_string(BUILT_IN).expect("the file");
    assert!(
        built_in == made,
        "`{BUILT_IN}` is not what is published; DMP_LAB_WRITE_SCHEMA=1 writes it anew"
    );
}

/// Returns the compact form of the methods that are served: one line for each parameter and each method.
fn compact(endpoints: &Value) -> String {
    let mut properties: Vec<String> = Vec::new();
    let mut numbers: BTreeMap<String, usize> = BTreeMap::new();
    let mut methods = Vec::new();
    let mut served = dmp_lab::served();
    served.sort();
    for name in served {
        let (method, path) = name.split_once(' ').expect("a method and a path");
        let described = &endpoints[path][method];
        assert!(
            described.is_object(),
            "`{name}` is served and not published"
        );
        let mut parameters = Map::new();
        for (name, property) in described["params"].as_object().into_iter().flatten() {
            let text = property_of(property).to_string();
            let next = properties.len();
            let number = *numbers.entry(text.clone()).or_insert_with(|| {
                properties.push(text);
                next
            });
            parameters.insert(name.clone(), json!(number));
        }
        let mut kept = Map::new();
        kept.insert("parameters".into(), Value::Object(parameters));
        if described["additionalProperties"] != json!(0) {
            kept.insert("open".into(), json!(true));
        }
        let permission = match &described["permissions"] {
            Value::Null => json!("root"),
            told if told.get("check").is_some() => told["check"].clone(),
            told => told.get("user").cloned().unwrap_or(json!("all")),
        };
        kept.insert("permission".into(), permission);
        for (key, own) in [("proxyto", "node"), ("allowtoken", "token")] {
            if described.get(key).is_some_and(|value| *value != json!(0)) {
                kept.insert(own.into(), json!(true));
            }
        }
        methods.push(format!("  {}: {}", json!(name), Value::Object(kept)));
    }
    let properties: Vec<_> = properties.iter().map(|text| format!("  {text}")).collect();
    format!(
        "{{\n\"properties\": [\n{}\n],\n\"methods\": {{\n{}\n}}\n}}\n",
        properties.join(",\n"),
        methods.join(",\n")
    )
}

fn property_of(published: &Value) -> Value {
    let mut kept = Map::new();
    for key in KEPT {
        let Some(value) = published.get(key) else {
            continue;
        };
        let value = match key {
            // A default is told in words now and then.
            "default" if value.as_str().is_some_and(|text| text.contains(' ')) => continue,
            "enum" => json!(
                value
                    .as_array()
                    .into_iter()
                    .flatten()
                    .map(text_of)
                    .collect::<Vec<_>>()
            ),
            "minimum" | "maximum" => json!(text_of(value)),
            "format" => match value.as_object() {
                Some(keys) => Value::Object(
                    keys.iter()
                        .map(|(key, property)| (key.clone(), property_of(property)))
                        .collect(),
                ),
                None => value.clone(),
            },
            _ => value.clone(),
        };
        kept.insert(key.into(), value);
    }
    for key in ["optional", "default_key"] {
        if published.get(key).is_some_and(|value| *value != json!(0)) {
            kept.insert(key.into(), json!(true));
        }
    }
    if let Some(items) = published.get("items") {
        kept.insert("items".into(), property_of(items));
    }
    Value::Object(kept)
}

fn text_of(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}
