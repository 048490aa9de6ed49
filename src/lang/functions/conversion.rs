//! Conversions between types.

use dmp_sdk::{Strictness, Type, Value, convert};

use super::{Fault, Function, Gives, nullable};

pub(super) const FUNCTIONS: &[Function] = &[
    Function::new("tobool", &[nullable("value")], Gives::Bool, |a| {
        to(a, &Type::Bool)
    })
    .own(),
    Function::new("tolist", &[nullable("value")], Gives::Any, |a| {
        to(a, &Type::list(Type::Any))
    })
    .own(),
    Function::new("tomap", &[nullable("value")], Gives::Any, |a| {
        to(a, &Type::map(Type::Any))
    })
    .own(),
    Function::new("tonumber", &[nullable("value")], Gives::Number, |a| {
        to(a, &Type::Number)
    })
    .own(),
    Function::new("toset", &[nullable("value")], Gives::Any, |a| {
        to(a, &Type::set(Type::Any))
    })
    .own(),
    Function::new("tostring", &[nullable("value")], Gives::Text, |a| {
        to(a, &Type::String)
    })
    .own(),
];

/// The conversion keeps marks and unknowns by itself.
fn to(arguments: &[Value], ty: &Type) -> Result<Value, Fault> {
    let given = arguments.first().cloned().unwrap_or_else(Value::null);
    if let (Type::List(_) | Type::Set(_) | Type::Map(_), true) = (ty, given.is_known()) {
        let types = given.children().map(Value::type_of);
        if Type::unify(types).is_none() {
            return Err(Fault::of(0, "the elements have no type in common"));
        }
    }
    convert(&given, ty, Strictness::Lenient).map_err(|error| Fault::of(0, error.to_string()))
}
