//! A list of rules in order: read, compared, and made so without a moment in which neither the old nor the new ones hold.

use dmp_sdk::{AttributePath, Cx, Diagnostic, Type, Value};
use serde_json::Value as Json;

use super::{cannot, get};
use crate::client::{Method, Parameters, items};
use crate::cluster::Cluster;
use crate::resources::vm::wanted::{flag, text};
use crate::values;

/// The type of a `rule` block.
pub(super) fn rule_type() -> Type {
    let mut members: Vec<(&str, Type)> = WORDS
        .iter()
        .map(|(name, _)| (*name, Type::String))
        .collect();
    members.push(("enabled", Type::Bool));
    Type::object_of_optional(members)
}

pub(super) const DOC: &str = "A rule; the order counts. `direction` is `in`, `out`, `forward` or `group`, `action` is `ACCEPT`, `DROP`, `REJECT` or, with `group`, a security group's name. \
    `macro` (such as `SSH`), or `proto` with `dport` and `sport`; `source` and `dest` are addresses, ranges, networks, `+ipset` or aliases; `icmp_type`, `interface`, `log`, `comment`; `enabled` by default.";

/// Members that are words, and what Proxmox calls them.
const WORDS: &[(&str, &str)] = &[
    ("direction", "type"),
    ("action", "action"),
    ("macro", "macro"),
    ("proto", "proto"),
    ("source", "source"),
    ("dest", "dest"),
    ("dport", "dport"),
    ("sport", "sport"),
    ("icmp_type", "icmp-type"),
    ("interface", "iface"),
    ("log", "log"),
    ("comment", "comment"),
];

/// Whose rules are meant among those of a list.
#[derive(Clone, Debug)]
pub(super) enum Whose {
    /// All of them.
    All,
    /// Those with this marker in their comment.
    Marked(String),
}

impl Whose {
    /// The person's comment, of a rule that is meant.
    fn comment(&self, rule: &Json) -> Option<Option<String>> {
        let comment = values::text(rule, "comment").unwrap_or_default();
        let comment = comment.trim();
        match self {
            Self::All => Some((!comment.is_empty()).then(|| comment.to_owned())),
            Self::Marked(marker) => {
                let rest = comment.strip_suffix(marker.as_str())?.trim_end();
                Some((!rest.is_empty()).then(|| rest.to_owned()))
            }
        }
    }

    fn with_marker(&self, comment: Option<String>) -> Option<String> {
        match self {
            Self::All => comment,
            Self::Marked(marker) => Some(match comment {
                Some(comment) => format!("{comment} {marker}"),
                None => marker.clone(),
            }),
        }
    }
}

fn read_rule(rule: &Json, comment: Option<&str>) -> Value {
    let members = WORDS.iter().map(|(name, key)| {
        let value = match *name {
            "comment" => comment.map(ToOwned::to_owned),
            _ => values::text(rule, key).filter(|text| !text.is_empty()),
        };
        ((*name).into(), value.into())
    });
    let enabled = ("enabled".into(), values::flag(rule, "enable").into());
    Value::object(members.chain([enabled]).collect())
}

/// The rules that are meant, in their order.
pub(super) fn read(answer: &Json, whose: &Whose) -> Value {
    let mut rules: Vec<&Json> = items(answer).iter().collect();
    rules.sort_by_key(|rule| values::number(rule, "pos"));
    let meant = rules
        .into_iter()
        .filter_map(|rule| Some(read_rule(rule, whose.comment(rule)?.as_deref())));
    Value::list(meant.collect())
}

/// Rules that mean the same as what is wanted are what is wanted: an unset `enabled` is yes.
pub(super) fn as_wanted(read: Value, wanted: &Value) -> Value {
    let normal = |rules: &Value| -> Vec<Value> {
        let rules = rules.as_items().unwrap_or_default();
        rules.iter().map(normalised).collect()
    };
    match !wanted.is_null() && normal(&read) == normal(wanted) {
        true => wanted.clone(),
        false => read,
    }
}

fn normalised(rule: &Value) -> Value {
    let members = WORDS
        .iter()
        .map(|(name, _)| ((*name).into(), text(rule, name).into()));
    let enabled = (
        "enabled".into(),
        flag(rule, "enabled").unwrap_or(true).into(),
    );
    Value::object(members.chain([enabled]).collect())
}

fn form(rule: &Value, whose: &Whose) -> Parameters {
    let mut form = Parameters::new();
    for (name, key) in WORDS {
        let value = text(rule, name);
        let value = if *name == "comment" {
            whose.with_marker(value)
        } else {
            value
        };
        form.extend(value.map(|value| ((*key).to_owned(), value)));
    }
    let is_on = flag(rule, "enabled").unwrap_or(true);
    form.push(("enable".to_owned(), values::switch(is_on).to_owned()));
    form
}

/// Makes the list have these rules of those that are meant: the new ones first, then without the old ones.
pub(super) async fn set(
    cx: &dyn Cx,
    cluster: &Cluster,
    path: &str,
    whose: &Whose,
    wanted: &Value,
) -> Result<(), Diagnostic> {
    let Some(answer) = get(cluster, path).await? else {
        return Err(Diagnostic::remote("proxmox", "cannot change a firewall")
            .cause(format!("`{path}` is gone")));
    };
    let wanted: Vec<Value> = wanted
        .as_items()
        .unwrap_or_default()
        .iter()
        .map(normalised)
        .collect();
    let found = read(&answer, whose);
    if found.as_items().unwrap_or_default() == wanted {
        return Ok(());
    }
    cx.begin(&format!("put {} rules into {path}", wanted.len()))
        .await?;
    // Each goes in at the top, so the last one goes first.
    for rule in wanted.iter().rev() {
        let written = cluster
            .client
            .write(Method::Post, path, &form(rule, whose))
            .await;
        written.map_err(|error| cannot(&error))?;
    }
    // What is meant and stands behind the new ones is old. From the end on, so that places stay what they are.
    let Some(answer) = get(cluster, path).await? else {
        return Ok(());
    };
    let mut old: Vec<(i64, Option<String>)> = items(&answer)
        .iter()
        .filter(|rule| whose.comment(rule).is_some())
        .filter_map(|rule| Some((values::number(rule, "pos")?, values::text(rule, "digest"))))
        .collect();
    old.sort_by_key(|(place, _)| *place);
    let old: Vec<i64> = old
        .into_iter()
        .skip(wanted.len())
        .map(|(place, _)| place)
        .collect();
    if !old.is_empty() {
        cx.begin(&format!("take {} old rules out of {path}", old.len()))
            .await?;
    }
    for place in old.into_iter().rev() {
        remove_at(cluster, path, place).await?;
    }
    Ok(())
}

/// Takes out the rule at a place, as long as nobody has changed the list since it was read.
async fn remove_at(cluster: &Cluster, path: &str, place: i64) -> Result<(), Diagnostic> {
    let Some(answer) = get(cluster, path).await? else {
        return Ok(());
    };
    let rule = items(&answer)
        .iter()
        .find(|rule| values::number(rule, "pos") == Some(place));
    let digest = rule.and_then(|rule| values::text(rule, "digest"));
    let form: Parameters = digest
        .map(|digest| ("digest".to_owned(), digest))
        .into_iter()
        .collect();
    let removed = cluster
        .client
        .write(Method::Delete, &format!("{path}/{place}"), &form)
        .await;
    removed.map(drop).map_err(|error| cannot(&error))
}

/// Refuses rules that can never be.
pub(super) fn check(planned: &Value) -> Result<(), Diagnostic> {
    let rules = planned.get("rule");
    for (index, rule) in rules.as_items().unwrap_or_default().iter().enumerate() {
        let path = AttributePath::of("rule").index(index);
        let wrong = |member: &str, why: &str| {
            Diagnostic::error("wrong-argument", "unusable argument")
                .detail(why)
                .path(path.member(member))
        };
        for member in ["direction", "action"] {
            if rule.get(member).is_null() {
                return Err(wrong(member, &format!("`{member}` is missing")));
            }
        }
        let direction = text(rule, "direction");
        if let Some(direction) = direction.as_deref()
            && !matches!(direction, "in" | "out" | "forward" | "group")
        {
            return Err(wrong(
                "direction",
                "it is `in`, `out`, `forward` or `group`",
            ));
        }
        if direction.as_deref() != Some("group")
            && text(rule, "action")
                .is_some_and(|action| !matches!(action.as_str(), "ACCEPT" | "DROP" | "REJECT"))
        {
            return Err(wrong(
                "action",
                "it is `ACCEPT`, `DROP` or `REJECT`; a security group is named with `direction = \"group\"`",
            ));
        }
        let has_ports = !rule.get("dport").is_null() || !rule.get("sport").is_null();
        if has_ports && rule.get("proto").is_null() {
            return Err(wrong("proto", "ports need a protocol: `tcp` or `udp`"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn others_rules_are_passed_over_and_order_is_kept() {
        let answer = json!([
            { "pos": 1, "type": "in", "action": "ACCEPT", "dport": "22", "proto": "tcp", "comment": "ssh (dmp-ab)", "enable": 1 },
            { "pos": 0, "type": "in", "action": "DROP", "comment": "(dmp-ab)", "enable": 0 },
            { "pos": 2, "type": "in", "action": "ACCEPT", "comment": "by hand" },
        ]);
        let whose = Whose::Marked("(dmp-ab)".into());
        let found = read(&answer, &whose);
        let found = found.as_items().expect("a list");
        assert_eq!(found.len(), 2);
        assert_eq!(found[0].get("action"), "DROP".into());
        assert_eq!(found[0].get("enabled"), false.into());
        assert_eq!(found[1].get("comment"), "ssh".into());
        let sent = form(&found[1], &whose);
        assert!(
            sent.contains(&("comment".into(), "ssh (dmp-ab)".into())),
            "{sent:?}"
        );
        assert_eq!(
            read(&answer, &Whose::All).as_items().map(<[Value]>::len),
            Some(3)
        );
    }

    #[test]
    fn an_unset_switch_is_no_difference() {
        let wanted = Value::list(vec![Value::object_of([
            ("direction", "in".into()),
            ("action", "ACCEPT".into()),
        ])]);
        let answer = json!([{ "pos": 0, "type": "in", "action": "ACCEPT", "enable": 1 }]);
        assert_eq!(as_wanted(read(&answer, &Whose::All), &wanted), wanted);
        let off = json!([{ "pos": 0, "type": "in", "action": "ACCEPT" }]);
        assert_ne!(as_wanted(read(&off, &Whose::All), &wanted), wanted);
    }
}
