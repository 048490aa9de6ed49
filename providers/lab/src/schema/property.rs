//! Property strings: `key=value,key=value` in one parameter, one of the keys without its name.

use std::collections::BTreeMap;

use super::check::{Errors, check_property};
use super::{Kind, Property};

/// The keys of a property string and what they may be.
pub(crate) type Keys = BTreeMap<String, Property>;

/// A property string taken apart.
pub(crate) type Parsed = BTreeMap<String, String>;

/// Takes a property string apart, and checks it.
///
/// # Errors
/// In the words of the real API, without the text before them.
pub(crate) fn parse(keys: &Keys, text: &str, path: &str) -> Result<Parsed, String> {
    let mut parsed = Parsed::new();
    for part in text.split(',').filter(|part| !part.is_empty()) {
        let Some((key, value)) = part.split_once('=') else {
            let default = keys.iter().find(|(_, property)| property.default_key);
            let (key, property) =
                default.ok_or("value without key, but schema does not define a default key\n")?;
            put(&mut parsed, key, value_of(property, part))?;
            continue;
        };
        let mut key = key.trim();
        let mut property = keys.get(key);
        if let Some((alias, key_alias)) =
            property.and_then(|it| Some((it.alias.as_ref()?, &it.key_alias)))
        {
            if let Some(key_alias) = key_alias {
                if parsed.contains_key(key_alias) {
                    return Err(format!("key alias '{key_alias}' is already defined\n"));
                }
                parsed.insert(key_alias.clone(), key.to_owned());
            }
            key = alias;
            property = keys.get(key);
        }
        let property = property.ok_or(format!(
            "invalid key in comma-separated list property: {key}\n"
        ))?;
        put(&mut parsed, key, value_of(property, value))?;
    }
    let mut errors = Errors::default();
    for (key, property) in keys {
        if property.alias.is_some() {
            continue;
        }
        let path = format!("{path}.{key}");
        match parsed.get(key) {
            Some(value) => check_property(property, &path, value, &mut errors),
            None if property.optional || property.default_key && property.default.is_some() => {}
            None => errors.add(&path, "property is missing and it is not optional"),
        }
        if let (Some(other), Some(_)) = (&property.requires, parsed.get(key))
            && !parsed.contains_key(other)
        {
            errors.add(
                &path,
                &format!("missing property - '{other}' requires this property"),
            );
        }
    }
    if errors.is_empty() {
        Ok(parsed)
    } else {
        let told: String = errors
            .iter()
            .map(|(path, text)| format!("{path}: {text}\n"))
            .collect();
        Err(format!("format error\n{told}"))
    }
}

fn put(parsed: &mut Parsed, key: &str, value: String) -> Result<(), String> {
    match parsed.insert(key.to_owned(), value) {
        None => Ok(()),
        Some(_) => Err(format!(
            "duplicate key in comma-separated list property: {key}\n"
        )),
    }
}

/// Inside a property string words stand for 0 and 1 too.
fn value_of(property: &Property, value: &str) -> String {
    if property.kind != Kind::Boolean {
        return value.to_owned();
    }
    match value.to_ascii_lowercase().as_str() {
        "1" | "on" | "yes" | "true" => "1".to_owned(),
        "0" | "off" | "no" | "false" => "0".to_owned(),
        _ => value.to_owned(),
    }
}

/// Puts a property string together as the server does: the key without a name, then those that must be there, then the rest.
pub(crate) fn print(keys: &Keys, parsed: &Parsed) -> String {
    let mut parts = Vec::new();
    let mut done: Vec<&str> = Vec::new();
    let combined: BTreeMap<&str, &str> = keys
        .values()
        .filter_map(|property| Some((property.key_alias.as_deref()?, property.alias.as_deref()?)))
        .collect();
    let is_default = |key: &&String| keys.get(*key).is_some_and(|property| property.default_key);
    let is_needed = |key: &&String| keys.get(*key).is_some_and(|property| !property.optional);
    let order = parsed
        .keys()
        .filter(is_default)
        .chain(parsed.keys().filter(is_needed))
        .chain(parsed.keys());
    for key in order {
        if done.contains(&key.as_str()) {
            continue;
        }
        done.push(key);
        let value = &parsed[key];
        if let Some(other) = combined.get(key.as_str())
            && let Some(second) = parsed.get(*other)
        {
            done.push(other);
            parts.push(format!("{value}={second}"));
            continue;
        }
        parts.push(if is_default(&key) {
            value.clone()
        } else {
            format!("{key}={value}")
        });
    }
    parts.join(",")
}
