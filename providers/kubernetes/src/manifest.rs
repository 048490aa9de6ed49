//! Manifests as JSON: which object they mean, and how what is there compares with them.

use std::fmt;

use dmp_sdk::codec::{from_json, to_json};
use dmp_sdk::{AttributePath, Diagnostic, Query, Value};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json};

/// Which object a manifest means.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Identity {
    pub api_version: String,
    pub kind: String,
    pub namespace: Option<String>,
    pub name: String,
}

impl Identity {
    /// The identity of a manifest; `None` while a part of it is unknown.
    pub(crate) fn of(manifest: &Value) -> Result<Option<Self>, Diagnostic> {
        let metadata = manifest.get("metadata");
        let parts = [
            manifest.get("apiVersion"),
            manifest.get("kind"),
            metadata.get("name"),
            metadata.get("namespace"),
        ];
        if !manifest.is_known() || !metadata.is_known() || parts.iter().any(|part| !part.is_known())
        {
            return Ok(None);
        }
        let [api_version, kind, name, namespace] =
            parts.map(|part| part.as_str().map(ToOwned::to_owned));
        let missing = |what: &str| {
            Diagnostic::error("bad-manifest", "not a manifest")
                .detail(format!("`{what}` is missing"))
                .path(AttributePath::of("manifest"))
        };
        Ok(Some(Self {
            api_version: api_version.ok_or_else(|| missing("apiVersion"))?,
            kind: kind.ok_or_else(|| missing("kind"))?,
            name: name.ok_or_else(|| missing("metadata.name"))?,
            namespace,
        }))
    }

    /// The identity as one text, for the record and for clashes.
    pub(crate) fn to_text(&self) -> String {
        let namespace = self.namespace.as_deref().unwrap_or_default();
        format!(
            "{} {} {namespace}/{}",
            self.api_version, self.kind, self.name
        )
    }

    /// The identity that a text names, as `apps/v1 Deployment default/web` or `v1 Namespace web`.
    pub(crate) fn of_text(text: &str) -> Result<Self, Diagnostic> {
        let words: Vec<&str> = text.split_whitespace().collect();
        let [api_version, kind, place] = words[..] else {
            return Err(Diagnostic::error("bad-id", "not an object's identity")
                .detail(format!("`{text}`"))
                .help("write version, kind, namespace and name: `apps/v1 Deployment default/web`, `v1 Namespace web`"));
        };
        let (namespace, name) = place.split_once('/').unwrap_or(("", place));
        Ok(Self {
            api_version: api_version.into(),
            kind: kind.into(),
            namespace: (!namespace.is_empty()).then(|| namespace.into()),
            name: name.into(),
        })
    }

    /// Whether both mean one object; without a namespace it is the default one.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        (&self.api_version, &self.kind, &self.name)
            == (&other.api_version, &other.kind, &other.name)
            && self.namespace_or_default() == other.namespace_or_default()
    }

    /// The query whose answer has the object in it.
    pub(crate) fn query(&self) -> Query {
        Query(format!("{} {}", self.api_version, self.kind))
    }

    pub(crate) fn namespace_or_default(&self) -> &str {
        self.namespace.as_deref().unwrap_or("default")
    }

    /// Whether an object of a listing is the one.
    pub(crate) fn is(&self, object: &Json) -> bool {
        let metadata = &object["metadata"];
        let namespace = metadata["namespace"].as_str();
        metadata["name"].as_str() == Some(&self.name)
            && namespace.is_none_or(|namespace| namespace == self.namespace_or_default())
    }
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ", self.kind)?;
        if let Some(namespace) = &self.namespace {
            write!(f, "{namespace}/")?;
        }
        f.write_str(&self.name)
    }
}

/// What an object has at the places that a manifest sets. Lists are compared by position, or by their elements' `name`.
pub(crate) fn observed(manifest: &Json, object: &Json) -> Json {
    match (manifest, object) {
        (Json::Object(wanted), Json::Object(found)) => {
            let member = |(name, wanted): (&String, &Json)| {
                let found = found.get(name)?;
                Some((name.clone(), observed(wanted, found)))
            };
            Json::Object(wanted.iter().filter_map(member).collect())
        }
        (Json::Array(wanted), Json::Array(found)) => {
            let element = |(position, wanted): (usize, &Json)| {
                let by_name = wanted
                    .get("name")
                    .and_then(|name| found.iter().find(|found| found.get("name") == Some(name)));
                let found = match wanted.get("name") {
                    Some(_) => by_name,
                    None => found.get(position),
                };
                found.map(|found| observed(wanted, found))
            };
            let mut seen: Vec<Json> = wanted.iter().enumerate().filter_map(element).collect();
            // What somebody added to a list without names is seen too.
            let is_named = wanted.iter().any(|wanted| wanted.get("name").is_some());
            if !is_named && !wanted.is_empty() {
                seen.extend(found.iter().skip(wanted.len()).cloned());
            }
            Json::Array(seen)
        }
        (_, found) => found.clone(),
    }
}

/// The manifest as it would have to be for what is there now: where what is observed is what was recorded, the manifest
/// stands as it was written; elsewhere what is there takes its place.
pub(crate) fn as_found(manifest: &Json, recorded: &Json, now: &Json) -> Json {
    if recorded == now {
        return manifest.clone();
    }
    match (manifest, recorded, now) {
        (Json::Object(written), Json::Object(recorded), Json::Object(now)) => {
            let mut members = Map::new();
            for (name, value) in written {
                match (recorded.get(name), now.get(name)) {
                    (Some(recorded), Some(now)) => {
                        members.insert(name.clone(), as_found(value, recorded, now));
                    }
                    (None, Some(now)) => {
                        members.insert(name.clone(), now.clone());
                    }
                    // What the server never kept is as written; what it kept and lost is gone.
                    (None, None) => {
                        members.insert(name.clone(), value.clone());
                    }
                    (Some(_), None) => {}
                }
            }
            Json::Object(members)
        }
        (Json::Array(written), Json::Array(recorded), Json::Array(now))
            if written.len() == recorded.len() && recorded.len() == now.len() =>
        {
            let parts = written.iter().zip(recorded).zip(now);
            Json::Array(
                parts
                    .map(|((written, recorded), now)| as_found(written, recorded, now))
                    .collect(),
            )
        }
        (_, _, now) => now.clone(),
    }
}

/// An object as a manifest that would make it: without what the server alone writes.
pub(crate) fn manifest_of(object: &Json) -> Json {
    const SERVERS: [&str; 7] = [
        "creationTimestamp",
        "deletionTimestamp",
        "generation",
        "managedFields",
        "resourceVersion",
        "selfLink",
        "uid",
    ];
    let mut manifest = object.clone();
    if let Some(members) = manifest.as_object_mut() {
        members.remove("status");
    }
    if let Some(metadata) = manifest.get_mut("metadata").and_then(Json::as_object_mut) {
        metadata.retain(|name, _| !SERVERS.contains(&name.as_str()));
    }
    manifest
}

/// The places at which a server keeps something else than a manifest says, with what it keeps (`None`: nothing).
pub(crate) fn kept_otherwise(manifest: &Json, kept: &Json) -> Vec<(String, Option<Json>)> {
    fn look(path: &str, manifest: &Json, kept: &Json, into: &mut Vec<(String, Option<Json>)>) {
        match (manifest, kept) {
            (Json::Object(written), Json::Object(kept)) => {
                for (name, written) in written {
                    let path = match path {
                        "" => name.clone(),
                        _ => format!("{path}.{name}"),
                    };
                    match kept.get(name) {
                        Some(kept) => look(&path, written, kept, into),
                        None => into.push((path, None)),
                    }
                }
            }
            (Json::Array(written), Json::Array(kept)) if written.len() == kept.len() => {
                for (at, (written, kept)) in written.iter().zip(kept).enumerate() {
                    look(&format!("{path}[{at}]"), written, kept, into);
                }
            }
            _ if manifest == kept => {}
            _ => into.push((path.to_owned(), Some(kept.clone()))),
        }
    }
    let mut found = Vec::new();
    look("", manifest, kept, &mut found);
    found
}

/// A value as JSON, nulls left out: to the API an absent member and a null are different things.
pub(crate) fn plain(value: &Value) -> Result<Json, Diagnostic> {
    fn without_nulls(json: Json) -> Json {
        match json {
            Json::Object(members) => {
                let kept = members.into_iter().filter(|(_, member)| !member.is_null());
                Json::Object(
                    kept.map(|(name, member)| (name, without_nulls(member)))
                        .collect(),
                )
            }
            Json::Array(items) => Json::Array(items.into_iter().map(without_nulls).collect()),
            plain => plain,
        }
    }
    to_json(value)
        .map(without_nulls)
        .ok_or_else(|| Diagnostic::bug("a manifest with unknown parts"))
}

/// The same manifest without members that are null: to the API an absent member and a null are different things, and
/// modules set what is not given to null.
pub(crate) fn stripped(manifest: &Value) -> Value {
    let marks = manifest.marks().clone();
    match manifest.as_members() {
        Some(members) => {
            let kept = members.iter().filter(|(_, member)| !member.is_null());
            let members = kept
                .map(|(name, member)| (std::sync::Arc::clone(name), stripped(member)))
                .collect();
            Value::object(members).with_marks(marks)
        }
        None => manifest.map_children(stripped),
    }
}

/// JSON as a value.
pub(crate) fn value(json: &Json) -> Value {
    from_json(json)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn only_what_the_manifest_sets_is_observed() {
        let manifest =
            json!({ "spec": { "replicas": 2, "containers": [{ "name": "web", "image": "a" }] } });
        let object = json!({
            "spec": {
                "replicas": 3, "paused": false,
                "containers": [{ "name": "side", "image": "s" }, { "name": "web", "image": "a", "tty": false }],
            },
            "status": {},
        });
        let seen =
            json!({ "spec": { "replicas": 3, "containers": [{ "name": "web", "image": "a" }] } });
        assert_eq!(observed(&manifest, &object), seen);
    }

    #[test]
    fn an_identity_is_read_from_its_own_text() {
        for (text, namespace) in [
            ("apps/v1 Deployment default/web", Some("default")),
            ("v1 Namespace /web", None),
        ] {
            let identity = Identity::of_text(text).expect("an identity");
            assert_eq!(identity.to_text(), text);
            assert_eq!(identity.namespace.as_deref(), namespace);
        }
        assert_eq!(
            Identity::of_text("v1 Namespace web").ok(),
            Identity::of_text("v1 Namespace /web").ok()
        );
        assert!(Identity::of_text("web").is_err());
    }

    #[test]
    fn what_a_server_keeps_in_another_way_is_told_by_place() {
        let manifest = json!({ "a": [{ "cpu": "1000m", "n": 1 }], "b": { "c": "x" } });
        let kept = json!({ "a": [{ "cpu": "1", "n": 1 }], "b": {} });
        let told = vec![
            ("a[0].cpu".to_owned(), Some(json!("1"))),
            ("b.c".to_owned(), None),
        ];
        assert_eq!(kept_otherwise(&manifest, &kept), told);
        assert_eq!(kept_otherwise(&kept, &kept), []);
    }

    #[test]
    fn what_the_server_writes_in_another_way_is_no_drift_and_what_somebody_changed_is() {
        let manifest = json!({ "cpu": "1000m", "replicas": 2 });
        let recorded = json!({ "cpu": "1", "replicas": 2 });
        assert_eq!(as_found(&manifest, &recorded, &recorded), manifest);
        let edited = json!({ "cpu": "1", "replicas": 5 });
        assert_eq!(
            as_found(&manifest, &recorded, &edited),
            json!({ "cpu": "1000m", "replicas": 5 })
        );
        let removed = json!({ "cpu": "1" });
        assert_eq!(
            as_found(&manifest, &recorded, &removed),
            json!({ "cpu": "1000m" })
        );
    }
}
