//! Values that are the same are one in memory.
//!
//! A stack says the same thing many times: each resource on a host carries the whole connection to it. What goes over a
//! value and changes nothing inside must not leave a copy of it behind.

use std::sync::Arc;

use crate::value::{Kind, Members, Value};

impl Value {
    /// The same value, which holds what another one holds wherever their insides are identical.
    pub(crate) fn sharing_with(self, other: &Self) -> Self {
        let is_alike = match (self.kind(), other.kind()) {
            (Kind::List(a), Kind::List(b))
            | (Kind::Set(a), Kind::Set(b))
            | (Kind::Tuple(a), Kind::Tuple(b)) => are_identical(a, b),
            (Kind::Map(a), Kind::Map(b)) | (Kind::Object(a), Kind::Object(b)) => {
                have_identical_members(a, b)
            }
            _ => false,
        };
        if is_alike {
            let marks = self.marks().clone();
            other.clone().with_marks(marks)
        } else {
            self
        }
    }

    /// Whether nobody could tell the two from each other, as far as that is seen without going inside.
    fn is_identical(&self, other: &Self) -> bool {
        let is_same_kind = match (self.kind(), other.kind()) {
            (Kind::Null, Kind::Null) => true,
            (Kind::Unknown(a), Kind::Unknown(b)) => Arc::ptr_eq(a, b),
            (Kind::Bool(a), Kind::Bool(b)) => a == b,
            (Kind::Number(a), Kind::Number(b)) => Arc::ptr_eq(a, b),
            (Kind::String(a), Kind::String(b)) => Arc::ptr_eq(a, b),
            (Kind::List(a), Kind::List(b))
            | (Kind::Set(a), Kind::Set(b))
            | (Kind::Tuple(a), Kind::Tuple(b)) => Arc::ptr_eq(a, b),
            (Kind::Map(a), Kind::Map(b)) | (Kind::Object(a), Kind::Object(b)) => Arc::ptr_eq(a, b),
            _ => false,
        };
        is_same_kind && self.marks() == other.marks()
    }
}

fn are_identical(items: &[Value], others: &[Value]) -> bool {
    items.len() == others.len()
        && items
            .iter()
            .zip(others)
            .all(|(item, other)| item.is_identical(other))
}

fn have_identical_members(members: &Members, others: &Members) -> bool {
    members.len() == others.len()
        && members
            .iter()
            .zip(others)
            .all(|((name, value), (other, other_value))| {
                name == other && value.is_identical(other_value)
            })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Marks;
    use crate::types::{Member, Strictness, Type, convert};

    fn connection() -> Value {
        let ports = Value::list([22, 2222].map(Value::from).to_vec());
        Value::object_of([
            ("address", "10.0.0.1".into()),
            ("ports", ports),
            ("user", "root".into()),
        ])
    }

    fn is_shared(a: &Value, b: &Value) -> bool {
        match (a.kind(), b.kind()) {
            (Kind::Object(a), Kind::Object(b)) => Arc::ptr_eq(a, b),
            _ => false,
        }
    }

    #[test]
    fn what_changes_nothing_inside_leaves_no_copy() {
        let value = connection();
        let marked = value.clone().marked(&Marks::sensitive());
        let plain = marked.map_marks(&|_| Marks::none());
        assert!(is_shared(&plain, &value) && plain.marks().is_empty());
        assert!(is_shared(&marked.map_children(Clone::clone), &value));
        assert!(is_shared(&value.with_secrecy_of(&marked), &value));
        let ty = value.type_of();
        let converted = convert(&marked, &ty, Strictness::Exact).unwrap();
        assert!(is_shared(&converted, &value) && converted.marks().is_sensitive());
    }

    #[test]
    fn what_changes_inside_is_another_value() {
        let value = connection();
        let longer = value.map_children(|child| match child.as_str() {
            Some(text) => format!("{text}!").into(),
            None => child.clone(),
        });
        assert_eq!(longer.get("user").as_str(), Some("root!"));
        let mut wanted = match value.type_of() {
            Type::Object(members) => members,
            other => panic!("{other:?}"),
        };
        let default = Some(Value::from(true));
        let sudo = Member {
            ty: Type::Bool,
            optional: true,
            default,
        };
        wanted.insert("sudo".into(), sudo);
        let converted = convert(&value, &Type::Object(wanted), Strictness::Exact).unwrap();
        assert_eq!(converted.get("sudo").as_bool(), Some(true));
        assert_eq!(value.as_members().map(Members::len), Some(3));
        let hidden = value.map_marks(&|_| Marks::sensitive());
        assert!(!is_shared(&hidden, &value) && hidden.get("user").marks().is_sensitive());
    }
}
