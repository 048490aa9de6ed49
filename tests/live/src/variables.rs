//! Values for a stack's input variables, written as HCL.

use std::fmt;

/// A set of named values. Its text is a file of `name = value` lines.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Variables {
    values: Vec<(String, Value)>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Value {
    Text(String),
    Plain(String),
    Object(Variables),
    List(Vec<Value>),
}

impl Variables {
    /// Adds a string, whatever stands in it.
    #[must_use]
    pub fn text(self, name: &str, value: &str) -> Self {
        self.with(name, Value::Text(value.to_owned()))
    }

    /// Adds a number or a bool.
    #[must_use]
    pub fn plain(self, name: &str, value: impl fmt::Display) -> Self {
        self.with(name, Value::Plain(value.to_string()))
    }

    /// Adds an object.
    #[must_use]
    pub fn value(self, name: &str, value: Variables) -> Self {
        self.with(name, Value::Object(value))
    }

    /// Adds a list of objects.
    #[must_use]
    pub fn list(self, name: &str, values: impl IntoIterator<Item = Variables>) -> Self {
        self.with(
            name,
            Value::List(values.into_iter().map(Value::Object).collect()),
        )
    }

    /// Adds a list of strings.
    #[must_use]
    pub fn texts<'a>(self, name: &str, values: impl IntoIterator<Item = &'a str>) -> Self {
        let values = values
            .into_iter()
            .map(|value| Value::Text(value.to_owned()));
        self.with(name, Value::List(values.collect()))
    }

    /// Adds all of another set.
    #[must_use]
    pub fn and(mut self, other: Variables) -> Self {
        self.values.extend(other.values);
        self
    }

    fn with(mut self, name: &str, value: Value) -> Self {
        self.values.push((name.to_owned(), value));
        self
    }
}

impl fmt::Display for Variables {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.values.iter().try_for_each(|(name, value)| {
            // A key of a map may be anything, such as the address of a registry.
            let plain = name
                .chars()
                .all(|sign| sign.is_ascii_alphanumeric() || "_-".contains(sign));
            if plain {
                out.write_str(name)?;
            } else {
                quoted(out, name)?;
            }
            writeln!(out, " = {value}")
        })
    }
}

impl fmt::Display for Value {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Text(text) => quoted(out, text),
            Value::Plain(text) => out.write_str(text),
            Value::Object(object) => write!(out, "{{\n{object}}}"),
            Value::List(values) => {
                out.write_str("[\n")?;
                values
                    .iter()
                    .try_for_each(|value| writeln!(out, "{value},"))?;
                out.write_str("]")
            }
        }
    }
}

fn quoted(out: &mut fmt::Formatter<'_>, text: &str) -> fmt::Result {
    let text = text
        .replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('\n', "\\n")
        .replace("${", "$${")
        .replace("%{", "%%{");
    write!(out, "\"{text}\"")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_strings_and_keys_of_any_kind_can_be_written() {
        let mirrors = Variables::default().text("10.79.0.1:5000", "http://10.79.0.1:5000");
        let all = Variables::default()
            .texts("addresses", ["a", "b"])
            .value("mirrors", mirrors);
        assert_eq!(
            all.to_string(),
            "addresses = [\n\"a\",\n\"b\",\n]\nmirrors = {\n\"10.79.0.1:5000\" = \"http://10.79.0.1:5000\"\n}\n"
        );
    }

    #[test]
    fn strings_are_taken_as_they_are_and_objects_nest() {
        let machine = Variables::default()
            .text("address", "10.79.0.11")
            .plain("memory", 2048);
        let all = Variables::default()
            .text("odd", "a\"${b}\\\n")
            .value("host", machine.clone())
            .list("hosts", [machine]);
        assert_eq!(
            all.to_string(),
            "odd = \"a\\\"$${b}\\\\\\n\"\nhost = {\naddress = \"10.79.0.11\"\nmemory = 2048\n}\n\
             hosts = [\n{\naddress = \"10.79.0.11\"\nmemory = 2048\n},\n]\n"
        );
    }
}
