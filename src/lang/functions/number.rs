//! Functions over numbers.

use dmp_sdk::{Number, Value};

use super::{Fault, Function, Gives, Parameter, Takes, number, parameter, text, text_of, whole_of};

pub(super) const FUNCTIONS: &[Function] = &[
    Function::new("abs", &[number("number")], Gives::Number, abs),
    Function::new("ceil", &[number("number")], Gives::Number, |a| {
        Ok(first(a).ceil().into())
    }),
    Function::new("floor", &[number("number")], Gives::Number, |a| {
        Ok(first(a).floor().into())
    }),
    Function::new(
        "log",
        &[number("number"), number("base")],
        Gives::Number,
        log,
    ),
    Function::new("max", &[number("number")], Gives::Number, |a| {
        pick(a, |a, b| a > b)
    })
    .variadic(number("number")),
    Function::new("min", &[number("number")], Gives::Number, |a| {
        pick(a, |a, b| a < b)
    })
    .variadic(number("number")),
    Function::new(
        "parseint",
        &[text("text"), number("base")],
        Gives::Number,
        parseint,
    ),
    Function::new(
        "pow",
        &[number("number"), number("exponent")],
        Gives::Number,
        pow,
    ),
    Function::new("signum", &[number("number")], Gives::Number, signum),
    Function::new("sum", &[NUMBERS], Gives::Number, sum),
];

const NUMBERS: Parameter = parameter("list", Takes::Numbers);

fn at(arguments: &[Value], index: usize) -> Number {
    let found = arguments.get(index).and_then(Value::as_number);
    found.cloned().unwrap_or_else(Number::zero)
}

fn first(arguments: &[Value]) -> Number {
    at(arguments, 0)
}

fn abs(arguments: &[Value]) -> Result<Value, Fault> {
    let number = first(arguments);
    Ok(if number < Number::zero() {
        number.neg()
    } else {
        number
    }
    .into())
}

fn signum(arguments: &[Value]) -> Result<Value, Fault> {
    let sign = first(arguments).cmp(&Number::zero()) as i64;
    Ok(sign.into())
}

fn pick(arguments: &[Value], better: fn(&Number, &Number) -> bool) -> Result<Value, Fault> {
    let mut best = first(arguments);
    for index in 1..arguments.len() {
        let number = at(arguments, index);
        if better(&number, &best) {
            best = number;
        }
    }
    Ok(best.into())
}

fn log(arguments: &[Value]) -> Result<Value, Fault> {
    let result = first(arguments).to_f64().ln() / at(arguments, 1).to_f64().ln();
    from_float(result)
}

fn pow(arguments: &[Value]) -> Result<Value, Fault> {
    let (base, exponent) = (first(arguments), at(arguments, 1));
    match exponent.to_i64() {
        Some(whole) => base
            .powi(whole)
            .map(Value::from)
            .map_err(|error| Fault::new(error.to_string())),
        None => from_float(base.to_f64().powf(exponent.to_f64())),
    }
}

fn from_float(result: f64) -> Result<Value, Fault> {
    match Number::from_f64(result) {
        Some(number) => Ok(number.into()),
        None => Err(Fault::new("the result is not a number")),
    }
}

fn parseint(arguments: &[Value]) -> Result<Value, Fault> {
    let base = u32::try_from(whole_of(arguments, 1)?).ok();
    let Some(base) = base.filter(|base| (2..=62).contains(base)) else {
        return Err(Fault::of(1, "the base must be between 2 and 62"));
    };
    let given = text_of(arguments, 0);
    let digits = given.strip_prefix(['-', '+']).unwrap_or(given);
    let wrong = || Fault::of(0, format!("the text is not a whole number in base {base}"));
    if digits.is_empty() || digits.len() > LONGEST_NUMBER {
        return Err(wrong());
    }
    let factor = Number::from(i64::from(base));
    let mut sum = Number::zero();
    for digit in digits.chars() {
        let worth = worth_of(digit, base)
            .filter(|worth| *worth < base)
            .ok_or_else(wrong)?;
        let next = sum
            .mul(&factor)
            .and_then(|sum| sum.add(&Number::from(i64::from(worth))));
        sum = next.map_err(|error| Fault::of(0, error.to_string()))?;
    }
    Ok(if given.starts_with('-') {
        sum.neg()
    } else {
        sum
    }
    .into())
}

/// Up to base 36 letters of either case are alike; above it capital letters come after small ones.
fn worth_of(digit: char, base: u32) -> Option<u32> {
    match digit {
        '0'..='9' => Some(digit as u32 - '0' as u32),
        'a'..='z' => Some(digit as u32 - 'a' as u32 + 10),
        'A'..='Z' if base <= 36 => Some(digit as u32 - 'A' as u32 + 10),
        'A'..='Z' => Some(digit as u32 - 'A' as u32 + 36),
        _ => None,
    }
}

fn sum(arguments: &[Value]) -> Result<Value, Fault> {
    let items = super::items_of(arguments, 0)?;
    if items.is_empty() {
        return Err(Fault::of(0, "an empty list has no sum"));
    }
    let mut sum = Number::zero();
    for item in items {
        let number = item
            .as_number()
            .ok_or_else(|| Fault::of(0, "null can't be added up"))?;
        sum = sum
            .add(number)
            .map_err(|error| Fault::of(0, error.to_string()))?;
    }
    Ok(sum.into())
}

const LONGEST_NUMBER: usize = 5_000;
