//! Numbers of arbitrary precision, with the arithmetic and the text form that the language shows.
//!
//! Decimal, not binary: `0.1 + 0.2` is `0.3`. A quotient that never ends is rounded to 154 significant
//! digits, which is what 512 bits of mantissa hold. Exponents are bounded so that no text can exhaust memory.

use std::borrow::Borrow;
use std::cmp::Ordering;
use std::fmt;
use std::num::NonZeroU64;
use std::str::FromStr;

use bigdecimal::{BigDecimal, Context, RoundingMode, ToPrimitive, Zero};

/// A finite decimal number.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Number(BigDecimal);

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
        Self(BigDecimal::zero())
    }

    fn checked(value: impl Borrow<BigDecimal>) -> Result<Self, NumberError> {
        let value = value.borrow().normalized();
        let (digits, scale) = value.as_bigint_and_exponent();
        if scale.unsigned_abs() > MAX_EXPONENT || digits.bits() > MAX_EXPONENT * 4 {
            return Err(NumberError::TooLarge);
        }
        Ok(Self(value))
    }

    /// `self + other`.
    ///
    /// # Errors
    /// When the result is beyond the bounds.
    pub fn add(&self, other: &Self) -> Result<Self, NumberError> {
        Self::checked(&self.0 + &other.0)
    }

    /// `self - other`.
    ///
    /// # Errors
    /// When the result is beyond the bounds.
    pub fn sub(&self, other: &Self) -> Result<Self, NumberError> {
        Self::checked(&self.0 - &other.0)
    }

    /// `self * other`.
    ///
    /// # Errors
    /// When the result is beyond the bounds.
    pub fn mul(&self, other: &Self) -> Result<Self, NumberError> {
        Self::checked(&self.0 * &other.0)
    }

    /// `self / other`, rounded half to even at 154 significant digits.
    ///
    /// # Errors
    /// Division by zero.
    pub fn div(&self, other: &Self) -> Result<Self, NumberError> {
        if other.0.is_zero() {
            return Err(NumberError::DivisionByZero);
        }
        // The product with the inverse would round twice; bigdecimal's own division keeps 100 digits.
        let scaled = (&self.0 / &other.0).with_precision_round(PRECISION, RoundingMode::HalfEven);
        Self::checked(scaled)
    }

    /// The remainder with the sign of the dividend, as in Terraform.
    ///
    /// # Errors
    /// Division by zero.
    pub fn rem(&self, other: &Self) -> Result<Self, NumberError> {
        if other.0.is_zero() {
            return Err(NumberError::DivisionByZero);
        }
        Self::checked(&self.0 % &other.0)
    }

    /// `-self`.
    #[must_use]
    pub fn neg(&self) -> Self {
        Self(-&self.0)
    }

    /// `self` to the power of a whole number.
    ///
    /// # Errors
    /// When the result is beyond the bounds, or zero is raised to a negative power.
    pub fn powi(&self, exponent: i64) -> Result<Self, NumberError> {
        if self.0.is_zero() && exponent < 0 {
            return Err(NumberError::DivisionByZero);
        }
        if exponent.unsigned_abs() > MAX_EXPONENT {
            return Err(NumberError::TooLarge);
        }
        Self::checked(
            self.0
                .powi_with_context(exponent, &Context::default().with_precision(PRECISION)),
        )
    }

    /// The number as a whole number of 64 bits, if it is one.
    #[must_use]
    pub fn to_i64(&self) -> Option<i64> {
        self.0.is_integer().then(|| self.0.to_i64()).flatten()
    }

    /// The nearest binary float; for functions (`log`, `pow` with fractions) which are defined on floats.
    #[must_use]
    pub fn to_f64(&self) -> f64 {
        self.0.to_f64().unwrap_or(f64::NAN)
    }

    /// A number from a binary float, if it is finite.
    #[must_use]
    pub fn from_f64(value: f64) -> Option<Self> {
        if !value.is_finite() {
            return None;
        }
        format!("{value:e}").parse().ok()
    }

    /// The largest whole number not above this one.
    #[must_use]
    pub fn floor(&self) -> Self {
        Self(self.0.with_scale_round(0, RoundingMode::Floor).normalized())
    }

    /// The smallest whole number not below this one.
    #[must_use]
    pub fn ceil(&self) -> Self {
        Self(
            self.0
                .with_scale_round(0, RoundingMode::Ceiling)
                .normalized(),
        )
    }

    /// The decimal under the number, for functions that need more than these operations.
    #[must_use]
    pub fn as_decimal(&self) -> &BigDecimal {
        &self.0
    }
}

impl FromStr for Number {
    type Err = NumberError;

    fn from_str(text: &str) -> Result<Self, NumberError> {
        let plain = text.strip_prefix('-').unwrap_or(text);
        let starts_well = plain.starts_with(|c: char| c.is_ascii_digit() || c == '.');
        let only_number = plain
            .chars()
            .all(|c| c.is_ascii_digit() || matches!(c, '.' | 'e' | 'E' | '+' | '-'));
        if !starts_well || !only_number {
            return Err(NumberError::NotANumber(text.to_owned()));
        }
        if let Some(exponent) = plain.split(['e', 'E']).nth(1) {
            let digits = exponent
                .trim_start_matches(['+', '-'])
                .trim_start_matches('0');
            if digits.len() > 6 {
                return Err(NumberError::TooLarge);
            }
        }
        let value =
            BigDecimal::from_str(text).map_err(|_| NumberError::NotANumber(text.to_owned()))?;
        Self::checked(value)
    }
}

impl From<i64> for Number {
    fn from(value: i64) -> Self {
        Self(BigDecimal::from(value).normalized())
    }
}

impl From<u64> for Number {
    fn from(value: u64) -> Self {
        Self(BigDecimal::from(value).normalized())
    }
}

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.to_plain_string())
    }
}

impl Ord for Number {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.cmp(&other.0)
    }
}

impl PartialOrd for Number {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// Decimal digits that 512 bits hold.
const PRECISION: NonZeroU64 = NonZeroU64::new(154).expect("not zero");
/// Largest decimal exponent, either way.
const MAX_EXPONENT: u64 = 10_000;

#[cfg(test)]
mod tests {
    use super::*;

    fn number(text: &str) -> Number {
        text.parse().expect(text)
    }

    #[test]
    fn arithmetic_is_decimal() {
        assert_eq!(number("0.1").add(&number("0.2")), Ok(number("0.3")));
        assert_eq!(
            number("9007199254740993")
                .add(&number("1"))
                .expect("in bounds")
                .to_string(),
            "9007199254740994"
        );
        assert_eq!(number("-7").rem(&number("3")), Ok(number("-1")));
        assert_eq!(
            number("7").div(&number("2")).expect("finite").to_string(),
            "3.5"
        );
    }

    #[test]
    fn what_is_no_number_or_too_large_is_refused() {
        for text in ["", "abc", "1_000", "0x10", "inf", "+1", " 1", "1 "] {
            assert!(text.parse::<Number>().is_err(), "{text}");
        }
        assert_eq!("1e999999999".parse::<Number>(), Err(NumberError::TooLarge));
        assert_eq!(
            number("1").div(&Number::zero()),
            Err(NumberError::DivisionByZero)
        );
        assert_eq!(number("1e400").to_string().len(), 401);
    }

    #[test]
    fn equal_numbers_have_one_text() {
        assert_eq!(number("1.50"), number("1.5"));
        assert_eq!(number("100").to_string(), "100");
        assert_eq!(number("1e2").to_string(), "100");
    }
}
