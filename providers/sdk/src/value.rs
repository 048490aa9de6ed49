//! The value of an expression or an attribute: typed, possibly unknown, with its marks.
//!
//! A value is cheap to clone. Marks stand where they were put: a marked object marks what is taken out of it
//! (`Value::attribute`, `Value::index`), so marking a whole instance costs nothing per attribute.

use std::cmp::Ordering;
use std::fmt;
use std::sync::Arc;

use crate::marks::Marks;
use crate::number::{Digits, Number};
use crate::sorted_map::SortedMap;
use crate::types::Type;

/// A value with its marks. Equality and order ignore the marks.
#[derive(Clone)]
pub struct Value {
    kind: Kind,
    marks: Marks,
}

/// A secret is not shown here either: debug texts end up in panics, traces and errors.
impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let is_secret = self.marks.is_sensitive() || self.marks.is_ephemeral();
        let kind: &dyn fmt::Debug = match (is_secret, &self.kind) {
            (false, kind) | (true, kind @ (Kind::Null | Kind::Unknown(_))) => kind,
            (true, _) => &"(sensitive)",
        };
        f.debug_struct("Value")
            .field("kind", kind)
            .field("marks", &self.marks)
            .finish()
    }
}

/// What a value is.
#[derive(Clone, Debug)]
pub enum Kind {
    /// No value.
    Null,
    /// Known after apply.
    Unknown(Arc<Unknown>),
    /// `true` or `false`.
    Bool(bool),
    /// A number.
    Number(Arc<Number>),
    /// A text.
    String(Arc<str>),
    /// Many of one type, in order.
    List(Arc<Vec<Value>>),
    /// Many of one type, each once, sorted.
    Set(Arc<Vec<Value>>),
    /// Some, each with a type of its own, in order.
    Tuple(Arc<Vec<Value>>),
    /// Many of one type, by name.
    Map(Arc<Members>),
    /// Some, each with a type of its own, by name.
    Object(Arc<Members>),
}

/// The members of a map or an object.
pub type Members = SortedMap<Arc<str>, Value>;

/// What is known of a value which is not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unknown {
    /// Its type, `Type::Any` if not even that is known.
    pub ty: Type,
    /// Whether it can't be null.
    pub not_null: bool,
    /// What a text begins with, as far as that is known.
    pub prefix: Option<Arc<str>>,
    /// How many elements a list, a set or a map has, or where a number lies, as far as that is known. It holds for
    /// each value it may become but null.
    pub bounds: Option<Bounds>,
}

impl Unknown {
    /// Of which nothing is known but its type.
    #[must_use]
    pub fn of(ty: Type) -> Self {
        Self {
            ty,
            not_null: false,
            prefix: None,
            bounds: None,
        }
    }

    /// The same, not null.
    #[must_use]
    pub fn not_null(mut self) -> Self {
        self.not_null = true;
        self
    }

    /// The same, within bounds. Only a list, a set, a map and a number have some; that a collection has no fewer than no
    /// elements says nothing.
    #[must_use]
    pub fn within(mut self, bounds: Option<Bounds>) -> Self {
        self.bounds = match self.ty {
            Type::List(_) | Type::Set(_) | Type::Map(_) => {
                bounds.filter(|bounds| *bounds != Bounds::default())
            }
            Type::Number => bounds,
            _ => None,
        };
        self
    }
}

/// How many elements a collection has, or what a number lies between; both ends are included.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bounds {
    /// At least this.
    pub least: usize,
    /// At most this; `None` if there is no limit.
    pub most: Option<usize>,
}

impl Bounds {
    /// Exactly this.
    #[must_use]
    pub fn exactly(count: usize) -> Self {
        Self::between(count, count)
    }

    /// From one to the other.
    #[must_use]
    pub fn between(least: usize, most: usize) -> Self {
        Self {
            least,
            most: Some(most),
        }
    }

    /// What it is, if only one number is possible.
    #[must_use]
    pub fn exact(self) -> Option<usize> {
        self.most.filter(|most| *most == self.least)
    }

    /// Where either of two is possible.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        Self {
            least: self.least.min(other.least),
            most: self.most.zip(other.most).map(|(a, b)| a.max(b)),
        }
    }

    /// Of both together.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self {
            least: self.least.saturating_add(other.least),
            most: self
                .most
                .zip(other.most)
                .and_then(|(a, b)| a.checked_add(b)),
        }
    }

    /// Of all pairs of one and the other.
    #[must_use]
    pub fn times(self, other: Self) -> Self {
        let most = match (self.most, other.most) {
            (Some(0), _) | (_, Some(0)) => Some(0),
            (a, b) => a.zip(b).and_then(|(a, b)| a.checked_mul(b)),
        };
        Self {
            least: self.least.saturating_mul(other.least),
            most,
        }
    }

    /// Of those that are left where equal elements become one.
    #[must_use]
    pub fn without_repetitions(self) -> Self {
        Self {
            least: self.least.min(1),
            most: self.most,
        }
    }

    /// Whether no number lies in both.
    #[must_use]
    pub fn is_apart_from(self, other: Self) -> bool {
        let ends_before = |a: Self, b: Self| a.most.is_some_and(|most| most < b.least);
        ends_before(self, other) || ends_before(other, self)
    }
}

impl Value {
    /// The absent value.
    #[must_use]
    pub fn null() -> Self {
        Kind::Null.into()
    }

    /// A value that is known after apply.
    #[must_use]
    pub fn unknown(ty: Type) -> Self {
        Kind::Unknown(Arc::new(Unknown::of(ty))).into()
    }

    /// A list of values of one type.
    #[must_use]
    pub fn list(items: Vec<Self>) -> Self {
        Kind::List(Arc::new(items)).into()
    }

    /// A tuple.
    #[must_use]
    pub fn tuple(items: Vec<Self>) -> Self {
        Kind::Tuple(Arc::new(items)).into()
    }

    /// A set: sorted, without repetitions; the elements' marks become the set's.
    #[must_use]
    pub fn set(items: Vec<Self>) -> Self {
        let mut marks = Marks::none();
        let mut plain: Vec<Self> = Vec::with_capacity(items.len());
        for item in items {
            marks = marks.union(&item.deep_marks());
            plain.push(item.deep_unmarked());
        }
        plain.sort_by(Self::canonical_order);
        plain.dedup_by(|a, b| a.canonical_order(b) == Ordering::Equal && a.is_wholly_known());
        Self {
            kind: Kind::Set(Arc::new(plain)),
            marks,
        }
    }

    /// A map.
    #[must_use]
    pub fn map(members: Members) -> Self {
        Kind::Map(Arc::new(members)).into()
    }

    /// An object.
    #[must_use]
    pub fn object(members: Members) -> Self {
        Kind::Object(Arc::new(members)).into()
    }

    /// An object from pairs.
    #[must_use]
    pub fn object_of<const N: usize>(members: [(&str, Self); N]) -> Self {
        Self::object(
            members
                .into_iter()
                .map(|(name, value)| (Arc::from(name), value))
                .collect(),
        )
    }

    /// What the value is, apart from its marks.
    #[must_use]
    pub fn kind(&self) -> &Kind {
        &self.kind
    }

    /// The marks at this very place (not those further inside).
    #[must_use]
    pub fn marks(&self) -> &Marks {
        &self.marks
    }

    /// The same value with more marks.
    #[must_use]
    pub fn marked(mut self, marks: &Marks) -> Self {
        if !marks.is_empty() {
            self.marks = self.marks.union(marks);
        }
        self
    }

    /// The same value with exactly these marks.
    #[must_use]
    pub fn with_marks(mut self, marks: Marks) -> Self {
        self.marks = marks;
        self
    }

    /// The union of all marks, here and inside.
    #[must_use]
    pub fn deep_marks(&self) -> Marks {
        let mut all = self.marks.clone();
        for child in self.children() {
            let inside = child.deep_marks();
            if !inside.is_empty() {
                all = all.union(&inside);
            }
        }
        all
    }

    /// The same value without marks, here and inside.
    #[must_use]
    pub fn deep_unmarked(&self) -> Self {
        self.map_children(Self::deep_unmarked)
            .with_marks(Marks::none())
    }

    /// The same value with every marks changed by a function, here and inside.
    #[must_use]
    pub fn map_marks(&self, change: &impl Fn(&Marks) -> Marks) -> Self {
        self.map_children(|child| child.map_marks(change))
            .with_marks(change(&self.marks))
    }

    /// The same value with the *sensitive* and *ephemeral* marks that another value has at the same places: what was
    /// read outside carries no marks, what was written did.
    #[must_use]
    pub fn with_secrecy_of(&self, other: &Self) -> Self {
        if !other.has_secrets() {
            return self.clone();
        }
        let inside = match (&self.kind, other.as_members()) {
            (Kind::Map(members) | Kind::Object(members), Some(others)) => {
                let mark = |(name, value): (&Arc<str>, &Self)| {
                    let marked = others.get(name).map(|other| value.with_secrecy_of(other));
                    (Arc::clone(name), marked.unwrap_or_else(|| value.clone()))
                };
                let members = Arc::new(members.iter().map(mark).collect());
                let kind = match self.kind {
                    Kind::Map(_) => Kind::Map(members),
                    _ => Kind::Object(members),
                };
                Self {
                    kind,
                    marks: self.marks.clone(),
                }
            }
            // Nothing has moved: each element is where it was.
            (Kind::List(_) | Kind::Tuple(_), None) if self == other => {
                let others = other.as_items().unwrap_or_default().iter();
                let items = self.as_items().unwrap_or_default().iter().zip(others);
                let items = items.map(|(item, other)| item.with_secrecy_of(other));
                let items = Arc::new(items.collect());
                let kind = match self.kind {
                    Kind::List(_) => Kind::List(items),
                    _ => Kind::Tuple(items),
                };
                Self {
                    kind,
                    marks: self.marks.clone(),
                }
            }
            (Kind::List(_) | Kind::Set(_) | Kind::Tuple(_), None) => {
                // Elements may have moved: one secret among them makes all of them secret.
                let marks = other.deep_marks().without_origins();
                self.clone().marked(&marks)
            }
            _ => self.clone(),
        };
        let inside = inside.sharing_with(self);
        if inside.is_null() {
            inside
        } else {
            inside.marked(&other.marks.without_origins())
        }
    }

    /// Whether anything in it is *sensitive* or *ephemeral*.
    fn has_secrets(&self) -> bool {
        self.marks.is_sensitive()
            || self.marks.is_ephemeral()
            || self.children().any(Self::has_secrets)
    }

    /// The values directly inside a collection.
    pub fn children(&self) -> impl Iterator<Item = &Self> {
        let items = self.as_items().unwrap_or_default();
        let members = self.as_members().map(SortedMap::values);
        items.iter().chain(members.into_iter().flatten())
    }

    /// The same value, its direct children changed by a function; marks stay. Where nothing changes nothing is copied.
    #[must_use]
    pub fn map_children(&self, change: impl Fn(&Self) -> Self) -> Self {
        let items = |items: &Arc<Vec<Self>>| Arc::new(items.iter().map(&change).collect());
        let named = |members: &Arc<Members>| {
            Arc::new(
                members
                    .iter()
                    .map(|(name, value)| (Arc::clone(name), change(value)))
                    .collect(),
            )
        };
        let kind = match &self.kind {
            Kind::List(list) => Kind::List(items(list)),
            Kind::Set(set) => Kind::Set(items(set)),
            Kind::Tuple(tuple) => Kind::Tuple(items(tuple)),
            Kind::Map(members) => Kind::Map(named(members)),
            Kind::Object(members) => Kind::Object(named(members)),
            plain => plain.clone(),
        };
        let changed = Self {
            kind,
            marks: self.marks.clone(),
        };
        changed.sharing_with(self)
    }

    /// Whether it is null.
    #[must_use]
    pub fn is_null(&self) -> bool {
        matches!(self.kind, Kind::Null)
    }

    /// Whether the value itself is known; what is inside may not be.
    #[must_use]
    pub fn is_known(&self) -> bool {
        !matches!(self.kind, Kind::Unknown(_))
    }

    /// Whether the value and all inside it are known.
    #[must_use]
    pub fn is_wholly_known(&self) -> bool {
        self.is_known() && self.children().all(Self::is_wholly_known)
    }

    /// Whether it is a set of which it is not known how many elements it has: unknown ones may turn out to be equal to others.
    #[must_use]
    pub fn has_open_length(&self) -> bool {
        match &self.kind {
            Kind::Set(items) => items.len() > 1 && !items.iter().all(Self::is_wholly_known),
            _ => false,
        }
    }

    /// How many elements a collection has, as far as that is known. `None` for what is none, or not known to be one.
    #[must_use]
    pub fn length_bounds(&self) -> Option<Bounds> {
        match &self.kind {
            // What is unknown may turn out to be equal to others, but one element is left.
            Kind::Set(items) if self.has_open_length() => Some(Bounds::between(1, items.len())),
            Kind::List(items) | Kind::Set(items) | Kind::Tuple(items) => {
                Some(Bounds::exactly(items.len()))
            }
            Kind::Map(members) | Kind::Object(members) => Some(Bounds::exactly(members.len())),
            Kind::Unknown(unknown) => match &unknown.ty {
                Type::List(_) | Type::Set(_) | Type::Map(_) => {
                    Some(unknown.bounds.unwrap_or_default())
                }
                Type::Tuple(types) => Some(Bounds::exactly(types.len())),
                Type::Object(members) if members.values().all(|member| !member.optional) => {
                    Some(Bounds::exactly(members.len()))
                }
                _ => None,
            },
            _ => None,
        }
    }

    /// How many elements the value has once it is converted to the type of a collection, as far as that is known:
    /// in a set, what becomes equal becomes one. `None` if the type is that of something else.
    #[must_use]
    pub fn length_bounds_as(&self, ty: &Type) -> Option<Bounds> {
        let bounds = self.length_bounds()?;
        match ty {
            Type::Set(_) if self.type_of() != *ty => Some(bounds.without_repetitions()),
            Type::List(_) | Type::Set(_) | Type::Map(_) => Some(bounds),
            _ => None,
        }
    }

    /// The text, if it is one.
    #[must_use]
    pub fn as_str(&self) -> Option<&str> {
        match &self.kind {
            Kind::String(text) => Some(text),
            _ => None,
        }
    }

    /// The truth value, if it is one.
    #[must_use]
    pub fn as_bool(&self) -> Option<bool> {
        match self.kind {
            Kind::Bool(value) => Some(value),
            _ => None,
        }
    }

    /// The number, if it is one.
    #[must_use]
    pub fn as_number(&self) -> Option<&Number> {
        match &self.kind {
            Kind::Number(number) => Some(number),
            _ => None,
        }
    }

    /// The whole number, if it is one.
    #[must_use]
    pub fn as_i64(&self) -> Option<i64> {
        self.as_number().and_then(Number::to_i64)
    }

    /// The elements of a list, set or tuple.
    #[must_use]
    pub fn as_items(&self) -> Option<&[Self]> {
        match &self.kind {
            Kind::List(items) | Kind::Set(items) | Kind::Tuple(items) => Some(items),
            _ => None,
        }
    }

    /// The members of a map or object.
    #[must_use]
    pub fn as_members(&self) -> Option<&Members> {
        match &self.kind {
            Kind::Map(members) | Kind::Object(members) => Some(members),
            _ => None,
        }
    }

    /// A member by name, with this value's marks put on it. `None` where there is no such member.
    #[must_use]
    pub fn attribute(&self, name: &str) -> Option<Self> {
        self.as_members()?
            .get(name)
            .map(|member| member.clone().marked(&self.marks))
    }

    /// An element by position, with this value's marks put on it.
    #[must_use]
    pub fn element(&self, index: usize) -> Option<Self> {
        self.as_items()?
            .get(index)
            .map(|item| item.clone().marked(&self.marks))
    }

    /// A member by name, or null where there is none; for schemas' objects.
    #[must_use]
    pub fn get(&self, name: &str) -> Self {
        self.attribute(name).unwrap_or_else(Self::null)
    }

    /// The same object with one member set.
    #[must_use]
    pub fn with(&self, name: &str, value: Self) -> Self {
        let mut members = self.as_members().cloned().unwrap_or_default();
        members.insert(name.into(), value);
        Self {
            kind: Kind::Object(Arc::new(members)),
            marks: self.marks.clone(),
        }
    }

    /// The type of the value. Collections take the unified type of their elements.
    #[must_use]
    pub fn type_of(&self) -> Type {
        let elements =
            |items: &[Self]| Type::unify(items.iter().map(Self::type_of)).unwrap_or(Type::Any);
        match &self.kind {
            Kind::Null => Type::Any,
            Kind::Unknown(unknown) => unknown.ty.clone(),
            Kind::Bool(_) => Type::Bool,
            Kind::Number(_) => Type::Number,
            Kind::String(_) => Type::String,
            Kind::List(items) => Type::List(Box::new(elements(items))),
            Kind::Set(items) => Type::Set(Box::new(elements(items))),
            Kind::Tuple(items) => Type::Tuple(items.iter().map(Self::type_of).collect()),
            Kind::Map(members) => {
                let ty = Type::unify(members.values().map(Self::type_of)).unwrap_or(Type::Any);
                Type::Map(Box::new(ty))
            }
            Kind::Object(members) => Type::object(
                members
                    .iter()
                    .map(|(name, value)| (name.as_ref(), value.type_of())),
            ),
        }
    }

    /// A total order over values of any type: the order of sets, as Terraform has it. Texts, numbers and truth values have
    /// their own; null and what is unknown come last; all others are ordered by a text made of them. Marks play no part.
    #[must_use]
    pub fn canonical_order(&self, other: &Self) -> Ordering {
        match (&self.kind, &other.kind) {
            (Kind::Bool(a), Kind::Bool(b)) => a.cmp(b),
            (Kind::Number(a), Kind::Number(b)) => a.cmp(b),
            (Kind::String(a), Kind::String(b)) => a.cmp(b),
            (a, b) if rank(a) != rank(b) => rank(a).cmp(&rank(b)),
            (Kind::Null, _) => Ordering::Equal,
            _ => self
                .sort_text()
                .cmp(&other.sort_text())
                .then_with(|| self.structural_order(other)),
        }
    }

    fn sort_text(&self) -> String {
        let mut text = String::new();
        self.write_sort_text(&mut text);
        text
    }

    fn write_sort_text(&self, text: &mut String) {
        let (open, close) = match &self.kind {
            Kind::Null => return text.push('~'),
            Kind::Unknown(_) => return text.push('?'),
            Kind::Bool(truth) => return text.push(if *truth { 'T' } else { 'F' }),
            Kind::Number(number) => {
                let mut digits = Digits::exact(number);
                digits.round(10);
                text.push_str(if digits.is_negative() { "-" } else { "" });
                return text.push_str(&digits.general_form(Some(10), 'e'));
            }
            Kind::String(string) => return text.push_str(&format!("{string:?}")),
            Kind::List(_) | Kind::Set(_) => ('[', ']'),
            Kind::Map(_) => ('{', '}'),
            Kind::Tuple(_) | Kind::Object(_) => ('<', '>'),
        };
        text.push(open);
        match &self.kind {
            Kind::Map(members) => {
                for (name, member) in members.iter() {
                    text.push_str(&format!("{name:?}:"));
                    member.write_sort_text(text);
                    text.push(';');
                }
            }
            _ => {
                for child in self.children() {
                    child.write_sort_text(text);
                    text.push(';');
                }
            }
        }
        text.push(close);
    }

    /// Tells apart what has the same text: elements and members one after the other.
    fn structural_order(&self, other: &Self) -> Ordering {
        let names = match (self.as_members(), other.as_members()) {
            (Some(a), Some(b)) => a.keys().cmp(b.keys()),
            _ => Ordering::Equal,
        };
        names.then_with(|| {
            let (mut a, mut b) = (self.children(), other.children());
            loop {
                match (a.next(), b.next()) {
                    (None, None) => return Ordering::Equal,
                    (a, b) if a.is_none() || b.is_none() => return a.is_some().cmp(&b.is_some()),
                    (Some(a), Some(b)) => match a.canonical_order(b) {
                        Ordering::Equal => {}
                        order => return order,
                    },
                    _ => return Ordering::Equal,
                }
            }
        })
    }
}

fn rank(kind: &Kind) -> u8 {
    match kind {
        Kind::Null => 10,
        Kind::Bool(_) => 1,
        Kind::Number(_) => 2,
        Kind::String(_) => 3,
        Kind::List(_) => 4,
        Kind::Set(_) => 5,
        Kind::Tuple(_) => 6,
        Kind::Map(_) => 7,
        Kind::Object(_) => 8,
        Kind::Unknown(_) => 11,
    }
}

impl PartialEq for Value {
    /// Equal without regard to marks. Two unknowns of one type are the same unknown here: this is the
    /// comparison of records, not the language's `==`.
    fn eq(&self, other: &Self) -> bool {
        match (&self.kind, &other.kind) {
            (Kind::Null, Kind::Null) => true,
            (Kind::Unknown(a), Kind::Unknown(b)) => a == b,
            (Kind::Bool(a), Kind::Bool(b)) => a == b,
            (Kind::Number(a), Kind::Number(b)) => a == b,
            (Kind::String(a), Kind::String(b)) => a == b,
            (Kind::List(a), Kind::List(b))
            | (Kind::Set(a), Kind::Set(b))
            | (Kind::Tuple(a), Kind::Tuple(b)) => a == b,
            (Kind::Map(a), Kind::Map(b)) | (Kind::Object(a), Kind::Object(b)) => a == b,
            _ => false,
        }
    }
}

impl Eq for Value {}

impl From<Kind> for Value {
    fn from(kind: Kind) -> Self {
        Self {
            kind,
            marks: Marks::none(),
        }
    }
}

impl From<Unknown> for Value {
    /// What is not null and has a known length is a collection of elements that are not known, as far as they have
    /// a place: those of a map do not, and several in a set may be equal.
    fn from(unknown: Unknown) -> Self {
        let exact = unknown.bounds.and_then(Bounds::exact);
        let known =
            match (exact.filter(|_| unknown.not_null), &unknown.ty) {
                (Some(count), Type::List(element)) if count <= MOST_WRITTEN_OUT => {
                    Kind::List(Arc::new(vec![
                        Self::unknown(element.as_ref().clone());
                        count
                    ]))
                }
                (Some(count @ (0 | 1)), Type::Set(element)) => Kind::Set(Arc::new(vec![
                    Self::unknown(element.as_ref().clone());
                    count
                ])),
                (Some(0), Type::Map(_)) => Kind::Map(Arc::default()),
                (Some(count), Type::Number) => Kind::Number(Arc::new((count as i64).into())),
                _ => Kind::Unknown(Arc::new(unknown)),
            };
        known.into()
    }
}

/// Elements that a list may have to be written out while none of them is known.
const MOST_WRITTEN_OUT: usize = 1024;

impl From<bool> for Value {
    fn from(value: bool) -> Self {
        Kind::Bool(value).into()
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Kind::String(text.into()).into()
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Kind::String(text.into()).into()
    }
}

impl From<Arc<str>> for Value {
    fn from(text: Arc<str>) -> Self {
        Kind::String(text).into()
    }
}

impl From<Number> for Value {
    fn from(number: Number) -> Self {
        Kind::Number(Arc::new(number)).into()
    }
}

impl From<i64> for Value {
    fn from(value: i64) -> Self {
        Kind::Number(Arc::new(value.into())).into()
    }
}

impl<T: Into<Value>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Self {
        value.map_or_else(Self::null, Into::into)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::address::Address;

    #[test]
    fn of_a_list_that_is_as_it_was_only_what_was_secret_is() {
        let hop = |key: &str| Value::object_of([("user", "debian".into()), ("key", key.into())]);
        let secret = |key: &str| hop(key).with("key", Value::from(key).marked(&Marks::sensitive()));
        let recorded = Value::list(vec![secret("a"), secret("b")]);
        let read = Value::list(vec![hop("a"), hop("b")]).with_secrecy_of(&recorded);
        let items = read.as_items().expect("a list");
        assert!(
            items
                .iter()
                .all(|hop| hop.get("key").marks().is_sensitive())
        );
        assert!(!read.marks().is_sensitive() && !items[0].get("user").marks().is_sensitive());
        let moved = Value::list(vec![hop("b"), hop("a")]).with_secrecy_of(&recorded);
        assert!(moved.marks().is_sensitive(), "they may have moved");
    }

    #[test]
    fn what_is_taken_out_of_a_marked_object_is_marked() {
        let origin = Arc::new(Address::managed("host", "node"));
        let object =
            Value::object_of([("name", "n1".into())]).marked(&Marks::origin(Arc::clone(&origin)));
        let name = object.attribute("name").expect("is there");
        assert_eq!(name.marks().origins(), [origin]);
        assert!(object.attribute("nope").is_none());
    }

    #[test]
    fn a_set_is_sorted_without_repetitions_and_takes_its_elements_marks() {
        let set = Value::set(vec![
            "b".into(),
            Value::from("a").marked(&Marks::sensitive()),
            "b".into(),
        ]);
        assert_eq!(set.as_items().map(<[Value]>::len), Some(2));
        assert!(set.marks().is_sensitive());
        assert_eq!(set.element(0), Some("a".into()));
    }

    #[test]
    fn unknown_inside_makes_it_not_wholly_known() {
        let value = Value::tuple(vec![1.into(), Value::unknown(Type::String)]);
        assert!(value.is_known() && !value.is_wholly_known());
    }
}
