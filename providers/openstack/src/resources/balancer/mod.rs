//! Load balancers of Octavia: the balancer, what it listens at, and where it passes things on. All of one balancer changes together:
//! while any part does, Octavia takes no other change, which is waited for here. Checked against Octavia 11 (Zed):
//! `octavia/api/v2/types`, `octavia/api/v2/controllers`, `octavia/common/exceptions.py`.

pub(crate) mod listener;
pub(crate) mod loadbalancer;
pub(crate) mod member;
pub(crate) mod monitor;
pub(crate) mod pool;

use async_trait::async_trait;
use dmp_sdk::{Attribute, Change, Diagnostic, Effect, Schema, Type, Value};
use serde_json::{Map, Value as Json};

use crate::object::{Kind, Model, State, Task};
use crate::session::Refusal;
use crate::values::{items, segment, text, text_at, wrong};

/// What a part has of its own; what all have [`OfBalancer`] adds.
#[async_trait]
pub(crate) trait Part: Send + Sync + 'static {
    /// Where its objects are.
    fn kind(&self) -> &'static Kind;

    /// Its schema, without what all parts have.
    fn schema(&self) -> Schema;

    /// More members of the creating call.
    fn fill(&self, wanted: &Value, body: &mut Map<String, Json>) {
        let _ = (wanted, body);
    }

    /// More of what was read, or what has to be read in another way.
    fn refine(&self, known: &Value, found: &Json, value: Value) -> Value {
        let _ = (known, found);
        value
    }

    /// Refines a change.
    fn plan(&self, change: &mut Change<'_>) -> Result<(), Diagnostic>;

    /// What a delete does to others.
    fn plan_delete(&self, prior: &Value) -> (Vec<Effect>, Vec<String>) {
        let _ = prior;
        (Vec::new(), Vec::new())
    }

    /// What a creating call has been refused for, where the part has words of its own for that.
    fn explain(&self, refused: &Refusal) -> Option<String> {
        let _ = refused;
        None
    }

    /// What still needs the part, where its delete is refused for that.
    async fn blockers(&self, task: &Task<'_>, id: &str) -> Vec<String> {
        let _ = (task, id);
        Vec::new()
    }
}

/// A part as a type: with the states, the waiting and the faults that all parts of a balancer have in common.
pub(crate) struct OfBalancer<P>(pub(crate) P);

#[async_trait]
impl<P: Part> Model for OfBalancer<P> {
    fn kind(&self) -> &'static Kind {
        self.0.kind()
    }

    fn schema(&self) -> Schema {
        common(self.0.schema())
    }

    fn fill(&self, wanted: &Value, body: &mut Map<String, Json>) {
        self.0.fill(wanted, body);
    }

    fn refine(&self, known: &Value, found: &Json, value: Value) -> Value {
        with_fault(found, &self.0.refine(known, found, value))
    }

    fn state(&self, found: &Json) -> State {
        state(found)
    }

    fn plan(&self, change: &mut Change<'_>) -> Result<(), Diagnostic> {
        self.0.plan(change)?;
        replace_what_has_failed(change);
        Ok(())
    }

    fn plan_delete(&self, prior: &Value) -> (Vec<Effect>, Vec<String>) {
        self.0.plan_delete(prior)
    }

    fn explain(&self, refused: &Refusal) -> Option<String> {
        self.0.explain(refused).or_else(|| explain(refused))
    }

    fn busy(&self, refused: &Refusal) -> Option<(String, &'static str)> {
        busy(refused)
    }

    fn is_going(&self, found: &Json) -> bool {
        is_going(found)
    }

    fn is_stuck(&self, found: &Json) -> bool {
        is_stuck(found)
    }

    async fn blockers(&self, task: &Task<'_>, id: &str) -> Vec<String> {
        self.0.blockers(task, id).await
    }
}

/// The attributes that all parts have.
fn common(schema: Schema) -> Schema {
    schema
        .attribute("name", Attribute::optional(Type::String, "Its name."))
        .attribute(
            "admin_state_up",
            Attribute::default(Type::Bool, "Whether it is at work.", true),
        )
        .attribute(
            "fault",
            Attribute::computed(
                Type::String,
                "The state that it has failed in; nothing where all is well.",
            ),
        )
}

/// How far a part is.
fn state(found: &Json) -> State {
    match text(found, "provisioning_status").as_deref() {
        Some("ACTIVE") | None => State::Ready,
        Some("ERROR") => State::Failed(
            "it is in the state `ERROR`: Octavia could not set it up; its worker's log says why"
                .into(),
        ),
        Some(status) => State::UnderWay(format!("it is in the state `{status}`")),
    }
}

/// A part with the state that it has failed in.
fn with_fault(found: &Json, value: &Value) -> Value {
    let status = text(found, "provisioning_status").filter(|status| status == "ERROR");
    value.with("fault", status.into())
}

/// A part that has failed is replaced: Octavia takes no change of it.
fn replace_what_has_failed(change: &mut Change<'_>) {
    if let Some(fault) = change.prior.and_then(|prior| text_at(prior, "fault")) {
        change.replace(
            "fault",
            format!("it is in the state `{fault}`, in which Octavia takes no change"),
        );
    }
}

/// Whether a part that was to go has failed to.
fn is_stuck(found: &Json) -> bool {
    text(found, "provisioning_status").as_deref() == Some("ERROR")
}

/// Whether a part is going: Octavia's worker trips over a second delete, and leaves the whole as if it were changing for good.
fn is_going(found: &Json) -> bool {
    text(found, "provisioning_status").as_deref() == Some("PENDING_DELETE")
}

/// The balancer or the pool that is just changing, where a call was refused for that: `Load Balancer ID is immutable and cannot be
/// updated.`
fn busy(refused: &Refusal) -> Option<(String, &'static str)> {
    if refused.status != 409 {
        return None;
    }
    let words = refused.message.trim_end_matches('.');
    let words = words.strip_suffix(" is immutable and cannot be updated")?;
    let whole = |(name, many, one): &(&str, &str, &'static str)| {
        let id = segment(words.strip_prefix(name)?);
        Some((format!("/lbaas/{many}/{id}"), *one))
    };
    WHOLES.iter().find_map(whole)
}

/// What a part is part of: as Octavia's refusals call it, as its paths do, and the member of an answer that has it.
const WHOLES: &[(&str, &str, &str)] = &[
    ("Load Balancer ", "loadbalancers", "loadbalancer"),
    ("Pool ", "pools", "pool"),
];

/// The id of the first object in a list of them.
fn first_id(list: &Json) -> Option<String> {
    items(list).first().and_then(|one| text(one, "id"))
}

/// Refuses a word that is none of these.
fn one_of(planned: &Value, attribute: &str, words: &[&str]) -> Result<(), Diagnostic> {
    match text_at(planned, attribute).filter(|word| !words.contains(&word.as_str())) {
        Some(word) => Err(wrong(
            attribute,
            format!("`{word}` is none of `{}`", words.join("`, `")),
        )),
        None => Ok(()),
    }
}

/// Refuses a number out of a range.
fn within(planned: &Value, attribute: &str, least: i64, most: i64) -> Result<(), Diagnostic> {
    match planned.get(attribute).as_i64() {
        Some(number) if !(least..=most).contains(&number) => Err(wrong(
            attribute,
            format!("it is a number from {least} to {most}"),
        )),
        _ => Ok(()),
    }
}

/// Ports of TCP and UDP.
const PORTS: (i64, i64) = (1, 65535);

/// What Octavia says of many things, in words of use.
fn explain(refused: &Refusal) -> Option<String> {
    if refused.status == 403 && !refused.is_over_quota() {
        return Some("many clouds let only those near Octavia who have the role `load-balancer_member`: have it granted in this project".into());
    }
    refused
        .says(&[
            "already has a listener",
            "already in use by another listener",
            "DuplicateListenerEntry",
        ])
        .then(|| {
            "the balancer listens at this port already: import that listener, or take another port"
                .into()
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(status: u16, message: &str) -> Refusal {
        Refusal {
            status,
            message: message.into(),
            ..Refusal::default()
        }
    }

    #[test]
    fn a_balancer_that_changes_is_waited_for() {
        let path = |status, message: &str| busy(&refusal(status, message)).map(|(path, _)| path);
        let said = "Load Balancer 8e3c is immutable and cannot be updated.";
        assert_eq!(
            path(409, said).as_deref(),
            Some("/lbaas/loadbalancers/8e3c")
        );
        assert_eq!(
            path(409, "Pool 9f is immutable and cannot be updated.").as_deref(),
            Some("/lbaas/pools/9f")
        );
        assert_eq!(path(400, said), None);
        assert_eq!(path(409, "Pool 8e3c is in use by L7 policy 1"), None);
    }

    #[test]
    fn states_are_followed() {
        let of = |status: &str| state(&serde_json::json!({ "provisioning_status": status }));
        assert_eq!(of("ACTIVE"), State::Ready);
        assert!(matches!(of("PENDING_UPDATE"), State::UnderWay(_)));
        assert!(matches!(of("ERROR"), State::Failed(_)));
    }

    #[test]
    fn words_and_numbers_are_checked() {
        let planned = Value::object_of([("type", "PINGG".into()), ("port", 0.into())]);
        assert!(one_of(&planned, "type", &["PING"]).is_err());
        assert!(one_of(&planned, "other", &["PING"]).is_ok());
        assert!(within(&planned, "port", PORTS.0, PORTS.1).is_err());
    }
}
