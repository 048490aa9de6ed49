//! Dry runs of server-side applies: what is asked, what the server told, and whose fields are in the way.

use dmp_sdk::{Query, Value};
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use crate::manifest::{Identity, plain, value};

/// A manifest to be tried.
#[derive(Serialize, Deserialize)]
pub(crate) struct Trial {
    pub identity: Identity,
    pub manifest: Json,
    pub force: bool,
}

const TRIAL: &str = "dry-run ";

impl Trial {
    /// The question as a query.
    pub(crate) fn query(&self) -> Option<Query> {
        let text = serde_json::to_string(self).ok()?;
        Some(Query(format!("{TRIAL}{text}")))
    }

    pub(crate) fn of_query(query: &Query) -> Option<Self> {
        serde_json::from_str(query.0.strip_prefix(TRIAL)?).ok()
    }
}

/// What the server told.
#[derive(Serialize, Deserialize)]
pub(crate) enum Told {
    /// The object as it would be, and the conflicts that `force` would settle.
    Object(Json, Vec<Conflict>),
    /// It would be refused: why.
    Refused(String),
    /// It can't be told yet: its kind or its namespace is not there, or a webhook can't be tried.
    NotYet,
}

impl Told {
    pub(crate) fn to_json(&self) -> Json {
        serde_json::to_value(self).unwrap_or_default()
    }
}

/// A field of a manifest that another manager owns with another value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Conflict {
    /// Its path, as `.spec.replicas` or `.spec.containers[name="web"].image`.
    pub field: String,
    /// Who owns it.
    pub manager: String,
    /// Whether that manager declares the field by applies of its own, and will set it again.
    pub is_declared: bool,
}

impl Conflict {
    /// A conflict as a server tells it: `conflict with "NAME"` of one who applies, with more after it of one who updates.
    pub(crate) fn of(field: &str, message: &str) -> Self {
        let manager = message.strip_prefix("conflict with ").unwrap_or(message);
        let name = manager.split('"').nth(1).unwrap_or(manager);
        Self {
            field: field.to_owned(),
            manager: name.to_owned(),
            is_declared: !manager.contains(" using "),
        }
    }

    /// Whether this only undoes what somebody changed by hand: dmp has set the field before, and its present owner is
    /// none who declares it.
    pub(crate) fn is_drift(&self, applied_before: &Json) -> bool {
        !self.is_declared && has(applied_before, &self.field)
    }
}

/// Conflicts as a value, for the plan.
pub(crate) fn to_value(conflicts: &[Conflict]) -> Value {
    value(&serde_json::to_value(conflicts).unwrap_or_default())
}

/// Conflicts from the plan's value.
pub(crate) fn of_value(conflicts: &Value) -> Vec<Conflict> {
    let json = plain(conflicts).unwrap_or_default();
    serde_json::from_value(json).unwrap_or_default()
}

/// Whether a manifest has a field at a path. Names may have dots in them: every reading of the path is tried.
fn has(manifest: &Json, path: &str) -> bool {
    if path.is_empty() {
        return true;
    }
    match (manifest, path.as_bytes()[0]) {
        (Json::Object(members), b'.') => members.iter().any(|(name, member)| {
            path[1..]
                .strip_prefix(name.as_str())
                .is_some_and(|rest| rest.starts_with(['.', '[']) || rest.is_empty())
                && has(member, &path[1 + name.len()..])
        }),
        (Json::Array(items), b'[') => {
            let Some((inside, rest)) = bracket(path) else {
                return false;
            };
            let is_meant = |(position, item): (usize, &Json)| match inside.parse::<usize>() {
                Ok(index) => index == position,
                Err(_) => keys(inside).all(|(key, wanted)| match key {
                    "" => *item == wanted,
                    _ => item.get(key).is_none_or(|found| *found == wanted),
                }),
            };
            let mut items = items.iter().enumerate();
            items.any(|item| is_meant(item) && has(item.1, rest))
        }
        _ => false,
    }
}

/// The inside of a path's first bracket, and what follows it. Signs in quotes do not close it.
fn bracket(path: &str) -> Option<(&str, &str)> {
    let mut is_quoted = false;
    let mut is_escaped = false;
    for (at, sign) in path.char_indices() {
        match sign {
            _ if is_escaped => is_escaped = false,
            '\\' => is_escaped = true,
            '"' => is_quoted = !is_quoted,
            ']' if !is_quoted => return Some((path.get(1..at)?, path.get(at + 1..)?)),
            _ => {}
        }
    }
    None
}

/// The keys of a list's element, as `name="web"` or `containerPort=80,protocol="TCP"`.
fn keys(inside: &str) -> impl Iterator<Item = (&str, Json)> {
    inside.split(',').filter_map(|pair| {
        let (key, wanted) = pair.split_once('=')?;
        Some((key, serde_json::from_str(wanted).ok()?))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn who_updates_and_who_applies_are_told_apart() {
        let updater = r#"conflict with "kubectl" with subresource "scale" using apps/v1"#;
        let conflict = Conflict::of(".spec.replicas", updater);
        assert_eq!(
            (conflict.manager.as_str(), conflict.is_declared),
            ("kubectl", false)
        );
        let conflict = Conflict::of(".spec.replicas", r#"conflict with "argocd""#);
        assert_eq!(
            (conflict.manager.as_str(), conflict.is_declared),
            ("argocd", true)
        );
    }

    #[test]
    fn only_what_dmp_has_set_before_is_taken_back() {
        let before = json!({
            "metadata": { "labels": { "app.kubernetes.io/name": "web" } },
            "spec": { "containers": [
                { "name": "side", "image": "s" },
                { "name": "web", "ports": [{ "containerPort": 80 }] },
            ] },
        });
        for (field, is_set) in [
            (".metadata.labels.app.kubernetes.io/name", true),
            (".metadata.labels.app", false),
            (".metadata.annotations", false),
            (r#".spec.containers[name="side"].image"#, true),
            (r#".spec.containers[name="web"].image"#, false),
            (
                r#".spec.containers[name="web"].ports[containerPort=80,protocol="TCP"]"#,
                true,
            ),
            (
                r#".spec.containers[name="web"].ports[containerPort=81]"#,
                false,
            ),
            (r#".spec.containers[name="a]b"].image"#, false),
            (".spec.containers[1].name", true),
        ] {
            let by_hand = Conflict {
                field: field.into(),
                manager: "kubectl".into(),
                is_declared: false,
            };
            assert_eq!(by_hand.is_drift(&before), is_set, "{field}");
            let declared = Conflict {
                is_declared: true,
                ..by_hand
            };
            assert!(!declared.is_drift(&before), "{field}");
        }
    }
}
