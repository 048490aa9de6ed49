//! How objects carry their mark: behind the text of a description, where the creating call takes one, else among metadata.
//! OpenStack's ids are never given out twice, so the mark is needed only until an object's id is recorded.

use dmp_sdk::Mark;
use serde_json::Value as Json;

/// The name of the mark among metadata and properties.
pub(crate) const KEY: &str = "dmp_mark";

/// How long a description may be at Neutron and Octavia, with the mark in it.
pub(crate) const LONGEST_DESCRIPTION: usize = 255;

/// A description that carries a mark.
pub(crate) fn describe(text: Option<&str>, mark: &Mark) -> String {
    match text.map(str::trim_end).filter(|text| !text.is_empty()) {
        Some(text) => format!("{text} [{mark}]"),
        None => format!("[{mark}]"),
    }
}

/// How long a text may be so that the mark has room behind it, where `longest` bytes fit in all. Marks of one lineage are of about
/// one length.
pub(crate) fn room(longest: usize, mark: Option<&Mark>) -> usize {
    let mark = mark.map_or(USUAL_MARK, |mark| mark.to_string().len());
    longest.saturating_sub(mark + 3)
}

const USUAL_MARK: usize = 96;

/// A description, taken apart.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Described {
    /// What the person wrote.
    pub text: Option<String>,
    /// The mark behind it.
    pub mark: Option<String>,
}

impl Described {
    /// Takes a description apart.
    pub(crate) fn read(description: Option<&str>) -> Self {
        let description = description.unwrap_or_default();
        let marked = description
            .strip_suffix(']')
            .and_then(|rest| rest.rsplit_once('['))
            .filter(|(_, mark)| mark.starts_with(PREFIX) && !mark.contains(char::is_whitespace));
        let (text, mark) = match marked {
            Some((text, mark)) => (text.trim_end(), Some(mark.to_owned())),
            None => (description, None),
        };
        Self {
            text: (!text.is_empty()).then(|| text.to_owned()),
            mark,
        }
    }
}

/// The mark among tags.
pub(crate) fn in_tags(tags: &Json) -> Option<String> {
    let tags = tags.as_array().into_iter().flatten();
    let mut marks = tags.filter_map(Json::as_str).filter(|tag| is_mark(tag));
    marks.next().map(ToOwned::to_owned)
}

/// Tags without the mark.
pub(crate) fn without(tags: &Json) -> Json {
    let tags = tags.as_array().into_iter().flatten();
    let others = tags.filter(|tag| !tag.as_str().is_some_and(is_mark));
    Json::Array(others.cloned().collect())
}

/// Whether a tag is a mark of dmp's.
pub(crate) fn is_mark(tag: &str) -> bool {
    tag.starts_with(PREFIX)
}

/// The mark among metadata.
pub(crate) fn in_metadata(metadata: &Json) -> Option<String> {
    metadata[KEY].as_str().map(ToOwned::to_owned)
}

const PREFIX: &str = "dmp.v1.";

#[cfg(test)]
mod tests {
    use super::*;

    fn mark() -> Mark {
        Mark {
            lineage: "l".into(),
            instance: "i".into(),
        }
    }

    #[test]
    fn a_description_gives_back_what_it_was_given() {
        for text in [None, Some("one"), Some("one [two]")] {
            let read = Described::read(Some(&describe(text, &mark())));
            assert_eq!(read.text.as_deref(), text);
            assert_eq!(read.mark, Some(mark().to_string()));
        }
        assert_eq!(
            Described::read(Some("free [text]")).text.as_deref(),
            Some("free [text]")
        );
        assert_eq!(Described::read(Some("")), Described::default());
    }

    #[test]
    fn a_mark_among_tags_is_found_and_left_out() {
        let tags = serde_json::json!(["a", mark().to_string(), "b"]);
        assert_eq!(in_tags(&tags), Some(mark().to_string()));
        assert_eq!(without(&tags), serde_json::json!(["a", "b"]));
        assert_eq!(in_tags(&serde_json::json!(["a"])), None);
    }

    #[test]
    fn text_and_mark_have_room_together() {
        let text = "x".repeat(room(LONGEST_DESCRIPTION, Some(&mark())));
        assert!(describe(Some(&text), &mark()).len() <= LONGEST_DESCRIPTION);
        assert!(room(LONGEST_DESCRIPTION, None) > 120);
        assert!(room(160, None) > 50);
    }
}
