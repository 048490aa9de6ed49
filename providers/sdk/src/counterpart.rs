//! What a resource type is called elsewhere, and how the ids of `import` blocks follow from what is recorded there.
//!
//! `dmp state import` asks here. A type declares only what it can import by that id.

use serde_json::Value as Json;

/// A resource type of Terraform and OpenTofu whose objects a resource type can import.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counterpart {
    /// Its name there, such as `random_id`.
    pub name: &'static str,
    /// Forms of the id for an `import` block. The first counts for which all is recorded: `{a.b}` stands for an attribute
    /// that is a text or a number, `{/a}` for an absolute path.
    pub ids: &'static [&'static str],
}

impl Counterpart {
    /// The id of an object with these recorded attributes. `None` if they do not have what it is made of, or if a part of
    /// it is among the attributes named in `secrets`: an id stands in a file for everybody to read.
    #[must_use]
    pub fn id(&self, attributes: &Json, secrets: &[&str]) -> Option<String> {
        let mut forms = self.ids.iter();
        forms.find_map(|form| filled(form, attributes, secrets))
    }
}

fn filled(form: &str, attributes: &Json, secrets: &[&str]) -> Option<String> {
    let mut text = String::new();
    let mut rest = form;
    while let Some((before, after)) = rest.split_once('{') {
        let (path, after) = after.split_once('}')?;
        text.push_str(before);
        let (path, is_path) = match path.strip_prefix('/') {
            Some(path) => (path, true),
            None => (path, false),
        };
        let mut steps = path.split('.').peekable();
        if steps.peek().is_some_and(|first| secrets.contains(first)) {
            return None;
        }
        let found = steps.try_fold(attributes, |at, step| at.get(step))?;
        let found = match found {
            Json::String(found) if !found.is_empty() => found.clone(),
            Json::Number(found) => found.to_string(),
            _ => return None,
        };
        if is_path && !found.starts_with('/') {
            return None;
        }
        text.push_str(&found);
        rest = after;
    }
    text.push_str(rest);
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: Counterpart = Counterpart {
        name: "random_id",
        ids: &["{prefix},{a.b}", "{a.b}"],
    };

    #[test]
    fn the_first_form_counts_for_which_all_is_recorded() {
        let attributes = serde_json::json!({ "prefix": "p", "a": { "b": 7 } });
        assert_eq!(ID.id(&attributes, &[]).as_deref(), Some("p,7"));
        let attributes = serde_json::json!({ "prefix": null, "a": { "b": "x" } });
        assert_eq!(ID.id(&attributes, &[]).as_deref(), Some("x"));
        assert_eq!(ID.id(&serde_json::json!({}), &[]), None);
    }

    #[test]
    fn a_secret_and_a_relative_path_make_no_id() {
        let attributes = serde_json::json!({ "a": { "b": "x" } });
        assert_eq!(ID.id(&attributes, &["a"]), None);
        let file = Counterpart {
            name: "local_file",
            ids: &["{/filename}"],
        };
        let at = |path: &str| file.id(&serde_json::json!({ "filename": path }), &[]);
        assert_eq!(at("/etc/motd").as_deref(), Some("/etc/motd"));
        assert_eq!(at("./motd"), None);
    }
}
