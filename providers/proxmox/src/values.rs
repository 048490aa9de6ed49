//! How the API writes values: switches as 0 and 1, numbers also as texts, sizes with a letter, keys encoded twice, tags
//! in one text.

use std::collections::BTreeSet;

pub(crate) use dmp_cloud::segment;
use percent_encoding::percent_decode_str;
use serde_json::Value as Json;

/// A switch that is set.
pub(crate) fn is_true(text: &str) -> bool {
    matches!(text.trim(), "1" | "on" | "yes" | "true")
}

/// A switch as it is sent.
pub(crate) fn switch(value: bool) -> &'static str {
    if value { "1" } else { "0" }
}

/// A switch of an answer; absent is `false`.
pub(crate) fn flag(json: &Json, name: &str) -> bool {
    match &json[name] {
        Json::Bool(value) => *value,
        Json::Number(number) => number.as_i64() != Some(0),
        Json::String(text) => is_true(text),
        _ => false,
    }
}

/// A number of an answer, which may be a text.
pub(crate) fn number(json: &Json, name: &str) -> Option<i64> {
    as_number(&json[name])
}

/// The same of a value itself.
pub(crate) fn as_number(json: &Json) -> Option<i64> {
    match json {
        // A measure may have a fraction.
        Json::Number(number) => number.as_i64().or_else(|| {
            let text = number.to_string();
            text.split('.').next().and_then(|whole| whole.parse().ok())
        }),
        Json::String(text) => text.trim().parse().ok(),
        _ => None,
    }
}

/// A text of an answer; numbers are texts too.
pub(crate) fn text(json: &Json, name: &str) -> Option<String> {
    as_text(&json[name])
}

/// The same of a value itself.
pub(crate) fn as_text(json: &Json) -> Option<String> {
    match json {
        Json::String(text) => Some(text.clone()),
        Json::Number(number) => Some(number.to_string()),
        Json::Bool(value) => Some(switch(*value).into()),
        _ => None,
    }
}

/// Bytes of a size as it stands in a disk, such as `8M` or `20G`; without a letter bytes are meant.
pub(crate) fn bytes(text: &str) -> Option<u64> {
    let text = text.trim();
    let (digits, unit) = match text.find(|char: char| char.is_ascii_alphabetic()) {
        Some(at) => text.split_at(at),
        None => (text, ""),
    };
    let factor: f64 = match unit {
        "" => 1.0,
        "K" => 1024.0,
        "M" => 1024.0 * 1024.0,
        "G" => GIB,
        "T" => GIB * 1024.0,
        _ => return None,
    };
    let number: f64 = digits.parse().ok()?;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "no disk has as many bytes as a float has not"
    )]
    let bytes = (number * factor) as u64;
    (number >= 0.0).then_some(bytes)
}

/// Whole GiB of a number of bytes, rounded up.
pub(crate) fn gib(bytes: u64) -> i64 {
    i64::try_from(bytes.div_ceil(1 << 30)).unwrap_or(i64::MAX)
}

const GIB: f64 = 1024.0 * 1024.0 * 1024.0;

/// Keys as the API wants them: encoded as a value, before the form encodes it once more.
pub(crate) fn encode_keys(keys: &[String]) -> String {
    let lines: Vec<&str> = keys.iter().map(|key| key.trim()).collect();
    segment(&lines.join("\n"))
}

/// Keys as they come back.
pub(crate) fn decode_keys(text: &str) -> Vec<String> {
    let decoded = percent_decode_str(text).decode_utf8_lossy();
    let lines = decoded.lines().map(str::trim);
    lines
        .filter(|line| !line.is_empty())
        .map(ToOwned::to_owned)
        .collect()
}

/// Tags as a set: the server sorts them and makes them small, or does not.
pub(crate) fn tags(text: &str) -> BTreeSet<String> {
    let parts = text.split([';', ',', ' ']);
    parts
        .map(|tag| tag.trim().to_ascii_lowercase())
        .filter(|tag| !tag.is_empty())
        .collect()
}

/// Tags as they are sent.
pub(crate) fn join_tags(tags: &BTreeSet<String>) -> String {
    let tags: Vec<&str> = tags.iter().map(String::as_str).collect();
    tags.join(";")
}

/// Whether a text can be a tag.
pub(crate) fn is_tag(text: &str) -> bool {
    let mut chars = text.chars();
    let first = chars.next();
    first.is_some_and(|char| char.is_ascii_alphanumeric() || char == '_')
        && chars.all(|char| char.is_ascii_alphanumeric() || "_-+.".contains(char))
}

/// A form: what is sent with a writing request, and behind the `?` of a reading one.
pub(crate) fn form(parameters: &[(String, String)]) -> String {
    let pairs = parameters
        .iter()
        .map(|(key, value)| format!("{}={}", segment(key), segment(value)));
    pairs.collect::<Vec<_>>().join("&")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn numbers_and_switches_come_in_more_than_one_form() {
        let answer =
            json!({ "a": "512", "b": 512, "c": 1, "d": "1", "e": 0, "f": true, "g": 0.07 });
        assert_eq!(number(&answer, "a"), Some(512));
        assert_eq!(number(&answer, "b"), Some(512));
        assert_eq!(number(&answer, "g"), Some(0));
        assert_eq!(number(&answer, "none"), None);
        assert!(flag(&answer, "c") && flag(&answer, "d") && flag(&answer, "f"));
        assert!(!flag(&answer, "e") && !flag(&answer, "none"));
    }

    #[test]
    fn sizes_are_read_with_their_letters() {
        assert_eq!(bytes("8M"), Some(8 << 20));
        assert_eq!(bytes("20G"), Some(20 << 30));
        assert_eq!(bytes("1.5T"), Some(3 << 39));
        assert_eq!(bytes("528K"), Some(528 << 10));
        assert_eq!(bytes("7"), Some(7));
        assert_eq!(bytes("7X"), None);
        assert_eq!(gib((20 << 30) + 1), 21);
    }

    #[test]
    fn keys_are_encoded_as_the_server_wants_them() {
        let key = "ssh-ed25519 AAAA+b/c== user@example".to_owned();
        let encoded = encode_keys(&[key.clone(), " other\n".into()]);
        assert_eq!(
            encoded,
            "ssh-ed25519%20AAAA%2Bb%2Fc%3D%3D%20user%40example%0Aother"
        );
        assert_eq!(decode_keys(&encoded), [key, "other".to_owned()]);
    }

    #[test]
    fn tags_are_a_set_however_they_are_written() {
        assert_eq!(tags("Zeta;dmp;dmp"), tags("dmp, zeta"));
        assert_eq!(join_tags(&tags("b;a;b")), "a;b");
        assert!(is_tag("dmp-1.x") && !is_tag("-a") && !is_tag("a b") && !is_tag(""));
    }

    proptest! {
        #[test]
        fn keys_come_back_as_they_were(keys in prop::collection::vec("[!-~][ -~]{0,30}[!-~]", 0..4)) {
            prop_assert_eq!(decode_keys(&encode_keys(&keys)), keys);
        }

        #[test]
        fn a_segment_has_nothing_that_ends_it(text in "\\PC{0,20}") {
            let encoded = segment(&text);
            prop_assert!(!encoded.contains(['/', '?', '#', '&', '=', '+', ' ', ':']));
            prop_assert_eq!(percent_decode_str(&encoded).decode_utf8_lossy().into_owned(), text);
        }
    }
}
