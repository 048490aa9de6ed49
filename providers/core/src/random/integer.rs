//! `core_random_integer`: a random whole number of a range.

use dmp_sdk::{Attribute, Change, Diagnostic, Layer, Mark, Schema, Type, Value};

use super::source::Source;
use crate::record::{Chosen, keepers, no_such_id, number, whole, wrong};

/// The type.
pub(crate) struct RandomInteger;

impl Chosen for RandomInteger {
    fn schema() -> Schema {
        Schema::new("core_random_integer", "A random whole number of a range.")
            .layer(Layer::Network)
            .on_delete("It leaves the state.")
            .counterpart("random_integer", &["{result},{min},{max},{seed}", "{result},{min},{max}"])
            .attribute("min", Attribute::required(Type::Number, "The least number that it may be.").replaces())
            .attribute("max", Attribute::required(Type::Number, "The greatest number that it may be.").replaces())
            .attribute("seed", Attribute::optional(Type::String, "A text from which the number follows: the same one each time, and one that can be foreseen.").replaces())
            .attribute("keepers", keepers())
            .attribute("result", Attribute::computed(Type::Number, "The number."))
            .attribute("id", Attribute::computed(Type::String, "The number as a text."))
    }

    fn check(change: &mut Change<'_>) -> Result<(), Diagnostic> {
        let min = whole(change, "min", i64::MIN, i64::MAX)?;
        let max = whole(change, "max", i64::MIN, i64::MAX)?;
        match (min, max) {
            (Some(min), Some(max)) if min > max => Err(wrong(
                "max",
                "an empty range",
                format!("`min` is {min}, `max` is {max}"),
            )),
            _ => Ok(()),
        }
    }

    fn choose(_mark: &Mark, wanted: &Value) -> Result<Value, Diagnostic> {
        let (min, max) = (number(wanted, "min"), number(wanted, "max"));
        let offset = Source::of(&wanted.get("seed")).up_to(max.abs_diff(min))?;
        Ok(both(min.wrapping_add_unsigned(offset)))
    }

    fn read(id: &str) -> Result<Value, Diagnostic> {
        let mut parts = id.splitn(4, ',');
        let mut next = || parts.next()?.trim().parse::<i64>().ok();
        let (Some(result), Some(min), Some(max)) = (next(), next(), next()) else {
            return Err(no_such_id("`result,min,max` or `result,min,max,seed`"));
        };
        let seed: Value = parts.next().into();
        Ok(both(result)
            .with("min", min.into())
            .with("max", max.into())
            .with("seed", seed))
    }
}

fn both(result: i64) -> Value {
    Value::object_of([("result", result.into()), ("id", result.to_string().into())])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_whole_range_is_possible() {
        let mark = Mark {
            lineage: String::new(),
            instance: String::new(),
        };
        let draw = |min: i64, max: i64| {
            let wanted = Value::object_of([("min", min.into()), ("max", max.into())]);
            number(
                &RandomInteger::choose(&mark, &wanted).expect("chooses"),
                "result",
            )
        };
        draw(i64::MIN, i64::MAX);
        assert_eq!(draw(-7, -7), -7);
        let drawn: Vec<i64> = (0..200).map(|_| draw(-1, 1)).collect();
        assert!([-1, 0, 1].iter().all(|number| drawn.contains(number)));
        assert!(drawn.iter().all(|number| number.abs() <= 1));
    }
}
