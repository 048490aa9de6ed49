//! What stands for something else in a value: `%h` and its like, `~`, `${NAME}`. Called by `resolve` and `found`; pure:
//! what the person and the machine here are called comes in as [`Person`].

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use aws_lc_rs::digest;

/// Who runs dmp, and where.
#[derive(Clone, Debug, Default)]
pub struct Person {
    /// The login name here.
    pub name: String,
    /// Who logs in where nothing says so.
    pub login: String,
    /// The number of the user here.
    pub uid: u32,
    /// The home folder: `~` and `%d`.
    pub home: PathBuf,
    /// Home folders of others, for `~name`.
    pub homes: BTreeMap<String, PathBuf>,
    /// The name of the machine here, with its domain: `%l`; up to the first dot: `%L`.
    pub host: String,
    /// Environment variables, for `${NAME}`.
    pub variables: BTreeMap<String, String>,
}

/// What the tokens of one connection stand for.
#[derive(Clone, Debug, Default)]
pub(super) struct Tokens {
    /// `%h`.
    pub(super) host: String,
    /// `%n`: as it was asked for.
    pub(super) asked: String,
    /// `%p`.
    pub(super) port: u16,
    /// `%r`.
    pub(super) user: String,
    /// `%k`.
    pub(super) alias: String,
    /// `%j`.
    pub(super) jump: String,
}

/// The tokens of `HostName`.
pub(super) const OF_HOST_NAME: &str = "h";
/// The tokens of `ProxyJump`.
pub(super) const OF_JUMP: &str = "hnpr";
/// The tokens of everything that is a path.
pub(super) const OF_PATHS: &str = "CdhijkLlnpru";

impl Tokens {
    /// Replaces the tokens that the keyword allows.
    pub(super) fn fill(
        &self,
        text: &str,
        allowed: &str,
        person: &Person,
    ) -> Result<String, String> {
        let mut filled = String::new();
        let mut rest = text.chars();
        while let Some(char) = rest.next() {
            if char != '%' {
                filled.push(char);
                continue;
            }
            match rest.next() {
                Some('%') => filled.push('%'),
                Some(token) if allowed.contains(token) => {
                    filled.push_str(&self.value(token, person));
                }
                Some(token) => return Err(format!("`%{token}` means nothing in `{text}`")),
                None => return Err(format!("`{text}` ends with a single `%`")),
            }
        }
        Ok(filled)
    }

    fn value(&self, token: char, person: &Person) -> String {
        match token {
            'C' => self.digest(person),
            'd' => person.home.display().to_string(),
            'h' => self.host.clone(),
            'i' => person.uid.to_string(),
            'j' => self.jump.clone(),
            'k' => self.alias.clone(),
            'L' => person.host.split('.').next().unwrap_or_default().to_owned(),
            'l' => person.host.clone(),
            'n' => self.asked.clone(),
            'p' => self.port.to_string(),
            'r' => self.user.clone(),
            _ => person.name.clone(),
        }
    }

    /// `%C`: tells connections apart, so its weakness does no harm.
    fn digest(&self, person: &Person) -> String {
        let port = self.port.to_string();
        let parts = [&person.host, &self.host, &port, &self.user, &self.jump];
        let text: String = parts.into_iter().map(String::as_str).collect();
        let digest = digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, text.as_bytes());
        hex::encode(digest)
    }
}

/// Replaces a `~` or `~name` at the beginning.
pub(super) fn tilde(text: &str, person: &Person) -> Result<String, String> {
    let Some(rest) = text.strip_prefix('~') else {
        return Ok(text.to_owned());
    };
    let (name, path) = rest.split_once('/').unwrap_or((rest, ""));
    let home: &Path = if name.is_empty() || name == person.name {
        &person.home
    } else {
        let home = person.homes.get(name);
        home.ok_or_else(|| format!("`{text}`: there is no user `{name}` here"))?
    };
    let path = path.trim_start_matches('/');
    Ok(if path.is_empty() {
        home.display().to_string()
    } else {
        format!(
            "{}/{path}",
            home.display().to_string().trim_end_matches('/')
        )
    })
}

/// Replaces each `${NAME}`.
pub(super) fn variables(text: &str, person: &Person) -> Result<String, String> {
    let mut filled = String::new();
    let mut rest = text;
    while let Some((before, from)) = rest.split_once("${") {
        let (name, after) = from
            .split_once('}')
            .ok_or_else(|| format!("`{text}`: a brace is not closed"))?;
        let value = person.variables.get(name);
        let value = value
            .ok_or_else(|| format!("`{text}`: the environment variable `{name}` is not set"))?;
        filled.push_str(before);
        filled.push_str(value);
        rest = after;
    }
    filled.push_str(rest);
    Ok(filled)
}

/// A path with everything replaced.
pub(super) fn path(text: &str, tokens: &Tokens, person: &Person) -> Result<String, String> {
    let text = tilde(text, person)?;
    // What a variable brings in is not looked at for tokens.
    let mut filled = String::new();
    let mut rest = text.as_str();
    while let Some(at) = rest.find("${") {
        let end = rest[at..].find('}').map_or(rest.len(), |end| at + end + 1);
        filled.push_str(&tokens.fill(&rest[..at], OF_PATHS, person)?);
        filled.push_str(&variables(&rest[at..end], person)?);
        rest = &rest[end..];
    }
    filled.push_str(&tokens.fill(rest, OF_PATHS, person)?);
    Ok(filled)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_homes_and_variables_are_replaced_and_unknown_ones_refused() {
        let person = Person {
            name: "ann".into(),
            uid: 1000,
            home: "/home/ann".into(),
            homes: [("bob".into(), "/home/bob".into())].into(),
            host: "desk.example.org".into(),
            variables: [("DIR".into(), "/x%h".into())].into(),
            ..Person::default()
        };
        let tokens = Tokens {
            host: "10.0.0.1".into(),
            asked: "web".into(),
            port: 22,
            user: "root".into(),
            alias: "web".into(),
            jump: String::new(),
        };
        let path = |text| path(text, &tokens, &person);
        assert_eq!(
            path("~/a-%h-%n-%p-%r-%%"),
            Ok("/home/ann/a-10.0.0.1-web-22-root-%".into())
        );
        assert_eq!(path("~bob//k").as_deref(), Ok("/home/bob/k"));
        assert_eq!(
            path("%d/%u.%i.%L.%l").as_deref(),
            Ok("/home/ann/ann.1000.desk.desk.example.org")
        );
        assert_eq!(path("${DIR}/%k").as_deref(), Ok("/x%h/web"));
        for wrong in ["%z", "x%", "${NONE}", "${DIR", "~carl/x"] {
            assert!(path(wrong).is_err(), "{wrong}");
        }
    }
}
