//! `format` and `formatlist`: verbs as in Terraform.

use dmp_sdk::{Digits, Kind, Marks, Number, Strictness, Type, Value, convert};
use unicode_segmentation::UnicodeSegmentation;

use super::{Fault, Function, Gives, bounded, nullable, text, text_of};
use crate::evaluate::{MOST_ELEMENTS, unknown_not_null};

pub(super) const FUNCTIONS: &[Function] = &[
    Function::new("format", &[text("format")], Gives::Text, format).variadic(nullable("value")),
    Function::new("formatlist", &[text("format")], Gives::Texts, formatlist)
        .variadic(nullable("value"))
        .own(),
];

fn format(arguments: &[Value]) -> Result<Value, Fault> {
    let values: Vec<&Value> = arguments.iter().skip(1).collect();
    formatted(text_of(arguments, 0), &values).map(Value::from)
}

/// Lists are gone through together, what is no list is the same each time. Every mark of an argument marks the result.
fn formatlist(arguments: &[Value]) -> Result<Value, Fault> {
    let marks = arguments.iter().fold(Marks::none(), |all, argument| {
        all.union(&argument.deep_marks())
    });
    Ok(formatted_list(arguments)?.marked(&marks))
}

fn formatted_list(arguments: &[Value]) -> Result<Value, Fault> {
    let mut length: Option<usize> = None;
    if arguments.first().is_some_and(Value::is_null) {
        return Err(Fault::of(0, "the format is null"));
    }
    if !arguments.first().is_some_and(Value::is_known) || arguments.iter().any(is_open) {
        return Ok(unknown_not_null(Type::list(Type::String)));
    }
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
        if !values.iter().all(|value| value.is_wholly_known()) {
            texts.push(unknown_not_null(Type::String));
            continue;
        }
        let text = formatted(text_of(arguments, 0), &values)?;
        size += text.len();
        bounded(size)?;
        texts.push(Value::from(text));
    }
    Ok(Value::list(texts))
}

/// Whether it may turn out to be a list of any length.
fn is_open(argument: &Value) -> bool {
    match argument.kind() {
        Kind::Unknown(unknown) => {
            matches!(
                unknown.ty,
                Type::Any | Type::List(_) | Type::Set(_) | Type::Tuple(_)
            )
        }
        _ => false,
    }
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
    let mut used = 0;
    while let Some(at) = rest.find('%') {
        result.push_str(&rest[..at]);
        if let Some(after) = rest[at..].strip_prefix("%%") {
            result.push('%');
            rest = after;
            continue;
        }
        let (verb, after) = verb(&rest[at + 1..])?;
        rest = after;
        let at = verb.argument.map_or(next, |place| place - 1);
        let Some(value) = values.get(at) else {
            let count = values.len();
            let why = format!("`%{}` has no argument: there are {count}", verb.letter);
            return Err(Fault::of(0, why));
        };
        next = at + 1;
        used = used.max(next);
        let text = verb.apply(value).map_err(|why| Fault::of(next, why))?;
        result.push_str(&text);
        bounded(result.len())?;
    }
    result.push_str(rest);
    if used < values.len() {
        let count = values.len();
        let why = format!("there are {count} arguments, and the format uses {used}");
        return Err(Fault::of(used + 1, why));
    }
    Ok(result)
}

fn verb(text: &str) -> Result<(Verb, &str), Fault> {
    let mut verb = Verb::default();
    let mut rest = text;
    loop {
        let Some(c) = rest.chars().next() else {
            let why = "the format ends after a `%`; write `%%` for a percent sign";
            return Err(Fault::of(0, why));
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
        Ok(match self.letter {
            'v' => self.padded(&self.default_form(value)?),
            's' => self.padded(self.cut(text_form(value)?.as_str().unwrap_or_default())),
            'q' => {
                let text = text_form(value)?;
                let cut = self.cut(text.as_str().unwrap_or_default());
                self.padded(&super::encoding::json(&cut.into())?)
            }
            't' => {
                let truth = plain(value, &Type::Bool)?;
                truth.as_bool().unwrap_or_default().to_string()
            }
            'd' | 'b' | 'o' | 'x' | 'X' => self.whole(&number(value)?)?,
            'f' | 'e' | 'E' | 'g' | 'G' => self.decimal(&number(value)?),
            letter => return Err(format!("there is no verb `%{letter}`")),
        })
    }

    fn default_form(&self, value: &Value) -> Result<String, String> {
        match value.kind() {
            Kind::String(text) if !self.sharp => Ok(text.to_string()),
            Kind::Number(number) if !self.sharp => {
                let digits = Digits::shortest(number);
                let sign = if digits.is_negative() { "-" } else { "" };
                Ok(format!("{sign}{}", digits.general_form(None, 'e')))
            }
            _ => super::encoding::json(value),
        }
    }

    fn cut<'t>(&self, text: &'t str) -> &'t str {
        let most = self.precision.filter(|most| *most > 0);
        let end = most.and_then(|most| text.grapheme_indices(true).nth(most));
        end.map_or(text, |(end, _)| &text[..end])
    }

    /// To the width, measured in what a reader takes for characters.
    fn padded(&self, text: &str) -> String {
        let missing = self.width.saturating_sub(text.graphemes(true).count());
        let fill = if self.zero { "0" } else { " " }.repeat(missing);
        match self.minus {
            true => format!("{text}{fill}"),
            false => format!("{fill}{text}"),
        }
    }

    fn sign(&self, is_negative: bool) -> &'static str {
        match (is_negative, self.plus, self.space) {
            (true, ..) => "-",
            (false, true, _) => "+",
            (false, false, true) => " ",
            _ => "",
        }
    }

    fn whole(&self, number: &Number) -> Result<String, String> {
        let Some(whole) = number.to_integer() else {
            return Err("a whole number is required".into());
        };
        let (radix, prefix) = match self.letter {
            'b' => (2, "0b"),
            'o' => (8, "0"),
            'x' => (16, "0x"),
            'X' => (16, "0X"),
            _ => (10, ""),
        };
        let mut digits = whole.magnitude().to_str_radix(radix);
        if self.letter == 'X' {
            digits = digits.to_uppercase();
        }
        let zeros = match self.precision {
            Some(0) if digits == "0" => return Ok(String::new()),
            Some(least) => least.saturating_sub(digits.len()),
            None => 0,
        };
        let prefix = if self.sharp { prefix } else { "" };
        let sign = self.sign(number.is_negative());
        let is_filled = self.zero && self.precision.is_none();
        Ok(self.filled(
            &format!("{sign}{prefix}"),
            &format!("{}{digits}", "0".repeat(zeros)),
            is_filled,
        ))
    }

    fn decimal(&self, number: &Number) -> String {
        let lower = self.letter.to_ascii_lowercase();
        let exponent_letter = if self.letter == lower { 'e' } else { 'E' };
        let mut digits = match (lower, self.precision) {
            ('g', None) => Digits::shortest(number),
            _ => Digits::exact(number),
        };
        let precision = self.precision.unwrap_or(6);
        let text = match lower {
            'f' => {
                digits.round_places(precision);
                digits.with_places(precision)
            }
            'e' => {
                digits.round(precision + 1);
                digits.with_exponent(precision, exponent_letter)
            }
            _ => {
                if let Some(most) = self.precision {
                    digits.round(most.max(1));
                }
                digits.general_form(self.precision, exponent_letter)
            }
        };
        self.filled(self.sign(number.is_negative()), &text, self.zero)
    }

    /// To the width, zeros between the sign and the digits.
    fn filled(&self, sign: &str, digits: &str, with_zeros: bool) -> String {
        let missing = self.width.saturating_sub(sign.len() + digits.len());
        match (self.minus, with_zeros) {
            (true, _) => format!("{sign}{digits}{}", " ".repeat(missing)),
            (false, true) => format!("{sign}{}{digits}", "0".repeat(missing)),
            (false, false) => format!("{}{sign}{digits}", " ".repeat(missing)),
        }
    }
}

fn plain(value: &Value, ty: &Type) -> Result<Value, String> {
    if value.is_null() {
        return Err("null has no form here; use `%v`".into());
    }
    convert(value, ty, Strictness::Lenient).map_err(|error| error.to_string())
}

fn text_form(value: &Value) -> Result<Value, String> {
    plain(value, &Type::String)
}

fn number(value: &Value) -> Result<Number, String> {
    let converted = plain(value, &Type::Number)?;
    Ok(converted.as_number().cloned().unwrap_or_else(Number::zero))
}

const WIDEST: usize = 65_536;
