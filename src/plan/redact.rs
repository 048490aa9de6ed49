//! Takes secrets out of what others say: a cloud or a command may quote what it was given, in its own way of writing.
//! Called for all that comes back from outside before it is shown, logged or recorded.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use dmp_sdk::{Diagnostic, Kind, Value};

use crate::ask::Finding;

/// Secrets that something outside was given, in the forms in which it may quote them.
#[derive(Clone, Debug, Default)]
pub struct Secrets(Vec<String>);

impl Secrets {
    /// All sensitive and ephemeral texts and numbers of some values.
    pub fn of<'v>(values: impl IntoIterator<Item = &'v Value>) -> Self {
        let mut found = Vec::new();
        for value in values {
            collect(value, false, &mut found);
        }
        let mut forms: Vec<String> = found.iter().flat_map(|text| forms(text)).collect();
        // Long ones first: one secret may be the beginning of another.
        forms.sort_by(|a, b| b.len().cmp(&a.len()).then_with(|| a.cmp(b)));
        forms.dedup();
        Self(forms)
    }

    /// A text without them.
    #[must_use]
    pub fn hide(&self, text: &str) -> String {
        let hidden = |text: String, secret: &String| match text.contains(secret.as_str()) {
            true => text.replace(secret, "(sensitive)"),
            false => text,
        };
        self.0.iter().fold(text.to_owned(), hidden)
    }

    /// A diagnostic without them.
    #[must_use]
    pub fn hide_in(&self, mut diagnostic: Diagnostic) -> Diagnostic {
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
    #[must_use]
    pub fn hide_in_finding(&self, finding: Finding) -> Finding {
        match finding {
            Finding::HalfMade(object, why) => Finding::HalfMade(object, self.hide(&why)),
            Finding::Unreachable(why) => Finding::Unreachable(self.hide(&why)),
            Finding::NotConfigured(why) => Finding::NotConfigured(self.hide(&why)),
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

/// A text as it is, and as programs write it.
fn forms(text: &str) -> Vec<String> {
    let inside = |quoted: String| quoted[1..quoted.len() - 1].to_owned();
    let mut all = vec![
        text.to_owned(),
        inside(format!("{text:?}")),
        text.replace('\'', "'\\''"),
    ];
    all.extend(serde_json::to_string(text).ok().map(inside));
    if text.len() >= LEAST_LINE {
        all.push(STANDARD_NO_PAD.encode(text));
        all.push(percent(text));
    }
    all
}

fn percent(text: &str) -> String {
    let mut all = String::new();
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                all.push(char::from(byte));
            }
            _ => all.push_str(&format!("%{byte:02X}")),
        }
    }
    all
}

const LEAST: usize = 3;
const LEAST_LINE: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;
    use dmp_sdk::Marks;

    #[test]
    fn a_secret_is_hidden_however_it_is_quoted() {
        let secret = "pass'word\"/ü";
        let value = Value::from(secret).marked(&Marks::sensitive());
        let secrets = Secrets::of([&value]);
        for quoted in [
            secret.to_owned(),
            format!("{secret:?}"),
            serde_json::to_string(secret).expect("in memory"),
            STANDARD_NO_PAD.encode(secret),
            percent(secret),
        ] {
            let said = Diagnostic::remote("refused", "refused").cause(format!("not {quoted} here"));
            let hidden = secrets.hide_in(said).cause.clone().unwrap_or_default();
            assert!(hidden.contains("(sensitive)"), "{hidden}");
            assert!(!hidden.contains("pass"), "{hidden}");
        }
    }
}
