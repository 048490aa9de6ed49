//! The attributes of Neutron's objects: which may be sent when, what stands where nothing is sent, and what they may be. Names and
//! rules are those of `neutron_lib/api/definitions`, words those of `neutron_lib/api/attributes.py` and `validators`.

use std::net::IpAddr;

use serde_json::{Value, json};

use crate::openstack::Failure;
use crate::openstack::addresses::Range;
use crate::openstack::estate::Shown;
use crate::openstack::shape::{flag, is_uuid, number, said};

/// An attribute.
pub(super) struct Attribute {
    pub name: &'static str,
    rule: Rule,
    sent: Sent,
    unset: Unset,
}

/// When it may be sent.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Sent {
    Never,
    /// When the object is made.
    AtCreate,
    Always,
    /// The same, by an administrator.
    ByAdmin,
}

/// What it is where nothing was sent.
#[derive(Clone, Copy)]
enum Unset {
    /// Something has to be sent.
    Needed,
    /// It is worked out.
    Open,
    Null,
    Empty,
    Nothing,
    Flag(bool),
}

/// What it may be.
#[derive(Clone, Copy)]
pub(super) enum Rule {
    Any,
    /// A text of so many characters at most.
    Text(usize),
    Flag,
    Uuid,
    Uuids,
    Texts,
    Number(i64, i64),
    Ip,
    Ips,
    Range,
    Mac,
    Word(&'static [&'static str]),
    /// A list of objects with some of these members.
    Objects(&'static [(&'static str, Rule)]),
    /// One such object.
    Object(&'static [(&'static str, Rule)]),
}

/// An attribute that may be sent always, and is null where it is not.
pub(super) const fn always(name: &'static str, rule: Rule) -> Attribute {
    Attribute {
        name,
        rule,
        sent: Sent::Always,
        unset: Unset::Null,
    }
}

/// One that may be sent only when the object is made.
pub(super) const fn at_create(name: &'static str, rule: Rule) -> Attribute {
    Attribute {
        sent: Sent::AtCreate,
        ..always(name, rule)
    }
}

/// One that nobody sends.
pub(super) const fn told(name: &'static str) -> Attribute {
    Attribute {
        sent: Sent::Never,
        unset: Unset::Open,
        ..always(name, Rule::Any)
    }
}

impl Attribute {
    /// It has to be sent when the object is made.
    pub(super) const fn needed(self) -> Attribute {
        Attribute {
            unset: Unset::Needed,
            ..self
        }
    }

    /// It is worked out where it is not sent.
    pub(super) const fn open(self) -> Attribute {
        Attribute {
            unset: Unset::Open,
            ..self
        }
    }

    /// It is the empty text where it is not sent.
    pub(super) const fn empty(self) -> Attribute {
        Attribute {
            unset: Unset::Empty,
            ..self
        }
    }

    /// It is the empty list where it is not sent.
    pub(super) const fn nothing(self) -> Attribute {
        Attribute {
            unset: Unset::Nothing,
            ..self
        }
    }

    /// It is this where it is not sent.
    pub(super) const fn or(self, flag: bool) -> Attribute {
        Attribute {
            unset: Unset::Flag(flag),
            ..self
        }
    }

    /// Only an administrator may send it.
    pub(super) const fn by_admin(self) -> Attribute {
        Attribute {
            sent: Sent::ByAdmin,
            ..self
        }
    }
}

/// What every object of Neutron has.
static STANDARD: [Attribute; 8] = [
    told("id"),
    at_create("tenant_id", Rule::Text(255)).open(),
    at_create("project_id", Rule::Text(255)).open(),
    always("description", Rule::Text(255)).empty(),
    told("created_at"),
    told("updated_at"),
    told("revision_number"),
    told("tags"),
];

fn find<'a>(attributes: &'a [Attribute], name: &str) -> Option<&'a Attribute> {
    let mut all = attributes.iter().chain(&STANDARD);
    all.find(|attribute| attribute.name == name)
}

/// Whether objects have an attribute.
pub(super) fn is_known(attributes: &[Attribute], name: &str) -> bool {
    find(attributes, name).is_some()
}

/// Returns the attributes of a new object, with what stands where nothing was sent.
///
/// # Errors
/// 400 for what is wrong with what was sent, 403 for what only an administrator may send.
pub(super) fn new(
    attributes: &[Attribute],
    sent: &Shown,
    is_admin: bool,
) -> Result<Shown, Failure> {
    refuse_unknown(attributes, sent)?;
    let mut made = Shown::new();
    for attribute in attributes.iter().chain(&STANDARD) {
        let name = attribute.name;
        let Some(value) = sent.get(name) else {
            let value = match attribute.unset {
                Unset::Needed => {
                    return Err(Failure::bad(format!(
                        "Failed to parse request. Required attribute '{name}' not specified"
                    )));
                }
                Unset::Open => continue,
                Unset::Null => Value::Null,
                Unset::Empty => json!(""),
                Unset::Nothing => json!([]),
                Unset::Flag(flag) => json!(flag),
            };
            made.insert(name.to_owned(), value);
            continue;
        };
        match attribute.sent {
            Sent::Never => {
                return Err(Failure::bad(format!(
                    "Attribute '{name}' not allowed in POST"
                )));
            }
            // What would be so anyway may be said by anybody.
            Sent::ByAdmin if !is_admin && !is_usual(attribute, value) => {
                return Err(only_admin("create", name));
            }
            Sent::AtCreate | Sent::Always | Sent::ByAdmin => {}
        }
        made.insert(name.to_owned(), checked(attribute, value)?);
    }
    Ok(made)
}

/// Returns what is to change of an object.
///
/// # Errors
/// As [`new`].
pub(super) fn change(
    attributes: &[Attribute],
    sent: &Shown,
    is_admin: bool,
) -> Result<Shown, Failure> {
    refuse_unknown(attributes, sent)?;
    let mut changed = Shown::new();
    for (name, value) in sent {
        let Some(attribute) = find(attributes, name) else {
            continue;
        };
        match attribute.sent {
            Sent::Never | Sent::AtCreate => {
                return Err(Failure::bad(format!(
                    "Cannot update read-only attribute {name}"
                )));
            }
            Sent::ByAdmin if !is_admin => return Err(only_admin("update", name)),
            Sent::Always | Sent::ByAdmin => {}
        }
        changed.insert(name.clone(), checked(attribute, value)?);
    }
    Ok(changed)
}

fn is_usual(attribute: &Attribute, value: &Value) -> bool {
    match attribute.unset {
        Unset::Flag(usual) => flag(value) == Some(usual),
        _ => false,
    }
}

fn only_admin(verb: &str, name: &str) -> Failure {
    Failure::of(
        403,
        "PolicyNotAuthorized",
        format!("(rule:{verb}:{name}) is disallowed by policy"),
    )
}

fn refuse_unknown(attributes: &[Attribute], sent: &Shown) -> Result<(), Failure> {
    let unknown = sent.keys().filter(|name| find(attributes, name).is_none());
    let unknown: Vec<&str> = unknown.map(String::as_str).collect();
    match unknown.is_empty() {
        true => Ok(()),
        false => Err(Failure::bad(format!(
            "Unrecognized attribute(s) '{}'",
            unknown.join(", ")
        ))),
    }
}

fn checked(attribute: &Attribute, value: &Value) -> Result<Value, Failure> {
    let may_be_null = matches!(attribute.unset, Unset::Null | Unset::Open);
    if value.is_null() && may_be_null {
        return Ok(Value::Null);
    }
    if value.is_null() && matches!(attribute.unset, Unset::Nothing) {
        return Ok(json!([]));
    }
    if let (Rule::Range, Some(text)) = (attribute.rule, value.as_str())
        && Range::parse(text).is_none()
    {
        return Err(Failure::of(
            400,
            "InvalidInput",
            format!("Invalid input for operation: {text} is not in a CIDR format."),
        ));
    }
    by_rule(attribute.rule, value).map_err(|why| {
        Failure::bad(format!(
            "Invalid input for {}. Reason: {why}.",
            attribute.name
        ))
    })
}

fn by_rule(rule: Rule, value: &Value) -> Result<Value, String> {
    let no_text = || format!("{} is not a valid string", said(value));
    let text = || value.as_str().ok_or_else(no_text);
    match rule {
        Rule::Any => Ok(value.clone()),
        Rule::Text(most) => match text()? {
            text if text.chars().count() > most => {
                Err(format!("'{text}' exceeds maximum length of {most}"))
            }
            text => Ok(json!(text)),
        },
        Rule::Flag => {
            let flag = flag(value).or_else(|| number(value).map(|number| number != 0));
            let flag =
                flag.ok_or_else(|| format!("{} cannot be converted to boolean", said(value)))?;
            Ok(json!(flag))
        }
        Rule::Uuid => match text()? {
            text if is_uuid(text) => Ok(json!(text)),
            text => Err(format!("'{text}' is not a valid UUID")),
        },
        Rule::Number(least, most) => {
            let found =
                number(value).ok_or_else(|| format!("{} is not an integer", said(value)))?;
            if found < least {
                return Err(format!(
                    "'{found}' is too small - must be at least '{least}'"
                ));
            }
            if found > most {
                return Err(format!(
                    "'{found}' is too large - must be no larger than '{most}'"
                ));
            }
            Ok(json!(found))
        }
        Rule::Ip => match text()?.parse::<IpAddr>() {
            Ok(address) => Ok(json!(address.to_string())),
            Err(_) => Err(format!("{} is not a valid IP address", said(value))),
        },
        Rule::Range => {
            let text = text()?;
            let range = Range::parse(text).filter(|_| text.contains('/'));
            let range = range.ok_or_else(|| format!("'{text}' is not a valid IP subnet"))?;
            match range.to_string() == text {
                true => Ok(json!(text)),
                false => Err(format!(
                    "'{text}' isn't a recognized IP subnet cidr, '{range}' is recommended"
                )),
            }
        }
        Rule::Mac => match text()? {
            text if is_mac(text) => Ok(json!(text.to_ascii_lowercase())),
            text => Err(format!("'{text}' is not a valid MAC address")),
        },
        Rule::Word(words) => match value.as_str().filter(|text| words.contains(text)) {
            Some(word) => Ok(json!(word)),
            None => {
                let words: Vec<String> = words.iter().map(|word| format!("'{word}'")).collect();
                Err(format!("{} is not in [{}]", said(value), words.join(", ")))
            }
        },
        Rule::Uuids => each(value, Rule::Uuid),
        Rule::Texts => each(value, Rule::Text(255)),
        Rule::Ips => each(value, Rule::Ip),
        Rule::Objects(members) => each(value, Rule::Object(members)),
        Rule::Object(members) => object(value, members),
    }
}

fn each(value: &Value, rule: Rule) -> Result<Value, String> {
    let items = value.as_array();
    let items = items.ok_or_else(|| format!("{} is not a list", said(value)))?;
    let mut checked = Vec::new();
    for item in items {
        if items.iter().filter(|other| *other == item).count() > 1 {
            return Err(format!("Duplicate items in the list: {}", said(item)));
        }
        checked.push(by_rule(rule, item)?);
    }
    Ok(Value::Array(checked))
}

fn object(value: &Value, members: &[(&str, Rule)]) -> Result<Value, String> {
    let sent = value.as_object();
    let sent = sent.ok_or_else(|| format!("{} is not a dictionary", said(value)))?;
    let mut checked = Shown::new();
    for (name, value) in sent {
        let rule = members.iter().find(|(known, _)| known == name);
        let (_, rule) = rule.ok_or_else(|| {
            let known: Vec<String> = members
                .iter()
                .map(|(known, _)| format!("'{known}'"))
                .collect();
            format!(
                "Invalid data format: unexpected key '{name}', expected are [{}]",
                known.join(", ")
            )
        })?;
        if !value.is_null() {
            checked.insert(name.clone(), by_rule(*rule, value)?);
        }
    }
    Ok(Value::Object(checked))
}

fn is_mac(text: &str) -> bool {
    let parts: Vec<&str> = text.split(':').collect();
    let is_pair = |part: &&str| part.len() == 2 && part.chars().all(|it| it.is_ascii_hexdigit());
    parts.len() == 6 && parts.iter().all(is_pair)
}

#[cfg(test)]
mod tests {
    use super::*;

    static OF: [Attribute; 5] = [
        always("name", Rule::Text(4)).empty(),
        at_create("cidr", Rule::Range).needed(),
        always("up", Rule::Flag).or(true),
        always("shared", Rule::Flag).or(false).by_admin(),
        always("fixed_ips", Rule::Objects(&[("ip_address", Rule::Ip)])).nothing(),
    ];

    fn made(sent: &Value) -> Result<Value, String> {
        let sent = sent.as_object().cloned().unwrap_or_default();
        let made = new(&OF, &sent, false);
        made.map(Value::Object).map_err(|failure| failure.message)
    }

    #[test]
    fn a_new_object_has_what_was_sent_and_what_is_usual() {
        let object = made(&json!({ "cidr": "10.0.0.0/24", "up": "false" })).expect("an object");
        assert_eq!(
            object,
            json!({ "name": "", "cidr": "10.0.0.0/24", "up": false, "shared": false, "fixed_ips": [], "description": "" })
        );
    }

    #[test]
    fn what_is_wrong_is_said_in_neutrons_words() {
        let refused = |sent: Value| made(&sent).expect_err("it is refused");
        assert_eq!(
            refused(json!({ "cidr": "10.0.0.0/24", "x": 1 })),
            "Unrecognized attribute(s) 'x'"
        );
        assert_eq!(
            refused(json!({})),
            "Failed to parse request. Required attribute 'cidr' not specified"
        );
        assert_eq!(
            refused(json!({ "cidr": "10.0.0.1/24" })),
            "Invalid input for cidr. Reason: '10.0.0.1/24' isn't a recognized IP subnet cidr, '10.0.0.0/24' is recommended."
        );
        assert_eq!(
            refused(json!({ "cidr": "10.0.0.0/24", "name": "hello" })),
            "Invalid input for name. Reason: 'hello' exceeds maximum length of 4."
        );
        assert!(
            refused(json!({ "cidr": "10.0.0.0/24", "id": "a" })).contains("not allowed in POST")
        );
        assert!(
            refused(json!({ "cidr": "10.0.0.0/24", "shared": true }))
                .contains("disallowed by policy")
        );
        let changed = change(
            &OF,
            json!({ "cidr": "10.0.0.0/8" }).as_object().expect("one"),
            false,
        );
        assert_eq!(
            changed.expect_err("it is refused").message,
            "Cannot update read-only attribute cidr"
        );
    }
}
