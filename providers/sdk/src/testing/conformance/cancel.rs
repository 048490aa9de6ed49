//! Wishes to stop: nothing is begun after one, and no wait outlives it.

use std::time::Duration;

use super::calls::Stop;
use super::cut::{finish_a_create, finish_a_delete, finish_an_update};
use super::marks::BUT_ITS_RECORD;
use super::subject::{Ended, Left, Subject, differing, without_unknowns};
use super::{Case, Held, Make, Verdict};
use crate::resource::{Purpose, Verb};
use crate::schema::MarkWay;
use crate::value::Value;

pub(super) async fn nothing_is_written_after_a_wish_to_stop(make: Make<'_>) -> Verdict {
    let case = make();
    if case.resource.schema().mark == MarkWay::Record {
        return Ok(Held::NotApplicable(BUT_ITS_RECORD));
    }
    let mut subject = Subject::new(&case);
    let wanted = without_unknowns(&subject.prepare(&case.config).await?);
    if !subject.is_by_calls(Verb::Create, None, Some(&wanted))? {
        return Ok(Held::NotApplicable(BY_STEPS));
    }
    let stop = Stop::BeforeAll;
    let _ = subject
        .carry_out(Verb::Create, None, Some(&wanted), stop)
        .await;
    is_not_made(&case, &subject, &wanted).await?;
    let (_, before) = subject.create().await?;
    if let Some(changed) = &case.changed {
        let wanted = without_unknowns(&subject.plan(changed, Some(&before))?.value);
        let _ = subject
            .carry_out(Verb::Update, Some(&before), Some(&wanted), stop)
            .await;
        is_unchanged(&mut subject, &before, "an update").await?;
    }
    let _ = subject
        .carry_out(Verb::Delete, Some(&before), None, stop)
        .await;
    is_unchanged(&mut subject, &before, "a delete").await?;
    Ok(Held::Holds)
}

async fn is_not_made(case: &Case, subject: &Subject<'_>, wanted: &Value) -> Result<(), String> {
    let is_made = if case.resource.schema().has_natural_key() {
        let earlier = subject.what_was_before().cloned().unwrap_or_default();
        subject.look().await? != earlier
    } else {
        !subject.candidates(wanted).await?.is_empty() || subject.count().is_some_and(|n| n > 0)
    };
    match is_made {
        true => Err("a create has written although it was refused".into()),
        false => Ok(()),
    }
}

async fn is_unchanged(subject: &mut Subject<'_>, before: &Value, what: &str) -> Result<(), String> {
    let found = subject.found(Purpose::Refresh, before).await;
    match found.is_ok_and(|found| differing(&found, before).is_empty()) {
        true => Ok(()),
        false => Err(format!("{what} has written although it was refused")),
    }
}

pub(super) async fn a_wait_ends_soon_after_a_wish_to_stop(make: Make<'_>) -> Verdict {
    let case = make();
    let mut subject = Subject::new(&case);
    let wanted = without_unknowns(&subject.prepare(&case.config).await?);
    if !subject.is_by_calls(Verb::Create, None, Some(&wanted))? {
        return Ok(Held::NotApplicable(BY_STEPS));
    }
    let mut has_waited = false;
    let ended = subject.carry_out(Verb::Create, None, Some(&wanted), Stop::AtWait);
    if is_stopped(ended.await?, "a create")? {
        has_waited = true;
        finish_a_create(&case, &mut subject, &wanted, Left::Something).await?;
    }
    if case.changed.is_some() {
        has_waited |= stop_an_update(&make()).await?;
    }
    has_waited |= stop_a_delete(&make()).await?;
    Ok(match has_waited {
        true => Held::Holds,
        false => Held::NotApplicable("it waits for nothing"),
    })
}

async fn stop_an_update(case: &Case) -> Result<bool, String> {
    let changed = case.changed.as_ref().ok_or("the case has no change")?;
    let mut subject = Subject::new(case);
    let (_, before) = subject.create().await?;
    let wanted = without_unknowns(&subject.plan(changed, Some(&before))?.value);
    let ended = subject.carry_out(Verb::Update, Some(&before), Some(&wanted), Stop::AtWait);
    if !is_stopped(ended.await?, "an update")? {
        return Ok(false);
    }
    finish_an_update(case, &mut subject, &before, &wanted, Left::Something).await?;
    Ok(true)
}

async fn stop_a_delete(case: &Case) -> Result<bool, String> {
    let mut subject = Subject::new(case);
    let (_, prior) = subject.create().await?;
    let ended = subject.carry_out(Verb::Delete, Some(&prior), None, Stop::AtWait);
    if !is_stopped(ended.await?, "a delete")? {
        return Ok(false);
    }
    finish_a_delete(&mut subject, &prior, Left::Something).await?;
    Ok(true)
}

/// Whether it has waited, and was ended in time.
fn is_stopped(ended: Ended, what: &str) -> Result<bool, String> {
    match ended {
        Ended::Stopped(after) if after > SOON => Err(format!(
            "{what} goes on waiting for {:.1} s after a wish to stop",
            after.as_secs_f64()
        )),
        Ended::Stopped(_) => Ok(true),
        Ended::Whole | Ended::CutOff(_) => Ok(false),
    }
}

const BY_STEPS: &str = "its work is steps, which the engine begins or does not";
const SOON: Duration = Duration::from_secs(2);
