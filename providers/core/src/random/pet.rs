//! `core_random_pet`: a name that is easy to remember.

use dmp_sdk::{Attribute, Change, Diagnostic, Layer, Mark, Schema, Type, Value};

use super::source::Source;
use super::words::{ADJECTIVES, ADVERBS, ANIMALS};
use crate::record::{Chosen, keepers, number, text, whole};

/// The type.
pub(crate) struct RandomPet;

impl Chosen for RandomPet {
    const SHOWN: &'static [&'static str] = &["prefix", "separator"];

    fn schema() -> Schema {
        Schema::new("core_random_pet", "A name that is easy to remember, such as `calm-otter`. It is no secret, and two may be equal.")
            .layer(Layer::Network)
            .on_delete("It leaves the state.")
            .attribute("length", Attribute::default(Type::Number, "How many words, from 1 to 16.", 2).replaces())
            .attribute("prefix", Attribute::optional(Type::String, "A word before them.").replaces())
            .attribute("separator", Attribute::default(Type::String, "What stands between words.", "-").replaces())
            .attribute("keepers", keepers())
            .attribute("id", Attribute::computed(Type::String, "The name."))
    }

    fn check(change: &mut Change<'_>) -> Result<(), Diagnostic> {
        whole(change, "length", 1, 16).map(drop)
    }

    fn choose(_mark: &Mark, wanted: &Value) -> Result<Value, Diagnostic> {
        let mut source = Source::System;
        let mut words = Vec::new();
        let prefix = text(wanted, "prefix");
        if !prefix.is_empty() {
            words.push(prefix);
        }
        for left in (0..number(wanted, "length")).rev() {
            let kind = match left {
                0 => ANIMALS,
                1 => ADJECTIVES,
                _ => ADVERBS,
            };
            words.push(source.one_of(kind)?.to_owned());
        }
        let name = words.join(&text(wanted, "separator"));
        Ok(Value::object_of([("id", name.into())]))
    }
}
