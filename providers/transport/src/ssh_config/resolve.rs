//! Goes over the files line by line, as OpenSSH does, and takes what holds for one host. Called by [`super::SshConfig`];
//! pure: files come in through [`Files`]. Nothing is ever run: a `Match` that wants a command run does not match.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::expand::{self, Person, Tokens};
use super::pattern;
use super::settings::{Place, Settings, is_known};
use super::words::{Line, criteria};

/// Where texts come from.
pub trait Files {
    /// The text of a file; `None` where there is none.
    ///
    /// # Errors
    /// In words, when it is there and can't be read or trusted.
    fn read(&self, path: &Path) -> Result<Option<Arc<str>>, String>;

    /// The files that fit a pattern of a shell, in the order of their names.
    fn matching(&self, pattern: &str) -> Vec<PathBuf>;
}

/// What is asked of the configuration.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Asked {
    /// The host, as `ssh` would be given it.
    pub host: String,
    /// The user, where it is settled already.
    pub user: Option<String>,
    /// The port, where it is settled already.
    pub port: Option<u16>,
}

/// One of the files to go over, and the folder that its `Include` starts from.
#[derive(Clone, Debug)]
pub struct Root {
    /// The file.
    pub file: PathBuf,
    /// The folder of its relative `Include`s.
    pub folder: PathBuf,
    /// Whether it is a person's own, where `~` has a meaning in `Include`.
    pub is_own: bool,
    /// Whether it has to be there.
    pub is_needed: bool,
}

/// A file that can't be taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {why}")]
pub struct ConfigError {
    /// The line.
    pub place: String,
    /// What is wrong with it.
    pub why: String,
}

/// What the files say of a host, as it is written there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// The settings, the given user and port among them.
    pub settings: Settings,
    /// The name to connect to: `HostName`, or what was asked for, in small letters.
    pub host: String,
    /// The `Match exec` lines that would have counted, had their commands been run.
    pub passed_over: Vec<Place>,
}

/// Looks a host up.
pub(super) fn resolve(
    roots: &[Root],
    asked: &Asked,
    person: &Person,
    files: &dyn Files,
) -> Result<Found, ConfigError> {
    let mut pass = Pass {
        asked,
        person,
        files,
        host: asked.host.clone(),
        settings: Settings {
            user: asked.user.clone(),
            port: asked.port,
            ..Settings::default()
        },
        is_final: false,
        wants_final: false,
        passed_over: Vec::new(),
        lines: 0,
    };
    pass.over(roots)?;
    let host = pass.target().to_ascii_lowercase();
    pass.check_host_name()?;
    if pass.wants_final || pass.settings.canonicalize == Some(true) {
        // What is asked for by then is the name that was found.
        pass.host.clone_from(&host);
        pass.settings.host_name = Some(host.replace('%', "%%"));
        pass.is_final = true;
        pass.over(roots)?;
    }
    pass.passed_over.dedup();
    Ok(Found {
        host,
        settings: pass.settings,
        passed_over: pass.passed_over,
    })
}

/// What is wrong with a line.
enum Wrong {
    /// The line itself.
    Here(String),
    /// A line of a file that it includes.
    Within(ConfigError),
}

impl From<String> for Wrong {
    fn from(why: String) -> Self {
        Self::Here(why)
    }
}

impl From<&str> for Wrong {
    fn from(why: &str) -> Self {
        Self::Here(why.to_owned())
    }
}

struct Pass<'a> {
    asked: &'a Asked,
    person: &'a Person,
    files: &'a dyn Files,
    /// What `Host` is held against.
    host: String,
    settings: Settings,
    is_final: bool,
    wants_final: bool,
    passed_over: Vec<Place>,
    lines: usize,
}

/// Where in the nest of files a line stands.
#[derive(Clone, Copy)]
struct Nest<'a> {
    root: &'a Root,
    depth: usize,
    /// Whether the block around an `Include` does not hold: then nothing in the file does.
    is_dead: bool,
}

impl Pass<'_> {
    fn over(&mut self, roots: &[Root]) -> Result<(), ConfigError> {
        for root in roots {
            let nest = Nest {
                root,
                depth: 0,
                is_dead: false,
            };
            let is_there = self.file(&root.file, nest)?;
            if !is_there && root.is_needed {
                return Err(ConfigError {
                    place: root.file.display().to_string(),
                    why: "there is no such file".into(),
                });
            }
        }
        Ok(())
    }

    /// Whether the file is there.
    fn file(&mut self, path: &Path, nest: Nest<'_>) -> Result<bool, ConfigError> {
        let file = path.display().to_string();
        let text = self.files.read(path).map_err(|why| ConfigError {
            place: file.clone(),
            why,
        })?;
        let Some(text) = text else { return Ok(false) };
        let mut is_active = !nest.is_dead;
        for (index, line) in text.split('\n').enumerate() {
            let Some(line) = Line::of(line) else { continue };
            let place = Place {
                file: file.clone(),
                line: index + 1,
            };
            self.lines += 1;
            let taken = if self.lines > MOST_LINES {
                let why = format!("more than {MOST_LINES} lines, with all that is included");
                Err(Wrong::Here(why))
            } else {
                self.line(&line, &place, nest, &mut is_active)
            };
            taken.map_err(|wrong| match wrong {
                Wrong::Within(error) => error,
                Wrong::Here(why) => ConfigError {
                    place: place.to_string(),
                    why,
                },
            })?;
        }
        Ok(true)
    }

    fn line(
        &mut self,
        line: &Line<'_>,
        place: &Place,
        nest: Nest<'_>,
        is_active: &mut bool,
    ) -> Result<(), Wrong> {
        let keyword = line.keyword.as_str();
        let is_block = matches!(keyword, "host" | "match" | "include");
        if !is_block && !is_known(keyword) {
            return Ok(());
        }
        if line.rest.is_empty() {
            return Err(format!("`{keyword}` has no value").into());
        }
        match keyword {
            "host" => {
                let patterns = line.arguments()?;
                *is_active = !nest.is_dead && self.is_host(&patterns)?;
            }
            "match" => {
                let holds = self.holds(&criteria(line.rest), place, !nest.is_dead)?;
                *is_active = holds && !nest.is_dead;
            }
            "include" => self.include(&line.arguments()?, nest, *is_active)?,
            "proxyjump" | "proxycommand" => {
                let rest = line.whole_rest();
                self.settings.take_proxy(keyword, rest, place, *is_active)?;
            }
            _ => self
                .settings
                .take(keyword, &line.arguments()?, *is_active)?,
        }
        Ok(())
    }

    fn is_host(&self, patterns: &[String]) -> Result<bool, String> {
        if patterns.is_empty() || patterns.iter().any(String::is_empty) {
            return Err("`Host` names no host".into());
        }
        let mut holds = false;
        for pattern in patterns {
            let positive = pattern.strip_prefix('!');
            let text = positive.unwrap_or(pattern);
            if pattern::matches(text.as_bytes(), self.host.as_bytes()) {
                if positive.is_some() {
                    return Ok(false);
                }
                holds = true;
            }
        }
        Ok(holds)
    }

    /// Whether all criteria of a `Match` hold.
    fn holds(&mut self, words: &[String], place: &Place, counts: bool) -> Result<bool, String> {
        let mut words = words.iter();
        let mut holds = true;
        let mut number = 0;
        while let Some(word) = words.next() {
            let bare = word.strip_prefix('!');
            let negated = bare.is_some();
            let name = bare.unwrap_or(word).to_ascii_lowercase();
            if name == "all" {
                if number > 1 || words.next().is_some() {
                    return Err(
                        "`all` of `Match` stands alone, or after `final` or `canonical`".into(),
                    );
                }
                return Ok(holds && !negated);
            }
            number += 1;
            if name == "canonical" || name == "final" {
                self.wants_final |= name == "final";
                holds &= self.is_final != negated;
                continue;
            }
            let list = words.next();
            let list = list.ok_or_else(|| format!("`{name}` of `Match` has no value"))?;
            let fits = match name.as_str() {
                "host" => pattern::matches_hosts(list, &self.target()),
                "originalhost" => pattern::matches_hosts(list, &self.asked.host),
                "user" => {
                    let user = self.settings.user.as_ref().unwrap_or(&self.person.login);
                    pattern::matches_list(list, user)
                }
                "localuser" => pattern::matches_list(list, &self.person.name),
                "exec" => {
                    if holds && counts {
                        self.passed_over.push(place.clone());
                    }
                    negated
                }
                _ => return Err(format!("`Match` knows no `{name}`")),
            };
            holds &= fits != negated;
        }
        if number == 0 {
            return Err("`Match` has no criteria".into());
        }
        Ok(holds)
    }

    /// The name to connect to, as far as it is known by now.
    fn target(&self) -> String {
        match &self.settings.host_name {
            Some(name) => self.host_tokens(name).unwrap_or_else(|_| name.clone()),
            None => self.host.clone(),
        }
    }

    fn host_tokens(&self, name: &str) -> Result<String, String> {
        let tokens = Tokens {
            host: self.host.clone(),
            ..Tokens::default()
        };
        tokens.fill(name, expand::OF_HOST_NAME, self.person)
    }

    fn check_host_name(&self) -> Result<(), ConfigError> {
        let Some(name) = &self.settings.host_name else {
            return Ok(());
        };
        self.host_tokens(name)
            .map(|_| ())
            .map_err(|why| ConfigError {
                place: format!("`HostName` of `{}`", self.asked.host),
                why,
            })
    }

    fn include(
        &mut self,
        patterns: &[String],
        nest: Nest<'_>,
        is_active: bool,
    ) -> Result<(), Wrong> {
        if patterns.is_empty() {
            return Err("`Include` names no file".to_owned().into());
        }
        if nest.depth >= DEEPEST {
            return Err(format!("`Include` is nested more than {DEEPEST} deep").into());
        }
        for pattern in patterns {
            let pattern = self.included(pattern, nest.root)?;
            for path in self.files.matching(&pattern) {
                let inner = Nest {
                    depth: nest.depth + 1,
                    is_dead: nest.is_dead || !is_active,
                    ..nest
                };
                self.file(&path, inner).map_err(Wrong::Within)?;
            }
        }
        Ok(())
    }

    fn included(&self, pattern: &str, root: &Root) -> Result<String, String> {
        if pattern.starts_with('~') {
            if !root.is_own {
                return Err(format!(
                    "`{pattern}`: `~` has no meaning in a file for everybody"
                ));
            }
            return expand::tilde(pattern, self.person);
        }
        if pattern.starts_with('/') {
            return Ok(pattern.to_owned());
        }
        Ok(format!("{}/{pattern}", root.folder.display()))
    }
}

/// How deep files may include one another.
const DEEPEST: usize = 16;

/// A file that includes others many times over ends here, not when the memory does.
const MOST_LINES: usize = 100_000;
