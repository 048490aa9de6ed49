//! What the published description says of each method that the lab serves: its parameters, who may call it, where it runs.
//!
//! `published.json` holds names, types, ranges and formats, no prose, and `published-8.json` those methods that an older
//! release has otherwise or not at all. The test `schema` writes them from published descriptions and holds them against
//! these.

pub(crate) mod check;
mod format;
pub(crate) mod property;

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

pub(crate) use check::split;
pub(crate) use format::size;
use serde::Deserialize;
use serde_json::Value;

use crate::site::Release;

/// The methods that are described.
pub(crate) struct Schema {
    methods: BTreeMap<String, Arc<Method>>,
}

/// One method of one path.
#[derive(Debug)]
pub(crate) struct Method {
    /// By name; `[n]` at a name's end stands for a number.
    pub parameters: BTreeMap<String, Arc<Property>>,
    /// Whether parameters that are not described are let through.
    pub is_open: bool,
    pub permission: Permission,
    /// Whether the node of the path carries it out.
    pub on_node: bool,
    /// Whether an API token may call it.
    pub by_token: bool,
}

/// Who may call a method.
#[derive(Debug)]
pub(crate) enum Permission {
    /// `root@pam` alone.
    Root,
    /// Whoever is logged in; the method itself looks further.
    All,
    /// Anyone.
    World,
    /// A tree of checks, as it is published.
    Check(Value),
}

/// What a parameter, or a key of a property string, may be.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Property {
    #[serde(rename = "type")]
    pub kind: Kind,
    pub optional: bool,
    #[serde(rename = "enum")]
    pub choices: Vec<String>,
    pub minimum: Option<Bound>,
    pub maximum: Option<Bound>,
    #[serde(rename = "minLength")]
    pub min_length: Option<usize>,
    #[serde(rename = "maxLength")]
    pub max_length: Option<usize>,
    pub pattern: Option<String>,
    pub requires: Option<String>,
    pub default: Option<Value>,
    pub format: Option<Format>,
    pub items: Option<Box<Property>>,
    pub default_key: bool,
    pub alias: Option<String>,
    #[serde(rename = "keyAlias")]
    pub key_alias: Option<String>,
}

/// The least or the most that a number may be. It is written as a text: numbers lose their type on the way through a choice
/// of forms.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct Bound(pub f64);

impl TryFrom<String> for Bound {
    type Error = std::num::ParseFloatError;

    fn try_from(text: String) -> Result<Bound, Self::Error> {
        text.parse().map(Bound)
    }
}

/// A named format, or the keys of a property string.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub(crate) enum Format {
    Named(String),
    Keys(BTreeMap<String, Property>),
}

/// The type of a parameter.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Kind {
    #[default]
    String,
    Integer,
    Number,
    Boolean,
    Array,
    Object,
}

#[derive(Deserialize)]
struct Published {
    properties: Vec<Property>,
    /// Null is a method that this release does not have.
    methods: BTreeMap<String, Option<PublishedMethod>>,
}

#[derive(Deserialize)]
struct PublishedMethod {
    #[serde(default)]
    parameters: BTreeMap<String, usize>,
    #[serde(default)]
    open: bool,
    #[serde(default)]
    permission: Value,
    #[serde(default)]
    node: bool,
    #[serde(default)]
    token: bool,
}

impl Schema {
    /// Returns what is built in, of the newest release.
    pub(crate) fn built_in() -> &'static Schema {
        static SCHEMA: OnceLock<Schema> = OnceLock::new();
        SCHEMA.get_or_init(|| {
            let mut schema = Schema {
                methods: BTreeMap::new(),
            };
            schema.take(include_str!("published.json"));
            schema
        })
    }

    /// Returns what is built in of a release.
    pub(crate) fn of(release: Release) -> &'static Schema {
        static OLDER: OnceLock<Schema> = OnceLock::new();
        match release {
            Release::Nine => Schema::built_in(),
            Release::Eight => OLDER.get_or_init(|| {
                let mut schema = Schema {
                    methods: Schema::built_in().methods.clone(),
                };
                schema.take(include_str!("published-8.json"));
                schema
            }),
        }
    }

    /// Takes up a description: methods that it has, in place of those of the same name.
    fn take(&mut self, text: &str) {
        let published: Published = serde_json::from_str(text).unwrap_or_else(|error| {
            unreachable!("the built-in description can't be read: {error}")
        });
        let properties: Vec<_> = published.properties.into_iter().map(Arc::new).collect();
        for (name, method) in published.methods {
            match method {
                Some(method) => {
                    let method = Arc::new(Method::of(method, &properties));
                    self.methods.insert(name, method);
                }
                None => {
                    self.methods.remove(&name);
                }
            }
        }
    }

    /// Returns the method of a path such as `GET /nodes/{node}/qemu`.
    pub(crate) fn method(&self, name: &str) -> Option<&Method> {
        self.methods.get(name).map(AsRef::as_ref)
    }
}

impl Method {
    fn of(method: PublishedMethod, properties: &[Arc<Property>]) -> Method {
        let described =
            |(name, index): (String, usize)| Some((name, properties.get(index)?.clone()));
        Method {
            parameters: method
                .parameters
                .into_iter()
                .filter_map(described)
                .collect(),
            is_open: method.open,
            permission: match method.permission {
                Value::String(word) if word == "all" => Permission::All,
                Value::String(word) if word == "world" => Permission::World,
                Value::Null | Value::String(_) => Permission::Root,
                check => Permission::Check(check),
            },
            on_node: method.node,
            by_token: method.token,
        }
    }

    /// Returns what is said of a parameter, also of one of a numbered family.
    pub(crate) fn parameter(&self, name: &str) -> Option<&Property> {
        if let Some(property) = self.parameters.get(name) {
            return Some(property);
        }
        let stem = name.trim_end_matches(|character: char| character.is_ascii_digit());
        let number = name.get(stem.len()..).filter(|digits| !digits.is_empty())?;
        let is_plain = number.len() == 1 || !number.starts_with('0');
        let number: u32 = number.parse().ok()?;
        let property = self.parameters.get(&format!("{stem}[n]"))?;
        (is_plain && number < family(stem)).then_some(property)
    }
}

/// How many numbered parameters of a name there are; the description tells in prose alone.
fn family(stem: &str) -> u32 {
    match stem {
        "ide" | "serial" => 4,
        "sata" => 6,
        "numa" => 8,
        "virtiofs" => 10,
        "usb" => 14,
        "virtio" | "hostpci" => 16,
        "parallel" => 3,
        "scsi" => 31,
        "unused" | "mp" | "dev" => 256,
        _ => 32,
    }
}
