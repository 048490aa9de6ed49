//! Functions over manifests as they are published: YAML texts, often with many objects.

use dmp_sdk::codec::{from_json, to_json};
use dmp_sdk::{FunctionFault, FunctionParameter, ProviderFunction, Type, Value};
use serde::Deserialize as _;
use serde_json::Value as Json;

/// What the provider brings into the language.
pub(crate) fn all() -> Vec<ProviderFunction> {
    let taking = |name, ty| vec![FunctionParameter { name, ty }];
    vec![
        ProviderFunction {
            name: "manifest_decode",
            doc: "The object of a manifest in YAML; there must be one.",
            parameters: taking("text", Type::String),
            result: Type::Any,
            call: |arguments| {
                let mut objects = decoded(arguments)?;
                match (objects.pop(), objects.len()) {
                    (Some(only), 0) => Ok(from_json(&only)),
                    (None, _) => Err(FunctionFault::of(0, "there is no object in it")),
                    (Some(_), more) => {
                        let why = format!("there are {} objects in it", more + 1);
                        Err(FunctionFault::of(0, why))
                    }
                }
            },
        },
        ProviderFunction {
            name: "manifest_decode_multi",
            doc: "The objects of a text in YAML with any number of manifests, those of `List`s one by one.",
            parameters: taking("text", Type::String),
            result: Type::Any,
            call: |arguments| {
                let objects = decoded(arguments)?;
                Ok(Value::tuple(objects.iter().map(from_json).collect()))
            },
        },
        ProviderFunction {
            name: "manifest_encode",
            doc: "An object as a manifest in YAML; a list of them as one text with all.",
            parameters: taking("object", Type::Any),
            result: Type::String,
            call: encoded,
        },
    ]
}

/// All objects, checked for what each of them has to have.
fn decoded(arguments: &[Value]) -> Result<Vec<Json>, FunctionFault> {
    let text = arguments
        .first()
        .and_then(Value::as_str)
        .unwrap_or_default();
    let mut objects = Vec::new();
    for (index, document) in serde_yaml_ng::Deserializer::from_str(text).enumerate() {
        let wrong = |why: String| FunctionFault::of(0, format!("document {}: {why}", index + 1));
        let parsed = Json::deserialize(document).map_err(|error| wrong(error.to_string()))?;
        if parsed.is_null() {
            continue;
        }
        add(parsed, &mut objects).map_err(wrong)?;
    }
    Ok(objects)
}

fn add(object: Json, objects: &mut Vec<Json>) -> Result<(), String> {
    check(&object)?;
    let is_list = object["kind"] == "List";
    match object.get("items").and_then(Json::as_array) {
        Some(items) if is_list => items.iter().try_for_each(|item| add(item.clone(), objects)),
        _ => {
            objects.push(object);
            Ok(())
        }
    }
}

fn check(object: &Json) -> Result<(), String> {
    let missing = ["apiVersion", "kind"]
        .into_iter()
        .find(|name| !object.get(*name).is_some_and(Json::is_string));
    match missing {
        Some(name) => Err(format!("it is no object of Kubernetes: it has no `{name}`")),
        None => Ok(()),
    }
}

fn encoded(arguments: &[Value]) -> Result<Value, FunctionFault> {
    let given = arguments.first().and_then(to_json).unwrap_or_default();
    let objects = match given {
        Json::Array(objects) => objects,
        object => vec![object],
    };
    let mut text = String::new();
    for object in &objects {
        check(object).map_err(|why| FunctionFault::of(0, why))?;
        let manifest = serde_yaml_ng::to_string(object)
            .map_err(|error| FunctionFault::of(0, error.to_string()))?;
        if objects.len() > 1 {
            text.push_str("---\n");
        }
        text.push_str(&manifest);
    }
    Ok(text.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(name: &str, argument: Value) -> Result<Value, FunctionFault> {
        let function = all().into_iter().find(|function| function.name == name);
        (function.expect(name).call)(&[argument])
    }

    const TWO: &str = "apiVersion: v1\nkind: Namespace\nmetadata: {name: a}\n---\n# nothing\n---\napiVersion: v1\n\
                       kind: List\nitems:\n- {apiVersion: v1, kind: Secret}\n- {apiVersion: v1, kind: Pod}\n";

    #[test]
    fn many_manifests_in_a_text_become_objects() {
        let objects = call("manifest_decode_multi", TWO.into()).expect("they are manifests");
        let kinds: Vec<Value> = objects
            .children()
            .map(|object| object.get("kind"))
            .collect();
        assert_eq!(kinds, ["Namespace".into(), "Secret".into(), "Pod".into()]);
        let written = call("manifest_encode", objects.clone()).expect("they are objects");
        assert_eq!(call("manifest_decode_multi", written), Ok(objects));
    }

    #[test]
    fn what_is_no_manifest_is_refused() {
        for text in [
            "a: 1",
            "[]",
            "x",
            "kind: Pod",
            "a: [",
            "apiVersion: v1\nkind: 1",
        ] {
            assert!(
                call("manifest_decode_multi", text.into()).is_err(),
                "{text}"
            );
        }
        assert!(call("manifest_decode", TWO.into()).is_err());
        assert!(call("manifest_decode", "".into()).is_err());
        assert_eq!(
            call("manifest_decode_multi", "".into()),
            Ok(Value::tuple(Vec::new()))
        );
    }
}
