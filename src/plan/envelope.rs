//! Whether what is decided late is within what was approved.
//!
//! A late decision may fill in unknowns and weaken an action. All else is a stage of its own.

use dmp_sdk::{Action, MarkWay, Schema, Value};

use crate::instance::Decision;
use crate::model::{Earlier, Planned};

/// How a late decision stands to the approved one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Late {
    /// Within it.
    Within,
    /// Beyond it: why, for the person who is asked again.
    Beyond(String),
}

/// Compares a late decision, and what was found there before it, with the approved plan.
#[must_use]
pub fn compare(approved: &Planned, late: &Decision, earlier: &Earlier, schema: &Schema) -> Late {
    // The second half of a replacement is a create, and what it replaces was approved with it.
    let is_second_half = approved.action.replaces() && late.action == Action::Create;
    if !is_second_half && !is_weaker_or_equal(approved.action, late.action) {
        return Late::Beyond(format!(
            "it would be {}, approved was {}",
            in_words(late.action),
            in_words(approved.action)
        ));
    }
    // What stands where the old object stood was put back by its delete.
    let is_same_place = is_second_half && !goes_elsewhere(approved, &late.planned, schema);
    if let (false, Earlier::NotRead, Earlier::Found(found)) =
        (is_same_place, &approved.earlier, earlier)
    {
        // An import that changes nothing is weaker than a create; one that would change the object is not.
        let same = late
            .planned
            .as_members()
            .into_iter()
            .flatten()
            .all(|(name, planned)| {
                planned.is_null() || !planned.is_wholly_known() || *planned == found.get(name)
            });
        if !same {
            return Late::Beyond("something is there already that it would change".into());
        }
    }
    match &approved.planned {
        Some(planned) if late.action != Action::NoOp && !fills_in(planned, &late.planned) => {
            Late::Beyond("its values differ from those approved".into())
        }
        _ => Late::Within,
    }
}

/// Whether the new object of a replacement stands at another natural key, or is reached another way, than the old one.
fn goes_elsewhere(approved: &Planned, late: &Value, schema: &Schema) -> bool {
    let MarkWay::NaturalKey(keys) = schema.mark else {
        return false;
    };
    let Some(prior) = &approved.prior else {
        return false;
    };
    // What is lost with its host comes back on an empty one.
    let is_moved =
        approved.lost_with.is_none() && keys.iter().any(|key| prior.get(key) != late.get(key));
    let record = approved.record.as_ref();
    is_moved || record.is_some_and(|record| record.provider != approved.provider)
}

fn is_weaker_or_equal(approved: Action, late: Action) -> bool {
    approved == late
        || late == Action::NoOp
        || matches!(
            (approved, late),
            (
                Action::DeleteThenCreate | Action::CreateThenDelete,
                Action::Update
            ) | (Action::Update, Action::Import)
        )
}

fn in_words(action: Action) -> &'static str {
    match action {
        Action::NoOp => "left as it is",
        Action::Read => "read",
        Action::Import => "taken over as it is",
        Action::Create => "created",
        Action::Update => "changed in place",
        Action::DeleteThenCreate | Action::CreateThenDelete => "replaced",
        Action::Delete => "deleted",
        Action::Forget | Action::LostWithHost => "forgotten",
        Action::Defer => "decided later",
    }
}

/// Whether a value only adds what was unknown.
fn fills_in(approved: &Value, late: &Value) -> bool {
    if !approved.is_known() {
        return true;
    }
    if approved.is_wholly_known() {
        return approved == late || approved.deep_marks().is_ephemeral();
    }
    match (approved.as_members(), late.as_members()) {
        (Some(a), Some(b)) => {
            return a.len() == b.len()
                && a.iter()
                    .all(|(name, value)| b.get(name).is_some_and(|late| fills_in(value, late)));
        }
        (None, None) => {}
        _ => return false,
    }
    match (approved.as_items(), late.as_items()) {
        // Which elements of a set were unknown can't be told once they are sorted anew.
        (Some(a), Some(b)) if matches!(approved.kind(), dmp_sdk::Kind::Set(_)) => {
            a.len() >= b.len()
        }
        (Some(a), Some(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| fills_in(a, b)),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use dmp_sdk::Type;

    #[test]
    fn unknowns_may_be_filled_in_and_nothing_else() {
        let approved =
            Value::object_of([("id", Value::unknown(Type::String)), ("name", "a".into())]);
        let filled = Value::object_of([("id", "1".into()), ("name", "a".into())]);
        let other = Value::object_of([("id", "1".into()), ("name", "b".into())]);
        assert!(fills_in(&approved, &filled));
        assert!(!fills_in(&approved, &other));
    }

    #[test]
    fn an_action_may_only_weaken() {
        assert!(is_weaker_or_equal(Action::DeleteThenCreate, Action::Update));
        assert!(is_weaker_or_equal(Action::Create, Action::NoOp));
        assert!(!is_weaker_or_equal(
            Action::Update,
            Action::DeleteThenCreate
        ));
        assert!(!is_weaker_or_equal(Action::NoOp, Action::Update));
    }
}
