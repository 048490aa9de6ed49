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
    from_float(ln(first(arguments).to_f64()) / ln(at(arguments, 1).to_f64()))
}

/// The natural logarithm by the method of fdlibm, whose last digits Terraform's results have.
fn ln(value: f64) -> f64 {
    if value <= 0.0 || !value.is_finite() {
        return value.ln();
    }
    let (mut fraction, mut power) = halves(value);
    if fraction < std::f64::consts::FRAC_1_SQRT_2 {
        fraction *= 2.0;
        power -= 1;
    }
    let f = fraction - 1.0;
    let k = f64::from(power);
    let s = f / (2.0 + f);
    let square = s * s;
    let fourth = square * square;
    let odd = square * (LN[0] + fourth * (LN[2] + fourth * (LN[4] + fourth * LN[6])));
    let even = fourth * (LN[1] + fourth * (LN[3] + fourth * LN[5]));
    let half = 0.5 * f * f;
    k * LN_2[0] - ((half - (s * (half + odd + even) + k * LN_2[1])) - f)
}

/// As in Terraform defined on binary floats, with its way to get there: a whole exponent by squaring.
fn pow(arguments: &[Value]) -> Result<Value, Fault> {
    let (base, exponent) = (first(arguments).to_f64(), at(arguments, 1).to_f64());
    let (whole, fraction) = (exponent.abs().trunc(), exponent.abs().fract());
    let is_special = base <= 0.0 || !base.is_finite() || whole >= 9.0e15;
    if is_special || exponent.abs() == 0.5 {
        return from_float(base.powf(exponent));
    }
    let (whole, fraction) = match fraction > 0.5 {
        true => (whole + 1.0, fraction - 1.0),
        false => (whole, fraction),
    };
    let mut result = match fraction == 0.0 {
        true => 1.0,
        false => (fraction * ln(base)).exp(),
    };
    let mut power: i32 = 0;
    let (mut factor, mut factor_power) = halves(base);
    let mut left = whole as u64;
    while left != 0 {
        if factor_power.abs() > 4096 {
            power = power.saturating_add(factor_power);
            break;
        }
        if left & 1 == 1 {
            result *= factor;
            power += factor_power;
        }
        factor *= factor;
        factor_power *= 2;
        if factor < 0.5 {
            factor *= 2.0;
            factor_power -= 1;
        }
        left >>= 1;
    }
    if exponent < 0.0 {
        result = 1.0 / result;
        power = -power;
    }
    // Two steps, each in the bounds of a power of two.
    let half = power / 2;
    from_float(result * 2_f64.powi(half) * 2_f64.powi(power - half))
}

/// A number between a half and one, and the power of two that goes with it.
fn halves(value: f64) -> (f64, i32) {
    let (scaled, shift) = match value < f64::MIN_POSITIVE {
        true => (value * 2_f64.powi(54), -54),
        false => (value, 0),
    };
    let bits = scaled.to_bits();
    let exponent = i32::try_from(bits >> 52 & 0x7ff).unwrap_or_default() - 1022;
    let fraction = f64::from_bits(bits & !(0x7ff << 52) | 1022 << 52);
    (fraction, exponent + shift)
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

/// Coefficients of the polynomial, and the logarithm of two in two parts.
const LN: [f64; 7] = [
    6.666_666_666_666_735e-1,
    3.999_999_999_940_942e-1,
    2.857_142_874_366_239e-1,
    2.222_219_843_214_978_4e-1,
    1.818_357_216_161_805e-1,
    1.531_383_769_920_937_3e-1,
    1.479_819_860_511_658_6e-1,
];
const LN_2: [f64; 2] = [6.931_471_803_691_238e-1, 1.908_214_929_270_587_7e-10];
const LONGEST_NUMBER: usize = 5_000;
