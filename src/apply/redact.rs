//! Takes secrets out of what others say: a cloud or a command may quote what it was given. Called for all that comes
//! back from a work before it is shown, logged or recorded.

use dmp_plan::Finding;
use dmp_sdk::{Diagnostic, Kind, Value};

use crate::decide::Task;

/// The secrets that a work was given.
pub(crate) struct Secrets(Vec<String>);

impl Secrets {
    /// All sensitive texts and numbers of a task's values, long ones first.
    pub(crate) fn of(task: &Task) -> Self {
        let mut found = Vec::new();
        let values = [&task.prior, &task.wanted].into_iter().flatten();
        for value in values.chain([&task.instance.attributes, &task.instance.chosen]) {
            collect(value, false, &mut found);
        }
        found.sort_by_key(|text| std::cmp::Reverse(text.len()));
        found.dedup();
        Self(found)
    }

    fn hide(&self, text: &str) -> String {
        let hidden = |text: String, secret: &String| text.replace(secret, "(sensitive)");
        self.0.iter().fold(text.to_owned(), hidden)
    }

    /// A diagnostic without them.
    pub(crate) fn hide_in(&self, mut diagnostic: Diagnostic) -> Diagnostic {
        if self.0.is_empty() {
            return diagnostic;
        }
        diagnostic.detail = self.hide(&diagnostic.detail);
        diagnostic.cause = diagnostic.cause.take().map(|cause| self.hide(&cause));
        diagnostic.state = diagnostic.state.take().map(|state| self.hide(&state));
        for help in &mut diagnostic.help {
            *help = self.hide(help);
        }
        diagnostic
    }

    /// A finding without them in its words.
    pub(crate) fn hide_in_finding(&self, finding: Finding) -> Finding {
        match finding {
            Finding::HalfMade(object, why) => Finding::HalfMade(object, self.hide(&why)),
            Finding::Unreachable(why) => Finding::Unreachable(self.hide(&why)),
            Finding::Failed(diagnostic) => Finding::Failed(self.hide_in(diagnostic)),
            finding => finding,
        }
    }
}

fn collect(value: &Value, is_inside: bool, into: &mut Vec<String>) {
    let is_secret = is_inside || value.marks().is_sensitive() || value.marks().is_ephemeral();
    for child in value.children() {
        collect(child, is_secret, into);
    }
    let text = match value.kind() {
        Kind::String(text) if is_secret => text.to_string(),
        Kind::Number(number) if is_secret => number.to_string(),
        _ => return,
    };
    // Of a key or a file a single line may be quoted.
    let lines = text.lines().filter(|line| line.len() >= LEAST_LINE);
    into.extend(lines.map(ToOwned::to_owned));
    // Without these every letter of an error would be hidden.
    if text.len() >= LEAST {
        into.push(text);
    }
}

const LEAST: usize = 3;
const LEAST_LINE: usize = 8;
