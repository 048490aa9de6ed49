//! Numbers of arbitrary precision, with the arithmetic that Terraform's language has.
//!
//! A number is a whole number times a power of two. A result has 512 bits at most, rounded half to even; a whole number
//! that came with more digits keeps them. The text is the shortest decimal that is read as the same number, so
//! `0.1 + 0.2` is `0.3`. Exponents are bounded, so that no text can exhaust memory.

mod decimal;

use std::cmp::Ordering;
use std::hash::{Hash, Hasher};

use num_bigint::{BigInt, Sign};
use num_traits::{Signed, ToPrimitive, Zero};

pub use decimal::Digits;

/// A finite number: `mantissa` times two to the power of `exponent`.
#[derive(Clone, Debug)]
pub struct Number {
    /// Odd, or zero.
    mantissa: BigInt,
    exponent: i64,
    /// The bits that results of this number have at most.
    precision: u64,
}

/// Why a text or a result is not a number.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NumberError {
    /// The text is not a decimal number.
    #[error("`{0}` is not a number")]
    NotANumber(String),
    /// The exponent is beyond what dmp holds.
    #[error("the number's exponent is beyond ±{MAX_EXPONENT}")]
    TooLarge,
    /// Division or remainder by zero.
    #[error("division by zero")]
    DivisionByZero,
}

impl Number {
    /// Zero.
    #[must_use]
    pub fn zero() -> Self {
        Self {
            mantissa: BigInt::zero(),
            exponent: 0,
            precision: PRECISION,
        }
    }

    /// A whole number, with all its digits.
    ///
    /// # Errors
    /// When it is beyond the bounds.
    pub fn from_integer(value: BigInt) -> Result<Self, NumberError> {
        let precision = value.bits().max(PRECISION);
        Self::rounded(value, 0, false, precision)
    }

    /// What a text says, whole numbers with all their digits: for what was written by dmp itself.
    ///
    /// # Errors
    /// As for `parse`.
    pub fn exactly(text: &str) -> Result<Self, NumberError> {
        let digits = text.strip_prefix('-').unwrap_or(text);
        let is_whole = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
        match is_whole && text.len() <= LONGEST_WHOLE {
            true => text
                .parse()
                .map_err(|_| NumberError::NotANumber(text.to_owned()))
                .and_then(Self::from_integer),
            false => text.parse(),
        }
    }

    /// The nearest number with so many bits. `is_more` says that the exact value lies a bit further from zero.
    fn rounded(
        mut mantissa: BigInt,
        mut exponent: i64,
        is_more: bool,
        precision: u64,
    ) -> Result<Self, NumberError> {
        let bits = mantissa.bits();
        if bits > precision {
            let excess = bits - precision;
            let sign = mantissa.sign();
            let size = mantissa.into_parts().1;
            let mut kept = &size >> excess;
            let lowest = size.trailing_zeros().unwrap_or(0);
            let is_half_set = size.bit(excess - 1);
            let is_above_half = is_half_set && (lowest < excess - 1 || is_more);
            let is_odd = kept.bit(0);
            if is_above_half || is_half_set && is_odd {
                kept += 1_u32;
            }
            mantissa = BigInt::from_biguint(sign, kept);
            exponent += excess.cast_signed();
        }
        let Some(zeros) = mantissa.trailing_zeros() else {
            return Ok(Self {
                precision,
                ..Self::zero()
            });
        };
        mantissa >>= zeros;
        exponent += zeros.cast_signed();
        let top = exponent + mantissa.bits().cast_signed();
        if top.abs() > MAX_BINARY || exponent.abs() > MAX_BINARY {
            return Err(NumberError::TooLarge);
        }
        Ok(Self {
            mantissa,
            exponent,
            precision,
        })
    }

    /// `self + other`.
    ///
    /// # Errors
    /// When the result is beyond the bounds.
    pub fn add(&self, other: &Self) -> Result<Self, NumberError> {
        let exponent = self.exponent.min(other.exponent);
        let sum = self.shifted(exponent) + other.shifted(exponent);
        Self::rounded(sum, exponent, false, self.precision.max(other.precision))
    }

    /// The whole number that, times two to this power, is the number; the power is no larger than its own.
    fn shifted(&self, exponent: i64) -> BigInt {
        &self.mantissa << (self.exponent - exponent).unsigned_abs()
    }

    /// `self - other`.
    ///
    /// # Errors
    /// When the result is beyond the bounds.
    pub fn sub(&self, other: &Self) -> Result<Self, NumberError> {
        self.add(&other.neg())
    }

    /// `self * other`.
    ///
    /// # Errors
    /// When the result is beyond the bounds.
    pub fn mul(&self, other: &Self) -> Result<Self, NumberError> {
        let product = &self.mantissa * &other.mantissa;
        let exponent = self.exponent + other.exponent;
        let mut product = Self::rounded(product, exponent, false, PRECISION)?;
        product.precision = self.precision.max(other.precision);
        Ok(product)
    }

    /// `self / other`.
    ///
    /// # Errors
    /// Division by zero.
    pub fn div(&self, other: &Self) -> Result<Self, NumberError> {
        if other.mantissa.is_zero() {
            return Err(NumberError::DivisionByZero);
        }
        let precision = self.precision.max(other.precision);
        // With two bits more than are kept, rounding sees what was cut off.
        let more = (precision + other.mantissa.bits() + 2).saturating_sub(self.mantissa.bits());
        let dividend = &self.mantissa << more;
        let (quotient, is_more) = (
            &dividend / &other.mantissa,
            !(&dividend % &other.mantissa).is_zero(),
        );
        let exponent = self.exponent - other.exponent - more.cast_signed();
        Self::rounded(quotient, exponent, is_more, precision)
    }

    /// The remainder with the sign of the dividend, as in Terraform.
    ///
    /// # Errors
    /// Division by zero.
    pub fn rem(&self, other: &Self) -> Result<Self, NumberError> {
        let whole = self.div(other)?.truncated();
        let precision = self.precision.max(other.precision);
        let product = Self::rounded(
            &whole.mantissa * &other.mantissa,
            whole.exponent + other.exponent,
            false,
            precision,
        )?;
        self.sub(&product)
    }

    /// `-self`.
    #[must_use]
    pub fn neg(&self) -> Self {
        Self {
            mantissa: -&self.mantissa,
            ..*self
        }
    }

    /// The size without the sign.
    #[must_use]
    pub fn abs(&self) -> Self {
        Self {
            mantissa: self.mantissa.abs(),
            ..*self
        }
    }

    /// Whether it is less than zero.
    #[must_use]
    pub fn is_negative(&self) -> bool {
        self.mantissa.is_negative()
    }

    /// Whether nothing stands after the decimal point.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.exponent >= 0
    }

    /// The number without what stands after the decimal point.
    #[must_use]
    pub fn truncated(&self) -> Self {
        if self.is_whole() {
            return self.clone();
        }
        let whole = &self.mantissa.magnitude().clone() >> self.exponent.unsigned_abs();
        let signed = BigInt::from_biguint(self.mantissa.sign(), whole);
        // It has fewer bits than before, so that no bound is passed.
        Self::rounded(signed, 0, false, self.precision).unwrap_or_else(|_| Self::zero())
    }

    /// The number as a whole number, if it is one.
    #[must_use]
    pub fn to_integer(&self) -> Option<BigInt> {
        self.is_whole().then(|| self.shifted(0))
    }

    /// The number as a whole number of 64 bits, if it is one.
    #[must_use]
    pub fn to_i64(&self) -> Option<i64> {
        let is_small = self.exponent <= 63;
        is_small.then(|| self.to_integer()?.to_i64()).flatten()
    }

    /// The nearest binary float; infinite where there is none so large.
    #[must_use]
    pub fn to_f64(&self) -> f64 {
        let text = Digits::shortest(self).exponent_form();
        text.parse().unwrap_or(f64::NAN)
    }

    /// What a binary float is written as, if it is finite: for functions which are defined on floats.
    #[must_use]
    pub fn from_f64(value: f64) -> Option<Self> {
        let bits = value.to_bits();
        let fraction = bits & ((1 << 52) - 1);
        let (mantissa, exponent) = match (bits >> 52) & 0x7ff {
            0x7ff => return None,
            0 => (fraction, -1074),
            power => (fraction | 1 << 52, power.cast_signed() - 1075),
        };
        let sign = match (value < 0.0, mantissa) {
            (_, 0) => return Some(Self::zero()),
            (true, _) => Sign::Minus,
            (false, _) => Sign::Plus,
        };
        let exact = BigInt::from_biguint(sign, mantissa.into());
        let float = Self::rounded(exact, exponent, false, 53).ok()?;
        Digits::shortest(&float).exponent_form().parse().ok()
    }

    /// The largest whole number not above this one.
    #[must_use]
    pub fn floor(&self) -> Self {
        let whole = self.truncated();
        match whole > *self {
            true => whole.sub(&Self::from(1_i64)).unwrap_or(whole),
            false => whole,
        }
    }

    /// The smallest whole number not below this one.
    #[must_use]
    pub fn ceil(&self) -> Self {
        self.neg().floor().neg()
    }
}

impl From<i64> for Number {
    fn from(value: i64) -> Self {
        Self::rounded(value.into(), 0, false, PRECISION).unwrap_or_else(|_| Self::zero())
    }
}

impl From<u64> for Number {
    fn from(value: u64) -> Self {
        Self::rounded(value.into(), 0, false, PRECISION).unwrap_or_else(|_| Self::zero())
    }
}

impl PartialEq for Number {
    fn eq(&self, other: &Self) -> bool {
        self.exponent == other.exponent && self.mantissa == other.mantissa
    }
}

impl Eq for Number {}

impl Hash for Number {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.mantissa.hash(state);
        self.exponent.hash(state);
    }
}

impl Ord for Number {
    fn cmp(&self, other: &Self) -> Ordering {
        let by_sign = self.mantissa.sign().cmp(&other.mantissa.sign());
        if by_sign.is_ne() || self.mantissa.is_zero() {
            return by_sign;
        }
        let top = |number: &Self| number.exponent + number.mantissa.bits().cast_signed();
        let by_size = top(self).cmp(&top(other)).then_with(|| {
            let exponent = self.exponent.min(other.exponent);
            let size = |number: &Self| number.shifted(exponent).into_parts().1;
            size(self).cmp(&size(other))
        });
        match self.is_negative() {
            true => by_size.reverse(),
            false => by_size,
        }
    }
}

impl PartialOrd for Number {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// Bits of a mantissa, unless a whole number has more.
const PRECISION: u64 = 512;
/// Largest decimal exponent, either way.
const MAX_EXPONENT: u64 = 10_000;
/// The same in bits, with room for the mantissa's own.
const MAX_BINARY: i64 = 33_220 + PRECISION.cast_signed();
/// Characters of the longest whole number that is read exactly.
const LONGEST_WHOLE: usize = 10_002;

#[cfg(test)]
mod tests {
    use super::*;

    fn number(text: &str) -> Number {
        text.parse().expect(text)
    }

    fn quotient(one: &str, two: &str) -> String {
        let quotient = number(one).div(&number(two));
        quotient.expect("finite").to_string()
    }

    #[test]
    fn arithmetic_has_512_bits() {
        let sum = number("0.1").add(&number("0.2"));
        assert_eq!(sum.expect("in bounds").to_string(), "0.3");
        let sum = number("18446744073709551616").add(&number("1"));
        assert_eq!(sum.expect("in bounds").to_string(), "18446744073709551617");
        assert_eq!(number("-7").rem(&number("3")), Ok(number("-1")));
        assert_eq!(quotient("7", "2"), "3.5");
        assert_eq!(quotient("1", "3"), format!("0.{}5", "3".repeat(154)));
        assert_eq!(quotient("2", "3"), format!("0.{}7", "6".repeat(153)));
    }

    #[test]
    fn what_is_no_number_or_too_large_is_refused() {
        for text in ["", "abc", "1_000", "0x10", "inf", " 1", "1 ", "1e", "."] {
            assert!(text.parse::<Number>().is_err(), "{text}");
        }
        for text in [
            "1e999999999",
            "1e20000",
            "1e-20000",
            "1e99999999999999999999",
        ] {
            assert_eq!(text.parse::<Number>(), Err(NumberError::TooLarge), "{text}");
        }
        let nothing = number("1").div(&Number::zero());
        assert_eq!(nothing, Err(NumberError::DivisionByZero));
        assert_eq!(number("1e400").to_string().len(), 401);
    }

    #[test]
    fn equal_numbers_have_one_text() {
        assert_eq!(number("1.50"), number("1.5"));
        assert_eq!(number("100").to_string(), "100");
        assert_eq!(number("1e2").to_string(), "100");
        assert_eq!(number("+5").to_string(), "5");
        assert_eq!(number("-0").to_string(), "0");
    }

    #[test]
    fn a_whole_number_keeps_digits_that_a_literal_loses() {
        let text = "123456789".repeat(20);
        let whole = Number::exactly(&text).expect("a number");
        assert_eq!(whole.to_string(), text);
        assert_ne!(number(&text).to_string(), text);
    }

    #[test]
    fn floats_are_what_they_are_written_as() {
        let float = |value| Number::from_f64(value).expect("finite").to_string();
        assert_eq!(float(0.1), "0.1");
        assert_eq!(float(-2.5e-3), "-0.0025");
        assert_eq!(number("0.1").to_f64().to_bits(), 0.1_f64.to_bits());
        assert!(Number::from_f64(f64::INFINITY).is_none());
    }

    #[test]
    fn whole_parts() {
        let parts = |text: &str| {
            let number = number(text);
            [number.floor(), number.ceil(), number.truncated()].map(|part| part.to_string())
        };
        assert_eq!(parts("1.5"), ["1", "2", "1"]);
        assert_eq!(parts("-1.5"), ["-2", "-1", "-1"]);
        assert_eq!(parts("-0.5"), ["-1", "0", "0"]);
    }

    #[test]
    fn order_is_that_of_the_sizes() {
        let texts = [
            "-1e300", "-2", "-1.5", "0", "1e-300", "0.1", "1", "3", "1e300",
        ];
        let numbers: Vec<Number> = texts.iter().map(|text| number(text)).collect();
        assert!(numbers.is_sorted() && numbers.windows(2).all(|pair| pair[0] < pair[1]));
    }
}
