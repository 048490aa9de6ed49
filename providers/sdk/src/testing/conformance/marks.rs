//! Marks and ids: what leads from a state to its objects, and to nobody else's.

use super::subject::{Found, Subject, same_where_known, without_unknowns};
use super::{Held, Make, Verdict};
use crate::resource::Purpose;
use crate::schema::MarkWay;

pub(super) async fn exactly_one_candidate_is_found_after_a_create(make: Make<'_>) -> Verdict {
    let case = make();
    let mut subject = Subject::new(&case);
    let (planned, _) = subject.create().await?;
    subject.id = None;
    match subject.candidates(&without_unknowns(&planned)).await?.len() {
        1 => Ok(Held::Holds),
        count => Err(format!("{count} candidates instead of one")),
    }
}

pub(super) async fn anothers_object_is_no_candidate(make: Make<'_>) -> Verdict {
    let case = make();
    match case.resource.schema().mark {
        MarkWay::NaturalKey(_) => return Ok(Held::NotApplicable(BY_ITS_KEY)),
        MarkWay::ChosenName(_) => return Ok(Held::NotApplicable(BY_ITS_NAME)),
        MarkWay::Record => return Ok(Held::NotApplicable(BUT_ITS_RECORD)),
        MarkWay::Field(_) | MarkWay::IdBefore { .. } => {}
    }
    let mut subject = Subject::new(&case);
    let (planned, _) = subject.create().await?;
    subject.id = None;
    let wanted = without_unknowns(&planned);
    let ours = subject.mark.clone();
    subject.mark.instance = "another".into();
    if !subject.candidates(&wanted).await?.is_empty() {
        return Err("it is found by the mark of another instance".into());
    }
    subject.mark = ours;
    subject.mark.lineage = "another".into();
    if !subject.candidates(&wanted).await?.is_empty() {
        return Err("it is found by the mark of another state's lineage".into());
    }
    Ok(Held::Holds)
}

pub(super) async fn the_id_is_recorded_before_the_first_wait(make: Make<'_>) -> Verdict {
    let case = make();
    if case.resource.schema().has_natural_key() {
        return Ok(Held::NotApplicable(BY_ITS_KEY));
    }
    let mut subject = Subject::new(&case);
    subject.create().await?;
    if subject.has_waited_without_id {
        return Err("it waits and has recorded no id".into());
    }
    if !subject.has_waited {
        return Ok(Held::NotApplicable("its create waits for nothing"));
    }
    Ok(Held::Holds)
}

pub(super) async fn what_is_suspect_is_found_whole_or_half_made(make: Make<'_>) -> Verdict {
    let case = make();
    let mut subject = Subject::new(&case);
    let (_, recorded) = subject.create().await?;
    match subject.read(Purpose::Suspect, &recorded).await? {
        Found::Whole(object) => same_where_known(&recorded, &subject.conform(&object.attributes))?,
        Found::HalfMade(..) => {}
        Found::Absent => return Err("what is there and suspect is not found".into()),
    }
    if case.resource.schema().mark == MarkWay::Record {
        return Ok(Held::Holds);
    }
    subject.delete(&recorded).await?;
    if subject.what_was_before().is_some() {
        return Ok(Held::Holds);
    }
    match subject.read(Purpose::Suspect, &recorded).await? {
        Found::Absent => Ok(Held::Holds),
        Found::Whole(_) | Found::HalfMade(..) => Err("what is gone and suspect is found".into()),
    }
}

pub(super) const BUT_ITS_RECORD: &str =
    "it is nothing but its record, which is the engine's to keep";
const BY_ITS_KEY: &str = "it is found by its natural key";
const BY_ITS_NAME: &str = "it is found by the name that was chosen for it";
