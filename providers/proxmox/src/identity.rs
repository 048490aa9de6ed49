//! Which guest is whose. A VMID is given out again, a name is not unique, and a copy inherits description and tags; so a
//! guest is dmp's own by three things together: the mark in its description, a tag, and an SMBIOS UUID that no copy has.

use aws_lc_rs::digest::{SHA256, digest};
use dmp_sdk::Mark;

/// What dmp writes into a guest so that it is found again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Identity {
    /// The whole mark; stands in the description, which the creating call carries.
    pub mark: String,
    /// A tag made of it; stands in the cluster's listing.
    pub tag: String,
    /// An SMBIOS UUID made of it. A clone gets another one.
    pub uuid: String,
}

impl Identity {
    /// The identity of an instance.
    pub(crate) fn of(mark: &Mark) -> Self {
        let mark = mark.to_string();
        let digest = digest(&SHA256, mark.as_bytes());
        let bytes = digest.as_ref();
        Self {
            tag: format!("{TAG}{}", hex::encode(&bytes[16..22])),
            uuid: uuid(&bytes[..16]),
            mark,
        }
    }

    /// A description that carries the mark.
    pub(crate) fn describe(&self, description: Option<&str>, is_whole: bool) -> String {
        let description = description.unwrap_or_default().trim_end();
        let gap = if description.is_empty() { "" } else { "\n\n" };
        let making = if is_whole { "" } else { MAKING };
        format!("{description}{gap}{}{making}", self.mark)
    }
}

/// A description, taken apart.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Described {
    /// What the person wrote.
    pub text: Option<String>,
    /// The mark in it.
    pub mark: Option<String>,
    /// Whether it says that the guest is not finished.
    pub is_making: bool,
}

impl Described {
    /// Takes a description apart. Of several marks the last counts.
    pub(crate) fn read(description: Option<&str>) -> Self {
        let Some(description) = description else {
            return Self::default();
        };
        let (mut mark, mut is_making) = (None, false);
        let mut rest = Vec::new();
        for line in description.lines() {
            let bare = line.trim();
            let (word, making) = match bare.strip_suffix(MAKING) {
                Some(word) => (word, true),
                None => (bare, false),
            };
            match word.starts_with(PREFIX) && !word.contains(' ') {
                true => (mark, is_making) = (Some(word.to_owned()), making),
                false => rest.push(line),
            }
        }
        let text = rest.join("\n");
        let text = text.trim();
        Self {
            text: (!text.is_empty()).then(|| text.to_owned()),
            mark,
            is_making,
        }
    }
}

/// Whether a tag is one that dmp put there for itself.
pub(crate) fn is_own_tag(tag: &str) -> bool {
    let is_mark =
        |rest: &str| rest.len() == 12 && rest.bytes().all(|byte| byte.is_ascii_hexdigit());
    tag.strip_prefix(TAG).is_some_and(is_mark) || tag.starts_with(GROUP)
}

/// The tag of a group whose members are kept apart.
pub(crate) fn group_tag(group: &str) -> String {
    let kept = |char: char| match char.is_ascii_alphanumeric() || "_-.".contains(char) {
        true => char.to_ascii_lowercase(),
        false => '-',
    };
    format!("{GROUP}{}", group.chars().map(kept).collect::<String>())
}

/// A UUID of the form that is free for own uses (version 8).
fn uuid(bytes: &[u8]) -> String {
    let mut bytes = bytes.to_vec();
    bytes[6] = (bytes[6] & 0x0f) | 0x80;
    bytes[8] = (bytes[8] & 0x3f) | 0x80;
    let text = hex::encode(bytes);
    let (a, b, c, d, e) = (
        &text[..8],
        &text[8..12],
        &text[12..16],
        &text[16..20],
        &text[20..],
    );
    format!("{a}-{b}-{c}-{d}-{e}")
}

const PREFIX: &str = "dmp.v1.";
const MAKING: &str = " (being made)";
const TAG: &str = "dmp-";
const GROUP: &str = "dmp-group.";

#[cfg(test)]
mod tests {
    use super::*;

    fn identity(instance: &str) -> Identity {
        Identity::of(&Mark {
            lineage: "l".into(),
            instance: instance.into(),
        })
    }

    #[test]
    fn a_description_gives_back_what_it_was_given() {
        let identity = identity("i");
        for text in [None, Some("one"), Some("one\n\ntwo")] {
            for is_whole in [true, false] {
                let read = Described::read(Some(&identity.describe(text, is_whole)));
                assert_eq!(read.text.as_deref(), text);
                assert_eq!(read.mark.as_ref(), Some(&identity.mark));
                assert_eq!(read.is_making, !is_whole);
            }
        }
        assert_eq!(Described::read(Some("free text")).mark, None);
        assert_eq!(Described::read(None), Described::default());
    }

    #[test]
    fn two_instances_have_nothing_in_common() {
        let (one, two) = (identity("1"), identity("2"));
        assert!(one.mark != two.mark && one.tag != two.tag && one.uuid != two.uuid);
        assert!(is_own_tag(&one.tag) && is_own_tag(&group_tag("Control Planes")));
        assert!(!is_own_tag("dmp") && !is_own_tag("dmp-web"));
        assert!(crate::values::is_tag(&group_tag("Control Planes")));
        assert_eq!(one.uuid.len(), 36);
        assert_eq!(&one.uuid[14..15], "8");
    }
}
