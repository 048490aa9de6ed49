//! Shell text that runs on a machine, with data kept apart from it.
//!
//! The text is fixed by the provider; every value travels as a variable's content or as standard input and is
//! never part of the shell's text. The transport encodes both.

use std::borrow::Cow;

/// A script for a POSIX shell. It sees its values as shell variables and its payload on standard input.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Script {
    text: Cow<'static, str>,
    variables: Vec<Variable>,
    stdin: Option<Vec<u8>>,
    item: Option<(String, &'static Each)>,
}

/// A script that looks at many things in one pass, each given as a positional parameter, instead of being run once for each.
/// What it leaves can be cut into what it would have left for each alone.
pub struct Each {
    /// Tells it from others.
    pub name: &'static str,
    /// Cuts the output for so many things, in their order. `None` if it can't be: then each is looked at alone.
    pub split: fn(&Output, usize) -> Option<Vec<Output>>,
}

impl PartialEq for Each {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for Each {}

impl std::hash::Hash for Each {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.name.hash(state);
    }
}

#[derive(Clone, PartialEq, Eq, Hash)]
struct Variable {
    name: Cow<'static, str>,
    content: String,
    exported: bool,
}

impl Script {
    /// A script of a fixed text. Give it values with [`Script::var`], never by formatting them into the text.
    #[must_use]
    pub fn new(text: &'static str) -> Self {
        Self {
            text: Cow::Borrowed(text),
            variables: Vec::new(),
            stdin: None,
            item: None,
        }
    }

    /// A script whose text the user wrote (`host_command`): it is shell text by intent.
    #[must_use]
    pub fn written_by_user(text: String) -> Self {
        Self {
            text: Cow::Owned(text),
            variables: Vec::new(),
            stdin: None,
            item: None,
        }
    }

    /// Sets the shell variable `name` to a value of any bytes but NUL.
    #[must_use]
    pub fn var(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.variables.push(Variable {
            name: Cow::Borrowed(name),
            content: value.into(),
            exported: false,
        });
        self
    }

    /// Sets an environment variable whose name the user chose; it is exported to what the script starts.
    #[must_use]
    pub fn env(mut self, name: String, value: String) -> Self {
        self.variables.push(Variable {
            name: Cow::Owned(name),
            content: value,
            exported: true,
        });
        self
    }

    /// Sets what the script reads on standard input; without it that is empty.
    #[must_use]
    pub fn stdin(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.stdin = Some(bytes.into());
        self
    }

    /// Sets the one thing that the script looks at, as `$1`: together with scripts that differ in nothing else it may be
    /// run once, with all their things as `$@`.
    #[must_use]
    pub fn item(mut self, item: impl Into<String>, each: &'static Each) -> Self {
        self.item = Some((item.into(), each));
        self
    }

    /// The thing that it looks at, if that may be one of many.
    #[must_use]
    pub fn of_many(&self) -> Option<(&str, &'static Each)> {
        let (item, each) = self.item.as_ref()?;
        Some((item, each))
    }

    /// The same without its thing: equal for scripts that can be run once together.
    #[must_use]
    pub fn without_item(&self) -> Self {
        Self {
            item: None,
            ..self.clone()
        }
    }

    /// The shell text.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Variables and their contents, in the order given.
    pub fn variables(&self) -> impl Iterator<Item = (&str, &str)> {
        self.variables
            .iter()
            .map(|variable| (variable.name.as_ref(), variable.content.as_str()))
    }

    /// The names of the variables that are exported to what the script starts, in the order given.
    pub fn exports(&self) -> impl Iterator<Item = &str> {
        self.variables
            .iter()
            .filter(|variable| variable.exported)
            .map(|variable| variable.name.as_ref())
    }

    /// What stands on standard input.
    #[must_use]
    pub fn payload(&self) -> Option<&[u8]> {
        self.stdin.as_deref()
    }
}

impl std::fmt::Debug for Script {
    /// Shows the text only: variables and payload may hold secrets.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Script")
            .field("text", &self.text)
            .finish_non_exhaustive()
    }
}

/// What a script left behind.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Output {
    /// Exit status; 128 plus the signal's number for a killed script.
    pub status: i32,
    /// Standard output.
    pub stdout: Vec<u8>,
    /// The last part of standard error, for messages.
    pub stderr: String,
}

impl Output {
    /// Standard output as text, bytes that are not UTF-8 replaced.
    #[must_use]
    pub fn text(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(&self.stdout)
    }

    /// Whether the status is 0.
    #[must_use]
    pub fn is_success(&self) -> bool {
        self.status == 0
    }
}
