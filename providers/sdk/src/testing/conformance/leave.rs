//! Leaving: an object that has effects elsewhere takes its leave before it ends.

use super::subject::Subject;
use super::{Held, Make, Verdict};

pub(super) async fn leaving_twice_succeeds_and_it_counts_no_more(make: Make<'_>) -> Verdict {
    let case = make();
    if !case.resource.leaves() {
        return Ok(Held::NotApplicable("it has no effects elsewhere"));
    }
    let Some(counts) = &case.counts_elsewhere else {
        return Err("the case does not say how to see whether it counts elsewhere".into());
    };
    let mut subject = Subject::new(&case);
    let (_, found) = subject.create().await?;
    if !counts() {
        return Err("it does not count elsewhere although it was just made".into());
    }
    subject.leave(&found).await?;
    if counts() {
        return Err("it still counts after it has left".into());
    }
    let again = subject.leave(&found).await;
    again.map_err(|why| format!("the second time: {why}"))?;
    if counts() {
        return Err("it counts again after it has left twice".into());
    }
    let deleted = subject.delete(&found).await;
    deleted.map_err(|why| format!("a delete after it has left: {why}"))?;
    subject.is_as_before(&found).await?;
    Ok(Held::Holds)
}
