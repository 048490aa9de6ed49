//! The life of an object: create, second plan, update, delete.

use super::marks::BUT_ITS_RECORD;
use super::subject::{Subject, differing, same_where_known};
use super::{Held, Make, Verdict};
use crate::resource::Purpose;
use crate::schema::MarkWay;

pub(super) async fn nothing_or_the_earlier_is_found_before_a_create(make: Make<'_>) -> Verdict {
    let case = make();
    Subject::new(&case).look_before().await?;
    Ok(Held::Holds)
}

pub(super) async fn what_was_created_is_found_as_it_was_wanted(make: Make<'_>) -> Verdict {
    let case = make();
    let mut subject = Subject::new(&case);
    let (planned, found) = subject.create().await?;
    for name in case.resource.schema().attributes.keys() {
        if !found.get(name).is_wholly_known() {
            return Err(format!("`{name}` is unknown after the create"));
        }
    }
    same_where_known(&planned, &found)?;
    Ok(Held::Holds)
}

pub(super) async fn a_second_plan_changes_nothing(make: Make<'_>) -> Verdict {
    let case = make();
    let mut subject = Subject::new(&case);
    let (_, found) = subject.create().await?;
    subject.is_settled(&case.config, &found)?;
    Ok(Held::Holds)
}

pub(super) async fn an_update_reaches_the_object(make: Make<'_>) -> Verdict {
    let case = make();
    let Some(changed) = &case.changed else {
        return Ok(Held::NotApplicable("nothing of it can be changed in place"));
    };
    let mut subject = Subject::new(&case);
    let (_, before) = subject.create().await?;
    let id = subject.id.clone();
    let plan = subject.plan(changed, Some(&before))?;
    if plan.replaces {
        return Err("the change demands a replacement".into());
    }
    if differing(&plan.value, &before).is_empty() {
        return Err("the change is not seen".into());
    }
    subject.update(&before, &plan.value).await?;
    let found = subject.found(Purpose::AfterWrite, &plan.value).await?;
    if subject.id != id {
        return Err("the id of the object has changed".into());
    }
    same_where_known(&plan.value, &found)?;
    subject.is_settled(changed, &found)?;
    Ok(Held::Holds)
}

pub(super) async fn deleting_twice_succeeds(make: Make<'_>) -> Verdict {
    let case = make();
    let mut subject = Subject::new(&case);
    let (_, found) = subject.create().await?;
    subject.delete(&found).await?;
    let again = subject.delete(&found).await;
    again.map_err(|why| format!("the second time: {why}"))?;
    Ok(Held::Holds)
}

pub(super) async fn nothing_or_the_earlier_is_found_after_a_delete(make: Make<'_>) -> Verdict {
    let case = make();
    if case.resource.schema().mark == MarkWay::Record {
        return Ok(Held::NotApplicable(BUT_ITS_RECORD));
    }
    let mut subject = Subject::new(&case);
    let (_, found) = subject.create().await?;
    subject.delete(&found).await?;
    subject.is_as_before(&found).await?;
    Ok(Held::Holds)
}
