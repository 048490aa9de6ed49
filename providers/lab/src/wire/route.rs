//! Paths, and the templates that they fit.

use std::collections::BTreeMap;

/// Returns what a path gives for the placeholders of a template, if it fits.
pub(crate) fn fit(template: &str, path: &str) -> Option<BTreeMap<String, String>> {
    let mut found = BTreeMap::new();
    let mut rest = path.trim_matches('/');
    let mut parts = template.trim_matches('/').split('/').peekable();
    while let Some(part) = parts.next() {
        let is_last = parts.peek().is_none();
        let placeholder = part
            .strip_prefix('{')
            .and_then(|part| part.strip_suffix('}'));
        let takes_rest = is_last && matches!(placeholder, Some("volume" | "cidr"));
        let (first, after) = match rest.split_once('/') {
            Some((first, after)) if !takes_rest => (first, after),
            _ => (rest, ""),
        };
        if first.is_empty() {
            return None;
        }
        match placeholder {
            Some(name) => {
                found.insert(name.to_owned(), first.to_owned());
            }
            None if part == first => {}
            None => return None,
        }
        rest = after;
    }
    rest.is_empty().then_some(found)
}
