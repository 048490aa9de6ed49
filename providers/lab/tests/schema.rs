//! The built-in descriptions of methods against published ones: `shared/proxmox/pve-api-9.1.json.gz` and that of 8.4, in a
//! folder above the workspace. With `DMP_LAB_WRITE_SCHEMA=1` the built-in ones are written from them.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;

use serde_json::{Map, Value, json};

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

/// Returns the methods of a published description.
fn published(name: &str) -> Option<Value> {
    let above = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().skip(1);
    let path = above
        .map(|folder| folder.join("shared/proxmox").join(name))
        .find(|path| path.exists())?;
    let mut text = String::new();
    let file = std::fs::File::open(path).expect("the file");
    flate2::read::GzDecoder::new(file)
        .read_to_string(&mut text)
        .expect("text");
    let mut published: Value = serde_json::from_str(&text).expect("JSON");
    Some(published["endpoints"].take())
}

#[test]
#[expect(clippy::print_stderr, reason = "a test that was left out says so")]
fn the_built_in_descriptions_are_what_is_published() {
    let newest = published("pve-api-9.1.json.gz");
    let older = published("pve-api-8.4.json.gz");
    let (Some(newest), Some(older)) = (newest, older) else {
        eprintln!("SKIPPED: there is no published description to hold them against");
        return;
    };
    let newest = methods(&newest);
    let missing: Vec<_> = newest.iter().filter(|(_, it)| it.is_none()).collect();
    assert!(missing.is_empty(), "served and not published: {missing:?}");
    let mut other = methods(&older);
    other.retain(|name, method| newest[name] != *method);
    for (file, methods) in [("published.json", &newest), ("published-8.json", &other)] {
        let made = compact(methods);
        let path = format!("{}/src/schema/{file}", env!("CARGO_MANIFEST_DIR"));
        if std::env::var_os("DMP_LAB_WRITE_SCHEMA").is_some() {
            std::fs::write(&path, &made).expect("written");
        }
        let built_in = std::fs::read_to_string(&path).expect("the file");
        assert!(
            built_in == made,
            "`{path}` is not what is published; DMP_LAB_WRITE_SCHEMA=1 writes it anew"
        );
    }
}

/// A method of which only that is kept which is no prose, its parameters whole.
#[derive(Debug, PartialEq)]
struct Kept {
    parameters: BTreeMap<String, Value>,
    more: Map<String, Value>,
}

/// Returns the methods that are served; none where they are not published.
fn methods(endpoints: &Value) -> BTreeMap<String, Option<Kept>> {
    let kept = |name: &str| {
        let (method, path) = name.split_once(' ').expect("a method and a path");
        let described = &endpoints[path][method];
        described.is_object().then(|| method_of(described))
    };
    let served = dmp_lab::served().into_iter();
    served.map(|name| (name.clone(), kept(&name))).collect()
}

fn method_of(described: &Value) -> Kept {
    let parameters = described["params"].as_object().into_iter().flatten();
    let mut more = Map::new();
    if described["additionalProperties"] != json!(0) {
        more.insert("open".into(), json!(true));
    }
    let permission = match &described["permissions"] {
        Value::Null => json!("root"),
        told if told.get("check").is_some() => told["check"].clone(),
        told => told.get("user").cloned().unwrap_or(json!("all")),
    };
    more.insert("permission".into(), permission);
    for (key, own) in [("proxyto", "node"), ("allowtoken", "token")] {
        if described.get(key).is_some_and(|value| *value != json!(0)) {
            more.insert(own.into(), json!(true));
        }
    }
    Kept {
        parameters: parameters
            .map(|(name, property)| (name.clone(), property_of(property)))
            .collect(),
        more,
    }
}

/// Returns the compact form of methods: one line for each parameter and each method.
fn compact(all: &BTreeMap<String, Option<Kept>>) -> String {
    let mut properties: Vec<String> = Vec::new();
    let mut numbers: BTreeMap<String, usize> = BTreeMap::new();
    let mut methods = Vec::new();
    for (name, kept) in all {
        let Some(kept) = kept else {
            methods.push(format!("  {}: null", json!(name)));
            continue;
        };
        let mut parameters = Map::new();
        for (name, property) in &kept.parameters {
            let text = property.to_string();
            let next = properties.len();
            let number = *numbers.entry(text.clone()).or_insert_with(|| {
                properties.push(text);
                next
            });
            parameters.insert(name.clone(), json!(number));
        }
        let mut told = kept.more.clone();
        told.insert("parameters".into(), Value::Object(parameters));
        methods.push(format!("  {}: {}", json!(name), Value::Object(told)));
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
