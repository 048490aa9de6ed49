//! Checks parameters in the words of the real API.

use std::collections::BTreeMap;

use regex::Regex;
use serde::{Deserialize, Serialize};

use super::{Format, Kind, Method, Property, format, property};

/// What is wrong, by parameter.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Errors(BTreeMap<String, String>);

/// A parameter as it was sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub(crate) enum Given {
    One(String),
    Many(Vec<String>),
}

/// Parameters of a call, by name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Parameters(pub BTreeMap<String, Given>);

impl Errors {
    /// Says one thing that is wrong with one parameter.
    pub(crate) fn one(name: &str, text: &str) -> Errors {
        let mut errors = Errors::default();
        errors.add(name, text);
        errors
    }

    pub(crate) fn add(&mut self, name: &str, text: &str) {
        let told = self.0.entry(name.to_owned()).or_default();
        if !told.is_empty() {
            told.push('\n');
        }
        told.push_str(text);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&String, &String)> {
        self.0.iter()
    }
}

impl Parameters {
    /// Returns the text of a parameter.
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        match self.0.get(name)? {
            Given::One(text) => Some(text),
            Given::Many(all) => all.first().map(String::as_str),
        }
    }

    /// Returns a parameter that the check has found to be there.
    pub(crate) fn needed(&self, name: &str) -> &str {
        self.text(name).unwrap_or_default()
    }

    pub(crate) fn number<T: std::str::FromStr>(&self, name: &str) -> Option<T> {
        self.text(name)?.parse().ok()
    }

    pub(crate) fn flag(&self, name: &str) -> Option<bool> {
        self.text(name).map(|text| text == "1")
    }

    /// Whether a flag is given and set.
    pub(crate) fn is_set(&self, name: &str) -> bool {
        self.flag(name) == Some(true)
    }

    /// Returns the members of a list in one text.
    pub(crate) fn list(&self, name: &str) -> Vec<String> {
        match self.0.get(name) {
            Some(Given::Many(all)) => all.clone(),
            Some(Given::One(text)) => split(text),
            None => Vec::new(),
        }
    }

    /// Returns a parameter in one text, a list one member a line.
    pub(crate) fn list_or_text(&self, name: &str) -> String {
        match self.0.get(name) {
            Some(Given::Many(all)) => all.join("\n"),
            _ => self.needed(name).to_owned(),
        }
    }

    pub(crate) fn put(&mut self, name: &str, value: impl Into<String>) {
        self.0.insert(name.to_owned(), Given::One(value.into()));
    }
}

/// Splits a list in one text: by commas, semicolons and blanks.
pub(crate) fn split(text: &str) -> Vec<String> {
    text.split([',', ';', ' ', '\t', '\n', '\0'])
        .filter(|part| !part.is_empty())
        .map(str::to_owned)
        .collect()
}

/// Checks the parameters of a call.
///
/// # Errors
/// What is wrong with which parameter.
pub(crate) fn check(method: &Method, given: &mut Parameters) -> Result<(), Errors> {
    let mut errors = Errors::default();
    for (name, value) in &mut given.0 {
        let Some(property) = method.parameter(name) else {
            if !method.is_open {
                errors.add(name, "property is not defined in schema and the schema does not allow additional properties");
            }
            continue;
        };
        if property.kind == Kind::Array
            && let Given::One(text) = value
        {
            *value = Given::Many(vec![text.clone()]);
        }
        match value {
            Given::One(text) => check_property(property, name, text, &mut errors),
            Given::Many(all) if property.kind == Kind::Array => {
                for (index, text) in all.iter().enumerate() {
                    if let Some(items) = &property.items {
                        check_property(items, &format!("{name}[{index}]"), text, &mut errors);
                    }
                }
            }
            Given::Many(_) => errors.add(name, "type check ('string') failed - got ARRAY"),
        }
    }
    for (name, property) in &method.parameters {
        let is_there = given.0.contains_key(name);
        if !is_there && !property.optional && !name.ends_with("[n]") {
            errors.add(name, "property is missing and it is not optional");
        }
        if let (true, Some(other)) = (is_there, &property.requires)
            && !given.0.contains_key(other)
        {
            errors.add(
                other,
                &format!("missing property - '{name}' requires this property"),
            );
        }
    }
    if errors.is_empty() {
        Ok(())
    } else {
        Err(errors)
    }
}

/// Checks one value.
pub(crate) fn check_property(property: &Property, path: &str, value: &str, errors: &mut Errors) {
    let fits = match property.kind {
        Kind::Integer => is_integer(value),
        Kind::Number => is_number(value),
        Kind::Boolean => matches!(value, "0" | "1"),
        _ => true,
    };
    if !fits {
        let kind = format!("{:?}", property.kind).to_lowercase();
        errors.add(
            path,
            &format!("type check ('{kind}') failed - got '{value}'"),
        );
        return;
    }
    let told = match &property.format {
        Some(Format::Named(name)) => format::check(name, value),
        Some(Format::Keys(keys)) => property::parse(keys, value, path).map(drop),
        None => Ok(()),
    };
    if let Err(text) = told {
        errors.add(path, &format!("invalid format - {text}"));
        return;
    }
    if let (Kind::Integer | Kind::Number, Ok(number)) = (property.kind, value.parse::<f64>()) {
        if let Some(minimum) = property
            .minimum
            .map(|it| it.0)
            .filter(|minimum| number < *minimum)
        {
            errors.add(
                path,
                &format!("value must have a minimum value of {minimum}"),
            );
        }
        if let Some(maximum) = property
            .maximum
            .map(|it| it.0)
            .filter(|maximum| number > *maximum)
        {
            errors.add(
                path,
                &format!("value must have a maximum value of {maximum}"),
            );
        }
    }
    let length = value.chars().count();
    if let Some(most) = property.max_length.filter(|most| length > *most) {
        errors.add(path, &format!("value may only be {most} characters long"));
    }
    if let Some(least) = property.min_length.filter(|least| length < *least) {
        errors.add(
            path,
            &format!("value must be at least {least} characters long"),
        );
    }
    if let Some(pattern) = &property.pattern {
        let regex = Regex::new(&format!("^(?:{pattern})$"));
        if regex.is_ok_and(|regex| !regex.is_match(value)) {
            errors.add(path, "value does not match the regex pattern");
        }
    }
    if !property.choices.is_empty() && !property.choices.iter().any(|choice| choice == value) {
        let choices = property.choices.join(", ");
        errors.add(
            path,
            &format!("value '{value}' does not have a value in the enumeration '{choices}'"),
        );
    }
}

fn is_integer(value: &str) -> bool {
    let digits = value.strip_prefix(['+', '-']).unwrap_or(value);
    !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())
}

fn is_number(value: &str) -> bool {
    value.parse::<f64>().is_ok_and(f64::is_finite)
}
