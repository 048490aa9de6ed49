//! Where a thing stands in the configuration: `module.net["a"].host_file.motd[0]`.
//!
//! Addresses are what a person types and reads; they are never an identity outside (that is the instance id).

use std::cmp::Ordering;
use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;
use std::sync::{Arc, PoisonError, RwLock};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// What tells the members of a `count` or `for_each` apart.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Key {
    /// A member of `count`.
    Index(u64),
    /// A member of `for_each`.
    Name(Arc<str>),
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Index(index) => write!(f, "[{index}]"),
            Self::Name(name) => write!(f, "[{}]", Quoted(name)),
        }
    }
}

/// A text in quotes, with the escapes of the language. What would be evaluated in a template stays as it is.
#[derive(Clone, Copy, Debug)]
pub struct Quoted<'a>(pub &'a str);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("\"")?;
        for c in self.0.chars() {
            match c {
                '"' => f.write_str("\\\"")?,
                '\\' => f.write_str("\\\\")?,
                '\n' => f.write_str("\\n")?,
                '\r' => f.write_str("\\r")?,
                '\t' => f.write_str("\\t")?,
                // Never as it is: a terminal would obey it.
                c if c.is_control() => write!(f, "\\u{:04x}", u32::from(c))?,
                c => write!(f, "{c}")?,
            }
        }
        f.write_str("\"")
    }
}

/// The module instance that a block stands in; empty for the stack itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ModulePath(pub Vec<(Arc<str>, Option<Key>)>);

impl ModulePath {
    /// The stack itself.
    #[must_use]
    pub fn root() -> Self {
        Self::default()
    }

    /// A module called from this one.
    #[must_use]
    pub fn child(&self, name: &str, key: Option<Key>) -> Self {
        let mut steps = self.0.clone();
        steps.push((name.into(), key));
        Self(steps)
    }

    /// Whether this is the stack itself.
    #[must_use]
    pub fn is_root(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Display for ModulePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (name, key)) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str(".")?;
            }
            write!(f, "module.{name}")?;
            if let Some(key) = key {
                write!(f, "{key}")?;
            }
        }
        Ok(())
    }
}

/// Whether dmp owns the object or only reads it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Mode {
    /// A `resource` block: dmp owns the object.
    Managed,
    /// A `data` block: dmp only reads it.
    Data,
}

/// One instance of a `resource` or `data` block. In order of module, mode, type, name and key.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Address {
    /// The module instance it stands in.
    pub module: ModulePath,
    /// Resource or data source.
    pub mode: Mode,
    /// The resource type, such as `host_file`.
    pub resource_type: Arc<str>,
    /// The block's name.
    pub name: Arc<str>,
    /// Which member of `count` or `for_each`, if the block has one.
    pub key: Option<Key>,
}

/// The name of a resource type, kept once however often it is read, so that equal ones are told by their place in memory.
#[must_use]
pub fn type_name(text: &str) -> Arc<str> {
    static NAMES: RwLock<BTreeSet<Arc<str>>> = RwLock::new(BTreeSet::new());
    let known = NAMES.read().unwrap_or_else(PoisonError::into_inner);
    if let Some(name) = known.get(text) {
        return Arc::clone(name);
    }
    drop(known);
    let mut known = NAMES.write().unwrap_or_else(PoisonError::into_inner);
    if let Some(name) = known.get(text) {
        return Arc::clone(name);
    }
    let name: Arc<str> = text.into();
    known.insert(Arc::clone(&name));
    name
}

impl Ord for Address {
    /// Tables by address are asked all the time: what is mostly equal is not looked at closely.
    fn cmp(&self, other: &Self) -> Ordering {
        let modules = match (self.module.is_root(), other.module.is_root()) {
            (true, true) => Ordering::Equal,
            _ => self.module.cmp(&other.module),
        };
        let text = |one: &Arc<str>, two: &Arc<str>| match Arc::ptr_eq(one, two) {
            true => Ordering::Equal,
            false => one.as_bytes().cmp(two.as_bytes()),
        };
        modules
            .then_with(|| self.mode.cmp(&other.mode))
            .then_with(|| text(&self.resource_type, &other.resource_type))
            .then_with(|| text(&self.name, &other.name))
            .then_with(|| self.key.cmp(&other.key))
    }
}

impl PartialOrd for Address {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Address {
    /// An instance of a `resource` block in the stack itself, without a key.
    #[must_use]
    pub fn managed(resource_type: &str, name: &str) -> Self {
        Self {
            module: ModulePath::root(),
            mode: Mode::Managed,
            resource_type: type_name(resource_type),
            name: name.into(),
            key: None,
        }
    }

    /// The same with a key.
    #[must_use]
    pub fn with_key(mut self, key: Option<Key>) -> Self {
        self.key = key;
        self
    }

    /// Whether this is an instance of a block.
    #[must_use]
    pub fn is_of(&self, block: &Self) -> bool {
        self.module == block.module
            && self.mode == block.mode
            && self.resource_type == block.resource_type
            && self.name == block.name
    }

    /// The block that the instance belongs to: the address without its last key.
    #[must_use]
    pub fn block(&self) -> Self {
        self.clone().with_key(None)
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.module.is_root() {
            write!(f, "{}.", self.module)?;
        }
        if self.mode == Mode::Data {
            f.write_str("data.")?;
        }
        write!(f, "{}.{}", self.resource_type, self.name)?;
        if let Some(key) = &self.key {
            write!(f, "{key}")?;
        }
        Ok(())
    }
}

/// A text that is not an address.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not an address: {why}")]
pub struct AddressError {
    /// What was given.
    pub text: String,
    /// What is wrong with it.
    pub why: &'static str,
}

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let fail = |why| AddressError {
            text: text.to_owned(),
            why,
        };
        let mut steps = split(text).map_err(fail)?.into_iter().peekable();
        let mut module = ModulePath::root();
        while steps
            .peek()
            .is_some_and(|(name, key)| name == "module" && key.is_none())
        {
            steps.next();
            let (name, key) = steps
                .next()
                .ok_or_else(|| fail("a module's name is missing after `module.`"))?;
            module = module.child(&name, key);
        }
        let mut mode = Mode::Managed;
        if steps
            .peek()
            .is_some_and(|(name, key)| name == "data" && key.is_none())
        {
            steps.next();
            mode = Mode::Data;
        }
        let (resource_type, key) = steps
            .next()
            .ok_or_else(|| fail("the resource type is missing"))?;
        if key.is_some() {
            return Err(fail("a resource type takes no key"));
        }
        let (name, key) = steps
            .next()
            .ok_or_else(|| fail("the block's name is missing after the resource type"))?;
        if steps.next().is_some() {
            return Err(fail("there is something after the block's name"));
        }
        Ok(Self {
            module,
            mode,
            resource_type: type_name(&resource_type),
            name: name.into(),
            key,
        })
    }
}

type Segment = (String, Option<Key>);

fn split(text: &str) -> Result<Vec<Segment>, &'static str> {
    let mut segments = Vec::new();
    let mut rest = text;
    loop {
        let end = rest.find(['.', '[']).unwrap_or(rest.len());
        let name = &rest[..end];
        if name.is_empty()
            || !name
                .chars()
                .all(|c| c.is_alphanumeric() || c == '_' || c == '-')
        {
            return Err("a name is missing or has a character that names don't have");
        }
        rest = &rest[end..];
        let mut key = None;
        if let Some(inside) = rest.strip_prefix('[') {
            let (parsed, after) = parse_key(inside)?;
            key = Some(parsed);
            rest = after;
        }
        segments.push((name.to_owned(), key));
        match rest.strip_prefix('.') {
            Some(after) => rest = after,
            None if rest.is_empty() => return Ok(segments),
            None => return Err("a `.` is missing after `]`"),
        }
    }
}

fn parse_key(text: &str) -> Result<(Key, &str), &'static str> {
    let Some(quoted) = text.strip_prefix('"') else {
        let (digits, rest) = text.split_once(']').ok_or("`]` is missing")?;
        let index = digits
            .parse()
            .map_err(|_| "a key is a number or a quoted name")?;
        return Ok((Key::Index(index), rest));
    };
    let mut name = String::new();
    let mut chars = quoted.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '\\' => match chars.next() {
                Some((_, 'n')) => name.push('\n'),
                Some((_, 'r')) => name.push('\r'),
                Some((_, 't')) => name.push('\t'),
                Some((at, 'u')) => {
                    let code = quoted
                        .get(at + 1..at + 5)
                        .and_then(|digits| u32::from_str_radix(digits, 16).ok())
                        .and_then(char::from_u32)
                        .ok_or("four hexadecimal digits are missing after `\\u`")?;
                    name.push(code);
                    chars.nth(3);
                }
                Some((_, c)) => name.push(c),
                None => break,
            },
            '"' => {
                let rest = quoted[at + 1..].strip_prefix(']').ok_or("`]` is missing")?;
                return Ok((Key::Name(name.into()), rest));
            }
            c => name.push(c),
        }
    }
    Err("the closing quote of a key is missing")
}

impl Serialize for Address {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Address {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_reads_back_as_it_prints() {
        for text in [
            "host_file.motd",
            "host_file.motd[3]",
            "data.host_facts.all[\"a.b\\\"]\\\\c\"]",
            "module.net.module.sub[\"x\"].host.node[\"cp 1\"]",
            "host_file.a[\"\\n\\r\\t\\u001b[31m\"]",
        ] {
            let address: Address = text.parse().expect(text);
            assert_eq!(address.to_string(), text);
        }
    }

    #[test]
    fn what_is_no_address_is_refused_with_a_reason() {
        for text in [
            "",
            "host_file",
            "host_file.",
            "host_file.a.b",
            "host_file.a[",
            "host_file.a[x]",
            "host_file.a[\"\\u00\"]",
            "module.a",
            "a[0].b",
        ] {
            assert!(text.parse::<Address>().is_err(), "{text}");
        }
    }
}
