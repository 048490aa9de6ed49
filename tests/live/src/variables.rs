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
    List(Vec<Variables>),
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
        self.with(name, Value::List(values.into_iter().collect()))
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
        self.values
            .iter()
            .try_for_each(|(name, value)| writeln!(out, "{name} = {value}"))
    }
}

impl fmt::Display for Value {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Text(text) => quoted(out, text),
            Value::Plain(text) => out.write_str(text),
            Value::Object(object) => write!(out, "{{\n{object}}}"),
            Value::List(objects) => {
                out.write_str("[\n")?;
                objects
                    .iter()
                    .try_for_each(|object| write!(out, "{{\n{object}}},\n"))?;
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
