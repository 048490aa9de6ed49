//! `for`: over lists, sets, tuples, maps and objects, to tuples and objects.

use std::collections::BTreeMap;
use std::sync::Arc;

use dmp_sdk::types::with_article;
use dmp_sdk::{Diagnostic, Kind, Marks, Span, Type, Value};

use super::{Evaluation, Outcome, key_text, null_value, truth};
use crate::Diagnostics;
use crate::ast::{ForExpr, Name};

impl Evaluation<'_> {
    pub(super) fn for_expression(&mut self, each: &ForExpr, span: &Span) -> Outcome {
        let collection = self.value(&each.collection)?;
        let Some(pairs) = pairs(&collection, &each.collection.span)? else {
            return Ok(Value::unknown(Type::Any).marked(&collection.deep_marks()));
        };
        let mut results = Results::new(each.key.is_some(), each.grouping);
        let mut failed = Diagnostics::new();
        for (key, value) in pairs {
            self.step(span)?;
            let names = bindings(each.key_name.as_ref(), &each.value_name, key, value);
            let outcome = self.with_bound(names, |inside| inside.one_result(each, &mut results));
            if let Err(more) = outcome {
                failed.extend(more);
                if failed.len() >= MOST_ERRORS {
                    break;
                }
            }
        }
        if !failed.is_empty() {
            return Err(failed);
        }
        Ok(results.finish().marked(collection.marks()))
    }

    fn one_result(&mut self, each: &ForExpr, results: &mut Results) -> Result<(), Diagnostics> {
        if let Some(condition) = &each.condition {
            let value = self.value(condition)?;
            results.marks = results.marks.union(&value.deep_marks());
            match truth(&value, &condition.span)? {
                Some(true) => {}
                Some(false) => return Ok(()),
                None => results.is_known = false,
            }
        }
        let key = match &each.key {
            Some(key) => Some((self.value(key)?, &key.span)),
            None => None,
        };
        let value = self.value(&each.value)?;
        results.add(key, value)
    }
}

/// What a `for` has made so far.
struct Results {
    items: Vec<Value>,
    members: Option<BTreeMap<Arc<str>, Value>>,
    groups: Option<BTreeMap<Arc<str>, Vec<Value>>>,
    /// Marks of what decided on the shape of the result: conditions and keys.
    marks: Marks,
    is_known: bool,
    /// Marks of the values, for when the result is not known.
    inside: Marks,
}

impl Results {
    fn new(is_object: bool, is_grouping: bool) -> Self {
        Self {
            items: Vec::new(),
            members: (is_object && !is_grouping).then(BTreeMap::new),
            groups: (is_object && is_grouping).then(Default::default),
            marks: Marks::none(),
            is_known: true,
            inside: Marks::none(),
        }
    }

    fn add(&mut self, key: Option<(Value, &Span)>, value: Value) -> Result<(), Diagnostics> {
        let Some((key, span)) = key else {
            if !self.is_known {
                self.inside = self.inside.union(&value.deep_marks());
            }
            self.items.push(value);
            return Ok(());
        };
        self.marks = self.marks.union(&key.deep_marks());
        self.inside = self.inside.union(&value.deep_marks());
        let Some(name) = key_text(&key, span)? else {
            self.is_known = false;
            return Ok(());
        };
        if let Some(groups) = &mut self.groups {
            groups.entry(name).or_default().push(value);
        } else if let Some(members) = &mut self.members {
            if members.contains_key(&name) {
                return Err(vec![twice(&name, &key, span)]);
            }
            members.insert(name, value);
        }
        Ok(())
    }

    fn finish(self) -> Value {
        if !self.is_known {
            let items = self
                .items
                .iter()
                .fold(self.inside, |marks, item| marks.union(&item.deep_marks()));
            return Value::unknown(Type::Any).marked(&self.marks.union(&items));
        }
        let value = match (self.members, self.groups) {
            (Some(members), _) => Value::object(members.into_iter().collect()),
            (_, Some(groups)) => Value::object(
                groups
                    .into_iter()
                    .map(|(name, items)| (name, Value::tuple(items)))
                    .collect(),
            ),
            _ => Value::tuple(self.items),
        };
        value.marked(&self.marks)
    }
}

/// The keys and elements of a collection; `None` if it is not known.
pub(crate) fn pairs(
    collection: &Value,
    span: &Span,
) -> Result<Option<Vec<(Value, Value)>>, Diagnostics> {
    match collection.kind() {
        Kind::List(items) | Kind::Tuple(items) => Ok(Some(
            items
                .iter()
                .enumerate()
                .map(|(at, item)| (Value::from(at as i64), item.clone()))
                .collect(),
        )),
        Kind::Set(items) => Ok(Some(
            items
                .iter()
                .map(|item| (item.clone(), item.clone()))
                .collect(),
        )),
        Kind::Map(members) | Kind::Object(members) => Ok(Some(
            members
                .iter()
                .map(|(name, value)| (Value::from(Arc::clone(name)), value.clone()))
                .collect(),
        )),
        Kind::Unknown(unknown) => match unknown.ty {
            Type::Bool | Type::Number | Type::String => Err(vec![no_collection(&unknown.ty, span)]),
            _ => Ok(None),
        },
        Kind::Null => Err(vec![null_value(&Type::list(Type::Any), span)]),
        _ => Err(vec![no_collection(&collection.type_of(), span)]),
    }
}

pub(super) fn bindings(
    key_name: Option<&Name>,
    value_name: &Name,
    key: Value,
    value: Value,
) -> impl Iterator<Item = (Arc<str>, Value)> {
    let key = key_name.map(|name| (Arc::clone(&name.text), key));
    key.into_iter()
        .chain([(Arc::clone(&value_name.text), value)])
}

fn no_collection(ty: &Type, span: &Span) -> Diagnostic {
    Diagnostic::error("no-collection", "value can't be gone through")
        .detail(format!(
            "`for` goes through a list, set, tuple, map or object, and this is {}",
            with_article(ty)
        ))
        .at(span.clone())
}

fn twice(name: &str, key: &Value, span: &Span) -> Diagnostic {
    let which = match key.marks().is_sensitive() {
        true => "one key".to_owned(),
        false => format!("the key `{name}`"),
    };
    Diagnostic::error("duplicate-key", "key comes twice")
        .detail(format!("two elements give {which}"))
        .at(span.clone())
        .help("gather the values of one key with `...` after the value")
}

/// Expressions whose errors are alike should not fill the screen.
const MOST_ERRORS: usize = 5;
