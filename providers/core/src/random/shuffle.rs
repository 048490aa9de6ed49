//! `core_random_shuffle`: texts in a random order.

use dmp_sdk::{Attribute, Change, Diagnostic, Layer, Mark, Schema, Type, Value};
use sha2::{Digest, Sha256};

use super::source::Source;
use crate::record::{Chosen, keepers, whole};

/// The type.
pub(crate) struct RandomShuffle;

impl Chosen for RandomShuffle {
    const SHOWN: &'static [&'static str] = &["input"];

    fn schema() -> Schema {
        Schema::new("core_random_shuffle", "Texts in a random order.")
            .layer(Layer::Network)
            .on_delete("It leaves the state.")
            .attribute("input", Attribute::required(Type::list(Type::String), "The texts.").replaces())
            .attribute("result_count", Attribute::optional(Type::Number, "How many the result has; not given: all. If it is more than there are, all come again in another order.").replaces())
            .attribute("seed", Attribute::optional(Type::String, "A text from which the order follows: the same one each time. Terraform gives another order for the same seed.").replaces())
            .attribute("keepers", keepers())
            .attribute("result", Attribute::computed(Type::list(Type::String), "The texts in their order."))
            .attribute("id", Attribute::computed(Type::String, "An id that no other object has."))
    }

    fn check(change: &mut Change<'_>) -> Result<(), Diagnostic> {
        whole(change, "result_count", 0, 100_000).map(drop)
    }

    fn choose(mark: &Mark, wanted: &Value) -> Result<Value, Diagnostic> {
        let input = wanted.get("input");
        let all = input.as_items().unwrap_or_default();
        let asked = wanted.get("result_count").as_i64();
        let count = asked.map_or(all.len(), |count| {
            usize::try_from(count).unwrap_or_default()
        });
        let mut source = Source::of(&wanted.get("seed"));
        let mut result = Vec::new();
        while result.len() < count && !all.is_empty() {
            let mut round = all.to_vec();
            source.shuffle(&mut round)?;
            round.truncate(count - result.len());
            result.extend(round);
        }
        let result = Value::list(result);
        Ok(Value::object_of([
            ("result", result),
            (
                "id",
                hex::encode(&Sha256::digest(&mark.instance)[..8]).into(),
            ),
        ]))
    }
}
