//! Modules that come from outside: where from, in Terraform's forms, and what `dmp.lock.hcl` says of them.
//!
//! Pure: fetching is the command line's, reading what was fetched is `load`'s. What a source says is handed to the
//! `git` program, so it is held against narrow rules here: nothing in it can be an option or choose another transport.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Component, Path};
use std::sync::Arc;

use dmp_sdk::Diagnostic;
use sha2::{Digest, Sha256};

use crate::ast::Block;
use crate::parse::parse_file;

/// The file in a stack's folder that says which commit of each module is used.
pub const LOCK_FILE: &str = "dmp.lock.hcl";

/// Where fetched modules are, counted from the stack's folder.
pub const PACKAGES: &str = ".dmp/modules";

/// What the `source` of a module call means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// A folder.
    Folder,
    /// A folder of a repository.
    Package {
        /// The repository.
        package: Package,
        /// The folder in it; empty for its root.
        below: String,
    },
}

/// A git repository, and what of it is wanted.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Package {
    /// The repository's URL as git takes it, without a password.
    pub url: String,
    /// The branch, tag or commit, as it is written; without one it is what the repository's `HEAD` says.
    pub reference: Option<String>,
    /// Who fetches it over HTTP. In no lock file, no message, no argument of a process.
    pub credentials: Option<Credentials>,
}

/// A user and a password that stand in a URL.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Credentials {
    /// The user; a token may stand here alone.
    pub user: String,
    /// The password.
    pub password: String,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credentials")
    }
}

impl Package {
    /// The name of the folder that one of its commits is kept in.
    #[must_use]
    pub fn folder_name(&self, commit: &str) -> String {
        let last = self.url.rsplit(['/', ':']).next().unwrap_or_default();
        let last = last.strip_suffix(".git").unwrap_or(last);
        let is_plain = |letter: &char| letter.is_ascii_alphanumeric() || *letter == '-';
        let name: String = last.chars().filter(is_plain).take(40).collect();
        let digest = Sha256::digest(format!("{}\n{commit}", self.url));
        let digest = hex::encode(digest);
        format!("{name}-{}", &digest[..16])
    }

    fn key(&self) -> (String, Option<String>) {
        (format!("git::{}", self.url), self.reference.clone())
    }
}

impl fmt::Display for Package {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "git::{}", self.url)?;
        match &self.reference {
            Some(reference) => write!(f, "?ref={reference}"),
            None => Ok(()),
        }
    }
}

/// Reads the `source` of a module call.
///
/// # Errors
/// Why it can't be used, in words that quote no secret.
pub fn read_source(text: &str) -> Result<Source, String> {
    if text.starts_with("./") || text.starts_with("../") || [".", ".."].contains(&text) {
        return Ok(Source::Folder);
    }
    if text.starts_with('/') {
        return Ok(Source::Folder);
    }
    let (text, query) = text.split_once('?').unwrap_or((text, ""));
    let (address, below) = match text.strip_prefix("git::") {
        Some(address) => split_below(address),
        None => detected(text)?,
    };
    let (url, credentials) = url(&address)?;
    Ok(Source::Package {
        package: Package {
            url,
            reference: reference(query)?,
            credentials,
        },
        below: folder_below(&below)?,
    })
}

/// A source without `git::`: a host that is known for its repositories, or `user@host:path`.
fn detected(text: &str) -> Result<(String, String), String> {
    for host in ["github.com/", "bitbucket.org/"] {
        let Some(path) = text.strip_prefix(host) else {
            continue;
        };
        let (path, below) = split_below(path);
        let mut parts = path.splitn(3, '/');
        let (Some(owner), Some(name)) = (parts.next(), parts.next()) else {
            return Err(format!("`{host}OWNER/REPOSITORY` is expected"));
        };
        let name = name.strip_suffix(".git").unwrap_or(name);
        let inside = parts.next().unwrap_or_default();
        let below = match (inside.is_empty(), below.is_empty()) {
            (true, _) => below,
            (false, true) => inside.to_owned(),
            (false, false) => format!("{inside}/{below}"),
        };
        return Ok((format!("https://{host}{owner}/{name}.git"), below));
    }
    let is_short = !text.contains("://")
        && text.split_once(':').is_some_and(|(host, _)| {
            host.split_once('@')
                .is_some_and(|(_, host)| !host.contains('/'))
        });
    if is_short {
        return Ok(split_below(text));
    }
    let kind = match text.split_once("::") {
        Some((kind, _)) => format!("modules by `{kind}::` are not carried out"),
        None if text.contains("://") => "modules from web servers are not carried out".to_owned(),
        None => "modules from registries are not carried out".to_owned(),
    };
    Err(format!(
        "{kind}: a module is a folder (`./…`) or in a git repository (`git::…`)"
    ))
}

/// What stands before `//` and behind it, beyond that of the scheme.
fn split_below(text: &str) -> (String, String) {
    let start = text.find("://").map_or(0, |at| at + 3);
    match text[start..].find("//") {
        Some(at) => (
            text[..start + at].to_owned(),
            text[start + at + 2..].to_owned(),
        ),
        None => (text.to_owned(), String::new()),
    }
}

fn url(address: &str) -> Result<(String, Option<Credentials>), String> {
    let is_strange = |letter: char| {
        letter.is_whitespace() || letter.is_control() || "\"'\\{}<>`|^$".contains(letter)
    };
    if address.contains(is_strange) {
        return Err("its URL has letters that no URL has".into());
    }
    let Some((scheme, rest)) = address.split_once("://") else {
        return short_ssh(address);
    };
    if !SCHEMES.contains(&scheme) {
        return Err(format!(
            "repositories are fetched by {}, not by `{scheme}`",
            SCHEMES.join(", ")
        ));
    }
    if scheme == "file" {
        return match rest.starts_with('/') {
            true => Ok((address.to_owned(), None)),
            false => Err("`file://` is followed by an absolute path".into()),
        };
    }
    let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
    let (user, host) = match authority.rsplit_once('@') {
        Some((user, host)) => (Some(user), host),
        None => (None, authority),
    };
    if host.is_empty() || host.starts_with('-') || path.is_empty() {
        return Err("its URL has no host or no path".into());
    }
    match (scheme, user) {
        (_, None) => Ok((address.to_owned(), None)),
        ("http" | "https", Some(user)) => {
            let (name, password) = user.split_once(':').unwrap_or((user, ""));
            let credentials = Credentials {
                user: unescaped(name)?,
                password: unescaped(password)?,
            };
            Ok((format!("{scheme}://{host}/{path}"), Some(credentials)))
        }
        (_, Some(user)) if user.contains(':') => {
            Err("a password can't be given here: SSH is asked with a key".into())
        }
        (_, Some(user)) if user.is_empty() || user.starts_with('-') => {
            Err("its URL has no user before the `@`".into())
        }
        (_, Some(_)) => Ok((address.to_owned(), None)),
    }
}

/// `user@host:path`, as git and SSH write it.
fn short_ssh(address: &str) -> Result<(String, Option<Credentials>), String> {
    let parts = address
        .split_once(':')
        .and_then(|(login, path)| Some((login.split_once('@')?, path)));
    let Some(((user, host), path)) = parts else {
        return Err("its URL has no scheme, such as `https://`".into());
    };
    let is_wrong =
        |text: &str| text.is_empty() || text.starts_with('-') || text.contains(['/', '@', ':']);
    if is_wrong(user) || is_wrong(host) || path.is_empty() || path.starts_with('-') {
        return Err("`user@host:path` is expected".into());
    }
    let slash = if path.starts_with('/') { "" } else { "/" };
    Ok((format!("ssh://{user}@{host}{slash}{path}"), None))
}

fn reference(query: &str) -> Result<Option<String>, String> {
    let mut found = None;
    for part in query.split('&').filter(|part| !part.is_empty()) {
        let (name, value) = part.split_once('=').unwrap_or((part, ""));
        match name {
            "ref" => found = Some(unescaped(value)?),
            // How much of the history is fetched makes no difference to what is used.
            "depth" => {}
            _ => return Err(format!("`{}` is not known here, only `ref`", plain(name))),
        }
    }
    let Some(reference) = found else {
        return Ok(None);
    };
    let is_strange = |letter: char| {
        letter.is_whitespace() || letter.is_control() || "~^:?*[]\\\"'{}<>`|$+".contains(letter)
    };
    let is_wrong = reference.is_empty()
        || reference.len() > 255
        || reference.starts_with(['-', '/', '.'])
        || reference.ends_with(['/', '.'])
        || ["..", "//", "@{"]
            .iter()
            .any(|pair| reference.contains(pair))
        || reference.contains(is_strange);
    match is_wrong {
        true => Err("`ref` is no name of a branch, a tag or a commit".into()),
        false => Ok(Some(reference)),
    }
}

fn folder_below(text: &str) -> Result<String, String> {
    let mut parts = Vec::new();
    for component in Path::new(text).components() {
        match component {
            Component::Normal(part) => parts.push(part.to_string_lossy().into_owned()),
            Component::CurDir => {}
            _ => return Err("what follows `//` is a folder inside the repository".into()),
        }
    }
    match parts.first().is_some_and(|first| first == ".git") {
        true => Err("what follows `//` is a folder inside the repository".into()),
        false => Ok(parts.join("/")),
    }
}

fn unescaped(text: &str) -> Result<String, String> {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((first, behind)) = rest.split_first() {
        if *first != b'%' {
            bytes.push(*first);
            rest = behind;
            continue;
        }
        let digits = behind
            .get(..2)
            .and_then(|two| std::str::from_utf8(two).ok());
        let byte = digits.and_then(|digits| u8::from_str_radix(digits, 16).ok());
        bytes.push(byte.ok_or("a `%` in its URL is not followed by two digits")?);
        rest = &behind[2..];
    }
    String::from_utf8(bytes).map_err(|_| "its URL is not UTF-8".into())
}

/// A source as it may be shown: without what stands before an `@`.
#[must_use]
pub fn without_login(text: &str) -> String {
    match text.rfind('@') {
        Some(at) if has_login(text) => {
            let start = text.find("://").map_or(0, |at| at + 3);
            format!("{}…{}", &text[..start], &text[at..])
        }
        _ => text.to_owned(),
    }
}

/// Whether a source may have a secret in it, so that its line must not be shown.
#[must_use]
pub fn has_login(text: &str) -> bool {
    let address = text.split('?').next().unwrap_or_default();
    match address.find("://") {
        Some(at) => address[at + 3..].contains('@'),
        None => false,
    }
}

fn plain(text: &str) -> String {
    text.chars()
        .filter(|letter| !letter.is_control())
        .take(40)
        .collect()
}

const SCHEMES: [&str; 5] = ["https", "ssh", "http", "git", "file"];

/// What `dmp.lock.hcl` says: for each package the commit and what is in it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LockedPackages(BTreeMap<(String, Option<String>), Locked>);

/// A package as it is used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Locked {
    /// The commit, in hexadecimal.
    pub commit: String,
    /// `sha256:` and SHA-256 over all names and contents, in hexadecimal.
    pub digest: String,
}

impl LockedPackages {
    /// What is locked of a package.
    #[must_use]
    pub fn get(&self, package: &Package) -> Option<&Locked> {
        self.0.get(&package.key())
    }

    /// Locks a package.
    pub fn insert(&mut self, package: &Package, locked: Locked) {
        self.0.insert(package.key(), locked);
    }

    /// Whether nothing is locked.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The lock file's text.
    #[must_use]
    pub fn to_text(&self) -> String {
        let mut text = "# Which commit of each module is used. Written by `dmp init`; it belongs into version control.\n".to_owned();
        for ((source, reference), locked) in &self.0 {
            text.push_str(&format!("\nmodule \"{source}\" {{\n"));
            if let Some(reference) = reference {
                text.push_str(&format!("  ref    = \"{reference}\"\n"));
            }
            text.push_str(&format!(
                "  commit = \"{}\"\n  digest = \"{}\"\n}}\n",
                locked.commit, locked.digest
            ));
        }
        text
    }

    /// Reads the text of a lock file.
    ///
    /// # Errors
    /// What is wrong in it.
    pub fn parse(text: &str, name: &str) -> Result<Self, Vec<Diagnostic>> {
        let (body, mut failed) = parse_file(text, name);
        let mut found = Self::default();
        for block in &body.blocks {
            match entry(block) {
                Some((key, locked)) => {
                    found.0.insert(key, locked);
                }
                None => failed.push(
                    Diagnostic::error("wrong-lock", "lock file can't be understood")
                        .detail("`module \"SOURCE\"` with `ref`, `commit` and `digest` is expected")
                        .at(block.span.clone())
                        .help("bring back what `dmp init` wrote, or remove the file and run `dmp init`"),
                ),
            }
        }
        match failed.is_empty() {
            true => Ok(found),
            false => Err(failed),
        }
    }
}

fn entry(block: &Block) -> Option<((String, Option<String>), Locked)> {
    let text = |name: &str| block.body.expr(name).and_then(|expr| expr.as_text());
    let [label] = block.labels.as_slice() else {
        return None;
    };
    let names = block.body.attributes.keys().map(AsRef::as_ref);
    let is_known = names
        .into_iter()
        .all(|name| ["ref", "commit", "digest"].contains(&name));
    if block.kind.text.as_ref() != "module" || !is_known || !block.body.blocks.is_empty() {
        return None;
    }
    let reference = match block.body.expr("ref") {
        Some(expr) => Some(expr.as_text()?.to_string()),
        None => None,
    };
    let is_hex = |text: &str| text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let commit = text("commit").filter(|text| [40, 64].contains(&text.len()) && is_hex(text))?;
    let digest: &Arc<str> = text("digest").filter(|text| {
        let digits = text.strip_prefix("sha256:");
        digits.is_some_and(|digits| digits.len() == 64 && is_hex(digits))
    })?;
    let locked = Locked {
        commit: commit.to_string(),
        digest: digest.to_string(),
    };
    Some(((label.text.to_string(), reference), locked))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn package(text: &str) -> (String, Option<String>, String) {
        match read_source(text) {
            Ok(Source::Package { package, below }) => (package.url, package.reference, below),
            other => panic!("{text}: {other:?}"),
        }
    }

    #[test]
    fn sources_are_those_of_terraform() {
        for (text, url, reference, below) in [
            (
                "git::https://example.com/net.git",
                "https://example.com/net.git",
                None,
                "",
            ),
            (
                "git::https://example.com/net.git//a/b?ref=v1.2",
                "https://example.com/net.git",
                Some("v1.2"),
                "a/b",
            ),
            (
                "git::ssh://git@example.com:2222/net.git?ref=feature%2Fx&depth=1",
                "ssh://git@example.com:2222/net.git",
                Some("feature/x"),
                "",
            ),
            ("git::file:///srv/net//sub", "file:///srv/net", None, "sub"),
            (
                "git::git@example.com:org/net.git//sub",
                "ssh://git@example.com/org/net.git",
                None,
                "sub",
            ),
            (
                "git@github.com:org/net.git",
                "ssh://git@github.com/org/net.git",
                None,
                "",
            ),
            (
                "github.com/org/net",
                "https://github.com/org/net.git",
                None,
                "",
            ),
            (
                "github.com/org/net.git//sub?ref=main",
                "https://github.com/org/net.git",
                Some("main"),
                "sub",
            ),
            (
                "github.com/org/net/deep/sub",
                "https://github.com/org/net.git",
                None,
                "deep/sub",
            ),
            (
                "git::https://user:pa%20ss@example.com/net.git",
                "https://example.com/net.git",
                None,
                "",
            ),
        ] {
            let found = package(text);
            assert_eq!(
                found,
                (
                    url.to_owned(),
                    reference.map(ToOwned::to_owned),
                    below.to_owned()
                ),
                "{text}"
            );
        }
        for text in ["./a", "../a", ".", "/srv/a"] {
            assert_eq!(read_source(text), Ok(Source::Folder), "{text}");
        }
    }

    #[test]
    fn nothing_in_a_source_is_an_option_or_another_transport() {
        for text in [
            "git::ext::sh -c touch% /tmp/x",
            "git::ext://sh",
            "git::--upload-pack=touch",
            "git::-u@host:path",
            "git::git@-oProxyCommand=x:path",
            "git::ssh://-oProxyCommand=x/path",
            "git::ssh://git:secret@host/path",
            "git::https://host/a.git?ref=--upload-pack=x",
            "git::https://host/a.git?ref=+refs/heads/a:refs/heads/b",
            "git::https://host/a.git?ref=a..b",
            "git::https://host/a.git?sshkey=abc",
            "git::https://host/a.git//../../etc",
            "git::https://host/a.git//.git",
            "git::https://host/a b.git",
            "git::file://relative/path",
            "hg::https://host/a",
            "https://host/a.zip",
            "hashicorp/consul/aws",
            "net",
        ] {
            let refused = read_source(text).expect_err(text);
            assert!(!refused.contains("secret"), "{refused}");
        }
    }

    #[test]
    fn a_login_is_in_nothing_that_is_shown() {
        let text = "git::https://token:hunter2@example.com/net.git?ref=v1";
        let Ok(Source::Package { package, .. }) = read_source(text) else {
            panic!("it is one");
        };
        let mut lock = LockedPackages::default();
        let locked = Locked {
            commit: "a".repeat(40),
            digest: format!("sha256:{}", "b".repeat(64)),
        };
        lock.insert(&package, locked);
        let shown = [
            package.to_string(),
            format!("{package:?}"),
            without_login(text),
            lock.to_text(),
            package.folder_name("a"),
        ];
        for shown in shown {
            assert!(
                !shown.contains("hunter2") && !shown.contains("token"),
                "{shown}"
            );
        }
        assert!(has_login(text) && !has_login("git@github.com:a/b"));
        assert_eq!(LockedPackages::parse(&lock.to_text(), "lock"), Ok(lock));
    }

    #[test]
    fn a_lock_file_that_says_something_else_is_refused() {
        for text in [
            "module \"a\" {\n}\n",
            "module \"a\" {\n  commit = \"--x\"\n  digest = \"sha256:\"\n}\n",
            "lock {\n}\n",
        ] {
            assert!(LockedPackages::parse(text, "lock").is_err(), "{text}");
        }
    }
}
