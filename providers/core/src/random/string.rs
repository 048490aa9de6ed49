//! `core_random_string` and `core_random_password`: random letters, digits and signs.

use dmp_sdk::{Attribute, Change, Diagnostic, Layer, Mark, Schema, Type, Value};
use sha2::{Digest, Sha256};

use super::bytes;
use super::source::Source;
use crate::record::{Chosen, keepers, no_such_id, number, text, whole, wrong};

/// The type for what everybody may see.
pub(crate) struct RandomString;

/// The type for secrets.
pub(crate) struct RandomPassword;

/// A kind of letters: its argument, the argument for how many there are at least, and the letters.
const KINDS: [(&str, &str, &str); 4] = [
    ("lower", "min_lower", "abcdefghijklmnopqrstuvwxyz"),
    ("upper", "min_upper", "ABCDEFGHIJKLMNOPQRSTUVWXYZ"),
    ("numeric", "min_numeric", "0123456789"),
    ("special", "min_special", "!@#$%&*()-_=+[]{}<>:?"),
];

fn arguments(name: &'static str, doc: &'static str) -> Schema {
    let least = |doc| Attribute::default(Type::Number, doc, 0).replaces();
    let with = |doc| Attribute::default(Type::Bool, doc, true).replaces();
    Schema::new(name, doc)
        .layer(Layer::Network)
        .on_delete("It leaves the state.")
        .attribute(
            "length",
            Attribute::required(Type::Number, "How many letters, from 1 to 4096.").replaces(),
        )
        .attribute("lower", with("Whether there are small letters."))
        .attribute("upper", with("Whether there are capital letters."))
        .attribute("numeric", with("Whether there are digits."))
        .attribute(
            "special",
            with("Whether there are the signs ``!@#$%&*()-_=+[]{}<>:?``."),
        )
        .attribute(
            "min_lower",
            least("How many small letters there are at least."),
        )
        .attribute(
            "min_upper",
            least("How many capital letters there are at least."),
        )
        .attribute("min_numeric", least("How many digits there are at least."))
        .attribute("min_special", least("How many signs there are at least."))
        .attribute(
            "override_special",
            Attribute::optional(
                Type::String,
                "Other signs; `special` has to be true for them.",
            )
            .replaces(),
        )
        .attribute("keepers", keepers())
}

impl Chosen for RandomString {
    const SHOWN: &'static [&'static str] = &["override_special"];

    fn schema() -> Schema {
        arguments("core_random_string", "Random letters, digits and signs that everybody may see; `core_random_password` is for secrets.")
            .counterpart("random_string", &["{result}"])
            .attribute("result", Attribute::computed(Type::String, "The text."))
            .attribute("id", Attribute::computed(Type::String, "The same."))
    }

    fn check(change: &mut Change<'_>) -> Result<(), Diagnostic> {
        check(change)
    }

    fn choose(_mark: &Mark, wanted: &Value) -> Result<Value, Diagnostic> {
        let result = draw(wanted)?;
        Ok(Value::object_of([
            ("id", result.as_str().into()),
            ("result", result.into()),
        ]))
    }

    fn read(id: &str) -> Result<Value, Diagnostic> {
        if id.is_empty() {
            return Err(no_such_id("the text itself"));
        }
        let length = i64::try_from(id.chars().count()).unwrap_or(i64::MAX);
        Ok(Value::object_of([
            ("result", id.into()),
            ("id", id.into()),
            ("length", length.into()),
        ]))
    }
}

impl Chosen for RandomPassword {
    fn schema() -> Schema {
        arguments(
            "core_random_password",
            "A random password. It is shown nowhere, and encrypted in the state.",
        )
        .attribute(
            "result",
            Attribute::computed(Type::String, "The password.").sensitive(),
        )
        .attribute(
            "bcrypt_hash",
            Attribute::computed(
                Type::String,
                "Its bcrypt hash, of its first 72 bytes as bcrypt has it.",
            )
            .sensitive(),
        )
        .attribute(
            "id",
            Attribute::computed(Type::String, "An id that tells nothing of the password."),
        )
    }

    fn check(change: &mut Change<'_>) -> Result<(), Diagnostic> {
        check(change)
    }

    fn choose(mark: &Mark, wanted: &Value) -> Result<Value, Diagnostic> {
        let result = draw(wanted)?;
        let mut salt = [0; 16];
        salt.copy_from_slice(&bytes(16)?);
        let hash = bcrypt::hash_with_salt(&result, COST, salt)
            .map_err(|error| Diagnostic::bug(error.to_string()))?;
        Ok(Value::object_of([
            (
                "id",
                hex::encode(&Sha256::digest(&mark.instance)[..8]).into(),
            ),
            (
                "bcrypt_hash",
                hash.format_for_version(bcrypt::Version::TwoA).into(),
            ),
            ("result", result.into()),
        ]))
    }
}

fn check(change: &mut Change<'_>) -> Result<(), Diagnostic> {
    let length = whole(change, "length", 1, 4096)?;
    let mut least = 0;
    let mut is_possible = false;
    for (with, min, _) in KINDS {
        let is_in = change.planned.get(with);
        let min_count = whole(change, min, 0, 4096)?.unwrap_or_default();
        if is_in.as_bool() == Some(false) && min_count > 0 {
            return Err(wrong(
                min,
                "letters that are left out",
                format!("`{min}` is {min_count}, and `{with}` is false"),
            ));
        }
        least += min_count;
        is_possible |= is_in.as_bool() != Some(false);
    }
    if !is_possible {
        return Err(wrong(
            "lower",
            "no letters to choose from",
            "`lower`, `upper`, `numeric` and `special` are all false",
        ));
    }
    let signs = change.planned.get("override_special");
    let only_signs = ["lower", "upper", "numeric"]
        .iter()
        .all(|name| change.planned.get(name).as_bool() == Some(false));
    let needs_signs = only_signs
        || change
            .planned
            .get("min_special")
            .as_i64()
            .is_some_and(|count| count > 0);
    if signs.as_str() == Some("") && needs_signs {
        return Err(wrong(
            "override_special",
            "no signs to choose from",
            "it is empty, and there have to be signs",
        ));
    }
    match length {
        Some(length) if length < least => Err(wrong(
            "length",
            "too short for what must be in it",
            format!("`length` is {length}, and the least numbers come to {least}"),
        )),
        _ => Ok(()),
    }
}

fn draw(wanted: &Value) -> Result<String, Diagnostic> {
    let mut source = Source::System;
    let length = usize::try_from(number(wanted, "length")).unwrap_or_default();
    let mut all: Vec<char> = Vec::new();
    let mut drawn: Vec<char> = Vec::with_capacity(length);
    for (with, min, letters) in KINDS {
        if wanted.get(with).as_bool() == Some(false) {
            continue;
        }
        let signs = text(wanted, "override_special");
        let is_overridden = with == "special" && !wanted.get("override_special").is_null();
        let letters: Vec<char> = if is_overridden { &signs } else { letters }
            .chars()
            .collect();
        for _ in 0..number(wanted, min) {
            drawn.push(letter(&mut source, &letters)?);
        }
        all.extend(letters);
    }
    while drawn.len() < length {
        drawn.push(letter(&mut source, &all)?);
    }
    source.shuffle(&mut drawn)?;
    Ok(drawn.into_iter().collect())
}

fn letter(source: &mut Source, letters: &[char]) -> Result<char, Diagnostic> {
    let all: Vec<&char> = letters.iter().collect();
    source.one_of(&all).copied()
}

/// What bcrypt costs in Terraform's provider: 2^10 rounds.
const COST: u32 = 10;

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(more: &[(&str, Value)]) -> Value {
        let with = |value: Value, (name, member): &(&str, Value)| value.with(name, member.clone());
        more.iter()
            .fold(Value::object_of([("length", 24.into())]), with)
    }

    #[test]
    fn there_are_as_many_of_each_kind_as_are_asked_for() {
        for _ in 0..50 {
            let drawn = draw(&wanted(&[
                ("lower", false.into()),
                ("min_numeric", 5.into()),
                ("min_special", 6.into()),
                ("min_upper", 7.into()),
                ("override_special", "äß".into()),
            ]))
            .expect("draws");
            let count = |is: fn(char) -> bool| drawn.chars().filter(|letter| is(*letter)).count();
            assert_eq!(drawn.chars().count(), 24);
            assert!(count(|letter| letter.is_ascii_digit()) >= 5, "{drawn}");
            assert!(count(|letter| "äß".contains(letter)) >= 6, "{drawn}");
            assert!(count(|letter| letter.is_ascii_uppercase()) >= 7, "{drawn}");
            assert_eq!(count(|letter| letter.is_ascii_lowercase()), 0, "{drawn}");
        }
    }
}
