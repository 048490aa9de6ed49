//! What is looked up and never owned. Each picks one object out of a listing, which is asked once for all, or shows a list.

mod everything;
mod flavor;
mod image;
mod network;
mod quotas;
mod share_locations;
mod zones;

use std::sync::Arc;

use dmp_sdk::{Answers, DataReading, DataSource, Diagnostic, Fetch, Schema, Value};
use serde_json::Value as Json;

pub(crate) use everything::{Listed, everything};

use crate::cloud::{Question, found};

/// Those that pick one object, or tell of the project as a whole.
pub(crate) fn all() -> Vec<Arc<dyn DataSource>> {
    vec![
        Arc::new(image::image()),
        Arc::new(flavor::flavor()),
        Arc::new(network::network()),
        Arc::new(zones::zones()),
        Arc::new(quotas::quotas()),
        Arc::new(share_locations::share_locations()),
    ]
}

/// What was found, of each answer.
fn answered(answers: Answers<'_>) -> Result<Vec<&Json>, Diagnostic> {
    (0..answers.len())
        .map(|at| answers.json(at).map(found))
        .collect()
}

/// A data source that is made of answers which do not depend on each other.
struct Listing {
    schema: Schema,
    questions: fn(&Value) -> Vec<Question>,
    make: fn(&Value, &[&Json]) -> Result<Value, Diagnostic>,
}

impl DataSource for Listing {
    fn schema(&self) -> &Schema {
        &self.schema
    }

    fn fetches(&self, config: &Value) -> Result<Vec<Fetch>, Diagnostic> {
        let questions = (self.questions)(config);
        questions.iter().map(Question::fetch).collect()
    }

    fn parse(&self, config: &Value, answers: Answers<'_>) -> Result<DataReading, Diagnostic> {
        (self.make)(config, &answered(answers)?).map(DataReading::Value)
    }
}

/// Nothing, or too much, was found.
fn not_one(what: &str, asked: &str, found: &[String], help: &str) -> Diagnostic {
    match found.is_empty() {
        true => Diagnostic::error("not-found", format!("no such {what}"))
            .detail(format!("none has {asked}")),
        false => Diagnostic::error("ambiguous", format!("more than one {what}"))
            .detail(format!(
                "{} have {asked}: {}",
                found.len(),
                found.join(", ")
            ))
            .help(help.to_owned()),
    }
}

/// What was asked for, in words.
fn asked(config: &Value, names: &[&str]) -> String {
    let words: Vec<String> = names
        .iter()
        .filter_map(|name| {
            let value = config.get(name);
            let text = value.as_str().map(ToOwned::to_owned);
            let text = text.or_else(|| value.as_i64().map(|number| number.to_string()));
            let text = text.or_else(|| value.as_bool().map(|flag| flag.to_string()));
            let many = value
                .as_items()
                .map(<[Value]>::len)
                .or(value.as_members().map(dmp_sdk::SortedMap::len));
            match (text, many) {
                (Some(text), _) => Some(format!("{name} `{text}`")),
                (None, Some(many)) if many > 0 => Some(format!("the {name} that are asked for")),
                _ => None,
            }
        })
        .collect();
    match words.is_empty() {
        true => "what is asked for".into(),
        false => words.join(", "),
    }
}

#[cfg(test)]
fn read(source: &Listing, config: &Value, answers: &[Json]) -> Result<Value, Diagnostic> {
    let answers: Vec<&Json> = answers.iter().collect();
    (source.make)(config, &answers)
}
