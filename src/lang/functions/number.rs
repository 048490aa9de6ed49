//! Functions over numbers.

use dmp_sdk::{Number, Value};
use num_bigint::{BigInt, BigUint, Sign};

use super::{Fault, Function, Gives, Parameter, Takes, any, number, parameter, whole_of};

pub(super) const FUNCTIONS: &[Function] = &[
    Function::new("abs", &[number("number")], Gives::Number, |a| {
        Ok(first(a).abs().into())
    }),
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
        &[any("text"), number("base")],
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

/// As in Terraform defined on binary floats.
fn pow(arguments: &[Value]) -> Result<Value, Fault> {
    from_float(first(arguments).to_f64().powf(at(arguments, 1).to_f64()))
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
    let Some(given) = arguments[0].as_str() else {
        return Err(Fault::of(0, "a text is required"));
    };
    let (sign, digits) = match given.strip_prefix(['-', '+']) {
        Some(digits) if given.starts_with('-') => (Sign::Minus, digits),
        Some(digits) => (Sign::Plus, digits),
        None => (Sign::Plus, given),
    };
    if digits.len() > LONGEST_NUMBER {
        return Err(Fault::of(0, "the number is too long"));
    }
    let worths: Option<Vec<u8>> = digits.chars().map(|digit| worth_of(digit, base)).collect();
    let size = worths
        .filter(|worths| !worths.is_empty())
        .and_then(|worths| whole_number(&worths, base));
    let Some(size) = size else {
        let why = format!("the text is not a whole number in base {base}");
        return Err(Fault::of(0, why));
    };
    Number::from_integer(BigInt::from_biguint(sign, size))
        .map(Value::from)
        .map_err(|error| Fault::of(0, error.to_string()))
}

fn whole_number(worths: &[u8], base: u32) -> Option<BigUint> {
    worths.iter().try_fold(BigUint::ZERO, |sum, worth| {
        let is_digit = u32::from(*worth) < base;
        is_digit.then(|| sum * base + *worth)
    })
}

/// Up to base 36 letters of either case are alike; above it capital letters come after small ones.
fn worth_of(digit: char, base: u32) -> Option<u8> {
    let digit = u8::try_from(digit).ok()?;
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'z' => Some(digit - b'a' + 10),
        b'A'..=b'Z' if base <= 36 => Some(digit - b'A' + 10),
        b'A'..=b'Z' => Some(digit - b'A' + 36),
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
