//! Takes secrets out of what others say: a cloud or a command may quote what it was given. Called for all that comes
//! back from a work before it is shown, logged or recorded.

use dmp_plan::Finding;
use dmp_plan::redact::Secrets;

use crate::decide::Task;

/// The secrets that a work was given.
pub(crate) fn secrets_of(task: &Task) -> Secrets {
    let values = [&task.prior, &task.wanted].into_iter().flatten();
    Secrets::of(values.chain([&task.instance.attributes, &task.instance.chosen]))
}

/// A finding without secrets in its words.
pub(crate) fn hide_in_finding(secrets: &Secrets, finding: Finding) -> Finding {
    match finding {
        Finding::HalfMade(object, why) => Finding::HalfMade(object, secrets.hide(&why)),
        Finding::Unreachable(why) => Finding::Unreachable(secrets.hide(&why)),
        Finding::Failed(diagnostic) => Finding::Failed(secrets.hide_in(diagnostic)),
        finding => finding,
    }
}
