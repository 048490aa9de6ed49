//! `yamldecode`: one document, its plain words understood as in YAML 1.1, as far as Terraform does.

use std::collections::HashMap;
use std::sync::Arc;

use dmp_sdk::{Number, Value};
use granit_parser::{Event, Parser, ScalarStyle, ScanError, Span, StrInput, Tag};
use num_bigint::BigInt;

use crate::evaluate::MOST_ELEMENTS;
use crate::functions::{Fault, text_of};

pub(super) fn yamldecode(arguments: &[Value]) -> Result<Value, Fault> {
    let given = text_of(arguments, 0);
    let mut reader = Reader {
        events: Parser::new_from_str(given),
        anchors: HashMap::new(),
        nodes: 0,
        depth: 0,
        line: 1,
    };
    reader.document().map_err(|why| {
        let place = format!("line {}: {why}", reader.line);
        Fault::of(0, place)
    })
}

struct Reader<'t> {
    events: Parser<'t, StrInput<'t>>,
    /// Values by the numbers of their anchors, and how many nodes each has.
    anchors: HashMap<usize, (Value, usize)>,
    nodes: usize,
    depth: usize,
    line: usize,
}

impl<'t> Reader<'t> {
    /// The next event that is part of a value; comments are none, where the parser tells of them.
    fn next(&mut self) -> Result<Event<'t>, String> {
        loop {
            let next: Option<Result<(Event<'t>, Span), ScanError>> = self.events.next();
            match next {
                Some(Ok((event, span))) => {
                    self.line = span.start.line();
                    if is_structure(&event) || event.is_node() {
                        return Ok(event);
                    }
                }
                Some(Err(error)) => {
                    self.line = error.marker().line();
                    return Err(error.info().clone());
                }
                None => return Ok(Event::StreamEnd),
            }
        }
    }

    fn document(&mut self) -> Result<Value, String> {
        let mut event = self.next()?;
        if matches!(event, Event::StreamStart) {
            event = self.next()?;
        }
        if !matches!(event, Event::DocumentStart(..)) {
            return Err("there is no document in the text".into());
        }
        let first = self.next()?;
        let value = self.value(first)?;
        loop {
            match self.next()? {
                Event::StreamEnd => return Ok(value),
                Event::DocumentEnd => {}
                _ => return Err("there may be only one document".into()),
            }
        }
    }

    fn value(&mut self, event: Event<'t>) -> Result<Value, String> {
        self.nodes += 1;
        if self.nodes > MOST_ELEMENTS {
            return Err("there are more than a million values in it".into());
        }
        let before = self.nodes;
        let (anchor, value) = match event {
            Event::Scalar(text, style, anchor, tag) => {
                (anchor, resolved(&text, style, tag_of(tag.as_deref())?)?)
            }
            Event::SequenceStart(_, anchor, tag) => {
                check_tag(tag_of(tag.as_deref())?, "seq")?;
                (anchor, self.deeper(Self::sequence)?)
            }
            Event::MappingStart(_, anchor, tag) => {
                check_tag(tag_of(tag.as_deref())?, "map")?;
                (anchor, self.deeper(Self::mapping)?)
            }
            Event::Alias(anchor) => {
                let Some((value, nodes)) = self.anchors.get(&anchor) else {
                    return Err("an alias stands inside what it is the name of".into());
                };
                self.nodes += nodes;
                return Ok(value.clone());
            }
            _ => return Err("a value is missing".into()),
        };
        if anchor > 0 {
            let nodes = self.nodes - before + 1;
            self.anchors.insert(anchor, (value.clone(), nodes));
        }
        Ok(value)
    }

    fn deeper(&mut self, part: fn(&mut Self) -> Result<Value, String>) -> Result<Value, String> {
        if self.depth >= DEEPEST {
            return Err(format!("more than {DEEPEST} collections are nested here"));
        }
        self.depth += 1;
        let value = part(self);
        self.depth -= 1;
        value
    }

    fn sequence(&mut self) -> Result<Value, String> {
        let mut items = Vec::new();
        loop {
            match self.next()? {
                Event::SequenceEnd => return Ok(Value::tuple(items)),
                event => items.push(self.value(event)?),
            }
        }
    }

    fn mapping(&mut self) -> Result<Value, String> {
        let mut members = Vec::new();
        loop {
            let (text, style, tag) = match self.next()? {
                Event::MappingEnd => return Ok(Value::object(members.into_iter().collect())),
                Event::Scalar(text, style, _, tag) => (text, style, tag),
                _ => return Err("a key must be a text".into()),
            };
            let tag = tag_of(tag.as_deref())?;
            let next = self.next()?;
            if tag == Some("merge") || tag.is_none() && text == "<<" {
                let merged = self.value(next)?;
                merge(&merged, &mut members)?;
                continue;
            }
            let key = key(&resolved(&text, style, tag)?)?;
            let value = self.value(next)?;
            members.push((key, value));
        }
    }
}

fn is_structure(event: &Event<'_>) -> bool {
    matches!(
        event,
        Event::StreamStart
            | Event::StreamEnd
            | Event::DocumentStart(..)
            | Event::DocumentEnd
            | Event::SequenceEnd
            | Event::MappingEnd
    )
}

/// Puts the members of an object, or of each object in a list, among others.
fn merge(merged: &Value, members: &mut Vec<(Arc<str>, Value)>) -> Result<(), String> {
    let objects = match merged.as_items() {
        Some(items) => items,
        None => std::slice::from_ref(merged),
    };
    for object in objects {
        let Some(more) = object.as_members() else {
            return Err("only a mapping can be merged into another".into());
        };
        members.extend(
            more.iter()
                .map(|(name, value)| (Arc::clone(name), value.clone())),
        );
    }
    Ok(())
}

fn key(value: &Value) -> Result<Arc<str>, String> {
    match (value.as_str(), value.as_bool(), value.as_number()) {
        (Some(text), ..) => Ok(text.into()),
        (_, Some(truth), _) => Ok(truth.to_string().into()),
        (_, _, Some(number)) => Ok(number.to_string().into()),
        _ => Err("a key may not be null".into()),
    }
}

/// The last part of a tag of YAML itself.
fn tag_of(tag: Option<&Tag>) -> Result<Option<&str>, String> {
    match tag {
        None => Ok(None),
        Some(tag) => match tag.handle() {
            "tag:yaml.org,2002:" => Ok(Some(tag.suffix())),
            _ => Err(format!("the tag `{tag}` has no meaning here")),
        },
    }
}

fn check_tag(tag: Option<&str>, wanted: &str) -> Result<(), String> {
    match tag {
        Some(tag) if tag != wanted => Err(format!("a collection can't be read as `!!{tag}`")),
        _ => Ok(()),
    }
}

/// What a scalar stands for.
fn resolved(text: &str, style: ScalarStyle, tag: Option<&str>) -> Result<Value, String> {
    use base64::Engine as _;
    let is_quoted = matches!(style, ScalarStyle::SingleQuoted | ScalarStyle::DoubleQuoted);
    let is_plain = style == ScalarStyle::Plain;
    let wrong = |tag: &str| Err(format!("the value can't be read as `!!{tag}`"));
    match tag {
        None if is_plain => plain(text),
        None | Some("str") => Ok(text.into()),
        Some("binary") => match base64::engine::general_purpose::STANDARD.decode(text) {
            Ok(_) => Ok(text.into()),
            Err(_) => wrong("binary"),
        },
        Some("bool" | "int" | "float" | "null" | "timestamp")
            if is_quoted && (text.is_empty() || text.starts_with(may_be_more_than_text)) =>
        {
            Ok(text.into())
        }
        Some(tag @ "bool") => match truth(text) {
            Some(truth) => Ok(truth.into()),
            None => wrong(tag),
        },
        Some(tag @ ("int" | "float")) => match number(&text.replace('_', ""))? {
            Some(number) => Ok(number.into()),
            None => wrong(tag),
        },
        Some(tag @ "timestamp") => match crate::functions::time::of_yaml(text) {
            Some(moment) => Ok(moment.into()),
            None => wrong(tag),
        },
        Some("null") => Ok(Value::null()),
        Some(tag) => Err(format!("the tag `!!{tag}` has no meaning here")),
    }
}

fn may_be_more_than_text(c: char) -> bool {
    c.is_ascii_digit() || "+-.~yYnNtTfFoO".contains(c)
}

/// What a word without quotes stands for.
fn plain(text: &str) -> Result<Value, String> {
    if matches!(text, "" | "~" | "null" | "Null" | "NULL") {
        return Ok(Value::null());
    }
    if let Some(truth) = truth(text) {
        return Ok(truth.into());
    }
    if matches!(
        text.to_ascii_lowercase().as_str(),
        ".nan" | ".inf" | "+.inf" | "-.inf"
    ) {
        return Err("a number that is infinite, or none, has no value here".into());
    }
    if let Some(moment) = crate::functions::time::of_yaml(text) {
        return Ok(moment.into());
    }
    Ok(match number(text)? {
        Some(number) => number.into(),
        None => text.into(),
    })
}

fn truth(text: &str) -> Option<bool> {
    match text {
        "y" | "Y" | "yes" | "Yes" | "YES" | "true" | "True" | "TRUE" | "on" | "On" | "ON" => {
            Some(true)
        }
        "n" | "N" | "no" | "No" | "NO" | "false" | "False" | "FALSE" | "off" | "Off" | "OFF" => {
            Some(false)
        }
        _ => None,
    }
}

/// A decimal number, or one to the base of 8 or 16.
fn number(text: &str) -> Result<Option<Number>, String> {
    let in_base = |prefix: &str, base: u32| {
        let digits = text.strip_prefix(prefix)?;
        BigInt::parse_bytes(digits.as_bytes(), base)
    };
    if let Some(whole) = in_base("0o", 8).or_else(|| in_base("0x", 16)) {
        return Number::from_integer(whole)
            .map(Some)
            .map_err(|error| error.to_string());
    }
    match text.parse() {
        Ok(number) => Ok(Some(number)),
        Err(dmp_sdk::NumberError::TooLarge) => Err("a number in it is too large".into()),
        Err(_) => Ok(None),
    }
}

/// Collections that may stand inside each other.
const DEEPEST: usize = 200;
