//! The settings that dmp takes from the file, each with its own rule for which value counts. Called by `resolve`; pure.

use super::jump::{self, Hop};

/// What a line says, and where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The file.
    pub file: String,
    /// The line, from 1 on.
    pub line: usize,
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.file, self.line)
    }
}

/// `StrictHostKeyChecking`. None of them makes dmp accept a key that has changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Strictness {
    /// `ask`: dmp pins at the first contact.
    #[default]
    Ask,
    /// `accept-new`: the same.
    AcceptNew,
    /// `no` and `off`: the same.
    Off,
    /// `yes`: a key that is not known is refused.
    Yes,
}

/// Settings as they are written, for one host: the first value counts, files of keys and certificates add up.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// `HostName`, with its tokens.
    pub host_name: Option<String>,
    /// `User`.
    pub user: Option<String>,
    /// `Port`.
    pub port: Option<u16>,
    /// `IdentityFile`, each once.
    pub identity_files: Vec<String>,
    /// `CertificateFile`, each once.
    pub certificate_files: Vec<String>,
    /// `IdentitiesOnly`.
    pub identities_only: Option<bool>,
    /// `IdentityAgent`.
    pub identity_agent: Option<String>,
    /// `ProxyJump`; the inner `None` is its `none`.
    pub jump: Option<Option<Vec<Hop>>>,
    /// `ProxyCommand`, unless it is `none`, and where it stands.
    pub proxy_command: Option<(String, Place)>,
    /// `UserKnownHostsFile`; empty for `none`.
    pub user_known_hosts: Option<Vec<String>>,
    /// `GlobalKnownHostsFile`; empty for `none`.
    pub global_known_hosts: Option<Vec<String>>,
    /// `HostKeyAlias`.
    pub host_key_alias: Option<String>,
    /// `StrictHostKeyChecking`.
    pub strictness: Option<Strictness>,
    /// `ConnectTimeout` in seconds.
    pub connect_timeout: Option<u32>,
    /// `ServerAliveInterval` in seconds; 0 for never.
    pub alive_interval: Option<u32>,
    /// `ServerAliveCountMax`.
    pub alive_count_max: Option<u32>,
    /// Whether `CanonicalizeHostname` asks for a second pass.
    pub canonicalize: Option<bool>,
}

/// The keywords that dmp knows. All others are passed over.
pub(super) fn is_known(keyword: &str) -> bool {
    KEYWORDS.contains(&keyword)
}

const KEYWORDS: [&str; 17] = [
    "hostname",
    "user",
    "port",
    "identityfile",
    "certificatefile",
    "identitiesonly",
    "identityagent",
    "proxyjump",
    "proxycommand",
    "userknownhostsfile",
    "globalknownhostsfile",
    "hostkeyalias",
    "stricthostkeychecking",
    "connecttimeout",
    "serveraliveinterval",
    "serveralivecountmax",
    "canonicalizehostname",
];

impl Settings {
    /// Takes a line whose value is the rest of it.
    pub(super) fn take_proxy(
        &mut self,
        keyword: &str,
        rest: &str,
        place: &Place,
        is_active: bool,
    ) -> Result<(), String> {
        if keyword == "proxyjump" {
            let hops = jump::parse(rest)?;
            if is_active && self.jump.is_none() && self.proxy_command.is_none() {
                self.jump = Some(hops);
            }
        } else if is_active
            && self.proxy_command.is_none()
            && self.jump.as_ref().is_none_or(Option::is_none)
        {
            self.proxy_command = Some((rest.trim_end().to_owned(), place.clone()));
        }
        Ok(())
    }

    /// Takes a line. Wrong values are errors also where the line does not count.
    pub(super) fn take(
        &mut self,
        keyword: &str,
        values: &[String],
        is_active: bool,
    ) -> Result<(), String> {
        if matches!(keyword, "userknownhostsfile" | "globalknownhostsfile") {
            let files = several(values)?;
            let slot = match keyword {
                "userknownhostsfile" => &mut self.user_known_hosts,
                _ => &mut self.global_known_hosts,
            };
            first(slot, files, is_active);
            return Ok(());
        }
        let value = match values {
            [one] if !one.is_empty() => one,
            [] | [_] => return Err(format!("`{keyword}` has no value")),
            _ => return Err(format!("`{keyword}` has more than one value")),
        };
        match keyword {
            "hostname" => first(&mut self.host_name, value.clone(), is_active),
            "user" => first(&mut self.user, value.clone(), is_active),
            "port" => first(&mut self.port, port(value)?, is_active),
            "identityfile" if is_active => once(&mut self.identity_files, value)?,
            "certificatefile" if is_active => once(&mut self.certificate_files, value)?,
            "identitiesonly" => first(&mut self.identities_only, truth(value)?, is_active),
            "identityagent" => first(&mut self.identity_agent, value.clone(), is_active),
            "hostkeyalias" => first(&mut self.host_key_alias, value.clone(), is_active),
            "stricthostkeychecking" => first(&mut self.strictness, strictness(value)?, is_active),
            "canonicalizehostname" => {
                let wanted = value.eq_ignore_ascii_case("always") || truth(value)?;
                first(&mut self.canonicalize, wanted, is_active);
            }
            "connecttimeout" => time(&mut self.connect_timeout, value, is_active)?,
            "serveraliveinterval" => time(&mut self.alive_interval, value, is_active)?,
            "serveralivecountmax" => {
                let most = value.parse().ok().filter(|most| *most <= MOST);
                let most = most.ok_or_else(|| format!("`{value}` is no number"))?;
                first(&mut self.alive_count_max, most, is_active);
            }
            _ => {}
        }
        Ok(())
    }
}

fn first<T>(slot: &mut Option<T>, value: T, is_active: bool) {
    if is_active && slot.is_none() {
        *slot = Some(value);
    }
}

fn once(files: &mut Vec<String>, value: &str) -> Result<(), String> {
    if files.len() >= MOST_FILES {
        return Err(format!("more than {MOST_FILES} files of keys"));
    }
    if !files.iter().any(|file| file == value) {
        files.push(value.to_owned());
    }
    Ok(())
}

fn several(values: &[String]) -> Result<Vec<String>, String> {
    let is_none = |value: &String| value.eq_ignore_ascii_case("none");
    match values {
        [] => Err("no file is named".into()),
        [one] if is_none(one) => Ok(Vec::new()),
        all if all.iter().any(|value| is_none(value) || value.is_empty()) => {
            Err("`none` stands beside files, or a name is empty".into())
        }
        all => Ok(all.to_vec()),
    }
}

fn port(value: &str) -> Result<u16, String> {
    let digits = value.strip_prefix('+').unwrap_or(value);
    match digits.parse() {
        Ok(port) if port > 0 => Ok(port),
        _ if value == "ssh" => Ok(22),
        _ => Err(format!(
            "`{value}` is no port: a whole number from 1 to 65535"
        )),
    }
}

fn truth(value: &str) -> Result<bool, String> {
    match value.to_ascii_lowercase().as_str() {
        "yes" | "true" => Ok(true),
        "no" | "false" => Ok(false),
        _ => Err(format!("`{value}` is neither `yes` nor `no`")),
    }
}

fn strictness(value: &str) -> Result<Strictness, String> {
    match value.to_ascii_lowercase().as_str() {
        "ask" => Ok(Strictness::Ask),
        "accept-new" => Ok(Strictness::AcceptNew),
        "no" | "off" | "false" => Ok(Strictness::Off),
        "yes" | "true" => Ok(Strictness::Yes),
        _ => Err(format!(
            "`{value}` is none of `yes`, `no`, `ask`, `off`, `accept-new`"
        )),
    }
}

/// `none` leaves the setting open for a later line.
fn time(slot: &mut Option<u32>, value: &str, is_active: bool) -> Result<(), String> {
    if value != "none" {
        first(slot, seconds(value)?, is_active);
    }
    Ok(())
}

/// `90`, `1m30s`, `2h`.
fn seconds(value: &str) -> Result<u32, String> {
    let wrong = || format!("`{value}` is no time such as `90` or `1m30s`");
    let mut total = 0_u32;
    let mut number = String::new();
    let mut rest = value.chars().peekable();
    while let Some(char) = rest.next() {
        if char.is_ascii_digit() {
            number.push(char);
            if rest.peek().is_some() {
                continue;
            }
        }
        let unit = match char.to_ascii_lowercase() {
            's' | '0'..='9' => 1,
            'm' => 60,
            'h' => 3600,
            'd' => 86_400,
            'w' => 604_800,
            _ => return Err(wrong()),
        };
        let part: u32 = number.parse().map_err(|_| wrong())?;
        let part = part.checked_mul(unit).ok_or_else(wrong)?;
        total = total.checked_add(part).ok_or_else(wrong)?;
        number.clear();
    }
    if total > MOST || value.is_empty() {
        return Err(wrong());
    }
    Ok(total)
}

/// The largest number that OpenSSH takes.
const MOST: u32 = 2_147_483_647;

/// How many files of keys OpenSSH takes.
const MOST_FILES: usize = 100;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_units_and_wrong_ones_are_refused() {
        for (text, expected) in [
            ("0", 0),
            ("90", 90),
            ("010", 10),
            ("1m30s", 90),
            ("2H", 7200),
            ("1w1d", 691_200),
            ("1h5", 3605),
        ] {
            assert_eq!(seconds(text), Ok(expected), "{text}");
        }
        for wrong in ["", "x", "5x", "m", "-1", "99999999999", "4000w"] {
            assert!(seconds(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn proxy_command_and_proxy_jump_exclude_each_other_the_first_counts() {
        let place = Place {
            file: "f".into(),
            line: 1,
        };
        let mut settings = Settings::default();
        settings
            .take_proxy("proxycommand", "nc", &place, true)
            .expect("fits");
        settings
            .take_proxy("proxyjump", "a", &place, true)
            .expect("fits");
        assert_eq!(settings.jump, None);
        let mut settings = Settings::default();
        settings
            .take_proxy("proxyjump", "a", &place, true)
            .expect("fits");
        settings
            .take_proxy("proxycommand", "nc", &place, true)
            .expect("fits");
        assert_eq!(settings.proxy_command, None);
    }
}
