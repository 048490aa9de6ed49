//! Values that are the same are one in memory.
//!
//! A stack says the same thing many times: each resource on a host carries the whole connection to it. What goes over a
//! value and changes nothing inside must not leave a copy of it behind.

use std::collections::{HashMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use crate::value::{Kind, Members, Value};

/// What many values have in common, while they are read one after the other.
#[derive(Default)]
pub struct Pool {
    texts: HashSet<Arc<str>>,
    collections: HashMap<u64, Vec<Value>>,
}

impl Pool {
    /// The same object, whose members are shared. The object itself is one of its own, such as a record, and is not looked for.
    #[must_use]
    pub fn share_members(&mut self, object: &Value) -> Value {
        match object.kind() {
            Kind::Object(members) => {
                Value::from(Kind::Object(self.members(members))).with_marks(object.marks().clone())
            }
            _ => self.share(object),
        }
    }

    /// The same value, in which texts, names and whole collections that came by before are those of then.
    pub fn share(&mut self, value: &Value) -> Value {
        let kind = match value.kind() {
            Kind::String(text) => Kind::String(self.text(text)),
            Kind::List(items) => Kind::List(self.items(items)),
            Kind::Set(items) => Kind::Set(self.items(items)),
            Kind::Tuple(items) => Kind::Tuple(self.items(items)),
            Kind::Map(members) => Kind::Map(self.members(members)),
            Kind::Object(members) => Kind::Object(self.members(members)),
            Kind::Null | Kind::Unknown(_) | Kind::Bool(_) | Kind::Number(_) => {
                return value.clone();
            }
        };
        let shared = Value::from(kind).with_marks(value.marks().clone());
        if shared.children().next().is_none() {
            return shared;
        }
        let mut hasher = DefaultHasher::new();
        shared.hash_inside(&mut hasher);
        let alike = self.collections.entry(hasher.finish()).or_default();
        if let Some(known) = alike.iter().find(|known| shared.is_alike(known)) {
            return known.clone().with_marks(shared.marks().clone());
        }
        alike.push(shared.clone());
        shared
    }

    fn text(&mut self, text: &Arc<str>) -> Arc<str> {
        if let Some(known) = self.texts.get(text) {
            return Arc::clone(known);
        }
        self.texts.insert(Arc::clone(text));
        Arc::clone(text)
    }

    fn items(&mut self, items: &[Value]) -> Arc<Vec<Value>> {
        Arc::new(items.iter().map(|item| self.share(item)).collect())
    }

    fn members(&mut self, members: &Members) -> Arc<Members> {
        let member = |(name, value)| (self.text(name), self.share(value));
        Arc::new(members.iter().map(member).collect())
    }
}

impl Value {
    /// The same value, which holds what another one holds wherever their insides are identical.
    #[must_use]
    pub fn sharing_with(self, other: &Self) -> Self {
        if self.is_alike(other) {
            let marks = self.marks().clone();
            other.clone().with_marks(marks)
        } else {
            self
        }
    }

    /// Whether two collections have identical insides.
    fn is_alike(&self, other: &Self) -> bool {
        match (self.kind(), other.kind()) {
            (Kind::List(a), Kind::List(b))
            | (Kind::Set(a), Kind::Set(b))
            | (Kind::Tuple(a), Kind::Tuple(b)) => are_identical(a, b),
            (Kind::Map(a), Kind::Map(b)) | (Kind::Object(a), Kind::Object(b)) => {
                have_identical_members(a, b)
            }
            _ => false,
        }
    }

    /// Hashes what `is_alike` compares of a value whose texts and names are the pool's: where they are tells them apart.
    fn hash_inside(&self, hasher: &mut impl Hasher) {
        let names = self.as_members().into_iter().flat_map(Members::keys);
        for name in names {
            Arc::as_ptr(name).hash(hasher);
        }
        for child in self.children() {
            match child.kind() {
                Kind::Null => {}
                Kind::Bool(value) => value.hash(hasher),
                Kind::Number(number) => number.hash(hasher),
                Kind::Unknown(unknown) => Arc::as_ptr(unknown).hash(hasher),
                Kind::String(text) => Arc::as_ptr(text).hash(hasher),
                Kind::List(items) | Kind::Set(items) | Kind::Tuple(items) => {
                    Arc::as_ptr(items).hash(hasher);
                }
                Kind::Map(members) | Kind::Object(members) => Arc::as_ptr(members).hash(hasher),
            }
        }
    }

    /// Whether nobody could tell the two from each other, as far as that is seen without going inside.
    fn is_identical(&self, other: &Self) -> bool {
        let is_same_kind = match (self.kind(), other.kind()) {
            (Kind::Null, Kind::Null) => true,
            (Kind::Unknown(a), Kind::Unknown(b)) => Arc::ptr_eq(a, b),
            (Kind::Bool(a), Kind::Bool(b)) => a == b,
            (Kind::Number(a), Kind::Number(b)) => Arc::ptr_eq(a, b) || a == b,
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
        let converted = convert(&marked, &ty, Strictness::Exact).expect("it fits");
        assert!(is_shared(&converted, &value) && converted.marks().is_sensitive());
    }

    #[test]
    fn what_is_read_many_times_is_held_once_and_keeps_its_marks() {
        let mut pool = Pool::default();
        let first = pool.share(&connection());
        assert!(is_shared(&pool.share(&connection()), &first));
        let hidden = connection().map_children(|child| match child.as_str() {
            Some("root") => child.clone().marked(&Marks::sensitive()),
            _ => child.clone(),
        });
        let shared = pool.share(&hidden);
        assert!(!is_shared(&shared, &first) && shared.get("user").marks().is_sensitive());
        assert!(!first.get("user").marks().is_sensitive());
        let whole = pool.share(&connection().marked(&Marks::sensitive()));
        assert!(is_shared(&whole, &first) && whole.marks().is_sensitive());
        assert!(first.marks().is_empty());
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
        let converted = convert(&value, &Type::Object(wanted), Strictness::Exact).expect("it fits");
        assert_eq!(converted.get("sudo").as_bool(), Some(true));
        assert_eq!(value.as_members().map(Members::len), Some(3));
        let hidden = value.map_marks(&|_| Marks::sensitive());
        assert!(!is_shared(&hidden, &value) && hidden.get("user").marks().is_sensitive());
    }
}
