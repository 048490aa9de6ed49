//! Firewall rules, sets and options, at each level. They are kept and told; packets pass whatever they say.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The firewall of the cluster, a node or a guest.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Firewall {
    pub rules: Vec<BTreeMap<String, String>>,
    pub options: BTreeMap<String, String>,
    pub aliases: BTreeMap<String, BTreeMap<String, String>>,
    pub sets: BTreeMap<String, Set>,
}

/// A security group.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Group {
    pub comment: Option<String>,
    pub rules: Vec<BTreeMap<String, String>>,
}

/// An IP set.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Set {
    pub comment: Option<String>,
    pub members: BTreeMap<String, BTreeMap<String, String>>,
}

/// Returns the digest of anything that is kept.
pub(crate) fn digest<T: Serialize>(value: &T) -> String {
    let value = serde_json::to_value(value).unwrap_or(Value::Null);
    crate::hash::sha1(&value.to_string())
}
