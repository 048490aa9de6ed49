//! What is taken out of a value: attributes, elements, splats.

use std::sync::Arc;

use dmp_sdk::types::with_article;
use dmp_sdk::{Diagnostic, Kind, Members, Span, Type, Unknown, Value};

use super::{Evaluation, Outcome, converted, not_null};
use crate::ast::Expr;

/// `value.name`.
pub(crate) fn attribute(value: &Value, name: &str, span: &Span) -> Outcome {
    match value.kind() {
        Kind::Object(members) | Kind::Map(members) => match members.get(name) {
            Some(member) => Ok(member.clone().marked(value.marks())),
            None => Err(vec![no_member(value, name, span)]),
        },
        Kind::Unknown(unknown) => match member_type(&unknown.ty, name) {
            Some(ty) => Ok(Value::unknown(ty).marked(value.marks())),
            None => Err(vec![no_member(value, name, span)]),
        },
        Kind::Null => Err(vec![out_of_null(&format!("`.{name}`"), span)]),
        _ => Err(vec![no_member(value, name, span)]),
    }
}

/// `value[key]`.
pub(crate) fn index(value: &Value, key: &Value, span: &Span) -> Outcome {
    if key.is_null() {
        return Err(vec![
            Diagnostic::error("null-value", "value is null")
                .detail("the key is null")
                .at(span.clone()),
        ]);
    }
    let marks = value.marks().union(key.marks());
    match value.kind() {
        Kind::Null => Err(vec![out_of_null("an element", span)]),
        Kind::List(items) | Kind::Tuple(items) => {
            let key = not_null(key, &Type::Number, span)?;
            if !key.is_known() {
                let ty = match value.type_of() {
                    Type::List(element) => *element,
                    _ => Type::Any,
                };
                return Ok(Value::unknown(ty).marked(&marks.union(&value.deep_marks())));
            }
            let at = key.as_i64().and_then(|at| usize::try_from(at).ok());
            match at.and_then(|at| items.get(at)) {
                Some(item) => Ok(item.clone().marked(&marks)),
                None => Err(vec![no_element(&key, items.len(), span)]),
            }
        }
        Kind::Map(members) | Kind::Object(members) => {
            let key = not_null(key, &Type::String, span)?;
            let Some(name) = key.as_str() else {
                let ty = match value.type_of() {
                    Type::Map(element) => *element,
                    _ => Type::Any,
                };
                return Ok(Value::unknown(ty).marked(&marks.union(&value.deep_marks())));
            };
            match members.get(name) {
                Some(member) => Ok(member.clone().marked(&marks)),
                None if key.marks().is_sensitive() => Err(vec![
                    Diagnostic::error("unknown-key", "unknown key")
                        .detail("there is no such key; it is sensitive and not shown")
                        .at(span.clone()),
                ]),
                None => Err(vec![no_member(value, name, span)]),
            }
        }
        Kind::Unknown(unknown) => {
            let ty = element_type(&unknown.ty, key, span)?;
            Ok(Value::unknown(ty).marked(&marks))
        }
        Kind::Set(_) => Err(vec![
            not_indexable("the elements of a set have no index", span)
                .help("make a list of it with `tolist(…)`, or take its only element with `one(…)`"),
        ]),
        _ => {
            let detail = format!("{} has no elements", with_article(&value.type_of()));
            Err(vec![not_indexable(&detail, span)])
        }
    }
}

impl Evaluation<'_> {
    /// `of[*]…`: over what is no list it goes once, over null not at all.
    pub(super) fn splat(&mut self, of: &Expr, each: &Expr) -> Outcome {
        let value = self.value(of)?;
        let marks = value.marks().clone();
        let result = match value.kind() {
            Kind::Null => Value::tuple(Vec::new()),
            Kind::Tuple(items) => Value::tuple(self.each_item(items, each)?),
            Kind::List(items) | Kind::Set(items) => {
                let made = self.each_item(items, each)?;
                let mut types = made.iter().map(Value::type_of);
                let first = types.next();
                match types.all(|ty| Some(&ty) == first.as_ref()) {
                    true => Value::list(made),
                    false => Value::tuple(made),
                }
            }
            Kind::Unknown(unknown) => match unknown.ty.clone() {
                Type::List(element) | Type::Set(element) => {
                    let made = self.each_item(&[Value::unknown(*element)], each)?;
                    let inside = made[0].deep_marks();
                    // What turns out to be null has no elements here.
                    let mut bounds = unknown.bounds.unwrap_or_default();
                    if !unknown.not_null {
                        bounds.least = 0;
                    }
                    let list = Unknown::of(Type::list(made[0].type_of())).not_null();
                    Value::from(list.within(Some(bounds))).marked(&inside)
                }
                Type::Tuple(types) => {
                    let items: Vec<Value> = types.into_iter().map(Value::unknown).collect();
                    Value::tuple(self.each_item(&items, each)?)
                }
                _ => Value::unknown(Type::Any),
            },
            _ => {
                let item = value.clone();
                Value::tuple(self.each_item(&[item], each)?)
            }
        };
        Ok(result.marked(&marks))
    }

    fn each_item(
        &mut self,
        items: &[Value],
        each: &Expr,
    ) -> Result<Vec<Value>, crate::Diagnostics> {
        let mut made = Vec::with_capacity(items.len());
        for item in items {
            self.items.push(item.clone());
            let result = self.value(each);
            self.items.pop();
            made.push(result?);
        }
        Ok(made)
    }
}

fn member_type(ty: &Type, name: &str) -> Option<Type> {
    match ty {
        Type::Any => Some(Type::Any),
        Type::Map(element) => Some(element.as_ref().clone()),
        Type::Object(members) => members.get(name).map(|member| member.ty.clone()),
        _ => None,
    }
}

/// The type of an element of a value of which only the type is known.
fn element_type(ty: &Type, key: &Value, span: &Span) -> Result<Type, crate::Diagnostics> {
    match ty {
        Type::Any => Ok(Type::Any),
        Type::List(element) => {
            converted(key, &Type::Number, span)?;
            Ok(element.as_ref().clone())
        }
        Type::Map(element) => {
            converted(key, &Type::String, span)?;
            Ok(element.as_ref().clone())
        }
        Type::Tuple(types) => {
            let key = converted(key, &Type::Number, span)?;
            if !key.is_known() {
                return Ok(Type::unify(types.iter().cloned()).unwrap_or(Type::Any));
            }
            let at = key.as_i64().and_then(|at| usize::try_from(at).ok());
            let found = at.and_then(|at| types.get(at)).cloned();
            found.ok_or_else(|| vec![no_element(&key, types.len(), span)])
        }
        Type::Object(_) => {
            let key = converted(key, &Type::String, span)?;
            match key.as_str() {
                Some(name) => member_type(ty, name)
                    .ok_or_else(|| vec![no_member(&Value::unknown(ty.clone()), name, span)]),
                None => Ok(Type::Any),
            }
        }
        _ => {
            let detail = format!("{} has no elements by index", with_article(ty));
            Err(vec![not_indexable(&detail, span)])
        }
    }
}

fn no_member(value: &Value, name: &str, span: &Span) -> Diagnostic {
    let ty = value.type_of();
    let names: Vec<Arc<str>> = match (value.kind(), &ty) {
        _ if value.marks().is_sensitive() => Vec::new(),
        (Kind::Object(members) | Kind::Map(members), _) => names_of(members),
        (_, Type::Object(members)) => members.keys().cloned().collect(),
        _ => Vec::new(),
    };
    let is_many = matches!(ty, Type::List(_) | Type::Set(_) | Type::Tuple(_));
    let detail = match (&ty, names.as_slice()) {
        (Type::Object(_) | Type::Map(_), []) => format!("there is no `{name}` in it"),
        (Type::Object(_) | Type::Map(_), names) => {
            format!("there is no `{name}` in it, only {}", listed(names))
        }
        _ => format!("{} has no attribute `{name}`", with_article(&ty)),
    };
    let failed = Diagnostic::error("unknown-key", "unknown key")
        .detail(detail)
        .at(span.clone());
    if is_many {
        return failed.help(format!(
            "for one element write `[0].{name}`, for all of them `[*].{name}`"
        ));
    }
    failed.did_you_mean(name, names.iter().map(AsRef::as_ref))
}

fn names_of(members: &Members) -> Vec<Arc<str>> {
    members.keys().cloned().collect()
}

/// Names in backticks; of many only the first.
fn listed(names: &[Arc<str>]) -> String {
    let shown: Vec<String> = names
        .iter()
        .take(MOST_NAMES)
        .map(|name| format!("`{name}`"))
        .collect();
    match names.len().saturating_sub(MOST_NAMES) {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}

fn no_element(key: &Value, length: usize, span: &Span) -> Diagnostic {
    let which = match (key.marks().is_sensitive(), key.as_number()) {
        (false, Some(number)) => format!("there is no element {number}: "),
        _ => "there is no such element: ".into(),
    };
    let detail = match length {
        0 => format!("{which}the collection is empty"),
        1 => format!("{which}the only one is 0"),
        _ => format!("{which}they count from 0 to {}", length - 1),
    };
    Diagnostic::error("unknown-key", "unknown key")
        .detail(detail)
        .at(span.clone())
}

fn out_of_null(what: &str, span: &Span) -> Diagnostic {
    Diagnostic::error("null-value", "value is null")
        .detail(format!("{what} can't be taken out of null"))
        .at(span.clone())
        .help("use `try(…, null)` where it may be missing")
}

fn not_indexable(detail: &str, span: &Span) -> Diagnostic {
    Diagnostic::error("no-elements", "value has no elements by index")
        .detail(detail)
        .at(span.clone())
}

const MOST_NAMES: usize = 12;
