//! What strangers do: what is gone is gone, what is altered is seen.

use super::subject::{Found, Subject, differing, same_where_known};
use super::{Held, Make, Stranger, Verdict};
use crate::resource::Purpose;

pub(super) async fn what_a_stranger_deleted_is_absent(make: Make<'_>) -> Verdict {
    let case = make();
    if !case.can_be_deleted {
        return Ok(Held::NotApplicable("it is always there"));
    }
    let mut subject = Subject::new(&case);
    let (_, found) = subject.create().await?;
    (case.outside)(Stranger::Deletes);
    match subject.read(Purpose::Refresh, &found).await? {
        Found::Absent => subject.delete(&found).await?,
        Found::Whole(_) | Found::HalfMade(..) => return Err("it is still found".into()),
    }
    Ok(Held::Holds)
}

pub(super) async fn what_a_stranger_altered_is_seen_and_mended(make: Make<'_>) -> Verdict {
    let case = make();
    if !case.can_be_altered {
        return Ok(Held::NotApplicable(
            "it is there or not, and nothing between",
        ));
    }
    let mut subject = Subject::new(&case);
    let (_, before) = subject.create().await?;
    (case.outside)(Stranger::Alters);
    let altered = subject.found(Purpose::Refresh, &before).await?;
    let plan = subject.plan(&case.config, Some(&altered))?;
    if differing(&plan.value, &altered).is_empty() {
        return Err("what a stranger altered is not seen".into());
    }
    if plan.replaces {
        return Ok(Held::Holds);
    }
    subject.update(&altered, &plan.value).await?;
    let found = subject.found(Purpose::AfterWrite, &plan.value).await?;
    same_where_known(&plan.value, &found)?;
    Ok(Held::Holds)
}
