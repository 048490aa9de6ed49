//! Works that are killed: at every moment once, then settled and gone on with as the next run of the engine does it.

use super::calls::Stop;
use super::subject::{Ended, Found, Left, Subject, differing, same_where_known, without_unknowns};
use super::{Case, Held, Make, Verdict};
use crate::resource::{Candidate, Purpose, Verb};
use crate::value::Value;

pub(super) async fn a_create_cut_off_anywhere_is_finished(make: Make<'_>) -> Verdict {
    for moment in 0..MOST_MOMENTS {
        let case = make();
        let at = |why| format!("cut off at moment {moment}: {why}");
        if create_cut_off_at(&case, moment).await.map_err(at)? {
            return Ok(match moment {
                0 => Held::NotApplicable("its create does nothing"),
                _ => Held::Holds,
            });
        }
    }
    Err(format!("it has more than {MOST_MOMENTS} moments"))
}

/// Whether the create went to its end before this moment.
async fn create_cut_off_at(case: &Case, moment: usize) -> Result<bool, String> {
    let mut subject = Subject::new(case);
    let wanted = without_unknowns(&subject.prepare(&case.config).await?);
    let ended = subject
        .carry_out(Verb::Create, None, Some(&wanted), Stop::At(moment))
        .await?;
    let Ended::CutOff(left) = ended else {
        return Ok(true);
    };
    finish_a_create(case, &mut subject, &wanted, left).await?;
    Ok(false)
}

/// Settles a create that was cut off, makes the object whole, and deletes it: nothing may stay.
pub(super) async fn finish_a_create(
    case: &Case,
    subject: &mut Subject<'_>,
    wanted: &Value,
    left: Left,
) -> Result<(), String> {
    let recorded = match settled(subject, wanted, left).await? {
        Some(candidate) => {
            let is_earlier = subject.what_was_before().is_some_and(|earlier| {
                differing(&subject.conform(&candidate.object.attributes), earlier).is_empty()
            });
            (left == Left::Done || !is_earlier)
                .then(|| subject.take(candidate.object.clone(), wanted))
        }
        None => {
            let nothing_before = subject.what_was_before().is_none();
            if nothing_before && subject.count().is_some_and(|count| count > 0) {
                return Err("an object was made, and it is not found".into());
            }
            None
        }
    };
    let found = match recorded {
        Some(recorded) => converge(subject, &case.config, &recorded).await?,
        None => anew(subject, &case.config).await?,
    };
    subject.delete(&found).await?;
    let is_as_before = subject.is_as_before(&found).await;
    is_as_before.map_err(|why| format!("after its delete {why}"))
}

pub(super) async fn an_update_cut_off_anywhere_is_finished(make: Make<'_>) -> Verdict {
    if make().changed.is_none() {
        return Ok(Held::NotApplicable("nothing of it can be changed in place"));
    }
    for moment in 0..MOST_MOMENTS {
        let case = make();
        let at = |why| format!("cut off at moment {moment}: {why}");
        if update_cut_off_at(&case, moment).await.map_err(at)? {
            return Ok(match moment {
                0 => Held::NotApplicable("its update does nothing"),
                _ => Held::Holds,
            });
        }
    }
    Err(format!("it has more than {MOST_MOMENTS} moments"))
}

async fn update_cut_off_at(case: &Case, moment: usize) -> Result<bool, String> {
    let changed = case.changed.as_ref().ok_or("the case has no change")?;
    let mut subject = Subject::new(case);
    let (_, before) = subject.create().await?;
    let wanted = without_unknowns(&subject.plan(changed, Some(&before))?.value);
    let ended = subject
        .carry_out(Verb::Update, Some(&before), Some(&wanted), Stop::At(moment))
        .await?;
    let Ended::CutOff(left) = ended else {
        return Ok(true);
    };
    finish_an_update(case, &mut subject, &before, &wanted, left).await?;
    Ok(false)
}

/// Settles an update that was cut off, and makes of the object what was wanted.
pub(super) async fn finish_an_update(
    case: &Case,
    subject: &mut Subject<'_>,
    before: &Value,
    wanted: &Value,
    left: Left,
) -> Result<(), String> {
    let changed = case.changed.as_ref().ok_or("the case has no change")?;
    let id = subject.id.clone();
    let recorded = match left {
        Left::Nothing => before.clone(),
        Left::Something | Left::Done => {
            let candidate = settled(subject, wanted, left).await?;
            let candidate = candidate.ok_or("the object is not found any more")?;
            subject.take(candidate.object, wanted)
        }
    };
    let found = converge(subject, changed, &recorded).await?;
    if subject.id != id {
        return Err("the object has another id".into());
    }
    subject.delete(&found).await?;
    let is_as_before = subject.is_as_before(&found).await;
    is_as_before.map_err(|why| format!("after its delete {why}"))
}

pub(super) async fn a_delete_cut_off_anywhere_is_finished(make: Make<'_>) -> Verdict {
    for moment in 0..MOST_MOMENTS {
        let case = make();
        let at = |why| format!("cut off at moment {moment}: {why}");
        if delete_cut_off_at(&case, moment).await.map_err(at)? {
            return Ok(match moment {
                0 => Held::NotApplicable("its delete does nothing"),
                _ => Held::Holds,
            });
        }
    }
    Err(format!("it has more than {MOST_MOMENTS} moments"))
}

async fn delete_cut_off_at(case: &Case, moment: usize) -> Result<bool, String> {
    let mut subject = Subject::new(case);
    let (_, prior) = subject.create().await?;
    let ended = subject
        .carry_out(Verb::Delete, Some(&prior), None, Stop::At(moment))
        .await?;
    let Ended::CutOff(left) = ended else {
        return Ok(true);
    };
    finish_a_delete(&mut subject, &prior, left).await?;
    Ok(false)
}

/// Settles a delete that was cut off, and deletes what is still there.
pub(super) async fn finish_a_delete(
    subject: &mut Subject<'_>,
    prior: &Value,
    left: Left,
) -> Result<(), String> {
    let is_gone = match left {
        Left::Nothing => false,
        Left::Done => true,
        Left::Something => match settled(subject, prior, left).await? {
            None => true,
            Some(candidate) => subject.what_was_before().is_some_and(|earlier| {
                differing(&subject.conform(&candidate.object.attributes), earlier).is_empty()
            }),
        },
    };
    if !is_gone {
        let there = match subject.read(Purpose::Refresh, prior).await? {
            Found::Whole(object) | Found::HalfMade(object, _) => Some(subject.take(object, prior)),
            Found::Absent => None,
        };
        if let Some(there) = there {
            subject.delete(&there).await?;
        }
    }
    subject.is_as_before(prior).await
}

/// The object that a work has left, as the engine looks for it.
async fn settled(
    subject: &Subject<'_>,
    wanted: &Value,
    left: Left,
) -> Result<Option<Candidate>, String> {
    let mut candidates = match left {
        Left::Nothing => Vec::new(),
        Left::Something => subject.candidates(wanted).await?,
        // The journal says that it went to its end: what was written is read.
        Left::Done => match subject.read(Purpose::AfterWrite, wanted).await? {
            Found::Whole(object) => vec![Candidate {
                object,
                half_made: None,
            }],
            Found::HalfMade(object, why) => vec![Candidate {
                object,
                half_made: Some(why),
            }],
            Found::Absent => Vec::new(),
        },
    };
    match candidates.len() {
        0 | 1 => Ok(candidates.pop()),
        count => Err(format!("{count} candidates")),
    }
}

/// What the next run does with an object that is recorded: refresh, plan, and change or finish it.
async fn converge(
    subject: &mut Subject<'_>,
    config: &Value,
    recorded: &Value,
) -> Result<Value, String> {
    let (prior, verb) = match subject.read(Purpose::Refresh, recorded).await? {
        Found::Whole(object) => (subject.take(object, recorded), Verb::Update),
        Found::HalfMade(object, _) => (subject.take(object, recorded), Verb::Create),
        Found::Absent => return anew(subject, config).await,
    };
    let plan = subject.plan_after(config, Some(&prior), verb == Verb::Create)?;
    if plan.replaces {
        return Err("what is left can only be replaced".into());
    }
    if verb == Verb::Create || !differing(&plan.value, &prior).is_empty() {
        let wanted = without_unknowns(&plan.value);
        let ended = subject.carry_out(verb, Some(&prior), Some(&wanted), Stop::Never);
        ended.await?;
    }
    ends_well(subject, config, &plan.value).await
}

/// What the next run does when nothing is recorded: another instance is made.
async fn anew(subject: &mut Subject<'_>, config: &Value) -> Result<Value, String> {
    subject.begin_anew();
    let (planned, _) = subject.create_from(config).await?;
    ends_well(subject, config, &planned).await
}

/// There is exactly one object, and it is as wanted.
async fn ends_well(
    subject: &mut Subject<'_>,
    config: &Value,
    planned: &Value,
) -> Result<Value, String> {
    let found = subject.found(Purpose::AfterWrite, planned).await?;
    same_where_known(planned, &found)?;
    subject.is_settled(config, &found)?;
    subject.count_is(1)?;
    let id = subject.id.take();
    let count = subject.candidates(&found).await.map(|found| found.len());
    subject.id = id;
    match count? {
        1 => Ok(found),
        count => Err(format!("in the end there are {count} candidates")),
    }
}

const MOST_MOMENTS: usize = 100;
