//! `csvdecode`: a table whose first row names its columns (RFC 4180).

use std::collections::BTreeSet;
use std::sync::Arc;

use dmp_sdk::{Members, Value};

use super::{Fault, Function, Gives, text, text_of};

pub(super) const FUNCTIONS: &[Function] = &[Function::new(
    "csvdecode",
    &[text("text")],
    Gives::Any,
    csvdecode,
)];

fn csvdecode(arguments: &[Value]) -> Result<Value, Fault> {
    let given = text_of(arguments, 0).replace("\r\n", "\n");
    let mut rows = Rows {
        rest: &given,
        line: 1,
    };
    let Some(names) = rows.next()? else {
        return Err(Fault::of(
            0,
            "the first line, with the columns' names, is missing",
        ));
    };
    let distinct: BTreeSet<&String> = names.iter().collect();
    if distinct.len() < names.len() {
        return Err(Fault::of(0, "two columns have one name"));
    }
    let names: Vec<Arc<str>> = names.iter().map(|name| Arc::from(name.as_str())).collect();
    let mut items = Vec::new();
    loop {
        let line = rows.line;
        let Some(fields) = rows.next()? else {
            return Ok(Value::list(items));
        };
        if fields.len() != names.len() {
            let why = format!(
                "line {line} has {} fields, and there are {} columns",
                fields.len(),
                names.len()
            );
            return Err(Fault::of(0, why));
        }
        let members: Members = names
            .iter()
            .cloned()
            .zip(fields.into_iter().map(Value::from))
            .collect();
        items.push(Value::object(members));
    }
}

struct Rows<'t> {
    rest: &'t str,
    line: usize,
}

impl<'t> Rows<'t> {
    /// The fields of the next row; empty lines are passed over.
    fn next(&mut self) -> Result<Option<Vec<String>>, Fault> {
        while let Some(rest) = self.rest.strip_prefix('\n') {
            self.rest = rest;
            self.line += 1;
        }
        if self.rest.is_empty() {
            return Ok(None);
        }
        let mut fields = Vec::new();
        loop {
            fields.push(match self.rest.strip_prefix('"') {
                Some(rest) => self.quoted(rest)?,
                None => self.plain()?,
            });
            let rest = self.rest;
            if let Some(rest) = rest.strip_prefix(',') {
                self.rest = rest;
                continue;
            }
            if let Some(rest) = rest.strip_prefix('\n') {
                self.rest = rest;
                self.line += 1;
            }
            return Ok(Some(fields));
        }
    }

    fn plain(&mut self) -> Result<String, Fault> {
        let end = self.rest.find([',', '\n']).unwrap_or(self.rest.len());
        let (field, rest) = self.rest.split_at(end);
        if field.contains('"') {
            return Err(self.fault("a `\"` stands inside a field that does not begin with one"));
        }
        self.rest = rest;
        Ok(field.to_owned())
    }

    /// What stands before the closing quote; two quotes stand for one.
    fn quoted(&mut self, text: &'t str) -> Result<String, Fault> {
        let mut field = String::new();
        let mut at = 0;
        loop {
            let Some(length) = text[at..].find('"') else {
                return Err(self.fault("a field's closing `\"` is missing"));
            };
            field.push_str(&text[at..at + length]);
            at += length + 1;
            match text[at..].chars().next() {
                Some('"') => field.push('"'),
                None | Some(',' | '\n') => break,
                Some(_) => return Err(self.fault("something follows a field's closing `\"`")),
            }
            at += 1;
        }
        self.line += field.matches('\n').count();
        let skipped = self.rest.len() - text.len() + at;
        self.rest = &self.rest[skipped..];
        Ok(field)
    }

    fn fault(&self, why: &str) -> Fault {
        Fault::of(0, format!("line {}: {why}", self.line))
    }
}
