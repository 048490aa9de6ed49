//! Decimal texts of numbers, in and out.

use std::fmt;
use std::str::FromStr;

use num_bigint::{BigInt, BigUint};
use num_traits::{Pow, Zero};

use super::{MAX_EXPONENT, Number, NumberError, PRECISION};

impl FromStr for Number {
    type Err = NumberError;

    fn from_str(text: &str) -> Result<Self, NumberError> {
        let wrong = || NumberError::NotANumber(text.to_owned());
        let (is_negative, plain) = match text.strip_prefix(['-', '+']) {
            Some(rest) => (text.starts_with('-'), rest),
            None => (false, text),
        };
        let (mantissa, exponent) = plain.split_once(['e', 'E']).unwrap_or((plain, "0"));
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let digits = format!("{whole}{fraction}");
        let exponent_digits = exponent.strip_prefix(['-', '+']).unwrap_or(exponent);
        let are_digits = |text: &str| !text.is_empty() && text.bytes().all(|c| c.is_ascii_digit());
        if !are_digits(&digits) || !are_digits(exponent_digits) {
            return Err(wrong());
        }
        if digits.len() > LONGEST {
            return Err(NumberError::TooLarge);
        }
        let digits: BigInt = digits.parse().map_err(|_| wrong())?;
        if digits.is_zero() {
            return Ok(Self::zero());
        }
        let exponent: i64 = exponent.parse().map_err(|_| NumberError::TooLarge)?;
        let power = exponent
            .checked_sub_unsigned(fraction.len() as u64)
            .filter(|power| power.unsigned_abs() <= MAX_POWER)
            .ok_or(NumberError::TooLarge)?;
        let ten = BigInt::from(10_u32).pow(power.unsigned_abs());
        let size = match power < 0 {
            true => {
                let more = (PRECISION + ten.bits() + 2).saturating_sub(digits.bits());
                let dividend = &digits << more;
                let is_more = !(&dividend % &ten).is_zero();
                Self::rounded(dividend / ten, -more.cast_signed(), is_more, PRECISION)
            }
            false => Self::rounded(digits * ten, 0, false, PRECISION),
        }?;
        Ok(if is_negative { size.neg() } else { size })
    }
}

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&Digits::shortest(self).plain_form())
    }
}

/// The decimal digits of a number: `0.DIGITS` times ten to the power of `point`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Digits {
    is_negative: bool,
    /// Each from 0 to 9, neither the first nor the last is 0; none for zero.
    digits: Vec<u8>,
    point: i64,
}

impl Digits {
    /// All digits.
    #[must_use]
    pub fn exact(number: &Number) -> Self {
        let size = number.mantissa.magnitude();
        let mut exact = Self::of(size, number.exponent);
        exact.is_negative = number.is_negative();
        exact
    }

    /// The fewest digits that are read as this number.
    #[must_use]
    pub fn shortest(number: &Number) -> Self {
        let mut shortest = Self::exact(number);
        let size = number.mantissa.magnitude();
        let precision = number.precision.max(size.bits());
        let is_shorter =
            number.exponent >= 0 && size.bits() + number.exponent.unsigned_abs() <= precision;
        if size.is_zero() || is_shorter {
            return shortest;
        }
        // The bounds lie half of the last of the mantissa's bits away; they are read as this number if that bit is 0.
        let more = precision + 1 - size.bits();
        let scaled = size << more;
        let exponent = number.exponent - more.cast_signed();
        let (below, above) = (
            Self::of(&(&scaled - 1_u32), exponent),
            Self::of(&(&scaled + 1_u32), exponent),
        );
        let may_touch = !scaled.bit(1);
        for at in 0..shortest.digits.len() {
            let (down, digit, up) = (below.at(at), shortest.at(at), above.at(at));
            let may_cut = down != digit || may_touch && at + 1 == below.digits.len();
            let may_raise =
                digit != up && (may_touch || digit + 1 < up || at + 1 < above.digits.len());
            match (may_cut, may_raise) {
                (true, true) => shortest.round(at + 1),
                (true, false) => shortest.cut(at + 1),
                (false, true) => shortest.raise(at + 1),
                (false, false) => continue,
            }
            break;
        }
        shortest
    }

    fn of(size: &BigUint, exponent: i64) -> Self {
        let power = exponent.unsigned_abs();
        let (whole, shift) = match exponent < 0 {
            true => (size * BigUint::from(5_u32).pow(power), exponent),
            false => (size << power, 0),
        };
        let mut digits = whole.to_radix_be(10);
        let point = digits.len().cast_signed() as i64 + shift;
        if whole.is_zero() {
            digits.clear();
        }
        let mut result = Self {
            is_negative: false,
            digits,
            point,
        };
        result.trim();
        result
    }

    fn at(&self, index: usize) -> u8 {
        self.digits.get(index).copied().unwrap_or(0)
    }

    /// Whether it is less than zero.
    #[must_use]
    pub fn is_negative(&self) -> bool {
        self.is_negative
    }

    /// The power of ten of the first digit.
    #[must_use]
    pub fn exponent(&self) -> i64 {
        match self.digits.is_empty() {
            true => 0,
            false => self.point - 1,
        }
    }

    /// How many digits there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.digits.len()
    }

    /// Rounds to so many digits, half to even.
    pub fn round(&mut self, count: usize) {
        if count >= self.digits.len() {
            return;
        }
        let is_half = self.at(count) == 5 && count + 1 == self.digits.len();
        let is_up = match is_half {
            true => count > 0 && self.at(count - 1) % 2 == 1,
            false => self.at(count) >= 5,
        };
        match is_up {
            true => self.raise(count),
            false => self.cut(count),
        }
    }

    /// Rounds to so many decimal places, half to even.
    pub fn round_places(&mut self, places: usize) {
        let count = self.point.saturating_add_unsigned(places as u64);
        match usize::try_from(count) {
            Ok(count) => self.round(count),
            Err(_) => self.cut(0),
        }
    }

    fn cut(&mut self, count: usize) {
        self.digits.truncate(count);
        self.trim();
    }

    fn raise(&mut self, count: usize) {
        self.digits.truncate(count);
        while self.digits.last() == Some(&9) {
            self.digits.pop();
        }
        match self.digits.last_mut() {
            Some(last) => *last += 1,
            None => {
                self.digits.push(1);
                self.point += 1;
            }
        }
    }

    fn trim(&mut self) {
        while self.digits.last() == Some(&0) {
            self.digits.pop();
        }
        if self.digits.is_empty() {
            self.point = 0;
        }
    }

    /// A digit as a character; 0 beyond the last.
    fn shown(&self, index: i64) -> char {
        let digit = usize::try_from(index).map_or(0, |index| self.at(index));
        char::from(b'0' + digit)
    }

    /// Without an exponent, with so many decimal places; without a sign.
    #[must_use]
    pub fn with_places(&self, places: usize) -> String {
        let mut text: String = (0..self.point).map(|index| self.shown(index)).collect();
        if text.is_empty() {
            text.push('0');
        }
        if places > 0 {
            text.push('.');
            let places = i64::try_from(places).unwrap_or(i64::MAX);
            text.extend((self.point..self.point + places).map(|index| self.shown(index)));
        }
        text
    }

    /// How many decimal places the digits need.
    #[must_use]
    pub fn places(&self) -> usize {
        let count = i64::try_from(self.digits.len()).unwrap_or(i64::MAX);
        usize::try_from(count - self.point).unwrap_or(0)
    }

    /// The first digit, a point and so many more; without sign and exponent.
    #[must_use]
    pub fn mantissa(&self, places: usize) -> String {
        let mut text = String::from(self.shown(0));
        if places > 0 {
            text.push('.');
            let places = i64::try_from(places).unwrap_or(i64::MAX);
            text.extend((1..=places).map(|index| self.shown(index)));
        }
        text
    }

    /// The mantissa with so many decimal places, and the power of ten, with two digits at least; without a sign.
    #[must_use]
    pub fn with_exponent(&self, places: usize, letter: char) -> String {
        let exponent = self.exponent();
        let sign = if exponent < 0 { '-' } else { '+' };
        let size = exponent.unsigned_abs();
        format!("{}{letter}{sign}{size:02}", self.mantissa(places))
    }

    /// With an exponent where the number is large or small, without one else, as C's `%g` has it. The precision is that to
    /// which the digits were rounded; without a sign.
    #[must_use]
    pub fn general_form(&self, precision: Option<usize>, letter: char) -> String {
        let precision = precision.map(|precision| precision.max(1));
        let count = self.count();
        let limit = match precision {
            None => 6,
            Some(precision)
                if precision > count
                    && i64::try_from(count).is_ok_and(|count| count > self.exponent()) =>
            {
                count
            }
            Some(precision) => precision,
        };
        let is_large = i64::try_from(limit).is_ok_and(|limit| self.exponent() >= limit);
        if count > 0 && (self.exponent() < -4 || is_large) {
            let shown = precision.map_or(count, |precision| precision.min(count));
            return self.with_exponent(shown.saturating_sub(1), letter);
        }
        self.with_places(self.places())
    }

    fn sign(&self) -> &'static str {
        match self.is_negative && !self.digits.is_empty() {
            true => "-",
            false => "",
        }
    }

    fn plain_form(&self) -> String {
        format!("{}{}", self.sign(), self.with_places(self.places()))
    }

    pub(super) fn exponent_form(&self) -> String {
        let mantissa = self.mantissa(self.digits.len().saturating_sub(1));
        format!("{}{mantissa}e{}", self.sign(), self.exponent())
    }
}

/// Powers of ten in a text: what is beyond is too large, whatever the digits before it.
const MAX_POWER: u64 = 2 * MAX_EXPONENT;
/// Characters of a mantissa: as many as the largest and the smallest number have.
const LONGEST: usize = 2 * MAX_EXPONENT as usize;
