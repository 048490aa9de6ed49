//! Marks and ids: what leads from a state to its objects, and to nobody else's.

use super::subject::{Subject, without_unknowns};
use super::{Held, Make, Verdict};

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
    if case.resource.schema().has_natural_key() {
        return Ok(Held::NotApplicable(BY_ITS_KEY));
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

const BY_ITS_KEY: &str = "it is found by its natural key";
