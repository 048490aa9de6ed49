//! `format` and `formatlist`: verbs as in Terraform.

use dmp_sdk::{Kind, Number, Strictness, Type, Value, convert};

use super::{Fault, Function, Gives, bounded, nullable, text, text_of};
use crate::evaluate::MOST_ELEMENTS;

pub(super) const FUNCTIONS: &[Function] = &[
    Function::new("format", &[text("format")], Gives::Text, format).variadic(nullable("value")),
    Function::new("formatlist", &[text("format")], Gives::Texts, formatlist)
        .variadic(nullable("value")),
];

fn format(arguments: &[Value]) -> Result<Value, Fault> {
    let values: Vec<&Value> = arguments.iter().skip(1).collect();
    formatted(text_of(arguments, 0), &values).map(Value::from)
}

/// Lists are gone through together, what is no list is the same each time.
fn formatlist(arguments: &[Value]) -> Result<Value, Fault> {
    let mut length: Option<usize> = None;
    for (index, argument) in arguments.iter().enumerate().skip(1) {
        let Some(items) = argument.as_items() else {
            continue;
        };
        if length.is_some_and(|length| length != items.len()) {
            return Err(Fault::of(index, "all lists must have the same length"));
        }
        length = Some(items.len());
    }
    let length = length.unwrap_or(1);
    if length > MOST_ELEMENTS {
        return Err(Fault::new(
            "the list would have more than a million elements",
        ));
    }
    let mut texts = Vec::new();
    let mut size: usize = 0;
    for at in 0..length {
        let values: Vec<&Value> = arguments
            .iter()
            .skip(1)
            .map(|argument| argument.as_items().map_or(argument, |items| &items[at]))
            .collect();
        let text = formatted(text_of(arguments, 0), &values)?;
        size += text.len();
        bounded(size)?;
        texts.push(Value::from(text));
    }
    Ok(Value::list(texts))
}

/// What stands between `%` and the letter.
#[derive(Default)]
struct Verb {
    plus: bool,
    minus: bool,
    space: bool,
    zero: bool,
    sharp: bool,
    width: usize,
    precision: Option<usize>,
    argument: Option<usize>,
    letter: char,
}

fn formatted(format: &str, values: &[&Value]) -> Result<String, Fault> {
    let mut result = String::new();
    let mut rest = format;
    let mut next = 0;
    let mut used_by_place = false;
    while let Some(at) = rest.find('%') {
        result.push_str(&rest[..at]);
        let (verb, after) = verb(&rest[at + 1..])?;
        rest = after;
        if verb.letter == '%' {
            result.push('%');
            continue;
        }
        if let Some(place) = verb.argument {
            used_by_place = true;
            next = place.saturating_sub(1);
        }
        let Some(value) = values.get(next) else {
            let why = format!(
                "`%{}` has no argument: there are {}",
                verb.letter,
                values.len()
            );
            return Err(Fault::of(0, why));
        };
        next += 1;
        let text = verb.apply(value).map_err(|why| Fault::of(next, why))?;
        result.push_str(&verb.pad(&text));
        bounded(result.len())?;
    }
    result.push_str(rest);
    if next < values.len() && !used_by_place {
        let why = format!(
            "there are {} arguments, and the format uses {next}",
            values.len()
        );
        return Err(Fault::of(next + 1, why));
    }
    Ok(result)
}

fn verb(text: &str) -> Result<(Verb, &str), Fault> {
    let mut verb = Verb::default();
    let mut rest = text;
    loop {
        let Some(c) = rest.chars().next() else {
            return Err(Fault::of(
                0,
                "the format ends after a `%`; write `%%` for a percent sign",
            ));
        };
        match c {
            '+' => verb.plus = true,
            '-' => verb.minus = true,
            ' ' => verb.space = true,
            '0' => verb.zero = true,
            '#' => verb.sharp = true,
            _ => break,
        }
        rest = &rest[1..];
    }
    let (width, after) = digits(rest)?;
    verb.width = width.unwrap_or(0);
    rest = after;
    if let Some(after) = rest.strip_prefix('.') {
        let (precision, after) = digits(after)?;
        verb.precision = Some(precision.unwrap_or(0));
        rest = after;
    }
    if let Some(after) = rest.strip_prefix('[') {
        let (place, after) = digits(after)?;
        let (Some(place), Some(after)) =
            (place.filter(|place| *place > 0), after.strip_prefix(']'))
        else {
            return Err(Fault::of(0, "an argument's place is written `[1]`"));
        };
        verb.argument = Some(place);
        rest = after;
    }
    let mut chars = rest.chars();
    match chars.next() {
        Some(letter) => {
            verb.letter = letter;
            Ok((verb, chars.as_str()))
        }
        None => Err(Fault::of(0, "the format ends inside a `%`")),
    }
}

fn digits(text: &str) -> Result<(Option<usize>, &str), Fault> {
    let end = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    if end == 0 {
        return Ok((None, text));
    }
    let number = text[..end].parse().ok().filter(|number| *number <= WIDEST);
    match number {
        Some(number) => Ok((Some(number), &text[end..])),
        None => Err(Fault::of(0, format!("a width may be up to {WIDEST}"))),
    }
}

impl Verb {
    fn apply(&self, value: &Value) -> Result<String, String> {
        match self.letter {
            'v' if self.sharp => super::encoding::json(value),
            'v' => default_form(value),
            's' => self.cut(plain(value, &Type::String)?.as_str().unwrap_or_default()),
            'q' => {
                let text = plain(value, &Type::String)?;
                super::encoding::json(&text)
            }
            't' => Ok(plain(value, &Type::Bool)?
                .as_bool()
                .unwrap_or_default()
                .to_string()),
            'd' => Ok(self.signed(&truncated(&number(value)?).to_string())),
            'b' | 'o' | 'x' | 'X' => self.in_base(&number(value)?),
            'f' | 'F' => Ok(self.signed(&fixed(&number(value)?, self.precision.unwrap_or(6)))),
            'e' | 'E' | 'g' | 'G' => Ok(self.signed(&self.scientific(&number(value)?))),
            letter => Err(format!("there is no verb `%{letter}`")),
        }
    }

    fn cut(&self, text: &str) -> Result<String, String> {
        Ok(match self.precision {
            Some(most) => text.chars().take(most).collect(),
            None => text.to_owned(),
        })
    }

    fn signed(&self, text: &str) -> String {
        match (text.starts_with('-'), self.plus, self.space) {
            (false, true, _) => format!("+{text}"),
            (false, _, true) => format!(" {text}"),
            _ => text.to_owned(),
        }
    }

    fn in_base(&self, number: &Number) -> Result<String, String> {
        let Some(whole) = truncated(number).to_i64() else {
            return Err("the number is too large for this verb".into());
        };
        let size = whole.unsigned_abs();
        let digits = match self.letter {
            'b' => format!("{size:b}"),
            'o' => format!("{size:o}"),
            'x' => format!("{size:x}"),
            _ => format!("{size:X}"),
        };
        let prefix = match (self.sharp, self.letter) {
            (true, 'x') => "0x",
            (true, 'X') => "0X",
            (true, 'o') => "0",
            _ => "",
        };
        let sign = if whole < 0 { "-" } else { "" };
        Ok(self.signed(&format!("{sign}{prefix}{digits}")))
    }

    fn scientific(&self, number: &Number) -> String {
        let float = number.to_f64();
        let is_capital = self.letter.is_ascii_uppercase();
        let text = match self.letter.to_ascii_lowercase() {
            'e' => exponent_form(float, self.precision.unwrap_or(6)),
            _ => {
                let size = float.abs();
                match self.precision {
                    None if size == 0.0 || (1e-4..1e21).contains(&size) => number.to_string(),
                    Some(digits)
                        if size == 0.0
                            || (1e-4..10f64
                                .powi(i32::try_from(digits.max(1)).unwrap_or(i32::MAX)))
                                .contains(&size) =>
                    {
                        let before = if size < 1.0 {
                            1
                        } else {
                            size.log10().floor() as usize + 1
                        };
                        trimmed(&fixed(number, digits.max(1).saturating_sub(before)))
                    }
                    precision => shortest_exponent(float, precision),
                }
            }
        };
        if is_capital {
            text.to_uppercase()
        } else {
            text
        }
    }

    fn pad(&self, text: &str) -> String {
        let missing = self.width.saturating_sub(text.chars().count());
        if missing == 0 {
            return text.to_owned();
        }
        let is_number = matches!(
            self.letter,
            'd' | 'b' | 'o' | 'x' | 'X' | 'f' | 'F' | 'e' | 'E' | 'g' | 'G'
        );
        if self.minus {
            return format!("{text}{}", " ".repeat(missing));
        }
        if self.zero && is_number {
            let sign_length = usize::from(text.starts_with(['+', '-', ' ']));
            let (sign, digits) = text.split_at(sign_length);
            return format!("{sign}{}{digits}", "0".repeat(missing));
        }
        let fill = if self.zero { "0" } else { " " };
        format!("{}{text}", fill.repeat(missing))
    }
}

fn plain(value: &Value, ty: &Type) -> Result<Value, String> {
    if value.is_null() {
        return Err("null has no form here; use `%v`".into());
    }
    convert(value, ty, Strictness::Lenient).map_err(|error| error.to_string())
}

fn number(value: &Value) -> Result<Number, String> {
    let converted = plain(value, &Type::Number)?;
    Ok(converted.as_number().cloned().unwrap_or_else(Number::zero))
}

fn default_form(value: &Value) -> Result<String, String> {
    match value.kind() {
        Kind::String(text) => Ok(text.to_string()),
        _ => super::encoding::json(value),
    }
}

/// The whole part.
fn truncated(number: &Number) -> Number {
    match *number < Number::zero() {
        true => number.ceil(),
        false => number.floor(),
    }
}

/// Decimal places, rounded half to even.
fn fixed(number: &Number, places: usize) -> String {
    let places = i64::try_from(places).unwrap_or(i64::MAX);
    let rounded = number
        .as_decimal()
        .with_scale_round(places, bigdecimal::RoundingMode::HalfEven);
    rounded.to_plain_string()
}

fn trimmed(text: &str) -> String {
    match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => text.to_owned(),
    }
}

fn exponent_form(float: f64, precision: usize) -> String {
    with_two_digits(&format!("{float:.precision$e}"))
}

fn shortest_exponent(float: f64, precision: Option<usize>) -> String {
    match precision {
        Some(digits) => {
            let digits = digits.saturating_sub(1);
            with_two_digits(&format!("{float:.digits$e}"))
        }
        None => with_two_digits(&format!("{float:e}")),
    }
}

/// `1e5` as `1e+05`.
fn with_two_digits(text: &str) -> String {
    let Some((mantissa, exponent)) = text.split_once('e') else {
        return text.to_owned();
    };
    let (sign, digits) = match exponent.strip_prefix('-') {
        Some(digits) => ('-', digits),
        None => ('+', exponent),
    };
    format!("{mantissa}e{sign}{digits:0>2}")
}

const WIDEST: usize = 65_536;
