//! Values on their way through a type: what is unknown, and what is secret.

use std::sync::Arc;

use super::subject::{Subject, all_secret, said, without_unknowns};
use super::{Held, Make, Verdict};
use crate::resource::{Purpose, Verb, Work};
use crate::schema::{Attribute, MarkWay};
use crate::value::Value;

/// Others than those given may exclude each other, but lead to no panic.
pub(super) async fn unknown_inputs_are_planned(make: Make<'_>) -> Verdict {
    let case = make();
    let mut subject = Subject::new(&case);
    let arguments = case.resource.schema().arguments();
    let (given, others): (Vec<String>, Vec<String>) = arguments
        .map(str::to_owned)
        .partition(|name| !case.config.get(name).is_null());
    let try_all = |subject: &Subject<'_>, prior: Option<&Value>| {
        for name in &given {
            let config = subject.with_unknown(&case.config, std::slice::from_ref(name));
            subject
                .plan(&config, prior)
                .map_err(|why| format!("`{name}` unknown: {why}"))?;
        }
        for name in &others {
            let config = subject.with_unknown(&case.config, std::slice::from_ref(name));
            let _ = subject.plan(&config, prior);
        }
        let config = subject.with_unknown(&case.config, &given);
        subject.plan(&config, prior).map(drop)
    };
    try_all(&subject, None)?;
    let (_, found) = subject.create().await?;
    try_all(&subject, Some(&found))?;
    Ok(Held::Holds)
}

pub(super) async fn an_unknown_key_is_not_asked_for(make: Make<'_>) -> Verdict {
    let case = make();
    let subject = Subject::new(&case);
    let schema = case.resource.schema();
    let keys: &[&str] = match schema.mark {
        MarkWay::NaturalKey(keys) => keys,
        _ => &[],
    };
    for name in schema.arguments() {
        let attributes = subject.with_unknown(&case.config, &[name.to_owned()]);
        let known = subject.known(Purpose::BeforeCreate, &attributes);
        let fetches = case.resource.fetches(&known).map_err(said)?;
        if keys.contains(&name) && !fetches.is_empty() {
            return Err(format!("it is asked for although `{name}` is unknown"));
        }
    }
    Ok(Held::Holds)
}

/// By the schema, or because it came from a secret.
pub(super) async fn secrets_keep_their_marks(make: Make<'_>) -> Verdict {
    let case = make();
    let mut subject = Subject::new(&case);
    let config = all_secret(&case.config);
    let (planned, found) = subject.create_from(&config).await?;
    let found = found.with_secrecy_of(&planned);
    for name in case.resource.schema().arguments() {
        let value = found.get(name);
        let was_given = !config.get(name).is_null();
        if was_given && !value.is_null() && !value.deep_marks().is_sensitive() {
            return Err(format!("`{name}` is no secret any more"));
        }
    }
    Ok(Held::Holds)
}

pub(super) async fn secrets_are_never_shown(make: Make<'_>) -> Verdict {
    let case = make();
    let schema = case.resource.schema();
    let is_secret = |(name, _): &(&Arc<str>, &Attribute)| {
        let attribute = schema.attributes.get(name.as_ref());
        attribute.is_some_and(|attribute| attribute.sensitive || attribute.ephemeral)
    };
    let mut subject = Subject::new(&case);
    let (planned, found) = subject.create().await?;
    let text = |name: &str| {
        let given = case.config.get(name);
        let value = if given.is_null() {
            found.get(name)
        } else {
            given
        };
        value.as_str().map(ToOwned::to_owned)
    };
    let secrets: Vec<String> = schema
        .attributes
        .iter()
        .filter(is_secret)
        .filter_map(|(name, _)| text(name))
        .filter(|secret| !secret.is_empty())
        .collect();
    if secrets.is_empty() {
        return Ok(Held::NotApplicable("it is given no secret and makes none"));
    }
    let wanted = without_unknowns(&planned);
    let mut texts = vec![
        format!("{planned:?}"),
        format!("{:?}", subject.conform(&found)),
    ];
    for verb in [Verb::Create, Verb::Update, Verb::Delete] {
        let job = subject.job(verb, Some(&found), Some(&wanted));
        texts.push(format!("{job:?}"));
        if let Ok(work) = case.resource.work(&job) {
            texts.push(format!("{work:?}"));
            if let Work::Steps(steps) = work {
                texts.extend(steps.into_iter().map(|step| step.title));
            }
        }
    }
    match texts
        .iter()
        .find(|text| secrets.iter().any(|secret| text.contains(secret)))
    {
        Some(text) => {
            let begin: String = text.chars().take(40).collect();
            Err(format!("a secret is in `{begin}…`"))
        }
        None => Ok(Held::Holds),
    }
}
